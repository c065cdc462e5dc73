"""Conventions: factors against the formulas as printed, losses against PyTorch transcriptions, exact conversions."""

import dataclasses
import itertools
import re
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, conventions, gradcheck, losses
from nst_numpy.conventions import (
    CONTENT_TERMS,
    CONVENTIONS,
    STYLE_TERMS,
    VARIATIONS,
    Convention,
    TotalVariation,
    convert,
)

try:
    import torch
    from transcriptions import TRANSCRIPTIONS
except ImportError:
    torch, TRANSCRIPTIONS = None, {}

needs_torch = pytest.mark.skipif(
    torch is None, reason="PyTorch is not installed; .ci/run installs it (pip install '.[oracle]')"
)

NETWORK = small_vgg(widths=(6, 5, 7, 8, 9), bias=0.1)
CONTENT_LAYERS = {"conv2_2": 0.7, "conv3_1": 1.6}
STYLE_LAYERS = {"conv1_1": 0.5, "conv2_1": 1.25, "conv3_1": 0.8}


def objective(name, style_size=(33, 40), network=NETWORK, **keywords):
    settings = {
        "content_layers": CONTENT_LAYERS,
        "style_layers": STYLE_LAYERS,
        "content_weight": 2.0,
        "style_weight": 300.0,
        "tv_weight": 0.7 * bool(CONVENTIONS[name].variation(9, 9)),
        **keywords,
    }
    return Objective.from_images(network, picture(1, 33, 40), picture(2, *style_size), **settings, convention=name)


# The terms as they are printed ----------------------------------------------------------------------------------------

PRINTED_CONTENT = {
    "½ Σ (F − P)²": lambda F, P: 0.5 * ((F - P) ** 2).sum(),
    "Σ (F − P)²": lambda F, P: ((F - P) ** 2).sum(),
    "½ mean of (F − P)²": lambda F, P: 0.5 * ((F - P) ** 2).mean(),
    "mean of (F − P)²": lambda F, P: ((F - P) ** 2).mean(),
}
PRINTED_STYLE = {
    "Σ (G − A)² / 4N²M²": lambda G, A, N, M, S: ((G - A) ** 2).sum() / (4 * N**2 * M**2),
    "Σ of squares of (G − A)/NM": lambda G, A, N, M, S: (((G - A) / (N * M)) ** 2).sum(),
    "mean of squares of (G − A)/M": lambda G, A, N, M, S: (((G - A) / M) ** 2).mean(),
    "mean of squares of (G − A)/NM": lambda G, A, N, M, S: (((G - A) / (N * M)) ** 2).mean(),
    "Σ (G − A)² / Σ A²": lambda G, A, N, M, S: ((G - A) ** 2).sum() / (A**2).sum(),
    "Σ (G − A)² / 36S²": lambda G, A, N, M, S: ((G - A) ** 2).sum() / (36 * S**2),
}


def test_factors_are_those_of_the_printed_terms():
    rng = np.random.default_rng(0)
    N, M, S = 5, 12, 96
    F, P = rng.random((N, M)), rng.random((N, M))
    G, A = losses.gram(F), losses.gram(P)
    assert PRINTED_CONTENT.keys() == {term.formula for term in conventions.CONTENT_TERMS.values()}
    for name, term in conventions.CONTENT_TERMS.items():
        expected = PRINTED_CONTENT[term.formula](F, P)
        assert name.isascii() and np.isclose(term.factor(N, M) * losses.content_loss(F, P), expected, rtol=1e-13), name
    assert PRINTED_STYLE.keys() == {term.formula for term in conventions.STYLE_TERMS.values()}
    for name, term in conventions.STYLE_TERMS.items():
        expected = PRINTED_STYLE[term.formula](G, A, N, M, S)
        factor = term.factor(N, M, S, losses.gram_loss(np.zeros_like(A), A, M))
        assert name.isascii() and np.isclose(factor * losses.gram_loss(G, A, M), expected, rtol=1e-13), name


