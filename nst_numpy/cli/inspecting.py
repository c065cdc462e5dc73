"""conventions and plot: the commands that show conventions, and what happens inside the network."""

import argparse
from pathlib import Path
from typing import Any

from nst_numpy import conventions, images, weights
from nst_numpy.cli.arguments import SETTINGS, WEIGHTS, flag, given, names
from nst_numpy.objective import Objective
from nst_numpy.painting import load_network


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    systems = commands.add_parser("conventions", help="how published systems define and weight the same losses")
    systems = systems.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = systems.add_parser("list", help="their terms and weights")
    listing.set_defaults(run=_list)
    show = systems.add_parser("show", help="one of them in full")
    show.set_defaults(run=_show)
    show.add_argument("name", metavar="NAME")
    convert = systems.add_parser("convert", help="the weights with which TARGET minimises the same function as SOURCE")
    convert.set_defaults(run=_convert)
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument("target", metavar="TARGET")
    convert.add_argument("--shape", type=_shape, default=(512, 512), metavar="H,W", help="of the picture, in pixels")
    for option in WEIGHTS:
        words = f"the {option.replace('_', ' ')} of SOURCE; by default its own"
        convert.add_argument(flag(option), default=argparse.SUPPRESS, help=words, **SETTINGS[option])
    convert.add_argument("--style", metavar="IMAGE", help="the style image, where the weights depend on it")
    convert.add_argument("--weights", metavar="FILE", help="the network; by default VGG-19's numbers of filters")

    plot = commands.add_parser("plot", help="feature maps, Gram matrices and gradients as pictures")
    plot = plot.add_subparsers(title="pictures", required=True, metavar="WHAT", dest="what")
    for name, help in (
        ("features", "what the filters of a layer respond to, and where"),
        ("gram-matrices", "Gram matrices of some layers"),
        ("gradients", "the gradient of the loss in every loss layer, and at the pixels"),
    ):
        what = plot.add_parser(name, help=help)
        what.set_defaults(run=_plot)
        what.add_argument("image", metavar="IMAGE", help="image file")
        if name == "gradients":
            what.add_argument("style", metavar="STYLE", help="image file")
            what.add_argument("--at", metavar="PICTURE", help="take the gradient at this picture; by default at IMAGE")
        else:
            what.add_argument("layers", metavar="LAYER[,…]", type=names)
        what.add_argument(
            "-o", "--output", metavar="OUT", type=Path, required=True, help="file to write: .png, .svg, .pdf"
        )
        what.add_argument(
            "--weights", default="vgg19-mini", metavar="FILE", help="weight file, or a name such as vgg19"
        )
        what.add_argument("--size", type=int, default=512, metavar="N", help="longer side of the image in pixels")


def _shape(text: str) -> tuple[int, int]:
    """Height and width; one number for a square."""
    height, _, width = text.partition(",")
    return int(height), int(width or height)


def _list(options: argparse.Namespace) -> int:
    print(conventions.table())
    return 0


def _show(options: argparse.Namespace) -> int:
    print(conventions.get(options.name))
    return 0


def _convert(options: argparse.Namespace) -> int:
    weighted, source = given(options, WEIGHTS), conventions.get(options.source)
    network = None if options.weights is None else load_network(options.weights, source)
    style = None if options.style is None else images.load(options.style, max(options.shape))
    converted = conventions.convert(
        source, options.target, shape=options.shape, network=network, style=style, **weighted
    )
    for name, value in converted.items():
        if isinstance(value, dict):
            value = ",".join(f"{layer}:{weight:.15g}" for layer, weight in value.items())
        elif isinstance(value, list):
            value = ",".join(value)
        else:
            value = f"{value:.15g}"
        print(f"{flag(name)} {value}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from nst_numpy.inspection import plots  # Matplotlib is slow to import

    images.check_output(options.output, images.PLOTS)
    network = weights.load(options.weights)
    if options.what == "gradients":
        content = images.load(options.image, options.size)
        objective = Objective.from_images(network, content, images.load(options.style, options.size))
        figure = plots.gradients(objective, images.load(options.at or options.image, shape=content.shape[:2]))
    else:
        draw = {"features": plots.features, "gram-matrices": plots.gram_matrices}[options.what]
        figure = draw(network, images.load(options.image, options.size), options.layers)
    plots.save(figure, options.output)
    print(f"wrote {options.output}")
    return 0
