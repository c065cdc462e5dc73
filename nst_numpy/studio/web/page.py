"""The page: what is chosen on the left, the picture in the middle, and what is inside it on the right."""

import asyncio
import json
import re
import time
from argparse import ArgumentTypeError
from collections.abc import Callable
from functools import partial
from html import escape
from math import log10
from pathlib import Path
from typing import Any

from nicegui import ui

from nst_numpy import conventions
from nst_numpy.cli import arguments
from nst_numpy.optimize import METHODS
from nst_numpy.settings import KEEP_COLORS, STARTS, Settings
from nst_numpy.studio.brush import Brushwork
from nst_numpy.studio.painter import ENDS, Painting
from nst_numpy.studio.session import PREVIEW, SAMPLES, Finished, Given, Refused, Session, sample
from nst_numpy.studio.web.controls import Tag, button, checkbox, choice, entry, fresh_id, slider
from nst_numpy.studio.web.looking import Looking
from nst_numpy.studio.web.region import paint_region
from nst_numpy.studio.words import duration, in_words, label_of, sentence
from nst_numpy.stylize import parameters_of

TICK = 0.2  # seconds
PACE = 30  # of the time in which a picture is encoded: how much later the next one comes,
LEAST = 0.5  # seconds, at least: to draw it takes the browser's time, which may be on the same cores
SIZES = 128, 2048
FOLDER = Path(__file__).parent
ASSETS = f"<style>{(FOLDER / 'page.css').read_text()}</style><script>{(FOLDER / 'page.js').read_text()}</script>"
# Settings that are folded away; names of files on this computer can't be given.
CHOICES = {
    "keep_colors": KEEP_COLORS,
    "init": [name for name in STARTS if name != "grey"],
    "optimizer": list(METHODS),
    "convention": list(conventions.CONVENTIONS),
}
ELSEWHERE = ("size", "style_weight", "style_blend", "weights")
ADVANCED = [name for name in arguments.SETTINGS if name not in ELSEWHERE]
STATES = {
    "waiting": "Waiting for its turn",
    "preparing": "Preparing",
    "painting": "Painting",
    "paused": "Paused",
    "finished": "Finished",
    "stopped": "Stopped",
    "failed": "Failed",
}


