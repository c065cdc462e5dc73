"""The exercises: for each the library's own function, inputs to try it on, and what usual mistakes would return.

A mistake is given as the function that someone makes it in, so that a diagnosis is never a guess: it is only named
where the numbers on every input are exactly those of the mistake.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nst_numpy import layers, losses
from nst_numpy.exercises import functions


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    label : str
        What is special about it.
    arguments : tuple
    sizes : dict of str to int
        The sizes whose powers a normaliser may contain.
    options : dict
        Keyword arguments that only some submissions take (window and stride of a pooling).
    valid : callable, optional
        `valid(result)`: whether a result is right, where more than one is.
    """

    label: str
    arguments: tuple
    sizes: Mapping[str, int]
    options: Mapping[str, int] = field(default_factory=dict)
    valid: Callable[[np.ndarray], bool] | None = None


@dataclass(frozen=True)
class Mistake:
    """A usual mistake: its code, the function made with it, and what it is in words."""

    code: str
    function: Callable
    words: str


@dataclass(frozen=True)
class Exercise:
    """One function to write.

    Attributes
    ----------
    function : callable
        The library's own.
    cases : tuple of Case
    mistakes : tuple of Mistake
    sums_over : tuple of str
        The sizes of what the formula sums over, where it has no normaliser.
    normaliser : dict of str to int
        The powers of sizes by which the formula divides, and under "" its constant; empty if by none.
    forward : callable, optional
        `forward(*arguments)` gives what finite differences need: a scalar function, and the point at which the exercise
        is its gradient.
    invariance : callable, optional
        `invariance(function, *arguments)`: whether the result has a property that it must have whatever the formula's
        details: what neither a normaliser that loss and gradient share nor a wrong reshape has.
    """

    function: Callable
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...] = ()
    sums_over: tuple[str, ...] = ()
    normaliser: Mapping[str, int] = field(default_factory=dict)
    forward: Callable[..., tuple[Callable, np.ndarray]] | None = None
    invariance: Callable[..., bool] | None = None


def _spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values in −2 … 2 in random order, none near zero and no two near each other: away from every kink."""
    n = int(np.prod(shape))
    return rng.permutation((np.arange(n) + 0.25) / n * 4 - 2).reshape(shape)


def _features(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Positive, as features are after ReLU; never zero, where the mask of ReLU would matter."""
    return rng.random(shape) + 0.1


def _centred(F: np.ndarray) -> np.ndarray:
    return F - F.mean(axis=1, keepdims=True)


def _gram_of(rng: np.random.Generator, N: int, M: int) -> np.ndarray:
    return losses.gram(_features(rng, N, M))


MAPS = ((4, 5, 2), (5, 3, 4), (6, 6, 3), (1, 1, 1), (1, 6, 2), (7, 2, 1))
MATRICES = ((3, 8), (5, 6), (4, 15), (2, 20), (4, 4), (1, 6), (3, 1))  # N, M


def _map_cases(make: Callable) -> tuple[Case, ...]:
    cases = []
    for k, (H, W, C) in enumerate(MAPS):
        rng = np.random.default_rng(k)
        cases.append(Case(f"{H}×{W} pixels, {C} channels", make(rng, H, W, C), {"H": H, "W": W, "N": C}))
    return tuple(cases)


def _matrix_cases(make: Callable) -> tuple[Case, ...]:
    cases = []
    for k, (N, M) in enumerate(MATRICES):
        rng = np.random.default_rng(k)
        cases.append(Case(f"N = {N} filters, M = {M} positions", make(rng, N, M), {"N": N, "M": M}))
    return tuple(cases)


# Convolution ----------------------------------------------------------------------------------------------------------


def _conv_case(rng, H, W, C) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    K = {1: 1, 2: 2 if H == 1 else 3, 3: 3, 4: 2}[C]  # as many outputs as inputs, more, and fewer
    return rng.standard_normal((H, W, C)), rng.standard_normal((3, 3, C, K)), rng.standard_normal((H, W, K))


