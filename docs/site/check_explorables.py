"""Operate every explorable of a page by mouse, finger and keyboard, and compare its numbers with the library's.

The numbers that go in are read from the page; what should come out is computed here, and for the marks in another way
than in explorables.py: what one pixel contributes is the result for an image in which this pixel alone is 1.
"""

import base64
import io
import re
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page

from nst_numpy import Objective, exercises, images, layers, load_weights, losses, samples, transfer

READ = """figure => {
    const cells = {};
    for (const cell of figure.querySelectorAll("[data-cell]")) cells[cell.dataset.cell] = cell.src
        ? { src: cell.src }
        : { value: cell.querySelector("b").textContent, note: cell.querySelector("small").textContent,
            look: [...cell.classList], tab: cell.tabIndex, box: cell.getBoundingClientRect().toJSON(),
            button: cell.tagName === "BUTTON", active: cell === document.activeElement };
    return { cells, says: figure.querySelector(".says").textContent };
}"""


class Figure:
    """An explorable in the browser."""

    def __init__(self, page: Page, figure: Locator) -> None:
        self.page, self.figure = page, figure
        self.wrong: list[str] = []
        self.read()

    def read(self) -> None:
        """Take down what it shows."""
        found = self.figure.evaluate(READ)
        self.cells, self.says = found["cells"], found["says"]

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(f"{self.figure.get_attribute('id')}: {what}")

    def numbers(self, panel: str) -> np.ndarray:
        """The numbers of a panel."""
        found = {name: number(cell["value"]) for name, cell in self.cells.items() if name.startswith(panel + ":")}
        places = np.array([[int(part) for part in name.split(":")[1:]] for name in found])
        return np.reshape(list(found.values()), places.max(axis=0) - places.min(axis=0) + 1)

    def looks(self, look: str, panel: str) -> set[tuple[int, int]]:
        """The places in a panel that look selected, marked or wrong."""
        return {
            place(name) for name, cell in self.cells.items() if name.startswith(panel + ":") and look in cell["look"]
        }

    def choose(self, name: str, value: str) -> None:
        """Choose from a list by keyboard."""
        options = self.figure.locator(f"select[name='{name}'] option").evaluate_all(
            "all => all.map(each => each.value)"
        )
        self.figure.locator(f"select[name='{name}']").focus()
        self.page.keyboard.press("Home")
        for _ in range(options.index(value)):
            self.page.keyboard.press("ArrowDown")
        self.expect(self.figure.locator(f"select[name='{name}']").input_value() == value, f"{name} is not {value}")
        self.read()

    def each(self, check: Callable[[str, int, int], None]) -> None:
        """Point at every cell with the mouse, and check it."""
        self.figure.scroll_into_view_if_needed()
        self.read()
        for name in [name for name, cell in self.cells.items() if cell.get("button")]:
            box = self.cells[name]["box"]
            self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
            self.read()
            selected = [other for other, cell in self.cells.items() if "selected" in cell.get("look", ())]
            if selected == [name]:
                check(name.split(":")[0], *place(name))
            else:
                self.expect(False, f"pointed at {name}, selected {selected}")

    def keys(self) -> None:
        """Walk with the arrow keys: through every row, and from panel to panel."""
        stops = [name for name, cell in self.cells.items() if cell.get("button") and cell["tab"] == 0]
        self.expect(len(stops) == 1, f"{len(stops)} tab stops")
        buttons = [name for name, cell in self.cells.items() if cell.get("button")]
        self.figure.locator(f"[data-cell='{buttons[0]}']").focus()
        for panel in dict.fromkeys(name.split(":")[0] for name in buttons):
            rows, columns = np.add(max(place(name) for name in buttons if name.startswith(panel + ":")), 1)
            for r in range(rows):
                for c in range(columns) if r % 2 == 0 else reversed(range(columns)):
                    self.read()
                    cell = self.cells[f"{panel}:{r}:{c}"]
                    self.expect(cell["active"] and "selected" in cell["look"], f"no key leads to {panel}:{r}:{c}")
                    last = columns - 1 if r % 2 == 0 else 0
                    self.page.keyboard.press("ArrowDown" if c == last else "ArrowRight" if r % 2 == 0 else "ArrowLeft")

    def tap(self) -> None:
        """Tap the last button with a finger."""
        name = [name for name, cell in self.cells.items() if cell.get("button")][-1]
        self.figure.locator(f"[data-cell='{name}']").tap()
        self.read()
        self.expect("selected" in self.cells[name]["look"], "a tap selects nothing")


