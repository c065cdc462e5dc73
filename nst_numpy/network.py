"""VGG as an ordered list of named layers, with one sweep forward and one sweep back.

The forward sweep stops at the deepest layer that is asked for and hands out the responses on the way. The backward
sweep starts there with the gradient that a loss *injects* at that layer, carries it down layer by layer, and adds the
gradient of every further loss layer when it passes it. What arrives at the bottom is the gradient with respect to the
pixels.
"""

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

import numpy as np

from nst_numpy import images, plain

# Convolutions per block; a pooling layer follows each block (Simonyan and Zisserman 2015, table 1, D and E).
TOPOLOGIES = {"vgg19": (2, 2, 4, 4, 4), "vgg16": (2, 2, 3, 3, 3)}
FILTERS = (64, 128, 256, 512, 512)  # in the convolutions of each block


def layer_names(topology: str) -> list[str]:
    """All layers of a topology ("vgg16" or "vgg19") in order: conv1_1, conv1_2, pool1, … conv5_3 or conv5_4, pool5."""
    names = []
    for block, convolutions in enumerate(TOPOLOGIES[topology], start=1):
        names += [f"conv{block}_{i}" for i in range(1, convolutions + 1)] + [f"pool{block}"]
    return names


def convolution_names(topology: str) -> list[str]:
    """The convolutions of a topology in order."""
    return [name for name in layer_names(topology) if name.startswith("conv")]


def reduction(layer: str) -> int:
    """How many times smaller a layer's response is than the image, in height and in width (rounded down)."""
    return 2 ** (int(layer[4]) - layer.startswith("conv"))


def canonical(layer: str, layers: Iterable[str]) -> str:
    """The name of a layer as in `layers`; "relu4_2" is another name for "conv4_2".

    Raises
    ------
    ValueError
        If it is not among them; the message names the nearest.
    """
    name = layer.replace("relu", "conv") if isinstance(layer, str) else layer
    if name not in layers:
        (nearest,) = difflib.get_close_matches(str(name), layers, n=1, cutoff=0)
        raise ValueError(f"unknown layer {layer!r}; did you mean {nearest}? This network has {', '.join(layers)}")
    return name


