"""How published systems define, normalise, weigh, initialise and optimise the same two losses, as data.

With the paper's content loss L_content = ½ Σ (F − P)² and style loss E = 1/(4 N² M²) Σ (G − A)², each of them minimises

L = α Σ_l v_l a_l L_content,l + β Σ_l w_l b_l E_l + γ TV

and differs from the next one in the factors a_l and b_l, which depend on the layer's number N of filters and M of
positions and on the number S of pixels, in the total variation, and in everything around: weights, layers, start,
optimiser. So α and β of one system mean something else in another; `convert` translates them.
"""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from functools import partial

import numpy as np

from nst_numpy import losses
from nst_numpy.network import FILTERS, VGG, canonical, layer_names, reduction

# The content term of a layer as a system writes it, and the factor a(N, M) that makes it of L_content.
CONTENT_TERMS: dict[str, Callable[[int, int], float]] = {
    "½ Σ (F − P)²": lambda N, M: 1.0,
    "Σ (F − P)²": lambda N, M: 2.0,
    "½ mean of (F − P)²": lambda N, M: 1 / (N * M),
    "mean of (F − P)²": lambda N, M: 2 / (N * M),
}

# The style term of a layer as a system writes it, and the factor b(N, M, S) that makes it of E.
STYLE_TERMS: dict[str, Callable[[int, int, int], float]] = {
    "Σ (G − A)² / 4N²M²": lambda N, M, S: 1.0,
    "Σ of squares of (G − A)/NM": lambda N, M, S: 4.0,
    "mean of squares of (G − A)/M": lambda N, M, S: 4.0,
    "mean of squares of (G − A)/NM": lambda N, M, S: 4 / N**2,
    "Σ (G − A)² / 36S²": lambda N, M, S: N**2 * M**2 / (9 * S**2),
}

# The weight of a layer for which none is given, in a list of n layers.
LAYER_WEIGHTS: dict[str, Callable[[int, int], float]] = {
    "1": lambda n, N: 1.0,
    "1/n": lambda n, N: 1 / n,
    "1/N²": lambda n, N: 1 / N**2,
}


@dataclass(frozen=True)
class Variation:
    """A sum over the differences of neighbouring pixels: its value, its gradient, and its degree.

    variation(s x) = s^degree · variation(x).
    """

    value: Callable[[np.ndarray], float]
    gradient: Callable[[np.ndarray], np.ndarray]
    degree: float


def _variation(value: Callable, gradient: Callable, degree: float, **keywords) -> Variation:
    return Variation(partial(value, **keywords), partial(gradient, **keywords), degree)


# d↓ is a difference down the image, d→ one to the right, and d either.
VARIATIONS: dict[str, Variation] = {
    "½ Σ d²": Variation(losses.total_variation, losses.total_variation_gradient, 2),
    "Σ |d↓|": _variation(losses.absolute_variation, losses.absolute_variation_gradient, 1, axis=0),
    "Σ |d→|": _variation(losses.absolute_variation, losses.absolute_variation_gradient, 1, axis=1),
    "Σ (d↓² + d→²)": _variation(losses.joint_variation, losses.joint_variation_gradient, 2, power=1),
    "Σ (d↓² + d→²)^1.25": _variation(losses.joint_variation, losses.joint_variation_gradient, 2.5, power=1.25),
}


