"""Checkpoints: what goes on from one ends in the same bits; the file is whole at any moment; others are refused."""

import dataclasses
import errno
import itertools
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import warnings
import weakref

import h5py
import numpy as np
import pytest
from drawing import picture, small_disk, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from nst_numpy import (
    checkpoints,
    conventions,
    images,
    minimize,
    optimize,
    reconstruct,
    run,
    save_weights,
    texture,
    transfer,
)
from nst_numpy.checkpoints import Checkpoint, Saved
from nst_numpy.run import Position, Stage

CONTENT, STYLE, OTHER = picture(1, 48, 36), picture(2, 40, 50), picture(3, 44, 44)
SMALL = small_vgg(dtype=np.float32)
METHODS = list(optimize.METHODS)


class Killed(BaseException):
    """Nothing in the library catches it."""


# The optimisers -------------------------------------------------------------------------------------------------------


def valley(x):
    """Curved (Rosenbrock 1960), in any dtype; its minimum is outside of the bounds below."""
    x = x.astype(np.float64)
    d = x[1:] - x[:-1] ** 2
    g = np.zeros_like(x)
    g[1:] += 200 * d
    g[:-1] -= 400 * d * x[:-1] + 2 * (1 - x[:-1])
    return float(np.sum(100 * d**2 + (1 - x[:-1]) ** 2)), g, {"total": float(x[0])}


def cliff(x):
    """NaN beyond 0.3: trials fail, and Adam ends there."""
    return (np.nan, x) if x[0] < 0.3 else (float(np.sum(x**2)), 2 * x)


def plain(result):
    return [
        part.tolist() if isinstance(part, np.ndarray) else part
        for part in (result.x, result.fun, result.jac, result.nit, result.nfev, result.status, result.message)
    ]


