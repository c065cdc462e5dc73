"""Figures with a picture for every position of their sliders, painted by the library when the site is made.

All pictures are in the HTML, with their sentences. Some of them are shown in print and without scripts; explorables.js
shows the one that the sliders select.
"""

import base64
import io
from collections.abc import Iterable
from html import escape
from math import log
from typing import Any

import numpy as np
from PIL import Image

from nst_numpy import images, load_weights, samples, transfer

SIZE = 96

# Parts of a figure ----------------------------------------------------------------------------------------------------


def figure(
    name: str, controls: list[str], shots: list[str], says: str, understood: str, more: Iterable[str] = ()
) -> str:
    return "\n".join(
        [
            f'<figure class="explorable" id="explorable-{name}">',
            f'<div class="controls">{" ".join(controls)}</div>',
            '<div class="shots">',
            *shots,
            "</div>",
            *more,
            f'<p class="says" aria-live="polite">{escape(says)}</p>',
            f"<figcaption>{understood}</figcaption>",
            "</figure>",
        ]
    )


def slider(label: str, values: Iterable[str], at: int) -> str:
    """A slider over values, with the one that it selects beside it."""
    values = list(values)
    return (
        f'<label><span>{label}</span> <input type="range" max="{len(values) - 1}" value="{at}" autocomplete="off" '
        f'aria-valuetext="{values[at]}" data-values="{"|".join(values)}"> <output>{values[at]}</output></label>'
    )


def shot(key: str, image: np.ndarray, label: str, says: str, *, still: bool = False, shown: bool = False) -> str:
    """A picture, for the sliders at the positions `key`."""
    look = "shot" + " still" * still + " shown" * shown
    inside = f'<img src="{picture(image)}" alt="{label}"><p>{label}</p>'
    return f'<div class="{look}" data-key="{key}" data-says="{escape(says)}">{inside}</div>'


def picture(image: Any) -> str:
    file = io.BytesIO()
    Image.fromarray(images.to_uint8(image)).save(file, "WEBP", quality=85, method=6)
    return address("webp", file.getvalue())


def address(kind: str, data: bytes) -> str:
    """A picture as part of the page."""
    return f"data:image/{kind};base64," + base64.b64encode(data).decode()


# Settings -------------------------------------------------------------------------------------------------------------

WEIGHTS = (1, 10, 100, 1000, 10000)
FOUR = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")
LAYERS = [", ".join(layers) for layers in (FOUR[:1], FOUR[:2], FOUR, (*FOUR, "conv4_1", "conv5_1"))]
POOLINGS = ("average", "max")
STARTS = {"the photograph": "content", "noise": "noise", "gray": "gray"}

# What is seen, for the positions of the sliders for layers, pooling and start. At most one of them is off its default.
SEEN = {
    (2, 0, 0): (
        "The photograph, without its finest detail. The style hardly counts.",
        "Strokes in the background and on the uniform. The face is still easily recognised.",
        "Strokes everywhere, also on the face, and a pale star in the background.",
        "The face dissolves into strokes. The outline of head and shoulders remains.",
        "Much like β/α = 1000: the content loss counts for little in both.",
    ),
    (0, 0, 0): (
        "The photograph, without its finest detail.",
        "The photograph, with a yellower face.",
        "The painting's colours, on the forms of the photograph.",
        "Blue and white patches in the background; no strokes yet.",
        "Colours and patches, but no strokes, however strong the style: conv1_1 sees 3 × 3 pixels at a time.",
    ),
    (1, 0, 0): (
        "The photograph, without its finest detail.",
        "The photograph, with a yellower face.",
        "The painting's colours, and some grain in the background.",
        "Short strokes, and pale patches in the background.",
        "Short strokes and pale patches. The head can still be made out.",
    ),
    (3, 0, 0): (
        "The photograph, with some lines across the face.",
        "Strokes cover the face already, more than with four layers.",
        "Wide dark strokes across the face. The outline of head and shoulders remains.",
        "Much like β/α = 100.",
        "Much like β/α = 100.",
    ),
    (2, 1, 0): (
        "The photograph, in its own colours.",
        "Mostly the photograph still: average pooling has more strokes.",
        "Strokes everywhere, and more of the face than with average pooling, with which this network was trained.",
        "The face dissolves into strokes, as with average pooling.",
        "Strokes. The outline of head and shoulders remains.",
    ),
    (2, 0, 1): (
        "The photograph has come back from noise, in softer colours. The content loss knows what is where.",
        "Face and uniform in strokes, as from the photograph, but lighter and darker in other places.",
        "Head and shoulders, with yellow stars. That from the photograph has its light in other places.",
        "A texture, with hardly a trace of the portrait. Begun as the photograph, the outline remained.",
        "A texture, with hardly a trace of the portrait. Begun as the photograph, the outline remained.",
    ),
    (2, 0, 2): (
        "Much like the picture from noise: with a strong content loss the start matters little.",
        "Much like the picture from noise.",
        "Head and shoulders, with yellow stars, some in other places than from noise.",
        "A texture: strokes and stars.",
        "A texture: strokes and stars, in other places than from noise.",
    ),
}
AT_FIRST = (2, 2, 0, 0)


