"""The arguments of `transfer` as options of the command line, and how their values are read."""

import argparse
import inspect
from collections.abc import Callable

from nst_numpy import conventions
from nst_numpy.optimize import METHODS
from nst_numpy.stylize import KEEP_COLORS, STARTS, transfer

DEFAULTS = {name: parameter.default for name, parameter in inspect.signature(transfer).parameters.items()}


def names(text: str) -> list[str]:
    """Names that commas separate."""
    return [name.strip() for name in text.split(",")]


def numbers(kind: type, *, one_alone: bool = True) -> Callable[[str], object]:
    """Numbers that commas separate, as a list; one as itself, or as a list as well."""

    def read(text: str):
        values = [kind(part) for part in text.split(",")]
        return values[0] if one_alone and len(values) == 1 else values

    read.__name__ = kind.__name__  # for argparse, when it refuses a value
    return read


def layers(text: str) -> list[str] | dict[str, float]:
    """Names of layers, or names with weights."""
    pairs = [part.strip().partition(":") for part in text.split(",")]
    if not any(colon for _, colon, _ in pairs):
        return [name for name, _, _ in pairs]
    try:
        return {name: float(weight) for name, _, weight in pairs}
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LAYER,… or LAYER:WEIGHT,…, found {text!r}") from None


# The arguments of `transfer` as options, with what argparse wants to know. Where the words do not say a default, the
# signature's is shown, or that of the convention "nst_numpy".
OPTIONS: dict[str, tuple[str, dict]] = {
    "convention": ("whose losses and defaults (see: nst-numpy conventions list)", {"metavar": "NAME"}),
    "weights": ("weight file, or a name such as vgg19 (see: nst-numpy weights list)", {"metavar": "FILE"}),
    "size": (
        "longer side in pixels; several are worked through in order",
        {"type": numbers(int), "metavar": "N[,N…]"},
    ),
    "steps": ("iterations of the optimiser for each size", {"type": numbers(int), "metavar": "N[,N…]"}),
    "scales": ("sizes from coarse to fine, each half of the next, if --size names one", {"type": int, "metavar": "N"}),
    "content_layers": ("such as conv4_2, with weights or without", {"type": layers, "metavar": "LAYER[:W],…"}),
    "style_layers": ("such as conv1_1:0.5,conv2_1:2", {"type": layers, "metavar": "LAYER[:W],…"}),
    "content_weight": ("α", {"type": float, "metavar": "W"}),
    "style_weight": ("β", {"type": float, "metavar": "W"}),
    "tv_weight": ("γ, the weight of the total variation", {"type": float, "metavar": "W"}),
    "style_blend": (
        "a weight for each style image; by default all the same",
        {"type": numbers(float, one_alone=False), "metavar": "W,…"},
    ),
    "keep_colors": ("keep the colours of the content image", {"choices": KEEP_COLORS}),
    "init": (f"where to start: {', '.join(STARTS)}, or an image file, such as an earlier result", {"metavar": "START"}),
    "init_noise": ("share of white noise in the start, 0 to 1", {"type": float, "metavar": "X"}),
    "optimizer": ("method", {"choices": list(METHODS)}),
    "rate": ("learning rate, for pixels in 0–1; L-BFGS has none", {"type": float, "metavar": "X"}),
    "pooling": ("the paper's, or VGG's own", {"choices": ["average", "max"]}),
    "backend": ("compiled kernels (fast, the default), or plain NumPy", {"choices": ["fast", "plain"]}),
    "threads": ("by default one for each core", {"type": int, "metavar": "N"}),
    "seed": ("for the noise", {"type": int, "metavar": "N"}),
    "every": ("write the picture every so many steps, as OUT_0010.png", {"type": int, "metavar": "N"}),
}
WEIGHTS = ("content_layers", "style_layers", "content_weight", "style_weight", "tv_weight")


def default_text(name: str, function: Callable) -> str:
    """What an option is if it is not given, as a text."""
    own = inspect.signature(function).parameters
    values = (own[name].default if name in own else None, DEFAULTS[name])
    values += (getattr(conventions.CONVENTIONS["nst_numpy"], name, None),)
    value = next((value for value in values if value is not None), None)
    text = ",".join(value) if isinstance(value, tuple) else f"{value:g}" if isinstance(value, float) else str(value)
    return "" if value is None else f" (default: {text})"
