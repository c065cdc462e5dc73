"""Each layer against loops written from its formula, and each backward against independent derivatives."""

import numpy as np
import pytest
from drawing import assert_gradient, complex_step, like, maps
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate2d

from nst_numpy import layers

seeds = st.integers(0, 2**32 - 1)
filters = st.integers(1, 4)
paddings = st.sampled_from(["zero", "replicate", "circular"])
POOLS = [
    (layers.average_pool_forward, layers.average_pool_backward),
    (layers.max_pool_forward, layers.max_pool_backward),
]


# Padding --------------------------------------------------------------------------------------------------------------


def source(p, q, shape, padding):
    """The pixel that the position (p, q) of a padded image shows, counted from its first one inside; None for a 0."""
    height, width = shape
    if padding == "circular":
        return p % height, q % width
    if padding == "replicate":
        return min(max(p, 0), height - 1), min(max(q, 0), width - 1)
    return (p, q) if 0 <= p < height and 0 <= q < width else None


@given(maps(most=5), paddings, seeds)
def test_padding_is_the_formula(x, padding, seed):
    dy, dx = like(seed, (x.shape[0] + 2, x.shape[1] + 2, x.shape[2])), np.zeros(x.shape)
    y = layers.pad_forward(x, padding)
    assert y.shape == dy.shape
    for p, q in np.ndindex(y.shape[:2]):
        pixel = source(p - 1, q - 1, x.shape[:2], padding)
        assert np.array_equal(y[p, q], np.zeros(x.shape[2]) if pixel is None else x[pixel])
        if pixel is not None:
            dx[pixel] += dy[p, q]
    assert np.allclose(layers.pad_backward(dy, padding), dx, rtol=1e-14, atol=1e-14)


def test_padding_refuses_other_names():
    for function in (layers.pad_forward, layers.pad_backward):
        with pytest.raises(ValueError, match="unknown padding 'zeros'; did you mean zero"):
            function(np.zeros((3, 3, 1)), "zeros")


# Convolution ----------------------------------------------------------------------------------------------------------


def conv_loops(x, kernel, bias, padding):
    (height, width, channels), count = x.shape, kernel.shape[3]
    y = np.zeros((height, width, count))
    for r, s, k in np.ndindex(y.shape):
        y[r, s, k] = bias[k]
        for i, j, c in np.ndindex(3, 3, channels):
            pixel = source(r + i - 1, s + j - 1, (height, width), padding)
            if pixel is not None:
                y[r, s, k] += x[(*pixel, c)] * kernel[i, j, c, k]
    return y


@given(maps(most=5), filters, paddings, seeds)
def test_conv_forward_is_the_formula(x, count, padding, seed):
    kernel, bias = like(seed, (3, 3, x.shape[2], count)), like(seed + 1, (count,))
    y = layers.conv_forward(x, kernel, bias, padding)
    assert np.allclose(y, conv_loops(x, kernel, bias, padding), rtol=1e-13, atol=1e-13)


@given(maps(), filters, paddings, seeds)
def test_conv_forward_is_scipys_correlation(x, count, padding, seed):
    kernel, bias = like(seed, (3, 3, x.shape[2], count)), like(seed + 1, (count,))
    boundary = {"zero": "fill", "replicate": "symm", "circular": "wrap"}[padding]
    expected = [
        bias[k] + sum(correlate2d(x[..., c], kernel[..., c, k], "same", boundary) for c in range(x.shape[2]))
        for k in range(count)
    ]
    assert np.allclose(layers.conv_forward(x, kernel, bias, padding), np.stack(expected, -1), rtol=1e-13, atol=1e-13)


@given(maps(), filters, paddings, seeds)
def test_conv_gradients(x, count, padding, seed):
    kernel, bias = like(seed, (3, 3, x.shape[2], count)), like(seed + 1, (count,))
    dy = like(seed + 2, (*x.shape[:2], count))

    def loss(x=x, kernel=kernel, bias=bias):
        return np.sum(dy * layers.conv_forward(x, kernel, bias, padding))

    # The loss is linear in each argument: a large step has no error from curvature.
    dx = layers.conv_backward_input(dy, kernel, padding)
    assert_gradient(lambda x: loss(x=x), dx, x, h=1e-2)
    assert_gradient(lambda kernel: loss(kernel=kernel), layers.conv_backward_kernel(dy, x, padding), kernel, h=1e-2)
    assert_gradient(lambda bias: loss(bias=bias), layers.conv_backward_bias(dy), bias, h=1e-2)
    exact = complex_step(lambda x: loss(x=x), x)
    assert np.allclose(dx, exact, rtol=1e-12, atol=1e-12)


def test_convolutions_pad_with_zeros_by_default():
    x, dy, kernel, bias = (like(n, shape) for n, shape in enumerate([(4, 5, 2), (4, 5, 3), (3, 3, 2, 3), (3,)]))
    y, dx = layers.conv_forward(x, kernel, bias), layers.conv_backward_input(dy, kernel)
    assert np.array_equal(y, layers.conv_forward(x, kernel, bias, "zero"))
    assert np.array_equal(dx, layers.conv_backward_input(dy, kernel, "zero"))
    assert np.array_equal(layers.conv_backward_kernel(dy, x), layers.conv_backward_kernel(dy, x, "zero"))


@given(maps(), filters, seeds)
def test_conv_backward_input_is_a_convolution_with_the_rotated_kernel(x, count, seed):
    kernel, dy = like(seed, (3, 3, x.shape[2], count)), like(seed + 2, (*x.shape[:2], count))
    rotated = kernel[::-1, ::-1].swapaxes(2, 3)
    expected = layers.conv_forward(dy, rotated, np.zeros(x.shape[2]))
    assert np.allclose(layers.conv_backward_input(dy, kernel), expected, rtol=1e-12, atol=1e-12)


