"""The optimisers against SciPy's and against the definitions."""

import dataclasses
import inspect
import math
import re
import sys
import weakref
from collections import deque
from itertools import count, pairwise

import numpy as np
import pytest
import scipy.optimize
from drawing import picture, small_vgg

from nst_numpy import losses, minimize, optimize
from nst_numpy.optimize import Point


def rosenbrock(x):
    return scipy.optimize.rosen(x), scipy.optimize.rosen_der(x)


def beale(x):
    value, gradient = 0.0, np.zeros(2)
    for power, constant in ((1, 1.5), (2, 2.25), (3, 2.625)):
        r = constant - x[0] * (1 - x[1] ** power)
        value += r * r
        gradient += 2 * r * np.array([x[1] ** power - 1, power * x[0] * x[1] ** (power - 1)])
    return value, gradient


def quadratic(x):
    d = np.logspace(0, 3, x.size).reshape(x.shape)
    return 0.5 * np.sum(d * x * x), d * x


STANDARD = {
    "rosenbrock 2": (rosenbrock, np.array([-1.2, 1.0])),
    "rosenbrock 50": (rosenbrock, np.full(50, -1.0)),
    "beale": (beale, np.array([1.0, 1.0])),
    "quadratic 100": (quadratic, np.random.default_rng(0).standard_normal(100)),
}


def painting(dtype=np.float64):
    """A content loss and a style loss of a small network, as a function of the pixels."""
    network = small_vgg(last="conv3_1", dtype=dtype, backend="plain")
    content, style = (network.features(picture(seed, 20, 24, dtype), ["conv1_1", "conv3_1"]) for seed in (1, 2))
    P, A = losses.feature_matrix(content["conv3_1"]), losses.gram(losses.feature_matrix(style["conv1_1"]))

    def fun(x):
        responses, tape = network.forward(x, ["conv1_1", "conv3_1"])
        F1, F3 = (losses.feature_matrix(responses[layer]) for layer in ("conv1_1", "conv3_1"))
        gradients = {"conv1_1": 100 * losses.style_gradient(F1, A), "conv3_1": losses.content_gradient(F3, P)}
        injected = {layer: dF.T.reshape(responses[layer].shape) for layer, dF in gradients.items()}
        value = 100 * losses.style_loss(F1, A) + losses.content_loss(F3, P)
        return value, network.backward(injected, tape)

    return fun


@pytest.mark.parametrize("name", STANDARD)
def test_lbfgs_is_as_good_as_scipys(name):
    fun, x0 = STANDARD[name]
    ours = minimize(fun, x0, gtol=1e-7, ftol=0)
    options = {"gtol": 1e-7, "ftol": 0, "maxcor": 10, "maxiter": 1000, "maxfun": 5000}
    theirs = scipy.optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", options=options)
    print(f"{name}: {ours.fun:.1e} in {ours.nfev} evaluations, SciPy {theirs.fun:.1e} in {theirs.nfev}")
    assert ours.success and np.abs(ours.jac).max() <= 1e-7
    assert ours.fun <= 1e-12
    assert ours.nfev <= 1.2 * theirs.nfev + 3


def test_lbfgs_is_as_good_as_scipys_on_a_painting():
    f = painting()
    x0 = picture(9, 20, 24)
    ours = minimize(f, x0, maxiter=60, gtol=0, ftol=0)
    options = {"gtol": 0, "ftol": 0, "maxcor": 10, "maxiter": 60, "maxfun": 1000}
    flat = lambda x: (f(x.reshape(x0.shape))[0], f(x.reshape(x0.shape))[1].ravel())  # noqa: E731
    theirs = scipy.optimize.minimize(flat, x0.ravel(), jac=True, method="L-BFGS-B", options=options)
    start = f(x0)[0]
    print(f"painting: from {start:.4g} to {ours.fun:.4g} in {ours.nfev}; SciPy {theirs.fun:.4g} in {theirs.nfev}")
    assert ours.fun <= 1.1 * theirs.fun < 0.1 * start
    assert ours.nfev <= 1.2 * theirs.nfev + 3


@pytest.mark.parametrize("method", ["lbfgs", "momentum", "gradient_descent"])
def test_every_iteration_lowers_the_value_and_the_result_is_the_last(method):
    values = []
    result = minimize(rosenbrock, np.full(6, -1.0), method, maxiter=40, callback=lambda state: values.append(state.fun))
    assert len(values) == 41 and result.nit == 40
    assert all(after < before for before, after in pairwise(values))
    assert result.fun == values[-1] == rosenbrock(result.x)[0]


@pytest.mark.parametrize("method", optimize.METHODS)
def test_every_method_finds_the_minimum(method):
    result = minimize(quadratic, np.ones(3), method, maxiter=20000, gtol=1e-8, ftol=0)
    assert np.abs(result.x).max() < 1e-7


def test_momentum_needs_fewer_steps_than_gradient_descent():
    steps = [minimize(quadratic, np.ones(9), m, maxiter=20000, ftol=0).nit for m in ("momentum", "gradient_descent")]
    assert steps[0] < steps[1] / 2


def trail(fun, x0, method, steps, **options):
    points = []
    minimize(fun, x0, method, maxiter=steps, gtol=0, ftol=0, callback=lambda s: points.append((s.x, s.jac)), **options)
    return [np.array(both) for both in zip(*points, strict=True)]


