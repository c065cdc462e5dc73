"""Train a convolutional network with gradients derived by hand: the network that ships with this library.

    python weights/train.py IMAGES TEACHER -o weights/vgg19-mini.h5

IMAGES is a folder of images with one subfolder per class (images outside subfolders have no class), or an HDF5 file
with `webp` (encoded images, one after the other), `offset`, `label` and `split` (0 training, 1 validation). TEACHER is
a weight file of the real VGG-19, of its first three blocks at least.

What is learned. The style loss compares Gram matrices G = F Fᵀ of features F. Suppose the features T of a large network
are a linear map of those of a small one, T = Aᵀ F. Then T Tᵀ = Aᵀ G A: pictures whose small Gram matrices agree have
large ones that agree. So a small network that is to paint like VGG-19 needs features from which VGG-19's can be
*predicted linearly*, and that is what blocks 1 to 3 are trained for (distillation; Hinton et al. 2015, arXiv
1503.02531). Blocks 4 and 5, which tell what the picture shows, learn to name the class of an image.

How. Every number in `parameters` moves against its gradient (AdamW), and every gradient is computed by a function in
this file or in `nst_numpy`: convolution and pooling from the library, and here batch normalisation, the best linear map
and the cross-entropy. The library works on one image at a time; a *mosaic* of many crops is such an image, and
normalising a batch is then normalising over the positions of the mosaic.

The same seed gives the same network. An interrupted run continues where it stopped when it is started again.
"""

import argparse
import csv
import io
import os
import sys
from itertools import pairwise
from pathlib import Path

import h5py
import matplotlib.pyplot as plt
import numpy as np
from PIL import Image, ImageOps
from tqdm import tqdm
from training import FastTraining, TrainingBackend

import nst_numpy
from nst_numpy import layers, weights
from nst_numpy.backends.threads import Workers
from nst_numpy.network import VGG
from nst_numpy.topology import convolution_names
from nst_numpy.weights.formats import IMAGENET_MEAN
from nst_numpy.weights.random import WIDTHS, he_kernels

CONVOLUTIONS = convolution_names("vgg19")[:13]  # conv1_1 … conv5_1
DISTILLED = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_4")
FIRST_OF_CLASS = "conv4_1"  # from here on the network learns the class
MEAN, SCALE = IMAGENET_MEAN, 1 / 58  # the input then has a variance near 1

CROP = 80  # pixels; a multiple of 16, so that each crop owns its positions in every block
SIDE = 4  # a mosaic is SIDE × SIDE crops
MOSAICS = 2  # per step
KEEP_EVERY = 50  # steps, from one checkpoint to the next
RATE, DECAY = 3e-3, 1e-2
RIDGE = 3e-4  # per position, for features with a variance near 1
EPSILON = 1e-5


SOURCE = "trained with weights/train.py; teacher: VGG-19 (Simonyan and Zisserman, CC BY 4.0)"
LICENCE = "BSD-3-Clause; trained on ImageNet photographs, which are for research and education"


# The layers that only training needs ----------------------------------------------------------------------------------


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


def linear_prediction(F: np.ndarray, T: np.ndarray, variance: np.ndarray) -> tuple[float, np.ndarray]:
    """How badly the best linear map predicts the teacher's features from the student's, and the gradient.

    With the means over positions taken out of F (M × N) and T (M × K), the loss is

    L(F) = min over A of  1/(M K) Σ_k (‖F A_k − T_k‖² + λ M ‖A_k‖²) / v_k

    v_k is the variance of the teacher's channel k, so that L is the share of the variance that stays unexplained, from
    0 to 1; the small λ keeps the map from amplifying tiny differences. The minimum is where the derivative with
    respect to A vanishes: (FᵀF + λ M) A = FᵀT, for all k at once.

    To change F changes the best A too. But there the derivative with respect to A is zero, so this has no effect to
    first order, and the gradient is that for a constant A (the envelope theorem):

    dF[p] = 2/(M K) Σ_k (F A_k − T_k)[p] / v_k · A_kᵀ

    Its mean over positions is zero, so the mean that was taken out needs no gradient of its own.

    Parameters
    ----------
    F : ndarray, shape (H, W, N)
        The student's features.
    T : ndarray, shape (H, W, K)
        The teacher's.
    variance : ndarray, shape (K,)

    Returns
    -------
    loss : float
    dF : ndarray, shape (H, W, N)
    """
    shape, F, T = F.shape, F.reshape(-1, F.shape[-1]), T.reshape(-1, T.shape[-1])
    M, K = T.shape
    one = np.ones(M, F.dtype)
    f, t = one @ F / M, one @ T / M
    FF = (F.T @ F - M * np.outer(f, f)).astype(np.float64)
    FT = F.T @ T - M * np.outer(f, t)
    A = np.linalg.solve(FF + RIDGE * M * np.eye(len(FF)), FT).astype(F.dtype)
    R = F @ A
    R -= T
    R += t - f @ A
    squares = np.einsum("pk,pk->k", R, R) + RIDGE * M * (A**2).sum(axis=0)
    dF = R @ (A * (2 / (M * K) / variance)).T
    return float((squares / variance).sum() / (M * K)), dF.reshape(shape)


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


