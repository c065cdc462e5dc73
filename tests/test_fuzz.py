"""A sample of hostile inputs, and what many of them found; `make fuzz` tries more."""

import subprocess
from unittest import mock

import fuzzing
import numpy as np
import pytest
from drawing import picture, small_vgg
from PIL import Image

from nst_numpy import (
    VGG,
    Objective,
    checkpoints,
    cli,
    exercises,
    images,
    jobs,
    plots,
    records,
    samples,
    sweep,
    trace,
    transfer,
    weights,
)
from nst_numpy.inspection import receptive
from nst_numpy.repainting import to_toml

SAMPLE = {"arguments": 6, "images": 60, "weights, HDF5": 4, "checkpoints": 3, "TOML": 3}


@pytest.mark.skipif(fuzzing.resource is None, reason="the operating system has no limits of memory")
def test_a_sample_works_or_ends_in_a_clear_error():
    inputs = [(kind, number) for kind, count in SAMPLE.items() for number in range(count)]
    answers = list(fuzzing.tried(inputs))
    assert len(answers) == len(inputs)
    assert [answer for answer in answers if answer[2] == "fails"] == []
    assert {answer[2] for answer in answers} == {"works", "error"}


def test_what_fails_is_seen(tmp_path):
    def judged(call):
        try:
            call()
        except Exception as error:
            return fuzzing.problem(error)

    assert judged(lambda: 1 / 0) == "a ZeroDivisionError"
    assert judged(lambda: int("x")) == "raised in test_fuzz.py"
    assert judged(lambda: images.load(tmp_path / "none.png")) == ""
    assert judged(lambda: images.srgb.__wrapped__(1)).startswith("raised in")
    assert fuzzing.unclear("two\nlines") and fuzzing.unclear("") and not fuzzing.unclear("one line")


def test_a_sound_file_that_holds_no_checkpoint(tmp_path):
    """Its checksum is right, but what it vouches for is something else."""
    checkpoints.write(tmp_path / "a.h5", {"settings": np.bytes_(b"1"), "x": np.zeros(3)})
    with pytest.raises(ValueError, match=r"a.h5 does not hold what a checkpoint does; delete it to begin anew$"):
        transfer(IMAGE, IMAGE, weights=NETWORK, size=(8,), steps=0, progress=False, checkpoint=tmp_path / "a.h5")


