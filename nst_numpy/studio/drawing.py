"""What is inside a painting, as pictures, tables and curves for a page: data addresses, SVG and words."""

import base64
from collections.abc import Mapping, Sequence
from html import escape

import matplotlib
import numpy as np

from nst_numpy import images
from nst_numpy.studio.inside import Difference, Layer, Pixel
from nst_numpy.topology import reduction

POINTS = 300  # of a curve
COLORS = "#4a90c2", "#d9822b", "#3f9e63", "#b4549f", "#8a7a2f", "#7a74c9", "#c0504d", "#4fa3a5", "#999999"


def rows_of(difference: Difference) -> list[tuple[str, str]]:
    """A finite difference as rows of a table."""
    return [
        ("channel", "RGB"[difference.channel]),
        (f"(L(x + h) − L(x − h)) / 2h, h = {difference.h:g}", f"{difference.numeric:.9g}"),
        ("by the backward sweep", f"{difference.analytic:.9g}"),
        ("relative error", f"{difference.relative_error:.1e}" + (" (a kink is here)" if difference.kink else "")),
    ]


def scientific(value: float) -> str:
    """A number of a table.

    Examples
    --------
    >>> scientific(0.000123456), scientific(0.0)
    ('1.235e-04', '0')
    """
    return f"{value:.3e}" if value else "0"


def numbers(values: np.ndarray) -> list[str]:
    """Numbers of a row of a table."""
    return [scientific(float(value)) for value in values]


def span(indices: np.ndarray) -> str:
    """Indices in a row, as first to last.

    Examples
    --------
    >>> span(np.arange(3, 6)), span(np.arange(0))
    ('3–5', 'none')
    """
    if not len(indices):
        return "none"
    return f"{indices[0]}–{indices[-1]}" if len(indices) > 1 else f"{indices[0]}"


def overlay(pixel: Pixel) -> str:
    """SVG over the picture: the pixel, and around it the positions of each layer that see it, at their size."""
    parts = []
    for layer, (rows, columns) in pixel.units.items():
        if len(rows) and len(columns):
            r = reduction(layer)
            box = (columns[0] * r, rows[0] * r, (columns[-1] - columns[0] + 1) * r, (rows[-1] - rows[0] + 1) * r)
            parts.append('<rect x="{}" y="{}" width="{}" height="{}"/>'.format(*box))
    y, x = pixel.y + 0.5, pixel.x + 0.5
    cross = f'<path d="M{x} {y - 8}v16M{x - 8} {y}h16"/>'

    def lines(color: str, width: float) -> str:
        return (
            f'<g fill="none" stroke="{color}" stroke-width="{width}" vector-effect="non-scaling-stroke">'
            f"{''.join(dict.fromkeys(parts))}{cross}</g>"
        )

    return lines("black", 1.6) + lines("white", 0.7)


# Pictures of arrays ---------------------------------------------------------------------------------------------------


def maps_of(layer: Layer, filter: int) -> list[tuple[str, str, str]]:
    """What there is to see of a layer: titles, pictures as addresses, and their ranges in words.

    Parameters
    ----------
    layer : Layer
    filter : int
        −1 for the mean of all.
    """

    def of(a: np.ndarray) -> np.ndarray:
        taken: np.ndarray = a[..., filter] if filter >= 0 else a.mean(axis=-1)
        return taken

    found = [("F", *drawn(of(layer.F)))]
    if layer.P is not None:
        found += [("P", *drawn(of(layer.P))), ("F − P", *drawn(of(layer.F - layer.P), signed=True))]
    for k, gram in enumerate(layer.grams):
        region = f", style {k + 1}" if len(layer.grams) > 1 else ""
        found += [
            (f"G{region}", *drawn(gram.G, root=True)),
            (f"A{region}", *drawn(gram.A, root=True)),
            (f"G − A{region}", *drawn(gram.difference, signed=True, root=True)),
        ]
    if layer.mask is not None:
        found.append(("ReLU mask", *drawn(of(layer.mask.astype(np.float32)))))
    for term, gradient in layer.injected.items():
        found.append((f"injected by {term}", *drawn(of(gradient), signed=True)))
    if layer.arriving is not None:
        found.append(("dL/dF, with the layers above", *drawn(of(layer.arriving), signed=True)))
    if layer.injected:
        found.append(("at the pixels, from here alone", *drawn(layer.at_pixels.mean(axis=-1), signed=True)))
    return found


