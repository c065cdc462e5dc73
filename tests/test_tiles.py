"""Tiles against the whole picture, in float64; and where it goes beyond: memory, executors, interrupts, checkpoints."""

import dataclasses
import os
import pickle
import signal
import threading
import time
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import numpy as np
import pytest
from drawing import picture, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_numpy import Objective, gradcheck, memory, tiled, tiles, transfer
from nst_numpy.conventions import CONVENTIONS
from nst_numpy.conventions.convention import style_grams
from nst_numpy.objective import VariationTerm, added
from nst_numpy.tiled import TiledObjective

WEIGHTS = {"content_weight": 3.0, "style_weight": 50.0, "tv_weight": 7.0}
LAYERS = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv3_1"]}


def assert_same(one, other, rtol=1e-10):
    """Two results of objectives; each array relative to its norm."""
    assert one[2].keys() == other[2].keys()
    for name, value in one[2].items():
        assert np.isclose(value, other[2][name], rtol=rtol, atol=1e-12), name
    assert np.linalg.norm(one[1] - other[1]) <= rtol * np.linalg.norm(one[1]) + 1e-300
    assert one[0] == pytest.approx(other[0], rel=rtol) and one[1].dtype == other[1].dtype


@st.composite
def cases(draw):
    """A network, and the arguments of an objective."""
    padding = draw(st.sampled_from(["zero", "replicate", "circular"]))
    layers = ["conv1_1", "conv1_2", "pool1", "conv2_2", "pool2", "conv3_1", "conv3_4", "conv4_1"]
    some = st.lists(st.sampled_from(layers), max_size=2, unique=True)
    content, style = draw(some), draw(some)
    network = small_vgg(
        last="conv4_1",
        widths=(3, 4, 5, 6, 7),
        padding=padding,
        pooling=draw(st.sampled_from(["average", "max"])),
        backend=draw(st.sampled_from(["plain", "fast"])),
    )
    height, width = draw(st.integers(16, 75)), draw(st.integers(16, 75))
    if padding == "circular":
        height, width = height // 8 * 8, width // 8 * 8
    images = [picture(draw(st.integers(0, 99)), draw(st.integers(16, 60)), draw(st.integers(16, 60))) for _ in "ab"]
    keywords = {"content_layers": content, "style_layers": style or ["conv2_1"], **WEIGHTS}
    mask = lambda image: 0.1 + 0.9 * picture(9, *image.shape[:2])[..., 0]  # noqa: E731
    seeds = st.integers(0, 99)
    start, x = picture(draw(seeds), height, width), picture(draw(seeds), height, width)
    if draw(st.booleans()):
        keywords["content_masks"] = [mask(start), 1.1 - mask(start)]
        keywords["style_masks"] = [mask(images[0]), None]
    if draw(st.booleans()):
        keywords["content_mask"] = mask(start)
    if draw(st.booleans()):
        keywords["style_blend"] = [1.0, 2.0]
    return network, start, images, keywords, draw(st.integers(1, 80)), x


@settings(max_examples=25, deadline=None)
@given(cases())
def test_tiles_are_exact(case):
    network, content, styles, keywords, tile, x = case
    whole = Objective.from_images(network, content, styles, **keywords)
    assert_same(whole(x), Objective.from_images(network, content, styles, **keywords, tile=tile)(x))


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_every_convention(convention):
    network, content, style, x = small_vgg(), picture(1, 50, 70), picture(2, 66, 40), picture(3, 50, 70)
    both = (Objective.from_images(network, content, style, convention=convention, tile=tile) for tile in (None, 16))
    assert_same(*(f(x) for f in both))


def test_the_margin_is_needed_and_no_larger(monkeypatch):
    """One step less, on either side, and the gradient is wrong; the margin itself is that of the receptive field."""
    network, x = small_vgg(last="conv4_1", bias=1.0), picture(3, 96, 128)
    keywords = {"content_layers": [], "style_layers": ["conv4_1"], **WEIGHTS}
    images = picture(1, 96, 128), picture(2, 40, 40)
    whole = Objective.from_images(network, *images, **keywords)(x)
    margin = tiles.margins(network, ["conv4_1"])
    assert margin == (32, 32)  # a unit sees 68 pixels: 30 before its 8, and 30 after
    for short in ((24, 32), (32, 24)):
        monkeypatch.setattr(tiles, "margins", lambda *_, short=short: short)
        _, gradient, _ = Objective.from_images(network, *images, **keywords, tile=32)(x)
        assert np.linalg.norm(gradient - whole[1]) > 1e-7 * np.linalg.norm(whole[1])
    monkeypatch.undo()
    assert_same(whole, Objective.from_images(network, *images, **keywords, tile=32)(x))


