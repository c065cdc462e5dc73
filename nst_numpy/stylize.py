"""Style transfer as people call it: `transfer(content, style)`, and its two halves, `texture` and `reconstruct`."""

import dataclasses
import difflib
import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import chain
from pathlib import Path

import numpy as np
from tqdm import tqdm

from nst_numpy import colors, conventions, images
from nst_numpy import weights as weight_files
from nst_numpy.conventions import Convention
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.optimize import INTERRUPTED, METHODS, NOT_FINITE, STOPPED, OptimizeResult, minimize
from nst_numpy.validation import check_number

STARTS = ("content", "noise", "grey", "style")
KEEP_COLORS = ("luminance", "statistics")

COARSEST = 64  # pixels; a size whose shorter side is less is left out


@dataclass
class StyleTransfer:
    """What `transfer` returns; a notebook shows it as the picture.

    Attributes
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        The best picture found.
    history : list of dict of str to float
        For each size, the losses at its start and after every step: "total", "content", "style", "tv", and each style
        layer by its name. They are weighted, and add up: total = content + style + tv, style = the sum over its layers.
        Beside them the "size", the longer side in pixels.
    message : str
        Why the run ended.
    complete : bool
        False if it was interrupted from the keyboard, or a loss became not finite; `image` is the best until then.
    frames : list of ndarray of uint8, shape (h, w, 3)
        The pictures on the way, if `every` asked for them, each at the size at which it was painted.
    """

    image: np.ndarray
    history: list[dict[str, float]]
    message: str
    complete: bool
    frames: list[np.ndarray] = field(default_factory=list)

    def save(self, path: str | os.PathLike) -> None:
        """Write the picture to a file; the suffix names the format.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is no image format, or the folder does not exist.
        """
        images.save(self.image, path)

    def save_animation(self, path: str | os.PathLike, *, seconds: float = 5.0) -> None:
        """Write the way to the picture as an animation, its end for a second; a GIF, WebP or animated PNG.

        Parameters
        ----------
        path : path
        seconds : float
            How long the way takes.

        Raises
        ------
        ValueError, FileNotFoundError
            If there are no frames, the suffix is no format that moves, or the folder does not exist.
        """
        if not self.frames:
            raise ValueError("there are no frames to animate: ask for them with transfer(..., every=5), for example")
        images.save_animation([*self.frames, self.image], path, seconds)

    def save_losses(self, path: str | os.PathLike) -> None:
        """Write the losses: to a .csv file as a table with a row for each entry of the history, else as a plot.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is no format of a table or a plot, or the folder does not exist.
        """
        from nst_numpy.inspection import plots  # Matplotlib takes its time to import

        plots.save_losses(self.history, path)

    def _repr_png_(self) -> bytes:
        return images.png(self.image)


