"""The team of threads: errors, interruptions and forks; and the limit on BLAS's threads."""

import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from drawing import blas_threads
from threadpoolctl import threadpool_limits

from nst_numpy.backends import fast, threads
from nst_numpy.backends.threads import Workers, available_cores, one_blas_thread
from nst_numpy.signals import interrupts_wait

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


@pytest.mark.parametrize("count", [1, 2, 3, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 20])
def test_every_piece_is_done_once(count, pieces):
    done = []
    Workers(count).each(pieces, done.append)
    assert sorted(done) == list(range(pieces))


def meet(parties):
    """A function that returns when it has been called in so many threads at once."""
    barrier = threading.Barrier(parties)
    return lambda _: barrier.wait(timeout=30)


def test_all_threads_work_at_once_and_no_more_than_asked_for():
    for count in (1, 2, 3):
        workers, seen = Workers(count), set()
        workers.each(count, meet(count))  # would break with fewer
        workers.each(200, lambda _, seen=seen: seen.add(threading.get_ident()))
        assert len(seen) <= count


def test_by_default_one_thread_for_each_core(monkeypatch):
    assert Workers().threads == available_cores() >= 1
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 3, 5} if process == 0 else {0}, raising=False)
    assert Workers().threads == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert Workers().threads == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert Workers().threads == 1


@pytest.mark.parametrize("count, error", [(0, ValueError), (-1, ValueError), (1.5, ValueError), ("2", TypeError)])
def test_a_wrong_number_of_threads_is_refused(count, error):
    with pytest.raises(error, match="threads must be a whole number of at least 1, found"):
        Workers(count)


@pytest.mark.parametrize("where", ["helper", "caller"])
def test_an_error_in_any_thread_is_raised_and_the_team_goes_on(where):
    workers, caller, both = Workers(2), threading.current_thread(), meet(2)

    def fail(index):
        both(index)
        if (threading.current_thread() is caller) == (where == "caller"):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workers.each(2, fail)
    workers.each(2, meet(2))


def test_after_an_error_the_helpers_end_first_and_take_no_more_pieces():
    workers, caller, begun, ended = Workers(2), threading.current_thread(), threading.Event(), []

    def work(indices):
        if threading.current_thread() is caller:
            assert begun.wait(timeout=30)
            raise ZeroDivisionError
        for index in indices:
            begun.set()
            time.sleep(0.1)
            ended.append(index)

    with pytest.raises(ZeroDivisionError):
        workers.share(1000, work)
    assert ended == [0]


def test_ctrl_c_while_waiting_is_raised_when_the_helpers_have_ended(monkeypatch):
    workers, caller, begun, ended, waits = Workers(2), threading.current_thread(), threading.Event(), [], []
    wait = threads.wait

    def interrupted(futures):
        waits.append(None)
        if len(waits) < 3:
            raise KeyboardInterrupt
        return wait(futures)

    monkeypatch.setattr(threads, "wait", interrupted)

    def work(indices):
        if threading.current_thread() is caller:
            assert begun.wait(timeout=30)
        else:
            begun.set()
            time.sleep(0.1)
            ended.append(True)

    with pytest.raises(KeyboardInterrupt):
        workers.share(2, work)
    assert ended and len(waits) == 3


def test_when_no_helper_can_be_started_those_that_run_are_waited_for(monkeypatch):
    workers, begun, ended = Workers(3), threading.Event(), []
    workers.each(3, meet(3))
    team = workers._team()
    submit = team.submit

    def one_only(work, indices):
        if begun.is_set():
            raise RuntimeError("can't start new thread")
        future = submit(work, indices)
        assert begun.wait(timeout=30)
        return future

    monkeypatch.setattr(team, "submit", one_only)

    def work(indices):
        begun.set()
        time.sleep(0.1)
        ended.append(True)

    with pytest.raises(RuntimeError, match="can't start"):
        workers.share(3, work)
    assert ended == [True]


def test_a_job_inside_a_job_does_not_wait_for_itself():
    workers, done = Workers(2), []

    def outer(index):
        both(index)  # all threads are busy
        workers.each(3, lambda inner: done.append((index, inner)))

    both = meet(2)
    job = threading.Thread(target=workers.each, args=(2, outer), daemon=True)
    job.start()
    job.join(timeout=30)
    assert not job.is_alive() and sorted(done) == [(i, k) for i in range(2) for k in range(3)]


