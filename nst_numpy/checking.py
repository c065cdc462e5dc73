"""Checking a gradient against finite differences, and saying what is wrong with it.

The derivative of f at x along a direction u is approximately (f(x + h u) − f(x − h u)) / 2h. The error of this central
difference is of the order h² from the curvature of f, plus about 1e-16 · |f| / h from rounding: with float64 and h near
1e-5 both are small. In float32 they never are: everything here is float64, as far as the function allows it.

Where f has a kink (a ReLU switches, two elements of a pooling window are equal), it has two slopes, and every number
between them is a subgradient. Such coordinates are found by the slopes on either side, left out, and counted.
"""

import inspect
import io
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from nst_numpy.validation import check_choice, check_number, checked, real_array, warn

Value = Callable[[np.ndarray], float]
FLOAT32_STEP, FLOAT32_RTOL = 1e-2, 3e-2  # the best that float32 can do
ROUNDING = 4  # errors of the value, in units of its last place, that a difference may have


@dataclass(frozen=True, eq=False)
class GradientCheck:
    """What `gradcheck` found. It is true if the gradient passed, and prints as one line.

    Attributes
    ----------
    passed : bool
        norm_ratio and max_relative_error are both at most rtol, and nothing else is wrong.
    norm_ratio : float
        ‖analytic − numeric‖ / max(‖analytic‖, ‖numeric‖), over what was compared; 0 if both are zero.
    max_relative_error : float
        Largest difference of two elements, divided by the largest element of either.
    worst_index : tuple of int or None
        Where in x that difference is; None for a check along one direction, or if nothing could be compared.
    analytic, numeric : ndarray, shape (n,)
        The gradient given, and the differences: at the coordinates compared, or along the one direction.
    indices : ndarray of int, shape (n,)
        Which coordinates these are (of x flattened); empty for a check along one direction.
    kinks : int
        Number of coordinates left out: the function has a kink there, and the gradient lies between its two slopes.
    diagnosis : tuple of str
        What is wrong, as far as the numbers tell: some of "constant-factor", "sign", "transposed", "wrong-shape",
        "mutates-input", "accumulates" and "not-finite"; or "rounding", if the differences are too rough to tell.
    message : str
        The diagnosis in words, with the evidence.
    shape : tuple of int
        Of x.
    rtol : float
    """

    passed: bool
    norm_ratio: float
    max_relative_error: float
    worst_index: tuple[int, ...] | None
    analytic: np.ndarray
    numeric: np.ndarray
    indices: np.ndarray
    kinks: int
    diagnosis: tuple[str, ...]
    message: str
    shape: tuple[int, ...]
    rtol: float

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "UNDECIDED" if self.diagnosis == ("rounding",) else "FAILED"
        line = f"gradient {verdict}: "
        if self.message:
            line += self.message + "; "
        left_out = f" ({self.kinks} left out at kinks)" if self.kinks else ""
        if len(self.analytic) == 0:
            return line + "nothing could be compared" + left_out
        worst = int(np.argmax(np.abs(self.analytic - self.numeric)))
        where = "along one direction" if self.worst_index is None else f"worst at {self.worst_index}"
        return line + (
            f"norm ratio {self.norm_ratio:.1e}, largest error {self.max_relative_error:.1e} (rtol {self.rtol:.0e}), "
            f"{len(self.analytic)} compared{left_out}, {where}: "
            f"analytic {self.analytic[worst]:.6g}, numeric {self.numeric[worst]:.6g}"
        )

    __repr__ = __str__

    def error_map(self) -> np.ndarray:
        """|analytic − numeric| over the largest element of either, in the shape of x; NaN where not compared."""
        error = np.full(int(np.prod(self.shape)), np.nan)
        error[self.indices] = np.abs(self.analytic - self.numeric)[: len(self.indices)]
        largest = np.abs([self.analytic, self.numeric]).max(initial=0)
        return error.reshape(self.shape) / (largest or 1)

    def _repr_png_(self) -> bytes | None:
        """The error map as a picture, for a notebook: rows and columns of x, the largest over its channels."""
        if len(self.indices) == 0 or len(self.shape) < 2:
            return None
        from matplotlib.figure import Figure  # slow to import

        with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # places with nothing but NaN
            error = np.nanmax(self.error_map().reshape(*self.shape[:2], -1), axis=2)
        figure = Figure(figsize=(5, 3.5), layout="constrained")
        axes = figure.subplots()
        picture = axes.imshow(np.log10(np.maximum(error, 1e-12)), vmin=-12, vmax=0, cmap="magma", interpolation="none")
        figure.colorbar(picture, label="log₁₀ of the relative error")
        axes.set_title("passed" if self.passed else "FAILED: " + (", ".join(self.diagnosis) or "see the line"))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png")
        return buffer.getvalue()


