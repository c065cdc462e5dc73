"""Checks of arguments, shared by all modules: numbers within limits, names from a list of known ones, shapes."""

import difflib
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, partial, wraps
from inspect import signature
from types import UnionType
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

PACKAGE = os.path.dirname(__file__)
Function = TypeVar("Function", bound=Callable[..., Any])
UNCHECKED = {Any, object, int, float, tuple, type}
WORDS = {
    type(None): "None",
    str: "a string",
    os.PathLike: "a path",
    bool: "True or False",
    np.bool_: "True or False",
    np.ndarray: "an array",
    Callable: "a function",
    Iterable: "a list",
    Sequence: "a list",
    Mapping: "a dict",
}


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
    expected = f"{name} must be a {'whole ' * whole}number {limits}, found {shown(value)}"
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
        raise TypeError(f"{what} must be one of {have}, found {shown(value)}")
    if value not in choices:
        raise ValueError(f"unknown {what} {shown(value)};{did_you_mean(value, choices)} there are {have}")


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


def checked(**shapes: str) -> Callable[[Function], Function]:
    """Decorate a function so that it checks its arguments: their types, by its annotations, and the shapes of arrays.

    Numbers and names are left to `check_number` and `check_choice`.

    Parameters
    ----------
    **shapes : str
        For an argument, its axes: numbers, and letters that stand for the same size wherever they occur. "H+2" is two
        more than H. "..." is any shape, the same one for all arguments. Differences of bool are an error, and those of
        unsigned numbers wrap around: only an argument whose axes end in "?" may be of these types.

    Raises
    ------
    TypeError, ValueError
        By the function, if an argument is of another type, or an array of another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.validation import checked
    >>> @checked(F="N M", t="M")
    ... def weighted(F: np.ndarray, t: np.ndarray) -> np.ndarray:
    ...     return F * t
    >>> weighted(np.ones((2, 3)), np.ones(2))
    Traceback (most recent call last):
    ValueError: t must have the shape (M,) with M = 3, found (2,)
    >>> weighted(np.ones((2, 3)), "mask.png")
    Traceback (most recent call last):
    TypeError: t must be an array, found 'mask.png'
    """

    def decorate(function: Function) -> Function:
        names = signature(function).parameters
        types = cache(partial(_types, function))

        @wraps(function)
        def with_checks(*arguments: Any, **keywords: Any) -> Any:
            given = {**dict(zip(names, arguments, strict=False)), **keywords}
            sizes: dict[str, Any] = {}
            for name, (allowed, words) in types().items():
                if name in given and not _is(given[name], allowed):
                    raise TypeError(f"{name} must be {words}, found {shown(given[name])}")
            for name, axes in shapes.items():
                if given.get(name) is not None:  # without it, the call itself fails
                    check_array(name, given[name], axes, sizes)
            return function(*arguments, **keywords)

        return cast(Function, with_checks)

    return decorate


def _types(function: Callable[..., Any]) -> dict[str, tuple[tuple[Any, ...], str]]:
    """For each argument of which the type is checked: the types, and words for them."""
    found = {}
    hints = get_type_hints(function)
    for name, parameter in signature(function).parameters.items():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        hint = hints.get(name, Any)
        alternatives = get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)
        types = tuple(get_origin(type_) or type_ for type_ in alternatives)
        if bool in types:
            types += (np.bool_,)
        if set(types) & UNCHECKED or set(types) <= {str, type(None)} or not all(isinstance(t, type) for t in types):
            continue
        named = [t for t in types if t is not str or os.PathLike not in types]
        words = [WORDS.get(t) or f"a{'n' * (t.__name__[0] in 'AEIO')} {t.__name__}" for t in named]
        found[name] = types, " or ".join(dict.fromkeys(words))
    return found


def iterable(value: object) -> bool:
    """Whether there is something to go through; an array without axes only seems to be iterable."""
    return isinstance(value, Iterable) and not (isinstance(value, np.ndarray) and not value.ndim)


def _is(value: object, types: tuple[Any, ...]) -> bool:
    if isinstance(value, str) and not {str, Iterable} & set(types):  # a string is a sequence, too
        return False
    if isinstance(value, np.ndarray) and np.ndarray not in types and not iterable(value):
        return False
    return isinstance(value, types) and not isinstance(value, np.ma.MaskedArray | np.matrix)