@pytest.mark.parametrize("name", CONVENTIONS)
def test_gradient_of_the_total_variation(name):
    x = picture(5, 6, 7)
    convention = CONVENTIONS[name]
    tv = convention.total_variation(0.3 * bool(convention.variation(6, 7)), 6, 7)
    if convention.variation(6, 7):
        check = gradcheck(lambda x: tv(x)[0], tv(x)[1], x, h=1e-5)
        assert check.passed and np.linalg.norm(check.numeric) > 0, check
    else:
        assert tv(x)[0] == 0 and not tv(x)[1].any()


@pytest.mark.parametrize("name", CONVENTIONS)
def test_terms_add_up_and_the_gradient_is_theirs(name):
    f, x = objective(name, style_size=(25, 30)), picture(3, 33, 40)
    total, gradient, terms = f(x)
    assert np.isclose(total, terms["content"] + sum(terms[l] for l in STYLE_LAYERS) + terms["tv"], rtol=1e-12)
    assert gradcheck(lambda x: f(x)[0], gradient, x, mode="sample", samples=8, h=1e-6, rtol=1e-4).passed


# Against each system's own arithmetic ---------------------------------------------------------------------------------


def torch_features(image, names):
    a = (255 * image[0].permute(1, 2, 0) - torch.tensor(NETWORK.mean)) * NETWORK.scale
    a, found = a.permute(2, 0, 1)[None], {}
    for name in NETWORK.layers[: max(map(NETWORK.layers.index, names), default=-1) + 1]:
        if name.startswith("pool"):
            a = torch.nn.functional.avg_pool2d(a, 2)
        else:
            kernel, bias = (torch.tensor(w) for w in NETWORK.convolutions[name])
            a = torch.relu(torch.nn.functional.conv2d(a, kernel.permute(3, 2, 0, 1), bias, padding=1))
        found[name] = a
    return {name: found[name] for name in names}


# These take plain sums over positions for Gram matrices, and so images of one size.
ONE_SIZE = ("paper", "coursera", "berkeley", "keras")
AVERAGED = {"tensorflow-tutorial": ("content", "style"), "keras": ("style",)}
TERMS = ("content", "style", "tv")
CASES = [(name, t) for name in TRANSCRIPTIONS for t in TERMS if t != "tv" or CONVENTIONS[name].variation(9, 9)]


@needs_torch
def test_every_convention_has_its_transcription():
    assert {"nst_numpy", *TRANSCRIPTIONS} == CONVENTIONS.keys()


@needs_torch
@pytest.mark.parametrize("name, term", CASES or [("all", "")])
def test_each_loss_and_its_pixel_gradient_are_those_of_the_systems_own_arithmetic(name, term):
    weights = {f"{kind}_weight": 0.7 * (kind == term) for kind in TERMS}
    layers = {"content": CONTENT_LAYERS, "style": STYLE_LAYERS}
    # A transcription weighs terms inside the average over layers; here the 1/n is part of the weight.
    ours = {
        f"{kind}_layers": {l: w / (len(given) if kind in AVERAGED.get(name, ()) else 1) for l, w in given.items()}
        for kind, given in layers.items()
    }
    content, x = picture(1, 33, 40), picture(3, 33, 40)
    style = picture(2, 33, 40) if name in ONE_SIZE else picture(2, 48, 35)
    total, gradient, _ = objective(name, style.shape[:2], **weights, **ours)(x)

    leaf = torch.tensor(x, requires_grad=True)
    images = [image.permute(2, 0, 1)[None] for image in (leaf, torch.tensor(content), torch.tensor(style))]
    settings = {**weights, "content_layers": CONTENT_LAYERS, "style_layers": STYLE_LAYERS}
    loss = TRANSCRIPTIONS[name](*images, torch_features, **settings)
    loss.backward()
    expected = leaf.grad.numpy()
    difference = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    print(f"{name}, {term}: loss {abs(total - loss.item()) / loss.item():.1e}, gradient {difference:.1e}")
    assert abs(total - loss.item()) <= 1e-12 * loss.item() and difference <= 1e-11


# Conversions ----------------------------------------------------------------------------------------------------------

REFUSALS = ("one weight for all", "no total variation", "weigh the differences", "no weight makes them equal")


