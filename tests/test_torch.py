"""Against PyTorch, in float64, an oracle that shares no code: the pixel gradient of the whole objective, and Adam."""

import importlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from drawing import MEAN, picture, small_vgg

from nst_numpy import Objective, conventions, minimize
from nst_numpy.frames import TemporalTerm

torch = pytest.importorskip("torch", reason="PyTorch is not installed; .ci/run installs it (pip install '.[oracle]')")

STYLE = {"conv1_1": 0.3, "conv2_1": 0.1, "conv3_1": 0.2, "conv4_1": 0.15, "conv5_1": 0.25}
ALPHA, BETA, GAMMA = 2.0, 300.0, 5.0


def torch_features(network, image, layers):
    pool = torch.nn.functional.avg_pool2d if network.pooling == "average" else torch.nn.functional.max_pool2d
    a = ((255 * image - torch.tensor(MEAN)) * network.scale).permute(2, 0, 1)[None]
    features = {}
    for name in network.layers:
        if name.startswith("pool"):
            a = pool(a, 2)
        else:
            kernel, bias = (torch.tensor(w) for w in network.convolutions[name])
            mode = {"zero": "constant"}.get(network.padding, network.padding)
            a = torch.nn.functional.pad(a, (1, 1, 1, 1), mode)
            a = torch.relu(torch.nn.functional.conv2d(a, kernel.permute(3, 2, 0, 1), bias))
        if name in layers:
            features[name] = a[0].flatten(1)  # N × M
        if layers <= features.keys():
            return features


def torch_loss(network, content, style, x):
    layers = {*STYLE, "conv4_2"}
    F, P = (torch_features(network, image, layers) for image in (x, content))
    circular = network.padding == "circular"
    F_a = torch_features(replace(network, padding="replicate") if circular else network, style, layers)
    loss = ALPHA * 0.5 * ((F["conv4_2"] - P["conv4_2"]) ** 2).mean()
    for l, w in STYLE.items():
        (N, M), M_a = F[l].shape, F_a[l].shape[1]
        G, A = F[l] @ F[l].T, (M / M_a) * F_a[l] @ F_a[l].T
        loss = loss + BETA * w * ((G - A) ** 2).sum() / (4 * N**2 * M**2)
    down, right = (x.roll(-1, axis) - x for axis in (0, 1))  # the last is the difference across the edge
    tv = 0.5 * sum((d if circular else d[:-1, :]).square().sum() for d in (down, right.transpose(0, 1)))
    return loss + GAMMA * tv / (x.shape[0] * x.shape[1])


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["zero", "replicate", "circular"])
@pytest.mark.parametrize("topology, sizes", [("vgg19", (64, 48)), ("vgg16", (53, 67)), ("vgg19", (35, 39))])
def test_loss_and_pixel_gradient_are_those_of_autograd(topology, sizes, padding, pooling):
    network = small_vgg(topology, (16, 24, 32, 40, 48), pooling=pooling, padding=padding)
    content, x, style = picture(1, *sizes), picture(2, *sizes), picture(3, 50, 70)
    f = Objective.from_images(
        network,
        content,
        style,
        content_layers={"conv4_2": 1.0},
        style_layers=STYLE,
        content_weight=ALPHA,
        style_weight=BETA,
        tv_weight=GAMMA,
        convention=replace(conventions.get("nst_numpy"), style_term="paper"),
    )
    total, gradient, _ = f(x)
    leaf = torch.tensor(x, requires_grad=True)
    loss = torch_loss(network, torch.tensor(content), torch.tensor(style), leaf)
    loss.backward()
    expected = leaf.grad.numpy()
    assert abs(total - loss.item()) <= 1e-12 * abs(total)
    difference = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    print(f"{topology} {sizes} {pooling} {padding}: relative difference {difference:.1e}")
    assert difference <= 1e-10


