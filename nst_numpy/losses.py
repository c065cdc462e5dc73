"""The losses of Gatys, Ecker and Bethge (2015, arXiv 1508.06576), one formula per function, each with its gradient.

Notation of the paper. A layer with N filters, whose feature maps have M = height × width positions, gives a matrix F of
shape N × M: F[i, j] is the response of filter i at position j, after ReLU. P is the same for the content image. G is
the Gram matrix of F, and A that of the style image.

All gradients here are with respect to F. The case "0 if F < 0" of the paper's equations 2 and 6 is the derivative of
the ReLU that produced F; see `layers.relu_backward`. Arrays are float32 or float64; losses are summed in float64.
"""

import numpy as np

from nst_numpy.validation import check_number, checked


@checked(a="H W N")
def feature_matrix(a: np.ndarray) -> np.ndarray:
    """The feature matrix F of a layer's response: one row per filter, one column per position.

    F[i, j] = a[h, w, i] with j = h·W + w. With channels last this is the transpose of a reshape, and a view. (A plain
    a.reshape(N, H·W) has the right shape, but its rows mix the filters.)

    Parameters
    ----------
    a : ndarray, shape (H, W, N)

    Returns
    -------
    ndarray, shape (N, M), M = H·W

    Examples
    --------
    >>> import numpy as np
    >>> a = np.array([[[1, 10], [2, 20]], [[3, 30], [4, 40]]])  # 2×2 positions, 2 filters
    >>> feature_matrix(a)
    array([[ 1,  2,  3,  4],
           [10, 20, 30, 40]])
    """
    return a.reshape(-1, a.shape[-1]).T


@checked(F="N M", P="N M")
def content_loss(F: np.ndarray, P: np.ndarray) -> float:
    """Content loss of a layer: L_content = ½ Σ_ij (F_ij − P_ij)² (equation 1 of the paper).

    Parameters
    ----------
    F, P : ndarray, shape (N, M)
        Features of the generated image and of the content image.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> content_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
    2.5
    """
    return 0.5 * float(np.sum(np.square(F - P), dtype=np.float64))


@checked(F="N M", P="N M")
def content_gradient(F: np.ndarray, P: np.ndarray) -> np.ndarray:
    """Gradient of the content loss with respect to F (equation 2, first case).

    In ½ Σ_kq (F_kq − P_kq)² only the term with (k, q) = (i, j) contains F_ij; its derivative is ½ · 2 (F_ij − P_ij):

    ∂L_content/∂F_ij = F_ij − P_ij

    Parameters
    ----------
    F, P : ndarray, shape (N, M)

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> import numpy as np
    >>> content_gradient(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]))
    array([[ 1., -2.]])
    """
    return F - P


@checked(F="N M", P="N M", t="M")
def guided_content_loss(F: np.ndarray, P: np.ndarray, t: np.ndarray) -> float:
    """Content loss of a layer where a mask says: ½ Σ_ij t_j (F_ij − P_ij)².

    The loss is a sum over positions, and t_j says how much of position j counts: the losses with the masks t and 1 − t
    add up to the content loss. It is not divided by Σ t: inside, every position counts as much as without a mask.

    Parameters
    ----------
    F, P : ndarray, shape (N, M)
    t : ndarray, shape (M,)
        In 0–1.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> guided_content_loss(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), np.array([1.0, 0.5]))  # ½ (1 + 4/2)
    1.5
    """
    return 0.5 * float(np.sum(np.square(F - P) * t, dtype=np.float64))


