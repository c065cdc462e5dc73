"""The gradients of max and average pooling."""

# mypy: allow-untyped-defs, allow-untyped-calls

from itertools import product

import numpy as np

from nst_numpy.exercises.model import Case, Exercise, contracted, spread
from nst_numpy.layers import average_pool_backward, average_pool_forward, max_pool_backward, max_pool_forward

POOLED = """Forward, for all windows that fit into the image:

y[r, s, c] = the {} of x[r · stride + i, s · stride + j, c] over i and j from 0 to window − 1

With a stride below the window, windows overlap; with one above it, and at the lower and right edge,
elements may belong to none. dy is ∂L/∂y for some scalar loss L; return ∂L/∂x."""

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

    return Case(f"4×4 pixels, {x.shape[2]} channels, with ties", (dy, x), {"window": 2, "stride": 2}, valid=valid)


# A gradient of pooling is made of three things: where windows begin, what a window gives to its elements, and how that
# is put into dx. The first of each is right.

STARTS = {
    "": lambda n, window, stride: n * stride,
    "windows begin at h and w, not at h · stride and w · stride": lambda n, window, stride: n,
    "windows begin at h · window and w · window": lambda n, window, stride: n * window,
}
JOINS = {  # whether later windows come last, and whether zeros are assigned, too; None if all are added
    "": None,
    "where windows overlap, the last one overwrites the others": (True, False),
    "where windows overlap, the first one overwrites the others": (False, False),
    "each window overwrites its part of dx, zeros included": (True, True),
    "each window, from the last to the first, overwrites its part of dx, zeros included": (False, True),
}


def _pooled(shares):
    """The gradients of pooling in which one or two of these parts are wrong, as (code, words, function)."""
    for (start, begin), (share, give), (join, way) in product(STARTS.items(), shares.items(), JOINS.items()):
        words = "; ".join(filter(None, (start, share, join)))
        if words and not (start and join):
            code = "shifted" if start else CODES.get(share, "wrong-operand") if share else "overlap-overwritten"
            yield code, words, _gradient(begin, give, way)


def _gradient(begin, give, way):
    def gradient(dy, x, window=2, stride=2):
        dx = np.zeros_like(x)
        places = list(np.ndindex(dy.shape[:2]))
        for h, w in places if way is None or way[0] else places[::-1]:
            i, j = begin(h, window, stride), begin(w, window, stride)
            part = np.s_[i : i + window, j : j + window]
            value = give(dy[h, w], x[part])
            dx[part] = dx[part] + value if way is None else np.where(way[1] | (value != 0), value, dx[part])
        return dx

    return gradient


def _one(block, index):
    """1 at one element of a window for each channel, given by its number in reading order."""
    n = len(block) * block.shape[1]
    return (np.arange(n)[:, None] == np.broadcast_to(index, block.shape[2])).reshape(block.shape)


def _flat(block):
    return block.reshape(-1, block.shape[2])


