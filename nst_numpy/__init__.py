"""Neural style transfer (Gatys, Ecker and Bethge 2015) from scratch in NumPy, with every gradient derived by hand.

>>> import nst_numpy
>>> picture = nst_numpy.transfer("photograph.jpg", "painting.jpg")  # doctest: +SKIP
>>> picture.save("picture.png")  # doctest: +SKIP

To read how it works: `layers`, `losses`, `network`, `objective`, in this order.
"""

from nst_numpy import conventions, exercises, layers, losses, samples
from nst_numpy.checking import GradientCheck, gradcheck
from nst_numpy.inspection.network_checks import LayerChecks, check_layers, check_network
from nst_numpy.inspection.receptive import Patch, receptive_field, top_patches
from nst_numpy.inspection.tracing import Trace, trace
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.optimize import OptimizeResult, minimize
from nst_numpy.stylize import StyleTransfer, reconstruct, texture, transfer
from nst_numpy.weights import load as load_weights
from nst_numpy.weights import random_network
from nst_numpy.weights import save as save_weights

__version__ = "0.1.0"

__all__ = [
    "VGG",
    "GradientCheck",
    "LayerChecks",
    "Objective",
    "OptimizeResult",
    "Patch",
    "StyleTransfer",
    "Trace",
    "check_layers",
    "check_network",
    "conventions",
    "exercises",
    "gradcheck",
    "layers",
    "load_weights",
    "losses",
    "minimize",
    "random_network",
    "receptive_field",
    "reconstruct",
    "samples",
    "save_weights",
    "texture",
    "top_patches",
    "trace",
    "transfer",
]
