"""Plots of losses, feature maps, Gram matrices and gradients. Each function returns a figure; `save` writes one."""

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from nst_numpy import images
from nst_numpy.losses import feature_matrix, gram
from nst_numpy.network import VGG
from nst_numpy.objective import Objective
from nst_numpy.validation import check_number, checked

Tile = tuple[str, np.ndarray, str | None]  # title, values, and the colour map, or none for RGB


@checked()
def losses(history: Sequence[Mapping[str, float]]) -> Figure:
    """Plot the losses over the steps, on a logarithmic scale; dotted lines mark where a new size begins.

    Parameters
    ----------
    history : sequence of mapping of str to float
        That of a `TransferResult`: the losses of each step by name, and "size", which is not drawn.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> from nst_numpy.inspection import plots
    >>> history = [{"total": 5.0, "style": 3.0, "size": 64}, {"total": 4.0, "style": 2.5, "size": 64}]
    >>> [line.get_label() for line in plots.losses(history).axes[0].lines]
    ['total', 'style']
    """
    _check_history(history)
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


@checked()
def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure to a .png, .svg or .pdf file, whole or not at all.

    Raises
    ------
    ValueError, FileNotFoundError
        As `images.check_output`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nst_numpy.inspection import plots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     plots.save(plots.losses([]), f"{folder}/empty.svg")
    ...     [path.name for path in pathlib.Path(folder).iterdir()]
    ['empty.svg']
    """
    with images.whole_file(images.check_output(path, images.PLOTS)) as part:
        figure.savefig(part)


def _check_history(history: Sequence[Mapping[str, float]]) -> None:
    if not all(isinstance(row, Mapping) and row.keys() == history[0].keys() for row in history):
        raise TypeError("history must be a list of dicts with the same keys, as in TransferResult.history")


@checked()
def save_losses(history: Sequence[Mapping[str, float]], path: str | os.PathLike[str]) -> None:
    """Write the losses to a file, whole or not at all: to a .csv file as a table, else as a plot.

    Parameters
    ----------
    history : sequence of mapping of str to float
        As for `losses`.
    path : path
        Ending in .csv, .png, .svg or .pdf.

    Raises
    ------
    ValueError, FileNotFoundError
        As `images.check_output`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from nst_numpy.inspection import plots
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "losses.csv")
    ...     plots.save_losses([{"total": 5.0, "size": 64}], path)
    ...     path.read_text().split()
    ['total,size', '5.0,64']
    """
    path = images.check_output(path, images.TABLES_AND_PLOTS)
    if path.suffix.lower() != ".csv":
        save(losses(history), path)
        return
    _check_history(history)
    with images.whole_file(path) as part, open(part, "w", newline="") as file:
        writer = csv.DictWriter(file, history[0] if history else ())
        writer.writeheader()
        writer.writerows(history)


@checked()
def features(network: VGG, image: Any, layers: Iterable[str] | str, count: int = 16) -> Figure:
    """Plot feature maps: where in the image the filters with the largest mean response respond.

    Parameters
    ----------
    network : VGG
    image : path, PIL image or ndarray
        As in `images.load`.
    layers : str or iterable of str
    count : int
        Maximum number of maps for each layer, at least 1.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, FileNotFoundError
        As `VGG.features`; or if no layer is given.

    Examples
    --------
    >>> from nst_numpy import samples, weights
    >>> from nst_numpy.inspection import plots
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> figure = plots.features(network, samples.woodcut_waves(32), "conv1_2", count=4)
    >>> len(figure.axes)
    4
    """
    check_number("count", count, whole=True, least=1)
    tiles: list[Tile] = []
    for layer, a in network.features(image, layers).items():
        strongest = np.argsort(-a.mean(axis=(0, 1)), kind="stable")[:count]
        tiles += [(f"{layer}, filter {k}", a[:, :, k], "gray") for k in strongest]
    return _grid("The filters that respond most", tiles)


@checked()
def gram_matrices(network: VGG, image: Any, layers: Iterable[str] | str) -> Figure:
    """Plot Gram matrices: the square root of each entry of G/M, with the filters sorted by G_ii, the largest first.

    Parameters
    ----------
    network : VGG
    image : path, PIL image or ndarray
        As in `images.load`.
    layers : str or iterable of str

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError, FileNotFoundError
        As `VGG.features`; or if no layer is given.

    Examples
    --------
    >>> from nst_numpy import samples, weights
    >>> from nst_numpy.inspection import plots
    >>> network = weights.load("vgg19-mini", backend="plain")
    >>> figure = plots.gram_matrices(network, samples.woodcut_waves(32), ["conv1_1", "conv2_1"])
    >>> [axes.get_title() for axes in figure.axes]
    ['conv1_1, 32 × 32', 'conv2_1, 96 × 96']
    """
    tiles: list[Tile] = []
    for layer, a in network.features(image, layers).items():
        F = feature_matrix(a)
        G = gram(F) / F.shape[1]
        order = np.argsort(-np.diag(G), kind="stable")
        tiles.append((f"{layer}, {len(G)} × {len(G)}", np.sqrt(G[np.ix_(order, order)]), "viridis"))
    return _grid("√(G/M)", tiles)


@checked()
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

    Examples
    --------
    >>> from nst_numpy import Objective, images, load_weights, samples
    >>> x, style = images.load(samples.portrait(), 48), images.load(samples.woodcut_waves(48))
    >>> objective = Objective.from_images(load_weights("vgg19-mini"), x, style, style_layers=["conv1_1", "conv2_1"])
    >>> [axes.get_title().partition(":")[0] for axes in gradients(objective, x).axes if axes.get_title()]
    ['the image', 'pixels', 'conv1_1', 'conv2_1', 'conv3_4']
    """
    total, _, _ = objective(x)
    tiles: list[tuple[str, np.ndarray, str | None]] = [("the image", np.clip(x, 0, 1), None)]
    for layer, g in reversed(objective.layer_gradients(x).items()):
        length = np.sqrt((g.astype(np.float64) ** 2).sum(axis=2))
        tiles.append((f"{layer}: mean length {length.mean():.2g}", length, "magma"))
    return _grid(f"dL/da, L = {total:.4g}", tiles)


def _grid(title: str, tiles: Sequence[Tile]) -> Figure:
    """Arrange tiles in rows of up to four."""
    if not tiles:
        raise ValueError("at least one layer is needed")
    columns = min(len(tiles), 4)
    rows = -(-len(tiles) // columns)
    height, width = tiles[0][1].shape[:2]
    figure = Figure(figsize=(3 * columns, rows * (3 * height / width + 0.35) + 0.4), layout="constrained")
    figure.suptitle(title)
    cells = figure.subplots(rows, columns, squeeze=False).ravel()
    for cell in cells:
        cell.set_axis_off()
    for cell, (name, values, colors) in zip(cells, tiles, strict=False):
        brightest = np.percentile(values, 99.5)  # a few large values would leave the rest in the dark
        cell.imshow(values, cmap=colors, vmin=0, vmax=brightest)
        cell.set_title(name, fontsize="small")
    return figure