def initial_parameters(rng: np.random.Generator, classes: int) -> dict[str, np.ndarray]:
    """He's random kernels, gain 1, shift 0, and a classifier that knows nothing."""
    parameters = {}
    for layer, kernel in he_kernels(rng, WIDTHS, CONVOLUTIONS[-1]):
        parameters[f"{layer}/kernel"] = kernel
        parameters[f"{layer}/gain"] = np.ones(kernel.shape[3])
        parameters[f"{layer}/shift"] = np.zeros(kernel.shape[3])
    parameters["class/kernel"] = np.zeros((WIDTHS[-1], classes))
    parameters["class/bias"] = np.zeros(classes)
    return {name: p.astype(np.float32) for name, p in parameters.items()}


def prepare(backend: TrainingBackend, parameters: dict[str, np.ndarray]) -> dict:
    """The kernels as the backend wants them; batch normalisation takes the place of the bias."""
    kernels = {layer: parameters[f"{layer}/kernel"] for layer in CONVOLUTIONS}
    return {layer: backend.prepare(k, np.zeros(k.shape[3], k.dtype)) for layer, k in kernels.items()}


def forward(
    backend: TrainingBackend, parameters: dict, prepared: dict, x: np.ndarray
) -> tuple[dict[str, np.ndarray], dict]:
    """(H, W, 3) → the features of all layers, and what `backward` needs of each: input, pooling, normalisation."""
    features, tape = {}, {}
    for layer in CONVOLUTIONS:
        pool = None
        if layer.endswith("_1") and layer != "conv1_1":
            x, pool = backend.pool_forward(x, "average")
        z = backend.conv_forward(x, prepared[layer])
        y, norm = batch_norm_forward(z, parameters[f"{layer}/gain"], parameters[f"{layer}/shift"])
        tape[layer] = x, pool, norm
        features[layer] = x = np.maximum(y, 0, out=y)
    return features, tape


def backward(
    backend: TrainingBackend, prepared: dict, features: dict, tape: dict, injected: dict
) -> dict[str, np.ndarray]:
    """The gradients that the losses inject at the features → the gradients of kernels, gains and shifts.

    What learns the class does not pull at what learns from the teacher: the sweep starts anew below `FIRST_OF_CLASS`.
    """
    gradients, dx = {}, None
    for layer in reversed(CONVOLUTIONS):
        x, pool, norm = tape[layer]
        dy = injected.get(layer)
        if dx is not None:
            dy = dx if dy is None else dx + dy
        dz, dgain, dshift = batch_norm_backward(layers.relu_backward(dy, features[layer]), norm)
        dkernel, _ = backend.conv_backward_weights(dz, x)
        gradients |= {f"{layer}/kernel": dkernel, f"{layer}/gain": dgain, f"{layer}/shift": dshift}
        if layer == "conv1_1" or layer == FIRST_OF_CLASS:
            dx = None
            continue
        dx = backend.conv_backward(dz, prepared[layer])
        if pool is not None:
            dx = backend.pool_backward(dx, "average", pool)
    return gradients


