"""Train blocks 4 and 5 of the network that ships with this library, with gradients derived by hand.

    python weights/classify.py BLOCKS IMAGES [IMAGES …] -o weights/vgg19-mini.h5

BLOCKS is a weight file with blocks 1 to 3, written by `distill.py`; they do not change. IMAGES are folders with one
subfolder for each class, or HDF5 files; see `Images` in training.py. Each set has classes of its own.

What is learned. The first blocks see lines and textures. Blocks 4 and 5 learn what tells a dog from a dome: after them
the mean response over an image must tell its class, linearly (cross-entropy).

How. The first blocks are the same in every step, so their responses to all crops are computed once, and kept in a file
as float16. A step takes one mosaic of crops from each set of images. Between the crops of a mosaic lies a line of
zeros, and the convolutions see each crop as if it were alone.

The same seed gives the same network. An interrupted run continues where it stopped when it is started again.
"""

import argparse
import multiprocessing
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm
from training import (
    Arrays,
    Images,
    Measured,
    TrainingBackend,
    batch_norm_backward,
    batch_norm_forward,
    checkpoint_of,
    command,
    cross_entropy,
    each_mosaic,
    folded,
    initial_parameters,
    train,
    write_network,
)

from nst_numpy import layers, weights
from nst_numpy.backends.threads import Workers
from nst_numpy.network import VGG
from nst_numpy.topology import convolution_names
from nst_numpy.weights.random import WIDTHS

FIXED, CONVOLUTIONS = convolution_names("vgg19")[:8], convolution_names("vgg19")[8:13]
LARGEST = 160  # pixels of a crop, which is a multiple of 16
SIDE = 640  # pixels of a mosaic: four crops of 160 or eight of 80
RATE, DECAY = 3e-3, 5e-2

SOURCE = "trained with weights/distill.py and weights/classify.py; teacher of blocks 1 to 3: VGG-19 (CC BY 4.0)"
LICENCE = "BSD-3-Clause; trained on ImageNet and Caltech photographs, which are for research and education"


@dataclass
class Set:
    """A set of images, and the responses of the fixed blocks to crops of them.

    Attributes
    ----------
    images : Images
    pixels : int
        Side of a crop.
    features : ndarray of float16, shape (views · images, pixels/8, pixels/8, N)
    labels : ndarray of int, shape (views · images,)
    """

    images: Images
    pixels: int
    features: np.ndarray
    labels: np.ndarray


