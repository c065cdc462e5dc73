"""The fast backend is held equal to the plain one, by every method and in any number of pieces."""

import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from drawing import blas_threads, like, maps, picture, small_vgg
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits
from training import FastTraining, PlainTraining

import nst_numpy
from nst_numpy import Objective
from nst_numpy.backends import fast, plain, winograd
from nst_numpy.backends.fast import Fast

BACKEND, PLAIN_TRAINING = FastTraining(3, np.float64), PlainTraining()
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-5}
KINDS = ["average", "max"]
PADDINGS = ["zero", "replicate", "circular"]
seeds, kinds, dtypes = st.integers(0, 2**32 - 1), st.sampled_from(KINDS), st.sampled_from([np.float32, np.float64])
paddings = st.sampled_from(PADDINGS)
each_padding = pytest.mark.parametrize("padding", PADDINGS)

NEVER = 10**6
METHODS = {
    "im2col": {"WINOGRAD_CHANNELS": NEVER},
    "F(4×4)": {"WINOGRAD_CHANNELS": 1, "WINOGRAD_PIXELS": 1, "F6_TILES": NEVER, "F6_TILES_NARROW": NEVER},
    "F(6×6)": {"WINOGRAD_CHANNELS": 1, "WINOGRAD_PIXELS": 1, "F6_TILES": 1, "F6_TILES_NARROW": 1},
}
FEW_PIECES = {"ROWS_OF_POOLING": 8}
MANY_PIECES = {  # the work cut so small that a small image has several pieces of each kind
    "TILES_AT_ONCE": 0,
    "TILES_PER_STRIP": 2,
    "NARROW": 100,
    "COPIED_KERNELS": 0,
    "TILES_PER_WIDE_STRIP": 5,
    "ROWS_OF_COLUMNS": 30,
    "ROWS_OF_POOLING": 1,
    "GRAM_ROWS": (1, 7),
    "GRAM_BACKWARD_ROWS": (1, 6),
}
each_method = pytest.mark.parametrize("method", METHODS)
each_cut = pytest.mark.parametrize("cut", [FEW_PIECES, MANY_PIECES], ids=["few pieces", "many pieces"])


def limits(**values):
    """Other limits in `fast`, as long as this lasts."""
    return mock.patch.multiple(fast, **values)


def assert_close(fast_result, plain_result, dtype):
    assert fast_result.dtype == plain_result.dtype == dtype and fast_result.shape == plain_result.shape
    scale = max(np.abs(plain_result).max(initial=0), 1e-30)
    assert np.abs(fast_result - plain_result).max(initial=0) <= TOLERANCE[dtype] * scale


def bits(signs, channels):
    """The signs as an array of bool."""
    return np.unpackbits(signs.view(np.uint8), axis=-1, bitorder="little")[..., :channels].astype(bool)


# Convolution ----------------------------------------------------------------------------------------------------------


@st.composite
def convolutions(draw, least=1):
    """A map in any memory layout, a kernel and a bias: one channel and more, odd numbers and multiples of 32."""
    dtype = draw(dtypes)
    C, K = draw(st.sampled_from([(1, 1), (3, 9), (4, 4), (9, 33), (40, 70), (65, 10), (3, 64), (32, 3)]))
    x = draw(maps(channels=C, least=least, most=draw(st.sampled_from([7, 16])), dtype=dtype))
    seed = draw(seeds)
    return x, like(seed, (3, 3, C, K), dtype) / 10, like(seed + 1, (K,), dtype) / 10, dtype, seed


def any_layout(a, seed):
    """The same array, perhaps not contiguous."""
    return [a, np.asfortranarray(a), a[::-1].copy()[::-1]][seed % 3]