INTRODUCTION = (
    "These are the arguments of transfer(), and the options of nst-numpy transfer. The page has a control for each "
    "that names no file."
)
START = "Choose a photograph and a painting; the preview begins by itself."
LAYERS = (
    "Now choose a painting. (Without one, content layers can be chosen, from which the photograph is reconstructed.)"
)


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
        self._unfolded = False  # all other settings
        self._at: int | None = None  # the earlier picture that is looked at
        self._pictures: list[str] = []
        self._asked: tuple[Painting | None, int] = (None, -1)  # the picture that was last asked for
        self._next = 0.0  # when the next one may be
        with Tag("header"):
            Tag("h1", "nst_numpy studio")
            Tag("a", "Help", href="/help", target="_blank")
            self._theme()
        self._client = ui.context.client
        Tag("p", classes="alert", id="alert", role="alert")  # its text belongs to page.js
        with Tag("div", classes="studio"):
            with Tag("section", classes="choose", aria_label="What to paint"):
                self._images()
                self._chosen()
            with Tag("section", classes="easel", aria_label="The picture"):
                self._easel()
            self.looking = Looking(self._picture)
            with Tag("section", classes="inside", aria_label="Inside"):
                self._inside()
        ui.timer(TICK, self._tick)
        session.pages += 1
        ui.context.client.on_delete(self._closed)

    def _closed(self) -> None:
        self.session.leave()

    def tell(self, sentence: str) -> None:
        """Show a sentence at the top of the page."""
        self._client.run_javascript(f"say({json.dumps(sentence)})")

    def attempt(self, do: Callable[..., Any], *arguments: Any) -> None:
        """Do something that can be refused, and say why if it is."""
        try:
            do(*arguments)
            self.tell("")
        except Refused as refused:
            self.tell(sentence(str(refused)))
        self._version, self._values = self.session.version, {**self.session.chosen.values}

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
                with Tag("details", classes="samples"):
                    Tag("summary", "… or a sample", aria_label=f"{title}: samples")
                    with Tag("div", classes="tools"):
                        for name, (words, _) in SAMPLES.items():
                            with button("", partial(self._take_sample, role, name), aria_label=words, title=words):
                                Tag("img", src=f"/images/{name}", alt="", loading="lazy")

    async def _take_sample(self, role: str, name: str) -> None:
        given = await asyncio.to_thread(sample, name)
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
            if role == "style" and self.session.chosen.content:
                self._region_of(given)
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
                )

    def _region_of(self, given: Given) -> None:
        """The buttons by which a style is kept to a region of the photograph."""
        name, mask = given.source.name, self.session.chosen.masks.get(given.key)
        with Tag("div", classes="regions"):
            if mask:
                Tag(
                    "a",
                    "Region",
                    href=f"/regions/{given.key}",
                    download=mask.name,
                    aria_label=f"Download the region of {name}",
                )
                button("All of the photograph", partial(self._set_region, given, None), "plain")
            else:
                button("Only a region …", partial(self._paint_region, given), "plain", aria_label=f"Region of {name}")
                if any(key != given.key for key in self.session.chosen.masks):
                    button("The rest", partial(self._set_rest, given), "plain", aria_label=f"{name} in the rest")

    def _set_region(self, given: Given, work: Brushwork | None) -> None:
        self.attempt(self.session.set_region, given, work)
        self._show_chosen()

    def _set_rest(self, given: Given) -> None:
        self.attempt(self.session.set_rest, given)
        self._show_chosen()

    def _paint_region(self, given: Given) -> None:
        if self.session.chosen.content:
            paint_region(self.session.chosen.content, given.source.name, partial(self._set_region, given))

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
        values = self.session.chosen.values
        self._values = {**values}
        usual = Settings(convention=values.get("convention", "nst_numpy"))
        help, put = arguments.HELP, partial(self.attempt, self.session.set)

        slider(
            "Size",
            values.get("size", usual.largest),
            lambda v: put("size", int(v)),
            least=SIZES[0],
            most=SIZES[1],
            step=32,
            unit="pixels",
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
        with Tag("details", classes="more", open=self._unfolded) as more:
            Tag("summary", "All other settings")
            for name in ADVANCED:
                self._setting(name, values.get(name), usual)
            button("Back to the defaults", self._defaults, "plain")
        more.on("toggle", self._set_unfolded, js_handler="(event) => emit(event.target.open)")

    def _set_unfolded(self, event: Any) -> None:
        self._unfolded = bool(event.args)

    def _setting(self, name: str, value: Any, usual: Settings) -> None:
        """The control of a setting, which shows the default where none is chosen."""
        label, help = label_of(name), arguments.HELP.get(name, "")
        default = getattr(usual, name)
        if name in CHOICES:
            options = {"": "none"} if default is None else {}
            options |= {one: one.replace("_", " ") for one in CHOICES[name]}

            def take(text: str) -> None:
                self.attempt(self.session.set, name, text or None)
                if name == "convention":  # it has other defaults
                    self._chosen.refresh()

            choice(label, value or default or "", options, take, help=help, name=name)
            return
        if name.endswith("_layers"):
            default = getattr(usual.convention, name)
        entry(label, in_words(default if value is None else value), partial(self._parse, name), help=help, name=name)

    def _parse(self, name: str, text: str) -> None:
        """Take what was entered for a setting; nothing is the default."""
        how = arguments.SETTINGS[name]
        try:
            value = how["type"](text) if text.strip() else None
        except (ValueError, ArgumentTypeError):
            self.tell(f"{label_of(name)}: expected {how['metavar']}, found {text!r}. Nothing was changed.")
            return
        self.attempt(self.session.set, name, value)

    def _defaults(self) -> None:
        self.session.chosen.values.clear()
        self.session.changed()
        self._show_chosen()

    def _show_chosen(self, also_values: bool = True) -> None:
        """Show what is chosen anew; controls that are in use stay as they are unless their values have changed."""
        self._version = self.session.version
        self._thumbnails.refresh()
        if also_values:
            self._chosen.refresh()

    # The picture ------------------------------------------------------------------------------------------------------

    def _easel(self) -> None:
        with Tag("div", classes="tools"):
            self._paint = button("Paint", self._start, "primary")
            self._pause = button("Pause", self._pause_or_resume)
            self._step = button("One step", partial(self._have, Painting.step_once))
            self._stop = button("Stop", partial(self._have, Painting.stop))
            self._download = Tag("a", "Download", "button", hidden=True)
            self._download.on("click", self._note_download, args=[])
        self._progress = Tag("progress", max=1, value=0, aria_label="Progress")
        self._detail = Tag("p", START, "detail")
        self._needs = Tag("p", classes="help")
        self._state = Tag("p", classes="aside", role="status")
        with Tag("div", classes="frame", tabindex=0, role="group", aria_label="The picture; scrolls when it is zoomed"):
            self._picture = ui.interactive_image("", on_mouse=self._pointed, events=["click"], sanitize=False)
            with self._picture.classes("picture").props('role=img aria-label="The picture"'):
                self._before = Tag("img", classes="before", alt="")
        with Tag("div", classes="views"):
            by_style = "(event) => event.target.closest('.easel').style.setProperty('--{}', event.target.value + '%')"
            for label, variable, least, most in (("Before and after", "cut", 0, 100), ("Zoom", "zoom", 100, 800)):
                of = fresh_id()
                with Tag("div", classes="field"):
                    Tag("label", label, for_=of)
                    control = Tag("input", id=of, type="range", min=least, max=most, value=least)
                    control.on("input", js_handler=by_style.format(variable))
            with Tag("div", classes="field"):
                self._step_label = Tag("label", "Step", for_="step")
                with Tag("div", classes="stepper"):
                    button("‹", partial(self._walk, -1), aria_label="One step back")
                    self._steps = Tag("input", id="step", type="range", min=0, max=0, value=0)
                    button("›", partial(self._walk, 1), aria_label="One step forward")
            self._steps.on(
                "input",
                lambda event: self._look_at(int(event.args)),
                js_handler="(event) => emit(event.target.value)",
                throttle=0.1,
            )
        checkbox("Go on painting when this page is closed", self.session.keep, self._set_keep)

    def _set_keep(self, keep: bool) -> None:
        self.session.keep = keep

    async def _start(self) -> None:
        self._at = None
        self._paint.put(disabled=True)
        try:
            self._needs.say(await asyncio.to_thread(self.session.paint))
            self.tell("")
        except Refused as refused:
            self.tell(sentence(str(refused)))

    def _have(self, do: Callable[[Painting], None]) -> None:
        """Have the painting that is shown do something."""
        if self.session.shown:
            self._at = None
            do(self.session.shown)

    def _pause_or_resume(self) -> None:
        if self.session.shown:
            self._have(Painting.resume if self.session.shown.pausing else Painting.pause)

    def _walk(self, steps: int) -> None:
        """Go so many pictures on, or back; beyond the last one of a paused painting, paint one more."""
        painting = self.session.shown
        if painting is None or not painting.earlier:
            return
        there = painting.earlier
        now = there[-1] if self._at is None else self._at
        if now + steps > there[-1] and painting.state == "paused":
            self._have(Painting.step_once)
        else:
            self._look_at(min(max(now + steps, there[0]), there[-1]))

    def _look_at(self, number: int) -> None:
        there = self.session.shown.earlier if self.session.shown else []
        self._at = None if not there or number >= there[-1] else max(number, there[0])

    async def _tick(self) -> None:
        """Bring the page up to date."""
        session = self.session
        if session.version != self._version:  # by an upload, or in another tab
            self._show_chosen(also_values=session.chosen.values != self._values)
        if session.to_collect:
            await asyncio.to_thread(session.collect)
        if self._pictures != (pictures := [one.key for one in session.gallery]):
            self._pictures = pictures
            self._gallery.refresh()
        painting = session.shown
        if painting is not self._asked[0]:
            self._at = None
        done = next((one for one in session.gallery if one.of is painting), None)
        self._download.show(done is not None)
        if done:
            self._download.put(href=f"/pictures/{done.key}", download=done.name)
        ended = painting is None or painting.state in ENDS
        self._paint.put(disabled=session.busy or not session.chosen.ready)
        for tag in (self._pause, self._step, self._stop):
            tag.put(disabled=ended)
        self._pause.say("Resume" if painting and painting.pausing else "Pause")
        self._progress.put(value=round(painting.progress, 3) if painting else 0)
        self._describe(painting)
        self._show_picture(painting)
        self.looking.tick(painting, self._at)

    def _describe(self, painting: Painting | None) -> None:
        """Say what is going on."""
        session = self.session
        if painting is None:
            start = LAYERS if session.chosen.content else START
            self._detail.say(sentence(session.problem) if session.problem else start)
            self._needs.say("")
            self._state.say("")
            return
        if painting is session.preview:
            self._needs.say("")
        what = f"Preview of {PREVIEW} pixels" if painting is session.preview else "Painting"
        state = STATES[painting.state]
        words = f"{what}: {state[0].lower()}{state[1:]}"
        if before := session.painter.place(painting):
            words += f", behind {before} other{'s' * (before > 1)}"
        detail = words
        if painting.state in ("painting", "paused"):
            size = max(painting.history[-1]["size"], 0) if painting.history else 0
            detail += f", step {painting.step} of {painting.steps} at {size:.0f} pixels"
            if painting.remaining is not None and painting.state == "painting":
                detail += f", {duration(painting.remaining)} left"
        if painting.error:
            detail += f". {sentence(painting.error)}"
        if painting.warnings:
            detail += f". {sentence(painting.warnings[-1])}"
        self._detail.say(detail)
        self._state.say(words + (f". {sentence(painting.error)}" if painting.error else ""))

    def _show_picture(self, painting: Painting | None) -> None:
        """Ask for the picture, if there is a new one and it is time."""
        there = painting.earlier if painting else []
        if there:
            at = there[-1] if self._at is None else self._at
            self._steps.put(min=there[0], max=there[-1], value=at)
            self._step_label.say(f"Step: picture {at} of {there[-1]}")
        content = self.session.chosen.content
        self._before.put(src=f"/images/{content.key}?shown" if content else None, hidden=content is None)
        number = -1 if painting is None else painting.number - 1 if self._at is None else self._at
        if (painting, number) == self._asked or (self._at is None and time.monotonic() < self._next):
            return
        self._asked = painting, number
        self._next = time.monotonic() + max(LEAST, PACE * self.session.encoding)
        source = ""
        if painting and number >= 0:
            earlier = "" if self._at is None else f"&at={number}"
            source = f"/live?of={self.session.begun}&number={number}{earlier}"
        self._picture.set_source(source)

    def _pointed(self, event: Any) -> None:
        self.looking.point(int(event.image_y), int(event.image_x))
        self._tabs.set_value("Pixel")

    # Inside -----------------------------------------------------------------------------------------------------------

    def _inside(self) -> None:
        panels: dict[str, Callable[[], None]] = {
            "Losses": self.looking.losses,
            "Layers": self.looking.layers,
            "Pixel": self.looking.pixel,
            "Code": self.looking.code,
            "Gallery": self._gallery,
        }
        with ui.tabs(on_change=self._tab_changed).classes("tabs").props("dense no-caps") as self._tabs:
            for name in panels:
                ui.tab(name)
        with ui.tab_panels(self._tabs, value=self.looking.tab, animated=False).classes("panels"):
            for name, build in panels.items():
                with ui.tab_panel(name):
                    build()

    def _tab_changed(self, event: Any) -> None:
        self.looking.tab = event.value

    @ui.refreshable_method
    def _gallery(self) -> None:
        if not self.session.gallery:
            Tag("p", "Finished pictures are kept here until the studio ends.", "help")
        with Tag("ul", classes="gallery"):
            for one in self.session.gallery:
                with Tag("li"):
                    with Tag("a", href=f"/pictures/{one.key}", target="_blank", aria_label=f"Open {one.name}"):
                        Tag("img", src=f"/pictures/{one.key}", alt=one.name, loading="lazy")
                    Tag("p", f"{one.width}×{one.height}{'' if one.complete else ', stopped'}", "name")
                    Tag("p", one.chosen.described(), "help")
                    with Tag("div", classes="tools"):
                        address, label = f"/pictures/{one.key}", f"Download {one.name}"
                        link = Tag("a", "Download", "button", href=address, download=one.name, aria_label=label)
                        link.on("click", partial(self.session.fetched.add, one.key), args=[])
                        button(
                            "Again with…",
                            partial(self._again, one),
                            aria_label=f"Again with the settings of {one.name}",
                        )

    def _note_download(self) -> None:
        self.session.fetched.update(one.key for one in self.session.gallery if one.of is self.session.shown)

    def _again(self, finished: Finished) -> None:
        self.attempt(self.session.again, finished)
        self._show_chosen()


def help_text() -> str:
    """The descriptions of all settings, as a page."""
    parts = []
    for head, text in parameters_of(Settings).items():
        name = head.split()[0]
        words = re.sub(r"`+([^`]+)`+", r"<code>\1</code>", escape(" ".join(text.split())))
        parts.append(f'<h2 id="{name}"><code>{escape(head)}</code></h2><p>{words}</p>')
    style = (FOLDER / "page.css").read_text()
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Settings of a painting</title>'
        f'<meta name="viewport" content="width=device-width"><style>{style}</style></head><body class="text">'
        f"<main><h1>Settings of a painting</h1><p>{escape(INTRODUCTION)}</p>{''.join(parts)}</main></body></html>"
    )
