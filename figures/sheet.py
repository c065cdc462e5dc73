"""What the figures share: their options, and pictures side by side with titles."""

import argparse
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

FOLDER = Path("out/figures")


def options(description: str) -> argparse.Namespace:
    """The options of a figure's script: size, weights, and where to write."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--size", type=int, default=256, help="longer side of each picture in pixels (default: 256)")
    parser.add_argument("--weights", default="vgg19-mini", help="weight file, or a name (default: vgg19-mini)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where to write (default: {FOLDER})")
    chosen = parser.parse_args()
    chosen.folder.mkdir(parents=True, exist_ok=True)
    return chosen


def show(path: Path, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Write rows of pictures (arrays or PIL images), {row: {title: picture}}, to a file."""
    columns = max(len(row) for row in rows.values())
    *_, last = next(iter(rows.values())).values()
    height, width = np.shape(last)[:2]
    figure = Figure(figsize=(2.4 * columns, len(rows) * (2.4 * height / width + 0.3)), dpi=110, layout="constrained")
    cells = figure.subplots(len(rows), columns, squeeze=False)
    for cell in cells.ravel():
        cell.set(xticks=[], yticks=[])
        cell.set_frame_on(False)
    for line, (row, pictures) in zip(cells, rows.items(), strict=True):
        line[0].set_ylabel(row, fontsize="small")
        for cell, (title, picture) in zip(line, pictures.items(), strict=False):
            cell.imshow(picture)
            cell.set_title(title, fontsize="small")
    figure.savefig(path, pil_kwargs={"quality": 88})
    print(f"wrote {path}")
