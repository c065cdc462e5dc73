"""check_layers and check_network pass right networks, and name the first wrong layer of others."""

import dataclasses

import numpy as np
import pytest
from drawing import like, picture, small_vgg, spread

from nst_numpy import VGG, check_layers, check_network, layers


@pytest.mark.parametrize("backend", ["plain", "fast"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("padding", ["zero", "replicate", "circular"])
def test_a_right_network(backend, pooling, padding):
    network = small_vgg(last="conv3_1", pooling=pooling, padding=padding, backend=backend)
    found = check_network(network, picture(0, 13, 18), "conv3_1")
    assert found and found.first_wrong is None, found
    assert list(found.checks) == ["input", "conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2", "conv3_1"]
    assert str(found).count("passed") == 9


def test_the_first_wrong_layer_is_named():
    x = spread(np.random.default_rng(0), (6, 7, 2))
    kernel, zero = like(1, (3, 3, 2, 2)), np.zeros(2)
    conv = (lambda x: layers.conv_forward(x, kernel, zero), lambda dy, x: layers.conv_backward_input(dy, kernel))
    relu = (layers.relu_forward, layers.relu_backward)
    unmasked = (layers.relu_forward, lambda dy, x: dy)
    pool = (layers.average_pool_forward, layers.average_pool_backward)
    right = {"conv1": conv, "relu1": relu, "pool1": pool, "conv2": conv, "relu2": relu}
    assert check_layers(right, x)
    wrong = check_layers({**right, "relu1": unmasked, "relu2": unmasked}, x)
    assert not wrong and wrong.first_wrong == "relu1" and "the first layer that is wrong: relu1" in str(wrong)
    assert wrong.checks["conv2"] and not wrong.checks["relu2"] and not wrong.chain
    together = check_layers(right, x, backward=lambda dy, x: np.zeros_like(x))
    assert not together and together.first_wrong is None and "how they are put together" in str(together)


def test_a_network_whose_sweep_is_wrong(monkeypatch):
    network = small_vgg(last="conv1_2", backend="plain")
    right = VGG.backward
    monkeypatch.setattr(VGG, "backward", lambda self, gradients, tape: 1.01 * right(self, gradients, tape))
    found = check_network(network, picture(0, 6, 7), "conv1_2")
    assert not found and found.first_wrong is None and not found.chain
    monkeypatch.setattr(VGG, "input_backward", lambda self, da: da)
    assert check_network(network, picture(0, 6, 7), "conv1_2").first_wrong == "input"


def test_other_names_and_unknown_ones():
    network = small_vgg(last="conv1_2", backend="plain")
    assert list(check_network(network, picture(0, 6, 7), "relu1_1").checks) == ["input", "conv1_1"]
    with pytest.raises(ValueError, match=r"of shape \(H, W, 3\), found float64 \(6, 7, 4\)"):
        check_network(small_vgg(), np.zeros((6, 7, 4)), "conv1_1")
    with pytest.raises(ValueError, match="unknown layer 'conv9_9'"):
        check_network(network, picture(0, 6, 7), "conv9_9")
    with pytest.raises(ValueError, match="at least one layer"):
        check_layers({}, np.ones(3))


def test_options_arrive():
    """Few coordinates; others with another seed; no pass without a tolerance."""
    network, image = small_vgg(last="conv1_1", backend="plain"), picture(0, 6, 7)
    checks = {seed: check_network(network, image, "conv1_1", samples=5, seed=seed) for seed in (0, 1)}
    for found in checks.values():
        assert found and [len(c.indices) + c.kinks for c in (*found.checks.values(), found.chain)] == [5, 5, 5]
    assert list(checks[0].chain.indices) != list(checks[1].chain.indices)
    assert not check_network(network, image, "conv1_1", rtol=0)
    cubed = {"cube": (lambda x: x**3, lambda dy, x: 3 * x**2 * dy)}
    assert check_layers(cubed, np.ones(3)) and not check_layers(cubed, np.ones(3), h=0.1)


def test_the_chain_of_layers_is_written_in_reverse():
    """Layers that do not commute: the derivative of 2 · x² is 4 x, that of (2 x)² is 8 x."""
    twice, square = (lambda x: 2 * x, lambda dy, x: 2 * dy), (lambda x: x**2, lambda dy, x: 2 * x * dy)
    x = np.array([0.5, 1.0, 3.0])
    for pair, factor in (({"square": square, "twice": twice}, 4), ({"twice": twice, "square": square}, 8)):
        found = check_layers(pair, x)
        dy = np.random.default_rng(0).standard_normal(3)
        assert found and np.allclose(found.chain.analytic, factor * x * dy)
        assert len(str(found).splitlines()) == 3 and str(found) == repr(found)


def test_it_prints_a_line_for_each_layer():
    right = (lambda x: 2 * x, lambda dy, x: 2 * dy)
    wrong = (lambda x: 2 * x, lambda dy, x: 3 * dy)
    x = np.ones(2)
    found = check_layers({"first": right, "second": right}, x)
    names = [line.split()[0] for line in str(found).splitlines()]
    assert names == ["first", "second", "all"] and str(found).splitlines()[0] == f"first      {found.checks['first']}"
    found = check_layers({"first": right, "second": wrong}, x)
    assert str(found).splitlines()[-1] == "the first layer that is wrong: second"
    found = check_layers({"first": right}, x, backward=wrong[1])
    assert str(found).splitlines()[-1] == "each layer is right alone: look at how they are put together"
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.chain = None
    assert found == found and found != check_layers({"first": right}, x)


def test_defaults():
    network, image = small_vgg(last="conv1_1", backend="plain"), picture(0, 6, 7)
    default, given = (
        check_network(network, image, "conv1_1"),
        check_network(network, image, "conv1_1", samples=30, seed=0),
    )
    assert [len(c.indices) + c.kinks for c in default.checks.values()] == [30, 30]
    assert list(default.chain.indices) == list(given.chain.indices)
    double = {"double": (lambda x: 2 * x, lambda dy, x: 2 * dy)}
    assert len(check_layers(double, np.zeros(40)).chain.indices) == 30
    assert check_layers(double, np.zeros(3, int)).chain.analytic.dtype == np.float64


def test_the_step_arrives():
    """Another step rounds otherwise."""
    network, image = small_vgg(last="conv1_1", backend="plain"), picture(0, 6, 7)
    steps = [check_network(network, image, "conv1_1", h=h).checks["input"].numeric.tolist() for h in (1e-5, 1e-3)]
    assert steps[0] != steps[1]


def test_an_image_in_float32_or_as_a_list_is_checked_in_float64():
    seen = []

    def forward(x):
        seen.append(x.dtype)
        return x**2

    x = spread(np.random.default_rng(0), (3, 4)).astype(np.float32)
    for given in (x, x.tolist()):
        found = check_layers({"square": (forward, lambda dy, x: 2 * x * dy)}, given)
        assert found and set(seen) == {np.dtype(np.float64)}
    assert found == found and hash(found) == hash(found) and found != dataclasses.replace(found)  # it holds arrays
