"""Total variation, the weighted sum of the losses' gradients, and a step of descent."""

# mypy: allow-untyped-defs, allow-untyped-calls

from dataclasses import replace
from itertools import product

import numpy as np

from nst_numpy.exercises.model import Exercise, features, gram_of, map_cases, matrix_cases, without_border
from nst_numpy.exercises.topics.style import STYLE
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
    task="""Gradient of the total variation with respect to the image.

TV = ½ Σ (x[i + 1, j, c] − x[i, j, c])² + ½ Σ (x[i, j + 1, c] − x[i, j, c])²

The sums are over all channels and all pairs of neighbours inside the image. Return ∂TV/∂x.""",
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


def _differences(x):
    """What the differences to each neighbour add to the gradient."""
    dx = {name: np.zeros_like(x) for name in ("above", "below", "on the left", "on the right")}
    dx["above"][1:] = x[1:] - x[:-1]
    dx["below"][:-1] = x[:-1] - x[1:]
    dx["on the left"][:, 1:] = x[:, 1:] - x[:, :-1]
    dx["on the right"][:, :-1] = x[:, :-1] - x[:, 1:]
    return {f"the difference to the pixel {name}": d for name, d in dx.items()}


TOTAL_VARIATION.terms = _differences
NEIGHBOURS = {"above": np.s_[1:], "below": np.s_[:-1], "on the left": np.s_[:, 1:], "on the right": np.s_[:, :-1]}


def _overwriting():
    """Some of the later three differences are assigned, not added; either columns or rows come first."""
    for names in (list(NEIGHBOURS), list(NEIGHBOURS)[2:] + list(NEIGHBOURS)[:2]):
        for assigned in product((False, True), repeat=3):
            late = [name for name, wrong in zip(names[1:], assigned, strict=True) if wrong]
            if late and not (all(assigned) and names[0] == "above"):  # that one is a bug
                words = f"the differences to the pixel {' and '.join(late)} are assigned (=), not added"
                yield "overlap-overwritten", f"{words}, after that {names[0]}", _joined(names, late)


def _joined(names, late):
    def gradient(x):
        dx = np.zeros_like(x)
        differences = dict(zip(NEIGHBOURS, _differences(x).values(), strict=True))
        for name in names:
            part = NEIGHBOURS[name]
            dx[part] = differences[name][part] + (0 if name in late else dx[part])
        return dx

    return gradient


def _squares(x):
    above, below, left, right = _differences(x).values()
    return above**2 - below**2 + left**2 - right**2


def _channels(x):
    """The gradient, with differences between the channels as well."""
    dx = total_variation_gradient(x)
    dx[:, :, 1:] += x[:, :, 1:] - x[:, :, :-1]
    dx[:, :, :-1] -= x[:, :, 1:] - x[:, :, :-1]
    return dx


def _ends(x):
    """x[-1] and x[0] are neighbours, but not x[0] and x[-1]: what slices such as x[:-1] of a rolled image give."""
    return sum(x - np.roll(x, 1, axis) for axis in (0, 1))


TOTAL_VARIATION.recognise(
    ("edges-lost", "zero at the border", lambda x: without_border(total_variation_gradient(x))),
    (
        "edges-lost",
        "differences to a border of zeros are counted",
        lambda x: total_variation_gradient(np.pad(x, ((1, 1), (1, 1), (0, 0))))[1:-1, 1:-1],
    ),
    ("edges-lost", "the image wraps around, and half of the differences are missing", _ends),
    ("missing-square", "it is the gradient of Σ |d|", lambda x: sum(np.sign(d) for d in _differences(x).values())),
    ("wrong-operand", "d² takes the place of d", lambda x: _squares(x)),
    *_overwriting(),
    ("wrong-operand", "it has differences between the channels as well", _channels),
    ("wrong-operand", "it is the gradient of the root of the sum", lambda x: _of_root(x)),
)


def _of_root(x):
    return total_variation_gradient(x) / np.sqrt(2 * total_variation(x))


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


def _weighted(seed):
    """Matrices with weights that differ from case to case, so that a power of a weight can be told from another."""
    for k, case in enumerate(MATRICES(seed)):
        rng = np.random.default_rng([k, 1] if seed is None else [seed, k, 1])
        alpha, beta = float(rng.uniform(0.3, 3)), float(rng.uniform(5, 50) * np.prod([*case.sizes.values()]))
        sizes = {**case.sizes, "alpha": alpha, "beta": beta}
        yield replace(case, arguments=(*case.arguments, alpha, beta), sizes=sizes)


MATRICES = matrix_cases(lambda rng, N, M: (features(rng, N, M), features(rng, N, M), gram_of(rng, N, M)))
TOTAL = Exercise(
    total_gradient,
    _weighted,
    task=f"""Gradient of the weighted content and style losses of one layer with respect to its features F.

L = alpha · ½ Σ_ij (F_ij − P_ij)² + beta · E,  {STYLE}

N and M are the sizes of F; P and A are constant. Return ∂L/∂F.""",
    hints=(
        "The derivative of a weighted sum is the weighted sum of the derivatives.",
        "α times the content gradient plus β times the style gradient: both with respect to the same F.",
    ),
    normaliser={"N": 2, "M": 2},
    terms=lambda F, P, A, alpha, beta: {
        "the content term": alpha * content_gradient(F, P),
        "the style term": beta * style_gradient(F, A),
    },
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


TOTAL.recognise(
    ("wrong-operand", "G is made from P", lambda F, P, A, a, b: a * (F - P) + b * (P @ P.T - A) @ F / F.size**2),
    (
        "wrong-normaliser",
        "it is divided by alpha + beta",
        lambda F, P, A, a, b: total_gradient(F, P, A, a, b) / (a + b),
    ),
    (
        "wrong-normaliser",
        "each term is divided by the sum of its magnitudes",
        lambda F, P, A, a, b: sum(w * g / np.abs(g).sum() for w, g in ((a, F - P), (b, style_gradient(F, A)))),
    ),
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


def _steps(seed):
    for k, case in enumerate(MAPS(seed)):
        rate = float(np.random.default_rng([k, 1] if seed is None else [seed, k, 1]).uniform(0.1, 0.9))
        x, gradient = case.arguments
        x[x < 0.2] = 0  # black is black
        yield replace(case, arguments=(x, gradient, rate), sizes={"learning_rate": rate})


MAPS = map_cases(lambda rng, H, W, C: (rng.random((H, W, C)), rng.standard_normal((H, W, C))))
STEP = Exercise(
    gradient_step,
    _steps,
    task="""One step of gradient descent.

Return the image moved in the direction of steepest descent, by learning_rate times the length of the
gradient.""",
    hints=(
        "The gradient points in the direction in which the loss rises fastest.",
        "Go the other way, by learning_rate times the gradient; return a new array.",
    ),
    terms=lambda x, gradient, learning_rate: {"x": x, "the step": -learning_rate * gradient},
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
    (
        "wrong-operand",
        "x and the gradient are both in the bracket: (x − rate) · gradient",
        lambda x, g, rate: (x - rate) * g,
    ),
    ("wrong-operand", "the step goes from x to x · (1 − rate · gradient)", lambda x, g, rate: x * (1 - rate * g)),
    ("wrong-normaliser", "the gradient is divided by its length", lambda x, g, rate: x - rate * g / np.linalg.norm(g)),
    ("wrong-operand", "only the gradient's sign is used", lambda x, g, rate: x - rate * np.sign(g)),
)