def settings() -> str:
    content, style = samples.portrait(), samples.swirling_night()
    networks = {name: load_weights("vgg19-mini", padding="replicate", pooling=name) for name in POOLINGS}
    shots, first = [], ""
    for row, sentences in SEEN.items():
        layers, pooling, start = (list(each)[at] for each, at in zip((LAYERS, POOLINGS, STARTS), row, strict=True))
        for k, (weight, seen) in enumerate(zip(WEIGHTS, sentences, strict=True)):
            painted = transfer(
                content,
                style,
                size=(SIZE // 2, SIZE),
                steps=(20, 20),
                style_weight=weight,
                style_layers=layers.split(", "),
                weights=networks[pooling],
                init=STARTS[start],
                progress=False,
            ).pixels
            # Judged by the default settings, whatever it was painted with.
            judge = {"weights": networks["average"], "size": (SIZE,), "steps": 1, "progress": False}
            found = transfer(content, style, init=painted, **judge).history[0]
            measured = f"content {found['content']:.2f}, style {found['style']:.2f}"
            names = {0: layers, 1: f"{pooling} pooling", 2: f"from {start}"}
            others = (names[i] for i in range(3) if row[i] != AT_FIRST[1 + i])
            label = f"{', '.join([f'β/α = {weight}', *others])}: {measured}"
            key = (k, *row)
            first = seen if key == AT_FIRST else first
            still = row == AT_FIRST[1:] or k == AT_FIRST[0]
            shots.append(shot(" ".join(map(str, key)), painted, label, seen, still=still, shown=key == AT_FIRST))
    originals = [
        f'<div class="original"><img src="{picture(images.load(image, SIZE))}" alt="{name}"><p>{name}</p></div>'
        for name, image in {"photograph": content, "painting": style}.items()
    ]
    sliders = {"β/α": map(str, WEIGHTS), "Style layers": LAYERS, "Pooling": POOLINGS, "Start": STARTS}
    return figure(
        "settings",
        [slider(label, values, at) for (label, values), at in zip(sliders.items(), AT_FIRST, strict=True)],
        [*originals, *shots],
        first,
        "Every picture has 20 steps at 48 pixels and 20 at 96. Under it are its content and style loss with the "
        "default settings, whatever it was painted with. β/α goes with everything; when one of the lower three sliders "
        "is moved, the other two go back to the default. A larger β/α trades the photograph for the painting; deeper "
        "style layers bring longer strokes; the start decides what the losses leave open, the more so the less the "
        "content counts.",
    )


# The descent ----------------------------------------------------------------------------------------------------------

STEPS = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 28, 40, 56, 80, 110, 150)
STILLS = (0, 6, 28, 150)
HAPPENS = {  # from these steps on
    0: "White noise.",
    1: "The style loss is by far the largest. It falls first.",
    6: "The painting's colours and strokes appear. The content loss has changed little.",
    15: "Now the content loss falls as well.",
    28: "The content loss falls, and the portrait has appeared.",
    80: "All three fall slowly. The picture changes little.",
}


def descent() -> str:
    frames: dict[int, np.ndarray] = {}

    def keep(step: int, image: np.ndarray, losses: dict[str, float]) -> None:
        if step in STEPS:
            frames[step] = image

    history = transfer(
        samples.portrait(),
        samples.swirling_night(),
        size=(SIZE,),
        steps=STEPS[-1],
        init="noise",
        callback=keep,
        progress=False,
    ).history
    shots, says, seen = [], [], ""
    for k, step in enumerate(STEPS):
        seen = HAPPENS.get(step, seen)
        terms = " + ".join(f"{history[step][name]:.2f} ({name})" for name in ("content", "style", "tv"))
        says.append(f"Step {step}: total loss {history[step]['total']:.2f} = {terms}. {seen}")
        shots.append(shot(str(k), frames[step], f"step {step}", says[k], still=step in STILLS, shown=k == 0))
    return figure(
        "descent",
        [
            slider("Step", map(str, STEPS), 0),
            '<button type="button" class="play">Play</button>',
        ],
        shots,
        says[0],
        "From noise, with the default settings, at 96 pixels; both axes are logarithmic. What counts most is settled "
        "first: the style, then the content. Most of the descent is over after a few dozen steps.",
        curves({name: [entry[name] for entry in history] for name in ("total", "content", "style")}),
    )


def curves(losses: dict[str, list[float]]) -> list[str]:
    """The losses over the steps, both on logarithmic axes, with a mark for each step of the film."""
    left, right, top, bottom = 34, 276, 8, 170
    highest, lowest = log(200), log(0.2)

    def x(step: int) -> float:
        return left + (right - left) * log(1 + step) / log(1 + STEPS[-1])

    def y(loss: float) -> float:
        return top + (bottom - top) * (highest - log(loss)) / (highest - lowest)

    lines = ['<svg class="curves" viewBox="0 0 340 190" role="img" aria-label="The losses over the steps">']
    for loss in (1, 10, 100):
        lines.append(f'<path class="grid" d="M{left} {y(loss):.1f}H{right}"/>')
        lines.append(f'<text x="{left - 5}" y="{y(loss) + 3:.1f}" text-anchor="end">{loss}</text>')
    for step in (0, 1, 3, 8, 20, 56, 150):
        lines.append(f'<text x="{x(step):.1f}" y="{bottom + 14}" text-anchor="middle">{step}</text>')
    for name, values in losses.items():
        points = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in enumerate(values))
        lines.append(f'<polyline class="{name}" points="{points}"/>')
        lines.append(f'<text class="{name}" x="{right + 5}" y="{y(values[-1]) + 3:.1f}">{name}</text>')
    for k, step in enumerate(STEPS):
        lines.append(f'<path class="mark{" shown" * (k == 0)}" d="M{x(step):.1f} {top}V{bottom}"/>')
    return [*lines, "</svg>"]
