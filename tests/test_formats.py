"""Weight files of every layout: each written by the library that owns the layout, and its features by that library."""

import importlib.util
import io
import os
import pickle
import struct
import sys
import warnings
import zipfile
from dataclasses import FrozenInstanceError, replace

import h5py
import numpy as np
import pytest
from drawing import like, picture, small_vgg

from nst_numpy import VGG, load_weights, save_weights
from nst_numpy.topology import TOPOLOGIES, convolution_names, layer_names
from nst_numpy.weights import formats
from nst_numpy.weights.formats import IMAGENET_MEAN

os.environ.setdefault("KERAS_BACKEND", "torch")


def needs(package):
    return pytest.mark.skipif(importlib.util.find_spec(package) is None, reason=f"{package} is not installed")


def network(topology="vgg19", last=None, **keywords):
    """A narrow network for RGB less Oxford's mean, with features that are alive and of the size of 1."""
    net = small_vgg(topology, last=last, dtype=np.float32, **keywords)
    kernel, bias = net.convolutions["conv1_1"]
    return VGG({**net.convolutions, "conv1_1": (kernel / 60, bias)}, IMAGENET_MEAN)


def largest_difference(found, expected):
    return max(np.abs(found[l] - a).max() / np.abs(a).max() for l, a in expected.items())


def assert_same(path, expected: VGG, layout: str, tolerance=2e-6):
    assert formats.read(path).layout == layout
    image, layers = picture(0, 48, 40, np.float32), list(expected.convolutions)
    found = load_weights(path, normalize=False).features(image, layers)
    difference = largest_difference(found, expected.features(image, layers))
    print(f"\n{layout}, {path.name}: largest difference {difference:.1e}", end="")
    assert difference < tolerance


def bgr(kernel):
    return kernel[:, :, ::-1]


# Keras ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topology", TOPOLOGIES)
def test_the_official_keras_files(tmp_path, topology):
    """Written by Keras 1, which no longer runs: groups block1_conv1 with datasets block1_conv1_W_1:0, and a top."""
    net, path = network(topology), tmp_path / "notop.h5"
    with h5py.File(path, "w") as file:
        names = [layer.replace("conv", "block").replace("_", "_conv") for layer in net.convolutions]
        file.attrs["layer_names"] = [name.encode() for name in ["input_1", *names, "fc1"]]
        for name, (layer, (kernel, bias)) in zip(names, net.convolutions.items(), strict=True):
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}_{what}_1:0".encode() for what in "Wb"]
            group[f"{name}_W_1:0"], group[f"{name}_b_1:0"] = bgr(kernel) if layer == "conv1_1" else kernel, bias
        file.create_group("block1_pool")
        file["fc1/fc1_W_1:0"], file["fc1/fc1_b_1:0"] = np.zeros((8, 5), "f4"), np.zeros(5, "f4")
    assert_same(path, net, "Keras HDF5")


@needs("keras")
@needs("torch")
@pytest.mark.parametrize("top", [False, True])
@pytest.mark.parametrize("suffix, layout", [(".h5", "Keras HDF5"), (".weights.h5", "Keras .weights.h5")])
def test_files_of_todays_keras(tmp_path, top, suffix, layout):
    """A narrow VGG-19 built and saved by Keras, and its features by Keras, after Keras's own preprocessing."""
    import keras

    rng, channels = np.random.default_rng(0), (4, 5, 6, 7, 8)
    x = inputs = keras.Input((64, 64, 3))
    outputs = {}
    for layer in layer_names("vgg19"):
        block = layer[4]
        if layer.startswith("pool"):
            x = keras.layers.MaxPooling2D(name=f"block{block}_pool")(x)
            continue
        name = f"block{block}_conv{layer[6]}"
        conv = keras.layers.Conv2D(channels[int(block) - 1], 3, padding="same", activation="relu", name=name)
        outputs[layer] = x = conv(x)
        conv.bias.assign(rng.standard_normal(conv.bias.shape) * 0.1)
    if top:
        x = keras.layers.Dense(5, name="fc1")(keras.layers.Flatten()(x))
    model, path = keras.Model(inputs, x), tmp_path / f"model{suffix}"
    (model.save if suffix == ".h5" else model.save_weights)(path)
    image = picture(1, 64, 64, np.float32)
    seen = keras.applications.imagenet_utils.preprocess_input(
        255 * image[None], mode="caffe", data_format="channels_last"
    )
    expected = keras.Model(inputs, outputs).predict(seen, verbose=0)
    assert formats.read(path).layout == layout
    found = load_weights(path, normalize=False, pooling="max").features(image, list(outputs))
    difference = largest_difference(found, {layer: a[0] for layer, a in expected.items()})
    print(f"\n{layout}{', with a top' * top}: largest difference {difference:.1e}", end="")
    assert difference < 2e-5


# MatConvNet -----------------------------------------------------------------------------------------------------------