@each_method
@each_cut
@given(convolutions(), paddings)
@settings(max_examples=25)
def test_conv_relu(method, cut, case, padding):
    x, kernel, bias, dtype, seed = case
    with limits(**METHODS[method], **cut):
        prepared, weights = (backend.prepare(kernel, bias, padding) for backend in (BACKEND, plain))
        y, signs = BACKEND.conv_relu_forward(x, prepared)
        expected, _ = plain.conv_relu_forward(x, weights)
        assert_close(y, expected, dtype)
        assert np.array_equal(bits(signs, len(bias)), y > 0)
        dy = any_layout(like(seed + 2, y.shape, dtype), seed)
        # With the same masks: those of the fast one.
        assert_close(BACKEND.conv_relu_backward(dy, prepared, signs), plain.conv_relu_backward(dy, weights, y), dtype)


@each_method
@each_cut
@given(convolutions())
@settings(max_examples=10)
def test_conv_for_training(method, cut, case):
    x, kernel, bias, dtype, seed = case
    dy = any_layout(like(seed + 2, (*x.shape[:2], len(bias)), dtype), seed)
    with limits(**METHODS[method], **cut):
        prepared, weights = (backend.prepare(kernel, bias) for backend in (BACKEND, PLAIN_TRAINING))
        assert_close(BACKEND.conv_forward(x, prepared), PLAIN_TRAINING.conv_forward(x, weights), dtype)
        assert_close(BACKEND.conv_backward(dy, prepared), PLAIN_TRAINING.conv_backward(dy, weights), dtype)
        found, expected = BACKEND.conv_backward_weights(dy, x), PLAIN_TRAINING.conv_backward_weights(dy, x)
        for gradient, truth in zip(found, expected, strict=True):
            assert_close(gradient, truth, dtype)


@pytest.mark.parametrize("size", [(100, 70), (3, 2100), (2000, 3)])
def test_weight_gradients_of_images_of_several_strips(size):
    x, dy = like(0, (*size, 3)), like(1, (*size, 5))
    for found, expected in zip(
        BACKEND.conv_backward_weights(dy, x), PLAIN_TRAINING.conv_backward_weights(dy, x), strict=True
    ):
        assert_close(found, expected, np.float64)


@each_padding
@pytest.mark.parametrize("size", [(100, 70), (3, 4200), (4200, 3)])
def test_im2col_of_images_of_several_strips(size, padding):
    x, kernel, bias = like(0, (*size, 3)), like(1, (3, 3, 3, 5)), like(2, (5,))
    prepared, weights = (backend.prepare(kernel, bias, padding) for backend in (BACKEND, plain))
    y, signs = BACKEND.conv_relu_forward(x, prepared)
    assert_close(y, plain.conv_relu_forward(x, weights)[0], np.float64)
    dy = like(3, y.shape)
    dx = plain.conv_relu_backward(dy, weights, y)
    assert_close(BACKEND.conv_relu_backward(dy, prepared, signs), dx, np.float64)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(6, 6), (10, 10), (30, 33), (60, 70), (100, 31), (90, 94), (1, 200), (300, 2)])
def test_conv_relu_by_the_method_chosen(size, dtype):
    x, kernel, bias = like(0, (*size, 16), dtype), like(1, (3, 3, 16, 20), dtype), like(2, (20,), dtype)
    for padding in PADDINGS:
        prepared, weights = (backend.prepare(kernel, bias, padding) for backend in (BACKEND, plain))
        y, signs = BACKEND.conv_relu_forward(x, prepared)
        assert_close(y, plain.conv_relu_forward(x, weights)[0], dtype)
        dy = like(3, y.shape, dtype)
        assert_close(BACKEND.conv_relu_backward(dy, prepared, signs), plain.conv_relu_backward(dy, weights, y), dtype)


@pytest.mark.parametrize(
    "C, K, size, method",
    [
        (3, 64, (100, 100), None),
        (64, 3, (100, 100), None),
        (4, 4, (72, 72), winograd.F6),
        (64, 64, (7, 7), None),
        (64, 64, (5, 10), winograd.F4),
        (64, 64, (60, 72), winograd.F4),
        (64, 64, (60, 73), winograd.F6),
        (73, 60, (73, 60), winograd.F6),
        (256, 255, (7, 7), None),
        (256, 256, (1, 1), winograd.F4),
        (256, 256, (42, 48), winograd.F4),
        (256, 256, (43, 48), winograd.F6),
        (256, 256, (48, 43), winograd.F6),
    ],
)
def test_the_method_for_a_map(C, K, size, method):
    assert BACKEND.prepare(np.zeros((3, 3, C, K)), np.zeros(K)).method(*size) is method


