"""Train blocks 1 to 3 of the network that ships with this library, with gradients derived by hand.

    python weights/distill.py IMAGES TEACHER -o BLOCKS

IMAGES is a folder of images or an HDF5 file; see `Images` in training.py. TEACHER is a weight file of the real VGG-19,
of its first three blocks at least. `classify.py` then adds blocks 4 and 5.

What is learned. The style loss compares Gram matrices G = F Fᵀ of features F. Suppose the features T of a large network
are a linear map of those of a small one, T = Aᵀ F. Then T Tᵀ = Aᵀ G A: pictures whose small Gram matrices agree have
large ones that agree. So a small network that is to paint like VGG-19 needs features from which VGG-19's can be
*predicted linearly*, and that is what these blocks are trained for (distillation; Hinton et al. 2015, arXiv
1503.02531).

How. Every number in `parameters` moves against its gradient (AdamW), and every gradient is computed by a function of
`training.py`, of this file or of `nst_numpy`: convolution and pooling from the library, and here batch normalisation
and the best linear map.

The same seed gives the same network. An interrupted run continues where it stopped when it is started again.
"""

import argparse
from pathlib import Path

import numpy as np
from training import (
    Arrays,
    Images,
    Measured,
    TrainingBackend,
    batch_norm_backward,
    batch_norm_forward,
    checkpoint_of,
    command,
    each_mosaic,
    folded,
    initial_parameters,
    train,
    write_network,
)

import nst_numpy
from nst_numpy import layers, weights
from nst_numpy.network import VGG
from nst_numpy.topology import convolution_names
from nst_numpy.weights.formats import IMAGENET_MEAN
from nst_numpy.weights.random import WIDTHS

CONVOLUTIONS = convolution_names("vgg19")[:8]  # conv1_1 … conv3_4
DISTILLED = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2", "conv3_4")
MEAN, SCALE = IMAGENET_MEAN, 1 / 58  # the input then has a variance near 1

CROP = 80  # pixels; a multiple of 16, so that each crop owns its positions in every block
SIDE = 4  # a mosaic is SIDE × SIDE crops
MOSAICS = 2  # per step
RATE, DECAY = 3e-3, 1e-2
RIDGE = 3e-4  # per position, for features with a variance near 1

SOURCE = "trained with weights/distill.py; teacher: VGG-19 (Simonyan and Zisserman, CC BY 4.0)"
LICENCE = "BSD-3-Clause; trained on ImageNet photographs, which are for research and education"


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


def forward(
    backend: TrainingBackend, parameters: Arrays, prepared: dict, x: np.ndarray
) -> tuple[Arrays, dict[str, tuple]]:
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


def backward(backend: TrainingBackend, prepared: dict, features: Arrays, tape: dict, injected: Arrays) -> Arrays:
    """The gradients that the losses inject at the features → the gradients of kernels, gains and shifts."""
    gradients, dx = {}, None
    for layer in reversed(CONVOLUTIONS):
        x, pool, norm = tape[layer]
        dy = injected.get(layer)
        if dx is not None:
            dy = dx if dy is None else dx + dy
        dz, dgain, dshift = batch_norm_backward(layers.relu_backward(dy, features[layer]), norm)
        dkernel, _ = backend.conv_backward_weights(dz, x)
        gradients |= {f"{layer}/kernel": dkernel, f"{layer}/gain": dgain, f"{layer}/shift": dshift}
        if layer != "conv1_1":
            dx = backend.conv_backward(dz, prepared[layer])
            if pool is not None:
                dx = backend.pool_backward(dx, "average", pool)
    return gradients


