"""How a picture's loss is curved along gray and color, by wavelength; and what L-BFGS gains from a preconditioner.

    python benchmarks/curvature.py CONTENT STYLE [--size N] [--steps N] [--init INIT] [--weights WEIGHTS]

Between two points of a descent, s = x_{k+1} − x_k and y = ∇f_{k+1} − ∇f_k. The curvature along a part of s, such as its
gray waves of 8 to 16 pixels, is that part's product with y over its square, both summed over the descent.
"""

import argparse
from functools import partial
from itertools import pairwise

import numpy as np

from nst_numpy import Settings
from nst_numpy.optimize import OptimizeResult, minimize
from nst_numpy.painting import Motif
from nst_numpy.preconditioner import precondition

BANDS = np.inf, 32, 16, 8, 4, 2  # pixels; the next one is included
FIRST = 10  # before that step the picture changes too much


def spectra(v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Fourier transforms of gray and of what remains, (H, W, C) each."""
    gray = v.mean(axis=2, keepdims=True)
    return np.fft.fft2(gray, axes=(0, 1)), np.fft.fft2(v - gray, axes=(0, 1))


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("content")
    parser.add_argument("style")
    parser.add_argument("--size", type=int, default=256, help="of the longer side, in pixels (default 256)")
    parser.add_argument("--steps", type=int, default=80, help="default 80")
    parser.add_argument("--init", default="content", help="default content")
    parser.add_argument("--weights", default="vgg19-mini", help="default vgg19-mini")
    options = parser.parse_args(arguments)
    settings = Settings(size=(options.size,), init=options.init, weights=options.weights)
    motif = Motif(options.content, options.style, settings)
    stage = motif.stage(options.size, options.steps)
    height, width, _ = stage.shape
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    band = np.clip(np.searchsorted(1 / np.array(BANDS), frequency, side="left"), 1, len(BANDS) - 1) - 1
    products, squares = (np.zeros((2, len(BANDS) - 1)) for _ in range(2))
    last: list[np.ndarray] = []

    def measure(x: np.ndarray, jac: np.ndarray) -> None:
        for part, (s, y) in enumerate(zip(spectra(x - last[0]), spectra(jac - last[1]), strict=True)):
            for total, values in ((products, (s.conj() * y).real), (squares, np.abs(s) ** 2)):
                total[part] += np.bincount(band.ravel(), values.sum(axis=2).ravel(), len(BANDS) - 1)

    def note(losses: list[float], now: OptimizeResult) -> None:
        losses.append(now.fun)
        if losses is plain:
            x, jac = now.x.astype(float), now.jac.astype(float)
            if now.nit > FIRST:
                measure(x, jac)
            last[:] = x, jac

    plain: list[float] = []
    preconditioned: list[float] = []
    start, usual = motif.start(stage.shape), {"bounds": (0, 1), "maxiter": options.steps, "gtol": 0, "ftol": 0}
    for losses, K in ((plain, None), (preconditioned, precondition)):
        minimize(stage.function, start, precondition=K, callback=partial(note, losses), **usual)
    curvature = products / squares
    print("wavelength, pixels   " + "".join(f"{f'{a:.0f}–{b}':>9}" for a, b in pairwise(BANDS)))
    for name, row in zip(("gray", "color"), curvature / curvature[0].max(), strict=True):
        print(f"curvature, {name:<10}" + "".join(f"{value:9.2f}" for value in row))
    reached = next((k for k, loss in enumerate(preconditioned) if loss <= plain[-1]), None)
    print(f"loss after {len(plain) - 1} steps: {plain[-1]:.4g}; with the preconditioner {preconditioned[-1]:.4g},")
    print(f"and {plain[-1]:.4g} after {reached} steps" if reached else "and never as low as that")


if __name__ == "__main__":
    main()
