"""The functions that users call: `transfer(content, style)`, and its two halves, `texture` and `reconstruct`.

Their keywords are the fields of `Settings`, where they are described; `painting.paint` does the work.
"""

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor
from inspect import getdoc, signature
from typing import Any, TypeVar

from nst_numpy import conventions
from nst_numpy.conventions import Convention
from nst_numpy.conventions.convention import Layers
from nst_numpy.painting import CHECKPOINT_EVERY, Callback, paint
from nst_numpy.result import TransferResult
from nst_numpy.settings import Settings, Weights

# What `paint` takes beside images and settings.
OTHERS = [p.name for p in signature(paint).parameters.values() if p.kind == p.KEYWORD_ONLY]

Function = TypeVar("Function", bound=Callable[..., TransferResult])


def parameters_of(documented: Any) -> dict[str, str]:
    """The entries of a docstring's Parameters section, by their first lines, such as "size : int"."""
    section = re.split(r"\n(\w.*)\n-+\n", getdoc(documented) or "")
    blocks = section[section.index("Parameters") + 1] if "Parameters" in section else ""  # `python -OO` drops it
    return {head: text.rstrip() for head, text in re.findall(r"^(\S.*)\n((?:(?: .*)?\n?)*)", blocks, re.MULTILINE)}


def _with_settings(function: Function) -> Function:
    """Replace {settings} in the function's docstring by the descriptions of its keywords in `Settings`."""
    takes = signature(function).parameters
    described = [f"{head}\n{text}" for head, text in parameters_of(Settings).items() if head.split()[0] in takes]
    function.__doc__ = (getdoc(function) or "").replace("{settings}", "\n".join(described))  # without its indentation
    return function


