"""What a network runs on: the protocol that every backend follows, and `create`, which makes one by its name.

`plain` is the readable reference; `fast` computes the same with compiled kernels on all cores, and tests hold the two
equal. The seam lies one level above the layers, so that a backend can fuse what belongs together (convolution, bias and
ReLU) and keep what it likes between the passes.
"""

from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
from numpy.typing import DTypeLike

from nst_numpy.validation import check_choice, check_number

NAMES = ("fast", "plain")


class Backend(Protocol):
    """What a network and an objective call, and all that they call.

    Arrays are (H, W, channels), float32 or float64, in any memory layout; a result has the type of its input.

    *Opaque values.* What `prepare` returns, and the cache that comes second from each forward function, belong to the
    backend: they are handed back to it and never looked into. They are therefore typed `Any`. A cache serves one
    backward call, with the weights and the pooling of its forward call.

    *Memory.* No function changes its arguments, except those that add to `da` or `dx`. A result belongs to the caller
    and is never overwritten by a later call, but it may share memory with its cache, so it must not be changed before
    the backward call. A backend may use the memory of a result again when no array refers to it any more.

    *Threads.* All functions may be called from several threads at once.
    """

    def session(self) -> AbstractContextManager[None]:
        """Return what to enter around a sweep, so that what its calls need is set up once. Sessions may be nested."""
        ...

    def prepare(self, kernel: np.ndarray, bias: np.ndarray, padding: str = "zero") -> Any:
        """Compute what can be computed from the weights alone, once for many passes.

        Parameters
        ----------
        kernel : ndarray, shape (3, 3, C, K)
        bias : ndarray, shape (K,)
            Both may be kept without a copy; they must not change afterwards.
        padding : {"zero", "replicate", "circular"}
            Of the convolutions with these weights, forward and backward; see `layers.pad_forward`.

        Returns
        -------
        prepared : opaque
        """
        ...

    def conv_relu_forward(self, x: np.ndarray, prepared: Any) -> tuple[np.ndarray, Any]:
        """Convolution with bias (stride 1, with the padding that was given to `prepare`), then ReLU.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        prepared : opaque

        Returns
        -------
        y : ndarray, shape (H, W, K)
        cache : opaque
        """
        ...

    def conv_relu_backward(self, dy: np.ndarray, prepared: Any, cache: Any) -> np.ndarray:
        """Gradient of `conv_relu_forward` with respect to its input. ReLU's derivative at 0 is 0.

        Parameters
        ----------
        dy : ndarray, shape (H, W, K)
        prepared, cache : opaque

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, Any]:
        """2×2 pooling with stride 2; the last row or column of an odd size is dropped.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        kind : {"average", "max"}

        Returns
        -------
        y : ndarray, shape (⌊H/2⌋, ⌊W/2⌋, C)
        cache : opaque
        """
        ...

    def pool_backward(self, dy: np.ndarray, kind: str, cache: Any) -> np.ndarray:
        """Gradient of `pool_forward` with respect to its input. Where maxima are equal, the first takes all of it.

        Parameters
        ----------
        dy : ndarray, shape (⌊H/2⌋, ⌊W/2⌋, C)
        kind : {"average", "max"}
        cache : opaque

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...

    def conv_relu_pool_forward(self, x: np.ndarray, prepared: Any, kind: str) -> tuple[np.ndarray, Any]:
        """`conv_relu_forward` and `pool_forward` in one call, where nobody needs the response between them.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        prepared : opaque
        kind : {"average", "max"}

        Returns
        -------
        y : ndarray, shape (⌊H/2⌋, ⌊W/2⌋, K)
        cache : opaque
        """
        ...

    def conv_relu_pool_backward(self, dy: np.ndarray, prepared: Any, kind: str, cache: Any) -> np.ndarray:
        """Gradient of `conv_relu_pool_forward` with respect to its input.

        Parameters
        ----------
        dy : ndarray, shape (⌊H/2⌋, ⌊W/2⌋, K)
        prepared : opaque
        kind : {"average", "max"}
        cache : opaque

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...

    def gram(self, a: np.ndarray) -> np.ndarray:
        """Gram matrix G = F Fᵀ of a response; F (N × M) has its channels as rows.

        Parameters
        ----------
        a : ndarray, shape (H, W, N)

        Returns
        -------
        ndarray, shape (N, N)
        """
        ...

    def gram_backward(self, dG: np.ndarray, a: np.ndarray, da: np.ndarray | None = None) -> np.ndarray:
        """Gradient (dG + dGᵀ) F of `gram` with respect to the response.

        Parameters
        ----------
        dG : ndarray, shape (N, N)
        a : ndarray, shape (H, W, N)
        da : ndarray, shape (H, W, N), optional
            A running gradient, writable and of the type of `a`, that shares no memory with it. The gradient is added to
            it in place. Any memory layout will do; C-contiguous is fastest.

        Returns
        -------
        ndarray, shape (H, W, N)
            `da` itself if it was given, else a new array.
        """
        ...

    def content(self, a: np.ndarray, P: np.ndarray) -> float:
        """½ Σ (F − P)² of a response, whose F is (N × M), and a target; summed in float64.

        Parameters
        ----------
        a : ndarray, shape (H, W, N)
        P : ndarray, shape (N, M)

        Returns
        -------
        float
        """
        ...

    def content_backward(self, a: np.ndarray, P: np.ndarray, factor: float, da: np.ndarray | None = None) -> np.ndarray:
        """Gradient factor · (F − P) of `content`, times a factor, with respect to the response.

        Parameters
        ----------
        a : ndarray, shape (H, W, N)
        P : ndarray, shape (N, M)
        factor : float
        da : ndarray, shape (H, W, N), optional
            As in `gram_backward`.

        Returns
        -------
        ndarray, shape (H, W, N)
        """
        ...

    def variation(self, x: np.ndarray) -> float:
        """½ Σ d² over the differences d between neighbours in an image, down and to the right; summed in float64.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)

        Returns
        -------
        float
        """
        ...

    def variation_backward(self, x: np.ndarray, factor: float, dx: np.ndarray | None = None) -> np.ndarray:
        """Gradient of `variation`, times a factor, with respect to the image.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        factor : float
        dx : ndarray, shape (H, W, C), optional
            As `da` in `gram_backward`.

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...