def number(text: str) -> float:
    return float(text.replace("−", "-"))


def place(name: str) -> tuple[int, int]:
    _, r, c = name.split(":")
    return int(r), int(c)


def nonzero(a: np.ndarray, shift: int = 0) -> set[tuple[int, int]]:
    return {(int(r) - shift, int(c) - shift) for r, c in np.argwhere(a)}


def sums_up(text: str) -> float:
    """The value of the formula in the last line of a sentence; NaN if its numbers do not give it."""
    *formula, value = text.splitlines()[-1].replace("−", "-").replace("·", "*").split(" = ")[1:][-2:]
    right = all(abs(eval(each) - float(value)) < 0.005 for each in formula)
    return float(value) if right else np.nan


def decoded(src: str) -> np.ndarray:
    """The pixels of a picture, RGBA in 0–1."""
    data = base64.b64decode(src.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) / 255


def unit(shape: tuple[int, ...], r: int, c: int) -> np.ndarray:
    one = np.zeros(shape)
    one[r, c] = 1
    return one[..., None]


def convolution(figure: Figure) -> None:
    padded, dy = figure.numbers("x"), figure.numbers("dy")
    kernel = figure.numbers("κ")[..., None, None]
    x = padded[1:-1, 1:-1]
    figure.expect(np.array_equal(padded, np.pad(x, 1)), "no zeros outside")
    y = layers.conv_forward(x[..., None], kernel, np.zeros(1))[..., 0]
    dx = layers.conv_backward_input(dy[..., None], kernel)[..., 0]
    figure.expect(np.array_equal(figure.numbers("y"), y), "y")
    figure.expect(np.array_equal(figure.numbers("dx"), dx), "dx")

    def check(panel: str, r: int, c: int) -> None:
        if panel in ("x", "dx"):
            factors = {
                name: layers.conv_forward(unit(x.shape, r, c), kernel, np.zeros(1))[..., 0] for name in ("y", "dy")
            }
            figure.expect(sums_up(figure.says) == dx[r, c], f"says of {panel} at {r}, {c}: {figure.says}")
        elif panel == "y":  # what is gathered from the zeros outside is marked, too
            one = unit(padded.shape, r + 1, c + 1)
            factors = {"x": layers.conv_backward_input(one, kernel)[..., 0]}
            figure.expect(sums_up(figure.says) == y[r, c], f"says of y at {r}, {c}: {figure.says}")
        else:
            factors = {"dx": layers.conv_backward_input(unit(x.shape, r, c), kernel)[..., 0]}
        for name, wanted in factors.items():
            shift = int(name == "x")
            figure.expect(
                figure.looks("marked", name) >= nonzero(wanted, shift), f"marks in {name} for {panel} {r}, {c}"
            )
            for p, q in np.ndindex(wanted.shape):
                note = figure.cells[f"{name}:{p - shift}:{q - shift}"]["note"]
                figure.expect(float(note.lstrip("×") or 0) == wanted[p, q], f"{note} at {name} {p}, {q}")

    figure.each(check)


def relu(figure: Figure) -> None:
    x, dy = figure.numbers("x"), figure.numbers("dy")
    right, other = (layers.relu_backward(dy, x + shift) for shift in (0, 0.1))  # at x = 0, the slopes on both sides
    figure.expect(np.any((x == 0) & (dy != 0)), "no x = 0")
    figure.expect(np.array_equal(figure.numbers("y"), layers.relu_forward(x)), "y")
    for mask in ("off", "on"):
        figure.choose("mask", mask)
        dx = right if mask == "on" else dy
        wrong = (dx != right) & (dx != other)
        figure.expect(np.array_equal(figure.numbers("dx"), dx), f"dx, mask {mask}")
        figure.expect(figure.looks("wrong", "dx") == nonzero(wrong), f"wrong ones, mask {mask}")

        def check(panel: str, r: int, c: int, mask: str = mask, dx=dx, wrong=wrong) -> None:
            if mask == "on":
                figure.expect(sums_up(figure.says) == dx[r, c], figure.says)
            else:
                should = ", and should be 0" if wrong[r, c] else ""
                figure.expect(figure.says.endswith(f"dx = dy = {dx[r, c]:.0f}{should}.".replace("-", "−")), figure.says)

        figure.each(check)


