"""Faults: signals at drawn moments, odd environments, closed and full streams, disks, numbers that are not finite."""

import collections
import io
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from drawing import size_of, small_disk, small_vgg
from PIL import Image

from nst_numpy import images, save_weights, transfer
from nst_numpy.cli import main
from nst_numpy.result import TransferResult

START = "import sys; from nst_numpy.cli import main; print(flush=True); sys.exit(main())"
NST = f"{sys.executable} -m nst_numpy"
INPUTS = ("content.png", "style.jpg", "small.h5")
posix = pytest.mark.skipif(os.name != "posix", reason="it needs a POSIX shell")


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for name in INPUTS[:2]:
        Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).save(tmp_path / name)
    network = small_vgg(dtype=np.float32)
    ones = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}  # saves measuring them
    save_weights(tmp_path / "small.h5", network, source="test", licence="none", mean_responses=ones)
    return tmp_path


@pytest.fixture
def faults(request):
    count = request.config.getoption("--faults")
    if not count:
        pytest.skip("many faults take minutes: give --faults 15, as .ci/run does")
    return count


# Signals --------------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("part", ["start-up", "painting and writing"])
def test_signals_at_drawn_moments(folder, faults, part):
    """A signal at any moment ends a command with one line, and with its best picture from the first step on."""
    words = "transfer content.png style.jpg --weights small.h5 --size 16,32,48 --steps 8 -o out.png"
    command = [sys.executable, "-c", START, *words.split(), "--losses", "losses.csv", "--animation", "way.gif"]
    begin = time.monotonic()
    for _ in range(2):
        begin = time.monotonic()
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    seconds = time.monotonic() - begin
    whole = {name: (folder / name).read_bytes()[:3] for name in ("out.png", "losses.csv", "way.gif")}
    ends = {"out.png": b"IEND\xaeB`\x82", "losses.csv": b"\n", "way.gif": b";"}
    rng = np.random.default_rng(len(part))
    found: collections.Counter[str] = collections.Counter()
    for _ in range(faults):
        number, times = [(signal.SIGINT, 1), (signal.SIGINT, 2), (15, 1), (1, 1), (9, 1)][rng.integers(5)]
        for left in folder.glob(".nst_numpy_*"):  # by the run before, if it was killed: removed an hour later
            shutil.rmtree(left)
        for name in whole:
            (folder / name).write_bytes(b"older")
        process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=hear_all
        )
        process.stdout.readline()  # Python has started, and the command begins
        time.sleep(rng.uniform(*(0, 0.4) if part == "start-up" else (0.3, 1.1)) * seconds)
        for _ in range(times):
            process.send_signal(number)
            time.sleep(rng.uniform(0, 0.05))
        out, error = process.communicate(timeout=100)
        lines = [line for line in re.split(r"[\r\n]+", error.decode()) if line.strip() and "%|" not in line]
        new = [name for name in whole if (folder / name).read_bytes() != b"older"]
        described = f"signal {number}, {times} times: exit code {process.returncode}, {new}, {out}, {error}"
        for name in new:
            data = (folder / name).read_bytes()
            assert data.startswith(whole[name]) and data.endswith(ends[name]), described
        if number != signal.SIGKILL:
            # Negative: before the command has handlers, or when it is over, a signal ends a process without a word.
            assert process.returncode in (0, 128 + number) or (process.returncode, lines) == (-number, []), described
            assert len(lines) <= 1 and b"Traceback" not in error, described
            assert "out.png" in new or b"step=" not in error, described  # the bar shows steps now and then
            assert "out.png" not in new or process.returncode in (0, -number) or b"best picture" in error, described
            assert process.returncode or len(new) == 3, described
            assert sorted(os.listdir(folder)) == sorted([*INPUTS, *whole]), described
        found[f"{signal.Signals(number).name}, {'a' if 'out.png' in new else 'no'} picture"] += 1
    print(f"{part}: {faults} runs;", ", ".join(f"{what}: {count}" for what, count in sorted(found.items())))


def hear_all():
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # a shell may have them ignored
        signal.signal(number, signal.SIG_DFL)


