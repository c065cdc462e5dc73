"""K, as a matrix and by loops written straight from its formula."""

import numpy as np
import pytest
from drawing import maps
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from nst_numpy import load_weights, samples
from nst_numpy.optimize import minimize
from nst_numpy.painting import Motif
from nst_numpy.preconditioner import hats, precondition
from nst_numpy.settings import Settings


def smoothed(image, k):
    """S_k along both axes, by loops."""
    for axis in (0, 1):
        image = np.moveaxis(image, axis, 0)
        n, found = len(image), np.zeros_like(image)
        for top in range(0, n - 1 + k, k):
            hat = [max(0.0, 1 - abs(i - top) / k) for i in range(n)]
            mean = sum(w * row for w, row in zip(hat, image, strict=True)) / sum(hat)
            for i in range(n):
                found[i] += hat[i] * mean
        image = np.moveaxis(found, 0, axis)
    return image


@given(maps(most=45))
def test_by_loops(v):
    before, found = v.copy(), precondition(v)
    gray = sum(v[..., c] for c in range(v.shape[2])) / v.shape[2]
    expected = np.empty(v.shape)
    for c in range(v.shape[2]):
        broad = smoothed(gray, 8) + smoothed(gray, 32) + gray.sum() / gray.size
        expected[..., c] = 2 * (v[..., c] - gray) + gray + 2 * broad
    assert found.dtype == v.dtype and np.allclose(found, expected, rtol=1e-10, atol=1e-12)
    assert np.array_equal(v, before)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 40, 2), (17, 9, 3), (10, 34, 1)])
def test_symmetric_with_eigenvalues_from_1_to_7(shape):
    n = int(np.prod(shape))
    K = np.stack([precondition(e.reshape(shape)).ravel() for e in np.eye(n)])
    assert np.allclose(K, K.T, rtol=0, atol=1e-14)
    eigenvalues = np.linalg.eigvalsh(K)
    assert eigenvalues[0] > 1 - 1e-12 and np.isclose(eigenvalues[-1], 7)  # of uniform gray


@given(st.integers(1, 70), st.integers(1, 40))
def test_hats_interpolate(n, k):
    """Every pixel lies under one or two hats, whose heights there add up to 1."""
    U = hats(n, k, np.dtype(float))
    S = U @ U.T
    assert (U.sum(axis=0) > 0).all() and ((U > 0).sum(axis=1) <= 2).all()
    assert np.allclose(S.sum(axis=1), 1)
    assert (S >= 0).all() and np.linalg.eigvalsh(S).max() < 1 + 1e-12


def test_float32_and_blas_threads():
    v = np.random.default_rng(0).standard_normal((96, 130, 3)).astype(np.float32)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads, user_api="blas"):
            found.append(precondition(v))
    assert found[0].dtype == np.float32 and np.array_equal(*found)
    assert np.allclose(found[0], precondition(v.astype(float)), rtol=0, atol=1e-5)
    assert hats(9, 4, v.dtype).dtype == np.float32


@pytest.mark.parametrize("init", ["content", "noise"])
def test_a_painting_gets_further_with_it(init):
    settings = Settings(size=(96,), init=init, weights=load_weights("vgg19-mini"))
    motif = Motif(samples.portrait(), samples.swirling_night(128), settings)
    stage = motif.stage(96, 30)
    start, losses = motif.start(stage.shape), []
    for K in (None, precondition):
        losses.append(minimize(stage.function, start, bounds=(0, 1), maxiter=30, gtol=0, ftol=0, precondition=K).fun)
    print(f"from {init}: {losses[0]:.4g} without, {losses[1]:.4g} with the preconditioner")
    assert losses[1] < 0.97 * losses[0]
