"""Checks of arguments, shared by all modules: numbers within limits, and names from a list of known ones."""

import difflib
import math
from collections.abc import Iterable

import numpy as np


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