def pooling(figure: Figure) -> None:
    for kind in ("average", "maximum"):
        for window in (3, 2):
            figure.choose("kind", kind)
            figure.choose("window", str(window))
            x, dy = figure.numbers("x")[..., None], figure.numbers("dy")[..., None]
            name = kind.replace("maximum", "max")
            y = getattr(layers, f"{name}_pool_forward")(x, window)[..., 0]
            backward = getattr(layers, f"{name}_pool_backward")
            dx = backward(dy, x, window)[..., 0]
            figure.expect(np.allclose(figure.numbers("y"), y, atol=0.005), f"y, {kind} {window}")
            figure.expect(np.allclose(figure.numbers("dx"), dx, atol=0.005), f"dx, {kind} {window}")
            reach = {p: backward(unit((2, 2), *p), x, window)[..., 0] for p in np.ndindex(2, 2)}

            def check(panel: str, r: int, c: int, y=y, dx=dx, reach=reach) -> None:
                if panel in ("x", "dx"):
                    figure.expect(abs(sums_up(figure.says) - dx[r, c]) < 0.005, figure.says)
                    ticks = {p for p in reach if figure.cells[f"y:{p[0]}:{p[1]}"]["note"]}
                    figure.expect(ticks == {p for p in reach if reach[p][r, c]}, f"windows of {r}, {c}")
                else:
                    noted = {place(n) for n, cell in figure.cells.items() if n.startswith("dx:") and cell["note"]}
                    figure.expect(noted == nonzero(reach[r, c]), f"elements of {r}, {c}")
                    figure.expect(f" {y[r, c]:.2f}".rstrip("0").rstrip(".") in figure.says, figure.says)

            figure.each(check)


def gram(figure: Figure) -> None:
    def values(cell: str) -> np.ndarray:
        """The feature map that a picture shows: its opacity, in tenths."""
        return np.round(decoded(figure.cells[cell]["src"])[..., 3] * 9)

    kept: dict[tuple[int, int], tuple[np.ndarray, ...]] = {}
    for positions in ("kept", "alike", "each"):
        figure.choose("positions", positions)
        shown = figure.numbers("G")

        def check(panel: str, r: int, c: int, positions: str = positions, shown: np.ndarray = shown) -> None:
            first, second = values("first"), values("second")
            G = losses.gram(np.stack([first.ravel(), second.ravel()]))
            figure.expect(shown[r, c] == G[0, 1], f"G at {r}, {c}: {shown[r, c]}, its maps give {G[0, 1]}")
            figure.expect(f"= {G[0, 1]:.0f}." in figure.says, figure.says)
            figure.expect(np.array_equal(values("product"), np.round(first * second / 9)), f"product of {r}, {c}")
            chosen = [figure.figure.locator(f"select[name='{axis}']").input_value() for axis in (1, 2)]
            figure.expect(chosen == [str(r), str(c)], f"the lists say {chosen} for {r}, {c}")
            before = kept.setdefault((r, c), (shown[r, c], first))
            if positions != "kept":
                figure.expect(not np.array_equal(before[1], first), "nothing is shuffled")
                figure.expect(np.array_equal(np.sort(before[1], None), np.sort(first, None)), "other values")
            if positions == "alike" or r == c:
                figure.expect(before[0] == shown[r, c], f"G at {r}, {c} changes")

        figure.each(check)
    figure.choose("1", "3")
    figure.choose("2", "0")
    figure.expect(figure.looks("selected", "G") == {(3, 0)}, "the lists choose nothing")


class Watched:
    """A term that adds nothing, so that `layer_gradients` has its layer, too."""

    name = "watched"

    def __init__(self, layer: str) -> None:
        self.layer = layer

    def __call__(self, a: np.ndarray) -> tuple[float, np.ndarray]:
        return 0.0, np.zeros_like(a)


# Titles and arrays of the pictures of a step, each with the value that is darkest, and the numbers of its formulas.
Shown = tuple[dict[str, tuple[np.ndarray, float]], list[float]]


