"""The gradients of max and average pooling."""

# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np

from nst_numpy.exercises.model import Case, Exercise, contracted, spread
from nst_numpy.layers import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward

SHAPES = (  # shape, window, stride
    ((4, 6, 2), 2, 2),
    ((5, 7, 3), 2, 2),
    ((2, 2, 1), 2, 2),
    ((6, 5, 2), 3, 2),
    ((5, 6, 1), 3, 1),
    ((7, 7, 2), 2, 3),
)


def _cases(seed):
    for k, (shape, window, stride) in enumerate(SHAPES):
        rng = np.random.default_rng(k if seed is None else [seed, k])
        if seed is not None:  # as many rows and columns outside the windows
            height, width = (n + stride * int(rng.integers(2)) * (n > window) for n in shape[:2])
            shape = height, width, shape[2]
        x = spread(rng, shape) - 1.5 * (k % 2)  # windows of negative elements, too
        dy = rng.standard_normal(max_pool_forward(x, window, stride).shape)
        options = {} if (window, stride) == (2, 2) else {"window": window, "stride": stride}
        label = f"{shape[0]}×{shape[1]} pixels, {shape[2]} channels, window {window}, stride {stride}"
        yield Case(label, (dy, x), {"window": window, "stride": stride}, options)


def _cases_with_ties(seed):
    yield from _cases(seed)
    rng = np.random.default_rng(8 if seed is None else [seed, 8])
    x = np.array([[1.0, 1, 0, 2], [0, 1, 2, 2], [3, 3, 0, 0], [3, 3, 0, 0]])[:, :, None]
    if seed is not None:
        x = np.rot90(x, int(rng.integers(4))) + rng.integers(-2, 3)
    yield _tied(x, rng)
    yield _tied(np.concatenate([x, -x], axis=2), rng)


def _tied(x, rng):
    """Windows with several largest elements: any of them may get dy, or all of them a share."""
    dy = rng.standard_normal((2, 2, x.shape[2]))

    def valid(dx):
        largest = x == max_pool_forward(x).repeat(2, axis=0).repeat(2, axis=1)
        once = np.allclose(4 * average_pool_forward(dx), dy)
        return bool(once and np.allclose(dx[~largest], 0))

    return Case(f"4×4 pixels, {x.shape[2]} channels, with ties", (dy, x), {"window": 2}, valid=valid)


def _from_the_end(function):
    """The same with the windows in reverse order, so that the first of overlapping ones stays."""

    def reversed_order(dy, x, window=2, stride=2):
        seen = tuple(slice((n - 1) * stride + window) for n in dy.shape[:2])  # the rest belongs to no window
        dx = np.zeros_like(x)
        dx[seen] = function(dy[::-1, ::-1], x[seen][::-1, ::-1], window, stride)[::-1, ::-1]
        return dx

    return reversed_order


MAX_POOL = Exercise(
    max_pool_backward,
    _cases_with_ties,
    hints=(
        "Near x, the output equals one element of its window. What is the slope for that one, and for the others?",
        "Find the first element that is equal to the largest, and add dy there. Add: with overlapping windows, one "
        "element can be the largest of several. If several are equally large, only one of them may get dy.",
    ),
    forward=contracted(max_pool_forward),
)


@MAX_POOL.bug("ties", "each of several equal elements gets all of dy")
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        part = np.s_[h * stride : h * stride + window, w * stride : w * stride + window]
        dx[part] += dy[h, w] * (x[part] == x[part].max(axis=(0, 1)))
    return dx


@MAX_POOL.bug("overlap-overwritten", "where windows overlap, the last one overwrites the others")
def _last_window(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, c in np.ndindex(dy.shape):
        seen = x[h * stride : h * stride + window, w * stride : w * stride + window, c]
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        dx[h * stride + i, w * stride + j, c] = dy[h, w, c]
    return dx


MAX_POOL.recognise(
    ("wrong-operand", "it is the gradient of average pooling", average_pool_backward),
)


@MAX_POOL.bug("wrong-operand", "every element of the window gets dy, not only the largest")
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        dx[h * stride : h * stride + window, w * stride : w * stride + window] += dy[h, w]
    return dx


@MAX_POOL.bug("wrong-shape")
def _(dy, x):
    spread = dy.repeat(2, axis=0).repeat(2, axis=1)
    inside = x[: len(spread), : spread.shape[1]]
    largest = inside.reshape(len(dy), 2, dy.shape[1], 2, -1).max(axis=(1, 3)).repeat(2, axis=0).repeat(2, axis=1)
    return spread * (inside == largest)


def _windows(dy, window, stride):
    for h, w in np.ndindex(dy.shape[:2]):
        yield h, w, np.s_[h * stride : h * stride + window, w * stride : w * stride + window]


def _whole_windows(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, part in _windows(dy, window, stride):
        dx[part] = dy[h, w] * (x[part] == x[part].max(axis=(0, 1)))
    return dx


def _one_for_all_channels(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, part in _windows(dy, window, stride):
        dx[part] += dy[h, w] * (x[part] == x[part].max())
    return dx


def _from_zero(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, part in _windows(dy, window, stride):
        dx[part] += dy[h, w] * (x[part] == np.maximum(x[part].max(axis=(0, 1)), 0))
    return dx


MAX_POOL.recognise(
    ("overlap-overwritten", "where windows overlap, one overwrites the others", _from_the_end(_last_window)),
    ("overlap-overwritten", "each window overwrites its whole part of dx, zeros included", _whole_windows),
    ("overlap-overwritten", "where windows overlap, one overwrites the others", _from_the_end(_whole_windows)),
    (
        "wrong-operand",
        "only the largest element of a window over all channels gets dy, not that of each channel",
        _one_for_all_channels,
    ),
    ("wrong-operand", "the search for the largest element begins with 0, which negative ones never exceed", _from_zero),
    (
        "wrong-operand",
        "the smallest element of the window gets dy, not the largest",
        lambda dy, x, **size: max_pool_backward(dy, -x, **size),
    ),
    (
        "wrong-operand",
        "the element with the largest magnitude gets dy, not the largest",
        lambda dy, x, **size: max_pool_backward(dy, np.abs(x), **size),
    ),
)

AVERAGE_POOL = Exercise(
    average_pool_backward,
    _cases,
    hints=(
        "y is the sum of the window's elements times 1/window². What is the slope for each of them?",
        "Every element of a window gets dy/window². Add where windows overlap; what lies in no window gets 0.",
    ),
    normaliser={"window": 2},
    forward=contracted(average_pool_forward),
)


@AVERAGE_POOL.bug("missing-normaliser")
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        dx[h * stride : h * stride + window, w * stride : w * stride + window] += dy[h, w]
    return dx


@AVERAGE_POOL.bug("wrong-normaliser")
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        dx[h * stride : h * stride + window, w * stride : w * stride + window] += dy[h, w] / window
    return dx


@AVERAGE_POOL.bug("overlap-overwritten", "where windows overlap, the last one overwrites the others")
def _last_share(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        dx[h * stride : h * stride + window, w * stride : w * stride + window] = dy[h, w] / window**2
    return dx


AVERAGE_POOL.recognise(
    ("overlap-overwritten", "where windows overlap, one overwrites the others", _from_the_end(_last_share)),
    ("wrong-operand", "it is the gradient of max pooling", max_pool_backward),
)