LARGEST = {
    "": lambda dy, x: dy * _one(x, _flat(x).argmax(axis=0)),
    "the largest of all channels is taken, and only its channel gets dy": lambda dy, x: dy * (x == x.max()),
    "all channels take the place of the largest of all": lambda dy, x: dy * _one(x, x.argmax() // x.shape[2]),
    "the search for the largest begins with 0, which negative elements never exceed": lambda dy, x: (
        dy * (x > 0) * _one(x, _flat(x).argmax(axis=0))
    ),
    "the smallest element gets dy": lambda dy, x: dy * _one(x, _flat(x).argmin(axis=0)),
    "the element with the largest magnitude gets dy": lambda dy, x: dy * _one(x, _flat(np.abs(x)).argmax(axis=0)),
    "row and column of the largest element are exchanged": lambda dy, x: (
        dy * _one(x, _flat(x).argmax(axis=0)).swapaxes(0, 1)
    ),
    "a reshape of the window mixes positions and channels": lambda dy, x: (
        dy * _one(x, x.reshape(x.shape[2], -1).argmax(axis=1))
    ),
    "the first element of the window gets dy": lambda dy, x: dy * _one(x, 0),
    "the largest element takes the place of dy": lambda dy, x: x * _one(x, _flat(x).argmax(axis=0)),
    "dy is multiplied by the largest element": lambda dy, x: dy * x * _one(x, _flat(x).argmax(axis=0)),
}
SHARES = {
    "": lambda dy, x: np.broadcast_to(dy / (x.shape[0] * x.shape[1]), x.shape),
    "only the first element of the window gets its share": lambda dy, x: dy / len(x) ** 2 * _one(x, 0),
    "dy is multiplied by the window's mean": lambda dy, x: np.broadcast_to(dy * x.mean(axis=(0, 1)), x.shape),
    "dy is multiplied by the window's elements": lambda dy, x: dy * x / len(x) ** 2,
    "the fractions of the shares are cut off (//)": lambda dy, x: np.broadcast_to(dy // len(x) ** 2, x.shape),
}
CODES = {  # of those that are no wrong operands
    "row and column of the largest element are exchanged": "transposed",
    "a reshape of the window mixes positions and channels": "wrong-reshape",
    "the fractions of the shares are cut off (//)": "rounded",
}


def _without_last(function):
    """The loop ends before the last window where that reaches the border: range(0, H - window, stride)."""

    def gradient(dy, x, window=2, stride=2):
        seen = [np.arange(n) * stride + window < size for n, size in zip(dy.shape[:2], x.shape[:2], strict=True)]
        return function(dy * np.outer(*seen)[:, :, None], x, window, stride)

    return gradient


EARLY = "the last window is left out where it ends at the border: range(0, H - window, stride)"


MAX_POOL = Exercise(
    max_pool_backward,
    _cases_with_ties,
    task=f"""Gradient of max pooling with respect to its input.

{POOLED.format("largest")}

Where a window has several largest elements, one of them may get all, or each a share: together they get
what one alone would get.""",
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
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, c in np.ndindex(dy.shape):
        seen = x[h * stride : h * stride + window, w * stride : w * stride + window, c]
        i, j = np.unravel_index(seen.argmax(), seen.shape)
        dx[h * stride + i, w * stride + j, c] = dy[h, w, c]
    return dx


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


MAX_POOL.recognise(
    ("wrong-operand", "it is the gradient of average pooling", average_pool_backward),
    *_pooled(LARGEST),
    ("edges-lost", EARLY, _without_last(max_pool_backward)),
)

AVERAGE_POOL = Exercise(
    average_pool_backward,
    _cases,
    task=f"""Gradient of average pooling with respect to its input.

{POOLED.format("mean")}""",
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
def _(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w in np.ndindex(dy.shape[:2]):
        dx[h * stride : h * stride + window, w * stride : w * stride + window] = dy[h, w] / window**2
    return dx


def _covered(dy, x, window=2, stride=2):
    """Divided by the number of windows that see an element."""
    dx = _gradient(STARTS[""], lambda d, _: d, None)(dy, x, window, stride)
    count = _gradient(STARTS[""], lambda d, _: d, None)(np.ones_like(dy), x, window, stride)
    return dx / np.maximum(count, 1)


def _repeated(dy, x, window=2, stride=2):
    """Each element repeated stride times, whatever the window."""
    dx = np.zeros_like(x)
    spread = dy.repeat(stride, axis=0).repeat(stride, axis=1)[: len(x), : x.shape[1]] / window**2
    dx[: len(spread), : spread.shape[1]] = spread
    return dx


AVERAGE_POOL.recognise(
    *_pooled(SHARES),
    ("edges-lost", EARLY, _without_last(average_pool_backward)),
    ("wrong-operand", "it is the gradient of max pooling", max_pool_backward),
    ("wrong-normaliser", "it is divided by the number of windows that see an element, not by window²", _covered),
    ("overlap-overwritten", "dy is repeated stride times, whatever the window", _repeated),
    (
        "wrong-operand",
        "every element gets the same, as in pooling over the whole image",
        lambda dy, x, window=2, stride=2: np.ones_like(x) * dy.sum(axis=(0, 1)) / (x.shape[0] * x.shape[1]),
    ),
)
