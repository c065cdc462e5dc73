"""Files are checked in processes of their own: whatever they do, each function gets one report on what is wrong."""

import inspect
import json
import os
import re
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from nst_numpy import exercises
from nst_numpy.cli import main
from nst_numpy.exercises import child, runner, sandbox
from nst_numpy.exercises.checker import Report, SubmissionFailed
from nst_numpy.exercises.runner import Submission

HOSTILE = """
import os, sys
print("at import")

def gram(F):
    print("noise" * 10**6)
    sys.stderr.write("more noise")
    return F @ F.T

def relu_backward(dy, x):
    while True:
        pass

def content_loss(F, P):
    sys.exit(3)

def content_gradient(F, P):
    os._exit(0)

def style_loss(F, A):
    return [0.0] * 10**10

def style_gradient(F, A):
    def again():
        return again()
    return again()

def gram_backward(dG, F):
    with open({path!r}, "w") as file:
        file.write("x" * 10**8)

def feature_matrix(a):
    return a.reshape(-1, a.shape[2]).T
"""


def test_hostile_files_are_reported_and_not_fatal(tmp_path):
    path = tmp_path / "hostile.py"
    path.write_text(HOSTILE.format(path=str(tmp_path / "flood")))
    reports = {report.name: report for report in exercises.check_file(path, seconds=2, megabytes=3000)}
    assert list(reports) == exercises.names()
    assert reports["gram"].passed and reports["feature_matrix"].passed
    assert "It did not finish within 2 seconds" in reports["relu_backward"].message
    assert "It ended the process (line 15 of hostile.py: `sys.exit(3)`)" in reports["content_loss"].message
    assert "It ended the process" in reports["content_gradient"].message
    assert "MemoryError" in reports["style_loss"].message and "RecursionError" in reports["style_gradient"].message
    for name in ("relu_backward", "content_loss", "style_loss", "style_gradient", "gram_backward"):
        assert reports[name].diagnosis == ["raises"] and not reports[name].passed, reports[name]
    assert reports["total_gradient"].not_yet
    assert not (tmp_path / "flood").exists() or not (tmp_path / "flood").stat().st_size


def said(text, name="gram", *, file="mine.py", **limits):
    """The report on a function of a file."""
    data = text if isinstance(text, bytes) else textwrap.dedent(text).encode()
    with Submission({file: data}, [name], **limits) as submission:
        return submission.check(name)


# Loading --------------------------------------------------------------------------------------------------------------

GRAM = "def gram(F):\n    return F @ F.T\n"


@pytest.mark.parametrize(
    "broken, note",
    [
        ("def other(F)\n    return F", "SyntaxError: expected ':' (line {n} of mine.py: `def other(F)`)"),
        ("def other(F):\n", "SyntaxError: expected an indented block after function definition on line {n} (line {n}"),
        ("def other(F):\n    return (F @ (F.T)", "SyntaxError: '(' was never closed"),
        ("@deco\ndef other(F):\n    retrun F", "SyntaxError: invalid syntax"),
        ("import nothing_of_that_name", "line {n} of mine.py imports nothing_of_that_name, which this assignment does"),
        ("raise SystemExit(0)", "It ended the process (line {n} of mine.py: `raise SystemExit(0)`)"),
        ("1 / 0", "ZeroDivisionError: division by zero (line {n} of mine.py: `1 / 0`)"),
        ("return 3", "SyntaxError: 'return' outside function"),
        ("while True: pass", "line {n} of mine.py: `while True: pass` did not finish within 0.5 seconds"),
        ("input('name? ')", "EOFError"),
    ],
)
def test_what_fails_while_loading_is_noted_and_the_rest_counts(broken, note):
    for text, line in ((f"{GRAM}\n{broken}\n", 4), (f"\n{broken}\n\n{GRAM}", 2)):
        with Submission({"mine.py": text.encode()}, ["gram", "other"], seconds=2) as submission:
            assert submission.check("gram").passed
            assert len(submission.notes) == 1 and note.format(n=line) in submission.notes[0], submission.notes


