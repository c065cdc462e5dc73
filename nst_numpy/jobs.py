"""Many independent jobs, done in parallel: by processes of this machine, or by any executor, such as a cluster's.

Answers come as they are ready. Nothing is lost with a worker: its jobs are done again, one at a time, so that a job
which ends every worker takes no other with it. What is done is remembered in files: a second run does only what is new.
"""

import concurrent.futures
import contextlib
import json
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from pathlib import Path
from typing import Any

from nst_numpy.backends.threads import available_cores
from nst_numpy.images import write_text

Answer = dict[str, Any]


def answers(
    jobs: Mapping[str, tuple[Any, ...]],
    function: Callable[..., Answer],
    executor: Executor | None = None,
    workers: int | None = None,
) -> Iterator[tuple[str, Answer]]:
    """Do jobs in parallel, and yield the name of each with its answer.

    Parameters
    ----------
    jobs : dict of str to tuple
        The arguments of each job.
    function : callable
        `function(*arguments)` does one, and returns a dict. It raises nothing: what goes wrong is in its answer.
    executor : concurrent.futures.Executor, optional
        By default a pool of processes.
    workers : int, optional
        Their number; by default one for each processor.

    Yields
    ------
    str, dict
        {"error": …} if the worker was lost twice.

    Examples
    --------
    >>> from concurrent.futures import ThreadPoolExecutor
    >>> dict(answers({"a": (3,)}, lambda n: {"square": n**2}, ThreadPoolExecutor()))
    {'a': {'square': 9}}
    """
    lost = []
    for name, answer, error in _round(jobs, function, executor, workers):
        if error:
            lost.append(name)
        else:
            yield name, answer
    for name in lost:
        for _, answer, error in _round({name: jobs[name]}, function, executor, 1):
            yield name, {"error": f"the worker was lost twice ({error})"} if error else answer


def _round(
    jobs: Mapping[str, tuple[Any, ...]],
    function: Callable[..., Answer],
    executor: Executor | None,
    workers: int | None,
) -> Iterator[tuple[str, Answer, str]]:
    """Each job's name and answer, or the error of the executor."""
    with contextlib.ExitStack() as stack:
        if executor is None:
            executor = ProcessPoolExecutor(min(workers or available_cores(), len(jobs) or 1))
            stack.callback(executor.shutdown, cancel_futures=True)
        futures: dict[Future[Answer], str] = {}
        for name, arguments in jobs.items():
            try:
                futures[executor.submit(function, *arguments)] = name
            except Exception as error:  # the pool is broken
                yield name, {}, type(error).__name__
        for future in concurrent.futures.as_completed(futures):
            try:
                yield futures[future], future.result(), ""
            except Exception as error:  # the function raises none: the pool's own
                yield futures[future], {}, type(error).__name__


def remember(path: Path, key: str, answer: Answer) -> None:
    """Keep an answer in a file, with a hash of all that it depends on.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     remember(Path(folder, "a.json"), "hash", {"square": 9})
    ...     recalled(Path(folder, "a.json"), "hash"), recalled(Path(folder, "a.json"), "other")
    ({'square': 9}, None)
    """
    write_text(path, json.dumps({"key": key, **answer}, ensure_ascii=False))


def recalled(path: Path, key: str) -> Answer | None:
    """The answer that an earlier run has kept, if it is about the same; see `remember`."""
    try:
        found: Answer = json.loads(path.read_text(encoding="utf-8"))
        return found if found.pop("key") == key else None
    except (OSError, ValueError, LookupError, AttributeError, RecursionError):
        return None