def test_transformed_kernels_are_counted_once():
    kernel, bias = like(0, (3, 3, 6, 7)), np.zeros(7)
    plane = 6 * 7 * 8
    for method, forward, both in (("im2col", 0, 0), ("F(4×4)", 36, 72), ("F(6×6)", 64, 128)):
        with limits(**METHODS[method]):
            prepared = BACKEND.prepare(kernel, bias)
            assert prepared.nbytes == 0
            for _ in range(2):
                y, signs = BACKEND.conv_relu_forward(np.zeros((9, 9, 6)), prepared)
                assert prepared.nbytes == forward * plane
            for _ in range(2):
                BACKEND.conv_relu_backward(y, prepared, signs)
                assert prepared.nbytes == both * plane
    with limits(**METHODS["F(6×6)"], COPIED_KERNELS=41):
        prepared = BACKEND.prepare(kernel, bias)
        BACKEND.conv_relu_backward(y, prepared, signs)
        assert prepared.nbytes == 64 * plane, "shared"
    with limits(**METHODS["F(6×6)"], COPIED_KERNELS=42):
        prepared = BACKEND.prepare(kernel, bias)
        BACKEND.conv_relu_backward(y, prepared, signs)
        assert prepared.nbytes == 128 * plane


# Fused with pooling ---------------------------------------------------------------------------------------------------


@each_method
@each_cut
@given(convolutions(least=2), kinds, paddings)
@settings(max_examples=25)
def test_conv_relu_pool(method, cut, case, kind, padding):
    x, kernel, bias, dtype, seed = case
    with limits(**METHODS[method], **cut):
        prepared = BACKEND.prepare(kernel, bias, padding)
        # In one step, and in the two that other tests hold equal to the plain ones.
        y, cache = BACKEND.conv_relu_pool_forward(x, prepared, kind)
        response, signs = BACKEND.conv_relu_forward(x, prepared)
        expected, pool_cache = BACKEND.pool_forward(response, kind)
        assert_close(y, expected, dtype)
        dy = any_layout(like(seed + 2, y.shape, dtype), seed)
        dx = BACKEND.conv_relu_backward(BACKEND.pool_backward(dy, kind, pool_cache), prepared, signs)
        assert_close(BACKEND.conv_relu_pool_backward(dy, prepared, kind, cache), dx, dtype)


@each_method
@each_cut
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("K", [5, 31, 32, 40, 64])
def test_where_the_sum_is_exactly_0_and_where_all_are_equal(method, cut, kind, K):
    """No light on the image: every sum is its bias, −1, 0 or 1. At 0 nothing passes; the first of equals wins."""
    x, kernel, bias = np.zeros((9, 14, 4)), like(1, (3, 3, 4, K)), np.resize([0.0, 1.0, -1.0, -0.0], K)
    with limits(**METHODS[method], **cut):
        prepared, weights = (backend.prepare(kernel, bias) for backend in (BACKEND, plain))
        y, signs = BACKEND.conv_relu_forward(x, prepared)
        assert np.array_equal(y, np.broadcast_to(np.maximum(bias, 0), y.shape))
        assert np.array_equal(bits(signs, K), y > 0)
        dy = like(2, y.shape)
        dx = plain.conv_relu_backward(dy, weights, y)
        assert_close(BACKEND.conv_relu_backward(dy, prepared, signs), dx, np.float64)
        y, cache = BACKEND.conv_relu_pool_forward(x, prepared, kind)
        dy = like(3, y.shape)
        _, plain_cache = plain.conv_relu_pool_forward(x, weights, kind)
        dx = plain.conv_relu_pool_backward(dy, weights, kind, plain_cache)
        assert_close(BACKEND.conv_relu_pool_backward(dy, prepared, kind, cache), dx, np.float64)
        # Nothing passes at all where every bias is 0.
        prepared = BACKEND.prepare(kernel, np.zeros(K))
        _, signs = BACKEND.conv_relu_forward(x, prepared)
        assert not BACKEND.conv_relu_backward(np.ones((9, 14, K)), prepared, signs).any()
        y, cache = BACKEND.conv_relu_pool_forward(x, prepared, kind)
        assert not BACKEND.conv_relu_pool_backward(np.ones(y.shape), prepared, kind, cache).any()


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_passed_on_through_pooling(kind):
    x = np.ones((8, 8, 3))
    x[5, 2, 1] = np.nan
    kernel, bias = np.ones((3, 3, 3, 4)), np.zeros(4)
    y, _ = BACKEND.conv_relu_pool_forward(x, BACKEND.prepare(kernel, bias), kind)
    expected, _ = plain.conv_relu_pool_forward(x, plain.prepare(kernel, bias), kind)
    assert np.isnan(expected).any() and np.array_equal(np.isnan(y), np.isnan(expected))
    y, _ = BACKEND.pool_forward(x, kind)
    assert np.array_equal(np.isnan(y), np.isnan(plain.pool_forward(x, kind)[0]))


