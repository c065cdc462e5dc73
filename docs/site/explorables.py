"""Small interactive figures for the pages, with numbers that the library computes when the site is made.

`<!-- explorable: NAME -->` in a page becomes a figure. Its HTML shows the first choice, so it can be read in print and
without scripts. What it shows for every other choice, sentence included, goes along as JSON; explorables.js only swaps.
"""

import base64
import io
import json
import re
from collections.abc import Iterable, Iterator
from html import escape
from itertools import combinations_with_replacement, product
from typing import Any

import numpy as np
from painted import descent, settings
from PIL import Image

from nst_numpy import exercises, images, layers, load_weights, losses, samples
from nst_numpy.exercises.topics import get

COUNTS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# What is shown when a cell is selected: "says", "marks": {cell: note}, "put": {picture: its name}
Cell = dict[str, Any]
# One choice from the lists: "put": {cell: number}, "cells", and perhaps "wrong", a list of cells
State = dict[str, Any]


def explorable(name: str, page: str) -> str:
    """The HTML of a figure, without empty lines, which would end it in Markdown."""
    made = {"convolution": convolution, "relu": relu, "pooling": pooling, "gram": gram}
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


def picture(values: np.ndarray, color: tuple[int, int, int]) -> str:
    """Values in 0–1 as the opacity of one colour, in ten steps, in a PNG with a pixel for each."""
    image = Image.frombytes("P", values.shape[::-1], np.round(9 * values).astype(np.uint8).tobytes())
    image.putpalette(color * 10)
    file = io.BytesIO()
    image.save(file, "PNG", transparency=bytes(255 * step // 9 for step in range(10)), bits=4)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


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