def create(backend: str | Backend, threads: int | None = None, dtype: DTypeLike = np.float32) -> Backend:
    """The backend of a name; a backend itself is handed on.

    Parameters
    ----------
    backend : {"fast", "plain"} or Backend
    threads : int, optional
        For the fast backend; by default one for each core.
    dtype : float32 or float64
        The type that the fast backend compiles for at once.

    Returns
    -------
    Backend

    Raises
    ------
    TypeError
        If the backend is neither a name nor an object with the functions of `Backend`, or threads is no number.
    ValueError
        If there is no backend of that name, or threads is not a whole number of at least 1.

    Examples
    --------
    >>> import numpy as np
    >>> plain = create("plain")
    >>> plain.gram(np.ones((2, 2, 1)))
    array([[4.]])
    >>> create(plain) is plain
    True
    """
    if threads is not None:
        check_number("threads", threads, whole=True, least=1)
    if not isinstance(backend, str):
        functions = [name for name in vars(Backend) if not name.startswith("_")]
        missing = [name for name in functions if not callable(getattr(backend, name, None))]
        if missing:
            raise TypeError(
                f"backend must be one of {', '.join(NAMES)}, or an object with the functions of "
                f"nst_numpy.backends.Backend, found {type(backend).__name__} without {', '.join(missing)}"
            )
        return backend
    check_choice("backend", backend, NAMES)
    if backend == "plain":
        from nst_numpy.backends import plain

        return plain
    from nst_numpy.backends.fast import Fast  # Numba takes its time to import

    return Fast(threads, dtype)