def test_what_a_killed_program_left_is_removed_by_a_later_one(tmp_path):
    """But not what another program may be writing at the moment."""
    for name, age in (("dead", 3700), ("alive", 10)):
        left = tmp_path / f".nst_numpy_{name}"
        left.mkdir()
        (left / "out.png").write_bytes(b"half")
        os.utime(left, (time.time() - age,) * 2)
    images.write_text(tmp_path / "text.txt", "new")
    assert sorted(os.listdir(tmp_path)) == [".nst_numpy_alive", "text.txt"]


# Environments ---------------------------------------------------------------------------------------------------------

HELP = """
import argparse, contextlib, sys
from nst_numpy.cli import main
from nst_numpy.cli.parser import build

def walk(parser, words):
    yield [*words, "--help"]
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield from walk(command, [*words, name])

shown = [["weights", "list"], ["weights", "show", "vgg19-mini"], ["exercise", "list"], ["conventions", "list"]]
for words in [*walk(build(), []), *shown]:
    with contextlib.suppress(SystemExit):
        assert not main(words), words
"""


OTHERS = [{"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]


def test_a_terminal_that_is_not_utf_8():
    says_everything({"PYTHONIOENCODING": "ascii"})


@pytest.mark.parametrize("environment", OTHERS)
def test_other_terminals_that_are_not_utf_8(faults, environment):
    says_everything(environment)


def says_everything(environment):
    found = subprocess.run([sys.executable, "-c", HELP], env=os.environ | environment, capture_output=True)
    assert found.returncode == 0 and found.stderr == b"", found.stderr[-2000:]
    assert found.stdout.count(b"usage: ") > 20 and b"vgg19-mini" in found.stdout
    assert found.stdout.isascii() or "cp1252" in environment.values()


class Full(io.StringIO):
    def write(self, text=""):
        raise OSError(28, "No space left on device")

    flush = write


@pytest.mark.parametrize("stream", ["none", "closed", "full"])
def test_a_progress_bar_that_nobody_can_see_stops_nothing(monkeypatch, stream):
    error = None if stream == "none" else Full() if stream == "full" else io.StringIO()
    if stream == "closed":
        error.close()
    monkeypatch.setattr(sys, "stderr", error)
    picture = np.random.default_rng(0).random((16, 16, 3))
    result = transfer(picture, picture, weights=small_vgg(dtype=np.float32), size=16, steps=2, progress=True)
    monkeypatch.undo()
    assert result.complete


TRANSFER = f"{NST} transfer content.png style.jpg --weights small.h5 --size 16,32 --steps 2 -o out.png"
WRITTEN, REFUSED = "written", "refused"


@posix
def test_closed_streams(folder):
    in_shell(folder, f"{TRANSFER} <&- >&- 2>&-", WRITTEN)


@posix
@pytest.mark.parametrize(
    "command, expected",
    [
        (f"{TRANSFER} 2>&1 | head -c 1", WRITTEN),
        (f"{TRANSFER} >&-", WRITTEN),
        (f"{TRANSFER} 2>&-", WRITTEN),
        (f"{TRANSFER} 2>/dev/full", WRITTEN),
        (f"NUMBA_NUM_THREADS=0 {TRANSFER}", REFUSED),
        (f"NUMBA_DISABLE_JIT=1 {TRANSFER}", WRITTEN),
        (f"NUMBA_CACHE_DIR=/dev/null/none {TRANSFER}", WRITTEN),
        (f"env -u HOME -u TERM {TRANSFER}", WRITTEN),
        (f"HOME=/dev/null XDG_CACHE_HOME=/dev/null {TRANSFER}", WRITTEN),
        (f"OMP_NUM_THREADS=0 OPENBLAS_NUM_THREADS=x {TRANSFER}", WRITTEN),
        (f"{TRANSFER.replace(' -m', ' -W error -m')}", WRITTEN),
        (f"{TRANSFER.replace(' -m', ' -O -m')}", WRITTEN),
        (f"ulimit -n 12; {TRANSFER}", WRITTEN),
        (f"ulimit -f 1; {TRANSFER}", REFUSED),
        (f"ulimit -v 300000; {TRANSFER}", REFUSED),
        (f"taskset -c 0 {TRANSFER}", WRITTEN),
        (f"setsid {TRANSFER} < /dev/null", WRITTEN),
    ],
)
def test_odd_environments(folder, faults, command, expected):
    in_shell(folder, command, expected)


def in_shell(folder, command, expected):
    (folder / "out.png").write_bytes(b"older")
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # as users have it
    found = subprocess.run(["bash", "-c", command], cwd=folder, env=buffered, capture_output=True, timeout=300)
    error = [line for line in re.split(r"[\r\n]+", found.stderr.decode()) if line.strip() and "%|" not in line]
    if expected == WRITTEN:
        assert found.returncode == 0 and error == [], found
        assert size_of(folder / "out.png") == (32, 26)
    else:
        assert found.returncode == 2 and len(error) == 1 and error[0].startswith("nst-numpy: error: "), found
        assert (folder / "out.png").read_bytes() == b"older"
    assert sorted(os.listdir(folder)) == sorted([*INPUTS, "out.png"])


def test_a_full_disk_for_what_is_printed(tmp_path):
    """A message, and no second one from Python's own end."""
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    with open("/dev/full", "w") as full:
        found = subprocess.run([*NST.split(), "weights", "list"], stdout=full, stderr=subprocess.PIPE)
    assert found.returncode == 2 and re.fullmatch(rb"nst-numpy: error: .*No space left on device\n", found.stderr)


# Disks ----------------------------------------------------------------------------------------------------------------

QUICK = ["--weights", "small.h5", "--size", "40", "--steps", "2", "--quiet"]


@pytest.fixture
def disk(folder):
    with small_disk(folder / "disk", "16k") as disk:
        yield disk


@pytest.mark.parametrize(
    "words, name",
    [
        (["transfer", "content.png", "style.jpg", "-o", "disk/out.png"], "out.png"),
        (["transfer", "content.png", "style.jpg", "-o", "new.png", "--losses", "disk/losses.csv"], "losses.csv"),
        (["transfer", "content.png", "style.jpg", "-o", "new.png", "--losses", "disk/losses.svg"], "losses.svg"),
        (["transfer", "content.png", "style.jpg", "-o", "new.png", "--animation", "disk/way.gif"], "way.gif"),
        (["weights", "convert", "small.h5", "disk/own.h5"], "own.h5"),
        (["exercise", "start", "gram", "-o", "disk/sheet.py"], "sheet.py"),
    ],
)
def test_a_full_disk(folder, disk, monkeypatch, capsys, words, name):
    """One line that names the file; nothing half-written, and what is there stays."""
    monkeypatch.chdir(folder)
    (disk / "older").write_bytes(bytes(16_384))
    assert main([*words, *(QUICK if words[0] == "transfer" else [])]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(rf"nst-numpy: error: .*No space left on device: .*disk.{name}'\n", error), error
    assert os.listdir(disk) == ["older"]
    assert Path("new.png").exists() == ("new.png" in words)


def test_a_folder_that_disappears_while_painting(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    os.mkdir("gone")
    monkeypatch.setattr("nst_numpy.result.TransferResult.save", gone(TransferResult.save))
    assert main(["transfer", "content.png", "style.jpg", "-o", "gone/out.png", *QUICK]) == 2
    assert re.fullmatch(r"nst-numpy: error: .*gone.*\n", capsys.readouterr().err)
    assert sorted(os.listdir(folder)) == sorted(INPUTS)


def gone(save):
    def after_removal(*arguments, **keywords):
        os.rmdir("gone")
        return save(*arguments, **keywords)

    return after_removal


@posix
def test_two_writers_of_one_file(tmp_path):
    """Whoever looks finds one of the two, whole."""
    path, texts = tmp_path / "text.txt", ["a" * 100_000, "b" * 100_000]
    images.write_text(path, texts[0])
    writers = [threading.Thread(target=lambda t=t: [images.write_text(path, t) for _ in range(50)]) for t in texts]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert path.read_text() in texts
    assert path.read_text() in texts and os.listdir(tmp_path) == ["text.txt"]
