"""Minimising within bounds: against SciPy's L-BFGS-B, the conditions for a minimum, and the definitions."""

import math
import re

import numpy as np
import pytest
import scipy.optimize
from drawing import picture
from hypothesis import given, settings
from hypothesis import strategies as st
from test_optimize import STANDARD, painting, rosenbrock, trail

from nst_numpy import minimize, optimize
from nst_numpy.optimize import Point


def quadratic(n, condition, seed, spread=1.0):
    """½ (x − c)ᵀ B (x − c), with eigenvalues of B from 1 to the condition number; c_i is of the order of the spread."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    B = (Q * np.logspace(0, math.log10(condition), n)) @ Q.T
    centre = spread * rng.standard_normal(n)
    return lambda x: (0.5 * (x - centre) @ B @ (x - centre), B @ (x - centre))


def distance_from_a_minimum(x, gradient, low, high):
    """0 where the conditions of Karush, Kuhn and Tucker hold: a step against the gradient, cut off, goes nowhere."""
    return np.abs(x - np.clip(x - gradient, low, high)).max()


# Where it arrives -----------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(
    n=st.integers(1, 12),
    condition=st.sampled_from([1.0, 10.0, 1e3]),
    spread=st.sampled_from([0.0, 0.1, 1.0, 10.0]),
    bounds=st.sampled_from([(-0.5, 0.5), (0.0, 1.0), (-0.1, math.inf), (-math.inf, 0.1), (-9.0, 9.0), (0.25, 0.25)]),
    start=st.sampled_from([-20.0, -0.1, 0.0, 0.3, 20.0, None]),
    seed=st.integers(0, 10**6),
)
def test_lbfgs_finds_the_minimum_of_a_convex_quadratic_as_scipy_does(n, condition, spread, bounds, start, seed):
    fun = quadratic(n, condition, seed, spread)
    x0 = np.random.default_rng(seed + 1).uniform(-2, 2, n) if start is None else np.full(n, start)
    ours = minimize(fun, x0, bounds=bounds, gtol=1e-6, ftol=0)
    theirs = scipy.optimize.minimize(
        fun, x0.clip(*bounds), jac=True, method="L-BFGS-B", bounds=[bounds] * n, options={"gtol": 1e-6, "ftol": 0}
    )
    assert bounds[0] <= ours.x.min() and ours.x.max() <= bounds[1]
    # A value of 10⁵ is known to 10⁻¹¹, so x to about 10⁻⁵, and the gradient to 10⁻⁵ √condition.
    assert distance_from_a_minimum(ours.x, ours.jac, *bounds) <= 1e-6 * (1 + spread) * math.sqrt(condition)
    assert ours.fun <= theirs.fun + 1e-9 * (1 + abs(theirs.fun))


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize("bounds", [(-0.5, 0.5), (-0.1, math.inf), (-math.inf, -0.2)])
@pytest.mark.parametrize("start", [-5.0, -0.3, 5.0])
def test_every_method_finds_the_minimum(method, bounds, start):
    fun = quadratic(6, 10.0, 3)
    options = {"adam": {"learning_rate": 0.003, "maxiter": 4000}}.get(method, {"maxiter": 2000})
    result = minimize(fun, np.full(6, start), method, bounds=bounds, gtol=1e-6, ftol=0, **options)
    assert distance_from_a_minimum(result.x, result.jac, *bounds) <= (0.05 if method == "adam" else 1e-6)
    assert 0 < np.sum((result.x <= bounds[0]) | (result.x >= bounds[1])) < 6  # some are held, others free


HARD = {
    **{
        f"quadratic {n}, {condition:g}, {spread}": (quadratic(n, condition, 1, spread), n, (-0.5, 0.5))
        for n, condition, spread in [(5, 1e3, 0.3), (50, 1e3, 0.3), (50, 1e3, 1), (300, 10, 5)]
    },
    **{
        f"rosenbrock {n}, {bounds}": (rosenbrock, n, bounds)
        for n in (2, 10, 50)
        for bounds in [(-1.5, 0.8), (-0.5, 0.5), (1.2, 3.0)]
    },
}


@pytest.mark.parametrize("name", HARD)
def test_lbfgs_needs_no_more_evaluations_than_scipys(name):
    """To come as low as SciPy does, but for 10⁻⁹ of its value."""
    fun, n, bounds = HARD[name]
    x0 = np.random.default_rng(0).uniform(*bounds, n)
    options = {"gtol": 1e-6, "ftol": 0, "maxiter": 5000, "maxfun": 5000}
    theirs = scipy.optimize.minimize(fun, x0, jac=True, method="L-BFGS-B", bounds=[bounds] * n, options=options)
    enough = theirs.fun + 1e-9 * (1 + abs(theirs.fun))

    def callback(state):
        if state.fun <= enough:
            raise StopIteration

    ours = minimize(fun, x0, bounds=bounds, maxiter=5000, gtol=0, ftol=0, callback=callback)
    print(f"{name}: {ours.nfev} evaluations, SciPy {theirs.nfev}")
    assert ours.status == optimize.STOPPED and ours.nfev <= 1.2 * theirs.nfev + 12


def test_lbfgs_is_as_good_as_scipys_on_a_painting():
    fun, x0, bounds = painting(), picture(9, 20, 24), (0.3, 0.7)
    ours = minimize(fun, x0, bounds=bounds, maxiter=60, gtol=0, ftol=0)
    flat = lambda x: (fun(x.reshape(x0.shape))[0], fun(x.reshape(x0.shape))[1].ravel())  # noqa: E731
    theirs = scipy.optimize.minimize(
        flat,
        x0.clip(*bounds).ravel(),
        jac=True,
        method="L-BFGS-B",
        bounds=[bounds] * x0.size,
        options={"gtol": 0, "ftol": 0, "maxcor": 10, "maxiter": 60, "maxfun": 1000},
    )
    held = np.mean((ours.x == 0.3) | (ours.x == 0.7))
    print(f"painting: {ours.fun:.4g} in {ours.nfev}, {held:.0%} at a bound; SciPy {theirs.fun:.4g} in {theirs.nfev}")
    assert ours.fun <= 1.1 * theirs.fun and ours.nfev <= 1.2 * theirs.nfev + 3 and held > 0.1


# What it evaluates ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_nothing_outside_is_evaluated_or_returned(method, dtype):
    """Not even by rounding: 0.1 and 0.7 are no binary fractions."""
    x0, seen = (np.linspace(-2, 2, 12, dtype=dtype)).reshape(2, 2, 3), []
    before = x0.copy()

    def fun(x):
        seen.append(x.copy())
        value, gradient = rosenbrock(x.ravel())
        return value, gradient.reshape(x.shape)

    shown = []
    result = minimize(fun, x0, method, bounds=(0.1, 0.7), maxiter=25, callback=lambda state: shown.append(state.x))
    low, high = dtype(0.1), dtype(0.7)
    for x in (*seen, *shown, result.x):
        assert x.dtype == dtype and x.shape == x0.shape and low <= x.min() and x.max() <= high
    assert np.array_equal(seen[0], x0.clip(low, high)) and np.array_equal(x0, before)
    assert (result.x == low).any() or (result.x == high).any()


@pytest.mark.parametrize("method", optimize.METHODS)
@pytest.mark.parametrize("name", STANDARD)
def test_bounds_that_are_never_reached_change_no_bit(method, name):
    fun, x0 = STANDARD[name]
    unbounded, infinite, wide = (
        trail(fun, x0, method, 30, **options)
        for options in ({}, {"bounds": (-math.inf, math.inf)}, {"bounds": (-1e9, 1e9)})
    )
    for x, gradient in (infinite, wide):
        assert np.array_equal(x, unbounded[0]) and np.array_equal(gradient, unbounded[1])


def test_without_bounds_vectors_are_handed_on():
    point, v = Point(np.zeros(2), 0.0, np.ones(2)), np.ones(2)
    assert point.bounds is None and point.free(v) is v and point.inward(v) is v


def test_what_is_held_and_what_moves_out():
    x = np.array([0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.5, 0.5])
    gradient = np.array([1.0, -1.0, 0.0, 1.0, -1.0, 0.0, 1.0, -1.0])
    point = Point(x, 0.0, gradient, None, (0.0, 1.0))
    v = np.arange(1.0, 9.0)
    assert point.free(v).tolist() == [0, 2, 3, 4, 0, 6, 7, 8]
    assert point.inward(v).tolist() == [1, 2, 3, 0, 0, 0, 7, 8]
    assert point.inward(-v).tolist() == [0, 0, 0, -4, -5, -6, -7, -8]


# Stopping -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", optimize.METHODS)
def test_gtol_is_for_free_elements(method):
    fun = lambda x: (float(5 * x[0] - 7 * x[1] + x[2] ** 2), np.array([5.0, -7.0, 2 * x[2]]))  # noqa: E731
    at_corner = minimize(fun, [-3.0, 3.0, 0.0], method, bounds=(0, 1))
    assert at_corner.nit == 0 and at_corner.success and at_corner.x.tolist() == [0, 1, 0]
    assert at_corner.message == "no element of the gradient is larger than gtol"
    assert at_corner.jac.tolist() == [5, -7, 0]  # all of it, as in SciPy
    for start, gtol, nit in (([0.0, 1.0, 0.5], 1.0, 0), ([0.0, 1.0, 0.5], 0.99, 1), ([1.0, 1.0, 0.0], 4.0, 1)):
        assert minimize(fun, start, method, bounds=(0, 1), gtol=gtol, maxiter=1).nit == nit


@pytest.mark.parametrize("method", optimize.METHODS)
def test_a_box_without_room_is_converged(method):
    result = minimize(rosenbrock, np.linspace(-1, 1, 5), method, bounds=(0.25, 0.25), gtol=0)
    assert result.success and result.nfev == 1 and result.x.tolist() == [0.25] * 5


# The methods as defined -----------------------------------------------------------------------------------------------


def moved(fun, x0, method, steps, **options):
    return trail(fun, x0, method, steps, bounds=(-0.3, 0.4), **options)


@pytest.mark.parametrize("seed", [0, 17, 25])
def test_lbfgs_takes_its_direction_among_free_elements(seed, monkeypatch):
    """d = −Z H Z ∇f with H as a matrix, from pairs among the elements free at their end; and its slope."""
    n, low, high = 7, -0.3, 0.4
    fun, searches = quadratic(n, 100.0, seed, 0.6), []
    search = optimize.line_search

    def spy(evaluate, start, direction, slope, step):
        searches.append((start, direction, slope))
        return search(evaluate, start, direction, slope, step)

    monkeypatch.setattr(optimize, "line_search", spy)
    minimize(fun, np.full(n, 0.2), bounds=(low, high), maxiter=9, gtol=0, ftol=0, memory=3)
    pairs, before, kept_back, held = [], None, 0, 0
    for p, direction, slope in searches:
        Z = np.diag(1.0 - (((p.x == low) & (p.gradient > 0)) | ((p.x == high) & (p.gradient < 0))))
        if before:
            s, y = Z @ (p.x - before.x), Z @ (p.gradient - before.gradient)
            assert s @ y > 0
            pairs = [*pairs, (s, y)][-3:]
        H = np.eye(n) * ((pairs[-1][0] @ pairs[-1][1]) / (pairs[-1][1] @ pairs[-1][1]) if pairs else 1)
        for s, y in pairs:
            V = np.eye(n) - np.outer(y, s) / (s @ y)
            H = V.T @ H @ V + np.outer(s, s) / (s @ y)
        d = -Z @ H @ Z @ p.gradient
        out = ((p.x == low) & (d < 0)) | ((p.x == high) & (d > 0))
        d[out] = 0
        assert np.allclose(direction, d, rtol=1e-6, atol=1e-12)
        assert np.isclose(slope, p.gradient @ direction, rtol=1e-12) and slope < 0
        before, kept_back, held = p, kept_back + out.sum(), held + n - np.trace(Z)
    assert kept_back > 0 and held > 0


def test_a_line_search_follows_the_path():
    """An element that is cut off has no slope: here ∇f would push it back, and 1 is the minimum along the path."""
    low, high = 0.0, np.array([2.0, 0.1])
    tried = []

    def evaluate(x):
        x = np.clip(x, low, high)
        tried.append(x.tolist())
        value = 0.5 * (x[0] - 1) ** 2 + 50 * (x[1] - 0.04) ** 2
        return Point(x, value, np.array([x[0] - 1, 100 * (x[1] - 0.04)]), None, (low, high))

    start = evaluate(np.zeros(2))
    found = optimize.line_search(evaluate, start, np.ones(2), float(start.gradient.sum()), 1.0)
    assert found.x.tolist() == [1, 0.1] and len(tried) == 2


def test_gradient_descent_is_its_definition():
    fun = quadratic(5, 10.0, 2)
    x, g = moved(fun, np.full(5, 0.1), "gradient_descent", 12, learning_rate=0.4)
    eta = 0.4
    for k in range(12):
        free = ~(((x[k] == -0.3) & (g[k] > 0)) | ((x[k] == 0.4) & (g[k] < 0)))
        first, slope = eta, np.sum(g[k][free] ** 2)
        while fun((x[k] - eta * g[k]).clip(-0.3, 0.4))[0] > fun(x[k])[0] - 1e-4 * eta * slope:
            eta /= 2
        assert np.allclose(x[k + 1], (x[k] - eta * g[k]).clip(-0.3, 0.4), rtol=1e-12)
        eta *= 2 if eta == first else 1
    assert not free.all()


def test_the_condition_of_gradient_descent_is_for_free_elements():
    """The gradient of a held element, however large, asks for no fall of the value."""
    fun = lambda x: (float(1e6 * x[0] + 0.5 * x[1] ** 2), np.array([1e6, x[1]]))  # noqa: E731
    x, _ = trail(fun, np.array([0.0, 1.0]), "gradient_descent", 1, bounds=(0, 2), learning_rate=0.5)
    assert x[1].tolist() == [0, 0.5]


def test_momentum_loses_the_velocity_that_leads_out():
    """The first element is pressed against its bound, and then called back: it comes at once."""
    turn = 3

    def fun(x):
        calls.append(x)
        g = -1.0 if len(calls) <= turn else 1.0
        return -float(len(calls)), np.array([g, -0.01])

    calls = []
    x, _ = trail(fun, np.array([0.35, 0.0]), "momentum", 6, bounds=(-0.3, 0.4), learning_rate=0.1, decay=0.9)
    v, position, eta = np.zeros(2), np.array([0.35, 0.0]), 0.1
    for k in range(6):
        g = np.array([-1.0 if k < turn else 1.0, -0.01])
        v = 0.9 * v - eta * g
        for i in range(2):
            if (position[i] == 0.4 and v[i] > 0) or (position[i] == -0.3 and v[i] < 0):
                v[i] = 0.0
        position = (position + v).clip(-0.3, 0.4)
        eta *= 1.05
        assert np.allclose(x[k + 1], position, rtol=1e-12)
    assert x[turn, 0] == 0.4 > x[turn + 1, 0]


def test_adam_is_projected():
    x, g = moved(rosenbrock, np.array([-0.2, 0.3, 0.39]), "adam", 12, learning_rate=0.1)
    for k in range(1, 13):
        older = np.arange(k)[::-1]
        mean = np.average(g[:k], axis=0, weights=0.9**older)
        square = np.average(g[:k] ** 2, axis=0, weights=0.999**older)
        assert np.allclose(x[k], (x[k - 1] - 0.1 * mean / (np.sqrt(square) + 1e-8)).clip(-0.3, 0.4), rtol=1e-9)
    assert (x == 0.4).any() or (x == -0.3).any()


@pytest.mark.parametrize("method", ["momentum", "gradient_descent"])
def test_the_first_step_changes_a_free_element_by_a_hundredth(method):
    fun = lambda x: (float(5 * x[0] + 1e6 * x[1]), np.array([5.0, 1e6]))  # noqa: E731
    x, _ = trail(fun, np.array([0.5, 0.0]), method, 1, bounds=(0, 1))
    assert np.allclose(x[1], [0.49, 0], rtol=1e-12)


# Wrong bounds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "bounds, error",
    [
        (1.0, TypeError),
        ("01", TypeError),
        ((0, None), TypeError),
        ((False, True), TypeError),
        ((np.zeros(3), np.ones(3)), TypeError),
        ((0,), ValueError),
        ((0, 1, 2), ValueError),
        ((1, 0), ValueError),
        ((0, math.nan), ValueError),
        ((math.nan, 0), ValueError),
        ((math.inf, math.inf), ValueError),
        ((-math.inf, -math.inf), ValueError),
    ],
)
def test_wrong_bounds(bounds, error):
    words = f"bounds must be two numbers, the lower first, or None, found {bounds!r}"
    with pytest.raises(error, match=re.escape(words)):
        minimize(rosenbrock, np.zeros(2), bounds=bounds)


def test_bounds_may_be_any_pair_of_numbers():
    for bounds in ([0, 1], np.array([0.0, 1.0]), (np.float32(0), np.int64(1))):
        assert minimize(rosenbrock, np.full(2, 3.0), bounds=bounds, maxiter=0).x.tolist() == [1, 1]


def test_bounds_are_named_to_those_who_nearly_do():
    with pytest.raises(TypeError, match=re.escape("did you mean bounds?")):
        minimize(rosenbrock, np.zeros(2), bound=(0, 1))
