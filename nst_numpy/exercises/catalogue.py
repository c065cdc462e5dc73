"""The exercises: for each the library's own function, inputs to try it on, and checks that need no right answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from nst_numpy import layers, losses
from nst_numpy.exercises import functions
from nst_numpy.exercises.mistakes import MISTAKES, Mistake


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


def _gram_of(rng: np.random.Generator, N: int, M: int) -> np.ndarray:
    return losses.gram(_features(rng, N, M))


def _map_with_gram(rng, H, W, N) -> tuple[np.ndarray, np.ndarray]:
    return _features(rng, H, W, N), _gram_of(rng, N, H * W)


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


# Gradients, for finite differences ------------------------------------------------------------------------------------


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


EXERCISES = {
    "relu_backward": Exercise(
        layers.relu_backward,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)), _spread(rng, (H, W, C)))),
        MISTAKES["relu_backward"],
        forward=_contracted(layers.relu_forward),
    ),
    "conv_backward_input": Exercise(
        layers.conv_backward_input,
        _map_cases(lambda *size: (lambda x, kernel, dy: (dy, kernel))(*_conv_case(*size))),
        MISTAKES["conv_backward_input"],
        forward=_conv_by_input,
    ),
    "conv_backward_kernel": Exercise(
        layers.conv_backward_kernel,
        _map_cases(lambda *size: (lambda x, kernel, dy: (dy, x))(*_conv_case(*size))),
        MISTAKES["conv_backward_kernel"],
        ("H", "W"),
        forward=_conv_by_kernel,
    ),
    "conv_backward_bias": Exercise(
        layers.conv_backward_bias,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
        MISTAKES["conv_backward_bias"],
        ("H", "W"),
        forward=lambda dy: (lambda v: float(np.sum(dy * v)), np.zeros(dy.shape[2])),
    ),
    "max_pool_backward": Exercise(
        layers.max_pool_backward,
        _pool_cases(layers.max_pool_forward, ties=True),
        MISTAKES["max_pool_backward"],
        forward=_contracted(layers.max_pool_forward),
    ),
    "average_pool_backward": Exercise(
        layers.average_pool_backward,
        _pool_cases(layers.average_pool_forward, ties=False),
        MISTAKES["average_pool_backward"],
        normaliser={"window": 2},
        forward=_contracted(layers.average_pool_forward),
    ),
    "content_loss": Exercise(
        losses.content_loss,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M))),
        MISTAKES["content_loss"],
        ("N", "M"),
    ),
    "content_gradient": Exercise(
        losses.content_gradient,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M))),
        MISTAKES["content_gradient"],
        ("N", "M"),
        forward=lambda F, P: (lambda v: losses.content_loss(v, P), F),
    ),
    "feature_matrix": Exercise(
        losses.feature_matrix,
        _map_cases(lambda rng, H, W, N: (_features(rng, H, W, N),)),
        MISTAKES["feature_matrix"],
        invariance=_rows_are_filters,
    ),
    "gram": Exercise(
        losses.gram,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M),)),
        MISTAKES["gram"],
        ("M",),
        invariance=_gram_forgets_where,
    ),
    "gram_backward": Exercise(
        losses.gram_backward,
        _matrix_cases(lambda rng, N, M: (rng.standard_normal((N, N)), _features(rng, N, M))),
        MISTAKES["gram_backward"],
        forward=lambda dG, F: (lambda v: float(np.sum(dG * losses.gram(v))), F),
    ),
    "style_loss": Exercise(
        losses.style_loss,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _gram_of(rng, N, M))),
        MISTAKES["style_loss"],
        normaliser={"": 4, "N": 2, "M": 2},
        invariance=_doubled_positions,
    ),
    "style_gradient": Exercise(
        losses.style_gradient,
        _matrix_cases(lambda rng, N, M: (_features(rng, N, M), _gram_of(rng, N, M))),
        MISTAKES["style_gradient"],
        normaliser={"N": 2, "M": 2},
        forward=lambda F, A: (lambda v: losses.style_loss(v, A), F),
        invariance=_doubled_gradient,
    ),
    "style_gradient_of_map": Exercise(
        functions.style_gradient_of_map,
        _map_cases(_map_with_gram),
        MISTAKES["style_gradient_of_map"],
        normaliser={"N": 2, "H": 2, "W": 2},
        forward=lambda a, A: (lambda v: losses.style_loss(losses.feature_matrix(v), A), a),
        invariance=_height_and_width_swapped,
    ),
    "total_variation_gradient": Exercise(
        losses.total_variation_gradient,
        _map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
        MISTAKES["total_variation_gradient"],
        ("H", "W", "N"),
        forward=lambda x: (losses.total_variation, x),
    ),
    "total_gradient": Exercise(
        functions.total_gradient,
        _matrix_cases(
            lambda rng, N, M: (_features(rng, N, M), _features(rng, N, M), _gram_of(rng, N, M), 0.7, 11.0 * N * M)
        ),
        MISTAKES["total_gradient"],
        forward=lambda F, P, A, alpha, beta: (
            lambda v: alpha * losses.content_loss(v, P) + beta * losses.style_loss(v, A),
            F,
        ),
    ),
    "gradient_step": Exercise(
        functions.gradient_step,
        _map_cases(lambda rng, H, W, C: (rng.random((H, W, C)), rng.standard_normal((H, W, C)), 0.3)),
        MISTAKES["gradient_step"],
    ),
}


def find(name: str) -> Exercise:
    """The exercise of this name.

    Raises
    ------
    ValueError
        If there is none.
    """
    if name not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    return EXERCISES[name]