def test_a_file_at_which_scipy_crashes(monkeypatch, tmp_path):
    (tmp_path / "a.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(128))
    crash = "import os; os.abort()"
    monkeypatch.setattr("subprocess.run", lambda words, run=subprocess.run, **k: run([*words[:3], crash], **k))
    with pytest.raises(ValueError, match=r"a.mat: damaged: SciPy crashes at it$"):
        weights.load(tmp_path / "a.mat")


def test_the_settings_of_a_picture_without_its_network():
    assert to_toml({"content": "a", "style": ["b"], "padding": "zero"}).startswith("# nst-numpy transfer a b")


IMAGE = picture(1, 8, 8)
NETWORK = small_vgg(last="conv1_1")
OBJECTIVE = Objective.from_images(NETWORK, IMAGE, IMAGE, content_layers=[], style_layers=["conv1_1"])


@pytest.mark.parametrize(
    "call, error, message",
    [
        (lambda: images.load(IMAGE, dtype=1e-310), TypeError, "dtype must be float32 or float64, found 1e-310"),
        (lambda: images.load(IMAGE, dtype=np), TypeError, "dtype must be float32 or float64, found <module 'numpy'"),
        (lambda: images.load(IMAGE, ground=IMAGE), TypeError, "ground must be a number from 0 to 1, found an array"),
        (lambda: images.load("x" * 5000 + ".png"), ValueError, "^cannot read x{388}…: File name too long$"),
        (lambda: images.resize(IMAGE[..., 0], "8", 8), TypeError, "height must be a whole number"),
        (lambda: images.resize(IMAGE, 8, 8), ValueError, r"channel must have the shape \(h, w\), found \(8, 8, 3\)"),
        (lambda: images.suffixes(np.zeros(0)), ValueError, "bits must be 8 or 16"),
        (lambda: images.to_uint8(np.array(None)), TypeError, "image must be an array of numbers"),
        (lambda: images.check_output("a\0b"), ValueError, "^cannot write a\0b: "),
        (lambda: samples.woodcut_waves(10**30), ValueError, "size must be a whole number from 1 to 65535"),
        (lambda: weights.convert("vgg19-mini", "a.h5", over=3), TypeError, "over must be a list of images, found 3"),
        (lambda: VGG([1], np.zeros(3)), TypeError, r"convolutions must be a dict of layers with \(kernel, bias\)"),
        (lambda: VGG(NETWORK.convolutions, "x"), TypeError, "mean must be an array of real numbers, found 'x'"),
        (lambda: VGG(NETWORK.convolutions, np.zeros(4)), ValueError, "mean: expected 3 finite numbers"),
        (lambda: VGG(NETWORK.convolutions, np.zeros(3), np.nan), ValueError, "scale: expected a finite number"),
        (lambda: NETWORK.forward(IMAGE, None), TypeError, "layers must be a list of names, found None"),
        (lambda: NETWORK.forward(IMAGE, np.array(3.0)), TypeError, "layers must be a list of names, found array"),
        (lambda: receptive.top_patches(NETWORK, "conv1_1", np.array(3.0)), TypeError, "over must be a list of images"),
        (lambda: exercises.notebook(np.array(3.0)), (TypeError, ValueError), "exercise"),
        (lambda: images.remove_leftovers(3), TypeError, "folder must be .*path.*, found 3"),
        (lambda: NETWORK.features(IMAGE, 1.5), TypeError, "layers must be .*list.*, found 1.5"),
        (lambda: trace(OBJECTIVE, np.zeros((2, 4))), ValueError, r"an image must be an array of floats .* \(2, 4\)"),
        (lambda: Objective.from_images("net", IMAGE, IMAGE), TypeError, "network must be a VGG, found 'net'"),
        (lambda: transfer(IMAGE, IMAGE, style_layers=np.array(1.0)), TypeError, "style_layers must be names of layers"),
        (lambda: plots.losses([1, 2]), TypeError, "history must be a list of dicts with the same keys"),
        (lambda: plots.losses([{"a": 1}, {"b": 1}]), TypeError, "history must be a list of dicts with the same keys"),
        (lambda: sweep([b"bytes"], "b.png", "out"), TypeError, "content must be paths, found b'bytes'"),
        (lambda: exercises.check_file(__file__, seconds=1e308), ValueError, "seconds must be a number from 0 to 86400"),
    ],
)
def test_wrong_arguments(call, error, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=message):
        call()
    assert list(tmp_path.iterdir()) == []


def test_values_nested_by_the_thousand(tmp_path, capsys):
    deep = tmp_path / "deep.toml"
    deep.write_text(f"size = {'[' * 5000}{']' * 5000}")
    with pytest.raises(ValueError, match=r"deep\.toml: its values are nested too deeply"):
        exercises.load_assignment(deep)
    assert cli.main(["sweep", str(deep)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    kept = tmp_path / "kept.json"
    kept.write_text("[" * 10**5)
    assert jobs.recalled(kept, "key") is None
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    with (
        mock.patch.object(images, "description", lambda _: "[" * 10**5),
        pytest.raises(ValueError, match="holds no settings"),
    ):
        records.read(tmp_path / "a.png")


@pytest.mark.parametrize(
    "text, message",
    [
        ('content = 1\nstyle = "b.png"', "content must be an image, a folder, or a list of them, found 1"),
        ('content = ["a.png", {}]\nstyle = "b.png"', "content must be an image"),
        ('content = "a.png"\nstyle = "b.png"\nsettings = 1', "settings must be a table, found 1"),
    ],
)
def test_wrong_sweeps(text, message, tmp_path, capsys):
    (tmp_path / "a.toml").write_text(text)
    assert cli.main(["sweep", str(tmp_path / "a.toml")]) == 2
    assert message in capsys.readouterr().err
