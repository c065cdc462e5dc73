"""Checks of arguments, shared by all modules: numbers within limits, and names of which the nearest is suggested."""

import difflib
import math
from collections.abc import Iterable

import numpy as np


def check_number(name: str, value: object, *, whole: bool = False, least: float = 0, most: float = math.inf) -> None:
    """Raise an error unless the value is a finite number in the range least … most.

    Raises
    ------
    TypeError
        If it is not a number.
    ValueError
        If it is out of range, not finite, or not whole although it must be.
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
    """Raise an error unless the value is one of the choices; `also` names what else is accepted.

    Raises
    ------
    ValueError
        The message suggests the nearest choice, if one is similar.
    """
    choices = list(choices)
    if value not in choices:
        have = ", ".join(choices) + (f", or {also}" if also else "")
        raise ValueError(f"unknown {what} {value!r};{did_you_mean(value, choices)} there are {have}")


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """The question " did you mean …?" with the nearest choice; empty if none is similar."""
    nearest = difflib.get_close_matches(str(value), list(choices), n=1)
    return f" did you mean {nearest[0]}?" if nearest else ""
