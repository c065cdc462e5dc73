"""Minimising a function with its gradient: gradient descent, momentum, Adam and L-BFGS, called as in SciPy.

A method is a generator: from a starting point it yields one point after another, for ever or until it can't go on.
`minimize` drives it, and does what all methods share: counting, stopping, the callback, keeping the best point.

With each point a method yields what it carries to the next iteration: its rate, a velocity, pairs of vectors. Given
that point and what was carried, it goes on from there exactly as if it had never stopped; see `State`.

The points are arrays of any shape, in float32 or float64; every sum over them is a float64.

Bounds, low ≤ x_i ≤ high, are kept by projection: wherever a method steps, each element is cut off at its bound before f
is evaluated. An element that is at a bound, and that −∇f would move out, is *held*; the others are *free*. x satisfies
the conditions for a minimum within bounds (Karush 1939, Kuhn and Tucker 1951) where ∇f_i = 0 for every free element.
Without bounds everything is free.
"""

import inspect
import math
import reprlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import count
from typing import Any

import numpy as np

from nst_numpy.validation import check_choice, check_number, checked, did_you_mean, shown

__all__ = ["OptimizeResult", "minimize"]

# Values of OptimizeResult.status. 0 to 3 and 99 are those of SciPy's BFGS; 130 is the shell's for Ctrl-C.
PIECE = 1 << 20  # elements that `dot` takes at once
LARGE = 1 << 16  # elements from which on it is compiled
RUNNING, CONVERGED, MAXITER, NO_PROGRESS, NOT_FINITE, STOPPED, INTERRUPTED = -1, 0, 1, 2, 3, 99, 130


@dataclass(eq=False)
class OptimizeResult:
    """The best point found, as `minimize` returns it, or the current one, as the callback sees it.

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
    status : int
        Why it stopped: 0 converged (`gtol` or `ftol`), 1 `maxiter` reached, 2 no further step lowers the value, 3 the
        value or the gradient is not finite, 99 the callback raised StopIteration, 130 interrupted. As
        constants: CONVERGED, MAXITER, NO_PROGRESS, NOT_FINITE, STOPPED, INTERRUPTED. In the callback −1, RUNNING.
    success : bool
        Whether it converged: status 0.
    message : str
        Why it stopped, in words.
    state : State or None
        In the callback: what `minimize(..., state=state)` needs to go on from here.
    """

    x: np.ndarray
    fun: float
    jac: np.ndarray
    info: Any
    nit: int
    nfev: int
    status: int
    message: str
    state: "State | None" = None

    @property
    def success(self) -> bool:
        return self.status == CONVERGED

    def __repr__(self) -> str:
        names = ("message", "success", "status", "fun", "x", "jac", "info", "nit", "nfev")
        return "\n".join(f"{name:>7}: {_shown(getattr(self, name))}" for name in names)


def _shown(value: object) -> str:
    """A value in one short line."""
    if not isinstance(value, np.ndarray):
        return value if isinstance(value, str) else reprlib.repr(value)
    if value.ndim < 2 and value.size <= 8:
        return np.array2string(value, precision=6, max_line_width=sys.maxsize)
    return f"{value.dtype} array of shape {value.shape}, values from {value.min():.6g} to {value.max():.6g}"


Bounds = tuple[Any, Any]  # low and high


@dataclass(frozen=True)
class Point:
    """A place where the function has been evaluated, within the bounds, if there are any."""

    x: np.ndarray
    value: float
    gradient: np.ndarray
    info: Any = None
    bounds: Bounds | None = None

    @property
    def finite(self) -> bool:
        return math.isfinite(self.value) and bool(np.isfinite(self.gradient).all())

    def inward(self, v: np.ndarray) -> np.ndarray:
        """The vector v, with 0 for the elements that would move x out of the bounds."""
        return v if self.bounds is None else v * self._can_move(v)

    def free(self, v: np.ndarray) -> np.ndarray:
        """The vector v, with 0 for the elements held at a bound."""
        return v if self.bounds is None else v * self._is_free

    def _can_move(self, v: np.ndarray) -> np.ndarray:
        low, high = self.bounds or (-math.inf, math.inf)
        able: np.ndarray = ((self.x > low) | (v >= 0)) & ((self.x < high) | (v <= 0))
        return able

    @cached_property
    def _is_free(self) -> np.ndarray:
        return self._can_move(-self.gradient)


