"""Films: every frame is what it should be by its definition, a run goes on anywhere, and bad input is refused."""

import json
import os
import signal
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawing import assert_gradient, complex_step, like, picture, size_of, small_vgg
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import map_coordinates

import nst_numpy
from nst_numpy import Objective, Settings, colors, films, flow, frames, images, losses, minimize, painting, transfer
from nst_numpy.cli import main
from nst_numpy.frames import TemporalTerm, transfer_frames
from nst_numpy.preconditioner import precondition

WEIGHTS = small_vgg(widths=(6, 8), last="conv2_1", dtype=np.float32)
LAYERS = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1", "conv2_1"]}
QUICK = {"weights": WEIGHTS, "size": (32,), "steps": 3, "next_steps": 2, "progress": False, **LAYERS}
SHIFT = 3  # pixels to the left with each frame
seeds = st.integers(0, 2**32 - 1)


def known(first, second):
    """The flow between frames of the film below."""
    right = np.abs(first[:, :-SHIFT] - second[:, SHIFT:]).max() < 1e-6
    return np.broadcast_to(np.float32([SHIFT if right else -SHIFT, 0]), (*first.shape[:2], 2))


def still(first, second):
    return np.zeros((*first.shape[:2], 2), np.float32)


@pytest.fixture
def film(tmp_path):
    """A camera that pans over noise, four frames, with a style beside it."""
    (tmp_path / "film").mkdir()
    wide = images.to_uint8(picture(1, 24, 60))
    for n in range(4):
        images.save(np.ascontiguousarray(wide[:, SHIFT * n : SHIFT * n + 32]), tmp_path / "film" / f"frame_{n + 8}.png")
    images.save(images.to_uint8(picture(2, 30, 30)), tmp_path / "style.png")
    return tmp_path


def painted(folder, output="out", **keywords):
    given = {**QUICK, "flow": known, **keywords}
    return transfer_frames(folder / "film", folder / "style.png", folder / output, **given)


def contents(folder):
    return {p.name: p.read_bytes() for p in Path(folder).glob("*.png")}


@pytest.fixture
def count(monkeypatch):
    """The frames that are painted, by their numbers of steps."""
    found, real = [], frames.paint

    def counted(content, style, settings, **keywords):
        found.append(settings.steps)
        return real(content, style, settings, **keywords)

    monkeypatch.setattr(frames, "paint", counted)
    return found


# The loss and the flow ------------------------------------------------------------------------------------------------


@given(st.tuples(st.integers(1, 5), st.integers(1, 5), st.integers(1, 3)), seeds)
def test_temporal_loss(shape, seed):
    x, before = like(seed, shape), like(seed + 1, shape)
    c = np.random.default_rng(seed).choice([0.0, 1.0, 0.3], shape[:2])

    def by_loops(x):
        return sum(c[i, j] * (x[i, j, n] - before[i, j, n]) ** 2 for i, j, n in np.ndindex(shape)) / x.size

    assert np.isclose(losses.temporal_loss(x, before, c), by_loops(x), rtol=1e-12)
    gradient = losses.temporal_gradient(x, before, c)
    assert_gradient(lambda x: losses.temporal_loss(x, before, c), gradient, x, h=1e-3)
    assert np.allclose(gradient, complex_step(by_loops, x), rtol=1e-12, atol=1e-14)
    assert not gradient[c == 0].any()
    value, of_term = TemporalTerm(before, c, 7.0)(x)
    assert np.isclose(value, 7 * by_loops(x), rtol=1e-12) and np.allclose(of_term, 7 * gradient, rtol=1e-12)


def test_temporal_loss_in_float32():
    column, ones = np.array([4096, 1], np.float32).reshape(2, 1, 1), np.ones((2, 1), np.float32)
    assert losses.temporal_loss(column, 0 * column, ones) == (2**24 + 1) / 2, "summed in float64"
    value, gradient = TemporalTerm(0 * column, ones.astype(bool), 2.0)(column)
    assert type(value) is float and gradient.dtype == np.float32


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), seeds)
def test_warp(shape, seed):
    image, field = like(seed, (*shape, 2)), 3 * like(seed + 1, (*shape, 2))
    y, x = np.mgrid[: shape[0], : shape[1]]
    places = [y + field[..., 1], x + field[..., 0]]
    warped = flow.warp(image, field)
    for c in range(2):
        assert np.allclose(warped[..., c], map_coordinates(image[..., c], places, order=1, mode="nearest"), atol=1e-10)
    assert flow.warp(image.astype(np.float32), field.astype(np.float32)).dtype == np.float32
    assert np.array_equal(flow.warp(image, 0 * field), image)


