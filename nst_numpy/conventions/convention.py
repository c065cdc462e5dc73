"""The parts of a convention: the terms as systems write them, and their factors relative to the paper's."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any, Literal

import numpy as np

from nst_numpy import losses, masks, tiles
from nst_numpy.network import VGG
from nst_numpy.topology import FILTERS, block, canonical, layer_names, reduction
from nst_numpy.validation import check_choice, check_number, iterable, shown


@dataclass(frozen=True)
class ContentForm:
    """The content term of a layer as a system writes it, and its factor a(N, M) relative to L_content."""

    formula: str
    factor: Callable[[int, int], float]


@dataclass(frozen=True)
class StyleForm:
    """The style term of a layer as a system writes it, and its factor b(N, M, S, e) relative to E.

    e = Σ A²/(4 N² M²) is the energy of the style image in the layer: the value of E for a picture without features.
    """

    formula: str
    factor: Callable[[int, int, int, float], float]
    relative: bool = False  # whether it depends on e


CONTENT_TERMS = {
    "half_sum": ContentForm("½ Σ (F − P)²", lambda N, M: 1.0),
    "sum": ContentForm("Σ (F − P)²", lambda N, M: 2.0),
    "half_mean": ContentForm("½ mean of (F − P)²", lambda N, M: 1 / (N * M)),
    "mean": ContentForm("mean of (F − P)²", lambda N, M: 2 / (N * M)),
}

STYLE_TERMS = {
    "paper": StyleForm("Σ (G − A)² / 4N²M²", lambda N, M, S, e: 1.0),
    "relative": StyleForm("Σ (G − A)² / Σ A²", lambda N, M, S, e: 1 / e, relative=True),
    "sum_over_nm": StyleForm("Σ of squares of (G − A)/NM", lambda N, M, S, e: 4.0),
    "mean_over_m": StyleForm("mean of squares of (G − A)/M", lambda N, M, S, e: 4.0),
    "mean_over_nm": StyleForm("mean of squares of (G − A)/NM", lambda N, M, S, e: 4 / N**2),
    "sum_over_pixels": StyleForm("Σ (G − A)² / 36S²", lambda N, M, S, e: N**2 * M**2 / (9 * S**2)),
}

# The weight of a layer that is given without one, in a list of n layers.
LAYER_WEIGHTS: dict[str, Callable[[int, int], float]] = {
    "1": lambda n, N: 1.0,
    "1/n": lambda n, N: 1 / n,
    "1/N^2": lambda n, N: 1 / N**2,
}

Layers = Iterable[str] | Mapping[str, float]
StyleGram = tuple[np.ndarray, int]  # of a layer: the Gram matrix, and the number of positions
StyleGrams = Callable[..., Iterable[dict[str, StyleGram]]]  # `style_grams`, or what remembers its results


@dataclass(frozen=True)
class Variation:
    """A sum over the differences of neighbouring pixels: its formula, value, gradient, and degree.

    In the formula d↓ is a difference down the image, d→ one to the right, and d either. The degree says how the value
    scales: variation(s x) = s^degree · variation(x).
    """

    formula: str
    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    degree: float


VARIATIONS = {
    "squares": Variation("½ Σ d²", losses.total_variation, losses.total_variation_gradient, 2),
    "absolute_down": Variation(
        "Σ |d↓|", partial(losses.absolute_variation, axis=0), partial(losses.absolute_variation_gradient, axis=0), 1
    ),
    "absolute_right": Variation(
        "Σ |d→|", partial(losses.absolute_variation, axis=1), partial(losses.absolute_variation_gradient, axis=1), 1
    ),
    "joint_squares": Variation(
        "Σ (d↓² + d→²)", partial(losses.joint_variation, power=1), partial(losses.joint_variation_gradient, power=1), 2
    ),
    "joint_power": Variation(
        "Σ (d↓² + d→²)^1.25",
        partial(losses.joint_variation, power=1.25),
        partial(losses.joint_variation_gradient, power=1.25),
        2.5,
    ),
}


@dataclass(frozen=True)
class TotalVariation:
    """A weighted total variation: the sum of terms c · variation(s · x), for an image x in 0–1.

    Attributes
    ----------
    coefficients : dict of str to float
        c for each term, a name of `VARIATIONS`.
    pixel_scale : tuple of three floats, optional
        s, if red, green and blue are scaled differently.
    """

    coefficients: dict[str, float]
    pixel_scale: tuple[float, float, float] | None = None

    @property
    def squares(self) -> float | None:
        """c, if it is c times the sum of squares that `losses.total_variation` computes; else None."""
        alone = self.pixel_scale is None and self.coefficients.keys() <= {"squares"}
        return self.coefficients.get("squares", 0.0) if alone else None

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at the image x, of shape (H, W, 3).

        The variable is u = s x, so the chain rule multiplies the gradient with respect to u by s.
        """
        u = x if self.pixel_scale is None else np.asarray(self.pixel_scale, x.dtype) * x
        value, gradient = 0.0, np.zeros_like(x)
        for name, c in self.coefficients.items():
            value += c * VARIATIONS[name].value(u)
            gradient += c * VARIATIONS[name].gradient(u)
        return value, gradient if self.pixel_scale is None else np.asarray(self.pixel_scale, x.dtype) * gradient


