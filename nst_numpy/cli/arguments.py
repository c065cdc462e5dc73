"""The settings of a painting as options of the command line, and how their values are read."""

import argparse
import re
from collections.abc import Callable
from inspect import signature
from typing import Any

from nst_numpy.optimize import METHODS
from nst_numpy.settings import KEEP_COLORS, Settings
from nst_numpy.stylize import parameters_of


def names(text: str) -> list[str]:
    """Names that commas separate."""
    return [name.strip() for name in text.split(",")]


def numbers(kind: type, *, one_alone: bool = True) -> Callable[[str], object]:
    """Numbers that commas separate, as a list; one as itself, or as a list as well."""

    def read(text: str) -> object:
        values = [kind(part) for part in text.split(",")]
        return values[0] if one_alone and len(values) == 1 else values

    read.__name__ = kind.__name__  # for argparse, when it refuses a value
    return read


def sizes(text: str) -> object:
    """One size, which may have coarser ones before it, or several; "512," is this one alone."""
    return numbers(int)(text) if not text.endswith(",") else [int(text[:-1])]


sizes.__name__ = "int"


def pairs(text: str) -> dict[str, float]:
    """Names with numbers: "memory=20,beta1=0.9"."""
    try:
        return {name.strip(): _number(value) for name, _, value in (part.partition("=") for part in text.split(","))}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected NAME=NUMBER,…, found {text!r}") from None


def _number(text: str) -> float:
    return int(text) if re.fullmatch(r"\s*\d+\s*", text) else float(text)


def layers(text: str) -> list[str] | dict[str, float]:
    """Names of layers, or names with weights."""
    parts = [part.strip().partition(":") for part in text.split(",")]
    if not any(colon for _, colon, _ in parts):
        return [name for name, _, _ in parts]
    try:
        return {name: float(weight) for name, _, weight in parts}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LAYER,… or LAYER:WEIGHT,…, found {text!r}") from None


# What argparse wants to know of each setting; the words are those of `Settings`.
SETTINGS: dict[str, dict[str, Any]] = {
    "convention": {"metavar": "NAME"},
    "weights": {"metavar": "FILE"},
    "size": {"type": sizes, "metavar": "N[,N…]"},
    "steps": {"type": numbers(int), "metavar": "N[,N…]"},
    "content_layers": {"type": layers, "metavar": "LAYER[:W],…"},
    "style_layers": {"type": layers, "metavar": "LAYER[:W],…"},
    "content_weight": {"type": float, "metavar": "W"},
    "style_weight": {"type": float, "metavar": "W"},
    "tv_weight": {"type": float, "metavar": "W"},
    "style_blend": {"type": numbers(float, one_alone=False), "metavar": "W,…"},
    "style_scale": {"type": float, "metavar": "X"},
    "keep_colors": {"choices": KEEP_COLORS},
    "init": {"metavar": "START"},
    "init_noise": {"type": float, "metavar": "X"},
    "optimizer": {"choices": list(METHODS)},
    "learning_rate": {"type": float, "metavar": "X"},
    "optimizer_options": {"type": pairs, "metavar": "NAME=X,…"},
    "seed": {"type": int, "metavar": "N"},
}
# What the network takes.
NETWORK: dict[str, tuple[str, dict[str, Any]]] = {
    "pooling": ("The paper's, or VGG's own; by default the convention's.", {"choices": ["average", "max"]}),
    "backend": ("Compiled kernels (fast, the default), or plain NumPy.", {"choices": ["fast", "plain"]}),
    "threads": ("For the fast backend; by default one for each core.", {"type": int, "metavar": "N"}),
}
WEIGHTS = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight")


def _first_sentences() -> dict[str, str]:
    """Of each setting, the first sentence of its description."""
    found = {}
    for head, text in parameters_of(Settings).items():
        sentence = re.split(r"(?<=[.])\s", " ".join(text.split()))[0].replace("`", "")
        found.update(dict.fromkeys(head.partition(" : ")[0].split(", "), sentence))
    return found


HELP = _first_sentences()


def flag(name: str) -> str:
    """The option of a setting: "--content-weight" for "content_weight"."""
    return "--" + name.replace("_", "-")


def add_settings(command: argparse.ArgumentParser, function: Callable[..., Any]) -> None:
    """Add the settings that a function takes as options; what is not given is not in the namespace."""
    takes, usual = signature(function).parameters, signature(Settings).parameters
    for name in (name for name in SETTINGS if name in takes):
        own = takes[name].default
        here = f" Here {own} by default." if own != usual[name].default else ""
        words = HELP[name].replace("%", "%%") + here
        command.add_argument(flag(name), default=argparse.SUPPRESS, help=words, **SETTINGS[name])


def add_network(command: argparse.ArgumentParser) -> None:
    """Add the options of the network."""
    for name, (words, keywords) in NETWORK.items():
        command.add_argument(flag(name), default=argparse.SUPPRESS, help=words, **keywords)


def given(options: argparse.Namespace, names: Any) -> dict[str, Any]:
    """The options among these names that were given."""
    return {name: getattr(options, name) for name in names if hasattr(options, name)}