def transfer(
    content,
    style,
    *,
    convention: str | Convention = "nst_numpy",
    weights: str | os.PathLike | VGG = "vgg19-mini",
    size: int | Sequence[int] = 512,
    steps: int | Sequence[int] | None = None,
    scales: int | None = None,
    content_layers: Iterable[str] | Mapping[str, float] | None = None,
    style_layers: Iterable[str] | Mapping[str, float] | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    style_blend: Sequence[float] | None = None,
    keep_colors: str | None = None,
    init=None,
    init_noise: float = 0.0,
    optimizer: str | None = None,
    rate: float | None = None,
    pooling: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    every: int = 0,
    callback: Callable[[int, np.ndarray, dict[str, float]], None] | None = None,
    progress: bool = True,
) -> StyleTransfer:
    """Paint the content of one image in the style of another (Gatys, Ecker and Bethge 2015).

    The pixels x of the picture minimise

    L = α Σ_l v_l L_content,l + β Σ_l w_l E_l + γ TV

    with the content loss divided by the number of features of its layer, and the total variation by the number of
    pixels, so that one set of weights serves every size and every network. Other systems divide otherwise: see
    `convention`.

    Parameters
    ----------
    content, style : path, PIL image or ndarray
        Arrays are uint8 in 0–255 or floats in 0–1, (H, W, 3), (H, W, 4) or (H, W). For `style` also a list of images.
    convention : str or Convention
        Whose losses, and whose defaults for what is not given here: "nst_numpy", "paper", "neural-style" and others;
        see `conventions`. The defaults named below are those of "nst_numpy". The weights of most others are meant for
        VGG-19 as it was published, `weights="vgg19"`; the features of the library's own network are smaller.
    weights : path or VGG, optional
        The network: a weight file, a name of the register such as "vgg19" (downloaded at first use), or what
        `load_weights` returns. By default the one that the library brings along.
    size : int or sequence of int
        Longer side of the picture in pixels. The style image is scaled to the same longer side. Several sizes are
        worked through in order, each from the picture of the one before: `size=(512, 1024), steps=(100, 20)` ends with
        a short pass at high resolution.
    steps : int or sequence of int, optional
        Iterations of the optimiser for each size at most; 100 by default.
    scales : int, optional
        How many sizes, each half of the next, to work through from coarse to fine; 2 by default. Large forms settle
        where steps are cheap. Sizes with less than 64 pixels in height or width are left out, and an image as `init`
        is gone on from at full size. Of no effect where `size` names several.
    content_layers, style_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with their weights. Without weights, v_l = 1 and w_l = 1/(number of style layers). By
        default conv3_4 and conv1_1 … conv4_1; in place of one that the network lacks, the nearest. (The paper's are
        "conv4_2" and conv1_1 … conv5_1.)
    content_weight, style_weight, tv_weight : float, optional
        α, β and γ; not negative. What matters is their ratio; 1, 500 and 20 by default.
    style_blend : sequence of float, optional
        A weight for each style image; only their ratio matters. By default all the same.
    keep_colors : {"luminance", "statistics"}, optional
        Keep the colours of the content image: paint light and dark only, or give the style image the mean and the
        covariance of the content image's colours first; see `colors`.
    init : "content", "noise", "grey", "style", or path, PIL image or ndarray, optional
        Where to start: the content image (the default); white noise, as in the paper; even grey; the first style
        image; or any image, an earlier result for example. All scaled to the size of the picture.
    init_noise : float
        Share of white noise that is mixed into the start, 0 to 1.
    optimizer : {"lbfgs", "adam", "momentum", "gradient_descent"}, optional
        "lbfgs" by default; see `optimize`.
    rate : float, optional
        The learning rate of the optimiser, for pixels in 0–1; L-BFGS has none.
    pooling : {"average", "max"}, optional
        By default that of a given VGG, else "average", as in the paper.
    backend : {"fast", "plain"}, optional
        What the network runs on: compiled kernels on all cores, or the plain NumPy of `layers.py`. By default that of a
        given VGG, else "fast".
    threads : int, optional
        For the fast backend, by default one for each core. The picture is the same for any number.
    seed : int
        For the noise. The same seed gives the same picture.
    every : int
        Keep the picture at every so many steps, in `.frames`; 0 for none.
    callback : callable, optional
        Called as `callback(step, image, losses)` at the start of each size and after every step, with the number of
        steps so far over all sizes, the picture as floats (H, W, 3), not clipped to 0–1, and the entry of the history.
        It may raise StopIteration to end the run.
    progress : bool
        Show a progress bar with the losses on standard error.

    Returns
    -------
    StyleTransfer
        With `.image`, `.history`, `.frames` and `.save(path)`. Also after an interrupt from the keyboard (Ctrl-C), and
        when a loss is not finite: then with the best picture so far, and a warning.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If anything else is wrong with the input; the message says what, and what was expected.
    """
    convention = conventions.find(convention)
    scales = convention.scales if scales is None else scales
    for name, value, least in (("scales", scales, 1), ("seed", seed, 0), ("every", every, 0)):
        check_number(name, value, whole=True, least=least)
    sizes, steps = _sizes_and_steps(size, convention.steps if steps is None else steps)
    check_number("init_noise", init_noise, most=1)
    method, options = _method(convention, optimizer, rate)
    if threads is not None:
        check_number("threads", threads, whole=True, least=1)
    if keep_colors not in (None, *KEEP_COLORS):
        raise ValueError(f"unknown keep_colors {keep_colors!r}; there are {', '.join(KEEP_COLORS)}")

    content_image = _load("content", content, sizes[-1])
    styles = style if isinstance(style, list | tuple) else [style]
    style_images = [_load("style", source, sizes[-1]) for source in styles]
    colors_of = content_image
    if keep_colors == "statistics":
        style_images = [colors.match_colors(image, content_image) for image in style_images]
    elif keep_colors == "luminance":
        style_images = [colors.luminance(image, like=content_image) for image in style_images]
        content_image = colors.luminance(content_image)
    init = convention.init if init is None else init
    named = isinstance(init, str) and init in STARTS
    if len(sizes) == 1 and named:
        sizes = _from_coarse(content_image, scales)
    steps = steps * len(sizes) if len(steps) == 1 else steps
    network = _network(weights, {"pooling": pooling, "backend": backend, "threads": threads}, convention)

    def objective_at(size: int) -> tuple[tuple[int, ...], Objective]:
        content_here = images.load(content_image, size)
        return content_here.shape, Objective.of(
            network,
            content_here,
            [images.load(image, size) for image in style_images],
            content_layers=content_layers,
            style_layers=style_layers,
            content_weight=content_weight,
            style_weight=style_weight,
            tv_weight=tv_weight,
            style_blend=style_blend,
            convention=convention,
        )

    objectives = map(objective_at, sizes)
    first = next(objectives)  # what is wrong with the input shows before the progress bar does
    picture = _start(init, init_noise, content_image, style_images[0], first[0], network, convention, seed)
    if keep_colors == "luminance":
        picture = colors.luminance(picture)

    @cache
    def colors_at(height: int, width: int) -> np.ndarray:
        return images.load(colors_of, (height, width))

    def shown(x: np.ndarray) -> np.ndarray:
        return colors.with_luminance(colors_at(*x.shape[:2]), x) if keep_colors == "luminance" else x

    history: list[dict[str, float]] = []
    frames: list[np.ndarray] = []
    done = 0
    with tqdm(total=sum(steps), disable=not progress, unit="step") as bar:

        def after_step(state: OptimizeResult) -> None:
            step = done + state.nit
            losses = {**state.info, "size": max(state.x.shape)}
            history.append(losses)
            bar.set_postfix({k: f"{losses[k]:.3g}" for k in ("total", "content", "style", "tv")}, refresh=False)
            bar.update(step - bar.n)
            keep = every and step % every == 0
            if not keep and not callback:
                return
            image = shown(state.x)
            if keep:
                frames.append(images.to_uint8(image))
            if callback:
                callback(step, image, losses)

        for (shape, objective), steps_here in zip(chain([first], objectives), steps, strict=True):
            if picture.shape != shape:
                picture = images.load(picture.clip(0, 1), shape[:2])
            found = minimize(
                objective, picture, method, maxiter=steps_here, gtol=0, ftol=0, callback=after_step, **options
            )
            picture, done = found.x, done + found.nit
            if found.status in (STOPPED, NOT_FINITE, INTERRUPTED):
                break

    message = found.message
    complete = found.status not in (NOT_FINITE, INTERRUPTED)
    if not complete:
        message += f"; this is the best picture so far, after step {done} of {sum(steps)}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    if picture.shape != content_image.shape:  # ended at a coarse size
        picture = images.load(picture.clip(0, 1), content_image.shape[:2])
    return StyleTransfer(images.to_uint8(shown(picture)), history, message, complete, frames)


