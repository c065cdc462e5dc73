"""What one browser has in the studio: its images, its settings, the painting under way, and its finished pictures."""

import io
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from nst_numpy import images, samples
from nst_numpy.settings import Settings
from nst_numpy.studio.brush import Brushwork, all_but
from nst_numpy.studio.painter import ENDS, Painter, Painting, needs
from nst_numpy.studio.sources import Source

LARGEST_SHOWN = 1024  # pixels of a photograph beside its painting
MOST_BYTES = 64 << 20  # of an upload
MOST_PIXELS = 80_000_000  # of an upload: beyond that, reading alone takes gigabytes
MOST_IMAGES = 30  # that one browser may have in the studio
MOST_STYLES = 5
MOST_PICTURES = 200  # in the gallery
THUMBNAIL = 320  # pixels
PREVIEW, PREVIEW_STEPS = 160, 40
SMALLER = "Scale it down, and choose it again."
KNOWN = "PNG, JPEG, WebP, TIFF, GIF, BMP or AVIF"

# What can be chosen without a file: what it is called, and what makes it.
SAMPLES: dict[str, tuple[str, Callable[[], Source]]] = {
    "portrait": ("A portrait (photograph)", lambda: Source.sample("portrait")),
    "swirling_night": ("A swirling night", lambda: Source.sample("swirling_night")),
    "woodcut_waves": ("Woodcut waves", lambda: Source.sample("woodcut_waves")),
    "other_night": ("A night in other strokes", lambda: _drawn("other_night.png", samples.swirling_night(seed=11))),
    "other_waves": ("Waves in other rows", lambda: _drawn("other_waves.png", samples.woodcut_waves(seed=7))),
}


