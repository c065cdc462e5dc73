"""Find the bug: broken gradient functions, most of them seen in public code, each with the mistake's code.

Each is plausible, and the loss often falls all the same. `BUGS` lists them as (name of the exercise, function, code).
For the game, read a function (`nst-numpy exercise bug 7`), say what is wrong, then ask `check(exercise, function)` (or
`--answer`).
"""

import numpy as np

BUGS = []


def bug(exercise: str, code: str):
    """Note a broken version of an exercise, and the code of its mistake."""

    def note(function):
        BUGS.append((exercise, function, code))
        return function

    return note


# ReLU -----------------------------------------------------------------------------------------------------------------


@bug("relu_backward", "missing-relu-mask")
def relu_1(dy, x):
    y = np.maximum(x, 0)
    return dy * (y >= 0)


@bug("relu_backward", "wrong-relu-mask")
def relu_2(dy, x):
    return np.where(dy > 0, dy, 0)


@bug("relu_backward", "wrong-operand")
def relu_3(dy, x):
    return np.maximum(x, 0) * dy


@bug("relu_backward", "mutates-input")
def relu_4(dy, x):
    dy[x <= 0] = 0
    return dy


@bug("relu_backward", "wrong-relu-mask")
def relu_5(dy, x):
    return dy * (x > 0) * (dy > 0)


# Convolution ----------------------------------------------------------------------------------------------------------


