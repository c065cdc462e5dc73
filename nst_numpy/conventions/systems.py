"""The systems, each as a `Convention`; taken from their own code, or from printed formulas, in November 2026."""

from collections.abc import Callable
from typing import Any

from nst_numpy.conventions.convention import CONTENT_TERMS, STYLE_TERMS, VARIATIONS, Convention
from nst_numpy.validation import check_choice

PAPER: dict[str, Any] = {
    "content_term": "half_sum",
    "style_term": "paper",
    "style_layer_weights": "1/n",
    "own_layer_weights": ("style",),
    "style_weight": 1000.0,
    "pooling": "average",
    "normalize": True,
}
MEANS: dict[str, Any] = {"content_term": "mean", "style_term": "mean_over_nm"}
TORCH: dict[str, Any] = {  # neural-style and its port
    **MEANS,
    "content_weight": 5.0,
    "style_weight": 100.0,
    "tv_weight": 1e-3,
    "pixel_scale": 256.0,
    "init": "noise",
    "noise": 1e-3 / 256,
}
DEVIATIONS = (0.229, 0.224, 0.225)  # of ImageNet's colours: the variable is (x − mean)/deviation
NORMALISED = (1 / DEVIATIONS[0], 1 / DEVIATIONS[1], 1 / DEVIATIONS[2])


def _sums(*names: str, times: float = 1.0) -> Callable[[int, int], dict[str, float]]:
    return lambda H, W: dict.fromkeys(names, times)


def _half_means(H: int, W: int) -> dict[str, float]:
    return {"absolute_down": 0.5 / max(3 * (H - 1) * W, 1), "absolute_right": 0.5 / max(3 * H * (W - 1), 1)}


