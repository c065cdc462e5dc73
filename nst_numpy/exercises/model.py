"""What an exercise consists of, and the helpers its declaration in `topics` is written with.

A mistake is the function somebody made it in. So a diagnosis is never a guess: a mistake is named only where its
function returns exactly the numbers of the submission, on every input.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_numpy import losses

Function = Callable[..., Any]


@dataclass(frozen=True)
class Case:
    """One input.

    Attributes
    ----------
    label : str
        What is special about it.
    arguments : tuple
    sizes : dict of str to number
        The sizes and weights whose powers a factor may contain.
    options : dict
        Keyword arguments, given where they differ from the defaults (window and stride of a pooling).
    valid : callable, optional
        `valid(result)`: whether a result is right, where more than one is.
    """

    label: str
    arguments: tuple[Any, ...]
    sizes: Mapping[str, float]
    options: Mapping[str, int] = field(default_factory=dict)
    valid: Callable[[np.ndarray], bool] | None = None


@dataclass(frozen=True)
class Mistake:
    """A mistake, as a function that makes it.

    Attributes
    ----------
    code : str
        See `codes`.
    words : str
        What the checker says about a submission with the same numbers. Empty if it finds the mistake without them: an
        error, a changed argument, a factor.
    function : callable
    readable : bool
        It is written as a student would write it, for the game of finding the bug.
    """

    code: str
    words: str
    function: Function
    readable: bool = False

    def source(self, name: str) -> str:
        """The text of the function under this name, without its decorator, which gives the mistake away."""
        _, _, function = inspect.getsource(self.function).partition("\ndef ")
        return f"def {name}({function.partition('(')[2]}".replace("  # noqa: B006", "").rstrip()


@dataclass
class Exercise:
    """One function to write.

    Attributes
    ----------
    function : callable
        The library's own. Stub, solution and derivation are taken from its source.
    inputs : callable
        `inputs(seed)` yields the cases: always the same ones for None, others of the same kinds for a number.
    task : str
        What is to be written, so that it can be derived from this text alone: the formula to differentiate, the border,
        who gets the gradient among equals. It does not contain the solution.
    hints : tuple of two str
        A question, and the approach. The third hint is the derivation in the function's docstring.
    sums_over : tuple of str
        The sizes of what the formula sums over, if it has no normaliser.
    normaliser : dict of str to int
        The powers of sizes by which the formula divides, and under "" its constant; empty if by none.
    terms : callable, optional
        `terms(*arguments)`: the terms by name, whose sum the formula is. With them, the factor of one term is told.
    absent : dict of str to str
        Names of terms which the formula does not have, and the code for a result that has them.
    forward : callable, optional
        `forward(*arguments)` gives what finite differences need: a scalar function, and the point at which the exercise
        is its gradient.
    invariance : callable, optional
        `invariance(function, *arguments)`: whether the result has a property that does not depend on the details of the
        formula. A wrong normaliser or reshape that loss and gradient share shows here, and not in finite differences.
    memory : dict
        What has been computed of it, to be used again.
    mistakes : list of Mistake
        Filled by `bug` and `recognise`; the checker tries them in this order.
    """

    function: Function
    inputs: Callable[[int | None], Iterable[Case]]
    task: str
    hints: tuple[str, str]
    sums_over: tuple[str, ...] = ()
    normaliser: Mapping[str, int] = field(default_factory=dict)
    terms: Callable[..., Mapping[str, np.ndarray]] | None = None
    absent: Mapping[str, str] = field(default_factory=dict)
    forward: Callable[..., tuple[Function, np.ndarray]] | None = None
    invariance: Callable[..., bool] | None = None
    mistakes: list[Mistake] = field(default_factory=list)
    memory: dict[str, Any] = field(default_factory=dict, repr=False)

    @property
    def name(self) -> str:
        """The name of the function."""
        return self.function.__name__

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def signature(self) -> inspect.Signature:
        """Its arguments, without options that the exercise does not use."""
        signature = inspect.signature(self.function)
        used = {name for case in self.cases() for name in case.options}
        kept = [p for name, p in signature.parameters.items() if p.default is p.empty or name in used]
        return signature.replace(parameters=kept)

    @property
    def arguments(self) -> list[str]:
        """The names of its arguments."""
        return list(self.signature.parameters)

    def cases(self, seed: int | None = None) -> tuple[Case, ...]:
        """The inputs to test on; the last ones asked for are kept."""
        name = "cases" if seed is None else "hidden cases"
        if name not in self.memory or self.memory[name][0] != seed:
            self.memory[name] = seed, tuple(self.inputs(seed))
        found: tuple[Case, ...] = self.memory[name][1]
        return found

    def bug(self, code: str, words: str = "") -> Callable[[Function], Function]:
        """A decorator for a mistake written as a student would write it: it becomes one of the bugs to find."""

        def note(function: Function) -> Function:
            self.mistakes.append(Mistake(code, words, function, readable=True))
            return function

        return note

    def recognise(self, *mistakes: tuple[str, str, Function]) -> None:
        """Add mistakes for the diagnosis alone, as (code, words, function): some transformation of the right one."""
        self.mistakes += [Mistake(*mistake) for mistake in mistakes]


# Inputs ---------------------------------------------------------------------------------------------------------------

MAPS = ((4, 5, 2), (5, 3, 4), (6, 6, 3), (1, 1, 1), (1, 8, 2), (8, 2, 1))  # H, W, channels
MATRICES = ((3, 8), (5, 6), (4, 15), (2, 16), (4, 4), (2, 7), (1, 6), (3, 1))  # N, M


def draws(kinds: Iterable[tuple[int, ...]], seed: int | None) -> Iterator[tuple[np.random.Generator, tuple[int, ...]]]:
    """A generator for each of some kinds of sizes, and the sizes: these, or with a seed larger ones of the same kind.

    Sizes of 1 stay 1, equal ones stay equal, and the order by size stays.
    """
    for k, sizes in enumerate(kinds):
        rng = np.random.default_rng(k if seed is None else [seed, k])
        if seed is not None:
            ordered = sorted({*sizes} - {1})
            larger = dict(zip(ordered, ordered + np.cumsum(rng.integers(0, 2, len(ordered))), strict=True))
            sizes = tuple(int(larger.get(n, n)) for n in sizes)
        yield rng, sizes


def map_cases(make: Callable[..., tuple[Any, ...]]) -> Callable[[int | None], Iterator[Case]]:
    """Cases whose arguments are `make(rng, H, W, C)`."""

    def cases(seed: int | None) -> Iterator[Case]:
        for rng, (H, W, C) in draws(MAPS, seed):
            arguments = make(rng, H, W, C)
            yield Case(f"{H}×{W} pixels, {C} channels", arguments, {"H": H, "W": W, "N": C})

    return cases


def matrix_cases(make: Callable[..., tuple[Any, ...]]) -> Callable[[int | None], Iterator[Case]]:
    """Cases whose arguments are `make(rng, N, M)`."""

    def cases(seed: int | None) -> Iterator[Case]:
        for rng, (N, M) in draws(MATRICES, seed):
            arguments = make(rng, N, M)
            yield Case(f"N = {N} filters, M = {M} positions", arguments, {"N": N, "M": M})

    return cases


def spread(rng: "np.random.Generator", shape: tuple[int, ...]) -> np.ndarray:
    """Values in −2 … 2 in random order, none near zero and no two near each other: away from every kink."""
    n = int(np.prod(shape))
    return rng.permutation((np.arange(n) + 0.25) / n * 4 - 2).reshape(shape)


def features(rng: "np.random.Generator", *shape: int) -> np.ndarray:
    """Positive, as features are after ReLU; never zero, where ReLU has its kink."""
    return rng.random(shape) + 0.1


def gram_of(rng: "np.random.Generator", N: int, M: int) -> np.ndarray:
    """The Gram matrix of such features."""
    return losses.gram(features(rng, N, M))


# For declarations of mistakes and properties --------------------------------------------------------------------------


def contracted(function: Function) -> Callable[..., tuple[Function, np.ndarray]]:
    """The scalar Σ dy · function(x), whose gradient a backward function (dy, x) computes, and the point x."""
    return lambda dy, x: (lambda v: float(np.sum(dy * function(v))), x)


def without_border(dx: np.ndarray) -> np.ndarray:
    """The same with zeros in the first and last row and column."""
    inside = np.zeros_like(dx)
    inside[1:-1, 1:-1] = dx[1:-1, 1:-1]
    return inside


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two results are equal up to rounding."""
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-8, atol=1e-12)