@given(st.tuples(st.integers(2, 6), st.integers(2, 6)), seeds, st.sampled_from([0.05, 0.4, 3.0]))
def test_valid_is_the_formulas_of_the_paper(shape, seed, scale):
    forward, backward = scale * like(seed, (*shape, 2)), scale * like(seed + 1, (*shape, 2))
    forward = forward - np.mean(backward)  # in part consistent
    found = flow.valid(forward, backward)
    there = flow.warp(forward, backward)
    down, right = np.gradient(backward, axis=0), np.gradient(backward, axis=1)
    for i, j in np.ndindex(shape):
        (u, v), (a, b) = backward[i, j], there[i, j]
        outside = not (0 <= j + u <= shape[1] - 1 and 0 <= i + v <= shape[0] - 1)
        hidden = (a + u) ** 2 + (b + v) ** 2 > 0.01 * (a**2 + b**2 + u**2 + v**2) + 0.5
        edge = sum(d[i, j, k] ** 2 for d in (down, right) for k in (0, 1)) > 0.01 * (u**2 + v**2) + 0.002
        assert found[i, j] == (not (outside or hidden or edge))


def test_a_thing_that_moves_is_found():
    """A square that moves 4 to the right over a ground at rest: what it uncovers, and its outline, are not valid."""
    square = np.zeros((20, 30), bool)
    square[5:15, 8:18] = True
    moved = np.roll(square, 4, axis=1)
    forward, backward = (np.where(s[..., None], [d, 0.0], 0.0) for s, d in ((square, 4), (moved, -4)))
    found = flow.valid(forward, backward)
    assert not found[5:15, 8:12].any(), "uncovered"
    assert found[7:13, 14:20].all() and found[:4].all() and found[:, :6].all() and found[:, 24:].all()
    assert flow.valid(np.zeros((1, 4, 2)), np.zeros((1, 4, 2))).all()


def test_flicker():
    now, before = picture(3, 6, 8), picture(4, 6, 8)
    field = np.broadcast_to([1.0, 0.0], (6, 8, 2))
    where = np.zeros((6, 8), bool)
    where[2:4, :5] = True
    expected = 255 * np.mean([np.abs(now[i, j] - before[i, j + 1]) for i in (2, 3) for j in range(5)])
    assert np.isclose(flow.flicker(now, before, field, where), expected, rtol=1e-5)
    assert np.isnan(flow.flicker(now, before, field, 0 * where))
    with pytest.raises(ValueError, match=r"one height and width, found \(6, 8\), \(5, 8\), \(6, 8\)"):
        flow.flicker(now, before[:5], field, where)


def test_flows_that_are_none(film):
    image, field = picture(1, 6, 8), np.zeros((6, 8, 2))
    field[2, 3] = np.nan
    for use in (lambda: flow.warp(image, field), lambda: flow.valid(0 * field[:, ::-1], field)):
        with pytest.raises(ValueError, match="a flow must hold finite numbers, found NaN or infinity"):
            use()
    with pytest.raises(ValueError, match=r"flow must have the shape \(H, W, 2\) with H = 6, W = 8, found \(5, 8, 2\)"):
        flow.warp(image, field[1:])
    with pytest.raises(ValueError, match=r"must have the shape \(H, W, 2\)"):
        painted(film, flow=lambda first, second: np.zeros(first.shape))
    with pytest.raises(TypeError, match="forward must be an array, found None"):
        painted(film, flow=lambda first, second: None)