@pytest.mark.parametrize(
    "layers", [{}, {"content_layers": ["conv3_1"], "style_layers": ["relu3_1"]}], ids=["all", "one"]
)
def test_a_conversion_is_exact_or_says_why_not(layers):
    layers = {"content_layers": ["conv2_2"], "style_layers": list(STYLE_LAYERS), **layers}
    x, done, refused = picture(3, 33, 40), 0, set()
    results = {}
    for source, target in itertools.product(CONVENTIONS, repeat=2):
        settings = {"content_weight": 3.0, "style_weight": 70.0, **layers}
        if not CONVENTIONS[source].variation(33, 40):
            settings["tv_weight"] = 0.0
        try:
            converted = convert(source, target, shape=(33, 40), network=NETWORK, style=picture(2, 48, 35), **settings)
        except ValueError as error:
            (reason,) = [r for r in REFUSALS if r in str(error)]
            refused.add(reason)
            continue
        done += 1
        for name, given in ((source, settings), (target, converted)):
            key = (name, repr(given))
            if key not in results:
                convention = CONVENTIONS[name]
                full = {"tv_weight": convention.tv_weight, **given}
                for kind in ("content", "style"):
                    full[f"{kind}_layers"] = convention.weighted_layers(kind, full[f"{kind}_layers"], NETWORK)
                results[key] = objective(name, (48, 35), **full)(x)
        (total, gradient, _), (again, gradient_again, _) = (
            results[source, repr(settings)],
            results[target, repr(converted)],
        )
        assert np.isclose(total, again, rtol=1e-12), (source, target)
        assert np.allclose(gradient, gradient_again, rtol=1e-9, atol=1e-12 * np.abs(gradient).max()), (source, target)
    assert done > 40 and len(refused) >= 3, (done, refused)


@pytest.mark.parametrize("style", [picture(2, 48, 35), np.zeros((32, 32, 3))], ids=["picture", "no response"])
def test_a_conversion_sees_the_style_image_as_the_objective_does(style):
    """On a circular network the style image is not wrapped; and where no filter responds, e is 1."""
    circular = dataclasses.replace(NETWORK, padding="circular", mean=np.zeros(3))
    if not style.any():
        convolutions = {layer: (kernel, 0 * bias) for layer, (kernel, bias) in NETWORK.convolutions.items()}
        circular = dataclasses.replace(circular, convolutions=convolutions)
    given = {"content_layers": ["conv2_2"], "style_layers": ["conv2_1"], "style_weight": 70.0, "tv_weight": 0.0}
    found = convert("nst_numpy", "gatys-pytorch", shape=(32, 32), network=circular, style=style, **given)
    x, images = picture(3), (picture(1), style)
    one, two = (
        Objective.from_images(circular, *images, **settings, convention=name)(x)[0]
        for name, settings in (("nst_numpy", given), ("gatys-pytorch", found))
    )
    assert np.isclose(one, two, rtol=1e-12)


def test_conversions_known_from_the_literature():
    """4E/N² against 4E against E (formulas as published), 2 L_c/(NM) against L_c, at 512 pixels and VGG's widths."""
    one = {"content_layers": "conv4_2", "style_layers": "conv3_1", "tv_weight": 0.0, "content_weight": 5.0}
    paper = convert("neural-style", "paper", style_weight=100.0, **one)
    assert np.isclose(paper["style_weight"], 100 * 4 / 256**2)
    assert np.isclose(paper["content_weight"], 5 * 2 / (512 * 64 * 64))
    tensorflow = convert("neural-style", "tensorflow-tutorial", style_weight=100.0, **one)
    assert np.isclose(tensorflow["style_weight"], 100 / 256**2) and tensorflow["content_weight"] == 5
    five = convert("neural-style", "gatys-pytorch", tv_weight=0.0)
    # The author's notebook with the style weight of neural-style's defaults: 50 times its own is 1000 · 5 / 100.
    assert np.isclose(five["style_weight"], 100) and isinstance(five["style_layers"], list)
    keras = convert("neural-style", "keras", style_weight=100.0, **one)
    assert np.isclose(keras["style_weight"], 100 * 4 / 256**2 * 9 * (512 * 512) ** 2 / (256**2 * (128 * 128) ** 2))
    variation = convert("tensorflow-tutorial", "neural-style-pt", style_layers="conv1_1", tv_weight=30.0)
    assert np.isclose(variation["tv_weight"], 30 / 256)


