"""Running a painting: one size after the other, every step recorded, and nothing lost to Ctrl-C.

This module knows nothing about images or networks: a stage is a function with its gradient, the shape of its variable,
and a number of steps.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_numpy.optimize import INTERRUPTED, NOT_FINITE, OptimizeResult, State, minimize
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


@dataclass
class Position:
    """Where a run is after a step, once the step has been recorded: all that it needs to go on.

    Attributes
    ----------
    stage : int
        Number of the current stage, from 0.
    done : int
        Iterations in the stages before it.
    state : State
        Of the optimiser.
    """

    stage: int
    done: int
    state: State

    @property
    def steps(self) -> int:
        """Iterations so far, over all stages."""
        return self.done + self.state.nit


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
    position: Position | None = None,
    save: Callable[[Position], object] | None = None,
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
    position : Position, optional
        Go on from here, as if the run had never stopped. `stages` begins with the stage of this position, whose
        `state` is used up.
    save : callable, optional
        Called as `save(position)` after `record`, except for the last step of a stage: the next one begins with it.
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
    x, done, state, number = start, 0, None, 0
    best: tuple[float, np.ndarray, int] | None = None  # of the current stage, so far: value, point, steps
    if position is not None:
        done, state, number = position.done, position.state, position.stage
        x, best = state.point.x, (state.best.value, state.best.x, state.nit)

    def after_step(now: OptimizeResult) -> None:
        nonlocal best, state
        if state is not None:  # the optimiser has replaced its arrays: let them be free
            vars(state).clear()
            state = None
        if best is None or now.fun <= best[0]:
            best = now.fun, now.x, now.nit
        record(done + now.nit, now.x, now.info)
        if save and now.state and now.nit < stage.steps:
            save(Position(number, done, now.state))

    with interruptible() as interrupts:
        try:
            for stage in stages:
                if x.shape != stage.shape:
                    x = resize(x, stage.shape)
                found = minimize(
                    stage.function,
                    x,
                    method,
                    bounds=bounds,
                    maxiter=stage.steps,
                    gtol=0,
                    ftol=0,
                    callback=after_step,
                    state=state,
                    **options,
                )
                x, done, number, best, state = found.x, done + found.nit, number + 1, None, None
                if found.status in (NOT_FINITE, INTERRUPTED):
                    return Outcome(x, done, found.message, complete=False)
            interrupts.ignore()
            return Outcome(x, done, found.message, complete=True)
        except KeyboardInterrupt:
            if best is not None:
                x, done = best[1], done + best[2]
            elif x is start:
                raise
            return Outcome(x, done, "interrupted", complete=False)