# Frames ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keep_colors", [None, "luminance"])
def test_a_frame_by_its_definition(film, keep_colors):
    """The minimum from the warped start, of the objective with the temporal loss; put together from the parts."""
    made = painted(film, keep_colors=keep_colors, temporal_weight=50.0, next_steps=4)
    first = transfer(
        film / "film/frame_8.png", film / "style.png", progress=False, keep_colors=keep_colors, **LAYERS,
        weights=WEIGHTS, size=(32,), steps=3,
    )  # fmt: skip
    assert [f.path.name for f in made] == [f"frame_{n}.png" for n in (8, 9, 10, 11)]
    assert np.array_equal(Image.open(made[0].path), first.image) and made[0].flicker is None
    assert "temporal" not in made[0].losses and made[0].losses["total"] == first.history[-1]["total"]
    assert json.loads(images.description(made[2].path))["steps"] == [3]
    content = images.load(film / "film/frame_9.png")
    warped, where = images.load(made[0].path), np.ones((24, 32), bool)
    warped[:, :-SHIFT], where[:, -SHIFT:] = warped[:, SHIFT:], False
    start = np.where(where[..., None], warped, content)
    painted_content, style = content, painting._within_frame(images.load(film / "style.png"))
    style = images.load(style, 32)
    if keep_colors:
        style = colors.luminance(style, like=content)
        painted_content, warped, start = (colors.luminance(image) for image in (content, warped, start))
    objective = Objective.from_images(WEIGHTS, painted_content, style, **LAYERS)
    objective = Objective(WEIGHTS, [*objective.terms, TemporalTerm(warped, where, 50.0)])
    options = {"bounds": (0, 1), "maxiter": 4, "gtol": 0, "ftol": 0, "precondition": precondition}
    found = minimize(objective, start, **options)
    x = colors.with_luminance(content, found.x) if keep_colors else found.x
    assert np.array_equal(Image.open(made[1].path), images.to_uint8(x))
    for name, value in made[1].losses.items():
        assert np.isclose(value, found.info[name], rtol=1e-9)
    change = np.abs(np.float64(Image.open(made[1].path))[:, :-SHIFT] - np.float64(Image.open(made[0].path))[:, SHIFT:])
    assert np.isclose(made[1].flicker, change.mean(), rtol=1e-5) and made[1].seconds > 0


def test_the_temporal_weight_calms(film):
    """The more it weighs, the less a frame differs from the one before."""
    flickers = [
        np.mean([f.flicker for f in painted(film, f"out{w}", temporal_weight=w, next_steps=8, steps=8)[1:]])
        for w in (0, 300, 30000)
    ]
    assert flickers[0] > flickers[1] > flickers[2] and flickers[2] < 0.5


def test_each_frame_on_its_own(film, count):
    made = painted(film, flow="none")
    assert count == [(3,)] * 4
    for n, frame in enumerate(made):
        own = transfer(film / f"film/frame_{n + 8}.png", film / "style.png", progress=False, weights=WEIGHTS,
                       size=(32,), steps=3, **LAYERS)  # fmt: skip
        assert np.array_equal(Image.open(frame.path), own.image) and frame.flicker is None


def test_after_a_cut_a_frame_is_a_first_one(film, count):
    for n in (10, 11):
        images.save(images.to_uint8(picture(n, 24, 32)), film / f"film/frame_{n}.png")

    def cut(first, second):
        other = np.abs(first - second).max() > 0.9
        return np.random.default_rng(0).normal(size=(*first.shape[:2], 2)) * 40 if other else still(first, second)

    made = painted(film, flow=cut)
    own = transfer(film / "film/frame_10.png", film / "style.png", progress=False, weights=WEIGHTS, size=(32,),
                   steps=3, **LAYERS)  # fmt: skip
    assert np.array_equal(Image.open(made[2].path), own.image) and made[2].flicker is None
    assert count.count((3,)) >= 2


def test_several_sizes_are_for_the_first_frame(film, count):
    painted(film, size=(16, 32), steps=(2, 1), next_steps=2)
    assert count == [(2, 1), (2,), (2,), (2,)]
    assert size_of(film / "out/frame_11.png") == (32, 24)


def test_noise_is_for_the_first_frame(film):
    """Zero steps beside the one that must be: a start with noise would not be the frame before."""
    for n in (9, 10, 11):
        (film / f"film/frame_{n}.png").write_bytes((film / "film/frame_8.png").read_bytes())
    made = painted(film, flow=still, init="noise", init_noise=0.5, temporal_weight=1e6, next_steps=1)
    assert max(frame.flicker for frame in made[1:]) < 1


def test_style_targets_are_computed_once(film, monkeypatch):
    calls, real = [], painting.style_grams

    def counted(*arguments):
        calls.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(painting, "style_grams", counted)
    painted(film, size=(16, 32))
    assert len(calls) == 2, "one for each size"
    calls.clear()
    transfer_frames(film / "film", [film / "style.png", picture(5, 30, 30)], film / "two", **QUICK, flow=known)
    assert len(calls) == 1


