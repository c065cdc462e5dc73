"""Solutions of conv_backward_input, conv_backward_kernel and conv_backward_bias."""

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from . import right, wrong

MODES = {"zero": "constant", "replicate": "edge", "circular": "wrap"}


def pad1(x, padding):
    return np.pad(x, ((1, 1), (1, 1), (0, 0)), mode=MODES[padding])


def fold(dxp, padding):
    """Bring what has landed in the border back to the pixels the border was copied from."""
    dxp = dxp.copy()
    if padding == "replicate":
        dxp[1] += dxp[0]
        dxp[-2] += dxp[-1]
        dxp[:, 1] += dxp[:, 0]
        dxp[:, -2] += dxp[:, -1]
    elif padding == "circular":
        dxp[-2] += dxp[0]
        dxp[1] += dxp[-1]
        dxp[:, -2] += dxp[:, 0]
        dxp[:, 1] += dxp[:, -1]
    return dxp[1:-1, 1:-1]


def scatter(dy, kernel):
    """The gradient with respect to the padded input."""
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dxp[i : i + H, j : j + W] += dy @ kernel[i, j].T
    return dxp


def conv(x, w, padding="zero"):
    xp = pad1(x, padding)
    out = np.zeros((*x.shape[:2], w.shape[-1]))
    for i in range(x.shape[0]):
        for j in range(x.shape[1]):
            out[i, j] = np.tensordot(xp[i : i + 3, j : j + 3], w, axes=3)
    return out


# --- conv_backward_input ---------------------------------------------------------------------------------------------


@wrong("edges-lost")  # every solution of cs231n, for the other paddings
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dx_padded = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(H):
        for j in range(W):
            for k in range(K):
                dx_padded[i : i + 3, j : j + 3] += kernel[:, :, :, k] * dy[i, j, k]
    return dx_padded[1:-1, 1:-1]


@wrong("kernel-not-flipped")  # asked in ddbourgin/numpy-ml#27: do the weights need to be rotated?
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dxp += dyp[i : i + H + 2, j : j + W + 2] @ kernel[i, j].T
    return fold(dxp, padding)


@wrong("kernel-not-flipped")
def conv_backward_input(dy, kernel, padding="zero"):
    flipped = np.flip(kernel, axis=0)  # only the rows
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    patches = sliding_window_view(dyp, (3, 3), axis=(0, 1))
    return fold(np.einsum("hwkij,ijck->hwc", patches, flipped), padding)


@wrong("kernel-not-flipped")
def conv_backward_input(dy, kernel, padding="zero"):
    rotated = np.rot90(kernel, 1, axes=(0, 1))
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    patches = sliding_window_view(dyp, (3, 3), axis=(0, 1))
    return fold(np.einsum("hwkij,ijck->hwc", patches, rotated), padding)


@wrong(
    "kernel-not-flipped", "channels-swapped"
)  # arthurmeyer/Convolutional_Deep_Belief_Network#1: reversed on all axes
def conv_backward_input(dy, kernel, padding="zero"):
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    patches = sliding_window_view(dyp, (3, 3), axis=(0, 1))
    return fold(np.einsum("hwkij,ijck->hwc", patches, np.flip(kernel)), padding)


@wrong("kernel-not-flipped", "transposed")
def conv_backward_input(dy, kernel, padding="zero"):
    return fold(scatter(dy, kernel.transpose(1, 0, 2, 3)), padding)


@wrong("kernel-not-flipped", "transposed")  # the slip behind mlpack/mlpack#3376: 90° for 180°
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, _ = dy.shape
    C = kernel.shape[2]
    dxp = np.zeros((H + 2, W + 2, C))
    for i in range(H):
        for j in range(W):
            for c in range(C):
                dxp[i : i + 3, j : j + 3, c] += np.rot90(kernel[:, :, c, :]) @ dy[i, j]
    return fold(dxp, padding)


@wrong("wrong-reshape", "channels-swapped")
def conv_backward_input(dy, kernel, padding="zero"):
    C, K = kernel.shape[2:]
    kt = kernel.reshape(3, 3, K, C)
    H, W, _ = dy.shape
    dxp = np.zeros((H + 2, W + 2, C))
    for i in range(3):
        for j in range(3):
            dxp[i : i + H, j : j + W] += dy @ kt[i, j]
    return fold(dxp, padding)


