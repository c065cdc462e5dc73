"""Optical flow: where each pixel of a frame was in the one before, and whether that can be known.

A flow has shape (H, W, 2): at each pixel the displacement (right, down), in pixels, to where the other frame shows the
same thing. `backward` leads from a frame to the one before it, `forward` from that one to the frame.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from nst_numpy import images
from nst_numpy.colors import LUMINANCE
from nst_numpy.validation import checked

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]


@checked(first="H W 3", second="H W 3")
def dis(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Optical flow from one image to another, by OpenCV's DIS (Kroeger et al. 2016, arXiv 1603.03590).

    Parameters
    ----------
    first, second : ndarray of float in 0–1, shape (H, W, 3)

    Returns
    -------
    ndarray of float32, shape (H, W, 2)
        `first` at a pixel looks as `second` does at this pixel plus its flow. 0 for images that are less than
        12 pixels high or wide, too small for DIS.

    Raises
    ------
    ValueError
        If OpenCV is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images, samples
    >>> image = images.load(samples.portrait(), 128)
    >>> moved = np.roll(image, 3, axis=1)  # 3 pixels to the right
    >>> np.median(dis(image, moved)[..., 0]).round(1)  # doctest: +SKIP
    np.float32(3.0)
    """
    try:
        import cv2
    except ImportError:
        raise ValueError("optical flow needs OpenCV: pip install 'nst_numpy[video]'") from None
    if min(first.shape[:2]) < 12:
        return np.zeros((*first.shape[:2], 2), np.float32)
    gray = [images.to_uint8(image @ LUMINANCE.astype(np.float32)) for image in (first, second)]
    estimator: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)  # its stub wants the flow it returns
    found: np.ndarray = estimator.calc(*gray, None)
    return found


@checked(image="H W C", flow="H W 2")
def warp(image: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Look up an image where a flow leads, bilinearly; beyond the edges its nearest pixels.

    Parameters
    ----------
    image : ndarray of float, shape (H, W, C)
    flow : ndarray, shape (H, W, 2)

    Returns
    -------
    ndarray, shape (H, W, C)
        At each pixel p, the image at p + flow(p).

    Examples
    --------
    >>> import numpy as np
    >>> image = np.array([[0.0, 10.0, 20.0]])[..., None]
    >>> half_right = np.broadcast_to([0.5, 0.0], (1, 3, 2))
    >>> warp(image, half_right)[..., 0]
    array([[ 5., 15., 20.]])
    """
    (height, width), (x, y) = image.shape[:2], _targets(flow)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    left, top = x.astype(np.intp), y.astype(np.intp)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    a, b = ((weight).astype(image.dtype)[..., None] for weight in (x - left, y - top))
    upper = (1 - a) * image[top, left] + a * image[top, right]
    lower = (1 - a) * image[bottom, left] + a * image[bottom, right]
    warped: np.ndarray = (1 - b) * upper + b * lower
    return warped


@checked(forward="H W 2", backward="H W 2")
def valid(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where the frame before shows what this one does: the mask c of the temporal loss.

    As in Ruder et al. 2016 (arXiv 1604.08610, section 4.2). With ŵ = (û, v̂) the backward flow and w̃ the forward flow
    looked up where ŵ leads, a pixel comes into view, or its flow is wrong, where there and back is another place:

    |w̃ + ŵ|² > 0.01 (|w̃|² + |ŵ|²) + 0.5

    and it is at the boundary of something that moves, where flows are blurred, if

    |∇û|² + |∇v̂|² > 0.01 |ŵ|² + 0.002

    In addition, what comes from outside of the picture is not valid.

    Parameters
    ----------
    forward, backward : ndarray, shape (H, W, 2)

    Returns
    -------
    ndarray of bool, shape (H, W)

    Examples
    --------
    A camera that moves 2 pixels to the right: the two columns on the right are new.

    >>> import numpy as np
    >>> backward = np.broadcast_to([2.0, 0.0], (1, 5, 2))
    >>> valid(-backward, backward)
    array([[ True,  True,  True, False, False]])
    """
    (height, width), (x, y) = backward.shape[:2], _targets(backward)
    inside = (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
    there = warp(forward, backward)
    size = _squared(backward)
    consistent = _squared(there + backward) <= 0.01 * (_squared(there) + size) + 0.5
    steps = [_squared(np.gradient(backward, axis=axis)) for axis in (0, 1) if backward.shape[axis] > 1]
    smooth = sum(steps, np.zeros(size.shape)) <= 0.01 * size + 0.002
    found: np.ndarray = inside & consistent & smooth
    return found


@checked(backward="H W 2", where="H W?")
def flicker(frame: Any, before: Any, backward: np.ndarray, where: np.ndarray) -> float:
    """How much a frame differs from the one before, moved to its place: the mean absolute difference, in 0–255.

    Parameters
    ----------
    frame, before : path, PIL image or ndarray
        Two frames of a film that follow each other, as in `images.load`.
    backward : ndarray, shape (H, W, 2)
        The flow from the frame to the one before.
    where : ndarray of bool, shape (H, W)
        The pixels that count, as by `valid`.

    Returns
    -------
    float
        NaN if no pixel counts.

    Raises
    ------
    ValueError
        If the sizes differ.

    Examples
    --------
    >>> import numpy as np
    >>> image = np.random.default_rng(0).random((8, 9, 3))
    >>> two_left = np.broadcast_to([-2.0, 0.0], (8, 9, 2))
    >>> where = valid(-two_left, two_left)
    >>> flicker(np.roll(image, 2, axis=1), image, two_left, where)
    0.0
    >>> flicker(image, image, two_left, where) > 50
    True
    """
    now, then = images.load(frame), images.load(before)
    if not now.shape[:2] == then.shape[:2] == where.shape:
        found = ", ".join(str(a.shape[:2]) for a in (now, then, where))
        raise ValueError(f"frame, before and flow must have one height and width, found {found}")
    if not where.any():
        return float("nan")
    return 255 * float(np.mean(np.abs(now - warp(then, backward))[where], dtype=np.float64))


def _targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where a flow leads: x and y."""
    if not np.isfinite(flow).all():
        raise ValueError("a flow must hold finite numbers, found NaN or infinity; where it is unknown, let it be 0")
    height, width = flow.shape[:2]
    return np.arange(width) + flow[..., 0].astype(np.float64), np.arange(height)[:, None] + flow[..., 1]


def _squared(vectors: np.ndarray) -> np.ndarray:
    squared: np.ndarray = np.sum(np.square(vectors, dtype=np.float64), axis=-1)
    return squared