def minimized(function, state=None, **keywords):
    """The result, what the callback saw, and the states."""
    seen, states = [], []

    def callback(now):
        seen.append(plain(now))
        states.append(now.state)

    x0 = np.array([-1.2, 1.0, 0.7], np.float32 if keywords.pop("single", False) else np.float64)
    with np.errstate(all="ignore"):
        result = minimize(function, abs(x0) if function is cliff else x0, state=state, callback=callback, **keywords)
    assert result.state is None
    return plain(result), seen, states


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("bounds", [None, (-1.5, 0.9)])
def test_every_method_goes_on_from_every_iteration(method, single, bounds, tmp_path):
    keywords = {"method": method, "single": single, "bounds": bounds, "maxiter": 25, "gtol": 0, "ftol": 0}
    whole, seen, states = minimized(valley, **keywords)
    assert len(states) > 20 or method == "lbfgs"
    file = Checkpoint(tmp_path / "run.h5", 0)
    for k, state in enumerate(states):
        file.save(Saved(Position(0, 0, state), [{"total": 0.0}]))
        for same in (state, file.read().at.state):  # from memory, and from the file
            again, rest, _ = minimized(valley, same, **keywords)
            assert again == whole and rest == seen[k + 1 :], k


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("function", [valley, cliff])
def test_it_ends_for_the_same_reason(method, function):
    """Also from the last state of all, where the reason lies in the iteration before."""
    for limits in ({}, {"gtol": 1.0}, {"ftol": 1e-2}, {"maxiter": 5}, {"maxiter": 0}):
        whole, _, states = minimized(function, method=method, **{"maxiter": 300, **limits})
        for state in (states[0], states[-1], states[len(states) // 2]):
            assert minimized(function, state, method=method, **{"maxiter": 300, **limits})[0] == whole


@given(st.sampled_from(METHODS), st.lists(st.integers(1, 12), max_size=5), st.integers(0, 2**32 - 1))
@settings(max_examples=40)
def test_stopped_again_and_again(method, stops, seed):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((6, 6))

    def function(x):
        return float(np.sum((A @ x - 1) ** 2) + np.sum(np.cos(3 * x))), 2 * A.T @ (A @ x - 1) - 3 * np.sin(3 * x)

    x0, keywords = rng.random(6), {"bounds": (0, 0.8), "maxiter": 30, "gtol": 0, "ftol": 0}
    whole = minimize(function, x0, method, **keywords)
    state = None
    for stop in stops:
        found = []

        def callback(now, found=found, stop=stop):
            found.append(now.state)
            if len(found) == stop:
                raise StopIteration

        minimize(function, x0, method, callback=callback, state=state, **keywords)
        state = found[-1] if found else state
    assert plain(minimize(function, x0, method, state=state, **keywords)) == plain(whole)


def test_states_that_do_not_fit_are_refused():
    states = []
    minimize(valley, np.ones(3), callback=lambda now: states.append(now.state), maxiter=1)
    for x0, method, message in (
        (np.ones(3), "adam", "the state is of method lbfgs, this call of method adam"),
        (np.ones(4), "lbfgs", r"the state is of shape \(3,\), this call of shape \(4,\)"),
        (np.ones(3, np.float32), "lbfgs", "the state is of type float64, this call of type float32"),
    ):
        with pytest.raises(ValueError, match=message):
            minimize(valley, x0, method, state=states[0])
    with pytest.raises(TypeError, match=r"state must be a State or None, found \{\}"):
        minimize(valley, np.ones(3), state={})


def test_a_state_is_not_changed_by_what_follows():
    states = []
    note = lambda now: states.append((now.state, len(now.state.carry or ())))  # noqa: E731
    minimize(valley, np.zeros(3), callback=note, maxiter=30)
    assert all(len(state.carry or ()) == n for state, n in states) and states[-1][1] == 10


# The run --------------------------------------------------------------------------------------------------------------


def stages(*steps):
    """A valley at several sizes."""
    return [Stage(valley, (n + 3,), number) for n, number in enumerate(steps)]


def run_from(position, method, *steps):
    seen, positions = [], []
    outcome = run.run(
        stages(*steps)[position.stage if position else 0 :],
        np.array([-1.2, 1.0, 0.7]),
        lambda x, shape: np.resize(x, shape),
        lambda step, x, losses: seen.append((step, x.tolist(), losses)),
        method,
        position=position,
        save=lambda position: positions.append((position, len(seen))),
    )
    return (outcome.x.tolist(), outcome.steps, outcome.message, outcome.complete), seen, positions


@pytest.mark.parametrize("method", METHODS)
def test_a_run_goes_on_in_any_stage(method):
    whole, seen, positions = run_from(None, method, 4, 1, 0, 3)
    # The last step of a stage is left out: the next one begins with it. One of no steps has no position.
    expected = [(0, 0), (0, 1), (0, 2), (0, 3), (1, 4), (3, 5), (3, 6), (3, 7)]
    assert [(position.stage, position.steps) for position, _ in positions] == expected
    for position, recorded in positions:
        again, rest, _ = run_from(position, method, 4, 1, 0, 3)
        assert again == whole and rest == seen[recorded:]


@pytest.mark.parametrize("moment", ["stages", "record"])
def test_ctrl_c_after_going_on_keeps_the_best_point(moment):
    """Adam's steps of 0.5 overshoot: the best point is not the last."""
    _, _, positions = run_from(None, "adam", 30)

    def interrupted(*_):
        raise KeyboardInterrupt
        yield

    def record(*_):
        raise KeyboardInterrupt

    position = positions[20][0]
    best = position.state.best
    outcome = run.run(
        interrupted() if moment == "stages" else stages(30), None, None, record, "adam", position=position
    )
    value = valley(outcome.x)[0]
    assert not outcome.complete and outcome.steps in (20, 21) and value <= best.value


def test_what_is_gone_on_from_is_freed():
    """The arrays of a state are held no longer than the optimiser needs them."""
    _, _, positions = run_from(None, "momentum", 30)
    position = positions[5][0]
    positions.clear()
    alive, old = [], weakref.ref(position.state.carry[2])

    def record(*_):
        alive.append(old() is not None)

    run.run(stages(30), None, None, record, "momentum", position=position)
    assert not alive[-1]


# Paintings ------------------------------------------------------------------------------------------------------------


def equal(a, b):
    return (
        np.array_equal(a.image, b.image)
        and repr(a.history) == repr(b.history)
        and (a.message, a.complete) == (b.message, b.complete)
        and len(a.frames) == len(b.frames)
        and all(np.array_equal(*pair) for pair in zip(a.frames, b.frames, strict=True))
    )


def painted(function, *arguments, stop=None, **keywords):
    """A painting; with `stop`, killed when the callback is called for that time."""
    calls = itertools.count(1)

    def callback(step, image, losses):
        seen.append((step, losses["size"], image.tobytes()))
        if next(calls) == stop:
            raise Killed

    seen = []
    try:
        return function(*arguments, progress=False, callback=callback, **keywords), seen
    except Killed:
        return None, seen


@pytest.mark.parametrize(
    "keywords",
    [
        *({"optimizer": method} for method in METHODS),
        {"init": "noise", "seed": 3, "keep_colors": "luminance"},
        {"convention": "neural-style", "content_weight": 1e-3, "style_weight": 1e-3},  # pixels beyond 0–1
        {"weights": small_vgg(), "keep_colors": "statistics", "init": OTHER},  # float64
        {"weights": small_vgg(padding="circular"), "size": (32, 48)},
    ],
)
def test_a_killed_painting_goes_on_bit_for_bit(keywords, tmp_path):
    keywords = {"weights": SMALL, "size": (24, 40), "steps": (3, 4), "every": 2, **keywords}
    whole, shown = painted(transfer, CONTENT, STYLE, **keywords)
    path = tmp_path / "run.h5"
    for stop in (1, 3, 5, 6, 9) if "optimizer" in keywords else (6,):  # before, at, and after the next size
        path.unlink(missing_ok=True)
        kept = {**keywords, "checkpoint": path, "checkpoint_every": 0}
        nothing, before = painted(transfer, CONTENT, STYLE, **kept, stop=stop)
        assert nothing is None and before == shown[:stop]
        result, after = painted(transfer, CONTENT, STYLE, **kept)
        assert equal(result, whole) and shown[: len(shown) - len(after)] + after == shown
        assert len(after) >= len(shown) - stop
        again, nothing = painted(transfer, CONTENT, STYLE, **kept)  # it is finished
        assert equal(again, whole) and nothing == []


def test_texture_and_reconstruction_too(tmp_path):
    for name, arguments in ((texture, [STYLE]), (reconstruct, [CONTENT, "conv2_1"])):
        keywords = {"weights": SMALL, "size": (40,), "steps": 6}
        whole, _ = painted(name, *arguments, **keywords)
        keywords.update(checkpoint=tmp_path / f"{name.__name__}.h5", checkpoint_every=0)
        painted(name, *arguments, **keywords, stop=4)
        result, seen = painted(name, *arguments, **keywords)
        assert equal(result, whole) and [step for step, *_ in seen] == [3, 4, 5, 6]
        with pytest.raises(ValueError, match=f"with another {'style' if name is texture else 'content'} image"):
            painted(name, OTHER, *arguments[1:], **keywords)


def test_a_stage_that_the_callback_ends(tmp_path):
    def callback(step, image, losses):
        if losses["size"] == 24 and step == 2:
            raise StopIteration
        if step == kill:
            raise Killed

    keywords = {"weights": SMALL, "size": (24, 40), "steps": (5, 4), "progress": False, "callback": callback}
    kill = None
    whole = transfer(CONTENT, STYLE, **keywords)
    assert len(whole.history) == 3 + 5
    for kill in (1, 3, 5):
        path = tmp_path / f"{kill}.h5"
        for end in (pytest.raises(Killed), warnings.catch_warnings()):
            with end:
                result = transfer(CONTENT, STYLE, **keywords, checkpoint=path, checkpoint_every=0)
            kill = None
        assert equal(result, whole)


def test_the_interval(tmp_path, monkeypatch):
    """Of steps with a second each, the first after two or more is written; what is finished, too."""
    now, written = [0.0], []
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(checkpoints, "write", lambda path, arrays: written.append(arrays))

    def clock(step, image, losses):
        now[0] = 10.0 + step
        if step == stop:
            raise Killed

    keywords = {"weights": SMALL, "size": (24,), "steps": 8, "checkpoint": tmp_path / "r.h5", "progress": False}
    stop = None
    transfer(CONTENT, STYLE, **keywords, callback=clock, checkpoint_every=2)
    assert [int(a["running/state/nit"]) for a in written[:-1]] == [0, 2, 4, 6]
    assert written[-1]["finished/steps"] == 8
    written.clear()
    now[0], stop = 10.0, 6
    with pytest.raises(Killed):
        transfer(CONTENT, STYLE, **keywords, callback=clock, checkpoint_every=1000.0)
    assert [int(a["running/state/nit"]) for a in written] == [5]  # left by the error


def test_without_a_checkpoint_nothing_is_written(monkeypatch):
    monkeypatch.setattr("nst_numpy.painting.Checkpoint", None)
    painted(transfer, CONTENT, STYLE, weights=SMALL, size=(24,), steps=2)


@pytest.mark.parametrize("threads", [1, 2])
def test_any_number_of_threads(threads, tmp_path):
    """A run begun with one number goes on with the other; the wide network makes threads work."""
    network = small_vgg(widths=(32, 32, 32, 8, 8), dtype=np.float32)
    one, two = (dataclasses.replace(network, threads=n) for n in (threads, 3 - threads))
    keywords = {"size": (96,), "steps": 5}
    whole, _ = painted(transfer, CONTENT, STYLE, weights=one, **keywords)
    keywords.update(checkpoint=tmp_path / "run.h5", checkpoint_every=0)
    painted(transfer, CONTENT, STYLE, weights=one, **keywords, stop=4)
    result, seen = painted(transfer, CONTENT, STYLE, weights=two, **keywords)
    assert equal(result, whole) and len(seen) == 3


def test_ctrl_c_leaves_a_checkpoint(tmp_path):
    """With the last step, though the interval has not passed; and the picture as without."""
    keywords = {"weights": SMALL, "size": (24, 40), "steps": 5, "progress": False}
    whole = transfer(CONTENT, STYLE, **keywords)
    for moment in (1, 4, 6, 9):
        path, results, seen = tmp_path / f"{moment}.h5", [], []

        def callback(step, image, losses, moment=moment):
            if step == moment:
                raise KeyboardInterrupt

        for where in ({}, {"checkpoint": path}):
            with pytest.warns(RuntimeWarning, match="interrupted; this is the best picture"):
                results.append(transfer(CONTENT, STYLE, **keywords, **where, callback=callback))
        assert equal(*results)
        callback = lambda step, *_, seen=seen: seen.append(step)  # noqa: E731
        result = transfer(CONTENT, STYLE, **keywords, checkpoint=path, callback=callback)
        assert equal(result, whole) and seen[0] == moment


def test_progress_says_where_it_goes_on(tmp_path, capfd):
    keywords = {"weights": SMALL, "size": (24,), "steps": 4, "checkpoint": tmp_path / "run.h5", "checkpoint_every": 0}
    painted(transfer, CONTENT, STYLE, **keywords, stop=3)
    transfer(CONTENT, STYLE, **keywords)
    error = capfd.readouterr().err
    assert "run.h5: going on after step 1 of 4\n" in error and " 25%" in error and " 0%" not in error
    transfer(CONTENT, STYLE, **keywords)
    error = capfd.readouterr().err
    assert error.endswith("run.h5: finished after step 4 of 4\n")


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A checkpoint in the middle of a run."""
    path = tmp_path_factory.mktemp("begun") / "run.h5"
    painted(transfer, CONTENT, [STYLE, OTHER], **KEPT, checkpoint=path, checkpoint_every=0, stop=3)
    return path


KEPT = {"weights": SMALL, "size": (24, 40), "steps": (3, 4), "init": OTHER}
NAMELESS = dataclasses.replace(conventions.get("nst_numpy"), noise=0.1)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"style_weight": 200}, "with style_weight 100, now it is 200; go on with the same, or name another file"),
        ({"size": (24, 36)}, "with size 24, 40, now it is 24, 36"),
        ({"steps": 3, "seed": 1}, "with steps 3, 4, now it is 3 and with seed 0, now it is 1"),
        ({"tv_weight": 0.25, "init_noise": 0.5}, "tv_weight 20, now it is 0.25 and with init_noise 0, now it is 0.5"),
        ({"content_weight": 1 / 3}, "with content_weight 1, now it is 0.3333333333333333"),
        ({"style_layers": ["conv1_1"]}, "with style_layers null, now it is \"conv1_1\""),
        ({"style_blend": [2, 1]}, "with style_blend null, now it is 2, 1"),
        ({"style_scale": 0.5}, "with style_scale 1, now it is 0.5"),
        ({"keep_colors": "luminance"}, "with keep_colors null, now it is \"luminance\""),
        ({"optimizer": "adam"}, "with optimizer \"lbfgs\", now it is \"adam\""),
        ({"optimizer_options": {"memory": 5}}, 'with optimizer_options {}, now it is {"memory": 5}'),
        ({"init": "content"}, 'with init "an image", now it is "content"'),
        ({"every": 5}, "with every 0, now it is 5"),
        ({"convention": "keras", "tv_weight": 20.0}, 'with convention "nst_numpy", now it is "keras"'),
        ({"convention": NAMELESS}, "with another convention"),
        ({"weights": small_vgg(dtype=np.float32, pooling="max")}, 'with pooling "average", now it is "max"'),
        ({"weights": small_vgg(dtype=np.float32, padding="replicate")}, 'padding "zero", now it is "replicate"'),
        ({"weights": small_vgg(dtype=np.float32, backend="plain")}, 'with backend "fast", now it is "plain"'),
        ({"weights": small_vgg()}, 'with dtype "float32", now it is "float64"'),
        ({"weights": small_vgg(dtype=np.float32, bias=0.1)}, "with another network"),
        ({"content": OTHER}, "with another content image"),
        ({"content": OTHER, "keep_colors": None}, "with another content image"),
        ({"style": [OTHER, STYLE]}, "with another style image"),
        ({"style": [STYLE]}, "with another style image"),
        ({"init": STYLE}, "with another start image"),
    ],
)  # fmt: skip
def test_other_settings_and_inputs_are_named(changes, message, begun):
    before = begun.read_bytes()
    keywords = {"content": CONTENT, "style": [STYLE, OTHER], **KEPT, **changes, "checkpoint": begun}
    with pytest.raises(ValueError) as error:
        painted(transfer, keywords.pop("content"), keywords.pop("style"), **keywords)
    assert message in str(error.value) and str(error.value).startswith(f"cannot go on from {begun}: the checkpoint was")
    assert begun.read_bytes() == before and "\n" not in str(error.value)


def test_a_changed_photograph_is_named_before_the_style_that_has_its_colors(tmp_path):
    keywords = {**KEPT, "keep_colors": "statistics", "checkpoint": tmp_path / "run.h5", "checkpoint_every": 0}
    painted(transfer, CONTENT, STYLE, **keywords, stop=2)
    with pytest.raises(ValueError, match="with another content image; go on"):
        painted(transfer, OTHER, STYLE, **keywords)


def test_other_masks_are_named(tmp_path):
    left, right = np.zeros((48, 36)), np.zeros((40, 50))
    left[:, :18] = right[:20] = 1
    masked = {"content_masks": [left], "style_masks": [right], "content_mask": left}
    keywords = {**KEPT, "checkpoint": tmp_path / "run.h5", "checkpoint_every": 0}
    painted(transfer, CONTENT, STYLE, **keywords, **masked, stop=6)
    for name, mask, what in (
        ("content_masks", [1 - left], "mask of a region"),
        ("content_masks", None, "mask of a region"),
        ("style_masks", [1 - right], "mask of a style image"),
        ("content_mask", None, "content mask"),
    ):
        with pytest.raises(ValueError, match=f"with another {what}; go on with the same"):
            painted(transfer, CONTENT, STYLE, **keywords, **{**masked, name: mask})
    result, _ = painted(transfer, CONTENT, STYLE, **keywords, **masked)
    assert equal(result, painted(transfer, CONTENT, STYLE, **KEPT, **masked)[0])


def test_a_library_of_another_version_is_named(begun, monkeypatch):
    monkeypatch.setattr("nst_numpy.__version__", "9.9")
    with pytest.raises(ValueError, match=r'with nst_numpy "0.1.0", now it is "9.9"'):
        painted(transfer, CONTENT, [STYLE, OTHER], **KEPT, checkpoint=begun)


def test_the_same_inputs_from_elsewhere_are_the_same(begun, tmp_path):
    """The names of files do not matter, nor do number of threads and interval."""
    path = shutil.copy(begun, tmp_path)
    images.save(images.to_uint8(CONTENT), tmp_path / "content.png")
    again = dataclasses.replace(SMALL, name="other", threads=1)
    keywords = {**KEPT, "weights": again, "style_weight": 100.0, "optimizer": "lbfgs", "size": [24, 40]}
    result, _ = painted(transfer, CONTENT.copy(), [STYLE, OTHER], **keywords, checkpoint=path, checkpoint_every=5)
    assert equal(result, painted(transfer, CONTENT, [STYLE, OTHER], **KEPT)[0])


def test_damaged_files_are_refused_and_stay(begun, tmp_path):
    whole, path = begun.read_bytes(), tmp_path / "run.h5"
    rng = np.random.default_rng(0)
    cut = [whole[:n] for n in (0, 1, 8, 100, 2000, len(whole) // 2, len(whole) - 1)]
    junk = [b"no checkpoint at all", rng.bytes(5000), whole[:3000] + rng.bytes(len(whole) - 3000), whole + b"0"]
    places = [5, 21, 23, 40, *range(600, len(whole), len(whole) // 40)]
    flipped = [whole[:n] + bytes([whole[n] ^ 1]) + whole[n + 1 :] for n in places]
    for damaged in (*cut, *junk, *flipped):
        path.write_bytes(damaged)
        with pytest.raises(ValueError) as error:
            painted(transfer, CONTENT, [STYLE, OTHER], **KEPT, checkpoint=path)
        assert re.fullmatch(
            f"the checkpoint {path} is damaged or cut short; delete it to begin anew"
            f"|{path} is not a checkpoint, but some other file; name another one, or delete it"
            f"|the checkpoint {path} has the format '0', this library reads 1; go on with the library that wrote it, "
            "or name another file",
            str(error.value),
        )
        assert path.read_bytes() == damaged


def test_other_files_and_formats_are_refused(begun, tmp_path):
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        file["x"] = 1
    with pytest.raises(ValueError, match=r"run.h5 is not a checkpoint, but some other file; name another one"):
        painted(transfer, CONTENT, STYLE, **KEPT, checkpoint=path)
    path.write_bytes(begun.read_bytes().replace(b"nst_numpy checkpoint 1 ", b"nst_numpy checkpoint 2 "))
    with pytest.raises(ValueError, match=r"the checkpoint .*run.h5 has the format '2', this library reads 1; go on"):
        painted(transfer, CONTENT, STYLE, **KEPT, checkpoint=path)
    (tmp_path / "folder.h5").mkdir()
    for name, message in (
        ("run.png", r"the suffix must be one of .h5, .hdf5, found '.png'"),
        ("nowhere/run.h5", "the folder .*nowhere does not exist"),
        ("folder.h5", "it is a folder"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            painted(transfer, CONTENT, STYLE, **KEPT, checkpoint=tmp_path / name)
    for every, kind in ((-1, ValueError), ("often", TypeError), (float("nan"), ValueError)):
        with pytest.raises(kind, match="checkpoint_every must be a number of at least 0"):
            painted(transfer, CONTENT, STYLE, **KEPT, checkpoint=tmp_path / "new.h5", checkpoint_every=every)
    with h5py.File(begun) as file:  # HDF5's tools read it, too
        assert file["running/state/point/x"].dtype == np.float32


# The file is whole whenever one looks ---------------------------------------------------------------------------------

ARRAYS = [{"a": np.arange(n, dtype=np.float32), "g/1": np.full((3, 2), n), "b": np.array(b"x")} for n in (2000, 3000)]


def holds(path):
    return next(n for n, arrays in enumerate(ARRAYS) if np.array_equal(checkpoints.read(path)["a"], arrays["a"]))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # of threads, which the child does not use
def test_killed_at_every_line_of_writing(tmp_path, request):
    """A real kill, in a copy of this process; nothing that was there is lost. Without --kills at every third line."""
    path, found = tmp_path / "run.h5", []
    every = 1 if request.config.getoption("--kills") else 3
    checkpoints.write(path, ARRAYS[0])
    for moment in itertools.count(1, every):
        for left in sorted(tmp_path.glob(".nst_numpy_*"))[1:]:  # writing looks at each: more lines, the more there are
            shutil.rmtree(left)
        child = os.fork()
        if child == 0:
            lines = itertools.count(1)

            def trace(frame, event, argument, lines=lines, moment=moment):
                if not frame.f_code.co_filename.endswith(("checkpoints.py", "images.py", "tempfile.py")):
                    return None
                if event == "line" and next(lines) == moment:
                    os.kill(os.getpid(), signal.SIGKILL)
                return trace

            sys.settrace(trace)
            checkpoints.write(path, ARRAYS[1])
            os._exit(0)
        _, status = os.waitpid(child, 0)
        found.append(holds(path))
        if os.WIFEXITED(status):
            break
    assert os.WEXITSTATUS(status) == 0
    assert (
        found == sorted(found) and found.count(0) > 50 / every and found.count(1) > 2 / every
    )  # once the new one is there, it stays
    Checkpoint(path, 0)
    left = [file for file in tmp_path.rglob("*") if file.is_file() and file != path]
    assert left == []  # what was being written is removed when the next run begins


def test_a_checkpoint_that_cannot_be_written_is_warned_of_once(tmp_path, monkeypatch):
    keywords = {"weights": SMALL, "size": (24,), "steps": 6}
    whole, _ = painted(transfer, CONTENT, STYLE, **keywords)
    path = tmp_path / "run.h5"
    keywords.update(checkpoint=path, checkpoint_every=0)

    def fails(*arguments, **keywords):
        raise OSError(number, os.strerror(number))

    for call, number in (("replace", errno.EIO), ("fsync", errno.ENOSPC), ("mkdir", errno.EDQUOT)):
        path.unlink(missing_ok=True)
        painted(transfer, CONTENT, STYLE, **keywords, stop=3)
        before = path.read_bytes()
        with monkeypatch.context() as patched, warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            patched.setattr(os, call, fails)
            result, _ = painted(transfer, CONTENT, STYLE, **keywords)
        assert equal(result, whole) and path.read_bytes() == before
        assert [str(w.message) for w in said] == [
            f"cannot write the checkpoint {path}: {os.strerror(number)}; the file is as it was, and the run goes on"
        ]
        assert os.listdir(tmp_path) == ["run.h5"]
        assert equal(painted(transfer, CONTENT, STYLE, **keywords)[0], whole)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX can limit the size of files")
def test_wherever_the_disk_is_full(tmp_path):
    """The kernel takes a part of a write and refuses the rest; HDF5 is not told, as it can crash."""
    import resource

    path = tmp_path / "run.h5"
    checkpoints.write(path, ARRAYS[1])
    size = path.stat().st_size
    checkpoints.write(path, ARRAYS[0])
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for room in range(0, size, 501):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
        try:
            with pytest.raises(OSError) as error:
                checkpoints.write(path, ARRAYS[1])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert error.value.errno == errno.EFBIG and path.read_bytes() == before and os.listdir(tmp_path) == ["run.h5"]
    checkpoints.write(path, ARRAYS[1])
    assert holds(path) == 1


@pytest.fixture
def tiny_disk(tmp_path):
    with small_disk(tmp_path / "disk", "200k") as disk:
        yield disk


def test_a_disk_that_fills_up_on_the_way(tiny_disk):
    """The pairs of L-BFGS fill it."""
    keywords = {"weights": SMALL, "size": (40,), "steps": 8}
    whole, _ = painted(transfer, CONTENT, STYLE, **keywords)
    keywords.update(checkpoint=tiny_disk / "run.h5", checkpoint_every=0)
    with pytest.warns(RuntimeWarning, match=r"run.h5: No space left on device; the file is as it was, and the run"):
        result, _ = painted(transfer, CONTENT, STYLE, **keywords)
    assert equal(result, whole) and checkpoints.read(tiny_disk / "run.h5")
    assert equal(painted(transfer, CONTENT, STYLE, **keywords)[0], whole)


# kill -9 --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """A real command with two sizes, in a folder of its own; and the bytes of its picture and its losses."""
    folder = tmp_path_factory.mktemp("command")
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).save(folder / name)
    ones = {layer: np.ones(len(bias)) for layer, (_, bias) in SMALL.convolutions.items()}  # saves measuring them
    save_weights(folder / "small.h5", SMALL, source="test", licence="none", mean_responses=ones)
    words = "transfer content.png style.jpg --weights small.h5 --size 32,48 --steps 25 --quiet --losses losses.csv -o"
    for _ in range(2):  # the first may compile
        begin = time.monotonic()
        subprocess.run([*NST, *words.split(), "whole.png"], cwd=folder, check=True, capture_output=True)
        seconds = time.monotonic() - begin
    expected = (folder / "whole.png").read_bytes(), (folder / "losses.csv").read_bytes()
    return (
        folder,
        [*NST, *words.split(), "out.png", "--checkpoint", "run.h5", "--checkpoint-every", "0"],
        expected,
        seconds,
    )


NST = [sys.executable, "-m", "nst_numpy"]


def kills(command, moments):
    """Run the command, kill it after each of the moments (shares of its duration), start it again until it is done.

    Returns how often a run was killed on its way, and how often one went on from a checkpoint to its end.
    """
    folder, words, expected, seconds = command
    checkpoint, killed, moments = folder / "run.h5", 0, [share * seconds for share in moments]
    finished = 0
    while moments or checkpoint.exists():
        process = subprocess.Popen(words, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        try:
            out, error = process.communicate(timeout=moments.pop() if moments else 60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
            if checkpoint.exists():
                checkpoints.read(checkpoint)  # whole
            continue
        assert process.returncode == 0 and (out, error) == (b"wrote out.png, losses.csv\n", b"")
        assert ((folder / "out.png").read_bytes(), (folder / "losses.csv").read_bytes()) == expected
        checkpoint.unlink()
        finished += 1
    return killed, finished


@pytest.mark.usefixtures("asked_for_kills")
def test_killed_a_few_times(command):
    """In start-up, and later."""
    assert kills(command, [0.95, 0.8, 0.2])[1] >= 1


@pytest.mark.usefixtures("asked_for_kills")
@pytest.mark.parametrize("number, times", [(signal.SIGTERM, 1), (signal.SIGINT, 2)])
def test_a_signal_leaves_a_checkpoint_and_the_picture(command, number, times):
    """Though no checkpoint was due."""
    folder, words, *_ = command
    long = [*words[:-1], "1000", "--every", "1"]
    hear = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)} if os.name == "posix" else {}
    process = subprocess.Popen(long, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **hear)
    while not (folder / "out_0003.png").exists():
        assert process.poll() is None
    for _ in range(times):
        process.send_signal(number)
        time.sleep(0.01)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 128 + number and out.startswith(b"wrote out.png") and b"best picture so far" in error
    assert checkpoints.read(folder / "run.h5")["running/stage"] >= 0
    assert kills(command, []) == (0, 1)
    for path in folder.glob("out*"):
        path.unlink()


@pytest.fixture
def asked_for_kills(request):
    if not request.config.getoption("--kills"):
        pytest.skip("killing a command takes a minute: give --kills, as .ci/run does")


@pytest.mark.usefixtures("asked_for_kills")
def test_killed_at_forty_drawn_moments(command):
    rng = np.random.default_rng(14)
    killed, finished = kills(command, rng.uniform(0.3, 1.0, 40))
    print(f"killed {killed} times of 40; {finished} runs finished, all with the same bytes")
    assert killed >= 20
