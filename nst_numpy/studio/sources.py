"""Images that came from outside, as bytes with a name that is no path."""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy import images, samples
from nst_numpy.validation import check_choice

SAMPLES = {
    "portrait": samples.portrait,
    "swirling_night": samples.swirling_night,
    "woodcut_waves": samples.woodcut_waves,
}
LONGEST_NAME = 100  # characters


@dataclass(frozen=True, eq=False)
class Source:
    """An image file in memory; whatever takes an image or a mask takes it.

    Parameters
    ----------
    name : str
        What the file is called where it comes from. Folders, control characters and a leading - or # are left out.
    data : bytes
        Of the file, in one of the formats `images.FORMATS`.
    drawn_by : str
        The function of `samples` that it comes from, if any.

    Examples
    --------
    >>> from nst_numpy import images
    >>> source = Source.sample("woodcut_waves")
    >>> source.name, images.load(source, 64).shape
    ('woodcut_waves.png', (64, 64, 3))
    >>> Source("../../etc/me.jpg", b"").name
    'me.jpg'
    """

    name: str
    data: bytes = field(repr=False)
    drawn_by: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        name = "".join(c for c in re.split(r"[/\\]", self.name)[-1] if c.isprintable()).strip().lstrip("-#.")
        stem, suffix = Path(name).stem[:LONGEST_NAME] or "image", Path(name).suffix[:10] or ".png"
        object.__setattr__(self, "name", stem + suffix)

    @classmethod
    def sample(cls, name: str) -> "Source":
        """One of the images in `samples`, as a PNG file.

        Raises
        ------
        ValueError
            If there is none of this name.
        """
        check_choice("sample", name, SAMPLES)
        return cls(f"{name}.png", _drawn(name), name)

    def read(self) -> bytes:
        """All of it, at every call: no reader disturbs another."""
        return self.data

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.data).hexdigest()


@cache
def _drawn(name: str) -> bytes:
    return images.png(np.asarray(SAMPLES[name]()))


def named_apart(value: Any) -> Any:
    """Nested lists and dicts of images, in which different sources have different names.

    Examples
    --------
    >>> first, second = Source("a.png", b"1"), Source("a.png", b"2")
    >>> named_apart([first, [second, None, first]])
    [Source(name='a.png'), [Source(name='a-2.png'), None, Source(name='a.png')]]
    """
    taken: dict[str, bytes] = {}

    def named(value: Any) -> Any:
        if isinstance(value, dict):
            return {name: named(v) for name, v in value.items()}
        if isinstance(value, list | tuple):
            return [named(v) for v in value]
        if not isinstance(value, Source):
            return value
        path = Path(value.name)
        names = chain([value.name], (f"{path.stem}-{n}{path.suffix}" for n in count(2)))
        name = next(name for name in names if taken.get(name, value.data) == value.data)
        taken[name] = value.data
        return value if name == value.name else replace(value, name=name)

    return named(value)


def with_names(record: Mapping[str, Any], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """A record in which the sources among some inputs have their names and checksums, as files have.

    Parameters
    ----------
    record : dict
        As `records.record` returns it.
    inputs : dict of str to image, or list of images
        By the names of the arguments.

    Examples
    --------
    >>> record = {"content": "an image (Source)", "style": ["b.png"], "sha256": {"content": None, "style": ["e3"]}}
    >>> found = with_names(record, {"content": Source("a.png", b""), "style": ["b.png"]})
    >>> found["content"], found["style"], found["sha256"]["content"][:8]
    ('a.png', ['b.png'], 'e3b0c442')
    """

    def replaced(found: Any, value: Any, of: str) -> Any:
        if isinstance(value, list | tuple):
            return [replaced(*pair, of) for pair in zip(found, value, strict=True)]
        return getattr(value, of) if isinstance(value, Source) else found

    names = {name: replaced(record[name], value, "name") for name, value in inputs.items() if name in record}
    digests = {name: replaced(record["sha256"][name], inputs[name], "digest") for name in names}
    return {**record, **names, "sha256": {**record["sha256"], **digests}}
