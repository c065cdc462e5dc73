"""Standard error, for progress and messages: where it is closed or full, they are lost, and nothing else is."""

import contextlib
import sys
from typing import Any


class Console:
    """Standard error as it is at the moment, in all but this: what can't be written there is left out.

    Examples
    --------
    >>> import contextlib, io
    >>> from nst_numpy.console import console
    >>> closed = io.StringIO()
    >>> closed.close()
    >>> with contextlib.redirect_stderr(closed):
    ...     print("Nobody can read this.", file=console)
    """

    def write(self, text: str) -> int:
        """Write a text, if it can be written."""
        with contextlib.suppress(AttributeError, OSError, ValueError):  # there is none, it is full, or closed
            sys.stderr.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that is possible."""
        with contextlib.suppress(AttributeError, OSError, ValueError):
            sys.stderr.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(sys.stderr, name)


console = Console()