@needs("scipy")
@pytest.mark.parametrize("generation", ["beta16", "beta17"])
def test_matconvnet(tmp_path, generation):
    """Both generations as vl_simplenn keeps them: layers in a row of cells, one struct each."""
    from scipy.io import savemat

    net, path = network(), tmp_path / "imagenet-vgg-verydeep-19.mat"
    structs = []
    for layer in layer_names("vgg19"):
        if layer.startswith("pool"):
            structs.append({"type": "pool", "name": layer, "pool": [2.0, 2.0]})
            continue
        kernel, bias = net.convolutions[layer]
        weights = np.empty((1, 2), object)
        weights[0, 0], weights[0, 1] = kernel, bias[None] if generation == "beta16" else bias[:, None]
        first = {"weights": weights, "type": "conv", "name": layer, "stride": [1.0, 1.0], "pad": [1.0] * 4}
        structs += [
            first if generation == "beta16" else dict(reversed(first.items())),
            {"type": "relu", "name": layer.replace("conv", "relu")},
        ]
    weights = np.empty((1, 2), object)
    weights[0, 0], weights[0, 1] = np.zeros((7, 7, 8, 5), "f4"), np.zeros((1, 5), "f4")
    structs.append({"weights": weights, "type": "conv", "name": "fc6"})
    layers = np.empty((1, len(structs)), object)
    layers[0] = structs
    mean = np.broadcast_to(IMAGENET_MEAN, (224, 224, 3) if generation == "beta16" else (1, 1, 3))
    normalization = {"averageImage": mean, "imageSize": [224.0, 224.0, 3.0]}
    content = {"normalization": normalization} if generation == "beta16" else {"meta": {"normalization": normalization}}
    savemat(path, {"layers": layers, **content})
    assert_same(path, net, "MatConvNet")
    assert np.allclose(formats.read(path).mean, IMAGENET_MEAN)


# PyTorch and safetensors ----------------------------------------------------------------------------------------------


def torch_model(topology: str):
    """torchvision's `features`, narrow: the same modules under the same numbers."""
    import torch

    torch.manual_seed(0)
    modules, channels = [], 3
    for layer in layer_names(topology):
        if layer.startswith("pool"):
            modules.append(torch.nn.MaxPool2d(2))
            continue
        filters = (4, 5, 6, 7, 8)[int(layer[4]) - 1]
        modules += [torch.nn.Conv2d(channels, filters, 3, padding=1), torch.nn.ReLU()]
        channels = filters
    model = torch.nn.Module()
    model.features = torch.nn.Sequential(*modules)
    model.classifier = torch.nn.Sequential(torch.nn.Linear(8, 5))
    return model


def torch_features(model, x: np.ndarray, topology: str) -> dict:
    import torch

    a, responses = torch.tensor(x.astype(np.float32)).permute(2, 0, 1)[None], []
    with torch.no_grad():
        for module in model.features:
            a = module(a)
            if isinstance(module, torch.nn.ReLU):
                responses.append(a[0].permute(1, 2, 0).numpy())
    return dict(zip(convolution_names(topology), responses, strict=True))


