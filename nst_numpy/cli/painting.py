"""transfer, texture, reconstruct and demo: the commands that paint."""

import argparse
import warnings
from collections.abc import Callable, Sequence
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy import images, samples
from nst_numpy.cli import working
from nst_numpy.cli.arguments import (
    NETWORK,
    SETTINGS,
    add_network,
    add_settings,
    flag,
    given,
    names,
    own_network,
    read_toml,
)
from nst_numpy.console import console
from nst_numpy.masks import split_color
from nst_numpy.painting import CHECKPOINT_EVERY
from nst_numpy.result import TransferResult
from nst_numpy.settings import STARTS, Settings
from nst_numpy.signals import interruptible
from nst_numpy.stylize import reconstruct, texture, transfer

MASKS: dict[str, tuple[str, dict[str, Any]]] = {
    "content_masks": (
        "Regions of the content image, one for each style in order: images in which the region is white, or a color "
        "in one, regions.png#ff0000; - is the whole image.",
        {"nargs": "+", "metavar": "MASK"},
    ),
    "style_masks": (
        "The part of each style image whose style is used, in order; - is all of it.",
        {"nargs": "+", "metavar": "MASK"},
    ),
    "content_mask": ("Keep the content of this region only.", {"metavar": "MASK"}),
}
DEMO = Path("out/demo.png")
WAY = 5  # steps between the pictures of an animation, by default


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    command = add_painting(
        commands,
        "transfer",
        transfer,
        _transfer,
        "paint one image in the style of another",
        "transfer photograph.jpg painting.jpg",
        "transfer photograph.jpg painting.jpg -o picture.png --size 512 --style-weight 1000",
        "transfer photograph.jpg painting.jpg --size 256,512,1024 --steps 100,100,20 --keep-colors luminance",
        "transfer photograph.jpg one.jpg other.jpg --style-blend 2,1",
        "transfer photograph.jpg one.jpg other.jpg --content-masks sky.png walls.png",
    )
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended by --style-blend")
    command = add_painting(
        commands,
        "texture",
        texture,
        _texture,
        "a picture with the style of an image",
        "texture painting.jpg -o texture.png --seed 3",
    )
    command.add_argument("styles", metavar="STYLE", nargs="+", help="image file; several are blended by --style-blend")
    command = add_painting(
        commands,
        "reconstruct",
        reconstruct,
        _reconstruct,
        "an image from its features",
        "reconstruct photograph.jpg conv3_1 -o seen.png",
    )
    command.add_argument("content", metavar="CONTENT", help="image file")
    command.add_argument("layer", metavar="LAYER", type=names, help="such as conv4_2, or several with commas")

    demo = commands.add_parser("demo", help="a first picture, from sample images that ship with the library")
    demo.set_defaults(run=_demo, bits=8)
    demo.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    demo.add_argument(
        "-o", "--output", metavar="OUT", type=Path, default=DEMO, help=f"image file to write; by default {DEMO}"
    )


