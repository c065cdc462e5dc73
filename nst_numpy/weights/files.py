"""Networks from weight files and to them: `load`, `save`, `convert`, and what a file holds."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import DTypeLike

from nst_numpy import images
from nst_numpy.network import VGG
from nst_numpy.topology import FIRST
from nst_numpy.validation import checked, floating_type, shown
from nst_numpy.weights import formats, registry
from nst_numpy.weights.formats import Contents, StrPath
from nst_numpy.weights.normalization import (
    estimate_mean_responses,
    measure_mean_responses,
    normalize_network,
    sample_images,
)


def load(
    source: StrPath,
    *,
    normalize: bool = True,
    pooling: str = "average",
    padding: str = "zero",
    dtype: DTypeLike = np.float32,
    backend: str = "fast",
    threads: int | None = None,
) -> VGG:
    """Read a network from a file, or by the name of an official one, which is downloaded at first use.

    Parameters
    ----------
    source : path or str
        A weight file of any layout in `formats`, or a name of the registry, such as "vgg19-mini" or "vgg19".
    normalize : bool
        Scale every filter to mean response 1 (see `normalize_network`), with the constants in the file if it has them,
        otherwise with those of `estimate_mean_responses`. False keeps the scale of the file.
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
    FileNotFoundError
        If there is no such file.
    TypeError
        If an argument has the wrong type.
    ValueError
        If the source is neither a known name nor a weight file, lacks something, or holds wrong shapes or values; the
        message names what was expected and what was found. Also if another argument has a wrong value.
    OSError
        If it can't be downloaded; see `registry.fetch`.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> weights.load("vgg19-mini", pooling="max", dtype="float64", backend="plain")
    VGG('vgg19-mini', conv1_1 … conv5_1, max pooling, float64, plain backend)
    """
    if not isinstance(normalize, bool | np.bool_):
        raise TypeError(f"normalize must be True or False, found {shown(normalize)}")
    network, contents, _ = _read(source, dtype)
    network = replace(network, pooling=pooling, padding=padding, backend=backend, threads=threads)
    if not normalize:
        return network
    return normalize_network(network, contents.mean_responses or estimate_mean_responses(network))


def locate(source: StrPath) -> Path:
    """The path of a weight file, given its path or its name in the registry; a name is downloaded at first use.

    Raises
    ------
    TypeError
        If the source is neither a path nor a name.
    ValueError, OSError
        As in `registry.fetch`.

    Examples
    --------
    >>> locate("vgg19-mini").name
    'vgg19-mini.h5'
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(f"weights must be a path or a name such as 'vgg19', found {shown(source)}")
    path = Path(source)
    if isinstance(source, str) and (source in registry.REGISTRY or not (path.suffix or path.exists())):
        return registry.fetch(source)
    return path


def _read(source: StrPath, dtype: DTypeLike = np.float32) -> tuple[VGG, Contents, Path]:
    kind = floating_type(dtype, "float32", "float64")
    path = locate(source)
    contents = formats.read(path)
    convolutions = {
        layer: (np.ascontiguousarray(kernel, kind), np.ascontiguousarray(bias, kind))
        for layer, (kernel, bias) in contents.convolutions.items()
    }
    try:
        return VGG(convolutions, contents.mean, contents.scale, name=contents.name or path.stem), contents, path
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


