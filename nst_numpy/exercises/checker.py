"""Check a student's function and find out what is wrong with it.

The function runs on every input of its exercise. Its results are compared with those of the library's own function,
then with those of common mistakes. A mistake is named only if it gives the student's numbers on every input, and at
least two of these inputs tell it from the right function.
"""

import contextlib
import dataclasses
import inspect
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import combinations, product
from typing import Any

import numpy as np

from nst_numpy.checking import gradcheck
from nst_numpy.exercises.codes import CODES
from nst_numpy.exercises.model import Case, Exercise, Function
from nst_numpy.exercises.topics import get

RTOL = 1e-5  # of the largest element; room for float32


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
    """

    name: str
    passed: bool
    diagnosis: list[str] = field(default_factory=list)
    message: str = ""
    caught_by: list[str] = field(default_factory=list)
    not_yet: bool = False

    def __bool__(self) -> bool:
        return self.passed

    def __str__(self) -> str:
        return f"{self.name}: {self.message}"

    def to_dict(self) -> dict[str, Any]:
        """What JSON can hold."""
        return dataclasses.asdict(self)


class SubmissionFailed(Exception):
    """What a function that runs elsewhere ended with, in a sentence for the student.

    Attributes
    ----------
    fatal : bool
        No further call can succeed.
    """

    def __init__(self, text: str, fatal: bool = False):
        super().__init__(text)
        self.fatal = fatal


@dataclass
class _Run:
    """One case: what came out, and what should have."""

    case: Case
    expected: np.ndarray
    value: np.ndarray

    @property
    def right(self) -> bool:
        if self.case.valid is not None:
            return self.value.shape == self.expected.shape and self.case.valid(self.value)
        return _close(self.value, self.expected)


def check(name: str, function: Function, *, seed: int | None = None) -> Report:
    """Check a solution of an exercise, and say what is wrong with it.

    The function runs in this process. For files that you have not read, use `check_file`, which sets limits.

    Parameters
    ----------
    name : str
        One of `names()`.
    function : callable

    Returns
    -------
    Report

    Raises
    ------
    TypeError
        If the function is not callable.
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> report = check("content_gradient", lambda F, P: (F - P) / F.size)
    >>> report.diagnosis, report.caught_by
    (['mean-for-sum'], ['formula', 'finite differences'])
    """
    exercise = get(name)
    if not callable(function):
        raise TypeError(f"expected a function for {name}, found {function!r}")
    with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
        runs, findings, not_yet = _run_all(exercise, function)
        if not_yet:
            return Report(name, False, message="not yet written", not_yet=True)
        wrong = [run for run in runs if not run.right]
        if not wrong and not findings:
            return Report(name, True, message="passed")
        caught_by = (["calls"] if findings else []) + _caught_by(exercise, function, bool(wrong))
        if wrong:
            ordinary = any(run.case.valid is None for run in wrong)  # else it is about ties
            explained = _explain(exercise, [run for run in runs if run.case.valid is None or not ordinary])
            if not (findings and "unknown" in explained):
                findings |= explained
    words = [f"{words}. {CODES[code]}" for code, words in findings.items()]
    return Report(name, False, list(findings), "\n".join(words), caught_by)


def _run_all(exercise: Exercise, function: Function) -> tuple[list[_Run], dict[str, str], bool]:
    """The runs that came to a result, what is wrong with the calls, and whether the function is not yet written."""
    runs: list[_Run] = []
    findings: dict[str, str] = {}
    errors = []
    accepted = _keywords(function)
    for case in exercise.cases:
        if case.options and not (accepted is None or set(case.options) <= accepted):
            continue
        expected = np.asarray(exercise.function(*case.arguments, **case.options))
        given = _copies(case)
        try:
            value = function(*given, **case.options)
        except NotImplementedError:
            return runs, {}, True
        except SubmissionFailed as error:
            if error.fatal:
                return [], {"raises": str(error)}, False
            errors.append(f"{error} (for {case.label})")
            continue
        except Exception as error:
            errors.append(f"{type(error).__name__}: {error} (for {case.label})")
            continue
        changed = [k for k, (a, b) in enumerate(zip(given, case.arguments, strict=True)) if not np.array_equal(a, b)]
        if changed:
            names = list(inspect.signature(exercise.function).parameters)
            findings["mutates-input"] = f"It changes its argument {names[changed[0]]}"
        array = _as_numbers(value)
        if isinstance(value, tuple) and (array is None or array.shape != expected.shape):
            alone = "gradient" if exercise.forward else "result"
            findings["wrong-shape"] = f"It returns a tuple of {len(value)}; return the {alone} alone"
            continue
        if array is None:
            kind = "None; is there a return?" if value is None else type(value).__name__
            findings["wrong-shape"] = f"Expected an array of shape {expected.shape}, found {kind}"
            continue
        with contextlib.suppress(Exception):
            again = np.asarray(function(*_copies(case), **case.options), np.float64)
            if not np.array_equal(array, again, equal_nan=True):
                findings["accumulates"] = f"A second call returns something else (for {case.label})"
        if not np.isfinite(array).all():
            where = tuple(map(int, np.argwhere(~np.isfinite(array))[0]))
            findings["not-finite"] = f"The first value that is not finite is at {where} (for {case.label})"
            continue
        runs.append(_Run(case, expected, array))
    if errors:
        findings["raises"] = f"{errors[0]}" + (f", and {len(errors) - 1} more like it" if len(errors) > 1 else "")
    return runs, findings, False


def _keywords(function: Function) -> set[str] | None:
    """The names of the arguments; None if it takes any, or they are unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    return None if any(p.kind == p.VAR_KEYWORD for p in parameters) else {p.name for p in parameters}


