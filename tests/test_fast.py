"""The fast backend is held equal to the plain one; its threads, its memory, and the mathematics of its transforms."""

import logging
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from drawing import like, maps, picture, small_vgg
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_objective import objective
from threadpoolctl import threadpool_info

import nst_numpy
from nst_numpy.backends import fast, plain, transforms, winograd
from nst_numpy.backends.buffers import Buffers
from nst_numpy.backends.fast import Fast
from nst_numpy.backends.threads import Workers, one_blas_thread
from nst_numpy.backends.training import FastTraining, PlainTraining

BACKEND = FastTraining(3, np.float64)
seeds = st.integers(0, 2**32 - 1)
TOLERANCE = {np.float64: 1e-12, np.float32: 3e-5}


def assert_close(fast_result, plain_result, dtype):
    assert fast_result.dtype == plain_result.dtype == dtype and fast_result.shape == plain_result.shape
    scale = max(np.abs(plain_result).max(), 1e-30)
    assert np.abs(fast_result - plain_result).max() <= TOLERANCE[dtype] * scale


# Winograd -------------------------------------------------------------------------------------------------------------


FILTERINGS = pytest.mark.parametrize("f", [winograd.F4, winograd.F6], ids=["F(4×4)", "F(6×6)"])


@FILTERINGS
def test_the_algorithm_in_one_dimension(f):
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(f.n), rng.standard_normal(3)
    direct = [d[i : i + 3] @ g for i in range(f.m)]
    assert np.allclose(f.At @ ((f.G @ g) * (f.Bt @ d)), direct, rtol=1e-12)


@FILTERINGS
def test_kernel_planes_are_the_two_transforms(f):
    kernel = like(0, (3, 3, 5, 4))
    expected = np.einsum("ia,abck,jb->ijck", f.G, kernel, f.G)
    for plane in range(f.n**2):
        assert np.allclose(f.kernel_plane(kernel, plane), expected[divmod(plane, f.n)], rtol=1e-12, atol=1e-14)


def test_a_rotated_kernel_is_the_kernel_with_its_points_in_another_order():
    g = np.random.default_rng(0).standard_normal(3)
    f = winograd.F6
    assert np.allclose(f.G @ g[::-1], (f.G @ g)[f.rotated], rtol=1e-15)


@FILTERINGS
@given(st.sampled_from([np.float32, np.float64]), seeds)
def test_compiled_transforms_are_the_matrices(f, dtype, seed):
    transform_input, transform_output = transforms.TRANSFORMS[f.m]
    order = np.random.default_rng(seed).permutation(f.n)
    d, m = like(seed, (f.n, f.n, 70), dtype), like(seed + 1, (f.n, f.n, 70), dtype)
    V, tile = np.empty((f.n**2, 3, 70), dtype), np.empty((f.m, f.m, 70), dtype)
    transform_input(d, order, 1, 1, V, 1)
    expected = np.einsum("ia,abc,jb->ijc", f.Bt, d, f.Bt)
    found = V[:, 1].reshape(f.n, f.n, 70)[np.ix_(order, order)]
    assert np.allclose(found, expected, rtol=0, atol=1e-5 * np.abs(expected).max())
    planes = np.empty((f.n, f.n, 70), dtype)
    planes[np.ix_(order, order)] = m
    V[:, 2] = planes.reshape(-1, 70)
    transform_output(V, 2, order, 1, 1, tile)
    expected = np.einsum("ia,abc,jb->ijc", f.At, m, f.At)
    assert np.allclose(tile, expected, rtol=0, atol=1e-5 * np.abs(expected).max())


# Twins ----------------------------------------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    """Inputs on both sides of the rules that choose a method, and with odd numbers of channels."""
    dtype = draw(st.sampled_from([np.float64, np.float32]))
    C, K = draw(st.sampled_from([(3, 9), (4, 4), (9, 33), (40, 70), (65, 10), (3, 64), (32, 3)]))
    x = draw(maps(channels=C, most=draw(st.sampled_from([7, 40])), dtype=dtype))
    return x, K, dtype


