"""Reading VGG weight files of every common layout into one form.

What differs between them: the container, the names of the layers, the order of a kernel's axes, the order of the
colours, and what was done to the pixels in training. The layout is recognised from the content, never from the name of
the file. Nothing here runs code that a file brings along.

A convolution is linear. So colours in another order only permute the first kernel's input channels, and a division of
the pixels by a standard deviation can as well be one of that kernel: after reading, every network takes RGB in 0–255
less a mean, as the library's own do.
"""

import importlib
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from nst_numpy.topology import convolution_names

FORMAT, VERSION = "nst_numpy.vgg", 1
IMAGENET_MEAN = np.array([123.68, 116.779, 103.939])  # RGB

# What torchvision does to RGB in 0–1.
TORCHVISION_MEAN, TORCHVISION_STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])

EXPECTED = "HDF5 (nst_numpy, Keras), MatConvNet's .mat, PyTorch's .pth or safetensors"


@dataclass
class Contents:
    """What a weight file holds: RGB in 0–255, less `mean`, times `scale` goes into the first convolution.

    Attributes
    ----------
    layout : str
    convolutions : dict of str to (kernel, bias)
        kernel (3, 3, C, K) and bias (K,) of conv1_1 and so on, of the file's floating-point types.
    mean : ndarray, shape (3,)
    scale : float
    name, source, licence : str
        Empty if the file says nothing.
    mean_responses : dict of str to ndarray, shape (K,)
        Empty if the file holds none.
    """

    layout: str
    convolutions: dict[str, tuple[np.ndarray, np.ndarray]]
    mean: np.ndarray
    scale: float = 1.0
    name: str = ""
    source: str = ""
    licence: str = ""
    mean_responses: dict[str, np.ndarray] = field(default_factory=dict)


def read(path: str | os.PathLike) -> Contents:
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
        If it is no weight file of a known layout, is damaged, or needs a package that is not installed.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"there is no weight file {path}")
    if path.is_dir():
        raise ValueError(f"{path} is not a weight file but a folder")
    with open(path, "rb") as file:
        head = file.read(512)
    try:
        if head.startswith(b"\x89HDF\r\n\x1a\n"):
            return _read_hdf5(path)
        if head.startswith(b"MATLAB 5.0 MAT-file"):
            return _read_matconvnet(path)
        if head.startswith((b"PK\x03\x04", b"\x80")):
            return _read_pytorch(path)
        if head[8:9] == b"{":
            return _read_safetensors(path)
    except MemoryError:
        raise ValueError(f"{path}: claims more data than fits into the memory") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    if b"<html" in head.lower() or head.lstrip().lower().startswith(b"<!doctype"):
        raise ValueError(f"{path} is a web page, not a weight file; download the file itself")
    found = f"bytes that begin with {head[:8]!r}" if head else "an empty file"
    raise ValueError(f"{path} is not a weight file: expected {EXPECTED}, found {found}")


# HDF5: the library's own, and two generations of Keras ----------------------------------------------------------------


def _read_hdf5(path: Path) -> Contents:
    try:
        with h5py.File(path) as file:
            if "format" in file.attrs:
                return _read_own(file)
            return _read_keras(file)
    except (OSError, RuntimeError, KeyError) as error:  # what h5py raises where a file ends too soon, or is damaged
        raise ValueError(f"this HDF5 file is damaged or cut short ({error})") from None


def _read_own(file: h5py.File) -> Contents:
    attributes = dict(file.attrs)
    if attributes["format"] != FORMAT:
        raise ValueError(f"expected the attribute format={FORMAT!r}, found {attributes['format']!r}")
    if attributes.get("version") != VERSION:
        raise ValueError(f"expected version {VERSION}, found {attributes.get('version', 'none')}")
    mean, scale = _attribute(attributes, "mean", (3,)), _attribute(attributes, "scale", ())
    said = {name: str(attributes.get(name, "")) for name in ("name", "source", "licence")}
    contents = Contents("nst_numpy", {}, mean, float(scale), **said)
    for layer in sorted(file):
        contents.convolutions[layer] = tuple(_dataset(file, f"{layer}/{what}") for what in ("kernel", "bias"))
        if f"{layer}/mean_response" in file:
            m, filters = _dataset(file, f"{layer}/mean_response"), contents.convolutions[layer][1].size
            if m.shape != (filters,) or not (np.isfinite(m) & (m > 0)).all():
                raise ValueError(f"{layer}/mean_response: expected {filters} positive values, found shape {m.shape}")
            contents.mean_responses[layer] = m
    if contents.mean_responses and contents.mean_responses.keys() != contents.convolutions.keys():
        absent = next(layer for layer in contents.convolutions if layer not in contents.mean_responses)
        raise ValueError(f"{absent}/mean_response is missing, while other layers have theirs")
    return contents


