"""A window in which a region of the photograph is painted with a brush."""

from collections.abc import Callable
from functools import partial
from typing import Any

from nicegui import ui

from nst_numpy.studio.brush import Brushwork
from nst_numpy.studio.session import LARGEST_SHOWN, Given
from nst_numpy.studio.web.controls import Tag, button, checkbox, slider

WAYS = {"ArrowLeft": (-1, 0), "ArrowRight": (1, 0), "ArrowUp": (0, -1), "ArrowDown": (0, 1)}
KEYS = f"""(event) => {{
    if (![" ", {", ".join(f'"{key}"' for key in WAYS)}].includes(event.key)) return;
    event.preventDefault();
    emit(event.key);
}}"""
HOW = "Paint the region with the brush. On the keyboard, arrows move it, and space sets it down or lifts it."


def paint_region(content: Given, name: str, use: Callable[[Brushwork], Any]) -> None:
    """Open the window.

    Parameters
    ----------
    content : Given
        The photograph.
    name : str
        Of the style.
    use : callable
        Called with what was painted, if it is to be used.
    """
    Region(content, name, use)


class Region:
    """The window, and the brush in it."""

    def __init__(self, content: Given, name: str, use: Callable[[Brushwork], Any]):
        scale = min(1.0, LARGEST_SHOWN / max(content.width, content.height))
        self.work = Brushwork(max(1, round(content.width * scale)), max(1, round(content.height * scale)))
        longest = max(self.work.width, self.work.height)
        self._width, self._x, self._y = longest / 8, self.work.width / 2, self.work.height / 2
        self._erases = self._down = False
        self._use = use
        with ui.dialog().props("aria-labelledby=region-title") as self._dialog, Tag("div", classes="region"):
            Tag("h2", f"Where {name} is painted", id="region-title")
            Tag("p", HOW, "help")
            label = "The photograph, with a brush"
            with Tag("div", classes="canvas", tabindex=0, role="application", aria_label=label) as canvas:
                self._picture = ui.interactive_image(
                    f"/images/{content.key}?shown",
                    on_mouse=self._moved,
                    events=["pointerdown", "pointermove"],
                    sanitize=False,
                )
            canvas.on("keydown", self._pressed, js_handler=KEYS)
            slider(
                "Brush", round(self._width), self._take_width, least=4, most=round(longest / 2), step=2, unit="pixels"
            )
            checkbox("Erase", False, self._take_erases)
            with Tag("div", classes="tools"):
                button("Use this region", partial(self._done, True), "primary")
                button("Clear", self._clear)
                button("Cancel", partial(self._done, False))
        self._show()
        self._dialog.open()

    def _show(self) -> None:
        self._picture.set_content(self.work.svg((self._x, self._y), self._width))

    def _moved(self, event: Any) -> None:
        self._x, self._y = event.image_x, event.image_y
        if event.type == "pointerdown":
            self.work.begin(self._width, self._x, self._y, self._erases)
        elif event.buttons:
            self.work.move(self._x, self._y)
        self._show()

    def _pressed(self, event: Any) -> None:
        if event.args == " ":
            self._down = not self._down
            if self._down:
                self.work.begin(self._width, self._x, self._y, self._erases)
        else:
            dx, dy = WAYS[event.args]
            self._x = min(max(self._x + dx * self._width / 4, 0), self.work.width)
            self._y = min(max(self._y + dy * self._width / 4, 0), self.work.height)
            if self._down:
                self.work.move(self._x, self._y)
        self._show()

    def _take_width(self, width: float) -> None:
        self._width = width

    def _take_erases(self, erases: bool) -> None:
        self._erases, self._down = erases, False

    def _clear(self) -> None:
        self.work.strokes.clear()
        self._show()

    def _done(self, keep: bool) -> None:
        self._dialog.close()
        if keep:
            self._use(self.work)
