"""Small interactive figures for the pages, with numbers that the library computes when the site is made.

`<!-- explorable: NAME -->` in a page becomes a figure. Its HTML shows the first choice, so it can be read in print and
without scripts. What it shows for every other choice, sentence included, goes along as JSON; explorables.js only swaps.
"""

import io
import json
import re
from collections.abc import Iterable, Iterator
from functools import partial
from html import escape
from itertools import combinations_with_replacement, pairwise, product
from typing import Any

import numpy as np
from painted import address, descent, settings
from PIL import Image

from nst_numpy import Objective, exercises, images, layers, load_weights, losses, samples
from nst_numpy.exercises.topics import get
from nst_numpy.topology import is_convolution

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# What is shown when a cell is selected: "says", "marks": {cell: note}, "put": {picture: its name}
Cell = dict[str, Any]
# One choice from the lists: "put": {cell: number}, "cells", and perhaps "wrong", a list of cells
State = dict[str, Any]


def explorable(name: str, page: str) -> str:
    """The HTML of a figure, without empty lines, which would end it in Markdown."""
    made = {"convolution": convolution, "relu": relu, "pooling": pooling, "gram": gram, "sweep": sweep}
    made |= {"settings": settings, "descent": descent}
    return which_is_right(page) if name == "which-is-right" else made[name]()


# Parts of a figure ----------------------------------------------------------------------------------------------------


def figure(name: str, body: list[str], states: dict[str, State], first: str, understood: str, **more: Any) -> str:
    """A figure with its data. `first` is the cell selected at first, in the first state."""
    state = next(iter(states.values()))
    packed = {key: each | {"cells": shared(each["cells"])} for key, each in states.items()}
    data = json.dumps({"states": packed, **more}, ensure_ascii=False, separators=(",", ":")).replace("</", r"<\/")
    return "\n".join(
        [
            f'<figure class="explorable" id="explorable-{name}">',
            *body,
            f'<p class="says" aria-live="polite">{escape(state["cells"][first]["says"])}</p>',
            f"<figcaption>{understood}</figcaption>",
            f'<script type="application/json">{data}</script>',
            "</figure>",
        ]
    )


def alike(names: Iterable[str], says: str, marks: dict[str, str]) -> dict[str, Cell]:
    """Cells that say the same and mark each other."""
    names = tuple(names)
    return {name: {"says": says, "marks": marks | dict.fromkeys(names, "")} for name in names}


def shared(cells: dict[str, Cell]) -> dict[str, Cell | str]:
    """The cells, where those that show the same as an earlier one have its name instead."""
    names: dict[str, str] = {}
    earlier = {name: names.setdefault(json.dumps(cell), name) for name, cell in cells.items()}
    return {name: cells[name] if first == name else first for name, first in earlier.items()}


BREAK = ("", "", range(0), range(0))  # between panels: the next begins a line, if the page is wide


def board(panels: Iterable[tuple[str, str, range, range]], states: dict[str, State], first: str) -> list[str]:
    """Panels of cells: (name, title, rows, columns). Those that have something to say are buttons."""
    state = next(iter(states.values()))
    chosen = state["cells"][first]
    put = state["put"] | chosen.get("put", {})
    lines = ['<div class="board">']
    for name, title, rows, columns in panels:
        if not name:
            lines.append('<span class="break"></span>')
            continue
        lines.append(f'<div class="panel panel-{name}"><div class="title">{title}</div>')
        lines.append(f'<table role="grid" aria-label="{re.sub("<.*?>", "", title)}">')
        for r in rows:
            lines.append('<tr role="row">')
            for c in columns:
                cell = at(name, r, c)
                look = "cell" + " selected" * (cell == first) + " marked" * (cell in chosen["marks"])
                at_edge = r in (rows[0], rows[-1]) or c in (columns[0], columns[-1])
                look += " outside" * (rows[0] < 0 and at_edge)
                where = f'<span class="where">{name}, row {r + 1}, column {c + 1}: </span>'
                inside = f"<b>{put[cell]}</b><small>{chosen['marks'].get(cell, '')}</small>"
                if cell in state["cells"]:
                    tab = 0 if cell == first else -1
                    inside = f'tabindex="{tab}">{where}{inside}'
                    text = f'<button type="button" class="{look}" data-cell="{cell}" {inside}</button>'
                else:
                    text = f'<span class="{look}" data-cell="{cell}">{inside}</span>'
                lines.append(f'<td role="gridcell">{text}</td>')
            lines.append("</tr>")
        lines += ["</table>", "</div>"]
    return [*lines, "</div>"]


def choice(name: str, label: str, values: dict[str, str]) -> str:
    """A list to choose from."""
    options = "".join(f'<option value="{value}">{text}</option>' for value, text in values.items())
    return f'<label>{label} <select name="{name}" autocomplete="off">{options}</select></label>'


