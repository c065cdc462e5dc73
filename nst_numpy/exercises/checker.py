"""Check a student's function and find out what is wrong with it.

The function runs on every input of its exercise, and its results are compared with those of the library's own function.
What explains the differences is found in `diagnosis`.
"""

import contextlib
import inspect
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy.checking import gradcheck
from nst_numpy.exercises.codes import CODES
from nst_numpy.exercises.diagnosis import Run, close, copies, explain, failing
from nst_numpy.exercises.model import Case, Exercise, Function
from nst_numpy.exercises.topics import get
from nst_numpy.validation import check_number, checked

PACKAGE = str(Path(__file__).parents[1])
EXACT, NUMERICAL = 1e-14, 1e-5  # relative errors of a formula at numbers that need no rounding, of finite differences


class SubmissionFailed(Exception):
    """Raised by a function that runs in another process: its text is what the student is told.

    `fatal` says that no further call can succeed.
    """

    def __init__(self, text: str, fatal: bool = False) -> None:
        super().__init__(text)
        self.fatal = fatal


@dataclass(frozen=True)
class Example:
    """An input for which the result is wrong.

    Attributes
    ----------
    label : str
        What is special about it.
    arguments : tuple
    options : dict
        Keyword arguments.
    expected, got : ndarray
    """

    label: str
    arguments: tuple[Any, ...]
    options: Mapping[str, int]
    expected: np.ndarray
    got: np.ndarray


@dataclass(frozen=True)
class Report:
    """What `check` found. It is true if the function passed.

    Attributes
    ----------
    name : str
    passed : bool
    diagnosis : list of str
        Codes (see `CODES`); empty if it passed, or is not written yet.
    message : str
        What is wrong, the evidence, and what to look at.
    caught_by : list of str
        Which checks found it: "calls" (it raises, changes its arguments, returns no array of numbers, or not the same
        twice), "formula" (results on random inputs), "finite differences", "invariance".
    not_yet : bool
        The function raises NotImplementedError.
    case : Example or None
        The smallest input with a wrong result.
    """

    name: str
    passed: bool
    diagnosis: list[str] = field(default_factory=list)
    message: str = ""
    caught_by: list[str] = field(default_factory=list)
    not_yet: bool = False
    case: Example | None = field(default=None, compare=False, repr=False)

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold: everything but the case, of which the label is given."""
        return {**vars(self), "case": self.case and self.case.label}


@checked()
def check(name: str, function: Function, *, seed: int | None = None) -> Report:
    """Check a solution of an exercise, and say what is wrong with it.

    The function runs in this process. For files that you have not read, use `check_file`, which sets limits.

    Parameters
    ----------
    name : str
        One of `names()`.
    function : callable
    seed : int, optional
        Draws other inputs of the same kinds. By default they are always the same.

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If the function is not callable, or the seed no number.
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> report = check("content_gradient", lambda F, P: (F - P) / F.size)
    >>> report.diagnosis, report.caught_by
    (['mean-for-sum'], ['formula', 'finite differences'])
    """
    exercise = get(name)
    if seed is not None:
        check_number("seed", seed, whole=True)
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        runs, findings, not_yet = _run_all(exercise, function, seed)
        if not_yet:
            return Report(name, False, message="not yet written", not_yet=True)
        wrong = [run for run in runs if not run.right]
        if runs and not wrong and not findings and not _is_right_again(exercise, function, seed):
            findings["accumulates"] = "For other numbers in arrays of the same shapes, it returns something wrong"
        if runs and not findings and all(run.case.valid for run in wrong) and _is_numerical(exercise, function):
            findings["numerical"] = "The result is right to some digits only, as that of finite differences"
        if not wrong and not findings:
            return Report(name, True, message="passed")
        caught_by = (["calls"] if findings else []) + _caught_by(exercise, function, bool(wrong), seed)
        if wrong and "accumulates" not in findings:  # else the numbers depend on the calls before
            ordinary = any(run.case.valid is None for run in wrong)  # else it is about ties
            explained = explain(exercise, [run for run in runs if run.case.valid is None or not ordinary])
            if "unknown" not in explained or not findings.keys() - {"signature"}:
                findings |= explained
    said = [_sentence(words) + CODES[code] for code, words in findings.items()]
    case = _example(failing(wrong)) if wrong else None
    return Report(name, False, list(findings), "\n".join(said), caught_by, case=case)


def _sentence(words: str) -> str:
    return words if not words or words.endswith("\n") else f"{words}. "


def _example(run: Run) -> Example:
    return Example(run.case.label, copies(run.case), run.case.options, run.expected, run.value)


def _run_all(exercise: Exercise, function: Function, seed: int | None) -> tuple[list[Run], dict[str, str], bool]:
    """The runs that came to a result, what is wrong with the calls, and whether the function is not yet written."""
    runs: list[Run] = []
    findings: dict[str, str] = {}
    errors = []
    if words := _wrong_signature(exercise, function):
        findings["signature"] = words
    accepted = _keywords(function)
    for case in exercise.cases(seed):
        if case.options and not (accepted is None or set(case.options) <= accepted):
            continue
        expected = np.asarray(exercise.function(*copies(case), **case.options))
        given = copies(case)
        try:
            value = function(*given, **case.options)
        except NotImplementedError:
            return runs, {}, True
        except SubmissionFailed as error:
            errors.append(f"{error}" if error.fatal else f"{error} (for {case.label})")
            if error.fatal:
                break
            continue
        except Exception as error:
            errors.append(f"{_told(error)} (for {case.label})")
            continue
        changed = [k for k, (a, b) in enumerate(zip(given, case.arguments, strict=True)) if not np.array_equal(a, b)]
        if changed:
            findings["mutates-input"] = f"It changes its argument {exercise.arguments[changed[0]]}"
        array, words = _as_numbers(value, expected, "gradient" if exercise.forward else "result")
        if array is None:
            findings["wrong-shape"] = words
            continue
        again = _result(function, case, expected)
        if again is not None and not np.array_equal(array, again, equal_nan=True):
            findings["accumulates"] = f"A second call returns something else (for {case.label})"
        if not np.isfinite(array).all():
            where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            at = f"The first value that is not finite is at {where}" if where else "The result is not finite"
            findings["not-finite"] = f"{at} (for {case.label})"
            continue
        runs.append(Run(case, expected, array))
    if errors and (runs or "signature" not in findings):
        findings["raises"] = f"{errors[0]}" + (f", and {len(errors) - 1} more like it" if len(errors) > 1 else "")
    return runs, findings, False


def _told(error: Exception) -> str:
    """An error in words, with the student's line: the deepest one outside this package and the libraries."""
    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)[1:]
        if "site-packages" not in frame.filename and not frame.filename.startswith(PACKAGE)
    ]
    words = f"{type(error).__name__}: {error}"
    if frames and frames[-1].line:
        words += f", in line {frames[-1].lineno}: {frames[-1].line}"
    return words


