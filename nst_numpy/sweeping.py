"""Many pictures by one call: photographs × paintings × values of any settings, with a table and a contact sheet."""

import csv
import hashlib
import io
import itertools
import json
import os
import re
import string
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image
from tqdm import tqdm

import nst_numpy
from nst_numpy import images, jobs, records
from nst_numpy.backends.threads import available_cores
from nst_numpy.checkpoints import checksum
from nst_numpy.console import console
from nst_numpy.network import VGG
from nst_numpy.painting import GramCache, load_network, paint
from nst_numpy.settings import Settings
from nst_numpy.validation import check_choice, check_number, checked, shown

StrPath = str | os.PathLike[str]
SIDE = 220  # pixels of a picture in the contact sheet
LOSSES = ("total", "content", "style", "tv")


@dataclass(frozen=True)
class Cell:
    """One picture of a sweep.

    Attributes
    ----------
    path : Path
        Where the picture is.
    content, style : Path
    values : dict
        Of the settings that vary.
    losses : dict of str to float
        At its end: "total", "content", "style" and "tv". Empty if it failed.
    seconds : float
        That it took to paint.
    error : str
        Why it failed; empty if it did not.
    """

    path: Path
    content: Path
    style: Path
    values: Mapping[str, Any]
    losses: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0
    error: str = ""


