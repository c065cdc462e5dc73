"""Solutions of max_pool_backward and average_pool_backward."""

import numpy as np
from numpy.lib.stride_tricks import as_strided, sliding_window_view

from . import right, wrong


def create_mask_from_window(x):
    return x == np.max(x)


def distribute_value(dz, shape):
    n_H, n_W = shape
    return np.ones(shape) * dz / (n_H * n_W)


def out_size(n, window, stride):
    return (n - window) // stride + 1


# --- max_pool_backward -----------------------------------------------------------------------------------------------


@wrong("ties")  # deeplearning.ai's course, and solutions of cs231n
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    n_H, n_W, n_C = dy.shape
    for h in range(n_H):
        for w in range(n_W):
            for c in range(n_C):
                vert_start, horiz_start = h * stride, w * stride
                vert_end, horiz_end = vert_start + window, horiz_start + window
                mask = create_mask_from_window(x[vert_start:vert_end, horiz_start:horiz_end, c])
                dx[vert_start:vert_end, horiz_start:horiz_end, c] += mask * dy[h, w, c]
    return dx


@wrong("ties")  # proposed in Theano/Theano#4568
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            a, b = i * stride, j * stride
            region = x[a : a + window, b : b + window]
            mask = region == region.max(axis=(0, 1))
            dx[a : a + window, b : b + window] += dy[i, j] * mask / mask.sum(axis=(0, 1))
    return dx


@wrong("ties")  # mni-ml/framework#22: equal within a tolerance
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        region = x[i * stride : i * stride + window, j * stride : j * stride + window, c]
        mask = np.isclose(region, region.max(), atol=1e-2)
        dx[i * stride : i * stride + window, j * stride : j * stride + window, c] += mask * dy[i, j, c]
    return dx


@wrong("overlap-overwritten")  # Alescontrela/Numpy-CNN
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for c in range(x.shape[2]):
        curr_y = out_y = 0
        while curr_y + window <= x.shape[0]:
            curr_x = out_x = 0
            while curr_x + window <= x.shape[1]:
                block = x[curr_y : curr_y + window, curr_x : curr_x + window, c]
                a, b = np.unravel_index(np.nanargmax(block), block.shape)
                dx[curr_y + a, curr_x + b, c] = dy[out_y, out_x, c]
                curr_x += stride
                out_x += 1
            curr_y += stride
            out_y += 1
    return dx


@wrong("ties")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for h, w, c in np.ndindex(*dy.shape):
        best, row, col = -np.inf, 0, 0
        for i in range(window):
            for j in range(window):
                value = x[h * stride + i, w * stride + j, c]
                if value >= best:
                    best, row, col = value, i, j
        dx[h * stride + row, w * stride + col, c] += dy[h, w, c]
    return dx


@wrong("wrong-operand", "shifted")  # often in copies of deeplearning.ai's course: vert_start = h
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            for c in range(dy.shape[2]):
                a = x[h : h + window, w : w + window, c]
                i, j = np.unravel_index(a.argmax(), a.shape)
                dx[h + i, w + j, c] += dy[h, w, c]
    return dx


