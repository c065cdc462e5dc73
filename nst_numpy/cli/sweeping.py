"""sweep: many pictures from one file."""

import argparse
from inspect import signature
from pathlib import Path
from typing import Any

from nst_numpy.cli import working
from nst_numpy.cli.arguments import read_toml
from nst_numpy.validation import shown

EXAMPLE = """example, FILE.toml:
  content = "photographs"              # files and folders, seen from the folder of this file
  style = ["waves.jpg", "night.jpg"]
  [grid]
  style_weight = [10, 100, 1000]
  [settings]
  size = 256
"""


def add(commands: Any) -> None:
    """Add the command to those of a parser."""
    command = commands.add_parser(
        "sweep",
        help="many pictures: contents × styles × values of any settings",
        description="Paint every content in every style, with every combination of some settings. "
        "A second call paints only what is new.",
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.set_defaults(run=_sweep)
    command.add_argument("file", metavar="FILE", type=Path, help="content, style, grid and settings, as TOML")
    command.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="by default named after the file")
    working.add(command, "paint", "one for two processors")
    command.add_argument("--quiet", dest="progress", action="store_false", help="no progress bar")


def _sweep(options: argparse.Namespace) -> int:
    from nst_numpy.sweeping import sweep

    given = read_toml(options.file, ["content", "style", "names", "pairs", "grid", "settings"])
    for name in ("content", "style"):
        if name not in given:
            raise ValueError(f"{options.file} needs {name}: an image, a folder, or a list of them")
        paths = [given[name]] if isinstance(given[name], str) else given[name]
        if not (isinstance(paths, list) and all(isinstance(path, str) for path in paths)):
            raise TypeError(
                f"{options.file}: {name} must be an image, a folder, or a list of them, found {shown(paths)}"
            )
        given[name] = [options.file.parent / path for path in paths]
    settings = given.pop("settings", {})
    if not isinstance(settings, dict):
        raise TypeError(f"{options.file}: settings must be a table, found {shown(settings)}")
    for name in settings:
        if name in signature(sweep).parameters:
            raise ValueError(f"{name} is no setting of a picture: write it above [settings]")
    output = options.output or options.file.with_suffix("")
    with working.keywords(options) as keywords:
        cells = sweep(output=output, progress=options.progress, **keywords, **given, **settings)
    failed = [cell for cell in cells if cell.error]
    for cell in failed:
        print(f"{cell.path.name}: {cell.error}")
    print(f"wrote {len(cells) - len(failed)} pictures, table.csv and sheet.png to {output}")
    return 1 if failed else 0
