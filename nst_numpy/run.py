"""Running a painting: one size after the other, every step recorded, and nothing lost to Ctrl-C.

This module knows nothing about images or networks: a stage is a function with its gradient, the shape of its variable,
and a number of steps.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_numpy.optimize import INTERRUPTED, NOT_FINITE, OptimizeResult, minimize
from nst_numpy.signals import interruptible

Losses = dict[str, float]


@dataclass(frozen=True)
class Stage:
    """One size of a painting.

    Attributes
    ----------
    function : callable
        `function(x)` returns value, gradient, and the losses by name.
    shape : tuple of int
        Of x.
    steps : int
        Maximum number of iterations.
    """

    function: Callable[[np.ndarray], tuple[float, np.ndarray, Losses]]
    shape: tuple[int, ...]
    steps: int


@dataclass(frozen=True)
class Outcome:
    """What `run` returns.

    Attributes
    ----------
    x : ndarray
        The best point of the last stage that was evaluated; of the shape of that stage.
    steps : int
        Iterations done, over all stages.
    message : str
        Why the run ended.
    complete : bool
        False if it was interrupted, or a value was not finite.
    """

    x: np.ndarray
    steps: int
    message: str
    complete: bool


def run(
    stages: Iterable[Stage],
    start: np.ndarray,
    resize: Callable[[np.ndarray, tuple[int, ...]], np.ndarray],
    record: Callable[[int, np.ndarray, Losses], None],
    method: str = "lbfgs",
    *,
    bounds: tuple[float, float] | None = None,
    **options: Any,
) -> Outcome:
    """Work through the stages, each from the best point of the previous one.

    Parameters
    ----------
    stages : iterable of Stage
        Generated one by one: the next one is requested when the previous one has ended.
    start : ndarray, of the shape of the first stage
    resize : callable
        `resize(x, shape)` scales a point to the shape of the next stage.
    record : callable
        `record(step, x, losses)` at the start of each stage and after every step; `step` counts over all stages. If it
        raises StopIteration, the stage ends, and the next begins.
    method : str
    bounds : (low, high), optional
    **options
        As in `minimize`.

    Returns
    -------
    Outcome
        After Ctrl-C, at any moment from the first evaluation on, with the best point so far.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C comes before the first evaluation: then there is no result yet.

    Examples
    --------
    >>> import numpy as np
    >>> bowl = lambda x: (float(np.sum(x**2)), 2 * x, {"total": float(np.sum(x**2))})
    >>> stages = [Stage(bowl, (2,), 5), Stage(bowl, (4,), 5)]
    >>> outcome = run(stages, np.ones(2), lambda x, shape: np.resize(x, shape), lambda step, x, losses: None)
    >>> outcome.x.shape, bool(np.abs(outcome.x).max() < 1e-6), outcome.complete
    ((4,), True, True)
    """
    x, done = start, 0
    best: OptimizeResult | None = None  # of the current stage, so far

    def after_step(state: OptimizeResult) -> None:
        nonlocal best
        if best is None or state.fun <= best.fun:
            best = state
        record(done + state.nit, state.x, state.info)

    with interruptible() as interrupts:
        try:
            for stage in stages:
                if x.shape != stage.shape:
                    x = resize(x, stage.shape)
                best = None
                found = minimize(
                    stage.function,
                    x,
                    method,
                    bounds=bounds,
                    maxiter=stage.steps,
                    gtol=0,
                    ftol=0,
                    callback=after_step,
                    **options,
                )
                x, done, best = found.x, done + found.nit, None
                if found.status in (NOT_FINITE, INTERRUPTED):
                    return Outcome(x, done, found.message, complete=False)
            interrupts.ignore()
            return Outcome(x, done, found.message, complete=True)
        except KeyboardInterrupt:
            if best is not None:
                x, done = best.x, done + best.nit
            elif x is start:
                raise
            return Outcome(x, done, "interrupted from the keyboard", complete=False)
