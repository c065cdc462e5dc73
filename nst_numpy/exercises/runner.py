"""Checking a student's file in a process of its own, with limits on time, memory and output.

The process writes a line when it has read the file, and one of JSON for each function as soon as it is checked. If it
does not come to an end, or breaks down, the function that it was at is reported, and a new process goes on with the
next one.
"""

import dataclasses
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from nst_numpy.exercises.catalogue import EXERCISES, find
from nst_numpy.exercises.checker import Report, check

LOADED = "loaded"  # the first line, when the file has been read
SECONDS, MEGABYTES, OUTPUT = 20, 4096, 2**20  # for each function; address space; bytes that a file may write


def check_file(
    path: str | os.PathLike, names: Iterable[str] | None = None, *, seconds: float = SECONDS, megabytes: int = MEGABYTES
) -> list[Report]:
    """Check the functions of a file. What it prints is dropped, what it does wrong is reported.

    Parameters
    ----------
    path : path
        A Python file.
    names : iterable of str, optional
        Of exercises; by default all. Those that the file does not define are reported as not yet written.
    seconds : float
        Limit for each function.
    megabytes : int
        Limit on memory, where the system has such limits.

    Returns
    -------
    list of Report

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there is no such exercise.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    left = list(EXERCISES) if names is None else list(names)
    for name in left:
        find(name)  # refuses an unknown one before any process starts
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
        command = [sys.executable, "-m", "nst_numpy.exercises.runner", str(path), str(results), str(megabytes), *names]
        package = str(Path(__file__).parents[2])
        environment = {
            **os.environ,
            "OPENBLAS_NUM_THREADS": "1",
            "PYTHONPATH": os.pathsep.join([package, os.environ.get("PYTHONPATH", "")]),
        }
        done = 0
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment
        )
        failure = ""
        try:
            while True:
                try:
                    code = process.wait(seconds)
                    failure = "" if code == 0 else _ended(code)
                    break
                except subprocess.TimeoutExpired:
                    lines = results.read_text().count("\n") if results.exists() else 0
                    if lines == done:  # nothing in all that time
                        failure = f"It did not come to an end within {seconds:g} seconds: an endless loop?"
                        break
                    done = lines
        finally:
            process.kill()
            process.wait()
        lines = results.read_text().splitlines() if results.exists() else []
    reports = [Report(**json.loads(line)) for line in lines[1:]]
    if not failure and len(reports) < len(names):
        failure = "It ended the process."
    if not lines:  # it did not even load: that holds for all
        reports = [Report(name, False, ["raises"], failure, ["calls"]) for name in names]
    return reports, failure


def _ended(code: int) -> str:
    if code < 0:
        return f"It broke down (signal {-code}): too much memory or output, or recursion without end?"
    return "It ended the process."


def _main(path: str, results: str, megabytes: str, *names: str) -> None:
    """In the child process."""
    try:
        import resource
    except ImportError:  # not on this system
        pass
    else:
        resource.setrlimit(resource.RLIMIT_AS, (int(megabytes) * 2**20,) * 2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (OUTPUT,) * 2)
    error, module = "", None
    try:
        spec = importlib.util.spec_from_file_location("submission", path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as failure:
        where = f", line {failure.lineno}" if isinstance(failure, SyntaxError) else ""
        error = f"The file can't be loaded: {type(failure).__name__}: {failure}{where}"
    with open(results, "a") as file:
        file.write(f"{LOADED}\n")
        file.flush()
        for name in names:
            function = getattr(module, name, None)
            if error:
                report = Report(name, False, ["raises"], error, ["calls"])
            elif not callable(function):
                report = Report(name, False, message="not yet written", not_yet=True)
            else:
                report = check(name, function)
            file.write(json.dumps(dataclasses.asdict(report)) + "\n")
            file.flush()


if __name__ == "__main__":
    _main(*sys.argv[1:])