@dataclass(frozen=True)
class TotalVariation:
    """A weighted total variation: the sum of terms c · variation(s · x), for an image x in 0–1.

    Attributes
    ----------
    coefficients : dict of str to float
        c for each term, a name of `VARIATIONS`.
    scale : float or tuple of three floats
        s: what turns differences of x into those of the variable that the system measures.
    """

    coefficients: dict[str, float]
    scale: float | tuple[float, float, float] = 1.0

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Value and gradient at the image x, of shape (H, W, 3).

        The variable is u = s x, so the chain rule multiplies the gradient with respect to u by s.
        """
        scale = np.asarray(self.scale, x.dtype)
        u = scale * x
        value, gradient = 0.0, np.zeros_like(x)
        for name, c in self.coefficients.items():
            value += c * VARIATIONS[name].value(u)
            gradient += c * VARIATIONS[name].gradient(u)
        return value, scale * gradient


@dataclass(frozen=True)
class Convention:
    """The losses and the defaults of one system.

    Attributes
    ----------
    name, source : str
    content_term, style_term : str
        Names of `CONTENT_TERMS` and `STYLE_TERMS`.
    content_layers, style_layers : tuple of str, or mapping of str to float
        Those used by default.
    content_layer_weights, style_layer_weights : str
        Names of `LAYER_WEIGHTS`: v_l and w_l for layers that are given without weights.
    own_layer_weights : tuple of str
        "content", "style": for which of them a user of the system can weigh the layers one by one.
    content_weight, style_weight, tv_weight : float
        α, β and γ.
    variation : callable
        `variation(H, W)` gives the coefficients of `TotalVariation` for γ = 1; empty where the system has none.
    scale : float or tuple of three floats
        That of `TotalVariation`.
    pooling, init, optimizer : str
    normalize : bool
        Whether the filters of a network are scaled to mean response 1; see `weights.normalize_network`. α and β depend
        on the scale of the features: the content loss is quadratic in it, the style loss quartic.
    noise : float or None
        What white noise is: None for uniform in 0–1, else the standard deviation of a normal distribution around the
        mean colour of the network.
    options : mapping of str to float
        For the optimiser, in the units of images in 0–1.
    steps, scales : int
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
    scale: float | tuple[float, float, float] = 1.0
    pooling: str = "max"
    normalize: bool = False
    init: str = "content"
    noise: float | None = None
    optimizer: str = "lbfgs"
    options: Mapping[str, float] = field(default_factory=dict)
    steps: int = 1000
    scales: int = 1
    remarks: str = ""

    def __str__(self) -> str:
        def text(value) -> str:
            if isinstance(value, Mapping):
                return ", ".join(f"{name}: {text(v)}" for name, v in value.items())
            if isinstance(value, tuple):
                return ", ".join(map(text, value))
            return f"{value:.4g}" if isinstance(value, float) else str(value)

        values = {f.name: getattr(self, f.name) for f in fields(self)}
        values["variation"] = self.variation(512, 512)
        lines = {name: text(value) for name, value in values.items() if value not in ((), {}, "")}
        if self.noise is None:
            lines["noise"] = "uniform in 0–1"
        if "variation" in lines:
            lines["variation"] += " (for 512 × 512 pixels, times scale)"
        return "\n".join(f"{name.replace('_', ' ')}: {line}" for name, line in lines.items())

    def content_factor(self, N: int, M: int) -> float:
        """What L_content of a layer with N filters and M positions is multiplied by, for α = v = 1."""
        return CONTENT_TERMS[self.content_term](N, M)

    def style_factor(self, N: int, M: int, S: int) -> float:
        """What E of a layer with N filters and M positions is multiplied by, for β = w = 1 and S pixels."""
        return STYLE_TERMS[self.style_term](N, M, S)

    def total_variation(self, weight: float, height: int, width: int) -> TotalVariation:
        """γ TV for images of a size.

        Raises
        ------
        ValueError
            If the system has no total variation, and the weight is not 0.
        """
        coefficients = self.variation(height, width)
        if weight and not coefficients:
            raise ValueError(f"{self.name} has no total variation: tv_weight must be 0, found {weight:g}")
        return TotalVariation({name: weight * c for name, c in coefficients.items()} if weight else {}, self.scale)

    def loss_weight(self, kind: str, weight: float | None) -> float:
        """α, β or γ (kind "content", "style" or "tv"): the one given, or that of the system.

        Raises
        ------
        ValueError
            If it is negative or no number.
        """
        weight = getattr(self, f"{kind}_weight") if weight is None else weight
        check_number(f"{kind}_weight", weight)
        return float(weight)

    def weighted_layers(
        self, kind: str, layers: Iterable[str] | Mapping[str, float] | None, network: VGG | None = None
    ) -> dict[str, float]:
        """Canonical names of layers with their weights v_l or w_l.

        Parameters
        ----------
        kind : {"content", "style"}
        layers : iterable of str, mapping of str to float, or None
            None for the layers that the system takes by default; of those that the network lacks, the nearest.
        network : VGG, optional
            By default VGG-19 with its own number of filters.

        Raises
        ------
        ValueError
            If the network has no such layer, or a weight is negative or no number.
        """
        names = layer_names("vgg19") if network is None else network.layers
        if layers is None:
            layers = self.content_layers if kind == "content" else self.style_layers
            if network is not None:
                weights = layers if isinstance(layers, Mapping) else {}
                pairs = [(_nearest(layer, network), layer) for layer in layers]
                layers = {new: weights[old] for new, old in pairs} if weights else dict(pairs).keys()
        if isinstance(layers, str):
            layers = [layers]
        if not isinstance(layers, Mapping):
            layers = [canonical(layer, names) for layer in layers]
            rule = LAYER_WEIGHTS[self.content_layer_weights if kind == "content" else self.style_layer_weights]
            layers = {layer: rule(len(layers), filters(layer, network)) for layer in layers}
        for layer, weight in layers.items():
            check_number(f"the weight of {layer}", weight)
        return {canonical(layer, names): float(weight) for layer, weight in layers.items()}