def crop_means(a: np.ndarray) -> np.ndarray:
    """The mean over each crop's own positions in a response (H, W, K) to a mosaic: (SIDE², K)."""
    rows = a.shape[0] // SIDE
    return a.reshape(SIDE, rows, SIDE, rows, -1).mean(axis=(1, 3)).reshape(SIDE**2, -1)


def losses_and_gradients(
    backend: TrainingBackend, parameters, prepared, teacher, variance, mosaic, labels
) -> tuple[dict, dict, dict]:
    """The losses of one mosaic, the gradients of all parameters, and the batch statistics of every layer."""
    x = ((255 * mosaic - MEAN) * SCALE).astype(np.float32)
    features, tape = forward(backend, parameters, prepared, x)
    found, injected = {}, {}
    for layer, T in teacher.features(mosaic, DISTILLED).items():
        found[layer], injected[layer] = linear_prediction(features[layer], T, variance[layer])

    last = features[CONVOLUTIONS[-1]]
    rows = last.shape[0] // SIDE
    means = crop_means(last)
    scores = means @ parameters["class/kernel"] + parameters["class/bias"]
    found["class"], dscores = cross_entropy(scores, labels)
    found["accuracy"] = float((scores.argmax(axis=1) == labels)[labels >= 0].mean()) if (labels >= 0).any() else 0.0
    dmeans = (dscores @ parameters["class/kernel"].T).reshape(SIDE, 1, SIDE, 1, -1) / rows**2
    injected[CONVOLUTIONS[-1]] = np.broadcast_to(dmeans, (SIDE, rows, SIDE, rows, last.shape[2])).reshape(last.shape)

    gradients = backward(backend, prepared, features, tape, injected)
    gradients |= {"class/kernel": means.T @ dscores, "class/bias": dscores.sum(axis=0)}
    return found, gradients, {layer: norm[2:] for layer, (_, _, norm) in tape.items()}


def folded(parameters: dict[str, np.ndarray], statistics: dict[str, np.ndarray], name: str, **runs) -> VGG:
    """The network without normalisation layers: with fixed statistics they are linear, and the kernels absorb them.

    gain · (x∗kernel − μ)/s + shift = x∗(kernel · gain/s) + (shift − μ · gain/s)
    """
    convolutions = {}
    for layer in CONVOLUTIONS:
        factor = parameters[f"{layer}/gain"] / statistics[f"{layer}/s"]
        bias = parameters[f"{layer}/shift"] - statistics[f"{layer}/mean"] * factor
        convolutions[layer] = parameters[f"{layer}/kernel"] * factor, bias
    return VGG(convolutions, MEAN, SCALE, name=name, **runs)


# Images ---------------------------------------------------------------------------------------------------------------