def check_array(name: str, value: Any, axes: str, sizes: dict[str, Any] | None = None) -> None:
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
        If it is not an array, or not of numbers that may be subtracted.
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
    if not _is(value, (np.ndarray,)) or value.dtype.kind not in "fiucb":
        raise TypeError(f"{name} must be an array of numbers, found {shown(value)}")
    if value.dtype.kind in "ub" and not axes.endswith("?"):
        raise TypeError(f"{name} must be an array of signed numbers, found {shown(value)}")
    axes = axes.removesuffix("?")
    sizes = {} if sizes is None else sizes
    before = dict(sizes)
    if axes == "...":
        matches = value.size > 0 and value.shape == sizes.setdefault(axes, value.shape)
    else:
        wanted = _axes(axes)
        matches = len(wanted) == value.ndim
        for (letter, number, more), size in zip(wanted, value.shape, strict=False):
            expected = sizes.setdefault(letter, size - more) if number is None else number
            matches = matches and expected + more == size > more
    if not matches:
        if axes == "...":
            words = _shape(before[axes]) if axes in before else "of an array that is not empty"
        else:
            known = [f"{letter} = {before[letter]}" for letter, _, _ in _axes(axes) if letter in before]
            words = _shape(axes.split()) + (f" with {', '.join(dict.fromkeys(known))}" if known else "")
        raise ValueError(f"{name} must have the shape {words}, found {_shape(value.shape)}")


@cache
def _axes(axes: str) -> tuple[tuple[str, int | None, int], ...]:
    """Each axis as a letter, or a number, and what is added to it."""
    parts = (axis.partition("+") for axis in axes.split())
    return tuple((letter, int(letter) if letter.isdigit() else None, int(more or 0)) for letter, _, more in parts)


def _shape(axes: Sequence[object]) -> str:
    return f"({', '.join(map(str, axes))}{',' * (len(axes) == 1)})"


_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


@contextmanager
def warnings_to(messages: list[str]) -> Iterator[None]:
    """Collect what this library warns of in this thread, instead of giving warnings.

    Examples
    --------
    >>> from nst_numpy.validation import warn, warnings_to
    >>> messages = []
    >>> with warnings_to(messages):
    ...     warn("the strokes will be blurred")
    >>> messages
    ['the strokes will be blurred']
    """
    token = _heard.set(messages)
    try:
        yield
    finally:
        _heard.reset(token)


def warn(message: str, *, always_go_on: bool = False) -> None:
    """Give a RuntimeWarning in the line that called this library.

    With `always_go_on`, filters that turn warnings into errors do not stop what is going on.
    """
    if (heard := _heard.get()) is not None:
        heard.append(message)
        return
    frame, level = sys._getframe(), 1
    while frame.f_back and frame.f_code.co_filename.startswith(PACKAGE):
        frame, level = frame.f_back, level + 1
    try:
        warnings.warn(message, RuntimeWarning, stacklevel=level)
    except RuntimeWarning:
        if not always_go_on:
            raise


def real_array(name: str, value: ArrayLike) -> np.ndarray:
    """An array of real numbers, of what can be made one.

    Raises
    ------
    TypeError
        If it can't.

    Examples
    --------
    >>> from nst_numpy.validation import real_array
    >>> real_array("x", [1, 2])
    array([1, 2])
    """
    try:
        array = np.asarray(value)
    except Exception:  # rows of different lengths, or an object that fails
        array = np.array(None)
    if array.dtype.kind not in "fiub" or isinstance(value, np.ma.MaskedArray):
        raise TypeError(f"{name} must be an array of real numbers, found {shown(value)}")
    return array


def floating_type(dtype: DTypeLike | None, *allowed: str) -> np.dtype:
    """The NumPy type that is meant, if it is one of the allowed.

    Raises
    ------
    TypeError

    Examples
    --------
    >>> from nst_numpy.validation import floating_type
    >>> floating_type("float64", "float32", "float64")
    dtype('float64')
    >>> floating_type(int, "float32", "float64")
    Traceback (most recent call last):
    TypeError: dtype must be float32 or float64, found int64
    """
    expected = f"dtype must be {', '.join(allowed[:-1])} or {allowed[-1]}, found"
    try:
        found = np.dtype(dtype)
    except Exception:  # NumPy raises several
        raise TypeError(f"{expected} {shown(dtype)}") from None
    if dtype is None:  # NumPy's float64
        raise TypeError(f"{expected} None")
    if found not in map(np.dtype, allowed):
        raise TypeError(f"{expected} {found}")
    return found


def shown(value: object) -> str:
    """A value in a message: short, and on one line; an array by its shape.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy.validation import shown
    >>> shown("a.png"), shown(np.zeros((2, 3))), shown("long" * 100)
    ("'a.png'", 'an array of float64 (2, 3)', "'longlonglonglonglonglonglonglonglonglonglonglonglonglongl…")
    """
    if isinstance(value, np.ndarray) and value.ndim:
        return f"{'a masked' if isinstance(value, np.ma.MaskedArray) else 'an'} array of {value.dtype} {value.shape}"
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an object that can't show itself
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else f"{text[:58]}…"