def test_adam_is_its_definition():
    """The running means written out as sums over all gradients so far."""
    options = {"learning_rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}
    x, g = trail(rosenbrock, np.array([-1.0, 0.3, 2.0]), "adam", 12, **options)
    for k in range(1, 13):
        older = np.arange(k)[::-1, None]  # by how many steps each gradient is older than the last
        mean = np.average(g[:k], axis=0, weights=(0.8**older)[:, 0])
        square = np.average(g[:k] ** 2, axis=0, weights=(0.95**older)[:, 0])
        assert np.allclose(x[k], x[k - 1] - 0.1 * mean / (np.sqrt(square) + 1e-3), rtol=1e-12)


def test_momentum_is_its_definition():
    x, g = trail(quadratic, np.ones(4), "momentum", 5, learning_rate=1e-5, decay=0.7)
    for k in range(1, 6):
        assert np.allclose(x[k] - x[k - 1], -sum(1e-5 * 1.05**i * 0.7 ** (k - 1 - i) * g[i] for i in range(k)))


def test_adam_may_rise_and_the_best_point_is_returned():
    values = []
    result = minimize(quadratic, np.full(4, 0.05), "adam", maxiter=6, callback=lambda s: values.append(s.fun))
    assert values[-1] > 2 * min(values) == 2 * result.fun and result.fun == quadratic(result.x)[0]


def test_momentum_takes_back_a_step_that_is_too_large():
    result = minimize(quadratic, np.ones(4), "momentum", learning_rate=1.0, maxiter=50, ftol=0)
    assert result.status == optimize.MAXITER and result.fun < 0.1 * quadratic(np.ones(4))[0]


@pytest.mark.parametrize("preconditioned", [False, True])
def test_two_loops_are_the_bfgs_matrix(preconditioned):
    """The product H ∇f, with H built as a matrix by the BFGS update (Nocedal and Wright, equation 6.17)."""
    rng = np.random.default_rng(0)
    n = 7
    pairs, matrix = deque(), None
    B = rng.standard_normal((n, n))
    B = B @ B.T + np.eye(n)  # y = B s has yᵀs > 0
    steps = [rng.standard_normal(n) for _ in range(4)]
    gamma = (B @ steps[-1]) @ steps[-1] / np.sum((B @ steps[-1]) ** 2)
    K = np.eye(n)
    if preconditioned:
        K = rng.standard_normal((n, n))
        K = K @ K.T + np.eye(n)
    matrix = gamma * K
    for s in steps:
        y = B @ s
        pairs.append((s, y, s @ y))
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        matrix = V.T @ matrix @ V + np.outer(s, s) / (s @ y)
    gradient = rng.standard_normal(n)
    precondition = K.__matmul__ if preconditioned else None
    before = gradient.copy()
    assert np.allclose(optimize.two_loop(gradient, pairs, precondition), matrix @ gradient, rtol=1e-12)
    assert np.array_equal(optimize.two_loop(gradient, deque(), precondition), K @ gradient)
    assert np.array_equal(gradient, before)


def test_the_exact_inverse_of_the_hessian_as_preconditioner():
    """With scale differing from 1 too, since the pairs set that; and within bounds."""
    curvatures = np.logspace(0, 6, 30)
    fun = lambda x: (0.5 * float(curvatures @ (x - 0.3) ** 2), curvatures * (x - 0.3))  # noqa: E731
    kept = np.zeros(30)

    def precondition(v):
        np.divide(10 * v, curvatures, out=kept)
        return kept  # not to be changed

    for bounds in (None, (0.4, 1.0), (0, 0.7)):
        found = minimize(fun, np.full(30, 0.6), bounds=bounds, gtol=1e-9, ftol=0, precondition=precondition)
        assert found.nit < 12 and np.allclose(found.x, 0.4 if bounds == (0.4, 1.0) else 0.3, atol=1e-8)
    assert minimize(fun, np.full(30, 0.6), gtol=1e-9, ftol=0).nit > 30


def test_a_preconditioner_that_is_none():
    with pytest.raises(TypeError, match="precondition must be a function, or None, found 3"):
        minimize(quadratic, np.ones(3), precondition=3)
    with pytest.raises(ValueError, match=r"shape of its argument, \(3,\), found \(2,\)"):
        minimize(quadratic, np.ones(3), precondition=lambda v: v[:2])
    with pytest.raises(TypeError, match="adam has no option 'precondition'"):
        minimize(quadratic, np.ones(3), "adam", precondition=None)
    assert minimize(quadratic, np.ones(3), precondition=None).success


@pytest.mark.parametrize("step", [1e-3, 0.1, 1.0, 10.0, 1e3])
@pytest.mark.parametrize("seed", range(5))
def test_line_search_finds_a_step_with_the_strong_wolfe_conditions(step, seed):
    rng = np.random.default_rng(seed)
    evaluate = lambda x: Point(x, *rosenbrock(x))  # noqa: E731
    start = evaluate(rng.standard_normal(4))
    direction = -start.gradient / np.linalg.norm(start.gradient)
    slope = start.gradient @ direction
    found = optimize.line_search(evaluate, start, direction, slope, step)
    a = (found.x - start.x) @ direction
    assert found.value <= start.value + 1e-4 * a * slope
    assert abs(found.gradient @ direction) <= -0.9 * slope


def cubic_trials(minimum, maximum, k):
    """Trials on the cubic with the derivative k (t − minimum)(t − maximum)."""

    def at(t):
        value = k * (t**3 / 3 - (minimum + maximum) * t**2 / 2 + minimum * maximum * t)
        return t, value, k * (t - minimum) * (t - maximum)

    return at


@pytest.mark.parametrize("minimum, maximum", [(2.0, -1.0), (0.3, 5.0), (-1.0, 0.5)])
@pytest.mark.parametrize("a, b", [(0.5, 3.0), (3.0, 0.5), (-2.0, -0.5), (0.0, 0.1), (4.0, -4.0)])
def test_cubic_minimum(minimum, maximum, a, b):
    at = cubic_trials(minimum, maximum, 1.5 if minimum > maximum else -1.5)
    assert math.isclose(optimize.cubic_minimum(at(a), at(b)), minimum, rel_tol=1e-9)


def test_a_cubic_without_a_minimum():
    assert math.isnan(optimize.cubic_minimum((0.0, 0.0, -1.25), (1.0, -13 / 12, -1.25)))  # slope −1 − (t − ½)²
    assert math.isnan(optimize.cubic_minimum((0.0, 0.0, -1.0), (1.0, -1.0, -1.0)))  # a straight line
    assert math.isnan(optimize.cubic_minimum((0.0, 0.0, -1.0), (1.0, math.nan, math.nan)))
    assert math.isnan(optimize.cubic_minimum((1.0, 0.0, -1.0), (1.0, 0.0, -1.0)))  # both ends are the same
    assert math.isnan(optimize.cubic_minimum((-1.0, -1.0, 3.0), (2.0, 8.0, 12.0)))  # t³ is flat at 0
    assert math.isnan(optimize.cubic_minimum((0.0, 0.0, 0.0), (1.0, -1.0, -2.0)))  # −t²
    # A parabola through both ends, t² − t, and one that turns where its slope is 0 at an end.
    assert optimize.cubic_minimum((0.0, 0.0, -1.0), (1.0, 0.0, 1.0)) == 0.5
    assert optimize.cubic_minimum((0.0, 0.0, -2.0), (1.0, -1.0, 0.0)) == 1.0


@pytest.mark.parametrize(
    "ends, expected",
    [
        ((1.8, 3.0), 2.0),
        ((3.0, 1.8), 2.0),
        ((1.9, 3.0), 2.45),  # 2 is less than a tenth of the bracket from its left end
        ((3.0, 1.9), 2.45),
        ((0.5, 2.3), 2.0),
        ((0.5, 2.1), 1.3),  # less than a tenth from its right end
        ((2.2, 3.0), 2.6),  # outside
        ((0.0, 1.5), 0.75),
    ],
)
def test_inside_a_bracket_the_next_step_keeps_away_from_the_ends(ends, expected):
    at = cubic_trials(2.0, -1.0, 6.0)
    assert math.isclose(optimize.between(*map(at, ends)), expected, rel_tol=1e-12)


@pytest.mark.parametrize("minimum, expected", [(0.1, 0.1), (0.9, 0.9), (0.0999, 0.5), (0.9001, 0.5), (math.nan, 0.5)])
def test_the_margin_of_a_bracket_belongs_to_it(minimum, expected, monkeypatch):
    monkeypatch.setattr(optimize, "cubic_minimum", lambda a, b: minimum)
    for ends in ((0.0, 1.0), (1.0, 0.0)):
        assert optimize.between(*((end, 0.0, 0.0) for end in ends)) == expected


def test_a_minimum_at_the_last_step_is_not_beyond_it(monkeypatch):
    monkeypatch.setattr(optimize, "cubic_minimum", lambda a, b: 3.0)
    assert optimize.beyond((0.0, 0.0, -1.0), (3.0, -1.0, -1.0)) == 30


def test_inside_a_bracket_with_an_end_that_is_not_finite_the_next_step_is_the_middle():
    assert optimize.between((1.0, 0.0, -1.0), (2.0, math.inf, math.nan)) == 1.5


@pytest.mark.parametrize(
    "minimum, expected",
    [(5.0, 5.0), (2.5, 4.0), (4.0, 4.0), (19.0, 19.0), (50.0, 20.0), (1.5, 20.0), (-3.0, 20.0)],
)
def test_beyond_the_last_step_the_next_is_two_to_ten_times_as_far(minimum, expected):
    """From steps 1 and 2: the minimum, within 4 … 20; 20 if there is none beyond 2."""
    at = cubic_trials(minimum, minimum - 100, 1.0)
    assert math.isclose(optimize.beyond(at(1.0), at(2.0)), expected, rel_tol=1e-9)


def test_beyond_a_straight_line():
    assert optimize.beyond((0.0, 0.0, -1.0), (2.0, -2.0, -1.0)) == 20


def along(phi, slope):
    """A function of one number as the line search sees it, and all steps tried."""
    tried = []

    def evaluate(x):
        tried.append(float(x[0]))
        return Point(x, phi(x[0]), np.array([slope(x[0])]))

    start = Point(np.zeros(1), phi(0.0), np.array([slope(0.0)]))
    return evaluate, start, tried


def hardly_falls(a):
    """Falls by 5e-5 from 0 to 1, where it is flat; much lower between."""
    return -a + 2 * a**2 - a**3 - 5e-5 * a**2 * (3 - 2 * a)


def hardly_falls_slope(a):
    return -1 + 4 * a - 3 * a**2 - 3e-4 * a * (1 - a)


def test_a_line_search_wants_more_than_a_lower_value():
    evaluate, start, tried = along(hardly_falls, hardly_falls_slope)
    found = optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0)
    assert tried[0] == 1 and found.x[0] < 1 and found.value < -1e-4 * found.x[0]
    evaluate, start, tried = along(hardly_falls, hardly_falls_slope)
    assert optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0, c1=4e-5).x[0] == 1
    evaluate, start, tried = along(hardly_falls, hardly_falls_slope)
    assert optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0, c1=6e-5).x[0] < 1