def texture(style, *, init="noise", **options) -> StyleTransfer:
    """A picture with the style of an image and no content: `transfer` with the style loss alone (as in figure 1).

    Parameters
    ----------
    style : path, PIL image or ndarray, or a list of them
        The picture gets the proportions of the first.
    init
        As in `transfer`; white noise by default.
    **options
        Those of `transfer`, but for the ones that concern the content.

    Returns
    -------
    StyleTransfer

    Raises
    ------
    FileNotFoundError, ValueError
        As `transfer`.
    """
    first = style[0] if isinstance(style, list | tuple) and style else style
    return transfer(first, style, content_layers=[], init=init, **options)


def reconstruct(
    content, layer: str | Iterable[str], *, init="noise", tv_weight: float = 0.0, **options
) -> StyleTransfer:
    """An image from its features in a layer: `transfer` with the content loss alone (Gatys et al. 2015, figure 1).

    What the picture lacks is what the layer has forgotten.

    Parameters
    ----------
    content : path, PIL image or ndarray
    layer : str, or iterable of str
        Any layer, or several: "conv1_1" … "conv5_4", "pool1" … "pool5".
    init, tv_weight
        As in `transfer`; white noise and 0 by default, as in the paper.
    **options
        Those of `transfer`, but for the ones that concern the style.

    Returns
    -------
    StyleTransfer

    Raises
    ------
    FileNotFoundError, ValueError
        As `transfer`.
    """
    return transfer(content, content, content_layers=layer, style_layers=[], init=init, tv_weight=tv_weight, **options)


