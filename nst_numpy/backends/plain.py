"""The plain backend: `backends.Backend` made of the functions in `layers.py` and `losses.py`.

The module itself is the backend. `prepared` is kernel, bias and padding; caches are the arrays that the backward
functions of `layers.py` take.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

from nst_numpy import layers, losses
from nst_numpy.backends.threads import one_blas_thread

Prepared = tuple[np.ndarray, np.ndarray, str]
Pool = tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray, np.ndarray], np.ndarray]]

POOLS: dict[str, Pool] = {
    "average": (layers.average_pool_forward, layers.average_pool_backward),
    "max": (layers.max_pool_forward, layers.max_pool_backward),
}


def session() -> AbstractContextManager[None]:
    """BLAS on one thread: on several, its sums depend on their number in the last bits."""
    return one_blas_thread()


def prepare(kernel: np.ndarray, bias: np.ndarray, padding: str = "zero") -> Prepared:
    """Nothing is computed from the weights alone."""
    return kernel, bias, padding


def conv_relu_forward(x: np.ndarray, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) → the response (H, W, K) after ReLU, and the cache for the backward pass: the response itself."""
    y = layers.relu_forward(layers.conv_forward(x, *prepared))
    return y, y


def conv_relu_backward(dy: np.ndarray, prepared: Prepared, cache: np.ndarray) -> np.ndarray:
    """Gradient (H, W, K) with respect to the response → gradient (H, W, C) with respect to the input."""
    kernel, _, padding = prepared
    return layers.conv_backward_input(layers.relu_backward(dy, cache), kernel, padding)


def pool_forward(x: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """2×2 pooling with stride 2, `kind` "average" or "max": the output, and the cache: the input."""
    forward, _ = POOLS[kind]
    return forward(x), x


def pool_backward(dy: np.ndarray, kind: str, cache: np.ndarray) -> np.ndarray:
    """Gradient with respect to the pooled output → gradient with respect to the input."""
    _, backward = POOLS[kind]
    return backward(dy, cache)


def conv_relu_pool_forward(
    x: np.ndarray, prepared: Prepared, kind: str
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Convolution, ReLU and pooling one after the other, and the caches of both steps."""
    y, response = conv_relu_forward(x, prepared)
    pooled, pool_input = pool_forward(y, kind)
    return pooled, (response, pool_input)


def conv_relu_pool_backward(
    dy: np.ndarray, prepared: Prepared, kind: str, cache: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Gradient with respect to the pooled response → gradient with respect to the input of the convolution."""
    response, pool_input = cache
    return conv_relu_backward(pool_backward(dy, kind, pool_input), prepared, response)


def gram(a: np.ndarray) -> np.ndarray:
    """Gram matrix (N, N) of a response (H, W, N)."""
    with session():
        return losses.gram(losses.feature_matrix(a))


def gram_backward(dG: np.ndarray, a: np.ndarray, da: np.ndarray | None = None) -> np.ndarray:
    """Gradient (H, W, N) with respect to the response a through its Gram matrix; added to `da` in place, if given."""
    with session():
        gradient = losses.gram_backward(dG, losses.feature_matrix(a)).T.reshape(a.shape)
    return _added(gradient, da)


def content(a: np.ndarray, P: np.ndarray) -> float:
    """½ Σ (F − P)² for a response (H, W, N) and a target (N, M)."""
    return losses.content_loss(losses.feature_matrix(a), P)


def content_backward(a: np.ndarray, P: np.ndarray, factor: float, da: np.ndarray | None = None) -> np.ndarray:
    """Gradient factor · (F − P) with respect to the response a (H, W, N); added to `da` in place, if given."""
    gradient = losses.content_gradient(losses.feature_matrix(a), P).T.reshape(a.shape) * a.dtype.type(factor)
    return _added(gradient, da)


def variation(x: np.ndarray) -> float:
    """½ Σ d² over the differences d between neighbours in an image (H, W, C)."""
    return losses.total_variation(x)


def variation_backward(x: np.ndarray, factor: float, dx: np.ndarray | None = None) -> np.ndarray:
    """The gradient of `variation` times a factor; added to `dx` in place, if given."""
    return _added(losses.total_variation_gradient(x) * x.dtype.type(factor), dx)


def _added(gradient: np.ndarray, da: np.ndarray | None) -> np.ndarray:
    if da is None:
        return gradient
    da += gradient
    return da