def check_number(name: str, value, *, whole: bool = False, least: float = 0, most: float = math.inf) -> None:
    """Refuse what is no finite number, or lies outside least … most.

    Raises
    ------
    ValueError
    """
    kind = (int, np.integer) if whole else (int, float, np.integer, np.floating)
    number = isinstance(value, kind) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not least <= value <= most:
        limits = f"of at least {least}" if most == math.inf else f"from {least} to {most}"
        raise ValueError(f"{name} must be a {'whole ' * whole}number {limits}, found {value!r}")


def filters(layer: str, network: VGG | None = None) -> int:
    """The number of filters of a layer in a network, by default VGG's own."""
    return FILTERS[int(layer[4]) - 1] if network is None else network.filters(layer)


def _nearest(layer: str, network: VGG) -> str:
    """The layer, or the convolution of the network nearest to it in depth."""
    depths = {name: depth for depth, name in enumerate(layer_names("vgg19"))}
    return min(network.convolutions, key=lambda name: abs(depths[name] - depths[layer]))


PAPER = {"content_term": "½ Σ (F − P)²", "style_term": "Σ (G − A)² / 4N²M²", "style_layer_weights": "1/n"}
MEANS = {"content_term": "mean of (F − P)²", "style_term": "mean of squares of (G − A)/NM"}
DEVIATIONS = (0.229, 0.224, 0.225)  # of ImageNet's colours: the variable is (x − mean)/deviation
NORMALISED = tuple(1 / d for d in DEVIATIONS)


def _sums(*names: str, times: float = 1.0) -> Callable[[int, int], dict[str, float]]:
    return lambda H, W: dict.fromkeys(names, times)


