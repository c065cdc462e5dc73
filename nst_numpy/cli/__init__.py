"""The command line: every command is one call of the library.

Exit codes: 0 for success, 1 if a loss became not finite, 2 for bad input, 130 after Ctrl-C. With 1 and with 130 the
best picture so far has been written, if there was one.
"""

import argparse
import os
import sys

import nst_numpy
from nst_numpy.cli import exercise, inspecting, painting, weight_files


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line."""

    def error(self, message: str) -> None:
        self.exit(2, f"nst-numpy: error: {message}\n")


def main(arguments: list[str] | None = None) -> int:
    """Run the command `nst-numpy` with these arguments, by default those of the process; return the exit code."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except BrokenPipeError:  # whoever read the output has gone, as in `nst-numpy weights list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError, MemoryError) as error:
        print(f"nst-numpy: error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nst-numpy: interrupted before there was anything to write", file=sys.stderr)
        return 130


def _parser() -> Parser:
    parser = Parser(prog="nst-numpy", description="Neural style transfer in NumPy, every gradient derived by hand.")
    parser.add_argument("--version", action="version", version=f"nst_numpy {nst_numpy.__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for group in (painting, inspecting, weight_files, exercise):
        group.add(commands)
    return parser
