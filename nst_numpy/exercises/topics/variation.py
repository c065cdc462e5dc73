"""Total variation, the weighted sum of the losses' gradients, and a step of descent."""

# mypy: allow-untyped-defs, allow-untyped-calls

import numpy as np

from nst_numpy.exercises.model import Exercise, features, gram_of, map_cases, matrix_cases, without_border
from nst_numpy.losses import (
    content_gradient,
    content_loss,
    style_gradient,
    style_loss,
    total_variation,
    total_variation_gradient,
)

TOTAL_VARIATION = Exercise(
    total_variation_gradient,
    map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)),)),
    hints=(
        "A pixel occurs in up to four differences: in two as the first operand, in two as the second.",
        "For d = x[i+1] − x[i], the derivative of ½ d² is d with respect to x[i+1], and −d with respect to x[i]. "
        "Compute all differences down and right, and add them with both signs where they belong. At the border, some "
        "are missing.",
    ),
    sums_over=("H", "W", "N"),
    forward=lambda x: (total_variation, x),
)


@TOTAL_VARIATION.bug("sign")
def _(x):
    dx = np.zeros_like(x)
    dx[1:] -= x[1:] - x[:-1]
    dx[:-1] += x[1:] - x[:-1]
    dx[:, 1:] -= x[:, 1:] - x[:, :-1]
    dx[:, :-1] += x[:, 1:] - x[:, :-1]
    return dx


@TOTAL_VARIATION.bug("edges-lost", "the image wraps around (np.roll)")
def _(x):
    return 4 * x - np.roll(x, 1, 0) - np.roll(x, -1, 0) - np.roll(x, 1, 1) - np.roll(x, -1, 1)


@TOTAL_VARIATION.bug("overlap-overwritten", "each kind of difference overwrites the one before")
def _(x):
    dx = np.zeros_like(x)
    dx[1:] = x[1:] - x[:-1]
    dx[:-1] = x[:-1] - x[1:]
    dx[:, 1:] = x[:, 1:] - x[:, :-1]
    dx[:, :-1] = x[:, :-1] - x[:, 1:]
    return dx


def _first_operands(x):
    """Only the differences in which a pixel is the subtrahend."""
    dx = np.zeros_like(x)
    dx[:-1] -= x[1:] - x[:-1]
    dx[:, :-1] -= x[:, 1:] - x[:, :-1]
    return dx


def _along(x, axis):
    """The gradient of the differences along one axis."""
    lines = np.moveaxis(x, axis, 0)[:, None]  # with a single column there are no differences along the other
    return np.moveaxis(total_variation_gradient(lines)[:, 0], 0, axis)


TOTAL_VARIATION.recognise(
    ("edges-lost", "zero at the border", lambda x: without_border(total_variation_gradient(x))),
    (
        "edges-lost",
        "differences to a border of zeros are counted",
        lambda x: total_variation_gradient(np.pad(x, ((1, 1), (1, 1), (0, 0))))[1:-1, 1:-1],
    ),
    ("wrong-operand", "the differences in which a pixel is the minuend are missing", _first_operands),
    (
        "wrong-operand",
        "the differences in which a pixel is the subtrahend are missing",
        lambda x: total_variation_gradient(x) - _first_operands(x),
    ),
    ("wrong-operand", "differences along the rows are missing", lambda x: _along(x, 0)),
    ("wrong-operand", "differences down the columns are missing", lambda x: _along(x, 1)),
)

# The weighted sum -----------------------------------------------------------------------------------------------------