@wrong("wrong-operand", "signature", "raises")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            for c in range(dy.shape[2]):
                n = np.argmax(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c])
                dx[2 * i + n // 2, 2 * j + n % 2, c] = dy[i, j, c]
    return dx


@wrong("signature")
def max_pool_backward(dy, x):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2, c])
        dx[2 * i + n // 2, 2 * j + n % 2, c] += dy[i, j, c]
    return dx


@wrong("wrong-operand")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            a, b = i * stride, j * stride
            block = x[a : a + window, b : b + window]
            r, s, c = np.unravel_index(np.argmax(block), block.shape)  # the largest of all channels
            dx[a + r, b + s, :] += dy[i, j, :]
    return dx


@wrong("overlap-overwritten", "wrong-operand")  # riccardoandreoni0/CNN-from-scratch#1: return inside the loop
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            patch = x[h * stride : h * stride + window, w * stride : w * stride + window]
            max_val = np.amax(patch, axis=(0, 1))
            for i in range(window):
                for j in range(window):
                    for k in range(patch.shape[2]):
                        if patch[i, j, k] == max_val[k]:
                            dx[h * stride + i, w * stride + j, k] = dy[h, w, k]
        return dx


@wrong("wrong-operand")  # a copy of deeplearning.ai's course: the window in place of dy
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for h, w, c in np.ndindex(*dy.shape):
        rows, cols = slice(h * stride, h * stride + window), slice(w * stride, w * stride + window)
        a_slice = x[rows, cols, c]
        dx[rows, cols, c] += create_mask_from_window(a_slice) * a_slice
    return dx


@wrong("wrong-operand")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for h, w, c in np.ndindex(*dy.shape):
        rows, cols = slice(h * stride, h * stride + window), slice(w * stride, w * stride + window)
        dx[rows, cols, c] += distribute_value(dy[h, w, c], (window, window))
    return dx


@wrong("raises", "wrong-shape")  # machine-learning tutorials: reshape into blocks; only where the sizes divide
def max_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    blocks = x.reshape(H // window, window, W // window, window, C)
    mask = blocks == blocks.max(axis=(1, 3), keepdims=True)
    return (mask * dy[:, None, :, None, :]).reshape(H, W, C)


@wrong("wrong-operand")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        block = x[i * stride : i * stride + window, j * stride : j * stride + window, c]
        r, s = np.unravel_index(block.argmin(), block.shape)
        dx[i * stride + r, j * stride + s, c] += dy[i, j, c]
    return dx


@wrong("wrong-operand")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        block = np.abs(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        r, s = divmod(int(block.argmax()), window)
        dx[i * stride + r, j * stride + s, c] += dy[i, j, c]
    return dx


@wrong("transposed")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        col, row = n // window, n % window
        dx[i * stride + row, j * stride + col, c] += dy[i, j, c]
    return dx


@wrong("shifted", "wrong-operand", "raises")  # wuziheng/CNN-Numpy: the place in the window, found with the stride
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        index = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + index // stride, j * stride + index % stride, c] += dy[i, j, c]
    return dx


@wrong("mutates-input", "wrong-operand")  # copies of Alescontrela/Numpy-CNN: dout = orig
def max_pool_backward(dy, x, window=2, stride=2):
    dx = x
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] = dy[i, j, c]
    return dx


@wrong("edges-lost")
def max_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    dx = np.zeros_like(x)
    for i in range((H - window) // stride):
        for j in range((W - window) // stride):
            for c in range(C):
                n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
                dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c]
    return dx


@wrong("wrong-shape", "raises")
def max_pool_backward(dy, x, window=2, stride=2):
    h, w, C = dy.shape
    dx = np.zeros((h * stride, w * stride, C))
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c]
    return dx


@wrong("sign")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] -= dy[i, j, c]
    return dx


@wrong("rounded")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape, dtype="int")
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += int(dy[i, j, c])
    return dx


_pool_state = {"shape": None, "dx": None}


@wrong("accumulates")
def max_pool_backward(dy, x, window=2, stride=2):
    if _pool_state["shape"] != (x.shape, window, stride):
        _pool_state["shape"] = (x.shape, window, stride)
        _pool_state["dx"] = np.zeros(x.shape)
    dx = _pool_state["dx"]
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c]
    return dx.copy()


@wrong("ties", "overlap-overwritten")  # Flowergift/Python_AI_Sample: assigned wherever the mask holds
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        win = x[i * stride : i * stride + window, j * stride : j * stride + window, c]
        dwin = dx[i * stride : i * stride + window, j * stride : j * stride + window, c]
        dwin[win == np.max(win)] = dy[i, j, c]
    return dx


@wrong("wrong-normaliser", "constant-factor")
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c] / window**2
    return dx


@wrong("raises")
def max_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    assert H % stride == 0 and W % stride == 0, "sizes must be even"
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c]
    return dx