@dataclass(frozen=True)
class VGG:
    """A VGG network, or the first layers of one, with filters of any number.

    Parameters
    ----------
    convolutions : mapping of str to (kernel, bias)
        From "conv1_1" on, without a gap, in the order of VGG-16 or VGG-19: kernel (3, 3, C, K), bias (K,). All float32,
        or all float64: the type in which the network computes.
    mean : ndarray, shape (3,)
        RGB, in 0–255; subtracted from the pixels.
    scale : float
        The network's input is (255 · image − mean) · scale, for an image in 0–1.
    pooling : {"average", "max"}
        The paper takes average pooling; VGG was trained with max pooling.
    name : str
    backend : {"fast", "plain"}
        What the network runs on; see `fast` and `plain`.
    threads : int, optional
        For the fast backend; by default one for each core. The results are the same bits for any number.

    Attributes
    ----------
    layers : tuple of str
        The names of all layers in order. Layer "conv4_2" is the response after its ReLU.

    Raises
    ------
    ValueError
        If the convolutions are not the beginning of VGG-16 or VGG-19, their shapes do not fit together, or a value is
        not finite.
    """

    convolutions: Mapping[str, tuple[np.ndarray, np.ndarray]]
    mean: np.ndarray
    scale: float = 1.0
    pooling: str = "average"
    name: str = ""
    backend: str = "fast"
    threads: int | None = None

    def __post_init__(self):
        if self.pooling not in ("average", "max"):
            raise ValueError(f'pooling must be "average" or "max", found {self.pooling!r}')
        if self.backend not in ("fast", "plain"):
            raise ValueError(f'backend must be "fast" or "plain", found {self.backend!r}')
        _layers_of(list(self.convolutions))  # refuses other names
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
    def runs_on(self):
        """The backend itself."""
        if self.backend == "plain":
            return plain
        from nst_numpy.fast import Fast  # Numba takes its time to import

        return Fast(self.threads, self.dtype)

    @cached_property
    def _prepared(self) -> dict:
        return {layer: self.runs_on.prepare(*weights) for layer, weights in self.convolutions.items()}

    @property
    def dtype(self) -> np.dtype:
        """The type in which the network computes: float32 or float64."""
        return self.convolutions["conv1_1"][0].dtype

    def canonical(self, layer: str) -> str:
        """The name of a layer as in `layers`; see `canonical`."""
        return canonical(layer, self.layers)

    def filters(self, layer: str) -> int:
        """How many filters a layer has; a pooling layer has those of the convolution before it."""
        before = self.layers[: self.layers.index(layer) + 1]
        return len(self.convolutions[next(name for name in reversed(before) if name.startswith("conv"))][1])

    def forward(self, image: np.ndarray, layers: Iterable[str]) -> tuple[dict[str, np.ndarray], list]:
        """One sweep from the pixels to the deepest of `layers`.

        Parameters
        ----------
        image : ndarray, shape (H, W, 3)
            RGB, 0 is black and 1 is white; values outside are allowed (the optimiser may go there).
        layers : iterable of str
            Canonical names.

        Returns
        -------
        features : dict of str to ndarray, shape (H_l, W_l, N_l)
            The responses of `layers`.
        tape : list
            What `backward` needs: each step, (convolution or None, pooling or None, the backend's cache), in order.

        Raises
        ------
        ValueError
            If the image is too small to reach a layer.
        """
        wanted = set(layers)
        for layer in wanted:
            side = reduction(layer)
            if min(image.shape[:2]) < side:
                raise ValueError(
                    f"an image of {image.shape[1]}×{image.shape[0]} pixels is too small for {layer}, which needs at "
                    f"least {side}×{side}; take a larger size, or layers less deep"
                )
        a = ((255 * image - self.mean) * self.scale).astype(self.dtype)
        features, tape = {}, []
        with self.runs_on.session():
            for convolution, pool in self._stages(wanted):
                if pool is None:
                    a, cache = self.runs_on.conv_relu_forward(a, self._prepared[convolution])
                elif convolution is None:
                    a, cache = self.runs_on.pool_forward(a, self.pooling)
                else:
                    a, cache = self.runs_on.conv_relu_pool_forward(a, self._prepared[convolution], self.pooling)
                tape.append((convolution, pool, cache))
                if (pool or convolution) in wanted:
                    features[pool or convolution] = a
        return features, tape

    def _stages(self, wanted: set[str]) -> Iterator[tuple[str | None, str | None]]:
        """The steps (convolution, pooling) to the deepest layer wanted; both in one if nothing between is wanted."""
        deepest = max((self.layers.index(layer) for layer in wanted), default=-1)
        convolution = None
        for layer in self.layers[: deepest + 1]:
            if layer.startswith("pool"):
                yield convolution, layer
                convolution = None
                continue
            if convolution is not None:
                yield convolution, None
            convolution = layer
            if layer in wanted:
                yield convolution, None
                convolution = None

    def backward(self, gradients: Mapping[str, np.ndarray | Callable], tape: list) -> np.ndarray:
        """One sweep from the deepest loss layer to the pixels.

        With a_l the response of layer l, a_l = f_l(a_{l−1}), and a loss that depends on several layers directly, the
        chain rule gives from the top down

        dL/da_l = (what l injects: ∂L/∂a_l with the other responses held fixed) + (∂f_{l+1}/∂a_l)ᵀ dL/da_{l+1}

        The second part is what the layer above sends down. So one running gradient is enough: add, step down, add.

        Parameters
        ----------
        gradients : mapping of str to ndarray, shape (H_l, W_l, N_l), or to callable
            The injected gradients, for layers that the forward sweep was asked for. A callable gets the running
            gradient, or None in the deepest layer, and returns it with its own added.
        tape : list
            From `forward`.

        Returns
        -------
        ndarray, shape (H, W, 3)
            Gradient with respect to the image, in the units of the image (0–1).
        """
        da = None
        with self.runs_on.session():
            for convolution, pool, cache in reversed(tape):
                g = gradients.get(pool or convolution)
                if g is not None:
                    da = g(da) if callable(g) else g if da is None else da + g
                if da is None:  # above the deepest layer that injects anything
                    continue
                if pool is None:
                    da = self.runs_on.conv_relu_backward(da, self._prepared[convolution], cache)
                elif convolution is None:
                    da = self.runs_on.pool_backward(da, self.pooling, cache)
                else:
                    da = self.runs_on.conv_relu_pool_backward(da, self._prepared[convolution], self.pooling, cache)
        return da * (255 * self.scale)

    def features(self, image, layers: Iterable[str] | str) -> dict[str, np.ndarray]:
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
            By the names that were asked for.

        Raises
        ------
        ValueError, FileNotFoundError
            If there is no such layer, the image can't be read, or it is too small to reach the layer.
        """
        asked = [layers] if isinstance(layers, str) else list(layers)
        canonical = {layer: self.canonical(layer) for layer in asked}
        found, _ = self.forward(images.load(image, dtype=self.dtype), canonical.values())
        return {layer: found[canonical[layer]] for layer in asked}


def _layers_of(convolutions: list[str]) -> tuple[str, ...]:
    """The layers, poolings included, of the topology that begins with these convolutions."""
    agreed, following = [], ["conv1_1"]
    for topology in TOPOLOGIES:
        layers = layer_names(topology)
        expected = convolution_names(topology)
        same = takewhile(lambda pair: pair[0] == pair[1], zip(convolutions, expected, strict=False))
        common = [name for name, _ in same]
        if common == convolutions != []:
            end = layers.index(convolutions[-1]) + 1
            return tuple(layers[: end + layers[end].startswith("pool")])
        if len(common) > len(agreed):
            agreed, following = common, expected[len(common) :]
    after = f" after {agreed[-1]}" if agreed else ""
    found = [*convolutions[len(agreed) :], "nothing"][0]
    raise ValueError(
        f"not the beginning of a VGG-16 or VGG-19: expected {[*following, 'nothing'][0]}{after}, found {found}"
    )
