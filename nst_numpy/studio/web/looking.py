"""Inside a painting, on the page: its losses, its layers, one pixel, and the code that paints it."""

import asyncio
import time
from typing import Any

import numpy as np
from nicegui import background_tasks, ui

from nst_numpy.studio import code, drawing
from nst_numpy.studio.inside import Inside, look
from nst_numpy.studio.painter import ENDS, Painting
from nst_numpy.studio.web.controls import Tag, choice, entry, table

CURVES = 1.0  # seconds from one drawing of the losses to the next, while the picture is painted
PACE = 30  # of the time that a look takes: how much later the next one comes, while the picture is painted
# The clipboard needs a secure page, as one from this computer is; else the text is selected, for Ctrl-C.
COPY = """(event) => {
    const text = event.target.previousElementSibling;
    if (navigator.clipboard) navigator.clipboard.writeText(text.textContent);
    else getSelection().selectAllChildren(text);
    event.target.textContent = navigator.clipboard ? "Copied" : "Selected";
}"""


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
        self._next, self._redraw, self._busy = 0.0, 0.0, False
        self._layer, self._filter = "", -1
        self._offered: Any = None  # the layers that can be chosen
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
        live = painting and painting.state == "painting" and self._drawn and self._drawn[0] is painting
        if drawn == self._drawn or (live and drawn[2] == self._drawn[2] and time.monotonic() < self._redraw):
            return
        self._drawn, self._redraw = drawn, time.monotonic() + CURVES
        at = len(history) - 1 if self._number is None else min(self._number, len(history) - 1)
        self._curves.set_content(drawing.curves(history, at))
        self._values.set_content(drawing.values(history, at))

    # Looking ----------------------------------------------------------------------------------------------------------

    def tick(self, painting: Painting | None, number: int | None) -> None:
        """Show what is inside this painting now, or inside an earlier picture of it."""
        if painting is not self._painting:
            self._inside = None
        if self._picture.content and (painting is not self._painting or self.tab != "Pixel"):
            self._picture.set_content("")
            self._shown = None
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
        if asked == self._shown:
            return
        moved = self._shown is None or asked[0] is not self._shown[0] or asked[2:] != self._shown[2:]
        live = number is None and painting.state not in (*ENDS, "paused")
        if live and not moved and time.monotonic() < self._next:
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
            name = self._layer = inside.layers[-1]
        if self._offered != (inside.layers, name):
            self._offered = inside.layers, name
            self._choose_layer.clear()
            with self._choose_layer:
                for one in inside.layers:
                    Tag("option", one, value=one, selected=one == name)
        layer = await asyncio.to_thread(inside.layer, name)
        height, width, filters = layer.F.shape
        filter = min(filter, filters - 1)
        maps = await asyncio.to_thread(drawing.maps_of, layer, filter)
        which = f"filter {filter}" if filter >= 0 else f"the mean of all {filters} filters"
        size = f"{width}×{height} positions, {filters} filters"
        self._of_layer.say(f"Picture {number}, {name}: {size}. The maps show {which}.")
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
        self._picture.set_content(drawing.overlay(pixel))
        self._say("Pixel", f"Picture {number}, row {y}, column {x}; computing the finite difference …")
        difference = await asyncio.to_thread(inside.difference, y, x)
        self._say("Pixel", f"Picture {number} of {width}×{height} pixels, row {y}, column {x}.")
        self._tables.clear()
        with self._tables:
            shares = [(f"{term}, {layer}", *drawing.numbers(share)) for (term, layer), share in pixel.shares.items()]
            total = ("sum", *drawing.numbers(sum(pixel.shares.values(), np.zeros(3))))
            whole = ("gradient ∂L/∂x", *drawing.numbers(pixel.gradient))
            table(["from", "R", "G", "B"], [*shares, total, whole], "Gradient at this pixel, by term and layer")
            table(["", ""], drawing.rows_of(difference), "A finite difference beside it, in float64")
            units = [
                (layer, drawing.span(rows), drawing.span(columns), f"{len(rows) * len(columns)}")
                for layer, (rows, columns) in pixel.units.items()
            ]
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
