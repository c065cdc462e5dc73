"""gradcheck passes right gradients, fails wrong ones, and says where."""

import dataclasses
import io
import warnings
from itertools import count

import numpy as np
import pytest
import scipy.optimize
from drawing import like, spread
from matplotlib.figure import Figure
from PIL import Image

from nst_numpy import gradcheck, layers


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


def test_both_errors_must_be_small():
    """One wrong element of many is nothing to the norm; many slightly wrong ones are nothing to the largest element."""
    ones, x = np.ones(100), np.zeros(100)
    one_wrong = ones + 4e-6 * (np.arange(100) == 7)
    check = gradcheck(np.sum, one_wrong, x, h=1.0)
    assert check.norm_ratio < 1e-6 < check.max_relative_error and not check and check.worst_index == (7,)
    one_large = np.where(np.arange(100) == 7, 1.0, 0.0)
    check = gradcheck(lambda x: x[7], one_large + 9e-7, x, h=1.0)
    assert check.max_relative_error < 1e-6 < check.norm_ratio and not check
    assert gradcheck(np.sum, ones + 9e-7, x, h=1.0) and not gradcheck(np.sum, ones + 1.1e-6, x, h=1.0)
    assert gradcheck(np.sum, ones + 1.1e-6, x, h=1.0, rtol=1.2e-6)


def test_what_is_drawn_is_random():
    """A dy, a direction or coordinates that are the same for all seeds, or all 1, would let these pass."""
    W = like(1, (5, 3))
    assert gradcheck(lambda x: W @ x, lambda dy, x: W.T @ dy, np.ones(3))
    assert not gradcheck(lambda x: W @ x, lambda dy, x: W.sum(axis=0), np.ones(3)), "dy = 1"
    swapped = np.array([2.0, 0, 1, 1])
    for seed in range(5):
        assert not gradcheck(np.sum, swapped, np.zeros(4), mode="direction", seed=seed), "direction = 1"
    drawn = [gradcheck(np.sum, np.ones(200), np.zeros(200), samples=20, seed=seed).indices for seed in range(30)]
    assert len(set(np.concatenate(drawn))) > 180 and all(len(set(indices)) == 20 for indices in drawn)
    assert all((np.diff(indices) > 0).all() for indices in drawn)
    more = gradcheck(np.sum, np.ones(5), np.zeros(5), mode="sample", samples=9)
    assert list(more.indices) == [0, 1, 2, 3, 4]


def test_all_compares_all():
    assert list(gradcheck(np.sum, np.ones(150), np.zeros(150), mode="all").indices) == list(range(150))
    assert list(gradcheck(np.sum, np.ones(150), np.zeros(150), samples=150).indices) == list(range(150))
    assert list(gradcheck(np.sum, np.ones(9), np.zeros(9), samples=9, seed=3).indices) == list(range(9))


def test_errors_of_just_rtol_pass():
    check = gradcheck(lambda x: x[0], np.array([1.25]), np.zeros(1), h=1.0, rtol=0.2)
    assert check.norm_ratio == check.max_relative_error == 0.2 and check.passed
    check = gradcheck(lambda x: x[0], np.array([0.5]), np.zeros(1), h=1.0)
    assert check.norm_ratio == check.max_relative_error == 0.5 and not check.passed


def test_several_findings_are_all_said():
    check = gradcheck(np.sum, lambda x: -np.ones(3) + 0 * double_in_place(x), np.ones(3))
    assert check.diagnosis == ("mutates-input", "sign")
    assert check.message == "the gradient function changes x in place; the sign is wrong: minus the right gradient"
    check = gradcheck(np.sum, lambda x: double_in_place(x)[:2], np.ones(3))
    assert check.message == (
        "the gradient function changes x in place; the gradient must have the shape of x, (3,), found (2,)"
    )