@checked(F="N M", P="N M", t="M")
def guided_content_gradient(F: np.ndarray, P: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gradient of `guided_content_loss` with respect to F: as `content_gradient`, times t_j, which is a constant.

    Parameters
    ----------
    F, P : ndarray, shape (N, M)
    t : ndarray, shape (M,)

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> import numpy as np
    >>> guided_content_gradient(np.array([[1.0, 2.0]]), np.array([[0.0, 4.0]]), np.array([1.0, 0.5]))
    array([[ 1., -1.]])
    """
    return content_gradient(F, P) * t


@checked(F="N M")
def gram(F: np.ndarray) -> np.ndarray:
    """Gram matrix of the features: G_ij = Σ_k F_ik F_jk, that is G = F Fᵀ (equation 3).

    G_ij measures how strongly filters i and j respond together, summed over all positions: it keeps what occurs in the
    image and discards where. G is symmetric, and neither centred nor normalised.

    Parameters
    ----------
    F : ndarray, shape (N, M)

    Returns
    -------
    ndarray, shape (N, N)

    Examples
    --------
    >>> import numpy as np
    >>> gram(np.array([[1.0, 2.0, 0.0], [0.0, 3.0, 1.0]]))
    array([[ 5.,  6.],
           [ 6., 10.]])
    """
    return F @ F.T


@checked(dG="N N", F="N M")
def gram_backward(dG: np.ndarray, F: np.ndarray) -> np.ndarray:
    """Gradient with respect to F of a loss whose gradient with respect to G = F Fᵀ is dG.

    G_km = Σ_q F_kq F_mq contains F_ij where k = i (factor F_mj) and where m = i (factor F_kj); for k = m = i both
    apply:

    dF_ij = Σ_m dG_im F_mj + Σ_k dG_ki F_kj = ((dG + dGᵀ) F)_ij

    Both terms of the product rule are needed. For a symmetric dG they are equal, and the sum is 2 dG F.

    Parameters
    ----------
    dG : ndarray, shape (N, N)
        Need not be symmetric.
    F : ndarray, shape (N, M)

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> import numpy as np
    >>> gram_backward(np.array([[1.0, 0.0], [0.0, 0.0]]), np.array([[1.0, 2.0], [0.0, 3.0]]))  # of G[0, 0]
    array([[2., 4.],
           [0., 0.]])
    """
    return (dG + dG.T) @ F


@checked(t="...")
def guidance(t: np.ndarray) -> np.ndarray:
    """A mask scaled so that its squares have the mean 1: t̂ = t/√(mean of t²). A mask of ones is its own guidance.

    Parameters
    ----------
    t : ndarray
        Weights of the positions of a layer, at least 0, and not all 0.

    Returns
    -------
    ndarray, shape of `t`

    Examples
    --------
    >>> import numpy as np
    >>> guidance(np.array([1.0, 1.0, 0.0, 0.0]))  # half of the positions, each with √2
    array([1.41421356, 1.41421356, 0.        , 0.        ])
    """
    scaled: np.ndarray = t / float(np.sqrt(np.mean(np.square(t), dtype=np.float64)))
    return scaled


@checked(F="N M", t="M")
def guided_gram(F: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gram matrix of a region, given by a mask: G = M Σ_k t_k² F_k F_kᵀ / Σ_k t_k², F_k the features at position k.

    The features of every position are multiplied by t, as in Gatys et al. 2017 (arXiv 1611.07865, section 4):
    G_ij = Σ_k (t̂_k F_ik)(t̂_k F_jk), with t̂ = `guidance(t)`. The paper's t has Σ t² = 1, here it is M, so that a region
    has the Gram matrix of a picture that is filled with it, and a mask of ones gives `gram(F)`.

    Parameters
    ----------
    F : ndarray, shape (N, M)
    t : ndarray, shape (M,)
        1 inside the region, 0 outside; anything between at a soft edge. Only its ratios matter.

    Returns
    -------
    ndarray, shape (N, N)

    Examples
    --------
    The second position is not in the region; the first one stands for both:

    >>> import numpy as np
    >>> guided_gram(np.array([[1.0, 7.0], [2.0, 5.0]]), np.array([1.0, 0.0])).round(9)
    array([[2., 4.],
           [4., 8.]])
    """
    return gram(F * guidance(t))


@checked(dG="N N", F="N M", t="M")
def guided_gram_backward(dG: np.ndarray, F: np.ndarray, t: np.ndarray) -> np.ndarray:
    """Gradient with respect to F of a loss whose gradient with respect to the `guided_gram` of F is dG.

    G is the Gram matrix of H_ij = t̂_j F_ij, so `gram_backward` gives dH = (dG + dGᵀ) H. F_ij occurs in H_ij alone,
    with the factor t̂_j:

    dF_ij = t̂_j dH_ij = t̂_j² ((dG + dGᵀ) F)_ij

    dG mixes filters and the mask weights positions, so both factors t̂ can be applied at once. The gradient is 0 where
    the mask is 0.

    Parameters
    ----------
    dG : ndarray, shape (N, N)
        Need not be symmetric.
    F : ndarray, shape (N, M)
    t : ndarray, shape (M,)

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> import numpy as np
    >>> F = np.array([[1.0, 7.0], [2.0, 5.0]])
    >>> guided_gram_backward(np.array([[1.0, 0.0], [0.0, 0.0]]), F, np.array([1.0, 0.0])).round(9)  # of G[0, 0]
    array([[4., 0.],
           [0., 0.]])
    """
    return gram_backward(dG, F * guidance(t) ** 2)


@checked(F="N M", A="N N")
def style_loss(F: np.ndarray, A: np.ndarray) -> float:
    """Style loss of a layer: E = 1/(4 N² M²) Σ_ij (G_ij − A_ij)², with G = F Fᵀ (equation 4).

    Parameters
    ----------
    F : ndarray, shape (N, M)
        Features of the generated image.
    A : ndarray, shape (N, N)
        Gram matrix of the style image. If that image has M_a positions in this layer instead of M, its Gram matrix is a
        sum of M_a terms; multiply it by M/M_a, so that equal textures have E = 0 at any size.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> F = np.array([[1.0, 2.0], [0.0, 3.0]])
    >>> style_loss(F, gram(F)), style_loss(F, np.zeros((2, 2)))  # (25 + 36 + 36 + 81) / (4 · 4 · 4)
    (0.0, 2.78125)
    """
    return gram_loss(gram(F), A, F.shape[1])


@checked(F="N M", A="N N")
def style_gradient(F: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Gradient of the style loss with respect to F (equation 6, first case).

    The chain rule, first from E to G by `gram_loss_gradient`, then from G to F by `gram_backward`: G and A are
    symmetric, so (dG + dGᵀ) F = 2 dG F, and with dG = (G − A) / (2 N² M²) the factors 2 cancel:

    ∂E/∂F_ij = 1/(N² M²) ((G − A) F)_ij

    The paper writes (Fᵀ (G − A))_ji: the same, since G − A is symmetric. (For an A that is not, the code, which
    computes both terms of the product rule, still returns the derivative of `style_loss`.)

    Parameters
    ----------
    F : ndarray, shape (N, M)
    A : ndarray, shape (N, N)
        Symmetric, as every Gram matrix is.

    Returns
    -------
    ndarray, shape (N, M)

    Examples
    --------
    >>> import numpy as np
    >>> F = np.array([[1.0, 2.0], [0.0, 3.0]])
    >>> style_gradient(F, np.array([[1.0, 2.0], [2.0, 4.0]]))
    array([[0.25  , 1.25  ],
           [0.25  , 1.4375]])
    """
    dG = gram_loss_gradient(gram(F), A, F.shape[1])
    return gram_backward(dG, F)


@checked(G="N N", A="N N")
def gram_loss(G: np.ndarray, A: np.ndarray, M: int) -> float:
    """Style loss as a function of the Gram matrix: E = 1/(4 N² M²) Σ_ij (G_ij − A_ij)², for M positions.

    Parameters
    ----------
    G, A : ndarray, shape (N, N)
    M : int

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> gram_loss(np.array([[3.0]]), np.array([[1.0]]), 2)  # (3 − 1)² / (4 · 1² · 2²)
    0.25
    """
    check_number("M", M, whole=True, least=1)
    N = len(G)
    return float(np.sum(np.square(G - A), dtype=np.float64)) / (4 * N**2 * M**2)


@checked(G="N N", A="N N")
def gram_loss_gradient(G: np.ndarray, A: np.ndarray, M: int) -> np.ndarray:
    """Gradient of `gram_loss` with respect to G: each G_ij occurs in one term, so ∂E/∂G_ij = 2 (G_ij − A_ij)/(4 N² M²).

    Parameters
    ----------
    G, A : ndarray, shape (N, N)
    M : int

    Returns
    -------
    ndarray, shape (N, N)

    Examples
    --------
    >>> import numpy as np
    >>> gram_loss_gradient(np.array([[3.0]]), np.array([[1.0]]), 2)  # 2 (3 − 1) / (4 · 1² · 2²)
    array([[0.25]])
    """
    check_number("M", M, whole=True, least=1)
    N = len(G)
    return (G - A) / (2 * N**2 * M**2)


@checked(x="H W C")
def total_variation(x: np.ndarray) -> float:
    """Total variation of an image, here the sum of squared differences between neighbours.

    TV = ½ Σ (x[i+1, j] − x[i, j])² + ½ Σ (x[i, j+1] − x[i, j])², over all channels

    Not in the paper; used since Mahendran and Vedaldi 2015 (arXiv 1412.0035, section 3) to suppress noise between
    neighbouring pixels.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> total_variation(np.array([[0.0, 1.0], [0.0, 3.0]])[..., None])  # ½ (0 + 4) + ½ (1 + 9)
    7.0
    """
    down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    return 0.5 * float(np.sum(np.square(down), dtype=np.float64) + np.sum(np.square(right), dtype=np.float64))


@checked(x="H W C")
def total_variation_gradient(x: np.ndarray) -> np.ndarray:
    """Gradient of the total variation with respect to the image.

    A pixel occurs in up to four differences, in two as the minuend and in two as the subtrahend. The derivative of ½ d²
    is d times the derivative of d: + d for the minuend, − d for the subtrahend. Hence

    ∂TV/∂x[i, j] = (x[i, j] − x[i−1, j]) − (x[i+1, j] − x[i, j]) + (x[i, j] − x[i, j−1]) − (x[i, j+1] − x[i, j])

    where differences across the edge are left out: minus the discrete Laplacian of the image.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> total_variation_gradient(np.array([[0.0, 1.0], [0.0, 3.0]])[..., None])[..., 0]
    array([[-1., -1.],
           [-3.,  5.]])
    """
    down, right = x[1:] - x[:-1], x[:, 1:] - x[:, :-1]
    dx = np.zeros_like(x)
    dx[1:] += down
    dx[:-1] -= down
    dx[:, 1:] += right
    dx[:, :-1] -= right
    return dx


@checked(x="H W C")
def absolute_variation(x: np.ndarray, axis: int) -> float:
    """Sum of the absolute differences between neighbours along an axis: Σ |d|.

    Summed over both axes, this is a total variation (Rudin, Osher and Fatemi 1992, without their square root). It
    preserves edges that squares would smooth: one step of 1 costs as much as ten steps of 0.1.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    axis : int
        0 for differences down the image, 1 for those to the right.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> x = np.array([[0.0, 1.0], [0.0, 3.0]])[..., None]
    >>> absolute_variation(x, 0), absolute_variation(x, 1)
    (2.0, 4.0)
    """
    check_number("axis", axis, whole=True, most=1)
    return float(np.sum(np.abs(np.diff(x, axis=axis)), dtype=np.float64))


@checked(x="H W C")
def absolute_variation_gradient(x: np.ndarray, axis: int) -> np.ndarray:
    """Gradient of `absolute_variation`.

    |d| has the derivative sign(d); at d = 0, where it has a kink, 0 is used. A pixel is the minuend of one difference
    along the axis (+ sign(d)) and the subtrahend of the next (− sign(d)):

    ∂/∂x[i] = sign(x[i] − x[i−1]) − sign(x[i+1] − x[i]), without those across the edge

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    axis : int

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> absolute_variation_gradient(np.array([[0.0, 1.0], [0.0, 3.0]])[..., None], 1)[..., 0]
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    check_number("axis", axis, whole=True, most=1)
    signs = np.sign(np.diff(x, axis=axis))
    dx = np.zeros_like(x)
    along = np.moveaxis(dx, axis, 0)  # a view with this axis first
    along[1:] += np.moveaxis(signs, axis, 0)
    along[:-1] -= np.moveaxis(signs, axis, 0)
    return dx


@checked(x="H W C")
def joint_variation(x: np.ndarray, power: float) -> float:
    """Total variation with both differences of a pixel under a common power.

    Σ_ij (a_ij² + b_ij²)^p, with a_ij = x[i+1, j] − x[i, j] and b_ij = x[i, j+1] − x[i, j], over all channels, and over
    the pixels that have both neighbours: all but the last row and the last column.

    Mahendran and Vedaldi 2015 (arXiv 1412.0035, section 3), with β = 2p.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    power : float
        p, at least 1.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> joint_variation(np.array([[0.0, 3.0], [4.0, 9.0]])[..., None], 0.5)  # √(4² + 3²)
    5.0
    """
    check_number("power", power)
    a, b = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    return float(np.sum((a**2 + b**2) ** power, dtype=np.float64))


@checked(x="H W C")
def joint_variation_gradient(x: np.ndarray, power: float) -> np.ndarray:
    """Gradient of `joint_variation`.

    The chain rule through q = a² + b²: qᵖ has the derivative p qᵖ⁻¹ with respect to q, and q has 2a and 2b with respect
    to a and b. With c = 2 p qᵖ⁻¹, each pixel contributes c a to the neighbour below and c b to the one on the right,
    the minuends, and −(c a + c b) to itself, the subtrahend of both.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
    power : float

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> joint_variation_gradient(np.array([[0.0, 3.0], [4.0, 9.0]])[..., None], 1)[..., 0]
    array([[-14.,   6.],
           [  8.,   0.]])
    """
    check_number("power", power)
    a, b = x[1:, :-1] - x[:-1, :-1], x[:-1, 1:] - x[:-1, :-1]
    c = 2 * power * (a**2 + b**2) ** (power - 1)
    dx = np.zeros_like(x)
    dx[1:, :-1] += c * a
    dx[:-1, 1:] += c * b
    dx[:-1, :-1] -= c * a + c * b
    return dx


@checked(x="H W C", before="H W C", c="H W?")
def temporal_loss(x: np.ndarray, before: np.ndarray, c: np.ndarray) -> float:
    """Temporal loss of a frame of a film: L_temporal = 1/D Σ_kn c_k (x_kn − ω_kn)², over all D numbers of the image.

    Ruder, Dosovitskiy and Brox 2016 (arXiv 1604.08610, section 4.2): a frame is to look as the previous one does, once
    that has been moved along with what it shows. D is a constant: half as many valid pixels have half the weight.

    Parameters
    ----------
    x : ndarray, shape (H, W, C)
        The frame.
    before : ndarray, shape (H, W, C)
        ω, the previous frame, warped to this one; see `flow.warp`.
    c : ndarray, shape (H, W)
        1 where that is known, 0 where something comes into view; see `flow.valid`.

    Returns
    -------
    float

    Examples
    --------
    >>> import numpy as np
    >>> x, before = np.array([[[1.0], [2.0]]]), np.array([[[0.0], [5.0]]])
    >>> temporal_loss(x, before, np.array([[1.0, 0.0]])), temporal_loss(x, before, np.ones((1, 2)))  # 1/2, (1 + 9)/2
    (0.5, 5.0)
    """
    return float(np.sum(c[..., None] * np.square(x - before), dtype=np.float64)) / x.size


@checked(x="H W C", before="H W C", c="H W?")
def temporal_gradient(x: np.ndarray, before: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Gradient of the temporal loss with respect to the frame.

    x_kn occurs in one term, c_k (x_kn − ω_kn)²/D. The previous frame is finished, and the flow is computed between the
    photographs: ω and c are constants. So

    ∂L_temporal/∂x_kn = 2/D c_k (x_kn − ω_kn)

    Parameters
    ----------
    x, before : ndarray, shape (H, W, C)
    c : ndarray, shape (H, W)

    Returns
    -------
    ndarray, shape (H, W, C)

    Examples
    --------
    >>> import numpy as np
    >>> x, before = np.array([[[1.0], [2.0]]]), np.array([[[0.0], [5.0]]])
    >>> temporal_gradient(x, before, np.ones((1, 2)))[..., 0]
    array([[ 1., -3.]])
    """
    return (2 / x.size) * c[..., None] * (x - before)
