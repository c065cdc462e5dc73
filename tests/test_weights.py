"""Weight files: what is written is read; everything else is refused by name. Normalisation by its definition."""

import hashlib
import re
from dataclasses import replace
from functools import cache
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawing import MEAN, like, picture, small_vgg

from nst_numpy import VGG, images, layers, load_weights, random_network, samples, save_weights, weights
from nst_numpy.topology import FILTERS, block, convolution_names
from nst_numpy.weights import formats, registry
from nst_numpy.weights.normalization import sample_images
from nst_numpy.weights.random import LAST, WIDTHS, he_kernels

REAL = Path(__file__).parents[2] / "shared/weights/vgg19_blocks1-3.h5"
PAPER = {"source": "test", "licence": "none"}


@pytest.fixture(scope="module", autouse=True)
def samples_once():
    """The sample images, drawn once for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        once = cache(weights.sample_images)
        for module in (weights, weights.files, weights.normalization, weights.random):
            patch.setattr(module, "sample_images", once)
        yield


@pytest.fixture(scope="module")
def drawn():
    return random_network()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "small.h5"
    save_weights(path, small_vgg(last="conv2_2", dtype=np.float32, bias=1.0), **PAPER)
    return path


def test_layout_is_the_documented_one(file):
    with h5py.File(file) as h5:
        assert h5.attrs["format"] == "nst_numpy.vgg" and h5.attrs["version"] == 1 and h5.attrs["name"] == "small"
        assert h5.attrs["mean"].tolist() == MEAN.tolist() and h5.attrs["scale"] == 1 / 60
        assert h5.attrs["source"] == "test" and h5.attrs["licence"] == "none"
        assert h5["conv1_1/kernel"].shape == (3, 3, 3, 4) and h5["conv1_1/bias"].shape == (4,)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_is_written_is_read(file, dtype):
    network, expected = (
        load_weights(file, normalize=False, dtype=dtype),
        small_vgg(last="conv2_2", dtype=np.float32, bias=1.0),
    )
    assert network.dtype == dtype and network.name == "small" and network.layers == expected.layers
    assert network.scale == expected.scale and np.array_equal(network.mean, expected.mean)
    for layer, arrays in expected.convolutions.items():
        assert all(np.array_equal(a, b) for a, b in zip(network.convolutions[layer], arrays, strict=True))


def test_half_precision_files_are_computed_in_single(tmp_path):
    path = tmp_path / "half.h5"
    save_weights(path, small_vgg(last="conv1_2", dtype=np.float16), **PAPER)
    assert load_weights(path).dtype == np.float32


def mean_responses(network):
    """Over the sample images, by the definition: all positions of all images in one mean."""
    responses = [network.features(image, network.convolutions) for image in weights.sample_images()]
    return {l: np.concatenate([r[l].reshape(-1, r[l].shape[2]) for r in responses]).mean(0) for l in responses[0]}


def test_loading_normalises_every_filter_to_mean_response_one(file):
    raw = mean_responses(load_weights(file, normalize=False, dtype=np.float64))
    for l, means in mean_responses(load_weights(file, dtype=np.float64)).items():
        # Half of the filters at least: those whose mean is not small in comparison with the root of their mean square.
        assert (means <= 1 + 1e-6).all() and np.isclose(means[raw[l] > 0], 1, rtol=1e-6).mean() >= 0.5


def test_constants_in_the_file_are_used(tmp_path):
    plain = small_vgg(last="conv2_1")
    m = {l: np.linspace(0.5, 4, len(b)) for l, (_, b) in plain.convolutions.items()}
    path = tmp_path / "with_constants.h5"
    save_weights(path, plain, mean_responses=m, **PAPER)
    image, layers = picture(0), list(m)
    features = load_weights(path, dtype=np.float64).features(image, layers)
    for l, a in plain.features(image, layers).items():
        assert np.allclose(features[l], a / m[l], rtol=1e-12), l


def test_mean_responses_by_their_definition_and_dead_filters():
    network = small_vgg(last="conv2_1")
    kernel, bias = network.convolutions["conv1_1"]
    kernel[..., 1], bias[1] = 0, -1  # dead: never above zero
    kernel[..., 2], bias[2] = 0, 1e-6  # as good as dead
    images = [picture(0, 20, 30), picture(1, 16, 16)]
    measured = weights.measure_mean_responses(network, images)["conv1_1"]
    every = np.concatenate([network.features(i, "conv1_1")["conv1_1"].reshape(-1, 4) for i in images]).mean(0)
    assert np.allclose(measured, [every[0], every.mean(), every.mean(), every[3]], rtol=1e-12)
    assert np.allclose(weights.measure_mean_responses(network, images, floor=0)["conv1_1"], every, rtol=1e-12)
    kernel[:], bias[:] = 0, -1  # a whole layer dead
    assert weights.measure_mean_responses(network, images)["conv1_1"].tolist() == [1, 1, 1, 1]


def constant(*responses):
    """A network of one layer that responds to any image with these constants."""
    return VGG({"conv1_1": (np.zeros((3, 3, 3, len(responses))), np.array(responses, float))}, MEAN)


@pytest.mark.parametrize(
    "responses, floor, expected",
    [
        ((1, 199), {}, (100, 199)),  # exactly 1 % of the mean of 100
        ((1.5, 198.5), {}, (1.5, 198.5)),
        ((1, 3), {"floor": 0.5}, (2, 3)),
        ((1.25, 2.75), {"floor": 0.5}, (1.25, 2.75)),
        ((0, 4), {"floor": 0}, (0, 4)),
        ((1, 3), {"floor": 1}, (2, 3)),
    ],
)
def test_the_floor_of_mean_responses(responses, floor, expected):
    measured = weights.measure_mean_responses(constant(*responses), [picture(0, 8, 8)], **floor)
    assert np.allclose(measured["conv1_1"], expected, rtol=1e-14) and measured["conv1_1"].dtype == np.float64


def test_mean_responses_are_summed_in_double_precision():
    """A float32 sum of 90,000 equal numbers is wrong in the sixth digit."""
    tenth = np.array([0.1], np.float32)
    network = VGG({"conv1_1": (np.zeros((3, 3, 3, 1), np.float32), tenth)}, MEAN)
    measured = weights.measure_mean_responses(network, [np.zeros((300, 300, 3), np.float32)])["conv1_1"]
    assert np.allclose(measured, tenth.astype(np.float64), rtol=1e-12)
    _, roots = weights.normalization._moments(network, [np.zeros((300, 300, 3), np.float32)])
    assert np.allclose(roots["conv1_1"], tenth.astype(np.float64), rtol=1e-7)  # of squares in single precision


@pytest.mark.parametrize(
    "over, floor, error, message",
    [
        ([], 0.01, ValueError, "mean responses need at least one image, found none"),
        (picture(0, 8, 8), 0.01, TypeError, r"over must be a list of images, found one array of shape \(8, 8, 3\)"),
        ([picture(0, 8, 8)], 1.5, ValueError, "floor must be a number from 0 to 1, found 1.5"),
        ([picture(0, 8, 8)], -0.1, ValueError, "floor must be a number from 0 to 1, found -0.1"),
    ],
)
def test_mean_responses_of_wrong_input(over, floor, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        weights.measure_mean_responses(constant(1), over, floor)


def estimated_by_definition(network):
    """max(mean, median of mean/root · root); dead filters have the mean of their layer."""
    found = {}
    for layer in network.convolutions:
        a = np.concatenate([network.features(i, layer)[layer].reshape(-1, 5) for i in weights.sample_images()])
        mean, root = a.mean(0, np.float64), np.sqrt((a.astype(np.float64) ** 2).mean(0))
        m = np.maximum(mean, np.median(mean / root) * root)
        found[layer] = np.where(m <= 0.01 * m.mean(), m.mean(), m)
    return found


def test_constants_are_estimated_from_the_sample_images():
    network = small_vgg(widths=(5, 5), last="conv2_1", dtype=np.float32, bias=0.3)
    m, expected = weights.estimate_mean_responses(network), estimated_by_definition(network)
    assert list(m) == list(network.convolutions)
    assert all(np.allclose(m[layer], expected[layer], rtol=1e-5) for layer in m)
    assert any(
        (m[layer] > 1.05 * weights.measure_mean_responses(network, weights.sample_images())[layer]).any() for layer in m
    )
    kernel, bias = network.convolutions["conv1_1"]
    kernel[..., 1], bias[1] = 0, -1  # dead
    m = weights.estimate_mean_responses(network)["conv1_1"]
    assert m[1] == pytest.approx(m[[0, 2, 3, 4]].sum() / 5, rel=1e-9)  # as measure_mean_responses has it
    kernel[:], bias[:] = 0, -1
    assert weights.estimate_mean_responses(network)["conv1_1"].tolist() == [1, 1, 1, 1, 1]


def test_a_filter_that_responds_rarely_is_not_made_too_strong():
    """Constants from images on which a filter responds at a sixteenth of the positions: a quarter, not a sixteenth."""
    # On a black or white image each filter responds everywhere or nowhere, by the sign of its bias and kernel.
    kernel = np.zeros((3, 3, 3, 5))
    kernel[1, 1] = 1 / 3
    bias = np.array([0.0, 0, 0, 0, -200.0])
    network = VGG({"conv1_1": (kernel, bias)}, np.zeros(3))
    m, plain = (
        of(network)
        for of in (
            weights.estimate_mean_responses,
            lambda n: weights.measure_mean_responses(n, weights.sample_images()),
        )
    )
    assert m["conv1_1"][4] > 1.2 * plain["conv1_1"][4] and np.allclose(m["conv1_1"][:4], plain["conv1_1"][:4])


def test_the_constants_of_the_published_network_are_those_of_many_images(tmp_path, monkeypatch):
    """For the kernels whose hash is known, with average pooling, as deep as they are known; the rest is estimated."""
    network = small_vgg(widths=(5, 5), last="conv2_1", dtype=np.float32, bias=0.3)
    deeper = small_vgg(widths=(5, 5), last="conv2_2", dtype=np.float32, bias=0.3)
    deeper = replace(deeper, convolutions=network.convolutions | {"conv2_2": deeper.convolutions["conv2_2"]})
    with np.load(weights.normalization.KNOWN) as file:
        shipped = dict(file)
    assert {name: a.shape for name, a in shipped.items()} == {"vgg19": ()} | {
        f"vgg19/{layer}": (FILTERS[block(layer) - 1],) for layer in convolution_names("vgg19")[:8]
    }
    assert all((a > 0).all() for name, a in shipped.items() if "/" in name)
    known = {f"small/{layer}": 7.0 + np.arange(5) for layer in network.convolutions}
    known["small"] = np.array(hashlib.sha256(network.convolutions["conv1_1"][0].tobytes()).hexdigest())
    np.savez(tmp_path / "known.npz", **shipped, **known)
    monkeypatch.setattr(weights.normalization, "KNOWN", tmp_path / "known.npz")
    for one in (network, deeper):
        m, expected = weights.estimate_mean_responses(one), estimated_by_definition(one)
        for layer in one.convolutions:
            wanted = expected[layer] if layer == "conv2_2" else known[f"small/{layer}"]
            assert np.allclose(m[layer], wanted, rtol=1e-5), layer
    kernel, bias = network.convolutions["conv1_1"]
    other = replace(network, convolutions=network.convolutions | {"conv1_1": (kernel * np.float32(1.001), bias)})
    for one in (replace(network, pooling="max"), other):
        m, expected = weights.estimate_mean_responses(one), estimated_by_definition(one)
        assert all(np.allclose(m[layer], expected[layer], rtol=1e-5) for layer in m)


@pytest.mark.skipif(not REAL.exists(), reason=f"{REAL.name}, the real VGG-19, is not here")
def test_the_real_network_has_known_constants():
    raw = load_weights(REAL, normalize=False)
    m = weights.estimate_mean_responses(raw)
    normalised = load_weights(REAL)
    with np.load(weights.normalization.KNOWN) as file:
        assert all(np.array_equal(m[layer], file[f"vgg19/{layer}"]) for layer in raw.convolutions)
    x = picture(0, 32, 32, np.float32)
    layer = "conv2_1"
    assert np.allclose(
        normalised.features(x, layer)[layer] * m[layer], raw.features(x, layer)[layer], rtol=1e-3, atol=1e-2
    )


def test_mean_responses_over_one_stack_of_images():
    assert weights.measure_mean_responses(constant(2), np.zeros((2, 8, 8, 3)))["conv1_1"] == [2]


@pytest.mark.parametrize(
    "constants, message",
    [
        ({}, "conv1_1/mean_response is missing; expected one for every convolution"),
        ({"conv1_1": np.ones(3)}, r"conv1_1/mean_response: expected 2 positive numbers, found shape \(3,\)"),
        ({"conv1_1": np.array(2.0)}, r"conv1_1/mean_response: expected 2 positive numbers, found shape \(\)"),
        ({"conv1_1": np.array([1, 0.0])}, "conv1_1/mean_response: expected 2 positive numbers, found 0.0 among them"),
        (
            {"conv1_1": np.array([1, np.inf])},
            "conv1_1/mean_response: expected 2 positive numbers, found inf among them",
        ),
        ({"conv1_1": np.array(["a", "b"])}, "conv1_1/mean_response: expected 2 positive numbers, found a among them"),
    ],
)
def test_normalising_by_wrong_constants(constants, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        weights.normalize_network(constant(1, 2), constants)


def test_constants_may_be_whole_numbers():
    network = weights.normalize_network(constant(1, 8), {"conv1_1": [2, 4]})
    assert network.convolutions["conv1_1"][1].tolist() == [0.5, 2]


def test_sample_images():
    found = sample_images()  # drawn anew
    assert [image.shape for image in found] == [(256, 218, 3), (256, 256, 3), (256, 256, 3)]
    assert all(image.dtype == np.float32 and 0 <= image.min() < 0.1 and 0.8 < image.max() <= 1 for image in found)
    for image, drawn in ((found[1], samples.swirling_night(256)), (found[2], samples.woodcut_waves(256))):
        assert np.array_equal(image, (np.asarray(drawn) / 255).astype(np.float32))  # not scaled


def test_the_means_are_those_of_the_pooling_asked_for(file):
    for pooling in ("average", "max"):
        means = mean_responses(load_weights(file, pooling=pooling, dtype=np.float64))
        assert np.median(abs(means["conv2_2"] - 1)) < 1e-6, pooling


ARGUMENTS = [
    ("backend", "plain"),
    ("pooling", "max"),
    ("padding", "circular"),
    ("threads", 1),
    ("dtype", np.dtype("float64")),
]


@pytest.mark.parametrize(
    "make",
    [
        lambda file, **asked: load_weights(file, normalize=False, **asked),
        load_weights,
        lambda _, **asked: random_network(**asked),
    ],
    ids=["file's own scale", "measured", "random"],
)
def test_every_argument_arrives_at_the_network(file, make):
    network = make(file, **dict(ARGUMENTS))
    assert [(name, getattr(network, name)) for name, _ in ARGUMENTS] == ARGUMENTS
    assert {a.dtype for pair in network.convolutions.values() for a in pair} == {np.dtype("float64")}
    assert all(a.flags.c_contiguous for pair in network.convolutions.values() for a in pair)


def test_what_a_network_is_by_default(file):
    for network in (load_weights(file), load_weights(file, normalize=False)):
        assert (network.backend, network.pooling, network.padding, network.threads) == ("fast", "average", "zero", None)
        assert {a.dtype for pair in network.convolutions.values() for a in pair} == {np.dtype("float32")}


BOTH = [lambda **asked: load_weights("vgg19-mini", **asked), random_network]


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    "asked, error, message",
    [
        ({"dtype": "int32"}, TypeError, "dtype must be float32 or float64, found int32"),
        ({"dtype": np.float16}, TypeError, "dtype must be float32 or float64, found float16"),
        ({"dtype": "flaot32"}, TypeError, "dtype must be float32 or float64, found 'flaot32'"),
        ({"dtype": None}, TypeError, "dtype must be float32 or float64, found None"),
        ({"threads": "2"}, TypeError, "threads must be a whole number of at least 1, found '2'"),
        ({"threads": 0}, ValueError, "threads must be a whole number of at least 1, found 0"),
        ({"pooling": "avg"}, ValueError, "unknown pooling 'avg'; .*there are average, max"),
        ({"padding": "same"}, ValueError, "unknown padding 'same'; .*there are zero, replicate, circular"),
        ({"backend": "slow"}, ValueError, "unknown backend 'slow'; .*there are fast, plain"),
    ],
)
def test_wrong_arguments_are_refused(make, asked, error, message):
    with pytest.raises(error, match=f"^{message}$"):
        make(**asked)


def test_wrong_arguments_of_a_random_network_are_refused_before_the_work(monkeypatch):
    monkeypatch.setattr(weights.random, "sample_images", lambda: pytest.fail("there is nothing to measure"))
    for wrong in ({"threads": 0}, {"pooling": "avg"}, {"padding": "same"}, {"backend": "slow"}, {"dtype": "int32"}):
        with pytest.raises((TypeError, ValueError)):
            random_network(**wrong)


def test_a_random_network_is_measured_on_the_fast_backend(monkeypatch):
    """With the arguments that were given, and over all images at their full size."""
    small, measured = [picture(0, 40, 36, np.float32), picture(1, 36, 40, np.float32)], []

    def measure(network, over):
        measured.append((network, over))
        return {layer: np.full(len(bias), 2.0) for layer, (_, bias) in network.convolutions.items()}

    monkeypatch.setattr(weights.random, "sample_images", lambda: small)
    monkeypatch.setattr(weights.random, "measure_mean_responses", measure)
    network = random_network(backend="plain", pooling="max", padding="circular")
    ((seen, over),) = measured
    assert (seen.backend, seen.pooling, seen.padding) == ("fast", "max", "circular") and over is small
    assert network.backend == "plain" and np.array_equal(seen.mean, network.mean)
    for layer, (_, bias) in seen.convolutions.items():
        assert np.allclose(bias / 2, network.convolutions[layer][1], rtol=1e-6), layer


@pytest.mark.parametrize("wrong", [19, None, b"vgg19", ["vgg19"]])
@pytest.mark.parametrize("function", [load_weights, weights.locate, weights.summary])
def test_a_source_of_the_wrong_type(function, wrong):
    with pytest.raises(
        TypeError, match=rf"^weights must be a path or a name such as 'vgg19', found {re.escape(repr(wrong))}$"
    ):
        function(wrong)


def test_other_wrong_types(file, tmp_path):
    with pytest.raises(TypeError, match=r"^normalize must be True or False, found 'no'$"):
        load_weights(file, normalize="no")
    assert load_weights(file, normalize=np.False_).name == "small"
    with pytest.raises(TypeError, match=r"^network must be a VGG, found 'vgg19-mini'$"):
        save_weights(tmp_path / "x.h5", "vgg19-mini", **PAPER)
    with pytest.raises(TypeError, match=r"^licence must be a string, found None$"):
        save_weights(tmp_path / "x.h5", small_vgg(), source="test", licence=None)
    with pytest.raises(TypeError, match=r"^seed must be a whole number of at least 0, found 'a'$"):
        random_network("a")
    for wrong in (-1, 1.5):
        with pytest.raises(ValueError, match=rf"^seed must be a whole number of at least 0, found {wrong}$"):
            random_network(wrong)
    with pytest.raises(TypeError, match=r"^over must be a list of images, found 'a.png'$"):
        weights.convert(file, tmp_path / "x.h5", over="a.png")
    assert not (tmp_path / "x.h5").exists()


def test_unknown_names_get_a_hint(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"^unknown weights 'vgg9'; did you mean vgg19\? there are vgg19-mini, "):
        load_weights("vgg9")
    monkeypatch.chdir(tmp_path)
    save_weights("small.h5", small_vgg(last="conv1_1"), **PAPER)
    Path("small.h5").rename("vgg9")
    assert load_weights("vgg9", normalize=False).name == "small"  # a file without an ending is one all the same
    assert weights.locate(Path("vgg19-mini")) == Path("vgg19-mini")  # a path is never a name
    assert weights.locate("vgg19-mini") == registry.location("vgg19-mini")
    assert weights.locate("nowhere.h5") == Path("nowhere.h5")


def test_the_name_is_that_of_the_file_if_it_has_none(tmp_path):
    path = tmp_path / "blocks.h5"
    save_weights(path, replace(small_vgg(last="conv1_1"), name=""), **PAPER)
    assert load_weights(path, normalize=False).name == "blocks"


def test_one_style_weight_serves_every_scale(file):
    """Two files that differ by the scale of each filter are the same network once normalised."""
    network = load_weights(file, normalize=False)
    m = {l: np.linspace(0.5, 4, len(b)) for l, (_, b) in network.convolutions.items()}
    other = file.with_name("scaled.h5")
    save_weights(other, weights.normalize_network(network, m), **PAPER)
    one, two = (load_weights(path).features(picture(2), ["conv2_2"])["conv2_2"] for path in (file, other))
    assert np.allclose(one, two, rtol=1e-3, atol=1e-4)


def test_random_network(drawn):
    network = drawn
    assert network.layers[-1] == "conv5_1" and network.dtype == np.float32
    assert all(np.isfinite(w).all() for pair in network.convolutions.values() for w in pair)
    assert all(np.allclose(m, 1, rtol=1e-3) for m in mean_responses(network).values())
    first, again, other = (n.convolutions["conv1_1"][0] for n in (network, random_network(0), random_network(1)))
    assert np.array_equal(first, again) and not np.allclose(first, other)
    assert network.name == "random-vgg19-0" and network.scale == 1
    assert (network.backend, network.pooling, network.padding, network.threads) == ("fast", "average", "zero", None)
    assert [len(bias) for _, bias in network.convolutions.values()] == [32, 32, 96, 96, *4 * [160], *4 * [176], 256]
    assert np.array_equal(network.mean, [123.68, 116.779, 103.939])  # of ImageNet


def test_the_filters_of_a_random_network():
    """By the docstring: drawn as `he_kernels` draws them, orthogonal where that can be, every ReLU's input centred."""
    network = random_network(5, dtype=np.float64)
    rng, below = np.random.default_rng(5), np.ones(3)
    images = [255 * image[::2, ::2] - network.mean for image in weights.sample_images()]
    block_before = 1
    for (layer, (kernel, bias)), (name, drawn) in zip(
        network.convolutions.items(), he_kernels(rng, WIDTHS, LAST), strict=True
    ):
        assert layer == name and kernel.shape == drawn.shape
        if block(layer) != block_before:
            images, block_before = [layers.average_pool_forward(a) for a in images], block(layer)
        inputs = [layers.conv_forward(a, kernel, bias) for a in images]
        centre = np.concatenate([z.reshape(-1, len(bias)) for z in inputs])
        assert (abs(centre.mean(axis=0)) < 1e-4 * centre.std(axis=0)).all(), layer
        images = [layers.relu_forward(z) for z in inputs]

        columns = (kernel / below[:, None]).reshape(-1, len(bias))  # without the normalisation of the layer below
        norms, drawn = np.linalg.norm(columns, axis=0), drawn.reshape(columns.shape)
        if len(bias) > len(columns):  # conv1_1
            norms = norms / np.linalg.norm(drawn, axis=0)
            assert np.allclose(columns / norms, drawn, rtol=1e-5, atol=1e-6)
        else:
            norms = norms / np.sqrt(2)
            gram = (columns / norms).T @ (columns / norms)
            assert np.allclose(gram, 2 * np.eye(len(bias)), atol=1e-4), layer
            spanned = columns @ np.linalg.lstsq(columns, drawn, rcond=None)[0]
            assert np.allclose(spanned, drawn, atol=1e-5), layer  # the space of the drawn filters
        below = 1 / norms
    assert layer == "conv5_1"