def controls(*choices: str) -> str:
    return f'<div class="controls">{" ".join(choices)}</div>'


def at(name: str, r: int, c: int) -> str:
    """The name of a cell."""
    return f"{name}:{r}:{c}"


def shown(name: str, a: np.ndarray, shift: int = 0) -> dict[str, str]:
    """The cells of a panel, and their numbers."""
    return {at(name, r - shift, c - shift): number(a[r, c]) for r, c in np.ndindex(a.shape)}


def number(value: float) -> str:
    """A number as it is printed: with a real minus, and two decimals at most."""
    return f"{value:z.2f}".rstrip("0").rstrip(".").replace("-", "−")


def factor(value: float) -> str:
    return number(value) if value >= 0 else f"({number(value)})"


def total(products: Iterable[tuple[float, float]]) -> str:
    return " + ".join(f"{factor(a)}·{factor(b)}" for a, b in products)


def place(r: int, c: int) -> str:
    return f"row {r + 1}, column {c + 1}"


def around(r: int, c: int) -> Iterator[tuple[int, int, int, int]]:
    """The nine offsets, as places in the kernel, and where they lead from a position."""
    return ((i, j, r + i - 1, c + j - 1) for i, j in product(range(3), repeat=2))


# The figures ----------------------------------------------------------------------------------------------------------


def convolution() -> str:
    x = np.array([[1, 0, 2, 1, 3], [0, 2, 1, 0, 1], [3, 1, 0, 2, 0], [1, 0, 1, 3, 2], [2, 1, 0, 1, 0]], float)
    dy = np.array([[1, 0, -1, 2, 0], [0, 1, 2, 0, -1], [2, -1, 0, 1, 0], [0, 1, 0, -2, 1], [1, 0, 2, 0, 1]], float)
    kernel = np.arange(1.0, 10).reshape(3, 3)
    H, W = x.shape
    y = layers.conv_forward(x[..., None], kernel[..., None, None], np.zeros(1))[..., 0]
    dx = layers.conv_backward_input(dy[..., None], kernel[..., None, None])[..., 0]
    padded = layers.pad_forward(x[..., None], "zero")[..., 0]
    put = shown("x", padded, 1) | shown("κ", kernel) | shown("y", y) | shown("dy", dy) | shown("dx", dx)
    cells: dict[str, Cell] = {}
    for r, c in np.ndindex(H, W):
        # Where x[r, c] is used with element (i, j) of the kernel, the output is at minus that offset.
        outputs = [(2 - i, 2 - j, p, q) for i, j, p, q in around(r, c) if 0 <= p < H and 0 <= q < W]
        notes = {(p, q): f"×{number(kernel[i, j])}" for i, j, p, q in outputs}
        marks = {at(name, *p): note for name in ("y", "dy") for p, note in notes.items()}
        marks |= {at("κ", i, j): "" for i, j, *_ in outputs}
        missing = "" if len(outputs) == 9 else f" ({COUNTS[9 - len(outputs)]} of the nine would be outside)"
        says = (
            f"x at {place(r, c)} contributes to {COUNTS[len(outputs)]} outputs{missing}, to each with another element "
            "of the kernel. Under the numbers of y and dy these have the order of the flipped kernel.\ndx = Σ dy·κ = "
            f"{total((dy[p, q], kernel[i, j]) for i, j, p, q in outputs)} = {number(dx[r, c])}"
        )
        cells |= alike((at("x", r, c), at("dx", r, c)), says, marks)
        inputs = list(around(r, c))
        zeros = sum(not (0 <= p < H and 0 <= q < W) for *_, p, q in inputs)
        padding = f" ({COUNTS[zeros]} of them zeros outside the image)" if zeros else ""
        gathered = {(p, q): f"×{number(kernel[i, j])}" for i, j, p, q in inputs}
        terms = total((padded[p + 1, q + 1], kernel[i, j]) for i, j, p, q in inputs)
        cells[at("y", r, c)] = {
            "says": f"y at {place(r, c)} gathers nine elements of x{padding}, with the kernel as it is.\n"
            f"y = Σ x·κ = {terms} = {number(y[r, c])}",
            "marks": {at("x", *p): note for p, note in gathered.items()},
        }
        dropped = f" {COUNTS[zeros].capitalize()} would land outside the image: dropped." if zeros else ""
        cells[at("dy", r, c)] = {
            "says": f"dy at {place(r, c)} is {number(dy[r, c])}. It is scattered to the places that y gathered from, "
            f"times the same elements of the kernel, and added there.{dropped}",
            "marks": {at("dx", *p): note for p, note in gathered.items() if at("dx", *p) in put},
        }
    states = {"": {"put": put, "cells": cells}}
    sides = range(H), range(W)
    panels = [
        ("x", "<i>x</i>, zeros outside", range(-1, H + 1), range(-1, W + 1)),
        ("κ", "kernel <i>κ</i>", range(3), range(3)),
        ("y", "<i>y</i>", *sides),
        BREAK,
        ("dy", "<i>dy</i>", *sides),
        ("dx", "<i>dx</i>", *sides),
    ]
    first = at("x", 1, 2)
    return figure(
        "convolution",
        board(panels, states, first),
        states,
        first,
        "Point at a pixel of x, or at an output y. The kernel is flipped on the way back because an "
        "output above the pixel sees the pixel below itself, with a lower element of the kernel.",
    )