@needs("torch")
@pytest.mark.parametrize("topology", TOPOLOGIES)
@pytest.mark.parametrize("kind", ["torchvision", "legacy pickle", "NaN classifier", "features only", "safetensors"])
def test_torchvisions_numbers(tmp_path, topology, kind):
    import torch

    model, path, image = torch_model(topology), tmp_path / "file", picture(2, 48, 40)
    unit = (image - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    if kind == "NaN classifier":  # torchvision's vgg16 IMAGENET1K_FEATURES
        model.classifier[0].weight.data.fill_(np.nan)
        model.features[0].weight.data /= 60
        x = 255 * image - IMAGENET_MEAN
    else:
        x = unit
    if kind == "safetensors":
        safetensors = pytest.importorskip("safetensors.torch", reason="safetensors is not installed")
        safetensors.save_file(model.state_dict(), path)
    else:
        state = model.features.state_dict() if kind == "features only" else model.state_dict()
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy pickle")
    expected = torch_features(model, x, topology)
    layout = f"{'safetensors' if kind == 'safetensors' else 'PyTorch'}, torchvision"
    assert formats.read(path).layout == layout
    net = load_weights(path, normalize=False, pooling="max")
    difference = largest_difference(net.features(image.astype(np.float32), list(expected)), expected)
    print(f"\n{layout} ({kind}), {topology}: largest difference {difference:.1e}", end="")
    assert difference < 2e-5


@needs("torch")
@pytest.mark.parametrize("kind", ["float64", "legacy pickle", "safetensors"])
def test_gatys_names(tmp_path, kind):
    import torch

    net, path = network(), tmp_path / "vgg_conv.pth"
    state = {}
    for layer, (kernel, bias) in net.convolutions.items():
        kernel = bgr(kernel) if layer == "conv1_1" else kernel
        state[f"{layer}.weight"] = torch.tensor(kernel.transpose(3, 2, 0, 1).copy(), dtype=torch.float64)
        state[f"{layer}.bias"] = torch.tensor(bias, dtype=torch.float64)
    if kind == "safetensors":
        pytest.importorskip("safetensors.torch", reason="safetensors is not installed").save_file(state, path)
    else:
        torch.save(state, path, _use_new_zipfile_serialization=kind != "legacy pickle")
    container = "safetensors" if kind == "safetensors" else "PyTorch"
    assert_same(path, net, f"{container}, layers by name")


# The library's own layout ---------------------------------------------------------------------------------------------

PAPER = {"source": "test", "licence": "none"}


@pytest.mark.parametrize("dtype", [None, np.float16, "float32", np.float64])
@pytest.mark.parametrize("own", [np.float32, np.float64])
def test_the_type_in_the_file(tmp_path, own, dtype):
    path, network = tmp_path / "typed.h5", small_vgg(last="conv1_2", dtype=own)
    save_weights(path, network, dtype=dtype, **PAPER)
    expected = np.dtype(own if dtype is None else dtype)
    with h5py.File(path) as h5:
        for layer, pair in network.convolutions.items():
            for what, array in zip(("kernel", "bias"), pair, strict=True):
                stored = h5[f"{layer}/{what}"]
                assert stored.dtype == expected and np.array_equal(stored[()], array.astype(expected))


def test_everything_in_the_contents_is_written_and_read(tmp_path):
    path = tmp_path / "all.hdf5"
    layers = ["conv1_1", "conv1_2"]
    pairs = {layer: (like(k, (3, 3, (3, 4)[k], 4)), like(9 + k, (4,))) for k, layer in enumerate(layers)}
    constants = {layer: 1 + like(20 + k, (4,)) ** 2 for k, layer in enumerate(layers)}
    written = formats.Contents("", pairs, np.array([1.0, 2.0, 3.0]), 0.25, "a name", "a source", "a licence", constants)
    formats.write(path, written)
    found = formats.read(path)
    said = [found.layout, found.scale, found.name, found.source, found.licence, found.mean.tolist()]
    assert said == ["nst_numpy", 0.25, "a name", "a source", "a licence", [1, 2, 3]]
    assert list(found.convolutions) == list(found.mean_responses) == layers
    for layer in layers:
        assert all(np.array_equal(a, b) for a, b in zip(found.convolutions[layer], pairs[layer], strict=True))
        assert np.array_equal(found.mean_responses[layer], constants[layer])


@pytest.mark.parametrize(
    "name, change, keywords, error, message",
    [
        ("a.png", {}, {}, ValueError, r"cannot write .*a\.png: the suffix must be one of \.h5, \.hdf5, found '\.png'"),
        (
            "nowhere/a.h5",
            {},
            {},
            FileNotFoundError,
            "cannot write .*: the folder .*nowhere does not exist; create it first",
        ),
        ("a.h5", {}, {"dtype": int}, TypeError, "dtype must be float16, float32 or float64, found int64"),
        ("a.h5", {"scale": np.nan}, {}, ValueError, "scale: expected a finite number, found nan"),
        ("a.h5", {"mean": np.zeros(2)}, {}, ValueError, r"mean: expected 3 finite numbers, found \[0\. 0\.\]"),
        (
            "a.h5",
            {},
            {"mean_responses": {"conv1_1": np.ones(4)}},
            ValueError,
            "conv1_2/mean_response is missing; expected one for every convolution",
        ),
        (
            "a.h5",
            {"convolutions": {"conv1_1": (np.full((3, 3, 3, 1), 7e4), np.zeros(1))}},
            {"dtype": "float16"},
            ValueError,
            "conv1_1/kernel contains values that are not finite in float16",
        ),
    ],
)
def test_what_cannot_be_written_leaves_the_old_file(tmp_path, name, change, keywords, error, message):
    if tmp_path.joinpath(name).parent.exists():
        tmp_path.joinpath(name).write_bytes(b"old")
    with pytest.raises(error, match=f"^{message}$"), warnings.catch_warnings(action="error"):
        save_weights(tmp_path / name, replace(small_vgg(last="conv1_2"), **change), **PAPER, **keywords)
    left = list(tmp_path.iterdir())
    assert left == [] or [p.read_bytes() for p in left] == [b"old"]


# Parts of a network ---------------------------------------------------------------------------------------------------


def numbered(net, prefix):
    """The tensors of a narrow network by torchvision's numbers: every convolution and its ReLU, and poolings."""
    state, number = {}, 0
    for layer in layer_names("vgg19"):
        if layer in net.convolutions:
            kernel, bias = net.convolutions[layer]
            state[f"{prefix}{number}.weight"], state[f"{prefix}{number}.bias"] = (
                kernel.transpose(3, 2, 0, 1).copy(),
                bias,
            )
        number += 1 if layer.startswith("pool") else 2
    return state


@needs("safetensors")
@pytest.mark.parametrize("prefix", ["", "features."])
@pytest.mark.parametrize("last", ["conv1_1", "conv3_3", "conv3_4"])
def test_the_beginning_of_a_network_by_numbers(tmp_path, last, prefix):
    from safetensors.numpy import save_file

    net, path = network(last=last), tmp_path / "part"
    save_file(dict(reversed(numbered(net, prefix).items())), path)
    found = formats.read(path)
    assert found.layout == "safetensors, torchvision" and list(found.convolutions) == list(net.convolutions)
    assert np.allclose(found.mean, [123.675, 116.28, 103.53])
    first, bias = found.convolutions["conv1_1"]
    assert np.allclose(first * np.array([58.395, 57.12, 57.375])[:, None], net.convolutions["conv1_1"][0], rtol=1e-6)
    for layer in list(net.convolutions)[1:]:
        assert np.array_equal(found.convolutions[layer][0], net.convolutions[layer][0]), layer
    assert np.array_equal(bias, net.convolutions["conv1_1"][1])


@pytest.mark.parametrize("count", [1, 7, 8, 12, 13, 16, 17])
def test_convolutions_that_are_only_counted(tmp_path, count):
    """Keras numbers layers in the order of their making: conv2d, conv2d_1, … conv2d_10 after conv2d_9."""
    path = tmp_path / "counted.weights.h5"
    pairs = [(like(k, (3, 3, 3 if k == 0 else 4, 4), np.float32), like(99 + k, (4,), np.float32)) for k in range(count)]
    arrays = {}
    for k, (kernel, bias) in enumerate(pairs):
        name = "layers/conv2d" + f"_{k}" * (k > 0)
        arrays |= {f"{name}/vars/0": kernel, f"{name}/vars/1": bias}
    keras_file(path, {"layers/a_first_one/vars/0": like(1, (5, 6), np.float32)} | arrays)
    if count in (8, 12, 17):
        refused(path, rf"expected 13 convolutions \(VGG-16\) or 16 \(VGG-19\), found {count}")
        return
    found = formats.read(path)
    assert found.layout == "Keras .weights.h5" and np.array_equal(found.mean, IMAGENET_MEAN)
    assert list(found.convolutions) == convolution_names("vgg16" if count == 13 else "vgg19")[:count]
    for k, (kernel, bias) in enumerate(found.convolutions.values()):
        assert np.array_equal(kernel, bgr(pairs[k][0]) if k == 0 else pairs[k][0]) and np.array_equal(bias, pairs[k][1])


# Bad files ------------------------------------------------------------------------------------------------------------


def refused(path, message):
    with pytest.raises(ValueError, match=message) as error:
        load_weights(path)
    assert path.name in str(error.value) and len(str(error.value)) < 500


@pytest.mark.parametrize(
    "content, message",
    [
        (b"", "is not a weight file: expected HDF5.*found an empty file"),
        (b"<!DOCTYPE html><html><body>404", "is a web page, not a weight file"),
        (b"\n\n <HTML>", "is a web page"),
        (b"\n <!DOCTYPE x>\n", "is a web page"),
        (508 * b"x" + b"<html>", "bad is not a weight file: expected HDF5.* found bytes that begin with b'xxxxxxxx'$"),
        (
            b"version https://git-lfs.github.com/spec/v1",
            "is not a weight file: .*found bytes that begin with b'version ",
        ),
        (b"\x89HDF\r\n\x1a\n" + bytes(500), "damaged or cut short"),
    ],
)
def test_what_is_no_weight_file(tmp_path, content, message):
    path = tmp_path / "bad"
    path.write_bytes(content)
    refused(path, message)


def test_a_folder(tmp_path):
    with pytest.raises(ValueError, match="is not a weight file but a folder"):
        load_weights(tmp_path)


def test_claims_of_ten_gigabytes(tmp_path):
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("block1_conv1/W", (3, 3, 3, 10**8), "f4", chunks=(3, 3, 3, 1000))
        file["block1_conv1/b"] = np.zeros(4, "f4")
    assert path.stat().st_size < 10_000
    refused(path, "block1_conv1/W: shape .* needs 10800000000 bytes, the file holds 0")
    packed = tmp_path / "packed.h5"
    with h5py.File(packed, "w") as file:
        file.create_dataset(
            "block1_conv1/W", (3, 3, 512, 512), "f4", compression="gzip", data=np.zeros((3, 3, 512, 512))
        )
        file["block1_conv1/b"] = np.zeros(512, "f4")
    refused(packed, "block1_conv1/W: shape .* needs 9437184 bytes, the file holds")


def test_groups_nested_deep(tmp_path):
    path = tmp_path / "nested.h5"
    with h5py.File(path, "w") as file:
        group = file
        for _ in range(3000):
            group = group.create_group("a")
        group["kernel"] = np.zeros((3, 3, 3, 4))
    refused(path, "groups are nested 30 deep")


def test_matlab_cells_nested_deep(tmp_path):
    def element(kind, data):
        return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)

    def array(kind, body, name=b""):
        return element(
            14, element(6, struct.pack("<II", kind, 0)) + element(5, struct.pack("<ii", 1, 1)) + element(1, name) + body
        )

    inner = array(6, element(9, bytes(8)))
    for _ in range(2999):
        inner = array(1, inner)
    path = tmp_path / "nested.mat"
    head = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    path.write_bytes(head + array(1, inner, b"layers"))
    refused(path, "expected MatConvNet's layers and normalization, found layers|SciPy crashes at it")


