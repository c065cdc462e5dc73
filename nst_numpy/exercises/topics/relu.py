"""ReLU backwards."""

# mypy: allow-untyped-defs, allow-untyped-calls

from dataclasses import replace

import numpy as np

from nst_numpy.exercises.model import Exercise, contracted, map_cases, spread
from nst_numpy.layers import relu_backward, relu_forward

PASSES = "dy where x < 0"

MAPS = map_cases(lambda rng, H, W, C: (rng.standard_normal((H, W, C)), spread(rng, (H, W, C))))


def _cases(seed):
    """The last one has zeros, where every slope from 0 to 1 is right."""
    yield from MAPS(seed)
    case = next(MAPS(seed))
    dy, x = case.arguments
    x = np.where(np.abs(x) < 1, 0, x)

    def valid(dx):
        between = (dx * dy >= 0) & (np.abs(dx) <= 1.00001 * np.abs(dy))
        return bool(np.all(between) and np.allclose(dx[x != 0], (dy * (x > 0))[x != 0]))

    yield replace(case, label=f"{case.label}, with zeros in x", arguments=(dy, x), valid=valid)


RELU_BACKWARD = Exercise(
    relu_backward,
    _cases,
    task="""Gradient of ReLU with respect to its input.

Forward, element by element: y = max(0, x). dy is ∂L/∂y for some scalar loss L; return ∂L/∂x. At x = 0
there is no derivative, and any value is accepted.""",
    hints=(
        "y = max(0, x) acts on each element by itself. What is the slope dy/dx where x > 0, and where x < 0?",
        "Multiply dy by a mask of zeros and ones. From which array must the mask come, and with which comparison?",
    ),
    terms=lambda dy, x: {"dy where x > 0": dy * (x > 0), PASSES: dy * (x < 0)},
    absent={PASSES: "wrong-relu-mask"},
    forward=contracted(relu_forward),
)


@RELU_BACKWARD.bug("missing-relu-mask", "dy passes unchanged")
def _(dy, x):
    y = np.maximum(x, 0)
    return dy * (y >= 0)


@RELU_BACKWARD.bug("wrong-relu-mask", "dy is masked by its own sign, not by that of x")
def _(dy, x):
    return np.where(dy > 0, dy, 0)


@RELU_BACKWARD.bug("wrong-operand", "dy is multiplied by the output, not by the slope")
def _(dy, x):
    return np.maximum(x, 0) * dy


@RELU_BACKWARD.bug("mutates-input")
def _(dy, x):
    dy[x <= 0] = 0
    return dy


@RELU_BACKWARD.bug("wrong-relu-mask", "it is masked by the sign of dy as well")
def _(dy, x):
    return dy * (x > 0) * (dy > 0)


RELU_BACKWARD.recognise(
    ("wrong-relu-mask", "dy passes where x < 0, and not where x > 0", lambda dy, x: dy * (x < 0)),
    ("wrong-operand", "this is the mask itself, not yet times dy", lambda dy, x: x > 0),
    ("wrong-operand", "this is the output of ReLU", lambda dy, x: np.maximum(x, 0)),
)
