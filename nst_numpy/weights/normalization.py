"""The normalisation that puts all networks on one scale: every filter's mean response becomes 1."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from nst_numpy import images, samples
from nst_numpy.network import VGG
from nst_numpy.validation import check_number, checked
from nst_numpy.weights.formats import check_mean_responses

# Mean responses of published networks, "NAME/LAYER", with the SHA-256 of their conv1_1 kernel as "NAME". Measured on
# 340 photographs and paintings of 160×160 pixels, with average pooling. Two halves of these differ by 2 to 5 %
# (median); the sample images would be wrong by 20 to 50 %, for single filters by up to a factor of ten.
KNOWN = Path(__file__).with_name("vgg19-means.npz")

FLOOR = 0.01  # of the mean of its layer: a filter with a smaller mean response is as good as dead


def sample_images() -> list[np.ndarray]:
    """The library's sample images at 256 pixels, on which the mean responses of a network are measured.

    Returns
    -------
    list of ndarray of float32, shape (H, W, 3)
        In 0–1.

    Examples
    --------
    >>> [image.shape for image in sample_images()]
    [(256, 218, 3), (256, 256, 3), (256, 256, 3)]
    """
    return [images.load(s, 256) for s in (samples.portrait(), samples.swirling_night(256), samples.woodcut_waves(256))]


@checked()
def measure_mean_responses(network: VGG, over: Iterable[np.ndarray], floor: float = FLOOR) -> dict[str, np.ndarray]:
    """Mean response of every filter, over images and positions.

    Parameters
    ----------
    network : VGG
    over : iterable of ndarray, shape (H, W, 3)
        In 0–1.
    floor : float
        From 0 to 1. A filter that is dead on these images, or nearly (a mean of at most this share of its layer's),
        gets the mean of its layer instead; dividing by its own would let it dominate the first image that activates
        it. With 0, the means are as measured; otherwise they are positive.

    Returns
    -------
    dict of str to ndarray of float64, shape (N_l,)

    Raises
    ------
    TypeError, ValueError
        If `over` is a single image or empty, or floor is out of range.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> means = weights.measure_mean_responses(network, weights.sample_images()[:1])
    >>> bool(0.7 < means["conv3_1"].mean() < 1.4)
    True
    """
    check_number("floor", floor, most=1)
    if isinstance(over, np.ndarray) and over.ndim < 4:
        raise TypeError(f"over must be a list of images, found one array of shape {over.shape}")
    means, _ = _moments(network, over)
    if floor == 0:
        return means
    return {layer: _revived(m, floor) for layer, m in means.items()}


def _revived(m: np.ndarray, floor: float) -> np.ndarray:
    """The means of a layer's filters, with the layer's mean for those that are dead, or nearly."""
    return np.where(m <= floor * m.mean(), m.mean() or 1.0, m)


def _moments(network: VGG, over: Iterable[np.ndarray]) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every filter's mean response over images and positions, and the root of the mean of its square."""
    sums = {layer: np.zeros(len(bias)) for layer, (_, bias) in network.convolutions.items()}
    squares, positions = {layer: np.zeros_like(total) for layer, total in sums.items()}, dict.fromkeys(sums, 0)
    for image in over:
        for layer, a in network.features(image, sums).items():
            sums[layer] += a.sum(axis=(0, 1), dtype=np.float64)
            squares[layer] += np.square(a).sum(axis=(0, 1), dtype=np.float64)
            positions[layer] += a.shape[0] * a.shape[1]
    if not all(positions.values()):
        raise ValueError("mean responses need at least one image, found none")
    means = {layer: sums[layer] / positions[layer] for layer in sums}
    return means, {layer: np.sqrt(squares[layer] / positions[layer]) for layer in sums}


@checked()
def estimate_mean_responses(network: VGG) -> dict[str, np.ndarray]:
    """The constants of the normalisation for a network that comes without its own.

    Those of the published VGG-19 are known for blocks 1 to 3, with average pooling. The others are estimated from the
    sample images. These are few: a filter that happens to respond rarely to them, with probability p at a position
    instead of p', has a mean p/p' times too small, and dividing by it would make the filter too strong. The root of its
    mean square is too small only by √(p/p'). So a filter whose mean is small in comparison with that root, by the
    median of its layer, takes the root times that median instead.

    Parameters
    ----------
    network : VGG

    Returns
    -------
    dict of str to ndarray of float64, shape (N_l,)
        For every convolution; positive.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> network = weights.load("vgg19-mini", normalize=False)
    >>> len(weights.estimate_mean_responses(network)["conv1_1"])
    32
    """
    known: dict[str, np.ndarray] = {}
    kernel, _ = network.convolutions["conv1_1"]
    digest = hashlib.sha256(kernel.astype("<f4").tobytes()).hexdigest()
    if network.pooling == "average":
        with np.load(KNOWN) as file:
            for name in (name for name in file.files if "/" not in name and str(file[name]) == digest):
                known = {layer: file[f"{name}/{layer}"] for layer in network.convolutions if f"{name}/{layer}" in file}
    if len(known) == len(network.convolutions):
        return known
    means, roots = _moments(network, sample_images())
    found = {}
    for layer, mean in means.items():
        root, alive = roots[layer], mean > 0
        usual = np.median(mean[alive] / root[alive]) if alive.any() else 1.0
        found[layer] = _revived(np.maximum(mean, usual * root), FLOOR)
    return found | known


@checked()
def normalize_network(network: VGG, mean_responses: Mapping[str, np.ndarray]) -> VGG:
    """The same network with every filter's response divided by a constant of its own.

    Dividing kernel and bias of filter k by m_k divides its response by m_k, since ReLU(z/m) = ReLU(z)/m for m > 0;
    pooling passes that on; and multiplying the next layer's kernel by m_k at input channel k undoes it there. So each
    response changes by its own constant and by nothing else.

    With m_k = the mean response over a set of images and positions, all filters respond with mean 1. Gatys et al. 2015
    (section Methods) work with such a network: the losses of different layers, and of different networks, are then on
    one scale.

    Parameters
    ----------
    network : VGG
    mean_responses : mapping of str to ndarray, shape (N_l,)
        For every convolution; positive.

    Returns
    -------
    VGG

    Raises
    ------
    ValueError
        If a layer has no mean responses, or not one positive number for every filter.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import VGG
    >>> network = VGG({"conv1_1": (np.ones((3, 3, 3, 2)), np.array([1.0, 1.0]))}, np.zeros(3))
    >>> normalize_network(network, {"conv1_1": np.array([2.0, 4.0])}).convolutions["conv1_1"][1]
    array([0.5 , 0.25])
    """
    check_mean_responses(network.convolutions, mean_responses)
    convolutions, below = {}, np.ones(3)
    for layer, (kernel, bias) in network.convolutions.items():
        m = np.asarray(mean_responses[layer], np.float64)
        convolutions[layer] = (kernel * (below[:, None] / m)).astype(kernel.dtype), (bias / m).astype(bias.dtype)
        below = m
    return replace(network, convolutions=convolutions)
