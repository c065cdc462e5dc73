"""Numbers: rounding, NaN, infinity and the ends of the range, in both backends and all losses; and many runs."""

import inspect
import subprocess
import sys
import typing
from unittest import mock

import numpy as np
import pytest
from drawing import like, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_numpy import layers, losses, transfer
from nst_numpy.backends import fast, plain
from nst_numpy.backends.fast import Fast

NEVER = 10**6
METHODS = {
    "im2col": {"WINOGRAD_CHANNELS": NEVER},
    "F(4×4)": {"WINOGRAD_CHANNELS": 1, "WINOGRAD_PIXELS": 1, "F6_TILES": NEVER, "F6_TILES_NARROW": NEVER},
    "F(6×6)": {"WINOGRAD_CHANNELS": 1, "WINOGRAD_PIXELS": 1, "F6_TILES": 1, "F6_TILES_NARROW": 1},
}
BOUNDS = {"im2col": 8, "F(4×4)": 40, "F(6×6)": 60}  # docs/winograd.md states them
each_method = pytest.mark.parametrize("method", METHODS)
BACKENDS = {dtype: Fast(None, dtype) for dtype in (np.float32, np.float64)}


def drawn_layer(rng):
    """A map of one of several kinds, and a kernel."""
    (height, width), (C, K) = rng.integers(6, 40, 2), rng.integers(4, 65, 2)
    x = rng.standard_normal((height, width, C))
    kinds = [x, np.abs(x), np.sign(x) * 255, np.clip(x, 0, 1).round() * 255, np.ones_like(x) * np.sign(x[0, 0])]
    x = [*kinds, x * (rng.random(x.shape) < 0.02)][rng.integers(6)]
    kernel = rng.standard_normal((3, 3, C, K))
    kernel = (kernel if rng.random() < 0.7 else np.sign(kernel)) * 10 ** rng.uniform(-3, 1)
    return x.astype(np.float32), kernel.astype(np.float32)


@each_method
def test_the_rounding_of_a_layer_is_bounded(method, request):
    """Against float64, forward and backward, in multiples of ε · max |x| · Σ |kernel|."""
    count = 50 * (request.config.getoption("--faults") or 1)
    rng, largest = np.random.default_rng(6), 0.0
    for _ in range(count):
        x, kernel = drawn_layer(rng)
        with mock.patch.multiple(fast, **METHODS[method]):
            prepared = BACKENDS[np.float32].prepare(kernel, np.ones(kernel.shape[3], np.float32))
            _, all_positive = BACKENDS[np.float32].conv_relu_forward(np.zeros_like(x), prepared)
            y, _ = BACKENDS[np.float32].conv_relu_forward(x, prepared)
            dy = (y - y.mean()).astype(np.float32)
            dx = BACKENDS[np.float32].conv_relu_backward(dy, prepared, all_positive)
        exact = kernel.astype(np.float64)
        truth = layers.relu_forward(layers.conv_forward(x.astype(np.float64), exact, np.ones(kernel.shape[3])))
        scale = np.abs(x).max() * np.abs(exact).sum((0, 1, 2)) + 1
        truth_back = layers.conv_backward_input(dy.astype(np.float64), exact)
        scale_back = np.abs(dy).max() * np.abs(exact).sum((0, 1, 3))
        errors = (np.abs(y - truth) / scale).max(), (np.abs(dx - truth_back) / scale_back).max()
        largest = max(largest, *errors)
    largest /= float(np.finfo(np.float32).eps)
    print(f"{method}: {count} layers, forward and backward, error at most {largest:.1f} ε · max |x| · Σ |kernel|")
    assert largest <= BOUNDS[method]


NUMBERS = [0.0, 255.0, 1e38, -1e38, 1e-44, np.nan, np.inf, -np.inf]