def _signature(function: Function) -> inspect.Signature | None:
    try:
        return inspect.signature(function)
    except (TypeError, ValueError):  # some that are written in C have none
        return None


def _keywords(function: Function) -> set[str] | None:
    """The names of the arguments; None if it takes any, or they are unknown."""
    signature = _signature(function)
    if signature is None or any(p.kind == p.VAR_KEYWORD for p in signature.parameters.values()):
        return None
    return set(signature.parameters)


def _wrong_signature(exercise: Exercise, function: Function) -> str:
    """What is wrong with the arguments that a function takes."""
    signature = _signature(function)
    if signature is None:
        return ""
    wanted = exercise.signature.parameters.values()
    options = {p.name: p.default for p in wanted if p.default is not p.empty}
    positional = [p.name for p in wanted if p.default is p.empty]
    try:
        signature.bind(*positional)
        signature.bind(*positional, **options)
    except TypeError:
        names = [p.name if p.default is p.empty else f"{p.name}={p.default}" for p in wanted]
        return f"It takes ({', '.join(signature.parameters)}), and should take ({', '.join(names)})"
    return ""


def _as_numbers(value: object, expected: np.ndarray, what: str) -> tuple[np.ndarray | None, str]:
    """An array of float64, copied; or None, and what it is instead."""
    found = None
    with contextlib.suppress(Exception):  # rows of different lengths, or what can't be an array
        found = np.array(value)
        if found.dtype.kind == "O" and all(isinstance(number, Number) for number in found.flat):
            found = found.astype(np.float64)
        if found.dtype.kind == "c" and not np.any(found.imag):
            found = found.real
    if isinstance(value, tuple) and (found is None or found.shape != expected.shape):
        return None, f"It returns a tuple of {len(value)}; return the {what} alone"
    if found is not None and found.dtype.kind in "fiub":
        return found.astype(np.float64), ""
    if found is not None and found.dtype.kind == "c":
        return None, "The result is complex"
    kind = "None; is there a return?" if value is None else type(value).__name__
    return None, f"Expected an array of shape {expected.shape}, found {kind}"


def _result(function: Function, case: Case, expected: np.ndarray) -> np.ndarray | None:
    """The numbers that a function returns; None if it raises an error, or returns no numbers."""
    with contextlib.suppress(Exception):
        return _as_numbers(function(*copies(case), **case.options), expected, "")[0]
    return None


def _is_right_again(exercise: Exercise, function: Function, seed: int | None) -> bool:
    """Whether the result is right when all arrays of the first case are reversed, too: nothing is kept by shape."""
    case = exercise.cases(seed)[0]
    flipped = tuple(np.flip(a).copy() if np.ndim(a) else a for a in case.arguments)
    case = replace(case, arguments=flipped, options={})
    expected = np.asarray(exercise.function(*copies(case)))
    value = _result(function, case, expected)
    return value is None or close(value, expected)


def _is_numerical(exercise: Exercise, function: Function) -> bool:
    """Whether a right result comes from finite differences.

    A formula is exact at odd multiples of ¼ and sizes that are powers of two, in float32, too. Differences of a loss at
    x ± h are not.
    """
    if exercise.forward is None:
        return False
    inexact = 0
    for case in map(_simple, exercise.cases()):
        expected = np.asarray(exercise.function(*copies(case), **case.options))
        small = [np.float32(a) for a in case.arguments]
        if case.valid or not np.array_equal(exercise.function(*small, **case.options), expected):
            continue
        value = _result(function, case, expected)
        if value is not None and value.shape == expected.shape:
            error = np.abs(value - expected).max() / np.abs(expected).max()
            inexact += bool(EXACT < error < NUMERICAL)
    return inexact >= 2


def _simple(case: Case) -> Case:
    """The case with all numbers rounded to odd multiples of ¼."""
    return replace(case, arguments=tuple((np.round(2 * a) + 0.5) / 2 for a in case.arguments))


def _caught_by(exercise: Exercise, function: Function, wrong: bool, seed: int | None) -> list[str]:
    caught = ["formula"] if wrong else []
    case = exercise.cases(seed)[1]
    if exercise.forward:
        f, x = exercise.forward(*copies(case))
        with contextlib.suppress(Exception):
            value = np.asarray(function(*copies(case)), np.float64)
            if not gradcheck(f, value, x, h=1e-4, rtol=1e-5):
                caught.append("finite differences")
    if exercise.invariance:
        with contextlib.suppress(Exception):
            if not exercise.invariance(function, *copies(case)):
                caught.append("invariance")
    return caught
