"""again and settings: what a picture says about how it was painted, and painting it once more."""

import argparse
from functools import partial
from typing import Any

from nst_numpy import records, repainting
from nst_numpy.cli.arguments import NETWORK, given
from nst_numpy.cli.painting import add_painting, paint_and_write
from nst_numpy.stylize import transfer


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    command = add_painting(
        commands,
        "again",
        transfer,
        _again,
        "paint a picture once more, from what it says about itself",
        "again picture.png",
        "again picture.png -o large.png --size 1024",
        "again picture.png --content other.jpg",
        without=("convention",),
    )
    command.description = (
        "Paint a picture once more, from the settings and the names of files that it holds.\n"
        "The files are looked for beside the picture and in the current folder.\n"
        "Options change what they name; the defaults below are those of transfer, not of the picture."
    )
    command.add_argument("picture", metavar="PICTURE", help="PNG, JPEG, WebP, TIFF or AVIF file written by nst-numpy")
    command.add_argument("--content", metavar="FILE", help="another content image, or where it is now")
    command.add_argument("--style", metavar="FILE", nargs="+", help="other style images, or where they are now")

    command = commands.add_parser(
        "settings",
        help="the settings that a picture was painted with",
        description="Print the settings in a picture as TOML, for transfer --settings FILE.",
    )
    command.set_defaults(run=_settings)
    command.add_argument("picture", metavar="PICTURE", help="PNG, JPEG, WebP, TIFF or AVIF file written by nst-numpy")


def _again(options: argparse.Namespace) -> int:
    named = repainting.named_files(options.picture)
    if not hasattr(options, "size"):
        options.size = records.read(options.picture).get("size", 512)
    network = given(options, NETWORK)
    for name in network:  # a change of the recorded network, not of the default one
        delattr(options, name)
    paint = partial(repainting.again, content=options.content, style=options.style, **network)
    others = [*named, *(options.style or []), *([options.content] if options.content else [])]
    return paint_and_write(options, paint, [options.picture], [options.picture, "again"], others)


def _settings(options: argparse.Namespace) -> int:
    print(repainting.to_toml(records.read(options.picture)))
    return 0
