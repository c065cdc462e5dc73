"""Masks: which part of an image is a region, pixel by pixel, and in every layer of a network.

A mask is an array (H, W) of weights in 0–1. In a layer it has one weight for each position, by the same 2×2 pooling
that makes the positions: the mean of the mask over the pixels of that position.

The code of Gatys et al. 2017 (arXiv 1611.07865) has three ways to carry a mask to a layer: scaled ("simple", as here),
to the units that see nothing but the region, and to all that see any of it. docs/derivations.md compares them.
"""

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_numpy import images
from nst_numpy.colors import LUMINANCE
from nst_numpy.topology import reduction

TOLERANCE = 8  # of 255, in each channel: how far a pixel may be from the color of "mask.png#ff0000"


def split_color(source: Any) -> tuple[Any, str | None]:
    """Split "mask.png#ff0000" into the file and the color; anything else has no color.

    Raises
    ------
    ValueError
        If what follows the # is no color, and there is no such file.

    Examples
    --------
    >>> from nst_numpy import masks
    >>> masks.split_color("regions.png#00ff00")
    ('regions.png', '00ff00')
    >>> masks.split_color("sky.png")
    ('sky.png', None)
    """
    text = os.fspath(source) if isinstance(source, str | os.PathLike) else ""
    if "#" not in Path(text).name or Path(text).exists():
        return source, None
    file, color = split_name(text)
    if not color:
        raise ValueError(f"a color must be six hexadecimal digits, as in mask.png#ff0000, found {text}")
    return file, color[1:]


def split_name(name: str) -> tuple[str, str]:
    """Split the name of a mask into the file and the color with its #; anything else has no color.

    Examples
    --------
    >>> from nst_numpy import masks
    >>> masks.split_name("regions.png#00ff00"), masks.split_name("sky.png")
    (('regions.png', '#00ff00'), ('sky.png', ''))
    """
    found = re.fullmatch(r"(.*?)(#[0-9a-fA-F]{6})?", name, re.DOTALL)
    assert found
    return found[1], found[2] or ""


def load(source: Any) -> np.ndarray:
    """Load a mask: white is inside the region, black and transparent are outside, greys are between.

    Parameters
    ----------
    source : path, file object, PIL image or array
        As in `images.load`, or an array of bool. The weights are the luminance. A path can end in a color,
        "regions.png#ff0000": the region is then all pixels that differ from it by at most `TOLERANCE` of 255 in each
        channel. Such a file must not be a JPEG, which changes colors.

    Returns
    -------
    ndarray of float32, shape (H, W)
        In 0–1.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `images.load`; or if no pixel is inside.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import masks
    >>> masks.load(np.array([[True, False]]))
    array([[1., 0.]], dtype=float32)
    """
    file, color = split_color(source)
    if getattr(file, "dtype", None) == np.bool_:
        file = np.asarray(file) * np.uint8(255)
    pixels = images.load(file, ground=0.0)
    if color is not None:
        distance = np.abs(255 * pixels - np.frombuffer(bytes.fromhex(color), np.uint8)).max(axis=2)
        inside: np.ndarray = (distance < TOLERANCE + 0.5).astype(np.float32)
        if not inside.any():
            raise ValueError(f"no pixel has the color #{color}; {file} has {_frequent_colors(pixels)}")
        return inside
    mask: np.ndarray = (pixels @ LUMINANCE).clip(0, 1).astype(np.float32)
    if mask.max() <= 1.5 / 255:
        hint = "; an array of 0 and 1 must be of bool or float" if mask.any() else ""
        raise ValueError(f"the mask is all black, and a region is white{hint}")
    return mask


def _frequent_colors(pixels: np.ndarray) -> str:
    found, counts = np.unique(images.to_uint8(pixels).reshape(-1, 3), axis=0, return_counts=True)
    return ", ".join(f"#{bytes(found[k]).hex()}" for k in np.argsort(-counts)[:4])


def scaled(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """A mask at another size, (height, width); linear, so that it stays in 0–1 and masks that add up to 1 still do.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import masks
    >>> masks.scaled(np.array([[1.0, 1.0, 0.0, 0.0]], np.float32), (1, 2)).round(2)
    array([[0.86, 0.14]], dtype=float32)
    """
    if mask.shape == shape[:2]:
        return mask
    size = (int(shape[1]), int(shape[0]))
    return np.asarray(Image.fromarray(mask).resize(size, Image.Resampling.BILINEAR)).clip(0, 1)


def of_image(what: str, source: Any, image: np.ndarray) -> np.ndarray | None:
    """The mask of an image, at its size; None for None, all of it.

    Parameters
    ----------
    what : str
        Its name, for messages.
    source : as in `load`, or None
    image : ndarray, shape (H, W, 3)

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `load`; or if the mask does not have the proportions of the image, to a pixel.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import masks
    >>> masks.of_image("mask", np.ones((20, 30)), np.zeros((40, 60, 3))).shape
    (40, 60)
    """
    if source is None:
        return None
    try:
        mask = load(source)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{what}: {error}") from None
    (h, w), (H, W) = mask.shape, image.shape[:2]
    if abs(h * W - w * H) > max(h, w, H, W):  # off by more than one pixel of the smaller one
        raise ValueError(f"{what}: a mask of {w}×{h} pixels for an image of {W}×{H}; the proportions must be the same")
    return scaled(mask, image.shape)


def one_each(what: str, sources: Any, styles: int) -> list[tuple[str, Any]]:
    """The masks of several style images, not yet loaded, each with its name for messages.

    Parameters
    ----------
    what : str
        "content_masks" or "style_masks".
    sources : mask, list of masks, or None
    styles : int
        The number of style images.

    Raises
    ------
    ValueError
        If there is another number of masks.

    Examples
    --------
    >>> from nst_numpy import masks
    >>> masks.one_each("style_masks", ["sky.png", None], 2)
    [('mask 1 of style_masks', 'sky.png'), ('mask 2 of style_masks', None)]
    """
    several = list(sources) if isinstance(sources, list | tuple) else [sources] * (styles if sources is None else 1)
    if len(several) != styles:
        raise ValueError(f"{what} must have one mask for each of {styles} style images, found {len(several)}")
    return [(f"mask {k} of {what}", source) for k, source in enumerate(several, start=1)]


def in_layer(what: str, mask: np.ndarray | None, layer: str) -> np.ndarray | None:
    """The weights of a mask in a layer: its mean over the pixels of each position; None for None.

    That is the average pooling of the layers before, also in a network with max pooling: which pixel of a window is the
    largest changes with the picture, and the maxima of masks that share out the pixels would overlap.

    Parameters
    ----------
    what : str
        The mask's name, for messages.
    mask : ndarray, shape (H, W), or None
    layer : str

    Returns
    -------
    ndarray, shape (H_l, W_l), or None

    Raises
    ------
    ValueError
        If the region is smaller than one position of the layer.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import masks
    >>> masks.in_layer("mask", np.array([[1.0, 1, 1, 0], [1, 1, 0, 0]]), "conv2_1")
    array([[1.  , 0.25]])
    """
    if mask is None:
        return None
    (height, width), r = mask.shape, reduction(layer)
    h, w = height // r, width // r
    t: np.ndarray = mask[: h * r, : w * r].reshape(h, r, w, r).mean(axis=(1, 3), dtype=np.float64)
    if t.sum() < 1:
        raise ValueError(
            f"{what}: at {width}×{height} pixels its region is smaller than one position of {layer}, {r}×{r} pixels; "
            "make it larger, or take larger sizes or layers less deep"
        )
    return t
