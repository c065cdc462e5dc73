"""Solutions in NumPy alone, for the teacher's version of a sheet.

Where the library's own function needs nothing but NumPy, that is the solution. The others are written out here.
"""

import inspect
import sys

import numpy as np

from nst_numpy.exercises.topics import get


def solution(name: str) -> str:
    """The body of a function that solves an exercise.

    Parameters
    ----------
    name : str
        Of the exercise.

    Returns
    -------
    str
        Its lines, indented. They need nothing but `np`.

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> print(solution("gram"))
        return F @ F.T
    """
    own = get(name).function
    source = inspect.getsource(getattr(sys.modules[__name__], name, own))
    return source.split('"""')[2].strip("\n")


def conv_backward_input(dy: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Scatter dy through the transpose of each of the nine kernel matrices, and drop the border."""
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] += dy @ kernel[i, j].T
    return dx[1:-1, 1:-1]


def conv_backward_kernel(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
    """One matrix product for each offset: the shifted image by dy."""
    H, W, C = x.shape
    K = dy.shape[2]
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dkernel = np.zeros((3, 3, C, K))
    for i in range(3):
        for j in range(3):
            dkernel[i, j] = padded[i : i + H, j : j + W].reshape(H * W, C).T @ dy.reshape(H * W, K)
    return dkernel


def max_pool_backward(dy: np.ndarray, x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Add dy where the first of the largest elements is."""
    dx = np.zeros(x.shape)
    for r, s, c in np.ndindex(dy.shape):
        seen = x[r * stride : r * stride + window, s * stride : s * stride + window, c]
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        dx[r * stride + i, s * stride + j, c] += dy[r, s, c]
    return dx


def average_pool_backward(dy: np.ndarray, x: np.ndarray, window: int = 2, stride: int = 2) -> np.ndarray:
    """Add dy/window² to every element of the window."""
    dx = np.zeros(x.shape)
    for r, s in np.ndindex(dy.shape[:2]):
        dx[r * stride : r * stride + window, s * stride : s * stride + window] += dy[r, s] / window**2
    return dx


def style_loss(F: np.ndarray, A: np.ndarray) -> float:
    """Equation 4 of the paper."""
    N, M = F.shape
    G = F @ F.T
    return float(np.sum((G - A) ** 2)) / (4 * N**2 * M**2)


def style_gradient(F: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Equation 6 of the paper, first case."""
    N, M = F.shape
    G = F @ F.T
    return (G - A) @ F / (N**2 * M**2)


def style_gradient_of_map(a: np.ndarray, A: np.ndarray) -> np.ndarray:
    """The same, from a to F and back."""
    H, W, N = a.shape
    M = H * W
    F = a.reshape(M, N).T
    dF = (F @ F.T - A) @ F / (N**2 * M**2)
    return dF.T.reshape(H, W, N)


def total_gradient(F: np.ndarray, P: np.ndarray, A: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """The weighted sum of both gradients."""
    N, M = F.shape
    G = F @ F.T
    return alpha * (F - P) + beta * (G - A) @ F / (N**2 * M**2)
