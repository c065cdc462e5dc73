"""Between image files and arrays.

Inside the library an image is a float array of shape (H, W, 3), RGB, with 0 for black and 1 for white. Its colors are
sRGB: those of files with another profile are converted, and files that are written say sRGB in a profile of their own.
"""

import contextlib
import io
import os
import shutil
import struct
import tempfile
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from PIL import ExifTags, Image, ImageCms, ImageOps, PngImagePlugin, TiffImagePlugin, UnidentifiedImageError

from nst_numpy.signals import interrupts_wait
from nst_numpy.validation import check_number, checked, floating_type, shown, warn

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")  # for reading
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".avif", ".gif", ".bmp", ".ppm")  # for writing
LONGEST_SIDE = 65_535  # JPEG's limit
LONGEST_DESCRIPTION = 60_000  # the EXIF data of a JPEG file are limited to 64 kB
DEEP = (".png", ".tif", ".tiff")  # with 16 bits
TRANSPARENT = (".png", ".webp", ".tif", ".tiff", ".avif")
ANIMATIONS, PLOTS = (".gif", ".webp", ".png"), (".png", ".svg", ".pdf")
UNFINISHED = ".nst_numpy_"  # how the names of folders begin in which files are written
LEFT_BEHIND = 3600  # seconds after which nobody writes an unfinished file any more
TABLES_AND_PLOTS = (".csv", *PLOTS)


def load(
    source: Any,
    size: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    dtype: DTypeLike = np.float32,
    ground: float = 1.0,
) -> np.ndarray:
    """Load an image as an array of floats.

    Parameters
    ----------
    source : path, file object, PIL image, array, or object with ``__array__`` or ``__array_interface__``
        A file in one of the formats `FORMATS`, or a file object opened in binary mode; of an animation, the first
        frame is read. Colors with an ICC profile are converted to sRGB. Arrays, and tensors of other libraries, have
        shape (H, W, 3), (H, W, 4) with opacity, or (H, W) for grey, and hold uint8 in 0–255 or floats in 0–1.
        Transparent areas are composited on `ground`.
    size : int, optional
        Length of the longer side in pixels, at least 1; the image is scaled up or down to it, and keeps its aspect
        ratio. By default it keeps its size.
    shape : (int, int), optional
        Exact height and width in pixels, instead of `size`.
    dtype : float32 or float64
    ground : float
        What is seen through transparent areas: 1 is white, 0 is black.

    Returns
    -------
    ndarray, shape (H, W, 3)
        A new array, with values in 0–1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If the source, the size, the shape or dtype is of another type.
    ValueError
        If the file can't be read as an image, the array has the wrong shape, dtype or range of values, or the size or
        the ground is out of range.

    Notes
    -----
    The rotation in the EXIF data is applied. A profile that is damaged, or is for other channels, gives a warning, and
    the colors are taken as sRGB. 16-bit grey keeps its precision, and has no use for a profile; of 16-bit color, Pillow
    keeps the upper 8 bits. The values of a float TIFF must lie in 0–1, like those of a float array. Scaling uses
    Pillow's Lanczos filter in float32.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> picture = np.zeros((200, 300, 3), np.uint8)
    >>> images.load(picture).shape
    (200, 300, 3)
    >>> images.load(picture, 30).shape
    (20, 30, 3)
    >>> images.load(picture, shape=(64, 64), dtype=np.float64).dtype
    dtype('float64')
    """
    return load_with_opacity(source, size, shape=shape, dtype=dtype, ground=ground)[0]