@checked()
def sweep(
    content: StrPath | Sequence[StrPath],
    style: StrPath | Sequence[StrPath],
    output: StrPath,
    *,
    grid: Mapping[str, Sequence[Any]] | None = None,
    pairs: bool = False,
    names: str | None = None,
    again: bool = False,
    workers: int | None = None,
    executor: Executor | None = None,
    progress: bool = True,
    **settings: Any,
) -> list[Cell]:
    """Paint every content in every style, with every combination of some settings.

    Pictures are kept by a hash of all that they depend on, so a second run paints only what is new, and a run that was
    interrupted goes on. A picture that fails does not keep the others.

    Parameters
    ----------
    content, style : path or sequence of paths
        Image files, and folders of them.
    output : path
        Folder for the pictures, with `table.csv` and `sheet.png`: a row for each content and style, or, if nothing
        varies, for each content.
    grid : dict of str to sequence, optional
        Settings of `transfer` and the values that each is to take.
    pairs : bool
        Whether the first content goes with the first style only, the second with the second, and so on.
    names : str, optional
        Names of the files, without suffix: a format of {content}, {style}, {number} and the settings in the grid. By
        default content, style and the values that vary.
    again : bool
        Whether to paint pictures that are there.
    workers : int, optional
        Number of processes; by default one for each two processors. Each has its share of the threads.
    executor : concurrent.futures.Executor, optional
        That does the work, such as `distributed.Client(...).get_executor()`. Images travel with the jobs.
    progress : bool
    **settings
        Of `transfer`, for all pictures.

    Returns
    -------
    list of Cell
        In order: contents, styles, the grid.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError, ValueError
        If there is no such setting, two pictures have one name, or there are no images.

    Examples
    --------
    >>> import tempfile
    >>> from nst_numpy import images, samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name, picture in (("me", samples.portrait()), ("waves", samples.woodcut_waves(64))):
    ...         images.save(images.to_uint8(images.load(picture, 48)), f"{folder}/{name}.png")
    ...     inputs = f"{folder}/me.png", f"{folder}/waves.png"
    ...     grid = {"style_weight": [10, 1000]}
    ...     cells = sweep(*inputs, f"{folder}/out", grid=grid, size=(32,), steps=2, workers=1, progress=False)
    ...     [cell.path.name for cell in cells], cells[0].losses["style"] < cells[1].losses["style"]
    (['me_waves_style_weight=10.png', 'me_waves_style_weight=1000.png'], True)
    """
    grid, output = dict(grid or {}), Path(output)
    _check_settings(grid, settings)
    if workers is not None:
        check_number("workers", workers, whole=True, least=1)
    contents, styles = _files("content", content), _files("style", style)
    if pairs and len(contents) != len(styles):
        raise ValueError(f"pairs need as many contents as styles, found {len(contents)} and {len(styles)}")
    motifs = list(zip(contents, styles, strict=True) if pairs else itertools.product(contents, styles))
    cells = list(_cells(motifs, grid, output, names))
    (output / "results").mkdir(parents=True, exist_ok=True)

    data = {path: path.read_bytes() for path in {*contents, *styles}}
    digest = cache(records.digest)
    keys = {cell.path.stem: _key(cell, settings, data, digest) for cell in cells}
    kept = {cell.path.stem: output / "results" / f"{cell.path.stem}.json" for cell in cells}
    found: dict[str, jobs.Answer] = {}
    for cell in cells:
        name = cell.path.stem
        if not again and cell.path.exists() and (answer := jobs.recalled(kept[name], keys[name])):
            found[name] = answer
    processes = workers or max(1, available_cores() // 2)
    threads = None if executor else max(1, available_cores() // processes)
    todo: dict[str, tuple[Any, ...]] = {
        cell.path.stem: (data[cell.content], data[cell.style], {**settings, **cell.values}, threads)
        for cell in cells
        if cell.path.stem not in found
    }
    paths = {cell.path.stem: cell.path for cell in cells}
    used = {cell.path.stem: {"content": cell.content, "style": [cell.style]} for cell in cells}
    shown = {"unit": "picture", "disable": None if progress else True, "file": console}
    with tqdm(total=len(todo), desc="painting", **shown) as bar:
        for name, answer in jobs.answers(todo, _painted, executor, processes):
            if "image" in answer:
                record = records.with_files(answer.pop("record"), used[name])
                images.save(answer.pop("image"), paths[name], json.dumps(record))
                jobs.remember(kept[name], keys[name], answer)
            found[name] = answer
            bar.update()
    cells = [_finished(cell, found[cell.path.stem]) for cell in cells]
    images.write_text(output / "table.csv", _table(cells, grid))
    _sheet(cells, motifs, output / "sheet.png")
    return cells


# What is to be painted ------------------------------------------------------------------------------------------------


def _check_settings(grid: Mapping[str, Sequence[Any]], settings: Mapping[str, Any]) -> None:
    known = signature(Settings).parameters
    for name in (*grid, *settings):
        check_choice("setting", name, known)
    for name, values in grid.items():
        if name in settings:
            raise ValueError(f"{name} is in the grid and among the settings; leave one of them out")
        if isinstance(values, str) or not isinstance(values, Sequence) or not values:
            raise TypeError(f"the grid needs a list of values for {name}, found {shown(values)}")


def _files(what: str, given: StrPath | Sequence[StrPath]) -> list[Path]:
    """The image files among some files and folders."""
    given, found = [given] if isinstance(given, str | os.PathLike) else given, []
    for path in given:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(f"{what} must be paths, found {shown(path)}")
    for path in map(Path, given):
        if not path.exists():
            raise FileNotFoundError(f"there is no {what} {path}")
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
        found += [p for p in inside if p == path or (p.is_file() and p.suffix.lower() in images.SUFFIXES)]
    if not found:
        raise ValueError(f"no images among the {what}s")
    return found


def _cells(
    motifs: Iterable[tuple[Path, Path]], grid: Mapping[str, Sequence[Any]], output: Path, names: str | None
) -> Iterator[Cell]:
    varied = [name for name, values in grid.items() if len(values) > 1]
    pattern = names or "_".join(["{content}", "{style}", *(f"{name}={{{name}}}" for name in varied)])
    fields = {name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None}
    for name in fields:
        check_choice("field of the names", name, ["content", "style", "number", *grid])
    taken: set[str] = set()
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    for number, ((content, style), values) in enumerate(itertools.product(motifs, combinations), start=1):
        name = pattern.format(content=content.stem, style=style.stem, number=number, **values)
        name = re.sub(r"[^\w.=+-]+", "-", name).strip("-.")
        if name in taken or not name:
            raise ValueError(f"two pictures would have the name {name!r}; use {{number}} in the names")
        taken.add(name)
        yield Cell(output / f"{name}.png", content, style, values)


def _key(cell: Cell, settings: Mapping[str, Any], data: Mapping[Path, bytes], digest: Callable[..., str]) -> str:
    """A hash of all that a picture depends on."""
    inputs = [hashlib.sha256(data[path]).hexdigest() for path in (cell.content, cell.style)]
    chosen = Settings(**{**settings, **cell.values})
    contents = [_contents(chosen.weights, digest), _contents(chosen.init, digest), chosen.convention.described()]
    everything = [nst_numpy.__version__, *inputs, chosen.to_json(), *contents]
    return hashlib.sha256(json.dumps(everything).encode()).hexdigest()


def _contents(given: Any, digest: Callable[..., str]) -> str:
    """A hash of the file, the network or the image that a setting names or is; of no more than the name otherwise."""
    if isinstance(given, str | os.PathLike) and Path(given).is_file():
        return digest(given)
    if isinstance(given, VGG):
        return records.network_checksum(given) + repr(given)
    return checksum([np.asarray(given)]) if isinstance(given, np.ndarray | Image) else repr(given)


# Painting -------------------------------------------------------------------------------------------------------------


_loaded: dict[str, tuple[VGG, GramCache]] = {}  # in each worker: a network and Gram matrices serve many pictures


def _network(settings: Settings, threads: int | None) -> tuple[VGG, GramCache]:
    if isinstance(settings.weights, VGG):
        return settings.weights, GramCache()
    key = repr((settings.weights, settings.convention, threads))
    if key not in _loaded:
        _loaded.clear()
        _loaded[key] = load_network(settings.weights, settings.convention, threads=threads), GramCache()
    return _loaded[key]


def _painted(content: bytes, style: bytes, keywords: Mapping[str, Any], threads: int | None) -> jobs.Answer:
    """Paint one picture, in a worker; what goes wrong is in the answer."""
    try:
        settings = Settings(**keywords)
        network, grams = _network(settings, threads)
        began = time.perf_counter()
        with warnings.catch_warnings(action="ignore"):
            painted = replace(settings, weights=network)
            result = paint(io.BytesIO(content), io.BytesIO(style), painted, progress=False, style_grams=grams)
        seconds = time.perf_counter() - began
        if not result.complete:
            return {"error": result.message}
        losses = {name: float(result.history[-1][name]) for name in LOSSES}
        return {
            "losses": losses,
            "seconds": seconds,
            "image": result.image,
            "record": result.record | {"weights": records.name_of(settings.weights)},
        }
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def _finished(cell: Cell, answer: jobs.Answer) -> Cell:
    return replace(cell, **{name: answer[name] for name in ("losses", "seconds", "error") if name in answer})


# Table and contact sheet ----------------------------------------------------------------------------------------------


def _table(cells: Iterable[Cell], grid: Mapping[str, Any]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["file", "content", "style", *grid, *LOSSES, "seconds", "error"])
    for cell in cells:
        losses = [cell.losses.get(name, "") for name in LOSSES]
        inputs = [cell.path.name, cell.content, cell.style, *cell.values.values()]
        writer.writerow([*inputs, *losses, f"{cell.seconds:.2f}" if cell.losses else "", cell.error])
    return text.getvalue()


def _sheet(cells: Sequence[Cell], motifs: Sequence[tuple[Path, Path]], path: Path) -> None:
    """All pictures with their labels."""
    from matplotlib.figure import Figure  # slow to import

    columns = len(cells) // len(motifs)  # what varies
    if columns == 1:  # then the styles beside each other
        columns = sum(motif[0] == motifs[0][0] for motif in motifs)
    rows = -(-len(cells) // columns)
    inches = SIDE / 100
    figure = Figure(figsize=(columns * inches + 0.4, rows * inches + 0.4), dpi=100, layout="constrained")
    for axes in figure.subplots(rows, columns, squeeze=False).ravel():
        axes.set_axis_off()
    for axes, cell in zip(figure.axes, cells, strict=False):
        values = ", ".join(f"{name} {value}" for name, value in cell.values.items())
        axes.set_title("\n".join(filter(None, [f"{cell.content.stem} × {cell.style.stem}", values])), fontsize=7)
        if cell.error:
            axes.text(0.5, 0.5, cell.error, fontsize=6, ha="center", va="center", wrap=True)
        else:
            axes.imshow(np.asarray(images.load(cell.path, SIDE)))
    with images.whole_file(path) as part:
        figure.savefig(part, format="png")
