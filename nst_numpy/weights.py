"""Weight files, the embedded network, and the normalisation that puts all networks on one scale.

The library's own file is HDF5. Root attributes: `format` = "nst_numpy.vgg", `version`, `name`, `mean` (RGB, 0–255),
`scale`, `source`, `licence`. One group per convolution: `conv1_1/kernel` (3, 3, C, K), `conv1_1/bias` (K,) and, if
known, `conv1_1/mean_response` (K,), the constants of the normalisation.
"""

import dataclasses
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from nst_numpy import images, layers, samples
from nst_numpy.network import VGG, layer_names

FORMAT, VERSION = "nst_numpy.vgg", 1
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939])

# Filters per block of the embedded network, and the last layer that it has.
WIDTHS, LAST = (32, 64, 128, 128, 128), "conv5_1"


def load(
    path: str | os.PathLike,
    *,
    normalize: bool = True,
    pooling: str = "average",
    dtype: np.dtype = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """Read a network from a file in the library's own format.

    Parameters
    ----------
    path : path
    normalize : bool
        Scale every filter to mean response 1 (see `normalize_network`), with the constants that the file holds, or else
        with those measured on the library's sample images. False keeps the scale of the file.
    pooling : {"average", "max"}
    dtype : float32 or float64
    backend : {"fast", "plain"}
    threads : int, optional
        As in `VGG`.

    Returns
    -------
    VGG

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not such a file, lacks something, or holds wrong shapes or values; the message names what was expected
        and what was found.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no weight file {path}")
    try:
        with h5py.File(path) as file:
            network, mean_responses = _read(file, np.dtype(dtype), pooling=pooling, backend=backend, threads=threads)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except OSError:
        raise ValueError(f"{path} is not a weight file: expected HDF5 in the layout of {FORMAT}") from None
    if not normalize:
        return network
    return normalize_network(network, mean_responses or measure_mean_responses(network, sample_images()))


def save(
    path: str | os.PathLike,
    network: VGG,
    *,
    source: str,
    licence: str,
    mean_responses: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a network to a file in the library's own format, whole or not at all.

    Parameters
    ----------
    path : path
    network : VGG
    source, licence : str
        Where the weights come from, and their terms.
    mean_responses : mapping of str to ndarray, optional
        Constants of the normalisation, for every convolution.
    """
    path = Path(path)
    with tempfile.TemporaryDirectory(prefix=".nst_numpy_", dir=path.parent) as folder:
        part = Path(folder) / path.name
        with h5py.File(part, "w") as file:
            file.attrs.update(format=FORMAT, version=VERSION, name=network.name, source=source, licence=licence)
            file.attrs.update(mean=network.mean, scale=network.scale)
            for layer, (kernel, bias) in network.convolutions.items():
                file[f"{layer}/kernel"], file[f"{layer}/bias"] = kernel, bias
                if mean_responses:
                    file[f"{layer}/mean_response"] = mean_responses[layer]
        os.replace(part, path)


def random_network(
    seed: int = 0,
    *,
    pooling: str = "average",
    dtype: np.dtype = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """The embedded network: a narrow VGG-19 up to conv5_1 with random filters, normalised.

    The filters are drawn from a normal distribution with variance 2/(9 C), C the number of input channels (He et al.
    2015, arXiv 1502.01852, equation 10), and made orthogonal where there are no more of them than inputs, so that no
    two say the same. The biases centre every filter's input to its ReLU on the library's sample images: with biases of
    0, the responses of random layers grow more alike with depth. Such a network knows no objects, but its Gram matrices
    tell textures apart (Ustyuzhaninov et al. 2016, arXiv 1606.00021).

    Parameters
    ----------
    seed : int
    pooling : {"average", "max"}
    dtype : float32 or float64
    backend : {"fast", "plain"}
    threads : int, optional
        As in `VGG`.

    Returns
    -------
    VGG
    """
    rng = np.random.default_rng(seed)
    over = sample_images()
    responses = [(255 * image[::2, ::2] - IMAGENET_MEAN).astype(np.float32) for image in over]
    convolutions, block = {}, "1"
    for layer, kernel in he_kernels(rng, WIDTHS, LAST):
        if layer[4] != block:
            responses, block = [layers.average_pool_forward(a) for a in responses], layer[4]
        channels, filters = kernel.shape[2:]
        if filters <= 9 * channels:
            kernel = np.linalg.qr(kernel.reshape(9 * channels, filters))[0].reshape(kernel.shape) * np.sqrt(2)
        kernel = kernel.astype(np.float32)
        inputs = [layers.conv_forward(a, kernel, np.zeros(filters, np.float32)) for a in responses]
        bias = -np.concatenate([z.reshape(-1, filters) for z in inputs]).mean(axis=0)
        responses = [layers.relu_forward(z + bias) for z in inputs]
        convolutions[layer] = kernel.astype(dtype), bias.astype(dtype)
    network = VGG(convolutions, IMAGENET_MEAN, 1.0, pooling, f"random-vgg19-{seed}", backend, threads)
    return normalize_network(network, measure_mean_responses(network, over))


def he_kernels(rng: np.random.Generator, widths: tuple[int, ...], last: str) -> Iterator[tuple[str, np.ndarray]]:
    """Names and random kernels (3, 3, C, K) of VGG-19's convolutions up to `last`, with so many filters in each block.

    He et al. 2015 (arXiv 1502.01852), equation 10: normal, with variance 2/(9 C).
    """
    channels, names = 3, layer_names("vgg19")
    for layer in names[: names.index(last) + 1]:
        if layer.startswith("conv"):
            filters = widths[int(layer[4]) - 1]
            yield layer, rng.standard_normal((3, 3, channels, filters)) * np.sqrt(2 / (9 * channels))
            channels = filters


def sample_images() -> list[np.ndarray]:
    """The library's sample images at 256 pixels: what the mean responses of a network are measured on."""
    return [images.load(s, 256) for s in (samples.portrait(), samples.swirling_night(256), samples.woodcut_waves(256))]


def measure_mean_responses(network: VGG, over: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
    """Mean response of every filter, over images and positions.

    Parameters
    ----------
    network : VGG
    over : iterable of ndarray, shape (H, W, 3)
        In 0–1.

    Returns
    -------
    dict of str to ndarray, shape (N_l,)
        Positive: a filter that is dead on these images, or as good as dead, with a mean under a hundredth of its
        layer's, gets the mean of its layer. (Dividing by its own would let it shout on the first image that wakes it.)
    """
    sums = {layer: 0.0 for layer in network.convolutions}
    positions = dict.fromkeys(sums, 0)
    for image in over:
        for layer, a in network.features(image, sums).items():
            sums[layer] = sums[layer] + a.sum(axis=(0, 1), dtype=np.float64)
            positions[layer] += a.shape[0] * a.shape[1]
    means = {layer: sums[layer] / positions[layer] for layer in sums}
    return {layer: np.where(m <= 0.01 * m.mean(), m.mean() or 1.0, m) for layer, m in means.items()}


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


def _read(file: h5py.File, dtype: np.dtype, **runs) -> tuple[VGG, dict[str, np.ndarray]]:
    """The network in a file, made with the options `runs`, and the mean responses if the file holds them."""
    attributes = dict(file.attrs)
    if attributes.get("format") != FORMAT:
        raise ValueError(f"expected the attribute format={FORMAT!r}, found {attributes.get('format', 'none')!r}")
    if attributes.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, found {attributes.get('version', 'none')}")
    mean = _attribute(attributes, "mean", (3,))
    scale = _attribute(attributes, "scale", ())
    convolutions, mean_responses = {}, {}
    for layer in sorted(file):
        kernel, bias = (_dataset(file, f"{layer}/{what}", dtype) for what in ("kernel", "bias"))
        convolutions[layer] = kernel, bias
        if f"{layer}/mean_response" in file:
            m = _dataset(file, f"{layer}/mean_response", np.dtype(np.float64))
            if m.shape != bias.shape or not (np.isfinite(m) & (m > 0)).all():
                raise ValueError(f"{layer}/mean_response: expected {len(bias)} positive values, found shape {m.shape}")
            mean_responses[layer] = m
    network = VGG(convolutions, mean, float(scale), name=str(attributes.get("name", "")), **runs)
    if mean_responses and mean_responses.keys() != convolutions.keys():
        absent = next(layer for layer in convolutions if layer not in mean_responses)
        raise ValueError(f"{absent}/mean_response is missing, while other layers have theirs")
    return network, mean_responses


def _attribute(attributes: dict, name: str, shape: tuple[int, ...]) -> np.ndarray:
    value = np.asarray(attributes.get(name, np.nan))
    if value.shape != shape or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise ValueError(f"the attribute {name} is missing or wrong: expected {'3 numbers' if shape else 'a number'}")
    return value.astype(np.float64)


def _dataset(file: h5py.File, name: str, dtype: np.dtype) -> np.ndarray:
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"the dataset {name} is missing")
    if dataset.dtype.kind != "f":
        raise ValueError(f"{name}: expected floating-point numbers, found {dataset.dtype}")
    return dataset[()].astype(dtype)
