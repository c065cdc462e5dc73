"""The objective: from an image to the loss, its terms, and the gradient with respect to the pixels.

L = α Σ_l v_l L_content,l + β Σ_l w_l E_l + γ TV        (Gatys et al. 2015, equations 5 and 7, and total variation)

It is a sum of terms. Each is a function of one array, the response of a layer or the image itself, and returns its
value and its gradient with respect to that array; the network carries the gradients of all layers down to the pixels,
where they add up. A loss of your own is one more term: see `Term`.

The paper's L_content is a sum over the N·M features of its layer, so it grows with the size of the image and with the
width of the network, while E, divided by N² M², hardly changes. So that one α works for all of them, v_l contains a
factor 1/(N_l M_l); for the same reason γ contains a factor 1/(number of pixels). Other systems have other factors: see
`conventions`.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any, Protocol

import numpy as np

from nst_numpy import conventions, images, losses, masks
from nst_numpy.backends import Backend, plain
from nst_numpy.conventions import Convention, TotalVariation
from nst_numpy.conventions.convention import Layers, StyleGrams, style_energy, style_grams
from nst_numpy.losses import feature_matrix
from nst_numpy.network import VGG, check_pixels
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number, shown

# A gradient; or a function that adds it in place to the one from above (None in the deepest layer) and returns the sum.
# The function saves an array of the size of the response.
Gradient = np.ndarray | Callable[[np.ndarray | None], np.ndarray]


def added(gradient: Gradient, da: np.ndarray | None) -> np.ndarray:
    """The sum of a gradient and the one from above, which is changed; a copy if there is none."""
    if callable(gradient):
        return gradient(da)
    return gradient.copy() if da is None else np.add(da, gradient, out=da)


class Term(Protocol):
    """One term of an objective: a function of one array, with its gradient.

    Attributes
    ----------
    name : str
        Terms with the same name are reported as one sum: "content", "style", "tv", or your own.
    layer : str or None
        The layer whose response (H, W, N) is the argument; None for the image (H, W, 3).

    Examples
    --------
    A loss of your own: how far the mean responses of a layer are from given ones, ½ Σ_k (mean_k − t_k)². Each of the M
    positions enters the mean with the factor 1/M, so the gradient at every position is (mean_k − t_k)/M.

    >>> import numpy as np
    >>> from nst_numpy import Objective, gradcheck, load_weights
    >>> class MeanResponse:
    ...     name, layer = "mean", "conv2_1"
    ...     def __init__(self, targets):
    ...         self.targets = targets
    ...     def __call__(self, a):
    ...         difference = a.mean(axis=(0, 1)) - self.targets
    ...         gradient = np.broadcast_to(difference / (a.shape[0] * a.shape[1]), a.shape)
    ...         return 0.5 * float(np.sum(difference**2)), gradient
    >>> term = MeanResponse(np.zeros(5))
    >>> a = np.random.default_rng(0).random((4, 3, 5))
    >>> gradcheck(lambda a: term(a)[0], lambda a: term(a)[1], a).passed
    True

    In an objective, checked down to the pixels:

    >>> network = load_weights("vgg19-mini", dtype=np.float64)
    >>> objective = Objective(network, [MeanResponse(np.ones(96))])
    >>> x = np.random.default_rng(1).random((8, 8, 3))
    >>> gradcheck(lambda x: objective(x)[0], lambda x: objective(x)[1], x, samples=20).passed
    True
    """

    @property
    def name(self) -> str: ...

    @property
    def layer(self) -> str | None: ...

    def __call__(self, a: np.ndarray, /) -> tuple[float, Gradient]:
        """Value and gradient at the array a, which must not be changed."""
        ...


class AdditiveTerm(Term, Protocol):
    """A term that depends on its layer only through a sum over the layer's positions: it can be evaluated in tiles.

    L = ℓ(S) with S = Σ_j s(a_j). By the chain rule ∂L/∂a_j = (∂s/∂a_j)ᵀ ∂ℓ/∂S: position j needs to know nothing of
    the others but the sum. The Gram matrix is such a sum; see `tiled.TiledObjective`.

    Examples
    --------
    The mean responses of `Term`'s example are a sum over positions, divided by their number M:

    >>> import numpy as np
    >>> from nst_numpy import Objective, load_weights
    >>> from nst_numpy.tiled import TiledObjective
    >>> class MeanResponse:
    ...     name, layer = "mean", "conv2_1"
    ...     def statistic(self, a):
    ...         return a.sum(axis=(0, 1))
    ...     def loss(self, S, M):
    ...         return 0.5 * float(np.sum((S / M - 1) ** 2)), (S / M - 1) / M
    ...     def backward(self, dS, a):
    ...         return np.broadcast_to(dS, a.shape)
    ...     def part(self, rows, columns, width):
    ...         return self
    ...     def __call__(self, a):
    ...         value, dS = self.loss(self.statistic(a), a.shape[0] * a.shape[1])
    ...         return value, self.backward(dS, a)
    >>> network = load_weights("vgg19-mini", dtype=np.float64)
    >>> x = np.random.default_rng(1).random((40, 60, 3))
    >>> whole = Objective(network, [MeanResponse()])
    >>> in_tiles = TiledObjective(network, [MeanResponse()], (40, 60), 16)
    >>> np.allclose(in_tiles(x)[1], whole(x)[1], rtol=1e-10, atol=1e-15)
    True
    """

    def statistic(self, a: np.ndarray, /) -> Any:
        """S of some positions (h, w, N): a number or an array, which adds up over parts of the layer."""
        ...

    def loss(self, S: Any, M: int, /) -> tuple[float, Any]:
        """Value ℓ(S) and gradient ∂ℓ/∂S, given the sum over all M positions of the layer."""
        ...

    def backward(self, dS: Any, a: np.ndarray, /) -> Gradient:
        """Gradient at some positions, given ∂ℓ/∂S: as `Term` returns it."""
        ...

    def part(self, rows: slice, columns: slice, width: int, /) -> "AdditiveTerm":
        """The term for some positions of a layer of this width, with what belongs to them of its targets and masks."""
        ...


@dataclass(frozen=True, eq=False)
class ContentTerm:
    """Content loss of a layer times its weight, α v_l.

    Attributes
    ----------
    layer : str
    P : ndarray, shape (N, M), or None
        Features of the content image; None in a `TiledObjective`, which computes them tile by tile.
    weight : float
    mask : ndarray, shape (H, W), optional
        How much each position counts, 0–1; see `losses.guided_content_loss`.
    backend : Backend
        It computes the loss and its gradient where there is no mask.
    """

    layer: str
    P: np.ndarray | None = field(repr=False)
    weight: float
    backend: Backend = field(default=plain, repr=False)
    name: str = "content"
    mask: np.ndarray | None = field(default=None, repr=False)

    def __call__(self, a: np.ndarray) -> tuple[float, Gradient]:
        value, dS = self.loss(self.statistic(a), a.shape[0] * a.shape[1])
        return value, self.backward(dS, a)

    def statistic(self, a: np.ndarray) -> float:
        if self.mask is None:
            return self.backend.content(a, self._target)
        return losses.guided_content_loss(feature_matrix(a), self._target, self._t(a))

    def loss(self, S: Any, M: int) -> tuple[float, float]:
        return self.weight * float(S), self.weight

    def backward(self, dS: float, a: np.ndarray) -> Gradient:
        if self.mask is None:
            return partial(self.backend.content_backward, a, self._target, dS)
        dF = losses.guided_content_gradient(feature_matrix(a), self._target, self._t(a))
        dF *= dS
        return dF.T.reshape(a.shape)

    def part(self, rows: slice, columns: slice, width: int) -> "ContentTerm":
        P = self.P
        if P is not None:
            P = P.reshape(len(P), -1, width)[:, rows, columns].reshape(len(P), -1)
        return replace(self, P=P, mask=_cut(self.mask, rows, columns))

    @property
    def _target(self) -> np.ndarray:
        assert self.P is not None, "set for each tile"
        return self.P

    def _t(self, a: np.ndarray) -> np.ndarray:
        assert self.mask is not None
        return self.mask.reshape(-1).astype(a.dtype)


@dataclass(frozen=True, eq=False)
class StyleTerm:
    """Style loss of a layer, or of a region in it, times its weight, β w_l.

    Attributes
    ----------
    layer : str
    A : ndarray, shape (N, N)
        Gram matrix of the style image, scaled to the number of positions that the picture has in this layer.
    weight : float
    backend : Backend
        It computes the Gram matrix and its backward pass.
    mask : ndarray, shape (H, W), optional
        Of a region: the Gram matrix is that of the positions inside; see `losses.guided_gram`.
    norm : float, optional
        √(mean of t²) of the whole mask, where `mask` is a part of it.
    """

    layer: str
    A: np.ndarray = field(repr=False)
    weight: float
    backend: Backend = field(default=plain, repr=False)
    name: str = "style"
    mask: np.ndarray | None = field(default=None, repr=False)
    norm: float | None = field(default=None, repr=False)

    def __call__(self, a: np.ndarray) -> tuple[float, Gradient]:
        value, dG = self.loss(self.statistic(a), a.shape[0] * a.shape[1])
        return value, self.backward(dG, a)

    def statistic(self, a: np.ndarray) -> np.ndarray:
        return self.backend.gram(self.guided(a))

    def loss(self, G: np.ndarray, M: int) -> tuple[float, np.ndarray]:
        dG = self.weight * losses.gram_loss_gradient(G, self.A, M)
        return self.weight * losses.gram_loss(G, self.A, M), dG

    def backward(self, dG: np.ndarray, a: np.ndarray) -> Gradient:
        return partial(self._backward, dG, a)

    def part(self, rows: slice, columns: slice, width: int) -> "StyleTerm":
        return replace(self, mask=_cut(self.mask, rows, columns), norm=self._norm)

    @cached_property
    def _norm(self) -> float | None:
        return None if self.mask is None else float(np.sqrt(np.mean(np.square(self.mask))))

    def guided(self, a: np.ndarray, power: int = 1) -> np.ndarray:
        """The response times a power of the mask, scaled as in `losses.guidance`; without a mask, the response."""
        if self.mask is None:
            return a
        t = self.mask.astype(a.dtype)
        t = losses.guidance(t) if self.norm is None else t / t.dtype.type(self.norm)
        guided: np.ndarray = a * t[..., None] ** power
        return guided

    def _backward(self, dG: np.ndarray, a: np.ndarray, da: np.ndarray | None = None) -> np.ndarray:
        """As `losses.guided_gram_backward`; computed late, so that no more than one weighted response is in memory."""
        return self.backend.gram_backward(dG, self.guided(a, 2), da)


@dataclass(frozen=True, eq=False)
class VariationTerm:
    """Total variation of the image, including its weight γ.

    Attributes
    ----------
    variation : TotalVariation
    circular : bool
        Whether opposite edges are neighbours. With its first row and column once more at its end, the image has all
        the differences there are then, those along this row and column twice: once they are subtracted.
    rows : int, optional
        The height of strips in which a large image is evaluated, to save memory. Neighbouring strips share a row, whose
        differences are subtracted once, as well.
    backend : Backend
        It computes the usual variation, of squares.
    """

    variation: TotalVariation
    circular: bool = False
    name: str = "tv"
    layer: None = None
    rows: int | None = None
    backend: Backend = field(default=plain, repr=False)

    def __call__(self, x: np.ndarray) -> tuple[float, Gradient]:
        if not self.circular:
            c = self.variation.squares
            if c is not None:
                return c * self.backend.variation(x), partial(self.backend.variation_backward, x, c)
            return self._in_strips(x)
        around = np.pad(x, ((0, 1), (0, 1), (0, 0)), mode="wrap")
        value, gradient = self._in_strips(around)
        for twice in (np.s_[:1], np.s_[:, :1]):
            of_line, gradient_of_line = self.variation(around[twice])
            value -= of_line
            gradient[twice] -= gradient_of_line
        gradient[0] += gradient[-1]
        gradient[:, 0] += gradient[:, -1]
        return value, gradient[:-1, :-1]

    def _in_strips(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if self.rows is None or len(x) <= self.rows + 1:
            return self.variation(x)
        value, gradient = 0.0, np.zeros_like(x)
        for first in range(0, len(x) - 1, self.rows):
            strip = np.s_[first : first + self.rows + 1]
            of_strip, gradient_of_strip = self.variation(x[strip])
            value += of_strip
            gradient[strip] += gradient_of_strip
            if first:  # the row that it shares with the strip above
                of_line, gradient_of_line = self.variation(x[first : first + 1])
                value -= of_line
                gradient[first : first + 1] -= gradient_of_line
        return value, gradient


class Objective:
    """The function that is minimised: a sum of terms. `Objective.from_images` makes the one of style transfer.

    Parameters
    ----------
    network : VGG
    terms : sequence of Term

    Raises
    ------
    ValueError
        If there are no terms, or the network lacks a term's layer.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import load_weights
    >>> rng = np.random.default_rng(0)
    >>> content, style, x = rng.random((3, 32, 32, 3))
    >>> network = load_weights("vgg19-mini")
    >>> objective = Objective.from_images(network, content, style, style_layers=["conv1_1", "conv2_1"])
    >>> total, gradient, parts = objective(x)
    >>> list(parts), gradient.shape
    (['total', 'content', 'style', 'tv', 'conv1_1', 'conv2_1'], (32, 32, 3))
    """

    def __init__(self, network: VGG, terms: Sequence[Term]):
        if not terms:
            raise ValueError("an objective needs at least one term")
        self.network, self.terms = network, tuple(terms)
        self._at_layers: dict[str, list[Term]] = {}
        for term in self.terms:
            if term.layer is not None:
                self._at_layers.setdefault(network.canonical(term.layer), []).append(term)

    def __repr__(self) -> str:
        terms = ", ".join(f"{term.name} {term.layer or ''}".strip() for term in self.terms)
        return f"Objective({self.network!r}: {terms})"

    @classmethod
    def from_images(
        cls,
        network: VGG,
        content: Any,
        style: Any,
        *,
        content_layers: Layers | None = None,
        style_layers: Layers | None = None,
        content_weight: float | None = None,
        style_weight: float | None = None,
        tv_weight: float | None = None,
        style_blend: Sequence[float] | None = None,
        convention: str | Convention = "nst_numpy",
        content_masks: Any = None,
        style_masks: Any = None,
        content_mask: Any = None,
        tile: int | None = None,
        executor: Executor | None = None,
        style_grams: StyleGrams = style_grams,
        further: Sequence[Term] = (),
    ) -> "Objective":
        """Make the objective of a style transfer; this computes the targets P and A, once.

        On a circular network, total variation wraps around as well; the style images do not.

        Several style images with weights b_k that sum to 1 have one target, A = Σ_k b_k A_k: since

        Σ_k b_k Σ_ij (G − A_k)_ij² = Σ_ij (G − A)_ij² + (terms without G),

        the weighted sum of their style losses E has the same gradient as E with the target A. (A convention that
        divides E by the energy of the style takes that of A.)

        With `content_masks`, each style has a region of its own, with a term E^r and the weight R b_r m_r: R regions,
        and m_r = Σ_j t_j²/M the part of the layer that region r covers. With it, the gradient at a position inside is
        that of a picture without masks: a region is painted no more strongly because it is small.

        Parameters
        ----------
        network : VGG
        content, style : path, PIL image or ndarray
            As in `images.load`. The sizes may differ. `style` can also be a list of images.
        content_masks, style_masks, content_mask
            As in `transfer`; each as in `masks.load`.
        content_layers, style_layers, content_weight, style_weight, tv_weight, style_blend, convention
            As in `Settings`. With "nst_numpy" the weights are v_l · N_l M_l and w_l, α, β, and γ times the number of
            pixels.
        style_grams : callable
            What computes the Gram matrices of the styles: a `painting.GramCache` computes each once for many pictures.
        further : sequence of Term
            Terms that are added, such as a loss of your own.
        tile, executor
            As in `tiled.TiledObjective`: given a tile, that is what this makes. Style images are swept in tiles, too.

        Raises
        ------
        ValueError
            If an image is too small for a layer, the network lacks a layer, there is no layer at all, the weights of
            the style images do not match their number, or a weight is negative or for a term that the convention does
            not have; if a mask has other proportions than its image, or its region is too small for a layer.
        """
        if not isinstance(network, VGG):
            raise TypeError(f"network must be a VGG, found {shown(network)}")
        convention = conventions.get(convention)
        v = convention.weighted_layers("content", content_layers, network)
        w = convention.weighted_layers("style", style_layers, network)
        if not v and not w:
            raise ValueError("at least one content layer or style layer is needed")
        alpha, beta, gamma = convention.loss_weights(content_weight, style_weight, tv_weight)
        image = images.load(content, dtype=network.dtype)
        styles = [images.load(s, dtype=network.dtype) for s in (style if isinstance(style, list | tuple) else [style])]
        shares = blend_shares(style_blend, len(styles))
        of_styles = masks.one_each("style_masks", style_masks, len(styles))
        parts = [masks.of_image(*mask, s) for mask, s in zip(of_styles, styles, strict=True)]
        of_content = masks.one_each("content_masks", content_masks, len(styles))
        regions = [masks.of_image(*mask, image) for mask in of_content]
        kept = masks.of_image("content_mask", content_mask, image)
        if kept is not None and (kept == 1).all():  # the whole image
            kept = None
        H, W = image.shape[:2]
        N = {l: network.filters(l) for l in (*v, *w)}
        M = {l: (H // reduction(l)) * (W // reduction(l)) for l in (*v, *w)}
        terms: list[Term] = []
        network.check_size(image.shape, v)
        content_features = network.forward(image, v)[0] if tile is None else {}
        for l in v:
            P = feature_matrix(content_features[l].copy()) if tile is None else None
            t = masks.in_layer("content_mask", kept, l)
            terms.append(
                ContentTerm(l, P, alpha * v[l] * convention.content_factor(N[l], M[l]), network.engine, mask=t)
            )
        if content_masks is None:  # one region, the whole picture, and a blend of all styles
            regions, shared_out = regions[:1], [(0, b) for b in shares]
        else:
            shared_out = [(r, 1.0) for r in range(len(regions))]
        A: list[dict[str, Any]] = [dict.fromkeys(w, 0.0) for _ in regions]
        for grams, (r, b) in zip(style_grams(network, styles, w, parts, tile), shared_out, strict=True):
            for l, (G, M_a) in grams.items():
                # The style image has M_a positions, the picture M. Scaled, equal textures have equal Gram matrices.
                A[r][l] = A[r][l] + float(b * M[l] / M_a) * G
        for r, region in enumerate(regions):
            for l in w:
                weight = beta * w[l] * convention.style_factor(N[l], M[l], H * W, style_energy(A[r][l], M[l]))
                t = masks.in_layer(f"mask {r + 1} of content_masks", region, l)
                if content_masks is not None:
                    weight *= len(regions) * shares[r] * (1.0 if t is None else float(np.mean(t**2)))
                terms.append(StyleTerm(l, A[r][l], weight, network.engine, mask=t))
        variation, circular = convention.total_variation(gamma, H, W), network.padding == "circular"
        terms += [VariationTerm(variation, circular, rows=tile, backend=network.engine), *further]
        if tile is None:
            return cls(network, terms)
        from nst_numpy.tiled import TiledObjective

        return TiledObjective(network, terms, (H, W), tile, image, executor)

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray, dict[str, float]]:
        """Loss, gradient and terms at the image x, with one sweep forward and one back.

        Parameters
        ----------
        x : ndarray, shape (H, W, 3)
            The generated image, floats, of the size of the content image; values outside 0–1 are allowed.

        Returns
        -------
        total : float
        gradient : ndarray, shape (H, W, 3)
            Of the total loss, with respect to x.
        terms : dict of str to float
            "total"; "content", "style", "tv" and the names of your own terms, each the sum of all terms of that name;
            and each style layer by its name. The values are weighted, and add up: total = content + style + tv + your
            own.
        """
        return self._evaluate(x, None)

    def layer_gradients(self, x: np.ndarray) -> dict[str, np.ndarray]:
        """The gradient of the loss with respect to the response of each loss layer, and to the pixels.

        dL/da_l is the sum of what the terms of layer l inject and what comes back from the layers above.

        Parameters
        ----------
        x : ndarray, shape (H, W, 3)

        Returns
        -------
        dict of str to ndarray, shape (H_l, W_l, N_l)
            In order, from the deepest layer; the last is "pixels", (H, W, 3).
        """
        found: dict[str, np.ndarray] = {}
        _, found["pixels"], _ = self._evaluate(x, found)
        return found

    def _evaluate(
        self, x: np.ndarray, found: dict[str, np.ndarray] | None
    ) -> tuple[float, np.ndarray, dict[str, float]]:
        check_pixels(x)
        values: list[tuple[Term, float]] = []
        gradients: dict[str, list[Gradient]] = {}
        features, tape = self.network.forward(x, self._at_layers)
        for l, terms in self._at_layers.items():
            a = features.pop(l)  # so that its memory is free, unless a term keeps it
            gradients[l] = []
            for term in terms:
                value, gradient = term(a)
                values.append((term, value))
                gradients[l].append(gradient)

        def inject(l: str, da: np.ndarray | None) -> np.ndarray:
            for gradient in gradients.pop(l):
                da = added(gradient, da)
            assert da is not None
            if found is not None:
                found[l] = da.copy()
            return da

        injected = {l: partial(inject, l) for l in self._at_layers}
        dx = self.network.backward(injected, tape) if injected else np.zeros_like(x)
        return self._with_image_terms(x, dx, values)

    def _with_image_terms(
        self, x: np.ndarray, dx: np.ndarray, values: Iterable[tuple[Term, float]]
    ) -> tuple[float, np.ndarray, dict[str, float]]:
        """Total, gradient and terms, given the values of the terms at layers, and their gradient, which is changed."""
        sums = {"total": 0.0, "content": 0.0, "style": 0.0, "tv": 0.0}
        of_layers = {str(term.layer): 0.0 for term in self.terms if term.name == "style"}
        for term, value in values:
            sums[term.name] = sums.get(term.name, 0.0) + value
            if term.name == "style":
                of_layers[str(term.layer)] += value
        for term in self.terms:
            if term.layer is None:
                value, gradient = term(x)
                sums[term.name] = sums.get(term.name, 0.0) + value
                dx = added(gradient, dx)
        sums["total"] = sum(sums.values())  # "total" itself is still 0
        return sums["total"], dx, {**sums, **of_layers}


def _cut(mask: np.ndarray | None, rows: slice, columns: slice) -> np.ndarray | None:
    return None if mask is None else mask[rows, columns]


def blend_shares(weights: Sequence[float] | None, images: int) -> list[float]:
    """The weights of the style images, scaled to the sum 1; equal if none are given.

    Raises
    ------
    ValueError
        If there is no image, the number of weights is not that of images, or all weights are 0.
    """
    if not images:
        raise ValueError("at least one style image is needed")
    weights = [1.0] * images if weights is None else np.atleast_1d(weights).tolist()
    if len(weights) != images:
        raise ValueError(f"style_blend must have one weight for each of {images} style images, found {len(weights)}")
    for weight in weights:
        check_number("a weight of style_blend", weight)
    if not sum(weights):
        raise ValueError("style_blend must have a weight that is not 0")
    return [weight / sum(weights) for weight in weights]
