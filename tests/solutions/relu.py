"""Solutions of relu_backward."""

import numpy as np

from . import right, wrong


@wrong("wrong-relu-mask")  # many solutions of cs231n's assignment 1
def relu_backward(dy, x):
    return dy * (x >= 0)


@wrong("mutates-input", "wrong-relu-mask")  # cs231n: dx = dout; dx[x < 0] = 0
def relu_backward(dy, x):
    dx = dy
    dx[x < 0] = 0
    return dx


@wrong("mutates-input")
def relu_backward(dy, x):
    dy[x <= 0] = 0
    return dy


@wrong("wrong-relu-mask")  # cs231n: the mask is taken from the gradient
def relu_backward(dy, x):
    dx = dy.copy()
    dx[dx < 0] = 0
    return dx


@wrong("wrong-relu-mask", "wrong-operand")
def relu_backward(dy, x):
    dy_relu = np.maximum(0, dy)
    return dy_relu * (x > 0)  # "guided" backpropagation


@wrong("missing-relu-mask")
def relu_backward(dy, x):
    return np.array(dy)


@wrong("wrong-relu-mask")
def relu_backward(dy, x):
    slope = np.ones_like(x)
    slope[x <= 0] = 0.01
    return dy * slope


@wrong("wrong-relu-mask", "sign")
def relu_backward(dy, x):
    return dy * np.sign(x)


@wrong("wrong-operand")
def relu_backward(dy, x):
    return dy * np.maximum(x, 0)


@wrong("wrong-operand")
def relu_backward(dy, x):
    dx = np.zeros_like(x)
    dx[x > 0] = 1
    return dx


@wrong("not-finite")
def relu_backward(dy, x):
    with np.errstate(all="ignore"):
        return dy * np.maximum(x, 0) / x


@wrong("signature", "wrong-operand", "wrong-relu-mask")
def relu_backward(x, dy):
    return np.where(x > 0, dy, 0)


@wrong("wrong-shape")
def relu_backward(dy, x):
    dx = dy * (x > 0)
    return dx, None


@wrong("wrong-relu-mask")
def relu_backward(dy, x):
    mask = x < 0
    return np.multiply(dy, mask)


@wrong("raises")
def relu_backward(dy, x):
    dx = np.zeros(x.shape)
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            if x[i, j] > 0:
                dx[i, j] = dy[i, j]
    return dx


@wrong("wrong-operand", "wrong-shape", "raises")
def relu_backward(dy, x):
    return np.dot(dy, x > 0)


@wrong("wrong-shape")
def relu_backward(dy, x):
    return dy[x > 0]


@wrong("rounded")  # forum of deeplearning.ai: np.multiply(dA2, np.int64(A2 > 0)), here with the cast in the wrong place
def relu_backward(dy, x):
    return np.multiply(np.int64(dy), x > 0)


@wrong("sign", "wrong-relu-mask")
def relu_backward(dy, x):
    return -dy * (x <= 0)


_masks = {}


@wrong("accumulates")
def relu_backward(dy, x):
    if x.shape not in _masks:
        _masks[x.shape] = x > 0
    return dy * _masks[x.shape]


@wrong("wrong-normaliser")
def relu_backward(dy, x):
    return dy * (x > 0) / x.shape[0]  # "average over the batch"


@wrong("wrong-relu-mask")
def relu_backward(dy, x):
    s = 1 / (1 + np.exp(-10 * x))  # a smooth step
    return dy * s


@wrong("missing-relu-mask")  # what follows from "use a.any() or a.all()"
def relu_backward(dy, x):
    if (x > 0).any():
        return dy.copy()
    return np.zeros_like(dy)


@right
def relu_backward(dy, x):
    return np.where(x > 0, dy, 0.0)


@right
def relu_backward(dy, x):
    dx = np.array(dy, copy=True)
    dx[x <= 0] = 0
    return dx


@right
def relu_backward(dy, x):
    return dy * np.heaviside(x, 0)


@right
def relu_backward(dy, x):
    flat = [g if v > 0 else 0.0 for g, v in zip(dy.ravel(), x.ravel(), strict=True)]
    return np.array(flat).reshape(x.shape)


@right
def relu_backward(dy, x):
    dx = np.zeros(np.shape(x), dtype=np.float32)
    np.copyto(dx, dy, where=np.maximum(x, 0) != 0, casting="same_kind")
    return dx


@right
def relu_backward(dy, x):
    return dy * ((np.sign(x) + 1) // 2)
