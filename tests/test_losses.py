"""Each loss against loops written from the paper, its gradient against independent derivatives; and invariances."""

import numpy as np
import pytest
from drawing import assert_gradient, complex_step, like, maps
from hypothesis import assume, given
from hypothesis import strategies as st

from nst_numpy import layers, losses

seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 5), st.integers(1, 9))


def gram_loops(F):
    N, M = F.shape
    return np.array([[sum(F[i, k] * F[j, k] for k in range(M)) for j in range(N)] for i in range(N)])


def style_loss_loops(F, A):
    N, M = F.shape
    G = gram_loops(F)
    return sum((G[i, j] - A[i, j]) ** 2 for i in range(N) for j in range(N)) / (4 * N**2 * M**2)


def pair(size, seed):
    """Features F, and the Gram matrix A of other features with their own number of positions."""
    F, F_a = like(seed, size), like(seed + 1, (size[0], size[1] + 3))
    return F, F_a @ F_a.T * (size[1] / (size[1] + 3))


@given(sizes, seeds)
def test_content(size, seed):
    F, P = like(seed, size), like(seed + 1, size)
    expected = 0.5 * sum((F[i] - P[i]) ** 2 for i in np.ndindex(size))
    assert np.isclose(losses.content_loss(F, P), expected, rtol=1e-13)
    assert_gradient(lambda F: losses.content_loss(F, P), losses.content_gradient(F, P), F, h=1e-3)


@given(sizes, seeds)
def test_gram(size, seed):
    F = like(seed, size)
    assert np.allclose(losses.gram(F), gram_loops(F), rtol=1e-12, atol=1e-12)
    dG = like(seed + 1, (size[0], size[0]))  # not symmetric
    gradient = losses.gram_backward(dG, F)
    assert_gradient(lambda F: np.sum(dG * losses.gram(F)), gradient, F, h=1e-3)
    assert np.allclose(gradient, complex_step(lambda F: np.sum(dG * losses.gram(F)), F), rtol=1e-12, atol=1e-12)


@given(sizes, seeds)
def test_style(size, seed):
    F, A = pair(size, seed)
    N, M = size
    assert np.isclose(losses.style_loss(F, A), style_loss_loops(F, A), rtol=1e-11)
    gradient = losses.style_gradient(F, A)
    G = gram_loops(F)
    for i, j in np.ndindex(size):  # the paper's equation 6, index by index: ((Fᵀ (G − A))ᵀ)_ij / (N² M²)
        element = sum(F[k, j] * (G[k, i] - A[k, i]) for k in range(N)) / (N**2 * M**2)
        assert np.isclose(gradient[i, j], element, rtol=1e-9, atol=1e-12 * abs(gradient).max())
    exact = complex_step(lambda F: style_loss_loops(F, A), F)
    assert np.allclose(gradient, exact, rtol=1e-10, atol=1e-12 * abs(exact).max())
    # Near a stationary point the differences are all rounding, and third derivative.
    assume(np.linalg.norm(gradient) > 0.1 * max(losses.style_loss(F, A), np.linalg.norm(F) / (N**2 * M**2)))
    assert_gradient(lambda F: losses.style_loss(F, A), gradient, F)


@given(sizes, seeds)
def test_style_gradient_for_a_target_that_is_not_symmetric(size, seed):
    F, A = like(seed, size), like(seed + 1, (size[0], size[0]))
    exact = complex_step(lambda F: style_loss_loops(F, A), F)
    assert np.allclose(losses.style_gradient(F, A), exact, rtol=1e-10, atol=1e-12 * abs(exact).max())


