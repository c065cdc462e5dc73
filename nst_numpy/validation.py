"""What all rooms share to refuse wrong input: numbers within limits, and names with the nearest known one."""

import difflib
import math
from collections.abc import Iterable

import numpy as np


def check_number(name: str, value: object, *, whole: bool = False, least: float = 0, most: float = math.inf) -> None:
    """Refuse what is no finite number, or lies outside least … most.

    Raises
    ------
    TypeError
        If it is no number.
    ValueError
        If it is out of range, not finite, or not whole where it must be.
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
    """Refuse what is none of the choices; `also` names what else would be right.

    Raises
    ------
    ValueError
        The message names the nearest choice, if one is near.
    """
    choices = list(choices)
    if value not in choices:
        have = ", ".join(choices) + (f", or {also}" if also else "")
        raise ValueError(f"unknown {what} {value!r};{did_you_mean(value, choices)} there are {have}")


def did_you_mean(value: object, choices: Iterable[str]) -> str:
    """A question with the nearest choice, with a space before it; empty if none is near."""
    nearest = difflib.get_close_matches(str(value), list(choices), n=1)
    return f" did you mean {nearest[0]}?" if nearest else ""