# Pooling --------------------------------------------------------------------------------------------------------------


@each_cut
@given(maps(least=2, most=20), kinds, dtypes, seeds)
@settings(max_examples=40)
def test_pooling(cut, x, kind, dtype, seed):
    x = x.astype(dtype)
    with limits(**cut):
        (y, cache), (expected, plain_cache) = BACKEND.pool_forward(x, kind), plain.pool_forward(x, kind)
        assert_close(y, expected, dtype)
        dy = any_layout(like(seed, y.shape, dtype), seed)
        dx = BACKEND.pool_backward(dy, kind, cache)
        assert_close(dx, plain.pool_backward(dy, kind, plain_cache), dtype)


@given(seeds)
@settings(max_examples=20)
def test_max_pooling_ties_go_to_the_first(seed):
    x = np.random.default_rng(seed).integers(0, 2, (9, 12, 5)).astype(float)
    (_, cache), (_, plain_cache) = BACKEND.pool_forward(x, "max"), plain.pool_forward(x, "max")
    dy = like(seed, (4, 6, 5))
    assert np.array_equal(BACKEND.pool_backward(dy, "max", cache), plain.pool_backward(dy, "max", plain_cache))


# Gram matrices --------------------------------------------------------------------------------------------------------


@each_cut
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (70, 80)])
def test_gram(cut, size, dtype):
    with limits(**cut):
        for a in (like(0, (*size, 12), dtype), like(0, (12, *size), dtype).transpose(1, 2, 0)):
            assert_close(BACKEND.gram(a), np.einsum("hwi,hwj->ij", a, a), dtype)


@pytest.mark.parametrize("backend", [BACKEND, plain], ids=["fast", "plain"])
@each_cut
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(1, 40)),
    dtypes,
    st.sampled_from(["C", "Fortran", "part", "none"]),
    seeds,
)
@settings(max_examples=40)
def test_gram_backward_adds_to_the_running_gradient_in_place(backend, cut, shape, dtype, layout, seed):
    a, dG = any_layout(like(seed, shape, dtype), seed), like(seed + 1, (shape[2], shape[2]), dtype)
    gradient = np.einsum("ij,hwj->hwi", dG.astype(float) + dG.T, a).astype(dtype)
    if layout == "none":
        with limits(**cut):
            assert_close(backend.gram_backward(dG, a), gradient, dtype)
        return
    running = like(seed + 2, shape, dtype)
    if layout == "part":
        around = np.full((shape[0] + 2, shape[1] + 2, shape[2]), 7, dtype)
        da = around[1:-1, 1:-1]
        da[...] = running
    else:
        da = running.copy(layout[0])
    with limits(**cut):
        found = backend.gram_backward(dG, a, da)
    assert found is da
    assert_close(da, running + gradient, dtype)
    if layout == "part":
        around[1:-1, 1:-1] = 7
        assert (around == 7).all()


