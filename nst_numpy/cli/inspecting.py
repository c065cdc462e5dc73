"""conventions and plot: the commands that show what there is, and what happens inside."""

import argparse
from pathlib import Path

from nst_numpy import conventions, images, weights
from nst_numpy.cli.arguments import DEFAULTS, OPTIONS, WEIGHTS, names, numbers
from nst_numpy.objective import Objective


def add(commands) -> None:
    """Add the commands to a parser's."""
    systems = commands.add_parser("conventions", help="how published systems define and weigh the same losses")
    systems = systems.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = systems.add_parser("list", help="their terms and weights")
    listing.set_defaults(run=_list)
    show = systems.add_parser("show", help="all about one")
    show.set_defaults(run=_show)
    show.add_argument("name", metavar="NAME")
    convert = systems.add_parser("convert", help="the weights with which TARGET minimises what SOURCE does")
    convert.set_defaults(run=_convert)
    convert.add_argument("source", metavar="SOURCE")
    convert.add_argument("target", metavar="TARGET")
    shape = {"type": numbers(int), "default": 512, "metavar": "N|H,W"}
    convert.add_argument("--size", help="of the picture in pixels: one number for a square (default: 512)", **shape)
    for option in WEIGHTS:
        what, keywords = OPTIONS[option]
        flag = "--" + option.replace("_", "-")
        convert.add_argument(flag, default=argparse.SUPPRESS, help=what + " of SOURCE; by default its own", **keywords)

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
            what.add_argument("--at", metavar="PICTURE", help="where to take the gradient; by default at IMAGE")
        else:
            what.add_argument("layers", metavar="LAYER[,…]", type=names)
        what.add_argument(
            "-o", "--output", metavar="OUT", type=Path, required=True, help="file to write: .png, .svg, .pdf"
        )
        for option in ("weights", "size"):
            default = DEFAULTS[option]
            keywords = OPTIONS[option][1] | ({"type": int, "metavar": "N"} if option == "size" else {})
            what.add_argument(f"--{option}", default=default, help=f"(default: {default})", **keywords)


def _list(options: argparse.Namespace) -> int:
    print(conventions.table())
    return 0


def _show(options: argparse.Namespace) -> int:
    print(conventions.find(options.name))
    return 0


def _convert(options: argparse.Namespace) -> int:
    weights_of = {name: getattr(options, name) for name in WEIGHTS if hasattr(options, name)}
    for name, value in conventions.convert(options.source, options.target, size=options.size, **weights_of).items():
        if isinstance(value, dict):
            value = ",".join(f"{layer}:{weight:.15g}" for layer, weight in value.items())
        elif isinstance(value, list):
            value = ",".join(value)
        else:
            value = f"{value:.15g}"
        print(f"--{name.replace('_', '-')} {value}")
    return 0


def _plot(options: argparse.Namespace) -> int:
    from nst_numpy.inspection import plots  # Matplotlib takes its time to import

    images.check_output(options.output, images.PLOTS)
    network = weights.load(options.weights)
    if options.what == "gradients":
        content = images.load(options.image, options.size)
        objective = Objective.of(network, content, images.load(options.style, options.size))
        figure = plots.gradients(objective, images.load(options.at or options.image, shape=content.shape[:2]))
    else:
        draw = {"features": plots.features, "gram-matrices": plots.gram_matrices}[options.what]
        figure = draw(network, images.load(options.image, options.size), options.layers)
    plots.save(figure, options.output)
    print(f"wrote {options.output}")
    return 0
