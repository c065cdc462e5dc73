"""Between image files and arrays.

Inside the library an image is a float array of shape (H, W, 3), RGB, with 0 for black and 1 for white.
"""

import contextlib
import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from PIL import Image, ImageOps

from nst_numpy.validation import check_number

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "GIF", "BMP", "PPM", "AVIF")  # those that are read
LONGEST_SIDE = 65_535  # JPEG's limit


def load(
    source: Any,
    size: int | None = None,
    *,
    shape: tuple[int, int] | None = None,
    dtype: DTypeLike = np.float32,
) -> np.ndarray:
    """Load an image as an array of floats.

    Parameters
    ----------
    source : path, file object, PIL image, array, or object with ``__array__`` or ``__array_interface__``
        A file in one of the formats `FORMATS`, or a file object opened in binary mode; of an animation, the first
        frame. Arrays have shape (H, W, 3), (H, W, 4) with opacity, or (H, W) for grey, and hold uint8 in 0–255 or
        floats in 0–1; so do tensors of other libraries, in the CPU's memory. Transparent pixels are laid on white.
    size : int, optional
        Length of the longer side in pixels, at least 1: the image is scaled up or down to it. By default it keeps its
        size.
    shape : (int, int), optional
        Exact height and width in pixels, instead of `size`.
    dtype : float32 or float64

    Returns
    -------
    ndarray, shape (H, W, 3)
        Values in 0–1, in memory of its own.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    TypeError
        If the source, the size or the shape is of another type.
    ValueError
        If the file can't be read as an image, the array has the wrong shape, dtype or range of values, or the size is
        out of range.

    Notes
    -----
    The rotation in the EXIF data is applied. Grey of 16 bits keeps all of them; of 16-bit colour, Pillow keeps the
    upper 8. Float images (TIFF) must lie in 0–1, like float arrays. Scaling uses Pillow's Lanczos filter in float32.

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
    _check_size(size, shape)
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise ValueError(f"dtype must be float32 or float64, found {dtype}")
    array = _read(source)
    height, width = array.shape[:2]
    if size is not None:
        factor = int(size) / max(height, width)
        shape = max(1, round(height * factor)), max(1, round(width * factor))
    height, width = shape or (height, width)
    image = np.empty((height, width, 3), dtype)
    for c in range(3):  # one after the other, to save memory
        image[..., c] = _resize(_channel(array, c), height, width)
    return image


def to_uint8(image: np.ndarray) -> np.ndarray:
    """The image in 8 bits: values clipped to 0–1, then rounded to 0–255."""
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def png(image: np.ndarray) -> bytes:
    """A uint8 image (H, W, 3) as the bytes of a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "png")
    return buffer.getvalue()


def check_output(path: str | os.PathLike, suffixes: Sequence[str] = ()) -> Path:
    """Whether a file can be written to this path, found out before the work starts.

    Parameters
    ----------
    path : path
    suffixes : sequence of str, optional
        Those allowed; by default those of all image formats that can be written.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If the suffix is none of those, or the path is a folder, or can't be written.
    FileNotFoundError
        If the folder does not exist.
    """
    path = Path(path)
    Image.init()
    known = {suffix for suffix, name in Image.registered_extensions().items() if name in Image.SAVE}
    if path.suffix.lower() not in (suffixes or known):
        wrong = f"none of {', '.join(suffixes)}" if suffixes else "no image suffix; use .png or .jpg, for example"
        raise ValueError(f"cannot write {path}: {path.suffix!r} is {wrong}")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: the folder {path.parent} does not exist; create it first")
    if path.is_dir():
        raise ValueError(f"cannot write {path}: it is a folder")
    if not os.access(path.parent, os.W_OK):
        raise ValueError(f"cannot write {path}: no permission to write in {path.parent}")
    return path


def save(image: np.ndarray, path: str | os.PathLike) -> None:
    """Write a uint8 image (H, W, 3) to a file; the suffix names the format. The file is written whole or not at all.

    Raises
    ------
    ValueError, FileNotFoundError
        As `check_output`.
    """
    path = check_output(path)
    options = {"quality": 95} if path.suffix.lower() in (".jpg", ".jpeg", ".webp") else {}
    with whole_file(path) as part:
        Image.fromarray(image).save(part, **options)


ANIMATIONS, PLOTS = (".gif", ".webp", ".png"), (".png", ".svg", ".pdf")
TABLES_AND_PLOTS = (".csv", *PLOTS)