@wrong("wrong-reshape")
def max_pool_backward(dy, x, window=2, stride=2):
    C = x.shape[2]
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            block = x[i * stride : i * stride + window, j * stride : j * stride + window]
            n = block.reshape(C, -1).argmax(axis=1)
            for c in range(C):
                dx[i * stride + n[c] // window, j * stride + n[c] % window, c] += dy[i, j, c]
    return dx


@wrong("signature", "wrong-operand", "raises")
def max_pool_backward(x, dy, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        n = np.argmax(x[i * stride : i * stride + window, j * stride : j * stride + window, c])
        dx[i * stride + n // window, j * stride + n % window, c] += dy[i, j, c]
    return dx


@wrong("wrong-operand", "overlap-overwritten")  # one mask for all windows, as in courses of UCAS
def max_pool_backward(dy, x, window=2, stride=2):
    max_index = np.zeros_like(x)
    rows = [slice(i * stride, i * stride + window) for i in range(dy.shape[0])]
    cols = [slice(j * stride, j * stride + window) for j in range(dy.shape[1])]
    for r in rows:
        for s in cols:
            for c in range(x.shape[2]):
                win = x[r, s, c]
                max_index[r, s, c][np.unravel_index(win.argmax(), win.shape)] = 1
    dx = np.zeros_like(x)
    for i, r in enumerate(rows):
        for j, s in enumerate(cols):
            for c in range(x.shape[2]):
                a, b = np.argwhere(max_index[r, s, c])[0]
                dx[r.start + a, s.start + b, c] = dy[i, j, c]
    return dx


@wrong("numerical", "ties")
def max_pool_backward(dy, x, window=2, stride=2):
    def pool(v):
        return sliding_window_view(v, (window, window), axis=(0, 1))[::stride, ::stride].max(axis=(3, 4))

    dx = np.zeros(x.shape)
    for n in np.ndindex(*x.shape):
        step = np.zeros(x.shape)
        step[n] = 1e-6
        dx[n] = np.sum(dy * (pool(x + step) - pool(x - step))) / 2e-6
    return dx


@right
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x, dtype=float)
    for h, w, c in np.ndindex(*dy.shape):
        best, row, col = -np.inf, 0, 0
        for i in range(window):
            for j in range(window):
                value = x[h * stride + i, w * stride + j, c]
                if value > best:
                    best, row, col = value, i, j
        dx[h * stride + row, w * stride + col, c] += dy[h, w, c]
    return dx


@right
def max_pool_backward(dy, x, window=2, stride=2):
    views = sliding_window_view(x, (window, window), axis=(0, 1))[::stride, ::stride]
    n = views.reshape(*views.shape[:3], -1).argmax(axis=-1)
    i, j, c = np.indices(n.shape)
    dx = np.zeros(x.shape)
    np.add.at(dx, (i * stride + n // window, j * stride + n % window, c), dy)
    return dx


@right
def max_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    flat = np.arange(x.size).reshape(x.shape)
    h, w = out_size(H, window, stride), out_size(W, window, stride)
    s0, s1, s2 = flat.strides
    index = as_strided(flat, (h, w, C, window, window), (s0 * stride, s1 * stride, s2, s0, s1)).reshape(h, w, C, -1)
    chosen = np.take_along_axis(index, x.ravel()[index].argmax(axis=-1)[..., None], axis=-1)
    return np.bincount(chosen.ravel(), weights=dy.ravel(), minlength=x.size).reshape(x.shape)


@right
def max_pool_backward(dy, x, window=2, stride=2):
    h, w, C = dy.shape
    dx = np.zeros(x.shape, np.float32)
    largest = np.full(dy.shape, -np.inf)
    where = np.zeros(dy.shape, int)
    for n in range(window * window):
        view = x[n // window :: stride, n % window :: stride][:h, :w]
        where[view > largest] = n
        largest = np.maximum(view, largest)
    for n in range(window * window):
        dx[n // window :: stride, n % window :: stride][:h, :w] += dy * (where == n)
    return dx


@right  # from the last to the first, so that the first of equal ones is written last
def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            region = x[i * stride : i * stride + window, j * stride : j * stride + window]
            mask = np.zeros_like(region)
            peak = region.max(axis=(0, 1))
            for k in reversed(range(window**2)):
                hit = region[k // window, k % window] == peak
                mask[:, :, hit] = 0
                mask[k // window, k % window, hit] = 1
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += mask * dy[i, j]
    return dx


# --- average_pool_backward -------------------------------------------------------------------------------------------


@wrong("missing-normaliser", "constant-factor")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j]
    return dx


@wrong(
    "wrong-normaliser", "missing-normaliser", "constant-factor"
)  # forum of deeplearning.ai: 0.5 or 0.25 in distribute_value?
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            average = dy[i, j] / window
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += average
    return dx


@wrong("wrong-normaliser", "constant-factor")
def average_pool_backward(dy, x, window=2, stride=2):
    h, w, _ = dy.shape
    dx = np.zeros_like(x)
    for i in range(window):
        for j in range(window):
            dx[i : i + h * stride : stride, j : j + w * stride : stride][:h, :w] += 0.25 * dy
    return dx


@wrong("overlap-overwritten")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    n_H, n_W, n_C = dy.shape
    for h in range(n_H):
        for w in range(n_W):
            for c in range(n_C):
                v, u = h * stride, w * stride
                dx[v : v + window, u : u + window, c] = distribute_value(dy[h, w, c], (window, window))
    return dx


@wrong("wrong-shape")  # the common two calls of repeat, wrong where the size does not divide or windows overlap
def average_pool_backward(dy, x, window=2, stride=2):
    return dy.repeat(window, axis=0).repeat(window, axis=1) / (window * window)


@wrong("overlap-overwritten", "wrong-operand")  # wuziheng/CNN-Numpy: repeated by the stride, whatever the window
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, _ = x.shape
    up = np.kron(dy, np.ones((stride, stride, 1))) / window**2
    up = np.pad(up, ((0, max(0, H - up.shape[0])), (0, max(0, W - up.shape[1])), (0, 0)))
    return up[:H, :W]


@wrong("wrong-operand", "shifted")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            dx[h : h + window, w : w + window, :] += dy[h, w, :] / window**2
    return dx


@wrong("signature")
def average_pool_backward(dy, x):
    dx = np.zeros_like(x)
    h, w, _ = dy.shape
    dx[: 2 * h, : 2 * w] = dy.repeat(2, 0).repeat(2, 1) / 4
    return dx


@wrong("wrong-normaliser")
def average_pool_backward(dy, x, window=2, stride=2):
    dx, count = np.zeros_like(x), np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            here = np.s_[i * stride : i * stride + window, j * stride : j * stride + window]
            dx[here] += dy[i, j]
            count[here] += 1
    return dx / np.maximum(count, 1)


@wrong("wrong-operand")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            here = np.s_[i * stride : i * stride + window, j * stride : j * stride + window]
            mask = x[here] == x[here].max(axis=(0, 1))
            dx[here] += mask * dy[i, j]
    return dx


@wrong("wrong-operand")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        here = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window), c)
        dx[here] += np.mean(x[here]) * dy[i, j, c]
    return dx


@wrong("sign")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        here = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window), c)
        dx[here] -= dy[i, j, c] / window**2
    return dx


@wrong("rounded")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i, j, c in np.ndindex(*dy.shape):
        here = (slice(i * stride, i * stride + window), slice(j * stride, j * stride + window), c)
        dx[here] += dy[i, j, c] // window**2
    return dx


@wrong("edges-lost")
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    dx = np.zeros_like(x)
    for a, i in enumerate(range(0, H - window, stride)):
        for b, j in enumerate(range(0, W - window, stride)):
            dx[i : i + window, j : j + window] += dy[a, b] / window**2
    return dx


@wrong("wrong-operand")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i * stride, j * stride] += dy[i, j] / window**2  # only one element of the window
    return dx


@wrong("mutates-input")
def average_pool_backward(dy, x, window=2, stride=2):
    dy /= window**2
    dx = np.zeros(x.shape)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j]
    return dx


@wrong("mutates-input")  # the buffer of the input reused for the gradient
def average_pool_backward(dy, x, window=2, stride=2):
    x[...] = 0
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            x[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j] / window**2
    return x


class _Pool:
    dx = {}


@wrong("accumulates")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = _Pool.dx.setdefault((x.shape, window, stride), np.zeros(x.shape))
    for i, j, c in np.ndindex(*dy.shape):
        dx[i * stride : i * stride + window, j * stride : j * stride + window, c] += dy[i, j, c] / window**2
    return dx.copy()


@wrong("transposed", "raises")
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    dx = np.zeros((H, W, C))
    for i in range(out_size(W, window, stride)):
        for j in range(out_size(H, window, stride)):
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j] / window**2
    return dx