def sweep(figure: Figure) -> None:
    network = load_weights("vgg19-mini")
    portrait = images.load(samples.portrait().crop((0, 0, 512, 512)), 64)
    painting = images.load(samples.swirling_night(64), 64)
    x = decoded(figure.cells["picture 2"]["src"])[..., :3].astype(np.float32)
    figure.expect(np.abs(x - (portrait + painting) / 2).max() < 0.51 / 255, "x is not between the pictures")
    names = ["x", "z", *network.layers[: network.layers.index("conv3_1") + 1]]
    style_layers = ["conv1_1", "conv2_1", "conv3_1"]
    objective = Objective.from_images(
        network,
        portrait,
        painting,
        content_layers=["conv2_2"],
        style_layers=style_layers,
        content_weight=8.0,
        tv_weight=200.0,
    )
    total, g, parts = objective(x)
    features, of_content, of_style = (network.features(each, names[2:]) for each in (x, portrait, painting))
    a = {"x": x, "z": network.input_forward(x), **features}
    gradients = Objective(network, [*objective.terms, *map(Watched, names[2:])]).layer_gradients(x)
    injected = {"x": parts["tv"] / losses.total_variation(x) * losses.total_variation_gradient(x)}
    shown: dict[tuple[str, str], Shown] = {}
    for l in ("conv2_2", *style_layers):
        F, P, F_a = (losses.feature_matrix(each[l]) for each in (features, of_content, of_style))
        if l == "conv2_2":
            value, loss, dF = parts["content"], losses.content_loss(F, P), losses.content_gradient(F, P)
            maps = {title: np.linalg.norm(each, axis=0) for title, each in {"F": F, "P": P, "F − P": F - P}.items()}
            pictures = {title: each.reshape(a[l].shape[:2]) for title, each in maps.items()}
        else:
            G, A = losses.gram(F), losses.gram(F_a)
            value, loss, dF = parts[l], losses.style_loss(F, A), losses.style_gradient(F, A)
            strongest = np.argsort(-np.diag(A), kind="stable")[:32]
            matrices = {"√G": G, "√A": A, "√|G − A|": np.abs(G - A)}
            most = max(each.max() for each in matrices.values())
            pictures = {title: np.sqrt(each / most)[strongest][:, strongest] for title, each in matrices.items()}
        most = 1.0 if l != "conv2_2" else max(each.max() for each in pictures.values())
        injected[l] = (value / loss * dF).T.reshape(a[l].shape)
        ends = {title: (each, most) for title, each in pictures.items()}
        shown["injected", l] = ends | alone("injected", injected[l]), [value, np.linalg.norm(injected[l])]
    shown["injected", "x"] = (
        {"x": (x, 0)} | alone("injected", injected["x"]),
        [
            parts["tv"],
            np.linalg.norm(injected["x"]),
        ],
    )

    factor = 255 * network.scale
    gradients |= {"x": g, "z": (g - injected["x"]) / factor}
    r, red = x[32, 32], a["z"][32, 32, 0]
    shown["F", "x"] = {"portrait": (portrait, 0), "painting": (painting, 0), "x": (x, 0)}, list(r)
    numbers = [255, r[0], network.mean[0], network.scale, red]
    shown["F", "z"] = {"x": (x, 0)} | alone("z", a["z"]), numbers
    for below, l in pairwise(names[1:]):
        numbers = [np.linalg.norm(a[l])]
        if l.startswith("conv"):
            numbers.insert(0, 100 * np.mean(a[l] == 0))
        shown["F", l] = alone(below, a[below]) | alone(l, a[l]), numbers
    last = names[-1]
    shown["dL", last] = alone(f"dL/da of {last}", gradients[last]), [np.linalg.norm(gradients[last])]
    for l, above in pairwise(names):
        da, down = gradients[above], gradients[l] - injected.get(l, 0)
        if above.startswith("conv"):
            dz = layers.relu_backward(da, a[above])
            pictures, chain = alone(f"{above}, masked", dz), [da, dz, down]
        else:
            pictures, chain = alone("dL/dz" if above == "z" else f"dL/da of {above}", da), [da, down]
        sizes = [float(np.linalg.norm(each)) for each in chain]
        numbers = [255, 255, network.scale, factor] if above == "z" else []
        for before, after in pairwise(sizes):
            numbers += [after / before, before, after]
        added = {f"from {above}": down}
        if l in injected:
            added |= {"injected": injected[l], "their sum": gradients[l]}
            numbers += [np.linalg.norm(injected[l]), np.linalg.norm(gradients[l])]
        most = max(strongest_of(each) for each in added.values())
        shown["dL", l] = pictures | {title: (strength(each), most) for title, each in added.items()}, numbers
    rate = 0.05 / np.abs(g).max()
    lower, _, parts_lower = objective(x - rate * g)
    numbers = [rate, np.sum(g**2), rate * np.sum(g**2), total, lower, total - lower]
    numbers += [each[name] for name in ("content", "style", "tv") for each in (parts, parts_lower)]
    shown["step", "x"] = {"x": (x, 0)} | alone("−ηg", -g) | {"x − ηg": (x - rate * g, 0)}, numbers

    columns = {"F": names, "injected": [l for l in names if l in injected], "dL": names, "step": ["x"]}

    def check(panel: str, r: int, c: int) -> None:
        l = columns[panel][c]
        pictures, numbers = shown[panel, l]
        titles = [figure.cells[f"title {k}"]["value"] for k in range(4)]
        figure.expect([title for title in titles if title] == list(pictures), f"pictures of {panel} {l}: {titles}")
        for k, (title, (values, most)) in enumerate(pictures.items()):
            src = figure.cells[f"picture {k}"]["src"]
            figure.expect(looks_like(src, values, most), f"picture {title} of {panel} {l}")
        small = figure.figure.locator(f"[data-cell='{panel}:{r}:{c}'] img").get_attribute("src") or ""
        values, most = shown["F", l][0][l] if panel == "F" else list(pictures.values())[-1]
        if panel == "dL":
            values, most = strength(gradients[l]), strongest_of(gradients[l])
        figure.expect(looks_like(small, values, most), f"small picture of {panel} {l}")
        text = re.sub(r"(conv\d_|pool)\d", "", figure.says.partition("\n")[2])
        printed = re.findall(r"\d+(?:\.\d+)?", text)
        right = len(printed) == len(numbers) and all(map(rounded, printed, numbers))
        figure.expect(right, f"{figure.says}: its numbers are {numbers}")
        if panel == "F" and l not in ("x", "z"):
            figure.expect(f" {' × '.join(map(str, a[l].shape))} responses" in figure.says, figure.says)
        follows = {"F": ("F", c - 1), "injected": ("F", names.index(l)), "dL": ("dL", c + 1), "step": ("dL", 0)}[panel]
        marked = {(each, q) for each in columns for _, q in figure.looks("marked", each)}
        ends = {("F", 0), ("dL", len(names) - 1)}
        figure.expect(follows in marked or (panel, c) in ends, f"marks of {panel} {l}")
        if panel == "step":  # too short for `looks_like`
            found = decoded(figure.cells["picture 2"]["src"])[..., :3]
            figure.expect(np.abs(found - np.clip(x - rate * g, 0, 1)).max() < 0.51 / 255, "x − ηg")
        adds = panel == "dL" and l in injected
        figure.expect(adds == any(each == "injected" for each, _ in marked), f"{panel} {l}: what is injected is marked")

    figure.each(check)
    walk(figure, columns)