def test_he_kernels():
    drawn = dict(he_kernels(np.random.default_rng(0), FILTERS, "conv3_2"))
    assert list(drawn) == convolution_names("vgg19")[:6]
    assert [k.shape[2:] for k in drawn.values()] == [(3, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256)]
    for layer, kernel in drawn.items():
        count, variance = kernel.size, 2 / (9 * kernel.shape[2])
        assert kernel.shape[:2] == (3, 3) and abs(kernel.mean()) < 4 * np.sqrt(variance / count), layer
        assert abs(kernel.var() / variance - 1) < 4 * np.sqrt(2 / count), layer


@pytest.mark.skipif(not REAL.exists(), reason="the real VGG-19 blocks 1–3 are not at hand (../shared/weights)")
def test_real_file():
    network = load_weights(REAL, normalize=False)
    assert network.layers[-2:] == ("conv3_4", "pool3") and network.name == "vgg19-blocks1-3"
    kernel, bias = network.convolutions["conv1_1"]
    assert kernel.shape == (3, 3, 3, 64) and np.allclose(bias[:3], [0.7301776, 0.06493629, 0.03428847], rtol=1e-6)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_normalising_divides_each_response_by_its_constant_and_changes_nothing_else(pooling):
    network, image = small_vgg(pooling=pooling), picture(7, 40, 33)
    rng = np.random.default_rng(0)
    m = {l: rng.uniform(0.1, 9, len(bias)) for l, (_, bias) in network.convolutions.items()}
    plain, normalized = (n.features(image, network.layers) for n in (network, weights.normalize_network(network, m)))
    for l in m:
        assert np.allclose(normalized[l], plain[l] / m[l], rtol=1e-12, atol=1e-14), l
    assert np.allclose(normalized["pool5"], plain["pool5"] / m["conv5_4"], rtol=1e-12, atol=1e-14)


