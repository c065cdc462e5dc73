"""gradcheck passes right gradients, fails wrong ones, and says where."""

import io

import numpy as np
import pytest
import scipy.optimize
from drawing import like, picture, small_vgg, spread
from PIL import Image

from nst_numpy import check_layers, check_network, gradcheck, layers


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
    assert check and 60 <= len(calls) <= 63 and len(set(check.indices)) == 30
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
    with pytest.raises(ValueError, match="gradient must be its backward, callable as"):
        gradcheck(np.sin, np.cos(X), X)
    with pytest.raises(ValueError, match=r"x must not be empty, found shape \(0, 3\)"):
        gradcheck(f, df, np.empty((0, 3)))


# What is wrong --------------------------------------------------------------------------------------------------------


def accumulating():
    total = np.zeros_like(X)

    def gradient(x):
        nonlocal total
        total = total + df(x)
        return total

    return gradient


def in_place(x):
    x *= 1
    x[0, 0] += 1
    return df(X)


def with_nan(x):
    gradient = df(x)
    gradient[2, 1] = np.nan
    return gradient


@pytest.mark.parametrize("mode", ["all", "sample"])
@pytest.mark.parametrize(
    "gradient, code, words",
    [
        (lambda x: 0.5 * df(x), "constant-factor", "1/2 times the right gradient"),
        (lambda x: df(x) / 12, "constant-factor", "1/12 times the right gradient"),
        (lambda x: -3 * df(x), "constant-factor", "-3 times the right gradient"),
        (lambda x: 1.2345678 * df(x), "constant-factor", "1.23457 times the right gradient"),
        (lambda x: -df(x), "sign", "minus the right gradient"),
        (with_nan, "not-finite", "not finite, the first at (2, 1)"),
        (accumulating, "accumulates", "a second call returns another gradient"),
        (in_place, "mutates-input", "the gradient function changes its input in place"),
        (lambda x: df(x).T, "wrong-shape", "must have the shape of x, (3, 4), found (4, 3); its transpose would"),
        (lambda x: df(x).sum(axis=0), "wrong-shape", "found (4,)"),
    ],
)
def test_diagnosis(gradient, code, words, mode):
    gradient = gradient() if gradient is accumulating else gradient
    check = gradcheck(f, gradient, X, mode=mode, samples=8)
    assert not check and check.diagnosis == (code,), check
    assert words in check.message and check.message in str(check) and "\n" not in str(check)


def test_a_transposed_gradient():
    W = like(3, (4, 4))
    check = gradcheck(lambda x: float(np.sum(W * np.sin(x))), lambda x: (W * np.cos(x)).T, np.abs(W) @ np.abs(W))
    assert check.diagnosis == () or check.diagnosis == ("transposed",)
    check = gradcheck(lambda x: float(np.sum(W * x)), lambda x: W.T, like(4, (4, 4)))
    assert check.diagnosis == ("transposed",) and "axes 0 and 1 exchanged" in check.message


def test_other_mistakes_get_no_diagnosis():
    check = gradcheck(f, lambda x: df(x) + 0.1 * like(1, x.shape), X)
    assert not check and check.diagnosis == () and check.message == ""


def test_functions_that_are_not_right_themselves():
    def changes(x):
        x += 1
        return float(np.sum(x))

    assert gradcheck(changes, np.ones_like, X).diagnosis == ("mutates-input",)


def test_a_function_that_is_not_finite():
    check = gradcheck(lambda x: x[1] if x[0] == 1 else np.nan, lambda x: np.ones(2), np.array([1.0, 2.0]))
    assert not check and check.diagnosis == ("not-finite",) and "the function itself" in check.message


# Arrays, kinks, float32 -----------------------------------------------------------------------------------------------


def test_pairs_of_functions():
    x = spread(np.random.default_rng(0), (4, 5, 2))
    assert gradcheck(layers.relu_forward, layers.relu_backward, x)
    assert gradcheck(layers.max_pool_forward, layers.max_pool_backward, x)
    kernel, bias = like(1, (3, 3, 2, 3)), like(2, (3,))
    forward = lambda x: layers.conv_forward(x, kernel, bias)  # noqa: E731
    assert gradcheck(forward, lambda dy, x: layers.conv_backward_input(dy, kernel), x)
    unflipped = lambda dy, x: layers.conv_backward_input(dy, kernel[::-1, ::-1])  # noqa: E731
    assert not gradcheck(forward, unflipped, x)
    other = gradcheck(layers.relu_forward, layers.relu_backward, x, seed=1)
    same = [gradcheck(layers.relu_forward, layers.relu_backward, x).numeric for _ in range(2)]
    assert np.array_equal(*same) and not np.allclose(other.numeric, same[0])