def test_a_relative_style_loss_does_not_depend_on_the_strength_of_the_style():
    """Features c times as large in picture and style give the same loss."""
    kernel, bias = NETWORK.convolutions["conv1_1"]
    given = {"content_layers": [], "style_layers": ["conv1_1"], "tv_weight": 0.0}
    found = []
    for c in (0.01, 1.0, 30.0):
        network = dataclasses.replace(NETWORK, convolutions={"conv1_1": (c * kernel, c * bias)})
        found.append(objective("nst_numpy", network=network, **given)(picture(3, 33, 40))[0])
        G, A = (
            losses.gram(losses.feature_matrix(network.features(picture(seed, 33, 40), "conv1_1")["conv1_1"]))
            for seed in (3, 2)
        )
        assert np.isclose(found[-1], 300 * ((G - A) ** 2).sum() / (A**2).sum(), rtol=1e-12)
    assert np.allclose(found, found[0], rtol=1e-10)
    silent = dataclasses.replace(NETWORK, convolutions={"conv1_1": (0 * kernel, 0 * bias - 1)})
    assert objective("nst_numpy", network=silent, **given)(picture(3, 33, 40))[0] == 0


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("neuralstyle", "paper"), "unknown convention 'neuralstyle'; did you mean neural-style"),
        (("paper", "pytorch"), r"unknown convention 'pytorch'; did you mean .*pytorch"),
        (("paper", "neural-style"), "one weight for all style layers, and would have to multiply them by conv1_1: "),
        (("neural-style", "paper"), r"paper can't do this: it has no total variation; set tv_weight to 0"),
        (("neural-style", "keras"), r"its total variation is .* Σ \(d↓² \+ d→²\)\^1.25, that of neural-style .* Σ"),
    ],
)
def test_impossible_conversions(arguments, message):
    layers = {} if arguments == ("paper", "neural-style") else {"style_layers": "conv2_1"}
    with pytest.raises(ValueError, match=message):
        convert(*arguments, **layers)


def test_conversions_refuse_bad_input():
    image = {"network": NETWORK, "style": picture(2)}
    with pytest.raises(ValueError, match=r"cs231n can't do this: .* red, green and blue"):
        convert("nst_numpy", "cs231n", style_layers="conv2_1", content_layers="conv2_1", **image)
    for lacks in ("network", "style"):
        given = {name: value for name, value in image.items() if name != lacks}
        for pair in (("nst_numpy", "paper"), ("paper", "nst_numpy")):
            with pytest.raises(ValueError, match=r"divides the style loss by the energy .* style= and network="):
                convert(*pair, style_layers="conv2_1", content_layers="conv2_1", **given)
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'; did you mean conv"):
        convert("paper", "keras", style_layers=["conv9_1"])
    with pytest.raises(ValueError, match="8×8 pixels are too few for conv5_1"):
        convert("paper", "coursera", size=8)
    with pytest.raises(TypeError, match="shape must be height and width, found \\(9, 9, 3\\)"):
        convert("paper", "coursera", shape=(9, 9, 3))
    with pytest.raises(TypeError, match="height must be a whole number of at least 1, found 'large'"):
        convert("paper", "coursera", size="large")
    with pytest.raises(ValueError, match="style_weight must be a number of at least 0, found -1"):
        convert("paper", "coursera", style_weight=-1)
    with pytest.raises(ValueError, match="paper has no total variation: tv_weight must be 0, found 2"):
        objective("paper", tv_weight=2.0)


# The page -------------------------------------------------------------------------------------------------------------