@bug("conv_backward_input", "kernel-not-flipped")
def conv_input_1(dy, kernel):
    H, W, _ = dy.shape
    padded = np.pad(dy, ((1, 1), (1, 1), (0, 0)))
    dx = np.zeros((H, W, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx += padded[i : i + H, j : j + W] @ kernel[i, j].T
    return dx


@bug("conv_backward_input", "overlap-overwritten")
def conv_input_2(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] = dy @ kernel[i, j].T
    return dx[1:-1, 1:-1]


@bug("conv_backward_input", "shifted")
def conv_input_3(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] += dy @ kernel[i, j].T
    return dx[:H, :W]


@bug("conv_backward_input", "edges-lost")
def conv_input_4(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H, W, kernel.shape[2]))
    for h in range(1, H - 1):
        for w in range(1, W - 1):
            dx[h - 1 : h + 2, w - 1 : w + 2] += kernel @ dy[h, w]
    return dx


@bug("conv_backward_input", "transposed")
def conv_input_5(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] += dy @ kernel[j, i].T
    return dx[1:-1, 1:-1]


@bug("conv_backward_input", "raises")
def conv_input_6(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx[i : i + H, j : j + W] += dy @ kernel[i, j]
    return dx[1:-1, 1:-1]


@bug("conv_backward_kernel", "edges-lost")
def conv_kernel_1(dy, x):
    H, W, C = x.shape
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for h in range(1, H - 1):
        for w in range(1, W - 1):
            dkernel += x[h - 1 : h + 2, w - 1 : w + 2, :, None] * dy[h, w]
    return dkernel


@bug("conv_backward_kernel", "mean-for-sum")
def conv_kernel_2(dy, x):
    H, W, C = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for i in range(3):
        for j in range(3):
            dkernel[i, j] = padded[i : i + H, j : j + W].reshape(-1, C).T @ dy.reshape(H * W, -1)
    return dkernel / (H * W)


@bug("conv_backward_kernel", "kernel-not-flipped")
def conv_kernel_3(dy, x):
    H, W, C = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    dkernel = np.zeros((3, 3, C, dy.shape[2]))
    for i in range(3):
        for j in range(3):
            dkernel[2 - i, 2 - j] = np.einsum("hwc,hwk->ck", padded[i : i + H, j : j + W], dy)
    return dkernel


@bug("conv_backward_kernel", "overlap-overwritten")
def conv_kernel_4(dy, x):
    H, W, _ = x.shape
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    for h in range(H):
        for w in range(W):
            dkernel = padded[h : h + 3, w : w + 3, :, None] * dy[h, w]
    return dkernel


@bug("conv_backward_bias", "mean-for-sum")
def conv_bias_1(dy):
    return dy.mean(axis=(0, 1))


@bug("conv_backward_bias", "wrong-shape")
def conv_bias_2(dy):
    return dy.sum(axis=0)


# Pooling --------------------------------------------------------------------------------------------------------------


@bug("max_pool_backward", "ties")
def max_pool_1(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            part = np.s_[h * stride : h * stride + window, w * stride : w * stride + window]
            dx[part] += dy[h, w] * (x[part] == x[part].max(axis=(0, 1)))
    return dx


@bug("max_pool_backward", "overlap-overwritten")
def max_pool_2(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            for c in range(x.shape[2]):
                seen = x[h * stride : h * stride + window, w * stride : w * stride + window, c]
                i, j = np.unravel_index(seen.argmax(), seen.shape)
                dx[h * stride + i, w * stride + j, c] = dy[h, w, c]
    return dx


@bug("max_pool_backward", "wrong-operand")
def max_pool_3(dy, x):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            dx[2 * h : 2 * h + 2, 2 * w : 2 * w + 2] = dy[h, w]
    return dx


@bug("max_pool_backward", "wrong-shape")
def max_pool_4(dy, x):
    spread = dy.repeat(2, axis=0).repeat(2, axis=1)
    inside = x[: len(spread), : spread.shape[1]]
    largest = inside.reshape(len(dy), 2, dy.shape[1], 2, -1).max(axis=(1, 3)).repeat(2, axis=0).repeat(2, axis=1)
    return spread * (inside == largest)


@bug("average_pool_backward", "missing-normaliser")
def average_pool_1(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            dx[h * stride : h * stride + window, w * stride : w * stride + window] += dy[h, w]
    return dx


@bug("average_pool_backward", "wrong-normaliser")
def average_pool_2(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            dx[h * stride : h * stride + window, w * stride : w * stride + window] += dy[h, w] / window
    return dx


@bug("average_pool_backward", "overlap-overwritten")
def average_pool_3(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            dx[h * stride : h * stride + window, w * stride : w * stride + window] = dy[h, w] / window**2
    return dx


# Content --------------------------------------------------------------------------------------------------------------


@bug("content_loss", "square-of-sum")
def content_loss_1(F, P):
    return 0.5 * np.sum(F - P) ** 2


@bug("content_loss", "missing-square")
def content_loss_2(F, P):
    return 0.5 * np.sum(F - P)


@bug("content_loss", "mean-for-sum")
def content_loss_3(F, P):
    return 0.5 * np.mean((F - P) ** 2)


@bug("content_loss", "constant-factor")
def content_loss_4(F, P):
    return np.sum((F - P) ** 2)


@bug("content_gradient", "sign")
def content_gradient_1(F, P):
    return P - F


@bug("content_gradient", "constant-factor")
def content_gradient_2(F, P):
    return 2 * (F - P)


@bug("content_gradient", "mean-for-sum")
def content_gradient_3(F, P):
    return (F - P) / F.size


@bug("content_gradient", "mutates-input")
def content_gradient_4(F, P):
    F -= P
    return F


@bug("content_gradient", "wrong-relu-mask")
def content_gradient_5(F, P):
    difference = F - P
    return difference * (difference > 0)


# Gram and style -------------------------------------------------------------------------------------------------------


@bug("feature_matrix", "wrong-reshape")
def feature_matrix_1(a):
    H, W, N = a.shape
    return a.reshape(N, H * W)


@bug("feature_matrix", "transposed")
def feature_matrix_2(a):
    return a.reshape(-1, a.shape[2])


@bug("gram", "transposed")
def gram_1(F):
    return F.T @ F


@bug("gram", "wrong-normaliser")
def gram_2(F):
    return F @ F.T / F.size


@bug("gram", "wrong-operand")
def gram_3(F):
    centred = F - F.mean(axis=1, keepdims=True)
    return centred @ centred.T


@bug("gram_backward", "constant-factor")
def gram_backward_1(dG, F):
    return dG @ F


@bug("gram_backward", "wrong-operand")
def gram_backward_2(dG, F):
    return 2 * dG @ F


@bug("style_loss", "missing-normaliser")
def style_loss_1(F, A):
    return np.sum((F @ F.T - A) ** 2)


@bug("style_loss", "wrong-operand")
def style_loss_2(F, A):
    N, M = F.shape
    D = F @ F.T - A
    one = np.ones(N)
    return one @ D @ D.T @ one / (4 * N**2 * M**2)


@bug("style_loss", "wrong-normaliser")
def style_loss_3(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A) ** 2) / (4 * N * M)


@bug("style_gradient", "missing-normaliser")
def style_gradient_1(F, A):
    return (F @ F.T - A) @ F


@bug("style_gradient", "wrong-normaliser")
def style_gradient_2(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / (N * M)


@bug("style_gradient", "constant-factor")
def style_gradient_3(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / (4 * N**2 * M**2)


@bug("style_gradient", "constant-factor")
def style_gradient_4(F, A):
    N, M = F.shape
    dG = (F @ F.T - A) / (2 * N**2 * M**2)
    return dG @ F


@bug("style_gradient", "transposed")
def style_gradient_5(F, A):
    N, M = F.shape
    return F.T @ (F @ F.T - A) / (N**2 * M**2)


@bug("style_gradient", "sign")
def style_gradient_6(F, A):
    N, M = F.shape
    return (A - F @ F.T) @ F / (N**2 * M**2)


@bug("style_gradient", "raises")
def style_gradient_7(F, A):
    N, M = F.shape
    return (F.T @ F - A) @ F / (N**2 * M**2)


@bug("style_gradient", "accumulates")
def style_gradient_8(F, A, gradients={}):  # noqa: B006
    N, M = F.shape
    gradients[N, M] = gradients.get((N, M), 0) + (F @ F.T - A) @ F / (N**2 * M**2)
    return gradients[N, M]


@bug("style_gradient_of_map", "wrong-reshape")
def style_gradient_of_map_1(a, A):
    H, W, N = a.shape
    F = a.reshape(N, H * W)
    return ((F @ F.T - A) @ F / (N * H * W) ** 2).reshape(H, W, N)


@bug("style_gradient_of_map", "wrong-reshape")
def style_gradient_of_map_2(a, A):
    H, W, N = a.shape
    F = a.reshape(-1, N).T
    return ((F @ F.T - A) @ F / (N * H * W) ** 2).reshape(H, W, N)


@bug("style_gradient_of_map", "wrong-normaliser")
def style_gradient_of_map_3(a, A):
    H, W, N = a.shape
    M = H  # * W
    F = a.reshape(-1, N).T
    return ((F @ F.T - A) @ F / (N * M) ** 2).T.reshape(H, W, N)


# Total variation, the total, the step ---------------------------------------------------------------------------------


@bug("total_variation_gradient", "sign")
def total_variation_1(x):
    dx = np.zeros_like(x)
    dx[1:] -= x[1:] - x[:-1]
    dx[:-1] += x[1:] - x[:-1]
    dx[:, 1:] -= x[:, 1:] - x[:, :-1]
    dx[:, :-1] += x[:, 1:] - x[:, :-1]
    return dx


@bug("total_variation_gradient", "edges-lost")
def total_variation_2(x):
    return 4 * x - np.roll(x, 1, 0) - np.roll(x, -1, 0) - np.roll(x, 1, 1) - np.roll(x, -1, 1)


@bug("total_variation_gradient", "overlap-overwritten")
def total_variation_3(x):
    dx = np.zeros_like(x)
    dx[1:] = x[1:] - x[:-1]
    dx[:-1] = x[:-1] - x[1:]
    dx[:, 1:] = x[:, 1:] - x[:, :-1]
    dx[:, :-1] = x[:, :-1] - x[:, 1:]
    return dx


@bug("total_gradient", "missing-normaliser")
def total_gradient_1(F, P, A, alpha, beta):
    return alpha * (F - P) + beta * (F @ F.T - A) @ F


@bug("total_gradient", "sign")
def total_gradient_2(F, P, A, alpha, beta):
    N, M = F.shape
    return alpha * (F - P) + beta * (A - F @ F.T) @ F / (N**2 * M**2)


@bug("total_gradient", "wrong-operand")
def total_gradient_3(F, P, A, alpha, beta):
    N, M = F.shape
    return (F - P) + beta * (F @ F.T - A) @ F / (N**2 * M**2)


@bug("gradient_step", "sign")
def gradient_step_1(x, gradient, rate):
    return x + rate * gradient


@bug("gradient_step", "mutates-input")
def gradient_step_2(x, gradient, rate):
    x -= rate * gradient
    return x


@bug("gradient_step", "wrong-operand")
def gradient_step_3(x, gradient, rate):
    return x - gradient