def test_kinks_are_left_out_and_counted():
    x = np.array([0.0, 1.0, -1.0, 0.0, 2.0])
    check = gradcheck(layers.relu_forward, layers.relu_backward, x)
    assert check and check.kinks == 2 and list(check.indices) == [1, 2, 4]
    assert "(2 left out at kinks)" in str(check)
    flat = np.ones((4, 4, 1))
    check = gradcheck(layers.max_pool_forward, layers.max_pool_backward, flat)
    assert check and 0 < check.kinks <= 16
    every = gradcheck(layers.relu_forward, layers.relu_backward, np.zeros(3))
    assert every.kinks + len(every.indices) == 3 and "kinks" in str(every)


def test_a_kink_excuses_nothing_that_does_not_lie_between_its_slopes():
    x = np.array([0.0, 1.0])
    check = gradcheck(lambda x: float(np.abs(x).sum()), lambda x: np.array([1.5, 1.0]), x)
    assert not check and check.kinks == 0 and check.worst_index == (0,)
    assert gradcheck(lambda x: float(np.abs(x).sum()), lambda x: np.array([-0.3, 1.0]), x).kinks == 1


def test_a_kink_nearby_is_no_kink_here():
    x = np.array([3e-6, 1.0])  # the kink at 0 is within h
    check = gradcheck(lambda x: float(np.abs(x).sum()), np.sign, x)
    assert check and check.kinks == 0 and len(check.indices) == 2
    assert not gradcheck(lambda x: float(np.abs(x).sum()), lambda x: np.array([0.5, 1.0]), x)


def test_curvature_is_no_kink():
    x = np.array([0.3, 1.0])
    for h in (1e-1, 1e-3):
        check = gradcheck(lambda x: float(np.sum(np.exp(3 * x))), lambda x: 3.001 * np.exp(3 * x), x, h=h)
        assert not check and check.kinks == 0, check


def test_float32_functions_are_warned_about():
    def single(x):
        return np.float32(np.sum(x.astype(np.float32) ** 2))

    x = like(0, (6,), np.float32)
    with pytest.warns(RuntimeWarning, match="computes in float32, in which differences are wrong by a hundredth"):
        check = gradcheck(single, lambda x: 2 * x, x)
    assert check and check.rtol == 0.03

    def only_single(x):
        if x.dtype != np.float32:
            raise TypeError("float32 please")
        return np.float32(np.sum(x**2))

    with pytest.warns(RuntimeWarning, match="computes in float32"):
        assert gradcheck(only_single, lambda x: 2 * x, x)
    with pytest.warns(RuntimeWarning):
        assert not gradcheck(only_single, lambda x: x, x)
    with pytest.raises(TypeError, match="float32 please"):
        gradcheck(only_single, lambda x: 2 * x, x.astype(np.float64))


def test_error_map():
    def wrong(x):
        gradient = df(x)
        gradient[1, 2] *= 3
        return gradient

    check = gradcheck(f, wrong, X)
    errors = check.error_map()
    assert errors.shape == X.shape and np.unravel_index(errors.argmax(), X.shape) == (1, 2)
    assert np.isclose(errors.max(), check.max_relative_error)
    assert np.isnan(gradcheck(f, df, X, mode="sample", samples=5).error_map()).sum() == 7
    assert Image.open(io.BytesIO(check._repr_png_())).size[0] > 100
    assert gradcheck(f, df, X, mode="direction")._repr_png_() is None


# Networks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["plain", "fast"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_right_network(backend, pooling):
    network = small_vgg(last="conv3_1", pooling=pooling, backend=backend)
    found = check_network(network, picture(0, 13, 18), "conv3_1")
    assert found and found.first_wrong is None, found
    assert list(found.checks) == ["input", "conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1"]
    assert str(found).count("passed") == 9


def test_the_first_wrong_layer_is_named():
    x = spread(np.random.default_rng(0), (6, 7, 2))
    kernel, zero = like(1, (3, 3, 2, 2)), np.zeros(2)
    conv = (lambda x: layers.conv_forward(x, kernel, zero), lambda dy, x: layers.conv_backward_input(dy, kernel))
    relu = (layers.relu_forward, layers.relu_backward)
    unmasked = (layers.relu_forward, lambda dy, x: dy)
    pool = (layers.average_pool_forward, layers.average_pool_backward)
    right = {"conv1": conv, "relu1": relu, "pool1": pool, "conv2": conv, "relu2": relu}
    assert check_layers(right, x)
    wrong = check_layers({**right, "relu1": unmasked, "relu2": unmasked}, x)
    assert not wrong and wrong.first_wrong == "relu1" and "the first layer that is wrong: relu1" in str(wrong)
    assert wrong.checks["conv2"] and not wrong.checks["relu2"] and not wrong.chain
    together = check_layers(right, x, backward=lambda dy, x: np.zeros_like(x))
    assert not together and together.first_wrong is None and "how they are put together" in str(together)
