"""Paint every pair of some photographs and paintings, and measure what can be measured of the pictures.

    python benchmarks/pictures.py IMAGES OUT
    python benchmarks/pictures.py IMAGES OUT --judge REAL --networks random mini real --noise

IMAGES holds the folders content and style. Every pair is painted with the library's defaults. OUT receives the
pictures, sheet.jpg with all of them (photograph, painting, pictures), and the table table.md. Pictures that exist
already are not painted again. REAL is a weight file of the real VGG-19, of at least three blocks.

The table has, for each network:

style
    How far the picture is from the style, with the real network, not normalised, as the judge. For a picture with Gram
    matrices G over M positions, and a style with A over M_a (without the edges that are left out in painting), it is
    the mean over conv1_1, conv2_1, conv3_1, conv3_4 of ‖G/M − A/M_a‖² / ‖A/M_a‖², relative to that of the untouched
    photograph: 1 is no style at all.
content
    The correlation of the picture's luminance with the photograph's, at an eighth of the size.
scene
    The correlation of the judge's responses at conv3_4 with those to the photograph, filter by filter: whether the same
    things are in the same places, whatever their brightness and color.
noise
    Content and scene of a picture started from white noise.
frame
    The mean brightness of the outer two pixels minus that of the ring between 4 and 12 pixels from the edge, in grey
    levels (0–255), minus the same in the photograph.
"""

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from nst_numpy import VGG, colors, images, load_weights, losses, painting, random_network, transfer

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")
CELL = 256  # pixels, the width of a picture in the sheet


def grams(judge: VGG, image: np.ndarray) -> list[np.ndarray]:
    """G/M of the judge's layers."""
    matrices = [losses.feature_matrix(a) for a in judge.features(image, LAYERS).values()]
    return [losses.gram(F).astype(np.float64) / F.shape[1] for F in matrices]


def distance(G: list[np.ndarray], A: list[np.ndarray]) -> float:
    """The mean of the squared relative errors of Gram matrices."""
    return float(np.mean([np.sum((g - a) ** 2) / np.sum(a**2) for g, a in zip(G, A, strict=True)]))


def responses(judge: VGG, image: np.ndarray) -> np.ndarray:
    """What conv3_4 of the judge sees, each filter with mean 0 and variance 1."""
    a = judge.features(image, ["conv3_4"])["conv3_4"]
    a -= a.mean(axis=(0, 1))
    return a / np.maximum(a.std(axis=(0, 1)), 1e-6)


