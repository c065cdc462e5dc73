"""The programs that train the embedded network: their layers, their whole gradients, and short runs."""

import io

import classify
import distill
import h5py
import numpy as np
import pytest
import training
from drawing import like, small_vgg, spread
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst_numpy import gradcheck, layers, load_weights, save_weights
from nst_numpy.network import VGG

PLAIN = training.PlainTraining()
seeds = st.integers(0, 2**31)


@given(st.integers(2, 5), st.integers(2, 4), st.integers(1, 3), seeds)  # of two positions nothing is left
def test_batch_norm(height, width, channels, seed):
    z, dy = spread(np.random.default_rng(seed), (height, width, channels)), like(seed, (height, width, channels))
    gain, shift = like(seed + 1, (channels,)), like(seed + 2, (channels,))
    y, cache = training.batch_norm_forward(z, gain, shift)
    flat = z.reshape(-1, channels)
    expected = gain * (z - flat.mean(axis=0)) / np.sqrt(flat.var(axis=0) + training.EPSILON) + shift
    assert np.allclose(y, expected, atol=1e-12)
    dz, dgain, dshift = training.batch_norm_backward(dy, cache)
    assert gradcheck(lambda z: (dy * training.batch_norm_forward(z, gain, shift)[0]).sum(), dz, z, rtol=1e-5)
    assert gradcheck(lambda gain: (dy * training.batch_norm_forward(z, gain, shift)[0]).sum(), dgain, gain)
    assert gradcheck(lambda shift: (dy * training.batch_norm_forward(z, gain, shift)[0]).sum(), dshift, shift)


@given(st.integers(1, 4), st.integers(1, 5), seeds)
def test_linear_prediction(N, K, seed):
    F, T, variance = like(seed, (4, 5, N)), like(seed + 1, (4, 5, K)), 1 + np.abs(like(seed + 2, (K,)))
    loss, gradient = distill.linear_prediction(F, T, variance)
    # The ridge regression with an intercept, channel by channel, as NumPy's least squares solves it.
    f, t = F.reshape(-1, N), T.reshape(-1, K)
    f, t = f - f.mean(axis=0), t - t.mean(axis=0)
    stacked = np.concatenate([f, np.sqrt(20 * distill.RIDGE) * np.eye(N)])
    expected = 0
    for k in range(K):
        target = np.concatenate([t[:, k], np.zeros(N)])
        A = np.linalg.lstsq(stacked, target, rcond=None)[0]
        expected += ((stacked @ A - target) ** 2).sum() / variance[k] / (20 * K)
    assert np.isclose(loss, expected, rtol=1e-9)
    assert gradcheck(lambda F: distill.linear_prediction(F, T, variance)[0], gradient, F, rtol=1e-5)


def check_all_gradients(program, parameters, x, gradients_of):
    """Every parameter's gradient, with the loss Σ weights · features over the layers that have weights."""
    parameters = {name: p.astype(np.float64) for name, p in parameters.items()}
    rng = np.random.default_rng(0)
    parameters |= {name: p + 0.3 * rng.standard_normal(p.shape) for name, p in parameters.items()}

    def features_of(parameters):
        return program.forward(PLAIN, parameters, training.prepare(PLAIN, parameters, program.CONVOLUTIONS), x)

    features, tape = features_of(parameters)
    weights = {layer: like(2, f.shape) for layer, f in features.items()}
    prepared = training.prepare(PLAIN, parameters, program.CONVOLUTIONS)
    counted, gradients = gradients_of(prepared, features, tape, weights)
    assert gradients.keys() == parameters.keys()
    for name, gradient in gradients.items():

        def loss(p, name=name):
            found, _ = features_of(parameters | {name: p})
            return sum((weights[layer] * found[layer]).sum() for layer in counted)

        assert gradcheck(loss, gradient, parameters[name], rtol=1e-4), name


