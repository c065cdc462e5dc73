"""What usual mistakes return: each is given as the function that someone makes it in.

So a diagnosis is never a guess: a mistake is only named where the numbers on every input are exactly those of its
function.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nst_numpy import layers, losses
from nst_numpy.exercises import functions


@dataclass(frozen=True)
class Mistake:
    """A usual mistake: its code, the function made with it, and what it is in words."""

    code: str
    function: Callable
    words: str


def _centred(F: np.ndarray) -> np.ndarray:
    return F - F.mean(axis=1, keepdims=True)


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
    """The same with zeros in the first and last row and column."""
    inside = np.zeros_like(dx)
    inside[1:-1, 1:-1] = dx[1:-1, 1:-1]
    return inside


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
    Mistake(
        "edges-lost",
        lambda dy, kernel: layers.conv_backward_input(_without_border(dy), kernel),
        "windows that reach over the edge are left out",
    ),
)


def _kernel_gradient(dy: np.ndarray, x: np.ndarray, mode: str) -> np.ndarray:
    """The gradient of the kernel with the image continued over its edge in another way than by zeros."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=mode)
    products = [np.tensordot(x_o, dy, axes=((0, 1), (0, 1))) for x_o in layers.window_views(padded, 3, 1)]
    return np.reshape(products, (3, 3, x.shape[-1], dy.shape[-1]))


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
        lambda dy, x: layers.conv_backward_kernel(_without_border(dy), x),
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


RELU_MISTAKES = (
    Mistake("missing-relu-mask", lambda dy, x: dy, "dy passes unchanged"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (dy > 0), "dy is masked by its own sign, not by that of x"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (x < 0), "it passes where x < 0, the other way round"),
    Mistake("wrong-relu-mask", lambda dy, x: dy * (x > 0) * (dy > 0), "it is masked by the sign of dy as well"),
    Mistake("wrong-operand", lambda dy, x: (x > 0).astype(float), "this is the mask itself, not yet times dy"),
    Mistake("wrong-operand", lambda dy, x: dy * np.maximum(x, 0), "dy is multiplied by the output, not by the slope"),
    Mistake("wrong-operand", lambda dy, x: np.maximum(dy, 0) * 0 + np.maximum(x, 0), "this is the output of ReLU"),
)


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


def _overwritten_tv(x: np.ndarray) -> np.ndarray:
    down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx = np.zeros_like(x)
    dx[1:] = down
    dx[:-1] = -down
    dx[:, 1:] = right
    dx[:, :-1] = -right
    return dx


MISTAKES = {
    "relu_backward": RELU_MISTAKES,
    "conv_backward_input": CONV_INPUT_MISTAKES,
    "conv_backward_kernel": CONV_KERNEL_MISTAKES,
    "conv_backward_bias": (
        Mistake("wrong-operand", lambda dy: np.abs(dy).sum(axis=(0, 1)), "the magnitudes are summed"),
        Mistake("edges-lost", lambda dy: dy[1:-1, 1:-1].sum(axis=(0, 1)), "the border is left out of the sum"),
        Mistake("overlap-overwritten", lambda dy: dy[-1, -1], "only the last position is left of the sum"),
    ),
    "max_pool_backward": MAX_POOL_MISTAKES,
    "average_pool_backward": AVERAGE_POOL_MISTAKES,
    "content_loss": (
        Mistake("missing-square", lambda F, P: 0.5 * np.sum(F - P), "½ Σ (F − P), without the square"),
        Mistake("missing-square", lambda F, P: 0.5 * np.sum(np.abs(F - P)), "magnitudes instead of squares"),
        Mistake("square-of-sum", lambda F, P: 0.5 * np.sum(F - P) ** 2, "½ (Σ (F − P))²"),
        Mistake("wrong-operand", lambda F, P: 0.5 * np.sqrt(np.sum((F - P) ** 2)), "the square root of the sum"),
        Mistake("wrong-operand", lambda F, P: 0.5 * np.sum(F**2 - P**2), "F² − P² instead of (F − P)²"),
    ),
    "content_gradient": (
        Mistake("wrong-operand", lambda F, P: F, "P is missing"),
        Mistake("wrong-operand", lambda F, P: F + P, "F + P instead of F − P"),
        Mistake("wrong-operand", lambda F, P: (F - P) ** 2, "the square has not been differentiated"),
        Mistake("wrong-operand", lambda F, P: (F - P) * F, "the difference is multiplied by F"),
        Mistake("wrong-relu-mask", lambda F, P: (F - P) * (F > P), "it is masked where F < P"),
        Mistake("missing-square", lambda F, P: np.sign(F - P), "this is the gradient of Σ |F − P|"),
    ),
    "feature_matrix": (
        Mistake("wrong-reshape", _mixed, RESHAPE),
        Mistake("wrong-reshape", _by_columns, "positions run down the columns: j = w·H + h instead of h·W + w"),
        Mistake("transposed", lambda a: a.reshape(-1, a.shape[-1]), "this is F transposed, M×N"),
    ),
    "gram": (
        Mistake("transposed", lambda F: F.T @ F, "Fᵀ F is M×M, and says which positions resemble each other"),
        Mistake("wrong-operand", lambda F: losses.gram(_centred(F)), "the means are taken out: F is centred"),
        Mistake(
            "wrong-operand",
            lambda F: np.atleast_2d(np.corrcoef(F)),
            "these are correlations: centred, and divided by the lengths",
        ),
        Mistake("wrong-operand", lambda F: F @ F.T - np.diag(np.sum(F**2, axis=1)), "the diagonal is missing"),
        Mistake("wrong-reshape", lambda F: _mixed(F.T) @ _mixed(F.T).T, "F is reshaped where it must be transposed"),
    ),
    "gram_backward": (
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
    "style_loss": (
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
    "style_gradient": (
        *STYLE_OPERANDS,
        Mistake(
            "transposed",
            lambda F, A: losses.style_gradient(F, A).T,
            "Fᵀ(G − A) is M×N: its element _ji belongs to F_ij",
        ),
    ),
    "style_gradient_of_map": (
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
    "total_variation_gradient": (
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
                    layers.zero_pad(x)[i : i + len(x), j : j + x.shape[1]] for i, j in ((0, 1), (2, 1), (1, 0), (1, 2))
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
    "total_gradient": TOTAL_MISTAKES,
    "gradient_step": (
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
}
