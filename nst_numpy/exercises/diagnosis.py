"""Explain wrong results: find what gives exactly these numbers.

An explanation is a list of faults, each with a code and words. It is built from small parts that combine: a factor,
a factor of one term, a mistake of the exercise, a changed argument, a changed result. Each candidate is computed, and
named only if it gives the student's numbers on every input. Simple explanations are tried before those of two parts.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, combinations, product
from typing import Any

import numpy as np

from nst_numpy.exercises import changes
from nst_numpy.exercises.model import Case, Exercise, Function

RTOL = 1e-5  # of the largest element; room for float32
ROWS, COLUMNS = 4, 5  # of a result that a message shows
NORMALISERS = {"missing-normaliser", "wrong-normaliser", "mean-for-sum"}  # not looked for beside two other mistakes

Faults = tuple[tuple[str, str], ...]  # code and words of each
Changes = list[tuple[tuple[int, ...], tuple[str, str], Function]]  # numbers of arguments, fault, what changes them


@dataclass
class Run:
    """One case: what came out, and what should have."""

    case: Case
    expected: np.ndarray
    value: np.ndarray

    @property
    def right(self) -> bool:
        """Whether the result is right."""
        if self.case.valid is not None:
            return self.value.shape == self.expected.shape and self.case.valid(self.value)
        return close(self.value, self.expected)

    def agrees(self, other: np.ndarray) -> bool:
        """Whether the result is the same as another; where several are right, any right one is."""
        return close(self.value, other) or (self.case.valid is not None and self.right and self.case.valid(other))


def close(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether a is b up to rounding."""
    return a.shape == b.shape and bool(np.abs(a - b).max(initial=0) <= RTOL * np.abs(b).max(initial=0) + 1e-12)


def copies(case: Case) -> tuple[Any, ...]:
    """The arguments of a case, which the function may spoil."""
    return tuple(a.copy() if isinstance(a, np.ndarray) else a for a in case.arguments)


def explain(exercise: Exercise, runs: list[Run]) -> dict[str, str]:
    """What explains the results: codes, and for each the words, of which some may be empty.

    Parameters
    ----------
    exercise : Exercise
    runs : list of Run
        Of which at least one is wrong.

    Returns
    -------
    dict of str to str
        {"unknown": …} if nothing does.
    """
    if found := _zero(runs) or _relation(exercise, runs, [run.expected for run in runs], "the right one"):
        return found
    singles = list(chain(_mistakes(exercise), _changed_arguments(exercise, runs), _changed_options(exercise, runs)))
    changed = [((fault,), _after(exercise.function, change)) for fault, change in _changes_of_result(exercise, runs)]
    multiples: list[dict[str, str]] = []  # what explains the results but for a factor, which comes after the rest
    if found := _exactly(exercise, runs, singles, multiples) or _terms(exercise, runs):
        return found
    if found := _exactly(exercise, runs, changed, multiples) or _rounded(runs) or _places(runs):
        return found
    if multiples:
        return multiples[0]
    for faults, function in _doubles(exercise, runs, singles):
        if (factor := _fits(exercise, runs, function)) is not None and not {*factor} & NORMALISERS:
            return _scaled(faults, factor)
    shaped = [run for run in runs if run.value.shape == run.expected.shape]
    if len(shaped) == len(runs):
        return _imprecise(runs) or {"unknown": _where(runs)}
    found = {} if all(run.right for run in shaped) else explain(exercise, shaped)
    return ({} if "unknown" in found else found) | _wrong_shapes(runs)


def _told(faults: Faults) -> dict[str, str]:
    """The faults in one sentence, which stands with the first code."""
    (code, words), *others = faults
    if others:
        words = f"The numbers are those of two mistakes together: {words}; {others[0][1]}"
    else:
        words = f"The numbers are those of this mistake: {words}"
    return {code: words} | {other: "" for other, _ in others if other != code}


def _scaled(faults: Faults, factor: dict[str, str]) -> dict[str, str]:
    """The faults, and a factor."""
    return _told(faults) | {code: words for code, words in factor.items() if code not in dict(faults)}


# Candidates -----------------------------------------------------------------------------------------------------------


def _exactly(
    exercise: Exercise, runs: list[Run], candidates: Sequence[tuple[Faults, Function]], multiples: list[dict[str, str]]
) -> dict[str, str]:
    """The first candidate that gives the results; those that give them but for a factor are added to `multiples`."""
    for faults, function in candidates:
        factor = _fits(exercise, runs, function)
        if factor == {}:
            return _told(faults)
        if factor:
            multiples.append(_scaled(faults, factor))
    return {}