@wrong("overlap-overwritten")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(H):
        for j in range(W):
            dxp[i : i + 3, j : j + 3] = kernel @ dy[i, j]
    return fold(dxp, padding)


@wrong("overlap-overwritten")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(H):
        for j in range(W):
            patch = 0
            for k in range(K):
                patch = kernel[..., k] * dy[i, j, k]
            dxp[i : i + 3, j : j + 3] += patch
    return fold(dxp, padding)


@wrong("overlap-overwritten", "edges-lost")  # adding in the border, but the copies are assigned
def conv_backward_input(dy, kernel, padding="zero"):
    dxp = scatter(dy, kernel)
    if padding == "replicate":
        dxp[1], dxp[-2] = dxp[0], dxp[-1]
        dxp[:, 1], dxp[:, -2] = dxp[:, 0], dxp[:, -1]
    if padding == "circular":
        dxp[-2], dxp[1] = dxp[0], dxp[-1]
        dxp[:, -2], dxp[:, 1] = dxp[:, 0], dxp[:, -1]
    return dxp[1:-1, 1:-1]


@wrong("shifted", "edges-lost")  # cropped on one side only
def conv_backward_input(dy, kernel, padding="zero"):
    dxp = scatter(dy, kernel)
    return dxp[2:, 2:]


@wrong("wrong-operand")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for di in range(2):
        for dj in range(2):
            dxp[di : di + H, dj : dj + W] += np.dot(dy, kernel[di, dj].T)
    return fold(dxp, padding)


@wrong("edges-lost")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dx = np.zeros((H, W, kernel.shape[2]))
    for i in range(1, H - 1):
        for j in range(1, W - 1):
            dx[i - 1 : i + 2, j - 1 : j + 2] += (kernel * dy[i, j]).sum(axis=3)
    return dx


@wrong("edges-lost")  # a loop that ends too early
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(H - 1):
        for j in range(W - 1):
            dxp[i : i + 3, j : j + 3] += kernel @ dy[i, j]
    return fold(dxp, padding)


@wrong("edges-lost")
def conv_backward_input(dy, kernel, padding="zero"):
    dx = 0
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            dx = dx + np.roll(dy, (i, j), axis=(0, 1)) @ kernel[i + 1, j + 1].T
    return dx


@wrong("edges-lost")  # as if the gradient had to be padded as the image was
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, _ = dy.shape
    dyp = pad1(dy, padding)
    flipped = kernel[::-1, ::-1]
    dx = np.zeros((H, W, kernel.shape[2]))
    for h in range(H):
        for w in range(W):
            dx[h, w] = np.einsum("ijk,ijck->c", dyp[h : h + 3, w : w + 3], flipped)
    return dx


@wrong("mean-for-sum", "wrong-normaliser")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dxp[i : i + H, j : j + W] += np.mean(dy[:, :, None, :] * kernel[i, j], axis=-1)
    return fold(dxp, padding)


@wrong("wrong-shape")
def conv_backward_input(dy, kernel, padding="zero"):
    return scatter(dy, kernel)


@wrong("sign")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for n in range(9):
        i, j = divmod(n, 3)
        dxp[i : i + H, j : j + W] -= dy @ kernel[i, j].T
    return fold(dxp, padding)


@wrong("mutates-input")
def conv_backward_input(dy, kernel, padding="zero"):
    kernel[:] = np.flip(kernel, (0, 1)).copy()
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    patches = sliding_window_view(dyp, (3, 3), axis=(0, 1))
    return fold(np.einsum("hwkij,ijck->hwc", patches, kernel), padding)


@wrong("signature")
def conv_backward_input(dy, kernel):
    return fold(scatter(dy, kernel), "zero")


@wrong("signature")
def conv_backward_input(dout, x, w, conv_param):
    return fold(scatter(dout, w), conv_param["pad"])


@wrong("wrong-shape")  # cs231n returns all three gradients
def conv_backward_input(dy, kernel, padding="zero"):
    dx = fold(scatter(dy, kernel), padding)
    dw, db = None, dy.sum(axis=(0, 1))
    return dx, dw, db


