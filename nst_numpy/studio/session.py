"""What one browser has in the studio: its images, its settings, the painting under way, and its finished pictures."""

import io
import json
import secrets
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nst_numpy import images, samples
from nst_numpy.settings import Settings
from nst_numpy.studio.painter import ENDS, Painter, Painting
from nst_numpy.studio.sources import Source

MOST_BYTES = 64 << 20  # of an upload
MOST_PIXELS = 100_000_000  # of an upload: beyond that, reading alone takes gigabytes
MOST_IMAGES = 30  # that one browser may have in the studio
MOST_PICTURES = 200  # in the gallery
THUMBNAIL = 320  # pixels
PREVIEW, PREVIEW_STEPS = 160, 40
SMALLER = "Scale it down, and choose it again."
KNOWN = "PNG, JPEG, WebP, TIFF, GIF, BMP or AVIF"

# What can be chosen without a file: what it is called, and what makes it.
SAMPLES: dict[str, tuple[str, Callable[[], Image.Image]]] = {
    "portrait.png": ("A portrait (photograph)", samples.portrait),
    "swirling_night.png": ("A swirling night", samples.swirling_night),
    "woodcut_waves.png": ("Woodcut waves", samples.woodcut_waves),
    "other_night.png": ("A night in other strokes", lambda: samples.swirling_night(seed=11)),
    "other_waves.png": ("Waves in other rows", lambda: samples.woodcut_waves(seed=7)),
}


class Refused(ValueError):
    """What was asked for can't be done; the message is a sentence for the page."""


@dataclass(frozen=True, eq=False)
class Given:
    """An image to paint from, or with.

    Attributes
    ----------
    source : Source
    width, height : int
        As it is painted, its EXIF rotation applied.
    thumbnail : bytes
        A small PNG.
    note : str
        What the user should know of it; empty if nothing.
    """

    source: Source
    width: int
    height: int
    thumbnail: bytes = field(repr=False)
    note: str = ""
    key: str = field(default_factory=lambda: secrets.token_hex(8))


def read(data: bytes, name: str) -> Given:
    """Check an uploaded file.

    Parameters
    ----------
    data : bytes
        Of the file.
    name : str
        What the browser calls it.

    Raises
    ------
    Refused
        If it is too large, or no image that `images.load` reads.

    Examples
    --------
    >>> given = read(sample_bytes("woodcut_waves.png"), "waves.png")
    >>> given.source.name, given.width, given.height
    ('waves.png', 512, 512)
    >>> read(b"no image", "letter.txt")
    Traceback (most recent call last):
    nst_numpy.studio.session.Refused: letter.txt is not an image that can be read here. Choose a PNG, JPEG, WebP, TIFF, GIF, BMP or AVIF file.
    """
    source = Source(name, data)
    name = source.name
    if len(data) > MOST_BYTES:
        raise Refused(f"{name} has {len(data) >> 20} MB; the studio takes at most {MOST_BYTES >> 20}. {SMALLER}")
    if not data:
        raise Refused(f"{name} is empty. Choose another file.")
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        raise Refused(f"{name} is a HEIC file, which can't be read here. Export it as JPEG or PNG, and choose that.")
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as picture:  # reads the header alone
            (width, height), frames = picture.size, getattr(picture, "n_frames", 1)
    except Image.DecompressionBombError:
        raise Refused(_too_many(name, "more than 178")) from None
    except UnidentifiedImageError:
        raise Refused(f"{name} is not an image that can be read here. Choose a {KNOWN} file.") from None
    except Exception as error:
        raise Refused(f"{name} can't be read ({error}). Save it anew as PNG, and choose that.") from None
    if width * height > MOST_PIXELS:
        raise Refused(_too_many(name, f"{width}×{height} pixels, {width * height // 1_000_000}"))
    try:
        image, opacity = images.load_with_opacity(source)
    except Exception as error:
        raise Refused(f"{name}: {error}. Save it anew as PNG, and choose that.") from None
    height, width = image.shape[:2]
    note = f"Of its {frames} pictures, the first is used." if frames > 1 else ""
    if opacity is not None:
        note = f"{note} Its transparent areas are painted as if they were white, and stay transparent.".strip()
    small = images.load(image, min(THUMBNAIL, max(width, height)))
    return Given(source, width, height, images.png(images.to_uint8(small)), note)


def _too_many(name: str, found: str) -> str:
    return f"{name} has {found} million pixels; the studio takes at most {MOST_PIXELS // 1_000_000} million. {SMALLER}"


@cache
def sample_bytes(name: str) -> bytes:
    """A sample as a PNG file; `name` is one of `SAMPLES`."""
    return images.png(np.asarray(SAMPLES[name][1]()))


@cache
def sample(name: str) -> Given:
    """A sample; `name` is one of `SAMPLES`."""
    return read(sample_bytes(name), name)


@dataclass(frozen=True, eq=False)
class Finished:
    """A picture in the gallery.

    Attributes
    ----------
    file : Path
        A PNG with its settings inside, in the private folder.
    name : str
        For the download.
    values : dict
        The settings as they were chosen, for "again with…".
    """

    file: Path
    name: str
    width: int
    height: int
    about: str
    values: dict[str, Any]
    content: Given
    styles: tuple[Given, ...]
    painting: Painting
    complete: bool
    when: float = field(default_factory=time.time)
    key: str = field(default_factory=lambda: secrets.token_hex(8))


class Session:
    """One browser's studio; its tabs share it.

    Attributes
    ----------
    content : Given or None
    styles : list of Given
    values : dict
        Settings that differ from the defaults, as arguments of `Settings`.
    masks : dict of str to ndarray
        For the key of a style, the region of the content image in which it is painted: float32 (h, w), 0–1.
    preview, painting : Painting or None
        A small one, which begins anew when anything changes; and the one that was asked for.
    gallery : list of Finished
        The latest first.
    keep : bool
        Whether to paint on when the last page is closed.
    """

    def __init__(self, painter: Painter, folder: Path):
        self.painter, self.folder = painter, folder
        self.content: Given | None = None
        self.styles: list[Given] = []
        self.uploads: dict[str, Given] = {}
        self.values: dict[str, Any] = {}
        self.masks: dict[str, np.ndarray] = {}
        self.preview: Painting | None = None
        self.painting: Painting | None = None
        self.gallery: list[Finished] = []
        self.fetched = set[str]()  # keys of pictures that were downloaded
        self.keep = True
        self.pages = 0
        self.changes = 0  # grows with every change that other tabs have to show
        self._made: tuple[dict[str, Any], Given, tuple[Given, ...]] | None = None