def save_animation(pictures: list[np.ndarray], path: str | os.PathLike, seconds: float) -> None:
    """Write uint8 images (h, w, 3) as an animation of the size of the last, which stays for a second.

    The file is written whole or not at all.

    Parameters
    ----------
    pictures : list of ndarray of uint8
    path : path
        Ending in .gif, .webp or .png.
    seconds : float
        How long all but the last picture take together.

    Raises
    ------
    ValueError, FileNotFoundError
        If the suffix is another one, and as `check_output`.
    """
    path = check_output(path, ANIMATIONS)
    size = pictures[-1].shape[1::-1]
    frames = [Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC) for picture in pictures]
    duration = [max(round(1000 * seconds / max(len(frames) - 1, 1)), 1)] * (len(frames) - 1) + [1000]
    with whole_file(path) as part:
        frames[0].save(part, save_all=True, append_images=frames[1:], duration=duration, loop=0)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside the given one to write to; what is there in the end takes the place of the file."""
    with tempfile.TemporaryDirectory(prefix=".nst_numpy_", dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)


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
            raise TypeError(f"shape must be (height, width), found {shape!r}")
        for name, value in zip(("height", "width"), shape, strict=True):
            check_number(f"the {name} in shape", value, whole=True, least=1, most=LONGEST_SIDE)


def _read(source: Any) -> np.ndarray:
    """Return the pixels of any source as a checked array: uint8, or floats in 0–1."""
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        _check_readable(path)
        return _decode(path, str(path))
    if isinstance(source, Image.Image):
        return _check_array(_pixels(source))
    if hasattr(source, "read"):
        return _decode(_buffered(source), str(getattr(source, "name", "the file object")))
    if isinstance(source, np.ma.MaskedArray):
        raise TypeError("an image can't be a masked array; fill it first, as in image.filled(0)")
    if hasattr(source, "__array__") or hasattr(source, "__array_interface__"):
        try:
            array = np.asarray(source)
        except Exception as error:
            raise ValueError(f"cannot make an array from this {type(source).__name__}: {error}") from None
        return _check_array(array)
    hint = "; wrap it in io.BytesIO" if isinstance(source, bytes) else ""
    raise TypeError(
        f"an image must be a path, a file object, a PIL image or an array, found {type(source).__name__}{hint}"
    )


def _check_readable(path: Path) -> None:
    """Refuse what is no regular file: opening a FIFO or a device might block forever."""
    try:
        if not path.exists():
            raise FileNotFoundError(f"there is no file {path}")
        if not path.is_file():
            raise ValueError(f"cannot read {path}: it is {'a folder' if path.is_dir() else 'not a regular file'}")
    except FileNotFoundError:
        raise
    except OSError as error:  # a name that is too long, a folder that may not be entered
        raise ValueError(f"cannot read {path}: {error.strerror}") from None


def _buffered(file: Any) -> io.BytesIO:
    """Return the bytes of a file object, from its beginning where it can seek."""
    if hasattr(file, "seekable") and file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise TypeError('an image file must be opened in binary mode, as in open(path, "rb")')
    return io.BytesIO(data)


def _decode(file: Path | io.BytesIO, name: str) -> np.ndarray:
    """Return the pixels of a file as a checked array. Whatever Pillow's plugins raise, a ValueError comes out."""
    Image.init()
    try:
        with Image.open(file, formats=[format for format in FORMATS if format in Image.OPEN]) as picture:
            return _check_array(_pixels(picture))
    except Image.UnidentifiedImageError:
        raise ValueError(f"cannot read {name}: not an image in a known format ({', '.join(FORMATS)})") from None
    except Exception as error:
        raise ValueError(f"cannot read {name}: {str(error) or type(error).__name__}") from None


def _pixels(picture: Image.Image) -> np.ndarray:
    """Return a PIL image as an array: uint8 (H, W, 3) or (H, W, 4), or floats (H, W) if it has more than 8 bits."""
    picture.load()
    with contextlib.suppress(Exception):  # damaged EXIF data say nothing about the pixels
        picture = ImageOps.exif_transpose(picture)
    if picture.mode == "F":
        return np.asarray(picture)
    if picture.mode.startswith("I"):  # converted to RGB, Pillow would clip them at 255
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65_535:
            raise ValueError("its grey values need more than 16 bits; convert it to 16 or 8 bits first")
        return values / 65_535
    return np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB"))


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


def _channel(array: np.ndarray, c: int) -> np.ndarray:
    """Return one of the channels R, G and B in 0–1, on white where the image is transparent."""
    unit = 255 if array.dtype == np.uint8 else 1
    channel = (array if array.ndim == 2 else array[..., c]) / unit
    if array.shape[2:] == (4,):
        opacity = array[..., 3] / unit
        channel = channel * opacity + (1 - opacity)
    return channel


def _resize(channel: np.ndarray, height: int, width: int) -> np.ndarray:
    if channel.shape == (height, width):
        return channel
    resized = Image.fromarray(channel.astype(np.float32)).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(resized).clip(0, 1)
