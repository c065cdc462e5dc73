"""The run loop, on functions of two numbers: sizes, steps, recording, and Ctrl-C at any moment."""

import dataclasses
import signal
import sys
import threading

import numpy as np
import pytest

from nst_numpy import optimize, run, signals
from nst_numpy.run import Outcome, Stage
from nst_numpy.signals import Interrupts, interruptible


@pytest.fixture(autouse=True)
def hear_ctrl_c():
    """A shell that runs the tests in the background ignores Ctrl-C, and so would they."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def bowl(centre):
    """½ ‖x − centre‖², its gradient, and its losses."""
    return lambda x: (
        0.5 * float(np.sum((x - centre) ** 2)),
        x - centre,
        {"total": 0.5 * float(np.sum((x - centre) ** 2))},
    )


def resize(x, shape):
    return np.resize(x, shape)


def paint(stages, start=None, record=lambda step, x, losses: None, **keywords):
    start = np.array([10.0, 20.0]) if start is None else start
    return run.run(stages, start, resize, record, **{"method": "gradient_descent", **keywords})


def test_stages_begin_where_the_one_before_ended():
    seen = []
    stages = [Stage(bowl(1.0), (2,), 3), Stage(bowl(2.0), (4,), 2), Stage(bowl(3.0), (4,), 0)]
    outcome = paint(stages, record=lambda step, x, losses: seen.append((step, x.copy(), losses)))
    assert [step for step, *_ in seen] == [0, 1, 2, 3, 3, 4, 5, 5]
    assert [len(x) for _, x, _ in seen] == [2] * 4 + [4] * 4
    assert np.array_equal(seen[0][1], [10, 20]) and np.array_equal(seen[4][1], np.resize(seen[3][1], 4))
    assert np.array_equal(seen[7][1], seen[6][1]) and np.array_equal(outcome.x, seen[7][1])
    assert all(losses == bowl(c)(x)[2] for (_, x, losses), c in zip(seen, [1] * 4 + [2] * 3 + [3], strict=True))
    assert (outcome.steps, outcome.message, outcome.complete) == (5, "all iterations done", True)


def test_method_and_options_arrive():
    """Adam's first step is the learning rate for every element; gtol and ftol do not end a stage."""
    first = []
    paint([Stage(bowl(0.0), (2,), 1)], record=lambda _, x, __: first.append(x), method="adam", learning_rate=0.25)
    assert np.allclose(first[1], [9.75, 19.75], atol=1e-6)
    steps = []
    paint([Stage(lambda x: (1e-14 * float(x @ x), 2e-14 * x, {}), (2,), 7)], record=lambda s, *_: steps.append(s))
    assert steps == list(range(8))  # the values differ by less than 1e-9, the gradients are less than 1e-5


def test_bounds_arrive():
    """At every size; a start outside is moved."""
    seen = []
    stages = [Stage(bowl(1.0), (2,), 9), Stage(bowl(-5.0), (4,), 9)]
    outcome = paint(stages, method="lbfgs", bounds=(-2, 15), record=lambda _, x, __: seen.append(x))
    assert seen[0].tolist() == [10, 15] and outcome.x.tolist() == [-2] * 4
    assert all(x.min() >= -2 and x.max() <= 15 for x in seen)


def test_the_best_point_counts_not_the_last():
    values = []

    def record(step, x, losses):
        values.append((losses["total"], x))

    outcome = paint([Stage(bowl(0.0), (2,), 30)], method="adam", learning_rate=4.0, record=record)
    assert values[-1][0] > min(values, key=lambda v: v[0])[0]  # Adam overshoots
    assert np.array_equal(outcome.x, min(values, key=lambda v: v[0])[1])


def test_stop_iteration_ends_the_stage_alone():
    seen = []

    def record(step, x, losses):
        seen.append((step, len(x)))
        if step >= 2:
            raise StopIteration

    outcome = paint([Stage(bowl(1.0), (2,), 9), Stage(bowl(2.0), (4,), 9)], record=record)
    assert seen == [(0, 2), (1, 2), (2, 2), (2, 4)]
    assert outcome.complete and outcome.message == "stopped by the callback" and outcome.x.shape == (4,)