def _half_means(H: int, W: int) -> dict[str, float]:
    return {"Σ |d↓|": 0.5 / max(3 * (H - 1) * W, 1), "Σ |d→|": 0.5 / max(3 * H * (W - 1), 1)}


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "nst_numpy",
            "this library",
            content_term="½ mean of (F − P)²",
            style_term="Σ (G − A)² / 4N²M²",
            content_layers=("conv3_4",),
            style_layers=("conv1_1", "conv2_1", "conv3_1", "conv4_1"),
            style_layer_weights="1/n",
            own_layer_weights=("content", "style"),
            style_weight=500.0,
            tv_weight=20.0,
            variation=lambda H, W: {"½ Σ d²": 1 / (H * W)},
            pooling="average",
            normalize=True,
            steps=100,
            scales=2,
            remarks="Chosen by eye for the network that comes with the library.",
        ),
        Convention(
            "paper",
            "Gatys, Ecker and Bethge 2015, arXiv 1508.06576, equations 1 to 7",
            **PAPER,
            own_layer_weights=("style",),
            style_weight=1000.0,
            pooling="average",
            normalize=True,
            init="noise",
            remarks="α/β was 10⁻³ or 10⁻⁴. The number of steps and the distribution of the noise are not given.",
        ),
        Convention(
            "coursera",
            "a blog post on the Coursera lectures",
            **PAPER,
            own_layer_weights=("style",),
            style_weight=1000.0,
            pooling="average",
            normalize=True,
            init="noise",
            remarks="α, β, the λ of the layers, the layers and the optimiser are not given: here the paper's.",
        ),
        Convention(
            "berkeley",
            "a quiz on neural style transfer of a course at Berkeley",
            **PAPER,
            own_layer_weights=("style",),
            style_weight=1000.0,
            pooling="average",
            normalize=True,
            optimizer="gradient_descent",
            remarks="α, β, w_l, the layers and η are not given: here the paper's, and an η that looks after itself.",
        ),
        Convention(
            "neural-style",
            "jcjohnson/neural-style, neural_style.lua",
            **MEANS,
            content_weight=5.0,
            style_weight=100.0,
            tv_weight=1e-3,
            variation=_sums("Σ (d↓² + d→²)", times=0.5),
            scale=256.0,
            init="noise",
            noise=1e-3 / 256,
            remarks="It adds the total variation to the gradient only, not to the loss; here to both. Its L-BFGS takes "
            "steps of fixed length; here they are searched for.",
        ),
        Convention(
            "neural-style-pt",
            "ProGamerGov/neural-style-pt, neural_style.py",
            **MEANS,
            content_weight=5.0,
            style_weight=100.0,
            tv_weight=1e-3,
            variation=_sums("Σ |d↓|", "Σ |d→|"),
            scale=256.0,
            init="noise",
            noise=1e-3 / 256,
            remarks="Its L-BFGS takes steps of fixed length; here they are searched for.",
        ),
        Convention(
            "pytorch-tutorial",
            "pytorch/tutorials, advanced_source/neural_style_tutorial.py",
            **MEANS,
            content_layers=("conv2_2",),
            style_layers=("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"),
            style_weight=1e6,
            steps=300,
            remarks="It takes responses before their ReLU; here after it. It clips the pixels to 0–1 at each "
            "evaluation.",
        ),
        Convention(
            "d2l",
            "d2l-ai/d2l-en, chapter_computer-vision/neural-style.md (PyTorch)",
            **MEANS,
            content_layers=("conv4_4",),
            style_weight=1e4,
            tv_weight=10.0,
            variation=_half_means,
            scale=NORMALISED,
            optimizer="adam",
            options={"rate": 0.3 * sum(DEVIATIONS) / 3},
            steps=500,
            remarks="The rate falls to 0.8 times itself every 50 steps; here it is constant. Earlier versions had a "
            "style weight of 1000.",
        ),
        Convention(
            "gatys-pytorch",
            "leongatys/PytorchNeuralStyleTransfer, NeuralStyleTransfer.ipynb",
            content_term="mean of (F − P)²",
            style_term="mean of squares of (G − A)/M",
            style_layer_weights="1/N²",
            own_layer_weights=("content", "style"),
            style_weight=1000.0,
            steps=500,
            remarks="Then 200 steps at a larger size, from this result: steps and size can be lists here.",
        ),
        Convention(
            "tensorflow-tutorial",
            "tensorflow/docs, site/en/tutorials/generative/style_transfer.ipynb",
            content_term="mean of (F − P)²",
            style_term="mean of squares of (G − A)/M",
            content_layers=("conv5_2",),
            content_layer_weights="1/n",
            style_layer_weights="1/n",
            content_weight=1e4,
            style_weight=1e-2,
            tv_weight=30.0,
            variation=_sums("Σ |d↓|", "Σ |d→|"),
            optimizer="adam",
            options={"rate": 0.02, "beta1": 0.99, "epsilon": 0.1},
            remarks="It clips the pixels to 0–1 after each step.",
        ),
        Convention(
            "keras",
            "keras-team/keras-io, examples/generative/neural_style_transfer.py",
            content_term="Σ (F − P)²",
            style_term="Σ (G − A)² / 36S²",
            content_layers=("conv5_2",),
            style_layer_weights="1/n",
            content_weight=2.5e-8,
            style_weight=1e-6,
            tv_weight=1e-6,
            variation=_sums("Σ (d↓² + d→²)^1.25"),
            scale=255.0,
            optimizer="gradient_descent",
            options={"rate": 100 / 255**2},
            steps=4000,
            remarks="It stretches the style image to the size of the content image. Its rate falls by 4 % in 100 "
            "steps; here it looks after itself.",
        ),
        Convention(
            "cs231n",
            "Stanford CS231n, assignment 3 of 2018 to 2020, StyleTransfer-PyTorch.ipynb",
            content_term="Σ (F − P)²",
            style_term="Σ of squares of (G − A)/NM",
            content_layers=("conv3_1",),
            style_layers={"conv1_1": 20000.0, "conv2_1": 500.0, "conv3_1": 12.0, "conv4_1": 1.0},
            own_layer_weights=("style",),
            content_weight=5e-2,
            tv_weight=5e-2,
            variation=_sums("½ Σ d²", times=2.0),
            scale=NORMALISED,
            optimizer="adam",
            options={"rate": 3 * sum(DEVIATIONS) / 3},
            steps=200,
            remarks="Its network is SqueezeNet, with layer 3 for content, 1, 4, 6, 7 for style; layers of VGG stand in "
            "for them. It clips the pixels, and from step 180 on the rate is 0.1 instead of 3.",
        ),
    )
}


