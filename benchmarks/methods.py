"""The three methods of convolution of the fast backend: time and precision, from which its limits were chosen.

    python benchmarks/methods.py [--size N] [--strips]

With --strips: the time by the number of tiles in a strip, which `TILES_PER_STRIP` and `TILES_PER_WIDE_STRIP` limit.

Times are of one forward and one backward pass in float32, the best of seven. Errors are of the forward pass, against
float64, relative to the largest value.
"""

import argparse
import time

import numpy as np

from nst_numpy.backends import fast, plain
from nst_numpy.backends.fast import Fast

ANY, NEVER = 1, 10**6
METHODS = {  # (least channels, least tiles of 6×6)
    "im2col": (NEVER, ANY),
    "F(4×4)": (ANY, NEVER),
    "F(6×6)": (ANY, ANY),
}


def run(backend: Fast, method: str, size: int, C: int, K: int) -> tuple[float, float]:
    """Milliseconds, and the relative error."""
    fast.WINOGRAD_CHANNELS, tiles = METHODS[method]
    fast.WINOGRAD_PIXELS, fast.F6_TILES, fast.F6_TILES_NARROW = ANY, tiles, tiles
    rng = np.random.default_rng(0)
    x = rng.standard_normal((size, size, C), np.float32)
    kernel, bias = rng.standard_normal((3, 3, C, K), np.float32) / 10, np.zeros(K, np.float32)
    prepared = backend.prepare(kernel, bias)
    best = np.inf
    for _ in range(7):
        start = time.perf_counter()
        y, signs = backend.conv_relu_forward(x, prepared)
        backend.conv_relu_backward(y, prepared, signs)
        best = min(best, time.perf_counter() - start)
    exact, _ = plain.conv_relu_forward(x.astype(float), (kernel.astype(float), bias.astype(float)))
    return best * 1e3, float(np.abs(y - exact).max() / exact.max())


def print_strips() -> None:
    """Milliseconds of layers whose work is cut into strips."""
    backend, lengths = Fast(), (12, 16, 24, 32, 48, 64, 96, 128)
    print(f"{'tiles in a strip':20}" + "".join(f"{length:8}" for length in lengths))
    for size, C, K in ((512, 32, 32), (512, 64, 64), (256, 96, 96), (128, 160, 160), (128, 256, 256), (96, 512, 512)):
        rng = np.random.default_rng(0)
        x = rng.standard_normal((size, size, C), np.float32)
        prepared = backend.prepare(rng.standard_normal((3, 3, C, K), np.float32) / 10, np.zeros(K, np.float32))
        best = dict.fromkeys(lengths, np.inf)
        for _ in range(7):
            for length in lengths:
                fast.TILES_PER_STRIP = fast.TILES_PER_WIDE_STRIP = length
                start = time.perf_counter()
                y, signs = backend.conv_relu_forward(x, prepared)
                backend.conv_relu_backward(y, prepared, signs)
                best[length] = min(best[length], time.perf_counter() - start)
        print(f"{C:4} → {K:3} at {size:3}²   " + "".join(f"{seconds * 1e3:8.1f}" for seconds in best.values()))


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", type=int, default=128, help="leave out larger maps, in pixels (default: all)")
    parser.add_argument("--strips", action="store_true", help="time by the length of strips instead")
    options = parser.parse_args(arguments)
    if options.strips:
        print_strips()
        return
    largest = options.size
    backend = Fast()
    print(f"{'':24}" + "".join(f"{method:>22}" for method in METHODS))
    for size, C, K in (
        *((128, C, 64) for C in (3, 4, 8, 24)),
        *((size, 128, 128) for size in (4, 8, 12, 32, 48, 64)),
        *((size, 512, 512) for size in (4, 6, 8, 16, 32, 40, 48, 64)),
    ):
        if size > largest:
            continue
        line = f"{C:4} → {K:3} at {size:3}²       "
        for method in METHODS:
            milliseconds, error = run(backend, method, size, C, K)
            line += f"{milliseconds:11.2f} ms {error:7.0e}"
        print(line)


if __name__ == "__main__":
    main()