def losses_and_gradients(
    backend: TrainingBackend, parameters: Arrays, prepared: dict, teacher: VGG, variance: Arrays, mosaic: np.ndarray
) -> Measured:
    """The losses of one mosaic, the gradients of all parameters, and the batch statistics of every layer."""
    x = ((255 * mosaic - MEAN) * SCALE).astype(np.float32)
    features, tape = forward(backend, parameters, prepared, x)
    found, injected = {}, {}
    for layer, T in teacher.features(mosaic, DISTILLED).items():
        found[layer], injected[layer] = linear_prediction(features[layer], T, variance[layer])
    gradients = backward(backend, prepared, features, tape, injected)
    return found, gradients, {layer: norm[2:] for layer, (_, _, norm) in tape.items()}


def mosaic_of(images: Images, among: np.ndarray, rng: np.random.Generator, vary: bool) -> np.ndarray:
    """SIDE × SIDE crops of images drawn from `among`, as one image in 0–1."""
    mosaic = np.empty((SIDE, CROP, SIDE, CROP, 3), np.float32)
    for k, index in enumerate(rng.choice(among, SIDE**2, replace=False)):
        mosaic[k // SIDE, :, k % SIDE] = images.crop(index, CROP, rng if vary else None)
    return mosaic.reshape(SIDE * CROP, SIDE * CROP, 3)


def figures(images: Images, teacher: VGG, network: VGG) -> dict[str, float]:
    """The unexplained variances of the finished network; the linear maps are fitted to 128 unseen images at once."""
    kept = {layer: ([], []) for layer in DISTILLED}
    for k in range(min(len(images.validation), 128) // SIDE**2):
        mosaic = mosaic_of(images, images.validation, np.random.default_rng(k), vary=False)
        found = network.features(mosaic, DISTILLED)
        for layer, T in teacher.features(mosaic, DISTILLED).items():
            kept[layer][0].append(found[layer])
            kept[layer][1].append(T)
    result = {}
    for layer, (F, T) in kept.items():
        F, T = np.concatenate(F), np.concatenate(T)
        variance = T.var(axis=(0, 1))
        result[layer], _ = linear_prediction(F, T, np.maximum(variance, 1e-3 * variance.mean()))
    return result


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("images", type=Path, help="a folder, or an HDF5 file")
    parser.add_argument("teacher", type=Path, help="a weight file of VGG-19")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weight file to write")
    parser.add_argument("--steps", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="at most one for each mosaic of a step is used")
    options = parser.parse_args()
    images, seed = Images(options.images, SIDE**2), options.seed
    teacher = weights.load(options.teacher, normalize=False, threads=1)

    drawn = [mosaic_of(images, images.training, np.random.default_rng([seed, k]), vary=False) for k in range(4)]
    variance = {
        layer: np.mean([teacher.features(x, layer)[layer].var(axis=(0, 1)) for x in drawn], 0) for layer in DISTILLED
    }
    variance = {layer: np.maximum(v, 0.05 * v.mean()) for layer, v in variance.items()}

    def one(backend: TrainingBackend, prepared: dict, parameters: Arrays, step: int, k: int) -> Measured:
        mosaic = mosaic_of(images, images.training, np.random.default_rng([seed, step, k]), vary=True)
        return losses_and_gradients(backend, parameters, prepared, teacher, variance, mosaic)

    parameters, statistics, log = train(
        initial_parameters(np.random.default_rng(seed), WIDTHS, CONVOLUTIONS),
        each_mosaic(CONVOLUTIONS, MOSAICS, options.threads, one),
        np.array([seed, options.steps, len(images.labels), images.classes]),
        checkpoint_of(options.output),
        steps=options.steps,
        rate=RATE,
        decay=DECAY,
    )
    network = VGG(folded(parameters, statistics, CONVOLUTIONS), MEAN, SCALE, name=options.output.stem)
    over = (nst_numpy.images.load(images.open(i)) for i in images.training[:: max(len(images.training) // 256, 1)])
    m = weights.measure_mean_responses(network, over)
    network = write_network(options.output, network, m, log, SOURCE, LICENCE)
    found = figures(images, teacher, network)
    print(f"wrote {options.output}; on validation images: " + ", ".join(f"{k} {v:.3f}" for k, v in found.items()))
    return 0


if __name__ == "__main__":
    command(main)