def test_the_page_on_conventions_says_what_the_data_say():
    page = (Path(__file__).parents[1] / "docs" / "conventions.md").read_text()
    rows = {}
    for line in page.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if cells[0].strip("`") in CONVENTIONS:
            rows.setdefault(cells[0].strip("`"), []).extend(cells[1:])
    assert rows.keys() == CONVENTIONS.keys()
    for name, cells in rows.items():
        c = CONVENTIONS[name]
        weights = " / ".join(f"{weight:g}" for weight in (c.content_weight, c.style_weight, c.tv_weight))
        assert {
            CONTENT_TERMS[c.content_term].formula,
            STYLE_TERMS[c.style_term].formula,
            weights,
            c.init,
            str(c.steps),
            "0–1" if c.bounded else "free",
        } <= set(cells), (name, cells)
        assert c.optimizer in " ".join(cells) and c.pooling in cells, (name, cells)


# Conventions as data --------------------------------------------------------------------------------------------------

FIVE = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
ADAM, DESCENT = "adam", "gradient_descent"
# Number in torchvision's VGG-19, which d2l gives, and name.
TORCHVISION = {0: "conv1_1", 5: "conv2_1", 10: "conv3_1", 19: "conv4_1", 25: "conv4_4", 28: "conv5_1"}
# From the sources: layers of content and of style, step size, which layers a user can weigh, and the variable as a
# multiple of pixels in 0–1.
KNOWN = {
    "nst_numpy": (("conv3_4",), ("conv1_1", "conv2_1", "conv3_1", "conv3_4"), None, {"content", "style"}, 1),
    "paper": (("conv4_2",), FIVE, None, {"style"}, 1),
    "coursera": (("conv4_2",), FIVE, None, {"style"}, 1),
    "berkeley": (("conv4_2",), FIVE, None, {"style"}, 1),
    "neural-style": (("conv4_2",), FIVE, None, set(), 256),
    "neural-style-pt": (("conv4_2",), FIVE, None, set(), 256),
    "pytorch-tutorial": (("conv2_2",), ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"), None, set(), 1),
    "d2l": ((TORCHVISION[25],), tuple(TORCHVISION[n] for n in (0, 5, 10, 19, 28)), 0.3, set(), "normalised"),
    "gatys-pytorch": (("conv4_2",), FIVE, None, {"content", "style"}, 1),
    "tensorflow-tutorial": (("conv5_2",), FIVE, 0.02, set(), 1),
    "keras": (("conv5_2",), FIVE, 100, set(), 255),
    "cs231n": (("conv3_1",), ("conv1_1", "conv2_1", "conv3_1", "conv4_1"), 3.0, {"style"}, "normalised"),
}


@pytest.mark.parametrize("name", CONVENTIONS)
def test_defaults_are_those_of_the_sources(name):
    """A step of descent in u = s x is 1/s² of it in x, one of Adam 1/s; s of a normalised image is 1/deviation."""
    c, (content, style, rate, weighed, scale) = CONVENTIONS[name], KNOWN[name]
    assert tuple(c.content_layers) == content and tuple(c.style_layers) == style
    assert isinstance(c.own_layer_weights, tuple) and set(c.own_layer_weights) == weighed
    deviations = (0.229, 0.224, 0.225)
    assert np.allclose(c.pixel_scale, 1 / np.array(deviations) if scale == "normalised" else scale, rtol=1e-14)
    unit = 1 / np.mean(deviations) if scale == "normalised" else scale
    power = {ADAM: 1, DESCENT: 2}.get(c.optimizer)
    assert c.optimizer_options.get("learning_rate") == (rate and pytest.approx(rate / unit**power, rel=1e-14))
    assert c.optimizer_options.keys() - {"learning_rate"} == (
        {"beta1", "epsilon"} if name == "tensorflow-tutorial" else set()
    )
    assert c.noise == (1e-3 / 256 if "neural-style" in name else None)
    ours, like_paper = name == "nst_numpy", name in ("nst_numpy", "paper", "coursera", "berkeley")
    assert c.padding == ("replicate" if ours else "zero") and c.pyramid == 1 + ours and c.normalize is like_paper
    assert isinstance(c.bounded, bool) and isinstance(c.content_layers, tuple)


def test_names_sources_and_remarks():
    """Keys are names; a repository is named with the file; remarks are sentences, and say what is not reproduced."""
    for name, c in CONVENTIONS.items():
        assert c.name == name and re.fullmatch(r"([A-Zα-ω][^A-Z](\d\.\d|[^.])+\.( |$))*", c.remarks), name
        if "/" in c.source:
            assert re.fullmatch(r"[\w-]+/[\w-]+, [\w/-]+\.(py|lua|md|ipynb)( \(PyTorch\))?", c.source), name
        else:
            assert re.match("this library|Gatys|a blog post|a quiz|Stanford", c.source), name
    said = {
        "are not given": ("paper", "coursera", "berkeley"),
        "L-BFGS takes steps of fixed length": ("neural-style", "neural-style-pt"),
        "learning rate": ("d2l", "keras", "cs231n"),
        "before their ReLU": ("pytorch-tutorial",),
        "at a larger size": ("gatys-pytorch",),
        "by eye": ("nst_numpy",),
    }
    for words, names in said.items():
        assert all(re.search(words, CONVENTIONS[name].remarks) for name in names), words


def test_a_convention_as_text():
    mine = Convention(
        "mine",
        "a test",
        "sum",
        "paper",
        style_layers={"conv1_1": 0.5, "conv2_1": 2.0},
        variation=lambda H, W: {"squares": float(H - 510 + 10 * (W - 510)), "absolute_down": 0.25},
        pixel_scale=(1.0, 2.0, 4.0),
        optimizer_options={"learning_rate": 1 / 3},
        remarks="none",
    )
    assert str(mine).splitlines() == [
        "name: mine",
        "source: a test",
        "content term: Σ (F − P)²",
        "style term: Σ (G − A)² / 4N²M²",
        "content layers: conv4_2",
        "style layers: conv1_1: 0.5, conv2_1: 2",
        "content layer weights: 1",
        "style layer weights: 1",
        "content weight: 1",
        "style weight: 1",
        "tv weight: 0",
        "variation: ½ Σ d²: 22, Σ |d↓|: 0.25 (for 512 × 512 pixels, times pixel scale)",
        "pixel scale: 1, 2, 4",
        "pooling: max",
        "padding: zero",
        "normalize: False",
        "init: content",
        "noise: uniform in 0–1",
        "optimizer: lbfgs",
        "optimizer options: learning_rate: 0.3333",
        "steps: 1000",
        "pyramid: 1",
        "bounded: False",
        "remarks: none",
    ]
    plain = str(dataclasses.replace(mine, variation=lambda H, W: {}, noise=0.5, remarks="", optimizer_options={}))
    assert "noise: 0.5" in plain and not any(word in plain for word in ("variation", "remarks", "options", "own"))
    assert "lambda" not in repr(mine) and "variation" not in repr(mine)


def test_the_rest_of_a_convention_is_usual():
    mine = Convention("mine", "a test", "sum", "paper")
    assert (mine.normalize, mine.noise, mine.pyramid, mine.bounded, mine.remarks) == (False, None, 1, False, "")
    assert mine.variation(7, 9) == {} and mine.total_variation(0.0, 7, 9).coefficients == {}
    some = dataclasses.replace(mine, variation=lambda H, W: {"squares": 2.0})
    assert some.total_variation(0.0, 7, 9).coefficients == {} and some.total_variation(3.0, 7, 9).coefficients == {
        "squares": 6.0
    }
    for thing in (
        mine,
        some.total_variation(1.0, 2, 3),
        CONTENT_TERMS["sum"],
        STYLE_TERMS["paper"],
        VARIATIONS["squares"],
    ):
        with pytest.raises(dataclasses.FrozenInstanceError):
            thing.name = "other"


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"content_term": "men"}, "^unknown content term 'men'; did you mean mean. there are half_sum, sum"),
        ({"style_term": "papr"}, "^unknown style term 'papr'; did you mean paper"),
        ({"content_layer_weights": "n"}, "^unknown rule for layer weights 'n'"),
        ({"style_layer_weights": "n"}, "^unknown rule for layer weights 'n'"),
    ],
)
def test_terms_that_are_unknown(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONVENTIONS["paper"], **changes)


