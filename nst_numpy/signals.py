"""Ctrl-C, and other signals that end a program: answered once, or held back until a piece of work is done."""

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

Handler = Callable[[int, FrameType | None], Any]


class Interrupts:
    """A signal handler that raises KeyboardInterrupt once; further signals are ignored, so that work can be saved."""

    def __init__(self) -> None:
        self.ignoring = False
        self.received: int | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self.ignoring:
            self.ignoring, self.received = True, number
            raise KeyboardInterrupt

    def ignore(self) -> None:
        """Ignore signals from here on: there is nothing more to interrupt."""
        self.ignoring = True

    def listen(self) -> None:
        """Answer the first signal again: one piece of work is kept, and the next begins."""
        self.ignoring = self.received is not None


@contextmanager
def interruptible(*others: int, last: bool = False) -> Iterator[Interrupts]:
    """Handle Ctrl-C, and other signals, by `Interrupts` within the block; nested blocks share the outermost's handler.

    Signals that are ignored, as `nohup` and shells make it for programs in the background, and signals for which the
    program has its own handler, are left alone. Outside the main thread, where Python handles no signals, all are.

    With `last`, the process ends after the block: signals are ignored, so that they change neither what it says at its
    end nor its exit code.
    """
    handlers = _handlers()
    if active := [handler for handler in handlers.values() if isinstance(handler, Interrupts)]:
        yield active[0]
        return
    interrupts = Interrupts()
    usual = (signal.default_int_handler, signal.SIG_DFL)
    with _installed(
        {n: interrupts for n in (signal.SIGINT, *others) if handlers[n] in usual}, signal.SIG_IGN if last else None
    ):
        try:
            yield interrupts
        finally:
            interrupts.ignore()


@contextmanager
def interrupts_wait() -> Iterator[None]:
    """Let Ctrl-C, and other signals that Python handles, wait until the end of the block; in the main thread.

    For code that an exception at any moment would leave with a lock held, as Numba while it compiles or loads a kernel,
    or with a file half closed.
    """
    received: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        received.append(number)

    try:
        with _installed({number: note for number, handler in _handlers().items() if callable(handler)}):
            yield
    finally:
        for number in dict.fromkeys(received):  # each once
            signal.raise_signal(number)


def _handlers() -> dict[int, Any]:
    """The handler of each signal."""
    return {int(number): signal.getsignal(number) for number in signal.valid_signals()}


@contextmanager
def _installed(handlers: Mapping[int, Handler], after: signal.Handlers | None = None) -> Iterator[None]:
    """Have these handlers within the block, and after it this one or those from before; in other threads, nothing."""
    before = {}
    try:
        if threading.current_thread() is threading.main_thread():
            for number, handler in handlers.items():
                before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous if after is None else after)