def test_a_missing_function_says_what_it_is_missing_for():
    broken = "def gram(F)\n    return F @ F.T\n\ndef content_loss(F, P):\n    return 0.5 * ((F - P) ** 2).sum()\n"
    with Submission({"mine.py": broken.encode()}, ["gram", "content_loss", "style_loss"]) as submission:
        gram, loss, style = map(submission.check, submission.names)
    assert gram.diagnosis == ["raises"] and not gram.not_yet
    assert [(r.name, r.passed, r.caught_by) for r in (gram, style)] == [
        ("gram", False, ["calls"]),
        ("style_loss", False, []),
    ]
    assert gram.message.startswith("It is missing, because of this: SyntaxError: expected ':' (line 1 of mine.py")
    assert loss.passed and style.not_yet and style.message == "not yet written"
    message = said("from nst_numpy.losses import gram").message
    assert "line 1 of mine.py imports nst_numpy.losses, which this assignment does not allow" in message
    assert "imports nst_numpy.losses, which" in said("from nst_numpy.losses import *").message
    assert "imports scipy, which" in said("import scipy\ndef gram(F):\n    return scipy.array(F)").message
    assert "imports scipy, which" in said("def gram(F):\n    import scipy").message
    assert "before that" not in said("import scipy\ndef gram(F):\n    return numpi.array(F)").message


def test_the_line_of_an_error():
    report = said("def half(x):\n    return x / 0\n\ndef content_loss(F, P):\n    return half(1)", "content_loss")
    assert "ZeroDivisionError: division by zero (line 2 of mine.py: `return x / 0`)" in report.message
    report = said("import numpy as np\ndef gram(F):\n    return np.linalg.inv(F)\n")
    assert (
        "LinAlgError: Last 2 dimensions" in report.message and "(line 3 of mine.py: `return np.linalg" in report.message
    )
    long = "def gram(F):\n    return F / len(3) + " + "1 + " * 50 + "1"
    assert "…`)" in said(long).message


@pytest.mark.parametrize(
    "data, words",
    [
        (b"", "mine.py can't be read: it is empty"),
        (b" \n", "mine.py can't be read: it is empty"),
        (bytes(range(256)), "mine.py can't be read: it is no text in UTF-8"),
        ("# ä\n".encode("latin-1") + GRAM.encode(), "it is no text in UTF-8"),
        (GRAM.encode() + b"\0", "null bytes"),
    ],
)
def test_files_that_are_no_text(data, words):
    report = said(data)
    assert report.diagnosis == ["raises"] and words in report.message, report


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_encodings(encoding):
    assert said(("# ä\n" + GRAM).encode(encoding)).passed
    assert said("# coding: latin-1\n# ä\n".encode("latin-1") + GRAM.encode()).passed


@pytest.mark.parametrize(
    "text, message",
    [
        ("import os\nos._exit(0)", "It ended the process"),
        ("import signal, time\nsignal.pthread_sigmask(0, [14])\ntime.sleep(99)", "It did not finish within 1 seconds"),
    ],
)
def test_a_file_that_does_not_load(tmp_path, text, message):
    path = tmp_path / "mine.py"
    path.write_text(f"{text}\n{GRAM}")
    reports = exercises.check_file(path, ["gram", "content_loss"], seconds=1)
    assert [report.name for report in reports] == ["gram", "content_loss"]
    for report in reports:
        assert report.diagnosis == ["raises"] and report.message.startswith(f"The file can't be loaded: {message}")
        assert not report.passed and report.caught_by == ["calls"] and not report.not_yet


def test_future_statements_hold_for_what_follows():
    assert said("from __future__ import annotations\ndef gram(F: Nothing) -> np.ndarray:\n    return F @ F.T").passed


def test_similar_names():
    with Submission({"mine.py": b"def style_grad(F, A): return F\ndef gram_matrix(F): return F"}, []) as submission:
        assert submission.check("style_gradient").message == (
            "not yet written: the file defines `style_grad`; did you mean `style_gradient`?"
        )
        assert submission.misspelt("gram") == "gram_matrix"
        assert submission.check("content_loss").message == "not yet written" and submission.check("gram").not_yet
    text = b"from numpy import *\nfrom math import *\ndef gram_backward(dG, F): return F"
    with Submission({"mine.py": text}, []) as submission:
        assert [submission.misspelt(name) for name in exercises.names()] == [""] * len(exercises.names())
    with Submission({"mine.py": b"def styleGradient(F, A): return F"}, []) as submission:
        assert submission.misspelt("style_gradient") == "styleGradient"


