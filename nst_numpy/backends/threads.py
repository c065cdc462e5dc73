"""Threads, and the number of BLAS's threads.

Work is cut into pieces by its shape alone, never by the number of threads, and a piece is computed by one thread from
beginning to end: so the results are the same bits for any number of threads.
"""

import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager

from threadpoolctl import LibController, ThreadpoolController

from nst_numpy.validation import check_number


class Workers:
    """A team of threads that share the pieces of a job. Several threads may hand in jobs at once.

    Parameters
    ----------
    threads : int, optional
        How many, the calling one included; by default one for each core that the process may use.

    Raises
    ------
    TypeError, ValueError
        If threads is not a whole number of at least 1.
    """

    def __init__(self, threads: int | None = None):
        if threads is not None:
            check_number("threads", threads, whole=True, least=1)
        self.threads = threads or available_cores()
        self._executor: ThreadPoolExecutor | None = None
        self._process = 0  # whose threads the executor has

    def share(self, pieces: int, work: Callable[[Iterator[int]], None]) -> None:
        """Run `work(indices)` in every thread; the threads draw the indices 0 … pieces − 1 from one iterator.

        When this returns or raises, no thread runs `work` any more: it may write into buffers that are used again.
        """
        indices = iter(range(pieces))
        helpers: list[Future[None]] = []
        try:
            for _ in range(min(self.threads, pieces) - 1):
                helpers.append(self._team().submit(work, indices))
            work(indices)
        except BaseException:
            for _ in indices:  # so that the helpers find no more pieces
                pass
            raise
        finally:
            _wait_for(helpers)
        for helper in helpers:
            if not helper.cancelled():
                helper.result()

    def each(self, pieces: int, do: Callable[[int], None]) -> None:
        """Run `do(index)` for every index 0 … pieces − 1, shared out."""

        def work(indices: Iterator[int]) -> None:
            for index in indices:
                do(index)

        self.share(pieces, work)

    def _team(self) -> ThreadPoolExecutor:
        """The helping threads, started when they are first needed; anew after a fork, which threads do not survive."""
        if self._executor is None or self._process != os.getpid():
            self._executor, self._process = ThreadPoolExecutor(self.threads - 1), os.getpid()
        return self._executor


def _wait_for(helpers: list[Future[None]]) -> None:
    """Wait until all have ended, also through Ctrl-C, which is raised afterwards. What has not begun never will."""
    interruption = None
    while True:
        try:
            wait([helper for helper in helpers if not helper.cancel()])
            break
        except KeyboardInterrupt as error:
            interruption = error
    if interruption is not None:
        raise interruption


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _BlasLimit:
    """BLAS on one thread as long as any session lasts; then as it was.

    The number of BLAS's threads belongs to the whole process, so sessions are registered across all threads of Python.
    A fork takes along the sessions of its thread alone: nobody would ever end the others'.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sessions: dict[object, int] = {}  # each with its thread
        self._libraries: list[LibController] = []
        self._before: list[int] | None = None  # their numbers of threads, while they are limited
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._lock.acquire, after_in_parent=self._lock.release, after_in_child=self._after_fork
            )

    def _after_fork(self) -> None:
        here = threading.get_ident()
        self._sessions = {session: thread for session, thread in self._sessions.items() if thread == here}
        self._lock.release()

    @contextmanager
    def __call__(self) -> Iterator[None]:
        session = object()
        try:
            with self._lock:
                self._sessions[session] = threading.get_ident()
                if self._before is None:
                    self._libraries = self._libraries or ThreadpoolController().select(user_api="blas").lib_controllers
                    self._before = [library.num_threads for library in self._libraries]
                    for library in self._libraries:
                        library.set_num_threads(1)
            yield
        finally:  # whatever of the above was done before an interruption
            with self._lock:
                self._sessions.pop(session, None)
                if not self._sessions and self._before is not None:
                    for library, threads in zip(self._libraries, self._before, strict=True):
                        library.set_num_threads(threads)
                    self._before = None


one_blas_thread = _BlasLimit()
