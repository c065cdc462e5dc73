"""Options of the commands that share out their work: what is done again, and by whom."""

import argparse
import contextlib
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import Any


def add(command: argparse.ArgumentParser, doing: str, workers: str) -> None:
    """Add the options, with words for what is done and for the number of workers by default."""
    command.add_argument("--again", action="store_true", help=f"{doing} everything again, not only what is new")
    command.add_argument("--workers", metavar="N", type=int, help=f"processes; by default {workers}")
    add_scheduler(command, "do the work")


def add_scheduler(command: argparse.ArgumentParser, doing: str) -> None:
    """Add the option of a Dask cluster."""
    command.add_argument("--scheduler", metavar="ADDRESS", help=f"of a Dask cluster that is to {doing}")


@contextlib.contextmanager
def executor(address: str | None) -> Iterator[Executor | None]:
    """The executor of the Dask cluster with this address; None for None.

    Raises
    ------
    ValueError
        If Dask is not installed.
    """
    if address is None:
        yield None
        return
    try:
        from distributed import Client
    except ImportError:
        raise ValueError("--scheduler needs Dask: pip install 'nst_numpy[dask]'") from None
    with Client(address) as client:
        yield client.get_executor()


@contextlib.contextmanager
def keywords(options: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """The options as keywords of `grade` and `sweep`, which keep what is done when they are interrupted.

    Raises
    ------
    ValueError
        If there are workers and a scheduler, or Dask is not installed.
    """
    given = {"again": options.again, "workers": options.workers}
    with goes_on():
        if options.scheduler is None:
            yield given
            return
        if options.workers is not None:
            raise ValueError("--workers is for this machine, a Dask cluster has its own: leave it out with --scheduler")
        with executor(options.scheduler) as cluster:
            yield given | {"executor": cluster}


@contextlib.contextmanager
def goes_on() -> Iterator[None]:
    """Let Ctrl-C say that nothing is lost."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on where it stopped") from None