def test_a_gradient_that_is_nearly_right_is_no_factor():
    check = gradcheck(np.sum, np.full(3, 1 + 2e-6), np.zeros(3), h=1.0)
    assert not check and check.diagnosis == ()
    check = gradcheck(np.sum, np.full(3, 1 + 2e-4), np.zeros(3), h=1.0)
    assert check.message == "1.0002 times the right gradient"


def test_gradients_of_any_type_and_inputs_in_any_order():
    x = np.zeros((3, 2)).T
    for gradient in (np.ones((2, 3), int), np.ones((2, 3), np.float32), [[1, 1, 1], [1, 1, 1]]):
        for given in (np.asarray(gradient), lambda x, gradient=gradient: gradient):
            check = gradcheck(np.sum, given, x, h=1.0)
            assert check and check.analytic.dtype == np.float64 and check.numeric.tolist() == [1] * 6
    W = np.arange(6.0).reshape(2, 3)
    assert gradcheck(lambda x: float(np.sum(W * x)), W, x, h=1.0).numeric.tolist() == [0, 1, 2, 3, 4, 5]


def test_kinks_of_small_functions_are_found():
    for scale in (1e-9, 1.0, 1e9):
        fun = lambda x, scale=scale: scale * float(abs(x[0]) + x[1])  # noqa: E731
        check = gradcheck(fun, scale * np.array([0.3, 1.0]), np.zeros(2))
        assert check.passed and check.kinks == 1 and list(check.indices) == [1]


def test_a_check_cannot_be_changed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        gradcheck(f, df, X).passed = True


def test_the_worst_is_where_the_difference_is_largest():
    check = gradcheck(lambda x: x[0] + 3 * x[1], np.array([-1.0, 3.0]), np.zeros(2), h=1.0)
    assert str(check).endswith("worst at (0,): analytic -1, numeric 1")
    assert np.allclose(gradcheck(lambda x: x[0] / 4, np.array([0.125, 0.0]), np.zeros(2), h=1.0).error_map(), [0.5, 0])


def test_auto_compares_all_up_to_so_many():
    assert [len(gradcheck(np.sum, np.ones(n), np.zeros(n), samples=10).indices) for n in (9, 10, 11)] == [9, 10, 10]
    assert len(gradcheck(np.sum, np.ones(101), np.zeros(101)).indices) == 100


def test_a_check_is_true_if_it_passed_and_compares_without_an_error():
    passed, failed = gradcheck(f, df, X), gradcheck(f, X, X)
    assert bool(passed) is passed.passed is True and bool(failed) is failed.passed is False
    assert passed == passed and passed != failed


def test_central_differences_by_hand():
    """(f(x + h) − f(x − h)) / 2h is, for f = x³, 3 x² + h²; along u for f = Σ x³ it is Σ 3 x² u + h² u³."""
    check = gradcheck(lambda x: float(np.sum(x**3)), lambda x: 3 * x**2, np.array([1.0, 2.0]), h=0.1, rtol=1)
    assert np.allclose(check.numeric, [3.01, 12.01], rtol=1e-12)
    u = np.random.default_rng(4).standard_normal(2)
    check = gradcheck(
        lambda x: float(np.sum(x**3)), lambda x: 3 * x**2, np.array([1.0, 2.0]), mode="direction", h=0.1, rtol=1, seed=4
    )
    assert np.allclose(check.numeric, np.sum([3, 12] * u + 0.01 * u**3), rtol=1e-12)
    assert np.allclose(check.analytic, np.sum([3, 12] * u), rtol=1e-12) and check.worst_index is None


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
    with pytest.raises(
        ValueError, match="unknown mode 'al'; did you mean all\\? there are auto, all, sample, direction"
    ):
        gradcheck(f, df, X, mode="al")
    for name, value in (
        ("samples", 0),
        ("samples", 2.5),
        ("h", 0),
        ("h", np.inf),
        ("rtol", -1),
        ("rtol", np.nan),
        ("seed", -1),
    ):
        for wrong in (value, np.nan, np.inf):
            with pytest.raises(ValueError, match=f"{name} must be a"):
                gradcheck(f, df, X, **{name: wrong})
    with pytest.raises(ValueError, match="seed must be a whole number"):
        gradcheck(f, df, X, seed=2.5)
    with pytest.raises(TypeError, match="samples must be a whole number of at least 1, found 'many'"):
        gradcheck(f, df, X, samples="many")
    with pytest.raises(ValueError, match="give its backward as gradient, callable as"):
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
        (accumulating, "accumulates", "a second call returns another gradient: something is kept from call to call"),
        (in_place, "mutates-input", "the gradient function changes x in place"),
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
    check = gradcheck(lambda x: float(np.sum(W * x)), lambda x: W.T, like(4, (4, 4)))
    assert check.diagnosis == ("transposed",) and "axes 0 and 1 exchanged" in check.message


