"""Checking a gradient against finite differences.

The derivative of f at x along a direction u is approximately (f(x + h u) − f(x − h u)) / 2h. The error of this central
difference is of the order h² from the curvature of f, plus about 1e-16 · |f| / h from rounding: with float64 and h near
1e-5 both are small. With float32 they never are; so everything here is float64.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class GradientCheck:
    """What `gradcheck` found. It is true if the gradient passed, and prints as one line.

    Attributes
    ----------
    passed : bool
        norm_ratio and max_relative_error are both at most rtol.
    norm_ratio : float
        ‖analytic − numeric‖ / max(‖analytic‖, ‖numeric‖), over what was compared; 0 if both are zero.
    max_relative_error : float
        Largest difference of two elements, divided by the largest element of either.
    worst_index : tuple of int or None
        Where in x that difference is; None for a check along one direction.
    analytic, numeric : ndarray, shape (n,)
        The gradient given, and the differences: at the coordinates compared, or along the one direction.
    indices : ndarray of int, shape (n,)
        Which coordinates these are (of x flattened); empty for a check along one direction.
    rtol : float
    """

    passed: bool
    norm_ratio: float
    max_relative_error: float
    worst_index: tuple[int, ...] | None
    analytic: np.ndarray
    numeric: np.ndarray
    indices: np.ndarray
    rtol: float

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        worst = int(np.argmax(np.abs(self.analytic - self.numeric)))
        where = "along one direction" if self.worst_index is None else f"worst at {self.worst_index}"
        return (
            f"gradient {'passed' if self.passed else 'FAILED'}: norm ratio {self.norm_ratio:.1e}, largest error "
            f"{self.max_relative_error:.1e} (rtol {self.rtol:.0e}), {len(self.analytic)} compared, {where}: "
            f"analytic {self.analytic[worst]:.6g}, numeric {self.numeric[worst]:.6g}"
        )


def gradcheck(
    function: Callable[[np.ndarray], float],
    gradient: Callable[[np.ndarray], np.ndarray] | np.ndarray,
    x: np.ndarray,
    *,
    mode: str = "auto",
    samples: int = 100,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> GradientCheck:
    """Compare a gradient with central differences of its function, in float64.

    Choose x away from kinks (where a ReLU switches, or the largest element of a pooling window changes) and away from
    places where the gradient is zero anyway: there a check says nothing, or fails for a right gradient.

    Parameters
    ----------
    function : callable
        `function(x)` is a scalar.
    gradient : callable or ndarray, shape of x
        `gradient(x)`, or its value.
    x : ndarray, any shape
        Converted to float64; not changed.
    mode : {"auto", "all", "sample", "direction"}
        Compare all coordinates; or some, drawn at random; or the derivative along one random direction, which costs two
        evaluations for x of any size. "auto" is "all" for up to `samples` coordinates, and "sample" beyond.
    samples : int
        How many coordinates to draw.
    h : float
        Step. Larger is better for a function that is linear or quadratic in x, where there is no error from curvature.
    rtol : float
        What passes.
    seed : int
        For the draw.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ValueError
        If the mode is unknown, x is empty, or the gradient has another shape than x.

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([1.0, 2.0, 3.0])
    >>> gradcheck(lambda x: 0.5 * np.sum(x**2), lambda x: x, x).passed
    True
    >>> gradcheck(lambda x: 0.5 * np.sum(x**2), lambda x: 2 * x, x).passed
    False
    """
    x = np.array(x, np.float64)
    given = np.asarray(gradient(x.copy()) if callable(gradient) else gradient, np.float64)
    if mode not in ("auto", "all", "sample", "direction"):
        raise ValueError(f'mode must be "auto", "all", "sample" or "direction", found {mode!r}')
    if x.size == 0 or given.shape != x.shape:
        raise ValueError(f"the gradient must have the shape of x, {x.shape}, and not be empty; found {given.shape}")

    def along(u: np.ndarray) -> float:
        return (float(function(x + h * u)) - float(function(x - h * u))) / (2 * h)

    rng = np.random.default_rng(seed)
    if mode == "direction":
        indices = np.empty(0, int)
        u = rng.standard_normal(x.shape)
        analytic, numeric = np.array([np.sum(given * u)]), np.array([along(u)])
    else:
        every = mode == "all" or (mode == "auto" and x.size <= samples)
        indices = np.arange(x.size) if every else np.sort(rng.choice(x.size, min(samples, x.size), replace=False))
        analytic, numeric = given.ravel()[indices], np.empty(len(indices))
        for n, index in enumerate(indices):
            u = np.zeros(x.size)
            u[index] = 1
            numeric[n] = along(u.reshape(x.shape))

    difference = np.abs(analytic - numeric)
    norm_ratio = _ratio(np.linalg.norm(difference), np.linalg.norm(analytic), np.linalg.norm(numeric))
    max_relative_error = _ratio(difference.max(), np.abs(analytic).max(), np.abs(numeric).max())
    worst = tuple(map(int, np.unravel_index(indices[difference.argmax()], x.shape))) if len(indices) else None
    passed = bool(norm_ratio <= rtol and max_relative_error <= rtol)
    return GradientCheck(passed, norm_ratio, max_relative_error, worst, analytic, numeric, indices, rtol)


def _ratio(difference: float, *sizes: float) -> float:
    """The difference over the largest of sizes; 0 for 0/0, NaN stays NaN."""
    return float(difference / max(sizes)) if max(sizes) else float(difference)