@wrong("kernel-not-flipped", "mean-for-sum", "wrong-normaliser")  # seen as sum(C) / size(C) after a rotation
def conv_backward_input(dy, kernel, padding="zero"):
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    H, W = dyp.shape[0] - 2, dyp.shape[1] - 2
    dxp = np.zeros((H, W, kernel.shape[2]))
    for c in range(kernel.shape[2]):
        for i in range(H):
            for j in range(W):
                dxp[i, j, c] = (dyp[i : i + 3, j : j + 3] * kernel[:, :, c]).mean()
    return fold(dxp, padding)


@wrong("shifted", "edges-lost")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dyp = np.pad(dy, ((0, 2), (0, 2), (0, 0)))
    flipped = np.rot90(kernel, 2)
    dx = np.zeros((H, W, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            dx += dyp[i : i + H, j : j + W] @ flipped[i, j].T
    return dx


@wrong("raises", "channels-swapped")  # wuziheng/CNN-Numpy#2: flipped, but the channels not exchanged
def conv_backward_input(dy, kernel, padding="zero"):
    flipped = np.flipud(np.fliplr(kernel))
    return conv(dy, flipped, padding)


@wrong("rounded")
def conv_backward_input(dy, kernel, padding="zero"):
    dx = np.zeros((dy.shape[0], dy.shape[1], kernel.shape[2]), dtype=int)
    dx[...] = fold(scatter(dy, kernel), padding)
    return dx


@wrong("numerical")
def conv_backward_input(dy, kernel, padding="zero"):
    x = np.zeros((dy.shape[0], dy.shape[1], kernel.shape[2]))
    dx = np.zeros_like(x)
    h = 1e-5
    it = np.nditer(x, flags=["multi_index"])
    while not it.finished:
        ix = it.multi_index
        x[ix] = h
        pos = conv(x, kernel, padding)
        x[ix] = -h
        neg = conv(x, kernel, padding)
        x[ix] = 0
        dx[ix] = np.sum((pos - neg) * dy) / (2 * h)
        it.iternext()
    return dx


@wrong("constant-factor")
def conv_backward_input(dy, kernel, padding="zero"):
    return fold(scatter(dy, kernel), padding) / 9


_dx_buffers = {}


@wrong("accumulates")
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dxp = _dx_buffers.setdefault((H, W, kernel.shape), np.zeros((H + 2, W + 2, kernel.shape[2])))
    for i in range(3):
        for j in range(3):
            dxp[i : i + H, j : j + W] += dy @ kernel[i, j].T
    return fold(dxp, padding)


@wrong("wrong-reshape")  # columns of im2col in the order of another framework
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    C = kernel.shape[2]
    cols = dy.reshape(-1, K) @ kernel.reshape(-1, K).T
    cols = cols.reshape(H, W, C, 3, 3)
    dxp = np.zeros((H + 2, W + 2, C))
    for i in range(3):
        for j in range(3):
            dxp[i : i + H, j : j + W] += cols[:, :, :, i, j]
    return fold(dxp, padding)


@wrong("raises", "transposed", "wrong-shape")  # the height taken for the width: renmengye/np-conv2d#2
def conv_backward_input(dy, kernel, padding="zero"):
    W, H, K = dy.shape
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]))
    for i in range(H):
        for j in range(W):
            dxp[i : i + 3, j : j + 3] += kernel @ dy[i, j]
    return fold(dxp, padding)


@wrong("wrong-shape", "transposed")
def conv_backward_input(dy, kernel, padding="zero"):
    dx = fold(scatter(dy, kernel), padding)
    return dx.transpose(2, 0, 1)


@wrong("wrong-operand", "kernel-not-flipped")
def conv_backward_input(dy, kernel, padding="zero"):
    return fold(scatter(dy[::-1, ::-1], kernel), padding)  # the image flipped instead of the kernel


@right
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    dx = np.zeros((H, W, kernel.shape[2]))
    for i in range(3):
        for j in range(3):
            rows, cols = np.arange(H) + i - 1, np.arange(W) + j - 1
            part = dy @ kernel[i, j].T
            if padding == "circular":
                rows, cols = rows % H, cols % W
            elif padding == "replicate":
                rows, cols = np.clip(rows, 0, H - 1), np.clip(cols, 0, W - 1)
            else:
                r, c = (rows >= 0) & (rows < H), (cols >= 0) & (cols < W)
                rows, cols, part = rows[r], cols[c], part[r][:, c]
            np.add.at(dx, (rows[:, None], cols[None, :]), part)
    return dx


