"""The normalisation that puts all networks on one scale: every filter's mean response becomes 1."""

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np

from nst_numpy import images, samples
from nst_numpy.network import VGG


def sample_images() -> list[np.ndarray]:
    """The library's sample images at 256 pixels: what the mean responses of a network are measured on."""
    return [images.load(s, 256) for s in (samples.portrait(), samples.swirling_night(256), samples.woodcut_waves(256))]


def measure_mean_responses(network: VGG, over: Iterable[np.ndarray], floor: float = 0.01) -> dict[str, np.ndarray]:
    """Mean response of every filter, over images and positions.

    Parameters
    ----------
    network : VGG
    over : iterable of ndarray, shape (H, W, 3)
        In 0–1.
    floor : float
        A filter that is dead on these images, or as good as dead, with a mean below this share of its layer's, gets the
        mean of its layer. (Dividing by its own would let it shout on the first image that wakes it.) With 0 all means
        are as measured; else they are positive.

    Returns
    -------
    dict of str to ndarray, shape (N_l,)
    """
    sums = {layer: 0.0 for layer in network.convolutions}
    positions = dict.fromkeys(sums, 0)
    for image in over:
        for layer, a in network.features(image, sums).items():
            sums[layer] = sums[layer] + a.sum(axis=(0, 1), dtype=np.float64)
            positions[layer] += a.shape[0] * a.shape[1]
    means = {layer: sums[layer] / positions[layer] for layer in sums}
    if floor == 0:
        return means
    return {layer: np.where(m <= floor * m.mean(), m.mean() or 1.0, m) for layer, m in means.items()}


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
    """
    convolutions, below = {}, np.ones(3)
    for layer, (kernel, bias) in network.convolutions.items():
        m = np.asarray(mean_responses[layer], np.float64)
        convolutions[layer] = (kernel * (below[:, None] / m)).astype(kernel.dtype), (bias / m).astype(bias.dtype)
        below = m
    return dataclasses.replace(network, convolutions=convolutions)