def test_other_mistakes_get_no_diagnosis():
    check = gradcheck(f, lambda x: df(x) + 0.1 * like(1, x.shape), X)
    assert not check and check.diagnosis == () and check.message == ""


def double_in_place(x):
    x *= 2
    return x


IN_PLACE = "the function changes its input in place"


@pytest.mark.parametrize("mode", ["all", "sample", "direction"])
@pytest.mark.parametrize(
    "function, gradient, words",
    [
        (lambda x: float(double_in_place(x).sum()), lambda x: np.full_like(x, 2), IN_PLACE),
        (double_in_place, lambda dy, x: 2 * dy, IN_PLACE),
        (lambda x: 2 * x, lambda dy, x: double_in_place(dy), "the gradient function changes dy in place"),
        (lambda x: x**2, lambda dy, x: dy * double_in_place(x), "the gradient function changes x in place"),
        (lambda x: 2 * x, lambda dy, x: double_in_place(dy) + 0 * double_in_place(x), "changes dy and x in place"),
        (lambda x: float(np.sum(x**2)), double_in_place, "the gradient function changes x in place"),
        (
            lambda x: float(np.sum(double_in_place(x) ** 2)),
            lambda x: 4 * double_in_place(x),
            f"{IN_PLACE}; the gradient",
        ),
    ],
)
def test_every_argument_is_watched_for_changes(function, gradient, words, mode):
    """The numbers are right, and it fails all the same."""
    x = np.array([1.0, 2.0, -4.0])
    check = gradcheck(function, gradient, x, mode=mode, rtol=1e-4)
    assert not check.passed and "mutates-input" in check.diagnosis and words in check.message
    assert check.norm_ratio < 1e-4 and x.tolist() == [1, 2, -4]


def test_nan_in_the_input_is_no_change():
    check = gradcheck(np.nansum, np.ones_like, np.array([1.0, np.nan]))
    assert "mutates-input" not in check.diagnosis


def test_a_function_that_is_not_finite():
    check = gradcheck(lambda x: x[1] if x[0] == 1 else np.nan, lambda x: np.ones(2), np.array([1.0, 2.0]))
    assert not check and check.diagnosis == ("not-finite",)
    assert check.message == "the function itself is not finite near x"


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
    with pytest.warns(RuntimeWarning, match="off by 1 % and more; let it compute in float64 for a meaningful check$"):
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


def test_error_map_of_nothing_and_of_zeros():
    check = gradcheck(lambda x: 0.0, np.zeros_like, np.ones((2, 2)))
    assert check.error_map().tolist() == [[0, 0], [0, 0]]
    assert np.isnan(gradcheck(f, df, X, mode="direction").error_map()).all()
    check = gradcheck(np.sum, np.array([[1.5, 1.0], [0.0, -1.0]]), np.zeros((2, 2)), h=1.0)
    assert np.allclose(check.error_map(), [[0.5 / 1.5, 0], [1 / 1.5, 2 / 1.5]])
    check = gradcheck(np.sum, np.full((2, 2), 0.5), np.zeros((2, 2)), h=1.0)
    assert np.allclose(check.error_map(), 0.5), "over the larger of the two"