@given(sizes, seeds)
def test_zero_gradient_where_F_is_negative(size, seed):
    """Equations 2 and 6 with both cases: the losses as functions of z, F = max(0, z)."""
    z = like(seed, size)
    F, P, A = layers.relu_forward(z), abs(like(seed + 1, size)), pair(size, seed)[1]
    for loss, gradient, target in (
        (losses.content_loss, losses.content_gradient, P),
        (losses.style_loss, losses.style_gradient, A),
    ):
        dz = layers.relu_backward(gradient(F, target), z)
        assert (dz[z < 0] == 0).all()
        away = np.abs(z) > 1e-3  # from the kink
        numeric = np.zeros(size)
        for i in np.ndindex(size):
            e = np.zeros(size)
            e[i] = 1e-5
            up, down = (loss(layers.relu_forward(z + step), target) for step in (e, -e))
            numeric[i] = (up - down) / 2e-5
        assert np.allclose(dz[away], numeric[away], rtol=1e-5, atol=1e-7 * max(1, abs(dz).max()))


# Invariances: what finite differences can't see -----------------------------------------------------------------------


@given(maps(), seeds)
def test_feature_matrix_has_one_row_per_filter(a, seed):
    F = losses.feature_matrix(a)
    height, width, N = a.shape
    assert F.shape == (N, height * width)
    assert all(F[i, h * width + w] == a[h, w, i] for h, w, i in np.ndindex(a.shape))


def test_feature_matrix_is_a_view():
    a = np.zeros((3, 4, 2))
    assert np.shares_memory(losses.feature_matrix(a), a)


@given(maps(), seeds)
def test_gram_is_unchanged_when_positions_are_permuted(a, seed):
    G = losses.gram(losses.feature_matrix(a))
    order = np.random.default_rng(seed).permutation(a.shape[0] * a.shape[1])
    shuffled = a.reshape(-1, 1, a.shape[2])[order]
    assert np.allclose(losses.gram(losses.feature_matrix(shuffled)), G, rtol=1e-12, atol=1e-12)


@given(maps(), seeds)
def test_style_loss_sees_positions_only_by_their_number(a, seed):
    F, N = losses.feature_matrix(a), a.shape[2]
    F_a = like(seed, (N, 5))
    A = losses.gram(F_a) * (F.shape[1] / 5)
    E = losses.style_loss(F, A)
    for duplicated in (np.repeat(a, 2, axis=0), np.repeat(a, 2, axis=1)):
        assert np.isclose(losses.style_loss(losses.feature_matrix(duplicated), 2 * A), E, rtol=1e-11)
    assert np.isclose(losses.style_loss(losses.feature_matrix(a.swapaxes(0, 1)), A), E, rtol=1e-11)


@given(sizes, seeds, st.floats(0.1, 10))
def test_scale_laws(size, seed, c):
    F, A = pair(size, seed)
    assert np.allclose(losses.gram(c * F), c**2 * losses.gram(F), rtol=1e-12)
    assert np.isclose(losses.style_loss(c * F, c**2 * A), c**4 * losses.style_loss(F, A), rtol=1e-9)
    P = like(seed + 2, size)
    assert np.isclose(losses.content_loss(c * F, c * P), c**2 * losses.content_loss(F, P), rtol=1e-12)


def test_worked_by_hand():
    F = np.array([[1.0, 2.0], [0.0, 3.0]])  # two filters, two positions
    P, A = np.array([[0.0, 2.0], [1.0, 1.0]]), np.array([[1.0, 2.0], [2.0, 4.0]])
    assert losses.content_loss(F, P) == 3  # ½ (1 + 0 + 1 + 4)
    assert losses.content_gradient(F, P).tolist() == [[1, 0], [-1, 2]]
    assert losses.gram(F).tolist() == [[5, 6], [6, 9]]
    assert losses.style_loss(F, A) == (16 + 16 + 16 + 25) / 64
    # G − A = [[4, 4], [4, 5]]; (G − A) F = [[4, 20], [4, 23]]; N² M² = 16
    assert losses.style_gradient(F, A).tolist() == [[4 / 16, 20 / 16], [4 / 16, 23 / 16]]


# Total variation ------------------------------------------------------------------------------------------------------


