"""How much a painted film flickers: each frame on its own, from the warped frame before, and with the temporal loss.

Two films whose motion is known exactly: a window that moves across a photograph, and an oval of the photograph that
moves across the whole. They are painted with the flow that DIS finds, and measured with the known one. The strip of
pictures has three frames of each.

    python benchmarks/flicker.py --strip flicker.png
"""

import argparse
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from nst_numpy import images, samples, transfer_frames
from nst_numpy.flow import flicker

VARIANTS = {
    "each frame on its own": {"flow": "none"},
    "warped start, no temporal loss": {"flow": "dis", "temporal_weight": 0},
    "warped start and temporal loss": {"flow": "dis"},
}


def pan(photograph, size, count):
    """A camera that moves: pictures, the flow from each to the one before, and where that is valid."""
    right, down = 4, 1
    film = [photograph[down * n :, right * n :][:size, :size] for n in range(count)]
    flow = np.broadcast_to(np.array([right, down], np.float32), (size, size, 2))
    where = np.zeros((size, size), bool)
    where[: size - down, : size - right] = True
    return film, [(flow, where)] * (count - 1)


def foreground(photograph, size, count):
    """A camera that rests, and an oval that moves to the right."""
    right, y, x = 5, *np.mgrid[:size, :size] / size
    back, front = photograph[:size, :size][:, ::-1], photograph[:size, :size]
    ovals = [((x - 0.35 - right * n / size) / 0.22) ** 2 + ((y - 0.5) / 0.35) ** 2 < 1 for n in range(count)]
    film = [np.where(oval[..., None], np.roll(front, right * n, axis=1), back) for n, oval in enumerate(ovals)]
    motion = []
    for before, now in pairwise(ovals):
        flow = np.where(now[..., None], np.array([-right, 0]), 0).astype(np.float32)
        motion.append((flow, now | ~before))
    return film, motion


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photograph", type=Path, help="by default the portrait in the library")
    parser.add_argument("--style", type=Path, help="by default the painted night in the library")
    parser.add_argument("--size", type=int, default=192)
    parser.add_argument("--frames", type=int, default=5)
    parser.add_argument("--output", type=Path, help="a folder that keeps the films")
    parser.add_argument("--strip", type=Path, help="image file: three frames of each film, painted in each way")
    options = parser.parse_args()
    photograph = images.to_uint8(images.load(options.photograph or samples.portrait(), 2 * options.size))
    style = options.style or samples.swirling_night()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        for make in (pan, foreground):
            film, motion = make(photograph, options.size, options.frames)
            folder = (options.output or Path(temporary)) / make.__name__
            folder.mkdir(parents=True, exist_ok=True)
            for n, image in enumerate(film):
                images.save(np.ascontiguousarray(image), folder / f"{n:02}.png")
            rows.append(film[-3:])
            print(f"{make.__name__}: the photographs themselves flicker by {mean_flicker(film, motion):.1f} of 255")
            for name, given in VARIANTS.items():
                painted = transfer_frames(folder, style, f"{folder}, {name}", size=options.size, **given)
                paths = [frame.path for frame in painted]
                loss = np.mean([frame.losses["total"] - frame.losses.get("temporal", 0) for frame in painted])
                seconds = np.mean([frame.seconds for frame in painted[1:]])
                print(
                    f"{make.__name__}: {name}: flicker {mean_flicker(paths, motion):.1f}, "
                    f"loss without the temporal one {loss:.3f}, {seconds:.1f} s for a frame after the first",
                    flush=True,
                )
                rows.append([images.to_uint8(images.load(path)) for path in paths[-3:]])
    if options.strip:
        images.save(np.vstack([np.hstack(row) for row in rows]), options.strip)


def mean_flicker(film, motion):
    return np.mean([flicker(now, before, *how) for (before, now), how in zip(pairwise(film), motion, strict=True)])


if __name__ == "__main__":
    main()