def test_a_line_search_wants_a_flatter_slope():
    """On (a − 1)² the slope is −2 (1 − a): 0.9 of it is left at 0.1, which is just flat enough."""
    for step, accepted in ((0.11, True), (0.09, False), (1.89, True), (1.91, False)):
        evaluate, start, tried = along(lambda a: (a - 1) ** 2, lambda a: 2 * (a - 1))
        found = optimize.line_search(evaluate, start, np.ones(1), -2.0, step)
        assert (tried == [step]) == accepted and abs(2 * (found.x[0] - 1)) <= 1.8


def test_conditions_that_are_just_met_are_met():
    """At the first step the value has fallen by c1 of the slope, and the slope by c2 of itself, exactly."""
    start = Point(np.zeros(1), 0.0, -np.ones(1))
    for value, slope in ((-1e-4, 0.0), (-0.5, -0.9), (-0.5, 0.9)):
        evaluate, _, tried = along(lambda a, value=value: value, lambda a, slope=slope: slope)
        assert optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0).x[0] == 1 and tried == [1]
        assert (
            optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0, c2=0.5, c1=2e-4, evaluations=1) is None
            or slope
        )
    x, _ = trail(lambda x: (-1e-4 * float(x[0]), -np.ones(1)), np.zeros(1), "gradient_descent", 1, learning_rate=1.0)
    assert x[1, 0] == 1


LINES = {
    "quartic": (lambda a: -a + a**4, lambda a: -1 + 4 * a**3),
    "exponential": (lambda a: math.exp(a) - 3 * a, lambda a: math.exp(a) - 3),
    "square root": (lambda a: math.sqrt(1 + (a - 2) ** 2), lambda a: (a - 2) / math.sqrt(1 + (a - 2) ** 2)),
    "flat": (lambda a: 1e-3 * (-a + a**4), lambda a: 1e-3 * (-1 + 4 * a**3)),
    "waves": (lambda a: math.cos(a) - a / 9, lambda a: -math.sin(a) - 1 / 9),
}


@pytest.mark.parametrize("step", [0.01, 0.3, 0.6, 0.9, 1.5, 4.0, 30.0])
@pytest.mark.parametrize("name", LINES)
def test_a_line_search_can_be_exact(name, step):
    """The bracket turns over and over: from either side it closes in on a point where the slope is a thousandth."""
    phi, slope = LINES[name]
    evaluate, start, tried = along(lambda a: phi(float(a)), lambda a: slope(float(a)))
    found = optimize.line_search(evaluate, start, np.ones(1), slope(0.0), step, c2=1e-3)
    assert abs(slope(found.x[0])) <= 1e-3 * abs(slope(0.0)) and len(tried) < 20


@pytest.mark.filterwarnings("error")
def test_what_is_not_finite_warns_of_nothing():
    """A wall behind which value and gradient are infinite, and arithmetic overflows."""

    def fun(x):
        if x[0] > 3:
            return np.float64(1e308) * 10 - np.float64(math.inf), np.array([math.inf, -math.inf])
        return float(-x[0] - x[1]), -np.ones(2)

    for method in optimize.METHODS:
        result = minimize(fun, np.zeros(2), method, gtol=0, ftol=0, maxiter=400)
        assert result.status == optimize.NOT_FINITE and 2.9 < result.x[0] <= 3