def test_constants_in_single_precision_lose_nothing():
    network, rng = small_vgg(last="conv1_2"), np.random.default_rng(0)
    first, second = rng.uniform(1, 9, (2, 4)).astype(np.float32)
    kernel, bias = weights.normalize_network(network, {"conv1_1": first, "conv1_2": second}).convolutions["conv1_2"]
    plain = network.convolutions["conv1_2"]
    first, second = first.astype(np.float64), second.astype(np.float64)
    assert np.allclose(kernel, plain[0] * first[:, None] / second, rtol=1e-14)
    assert np.allclose(bias, plain[1] / second, rtol=1e-14)


# Writing, converting, describing --------------------------------------------------------------------------------------


def test_a_mean_of_whole_numbers_is_saved(tmp_path):
    save_weights(
        tmp_path / "a.h5", replace(small_vgg(last="conv1_1"), mean=np.array([120, 115, 100]), scale=1), **PAPER
    )
    network = load_weights(tmp_path / "a.h5", normalize=False)
    assert network.mean.tolist() == [120, 115, 100] and network.scale == 1


def keras_file(path, network):
    with h5py.File(path, "w") as h5:
        for layer, (kernel, bias) in network.convolutions.items():
            name = layer.replace("conv", "block").replace("_", "_conv")
            h5[f"{name}/kernel:0"], h5[f"{name}/bias:0"] = kernel[:, :, ::-1] if layer == "conv1_1" else kernel, bias


