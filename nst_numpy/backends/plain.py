"""The plain backend: what a network runs on, made of the functions in `layers.py`.

A backend is an object with these functions; network and objective call nothing else. The seam lies one level above the
layers so that another backend can fuse what belongs together (convolution, bias and ReLU) and keep what it likes
between the passes: `prepared` and `cache` are the backend's own business. See `fast` for the other one.
"""

from contextlib import nullcontext

import numpy as np

from nst_numpy import layers, losses

session = nullcontext  # what to enter around a sweep

POOLS = {
    "average": (layers.average_pool_forward, layers.average_pool_backward),
    "max": (layers.max_pool_forward, layers.max_pool_backward),
}


def prepare(kernel: np.ndarray, bias: np.ndarray) -> tuple:
    """Whatever can be computed from the weights alone, once for many passes; here nothing."""
    return kernel, bias


def conv_relu_forward(x: np.ndarray, prepared: tuple) -> tuple[np.ndarray, np.ndarray]:
    """(H, W, C) → the response (H, W, K) after ReLU, and the cache for the backward pass: the response itself."""
    y = layers.relu_forward(layers.conv_forward(x, *prepared))
    return y, y


def conv_relu_backward(dy: np.ndarray, prepared: tuple, cache: np.ndarray) -> np.ndarray:
    """Gradient (H, W, K) with respect to the response → gradient (H, W, C) with respect to the input."""
    kernel, _ = prepared
    return layers.conv_backward_input(layers.relu_backward(dy, cache), kernel)


def conv_forward(x: np.ndarray, prepared: tuple) -> np.ndarray:
    """The convolution and its bias alone, without ReLU: for training, where a normalisation comes between them."""
    return layers.conv_forward(x, *prepared)


def conv_backward(dy: np.ndarray, prepared: tuple) -> np.ndarray:
    """Gradient (H, W, K) with respect to the convolution's output → gradient (H, W, C) with respect to its input."""
    kernel, _ = prepared
    return layers.conv_backward_input(dy, kernel)


def conv_backward_weights(dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient (H, W, K) with respect to the convolution's output → gradients with respect to kernel and bias."""
    return layers.conv_backward_kernel(dy, x), layers.conv_backward_bias(dy)


def pool_forward(x: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """2×2 pooling with stride 2, `kind` "average" or "max": the output, and the cache: the input."""
    forward, _ = POOLS[kind]
    return forward(x), x


def pool_backward(dy: np.ndarray, kind: str, cache: np.ndarray) -> np.ndarray:
    """Gradient with respect to the pooled output → gradient with respect to the input."""
    _, backward = POOLS[kind]
    return backward(dy, cache)


def conv_relu_pool_forward(x: np.ndarray, prepared: tuple, kind: str) -> tuple[np.ndarray, tuple]:
    """Convolution, ReLU and pooling at once, for a response that nobody else wants to see."""
    y, signs = conv_relu_forward(x, prepared)
    pooled, shape = pool_forward(y, kind)
    return pooled, (signs, shape)


def conv_relu_pool_backward(dy: np.ndarray, prepared: tuple, kind: str, cache: tuple) -> np.ndarray:
    """Gradient with respect to the pooled response → gradient with respect to the input of the convolution."""
    signs, shape = cache
    return conv_relu_backward(pool_backward(dy, kind, shape), prepared, signs)


def gram(a: np.ndarray) -> np.ndarray:
    """Gram matrix (N, N) of a response (H, W, N)."""
    return losses.gram(losses.feature_matrix(a))


def gram_backward(dG: np.ndarray, a: np.ndarray, da: np.ndarray | None) -> np.ndarray:
    """`da` (H, W, N), if there is one, plus the gradient with respect to the response a through its Gram matrix."""
    gradient = losses.gram_backward(dG, losses.feature_matrix(a)).T.reshape(a.shape)
    return gradient if da is None else da + gradient
