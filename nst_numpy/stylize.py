"""Style transfer as people call it: `transfer(content, style)`."""

import dataclasses
import math
import os
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from tqdm import tqdm

from nst_numpy import images
from nst_numpy import weights as weight_files
from nst_numpy.network import VGG, layer_names
from nst_numpy.objective import Objective
from nst_numpy.optimize import METHODS, STOPPED, OptimizeResult, minimize

# Chosen by eye for the network that comes with the library, whose first three blocks know most. The paper takes conv4_2
# for content, and conv5_1 for style as well (Gatys et al. 2015, figure 2 and section Methods).
CONTENT_LAYERS = ("conv3_4",)
STYLE_LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1")

STARTS = ("content", "noise")

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
    """

    image: np.ndarray
    history: list[dict[str, float]]
    message: str
    complete: bool

    def save(self, path: str | os.PathLike) -> None:
        """Write the picture to a file; the suffix names the format.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is no image format, or the folder does not exist.
        """
        images.save(self.image, path)

    def _repr_png_(self) -> bytes:
        return images.png(self.image)


def transfer(
    content,
    style,
    *,
    weights: str | os.PathLike | VGG = "vgg19-mini",
    size: int = 512,
    steps: int = 100,
    scales: int = 2,
    content_layers: Iterable[str] | Mapping[str, float] | None = None,
    style_layers: Iterable[str] | Mapping[str, float] | None = None,
    content_weight: float = 1.0,
    style_weight: float = 500.0,
    tv_weight: float = 20.0,
    init="content",
    optimizer: str = "lbfgs",
    pooling: str | None = None,
    backend: str | None = None,
    threads: int | None = None,
    seed: int = 0,
    callback: Callable[[int, np.ndarray, dict[str, float]], None] | None = None,
    progress: bool = True,
) -> StyleTransfer:
    """Paint the content of one image in the style of another (Gatys, Ecker and Bethge 2015).

    The pixels x of the picture minimise

    L = α Σ_l v_l L_content,l + β Σ_l w_l E_l + γ TV

    with the content loss divided by the number of features of its layer, and the total variation by the number of
    pixels, so that one set of weights serves every size and every network.

    Parameters
    ----------
    content, style : path, PIL image or ndarray
        Arrays are uint8 in 0–255 or floats in 0–1, (H, W, 3), (H, W, 4) or (H, W).
    weights : path or VGG, optional
        The network: a weight file, a name of the register such as "vgg19" (downloaded at first use), or what
        `load_weights` returns. By default the one that the library brings along.
    size : int
        Longer side of the picture in pixels. The style image is scaled to the same longer side.
    steps : int
        Iterations of the optimiser for each size at most.
    scales : int
        How many sizes, each half of the next, to work through from coarse to fine; each starts from the picture of the
        one before. Large forms settle where steps are cheap. Sizes with less than 64 pixels in height or width are left
        out, and an image as `init` is gone on from at full size.
    content_layers, style_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with their weights. Without weights, v_l = 1 and w_l = 1/(number of style layers). By
        default conv3_4 and conv1_1 … conv4_1; in place of one that the network lacks, the nearest. (The paper's are
        "conv4_2" and conv1_1 … conv5_1.)
    content_weight, style_weight, tv_weight : float
        α, β and γ; not negative. What matters is their ratio.
    init : "content", "noise", or path, PIL image or ndarray
        Where to start: the content image; white noise, as in the paper; or any image, an earlier result for example,
        scaled to the size of the picture.
    optimizer : {"lbfgs", "gradient_descent"}
    pooling : {"average", "max"}, optional
        By default that of a given VGG, else "average", as in the paper.
    backend : {"fast", "plain"}, optional
        What the network runs on: compiled kernels on all cores, or the plain NumPy of `layers.py`. By default that of a
        given VGG, else "fast".
    threads : int, optional
        For the fast backend, by default one for each core. The picture is the same for any number.
    seed : int
        For the noise. The same seed gives the same picture.
    callback : callable, optional
        Called as `callback(step, image, losses)` at the start of each size and after every step, with the number of
        steps so far over all sizes, the picture as floats (H, W, 3), not clipped to 0–1, and the entry of the history.
        It may raise StopIteration to end the run.
    progress : bool
        Show a progress bar with the losses on standard error.

    Returns
    -------
    StyleTransfer
        With `.image`, `.history` and `.save(path)`. Also after an interrupt from the keyboard (Ctrl-C), and when a loss
        is not finite: then with the best picture so far, and a warning.

    Raises
    ------
    FileNotFoundError
        If a file does not exist.
    ValueError
        If anything else is wrong with the input; the message says what, and what was expected.
    """
    _check_number("size", size, whole=True, least=1)
    _check_number("steps", steps, whole=True, least=0)
    _check_number("scales", scales, whole=True, least=1)
    _check_number("seed", seed, whole=True, least=0)
    for name, value in (("content", content_weight), ("style", style_weight), ("tv", tv_weight)):
        _check_number(f"{name}_weight", value)
    if optimizer not in METHODS:
        raise ValueError(f"unknown optimizer {optimizer!r}; there are {', '.join(METHODS)}")
    if threads is not None:
        _check_number("threads", threads, whole=True, least=1)

    content_image, style_image = (_load(what, x, size) for what, x in (("content", content), ("style", style)))
    pictures = _sizes(content_image, scales if isinstance(init, str) and init in STARTS else 1)
    picture = _start(init, pictures[0], seed)
    runs = {"pooling": pooling, "backend": backend, "threads": threads}
    network = _network(weights, {name: value for name, value in runs.items() if value is not None})
    content_layers = _weighted_layers(network, content_layers, CONTENT_LAYERS, total=None)
    style_layers = _weighted_layers(network, style_layers, STYLE_LAYERS, total=1.0)
    if not content_layers and not style_layers:
        raise ValueError("at least one content layer or style layer is needed")

    history: list[dict[str, float]] = []
    done = 0
    with tqdm(total=steps * len(pictures), disable=not progress, unit="step") as bar:

        def after_step(state: OptimizeResult) -> None:
            losses = {**state.info, "size": max(state.x.shape)}
            history.append(losses)
            bar.set_postfix({k: f"{losses[k]:.3g}" for k in ("total", "content", "style", "tv")}, refresh=False)
            bar.update(done + state.nit - bar.n)
            if callback:
                callback(done + state.nit, state.x, losses)

        for content_here in pictures:
            if picture.shape != content_here.shape:
                picture = images.load(picture.clip(0, 1), content_here.shape[:2])
            objective = Objective.of(
                network,
                content_here,
                images.load(style_image, max(content_here.shape)),
                content_layers=content_layers,
                style_layers=style_layers,
                content_weight=float(content_weight),
                style_weight=float(style_weight),
                tv_weight=float(tv_weight),
            )
            found = minimize(objective, picture, optimizer, maxiter=steps, gtol=0, ftol=0, callback=after_step)
            picture, done = found.x, done + found.nit
            if not found.success or found.message == STOPPED:
                break

    message = found.message
    if not found.success:
        message += f"; this is the best picture so far, after step {done} of {steps * len(pictures)}"
        warnings.warn(message, RuntimeWarning, stacklevel=2)
    if picture.shape != content_image.shape:  # ended at a coarse size
        picture = images.load(picture.clip(0, 1), content_image.shape[:2])
    return StyleTransfer(images.to_uint8(picture), history, message, found.success)


def _sizes(image: np.ndarray, scales: int) -> list[np.ndarray]:
    """The image at up to so many sizes, each half of the next, the last its own."""
    halves = [image]
    while len(halves) < scales and min(halves[0].shape[:2]) >= 2 * COARSEST:
        halves.insert(0, images.load(image, max(image.shape) // 2 ** len(halves)))
    return halves


def _check_number(name: str, value, *, whole: bool = False, least: float = 0) -> None:
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    if not isinstance(value, kind) or isinstance(value, bool) or not math.isfinite(value) or value < least:
        raise ValueError(f"{name} must be a {'whole ' * whole}number of at least {least}, found {value!r}")


def _network(weights, runs: dict) -> VGG:
    if isinstance(weights, VGG):
        same = all(getattr(weights, name) == value for name, value in runs.items())
        return weights if same else dataclasses.replace(weights, **runs)  # the same one keeps what it has prepared
    if isinstance(weights, str | os.PathLike):
        return weight_files.load(weights, **runs)
    raise ValueError(f"weights must be a path or a VGG, found {type(weights).__name__}")


def _load(what: str, source, size: int | tuple[int, int]) -> np.ndarray:
    try:
        return images.load(source, size)
    except ValueError as error:
        raise ValueError(f"{what} image: {error}") from None


def _weighted_layers(network: VGG, layers, paper: tuple[str, ...], total: float | None) -> dict[str, float]:
    """Canonical names with weights: those given, or equal ones that sum to `total` (None: 1 each)."""
    if layers is None:
        layers = _nearest(network, paper)
    if isinstance(layers, str):
        layers = [layers]
    if not isinstance(layers, Mapping):
        layers = list(layers)
        layers = dict.fromkeys(layers, 1.0 if total is None else total / max(len(layers), 1))
    for name, weight in layers.items():
        _check_number(f"the weight of {name}", weight)
    return {network.canonical(name): float(weight) for name, weight in layers.items()}


def _nearest(network: VGG, layers: Iterable[str]) -> list[str]:
    """Those of the layers that the network has; for one that it lacks, its convolution nearest in depth; no doubles."""
    depths = {name: depth for depth, name in enumerate(layer_names("vgg19"))}
    nearest = [min(network.convolutions, key=lambda name: abs(depths[name] - depths[layer])) for layer in layers]
    return list(dict.fromkeys(nearest))


def _start(init, content: np.ndarray, seed: int) -> np.ndarray:
    if isinstance(init, str) and init == "content":
        return content
    if isinstance(init, str) and init == "noise":
        return np.random.default_rng(seed).random(content.shape, dtype=np.float32)
    return _load("init", init, content.shape[:2])