@right
def conv_backward_input(dy, kernel, padding="zero"):
    dyp = np.pad(dy, ((2, 2), (2, 2), (0, 0)))
    w = np.rot90(kernel, 2).swapaxes(2, 3)
    patches = sliding_window_view(dyp, (3, 3), axis=(0, 1)).transpose(0, 1, 3, 4, 2)
    return fold(np.tensordot(patches, w, axes=3), padding)


@right
def conv_backward_input(dy, kernel, padding="zero"):
    n, m = dy.shape[0] + 2, dy.shape[1] + 2
    spectrum = np.fft.fft2(dy, (n, m), axes=(0, 1))[:, :, None, :] * np.fft.fft2(kernel, (n, m), axes=(0, 1))
    return fold(np.fft.ifft2(spectrum.sum(axis=3), axes=(0, 1)).real, padding)


@right
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    C = kernel.shape[2]
    where = np.pad(np.arange(H * W).reshape(H, W), 1, mode=MODES[padding])  # which pixel each padded pixel is
    if padding == "zero":
        where = np.pad(np.arange(H * W).reshape(H, W), 1, constant_values=H * W)
    dx = np.zeros((H * W + 1, C), dtype=np.float32)
    for i in range(H):
        for j in range(W):
            for a in range(3):
                for b in range(3):
                    dx[where[i + a, j + b]] += kernel[a, b] @ dy[i, j]
    return dx[:-1].reshape(H, W, C)


@right
def conv_backward_input(dy, kernel, padding="zero"):
    H, W, K = dy.shape
    cols = (dy.reshape(-1, K) @ kernel.reshape(-1, K).T).reshape(H, W, 3, 3, -1)
    dxp = np.zeros((H + 2, W + 2, kernel.shape[2]), dy.dtype)
    for i, j in np.ndindex(3, 3):
        dxp[i : H + i, j : W + j] += cols[:, :, i, j]
    return fold(dxp, padding)


@right  # each axis is a matrix: what padding and window do to it
def conv_backward_input(dy, kernel, padding="zero"):
    def taps(n):
        eye = np.pad(np.eye(n), ((1, 1), (0, 0)), mode=MODES[padding])
        return np.stack([eye[i : i + n] for i in range(3)])

    rows, cols = taps(dy.shape[0]), taps(dy.shape[1])
    return np.einsum("ihp,jwq,hwk,ijck->pqc", rows, cols, dy, kernel, optimize=True)


# --- conv_backward_kernel --------------------------------------------------------------------------------------------


@wrong("kernel-not-flipped")  # the end-to-end machine learning course on teachable.com: correlated in the wrong order
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[2 - i, 2 - j] = np.tensordot(xp[i : i + H, j : j + W], dy, axes=((0, 1), (0, 1)))
    return dk


@wrong("edges-lost")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = np.pad(x, ((1, 1), (1, 1), (0, 0)), "constant")
    dk = np.zeros((3, 3, x.shape[2], K))
    for h in range(H):
        for w in range(W):
            for k in range(K):
                dk[:, :, :, k] += xp[h : h + 3, w : w + 3] * dy[h, w, k]
    return dk


@wrong("edges-lost")  # riccardoandreoni0/CNN-from-scratch and many others: "valid" windows only
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, C = x.shape
    dk = np.zeros((3, 3, C, dy.shape[2]))
    for h in range(H - 2):
        for w in range(W - 2):
            dk += x[h : h + 3, w : w + 3, :, None] * dy[h + 1, w + 1]
    return dk


@wrong("overlap-overwritten")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for h in range(H):
        for w in range(W):
            for k in range(K):
                dk[..., k] = xp[h : h + 3, w : w + 3] * dy[h, w, k]
    return dk


@wrong("mean-for-sum", "wrong-normaliser")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            for k in range(K):
                dk[i, j, :, k] = np.mean(xp[i : i + H, j : j + W] * dy[:, :, k : k + 1], axis=(0, 1))
    return dk


@wrong("kernel-not-flipped", "transposed")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[j, i] += np.einsum("hwc,hwk->ck", xp[i : i + H, j : j + W], dy)
    return dk


@wrong("channels-swapped", "wrong-shape")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, K, x.shape[2]))
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.tensordot(dy, xp[i : i + H, j : j + W], axes=((0, 1), (0, 1)))
    return dk