@each_method
@given(st.sampled_from([np.float32, np.float64]), st.sampled_from(NUMBERS), st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_what_is_not_finite_is_found_by_both_backends(method, dtype, number, seed):
    """Where the plain layers have NaN or infinity, the fast ones do, too; and besides in the tiles around.

    Of a gradient of max pooling that is NaN, plain layers have four in the window, the fast ones the one.
    """
    rng = np.random.default_rng(seed)
    backend, x, kernel = BACKENDS[dtype], like(seed, (20, 17, 8), dtype).copy(), like(seed, (3, 3, 8, 8), dtype)
    dy = like(seed + 1, (20, 17, 8), dtype).copy()
    for a in (x, dy):
        a[tuple(rng.integers(a.shape))] = number
    with mock.patch.multiple(fast, **METHODS[method]), np.errstate(all="ignore"):
        bias = np.zeros(8, dtype)
        one, other = backend.prepare(kernel, bias), plain.prepare(kernel, bias)
        (y, signs), (expected, cache) = backend.conv_relu_forward(x, one), plain.conv_relu_forward(x, other)
        back = backend.conv_relu_backward(dy, one, signs), plain.conv_relu_backward(dy, other, cache)
        results = [(y, expected), back, (backend.gram(x), plain.gram(x))]
        for kind in ("average", "max"):
            (pooled, kept), (truth, cached) = backend.pool_forward(x, kind), plain.pool_forward(x, kind)
            d = dy[:10, :8]
            ours, theirs = backend.pool_backward(d, kind, kept), plain.pool_backward(d, kind, cached)
            results += [(pooled, truth), (ours.sum((0, 1)), theirs.sum((0, 1)))]
    for found, truth in results:
        assert np.isfinite(truth).all() or not np.isfinite(found[~np.isfinite(truth)]).any()
        if abs(number) <= 255:
            assert np.isfinite(found).all() and np.isfinite(truth).all()


def test_losses_of_what_is_not_finite_are_not_finite():
    """None turns NaN into a number; every loss and gradient of it, by signature."""
    shapes = {"dG": (4, 4), "A": (4, 4), "G": (4, 4), "t": (30,), "c": (5, 6)}
    functions = [f for name, f in inspect.getmembers(losses, inspect.isfunction) if f.__module__ == losses.__name__]
    tried = 0
    for function in functions:
        hints = typing.get_type_hints(function)
        arguments = {}
        for name in inspect.signature(function).parameters:
            if hints.get(name) is np.ndarray:
                image = name in ("x", "a", "before")
                arguments[name] = like(len(name), (5, 6, 3) if image else shapes.get(name, (4, 30)))
            else:
                arguments[name] = {"axis": 1, "power": 1.25, "M": 30}.get(name)
        if None in [a if np.isscalar(a) else 0 for a in arguments.values()] or function.__name__ == "guidance":
            continue
        first = next(iter(arguments))
        for number in NUMBERS:
            arguments[first] = arguments[first].copy()
            arguments[first].flat[5] = number
            with np.errstate(all="ignore"):
                found = function(**arguments)
            lost = np.isnan(number) or (np.isinf(number) and np.ndim(found) == 0)  # the sign of infinity is finite
            assert not lost or not np.isfinite(found).all(), (function.__name__, number)
            assert not abs(number) <= 255 or np.isfinite(found).all(), (function.__name__, number)
            tried += 1
    assert tried > 100


MANY = """
import os, sys
sys.path.insert(0, "tests")
import numpy as np
from drawing import small_vgg
from nst_numpy import transfer

network = small_vgg(dtype=np.float32)
picture = np.random.default_rng(0).random((24, 24, 3))
for number in range({runs}):
    transfer(picture, picture, weights=network, size=24, steps=2, progress=False, seed=number)
    if number in ({runs} // 3, {runs} - 1):
        with open("/proc/self/statm") as memory:
            pages = int(memory.read().split()[1])
        print(pages * os.sysconf("SC_PAGESIZE"), *(len(os.listdir("/proc/self/" + what)) for what in ("task", "fd")))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_many_runs_in_one_process_leave_nothing(request):
    if not request.config.getoption("--faults"):
        pytest.skip("many runs take a minute: give --faults 20, as .ci/run does")
    runs = 1000
    found = subprocess.run([sys.executable, "-c", MANY.format(runs=runs)], capture_output=True, text=True, check=True)
    before, after = (tuple(map(int, line.split())) for line in found.stdout.splitlines())
    print(f"{runs} runs: memory, threads and open files {before} after a third, {after} at the end")
    assert after[0] - before[0] < 8e6 and after[1:] == before[1:]


@pytest.mark.parametrize("backend", ["fast", "plain"])
@pytest.mark.parametrize("number", [1e30, 1e-44])
def test_networks_at_the_ends_of_the_range(backend, number):
    """A run ends, says so if something is not finite, and its picture is finite."""
    network = small_vgg(dtype=np.float32, backend=backend)
    kernels = {layer: (kernel * np.float32(number), bias) for layer, (kernel, bias) in network.convolutions.items()}
    network = type(network)(kernels, network.mean, network.scale, backend=backend)
    picture = np.random.default_rng(0).random((16, 16, 3))
    with np.errstate(all="ignore"):
        if number > 1:
            with pytest.warns(RuntimeWarning, match="not finite"):
                result = transfer(picture, picture[::-1], weights=network, size=16, steps=2, progress=False)
        else:
            result = transfer(picture, picture[::-1], weights=network, size=16, steps=2, progress=False)
    assert result.complete == (number < 1) and np.isfinite(result.image).all()
