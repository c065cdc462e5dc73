"""The program that trains the embedded network: its layers, its whole gradient, and a short run."""

import importlib.util
from pathlib import Path

import numpy as np
from drawing import like, spread
from hypothesis import given
from hypothesis import strategies as st

from nst_numpy import gradcheck, plain

PROGRAM = Path(__file__).parents[1] / "weights/train.py"
spec = importlib.util.spec_from_file_location("train", PROGRAM)
train = importlib.util.module_from_spec(spec)
spec.loader.exec_module(train)

seeds = st.integers(0, 2**31)


@given(st.integers(2, 5), st.integers(1, 4), st.integers(1, 3), seeds)
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
        return train.forward(plain, parameters, train.prepare(plain, parameters), x)

    features, tape = features_of(parameters)
    weights = {layer: like(2, f.shape) for layer, f in features.items()}
    for first_of_class, above in (("conv4_1", 0), ("conv2_1", 2)):
        monkeypatch.setattr(train, "FIRST_OF_CLASS", first_of_class)
        gradients = train.backward(plain, train.prepare(plain, parameters), features, tape, weights)
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
