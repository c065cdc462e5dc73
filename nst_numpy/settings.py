"""A painting as data: everything beside the images that determines it, checked and complete."""

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
from nst_numpy.validation import check_choice, check_number

STARTS = ("content", "noise", "gray", "grey", "style")
KEEP_COLORS = ("luminance", "statistics")

COARSEST = 64  # pixels; a size whose shorter side is less is left out


@dataclass(frozen=True, kw_only=True, eq=False)
class Settings:
    """What `transfer` and its relatives take beside the images, validated and resolved against the convention.

    What is not given is taken from the convention when the object is made: afterwards every field has a value, but for
    the layers, whose default also depends on the network. `dataclasses.replace` changes single fields.

    Parameters
    ----------
    convention : str or Convention
        Whose losses, and whose defaults for what is not given here: "nst_numpy", "paper", "neural-style" and others;
        see `conventions`. The defaults named below are those of "nst_numpy". The weights of most others are meant for
        VGG-19 as it was published, `weights="vgg19"`; the features of the library's own network are smaller.
    weights : path or VGG, optional
        The network: a weight file, or a name from the registry such as "vgg19" (downloaded at first use); by default
        the network in the box. Or what `load_weights` returns, which also chooses pooling, backend and threads.
    size : int or sequence of int
        Longer side of the picture in pixels; 512 by default. From one number, the convention chooses smaller sizes to
        begin with: large forms settle where steps are cheap. Several numbers are the sizes themselves, from small to
        large, each begun with the picture of the one before: `size=(512, 1024), steps=(100, 20)` ends with a short pass
        at high resolution, `size=(512,)` is one size alone.
    steps : int or sequence of int, optional
        Maximum number of iterations for each size; 100 by default.
    content_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with weights v_l (else 1); conv3_4 by default. In place of a default layer that the
        network lacks, the nearest is taken. (The paper's is conv4_2.)
    style_layers : iterable of str, or mapping of str to float, optional
        Names of layers, or names with weights w_l (else 1/number of layers); conv1_1, conv2_1, conv3_1 and conv4_1 by
        default. (The paper's also have conv5_1.)
    content_weight : float, optional
        α, the weight of the content loss; 1 by default. Only the ratio of the three weights matters.
    style_weight : float, optional
        β, the weight of the style loss; 500 by default.
    tv_weight : float, optional
        γ, the weight of the total variation; 20 by default. It smooths.
    style_blend : sequence of float, optional
        A weight for each style image, all equal by default. Only their ratio matters.
    style_scale : float
        Longer side of the style image as a multiple of the picture's; 1 by default. Smaller values give finer strokes,
        larger ones coarser strokes.
    keep_colors : {"luminance", "statistics"}, optional
        Keep the colors of the content image: paint light and dark only, or give the style image the mean and the
        covariance of the content image's colors first; see `colors`.
    init : "content", "noise", "gray", "style", or path, PIL image or ndarray, optional
        Where to start: the content image (the default); white noise, as in the paper; even gray; the first style
        image; or any image, an earlier result for example. All are scaled to the size of the picture. An image is
        refined at full size only, where `size` is one number.
    init_noise : float
        Share of white noise that is mixed into the start, 0 to 1; 0 by default.
    optimizer : {"lbfgs", "adam", "momentum", "gradient_descent"}, optional
        What minimises the loss, L-BFGS by default; see `optimize`.
    learning_rate : float, optional
        Of the optimizer, for pixels in 0–1; L-BFGS has none.
    optimizer_options : mapping of str to number, optional
        Further options of the optimizer, such as `{"memory": 20}` or `{"beta1": 0.99}`; see `optimize`.
    seed : int
        For the noise; 0 by default. The same seed gives the same picture.

    Raises
    ------
    TypeError, ValueError
        If a value is of the wrong type, or not what is said above.

    Examples
    --------
    >>> settings = Settings(size=256, style_weight=1000)
    >>> settings.style_weight, settings.steps, settings.optimizer
    (1000.0, (100,), 'lbfgs')
    """

    convention: str | Convention = "nst_numpy"
    weights: str | os.PathLike[str] | VGG = "vgg19-mini"
    size: int | Sequence[int] = 512
    steps: int | Sequence[int] | None = None
    content_layers: Layers | None = None
    style_layers: Layers | None = None
    content_weight: float | None = None
    style_weight: float | None = None
    tv_weight: float | None = None
    style_blend: Sequence[float] | None = None
    style_scale: float = 1.0
    keep_colors: str | None = None
    init: Any = None
    init_noise: float = 0.0
    optimizer: str | None = None
    learning_rate: float | None = None
    optimizer_options: Mapping[str, float] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        convention = conventions.get(self.convention)
        sizes = _whole_numbers("size", self.size, least=1)
        steps = _whole_numbers("steps", convention.steps if self.steps is None else self.steps, least=0)
        if list(sizes) != sorted(set(sizes)):
            raise ValueError(f"sizes must go from small to large, found {', '.join(map(str, sizes))}")
        if len(steps) not in (1, len(sizes)):
            raise ValueError(f"{len(sizes)} sizes need as many numbers of steps, or one; found {len(steps)}")
        one = isinstance(self.size, int | np.integer)
        self._set(convention=convention, size=sizes[0] if one else sizes, steps=steps)
        for name in ("content_weight", "style_weight", "tv_weight"):
            value = getattr(self, name)
            value = getattr(convention, name) if value is None else value
            check_number(name, value)
            self._set(**{name: float(value)})
        if not (self.content_weight or self.style_weight or self.tv_weight):
            raise ValueError("content_weight, style_weight and tv_weight are all 0: nothing to paint")
        for name in ("content_layers", "style_layers"):
            if getattr(self, name) is not None:
                self._set(**{name: _layers(name, getattr(self, name))})
        if self.style_blend is not None:
            self._set(style_blend=tuple(np.atleast_1d(self.style_blend).tolist()))
        check_number("style_scale", self.style_scale, least=0.05, most=20)
        check_number("init_noise", self.init_noise, most=1)
        check_number("seed", self.seed, whole=True)
        if self.keep_colors is not None:
            check_choice("keep_colors", self.keep_colors, KEEP_COLORS)
        init = convention.init if self.init is None else self.init
        if isinstance(init, str) and init not in STARTS and not Path(init).suffix and not Path(init).exists():
            check_choice("start", init, STARTS, also="an image")
        self._set(init="gray" if isinstance(init, str) and init == "grey" else init)
        if not isinstance(self.weights, str | os.PathLike | VGG):
            raise TypeError(f"weights must be a path, a name or a VGG, found {type(self.weights).__name__}")
        self._resolve_optimizer(convention)

    def _resolve_optimizer(self, convention: Convention) -> None:
        """The optimizer with its options: those of the convention, if it is the convention's."""
        method = convention.optimizer if self.optimizer is None else self.optimizer
        check_choice("optimizer", method, METHODS)
        given = dict(self.optimizer_options or {})
        if self.learning_rate is not None:
            check_number("learning_rate", self.learning_rate)
            if "learning_rate" not in _options_of(method):
                raise ValueError(
                    f"{method} chooses the length of its steps itself: leave learning_rate out, or take another "
                    "optimizer"
                )
            given["learning_rate"] = self.learning_rate
        for name, value in given.items():
            check_choice(f"option of {method}", name, _options_of(method))
            check_number(name, value, **LIMITS[name])
        options = {**(convention.optimizer_options if method == convention.optimizer else {}), **given}
        self._set(optimizer=method, optimizer_options=options, learning_rate=options.get("learning_rate"))

    def _set(self, **values: Any) -> None:
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @property
    def largest(self) -> int:
        """Longer side of the finished picture, in pixels."""
        return self.size[-1] if isinstance(self.size, tuple) else self.size  # type: ignore[return-value]

    def sizes(self, height: int, width: int) -> list[int]:
        """The sizes to work through, each the longer side in pixels, for a finished picture of this shape.

        From one number, the convention's number of sizes, each half of the next; those with less than 64 pixels in
        height or width are left out, and so are all but the last where an image is given to start from.
        """
        if isinstance(self.size, tuple):
            return list(self.size)
        assert isinstance(self.convention, Convention)
        sizes, shorter = [max(height, width)], min(height, width)
        if isinstance(self.init, str) and self.init in STARTS:
            while len(sizes) < self.convention.pyramid and shorter // 2 ** (len(sizes) - 1) >= 2 * COARSEST:
                sizes.insert(0, sizes[-1] // 2 ** len(sizes))
        return sizes

    def to_dict(self) -> dict[str, Any]:
        """The settings as names and numbers, for JSON; an image or a network is named, not contained."""
        return {f.name: _named(getattr(self, f.name)) for f in dataclasses.fields(self)}

    def to_json(self) -> str:
        """The settings as a line of JSON, as a saved picture holds it."""
        return json.dumps(self.to_dict())


def _options_of(method: str) -> list[str]:
    return inspect.getfullargspec(METHODS[method]).kwonlyargs


def _whole_numbers(name: str, value: Any, *, least: int) -> tuple[int, ...]:
    """One whole number or several, as a tuple."""
    several = isinstance(value, Iterable) and not isinstance(value, str)
    numbers = tuple(value) if several else (value,)
    if not numbers:
        raise ValueError(f"{name} must not be empty")
    for number in numbers:
        check_number(name, number, whole=True, least=least)
    return tuple(int(number) for number in numbers)


def _layers(name: str, value: Layers) -> tuple[str, ...] | dict[str, float]:
    if isinstance(value, str):
        return (value,)
    if isinstance(value, Mapping):
        return dict(value)
    if not isinstance(value, Iterable):
        raise TypeError(f"{name} must be names of layers, or names with weights, found {value!r}")
    return tuple(value)


def _named(value: Any) -> Any:
    if isinstance(value, Convention | VGG):
        return value.name
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return [_named(v) for v in value]
    if isinstance(value, Mapping):
        return {name: _named(v) for name, v in value.items()}
    return value if isinstance(value, str | int | float | None) else f"an image ({type(value).__name__})"
