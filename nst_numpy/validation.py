"""Checks of arguments, shared by all modules: numbers within limits, names from a list of known ones, shapes."""

import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from inspect import getfullargspec
from typing import Any, TypeVar, cast

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])


def check_number(name: str, value: object, *, whole: bool = False, least: float = 0, most: float = math.inf) -> None:
    """Check that a value is a finite number from `least` to `most`.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
        Python's and NumPy's scalars are numbers; bool is not.
    whole : bool
        Whether it must be an integer, by its type.
    least, most : float
        The limits, included.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is out of range, not finite, or not an integer where it must be one.

    Examples
    --------
    >>> from nst_numpy.validation import check_number
    >>> check_number("size", 512, whole=True, least=1)
    >>> check_number("size", 0, whole=True, least=1)
    Traceback (most recent call last):
    ValueError: size must be a whole number of at least 1, found 0
    """
    limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
    expected = f"{name} must be a {'whole ' * whole}number {limits}, found {value!r}"
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(expected)
    if whole and not isinstance(value, int | np.integer):
        raise ValueError(expected)
    if not math.isfinite(value) or not least <= value <= most:
        raise ValueError(expected)


def check_choice(what: str, value: object, choices: Iterable[str], also: str = "") -> None:
    """Check that a value is one of the choices.

    Parameters
    ----------
    what : str
        What is chosen, for the message.
    value : object
    choices : iterable of str
    also : str
        What else is accepted, for the message.

    Raises
    ------
    TypeError
        If it is not a string.
    ValueError
        If it is none of the choices; the message suggests the nearest, if one is similar.

    Examples
    --------
    >>> from nst_numpy.validation import check_choice
    >>> check_choice("pooling", "max", ("average", "max"))
    >>> check_choice("pooling", "averge", ("average", "max"))
    Traceback (most recent call last):
    ValueError: unknown pooling 'averge'; did you mean average? there are average, max
    """
    choices = list(choices)
    have = ", ".join(choices) + (f", or {also}" if also else "")
    if not isinstance(value, str):
        raise TypeError(f"{what} must be one of {have}, found {value!r}")
    if value not in choices:
        raise ValueError(f"unknown {what} {value!r};{did_you_mean(value, choices)} there are {have}")


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """Return a question that suggests the nearest choice, with a space before it; empty if none is similar.

    Examples
    --------
    >>> from nst_numpy.validation import did_you_mean
    >>> did_you_mean("kers", ("keras", "paper"))
    ' did you mean keras?'
    >>> did_you_mean("something", ("keras", "paper"))
    ''
    """
    nearest = difflib.get_close_matches(str(value), list(choices))
    return f" did you mean {nearest[0]}?" if nearest else ""


def shapes(**expected: str) -> Callable[[Function], Function]:
    """Decorate a function so that it checks the shapes of its arrays.

    Parameters
    ----------
    **expected : str
        For an argument, its axes: numbers, and letters that stand for the same size wherever they occur. "H+2" is two
        more than H. "..." is any shape, the same one for all arguments.

    Raises
    ------
    TypeError, ValueError
        By the function, as `check_array`.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.validation import shapes
    >>> @shapes(F="N M", t="M")
    ... def weighted(F, t):
    ...     return F * t
    >>> weighted(np.ones((2, 3)), np.ones(2))
    Traceback (most recent call last):
    ValueError: t must have the shape (M,) with M = 3, found (2,)
    """

    def decorate(function: Function) -> Function:
        order = getfullargspec(function).args

        @wraps(function)
        def checked(*arguments: Any, **keywords: Any) -> Any:
            given = {**dict(zip(order, arguments, strict=False)), **keywords}
            sizes: dict[str, Any] = {}
            for name, axes in expected.items():
                if name in given:  # else the call itself fails
                    check_array(name, given[name], axes, sizes)
            return function(*arguments, **keywords)

        return cast(Function, checked)

    return decorate


def check_array(name: str, value: object, axes: str, sizes: dict[str, Any] | None = None) -> None:
    """Check that a value is an array of numbers of a certain shape.

    Parameters
    ----------
    name : str
        Name of the argument, for the message.
    value : object
    axes : str
        As in `shapes`, such as "H W 3".
    sizes : dict, optional
        The sizes that letters stand for; those that are new are added.

    Raises
    ------
    TypeError
        If it is not an array, or not of numbers.
    ValueError
        If it has another shape, or no elements.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.validation import check_array
    >>> check_array("image", np.zeros((4, 6, 3)), "H W 3")
    >>> check_array("image", np.zeros((4, 6)), "H W 3")
    Traceback (most recent call last):
    ValueError: image must have the shape (H, W, 3), found (4, 6)
    """
    if not isinstance(value, np.ndarray) or isinstance(value, np.ma.MaskedArray | np.matrix):
        raise TypeError(f"{name} must be a NumPy array, found {type(value).__name__}")
    if value.dtype.kind not in "fiuc":
        raise TypeError(f"{name} must hold numbers, found {value.dtype}")
    sizes = {} if sizes is None else sizes
    if axes == "...":
        matches, words = value.shape == sizes.setdefault(axes, value.shape), f"shape {_shape(sizes[axes])}"
    else:
        wanted = axes.split()
        known = [f"{axis} = {sizes[axis]}" for axis in dict.fromkeys(a.split("+")[0] for a in wanted) if axis in sizes]
        words = f"shape {_shape(wanted)}" + (f" with {', '.join(known)}" if known else "")
        matches = len(wanted) == value.ndim
        for axis, size in zip(wanted, value.shape, strict=False):
            letter, _, more = axis.partition("+")
            size -= int(more or 0)
            matches &= size == (int(axis) if axis.isdigit() else sizes.setdefault(letter, size)) and size > 0
    if not matches or not value.size:
        raise ValueError(f"{name} must have the {words}, found {_shape(value.shape)}")


def _shape(axes: Sequence[object]) -> str:
    return f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"
