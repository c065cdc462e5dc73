"""Time and memory of one step in tiles, beside the whole picture at once.

    python benchmarks/tiles.py [--size WIDTHxHEIGHT] [--tile N|0 ...] [--weights FILE] [--memory N] [--optimizer NAME]

Each case runs in a process of its own: `transfer` with L-BFGS, two steps, on a picture of noise, with style and content
at the convention's layers. The memory is the largest the process ever had, with Python and all libraries; the time that
of the fastest step. Tile 0 is no tiles; "pixels" are those swept, with the margins, for each pixel of the picture.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
import warnings

import numpy as np

from nst_numpy import load_weights, memory, transfer
from nst_numpy.settings import Settings
from nst_numpy.tiles import cut


def measure(width: int, height: int, tile: int, weights: str, optimizer: str, pairs: int, steps: int) -> dict:
    """One case, in this process."""
    rng = np.random.default_rng(0)
    content = rng.integers(0, 256, (height, width, 3), np.uint8)
    style = rng.integers(0, 256, (max(height // 2, 64), max(width // 2, 64), 3), np.uint8)
    network = load_weights(weights)
    options = {"memory": pairs} if optimizer == "lbfgs" else {}
    size = max(width, height)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    times = [time.perf_counter()]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transfer(
            content,
            style,
            weights=network,
            size=(size,),
            style_scale=0.5,
            steps=steps,
            optimizer=optimizer,
            optimizer_options=options,
            tile=tile or size,  # the size itself: no tiles, whatever the memory
            progress=False,
            callback=lambda *_: times.append(time.perf_counter()),
        )
    settings = Settings()
    layers = [
        *settings.convention.weighted_layers("content", None, network),
        *settings.convention.weighted_layers("style", None, network),
    ]
    pieces = cut(network, layers, (height, width), tile or size)
    swept = sum(h * w for h, w in (piece.size for piece in pieces))
    estimate = memory.needed(network, layers, (height, width), tile or None, optimizer, options, [style.shape[:2]])
    return {
        "tile": tile,
        "seconds": float(np.diff(times[1:]).min()),
        "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10,
        "before": before << 10,
        "estimate": estimate,
        "pixels": swept / (height * width),
    }


def main(arguments: list[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--size", default="1024x768", help="width x height (default 1024x768)")
    parser.add_argument("--tile", type=int, nargs="+", default=[0, 1024, 512, 256])
    parser.add_argument("--weights", default="vgg19-mini", help="as in load_weights")
    parser.add_argument("--optimizer", default="lbfgs")
    parser.add_argument("--memory", type=int, default=3, help="pairs of L-BFGS (default 3)")
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)  # in a process of its own
    options = parser.parse_args(arguments)
    width, height = (int(side) for side in options.size.split("x"))
    if options.one:
        case = (width, height, options.tile[0], options.weights, options.optimizer, options.memory, options.steps)
        print(json.dumps(measure(*case)))
        return
    print(f"{width}×{height}, {options.weights}, {options.optimizer}, {os.cpu_count()} processors")
    print(f"{'tile':>6}{'step':>10}{'pixels':>9}{'peak':>11}{'of it before':>14}{'estimated':>11}")
    given = sys.argv[1:] if arguments is None else list(arguments)
    for tile in options.tile:
        command = [sys.executable, __file__, *given, "--one", "--tile", str(tile)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            print(f"{tile or 'none':>6}  {done.stderr.strip().splitlines()[-1]}")
            continue
        m = json.loads(done.stdout)
        print(
            f"{tile or 'none':>6}{m['seconds']:8.2f} s{m['pixels']:9.2f}{m['memory'] / 1e6:8.0f} MB"
            f"{m['before'] / 1e6:11.0f} MB{m['estimate'] / 1e6:8.0f} MB",
            flush=True,
        )


if __name__ == "__main__":
    main()