def _others(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a function's arguments that go to `paint` as they are."""
    return {name: value for name, value in arguments.items() if name in OTHERS}


def _fields(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Those of a function's arguments that are settings."""
    return {name: value for name, value in arguments.items() if name in signature(Settings).parameters}


@_with_settings
def transfer(
    content: Any,
    style: Any,
    *,
    convention: str | Convention = "nst_numpy",
    weights: Weights = "vgg19-mini",
    size: int | Sequence[int] = 512,
    steps: int | Sequence[int] | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    style_blend: Sequence[float] | None = None,
    style_scale: float = 1.0,
    keep_colors: str | None = None,
    init: Any = None,
    init_noise: float = 0.0,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    optimizer_options: Mapping[str, float] | None = None,
    seed: int = 0,
    content_masks: Any = None,
    style_masks: Any = None,
    content_mask: Any = None,
    every: int = 0,
    callback: Callback | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tile: int | None = None,
    executor: Executor | None = None,
) -> TransferResult:
    """Paint the content of one image in the style of another (Gatys, Ecker and Bethge 2015).

    The pixels x of the picture minimise

    L = α Σ_l v_l L_content,l + β Σ_l w_l E_l + γ TV

    with the content loss divided by the number of features of its layer, and the total variation by the number of
    pixels, so that one set of weights works for every size and every network. Other systems divide by other numbers:
    see `convention`.

    Parameters
    ----------
    content, style : path, file object, PIL image or array
        Arrays are uint8 in 0–255 or floats in 0–1, (H, W, 3), (H, W, 4) or (H, W). `style` can also be a list of
        images; 3 % of the shorter side of each is left out at its edges, where scans of paintings show a frame.
    {settings}
    content_masks : list of masks, optional
        Regions of the content image, one for each style image: each style is painted in its region only. A mask is an
        image with the proportions of its own, in which the region is white; greys are a soft edge, and transparent
        is outside. Or a path that ends in a color, "regions.png#ff0000": all pixels of that color, within 8 of 255.
        Arrays can be bool. None is the whole image. `style_blend` has the weights of the regions.
    style_masks : list of masks, optional
        One for each style image: its style is that of the part inside. None is all of it.
    content_mask : mask, optional
        The content loss counts inside only, to keep a face and let the rest dissolve.
    every : int
        Interval, in steps, at which the picture is kept in `.frames`; 0 for never.
    callback : callable, optional
        Called as `callback(step, image, losses)` at the start of each size and after every step, with the number of
        steps so far over all sizes, the picture as floats (H, W, 3), and the entry of the history. With a convention
        that is not `bounded`, or if only the luminance is painted, values can be outside 0–1. If it raises
        StopIteration, the current size ends, and the next one starts from its picture.
    progress : bool
        Whether to show a progress bar with the losses on standard error.
    checkpoint : path, optional
        A file, .h5, that keeps the run. Where it exists, the run goes on from it, bit for bit as if it had never
        stopped; it must be one of the same images, network and settings. The file of a finished run returns its result.
    checkpoint_every : float
        Seconds from one writing of it to the next; 0 writes it after every step.
    tile : int, optional
        Compute in tiles of this many pixels, for pictures that do not fit the memory: the same picture up to rounding.
        By default in the largest tiles that fit, if the whole does not; see docs/tiles.md.
    executor : concurrent.futures.Executor, optional
        That computes the tiles, such as `distributed.Client(...).get_executor()`: one picture by many machines. Tiles
        of 1024 by default.

    Returns
    -------
    TransferResult
        With `.image`, `.history`, `.frames` and `.save(path)`. After an interrupt from the keyboard (Ctrl-C), or if a
        loss is not finite, it has the best picture so far, and a warning is given.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    TypeError, ValueError
        If anything else is wrong with the input; the message says what was found and what was expected.
    KeyboardInterrupt
        If Ctrl-C comes before there is a picture.

    Examples
    --------
    >>> from nst_numpy import samples, transfer
    >>> result = transfer(samples.portrait(), samples.woodcut_waves(64), size=48, steps=3, progress=False)
    >>> result.image.shape, result.image.dtype
    ((48, 41, 3), dtype('uint8'))
    """
    settings = Settings(**_fields(locals()))
    return paint(content, style, settings, **_others(locals()))


@_with_settings
def texture(
    style: Any,
    *,
    convention: str | Convention = "nst_numpy",
    weights: Weights = "vgg19-mini",
    size: int | Sequence[int] = 512,
    steps: int | Sequence[int] | None = None,
    style_layers: Layers | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    style_blend: Sequence[float] | None = None,
    style_scale: float = 1.0,
    init: Any = "noise",
    init_noise: float = 0.0,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    optimizer_options: Mapping[str, float] | None = None,
    seed: int = 0,
    style_masks: Any = None,
    every: int = 0,
    callback: Callback | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tile: int | None = None,
    executor: Executor | None = None,
) -> TransferResult:
    """A picture with the style of an image and no content: `transfer` with the style loss alone.

    As in Gatys et al. 2015, figure 1.

    Parameters
    ----------
    style : path, file object, PIL image or array, or a list of them
        The picture has the proportions of the first. It starts from white noise by default.
    {settings}
    style_masks : list of masks, optional
        As in `transfer`: the texture of a part of the image.
    every, callback, progress, checkpoint, checkpoint_every, tile, executor
        As in `transfer`.

    Returns
    -------
    TransferResult

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `transfer`.

    Examples
    --------
    >>> from nst_numpy import samples, texture
    >>> texture(samples.woodcut_waves(64), size=(48,), steps=3, progress=False).image.shape
    (48, 48, 3)
    """
    settings = Settings(**_fields(locals()), content_layers=())
    first = style[0] if isinstance(style, list | tuple) and style else style
    return paint(first, style, settings, **_others(locals()))


@_with_settings
def reconstruct(
    content: Any,
    layer: str | Iterable[str],
    *,
    convention: str | Convention = "nst_numpy",
    weights: Weights = "vgg19-mini",
    size: int | Sequence[int] = 512,
    steps: int | Sequence[int] | None = None,
    content_weight: float | None = None,
    tv_weight: float | None = None,
    init: Any = "noise",
    init_noise: float = 0.0,
    optimizer: str | None = None,
    learning_rate: float | None = None,
    optimizer_options: Mapping[str, float] | None = None,
    seed: int = 0,
    every: int = 0,
    callback: Callback | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tile: int | None = None,
    executor: Executor | None = None,
) -> TransferResult:
    """An image from its features in a layer: `transfer` with the content loss alone (Gatys et al. 2015, figure 1).

    What is missing in the picture is what the layer does not represent.

    Parameters
    ----------
    content : path, file object, PIL image or array
    layer : str, or iterable of str
        Any layer, or several: "conv1_1" … "conv5_4", "pool1" … "pool5". The picture starts from white noise by default,
        as in the paper, and tv_weight is 0.5 with the library's own convention, 0 with others. What a deep layer does
        not see would remain noise; with a little smoothness, the content loss falls faster, too.
    {settings}
    every, callback, progress, checkpoint, checkpoint_every, tile, executor
        As in `transfer`.

    Returns
    -------
    TransferResult

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `transfer`.

    Examples
    --------
    >>> from nst_numpy import reconstruct, samples
    >>> reconstruct(samples.portrait(), "conv2_1", size=(48,), steps=3, progress=False).image.shape
    (48, 41, 3)
    """
    if tv_weight is None:
        tv_weight = 0.5 if conventions.get(convention).name == "nst_numpy" else 0.0
    settings = Settings(**_fields(locals()), content_layers=layer, style_layers=())
    return paint(content, content, settings, **_others(locals()))
