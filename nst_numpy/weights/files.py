"""Networks from files and to files: `load`, `save`, `convert`, and what a file holds."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import h5py
import numpy as np

from nst_numpy import images
from nst_numpy.network import VGG
from nst_numpy.weights import formats, registry
from nst_numpy.weights.normalization import measure_mean_responses, normalize_network, sample_images


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
        A weight file of any layout in `formats`, or a name of the registry, such as "vgg19-mini" or "vgg19".
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
        If it can't be downloaded; see `registry.fetch`.
    """
    path = locate(source)
    contents = formats.read(path)
    network = _network(contents, path, dtype, pooling=pooling, backend=backend, threads=threads)
    if not normalize:
        return network
    return normalize_network(network, contents.mean_responses or measure_mean_responses(network, sample_images()))


def locate(source: str | os.PathLike) -> Path:
    """The path of a weight file, given its path, or its name in the registry (see `registry.fetch`)."""
    path = Path(source)
    is_name = source in registry.REGISTRY or (isinstance(source, str) and not path.suffix and not path.exists())
    return registry.fetch(source) if is_name else path


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
    path = locate(source)
    contents = formats.read(path)
    network, constants = _network(contents, path), contents.mean_responses
    if over := [images.load(image) for image in over]:
        network = normalize_network(network, measure_mean_responses(network, over))
        constants = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}
    name = registry.identify(path)
    known = registry.REGISTRY.get(name)
    origin = contents.source or (known.url if known else f"converted from {path.name} ({contents.layout})")
    licence = contents.licence or (known.licence if known else "as the file that it was converted from")
    save(output, network, source=origin, licence=licence, mean_responses=constants)
    return contents


def summary(source: str | os.PathLike) -> str:
    """What a weight file holds, layer by layer: shapes, norms, and mean responses to the library's sample images."""
    path = locate(source)
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
