"""Cutting an image into tiles, such that a network gives in each of them what it gives in the whole.

A tile has a *core* and a *window*. The cores are disjoint and cover the image; their edges are at multiples of the
reduction r of the deepest layer, so that the pooling windows in a tile are those of the image. The window is the core
with a margin as wide as the receptive fields of its outermost positions, rounded up to r: all that the responses at
the core's positions depend on. Where the window ends at the edge of the image, the network pads it as it pads the
image. docs/tiles.md derives why a loss and its gradient, computed tile by tile, are those of the whole.
"""

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from nst_numpy.network import VGG, receptive_field
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number

Span = tuple[int, int]  # first and last + 1, in pixels


@dataclass(frozen=True)
class Tile:
    """A part of an image.

    Attributes
    ----------
    core : (rows, columns)
        Each (first, last + 1), in pixels.
    window : (rows, columns)
        The core with its margin. It goes beyond the image only if the network is circular: there the image goes on at
        the opposite edge.
    shape : (height, width)
        Of the image.
    """

    core: tuple[Span, Span]
    window: tuple[Span, Span]
    shape: tuple[int, int]

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the window."""
        (top, bottom), (left, right) = self.window
        return bottom - top, right - left

    def at(self, layer: str) -> tuple[slice, slice]:
        """The positions of the core in a layer's response to the image."""
        r = reduction(layer)
        return _slice([first // r for first in self.core[0]]), _slice([first // r for first in self.core[1]])

    def inside(self, layer: str) -> tuple[slice, slice]:
        """The positions of the core in a layer's response to the window."""
        r = reduction(layer)
        shifted = [[(x - w[0]) // r for x in core] for core, w in zip(self.core, self.window, strict=True)]
        return _slice(shifted[0]), _slice(shifted[1])

    def window_of(self, x: np.ndarray) -> np.ndarray:
        """The window of an image: a view, or a copy where it goes on at the opposite edge."""
        blocks = [[x[rows, columns] for _, columns in self._pieces(1)] for _, rows in self._pieces(0)]
        return blocks[0][0] if len(blocks) == len(blocks[0]) == 1 else np.block([[[b] for b in row] for row in blocks])

    def add(self, dx: np.ndarray, dwindow: np.ndarray) -> None:
        """Add the gradient with respect to the window to the one with respect to the image, in place."""
        for rows, to_rows in self._pieces(0):
            for columns, to_columns in self._pieces(1):
                dx[to_rows, to_columns] += dwindow[rows, columns]

    def responses(self, network: VGG, window: np.ndarray, layers: Iterable[str]) -> dict[str, np.ndarray]:
        """The responses of some layers at the core's positions, given the window's pixels."""
        features, _ = network.forward(window, layers)
        return {layer: np.ascontiguousarray(a[self.inside(layer)]) for layer, a in features.items()}

    def _pieces(self, axis: int) -> Iterator[tuple[slice, slice]]:
        """Where the window and the image have the same pixels along an axis."""
        (first, end), length = self.window[axis], self.shape[axis]
        at = first
        while at < end:
            start = at % length
            n = min(end - at, length - start)
            yield slice(at - first, at - first + n), slice(start, start + n)
            at += n


def _slice(ends: list[int]) -> slice:
    return slice(ends[0], ends[1])


def margins(network: VGG, layers: Iterable[str]) -> tuple[int, int]:
    """How many pixels before and after a part of the image its responses depend on, at most, in some layers.

    A unit at position p sees the pixels from start + p r to start + p r + size − 1. Pixels from the multiple a r on, up
    to b r, are those of the positions a to b − 1: they see −start pixels more before, and start + size − r after.

    Parameters
    ----------
    network : VGG
    layers : iterable of str

    Returns
    -------
    before, after : int
        Rounded up to multiples of the reduction of the deepest layer.

    Examples
    --------
    >>> from nst_numpy import load_weights, tiles
    >>> tiles.margins(load_weights("vgg19-mini", backend="plain"), ["conv1_1", "conv3_1"])
    (12, 12)
    """
    fields = [receptive_field(network, layer) for layer in layers]
    step = max((step for _, step, _ in fields), default=1)
    before = max((-start for start, _, _ in fields), default=0)
    after = max((start + size - r for start, r, size in fields), default=0)
    return -(-before // step) * step, -(-after // step) * step


def cut(network: VGG, layers: Iterable[str], shape: tuple[int, int], tile: int) -> list[Tile]:
    """Cut an image into tiles, row by row, of about equal size.

    Parameters
    ----------
    network : VGG
    layers : iterable of str
        Whose responses are needed.
    shape : (height, width)
        Of the image, in pixels.
    tile : int
        The largest side of a core, in pixels; rounded down to a multiple of the reduction r of the deepest layer, but
        at least r. The last core of a row or column also takes what is left over, fewer than r pixels.

    Returns
    -------
    list of Tile

    Raises
    ------
    ValueError
        If `tile` is not a whole number of at least 1; if the network is circular and the sides of the image are not
        multiples of r.

    Examples
    --------
    >>> from nst_numpy import load_weights, tiles
    >>> network = load_weights("vgg19-mini", backend="plain")
    >>> [tile.core for tile in tiles.cut(network, ["conv2_1"], (40, 33), 32)]
    [((0, 20), (0, 33)), ((20, 40), (0, 33))]
    >>> tiles.cut(network, ["conv2_1"], (40, 33), 32)[0].window
    ((0, 24), (0, 33))
    """
    check_number("tile", tile, whole=True, least=1)
    layers = [network.canonical(layer) for layer in layers]
    step = max((reduction(layer) for layer in layers), default=1)
    margin, circular = margins(network, layers), network.padding == "circular"
    if circular and (shape[0] % step or shape[1] % step) and max(shape) > tile:
        raise ValueError(
            f"for tiles of a picture that goes on at the opposite edge its sides must be multiples of {step}, found "
            f"{shape[1]}×{shape[0]}; take another size, or no tiles"
        )
    rows, columns = (_spans(length, max(tile // step, 1), step, margin, circular) for length in shape)
    return [Tile((r, c), (wr, wc), shape) for r, wr in rows for c, wc in columns]


def _spans(length: int, most: int, step: int, margin: tuple[int, int], circular: bool) -> list[tuple[Span, Span]]:
    """Core and window along an axis; the cores have up to `most` steps."""
    steps = max(length // step, 1)
    count = -(-steps // most)
    if count == 1:
        return [((0, length), (0, length))]
    edges = [steps * k // count * step for k in range(count)] + [length]
    spans = []
    for first, end in itertools.pairwise(edges):
        low, high = first - margin[0], end + margin[1]
        spans.append(((first, end), (low, high) if circular else (max(low, 0), min(high, length))))
    return spans