@pytest.mark.parametrize("backend", [BACKEND, plain], ids=["fast", "plain"])
@given(
    st.tuples(st.integers(1, 20), st.integers(1, 30), st.integers(1, 40)),
    dtypes,
    st.sampled_from(["C", "Fortran", "part", "none"]),
    seeds,
)
@settings(max_examples=40)
def test_content_and_variation(backend, shape, dtype, layout, seed):
    """Against sums written out in float64; gradients are added in place, to a running gradient of any layout."""
    a, running = any_layout(like(seed, shape, dtype), seed), like(seed + 2, shape, dtype)
    target = like(seed + 1, shape, dtype)
    P, exact = target.reshape(-1, shape[2]).T, a.astype(float)
    assert np.isclose(
        backend.content(a, P), 0.5 * ((exact - target) ** 2).sum(), rtol=1e-5 if dtype == np.float32 else 1e-12
    )
    down, right = np.diff(exact, axis=0), np.diff(exact, axis=1)
    tv = 0.5 * ((down**2).sum() + (right**2).sum())
    assert np.isclose(backend.variation(a), tv, rtol=1e-5 if dtype == np.float32 else 1e-12)
    of_tv = np.zeros(shape)
    of_tv[1:] += down
    of_tv[:-1] -= down
    of_tv[:, 1:] += right
    of_tv[:, :-1] -= right
    for backward, gradient in (
        (lambda *da: backend.content_backward(a, P, 0.3, *da), 0.3 * (exact - target)),
        (lambda *dx: backend.variation_backward(a, 0.7, *dx), 0.7 * of_tv),
    ):
        if layout == "none":
            assert_close(backward(), gradient.astype(dtype), dtype)
            continue
        around = np.full((shape[0] + 2, shape[1] + 2, shape[2]), 7, dtype)
        around[1:-1, 1:-1] = running
        da = around[1:-1, 1:-1] if layout == "part" else running.copy(layout[0])
        assert backward(da) is da
        assert_close(da, (running + gradient).astype(dtype), dtype)
        if layout == "part":
            around[1:-1, 1:-1] = 7
            assert (around == 7).all()


# A whole network ------------------------------------------------------------------------------------------------------


def objective(**network):
    """An objective with content and style on a small network, and the network's backend."""
    return Objective.from_images(
        small_vgg(widths=(9, 12, 16, 20, 24), **network),
        picture(1, 33, 40),
        picture(2, 48, 35),
        content_layers=["conv4_2"],
        style_layers=["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"],
        content_weight=3.0,
        style_weight=50.0,
        tv_weight=0.0,
    )


@each_padding
@pytest.mark.parametrize("pooling", KINDS)
def test_the_whole_objective_in_float64(pooling, padding):
    x = picture(3, 33, 40)
    (total, gradient, _), (plain_total, plain_gradient, _) = (
        objective(pooling=pooling, padding=padding, backend=backend)(x) for backend in ("fast", "plain")
    )
    assert abs(total - plain_total) <= 1e-12 * plain_total
    assert np.linalg.norm(gradient - plain_gradient) <= 1e-12 * np.linalg.norm(plain_gradient)


def test_results_are_not_overwritten_by_later_calls():
    network, first = small_vgg(widths=(9, 12, 16, 20, 24)), picture(1)
    features = network.features(first, ["conv1_1", "conv3_1"])
    copies = {l: a.copy() for l, a in features.items()}
    for seed in range(3):
        network.features(picture(seed + 2), ["conv1_1", "conv3_1"])
    assert all(np.array_equal(features[l], copies[l]) for l in features)


def test_a_step_takes_no_new_memory_after_the_first():
    f, x = objective(threads=1), picture(3, 33, 40)
    buffers = f.network.engine.buffers
    buffers.BLOCK = 1  # each piece in a block of its own: whatever is new is a new block
    for _ in range(3):
        f(x)
    before = buffers.nbytes
    for _ in range(3):
        f(x)
    assert buffers.nbytes == before