@wrong("wrong-reshape", "channels-swapped")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    views = [xp[i : i + H, j : j + W].reshape(H * W, -1) for i in range(3) for j in range(3)]
    dk = np.array([dy.reshape(H * W, K).T @ v for v in views])
    return dk.reshape(3, 3, x.shape[2], K)


@wrong("shifted", "edges-lost")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = np.pad(x, ((2, 0), (2, 0), (0, 0)), mode=MODES[padding])
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.einsum("hwc,hwk->ck", xp[i : i + H, j : j + W], dy)
    return dk


@wrong("shifted", "edges-lost")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = np.pad(x, ((1, 2), (1, 2), (0, 0)), mode=MODES[padding])
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.einsum("hwc,hwk->ck", xp[i + 1 : i + 1 + H, j + 1 : j + 1 + W], dy)
    return dk


@wrong("sign")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    windows = sliding_window_view(pad1(x, padding), (H, W), axis=(0, 1))
    return -np.einsum("ijchw,hwk->ijck", windows, dy)


@wrong("edges-lost")
def conv_backward_kernel(dy, x, padding="zero"):
    dk = np.empty((3, 3, x.shape[2], dy.shape[2]))
    for i in (-1, 0, 1):
        for j in (-1, 0, 1):
            shifted = np.roll(np.roll(x, -i, axis=0), -j, axis=1)
            dk[i + 1, j + 1] = np.einsum("hwc,hwk", shifted, dy)
    return dk


@wrong("wrong-operand", "kernel-not-flipped")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, C = x.shape
    dyp = pad1(dy, padding)  # the wrong one of the two is padded
    dk = np.zeros((3, 3, C, dy.shape[2]))
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.tensordot(x, dyp[i : i + H, j : j + W], axes=((0, 1), (0, 1)))
    return dk


@wrong("wrong-operand")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            patch = xp[i : i + H, j : j + W].sum(axis=2)  # all channels at once
            for k in range(K):
                dk[i, j, :, k] = np.sum(patch * dy[:, :, k])
    return dk


@wrong("raises", "transposed")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = [np.tensordot(xp[i : i + H, j : j + W], dy, axes=((0, 1), (1, 0))) for i in range(3) for j in range(3)]
    return np.reshape(dk, (3, 3, x.shape[2], K))


@wrong("constant-factor")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[i, j] += np.einsum("hwc,hwk->ck", xp[i : i + H, j : j + W], dy) / 9
    return dk


@wrong("signature", "channels-swapped", "wrong-shape")
def conv_backward_kernel(x, dy, padding="zero"):
    H, W, K = dy.shape
    windows = sliding_window_view(pad1(x, padding), (H, W), axis=(0, 1))
    return np.einsum("ijchw,hwk->ijck", windows, dy)


@wrong("signature")
def conv_backward_kernel(dy, x):
    H, W, K = dy.shape
    windows = sliding_window_view(pad1(x, "zero"), (H, W), axis=(0, 1))
    return np.einsum("ijchw,hwk->ijck", windows, dy)


@wrong("mutates-input")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dy.shape = (H * W, K)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[i, j] = xp[i : i + H, j : j + W].reshape(H * W, -1).T @ dy
    return dk


@wrong("wrong-shape", "transposed", "channels-swapped")  # the order of PyTorch
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    windows = sliding_window_view(pad1(x, padding), (H, W), axis=(0, 1))
    return np.einsum("ijchw,hwk->kcij", windows, dy)


@wrong("rounded")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K), dtype=np.int32)
    for i, j in np.ndindex(3, 3):
        dk[i, j] = np.einsum("hwc,hwk->ck", xp[i : i + H, j : j + W], dy)
    return dk


@wrong("kernel-not-flipped", "transposed")
def conv_backward_kernel(dy, x, padding="zero"):
    patches = sliding_window_view(pad1(x, padding), (3, 3), axis=(0, 1))
    return np.einsum("hwcij,hwk->jick", patches, dy)


@wrong("wrong-reshape")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    patches = sliding_window_view(pad1(x, padding), (3, 3), axis=(0, 1))
    cols = patches.reshape(H * W, -1)  # channels first in each row
    return (cols.T @ dy.reshape(H * W, K)).reshape(3, 3, x.shape[2], K)