def _scattered(dy: np.ndarray, kernel: np.ndarray, add: bool, order: int = 1) -> np.ndarray:
    """The backward pass on the padded image: (H + 2, W + 2, C); `add` False is the mistake of assigning.

    Then the last part that is written stays: with order −1, that of the last window.
    """
    H, W = dy.shape[:2]
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3)[::order]:
        for j in range(3)[::order]:
            part = dy @ kernel[i, j].T
            dx[i : i + H, j : j + W] = part + (dx[i : i + H, j : j + W] if add else 0)
    return dx


def _without_border(dx: np.ndarray) -> np.ndarray:
    inside = np.zeros_like(dx)
    inside[1:-1, 1:-1] = dx[1:-1, 1:-1]
    return inside


def _valid_only(dy: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Only windows that lie inside the image."""
    inside = np.zeros_like(dy)
    inside[1:-1, 1:-1] = dy[1:-1, 1:-1]
    return layers.conv_backward_input(inside, kernel)


CONV_INPUT_MISTAKES = (
    Mistake(
        "kernel-not-flipped",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel[::-1, ::-1]),
        "the numbers are those of the kernel rotated by 180° once too often, or not at all",
    ),
    Mistake(
        "kernel-not-flipped",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel[::-1]),
        "the kernel is turned in one direction only",
    ),
    Mistake(
        "kernel-not-flipped",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel[:, ::-1]),
        "the kernel is turned in one direction only",
    ),
    Mistake(
        "transposed",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel.swapaxes(0, 1)),
        "rows and columns of the kernel are exchanged",
    ),
    Mistake(
        "channels-swapped",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel.swapaxes(2, 3)),
        "dy is multiplied by kernel[o] instead of its transpose",
    ),
    Mistake(
        "channels-swapped",
        lambda dy, kernel: layers.conv_backward_input(dy, kernel.swapaxes(2, 3)[::-1, ::-1]),
        "dy is multiplied by kernel[o] instead of its transpose, and the kernel is not rotated",
    ),
    Mistake(
        "overlap-overwritten",
        lambda dy, kernel: _scattered(dy, kernel, add=False)[1:-1, 1:-1],
        "each element holds what only one of its nine windows brought",
    ),
    Mistake(
        "overlap-overwritten",
        lambda dy, kernel: _scattered(dy, kernel, add=False, order=-1)[1:-1, 1:-1],
        "each element holds what only the last of its nine windows brought",
    ),
    Mistake(
        "shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[:-2, :-2], "cropped at the lower right only"
    ),
    Mistake("shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[2:, 2:], "cropped at the upper left only"),
    Mistake("shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[2:, 1:-1], "cropped a row too late"),
    Mistake("shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[:-2, 1:-1], "cropped a row too early"),
    Mistake("shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[1:-1, 2:], "cropped a column too late"),
    Mistake("shifted", lambda dy, kernel: _scattered(dy, kernel, add=True)[1:-1, :-2], "cropped a column too early"),
    Mistake(
        "edges-lost",
        lambda dy, kernel: _without_border(layers.conv_backward_input(dy, kernel)),
        "zero in the first and last row and column",
    ),
    Mistake("edges-lost", _valid_only, "windows that reach over the edge are left out"),
)


def _kernel_gradient(dy: np.ndarray, x: np.ndarray, mode: str) -> np.ndarray:
    """The gradient of the kernel with the image continued over its edge in another way than by zeros."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode)
    products = [np.tensordot(x_o, dy, axes=((0, 1), (0, 1))) for x_o in layers.window_views(padded, 3, 1)]
    return np.reshape(products, (3, 3, x.shape[-1], dy.shape[-1]))


def _inner(dy: np.ndarray) -> np.ndarray:
    inside = np.zeros_like(dy)
    inside[1:-1, 1:-1] = dy[1:-1, 1:-1]
    return inside


CONV_KERNEL_MISTAKES = (
    Mistake(
        "kernel-not-flipped",
        lambda dy, x: layers.conv_backward_kernel(dy, x)[::-1, ::-1],
        "the offsets run backwards: the gradient of kernel[o] stands at −o",
    ),
    Mistake(
        "transposed",
        lambda dy, x: layers.conv_backward_kernel(dy, x).swapaxes(0, 1),
        "rows and columns of the offsets are exchanged",
    ),
    Mistake(
        "channels-swapped",
        lambda dy, x: layers.conv_backward_kernel(dy, x).swapaxes(2, 3),
        "input and output channels are exchanged",
    ),
    Mistake(
        "edges-lost",
        lambda dy, x: layers.conv_backward_kernel(_inner(dy), x),
        "positions whose window reaches over the edge are left out",
    ),
    Mistake("edges-lost", lambda dy, x: _kernel_gradient(dy, x, "edge"), "the border is repeated, not zero"),
    Mistake("edges-lost", lambda dy, x: _kernel_gradient(dy, x, "wrap"), "the image goes on at its other side"),
    Mistake(
        "overlap-overwritten",
        lambda dy, x: np.reshape(
            [np.outer(x_o[-1, -1], dy[-1, -1]) for x_o in layers.window_views(layers.zero_pad(x), 3, 1)],
            (3, 3, x.shape[-1], dy.shape[-1]),
        ),
        "each position overwrites what the one before brought: only the last is left",
    ),
)


# Pooling --------------------------------------------------------------------------------------------------------------

POOLINGS = (  # shape, window, stride
    ((4, 6, 2), 2, 2),
    ((5, 7, 3), 2, 2),
    ((2, 2, 1), 2, 2),
    ((6, 5, 2), 3, 2),
    ((5, 6, 1), 3, 1),
    ((7, 7, 2), 2, 3),
)


def _pool_cases(forward: Callable, ties: bool) -> tuple[Case, ...]:
    cases = []
    for k, (shape, window, stride) in enumerate(POOLINGS):
        rng = np.random.default_rng(k)
        x = _spread(rng, shape)
        dy = rng.standard_normal(forward(x, window, stride).shape)
        options = {} if (window, stride) == (2, 2) else {"window": window, "stride": stride}
        label = f"{shape[0]}×{shape[1]} pixels, window {window}, stride {stride}"
        cases.append(Case(label, (dy, x), {"window": window}, options))
    if ties:
        x = np.array([[1.0, 1, 0, 2], [0, 1, 2, 2], [3, 3, 0, 0], [3, 3, 0, 0]])[:, :, None]
        cases += [_tied(x, 8), _tied(np.concatenate([x, -x], axis=2), 9)]
    return tuple(cases)


def _tied(x: np.ndarray, seed: int) -> Case:
    """Windows with several largest elements: any of them may get dy, or all of them a share."""
    dy = np.random.default_rng(seed).standard_normal((2, 2, x.shape[2]))

    def valid(dx: np.ndarray) -> bool:
        largest = x == layers.max_pool_forward(x).repeat(2, axis=0).repeat(2, axis=1)
        once = np.allclose(4 * layers.average_pool_forward(dx), dy)
        return bool(once and np.allclose(dx[~largest], 0))

    return Case(f"4×4 pixels, {x.shape[2]} channels, with ties", (dy, x), {"window": 2}, valid=valid)


def _pooled_back(dy, x, window, stride, share: Callable, add: bool, order: int = 1) -> np.ndarray:
    """Dx that gets share(window's element, its pooled value) · dy; if not added, the last stays, as in `_scattered`."""
    y = layers.max_pool_forward(x, window, stride)
    dx = np.zeros(x.shape)
    views = zip(layers.window_views(x, window, stride), layers.window_views(dx, window, stride), strict=True)
    for x_o, dx_o in list(views)[::order]:
        part = share(x_o, y, window) * dy
        if add:
            dx_o += part
        else:
            dx_o[...] = np.where(part != 0, part, dx_o)
    return dx


def _all_largest(x_o: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    return x_o == y


def _equal_shares(x_o: np.ndarray, y: np.ndarray, window: int) -> np.ndarray:
    return np.full(y.shape, 1 / window**2)


MAX_POOL_MISTAKES = (
    Mistake(
        "ties",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, x, window, stride, _all_largest, add=True),
        "each of several equal elements gets all of dy",
    ),
    Mistake(
        "overlap-overwritten",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, x, window, stride, _all_largest, add=False),
        "where windows overlap, one overwrites the others",
    ),
    Mistake(
        "overlap-overwritten",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, x, window, stride, _all_largest, add=False, order=-1),
        "where windows overlap, the last one overwrites the others",
    ),
    Mistake(
        "wrong-operand",
        lambda dy, x, window=2, stride=2: layers.average_pool_backward(dy, x, window, stride),
        "this is the gradient of average pooling",
    ),
    Mistake(
        "wrong-operand",
        lambda dy, x, window=2, stride=2: layers.average_pool_backward(dy, x, window, stride) * window**2,
        "every element of the window gets dy, not only the largest",
    ),
    Mistake(
        "wrong-operand",
        lambda dy, x, window=2, stride=2: layers.max_pool_backward(dy, -x, window, stride),
        "the smallest element of the window gets dy, not the largest",
    ),
    Mistake(
        "wrong-operand",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, np.abs(x), window, stride, _all_largest, add=True),
        "the element with the largest magnitude gets dy, not the largest",
    ),
)