def test_the_gradients_of_the_first_blocks(monkeypatch):
    """Up to conv2_2, on the plain backend in float64, with a loss at every layer."""
    monkeypatch.setattr(distill, "CONVOLUTIONS", ["conv1_1", "conv1_2", "conv2_1", "conv2_2"])
    parameters = training.initial_parameters(np.random.default_rng(0), (3, 4), distill.CONVOLUTIONS)

    def gradients_of(prepared, features, tape, weights):
        return features, distill.backward(PLAIN, prepared, features, tape, weights)

    check_all_gradients(distill, parameters, like(1, (8, 10, 3)), gradients_of)


def test_the_gradients_of_the_last_blocks():
    """Four crops, one above the other and side by side; the loss is one of conv5_1."""
    parameters = training.initial_parameters(np.random.default_rng(0), (2, 2, 3, 3, 4), classify.CONVOLUTIONS)

    def gradients_of(prepared, features, tape, weights):
        return ["conv5_1"], classify.backward(PLAIN, prepared, features, tape, weights["conv5_1"])

    check_all_gradients(classify, parameters, np.abs(like(1, (4, 4, 6, 3))), gradients_of)


@given(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), seeds)
def test_crops_in_a_mosaic_are_convolved_as_if_alone(n, height, width, channels, seed):
    crops, kernel = like(seed, (n * n, height, width, channels)), like(seed + 1, (3, 3, channels, 2))
    mosaic = classify.lay(crops)
    assert np.array_equal(classify.cut(mosaic, n * n), crops) and mosaic.sum() == pytest.approx(crops.sum())
    found = classify.cut(layers.conv_forward(mosaic, kernel, np.ones(2)), n * n)
    alone = [layers.conv_forward(crop, kernel, np.ones(2)) for crop in crops]
    assert np.allclose(found, alone, atol=1e-12)


def test_the_loss_of_a_mosaic_and_its_gradients():
    """With its own classifier; the classifier's gradients, and one of the network's, against central differences."""
    parameters = training.initial_parameters(np.random.default_rng(0), (2, 2, 3, 3, 4), classify.CONVOLUTIONS)
    parameters |= {"pets/kernel": like(4, (4, 3)), "pets/bias": like(5, (3,))}
    parameters = {name: p.astype(np.float64) for name, p in parameters.items()}
    crops, labels = np.abs(like(1, (4, 4, 4, 3))), np.array([0, 2, -1, 1])

    def measured(name, p):
        changed = parameters | {name: p}
        prepared = training.prepare(PLAIN, changed, classify.CONVOLUTIONS)
        return classify.losses_and_gradients(PLAIN, changed, prepared, crops, labels, "pets")

    found, gradients, statistics = measured("pets/bias", parameters["pets/bias"])
    assert list(statistics) == classify.CONVOLUTIONS and gradients.keys() == parameters.keys()
    assert list(found) == ["pets", "accuracy pets"]
    for name in ("pets/kernel", "pets/bias", "conv5_1/kernel", "conv4_3/gain", "conv4_1/kernel"):
        assert gradcheck(
            lambda p, name=name: measured(name, p)[0]["pets"], gradients[name], parameters[name], rtol=1e-4
        )
    prepared = training.prepare(PLAIN, parameters, classify.CONVOLUTIONS)
    features, _ = classify.forward(PLAIN, parameters, prepared, crops)
    scores = features["conv5_1"].mean(axis=(1, 2)) @ parameters["pets/kernel"] + parameters["pets/bias"]
    assert found["accuracy pets"] == np.mean([scores[k].argmax() == labels[k] for k in (0, 1, 3)])


@given(st.integers(1, 6), st.integers(2, 5), seeds)
def test_cross_entropy(n, classes, seed):
    scores, labels = 3 * like(seed, (n, classes)), np.random.default_rng(seed).integers(-1, classes, n)
    loss, gradient = training.cross_entropy(scores, labels)
    expected = 0
    for s, label in zip(scores, labels, strict=True):
        if label >= 0:
            p = np.exp(s) / np.exp(s).sum()
            q = 0.1 / classes + 0.9 * (np.arange(classes) == label)
            expected -= (q * np.log(p)).sum() / (labels >= 0).sum()
    assert np.isclose(loss, expected, rtol=1e-12)
    assert gradcheck(lambda s: training.cross_entropy(s, labels)[0], gradient, scores)