def load_with_opacity(
    source: Any,
    size: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    dtype: DTypeLike = np.float32,
    ground: float = 1.0,
) -> tuple[np.ndarray, np.ndarray | None]:
    """Load an image, and its opacity as a second array.

    Parameters
    ----------
    source, size, shape, dtype, ground
        As in `load`.

    Returns
    -------
    image : ndarray, shape (H, W, 3)
        As `load` returns it.
    opacity : ndarray, shape (H, W), or None
        1 is opaque, 0 transparent; None if all of the image is opaque.

    Raises
    ------
    FileNotFoundError, TypeError, ValueError
        As `load`.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> half = np.zeros((1, 2, 4))
    >>> half[0, 1, 3] = 1  # its right pixel is black, its left one transparent
    >>> image, opacity = images.load_with_opacity(half)
    >>> image[..., 0], opacity
    (array([[1., 0.]], dtype=float32), array([[0., 1.]], dtype=float32))
    """
    _check_size(size, shape)
    check_number("ground", ground, most=1)
    dtype = floating_type(dtype, "float32", "float64")
    array = _read(source)
    height, width = array.shape[:2]
    if size is not None:
        factor = int(size) / max(height, width)
        shape = max(1, round(height * factor)), max(1, round(width * factor))
    height, width = shape or (height, width)
    image = np.empty((height, width, 3), dtype)
    for c in range(3):  # one after the other, to save memory
        image[..., c] = resize(_channel(array, c, ground), height, width)
    opacity = _opacity(array)
    return image, None if opacity is None else resize(opacity, height, width).astype(dtype, copy=False)


@checked(image="...?")
def to_uint8(image: np.ndarray) -> np.ndarray:
    """Convert an image to 8 bits: values are clipped to 0–1, then rounded to 0–255.

    Parameters
    ----------
    image : ndarray of float, any shape

    Returns
    -------
    ndarray of uint8, shape of `image`

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> images.to_uint8(np.array([-0.1, 0.5, 1.0])).tolist()
    [0, 128, 255]
    """
    scaled: np.ndarray = np.clip(image, 0, 1) * 255
    return scaled.round().astype(np.uint8)


@checked(image="...?")
def to_uint16(image: np.ndarray) -> np.ndarray:
    """Convert an image to 16 bits: values are clipped to 0–1, then rounded to 0–65535.

    Parameters
    ----------
    image : ndarray of float, any shape

    Returns
    -------
    ndarray of uint16, shape of `image`

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> images.to_uint16(np.array([-0.1, 0.5, 1.0])).tolist()
    [0, 32768, 65535]
    """
    scaled: np.ndarray = np.clip(image, 0, 1, dtype=np.float64) * 65_535  # float32 would round a second time
    return scaled.round().astype(np.uint16)


@checked()
def png(image: np.ndarray) -> bytes:
    """Encode an image as a PNG file in memory.

    Parameters
    ----------
    image : ndarray of uint8, shape (H, W, 3) or (H, W, 4)

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> images.png(np.zeros((2, 2, 3), np.uint8))[1:4]
    b'PNG'
    """
    buffer = io.BytesIO()
    _to_pil(image).save(buffer, "png")
    return buffer.getvalue()


@checked()
def check_output(path: str | os.PathLike[str], suffixes: Sequence[str] = (), *, inputs: Iterable[Any] = ()) -> Path:
    """Check that a file can be written to a path, before the work starts.

    Parameters
    ----------
    path : path
    suffixes : sequence of str, optional
        Those allowed; by default those of the image formats that `save` writes.
    inputs : iterable, optional
        Files that must not be overwritten. Entries that are not paths, such as arrays and None, are ignored.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the suffix is not allowed, the path can't be written, or it is the same file as one of the inputs.
    FileNotFoundError
        If the folder does not exist.

    Examples
    --------
    >>> from nst_numpy import images
    >>> images.check_output("picture.png").name
    'picture.png'
    >>> images.check_output("photograph.png", inputs=["photograph.png", "painting.png"])
    Traceback (most recent call last):
    ValueError: cannot write photograph.png: it is the same file as the input photograph.png; choose another name
    """
    path = Path(path)
    allowed = suffixes or _writable()
    with _explain(f"cannot write {path}"):
        target = Path(os.path.realpath(path))
        if path.suffix.lower() not in allowed:
            raise ValueError(f"the suffix must be one of {', '.join(allowed)}, found {path.suffix!r}")
        if not target.parent.is_dir():
            raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
        if not os.access(target.parent, os.W_OK | os.X_OK):
            raise ValueError(f"no permission to write in {path.parent}")
        _check_regular(target)
        if target.exists() and not os.access(target, os.W_OK):
            raise ValueError("the existing file is write-protected")
        for source in [inputs] if isinstance(inputs, str | os.PathLike) else inputs:
            if isinstance(source, str | os.PathLike) and _same_file(target, Path(source)):
                raise ValueError(f"it is the same file as the input {source}; choose another name")
    return path