@dataclass(frozen=True)
class Convention:
    """The losses and the defaults of one system.

    Attributes
    ----------
    name, source : str
    content_term, style_term : str
        Names from `CONTENT_TERMS` and `STYLE_TERMS`, such as "half_sum" and "paper".
    content_layers, style_layers : tuple of str, or mapping of str to float
        The default layers.
    content_layer_weights, style_layer_weights : str
        Names from `LAYER_WEIGHTS`: v_l and w_l for layers that are given without weights.
    own_layer_weights : tuple of str
        "content", "style": for which of them a user of the system can weight the layers individually.
    content_weight, style_weight, tv_weight : float
        α, β and γ.
    variation : callable
        `variation(H, W)` returns the coefficients of `TotalVariation` for γ = 1; empty if the system has none.
    pixel_scale : float or tuple of three floats
        The factor from differences of pixels in 0–1 to those of the variable whose variation the system measures.
    pooling, padding, init, optimizer : str
    normalize : bool
        Whether the filters of a network are scaled to mean response 1; see `weights.normalize_network`. α and β depend
        on the scale of the features: the content loss is quadratic in it, the style loss quartic.
    noise : float or None
        The distribution of white noise: None for uniform in 0–1, otherwise the standard deviation of a normal
        distribution around the mean colour of the network.
    optimizer_options : mapping of str to float
        Options of the optimiser, in the units of images in 0–1.
    steps : int
        Iterations at each size.
    pyramid : int
        The number of sizes, from coarse to fine, each half of the next, if the user gives one size.
    bounded : bool
        Whether every pixel is kept in 0–1 while the picture is optimised. If not, what lies outside is clipped when the
        picture is saved, and its loss is then higher than the one reported.
    remarks : str
        What the system does that is not reproduced here, and what its source leaves open.
    """

    name: str
    source: str
    content_term: str
    style_term: str
    content_layers: tuple[str, ...] = ("conv4_2",)
    style_layers: tuple[str, ...] | Mapping[str, float] = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
    content_layer_weights: str = "1"
    style_layer_weights: str = "1"
    own_layer_weights: tuple[str, ...] = ()
    content_weight: float = 1.0
    style_weight: float = 1.0
    tv_weight: float = 0.0
    variation: Callable[[int, int], dict[str, float]] = field(default=lambda H, W: {}, repr=False)
    pixel_scale: float | tuple[float, float, float] = 1.0
    pooling: str = "max"
    padding: str = "zero"
    normalize: bool = False
    init: str = "content"
    noise: float | None = None
    optimizer: str = "lbfgs"
    optimizer_options: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1000
    pyramid: int = 1
    bounded: bool = False
    remarks: str = ""

    def __post_init__(self) -> None:
        check_choice("content term", self.content_term, CONTENT_TERMS)
        check_choice("style term", self.style_term, STYLE_TERMS)
        check_choice("rule for layer weights", self.content_layer_weights, LAYER_WEIGHTS)
        check_choice("rule for layer weights", self.style_layer_weights, LAYER_WEIGHTS)

    def __str__(self) -> str:
        def text(value: Any) -> str:
            if isinstance(value, Mapping):
                return ", ".join(f"{name}: {text(v)}" for name, v in value.items())
            if isinstance(value, tuple):
                return ", ".join(map(text, value))
            return f"{value:.4g}" if isinstance(value, float) else str(value)

        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["content_term"] = CONTENT_TERMS[self.content_term].formula
        values["style_term"] = STYLE_TERMS[self.style_term].formula
        values["variation"] = {VARIATIONS[name].formula: c for name, c in self.variation(512, 512).items()}
        lines = {name: text(value) for name, value in values.items() if value not in ((), {}, "")}
        if self.noise is None:
            lines["noise"] = "uniform in 0–1"
        if "variation" in lines:
            lines["variation"] += " (for 512 × 512 pixels, times pixel scale)"
        return "\n".join(f"{name.replace('_', ' ')}: {line}" for name, line in lines.items())

    def described(self) -> str:
        """All of its numbers as text, the same for equal conventions only."""
        return repr((self, self.variation(512, 512)))

    def content_factor(self, N: int, M: int) -> float:
        """The factor of L_content of a layer with N filters and M positions, for α = v = 1."""
        return CONTENT_TERMS[self.content_term].factor(N, M)

    def style_factor(self, N: int, M: int, S: int, energy: float) -> float:
        """The factor of E of a layer with N filters and M positions, for β = w = 1 and S pixels.

        `energy` is Σ A²/(4 N² M²), that of the style image in this layer.
        """
        return STYLE_TERMS[self.style_term].factor(N, M, S, energy)

    def total_variation(self, weight: float, height: int, width: int) -> TotalVariation:
        """γ TV for images of the given size.

        Raises
        ------
        ValueError
            If the system has no total variation, and the weight is not 0.
        """
        coefficients = self.variation(height, width)
        if weight and not coefficients:
            raise ValueError(f"{self.name} has no total variation: tv_weight must be 0, found {weight:g}")
        coefficients = {name: weight * c for name, c in coefficients.items()} if weight else {}
        if isinstance(self.pixel_scale, tuple):
            return TotalVariation(coefficients, self.pixel_scale)
        scaled = {name: c * self.pixel_scale ** VARIATIONS[name].degree for name, c in coefficients.items()}
        return TotalVariation(scaled)

    def loss_weights(self, content: float | None, style: float | None, tv: float | None) -> tuple[float, float, float]:
        """α, β and γ: those given, and the system's where None is given.

        Raises
        ------
        TypeError, ValueError
            If one is not a number, or is negative or not finite.
        """
        weights = {
            "content_weight": self.content_weight if content is None else content,
            "style_weight": self.style_weight if style is None else style,
            "tv_weight": self.tv_weight if tv is None else tv,
        }
        for name, weight in weights.items():
            check_number(name, weight)
        alpha, beta, gamma = map(float, weights.values())
        return alpha, beta, gamma

    def weighted_layers(
        self, kind: Literal["content", "style"], layers: Layers | None, network: VGG | None = None
    ) -> dict[str, float]:
        """Canonical names of layers with their weights v_l or w_l.

        Parameters
        ----------
        kind : {"content", "style"}
        layers : iterable of str, mapping of str to float, or None
            None for the system's default layers; one that the network lacks is replaced by the nearest.
        network : VGG, optional
            By default VGG-19 with its original number of filters.

        Raises
        ------
        ValueError
            If the network has no such layer, one is named twice, or a weight is negative or not finite.
        TypeError
            If the layers are not names, or a weight is not a number.
        """
        names = layer_names("vgg19") if network is None else network.layers
        usual, rule = (
            (self.content_layers, self.content_layer_weights)
            if kind == "content"
            else (self.style_layers, self.style_layer_weights)
        )
        if layers is None:
            nearest = {layer if network is None else _nearest(layer, network): layer for layer in usual}
            layers = {new: usual[old] for new, old in nearest.items()} if isinstance(usual, Mapping) else list(nearest)
        if isinstance(layers, str):
            layers = [layers]
        if not iterable(layers):
            raise TypeError(f"{kind}_layers must be names of layers, found {shown(layers)}")
        if not isinstance(layers, Mapping):
            listed = [canonical(layer, names) for layer in layers]
            if len(set(listed)) < len(listed):
                raise ValueError(f"{kind}_layers names a layer twice: {', '.join(listed)}")
            layers = {layer: LAYER_WEIGHTS[rule](len(listed), filters(layer, network)) for layer in listed}
        for layer, weight in layers.items():
            check_number(f"the weight of {layer}", weight)
        weights = {canonical(layer, names): float(weight) for layer, weight in layers.items()}
        if len(weights) < len(layers):
            raise ValueError(f"{kind}_layers names a layer twice: {', '.join(layers)}")
        return weights


