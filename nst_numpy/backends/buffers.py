"""Memory for results that is used again and again.

A large array costs more to get from the system, page by page, than to fill. So memory is taken in large blocks (of
which the system hands out only the pages that are touched) and kept; arrays are pieces of a block, each at the lowest
place that is free.
"""

import math
import os
import threading
import weakref

import numpy as np
from numpy.typing import DTypeLike

Piece = tuple[int, int, weakref.ref[np.ndarray]]  # start, end (bytes), and the array there

# One lock for all, held by whoever forks: so a child never inherits it locked, or a list that is being changed.
_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release, after_in_child=_lock.release)


class Buffers:
    """Arrays for results. When no array refers to a piece of memory any more, its place is free.

    All views of a piece refer to it, and this class refers to it weakly. Dead references are noticed by the next
    `take`: there are no callbacks, which could run at any moment.
    """

    BLOCK, ALIGNMENT = 2**30, 64  # bytes

    def __init__(self) -> None:
        self._blocks: list[tuple[np.ndarray, list[Piece]]] = []  # memory, and the pieces in use, by their start

    @property
    def nbytes(self) -> int:
        """Memory reserved, in bytes; the system has handed out only what was used of it."""
        return sum(memory.nbytes for memory, _ in self._blocks)

    def take(self, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """A C-contiguous array of this shape and type with any content."""
        count = math.prod(shape) * np.dtype(dtype).itemsize
        size = -(-max(count, 1) // self.ALIGNMENT) * self.ALIGNMENT
        with _lock:
            for memory, pieces in self._blocks:
                place = self._place(memory.nbytes, pieces, size)
                if place is not None:
                    break
            else:
                try:
                    memory = np.empty(max(size, self.BLOCK), np.uint8)
                except MemoryError:
                    memory = np.empty(size, np.uint8)
                place, pieces = (0, 0), []
                self._blocks.append((memory, pieces))
            index, start = place
            # Made from a memoryview, the piece is the base of its views (an array's views refer to the array's base).
            piece = np.frombuffer(memory.data[start : start + size], np.uint8)
            pieces.insert(index, (start, start + size, weakref.ref(piece)))
        return piece[:count].view(dtype).reshape(shape)

    @staticmethod
    def _place(limit: int, pieces: list[Piece], size: int) -> tuple[int, int] | None:
        """Drop the pieces that are free, and find the lowest place for `size` bytes: its index in `pieces`, its start.

        An interruption between any two steps leaves a list in order (a sort would not).
        """
        for k in reversed(range(len(pieces))):
            if pieces[k][2]() is None:
                del pieces[k]
        start = 0
        for index, (first, end, _) in enumerate(pieces):
            if first - start >= size:
                return index, start
            start = end
        return (len(pieces), start) if limit - start >= size else None
