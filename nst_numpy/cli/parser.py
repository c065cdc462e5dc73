"""The parser of all commands, and its hints for unknown options."""

import argparse
import re
from collections.abc import Iterable
from typing import Any, NoReturn

import argcomplete

import nst_numpy
from nst_numpy.cli import again, exercise, frames, inspecting, painting, studio, sweeping, weight_files
from nst_numpy.validation import did_you_mean

# Options of other programs, and their equivalents here.
ELSEWHERE = {
    "checkpoint-iterations": "--every",
    "content": "nst-numpy transfer CONTENT STYLE",
    "content-image": "nst-numpy transfer CONTENT STYLE",
    "epochs": "--steps",
    "image-size": "--size",
    "img-size": "--size",
    "init-image": "--init",
    "iterations": "--steps",
    "lr": "--learning-rate",
    "max-size": "--size",
    "model-file": "--weights",
    "num-iterations": "--steps",
    "original-colors": "--keep-colors luminance",
    "output-image": "-o",
    "preserve-colors": "--keep-colors luminance",
    "print-iter": "--every",
    "rate": "--learning-rate",
    "resume": "--checkpoint",
    "save-iter": "--every",
    "scale": "--size 256,512",
    "scales": "--size 256,512",
    "style": "nst-numpy transfer CONTENT STYLE",
    "style-blend-weights": "--style-blend",
    "style-image": "nst-numpy transfer CONTENT STYLE",
    "style-images": "nst-numpy transfer CONTENT STYLE",
    "width": "--size",
}


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one line, with the nearest name if one is similar."""

    def __init__(self, *args: Any, **keywords: Any):
        super().__init__(*args, **{"allow_abbrev": False, **keywords})

    def error(self, message: str) -> NoReturn:
        """Exit with a one-line message and code 2."""
        if wrong := re.search(r"invalid choice: '(.*)' \(choose from (.*)\)", message):
            message += ";" + did_you_mean(wrong[1], re.findall(r"[\w-]+", wrong[2])) if message else ""
        self.exit(2, f"nst-numpy: error: {message.rstrip(';')}\n")

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def]
        """As in argparse, but report unknown options in the subparser, which knows the command's own options."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(_unknown(unknown[0], self._option_string_actions))
        return found, unknown


def _unknown(argument: str, options: Iterable[str]) -> str:
    if not argument.startswith("-"):
        return f"unexpected argument {argument!r}"
    name = argument.partition("=")[0].lstrip("-").replace("_", "-")
    if name in ELSEWHERE:
        return f"unknown option {argument!r}; here it is {ELSEWHERE[name]}"
    return f"unknown option {argument!r};{did_you_mean('--' + name, options)} --help lists all"


def build() -> Parser:
    """The parser of `nst-numpy`."""
    parser = Parser(
        prog="nst-numpy",
        description="Neural style transfer in NumPy, with every gradient derived by hand.",
        epilog="examples:\n  nst-numpy demo\n  nst-numpy transfer content.jpg style.jpg\n  nst-numpy transfer --help",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"nst_numpy {nst_numpy.__version__}")
    parser.set_defaults(run=lambda _: print(parser.format_help(), end="") or 0)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for group in (painting, again, frames, sweeping, studio, inspecting, weight_files, exercise):
        group.add(commands)
    argcomplete.autocomplete(parser)
    return parser
