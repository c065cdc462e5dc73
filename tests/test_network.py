"""The sweeps of the network: names, order, features, and the gradient of each layer alone and of the chain."""

import dataclasses

import numpy as np
import pytest
from drawing import MEAN, like, picture, small_vgg

from nst_numpy import VGG, gradcheck, layers
from nst_numpy.backends import plain
from nst_numpy.topology import FILTERS, FIRST, layer_names

each_padding = pytest.mark.parametrize("padding", ["zero", "replicate", "circular"])


def test_topologies_are_those_of_the_table():
    vgg16, vgg19 = layer_names("vgg16"), layer_names("vgg19")
    assert sum(name.startswith("conv") for name in vgg16) == 13 and sum(name.startswith("conv") for name in vgg19) == 16
    assert FILTERS == (64, 128, 256, 512, 512) and FIRST == vgg16[0] == "conv1_1"
    assert vgg19[:6] == ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2", "pool2"]
    assert vgg16[-4:] == ["conv5_1", "conv5_2", "conv5_3", "pool5"] and vgg19[-2:] == ["conv5_4", "pool5"]


@pytest.mark.parametrize("topology", ["vgg16", "vgg19"])
@pytest.mark.parametrize("pooling", ["average", "max"])
@each_padding
def test_features_are_the_layers_one_after_another(topology, pooling, padding):
    network = small_vgg(topology, pooling=pooling, padding=padding)
    image = picture(1, 37, 45)
    features = network.features(image, network.layers)
    pool = {"average": layers.average_pool_forward, "max": layers.max_pool_forward}[pooling]
    a = (255 * image - MEAN) / 60
    for name in layer_names(topology):
        weights = network.convolutions.get(name)
        a = pool(a) if weights is None else np.maximum(layers.conv_forward(a, *weights, padding), 0)
        assert np.allclose(features[name], a, rtol=1e-13, atol=1e-13), name
    assert a.shape == (1, 1, 8)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_a_circular_network_has_no_edges(pooling):
    """Shifted around by a multiple of what the poolings reduce, an image has the same features, shifted."""
    network, image = small_vgg(last="conv4_2", pooling=pooling, padding="circular"), picture(1, 48, 32)
    features = network.features(image, network.layers)
    shifted = network.features(np.roll(image, (16, -8), axis=(0, 1)), network.layers)
    for layer, a in features.items():
        step = image.shape[0] // a.shape[0]
        assert np.allclose(shifted[layer], np.roll(a, (16 // step, -8 // step), axis=(0, 1)), rtol=1e-9, atol=1e-12)


def test_forward_stops_at_the_deepest_layer_asked_for():
    _, tape = small_vgg().forward(picture(0), ["conv3_2", "conv1_1"])
    steps = [step[:2] for step in tape]
    assert steps == [
        ("conv1_1", ""),
        ("conv1_2", "pool1"),
        ("conv2_1", ""),
        ("conv2_2", "pool2"),
        ("conv3_1", ""),
        ("conv3_2", ""),
    ]


def test_relu_is_another_name_for_conv():
    features = small_vgg().features(picture(0), ["relu2_1", "conv2_1"])
    assert np.array_equal(features["relu2_1"], features["conv2_1"])


def test_unknown_layer_is_refused_with_the_nearest_and_the_list():
    with pytest.raises(ValueError, match=r"unknown layer 'conv4_5'; did you mean conv4_\d\?.*conv1_1, .*pool5"):
        small_vgg().features(picture(0), "conv4_5")
    with pytest.raises(ValueError, match="unknown layer 5; this network has conv1_1"):
        small_vgg().canonical(5)
    with pytest.raises(ValueError, match="unknown layer 'conv3_1'"):
        small_vgg(last="conv2_2").features(picture(0), ["conv3_1"])


def test_image_too_small_is_refused():
    network = small_vgg()
    network.features(picture(0, 16, 40), "conv5_1")
    with pytest.raises(ValueError, match=r"40×15 pixels is too small for conv5_1, which needs at least 16×16"):
        network.features(picture(0, 15, 40), "conv5_1")


# The backward sweep ---------------------------------------------------------------------------------------------------


def loss_and_gradient(network, dy):
    """L(x) = Σ_l Σ dy_l · a_l(x), whose injected gradients are the dy_l, and its gradient by the backward sweep."""

    def loss(x):
        features, _ = network.forward(x, dy)
        return sum(np.sum(dy[l] * features[l]) for l in dy)

    def gradient(x):
        _, tape = network.forward(x, dy)
        return network.backward(dy, tape)

    return loss, gradient


def injected(network, names, image):
    features, _ = network.forward(image, names)
    return {l: like(n, features[l].shape) for n, l in enumerate(names)}


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("name", ["conv1_1", "conv1_2", "pool1", "conv2_1", "conv3_4", "pool4", "conv5_4", "pool5"])
def test_gradient_of_one_layer_with_respect_to_the_pixels(name, pooling):
    network, image = small_vgg(pooling=pooling), picture(3, 33, 34)
    loss, gradient = loss_and_gradient(network, injected(network, [name], image))
    # Rounding alone gives up to 2e-7 in the deepest layers (20 seeds); kinks forbid a larger step.
    check = gradcheck(loss, gradient, image, mode="sample", samples=60, h=1e-6)
    assert check.norm_ratio <= 1e-6, check


def test_gradient_of_several_layers_in_one_sweep():
    network, image = small_vgg(), picture(4, 35, 32)
    dy = injected(network, ["conv1_1", "pool1", "conv2_2", "conv4_2", "conv5_1"], image)
    loss, gradient = loss_and_gradient(network, dy)
    assert gradcheck(loss, gradient, image, mode="sample", samples=60, h=1e-6, rtol=1e-6)
    alone = sum(loss_and_gradient(network, {l: dy[l]})[1](image) for l in dy)
    assert np.allclose(gradient(image), alone, rtol=1e-12, atol=1e-12)


def test_backward_ignores_layers_above_the_deepest_loss():
    network, image = small_vgg(), picture(5)
    dy = injected(network, ["conv2_1"], image)
    _, tape = network.forward(image, ["conv2_1", "conv5_1"])
    assert np.array_equal(network.backward(dy, tape), loss_and_gradient(network, dy)[1](image))


def test_the_network_does_not_change_image_or_gradients():
    network, image = small_vgg(), picture(6)
    dy = injected(network, ["conv1_1", "conv2_1"], image)  # read-only
    image.flags.writeable = False
    assert loss_and_gradient(network, dy)[1](image).dtype == np.float64


def test_float32_networks_compute_in_float32():
    network = small_vgg(dtype=np.float32)
    features, tape = network.forward(picture(0, dtype=np.float32), ["conv3_1"])
    dx = network.backward(features, tape)
    assert features["conv3_1"].dtype == dx.dtype == np.float32


# Bad input ------------------------------------------------------------------------------------------------------------


def changed(layer, kernel=None, bias=None):
    convolutions = dict(small_vgg(last="conv2_2").convolutions)
    old_kernel, old_bias = convolutions[layer]
    convolutions[layer] = (old_kernel if kernel is None else kernel, old_bias if bias is None else bias)
    return convolutions


@pytest.mark.parametrize(
    "convolutions, message",
    [
        (changed("conv1_2", kernel=np.zeros((3, 3, 9, 4))), r"expected shape \(3, 3, 4, 4\), found \(3, 3, 9, 4\)"),
        (changed("conv1_2", kernel=np.zeros((5, 5, 4, 4))), r"expected shape \(3, 3, 4, 4\), found \(5, 5, 4, 4\)"),
        (changed("conv1_2", kernel=np.zeros(3)), r"conv1_2/kernel: expected shape"),
        (changed("conv2_1", bias=np.zeros(3)), r"conv2_1/bias: expected shape \(5,\), found \(3,\)"),
        (changed("conv2_1", bias=np.array([0, 0, np.nan, 0, 0])), r"conv2_1/bias contains values that are not finite"),
        ({}, "expected conv1_1, found nothing"),
        ({"conv1_1": 0, "conv2_1": 0}, "expected conv1_2 after conv1_1, found conv2_1"),
        ({"fc6": (np.zeros(1), np.zeros(1))}, "expected conv1_1, found fc6"),
        (
            {**small_vgg().convolutions, "conv6_1": small_vgg().convolutions["conv5_4"]},
            "expected nothing after conv5_4",
        ),
    ],
)
def test_networks_that_are_no_vgg_are_refused(convolutions, message):
    with pytest.raises(ValueError, match=message):
        VGG(convolutions, MEAN)


def test_a_gap_is_named_also_in_block_4_of_vgg16():
    convolutions = dict(small_vgg("vgg16").convolutions)
    del convolutions["conv4_2"]
    with pytest.raises(ValueError, match="expected conv4_2 after conv4_1, found conv4_3"):
        VGG(convolutions, MEAN)


def test_pooling_and_padding_must_be_known():
    with pytest.raises(ValueError, match="unknown pooling 'median'; there are average, max"):
        dataclasses.replace(small_vgg(), pooling="median")
    with pytest.raises(ValueError, match="unknown padding 'zeros'; did you mean zero"):
        dataclasses.replace(small_vgg(), padding="zeros")


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"backend": "gpu"}, ValueError, "^unknown backend 'gpu'; there are fast, plain"),
        ({"backend": "plai"}, ValueError, "did you mean plain"),
        ({"threads": 0}, ValueError, "^threads must be a whole number of at least 1, found 0"),
        ({"threads": 1.5}, ValueError, "^threads must be a whole number of at least 1, found 1.5"),
        ({"threads": "2"}, TypeError, "^threads must be a whole number of at least 1, found '2'"),
    ],
)
def test_what_a_network_cannot_run_on(changes, error, message):
    with pytest.raises(error, match=message):
        dataclasses.replace(small_vgg(), **changes)
    assert dataclasses.replace(small_vgg(), threads=1).threads == 1


