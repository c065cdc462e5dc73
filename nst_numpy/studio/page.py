"""The page: what is chosen on the left, the picture in the middle, and what is inside it on the right."""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from nicegui import run, ui

from nst_numpy.cli import arguments
from nst_numpy.optimize import METHODS
from nst_numpy.painting import Settings
from nst_numpy.settings import KEEP_COLORS
from nst_numpy.studio.controls import Tag, button, choice, entry, slider
from nst_numpy.studio.painter import ENDS, Painting
from nst_numpy.studio.session import PREVIEW, SAMPLES, Given, Refused, Session, sample

TICK = 0.2  # seconds
PACE = 30  # of the time in which a picture is encoded: how much later the next one comes
SIZES = 128, 2048
FOLDER = Path(__file__).parent
ASSETS = f"<style>{(FOLDER / 'page.css').read_text()}</style><script>{(FOLDER / 'page.js').read_text()}</script>"
STATES = {
    "waiting": "Waiting for its turn",
    "preparing": "Preparing",
    "painting": "Painting",
    "paused": "Paused",
    "finished": "Finished",
    "stopped": "Stopped: this is the best picture so far",
    "failed": "Failed",
}


def build(session: Session) -> None:
    """Build the page of a session, for one tab."""
    ui.add_head_html(ASSETS)
    Page(session)


class Page:
    """One tab.

    Parameters
    ----------
    session : Session
        Which it shares with the browser's other tabs.
    """

    def __init__(self, session: Session):
        self.session = session
        self._version = session.version
        self._asked: tuple[Painting | None, int] = (None, -1)  # the picture that was last asked for
        self._next = 0.0  # when the next one may be
        with Tag("header"):
            Tag("h1", "nst_numpy studio")
            Tag("a", "Help", href="/help", target="_blank")
            self._theme()
        self._alert = Tag("p", classes="alert", id="alert", role="alert")
        with Tag("main"):
            with Tag("section", classes="choose", aria_label="What to paint"):
                self._images()
                self._chosen()
            with Tag("section", classes="easel", aria_label="The picture"):
                self._easel()
            with Tag("section", classes="inside", aria_label="Inside"):
                self._inside()
        ui.timer(TICK, self._tick)
        session.pages += 1
        ui.context.client.on_delete(self._closed)

    def _closed(self) -> None:
        self.session.leave()

    def tell(self, sentence: str) -> None:
        """Show a sentence at the top of the page."""
        self._alert.say(sentence)

    def attempt(self, do: Callable[..., Any], *arguments: Any) -> None:
        """Do something that can be refused, and say why if it is."""
        try:
            do(*arguments)
            self.tell("")
        except Refused as refused:
            self.tell(str(refused))
        self._version = self.session.version

    # What is chosen ---------------------------------------------------------------------------------------------------

    def _theme(self) -> None:
        dark = ui.dark_mode(None)
        names = {"auto": "Auto", "light": "Light", "dark": "Dark"}
        of = {"auto": None, "light": False, "dark": True}
        with Tag("label", "Theme ", classes="theme"), Tag("select", aria_label="Theme") as control:
            for key, words in names.items():
                Tag("option", words, value=key)
        control.on(
            "change", lambda event: dark.set_value(of[event.args]), js_handler="(event) => emit(event.target.value)"
        )

    def _images(self) -> None:
        for role, title, help in (
            ("content", "Photograph", "What is painted; without one, a texture of the style."),
            ("style", "Painting", "In whose style; several are blended."),
        ):
            with Tag("div", classes="images"):
                Tag("h2", title)
                Tag("p", help, "help")
                self._thumbnails(role)
                with Tag("label", classes="drop"):
                    Tag("span", "Drop, paste, or choose a file")
                    Tag("input", type="file", accept="image/*", data_role=role, aria_label=f"{title}: choose a file")
                options = {"": "… or a sample"} | {name: words for name, (words, _) in SAMPLES.items()}
                with Tag("select", classes="samples", aria_label=f"{title}: choose a sample") as control:
                    for key, words in options.items():
                        Tag("option", words, value=key)
                control.on(
                    "change",
                    partial(self._take_sample, role),
                    js_handler="(event) => { emit(event.target.value); event.target.value = ''; }",
                )

    async def _take_sample(self, role: str, event: Any) -> None:
        if event.args in SAMPLES:
            given = await run.io_bound(sample, event.args)
            self.attempt(self.session.choose, role, given)
            self._show_chosen()

    @ui.refreshable_method
    def _thumbnails(self, role: str) -> None:
        chosen = self.session.chosen
        given = chosen.styles if role == "style" else [chosen.content] if chosen.content else []
        with Tag("ul", classes="thumbnails"):
            for one in given:
                self._thumbnail(role, one, len(given))

    def _thumbnail(self, role: str, given: Given, number: int) -> None:
        name = given.source.name
        with Tag("li"):
            with Tag("a", href=f"/images/{given.key}?whole", download=name, aria_label=f"Download {name}"):
                Tag("img", src=f"/images/{given.key}", alt="")
            with Tag("div", classes="about"):
                Tag("span", name, "name")
                Tag("span", f"{given.width}×{given.height}", "help")
                if given.note:
                    Tag("span", given.note, "help")
                button("Remove", partial(self._remove, given.key), "plain", aria_label=f"Remove {name}")
            if role == "style" and number > 1:
                k = self.session.chosen.styles.index(given)
                blend = self.session.chosen.values.get("style_blend") or (1.0,) * number
                slider(
                    "Weight",
                    blend[k] if k < len(blend) else 1.0,
                    partial(self._blend, k),
                    least=0,
                    most=4,
                    step=0.1,
                    shown=lambda v: f"{v:.1f}",
                )

    def _remove(self, key: str) -> None:
        self.attempt(self.session.remove, key)
        self._show_chosen()

    def _blend(self, k: int, weight: float) -> None:
        number = len(self.session.chosen.styles)
        blend = [*(self.session.chosen.values.get("style_blend") or ()), *[1.0] * number][:number]
        blend[k] = weight
        self.attempt(self.session.set, "style_blend", tuple(blend))

    @ui.refreshable_method
    def _chosen(self) -> None:
        values, usual = self.session.chosen.values, Settings()
        help = arguments.HELP

        def put(name: str, value: Any) -> None:
            self.attempt(self.session.set, name, value)

        slider(
            "Size",
            values.get("size", usual.largest),
            lambda v: put("size", int(v)),
            least=SIZES[0],
            most=SIZES[1],
            step=32,
            shown=lambda v: f"{v:.0f} pixels",
            help=help["size"],
            name="size",
        )
        slider(
            "Style strength",
            round(log10(values.get("style_weight", usual.style_weight)), 1),
            lambda v: put("style_weight", float(f"{10**v:.2g}")),
            least=0,
            most=4,
            step=0.1,
            shown=lambda v: f"{float(f'{10**v:.2g}'):g}",
            help=help["style_weight"],
            name="style_weight",
        )
