"""How much a painted film flickers: each frame on its own, from the warped frame before, and with the temporal loss.

Two films whose motion is known exactly: a window that moves across a photograph, and an oval of the photograph that
moves across the whole. They are painted with the flow that DIS finds, and measured with the known one. The strip of
pictures has three frames of each.

    python benchmarks/flicker.py --size 256 --frames 8 --strip flicker.png
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
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--steps", type=int, default=100, help="for the first frame, and for each on its own")
    parser.add_argument("--next-steps", type=int, nargs="+", default=[30])
    parser.add_argument("--weights", type=float, nargs="+", help="of the temporal loss")
    parser.add_argument("--output", type=Path, help="a folder that keeps the films")
    parser.add_argument("--strip", type=Path, help="image file for three frames of each, side by side")
    options = parser.parse_args()
    photograph = images.to_uint8(images.load(options.photograph or samples.portrait(), 2 * options.size))
    style = options.style or samples.swirling_night()
    variants = {
        (f"{name}, {next_steps} steps" if "flow" in given and given["flow"] == "dis" else name): {
            **given,
            "next_steps": next_steps,
        }
        for name, given in VARIANTS.items()
        for next_steps in options.next_steps
    }
    for weight in options.weights or []:
        for next_steps in options.next_steps:
            variants[f"weight {weight:g}, {next_steps} steps"] = {"temporal_weight": weight, "next_steps": next_steps}
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.output or Path(temporary)
        rows = []
        for make in (pan, foreground):
            film, motion = make(photograph, options.size, options.frames)
            (folder / make.__name__).mkdir(parents=True, exist_ok=True)
            for n, image in enumerate(film):
                images.save(np.ascontiguousarray(image), folder / make.__name__ / f"{n:02}.png")
            real = np.mean([flicker(b, a, *how) for a, b, how in zip(film, film[1:], motion, strict=False)])
            print(f"{make.__name__}: the photographs themselves {real:.2f}")
            for name, given in variants.items():
                out = folder / f"{make.__name__}, {name}"
                painted = transfer_frames(
                    folder / make.__name__, style, out, size=options.size, steps=options.steps, **given
                )
                paths = [frame.path for frame in painted]
                each = [flicker(b, a, *how) for a, b, how in zip(paths, paths[1:], motion, strict=False)]
                last = painted[-1]
                loss = last.losses["total"] - last.losses.get("temporal", 0)
                seconds = np.mean([frame.seconds for frame in painted[1:]])
                print(
                    f"{make.__name__:10} {name:45} flicker {np.mean(each):5.2f}, last frame: style "
                    f"{last.losses['style']:.3f} loss without temporal {loss:.3f}, {seconds:.1f} s a frame",
                    flush=True,
                )
                rows.append(np.hstack([images.load(path) for path in paths[-3:]]))
        if options.strip:
            images.save(images.to_uint8(np.vstack(rows)), options.strip)


if __name__ == "__main__":
    main()