@needs("torch")
def test_pickled_lists_nested_deep(tmp_path):
    path = tmp_path / "nested.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + 3000 * b"]" + 2999 * b"a" + b".")
        archive.writestr("archive/version", "3\n")
    refused(path, "expected a dictionary of tensors|PyTorch refused it")


def own_file(path, **changes):
    """A file of the library's own layout with one convolution; return its contents."""
    pairs = {"conv1_1": (like(0, (3, 3, 3, 4)), like(1, (4,)))}
    formats.write(path, formats.Contents("", pairs, IMAGENET_MEAN, **changes))
    return pairs


def test_links_that_lead_out_of_a_file_are_not_followed(tmp_path):
    own_file(tmp_path / "other.h5")
    for link in (h5py.ExternalLink("other.h5", "conv1_1/bias"), h5py.SoftLink("/conv1_1/kernel")):
        own_file(tmp_path / "linked.h5")
        with h5py.File(tmp_path / "linked.h5", "r+") as file:
            del file["conv1_1/bias"]
            file["conv1_1/bias"] = link
        refused(tmp_path / "linked.h5", "the dataset conv1_1/bias is missing")


@pytest.mark.parametrize("kind", ["external", "virtual"])
def test_data_outside_of_a_file_are_not_read(tmp_path, kind):
    path, outside = tmp_path / "outside.h5", tmp_path / "raw"
    outside.write_bytes(bytes(32))
    own_file(path)
    with h5py.File(path, "r+") as file:
        del file["conv1_1/bias"]
        if kind == "external":
            file.create_dataset("conv1_1/bias", (4,), "f8", external=[(str(outside), 0, 32)])
        else:
            own_file(tmp_path / "other.h5")
            layout = h5py.VirtualLayout((4,), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "conv1_1/bias", (4,))
            file.create_virtual_dataset("conv1_1/bias", layout)
    refused(path, r"conv1_1/bias: shape \(4,\) needs 32 bytes, the file holds ")


