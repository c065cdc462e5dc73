"""Grading, sweeps and tiles on a Dask cluster: a real one on this machine, whose workers are killed in the middle."""

import os
import signal
import time
import warnings

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, images, sweep
from nst_numpy.cli import main
from nst_numpy.exercises.assignment import Assignment, Task
from nst_numpy.exercises.grading import grade

distributed = pytest.importorskip("distributed", reason="needs the extra dask")

SHEET = Assignment("Sheet", (Task("gram"), Task("content_loss")))
TEXT = (
    "import time\ntime.sleep(0.2)\ndef gram(F): return F @ F.T\ndef content_loss(F, P): return ((F - P)**2).sum() / 2\n"
)


@pytest.fixture(scope="module")
def cluster():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as made:
        yield made


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "in").mkdir()
    for k in range(20):
        (tmp_path / f"in/student{k:02}.py").write_text(TEXT)
    return tmp_path


def test_a_worker_that_is_killed_loses_nothing(cluster, folder):
    with distributed.Client(cluster) as client:
        processes = list(client.run(os.getpid).values())
        executor = client.get_executor()
        submit = executor.submit

        def and_kill(function, *arguments):
            future = submit(function, *arguments)
            future.add_done_callback(lambda _: kill.pop()() if kill else None)
            return future

        kill = [lambda: os.kill(processes[0], signal.SIGKILL)]  # when the first one is done
        executor.submit = and_kill
        results = grade(folder / "in", SHEET, folder / "out", executor=executor, progress=False)
        assert not kill and len(results) == 20 and all(result.points == 2 for result in results), results
        assert len((folder / "out/marks.csv").read_text().splitlines()) == 21
        for _ in range(100):  # the nanny has started another one
            now = list(client.run(os.getpid).values())
            if len(now) == 2:
                break
            time.sleep(0.1)
        assert processes[0] not in now and processes[1] in now


def test_on_the_command_line(cluster, folder, capsys):
    (folder / "sheet.toml").write_text('[[exercise]]\nname = "gram"\n')
    arguments = ["--of", str(folder / "sheet.toml"), "-o", str(folder / "out")]
    assert main(["exercise", "grade", str(folder / "in"), *arguments, "--scheduler", cluster.scheduler_address]) == 0
    assert capsys.readouterr().out.startswith("graded 20 of 20\n")


def test_a_sweep_gives_the_same_bytes_as_alone(cluster, tmp_path):
    """Images travel with the jobs: the workers do not see these files."""
    for name, seed in (("content", 1), ("style", 2)):
        images.save(images.to_uint8(picture(seed, 40, 48)), tmp_path / f"{name}.png")
    inputs = tmp_path / "content.png", tmp_path / "style.png"
    settings = {"grid": {"style_weight": [10, 100]}, "size": (32,), "steps": 2, "progress": False}
    alone = sweep(*inputs, tmp_path / "alone", workers=1, **settings)
    with distributed.Client(cluster) as client:
        shared = sweep(*inputs, tmp_path / "shared", executor=client.get_executor(), **settings)
    assert [cell.losses for cell in shared] == [cell.losses for cell in alone]
    for a, b in zip(alone, shared, strict=True):
        assert a.path.read_bytes() == b.path.read_bytes()


def test_tiles_give_the_same_bytes_as_alone_also_if_workers_are_killed(cluster):
    network = small_vgg(dtype=np.float32, threads=1)
    content, style, x = (picture(seed, 97, 131, np.float32) for seed in (1, 2, 3))
    alone = Objective.from_images(network, content, style, tile=32)(x)
    with distributed.Client(cluster) as client, warnings.catch_warnings():
        warnings.simplefilter("error")  # nothing is computed here instead
        executor = client.get_executor()
        submit, jobs = executor.submit, []

        def and_kill(function, *arguments):
            jobs.append(arguments)
            if len(jobs) in (60, 90):  # in the first sweep of the second evaluation, and in the next
                os.kill(next(iter(client.run(os.getpid).values())), signal.SIGKILL)
            return submit(function, *arguments)

        executor.submit = and_kill
        objective = Objective.from_images(network, content, style, tile=32, executor=executor)
        for _ in range(3):
            total, gradient, parts = objective(x)
            assert total == alone[0] and np.array_equal(gradient, alone[1]) and parts == alone[2]
        assert len(objective.tiles) == 12 and len(jobs) > 90
        networks = [network for *_, network, _ in jobs if network is not None]
        # Once for each of four workers; more often only while workers die and their jobs move. Not with each job.
        assert 4 <= len(networks) < len(jobs) / 3


def test_a_picture_painted_by_a_cluster(cluster, tmp_path, capsys):
    for name, seed in (("content", 1), ("style", 2)):
        images.save(images.to_uint8(picture(seed, 80, 96)), tmp_path / f"{name}.png")
    inputs = [str(tmp_path / "content.png"), str(tmp_path / "style.png")]
    options = ["--size", "96,", "--steps", "2", "--tile", "48", "--threads", "1", "--quiet"]
    for name, scheduler in (("alone", []), ("shared", ["--scheduler", cluster.scheduler_address])):
        out = str(tmp_path / f"{name}.png")
        assert main(["transfer", *inputs, "-o", out, *options, *scheduler]) == 0, capsys.readouterr()
    assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "shared.png").read_bytes()