# Notebooks ------------------------------------------------------------------------------------------------------------


def book(*cells):
    made = [{"cell_type": "markdown", "source": "# text"}]
    made += [{"cell_type": "code", "source": source} for source in cells]
    return json.dumps({"cells": made, "nbformat": 4}).encode()


def test_notebooks():
    text = book(
        "%matplotlib inline\n!pip install x\nimport numpy as np",
        "from nst_numpy import exercises, gradcheck\nnp.linalg?",
        ["def gram(F):\n", "    return F @ F.T\n"],
        'report = exercises.check("gram", gram)\nassert report.passed, report.message\nassert gradcheck(1)',
        "%%time\ndef content_loss(F, P):\n    y = (3\n      % 2)\n    return 1 / 0",
        "%%bash\ndef style_loss(F, A): pass",
        "def relu_backward(dy, x):\n    %time y = 3\n    return dy * (x > 0)",
    )
    with Submission({"hw.ipynb": text}, ["gram", "content_loss", "style_loss"]) as submission:
        assert submission.check("gram").passed and submission.check("relu_backward").passed and not submission.notes
        message = submission.check("content_loss").message
        assert "division by zero (code cell 5, line 5 of hw.ipynb: `return 1 / 0`)" in message
        assert submission.check("style_loss").not_yet


@pytest.mark.parametrize("data", [b"{}", b"[1]", b"3", b"hello", b'{"cells": 3}', b'{"cells": [{}]}', b"[" * 10**6])
def test_what_is_no_notebook(data):
    message = said(data, file="hw.ipynb").message
    assert message.startswith("It is missing, because of this: hw.ipynb can't be read: it is no notebook")


def test_the_librarys_own_notebook(tmp_path, capsys):
    sheet = exercises.notebook("gram")
    path = tmp_path / "hw.ipynb"
    path.write_text(json.dumps(sheet))
    assert main(["exercise", "check", str(path), "--only", "gram"]) == 1
    assert capsys.readouterr().out == "gram: not yet written\n"
    for cell in sheet["cells"]:
        cell["source"] = cell["source"].replace("raise NotImplementedError", "return F @ F.T")
    path.write_text(json.dumps(sheet))
    assert main(["exercise", "check", str(path), "--only", "gram"]) == 0
    assert main(["exercise", "check", str(path)]) == 0
    assert main(["exercise", "check", str(path), "--only", "gram,style_loss"]) == 1
    assert "gram: passed\nstyle_loss: not yet written" in capsys.readouterr().out
    (tmp_path / "other.py").write_text(GRAM)
    assert main(["exercise", "check", str(tmp_path)]) == 0
    assert f"{path}: 1 passed, 16 not yet, 0 wrong" in capsys.readouterr().out


def test_an_otter_notebook():
    text = (
        "import otter\ngrader = otter.Notebook('hw.ipynb')\ngrader.check('q1')\ngrader.check_all()\ngrader.export()\n"
    )
    with Submission({"hw.py": (text + GRAM).encode()}, ["gram"]) as submission:
        assert submission.check("gram").passed and not submission.notes


# Imports --------------------------------------------------------------------------------------------------------------


def test_what_is_imported_and_allowed():
    text = "import json, PIL\nfrom math import sqrt\nimport PIL.Image\ndef gram(F): return PIL.Image.VERSION or F @ F.T"
    with Submission({"mine.py": b"import PIL.Image\n" + GRAM.encode()}, ["gram"], imports=["PIL"]) as submission:
        assert submission.check("gram").passed and submission.notes == []
    with Submission({"mine.py": text.encode()}, ["gram"]) as submission:
        submission.check("gram")
        assert submission.notes[0] == "line 1 of mine.py imports PIL, which this assignment does not allow"
    with pytest.raises(OSError, match=r"the assignment allows nothing_there, which can't be imported here"):
        Submission({}, [], imports=["nothing_there"]).__enter__()


def test_the_library_is_out_of_reach():
    for text in (
        "import nst_numpy\ndef gram(F): return nst_numpy.losses.gram(F)",
        "import sys\ndef gram(F):\n    sys.meta_path.pop(0)\n    del sys.modules['nst_numpy']\n"
        f"    sys.path.append({str(Path(runner.__file__).parents[2])!r})\n    from nst_numpy.losses import gram\n"
        "    return gram(F)",
        f"def gram(F):\n    return open({runner.__file__!r}).read()",
        "import importlib\ndef gram(F):\n    return importlib.import_module('nst_numpy.losses').gram(F)",
    ):
        report = said(text)
        assert report.diagnosis == ["raises"], report