def test_a_file_that_compresses_less_than_eight_times_is_read(tmp_path):
    path = tmp_path / "packed.h5"
    own_file(path)
    data = np.tile(like(1, (512,)), 6)
    with h5py.File(path, "r+") as file:
        del file["conv1_1/bias"]
        packed = file.create_dataset("conv1_1/bias", data=data, chunks=data.shape, compression="gzip")
        assert 4 * packed.id.get_storage_size() < packed.nbytes < 8 * packed.id.get_storage_size()
    assert np.array_equal(formats.read(path).convolutions["conv1_1"][1], data)


@pytest.mark.parametrize(
    "name, value, message",
    [
        ("conv1_1/empty", h5py.Empty("f4"), None),
        ("conv1_1/note", "text", None),
        ("extra", np.zeros(3), "the dataset extra/kernel is missing"),
    ],
)
def test_other_things_in_an_own_file(tmp_path, name, value, message):
    path = tmp_path / "extra.h5"
    own_file(path)
    with h5py.File(path, "r+") as file:
        file[name] = value
    if message:
        refused(path, message)
    else:
        assert list(formats.read(path).convolutions) == ["conv1_1"]


def test_versions_and_missing_texts(tmp_path):
    path = tmp_path / "old.h5"
    own_file(path, name="a", source="b", licence="c")
    with h5py.File(path, "r+") as file:
        for what in ("name", "source", "licence"):
            del file.attrs[what]
    found = formats.read(path)
    assert found.name == found.source == found.licence == "" and found.scale == 1
    with h5py.File(path, "r+") as file:
        del file.attrs["version"]
    refused(path, "expected version 1, found none")


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"name": 3}, TypeError, "name must be a string, found 3"),
        ({"source": None}, TypeError, "source must be a string, found None"),
        ({"scale": "1"}, ValueError, "scale: expected a finite number, found '1'"),
        ({"mean": np.array([1, 2, 3])}, ValueError, r"mean: expected 3 finite numbers, found \[1 2 3\]"),
        ({"mean": np.array([1, 2, np.nan])}, ValueError, r"mean: expected 3 finite numbers, found \[ 1.  2. nan\]"),
        ({"mean": np.zeros((1, 3))}, ValueError, r"mean: expected 3 finite numbers, found \[\[0. 0. 0.\]\]"),
        (
            {"convolutions": {"conv1_1": (np.zeros((3, 3, 3, 4)), np.zeros(4, "i8"))}},
            ValueError,
            "conv1_1/bias: expected floating-point numbers, found int64",
        ),
        (
            {"convolutions": {"conv1_1": (np.zeros((3, 3, 3, 4), "c8"), np.zeros(4))}},
            ValueError,
            "conv1_1/kernel: expected floating-point numbers, found complex64",
        ),
    ],
)
def test_contents_are_checked(changes, error, message):
    arguments = {"layout": "", "convolutions": {}, "mean": np.zeros(3)} | changes
    with pytest.raises(error, match=f"^{message}$"):
        formats.Contents(**arguments)


