"""Every compiled loop against plain NumPy. Runs as Python too, with NUMBA_DISABLE_JIT=1."""

import numpy as np
import pytest
from drawing import like
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nst_numpy import layers
from nst_numpy.backends import loops

CHANNELS = (1, 3, 31, 32, 33, 64, 65, 70)
UNTOUCHED = -7.0
dtypes = st.sampled_from([np.float32, np.float64])
seeds = st.integers(0, 2**32 - 1)
sides, channels = st.integers(1, 5), st.sampled_from(CHANNELS)
quick = settings(max_examples=30)


def whole_numbers(seed, shape, dtype):
    """Few different values, with many zeros and ties among them."""
    return np.random.default_rng(seed).integers(-2, 3, shape).astype(dtype)


def packed(mask):
    """Bits (H, W, C) → words (H, W, ⌈C/32⌉), the first channel in the lowest bit."""
    C = mask.shape[2]
    padded = np.zeros((*mask.shape[:2], -(-C // 32) * 32), np.uint64)
    padded[..., :C] = mask
    words = padded.reshape(*mask.shape[:2], -1, 32) << np.arange(32, dtype=np.uint64)
    return words.sum(axis=-1).astype(np.uint32)


PADDINGS = {loops.ZERO: "constant", loops.REPLICATE: "edge", loops.CIRCULAR: "wrap"}
paddings = st.sampled_from(list(PADDINGS))
windows = st.tuples(*[st.integers(-2, 8)] * 2, *[st.integers(1, 12)] * 2)  # first row and column, rows, columns


def surrounded(x, padding, window):
    """The part of x, continued on all sides, that a window shows."""
    y0, x0, rows, columns = window
    wide = np.pad(x, ((20, 20), (20, 20), (0, 0)), PADDINGS[padding])
    return wide[20 + y0 : 20 + y0 + rows, 20 + x0 : 20 + x0 + columns]


@given(sides, sides, channels, paddings, windows, dtypes, seeds)
@settings(max_examples=60)
def test_gather(H, W, C, padding, window, dtype, seed):
    x, mask = like(seed, (H, W, C), dtype), like(seed + 1, (H, W, C)) > 0
    y0, x0, *shape = window
    for masked in (False, True):
        padded = np.full((*shape, C), np.nan, dtype)
        loops.gather(x, packed(mask), masked, padding, y0, x0, padded)
        assert np.array_equal(padded, surrounded(x * mask if masked else x, padding, window))


@pytest.mark.parametrize("C", [5, 40])
def test_gather_masks_as_the_plain_relu_does_also_what_is_not_finite(C):
    x = np.full((1, 1, C), np.inf)
    mask = np.arange(C).reshape(1, 1, C) % 2 == 0
    padded = np.empty((1, 2, C))
    loops.gather(x, packed(mask), True, loops.ZERO, 0, -1, padded)
    with np.errstate(invalid="ignore"):
        assert np.array_equal(padded[0, 1], layers.relu_backward(x, mask)[0, 0], equal_nan=True)


@given(sides, sides, channels, st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), dtypes, seeds)
@quick
def test_finish(H, W, K, y0, more_rows, more_columns, dtype, seed):
    """Sums that are exactly 0 among them; rows above y0 stay; what reaches out is dropped."""
    y0 = min(y0, H - 1)
    rows = max(1, H - y0 + more_rows - 1)
    tiles = whole_numbers(seed, (rows, W + more_columns, K), dtype)
    bias = whole_numbers(seed + 1, K, dtype)
    y, signs = np.full((H, W, K), UNTOUCHED, dtype), np.full((H, W, -(-K // 32)), 99, np.uint32)
    loops.finish(tiles, bias, y0, y, signs)
    z = (tiles + bias)[: H - y0, :W]
    end = y0 + len(z)
    assert np.array_equal(y[y0:end], np.maximum(z, 0)) and np.array_equal(signs[y0:end], packed(z > 0))
    assert (y[:y0] == UNTOUCHED).all() and (y[end:] == UNTOUCHED).all()
    assert (signs[:y0] == 99).all() and (signs[end:] == 99).all()


@pytest.mark.parametrize("K", [5, 40])
def test_the_response_to_what_is_not_finite(K):
    tiles = np.resize([np.nan, np.inf, -np.inf, -0.0, 1.0], (1, 1, K))
    y, signs = np.empty((1, 1, K)), np.empty((1, 1, -(-K // 32)), np.uint32)
    loops.finish(tiles, np.full(K, -0.0), 0, y, signs)
    assert np.array_equal(y[0, 0], np.resize([np.nan, np.inf, 0, 0, 1], K), equal_nan=True)
    assert not np.signbit(y[y == 0]).any()
    assert np.array_equal(signs, packed(tiles > 0))


def pooled(z, kind):
    """What is pooled of z after ReLU, and which of the four elements won, the first of equals."""
    r = np.maximum(z, 0)
    H, W, K = r.shape[0] // 2, r.shape[1] // 2, r.shape[2]
    windows = r[: 2 * H, : 2 * W].reshape(H, 2, W, 2, K).transpose(0, 2, 4, 1, 3).reshape(H, W, K, 4)
    return (windows.max(axis=-1), windows.argmax(axis=-1)) if kind == "max" else (windows.mean(axis=-1), None)


@given(sides, sides, channels, st.integers(0, 2), st.integers(0, 5), st.integers(0, 3), dtypes, seeds)
@quick
def test_finish_and_pool(H, W, K, y0, more_rows, more_columns, dtype, seed):
    y0 = 2 * min(y0, H - 1)
    rows = max(1, 2 * H - y0 + more_rows - 2)
    tiles = whole_numbers(seed, (rows, 2 * W + more_columns, K), dtype)
    bias = whole_numbers(seed + 1, K, dtype)
    z = (tiles + bias)[: 2 * H - y0, : 2 * W]
    begin, end = y0 // 2, y0 // 2 + len(z) // 2
    for kind in ("average", "max"):
        y, signs = np.full((H, W, K), UNTOUCHED, dtype), np.full((2 * H, 2 * W, -(-K // 32)), 99, np.uint32)
        winner = np.full((H, W, K) if kind == "max" else (0, 0, 0), 9, np.uint8)
        loops.finish_and_pool(tiles, bias, y0, y, signs, winner)
        expected, first = pooled(z, kind)
        assert np.allclose(y[begin:end], expected, rtol=1e-6, atol=0)
        assert np.array_equal(signs[2 * begin : 2 * end], packed(z > 0)[: 2 * (end - begin)])
        assert (y[:begin] == UNTOUCHED).all() and (y[end:] == UNTOUCHED).all()
        assert (signs[: 2 * begin] == 99).all() and (signs[2 * end :] == 99).all()
        if kind == "max":
            assert np.array_equal(winner[begin:end], first)
            assert (winner[:begin] == 9).all() and (winner[end:] == 9).all()


@pytest.mark.parametrize("C", [1, 2])
@pytest.mark.parametrize("place", range(4))
def test_nan_wins_the_maximum_from_every_place(place, C):
    x = np.array([[3.0, 1.0], [2.0, 4.0]])
    x[divmod(place, 2)] = np.nan
    x = np.repeat(x[..., None], C, axis=2)
    y, winner = np.empty((1, 1, C)), np.full((1, 1, C), 9, np.uint8)
    loops.max_pool(x, 0, 1, y, winner)
    assert np.isnan(y).all() and (winner == place).all()
    signs = np.empty((2, 2, 1), np.uint32)
    y, winner = np.empty((1, 1, C)), np.full((1, 1, C), 9, np.uint8)
    loops.finish_and_pool(x, np.zeros(C), 0, y, signs, winner)
    assert np.isnan(y).all() and (winner == place).all()


@given(sides, sides, channels, st.integers(0, 1), st.integers(0, 1), paddings, windows, dtypes, seeds)
@example(1, 1, 1, 0, 0, loops.ZERO, (-1, -1, 3, 3), np.float64, 0)
@settings(max_examples=60)
def test_gather_pooled(H, W, C, odd_row, odd_column, padding, window, dtype, seed):
    dy, mask = like(seed, (H, W, C), dtype), like(seed + 1, (2 * H, 2 * W, C)) > 0
    winner = np.random.default_rng(seed).integers(0, 4, (H, W, C)).astype(np.uint8)
    spread = dy.repeat(2, axis=0).repeat(2, axis=1)
    place = np.tile(np.array([[0, 1], [2, 3]])[..., None], (H, W, C))
    won = place == winner.repeat(2, axis=0).repeat(2, axis=1)
    for winners, dx in ((np.empty((0, 0, 0), np.uint8), spread * dtype(0.25)), (winner, spread * won)):
        dz = np.pad(dx * mask, ((0, odd_row), (0, odd_column), (0, 0)))
        y0, x0, *shape = window
        padded = np.full((*shape, C), np.nan, dtype)
        loops.gather_pooled(dy, packed(mask), winners, *dz.shape[:2], padding, y0, x0, padded)
        assert np.array_equal(padded, surrounded(dz, padding, window))


@given(sides, sides, sides, st.integers(0, 4), st.integers(0, 3), st.integers(0, 3), seeds)
@quick
def test_crop(H, W, C, y0, more_rows, more_columns, seed):
    y0 = min(y0, H - 1)
    tiles = like(seed, (max(1, H - y0 + more_rows - 1), W + more_columns, C))
    y = np.full((H, W, C), UNTOUCHED)
    loops.crop(tiles, y0, y)
    end = min(H, y0 + len(tiles))
    assert np.array_equal(y[y0:end], tiles[: end - y0, :W])
    assert (y[:y0] == UNTOUCHED).all() and (y[end:] == UNTOUCHED).all()


@given(sides, sides, sides, seeds)
@quick
def test_patches(rows, W, C, seed):
    padded, planes = like(seed, (rows + 2, W + 2, C)), np.full((9 * C, rows + 1, W), UNTOUCHED)
    loops.patches(padded, planes)
    columns = np.concatenate(list(layers.window_views(padded, 3, 1)), axis=2)
    assert np.array_equal(planes[:, :rows], columns.transpose(2, 0, 1))
    assert (planes[:, rows:] == UNTOUCHED).all()


@given(sides, sides, sides, seeds)
@quick
def test_scatter_is_the_adjoint_of_patches(rows, W, C, seed):
    """⟨planes, patches(dx)⟩ = ⟨scatter(planes), dx⟩, with dx in zeros, two pixels wide on all sides."""
    planes, x = like(seed, (9 * C, rows + 2, W + 2)), like(seed + 1, (rows, W, C))
    dx, gathered = np.full((rows, W, C), np.nan), np.empty(planes.shape)
    loops.scatter(planes, dx)
    loops.patches(np.pad(x, ((2, 2), (2, 2), (0, 0))), gathered)
    assert np.isclose((planes * gathered).sum(), (dx * x).sum(), rtol=1e-10)
    for k in range(x.size):  # and element by element
        one = np.zeros(x.size)
        one[k] = 1
        loops.patches(np.pad(one.reshape(x.shape), ((2, 2), (2, 2), (0, 0))), gathered)
        assert np.isclose((planes * gathered).sum(), dx.ravel()[k], rtol=1e-10)
        if k == 3:
            break


POOLS = {
    "average": (layers.average_pool_forward, layers.average_pool_backward),
    "max": (layers.max_pool_forward, layers.max_pool_backward),
}


@given(st.integers(2, 9), st.integers(2, 9), sides, st.sampled_from(["average", "max"]), dtypes, st.data())
@quick
def test_pooling_of_some_rows(H, W, C, kind, dtype, data):
    """Odd sizes, ties, and no row touched but those asked for."""
    seed = data.draw(seeds)
    x = whole_numbers(seed, (H, W, C), dtype)
    forward, backward = POOLS[kind]
    expected, shape = forward(x), (H // 2, W // 2, C)
    first = data.draw(st.integers(0, shape[0] - 1))
    last = data.draw(st.integers(first, shape[0]))
    y, winner = np.full(shape, UNTOUCHED, dtype), np.full(shape, 9, np.uint8)
    if kind == "max":
        loops.max_pool(x, first, last, y, winner)
    else:
        loops.average_pool(x, first, last, y)
    assert np.array_equal(y[first:last], expected[first:last])
    assert (y[:first] == UNTOUCHED).all() and (y[last:] == UNTOUCHED).all()

    dy, dx = like(seed, shape, dtype), np.full(x.shape, UNTOUCHED, dtype)
    first = data.draw(st.integers(0, H - 1))
    last = data.draw(st.integers(first, H))
    if kind == "max":
        loops.max_pool(x, 0, shape[0], y, winner)
        loops.max_pool_backward(dy, winner, first, last, dx)
    else:
        loops.average_pool_backward(dy, first, last, dx)
    assert np.array_equal(dx[first:last], backward(dy, x)[first:last])
    assert (dx[:first] == UNTOUCHED).all() and (dx[last:] == UNTOUCHED).all()


@pytest.mark.parametrize("size", [(2, 2), (3, 2), (2, 3), (3, 3), (7, 6), (6, 7), (9, 9)])
def test_pooling_of_odd_sizes(size):
    x = whole_numbers(0, (*size, 3), np.float64)
    dy, y = like(1, (size[0] // 2, size[1] // 2, 3)), np.empty((size[0] // 2, size[1] // 2, 3))
    winner, dx = np.empty(y.shape, np.uint8), np.full(x.shape, UNTOUCHED)
    loops.average_pool_backward(dy, 0, size[0], dx)
    assert np.array_equal(dx, layers.average_pool_backward(dy, x))
    loops.max_pool(x, 0, len(y), y, winner)
    loops.max_pool_backward(dy, winner, 0, size[0], dx)
    assert np.array_equal(dx, layers.max_pool_backward(dy, x))