def test_the_picture_is_the_error_map(monkeypatch):
    drawn = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file, **keywords: drawn.append((figure, keywords)))
    right = np.arange(1.0, 25).reshape(2, 3, 4)
    wrong = right.copy()
    wrong[1, 2, 0] += 12
    wrong[0, 1, 3] += 0.36
    for gradient in (right, wrong, -right, right + np.eye(3, 4)):
        check = gradcheck(lambda x: float(np.sum(right * x)), gradient, np.zeros((2, 3, 4)), h=1.0)
        assert check._repr_png_() == b""
    figures = [figure.axes for figure, _ in drawn]
    for figure, _ in drawn:
        (image,) = figure.axes[0].images
        assert image.get_clim() == (-12, 0) and image.get_cmap().name == "magma"
        assert image.get_interpolation() == "none" and figure.get_size_inches().tolist() == [5, 3.5]
        assert figure.axes[1].get_ylabel() == "log₁₀ of the relative error"
        assert figure.get_layout_engine() is not None
    (image,) = figures[1][0].images
    expected = np.full((2, 3), -12.0)
    expected[1, 2], expected[0, 1] = np.log10(12 / 33), np.log10(0.36 / 33)
    assert np.allclose(image.get_array(), expected)
    titles = [axes[0].get_title() for axes in figures]
    assert titles == ["passed", "FAILED: see the line", "FAILED: sign", "FAILED: see the line"]
    assert all(keywords == {"format": "png"} for _, keywords in drawn)
    line = gradcheck(np.sum, np.ones(3), np.zeros(3))
    assert line._repr_png_() is None
    with warnings.catch_warnings(action="error"):  # some pixels have nothing but NaN
        assert gradcheck(np.sum, np.ones((2, 2)), np.zeros((2, 2)), samples=2, mode="sample")._repr_png_() == b""
    assert gradcheck(np.sum, np.ones((2, 3, 2, 2)), np.zeros((2, 3, 2, 2)))._repr_png_() == b""
    assert drawn[-1][0].axes[0].images[0].get_array().shape == (2, 3)
    x = np.ones((2, 2))
    gradcheck(lambda x: float(np.sum(x)), lambda x: -double_in_place(x) / 2, x)._repr_png_()
    assert drawn[-1][0].axes[0].get_title() == "FAILED: mutates-input, sign"


def test_a_check_prints_as_one_line():
    check = gradcheck(np.sum, np.array([1.0, 1.0, 1.25]), np.zeros(3), h=1.0)
    assert (
        str(check)
        == repr(check)
        == (
            "gradient FAILED: norm ratio 1.3e-01, largest error 2.0e-01 (rtol 1e-06), 3 compared, worst at (2,): "
            "analytic 1.25, numeric 1"
        )
    )
    check = gradcheck(np.sum, np.ones((2, 1)), np.zeros((2, 1)), h=1.0, rtol=0.5)
    assert str(check) == (
        "gradient passed: norm ratio 0.0e+00, largest error 0.0e+00 (rtol 5e-01), 2 compared, worst at (0, 0): "
        "analytic 1, numeric 1"
    )
    u = np.random.default_rng(0).standard_normal(2)
    check = gradcheck(np.sum, np.full(2, 2.0), np.zeros(2), h=1.0, mode="direction")
    assert str(check) == (
        "gradient FAILED: norm ratio 5.0e-01, largest error 5.0e-01 (rtol 1e-06), 1 compared, along one direction: "
        f"analytic {2 * u.sum():.6g}, numeric {u.sum():.6g}"
    )
    check = gradcheck(np.sum, np.full(2, -1.0), np.zeros(2), h=1.0)
    assert str(check).startswith("gradient FAILED: the sign is wrong: minus the right gradient; norm ratio 2.0e+00")
    check = gradcheck(layers.relu_forward, layers.relu_backward, np.zeros(2))
    assert (
        str(check) == "gradient passed: nothing could be compared (2 left out at kinks)" and check.worst_index is None
    )