def test_jobs_at_once_have_the_same_helpers():
    workers, seen = Workers(2), set()

    def piece(_):
        seen.add(threading.current_thread())
        time.sleep(0.002)

    callers = [threading.Thread(target=workers.each, args=(20, piece)) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len(seen - set(callers)) <= 1


def in_a_fork(function):
    """Run `function` in a forked process; it must return in time and without an error."""
    child = multiprocessing.get_context("fork").Process(target=function)
    child.start()
    child.join(timeout=30)
    ended = child.exitcode
    child.kill()
    assert ended == 0


@needs_fork
def test_a_fork_of_a_live_team_gets_threads_of_its_own():
    workers = Workers(3)
    workers.each(3, meet(3))  # the threads are alive now
    in_a_fork(lambda: workers.each(3, meet(3)))
    workers.each(3, meet(3))


# BLAS -----------------------------------------------------------------------------------------------------------------


def test_blas_has_one_thread_in_sessions_and_then_what_it_had():
    with threadpool_limits(2):
        before = blas_threads()
        assert set(before) == {2}
        with one_blas_thread():
            with one_blas_thread():
                assert set(blas_threads()) == {1}
            assert set(blas_threads()) == {1}
        with pytest.raises(ZeroDivisionError), one_blas_thread():
            raise ZeroDivisionError
        assert blas_threads() == before


class Library:
    """A library whose threads are only counted. At chosen calls it is interrupted, before or after it acts."""

    def __init__(self, threads, interrupted_at=()):
        self.num_threads, self.calls, self.interrupted_at = threads, 0, interrupted_at

    def set_num_threads(self, threads):
        self.calls += 1
        if (self.calls, "before") in self.interrupted_at:
            raise KeyboardInterrupt
        self.num_threads = threads
        if (self.calls, "after") in self.interrupted_at:
            raise KeyboardInterrupt


@pytest.fixture
def limit(monkeypatch):
    """A limit of its own, with two such libraries."""

    class Controller:
        def select(self, user_api):
            assert user_api == "blas"
            return self

        @property
        def lib_controllers(self):
            if limit.interruptions:
                limit.interruptions -= 1
                raise KeyboardInterrupt
            return limit.libraries

    monkeypatch.setattr(threads, "ThreadpoolController", Controller)
    limit = threads._BlasLimit()
    limit.libraries, limit.interruptions = [Library(4), Library(6)], 0
    return limit


def counts(limit):
    return [library.num_threads for library in limit.libraries]


def test_ctrl_c_before_the_limit_leaves_no_session(limit):
    limit.interruptions = 1
    with pytest.raises(KeyboardInterrupt), limit():
        pytest.fail("the session has begun")
    assert counts(limit) == [4, 6]
    for _ in range(2):
        with limit():
            assert counts(limit) == [1, 1]
        assert counts(limit) == [4, 6]


def test_ctrl_c_while_waiting_for_the_lock(limit, monkeypatch):
    class Lock:
        waits = 0

        def __enter__(self):
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt

        def __exit__(self, *_):
            pass

    monkeypatch.setattr(limit, "_lock", Lock())
    with pytest.raises(KeyboardInterrupt), limit():
        pytest.fail("the session has begun")
    assert counts(limit) == [4, 6]


@pytest.mark.parametrize("library", [0, 1])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_ctrl_c_within_the_limit_is_undone(limit, library, moment):
    limit.libraries[library].interrupted_at = {(1, moment)}
    with pytest.raises(KeyboardInterrupt), limit():
        pytest.fail("the session has begun")
    assert counts(limit) == [4, 6]
    with limit():
        assert counts(limit) == [1, 1]
    assert counts(limit) == [4, 6]


def test_ctrl_c_while_the_limit_is_lifted_is_made_up_for_by_the_next_session(limit):
    limit.libraries[1].interrupted_at = {(2, "before")}
    with pytest.raises(KeyboardInterrupt), limit():
        pass
    with limit():
        pass
    assert counts(limit) == [4, 6]


def test_the_last_session_of_all_threads_lifts_the_limit(limit):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with limit():
            inside.set()
            assert leave.wait(timeout=30)

    thread = threading.Thread(target=other)
    with limit():
        thread.start()
        assert inside.wait(timeout=30)
        limit.libraries[0].num_threads = 1
    assert counts(limit) == [1, 1]
    leave.set()
    thread.join()
    assert counts(limit) == [4, 6]
    assert [library.calls for library in limit.libraries] == [2, 2]


@needs_fork
def test_a_fork_inside_a_session_leaves_it_in_both_processes(limit):
    def leave():
        with limit():
            pass
        assert counts(limit) == [1, 1]
        sessions.__exit__(None, None, None)
        assert counts(limit) == [4, 6]
        with limit():
            assert counts(limit) == [1, 1]
        assert counts(limit) == [4, 6]

    sessions = limit()
    sessions.__enter__()
    in_a_fork(leave)
    leave()


@needs_fork
def test_a_fork_beside_a_session_of_another_thread_lifts_its_limit(limit):
    inside, leave = threading.Event(), threading.Event()

    def other():
        with limit():
            inside.set()
            assert leave.wait(timeout=30)

    thread = threading.Thread(target=other)
    thread.start()
    assert inside.wait(timeout=30)

    def child():
        with limit():
            assert counts(limit) == [1, 1]
        assert counts(limit) == [4, 6]

    in_a_fork(child)
    leave.set()
    thread.join()
    assert counts(limit) == [4, 6]


@needs_fork
def test_a_fork_waits_until_the_limit_is_set(limit):
    """The child must not inherit a lock that is held."""
    setting = threading.Event()
    slow = limit.libraries[0]

    def set_slowly(threads):
        setting.set()
        time.sleep(0.2)
        slow.num_threads = threads

    slow.set_num_threads = set_slowly

    def other():
        with limit():
            pass

    team = ThreadPoolExecutor(1)
    session = team.submit(other)
    assert setting.wait(timeout=30)

    def child():
        with limit():
            assert counts(limit) == [1, 1]

    in_a_fork(child)
    session.result(timeout=30)
    assert counts(limit) == [4, 6]


# Ctrl-C while kernels are compiled ------------------------------------------------------------------------------------


@pytest.fixture
def hear_ctrl_c():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_interrupts_wait_until_the_end(hear_ctrl_c):
    reached = []
    with pytest.raises(KeyboardInterrupt):
        with interrupts_wait():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            reached.append("end")
        reached.append("after")
    assert reached == ["end"] and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    with interrupts_wait():
        pass
    with pytest.raises(ZeroDivisionError), interrupts_wait():
        _ = 1 / 0
    with pytest.raises(KeyboardInterrupt), interrupts_wait():
        signal.raise_signal(signal.SIGINT)
        _ = 1 / 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_each_signal_that_waited_is_answered_once(hear_ctrl_c):
    heard = []
    before = signal.signal(signal.SIGTERM, lambda number, _: heard.append(number))
    try:
        with pytest.raises(KeyboardInterrupt), interrupts_wait():
            for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGINT):
                signal.raise_signal(number)
            assert not heard
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_interrupts_that_are_ignored_stay_so_and_other_threads_change_nothing(hear_ctrl_c):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_wait():
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    signal.signal(signal.SIGINT, signal.default_int_handler)
    found = []

    def work():
        with interrupts_wait():
            found.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [signal.default_int_handler]


def test_a_backend_is_compiled_to_the_end_before_ctrl_c_is_heard(hear_ctrl_c, monkeypatch):
    """Interrupted inside Numba's lock, it would keep the lock, and the helping threads wait for it for ever."""
    calls = []

    def pool_backward(self, *arguments):
        calls.append(signal.raise_signal(signal.SIGINT))
        return pool(self, *arguments)

    pool = fast.Fast.pool_backward
    monkeypatch.setattr(fast.Fast, "pool_backward", pool_backward)
    with pytest.raises(KeyboardInterrupt):
        fast.Fast(2)
    assert len(calls) == 2  # average and maximum: the last steps of the compilation