def test_what_is_wrong_with_a_kernel_is_said():
    torch_order = changed("conv1_2", kernel=np.zeros((4, 4, 3, 3)))
    with pytest.raises(ValueError, match=r"found \(4, 4, 3, 3\) \(axes in the order of PyTorch\?\)$"):
        VGG(torch_order, MEAN)
    with pytest.raises(ValueError, match=r"conv1_2/kernel: expected shape \(3, 3, 4, 4\), found \(3, 4, 3, 4\)$"):
        VGG(changed("conv1_2", kernel=np.zeros((3, 4, 3, 4))), MEAN)
    with pytest.raises(ValueError, match=r"conv1_2/kernel: expected shape \(3, 3, 4, 0\), found \(\)$"):
        VGG(changed("conv1_2", kernel=np.array(1.0)), MEAN)
    with pytest.raises(ValueError, match=r"conv1_2/kernel: expected shape \(3, 3, 4, 0\), found \(3, 3, 4, 0\)"):
        VGG(changed("conv1_2", kernel=np.zeros((3, 3, 4, 0)), bias=np.zeros(0)), MEAN)
    one = {"conv1_1": (np.ones((3, 3, 3, 1)), np.ones(1))}
    assert VGG(one, MEAN).filters("conv1_1") == 1


def test_gradients_for_layers_that_were_not_asked_for_are_refused():
    network, image = small_vgg(last="conv2_2"), picture(0)
    features, tape = network.forward(image, ["conv1_1", "conv2_1"])
    for gradients, found in (({}, "none"), ({"conv1_2": features["conv1_1"]}, "conv1_2")):
        with pytest.raises(ValueError, match=f"expected gradients for some of conv1_1, pool1, conv2_1, found {found}$"):
            network.backward(gradients, tape)
    with pytest.raises(ValueError, match=r"found conv1_1, conv1_2$"):
        network.backward(dict.fromkeys(["conv1_1", "conv1_2"], features["conv1_1"]), tape)


