"""Weight files: every common layout read into one form, and the library's own layout written.

Layouts differ in the container, the names of the layers, the order of a kernel's axes, the order of the colours, and
the preprocessing of the pixels in training. The layout is recognised from the content, never from the file's name.
No code in a file is ever run.

A convolution is linear. Colours in another order therefore only permute the input channels of the first kernel, and
dividing the pixels by a standard deviation is the same as dividing that kernel. After reading, every network takes RGB
in 0–255 less a mean, as the library's own do.
"""

import importlib
import io
import math
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import DTypeLike

from nst_numpy import images
from nst_numpy.topology import FIRST, TOPOLOGIES, block, convolution_name, convolution_names, is_convolution
from nst_numpy.validation import floating_type, shown

FORMAT, VERSION = "nst_numpy.vgg", 1
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939])  # RGB

# torchvision's preprocessing of RGB in 0–1.
TORCHVISION_MEAN, TORCHVISION_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

SUFFIXES = (".h5", ".hdf5")  # of the library's own files
EXPECTED = "HDF5 (nst_numpy, Keras), MatConvNet's .mat, PyTorch's .pth or safetensors"
NESTED = 30  # groups in an HDF5 file; those of Keras are some five
COMPRESSION = 8  # weights compress less than this; a file that claims more is not believed

StrPath = str | os.PathLike[str]
Convolutions = Mapping[str, tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True, eq=False)
class Contents:
    """What a weight file holds. The first convolution takes (RGB − `mean`) · `scale`, with RGB in 0–255.

    Attributes
    ----------
    layout : str
    convolutions : mapping of str to (kernel, bias)
        kernel (3, 3, C, K) and bias (K,) of conv1_1 and so on, of the file's floating-point types.
    mean : ndarray, shape (3,)
    scale : float
    name, source, licence : str
        Empty if the file does not say.
    mean_responses : mapping of str to ndarray, shape (K,)
        Constants of the normalisation, for every convolution; empty if the file holds none.

    Raises
    ------
    TypeError, ValueError
        If a string, a number or an array has the wrong type, shape or range. Whether the convolutions fit together is
        checked by `VGG`.
    """

    layout: str
    convolutions: Convolutions = field(repr=False)
    mean: np.ndarray
    scale: float = 1.0
    name: str = ""
    source: str = ""
    licence: str = ""
    mean_responses: Mapping[str, np.ndarray] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        for what in ("name", "source", "licence"):
            if not isinstance(getattr(self, what), str):
                raise TypeError(f"{what} must be a string, found {shown(getattr(self, what))}")
        for layer, pair in self.convolutions.items():
            for what, array in zip(("kernel", "bias"), pair, strict=True):
                if array.dtype.kind != "f":
                    raise ValueError(f"{layer}/{what}: expected floating-point numbers, found {array.dtype}")
        if self.mean.shape != (3,) or self.mean.dtype.kind != "f" or not np.isfinite(self.mean).all():
            raise ValueError(f"mean: expected 3 finite numbers, found {self.mean}")
        if not isinstance(self.scale, int | float | np.integer | np.floating) or not math.isfinite(self.scale):
            raise ValueError(f"scale: expected a finite number, found {self.scale!r}")
        if self.mean_responses:
            check_mean_responses(self.convolutions, self.mean_responses)


def check_mean_responses(convolutions: Convolutions, mean_responses: Mapping[str, np.ndarray]) -> None:
    """Refuse mean responses that are not one positive number for every filter of every convolution.

    Raises
    ------
    ValueError

    Examples
    --------
    >>> import numpy as np
    >>> pair = np.zeros((3, 3, 3, 2)), np.zeros(2)
    >>> check_mean_responses({"conv1_1": pair}, {"conv1_1": np.array([1.0, 0.0])})
    Traceback (most recent call last):
    ...
    ValueError: conv1_1/mean_response: expected 2 positive numbers, found 0.0 among them
    """
    for layer, (_, bias) in convolutions.items():
        if layer not in mean_responses:
            raise ValueError(f"{layer}/mean_response is missing; expected one for every convolution")
        m = np.asarray(mean_responses[layer])
        wrong = m[~(np.isfinite(m) & (m > 0))] if m.dtype.kind in "fiu" else m
        if m.shape != bias.shape or wrong.size:
            found = f"shape {m.shape}" if m.shape != bias.shape else f"{wrong[0]} among them"
            raise ValueError(f"{layer}/mean_response: expected {bias.size} positive numbers, found {found}")