@checked()
def save(image: np.ndarray, path: str | os.PathLike[str], description: str = "") -> None:
    """Write an image to a file, whole or not at all; the suffix names the format.

    PNG, JPEG, WebP, TIFF and AVIF files hold the sRGB profile, so that every program shows the same colors.

    Parameters
    ----------
    image : ndarray, shape (H, W, 3), or (H, W, 4) with opacity
        Of uint8; or of uint16, for a PNG or TIFF file with 16 bits. Formats without transparency (JPEG, GIF, BMP, PPM)
        leave the opacity out, with a warning.
    path : path
    description : str, optional
        A text to keep in the picture, as the field ImageDescription of the EXIF data: up to 60,000 ASCII characters.
        GIF, BMP and PPM have no such field; there it is dropped.

    Raises
    ------
    ValueError, FileNotFoundError
        As `check_output`; or if the array is not such an image, or the description not such a text.
    TypeError
        If the description is not a string.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images.save(np.zeros((2, 3, 3), np.uint8), f"{folder}/black.png")
    ...     images.load(f"{folder}/black.png").shape
    (2, 3, 3)
    """
    from nst_numpy import __version__

    deep = isinstance(image, np.ndarray) and image.dtype == np.uint16
    path = check_output(path, DEEP if deep else ())
    _check_pixels(image, np.uint16 if deep else np.uint8)
    if not isinstance(description, str):
        raise TypeError(f"a description must be a string, found {type(description).__name__}")
    if not description.isascii() or "\0" in description or len(description) > LONGEST_DESCRIPTION:
        raise ValueError(
            f"a description must be ASCII text of at most {LONGEST_DESCRIPTION} characters, "
            f"found {len(description)}: {description[:60]!r}"
        )
    if image.shape[2] == 4 and path.suffix.lower() not in TRANSPARENT:
        warn(
            f"{path}: {path.suffix} has no transparency, and the whole picture is shown; "
            f"{', '.join(TRANSPARENT)} keep it"
        )
        image = image[..., :3]
    exif = Image.Exif()
    if description:
        exif[ExifTags.Base.ImageDescription] = description
        exif[ExifTags.Base.Software] = f"nst_numpy {__version__}"
    with whole_file(path) as part:
        if not deep:
            options: dict[str, Any] = {"exif": exif} if description else {}
            Image.fromarray(image).save(part, quality=95, icc_profile=srgb(), **options)  # lossless: no quality
        elif path.suffix.lower() == ".png":
            _write_deep_png(image, part, exif)
        else:
            _write_deep_tiff(image, part, exif)


@cache
def srgb() -> bytes:
    """The ICC profile of sRGB, as it is written into files.

    Examples
    --------
    >>> from nst_numpy import images
    >>> images.srgb()[16:20]
    b'RGB '
    """
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    no_date = struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # else the same picture would be another file a second later
    return profile[:24] + no_date + profile[36:]