@pytest.mark.parametrize(
    "image, error, found",
    [
        (np.zeros((8, 8, 3), int), ValueError, r"found int64 \(8, 8, 3\)"),
        (np.zeros((8, 8)), ValueError, r"found float64 \(8, 8\)"),
        (np.zeros((8, 8, 4)), ValueError, r"found float64 \(8, 8, 4\)"),
        (np.zeros((1, 8, 8, 3)), ValueError, r"found float64 \(1, 8, 8, 3\)"),
        ([[0.0]], TypeError, "found list;"),
    ],
)
def test_what_is_no_image_is_refused(image, error, found):
    with pytest.raises(error, match=found):
        small_vgg().forward(image, ["conv1_1"])


# Layers one by one, and what the network runs on ----------------------------------------------------------------------


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("backend", ["fast", "plain"])
@each_padding
def test_layers_one_by_one_are_the_sweep(backend, pooling, padding):
    network = small_vgg(last="conv2_2", pooling=pooling, padding=padding, backend=backend)
    image = picture(3, 9, 12)
    features, tape = network.forward(image, network.layers)
    a, inputs = image, {}
    for name in ("input", *network.layers):
        inputs[name] = a
        a = network.layer(name)[0](a)
        if name == "input":
            assert np.allclose(a, (255 * image - MEAN) / 60, rtol=1e-14)
        else:
            assert np.allclose(a, features[name], rtol=1e-12, atol=1e-13), name
    dy = da = like(0, a.shape)
    for name in reversed(("input", *network.layers)):
        x = inputs[name] * 1.0
        da = network.layer(name)[1](da, x)
        assert np.array_equal(x, inputs[name]) and da.shape == x.shape
    assert np.allclose(da, network.backward({network.layers[-1]: dy}, tape), rtol=1e-10, atol=1e-13)
    assert np.array_equal(
        network.layer("relu1_1")[0](inputs["conv1_1"]), network.layer("conv1_1")[0](inputs["conv1_1"])
    )
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'"):
        network.layer("conv9_1")