def read(path: StrPath) -> Contents:
    """Read a weight file of any layout that the library knows.

    Parameters
    ----------
    path : path

    Returns
    -------
    Contents

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not a weight file of a known layout, is damaged, or needs a package that is not installed.

    Examples
    --------
    >>> from nst_numpy import weights
    >>> contents = read(weights.locate("vgg19-mini"))
    >>> contents.layout, list(contents.convolutions)[-1], contents.convolutions["conv1_1"][0].dtype
    ('nst_numpy', 'conv5_1', dtype('float16'))
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no weight file {path}")
    if not path.is_file():
        raise ValueError(f"{path} is not a weight file but {'a folder' if path.is_dir() else 'a device or a pipe'}")
    with open(path, "rb") as file:
        head = file.read(512)
    reader = _reader(head)
    if reader is None:
        if b"<html" in head.lower() or head.lstrip().lower().startswith(b"<!doctype"):
            raise ValueError(f"{path} is a web page, not a weight file; download the file itself")
        found = f"bytes that begin with {head[:8]!r}" if head else "an empty file"
        raise ValueError(f"{path} is not a weight file: expected {EXPECTED}, found {found}")
    try:
        return reader(path)
    except MemoryError:
        raise ValueError(f"{path}: claims more data than fits into memory") from None
    except ValueError as error:
        raise ValueError(f"{path}: {_line(error)}") from None
    except Exception as error:  # a parser may raise anything at a damaged file
        raise ValueError(f"{path}: damaged or cut short ({_line(error)})") from error


def write(path: StrPath, contents: Contents, dtype: DTypeLike | None = None) -> None:
    """Write a weight file in the library's own layout. A file of that name is replaced once the new one is complete.

    Parameters
    ----------
    path : path
        Ending in .h5 or .hdf5.
    contents : Contents
        Its `layout` is ignored.
    dtype : {float16, float32, float64}, optional
        Type of the kernels and biases in the file; by default, each keeps its own.

    Raises
    ------
    FileNotFoundError
        If there is no such folder.
    TypeError, ValueError
        If the path has another ending or can't be written, dtype is another type, or a value is too large for it.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> contents = Contents("", {"conv1_1": (np.zeros((3, 3, 3, 4)), np.ones(4))}, np.zeros(3), name="small")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write(f"{folder}/small.h5", contents, dtype="float16")
    ...     read(f"{folder}/small.h5")
    Contents(layout='nst_numpy', mean=array([0., 0., 0.]), scale=1.0, name='small', source='', licence='')
    """
    path = images.check_output(path, SUFFIXES)
    kind = None if dtype is None else floating_type(dtype, "float16", "float32", "float64")
    memory = io.BytesIO()  # HDF5 itself can crash on a full disk
    with h5py.File(memory, "w") as file:
        file.attrs.update(format=FORMAT, version=VERSION, name=contents.name, mean=contents.mean, scale=contents.scale)
        file.attrs.update(source=contents.source, licence=contents.licence)
        for layer, pair in contents.convolutions.items():
            for what, array in zip(("kernel", "bias"), pair, strict=True):
                with np.errstate(over="ignore"):
                    stored = array.astype(kind or array.dtype)
                if not np.isfinite(stored).all():
                    raise ValueError(f"{layer}/{what} contains values that are not finite in {stored.dtype}")
                file[f"{layer}/{what}"] = stored
            if contents.mean_responses:
                file[f"{layer}/mean_response"] = contents.mean_responses[layer]
    memory.seek(0)
    with images.whole_file(path) as part, part.open("wb") as whole:
        shutil.copyfileobj(memory, whole)  # not its buffer: Python 3.12.1 can crash on one that an error has kept


def _reader(head: bytes) -> Callable[[Path], Contents] | None:
    """The function for files that begin with these bytes."""
    if head.startswith(b"\x89HDF\r\n\x1a\n"):
        return _read_hdf5
    if head.startswith(b"MATLAB 5.0 MAT-file"):
        return _read_matconvnet
    if head.startswith((b"PK\x03\x04", b"\x80")):
        return _read_pytorch
    if head[8:9] == b"{":
        return _read_safetensors
    return None


# HDF5: the library's own layout, and two generations of Keras ---------------------------------------------------------


def _read_hdf5(path: Path) -> Contents:
    with h5py.File(path) as file:
        datasets: dict[str, h5py.Dataset] = {}  # those that are in this file: links that lead out of it are not visited

        def visit(name: str, item: h5py.Group | h5py.Dataset) -> bool | None:
            if isinstance(item, h5py.Dataset):
                datasets[name] = item
            return name.count("/") >= NESTED or None  # what is not None ends the visit

        if file.visititems(visit):
            raise ValueError(f"groups are nested {NESTED} deep; no weight file's are")
        return _read_own(dict(file.attrs), datasets) if "format" in file.attrs else _read_keras(datasets)


def _read_own(attributes: dict[str, Any], datasets: Mapping[str, h5py.Dataset]) -> Contents:
    if attributes["format"] != FORMAT:
        raise ValueError(f"expected the attribute format={FORMAT!r}, found {attributes['format']!r}")
    if attributes.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, found {attributes.get('version', 'none')}")
    for name in ("mean", "scale"):
        if np.asarray(attributes.get(name, "")).dtype.kind not in "fiu":
            raise ValueError(f"the attribute {name} is missing or not numeric")
    layers = sorted({name.split("/")[0] for name in datasets})
    return Contents(
        layout="nst_numpy",
        convolutions={
            layer: (_array(datasets, f"{layer}/kernel"), _array(datasets, f"{layer}/bias")) for layer in layers
        },
        mean=np.asarray(attributes["mean"], np.float64),
        scale=np.asarray(attributes["scale"]).item(),
        name=str(attributes.get("name", "")),
        source=str(attributes.get("source", "")),
        licence=str(attributes.get("licence", "")),
        mean_responses={
            layer: _array(datasets, name) for layer in layers if (name := f"{layer}/mean_response") in datasets
        },
    )


def _array(datasets: Mapping[str, h5py.Dataset], name: str) -> np.ndarray:
    if name not in datasets:
        raise ValueError(f"the dataset {name} is missing")
    dataset = datasets[name]
    stored = dataset.id.get_storage_size()  # what is absent would read as 0
    if dataset.nbytes > COMPRESSION * stored or dataset.external:
        raise ValueError(f"{name}: shape {dataset.shape} needs {dataset.nbytes} bytes, the file holds {stored}")
    return np.asarray(dataset[()])


def _read_keras(datasets: Mapping[str, h5py.Dataset]) -> Contents:
    """Keras's legacy files: a group block1_conv1 for every layer. Its .weights.h5: layers/conv2d_1/vars/0, and 1."""
    kernels: dict[str, list[str]] = {}
    biases: dict[str, list[str]] = {}
    for name, dataset in datasets.items():
        group = {1: biases, 4: kernels}.get(len(dataset.shape or ()))
        if group is None:
            continue
        if match := re.search(r"block(\d)_conv(\d)/", name):
            group.setdefault(convolution_name(match[1], match[2]), []).append(name)
        elif match := re.search(r"(.*)/vars/[01]$", name):
            group.setdefault(match[1], []).append(name)
    if not kernels:
        raise ValueError(f"expected the convolutions of a VGG, found {_some(datasets)}")
    for layer, names in kernels.items():
        both = names + biases.get(layer, [])
        if len(names) != 1 or len(both) != 2:
            raise ValueError(f"{layer}: expected one kernel and one bias, found {_some(both)}")
    layers = sorted(kernels, key=lambda name: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", name)])
    by_name = all(map(is_convolution, layers))
    convolutions = {
        name: (_array(datasets, kernels[layer][0]), _array(datasets, biases[layer][0]))
        for name, layer in zip(layers if by_name else _counted(len(layers)), layers, strict=True)
    }
    return Contents("Keras HDF5" if by_name else "Keras .weights.h5", _from_bgr(convolutions), IMAGENET_MEAN)


def _counted(count: int) -> list[str]:
    """The names of convolutions whose number alone is known: a whole VGG, or the beginning that all VGGs share."""
    known = [convolution_names(topology) for topology in TOPOLOGIES]
    for names in known:
        if len(names) == count or all(names[:count] == other[:count] for other in known):
            return names[:count]
    raise ValueError(f"expected 13 convolutions (VGG-16) or 16 (VGG-19), found {count}")


# MatConvNet -----------------------------------------------------------------------------------------------------------


def _read_matconvnet(path: Path) -> Contents:
    """MATLAB 5 files with structs `layers` and `normalization`; from beta 17 on the latter is in `meta`.

    Kernels are (height, width, C, K), colours RGB: MatConvNet's importer reversed both (utils/import-caffe.py,
    --transpose, which is its default). Readers that exchange height and width again are mistaken.
    """
    scipy = _package("scipy.io", "MatConvNet files", "scipy")
    trial = [sys.executable, "-I", "-c", "import sys, scipy.io; scipy.io.loadmat(sys.argv[1])", os.path.abspath(path)]
    if subprocess.run(trial, capture_output=True).returncode not in (0, 1):  # at a damaged file, SciPy can crash
        raise ValueError("damaged: SciPy crashes at it")
    file = scipy.loadmat(path, simplify_cells=True)
    try:
        normalization = (file.get("meta") or file)["normalization"]
        mean = np.asarray(normalization["averageImage"], np.float64).reshape(-1, 3).mean(axis=0)
        layers = {layer["name"]: layer["weights"] for layer in file["layers"] if is_convolution(layer["name"])}
        convolutions = {name: (np.asarray(W), np.asarray(b)) for name, (W, b) in layers.items()}
    except (AttributeError, KeyError, TypeError, ValueError, IndexError):
        found = _some(name for name in file if not name.startswith("__"))
        raise ValueError(f"expected MatConvNet's layers and normalization, found {found}") from None
    if not convolutions:
        raise ValueError(f"expected layers named {FIRST} and so on, found none")
    return Contents("MatConvNet", convolutions, mean)


# PyTorch and safetensors ----------------------------------------------------------------------------------------------


def _read_pytorch(path: Path) -> Contents:
    """A dictionary of tensors, with PyTorch's loader for weights only, which refuses any pickle that does more."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            members = {member.filename: member.file_size for member in archive.infolist()}
        if not any(name.endswith("/data.pkl") for name in members):
            raise ValueError(f"expected an archive of PyTorch, found one with {_some(members)}")
        _check_claim(sum(members.values()), path)
    torch = _package("torch", "PyTorch files", "torch")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError and others, by the kind of damage
        raise ValueError(
            f"damaged, or not only weights: PyTorch refused it, and nothing in it was run ({_line(error)})"
        ) from None
    if not isinstance(tensors, Mapping) or not all(
        isinstance(name, str) and isinstance(t, torch.Tensor) for name, t in tensors.items()
    ):
        raise ValueError(f"expected a dictionary of tensors (a state dict), found {type(tensors).__name__}")
    _check_claim(sum(t.numel() * t.element_size() for t in tensors.values()), path)
    return _from_state("PyTorch", {name: t.detach().numpy() for name, t in tensors.items()})


def _check_claim(size: int, path: Path) -> None:
    if size > COMPRESSION * path.stat().st_size:
        raise ValueError(f"claims {size} bytes of data in a file of {path.stat().st_size}")


def _read_safetensors(path: Path) -> Contents:
    return _from_state("safetensors", _package("safetensors.numpy", "safetensors files", "safetensors").load_file(path))


def _from_state(container: str, state: Mapping[str, np.ndarray]) -> Contents:
    """Weights as PyTorch keeps them, (K, C, 3, 3), by torchvision's numbers or by the names of the layers.

    Files with names are Gatys's, for BGR in 0–255. Files with numbers are torchvision's, for RGB in units of its
    standard deviation; except those whose classifier is NaN: these are Oxford's weights under torchvision's names, for
    RGB in 0–255.
    """
    modules = [name.removesuffix(".weight") for name, a in state.items() if a.ndim == 4]
    if modules and all(map(is_convolution, modules)):
        convolutions = _from_bgr(_convolutions(state, {name: name for name in modules}))
        return Contents(f"{container}, layers by name", convolutions, IMAGENET_MEAN)
    numbered = {int(m[1]): m[0] for m in (re.fullmatch(r"(?:features\.)?(\d+)", name) for name in modules) if m}
    for names in map(convolution_names, TOPOLOGIES):
        if numbered and sorted(numbered) == _torchvision_numbers(names)[: len(numbered)]:
            in_order = [numbered[n] for n in sorted(numbered)]
            convolutions = _convolutions(state, dict(zip(names, in_order, strict=False)))
            layout = f"{container}, torchvision"
            if np.isnan(state.get("classifier.0.weight", np.zeros(1))).any():
                return Contents(layout, convolutions, IMAGENET_MEAN)
            kernel, bias = convolutions[FIRST]
            if kernel.shape[2] == 3:
                convolutions[FIRST] = kernel / (255 * TORCHVISION_STD[:, None]), bias
            return Contents(layout, convolutions, 255 * TORCHVISION_MEAN)
    raise ValueError(f"expected the convolutions of VGG-16 or VGG-19, found {_some(state)}")


def _convolutions(
    state: Mapping[str, np.ndarray], modules: Mapping[str, str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernels (3, 3, C, K) and biases of the modules, by the names of their layers."""
    for module in modules.values():
        if f"{module}.bias" not in state:
            raise ValueError(f"{module}.bias is missing")
    return {
        name: (state[f"{module}.weight"].transpose(2, 3, 1, 0), state[f"{module}.bias"])
        for name, module in modules.items()
    }


def _torchvision_numbers(names: list[str]) -> list[int]:
    """Positions of the convolutions in a sequence where a ReLU follows each, and a pooling layer each block."""
    return [2 * k + block(name) - 1 for k, name in enumerate(names)]


# What several layouts share -------------------------------------------------------------------------------------------


def _from_bgr(convolutions: dict[str, tuple[np.ndarray, np.ndarray]]) -> Convolutions:
    """The convolutions with the first kernel for RGB instead of BGR."""
    if FIRST not in convolutions:
        return convolutions
    kernel, bias = convolutions[FIRST]
    return convolutions | {FIRST: (kernel[:, :, ::-1], bias)}


def _package(module: str, what: str, name: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"reading {what} needs the package {name}, which is not installed (pip install {name})"
        ) from None


def _some(names: Iterable[str]) -> str:
    names = list(names)
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "nothing"


def _line(error: Exception) -> str:
    """The first line of an error's message, shortened."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
