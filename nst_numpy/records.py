"""What a picture says about how it was made: settings, the files it was made from, and their checksums.

Everything is names and numbers, for JSON. Of a file only its name is kept, or the path as it was given if that leads
down from the current folder: no picture tells where on a disk its author works.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import nst_numpy
from nst_numpy import images
from nst_numpy.checkpoints import checksum
from nst_numpy.masks import split_name
from nst_numpy.network import VGG
from nst_numpy.settings import STARTS, Settings, named

MASKS = ("content_masks", "style_masks", "content_mask")
INPUTS = ("content", "style", *MASKS, "init")


def record(settings: Settings, network: VGG, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """All that determines a picture, as names and numbers.

    Parameters
    ----------
    settings : Settings
    network : VGG
        That of `settings.weights`.
    inputs : dict of str to image, or list of images
        By the names of the arguments, `INPUTS`. Those that are None are left out.

    Returns
    -------
    dict
        The inputs, the fields of the settings, "pooling", "padding" and "backend" of the network; in "sha256" a
        checksum for each input that is a file, and one for the arrays of the network; in "nst_numpy" the version.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nst_numpy import Settings, load_weights, samples
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photograph.png")
    ...     samples.swirling_night(32).save(path)
    ...     found = record(Settings(), load_weights("vgg19-mini"), {"content": path, "style": [samples.portrait()]})
    >>> found["content"], found["style"], found["style_weight"], found["sha256"]["style"]
    ('photograph.png', ['an image (Image)'], 100.0, [None])
    """
    given = {name: value for name, value in inputs.items() if value is not None}
    shown = settings.to_dict() | {"init": name_of(settings.init), "weights": name_of(settings.weights)}
    return {
        **{name: name_of(value) for name, value in given.items()},
        **shown,
        "pooling": network.pooling,
        "padding": network.padding,
        "backend": network.backend_name,
        "sha256": {
            **{name: _digest(value) for name, value in {**given, "init": settings.init}.items()},
            "network": network_checksum(network),
        },
        "nst_numpy": nst_numpy.__version__,
    }


def with_files(record: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A record in which some inputs are these files.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "photograph.png")
    ...     path.touch()
    ...     found = with_files({"content": "an image (BytesIO)", "sha256": {}}, {"content": path})
    >>> found["content"], found["sha256"]["content"][:8]
    ('photograph.png', 'e3b0c442')
    """
    names, digests = ({name: of(value) for name, value in inputs.items()} for of in (name_of, _digest))
    return {**record, **names, "sha256": {**record["sha256"], **digests}}


def read(picture: str | os.PathLike[str]) -> dict[str, Any]:
    """The record in a picture.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it can't be read as an image, or holds no record.

    Examples
    --------
    >>> import tempfile
    >>> from nst_numpy import samples, texture
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     texture(samples.woodcut_waves(64), size=(16,), steps=0, progress=False).save(f"{folder}/a.png")
    ...     read(f"{folder}/a.png")["size"]
    [16]
    """
    try:
        found = json.loads(images.description(picture))
        if isinstance(found, dict) and "convention" in found and _sound(found):
            return found
    except (json.JSONDecodeError, RecursionError):  # nested by the thousand
        pass
    raise ValueError(
        f"{picture} holds no settings: the PNG, JPEG, WebP, TIFF and AVIF files do that nst_numpy writes, "
        "if no other program has changed them since"
    )


def _sound(found: Mapping[str, Any]) -> bool:
    """Whether inputs are names and tiles are numbers, also after someone has edited them."""
    given = {name: found[name] for name in INPUTS if name in found}
    names = [v for value in given.values() for v in (value if isinstance(value, list) else [value])]
    right = all(name is None or isinstance(name, str) for name in names)
    tiles = found.get("tile", [])
    right &= isinstance(tiles, list) and all(tile is None or (type(tile) is int and tile > 0) for tile in tiles)
    return right and isinstance(found.get("style", []), list) and isinstance(found.get("sha256", {}), dict)


def files(inputs: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files among some inputs.

    Examples
    --------
    >>> [path.name for path in files({"content": "a.png", "content_masks": ["b.png#ff0000", None], "init": "noise"})]
    ['a.png', 'b.png']
    """
    values = [v for value in inputs.values() for v in (value if isinstance(value, list | tuple) else [value])]
    return tuple(Path(os.path.abspath(file)) for value in values if (file := _file(value)))


def network_checksum(network: VGG) -> str:
    """SHA-256 of a network's weights.

    Examples
    --------
    >>> from nst_numpy import load_weights
    >>> network, other = (load_weights("vgg19-mini", pooling=pooling) for pooling in ("average", "max"))
    >>> network_checksum(network) == network_checksum(other)
    True
    """
    return checksum([network.convolutions, network.mean, network.scale])


def digest(path: Path) -> str:
    """SHA-256 of a file.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "empty")
    ...     path.touch()
    ...     digest(path)[:8]
    'e3b0c442'
    """
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _file(value: Any) -> str | None:
    """The path of an input; None if it is no file."""
    if not isinstance(value, str | os.PathLike) or value in STARTS:
        return None
    path = os.fspath(value)
    return path if os.path.exists(path) else split_name(path)[0]


def name_of(value: Any) -> Any:
    """What is kept of the name of an input, or of several.

    Examples
    --------
    >>> name_of("photographs/me.jpg"), name_of("/home/me/me.jpg"), name_of("../me.jpg")
    ('photographs/me.jpg', 'me.jpg', 'me.jpg')
    """
    if isinstance(value, list | tuple):
        return [name_of(v) for v in value]
    if not isinstance(value, str | os.PathLike):
        return named(value)
    path = PurePath(value)
    return path.name if path.is_absolute() or ".." in path.parts else path.as_posix()


def _digest(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_digest(v) for v in value]
    file = _file(value)
    return digest(Path(file)) if file else None
