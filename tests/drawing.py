"""What the tests draw: arrays of odd shapes and layouts, small networks, small images; and two checks of gradients."""

import contextlib
import inspect
import shutil
import subprocess

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image
from threadpoolctl import threadpool_info

import nst_numpy
from nst_numpy import VGG, gradcheck
from nst_numpy.topology import layer_names

MEAN = np.array([120.0, 115.0, 100.0])


def size_of(path) -> tuple[int, int]:
    """Width and height of an image file."""
    with Image.open(path) as picture:
        return picture.size


def spread(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Values in −2 … 2 in random order, none near zero and no two near each other: no kink within reach of h."""
    n = int(np.prod(shape))
    return rng.permutation((np.arange(n) + 0.25) / n * 4 - 2).reshape(shape)


@st.composite
def maps(draw, channels: int | None = None, least: int = 1, most: int = 7, dtype=np.float64) -> np.ndarray:
    """An array (H, W, C) of `spread` values, read-only, in one of several memory layouts."""
    height, width = draw(st.integers(least, most)), draw(st.integers(least, most))
    channels = channels or draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x = spread(rng, (height, width, channels)).astype(dtype)
    layout = draw(st.sampled_from(["C", "Fortran", "every second", "backwards"]))
    if layout == "Fortran":
        x = np.asfortranarray(x)
    elif layout == "every second":
        wide = np.zeros((height, 2 * width, channels), dtype)
        wide[:, ::2] = x
        x = wide[:, ::2]
    elif layout == "backwards":
        x = x[::-1, ::-1].copy()[::-1, ::-1]
    x.flags.writeable = False
    return x


def like(seed: int, shape: tuple[int, ...], dtype=np.float64) -> np.ndarray:
    """Normal values, read-only."""
    x = np.random.default_rng(seed).standard_normal(shape).astype(dtype)
    x.flags.writeable = False
    return x


def small_vgg(topology="vgg19", widths=(4, 5, 6, 7, 8), last=None, dtype=np.float64, bias=0.0, **keywords) -> VGG:
    """A narrow network with random kernels, and random biases around `bias`, up to the convolution `last`."""
    rng = np.random.default_rng(0)
    convolutions, channels = {}, 3
    for layer in layer_names(topology):
        if layer.startswith("conv"):
            filters = widths[int(layer[4]) - 1]
            kernel = rng.standard_normal((3, 3, channels, filters)) * np.sqrt(2 / (9 * channels))
            biases = rng.standard_normal(filters) * 0.1 + bias
            convolutions[layer] = kernel.astype(dtype), biases.astype(dtype)
            channels = filters
        if layer == last:
            break
    return VGG(convolutions, MEAN, 1 / 60, name="small", **keywords)


def picture(seed: int, height: int = 32, width: int = 32, dtype=np.float64) -> np.ndarray:
    """A random image in 0–1."""
    return np.random.default_rng(seed).random((height, width, 3)).astype(dtype)


def assert_gradient(function, gradient, x, h=1e-5):
    check = gradcheck(function, gradient, x, mode="all", h=h)
    assert check.norm_ratio <= 1e-8, check
    assert check.max_relative_error <= 1e-6, check


def complex_step(function, x):
    """Gradient of an analytic function: Im f(x + i h e) / h, exact to rounding for a tiny h."""
    gradient = np.zeros(x.shape)
    for index in np.ndindex(x.shape):
        z = x.astype(complex)
        z[index] += 1e-30j
        gradient[index] = function(z).imag / 1e-30
    return gradient


def blas_threads():
    """Of all BLAS libraries but OpenCV's, which can have been loaded by another test after the first limit."""
    libraries = [library for library in threadpool_info() if "opencv" not in library["filepath"]]
    return [library["num_threads"] for library in libraries if library["user_api"] == "blas"]


def public_functions():
    """The public functions by their names."""
    for name in nst_numpy.__all__:
        thing = getattr(nst_numpy, name)
        if inspect.ismodule(thing):
            for inner in getattr(thing, "__all__", [n for n in vars(thing) if not n.startswith("_")]):
                inside = getattr(thing, inner)
                if inspect.isfunction(inside) and inside.__module__.startswith(thing.__name__):
                    yield f"{name}.{inner}", inside
        elif inspect.isfunction(thing):
            yield name, thing


@contextlib.contextmanager
def small_disk(folder, size):
    """A disk of this size, such as "200k", in a new folder."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)