def _sizes_and_steps(size, steps) -> tuple[list[int], list[int]]:
    """Both as lists: one size and one number of steps, or several sizes with a number of steps for each or for all."""
    sizes, numbers = ([x] if not isinstance(x, list | tuple) else list(x) for x in (size, steps))
    for name, values, least in (("size", sizes, 1), ("steps", numbers, 0)):
        if not values:
            raise ValueError(f"{name} must not be empty")
        for value in values:
            check_number(name, value, whole=True, least=least)
    if sizes != sorted(set(sizes)):
        raise ValueError(f"sizes must go from small to large, found {', '.join(map(str, sizes))}")
    if len(numbers) not in (1, len(sizes)):
        raise ValueError(f"{len(sizes)} sizes need as many numbers of steps, or one; found {len(numbers)}")
    return [int(size) for size in sizes], [int(number) for number in numbers]


def _from_coarse(image: np.ndarray, scales: int) -> list[int]:
    """The longer side of the image, after up to so many sizes, each half of the next."""
    longer, shorter = max(image.shape[:2]), min(image.shape[:2])
    halves = [longer]
    while len(halves) < scales and shorter // 2 ** (len(halves) - 1) >= 2 * COARSEST:
        halves.insert(0, longer // 2 ** len(halves))
    return halves


def _method(convention: Convention, optimizer: str | None, rate: float | None) -> tuple[str, dict[str, float]]:
    """The optimiser with its options: those of the convention, if it is the convention's."""
    method = convention.optimizer if optimizer is None else optimizer
    if method not in METHODS:
        raise ValueError(f"unknown optimizer {method!r}; there are {', '.join(METHODS)}")
    options = dict(convention.options) if method == convention.optimizer else {}
    if rate is None:
        return method, options
    check_number("rate", rate)
    if method == "lbfgs":
        raise ValueError("lbfgs finds the length of its steps itself: leave rate out, or take another optimizer")
    return method, {**options, "learning_rate": rate}


def _network(weights, runs: dict, convention: Convention) -> VGG:
    """The network, with what was asked for changed; a file is read in the way of the convention."""
    runs = {name: value for name, value in runs.items() if value is not None}
    if isinstance(weights, VGG):
        same = all(getattr(weights, name) == value for name, value in runs.items())
        return weights if same else dataclasses.replace(weights, **runs)  # the same one keeps what it has prepared
    if isinstance(weights, str | os.PathLike):
        return weight_files.load(weights, **{"pooling": convention.pooling, "normalize": convention.normalize, **runs})
    raise ValueError(f"weights must be a path or a VGG, found {type(weights).__name__}")


def _load(what: str, source, size: int | tuple[int, int]) -> np.ndarray:
    try:
        return images.load(source, size)
    except ValueError as error:
        raise ValueError(f"{what} image: {error}") from None


def _start(
    init,
    noise: float,
    content: np.ndarray,
    style: np.ndarray,
    shape: tuple[int, ...],
    network: VGG,
    convention: Convention,
    seed: int,
) -> np.ndarray:
    """The picture to start from, with its share of white noise."""
    name = init if isinstance(init, str) else ""
    if name == "noise":
        name, noise = "grey", 1.0
    if name == "grey":
        picture = np.full(shape, 0.5, np.float32)
    elif name in STARTS:
        picture = images.load({"content": content, "style": style}[name], shape[:2])
    elif name and not Path(name).suffix and not Path(name).exists():
        (nearest,) = difflib.get_close_matches(name, STARTS, n=1, cutoff=0)
        raise ValueError(f"unknown start {init!r}; did you mean {nearest}? There are {', '.join(STARTS)}, or an image")
    else:
        picture = _load("init", init, shape[:2])
    if not noise:
        return picture
    rng = np.random.default_rng(seed)
    if convention.noise is None:
        white = rng.random(shape, dtype=np.float32)
    else:
        white = (network.mean / 255 + convention.noise * rng.standard_normal(shape)).astype(np.float32)
    return np.float32(1 - noise) * picture + np.float32(noise) * white
