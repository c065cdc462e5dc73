"""A painting as data: everything besides the images that determines it, validated and complete."""

import dataclasses
import inspect
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy import conventions
from nst_numpy.conventions import Convention
from nst_numpy.conventions.convention import Layers
from nst_numpy.network import VGG
from nst_numpy.optimize import LIMITS, METHODS
from nst_numpy.validation import check_choice, check_number, shown

STARTS = ("content", "noise", "gray", "grey", "style")
KEEP_COLORS = ("luminance", "statistics")

Weights = str | os.PathLike[str] | VGG  # for annotations

COARSEST = 64  # pixels; a size whose shorter side is smaller is left out


@dataclass(frozen=True, eq=False)
class Settings:
    """The arguments of `transfer`, `texture` and `reconstruct` besides the images, validated and complete.

    Values that are not given are taken from the convention when the object is made. After that every field has a value,
    except for the layers, whose defaults also depend on the network. `dataclasses.replace` changes single fields.

    Parameters
    ----------
    convention : str or Convention
        Whose losses to use, and whose defaults for values not given: "nst_numpy", "paper", "neural-style" and others;
        see `conventions`. The defaults stated below are those of "nst_numpy". The weights of most others are tuned for
        VGG-19 as published, `weights="vgg19"`; the features of the library's own network are smaller.
    weights : path or VGG, optional
        The network: a weight file, or a name from the registry such as "vgg19" (downloaded on first use); by default
        the network that ships with the library. Or a network returned by `load_weights`, which also takes pooling,
        padding, backend and threads.
    size : int or sequence of int
        Longer side of the picture in pixels; 512 by default. If it is one number, the convention adds smaller sizes
        before it: large forms settle there, where steps are cheap. Several numbers are the sizes themselves, from small
        to large, each starting from the picture of the previous one: `size=(512, 1024), steps=(100, 20)` ends with a
        short pass at high resolution, `size=(512,)` uses a single size. If `init` is "content", a larger size also
        starts with the details that the content image has there.
    steps : int or sequence of int, optional
        Maximum number of iterations for each size; 80 by default.
    content_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with weights v_l (else 1); conv3_4 by default. A default layer that the network lacks
        is replaced by the nearest one. (The paper uses conv4_2.)
    style_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with weights w_l (else 1/number of layers); conv1_1, conv2_1, conv3_1 and conv3_4 by
        default. (The paper uses conv4_1 and conv5_1 instead of conv3_4: larger forms, and more strokes in quiet
        areas.)
    content_weight : float, optional
        α, the weight of the content loss; 1 by default. Only the ratio of the three weights matters.
    style_weight : float, optional
        β, the weight of the style loss; 100 by default.
    tv_weight : float, optional
        γ, the weight of the total variation, which smooths; 20 by default.
    style_blend : sequence of float, optional
        A weight for each style image, all equal by default. Only their ratios matter.
    style_scale : float
        Longer side of the style image as a multiple of the picture's; 1 by default. Smaller values give finer strokes,
        larger ones coarser strokes.
    keep_colors : {"luminance", "statistics"}, optional
        Keep the colors of the content image: transfer luminance only, or first give the style image the mean and the
        covariance of the content image's colors; see `colors`.
    init : "content", "noise", "gray", "style", or path, PIL image or ndarray, optional
        The start: the content image (the default); white noise, as in the paper; uniform gray; the first style image;
        or any image, for example an earlier result. All are scaled to the size of the picture. If `size` is one number,
        such an image is refined at full size only.
    init_noise : float
        Fraction of white noise mixed into the start, 0 to 1; 0 by default.
    optimizer : {"lbfgs", "adam", "momentum", "gradient_descent"}, optional
        The optimizer, L-BFGS by default; see `optimize`.
    learning_rate : float, optional
        Learning rate of the optimizer, for pixels in 0–1; L-BFGS has none.
    optimizer_options : mapping of str to number, optional
        Further options of the optimizer, such as memory or beta1; see `optimize`. For example `{"memory": 20}`.
    seed : int
        Seed of the noise; 0 by default. The same seed gives the same picture.

    Raises
    ------
    TypeError, ValueError
        If a value has the wrong type, or is not as described above.

    Examples
    --------
    >>> settings = Settings(size=256, style_weight=1000)
    >>> settings.style_weight, settings.steps, settings.optimizer
    (1000.0, (80,), 'lbfgs')
    """

    convention: Convention
    weights: Weights
    size: int | tuple[int, ...]
    steps: tuple[int, ...]
    content_layers: tuple[str, ...] | dict[str, float] | None
    style_layers: tuple[str, ...] | dict[str, float] | None
    content_weight: float
    style_weight: float
    tv_weight: float
    style_blend: tuple[float, ...] | None
    style_scale: float
    keep_colors: str | None
    init: Any
    init_noise: float
    optimizer: str
    learning_rate: float | None
    optimizer_options: Mapping[str, float]
    seed: int

    def __init__(
        self,
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
    ):
        convention = conventions.get(convention)
        if not isinstance(weights, str | os.PathLike | VGG):
            raise TypeError(f"weights must be a path, a name or a VGG, found {type(weights).__name__}")
        sizes = _whole_numbers("size", size, least=1)
        numbers = _whole_numbers("steps", convention.steps if steps is None else steps, least=0)
        if list(sizes) != sorted(set(sizes)):
            raise ValueError(f"sizes must go from small to large, found {', '.join(map(str, sizes))}")
        if len(numbers) not in (1, len(sizes)):
            raise ValueError(f"{len(sizes)} sizes need as many numbers of steps, or one; found {len(numbers)}")
        alpha, beta, gamma = convention.loss_weights(content_weight, style_weight, tv_weight)
        if not (alpha or beta or gamma):
            raise ValueError("content_weight, style_weight and tv_weight are all 0: nothing to paint")
        check_number("style_scale", style_scale, least=0.05, most=20)
        if keep_colors is not None:
            check_choice("keep_colors", keep_colors, KEEP_COLORS)
        init = convention.init if init is None else init
        if isinstance(init, str) and init not in STARTS and not Path(init).suffix and not Path(init).exists():
            check_choice("start", init, STARTS, also="an image")
        check_number("init_noise", init_noise, most=1)
        check_number("seed", seed, whole=True)
        method, options = _optimizer(convention, optimizer, learning_rate, optimizer_options)
        resolved = {
            "convention": convention,
            "weights": weights,
            "size": sizes if isinstance(size, Iterable) else sizes[0],
            "steps": numbers,
            "content_layers": _layers("content_layers", content_layers),
            "style_layers": _layers("style_layers", style_layers),
            "content_weight": alpha,
            "style_weight": beta,
            "tv_weight": gamma,
            "style_blend": None if style_blend is None else tuple(np.atleast_1d(style_blend).tolist()),
            "style_scale": float(style_scale),
            "keep_colors": keep_colors,
            "init": "gray" if isinstance(init, str) and init == "grey" else init,
            "init_noise": float(init_noise),
            "optimizer": method,
            "learning_rate": options.get("learning_rate"),
            "optimizer_options": options,
            "seed": int(seed),
        }
        for name, value in resolved.items():
            object.__setattr__(self, name, value)  # frozen from here on

    @property
    def named_start(self) -> str | None:
        """The start, if it is one of those with a name; None if it is an image."""
        return self.init if isinstance(self.init, str) and self.init in STARTS else None

    @property
    def largest(self) -> int:
        """Longer side of the finished picture, in pixels."""
        return self.size[-1] if isinstance(self.size, tuple) else self.size

    def sizes(self, height: int, width: int) -> list[int]:
        """The sizes to work through, each the longer side in pixels, for a finished picture of this shape.

        If `size` is one number, these are as many sizes as the convention has, each half of the next. Those with less
        than 64 pixels in height or width are left out; if an image is given as the start, all but the last are.
        """
        if isinstance(self.size, tuple):
            return list(self.size)
        sizes, shorter = [max(height, width)], min(height, width)
        if self.named_start:
            while len(sizes) < self.convention.pyramid and shorter // 2 ** (len(sizes) - 1) >= 2 * COARSEST:
                sizes.insert(0, sizes[-1] // 2 ** len(sizes))
        return sizes

    def to_dict(self) -> dict[str, Any]:
        """The settings as names and numbers, for JSON; an image or a network is represented by its name."""
        return {f.name: named(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def to_json(self) -> str:
        """The settings as a line of JSON, as stored in a saved picture."""
        return json.dumps(self.to_dict())


def _optimizer(
    convention: Convention, optimizer: str | None, learning_rate: float | None, given: Mapping[str, float] | None
) -> tuple[str, dict[str, float]]:
    """The optimizer with its options: those of the convention, if it is the convention's, and then those given."""
    method = convention.optimizer if optimizer is None else optimizer
    check_choice("optimizer", method, METHODS)
    known = [name for name in inspect.getfullargspec(METHODS[method]).kwonlyargs if name in LIMITS]
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(f"optimizer_options must be names with numbers, such as {{'memory': 20}}, found {shown(given)}")
    options = {**(convention.optimizer_options if method == convention.optimizer else {}), **(given or {})}
    if learning_rate is not None:
        if "learning_rate" not in known:
            raise ValueError(
                f"{method} chooses the length of its steps itself: leave learning_rate out, or take another optimizer"
            )
        options["learning_rate"] = learning_rate
    for name, value in options.items():
        check_choice(f"option of {method}", name, known)
        check_number(name, value, **LIMITS[name])
    return method, options


def _whole_numbers(name: str, value: Any, *, least: int) -> tuple[int, ...]:
    """One whole number or several, as a tuple."""
    several = isinstance(value, Iterable) and not isinstance(value, str)
    if isinstance(value, np.ndarray) and not value.ndim:  # it only seems iterable
        value, several = value[()], False
    numbers = tuple(value) if several else (value,)
    if not numbers:
        raise ValueError(f"{name} must not be empty")
    for number in numbers:
        check_number(name, number, whole=True, least=least)
    return tuple(int(number) for number in numbers)


def _layers(name: str, value: Layers | None) -> tuple[str, ...] | dict[str, float] | None:
    if value is None or isinstance(value, str):
        return None if value is None else (value,)
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, Iterable) or isinstance(value, np.ndarray):
        raise TypeError(f"{name} must be names of layers, or names with weights, found {shown(value)}")
    return tuple(value)


def named(value: Any) -> Any:
    """A setting, or an input, as names and numbers, for JSON."""
    if isinstance(value, Convention | VGG):
        return value.name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list):
        return [named(v) for v in value]
    if isinstance(value, Mapping):
        return {name: named(v) for name, v in value.items()}
    return value if isinstance(value, str | int | float | None) else f"an image ({type(value).__name__})"
