"""Keeping colours: statistics by their definition, luminance against the standard library's YIQ."""

import colorsys

import numpy as np
import pytest
from drawing import picture
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import linalg

from nst_numpy import colors

seeds = st.integers(0, 2**32 - 1)


def image(seed, height=9, width=7):
    """Colours in an ellipsoid of random shape, well inside 0–1."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((height, width, 3)) @ rng.standard_normal((3, 3))
    return 0.5 + 0.15 * mixed / np.abs(mixed).max() + rng.uniform(-0.1, 0.1, 3)


def statistics(x):
    """Mean and covariance of the colours, with loops over the channels."""
    pixels = x.reshape(-1, 3)
    mean = pixels.sum(axis=0) / len(pixels)
    covariance = [[((pixels[:, i] - mean[i]) * (pixels[:, j] - mean[j])).mean() for j in range(3)] for i in range(3)]
    return mean, covariance


def Y(x):
    """Luminance, pixel by pixel."""
    return 0.299 * x[..., 0] + 0.587 * x[..., 1] + 0.114 * x[..., 2]


@given(seeds)
def test_matched_colours_have_the_content_images_mean_and_covariance(seed):
    style, content = image(seed), image(seed + 1, 5, 11)
    assume(np.linalg.eigvalsh(np.cov(style.reshape(-1, 3).T)).min() > 1e-9)  # else it counts as without variation
    matched = colors.match_colors(style, content)
    assume(matched.min() > 0 and matched.max() < 1)  # clipping changes statistics
    for found, expected in zip(statistics(matched), statistics(content), strict=True):
        assert np.allclose(found, expected, atol=1e-8)


def test_matching_is_the_symmetric_solution():
    """S = Σ_content^½ Σ_style^−½: of all that have the right statistics, the one that SciPy's roots give."""
    style, content = image(3), image(4)
    (mean, covariance), (target_mean, target_covariance) = statistics(style), statistics(content)
    S = linalg.sqrtm(target_covariance) @ np.linalg.inv(linalg.sqrtm(covariance))
    expected = np.array([S @ (pixel - mean) + target_mean for pixel in style.reshape(-1, 3)])
    assert np.allclose(colors.match_colors(style, content).reshape(-1, 3), expected, atol=1e-8)


def test_matching_an_image_with_itself_changes_nothing():
    x = image(3)
    assert np.allclose(colors.match_colors(x, x), x, atol=1e-10)


def test_matched_colours_are_clipped():
    style = np.full((4, 5, 3), 0.5)
    style[0, 0], style[0, 1] = 0.9, 0.1  # rare and far from the mean: beyond 0–1 with the covariance of black and white
    content = np.zeros((4, 4, 3))
    content[:2] = 1
    matched = colors.match_colors(style, content)
    assert np.allclose(matched[0, 0], 1, atol=1e-12) and np.allclose(matched[0, 1], 0, atol=1e-12)
    assert matched.min() >= 0 and matched.max() <= 1 and np.allclose(matched[1:], 0.5)


def test_matching_with_grey_or_even_images():
    grey = np.repeat(image(1)[..., :1], 3, axis=2)
    even = np.full((4, 5, 3), 0.3)
    assert np.allclose(colors.match_colors(even, image(2)), image(2).mean(axis=(0, 1)))
    assert np.allclose(colors.match_colors(image(2), even), 0.3)
    painted = colors.match_colors(image(2), grey)
    assert np.abs(painted - painted.mean(axis=2, keepdims=True)).max() < 1e-3  # grey as well
    assert np.isfinite(colors.match_colors(grey, image(2))).all()


@pytest.mark.parametrize("variance, kept", [(3e-10, True), (3e-11, False)])
def test_a_direction_varies_from_1e_10_on(variance, kept):
    style, content = np.full((1, 2, 3), 0.5), np.array([[[0.4, 0.5, 0.5], [0.6, 0.5, 0.5]]])
    style[0, :, 0] += np.array([-1, 1]) * variance**0.5
    assert np.allclose(colors.match_colors(style, content), content if kept else 0.5)


@given(seeds)
def test_luminance_is_the_standard_librarys(seed):
    x = picture(seed, 4, 5)
    found = colors.luminance(x)
    assert np.allclose(found, Y(x)[..., None])
    for i, j in np.ndindex(4, 5):
        y, _, _ = colorsys.rgb_to_yiq(*x[i, j])
        assert np.allclose(found[i, j], y, atol=0.01)  # which rounds the coefficients to two digits


def test_luminance_like_another_image():
    x, other = image(1), image(2)
    found = colors.luminance(x, like=other)
    assert np.array_equal(found[..., 0], found[..., 1]) and np.array_equal(found[..., 0], found[..., 2])
    assert np.isclose(found.mean(), Y(other).mean()) and np.isclose(found[..., 0].std(), Y(other).std())
    assert np.corrcoef(found[..., 0].ravel(), Y(x).ravel())[0, 1] > 1 - 1e-12