def test_gram_cache():
    cache = painting.GramCache(most=2)
    a, b = picture(1, 16, 16), picture(2, 16, 16)
    network, part = small_vgg(widths=(4,), last="conv1_2"), np.linspace(0, 1, 256).reshape(16, 16)
    kept = cache(network, [a, b], ["conv1_1"])
    assert cache(network, [a, b], ["conv1_1"]) is kept
    others = [
        (network, [b, a], ["conv1_1"]),
        (network, [a], ["conv1_1"]),
        (network, [a, b], ["conv1_2"]),
        (network, [a, b], ["conv1_1"], [part, None]),
        (network, [a, b], ["conv1_1"], [None, part]),
        (small_vgg(widths=(5,), last="conv1_2"), [a, b], ["conv1_1"]),
    ]
    for other in others:
        found, expected = cache(*other), list(painting.style_grams(*other))
        for one, two in zip(found, expected, strict=True):
            assert one.keys() == two.keys()
            for l in one:
                assert np.array_equal(one[l][0], two[l][0]) and one[l][1] == two[l][1]
        assert len(cache) == 2
    assert cache(network, [a, b], ["conv1_1"]) is not kept


def test_terms_of_a_painting():
    """The function of terms gets each size; what they add is in the losses."""
    shapes = []

    class Red:
        name, layer = "red", None

        def __call__(self, x):
            gradient = np.zeros_like(x)
            gradient[..., 0] = -1
            return 5 - float(x[..., 0].sum()), gradient

    def terms(shape):
        shapes.append(shape)
        return [Red()]

    settings = Settings(weights=WEIGHTS, size=(16, 32), steps=3, **LAYERS)
    plain, red = (
        nst_numpy.paint(picture(1, 24, 32), picture(2, 30, 30), settings, progress=False, terms=t)
        for t in (None, terms)
    )
    assert shapes == [(12, 16, 3), (24, 32, 3)] and "red" in red.history[-1] and "red" not in plain.history[-1]
    assert red.image[..., 0].mean() > plain.image[..., 0].mean() + 20
    with pytest.raises(ValueError, match="a checkpoint cannot keep terms of your own"):
        nst_numpy.paint(picture(1, 24, 32), picture(2, 30, 30), settings, terms=terms, checkpoint="run.h5")


# Going on -------------------------------------------------------------------------------------------------------------


def test_a_second_run_paints_what_is_new(film, count):
    first = painted(film)
    assert count == [(3,), (2,), (2,), (2,)]
    before = contents(film / "out")
    assert painted(film) == first and len(count) == 4
    (film / "out/frame_9.png").unlink()
    painted(film)
    assert len(count) == 5 and contents(film / "out") == before, "the same picture, so that those after it stay"
    (film / "out/results/frame_10.json").write_text("{")
    painted(film)
    assert len(count) == 6
    Path(film / "out/frame_8.png").write_bytes((film / "out/frame_9.png").read_bytes())
    painted(film)
    assert len(count) == 7 and contents(film / "out") == before
    images.save(images.to_uint8(picture(9, 24, 32)), film / "film/frame_10.png")
    painted(film, flow=still)
    assert len(count) == 7 + 3, "another flow: all but the first"
    painted(film, flow=still, again=True)
    assert len(count) == 10 + 4


@pytest.mark.parametrize(
    ("change", "paintings"),
    [
        ({"seed": 1}, 4),
        ({"style_weight": 3}, 4),
        ({"weights": small_vgg(widths=(7, 8), last="conv2_1", dtype=np.float32)}, 4),
        ({"weights": small_vgg(widths=(6, 8), last="conv2_1", dtype=np.float32, pooling="max")}, 4),
        ({"convention": "paper", "temporal_weight": 300}, 4),
        ({"temporal_weight": 5}, 3),
        ({"next_steps": 1}, 3),
        ({"flow": still}, 3),
        ({"flow": "none"}, 3),
        ({"init": picture(3, 24, 32)}, 4),
        ({"fps": 10}, 0),
    ],
)
def test_all_that_a_picture_depends_on(film, count, change, paintings):
    painted(film)
    count.clear()
    painted(film, **change)
    assert len(count) == paintings


