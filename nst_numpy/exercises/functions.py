"""Three functions of the exercises that the library itself has no use for, since it takes other steps together."""

import numpy as np

from nst_numpy import losses


def style_gradient_of_map(a: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Gradient of the style loss with respect to a response with channels last, in the shape of the response.

    F is a view of a, its positions in reading order (`feature_matrix`). So the gradient with respect to a has the same
    numbers as that with respect to F, and they go back on the same way: transposed, then to the shape of a. With
    M = H · W positions,

    ∂E/∂a[h, w, i] = ∂E/∂F_ij = 1/(N² M²) ((G − A) F)_ij,  j = h·W + w

    Parameters
    ----------
    a : ndarray, shape (H, W, N)
        Response of a layer to the generated image.
    A : ndarray, shape (N, N)
        Gram matrix of the style image, for M = H · W positions.

    Returns
    -------
    ndarray, shape (H, W, N)
    """
    return losses.style_gradient(losses.feature_matrix(a), A).T.reshape(a.shape)


def total_gradient(F: np.ndarray, P: np.ndarray, A: np.ndarray, alpha: float, beta: float) -> np.ndarray:
    """Gradient of α L_content + β E with respect to the features F of one layer that carries both losses.

    The derivative of a weighted sum is the weighted sum of the derivatives; each term keeps its own weight:

    ∂L/∂F = α (F − P) + β 1/(N² M²) (G − A) F,  G = F Fᵀ

    This is what the layer *injects*. If deeper layers carry losses too, what comes back from them is added.

    Parameters
    ----------
    F, P : ndarray, shape (N, M)
        Features of the generated image and of the content image.
    A : ndarray, shape (N, N)
        Gram matrix of the style image.
    alpha, beta : float
        Weights of content and style.

    Returns
    -------
    ndarray, shape (N, M)
    """
    return alpha * losses.content_gradient(F, P) + beta * losses.style_gradient(F, A)


def gradient_step(x: np.ndarray, gradient: np.ndarray, rate: float) -> np.ndarray:
    """One step of gradient descent.

    For a small step d, L(x + d) ≈ L(x) + Σ_i gradient_i d_i. Of all steps of one length, d = −rate · gradient lowers
    this most: it points straight against the gradient. So

    x_new = x − rate · gradient

    (A plus sign would climb.)

    Parameters
    ----------
    x : ndarray, any shape
        The image; it is not changed.
    gradient : ndarray, shape of x
    rate : float
        Positive.

    Returns
    -------
    ndarray, shape of x
    """
    return x - rate * gradient
