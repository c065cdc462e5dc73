"""What float32 costs: the pixel gradient of the whole objective against float64.

    python tests/benchmarks/precision.py [SIZE]

Rounding flips the masks of ReLU where a response is nearly zero; each flip changes the gradient by a finite amount. So
the gradient is compared twice: freely, and with the masks of the float32 run replayed in float64.
"""

import dataclasses
import sys

import numpy as np
from speed import CONTENT, STYLE, _image, _weights

from nst_numpy import VGG, Objective, layers
from nst_numpy.backends import plain


class Replay:
    """The plain backend, with given masks in place of its own."""

    session, prepare = plain.session, staticmethod(plain.prepare)
    gram, gram_backward = staticmethod(plain.gram), staticmethod(plain.gram_backward)

    def __init__(self, masks):
        self.masks = masks
        self.next = iter(())

    def conv_relu_forward(self, x, prepared):
        mask = next(self.next)
        return layers.conv_forward(x, *prepared) * mask, mask

    def conv_relu_backward(self, dy, prepared, mask):
        return layers.conv_backward_input(dy * mask, prepared[0])

    def conv_relu_pool_forward(self, x, prepared, kind):
        y, mask = self.conv_relu_forward(x, prepared)
        return layers.average_pool_forward(y), (mask, y)

    def conv_relu_pool_backward(self, dy, prepared, kind, cache):
        mask, y = cache
        return self.conv_relu_backward(layers.average_pool_backward(dy, y), prepared, mask)


def masks_of(network: VGG, x: np.ndarray) -> list[np.ndarray]:
    """Where the responses of the network's convolutions are positive, one array of bool for each."""
    _, tape = network.forward(x, (CONTENT, *STYLE))
    masks = []
    for convolution, pool, cache in tape:
        if network.backend == "plain":
            masks.append((cache if pool is None else cache[0]) > 0)
        else:
            signs = cache if pool is None else cache[1]
            channels = network.convolutions[convolution][0].shape[3]
            masks.append(np.unpackbits(signs.view(np.uint8), axis=-1, bitorder="little")[..., :channels].astype(bool))
    return masks


def main(size: int) -> None:
    weights = {l: (k.astype(np.float64), b.astype(np.float64)) for l, (k, b) in _weights().items()}
    double = VGG(weights, np.zeros(3), 1 / 255, backend="plain")
    settings = {
        "content_layers": {CONTENT: 1.0},
        "style_layers": dict.fromkeys(STYLE, 0.2),
        "content_weight": 1.0,
        "style_weight": 1000.0,
        "tv_weight": 0.0,  # whose gradient needs no network, and would hide the others' error
    }
    *images, x = [_image(seed, size) for seed in range(3)]
    f64 = Objective.from_images(double, *(image.astype(np.float64) for image in images), **settings)
    free = f64(x.astype(np.float64))[1]
    right_masks = masks_of(double, x.astype(np.float64))
    for backend in ("fast", "plain"):
        single = VGG(_weights(), np.zeros(3), 1 / 255, backend=backend)
        gradient = Objective.from_images(single, *images, **settings)(x)[1]
        masks = masks_of(single, x)
        replay = Replay(masks)
        replayed = dataclasses.replace(double)
        vars(replayed)["engine"] = replay
        f64_replayed = dataclasses.replace(f64, network=replayed)
        replay.next = iter(masks)
        same = f64_replayed(x.astype(np.float64))[1]
        for what, reference in (("masks replayed", same), ("free", free)):
            error = np.linalg.norm(gradient - reference) / np.linalg.norm(reference)
            print(f"{size}², {backend}, {what}: {error:.1e}")
        flipped = sum(np.count_nonzero(a != b) for a, b in zip(masks, right_masks, strict=True))
        print(f"{size}², {backend}: {flipped} of {sum(mask.size for mask in masks)} masks flipped")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 256)
