"""Minimising a function with its gradient: gradient descent, momentum, Adam and L-BFGS, called as in SciPy.

A method is a generator: from a starting point it yields one point after another, for ever or until it can't go on.
`minimize` drives it, and does what all methods share: counting, stopping, the callback, keeping the best point.

The points are arrays of any shape, in the precision of x0; every sum over them is a float64.
"""

import inspect
import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np


@dataclass
class OptimizeResult:
    """A point on the way, as the callback sees it, or the best one, as `minimize` returns it.

    Attributes
    ----------
    x : ndarray
    fun : float
        Value of the function at x.
    jac : ndarray, shape of x
        Gradient at x.
    info : object
        What `fun` returned beside value and gradient at x, or None.
    nit, nfev : int
        Iterations and evaluations of the function so far.
    success : bool
        False if it was interrupted from the keyboard, or stopped because a value was not finite.
    message : str
        Why it stopped.
    """

    x: np.ndarray
    fun: float
    jac: np.ndarray
    info: Any = None
    nit: int = 0
    nfev: int = 0
    success: bool = True
    message: str = ""


@dataclass(frozen=True)
class Point:
    """A place where the function has been evaluated."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    info: Any = None

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and bool(np.isfinite(self.gradient).all())


Evaluate = Callable[[np.ndarray], Point]


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Scalar product of two arrays of one shape, in float64, summed in an order that no thread changes."""
    return float(np.sum(np.multiply(a, b, dtype=np.float64)))


def first_rate(rate: float | None, point: Point) -> float:
    """The rate given, or one such that the largest first change of an element of x is 0.01."""
    return rate if rate is not None else 0.01 / max(float(np.abs(point.gradient).max()), 1e-300)


def gradient_descent(evaluate: Evaluate, point: Point, *, rate: float | None = None) -> Iterator[Point]:
    """Gradient descent: x ← x − η ∇f(x), with a step η that looks after itself.

    η is halved until f falls by at least 10⁻⁴ η ‖∇f‖² (Armijo's condition; Nocedal and Wright 2006, equation 3.4), and
    doubled for the next iteration after a step that was right at once.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    rate : float, optional
        The first η; by default such that the largest change of an element of x is 0.01.

    Yields
    ------
    Point
    """
    eta = first_rate(rate, point)
    while True:
        slope = dot(point.gradient, point.gradient)
        first = eta
        trial = evaluate(point.x - eta * point.gradient)
        while not (trial.finite and trial.value <= point.value - 1e-4 * eta * slope):
            eta /= 2
            if eta < 1e-18 * first:  # no step helps
                return
            trial = evaluate(point.x - eta * point.gradient)
        point = trial
        yield point
        if eta == first:
            eta *= 2


def momentum(evaluate: Evaluate, point: Point, *, rate: float | None = None, decay: float = 0.9) -> Iterator[Point]:
    """Gradient descent with momentum: v ← μ v − η ∇f(x), x ← x + v (Polyak 1964), with a rate that adapts.

    The velocity v is a sum of past gradients, each step weighing the older ones μ times less. Across a narrow valley
    they cancel, along it they add up, to 1/(1 − μ) times the step of gradient descent.

    No fixed η fits everywhere. After a step that lowers f, η grows by 5 %; one that would raise f is not taken, the
    velocity forgotten, and η multiplied by 0.7 (Vogl et al. 1988, Biological Cybernetics 59, pages 257–263).

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    rate : float, optional
        η at first; by default such that the largest first change of an element of x is 0.01.
    decay : float
        μ, in 0–1.

    Yields
    ------
    Point
    """
    eta = first_rate(rate, point)
    least = 1e-18 * eta
    velocity = np.zeros_like(point.x)
    while eta >= least:
        velocity = decay * velocity - eta * point.gradient
        trial = evaluate(point.x + velocity)
        if trial.finite and trial.value < point.value:
            point, eta = trial, 1.05 * eta
            yield point
        else:
            velocity, eta = np.zeros_like(velocity), 0.7 * eta


