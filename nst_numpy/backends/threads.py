"""Threads, the number of BLAS's threads, and buffers that are used again.

Work is cut into pieces by its shape alone, never by the number of threads, and a piece is computed by one thread from
beginning to end: so the results are the same bits for any number of threads.
"""

import math
import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
from threadpoolctl import ThreadpoolController


class Workers:
    """A team of threads that share out the pieces of one job at a time.

    Parameters
    ----------
    threads : int, optional
        How many, the calling one included; by default one for each core that the process may use.
    """

    def __init__(self, threads: int | None = None):
        self.threads = threads or available_cores()
        self._executor: ThreadPoolExecutor | None = None
        self._process = 0

    def share(self, pieces: int, work: Callable[[Iterator[int]], None]) -> None:
        """Run `work(indices)` in every thread; the threads draw the indices 0 … pieces − 1 from one iterator."""
        indices = iter(range(pieces))
        helpers = min(self.threads, pieces) - 1
        if helpers > 0 and (self._executor is None or self._process != os.getpid()):  # threads do not survive a fork
            self._executor, self._process = ThreadPoolExecutor(self.threads - 1), os.getpid()
        futures = [self._executor.submit(work, indices) for _ in range(helpers)]
        try:
            work(indices)
        finally:
            for future in futures:  # wait also after an error or Ctrl-C here: the others write into shared buffers
                future.exception()
        for future in futures:
            future.result()

    def each(self, pieces: int, do: Callable[[int], None]) -> None:
        """Run `do(index)` for every index 0 … pieces − 1, shared out."""

        def work(indices: Iterator[int]) -> None:
            for index in indices:
                do(index)

        self.share(pieces, work)


def available_cores() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _BlasLimit:
    """BLAS on one thread as long as anybody wants it so; then as it was.

    The number of BLAS's threads belongs to the whole process, so this is counted across all threads of Python.
    """

    def __init__(self):
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._lock, self._count, self._limiter, self._controller = threading.Lock(), 0, None, None

    @contextmanager
    def __call__(self):
        with self._lock:
            self._count += 1
            if self._count == 1:
                self._controller = self._controller or ThreadpoolController()
                self._limiter = self._controller.limit(limits=1, user_api="blas")
                self._limiter.__enter__()
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                if self._count == 0 and self._limiter is not None:
                    self._limiter.__exit__(None, None, None)
                    self._limiter = None


one_blas_thread = _BlasLimit()


class Buffers:
    """Arrays for results, in memory that is used again and again.

    A large array costs more to get from the system, page by page, than to fill. So memory is taken in large blocks (of
    which the system hands out only the pages that are touched) and kept; arrays are pieces of a block, each at the
    lowest place that is free. All views of a piece refer to it; when nobody but this class does, its place is free.
    """

    BLOCK, ALIGNMENT = 2**30, 64  # bytes

    def __init__(self):
        self._blocks: list[tuple[np.ndarray, list[tuple[int, int, np.ndarray]]]] = []  # memory, (start, end, piece) …
        self._lock = threading.Lock()

    def take(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of this shape and type with any content."""
        count = math.prod(shape) * np.dtype(dtype).itemsize
        size = -(-max(count, 1) // self.ALIGNMENT) * self.ALIGNMENT
        with self._lock:
            for memory, pieces in self._blocks:
                start = self._place(memory.nbytes, pieces, size)
                if start is not None:
                    break
            else:
                try:
                    memory = np.empty(max(size, self.BLOCK), np.uint8)
                except MemoryError:
                    memory = np.empty(size, np.uint8)
                start, pieces = 0, []
                self._blocks.append((memory, pieces))
            # Made from a memoryview, the piece is the base of its views (an array's views refer to the array's base).
            piece = np.frombuffer(memoryview(memory)[start : start + size], np.uint8)
            pieces.append((start, start + size, piece))
            pieces.sort(key=lambda p: p[0])
            return piece[:count].view(dtype).reshape(shape)

    @staticmethod
    def _place(limit: int, pieces: list[tuple[int, int, np.ndarray]], size: int) -> int | None:
        """Drop the pieces that are free, and find the lowest place for `size` bytes."""
        for k in reversed(range(len(pieces))):
            if sys.getrefcount(pieces[k][2]) == 2:  # the tuple, and the argument
                del pieces[k]
        start = 0
        for first, end, _ in pieces:
            if first - start >= size:
                return start
            start = end
        return start if limit - start >= size else None