CONVENTIONS: dict[str, Convention] = {
    convention.name: convention
    for convention in (
        Convention(
            "nst_numpy",
            "this library",
            content_term="half_mean",
            style_term="relative",
            content_layers=("conv3_4",),
            style_layers=("conv1_1", "conv2_1", "conv3_1", "conv3_4"),
            style_layer_weights="1/n",
            own_layer_weights=("content", "style"),
            style_weight=100.0,
            tv_weight=20.0,
            variation=lambda H, W: {"squares": 1 / (H * W)},
            pooling="average",
            padding="replicate",
            normalize=True,
            steps=80,
            pyramid=2,
            bounded=True,
            remarks="Chosen by eye for the network that ships with the library.",
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
            remarks="α, β, w_l, the layers and η are not given: here the paper's, and an η chosen by backtracking.",
        ),
        Convention(
            "neural-style",
            "jcjohnson/neural-style, neural_style.lua",
            **TORCH,
            variation=_sums("joint_squares", times=0.5),
            remarks="It adds the total variation to the gradient only, not to the loss; here to both. Its L-BFGS takes "
            "steps of fixed length; here they are searched for.",
        ),
        Convention(
            "neural-style-pt",
            "ProGamerGov/neural-style-pt, neural_style.py",
            **TORCH,
            variation=_sums("absolute_down", "absolute_right"),
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
            bounded=True,
            remarks="It takes responses before their ReLU; here after it.",
        ),
        Convention(
            "d2l",
            "d2l-ai/d2l-en, chapter_computer-vision/neural-style.md (PyTorch)",
            **MEANS,
            content_layers=("conv4_4",),
            style_weight=1e4,
            tv_weight=10.0,
            variation=_half_means,
            pixel_scale=NORMALISED,
            optimizer="adam",
            optimizer_options={"learning_rate": 0.3 * sum(DEVIATIONS) / 3},
            steps=500,
            remarks="The learning rate is multiplied by 0.8 every 50 steps; here it is constant. Earlier versions "
            "had a style weight of 1000.",
        ),
        Convention(
            "gatys-pytorch",
            "leongatys/PytorchNeuralTransferResult, NeuralTransferResult.ipynb",
            content_term="mean",
            style_term="mean_over_m",
            style_layer_weights="1/N^2",
            own_layer_weights=("content", "style"),
            style_weight=1000.0,
            steps=500,
            remarks="It continues with 200 steps at a larger size: here, size and steps can be lists.",
        ),
        Convention(
            "tensorflow-tutorial",
            "tensorflow/docs, site/en/tutorials/generative/style_transfer.ipynb",
            content_term="mean",
            style_term="mean_over_m",
            content_layers=("conv5_2",),
            content_layer_weights="1/n",
            style_layer_weights="1/n",
            content_weight=1e4,
            style_weight=1e-2,
            tv_weight=30.0,
            variation=_sums("absolute_down", "absolute_right"),
            optimizer="adam",
            optimizer_options={"learning_rate": 0.02, "beta1": 0.99, "epsilon": 0.1},
            bounded=True,
        ),
        Convention(
            "keras",
            "keras-team/keras-io, examples/generative/neural_style_transfer.py",
            content_term="sum",
            style_term="sum_over_pixels",
            content_layers=("conv5_2",),
            style_layer_weights="1/n",
            content_weight=2.5e-8,
            style_weight=1e-6,
            tv_weight=1e-6,
            variation=_sums("joint_power"),
            pixel_scale=255.0,
            optimizer="gradient_descent",
            optimizer_options={"learning_rate": 100 / 255**2},
            steps=4000,
            remarks="It stretches the style image to the size of the content image. Its learning rate falls by 4 % "
            "in 100 steps; here it is chosen by backtracking.",
        ),
        Convention(
            "cs231n",
            "Stanford CS231n, assignment 3 of 2018 to 2020, TransferResult-PyTorch.ipynb",
            content_term="sum",
            style_term="sum_over_nm",
            content_layers=("conv3_1",),
            style_layers={"conv1_1": 20000.0, "conv2_1": 500.0, "conv3_1": 12.0, "conv4_1": 1.0},
            own_layer_weights=("style",),
            content_weight=5e-2,
            tv_weight=5e-2,
            variation=_sums("squares", times=2.0),
            pixel_scale=NORMALISED,
            optimizer="adam",
            optimizer_options={"learning_rate": 3 * sum(DEVIATIONS) / 3},
            steps=200,
            bounded=True,
            remarks="Its network is SqueezeNet, with layer 3 for content, 1, 4, 6, 7 for style; layers of VGG stand in "
            "for them. Until step 190 it keeps the pixels within the mean ± 1.5 deviations; here in 0–1. From step 180 "
            "on the learning rate is 0.1 instead of 3.",
        ),
    )
}


def table() -> str:
    """The conventions with their terms and weights, as text.

    Examples
    --------
    >>> table().splitlines()[2].split()[0]
    'paper'
    """
    header = ("", "content term", "style term", "α", "β", "γ", "total variation", "start", "optimiser")
    rows: list[tuple[str, ...]] = [header]
    for c in CONVENTIONS.values():
        options = c.optimizer_options
        rate = f", rate {options['learning_rate']:.3g}" if "learning_rate" in options else ""
        weights = (f"{weight:g}" for weight in (c.content_weight, c.style_weight, c.tv_weight))
        variation = " + ".join(VARIATIONS[name].formula for name in c.variation(512, 512)) or "none"
        terms = CONTENT_TERMS[c.content_term].formula, STYLE_TERMS[c.style_term].formula
        rows.append((c.name, *terms, *weights, variation, c.init, c.optimizer + rate))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines)


def get(convention: str | Convention) -> Convention:
    """The convention of a name.

    Raises
    ------
    ValueError
        If there is none; the message suggests the nearest.
    TypeError
        If it is neither a name nor a convention.

    Examples
    --------
    >>> get("neural-style").style_weight
    100.0
    """
    if isinstance(convention, Convention):
        return convention
    if not isinstance(convention, str):
        raise TypeError(f"convention must be a name or a Convention, found {type(convention).__name__}")
    check_choice("convention", convention, CONVENTIONS)
    return CONVENTIONS[convention]