def _fits(exercise: Exercise, runs: list[Run], function: Function) -> dict[str, str] | None:
    """Whether every value is a multiple of the function's; {} if it is equal. None if it is not.

    The function must differ from the right one on at least two inputs, or on all if there are fewer.
    """
    ordered = sorted(range(len(runs)), key=lambda k: -runs[k].expected.size)  # the most telling first
    results: list[np.ndarray | None] = [None] * len(runs)
    for k in ordered:
        run, result = runs[k], _result(function, runs[k].case)
        if result is None and not run.right:
            return None
        if result is not None and not (run.agrees(result) or _factor(run.value, result)):
            return None
        results[k] = result
    made = [(run, result) for run, result in zip(runs, results, strict=True) if result is not None]
    if sum(not close(result, run.expected) for run, result in made) < min(2, len(runs)):
        return None
    if all(run.agrees(result) for run, result in made):
        return {}
    mistaken = [replace(run, value=result) for run, result in made]
    if _relation(exercise, mistaken, [run.expected for run in mistaken], ""):
        return None  # a mistake that only scales is not one to name beside a factor
    return _relation(exercise, runs, results, "that") or None


def _result(function: Function, case: Case) -> np.ndarray | None:
    try:
        result = np.asarray(function(*copies(case), **case.options), np.float64)
    except Exception:  # the mistake can't be made on this input
        return None
    return result if np.isfinite(result).all() else None


def _mistakes(exercise: Exercise) -> Iterator[tuple[Faults, Function]]:
    for mistake in exercise.mistakes:
        if mistake.words:
            yield ((mistake.code, mistake.words),), mistake.function


def _after(function: Function, change: Callable[..., np.ndarray]) -> Function:
    """The function followed by a change of its result, which may need the arguments."""
    return lambda *arguments, **options: change(np.asarray(function(*arguments, **options)), *arguments)


def _with(function: Function, which: tuple[int, ...], change: Callable[[np.ndarray], np.ndarray]) -> Function:
    """The function with some of its arguments changed."""
    return lambda *arguments, **options: function(
        *(change(a) if k in which else a for k, a in enumerate(arguments)), **options
    )


def _exchanged(function: Function, i: int, j: int) -> Function:
    """The function with two arguments exchanged."""

    def exchanged(*arguments: np.ndarray, **options: int) -> np.ndarray:
        order = list(arguments)
        order[i], order[j] = order[j], order[i]
        return np.asarray(function(*order, **options))

    return exchanged


def _changes_of_arguments(exercise: Exercise, runs: list[Run]) -> Changes:
    """The numbers of the arguments that are changed, the fault, and the change."""
    given = runs[0].case.arguments
    names = exercise.arguments[: len(given)]
    found: Changes = []
    for k, (name, a) in enumerate(zip(names, given, strict=True)):
        if not isinstance(a, np.ndarray):
            found.append(((k,), ("wrong-operand", f"{name} is missing"), lambda _: 1.0))
            continue
        found.append(((k,), ("wrong-operand", f"{name} is missing, with 0 in its place"), np.zeros_like))
        found.append(((k,), ("sign", f"{name} has the wrong sign"), np.negative))
        found += [((k,), (code, words), change) for code, words, change in changes.of_array(name, a.ndim)]
        if a.ndim == 2 and all(np.ptp(np.shape(run.case.arguments[k])) == 0 for run in runs):
            found += [
                ((k,), ("wrong-operand", f"of {name}, {words}"), part) for words, part in changes.MATRIX_PARTS.items()
            ]
    for i, j in combinations(range(len(names)), 2):  # the same in both, where they belong together
        if np.ndim(given[i]) and np.shape(given[i]) == np.shape(given[j]):
            name = f"each of {names[i]} and {names[j]}"
            found += [((i, j), (code, words), f) for code, words, f in changes.of_array(name, np.ndim(given[i]))]
    return found


def _changes_of_result(exercise: Exercise, runs: list[Run]) -> list[tuple[tuple[str, str], Function]]:
    """The fault, and the change."""
    arguments = dict(zip(exercise.arguments, runs[0].case.arguments, strict=False))
    return [((code, words), change) for code, words, change in changes.of_result(arguments, runs[0].expected)]