def _attribute(attributes: dict, name: str, shape: tuple[int, ...]) -> np.ndarray:
    value = np.asarray(attributes.get(name, np.nan))
    if value.shape != shape or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise ValueError(f"the attribute {name} is missing or wrong: expected {'3 numbers' if shape else 'a number'}")
    return value.astype(np.float64)


def _dataset(file: h5py.Group, name: str) -> np.ndarray:
    dataset = file.get(name)
    if not isinstance(dataset, h5py.Dataset):
        raise ValueError(f"the dataset {name} is missing")
    if dataset.dtype.kind != "f":
        raise ValueError(f"{name}: expected floating-point numbers, found {dataset.dtype}")
    if dataset.nbytes > 8 * dataset.id.get_storage_size():  # weights do not compress so far; what is absent reads as 0
        stored = dataset.id.get_storage_size()
        raise ValueError(f"{name}: shape {dataset.shape} needs {dataset.nbytes} bytes, the file holds {stored}")
    return dataset[()]


def _read_keras(file: h5py.File) -> Contents:
    """Keras's legacy files: a group block1_conv1 for every layer. Its .weights.h5: layers/conv2d_1/vars/0, and 1."""
    datasets = []
    file.visititems(lambda name, item: datasets.append(name) if isinstance(item, h5py.Dataset) else None)
    kernels, biases = {}, {}
    for name in datasets:
        of = {1: biases, 4: kernels}.get(file[name].ndim)
        if of is None:
            continue
        if match := re.search(r"block(\d)_conv(\d)/", name):
            of.setdefault("conv{}_{}".format(*match.groups()), []).append(name)
        elif match := re.search(r"(.*)/vars/[01]$", name):
            of.setdefault(match[1], []).append(name)
    biases = {layer: names for layer, names in biases.items() if layer in kernels}
    _check_pairs(kernels, biases, datasets)
    layers = sorted(kernels, key=lambda name: [int(n) if n.isdigit() else n for n in re.split(r"(\d+)", name)])
    names = layers if all(map(_is_convolution, layers)) else _numbered(len(layers))
    layout = "Keras HDF5" if names is layers else "Keras .weights.h5"
    convolutions = {
        name: (_dataset(file, kernels[layer][0]), _dataset(file, biases[layer][0]))
        for name, layer in zip(names, layers, strict=True)
    }
    return Contents(layout, _from_bgr(convolutions), IMAGENET_MEAN)


def _check_pairs(kernels: Mapping[str, list], biases: Mapping[str, list], found: list[str]) -> None:
    if not kernels:
        raise ValueError(f"expected the convolutions of a VGG, found {_some(found)}")
    for layer, names in kernels.items():
        if len(names) != 1 or len(biases.get(layer, ())) != 1:
            raise ValueError(f"{layer}: expected one kernel and one bias, found {_some(names + biases.get(layer, []))}")


def _numbered(count: int) -> list[str]:
    """The names of convolutions that are only counted."""
    if count <= 7:  # as far as VGG-16 and VGG-19 agree
        return convolution_names("vgg19")[:count]
    for topology in ("vgg16", "vgg19"):
        if len(convolution_names(topology)) == count:
            return convolution_names(topology)
    raise ValueError(f"expected 13 convolutions (VGG-16) or 16 (VGG-19), found {count}")


# MatConvNet -----------------------------------------------------------------------------------------------------------


def _read_matconvnet(path: Path) -> Contents:
    """MATLAB 5 files with structs `layers` and `normalization`; from beta 17 on the latter is in `meta`.

    Kernels are (height, width, C, K), colours RGB: MatConvNet's importer turned both round (utils/import-caffe.py,
    --transpose, which is its default). Readers that exchange height and width again are mistaken.
    """
    io = _package("scipy.io", "MatConvNet files", "scipy")
    try:
        file = io.loadmat(path, simplify_cells=True)
    except Exception as error:  # whatever SciPy meets in a damaged file
        raise ValueError(f"this MATLAB file is damaged or cut short ({error})") from None
    try:
        normalization = (file.get("meta") or file)["normalization"]
        mean = np.asarray(normalization["averageImage"], np.float64).reshape(-1, 3).mean(axis=0)
        layers = {layer["name"]: layer["weights"] for layer in file["layers"] if _is_convolution(layer["name"])}
        convolutions = {name: (np.asarray(W), np.asarray(b).reshape(-1)) for name, (W, b) in layers.items()}
    except (KeyError, TypeError, ValueError, IndexError):
        found = _some([name for name in file if not name.startswith("__")])
        raise ValueError(f"expected MatConvNet's layers and normalization, found {found}") from None
    if not convolutions:
        raise ValueError("expected layers named conv1_1 and so on, found none")
    return Contents("MatConvNet", convolutions, mean)