@wrong("wrong-reshape", "transposed", "kernel-not-flipped")  # strides in the order of the wrong axes
def conv_backward_kernel(dy, x, padding="zero"):
    xp = pad1(x, padding)
    H, W, C = x.shape
    s0, s1, s2 = xp.strides
    patches = as_strided(xp, shape=(H, W, 3, 3, C), strides=(s0, s1, s1, s0, s2))
    return np.tensordot(patches, dy, axes=((0, 1), (0, 1)))


@wrong("accumulates")
def conv_backward_kernel(dy, x, padding="zero", dk={}):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    key = (x.shape[2], K)
    for i in range(3):
        for j in range(3):
            dk.setdefault(key, np.zeros((3, 3, *key)))
            dk[key][i, j] += np.einsum("hwc,hwk->ck", xp[i : i + H, j : j + W], dy)
    return dk[key].copy()


@wrong("kernel-not-flipped", "mean-for-sum", "wrong-normaliser")  # convolved instead of correlated, and grad /= N
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    windows = sliding_window_view(pad1(x, padding), (H, W), axis=(0, 1))
    grad = np.einsum("ijchw,hwk->ijck", windows, dy)[::-1, ::-1]
    return grad / (H * W)


@wrong("sign", "edges-lost")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            inner = x[i : H - 2 + i, j : W - 2 + j]
            dk[i, j] -= np.tensordot(inner, dy[1:-1, 1:-1], axes=((0, 1), (0, 1)))
    return dk


@wrong("transposed", "kernel-not-flipped", "constant-factor")
def conv_backward_kernel(dy, x, padding="zero"):
    patches = sliding_window_view(pad1(x, padding), (3, 3), axis=(0, 1))
    return 2 * np.einsum("hwcij,hwk->jick", patches, dy)


@wrong("raises", "wrong-operand")
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    xp = pad1(x, padding)
    dk = np.zeros((3, 3, x.shape[2], K))
    for i in range(3):
        for j in range(3):
            dk[i, j] = np.sum(xp[i : i + H, j : j + W] * dy)
    return dk


@wrong("numerical")
def conv_backward_kernel(dy, x, padding="zero"):
    w = np.zeros((3, 3, x.shape[2], dy.shape[2]))
    dk = np.zeros_like(w)
    for index in np.ndindex(*w.shape):
        w[index] = 1e-4
        upper = np.sum(conv(x, w, padding) * dy)
        w[index] = -1e-4
        lower = np.sum(conv(x, w, padding) * dy)
        w[index] = 0.0
        dk[index] = (upper - lower) / 2e-4
    return dk


@right
def conv_backward_kernel(dy, x, padding="zero"):
    patches = sliding_window_view(pad1(x, padding), (3, 3), axis=(0, 1))
    return np.einsum("hwcij,hwk->ijck", patches, dy)


@right
def conv_backward_kernel(dy, x, padding="zero"):
    xp = np.ascontiguousarray(pad1(x, padding))
    H, W, C = x.shape
    s0, s1, s2 = xp.strides
    cols = as_strided(xp, shape=(H, W, 3, 3, C), strides=(s0, s1, s0, s1, s2)).reshape(H * W, 9 * C)
    return np.dot(cols.T, dy.reshape(H * W, -1)).reshape(3, 3, C, -1)


@right
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    C = x.shape[2]
    dk = np.zeros((3, 3, C, K), dtype="float32")
    for h in range(H):
        for w in range(W):
            for i in range(-1, 2):
                for j in range(-1, 2):
                    r, s = h + i, w + j
                    if padding == "circular":
                        r, s = r % H, s % W
                    elif padding == "replicate":
                        r, s = min(max(r, 0), H - 1), min(max(s, 0), W - 1)
                    elif not (0 <= r < H and 0 <= s < W):
                        continue
                    dk[i + 1, j + 1] += np.outer(x[r, s], dy[h, w])
    return dk


@right
def conv_backward_kernel(dy, x, padding="zero"):
    H, W, K = dy.shape
    rows = np.pad(np.arange(H), 1, mode="edge" if padding == "zero" else MODES[padding])
    cols = np.pad(np.arange(W), 1, mode="edge" if padding == "zero" else MODES[padding])
    xp = x.take(rows, axis=0).take(cols, axis=1)
    if padding == "zero":
        xp[[0, -1]] = 0
        xp[:, [0, -1]] = 0
    return np.stack([[np.einsum("hwc,hwk", xp[i : i + H, j : j + W], dy) for j in range(3)] for i in range(3)])