@checked()
def gradcheck(
    function: Callable[[np.ndarray], Any],
    gradient: Callable[..., Any] | np.ndarray | None,
    x: ArrayLike,
    *,
    mode: str = "auto",
    samples: int = 100,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> GradientCheck:
    """Compare a gradient with central differences of its function, in float64, and say what is wrong with it.

    Choose x away from points where the gradient is zero anyway (the target of a loss): a check there says nothing.

    Parameters
    ----------
    function : callable
        `function(x)` is a scalar, or an array y. An array is contracted with a random dy, drawn from the seed: what is
        checked is then the gradient of Σ dy · y, which is what a backward function computes. Of a tuple, as `minimize`
        takes it, the first element counts. Neither the function nor the gradient may change x or dy in place.
    gradient : callable or ndarray, shape of x, or None
        For a scalar function `gradient(x)`, or its value. For an array function the backward `gradient(dy, x)`. None if
        the function returns (value, gradient), or more.
    x : ndarray, any shape
        Converted to float64; not changed. If the function takes or returns float32 only, there is a warning, and step
        and tolerance become those that float32 allows.
    mode : {"auto", "all", "sample", "direction"}
        Compare all coordinates; or some, drawn at random; or the derivative along one random direction, which costs two
        evaluations for x of any size. "auto" is "all" for up to `samples` coordinates, and "sample" beyond.
    samples : int
        Number of coordinates drawn.
    h : float
        Step. Larger is better for a function that is linear or quadratic in x, where there is no error from curvature.
    rtol : float
        The largest norm ratio, and the largest relative error, that pass.
    seed : int
        Of the random draws.

    Returns
    -------
    GradientCheck

    Raises
    ------
    ValueError
        If the mode is unknown, a number is out of range, x is empty, the function returns no numbers, or it returns an
        array and the gradient is not callable as (dy, x).
    TypeError
        If a number is none.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.layers import relu_backward, relu_forward
    >>> x = np.array([1.0, -2.0, 3.0])
    >>> gradcheck(relu_forward, relu_backward, x).passed
    True
    >>> gradcheck(lambda x: 0.5 * np.sum(x**2), lambda x: 2 * x, x).diagnosis
    ('constant-factor',)
    >>> gradcheck(lambda x: (0.5 * np.sum(x**2), x), None, x).passed
    True
    """
    check_choice("mode", mode, ("auto", "all", "sample", "direction"))
    check_number("samples", samples, whole=True, least=1)
    check_number("h", h, least=1e-300)
    check_number("rtol", rtol)
    check_number("seed", seed, whole=True)
    x = real_array("x", x)
    if x.size == 0:
        raise ValueError(f"x must not be empty, found shape {x.shape}")
    rng = np.random.default_rng(seed)
    if gradient is None:
        both, gradient = function, lambda x: _second(both(x))
    function = _first_of(function)
    x, y, changed = _in_float64(function, x)
    if getattr(y, "dtype", np.float64) in (np.float32, np.float16):
        warn(
            f"the function computes in {y.dtype}, in which differences are off by 1 % and more; "
            "let it compute in float64 for a meaningful check"
        )
        h, rtol = max(h, FLOAT32_STEP), max(rtol, FLOAT32_RTOL)
    arguments = {"x": x}
    takes = _number_of_arguments(gradient) if callable(gradient) else 1
    if np.ndim(y) > 0 and (np.size(y) != 1 or takes == 2):
        if not callable(gradient) or takes == 1:
            raise ValueError(
                f"the function returns an array of shape {np.shape(y)}: let it return one number, such as its sum, or "
                "give its backward as gradient, callable as (dy, x)"
            )
        dy = rng.standard_normal(np.shape(y))
        arguments = {"dy": dy, "x": x}

        def value(x: np.ndarray) -> float:
            return float(np.sum(dy * function(x)))

    else:

        def value(x: np.ndarray) -> float:
            return float(np.asarray(function(x)).reshape(()))

    if callable(gradient):
        given, findings = _call(gradient, arguments)
    else:
        given, findings = np.asarray(gradient, np.float64), {}
    if changed:
        also = [findings["mutates-input"]] if "mutates-input" in findings else []
        findings["mutates-input"] = "; ".join(["the function changes its input in place", *also])
    if given.shape != x.shape:
        turned = "; its transpose would fit" if given.shape == x.shape[::-1] else ""
        findings["wrong-shape"] = f"the gradient must have the shape of x, {x.shape}, found {given.shape}{turned}"
        none, words = np.empty(0), "; ".join(findings.values())
        return GradientCheck(
            False, np.inf, np.inf, None, none, none, none.astype(int), 0, tuple(findings), words, x.shape, rtol
        )

    if mode == "direction":
        indices, kinks = np.empty(0, int), 0
        u = rng.standard_normal(x.shape)
        analytic, numeric = np.array([np.sum(given * u)]), np.array([_slope(value, x, h * u) / h])
    else:
        every = mode == "all" or (mode == "auto" and x.size <= samples)
        indices = np.arange(x.size) if every else np.sort(rng.choice(x.size, min(samples, x.size), replace=False))
        numeric = np.array([_slope(value, x, step) / h for step in _unit_steps(x, indices, h)])
        analytic = given.ravel()[indices]
        smooth = _without_kinks(value, x, analytic, numeric, indices, h, rtol)
        kinks = int(np.sum(~smooth))
        analytic, numeric, indices = analytic[smooth], numeric[smooth], indices[smooth]

    difference = np.abs(analytic - numeric)
    norm_ratio = _ratio(np.linalg.norm(difference), np.linalg.norm(analytic), np.linalg.norm(numeric))
    max_relative_error = _ratio(*(np.abs(a).max(initial=0) for a in (difference, analytic, numeric)))
    worst = tuple(map(int, np.unravel_index(indices[difference.argmax()], x.shape))) if len(indices) else None
    if not (norm_ratio <= rtol and max_relative_error <= rtol and np.isfinite(given).all()):
        uncertain = ROUNDING * np.finfo(np.float64).eps * abs(value(x)) / h
        if np.isfinite(given).all() and np.all(difference <= uncertain):
            findings["rounding"] = (
                f"the value {value(x):.3g} is so large that its rounding makes the differences uncertain by "
                f"{uncertain:.1g}; take away what is constant, or choose a larger h"
            )
        else:
            findings |= _diagnosis(given, analytic, numeric, indices, max(1e-4, 10 * rtol))
    passed = bool(norm_ratio <= rtol and max_relative_error <= rtol) and not findings
    return GradientCheck(
        passed,
        norm_ratio,
        max_relative_error,
        worst,
        analytic,
        numeric,
        indices,
        kinks,
        tuple(findings),
        "; ".join(findings.values()),
        x.shape,
        rtol,
    )


def _first_of(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function, or of a tuple (value, gradient, …) the value."""

    def value(x: np.ndarray) -> Any:
        y = function(x)
        y = y[0] if isinstance(y, tuple) and y else y
        if np.asarray(y).dtype.kind not in "biuf":
            raise ValueError(f"the function must return a number or an array of numbers, found {type(y).__name__}")
        return y

    return value


def _second(y: Any) -> Any:
    if not (isinstance(y, tuple) and len(y) > 1):
        raise ValueError(f"without a gradient, the function must return (value, gradient), found {type(y).__name__}")
    return y[1]


def _number_of_arguments(function: Callable[..., Any]) -> int | None:
    """How many arguments it needs; None if that is unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # some that are written in C have none
        return None
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    if any(p.kind == p.VAR_POSITIONAL for p in parameters):
        return None
    return sum(p.default is p.empty for p in positional)


def _in_float64(function: Callable[..., Any], x: np.ndarray) -> tuple[np.ndarray, Any, bool]:
    """The input in float64, or as it is if the function takes it only so; the function there; whether it changed it."""
    try:
        used = x.astype(np.float64)
        seen = used.copy()
        y = function(seen)
    except (TypeError, ValueError):
        if x.dtype == np.float64 or x.dtype.kind != "f":
            raise
        used, seen = x.copy(), x.copy()
        y = function(seen)
    return used, y, not np.array_equal(seen, used, equal_nan=True)


def _call(gradient: Callable[..., Any], arguments: dict[str, np.ndarray]) -> tuple[np.ndarray, dict[str, str]]:
    """The gradient at its arguments, and what is wrong with the way in which it was computed."""
    findings = {}
    seen = [argument.copy() for argument in arguments.values()]
    given = np.array(gradient(*seen), np.float64)
    pairs = zip(arguments.items(), seen, strict=True)
    changed = [name for (name, argument), a in pairs if not np.array_equal(argument, a, equal_nan=True)]
    if changed:
        findings["mutates-input"] = f"the gradient function changes {' and '.join(changed)} in place"
    again = np.asarray(gradient(*(argument.copy() for argument in arguments.values())), np.float64)
    if given.shape == again.shape and not np.allclose(given, again, rtol=1e-9, atol=0, equal_nan=True):
        findings["accumulates"] = "a second call returns another gradient: something is kept from call to call"
    return given, findings


def _slope(value: Value, x: np.ndarray, step: np.ndarray) -> float:
    return (value(x + step) - value(x - step)) / 2


def _unit_steps(x: np.ndarray, indices: np.ndarray, h: float) -> Iterator[np.ndarray]:
    for index in indices:
        step = np.zeros_like(x, order="C")
        step.reshape(-1)[index] = h
        yield step


def _without_kinks(
    value: Value,
    x: np.ndarray,
    analytic: np.ndarray,
    numeric: np.ndarray,
    indices: np.ndarray,
    h: float,
    rtol: float,
) -> np.ndarray:
    """Which coordinates to compare; refines `numeric` in place where a kink is near, but not at x.

    Only coordinates where the gradient disagrees are examined. The slopes on either side are taken with smaller and
    smaller steps. If they come together (for a smooth function their distance shrinks with the step), their mean is the
    derivative. If they don't, x is at a kink, and what lies between them is right.
    """
    size = max(np.abs(numeric).max(initial=0), np.abs(analytic[np.isfinite(analytic)]).max(initial=0))
    smooth = np.ones(len(indices), bool)
    here = value(x)
    for n in np.flatnonzero(~(np.abs(analytic - numeric) <= rtol * size)):
        gaps = []
        for smaller in (h, h / 10, h / 100):
            step = next(_unit_steps(x, indices[n : n + 1], smaller))
            right, left = (value(x + step) - here) / smaller, (here - value(x - step)) / smaller
            tolerance = rtol * size + 1e-15 * abs(here) / smaller
            gaps.append(abs(right - left))
            if gaps[-1] <= max(tolerance, 0.2 * gaps[0]):
                if abs((right + left) / 2 - numeric[n]) > 2 * tolerance:
                    numeric[n] = (right + left) / 2
                break
        else:
            smooth[n] = not min(left, right) - tolerance <= analytic[n] <= max(left, right) + tolerance
    return smooth


def _diagnosis(
    given: np.ndarray, analytic: np.ndarray, numeric: np.ndarray, indices: np.ndarray, tolerance: float
) -> dict[str, str]:
    """What the numbers tell about a wrong gradient: the code of the finding, and its words."""
    if not np.isfinite(given).all():
        where = tuple(map(int, np.argwhere(~np.isfinite(given))[0]))
        return {"not-finite": f"the gradient has values that are not finite, the first at {where}"}
    if not np.isfinite(numeric).all():
        return {"not-finite": "the function itself is not finite near x"}
    if len(numeric) < 2 or not np.linalg.norm(numeric):
        return {}

    def close(a: np.ndarray) -> bool:
        return bool(np.linalg.norm(a - numeric) <= tolerance * np.linalg.norm(numeric))

    factor = float(analytic @ numeric / (numeric @ numeric))
    if factor and abs(factor - 1) > tolerance and close(analytic / factor):
        if abs(factor + 1) < tolerance:
            return {"sign": "the sign is wrong: minus the right gradient"}
        return {"constant-factor": f"{_as_fraction(factor)} times the right gradient"}
    for i, j in combinations(range(given.ndim), 2):
        if given.shape[i] == given.shape[j] and close(given.swapaxes(i, j).ravel()[indices]):
            return {"transposed": f"right, but with axes {i} and {j} exchanged"}
    return {}


def _as_fraction(factor: float) -> str:
    fraction = Fraction(factor).limit_denominator(1000)
    simple = fraction and abs(fraction.numerator * fraction.denominator) <= 5000
    return str(fraction) if simple and abs(factor / float(fraction) - 1) < 1e-5 else f"{factor:.6g}"


def _ratio(difference: Any, *sizes: Any) -> float:
    """The difference over the largest of sizes; the difference itself if they are all 0, or not finite."""
    largest = max(sizes)
    return float(difference / largest) if 0 < largest < np.inf else float(difference)