def total_gradient(F: np.ndarray, P: np.ndarray, A: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Gradient of α L_content + β E with respect to the features F of one layer that carries both losses.

    The derivative of a weighted sum is the weighted sum of the derivatives; each term keeps its own weight:

    ∂L/∂F = α (F − P) + β 1/(N² M²) (G − A) F,  G = F Fᵀ

    This is what the layer *injects*. If deeper layers carry losses too, what comes back from them is added.

    Parameters
    ----------
    F, P : ndarray, shape (N, M)
        Features of the generated image and of the content image.
    A : ndarray, shape (N, N)
        Gram matrix of the style image.
    alpha, beta : float
        Weights of content and style.

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> F, P, A = np.array([[1.0, 2.0]]), np.array([[1.0, 1.0]]), np.array([[1.0]])
    >>> total_gradient(F, P, A, alpha=1.0, beta=10.0)
    array([[10., 21.]])
    """
    return alpha * content_gradient(F, P) + beta * style_gradient(F, A)


TOTAL = Exercise(
    total_gradient,
    matrix_cases(lambda rng, N, M: (features(rng, N, M), features(rng, N, M), gram_of(rng, N, M), 0.7, 11.0 * N * M)),
    hints=(
        "The derivative of a weighted sum is the weighted sum of the derivatives.",
        "α times the content gradient plus β times the style gradient: both with respect to the same F.",
    ),
    forward=lambda F, P, A, alpha, beta: (
        lambda v: alpha * content_loss(v, P) + beta * style_loss(v, A),
        F,
    ),
)


@TOTAL.bug("missing-normaliser", "the style term is not divided by N² M²")
def _(F, P, A, alpha, beta):
    return alpha * (F - P) + beta * (F @ F.T - A) @ F


@TOTAL.bug("sign", "the style term has the wrong sign")
def _(F, P, A, alpha, beta):
    N, M = F.shape
    return alpha * (F - P) + beta * (A - F @ F.T) @ F / (N**2 * M**2)


@TOTAL.bug("wrong-operand", "the weight alpha is missing")
def _(F, P, A, alpha, beta):
    N, M = F.shape
    return (F - P) + beta * (F @ F.T - A) @ F / (N**2 * M**2)


def _with_weights(weights):
    """The total gradient with other weights, from α, β and N M."""
    return lambda F, P, A, alpha, beta: total_gradient(F, P, A, *weights(alpha, beta, F.size))


TOTAL.recognise(
    *(
        (code, words, _with_weights(weights))
        for code, words, weights in (
            ("wrong-operand", "the style term is missing", lambda a, b, NM: (a, 0)),
            ("wrong-operand", "the content term is missing", lambda a, b, NM: (0, b)),
            ("sign", "the content term has the wrong sign", lambda a, b, NM: (-a, b)),
            ("constant-factor", "the style term is ¼ times the right one", lambda a, b, NM: (a, b / 4)),
            ("constant-factor", "the style term is ½ times the right one", lambda a, b, NM: (a, b / 2)),
            ("constant-factor", "the style term is 2 times the right one", lambda a, b, NM: (a, 2 * b)),
            ("constant-factor", "the style term is 4 times the right one", lambda a, b, NM: (a, 4 * b)),
            ("constant-factor", "the content term is ½ times the right one", lambda a, b, NM: (a / 2, b)),
            ("constant-factor", "the content term is 2 times the right one", lambda a, b, NM: (2 * a, b)),
            ("wrong-normaliser", "the style term is divided by N M, not by N² M²", lambda a, b, NM: (a, b * NM)),
            ("mean-for-sum", "the content term is divided by N M", lambda a, b, NM: (a / NM, b)),
            ("wrong-operand", "alpha and beta are exchanged", lambda a, b, NM: (b, a)),
            ("wrong-operand", "the weights alpha and beta are missing", lambda a, b, NM: (1, 1)),
            ("wrong-operand", "the weight beta is missing", lambda a, b, NM: (a, 1)),
        )
    )
)

# The step -------------------------------------------------------------------------------------------------------------


def gradient_step(x: np.ndarray, gradient: np.ndarray, learning_rate: float) -> np.ndarray:
    """One step of gradient descent.

    For a small step d, L(x + d) ≈ L(x) + Σ_i gradient_i d_i. Of all steps of one length, d = −learning_rate · gradient
    lowers this most: it points straight against the gradient. So

    x_new = x − learning_rate · gradient

    (A plus sign would climb.)

    Parameters
    ----------
    x : ndarray, any shape
        The image; it is not changed.
    gradient : ndarray, shape of x
    learning_rate : float
        Positive.

    Returns
    -------
    ndarray, shape of x

    Examples
    --------
    >>> gradient_step(np.array([1.0, 2.0]), np.array([4.0, -4.0]), learning_rate=0.25)
    array([0., 3.])
    """
    return x - learning_rate * gradient


STEP = Exercise(
    gradient_step,
    map_cases(lambda rng, H, W, C: (rng.random((H, W, C)), rng.standard_normal((H, W, C)), 0.3)),
    hints=(
        "The gradient points in the direction in which the loss rises fastest.",
        "Go the other way, by learning_rate times the gradient; return a new array.",
    ),
)


@STEP.bug("sign", "it goes up: x + learning_rate · gradient")
def _(x, gradient, learning_rate):
    return x + learning_rate * gradient


@STEP.bug("mutates-input")
def _(x, gradient, learning_rate):
    x -= learning_rate * gradient
    return x


@STEP.bug("wrong-operand", "the learning rate is missing")
def _(x, gradient, learning_rate):
    return x - gradient


STEP.recognise(
    ("wrong-operand", "this is the step alone, without x", lambda x, g, rate: -rate * g),
    ("wrong-operand", "the gradient is divided by its length", lambda x, g, rate: x - rate * g / np.linalg.norm(g)),
    ("wrong-operand", "only the gradient's sign is used", lambda x, g, rate: x - rate * np.sign(g)),
)
