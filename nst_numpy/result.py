"""The result of a painting: the picture, and its history."""

import json
import os
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from nst_numpy import images
from nst_numpy.settings import Settings


@dataclass(frozen=True, eq=False)
class TransferResult:
    """The result of `transfer`, `texture` and `reconstruct`; a notebook displays it as the picture.

    Attributes
    ----------
    image : ndarray of uint8, shape (H, W, 3)
        The best picture found.
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
    masks : dict of str to names
        The masks it was made with, by their arguments: file names, or what else they were.
    """

    image: np.ndarray
    history: list[dict[str, float]]
    message: str
    complete: bool
    settings: Settings
    frames: list[np.ndarray] = field(default_factory=list)
    masks: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        height, width = self.image.shape[:2]
        loss = f", total loss {self.history[-1]['total']:.4g}" if self.history else ""
        return f"TransferResult({width}×{height} pixels{loss}, {self.message})"

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the picture to a file; the suffix selects the format. PNG, JPEG, WebP and TIFF also store the settings.

        With masks, their names are stored, too.

        Raises
        ------
        ValueError, FileNotFoundError
            If the suffix is not that of an image format, or the folder does not exist.
        """
        images.save(self.image, path, description=json.dumps({**self.settings.to_dict(), **self.masks}))

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

    def _repr_png_(self) -> bytes:
        return images.png(self.image)