def features_of(path: Path, fixed: VGG, seed: int, file: Path, threads: int) -> Set:
    """A set of images with its features, from `file` if that is complete."""
    images = Images(path, least=(SIDE // LARGEST) ** 2)
    pixels = min(LARGEST, min(images.open(0).size) // 16 * 16)
    if not pixels:
        raise ValueError(f"{path}: images must have at least 16 pixels on each side")
    views = LARGEST // pixels  # small images are seen more often
    labels = np.tile(images.labels[images.training], views)
    shape = (len(labels), pixels // 8, pixels // 8, fixed.filters("conv3_4"))
    if not file.exists():
        partial = file.with_name("." + file.name)
        found = np.lib.format.open_memmap(partial, "w+", np.float16, shape)

        def work(numbers: range) -> None:
            for k in tqdm(numbers, unit="crop", desc=path.name, disable=numbers.start > 0):
                crop = images.crop(images.training[k % len(images.training)], pixels, np.random.default_rng([seed, k]))
                found[k] = fixed.features(crop, "pool3")["pool3"]

        # Processes, because reading an image keeps Python's other threads waiting. The file is their common memory.
        start = multiprocessing.get_context("fork").Process
        processes = [start(target=work, args=(range(k, len(labels), threads),)) for k in range(threads)]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if any(process.exitcode for process in processes):
            raise OSError(f"the features of {path} were not computed: a process ended early")
        os.replace(partial, file)
    return Set(images, pixels, np.load(file, mmap_mode="r"), labels)


# Mosaics --------------------------------------------------------------------------------------------------------------


def lay(crops: np.ndarray) -> np.ndarray:
    """n² crops (n², H, W, C) as one array (n (H + 1), n (W + 1), C), with a line of zeros after each."""
    number, height, width, channels = crops.shape
    n = round(number**0.5)
    mosaic = np.zeros((n, height + 1, n, width + 1, channels), crops.dtype)
    mosaic[:, :height, :, :width] = crops.reshape(n, n, height, width, channels).transpose(0, 2, 1, 3, 4)
    return mosaic.reshape(n * (height + 1), n * (width + 1), channels)


def cut(mosaic: np.ndarray, number: int) -> np.ndarray:
    """The crops of a mosaic, without the lines: the inverse of `lay`, and its transpose."""
    n = round(number**0.5)
    height, width = mosaic.shape[0] // n - 1, mosaic.shape[1] // n - 1
    crops = mosaic.reshape(n, height + 1, n, width + 1, -1)[:, :height, :, :width].transpose(0, 2, 1, 3, 4)
    return crops.reshape(number, height, width, -1)


# The network ----------------------------------------------------------------------------------------------------------


def forward(
    backend: TrainingBackend, parameters: Arrays, prepared: dict, crops: np.ndarray
) -> tuple[Arrays, dict[str, tuple]]:
    """Crops (n², H, W, C) after pool3 → the features of all layers, and what `backward` needs of each.

    Even crops lie under one another as well as in a mosaic: pooling sees them as one image.
    """
    features, tape, x = {}, {}, crops
    for layer in CONVOLUTIONS:
        pool = None
        if layer == "conv5_1":
            number, height, width, C = x.shape
            x, pool = backend.pool_forward(x.reshape(number * height, width, C), "average")
            x = x.reshape(number, height // 2, width // 2, C)
        mosaic = lay(x)
        z = cut(backend.conv_forward(mosaic, prepared[layer]), len(x))
        y, norm = batch_norm_forward(z, parameters[f"{layer}/gain"], parameters[f"{layer}/shift"])
        tape[layer] = mosaic, pool, norm
        features[layer] = x = np.maximum(y, 0, out=y)
    return features, tape


def backward(backend: TrainingBackend, prepared: dict, features: Arrays, tape: dict, dy: np.ndarray) -> Arrays:
    """The gradient with respect to the last features → the gradients of kernels, gains and shifts."""
    gradients = {}
    for layer in reversed(CONVOLUTIONS):
        mosaic, pool, norm = tape[layer]
        dz, dgain, dshift = batch_norm_backward(layers.relu_backward(dy, features[layer]), norm)
        dz = lay(dz)
        dkernel, _ = backend.conv_backward_weights(dz, mosaic)
        gradients |= {f"{layer}/kernel": dkernel, f"{layer}/gain": dgain, f"{layer}/shift": dshift}
        if layer != CONVOLUTIONS[0]:
            dy = cut(backend.conv_backward(dz, prepared[layer]), len(dy))
            if pool is not None:
                number, height, width, C = dy.shape
                dy = backend.pool_backward(dy.reshape(number * height, width, C), "average", pool)
                dy = dy.reshape(number, 2 * height, 2 * width, C)
    return gradients


def losses_and_gradients(
    backend: TrainingBackend, parameters: Arrays, prepared: dict, crops: np.ndarray, labels: np.ndarray, name: str
) -> Measured:
    """The loss of one mosaic, the gradients of all parameters, and the batch statistics of every layer."""
    kernel, bias = parameters[f"{name}/kernel"], parameters[f"{name}/bias"]
    features, tape = forward(backend, parameters, prepared, crops)
    last = features[CONVOLUTIONS[-1]]
    means = last.mean(axis=(1, 2))
    scores = means @ kernel + bias
    loss, dscores = cross_entropy(scores, labels)
    known = labels >= 0
    accuracy = float((scores.argmax(axis=1) == labels)[known].mean()) if known.any() else 0.0
    dmeans = dscores @ kernel.T / (last.shape[1] * last.shape[2])
    gradients = backward(backend, prepared, features, tape, np.broadcast_to(dmeans[:, None, None], last.shape))
    gradients |= {f"{name}/kernel": means.T @ dscores, f"{name}/bias": dscores.sum(axis=0)}
    return {name: loss, f"accuracy {name}": accuracy}, gradients, {l: norm[2:] for l, (_, _, norm) in tape.items()}


def accuracy(one: Set, network: VGG, kernel: np.ndarray, bias: np.ndarray) -> float:
    """The fraction of the validation images whose class the finished network recognises."""
    right = 0
    labelled = [index for index in one.images.validation if one.images.labels[index] >= 0]
    for index in labelled:
        last = network.features(one.images.crop(index, one.pixels, None), CONVOLUTIONS[-1])[CONVOLUTIONS[-1]]
        right += (last.mean(axis=(0, 1)) @ kernel + bias).argmax() == one.images.labels[index]
    return right / max(len(labelled), 1)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("blocks", type=Path, help="the weight file of blocks 1 to 3")
    parser.add_argument("images", type=Path, nargs="+", help="folders with a subfolder for each class, or HDF5 files")
    parser.add_argument("-o", "--output", type=Path, required=True, help="weight file to write")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="at most one for each set of images is used in training")
    options = parser.parse_args()
    seed, threads = options.seed, Workers(options.threads).threads
    known = weights.load(options.blocks, normalize=False, threads=1)
    fixed = VGG({l: known.convolutions[l] for l in FIXED}, known.mean, known.scale, threads=1)
    files = [options.output.with_suffix(f".features{k}.npy") for k in range(len(options.images))]
    sets = [
        features_of(path, fixed, seed + k, file, threads)
        for k, (path, file) in enumerate(zip(options.images, files, strict=True))
    ]
    names = [path.stem for path in options.images]

    parameters = initial_parameters(np.random.default_rng(seed), WIDTHS, CONVOLUTIONS)
    for name, one in zip(names, sets, strict=True):
        parameters[f"{name}/kernel"] = np.zeros((WIDTHS[-1], one.images.classes), np.float32)
        parameters[f"{name}/bias"] = np.zeros(one.images.classes, np.float32)

    def mosaic(backend: TrainingBackend, prepared: dict, parameters: Arrays, step: int, k: int) -> Measured:
        one, rng = sets[k], np.random.default_rng([seed, step, k])
        chosen = np.sort(rng.choice(len(one.labels), (SIDE // one.pixels) ** 2, replace=False))
        crops, labels = one.features[chosen].astype(np.float32), one.labels[chosen]
        return losses_and_gradients(backend, parameters, prepared, crops, labels, names[k])

    run = np.array([seed, options.steps, *(n for one in sets for n in (len(one.labels), one.images.classes))])
    parameters, statistics, log = train(
        parameters,
        each_mosaic(CONVOLUTIONS, len(sets), threads, mosaic),
        run,
        checkpoint_of(options.output),
        steps=options.steps,
        rate=RATE,
        decay=DECAY,
    )
    convolutions = fixed.convolutions | folded(parameters, statistics, CONVOLUTIONS)
    network = VGG(convolutions, fixed.mean, fixed.scale, name=options.output.stem)
    over = (
        one.images.crop(i, one.pixels, None)
        for one in sets
        for i in one.images.training[:: max(len(one.images.training) // 256, 1)]
    )
    m = weights.measure_mean_responses(network, over)
    m |= {layer: np.ones(len(m[layer])) for layer in FIXED}  # these are normalised already
    network = write_network(options.output, network, m, log, SOURCE, LICENCE)
    for name, one in zip(names, sets, strict=True):
        kernel = parameters[f"{name}/kernel"] * m[CONVOLUTIONS[-1]][:, None]
        print(f"{name}: {accuracy(one, network, kernel, parameters[f'{name}/bias']):.3f} of the validation images")
    for file in files:
        file.unlink()
    print(f"wrote {options.output}")
    return 0


if __name__ == "__main__":
    command(main)