def _changed_arguments(exercise: Exercise, runs: list[Run]) -> Iterator[tuple[Faults, Function]]:
    names = exercise.arguments[: len(runs[0].case.arguments)]
    for i, j in combinations(range(len(names)), 2):
        words = f"{names[i]} and {names[j]} are exchanged"
        yield (("wrong-operand", words),), _exchanged(exercise.function, i, j)
    for which, fault, change in _changes_of_arguments(exercise, runs):
        yield (fault,), _with(exercise.function, which, change)


def _changed_options(exercise: Exercise, runs: list[Run]) -> Iterator[tuple[Faults, Function]]:
    """The default in place of an option, or another option (window for stride)."""
    names = list(dict.fromkeys(name for run in runs for name in run.case.options))
    for name, other in product(names, (*names, "")):
        if name != other:
            words = f"{other} stands where {name} belongs" if other else f"{name} is ignored"
            yield (("wrong-operand", words),), _with_option(exercise.function, name, other)


def _with_option(function: Function, name: str, other: str) -> Function:
    def changed(*arguments: np.ndarray, **options: int) -> np.ndarray:
        kept = {key: value for key, value in options.items() if key != name}
        return np.asarray(function(*arguments, **kept, **({name: options[other]} if other in options else {})))

    return changed


# Two of these ---------------------------------------------------------------------------------------------------------


@dataclass
class _Table:
    """What candidates give for one case, in rows: so all are compared with a result at once."""

    candidates: list[tuple[Faults, Function]]
    results: np.ndarray  # in float32, each divided by its largest magnitude

    def multiples(self, value: np.ndarray) -> Iterator[tuple[Faults, Function]]:
        """Those that may give a multiple of the value."""
        v = value.ravel().astype(np.float32) / max(np.abs(value).max(initial=0), 1e-30)
        factors = self.results @ v / np.sum(self.results**2, axis=1)
        errors = np.abs(v - factors[:, None] * self.results).max(axis=1, initial=0)
        yield from (self.candidates[k] for k in np.flatnonzero(errors < 1e-4))


def _doubles(
    exercise: Exercise, runs: list[Run], singles: list[tuple[Faults, Function]]
) -> Iterator[tuple[Faults, Function]]:
    """Two mistakes together that may explain the largest case.

    They are computed once for each case, and kept: a class makes many mistakes.
    """
    largest = max(runs, key=lambda run: run.expected.size)
    seen = [largest] if largest.expected.ndim else runs  # one number says little
    cases, tables = exercise.memory.get("doubles", ([], {}))
    if len(cases) != len(seen) or any(run.case is not case for run, case in zip(seen, cases, strict=True)):
        cases = [run.case for run in seen]
        by_shapes: dict[tuple[tuple[int, ...], ...], list[tuple[tuple[Faults, Function], np.ndarray]]] = {}
        with_results = chain(
            _with_changed_result(exercise, runs, singles, cases), _with_changed_argument(exercise, runs, cases)
        )
        for faults, function, results in with_results:
            row = _row(results)
            if np.abs(row).max(initial=0) > 1e-12:
                by_shapes.setdefault(_shapes(results), []).append(((faults, function), row / np.abs(row).max()))
        tables = {
            shapes: _Table([candidate for candidate, _ in rows], np.stack([row for _, row in rows]).astype(np.float32))
            for shapes, rows in by_shapes.items()
        }
        exercise.memory["doubles"] = cases, tables
    values = [run.value for run in seen]
    if _shapes(values) in tables:
        yield from tables[_shapes(values)].multiples(_row(values))


def _row(results: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.ravel(result) for result in results])


def _shapes(results: Sequence[np.ndarray]) -> tuple[tuple[int, ...], ...]:
    return tuple(result.shape for result in results)


def _results(function: Function, cases: list[Case]) -> list[np.ndarray]:
    """What the function gives for the cases; empty if the mistake can't be made on all of them."""
    results = [result for case in cases if (result := _result(function, case)) is not None]
    return results if len(results) == len(cases) else []


Pairs = Iterator[tuple[Faults, Function, list[np.ndarray]]]  # with the results for some cases