def test_another_init_style_frame_or_version(film, count, monkeypatch):
    painted(film, init=picture(3, 24, 32))
    count.clear()
    painted(film, init=picture(4, 24, 32))
    assert len(count) == 4
    images.save(images.to_uint8(picture(6, 24, 32)), film / "film/frame_10.png")
    count.clear()
    painted(film, init=picture(4, 24, 32))
    assert len(count) == 2, "it, and the one after it"
    painted(film)
    images.save(images.to_uint8(picture(7, 30, 30)), film / "style.png")
    count.clear()
    painted(film)
    assert len(count) == 4
    monkeypatch.setattr(nst_numpy, "__version__", "99")
    painted(film)
    assert len(count) == 8


@pytest.mark.parametrize("stop", range(1, 6))
def test_ctrl_c_keeps_the_frames_before(film, monkeypatch, count, stop):
    painted(film, "whole")
    whole = contents(film / "whole")
    calls, real = [], TemporalTerm.__call__

    def interrupted(self, x):
        calls.append(x)
        if len(calls) == stop:
            signal.raise_signal(signal.SIGINT)
        return real(self, x)

    count.clear()
    monkeypatch.setattr(TemporalTerm, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt), warnings.catch_warnings():
        warnings.simplefilter("error")
        painted(film)
    contents_of = contents(film / "out")
    assert 0 < len(contents_of) < 4 and contents_of.items() <= whole.items()
    left = len(count) - 1
    count.clear()
    painted(film)
    assert contents(film / "out") == whole and len(count) == 4 - left


def test_a_loss_that_is_not_finite(film, monkeypatch):
    monkeypatch.setattr(TemporalTerm, "__call__", lambda self, x: (float("nan"), x))
    with pytest.raises(ValueError, match="frame_9: "):
        painted(film)
    assert list(contents(film / "out")) == ["frame_8.png"]


def test_leftovers_of_a_killed_run_are_removed(film):
    for place in ("out", "out/results"):
        (film / place / ".nst_numpy_abc").mkdir(parents=True)
        (film / place / ".nst_numpy_abc/frame_8.png").write_text("part")
    painted(film)
    assert not list(film.glob("out/**/.nst_numpy_*"))


def test_killed_at_any_moment(film, request):
    if not request.config.getoption("--kills"):
        pytest.skip("killing a command takes a minute: give --kills, as .ci/run does")
    program = (
        "import sys, numpy as np\nfrom nst_numpy import transfer_frames\n"
        "def still(a, b): return np.zeros((*a.shape[:2], 2), np.float32)\n"
        "transfer_frames(*sys.argv[1:], size=(32,), steps=6, next_steps=4, flow=still, progress=False)\n"
    )
    command = [sys.executable, "-c", program, film / "film", film / "style.png"]
    environment = {**os.environ, "PYTHONPATH": str(Path(nst_numpy.__file__).parents[1])}
    began = time.monotonic()
    subprocess.run([*command, film / "whole"], check=True, env=environment)
    seconds, killed = time.monotonic() - began, 0
    for part in np.random.default_rng(0).uniform(0.5, 1, 12):
        process = subprocess.Popen([*command, film / "out"], env=environment)
        try:
            process.wait(part * seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            killed += 1
        done = contents(film / "out")
        assert done.items() <= contents(film / "whole").items()
        if len(done) == 4:
            for path in (film / "out").glob("**/*.*"):
                path.unlink()
    assert killed > 3
    subprocess.run([*command, film / "out"], check=True, env=environment)
    assert contents(film / "out") == contents(film / "whole")


# What is read ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["frame_10", "frame_2", "frame_1"], None),
        (["frame_10", "frame_9", "frame_11"], "frame_9 frame_10 frame_11"),
        (["b2 take 1", "b10 take 1", "a7"], "a7 b2 take 1 b10 take 1"),
        (["0020", "0030", "0010"], "0010 0020 0030"),
        (["10", "33", "67", "100"], "10 33 67 100"),
        (["1", "5", "17"], "1 5 17"),
        (["alone"], "alone"),
    ],
)
def test_order(tmp_path, names, expected):
    for name in names:
        images.save(np.zeros((2, 2, 3), np.uint8), tmp_path / f"{name}.png")
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "._5.png").write_text("of another system")
    if expected:
        assert " ".join(films.read(tmp_path).names) == expected
        return
    with pytest.raises(ValueError, match=r"the frame frame_3 is missing, between frame_2.png and frame_10.png"):
        images.save(np.zeros((2, 2, 3), np.uint8), tmp_path / "frame_11.png")
        films.read(tmp_path)