# Whole runs, small ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """Eighty images in two classes, one bright and one dark, a narrow teacher, and programs that take small steps."""
    for program in (distill, classify):
        monkeypatch.setattr(program, "WIDTHS", (4, 5, 6, 7, 8))
        monkeypatch.setattr(program, "RATE", 1e-2)
    for name, value in {"SIDE": 2, "CROP": 16}.items():
        monkeypatch.setattr(distill, name, value)
    for name, value in {"SIDE": 64, "LARGEST": 32}.items():
        monkeypatch.setattr(classify, name, value)
    monkeypatch.setattr(training, "KEEP_EVERY", 2)
    rng = np.random.default_rng(0)
    for k in range(80):
        bright = k % 2
        path = tmp_path / "images" / ("dark", "bright")[bright] / f"{k}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(128 * bright, 128 + 128 * bright, (20, 24, 3)).astype(np.uint8)).save(path)
    teacher = small_vgg(last="conv3_4", dtype=np.float32, bias=0.3)
    save_weights(tmp_path / "teacher.h5", teacher, source="test", licence="none")
    widths = small_vgg(widths=(4, 5, 6), last="conv3_4", dtype=np.float32, bias=0.3)
    save_weights(tmp_path / "blocks.h5", widths, source="test", licence="none")
    return tmp_path


def run(program, folder, output, monkeypatch, *options):
    sources = ["images", "teacher.h5"] if program is distill else ["blocks.h5", "images"]
    arguments = [f"{program.__name__}.py", *(str(folder / source) for source in sources), "-o", str(folder / output)]
    monkeypatch.setattr("sys.argv", [*arguments, *options])
    return program.main()


def check_file(folder, last, steps):
    """A normalised network in float16, its curves, and its checkpoint; returns the curves."""
    network = load_weights(folder / "net.h5")
    assert list(network.convolutions)[-1] == last and network.name == "net"
    with h5py.File(folder / "net.h5") as file:
        assert file["conv3_4/kernel"].dtype == np.float16 and (file["conv3_4/mean_response"][()] == 1).all()
    rows = np.loadtxt(folder / "net.csv", delimiter=",", skiprows=1, ndmin=2)
    assert rows[0, 0] == 50 and rows[-1, 0] == steps and (folder / "net.png").stat().st_size > 1000
    with np.load(folder / "net.checkpoint.npz") as state:
        log = {name: state[name] for name in state.files if name.startswith("log/")}
    assert all(len(curve) == steps for curve in log.values())
    return log


def test_the_first_blocks_learn(small, monkeypatch, capsys):
    assert run(distill, small, "net.h5", monkeypatch, "--steps", "80") == 0
    log = check_file(small, "conv3_4", 80)
    assert list(log) == [f"log/{layer}" for layer in distill.DISTILLED]
    assert sum(c[-20:].mean() for c in log.values()) < 0.9 * sum(c[:20].mean() for c in log.values())
    assert "net.h5; on validation images: conv1_1 0." in capsys.readouterr().out


def test_the_last_blocks_learn(small, monkeypatch, capsys):
    assert run(classify, small, "net.h5", monkeypatch, "--steps", "60") == 0
    log = check_file(small, "conv5_1", 60)
    assert list(log) == ["log/images", "log/accuracy images"]
    assert log["log/images"][-20:].mean() < 0.9 * log["log/images"][:20].mean()
    assert log["log/accuracy images"][-20:].mean() > 0.9  # bright or dark
    assert capsys.readouterr().out.startswith("images: 1.000 of the validation images\nwrote ")
    blocks, network = load_weights(small / "blocks.h5", normalize=False), load_weights(small / "net.h5")
    for layer, pair in blocks.convolutions.items():  # these do not change
        for a, b in zip(pair, network.convolutions[layer], strict=True):
            assert np.array_equal(a.astype(np.float16), b)
    images = training.Images(small / "images", 4)
    crops = [images.crop(i, 16, None) for i in images.training]
    means = np.mean([network.features(crop, "conv4_1")["conv4_1"].mean(axis=(0, 1)) for crop in crops], axis=0)
    assert np.allclose(means[means > 0], 1, atol=0.02)
    assert not list(small.glob("*.npy"))