@pytest.mark.parametrize("rate", [1e-6, 1.0, 1e6])
def test_momentum_gives_up_when_its_rate_is_lost_in_rounding(rate):
    """0.7¹¹⁶ > 10⁻¹⁸ > 0.7¹¹⁷: the start and 117 trials."""
    result = minimize(lambda x: (float(np.any(x != 1)), np.ones(1)), [1.0], "momentum", learning_rate=rate)
    assert result.status == optimize.NO_PROGRESS and result.nfev == 1 + 117


def test_gradient_descent_gives_up_when_its_step_is_lost_in_rounding():
    """2⁻⁵⁹ > 10⁻¹⁸ > 2⁻⁶⁰: the start and 60 trials."""
    result = minimize(lambda x: (float(np.any(x != 1)), np.ones(1)), [1.0], "gradient_descent", learning_rate=4.0)
    assert result.status == optimize.NO_PROGRESS and result.nfev == 1 + 60


def test_a_line_search_gives_up_after_so_many_evaluations():
    evaluate, start, tried = along(lambda a: -a, lambda a: -1.0)  # falls for ever: the last is the best
    found = optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0)
    assert len(tried) == 20 and found.x[0] == max(tried) == tried[-1] and tried[1] == 10
    evaluate, start, tried = along(lambda a: a, lambda a: 1.0)  # rises
    assert optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0, evaluations=5) is None and len(tried) == 5
    evaluate, start, tried = along(lambda a: math.nan if a else 0.0, lambda a: -1.0)
    assert optimize.line_search(evaluate, start, np.ones(1), -1.0, 1.0) is None
    assert np.allclose(tried, 0.5 ** np.arange(20)), "halves the step while nothing is finite"


def test_a_line_search_does_not_mind_a_jump():
    """Falls to 1 and is higher beyond: no step is flat enough, and the bracket shrinks to nothing."""
    evaluate, start, tried = along(lambda a: -a if a <= 1 else 5.0, lambda a: -1.0)
    found = optimize.line_search(evaluate, start, np.ones(1), -1.0, 0.9, evaluations=200)
    assert len(tried) == 200 and found.x[0] <= 1 and found.value == -found.x[0] < -0.99


def test_gradient_descent_wants_more_than_a_lower_value():
    fun = lambda x: (hardly_falls(x[0]), np.array([hardly_falls_slope(x[0])]))  # noqa: E731
    x, _ = trail(fun, np.zeros(1), "gradient_descent", 1, learning_rate=1.0)
    assert x[1, 0] == 0.5


def test_the_step_of_gradient_descent_doubles_after_success_at_once_and_halves_until_then():
    fun = lambda x: (float(-x[0]), np.array([-1.0]))  # noqa: E731
    x, _ = trail(fun, np.zeros(1), "gradient_descent", 4, learning_rate=0.5)
    assert np.diff(x[:, 0]).tolist() == [0.5, 1, 2, 4]
    fun = lambda x: (0.5 * float(x[0] ** 2), x)  # noqa: E731
    x, _ = trail(fun, np.ones(1), "gradient_descent", 3, learning_rate=6.0)
    # 6 and 3 are too far, 1.5 goes to −0.5; 1.5 again, to 0.25, and is doubled, 3 is too far.
    assert x[:, 0].tolist() == [1, -0.5, 0.25, -0.125]


def test_momentum_forgets_its_velocity_after_a_step_that_is_not_taken():
    fun = lambda x: (0.5 * float(x[0] ** 2), x)  # noqa: E731
    x, _ = trail(fun, np.ones(1), "momentum", 2, learning_rate=3.0, decay=0.5)
    # η = 3 goes to −2 and 2.1 to −1.1: not taken. 3 · 0.7² = 1.47 goes to −0.47, then η grows by 5 %.
    assert np.allclose(x[:2, 0], [1, -0.47], rtol=1e-12)
    eta = 1.47 * 1.05
    velocity = 0.5 * -1.47 + eta * 0.47
    while abs(x[1, 0] + velocity) >= 0.47:
        eta *= 0.7
        velocity = eta * 0.47
    assert np.isclose(x[2, 0], -0.47 + velocity, rtol=1e-12)


def test_momentum_takes_no_step_to_the_same_value():
    """2 · gradient goes to the other side at the same height, where it would stay for ever."""
    fun = lambda x: (0.5 * float(x[0] ** 2), x)  # noqa: E731
    x, _ = trail(fun, np.ones(1), "momentum", 1, learning_rate=2.0)
    assert np.isclose(x[1, 0], 1 - 1.4, rtol=1e-12)


@pytest.mark.parametrize("method", ["momentum", "gradient_descent"])
def test_the_first_step_changes_an_element_by_a_hundredth(method):
    fun = lambda x: (float(np.sum(x * [5.0, -20.0])), np.array([5.0, -20.0]))  # noqa: E731
    x, _ = trail(fun, np.zeros(2), method, 1)
    assert np.allclose(x[1], [-0.0025, 0.01], rtol=1e-12)


def test_a_learning_rate_without_a_gradient():
    point = Point(np.zeros(2), 0.0, np.zeros(2))
    assert math.isfinite(optimize.first_rate(None, point)) and optimize.first_rate(0.3, point) == 0.3


@pytest.mark.parametrize("x0, length", [([3.0, -4.0], 1.0), ([0.3, -0.4], 0.5)])
def test_the_first_step_of_lbfgs_is_as_long_as_the_gradient_but_not_longer_than_one(x0, length):
    seen = []

    def fun(x):
        seen.append(x.copy())
        return 0.5 * float(np.sum(x**2)), x

    minimize(fun, x0, maxiter=1)
    assert np.isclose(np.linalg.norm(seen[1] - seen[0]), length, rtol=1e-12)
    assert np.allclose(seen[1], (1 - length / np.linalg.norm(x0)) * seen[0], atol=1e-15)


def test_later_steps_of_lbfgs_try_one_first():
    """On a quadratic, with one pair in memory: x − H ∇f is the first point tried (the BFGS update as a matrix)."""
    seen, d = [], np.array([1.0, 4.0, 9.0])

    def fun(x):
        seen.append(x.copy())
        return 0.5 * float(np.sum(d * x**2)), d * x

    points = []
    minimize(
        fun, np.ones(3), memory=1, maxiter=3, callback=lambda state: points.append((state.x, state.jac, state.nfev))
    )
    for k in (1, 2):
        (x0, g0, _), (x1, g1, evaluated) = points[k - 1 : k + 1]
        s, y = x1 - x0, g1 - g0
        V = np.eye(3) - np.outer(y, s) / (s @ y)
        H = (s @ y) / (y @ y) * V.T @ V + np.outer(s, s) / (s @ y)
        assert np.allclose(seen[evaluated], x1 - H @ g1, rtol=1e-12)