def test_files_of_a_submission_import_each_other():
    files = {
        "main.py": b"from tools import square\nimport random\ndef gram(F):\n    return square(F)",
        "more/tools.py": b"def square(F):\n    return F @ F.T\n1 / 0",
        "random.py": b"def choice(): pass",
    }
    with Submission(files, ["gram"]) as submission:
        assert submission.check("gram").passed and len(submission.notes) == 1 and submission.remarks == []
    twice = {"a.py": b"def gram(F): return F.T @ F", "b.py": GRAM.encode(), "c.py": b"from b import gram"}
    with Submission(twice, ["gram"]) as submission:
        assert submission.check("gram").passed
        assert submission.remarks == ["gram is in a.py and in b.py; the one in b.py counts"]


# Calls ----------------------------------------------------------------------------------------------------------------


def proxied(text, monkeypatch, use, **options):
    """What `use` makes of the function that is given to `check`."""
    found = []

    def check(name, function, *, seed=None):
        found.append(use(function))
        return Report(name, True, message=str(seed))

    monkeypatch.setattr(runner, "check", check)
    with Submission(
        {"mine.py": ("import numpy as np\n" + textwrap.dedent(text)).encode()}, ["gram"], **options
    ) as made:
        report = made.check("gram", 5)
    assert report.message == "5"
    return found[0]


VALUES = [
    "None",
    "True",
    "3",
    "-2.5",
    "float('inf')",
    "2**62",
    "'text'",
    "1 + 2j",
    "np.float32(3.5)",
    "np.arange(6.0).reshape(2, 3)",
    "np.arange(6, dtype='>i2').reshape(3, 2).T",
    "np.zeros((0, 3))",
    "np.array(3.0)",
    "np.ones(2, complex)",
    "np.array([True, False])",
    "(1, np.ones(3))",
    "[1.0, [2, (3, None)]]",
    "np.array([1, 2.5], object)",
    "np.full(2, np.nan)",
]


def same(a, b):
    if isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind in "fc")
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(same, a, b))
    return a == b and (type(a) is type(b) or isinstance(a, complex))


def test_values_arrive_in_both_directions(monkeypatch):
    text = f"VALUES = [{', '.join(VALUES)}]\ndef gram(k, x=None): return VALUES[k] if x is None else x"
    expected = [eval(value) for value in VALUES]

    def use(function):
        assert all(same(value, function(k)) for k, value in enumerate(expected))
        assert all(same(value, function(k, x=value)) for k, value in enumerate(expected) if value is not None)

    proxied(text, monkeypatch, use)


@pytest.mark.parametrize(
    "value, name",
    [
        ("2**64", "int"),
        ("open", "builtin_function_or_method"),
        ("np.array(['a'])", "array of str32"),
        ("type('Evil', (), {'__class__': np.ndarray, '__array__': lambda s, *a: np.ones(3)})()", "Evil"),
    ],
)
def test_other_values_are_empty_things_of_the_same_name(monkeypatch, value, name):
    found = proxied(f"def gram(F): return {value}", monkeypatch, lambda function: function(1))
    assert type(found).__name__ == name and vars(found) == {}


def test_the_proxy(monkeypatch):
    def use(function):
        assert str(inspect.signature(function)) == "(F, window=2, *rest, k=None, **more)"
        F = np.arange(4.0)
        assert function(F, 3) is None and F.tolist() == [7, 1, 2, 3]
        assert function.__name__ == "gram"

    text = "def gram(F, window=2, *rest, k=None, **more):\n    F[0] = 7"
    proxied(text, monkeypatch, use)
    with pytest.raises(NotImplementedError):
        proxied("def gram(F): raise NotImplementedError", monkeypatch, lambda function: function(1))
    with pytest.raises(SubmissionFailed, match=r"^KeyError: 'a' \(line 2 of mine.py: `def gram") as failed:
        proxied("def gram(F): return {}['a']", monkeypatch, lambda function: function(1))
    assert not failed.value.fatal


