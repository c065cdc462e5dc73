"""Weight files: what is written is read; everything else is refused by name. Normalisation by its definition."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from drawing import MEAN, picture, small_vgg

from nst_numpy import load_weights, random_network, save_weights, weights

REAL = Path(__file__).parents[2] / "shared/weights/vgg19_blocks1-3.h5"
PAPER = {"source": "test", "licence": "none"}


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
        alive = raw[l] > 0.01 * raw[l].mean()
        assert alive.sum() > 2 and np.allclose(means[alive], 1, rtol=1e-6)


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
    kernel[:], bias[:] = 0, -1  # a whole layer dead
    assert weights.measure_mean_responses(network, images)["conv1_1"].tolist() == [1, 1, 1, 1]


def test_one_style_weight_serves_every_scale(file):
    """Two files that differ by the scale of each filter are the same network once normalised."""
    network = load_weights(file, normalize=False)
    m = {l: np.linspace(0.5, 4, len(b)) for l, (_, b) in network.convolutions.items()}
    other = file.with_name("scaled.h5")
    save_weights(other, weights.normalize_network(network, m), **PAPER)
    one, two = (load_weights(path).features(picture(2), ["conv2_2"])["conv2_2"] for path in (file, other))
    assert np.allclose(one, two, rtol=1e-3, atol=1e-4)


def test_random_network():
    network = random_network()
    assert network.layers[-1] == "conv5_1" and network.dtype == np.float32
    assert all(np.isfinite(w).all() for pair in network.convolutions.values() for w in pair)
    assert all(np.allclose(m, 1, rtol=1e-3) for m in mean_responses(network).values())
    first, again, other = (n.convolutions["conv1_1"][0] for n in (network, random_network(), random_network(1)))
    assert np.array_equal(first, again) and not np.allclose(first, other)


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


# Bad files ------------------------------------------------------------------------------------------------------------


def damage(path, change):
    with h5py.File(path, "r+") as h5:
        change(h5)


def replace(name, value):
    def change(h5):
        del h5[name]
        if value is not None:
            h5[name] = value

    return change


@pytest.mark.parametrize(
    "change, message",
    [
        (replace("conv1_2/kernel", None), "the dataset conv1_2/kernel is missing"),
        (replace("conv2_1/bias", None), "the dataset conv2_1/bias is missing"),
        (replace("conv1_2", None), "expected conv1_2 after conv1_1, found conv2_1"),
        (
            replace("conv1_2/kernel", np.zeros((3, 3, 9, 4), "f4")),
            r"conv1_2/kernel: expected shape \(3, 3, 4, 4\), found \(3, 3, 9, 4\)",
        ),
        (replace("conv1_2/bias", np.zeros(5, "f4")), r"conv1_2/bias: expected shape \(4,\), found \(5,\)"),
        (replace("conv1_2/bias", np.full(4, np.nan, "f4")), "conv1_2/bias contains values that are not finite"),
        (replace("conv1_2/bias", np.zeros(4, "i4")), "conv1_2/bias: expected floating-point numbers, found int32"),
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
