"""What float32 costs: the pixel gradient of the whole objective against float64.

    python benchmarks/precision.py [SIZE]

Rounding changes the mask of a ReLU where its input is nearly zero, and each changed mask changes the gradient by a
finite amount. So the gradient is compared twice: freely, and with the masks of the float32 run replayed in float64.
"""

import argparse
from collections.abc import Iterator
from typing import Any

import numpy as np
from speed import CONTENT, STYLE, image, random_filters

from nst_numpy import VGG, Objective, layers
from nst_numpy.backends import Backend, plain


class Replay(Backend):
    """The plain backend; with `masks`, one for each convolution in order, these take the place of its own."""

    masks: Iterator[np.ndarray] | None = None

    session, prepare = staticmethod(plain.session), staticmethod(plain.prepare)
    pool_forward, pool_backward = staticmethod(plain.pool_forward), staticmethod(plain.pool_backward)
    gram, gram_backward = staticmethod(plain.gram), staticmethod(plain.gram_backward)
    content, content_backward = staticmethod(plain.content), staticmethod(plain.content_backward)
    variation, variation_backward = staticmethod(plain.variation), staticmethod(plain.variation_backward)
    conv_relu_backward = staticmethod(plain.conv_relu_backward)
    conv_relu_pool_backward = staticmethod(plain.conv_relu_pool_backward)

    def conv_relu_forward(self, x: np.ndarray, prepared: Any) -> tuple[np.ndarray, Any]:
        if self.masks is None:
            return plain.conv_relu_forward(x, prepared)
        mask = next(self.masks)
        return layers.conv_forward(x, *prepared) * mask, mask

    def conv_relu_pool_forward(self, x: np.ndarray, prepared: Any, kind: str) -> tuple[np.ndarray, Any]:
        y, mask = self.conv_relu_forward(x, prepared)
        pooled, cache = plain.pool_forward(y, kind)
        return pooled, (mask, cache)


def masks_of(network: VGG, x: np.ndarray) -> list[np.ndarray]:
    """Where the responses of the network's convolutions are positive, one array of bool for each."""
    return [a > 0 for a in network.features(x, list(network.convolutions)).values()]


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("size", type=int, nargs="?", default=256, help="of the square image, in pixels (default 256)")
    size = parser.parse_args(arguments).size
    settings = {
        "content_layers": {CONTENT: 1.0},
        "style_layers": dict.fromkeys(STYLE, 0.2),
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "tv_weight": 0.0,  # its gradient needs no network, and would hide the error of the others
    }
    double_weights = {l: (k.astype(np.float64), b.astype(np.float64)) for l, (k, b) in random_filters().items()}
    replay = Replay()
    double = VGG(double_weights, np.zeros(3), 1 / 255, backend=replay)
    *images, x = [image(seed, size) for seed in range(3)]
    exact = Objective.from_images(double, *(i.astype(np.float64) for i in images), **settings)
    free = exact(x.astype(np.float64))[1]
    right_masks = masks_of(double, x.astype(np.float64))
    for backend in ("fast", "plain"):
        single = VGG(random_filters(), np.zeros(3), 1 / 255, backend=backend)
        gradient = Objective.from_images(single, *images, **settings)(x)[1]
        masks = masks_of(single, x)
        replay.masks = iter(masks)
        replayed = exact(x.astype(np.float64))[1]
        replay.masks = None
        for what, reference in (("masks replayed", replayed), ("free", free)):
            error = np.linalg.norm(gradient - reference) / np.linalg.norm(reference)
            print(f"{size}², {backend}, {what}: {error:.1e}")
        changed = sum(np.count_nonzero(a != b) for a, b in zip(masks, right_masks, strict=True))
        print(f"{size}², {backend}: {changed} of {sum(mask.size for mask in masks)} masks changed")


if __name__ == "__main__":
    main()
