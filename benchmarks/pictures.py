"""Pictures by random filters, the included network and the real VGG-19 side by side, and how near each is to the style.

    python benchmarks/pictures.py IMAGES REAL OUT

IMAGES holds the folders content and style; every pair is painted. REAL is a weight file of the real VGG-19, of
at least three blocks. OUT receives every picture, sheet.jpg with all of them, and the table table.md. Pictures that
exist already are not painted again.

The judge is the real network, not normalised. For a picture with Gram matrices G over M positions, and a style with A
over M_a,

E = mean over conv1_1, conv2_1, conv3_1, conv3_4 of ‖G/M − A/M_a‖² / ‖A/M_a‖²

and the table has E relative to that of the untouched content image: 1 is no style at all.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from PIL import Image

from nst_numpy import VGG, images, load_weights, losses, random_network, transfer

LAYERS = ("conv1_1", "conv2_1", "conv3_1", "conv3_4")
NETWORKS = ("random", "mini", "real")
CELL = 256  # pixels, the width of a picture in the sheet


def grams(judge: VGG, image: np.ndarray) -> list[np.ndarray]:
    """G/M of the judge's layers."""
    matrices = [losses.feature_matrix(a) for a in judge.features(image, LAYERS).values()]
    return [losses.gram(F).astype(np.float64) / F.shape[1] for F in matrices]


def distance(G: list[np.ndarray], A: list[np.ndarray]) -> float:
    """E of two lists of Gram matrices."""
    return float(np.mean([np.sum((g - a) ** 2) / np.sum(a**2) for g, a in zip(G, A, strict=True)]))


def main() -> None:
    """Paint, judge, and lay out."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("images", type=Path)
    parser.add_argument("real", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--size", type=int, default=384)
    options = parser.parse_args()
    options.out.mkdir(exist_ok=True)
    judge = load_weights(options.real, normalize=False)
    networks = {"random": random_network(), "mini": load_weights("vgg19-mini"), "real": load_weights(options.real)}
    contents, styles = (sorted((options.images / kind).iterdir()) for kind in ("content", "style"))

    rows, table, seconds = [], [], dict.fromkeys(NETWORKS, 0.0)
    for content in contents:
        for style in styles:
            content_image, style_image = images.load(content, options.size), images.load(style, options.size)
            A = grams(judge, style_image)
            start = distance(grams(judge, content_image), A)
            row, judged = [content_image, style_image], []
            for name in NETWORKS:
                path = options.out / f"{content.stem}_{style.stem}_{name}.png"
                if not path.exists():
                    begin = time.perf_counter()
                    transfer(content, style, weights=networks[name], size=options.size, progress=False).save(path)
                    seconds[name] += time.perf_counter() - begin
                row.append(images.load(path))
                judged.append(distance(grams(judge, row[-1]), A) / start)
            rows.append(row)
            table.append((content.stem, style.stem, *judged))
            print(f"{content.stem} × {style.stem}:", *(f"{e:.4f}" for e in judged), flush=True)

    means = np.mean([line[2:] for line in table], axis=0)
    lines = ["| content | style | random filters | mini | real |", "|---|---|---|---|---|"]
    lines += [f"| {c} | {s} | " + " | ".join(f"{e:.4f}" for e in judged) + " |" for c, s, *judged in table]
    lines += ["| **mean** | | " + " | ".join(f"{e:.4f}" for e in means) + " |"]
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
