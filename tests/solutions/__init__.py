"""Solutions of the exercises as students write them: wrong ones with the codes of their mistakes, and right ones.

Each solution is a function with the name of its exercise; a name is defined as often as there are solutions of it. The
decorators collect them in `SOLUTIONS` and hand the function back unchanged, so that its source can be read.

A code names a cause. Where several describe a mistake equally well, or a solution makes two mistakes, all of them are
given; naming any one of them is right:

constant-factor       a constant times the right result
missing-normaliser    a division by powers of the sizes is missing
wrong-normaliser      divided by another power of the sizes, or once too often
mean-for-sum          a mean where there should be a sum
sign                  of the whole result or of a term
transposed            axes exchanged, also the rows and columns of a kernel
wrong-operand         the formula on the wrong array, a term or weight missing or exchanged, another function
missing-relu-mask     dy passed on everywhere
wrong-relu-mask       leaky slopes, a mask by the wrong array or condition, a mask that does not belong there
kernel-not-flipped    the kernel, or its gradient, flipped too often, not at all, on the wrong axes, or rotated by 90°
channels-swapped      the channels in another order, or those of input and output exchanged
shifted               by a pixel or more
edges-lost            right inside, wrong at the border
overlap-overwritten   assigned where it must be added: one of several contributions is left
ties                  max pooling with equal elements
wrong-reshape         reshaped to the right shape, in the wrong order
mutates-input         changes an argument
accumulates           keeps state between calls
wrong-shape           also tuples, lists, scalars and None
not-finite            NaN or infinity
raises                an exception
square-of-sum         Σ² for Σ of squares
missing-square        also absolute values for squares, and the reverse
numerical             finite differences in place of the formula
rounded               integers, or rounding
signature             does not take the arguments of the sheet

Comments name where a mistake has been seen in public: repositories (owner/name), issues and forums. The code is written
anew for the arguments of these exercises.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

CODES = frozenset(re.findall(r"^([a-z-]+)  ", __doc__, re.MULTILINE))


class Solution(NamedTuple):
    """A solution of an exercise."""

    exercise: str
    codes: tuple[str, ...]  # empty for right ones
    function: Callable[..., np.ndarray | float]
    place: str  # file and line


SOLUTIONS: list[Solution] = []


def _collect(function: Callable, codes: tuple[str, ...]) -> Callable:
    place = f"{function.__module__.rpartition('.')[2]}.py:{function.__code__.co_firstlineno}"
    SOLUTIONS.append(Solution(function.__name__, codes, function, place))
    return function


def wrong(*codes: str) -> Callable[[Callable], Callable]:
    """Mark a wrong solution; each of the codes names its mistake, or one of its mistakes."""
    if not codes or not CODES.issuperset(codes):
        raise ValueError(f"not codes: {codes}")
    return lambda function: _collect(function, codes)


def right(function: Callable) -> Callable:
    """Mark a right solution."""
    return _collect(function, ())


from . import content, convolution, pooling, relu, style, variation  # noqa: E402

__all__ = ["CODES", "SOLUTIONS", "Solution", "content", "convolution", "pooling", "relu", "right", "style", "variation"]
__all__ += ["wrong"]