def test_injecting_by_a_function():
    """It gets what came from above, or None in the deepest layer."""
    network, image = small_vgg(last="conv2_2"), picture(4)
    dy = injected(network, ["conv1_1", "conv2_1"], image)
    seen = {}

    def adding(layer):
        def inject(da):
            seen[layer] = da
            return dy[layer] + (0 if da is None else da)

        return inject

    _, tape = network.forward(image, dy)
    mixed = [{l: adding(l) for l in dy}, {"conv1_1": adding("conv1_1"), "conv2_1": dy["conv2_1"]}]
    for gradients in mixed:
        assert np.allclose(network.backward(gradients, tape), network.backward(dy, tape), rtol=1e-13)
    assert seen["conv2_1"] is None and seen["conv1_1"].shape == dy["conv1_1"].shape


def test_filters_of_pooling_layers_are_those_below():
    network = small_vgg(last="conv3_2")
    assert [network.filters(l) for l in ("conv1_2", "pool1", "conv2_1", "pool2", "conv3_2")] == [4, 4, 5, 5, 6]


@pytest.mark.parametrize(
    "layers, steps",
    [
        ([], []),
        (["pool1"], [("conv1_1", ""), ("conv1_2", "pool1")]),
        (["conv1_2"], [("conv1_1", ""), ("conv1_2", "")]),
    ],
)
def test_a_sweep_stops_at_what_is_wanted(layers, steps):
    features, tape = small_vgg().forward(picture(0), layers)
    assert [step[:2] for step in tape] == steps and list(features) == layers


def test_backend_and_threads_arrive_at_the_engine(monkeypatch):
    seen = []
    monkeypatch.setattr("nst_numpy.backends.create", lambda *arguments: seen.append(arguments) or plain)
    network = small_vgg(last="conv1_2", dtype=np.float32, backend="fast", threads=3)
    assert network.engine is plain and network.engine is plain  # made once
    assert seen == [("fast", 3, np.dtype(np.float32))]


def test_a_backend_of_ones_own_is_used_for_everything():
    calls = []

    class Noting:
        def __getattr__(self, name):
            calls.append(name)
            return getattr(plain, name)

    network, image = small_vgg(last="conv2_2", backend=Noting(), pooling="max"), picture(0, 9, 12)
    features, tape = network.forward(image, ["conv1_1", "pool1", "pool2"])
    gradient = network.backward({"pool2": features["pool2"]}, tape)
    expected = dataclasses.replace(network, backend="plain")
    features, tape = expected.forward(image, ["conv1_1", "pool1", "pool2"])
    assert np.array_equal(gradient, expected.backward({"pool2": features["pool2"]}, tape))
    wanted = {"prepare", "session", "conv_relu_forward", "conv_relu_pool_forward", "conv_relu_backward"}
    assert wanted | {"conv_relu_pool_backward"} <= set(calls)
    assert repr(network) == "VGG('small', conv1_1 … conv2_2, max pooling, float64, Noting backend)"


def test_networks_as_objects():
    network = small_vgg(last="conv2_1")
    assert repr(network) == "VGG('small', conv1_1 … conv2_1, average pooling, float64, fast backend)"
    assert network == network and network != small_vgg(last="conv2_1") and hash(network) == hash(network)
    with pytest.raises(dataclasses.FrozenInstanceError):
        network.pooling = "max"
    around = dataclasses.replace(network, padding="circular")
    assert repr(around) == ("VGG('small', conv1_1 … conv2_1, average pooling, circular padding, float64, fast backend)")
    plain_one = VGG(network.convolutions, MEAN)
    assert (plain_one.scale, plain_one.pooling, plain_one.padding, plain_one.name) == (1.0, "average", "zero", "")
    assert (plain_one.backend, plain_one.threads) == ("fast", None)


def test_an_image_is_read_in_the_type_of_the_network():
    image, network = picture(0, 40, 50), small_vgg(last="conv1_1", dtype=np.float32)
    expected, _ = network.forward(image.astype(np.float32), ["conv1_1"])
    assert np.array_equal(network.features(image, "conv1_1")["conv1_1"], expected["conv1_1"])
    integers = (255 * image).astype(np.uint8)
    assert np.allclose(network.features(integers, "conv1_1")["conv1_1"], expected["conv1_1"], atol=0.1)


@pytest.mark.parametrize("scale", [2, np.float64(2)])
def test_all_of_a_sweep_is_in_the_dtype_of_the_network(scale):
    """Also the preprocessing, whatever the types of mean and scale: an image in float64 would take twice the memory."""
    network = dataclasses.replace(small_vgg(dtype=np.float32), mean=np.array(MEAN, np.float64), scale=scale)
    x = picture(0, 32, 32)
    assert network.input_forward(x).dtype == network.input_backward(picture(1, 32, 32, np.float32)).dtype == np.float32
    assert np.allclose(network.input_forward(x), (255 * x - MEAN) * 2, rtol=1e-6, atol=1e-4)
    features, tape = network.forward(x, ["conv2_1"])
    assert features["conv2_1"].dtype == np.float32
    assert network.backward({"conv2_1": lambda da: features["conv2_1"]}, tape).dtype == np.float32