def _write_deep_png(image: np.ndarray, path: Path, exif: Image.Exif) -> None:
    """Write a PNG file with 16 bits; Pillow writes such grey, but no color."""
    height, width, channels = image.shape
    rows = image.astype(">u2").view(np.uint8).reshape(height, width, 2 * channels)
    filtered = rows.copy()
    filtered[:, 1:] -= rows[:, :-1]  # the filter "Sub", number 1: differences from the pixel before compress better
    kind = 6 if channels == 4 else 2
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        PngImagePlugin.putchunk(file, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0))
        PngImagePlugin.putchunk(file, b"iCCP", b"sRGB\0\0" + zlib.compress(srgb()))
        if exif:
            PngImagePlugin.putchunk(file, b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
        deflate = zlib.compressobj()
        for row in filtered:  # a chunk can't be longer than 2 GB
            if packed := deflate.compress(b"\1" + row.tobytes()):
                PngImagePlugin.putchunk(file, b"IDAT", packed)
        PngImagePlugin.putchunk(file, b"IDAT", deflate.flush())
        PngImagePlugin.putchunk(file, b"IEND", b"")


def _write_deep_tiff(image: np.ndarray, path: Path, exif: Image.Exif) -> None:
    """Write a TIFF file with 16 bits, as one strip."""
    height, width, channels = image.shape
    differences = image.astype("<u2")
    differences[:, 1:] -= image[:, :-1]
    strip = zlib.compress(differences.tobytes())
    directory = TiffImagePlugin.ImageFileDirectory_v2(b"II*\0\0\0\0\0")
    tags = {
        ExifTags.Base.ImageWidth: width,
        ExifTags.Base.ImageLength: height,
        ExifTags.Base.BitsPerSample: (16,) * channels,
        ExifTags.Base.Compression: 8,  # deflate
        ExifTags.Base.PhotometricInterpretation: 2,  # RGB
        ExifTags.Base.SamplesPerPixel: channels,
        ExifTags.Base.RowsPerStrip: height,
        ExifTags.Base.StripOffsets: 0,  # from the end of the directory
        ExifTags.Base.StripByteCounts: len(strip),
        ExifTags.Base.PlanarConfiguration: 1,
        ExifTags.Base.Predictor: 2,  # differences
        ExifTags.Base.InterColorProfile: srgb(),
        **exif,
    }
    if channels == 4:
        tags[ExifTags.Base.ExtraSamples] = 2  # opacity, by which colors are not multiplied
    for tag, value in tags.items():
        directory[tag] = value
    with open(path, "wb") as file:
        directory.save(file)
        file.write(strip)


@checked()
def description(path: str | os.PathLike[str]) -> str:
    """Return the text that `save` kept in a picture; empty if there is none.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the file can't be read as an image.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images.save(np.zeros((2, 3, 3), np.uint8), f"{folder}/black.jpg", "all black")
    ...     images.description(f"{folder}/black.jpg")
    'all black'
    """
    with _open(path) as picture:
        return str(picture.getexif().get(ExifTags.Base.ImageDescription, ""))


@checked()
def save_animation(pictures: Sequence[np.ndarray], path: str | os.PathLike[str], seconds: float) -> None:
    """Write an animation, whole or not at all. It has the size of the last picture, which stays for a second.

    Parameters
    ----------
    pictures : sequence of ndarray of uint8, shapes (h, w, 3)
        At least one; they may differ in size.
    path : path
        Ending in .gif, .webp or .png.
    seconds : float
        Duration of all but the last picture together.

    Raises
    ------
    ValueError, FileNotFoundError
        If the suffix is another one, and as `check_output`; or if there are no pictures.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from PIL import Image
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     frames = [np.full((8, 8, 3), value, np.uint8) for value in (0, 99, 255)]
    ...     images.save_animation(frames, f"{folder}/brighter.gif", seconds=2)
    ...     with Image.open(f"{folder}/brighter.gif") as animation:
    ...         animation.n_frames
    3
    """
    path = check_output(path, ANIMATIONS)
    check_number("seconds", seconds)
    if not pictures:
        raise ValueError("an animation needs at least one picture")
    frames = [_to_pil(picture) for picture in pictures]
    frames = [frame.resize(frames[-1].size) for frame in frames]
    before = len(frames) - 1
    duration = [max(round(1000 * seconds / max(before, 1)), 1)] * before + [1000]
    with whole_file(path) as part:
        frames[0].save(part, save_all=True, append_images=frames[1:], duration=duration, loop=0)


@contextlib.contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file whole or not at all: yield a temporary path beside it, which replaces it at the end.

    A symbolic link is followed, and the permissions of a file that is replaced are kept. Ctrl-C waits until the end:
    anywhere within the removal of a folder it can turn into an error about a closed file. What programs have left that
    were killed here while they wrote, an hour ago or earlier, is removed.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        If there is something that is not a regular file, such as a folder or a device.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "text.txt")
    ...     with images.whole_file(path) as part:
    ...         _ = part.write_text("all of it")
    ...     path.read_text()
    'all of it'
    """
    target = Path(os.path.realpath(path))
    with _explain(f"cannot write {path}"):
        _check_regular(target)  # the system's administrator could replace /dev/null
    remove_leftovers(target.parent)
    try:
        with interrupts_wait(), tempfile.TemporaryDirectory(prefix=UNFINISHED, dir=target.parent) as folder:
            part = Path(folder) / target.name
            yield part
            if target.exists():
                shutil.copymode(target, part)
            os.replace(part, target)
    except OSError as error:
        if error.errno and (error.filename is None or UNFINISHED in str(error.filename)):
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None  # the file's name, not the part's
        raise


@checked()
def remove_leftovers(folder: str | os.PathLike[str], file: str = "", age: float = LEFT_BEHIND) -> None:
    """Remove what programs have left in a folder that were killed while they wrote.

    Parameters
    ----------
    folder : path
    file : str
        Remove what is left of the file of this name only; by default of all.
    age : float
        What is younger, in seconds, is taken as still being written. The only one who writes there gives −∞.

    Examples
    --------
    >>> import os, pathlib, tempfile
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     old, new = (pathlib.Path(folder, images.UNFINISHED + name) for name in ("old", "new"))
    ...     for left in (old, new):
    ...         left.mkdir()
    ...     os.utime(old, (0, 0))
    ...     images.remove_leftovers(folder)
    ...     old.exists(), new.exists()
    (False, True)
    """
    for left in Path(folder).glob(f"{UNFINISHED}*"):
        with contextlib.suppress(OSError):  # another program removes them, too
            if (not file or (left / file).exists()) and time.time() - left.stat().st_mtime > age:
                shutil.rmtree(left, ignore_errors=True)


@checked()
def write_text(path: str | os.PathLike[str], text: str, encoding: str = "utf-8") -> None:
    """Write a text to a file, whole or not at all, with the line ends it has.

    Parameters
    ----------
    path : path
    text : str
    encoding : str

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     images.write_text(f"{folder}/text.txt", "all of it")
    ...     pathlib.Path(folder, "text.txt").read_text()
    'all of it'
    """
    with whole_file(path) as part:
        part.write_text(text, encoding=encoding, newline="")


def _check_size(size: object, shape: object) -> None:
    """Check the arguments of `load` that set the size."""
    if size is not None and shape is not None:
        raise ValueError("size and shape exclude each other: size is the longer side, shape is (height, width)")
    if isinstance(size, tuple | list):
        raise TypeError(f"size is the longer side in pixels, one number, found {size}; for both sides use shape=")
    if size is not None:
        check_number("size", size, whole=True, least=1, most=LONGEST_SIDE)
    if shape is not None:
        if not isinstance(shape, tuple | list) or len(shape) != 2:
            raise TypeError(f"shape must be (height, width), found {shown(shape)}")
        for name, value in (("height", shape[0]), ("width", shape[1])):
            check_number(f"the {name} in shape", value, whole=True, least=1, most=LONGEST_SIDE)


def _read(source: Any) -> np.ndarray:
    """Return the pixels of a source as an array: uint8, or floats in 0–1."""
    if isinstance(source, str | os.PathLike):
        with _open(source) as picture:
            return _check_array(_pixels(picture))
    if isinstance(source, Image.Image):
        with _explain("cannot read the PIL image"):
            return _check_array(_pixels(source))
    if hasattr(source, "read"):
        file = _buffered(source)
        with _explain(f"cannot read {getattr(source, 'name', 'the file object')}"), _decoder(file) as picture:
            return _check_array(_pixels(picture))
    if isinstance(source, np.ma.MaskedArray):
        raise TypeError("an image can't be a masked array; fill it first, as in image.filled(0)")
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        with _explain(f"cannot make an array from this {type(source).__name__}"):
            array = np.asarray(source)
        return _check_array(array)
    hint = "; wrap it in io.BytesIO" if isinstance(source, bytes) else ""
    raise TypeError(
        f"an image must be a path, a file object, a PIL image or an array, found {type(source).__name__}{hint}"
    )


def _check_regular(path: Path) -> None:
    """Refuse what exists and is not a regular file: opening a FIFO or a device may block forever."""
    if path.exists() and not path.is_file():
        raise ValueError(f"it is {'a folder' if path.is_dir() else 'not a regular file'}")


def _same_file(a: Path, b: Path) -> bool:
    """Return whether two paths name the same file, which need not exist; links are followed."""
    try:
        return os.path.samefile(a, b)
    except OSError:
        return os.path.realpath(a) == os.path.realpath(b)


def suffixes(bits: int = 8) -> list[str]:
    """Return the suffixes of the formats that can be written with so many bits for each color.

    Parameters
    ----------
    bits : {8, 16}

    Raises
    ------
    ValueError
        If it is not 8 or 16.

    Examples
    --------
    >>> from nst_numpy import images
    >>> images.suffixes(16)
    ['.png', '.tif', '.tiff']
    """
    if not isinstance(bits, int | np.integer) or bits not in (8, 16):
        raise ValueError(f"bits must be 8 or 16, found {shown(bits)}")
    return list(DEEP) if bits == 16 else _writable()


def _writable() -> list[str]:
    """Return the suffixes in `SUFFIXES` that this version of Pillow can write."""
    Image.init()
    known = Image.registered_extensions()
    return [suffix for suffix in SUFFIXES if known.get(suffix) in Image.SAVE]


@contextlib.contextmanager
def _open(source: str | os.PathLike[str]) -> Iterator[Image.Image]:
    """Open an image file."""
    path = Path(source)
    with _explain(f"cannot read {path}"):
        _check_regular(path)
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}")
        with _decoder(path) as picture:
            yield picture


@contextlib.contextmanager
def _explain(failure: str) -> Iterator[None]:
    """Turn any exception, and Pillow's plugins raise many, into a ValueError that begins with `failure`."""
    failure = failure if len(failure) <= 400 else f"{failure[:400]}…"  # a path can be as long as one likes
    try:
        yield
    except FileNotFoundError:
        raise
    except UnidentifiedImageError:
        raise ValueError(f"{failure}: not an image in a known format ({', '.join(FORMATS)})") from None
    except Exception as error:
        reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise ValueError(f"{failure}: {reason}") from None