AVERAGE_POOL_MISTAKES = (
    Mistake(
        "overlap-overwritten",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, x, window, stride, _equal_shares, add=False),
        "where windows overlap, one overwrites the others",
    ),
    Mistake(
        "overlap-overwritten",
        lambda dy, x, window=2, stride=2: _pooled_back(dy, x, window, stride, _equal_shares, add=False, order=-1),
        "where windows overlap, the last one overwrites the others",
    ),
    Mistake(
        "wrong-operand",
        lambda dy, x, window=2, stride=2: layers.max_pool_backward(dy, x, window, stride),
        "this is the gradient of max pooling",
    ),
)


# ReLU -----------------------------------------------------------------------------------------------------------------

RELU_MISTAKES = (
    Mistake("missing-relu-mask", lambda dy, x: dy, "dy passes unchanged"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (dy > 0), "dy is masked by its own sign, not by that of x"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (x < 0), "it passes where x < 0, the other way round"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (x > 0) * (dy > 0), "it is masked by the sign of dy as well"),
    Mistake("wrong-operand", lambda dy, x: (x > 0).astype(float), "this is the mask itself, not yet times dy"),
    Mistake("wrong-operand", lambda dy, x: dy * np.maximum(x, 0), "dy is multiplied by the output, not by the slope"),
    Mistake("wrong-operand", lambda dy, x: np.maximum(dy, 0) * 0 + np.maximum(x, 0), "this is the output of ReLU"),
)