# Threads and processes ------------------------------------------------------------------------------------------------


@each_method
@each_cut
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(method, cut, dtype):
    x, kernel, bias = like(0, (35, 50, 8), dtype), like(1, (3, 3, 8, 40), dtype), like(2, (40,), dtype)
    dG = like(3, (40, 40), dtype)
    results = []
    with limits(**METHODS[method], **cut):
        for threads in (1, 2, 3, 5):
            backend = FastTraining(threads, dtype)
            found = []
            for padding in PADDINGS:
                prepared = backend.prepare(kernel, bias, padding)
                y, signs = backend.conv_relu_forward(x, prepared)
                found += [y, signs, backend.conv_relu_backward(y, prepared, signs)]
            da = backend.gram_backward(dG, y, y.copy())
            found += [da, backend.gram(y), backend.gram_backward(dG, y), *backend.conv_backward_weights(da, x)]
            for kind in KINDS:
                pooled, cache = backend.conv_relu_pool_forward(x, prepared, kind)
                found += [pooled, backend.conv_relu_pool_backward(pooled, prepared, kind, cache)]
                pooled, cache = backend.pool_forward(y, kind)
                found += [pooled, backend.pool_backward(pooled, kind, cache)]
            results.append(found)
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


@each_method
@each_cut
def test_float32_is_computed_in_float32(method, cut):
    """Also in between: no array of another type of float is taken."""
    backend, taken = FastTraining(1), set()
    take = backend.buffers.take

    def watched(shape, dtype):
        taken.add(np.dtype(dtype))
        return take(shape, dtype)

    x, kernel = like(0, (12, 13, 8), np.float32), like(1, (3, 3, 8, 9), np.float32)
    with limits(**METHODS[method], **cut), mock.patch.object(backend.buffers, "take", watched):
        prepared = backend.prepare(kernel, np.zeros(9, np.float32), "replicate")
        y, signs = backend.conv_relu_forward(x, prepared)
        found = [y, backend.conv_relu_backward(y, prepared, signs), backend.gram(y)]
        found += [backend.gram_backward(backend.gram(y), y, y.copy()), backend.gram_backward(backend.gram(y), y)]
        found += [backend.conv_forward(x, prepared), backend.conv_backward(y, prepared)]
        found += backend.conv_backward_weights(y, x)
        for kind in KINDS:
            pooled, cache = backend.conv_relu_pool_forward(x, prepared, kind)
            found += [pooled, backend.conv_relu_pool_backward(pooled, prepared, kind, cache)]
            pooled, cache = backend.pool_forward(x, kind)
            found += [pooled, backend.pool_backward(pooled, kind, cache)]
    assert taken == {np.dtype(np.float32), np.dtype(np.uint32), np.dtype(np.uint8)}
    assert {a.dtype for a in found} == {np.dtype(np.float32)}


def test_blas_has_one_thread_while_the_backend_works():
    seen = []

    class Watched(np.ndarray):
        """An array that looks at BLAS's threads when it is transposed, in `gram`."""

        @property
        def T(self):
            seen.extend(blas_threads())
            return super().T

    with mock.patch.object(np, "ascontiguousarray", lambda a: a.view(Watched)), threadpool_limits(2):
        Fast(1, np.float64).gram(like(0, (4, 4, 3)))
    assert set(seen) == {1}


LIVE = objective(dtype=np.float32, threads=3)
LIVE_IMAGE = picture(3, 33, 40, np.float32)


def step(_=None):
    return LIVE(LIVE_IMAGE)


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_works_in_child_processes(start):
    if start not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {start}")
    expected = step()  # the parent's threads are alive by now, and forked children inherit its backend
    with multiprocessing.get_context(start).Pool(2 if start == "fork" else 1) as pool:
        for total, gradient, _ in pool.map_async(step, range(2)).get(timeout=120):
            assert total == expected[0] and np.array_equal(gradient, expected[1])