PRINTED_VARIATIONS = {
    "½ Σ d²": lambda down, right: 0.5 * (np.sum(down**2) + np.sum(right**2)),
    "Σ |d↓|": lambda down, right: np.sum(np.abs(down)),
    "Σ |d→|": lambda down, right: np.sum(np.abs(right)),
    "Σ (d↓² + d→²)": lambda down, right: np.sum(down[:, :-1] ** 2 + right[:-1] ** 2),
    "Σ (d↓² + d→²)^1.25": lambda down, right: np.sum((down[:, :-1] ** 2 + right[:-1] ** 2) ** 1.25),
}


def test_the_table():
    header, *lines = conventions.table().splitlines()
    heads = ["content term", "style term", "α", "β", "γ", "total variation", "start", "optimiser"]
    assert re.split("  +", header.strip()) == heads
    starts = [0, *(header.index(f" {head}") + 1 for head in heads)]
    rows = {}
    for line in lines:
        assert all(line[start - 2 : start] == "  " for start in starts[1:]) and line == line.rstrip()
        name, *cells = (line[a:b].rstrip() for a, b in zip(starts, [*starts[1:], None], strict=True))
        rows[name] = cells
    assert list(rows) == list(CONVENTIONS)
    means = ["mean of (F − P)²", "mean of squares of (G − A)/NM"]
    assert rows["paper"][2:] == ["1", "1000", "0", "none", "noise", "lbfgs"]
    assert rows["neural-style"] == [*means, "5", "100", "0.001", "Σ (d↓² + d→²)", "noise", "lbfgs"]
    assert rows["tensorflow-tutorial"][2:] == ["10000", "0.01", "30", "Σ |d↓| + Σ |d→|", "content", "adam, rate 0.02"]
    assert rows["d2l"][-1] == "adam, rate 0.0678"  # 0.3 times the mean of 0.229, 0.224 and 0.225


