"""What the programs that train the embedded network share: backends, layers, steps, images.

Painting needs none of this. The library works on one image at a time; a *mosaic* of many crops is such an image, and
normalising a batch is then normalising over the positions of the mosaic.
"""

import csv
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import h5py
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm

from nst_numpy import layers, weights
from nst_numpy.backends import fast, loops, plain
from nst_numpy.backends.fast import NO_SIGNS, Fast, Prepared
from nst_numpy.backends.threads import Workers
from nst_numpy.network import VGG
from nst_numpy.weights.random import he_kernels

KEEP_EVERY = 50  # steps, from one checkpoint to the next
EPSILON = 1e-5

Arrays = dict[str, np.ndarray]

# Backends: the convolution without ReLU (a normalisation comes between them), and weight gradients --------------------


class TrainingBackend(Protocol):
    """What training calls. The first four functions, and the rules about memory, are those of `backends.Backend`."""

    def session(self) -> AbstractContextManager[None]: ...

    def prepare(self, kernel: np.ndarray, bias: np.ndarray) -> Any: ...

    def pool_forward(self, x: np.ndarray, kind: str) -> tuple[np.ndarray, Any]: ...

    def pool_backward(self, dy: np.ndarray, kind: str, cache: Any) -> np.ndarray: ...

    def conv_forward(self, x: np.ndarray, prepared: Any) -> np.ndarray:
        """The convolution with its bias, without ReLU.

        Parameters
        ----------
        x : ndarray, shape (H, W, C)
        prepared : opaque

        Returns
        -------
        ndarray, shape (H, W, K)
        """
        ...

    def conv_backward(self, dy: np.ndarray, prepared: Any) -> np.ndarray:
        """Gradient of `conv_forward` with respect to its input.

        Parameters
        ----------
        dy : ndarray, shape (H, W, K)
        prepared : opaque

        Returns
        -------
        ndarray, shape (H, W, C)
        """
        ...

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of `conv_forward` with respect to kernel and bias.

        Parameters
        ----------
        dy : ndarray, shape (H, W, K)
        x : ndarray, shape (H, W, C)
            The input of the forward pass.

        Returns
        -------
        dkernel : ndarray, shape (3, 3, C, K)
        dbias : ndarray, shape (K,)
        """
        ...


class PlainTraining(TrainingBackend):
    """The functions of `layers.py` for training."""

    session = staticmethod(plain.session)
    prepare = staticmethod(plain.prepare)
    pool_forward = staticmethod(plain.pool_forward)
    pool_backward = staticmethod(plain.pool_backward)

    def conv_forward(self, x: np.ndarray, prepared: plain.Prepared) -> np.ndarray:
        return layers.conv_forward(x, *prepared)

    def conv_backward(self, dy: np.ndarray, prepared: plain.Prepared) -> np.ndarray:
        kernel, _, padding = prepared
        return layers.conv_backward_input(dy, kernel, padding)

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return layers.conv_backward_kernel(dy, x), layers.conv_backward_bias(dy)


class FastTraining(Fast, TrainingBackend):
    """The fast backend with what training needs besides. Its parameters are those of `Fast`."""

    def conv_forward(self, x: np.ndarray, prepared: Prepared) -> np.ndarray:
        x = np.ascontiguousarray(x)
        y = self.buffers.take((*x.shape[:2], prepared.K), x.dtype)

        def finish(tiles: np.ndarray, first_row: int) -> None:
            tiles += prepared.bias
            loops.crop(tiles, first_row, y)

        self._convolve(x, prepared, finish)
        return y

    def conv_backward(self, dy: np.ndarray, prepared: Prepared) -> np.ndarray:
        dy = np.ascontiguousarray(dy)

        def gather(first_row: int, first_column: int, padded: np.ndarray) -> None:
            loops.gather(dy, NO_SIGNS, False, prepared.padding_back, first_row, first_column, padded)

        return self._convolve_back(dy.shape[:2], dy.dtype, prepared, gather)

    def conv_backward_weights(self, dy: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Gradients of `conv_forward` with respect to kernel and bias.

        A strip's neighbourhoods (9 C × positions) times its gradients (positions × K), summed over the strips in order.
        """
        dy, x = np.ascontiguousarray(dy), np.ascontiguousarray(x)
        (height, width, C), K = x.shape, dy.shape[2]
        rows = max(1, min(height, fast.ROWS_OF_COLUMNS // (2 * width)))
        strips = -(-height // rows)
        kernels, biases = np.empty((strips, 9 * C, K), x.dtype), np.empty((strips, K), x.dtype)

        def work(indices: Iterator[int]) -> None:
            padded = self.buffers.take((rows + 2, width + 2, C), x.dtype)
            planes = self.buffers.take((9 * C, rows, width), x.dtype)
            for strip in indices:
                here = min(rows, height - strip * rows)
                loops.gather(x, NO_SIGNS, False, loops.ZERO, strip * rows - 1, -1, padded[: here + 2])
                loops.patches(padded[: here + 2], planes)
                dz = dy[strip * rows : strip * rows + here].reshape(-1, K)
                np.matmul(planes.reshape(9 * C, -1)[:, : len(dz)], dz, out=kernels[strip])
                biases[strip] = dz.sum(axis=0)

        with self.session():
            self.workers.share(strips, work)
        return kernels.sum(axis=0).reshape(3, 3, C, K), biases.sum(axis=0)


# Layers ---------------------------------------------------------------------------------------------------------------


def batch_norm_forward(z: np.ndarray, gain: np.ndarray, shift: np.ndarray) -> tuple[np.ndarray, tuple]:
    """Batch normalisation: every channel to mean `shift` and standard deviation `gain`, over all positions.

    With the mean μ = 1/M Σ_p z[p] and the variance σ² = 1/M Σ_p (z[p] − μ)² of a channel over its M positions,

    ẑ[p] = (z[p] − μ)/s,  s = √(σ² + ε),  y[p] = gain · ẑ[p] + shift

    (Ioffe and Szegedy 2015, arXiv 1502.03167, algorithm 1.)

    Parameters
    ----------
    z : ndarray, shape (H, W, K)
    gain, shift : ndarray, shape (K,)

    Returns
    -------
    y : ndarray, shape (H, W, K)
    cache : tuple
        z, gain, μ and s.
    """
    flat = z.reshape(-1, z.shape[-1])
    mean = np.ones(len(flat), z.dtype) @ flat / len(flat)
    y = z - mean
    flat = y.reshape(flat.shape)
    s = np.sqrt(np.einsum("pk,pk->k", flat, flat) / len(flat) + EPSILON)
    y *= gain / s
    y += shift
    return y, (z, gain, mean, s)


def batch_norm_backward(dy: np.ndarray, cache: tuple) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Gradients of batch normalisation with respect to its input, gain and shift.

    gain and shift act at every position, so dgain = Σ_p dy[p] ẑ[p] and dshift = Σ_p dy[p].

    z[q] acts on every y[p], since it is part of μ and of s. Write dẑ = gain · dy. From the definitions,

    ∂μ/∂z[q] = 1/M,   ∂s/∂z[q] = (z[q] − μ)/(M s) = ẑ[q]/M,   ∂ẑ[p]/∂z[q] = ([p = q] − 1/M − ẑ[p] ẑ[q]/M)/s

    and the sum over p is

    dz[q] = 1/s · (dẑ[q] − 1/M Σ_p dẑ[p] − ẑ[q] · 1/M Σ_p dẑ[p] ẑ[p])
          = gain/s · (dy[q] − dshift/M − ẑ[q] · dgain/M)

    It takes out of dy its mean and its part along ẑ: what would only move or stretch the channel has no effect.

    Parameters
    ----------
    dy : ndarray, shape (H, W, K)
    cache : tuple
        From `batch_norm_forward`.

    Returns
    -------
    dz : ndarray, shape (H, W, K)
    dgain, dshift : ndarray, shape (K,)
    """
    z, gain, mean, s = cache
    M, K = dy.size // dy.shape[-1], dy.shape[-1]
    dshift = np.ones(M, dy.dtype) @ dy.reshape(M, K)
    dgain = (np.einsum("pk,pk->k", dy.reshape(M, K), z.reshape(M, K)) - mean * dshift) / s
    along = dgain / (M * s)
    dz = z * -along
    dz += dy
    dz -= dshift / M - mean * along
    dz *= gain / s
    return dz, dgain, dshift


def cross_entropy(scores: np.ndarray, labels: np.ndarray, smoothing: float = 0.1) -> tuple[float, np.ndarray]:
    """Mean cross-entropy of the softmax of `scores`, and its gradient.

    p_c = exp(s_c)/Σ_d exp(s_d),   L = −Σ_c q_c log p_c,   with q_c = (1 − smoothing)·[c is the label] + smoothing/C

    log p_c = s_c − log Σ_d exp(s_d), so ∂L/∂s_c = −q_c + (Σ_d q_d) exp(s_c)/Σ_d exp(s_d) = p_c − q_c.

    Parameters
    ----------
    scores : ndarray, shape (n, C)
    labels : ndarray of int, shape (n,)
        Examples with the label −1 do not count.
    smoothing : float
        Szegedy et al. 2016 (arXiv 1512.00567), section 7.

    Returns
    -------
    loss : float
    gradient : ndarray, shape (n, C)
    """
    known = labels >= 0
    q = np.full(scores.shape, smoothing / scores.shape[1], scores.dtype)
    q[known, labels[known]] += 1 - smoothing
    shifted = scores - scores.max(axis=1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    share = known[:, None] / max(known.sum(), 1)
    return float(-(share * q * log_p).sum()), (share * (np.exp(log_p) - q)).astype(scores.dtype)


# The network ----------------------------------------------------------------------------------------------------------


def initial_parameters(rng: np.random.Generator, widths: tuple[int, ...], convolutions: list[str]) -> Arrays:
    """He's random kernels of some of VGG-19's convolutions, gain 1 and shift 0."""
    parameters = {}
    for layer, kernel in he_kernels(rng, widths, convolutions[-1]):
        if layer in convolutions:
            parameters[f"{layer}/kernel"] = kernel
            parameters[f"{layer}/gain"] = np.ones(kernel.shape[3])
            parameters[f"{layer}/shift"] = np.zeros(kernel.shape[3])
    return {name: p.astype(np.float32) for name, p in parameters.items()}


def prepare(backend: TrainingBackend, parameters: Arrays, convolutions: list[str]) -> dict[str, Any]:
    """The kernels as the backend wants them; batch normalisation takes the place of the bias."""
    kernels = {layer: parameters[f"{layer}/kernel"] for layer in convolutions}
    return {layer: backend.prepare(k, np.zeros(k.shape[3], k.dtype)) for layer, k in kernels.items()}


def folded(parameters: Arrays, statistics: Arrays, convolutions: list[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Kernels and biases without normalisation layers: with fixed statistics these are linear, and can be absorbed.

    gain · (x∗kernel − μ)/s + shift = x∗(kernel · gain/s) + (shift − μ · gain/s)
    """
    found = {}
    for layer in convolutions:
        factor = parameters[f"{layer}/gain"] / statistics[f"{layer}/s"]
        bias = parameters[f"{layer}/shift"] - statistics[f"{layer}/mean"] * factor
        found[layer] = parameters[f"{layer}/kernel"] * factor, bias
    return found


# Images ---------------------------------------------------------------------------------------------------------------


class Images:
    """Images with labels, read one at a time.

    From a folder with one subfolder per class (images outside subfolders have no class, and every twentieth image is
    for validation), or from an HDF5 file with `webp` (encoded images, one after the other), `offset`, `label` and
    `split` (0 training, 1 validation).
    """

    def __init__(self, path: Path, least: int):
        if path.is_dir():
            known = Image.registered_extensions()
            self.files = sorted(p for p in path.rglob("*") if p.suffix.lower() in known)
            names = sorted({p.parent for p in self.files} - {path})
            self.labels = np.array([names.index(p.parent) if p.parent != path else -1 for p in self.files], int)
            validation = np.arange(len(self.files)) % 20 == 0
        else:
            with h5py.File(path) as file:
                self.blob, offset = file["webp"][()], file["offset"][()]
                self.labels, validation = file["label"][()].astype(int), file["split"][()] == 1
            self.files = list(pairwise(offset))
        self.training, self.validation = np.flatnonzero(~validation), np.flatnonzero(validation)
        self.classes = int(self.labels.max(initial=-1)) + 1
        if min(len(self.training), len(self.validation)) < least or self.classes < 2:
            raise ValueError(
                f"{path}: expected at least 2 classes and {20 * least} images, "
                f"found {self.classes} and {len(self.files)}"
            )

    def open(self, index: int) -> Image.Image:
        file = self.files[index]
        source = io.BytesIO(self.blob[slice(*file)].tobytes()) if isinstance(file, tuple) else file
        return ImageOps.exif_transpose(Image.open(source)).convert("RGB")

    def crop(self, index: int, pixels: int, rng: np.random.Generator | None) -> np.ndarray:
        """A square of an image, scaled to `pixels`: an array (pixels, pixels, 3) in 0–1.

        The largest in the middle; or, with a generator, one of random place and scale, mirrored or not, of random
        contrast and brightness, and tinted.
        """
        image = self.open(index)
        side = min(image.size) * (rng.uniform(0.5, 1) if rng else 1)
        left, top = (np.array(image.size) - side) * (rng.random(2) if rng else 0.5)
        box = (left, top, left + side, top + side)
        crop = np.asarray(image.resize((pixels, pixels), Image.Resampling.BICUBIC, box), np.float32) / 255
        if rng:
            crop = crop[:, :: rng.choice([-1, 1])]
            crop = ((crop - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + 0.08 * rng.standard_normal(3)).clip(0, 1)
        return crop.astype(np.float32)


# Steps ----------------------------------------------------------------------------------------------------------------


def one_cycle(step: int, steps: int, most: float) -> float:
    """The rate at a step: a tenth of the steps up to `most`, then down to 0, along cosines."""
    rise = max(steps // 10, 1)
    phase = step / rise - 1 if step < rise else (step - rise) / max(steps - rise, 1)
    return most * (1 + np.cos(np.pi * phase)) / 2


def adamw(p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, step: int, rate: float, decay: float) -> None:
    """One step of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101, algorithm 2), in place.

    m and v are running means of the gradient and of its square; dividing by 1 − 0.9ᵗ and 1 − 0.999ᵗ makes up for their
    start at 0.
    """
    m += 0.1 * (g - m)
    v += 0.001 * (g * g - v)
    update = (m / (1 - 0.9 ** (step + 1))) / (np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8)
    p -= rate * (update + decay * p)


def part(state: dict[str, np.ndarray], kind: str) -> dict[str, np.ndarray]:
    """Those arrays of a state whose names begin with `kind`, by the rest of their names; the same arrays, no copies."""
    return {name.removeprefix(f"{kind}/"): a for name, a in state.items() if name.startswith(f"{kind}/")}


# What one mosaic gives: losses by name, gradients by parameter, and each layer's mean and s.
Measured = tuple[dict[str, float], Arrays, dict[str, tuple[np.ndarray, np.ndarray]]]


def each_mosaic(
    convolutions: list[str],
    mosaics: int,
    threads: int | None,
    one: Callable[[TrainingBackend, dict[str, Any], Arrays, int, int], Measured],
) -> Callable[[int, Arrays], list[Measured]]:
    """`measure` for `train`: `one(backend, prepared, parameters, step, k)` of mosaic k; each thread has its own."""
    workers, backend = Workers(threads), FastTraining(threads=1)

    def measure(step: int, parameters: Arrays) -> list[Measured]:
        results = [None] * mosaics
        with backend.session():
            prepared = prepare(backend, parameters, convolutions)

            def work(k: int) -> None:
                results[k] = one(backend, prepared, parameters, step, k)

            workers.each(mosaics, work)
        return results

    return measure


def train(
    parameters: Arrays,
    measure: Callable[[int, Arrays], list[Measured]],
    run: np.ndarray,
    checkpoint: Path,
    *,
    steps: int,
    rate: float,
    decay: float,
) -> tuple[Arrays, Arrays, dict[str, np.ndarray]]:
    """Train to the last step, from the checkpoint if there is one.

    Parameters
    ----------
    parameters : dict of str to ndarray
        The first ones.
    measure : callable
        `measure(step, parameters)` computes the mosaics of a step.
    run : ndarray of int
        What a checkpoint must have been made with: seed, steps, images, …
    checkpoint : path
    steps : int
    rate, decay : float
        The largest rate of AdamW, and the decay of the kernels.

    Returns
    -------
    parameters, statistics : dict of str to ndarray
        The last parameters, and the running batch statistics.
    log : dict of str to ndarray, shape (steps,)
        The losses.
    """
    if checkpoint.exists():
        with np.load(checkpoint) as file:
            state = dict(file)
        if not np.array_equal(state["run"], run):
            raise ValueError(f"{checkpoint} belongs to another run; delete it to start anew")
    else:
        state = {f"parameter/{name}": p for name, p in parameters.items()}
        state |= {f"{moment}/{name}": np.zeros_like(p) for moment in "mv" for name, p in parameters.items()}
        state["run"] = run
    parameters, first_moments, second_moments, statistics, log = (
        part(state, kind) for kind in ("parameter", "m", "v", "statistic", "log")
    )
    curves = {name: list(values) for name, values in log.items()}
    done = max(map(len, curves.values()), default=0)
    progress = tqdm(range(done, steps), initial=done, total=steps, unit="step", smoothing=0.02)
    for step in progress:
        mosaics = measure(step, parameters)
        for name, p in parameters.items():
            g = sum(gradients[name] for _, gradients, _ in mosaics if name in gradients) / len(mosaics)
            kernel = name.endswith("/kernel")
            adamw(p, g, first_moments[name], second_moments[name], step, one_cycle(step, steps, rate), decay * kernel)
        for _, _, measured in mosaics:
            for layer, values in measured.items():
                for what, value in zip(("mean", "s"), values, strict=True):
                    running = statistics.setdefault(f"{layer}/{what}", value.copy())
                    running += max(0.01, 1 / (step + 1)) * (value - running)
        for name in dict.fromkeys(name for found, _, _ in mosaics for name in found):
            values = [found[name] for found, _, _ in mosaics if name in found]
            curves.setdefault(name, []).append(float(np.mean(values)))
        if (step + 1) % 10 == 0:
            progress.set_postfix_str(" ".join(f"{name} {np.mean(curve[-50:]):.3f}" for name, curve in curves.items()))
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
            state |= {f"statistic/{name}": a for name, a in statistics.items()}
            state |= {f"log/{name}": np.array(curve) for name, curve in curves.items()}
            partial = checkpoint.with_name("." + checkpoint.name)
            with open(partial, "wb") as file:
                np.savez(file, **state)
            os.replace(partial, checkpoint)
    return parameters, statistics, {name: np.array(curve) for name, curve in curves.items()}


def checkpoint_of(output: Path) -> Path:
    """Where a run that will write `output` keeps its state."""
    return output.with_suffix(".checkpoint.npz")


def write_curves(log: dict[str, np.ndarray], path: Path) -> None:
    """The losses as a table, one row for 50 steps, and as a picture beside it: accuracies on the right."""
    steps = len(next(iter(log.values())))
    starts = range(0, steps, 50)
    ends = [min(start + 50, steps) for start in starts]
    rows = {name: [curve[start : start + 50].mean() for start in starts] for name, curve in log.items()}
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", *log))
        for end, *values in zip(ends, *rows.values(), strict=True):
            writer.writerow([end, *(f"{value:.4f}" for value in values)])
    figure, axes = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name, row in rows.items():
        axes[int(name.startswith("accuracy"))].plot(ends, row, label=name)
    for axis, label in zip(axes, ("loss", "fraction of the crops whose class is recognised"), strict=True):
        axis.set(xlabel="step", ylabel=label)
        if axis.lines:
            axis.legend()
    axes[0].set_yscale("log")
    figure.savefig(path.with_suffix(".png"), dpi=100)
    plt.close(figure)


def write_network(
    output: Path, network: VGG, mean_responses: Arrays, log: dict[str, np.ndarray], source: str, licence: str
) -> VGG:
    """Write a network, normalised by these mean responses, in float16, and its curves; return it as the file has it."""
    network = weights.normalize_network(network, mean_responses)
    ones = {layer: np.ones(len(m)) for layer, m in mean_responses.items()}
    weights.save(output, network, source=source, licence=licence, mean_responses=ones, dtype=np.float16)
    write_curves(log, output.with_suffix(".csv"))
    return weights.load(output)


def command(main: Callable[[], int]) -> None:
    """Run a program; errors in the input end it with one line."""
    name = Path(sys.argv[0]).name
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"{name}: error: {error}")
    except KeyboardInterrupt:
        sys.exit(f"{name}: interrupted; start it again to go on from the last checkpoint")