def table() -> str:
    """The conventions with their terms and weights, as a text."""
    header = ("", "content term", "style term", "α", "β", "γ", "total variation", "start", "optimiser")
    rows = [header]
    for c in CONVENTIONS.values():
        rate = f", rate {c.options['rate']:.3g}" if "rate" in c.options else ""
        weights = (f"{weight:g}" for weight in (c.content_weight, c.style_weight, c.tv_weight))
        variation = " + ".join(c.variation(512, 512)) or "none"
        rows.append((c.name, c.content_term, c.style_term, *weights, variation, c.init, c.optimizer + rate))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def find(convention: str | Convention) -> Convention:
    """The convention of a name.

    Raises
    ------
    ValueError
        If there is none; the message names the nearest.
    """
    if isinstance(convention, Convention):
        return convention
    if convention not in CONVENTIONS:
        (nearest,) = difflib.get_close_matches(str(convention), CONVENTIONS, n=1, cutoff=0)
        have = ", ".join(CONVENTIONS)
        raise ValueError(f"unknown convention {convention!r}; did you mean {nearest}? There are {have}")
    return CONVENTIONS[convention]


def convert(
    source: str | Convention,
    target: str | Convention,
    *,
    size: int | tuple[int, int] = 512,
    content_layers: Iterable[str] | Mapping[str, float] | None = None,
    style_layers: Iterable[str] | Mapping[str, float] | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    network: VGG | None = None,
) -> dict:
    """The weights with which one system minimises the same function as another does.

    Both losses then are equal for every image, and so are their gradients, if both take the features of the same
    network, fed in the same way. (Other weights, or pixels on another scale, make other features: no factor helps.)

    Multiplying out, source and target agree on the content term of layer l if α' v'_l a'_l = α v_l a_l, likewise on the
    style term, and on total variation if the coefficients of each sum agree. The target's v'_l and w'_l are chosen with
    the same sum as those that it takes by default.

    Parameters
    ----------
    source, target : str or Convention
    size : int or (int, int)
        Height and width of the picture in pixels; one number for a square.
    content_layers, style_layers : iterable of str, or mapping of str to float, optional
    content_weight, style_weight, tv_weight : float, optional
        The source's; by default its own defaults.
    network : VGG, optional
        Whose numbers of filters count; by default VGG-19.

    Returns
    -------
    dict
        "content_layers", "style_layers", "content_weight", "style_weight", "tv_weight" for the target: arguments of
        `transfer`.

    Raises
    ------
    ValueError
        If there is no such convention or layer, or the target can't express what the source minimises; the message says
        why.
    """
    source, target = find(source), find(target)
    H, W = (size, size) if isinstance(size, int) else size
    for name, value in (("height", H), ("width", W)):
        check_number(name, value, whole=True, least=1)
    converted = {}
    for kind, layers, weight in (
        ("content", content_layers, content_weight),
        ("style", style_layers, style_weight),
    ):
        weight = source.loss_weight(kind, weight)
        given = source.weighted_layers(kind, layers, network)
        factors = {}
        for layer in given:
            N, M = filters(layer, network), (H // reduction(layer)) * (W // reduction(layer))
            if M == 0:
                raise ValueError(f"{W}×{H} pixels are too few for {layer}")
            sizes = (N, M) if kind == "content" else (N, M, H * W)
            factors[layer] = [getattr(system, f"{kind}_factor")(*sizes) for system in (source, target)]
        wanted = {layer: weight * given[layer] * a / b for layer, (a, b) in factors.items()}
        usual = target.weighted_layers(kind, list(given), network)
        total = sum(wanted.values()) / sum(usual.values()) if given else 0.0
        own = {layer: w / total for layer, w in wanted.items()} if total else usual
        if all(math.isclose(own[layer], usual[layer], rel_tol=1e-12) for layer in own):
            own = list(own)
        elif kind not in target.own_layer_weights:
            needed = ", ".join(f"{layer}: {own[layer] / usual[layer]:.3g}" for layer in own)
            raise ValueError(
                f"{target.name} can't do this: it has one weight for all {kind} layers, and would have to multiply "
                f"them by {needed}; take one {kind} layer, or another target"
            )
        converted |= {f"{kind}_layers": own, f"{kind}_weight": total}
    tv_weight = source.loss_weight("tv", tv_weight)
    converted["tv_weight"] = tv_weight and tv_weight * _variation_ratio(source, target, H, W)
    return converted


def _variation_ratio(source: Convention, target: Convention, H: int, W: int) -> float:
    """How many times the target's total variation the source's is."""
    if not target.variation(H, W):
        raise ValueError(f"{target.name} can't do this: it has no total variation; set tv_weight to 0")
    both = [source.total_variation(1.0, H, W), target.total_variation(1.0, H, W)]
    if source.scale != target.scale:
        if any(isinstance(tv.scale, tuple) for tv in both):
            raise ValueError(
                f"{target.name} can't do this: it and {source.name} weigh the differences of red, green and blue in "
                "other ratios; set tv_weight to 0"
            )
        both = [{name: c * tv.scale ** VARIATIONS[name].degree for name, c in tv.coefficients.items()} for tv in both]
    else:
        both = [tv.coefficients for tv in both]
    ratios = [both[0].get(name, 0.0) / both[1].get(name, math.nan) for name in {**both[0], **both[1]}]
    if not all(math.isclose(ratio, ratios[0], rel_tol=1e-12) for ratio in ratios):
        written = [" + ".join(f"{c:.3g} {name}" for name, c in tv.items()) for tv in both]
        raise ValueError(
            f"{target.name} can't do this: its total variation is {written[1]}, that of {source.name} {written[0]}; no "
            "weight makes them equal for every image; set tv_weight to 0"
        )
    return ratios[0]
