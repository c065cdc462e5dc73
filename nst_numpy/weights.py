"""Networks from files and to files, random ones, and the normalisation that puts all networks on one scale.

`formats` reads the files, `register` knows the official ones. The library's own file is HDF5. Root attributes: `format`
= "nst_numpy.vgg", `version`, `name`, `mean` (RGB, 0–255), `scale`, `source`, `licence`. One group per convolution:
`conv1_1/kernel` (3, 3, C, K), `conv1_1/bias` (K,) and, if known, `conv1_1/mean_response` (K,), the constants of the
normalisation.
"""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import h5py
import numpy as np

from nst_numpy import formats, images, layers, register, samples
from nst_numpy.formats import IMAGENET_MEAN
from nst_numpy.network import VGG, convolution_names

# Filters per block of the library's own networks, trained and random, and the last layer that they have.
WIDTHS, LAST = (32, 96, 160, 160, 160), "conv5_1"


def load(
    source: str | os.PathLike,
    *,
    normalize: bool = True,
    pooling: str = "average",
    dtype: np.dtype = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """Read a network from a file, or by the name of an official one, which is downloaded at first use.

    Parameters
    ----------
    source : path or str
        A weight file of any layout in `formats`, or a name of the register, such as "vgg19-mini" or "vgg19".
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
        If it is neither a known name nor a weight file, lacks something, or holds wrong shapes or values; the message
        names what was expected and what was found.
    OSError
        If it can't be downloaded; see `register.fetch`.
    """
    path = find(source)
    contents = formats.read(path)
    network = _network(contents, path, dtype, pooling=pooling, backend=backend, threads=threads)
    if not normalize:
        return network
    return normalize_network(network, contents.mean_responses or measure_mean_responses(network, sample_images()))


def find(source: str | os.PathLike) -> Path:
    """The path of a weight file, given its path, or its name in the register (see `register.fetch`)."""
    path = Path(source)
    is_name = source in register.REGISTER or (isinstance(source, str) and not path.suffix and not path.exists())
    return register.fetch(source) if is_name else path


def _network(contents: formats.Contents, path: Path, dtype: np.dtype = np.float32, **runs) -> VGG:
    convolutions = {
        layer: tuple(np.ascontiguousarray(a, dtype) for a in pair) for layer, pair in contents.convolutions.items()
    }
    try:
        return VGG(convolutions, contents.mean, contents.scale, name=contents.name or path.stem, **runs)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def save(
    path: str | os.PathLike,
    network: VGG,
    *,
    source: str,
    licence: str,
    mean_responses: Mapping[str, np.ndarray] | None = None,
    dtype: np.dtype | None = None,
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
    dtype : floating-point type, optional
        Of the kernels and biases in the file; by default the network's own. float16 halves the file, and changes
        responses by some parts in a thousand.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"there is no folder {path.parent} for {path.name}")
    with images.whole_file(path) as part, h5py.File(part, "w") as file:
        file.attrs.update(format=formats.FORMAT, version=formats.VERSION, name=network.name)
        file.attrs.update(mean=network.mean, scale=network.scale, source=source, licence=licence)
        for layer, (kernel, bias) in network.convolutions.items():
            file[f"{layer}/kernel"] = kernel.astype(dtype or network.dtype)
            file[f"{layer}/bias"] = bias.astype(dtype or network.dtype)
            if mean_responses:
                file[f"{layer}/mean_response"] = mean_responses[layer]


def convert(
    source: str | os.PathLike, output: str | os.PathLike, *, over: Iterable[str | os.PathLike] = ()
) -> formats.Contents:
    """Read a weight file of any layout and write it in the library's own.

    Parameters
    ----------
    source : path or str
        As in `load`.
    output : path
    over : iterable of path
        Images; if there are any, the network is normalised on them: every filter's mean response, over the positions of
        all of them, becomes 1.

    Returns
    -------
    Contents
        What was read.

    Raises
    ------
    FileNotFoundError, ValueError, OSError
        As in `load` and `save`.
    """
    path = find(source)
    contents = formats.read(path)
    network, constants = _network(contents, path), contents.mean_responses
    if over := [images.load(image) for image in over]:
        network = normalize_network(network, measure_mean_responses(network, over))
        constants = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}
    name = register.identify(path)
    known = register.REGISTER.get(name)
    origin = contents.source or (known.url if known else f"converted from {path.name} ({contents.layout})")
    licence = contents.licence or (known.licence if known else "as the file that it was converted from")
    save(output, network, source=origin, licence=licence, mean_responses=constants)
    return contents


def summary(source: str | os.PathLike) -> str:
    """What a weight file holds, layer by layer: shapes, norms, and mean responses to the library's sample images."""
    path = find(source)
    contents = formats.read(path)
    network = _network(contents, path)
    means = measure_mean_responses(network, sample_images(), floor=0)
    colours = " ".join(f"{value:.3f}" for value in network.mean)
    count = sum(a.size for pair in network.convolutions.values() for a in pair)
    lines = [
        f"{network.name}: {contents.layout}, {count:,} parameters, input (RGB − [{colours}]) · {network.scale:.4g}",
        *(f"{what}: {text}" for what, text in (("source", contents.source), ("licence", contents.licence)) if text),
        f"{'layer':8} {'kernel':>16} {'‖kernel‖':>10} {'biases':>21} {'mean responses':>31} {'dead':>5}",
    ]
    for layer, (kernel, bias) in network.convolutions.items():
        m = means[layer]
        lines.append(
            f"{layer:8} {'×'.join(map(str, kernel.shape)):>16} {np.linalg.norm(kernel):10.4g} "
            f"{bias.min():10.3g} …{bias.max():9.3g} {m.min():9.3g} …{np.median(m):9.3g} …{m.max():9.3g} "
            f"{(m == 0).sum():5}"
        )
    return "\n".join(lines)


def first_filters(network: VGG) -> np.ndarray:
    """A picture of the filters of conv1_1, each stretched to the whole range of brightness, 24 pixels wide.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)
    """
    kernel = network.convolutions["conv1_1"][0]
    kernel = (kernel / (2 * np.abs(kernel).max(axis=(0, 1, 2)) + 1e-12) + 0.5).transpose(3, 0, 1, 2)
    columns = int(np.ceil(np.sqrt(len(kernel))))
    tiles = np.ones((-(-len(kernel) // columns) * columns, 28, 28, 3))
    tiles[: len(kernel), 2:-2, 2:-2] = kernel.repeat(8, axis=1).repeat(8, axis=2)
    rows = tiles.reshape(-1, columns, 28, 28, 3).swapaxes(1, 2)
    return images.to_uint8(rows.reshape(-1, 28 * columns, 3))


def random_network(
    seed: int = 0,
    *,
    pooling: str = "average",
    dtype: np.dtype = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """A narrow VGG-19 up to conv5_1 with random filters, normalised: what a network can do that has learned nothing.

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
    channels, names = 3, convolution_names("vgg19")
    for layer in names[: names.index(last) + 1]:
        filters = widths[int(layer[4]) - 1]
        yield layer, rng.standard_normal((3, 3, channels, filters)) * np.sqrt(2 / (9 * channels))
        channels = filters


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
