"""The program that trains the embedded network: its layers, its whole gradient, and a short run."""

import importlib.util
import io
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawing import like, small_vgg, spread
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from training import PlainTraining

from nst_numpy import gradcheck, load_weights, save_weights

PROGRAM = Path(__file__).parents[1] / "weights/train.py"
spec = importlib.util.spec_from_file_location("train", PROGRAM)
train = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train)

PLAIN = PlainTraining()
seeds = st.integers(0, 2**31)


@given(st.integers(2, 5), st.integers(2, 4), st.integers(1, 3), seeds)  # of two positions nothing is left
def test_batch_norm(height, width, channels, seed):
    z, dy = spread(np.random.default_rng(seed), (height, width, channels)), like(seed, (height, width, channels))
    gain, shift = like(seed + 1, (channels,)), like(seed + 2, (channels,))
    y, cache = train.batch_norm_forward(z, gain, shift)
    flat = z.reshape(-1, channels)
    expected = gain * (z - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + train.EPSILON) + shift
    assert np.allclose(y, expected, atol=1e-12)
    dz, dgain, dshift = train.batch_norm_backward(dy, cache)
    assert gradcheck(lambda z: (dy * train.batch_norm_forward(z, gain, shift)[0]).sum(), dz, z, rtol=1e-5)
    assert gradcheck(lambda gain: (dy * train.batch_norm_forward(z, gain, shift)[0]).sum(), dgain, gain)
    assert gradcheck(lambda shift: (dy * train.batch_norm_forward(z, gain, shift)[0]).sum(), dshift, shift)


@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_linear_prediction(N, K, seed):
    F, T, variance = like(seed, (4, 5, N)), like(seed + 1, (4, 5, K)), 1 + np.abs(like(seed + 2, (K,)))
    loss, gradient = train.linear_prediction(F, T, variance)
    # The ridge regression with an intercept, channel by channel, as NumPy's least squares solves it.
    f, t = F.reshape(-1, N), T.reshape(-1, K)
    f, t = f - f.mean(axis=0), t - t.mean(axis=0)
    stacked = np.concatenate([f, np.sqrt(20 * train.RIDGE) * np.eye(N)])
    expected = 0
    for k in range(K):
        target = np.concatenate([t[:, k], np.zeros(N)])
        A = np.linalg.lstsq(stacked, target)[0]
        expected += ((stacked @ A - target) ** 2).sum() / variance[k] / (20 * K)
    assert np.isclose(loss, expected, rtol=1e-9)
    assert gradcheck(lambda F: train.linear_prediction(F, T, variance)[0], gradient, F, rtol=1e-5)


def test_the_gradients_of_all_parameters_at_once(monkeypatch):
    """Up to conv2_2, on the plain backend in float64, with a loss at every layer; and the stop below the class."""
    monkeypatch.setattr(train, "CONVOLUTIONS", ["conv1_1", "conv1_2", "conv2_1", "conv2_2"])
    monkeypatch.setattr(train, "WIDTHS", (3, 4))
    rng = np.random.default_rng(0)
    parameters = {name: p.astype(np.float64) for name, p in train.initial_parameters(rng, 2).items()}
    parameters |= {name: p + 0.3 * rng.standard_normal(p.shape) for name, p in parameters.items()}
    x, weights = like(1, (8, 10, 3)), {}

    def features_of(parameters):
        return train.forward(PLAIN, parameters, train.prepare(PLAIN, parameters), x)

    features, tape = features_of(parameters)
    weights = {layer: like(2, f.shape) for layer, f in features.items()}
    for first_of_class, above in (("conv4_1", 0), ("conv2_1", 2)):
        monkeypatch.setattr(train, "FIRST_OF_CLASS", first_of_class)
        gradients = train.backward(PLAIN, train.prepare(PLAIN, parameters), features, tape, weights)
        for name, gradient in gradients.items():
            layer = name.split("/")[0]
            below_stop = above and layer < first_of_class
            counted = train.CONVOLUTIONS[:above] if below_stop else train.CONVOLUTIONS

            def loss(p, name=name, counted=counted):
                found, _ = features_of(parameters | {name: p})
                return sum((weights[layer] * found[layer]).sum() for layer in counted)

            assert gradcheck(loss, gradient, parameters[name], rtol=1e-4), name