def adam(
    evaluate: Evaluate,
    point: Point,
    *,
    rate: float = 0.02,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Iterator[Point]:
    """Adam: every element moves by about the same length, whatever the size of its gradient.

    m is a running mean of the gradients g, s one of their squares, both started at 0. After k steps their weights add
    up to 1 − β₁ᵏ and 1 − β₂ᵏ instead of 1, so m̂ and ŝ are divided by that. (Kingma and Ba 2015, algorithm 1.)

    m ← β₁ m + (1 − β₁) g,    s ← β₂ s + (1 − β₂) g²,    x ← x − η m̂ / (√ŝ + ε)

    A step along which g keeps its sign is η long; where the sign changes, m̂ is smaller than √ŝ, and the step shorter.
    The length does not shrink by itself, and the value may rise on the way.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    rate : float
        η, in the units of x.
    beta1, beta2 : float
        In 0–1.
    epsilon : float

    Yields
    ------
    Point
    """
    m, s = np.zeros_like(point.x), np.zeros_like(point.x)
    for k in count(1):
        m = beta1 * m + (1 - beta1) * point.gradient
        s = beta2 * s + (1 - beta2) * point.gradient**2
        point = evaluate(point.x - rate * (m / (1 - beta1**k)) / (np.sqrt(s / (1 - beta2**k)) + epsilon))
        if not point.finite:
            return
        yield point


def lbfgs(evaluate: Evaluate, point: Point, *, memory: int = 10) -> Iterator[Point]:
    """L-BFGS: Newton's method with an estimate of the inverse Hessian from the last few steps.

    Between two points, s = x_{k+1} − x_k and y = ∇f_{k+1} − ∇f_k tell how the gradient changes along s. From the last
    `memory` such pairs, the two-loop recursion forms the product of the BFGS estimate with the gradient, without a
    matrix: the search direction. A line search then finds a step along it. (Nocedal and Wright 2006, algorithms 7.4 and
    7.5.)

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    memory : int
        Number of pairs (s, y) kept: 2 · memory arrays of the size of x.

    Yields
    ------
    Point
    """
    pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(maxlen=memory)
    while True:
        direction = -two_loop(point.gradient, pairs)
        slope = dot(point.gradient, direction)
        # Without pairs the direction is −∇f, whose length says nothing about the right step: begin with a short one.
        step = 1.0 if pairs else 1 / max(math.sqrt(-slope), 1.0)
        found = line_search(evaluate, point, direction, slope, step) if slope < 0 else None
        if found is None:
            if not pairs:
                return
            pairs.clear()  # the estimate is spoilt, by rounding mostly: once more along −∇f
            continue
        s, y = found.x - point.x, found.gradient - point.gradient
        curvature = dot(s, y)
        if curvature > np.finfo(np.float64).eps * dot(y, y):
            pairs.append((s, y, curvature))
        point = found
        yield point


def two_loop(gradient: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray, float]]) -> np.ndarray:
    """The product H ∇f of the L-BFGS estimate H of the inverse Hessian with a gradient.

    Each pair updates the estimate by H ← Vᵀ H V + ρ s sᵀ, with ρ = 1/(yᵀs) and V = I − ρ y sᵀ. Written out for the last
    m pairs that is a product from the newest V to the oldest, a multiple γ of the identity in the middle, and back: two
    loops over the pairs, 4 m operations on vectors. (Nocedal and Wright 2006, algorithm 7.4 and equation 7.20.)

    Parameters
    ----------
    gradient : ndarray
    pairs : deque of (s, y, yᵀs)
        Oldest first.

    Returns
    -------
    ndarray
    """
    q = gradient.copy()
    alphas = []
    for s, y, curvature in reversed(pairs):
        alpha = dot(s, q) / curvature
        q -= alpha * y
        alphas.append(alpha)
    if pairs:
        _, y, curvature = pairs[-1]
        q *= curvature / dot(y, y)
    for (s, y, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = dot(y, q) / curvature
        q += (alpha - beta) * s
    return q


def line_search(
    evaluate: Evaluate,
    start: Point,
    direction: np.ndarray,
    slope: float,
    step: float,
    *,
    c1: float = 1e-4,
    c2: float = 0.9,
    evaluations: int = 20,
) -> Point | None:
    """A step along a direction that satisfies the strong Wolfe conditions.

    With φ(a) = f(x + a d) we want  φ(a) ≤ φ(0) + c1 a φ'(0)  (f falls enough)  and  |φ'(a)| ≤ −c2 φ'(0)  (the slope has
    flattened enough). Steps grow until such steps are bracketed between `low`, the best step so far that falls enough,
    and `high`; then the bracket shrinks around the minimum of the cubic through both ends. (Nocedal and Wright 2006,
    algorithms 3.5 and 3.6 in one loop.)

    Parameters
    ----------
    evaluate : callable
    start : Point
    direction : ndarray
    slope : float
        φ'(0), negative.
    step : float
        The first step to try.
    c1, c2 : float
    evaluations : int
        At most so many.

    Returns
    -------
    Point or None
        The point found. If no step satisfied both conditions, the best that fell enough; None if none did.
    """
    low, high = (0.0, start, slope), None
    for _ in range(evaluations):
        point = evaluate(start.x + step * direction)
        trial = (step, point, dot(point.gradient, direction) if point.finite else math.nan)
        if not point.finite or point.value > start.value + c1 * step * slope or point.value >= low[1].value:
            high = trial
        else:
            if abs(trial[2]) <= -c2 * slope:
                return point
            if trial[2] * ((math.inf if high is None else high[0]) - low[0]) >= 0:
                high = low
            previous, low = low, trial
        step = between(low, high) if high is not None else beyond(previous, low)
    return low[1] if low[0] > 0 else None


def cubic_minimum(a, b) -> float:
    """Where the cubic with the values and slopes of (step, point, slope) a and b has its minimum; NaN if nowhere.

    Nocedal and Wright 2006, equation 3.59.
    """
    (step_a, point_a, slope_a), (step_b, point_b, slope_b) = a, b
    d1 = slope_a + slope_b - 3 * (point_a.value - point_b.value) / (step_a - step_b)
    square = d1 * d1 - slope_a * slope_b
    if not square >= 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), step_b - step_a)
    denominator = slope_b - slope_a + 2 * d2
    return step_b - (step_b - step_a) * (slope_b + d2 - d1) / denominator if denominator else math.nan


