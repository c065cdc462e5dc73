"""Films as sequences of images: a folder of pictures in the order of their numbers, or a video file."""

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from nst_numpy import images

VIDEOS = (".mp4", ".gif")  # that are written
OTHERS = (".avi", ".m4v", ".mkv", ".mov", ".mpg", ".webm", *images.SUFFIXES)  # that no folder is called
FPS = 25.0


@dataclass(frozen=True)
class Film:
    """The frames of a film.

    Attributes
    ----------
    names : list of str
        Of the frames.
    read : callable
        Returns an iterator over them, each a path or an array of uint8.
    fps : float
        Frames per second.
    """

    names: list[str]
    read: Callable[[], Iterator[Any]]
    fps: float = FPS


def read(path: Path) -> Film:
    """The film in a folder of pictures, or in a video file.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If there are no frames, they have several sizes, the number of one is missing, or a video can't be read.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> import numpy as np
    >>> from nst_numpy import images
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for n in (9, 10, 11):
    ...         images.save(np.zeros((4, 6, 3), np.uint8), f"{folder}/frame_{n}.png")
    ...     read(pathlib.Path(folder)).names
    ['frame_9', 'frame_10', 'frame_11']
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no folder or video {path}")
    return _folder(path) if path.is_dir() else _video(path)


def write(pictures: Sequence[Path], path: Path, fps: float) -> None:
    """Write pictures as a video file, whole or not at all: .mp4 (H.264), or .gif, whose last picture stays longer.

    Raises
    ------
    ValueError
        If PyAV is not installed, for .mp4.
    """
    if path.suffix.lower() == ".gif":
        shown = [images.to_uint8(images.load(picture)) for picture in pictures]
        images.save_animation(shown, path, max(len(shown) - 1, 1) / fps)
        return
    av = _av()
    with images.whole_file(path) as part, av.open(str(part), "w", format="mp4") as container:
        rate = Fraction(fps).limit_denominator(1001)  # 30000/1001 is a usual one
        stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
        for number, picture in enumerate(pictures):
            image = images.to_uint8(images.load(picture))
            height, width = image.shape[:2]
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")  # colors of 2×2 pixels
            if not number:
                stream.height, stream.width = image.shape[:2]
            frame = av.VideoFrame.from_ndarray(image)
            frame.pts, frame.time_base = number, 1 / rate
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def check_video(path: Path) -> None:
    """Check that what writes a video file is installed.

    Raises
    ------
    ValueError
        If it is not.
    """
    if path.suffix.lower() != ".gif":
        _av()


def _folder(path: Path) -> Film:
    files = [p for p in path.iterdir() if p.suffix.lower() in images.SUFFIXES and not p.name.startswith(".")]
    if not files:
        raise ValueError(f"there are no images in the folder {path}")
    files.sort(key=lambda p: _natural(p.name))
    names = [p.stem for p in files]
    for file, name in zip(files, names, strict=True):
        if names.count(name) > 1:
            raise ValueError(f"two frames in {path} have the name {name}: {file.name} is one; rename or remove it")
    _check_numbers(files)
    first = _size(files[0])
    for file in files:
        if (size := _size(file)) != first:
            raise ValueError(
                f"frames must have one size: {files[0].name} has {first[1]}×{first[0]} pixels, "
                f"{file.name} {size[1]}×{size[0]}"
            )
    return Film(names, lambda: iter(files))


def _natural(name: str) -> list[Any]:
    """What sorts frame_2 before frame_10."""
    return [int(part) if k % 2 else part for k, part in enumerate(re.split(r"(\d+)", name))]


def _check_numbers(files: Sequence[Path]) -> None:
    """Refuse a gap in numbers that are otherwise at equal distances, those of most frames."""
    parts = [re.fullmatch(r"(.*?)(\d+)(\D*)", file.stem, re.DOTALL) for file in files]
    if len({part and (part[1], part[3]) for part in parts}) > 1 or parts[0] is None:
        return
    numbers = [int(part[2]) for part in parts if part]
    distances = [b - a for a, b in itertools.pairwise(numbers)]
    step = min(distances, default=0)
    if not step or 2 * distances.count(step) < len(distances) + (step > 1):
        return
    for k, distance in enumerate(distances):
        if distance > step and distance % step == 0:
            missing = parts[0][1] + str(numbers[k] + step).zfill(len(parts[0][2])) + parts[0][3]
            raise ValueError(
                f"the frame {missing} is missing, between {files[k].name} and {files[k + 1].name}; "
                "put it there, or renumber the frames"
            )


def _size(path: Path) -> tuple[int, int]:
    """Height and width of an image file, from its head."""
    with contextlib.suppress(Exception), Image.open(path) as picture:
        width, height = picture.size
        turned = picture.getexif().get(ExifTags.Base.Orientation, 1) >= 5
        return (width, height) if turned else (height, width)
    height, width = images.load(path).shape[:2]  # its errors say what is wrong
    return height, width


def _video(path: Path) -> Film:
    if path.suffix.lower() in images.SUFFIXES and path.suffix.lower() != ".gif":
        raise ValueError(f"{path} is one image: frames are a folder of images, or a video")
    av = _av()

    def frames() -> Iterator[np.ndarray]:
        with _readable(path), av.open(str(path)) as container:
            for frame in container.decode(video=0):
                yield np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90))

    with _readable(path), av.open(str(path)) as container:
        rate = container.streams.video[0].average_rate
    sizes = Counter(frame.shape[:2] for frame in frames())  # decoded once before the work starts
    if len(sizes) != 1:
        found = ", ".join(f"{width}×{height}" for height, width in sizes) or "none"
        raise ValueError(f"a video must have frames of one size, {path} has {found}")
    count = sizes.total()
    digits = max(4, len(str(count)))
    return Film([f"frame_{n:0{digits}}" for n in range(1, count + 1)], frames, float(rate or FPS))


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ValueError(f"cannot read the video {path}: {reason}") from None


def _av() -> Any:
    try:
        import av
    except ImportError:
        raise ValueError(
            "video files need PyAV: pip install 'nst_numpy[video]'; a folder of images needs nothing"
        ) from None
    return av