def _as_numbers(value: object) -> np.ndarray | None:
    """An array of float64, copied; None if these are no numbers."""
    try:
        array = np.array(value)
    except Exception:  # a list of rows of different length, or an object that can't be an array
        return None
    return array.astype(np.float64) if array.dtype.kind in "fiub" else None


def _copies(case: Case) -> tuple[Any, ...]:
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in case.arguments)


def _caught_by(exercise: Exercise, function: Function, wrong: bool) -> list[str]:
    caught = ["formula"] if wrong else []
    case = exercise.cases[1]
    if exercise.forward:
        f, x = exercise.forward(*case.arguments)
        with contextlib.suppress(Exception):
            value = np.asarray(function(*_copies(case)), np.float64)
            if not gradcheck(f, value, x, h=1e-4, rtol=1e-5):
                caught.append("finite differences")
    if exercise.invariance:
        with contextlib.suppress(Exception):
            if not exercise.invariance(function, *_copies(case)):
                caught.append("invariance")
    return caught


# What explains the numbers --------------------------------------------------------------------------------------------


def _close(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= RTOL * np.abs(b).max(initial=0) + 1e-12)


def _explain(exercise: Exercise, runs: list[_Run]) -> dict[str, str]:
    """Code and words of what gives exactly these numbers, of a wrong shape, or else of "unknown"."""
    if related := _relation(exercise, runs, [run.expected for run in runs]):
        return related
    scaled: dict[str, str] = {}
    for mistake in exercise.mistakes:
        if not mistake.words:
            continue
        results = [_result(mistake.function, run.case) for run in runs]
        if not _telling(runs, results):
            continue
        named = {mistake.code: mistake.words[0].upper() + mistake.words[1:]}
        if all(m is None or _close(run.value, m) for run, m in zip(runs, results, strict=True)):
            return named
        if not scaled and (relation := _relation(exercise, runs, results)):
            scaled = named | relation
    return scaled or _wrong_shapes(runs) or _structure(runs) or {"unknown": _where(runs)}


def _result(function: Function, case: Case) -> np.ndarray | None:
    try:
        return np.asarray(function(*_copies(case), **case.options), np.float64)
    except Exception:  # the mistake can't be made on this input
        return None


def _telling(runs: list[_Run], results: Sequence[np.ndarray | None]) -> bool:
    """Whether the mistake differs from the right result on at least two inputs, or on all if there are fewer."""
    different = [m is not None and not _close(m, run.expected) for run, m in zip(runs, results, strict=True)]
    return sum(different) >= min(2, len(runs))


def _relation(exercise: Exercise, runs: list[_Run], results: Sequence[np.ndarray | None]) -> dict[str, str]:
    """If every value is a multiple of the result: the factor, as a constant or as powers of the sizes."""
    found, sizes = [], []
    for run, result in zip(runs, results, strict=True):
        if result is None or not np.abs(result).max(initial=0) > 1e-12:
            continue
        if run.value.shape != result.shape:
            return {}
        factor = float(np.sum(run.value * result) / np.sum(result * result))
        if not factor or not _close(run.value, factor * result):
            return {}
        found.append(factor)
        sizes.append(run.case.sizes)
    if len(found) < 2:
        return {}
    factors = np.array(found)
    if np.allclose(factors, factors[0], rtol=1e-4):
        if np.isclose(factors[0], 1, rtol=1e-4):
            return {}
        if np.isclose(factors[0], -1, rtol=1e-4):
            return {"sign": "The result is minus the right one"}
        return {"constant-factor": f"The result is {_fraction(factors[0])} times the right one"}
    if not (np.all(factors > 0) or np.all(factors < 0)):
        return {}
    powers = _powers(np.abs(factors), sizes)
    if powers is None:
        return {}
    sign = {"sign": "The sign is wrong, too"} if factors[0] < 0 else {}
    return _normaliser(exercise, powers) | sign


def _powers(factors: np.ndarray, sizes: Sequence[Mapping[str, int]]) -> dict[str, float] | None:
    """Exponents with factor = constant · Π size^exponent, the constant under ""; None if there are none."""
    names = list(sizes[0])
    logs = np.array([[1.0, *(math.log(s[name]) for name in names)] for s in sizes])
    solution, _, rank, _ = np.linalg.lstsq(logs, np.log(factors))
    exponents = np.round(2 * solution[1:]) / 2
    constant = np.exp(np.log(factors) - logs[:, 1:] @ exponents)
    if rank < len(names) + 1 or not np.allclose(constant, constant[0], rtol=1e-4):
        return None
    return {"": float(constant[0]), **dict(zip(names, map(float, exponents), strict=True))}


