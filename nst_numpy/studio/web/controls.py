"""The controls of the page: plain HTML elements, which bring keyboard and screen readers with them."""

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Any

from nicegui.elements.mixins.text_element import TextElement

# Vue writes "value" into an input whenever anything on the page changes, over what is being typed there; with the
# point, when the value itself is changed here.
VALUE = ".value"
_numbers = count(1)


class Tag(TextElement):
    """An HTML element.

    Parameters
    ----------
    name : str
        Such as "p".
    text : str
        Shown as text, whatever it contains.
    classes : str
    **attributes
        With an underscore for each hyphen; one at the end is dropped, as in `for_`.
    """

    def __init__(self, name: str, text: str = "", classes: str = "", **attributes: Any):
        super().__init__(tag=name, text=text)
        if classes:
            self.classes(classes)
        self.put(**attributes)

    def put(self, **attributes: Any) -> "Tag":
        """Change attributes; what stays the same is not sent. False and None take one away."""
        for name, value in attributes.items():
            name = VALUE if name == "value" and self.tag == "input" else name.rstrip("_").replace("_", "-")
            if value is None or value is False:
                if name in self._props:
                    del self._props[name]
            elif self._props.get(name) != value:
                self._props[name] = value
        return self

    @property
    def value(self) -> str:
        """What is entered."""
        return str(self._props.get(VALUE, ""))

    def say(self, text: str) -> None:
        """Change the text."""
        if self.text != text:
            self.set_text(text)

    def show(self, shown: bool) -> None:
        """Show or hide it, from screen readers as well."""
        self.put(hidden=not shown)


def button(text: str, on_click: Callable[..., Any], classes: str = "", **attributes: Any) -> Tag:
    """A button."""
    tag = Tag("button", text, classes, type="button", **attributes)
    tag.on("click", lambda: on_click(), args=[])
    return tag


def fresh_id() -> str:
    """An id that no other element has."""
    return f"field-{next(_numbers)}"


def _head(label: str, name: str, of: str) -> Tag:
    """A label, with room for the value."""
    with Tag("div", classes="head"):
        Tag("label", label, for_=of)
        output = Tag("output", for_=of)
    return output


def _help(text: str, name: str, of: str) -> None:
    """A sentence of help, with a link to the whole description."""
    if text:
        with Tag("p", classes="help", id=f"{of}-help"):
            Tag("span", text + " ")
            if name:
                Tag("a", "More", href=f"/help#{name}", target="_blank", aria_label=f"More on {name}")


def slider(
    label: str,
    value: float,
    on_input: Callable[[float], Any],
    *,
    least: float,
    most: float,
    step: float,
    unit: str = "",
    shown: Callable[[float], str] | None = None,
    help: str = "",
    name: str = "",
) -> Tag:
    """A slider; `shown` is what is said of a value, by default the number and its unit."""
    of = fresh_id()
    with Tag("div", classes="field"):
        output = _head(label, name, of)
        control = Tag("input", id=of, type="range", min=least, max=most, step=step, value=value)
        control.put(aria_describedby=f"{of}-help" if help else None)
        _help(help, name, of)

    def take(text: Any) -> None:
        found = float(text)
        words = shown(found) if shown else f"{found:g} {unit}".strip()
        output.say(words)
        control.put(aria_valuetext=words)

    def changed(event: Any) -> None:
        take(event.args)
        on_input(float(event.args))

    take(value)
    control.on("input", changed, js_handler="(event) => emit(event.target.value)", throttle=0.1)
    return control


def checkbox(label: str, checked: bool, on_change: Callable[[bool], Any]) -> None:
    """A box to tick."""
    with Tag("label", classes="tick"):
        box = Tag("input", type="checkbox", checked=checked)
        Tag("span", label)
    box.on("change", lambda event: on_change(bool(event.args)), js_handler="(event) => emit(event.target.checked)")


def choice(
    label: str,
    value: str,
    options: Mapping[str, str],
    on_change: Callable[[str], Any],
    *,
    help: str = "",
    name: str = "",
) -> Tag:
    """A list of which one entry is chosen; `options` are what they are called."""
    of = fresh_id()
    with Tag("div", classes="field"):
        _head(label, name, of)
        control = Tag("select", id=of)
        with control:
            for key, words in options.items():
                Tag("option", words, value=key, selected=key == value)
        control.put(aria_describedby=f"{of}-help" if help else None)
        _help(help, name, of)
    control.on("change", lambda event: on_change(event.args), js_handler="(event) => emit(event.target.value)")
    return control


def entry(
    label: str, value: str, on_change: Callable[[str], Any], *, help: str = "", name: str = "", **attributes: Any
) -> Tag:
    """A line of text or a number; it is taken with Enter, or when the next field is entered."""
    of = fresh_id()
    with Tag("div", classes="field"):
        _head(label, name, of)
        control = Tag("input", id=of, value=value, autocomplete="off", **attributes)
        control.put(aria_describedby=f"{of}-help" if help else None)
        _help(help, name, of)

    def changed(event: Any) -> None:
        control.put(value=event.args)
        on_change(event.args)

    control.on("change", changed, js_handler="(event) => emit(event.target.value)")
    return control


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], caption: str) -> None:
    """A table whose first column names the rows."""
    with Tag("table"):
        Tag("caption", caption)
        with Tag("thead"), Tag("tr"):
            for head in heads:
                Tag("th", head, scope="col")
        with Tag("tbody"):
            for row in rows:
                with Tag("tr"):
                    Tag("th", row[0], scope="row")
                    for cell in row[1:]:
                        Tag("td", cell)
