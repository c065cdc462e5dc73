"""Pictures of what happens inside: losses, feature maps, Gram matrices, gradients. Each function makes a figure."""

import csv
import os
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure

from nst_numpy import images
from nst_numpy.losses import feature_matrix, gram
from nst_numpy.network import VGG
from nst_numpy.objective import Objective


def losses(history: list[dict[str, float]]) -> Figure:
    """The losses over the steps, on a logarithmic scale; dotted lines where a new size begins.

    Parameters
    ----------
    history : list of dict of str to float
        Of a `TransferResult`.

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.subplots()
    for term in history[0] if history else ():
        values = np.array([entry[term] for entry in history])
        if term != "size" and (values > 0).any():
            thick = term in ("total", "content", "style", "tv")
            axes.semilogy(np.where(values > 0, values, np.nan), lw=1.8 if thick else 0.8, label=term)
    for k in range(1, len(history)):
        if history[k]["size"] != history[k - 1]["size"]:
            axes.axvline(k, color="gray", ls=":", lw=1)
    axes.set(xlabel="step", ylabel="weighted loss")
    if axes.lines:
        axes.legend(fontsize="small")
    return figure


def save_losses(history: list[dict[str, float]], path: str | os.PathLike) -> None:
    """Write the losses to a file: a table if it ends in .csv, else a plot."""
    path = images.check_output(path, images.TABLES_AND_PLOTS)
    with images.whole_file(path) as part:
        if path.suffix.lower() != ".csv":
            losses(history).savefig(part)
            return
        with open(part, "w", newline="") as file:
            writer = csv.DictWriter(file, history[0] if history else ())
            writer.writeheader()
            writer.writerows(history)


def features(network: VGG, image, layers: Iterable[str] | str, count: int = 16) -> Figure:
    """Feature maps: of the filters with the largest mean response, where in the image they respond.

    Parameters
    ----------
    network : VGG
    image : path, PIL image or ndarray
    layers : str or iterable of str
    count : int
        How many maps of each layer.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, FileNotFoundError
        As `VGG.features`.
    """
    tiles = []
    for layer, a in network.features(image, layers).items():
        strongest = np.argsort(-a.mean(axis=(0, 1)), kind="stable")[:count]
        tiles += [(f"{layer}, filter {k}", a[:, :, k], "gray") for k in strongest]
    return _grid("The filters that respond most", tiles)


def gram_matrices(network: VGG, image, layers: Iterable[str] | str) -> Figure:
    """Gram matrices G/M of some layers, as the square root of each entry, the filters in order of their own G_ii.

    Parameters
    ----------
    network : VGG
    image : path, PIL image or ndarray
    layers : str or iterable of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, FileNotFoundError
        As `VGG.features`.
    """
    tiles = []
    for layer, a in network.features(image, layers).items():
        F = feature_matrix(a)
        G = gram(F) / F.shape[1]
        order = np.argsort(-np.diag(G), kind="stable")
        tiles.append((f"{layer}, {len(G)} × {len(G)}", np.sqrt(G[np.ix_(order, order)]), "viridis"))
    return _grid("√(G/M)", tiles)


def gradients(objective: Objective, x: np.ndarray) -> Figure:
    """The gradient of the loss at an image: its length at each position of every loss layer, and at each pixel.

    Parameters
    ----------
    objective : Objective
    x : ndarray, shape (H, W, 3)
        The generated image, of the size of the objective's content image.

    Returns
    -------
    matplotlib.figure.Figure
    """
    total, _, _ = objective(x)
    tiles: list[tuple[str, np.ndarray, str | None]] = [("the image", np.clip(x, 0, 1), None)]
    for layer, g in reversed(objective.layer_gradients(x).items()):
        length = np.sqrt((g.astype(np.float64) ** 2).sum(axis=2))
        tiles.append((f"{layer}: mean length {length.mean():.2g}", length, "magma"))
    return _grid(f"dL/da, L = {total:.4g}", tiles)


def _grid(title: str, tiles: list[tuple[str, np.ndarray, str | None]]) -> Figure:
    """Pictures side by side: name, values, and colour map, or none for RGB."""
    columns = min(len(tiles), 4)
    rows = -(-len(tiles) // columns)
    height, width = tiles[0][1].shape[:2]
    figure = Figure(figsize=(3 * columns, rows * (3 * height / width + 0.35) + 0.4), layout="constrained")
    figure.suptitle(title)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells:
        cell.set_axis_off()
    for cell, (name, picture, colors) in zip(cells, tiles, strict=False):
        brightest = np.percentile(picture, 99.5)  # a few large values would leave the rest in the dark
        cell.imshow(picture, cmap=colors, vmin=0, vmax=brightest)
        cell.set_title(name, fontsize="small")
    return figure