@dataclass(frozen=True, eq=False)
class State:
    """Where a minimisation is after an iteration, once the callback has seen it.

    Attributes
    ----------
    method : str
    point, best : Point
        The current point, and the best so far.
    previous : float
        The value before this iteration; NaN at the start.
    broken : bool
        Whether a value or a gradient was not finite in this iteration.
    nit, nfev : int
    carry : object
        What the method yielded beside the point: arrays and numbers in nested tuples, never changed; None at the start.
    """

    method: str
    point: Point
    best: Point
    previous: float
    broken: bool
    nit: int
    nfev: int
    carry: Any


Evaluate = Callable[[np.ndarray], Point]
Precondition = Callable[[np.ndarray], np.ndarray]
Steps = Iterator[tuple[Point, Any]]  # of a method: a point, and what is carried to the next iteration
Trial = tuple[float, float, float]  # of a line search: a step, φ and its slope there


def dot(a: np.ndarray, b: np.ndarray) -> float:
    """Scalar product of two arrays of one shape, in float64, summed in an order that no thread changes.

    Piece by piece: the products in float64 would take twice the memory of an array. Large arrays go to a compiled twin.
    """
    a, b = a.reshape(-1), b.reshape(-1)
    if a.size >= LARGE:
        from nst_numpy.backends import loops  # Numba takes its time to import

        if loops.COMPILED:
            sums = np.empty(-(-a.size // loops.PIECE))
            loops.dots(a, b, sums)
            return sum(sums.tolist())
    pieces = (np.s_[k : k + PIECE] for k in range(0, a.size, PIECE))
    return sum((float(np.sum(np.multiply(a[piece], b[piece], dtype=np.float64))) for piece in pieces), 0.0)


def add(to: np.ndarray, factor: float, v: np.ndarray) -> None:
    """Add a multiple of an array to another one, in place. Large arrays go to a compiled twin, without a temporary."""
    if to.size >= LARGE and to.flags.c_contiguous and v.flags.c_contiguous:
        from nst_numpy.backends import loops

        if loops.COMPILED:
            loops.add(to.reshape(-1), to.dtype.type(factor), v.reshape(-1))
            return
    to += factor * v


def first_rate(learning_rate: float | None, point: Point) -> float:
    """The learning rate given, or the one with which the largest first change of an element of x is 0.01."""
    if learning_rate is not None:
        return learning_rate
    return 0.01 / max(float(np.abs(point.free(point.gradient)).max()), 1e-300)


def gradient_descent(
    evaluate: Evaluate, point: Point, carry: Any = None, *, learning_rate: float | None = None
) -> Steps:
    """Gradient descent: x ← x − η ∇f(x), with a step size η chosen by backtracking.

    η is halved until f falls by at least 10⁻⁴ η ‖∇f‖² (Armijo's condition; Nocedal and Wright 2006, equation 3.4). If
    the first trial is accepted, η is doubled for the next iteration.

    With bounds, ∇f stands for its free elements, in the step and in the condition: x(η) = P(x − η ∇f), where P cuts
    elements off at their bounds, and f(x(η)) has the slope −‖∇f‖² at η = 0, since an element that is not held moves.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    carry : optional
        What was yielded with this point, to go on from it.
    learning_rate : float, optional
        The first η; by default such that the largest change of an element of x is 0.01.

    Yields
    ------
    Point, and what is carried
    """
    eta = first_rate(learning_rate, point) if carry is None else carry
    while True:
        gradient = point.free(point.gradient)
        slope = dot(gradient, gradient)
        first = eta
        trial = evaluate(point.x - eta * gradient)
        while not (trial.finite and trial.value <= point.value - 1e-4 * eta * slope):
            eta /= 2
            if eta <= 1e-18 * first:  # no step helps
                return
            trial = evaluate(point.x - eta * gradient)
        point = trial
        if eta == first:
            eta *= 2
        yield point, eta


def momentum(
    evaluate: Evaluate, point: Point, carry: Any = None, *, learning_rate: float | None = None, decay: float = 0.9
) -> Steps:
    """Gradient descent with momentum: v ← μ v − η ∇f(x), x ← x + v (Polyak 1964), with an adaptive learning rate.

    The velocity v is a sum of past gradients, each step weighing the older ones μ times less. Across a narrow valley
    they cancel, along it they add up, to 1/(1 − μ) times the step of gradient descent.

    No fixed η fits everywhere. After a step that lowers f, η grows by 5 %. A step that would raise f is not taken: the
    velocity is reset to 0, and η multiplied by 0.7 (Vogl et al. 1988, Biological Cybernetics 59, pages 257–263).

    With bounds, an element at its bound loses the velocity that would move it out.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    carry : optional
        What was yielded with this point, to go on from it.
    learning_rate : float, optional
        The first η; by default such that the largest first change of an element of x is 0.01.
    decay : float
        μ, in 0–1.

    Yields
    ------
    Point, and what is carried
    """
    if carry is None:
        rate = first_rate(learning_rate, point)
        carry = rate, 1e-18 * rate, np.zeros_like(point.x)
    eta, least, velocity = carry
    del carry  # so that its arrays are free when there are new ones
    while least < eta < math.inf:
        velocity = point.inward(decay * velocity - eta * point.gradient)
        trial = evaluate(point.x + velocity)
        if trial.finite and trial.value < point.value:
            point, eta = trial, 1.05 * eta
            yield point, (eta, least, velocity)
        else:
            velocity, eta = np.zeros_like(velocity), 0.7 * eta


def adam(
    evaluate: Evaluate,
    point: Point,
    carry: Any = None,
    *,
    learning_rate: float = 0.02,
    beta1: float = 0.9,
    beta2: float = 0.999,
    epsilon: float = 1e-8,
) -> Steps:
    """Adam: every element moves by about the same length, whatever the size of its gradient.

    m is a running mean of the gradients g, s one of their squares, both started at 0. After k steps their weights add
    up to 1 − β₁ᵏ and 1 − β₂ᵏ instead of 1, so m̂ and ŝ are divided by that. (Kingma and Ba 2015, algorithm 1.)

    m ← β₁ m + (1 − β₁) g,    s ← β₂ s + (1 − β₂) g²,    x ← x − η m̂ / (√ŝ + ε)

    A step along which g keeps its sign is η long; where the sign changes, m̂ is smaller than √ŝ, and the step shorter.
    The length does not shrink by itself, and the value may rise on the way. With bounds, x is projected after each
    step; m and s are means over all gradients, as without.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    carry : optional
        What was yielded with this point, to go on from it.
    learning_rate : float
        η, in the units of x.
    beta1, beta2 : float
        In 0–1.
    epsilon : float

    Yields
    ------
    Point, and what is carried
    """
    done, m, s = carry or (0, np.zeros_like(point.x), np.zeros_like(point.x))
    del carry  # so that its arrays are free when there are new ones
    for k in count(done + 1):
        m = beta1 * m + (1 - beta1) * point.gradient
        s = beta2 * s + (1 - beta2) * point.gradient**2
        point = evaluate(point.x - learning_rate * (m / (1 - beta1**k)) / (np.sqrt(s / (1 - beta2**k)) + epsilon))
        if not point.finite:
            return
        yield point, (k, m, s)


def lbfgs(
    evaluate: Evaluate,
    point: Point,
    carry: Any = None,
    *,
    memory: int = 10,
    precondition: Precondition | None = None,
) -> Steps:
    """L-BFGS: Newton's method with an estimate of the inverse Hessian from the last few steps.

    Between two points, s = x_{k+1} − x_k and y = ∇f_{k+1} − ∇f_k tell how the gradient changes along s. From the last
    `memory` such pairs, the two-loop recursion forms the product of the BFGS estimate with the gradient, without a
    matrix: the search direction. A line search then finds a step along it. (Nocedal and Wright 2006, algorithms 7.4 and
    7.5.)

    With bounds, the search follows the path x(a) = P(x + a d), where P cuts elements off at their bounds. Held elements
    stay: with Z the matrix that keeps the free elements of a vector and sets the others to 0, d = −Z H Z ∇f, and

    ∇fᵀd = −(Z ∇f)ᵀ H (Z ∇f) < 0,

    as H is positive definite. Free elements that are at a bound and that d would move out stay as well, d_i = 0: since
    they are free, −∇f_i points inwards, ∇f_i d_i ≥ 0, and leaving them out makes the slope ∇fᵀd only steeper. All
    others can move, so this is the slope of f(x(a)) at a = 0, and f falls if the step is short enough. (Bertsekas 1982,
    SIAM Journal on Control and Optimization 20, section 2. L-BFGS-B, Byrd et al. 1995, has the same idea, but finds the
    held elements along −∇f, and minimises a quadratic model over the others.) H needs to describe f along free elements
    only. So Z, at the new point, is applied to s and y, too.

    Parameters
    ----------
    evaluate : callable
    point : Point
        Where to start.
    carry : optional
        What was yielded with this point, to go on from it.
    memory : int
        Number of pairs (s, y) kept: 2 · memory arrays of the size of x.
    precondition : callable, optional
        See `two_loop`.

    Yields
    ------
    Point, and what is carried
    """
    pairs: deque[tuple[np.ndarray, np.ndarray, float]] = deque(carry or (), maxlen=memory)
    del carry  # so that its arrays are free when there are new ones
    while True:
        direction = point.inward(-point.free(two_loop(point.free(point.gradient), pairs, precondition)))
        slope = dot(point.gradient, direction)
        # Without pairs the length of the direction says nothing about the right step: begin with a short one.
        step = 1.0 if pairs else 1 / max(math.sqrt(-slope), 1.0)
        found = line_search(evaluate, point, direction, slope, step) if slope < 0 else None
        del direction  # so that its memory is free
        if found is None:
            if not pairs:
                return
            pairs.clear()  # rounding may have spoilt the estimate: once more without it
            continue
        s, y = found.free(found.x - point.x), found.free(found.gradient - point.gradient)
        curvature = dot(s, y)
        if curvature > sys.float_info.epsilon * dot(y, y):
            pairs.append((s, y, curvature))
        point = found
        yield point, tuple(pairs)


def two_loop(
    gradient: np.ndarray, pairs: deque[tuple[np.ndarray, np.ndarray, float]], precondition: Precondition | None = None
) -> np.ndarray:
    """The product H ∇f of the L-BFGS estimate H of the inverse Hessian with a gradient.

    Each pair updates the estimate by H ← Vᵀ H V + ρ s sᵀ, with ρ = 1/(yᵀs) and V = I − ρ y sᵀ. Written out for the last
    m pairs that is a product from the newest V to the oldest, a multiple γ of the identity in the middle, and back: two
    loops over the pairs, 4 m operations on vectors. (Nocedal and Wright 2006, algorithm 7.4 and equation 7.20.)

    Instead of the identity there can be a matrix K that is nearer to the inverse Hessian. Any will do that is symmetric
    and positive definite, since the updates keep both.

    Parameters
    ----------
    gradient : ndarray
    pairs : deque of (s, y, yᵀs)
        Oldest first.
    precondition : callable, optional
        `precondition(v)` returns K v.

    Returns
    -------
    ndarray
    """
    q = gradient.copy()
    alphas = []
    for s, y, curvature in reversed(pairs):
        alpha = dot(s, q) / curvature
        add(q, -alpha, y)
        alphas.append(alpha)
    if precondition:
        q = _preconditioned(q, precondition)
    if pairs:
        _, y, curvature = pairs[-1]
        q *= curvature / dot(y, y)
    for (s, y, curvature), alpha in zip(pairs, reversed(alphas), strict=True):
        beta = dot(y, q) / curvature
        add(q, alpha - beta, s)
    return q


def _preconditioned(v: np.ndarray, precondition: Precondition) -> np.ndarray:
    """The array K v, checked."""
    found = np.array(precondition(v), v.dtype, order="C")
    if found.shape != v.shape:
        raise ValueError(
            f"precondition must return an array of the shape of its argument, {v.shape}, found {found.shape}"
        )
    return found


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

    With bounds, the step goes to P(x + a d); an element that has been cut off no longer moves, and contributes nothing
    to φ'(a).

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
        Maximum number of evaluations.

    Returns
    -------
    Point or None
        The point found. If no step satisfied both conditions, the best that fell enough; None if none did.
    """
    low: Trial = (0.0, start.value, slope)
    lowest, high = start, None
    for _ in range(evaluations):
        point = evaluate(start.x + step * direction)
        trial = (step, point.value, dot(point.gradient, point.inward(direction)) if point.finite else math.nan)
        if not point.finite or point.value > start.value + c1 * step * slope or point.value >= low[1]:
            high = trial
        else:
            if abs(trial[2]) <= -c2 * slope:
                return point
            if trial[2] * ((math.inf if high is None else high[0]) - low[0]) >= 0:
                high = low
            previous, low, lowest = low, trial, point
        del point  # so that its arrays are free, unless it is the lowest
        step = between(low, high) if high is not None else beyond(previous, low)
    return lowest if low[0] > 0 else None


def cubic_minimum(a: Trial, b: Trial) -> float:
    """Where the cubic with the values and slopes of trials a and b has its minimum; NaN if it has none.

    Nocedal and Wright 2006, equation 3.59.
    """
    (step_a, value_a, slope_a), (step_b, value_b, slope_b) = a, b
    if step_a == step_b:
        return math.nan
    d1 = slope_a + slope_b - 3 * (value_a - value_b) / (step_a - step_b)
    square = d1 * d1 - slope_a * slope_b
    if not square > 0:
        return math.nan
    d2 = math.copysign(math.sqrt(square), step_b - step_a)
    denominator = slope_b - slope_a + 2 * d2
    return step_b - (step_b - step_a) * (slope_b + d2 - d1) / denominator if denominator else math.nan


def between(low: Trial, high: Trial) -> float:
    """The next step to try inside a bracket: the cubic's minimum, but not too near to either end; else the middle."""
    left, right = sorted((low[0], high[0]))
    margin = 0.1 * (right - left)
    minimum = cubic_minimum(low, high)
    return minimum if left + margin <= minimum <= right - margin else (left + right) / 2


def beyond(previous: Trial, last: Trial) -> float:
    """The next step to try while f still falls: the cubic's minimum, but between 2 and 10 times as far."""
    minimum = cubic_minimum(previous, last)
    return min(max(minimum, 2 * last[0]), 10 * last[0]) if minimum > last[0] else 10 * last[0]


METHODS: dict[str, Callable[..., Steps]] = {
    "lbfgs": lbfgs,
    "adam": adam,
    "momentum": momentum,
    "gradient_descent": gradient_descent,
}

LIMITS: dict[str, dict[str, Any]] = {
    "memory": {"whole": True, "least": 1},
    "learning_rate": {"least": 1e-300},
    "decay": {"most": 1},
    "beta1": {"most": math.nextafter(1, 0)},
    "beta2": {"most": math.nextafter(1, 0)},
    "epsilon": {},
}


@checked()
def minimize(
    fun: Callable[[np.ndarray], tuple[Any, ...]],
    x0: Any,
    method: str = "lbfgs",
    *,
    bounds: tuple[float, float] | None = None,
    maxiter: int = 1000,
    gtol: float = 1e-5,
    ftol: float = 1e-9,
    callback: Callable[[OptimizeResult], object] | None = None,
    state: State | None = None,
    **options: Any,
) -> OptimizeResult:
    """Minimise a function, given with its gradient.

    Parameters
    ----------
    fun : callable
        `fun(x)` returns (value, gradient), or (value, gradient, info); info is passed through untouched. It can't
        change x, which is read-only. The gradient is copied: its array may be used again.
    x0 : array_like of real numbers, any shape
        Where to start; not changed. All points are float32 if x0 is, else float64.
    method : {"lbfgs", "adam", "momentum", "gradient_descent"}
    bounds : (low, high), optional
        Two numbers, rounded to the type of the points: every element of every point is in low–high. Where x0 is not, it
        is moved there. One of them can be infinite.
    maxiter : int
        Maximum number of iterations.
    gtol : float
        Stop when no element of the gradient is larger in absolute value; with bounds, no free element.
    ftol : float
        Stop when an iteration changes the value by no more than ftol · max(|value before|, |value after|, 1).
    callback : callable, optional
        Called as `callback(intermediate_result)` with an `OptimizeResult` at the start and after every iteration, with
        the current point. It may raise StopIteration to end the minimisation.
    state : State, optional
        Go on from here, the `state` that a callback has seen in a call with the same arguments, instead of from x0. The
        result is that call's, bit for bit, and the callback sees only what comes after. `maxiter` counts from the
        start.
    **options
        For the method: `memory` and `precondition` for L-BFGS, the latter a function that returns K v for an array v,
        where K is symmetric, positive definite, and nearer to the inverse Hessian than a multiple of I;
        `learning_rate` for the others, `decay` for momentum, `beta1`, `beta2` and `epsilon` for Adam.

    Returns
    -------
    OptimizeResult
        The best point found; never one with a higher value than the start. An interrupt from the keyboard (Ctrl-C)
        returns the best point so far, with status 130; before the first evaluation is complete, it propagates. As in
        SciPy, `success` is False when `maxiter` is reached.

    Raises
    ------
    ValueError
        If the method is unknown, a number is out of range, low is larger than high, x0 is empty, `fun` returns a value
        that is no scalar or a gradient with another shape than x, or the state is one of another method, or for an x0
        of another shape or type.
    TypeError
        If the method has no such option, the bounds are not two numbers, x0 does not hold real numbers, `fun` does not
        return a tuple, or the state is none.

    Examples
    --------
    >>> import numpy as np
    >>> def valley(x):
    ...     d = np.array([1.0, 100.0])
    ...     return 0.5 * np.sum(d * x**2), d * x
    >>> result = minimize(valley, [10.0, 1.0])
    >>> result.success, result.message
    (True, 'no element of the gradient is larger than gtol')
    >>> bool(np.abs(result.x).max() < 1e-6)
    True
    >>> minimize(valley, [10.0, 1.0], "adam", learning_rate=0.3, maxiter=5).status
    1

    Within bounds, the gradient at the minimum is 0 only where x is free to move:

    >>> result = minimize(lambda x: (np.sum((x - [0.5, 3.0]) ** 2), 2 * (x - [0.5, 3.0])), [0.0, 0.0], bounds=(0, 1))
    >>> result.success, result.x.round(6), result.jac.round(6)
    (True, array([0.5, 1. ]), array([ 0., -4.]))
    """
    check_choice("method", method, METHODS)
    check_number("maxiter", maxiter, whole=True)
    check_number("gtol", gtol)
    check_number("ftol", ftol)
    allowed = inspect.getfullargspec(METHODS[method]).kwonlyargs
    for name, value in options.items():
        if name not in allowed:
            nearest = did_you_mean(name, [*allowed, "bounds", "maxiter", "gtol", "ftol", "callback"])
            raise TypeError(f"{method} has no option {shown(name)};{nearest} it has {', '.join(allowed)}")
        if name == "precondition":
            if value is not None and not callable(value):
                raise TypeError(f"precondition must be a function, or None, found {shown(value)}")
        elif value is not None or name != "learning_rate":
            check_number(name, value, **LIMITS[name])
    options = {name: value for name, value in options.items() if value is not None}
    start = _real(x0)
    box = None if bounds is None else _bounds(bounds, start.dtype)
    nit, nfev, broken, previous, carry = 0, 0, False, math.nan, None
    best: Point | None = None
    if state is not None:
        _check_state(state, method, start)
        nit, nfev, broken, previous, carry = state.nit, state.nfev, state.broken, state.previous, state.carry
        point, best = replace(state.point, bounds=box), replace(state.best, bounds=box)

    def evaluate(x: np.ndarray) -> Point:
        nonlocal nfev, broken
        if box is not None:
            x = np.clip(x, *box)
        seen = np.asarray(x).view()
        seen.flags.writeable = False
        with np.errstate(over="ignore", invalid="ignore"):
            point = _point(x, fun(seen), box)
        nfev += 1
        broken |= not point.finite
        return point

    def result(point: Point, status: int, message: str, state: State | None = None) -> OptimizeResult:
        return OptimizeResult(point.x, point.value, point.gradient, point.info, nit, nfev, status, message, state)

    def stopped(point: Point, best: Point) -> bool:
        """Show the point to the callback."""
        try:
            if callback:
                state = State(method, point, best, previous, broken, nit, nfev, carry)
                callback(result(point, RUNNING, f"iteration {nit}", state))
        except StopIteration:
            return True
        return False

    def reason(point: Point) -> tuple[int, str] | None:
        """Why to stop at this point, as status and message; None to go on."""
        if np.abs(point.free(point.gradient)).max() <= gtol:
            return CONVERGED, "no element of the gradient is larger than gtol"
        if abs(previous - point.value) <= ftol * max(abs(previous), abs(point.value), 1):
            return over(CONVERGED, "the value changes by no more than ftol")
        return (MAXITER, "all iterations done") if nit >= maxiter else None

    def over(status: int, message: str) -> tuple[int, str]:
        """Status and message, unless something was not finite: that is why the steps became short, or ended."""
        return (
            (NOT_FINITE, "the value or the gradient became not finite (NaN or infinity)")
            if broken
            else (status, message)
        )

    try:  # from the first evaluation to the return: an interrupt anywhere in between finds a best point
        if state is None:
            point = best = evaluate(start)
            del start  # so that its memory is free
            if broken:
                return result(
                    best, NOT_FINITE, "the value or the gradient is not finite (NaN or infinity) at the start"
                )
            if stopped(point, best):
                return result(best, STOPPED, "stopped by the callback")
        assert best is not None
        if why := reason(point):
            return result(best, *why)
        state, previous, broken = None, point.value, False
        for point, carry in METHODS[method](evaluate, point, carry, **options):  # noqa: B020
            nit += 1
            if point.value <= best.value:
                best = point
            if stopped(point, best):
                return result(best, STOPPED, "stopped by the callback")
            if why := reason(point):
                return result(best, *why)
            carry, previous, broken = None, point.value, False  # the method's old arrays are free when it has new ones
        return result(best, *over(NO_PROGRESS, "no further step lowers the value"))
    except KeyboardInterrupt:
        if best is None:
            raise
        return result(best, INTERRUPTED, "interrupted")


def _check_state(state: State, method: str, start: np.ndarray) -> None:
    """Check that a state is one of this method, for points like the start."""
    for what, found, expected in (
        ("method", state.method, method),
        ("shape", state.point.x.shape, start.shape),
        ("type", state.point.x.dtype, start.dtype),
    ):
        if found != expected:
            raise ValueError(
                f"the state is of {what} {found}, this call of {what} {expected}; it can't go on from there"
            )


def _real(x0: Any) -> np.ndarray:
    """A copy of x0 as an array of float32 or float64."""
    x = np.array(x0, order="C")  # sums go through elements in this order, also if the points come from a file
    if x.dtype.kind not in "fiub":
        raise TypeError(f"x0 must hold real numbers, found {x.dtype}")
    if x.size == 0:
        raise ValueError(f"x0 must not be empty, found shape {x.shape}")
    return x if x.dtype == np.float32 else x.astype(np.float64)


def _bounds(bounds: Any, dtype: np.dtype[Any]) -> Bounds:
    """Low and high as numbers of the type of the points."""
    expected = f"bounds must be two numbers, the lower first, or None, found {shown(bounds)}"
    try:
        low, high = bounds
    except (TypeError, ValueError) as error:
        raise type(error)(expected) from None
    if not all(isinstance(b, int | float | np.integer | np.floating) and not isinstance(b, bool) for b in (low, high)):
        raise TypeError(expected)
    if not low <= high or low == math.inf or high == -math.inf:
        raise ValueError(expected)
    return dtype.type(low), dtype.type(high)


def _point(x: np.ndarray, returned: tuple[Any, ...], bounds: Bounds | None) -> Point:
    """What the function returned at x, checked, as a point."""
    if not isinstance(returned, tuple | list) or len(returned) not in (2, 3):
        raise TypeError(f"fun must return (value, gradient) or (value, gradient, info), found {_shown(returned)}")
    value, gradient = np.asarray(returned[0]), np.array(returned[1], x.dtype, order="C")
    if value.size != 1:
        raise ValueError(f"fun must return a number as the value, found shape {value.shape}")
    if gradient.shape != np.shape(x):
        raise ValueError(f"the gradient must have the shape of x, {np.shape(x)}, found {gradient.shape}")
    info = returned[2] if len(returned) == 3 else None
    return Point(np.asarray(x), float(value.item()), gradient, info, bounds)