def test_luminance_like_another_image_is_clipped():
    x = np.full((4, 5, 3), 0.5)
    x[0, 0], x[0, 1] = 0.9, 0.1
    black_and_white = np.zeros((4, 4, 3))
    black_and_white[:2] = 1
    found = colors.luminance(x, like=black_and_white)
    assert np.allclose(found[0, 0], 1) and np.allclose(found[0, 1], 0)
    assert found.min() >= 0 and found.max() <= 1 and np.allclose(found[1:], 0.5)


def test_luminance_of_an_even_image_is_the_others_mean():
    for value in (0.0, 0.3):  # of 0.3, rounding leaves a deviation of 1e-17, which is not to be stretched
        found = colors.luminance(np.full((4, 5, 3), value), like=image(2))
        assert np.allclose(found, Y(image(2)).mean())


def test_low_contrast_is_stretched():
    x, other = image(1), image(2)
    found = colors.luminance(0.5 + 1e-7 * x, like=other)
    assert np.isclose(found[..., 0].std(), Y(other).std())


@given(seeds)
def test_new_luminance_leaves_the_colours(seed):
    content, painted = picture(seed, 4, 5), picture(seed + 1, 4, 5)
    mixed = colors.with_luminance(content, painted)
    assert np.allclose(Y(mixed), Y(painted))
    I, Q = [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]  # the colour axes of the YIQ space
    assert np.allclose(mixed @ I, content @ I) and np.allclose(mixed @ Q, content @ Q)


def test_new_luminance_is_not_clipped():
    white, red = np.ones((2, 2, 3)), np.full((2, 2, 3), [1.0, 0, 0])
    assert colors.with_luminance(red, white).max() > 1.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(dtype):
    x, y = image(0).astype(dtype), image(1)
    for result in (
        colors.match_colors(x, y),
        colors.luminance(x),
        colors.luminance(x, like=y),
        colors.with_luminance(x, y),
    ):
        assert result.dtype == dtype and result.shape == x.shape


def test_statistics_are_taken_in_float64():
    x, y = image(0).astype(np.float32), image(1).astype(np.float32)
    exact = colors.match_colors(x.astype(np.float64), y.astype(np.float64))
    assert np.abs(colors.match_colors(x, y) - exact).max() < 1e-7


def test_arguments_are_not_changed():
    x, y = image(0), image(1)
    before = x.copy(), y.copy()
    colors.match_colors(x, y), colors.luminance(x, like=y), colors.with_luminance(x, y)
    assert np.array_equal(x, before[0]) and np.array_equal(y, before[1])


@pytest.mark.parametrize("wrong", [(image(0) * 255).astype(np.uint8), image(0)[..., 0]])
def test_wrong_images(wrong):
    x = image(0)
    for function, arguments in (
        (colors.match_colors, (wrong, x)),
        (colors.match_colors, (x, wrong)),
        (colors.luminance, (wrong,)),
        (colors.luminance, (x, wrong)),
        (colors.with_luminance, (wrong, x)),
        (colors.with_luminance, (x, wrong)),
    ):
        with pytest.raises(ValueError, match=r"shape \([hH], [wW], 3\)"):
            function(*arguments)
    with pytest.raises(TypeError, match="must be an array"):
        colors.luminance("photograph.jpg")
    with pytest.raises(ValueError, match=r"must have the same shape, found \(9, 7, 3\) and \(8, 7, 3\)"):
        colors.with_luminance(x, x[1:])


# Regions --------------------------------------------------------------------------------------------------------------


def test_colors_of_a_region():
    """A hard mask counts its pixels alone, and the others get the same map; soft weights count as copies of a pixel."""
    style, content = image(3), image(4, 6, 8)
    t_style, t_content = np.zeros((9, 7)), np.zeros((6, 8))
    t_style[2:7, 1:5], t_content[:, 3:] = 1, 1
    part, target = style[2:7, 1:5], content[:, 3:]
    matched = colors.match_colors(style, content, style_mask=t_style, content_mask=t_content)
    assert np.allclose(matched[2:7, 1:5], colors.match_colors(part, target), atol=1e-9)
    grey = colors.luminance(style, like=content, mask=t_style, like_mask=t_content)
    assert np.allclose(grey[2:7, 1:5], colors.luminance(part, like=target), atol=1e-9)
    doubled = np.concatenate([content, content[:, 3:]], axis=1)
    expected = colors.match_colors(style, doubled)
    assert np.allclose(colors.match_colors(style, content, content_mask=0.25 + 0.25 * t_content), expected, atol=1e-9)
    expected = colors.luminance(style, like=doubled)
    assert np.allclose(colors.luminance(style, like=content, like_mask=1 + t_content), expected, atol=1e-9)
    for keep in (colors.match_colors, colors.luminance):
        assert not np.allclose(keep(style, content), matched if keep is colors.match_colors else grey, atol=1e-3)
