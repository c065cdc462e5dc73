"""A picture painted once more, from what it says about itself, or with some of that changed."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import fields, replace
from inspect import signature
from pathlib import Path
from typing import Any

import nst_numpy
from nst_numpy import conventions, records
from nst_numpy.masks import split_name
from nst_numpy.network import VGG
from nst_numpy.painting import CHECKPOINT_EVERY, Callback, load_network, paint
from nst_numpy.result import TransferResult
from nst_numpy.settings import STARTS, Settings
from nst_numpy.stylize import reconstruct, texture, transfer
from nst_numpy.validation import check_choice, checked, warn
from nst_numpy.weights.registry import REGISTRY

NETWORK = ("pooling", "padding", "backend", "threads")
SETTINGS = tuple(f.name for f in fields(Settings) if f.name not in ("convention", "init"))


@checked()
def again(
    picture: str | os.PathLike[str],
    *,
    content: Any = None,
    style: Any = None,
    content_masks: Any = None,
    style_masks: Any = None,
    content_mask: Any = None,
    init: Any = None,
    every: int = 0,
    callback: Callback | None = None,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: float = CHECKPOINT_EVERY,
    tile: int | None = None,
    executor: Executor | None = None,
    **changes: Any,
) -> TransferResult:
    """Paint a picture once more, from the settings and the names of files that it holds.

    Without changes it is the same picture, bit for bit, where the version of the library is the same. Its files are
    looked for beside the picture and in the current folder, by their names and their checksums.

    Parameters
    ----------
    picture : path
        A PNG, JPEG, WebP, TIFF or AVIF file that `TransferResult.save` has written.
    content, style, content_masks, style_masks, content_mask, init
        As in `transfer`: other images than those it was painted from, or the same, if they are elsewhere or were no
        files. Those given are taken as they are, whatever their checksum.
    every, callback, progress, checkpoint, checkpoint_every, tile, executor
        As in `transfer`. By default in the picture's tiles, unless its size changes.
    **changes
        Settings of `transfer` that are to differ, and `pooling`, `padding`, `backend` and `threads` of the network. The
        convention can't differ: the picture has the numbers that belong to its own.

    Returns
    -------
    TransferResult

    Raises
    ------
    FileNotFoundError
        If there is no such picture, or a file that it was painted from is not found.
    TypeError, ValueError
        If the picture holds no settings; a file, or the network, is not the one that it was painted from; or anything
        is wrong with a change.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nst_numpy import again, samples, texture
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     samples.woodcut_waves(64).save(f"{folder}/waves.png")
    ...     first = texture(f"{folder}/waves.png", size=(32,), steps=2, progress=False)
    ...     first.save(f"{folder}/texture.png")
    ...     second = again(f"{folder}/texture.png", progress=False)
    ...     other = again(f"{folder}/texture.png", seed=1, progress=False)
    >>> np.array_equal(first.image, second.image), np.array_equal(first.image, other.image)
    (True, False)
    """
    found = records.read(picture)
    for name in changes:
        check_choice("setting", name, [*SETTINGS, *NETWORK])
    given = {"content": content, "style": style, "content_masks": content_masks, "style_masks": style_masks}
    given |= {"content_mask": content_mask, "init": init}
    for one in ("content", "style"):
        if given[one] is None and one not in found and found.get(f"{one}_layers") != []:
            raise ValueError(f"{picture} does not name its {one} image; give --{one}")
    kept = [name for name in records.INPUTS if given[name] is None and name in found]
    for name in kept:
        given[name] = _find(name, found[name], found.get("sha256", {}).get(name), Path(picture))
    for one, other in (("content", "style"), ("style", "content")):
        if given[one] is None:  # a texture or a reconstruction
            several = isinstance(given[other], list | tuple)
            given[one] = given[other][0] if one == "content" and several else given[other]

    values = {name: found[name] for name in ("convention", *SETTINGS) if name in found}
    if changes.get("optimizer", values.get("optimizer")) != values.get("optimizer"):
        values |= {"learning_rate": None, "optimizer_options": None}  # they are of the other optimizer
    values |= {name: value for name, value in changes.items() if name in SETTINGS}
    settings = Settings(**values | {"init": given.pop("init")})
    network = _network(found, settings, changes, Path(picture))
    if found.get("nst_numpy") != nst_numpy.__version__:
        warn(
            f"{picture} was painted by nst_numpy {found.get('nst_numpy', 'of an earlier version')}, this is "
            f"{nst_numpy.__version__}: the new picture can differ"
        )
    if found.get("complete") is False:
        warn(f"{picture} was interrupted as it was painted: the new picture is painted to the end")
    result = paint(
        settings=replace(settings, weights=network),
        every=every,
        callback=callback,
        progress=progress,
        checkpoint=checkpoint,
        checkpoint_every=checkpoint_every,
        tile=found.get("tile") if tile is None and "size" not in changes else tile,
        executor=executor,
        **given,
    )
    same = [*kept, *(["weights"] if "weights" not in changes else [])]
    return replace(result, record=result.record | {name: found[name] for name in same if name in found})


def to_toml(record: Mapping[str, Any]) -> str:
    """The settings in a record as TOML, whose keys are the options of the command that painted the picture.

    Parameters
    ----------
    record : dict
        As `records.read` returns it.

    Examples
    --------
    >>> print(to_toml({"content": "a.jpg", "style": ["b.jpg"], "style_weight": 7.0, "size": [256], "init": "content"}))
    # nst-numpy transfer a.jpg b.jpg --settings FILE
    size = [256]
    style_weight = 7.0
    init = "content"
    """
    function: Callable[..., TransferResult] = transfer
    words = [record.get("content"), *record.get("style", [])]
    if "content" not in record:
        function, words = texture, words[1:]
    elif "style" not in record:
        function, words = reconstruct, [*words, ",".join(record["content_layers"])]
    takes = signature(function).parameters
    shown = {name: record[name] for name in takes if name in record and name not in ("content", "style", "tile")}
    if "learning_rate" in (record.get("optimizer_options") or {}):
        del shown["learning_rate"]
    if {"pooling", "padding", "backend"} <= record.keys():
        convention = conventions.get(record["convention"])
        usual = {"pooling": convention.pooling, "padding": convention.padding, "backend": "fast"}
        shown |= {name: record[name] for name, value in usual.items() if record[name] != value}
    lines = [f"{name} = {_toml(value)}" for name, value in shown.items() if value is not None and value != {}]
    return "\n".join([f"# nst-numpy {function.__name__} {' '.join(words)} --settings FILE", *lines])


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name} = {_toml(v)}" for name, v in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's strings, numbers, true and false are TOML's, but for one character
    return json.dumps("-" if value is None else value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _find(what: str, value: Any, digest: Any, picture: Path) -> Any:
    """The file of an input of a picture, or several."""
    if isinstance(value, list):
        digests = digest if isinstance(digest, list) and len(digest) == len(value) else [None] * len(value)
        return [_find(what, *pair, picture) for pair in zip(value, digests, strict=True)]
    if value is None or (what == "init" and value in STARTS):
        return value
    option = f"--{what.replace('_', '-')}"
    if digest is None:
        why = "was no file" if value.startswith("an image (") else "has no checksum"
        raise ValueError(f"{picture}: its {what}, {_in_one_line(value)}, {why}; give {option}")
    name, color = split_name(value) if what in records.MASKS else (value, "")
    there = [path for path in _candidates(name, picture) if path.is_file()]
    for path in there:
        if records.digest(path) == digest:
            return f"{path}{color}"
    if there:
        raise ValueError(
            f"{there[0]} is not the {what} that {picture} was painted from: it has changed, or is another file of that "
            f"name; to take it all the same, give {option} {there[0]}{color}"
        )
    name = _in_one_line(name)
    raise FileNotFoundError(f"there is no {name}, the {what} of {picture}, beside it or here; give {option}")


def _in_one_line(name: str) -> str:
    return name if name.isprintable() else repr(name)


def named_files(picture: str | os.PathLike[str]) -> list[Path]:
    """The files there are, beside a picture and in the current folder, of the names that it holds.

    Examples
    --------
    >>> import tempfile
    >>> from nst_numpy import samples, texture
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     samples.woodcut_waves(64).save(f"{folder}/waves.png")
    ...     texture(f"{folder}/waves.png", size=(16,), steps=0, progress=False).save(f"{folder}/a.png")
    ...     {path.name for path in named_files(f"{folder}/a.png")}
    {'waves.png'}
    """
    found = records.read(picture)
    values = [found[name] for name in records.INPUTS if name in found]
    names = [name for value in values for name in (value if isinstance(value, list) else [value]) if name]
    paths = [path for name in names for path in _candidates(split_name(name)[0], Path(picture))]
    return [path for path in paths if path.is_file()]


def _candidates(name: str, picture: Path) -> Iterator[Path]:
    """Where a file may be that a picture names."""
    for folder in (picture.parent, Path()):
        yield folder / name
        yield folder / Path(name).name


def _network(found: Mapping[str, Any], settings: Settings, changes: Mapping[str, Any], picture: Path) -> VGG:
    """The network of a picture, checked, or with changes."""
    recorded = {name: found[name] for name in NETWORK if name in found}
    options = {**recorded, **{name: changes[name] for name in NETWORK if name in changes}}
    if isinstance(settings.weights, VGG):
        return replace(settings.weights, **{name: value for name, value in options.items() if name in changes})
    weights = settings.weights
    if "weights" not in changes and weights not in REGISTRY:
        there = [p for suffix in ("", ".h5") for p in _candidates(f"{weights}{suffix}", picture) if p.is_file()]
        weights = there[0] if there else weights
    network = load_network(weights, settings.convention, **options)
    if "weights" not in changes and records.network_checksum(network) != found.get("sha256", {}).get("network"):
        raise ValueError(
            f"the network {weights} is not the one that {picture} was painted with; to take it all the same, give "
            f"--weights {weights}"
        )
    return network