@pytest.mark.parametrize("term", ["paper", "relative"])
def test_regions_are_those_of_autograd(term):
    """Guided Gram matrices and a content mask, soft, on odd sizes; weights by area and by style_blend."""
    network = small_vgg(widths=(16, 24, 32, 40, 48), padding="replicate")
    content, x, styles = picture(1, 53, 67), picture(2, 53, 67), [picture(3, 50, 70), picture(4, 61, 40)]
    rng = np.random.default_rng(0)
    regions = [np.clip(np.linspace(-1, 2, 67) + rng.uniform(-0.3, 0.3, (53, 1)), 0, 1).astype(np.float32)]
    regions.append(1 - regions[0])
    part, kept = (np.linspace(0, 1, 50)[:, None] * np.ones(70)).astype(np.float32), picture(5, 53, 67)[..., 0]
    kept = np.repeat(kept[..., None], 3, axis=2).astype(np.float32)
    f = Objective.from_images(
        network,
        content,
        styles,
        content_layers={"conv4_2": 1.0},
        style_layers=STYLE,
        content_weight=ALPHA,
        style_weight=BETA,
        tv_weight=0.0,
        style_blend=(1, 3),
        convention=replace(conventions.get("nst_numpy"), style_term=term),
        content_masks=regions,
        style_masks=[part, None],
        content_mask=kept,
    )
    layers = {*STYLE, "conv4_2"}
    leaf = torch.tensor(x, requires_grad=True)
    F, P = (torch_features(network, image, layers) for image in (leaf, torch.tensor(content)))

    def weights(mask, l):
        t = torch.tensor(np.asarray(mask, np.float64))[None, None]
        for _ in range(int(l[4]) - 1):
            t = torch.nn.functional.avg_pool2d(t, 2)
        return t.flatten()

    loss = ALPHA * 0.5 * (weights(kept[..., 0], "conv4_2") * (F["conv4_2"] - P["conv4_2"]) ** 2).mean()
    for style, region, inside, b in zip(styles, regions, [part, np.ones((61, 40))], (0.5, 1.5), strict=True):
        F_a = torch_features(network, torch.tensor(style), layers)
        for l, w in STYLE.items():
            t, t_a, (N, M) = weights(region, l), weights(inside, l), F[l].shape
            G = torch.einsum("k,ik,jk->ij", t**2, F[l], F[l]) * M / (t**2).sum()
            A = torch.einsum("k,ik,jk->ij", t_a**2, F_a[l], F_a[l]) * M / (t_a**2).sum()
            divisor = 4 * N**2 * M**2 if term == "paper" else (A**2).sum()
            loss = loss + BETA * w * b * (t**2).mean() * ((G - A) ** 2).sum() / divisor
    loss.backward()
    total, gradient, _ = f(x)
    expected = leaf.grad.numpy()
    difference = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    print(f"regions, {term}: relative difference {difference:.1e}")
    assert abs(total - loss.item()) <= 1e-12 * abs(total) and difference <= 1e-10


def test_temporal_loss_is_that_of_autograd():
    """With content, style and total variation, down to the pixels."""
    network = small_vgg(widths=(16, 24, 32, 40, 48))
    content, x, style, before = picture(1, 35, 39), picture(2, 35, 39), picture(3, 50, 70), picture(4, 35, 39)
    c = (picture(5, 35, 39)[..., 0] > 0.3).astype(float)
    options = {"content_layers": {"conv4_2": 1.0}, "style_layers": STYLE, "content_weight": ALPHA}
    convention = replace(conventions.get("nst_numpy"), style_term="paper")
    f = Objective.from_images(
        network, content, style, **options, style_weight=BETA, tv_weight=GAMMA, convention=convention
    )
    f = Objective(network, [*f.terms, TemporalTerm(before, c, 70.0)])
    total, gradient, terms = f(x)
    leaf = torch.tensor(x, requires_grad=True)
    temporal = 70 * (torch.tensor(c)[..., None] * (leaf - torch.tensor(before)) ** 2).mean()
    loss = torch_loss(network, torch.tensor(content), torch.tensor(style), leaf) + temporal
    loss.backward()
    expected = leaf.grad.numpy()
    assert abs(total - loss.item()) <= 1e-12 * abs(total) and abs(terms["temporal"] - temporal.item()) <= 1e-12 * total
    assert np.linalg.norm(gradient - expected) <= 1e-10 * np.linalg.norm(expected)


def test_adam_takes_the_steps_of_torchs():
    def rosenbrock(x):
        return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()

    def fun(x):
        leaf = torch.tensor(x, requires_grad=True)
        value = rosenbrock(leaf)
        value.backward()
        return value.item(), leaf.grad.numpy()

    options = {"learning_rate": 0.05, "beta1": 0.8, "beta2": 0.95, "epsilon": 1e-3}
    ours = []
    minimize(fun, np.linspace(-1, 1, 6), "adam", **options, maxiter=40, callback=lambda state: ours.append(state.x))
    theirs = torch.tensor(ours[0], requires_grad=True)
    adam = torch.optim.Adam([theirs], lr=0.05, betas=(0.8, 0.95), eps=1e-3)
    for point in ours[1:]:
        adam.zero_grad()
        rosenbrock(theirs).backward()
        adam.step()
        assert np.allclose(point, theirs.detach().numpy(), rtol=1e-9)


@pytest.mark.parametrize("weights", [None, "vgg19-mini"])
def test_the_benchmark_compares_the_same_losses(monkeypatch, weights):
    """`bench` refuses contestants whose losses differ."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "benchmarks"))
    found = importlib.import_module("speed").bench(32, "torch", rounds=1, weights=weights)
    losses = [contestant["loss"] for contestant in found["contestants"].values()]
    assert len(losses) == 3 and losses[0] > 0 and losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-4)