def test_the_gradient_by_central_differences():
    network, x = small_vgg(last="conv3_1", backend="plain"), picture(3, 17, 20)
    f = Objective.from_images(network, picture(1, 17, 20), picture(2), tile=8, **LAYERS, **WEIGHTS)
    assert len(f.tiles) == 6 and gradcheck(lambda x: f(x)[0], f(x)[1], x, mode="sample", samples=20, h=1e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 99), st.sampled_from(["conv1_1", "conv2_1", "conv4_1"]))
def test_cores_cover_the_image_once(height, width, tile, layer):
    network = small_vgg(last="conv4_1")
    found, r = np.zeros((height, width), int), {"conv1_1": 1, "conv2_1": 2, "conv4_1": 8}[layer]
    positions = np.zeros((height // r, width // r), int)
    for piece in tiles.cut(network, [layer], (height, width), tile):
        (top, bottom), (left, right) = piece.core
        found[top:bottom, left:right] += 1
        positions[piece.at(layer)] += 1
        assert bottom - top < max(tile, r) + r and right - left < max(tile, r) + r
        assert all(0 <= w[0] <= c[0] < c[1] <= w[1] for c, w in zip(piece.core, piece.window, strict=True))
        window = piece.window_of(found)
        assert window.shape == piece.size and np.shares_memory(window, found)
    assert (found == 1).all() and (positions == 1).all()


def test_a_window_goes_on_at_the_opposite_edge():
    """Also several times around, if the margin is larger than the image."""
    network = small_vgg(last="conv4_1", padding="circular")
    x = np.arange(16 * 24 * 3).reshape(16, 24, 3)
    for piece in tiles.cut(network, ["conv4_1"], (16, 24), 8):
        (top, bottom), (left, right) = piece.window
        rows, columns = np.arange(top, bottom) % 16, np.arange(left, right) % 24
        window = piece.window_of(x)
        assert window.shape[0] > 2 * 16 and np.array_equal(window, x[np.ix_(rows, columns)])
        expected, found = np.zeros_like(x), np.zeros_like(x)
        np.add.at(expected, np.ix_(rows, columns), window)
        piece.add(found, window)
        assert np.array_equal(found, expected)
    with pytest.raises(ValueError, match="sides must be multiples of 8, found 24×17; take another size, or no tiles"):
        tiles.cut(network, ["conv4_1"], (17, 24), 8)


def test_style_images_are_swept_in_tiles(monkeypatch):
    network = small_vgg(last="conv3_1", dtype=np.float32)
    image, part = picture(1, 65, 90, np.float32), picture(2, 65, 90, np.float32)[..., 0]
    windows, forward = [], type(network).forward
    monkeypatch.setattr(type(network), "forward", lambda self, x, l: (windows.append(x.shape), forward(self, x, l))[1])
    for mask in (None, part):
        results = {
            tile: next(style_grams(network, [image], LAYERS["style_layers"], [mask], tile)) for tile in (None, 32)
        }
        for layer, (G, M) in results[None].items():
            tiled_G, tiled_M = results[32][layer]
            assert tiled_M == M and tiled_G.dtype == G.dtype and np.allclose(tiled_G, G, rtol=1e-5, atol=1e-6 * G.max())
    assert windows[0] == image.shape and len(windows) == 2 * (1 + 6)
    assert max(max(shape) for shape in windows[1:7]) <= 32 + 24
    image = picture(1, 64, 96)
    Objective.from_images(small_vgg(last="conv3_1"), image, picture(2, 90, 90), tile=32, **LAYERS)
    assert max(max(shape) for shape in windows[14:]) <= 32 + 24, "of the content, nothing whole is swept"


def evaluated(term, x):
    value, gradient = term(x)
    return value, added(gradient, None)


@pytest.mark.parametrize("name", [name for name, c in CONVENTIONS.items() if c.variation(9, 9)])
@pytest.mark.parametrize("circular", [False, True])
def test_total_variation_in_strips(name, circular):
    for height in (1, 2, 5, 6, 7, 12):
        x = picture(1, height, 6)
        variation = CONVENTIONS[name].total_variation(2.0, height, 6)
        value, gradient = evaluated(VariationTerm(variation, circular), x)
        for rows in (1, 2, 5, 100):
            in_strips = evaluated(VariationTerm(variation, circular, rows=rows), x)
            assert np.isclose(in_strips[0], value, rtol=1e-12, atol=1e-12)
            assert np.allclose(in_strips[1], gradient, rtol=1e-12, atol=1e-12)


def test_content_terms_with_features_of_their_own_are_cut():
    network, x = small_vgg(last="conv3_1"), picture(3, 50, 70)
    f = Objective.from_images(
        network, picture(1, 50, 70), picture(2), content_mask=picture(4, 50, 70)[..., 0], **LAYERS, **WEIGHTS
    )
    assert f.terms[0].P is not None
    assert_same(f(x), TiledObjective(network, f.terms, (50, 70), 16)(x))
    terms = [dataclasses.replace(f.terms[0], P=None, layer="relu2_2"), *f.terms[1:]]
    in_tiles = TiledObjective(network, terms, (50, 70), 16, picture(1, 50, 70))
    assert_same(f(x), in_tiles(x))
    assert_same(f(x), in_tiles(x))  # with the features kept


def test_what_can_not_be_tiled_is_said():
    network, x = small_vgg(last="conv3_1"), picture(1, 50, 70)

    class Mine:
        name, layer = "mine", "conv2_1"

        def __call__(self, a):
            return 0.0, np.zeros_like(a)

    with pytest.raises(ValueError, match="the term mine at conv2_1 can't be evaluated in tiles: it has no statistic, "):
        TiledObjective(network, [Mine()], (50, 70), 16)
    f = Objective.from_images(network, x, picture(2), tile=16, **LAYERS)
    with pytest.raises(ValueError, match="this objective is for 70×50 pixels, found an array"):
        f(picture(1, 50, 60))
    with pytest.raises(ValueError, match="the gradients of layers are for an objective without tiles"):
        f.layer_gradients(x)
    with pytest.raises(ValueError, match="the content term at conv2_2 has no features P, and there is no content"):
        TiledObjective(network, f.terms, (50, 70), 16)
    with pytest.raises(ValueError, match="the content image must be of 70×50 pixels"):
        TiledObjective(network, f.terms, (50, 70), 16, picture(1, 50, 60))
    for wrong, kind in ((0, ValueError), (1.5, ValueError), ("big", TypeError)):
        with pytest.raises(kind, match="tile must be a whole number of at least 1"):
            transfer(x, x, weights=network, size=(32,), steps=1, tile=wrong, progress=False)
    with pytest.raises(TypeError, match=r"executor must be an Executor or None, found 2"):
        transfer(x, x, weights=network, size=(32,), steps=1, executor=2, progress=False)


def test_only_image_terms():
    network, x = small_vgg(last="conv1_1"), picture(3, 20, 30)
    f = Objective.from_images(network, x, x, **LAYERS | {"content_layers": [], "style_layers": ["conv1_1"]})
    assert_same(Objective(network, f.terms[-1:])(x), TiledObjective(network, f.terms[-1:], (20, 30), 8)(x))


# Executors ------------------------------------------------------------------------------------------------------------


def example(dtype=np.float32, **keywords):
    network = small_vgg(last="conv3_1", dtype=dtype, threads=1)
    content, style = picture(1, 50, 70, dtype), picture(2, 40, 40, dtype)
    mask = picture(4, 50, 70)[..., 0]
    keywords = {**LAYERS, **WEIGHTS, "content_masks": [mask], "content_mask": mask, "tile": 24, **keywords}
    return Objective.from_images(network, content, style, **keywords)


def equal(one, other):
    return one[0] == other[0] and np.array_equal(one[1], other[1]) and one[2] == other[2]


class Elsewhere(Executor):
    """Jobs as another process sees them: pickled, and with a memory of its own. `lose` of them end with an error."""

    def __init__(self, workers=1, lose=()):
        self.memories = [
            {"_networks": type(tiled._networks)(), "_benches": type(tiled._benches)()} for _ in range(workers)
        ]
        self.jobs, self.lose = [], set(lose)

    def submit(self, function, /, *arguments):
        self.jobs.append(arguments)
        number, future = len(self.jobs) - 1, Future()
        worker = number % len(self.memories)
        if number in self.lose:
            future.set_exception(RuntimeError("the worker is gone"))
            return future
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.memories[worker].items():
                patch.setattr(tiled, name, value)
            patch.setattr(tiled.socket, "gethostname", lambda: f"worker {worker}")
            answer = pickle.loads(pickle.dumps(function))(*pickle.loads(pickle.dumps(arguments)))
        future.set_result(pickle.loads(pickle.dumps(answer)))
        return future


def test_threads_and_other_workers_give_the_same_bits(monkeypatch):
    x = picture(3, 50, 70, np.float32)
    alone = example()(x)
    with ThreadPoolExecutor(3) as threads:
        assert equal(example(executor=threads)(x), alone)
    for workers, ahead in ((1, 1), (1, 128), (3, 2), (3, 128)):
        monkeypatch.setattr(tiled, "AHEAD", ahead)
        executor = Elsewhere(workers)
        f = example(executor=executor)
        assert all(equal(f(x), alone) for _ in range(3))
        networks = [job for job in executor.jobs if job[5] is not None]
        assert workers <= len(networks) <= (2 * workers if ahead > 2 else len(f.tiles) * workers), (
            "the network travels once for each worker"
        )
        pieces = [job[2] for job in executor.jobs if job[6] is not None]
        assert {*pieces} == {*range(len(f.tiles))}
        settled = len(executor.jobs)
        if workers == 1:
            f(x)
            assert len(executor.jobs) == settled + 2 * len(f.tiles), "a job for each tile and sweep"
            assert all(job[5] is None is job[6] for job in executor.jobs[settled:])


def test_a_worker_forgets_what_is_old_and_asks_for_it_again():
    x, executor = picture(3, 50, 70, np.float32), Elsewhere()
    objectives = [example(executor=executor, style_weight=10.0 + k) for k in range(3)]
    first = [f(x) for f in objectives]
    assert len(executor.memories[0]["_benches"]) == tiled.KEPT and len(executor.memories[0]["_networks"]) == 1
    assert equal(objectives[0](x), first[0])


def test_what_an_executor_does_not_do_is_done_here():
    x, alone = picture(3, 50, 70, np.float32), example()(picture(3, 50, 70, np.float32))
    for lose in ([0], [7], range(3, 99)):
        f = example(executor=Elsewhere(lose=lose))
        with pytest.warns(
            RuntimeWarning, match="the executor failed .RuntimeError: the worker is gone.; the tiles are"
        ):
            assert equal(f(x), alone)
        assert equal(f(x), alone)
    closed = ThreadPoolExecutor(1)
    closed.shutdown()
    with pytest.warns(RuntimeWarning, match="the executor failed .RuntimeError: cannot schedule new futures"):
        assert equal(example(executor=closed)(x), alone)


def test_processes_one_of_which_is_killed():
    x, alone = picture(3, 50, 70, np.float32), example()(picture(3, 50, 70, np.float32))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        f = example(executor=pool)
        assert equal(f(x), alone)
        os.kill(next(iter(pool._processes)), signal.SIGKILL)
        with pytest.warns(RuntimeWarning, match="the executor failed .BrokenProcessPool"):
            assert equal(f(x), alone)


def test_a_term_that_can_not_travel():
    class Mine:
        name, layer = "mine", "conv2_1"
        statistic = loss = backward = __call__ = lambda self, *_: 0

        def part(self, *_):
            return self

    network = small_vgg(last="conv3_1")
    TiledObjective(network, [Mine()], (50, 70), 16)
    with (
        ThreadPoolExecutor(1) as threads,
        pytest.raises(TypeError, match="the term mine at conv2_1 can't be sent to an"),
    ):
        TiledObjective(network, [Mine()], (50, 70), 16, executor=threads)


def test_an_interrupt_cancels_what_has_not_begun():
    started, release, jobs = threading.Event(), threading.Event(), []

    class Slow(ThreadPoolExecutor):
        def submit(self, function, /, *arguments):
            jobs.append(super().submit(wait_and, function, *arguments))
            return jobs[-1]

    def wait_and(function, *arguments):
        if not started.is_set():
            started.set()
            while len(jobs) < 6:
                time.sleep(0.01)
            os.kill(os.getpid(), signal.SIGINT)
        release.wait(20)
        return function(*arguments)

    with Slow(1) as executor:
        f = example(executor=executor)
        with pytest.raises(KeyboardInterrupt):
            f(picture(3, 50, 70, np.float32))
        release.set()
    assert len(jobs) == len(f.tiles) and sum(job.cancelled() for job in jobs) >= len(jobs) - 1


# Painting -------------------------------------------------------------------------------------------------------------

QUICK = {"weights": small_vgg(last="conv3_1"), "size": (64,), "progress": False, "content_layers": ["conv2_2"]}


def test_a_picture_in_tiles_is_the_same_and_goes_on_from_a_checkpoint(tmp_path):
    content, style = picture(1, 64, 48), picture(2, 40, 40)
    whole = transfer(content, style, steps=6, **QUICK)
    pieces = transfer(content, style, steps=6, tile=24, **QUICK)
    assert np.abs(whole.image.astype(int) - pieces.image).max() <= 1
    assert whole.history[-1]["total"] == pytest.approx(pieces.history[-1]["total"], rel=1e-4)

    def interrupt(step, *_):
        if step == 3:
            raise KeyboardInterrupt

    keywords = {**QUICK, "steps": 6, "checkpoint": tmp_path / "run.h5", "checkpoint_every": 0}
    with pytest.warns(RuntimeWarning, match="interrupted"):
        transfer(content, style, **keywords, tile=24, callback=interrupt)
    with pytest.raises(ValueError, match="tile at size 64 24, now it is 16"):
        transfer(content, style, **keywords, tile=16)
    again = transfer(content, style, **keywords)  # in the tiles of the run
    assert again.complete and np.array_equal(again.image, pieces.image) and again.history == pieces.history


def test_an_interrupt_within_a_tile_keeps_the_best_picture(monkeypatch):
    content, style, count = picture(1, 64, 48), picture(2, 40, 40), iter(range(1000))
    evaluate = tiled._Bench.evaluate

    def interrupted(*arguments):
        if next(count) == 60:
            os.kill(os.getpid(), signal.SIGINT)
        return evaluate(*arguments)

    monkeypatch.setattr(tiled._Bench, "evaluate", interrupted)
    with pytest.warns(RuntimeWarning, match="interrupted; this is the best picture so far"):
        result = transfer(content, style, steps=20, tile=24, **QUICK)
    assert not result.complete and 1 < len(result.history) < 21


def test_tiles_are_chosen_by_the_memory(monkeypatch):
    content, style, made = picture(1, 300, 260), picture(2, 40, 40), []
    real = Objective.from_images
    record = lambda *arguments, **keywords: (made.append(keywords["tile"]), real(*arguments, **keywords))[1]  # noqa: E731
    monkeypatch.setattr(Objective, "from_images", record)
    keywords = {**QUICK, "size": (100, 300), "steps": 1, "style_scale": 0.2}
    of_whole, of_tiles = (
        memory.needed(QUICK["weights"], ["conv2_2", "conv4_2"][:1], (300, 260), tile) for tile in (None, 128)
    )
    assert of_tiles < of_whole
    for free, expected in ((None, [None, None]), (2**40, [None, None])):
        monkeypatch.setattr(memory, "available", lambda free=free: free)
        transfer(content, style, **keywords)
        assert made == expected
        made.clear()
    whole = memory.needed(QUICK["weights"], ["conv2_2", *usual()], (300, 260), None)
    monkeypatch.setattr(memory, "available", lambda: int(whole / memory.SHARE) - 2**20)
    transfer(content, style, **keywords)
    assert made[0] is None and made[1] in memory.TILES
    monkeypatch.setattr(memory, "available", lambda: 2**20)
    with pytest.raises(
        ValueError, match=r"a picture of 87×100 pixels needs 0.\d GiB of memory even in the smallest tiles"
    ):
        transfer(content, style, **keywords)
    transfer(content, style, **keywords, tile=128)  # whoever says it, has it
    with ThreadPoolExecutor(1) as threads:
        transfer(content, style, **keywords, executor=threads)
    assert made[-4:] == [None, 128, None, None]


def usual():
    from nst_numpy import conventions

    return list(conventions.get("nst_numpy").weighted_layers("style", None, QUICK["weights"]))


# Memory ---------------------------------------------------------------------------------------------------------------


def test_an_estimate_of_memory_counts_what_is_there():
    network = small_vgg(last="conv3_1", dtype=np.float32, backend="fast")
    size = {"conv1_1": 4 * 64 * 64 * 4, "conv1_2": 4 * 64 * 64 * 4, "conv2_1": 5 * 32 * 32 * 4}
    step = memory.of_step(network, ["conv1_1"], 64, 64)
    assert 4 * size["conv1_1"] < step < 6 * size["conv1_1"]
    assert memory.of_step(network, ["conv1_1", "conv1_2"], 64, 64) > step
    assert memory.of_step(small_vgg(last="conv3_1", backend="fast"), ["conv1_1"], 64, 64) > 1.9 * step
    needs = lambda *arguments: memory.needed(network, ["conv2_1"], (512, 512), *arguments)  # noqa: E731
    pixels = 512 * 512 * 3 * 4
    assert needs(None, "lbfgs", {"memory": 7}) - needs(None, "lbfgs", {"memory": 3}) == 8 * pixels
    assert needs(None) - needs(None, "lbfgs", {"memory": 3}) == 14 * pixels
    assert needs(None, "adam") < needs(None, "lbfgs", {"memory": 2})
    assert needs(None) > needs(256) > needs(128)
    assert needs(None, "adam", {}, [(4096, 4096)]) > needs(None, "adam") + 4096 * 4096 * 12
    free = int(needs(256) / memory.SHARE) + 1
    assert memory.choose(network, ["conv2_1"], (512, 512), free=free) == 384  # cut as by 256
    assert memory.choose(network, ["conv2_1"], (512, 512), free=free - 2) in memory.TILES[memory.TILES.index(256) + 1 :]
    with pytest.raises(ValueError) as error:
        memory.choose(network, ["conv2_1"], (512, 512), free=2**20)
    assert str(error.value).endswith(
        'and 0.0 GiB are available; take a smaller size or fewer pairs, optimizer_options={"memory": 3}, '
        'or optimizer="adam"'
    )
    with pytest.raises(ValueError, match=r"are available; take a smaller size$"):
        memory.choose(network, ["conv2_1"], (512, 512), "adam", free=2**20)


V2, V1 = "0::/jobs/one\n", "12:pids:/x\n5:cpu,memory:/jobs/one\n0::/\n"


@pytest.mark.parametrize(
    "cgroup, files, expected",
    [
        ("", {}, 8 << 30),
        (V2, {"jobs/one/memory.max": "max", "jobs/one/memory.current": "5"}, 8 << 30),
        (V2, {"jobs/one/memory.max": "1000", "jobs/one/memory.current": "300"}, 700),
        (V2, {"jobs/memory.max": "90", "jobs/memory.current": "30", "jobs/memory.stat": "a 7\ninactive_file 5\n"}, 65),
        (V2, {"memory.max": "100", "memory.current": "300"}, 0),
        (V1, {"memory/jobs/one/memory.limit_in_bytes": "90", "memory/jobs/one/memory.usage_in_bytes": "40"}, 50),
        (V1, {"memory/memory.limit_in_bytes": "90", "memory/memory.usage_in_bytes": "40",
              "memory/memory.stat": "total_inactive_file 9"}, 59),
    ],
)  # fmt: skip
def test_available_memory_heeds_cgroups(tmp_path, cgroup, files, expected):
    texts = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    texts |= {"proc/self/cgroup": cgroup, "proc/meminfo": "MemTotal: 99 kB\nMemAvailable:    8388608 kB\nodd\n"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert memory.available(str(tmp_path)) == expected


def test_this_machine_says_how_much_memory_it_has():
    found = memory.available()
    assert found is None or found > 2**20
