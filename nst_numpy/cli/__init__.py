"""The command line: every command is one call to the library.

Exit codes: 0 for success, 1 if a loss was not finite, 2 for bad input, 128 + the signal's number after Ctrl-C (130) and
after signals that terminate a program (143 for SIGTERM). Except after bad input, the best picture so far has been
written, if there was one.
"""

import os
import sys


def main(arguments: list[str] | None = None) -> int:
    """Run the command `nst-numpy` with these arguments, by default those of the process; return the exit code."""
    interrupts = None
    try:
        import signal  # from here on Ctrl-C gives a one-line message, during the imports as well

        from nst_numpy.signals import interruptible

        ending = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
        with interruptible(*ending) as interrupts:
            from nst_numpy.cli.parser import build

            options = build().parse_args(arguments)
            return int(options.run(options))
    except BrokenPipeError:  # the reader of the output has exited, as in `nst-numpy weights list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (TypeError, ValueError, OSError, MemoryError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"nst-numpy: error: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt as interrupt:
        print(f"nst-numpy: {str(interrupt) or 'interrupted before there was anything to write'}", file=sys.stderr)
        return 128 + ((interrupts and interrupts.received) or 2)
    finally:
        if interrupts is not None and interrupts.received:  # the process ends: a second Ctrl-C keeps its exit code
            for number in (signal.SIGINT, *ending):
                signal.signal(number, signal.SIG_IGN)