def style_grams(
    network: VGG,
    images: Sequence[np.ndarray],
    layers: Iterable[str],
    parts: Sequence[np.ndarray | None] | None = None,
    tile: int | None = None,
) -> Iterator[dict[str, StyleGram]]:
    """For each style image, its Gram matrix and its number of positions in some layers.

    `parts` are masks (H, W): of an image with a mask, the Gram matrix is that of the part inside; see
    `losses.guided_gram`.

    A painting does not go on at its opposite edge: wrapped around, its seam would be a part of the style. So a circular
    network sees it with replicated edges.

    With `tile`, the Gram matrix is the sum of those of tiles; see `tiles`.
    """
    if network.padding == "circular":
        network = replace(network, padding="replicate", backend=network.engine)
    layers = list(layers)
    for k, (image, part) in enumerate(zip(images, parts or [None] * len(images), strict=True), start=1):
        guidance = {}
        for l in layers:
            t = masks.in_layer(f"mask {k} of style_masks", part, l)
            guidance[l] = None if t is None else losses.guidance(t.astype(image.dtype))[..., None]
        grams: dict[str, np.ndarray] = {}
        for piece in tiles.cut(network, layers, image.shape[:2], tile or max(image.shape)):
            for l, a in piece.responses(network, piece.window_of(image), layers).items():
                t = guidance[l]
                G = network.engine.gram(a if t is None else a * t[piece.at(l)])
                grams[l] = G if l not in grams else grams[l] + G.astype(np.float64)
        M = {l: (image.shape[0] // reduction(l)) * (image.shape[1] // reduction(l)) for l in layers}
        yield {l: (G.astype(image.dtype), M[l]) for l, G in grams.items()}


def style_energy(A: np.ndarray, M: int) -> float:
    """The energy e = Σ A²/(4 N² M²), the style loss of a picture without features; 1 if A is 0, as it is a divisor."""
    return losses.gram_loss(np.zeros_like(A), A, M) or 1.0


def filters(layer: str, network: VGG | None = None) -> int:
    """The number of filters of a layer in a network, by default that of the original VGG."""
    return FILTERS[block(layer) - 1] if network is None else network.filters(layer)


def _nearest(layer: str, network: VGG) -> str:
    """The layer, or the convolution of the network nearest to it in depth."""
    depths = {name: depth for depth, name in enumerate(layer_names("vgg19"))}
    return min(network.convolutions, key=lambda name: abs(depths[name] - depths[layer]))