# PyTorch and safetensors ----------------------------------------------------------------------------------------------


def _read_pytorch(path: Path) -> Contents:
    """A dictionary of tensors, through PyTorch's loading of weights only: a pickle that wants to do more is refused."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            if not any(name.endswith("/data.pkl") for name in archive.namelist()):
                raise ValueError(f"expected an archive of PyTorch, found one with {_some(archive.namelist())}")
    torch = _package("torch", "PyTorch files", "torch")
    try:
        tensors = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # UnpicklingError, RuntimeError, EOFError and others, by the kind of damage
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise ValueError(
            f"damaged, or not only weights: PyTorch refused it, and nothing in it was run ({reason})"
        ) from None
    if not isinstance(tensors, Mapping) or not all(isinstance(t, torch.Tensor) for t in tensors.values()):
        raise ValueError(f"expected a dictionary of tensors (a state dict), found {type(tensors).__name__}")
    return _from_state("PyTorch", {name: t.detach().numpy() for name, t in tensors.items() if t.is_floating_point()})


def _read_safetensors(path: Path) -> Contents:
    safetensors = _package("safetensors.numpy", "safetensors files", "safetensors")
    try:
        return _from_state("safetensors", safetensors.load_file(path))
    except ValueError:
        raise
    except Exception as error:  # SafetensorError, and TypeError for number types that NumPy lacks
        raise ValueError(f"this safetensors file is damaged or unusual ({error})") from None


def _from_state(container: str, state: Mapping[str, np.ndarray]) -> Contents:
    """Weights as PyTorch keeps them, (K, C, 3, 3), by torchvision's numbers or by the names of the layers.

    Files with names are Gatys's, for BGR in 0–255. Files with numbers are torchvision's, for RGB in units of its
    standard deviation; except those whose classifier is NaN: these are Oxford's weights under torchvision's names, for
    RGB in 0–255.
    """
    modules = [name.removesuffix(".weight") for name, a in state.items() if a.ndim == 4]
    if modules and all(map(_is_convolution, modules)):
        convolutions = _from_bgr(_convolutions(state, {name: name for name in modules}))
        return Contents(f"{container}, layers by name", convolutions, IMAGENET_MEAN)
    numbered = {int(m[1]): m[0] for m in (re.fullmatch(r"(?:features\.)?(\d+)", name) for name in modules) if m}
    for topology in ("vgg19", "vgg16"):
        names = convolution_names(topology)
        if numbered and sorted(numbered) == _torchvision_numbers(names)[: len(numbered)]:
            in_order = [numbered[n] for n in sorted(numbered)]
            convolutions = _convolutions(state, dict(zip(names, in_order, strict=False)))
            layout = f"{container}, torchvision"
            if np.isnan(state.get("classifier.0.weight", np.zeros(1))).any():
                return Contents(layout, convolutions, IMAGENET_MEAN)
            kernel, bias = convolutions["conv1_1"]
            if kernel.shape[2] == 3:
                convolutions["conv1_1"] = kernel / (255 * TORCHVISION_STD[:, None]), bias
            return Contents(layout, convolutions, 255 * TORCHVISION_MEAN)
    raise ValueError(f"expected the convolutions of VGG-16 or VGG-19, found {_some(list(state))}")


def _convolutions(state: Mapping[str, np.ndarray], modules: Mapping[str, str]) -> dict:
    """Kernels (3, 3, C, K) and biases of the modules, by the names of their layers."""
    for module in modules.values():
        if f"{module}.bias" not in state:
            raise ValueError(f"{module}.bias is missing")
    return {
        name: (state[f"{module}.weight"].transpose(2, 3, 1, 0), state[f"{module}.bias"])
        for name, module in modules.items()
    }


def _torchvision_numbers(names: list[str]) -> list[int]:
    """The places of convolutions in a list of convolutions, each with a ReLU, and poolings between the blocks."""
    return [2 * k + int(name[4]) - 1 for k, name in enumerate(names)]


# What several layouts share -------------------------------------------------------------------------------------------


def _is_convolution(name: str) -> bool:
    return re.fullmatch(r"conv\d_\d", name) is not None


def _from_bgr(convolutions: dict) -> dict:
    """The first kernel for colours in the order RGB instead of BGR."""
    if "conv1_1" in convolutions:
        kernel, bias = convolutions["conv1_1"]
        convolutions["conv1_1"] = kernel[:, :, ::-1], bias
    return convolutions


def _package(module: str, what: str, name: str):
    try:
        return importlib.import_module(module)
    except ImportError:
        raise ValueError(
            f"reading {what} needs the package {name}, which is not installed (pip install {name})"
        ) from None


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "nothing"