def relu() -> str:
    x = np.array([[2, -1, 3, 0], [-2, 1, -3, 4], [0, 5, -1, 1]], float)
    dy = np.array([[1, 4, -2, 3], [2, -1, 5, 0], [-3, 2, -4, 6]], float)
    y, mask = layers.relu_forward(x), (x > 0).astype(float)
    states: dict[str, State] = {}
    for name, dx in (("on", layers.relu_backward(dy, x)), ("off", dy)):
        wrong = [(r, c) for r, c in np.ndindex(x.shape) if x[r, c] < 0 and dx[r, c] != 0]
        cells: dict[str, Cell] = {}
        put = shown("x", x) | shown("y", y) | shown("mask", mask if name == "on" else np.ones_like(mask))
        put |= shown("dy", dy) | shown("dx", dx)
        for r, c in np.ndindex(x.shape):
            if x[r, c] == 0:
                says = (
                    "x = 0: the slope is 0 on the left and 1 on the right. Any number between them is a subgradient, "
                )
                says += "and the library takes 0."
            elif x[r, c] > 0:
                says = f"x = {number(x[r, c])}: y = x, and the slope is 1."
            else:
                says = f"x = {number(x[r, c])}: y stays 0 if x changes a little, and the slope is 0."
            says = f"{place(r, c).capitalize()}. {says}\n"
            if name == "on":
                says += f"dx = dy·mask = {factor(dy[r, c])}·{number(mask[r, c])} = {number(dx[r, c])}"
            else:
                should = ", and should be 0" if (r, c) in wrong else ""
                says += f"Without the mask dx = dy = {number(dx[r, c])}{should}."
            cells |= alike((at(other, r, c) for other in ("x", "y", "mask", "dy", "dx")), says, {})
        states[name] = {"put": put, "cells": cells, "wrong": [at("dx", r, c) for r, c in wrong]}
    sides = range(x.shape[0]), range(x.shape[1])
    titles = {"x": "<i>x</i>", "y": "<i>y</i> = max(0, <i>x</i>)", "dy": "<i>dy</i>", "mask": "mask", "dx": "<i>dx</i>"}
    first = at("x", 0, 1)
    return figure(
        "relu",
        [
            controls(choice("mask", "Mask:", {"on": "x > 0", "off": "off (or y ≥ 0, which is always true)"})),
            *board([(name, title, *sides) for name, title in titles.items()], states, first),
        ],
        states,
        first,
        "Switch the mask off, and see which elements become wrong. The mask comes from x, the "
        "input, and has nothing to do with the sign of dy.",
    )


