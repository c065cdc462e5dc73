"""Looking into one picture of a painting: what its layers hold, and which gradient arrives at its pixels from where.

All numbers are the library's own: responses and gradients are those of `VGG.forward` and `VGG.backward`, losses and
targets those of the terms of the `Objective`. The backward sweep is linear in what is injected, so what arrives at the
pixels from each layer and term alone adds up to the gradient with which the picture is painted.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from nst_numpy.inspection.receptive import units_that_see
from nst_numpy.inspection.tracing import in_float64
from nst_numpy.objective import ContentTerm, Objective, StyleTerm, Term, added
from nst_numpy.studio.painter import Painting
from nst_numpy.tiled import TiledObjective
from nst_numpy.topology import is_convolution
from nst_numpy.validation import check_number

# Steps of the differences. With the first, errors of curvature and of rounding are both below 1e-6; the others are for
# pixels with a kink nearby, where a ReLU switches or two elements of a pooling window are equal.
STEPS = (1e-5, 1e-6, 1e-7)
AGREES = 1e-5


@dataclass(frozen=True, eq=False)
class Gram:
    """The Gram matrix of a layer, or of a region in it, beside its target.

    Attributes
    ----------
    G, A : ndarray, shape (N, N)
    """

    G: np.ndarray
    A: np.ndarray

    @property
    def difference(self) -> np.ndarray:
        """G − A."""
        difference: np.ndarray = self.G - self.A
        return difference


@dataclass(frozen=True, eq=False)
class Layer:
    """What a layer holds.

    Attributes
    ----------
    name : str
    F : ndarray, shape (H_l, W_l, N)
        The response; the paper's N × M matrix is `losses.feature_matrix(F)`.
    P : ndarray, shape of F, or None
        That of the content image, if the layer has a content loss.
    mask : ndarray of bool, shape of F, or None
        Where the ReLU lets gradients through; None for a pooling layer.
    grams : list of Gram
        One for each region with a style loss.
    injected : dict of str to ndarray, shape of F
        The gradient that each term injects here: ∂L/∂F with the other layers held fixed.
    arriving : ndarray, shape of F, or None
        dL/dF: all that is injected, and what comes back from the layers above. For layers with a loss.
    at_pixels : ndarray, shape (H, W, 3)
        What arrives at the pixels from this layer alone; zeros if it has no loss.
    """

    name: str
    F: np.ndarray
    P: np.ndarray | None
    mask: np.ndarray | None
    grams: list[Gram]
    injected: dict[str, np.ndarray]
    arriving: np.ndarray | None
    at_pixels: np.ndarray

    @property
    def difference(self) -> np.ndarray | None:
        """F − P."""
        return None if self.P is None else self.F - self.P


@dataclass(frozen=True)
class Difference:
    """The derivative of the loss by one channel of a pixel, computed twice in float64.

    Attributes
    ----------
    channel : int
        0 to 2 for R, G and B.
    h : float
        Step of the difference.
    left, right : float
        The slopes on either side, (L(x) − L(x − h)) / h and (L(x + h) − L(x)) / h.
    analytic : float
        By the backward sweep.
    kink : bool
        Whether the two slopes stay apart as h becomes smaller: then any number between them is a derivative.
    """

    channel: int
    h: float
    left: float
    right: float
    analytic: float
    kink: bool = False

    @property
    def numeric(self) -> float:
        """The central difference, (L(x + h) − L(x − h)) / 2h."""
        return (self.left + self.right) / 2

    @property
    def relative_error(self) -> float:
        largest = max(abs(self.numeric), abs(self.analytic))
        return abs(self.numeric - self.analytic) / largest if largest else 0.0


@dataclass(frozen=True, eq=False)
class Pixel:
    """The gradient at one pixel, R, G and B, and where it comes from.

    Attributes
    ----------
    y, x : int
    value, gradient : ndarray, shape (3,)
    shares : dict of (str, str) to ndarray, shape (3,)
        By term and layer, "pixels" for terms of the image itself. They add up to the gradient.
    units : dict of str to (ndarray, ndarray)
        For each layer up to the deepest with a loss, the rows and columns of the units that see the pixel.
    """

    y: int
    x: int
    value: np.ndarray
    gradient: np.ndarray
    shares: dict[tuple[str, str], np.ndarray]
    units: dict[str, tuple[np.ndarray, np.ndarray]]

    @property
    def by_term(self) -> dict[str, np.ndarray]:
        return _summed((term, share) for (term, _), share in self.shares.items())

    @property
    def by_layer(self) -> dict[str, np.ndarray]:
        return _summed((layer, share) for (_, layer), share in self.shares.items())


class Inside:
    """An objective at one image, with all that happens on the way to its gradient.

    What is asked for is computed then, and kept; a sweep back to the pixels for each term of each layer.

    Parameters
    ----------
    objective : Objective
        Without tiles.
    x : ndarray of float, shape (H, W, 3)

    Attributes
    ----------
    losses : dict of str to float
        As `Objective` returns them.
    gradient : ndarray, shape (H, W, 3)
        Of the total loss, with respect to x.
    layers : tuple of str
        Up to the deepest with a loss, in order.

    Raises
    ------
    ValueError
        If the objective has tiles, or x is no such image.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import Objective, images, load_weights, samples
    >>> x, style = images.load(samples.portrait(), 32), images.load(samples.woodcut_waves(32))
    >>> inside = Inside(Objective.from_images(load_weights("vgg19-mini"), x, style), 1 - x)
    >>> layer = inside.layer("conv3_4")
    >>> layer.F.shape, layer.P.shape, layer.grams[0].A.shape, list(layer.injected)
    ((8, 6, 160), (8, 6, 160), (160, 160), ['content', 'style'])
    >>> pixel = inside.at(10, 20)
    >>> np.allclose(sum(pixel.shares.values()), pixel.gradient, rtol=1e-3)
    True
    >>> inside.difference(10, 20).relative_error < 1e-5
    True
    """

    def __init__(self, objective: Objective, x: np.ndarray):
        if isinstance(objective, TiledObjective):
            raise ValueError("one can look into a whole picture only: make the objective without tiles")
        self.objective, self.x = objective, x
        network = self._network = objective.network
        self._terms: dict[str, list[Term]] = {}  # by layer
        for term in objective.terms:
            if term.layer is not None:
                self._terms.setdefault(network.canonical(term.layer), []).append(term)
        _, self.gradient, self.losses = objective(x)
        self._features, self._tape = network.forward(x, self._terms)
        deepest = max((network.layers.index(layer) for layer in self._terms), default=-1)
        self.layers = network.layers[: deepest + 1]
        self._injected: dict[str, dict[str, np.ndarray]] = {}

    @cached_property
    def shares(self) -> dict[tuple[str, str], np.ndarray]:
        """The gradient (H, W, 3) that arrives at the pixels from each term of each layer; they add up to `gradient`.

        By term and layer, "pixels" for terms of the image itself.
        """
        found = {
            (term, layer): self._network.backward({layer: gradient}, self._tape)
            for layer in self._terms
            for term, gradient in self._injected_at(layer).items()
        }
        of_image = [(term.name, added(term(self.x)[1], None)) for term in self.objective.terms if term.layer is None]
        return found | {(name, "pixels"): gradient for name, gradient in _summed(of_image).items()}

    def layer(self, name: str) -> Layer:
        """What a layer holds, one with a loss or any other below the deepest of these.

        Raises
        ------
        ValueError
            If there is no such layer, or the picture is too small for it.
        """
        name = self._network.canonical(name)
        if name not in self._features:
            self._features |= self._network.forward(self.x, [name])[0]
        F, P, found = self._features[name], None, []
        for term in self._terms.get(name, ()):
            if isinstance(term, ContentTerm) and term.P is not None:
                P = term.P.T.reshape(F.shape)
            if isinstance(term, StyleTerm):
                found.append(Gram(term.statistic(F), term.A))
        shares = [share for (_, layer), share in self.shares.items() if layer == name]
        return Layer(
            name,
            F,
            P,
            F > 0 if is_convolution(name) else None,
            found,
            self._injected_at(name),
            self._arriving.get(name),
            np.sum(shares, axis=0) if shares else np.zeros_like(self.x),
        )

    def at(self, y: int, x: int) -> Pixel:
        """The gradient at the pixel in row y and column x, its parts, and the units that see it.

        Raises
        ------
        ValueError
            If there is no such pixel.
        """
        units = {layer: units_that_see(self._network, layer, self.x.shape, y, x) for layer in self.layers}
        shares = {place: share[y, x] for place, share in self.shares.items()}
        return Pixel(y, x, self.x[y, x], self.gradient[y, x], shares, units)

    def difference(self, y: int, x: int, channel: int | None = None) -> Difference:
        """A finite difference of the loss at this pixel, and its derivative there, both in float64.

        Parameters
        ----------
        y, x : int
        channel : int, optional
            0 to 2; by default the one with the largest gradient.

        Raises
        ------
        ValueError
            If there is no such pixel.
        """
        for what, index, size in zip(("row", "column"), (y, x), self.x.shape, strict=False):
            check_number(what, index, whole=True, most=size - 1)
        if channel is None:
            channel = int(np.argmax(np.abs(self.gradient[y, x])))
        check_number("channel", channel, whole=True, most=2)
        objective, gradient = self._in_float64
        network = objective.network

        def loss(change: float) -> float:
            image = self.x.astype(np.float64)
            image[y, x, channel] += change
            arrays = network.forward(image, self._terms)[0] | {"": image}
            return float(sum(t(arrays[network.canonical(t.layer) if t.layer else ""])[0] for t in objective.terms))

        here, found = loss(0.0), []
        for h in STEPS:
            left, right = (here - loss(-h)) / h, (loss(h) - here) / h
            found.append(Difference(channel, h, left, right, float(gradient[y, x, channel])))
            if found[-1].relative_error <= AGREES:
                return found[-1]
        first, last = (abs(difference.right - difference.left) for difference in (found[0], found[-1]))
        rounding = 8 * np.finfo(np.float64).eps * abs(here) / STEPS[-1]
        return replace(found[0], kink=bool(last > 0.2 * first + rounding))

    @cached_property
    def _arriving(self) -> dict[str, np.ndarray]:
        return self.objective.layer_gradients(self.x)

    @cached_property
    def _in_float64(self) -> tuple[Objective, np.ndarray]:
        """The same objective in float64, and its gradient."""
        engine = self._network.engine
        terms = [in_float64(term, engine) for term in self.objective.terms]
        objective = Objective(in_float64(self._network, engine), terms)
        return objective, objective(self.x.astype(np.float64))[1]

    def _injected_at(self, layer: str) -> dict[str, np.ndarray]:
        if layer not in self._injected:
            a = self._features[layer]
            found = ((term.name, added(term(a)[1], None)) for term in self._terms.get(layer, ()))
            self._injected[layer] = _summed(found)
        return self._injected[layer]


def look(painting: Painting, number: int | None = None) -> Inside:
    """Look into a picture of a painting.

    Parameters
    ----------
    painting : Painting
    number : int, optional
        Of the picture; by default the latest that was painted.

    Raises
    ------
    ValueError
        If there is no such picture, or it is painted in tiles.

    Examples
    --------
    >>> from nst_numpy import Settings, samples
    >>> painting = Painting(samples.portrait(), samples.woodcut_waves(64), Settings(size=(48,), steps=1))
    >>> painting.start()
    >>> painting.wait()
    'finished'
    >>> look(painting, 1).losses == {name: painting.history[1][name] for name in look(painting, 1).losses}
    True
    """
    if number is None:
        number = next(reversed(painting.earlier), 0)
    x = painting.point_at(number)
    return Inside(painting.objective_for(x.shape), x)


def _summed(parts: Iterable[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
    """The sums of parts with the same name."""
    sums: dict[str, np.ndarray] = {}
    for name, part in parts:
        sums[name] = sums[name] + part if name in sums else part
    return sums