def test_several_at_once_in_threads():
    """One network, one backend, four threads: each must get what it gets alone."""
    images = [picture(k, 33, 40, np.float32) for k in range(4)]
    alone = [LIVE(x)[1] for x in images]
    together = [None] * 4

    def run(k):
        for _ in range(5):
            together[k] = LIVE(images[k])[1]

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# Compilation ----------------------------------------------------------------------------------------------------------


def test_works_where_the_cache_cannot_be_written(tmp_path):
    """A copy of the package in a folder, and a home, that can't be written."""
    shutil.copytree(
        Path(nst_numpy.__file__).parent, tmp_path / "nst_numpy", ignore=shutil.ignore_patterns("__pycache__")
    )
    code = (
        "import numba.core.caching as c\n"
        "c._CacheLocator.ensure_cache_path = lambda self: (_ for _ in ()).throw(OSError('read-only'))\n"
        "from nst_numpy.backends import loops; import numpy as np\n"
        "y = np.empty((1, 1, 1)); loops.average_pool(np.ones((2, 2, 1)), 0, 1, y)\n"
        "print(loops.__file__, y[0, 0, 0])"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert run.returncode == 0, run.stderr
    assert run.stdout.split() == [str(tmp_path / "nst_numpy/backends/loops.py"), "1.0"]


def test_code_of_another_version_is_never_run(tmp_path):
    """An upgrade that is killed, or looked at, between the two writes of Numba's cache."""
    source = "from nst_numpy.backends.loops import compiled\n@compiled\ndef version(y):\n    y[0] = {}\n"

    def run(number, before=""):
        (tmp_path / "kernel.py").write_text(source.format(number))
        code = f"{before}\nimport kernel, numpy as np\ny = np.zeros(1)\nkernel.version(y)\nprint(y[0])"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
        return done.returncode, done.stdout.strip()

    assert run(1) == (0, "1.0")
    stopped = "import os, numba.core.caching as c; c.IndexDataCacheFile._save_data = lambda *_: os._exit(9)"
    assert run(20, stopped) == (9, "")
    assert run(20) == (0, "20.0")


def test_the_first_call_says_that_it_compiles(caplog, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    # Only what is compiled first is, and the rest left out.
    code = (
        "from nst_numpy.backends.fast import Fast\n"
        "Fast.prepare = lambda *_: 1 / 0\n"
        "for _ in range(2):\n"
        "    try: Fast(1)\n"
        "    except ZeroDivisionError: pass"
    )
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stderr
        for _ in range(2)
    ]
    assert said[0].count("compiling the fast kernels") == 1 and said[1] == ""
    assert fast.logger.level == logging.NOTSET


def test_a_new_backend_has_compiled_all_that_a_step_runs():
    code = """
import numpy as np
from nst_numpy.backends import loops, transforms
from nst_numpy.backends.fast import Fast

def compiled():
    functions = {**vars(loops), **vars(transforms)}
    return {name: len(f.signatures) for name, f in functions.items() if name[0] != "_" and hasattr(f, "signatures")}

backend = Fast(1)
before = compiled()
assert len(before) == 21 and set(before.values()) == {1}, before
for size, C in ((20, 3), (20, 8), (72, 8)):
    prepared = backend.prepare(np.zeros((3, 3, C, 9), np.float32), np.zeros(9, np.float32))
    for kind in ("average", "max"):
        y, cache = backend.conv_relu_forward(np.zeros((size, size, C), np.float32), prepared)
        backend.conv_relu_backward(y, prepared, cache)
        backend.pool_backward(*(lambda y, cache: (y, kind, cache))(*backend.pool_forward(y, kind)))
        y, cache = backend.conv_relu_pool_forward(np.zeros((size, size, C), np.float32), prepared, kind)
        backend.conv_relu_pool_backward(y, prepared, kind, cache)
assert compiled() == before, compiled()
"""
    environment = {**os.environ, "PYTHONPATH": str(Path(nst_numpy.__file__).parents[1])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