# Losses ---------------------------------------------------------------------------------------------------------------


def _map_with_gram(rng, H, W, N) -> tuple[np.ndarray, np.ndarray]:
    return _features(rng, H, W, N), _gram_of(rng, N, H * W)


def _mixed(a: np.ndarray) -> np.ndarray:
    """The matrix of the right shape and the wrong content."""
    return a.reshape(a.shape[-1], -1)


def _by_columns(a: np.ndarray) -> np.ndarray:
    return a.transpose(2, 1, 0).reshape(a.shape[-1], -1)


RESHAPE = "a.reshape(N, -1) of an array with channels last mixes positions and channels"

STYLE_OPERANDS = (
    Mistake(
        "wrong-operand", lambda F, A: losses.style_gradient(F, 0 * A), "A is missing: this is the gradient for A = 0"
    ),
    Mistake(
        "wrong-operand",
        lambda F, A: (losses.gram(F) - A) @ F @ F.T @ F / (len(F) * F.shape[1]) ** 2,
        "it is multiplied by G once too often",
    ),
    Mistake(
        "wrong-operand",
        lambda F, A: -A @ F / (len(F) * F.shape[1]) ** 2,
        "G is missing from G − A",
    ),
)


def _total(a: float, b: float) -> Callable:
    """Content and style terms with factors of their own."""
    return lambda F, P, A, alpha, beta: (
        a * alpha * losses.content_gradient(F, P) + b * beta * losses.style_gradient(F, A)
    )


