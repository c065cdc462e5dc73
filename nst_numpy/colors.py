"""Keeping the colours of the photograph (Gatys, Bethge, Hertzmann and Shechtman 2016, arXiv 1606.05897).

There are two ways. Either the style image gets the colours of the photograph before it is used: `match_colors`. Or only
the luminance is transferred, and the colours of the photograph are added to the result: `luminance` and
`with_luminance`.
"""

import numpy as np

from nst_numpy.network import check_pixels
from nst_numpy.validation import checked

# Luminance Y of the YIQ space (NTSC, 1953): how bright a colour looks. The coefficients sum to 1.
LUMINANCE = np.array([0.299, 0.587, 0.114])


@checked(style="H W 3?", content="h w 3?", style_mask="H W?", content_mask="h w?")
def match_colors(
    style: np.ndarray,
    content: np.ndarray,
    *,
    style_mask: np.ndarray | None = None,
    content_mask: np.ndarray | None = None,
) -> np.ndarray:
    """Give the style image the mean and the covariance of the content image's colours (section 3.1 of the paper).

    x ← S (x − μ_style) + μ_content changes a covariance Σ_style to S Σ_style Sᵀ, so S must satisfy
    S Σ_style Sᵀ = Σ_content. Of the many solutions this is S = Σ_content^½ Σ_style^−½, the paper's choice (after
    "Image Analogies"). Directions in colour space in which the style image does not vary (variance
    below 1e-10) stay without variation.

    Parameters
    ----------
    style, content : ndarray of float, shapes (H, W, 3) and (h, w, 3)
        In 0–1. The sizes may differ.
    style_mask, content_mask : ndarray of float, shapes (H, W) and (h, w), optional
        Weights of the pixels in the mean and the covariance: the colours of a region.

    Returns
    -------
    ndarray, shape and dtype of `style`
        Clipped to 0–1. Where that changes values, the statistics are no longer exact.

    Raises
    ------
    TypeError, ValueError
        If an image is not such an array.

    Examples
    --------
    A dark image gets the colours of a lighter one, of less contrast:

    >>> import numpy as np
    >>> from nst_numpy import colors
    >>> ramp = np.linspace(0, 1, 5)[:, None, None] * np.ones((5, 5, 3))
    >>> colors.match_colors(0.5 * ramp, 0.8 + 0.2 * ramp)[:, 0, 0].round(3)
    array([0.8 , 0.85, 0.9 , 0.95, 1.  ])
    """
    for image in (style, content):
        check_pixels(image)
        if not np.isfinite(image).all():
            raise ValueError("an image has values that are not finite (NaN or infinity)")
    of_style, of_content = (image.astype(np.float64).reshape(-1, 3) for image in (style, content))
    t_style, t_content = (None if mask is None else mask.reshape(-1) for mask in (style_mask, content_mask))
    to_white = _power(np.cov(of_style.T, bias=True, aweights=t_style), -0.5)
    to_content = _power(np.cov(of_content.T, bias=True, aweights=t_content), 0.5)
    centred = of_style - np.average(of_style, axis=0, weights=t_style)
    matched = centred @ (to_content @ to_white).T + np.average(of_content, axis=0, weights=t_content)
    clipped: np.ndarray = matched.clip(0, 1)
    return clipped.reshape(style.shape).astype(style.dtype)


def _power(symmetric: np.ndarray, exponent: float) -> np.ndarray:
    """Raise a positive semidefinite matrix to a power; zero eigenvalues stay zero, also with a negative exponent."""
    eigenvalues, vectors = np.linalg.eigh(symmetric)
    kept = eigenvalues > 1e-10
    power: np.ndarray = (vectors[:, kept] * eigenvalues[kept] ** exponent) @ vectors[:, kept].T
    return power


@checked()
def luminance(
    image: np.ndarray,
    like: np.ndarray | None = None,
    *,
    mask: np.ndarray | None = None,
    like_mask: np.ndarray | None = None,
) -> np.ndarray:
    """Convert an image to grey, by its luminance Y (section 3.2 of the paper).

    Parameters
    ----------
    image : ndarray of float, shape (H, W, 3)
        In 0–1.
    like : ndarray of float, shape (h, w, 3), optional
        An image whose mean and standard deviation of Y the result gets; then it is clipped to 0–1.
    mask, like_mask : ndarray of float, shapes (H, W) and (h, w), optional
        Weights of the pixels in the mean and the standard deviation of `image` and of `like`.

    Returns
    -------
    ndarray, shape and dtype of `image`
        Y in each of the three channels.

    Raises
    ------
    TypeError, ValueError
        If an image is not such an array.

    Examples
    --------
    Green looks brighter than blue:

    >>> import numpy as np
    >>> from nst_numpy import colors
    >>> colors.luminance(np.array([[[0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]]))
    array([[[0.587, 0.587, 0.587],
            [0.114, 0.114, 0.114]]])
    """
    check_pixels(image)
    Y: np.ndarray = image @ LUMINANCE
    if like is not None:
        check_pixels(like)
        mean, deviation = _moments(Y, mask)
        target_mean, target_deviation = _moments(like @ LUMINANCE, like_mask)
        Y = ((Y - mean) * (target_deviation / max(deviation, 1e-10)) + target_mean).clip(0, 1)
    return np.repeat(Y[..., None], 3, axis=2).astype(image.dtype)


def _moments(Y: np.ndarray, weights: np.ndarray | None) -> tuple[float, float]:
    """The weighted mean and standard deviation."""
    mean = np.average(Y, weights=weights)
    return float(mean), float(np.sqrt(np.average(np.square(Y - mean), weights=weights)))


@checked()
def with_luminance(content: np.ndarray, painted: np.ndarray) -> np.ndarray:
    """Combine the colours of one image with the luminance of another.

    Y is linear in RGB, with coefficients that sum to 1. So adding t to all three channels adds t to Y, and leaves the
    differences between the channels, on which alone the colour axes I and Q of the YIQ space depend. Added is the
    difference of the two luminances.

    Parameters
    ----------
    content, painted : ndarray of float, shape (H, W, 3)

    Returns
    -------
    ndarray, shape and dtype of `content`
        Not clipped.

    Raises
    ------
    TypeError, ValueError
        If an image is not such an array, or the shapes differ.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import colors
    >>> red, grey = np.array([[[0.8, 0.2, 0.2]]]), np.array([[[0.5, 0.5, 0.5]]])
    >>> mixed = colors.with_luminance(red, grey)
    >>> (mixed - red).round(4)
    array([[[0.1206, 0.1206, 0.1206]]])
    >>> colors.luminance(mixed).round(4)
    array([[[0.5, 0.5, 0.5]]])
    """
    for image in (content, painted):
        check_pixels(image)
    if content.shape != painted.shape:
        raise ValueError(f"the images must have the same shape, found {content.shape} and {painted.shape}")
    difference = painted @ LUMINANCE - content @ LUMINANCE
    mixed: np.ndarray = content + difference[..., None].astype(content.dtype)
    return mixed
