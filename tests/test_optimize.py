"""The optimisers against SciPy's and against the definitions."""

import math
from collections import deque
from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from drawing import picture, small_vgg
from test_objective import objective

from nst_numpy import minimize, optimize
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


def test_lbfgs_is_as_good_as_scipys_on_the_objective():
    f = objective()
    x0 = picture(9, 33, 40)
    ours = minimize(f, x0, maxiter=60, gtol=0, ftol=0)
    options = {"gtol": 0, "ftol": 0, "maxcor": 10, "maxiter": 60, "maxfun": 1000}
    flat = lambda x: (f(x.reshape(x0.shape))[0], f(x.reshape(x0.shape))[1].ravel())  # noqa: E731
    theirs = scipy.optimize.minimize(flat, x0.ravel(), jac=True, method="L-BFGS-B", options=options)
    start = f(x0)[0]
    print(f"objective: from {start:.4g} to {ours.fun:.4g} in {ours.nfev}; SciPy {theirs.fun:.4g} in {theirs.nfev}")
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
    options = {"rate": 0.1, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}
    x, g = trail(rosenbrock, np.array([-1.0, 0.3, 2.0]), "adam", 12, **options)
    for k in range(1, 13):
        older = np.arange(k)[::-1, None]  # by how many steps each gradient is older than the last
        mean = np.average(g[:k], axis=0, weights=(0.8**older)[:, 0])
        square = np.average(g[:k] ** 2, axis=0, weights=(0.95**older)[:, 0])
        assert np.allclose(x[k], x[k - 1] - 0.1 * mean / (np.sqrt(square) + 1e-3), rtol=1e-12)


def test_momentum_is_its_definition():
    x, g = trail(quadratic, np.ones(4), "momentum", 5, rate=1e-5, decay=0.7)
    for k in range(1, 6):
        assert np.allclose(x[k] - x[k - 1], -sum(1e-5 * 1.05**i * 0.7 ** (k - 1 - i) * g[i] for i in range(k)))


def test_adam_may_rise_and_the_best_point_is_returned():
    values = []
    result = minimize(quadratic, np.full(4, 0.05), "adam", maxiter=6, callback=lambda s: values.append(s.fun))
    assert values[-1] > 2 * min(values) == 2 * result.fun and result.fun == quadratic(result.x)[0]


def test_momentum_takes_back_a_step_that_is_too_large():
    result = minimize(quadratic, np.ones(4), "momentum", rate=1.0, maxiter=50, ftol=0)
    assert result.success and result.fun < 0.1 * quadratic(np.ones(4))[0]


def test_two_loops_are_the_bfgs_matrix():
    """The product H ∇f, with H built as a matrix by the BFGS update (Nocedal and Wright, equation 6.17)."""
    rng = np.random.default_rng(0)
    n = 7
    pairs, matrix = deque(), None
    B = rng.standard_normal((n, n))
    B = B @ B.T + np.eye(n)  # y = B s has yᵀs > 0
    steps = [rng.standard_normal(n) for _ in range(4)]
    gamma = (B @ steps[-1]) @ steps[-1] / np.sum((B @ steps[-1]) ** 2)
    matrix = gamma * np.eye(n)
    for s in steps:
        y = B @ s
        pairs.append((s, y, s @ y))
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        matrix = V.T @ matrix @ V + np.outer(s, s) / (s @ y)
    gradient = rng.standard_normal(n)
    assert np.allclose(optimize.two_loop(gradient, pairs), matrix @ gradient, rtol=1e-12)
    assert np.array_equal(optimize.two_loop(gradient, deque()), gradient)


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


def test_cubic_minimum():
    cubic = lambda t: 2 * t**3 - 3 * t**2 - 12 * t + 5  # minimum at 2, maximum at −1  # noqa: E731
    slope = lambda t: 6 * t**2 - 6 * t - 12  # noqa: E731
    at = lambda t: (t, Point(np.zeros(1), cubic(t), np.zeros(1)), slope(t))  # noqa: E731
    assert math.isclose(optimize.cubic_minimum(at(0.5), at(3.0)), 2)
    assert math.isclose(optimize.cubic_minimum(at(3.0), at(0.5)), 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_points_keep_shape_and_type_and_x0_is_not_changed(dtype):
    x0 = np.full((2, 3), 0.5, dtype)
    x0.flags.writeable = False
    result = minimize(quadratic, x0, maxiter=5)
    assert result.x.shape == (2, 3) and result.x.dtype == dtype


def test_the_same_start_gives_the_same_bytes():
    f = objective(small_vgg(dtype=np.float32))
    runs = [minimize(f, picture(9, 33, 40, np.float32), maxiter=15).x.tobytes() for _ in range(2)]
    assert runs[0] == runs[1]


# Stopping -------------------------------------------------------------------------------------------------------------


def test_stops_at_gtol_ftol_and_maxiter():
    start = np.ones(5)
    assert "gtol" in minimize(quadratic, start, gtol=1e3).message
    assert minimize(quadratic, start, gtol=1e3).nit == 0
    assert "ftol" in minimize(quadratic, start, gtol=0, ftol=0.5).message
    assert minimize(quadratic, start, maxiter=3, gtol=0, ftol=0).nit == 3
    assert minimize(quadratic, start, maxiter=0).nit == 0


def test_stops_when_no_step_helps():
    result = minimize(quadratic, np.ones(5, np.float32), gtol=0, ftol=0, maxiter=10_000)
    assert result.success and result.nit < 10_000 and result.fun < 1e-10


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
    assert result.nit == 4 and result.success and result.message == "stopped by the callback"


def test_interrupt_returns_the_best_point():
    result = minimize(rosenbrock, np.full(4, -1.0), callback=stop_after(4, KeyboardInterrupt))
    assert result.nit == 4 and not result.success and result.message == "interrupted from the keyboard"
    assert result.fun == rosenbrock(result.x)[0] < rosenbrock(np.full(4, -1.0))[0]


@pytest.mark.parametrize("method", optimize.METHODS)
def test_not_finite_from_some_point_on(method):
    def fun(x):  # falls towards a wall behind which nothing is finite
        return (-float(x[0]) if x[0] < 3 else math.nan), np.array([-1.0])

    result = minimize(fun, np.zeros(1), method, gtol=0, ftol=0, maxiter=500)
    assert not result.success and "not finite" in result.message
    assert 2.9 < result.x[0] < 3 and result.fun == -result.x[0]


def test_a_wall_that_can_be_avoided_is_no_failure():
    def fun(x):
        with np.errstate(invalid="ignore"):
            return float(x[0] - np.log(x[0])), 1 - 1 / x

    result = minimize(fun, np.array([50.0]))
    assert result.success and abs(result.x[0] - 1) < 1e-3


def test_not_finite_at_the_start():
    result = minimize(lambda x: (math.nan, x), np.ones(2))
    assert not result.success and "not finite at the start" in result.message and result.x.tolist() == [1, 1]


def test_unknown_method():
    with pytest.raises(ValueError, match="unknown method 'newton'; there are lbfgs, adam, momentum, gradient_descent"):
        minimize(quadratic, np.ones(2), "newton")
    with pytest.raises(ValueError, match="lbfgs has no option 'rate'; it has memory"):
        minimize(quadratic, np.ones(2), rate=0.1)
