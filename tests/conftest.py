import os
import signal
import subprocess
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # one process for each core: their BLAS would wait for each other
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import hypothesis
import pytest

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True)
phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)
hypothesis.settings.register_profile("mutants", deadline=None, derandomize=True, max_examples=30, phases=phases)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")

collect_ignore = ["transcriptions.py", "mutants"]  # they need PyTorch and mutmut, and have no tests of their own


def pytest_configure(config):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin with Ctrl-C ignored
    if os.environ.get("CI"):  # elsewhere a new version of some library may warn
        config.getini("filterwarnings").insert(0, "error")


def pytest_sessionstart(session):
    if getattr(session.config.option, "numprocesses", None):  # compile once, not in every worker
        code = "import sys; from nst_numpy.backends.fast import Fast; Fast(1, sys.argv[1])"
        compilers = [subprocess.Popen([sys.executable, "-c", code, dtype]) for dtype in ("float32", "float64")]
        for compiler in compilers:
            compiler.wait()


def pytest_addoption(parser):
    """`--documents`: run the code in the documents (tests/test_documents.py).

    `--kills`: kill a painting at 40 moments (tests/test_checkpoints.py), and a film (tests/test_frames.py).
    `--faults N`: N signals at drawn moments in each part of a run, and odd environments (tests/test_faults.py); 50 N
    layers by each method, and many runs (tests/test_numbers.py).
    `--solutions`: check all solutions, not every eighth (tests/test_solutions.py).
    `--studio`: operate the studio's page in Chromium (tests/test_studio_page.py).
    `--classrooms FOLDER`: run assignments in the real tools (tests/test_classrooms.py says what the folder holds).
    """
    parser.addoption("--documents", action="store_true", help="run the code in the documents; it takes minutes")
    parser.addoption("--kills", action="store_true", help="kill a command at 40 moments; it takes a minute")
    parser.addoption("--faults", metavar="N", type=int, help="signals at N drawn moments, and other faults; minutes")
    parser.addoption("--solutions", action="store_true", help="check all solutions of the exercises, not every eighth")
    parser.addoption(
        "--studio", action="store_true", help="operate the studio in Chromium, with NiceGUI and playwright"
    )
    parser.addoption("--classrooms", metavar="FOLDER", type=Path, help="environments with nbgrader, Otter and pytest")


@pytest.fixture
def whole_styles(monkeypatch):
    """Style images with their edges, so that their pixels can be compared."""
    monkeypatch.setattr("nst_numpy.painting.FRAME", 0)