def pooling() -> str:
    rows = [[1, 3, 0, 2, 6], [3, 2, 1, 1, 0], [0, 1, 4, 2, 1], [2, 0, 3, 3, 2], [4, 1, 0, 1, 4]]
    x = np.array(rows, float)[..., None]
    dy = np.array([[36, 72], [-36, 108]], float)[..., None]
    states: dict[str, State] = {}
    for kind, window in product(("maximum", "average"), (2, 3)):
        if kind == "maximum":
            forward, backward = layers.max_pool_forward, layers.max_pool_backward
        else:
            forward, backward = layers.average_pool_forward, layers.average_pool_backward
        y, dx = forward(x, window), backward(dy, x, window)
        # The share of each element in an output is what it gets when this output alone has a gradient, of 1.
        units = dict(zip(np.ndindex(2, 2), np.eye(4).reshape(4, 2, 2, 1), strict=True))
        shares = {p: backward(one, x, window)[..., 0] for p, one in units.items()}
        cells: dict[str, Cell] = {}
        windows = {p: [(2 * p[0] + i, 2 * p[1] + j) for i, j in np.ndindex(window, window)] for p in shares}
        part = f"1/{window**2}"
        for p, members in windows.items():
            values = [x[q][0] for q in members]
            notes = {q: ("×1" if shares[p][q] == 1 else f"×{part}" if shares[p][q] else "") for q in members}
            if kind == "maximum":
                ties = values.count(max(values))
                tie = f" It is there {COUNTS[ties]} times; the first in reading order counts." if ties > 1 else ""
                says = f"y at {place(*p)} is the largest of {', '.join(map(number, values))}: {number(y[p][0])}.{tie}"
            else:
                says = f"y at {place(*p)} = ({' + '.join(map(number, values))}) / {window**2} = {number(y[p][0])}."
            goes = " goes there whole." if kind == "maximum" else f": each gets {part} of it."
            says += f" dy = {number(dy[p][0])}{goes}"
            marks = {at(name, *q): note for name in ("x", "dx") for q, note in notes.items()}
            cells |= alike((at("y", *p), at("dy", *p)), says, marks)
        for q in np.ndindex(x.shape[:2]):
            inside = [p for p, members in windows.items() if q in members]
            got = [p for p in inside if shares[p][q]]
            says = f"x at {place(*q)} is in {COUNTS[len(inside)]} window{'s' * (len(inside) != 1)}"
            if kind == "maximum" and inside:
                says += f", and gets the gradient of {COUNTS[len(got)]}"
            terms = " + ".join(factor(dy[p][0]) + (f"/{window**2}" if kind == "average" else "") for p in got)
            says += f".\ndx = {f'{terms} = ' if got else ''}{number(dx[q][0])}"
            marks = {at(name, *p): "✓" if p in got else "" for name in ("y", "dy") for p in inside}
            cells |= alike((at("x", *q), at("dx", *q)), says, marks)
        arrays = {"x": x, "y": y, "dy": dy, "dx": dx}
        put = {cell: text for name, a in arrays.items() for cell, text in shown(name, a[..., 0]).items()}
        states[f"{kind} {window}"] = {"put": put, "cells": cells}
    sizes = {"x": 5, "y": 2, "dy": 2, "dx": 5}
    first = at("y", 0, 0)
    return figure(
        "pooling",
        [
            controls(
                choice("kind", "Pooling:", {"maximum": "maximum", "average": "average"}),
                choice("window", "Windows:", {"2": "2 × 2, side by side", "3": "3 × 3, overlapping"}),
            ),
            *board([(name, f"<i>{name}</i>", range(n), range(n)) for name, n in sizes.items()], states, first),
        ],
        states,
        first,
        "Choose overlapping windows, and point at the 4 in the middle. The average shares a "
        "gradient out, the maximum sends it to one place, and where windows overlap, the gradients add.",
    )


def gram() -> str:
    filters, layer = (7, 13, 20, 24, 31), "conv1_2"  # a face, clothes, the background, lines across, lines down
    network = load_weights("vgg19-mini", backend="plain")
    a = network.features(images.load(samples.portrait(), 32), layer)[layer][..., filters]
    shape, count = a.shape[:2], len(filters)
    F = losses.feature_matrix(np.round(9 * a / a.max(axis=(0, 1))).astype(np.float64))
    M = F.shape[1]
    rng = np.random.default_rng(0)
    both = rng.permutation(M)
    arranged = {"kept": F, "alike": F[:, both], "each": np.array([row[rng.permutation(M)] for row in F])}
    said = {
        "kept": "",
        "alike": " Both maps are shuffled alike: the picture is gone, and G stays.",
        "each": " Each map is shuffled by itself: other responses meet at a position, and G changes. It was {}.",
    }
    said_of_itself = said | {"each": said["alike"].replace("Both maps are shuffled alike", "The map is shuffled")}
    pictures: dict[str, str] = {}
    states: dict[str, State] = {}
    G = losses.gram(F)
    for name, now in arranged.items():
        for k in range(count):
            pictures[f"first {k} {name}"] = picture(now[k].reshape(shape) / 9, (214, 93, 14))
            pictures[f"second {k} {name}"] = picture(now[k].reshape(shape) / 9, (7, 102, 198))
        for k, m in combinations_with_replacement(range(count), 2):
            pictures[f"product {k} {m} {name}"] = picture((now[k] * now[m]).reshape(shape) / 81, (0, 0, 0))
        found = losses.gram(now)
        cells: dict[str, Cell] = {}
        for k, m in np.ndindex(found.shape):
            says = f"G of filters {k + 1} and {m + 1} = Σ F·F over {M} positions = {number(found[k, m])}."
            says += (said_of_itself if k == m else said)[name].format(number(G[k, m]))
            put = {"first": f"first {k} {name}", "second": f"second {m} {name}"}
            put["product"] = f"product {min(k, m)} {max(k, m)} {name}"
            put |= {"under": put["first"], "over": put["second"]}
            cells[at("G", k, m)] = {"says": says, "marks": {at("G", m, k): ""} if k != m else {}, "put": put}
        changed = [at("G", *p) for p in np.argwhere(found != G).tolist()]
        states[name] = {"put": shown("G", found), "cells": cells, "wrong": changed}
    first = at("G", 1, 2)
    start = states["kept"]["cells"][first]["put"]
    about = {"first": "map of filter k", "second": "map of filter m", "product": "product of both maps"}
    about |= {"under": "both maps, one over the other", "over": ""}
    image = {cell: f'<img data-cell="{cell}" src="{pictures[start[cell]]}" alt="{alt}">' for cell, alt in about.items()}
    boxes = {
        "<i>F<sub>k</sub></i>": image["first"],
        "<i>F<sub>m</sub></i>": image["second"],
        "both": image["under"] + image["over"],
        "<i>F<sub>k</sub></i> · <i>F<sub>m</sub></i>": image["product"],
    }
    maps = [
        f'<div class="panel"><div class="title">{t}</div><div class="map">{i}</div></div>' for t, i in boxes.items()
    ]
    positions = {"kept": "as they are", "alike": "shuffled", "each": "each map by itself"}
    sides = range(count), range(count)
    names = {str(k): str(k + 1) for k in range(count)}
    return figure(
        "gram",
        [
            controls(
                choice("1", "Filter <i>k</i>:", names),
                choice("2", "Filter <i>m</i>:", names),
                choice("positions", "Positions:", positions),
            ),
            '<div class="board">',
            *maps,
            "</div>",
            *board([("G", "<i>G<sub>km</sub></i>, <i>k</i> down, <i>m</i> across", *sides)], states, first),
        ],
        states,
        first,
        f"Five feature maps of {layer} for the sample portrait, scaled to 0–9 and rounded. Choose two, or a number of "
        "G, and shuffle. G counts what responds together, and forgets where.",
        pictures=pictures,
    )


