"""Inside a painting, on the page: its losses, its layers, one pixel, and the code that paints it."""

import asyncio
import base64
import time
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib
import numpy as np
from nicegui import background_tasks, ui

from nst_numpy import images
from nst_numpy.studio import code
from nst_numpy.studio.controls import Tag, choice, entry, table
from nst_numpy.studio.inside import Difference, Inside, Layer, Pixel, look
from nst_numpy.studio.painter import ENDS, Painting
from nst_numpy.topology import reduction

PACE = 30  # of the time that a look takes: how much later the next one comes, while the picture is painted
# The clipboard needs a secure page, as one from this computer is; else the text is selected, for Ctrl-C.
COPY = """(event) => {
    const text = event.target.previousElementSibling;
    if (navigator.clipboard) navigator.clipboard.writeText(text.textContent);
    else getSelection().selectAllChildren(text);
    event.target.textContent = navigator.clipboard ? "Copied" : "Selected";
}"""
POINTS = 300  # of a curve
COLORS = "#4a90c2", "#d9822b", "#3f9e63", "#b4549f", "#8a7a2f", "#7a74c9", "#c0504d", "#4fa3a5", "#999999"


class Looking:
    """The tabs that look into the painting that is shown.

    Call `losses`, `layers`, `pixel` and `code` where they are to be, and `tick` regularly.
    """

    def __init__(self, picture: Any):
        self.tab = "Losses"
        self._picture = picture  # an interactive image
        self._painting: Painting | None = None
        self._number: int | None = None
        self._inside: tuple[Painting, int, Inside] | None = None
        self._drawn: Any = None  # what the losses show
        self._shown: Any = None  # what the other tab shows
        self._coded: Any = None  # what the code paints
        self._next, self._busy = 0.0, False
        self._layer, self._filter = "", -1
        self._at: tuple[int, int] | None = None

    # The losses -------------------------------------------------------------------------------------------------------

    def losses(self) -> None:
        """Build the tab of the losses."""
        Tag("p", "Weighted losses, on a logarithmic scale. They add up: total = content + style + tv.", "help")
        self._curves = ui.html("", sanitize=False).classes("curves")
        self._values = ui.html("", sanitize=False)

    def _draw_losses(self) -> None:
        painting = self._painting
        history = painting.history if painting else []
        drawn = painting, len(history), self._number
        if drawn == self._drawn:
            return
        self._drawn = drawn
        at = len(history) - 1 if self._number is None else min(self._number, len(history) - 1)
        self._curves.set_content(curves(history, at))
        self._values.set_content(values(history, at))

    # Looking ----------------------------------------------------------------------------------------------------------

    def tick(self, painting: Painting | None, number: int | None) -> None:
        """Show what is inside this painting now, or inside an earlier picture of it."""
        if painting is not self._painting:
            self._inside = None
        self._painting, self._number = painting, number
        if self.tab == "Losses":
            self._draw_losses()
        if self.tab == "Code" and painting:
            self._show_code(painting)
        if self.tab not in ("Layers", "Pixel") or painting is None or self._busy:
            return
        there = painting.earlier
        if not there:
            return
        wanted = there[-1] if number is None else number
        asked = painting, wanted, self.tab, self._layer, self._filter, self._at
        moved = self._shown is None or asked[0] is not self._shown[0] or asked[2:] != self._shown[2:]
        if asked == self._shown or (number is None and painting.state not in (*ENDS, "paused")):
            if asked == self._shown or (not moved and time.monotonic() < self._next):
                return
        self._busy = True
        background_tasks.create(self._show(asked))

    async def _show(self, asked: Any) -> None:
        painting, number, tab, layer, filter, at = asked
        began = time.monotonic()
        try:
            if self._inside is None or self._inside[:2] != (painting, number):
                self._say(tab, f"Looking into picture {number} …")
                self._inside = painting, number, await asyncio.to_thread(look, painting, number)
            inside = self._inside[2]
            if tab == "Layers":
                await self._show_layer(inside, number, layer, filter)
            elif at is not None:
                await self._show_pixel(inside, number, at)
        except ValueError as error:
            self._say(tab, f"{error}")
        finally:
            self._shown, self._busy = asked, False
            self._next = time.monotonic() + PACE * (time.monotonic() - began)

    def _say(self, tab: str, words: str) -> None:
        (self._of_layer if tab == "Layers" else self._of_pixel).say(words)

    # A layer ----------------------------------------------------------------------------------------------------------

    def layers(self) -> None:
        """Build the tab of the layers."""
        help = "F: responses to the picture. P: to the photograph. G and A: Gram matrices of picture and style."
        with ui.element("div") as self._layer_controls:
            self._choose_layer = choice("Layer", "", {}, self._take_layer, help=help, name="layers")
            self._choose_filter = entry("Filter", "", self._take_filter, type="number", min=0, placeholder="all")
        self._of_layer = Tag("p", "Choose a photograph and a painting first.", "help", role="status")
        self._maps = Tag("div", classes="maps")

    def _take_layer(self, name: str) -> None:
        self._layer = name

    def _take_filter(self, text: str) -> None:
        self._filter = int(text) if text.isdecimal() else -1

    async def _show_layer(self, inside: Inside, number: int, name: str, filter: int) -> None:
        if name not in inside.layers:
            with_loss = [layer for layer in inside.layers if inside.layer(layer).injected]
            name = self._layer = with_loss[-1] if with_loss else inside.layers[-1]
        self._choose_layer.clear()
        with self._choose_layer:
            for one in inside.layers:
                Tag("option", one, value=one, selected=one == name)
        layer = await asyncio.to_thread(inside.layer, name)
        height, width, filters = layer.F.shape
        filter = min(filter, filters - 1)
        maps = await asyncio.to_thread(maps_of, layer, filter)
        which = f"filter {filter}" if filter >= 0 else f"the mean of all {filters} filters"
        self._of_layer.say(f"Picture {number}, {name}: {width}×{height} positions, {filters} filters. Maps show {which}.")
        self._choose_filter.put(max=filters - 1)
        self._maps.clear()
        with self._maps:
            for title, image, words in maps:
                with Tag("figure"):
                    Tag("img", src=image, alt=f"{title}: {words}")
                    with Tag("figcaption"):
                        Tag("b", title)
                        Tag("span", words)

    # A pixel ----------------------------------------------------------------------------------------------------------

    def pixel(self) -> None:
        """Build the tab of a pixel."""
        Tag("p", "Click on the picture, or enter a row and a column.", "help")
        with Tag("div", classes="pair"):
            self._row = entry("Row", "", lambda text: self._enter(text, self._column.value), type="number", min=0)
            self._column = entry("Column", "", lambda text: self._enter(self._row.value, text), type="number", min=0)
        self._of_pixel = Tag("p", classes="help", role="status")
        self._tables = Tag("div", classes="tables")

    def _enter(self, row: str, column: str) -> None:
        if row.isdecimal() and column.isdecimal():
            self.point(int(row), int(column))

    def point(self, y: int, x: int) -> None:
        """Choose the pixel in row y and column x."""
        self._at = y, x

    async def _show_pixel(self, inside: Inside, number: int, at: tuple[int, int]) -> None:
        height, width = inside.x.shape[:2]
        y, x = min(at[0], height - 1), min(at[1], width - 1)
        self._row.put(value=y, max=height - 1)
        self._column.put(value=x, max=width - 1)
        pixel = await asyncio.to_thread(inside.at, y, x)
        self._picture.set_content(overlay(pixel))
        self._say("Pixel", f"Picture {number}, row {y}, column {x}; computing the finite difference …")
        difference = await asyncio.to_thread(inside.difference, y, x)
        self._say("Pixel", f"Picture {number} of {width}×{height} pixels, row {y}, column {x}.")
        self._tables.clear()
        with self._tables:
            shares = [(f"{term}, {layer}", *map(number_, share)) for (term, layer), share in pixel.shares.items()]
            total = ("sum", *map(number_, sum(pixel.shares.values(), np.zeros(3))))
            whole = ("gradient ∂L/∂x", *map(number_, pixel.gradient))
            table(["from", "R", "G", "B"], [*shares, total, whole], "Gradient at this pixel, by term and layer")
            table(["", ""], rows_of(difference), "A finite difference beside it, in float64")
            units = [(layer, span(rows), span(columns), f"{len(rows) * len(columns)}") for layer, (rows, columns) in pixel.units.items()]
            table(["layer", "rows", "columns", "positions"], units, "Which positions of each layer see this pixel")


    # The code ---------------------------------------------------------------------------------------------------------

    def code(self) -> None:
        """Build the tab of the code."""
        help = "These lines paint exactly this picture, in a folder that has the images under these names."
        Tag("p", help, "help")
        self._codes = []
        for title in ("Python", "Command line"):
            with Tag("div", classes="code"):
                Tag("h2", title)
                text = Tag("pre", tabindex=0, aria_label=title)
                copy = Tag("button", "Copy", type="button", aria_label=f"Copy: {title}")
                copy.on("click", js_handler=COPY)
                self._codes.append(text)

    def _show_code(self, painting: Painting) -> None:
        asked = painting, painting.result is not None
        if asked != self._coded:
            self._coded = asked
            for text, write in zip(self._codes, (code.python, code.command), strict=True):
                try:
                    text.say(write(painting))
                except ValueError as error:
                    text.say(f"# {error}")


def rows_of(difference: Difference) -> list[tuple[str, str]]:
    """A finite difference as rows of a table."""
    return [
        ("channel", "RGB"[difference.channel]),
        (f"(L(x + h) − L(x − h)) / 2h, h = {difference.h:g}", f"{difference.numeric:.9g}"),
        ("by the backward sweep", f"{difference.analytic:.9g}"),
        ("relative error", f"{difference.relative_error:.1e}" + (" (a kink is here)" if difference.kink else "")),
    ]


def number_(value: float) -> str:
    """A number of a table.

    Examples
    --------
    >>> number_(0.000123456), number_(0.0)
    ('1.235e-04', '0')
    """
    return f"{value:.3e}" if value else "0"


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
    low, high = np.floor(np.log10(positive.min())), np.ceil(np.log10(positive.max()))
    high = high if high > low else low + 1

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
    parts.append(f'<text x="{width}" y="{height - 4}" text-anchor="end">step {len(history) - 1}</text>')
    label = f"Losses over {len(history) - 1} steps; the table below has the numbers"
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
