"""frames: a film, from a folder of images or a video."""

import argparse
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy.cli import working
from nst_numpy.cli.arguments import SETTINGS, add_network, add_settings, given, own_network
from nst_numpy.cli.painting import blended
from nst_numpy.console import console
from nst_numpy.frames import FLOWS, NEXT_STEPS, TEMPORAL_WEIGHT, transfer_frames
from nst_numpy.stylize import transfer

OWN = ("temporal_weight", "next_steps", "flow", "fps")
EXAMPLES = """examples:
  nst-numpy frames film/ painting.jpg -o painted/ --size 512
  nst-numpy frames film.mp4 painting.jpg -o painted.mp4 --size 512
"""


def add(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser(
        "frames",
        help="paint a film, each frame as a continuation of the one before",
        description="Paint a film: a folder of images, or a video. Each frame continues the one before, by optical "
        "flow (pip install 'nst_numpy[video]'). The same command goes on where it was interrupted.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_frames)
    command.add_argument("frames", metavar="FRAMES", type=Path, help="folder of images with numbers, or video file")
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended by --style-blend")
    command.add_argument(
        "-o",
        "--output",
        metavar="OUT",
        type=Path,
        help="folder for the pictures, or video (.mp4, .gif); by default a folder named after the inputs",
    )
    add = command.add_argument
    add(
        "--temporal-weight",
        metavar="W",
        type=float,
        default=argparse.SUPPRESS,
        help=f"weight of the temporal loss; {TEMPORAL_WEIGHT:g} by default",
    )
    add(
        "--next-steps",
        metavar="N",
        type=int,
        default=argparse.SUPPRESS,
        help=f"steps for each frame after the first; {NEXT_STEPS} by default",
    )
    add(
        "--flow",
        choices=FLOWS,
        default=argparse.SUPPRESS,
        help="optical flow by OpenCV (dis, the default), or none: each frame on its own",
    )
    add("--fps", metavar="X", type=float, default=argparse.SUPPRESS, help="frames per second of the video")
    add("--again", action="store_true", help="paint all frames again, not only what is new")
    add("--quiet", dest="progress", action="store_false", help="no progress bar")
    add_settings(command, transfer)
    add_network(command)


def _frames(options: argparse.Namespace) -> int:
    styles = blended(options)
    keywords = given(options, [*SETTINGS, *OWN]) | own_network(options)
    output = options.output or Path("-".join(Path(p).stem for p in (options.frames, *options.styles)))
    with working.goes_on(), warnings.catch_warnings():
        warnings.simplefilter("default", RuntimeWarning)
        warnings.showwarning = lambda message, *_: print(f"nst-numpy: warning: {message}", file=console)
        painted = transfer_frames(
            options.frames, styles, output, again=options.again, progress=options.progress, **keywords
        )
    changes = [frame.flicker for frame in painted if frame.flicker is not None]
    measured = f"; flicker {np.nanmean(changes):.1f} of 255" if changes else ""
    print(f"wrote {len(painted)} frames to {output}{measured}")
    return 0
