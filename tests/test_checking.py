"""gradcheck passes right gradients, fails wrong ones, and says where."""

import numpy as np
import pytest
import scipy.optimize
from drawing import like

from nst_numpy import gradcheck


def f(x):
    return float(np.sum(np.sin(x)) + np.prod(x[0]))


def df(x):
    gradient = np.cos(x)
    gradient[0] += np.prod(x[0]) / x[0]
    return gradient


X = 1 + np.abs(like(0, (3, 4)))


@pytest.mark.parametrize("mode", ["auto", "all", "sample", "direction"])
def test_right_gradient(mode):
    check = gradcheck(f, df, X, mode=mode)
    assert check and check.passed and check.norm_ratio < 1e-8 and check.max_relative_error < 1e-8
    assert gradcheck(f, df(X), X, mode=mode).norm_ratio == check.norm_ratio, "a value serves as well as a function"


@pytest.mark.parametrize("mode", ["auto", "all", "sample", "direction"])
@pytest.mark.parametrize(
    "wrong", [lambda g: 1.001 * g, lambda g: -g, lambda g: g + 0.01, np.zeros_like, lambda g: g * np.nan]
)
def test_wrong_gradient(wrong, mode):
    assert not gradcheck(f, lambda x: wrong(df(x)), X, mode=mode)


def test_one_wrong_element_is_named():
    def wrong(x):
        gradient = df(x)
        gradient[1, 2] *= 3
        return gradient

    check = gradcheck(f, wrong, X)
    assert not check and check.worst_index == (1, 2)
    assert "FAILED" in str(check) and "worst at (1, 2)" in str(check) and "\n" not in str(check)


def test_numbers_are_those_of_scipy():
    check = gradcheck(f, df, X, mode="all")
    expected = scipy.optimize.approx_fprime(X.ravel(), lambda x: f(x.reshape(X.shape)), 1e-7)
    assert np.allclose(check.numeric, expected, rtol=1e-4)
    assert np.array_equal(check.analytic, df(X).ravel())


def test_definition_of_the_two_errors():
    check = gradcheck(lambda x: float(x @ [3.0, 4.0]), np.array([3.0, 5.0]), np.ones(2))
    assert np.isclose(check.norm_ratio, 1 / np.sqrt(34)) and np.isclose(check.max_relative_error, 1 / 5)


def test_sampling_is_seeded_and_counts_evaluations():
    calls = []
    x = like(0, (50, 50))
    check = gradcheck(lambda x: (calls.append(0), 0.5 * np.sum(x**2))[1], lambda x: x, x, samples=30, seed=5)
    assert check and len(calls) == 60 and len(set(check.indices)) == 30
    again = gradcheck(lambda x: 0.5 * np.sum(x**2), lambda x: x, x, samples=30, seed=5)
    assert np.array_equal(again.indices, check.indices)


def test_float32_input_is_checked_in_float64_and_not_changed():
    x = np.full(3, 0.5, np.float32)
    x.flags.writeable = False
    assert gradcheck(lambda x: float(np.sum(x**3)), lambda x: 3 * x**2, x).norm_ratio < 1e-8


def test_zero_everywhere_passes():
    assert gradcheck(lambda x: 1.0, np.zeros_like, np.ones(4)).norm_ratio == 0


def test_bad_arguments():
    with pytest.raises(ValueError, match='"auto", "all", "sample" or "direction", found \'fast\''):
        gradcheck(f, df, X, mode="fast")
    with pytest.raises(ValueError, match=r"must have the shape of x, \(3, 4\).*found \(4, 3\)"):
        gradcheck(f, df(X).T, X)
