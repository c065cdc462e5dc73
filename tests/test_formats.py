"""Weight files of every layout: each written by the library that owns the layout, and its features by that library."""

import importlib.util
import io
import os
import pickle
import struct
import zipfile

import h5py
import numpy as np
import pytest
from drawing import like, picture, small_vgg

from nst_numpy import VGG, load_weights
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
        path.write_bytes(pickle.dumps(state))
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


def test_a_missing_package_is_named(tmp_path, monkeypatch):
    path = tmp_path / "x.pth"
    path.write_bytes(pickle.dumps({}))
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    refused(path, r"reading PyTorch files needs the package torch, which is not installed \(pip install torch\)")


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