def test_variations_are_as_printed():
    x = picture(0, 6, 8)
    assert PRINTED_VARIATIONS.keys() == {variation.formula for variation in VARIATIONS.values()}
    for name, variation in VARIATIONS.items():
        expected = PRINTED_VARIATIONS[variation.formula](np.diff(x, axis=0), np.diff(x, axis=1))
        assert name.isascii() and np.isclose(variation.value(x), expected, rtol=1e-13), name
        assert np.isclose(variation.value(3 * x), 3**variation.degree * expected, rtol=1e-12), name
        assert gradcheck(variation.value, variation.gradient, x).passed, name
    x = x.astype(np.float32)
    _, gradient = TotalVariation({"squares": 1.0}, (1.0, 2.0, 3.0))(x)
    assert gradient.dtype == np.float32


def test_layers_by_default_in_lists_and_with_weights():
    paper, cs231n, gatys = CONVENTIONS["paper"], CONVENTIONS["cs231n"], CONVENTIONS["gatys-pytorch"]
    five = ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    assert paper.weighted_layers("style", None) == dict.fromkeys(five, 0.2)
    assert paper.weighted_layers("content", None) == {"conv4_2": 1.0}
    assert cs231n.weighted_layers("style", None) == {"conv1_1": 20000, "conv2_1": 500, "conv3_1": 12, "conv4_1": 1}
    small = small_vgg(last="conv3_2")
    assert cs231n.weighted_layers("style", None, small) == {
        "conv1_1": 20000,
        "conv2_1": 500,
        "conv3_1": 12,
        "conv3_2": 1,
    }
    assert paper.weighted_layers("content", None, small) == {"conv3_2": 1.0}
    assert gatys.weighted_layers("style", ["relu1_1", "conv2_1"], small) == {"conv1_1": 1 / 4**2, "conv2_1": 1 / 5**2}
    assert gatys.weighted_layers("style", "conv1_1") == {"conv1_1": 1 / 64**2}
    assert paper.weighted_layers("style", {"relu1_1": 2}, small) == {"conv1_1": 2.0}
    assert paper.weighted_layers("style", []) == {}
    with pytest.raises(ValueError, match=r"unknown layer 'conv5_1'.* this network has conv1_1, .*conv3_2"):
        paper.weighted_layers("style", ["conv5_1"], small)
    with pytest.raises(ValueError, match=r"^the weight of conv1_1 must be a number of at least 0, found -1"):
        paper.weighted_layers("style", {"conv1_1": -1})
    for twice in (["conv1_1", "relu1_1"], {"conv1_1": 1, "relu1_1": 2}):
        with pytest.raises(ValueError, match="style_layers names a layer twice: conv1_1, "):
            paper.weighted_layers("style", twice)


