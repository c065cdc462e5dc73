"""What a network runs on. `plain` is the truth and readable; `fast` is held equal to it by tests."""

from typing import Any, Protocol

import numpy as np


class Backend(Protocol):
    """The functions that a network and an objective call, and all that they call."""

    def prepare(self, kernel: np.ndarray, bias: np.ndarray) -> Any: ...


def create(backend: str | Backend, threads: int | None = None, dtype: np.dtype = np.float32) -> Backend:
    """The backend of a name; a backend itself is handed on."""
    if not isinstance(backend, str):
        return backend
    if backend == "plain":
        from nst_numpy.backends import plain

        return plain
    from nst_numpy.backends.fast import Fast  # Numba takes its time to import

    return Fast(threads, dtype)