def add_painting(
    commands: Any,
    name: str,
    function: Callable[..., TransferResult],
    run: Callable[..., int],
    help: str,
    *examples: str,
    without: Sequence[str] = (),
) -> argparse.ArgumentParser:
    """A command that paints, with the settings that its function takes as options."""
    command: argparse.ArgumentParser = commands.add_parser(
        name,
        help=help,
        description=f"{help.capitalize()}.",
        epilog="examples:\n" + "\n".join(f"  nst-numpy {example}" for example in examples),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    output = "image file to write; one that exists is replaced, an input never; by default named after the input"
    command.add_argument("-o", "--output", metavar="OUT", type=Path, help=output)
    bits = "for each color of a pixel; 16 for PNG and TIFF"
    command.add_argument("--bits", type=int, choices=(8, 16), default=8, help=bits)
    keys = add_settings(command, function, without)
    for name, (words, keywords) in MASKS.items():
        if name in signature(function).parameters:
            command.add_argument(flag(name), default=argparse.SUPPRESS, help=words, **keywords)
            keys.append(name)
    add_network(command)
    command.set_defaults(run=_run, paint=run, keys=[*keys, *NETWORK])
    command.add_argument(
        "--settings",
        metavar="FILE",
        type=Path,
        help="TOML file whose keys are these options, such as style_weight = 1000; options on the command line win",
    )
    command.add_argument(
        "--every", type=int, default=0, metavar="N", help="write the picture every N steps, as OUT_0010.png"
    )
    way = f"write an animation (GIF, WebP, PNG) of intermediate pictures, one every {WAY} steps or as given by --every"
    command.add_argument("--animation", metavar="FILE", type=Path, help=way)
    keeps = "keep the run in a file (.h5), and go on from it if it exists: a killed run continues with the same command"
    command.add_argument("--checkpoint", metavar="FILE", type=Path, help=keeps)
    command.add_argument(
        "--checkpoint-every",
        metavar="SECONDS",
        type=float,
        default=CHECKPOINT_EVERY,
        help=f"seconds from one checkpoint to the next; {CHECKPOINT_EVERY:g} by default, 0 for one after every step",
    )
    tiles = "compute in tiles of N pixels; by default only if the whole does not fit the memory"
    command.add_argument("--tile", metavar="N", type=int, default=argparse.SUPPRESS, help=tiles)
    working.add_scheduler(command, "compute the tiles")
    command.add_argument("--losses", metavar="FILE", type=Path, help="write the losses, as a .csv table or a .png plot")
    command.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")
    return command


def _run(options: argparse.Namespace) -> int:
    """Paint, with the settings in a file as far as they are not given on the command line."""
    if options.settings:
        for name, value in read_toml(options.settings, options.keys).items():
            if not hasattr(options, name):
                setattr(options, name, _from_folder(name, value, options.settings.parent))
    return int(options.paint(options))


def _from_folder(name: str, value: Any, folder: Path) -> Any:
    """A value in a file; paths are seen from its folder."""
    if isinstance(value, list):
        return [_from_folder(name, v, folder) for v in value]
    if name not in (*MASKS, "init", "weights") or not isinstance(value, str) or value == "-" or value in STARTS:
        return value
    path = folder / value
    return str(path) if name in MASKS or path.is_file() else value  # else a name that the library knows, or does not


def _transfer(options: argparse.Namespace) -> int:
    styles = list(options.styles) if hasattr(options, "content_masks") else blended(options)
    return paint_and_write(options, transfer, [options.content, styles], [options.content, *options.styles])


def _texture(options: argparse.Namespace) -> int:
    return paint_and_write(options, texture, [blended(options)], [*options.styles, "texture"])


def _reconstruct(options: argparse.Namespace) -> int:
    return paint_and_write(options, reconstruct, [options.content, options.layer], [options.content, *options.layer])


def blended(options: argparse.Namespace) -> list[str]:
    """The style images; several only if `--style-blend` is given, so that `transfer *.jpg` is an error."""
    if len(options.styles) > 1 and not hasattr(options, "style_blend"):
        equal = ",".join("1" * len(options.styles))
        raise ValueError(f"{len(options.styles)} style images: give their weights, such as --style-blend {equal}")
    return list(options.styles)


def _demo(options: argparse.Namespace) -> int:
    if options.output == DEMO:
        DEMO.parent.mkdir(exist_ok=True)
    return paint_and_write(options, transfer, [samples.portrait(), samples.swirling_night()], [])


def paint_and_write(
    options: argparse.Namespace,
    function: Callable[..., TransferResult],
    arguments: list[Any],
    inputs: list[str],
    others: Sequence[str | Path] = (),
) -> int:
    """Call the function with the given options, and write all requested files.

    `inputs` are the files it reads and other words, for the name of the output; `others` are files it reads, too.
    """
    keywords = given(options, [*SETTINGS, "checkpoint", "checkpoint_every", "tile"]) | {"progress": options.progress}
    output = options.output or _free_name(inputs)
    for name, value in given(options, MASKS).items():
        keywords[name] = [None if file == "-" else file for file in value] if isinstance(value, list) else value
        inputs = [*inputs, *(str(split_color(file)[0]) for file in np.atleast_1d(value))]
    animation, losses, every = (getattr(options, name, None) for name in ("animation", "losses", "every"))
    read = [Path(file) for file in (*inputs, *others, keywords.get("init", "")) if file and Path(file).is_file()]
    images.check_output(output, images.suffixes(options.bits), inputs=read)
    if animation:
        images.check_output(animation, images.ANIMATIONS, inputs=[*read, output])
    if losses:
        images.check_output(losses, images.TABLES_AND_PLOTS, inputs=[*read, output, animation])
    keywords |= own_network(options)
    written: list[Path] = []

    def write(step: int, image: np.ndarray, losses: dict[str, float]) -> None:
        path = output.with_stem(f"{output.stem}_{step:04}")
        if step % options.every == 0 and path not in written:
            images.save(images.to_uint8(images.load(image.clip(0, 1), final)), path)
            written.append(path)

    final = Settings(**given(options, ["size"])).largest if every else 0  # so that all files have one size
    with (
        working.executor(getattr(options, "scheduler", None)) as executor,
        warnings.catch_warnings(record=True) as said,
    ):
        warnings.simplefilter("always", RuntimeWarning)
        result = function(
            *arguments,
            **keywords,
            every=(every or WAY) if animation else 0,
            callback=write if every else None,
            executor=executor,
        )
        result.save(output, bits=options.bits)
    for warning in said:
        if str(warning.message) != result.message:  # that is printed at the end
            print(f"nst-numpy: warning: {warning.message}", file=console)
    files = [output]
    for path, save in ((animation, result.save_animation), (losses, result.save_losses)):
        if path:
            save(path)
            files.append(path)
    on_the_way = f"; {len(written)} on the way, {written[0]} to {written[-1]}" if written else ""
    print(f"wrote {', '.join(map(str, files))}{on_the_way}")
    if not result.complete:
        print(f"nst-numpy: {result.message}", file=console)
        with interruptible() as interrupts:
            return 128 + interrupts.received if interrupts.received else 1
    return 0


def _free_name(words: list[str]) -> Path:
    """A file name that is not in use: photograph-painting.png, photograph-painting-2.png and so on."""
    stem = "-".join(Path(word).stem for word in words)
    candidates = (Path(f"{stem}{'' if n == 1 else f'-{n}'}.png") for n in count(1))
    return next(path for path in candidates if not path.exists())
