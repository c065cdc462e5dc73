"""The content loss and its gradient."""

# mypy: allow-untyped-defs, allow-untyped-calls

from dataclasses import replace

import numpy as np

from nst_numpy.exercises.model import Exercise, features, matrix_cases
from nst_numpy.losses import content_gradient, content_loss

LOSS = Exercise(
    content_loss,
    matrix_cases(lambda rng, N, M: (features(rng, N, M), features(rng, N, M))),
    task="""Content loss of a layer.

L = ½ Σ_ij (F_ij − P_ij)², summed over all elements.""",
    hints=(
        "It is half the sum of the squared differences, equation 1 of the paper.",
        "Square first, then sum over filters and positions, then halve. No mean.",
    ),
    sums_over=("N", "M"),
)


@LOSS.bug("square-of-sum", "½ (Σ (F − P))²")
def _(F, P):
    return 0.5 * np.sum(F - P) ** 2


@LOSS.bug("missing-square", "½ Σ (F − P), without the square")
def _(F, P):
    return 0.5 * np.sum(F - P)


@LOSS.bug("mean-for-sum")
def _(F, P):
    return 0.5 * np.mean((F - P) ** 2)


@LOSS.bug("constant-factor")
def _(F, P):
    return np.sum((F - P) ** 2)


LOSS.recognise(
    ("missing-square", "magnitudes instead of squares", lambda F, P: 0.5 * np.sum(np.abs(F - P))),
    ("wrong-operand", "the square root of the sum is taken", lambda F, P: 0.5 * np.sqrt(np.sum((F - P) ** 2))),
    (
        "wrong-operand",
        "Gram matrices are compared, not features",
        lambda F, P: 0.5 * np.sum((F @ F.T - P @ P.T) ** 2),
    ),
    ("wrong-operand", "F² − P² instead of (F − P)²", lambda F, P: 0.5 * np.sum(F**2 - P**2)),
)


def _cases(seed):
    """Large values, and some elements of F that are equal to those of P."""
    for k, case in enumerate(LOSS.inputs(seed)):
        F, P = (3 * a for a in case.arguments)
        rng = np.random.default_rng([k, 1] if seed is None else [seed, k, 1])
        yield replace(case, arguments=(F, np.where(rng.random(P.shape) < 0.2 * (k % 2), F, P)))


GRADIENT = Exercise(
    content_gradient,
    _cases,
    task="""Gradient of the content loss with respect to F.

The loss is L = ½ Σ_ij (F_ij − P_ij)², summed over all elements; P is constant. Return ∂L/∂F. (The
paper's case F < 0 is the gradient of the ReLU before this, not part of this function.)""",
    hints=(
        "Only one term of ½ Σ (F − P)² contains F_ij. Differentiate that one.",
        "The 2 from the square cancels the ½. The inner derivative of F_ij − P_ij with respect to F_ij is 1.",
    ),
    sums_over=("N", "M"),
    terms=lambda F, P: {"F": F, "−P": -P},
    forward=lambda F, P: (lambda v: content_loss(v, P), F),
)


@GRADIENT.bug("sign")
def _(F, P):
    return P - F


@GRADIENT.bug("constant-factor")
def _(F, P):
    return 2 * (F - P)


@GRADIENT.bug("mean-for-sum")
def _(F, P):
    return (F - P) / F.size


@GRADIENT.bug("mutates-input")
def _(F, P):
    F -= P
    return F


@GRADIENT.bug("wrong-relu-mask", "it is masked where F < P")
def _(F, P):
    difference = F - P
    return difference * (difference > 0)


GRADIENT.recognise(
    ("wrong-operand", "the square has not been differentiated", lambda F, P: (F - P) ** 2),
    ("wrong-operand", "the difference is multiplied by F", lambda F, P: (F - P) * F),
    ("missing-square", "this is the gradient of Σ |F − P|", lambda F, P: np.sign(F - P)),
)