def correlation(picture: np.ndarray, photograph: np.ndarray) -> float:
    """Of the luminances, at an eighth of the size."""
    height, width = photograph.shape[:2]
    shape = max(1, height // 8), max(1, width // 8)
    small = [colors.luminance(images.load(image, shape=shape))[..., 0].ravel() for image in (picture, photograph)]
    return float(np.corrcoef(*small)[0, 1])


def frame(picture: np.ndarray) -> float:
    """How much brighter the outer two pixels are than those between 4 and 12 from the edge, in grey levels."""
    height, width = picture.shape[:2]
    row, column = np.ogrid[:height, :width]
    edge = np.minimum(np.minimum(row, height - 1 - row), np.minimum(column, width - 1 - column))
    brightness = 255 * picture.mean(axis=2)
    return float(brightness[edge < 2].mean() - brightness[(edge >= 4) & (edge < 12)].mean())


def painted(path: Path, content: Path, style: Path, network: VGG, size: int, **settings: Any) -> np.ndarray:
    """The picture in the file, which is painted if it is not there."""
    if not path.exists():
        transfer(content, style, weights=network, size=size, progress=False, **settings).save(path)
    return images.load(path)


def main(arguments: list[str] | None = None) -> None:
    """Paint, judge, and lay out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--judge", type=Path, metavar="REAL", help="a weight file of the real VGG-19")
    parser.add_argument("--networks", nargs="+", choices=("random", "mini", "real"), default=["mini"])
    parser.add_argument("--noise", action="store_true", help="paint each pair from noise, too")
    parser.add_argument("--size", type=int, default=384)
    options = parser.parse_args(arguments)
    if "real" in options.networks and options.judge is None:
        parser.error("the real network needs --judge")
    options.out.mkdir(exist_ok=True)
    judge = None if options.judge is None else load_weights(options.judge, normalize=False)
    make = {
        "random": lambda: random_network(padding="replicate"),
        "mini": lambda: load_weights("vgg19-mini", padding="replicate"),
        "real": lambda: load_weights(options.judge, padding="replicate"),
    }
    networks = {name: make[name]() for name in options.networks}
    contents, styles = (sorted((options.images / kind).iterdir()) for kind in ("content", "style"))
    seen = ["content", "scene"] if judge else ["content"]
    measures = ["style"] * bool(judge) + seen + [f"noise {name}" for name in seen] * options.noise + ["frame"]

    rows, table, seconds = [], [], dict.fromkeys(networks, 0.0)
    for content in contents:
        photograph = images.load(content, options.size)
        of_photograph = judge and (grams(judge, photograph), responses(judge, photograph))
        for style in styles:
            row, figures = [photograph, images.load(style, options.size)], []
            margin = round(painting.FRAME * min(row[1].shape[:2]))  # is not painted from either
            A = judge and grams(judge, row[1][margin:-margin, margin:-margin])
            for name, network in networks.items():
                begin, stem = time.perf_counter(), f"{content.stem}_{style.stem}_{name}"
                picture = painted(options.out / f"{stem}.png", content, style, network, options.size)
                seconds[name] += time.perf_counter() - begin
                row.append(picture)
                if judge is not None:
                    figures.append(distance(grams(judge, picture), A) / distance(of_photograph[0], A))
                pictures = [picture]
                if options.noise:
                    path = options.out / f"{stem}_noise.png"
                    pictures.append(painted(path, content, style, network, options.size, init="noise"))
                    row.append(pictures[-1])
                for each in pictures:
                    figures.append(correlation(each, photograph))
                    if judge is not None:
                        figures.append(float(np.mean(responses(judge, each) * of_photograph[1])))
                figures.append(frame(picture) - frame(photograph))
            rows.append(row)
            table.append((content.stem, style.stem, *figures))
            print(f"{content.stem} × {style.stem}:", *(f"{figure:.4f}" for figure in figures), flush=True)

    means = np.mean([line[2:] for line in table], axis=0)
    headings = ["photograph", "painting", *(f"{name}: {measure}" for name in networks for measure in measures)]
    lines = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    lines += [f"| {c} | {s} | " + " | ".join(f"{figure:.4f}" for figure in figures) + " |" for c, s, *figures in table]
    lines += ["| **mean** | | " + " | ".join(f"{figure:.4f}" for figure in means) + " |"]
    (options.out / "table.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines), f"seconds spent painting: {seconds}", sep="\n")

    strips = []
    for row in rows:
        height = round(CELL * row[0].shape[0] / row[0].shape[1])
        strips.append(np.hstack([fitted(image, height) for image in row]))
    Image.fromarray(np.vstack(strips)).save(options.out / "sheet.jpg", quality=88)


def fitted(image: np.ndarray, height: int) -> np.ndarray:
    """The image within CELL × height pixels, on white."""
    factor = min(CELL / image.shape[1], height / image.shape[0])
    shape = max(1, round(image.shape[0] * factor)), max(1, round(image.shape[1] * factor))
    small = images.load(image, shape=shape)
    cell = np.full((height, CELL, 3), 255, np.uint8)
    top, left = (height - small.shape[0]) // 2, (CELL - small.shape[1]) // 2
    cell[top : top + small.shape[0], left : left + small.shape[1]] = images.to_uint8(small)
    return cell


if __name__ == "__main__":
    main()