def test_converting_keeps_everything(tmp_path):
    source, output = tmp_path / "source.h5", tmp_path / "output.h5"
    network = small_vgg(last="conv1_2", dtype=np.float32)
    constants = {"conv1_1": np.array([1.0, 2, 3, 4]), "conv1_2": np.array([5.0, 6, 7, 8])}
    save_weights(source, network, mean_responses=constants, source="a painter", licence="ask her")
    read = weights.convert(source, output)
    for contents in (read, formats.read(output)):
        assert (contents.layout, contents.source, contents.licence) == ("nst_numpy", "a painter", "ask her")
        assert contents.name == "small" and contents.scale == 1 / 60 and contents.mean.tolist() == MEAN.tolist()
        for layer, pair in network.convolutions.items():
            assert np.array_equal(contents.mean_responses[layer], constants[layer])
            assert all(np.array_equal(a, b) for a, b in zip(contents.convolutions[layer], pair, strict=True))


def test_converting_overwrites_no_input(tmp_path):
    source, image, before = tmp_path / "source.h5", tmp_path / "image.h5", b"an image"
    save_weights(source, small_vgg(last="conv1_1"), **PAPER)
    image.write_bytes(before)
    for output, over in ((source, []), (image, [image])):
        with pytest.raises(
            ValueError, match=rf"^cannot write {output}: it is the same file as the input {output}; choose another"
        ):
            weights.convert(source, output, over=over)
    assert image.read_bytes() == before and load_weights(source, normalize=False).name == "small"


