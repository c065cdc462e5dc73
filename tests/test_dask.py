"""Grading and sweeps on a Dask cluster: a real one on this machine, one of whose workers is killed in the middle."""

import os
import signal
import time

import pytest
from drawing import picture

from nst_numpy import images, sweep
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
