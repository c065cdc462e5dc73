"""Checking the gradients of a network: every layer alone, then all of them one after the other."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from nst_numpy.checking import GradientCheck, gradcheck
from nst_numpy.network import VGG
from nst_numpy.validation import checked, real_array, shown


@dataclass(frozen=True, eq=False)
class LayerChecks:
    """What `check_layers` found. It is true if all passed, and prints as a table.

    Attributes
    ----------
    checks : dict of str to GradientCheck
        Of every layer alone, in order.
    chain : GradientCheck
        Of all layers, one after the other.
    first_wrong : str or None
        The first layer, from the input on, whose gradient is wrong.
    """

    checks: dict[str, GradientCheck]
    chain: GradientCheck

    @property
    def first_wrong(self) -> str | None:
        return next((name for name, check in self.checks.items() if not check), None)

    def __bool__(self) -> bool:
        return self.first_wrong is None and bool(self.chain)

    def __str__(self) -> str:
        lines = [f"{name:10} {check}" for name, check in {**self.checks, "all": self.chain}.items()]
        if self.first_wrong:
            lines.append(f"the first layer that is wrong: {self.first_wrong}")
        elif not self.chain:
            lines.append("each layer is right alone: look at how they are put together")
        return "\n".join(lines)

    __repr__ = __str__


@checked()
def check_layers(
    layers: Mapping[str, tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]],
    x: ArrayLike,
    *,
    backward: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    samples: int = 30,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> LayerChecks:
    """Check the backward function of every layer alone, at the input that it gets in the network, then the whole chain.

    Parameters
    ----------
    layers : mapping of str to (forward, backward)
        In order: `forward(x)` → y and `backward(dy, x)` → dx.
    x : ndarray
        Input of the first layer.
    backward : callable, optional
        `backward(dy, x)` of the whole network. By default the layers' own, one after the other.
    samples, h, rtol, seed
        As in `gradcheck`.

    Returns
    -------
    LayerChecks

    Raises
    ------
    ValueError, TypeError
        As `gradcheck`, and if there are no layers.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import layers
    >>> from nst_numpy.inspection.network_checks import check_layers
    >>> relu = (layers.relu_forward, layers.relu_backward)
    >>> pool = (layers.average_pool_forward, layers.average_pool_backward)
    >>> x = np.random.default_rng(0).standard_normal((4, 4, 2))
    >>> bool(check_layers({"relu": relu, "pool": pool}, x))
    True
    >>> check_layers({"relu": (layers.relu_forward, lambda dy, x: dy), "pool": pool}, x).first_wrong
    'relu'
    """
    if not layers:
        raise ValueError("expected at least one layer to check, found none")
    check = partial(gradcheck, samples=samples, h=h, rtol=rtol, seed=seed)
    checks, a = {}, real_array("x", x).astype(np.float64)
    for name, pair in layers.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"layers must have two functions, forward and backward, for {name}, found {shown(pair)}")
        forward, back = pair
        checks[name] = check(forward, back, a)
        a = forward(a)

    def through(x: np.ndarray) -> np.ndarray:
        for forward, _ in layers.values():
            x = forward(x)
        return x

    def back_through(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        inputs = []
        for forward, back in layers.values():
            inputs.append((back, x))
            x = forward(x)
        for back, x in reversed(inputs):
            dy = back(dy, x)
        return dy

    return LayerChecks(checks, check(through, backward or back_through, x))


@checked()
def check_network(
    network: VGG,
    image: ArrayLike,
    layer: str,
    *,
    samples: int = 30,
    h: float = 1e-5,
    rtol: float = 1e-6,
    seed: int = 0,
) -> LayerChecks:
    """`check_layers` for a VGG up to `layer`: every convolution with its ReLU, every pooling, then the whole sweep.

    Parameters
    ----------
    network : VGG
        In float64 (`load_weights(..., dtype=numpy.float64)`).
    image : ndarray of float, shape (H, W, 3)
        Random pixels are best; flat areas are full of kinks.
    layer : str
        The deepest layer to check.
    samples, h, rtol, seed
        As in `gradcheck`.

    Returns
    -------
    LayerChecks

    Raises
    ------
    ValueError
        If there is no such layer.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import VGG, check_network
    >>> rng = np.random.default_rng(0)
    >>> kernel, bias = rng.standard_normal((3, 3, 3, 4)), rng.standard_normal(4)
    >>> network = VGG({"conv1_1": (kernel, bias)}, mean=np.full(3, 120.0), scale=1 / 60, backend="plain")
    >>> found = check_network(network, rng.random((6, 7, 3)), "conv1_1")
    >>> bool(found), list(found.checks)
    (True, ['input', 'conv1_1'])
    """
    last = network.canonical(layer)
    names = ["input", *network.layers[: network.layers.index(last) + 1]]

    def sweep(dy: np.ndarray, x: np.ndarray) -> np.ndarray:
        return network.backward({last: dy}, network.forward(x, [last])[1])

    layers = {name: network.layer(name) for name in names}
    return check_layers(layers, image, backward=sweep, samples=samples, h=h, rtol=rtol, seed=seed)