def test_converting_says_where_weights_without_a_source_come_from(tmp_path, monkeypatch):
    source, output = tmp_path / "keras.h5", tmp_path / "output.h5"
    keras_file(source, small_vgg(last="conv1_2", dtype=np.float64))
    weights.convert(source, output)
    found = formats.read(output)
    assert found.source == "converted from keras.h5 (Keras HDF5)" and found.name == "keras"
    assert found.licence == "as the file that it was converted from" and found.mean_responses == {}
    assert {a.dtype for pair in found.convolutions.values() for a in pair} == {np.dtype("float32")}

    digest = "sha256:" + hashlib.sha256(source.read_bytes()).hexdigest()
    known = replace(registry.REGISTRY["vgg16"], url="http://x/keras.h5", size=0, hash=digest, licence="an official one")
    monkeypatch.setitem(registry.REGISTRY, "vgg16", known)
    weights.convert(source, output)
    found = formats.read(output)
    assert (found.source, found.licence) == ("http://x/keras.h5", "an official one")


def test_converting_with_images_normalises_over_all_of_them(tmp_path):
    source, output = tmp_path / "source.h5", tmp_path / "output.h5"
    network = small_vgg(last="conv2_1", dtype=np.float32, bias=1.0)
    positive = {layer: (abs(kernel), bias) for layer, (kernel, bias) in network.convolutions.items()}
    network = replace(network, convolutions=positive)  # no filter is dead
    elsewhere = {layer: np.full(len(bias), 7.0) for layer, (_, bias) in network.convolutions.items()}
    save_weights(source, network, mean_responses=elsewhere, source="a painter", licence="ask her")
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for k, path in enumerate(paths):
        images.save(images.to_uint8(picture(k, 20 + 9 * k, 30)), path)
    read = weights.convert(source, output, over=iter(paths))
    assert all((m == 7).all() for m in read.mean_responses.values())
    assert all((m == 1).all() and m.shape for m in formats.read(output).mean_responses.values())
    assert formats.read(output).mean_responses.keys() == network.convolutions.keys()
    normal = load_weights(output, dtype=np.float64)
    responses = [normal.features(path, normal.convolutions) for path in paths]
    for layer in normal.convolutions:
        means = np.concatenate([r[layer].reshape(-1, r[layer].shape[2]) for r in responses]).mean(axis=0)
        assert np.allclose(means, 1, rtol=1e-5), layer
    assert formats.read(output).source == "a painter"


