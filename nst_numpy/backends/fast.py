"""The fast backend: the functions of `plain` on all cores, with compiled loops and fewer multiplications.

A convolution with its bias and ReLU is one job, cut into strips of the image that fit into the cache. A strip is
gathered (with the mask of ReLU, in the backward pass), transformed, multiplied, transformed back and finished (with
bias, ReLU and the signs that the backward pass will want, one bit each). `kernels.winograd` explains the transforms.

Where Winograd does not pay, the strip's 3×3 neighbourhoods become the rows of one matrix product (im2col): with very
few channels, and on maps of very few pixels.
"""

import logging
from collections.abc import Callable, Iterator

import numpy as np

from nst_numpy.backends import loops, transforms, winograd
from nst_numpy.backends.threads import Buffers, Workers, one_blas_thread

logger = logging.getLogger(__name__)

# These rules were measured with tests/benchmarks/methods.py, in float32 on two cores of an AMD Zen 4.
# With less, im2col: about as fast at 3 → 64 channels and on 8² pixels, half as fast at 24 → 64.
WINOGRAD_CHANNELS, WINOGRAD_PIXELS = 4, 50
F6_TILES = 64  # with fewer tiles of 6×6, F(4×4): 512 → 512 at 40² 25 and 30 ms, at 48² 37 and 34
TILES_PER_STRIP = 32  # about: what a strip needs stays in the second cache
TILES_PER_WIDE_STRIP = 96  # for the products of many channels, which want to be larger
COPIED_KERNELS = 2**17  # C · K up to which the backward pass has transformed kernels of its own
TILES_AT_ONCE = 150  # up to so many, cut the work by planes, not strips: each transformed kernel is read only once
ROWS_OF_COLUMNS = 4096  # rows of a matrix product in im2col

NO_SIGNS = np.empty((0, 0, 0), np.uint32)

Gather = Callable[[int, np.ndarray], None]  # (first row, padded): fill `padded` with the image's rows from there on
Finish = Callable[[np.ndarray, int], None]  # (tiles, first row): put the results of a strip where they belong