def test_contents_show_themselves_in_one_line():
    contents = formats.Contents("x", {"conv1_1": (np.zeros((3, 3, 3, 64)), np.zeros(64))}, np.zeros(3), name="small")
    assert len(repr(contents)) < 150 and contents == contents != replace(contents) and hash(contents)
    assert formats.Contents("x", {}, np.zeros(3)).name == ""
    with pytest.raises(FrozenInstanceError):
        contents.scale = 2
    with pytest.raises(ValueError, match="zip"):
        formats.Contents("x", {"conv1_1": (np.zeros((3, 3, 3, 64)), np.zeros(64), np.zeros(64))}, np.zeros(3))


def test_an_integer_mean_in_a_file(tmp_path):
    own_file(tmp_path / "whole.h5")
    with h5py.File(tmp_path / "whole.h5", "r+") as file:
        file.attrs.update(mean=[1, 2, 3], scale=2)
    found = formats.read(tmp_path / "whole.h5")
    assert found.mean.tolist() == [1, 2, 3] and found.mean.dtype == np.float64 and found.scale == 2


@pytest.mark.parametrize(
    "constants, message",
    [
        ({}, "conv1_1/mean_response is missing; expected one for every convolution"),
        ({"conv1_1": np.ones(3)}, r"conv1_1/mean_response: expected 2 positive numbers, found shape \(3,\)"),
        ({"conv1_1": np.zeros(3)}, r"conv1_1/mean_response: expected 2 positive numbers, found shape \(3,\)"),
        ({"conv1_1": np.array([3, 0.0])}, "conv1_1/mean_response: expected 2 positive numbers, found 0.0 among them"),
        ({"conv1_1": np.array(["a", "b"])}, "conv1_1/mean_response: expected 2 positive numbers, found a among them"),
    ],
)
def test_wrong_mean_responses(constants, message):
    pairs = {"conv1_1": (np.zeros((3, 3, 3, 2)), np.zeros(2))}
    with pytest.raises(ValueError, match=f"^{message}$"):
        formats.check_mean_responses(pairs, constants)
    formats.check_mean_responses(pairs, {"conv1_1": [1, 2]})


def test_types_that_are_asked_for():
    allowed = ("float16", "float32", "float64")
    assert formats.floating_type(float, *allowed) == np.float64
    for wrong, found in ((bool, "bool"), ("f128x", "'f128x'"), (None, "None")):
        with pytest.raises(TypeError, match=f"^dtype must be float16, float32 or float64, found {found}$"):
            formats.floating_type(wrong, *allowed)


@pytest.mark.parametrize("share, read", [(8, True), (9, False)])
def test_what_a_file_may_claim(tmp_path, share, read):
    """Only one chunk of so many is stored; and a file may claim eight times its size, and no byte more."""
    path = tmp_path / "chunks.h5"
    own_file(path)
    with h5py.File(path, "r+") as file:
        del file["conv1_1/bias"]
        file.create_dataset("conv1_1/bias", (100 * share,), "f8", chunks=(100,))[:100] = 1
    if read:
        assert formats.read(path).convolutions["conv1_1"][1].sum() == 100
    else:
        refused(path, r"conv1_1/bias: shape \(900,\) needs 7200 bytes, the file holds 800")
    size = path.stat().st_size
    formats._check_claim(8 * size, path)
    with pytest.raises(ValueError, match=f"^claims {8 * size + 1} bytes of data in a file of {size}$"):
        formats._check_claim(8 * size + 1, path)


@pytest.mark.parametrize("count, said", [(0, "nothing"), (4, "a, b, c, d"), (5, "a, b, c, d, …"), (6, "a, b, c, d, …")])
def test_what_was_found_instead(tmp_path, count, said):
    path = tmp_path / "other.h5"
    keras_file(path, {name: np.zeros(3) for name in "abcdef"[:count]})
    refused(path, f"expected the convolutions of a VGG, found {said}$")


@needs("torch")
def test_pytorch_loads_weights_only_and_onto_the_processor(tmp_path, monkeypatch):
    import torch

    path, asked, load = tmp_path / "gpu.pth", {}, torch.load
    with monkeypatch.context() as patch:  # as if it had been saved on a GPU
        patch.setattr(torch.serialization, "location_tag", lambda _: "cuda:0")
        torch.save({"conv1_1.weight": torch.zeros(4, 3, 3, 3), "conv1_1.bias": torch.zeros(4)}, path)
    monkeypatch.setattr(torch, "load", lambda *args, **keywords: asked.update(keywords) or load(*args, **keywords))
    assert list(formats.read(path).convolutions) == ["conv1_1"] and asked["weights_only"] is True


def test_what_is_no_regular_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "pipe is not a weight file but a device or a pipe")