def walk(figure: Figure, columns: dict[str, list[str]]) -> None:
    """Go through all steps with the button, by mouse and keyboard, and back: forward, then each layer with its loss."""
    names = columns["F"]
    wanted = [("F", l) for l in names]
    for l in reversed(names):
        wanted += [(panel, l) for panel in ("injected", "dL") if l in columns[panel]]
    wanted.append(("step", "x"))
    back, forth = (figure.figure.locator(f"[data-step='{step}']") for step in (-1, 1))
    figure.figure.locator("[data-cell='F:0:0']").focus()
    for k, (panel, l) in enumerate(wanted, start=1):
        figure.read()
        cell = figure.cells[f"{panel}:0:{columns[panel].index(l)}"]
        figure.expect("selected" in cell["look"], f"step {k} is not {panel} {l}")
        figure.expect(figure.says.startswith(f"Step {k} of {len(wanted)}."), figure.says)
        if k % 2:
            forth.click()
        else:
            forth.focus()
            figure.page.keyboard.press("Enter")
    figure.read()
    figure.expect(figure.says.startswith(f"Step {k} of"), "there is something after the last step")
    back.tap()
    figure.read()
    figure.expect(figure.says.startswith(f"Step {k - 1} of"), "the button back does not go back")


def strength(a: np.ndarray) -> np.ndarray:
    """What a picture shows of an array: three channels, or the norm over more."""
    return a if a.shape[2] == 3 else np.linalg.norm(a, axis=2)


