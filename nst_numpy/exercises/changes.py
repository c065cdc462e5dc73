"""Changes of arrays: what can have happened to an argument or a result, each with the words for it."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, permutations, product
from typing import Any

import numpy as np

from nst_numpy.exercises.model import Function

MATRIX_PARTS: dict[str, Function] = {
    "only the diagonal is there": lambda m: m * np.eye(*m.shape),
    "the diagonal is missing": lambda m: m * (1 - np.eye(*m.shape)),
    "only the lower triangle is there": np.tril,
    "only the upper triangle is there": np.triu,
    "only the part below the diagonal is there": lambda m: np.tril(m, -1),
    "only the part above the diagonal is there": lambda m: np.triu(m, 1),
    "the diagonal counts twice": lambda m: m * (1 + np.eye(*m.shape)),
    "the diagonal counts half": lambda m: m * (1 - np.eye(*m.shape) / 2),
}


def of_array(name: str, ndim: int) -> Iterator[tuple[str, str, Function]]:
    """Changes of any array of so many axes, as (code, words, function).

    Examples
    --------
    >>> next(words for _, words, change in of_array("x", 1) if change(np.array([2.0, 3.0]))[0] == 3)
    'x is reversed along axis 0'
    """
    yield "wrong-operand", f"{name} is replaced by its magnitude", np.abs
    yield "wrong-operand", f"{name} is squared", np.square
    yield "wrong-operand", f"{name} is replaced by its sign", np.sign
    yield "wrong-relu-mask", f"the negative elements of {name} are set to 0", lambda a: np.maximum(a, 0)
    yield "rounded", f"the fractions of {name} are cut off", np.trunc
    yield "rounded", f"{name} is rounded", np.round
    kernel = ndim == 4
    for axes in subsets(range(ndim)):
        spatial = {0, 1} & set(axes)
        code = "kernel-not-flipped" if kernel and spatial else "wrong-operand" if spatial else "channels-swapped"
        yield code, f"{name} is reversed along {named(axes)}", lambda a, axes=axes: np.flip(a, axes)
    if ndim >= 2:
        code = "kernel-not-flipped" if kernel else "transposed"
        for k in (1, 3):
            yield code, f"{name} is turned by {90 * k}°", lambda a, k=k: np.rot90(a, k, (0, 1))
    for i, j in combinations(range(ndim), 2):
        code = "channels-swapped" if kernel and i == 2 else "transposed"
        words = f"axes {i} and {j} of {name} are exchanged"
        yield code, words, lambda a, i=i, j=j: a.swapaxes(i, j)
    for axes in subsets(range(ndim)):
        for at, words in ((0, "first"), (-1, "last")):
            yield (
                "overlap-overwritten",
                f"only the {words} of the elements of {name} along {named(axes)} counts",
                lambda a, axes=axes, at=at: _only(a, axes, at),
            )
    if ndim in (2, 3):
        for words, lost in BORDERS.items():
            yield "edges-lost", f"{words} of {name} counts as 0", lambda a, lost=lost: _blank(a, lost)
    for axes in subsets(range(ndim)):
        yield "wrong-operand", f"{name} is summed along {named(axes)}", lambda a, axes=axes: _spread(np.sum, a, axes)
        yield "mean-for-sum", f"{name} is its mean along {named(axes)}", lambda a, axes=axes: _spread(np.mean, a, axes)
    for step in product((-1, 0, 1), repeat=2):
        if ndim >= 3 and any(step):
            words = f"{name} is shifted by {step[0]} rows and {step[1]} columns"
            yield "shifted", words, lambda a, step=step: _shifted(a, step)
    if ndim == 2:
        yield "wrong-reshape", f"{name} is reshaped where it must be transposed", lambda a: a.reshape(a.shape[::-1]).T
    if ndim == 3:
        yield (
            "wrong-reshape",
            f"a reshape of {name} mixes positions and channels",
            lambda a: a.reshape(a.shape[2], a.shape[0], a.shape[1]).transpose(1, 2, 0),
        )
        yield (
            "wrong-reshape",
            f"a reshape of {name} mixes channels and positions",
            lambda a: a.transpose(2, 0, 1).reshape(a.shape),
        )
    if kernel:
        code, words = "wrong-reshape", f"a reshape of {name} mixes offsets and channels"
        yield code, words, lambda a: a.reshape(a.shape[2], *a.shape[:2], -1).transpose(1, 2, 0, 3)
        yield code, words, lambda a: a.transpose(2, 0, 1, 3).reshape(a.shape)
        words = f"the channels of {name} are reshaped where they must be transposed"
        yield "wrong-reshape", words, lambda a: a.swapaxes(2, 3).reshape(a.shape)
    for axes in subsets(range(ndim)):
        words = f"its mean along {named(axes)} is subtracted from {name}"
        yield "wrong-operand", words, lambda a, axes=axes: a - a.mean(axis=axes, keepdims=True)


def of_result(arguments: Mapping[str, Any], result: np.ndarray) -> Iterator[tuple[str, str, Function]]:
    """Changes of a result, as (code, words, function of the result and the arguments).

    Examples
    --------
    >>> found = of_result({"x": np.ones(2)}, np.ones(2))
    >>> next(change(np.ones(2), np.ones(2)) for _, words, change in found if words == "x is added to the result")
    array([2., 2.])
    """

    def alone(change: Function) -> Function:
        return lambda r, *_: change(r)

    ndim = result.ndim
    for code, words, change in of_array("the result", ndim):
        yield code, words, alone(change)
    yield "wrong-operand", "the square root is taken of the result", alone(np.sqrt)
    for low, high in ((0, 1), (-1, 1), (0, 255)):
        words = f"the result is clipped to {low} … {high}"
        yield "wrong-operand", words, alone(lambda r, low=low, high=high: r.clip(low, high))
    if ndim == 0:
        return
    for axes in permutations(range(ndim)):
        if ndim > 2 and sum(i != k for k, i in enumerate(axes)) > 2:
            words = f"the axes of the result are in the order {', '.join(map(str, axes))}"
            yield "transposed", words, alone(lambda r, axes=axes: r.transpose(axes))
    for axes in subsets(range(ndim)):
        yield "wrong-shape", f"the result is summed along {named(axes)}", alone(lambda r, axes=axes: r.sum(axis=axes))
        yield "wrong-shape", f"it is the mean along {named(axes)}", alone(lambda r, axes=axes: r.mean(axis=axes))
    for words, length in (
        ("its length", np.linalg.norm),
        ("the sum of its magnitudes", lambda r: np.abs(r).sum()),
        ("its largest element", np.max),
        ("its largest magnitude", lambda r: np.abs(r).max()),
        ("its sum", np.sum),
        ("its standard deviation", np.std),
    ):
        yield "wrong-normaliser", f"the result is divided by {words}", alone(lambda r, length=length: r / length(r))
    if ndim == 2:
        for words, change in MATRIX_PARTS.items():
            yield "wrong-operand", f"of the result, {words}", alone(change)
    for k, (name, argument) in enumerate(arguments.items()):
        if np.shape(argument) != result.shape:
            continue
        for words, mask in (("negative", np.less), ("positive", np.greater)):
            yield (
                "wrong-relu-mask",
                f"the result is set to 0 where {name} is {words}",
                lambda r, *given, k=k, mask=mask: np.where(mask(given[k], 0), 0, r),
            )
        yield "wrong-operand", f"the result is multiplied by {name}", lambda r, *given, k=k: r * given[k]
        yield "wrong-operand", f"{name} is added to the result", lambda r, *given, k=k: r + given[k]
        yield "wrong-operand", f"{name} is subtracted from the result", lambda r, *given, k=k: r - given[k]


BORDERS = {
    "the first row": ((1, 0), (0, 0)),
    "the last row": ((0, 1), (0, 0)),
    "the first column": ((0, 0), (1, 0)),
    "the last column": ((0, 0), (0, 1)),
    "the first row and column": ((1, 0), (1, 0)),
    "the last row and column": ((0, 1), (0, 1)),
    "the border": ((1, 1), (1, 1)),
}


def _blank(a: np.ndarray, lost: tuple[tuple[int, int], ...]) -> np.ndarray:
    """With 0 in this many first and last rows and columns."""
    kept = tuple(slice(before, n - after) for (before, after), n in zip(lost, a.shape, strict=False))
    inside = np.zeros_like(a)
    inside[kept] = a[kept]
    return inside


def _spread(function: Function, a: np.ndarray, axes: tuple[int, ...]) -> np.ndarray:
    """The sum or mean along some axes in the place of each element."""
    return np.broadcast_to(function(a, axis=axes, keepdims=True), a.shape)


def subsets(axes: Sequence[int]) -> list[tuple[int, ...]]:
    """Each axis, the positions (the first two), the channels (the rest), and all of them.

    Examples
    --------
    >>> subsets(range(3))
    [(0,), (1,), (2,), (0, 1), (0, 1, 2)]
    """
    found = [*((axis,) for axis in axes), tuple(axes[:2]), tuple(axes[2:]), tuple(axes)]
    return [subset for subset in dict.fromkeys(found) if subset]


def named(axes: Sequence[int]) -> str:
    """Axes in words.

    Examples
    --------
    >>> named((0, 1, 2)), named((3,))
    ('axes 0, 1 and 2', 'axis 3')
    """
    *most, last = map(str, axes)
    return f"axes {', '.join(most)} and {last}" if most else f"axis {last}"


def _only(a: np.ndarray, axes: Sequence[int], at: int) -> np.ndarray:
    """Zero but for the first (0) or last (-1) along these axes."""
    kept = tuple((slice(1) if at == 0 else slice(-1, None)) if axis in axes else slice(None) for axis in range(a.ndim))
    alone = np.zeros_like(a)
    alone[kept] = a[kept]
    return alone


def _shifted(a: np.ndarray, step: tuple[int, int]) -> np.ndarray:
    """Moved by rows and columns; zeros come in."""
    padded = np.pad(a, [(1, 1), (1, 1), *[(0, 0)] * (a.ndim - 2)])
    H, W = a.shape[:2]
    return padded[1 - step[0] : 1 - step[0] + H, 1 - step[1] : 1 - step[1] + W]