def between(low, high) -> float:
    """The next step to try inside a bracket: the cubic's minimum, but not too near to either end; else the middle."""
    left, right = sorted((low[0], high[0]))
    margin = 0.1 * (right - left)
    minimum = cubic_minimum(low, high)
    return minimum if left + margin <= minimum <= right - margin else (left + right) / 2


def beyond(previous, last) -> float:
    """The next step to try while f still falls: the cubic's minimum, but between 2 and 10 times as far."""
    minimum = cubic_minimum(previous, last)
    return min(max(minimum, 2 * last[0]), 10 * last[0]) if minimum > last[0] else 10 * last[0]


INTERRUPTED, STOPPED = "interrupted from the keyboard", "stopped by the callback"

METHODS = {"lbfgs": lbfgs, "adam": adam, "momentum": momentum, "gradient_descent": gradient_descent}


def minimize(
    fun: Callable[[np.ndarray], tuple],
    x0: np.ndarray,
    method: str = "lbfgs",
    *,
    maxiter: int = 1000,
    gtol: float = 1e-5,
    ftol: float = 1e-9,
    callback: Callable[[OptimizeResult], None] | None = None,
    **options,
) -> OptimizeResult:
    """Minimise a function, given with its gradient.

    Parameters
    ----------
    fun : callable
        `fun(x)` returns (value, gradient), or (value, gradient, info); info is handed on untouched.
    x0 : ndarray, float32 or float64, any shape
        Where to start. All points have its type.
    method : {"lbfgs", "adam", "momentum", "gradient_descent"}
    maxiter : int
        Iterations at most.
    gtol : float
        Stop when no element of the gradient is larger.
    ftol : float
        Stop when an iteration changes the value by no more than ftol · max(|value before|, |value after|, 1).
    callback : callable, optional
        Called as `callback(intermediate_result)` at the start and after every iteration, with the point where the
        method is. It may raise StopIteration to end the minimisation.
    **options
        For the method: `memory` for L-BFGS; `rate` for the others, `decay` for momentum, `beta1`, `beta2` and `epsilon`
        for Adam.

    Returns
    -------
    OptimizeResult
        The best point found; never one with a higher value than x0. Also after an interrupt from the keyboard (Ctrl-C)
        and when a value is not finite, with a message that says so.

    Raises
    ------
    ValueError
        If the method is unknown, or has no such option.
    """
    if method not in METHODS:
        raise ValueError(f"unknown method {method!r}; there are {', '.join(METHODS)}")
    allowed = inspect.getfullargspec(METHODS[method]).kwonlyargs
    if wrong := [name for name in options if name not in allowed]:
        raise ValueError(f"{method} has no option {wrong[0]!r}; it has {', '.join(allowed)}")
    evaluations, nit, broken = 0, 0, False

    def evaluate(x: np.ndarray) -> Point:
        nonlocal evaluations, broken
        evaluations += 1
        with np.errstate(over="ignore", invalid="ignore"):
            value, gradient, *info = fun(x)
        point = Point(x, float(value), np.asarray(gradient, x.dtype), info[0] if info else None)
        broken |= not point.finite
        return point

    def result(point: Point, message: str, success: bool = True) -> OptimizeResult:
        return OptimizeResult(point.x, point.value, point.gradient, point.info, nit, evaluations, success, message)

    best = evaluate(np.array(x0))
    if broken:
        return result(best, "the function or its gradient is not finite at the start", success=False)
    try:
        if callback:
            callback(result(best, "start"))
        if np.abs(best.gradient).max() <= gtol:
            return result(best, "the gradient is as small as gtol")
        if maxiter < 1:
            return result(best, "all iterations done")
        message, value = "no further step lowers the value", best.value
        for point in METHODS[method](evaluate, best, **options):
            nit += 1
            if point.value <= best.value:
                best = point
            if callback:
                callback(result(point, f"iteration {nit}"))
            if np.abs(point.gradient).max() <= gtol:
                return result(best, "the gradient is as small as gtol")
            if abs(value - point.value) <= ftol * max(abs(value), abs(point.value), 1):
                message = "the value changes by no more than ftol"
                break
            value = point.value
            if nit >= maxiter:
                return result(best, "all iterations done")
            broken = False
    except StopIteration:
        return result(best, STOPPED)
    except KeyboardInterrupt:
        return result(best, INTERRUPTED, success=False)
    if broken:  # in the last iteration: that, and not the end of the way, is why it stops
        return result(best, "the function or its gradient became not finite (NaN or infinity)", success=False)
    return result(best, message)