def test_lbfgs_starts_again_along_the_gradient_when_its_estimate_fails():
    """A function that is finite only along the gradient at the last point reached: no other direction gives a step."""
    d, points = np.array([1.0, 7.0, 30.0]), [np.array([1.0, 2.0, 3.0])]

    def fun(x):
        step, gradient = x - points[-1], d * points[-1]
        cosine = abs(step @ gradient) / (np.linalg.norm(step) * np.linalg.norm(gradient) or 1)
        return (math.nan if 0 < cosine < 1 - 1e-9 else 0.5 * float(np.sum(d * x**2))), d * x

    result = minimize(fun, points[0], maxiter=5, gtol=0, ftol=0, callback=lambda state: points.append(state.x))
    assert result.nit == 5 and result.status == optimize.MAXITER and len(points) == 7


def test_lbfgs_keeps_no_pair_without_curvature():
    """The gradient of a linear function does not change: y = 0, and 1/yᵀs is infinite."""
    result = minimize(lambda x: (float(-x.sum()), -np.ones(2)), np.zeros(2), maxiter=4)
    assert result.nit == 1 and result.status == optimize.NO_PROGRESS and result.fun < -1e18


def test_lbfgs_keeps_no_pair_with_curvature_below_rounding():
    """The gradient turns far more across the step than along it: then comes a short step along it, as at first."""
    seen = []

    def evaluate(x):
        seen.append(x)
        return Point(x, *((-0.5, np.array([-0.5, 1e10])) if x[0] > 0.5 else (0.0, np.array([-1.0, 0.0]))))

    method = optimize.lbfgs(evaluate, evaluate(np.zeros(2)))
    next(method)
    next(method, None)
    assert seen[1].tolist() == [1, 0] and np.allclose(seen[2], [1, -1])


def test_sums_are_float64():
    """2²⁴ + 1 has too many digits for float32."""
    a = np.array([[4096], [1]], np.float32)
    assert optimize.dot(a, a) == 2**24 + 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [0, 1, 31, optimize.LARGE - 1, optimize.LARGE, optimize.LARGE + 4096 + 33])
def test_dot_of_any_size(size, dtype):
    """Its compiled twin, too: the exact sum of the exact products, but for the rounding of float64."""
    a, b = np.random.default_rng(size).standard_normal((2, size)).astype(dtype)
    products = a.astype(np.float64) * b
    assert abs(optimize.dot(a, b) - math.fsum(products)) <= 1e-14 * np.abs(products).sum()
    shape = (-1, 3) if size % 3 == 0 else (1, -1)
    assert optimize.dot(a.reshape(shape), b.reshape(shape)) == optimize.dot(a, b)
    huge = np.full(size, 1e30, dtype)
    assert optimize.dot(huge, huge) == pytest.approx(1e60 * size)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("layout", ["whole", "transposed", "part"])
