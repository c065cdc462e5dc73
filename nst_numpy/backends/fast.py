"""The fast backend: the functions of `plain` on all cores, with compiled loops and fewer multiplications.

A convolution with its bias and ReLU is one job, cut into strips of the image that fit into the cache. A strip is
gathered (in the backward pass with the mask of ReLU), transformed, multiplied, transformed back and finished: bias,
ReLU, and the signs that the backward pass needs, one bit each. `winograd` explains the transforms.

Where Winograd is no faster, with very few channels or on maps of very few pixels, the 3×3 neighbourhoods of a strip
become the rows of one matrix product (im2col).
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import DTypeLike

from nst_numpy.backends import loops, transforms, winograd
from nst_numpy.backends.buffers import Buffers
from nst_numpy.backends.threads import Workers, one_blas_thread
from nst_numpy.signals import interrupts_wait

logger = logging.getLogger(__name__)

# These limits were measured with benchmarks/methods.py, in float32, on two cores each of an AMD Zen 4 and an AMD Zen 5.
# Below them im2col is used: about as fast at 3 → 64 channels and on 8² pixels, half as fast at 24 → 64.
WINOGRAD_CHANNELS, WINOGRAD_PIXELS = 4, 50
WINOGRAD_KERNEL = 2**16  # C · K from which on Winograd is faster on a single pixel, too: 512 → 512 takes 2 ms, not 11
NARROW = 2**15  # C · K above which a layer is wide
F6_TILES = 64  # F(4×4) below so many tiles of 6×6: 512 → 512 takes 19 (F4) and 21 ms (F6) at 48², 42 and 29 at 54²
F6_TILES_NARROW = 130  # the same for narrow layers: 160 → 160 takes 6.9 (F4) and 8.0 ms (F6) at 64²
TILES_PER_STRIP = 32  # approximately; 16 to 64 are within 5 % of each other, for the wider of them up to 32
TILES_PER_WIDE_STRIP = 96  # for wide layers, since larger matrix products are faster
COPIED_KERNELS = 2**17  # C · K up to which the backward pass has its own copy of the transformed kernels
TILES_AT_ONCE = 150  # up to so many, the work is cut by planes, not strips: each transformed kernel is read only once
ROWS_OF_COLUMNS = 4096  # rows of a matrix product in im2col
ROWS_OF_POOLING = 8  # rows of a pooled map in one piece of work
GRAM_ROWS, GRAM_BACKWARD_ROWS = (512, 4096), (128, 2048)  # fewest and most rows of F in one piece; else 1/32 of F
PARTS = 32  # of what takes one pass over memory: more than there are cores, few enough to be worth a call

PADDINGS = {"zero": loops.ZERO, "replicate": loops.REPLICATE, "circular": loops.CIRCULAR}
NO_SIGNS = np.empty((0, 0, 0), np.uint32)

Gather = Callable[[int, int, np.ndarray], None]  # (first row, first column, padded): fill `padded` from there on
Finish = Callable[[np.ndarray, int], None]  # (tiles, first row): put the results of a strip where they belong
PooledCache = tuple[tuple[int, int], np.ndarray, np.ndarray]  # size of the unpooled map, signs, winners (max pooling)


class Prepared:
    """A kernel, its bias and the padding, with the kernel's transforms, each computed when it is first needed."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, padding: str, workers: Workers):
        self.kernel, self.bias, self._workers = np.ascontiguousarray(kernel), np.ascontiguousarray(bias), workers
        self.C, self.K = kernel.shape[2:]
        self.padding = PADDINGS[padding]
        self.forms: dict[tuple[winograd.Filtering, str], np.ndarray] = {}

    @property
    def padding_back(self) -> int:
        """How the gradient of the response is padded to be convolved with the rotated kernel: see `_fold_border`."""
        return loops.CIRCULAR if self.padding == loops.CIRCULAR else loops.ZERO

    @property
    def nbytes(self) -> int:
        """Memory of the transforms computed so far, in bytes. Where the passes share one, it counts once."""
        return sum(form.nbytes for form in self.forms.values() if form.base is None)

    def method(self, height: int, width: int) -> winograd.Filtering | None:
        """The fastest method for a map of this size: a Winograd filtering, or None for im2col."""
        few = height * width < WINOGRAD_PIXELS and self.C * self.K < WINOGRAD_KERNEL
        if few or min(self.C, self.K) < WINOGRAD_CHANNELS:
            return None
        least = F6_TILES_NARROW if self.C * self.K <= NARROW else F6_TILES
        return winograd.F6 if -(-height // 6) * -(-width // 6) >= least else winograd.F4

    def transformed(self, filtering: winograd.Filtering) -> np.ndarray:
        """The n² planes of the kernel in Winograd's basis: (n², C, K)."""
        if (filtering, "forward") not in self.forms:
            self.forms[filtering, "forward"] = self._transform(self.kernel, filtering)
        return self.forms[filtering, "forward"]

    def transformed_back(self, filtering: winograd.Filtering) -> np.ndarray:
        """The same for the backward pass: the rotated kernel with C and K exchanged, (n², K, C)."""
        if (filtering, "backward") not in self.forms:
            if filtering.rotated is None:
                planes = self._transform(self.kernel[::-1, ::-1].swapaxes(2, 3), filtering)
            else:
                planes = self.transformed(filtering).swapaxes(1, 2)
                # BLAS is slow with a transposed operand in small products: there a copy is worth its memory.
                if self.C * self.K <= COPIED_KERNELS:
                    planes = np.ascontiguousarray(planes)
            self.forms[filtering, "backward"] = planes
        return self.forms[filtering, "backward"]

    def _transform(self, kernel: np.ndarray, filtering: winograd.Filtering) -> np.ndarray:
        planes = np.empty((filtering.n**2, *kernel.shape[2:]), kernel.dtype)

        def one(plane: int) -> None:
            planes[plane] = filtering.kernel_plane(kernel, plane)

        self._workers.each(len(planes), one)
        return planes

    @property
    def columns(self) -> np.ndarray:
        """The kernel as a matrix (9 C, K)."""
        return self.kernel.reshape(9 * self.C, self.K)


class Fast:
    """The fast backend; see `backends.Backend`. It owns its threads and the memory of its results.

    Parameters
    ----------
    threads : int, optional
        By default one for each core. The results are the same bits for any number.
    dtype : float32 or float64
        The type to compile for at once; the other is compiled when it is first used.

    Raises
    ------
    TypeError, ValueError
        If threads is not a whole number of at least 1.
    """

    def __init__(self, threads: int | None = None, dtype: DTypeLike = np.float32):
        self.workers = Workers(threads)
        self.buffers = Buffers()
        if loops.COMPILED:
            with interrupts_wait():
                self._compile(dtype)

    def _compile(self, dtype: DTypeLike) -> None:
        """Run every compiled function once; warn if that has to compile."""
        image, response = np.zeros((12, 12, 3), dtype), np.zeros((12, 12, 8), dtype)
        first = loops.average_pool
        known, hits = len(first.signatures), first.stats.cache_hits.total()
        self.pool_forward(response, "average")
        if len(first.signatures) > known and first.stats.cache_hits.total() == hits:  # neither in memory nor on disk
            logger.warning("nst_numpy: compiling the fast kernels, once on this machine; it takes about ten seconds")
        large = np.zeros((72, 72, 8), dtype)  # for all three methods
        for x in (image, response, large):
            prepared = self.prepare(np.zeros((3, 3, x.shape[2], 8), dtype), np.zeros(8, dtype))
            y, signs = self.conv_relu_forward(x, prepared)
            self.conv_relu_backward(y, prepared, signs)
        y, fused_cache = self.conv_relu_pool_forward(response, prepared, "average")
        self.conv_relu_pool_backward(y, prepared, "average", fused_cache)
        for kind in ("average", "max"):
            y, cache = self.pool_forward(response, kind)
            self.pool_backward(y, kind, cache)
        self.content(image, image.reshape(-1, 3).T)
        self.content_backward(image, image.reshape(-1, 3).T, 1.0)
        self.variation(image)
        self.variation_backward(image, 1.0)
        loops.add(image.reshape(-1), image.dtype.type(1), image.reshape(-1))
        loops.dots(image.reshape(-1), image.reshape(-1), np.empty(1))

    def session(self) -> AbstractContextManager[None]:
        """BLAS on one thread: the threads are this backend's."""
        return one_blas_thread()

    def prepare(self, kernel: np.ndarray, bias: np.ndarray, padding: str = "zero") -> Prepared:
        return Prepared(kernel, bias, padding, self.workers)

    # Convolution with ReLU --------------------------------------------------------------------------------------------

    def conv_relu_forward(self, x: np.ndarray, prepared: Prepared) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, C) → the response (H, W, K) after ReLU, and its signs as bits (H, W, ⌈K/32⌉)."""
        x = np.ascontiguousarray(x)
        height, width = x.shape[:2]
        y = self.buffers.take((height, width, prepared.K), x.dtype)
        signs = self.buffers.take((height, width, -(-prepared.K // 32)), np.uint32)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            loops.finish(tiles, prepared.bias, first_row, y, signs)

        self._convolve(x, prepared, finish)
        return y, signs

    def conv_relu_backward(self, dy: np.ndarray, prepared: Prepared, signs: np.ndarray) -> np.ndarray:
        """Gradient (H, W, K) with respect to the response → gradient (H, W, C) with respect to the input."""
        dy = np.ascontiguousarray(dy)

        def gather(first_row: int, first_column: int, padded: np.ndarray) -> None:
            loops.gather(dy, signs, True, prepared.padding_back, first_row, first_column, padded)

        return self._convolve_back(dy.shape[:2], dy.dtype, prepared, gather)

    def conv_relu_pool_forward(self, x: np.ndarray, prepared: Prepared, kind: str) -> tuple[np.ndarray, PooledCache]:
        """(H, W, C) → the response after ReLU and 2×2 pooling. The response itself is never stored, only its signs."""
        x = np.ascontiguousarray(x)
        height, width = x.shape[:2]
        shape = (height // 2, width // 2, prepared.K)
        y = self.buffers.take(shape, x.dtype)
        signs = self.buffers.take((2 * shape[0], 2 * shape[1], -(-prepared.K // 32)), np.uint32)
        winner = self.buffers.take(shape if kind == "max" else (0, 0, 0), np.uint8)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            loops.finish_and_pool(tiles, prepared.bias, first_row, y, signs, winner)

        self._convolve(x, prepared, finish)
        return y, ((height, width), signs, winner)

    def conv_relu_pool_backward(self, dy: np.ndarray, prepared: Prepared, kind: str, cache: PooledCache) -> np.ndarray:
        """Gradient with respect to the pooled response → gradient (H, W, C) with respect to the input."""
        dy = np.ascontiguousarray(dy)
        size, signs, winner = cache

        def gather(first_row: int, first_column: int, padded: np.ndarray) -> None:
            loops.gather_pooled(dy, signs, winner, *size, prepared.padding_back, first_row, first_column, padded)

        return self._convolve_back(size, dy.dtype, prepared, gather)

    def _convolve(self, x: np.ndarray, prepared: Prepared, finish: Finish) -> None:
        def gather(first_row: int, first_column: int, padded: np.ndarray) -> None:
            loops.gather(x, NO_SIGNS, False, prepared.padding, first_row, first_column, padded)

        with self.session():
            if filtering := prepared.method(*x.shape[:2]):
                kernels = prepared.transformed(filtering)
                self._winograd(x.shape[:2], x.dtype, gather, filtering, kernels, filtering.straight, finish)
            else:
                self._columns(x.shape[:2], x.dtype, gather, prepared, finish)

    def _convolve_back(self, size: tuple[int, ...], dtype: np.dtype, prepared: Prepared, gather: Gather) -> np.ndarray:
        dx = self.buffers.take((*size, prepared.C), dtype)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            loops.crop(tiles, first_row, dx)

        with self.session():
            if filtering := prepared.method(*size):
                kernels = prepared.transformed_back(filtering)
                order = filtering.straight if filtering.rotated is None else filtering.rotated
                self._winograd(size, dtype, gather, filtering, kernels, order, finish)
            else:
                self._columns_back(gather, prepared, dx)
            if prepared.padding == loops.REPLICATE:
                self._fold_border(gather, prepared, dx)
        return dx

    def _fold_border(self, gather: Gather, prepared: Prepared, dx: np.ndarray) -> None:
        """Add to the pixels at the edges of dx the gradient of the border that replicates them.

        Only the outermost row or column of dz, the gradient before ReLU, reaches the border next to it, through the row
        or column of the kernel on that side. The rows take the corners along, the columns leave them out.
        """
        (height, width, _), kernel = dx.shape, prepared.kernel
        edges = (  # where dz is taken from, its shape, the part of the kernel, the pixels that are replicated
            (0, 0, 1, width, kernel[0], dx[0]),
            (height - 1, 0, 1, width, kernel[2], dx[-1]),
            (0, 0, height, 1, kernel[:, 0], dx[:, 0]),
            (0, width - 1, height, 1, kernel[:, 2], dx[:, -1]),
        )
        borders = [np.zeros((len(to) + 2, prepared.C), dx.dtype) for *_, to in edges]

        def one(edge: int) -> None:
            first_row, first_column, rows, columns, part, _ = edges[edge]
            dz = self.buffers.take((rows, columns, prepared.K), dx.dtype)
            gather(first_row, first_column, dz)
            flat = dz.reshape(-1, prepared.K)
            for offset in range(3):
                borders[edge][offset : offset + len(flat)] += flat @ part[offset].T

        self.workers.each(len(edges), one)
        for (*_, to), border in zip(edges, borders, strict=True):
            to += border[1:-1]
        for row, border in zip((dx[0], dx[-1]), borders[:2], strict=True):
            row[0] += border[0]
            row[-1] += border[-1]

    def _winograd(
        self,
        size: tuple[int, ...],
        dtype: np.dtype,
        gather: Gather,
        filtering: winograd.Filtering,
        kernels: np.ndarray,
        order: np.ndarray,
        finish: Finish,
    ) -> None:
        """Convolve what `gather` delivers with transformed kernels (n², C, K); `finish` takes the results."""
        height, width = size
        (points, C, K), m = kernels.shape, filtering.m
        transform_input, transform_output = transforms.TRANSFORMS[m]
        tile_rows, columns = -(-height // m), -(-width // m)
        tiles = tile_rows * columns
        if tiles <= TILES_AT_ONCE:
            V, M = (self._planes(points, tiles, channels, dtype) for channels in (C, K))

            def transform_rows(indices: Iterator[int]) -> None:
                padded = self.buffers.take((m + 2, m * columns + 2, C), dtype)
                for row in indices:
                    gather(m * row - 1, -1, padded)
                    transform_input(padded, order, 1, columns, V, row * columns)

            def multiply(point: int) -> None:
                np.matmul(V[point, :tiles], kernels[point], out=M[point, :tiles])

            def transform_back(indices: Iterator[int]) -> None:
                out = self.buffers.take((m, m * columns, K), dtype)
                for row in indices:
                    transform_output(M, row * columns, order, 1, columns, out)
                    finish(out, m * row)

            self.workers.share(tile_rows, transform_rows)
            self.workers.each(points, multiply)
            self.workers.share(tile_rows, transform_back)
            return

        most = TILES_PER_STRIP if C * K <= NARROW else TILES_PER_WIDE_STRIP
        strips = -(-tile_rows // max(1, most // columns))
        starts = [tile_rows * k // strips for k in range(strips + 1)]  # of equal height, give or take a row
        rows = -(-tile_rows // strips)

        def work(indices: Iterator[int]) -> None:
            V, M = (self._planes(points, rows * columns, channels, dtype) for channels in (C, K))
            padded = self.buffers.take((m * rows + 2, m * columns + 2, C), dtype)
            out = self.buffers.take((m * rows, m * columns, K), dtype)
            for strip in indices:
                first, here = starts[strip], starts[strip + 1] - starts[strip]
                tiles = here * columns
                gather(m * first - 1, -1, padded)
                transform_input(padded, order, here, columns, V, 0)
                np.matmul(V[:, :tiles], kernels, out=M[:, :tiles])
                transform_output(M, 0, order, here, columns, out)
                finish(out[: m * here], m * first)

        self.workers.share(strips, work)

    def _planes(self, points: int, tiles: int, channels: int, dtype: np.dtype) -> np.ndarray:
        """Matrices of `tiles` rows, and one more: at a distance of a power of 2 they would share cache lines."""
        return self.buffers.take((points, tiles + 1, channels), dtype)

    def _columns(
        self, size: tuple[int, ...], dtype: np.dtype, gather: Gather, prepared: Prepared, finish: Finish
    ) -> None:
        (height, width), C, narrow = size, prepared.C, prepared.C < WINOGRAD_CHANNELS
        rows = 2 * max(1, min(height + 1, ROWS_OF_COLUMNS // width) // 2)  # even, for the pooling in `finish`

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, C), dtype)
            planes = self.buffers.take((9 * C, rows, width), dtype)
            out = self.buffers.take((rows, width, prepared.K), dtype)
            for strip in indices:
                here = min(rows, height - strip * rows)
                gather(strip * rows - 1, -1, padded[: here + 2])
                loops.patches(padded[: here + 2], planes)
                y = out[:here]
                of_parts = _parts(planes, here * width, here if narrow else 1)
                np.matmul(of_parts.swapaxes(1, 2), prepared.columns, out=y.reshape(len(of_parts), -1, prepared.K))
                finish(y, strip * rows)

        self.workers.share(-(-height // rows), work)

    def _columns_back(self, gather: Gather, prepared: Prepared, dx: np.ndarray) -> None:
        (height, width, C), K, narrow = dx.shape, prepared.K, prepared.C < WINOGRAD_CHANNELS
        kernel = np.asfortranarray(prepared.columns) if narrow else prepared.columns
        rows = max(1, min(height, ROWS_OF_COLUMNS // width))

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, K), dx.dtype)
            planes = self.buffers.take((9 * C, rows + 2, width + 2), dx.dtype)
            for strip in indices:
                here = min(rows, height - strip * rows) + 2
                gather(strip * rows - 1, -1, padded[:here])
                of_parts = _parts(planes, here * (width + 2), here if narrow else 1)
                np.matmul(kernel, padded[:here].reshape(len(of_parts), -1, K).swapaxes(1, 2), out=of_parts)
                loops.scatter(planes, dx[strip * rows : strip * rows + here - 2])

        self.workers.share(-(-height // rows), work)

    # Pooling, 2×2 with stride 2 ---------------------------------------------------------------------------------------

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, tuple[tuple[int, ...], np.ndarray]]:
        """The output; and for the backward pass the shape of x and, for max pooling, the winner of each window."""
        x = np.ascontiguousarray(x)
        shape = (x.shape[0] // 2, x.shape[1] // 2, x.shape[2])
        y = self.buffers.take(shape, x.dtype)
        winner = self.buffers.take(shape if kind == "max" else (0, 0, 0), np.uint8)
        if kind == "max":
            self._by_rows(shape[0], lambda first, last: loops.max_pool(x, first, last, y, winner))
        else:
            self._by_rows(shape[0], lambda first, last: loops.average_pool(x, first, last, y))
        return y, (x.shape, winner)

    def pool_backward(self, dy: np.ndarray, kind: str, cache: tuple[tuple[int, ...], np.ndarray]) -> np.ndarray:
        """Gradient with respect to the pooled output → gradient with respect to the input."""
        dy = np.ascontiguousarray(dy)
        shape, winner = cache
        dx = self.buffers.take(shape, dy.dtype)
        if kind == "max":
            self._by_rows(shape[0], lambda first, last: loops.max_pool_backward(dy, winner, first, last, dx))
        else:
            self._by_rows(shape[0], lambda first, last: loops.average_pool_backward(dy, first, last, dx))
        return dx

    def _by_rows(self, height: int, do: Callable[[int, int], None]) -> None:
        rows = ROWS_OF_POOLING
        self.workers.each(-(-height // rows), lambda k: do(k * rows, min((k + 1) * rows, height)))

    # Gram matrices ----------------------------------------------------------------------------------------------------

    def gram(self, a: np.ndarray) -> np.ndarray:
        """G = F Fᵀ of a response (H, W, N): the sum of the Gram matrices of parts, always in the same order."""
        flat = np.ascontiguousarray(a).reshape(-1, a.shape[-1])
        rows = _between(len(flat) // PARTS, *GRAM_ROWS)
        parts = [flat[k : k + rows] for k in range(0, len(flat), rows)]
        grams = np.empty((len(parts), a.shape[-1], a.shape[-1]), a.dtype)

        def one(k: int) -> None:
            np.matmul(parts[k].T, parts[k], out=grams[k])  # the same operand twice: BLAS computes half of it

        with self.session():
            self.workers.each(len(parts), one)
        total: np.ndarray = grams.sum(axis=0)
        return total

    def gram_backward(self, dG: np.ndarray, a: np.ndarray, da: np.ndarray | None = None) -> np.ndarray:
        """Gradient (dG + dGᵀ) F with respect to the response a (H, W, N); added to `da` in place, if given."""
        if da is not None and not da.flags.c_contiguous:
            da += self.gram_backward(dG, a)
            return da
        S = (dG + dG.T).astype(a.dtype)
        flat = np.ascontiguousarray(a).reshape(-1, a.shape[-1])
        result = self.buffers.take(a.shape, a.dtype) if da is None else da
        total = result.reshape(flat.shape)
        rows = _between(len(flat) // PARTS, *GRAM_BACKWARD_ROWS)

        def work(indices: Iterator[int]) -> None:
            part = self.buffers.take((rows, flat.shape[1]), a.dtype)
            for k in indices:
                here = slice(k * rows, min((k + 1) * rows, len(flat)))
                if da is None:
                    np.matmul(flat[here], S, out=total[here])
                else:
                    n = here.stop - here.start
                    np.matmul(flat[here], S, out=part[:n])
                    total[here] += part[:n]

        with self.session():
            self.workers.share(-(-len(flat) // rows), work)
        return result

    # Content loss and total variation ---------------------------------------------------------------------------------

    def content(self, a: np.ndarray, P: np.ndarray) -> float:
        """½ Σ (F − P)² for a response (H, W, N) and a target (N, M)."""
        flat, target = _vector(a), _vector(P.T)
        sums = np.empty(-(-flat.size // loops.PIECE))
        self._pieces(len(sums), lambda first, last: loops.half_squares(flat, target, first, last, sums))
        return float(sums.sum())

    def content_backward(self, a: np.ndarray, P: np.ndarray, factor: float, da: np.ndarray | None = None) -> np.ndarray:
        """Gradient factor · (F − P) with respect to the response a (H, W, N); added to `da` in place, if given."""
        if da is not None and not da.flags.c_contiguous:
            da += self.content_backward(a, P, factor)
            return da
        flat, target = _vector(a), _vector(P.T)
        result = self.buffers.take(a.shape, a.dtype) if da is None else da
        to, add = result.reshape(-1), da is not None
        pieces = -(-flat.size // loops.PIECE)
        self._pieces(pieces, lambda first, last: loops.difference(flat, target, factor, first, last, add, to))
        return result

    def variation(self, x: np.ndarray) -> float:
        """½ Σ d² over the differences d between neighbours in an image (H, W, C)."""
        rows = _rows(x)
        sums = np.empty(len(rows))
        self._pieces(len(rows), lambda first, last: loops.variation(rows, x.shape[2], first, last, sums))
        return float(sums.sum())

    def variation_backward(self, x: np.ndarray, factor: float, dx: np.ndarray | None = None) -> np.ndarray:
        """The gradient of `variation` times a factor; added to `dx` in place, if given."""
        if dx is None:
            dx = np.zeros_like(x, order="C")
        elif not dx.flags.c_contiguous:
            dx += self.variation_backward(x, factor)
            return dx
        rows, to = _rows(x), _rows(dx)
        self._pieces(len(rows), lambda first, last: loops.variation_backward(rows, x.shape[2], factor, first, last, to))
        return dx

    def _pieces(self, pieces: int, do: Callable[[int, int], None]) -> None:
        """Run do(first, last) for parts of so many pieces, about `PARTS` of them."""
        cuts = [pieces * k // PARTS for k in range(PARTS + 1)]
        self.workers.each(PARTS, lambda k: do(cuts[k], cuts[k + 1]))


def _parts(planes: np.ndarray, pixels: int, parts: int) -> np.ndarray:
    """The first pixels of planes (9 C, …) as matrices of equal size: (parts, 9 C, pixels / parts).

    With few channels, BLAS is faster on a row of the image than on a strip.
    """
    return planes.reshape(len(planes), -1)[:, :pixels].reshape(len(planes), parts, -1).swapaxes(0, 1)


def _vector(a: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(a).reshape(-1)


def _rows(x: np.ndarray) -> np.ndarray:
    """An image (H, W, C) as a matrix (H, W C)."""
    return np.ascontiguousarray(x).reshape(len(x), -1)


def _between(value: int, least: int, most: int) -> int:
    return min(max(value, least), most)
