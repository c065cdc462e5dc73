"""Neural style transfer (Gatys, Ecker and Bethge 2015) from scratch in NumPy, with every gradient derived by hand.

>>> import nst_numpy
>>> picture = nst_numpy.transfer("photograph.jpg", "painting.jpg")  # doctest: +SKIP
>>> picture.save("picture.png")  # doctest: +SKIP

To read how it works: `layers`, `losses`, `network`, `objective`, in this order.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what is public, for type checkers and editors
    from nst_numpy import colors, conventions, exercises, images, layers, losses, optimize, samples, weights
    from nst_numpy.checking import GradientCheck, gradcheck
    from nst_numpy.inspection import plots
    from nst_numpy.inspection.network_checks import check_layers, check_network
    from nst_numpy.inspection.receptive import Patch, receptive_field, top_patches
    from nst_numpy.inspection.tracing import Trace, trace
    from nst_numpy.network import VGG
    from nst_numpy.objective import Objective, Term
    from nst_numpy.optimize import OptimizeResult, minimize
    from nst_numpy.painting import paint
    from nst_numpy.result import TransferResult
    from nst_numpy.settings import Settings
    from nst_numpy.stylize import reconstruct, texture, transfer
    from nst_numpy.weights import load as load_weights
    from nst_numpy.weights import random_network
    from nst_numpy.weights import save as save_weights

__version__ = "0.1.0"

# Where the public names are, imported when they are first used: Numba, HDF5 and Matplotlib take their time.
_NAMES = {
    "": ("colors", "conventions", "exercises", "images", "layers", "losses", "optimize", "samples", "weights"),
    "checking": ("GradientCheck", "gradcheck"),
    "inspection": ("plots",),
    "inspection.network_checks": ("check_layers", "check_network"),
    "inspection.receptive": ("Patch", "receptive_field", "top_patches"),
    "inspection.tracing": ("Trace", "trace"),
    "network": ("VGG",),
    "objective": ("Objective", "Term"),
    "optimize": ("OptimizeResult", "minimize"),
    "painting": ("paint",),
    "result": ("TransferResult",),
    "settings": ("Settings",),
    "stylize": ("reconstruct", "texture", "transfer"),
    "weights": ("load_weights", "random_network", "save_weights"),
}
_PLACES = {name: module for module, names in _NAMES.items() for name in names}

__all__ = sorted(_PLACES)  # noqa: PLE0605


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    place, inside = _PLACES[name], name.removesuffix("_weights")  # weights.load is load_weights here
    if place in ("", "inspection"):
        value = import_module(f"{__name__}.{place}.{name}".replace("..", "."))
    else:
        value = getattr(import_module(f"{__name__}.{place}"), inside)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
