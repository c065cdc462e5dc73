"""How well the Gram matrices of each layer tell paintings apart.

    python benchmarks/textures.py STYLES [WEIGHTS …]

STYLES is a folder of images. Small crops are cut out of each: those from the left half of an image are for learning,
those from the right half for testing. A linear classifier (ridge regression on the Gram matrices of one layer) must say
from which image a crop is. The table has the fraction of right answers for each layer and each network; by default
those of the included network and of random filters.
"""

import argparse
from pathlib import Path

import numpy as np

from nst_numpy import VGG, images, load_weights, losses, random_network

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1")
CROP, CROPS, SIZE = 48, 40, 512  # pixels; crops of each half of an image; pixels of an image
RIDGE = 1e-3  # relative to the mean of the squares


def crops_of(image: np.ndarray, rng: np.random.Generator) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Crops of the left half of an image, and of the right half."""
    height, width = image.shape[:2]
    halves = []
    for first, last in ((0, width // 2 - CROP), (width // 2, width - CROP)):
        corners = zip(rng.integers(0, height - CROP, CROPS), rng.integers(first, last, CROPS), strict=True)
        halves.append([image[y : y + CROP, x : x + CROP] for y, x in corners])
    return halves[0], halves[1]


def grams(network: VGG, crops: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Gram matrices of each layer, divided by their norms: one row for each crop."""
    rows: dict[str, list[np.ndarray]] = {layer: [] for layer in LAYERS if layer in network.layers}
    for crop in crops:
        for layer, a in network.features(crop, rows).items():
            G = losses.gram(losses.feature_matrix(a)).ravel()
            rows[layer].append(G / np.linalg.norm(G))
    return {layer: np.array(found) for layer, found in rows.items()}


def accuracy(learn: np.ndarray, test: np.ndarray, classes: int) -> float:
    """Of ridge regression from rows to classes; the rows of each class follow one another.

    With more columns than rows, (XᵀX + λ)⁻¹ Xᵀ Y = Xᵀ (X Xᵀ + λ)⁻¹ Y, and the matrix on the right is the smaller one.
    """
    wanted = np.repeat(np.arange(classes), CROPS)
    centre = learn.mean(axis=0)
    X, T = learn - centre, test - centre
    K = X @ X.T
    K[np.diag_indices(len(K))] += RIDGE * np.trace(K) / len(K)
    scores = T @ (X.T @ np.linalg.solve(K, np.eye(classes)[wanted] - 1 / classes))
    return float((scores.argmax(axis=1) == wanted).mean())


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("styles", type=Path, help="a folder of images")
    parser.add_argument("weights", nargs="*", help="weight files or names")
    options = parser.parse_args(arguments)
    networks = {str(name): load_weights(name) for name in options.weights}
    networks = networks or {"vgg19-mini": load_weights("vgg19-mini"), "random filters": random_network()}
    rng = np.random.default_rng(0)
    halves = [crops_of(images.load(path, SIZE), rng) for path in sorted(options.styles.iterdir())]
    learn, test = ([crop for half in halves for crop in half[k]] for k in (0, 1))
    print(f"{len(halves)} images\n\n| network | {' | '.join(LAYERS)} |", "|---" * (len(LAYERS) + 1) + "|", sep="\n")
    for name, network in networks.items():
        of_learn, of_test = (grams(network, crops) for crops in (learn, test))
        found = {layer: f"{accuracy(of_learn[layer], of_test[layer], len(halves)):.3f}" for layer in of_learn}
        print(f"| {name} | {' | '.join(found.get(layer, '–') for layer in LAYERS)} |", flush=True)


if __name__ == "__main__":
    main()
