"""What the units of a network look at: receptive fields, and the patches of images that excite them most."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from nst_numpy import images
from nst_numpy.network import VGG


@dataclass(frozen=True)
class Patch:
    """A part of an image that excites a unit.

    Attributes
    ----------
    filter : int
    value : float
        The unit's response.
    image : int
        Which image, counted from 0.
    box : tuple of int
        (top, left, bottom, right) of the receptive field in that image, in pixels; it may reach over the edge.
    pixels : ndarray, shape (bottom − top, right − left, 3)
        In 0–1; grey where the receptive field reaches over the edge.
    """

    filter: int
    value: float
    image: int
    box: tuple[int, int, int, int]
    pixels: np.ndarray


def receptive_field(network: VGG, layer: str) -> tuple[int, int, int]:
    """Which pixels a unit of a layer depends on: those from start + p · step, `size` in number, for position p.

    Going up, a step of one position in the layer is `step` pixels. A 3×3 convolution sees one position more on either
    side: size grows by 2 · step, and start moves back by step. A 2×2 pooling sees one position more: size grows by
    step; and the steps become twice as long.

    Parameters
    ----------
    network : VGG
    layer : str

    Returns
    -------
    start, step, size : int
        In pixels, the same for rows and columns.
    """
    start, step, size = 0, 1, 1
    for name in network.layers[: network.layers.index(network.canonical(layer)) + 1]:
        if name.startswith("pool"):
            size, step = size + step, 2 * step
        else:
            size, start = size + 2 * step, start - step
    return start, step, size


def top_patches(
    network: VGG, layer: str, over: Iterable, filters: Iterable[int] | None = None, count: int = 9
) -> list[list[Patch]]:
    """The patches that excite filters of a layer most, as in Zeiler and Fergus 2014 (arXiv 1311.2901), figure 2.

    Of each image, a filter gets at most one patch: where it responds most.

    Parameters
    ----------
    network : VGG
    layer : str
    over : iterable of path, PIL image or ndarray
        Images to search.
    filters : iterable of int, optional
        By default the nine with the largest mean response.
    count : int
        Patches for each filter at most.

    Returns
    -------
    list of list of Patch
        For each filter, its patches from the strongest on.

    Raises
    ------
    ValueError
        If there is no such layer or filter, or an image is too small for the layer.
    """
    name = network.canonical(layer)
    start, step, size = receptive_field(network, name)
    pictures = [images.load(image) for image in over]
    responses = [network.features(picture, name)[name] for picture in pictures]
    if filters is None:
        filters = np.argsort(-np.mean([a.mean(axis=(0, 1)) for a in responses], axis=0))[:9]
    found = []
    for k in filters:
        if not 0 <= k < responses[0].shape[2]:
            raise ValueError(f"{name} has no filter {k}; it has 0 to {responses[0].shape[2] - 1}")
        patches = []
        for n, (picture, a) in enumerate(zip(pictures, responses, strict=True)):
            p, q = np.unravel_index(a[:, :, k].argmax(), a.shape[:2])
            top, left = start + step * int(p), start + step * int(q)
            box = (top, left, top + size, left + size)
            patches.append(Patch(int(k), float(a[p, q, k]), n, box, _cut(picture, box)))
        found.append(sorted(patches, key=lambda patch: -patch.value)[:count])
    return found


def _cut(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    top, left, bottom, right = box
    patch = np.full((bottom - top, right - left, 3), 0.5, picture.dtype)
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    i, j = max(-top, 0), max(-left, 0)
    patch[i : i + inside.shape[0], j : j + inside.shape[1]] = inside
    return patch