def test_conv_refuses_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"kernel must have the shape \(3, 3, C, K\) with C = 2, found \(3, 3, 1, 4\)"):
        layers.conv_forward(np.zeros((4, 4, 2)), np.zeros((3, 3, 1, 4)), np.zeros(4))


# ReLU -----------------------------------------------------------------------------------------------------------------


@given(maps(), seeds)
def test_relu(x, seed):
    y, dy = layers.relu_forward(x), like(seed, x.shape)
    assert all(y[i] == (x[i] if x[i] > 0 else 0) for i in np.ndindex(x.shape))
    dx = layers.relu_backward(dy, x)
    assert all(dx[i] == (dy[i] if x[i] > 0 else 0) for i in np.ndindex(x.shape))
    assert np.array_equal(dx, layers.relu_backward(dy, y)), "input and output make the same mask"
    assert_gradient(lambda x: np.sum(dy * layers.relu_forward(x)), dx, x)


def test_relu_takes_slope_zero_at_zero():
    assert layers.relu_backward(np.array([5.0, 5.0, 5.0]), np.array([-1.0, 0.0, 1.0])).tolist() == [0, 0, 5]


# Pooling --------------------------------------------------------------------------------------------------------------


@st.composite
def pooled(draw, dtype=np.float64):
    window = draw(st.integers(1, 4))
    return draw(maps(least=window, dtype=dtype)), window, draw(st.integers(1, 4))


def windows(shape, window, stride):
    """Output position and the slices of its window, straight from the definition."""
    for r in range((shape[0] - window) // stride + 1):
        for s in range((shape[1] - window) // stride + 1):
            yield (r, s), np.s_[r * stride : r * stride + window, s * stride : s * stride + window]


@given(pooled(), seeds)
def test_pooling_is_the_formula(case, seed):
    x, window, stride = case
    average, largest = (forward(x, window, stride) for forward, _ in POOLS)
    dy = like(seed, average.shape)
    positions = list(windows(x.shape, window, stride))
    assert average.shape == largest.shape == (positions[-1][0][0] + 1, positions[-1][0][1] + 1, x.shape[2])
    average_dx, max_dx = np.zeros(x.shape), np.zeros(x.shape)
    for p, area in positions:
        for c in range(x.shape[2]):
            assert np.isclose(average[(*p, c)], x[area][..., c].mean(), rtol=1e-14)
            assert largest[(*p, c)] == x[area][..., c].max()
            average_dx[area][..., c] += dy[(*p, c)] / window**2
            i, j = np.unravel_index(x[area][..., c].argmax(), (window, window))
            max_dx[area][i, j, c] += dy[(*p, c)]
    assert np.allclose(layers.average_pool_backward(dy, x, window, stride), average_dx, rtol=1e-13, atol=1e-15)
    assert np.allclose(layers.max_pool_backward(dy, x, window, stride), max_dx, rtol=1e-13, atol=1e-15)


@given(pooled(), seeds)
def test_pooling_gradients(case, seed):
    x, window, stride = case
    for forward, backward in POOLS:
        dy = like(seed, forward(x, window, stride).shape)
        loss = lambda x, forward=forward, dy=dy: np.sum(dy * forward(x, window, stride))  # noqa: E731
        # Linear between kinks, and the values are 4/(7·7·4) apart.
        assert_gradient(loss, backward(dy, x, window, stride), x, h=1e-3)


@given(st.integers(1, 4), st.integers(1, 3), seeds)
def test_max_pool_ties_go_to_the_first_in_reading_order(window, stride, seed):
    x = np.random.default_rng(seed).integers(0, 2, (6, 7, 2)).astype(float)
    dy = like(seed, layers.max_pool_forward(x, window, stride).shape)
    expected = np.zeros(x.shape)
    for p, area in windows(x.shape, window, stride):
        for c in range(2):
            first = next(i for i in np.ndindex(window, window) if x[area][(*i, c)] == x[area][..., c].max())
            expected[area][(*first, c)] += dy[(*p, c)]
    assert np.allclose(layers.max_pool_backward(dy, x, window, stride), expected, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("forward, backward", POOLS)
def test_pooling_refuses_what_does_not_fit(forward, backward):
    with pytest.raises(ValueError, match="window of 3×3 does not fit into an array of 2×5"):
        forward(np.zeros((2, 5, 1)), 3, 1)
    with pytest.raises(ValueError, match="at least 1"):
        forward(np.zeros((4, 4, 1)), 2, 0)


def test_the_gradient_of_average_pooling_of_whole_numbers():
    dx = layers.average_pool_backward(np.array([[[4], [6]]]), np.zeros((2, 4, 1)))
    assert dx[..., 0].tolist() == [[1.0, 1.0, 1.5, 1.5]] * 2


# All ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_layer_keeps_the_type_and_its_arguments(dtype):
    x, dy = like(0, (5, 4, 3), dtype), like(1, (5, 4, 2), dtype)
    kernel, bias = like(2, (3, 3, 3, 2), dtype), like(3, (2,), dtype)  # all read-only: a write would raise
    results = [
        *(layers.pad_forward(x, padding) for padding in layers.PADDINGS),
        *(layers.pad_backward(x, padding) for padding in layers.PADDINGS),
        layers.conv_forward(x, kernel, bias),
        layers.conv_backward_input(dy, kernel),
        layers.conv_backward_kernel(dy, x),
        layers.conv_backward_bias(dy),
        layers.relu_forward(x),
        layers.relu_backward(x, x),
    ]
    for forward, backward in POOLS:
        y = forward(x)
        results += [y, backward(y, x)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}