@pytest.mark.parametrize("rows", [1, optimize.LARGE // 40 + 1])
def test_add_in_place(rows, layout, dtype):
    a, v = np.random.default_rng(rows).standard_normal((2, rows, 41)).astype(dtype)
    if layout == "transposed":
        v = np.asfortranarray(v)
    expected, around = a - 0.3 * v.astype(np.float64), np.zeros((rows, 43), dtype)
    to = around[:, 1:-1] if layout == "part" else a.copy()
    to[...] = a
    optimize.add(to, -0.3, v)
    assert to.dtype == dtype and np.allclose(to, expected, rtol=0, atol=10 * np.finfo(dtype).eps)
    assert not around[:, [0, -1]].any()


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_dot_of_what_is_not_finite(value):
    for size in (10, optimize.LARGE):
        a = np.zeros(size, np.float32)
        a[-1] = value
        assert np.array_equal(optimize.dot(a, np.ones_like(a)), value, equal_nan=True)
        a[0] = -value
        with np.errstate(invalid="ignore"):
            assert np.isnan(optimize.dot(a, np.ones_like(a)))


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_keep_shape_and_type_and_x0_is_not_changed(dtype, method):
    x0, seen = np.full((2, 3), 0.5, dtype), []
    x0.flags.writeable = False
    result = minimize(lambda x: (seen.append(x), quadratic(x))[1], x0, method, maxiter=5)
    assert result.x.shape == (2, 3) and {x.dtype for x in (result.x, result.jac, *seen)} == {np.dtype(dtype)}


def test_the_same_start_gives_the_same_bytes():
    f = painting(np.float32)
    runs = [minimize(f, picture(9, 20, 24, np.float32), maxiter=15).x.tobytes() for _ in range(2)]
    assert runs[0] == runs[1]


# Stopping -------------------------------------------------------------------------------------------------------------


def test_stops_at_gtol_ftol_and_maxiter():
    start = np.ones(5)
    at_gtol = minimize(quadratic, start, gtol=1e3)
    assert at_gtol.nit == 0 and at_gtol.status == optimize.CONVERGED and "gtol" in at_gtol.message
    at_ftol = minimize(quadratic, start, gtol=0, ftol=0.5)
    assert at_ftol.nit > 0 and at_ftol.status == optimize.CONVERGED and "ftol" in at_ftol.message
    for maxiter in (0, 3):
        at_maxiter = minimize(quadratic, start, maxiter=maxiter, gtol=0, ftol=0)
        assert at_maxiter.nit == maxiter and at_maxiter.status == optimize.MAXITER and not at_maxiter.success


def test_stops_when_no_step_helps():
    def fun(x):  # no float32 is 1/3
        d = x.astype(float) - 1 / 3
        return 1 + 0.5 * np.sum(d**2), d

    for method in ("lbfgs", "momentum"):
        result = minimize(fun, np.ones(5, np.float32), method, gtol=0, ftol=0, maxiter=10_000)
        assert result.status == optimize.NO_PROGRESS and not result.success and "no further step" in result.message
        assert result.nit < 10_000 and result.fun < 1 + 1e-6


def test_info_is_handed_on_with_its_point():
    seen = []
    fun = lambda x: (*quadratic(x), x.copy())  # noqa: E731
    record = lambda state: seen.append(np.array_equal(state.info, state.x))  # noqa: E731
    result = minimize(fun, np.ones(4), maxiter=6, callback=record)
    assert all(seen) and len(seen) == 7 and np.array_equal(result.info, result.x)


def stop_after(iterations, error):
    def callback(state):
        if state.nit == iterations:
            raise error

    return callback


def test_callback_can_stop():
    result = minimize(rosenbrock, np.full(4, -1.0), callback=stop_after(4, StopIteration))
    assert result.nit == 4 and result.status == optimize.STOPPED and not result.success
    assert result.message == "stopped by the callback"


def test_interrupt_returns_the_best_point():
    result = minimize(rosenbrock, np.full(4, -1.0), callback=stop_after(4, KeyboardInterrupt))
    assert (
        result.nit == 4
        and result.status == optimize.INTERRUPTED
        and not result.success
        and result.message == "interrupted"
    )
    assert result.fun == rosenbrock(result.x)[0] < rosenbrock(np.full(4, -1.0))[0]


@pytest.mark.parametrize("method", optimize.METHODS)
def test_not_finite_from_some_point_on(method):
    def fun(x):  # falls towards a wall behind which nothing is finite
        return (-float(x[0]) if x[0] < 3 else math.nan), np.array([-1.0])

    result = minimize(fun, np.zeros(1), method, gtol=0, ftol=0, maxiter=500)
    assert result.status == optimize.NOT_FINITE and not result.success and "not finite" in result.message
    assert 2.9 < result.x[0] < 3 and result.fun == -result.x[0]


def test_a_wall_that_can_be_avoided_is_no_failure():
    def fun(x):
        with np.errstate(invalid="ignore"):
            return float(x[0] - np.log(x[0])), 1 - 1 / x

    result = minimize(fun, np.array([50.0]))
    assert result.success and abs(result.x[0] - 1) < 1e-3


def test_not_finite_at_the_start():
    result = minimize(lambda x: (math.nan, x), np.ones(2))
    assert result.status == optimize.NOT_FINITE and "at the start" in result.message and result.x.tolist() == [1, 1]


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'newton'; there are lbfgs, adam, momentum, gradient_descent"):
        minimize(quadratic, np.ones(2), "newton")


# As in SciPy ----------------------------------------------------------------------------------------------------------


def stop_at_once(*args, **keywords):
    raise StopIteration


@pytest.mark.parametrize("theirs", ["BFGS", "L-BFGS-B"])
@pytest.mark.parametrize("options", [{}, {"maxiter": 3}, {"maxiter": 0}])
def test_status_and_success_are_scipys(theirs, options):
    ours = minimize(rosenbrock, np.full(4, -1.0), **options)
    expected = scipy.optimize.minimize(rosenbrock, np.full(4, -1.0), jac=True, method=theirs, options=options)
    assert (ours.status, ours.success) == (expected.status, expected.success)


@pytest.mark.parametrize("theirs", ["BFGS", "L-BFGS-B"])
def test_status_after_stop_iteration_is_scipys(theirs):
    ours = minimize(rosenbrock, np.full(4, -1.0), callback=stop_at_once)
    expected = scipy.optimize.minimize(
        rosenbrock, np.full(4, -1.0), jac=True, method=theirs, callback=lambda intermediate_result: stop_at_once()
    )
    assert (ours.status, ours.success) == (expected.status, expected.success) == (99, False)


def test_status_where_nothing_is_finite_is_scipys():
    fun = lambda x: (math.nan, np.full(4, math.nan))  # noqa: E731
    ours = minimize(fun, np.ones(4))
    expected = scipy.optimize.minimize(fun, np.ones(4), jac=True, method="BFGS")
    assert (ours.status, ours.success) == (expected.status, expected.success) == (3, False)


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize(
    "x0", [[3, -2], (3, -2), np.array([3, -2]), np.array([3, -2], np.float16), np.array([3, 0]) > 0]
)
def test_whatever_holds_numbers_is_a_start(method, x0):
    seen = []
    result = minimize(quadratic, x0, method, maxiter=3, callback=lambda state: seen.append(state.x))
    assert result.x.dtype == result.jac.dtype == np.float64
    assert seen[0].tolist() == np.array(x0, float).tolist() and result.fun < quadratic(seen[0])[0]


def test_a_number_is_a_start():
    result = minimize(lambda x: (float(x**2), 2 * x), 3)
    assert result.success and result.x.shape == () and isinstance(result.x, np.ndarray) and abs(result.x) < 1e-5


@pytest.mark.parametrize("x0", [["a"], 1j, None, [object()]])
def test_a_start_without_numbers_is_refused(x0):
    with pytest.raises(TypeError, match="x0 must hold real numbers, found "):
        minimize(quadratic, x0)


def test_an_empty_start_is_refused():
    with pytest.raises(ValueError, match=r"x0 must not be empty, found shape \(0, 3\)"):
        minimize(quadratic, np.zeros((0, 3)))


@pytest.mark.parametrize(
    "returned, error, words",
    [
        (1.0, TypeError, r"fun must return \(value, gradient\) or \(value, gradient, info\), found 1.0"),
        ((1.0,), TypeError, r"found \(1.0,\)"),
        ((1.0, np.ones(2), 3, 4), TypeError, "fun must return"),
        ((np.ones(2), np.ones(2)), ValueError, r"must return a number as the value, found shape \(2,\)"),
        ((1.0, np.ones(1)), ValueError, r"must have the shape of x, \(2,\), found \(1,\)"),
        ((1.0, 1.0), ValueError, r"must have the shape of x, \(2,\), found \(\)"),
    ],
)
def test_what_the_function_returns_is_checked(returned, error, words):
    with pytest.raises(error, match=words):
        minimize(lambda x: returned, np.ones(2))


def test_the_value_may_be_an_array_of_one_number():
    assert minimize(lambda x: (x * x, 2 * x), [3.0]).success


def test_a_function_may_use_its_gradient_again():
    gradient = np.empty(4)

    def fun(x):
        value, gradient[:] = rosenbrock(x)
        return value, gradient

    expected = minimize(rosenbrock, np.full(4, -1.0))
    result = minimize(fun, np.full(4, -1.0))
    assert result.x.tolist() == expected.x.tolist() and result.nfev == expected.nfev


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize("bounds", [None, (-2, 2)])
def test_a_function_can_not_change_a_point(method, bounds):
    def fun(x):
        with pytest.raises(ValueError, match="read-only"):
            x[:] = math.nan
        return rosenbrock(x)

    result = minimize(fun, np.full(4, -1.0), method, bounds=bounds, maxiter=5)
    result.x[:] = 0  # the caller's own
    assert math.isfinite(result.fun)


# Options --------------------------------------------------------------------------------------------------------------

OPTIONS = [
    ("lbfgs", "memory", 3),
    ("gradient_descent", "learning_rate", 1e-4),
    ("momentum", "learning_rate", 1e-4),
    ("momentum", "decay", 0.5),
    ("adam", "learning_rate", 0.07),
    ("adam", "beta1", 0.5),
    ("adam", "beta2", 0.6),
    ("adam", "epsilon", 0.1),
]


@pytest.mark.parametrize("method, name, value", OPTIONS)
def test_every_option_arrives_at_its_method(method, name, value):
    """The points are those that the method itself yields with the option, and others than without."""
    x0 = np.linspace(-1, 1, 6)
    evaluate = lambda x: Point(x, *rosenbrock(x))  # noqa: E731
    own = optimize.METHODS[method](evaluate, evaluate(x0), **{name: value})
    expected = [next(own)[0].x.tolist() for _ in range(8)]
    points, plain = (trail(rosenbrock, x0, method, 8, **options)[0][1:].tolist() for options in ({name: value}, {}))
    assert points == expected and points[-1] != plain[-1]


@pytest.mark.parametrize(
    "method, options",
    [
        ("lbfgs", {"memory": 10}),
        ("momentum", {"decay": 0.9}),
        ("adam", {"learning_rate": 0.02, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}),
    ],
)
def test_defaults(method, options):
    x0 = np.linspace(-1, 1, 20)
    default, given = (trail(rosenbrock, x0, method, 15, **o)[0].tolist() for o in ({}, options))
    assert default == given
    for name, value in options.items():
        changed = {**options, name: value + 1 if name == "memory" else value * 0.98}
        assert trail(rosenbrock, x0, method, 15, **changed)[0].tolist() != given


def test_a_thousand_iterations_unless_told_otherwise():
    assert minimize(quadratic, np.ones(9), "gradient_descent", gtol=0, ftol=0).nit == 1000


@pytest.mark.parametrize(
    "before, step, ftol, stops",
    [
        (100.0, 1.0, 0.01, True),  # 100 → 99: 1 of 100
        (100.0, 1.0, 0.0099, False),
        (-99.0, 1.0, 0.01, True),  # −99 → −100
        (-99.0, 1.0, 0.0099, False),
        (0.25, 0.5, 0.5, True),  # 0.25 → −0.25: 0.5 of 1
        (0.25, 0.5, 0.49, False),
    ],
)
def test_ftol_is_a_share_of_the_larger_value_or_of_one(before, step, ftol, stops):
    fun = lambda x: (before - float(x[0]), -np.ones(1))  # noqa: E731
    result = minimize(fun, [0.0], "gradient_descent", learning_rate=step, ftol=ftol, gtol=0, maxiter=2)
    assert (result.nit == 1) == stops and result.success == stops


def test_of_equal_values_the_last_is_returned():
    result = minimize(lambda x: (1.0, np.ones(2)), np.zeros(2), "adam", maxiter=1)
    assert result.x.tolist() != [0, 0]


def test_every_option_is_tested():
    keywords = {(name, option) for name, f in optimize.METHODS.items() for option in inspect.signature(f).parameters}
    assert {(method, name) for method, name, _ in OPTIONS} == {(m, o) for m, o in keywords if o in optimize.LIMITS}
    assert {o for _, o in keywords} - {"evaluate", "point", "carry", "precondition"} == set(optimize.LIMITS)


@pytest.mark.parametrize(
    "method, options, words",
    [
        ("lbfgs", {"rate": 0.1}, "lbfgs has no option 'rate'; it has memory"),
        ("lbfgs", {"learning_rate": 0.1}, "lbfgs has no option 'learning_rate'; it has memory"),
        ("adam", {"beta_1": 0.9}, "adam has no option 'beta_1'; did you mean beta1?"),
        ("lbfgs", {"max_iter": 5}, "lbfgs has no option 'max_iter'; did you mean maxiter?"),
        ("adam", {"learning_rate": "fast"}, "learning_rate must be a number of at least 1e-300, found 'fast'"),
        ("lbfgs", {"g_tol": 5}, "did you mean gtol?"),
        ("lbfgs", {"f_tol": 5}, "did you mean ftol?"),
        ("lbfgs", {"callbacks": 5}, "did you mean callback?"),
        ("lbfgs", {"memory": None}, "memory must be a whole number"),
        ("lbfgs", {"gtol": "small"}, "gtol must be a number of at least 0"),
        ("lbfgs", {"ftol": None}, "ftol must be a number of at least 0"),
    ],
)
def test_wrong_options(method, options, words):
    with pytest.raises(TypeError, match=re.escape(words)):
        minimize(quadratic, np.ones(2), method, **options)


@pytest.mark.parametrize(
    "method, options",
    [
        ("lbfgs", {"memory": 0}),
        ("lbfgs", {"memory": 2.5}),
        ("lbfgs", {"maxiter": -1}),
        ("lbfgs", {"maxiter": 2.5}),
        ("lbfgs", {"gtol": -1e-9}),
        ("lbfgs", {"ftol": math.nan}),
        ("momentum", {"learning_rate": 0}),
        ("momentum", {"learning_rate": math.inf}),
        ("gradient_descent", {"learning_rate": math.nan}),
        ("momentum", {"decay": 1.1}),
        ("adam", {"beta1": 1}),
        ("adam", {"beta2": 1.0}),
        ("adam", {"epsilon": -1e-8}),
    ],
)
def test_options_out_of_range(method, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} must be a (whole )?number"):
        minimize(quadratic, np.ones(2), method, **options)


def test_no_learning_rate_is_the_methods_own():
    for method in ("adam", "momentum", "gradient_descent"):
        trails = [trail(rosenbrock, np.ones(4) / 3, method, 4, **o)[0].tolist() for o in ({}, {"learning_rate": None})]
        assert trails[0] == trails[1]


@pytest.mark.parametrize("method", ["momentum", "gradient_descent"])
@pytest.mark.parametrize("slope", [1.0, 1e-300])
@pytest.mark.filterwarnings("ignore:overflow")
def test_a_function_without_a_minimum_ends(method, slope):
    fun = lambda x: (float(-slope * x[0]), np.array([-slope]))  # noqa: E731
    result = minimize(fun, [0.0], method, gtol=0, ftol=0, maxiter=10**6)
    assert result.status in (optimize.NO_PROGRESS, optimize.NOT_FINITE) and result.fun < 0


@pytest.mark.parametrize("method", ["momentum", "gradient_descent"])
def test_the_smallest_learning_rate_ends(method):
    result = minimize(quadratic, np.ones(2), method, learning_rate=1e-300, gtol=0, ftol=0)
    assert result.x.tolist() == [1, 1]


# Interrupts -----------------------------------------------------------------------------------------------------------


def interrupted_at(n, method):
    """The n-th line that runs in `minimize`, and in all that it calls, is not reached: an interrupt comes instead."""
    lines, seen = count(), []

    def watch(frame, event, _):
        if frame.f_code.co_filename not in (optimize.__file__, __file__):
            return None
        if event == "line" and next(lines) == n:
            raise KeyboardInterrupt
        return watch

    def fun(x):
        value, gradient = 0.5 * float(np.sum((x - 1) ** 4)), 2 * (x - 1) ** 3
        seen.append(value)
        return value, gradient

    shown = []

    def callback(state):
        shown.append(state.fun)

    before = sys.gettrace()
    sys.settrace(watch)
    try:
        result = minimize(fun, np.array([4.0, -1.0]), method, maxiter=3, gtol=0, ftol=0, callback=callback)
    finally:
        sys.settrace(before)
    return result, seen, shown


@pytest.mark.parametrize("method", optimize.METHODS)
def test_an_interrupt_at_any_line_loses_nothing(method):
    """Inside the function, the callback, the method, or between: after the first evaluation there is a result."""
    early, statuses = 0, []
    for n in count():
        try:
            result, seen, shown = interrupted_at(n, method)
        except KeyboardInterrupt:
            early += 1
            assert not statuses, "an interrupt got through after the first evaluation"
            continue
        statuses.append(result.status)
        if result.status != optimize.INTERRUPTED:
            break
        assert result.message == "interrupted"
        assert result.fun <= min([seen[0], *shown])  # the last point may not have been shown yet
        assert result.fun == 0.5 * float(np.sum((result.x - 1) ** 4))
    assert statuses[-1] == optimize.MAXITER and set(statuses[:-1]) == {optimize.INTERRUPTED}
    assert early > 5 and len(statuses) > 50


def test_an_interrupt_of_the_first_evaluation_propagates():
    def fun(x):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        minimize(fun, np.ones(2))


def test_an_interrupt_of_a_later_evaluation_returns_the_best_point():
    calls = count()

    def fun(x):
        if next(calls) == 3:
            raise KeyboardInterrupt
        return quadratic(x)

    result = minimize(fun, np.ones(3))
    assert result.status == optimize.INTERRUPTED and result.nfev == 3 and result.fun < quadratic(np.ones(3))[0]


# Printing -------------------------------------------------------------------------------------------------------------


def test_a_result_prints_as_a_short_block():
    fun = lambda x: (*quadratic(x), {"big": np.zeros((500, 500))})  # noqa: E731
    for x0 in (np.ones(3), np.ones((40, 50, 3), np.float32), np.float64(2)):
        result = minimize(fun, x0, maxiter=2)
        lines = repr(result).splitlines()
        assert len(lines) == 9 and max(map(len, lines)) < 120
        assert lines[0] == "message: all iterations done" or result.success
        assert f" status: {result.status}" in lines and f"success: {result.success}" in lines
    small = repr(minimize(quadratic, np.ones(3), maxiter=0))
    assert "      x: [1. 1. 1.]" in small and "    jac: [   1." in small
    large = repr(minimize(quadratic, np.ones((2, 3, 4)), maxiter=0))
    assert "x: float64 array of shape (2, 3, 4), values from 1 to 1" in large
    assert "jac: float64 array of shape (2, 3, 4), values from 1 to 1000" in large


def test_every_status_has_its_message():
    names = ("RUNNING", "CONVERGED", "MAXITER", "NO_PROGRESS", "NOT_FINITE", "STOPPED", "INTERRUPTED")
    assert [getattr(optimize, name) for name in names] == [-1, 0, 1, 2, 3, 99, 130]
    one, nan = np.ones(3), lambda x: (math.nan, x)
    wall = lambda x: (math.nan if x[0] > 2 else float(-x[0]), -np.ones(1))  # noqa: E731
    states = []
    found = [
        minimize(quadratic, one, gtol=1e4),
        minimize(quadratic, one, gtol=1),
        minimize(quadratic, one, gtol=0, ftol=0.5),
        minimize(quadratic, one, maxiter=0),
        minimize(quadratic, one, maxiter=1, callback=states.append),
        minimize(lambda x: (float(np.any(x != 1)), x), one),
        minimize(nan, one),
        minimize(wall, [0.0], ftol=0),
        minimize(quadratic, one, callback=stop_at_once),
        minimize(quadratic, one, callback=stop_after(1, StopIteration)),
        minimize(quadratic, one, callback=stop_after(1, KeyboardInterrupt)),
    ]
    assert [(result.status, result.message) for result in found] == [
        (0, "no element of the gradient is larger than gtol"),
        (0, "no element of the gradient is larger than gtol"),
        (0, "the value changes by no more than ftol"),
        (1, "all iterations done"),
        (1, "all iterations done"),
        (2, "no further step lowers the value"),
        (3, "the value or the gradient is not finite (NaN or infinity) at the start"),
        (3, "the value or the gradient became not finite (NaN or infinity)"),
        (99, "stopped by the callback"),
        (99, "stopped by the callback"),
        (130, "interrupted"),
    ]
    assert [(state.status, state.success, state.message) for state in states] == [
        (-1, False, "iteration 0"),
        (-1, False, "iteration 1"),
    ]


def test_short_arrays_are_printed_and_long_ones_described():
    shown = lambda x: repr(minimize(quadratic, x, maxiter=0)).splitlines()[4]  # noqa: E731
    assert shown(np.array([1 / 3, -2e-9])) == "      x: [ 3.333333e-01 -2.000000e-09]"
    assert shown(np.full(8, -1 / 3)).count("-0.333333") == 8 and shown(np.full(8, -1e-9 / 3)).count("e-10") == 8
    assert shown(np.full(9, 0.25)) == "      x: float64 array of shape (9,), values from 0.25 to 0.25"
    assert shown(np.eye(2)) == "      x: float64 array of shape (2, 2), values from 0 to 1"
    assert shown(np.float64(7)) == "      x: 7."


def test_a_point_cannot_be_changed():
    point = Point(np.ones(1), 1.0, np.ones(1))
    assert point.info is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        point.value = 0.0


def test_results_compare_without_an_error():
    one, other = (minimize(quadratic, np.ones(3), maxiter=2) for _ in range(2))
    assert one == one and one != other and one != 3


def test_a_line_search_keeps_the_arrays_of_the_lowest_trial_alone():
    """Beside the start: high trials, and lower ones that have been improved on, are numbers."""
    points, counts = [], []

    def evaluate(x):
        counts.append(sum(point() is not None for point in points))
        point = Point(x, float(np.sum((x - 3) ** 4)), 4 * (x - 3) ** 3)
        points.append(weakref.ref(point))
        return point

    start = evaluate(np.zeros(1))
    direction = -start.gradient
    for step in (1e-4, 1.0):  # to expand, and to shrink
        assert optimize.line_search(evaluate, start, direction, optimize.dot(start.gradient, direction), step, c2=1e-3)
    assert len(counts) > 8 and max(counts) <= 2