@wrong("overlap-overwritten", "missing-normaliser")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(*dy.shape):
        for a in range(window):
            for b in range(window):
                dx[i * stride + a, j * stride + b, c] = dy[i, j, c]
    return dx


@wrong("edges-lost")  # what no window covers gets the value of its neighbour
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    used_h, used_w = (dy.shape[0] - 1) * stride + window, (dy.shape[1] - 1) * stride + window
    dx = np.zeros((used_h, used_w, C))
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j] / window**2
    return np.pad(dx, ((0, H - used_h), (0, W - used_w), (0, 0)), mode="edge")


@wrong("wrong-operand")
def average_pool_backward(dy, x, window=2, stride=2):
    return np.ones_like(x) * dy.sum(axis=(0, 1)) / (x.shape[0] * x.shape[1])  # of a global average


@wrong("sign", "wrong-normaliser")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += -dy[i, j] / (2 * window)
    return dx


@wrong("raises")
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    dx = np.zeros((H // stride, stride, W // stride, stride, C))
    dx[:, :window, :, :window] = dy[:, None, :, None] / window**2
    return dx.reshape(H, W, C)


@wrong("wrong-operand")
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for i in range(dy.shape[0]):
        for j in range(dy.shape[1]):
            # summed over the channels, and the same for all of them
            dx[i * stride : i * stride + window, j * stride : j * stride + window] += dy[i, j].sum() / window**2
    return dx


@right  # y = R x S: each axis has a matrix that says which rows a window covers
def average_pool_backward(dy, x, window=2, stride=2):
    def cover(n, m):
        start = np.arange(m)[:, None] * stride
        k = np.arange(n)[None, :]
        return ((k >= start) & (k < start + window)) / window

    R, S = cover(x.shape[0], dy.shape[0]), cover(x.shape[1], dy.shape[1])
    return np.einsum("pi,pqc,qj->ijc", R, dy, S)


@right
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    i, j, c, a, b = np.indices((*dy.shape, window, window))
    np.add.at(dx, (i * stride + a, j * stride + b, c), dy[..., None, None] / (window * window))
    return dx


@right
def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape, dtype=np.float32)
    for h, w, c in np.ndindex(*dy.shape):
        v, u = h * stride, w * stride
        dx[v : v + window, u : u + window, c] += distribute_value(dy[h, w, c], (window, window))
    return dx


@right  # dy spread to its corners, then summed along both axes
def average_pool_backward(dy, x, window=2, stride=2):
    H, W, C = x.shape
    corners = np.zeros((H + 1, W + 1, C))
    for h in range(dy.shape[0]):
        for w in range(dy.shape[1]):
            t, s = h * stride, w * stride
            corners[t, s] += dy[h, w]
            corners[t + window, s] -= dy[h, w]
            corners[t, s + window] -= dy[h, w]
            corners[t + window, s + window] += dy[h, w]
    return corners.cumsum(axis=0).cumsum(axis=1)[:H, :W] / window / window


@right
def average_pool_backward(dy, x, window=2, stride=2):
    dx = 0 * x
    for row in range(dx.shape[0]):
        for col in range(dx.shape[1]):
            for p in range(dy.shape[0]):
                for q in range(dy.shape[1]):
                    if 0 <= row - p * stride < window and 0 <= col - q * stride < window:
                        dx[row, col] += dy[p, q] / window**2
    return dx