RESPONSE, GRADIENT = (7, 102, 198), (214, 93, 14)
INJECTED = {"content": "α v (F − P)", "style": "β w (G − A)F / N²M²", "tv": "γ ∂TV/∂x"}


def sweep() -> str:
    network = load_weights("vgg19-mini", dtype=np.float64, backend="plain")
    portrait = images.load(samples.portrait().crop((0, 0, 512, 512)), 64, dtype=np.float64)
    painting = images.load(samples.swirling_night(64), 64, dtype=np.float64)
    objective = Objective.from_images(
        network,
        portrait,
        painting,
        content_layers=["conv2_2"],
        style_layers=["conv1_1", "conv2_1", "conv3_1"],
        content_weight=8.0,
        tv_weight=200.0,
    )
    terms = {term.layer or "x": term for term in objective.terms}
    names = ["x", "z", *network.layers[: network.layers.index("conv3_1") + 1]]
    panels = {
        "F": ("Forward, to the right: responses a", names),
        "injected": ("Injected by the losses", [name for name in names if name in terms]),
        "dL": ("Backward, to the left: dL/da", names),
        "step": ("A step against the gradient", names[:1]),
    }
    cells: dict[str, Cell] = {}
    small: dict[str, tuple[str, str]] = {}  # label and picture of each button
    keys = {drawn(np.ones((1, 1, 3))): ""}  # of the large pictures; "" is for none
    steps = sum(len(where) for _, where in panels.values())

    def cell(panel: str, name: str) -> str:
        return at(panel, 0, panels[panel][1].index(name))

    def tell(
        panel: str, name: str, says: str, after: list[str], shown: dict[str, str], own: str = "", label: str = ""
    ) -> None:
        """Add a step: what it says, what it follows from, and large pictures by their titles.

        The last of them is on the button, too, if that has none of its own.
        """
        put: dict[str, str] = {}
        for k in range(4):
            title = list(shown)[k] if k < len(shown) else ""
            put[f"title {k}"] = title
            put[f"picture {k}"] = keys.setdefault(shown[title], str(len(keys))) if title else ""
        small[cell(panel, name)] = label or name, own or list(shown.values())[-1]
        says = f"Step {len(cells) + 1} of {steps}. {says}"
        cells[cell(panel, name)] = {"says": says, "marks": dict.fromkeys(after, ""), "put": put}

    # Exactly the picture that the figure shows.
    x = images.to_uint8((portrait + painting) / 2) / 255
    middle, scale = x[32, 32], significant(network.scale, 4)
    says = "The picture x is half way between the portrait and the painting: 64 × 64 pixels, three channels in 0–1.\n"
    says += "In its middle: red {}, green {}, blue {}.".format(*(significant(value) for value in middle))
    tell("F", "x", says, [], {"portrait": drawn(portrait), "painting": drawn(painting), "x": exact(x)}, drawn(x))
    a = {"x": x, "z": network.input_forward(x)}
    says = "Preprocessing, the first factor: z = (255·x − μ)·σ. Grey is where z = 0, the mean colour.\nIn the middle, "
    says += f"red: z = (255·{significant(middle[0])} − {network.mean[0]})·{scale} = {significant(a['z'][32, 32, 0])}"
    tell("F", "z", says, [cell("F", "x")], {"x": exact(x), "z": colors(a["z"])})
    before_relu: dict[str, np.ndarray] = {}
    for below, name in pairwise(names[1:]):
        if is_convolution(name):
            before_relu[name] = layers.conv_forward(a[below], *network.convolutions[name])
            a[name] = layers.relu_forward(before_relu[name])
            zeros = f"{np.mean(a[name] == 0):.0%} of them are zero, as the ReLU's input is not positive. "
            says = f"The convolution {name} and its ReLU: {{}} responses.\n{zeros}"
        else:
            a[name] = layers.average_pool_forward(a[below], 2)
            says = f"{name}, the average of 2 × 2: {{}} responses.\n"
        says = says.format(" × ".join(map(str, a[name].shape))) + f"‖a‖ = {norm(a[name])}"
        shown = {below: colors(a[below]) if below == "z" else norms(a[below], RESPONSE), name: norms(a[name], RESPONSE)}
        tell("F", name, says, [cell("F", below)], shown)

    def inject(name: str) -> np.ndarray:
        """Tell of the loss of a layer, or of the pixels, and return its gradient."""
        term = terms[name]
        value, gradient = term(a[name])
        injected = gradient(None) if callable(gradient) else gradient
        if term.name == "style":
            says = f"The style loss of {name}: which filters respond together, here in G, and in the painting in A?\n"
            loss, matrices = "β w E", {"√G": losses.gram(losses.feature_matrix(a[name])), "√A": term.A}
            matrices["√|G − A|"] = np.abs(matrices["√G"] - term.A)
            most = max(each.max() for each in matrices.values())
            order = np.argsort(-np.diag(term.A), kind="stable")[:32]
            shown = {
                title: picture(np.sqrt(each[np.ix_(order, order)] / most), (0, 0, 0))
                for title, each in matrices.items()
            }
        elif term.name == "content":
            says = f"The content loss of {name}: at each position, what differs from the portrait's P?\n"
            P = term.P.T.reshape(a[name].shape)
            loss, maps = "α v ½ Σ(F − P)²", {"F": a[name], "P": P, "F − P": a[name] - P}
            most = max(largest(each) for each in maps.values())
            shown = {title: norms(each, RESPONSE, most) for title, each in maps.items()}
        else:
            says = "The total variation is a loss of the pixels themselves: neighbours should be alike.\n"
            loss, shown = "γ TV", {"x": exact(x)}
        says += f"{loss} = {significant(value)}, ‖{INJECTED[term.name]}‖ = {norm(injected)}"
        shown["injected"] = colors(injected) if name == "x" else norms(injected, GRADIENT)
        tell("injected", name, says, [cell("F", name)], shown, label=term.name.replace("tv", "TV"))
        return injected

    da = inject(names[-1])
    says = "The backward sweep begins with what the deepest loss injects. Nothing comes from above.\n"
    says += f"‖dL/da‖ = {norm(da)}"
    tell("dL", names[-1], says, [cell("injected", names[-1])], {f"dL/da of {names[-1]}": norms(da, GRADIENT)})
    for name, above in reversed(list(pairwise(names))):
        if is_convolution(above):
            dz = layers.relu_backward(da, before_relu[above])
            down = layers.conv_backward_input(dz, network.convolutions[above][0])
            says = f"Back through {above}: its ReLU's mask stops the gradient where the response is 0, and the flipped "
            says += f"kernel κ̃ takes the rest to {name}."
            formula = f"κ̃ ∗ (mask · dL/da of {above})"
            numbers = f"mask: {product_of(dz, da)}; κ̃: {product_of(down, dz)}"
            shown = {f"{above}, masked": norms(dz, GRADIENT)}
        elif above == "z":
            down = network.input_backward(da)
            factor = significant(255 * network.scale)
            says = "Back through the preprocessing, the last factor: 255·σ for every pixel. Without it, the total "
            says += f"variation would weigh {factor} times as much against the other losses."
            formula, numbers = "255·σ·dL/dz", f"255·{scale} = {factor}; {product_of(down, da)}"
            shown = {"dL/dz": colors(da)}
        else:
            down = layers.average_pool_backward(da, a[name], 2)
            says = f"Back through {above}: each of four positions gets a quarter of the gradient; that halves the norm."
            formula, numbers = f"¼·dL/da of {above}", product_of(down, da)
            shown = {f"dL/da of {above}": norms(da, GRADIENT)}
        after, draw = [cell("dL", above)], colors if name in ("x", "z") else partial(norms, color=GRADIENT)
        variable = name if name in ("x", "z") else "a"
        da, parts = down, {f"from {above}": down}
        if name in terms:
            injected = inject(name)
            da = down + injected
            after.append(cell("injected", name))
            says += " What is injected here is added."
            formula += f" + {INJECTED[terms[name].name]}"
            numbers += f"; with {norm(injected)} injected: ‖dL/d{variable}‖ = {norm(da)}"
            parts |= {"injected": injected, "their sum": da}
        most = max(largest(each) for each in parts.values())  # one scale, since they are added
        shown |= {title: draw(each, most=most) for title, each in parts.items()}
        says += f"\ndL/d{variable}{f' of {name}' if variable == 'a' else ''} = {formula}\n{numbers}"
        tell("dL", name, says, after, shown, draw(da))

    L, g, values = objective(x)
    rate = 0.05 / np.abs(g).max()
    L_new, _, values_new = objective(x - rate * g)
    says = "A step against g = dL/dx that changes no number of the picture by more than 0.05. If L were linear, it "
    says += "would fall by η‖g‖²; it is curved, and falls by less.\n"
    says += f"η‖g‖² = {times(rate, np.sum(g**2))}, L(x) − L(x − ηg) = {significant(L)} − {significant(L_new)} = "
    says += f"{significant(L - L_new)}\n" + ", ".join(
        f"{called} {significant(values[name])} → {significant(values_new[name])}"
        for name, called in {"content": "content", "style": "style", "tv": "total variation"}.items()
    )
    lower = x - rate * g
    shown = {"x": exact(x), "−ηg": colors(-g), "x − ηg": exact(lower)}
    tell("step", "x", says, [cell("F", "x"), cell("dL", "x")], shown, drawn(lower), label="x − ηg")

    pictures = {key: shown for shown, key in keys.items()}
    first = at("F", 0, 0)
    return figure(
        "sweep",
        [
            *strip(panels, cells, small, first),
            '<div class="controls"><button type="button" data-step="-1">← back</button> '
            '<button type="button" data-step="1">next step →</button></div>',
            *slots(cells[first]["put"], pictures),
        ],
        {"": {"put": {}, "cells": cells}},
        first,
        "Walk through the sweep with the button, or point at a picture. One gradient runs down the network: each layer "
        "multiplies it by its own factor, and each loss on the way adds to it.",
        pictures=pictures,
        order=list(cells),
    )


