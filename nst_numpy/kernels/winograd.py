"""Winograd's minimal filtering F(6×6, 3×3): why 64 multiplications replace 324.

In one dimension, six outputs of a filter with three taps, y_i = Σ_j d_{i+j} g_j, need 18 multiplications done directly.
Read the taps and the data as polynomials: the sums are coefficients of a product of polynomials, and a product of
degree 7 is known once its values at eight points are known. At a point the product of two polynomials is *one*
multiplication. So: evaluate g at eight points (G g), bring the data to the same points (Bᵀ d), multiply point by point,
and interpolate:

    y = Aᵀ [(G g) ⊙ (Bᵀ d)]        8 multiplications instead of 18

In two dimensions rows and columns are transformed one after the other, Y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A: 8² = 64
multiplications for 6² = 36 outputs, where the direct sum takes 36 · 9 = 324. With C input and K output channels the
products at each of the 64 points are summed over C: 64 matrix products (tiles × C) · (C × K). Transforms cost additions
in proportion to C + K, products in proportion to C · K; the more channels, the nearer to 324/64 = 5.06 times.

The points are 0, ±1, ±2, ±½ and ∞ (Lavin and Gray 2016, arXiv 1509.09308; S. Winograd 1980). Rounding grows with the
size of the points' powers: about 3e-6 of the largest value in float32, ten times that of a plain sum.

**The backward pass needs no kernels of its own.** The gradient with respect to the input is a convolution with the
kernel rotated by 180°, C and K exchanged. Rotating reverses the polynomial, g'(p) = p² g(1/p), and the set of points is
closed under p → 1/p: 0 ↔ ∞, ±2 ↔ ±½, ±1 stay. The rows of G and Bᵀ are scaled by powers of 2 (exactly) such that the
factor p² is absorbed; then the transformed rotated kernel is the transformed kernel with its planes in another order,
`ROTATED`. The matrix product runs over the same memory, transposed.
"""

import numpy as np

G = np.array(
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
)
Bt = np.array(
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
)
At = np.array(
    [
        [1, 1, 1, 1, 1, 1, 1, 0],
        [0, 1, -1, 2, -2, 1 / 2, -1 / 2, 0],
        [0, 1, 1, 4, 4, 1 / 4, 1 / 4, 0],
        [0, 1, -1, 8, -8, 1 / 8, -1 / 8, 0],
        [0, 1, 1, 16, 16, 1 / 16, 1 / 16, 0],
        [0, 1, -1, 32, -32, 1 / 32, -1 / 32, 1],
    ]
)

STRAIGHT = np.arange(8)
ROTATED = np.array([7, 1, 2, 5, 6, 3, 4, 0])  # p → 1/p, in the order of the rows


def transform_kernel_plane(kernel: np.ndarray, plane: int) -> np.ndarray:
    """One of the 64 planes of G g Gᵀ: (3, 3, C, K) → (C, K), computed in float64."""
    i, j = divmod(plane, 8)
    return np.tensordot(np.outer(G[i], G[j]), kernel, axes=2).astype(kernel.dtype)
