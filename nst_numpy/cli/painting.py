"""transfer, texture, reconstruct and demo: the commands that paint."""

import argparse
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

from nst_numpy import images, samples
from nst_numpy.cli.arguments import OPTIONS, default_text, names
from nst_numpy.stylize import StyleTransfer, reconstruct, texture, transfer

DEMO = Path("out/demo.png")
WAY = 5  # steps between the pictures of an animation, if nothing else is said
ONLY_CONTENT = ("content_layers", "content_weight")
ONLY_STYLE = ("style_layers", "style_weight", "style_blend")


def add(commands) -> None:
    """Add the commands to a parser's."""
    command = _painting(commands, "transfer", transfer, _transfer, "paint one image in the style of another")
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended")
    without = (*ONLY_CONTENT, "keep_colors")
    command = _painting(commands, "texture", texture, _texture, "a picture with the style of an image", without)
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended")
    without = (*ONLY_STYLE, "keep_colors")
    command = _painting(commands, "reconstruct", reconstruct, _reconstruct, "an image from its features", without)
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("layer", metavar="LAYER", type=names, help="such as conv4_2, or several with commas")

    demo = commands.add_parser(
        "demo",
        help="a first picture, from sample images that the library brings along",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    demo.set_defaults(run=_demo)
    demo.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    demo.add_argument("-o", "--output", metavar="OUT", type=Path, default=DEMO, help="image file to write")


def _painting(
    commands, name: str, function: Callable, run: Callable, help: str, without: tuple[str, ...] = ()
) -> argparse.ArgumentParser:
    """A command that paints, with the options of `transfer`."""
    command = commands.add_parser(name, help=help, description=f"{help.capitalize()}.")
    command.set_defaults(run=run)
    command.add_argument("-o", "--output", metavar="OUT", type=Path, required=True, help="image file to write")
    for option, (what, keywords) in OPTIONS.items():
        if option not in without:
            flag, default = "--" + option.replace("_", "-"), default_text(option, function)
            command.add_argument(flag, default=argparse.SUPPRESS, help=what + default, **keywords)
    way = f"write the way there as a GIF or WebP, a picture every {WAY} steps or as --every says"
    command.add_argument("--animation", metavar="FILE", type=Path, help=way)
    command.add_argument("--losses", metavar="FILE", type=Path, help="write the losses, as a .csv table or a .png plot")
    command.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    return command


def _transfer(options: argparse.Namespace) -> int:
    return _paint(options, transfer, options.content, options.styles)


def _texture(options: argparse.Namespace) -> int:
    return _paint(options, texture, options.styles)


def _reconstruct(options: argparse.Namespace) -> int:
    return _paint(options, reconstruct, options.content, options.layer)


def _demo(options: argparse.Namespace) -> int:
    if options.output == DEMO:
        DEMO.parent.mkdir(exist_ok=True)
    return _paint(options, transfer, samples.portrait(), samples.swirling_night())


def _paint(options: argparse.Namespace, function: Callable[..., StyleTransfer], *arguments) -> int:
    """Call the function with the options that it knows, and write all that was asked for."""
    output, animation, losses = (getattr(options, name, None) for name in ("output", "animation", "losses"))
    images.check_output(output)
    if animation:
        images.check_output(animation, images.ANIMATIONS)
    if losses:
        images.check_output(losses, images.TABLES_AND_PLOTS)
    keywords = {name: getattr(options, name) for name in (*OPTIONS, "progress") if hasattr(options, name)}
    every = keywords.get("every", 0)
    if animation and not every:
        keywords["every"] = WAY

    def write(step, image, _) -> None:
        if step % every == 0:
            images.save(images.to_uint8(image), output.with_stem(f"{output.stem}_{step:04}"))

    with warnings.catch_warnings(action="ignore", category=RuntimeWarning):  # the message is printed below
        result = function(*arguments, **keywords, callback=write if every else None)
    result.save(output)
    written = [output]
    for path, save in ((animation, result.save_animation), (losses, result.save_losses)):
        if path:
            save(path)
            written.append(path)
    print(f"wrote {', '.join(map(str, written))}")
    if not result.complete:
        print(f"nst-numpy: {result.message}", file=sys.stderr)
        return 130 if result.message.startswith("interrupted") else 1
    return 0