@given(st.integers(1, 6), st.integers(2, 5), seeds)
def test_cross_entropy(n, classes, seed):
    scores, labels = 3 * like(seed, (n, classes)), np.random.default_rng(seed).integers(-1, classes, n)
    loss, gradient = train.cross_entropy(scores, labels)
    expected = 0
    for s, label in zip(scores, labels, strict=True):
        if label >= 0:
            p = np.exp(s) / np.exp(s).sum()
            q = 0.1 / classes + 0.9 * (np.arange(classes) == label)
            expected -= (q * np.log(p)).sum() / (labels >= 0).sum()
    assert np.isclose(loss, expected, rtol=1e-12)
    assert gradcheck(lambda s: train.cross_entropy(s, labels)[0], gradient, scores)


# A whole run, small ---------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Forty images in two classes, one bright and one dark, a narrow teacher, and a program that takes little steps."""
    for name, value in {"SIDE": 2, "CROP": 16, "WIDTHS": (4, 5, 6, 7, 8), "KEEP_EVERY": 2, "RATE": 1e-2}.items():
        monkeypatch.setattr(train, name, value)
    rng = np.random.default_rng(0)
    for k in range(80):
        bright = k % 2
        path = tmp_path / "images" / ("dark", "bright")[bright] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(128 * bright, 128 + 128 * bright, (20, 24, 3)).astype(np.uint8)).save(path)
    teacher = small_vgg(last="conv3_4", dtype=np.float32, bias=0.3)
    save_weights(tmp_path / "teacher.h5", teacher, source="test", licence="none")
    return tmp_path


def run(folder, output, monkeypatch, *options):
    arguments = ["train.py", str(folder / "images"), str(folder / "teacher.h5"), "-o", str(folder / output), *options]
    monkeypatch.setattr("sys.argv", arguments)
    return train.main()


def test_a_run_learns_and_writes_a_normalised_network(small, monkeypatch, capsys):
    assert run(small, "net.h5", monkeypatch, "--steps", "80") == 0
    network = load_weights(small / "net.h5")
    assert network.layers[-1] == "conv5_1" and network.name == "net"
    with h5py.File(small / "net.h5") as file:
        assert file["conv3_4/kernel"].dtype == np.float16 and (file["conv3_4/mean_response"][()] == 1).all()
    rows = np.loadtxt(small / "net.csv", delimiter=",", skiprows=1, ndmin=2)
    assert rows[0, 0] == 50 and (small / "net.png").stat().st_size > 1000
    with np.load(small / "net.checkpoint.npz") as state:
        log = state["log"]
    start, end = log[:20].mean(axis=0), log[-20:].mean(axis=0)
    assert len(log) == 80 and end[:-2].sum() < 0.9 * start[:-2].sum() and end[-1] > 0.8  # bright or dark
    assert "net.h5; on validation images: conv1_1 0." in capsys.readouterr().out