def test_a_value_that_is_not_finite_ends_the_run():
    def broken(x):
        return (np.nan, x, {}) if np.abs(x).max() < 19.65 else bowl(0.0)(x)

    made = []

    def stages():
        for function in (bowl(0.0), broken, bowl(0.0)):
            made.append(function)
            yield Stage(function, (2,), 4)

    outcome = paint(stages(), method="adam", learning_rate=0.1)
    assert not outcome.complete and "not finite" in outcome.message and len(made) == 2
    assert np.isfinite(outcome.x).all() and outcome.steps == 4


def test_other_errors_pass():
    with pytest.raises(ZeroDivisionError):
        paint([Stage(bowl(0.0), (2,), 3)], record=lambda *_: 1 / 0)


# Ctrl-C ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "place, steps, length",  # where it comes, how many steps are done, the size of the picture that is kept
    [
        ("record 0", 0, 2),
        ("record 2", 2, 2),
        ("stage", 3, 2),
        ("resize", 3, 2),
        ("first evaluation", 3, 4),
        ("record 3", 3, 4),
    ],
)
def test_what_ctrl_c_leaves(place, steps, length):
    seen = []

    def stages():
        yield Stage(bowl(1.0), (2,), 3)
        if place == "stage":
            raise KeyboardInterrupt
        yield Stage(interrupted if place == "first evaluation" else bowl(2.0), (4,), 3)

    def interrupted(x):
        raise KeyboardInterrupt

    def resized(x, shape):
        if place == "resize":
            raise KeyboardInterrupt
        return resize(x, shape)

    def record(step, x, losses):
        seen.append((losses["total"], x))
        if place == f"record {step}" and len(x) == length:
            raise KeyboardInterrupt

    outcome = run.run(stages(), np.array([10.0, 20.0]), resized, record, "gradient_descent")
    assert (outcome.steps, outcome.message, outcome.complete) == (steps, "interrupted", False)
    assert len(outcome.x) == length
    expected = resize(seen[3][1], (4,)) if length == 4 else seen[min(steps, 3)][1]
    assert np.array_equal(outcome.x, expected)


def test_ctrl_c_keeps_the_best_point_of_a_stage_that_went_up():
    seen = []

    def record(step, x, losses):
        seen.append((losses["total"], x))
        if step == 12:
            raise KeyboardInterrupt

    outcome = paint([Stage(bowl(0.0), (2,), 30)], method="adam", learning_rate=8.0, record=record)
    assert np.array_equal(outcome.x, min(seen, key=lambda entry: entry[0])[1])
    assert seen[-1][0] > 1.2 * min(value for value, _ in seen)


@pytest.mark.parametrize("function", [bowl(0.0), lambda x: (1.0, np.ones_like(x), {"total": 1.0})])
def test_ctrl_c_between_the_optimizer_and_the_loop(function, monkeypatch):
    """The optimizer has done its steps, and what it returns is lost; of equal values the last counts, as there."""
    seen, stage_ends = [], []

    def interrupted(*arguments, **keywords):
        found = optimize.minimize(*arguments, **keywords)
        stage_ends.append(len(seen))
        if len(stage_ends) == 2:
            raise KeyboardInterrupt
        return found

    monkeypatch.setattr(run, "minimize", interrupted)
    stages = [Stage(function, (2,), 3), Stage(function, (2,), 5)]
    outcome = paint(
        stages,
        method="adam",
        learning_rate=8.0,
        record=lambda step, x, losses: seen.append((losses["total"], -step, x)),
    )
    _, step, x = min(seen[stage_ends[0] :], key=lambda entry: entry[:2])
    assert step < 0 and not outcome.complete
    assert outcome.steps == -step and np.array_equal(outcome.x, x)


def test_ctrl_c_before_there_is_anything():
    def interrupted(x):
        raise KeyboardInterrupt

    def no_stages():
        yield interrupted(0)

    with pytest.raises(KeyboardInterrupt):
        paint([Stage(interrupted, (2,), 3)])
    with pytest.raises(KeyboardInterrupt):
        paint(no_stages())


def test_outcomes_and_stages_are_data():
    for thing in (Stage(bowl(0.0), (2,), 3), Outcome(np.zeros(2), 1, "", True)):
        with pytest.raises(dataclasses.FrozenInstanceError):
            thing.steps = 5