@given(maps())
def test_total_variation(x):
    expected = 0.0
    for h, w, c in np.ndindex(x.shape):
        if h + 1 < x.shape[0]:
            expected += 0.5 * (x[h + 1, w, c] - x[h, w, c]) ** 2
        if w + 1 < x.shape[1]:
            expected += 0.5 * (x[h, w + 1, c] - x[h, w, c]) ** 2
    assert np.isclose(losses.total_variation(x), expected, rtol=1e-12, atol=1e-15)
    assert_gradient(losses.total_variation, losses.total_variation_gradient(x), x, h=1e-2)
    shifted, flipped = losses.total_variation(x + 3), losses.total_variation(x[::-1].swapaxes(0, 1))
    assert np.allclose([shifted, flipped], expected, rtol=1e-10, atol=1e-12)


@given(maps(), st.sampled_from([0, 1]))
def test_absolute_variation(x, axis):
    expected, step = 0.0, (1, 0, 0) if axis == 0 else (0, 1, 0)
    for index in np.ndindex(x.shape):
        neighbour = tuple(np.add(index, step))
        if neighbour[axis] < x.shape[axis]:
            expected += abs(x[neighbour] - x[index])
    assert np.isclose(losses.absolute_variation(x, axis), expected, rtol=1e-12, atol=1e-15)
    gradient = losses.absolute_variation_gradient(x, axis)
    assert_gradient(lambda x: losses.absolute_variation(x, axis), gradient, x, h=1e-4)


def test_absolute_variation_is_flat_where_the_image_is():
    for axis in (0, 1):
        assert not losses.absolute_variation_gradient(np.ones((4, 5, 3)), axis).any()


@given(maps(), st.sampled_from([1.0, 1.25, 2.0]))
def test_joint_variation(x, power):
    H, W, C = x.shape
    expected = 0.0
    for i, j, c in np.ndindex(H - 1, W - 1, C):
        expected += ((x[i + 1, j, c] - x[i, j, c]) ** 2 + (x[i, j + 1, c] - x[i, j, c]) ** 2) ** power
    assert np.isclose(losses.joint_variation(x, power), expected, rtol=1e-12, atol=1e-15)
    gradient = losses.joint_variation_gradient(x, power)
    assert_gradient(lambda x: losses.joint_variation(x, power), gradient, x, h=1e-4)


# Types ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gradients_keep_the_type_and_losses_are_floats(dtype):
    F, P, A, x = like(0, (3, 8), dtype), like(1, (3, 8), dtype), like(2, (3, 3), dtype), like(3, (4, 5, 3), dtype)
    gradients = [losses.content_gradient(F, P), losses.gram(F), losses.gram_backward(A, F)]
    gradients += [losses.style_gradient(F, A), losses.total_variation_gradient(x)]
    gradients += [losses.absolute_variation_gradient(x, 0), losses.joint_variation_gradient(x, 1.25)]
    assert {g.dtype for g in gradients} == {np.dtype(dtype)}
    variations = losses.total_variation(x), losses.absolute_variation(x, 1), losses.joint_variation(x, 1.25)
    for value in (losses.content_loss(F, P), losses.style_loss(F, A), *variations):
        assert type(value) is float


def test_losses_are_summed_in_float64():
    """The sums are 2²⁴ + 1, for which float32 has too few digits."""
    column = np.array([0, 4096, 4097], np.float32).reshape(3, 1, 1)  # differences whose squares are 2²⁴ and 1
    steps = np.array([0, 2**24, 2**24 - 1], np.float32).reshape(3, 1, 1)
    F, zero = np.array([[4096, 1]], np.float32), np.zeros((1, 2), np.float32)
    G = np.array([[4096, 1], [0, 0]], np.float32)
    assert losses.content_loss(F, zero) == 0.5 * (2**24 + 1)
    assert losses.gram_loss(G, np.zeros_like(G), 1) == (2**24 + 1) / 16
    for axis in (0, 1):
        assert losses.total_variation(column.swapaxes(0, axis)) == 0.5 * (2**24 + 1)
        assert losses.absolute_variation(steps.swapaxes(0, axis), axis) == 2**24 + 1
    assert losses.joint_variation(np.repeat(column, 2, axis=1), 1) == 2**24 + 1


# Regions --------------------------------------------------------------------------------------------------------------