class Prepared:
    """A kernel and its bias, with the forms that the two methods need, made when they are first needed."""

    def __init__(self, kernel: np.ndarray, bias: np.ndarray, workers: Workers):
        self.kernel, self.bias, self._workers = np.ascontiguousarray(kernel), np.ascontiguousarray(bias), workers
        self.C, self.K = kernel.shape[2:]
        self.forms: dict[tuple[winograd.Filtering, str], np.ndarray] = {}

    def method(self, height: int, width: int) -> winograd.Filtering | None:
        """The fastest for a map of this size: one of Winograd's, or im2col."""
        if min(self.C, self.K) < WINOGRAD_CHANNELS or height * width < WINOGRAD_PIXELS:
            return None
        return winograd.F6 if -(-height // 6) * -(-width // 6) >= F6_TILES else winograd.F4

    def transformed(self, filtering: winograd.Filtering) -> np.ndarray:
        """The n² planes of the kernel in Winograd's basis: (n², C, K)."""
        if (filtering, "forward") not in self.forms:
            self.forms[filtering, "forward"] = self._transform(self.kernel, filtering)
        return self.forms[filtering, "forward"]

    def transformed_back(self, filtering: winograd.Filtering) -> np.ndarray:
        """The same for the backward pass: of the rotated kernel, C and K exchanged, (n², K, C)."""
        if (filtering, "backward") not in self.forms:
            if filtering.rotated is None:
                planes = self._transform(self.kernel[::-1, ::-1].swapaxes(2, 3), filtering)
            else:
                planes = self.transformed(filtering).swapaxes(1, 2)
                # BLAS is slow with a transposed operand where the products are small: there a copy is worth its memory.
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
    """The backend. It owns its threads and the memory for its results; it can be used from several threads at once.

    Parameters
    ----------
    threads : int, optional
        By default one for each core. The results are the same bits for any number.
    dtype : float32 or float64
        What to compile for at once.
    """

    def __init__(self, threads: int | None = None, dtype: np.dtype = np.float32):
        self.workers = Workers(threads)
        self.buffers = Buffers()
        self._compile(dtype)

    def _compile(self, dtype: np.dtype) -> None:
        """Run every compiled function once; say so if that takes time."""
        image, response = np.zeros((12, 12, 3), dtype), np.zeros((12, 12, 8), dtype)
        first = loops.average_pool
        known, hits = len(first.signatures), first.stats.cache_hits.total()
        self.pool_forward(response, "average")
        if len(first.signatures) > known and first.stats.cache_hits.total() == hits:  # neither known nor on disk
            logger.warning("nst_numpy: compiling the fast kernels, once on this machine; it takes about ten seconds")
        large = np.zeros((48, 48, 8), dtype)  # for all three methods
        for x in (image, response, large):
            prepared = self.prepare(np.zeros((3, 3, x.shape[2], 8), dtype), np.zeros(8, dtype))
            y, signs = self.conv_relu_forward(x, prepared)
            self.conv_relu_backward(y, prepared, signs)
        y, cache = self.conv_relu_pool_forward(response, prepared, "average")
        self.conv_relu_pool_backward(y, prepared, "average", cache)
        for kind in ("average", "max"):
            y, cache = self.pool_forward(response, kind)
            self.pool_backward(y, kind, cache)

    session = staticmethod(one_blas_thread)

    def prepare(self, kernel: np.ndarray, bias: np.ndarray) -> Prepared:
        return Prepared(kernel, bias, self.workers)

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

        def gather(first_row: int, padded: np.ndarray) -> None:
            loops.gather(dy, signs, True, first_row, padded)

        return self._convolve_back(dy.shape[:2], dy.dtype, prepared, gather)

    def conv_forward(self, x: np.ndarray, prepared: Prepared) -> np.ndarray:
        """The convolution and its bias alone, without ReLU."""
        x = np.ascontiguousarray(x)
        y = self.buffers.take((*x.shape[:2], prepared.K), x.dtype)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            tiles += prepared.bias
            loops.crop(tiles, first_row, y)

        self._convolve(x, prepared, finish)
        return y

    def conv_backward(self, dy: np.ndarray, prepared: Prepared) -> np.ndarray:
        """Gradient (H, W, K) with respect to the output → gradient (H, W, C) with respect to the input."""
        dy = np.ascontiguousarray(dy)

        def gather(first_row: int, padded: np.ndarray) -> None:
            loops.gather(dy, NO_SIGNS, False, first_row, padded)

        return self._convolve_back(dy.shape[:2], dy.dtype, prepared, gather)

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradient (H, W, K) with respect to the convolution's output → gradients with respect to kernel and bias.

        A strip's neighbourhoods (9 C × positions) times its gradients (positions × K), summed over the strips in order.
        """
        dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
        (height, width, C), K = x.shape, dy.shape[2]
        rows = max(1, min(height, ROWS_OF_COLUMNS // (2 * width)))
        parts = [None] * -(-height // rows)

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, C), x.dtype)
            columns = self.buffers.take((rows, width, 9 * C), x.dtype)
            for strip in indices:
                here = min(rows, height - strip * rows)
                loops.gather(x, NO_SIGNS, False, strip * rows - 1, padded[: here + 2])
                loops.patches(padded[: here + 2], columns[:here])
                dz = dy[strip * rows : strip * rows + here].reshape(-1, K)
                parts[strip] = columns[:here].reshape(-1, 9 * C).T @ dz, dz.sum(axis=0)

        with self.session():
            self.workers.share(len(parts), work)
        kernels, biases = zip(*parts, strict=True)
        return sum(kernels).reshape(3, 3, C, K), sum(biases)

    def conv_relu_pool_forward(self, x: np.ndarray, prepared: Prepared, kind: str) -> tuple[np.ndarray, tuple]:
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

    def conv_relu_pool_backward(self, dy: np.ndarray, prepared: Prepared, kind: str, cache: tuple) -> np.ndarray:
        """Gradient with respect to the pooled response → gradient (H, W, C) with respect to the input."""
        dy = np.ascontiguousarray(dy)
        size, signs, winner = cache

        def gather(first_row: int, padded: np.ndarray) -> None:
            loops.gather_pooled(dy, signs, winner, first_row, padded)

        return self._convolve_back(size, dy.dtype, prepared, gather)

    def _convolve(self, x: np.ndarray, prepared: Prepared, finish: Finish) -> None:
        def gather(first_row: int, padded: np.ndarray) -> None:
            loops.gather(x, NO_SIGNS, False, first_row, padded)

        with self.session():
            if filtering := prepared.method(*x.shape[:2]):
                kernels = prepared.transformed(filtering)
                self._winograd(x.shape[:2], x.dtype, gather, filtering, kernels, filtering.straight, finish)
            else:
                self._columns(x.shape[:2], x.dtype, gather, prepared, finish)

    def _convolve_back(self, size: tuple[int, int], dtype: np.dtype, prepared: Prepared, gather: Gather) -> np.ndarray:
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
        return dx

    def _winograd(self, size, dtype, gather: Gather, filtering, kernels, order, finish: Finish) -> None:
        """Convolve what `gather` brings with transformed kernels (n², C, K); `finish` takes the results."""
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
                    gather(m * row - 1, padded)
                    transform_input(padded, order, 1, columns, V, row * columns)

            def transform_back(indices: Iterator[int]) -> None:
                out = self.buffers.take((m, m * columns, K), dtype)
                for row in indices:
                    transform_output(M, row * columns, order, 1, columns, out)
                    finish(out, m * row)

            self.workers.share(tile_rows, transform_rows)
            self.workers.each(points, lambda p: np.matmul(V[p, :tiles], kernels[p], out=M[p, :tiles]))
            self.workers.share(tile_rows, transform_back)
            return

        most = TILES_PER_STRIP if C * K <= 2**15 else TILES_PER_WIDE_STRIP
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
                gather(m * first - 1, padded)
                transform_input(padded, order, here, columns, V, 0)
                np.matmul(V[:, :tiles], kernels, out=M[:, :tiles])
                transform_output(M, 0, order, here, columns, out)
                finish(out[: m * here], m * first)

        self.workers.share(strips, work)

    def _planes(self, points: int, tiles: int, channels: int, dtype: np.dtype) -> np.ndarray:
        """Matrices of `tiles` rows, and one more: at a distance of a power of 2 they would share cache lines."""
        return self.buffers.take((points, tiles + 1, channels), dtype)

    def _columns(self, size, dtype, gather: Gather, prepared: Prepared, finish: Finish) -> None:
        (height, width), C = size, prepared.C
        rows = 2 * max(1, min(height + 1, ROWS_OF_COLUMNS // width) // 2)  # even, for the pooling in `finish`

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, C), dtype)
            columns = self.buffers.take((rows, width, 9 * C), dtype)
            out = self.buffers.take((rows * width, prepared.K), dtype)
            for strip in indices:
                here = min(rows, height - strip * rows)
                gather(strip * rows - 1, padded[: here + 2])
                loops.patches(padded, columns[:here])
                m = here * width
                np.matmul(columns.reshape(-1, 9 * C)[:m], prepared.columns, out=out[:m])
                finish(out[:m].reshape(here, width, prepared.K), strip * rows)

        self.workers.share(-(-height // rows), work)

    def _columns_back(self, gather: Gather, prepared: Prepared, dx: np.ndarray) -> None:
        (height, width, C), K = dx.shape, prepared.K
        rows = max(1, min(height, ROWS_OF_COLUMNS // width))

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, K), dx.dtype)
            columns = self.buffers.take((rows + 2, width + 2, 9 * C), dx.dtype)
            for strip in indices:
                here = min(rows, height - strip * rows) + 2
                gather(strip * rows - 1, padded[:here])
                flat = columns[:here].reshape(-1, 9 * C)
                np.matmul(padded[:here].reshape(-1, K), prepared.columns.T, out=flat)
                loops.scatter(columns, dx[strip * rows : strip * rows + here - 2])

        self.workers.share(-(-height // rows), work)

    # Pooling, 2×2 with stride 2 ---------------------------------------------------------------------------------------

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, tuple]:
        """The output; and for the backward pass the shape of x, and for max pooling which element won each window."""
        x = np.ascontiguousarray(x)
        shape = (x.shape[0] // 2, x.shape[1] // 2, x.shape[2])
        y = self.buffers.take(shape, x.dtype)
        winner = self.buffers.take(shape, np.uint8) if kind == "max" else None
        if kind == "max":
            self._by_rows(shape[0], lambda first, last: loops.max_pool(x, first, last, y, winner))
        else:
            self._by_rows(shape[0], lambda first, last: loops.average_pool(x, first, last, y))
        return y, (x.shape, winner)

    def pool_backward(self, dy: np.ndarray, kind: str, cache: tuple) -> np.ndarray:
        """Gradient with respect to the pooled output → gradient with respect to the input."""
        dy = np.ascontiguousarray(dy)
        shape, winner = cache
        dx = self.buffers.take(shape, dy.dtype)
        if kind == "max":
            self._by_rows(shape[0], lambda first, last: loops.max_pool_backward(dy, winner, first, last, dx))
        else:
            self._by_rows(shape[0], lambda first, last: loops.average_pool_backward(dy, first, last, dx))
        return dx

    def _by_rows(self, height: int, do) -> None:
        rows = 8
        self.workers.each(-(-height // rows), lambda k: do(k * rows, min((k + 1) * rows, height)))

    # Gram matrices ----------------------------------------------------------------------------------------------------

    def gram(self, a: np.ndarray) -> np.ndarray:
        """G = F Fᵀ of a response (H, W, N): the sum of the Gram matrices of parts, always in the same order."""
        flat = np.ascontiguousarray(a).reshape(-1, a.shape[-1])
        rows = min(max(len(flat) // 8, 512), 4096)
        parts = [flat[k : k + rows] for k in range(0, len(flat), rows)]
        grams = [None] * len(parts)

        def one(k: int) -> None:
            grams[k] = np.matmul(parts[k].T, parts[k])  # one operand twice: BLAS computes half of it

        with self.session():
            self.workers.each(len(parts), one)
        return sum(grams[1:], start=grams[0])

    def gram_backward(self, dG: np.ndarray, a: np.ndarray, da: np.ndarray | None) -> np.ndarray:
        """`da` plus the gradient (dG + dGᵀ) F with respect to the response a (H, W, N), in place of `da`."""
        S = (dG + dG.T).astype(a.dtype)
        flat = np.ascontiguousarray(a).reshape(-1, a.shape[-1])
        total = self.buffers.take(flat.shape, a.dtype) if da is None else da.reshape(flat.shape)

        rows = min(max(len(flat) // 8, 128), 2048)

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
        return total.reshape(a.shape)