def with_ctrl_c_at(moment: int, again: int | None = None):
    """Run two stages with Ctrl-C at the n-th line of the run loop or the optimiser; what came of it, and the values."""
    evaluated, lines = [], 0
    files = {run.__file__, optimize.__file__, signals.__file__}

    def function(x):
        value, gradient, losses = bowl(1.0)(x)
        return value, gradient, losses

    def stages():
        for length, steps in ((2, 3), (4, 2)):
            yield Stage(function, (length,), steps)

    def trace(frame, event, argument):
        nonlocal lines
        if frame.f_code.co_filename not in files:
            return None
        if event == "line":
            lines += 1
            if lines in (moment, moment + again if again else 0):
                signal.raise_signal(signal.SIGINT)
        return trace

    def record(step, x, losses):
        evaluated.append((losses["total"], x.copy()))

    before = sys.gettrace()  # of a debugger, or of what measures coverage
    sys.settrace(trace)
    try:
        with interruptible():
            outcome = paint(stages(), record=record)
            sys.settrace(None)  # what comes after the block is the caller's business
        return outcome, evaluated, lines
    except KeyboardInterrupt:
        return None, evaluated, lines
    finally:
        sys.settrace(before)


@pytest.mark.skipif(threading.current_thread() is not threading.main_thread(), reason="signals need the main thread")
@pytest.mark.parametrize("again", [None, 4])
def test_ctrl_c_at_any_moment_keeps_the_best_point(again):
    whole, _, lines = with_ctrl_c_at(0)
    assert whole.complete and lines > 200
    outcomes = {"none": 0, "interrupted": 0, "complete": 0}
    for moment in range(1, lines + 1, 3 if again else 1):
        outcome, recorded, _ = with_ctrl_c_at(moment, again)
        if outcome is None:
            assert not recorded, f"Ctrl-C at line {moment} lost {len(recorded)} steps"
            outcomes["none"] += 1
        elif recorded:
            same = [value for value, x in recorded if x.shape == outcome.x.shape] or [np.inf]
            assert 0.5 * np.sum((outcome.x - 1) ** 2) <= min(same) + 1e-12, f"Ctrl-C at line {moment}"
            outcomes["complete" if outcome.complete else "interrupted"] += 1
            assert outcome.complete or outcome.message == "interrupted"
    assert outcomes["interrupted"] > 50 and outcomes["none"] > 5


def test_the_handler_raises_once():
    with interruptible() as interrupts:
        assert interrupts.ignoring is False and interrupts.received is None
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert interrupts.received == signal.SIGINT
        signal.raise_signal(signal.SIGINT)  # ignored
        assert interrupts.ignoring is True
        with interruptible() as inner:
            assert inner is interrupts
            assert signal.getsignal(signal.SIGINT) is interrupts
    with interruptible() as interrupts:
        interrupts.ignore()
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received is None and interrupts.ignoring is True
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_other_signals_and_other_handlers():
    before = signal.getsignal(signal.SIGTERM)
    with interruptible(signal.SIGTERM) as interrupts:
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        assert interrupts.received == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before

    calls = []
    own = signal.signal(signal.SIGINT, lambda *_: calls.append(1))
    try:
        with interruptible():
            signal.raise_signal(signal.SIGINT)
        assert calls == [1]  # the program's own handler stays
    finally:
        signal.signal(signal.SIGINT, own)


@pytest.mark.skipif(not hasattr(signal, "SIGHUP"), reason="this system has no SIGHUP")
def test_what_is_ignored_stays_ignored_and_the_rest_is_heard():
    """As after `nohup`, and for a program in the background of a shell: SIGTERM still ends it in an orderly way."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGHUP)}
    try:
        with interruptible(signal.SIGTERM, signal.SIGHUP) as interrupts:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGHUP)
            with interruptible() as inner:
                assert inner is interrupts and interrupts.received is None
            with pytest.raises(KeyboardInterrupt):
                signal.raise_signal(signal.SIGTERM)
            assert interrupts.received == signal.SIGTERM
        assert signal.getsignal(signal.SIGINT) == signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_outside_the_main_thread_nothing_is_changed():
    found = []

    def work():
        with interruptible() as interrupts:
            found.append((signal.getsignal(signal.SIGINT), isinstance(interrupts, Interrupts)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(signal.default_int_handler, True)]
