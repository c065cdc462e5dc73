"""Keeping colours: statistics against NumPy's, luminance against the standard library's YIQ."""

import colorsys

import numpy as np
import pytest
from drawing import picture
from hypothesis import assume, given
from hypothesis import strategies as st

from nst_numpy import colors

seeds = st.integers(0, 2**32 - 1)


def image(seed, height=9, width=7):
    """Colours in an ellipsoid of random shape, well inside 0–1."""
    rng = np.random.default_rng(seed)
    mixed = rng.standard_normal((height, width, 3)) @ rng.standard_normal((3, 3))
    return 0.5 + 0.15 * mixed / np.abs(mixed).max() + rng.uniform(-0.1, 0.1, 3)


def statistics(x):
    pixels = x.reshape(-1, 3)
    return pixels.mean(axis=0), np.cov(pixels.T, bias=True)


@given(seeds)
def test_matched_colours_have_the_content_images_mean_and_covariance(seed):
    style, content = image(seed), image(seed + 1, 5, 11)
    matched = colors.match_colors(style, content)
    assume(matched.min() > 0 and matched.max() < 1)  # clipping changes statistics
    for found, expected in zip(statistics(matched), statistics(content), strict=True):
        assert np.allclose(found, expected, atol=1e-8)


def test_matching_an_image_with_itself_changes_nothing():
    x = image(3)
    assert np.allclose(colors.match_colors(x, x), x, atol=1e-10)


def test_matching_with_grey_or_even_images():
    grey = np.repeat(image(1)[..., :1], 3, axis=2)
    even = np.full((4, 5, 3), 0.3)
    assert np.allclose(colors.match_colors(even, image(2)), image(2).mean(axis=(0, 1)))
    assert np.allclose(colors.match_colors(image(2), even), 0.3)
    painted = colors.match_colors(image(2), grey)
    assert np.abs(painted - painted.mean(axis=2, keepdims=True)).max() < 1e-3  # grey as well
    assert np.isfinite(colors.match_colors(grey, image(2))).all()


@given(seeds)
def test_luminance_is_the_standard_librarys(seed):
    x = picture(seed, 4, 5)
    Y = colors.luminance(x)
    for i, j in np.ndindex(4, 5):
        y, _, _ = colorsys.rgb_to_yiq(*x[i, j])
        assert np.allclose(Y[i, j], y, atol=0.01)  # which rounds the coefficients to two digits


def test_luminance_like_another_image():
    x, other = image(1), image(2)
    Y, expected = colors.luminance(x, like=other)[..., 0], colors.luminance(other)[..., 0]
    assert np.isclose(Y.mean(), expected.mean()) and np.isclose(Y.std(), expected.std())
    assert np.corrcoef(Y.ravel(), colors.luminance(x)[..., 0].ravel())[0, 1] > 1 - 1e-12


@given(seeds)
def test_new_luminance_leaves_the_colours(seed):
    content, painted = picture(seed, 4, 5), picture(seed + 1, 4, 5)
    mixed = colors.with_luminance(content, painted)
    assert np.allclose(mixed @ colors.YIQ[0], painted @ colors.YIQ[0])
    assert np.allclose(mixed @ colors.YIQ[1:].T, content @ colors.YIQ[1:].T)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_types_are_kept(dtype):
    x, y = image(0).astype(dtype), image(1).astype(dtype)
    for result in (colors.match_colors(x, y), colors.luminance(x), colors.with_luminance(x, y)):
        assert result.dtype == dtype
