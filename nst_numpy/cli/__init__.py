"""The command line: every command is one call to the library.

Exit codes: 0 for success, 1 if a loss was not finite, 2 for bad input, 128 + the signal's number after Ctrl-C (130) and
after signals that terminate a program (143 for SIGTERM). Except after bad input, the best picture so far has been
written, if there was one.
"""

import io
import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command `nst-numpy` with these arguments, by default those of the process; return the exit code."""
    interrupts = None
    try:
        import signal  # from here on Ctrl-C gives a one-line message, during the imports as well

        from nst_numpy.signals import interruptible

        ending = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        with interruptible(*ending, last=arguments is None) as interrupts:
            _use_any_terminal()
            from nst_numpy.cli.parser import build

            options = build().parse_args(arguments)
            code = int(options.run(options))
            if sys.stdout is not None:
                sys.stdout.flush()  # here, where a full disk can still be reported
            return code
    except BrokenPipeError:  # the reader of the output has exited, as in `nst-numpy weights list | head`
        return 0
    except (TypeError, ValueError, OSError, MemoryError) as error:
        text = " ".join(str(error).split())
        _say(f"error: {text or ('not enough memory' if isinstance(error, MemoryError) else type(error).__name__)}")
        return 2
    except KeyboardInterrupt as interrupt:
        _say(str(interrupt) or "interrupted before there was anything to write")
        exec("")  # clears CPython's note that an exec was interrupted, by which the process would end as after SIGINT
        return 128 + ((interrupts and interrupts.received) or 2)
    finally:
        _drop_output()


def _use_any_terminal() -> None:
    """Replace what the terminal's encoding lacks, and open streams that are closed, to nowhere."""
    for number in range(3):  # else the next file opened would have this number, and get what C libraries print
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _say(text: str) -> None:
    from nst_numpy.console import console

    print(f"nst-numpy: {text}", file=console)


def _drop_output() -> None:
    """Forget what can't be written to standard output and error: at exit, it would fail once more, with code 120."""
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
        except ValueError:  # it is closed
            pass