TOTAL_MISTAKES = (
    Mistake("wrong-operand", _total(1, 0), "the style term is missing"),
    Mistake("wrong-operand", _total(0, 1), "the content term is missing"),
    Mistake("sign", _total(1, -1), "the style term has the wrong sign"),
    Mistake("sign", _total(-1, 1), "the content term has the wrong sign"),
    *(
        Mistake("constant-factor", _total(1, b), f"the style term is {w} times the right one")
        for b, w in ((0.25, "¼"), (0.5, "½"), (2, "2"), (4, "4"))
    ),
    *(
        Mistake("constant-factor", _total(a, 1), f"the content term is {w} times the right one")
        for a, w in ((0.5, "½"), (2, "2"))
    ),
    Mistake(
        "missing-normaliser",
        lambda F, P, A, alpha, beta: alpha * (F - P) + beta * (losses.gram(F) - A) @ F,
        "the style term is not divided by N² M²",
    ),
    Mistake(
        "wrong-normaliser",
        lambda F, P, A, alpha, beta: alpha * (F - P) + beta * (losses.gram(F) - A) @ F / F.size,
        "the style term is divided by N M, not by N² M²",
    ),
    Mistake(
        "mean-for-sum",
        lambda F, P, A, alpha, beta: alpha * (F - P) / F.size + beta * losses.style_gradient(F, A),
        "the content term is divided by N M",
    ),
    Mistake(
        "wrong-operand",
        lambda F, P, A, alpha, beta: functions.total_gradient(F, P, A, beta, alpha),
        "alpha and beta are exchanged",
    ),
    Mistake(
        "wrong-operand",
        lambda F, P, A, alpha, beta: functions.total_gradient(F, P, A, 1, 1),
        "the weights alpha and beta are missing",
    ),
    Mistake(
        "wrong-operand",
        lambda F, P, A, alpha, beta: functions.total_gradient(F, P, A, alpha, 1),
        "the weight beta is missing",
    ),
    Mistake(
        "wrong-operand",
        lambda F, P, A, alpha, beta: functions.total_gradient(F, P, A, 1, beta),
        "the weight alpha is missing",
    ),
)


def _rolled_tv(x: np.ndarray) -> np.ndarray:
    return 4 * x - sum(np.roll(x, s, axis) for s in (1, -1) for axis in (0, 1))


def _forward_differences(x: np.ndarray) -> np.ndarray:
    """Only the differences in which a pixel is the subtrahend."""
    dx = np.zeros_like(x)
    dx[:-1] -= x[1:] - x[:-1]
    dx[:, :-1] -= x[:, 1:] - x[:, :-1]
    return dx


def _one_direction(x: np.ndarray, axis: int) -> np.ndarray:
    """The gradient of the differences along one axis."""
    border = [(0, 0)] * x.ndim
    border[axis] = (1, 1)
    return -np.diff(np.pad(np.diff(x, axis=axis), border), axis=axis)


def _contracted(function: Callable) -> Callable:
    """Σ dy · function(x) and x: what a backward function (dy, x) differentiates, and where."""
    return lambda dy, x: (lambda v: float(np.sum(dy * function(v))), x)


def _conv_by_input(dy: np.ndarray, kernel: np.ndarray) -> tuple[Callable, np.ndarray]:
    zero = np.zeros(dy.shape[2])
    return lambda v: float(np.sum(dy * layers.conv_forward(v, kernel, zero))), np.zeros(
        (*dy.shape[:2], kernel.shape[2])
    )


def _conv_by_kernel(dy: np.ndarray, x: np.ndarray) -> tuple[Callable, np.ndarray]:
    zero = np.zeros(dy.shape[2])
    return lambda v: float(np.sum(dy * layers.conv_forward(x, v, zero))), np.zeros((3, 3, x.shape[2], dy.shape[2]))


# Invariances ----------------------------------------------------------------------------------------------------------


def _same(a, b) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-8, atol=1e-12)


def _permuted(F: np.ndarray) -> np.ndarray:
    return np.random.default_rng(0).permutation(F.shape[1])


def _gram_forgets_where(function, F) -> bool:
    return _same(function(F[:, _permuted(F)]), function(F))


def _rows_are_filters(function, a) -> bool:
    order = np.random.default_rng(0).permutation(a.shape[2])
    return _same(function(a[:, :, order]), function(a)[order])


def _doubled_positions(function, F, A) -> bool:
    return _same(function(np.hstack([F, F]), 2 * A), function(F, A))


def _doubled_gradient(function, F, A) -> bool:
    """Twice as many positions of the same texture: each has half of the influence on the same loss."""
    return _same(function(np.hstack([F, F]), 2 * A)[:, : F.shape[1]], function(F, A) / 2)