def drawn(a: np.ndarray, signed: bool = False, root: bool = False) -> tuple[str, str]:
    """A map as a picture, and its range in words.

    Parameters
    ----------
    a : ndarray, shape (h, w)
    signed : bool
        Whether white is 0, red above and blue below; otherwise dark is the least value.
    root : bool
        Whether colours go by the square roots: the diagonal of a Gram matrix is far above the rest.
    """
    least, most = float(a.min()), float(a.max())
    words = f"{least:.3g} to {most:.3g}"
    if root:
        a = np.sign(a) * np.sqrt(np.abs(a))
        least, most = float(a.min()), float(a.max())
    if signed:
        largest = max(abs(least), abs(most)) or 1.0
        unit = 0.5 + 0.5 * a / largest
    else:
        unit = (a - least) / ((most - least) or 1.0)
    pixels = matplotlib.colormaps["RdBu_r" if signed else "viridis"](unit)[..., :3]
    data = base64.b64encode(images.png(images.to_uint8(pixels))).decode()
    return f"data:image/png;base64,{data}", words


# The curves -----------------------------------------------------------------------------------------------------------


def names_of(history: Sequence[Mapping[str, float]]) -> list[str]:
    """The losses in a history that are ever above 0."""
    return [name for name in (history[0] if history else ()) if name != "size" and any(h[name] > 0 for h in history)]


def curves(history: Sequence[Mapping[str, float]], at: int) -> str:
    """The losses over the steps as SVG, on a logarithmic scale; a line marks entry `at`, dotted ones the sizes."""
    names = names_of(history)
    if len(history) < 2 or not names:
        return ""
    width, height, left, bottom = 420.0, 260.0, 44.0, 20.0
    step = max(1, len(history) // POINTS)
    chosen = sorted({*range(0, len(history), step), len(history) - 1})
    every = np.array([[history[k][name] for name in names] for k in chosen])
    positive = every[every > 0]
    low, high = float(np.floor(np.log10(positive.min()))), float(np.ceil(np.log10(positive.max())))
    high = max(high, low + 1)

    def across(k: float) -> float:
        return left + (width - left - 4) * k / (len(history) - 1)

    def down(value: float) -> float:
        return 6 + (height - bottom - 6) * (high - float(np.log10(value))) / (high - low)

    parts = []
    for power in range(int(low), int(high) + 1):
        y = down(10.0**power)
        parts.append(f'<path class="grid" d="M{left} {y:.1f}H{width}"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    for k in range(1, len(history)):
        if history[k]["size"] != history[k - 1]["size"]:
            parts.append(f'<path class="size" d="M{across(k):.1f} 6V{height - bottom}"/>')
    for n, name in enumerate(names):
        points = " ".join(
            f"{across(k):.1f},{down(value):.1f}" for k, value in zip(chosen, every[:, n], strict=True) if value > 0
        )
        thin = ' class="thin"' if name not in ("total", "content", "style", "tv") else ""
        parts.append(f'<polyline{thin} points="{points}" stroke="{COLORS[n % len(COLORS)]}"/>')
    parts.append(f'<path class="now" d="M{across(at):.1f} 6V{height - bottom}"/>')
    parts.append(f'<text x="{left}" y="{height - 4}">0</text>')
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">picture {len(history) - 1}</text>')
    label = f"Losses at {len(history)} pictures; the table below has the numbers"
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def values(history: Sequence[Mapping[str, float]], at: int) -> str:
    """A table of the losses at the start and at entry `at`, with the colours of the curves."""
    if not history:
        return "<p class='help'>The losses appear with the first step.</p>"
    rows = "".join(
        f'<tr><th scope="row"><i style="background:{COLORS[n % len(COLORS)]}"></i>{escape(name)}</th>'
        f"<td>{history[0][name]:.4g}</td><td>{history[at][name]:.4g}</td></tr>"
        for n, name in enumerate(names_of(history))
    )
    return (
        f"<table><caption>Losses</caption><thead><tr><th scope='col'></th><th scope='col'>start</th>"
        f"<th scope='col'>picture {at}</th></tr></thead><tbody>{rows}</tbody></table>"
    )
