"""What is known of the curvature of a picture's loss before the first step, for L-BFGS to begin with."""

import numpy as np

from nst_numpy.backends.threads import one_blas_thread

CELLS = 8, 32  # pixels


def precondition(v: np.ndarray) -> np.ndarray:
    """An estimate K of the inverse Hessian of a picture's loss, times a vector, up to a factor.

    Networks that classify photographs respond to edges in gray, of a few pixels' width. They respond less to color, and
    least to how bright broad areas are. So the loss is curved less along those, and a step may go further: with M v the
    mean over the channels, in each channel,

    K v = 2 (v − M v) + M v + 2 (S₈ + S₃₂ + S) M v

    doubles what has no gray, and counts gray up to seven times, the more the broader it is. S takes the mean of all
    pixels, and S_k smooths over k pixels: U D⁻¹ Uᵀ along each axis, where the columns of U are linear interpolation
    from one of the points k pixels apart ("hats"), and D their sums. This is a multilevel preconditioner as in Bramble,
    Pasciak and Xu 1990 (Mathematics of Computation 55), with two levels. Every summand is symmetric, with eigenvalues
    of at least 0, and the first two add up to one with eigenvalues 1 and 2. So those of K are in 1–7.

    Parameters
    ----------
    v : ndarray of float, (H, W, C)
        Not changed.

    Returns
    -------
    ndarray, shape and dtype of v

    Examples
    --------
    >>> import numpy as np
    >>> precondition(np.full((40, 60, 3), 0.1))[0, 0].round(6).tolist()  # uniform gray
    [0.7, 0.7, 0.7]
    >>> precondition(np.full((40, 60, 3), [0.2, -0.1, -0.1]))[0, 0].round(6).tolist()  # color alone
    [0.4, -0.2, -0.2]
    """
    height, width, channels = v.shape
    with one_blas_thread():  # else the sums would depend on their number
        gray = v @ np.full(channels, 1 / channels, v.dtype)
        broad = gray.mean() - gray / 2
        for k in CELLS:
            U, V = hats(height, k, v.dtype), hats(width, k, v.dtype)
            broad += U @ (U.T @ gray @ V) @ V.T
    Kv: np.ndarray = 2 * v
    Kv += 2 * broad[..., None]
    return Kv


def hats(n: int, k: int, dtype: np.dtype) -> np.ndarray:
    """The matrix U D^(−1/2) for n pixels, of shape (n, about n/k): see `precondition`.

    Examples
    --------
    >>> import numpy as np
    >>> U = hats(5, 2, np.dtype(float))
    >>> U.shape, (U @ U.T).sum(axis=1).round(6).tolist()  # it leaves what is uniform as it is
    ((5, 3), [1.0, 1.0, 1.0, 1.0, 1.0])
    """
    tops = np.arange((n - 1) / k + 1)  # the last one is the last pixel, or beyond
    U = np.maximum(0, 1 - np.abs(np.arange(n)[:, None] / k - tops)).astype(dtype)
    scaled: np.ndarray = U / np.sqrt(U.sum(axis=0))
    return scaled
