"""Regions painted with a brush: strokes, as SVG over the photograph, and as a mask."""

from dataclasses import dataclass, field

import numpy as np
from PIL import Image, ImageDraw

from nst_numpy import images
from nst_numpy.studio.sources import Source

LONGEST = 1024  # pixels of a mask
MOST_POINTS = 20_000


@dataclass
class Stroke:
    """One stroke of the brush, in pixels of the photograph.

    Attributes
    ----------
    width : float
    erases : bool
    points : list of (x, y)
    """

    width: float
    erases: bool
    points: list[tuple[float, float]]


@dataclass
class Brushwork:
    """A region of a photograph, painted with a brush.

    Attributes
    ----------
    width, height : int
        Of the photograph.
    strokes : list of Stroke

    Examples
    --------
    >>> work = Brushwork(40, 20)
    >>> work.begin(4, 10, 10)
    >>> work.move(30, 10)
    >>> work.mask()[8:13, 19].tolist()
    [0, 255, 255, 255, 255]
    >>> work.begin(8, 20, 10, erases=True)
    >>> work.mask()[10, [12, 20, 28]].tolist()
    [255, 0, 255]
    """

    width: int
    height: int
    strokes: list[Stroke] = field(default_factory=list)

    def begin(self, width: float, x: float, y: float, erases: bool = False) -> None:
        """Begin a stroke here."""
        self.strokes.append(Stroke(width, erases, [(x, y)]))

    def move(self, x: float, y: float) -> None:
        """Go on with the last stroke."""
        if self.strokes and sum(len(stroke.points) for stroke in self.strokes) < MOST_POINTS:
            self.strokes[-1].points.append((x, y))

    def mask(self) -> np.ndarray:
        """The region as uint8 (h, w): 255 inside, 0 outside; at most 1024 pixels long."""
        scale = min(1.0, LONGEST / max(self.width, self.height))
        size = max(1, round(self.width * scale)), max(1, round(self.height * scale))
        canvas = Image.new("L", size)
        draw = ImageDraw.Draw(canvas)
        for stroke in self.strokes:
            ink, points = 0 if stroke.erases else 255, [(x * scale, y * scale) for x, y in stroke.points]
            radius = max(0.5, stroke.width * scale / 2)
            draw.line(points, ink, max(1, round(2 * radius)), "curve")
            for x, y in points:
                draw.ellipse((x - radius, y - radius, x + radius, y + radius), ink)
        return np.asarray(canvas)

    def source(self, name: str) -> Source | None:
        """The region as a file; None if there is none."""
        mask = self.mask()
        return Source(name, images.png(np.repeat(mask[..., None], 3, axis=2))) if mask.any() else None

    def svg(self, at: tuple[float, float] | None = None, width: float = 0) -> str:
        """The region over the photograph, and the brush at a place."""
        lines = "".join(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in [*stroke.points, stroke.points[-1]])}" '
            f'stroke="{"black" if stroke.erases else "white"}" stroke-width="{stroke.width:g}"/>'
            for stroke in self.strokes
        )
        whole = f'width="{self.width}" height="{self.height}"'
        brush = ""
        if at:
            x, y = at
            ring = f'r="{width / 2:g}" fill="none" stroke="white" stroke-width="{max(1.0, width / 20):g}"'
            brush = f'<circle cx="{x:.1f}" cy="{y:.1f}" {ring}/>'
        return (
            f'<mask id="region"><rect {whole} fill="black"/><g fill="none" stroke-linecap="round" '
            f'stroke-linejoin="round">{lines}</g></mask>'
            f'<rect {whole} fill="#e4572e" opacity="0.6" mask="url(#region)"/>{brush}'
        )


def all_but(masks: list[Source], width: int, height: int, name: str) -> Source:
    """What none of some regions covers, as a file."""
    scale = min(1.0, LONGEST / max(width, height))
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    covered = np.max([images.load(mask, shape=shape)[..., 0] for mask in masks], axis=0, initial=0)
    free = images.to_uint8(1 - covered)
    return Source(name, images.png(np.repeat(free[..., None], 3, axis=2)))
