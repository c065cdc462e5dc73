"""Networks from weight files and to them, random networks, and the normalisation that puts all on one scale.

`formats` reads the files of every common layout, `registry` knows the official ones.
"""

from nst_numpy.weights.files import convert, first_filters, load, locate, save, summary
from nst_numpy.weights.normalization import (
    estimate_mean_responses,
    measure_mean_responses,
    normalize_network,
    sample_images,
)
from nst_numpy.weights.random import random_network

load_weights, save_weights = load, save  # their names in `nst_numpy`

__all__ = [
    "convert",
    "estimate_mean_responses",
    "first_filters",
    "load",
    "load_weights",
    "locate",
    "measure_mean_responses",
    "normalize_network",
    "random_network",
    "sample_images",
    "save",
    "save_weights",
    "summary",
]