@pytest.mark.parametrize(
    ("numbers", "missing"),
    [("001 002 003 005", "004"), ("08 09 12", "10"), ("10 20 40 50", "30"), ("1 2 9 10 11", "3")],
)
def test_a_gap_is_named(tmp_path, numbers, missing):
    for number in numbers.split():
        images.save(np.zeros((2, 2, 3), np.uint8), tmp_path / f"shot {number} left.png")
    with pytest.raises(ValueError, match=f"the frame shot {missing} left is missing"):
        films.read(tmp_path)


def test_the_sizes_are_those_that_are_seen(tmp_path):
    """A photograph that is turned by its EXIF data has the size of what is seen."""
    Image.new("RGB", (6, 4)).save(tmp_path / "1.jpg")
    turned, exif = Image.new("RGB", (4, 6)), Image.Exif()
    exif[0x0112] = 6
    turned.save(tmp_path / "2.jpg", exif=exif)
    assert films.read(tmp_path).names == ["1", "2"]
    turned.save(tmp_path / "3.jpg")
    with pytest.raises(ValueError, match=r"one size: 1.jpg has 6×4 pixels, 3.jpg 4×6"):
        films.read(tmp_path)


def other_size(folder):
    images.save(images.to_uint8(picture(1, 20, 32)), folder / "film/frame_10.png")