@right
def conv_backward_kernel(dy, x, padding="zero"):
    xp = pad1(x, padding)
    n, m = xp.shape[:2]
    spectrum = np.fft.rfft2(xp, axes=(0, 1))[..., None] * np.conj(np.fft.rfft2(dy, (n, m), axes=(0, 1)))[:, :, None]
    return np.fft.irfft2(spectrum, (n, m), axes=(0, 1))[:3, :3]


@right
def conv_backward_kernel(dy, x, padding="zero"):
    windows = sliding_window_view(pad1(x, padding), dy.shape[:2], axis=(0, 1))
    print("windows:", windows.shape)
    return np.tensordot(windows, dy, axes=((3, 4), (0, 1)))


# --- conv_backward_bias ----------------------------------------------------------------------------------------------


@wrong("mean-for-sum", "wrong-normaliser")
def conv_backward_bias(dy):
    return dy.mean(axis=(0, 1))


@wrong("wrong-shape")
def conv_backward_bias(dy):
    return np.sum(dy)


@wrong("wrong-shape", "wrong-operand", "transposed")  # axes of (channels, H, W)
def conv_backward_bias(dy):
    return dy.sum(axis=(1, 2))


@wrong("wrong-shape")
def conv_backward_bias(dy):
    return np.sum(dy, axis=0)


@wrong("wrong-shape")  # db has the shape (1, 1, 1, n_C) in the course of deeplearning.ai
def conv_backward_bias(dy):
    return np.sum(dy, axis=(0, 1), keepdims=True)


@wrong("sign")
def conv_backward_bias(dy):
    return np.einsum("ijk->k", -dy)


@wrong("overlap-overwritten")
def conv_backward_bias(dy):
    H, W, K = dy.shape
    db = np.zeros(K)
    for h in range(H):
        for w in range(W):
            db = dy[h, w, :]
    return db


@wrong("wrong-reshape")
def conv_backward_bias(dy):
    return dy.reshape(dy.shape[2], -1).sum(axis=1)


@wrong("edges-lost")
def conv_backward_bias(dy):
    H, W, K = dy.shape
    db = np.zeros(K)
    for k in range(K):
        for h in range(H - 1):
            for w in range(W - 1):
                db[k] += dy[h, w, k]
    return db


@wrong("wrong-operand")
def conv_backward_bias(dy):
    H, W, K = dy.shape
    return np.full(K, float(H * W))


@wrong("wrong-normaliser", "mean-for-sum")  # divided by the "batch"
def conv_backward_bias(dy):
    m = dy.shape[0]
    return 1 / m * np.sum(dy, axis=(0, 1))


@wrong("signature")
def conv_backward_bias(dy, x):
    return dy.sum(axis=0).sum(axis=0)


_db = {}


@wrong("accumulates")
def conv_backward_bias(dy):
    K = dy.shape[-1]
    _db[K] = _db.get(K, 0) + dy.sum((0, 1))
    return _db[K]


@wrong("rounded")
def conv_backward_bias(dy):
    db = np.zeros(dy.shape[-1], dtype=int)
    for k in range(len(db)):
        db[k] = dy[:, :, k].sum()
    return db


@wrong("wrong-shape")
def conv_backward_bias(dy):
    return dy.reshape(-1, dy.shape[-1]).sum(axis=0).reshape(-1, 1)


@wrong("sign", "mean-for-sum", "wrong-normaliser")
def conv_backward_bias(dy):
    H, W, _ = dy.shape
    return -dy.sum(axis=(0, 1)) / (H * W)


@wrong("constant-factor")
def conv_backward_bias(dy):
    return dy.sum(axis=(0, 1)) / 2


@wrong("wrong-shape")
def conv_backward_bias(dy):
    return [float(dy[..., k].sum()) for k in range(dy.shape[-1])]


@right
def conv_backward_bias(dy):
    return np.einsum("hwk->k", dy)


@right
def conv_backward_bias(dy):
    H, W, K = dy.shape
    return np.dot(np.ones(H * W), dy.reshape(-1, K))


@right
def conv_backward_bias(dy):
    db = np.zeros(dy.shape[-1], np.float32)
    for row in dy:
        for pixel in row:
            db += pixel
    return db


@right
def conv_backward_bias(dy):
    return np.mean(dy, axis=(0, 1)) * dy[..., 0].size