def test_errors_of_parsers_become_one_line(tmp_path, monkeypatch):
    path = tmp_path / "bad.h5"
    own_file(path)
    for error, message in (
        (MemoryError(), "bad.h5: claims more data than fits into memory$"),
        (RuntimeError("first\nsecond"), r"bad.h5: damaged or cut short \(first\)$"),
        (KeyError(), r"bad.h5: damaged or cut short \(KeyError\)$"),
        (RuntimeError("x" * 1000), r"bad.h5: damaged or cut short \(x{300}\)$"),
        (ValueError("first\nsecond"), "bad.h5: first$"),
    ):

        def fail(*_, error=error):
            raise error

        monkeypatch.setattr(formats, "_read_own", fail)
        refused(path, message)


@needs("safetensors")
def test_number_types_that_are_not_weights(tmp_path):
    from safetensors.numpy import save_file

    path = tmp_path / "int8.safetensors"
    save_file({"conv1_1.weight": np.zeros((4, 3, 3, 3), "i1"), "conv1_1.bias": np.zeros(4, "f4")}, path)
    refused(path, "conv1_1/kernel: expected floating-point numbers, found int8")


@needs("torch")
@pytest.mark.parametrize(
    "kind, message",
    [
        ("no storage", r"claims 4320000 bytes of data in a file of \d+$"),
        ("bfloat16", r"unusual.pth: damaged or cut short \(Got unsupported ScalarType BFloat16\)$"),
        ("meta", r"unusual.pth: "),
        ("sparse", r"unusual.pth: "),
        ("integer keys", r"expected a dictionary of tensors \(a state dict\), found dict$"),
        ("nested", r"expected a dictionary of tensors \(a state dict\), found dict$"),
        ("no tensor", r"expected a dictionary of tensors \(a state dict\), found dict$"),
    ],
)
def test_unusual_tensors(tmp_path, kind, message):
    import torch

    path, kernel = tmp_path / "unusual.pth", torch.zeros(4, 3, 3, 3)
    state = {
        "no storage": {"conv1_1.weight": torch.zeros(1).expand(400, 300, 3, 3)},
        "bfloat16": {"conv1_1.weight": kernel.to(torch.bfloat16)},
        "meta": {"conv1_1.weight": kernel.to("meta")},
        "sparse": {"conv1_1.weight": kernel.to_sparse()},
        "integer keys": {1: kernel},
        "nested": {"state_dict": {"conv1_1.weight": kernel}},
        "no tensor": {"conv1_1.weight": kernel, "epoch": 3},
    }
    torch.save(state[kind], path)
    refused(path, message)


@needs("torch")
def test_a_zip_bomb(tmp_path):
    import torch

    path, bomb = tmp_path / "file.pth", tmp_path / "bomb.pth"
    torch.save({"conv1_1.weight": torch.zeros(64, 64, 3, 3)}, path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as packed:
        total = 0
        for member in archive.namelist():
            packed.writestr(member, archive.read(member))
            total += len(archive.read(member))
    refused(bomb, rf"claims {total} bytes of data in a file of {bomb.stat().st_size}$")


@needs("scipy")
def test_matlab_files_with_a_wrong_mean(tmp_path):
    from scipy.io import savemat

    weights, path = np.empty((1, 2), object), tmp_path / "mean.mat"
    weights[0, 0], weights[0, 1] = np.zeros((3, 3, 3, 4), "f4"), np.zeros((1, 4), "f4")
    layers = np.empty((1, 2), object)
    layers[0] = [{"name": "conv1_1", "weights": weights}, {"name": "relu1_1"}]
    savemat(path, {"layers": layers, "normalization": {"averageImage": np.full((1, 1, 3), np.nan)}})
    refused(path, "mean: expected 3 finite numbers, found ")
    mean = np.full((224, 224, 3), 0.1, np.float32)  # whose sum in float32 is wrong in the fifth digit
    savemat(path, {"layers": layers, "normalization": {"averageImage": mean}})
    assert np.allclose(formats.read(path).mean, float(np.float32(0.1)), rtol=1e-12)
    layers[0, 0]["name"] = "c1"
    savemat(path, {"layers": layers, "normalization": {"averageImage": np.zeros((1, 1, 3))}})
    refused(path, "expected layers named conv1_1 and so on, found none")
    savemat(path, {"layers": layers, "meta": {"averageImage": np.zeros((1, 1, 3))}, "x": 1, "y": 2})
    refused(path, "expected MatConvNet's layers and normalization, found layers, meta, x, y$")


@needs("safetensors")
def test_bad_safetensors(tmp_path):
    path = tmp_path / "bad.safetensors"
    header = b'{"conv1_1.weight":{"dtype":"F32","shape":[100000,3,3,30000],"data_offsets":[0,108000000000]}}'
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(100))
    refused(path, "damaged or cut short")
    path.write_bytes(struct.pack("<Q", 10**10) + b'{"a":1}')
    refused(path, "damaged or cut short")