def _height_and_width_swapped(function, a, A) -> bool:
    return _same(function(a.swapaxes(0, 1), A).swapaxes(0, 1), function(a, A))


def _overwritten_tv(x: np.ndarray) -> np.ndarray:
    down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx = np.zeros_like(x)
    dx[1:] = down
    dx[:-1] = -down
    dx[:, 1:] = right
    dx[:, :-1] = -right
    return dx


EXERCISES = {
    "relu_backward": Exercise(
        layers.relu_backward,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)), _spread(rng, (H, W, C)))),
        RELU_MISTAKES,
        forward=_contracted(layers.relu_forward),
    ),
    "conv_backward_input": Exercise(
        layers.conv_backward_input,
        _map_cases(lambda *size: (lambda x, kernel, dy: (dy, kernel))(*_conv_case(*size))),
        CONV_INPUT_MISTAKES,
        forward=_conv_by_input,
    ),
    "conv_backward_kernel": Exercise(
        layers.conv_backward_kernel,
        _map_cases(lambda *size: (lambda x, kernel, dy: (dy, x))(*_conv_case(*size))),
        CONV_KERNEL_MISTAKES,
        ("H", "W"),
        forward=_conv_by_kernel,
    ),
    "conv_backward_bias": Exercise(
        layers.conv_backward_bias,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
        (
            Mistake("wrong-operand", lambda dy: np.abs(dy).sum(axis=(0, 1)), "the magnitudes are summed"),
            Mistake("edges-lost", lambda dy: dy[1:-1, 1:-1].sum(axis=(0, 1)), "the border is left out of the sum"),
            Mistake("overlap-overwritten", lambda dy: dy[-1, -1], "only the last position is left of the sum"),
        ),
        ("H", "W"),
        forward=lambda dy: (lambda v: float(np.sum(dy * v)), np.zeros(dy.shape[2])),
    ),
    "max_pool_backward": Exercise(
        layers.max_pool_backward,
        _pool_cases(layers.max_pool_forward, ties=True),
        MAX_POOL_MISTAKES,
        forward=_contracted(layers.max_pool_forward),
    ),
    "average_pool_backward": Exercise(
        layers.average_pool_backward,
        _pool_cases(layers.average_pool_forward, ties=False),
        AVERAGE_POOL_MISTAKES,
        normaliser={"window": 2},
        forward=_contracted(layers.average_pool_forward),
    ),
    "content_loss": Exercise(
        losses.content_loss,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M))),
        (
            Mistake("missing-square", lambda F, P: 0.5 * np.sum(F - P), "½ Σ (F − P), without the square"),
            Mistake("missing-square", lambda F, P: 0.5 * np.sum(np.abs(F - P)), "magnitudes instead of squares"),
            Mistake("square-of-sum", lambda F, P: 0.5 * np.sum(F - P) ** 2, "½ (Σ (F − P))²"),
            Mistake("wrong-operand", lambda F, P: 0.5 * np.sqrt(np.sum((F - P) ** 2)), "the square root of the sum"),
            Mistake("wrong-operand", lambda F, P: 0.5 * np.sum(F**2 - P**2), "F² − P² instead of (F − P)²"),
        ),
        ("N", "M"),
    ),
    "content_gradient": Exercise(
        losses.content_gradient,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M))),
        (
            Mistake("wrong-operand", lambda F, P: F, "P is missing"),
            Mistake("wrong-operand", lambda F, P: F + P, "F + P instead of F − P"),
            Mistake("wrong-operand", lambda F, P: (F - P) ** 2, "the square has not been differentiated"),
            Mistake("wrong-operand", lambda F, P: (F - P) * F, "the difference is multiplied by F"),
            Mistake("wrong-relu-mask", lambda F, P: (F - P) * (F > P), "it is masked where F < P"),
            Mistake("missing-square", lambda F, P: np.sign(F - P), "this is the gradient of Σ |F − P|"),
        ),
        ("N", "M"),
        forward=lambda F, P: (lambda v: losses.content_loss(v, P), F),
    ),
    "feature_matrix": Exercise(
        losses.feature_matrix,
        _map_cases(lambda rng, H, W, N: (_features(rng, H, W, N),)),
        (
            Mistake("wrong-reshape", _mixed, RESHAPE),
            Mistake("wrong-reshape", _by_columns, "positions run down the columns: j = w·H + h instead of h·W + w"),
            Mistake("transposed", lambda a: a.reshape(-1, a.shape[-1]), "this is F transposed, M×N"),
        ),
        invariance=_rows_are_filters,
    ),
    "gram": Exercise(
        losses.gram,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M),)),
        (
            Mistake("transposed", lambda F: F.T @ F, "Fᵀ F is M×M, and says which positions resemble each other"),
            Mistake("wrong-operand", lambda F: losses.gram(_centred(F)), "the means are taken out: F is centred"),
            Mistake(
                "wrong-operand",
                lambda F: np.atleast_2d(np.corrcoef(F)),
                "these are correlations: centred, and divided by the lengths",
            ),
            Mistake("wrong-operand", lambda F: F @ F.T - np.diag(np.sum(F**2, axis=1)), "the diagonal is missing"),
            Mistake(
                "wrong-reshape", lambda F: _mixed(F.T) @ _mixed(F.T).T, "F is reshaped where it must be transposed"
            ),
        ),
        ("M",),
        invariance=_gram_forgets_where,
    ),
    "gram_backward": Exercise(
        losses.gram_backward,
        _matrix_cases(lambda rng, N, M: (rng.standard_normal((N, N)), _features(rng, N, M))),
        (
            Mistake("constant-factor", lambda dG, F: dG @ F, "half of the product rule: dG F, without dGᵀ F"),
            Mistake("constant-factor", lambda dG, F: dG.T @ F, "half of the product rule: dGᵀ F, without dG F"),
            Mistake("wrong-operand", lambda dG, F: 2 * dG @ F, "2 dG F is right for a symmetric dG only"),
            Mistake("wrong-operand", lambda dG, F: 2 * dG.T @ F, "2 dGᵀ F is right for a symmetric dG only"),
            Mistake(
                "wrong-operand",
                lambda dG, F: (dG + dG.T - np.diag(np.diag(dG))) @ F,
                "the diagonal is counted once; for k = l both halves of the product rule apply",
            ),
            Mistake("transposed", lambda dG, F: F.T @ (dG + dG.T), "this is the gradient transposed"),
        ),
        forward=lambda dG, F: (lambda v: float(np.sum(dG * losses.gram(v))), F),
    ),
    "style_loss": Exercise(
        losses.style_loss,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _gram_of(rng, N, M))),
        (
            Mistake(
                "square-of-sum",
                lambda F, A: np.sum(losses.gram(F) - A) ** 2 / (4 * F.size**2),
                "(Σ (G − A))² instead of Σ (G − A)²",
            ),
            Mistake(
                "missing-square",
                lambda F, A: np.sum(losses.gram(F) - A) / (4 * F.size**2),
                "Σ (G − A), without the square",
            ),
            Mistake(
                "wrong-operand",
                lambda F, A: np.sum(np.square((losses.gram(F) - A).sum(axis=0))) / (4 * F.size**2),
                "1ᵀ(G − A)(G − A)ᵀ1 is not the sum of the squares, but the square of a sum for every row",
            ),
            Mistake(
                "wrong-operand",
                lambda F, A: np.sum((losses.gram(F) - A) @ (losses.gram(F) - A)) / (4 * F.size**2),
                "a matrix product where every element is to be squared",
            ),
            Mistake("wrong-operand", lambda F, A: losses.style_loss(F, 0 * A), "A is missing"),
            Mistake("transposed", lambda F, A: losses.style_loss(F.T, A), "this is made from FᵀF"),
        ),
        normaliser={"": 4, "N": 2, "M": 2},
        invariance=_doubled_positions,
    ),
    "style_gradient": Exercise(
        losses.style_gradient,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _gram_of(rng, N, M))),
        (
            *STYLE_OPERANDS,
            Mistake(
                "transposed",
                lambda F, A: losses.style_gradient(F, A).T,
                "Fᵀ(G − A) is M×N: its element _ji belongs to F_ij",
            ),
        ),
        normaliser={"N": 2, "M": 2},
        forward=lambda F, A: (lambda v: losses.style_loss(v, A), F),
        invariance=_doubled_gradient,
    ),
    "style_gradient_of_map": Exercise(
        functions.style_gradient_of_map,
        _map_cases(_map_with_gram),
        (
            Mistake(
                "wrong-reshape",
                lambda a, A: losses.style_gradient(_mixed(a), A).reshape(a.shape),
                f"{RESHAPE}; here in both directions",
            ),
            Mistake(
                "wrong-reshape",
                lambda a, A: losses.style_gradient(_mixed(a), A).T.reshape(a.shape),
                f"{RESHAPE}; here on the way in",
            ),
            Mistake(
                "wrong-reshape",
                lambda a, A: losses.style_gradient(losses.feature_matrix(a), A).reshape(a.shape),
                "the gradient N×M must be transposed before it gets the shape of a",
            ),
            Mistake(
                "transposed",
                lambda a, A: losses.style_gradient(losses.feature_matrix(a), A),
                "this is the gradient in the shape of F",
            ),
            Mistake("wrong-operand", lambda a, A: functions.style_gradient_of_map(a, 0 * A), "A is missing from G − A"),
        ),
        normaliser={"N": 2, "H": 2, "W": 2},
        forward=lambda a, A: (lambda v: losses.style_loss(losses.feature_matrix(v), A), a),
        invariance=_height_and_width_swapped,
    ),
    "total_variation_gradient": Exercise(
        losses.total_variation_gradient,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
        (
            Mistake("edges-lost", _rolled_tv, "the image goes on at its other side (np.roll)"),
            Mistake(
                "edges-lost",
                lambda x: _without_border(losses.total_variation_gradient(x)),
                "zero in the first and last row and column",
            ),
            Mistake(
                "edges-lost",
                lambda x: (
                    4 * x
                    - sum(
                        layers.zero_pad(x)[i : i + len(x), j : j + x.shape[1]]
                        for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))
                    )
                ),
                "differences to a border of zeros are counted",
            ),
            Mistake("wrong-operand", _forward_differences, "each pixel stands in differences as minuend, too"),
            Mistake(
                "wrong-operand",
                lambda x: losses.total_variation_gradient(x) - _forward_differences(x),
                "each pixel stands in differences as subtrahend, too",
            ),
            Mistake("wrong-operand", lambda x: _one_direction(x, 0), "differences along the rows are missing"),
            Mistake("wrong-operand", lambda x: _one_direction(x, 1), "differences down the columns are missing"),
            Mistake(
                "overlap-overwritten",
                lambda x: _overwritten_tv(x),
                "what one difference brings overwrites what the one before brought",
            ),
        ),
        ("H", "W", "N"),
        forward=lambda x: (losses.total_variation, x),
    ),
    "total_gradient": Exercise(
        functions.total_gradient,
        _matrix_cases(
            lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M), _gram_of(rng, N, M), 0.7, 11.0 * N * M)
        ),
        TOTAL_MISTAKES,
        forward=lambda F, P, A, alpha, beta: (
            lambda v: alpha * losses.content_loss(v, P) + beta * losses.style_loss(v, A),
            F,
        ),
    ),
    "gradient_step": Exercise(
        functions.gradient_step,
        _map_cases(lambda rng, H, W, C: (rng.random((H, W, C)), rng.standard_normal((H, W, C)), 0.3)),
        (
            Mistake("sign", lambda x, gradient, rate: x + rate * gradient, "it goes up: x + rate · gradient"),
            Mistake("wrong-operand", lambda x, gradient, rate: x - gradient, "the rate is missing"),
            Mistake("wrong-operand", lambda x, gradient, rate: -rate * gradient, "this is the step alone, without x"),
            Mistake("sign", lambda x, gradient, rate: rate * gradient - x, "this is minus the new image"),
            Mistake(
                "wrong-operand",
                lambda x, gradient, rate: x - rate * gradient / np.linalg.norm(gradient),
                "the gradient is divided by its length",
            ),
            Mistake(
                "wrong-operand",
                lambda x, gradient, rate: x - rate * np.sign(gradient),
                "only the gradient's sign is used",
            ),
        ),
    ),
}
