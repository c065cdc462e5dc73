"""Winograd's mathematics, and the compiled transforms against its matrices. Runs as Python too, with
NUMBA_DISABLE_JIT=1."""

import numpy as np
import pytest
from drawing import like
from hypothesis import given, settings
from hypothesis import strategies as st

from nst_numpy.backends import transforms, winograd

seeds = st.integers(0, 2**32 - 1)
each_filtering = pytest.mark.parametrize("f", [winograd.F4, winograd.F6], ids=["F(4×4)", "F(6×6)"])


@each_filtering
def test_the_algorithm_in_one_dimension(f):
    rng = np.random.default_rng(0)
    d, g = rng.standard_normal(f.n), rng.standard_normal(3)
    direct = [d[i : i + 3] @ g for i in range(f.m)]
    assert np.allclose(f.At @ ((f.G @ g) * (f.Bt @ d)), direct, rtol=1e-12)


@each_filtering
def test_kernel_planes_are_the_two_transforms(f):
    kernel = like(0, (3, 3, 5, 4))
    expected = np.einsum("ia,abck,jb->ijck", f.G, kernel, f.G)
    for plane in range(f.n**2):
        assert np.allclose(f.kernel_plane(kernel, plane), expected[divmod(plane, f.n)], rtol=1e-12, atol=1e-14)
    assert f.kernel_plane(kernel.astype(np.float32), 1).dtype == np.float32


def test_a_rotated_kernel_is_the_kernel_with_its_points_in_another_order():
    g = np.random.default_rng(0).standard_normal(3)
    f = winograd.F6
    assert np.allclose(f.G @ g[::-1], (f.G @ g)[f.rotated], rtol=1e-15)
    assert winograd.F4.rotated is None and winograd.F4.straight.tolist() == [0, 1, 2, 3, 4, 5]


@each_filtering
@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.sampled_from([np.float32, np.float64]), seeds)
@settings(max_examples=15)
def test_compiled_transforms_are_the_matrices(f, rows, columns, channels, dtype, seed):
    """Of every tile of a strip, with the points in any order, and the tiles at any place among others."""
    transform_input, transform_output = transforms.TRANSFORMS[f.m]
    rng = np.random.default_rng(seed)
    order, first = rng.permutation(f.n), int(rng.integers(0, 3))
    tiles = rows * columns
    planes = order[:, None] * f.n + order  # where the element (i, j) of a transformed tile is

    padded = like(seed, (f.m * rows + 2, f.m * columns + 2, channels), dtype)
    V = np.full((f.n**2, first + tiles + 2, channels), 7, dtype)
    transform_input(padded, order, rows, columns, V, first)
    assert (V[:, :first] == 7).all() and (V[:, first + tiles :] == 7).all()
    M = like(seed + 1, (f.n**2, first + tiles + 2, channels), dtype)
    out = np.empty((f.m * rows, f.m * columns, channels), dtype)
    transform_output(M, first, order, rows, columns, out)

    tolerance = 1e-5 if dtype == np.float32 else 1e-13
    for tile in range(tiles):
        y, x = f.m * (tile // columns), f.m * (tile % columns)
        expected = np.einsum("ia,abc,jb->ijc", f.Bt, padded[y : y + f.n, x : x + f.n], f.Bt)
        assert np.allclose(V[planes, first + tile], expected, rtol=0, atol=tolerance * np.abs(expected).max())
        expected = np.einsum("ia,abc,jb->ijc", f.At, M[planes, first + tile], f.At)
        found = out[y : y + f.m, x : x + f.m]
        assert np.allclose(found, expected, rtol=0, atol=tolerance * np.abs(expected).max())