@given(convolutions(), seeds)
@settings(max_examples=60)
def test_conv_relu(case, seed):
    x, K, dtype = case
    kernel, bias = like(seed, (3, 3, x.shape[2], K), dtype) / 10, like(seed + 1, (K,), dtype) / 10
    dy = like(seed + 2, (*x.shape[:2], K), dtype)
    prepared = BACKEND.prepare(kernel, bias)
    y, signs = BACKEND.conv_relu_forward(x, prepared)
    assert_close(y, plain.conv_relu_forward(x, (kernel, bias))[0], dtype)
    bits = np.unpackbits(np.ascontiguousarray(signs).view(np.uint8), axis=-1, bitorder="little")[..., :K]
    assert np.array_equal(bits, y > 0)
    # With the same masks: those of the fast one.
    assert_close(
        BACKEND.conv_relu_backward(dy, prepared, signs), plain.conv_relu_backward(dy, (kernel, bias), y), dtype
    )


@given(convolutions(), seeds)
@settings(max_examples=40)
def test_conv_for_training(case, seed):
    x, K, dtype = case
    kernel, bias = like(seed, (3, 3, x.shape[2], K), dtype) / 10, like(seed + 1, (K,), dtype) / 10
    dy = like(seed + 2, (*x.shape[:2], K), dtype)
    prepared = BACKEND.prepare(kernel, bias)
    assert_close(BACKEND.conv_forward(x, prepared), PlainTraining().conv_forward(x, (kernel, bias)), dtype)
    assert_close(BACKEND.conv_backward(dy, prepared), PlainTraining().conv_backward(dy, (kernel, bias)), dtype)
    found, expected = BACKEND.conv_backward_weights(dy, x), PlainTraining().conv_backward_weights(dy, x)
    for gradient, truth in zip(found, expected, strict=True):
        assert_close(gradient, truth, dtype)


@given(convolutions(), st.sampled_from(["average", "max"]), seeds)
@settings(max_examples=60)
def test_conv_relu_pool(case, kind, seed):
    x, K, dtype = case
    assume(min(x.shape[:2]) >= 2)
    kernel, bias = like(seed, (3, 3, x.shape[2], K), dtype) / 10, like(seed + 1, (K,), dtype) / 10
    prepared = BACKEND.prepare(kernel, bias)
    # In one step, and in the two that the tests above and below hold equal to the plain ones.
    y, cache = BACKEND.conv_relu_pool_forward(x, prepared, kind)
    response, signs = BACKEND.conv_relu_forward(x, prepared)
    expected, pool_cache = BACKEND.pool_forward(response, kind)
    assert_close(y, expected, dtype)
    dy = like(seed + 2, y.shape, dtype)
    dx = BACKEND.conv_relu_backward(BACKEND.pool_backward(dy, kind, pool_cache), prepared, signs)
    assert_close(BACKEND.conv_relu_pool_backward(dy, prepared, kind, cache), dx, dtype)


@pytest.mark.parametrize("kind", ["average", "max"])
def test_nan_is_passed_on_through_pooling(kind):
    x = np.ones((8, 8, 3))
    x[5, 2, 1] = np.nan
    kernel, bias = np.ones((3, 3, 3, 4)), np.zeros(4)
    y, _ = BACKEND.conv_relu_pool_forward(x, BACKEND.prepare(kernel, bias), kind)
    expected, _ = plain.conv_relu_pool_forward(x, (kernel, bias), kind)
    assert np.isnan(expected).any() and np.array_equal(np.isnan(y), np.isnan(expected))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(6, 6), (10, 10), (30, 33), (60, 70), (100, 31), (90, 94), (1, 200), (300, 2)])
def test_conv_relu_by_every_method(size, dtype):
    x, kernel, bias = like(0, (*size, 16), dtype), like(1, (3, 3, 16, 20), dtype), like(2, (20,), dtype)
    prepared = BACKEND.prepare(kernel, bias)
    y, signs = BACKEND.conv_relu_forward(x, prepared)
    assert_close(y, plain.conv_relu_forward(x, (kernel, bias))[0], dtype)
    dy = like(3, y.shape, dtype)
    assert_close(
        BACKEND.conv_relu_backward(dy, prepared, signs), plain.conv_relu_backward(dy, (kernel, bias), y), dtype
    )