def test_a_gradient_of_another_shape_has_no_numbers():
    check = gradcheck(f, lambda x: np.ones(2), X)
    assert str(check) == (
        "gradient FAILED: the gradient must have the shape of x, (3, 4), found (2,); nothing could be compared"
    )
    assert check.norm_ratio == check.max_relative_error == np.inf and check.worst_index is None
    assert len(check.analytic) == len(check.numeric) == len(check.indices) == check.kinks == 0
    assert check.indices.dtype.kind == "i" and check.shape == (3, 4) and check.rtol == 1e-6
    assert np.isnan(check.error_map()).all()


@pytest.mark.parametrize(
    "factor, words",
    [
        (2, "2"),
        (1 / 3, "1/3"),
        (-7 / 9, "-7/9"),
        (1 / 999, "1/999"),
        (5 / 1000, "1/200"),
        (70 / 71, "70/71"),  # 4970 = 70 · 71
        (71 / 72, "0.986111"),  # 5112
        (625 / 8, "625/8"),  # 5000
        (1667 / 3, "555.667"),  # 5001
        (1 / 1001, "0.000999001"),
        (5000, "5000"),
        (5001, "5001"),
        (1 / 2 + 4e-6, "1/2"),
        (1 / 2 + 6e-6, "0.500006"),
        (1e-4, "0.0001"),
        (1234567.0, "1.23457e+06"),
    ],
)
def test_factors_are_said_as_fractions_where_they_are_simple(factor, words):
    check = gradcheck(lambda x: float(np.sum(W3 * x)), factor * W3, np.zeros(3), h=1.0)
    assert check.diagnosis == ("constant-factor",) and check.message == f"{words} times the right gradient"


W3 = np.array([1.0, -2.0, 3.0])


@pytest.mark.parametrize("off, code", [(9e-5, ("constant-factor",)), (1.1e-4, ())])
def test_a_factor_must_fit_all_elements(off, code):
    """Off by so much of the norm, in a direction at right angles."""
    wrong = 2 * (W3 + off * np.linalg.norm(W3) * np.array([2.0, 1, 0]) / np.sqrt(5))
    assert gradcheck(lambda x: float(np.sum(W3 * x)), wrong, np.zeros(3), h=1.0).diagnosis == code
    loose = gradcheck(lambda x: float(np.sum(W3 * x)), wrong, np.zeros(3), h=1.0, rtol=1e-3)
    assert loose.diagnosis == ("constant-factor",)
    wrong = 2 * (W3 + 1.05e-4 * np.linalg.norm(W3) * np.array([2.0, 1, 0]) / np.sqrt(5))
    assert gradcheck(lambda x: float(np.sum(W3 * x)), wrong, np.zeros(3), h=1.0, rtol=1e-5).diagnosis == ()


@pytest.mark.parametrize("factor, code", [(-1.00009, "sign"), (-0.99991, "sign"), (-1.00011, "constant-factor")])
def test_minus_one_is_a_sign(factor, code):
    assert gradcheck(lambda x: float(np.sum(W3 * x)), factor * W3, np.zeros(3), h=1.0).diagnosis == (code,)


def test_no_factor_is_told_from_one_number_or_from_zeros():
    assert gradcheck(lambda x: 3 * x[0], np.array([6.0]), np.zeros(1)).diagnosis == ()
    assert gradcheck(lambda x: 0.0, np.ones(4), np.zeros(4)).diagnosis == ()
    assert gradcheck(np.sum, np.zeros(4), np.zeros(4)).diagnosis == ()
    assert gradcheck(lambda x: 3 * x[0] + x[1], np.array([6.0, 2.0]), np.zeros(2)).diagnosis == ("constant-factor",)