def _with_changed_argument(exercise: Exercise, runs: list[Run], cases: list[Case]) -> Pairs:
    """Two changes of arguments, or one and a mistake that is often made."""
    changed = _changes_of_arguments(exercise, runs)
    often = [(m.code, m.words, m.function) for m in exercise.mistakes if m.readable and m.words]
    pairs = [((a, b), _with(_with(exercise.function, j, g), i, f)) for (i, a, f), (j, b, g) in combinations(changed, 2)]
    for (code, words, mistaken), (which, fault, change) in product(often, changed):
        pairs.append((((code, words), fault), _with(mistaken, which, change)))
    for faults, function in pairs:
        if results := _results(function, cases):
            yield faults, function, results


def _with_changed_result(
    exercise: Exercise, runs: list[Run], singles: list[tuple[Faults, Function]], cases: list[Case]
) -> Pairs:
    """A mistake or a changed argument, and a change of the result."""
    changed = _changes_of_result(exercise, runs)
    for faults, function in singles:
        befores = list(zip(_results(function, cases), cases, strict=False))
        for fault, change in changed if befores else ():
            try:
                results = [np.asarray(change(a.copy(), *case.arguments), np.float64) for a, case in befores]
            except Exception:  # it can't be made on this result
                continue
            if all(np.isfinite(result).all() for result in results):
                yield (*faults, fault), _after(function, change), results


# Factors --------------------------------------------------------------------------------------------------------------


def _factor(value: np.ndarray, result: np.ndarray) -> float:
    """The factor of which the value is that multiple of the result; 0 if it is none."""
    size = np.abs(result).max(initial=0)
    if value.shape != result.shape or not size > 1e-12:
        return 0
    scaled = result / size
    factor = float(np.sum(value * scaled) / np.sum(scaled * scaled)) / size
    return factor if factor and close(value, factor * result) else 0


def _relation(exercise: Exercise, runs: list[Run], results: Sequence[np.ndarray | None], of: str) -> dict[str, str]:
    """If every value is a multiple of the result: the factor, as a constant or as powers of the sizes."""
    found, sizes = [], []
    for run, result in zip(runs, results, strict=True):
        if result is None or not np.abs(result).max(initial=0) > 1e-12:
            continue
        if not (factor := _factor(run.value, result)):
            return {}
        found.append(factor)
        sizes.append(run.case.sizes)
    if len(found) < 2:
        return {}
    powers = _powers(np.array(found), sizes)
    if powers is None:
        return {}
    constant, exponents = powers[""], {name: p for name, p in powers.items() if name and p}
    if not exponents:
        if np.isclose(constant, 1, rtol=1e-4):
            return {}
        if np.isclose(constant, -1, rtol=1e-4):
            return {"sign": f"The result is minus {of}"}
        return {"constant-factor": f"The result is {_fraction(constant)} times {of}"}
    sign = {"sign": "The sign is wrong, too"} if constant < 0 else {}
    return _normaliser(exercise, powers | {"": abs(constant)}, of) | sign