@checked()
def save(
    path: StrPath,
    network: VGG,
    *,
    source: str,
    licence: str,
    mean_responses: Mapping[str, np.ndarray] | None = None,
    dtype: DTypeLike | None = None,
) -> None:
    """Write a network to a file in the library's own layout. An existing file is replaced only by a complete one.

    Parameters
    ----------
    path : path
        Ending in .h5 or .hdf5.
    network : VGG
    source, licence : str
        Where the weights come from, and their terms.
    mean_responses : mapping of str to ndarray, optional
        Constants of the normalisation, for every convolution.
    dtype : {float16, float32, float64}, optional
        Type of the kernels and biases in the file; by default the network's own. float16 halves the file, and changes
        responses by some parts in a thousand.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    TypeError, ValueError
        If an argument has the wrong type or value.

    Examples
    --------
    >>> import tempfile
    >>> from nst_numpy import weights
    >>> network = weights.load("vgg19-mini")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     weights.save(f"{folder}/copy.h5", network, source="vgg19-mini", licence="its own", dtype="float16")
    ...     weights.load(f"{folder}/copy.h5", normalize=False)
    VGG('vgg19-mini', conv1_1 … conv5_1, average pooling, float32, fast backend)
    """
    contents = Contents(
        layout="",
        convolutions=network.convolutions,
        mean=np.asarray(network.mean, np.float64),
        scale=network.scale,
        name=network.name,
        source=source,
        licence=licence,
        mean_responses=mean_responses or {},
    )
    formats.write(path, contents, dtype)


def convert(source: StrPath, output: StrPath, *, over: Iterable[StrPath] = ()) -> Contents:
    """Read a weight file of any layout and write it in the library's own, in float32.

    Parameters
    ----------
    source : path or str
        As in `load`.
    output : path
        Ending in .h5 or .hdf5; not the source.
    over : iterable of path
        Images; if there are any, the network is normalised on them: every filter's mean response, over the positions of
        all of them, becomes 1.

    Returns
    -------
    Contents
        What was read.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError, OSError
        As in `load` and `save`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     contents = convert("vgg19-mini", f"{folder}/vgg19-mini.h5")
    >>> contents.layout
    'nst_numpy'
    """
    if isinstance(over, str | os.PathLike | np.ndarray) or not isinstance(over, Iterable):
        raise TypeError(f"over must be a list of images, found {shown(over)}")
    network, contents, path = _read(source)
    mean_responses, over = contents.mean_responses, list(over)
    images.check_output(output, formats.SUFFIXES, inputs=[path, *over])
    if pixels := [images.load(image) for image in over]:
        network = normalize_network(network, measure_mean_responses(network, pixels))
        mean_responses = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}
    known = registry.REGISTRY.get(registry.identify(path))
    save(
        output,
        network,
        source=contents.source or (known.url if known else f"converted from {path.name} ({contents.layout})"),
        licence=contents.licence or (known.licence if known else "as the file that it was converted from"),
        mean_responses=mean_responses,
    )
    return contents


def summary(source: StrPath) -> str:
    """What a weight file holds, layer by layer: shapes, norms, and mean responses to the library's sample images.

    Parameters
    ----------
    source : path or str
        As in `load`.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError, OSError
        As in `load`.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> print(weights.summary("vgg19-mini").splitlines()[0])
    vgg19-mini: nst_numpy, 2,447,264 parameters, input (RGB − [123.680 116.779 103.939]) · 0.01724
    """
    network, contents, _ = _read(source)
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


@checked()
def first_filters(network: VGG) -> np.ndarray:
    """A picture of the filters of conv1_1: 24 × 24 pixels each, stretched to the full range of brightness.

    Returns
    -------
    ndarray of uint8, shape (H, W, 3)

    Examples
    --------
    >>> from nst_numpy import weights
    >>> weights.first_filters(weights.load("vgg19-mini")).shape  # 32 filters, 6 in a row, each with a border
    (168, 168, 3)
    """
    kernel = network.convolutions[FIRST][0]
    kernel = (kernel / (2 * np.abs(kernel).max(axis=(0, 1, 2)) + 1e-12) + 0.5).transpose(3, 0, 1, 2)
    columns = int(np.ceil(np.sqrt(len(kernel))))
    tiles = np.ones((-(-len(kernel) // columns) * columns, 28, 28, 3))
    tiles[: len(kernel), 2:-2, 2:-2] = kernel.repeat(8, axis=1).repeat(8, axis=2)
    rows = tiles.reshape(-1, columns, 28, 28, 3).swapaxes(1, 2)
    return images.to_uint8(rows.reshape(-1, 28 * columns, 3))