def strip(
    panels: dict[str, tuple[str, list[str]]], cells: dict[str, Cell], small: dict[str, tuple[str, str]], first: str
) -> list[str]:
    """Rows of buttons with a label and a small picture each, under those of the first row that have the same name."""
    lines = ['<div class="board strip">']
    for panel, (title, names) in panels.items():
        lines.append(f'<div class="panel panel-{panel}"><div class="title">{title}</div>')
        lines.append(f'<table role="grid" aria-label="{title}"><tr role="row">')
        for column in panels["F"][1]:
            if column not in names:
                lines.append("<td></td>")
                continue
            name = at(panel, 0, names.index(column))
            label, shown = small[name]
            look = "cell" + " selected" * (name == first) + " marked" * (name in cells[first]["marks"])
            lines.append(
                f'<td role="gridcell"><button type="button" class="{look}" data-cell="{name}" '
                f'tabindex="{0 if name == first else -1}"><span class="where">{panel}, {column}: </span>'
                f'<img src="{shown}" alt=""><b>{label.replace("_", "<wbr>_")}</b><small></small></button></td>'
            )
        lines += ["</tr></table>", "</div>"]
    return [*lines, "</div>"]


def slots(put: dict[str, str], pictures: dict[str, str]) -> list[str]:
    """Places for large pictures, with their titles."""
    lines = ['<div class="board">']
    for k in range(len(put) // 2):
        shown, name = put[f"picture {k}"], f"title {k}"
        lines += [
            f'<div class="panel"{"" if shown else " hidden"}>',
            f'<div class="title" id="sweep-title-{k}" data-cell="{name}"><b>{put[name]}</b><small></small></div>',
            f'<div class="map"><img data-cell="picture {k}" src="{pictures[shown]}" alt="" '
            f'aria-labelledby="sweep-title-{k}"></div></div>',
        ]
    return [*lines, "</div>"]


def significant(value: float, digits: int = 3) -> str:
    """A number with so many digits."""
    return f"{value:#.{digits}g}".rstrip(".")


def norm(a: np.ndarray) -> str:
    return significant(np.linalg.norm(a))


def times(a: float, b: float) -> str:
    return f"{significant(a)}·{significant(b)} = {significant(a * b)}"


def product_of(after: np.ndarray, before: np.ndarray) -> str:
    """By what factor the norm has changed."""
    size = np.linalg.norm(before)
    return times(np.linalg.norm(after) / size, size)


def largest(a: np.ndarray) -> float:
    """The largest value of three channels, and the largest norm over more channels."""
    return float(np.abs(a).max() if a.shape[2] == 3 else np.linalg.norm(a, axis=2).max())


def norms(a: np.ndarray, color: tuple[int, int, int], most: float | None = None) -> str:
    """The norm over the channels at each position, in one colour."""
    return picture(np.linalg.norm(a, axis=2) / (most or largest(a)), color)


def colors(a: np.ndarray, most: float | None = None) -> str:
    """Three channels of both signs, as colours around grey."""
    return drawn(0.5 + a / (2 * (most or largest(a))))


def drawn(image: np.ndarray) -> str:
    """A picture in 0–1 with few bytes."""
    file = io.BytesIO()
    Image.fromarray(images.to_uint8(image)).save(file, "WEBP", quality=90)
    return address("webp", file.getvalue())


def exact(image: np.ndarray) -> str:
    return address("png", images.png(images.to_uint8(image)))


def picture(values: np.ndarray, color: tuple[int, int, int]) -> str:
    """Values in 0–1 as the opacity of one colour, in ten steps, in a PNG with a pixel for each."""
    image = Image.frombytes("P", values.shape[::-1], np.round(9 * values).astype(np.uint8).tobytes())
    image.putpalette(color * 10)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes(255 * step // 9 for step in range(10)), bits=4)
    return address("png", file.getvalue())


# Which is right? ------------------------------------------------------------------------------------------------------

# A number is a row of the page's table. A name is an exercise: the checker judges the code; if right, with a reason.
CLAIMS: list[tuple[int | str, str, str]] = [
    (12, "F has N filters in its rows and M positions in its columns. Its Gram matrix is G = FᵀF.", ""),
    ("style_gradient", "N, M = F.shape\nreturn (F @ F.T - A) @ F / (4 * N**2 * M**2)", ""),
    (
        "content_gradient",
        "return F - P",
        "The 0 for negative responses belongs to the ReLU; with respect to F it is F − P everywhere.",
    ),
    (18, "The normaliser of the style loss does not matter: β absorbs it.", ""),
    (
        "conv_backward_input",
        "flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)\n"
        "return layers.conv_forward(dy, flipped, np.zeros(flipped.shape[3]))",
        "A correlation of dy with the kernel rotated by 180°, with input and output channels exchanged.",
    ),
    ("relu_backward", "return np.maximum(dy, 0)", ""),
    (7, "The derivative of the total loss with respect to the features of layer l is the local term of layer l.", ""),
    (
        "relu_backward",
        "return dy * (x >= 0)",
        "At x = 0 any number between 0 and 1 is a subgradient; the library takes 0.",
    ),
    ("gram_backward", "return 2 * dG @ F", ""),
    (
        "max_pool_backward",
        "y = layers.max_pool_forward(x, window, stride)\ndx = np.zeros(x.shape)\n"
        "views = [layers.window_views(a, window, stride) for a in (x, dx)]\n"
        "for x_o, dx_o in zip(*views):\n    dx_o += dy * (x_o == y)\nreturn dx",
        "",
    ),
]


def which_is_right(page: str) -> str:
    lines = ['<figure class="explorable" id="explorable-which-is-right">', "<ol>"]
    for what, claim, reason in CLAIMS:
        if isinstance(what, int):
            row = next(line for line in page.splitlines() if line.startswith(f"| {what} |"))
            _, _, _, _, correct, evidence, _ = (cell.strip() for cell in row.split("|"))
            right, shown_claim = False, f"<p>{escape(claim)}</p>"
            answer = f"Row {what} of the table: {correct}. Evidence: {evidence}."
        else:
            exercise = get(what)
            head = f"def {what}({', '.join(exercise.signature.parameters)}):"
            code = "\n".join([head, *("    " + line for line in claim.split("\n"))])
            space: dict[str, Any] = {"np": np, "layers": layers}
            exec(code, space)
            report = exercises.check(what, space[what])
            right, shown_claim = report.passed, f"<pre>{escape(code)}</pre>"
            answer = f"The checker: {report.message}".replace("\n", " ") + (f". {reason}" if right else "")
            if right != bool(reason):
                raise ValueError(f"{what} needs a reason if it is right, and none if it is wrong:\n{code}")
        verdict = "It is right." if right else "It is wrong."
        lines += [
            f'<li data-right="{"yes" if right else "no"}">{shown_claim}',
            '<p class="controls"><button type="button" value="yes">right</button> '
            '<button type="button" value="no">wrong</button> <span class="judged" aria-live="polite"></span></p>',
            f"<details><summary>Answer</summary><p><b>{verdict}</b> {escape(answer)}</p></details></li>",
        ]
    understood = "Most of these mistakes change the numbers: evaluating a formula finds them."
    return "\n".join([*lines, "</ol>", f"<figcaption>{understood}</figcaption>", "</figure>"])