BAD = {
    "no folder": (lambda f: None, {"film": "nowhere"}, "there is no folder or video"),
    "an empty folder": (lambda f: (f / "empty").mkdir(), {"film": "empty"}, "there are no images in the folder"),
    "sizes": (other_size, {}, "frames must have one size: frame_8.png has 32×24 pixels, frame_10.png 32×20"),
    "a gap": (lambda f: (f / "film/frame_9.png").unlink(), {}, None),
    "names": (lambda f: Image.new("RGB", (32, 24)).save(f / "film/frame_9.jpg"), {}, "two frames in .* frame_9"),
    "no image": (lambda f: (f / "film/frame_9.png").write_text("no"), {}, "frame_9.png: not an image"),
    "one image": (lambda f: None, {"film": "style.png"}, "style.png is one image: frames are a folder"),
    "no style": (lambda f: None, {"style": "style2.png"}, "there is no file .*style2.png"),
    "style inside": (lambda f: None, {"style": "film/frame_8.png"}, "is in the folder of the frames"),
    "output inside": (lambda f: None, {"output": "film/out"}, "is in that of the frames"),
    "output the same": (lambda f: None, {"output": "film"}, "is in that of the frames"),
    "output a file": (lambda f: (f / "out").write_text("x"), {}, "out is a file"),
    "another video": (lambda f: None, {"output": "out.avi"}, "to a folder, or as .mp4 or .gif, found .*out.avi"),
    "an image as output": (lambda f: None, {"output": "out.png"}, "to a folder, or as .mp4 or .gif"),
    "no such folder": (lambda f: None, {"output": "nowhere/out.gif"}, "does not exist"),
    "setting": (lambda f: None, {"stile_weight": 1}, "unknown setting 'stile_weight'; did you mean style_weight"),
    "steps": (lambda f: None, {"next_steps": 0}, "next_steps must be a whole number of at least 1, found 0"),
    "weight": (lambda f: None, {"temporal_weight": -1}, "temporal_weight must be a number of at least 0, found -1"),
    "weight's type": (lambda f: None, {"temporal_weight": "1"}, "temporal_weight must be a number"),
    "convention": (lambda f: None, {"convention": "paper"}, "the loss weights of paper have a scale of their own"),
    "flow": (lambda f: None, {"flow": "diss"}, "unknown flow 'diss'; did you mean dis"),
    "fps": (lambda f: None, {"fps": 0}, "fps must be a number from 0.1 to 1000, found 0"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_one_line_and_writes_nothing(film, name):
    prepare, given, words = BAD[name]
    prepare(film)
    given = {"film": "film", "style": "style.png", "output": "out", **given}
    before = sorted(film.rglob("*"))
    paths = [film / given.pop(key) for key in ("film", "style", "output")]
    if words is None:  # 8, 10, 11: a step of 1 and a gap
        words = "the frame frame_9 is missing, between frame_8.png and frame_10.png"
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=words) as error:
        transfer_frames(*paths, **{**QUICK, "flow": known, **given})
    assert "\n" not in str(error.value) and sorted(film.rglob("*")) == before


def test_pictures_of_others_are_not_overwritten(film):
    (film / "out").mkdir()
    photograph = images.png(images.to_uint8(picture(1, 24, 32)))
    (film / "out/frame_10.png").write_bytes(photograph)
    with pytest.raises(ValueError, match=r"frame_10.png exists, and was not painted by this library"):
        painted(film)
    assert (film / "out/frame_10.png").read_bytes() == photograph and len(list((film / "out").iterdir())) == 1


def test_without_opencv(film, monkeypatch):
    monkeypatch.setattr(frames, "find_spec", lambda name: None)
    with pytest.warns(RuntimeWarning, match="without OpenCV, each frame is painted on its own"):
        made = painted(film, flow=None)
    assert all(frame.flicker is None for frame in made)
    with pytest.raises(ValueError, match=r"the optical flow needs OpenCV: pip install 'nst_numpy\[video\]'"):
        painted(film, flow="dis")


@pytest.mark.parametrize("missing", ["av", "cv2"])
def test_what_is_not_installed_is_said(film, monkeypatch, missing):
    monkeypatch.setitem(sys.modules, missing, None)
    (film / "film.mp4").write_bytes(b"x")
    if missing == "av":
        for given in ({"frames": film / "film.mp4", "output": film / "o"}, {"output": film / "o.mp4"}):
            given = {"frames": film / "film", **given}
            with pytest.raises(ValueError, match=r"video files need PyAV: pip install 'nst_numpy\[video\]'"):
                transfer_frames(style=film / "style.png", **given, **QUICK)
    else:
        with pytest.raises(ValueError, match=r"optical flow needs OpenCV"):
            flow.dis(picture(1, 8, 8), picture(2, 8, 8))


def test_a_gif(film):
    painted(film, "painted.gif", fps=10)
    with Image.open(film / "painted.gif") as animation:
        assert animation.n_frames == 4 and animation.info["duration"] == 100 and animation.size == (32, 24)
    assert len(contents(film / "painted")) == 4


# The command ----------------------------------------------------------------------------------------------------------


def test_command(film, monkeypatch, capsys):
    monkeypatch.chdir(film)
    given = {}
    monkeypatch.setattr("nst_numpy.cli.frames.transfer_frames", lambda *a, **k: given.update(k, paths=a) or [])
    options = "--temporal-weight 7 --next-steps 5 --flow none --fps 12 --again --quiet --size 32, --seed 3 --threads 1"
    assert main(["frames", "film", "style.png", *options.split()]) == 0
    assert given.pop("weights").threads == 1
    assert given == {
        "paths": (Path("film"), ["style.png"], Path("film-style")),
        "temporal_weight": 7.0, "next_steps": 5, "flow": "none", "fps": 12.0, "again": True, "progress": False,
        "size": [32], "seed": 3,
    }  # fmt: skip
    assert main(["frames", "film", "style.png", "film"]) == 2
    assert "2 style images: give their weights, such as --style-blend 1,1" in capsys.readouterr().err


def test_command_paints(film, monkeypatch, capsys):
    monkeypatch.chdir(film)
    command = ["frames", "film", "style.png", "-o", "out", "--size", "32,", "--steps", "1"]
    assert main([*command, "--flow", "none"]) == 0
    assert capsys.readouterr().out == "wrote 4 frames to out\n"
    monkeypatch.setattr(frames, "find_spec", lambda name: None)
    assert main(command) == 0
    assert capsys.readouterr().err.startswith("nst-numpy: warning: without OpenCV, each frame is painted on its own")
    assert main(["frames", "nowhere", "style.png"]) == 2
    assert capsys.readouterr().err == "nst-numpy: error: there is no folder or video nowhere\n"

    def interrupted(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("nst_numpy.cli.frames.transfer_frames", interrupted)
    assert main(command) == 130
    assert capsys.readouterr().err == "nst-numpy: interrupted; the same command goes on where it stopped\n"


def test_command_says_the_flicker(film, monkeypatch, capsys):
    made = [frames.Frame(film, {}, value, 1.0) for value in (None, 2.0, float("nan"), 3.0)]
    monkeypatch.setattr("nst_numpy.cli.frames.transfer_frames", lambda *a, **k: made)
    assert main(["frames", str(film / "film"), "style.png", "-o", "out"]) == 0
    assert capsys.readouterr().out == "wrote 4 frames to out; flicker 2.5 of 255\n"
