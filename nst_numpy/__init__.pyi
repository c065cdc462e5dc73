from . import colors, conventions, exercises, flow, images, layers, losses, optimize, samples, weights
from .checking import GradientCheck, gradcheck
from .frames import transfer_frames
from .inspection import plots
from .inspection.network_checks import check_layers, check_network
from .inspection.receptive import Patch, top_patches
from .inspection.tracing import Trace, trace
from .network import VGG, receptive_field
from .objective import Objective, Term
from .optimize import OptimizeResult, minimize
from .painting import paint
from .repainting import again
from .result import TransferResult
from .settings import Settings
from .stylize import reconstruct, texture, transfer
from .sweeping import sweep
from .weights import load_weights, random_network, save_weights

__version__: str
__all__ = [
    "VGG",
    "GradientCheck",
    "Objective",
    "OptimizeResult",
    "Patch",
    "Settings",
    "Term",
    "Trace",
    "TransferResult",
    "again",
    "check_layers",
    "check_network",
    "colors",
    "conventions",
    "exercises",
    "flow",
    "gradcheck",
    "images",
    "layers",
    "load_weights",
    "losses",
    "minimize",
    "optimize",
    "paint",
    "plots",
    "random_network",
    "receptive_field",
    "reconstruct",
    "samples",
    "save_weights",
    "sweep",
    "texture",
    "top_patches",
    "trace",
    "transfer",
    "transfer_frames",
    "weights",
]
