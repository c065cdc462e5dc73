"""Check a student's files in a process of their own, with limits on time, memory and what it may reach.

That process (`child`) loads the files and computes; this one compares. A function that hangs or crashes is reported as
wrong, and a new process continues with the next one.
"""

import contextlib
import dataclasses
import difflib
import inspect
import math
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, cast

from nst_numpy.exercises import child
from nst_numpy.exercises.assignment import MEGABYTES, SECONDS
from nst_numpy.exercises.checker import Report, SubmissionFailed, check
from nst_numpy.exercises.topics import EXERCISES, select
from nst_numpy.validation import check_number, checked

BYTES = 20 * 2**20  # of a file
START = 60  # seconds for Python and NumPy, from a slow disk


@checked()
def check_file(
    path: str | os.PathLike[str],
    names: str | Iterable[str] | None = None,
    *,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> list[Report]:
    """Check the functions of a file. What it prints is dropped, what it does wrong is reported.

    It may import NumPy and Python's standard library. See `sandbox` for what else it may do.

    Parameters
    ----------
    path : path
        A Python file or a notebook.
    names : str or iterable of str, optional
        Of exercises; by default all. Those that the file does not define are reported as not yet written, or as wrong
        if the part of the file that should define them could not be run.
    seconds : float
        Maximum time for each function, and for loading the file.
    megabytes : int
        Maximum address space of the process, on systems that have such limits.

    Returns
    -------
    list of Report

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If there is no such exercise, a limit is no positive number, or the file has more than 20 MB.

    Examples
    --------
    >>> with tempfile.NamedTemporaryFile("w", suffix=".py") as file:
    ...     print("def gram(F): return F.T @ F", file=file, flush=True)
    ...     reports = check_file(file.name, ["gram", "content_loss"])
    >>> reports[0].diagnosis, reports[1].not_yet
    (['transposed'], True)
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    wanted = [exercise.name for exercise in select(names)]
    check_number("seconds", seconds, most=86_400)
    check_number("megabytes", megabytes, whole=True, least=1)
    with Submission({path.name: read(path)}, wanted, seconds=seconds, megabytes=megabytes) as submission:
        return [submission.check(name) for name in wanted]


def read(path: Path) -> bytes:
    """The bytes of a file; ValueError if it is larger than any submission should be."""
    with path.open("rb") as file:
        data = file.read(BYTES + 1)
    if len(data) > BYTES:
        raise ValueError(f"{path.name} has {path.stat().st_size / 1e6:.0f} MB; at most {BYTES >> 20} MB are read")
    return data


class Submission:
    """A student's files, loaded in a process of their own; to be used in a `with` statement.

    Parameters
    ----------
    files : dict of str to bytes
        Their names and contents. Where two define the same function, the last one counts.
    names : iterable of str
        Of the exercises to check.
    imports : iterable of str
        Packages that it may import besides Python's standard library.
    seconds : float
        Maximum time for each function, and for loading the files.
    megabytes : int
        Maximum address space.

    Attributes
    ----------
    notes : list of str
        What could not be run when the files were loaded.
    remarks : list of str
        What else a reader should know.
    enforced : dict of str to str
        What the submission may do; see `sandbox.enforce`.

    Raises
    ------
    OSError
        If no process can be started, or a package that is allowed can't be imported.

    Examples
    --------
    >>> with Submission({"mine.py": b"def gram(F): return F @ F.T / 0j"}, ["gram"]) as submission:
    ...     submission.check("gram").passed, sorted(submission.enforced)
    (False, ['files', 'network', 'processes'])
    """

    def __init__(
        self,
        files: Mapping[str, bytes],
        names: Iterable[str],
        *,
        imports: Iterable[str] = ("numpy",),
        seconds: float = SECONDS,
        megabytes: int = MEGABYTES,
    ):
        self.files, self.names, self.imports = dict(files), list(names), list(imports)
        self.seconds, self.megabytes = seconds, megabytes
        self.notes: list[str] = []
        self.remarks: list[str] = []
        self.enforced: dict[str, str] = {}
        self._functions: dict[str, Any] = {}
        self._missing: dict[str, str] = {}  # what would have defined a name; "*" any
        self._failure = ""  # why nothing can be called
        self._process: _Process | None = None

    def __enter__(self) -> "Submission":
        self._start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end()

    def check(self, name: str, seed: int | None = None) -> Report:
        """Check one function. The arguments are those of `check`."""
        left = self.seconds

        def call(*arguments: Any, **options: Any) -> Any:
            nonlocal left
            before = time.monotonic()
            try:
                return self._call(name, arguments, options, left)
            finally:
                left -= time.monotonic() - before

        if self._failure:
            return Report(name, False, ["raises"], self._failure, ["calls"])
        if name not in self._functions:
            return self._not_there(name)
        call.__name__ = name
        signature = _signature(self._functions[name][0])
        if signature is not None:
            call.__signature__ = signature  # type: ignore[attr-defined]
        report = check(name, call, seed=seed)
        return dataclasses.replace(report, message=printable(report.message))

    def _not_there(self, name: str) -> Report:
        cause = self._missing.get(name, self._missing.get("*"))
        if cause is not None:
            return Report(name, False, ["raises"], f"It is missing, because of this: {cause}", ["calls"])
        similar = self.misspelt(name)
        words = f": the file defines `{similar}`; did you mean `{name}`?" if similar else ""
        return Report(name, False, message=f"not yet written{words}", not_yet=True)

    def misspelt(self, name: str) -> str:
        """The function of another name that might be meant to be this one; empty if there is none."""
        plain = {n.replace("_", "").lower(): n for n, (_, own) in self._functions.items() if own and n not in EXERCISES}
        meant = name.replace("_", "").lower()
        near = difflib.get_close_matches(meant, plain, n=1, cutoff=0.75) or [n for n in plain if n.startswith(meant)]
        return plain[near[0]] if near else ""

    # The process ------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Start a process and load the files."""
        self._process = process = _Process()
        size = sum(map(len, self.files.values()))
        order = {
            "imports": self.imports,
            "hidden": [str(Path(__file__).parents[1])],
            "megabytes": self.megabytes,
            "processor_seconds": math.ceil((len(self.names) + 2) * (self.seconds + 1)),
            "seconds": self.seconds,
            "bytes": size,
            "names": self.names,
        }
        answer = process.ask(order, START)
        if not isinstance(answer, dict) or "enforced" not in answer:
            failed = answer["failed"] if isinstance(answer, dict) else process.ending(answer, START)
            self._end()
            raise OSError(f"no process for submissions can be started: {failed}")
        self.enforced = answer["enforced"]
        answer = process.ask(self.files, self.seconds, size)
        try:
            self._functions = {str(k): (v[0], bool(v[1])) for k, v in answer["functions"].items()}
            notes = [(printable(str(note["text"])), list(map(str, note["names"]))) for note in answer["notes"]]
            self.remarks = [printable(str(remark)) for remark in answer["remarks"]]
        except Exception:  # whatever came instead
            self._failure = f"The file can't be loaded: {process.ending(answer, self.seconds)}"
            self.notes = [self._failure]
            self._end()
            return
        self.notes = [text for text, _ in notes]
        self._missing = {name: text for text, names in reversed(notes) for name in names}

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
        self._process = None

    def _call(self, name: str, arguments: tuple[Any, ...], options: dict[str, Any], left: float) -> Any:
        """What the function returns or raises."""
        if left <= 0:
            raise SubmissionFailed(_late(self.seconds), fatal=True)
        if self._process is None:
            self._start()
        process = self._process
        if process is None:
            raise SubmissionFailed(self._failure, fatal=True)
        answer = process.ask((name, arguments, options), left)
        try:
            if "not_yet" in answer:
                raise NotImplementedError
            if "error" in answer:
                raise SubmissionFailed(str(answer["error"]))
            for k, array in answer["changed"].items():
                arguments[int(k)][...] = array
            return answer["value"]
        except (SubmissionFailed, NotImplementedError):
            raise
        except Exception:
            failed = process.ending(answer, self.seconds)
            self._end()
            raise SubmissionFailed(failed, fatal=True) from None


class _Process:
    """The process, and the thread that talks with it: whatever it does, nobody waits longer than asked for."""

    def __init__(self) -> None:
        self.folder = tempfile.TemporaryDirectory(prefix="nst_numpy_", ignore_cleanup_errors=True)
        keep = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "LANG")
        single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        own = dict.fromkeys(("HOME", "TMPDIR", "TEMP"), self.folder.name)
        paths = [os.path.abspath(path) for path in sys.path if path]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", child.__file__, *paths],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=self.folder.name,
            env={key: os.environ[key] for key in keep if key in os.environ} | single | own,
            start_new_session=True,
        )
        self.requests: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.answers: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._talk, daemon=True)
        self.thread.start()

    def _talk(self) -> None:
        requests, answers = cast(BinaryIO, self.process.stdin), cast(BinaryIO, self.process.stdout)
        while (request := self.requests.get()) is not None:
            message, data = request
            try:
                child.send(requests, message, data=data)
                answer = child.receive(answers)
            except Exception as error:  # the process is gone, or has written something else
                answer = error
            self.answers.put(answer)
        for pipe in (requests, answers):
            with contextlib.suppress(OSError):
                pipe.close()

    def ask(self, message: object, seconds: float, data: int = child.DATA) -> Any:
        """The answer; an exception (not raised) if there is none."""
        self.requests.put((message, data))
        try:
            return self.answers.get(timeout=seconds)
        except queue.Empty:
            return TimeoutError()

    def ending(self, answer: object, seconds: float) -> str:
        """Why there is no answer."""
        if isinstance(answer, TimeoutError):
            return _late(seconds)
        if not isinstance(answer, EOFError | OSError):
            return "It wrote something of its own where its answer was expected"
        try:
            code = self.process.wait(1)
        except subprocess.TimeoutExpired:
            return "It closed the pipe for its answers"
        return (
            f"It crashed (signal {-code}; too much memory, or endless recursion?)"
            if code < 0
            else "It ended the process"
        )

    def kill(self) -> None:
        """End it, and all processes of its group."""
        with contextlib.suppress(OSError):
            os.killpg(self.process.pid, signal.SIGKILL) if hasattr(os, "killpg") else self.process.kill()
        self.process.wait()
        self.requests.put(None)
        self.thread.join(1)
        self.folder.cleanup()


def _late(seconds: float) -> str:
    return f"It did not finish within {seconds:g} seconds (an endless loop?)"


def _signature(parameters: Any) -> inspect.Signature | None:
    """A signature from what the process says about it; None if it says nothing that makes one."""
    kinds = list(inspect._ParameterKind)
    try:
        return inspect.Signature(
            [
                inspect.Parameter(name, kinds[kind], default=default if given else inspect.Parameter.empty)
                for name, kind, given, default in parameters
            ]
        )
    except Exception:
        return None


def printable(text: str) -> str:
    r"""The text without what would control a terminal, or can't be written to a file.

    Examples
    --------
    >>> printable("red: \x1b[31m")
    'red: �[31m'
    """
    return "".join(c if c.isprintable() or c == "\n" else "�" for c in text)