@pytest.mark.parametrize("program", [distill, classify])
def test_the_same_seed_gives_the_same_network_also_in_parts_and_for_any_number_of_threads(
    small, monkeypatch, program, capsys
):
    run(program, small, "whole.h5", monkeypatch, "--steps", "5", "--threads", "2")
    run(program, small, "other.h5", monkeypatch, "--steps", "5", "--seed", "1")
    adamw, calls = training.adamw, []

    def interrupted(p, g, m, v, step, rate, decay):
        calls.append(step)
        if calls.count(3) == 2:  # in the middle of step 3
            raise KeyboardInterrupt
        adamw(p, g, m, v, step, rate, decay)

    monkeypatch.setattr(training, "adamw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(program, small, "parts.h5", monkeypatch, "--steps", "5", "--threads", "1")
    monkeypatch.setattr(training, "adamw", adamw)
    assert not (small / "parts.h5").exists() and (small / "parts.checkpoint.npz").exists()
    run(program, small, "parts.h5", monkeypatch, "--steps", "5", "--threads", "1")
    whole, other, parts = (load_weights(small / f"{name}.h5").convolutions for name in ("whole", "other", "parts"))
    for layer, pair in whole.items():
        assert all(np.array_equal(a, b) for a, b in zip(pair, parts[layer], strict=True)), layer
    changed = program.CONVOLUTIONS[0]
    assert not np.allclose(whole[changed][0], other[changed][0])
    with pytest.raises(ValueError, match="belongs to another run; delete it to start anew"):
        run(program, small, "parts.h5", monkeypatch, "--steps", "6")


def test_folding_changes_nothing():
    rng = np.random.default_rng(0)
    drawn = training.initial_parameters(rng, (4, 5, 6), distill.CONVOLUTIONS)
    parameters = {k: p + 0.1 * rng.standard_normal(p.shape) for k, p in drawn.items()}
    image = rng.random((32, 32, 3))
    x = (255 * image - distill.MEAN) * distill.SCALE
    prepared = training.prepare(PLAIN, parameters, distill.CONVOLUTIONS)
    features, tape = distill.forward(PLAIN, parameters, prepared, x)
    statistics = {f"{l}/{what}": a for l, t in tape.items() for what, a in zip(("mean", "s"), t[2][2:], strict=True)}
    convolutions = training.folded(parameters, statistics, distill.CONVOLUTIONS)
    network = VGG(convolutions, distill.MEAN, distill.SCALE, backend="plain")
    for layer, a in network.features(image, features).items():
        assert np.allclose(a, features[layer], atol=1e-10), layer


def test_images_from_a_file_and_from_a_folder(small):
    folder = training.Images(small / "images", 4)
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
    inside = training.Images(small / "images.h5", 4)
    assert np.array_equal(inside.training, folder.training) and np.array_equal(inside.labels, folder.labels)
    for vary in (False, True):
        one, two = (i.crop(i.training[7], 12, np.random.default_rng(5) if vary else None) for i in (folder, inside))
        assert np.array_equal(one, two)
        assert one.shape == (12, 12, 3) and one.dtype == np.float32 and one.min() >= 0 and one.max() <= 1
        mosaic = distill.mosaic_of(folder, folder.training, np.random.default_rng(5), vary)
        rng = np.random.default_rng(5)
        second = [folder.crop(i, 16, rng if vary else None) for i in rng.choice(folder.training, 4, replace=False)][1]
        assert np.array_equal(mosaic[:16, 16:], second)  # right of the first
    with pytest.raises(ValueError, match=r"empty: expected at least 2 classes and 80 images, found 0 and 0"):
        (small / "empty").mkdir()
        training.Images(small / "empty", 4)


def test_the_rate_goes_up_and_down_to_nothing():
    rates = np.array([training.one_cycle(step, 100, 0.3) for step in range(101)])
    assert rates[0] == 0 and rates[10] == rates.max() == 0.3 and rates[100] < 1e-12
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
        training.adamw(p, 4 * (p - target) ** 3, m, v, step, 0.01, 0.1)
        optimiser.step()
    assert np.allclose(p, expected.detach().numpy(), rtol=1e-10, atol=1e-12)
