"""The patches of images that excite units most, and the units that see a pixel."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from nst_numpy import images
from nst_numpy.network import VGG, receptive_field
from nst_numpy.topology import is_convolution
from nst_numpy.validation import check_number, checked, iterable, shown


@dataclass(frozen=True)
class Patch:
    """A part of an image that excites a unit.

    Attributes
    ----------
    filter : int
    value : float
        The unit's response.
    image : int
        Index of the image, from 0.
    box : tuple of int
        (top, left, bottom, right) of the receptive field in that image, in pixels; it may extend beyond the image.
    pixels : ndarray, shape (bottom − top, right − left, 3)
        In 0–1; grey (0.5) beyond the image.
    """

    filter: int
    value: float
    image: int
    box: tuple[int, int, int, int]
    pixels: np.ndarray


@checked()
def top_patches(
    network: VGG, layer: str, over: Any, filters: Iterable[int] | None = None, count: int = 9
) -> list[list[Patch]]:
    """Find the patches that excite filters of a layer most, as in Zeiler and Fergus 2014 (arXiv 1311.2901), figure 2.

    A filter gets at most one patch of each image: where it responds most.

    Parameters
    ----------
    network : VGG
    layer : str
    over : iterable of images
        To search; each as in `images.load`.
    filters : iterable of int, optional
        By default the nine with the largest mean response.
    count : int
        Maximum number of patches for each filter, at least 1.

    Returns
    -------
    list of list of Patch
        For each filter its patches, the strongest first.

    Raises
    ------
    TypeError
        If `over` is a single image.
    ValueError, FileNotFoundError
        If there is no such layer or filter, or no image; if an image can't be read or is too small for the layer.

    Examples
    --------
    >>> from nst_numpy import samples, weights
    >>> from nst_numpy.inspection.receptive import top_patches
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> paintings = [samples.woodcut_waves(32), samples.woodcut_waves(32, seed=2)]
    >>> ((patch,),) = top_patches(network, "conv2_1", paintings, filters=[5], count=1)
    >>> patch.filter, patch.pixels.shape
    (5, (10, 10, 3))
    """
    check_number("count", count, whole=True, least=1)
    name = network.canonical(layer)
    single = isinstance(over, str | os.PathLike) or hasattr(over, "__array_interface__")
    if single or not iterable(over):
        raise TypeError("over must be a list of images, found a single one; use [image]")
    start, step, size = receptive_field(network, name)
    pictures, places, values, means = [], [], [], []
    for image in over:
        picture = images.load(image)
        a = network.features(picture, name)[name]
        pictures.append(picture)
        places.append([np.unravel_index(k, a.shape[:2]) for k in a.reshape(-1, a.shape[2]).argmax(axis=0)])
        values.append(a.max(axis=(0, 1)))
        means.append(a.mean(axis=(0, 1)))
    if not pictures:
        raise ValueError("top_patches needs at least one image")
    last = len(values[0]) - 1
    found = []
    for k in np.argsort(-np.mean(means, axis=0))[:9] if filters is None else filters:
        if isinstance(k, bool) or not isinstance(k, int | np.integer) or not 0 <= k <= last:
            raise ValueError(f"{name} has no filter {shown(k)}; it has 0 to {last}")
        patches = []
        for n in sorted(range(len(pictures)), key=lambda n: -values[n][k])[:count]:
            top, left = (start + step * int(position) for position in places[n][k])
            box = (top, left, top + size, left + size)
            patches.append(Patch(int(k), float(values[n][k]), n, box, _cut(pictures[n], box)))
        found.append(patches)
    return found


@checked()
def units_that_see(network: VGG, layer: str, shape: Sequence[int], y: int, x: int) -> tuple[np.ndarray, np.ndarray]:
    """Find the units of a layer that depend on a pixel: the other direction of `receptive_field`.

    From layer to layer: what is at position p is seen, after a 3×3 convolution, by the units at p − 1, p and p + 1, and
    after a 2×2 pooling by the one at ⌊p/2⌋, as far as the layer has them. With circular padding, positions beyond an
    edge are at the opposite one.

    Parameters
    ----------
    network : VGG
    layer : str
    shape : (height, width, …)
        Of the image, in pixels.
    y, x : int
        Row and column of the pixel.

    Returns
    -------
    rows, columns : ndarray of int
        In order; the units are all pairs of them.

    Raises
    ------
    ValueError
        If there is no such layer or pixel, or the image is too small for the layer.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> from nst_numpy.inspection.receptive import units_that_see
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> units_that_see(network, "conv2_1", (32, 32), 0, 20)
    (array([0, 1, 2]), array([ 8,  9, 10, 11, 12]))
    """
    name = network.canonical(layer)
    network.check_size(tuple(shape), [name])
    found = []
    for what, side, k in (("row", shape[0], y), ("column", shape[1], x)):
        check_number(what, k, whole=True, most=side - 1)
        seen = {int(k)}
        for above in network.layers[: network.layers.index(name) + 1]:
            if is_convolution(above):
                seen = {p + offset for p in seen for offset in (-1, 0, 1)}
                seen = {p % side for p in seen} if network.padding == "circular" else seen & set(range(side))
            else:
                side //= 2
                seen = {p // 2 for p in seen} & set(range(side))
        found.append(np.array(sorted(seen), int))
    return found[0], found[1]


def _cut(picture: np.ndarray, box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the pixels of a box, grey beyond the picture."""
    top, left, bottom, right = box
    patch = np.full((bottom - top, right - left, 3), 0.5, picture.dtype)
    height, width = picture.shape[:2]
    inside = picture[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    i, j = max(-top, 0), max(-left, 0)
    patch[i : i + inside.shape[0], j : j + inside.shape[1]] = inside
    return patch