def test_the_summary_by_hand(tmp_path):
    path, network = tmp_path / "small.h5", small_vgg(last="conv2_1", dtype=np.float32)
    network.convolutions["conv1_2"][0][..., 1] = 0
    network.convolutions["conv1_2"][1][1] = -1  # dead
    save_weights(path, network, **PAPER)
    lines = weights.summary(path).splitlines()
    assert lines[:3] == [
        "small: nst_numpy, 445 parameters, input (RGB − [120.000 115.000 100.000]) · 0.01667",
        "source: test",
        "licence: none",
    ]
    assert lines[3].split() == ["layer", "kernel", "‖kernel‖", "biases", "mean", "responses", "dead"]
    means = mean_responses(network)
    for line, (layer, (kernel, bias)) in zip(lines[4:], network.convolutions.items(), strict=True):
        name, shape, *numbers = line.replace("…", " ").split()
        assert name == layer and shape == "×".join(map(str, kernel.shape))
        m = means[layer]
        expected = [np.sqrt((kernel**2).sum()), bias.min(), bias.max(), m.min(), np.median(m), m.max()]
        assert np.allclose([float(n) for n in numbers[:-1]], expected, rtol=6e-3), layer
        assert int(numbers[-1]) == (layer == "conv1_2")
    assert {len(line) for line in lines[3:]} == {len(lines[3])}  # columns stand below each other
    keras_file(tmp_path / "keras.h5", network)
    assert weights.summary(tmp_path / "keras.h5").splitlines()[1].startswith("layer ")  # neither source nor licence