def _normaliser(exercise: Exercise, powers: dict[str, float]) -> dict[str, str]:
    """What the factor by which the result is too large says about its normaliser."""
    constant = powers[""]
    exponents = {name: p for name, p in powers.items() if name and p}
    right = {name: p for name, p in exercise.normaliser.items() if name}
    times = _product(powers)
    words = f"The result is {times} times the right one"
    if right and exponents == right:
        found = {"missing-normaliser": words}
        constant /= exercise.normaliser.get("", 1)
        if not np.isclose(constant, 1, rtol=1e-4):
            found["constant-factor"] = f"Apart from that, it is {_fraction(constant)} times the right one"
        return found
    if exponents == dict.fromkeys(exercise.sums_over, -1.0) and np.isclose(constant, 1, rtol=1e-4):
        return {"mean-for-sum": words}
    for name, other in (("H", "W"), ("W", "H")):
        if exponents == {other: right.get(other)} and {"H", "W"} <= set(right):
            words += f", as if M were {name} instead of H · W"
    return {"wrong-normaliser": words}


def _product(powers: dict[str, float]) -> str:
    above = [_power(name, p) for name, p in powers.items() if name and p > 0]
    below = [_power(name, -p) for name, p in powers.items() if name and p < 0]
    constant = [] if np.isclose(powers[""], 1, rtol=1e-4) else [_fraction(powers[""])]
    return (" ".join(constant + above) or "1") + (f"/({' '.join(below)})" if below else "")


def _power(name: str, p: float) -> str:
    return name + {0.5: "^½", 1: "", 2: "²", 3: "³", 4: "⁴"}.get(p, f"^{p:g}")


def _fraction(factor: float) -> str:
    fraction = Fraction(factor).limit_denominator(200)
    simple = fraction and abs(factor / float(fraction) - 1) < 1e-4 and abs(fraction.numerator) <= 2000
    return str(fraction) if simple else f"{factor:.5g}"


def _wrong_shapes(runs: list[_Run]) -> dict[str, str]:
    for run in runs:
        if run.value.shape != run.expected.shape:
            turned = [r for r in runs if r.value.shape == r.expected.shape[::-1] and _close(r.value.T, r.expected)]
            words = f"Expected shape {run.expected.shape}, found {run.value.shape} (for {run.case.label})"
            return {"transposed" if len(turned) == len(runs) else "wrong-shape": words}
    return {}


def _structure(runs: list[_Run]) -> dict[str, str]:
    """Right numbers in wrong places: axes exchanged, shifted by a pixel, wrong at the border only."""
    pairs = [(run.value, run.expected) for run in runs]
    square = [(v, e) for v, e in pairs if v.ndim >= 2]
    for i, j in combinations(range(min((v.ndim for v, _ in pairs), default=0)), 2):
        exchanged = [(v.swapaxes(i, j), e) for v, e in square if v.shape[i] == v.shape[j]]
        if len(exchanged) >= 2 and len(exchanged) == len(pairs) and all(_close(v, e) for v, e in exchanged):
            return {"transposed": f"Axes {i} and {j} are exchanged"}
    large = [(v, e) for v, e in pairs if v.ndim == 3 and min(v.shape[:2]) >= 3]
    if len(large) < 2:
        return {}
    for di, dj in product((-1, 0, 1), repeat=2):
        if (di, dj) != (0, 0) and all(_close(*_overlap(v, e, di, dj)) for v, e in large):
            return {"shifted": f"The result is shifted by {di} rows and {dj} columns"}
    if all(_close(v[1:-1, 1:-1], e[1:-1, 1:-1]) for v, e in large):
        return {"edges-lost": "The result is right everywhere but in the first and last row and column"}
    return {}


def _overlap(v: np.ndarray, e: np.ndarray, di: int, dj: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of v and e that agree if v is e shifted by (di, dj)."""
    H, W = v.shape[:2]
    moved = v[max(di, 0) : H + min(di, 0), max(dj, 0) : W + min(dj, 0)]
    return moved, e[max(-di, 0) : H + min(-di, 0), max(-dj, 0) : W + min(-dj, 0)]


def _where(runs: list[_Run]) -> str:
    wrong = next(run for run in runs if not run.right)
    right = [run.case.label for run in runs if run.right]
    difference = np.abs(wrong.value - wrong.expected)
    index = np.unravel_index(difference.argmax(), difference.shape)
    where = f"at {tuple(map(int, index))} " if index else ""
    words = (
        f"For {wrong.case.label}, {np.mean(difference > RTOL * np.abs(wrong.expected).max()):.0%} of the values are "
        f"wrong; the worst is {where}{wrong.value[index]:.6g}, expected {wrong.expected[index]:.6g}"
    )
    return words + (f". It is right for {'; '.join(right[:2])}" if right else "")
