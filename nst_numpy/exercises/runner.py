"""Check a student's file in a process of its own, with limits on time, memory and output.

The process writes a line when it has read the file, and one of JSON for each function as soon as it is checked. If it
hangs or crashes, the function it was checking is reported as wrong, and a new process continues with the next one.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from nst_numpy.exercises.checker import Report, check
from nst_numpy.exercises.topics import select
from nst_numpy.validation import check_number

SECONDS, MEGABYTES, OUTPUT = 20, 4096, 2**20  # for each function; address space; bytes that a file may write
CRASHES = "too much memory or output, or endless recursion?"


def check_file(
    path: str | os.PathLike[str],
    names: str | Iterable[str] | None = None,
    *,
    seconds: float = SECONDS,
    megabytes: int = MEGABYTES,
) -> list[Report]:
    """Check the functions of a file. What it prints is dropped, what it does wrong is reported.

    Parameters
    ----------
    path : path
        A Python file.
    names : str or iterable of str, optional
        Of exercises; by default all. Those that the file does not define are reported as not yet written.
    seconds : float
        Maximum time for each function.
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
        If there is no such exercise, or a limit is no positive number.

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
    left = [exercise.name for exercise in select(names)]
    check_number("seconds", seconds)
    check_number("megabytes", megabytes, whole=True, least=1)
    reports: list[Report] = []
    while left:
        found, failure = _run(path, left, seconds, megabytes)
        reports += found
        left = left[len(found) :]
        if left and failure:
            reports.append(Report(left.pop(0), False, ["raises"], failure, ["calls"]))
    return reports


def _run(path: Path, names: list[str], seconds: float, megabytes: int) -> tuple[list[Report], str]:
    """Reports of one process, and why it ended before the last one."""
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results"
        results.touch()
        command = [sys.executable, "-m", "nst_numpy.exercises.runner", str(path), str(results), str(megabytes), *names]
        package = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
        }
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        failure, seen = "", ""
        try:
            while not failure:
                try:
                    code = process.wait(seconds)
                    failure = f"It crashed (signal {-code}): {CRASHES}" if code < 0 else "It ended the process."
                except subprocess.TimeoutExpired:
                    if results.read_text() == seen:  # nothing new in all that time
                        failure = f"It did not finish within {seconds:g} seconds: an endless loop?"
                    seen = results.read_text()
        finally:
            process.kill()
            process.wait()
        lines = results.read_text().splitlines()
    if not lines:  # it did not even load: that holds for all
        return [Report(name, False, ["raises"], failure, ["calls"]) for name in names], failure
    return [Report(**json.loads(line)) for line in lines[1:]], failure


def _main(path: str, results: str, megabytes: str, *names: str) -> None:
    """In the child process."""
    try:
        import resource
    except ImportError:  # not on this system
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (int(megabytes) * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT,) * 2)
    error, module = "", ModuleType("submission")
    module.__file__ = path
    try:
        exec(compile(Path(path).read_bytes(), path, "exec", dont_inherit=True), vars(module))
    except (Exception, SystemExit) as failure:
        where = f", line {failure.lineno}" if isinstance(failure, SyntaxError) else ""
        error = f"The file can't be loaded: {type(failure).__name__}: {failure}{where}"
    with open(results, "a") as file:
        print("loaded", file=file, flush=True)
        for name in names:
            function = getattr(module, name, None)
            if error:
                report = Report(name, False, ["raises"], error, ["calls"])
            elif not callable(function):
                report = Report(name, False, message="not yet written", not_yet=True)
            else:
                report = check(name, function)
            print(json.dumps(report.to_dict() | {"case": None}), file=file, flush=True)


if __name__ == "__main__":
    _main(*sys.argv[1:])
