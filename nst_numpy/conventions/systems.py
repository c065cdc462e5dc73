"""The systems, each as a `Convention`; read in their own code, or in the printed formulas, in November 2026."""

from collections.abc import Callable

from nst_numpy.conventions.terms import Convention
from nst_numpy.validation import check_choice

PAPER = {
    "content_term": "½ Σ (F − P)²",
    "style_term": "Σ (G − A)² / 4N²M²",
    "style_layer_weights": "1/n",
    "own_layer_weights": ("style",),
    "style_weight": 1000.0,
    "pooling": "average",
    "normalize": True,
}
MEANS = {"content_term": "mean of (F − P)²", "style_term": "mean of squares of (G − A)/NM"}
TORCH = {  # neural-style and its port
    **MEANS,
    "content_weight": 5.0,
    "style_weight": 100.0,
    "tv_weight": 1e-3,
    "scale": 256.0,
    "init": "noise",
    "noise": 1e-3 / 256,
}
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
            init="noise",
            remarks="α/β was 10⁻³ or 10⁻⁴. The number of steps and the distribution of the noise are not given.",
        ),
        Convention(
            "coursera",
            "a blog post on the Coursera lectures",
            **PAPER,
            init="noise",
            remarks="α, β, the λ of the layers, the layers and the optimiser are not given: here the paper's.",
        ),
        Convention(
            "berkeley",
            "a quiz on neural style transfer of a course at Berkeley",
            **PAPER,
            optimizer="gradient_descent",
            remarks="α, β, w_l, the layers and η are not given: here the paper's, and an η that looks after itself.",
        ),
        Convention(
            "neural-style",
            "jcjohnson/neural-style, neural_style.lua",
            **TORCH,
            variation=_sums("Σ (d↓² + d→²)", times=0.5),
            remarks="It adds the total variation to the gradient only, not to the loss; here to both. Its L-BFGS takes "
            "steps of fixed length; here they are searched for.",
        ),
        Convention(
            "neural-style-pt",
            "ProGamerGov/neural-style-pt, neural_style.py",
            **TORCH,
            variation=_sums("Σ |d↓|", "Σ |d→|"),
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
            options={"learning_rate": 0.3 * sum(DEVIATIONS) / 3},
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
            options={"learning_rate": 0.02, "beta1": 0.99, "epsilon": 0.1},
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
            options={"learning_rate": 100 / 255**2},
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
            options={"learning_rate": 3 * sum(DEVIATIONS) / 3},
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
        rate = f", rate {c.options['learning_rate']:.3g}" if "learning_rate" in c.options else ""
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
    check_choice("convention", convention, CONVENTIONS)
    return CONVENTIONS[convention]