def test_the_same_seed_gives_the_same_network_also_in_parts_and_for_any_number_of_threads(small, monkeypatch):
    run(small, "whole.h5", monkeypatch, "--steps", "5", "--threads", "2")
    run(small, "other.h5", monkeypatch, "--steps", "5", "--seed", "1")
    adamw, calls = train.adamw, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 150:  # in the middle of step 3: there are 41 parameters
            raise KeyboardInterrupt
        adamw(*arguments)

    monkeypatch.setattr(train, "adamw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(small, "parts.h5", monkeypatch, "--steps", "5", "--threads", "1")
    monkeypatch.setattr(train, "adamw", adamw)
    assert not (small / "parts.h5").exists()
    run(small, "parts.h5", monkeypatch, "--steps", "5", "--threads", "1")
    whole, other, parts = (load_weights(small / f"{name}.h5").convolutions for name in ("whole", "other", "parts"))
    for layer, pair in whole.items():
        assert all(np.array_equal(a, b) for a, b in zip(pair, parts[layer], strict=True)), layer
    assert not np.allclose(whole["conv1_1"][0], other["conv1_1"][0])
    with pytest.raises(ValueError, match="belongs to another run; delete it to start anew"):
        run(small, "parts.h5", monkeypatch, "--steps", "6")


def test_folding_changes_nothing(small):
    rng = np.random.default_rng(0)
    parameters = {k: p + 0.1 * rng.standard_normal(p.shape) for k, p in train.initial_parameters(rng, 2).items()}
    image = rng.random((32, 32, 3))
    x = (255 * image - train.MEAN) * train.SCALE
    features, tape = train.forward(PLAIN, parameters, train.prepare(PLAIN, parameters), x)
    statistics = {f"{l}/{what}": a for l, t in tape.items() for what, a in zip(("mean", "s"), t[2][2:], strict=True)}
    network = train.folded(parameters, statistics, "test", backend="plain")
    for layer, a in network.features(image, features).items():
        assert np.allclose(a, features[layer], atol=1e-10), layer


def test_images_from_a_file_and_from_a_folder(small):
    folder = train.Images(small / "images")
    assert folder.classes == 2 and len(folder.training) == 76 and len(folder.validation) == 4
    encoded = []
    for k in range(len(folder.labels)):
        buffer = io.BytesIO()
        folder.open(k).save(buffer, "WebP", lossless=True)
        encoded.append(buffer.getvalue())
    with h5py.File(small / "images.h5", "w") as file:
        file["webp"] = np.frombuffer(b"".join(encoded), np.uint8)
        file["offset"] = np.cumsum([0, *map(len, encoded)])
        file["label"], file["split"] = folder.labels, np.isin(np.arange(80), folder.validation)
    inside = train.Images(small / "images.h5")
    for vary in (False, True):
        one, two = (i.mosaic(np.random.default_rng(5), i.training, vary) for i in (folder, inside))
        assert np.array_equal(one[0], two[0]) and np.array_equal(one[1], two[1])
        assert one[0].shape == (32, 32, 3) and one[0].min() >= 0 and one[0].max() <= 1
    means = train.crop_means(one[0].astype(np.float64))
    assert np.allclose(means[1], one[0][:16, 16:].mean(axis=(0, 1)))  # the second crop is right of the first
    with pytest.raises(ValueError, match=r"empty: expected at least 2 classes and 80 images, found 0 and 0"):
        (small / "empty").mkdir()
        train.Images(small / "empty")


def test_the_rate_goes_up_and_down_to_nothing():
    rates = np.array([train.rate(step, 100) for step in range(101)])
    assert rates[0] == 0 and rates[10] == rates.max() == train.RATE and rates[100] < 1e-12
    assert (np.diff(rates[:11]) > 0).all() and (np.diff(rates[10:]) < 0).all()


def test_adamw_against_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (make .venv/installed-oracle)")
    p, target = like(0, (5, 4)).copy(), like(1, (5, 4))
    expected = torch.tensor(p.copy(), requires_grad=True)
    optimiser = torch.optim.AdamW([expected], lr=0.01, weight_decay=0.1)
    m, v = np.zeros_like(p), np.zeros_like(p)
    for step in range(20):
        optimiser.zero_grad()
        ((expected - torch.tensor(target)) ** 4).sum().backward()
        train.adamw(p, 4 * (p - target) ** 3, m, v, step, 0.01, 0.1)
        optimiser.step()
    assert np.allclose(p, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
