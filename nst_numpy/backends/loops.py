"""Loops that NumPy cannot express efficiently, compiled by Numba.

All take C-contiguous arrays, float32 or float64, channels last, and release the interpreter lock, so that several
threads can run them at once. Multiplication and addition may be contracted into one instruction; nothing else is
relaxed: NaN and infinity behave as in NumPy.

The compiler vectorises a loop only if it is simple, and gains only if it is long: innermost loops run over channels, or
over the channels of all pixels of a row, on one-dimensional slices. To take a slice costs as much as some tens of
elements.
"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import llvmlite.binding
import numba
import numpy as np

ZERO, REPLICATE, CIRCULAR = range(3)  # paddings
PIECE = 1 << 12  # elements of a vector that are summed at once
COMPILED = not getattr(numba.config, "DISABLE_JIT", False)  # NUMBA_DISABLE_JIT leaves Python functions
OPTIONS: Any = {"nogil": True, "fastmath": {"contract"}, "error_model": "numpy"}


def compiled(function: Callable[..., None]) -> Any:
    """Compile at first use, and keep the result on disk if there is a writable place.

    Numba names its files by the qualified name, and writes the index before the code: a process that looks in between,
    or after one was killed there, finds old code under a new entry. So the name also says what the code is made from.
    """
    name = function.__qualname__
    try:
        function.__qualname__ = f"{name}-{_made_from(function)}"
        return numba.njit(cache=True, **OPTIONS)(function)
    except (RuntimeError, OSError):  # no writable place for the cache, or no source to name it by
        return numba.njit(**OPTIONS)(function)
    finally:
        function.__qualname__ = name


def _made_from(function: Callable[..., None]) -> str:
    """A short hash of the function's file and this one, the compiler's version and the CPU."""
    cpu, features = llvmlite.binding.get_host_cpu_name(), llvmlite.binding.get_host_cpu_features().flatten()
    files = (Path(file).read_bytes() for file in (function.__code__.co_filename, __file__))
    made = b"\0".join((*files, numba.__version__.encode(), cpu.encode(), features.encode()))
    return hashlib.sha256(made).hexdigest()[:10]


def inlined(function: Callable[..., Any]) -> Any:
    """Compile into the callers."""
    return numba.njit(inline="always", **OPTIONS)(function)


# Into and out of strips -----------------------------------------------------------------------------------------------


@inlined
def _mask(k: Any, source: np.ndarray, words: np.ndarray, to: np.ndarray) -> None:
    """The backward pass of ReLU for one pixel, or for several of a multiple of 32 channels."""
    C = len(source)
    for w in range(C // 32):
        word = np.int32(words[w])
        some, there = source[32 * w : 32 * w + 32], to[32 * w : 32 * w + 32]
        for c in range(32):
            # A product, not a branch: signs are random, and mispredicted branches are expensive.
            there[c] = some[c] * k(np.int32(word >> np.int32(c)) & np.int32(1))
    for c in range(C // 32 * 32, C):
        to[c] = source[c] * k((words[c >> 5] >> np.uint32(c & 31)) & np.uint32(1))


@inlined
def _respond(k: Any, source: np.ndarray, bias: np.ndarray, to: np.ndarray, words: np.ndarray, pixels: int) -> None:
    """Bias and ReLU for the first pixels of a row, and the signs of the result, 32 to a word."""
    K = len(bias)
    n = -(-K // 32)  # words of a pixel
    if K % 32 == 0:
        for w in range(pixels * n):
            at, o = 32 * w, 32 * (w % n)
            some, there, b = source[at : at + 32], to[at : at + 32], bias[o : o + 32]
            word = np.uint32(0)
            for c in range(32):
                v = some[c] + b[c]
                there[c] = k(0) if v <= k(0) else v
                word |= np.uint32(v > k(0)) << np.uint32(c)
            words[w] = word
        return
    for j in range(pixels):
        for w in range(n):
            word = np.uint32(0)
            for c in range(32 * w, min(32 * w + 32, K)):
                v = source[j * K + c] + bias[c]
                to[j * K + c] = k(0) if v <= k(0) else v
                word |= np.uint32(v > k(0)) << np.uint32(c & 31)
            words[j * n + w] = word


@inlined
def _inside(p: int, length: int, padding: int) -> int:
    """The row or column of the image that row or column p shows, or −1 for zeros."""
    if 0 <= p < length:
        return p
    if padding == REPLICATE:
        return 0 if p < 0 else length - 1
    return p % length if padding == CIRCULAR else -1


@compiled
def gather(x: np.ndarray, signs: np.ndarray, masked: bool, padding: int, y0: int, x0: int, padded: np.ndarray) -> None:
    """Copy x (H, W, C), from row y0 and column x0 on, into `padded`, which may reach beyond x on all sides.

    With `masked`, elements whose bit in `signs` (H, W, ⌈C/32⌉) is 0 become 0: the backward pass of ReLU.
    """
    H, W, C = x.shape
    k = x.dtype.type
    width = padded.shape[1]
    # Columns `first` to `last` of `padded` are columns of x, and done as one, if all words of signs are full.
    first = min(max(0, -x0), width)
    last = first if masked and C % 32 else max(first, min(width, W - x0))
    for i in range(padded.shape[0]):
        row = _inside(y0 + i, H, padding)
        line = padded[i].reshape(-1)
        if row < 0:
            for c in range(len(line)):
                line[c] = 0
            continue
        for edge in range(width - (last - first)):
            j = edge if edge < first else edge + last - first
            column = _inside(x0 + j, W, padding)
            to = padded[i, j]
            if column < 0:
                for c in range(C):
                    to[c] = 0
            elif masked:
                _mask(k, x[row, column], signs[row, column], to)
            else:
                source = x[row, column]
                for c in range(C):
                    to[c] = source[c]
        source = x[row].reshape(-1)[(x0 + first) * C : (x0 + last) * C]
        to = line[first * C : last * C]
        if masked:
            _mask(k, source, signs[row].reshape(-1)[(x0 + first) * (C // 32) :], to)
        else:
            for c in range(len(to)):
                to[c] = source[c]


@compiled
def finish(tiles: np.ndarray, bias: np.ndarray, y0: int, y: np.ndarray, signs: np.ndarray) -> None:
    """The response max(0, tiles + bias) in the rows of y from y0 on, and its `signs`; the rest is dropped."""
    for i in range(min(tiles.shape[0], y.shape[0] - y0)):
        row, words = y[y0 + i].reshape(-1), signs[y0 + i].reshape(-1)
        _respond(y.dtype.type, tiles[i].reshape(-1), bias, row, words, y.shape[1])


@compiled
def finish_and_pool(
    tiles: np.ndarray, bias: np.ndarray, y0: int, y: np.ndarray, signs: np.ndarray, winner: np.ndarray
) -> None:
    """As `finish`, for rows that start at an even y0, and 2×2 pooling at once: only the pooled response is kept.

    `signs` has a place for every element of the response that is pooled, (2 H', 2 W', ⌈K/32⌉) for an output y of
    (H', W', K). Average pooling where `winner` is empty; else maximum pooling, and `winner` says which of the four won.
    """
    K = y.shape[2]
    k = y.dtype.type
    take_largest = winner.size > 0
    r = np.empty((2, 2 * y.shape[1], K), y.dtype)
    for i in range(min(tiles.shape[0] // 2, y.shape[0] - y0 // 2)):
        for o in range(2):
            words = signs[y0 + 2 * i + o].reshape(-1)
            _respond(k, tiles[2 * i + o].reshape(-1), bias, r[o].reshape(-1), words, r.shape[1])
        for j in range(y.shape[1]):
            out = y[y0 // 2 + i, j]
            r0, r1, r2, r3 = r[0, 2 * j], r[0, 2 * j + 1], r[1, 2 * j], r[1, 2 * j + 1]
            if not take_largest:
                for c in range(K):
                    out[c] = (r0[c] + r1[c] + r2[c] + r3[c]) * k(0.25)
                continue
            won = winner[y0 // 2 + i, j]
            for c in range(K):
                best, index = r0[c], np.uint8(0)
                best, index = (r1[c], np.uint8(1)) if r1[c] > best or r1[c] != r1[c] else (best, index)
                best, index = (r2[c], np.uint8(2)) if r2[c] > best or r2[c] != r2[c] else (best, index)
                best, index = (r3[c], np.uint8(3)) if r3[c] > best or r3[c] != r3[c] else (best, index)
                out[c], won[c] = best, index


@compiled
def gather_pooled(
    dy: np.ndarray,
    signs: np.ndarray,
    winner: np.ndarray,
    height: int,
    width: int,
    padding: int,
    y0: int,
    x0: int,
    padded: np.ndarray,
) -> None:
    """As `gather`, masked, for the gradient that `dy` (H', W', C), the gradient of the pooled response, makes of it.

    The response that was pooled is (height, width, C): the last row or column of an odd size has no part in `dy`.
    """
    k = dy.dtype.type
    H, W, C = dy.shape
    take_largest = winner.size > 0
    for i in range(padded.shape[0]):
        y = _inside(y0 + i, height, padding)
        for j in range(padded.shape[1]):
            x = _inside(x0 + j, width, padding)
            to = padded[i, j]
            if y < 0 or y >= 2 * H or x < 0 or x >= 2 * W:
                for c in range(C):
                    to[c] = 0
                continue
            source = dy[y // 2, x // 2]
            _mask(k, source, signs[y, x], to)
            if take_largest:
                won, o = winner[y // 2, x // 2], np.uint8(2 * (y % 2) + x % 2)
                for c in range(C):
                    to[c] *= k(won[c] == o)
            else:
                for c in range(C):
                    to[c] *= k(0.25)


@compiled
def crop(tiles: np.ndarray, y0: int, y: np.ndarray) -> None:
    """Copy `tiles` to the rows of y from y0 on; what reaches out of y is dropped."""
    for i in range(min(tiles.shape[0], y.shape[0] - y0)):
        source, to = tiles[i].reshape(-1), y[y0 + i].reshape(-1)
        for c in range(len(to)):
            to[c] = source[c]


@compiled
def patches(padded: np.ndarray, planes: np.ndarray) -> None:
    """The 3×3 neighbourhoods of a strip `padded` (rows + 2, W + 2, C) as columns of `planes` (9 C, …, W)."""
    rows, W, C = padded.shape[0] - 2, planes.shape[2], padded.shape[2]
    line = np.empty((C, W + 2), padded.dtype)
    for r in range(rows + 2):
        row = padded[r].reshape(-1)
        for c in range(C):
            to = line[c]
            for j in range(W + 2):
                to[j] = row[j * C + c]
        for o in range(max(0, r - rows + 1), min(3, r + 1)):
            for p in range(3):
                for c in range(C):
                    source, to = line[c, p : p + W], planes[(3 * o + p) * C + c, r - o]
                    for j in range(W):
                        to[j] = source[j]


@compiled
def scatter(planes: np.ndarray, dx: np.ndarray) -> None:
    """The adjoint of `patches`: each dx (rows, W, C) collects its nine parts.

    `planes` is (9 C, …, W + 2), with one row and one column of outputs more on each side.
    """
    rows, W, C = dx.shape
    total = np.empty(W, dx.dtype)
    for i in range(rows):
        row = dx[i].reshape(-1)
        for c in range(C):
            total[:] = 0
            for o in range(3):
                for p in range(3):
                    source = planes[(3 * o + p) * C + c, i + 2 - o, 2 - p : 2 - p + W]
                    for j in range(W):
                        total[j] += source[j]
            for j in range(W):
                row[j * C + c] = total[j]


# Pooling, 2×2 with stride 2 -------------------------------------------------------------------------------------------


@compiled
def average_pool(x: np.ndarray, first: int, last: int, y: np.ndarray) -> None:
    """Rows first … last − 1 of the output."""
    quarter = x.dtype.type(0.25)
    for i in range(first, last):
        for j in range(y.shape[1]):
            a, b, to = x[2 * i, 2 * j], x[2 * i, 2 * j + 1], y[i, j]
            d, e = x[2 * i + 1, 2 * j], x[2 * i + 1, 2 * j + 1]
            for c in range(x.shape[2]):
                to[c] = (a[c] + b[c] + d[c] + e[c]) * quarter


@compiled
def average_pool_backward(dy: np.ndarray, first: int, last: int, dx: np.ndarray) -> None:
    """Rows first … last − 1 of dx."""
    quarter = dx.dtype.type(0.25)
    for i in range(first, last):
        for j in range(dx.shape[1]):
            to = dx[i, j]
            if i // 2 < dy.shape[0] and j // 2 < dy.shape[1]:
                source = dy[i // 2, j // 2]
                for c in range(dx.shape[2]):
                    to[c] = source[c] * quarter
            else:
                for c in range(dx.shape[2]):
                    to[c] = 0


@compiled
def max_pool(x: np.ndarray, first: int, last: int, y: np.ndarray, winner: np.ndarray) -> None:
    """Rows first … last − 1 of the output, and which of its four elements won each window, the first at a tie."""
    for i in range(first, last):
        for j in range(y.shape[1]):
            to, won = y[i, j], winner[i, j]
            for c in range(x.shape[2]):
                to[c] = x[2 * i, 2 * j, c]
                won[c] = 0
            for o in range(1, 4):
                source = x[2 * i + o // 2, 2 * j + o % 2]
                for c in range(x.shape[2]):
                    if source[c] > to[c] or source[c] != source[c]:
                        to[c] = source[c]
                        won[c] = o


@compiled
def max_pool_backward(dy: np.ndarray, winner: np.ndarray, first: int, last: int, dx: np.ndarray) -> None:
    """Rows first … last − 1 of dx."""
    for i in range(first, last):
        for j in range(dx.shape[1]):
            to = dx[i, j]
            if i // 2 < dy.shape[0] and j // 2 < dy.shape[1]:
                source, won, o = dy[i // 2, j // 2], winner[i // 2, j // 2], 2 * (i % 2) + j % 2
                for c in range(dx.shape[2]):
                    to[c] = source[c] if won[c] == o else 0
            else:
                for c in range(dx.shape[2]):
                    to[c] = 0


# Losses ---------------------------------------------------------------------------------------------------------------


@compiled
def half_squares(a: np.ndarray, b: np.ndarray, first: int, last: int, sums: np.ndarray) -> None:
    """½ Σ (a − b)², in float64, for the pieces first … last − 1 of two vectors."""
    lanes = np.empty(32)
    for k in range(first, last):
        x, y = a[PIECE * k : PIECE * (k + 1)], b[PIECE * k : PIECE * (k + 1)]
        lanes[:] = 0
        for i in range(len(x) // 32):
            p, q = x[32 * i : 32 * (i + 1)], y[32 * i : 32 * (i + 1)]
            for c in range(32):
                d = np.float64(p[c] - q[c])
                lanes[c] += d * d
        for i in range(len(x) // 32 * 32, len(x)):
            d = np.float64(x[i] - y[i])
            lanes[0] += d * d
        sums[k] = 0.5 * np.sum(lanes)


@compiled
def difference(a: np.ndarray, b: np.ndarray, factor: float, first: int, last: int, add: bool, to: np.ndarray) -> None:
    """For pieces first … last − 1 of vectors: the difference factor · (a − b); with `add`, added to what is there."""
    w, end = to.dtype.type(factor), min(PIECE * last, len(to))
    x, y, z = a[PIECE * first : end], b[PIECE * first : end], to[PIECE * first : end]
    if add:
        for i in range(len(z)):
            z[i] += (x[i] - y[i]) * w
    else:
        for i in range(len(z)):
            z[i] = (x[i] - y[i]) * w


@compiled
def variation(x: np.ndarray, C: int, first: int, last: int, sums: np.ndarray) -> None:
    """½ Σ d², in float64, for the rows first … last − 1 of x (H, W C): the differences d to the right and down."""
    lanes = np.empty(32)
    for i in range(first, last):
        row = x[i]
        lanes[:] = 0
        for down in range(2):
            if down and i + 1 == x.shape[0]:
                break
            other = x[i + 1] if down else row[C:]
            for j in range(len(other) // 32):
                p, q = row[32 * j : 32 * (j + 1)], other[32 * j : 32 * (j + 1)]
                for c in range(32):
                    d = np.float64(q[c] - p[c])
                    lanes[c] += d * d
            for c in range(len(other) // 32 * 32, len(other)):
                d = np.float64(other[c] - row[c])
                lanes[0] += d * d
        sums[i] = 0.5 * np.sum(lanes)


@compiled
def variation_backward(x: np.ndarray, C: int, factor: float, first: int, last: int, dx: np.ndarray) -> None:
    """Add the gradient of factor · ½ Σ d² to the rows first … last − 1 of dx (H, W C): see `losses`."""
    w = dx.dtype.type(factor)
    for i in range(first, last):
        row, to = x[i], dx[i]
        if i > 0:
            other = x[i - 1]
            for c in range(len(to)):
                to[c] += (row[c] - other[c]) * w
        if i + 1 < x.shape[0]:
            other = x[i + 1]
            for c in range(len(to)):
                to[c] += (row[c] - other[c]) * w
        inner, shifted, left, right = row[: len(row) - C], row[C:], to[: len(to) - C], to[C:]
        for c in range(len(inner)):
            left[c] += (inner[c] - shifted[c]) * w
        for c in range(len(inner)):
            right[c] += (shifted[c] - inner[c]) * w


# Vectors of the optimisers --------------------------------------------------------------------------------------------


@compiled
def add(to: np.ndarray, factor: Any, v: np.ndarray) -> None:
    """Add factor · v to a vector."""
    for i in range(len(to)):
        to[i] += factor * v[i]


@compiled
def dots(a: np.ndarray, b: np.ndarray, sums: np.ndarray) -> None:
    """The scalar products, in float64, of the pieces of two vectors."""
    lanes = np.empty(32)
    for k in range(len(sums)):
        x, y = a[PIECE * k : PIECE * (k + 1)], b[PIECE * k : PIECE * (k + 1)]
        lanes[:] = 0
        for i in range(len(x) // 32):
            p, q = x[32 * i : 32 * (i + 1)], y[32 * i : 32 * (i + 1)]
            for c in range(32):
                lanes[c] += np.float64(p[c]) * np.float64(q[c])
        total = 0.0
        for c in range(32):
            total += lanes[c]
        for i in range(len(x) // 32 * 32, len(x)):
            total += np.float64(x[i]) * np.float64(y[i])
        sums[k] = total