def test_any_two_axes_may_be_exchanged():
    W = like(5, (3, 2, 3, 2))
    for i, j in ((0, 2), (1, 3)):
        check = gradcheck(lambda x: float(np.sum(W * x)), W.swapaxes(i, j), np.zeros(W.shape), samples=20)
        assert check.diagnosis == ("transposed",) and f"axes {i} and {j} exchanged" in check.message
    assert gradcheck(lambda x: float(np.sum(W * x)), W[::-1], np.zeros(W.shape), samples=20).diagnosis == ()


def test_not_finite_is_said_first():
    check = gradcheck(lambda x: np.inf, np.full((2, 2), np.nan), np.zeros((2, 2)))
    assert check.message == "the gradient has values that are not finite, the first at (0, 0)"
    check = gradcheck(np.sum, np.array([1.0, np.inf]), np.zeros(2), mode="direction")
    assert not check and check.diagnosis == ("not-finite",)
    check = gradcheck(np.sum, np.array([1.0, np.inf]), np.zeros(2))
    assert check.norm_ratio == check.max_relative_error == np.inf


def test_a_small_change_from_call_to_call_accumulates():
    for change, code in ((1e-8, ("accumulates",)), (1e-10, ())):
        calls = count()
        check = gradcheck(np.sum, lambda x: np.ones(3) + change * next(calls), np.zeros(3), rtol=1e-3, h=1.0)  # noqa: B023
        assert check.diagnosis == code and check.passed == (not code)
    calls = count()
    tiny = gradcheck(lambda x: 0.0, lambda x: np.full(3, 1e-20) * next(calls), np.zeros(3))
    assert tiny.diagnosis == ("accumulates",), "however small"
    assert tiny.message == "a second call returns another gradient: something is kept from call to call"


def test_what_float32_allows():
    x = np.linspace(1, 2, 5, dtype=np.float32)
    double = lambda x: np.float32(np.sum(x.astype(np.float32) ** 2))  # noqa: E731
    with pytest.warns(RuntimeWarning) as warned:
        check = gradcheck(double, lambda x: 2 * x, x, rtol=0.5)
    assert check.rtol == 0.5 and warned[0].filename == __file__
    with pytest.warns(RuntimeWarning):
        assert gradcheck(double, lambda x: 1.02 * 2 * x, x).passed
    with pytest.warns(RuntimeWarning):
        assert not gradcheck(double, lambda x: 1.06 * 2 * x, x).passed
    steps = []
    with pytest.warns(RuntimeWarning):
        gradcheck(lambda x: (steps.append(x[0]), np.float32(x[0]))[1], np.ones(1), np.zeros(1))
    assert max(steps) == 0.01
    with pytest.warns(RuntimeWarning):
        gradcheck(lambda x: (steps.append(x[0]), np.float32(x[0]))[1], np.ones(1), np.zeros(1), h=0.5)
    assert max(steps) == 0.5
    with pytest.warns(RuntimeWarning, match="computes in float16"):
        gradcheck(lambda x: x.astype(np.float16), lambda dy, x: dy, x)


def test_only_floats_are_tried_in_their_own_type():
    def picky(x):
        raise ValueError("never")

    for dtype in (np.int64, np.float64):
        calls = []
        with pytest.raises(ValueError, match="never"):
            gradcheck(lambda x: (calls.append(x.dtype), picky(x)), np.ones(2), np.ones(2, dtype))  # noqa: B023
        assert calls == [np.float64]


# Kinks, by numbers ----------------------------------------------------------------------------------------------------


def test_a_kink_is_examined_by_three_steps():
    """|x| at 0: f is evaluated at ±h, then for the slopes on either side at ±h, ±h/10, ±h/100."""
    seen = []
    gradcheck(lambda x: (seen.append(float(x[0])), abs(x[0]))[1], np.array([0.5]), np.zeros(1), h=0.5)
    assert sorted(set(np.round(np.abs(seen), 12))) == [0, 0.005, 0.05, 0.5]