def _decoder(file: Path | io.BytesIO) -> Image.Image:
    Image.init()
    return Image.open(file, formats=[name for name in FORMATS if name in Image.OPEN])


def _buffered(file: Any) -> io.BytesIO:
    """Return the bytes of a file object, from its beginning where it can seek."""
    if hasattr(file, "seekable") and file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError('an image file must be opened in binary mode, as in open(path, "rb")')
    return io.BytesIO(data)


def _pixels(picture: Image.Image) -> np.ndarray:
    """Return a PIL image as an array: uint8 (H, W, 3) or (H, W, 4), or floats (H, W) if it has more than 8 bits."""
    picture.load()
    name = str(getattr(picture, "filename", "") or "an image")
    with contextlib.suppress(Exception):  # damaged EXIF data say nothing about the pixels
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        return np.asarray(picture)
    if picture.mode.startswith("I"):  # converted to RGB, Pillow would clip them at 255
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its grey values need more than 16 bits; convert it to 16 or 8 bits first")
        return values / 65_535
    return np.asarray(_in_srgb(picture, name))


def _in_srgb(picture: Image.Image, name: str) -> Image.Image:
    """Return a PIL image in RGB or RGBA, its colors converted from those of its ICC profile, if it has one."""
    plain = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    if not (profile := picture.info.get("icc_profile")) or picture.mode == "LAB":  # that, Pillow converts itself
        return plain
    try:
        given = ImageCms.getOpenProfile(io.BytesIO(profile))
        mode = {"GRAY": "L", "CMYK": "CMYK"}.get(given.profile.xcolor_space.strip(), "RGB")
        if (mode == "L" and picture.mode not in ("1", "L", "LA")) or (mode == "CMYK") != (picture.mode == "CMYK"):
            raise ValueError(f"it is for {mode}, the image is {picture.mode}")
        colors = (plain if mode == "RGB" else picture).convert(mode)
        converted = ImageCms.profileToProfile(colors, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
        assert converted is not None  # it is not in place
    except Exception as error:
        warn(f"{name}: its color profile is not used ({error}); its colors are taken as sRGB")
        return plain
    if plain.mode == "RGBA":
        converted.putalpha(plain.getchannel("A"))
    return converted


def _check_array(array: np.ndarray) -> np.ndarray:
    """Return the array if it is an image by its shape, dtype and range of values."""
    if array.ndim not in (2, 3) or (array.ndim == 3 and array.shape[2] not in (3, 4)) or array.size == 0:
        hint = "; move the channels to the end" if array.ndim == 3 and array.shape[0] in (3, 4) else ""
        raise ValueError(f"an image array must have shape (H, W, 3), (H, W, 4) or (H, W), found {array.shape}{hint}")
    if array.dtype == np.uint8:
        return array
    if array.dtype.kind != "f":
        raise ValueError(f"an image array must be uint8 in 0–255 or floats in 0–1, found {array.dtype}")
    if not np.isfinite(array).all():
        raise ValueError("the image contains values that are not finite (NaN or infinity)")
    if array.min() < 0 or array.max() > 1:
        raise ValueError(
            f"an image array of floats must lie in 0–1, found {array.min():.4g} to {array.max():.4g}; "
            "divide by 255, or convert to uint8"
        )
    return array


def _channel(array: np.ndarray, c: int, ground: float) -> np.ndarray:
    """Return one of the channels R, G and B in 0–1, on a ground of this grey where the image is transparent."""
    unit = 255 if array.dtype == np.uint8 else 1
    channel = (array if array.ndim == 2 else array[..., c]) / unit
    opacity = _opacity(array)
    return channel if opacity is None else channel * opacity + ground * (1 - opacity)


def _opacity(array: np.ndarray) -> np.ndarray | None:
    """Return the fourth channel in 0–1; None if there is none, or all of it is opaque."""
    unit = 255 if array.dtype == np.uint8 else 1
    return array[..., 3] / unit if array.shape[2:] == (4,) and (array[..., 3] != unit).any() else None


def _to_pil(image: np.ndarray) -> Image.Image:
    _check_pixels(image, np.uint8)
    return Image.fromarray(image)


def _check_pixels(image: Any, dtype: type[np.integer[Any]]) -> None:
    """Check an image to write."""
    if isinstance(image, np.ndarray):
        if image.dtype == dtype and image.ndim == 3 and image.shape[2] in (3, 4) and image.size:
            return
        found = f"{image.dtype} {image.shape}"
    else:
        found = type(image).__name__
    raise ValueError(
        f"an image to write must be uint8 or uint16 of shape (H, W, 3) or (H, W, 4), found {found}; use images.to_uint8"
    )


@checked(channel="h w?")
def resize(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    """Scale one channel in 0–1 as `load` does.

    Parameters
    ----------
    channel : ndarray of float, shape (h, w)
    height, width : int

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> images.resize(np.ones((4, 6)), 2, 3).shape
    (2, 3)
    """
    for name, value in (("height", height), ("width", width)):
        check_number(name, value, whole=True, least=1, most=LONGEST_SIDE)
    if channel.shape == (height, width):
        return channel
    resized = Image.fromarray(channel.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized).clip(0, 1)