def strongest_of(a: np.ndarray) -> float:
    return float(np.abs(strength(a)).max())


def alone(title: str, a: np.ndarray) -> dict[str, tuple[np.ndarray, float]]:
    """A picture with a scale of its own."""
    return {title: (strength(a), strongest_of(a))}


def looks_like(src: str, values: np.ndarray, most: float) -> bool:
    """Whether a picture shows these values: in ninths, or as colours around grey; if `most` is 0, as they are.

    Colours are compressed. Values near the middle of two steps may be rounded to either.
    """
    found = decoded(src)
    if found.shape[:2] != values.shape[:2]:
        return False
    if values.ndim == 2:
        return bool(np.abs(np.round(9 * found[..., 3]) - 9 * values / most).max() < 0.51)
    colors, wanted = found[..., :3], np.clip(0.5 + values / (2 * most) if most else values, 0, 1)
    alike = np.corrcoef(colors.ravel(), wanted.ravel())[0, 1] > 0.8
    return bool(alike and np.abs(colors - wanted).mean() < 0.035)


def rounded(printed: str, value: float) -> bool:
    """Whether a number is printed as right as its digits allow."""
    return abs(float(printed) - abs(value)) <= 0.51 * 10.0 ** -len(printed.partition(".")[2])


def which_is_right(page: Page, figure: Locator) -> list[str]:
    """Judge every claim, by mouse and by keyboard in turn; run its code through the checker once more."""
    wrong = []
    for k, claim in enumerate(figure.locator("li[data-right]").all()):
        right = False
        answer = claim.locator("details")
        if answer.is_visible():
            wrong.append(f"claim {k + 1}: its answer is not hidden")
        if claim.locator("pre").count():
            code = claim.locator("pre").text_content() or ""
            name = code.split("(")[0].removeprefix("def ")
            space = {"np": np, "layers": layers}
            exec(code, space)
            report = exercises.check(name, space[name])
            right = bool(report)
            if report.message.replace("\n", " ") not in (answer.text_content() or ""):
                wrong.append(f"claim {k + 1}: the checker says: {report.message}")
        button = claim.locator("button").nth(k % 2)
        if k % 4 < 2:
            button.click()
        else:
            button.focus()
            page.keyboard.press("Enter")
        told = claim.locator(".judged").text_content()
        if told != ("You are right." if (k % 2 == 0) == right else "No.") or not answer.locator("p").is_visible():
            wrong.append(f"claim {k + 1}: {told}")
        if f"It is {'right' if right else 'wrong'}." not in (answer.text_content() or ""):
            wrong.append(f"claim {k + 1} is called right or wrong")
    return wrong


class Shots:
    """A figure with sliders, and a picture for each of their positions."""

    def __init__(self, page: Page, figure: Locator) -> None:
        self.page, self.figure = page, figure
        self.sliders = figure.locator("input").all()
        self.wrong: list[str] = []

    def expect(self, right: bool, what: str) -> None:
        if not right:
            self.wrong.append(f"{self.figure.get_attribute('id')}: {what}")

    def move(self, slider: int, to: int) -> None:
        """Move a slider by keyboard."""
        self.sliders[slider].focus()
        self.page.keyboard.press("Home")
        for _ in range(to):
            self.page.keyboard.press("ArrowRight")
        self.expect(self.at()[slider] == to, f"no key moves slider {slider} to {to}")

    def at(self) -> tuple[int, ...]:
        return tuple(int(slider.input_value()) for slider in self.sliders)

    def shown(self) -> tuple[np.ndarray, str, list[float], list[str]]:
        """The one picture that is visible, in 0–1, its sentence, its numbers, and what the sliders say."""
        shots = self.figure.locator(".shot:visible")
        self.expect(shots.count() == 1, f"{shots.count()} pictures at {self.at()}")
        text = shots.first.locator("p").inner_text()
        data = shots.first.locator("img").get_attribute("src") or ""
        image = Image.open(io.BytesIO(base64.b64decode(data.partition(",")[2])))
        says = self.figure.locator(".says").inner_text()
        values = self.figure.locator("output").all_inner_texts()
        spoken = [slider.get_attribute("aria-valuetext") for slider in self.sliders]
        self.expect(spoken == values, f"a screen reader is told {spoken} for {values}")
        return np.asarray(image) / 255, says, [float(n) for n in re.findall(r"\d+\.\d\d", text + says)], values

    def hands(self) -> None:
        """Mouse and finger at the ends of every slider; a still picture in print."""
        for k, slider in enumerate(self.sliders):
            box = slider.bounding_box()
            assert box
            self.expect(box["height"] >= 24, f"slider {k} is {box['height']} pixels high")
            last = int(slider.get_attribute("max") or 0)
            slider.click(position={"x": box["width"] - 3, "y": box["height"] / 2})
            self.expect(self.at()[k] == last, f"the mouse does not move slider {k}")
            slider.tap(position={"x": 3, "y": box["height"] / 2})
            self.expect(self.at()[k] == 0, f"a finger does not move slider {k}")
            self.shown()
        self.page.emulate_media(media="print")
        stills = self.figure.locator(".shot:visible").count()
        self.expect(stills >= 4 and not self.sliders[0].is_visible(), f"{stills} pictures in print, or sliders")
        self.page.emulate_media(media="screen")


