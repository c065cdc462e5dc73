"""The result of a painting: the picture, and its history."""

import json
import os
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from nst_numpy import images
from nst_numpy.settings import Settings
from nst_numpy.validation import warn


@dataclass(frozen=True, eq=False)
class TransferResult:
    """The result of `transfer`, `texture` and `reconstruct`; a notebook displays it as the picture.

    Attributes
    ----------
    pixels : ndarray of float32, shape (H, W, 3)
        The best picture found, in 0–1. These are 12 bytes for each pixel; while it was painted, L-BFGS held about 30
        arrays of this size.
    image : ndarray of uint8, shape (H, W, 3)
        The same with 8 bits.
    history : list of dict of str to float
        For each size, the losses at its start and after every step: "total", "content", "style", "tv", and each style
        layer by its name. They are weighted, and add up: total = content + style + tv, style = the sum over its layers.
        Also the "size", the longer side in pixels.
    message : str
        Why the run ended.
    complete : bool
        False if it was interrupted, or a loss was not finite; `image` is the best picture until then.
    settings : Settings
        Those it was made with.
    frames : list of ndarray of uint8, shape (h, w, 3)
        Intermediate pictures, if requested by `every`, each at the size at which it was painted.
    opacity : ndarray of float32, shape (H, W), or None
        That of the content image, if it has transparent areas: 1 is opaque. They were painted as if they were white.
    record : dict
        All it was made from, as names and numbers, with checksums of the files: what `save` stores; see `records`.
    files : tuple of Path
        Those it was made from, which `save` does not overwrite.
    """

    pixels: np.ndarray
    history: list[dict[str, float]]
    message: str
    complete: bool
    settings: Settings
    frames: list[np.ndarray] = field(default_factory=list)
    opacity: np.ndarray | None = None
    record: dict[str, Any] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    @cached_property
    def image(self) -> np.ndarray:
        return images.to_uint8(self.pixels)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        loss = f", total loss {self.history[-1]['total']:.4g}" if self.history else ""
        return f"TransferResult({width}×{height} pixels{loss}, {self.message})"

    def save(self, path: str | os.PathLike[str], *, bits: int = 8) -> None:
        """Write the picture to a file, whole or not at all; the suffix selects the format. An existing one is replaced.

        PNG, JPEG, WebP, TIFF and AVIF also store the settings and the names of all files that the picture was made
        from, so that `again` can paint it once more, and the sRGB profile. All but JPEG keep the transparent areas of
        the content image; other formats show what was painted there, with a warning.

        Parameters
        ----------
        path : path
        bits : {8, 16}
            For each color of a pixel; 16 for PNG and TIFF only.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is not that of an image format with so many bits, the folder does not exist, or the file is
            one that the picture was made from.
        """
        images.check_output(path, images.suffixes(bits), inputs=self.files)
        text = json.dumps(self.record)
        if len(text) > images.LONGEST_DESCRIPTION:
            warn(
                f"{path} can't be painted again from itself: what it was made from takes {len(text):,} characters, and "
                f"there is room for {images.LONGEST_DESCRIPTION:,}"
            )
            text = ""
        images.save(self._pixels(bits), path, description=text)

    def save_animation(self, path: str | os.PathLike[str], *, seconds: float = 5.0) -> None:
        """Write the intermediate pictures as an animation, GIF, WebP or PNG; the final picture is shown for a second.

        Parameters
        ----------
        path : path
        seconds : float
            Duration of the intermediate pictures.

        Raises
        ------
        ValueError, FileNotFoundError
            If there are no frames, the suffix is not that of an animated format, or the folder does not exist.
        """
        if not self.frames:
            raise ValueError("there are no frames to animate: ask for them with transfer(..., every=5), for example")
        images.save_animation([*self.frames, self.image], path, seconds)

    def save_losses(self, path: str | os.PathLike[str]) -> None:
        """Write the losses: to a .csv file as a table with a row for each entry of the history, otherwise as a plot.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is not that of a table or a plot, or the folder does not exist.
        """
        from nst_numpy.inspection import plots  # Matplotlib is slow to import

        plots.save_losses(self.history, path)

    def _pixels(self, bits: int = 8) -> np.ndarray:
        """The picture with so many bits, with its opacity if it has one."""
        convert = images.to_uint16 if bits == 16 else images.to_uint8
        picture = convert(self.pixels)
        return picture if self.opacity is None else np.dstack([picture, convert(self.opacity)])

    def _repr_png_(self) -> bytes:
        return images.png(self._pixels())
