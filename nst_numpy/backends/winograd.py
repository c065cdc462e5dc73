"""Winograd's minimal filtering: why 64 multiplications replace 324, or 36 replace 144.

In one dimension, F(6, 3): six outputs of a filter with three taps, y_i = Σ_j d_{i+j} g_j, take 18 multiplications. Look
at a relative first. The product s of the polynomial g (3 coefficients) with a polynomial h (6 coefficients) has 8
coefficients. It is known once its values at 8 points are known, and at a point, the product of polynomials is *one*
multiplication. So evaluate both at the points, multiply, and interpolate:

    s = B [(G g) ⊙ (A h)]          8 multiplications instead of 18

For a fixed g this is a matrix that takes h to s: B diag(G g) A. Its element (i, j) is g_{i−j}. The filter that we want
takes d (8 numbers) to y (6), and its element (i, j) is g_{j−i}: it is the transpose. Transpose the three factors:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]

In two dimensions rows and columns are transformed one after the other, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 8² = 64
multiplications for 6² = 36 outputs, where the direct sum takes 36 · 9 = 324. With C input and K output channels the
products at each of the 64 points are summed over C: 64 matrix products (tiles × C) · (C × K). Transforms cost additions
in proportion to C + K, products in proportion to C · K; the more channels, the nearer to 324/64 = 5.06 times.

F(4×4, 3×3) is the same with six points: 36 multiplications for 16 outputs, where the direct sum takes 144: four times
fewer. It does less with more tiles, which suits small maps: less of the last tiles reaches over the edge, and there are
fewer transformed kernels to read.

The points are 0, ±1, ±2, ±½ and ∞ for F(6×6), without ±½ for F(4×4) (Lavin and Gray 2016, arXiv 1509.09308; S. Winograd
1980). The constant factors of the interpolation stand in G. Rounding grows with the powers of the points; what it costs
is measured in docs/winograd.md.

**The backward pass needs no kernels of its own.** The gradient with respect to the input is a convolution with the
kernel rotated by 180°, C and K exchanged. Rotating reverses the polynomial, g'(p) = p² g(1/p), and the points of F(6×6)
are closed under p → 1/p: 0 ↔ ∞, ±2 ↔ ±½, ±1 stay. The rows of G and Bᵀ are scaled by powers of 2 (exactly) such that
the factor p² is absorbed; then the transformed rotated kernel is the transformed kernel with its planes in another
order, `rotated`. The matrix product runs over the same memory, transposed. F(4×4) has ±2 without ±½, and needs both
kernels.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Filtering:
    """The matrices of F(m×m, 3×3), with n = m + 2 points.

    Attributes
    ----------
    m : int
    G, Bt, At : ndarray, shapes (n, 3), (n, n), (m, n)
    rotated : ndarray of int, shape (n,), or None
        The order of the points under p → 1/p, if the set is closed under it.
    """

    m: int
    G: np.ndarray
    Bt: np.ndarray
    At: np.ndarray
    rotated: np.ndarray | None = None

    @property
    def n(self) -> int:
        """Side of a patch: the number of points."""
        return self.m + 2

    @property
    def straight(self) -> np.ndarray:
        """The points in their own order."""
        return np.arange(self.n)

    def kernel_plane(self, kernel: np.ndarray, plane: int) -> np.ndarray:
        """One of the n² planes of G g Gᵀ: (3, 3, C, K) → (C, K), computed in float64."""
        i, j = divmod(plane, self.n)
        return np.tensordot(np.outer(self.G[i], self.G[j]), kernel, axes=2).astype(kernel.dtype)


F6 = Filtering(
    m=6,
    G=np.array(
        [
            [1, 0, 0],
            [-2 / 9, -2 / 9, -2 / 9],
            [-2 / 9, 2 / 9, -2 / 9],
            [2 / 45, 4 / 45, 8 / 45],
            [2 / 45, -4 / 45, 8 / 45],
            [8 / 45, 4 / 45, 2 / 45],
            [8 / 45, -4 / 45, 2 / 45],
            [0, 0, 1],
        ]
    ),
    Bt=np.array(
        [
            [1, 0, -21 / 4, 0, 21 / 4, 0, -1, 0],
            [0, 1, 1, -17 / 4, -17 / 4, 1, 1, 0],
            [0, -1, 1, 17 / 4, -17 / 4, -1, 1, 0],
            [0, 1 / 8, 1 / 16, -5 / 8, -5 / 16, 1 / 2, 1 / 4, 0],
            [0, -1 / 8, 1 / 16, 5 / 8, -5 / 16, -1 / 2, 1 / 4, 0],
            [0, 8, 16, -10, -20, 2, 4, 0],
            [0, -8, 16, 10, -20, -2, 4, 0],
            [0, -1, 0, 21 / 4, 0, -21 / 4, 0, 1],
        ]
    ),
    At=np.array(
        [
            [1, 1, 1, 1, 1, 1, 1, 0],
            [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
            [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
            [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
            [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
            [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
        ]
    ),
    rotated=np.array([7, 1, 2, 5, 6, 3, 4, 0]),
)

F4 = Filtering(
    m=4,
    G=np.array(
        [
            [1 / 4, 0, 0],
            [-1 / 6, -1 / 6, -1 / 6],
            [-1 / 6, 1 / 6, -1 / 6],
            [1 / 24, 1 / 12, 1 / 6],
            [1 / 24, -1 / 12, 1 / 6],
            [0, 0, 1],
        ]
    ),
    Bt=np.array(
        [
            [4, 0, -5, 0, 1, 0],
            [0, -4, -4, 1, 1, 0],
            [0, 4, -4, -1, 1, 0],
            [0, -2, -1, 2, 1, 0],
            [0, 2, -1, -2, 1, 0],
            [0, 4, 0, -5, 0, 1],
        ]
    ),
    At=np.array([[1, 1, 1, 1, 1, 0], [0, 1, -1, 2, -2, 0], [0, 1, 1, 4, 4, 0], [0, 1, -1, 8, -8, 1]]),
)
