"""VGG as an ordered list of named layers, with one sweep forward and one sweep back.

The forward sweep stops at the deepest requested layer and collects the requested responses on the way. The backward
sweep starts there with the gradient that a loss *injects* at that layer, carries it down layer by layer, and adds the
gradient of every other loss layer as it passes it. What arrives at the bottom is the gradient with respect to the
pixels.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile
from typing import Any

import numpy as np

from nst_numpy import backends, images
from nst_numpy.backends import Backend
from nst_numpy.layers import PADDINGS
from nst_numpy.topology import TOPOLOGIES, canonical, convolution_names, is_convolution, layer_names, reduction
from nst_numpy.validation import check_choice, check_number, checked, iterable, real_array, shown

# A step of the forward sweep: convolution and pooling, "" where there is none, and the backend's cache.
Step = tuple[str, str, Any]
# What adds the gradient of a layer's losses to the one that came down from above, or gets None in the deepest layer.
Inject = Callable[[np.ndarray | None], np.ndarray]


@dataclass(frozen=True, eq=False)
class VGG:
    """A VGG network, or the first layers of one, with any number of filters.

    Parameters
    ----------
    convolutions : mapping of str to (kernel, bias)
        From "conv1_1" on, without gaps, in the order of VGG-16 or VGG-19: kernel (3, 3, C, K), bias (K,). All float32,
        or all float64: the dtype in which the network computes.
    mean : ndarray, shape (3,)
        RGB, in 0–255; subtracted from the pixels.
    scale : float
        The network's input is (255 · image − mean) · scale, for an image in 0–1.
    pooling : {"average", "max"}
        The paper uses average pooling; VGG was trained with max pooling.
    padding : {"zero", "replicate", "circular"}
        What the convolutions see beyond the edges. VGG was trained with zeros, which leave a frame in a painting, a
        light veil and strokes along the edge. With replicated pixels, only the outermost one or two can look rougher.
        Circular, opposite edges are neighbours, for textures that tile.
    name : str
    backend : {"fast", "plain"} or Backend
        What the network runs on: compiled kernels on all cores, the plain NumPy of `layers.py`, or any object with the
        functions of `backends.Backend`.
    threads : int, optional
        For the fast backend; by default one for each core. The results are bitwise identical for any number.

    Attributes
    ----------
    layers : tuple of str
        The names of all layers in order. Layer "conv4_2" is the response after its ReLU.

    Raises
    ------
    ValueError
        If the convolutions are not the first ones of VGG-16 or VGG-19, their shapes do not match, or a value is not
        finite.
    """

    convolutions: Mapping[str, tuple[np.ndarray, np.ndarray]]
    mean: np.ndarray
    scale: float = 1.0
    pooling: str = "average"
    padding: str = "zero"
    name: str = ""
    backend: str | Backend = "fast"
    threads: int | None = None

    def __post_init__(self) -> None:
        check_choice("pooling", self.pooling, ("average", "max"))
        check_choice("padding", self.padding, PADDINGS)
        if isinstance(self.backend, str):
            check_choice("backend", self.backend, backends.NAMES)
        if self.threads is not None:
            check_number("threads", self.threads, whole=True, least=1)
        if not isinstance(self.convolutions, Mapping):
            raise TypeError(
                f"convolutions must be a dict of layers with (kernel, bias), found {shown(self.convolutions)}"
            )
        if real_array("mean", self.mean).shape != (3,) or not np.isfinite(self.mean).all():
            raise ValueError(f"mean: expected 3 finite numbers, found {self.mean}")
        if not isinstance(self.scale, int | float | np.integer | np.floating) or not math.isfinite(self.scale):
            raise ValueError(f"scale: expected a finite number, found {shown(self.scale)}")
        _layers_of(list(self.convolutions))  # raises for other names
        channels = 3
        for layer, (kernel, bias) in self.convolutions.items():
            filters = kernel.shape[-1] if kernel.ndim else 0
            for what, array, expected in (("kernel", kernel, (3, 3, channels, filters)), ("bias", bias, (filters,))):
                if array.shape != expected or filters == 0:
                    order = " (axes in the order of PyTorch?)" if array.shape[2:] == (3, 3) else ""
                    raise ValueError(f"{layer}/{what}: expected shape {expected}, found {array.shape}{order}")
                if not np.isfinite(array).all():
                    raise ValueError(f"{layer}/{what} contains values that are not finite (NaN or infinity)")
            channels = filters

    @cached_property
    def layers(self) -> tuple[str, ...]:
        return _layers_of(list(self.convolutions))

    @cached_property
    def engine(self) -> Backend:
        """The backend itself."""
        return backends.create(self.backend, self.threads, self.dtype)

    @cached_property
    def prepared(self) -> dict[str, Any]:
        """The weights of each convolution, in the form in which the backend uses them."""
        return {layer: self.engine.prepare(*weights, self.padding) for layer, weights in self.convolutions.items()}

    def __repr__(self) -> str:
        names = list(self.convolutions)
        padding = "" if self.padding == "zero" else f"{self.padding} padding, "
        of_layers = f"{names[0]} … {names[-1]}, {self.pooling} pooling, {padding}"
        return f"VGG({self.name!r}, {of_layers}{self.dtype}, {self.backend_name} backend)"

    @property
    def backend_name(self) -> str:
        """The backend's name; of one that is not the library's, its class."""
        return self.backend if isinstance(self.backend, str) else type(self.backend).__name__

    @property
    def dtype(self) -> np.dtype:
        """The dtype in which the network computes: float32 or float64."""
        return self.convolutions["conv1_1"][0].dtype

    def canonical(self, layer: str) -> str:
        """The name of a layer as in `layers`; see `topology.canonical`."""
        return canonical(layer, self.layers)

    def filters(self, layer: str) -> int:
        """The number of filters of a layer; for a pooling layer, that of the convolution before it."""
        before = self.layers[: self.layers.index(layer) + 1]
        return len(self.convolutions[next(filter(is_convolution, reversed(before)))][1])

    def input_forward(self, image: np.ndarray) -> np.ndarray:
        """The input of conv1_1: (255 · image − mean) · scale, in the dtype in which the network computes."""
        check_pixels(image)
        a: np.ndarray = 255 * image.astype(self.dtype, copy=False)
        a -= self.mean.astype(self.dtype)
        a *= float(self.scale)
        return a

    def input_backward(self, da: np.ndarray) -> np.ndarray:
        """Gradient with respect to the image: da times the factor of the linear map, 255 · scale."""
        return da * float(255 * self.scale)

    def layer(self, name: str) -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
        """One layer as a pair of functions, as in the module `layers`: `forward(x)` → y and `backward(dy, x)` → dx.

        A convolution comes with its ReLU; "input" is the preprocessing before conv1_1. Both functions run on the
        backend. They are for looking at layers one by one; a sweep is faster.

        Raises
        ------
        ValueError
            If there is no such layer.
        """
        if name == "input":
            return self.input_forward, lambda dy, x: self.input_backward(dy)
        name, run = self.canonical(name), self.engine
        if is_convolution(name):
            weights = self.prepared[name]
            return (
                lambda x: run.conv_relu_forward(x, weights)[0],
                lambda dy, x: run.conv_relu_backward(dy, weights, run.conv_relu_forward(x, weights)[1]),
            )
        return (
            lambda x: run.pool_forward(x, self.pooling)[0],
            lambda dy, x: run.pool_backward(dy, self.pooling, run.pool_forward(x, self.pooling)[1]),
        )

    def forward(self, image: np.ndarray, layers: Iterable[str]) -> tuple[dict[str, np.ndarray], list[Step]]:
        """One sweep from the pixels to the deepest of `layers`.

        Parameters
        ----------
        image : ndarray, shape (H, W, 3)
            RGB, 0 is black and 1 is white; values outside this range are allowed (the optimiser may go there).
        layers : iterable of str
            Names of layers.

        Returns
        -------
        features : dict of str to ndarray, shape (H_l, W_l, N_l)
            The responses of `layers`, by their canonical names ("conv1_1" for "relu1_1").
        tape : list
            What `backward` needs: each step, (convolution or "", pooling or "", the backend's cache), in order.

        Raises
        ------
        ValueError
            If the image is not an array of floats (H, W, 3), or is too small for a layer, or there is no such layer.
        """
        check_pixels(image)
        if not iterable(layers):
            raise TypeError(f"layers must be a list of names, found {shown(layers)}")
        wanted = {self.canonical(layer) for layer in layers}
        self.check_size(image.shape, wanted)
        a = self.input_forward(image)
        features: dict[str, np.ndarray] = {}
        tape: list[Step] = []
        with self.engine.session():
            for convolution, pool in self.steps(wanted):
                if not pool:
                    a, cache = self.engine.conv_relu_forward(a, self.prepared[convolution])
                elif not convolution:
                    a, cache = self.engine.pool_forward(a, self.pooling)
                else:
                    a, cache = self.engine.conv_relu_pool_forward(a, self.prepared[convolution], self.pooling)
                tape.append((convolution, pool, cache))
                if (pool or convolution) in wanted:
                    features[pool or convolution] = a
        return features, tape

    def check_size(self, shape: tuple[int, ...], layers: Iterable[str]) -> None:
        """Raise a ValueError if an image of this shape, (height, width, …), is too small for a layer."""
        for layer in layers:
            side = reduction(layer)
            if min(shape[:2]) < side:
                raise ValueError(
                    f"an image of {shape[1]}×{shape[0]} pixels is too small for {layer}, which needs at least "
                    f"{side}×{side}; take a larger size, or layers less deep"
                )

    def steps(self, wanted: set[str]) -> Iterator[tuple[str, str]]:
        """The steps (convolution, pooling) to the deepest layer wanted; both in one if the response between is not."""
        deepest = max((self.layers.index(layer) for layer in wanted), default=-1)
        convolution = ""
        for layer in self.layers[: deepest + 1]:
            if not is_convolution(layer):
                yield convolution, layer
                convolution = ""
                continue
            if convolution:
                yield convolution, ""
            convolution = layer
            if layer in wanted:
                yield convolution, ""
                convolution = ""

    def backward(self, gradients: Mapping[str, np.ndarray | Inject], tape: list[Step]) -> np.ndarray:
        """One sweep from the deepest loss layer to the pixels.

        With a_l the response of layer l, a_l = f_l(a_{l−1}), and a loss that depends on several layers directly, the
        chain rule gives from the top down

        dL/da_l = (what l injects: ∂L/∂a_l with the other responses held fixed) + (∂f_{l+1}/∂a_l)ᵀ dL/da_{l+1}

        The second part comes down from the layer above. So one running gradient is enough: add, step down, add.

        Parameters
        ----------
        gradients : mapping of str to ndarray, shape (H_l, W_l, N_l), or to callable
            The injected gradients, for layers requested in the forward sweep. A callable gets the running gradient, or
            None in the deepest layer, and returns it with its own gradient added.
        tape : list
            From `forward`.

        Returns
        -------
        ndarray, shape (H, W, 3)
            Gradient with respect to the image, in the units of the image (0–1).

        Raises
        ------
        ValueError
            If there is no gradient, or one for a layer that was not requested in the forward sweep.
        """
        passed = [pool or convolution for convolution, pool, _ in tape]
        if not gradients or not set(gradients) <= set(passed):
            found = ", ".join(gradients) or "none"
            raise ValueError(f"expected gradients for some of {', '.join(passed)}, found {found}")
        da: np.ndarray | None = None
        with self.engine.session():
            for convolution, pool, cache in reversed(tape):
                g = gradients.get(pool or convolution)
                if g is not None:
                    da = g(da) if callable(g) else g if da is None else da + g
                if da is None:  # above the deepest layer with a gradient
                    continue
                if not pool:
                    da = self.engine.conv_relu_backward(da, self.prepared[convolution], cache)
                elif not convolution:
                    da = self.engine.pool_backward(da, self.pooling, cache)
                else:
                    da = self.engine.conv_relu_pool_backward(da, self.prepared[convolution], self.pooling, cache)
        assert da is not None  # some layer injects
        return self.input_backward(da)

    @checked()
    def features(self, image: Any, layers: Iterable[str] | str) -> dict[str, np.ndarray]:
        """The responses of some layers to an image.

        Parameters
        ----------
        image : path, PIL image or ndarray
            As in `images.load`.
        layers : str or iterable of str
            "conv1_1" … "conv5_4", "pool1" … "pool5"; "relu4_2" is another name for "conv4_2".

        Returns
        -------
        dict of str to ndarray, shape (H_l, W_l, N_l)
            By the requested names.

        Raises
        ------
        ValueError, FileNotFoundError
            If there is no such layer, the image can't be read, or it is too small for the layer.
        """
        asked = [layers] if isinstance(layers, str) else list(layers)
        canonical = {layer: self.canonical(layer) for layer in asked}
        found, _ = self.forward(images.load(image, dtype=self.dtype), canonical.values())
        return {layer: found[canonical[layer]] for layer in asked}


@checked()
def receptive_field(network: VGG, layer: str) -> tuple[int, int, int]:
    """Find the pixels that a unit of a layer depends on: `size` pixels from start + p · step on, for position p.

    One position in the layer is `step` pixels in the image. A 3×3 convolution sees one more position on either side:
    size grows by 2 · step, and start decreases by step. A 2×2 pooling sees one more position: size grows by step. Then
    step doubles.

    Parameters
    ----------
    network : VGG
    layer : str

    Returns
    -------
    start, step, size : int
        In pixels, the same for rows and columns.

    Raises
    ------
    ValueError
        If the network has no such layer.

    Examples
    --------
    A unit of conv2_1 at position p sees the ten pixels from 2p − 4 on, since each pooling doubles the step:

    >>> from nst_numpy import receptive_field, weights
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> receptive_field(network, "conv1_1")
    (-1, 1, 3)
    >>> receptive_field(network, "conv2_1")
    (-4, 2, 10)
    """
    start, step, size = 0, 1, 1
    for name in network.layers[: network.layers.index(network.canonical(layer)) + 1]:
        if is_convolution(name):
            size, start = size + 2 * step, start - step
        else:
            size, step = size + step, 2 * step
    return start, step, size


def check_pixels(image: np.ndarray) -> None:
    """Raise an error unless `image` is an array of floats (H, W, 3). Its values may lie outside 0–1.

    Raises
    ------
    TypeError
        If it is not an array.
    ValueError
        If it has another shape or dtype.
    """
    if not isinstance(image, np.ndarray):
        found = type(image).__name__
        raise TypeError(f"an image must be an array here, found {found}; images.load makes one of a file")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind != "f":
        raise ValueError(
            f"an image must be an array of floats in 0–1, of shape (H, W, 3), found {image.dtype} {image.shape}; "
            "images.load makes one of any image"
        )


def _layers_of(convolutions: list[str]) -> tuple[str, ...]:
    """The layers, including pooling layers, of the topology that begins with these convolutions."""
    agreed: list[str] = []
    following = ["conv1_1"]
    for topology in TOPOLOGIES:
        layers = layer_names(topology)
        expected = convolution_names(topology)
        same = takewhile(lambda pair: pair[0] == pair[1], zip(convolutions, expected, strict=False))
        common = [name for name, _ in same]
        if common == convolutions != []:
            end = layers.index(convolutions[-1]) + 1
            return tuple(layers[: end + (not is_convolution(layers[end]))])
        if len(common) > len(agreed):
            agreed, following = common, expected[len(common) :]
    after = f" after {agreed[-1]}" if agreed else ""
    found = [*convolutions[len(agreed) :], "nothing"][0]
    raise ValueError(
        f"not the beginning of a VGG-16 or VGG-19: expected {[*following, 'nothing'][0]}{after}, found {found}"
    )