@given(maps(least=2, most=20), st.sampled_from(["average", "max"]), st.sampled_from([np.float32, np.float64]), seeds)
def test_pooling(x, kind, dtype, seed):
    x = x.astype(dtype)
    (y, cache), (expected, plain_cache) = BACKEND.pool_forward(x, kind), plain.pool_forward(x, kind)
    assert_close(y, expected, dtype)
    dy = like(seed, y.shape, dtype)
    dx = BACKEND.pool_backward(dy, kind, cache)
    assert_close(dx, plain.pool_backward(dy, kind, plain_cache), dtype)


@given(seeds)
def test_max_pooling_ties_go_to_the_first(seed):
    x = np.random.default_rng(seed).integers(0, 2, (9, 12, 5)).astype(float)
    (_, cache), (_, plain_cache) = BACKEND.pool_forward(x, "max"), plain.pool_forward(x, "max")
    dy = like(seed, (4, 6, 5))
    assert np.array_equal(BACKEND.pool_backward(dy, "max", cache), plain.pool_backward(dy, "max", plain_cache))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [(1, 1), (7, 9), (70, 80)])
def test_gram(size, dtype):
    a = like(0, (*size, 12), dtype)
    assert_close(BACKEND.gram(a), np.einsum("hwi,hwj->ij", a, a), dtype)


@pytest.mark.parametrize("backend", [BACKEND, plain], ids=["fast", "plain"])
@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40)),
    st.sampled_from([np.float32, np.float64]),
    st.sampled_from(["C", "Fortran", "part", "none"]),
    seeds,
)
def test_gram_backward_adds_to_the_running_gradient_in_place(backend, shape, dtype, layout, seed):
    a, dG = like(seed, shape, dtype), like(seed + 1, (shape[2], shape[2]), dtype)
    gradient = np.einsum("ij,hwj->hwi", dG.astype(float) + dG.T, a).astype(dtype)
    if layout == "none":
        assert_close(backend.gram_backward(dG, a), gradient, dtype)
        return
    running = like(seed + 2, shape, dtype)
    if layout == "part":
        around = np.full((shape[0] + 2, shape[1] + 2, shape[2]), 7, dtype)
        da = around[1:-1, 1:-1]
        da[...] = running
    else:
        da = running.copy(layout[0])
    found = backend.gram_backward(dG, a, da)
    assert found is da
    assert_close(da, running + gradient, dtype)
    if layout == "part":
        around[1:-1, 1:-1] = 7
        assert (around == 7).all()


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_the_whole_objective_in_float64(pooling):
    x = picture(3, 33, 40)
    (total, gradient, _), (plain_total, plain_gradient, _) = (
        objective(small_vgg(widths=(9, 12, 16, 20, 24), pooling=pooling, backend=backend))(x)
        for backend in ("fast", "plain")
    )
    assert abs(total - plain_total) <= 1e-12 * plain_total
    assert np.linalg.norm(gradient - plain_gradient) <= 1e-12 * np.linalg.norm(plain_gradient)