def judged(x: np.ndarray) -> tuple[float, float, float]:
    """Content, style and total variation loss with the default settings, in a few lines of their own."""
    network, size = load_weights("vgg19-mini", padding="replicate", backend="plain"), max(x.shape)
    night = np.asarray(samples.swirling_night())
    margin = round(0.03 * len(night))
    sources = images.load(samples.portrait(), size), images.load(night[margin:-margin, margin:-margin], size), x
    names = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")
    P, S, F = ({l: losses.feature_matrix(a) for l, a in network.features(image, names).items()} for image in sources)
    grams = {l: (losses.gram(F[l]) / F[l].shape[1], losses.gram(S[l]) / S[l].shape[1]) for l in names}
    style = 100 * np.mean([np.sum((G - A) ** 2) / np.sum(A**2) for G, A in grams.values()])
    content = 0.5 * np.mean((F["conv3_4"] - P["conv3_4"]) ** 2)
    tv = 20 * 0.5 * sum(np.sum(np.diff(x, axis=axis) ** 2) for axis in (0, 1)) / x[..., 0].size
    return float(content), float(style), float(tv)


def alike(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether two pictures are the same but for compression: in brightness, since colours are compressed most."""
    luminance = 0.299, 0.587, 0.114
    return bool(np.corrcoef((a @ luminance).ravel(), (b @ luminance).ravel())[0, 1] > 0.98)


def settings(page: Page, figure: Locator) -> list[str]:
    """Every position; four pictures are painted and judged anew."""
    shots = Shots(page, figure)
    default, usual = shots.at(), shots.shown()[0]
    again, repainted = {(1, 0, 0, 0), (3, 2, 0, 0), (2, 2, 1, 0), (2, 2, 0, 1)}, set()
    seen: dict[tuple[int, ...], np.ndarray] = {}
    for k in range(1, 4):
        for to in range(int(shots.sliders[k].get_attribute("max") or 0), -1, -1):
            for weight in range(5):
                before = shots.at()[0]
                shots.move(k, to)
                shots.expect(shots.at()[0] == before, f"slider {k} moves that of β/α")
                shots.move(0, weight)
                expected = tuple({0: weight, k: to}.get(i, at) for i, at in enumerate(default))
                shots.expect(shots.at() == expected, f"the sliders are at {shots.at()}, not {expected}")
                image, says, numbers, values = shots.shown()
                shots.expect(len(says) > 10 and f"β/α = {values[0]}" in figure.inner_text(), f"nothing at {expected}")
                seen[expected] = image
                if expected not in again or expected in repainted:
                    continue
                repainted.add(expected)
                pooled = load_weights("vgg19-mini", padding="replicate", pooling=values[2])
                other = transfer(
                    samples.portrait(),
                    samples.swirling_night(),
                    size=(48, 96),
                    steps=20,
                    style_weight=float(values[0]),
                    style_layers=values[1].split(", "),
                    weights=pooled,
                    init={"the photograph": "content"}.get(values[3], values[3]),
                    progress=False,
                ).pixels
                shots.expect(alike(image, other), f"another picture at {expected}")
                found = judged(other)[:2]
                shots.expect(np.allclose(numbers, found, rtol=0.02, atol=0.01), f"{numbers} at {expected}, not {found}")
    shots.expect(repainted == again, "a picture that was to be painted anew is not there")
    for key, image in seen.items():
        shots.expect((key == default) == np.array_equal(image, usual), f"the picture at {key} is the default's")
    shots.hands()
    return shots.wrong


DRAWN = "all => all.filter(one => getComputedStyle(one).display !== 'none').map(one => one.getAttribute('d'))"


def descent(page: Page, figure: Locator) -> list[str]:
    """Every step of the film; the first ones painted anew. Play, and stop."""
    shots = Shots(page, figure)
    steps = [int(step) for step in (shots.sliders[0].get_attribute("data-values") or "").split("|")]
    pictures = {}
    transfer(
        samples.portrait(),
        samples.swirling_night(),
        size=(96,),
        steps=8,
        init="noise",
        callback=lambda step, image, losses: pictures.update({step: image}),
        progress=False,
    )
    lines = {
        name: [[float(part) for part in point.split(",")] for point in (points or "").split()]
        for name in ("total", "content", "style")
        for points in [figure.locator(f"polyline.{name}").get_attribute("points")]
    }
    heights, logarithms = [], []
    for k, step in enumerate(steps):
        shots.move(0, k)
        image, says, numbers, values = shots.shown()
        total, content, style, tv = numbers
        shots.expect(values == [str(step)] and f"Step {step}:" in says, f"step {values}, not {step}: {says}")
        shots.expect(abs(total - content - style - tv) < 0.02, says)
        marks = figure.locator(".mark").evaluate_all(DRAWN)
        shots.expect(len(marks) == 1, f"{len(marks)} marks at step {step}")
        at = float(marks[0].removeprefix("M").split()[0])
        for name, value in (("total", total), ("content", content), ("style", style)):
            shots.expect(abs(lines[name][step][0] - at) < 0.06, f"the mark is not at step {step}")
            heights.append(lines[name][step][1])
            logarithms.append(np.log(value))
        if step in pictures:
            found = judged(pictures[step])
            shots.expect(alike(image, pictures[step]), f"another picture at step {step}")
            shots.expect(
                np.allclose(numbers[1:], found, rtol=0.02, atol=0.01), f"{numbers} at step {step}, not {found}"
            )
    slope, height = np.polyfit(logarithms, heights, 1)
    off = np.abs(slope * np.array(logarithms) + height - heights)
    shots.expect(slope < 0 and off.max() < 0.5, f"the curves are {off.max():.1f} off the numbers")

    play = figure.locator(".play")
    shots.move(0, len(steps) - 3)
    play.click()
    shots.expect(play.inner_text() == "Stop", "the film does not play")
    page.wait_for_function("button => button.textContent == 'Play'", arg=play.element_handle(), timeout=10_000)
    shots.expect(shots.at() == (len(steps) - 1,), f"the film ends at {shots.at()}")
    play.focus()
    page.keyboard.press("Enter")
    begun = "slider => slider.value == '1' || slider.value == '2'"
    page.wait_for_function(begun, arg=shots.sliders[0].element_handle(), timeout=10_000)
    page.keyboard.press("Enter")
    stopped = shots.at()
    page.wait_for_timeout(700)
    shots.expect(0 < stopped[0] < len(steps) - 1 and shots.at() == stopped, f"the film goes on to {shots.at()}")
    page.emulate_media(reduced_motion="reduce")
    shots.expect(not play.is_visible(), "the film moves, where no motion is wanted")
    page.emulate_media(reduced_motion="no-preference")
    shots.hands()
    return shots.wrong


def explorables(page: Page) -> list[str]:
    """What is wrong with the explorables of the page that is open."""
    checks = {"convolution": convolution, "relu": relu, "pooling": pooling, "gram": gram, "sweep": sweep}
    wrong = []
    for figure in page.locator("figure.explorable").all():
        name = (figure.get_attribute("id") or "").removeprefix("explorable-")
        others = {"which-is-right": which_is_right, "settings": settings, "descent": descent}
        if name in others:
            wrong += others[name](page, figure)
            continue
        operated = Figure(page, figure)
        checks[name](operated)
        operated.keys()
        operated.tap()
        wrong += operated.wrong
    return wrong
