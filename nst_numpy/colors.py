"""Keeping the colours of the photograph (Gatys, Bethge, Hertzmann and Shechtman 2016, arXiv 1606.05897).

Two ways. Either the painting gets the colours of the photograph before it is used as style: `match_colors`. Or only
light and dark are painted, and the colours laid back over the result: `luminance` and `with_luminance`.
"""

import numpy as np

# Luminance and the two colour axes of the YIQ space (NTSC, 1953): Y is how bright a colour looks.
YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])


def match_colors(style: np.ndarray, content: np.ndarray) -> np.ndarray:
    """The style image with the mean and the covariance of the content image's colours (section 3.1 of the paper).

    x ← S (x − μ_style) + μ_content changes a covariance Σ_style to S Σ_style Sᵀ, so S must satisfy
    S Σ_style Sᵀ = Σ_content. Of the many solutions, S = Σ_content^½ Σ_style^−½ is taken, the paper's choice (after
    "Image Analogies"). Colours in which the style image does not vary stay without variation.

    Parameters
    ----------
    style, content : ndarray, shape (H, W, 3)
        In 0–1; the sizes may differ.

    Returns
    -------
    ndarray, shape of `style`
        Clipped to 0–1, where the statistics are then no longer exact.
    """
    of_style, of_content = (np.asarray(image, np.float64).reshape(-1, 3) for image in (style, content))
    to_white = _power(np.cov(of_style.T, bias=True), -0.5)
    to_content = _power(np.cov(of_content.T, bias=True), 0.5)
    matched = (of_style - of_style.mean(axis=0)) @ (to_content @ to_white).T + of_content.mean(axis=0)
    return matched.clip(0, 1).reshape(style.shape).astype(style.dtype)


def _power(symmetric: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a positive semidefinite matrix; negative powers of its zero eigenvalues are taken as 0."""
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    kept = eigenvalues > 1e-10
    return (vectors[:, kept] * eigenvalues[kept] ** exponent) @ vectors[:, kept].T


def luminance(image: np.ndarray, like: np.ndarray | None = None) -> np.ndarray:
    """The image in grey, by its luminance Y (section 3.2 of the paper).

    Parameters
    ----------
    image : ndarray, shape (H, W, 3)
        In 0–1.
    like : ndarray, shape (H, W, 3), optional
        Shift and stretch Y to the mean and the standard deviation of this image's, and clip it to 0–1.

    Returns
    -------
    ndarray, shape of `image`
        Y in each of the three channels.
    """
    Y = image @ YIQ[0]
    if like is not None:
        target = like @ YIQ[0]
        Y = ((Y - Y.mean()) * (target.std() / max(Y.std(), 1e-10)) + target.mean()).clip(0, 1)
    return np.repeat(Y[..., None], 3, axis=2).astype(image.dtype)


def with_luminance(content: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """The colours of one image with the luminance of another.

    Y is linear in RGB with coefficients that sum to 1, and grey (t, t, t) has Y = t and no colour (I = Q = 0): adding
    the difference of the luminances to all three channels changes Y to what it shall be, and leaves I and Q.

    Parameters
    ----------
    content, painted : ndarray, shape (H, W, 3)

    Returns
    -------
    ndarray, shape (H, W, 3)
        Not clipped.
    """
    return content + (painted @ YIQ[0] - content @ YIQ[0])[..., None].astype(content.dtype)