# Threads --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_same_bits_for_any_number_of_threads(dtype):
    x, kernel, bias = like(0, (75, 90, 24), dtype), like(1, (3, 3, 24, 40), dtype), like(2, (40,), dtype)
    dG = like(3, (40, 40), dtype)
    results = []
    for threads in (1, 2, 7):
        backend = Fast(threads, dtype)
        prepared = backend.prepare(kernel, bias)
        y, signs = backend.conv_relu_forward(x, prepared)
        dy = backend.gram_backward(dG, y, None)
        results.append([y, signs, backend.gram(y), dy, backend.conv_relu_backward(dy, prepared, signs)])
    for other in results[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_blas_gets_its_threads_back():
    before = [library["num_threads"] for library in threadpool_info()]
    with one_blas_thread():
        with one_blas_thread():
            pass
        assert all(library["num_threads"] == 1 for library in threadpool_info() if library["user_api"] == "blas")
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        raise ZeroDivisionError
    assert [library["num_threads"] for library in threadpool_info()] == before


def test_an_error_in_a_thread_is_raised_and_the_team_goes_on():
    workers = Workers(3)

    def fail(index):
        if index == 7:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        workers.each(20, fail)
    done = []
    workers.each(20, done.append)
    assert sorted(done) == list(range(20))


def run_objective(_=None):
    return objective(small_vgg(widths=(9, 12, 16, 20, 24), dtype=np.float32, threads=2))(picture(3, 33, 40, np.float32))


@pytest.mark.parametrize("start", ["fork", "spawn"])
def test_works_in_child_processes(start):
    expected = run_objective()  # the parent has threads by now
    with multiprocessing.get_context(start).Pool(2) as pool:
        for total, gradient, _ in pool.map_async(run_objective, range(2)).get(timeout=120):
            assert total == expected[0] and np.array_equal(gradient, expected[1])


def test_several_at_once_in_threads():
    """One network, one backend, four threads: each must get what it gets alone."""
    network = small_vgg(widths=(9, 12, 16, 20, 24), dtype=np.float32, threads=2)
    f = objective(network)
    images = [picture(k, 33, 40, np.float32) for k in range(4)]
    alone = [f(x)[1] for x in images]
    together = [None] * 4

    def run(k):
        for _ in range(5):
            together[k] = f(images[k])[1]

    threads = [threading.Thread(target=run, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


# Memory and cache -----------------------------------------------------------------------------------------------------


def test_buffers_are_used_again_when_nobody_holds_them():
    buffers = Buffers()
    first = buffers.take((10, 10), np.float32)
    address, view = first.ctypes.data, first[2:].T
    second = buffers.take((10, 10), np.float32)
    assert second.ctypes.data >= address + first.nbytes
    del first
    assert buffers.take((10, 10), np.float32).ctypes.data != address, "a view still holds it"
    del view
    assert buffers.take((5, 15), np.float32).ctypes.data == address


@given(st.lists(st.tuples(st.integers(0, 3000), st.booleans()), max_size=40))
def test_buffers_never_overlap(requests):
    buffers, held = Buffers(), []
    buffers.BLOCK = 5000
    for value, (size, drop) in enumerate(requests):
        if drop and held:
            del held[len(held) // 2]
        array = buffers.take((size,), np.uint8)
        array[:] = value % 256
        held.append((value, array))
        del array
    assert all((array == value % 256).all() for value, array in held)


def test_buffers_in_several_threads():
    buffers, wrong = Buffers(), []

    def run(value):
        for _ in range(300):
            array = buffers.take((value * 100,), np.uint8)
            array[:] = value
            wrong.extend(array[array != value])
            del array

    threads = [threading.Thread(target=run, args=(k,)) for k in range(1, 7)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_results_are_not_overwritten_by_later_calls():
    network, first = small_vgg(widths=(9, 12, 16, 20, 24)), picture(1)
    features = network.features(first, ["conv1_1", "conv3_1"])
    copies = {l: a.copy() for l, a in features.items()}
    for seed in range(3):
        network.features(picture(seed + 2), ["conv1_1", "conv3_1"])
    assert all(np.array_equal(features[l], copies[l]) for l in features)


def test_a_step_takes_no_new_memory_after_the_first():
    f = objective()
    x = picture(3, 33, 40)
    buffers = f.network.engine.buffers
    buffers.BLOCK = 1  # each piece in a block of its own: whatever is new is a new block
    for _ in range(5):
        f(x)
    blocks = len(buffers._blocks)
    for _ in range(3):
        f(x)
    assert len(buffers._blocks) == blocks


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


def test_the_first_call_says_that_it_compiles(caplog, tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    code = "from nst_numpy.backends.fast import Fast; Fast(1); Fast(1)"
    said = [
        subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True).stderr
        for _ in range(2)
    ]
    assert said[0].count("compiling the fast kernels") == 1 and said[1] == ""
    assert fast.logger.level == logging.NOTSET
