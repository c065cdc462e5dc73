"""The benchmarks run, and their numbers are sensible."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, size_of, small_vgg
from PIL import Image

from nst_numpy import images, save_weights
from nst_numpy.run import Stage

ROOT = Path(__file__).parents[1]


@pytest.fixture
def program(monkeypatch):
    """A function that imports one of the programs."""
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    return importlib.import_module


def test_speed(program):
    command = [sys.executable, "benchmarks/speed.py", "--size", "32", "--rounds", "1", "--threads", "1", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    measured = json.loads(done.stdout)
    ours = measured["contestants"]["nst_numpy"]
    assert measured["size"] == 32 and measured["threads"] == 1
    convolutions = measured["convolutions"]["seconds"]
    assert 0 < convolutions < 5 * ours["step"]  # a step takes longer; but each is the fastest of its own few
    # Every kernel has its transforms, 36 or 64 values for 9; conv1_1 and the smallest maps are done by im2col.
    assert ours["kernels"] > 4 * 4 * 9 * 256 * 256 and ours["memory"] > ours["kernels"]
    names = ["conv1_1", "conv1_2 + pool1", "conv2_1", "conv2_2 + pool2", *(f"conv3_{k}" for k in (1, 2, 3))]
    names += ["conv3_4 + pool3", *(f"conv4_{k}" for k in (1, 2, 3)), "conv4_4 + pool4", "conv5_1"]
    assert list(measured["layers"]) == names
    layer = measured["layers"]["conv2_1"]  # 16×16 pixels, 64 → 128
    assert layer["operations"] == 2 * 9 * 64 * 128 * 16 * 16
    total = sum(t["forward"] + t["backward"] for t in measured["layers"].values())
    assert all(t["forward"] > 0 < t["backward"] for t in measured["layers"].values())
    assert convolutions == pytest.approx(total)
    text = program("speed").table(measured)
    assert measured["machine"]["cpu"] in text.splitlines()[0] and measured["machine"]["blas_kernels"] in text
    assert re.search(r"^One step at 32×32 pixels, threads: 1; matrix products \d+ GFLOP/s", text, re.M)
    assert re.search(r"^nst_numpy +\d+ ms +1\.00× +\d+ MB +1\.00×", text, re.MULTILINE)
    methods = {name: layer["method"] for name, layer in measured["layers"].items()}
    assert methods["conv1_1"] == "im2col" and methods["conv1_2 + pool1"] == "F(4×4)"
    assert measured["rules"]["F6_TILES"] == 64 and "TILES_PER_STRIP" in measured["rules"]
    assert re.search(r"^conv3_4 \+ pool3 +F\(4×4\) +\d+\.\d ms +\d+ GFLOP/s", text, re.MULTILINE)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--size", "8"], "size must be a whole number of at least 16, found 8"),
        (["--rounds", "0"], "rounds must be a whole number of at least 1, found 0"),
        (["--threads", "0"], "threads must be a whole number of at least 1, found 0"),
        (["--against", "jax"], "invalid choice: 'jax'"),
    ],
)
def test_speed_refuses_bad_arguments_in_one_line(program, capsys, arguments, message):
    with pytest.raises(SystemExit, match="2"):
        program("speed").main(arguments)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


def test_speed_without_pytorch(program, capsys, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        program("speed").main(["--against", "torch"])
    assert "error: PyTorch is not installed; " in capsys.readouterr().err


def test_precision(program, capsys):
    program("precision").main(["32"])
    errors = dict(re.findall(r"32², (.*): (\d\.\de-\d\d)", capsys.readouterr().out))
    assert len(errors) == 4 and all(1e-9 < float(error) < 1e-2 for error in errors.values())
    assert float(errors["fast, masks replayed"]) < 1e-5


def test_methods(program, capsys, monkeypatch):
    fast = program("nst_numpy.backends.fast")
    for limit in ("WINOGRAD_CHANNELS", "WINOGRAD_PIXELS", "F6_TILES", "F6_TILES_NARROW"):  # which it sets
        monkeypatch.setattr(fast, limit, getattr(fast, limit))
    program("methods").main(["--size", "6"])
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line in lines:
        values = re.findall(r"([\d.]+) ms +(\de-\d\d)", line)
        assert len(values) == 3 and all(float(time) > 0 and float(error) < 1e-4 for time, error in values)


def test_pictures(program, tmp_path, capsys):
    """Two photographs and one painting, from the content and from noise; a picture that is there is not painted."""
    pictures = program("pictures")
    for kind, number in (("content", 2), ("style", 1)):
        (tmp_path / kind).mkdir()
        for k in range(number):
            image = picture(k, 24, 32) if kind == "style" else 0.1 + 0.2 * picture(k, 24, 32)
            Image.fromarray(images.to_uint8(image)).save(tmp_path / kind / f"{kind}{k}.png")
    save_weights(tmp_path / "real.h5", small_vgg(last="conv3_4", dtype=np.float32), source="test", licence="none")
    program("pictures").main(
        [str(tmp_path), str(tmp_path / "out"), "--judge", str(tmp_path / "real.h5"), "--size", "32", "--noise"]
    )
    lines = (tmp_path / "out/table.md").read_text().splitlines()
    measures = ("style", "content", "scene", "noise content", "noise scene", "frame")
    assert lines[0] == f"| photograph | painting | {' | '.join(f'mini: {name}' for name in measures)} |"
    figures = np.array([[float(cell) for cell in line.split("|")[3:-1]] for line in lines[2:]])
    assert figures.shape == (3, 6) and np.allclose(figures[2], figures[:2].mean(axis=0), atol=1e-4)
    assert (figures[:, 0] < 0.9).all() and size_of(tmp_path / "out/sheet.jpg") == (4 * 256, 2 * 192)
    assert "| **mean** |" in capsys.readouterr().out
    half = np.zeros((40, 60, 3))
    half[2:-2, 2:-2] = 0.5
    assert pictures.frame(half) == -127.5 and pictures.frame(half[2:-2, 2:-2]) == 0
    x = picture(3, 40, 60, np.float32)
    seen = pictures.responses(small_vgg(last="conv3_4"), x)
    assert np.allclose(seen.mean(axis=(0, 1)), 0, atol=1e-9)
    assert {*np.round(seen.var(axis=(0, 1)), 9)} <= {0, 1}, "0 where a filter does not respond"
    assert pictures.correlation(x, x) == pytest.approx(1) and pictures.correlation(1 - x, x) == pytest.approx(-1)
    with pytest.raises(SystemExit, match="2"):
        pictures.main([str(tmp_path), str(tmp_path / "out"), "--networks", "real"])


def test_curvature(program, tmp_path, capsys, monkeypatch):
    """Of ½ Σ c (x − p)² per pixel, with c = 8 along gray and 2 along color, at every wavelength."""
    curvature = program("curvature")

    class Motif:
        def __init__(self, *images):
            pass

        def stage(self, size, steps):
            rng = np.random.default_rng(0)
            self.x, p, shape = rng.random((24, 36, 3)), rng.random((24, 36, 3)), (24, 36, 3)
            along = lambda v: 2 * v + 6 * v.mean(axis=2, keepdims=True)  # noqa: E731
            value = lambda x: 0.5 * float(np.sum((x - p) * along(x - p)))  # noqa: E731
            return Stage(lambda x: (value(x), along(x - p) + 1e-3 * np.sin(1e3 * x), {}), shape, steps)

        def start(self, shape):
            return self.x

    monkeypatch.setattr(curvature, "Motif", Motif)
    monkeypatch.setattr(curvature, "FIRST", 0)
    curvature.main(["a.jpg", "b.jpg", "--steps", "6"])
    gray, color = (line.split()[2:] for line in capsys.readouterr().out.splitlines()[1:3])
    assert np.allclose([float(cell) for cell in gray], 1, atol=0.1)
    assert np.allclose([float(cell) for cell in color], 0.25, atol=0.1)


def test_textures(program, tmp_path, capsys, monkeypatch):
    """Vertical and horizontal stripes are told apart, two halves of one noise are not."""
    textures = program("textures")
    monkeypatch.setattr(textures, "CROPS", 6)
    stripes = np.broadcast_to((np.arange(128) // 4 % 2)[:, None, None], (128, 128, 3)).astype(np.float32)
    for name, image in (("a", stripes), ("b", stripes.transpose(1, 0, 2))):
        Image.fromarray(images.to_uint8(image)).save(tmp_path / f"{name}.png")
    textures.main([str(tmp_path), "vgg19-mini"])
    rows = [line.split("|") for line in capsys.readouterr().out.splitlines() if line.startswith("| vgg19-mini")]
    assert [float(cell) for cell in rows[0][2:-1]] == [1.0] * 5
    rng = np.random.default_rng(0)
    learn, test = rng.standard_normal((2, 12, 400))
    assert textures.accuracy(learn, learn, 2) == 1 and 0 <= textures.accuracy(learn, test, 2) < 1


def test_tiles(program, capsys):
    program("tiles").main(["--size", "96x64", "--tile", "0", "32", "--steps", "1"])
    _, _, *lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["none", "32"]
    for line, pixels in zip(lines, (1.0, 4.0), strict=True):
        _, seconds, swept, peak, before, estimate = re.findall(r"none|[\d.]+", line)
        assert float(seconds) > 0 and float(swept) == pytest.approx(pixels, abs=0.5)
        assert 0 < int(before) <= int(peak) and int(estimate) > 0
