"""Sample images that need no download: a photograph that Matplotlib ships, and two paintings drawn by this module.

All are PIL images. The paintings are drawn at twice their size and scaled down, for smooth edges.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from nst_numpy.validation import check_number


def portrait() -> Image.Image:
    """Return the official portrait of Grace Hopper by James S. Davis, United States Navy: 512 × 600, public domain.

    Examples
    --------
    >>> from nst_numpy import samples
    >>> samples.portrait().size
    (512, 600)
    """
    import matplotlib  # here, since importing it takes time

    with Image.open(Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg") as picture:
        return picture.convert("RGB")


def swirling_night(size: int = 512, seed: int = 3) -> Image.Image:
    """Draw a night sky over hills: short strokes that follow a field of vortices, dark blue, with pale stars.

    Parameters
    ----------
    size : int
        Side of the square picture in pixels, at least 1.
    seed : int
        Of the random numbers, at least 0.

    Raises
    ------
    TypeError, ValueError
        If the size or the seed is not such a number.

    Examples
    --------
    >>> from nst_numpy import samples
    >>> samples.swirling_night(64).size
    (64, 64)
    """
    check_number("size", size, whole=True, least=1, most=65_535)
    check_number("seed", seed, whole=True)
    rng = np.random.default_rng(seed)
    grid = 256
    y, x = np.mgrid[0:grid, 0:grid] / grid

    # The flow: a breeze to the right, and around each star a vortex (centre, radius, sense) with a glow.
    u, v, glow = np.full_like(x, 0.5), 0.25 * np.sin(6 * x), np.zeros_like(x)
    for centre_x, centre_y, radius, sense in (
        (0.30, 0.35, 0.22, 1),
        (0.62, 0.45, 0.16, -1),
        (0.85, 0.20, 0.12, 1),
        (0.12, 0.12, 0.09, -1),
        (0.50, 0.12, 0.08, 1),
        (0.80, 0.62, 0.10, 1),
    ):
        dx, dy = (x - centre_x) / radius, (y - centre_y) / radius
        near = np.exp(-(dx**2 + dy**2))
        u -= 3 * sense * near * dy
        v += 3 * sense * near * dx
        glow += near**5
    hills = y > 0.72 + 0.06 * np.sin(5 * x + 1) + 0.03 * np.sin(13 * x)
    u[hills], v[hills] = 1, 0.35 * np.cos(9 * x[hills])
    angle = np.arctan2(v, u) + 0.15 * _noise(rng, grid, 12)
    tone = 0.6 * _noise(rng, grid, 9) + 0.35 * _noise(rng, grid, 30)

    sky_colours = np.array([[14, 24, 72], [28, 56, 130], [52, 98, 170], [104, 150, 190], [170, 196, 196]])
    star_colours = np.array([[250, 240, 170], [246, 214, 96], [255, 250, 220]])
    hill_colours = np.array([[18, 34, 40], [36, 66, 52], [70, 92, 52], [28, 44, 84], [120, 120, 60]])

    canvas = Image.new("RGB", (2 * size, 2 * size), (20, 34, 88))
    draw = ImageDraw.Draw(canvas)
    # Coarse strokes first, fine ones over them; width and length in thousandths of the side.
    for width, length, count in ((25, 68, 2600), (16, 58, 5200), (9, 45, 9000), (5, 30, 7000)):
        points = np.empty((7, count, 2))
        points[0] = rng.random((count, 2))
        column, row = (points[0] * grid).astype(int).T
        for k in range(1, 7):
            j, i = np.clip(points[k - 1] * grid, 0, grid - 1).astype(int).T
            points[k] = points[k - 1] + length / 6000 * np.stack([np.cos(angle[i, j]), np.sin(angle[i, j])], axis=-1)
        t = tone[row, column] + 0.35 * rng.standard_normal(count)
        shine = glow[row, column]
        colour = np.where(
            hills[row, column, None],
            hill_colours[_index(t, 1.2, 5)],
            np.where(
                (rng.random(count) < 1.6 * shine - 0.25)[:, None],
                star_colours[rng.integers(3, size=count)],
                sky_colours[_index(t + 1.2 * shine, 1.3, 5)],
            ),
        )
        colour = np.clip(colour + rng.normal(0, 9, (count, 3)), 0, 255).astype(int)
        pixels = max(1, round(width * 2 * size / 1000))
        joint = "curve" if pixels > 5 else None
        for stroke, c in zip((points * 2 * size).transpose(1, 0, 2), colour, strict=True):
            draw.line([*map(tuple, stroke)], fill=tuple(c), width=pixels, joint=joint)
            if width > 12:  # a ridge of light along the upper edge
                ridge = stroke - [0, 0.3 * pixels]
                draw.line([*map(tuple, ridge)], fill=tuple(np.minimum(c + 22, 255)), width=max(2, pixels // 6))
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def woodcut_waves(size: int = 512, seed: int = 1) -> Image.Image:
    """Draw rows of waves with crests of foam, in the flat colours and dark outlines of a woodcut.

    Parameters
    ----------
    size : int
        Side of the square picture in pixels, at least 1.
    seed : int
        Of the random numbers, at least 0.

    Raises
    ------
    TypeError, ValueError
        If the size or the seed is not such a number.

    Examples
    --------
    >>> from nst_numpy import samples
    >>> samples.woodcut_waves(64).size
    (64, 64)
    """
    check_number("size", size, whole=True, least=1, most=65_535)
    check_number("seed", seed, whole=True)
    rng = np.random.default_rng(seed)
    side = 2 * size
    colours = [(24, 48, 92), (38, 82, 128), (84, 134, 158), (160, 190, 190), (240, 236, 220)]
    canvas = Image.new("RGB", (side, side), (236, 222, 190))
    draw = ImageDraw.Draw(canvas)
    outline = max(1, round(side / 205))
    x = np.linspace(-0.02, 1.02, 160)
    for row in range(26):
        height, phase, frequency = 0.018 + 0.0022 * row, 6 * rng.random(), 3 + 2 * rng.random()
        crest = height * np.abs(np.sin(frequency * np.pi * x + phase)) ** 1.6
        crest += 0.4 * height * np.sin(2.7 * frequency * x + 2 * phase)
        y = 0.22 + 0.032 * row - crest
        for band, colour in enumerate((colours[row % 3], colours[(row + 1) % 3 + 1], colours[4])):
            line = [*zip(x * side, (y + 0.008 * band) * side, strict=True)]
            draw.polygon([*line, (1.02 * side, 1.02 * side), (-0.02 * side, 1.02 * side)], fill=colour)
            draw.line(line, fill=(16, 28, 58), width=outline)
        for foam_x, foam_y in zip(x[::3] * side, y[::3] * side, strict=True):
            if rng.random() < 0.55:
                rx = rng.uniform(0.004, 0.013) * side
                box = (foam_x - rx, foam_y - 1.4 * rx, foam_x + rx, foam_y + 1.4 * rx)
                draw.ellipse(box, fill=(246, 242, 230), outline=(24, 40, 80), width=max(1, outline // 2))
    return canvas.resize((size, size), Image.Resampling.LANCZOS)


def _noise(rng: np.random.Generator, size: int, cells: int) -> np.ndarray:
    """Return a smooth random field (size, size) with about `cells` bumps along a side."""
    coarse = Image.fromarray(rng.standard_normal((cells + 1, cells + 1)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _index(t: np.ndarray, span: float, count: int) -> np.ndarray:
    """Return indices into a palette of `count` colours, for tones from −span to span."""
    return np.clip((t + span) / (2 * span) * count, 0, count - 1).astype(int)