def _powers(factors: np.ndarray, sizes: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Exponents with factor = constant · Π size^exponent, the constant under ""; None if there are none."""
    if np.allclose(factors, factors[0], rtol=1e-4):
        return {"": float(factors[0])}
    names = list(sizes[0])
    if not (np.all(factors > 0) or np.all(factors < 0)):
        return None
    logs = np.array([[1.0, *(math.log(s[name]) for name in names)] for s in sizes])
    solution, _, rank, _ = np.linalg.lstsq(logs, np.log(np.abs(factors)), rcond=None)
    exponents = np.round(2 * solution[1:]) / 2
    constant = factors / np.exp(logs[:, 1:] @ exponents)
    if rank < len(names) + 1 or not np.allclose(constant, constant[0], rtol=1e-4):
        return None
    return {"": float(constant[0]), **dict(zip(names, map(float, exponents), strict=True))}


def _normaliser(exercise: Exercise, powers: dict[str, float], of: str) -> dict[str, str]:
    """What the factor by which the result is too large says about its normaliser."""
    constant = powers[""]
    exponents = {name: p for name, p in powers.items() if name and p}
    right = {name: p for name, p in exercise.normaliser.items() if name}
    words = f"The result is {_product(powers)} times {of}"
    if right and exponents == right:
        found = {"missing-normaliser": words}
        constant /= exercise.normaliser.get("", 1)
        if not np.isclose(constant, 1, rtol=1e-4):
            found["constant-factor"] = f"With the normaliser it would be {_fraction(constant)} times {of}"
        return found
    if exponents == dict.fromkeys(exercise.sums_over, -1.0) and np.isclose(constant, 1, rtol=1e-4):
        return {"mean-for-sum": words}
    for name, other in (("H", "W"), ("W", "H")):
        if exponents == {other: right.get(other)} and {"H", "W"} <= set(right):
            words += f", as if M were {name} instead of H · W"
    return {"wrong-normaliser": words}


def _product(powers: Mapping[str, float]) -> str:
    above = [_power(name, p) for name, p in powers.items() if name and p > 0]
    below = [_power(name, -p) for name, p in powers.items() if name and p < 0]
    constant = [] if above and np.isclose(powers[""], 1, rtol=1e-4) else [_fraction(powers[""])]
    if constant and "/" in constant[0] and (above or below):
        constant = [f"({constant[0]})"]
    divisor = f"/({' '.join(below)})" if len(below) > 1 else f"/{below[0]}" if below else ""
    return " ".join(constant + above) + divisor


def _power(name: str, p: float) -> str:
    return name + {0.5: "^½", 1: "", 2: "²", 3: "³", 4: "⁴"}.get(p, f"^{p:g}")


def _fraction(factor: float) -> str:
    fraction = Fraction(factor).limit_denominator(200)
    simple = fraction and abs(factor / float(fraction) - 1) < 1e-4 and abs(fraction.numerator) <= 2000
    return str(fraction) if simple else f"{factor:.5g}"


# Terms ----------------------------------------------------------------------------------------------------------------


def _terms(exercise: Exercise, runs: list[Run]) -> dict[str, str]:
    """If every value is a sum of the formula's terms with other factors: what is wrong with which term."""
    if exercise.terms is None:
        return {}
    factors, sizes = [], []
    for run in runs:
        terms = exercise.terms(*copies(run.case), **run.case.options)
        columns = np.stack([np.ravel(term) for term in terms.values()], axis=1)
        if run.value.size != len(columns):
            return {}
        scale = np.abs(columns).max(axis=0, initial=0)
        if not np.all(scale > 0):  # a single row has no neighbours above
            continue
        value = run.value.ravel()
        found, _, rank, singular = np.linalg.lstsq(columns / scale, value, rcond=None)
        if not np.abs(columns / scale @ found - value).max() <= RTOL * np.abs(value).max(initial=0):
            return {}
        if rank == len(terms) and singular[-1] > 1e-3 * singular[0]:
            found[np.abs(found) < 1e-6 * np.abs(found).max()] = 0
            factors.append(found / scale)
            sizes.append(run.case.sizes)
    if len(factors) < 2:
        return {}
    wrong: dict[tuple[str, str, str], list[str]] = {}
    for name, column in zip(terms, np.transpose(factors), strict=True):
        fault = _fault_of_term(exercise, name, column, sizes)
        if fault is None:
            return {}
        if fault[0]:
            wrong.setdefault(fault, []).append(name)
    told: dict[str, str] = {}
    for (code, one, several), names in wrong.items():
        words = f"{', '.join(names[:-1])} and {names[-1]} {several}" if names[1:] else f"{names[0]} {one}"
        told[code] = f"{told[code]}; {words}" if code in told else f"Compared with the formula: {words}"
    return told


def _fault_of_term(
    exercise: Exercise, name: str, factors: np.ndarray, sizes: Sequence[Mapping[str, float]]
) -> tuple[str, str, str] | None:
    """What is wrong with a term that has these factors: a code, and the words for one term and for several.

    The code is empty if nothing is. None if the factors follow no rule.
    """
    if not np.any(factors):
        return ("", "", "") if name in exercise.absent else ("wrong-operand", "is missing", "are missing")
    powers = _powers(factors, sizes) if np.all(factors) else None
    if powers is None:
        return None
    times = _product(powers)
    if name in exercise.absent:
        words = "does not belong there" + f"; it has the factor {times}" * (times != "1")
        return exercise.absent[name], words, words
    exponents = {size: p for size, p in powers.items() if size and p}
    if not exponents:
        if np.isclose(powers[""], 1, rtol=1e-4):
            return "", "", ""
        if np.isclose(powers[""], -1, rtol=1e-4):
            return "sign", "has the wrong sign", "have the wrong sign"
        code = "constant-factor"
    elif exponents == {size: p for size, p in exercise.normaliser.items() if size}:
        code = "missing-normaliser"
    elif {"alpha", "beta", "learning_rate"} & set(exponents):
        code = "wrong-operand"
    else:
        code = "wrong-normaliser"
    return code, f"is {times} times what it should be", f"are {times} times what they should be"


# What else can be seen ------------------------------------------------------------------------------------------------


def _zero(runs: list[Run]) -> dict[str, str]:
    if not any(np.any(run.value) for run in runs):
        return {"wrong-operand": "Every value is 0"}
    return {}


def _rounded(runs: list[Run]) -> dict[str, str]:
    for digits in range(6):
        if all(np.array_equal(run.value, np.round(run.expected, digits)) for run in runs):
            return {"rounded": f"The right results are rounded to {digits} digits after the point"}
    return {}


def _wrong_shapes(runs: list[Run]) -> dict[str, str]:
    run = next(run for run in runs if run.value.shape != run.expected.shape)
    words = f"Expected shape {run.expected.shape}, found {run.value.shape} (for {run.case.label})"
    for axes in changes.subsets(range(min(r.value.ndim for r in runs))):
        if all(close(r.value.sum(axis=axes), r.expected) for r in runs):
            return {"wrong-shape": f"{words}. Summed along {changes.named(axes)}, it would be right"}
    if all(r.value.size == r.expected.size and close(r.value.reshape(r.expected.shape), r.expected) for r in runs):
        words += ". The numbers are right"
    return {"wrong-shape": words}


def _places(runs: list[Run]) -> dict[str, str]:
    """Right numbers in wrong places, and right ones but at the border, whatever stands there."""
    large = [(r.value, r.expected) for r in runs if r.expected.ndim == 3 and min(r.expected.shape[:2]) >= 3]
    if len(large) < 2 or any(v.shape != e.shape for v, e in large):
        return {}
    for di, dj in product((-1, 0, 1), repeat=2):
        if (di, dj) != (0, 0) and all(close(*_overlap(v, e, di, dj)) for v, e in large):
            return {"shifted": f"The result is shifted by {di} rows and {dj} columns"}
    if all(close(v[1:-1, 1:-1], e[1:-1, 1:-1]) for v, e in large):
        return {"edges-lost": "The result is right everywhere but in the first and last row and column"}
    return {}


def _overlap(v: np.ndarray, e: np.ndarray, di: int, dj: int) -> tuple[np.ndarray, np.ndarray]:
    """The parts of v and e that agree if v is e shifted by (di, dj)."""
    H, W = v.shape[:2]
    moved = v[max(di, 0) : H + min(di, 0), max(dj, 0) : W + min(dj, 0)]
    return moved, e[max(-di, 0) : H + min(-di, 0), max(-dj, 0) : W + min(-dj, 0)]


def _imprecise(runs: list[Run]) -> dict[str, str]:
    error = max(np.abs(run.value - run.expected).max() / np.abs(run.expected).max() for run in runs)
    if error < 1e-2:
        return {
            "numerical": f"The results differ from the right ones by {error:.1g} of the largest, as finite differences"
        }
    return {}


def failing(runs: list[Run]) -> Run:
    """The smallest case that is wrong, but rather one with several numbers."""
    return min((run for run in runs if not run.right), key=lambda run: (run.expected.size < 4, run.expected.size))


def _where(runs: list[Run]) -> str:
    """Where it is wrong, with some of the numbers."""
    wrong = failing(runs)
    right = [run.case.label for run in runs if run.right]
    share = np.mean(np.abs(wrong.value - wrong.expected) > RTOL * np.abs(wrong.expected).max())
    words = f"For {wrong.case.label}, {share:.0%} of the values are wrong"
    if right:
        words += f"; it is right for {'; '.join(right[:2])}"
    return words + f":\n{_table(wrong.expected, 'expected')}\n{_table(wrong.value, 'found')}\n"


def _table(a: np.ndarray, name: str) -> str:
    """The first rows and columns, of the first of further axes."""
    rows = np.atleast_2d(a.reshape(*a.shape[:2], -1)[:, :, 0] if a.ndim > 2 else a)
    shown = rows[:ROWS, :COLUMNS]
    which = (
        ""
        if shown.size == a.size
        else f", its first {shown.shape[0]}×{shown.shape[1]} of {'×'.join(map(str, a.shape))}"
    )
    lines = ["  ".join(f"{value + 0.0:>10.4g}" for value in row) for row in shown]
    return "\n".join([f"{name}{which}", *lines])
