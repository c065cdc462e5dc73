"""The benchmarks run, and their numbers are sensible."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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
    assert re.search(r"^One step at 32×32 pixels, threads: 1; matrix products \d+ GFLOP/s", text)
    assert re.search(r"^nst_numpy +\d+ ms +1\.00× +\d+ MB +1\.00×", text, re.MULTILINE)
    assert re.search(r"^conv3_4 \+ pool3 +\d+\.\d ms +\d+ GFLOP/s", text, re.MULTILINE)


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
    for limit in ("WINOGRAD_CHANNELS", "WINOGRAD_PIXELS", "F6_TILES"):  # which it sets
        monkeypatch.setattr(fast, limit, getattr(fast, limit))
    program("methods").main(["--size", "6"])
    _, *lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 3
    for line in lines:
        values = re.findall(r"([\d.]+) ms +(\de-\d\d)", line)
        assert len(values) == 3 and all(float(time) > 0 and float(error) < 1e-4 for time, error in values)