@needs("scipy")
def test_bad_matlab_files(tmp_path):
    from scipy.io import savemat

    path = tmp_path / "bad.mat"
    savemat(path, {"a": np.arange(3000.0)})
    whole = path.read_bytes()
    refused(path, "expected MatConvNet's layers and normalization, found a")
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged or cut short|expected MatConvNet")
    path.write_bytes(whole[:128])
    refused(path, "expected MatConvNet")


class Evil:
    """A pickle of this runs a command when it is loaded the ordinary way."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return os.mkdir, (str(self.marker),)


@needs("torch")
@pytest.mark.parametrize("container", ["zip", "legacy", "plain pickle"])
def test_code_in_a_pickle_does_not_run(tmp_path, container):
    import torch

    path, marker = tmp_path / "evil.pth", tmp_path / "it ran"
    state = {"conv1_1.weight": torch.zeros(4, 3, 3, 3), "extra": Evil(marker)}
    if container == "plain pickle":
        path.write_bytes(pickle.dumps(state, protocol=2))  # as PyTorch does
    else:
        torch.save(state, path, _use_new_zipfile_serialization=container == "zip")
    refused(path, "damaged, or not only weights: PyTorch refused it, and nothing in it was run")
    assert not marker.exists()
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists()  # it would have


@needs("torch")
def test_bad_pytorch_files(tmp_path):
    import torch

    path = tmp_path / "bad.pth"
    torch.save({"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(4, 4, 3, 3)}, path)
    refused(path, "expected the convolutions of VGG-16 or VGG-19, found conv1.weight, layer1.0.conv1.weight")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "damaged, or not only weights")
    torch.save([torch.zeros(3)], path)
    refused(path, "expected a dictionary of tensors")
    torch.save({"conv1_1.weight": torch.zeros(4, 3, 3, 3)}, path)
    refused(path, "conv1_1.bias is missing")
    torch.save({f"features.{n}.weight": torch.zeros(4, 4, 3, 3) for n in (0, 3, 7)}, path)  # with batch normalisation
    refused(path, "expected the convolutions of VGG-16 or VGG-19, found features.0.weight")


def test_a_zip_archive_that_is_not_pytorchs(tmp_path):
    path = tmp_path / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"")
    refused(path, "expected an archive of PyTorch, found one with config.json, model.weights.h5")


def keras_file(path, arrays):
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array


def test_bad_keras_files(tmp_path):
    path = tmp_path / "bad.h5"
    kernel, bias = like(0, (3, 3, 3, 4), np.float32), np.zeros(4, np.float32)
    keras_file(path, {"block1_conv1/W": kernel.transpose(3, 2, 0, 1), "block1_conv1/b": bias})
    refused(path, r"conv1_1/kernel: expected shape .* found \(4, .*\(axes in the order of PyTorch\?\)")
    keras_file(path, {"block1_conv1/W": kernel, "block1_conv1/b": np.full(4, np.nan, np.float32)})
    refused(path, "conv1_1/bias contains values that are not finite")
    keras_file(path, {"block1_conv1/W": kernel})
    refused(path, "conv1_1: expected one kernel and one bias, found block1_conv1/W")
    keras_file(path, {"block2_conv1/W": kernel, "block2_conv1/b": bias})
    refused(path, "expected conv1_1, found conv2_1")
    keras_file(path, {f"layers/conv2d_{n}/vars/{k}": (kernel, bias)[k] for n in range(9) for k in (0, 1)})
    refused(path, r"expected 13 convolutions \(VGG-16\) or 16 \(VGG-19\), found 9")
    keras_file(path, {"dense/vars/0": bias})
    refused(path, "expected the convolutions of a VGG, found dense/vars/0")


@pytest.mark.parametrize(
    "content, module, what, package",
    [
        (pickle.dumps({}), "torch", "PyTorch files", "torch"),
        (b"MATLAB 5.0 MAT-file", "scipy.io", "MatConvNet files", "scipy"),
        (bytes(8) + b"{", "safetensors.numpy", "safetensors files", "safetensors"),
    ],
)
def test_a_missing_package_is_named(tmp_path, monkeypatch, content, module, what, package):
    path = tmp_path / "x"
    path.write_bytes(content)
    monkeypatch.setitem(sys.modules, module, None)
    message = f"reading {what} needs the package {package}, which is not installed"
    refused(path, rf"{message} \(pip install {package}\)$")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9, 0.99])
def test_truncated_hdf5(tmp_path, share):
    net, buffer = network(last="conv2_2"), io.BytesIO()
    with h5py.File(buffer, "w") as file:
        for layer, (kernel, bias) in net.convolutions.items():
            name = layer.replace("conv", "block").replace("_", "_conv")
            file[f"{name}/kernel:0"], file[f"{name}/bias:0"] = kernel, bias
    path = tmp_path / "cut.h5"
    path.write_bytes(buffer.getvalue()[: int(share * buffer.getbuffer().nbytes)])
    refused(path, "damaged or cut short")