def _drawn(name: str, picture: Image.Image) -> Source:
    return Source(name, images.png(np.asarray(picture)))


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
    >>> given = read(Source.sample("woodcut_waves").data, "waves.png")
    >>> given.source.name, given.width, given.height
    ('waves.png', 512, 512)
    >>> read(b"no image", "letter.txt")  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    nst_numpy.studio.session.Refused: letter.txt is not an image that can be read here. Choose a PNG, ...
    """
    return _given(Source(name, data))


def _given(source: Source) -> Given:
    name, data = source.name, source.data
    if len(data) > MOST_BYTES:
        raise Refused(f"{name} has {len(data) >> 20} MB; the studio takes at most {MOST_BYTES >> 20}. {SMALLER}")
    if not data:
        raise Refused(f"{name} is empty. Choose another file.")
    if data[4:8] == b"ftyp" and data[8:12] in (b"heic", b"heix", b"hevc", b"mif1", b"msf1"):
        raise Refused(f"{name} is a HEIC file, which can't be read here. Export it as JPEG or PNG, and choose that.")
    try:
        with Image.open(io.BytesIO(data), formats=images.FORMATS) as picture:  # reads the header alone
            (width, height), frames = picture.size, getattr(picture, "n_frames", 1)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
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
def sample(name: str) -> Given:
    """A sample; `name` is one of `SAMPLES`, and the key."""
    return replace(_given(SAMPLES[name][1]()), key=name)


@dataclass(frozen=True, eq=False)
class Finished:
    """A picture in the gallery.

    Attributes
    ----------
    file : Path
        A PNG with its settings inside, in the private folder.
    name : str
        For the download.
    width, height : int
    complete : bool
        False if it was stopped.
    chosen : Chosen
        What it was painted from, for "again with…".
    """

    file: Path
    name: str
    width: int
    height: int
    complete: bool
    chosen: "Chosen"
    of: Painting
    key: str


@dataclass
class Chosen:
    """All that is chosen on the page.

    Attributes
    ----------
    content : Given or None
        Without one it is a texture.
    styles : list of Given
        Without any it is a reconstruction.
    values : dict
        Settings that differ from the defaults, as arguments of `Settings`.
    masks : dict of str to Source
        For the key of a style, the region of the content image in which it is painted.
    """

    content: Given | None = None
    styles: list[Given] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    masks: dict[str, Source] = field(default_factory=dict)

    @property
    def images(self) -> list[Given]:
        """The content and the styles."""
        return [given for given in (self.content, *self.styles) if given]

    @property
    def ready(self) -> bool:
        """Whether there is enough to paint: a style, or a photograph and the layers that it is reconstructed from."""
        return bool(self.styles or (self.content and self.values.get("content_layers")))

    def described(self) -> str:
        """The names of the images, and the settings that differ from the defaults."""
        content = self.content.source.name if self.content else ""
        styles = ", ".join(style.source.name for style in self.styles)
        names = " in the style of ".join(filter(None, [content, styles]))
        values = [f"{name.replace('_', ' ')} {value}" for name, value in self.values.items() if name != "size"]
        return "; ".join([names, *values])

    def copy(self) -> "Chosen":
        """The same, unchanged by what is chosen next."""
        return Chosen(self.content, [*self.styles], {**self.values}, {**self.masks})

    def painting(self, painter: Painter, **changes: Any) -> Painting:
        """A painting of what is chosen, with some settings changed; it has not begun.

        Raises
        ------
        TypeError, ValueError
            As `Settings`, and if no image is chosen.
        """
        values = {**self.values, **changes}
        if "style_blend" in values and len(values["style_blend"]) != len(self.styles):
            del values["style_blend"]
        masks = [self.masks.get(style.key) for style in self.styles]
        return Painting(
            self.content and self.content.source,
            [style.source for style in self.styles],
            Settings(**values),
            content_masks=masks if self.content and any(masks) else None,
            painter=painter,
        )


class Session:
    """One browser's studio; its tabs share it.

    Attributes
    ----------
    chosen : Chosen
    uploads : dict of str to Given
        By their keys.
    preview, painting : Painting or None
        A small one, which begins anew when anything changes; and the one that was asked for.
    shown : Painting or None
        The one of the two that is looked at.
    problem : str
        Why there is no preview; empty if there is one, or nothing is chosen.
    gallery : list of Finished
        The latest first.
    keep : bool
        Whether to paint on when the last page is closed.
    pages : int
        How many are open.
    version : int
        Grows with every change of what is chosen, which the other tabs have to show.
    """

    def __init__(self, painter: Painter, folder: Path):
        self.painter, self.folder = painter, folder
        self.chosen = Chosen()
        self.uploads: dict[str, Given] = {}
        self.preview: Painting | None = None
        self.painting: Painting | None = None
        self.shown: Painting | None = None
        self.problem = ""
        self.gallery: list[Finished] = []
        self.fetched = set[str]()  # keys of pictures that were downloaded
        self.keep = True
        self.pages = 0
        self.version = 0
        self.begun = 0  # paintings and previews
        self.encoding = 0.0  # seconds in which the last picture was encoded
        self._of_painting = Chosen()
        self._collecting, self._starting = threading.Lock(), threading.Lock()

    @property
    def busy(self) -> bool:
        """Whether a painting that was asked for has not ended."""
        return self.painting is not None and self.painting.state not in ENDS

    def upload(self, data: bytes, name: str) -> Given:
        """An uploaded file, or the same one if it was uploaded before.

        Raises
        ------
        Refused
            As `read`, and if there are too many.
        """
        digest = Source(name, data).digest
        for given in self.uploads.values():
            if given.source.digest == digest:
                return given
        if len(self.uploads) >= MOST_IMAGES:
            raise Refused(f"The studio keeps {MOST_IMAGES} of your images, and has them. Choose one of those.")
        given = read(data, name)
        self.uploads[given.key] = given
        return given

    def find(self, key: str) -> Given | None:
        """The image with this key, uploaded or a sample."""
        return sample(key) if key in SAMPLES else self.uploads.get(key)

    def choose(self, role: str, given: Given) -> None:
        """Take an image as the content ("content"), or as one more style ("style").

        Raises
        ------
        Refused
            If it is a style already, or there are too many.
        """
        if role == "content":
            self.chosen.content, self.chosen.masks = given, {}
        elif any(style.source.digest == given.source.digest for style in self.chosen.styles):
            raise Refused(f"{given.source.name} is among the styles already. Give it more weight, or choose another.")
        elif len(self.chosen.styles) >= MOST_STYLES:
            raise Refused(f"There are {MOST_STYLES} styles already. Remove one first.")
        else:
            self.chosen.styles.append(given)
        self.changed()

    def remove(self, key: str) -> None:
        """Take an image away, the content or a style, by its key."""
        if self.chosen.content and self.chosen.content.key == key:
            self.chosen.content, self.chosen.masks = None, {}
        else:
            k = next((k for k, style in enumerate(self.chosen.styles) if style.key == key), None)
            if k is not None:
                del self.chosen.styles[k]
                if blend := self.chosen.values.get("style_blend"):
                    self.chosen.values["style_blend"] = (*blend[:k], *blend[k + 1 :])
                self.chosen.masks.pop(key, None)
        self.changed()

    def set(self, name: str, value: Any) -> None:
        """Change a setting; None is the default."""
        if value is None:
            self.chosen.values.pop(name, None)
        else:
            self.chosen.values[name] = value
        if name == "size":  # it is not that of the preview
            self.version += 1
        else:
            self.changed()

    def changed(self) -> None:
        """Begin the preview anew, unless a painting is under way."""
        self.version += 1
        if not self.busy:
            self._begin_preview()

    def _begin_preview(self) -> None:
        """Paint what is chosen small, instead of the last preview."""
        old, self.preview, self.problem = self.preview, None, ""
        try:
            if self.chosen.ready:
                preview = self.chosen.painting(self.painter, size=(PREVIEW,), steps=PREVIEW_STEPS)
                preview.start(old)
                self.preview, old = preview, None
                self.begun += 1
        except (TypeError, ValueError) as error:
            self.problem = str(error)
        if old:
            old.close()
        self.shown = self.preview

    def paint(self) -> str:
        """Paint what is chosen at its size, instead of the preview; return what it needs. This reads the images.

        Raises
        ------
        Refused
            If no image is chosen, a setting is wrong, the line is full, or it does not fit into the memory.
        """
        with self._starting:
            if self.busy:
                raise Refused("A painting is under way. Stop it, or wait until it is finished.")
            try:
                painting = self.chosen.painting(self.painter)
                need = needs(painting)
                painting.start(self.preview)
            except (TypeError, ValueError) as error:
                raise Refused(f"{error}") from None
            self.collect()
            if self.painting:
                self.painting.close()
            self._of_painting = self.chosen.copy()
            self.begun += 1
            self.preview, self.painting, self.shown, self.problem = None, painting, painting, ""
        return str(need)

    def set_region(self, style: Given, work: Brushwork | None) -> None:
        """Keep a style to a region of the content image, or give it all of it again."""
        mask = work and work.source(f"region_{self.chosen.styles.index(style) + 1}.png")
        if mask:
            self.chosen.masks[style.key] = mask
        else:
            self.chosen.masks.pop(style.key, None)
        self.changed()

    def set_rest(self, style: Given) -> None:
        """Keep a style to what the regions of the others leave.

        Raises
        ------
        Refused
            If no other style has a region.
        """
        others = [mask for key, mask in self.chosen.masks.items() if key != style.key]
        content = self.chosen.content
        if not others or content is None:
            raise Refused("No other style has a region yet. Paint one for another style first.")
        name = f"region_{self.chosen.styles.index(style) + 1}.png"
        self.chosen.masks[style.key] = all_but(others, content.width, content.height, name)
        self.changed()

    def again(self, finished: Finished) -> None:
        """Choose what a picture was painted from."""
        self.chosen = finished.chosen.copy()
        self.changed()

    @property
    def to_collect(self) -> bool:
        """Whether there is a picture that is not in the gallery."""
        painting = self.painting
        return (
            painting is not None and painting.result is not None and all(one.of is not painting for one in self.gallery)
        )

    def collect(self) -> None:
        """Put a painting that has ended into the gallery, if it is not there. It writes a file."""
        with self._collecting:
            painting = self.painting
            if not self.to_collect or painting is None or painting.result is None:
                return
            result = painting.result
            height, width = result.image.shape[:2]
            stems = [given.source.name.rpartition(".")[0] for given in self._of_painting.images]
            key = secrets.token_hex(8)
            file = self.folder / f"{key}.png"
            result.save(file)
            name = f"{'-'.join(stems[:3])}-{len(self.gallery) + 1}.png"
            self.gallery.insert(
                0, Finished(file, name, width, height, result.complete, self._of_painting, painting, key)
            )
            for old in self.gallery[MOST_PICTURES:]:
                old.file.unlink(missing_ok=True)
            del self.gallery[MOST_PICTURES:]

    def leave(self) -> None:
        """A page was closed. With the last one the work ends, unless it is to go on."""
        self.pages -= 1
        if self.pages <= 0 and not self.keep:
            for painting in (self.preview, self.painting):
                if painting:
                    painting.stop()
