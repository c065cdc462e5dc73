"""Between image files and arrays.

Inside the library an image is a float array of shape (H, W, 3), RGB, with 0 for black and 1 for white.
"""

import io
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps


def load(source, size: int | tuple[int, int] | None = None, *, dtype: np.dtype = np.float32) -> np.ndarray:
    """An image as a float array.

    Parameters
    ----------
    source : path, PIL image or ndarray
        An array is (H, W, 3), (H, W, 4) with opacity, or (H, W) grey; uint8 in 0–255 or floats in 0–1. What is
        transparent is laid on white.
    size : int or (int, int), optional
        Length of the longer side in pixels, or (height, width); the image is scaled to it, up or down. By default it
        stays as it is.
    dtype : float32 or float64

    Returns
    -------
    ndarray, shape (H, W, 3)
        Values in 0–1.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If the source is no image that can be read, or has the wrong shape, type or range of values.
    """
    if isinstance(source, str | os.PathLike):
        array = _from_pil(_open(Path(source)))
    elif isinstance(source, Image.Image):
        array = _from_pil(source)
    elif isinstance(source, np.ndarray):
        array = _from_array(source)
    else:
        raise ValueError(f"an image must be a path, a PIL image or an array, found {type(source).__name__}")
    height, width = array.shape[:2]
    if isinstance(size, int):
        factor = size / max(height, width)
        size = max(1, round(height * factor)), max(1, round(width * factor))
    if size is not None and size != (height, width):
        array = _resize(array, *size)
    return array.astype(dtype)


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


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path beside the given one to write to; what is there in the end takes the place of the file."""
    with tempfile.TemporaryDirectory(prefix=".nst_numpy_", dir=path.parent) as folder:
        part = Path(folder) / path.name
        yield part
        os.replace(part, path)


def _open(path: Path) -> Image.Image:
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except Image.UnidentifiedImageError:
        raise ValueError(f"{path} is not an image that can be read") from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"cannot read {path}: {error}") from None


def _from_pil(picture: Image.Image) -> np.ndarray:
    picture = ImageOps.exif_transpose(picture)
    if picture.mode.startswith("I"):  # 16 bits of grey; Pillow would cut them off at 255
        return _from_array(np.asarray(picture) / 65535)
    return _from_array(np.asarray(picture.convert("RGBA" if picture.has_transparency_data else "RGB")))


def _from_array(array: np.ndarray) -> np.ndarray:
    if array.ndim == 2:
        array = np.stack([array] * 3, axis=-1)
    if array.ndim != 3 or array.shape[2] not in (3, 4) or array.size == 0:
        raise ValueError(f"an image array must have shape (H, W, 3), (H, W, 4) or (H, W), found {array.shape}")
    if array.dtype == np.uint8:
        array = array / 255
    elif not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"an image array must be uint8 in 0–255 or floats in 0–1, found {array.dtype}")
    elif not np.isfinite(array).all():
        raise ValueError("the image contains values that are not finite (NaN or infinity)")
    elif array.min() < 0 or array.max() > 1:
        raise ValueError(
            f"an image array of floats must lie in 0–1, found {array.min():.4g} to {array.max():.4g}; "
            "divide by 255, or convert to uint8"
        )
    if array.shape[2] == 4:
        opacity = array[..., 3:]
        array = array[..., :3] * opacity + (1 - opacity)
    return array


def _resize(array: np.ndarray, height: int, width: int) -> np.ndarray:
    channels = [Image.fromarray(array[..., c].astype(np.float32)) for c in range(3)]
    resized = [channel.resize((width, height), Image.Resampling.LANCZOS) for channel in channels]
    return np.clip(np.stack([np.asarray(channel) for channel in resized], axis=-1), 0, 1)