def mask_of(seed, M):
    """Weights in 0–1, some of them 0 and some 1, at least one not 0."""
    rng = np.random.default_rng(seed)
    t = rng.choice([0.0, 1.0, rng.random()], M)
    t[rng.integers(M)] = rng.uniform(0.1, 1)
    return t


def guided_gram_loops(F, t):
    N, M = F.shape
    G = [[sum(t[k] ** 2 * F[i, k] * F[j, k] for k in range(M)) for j in range(N)] for i in range(N)]
    return np.array(G) * M / sum(t[k] ** 2 for k in range(M))


@given(sizes, seeds)
def test_guided_gram(size, seed):
    F, t = like(seed, size), mask_of(seed + 2, size[1])
    assert np.allclose(losses.guided_gram(F, t), guided_gram_loops(F, t), rtol=1e-11, atol=1e-11)
    dG = like(seed + 1, (size[0], size[0]))  # not symmetric
    gradient = losses.guided_gram_backward(dG, F, t)
    exact = complex_step(lambda F: np.sum(dG * guided_gram_loops(F, t)), F)
    assert np.allclose(gradient, exact, rtol=1e-10, atol=1e-11 * max(1, abs(exact).max()))
    assert not gradient[:, t == 0].any()


@given(sizes, seeds)
def test_guided_content(size, seed):
    F, P, t = like(seed, size), like(seed + 1, size), mask_of(seed + 2, size[1])
    expected = 0.5 * sum(t[j] * (F[i, j] - P[i, j]) ** 2 for i, j in np.ndindex(size))
    assert np.isclose(losses.guided_content_loss(F, P, t), expected, rtol=1e-12)
    gradient = losses.guided_content_gradient(F, P, t)
    assert_gradient(lambda F: losses.guided_content_loss(F, P, t), gradient, F, h=1e-3)
    assert not gradient[:, t == 0].any()
    both = losses.guided_content_loss(F, P, t) + losses.guided_content_loss(F, P, 1 - t)
    assert np.isclose(both, losses.content_loss(F, P), rtol=1e-12)


@given(sizes, seeds, st.floats(0.01, 100))
def test_invariances_of_a_region(size, seed, c):
    """What is outside, the order inside, and the scale of the mask do not matter; a mask of ones changes no bit."""
    F, t = like(seed, size), mask_of(seed + 2, size[1])
    rng = np.random.default_rng(seed)
    G = losses.guided_gram(F, t)
    assert np.allclose(losses.guided_gram(F, c * t), G, rtol=1e-10, atol=1e-12)
    outside = np.where(t == 0, rng.standard_normal(size), F)
    assert np.allclose(losses.guided_gram(outside, t), G, rtol=1e-12, atol=1e-12)
    for value in (0.0, 1.0):
        shuffled, places = F.copy(), np.flatnonzero(t == value)
        shuffled[:, places] = F[:, rng.permutation(places)]
        assert np.allclose(losses.guided_gram(shuffled, t), G, rtol=1e-10, atol=1e-11)
    for dtype in (np.float32, np.float64):
        F, ones = F.astype(dtype), np.ones(size[1], dtype)
        assert np.array_equal(losses.guided_gram(F, ones), losses.gram(F))
        assert losses.guided_gram(F, t.astype(dtype)).dtype == dtype
        assert np.array_equal(losses.guided_content_gradient(F, 0 * F, ones), losses.content_gradient(F, 0 * F))


@given(sizes, seeds)
def test_a_hard_region_is_a_picture_of_its_own(size, seed):
    """The positions inside alone, their number scaled to M."""
    F, t = like(seed, size), np.round(mask_of(seed + 2, size[1]))
    assume(t.any())
    inside = F[:, t == 1]
    expected = losses.gram(inside) * size[1] / inside.shape[1]
    assert np.allclose(losses.guided_gram(F, t), expected, rtol=1e-11, atol=1e-11)


def test_a_mask_of_whole_numbers():
    assert np.allclose(losses.guidance(np.array([1, 1, 0, 0])), [2**0.5, 2**0.5, 0, 0])
    assert losses.guidance(np.ones(4, np.float32)).dtype == np.float32