def test_after_a_crash_the_next_function_is_called(monkeypatch):
    def use(function):
        with pytest.raises(SubmissionFailed, match="ended the process") as failed:
            function(1)
        assert failed.value.fatal
        return function(0)

    assert proxied("import os\ndef gram(k): return os._exit(0) if k else 3", monkeypatch, use) == 3


def test_the_time_is_for_all_calls_of_a_function(monkeypatch):
    asked, clock = [], iter(range(10**6))
    monkeypatch.setattr(runner.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(
        runner._Process, "ask", lambda self, m, seconds, data=0: asked.append(seconds) or ANSWERS[type(m)]
    )
    functions = {"gram": ([], True)}
    ANSWERS = {
        dict: {"enforced": {}, "functions": functions, "notes": [], "remarks": []},
        tuple: {"value": 3, "changed": {}},
    }

    def use(function):
        assert [function() for _ in range(3)] == [3, 3, 3]
        with pytest.raises(
            SubmissionFailed, match=r"^It did not finish within 3 seconds \(an endless loop\?\)$"
        ) as failed:
            function()
        return failed.value.fatal

    assert proxied("", monkeypatch, use, seconds=3)
    assert asked == [runner.START, 3, 3, 2, 1]


def test_the_limits_are_passed_on(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("import numpy as np\n\ndef gram(F):\n    np.empty(2**27)  # a gigabyte\n    return F @ F.T\n")
    (report,) = exercises.check_file(path, "gram", megabytes=1000)
    assert report.diagnosis == ["raises"] and "MemoryError" in report.message
    (report,) = exercises.check_file(path, "gram")
    assert report.passed and runner.MEGABYTES >= 2000


def test_the_arguments_of_check_file_arrive(tmp_path, monkeypatch):
    path, made = tmp_path / "mine.py", []

    class Loaded:
        def __init__(self, files, names, **limits):
            made.append((files, names, limits))

        def __enter__(self):
            return self

        def __exit__(self, *_):
            made.append("ended")

        def check(self, name):
            return name

    monkeypatch.setattr(runner, "Submission", Loaded)
    path.write_text(GRAM)
    usual = {"seconds": runner.SECONDS, "megabytes": runner.MEGABYTES}
    for limits in ({}, {"seconds": 0, "megabytes": 1}):
        assert exercises.check_file(path, ["gram", "content_loss"], **limits) == ["gram", "content_loss"]
        assert made == [({"mine.py": GRAM.encode()}, ["gram", "content_loss"], usual | limits), "ended"]
        made.clear()
    assert exercises.check_file(str(path)) == exercises.names()


def test_the_largest_file(tmp_path):
    path = tmp_path / "mine.py"
    path.touch()
    os.truncate(path, runner.BYTES)
    assert len(runner.read(path)) == runner.BYTES == 20 * 2**20
    os.truncate(path, runner.BYTES + 1)
    with pytest.raises(ValueError, match=r"^mine\.py has 21 MB; at most 20 MB are read$"):
        runner.read(path)


@pytest.mark.parametrize(
    "answer, words",
    [
        (TimeoutError(), "It did not finish within 60 seconds"),
        (3, "It wrote something of its own"),
        ({"failed": "it says so"}, "it says so$"),
    ],
)
def test_where_no_process_can_be_started(monkeypatch, answer, words):
    monkeypatch.setattr(runner._Process, "ask", lambda *_: answer)
    submission = Submission({}, [])
    with pytest.raises(OSError, match=f"^no process for submissions can be started: {words}"):
        submission.__enter__()
    assert submission._process is None


def test_the_surroundings_of_a_submission():
    """One thread; a folder of its own; nothing of the caller's but the language."""
    names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "HOME", "TMPDIR", "TEMP", "PATH", "LANG")
    text = f"import os\ndef gram(F): return [os.environ.get(name) for name in {names}]"
    with Submission({"mine.py": text.encode()}, ["gram"]) as submission:
        found = dict(zip(names, submission._call("gram", (1,), {}, 9), strict=True))
        folder = submission._process.folder.name
    assert found == {**dict.fromkeys(names[:3], "1"), **dict.fromkeys(names[3:6], folder), "PATH": None} | {
        "LANG": os.environ.get("LANG")
    }


def test_a_process_that_closes_its_pipes_and_goes_on():
    report = said("import os\ndef gram(F):\n    os.closerange(0, 300)\n    while True: pass", seconds=2)
    assert report.diagnosis == ["raises"] and "It closed the pipe for its answers" in report.message


def test_bad_arguments_of_check_file(tmp_path):
    path, large = tmp_path / "mine.py", tmp_path / "large.py"
    path.touch()
    large.touch()
    os.truncate(large, 10**10)
    for wrong, message in (
        ({"path": tmp_path / "nowhere.py"}, "there is no file"),
        ({"path": large}, "large.py has 10000 MB; at most 20 MB are read"),
        ({"names": ["x"]}, "unknown exercise 'x'"),
        ({"seconds": -1}, "seconds must be a number from 0 to 86400, found -1"),
        ({"megabytes": 0.5}, "megabytes must be a whole number of at least 1, found 0.5"),
    ):
        with pytest.raises((ValueError, FileNotFoundError), match=message):
            exercises.check_file(**{"path": path, **wrong})


# Malice ---------------------------------------------------------------------------------------------------------------

ENFORCED = sys.platform == "linux" and os.uname().machine in sandbox.ARCHITECTURES
REFUSED = "PermissionError.*a submission has no files, no network and no other processes"


@pytest.mark.parametrize(
    "line, words",
    [
        ("while os.fork() >= 0: pass", REFUSED),
        ("subprocess.run(['sleep', '99'])", REFUSED),
        ("os.execv('/bin/sh', ['sh'])", REFUSED),
        ("socket.create_connection(('127.0.0.1', PORT))", REFUSED),
        ("open('/etc/passwd').read()", REFUSED),
        ("os.listdir('/')", REFUSED),
        ("open(LIBRARY).read()", REFUSED),
        ("open('/proc/self/environ').read()", REFUSED),
        ("open('own.txt', 'w')", REFUSED),
        ("open('/tmp/nst_numpy_written', 'w')", REFUSED),
        ("os.chmod('.', 0o777)", REFUSED),
        ("os.utime('.')", REFUSED),
        ("os.kill(os.getppid(), 9)", REFUSED),
        ("os.kill(os.getppid(), 0)", REFUSED),
        ("resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))", REFUSED),
        ("os.sched_setaffinity(os.getppid(), [0])", REFUSED),
        ("resource.setrlimit(resource.RLIMIT_AS, (-1, -1))", "ValueError: not allowed to raise maximum limit"),
    ],
)
@pytest.mark.skipif(not ENFORCED, reason="only Linux on x86-64 and ARM enforces it")
def test_what_the_kernel_refuses(line, words):
    with socket.create_server(("127.0.0.1", 0)) as server:
        head = (
            f"import os, resource, socket, subprocess\nPORT = {server.getsockname()[1]}\nLIBRARY = {child.__file__!r}"
        )
        report = said(f"{head}\ndef gram(F):\n    {line}\n    return F @ F.T")
    assert report.diagnosis == ["raises"] and re.search(words, report.message) and f"`{line[:60]}" in report.message


def test_system_calls_past_python():
    """As a submission would make them through ctypes: another architecture's, clone as fork, a thread's signal."""
    text = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        def tried(*arguments):
            return int(libc.syscall(*arguments) == -1 and ctypes.get_errno())
        def gram(F):
            found = [tried(56, 17, 0, 0, 0, 0), tried(435, 0, 0), tried(57), tried(41, 2, 1, 0)]
            found += [tried(234, os.getppid(), os.getppid(), 9), tried(0x40000000 + 39), tried(425, 8, 0)]
            return [tried(39), *found]
    """
    if not ENFORCED or os.uname().machine != "x86_64":
        pytest.skip("the numbers are those of Linux on x86-64")
    with Submission({"mine.py": textwrap.dedent(text).encode()}, ["gram"]) as submission:
        assert submission._call("gram", (1,), {}, 9) == [0, 1, 38, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(
    "body, words",
    [
        (
            "while True:\n  for k in FDS:\n   try: os.write(k, b'x' * 999)\n   except OSError: pass",
            "of its own",
        ),
        (
            "for k in FDS:\n  try: os.write(k, HEAD + b'[' * 10**6)\n  except OSError: pass",
            "of its own|not fin",
        ),
        ("os.closerange(0, 300)", "It ended the process|It closed the pipe"),
        ("return np.broadcast_to(0.0, (10**6, 10**6))", "It returns more than 16 MB"),
        ("return np.zeros(2**22)", "It returns more than 16 MB"),
        ("return [0.0] * 10**6", "It returns more than can be read"),
        ("x = []\n x.append(x)\n return x", "It returns more than can be read"),
        ("class M(type): __name__ = property(lambda s: 1 / 0)\n return M('x', (), {})()", "can't be read: Zero"),
        ("class E: __class__ = np.ndarray; __array__ = lambda s, *a: F @ F.T\n return E()", "found E"),
        ("class A(np.ndarray): tobytes = lambda s: b''\n return (F @ F.T).view(A) + 1", "wrong|times|differ"),
        ("class E(Exception): __str__ = lambda s: 1 / 0\n raise E", r"E \(line"),
        ("import sys; sys.setrecursionlimit(10**9)\n f = lambda: f()\n f()", "crashed|not finish|MemoryError"),
        ("os.abort()", r"It crashed \(signal 6; "),
        ("while True: threading.Thread(target=threading.Event().wait).start()", "start new thread|not finish"),
        ("raise SubmissionFailed('passed')", "NameError"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("raise ValueError('\\x1b[31m' * 3 + 'y' * 10**6)", "ValueError: �"),
    ],
)
def test_one_clear_report(body, words):
    head = "import os, struct, threading, numpy as np\nFDS, HEAD = range(3, 30), struct.pack('>IQ', 2**20, 0)"
    report = said(f"{head}\ndef gram(F):\n {body}\n", seconds=1, megabytes=3000)
    assert not report.passed and report.diagnosis and re.search(words, report.message), report
    assert "\x1b" not in report.message and len(report.message) < 2000


def test_a_submission_can_change_its_own_process_only():
    text = """
        import sys, numpy as np
        import nst_numpy.exercises
        for module in list(sys.modules.values()):
            for name in ("check", "_encode", "send", "_call", "Submission", "Report"):
                if hasattr(module, name):
                    setattr(module, name, lambda *_, **__: {"value": True, "passed": True})
        np.array_equal = np.allclose = np.abs = lambda *_, **__: True
        np.ndarray = list
        def gram(F):
            return F
    """
    report = said(text, seconds=2)
    assert not report.passed and report.diagnosis
    assert np.allclose(1, 2) is False


def test_nothing_is_left(tmp_path, monkeypatch):
    """Neither process nor folder, also where it does not end by itself."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    with Submission({"mine.py": b"def gram(F):\n    while True: pass"}, ["gram"], seconds=0.5) as submission:
        first = submission._process.process
        assert len(list(tmp_path.iterdir())) == 1
        assert "not finish" in submission.check("gram").message
        assert first.returncode == -9 and not list(tmp_path.iterdir())


def test_secrets_are_not_handed_on(monkeypatch):
    monkeypatch.setenv("SECRET_KEY", "x")
    assert "KeyError" in said("import os\ndef gram(F): return os.environ['SECRET_KEY']").message


def test_what_holds_on_other_systems(tmp_path):
    """Limits, and words that claim no more."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(sandbox.__file__).parent)!r}); import sandbox, resource\n"
        "sandbox.sys = type('other', (), {'platform': 'other', 'modules': {}})\n"
        "print(sandbox.enforce([], 4000, 60))\n"
        "assert resource.getrlimit(resource.RLIMIT_NPROC) == (0, 0)\n"
        "import pathlib; pathlib.Path('x').write_text('hello')"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    words = {"network": "not restricted", "files": "not restricted", "processes": "its process group ends with it"}
    assert (ended.stdout, ended.returncode) == (f"{words}\n", 1) and "File too large" in ended.stderr


def test_what_is_hidden_is_left_out(tmp_path):
    for name in ("a/b/c", "a/d", "e"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "a/link").symlink_to(tmp_path / "a/b/c")
    found = sorted(sandbox._without(str(tmp_path), {str(tmp_path / "a/b/c")}))
    assert found == [str(tmp_path / "a/d"), str(tmp_path / "e")]
    assert list(sandbox._without(str(tmp_path / "e"), {str(tmp_path / "e")})) == []
    assert list(sandbox._without(str(tmp_path / "no"), set())) == []


def test_a_parent_that_is_gone(tmp_path):
    """The submission's process ends when nobody asks it any more."""
    code = (
        "import os; from nst_numpy.exercises.runner import Submission\n"
        "s = Submission({'mine.py': b'x = 1'}, []).__enter__(); print(s._process.process.pid, flush=True); os._exit(0)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(runner.__file__).parents[2]), "TMPDIR": str(tmp_path)}
    started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    number = int(started.stdout)
    for _ in range(1000):
        try:
            if Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                break
            os.kill(number, 0)
        except OSError:
            break
        time.sleep(0.01)
    else:
        pytest.fail("it is still there")


FILES = {
    "work.ipynb": json.dumps(
        {
            "cells": [
                {"cell_type": "markdown", "source": "Twice."},
                {"cell_type": "code", "source": ["%matplotlib inline\n", "def twice(x):\n", "    return 2 * x"]},
                {"cell_type": "code", "source": "%%bash\nls"},
            ]
        }
    ).encode(),
    "answers.py": b"""from __future__ import annotations
import requests
from helper import half
import nst_numpy.exercises
assert nst_numpy.exercises.check("twice", half).passed
class Wrong(
    pass
def fails(x: Undefined) -> None:
    return missing + x
def later(x):
    raise NotImplementedError
def changes(x):
    x[...] = 0
    return [x, (1.5, None), {"a": "b"}, 2**70]
def opens(x):
    raise PermissionError("no")
twice = twice
""",
    "helper.py": b"half = lambda x: x / 2\nraise SystemExit\n",
    "sixteen.py": "thrice = lambda x: 3 * x\n".encode("utf-16"),
    "empty.py": b" ",
    "picture.py": b"\xff\xfe\xfd",
    "book.ipynb": b"[]",
}


def test_a_process_whose_pipe_is_closed_has_answered_everything_and_ends(tmp_path):
    """Without the sandbox, which has its own tests, and in which what measures coverage could write nothing."""
    (tmp_path / "sandbox.py").write_text("def enforce(*limits):\n    return []\n")
    code = f"from nst_numpy.exercises import child; child.__file__ = {str(tmp_path / 'child.py')!r}; child.main()"
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(message):
        child.send(process.stdin, message)
        return child.receive(process.stdout)

    names = ["twice", "thrice", "half", "fails", "later", "changes", "opens"]
    order = {"imports": [], "hidden": [], "megabytes": 0, "processor_seconds": 9, "seconds": 9, "bytes": 9999}
    assert ask(order | {"names": names}) == {"enforced": []}
    loaded = ask(FILES)
    assert sorted(loaded["functions"]) == sorted(names) and loaded["remarks"] == []
    assert loaded["functions"]["twice"] == ([("x", 1, False, None)], True)
    assert [note["text"] for note in loaded["notes"]] == [
        "SyntaxError: '(' was never closed (line 6 of answers.py: `class Wrong(`)",
        "line 2 of answers.py imports requests, which this assignment does not allow",
        "It ended the process (line 2 of helper.py: `raise SystemExit`)",
        "NameError: name 'twice' is not defined (line 17 of answers.py: `twice = twice`)",
        "empty.py can't be read: it is empty",
        "picture.py can't be read: it is no text in UTF-8",
        "book.ipynb can't be read: it is no notebook, there is no list of cells in it (format 4)",
    ]
    x = np.ones(3)
    assert np.array_equal(ask(("twice", (x,), {}))["value"], 2 * x)
    assert ask(("thrice", (2,), {})) == {"value": 6, "changed": {}} and ask(("half", (1,), {}))["value"] == 0.5
    place = "(line 9 of answers.py: `return missing + x`)"
    cause = "before that: empty.py can't be read: it is empty"
    assert ask(("fails", (1,), {})) == {"error": f"NameError: name 'missing' is not defined {place}; {cause}"}
    assert ask(("later", (1,), {})) == {"not_yet": True}
    answer = ask(("changes", (x,), {}))
    assert answer["changed"]["0"].tolist() == [0, 0, 0] and answer["value"][1:3] == [(1.5, None), {"a": "b"}]
    assert "a submission has no files, no network" in ask(("opens", (1,), {}))["error"]
    process.stdin.close()
    assert process.wait(60) == 0
    process.stdout.close()