@pytest.mark.parametrize("filters, columns", [(1, 1), (4, 2), (5, 3), (7, 3)])
def test_the_picture_of_the_first_filters(filters, columns):
    kernel = like(3, (3, 3, 3, filters)).copy()
    if filters == 5:
        kernel[..., 1] = 0  # drawn grey
    drawn = weights.first_filters(VGG({"conv1_1": (kernel, np.zeros(filters))}, MEAN))
    rows = -(-filters // columns)
    expected = np.full((28 * rows, 28 * columns, 3), 255.0)
    for k in range(filters):
        top, left = 28 * (k // columns) + 2, 28 * (k % columns) + 2
        for y in range(24):
            for x in range(24):
                expected[top + y, left + x] = 127.5 + 127.5 * kernel[y // 8, x // 8, :, k] / (
                    abs(kernel[..., k]).max() or 1
                )
    assert drawn.dtype == np.uint8 and drawn.shape == expected.shape and abs(drawn - expected).max() <= 0.51


# Bad files ------------------------------------------------------------------------------------------------------------


def damage(path, change):
    with h5py.File(path, "r+") as h5:
        change(h5)


def put(name, value):
    def change(h5):
        del h5[name]
        if value is not None:
            h5[name] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (put("conv1_2/kernel", None), "the dataset conv1_2/kernel is missing"),
        (put("conv2_1/bias", None), "the dataset conv2_1/bias is missing"),
        (put("conv1_2", None), "expected conv1_2 after conv1_1, found conv2_1"),
        (
            put("conv1_2/kernel", np.zeros((3, 3, 9, 4), "f4")),
            r"conv1_2/kernel: expected shape \(3, 3, 4, 4\), found \(3, 3, 9, 4\)",
        ),
        (put("conv1_2/bias", np.zeros(5, "f4")), r"conv1_2/bias: expected shape \(4,\), found \(5,\)"),
        (put("conv1_2/bias", np.full(4, np.nan, "f4")), "conv1_2/bias contains values that are not finite"),
        (put("conv1_2/bias", np.zeros(4, "i4")), "conv1_2/bias: expected floating-point numbers, found int32"),
        (lambda h5: h5.attrs.pop("format"), "expected the convolutions of a VGG, found conv1_1/bias, "),
        (lambda h5: h5.attrs.update(format="x"), "expected the attribute format='nst_numpy.vgg', found 'x'"),
        (lambda h5: h5.attrs.update(version=2), "expected version 1, found 2"),
        (lambda h5: h5.attrs.pop("mean"), "the attribute mean is missing or not numeric"),
        (lambda h5: h5.attrs.update(mean=[1.0, 2.0]), r"mean: expected 3 finite numbers, found \[1\. 2\.\]"),
        (lambda h5: h5.attrs.update(scale="large"), "the attribute scale is missing or not numeric"),
        (lambda h5: h5.attrs.update(scale=np.inf), "scale: expected a finite number, found inf"),
        (lambda h5: h5.update({"conv1_1/mean_response": np.zeros(4)}), "conv1_1/mean_response: expected 4 positive"),
        (lambda h5: h5.update({"conv1_1/mean_response": np.ones(4)}), "conv1_2/mean_response is missing"),
    ],
)
def test_damaged_files_are_refused_by_name(file, change, message):
    damage(file, change)
    with pytest.raises(ValueError, match=f"small.h5: .*{message}"):
        load_weights(file)


def test_what_is_no_weight_file(tmp_path, file):
    with pytest.raises(FileNotFoundError, match="there is no weight file"):
        load_weights(tmp_path / "nowhere.h5")
    text = tmp_path / "text.h5"
    text.write_text("not found")
    with pytest.raises(ValueError, match=r"text.h5 is not a weight file: expected HDF5"):
        load_weights(text)
    file.write_bytes(file.read_bytes()[:2000])
    with pytest.raises(ValueError, match=r"small\.h5"):
        load_weights(file)
    with pytest.raises(ValueError, match="is not a weight file"):
        load_weights(tmp_path)
