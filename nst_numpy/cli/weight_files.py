"""weights: the commands for weight files."""

import argparse
from pathlib import Path
from typing import Any

from nst_numpy import images, weights
from nst_numpy.weights import registry


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    files = commands.add_parser("weights", help="weight files: the official ones, and your own")
    files = files.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = files.add_parser("list", help="the official files: address, size, hash, layout, licence")
    listing.set_defaults(run=_list)
    show = files.add_parser("show", help="the contents of a file, layer by layer")
    show.set_defaults(run=_show)
    show.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    show.add_argument("-o", "--output", metavar="OUT", type=Path, help="image file, for the filters of conv1_1")
    verify = files.add_parser("verify", help="read a file completely, and tell which of the official ones it is")
    verify.set_defaults(run=_verify)
    verify.add_argument("files", metavar="FILE", nargs="+", help="a weight file, or a name from the list")
    convert = files.add_parser("convert", help="convert a file of any known layout to the library's own")
    convert.set_defaults(run=_convert, images=[])
    convert.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    convert.add_argument("output", metavar="OUT", type=Path, help="HDF5 file to write")
    normalize = files.add_parser("normalize", help="convert, with every filter's mean response over images made 1")
    normalize.set_defaults(run=_convert)
    normalize.add_argument("file", metavar="FILE", help="a weight file, or a name from the list")
    normalize.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    normalize.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="HDF5 file to write")


def _list(options: argparse.Namespace) -> int:
    print(registry.table())
    return 0


def _show(options: argparse.Namespace) -> int:
    if options.output:
        images.check_output(options.output)
    print(weights.summary(options.file))
    if options.output:
        images.save(weights.first_filters(weights.load(options.file, normalize=False)), options.output)
        print(f"wrote {options.output}: the filters of conv1_1")
    return 0


def _verify(options: argparse.Namespace) -> int:
    for file in options.files:
        path = weights.locate(file)
        network = weights.load(path, normalize=False)  # reads all of it, and raises an error if anything is wrong
        known = file if file in registry.REGISTRY else registry.identify(path)
        what = f"it is {known}, {registry.REGISTRY[known].hash or 'no hash'}" if known else "it is not in the registry"
        print(f"{path}: readable, conv1_1 to {list(network.convolutions)[-1]}; {what}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    contents = weights.convert(options.file, options.output, over=options.images)
    done = f", normalised on {len(options.images)} images" if options.images else ""
    print(f"wrote {options.output}: {options.file} ({contents.layout}){done}")
    return 0