class Images:
    """Images with labels, read one at a time from a folder or an HDF5 file; see the top of this file."""

    def __init__(self, path: Path):
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
        if min(len(self.training), len(self.validation)) < SIDE**2 or self.classes < 2:
            raise ValueError(
                f"{path}: expected at least 2 classes and {20 * SIDE**2} images, "
                f"found {self.classes} and {len(self.files)}"
            )

    def open(self, index: int) -> Image.Image:
        file = self.files[index]
        source = io.BytesIO(self.blob[slice(*file)].tobytes()) if isinstance(file, tuple) else file
        return ImageOps.exif_transpose(Image.open(source)).convert("RGB")

    def mosaic(self, rng: np.random.Generator, among: np.ndarray, vary: bool) -> tuple[np.ndarray, np.ndarray]:
        """SIDE × SIDE crops of images drawn from `among`, as one image in 0–1, and their labels.

        With `vary`, of random place and scale, mirrored or not, of random contrast and brightness, and tinted.
        """
        chosen = rng.choice(among, SIDE**2, replace=False)
        mosaic = np.empty((SIDE, CROP, SIDE, CROP, 3), np.float32)
        for k, index in enumerate(chosen):
            image = self.open(index)
            side = min(image.size) * (rng.uniform(0.5, 1) if vary else 1)
            left, top = (np.array(image.size) - side) * (rng.random(2) if vary else 0.5)
            box = (left, top, left + side, top + side)
            crop = np.asarray(image.resize((CROP, CROP), Image.Resampling.BICUBIC, box), np.float32) / 255
            if vary:
                crop = crop[:, :: rng.choice([-1, 1])]
                crop = ((crop - 0.5) * rng.uniform(0.7, 1.3) + 0.5 + 0.08 * rng.standard_normal(3)).clip(0, 1)
            mosaic[k // SIDE, :, k % SIDE] = crop
        return mosaic.reshape(SIDE * CROP, SIDE * CROP, 3), self.labels[chosen]


# Training -------------------------------------------------------------------------------------------------------------


def rate(step: int, steps: int) -> float:
    """One cycle: a tenth of the steps up to RATE, then down to 0, along cosines."""
    rise = max(steps // 10, 1)
    phase = step / rise - 1 if step < rise else (step - rise) / max(steps - rise, 1)
    return RATE * (1 + np.cos(np.pi * phase)) / 2


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


def checkpoint_of(output: Path) -> Path:
    """Where a run that will write `output` keeps its state."""
    return output.with_suffix(".checkpoint.npz")


def train(images: Images, teacher: VGG, steps: int, seed: int, threads: int | None, checkpoint: Path) -> dict:
    """Train to the last step, from the checkpoint if there is one, and return the last state.

    Returns
    -------
    dict of str to ndarray
        "parameter/…", the running batch statistics "statistic/…", AdamW's "m/…" and "v/…", "log" (one row per step) and
        "run" (seed, steps, images, classes).
    """
    workers, backend = Workers(threads), FastTraining(threads=1)  # each thread has a mosaic of its own
    run = np.array([seed, steps, len(images.labels), images.classes])
    if checkpoint.exists():
        with np.load(checkpoint) as file:
            state = dict(file)
        if not np.array_equal(state["run"], run):
            raise ValueError(f"{checkpoint} belongs to another run; delete it to start anew")
    else:
        parameters = initial_parameters(np.random.default_rng(seed), images.classes)
        state = {f"parameter/{name}": p for name, p in parameters.items()}
        state |= {f"{moment}/{name}": np.zeros_like(p) for moment in "mv" for name, p in parameters.items()}
        state |= {"run": run, "log": np.empty((0, len(DISTILLED) + 2))}

    parameters, first_moments, second_moments, statistics = (
        part(state, kind) for kind in ("parameter", "m", "v", "statistic")
    )
    log = list(state["log"])
    drawn = [images.mosaic(np.random.default_rng([seed, k]), images.training, vary=False)[0] for k in range(4)]
    variance = {
        layer: np.mean([teacher.features(x, layer)[layer].var(axis=(0, 1)) for x in drawn], 0) for layer in DISTILLED
    }
    variance = {layer: np.maximum(v, 0.05 * v.mean()) for layer, v in variance.items()}

    progress = tqdm(range(len(log), steps), initial=len(log), total=steps, unit="step", smoothing=0.02)
    for step in progress:
        with backend.session():
            prepared = prepare(backend, parameters)
            results = [None] * MOSAICS

            def work(k: int, step=step, prepared=prepared, results=results) -> None:
                rng = np.random.default_rng([seed, step, k])
                mosaic, labels = images.mosaic(rng, images.training, vary=True)
                results[k] = losses_and_gradients(backend, parameters, prepared, teacher, variance, mosaic, labels)

            workers.each(MOSAICS, work)
        for name, p in parameters.items():
            g = sum(gradients[name] for _, gradients, _ in results) / MOSAICS
            decay = DECAY if name.endswith("/kernel") else 0
            adamw(p, g, first_moments[name], second_moments[name], step, rate(step, steps), decay)
        for _, _, measured in results:
            for layer, values in measured.items():
                for what, value in zip(("mean", "s"), values, strict=True):
                    running = statistics.setdefault(f"{layer}/{what}", value.copy())
                    running += max(0.01, 1 / (step + 1)) * (value - running)
        log.append(np.mean([[*found.values()] for found, _, _ in results], axis=0))
        if (step + 1) % 10 == 0:
            recent = dict(zip((*DISTILLED, "class", "accuracy"), np.mean(log[-50:], axis=0), strict=True))
            progress.set_postfix_str(" ".join(f"{name} {value:.3f}" for name, value in recent.items()))
        if (step + 1) % KEEP_EVERY == 0 or step + 1 == steps:
            state |= {f"statistic/{name}": a for name, a in statistics.items()} | {"log": np.array(log)}
            partial = checkpoint.with_name("." + checkpoint.name)
            with open(partial, "wb") as file:
                np.savez(file, **state)
            os.replace(partial, checkpoint)
    return state


def figures(images: Images, teacher: VGG, network: VGG, parameters: dict, m: np.ndarray) -> dict[str, float]:
    """The unexplained variances and the accuracy of the finished network, on images that it has not seen.

    The linear maps are fitted to 128 images at once; m are the constants by which the last layer was divided.
    """
    kept = {layer: ([], []) for layer in DISTILLED}
    right = total = 0
    for k in range(len(images.validation) // SIDE**2):
        mosaic, labels = images.mosaic(np.random.default_rng(k), images.validation, vary=False)
        found = network.features(mosaic, [*DISTILLED, CONVOLUTIONS[-1]])
        scores = crop_means(found[CONVOLUTIONS[-1]]) * m @ parameters["class/kernel"] + parameters["class/bias"]
        right, total = right + (scores.argmax(axis=1) == labels).sum(), total + (labels >= 0).sum()
        if k < 128 // SIDE**2:
            for layer, T in teacher.features(mosaic, DISTILLED).items():
                kept[layer][0].append(found[layer])
                kept[layer][1].append(T)
    result = {}
    for layer, (F, T) in kept.items():
        F, T = np.concatenate(F), np.concatenate(T)
        variance = T.var(axis=(0, 1))
        result[layer], _ = linear_prediction(F, T, np.maximum(variance, 1e-3 * variance.mean()))
    return result | {"accuracy": right / max(total, 1)}


def write_curve(log: np.ndarray, path: Path) -> None:
    """The losses as a table, one row for 50 steps, and as a picture beside it."""
    columns = (*DISTILLED, "class", "accuracy")
    parts = [log[start : start + 50] for start in range(0, len(log), 50)]
    ends, rows = np.cumsum([len(steps) for steps in parts]), np.array([steps.mean(axis=0) for steps in parts])
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("step", *columns))
        writer.writerows([end, *(f"{value:.4f}" for value in row)] for end, row in zip(ends, rows, strict=True))
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(ends, rows[:, : len(DISTILLED)], label=DISTILLED)
    left.set(xlabel="step", ylabel="unexplained variance of the teacher's features", yscale="log")
    left.legend()
    right.plot(ends, rows[:, -1])
    right.set(xlabel="step", ylabel="share of the crops whose class is recognised")
    figure.savefig(path.with_suffix(".png"), dpi=100)
    plt.close(figure)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("images", type=Path, help="a folder with a subfolder for each class, or an HDF5 file")
    parser.add_argument("teacher", type=Path, help="a weight file of VGG-19")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weight file to write")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="at most one for each mosaic of a step is used")
    options = parser.parse_args()
    images = Images(options.images)
    teacher = weights.load(options.teacher, normalize=False, threads=1)
    state = train(images, teacher, options.steps, options.seed, options.threads, checkpoint_of(options.output))

    network = folded(part(state, "parameter"), part(state, "statistic"), options.output.stem)
    over = (nst_numpy.images.load(images.open(i)) for i in images.training[:: max(len(images.training) // 256, 1)])
    m = weights.measure_mean_responses(network, over)
    network = weights.normalize_network(network, m)
    ones = {layer: np.ones(len(m[layer])) for layer in m}
    weights.save(options.output, network, source=SOURCE, licence=LICENCE, mean_responses=ones, dtype=np.float16)
    write_curve(state["log"], options.output.with_suffix(".csv"))
    network = weights.load(options.output)
    found = figures(images, teacher, network, part(state, "parameter"), m[CONVOLUTIONS[-1]])
    print(f"wrote {options.output}; on validation images: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (ValueError, OSError) as error:
        sys.exit(f"train.py: error: {error}")
    except KeyboardInterrupt:
        sys.exit("train.py: interrupted; start it again to go on from the last checkpoint")
