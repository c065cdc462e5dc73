"""Networks with random filters, which show what a network can do without training."""

import dataclasses
from collections.abc import Iterator

import numpy as np
from numpy.typing import DTypeLike

from nst_numpy import layers
from nst_numpy.network import VGG
from nst_numpy.topology import block, convolution_names
from nst_numpy.validation import check_number, floating_type
from nst_numpy.weights.formats import IMAGENET_MEAN
from nst_numpy.weights.normalization import measure_mean_responses, normalize_network, sample_images

# Filters per block of the library's own networks, trained and random, and the last layer that they have.
WIDTHS, LAST = (32, 96, 160, 176, 256), "conv5_1"


def random_network(
    seed: int = 0,
    *,
    pooling: str = "average",
    padding: str = "zero",
    dtype: DTypeLike = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """A narrow, normalised VGG-19 up to conv5_1 with random filters.

    The filters are drawn from a normal distribution with variance 2/(9 C), C the number of input channels (He et al.
    2015, arXiv 1502.01852, equation 10), and made orthogonal where there are no more of them than inputs, so that no
    two respond alike. The biases centre every filter's input to its ReLU on the library's sample images: with biases of
    0, the responses of random layers grow more alike with depth. Such a network recognises no objects, but its Gram
    matrices distinguish textures (Ustyuzhaninov et al. 2016, arXiv 1606.00021).

    Parameters
    ----------
    seed : int
    pooling : {"average", "max"}
    padding : {"zero", "replicate", "circular"}
    dtype : float32 or float64
    backend : {"fast", "plain"}
    threads : int, optional
        As in `VGG`.

    Returns
    -------
    VGG

    Raises
    ------
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> random_network(seed=7, backend="plain")
    VGG('random-vgg19-7', conv1_1 … conv5_1, average pooling, float32, plain backend)
    """
    check_number("seed", seed, whole=True)
    kind = floating_type(dtype, "float32", "float64")
    tiny = {"conv1_1": (np.zeros((3, 3, 3, 1)), np.zeros(1))}
    VGG(tiny, IMAGENET_MEAN, 1.0, pooling, padding, "", backend, threads)  # refuses wrong arguments before the work
    rng = np.random.default_rng(seed)
    over = sample_images()
    responses = [(255 * image[::2, ::2] - IMAGENET_MEAN).astype(np.float32) for image in over]
    convolutions, before = {}, 1
    for layer, kernel in he_kernels(rng, WIDTHS, LAST):
        if block(layer) != before:
            responses, before = [layers.average_pool_forward(a) for a in responses], block(layer)
        channels, filters = kernel.shape[2:]
        if filters <= 9 * channels:
            kernel = np.linalg.qr(kernel.reshape(9 * channels, filters))[0].reshape(kernel.shape) * np.sqrt(2)
        kernel = kernel.astype(np.float32)
        inputs = [layers.conv_forward(a, kernel, np.zeros(filters, np.float32)) for a in responses]
        bias = -np.concatenate([z.reshape(-1, filters) for z in inputs]).mean(axis=0)
        responses = [layers.relu_forward(z + bias) for z in inputs]
        convolutions[layer] = kernel.astype(kind), bias.astype(kind)
    network = VGG(convolutions, IMAGENET_MEAN, 1.0, pooling, padding, f"random-vgg19-{seed}", backend, threads)
    measured = dataclasses.replace(network, backend="fast")  # the plain one would take minutes
    return normalize_network(network, measure_mean_responses(measured, over))


def he_kernels(rng: np.random.Generator, widths: tuple[int, ...], last: str) -> Iterator[tuple[str, np.ndarray]]:
    """Names and random kernels of VGG-19's convolutions up to `last`.

    He et al. 2015 (arXiv 1502.01852), equation 10: normal, with variance 2/(9 C).

    Parameters
    ----------
    rng : numpy.random.Generator
    widths : tuple of int
        Filters of the convolutions in each block.
    last : str

    Yields
    ------
    layer : str
    kernel : ndarray of float64, shape (3, 3, C, K)

    Examples
    --------
    >>> import numpy as np
    >>> [(layer, kernel.shape) for layer, kernel in he_kernels(np.random.default_rng(0), (8, 16), "conv2_1")]
    [('conv1_1', (3, 3, 3, 8)), ('conv1_2', (3, 3, 8, 8)), ('conv2_1', (3, 3, 8, 16))]
    """
    channels, names = 3, convolution_names("vgg19")
    for layer in names[: names.index(last) + 1]:
        filters = widths[block(layer) - 1]
        yield layer, rng.standard_normal((3, 3, channels, filters)) * np.sqrt(2 / (9 * channels))
        channels = filters