@pytest.mark.parametrize("slopes", [(-2.0, 1.0), (1.0, 5.0), (3.0, -4.0)])
@pytest.mark.parametrize("where, kinks", [(0.0, 1), (1.0, 1), (0.3, 1), (-0.01, 0), (1.01, 0)])
def test_every_number_between_the_slopes_is_right(slopes, where, kinks):
    left, right = slopes
    given = np.array([left + where * (right - left), 1.0])
    check = gradcheck(lambda x: (right if x[0] > 0 else left) * x[0] + x[1], given, np.zeros(2), h=1e-3)
    assert check.kinks == (0 if abs(given[0] - (left + right) / 2) < 1e-9 else kinks)
    assert check.passed == (kinks == 1)


def test_a_kink_just_beside_x_is_seen_with_smaller_steps():
    for where in (0.5, 0.05, 0.005):  # of h: within reach of the first step, of the second, of all three
        h, kink = 1e-2, where * 1e-2
        fun = lambda x, kink=kink: abs(float(x[0]) + kink) + float(x[1])  # noqa: E731
        right = gradcheck(fun, np.array([1.0, 1.0]), np.zeros(2), h=h)
        assert right.passed and right.kinks == (where < 0.01)
        assert gradcheck(fun, np.array([0.7, 1.0]), np.zeros(2), h=h).passed == (where < 0.01)


# What functions return ------------------------------------------------------------------------------------------------


def half_square(x):
    return 0.5 * float(np.sum(x**2))


@pytest.mark.parametrize("function", [lambda x: (half_square(x), x), lambda x: (half_square(x), x, {"style": 0.0})])
def test_a_function_as_minimize_takes_it(function):
    x = np.array([1.0, -2.0, 3.0])
    assert gradcheck(function, None, x).passed
    assert gradcheck(function, lambda x: x, x).passed
    assert gradcheck(lambda x: (half_square(x), 3 * x), None, x).diagnosis == ("constant-factor",)


def test_without_a_gradient():
    with pytest.raises(ValueError, match=r"the function must return \(value, gradient\), found float"):
        gradcheck(half_square, None, np.ones(2))


@pytest.mark.parametrize("shape", [(1,), (1, 1)])
def test_a_loss_in_an_array(shape):
    x = np.array([1.0, -2.0])
    for gradient in (lambda x: x, x):
        assert gradcheck(lambda x: np.full(shape, half_square(x)), gradient, x).passed
    assert gradcheck(lambda x: np.full(shape, half_square(x)), lambda dy, x: dy.sum() * x, x).passed


@pytest.mark.parametrize("gradient", [lambda x: 2 * x, np.ones(2)])
def test_an_array_and_no_backward(gradient):
    with pytest.raises(ValueError, match=r"returns an array of shape \(2,\): let it return one number"):
        gradcheck(lambda x: x**2, gradient, np.ones(2))


@pytest.mark.parametrize("value", [None, "loss", 1j, [[1], [2, 3]]])
def test_no_numbers(value):
    with pytest.raises(ValueError, match=r"must return a number or an array of numbers, found|inhomogeneous"):
        gradcheck(lambda x: value, lambda x: x, np.ones(2))


@pytest.mark.parametrize("mode", ["all", "direction"])
def test_where_rounding_decides(mode):
    """x is right, and 1.5 x is wrong by more than rounding explains."""
    x = np.array([1e-3, -2e-3, 3e-3])
    far = lambda x: 1e8 + half_square(x)  # noqa: E731
    report = gradcheck(far, lambda x: x, x, mode=mode)
    assert not report and report.diagnosis == ("rounding",) and "UNDECIDED: the value 1e+08 is so large" in str(report)
    near = gradcheck(far, lambda x: x + 1, x, mode=mode)
    assert not near and "rounding" not in near.diagnosis and "FAILED" in str(near)
    assert gradcheck(half_square, lambda x: x, x, mode=mode)
