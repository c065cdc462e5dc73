"""The settings of a painting as command-line options, and how their values are parsed."""

import argparse
import re
import tomllib
from collections.abc import Callable, Iterable, Sequence
from inspect import signature
from pathlib import Path
from typing import Any

from nst_numpy.layers import PADDINGS
from nst_numpy.optimize import METHODS
from nst_numpy.painting import load_network
from nst_numpy.settings import KEEP_COLORS, Settings
from nst_numpy.stylize import parameters_of
from nst_numpy.validation import check_choice


def names(text: str) -> list[str]:
    """Comma-separated names."""
    return [name.strip() for name in text.split(",")]


def numbers(kind: type, *, one_alone: bool = True) -> Callable[[str], object]:
    """Comma-separated numbers, as a list; a single number as itself if `one_alone`, otherwise also as a list."""

    def read(text: str) -> object:
        values = [kind(part) for part in text.split(",")]
        return values[0] if one_alone and len(values) == 1 else values

    read.__name__ = kind.__name__  # for argparse's error messages
    return read


def sizes(text: str) -> object:
    """One size, to which the convention may add coarser ones, or several; "512," is a single size."""
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


# The argparse keywords of each setting; the help texts come from `Settings`.
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
# Options of the network.
NETWORK: dict[str, tuple[str, dict[str, Any]]] = {
    "pooling": ("Average (the paper) or max (VGG); by default the convention's.", {"choices": ["average", "max"]}),
    "padding": (
        "Beyond the edges zeros (the paper), the nearest pixels (replicate, no frame), or the opposite edge (circular, "
        "for textures that tile); by default the convention's.",
        {"choices": list(PADDINGS)},
    ),
    "backend": ("Compiled kernels (fast, the default), or plain NumPy.", {"choices": ["fast", "plain"]}),
    "threads": ("Number of threads of the fast backend; by default one for each core.", {"type": int, "metavar": "N"}),
}
WEIGHTS = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight")


def _first_sentences() -> dict[str, str]:
    """The first sentence of each setting's description."""
    found = {}
    for head, text in parameters_of(Settings).items():
        found[head.split()[0]] = re.split(r"(?<=[.])\s", " ".join(text.split()))[0].replace("`", "")
    return found


HELP = _first_sentences()


def flag(name: str) -> str:
    """The option of a setting: "--content-weight" for "content_weight"."""
    return "--" + name.replace("_", "-")


def add_settings(
    command: argparse.ArgumentParser, function: Callable[..., Any], without: Sequence[str] = ()
) -> list[str]:
    """Add the settings that a function takes as options; options not given are absent from the namespace."""
    takes, usual = signature(function).parameters, signature(Settings).parameters
    added = [name for name in SETTINGS if name in takes and name not in without]
    for name in added:
        own = takes[name].default
        here = f" Here {own} by default." if own != usual[name].default else ""
        words = HELP.get(name, "").replace("%", "%%") + here
        command.add_argument(flag(name), default=argparse.SUPPRESS, help=words, **SETTINGS[name])
    return added


def add_network(command: argparse.ArgumentParser) -> None:
    """Add the options of the network."""
    for name, (words, keywords) in NETWORK.items():
        command.add_argument(flag(name), default=argparse.SUPPRESS, help=words, **keywords)


def own_network(options: argparse.Namespace) -> dict[str, Any]:
    """The network as the argument `weights`, if any of its own options were given."""
    runs = given(options, NETWORK)
    if not runs:
        return {}
    settings = Settings(**given(options, ["convention", "weights"]))
    return {"weights": load_network(settings.weights, settings.convention, **runs)}


def read_toml(file: Path, known: Iterable[str]) -> dict[str, Any]:
    """The values in a TOML file, with known keys only."""
    try:
        found = tomllib.loads(file.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError(f"{file}: its values are nested too deeply") from None
    except ValueError as error:  # TOML's and Unicode's errors are some
        raise ValueError(f"{file}: {error}") from None
    for name in found:
        check_choice(f"key of {file}", name, known)
    return found


def given(options: argparse.Namespace, names: Any) -> dict[str, Any]:
    """Those of the named options that were given."""
    return {name: getattr(options, name) for name in names if hasattr(options, name)}