def test_conversions_count_the_networks_own_filters():
    layers = {"content_layers": {"conv2_1": 0.5, "conv3_1": 2.0}, "style_layers": "conv2_1", "tv_weight": 0}
    given = {"network": NETWORK, "style": picture(2, 64, 36), "content_weight": 3.0, **layers}
    found = convert("nst_numpy", "gatys-pytorch", shape=(64, 36), **given)
    for layer, v in layers["content_layers"].items():  # ½ mean against mean: half of it, whatever N and M
        assert np.isclose(found["content_weight"] * found["content_layers"][layer], 3.0 * v / 2)
    paper = convert(
        "nst_numpy", "paper", shape=(64, 38), network=NETWORK, content_layers="conv2_1", style_layers=[], tv_weight=0
    )
    assert np.isclose(paper["content_weight"], 1 / (5 * (64 // 2) * (38 // 2)))  # NETWORK has 5 filters there
    assert paper["style_layers"] == [] and paper["style_weight"] == 0.0
    odd = convert(
        "nst_numpy", "paper", shape=(64, 39), network=NETWORK, content_layers="conv2_1", style_layers=[], tv_weight=0
    )
    assert odd == paper  # pooling rounds down
    nothing = convert("nst_numpy", "paper", content_weight=0, style_weight=0, tv_weight=0, content_layers="conv2_1")
    assert all(isinstance(nothing[f"{kind}_weight"], float) for kind in TERMS)
    assert nothing["content_weight"] == nothing["style_weight"] == 0 and nothing["content_layers"] == ["conv2_1"]
    with pytest.raises(ValueError, match=r"unknown layer 'conv5_1'.*this network has conv1_1, .*pool2$"):
        convert("nst_numpy", "paper", network=small_vgg(last="conv2_2"), content_layers=["conv5_1"])


def test_what_a_conversion_would_need_is_said():
    with pytest.raises(
        ValueError, match=r"all content layers, and would have to multiply them by conv1_1: 0.4, conv2_1: 1.6;"
    ):
        convert("gatys-pytorch", "neural-style", content_layers={"conv1_1": 1, "conv2_1": 4}, style_layers="conv1_1")
    with pytest.raises(
        ValueError, match=r"all style layers, and would have to multiply them by conv1_1: 0.5, conv1_2: 1.5;"
    ):
        style = {"conv1_1": 0.25, "conv1_2": 0.75}  # of as many filters and positions: the factors are one
        convert("paper", "neural-style", style_layers=style, content_layers=[], tv_weight=0)
    with pytest.raises(ValueError, match=r"multiply them by conv1_1: 0.5, conv1_2: 1.5;"):  # keras's weights are 1/n
        convert("paper", "keras", style_layers=style, content_layers=[], tv_weight=0)
    with pytest.raises(TypeError, match=r"^style_layers must be a list or a dict or None, found 5"):
        convert("nst_numpy", "keras", style_layers=5)
    with pytest.raises(TypeError, match=r"^width must be a whole number of at least 1, found 'b'"):
        convert("paper", "coursera", shape=(64, "b"))
    with pytest.raises(ValueError, match=r"is 1 Σ \|d↓\| \+ 1 Σ \|d→\|, that of keras"):
        convert("keras", "tensorflow-tutorial", style_layers="conv1_1", content_layers="conv1_1")


@pytest.mark.parametrize(
    "variation", [{"absolute_down": 1.0}, {"absolute_right": 1.0}, {"absolute_down": 1.0, "absolute_right": 2.0}]
)
def test_total_variations_of_other_ratios_are_refused(variation):
    """The target weighs both directions alike."""
    mine = dataclasses.replace(CONVENTIONS["tensorflow-tutorial"], name="mine", variation=lambda H, W: variation)
    with pytest.raises(ValueError, match="no weight makes them equal for every image"):
        convert(mine, "neural-style-pt", style_layers="conv1_1", content_layers="conv1_1")
