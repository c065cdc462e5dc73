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

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Protocol

import numpy as np

from nst_numpy import conventions, images, losses, masks
from nst_numpy.backends import Backend, plain
from nst_numpy.conventions import Convention, TotalVariation
from nst_numpy.conventions.convention import Layers, StyleGrams, style_energy, style_grams
from nst_numpy.losses import feature_matrix
from nst_numpy.network import VGG, check_pixels
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number

# A gradient; or a function that adds it in place to the one from above (None in the deepest layer) and returns the sum.
# The function saves an array of the size of the response.
Gradient = np.ndarray | Callable[[np.ndarray | None], np.ndarray]


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


@dataclass(frozen=True, eq=False)
class ContentTerm:
    """Content loss of a layer times its weight, α v_l.

    Attributes
    ----------
    layer : str
    P : ndarray, shape (N, M)
        Features of the content image.
    weight : float
    mask : ndarray, shape (H, W), optional
        How much each position counts, 0–1; see `losses.guided_content_loss`.
    """

    layer: str
    P: np.ndarray = field(repr=False)
    weight: float
    name: str = "content"
    mask: np.ndarray | None = field(default=None, repr=False)

    def __call__(self, a: np.ndarray) -> tuple[float, np.ndarray]:
        F = feature_matrix(a)
        if self.mask is None:
            value, dF = losses.content_loss(F, self.P), losses.content_gradient(F, self.P)
        else:
            t = self.mask.reshape(-1).astype(a.dtype)
            value, dF = losses.guided_content_loss(F, self.P, t), losses.guided_content_gradient(F, self.P, t)
        dF *= self.weight
        return self.weight * value, dF.T.reshape(a.shape)


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
    """

    layer: str
    A: np.ndarray = field(repr=False)
    weight: float
    backend: Backend = field(default=plain, repr=False)
    name: str = "style"
    mask: np.ndarray | None = field(default=None, repr=False)

    def __call__(self, a: np.ndarray) -> tuple[float, Gradient]:
        G, M = self.backend.gram(self.guided(a)), a.shape[0] * a.shape[1]
        dG = self.weight * losses.gram_loss_gradient(G, self.A, M)
        return self.weight * losses.gram_loss(G, self.A, M), partial(self._backward, dG, a)

    def guided(self, a: np.ndarray, power: int = 1) -> np.ndarray:
        """The response times a power of the mask, scaled as in `losses.guidance`; without a mask, the response."""
        return a if self.mask is None else a * losses.guidance(self.mask.astype(a.dtype))[..., None] ** power

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
    """

    variation: TotalVariation
    circular: bool = False
    name: str = "tv"
    layer: None = None

    def __call__(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        if not self.circular:
            return self.variation(x)
        around = np.pad(x, ((0, 1), (0, 1), (0, 0)), mode="wrap")
        value, gradient = self.variation(around)
        for twice in (np.s_[:1], np.s_[:, :1]):
            of_line, gradient_of_line = self.variation(around[twice])
            value -= of_line
            gradient[twice] -= gradient_of_line
        gradient[0] += gradient[-1]
        gradient[:, 0] += gradient[:, -1]
        return value, gradient[:-1, :-1]


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
        style_grams: StyleGrams = style_grams,
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
        style_grams : callable
            What computes the Gram matrices of the styles: a `painting.GramCache` computes each once for many pictures.
        content_layers, style_layers, content_weight, style_weight, tv_weight, style_blend, convention
            As in `Settings`. With "nst_numpy" the weights are v_l · N_l M_l and w_l, α, β, and γ times the number of
            pixels.

        Raises
        ------
        ValueError
            If an image is too small for a layer, the network lacks a layer, there is no layer at all, the weights of
            the style images do not match their number, or a weight is negative or for a term that the convention does
            not have; if a mask has other proportions than its image, or its region is too small for a layer.
        """
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
        H, W = image.shape[:2]
        terms: list[Term] = []
        content_features, _ = network.forward(image, v)
        for l in v:
            P = feature_matrix(content_features[l].copy())
            t = masks.in_layer("content_mask", kept, l)
            terms.append(ContentTerm(l, P, alpha * v[l] * convention.content_factor(*P.shape), mask=t))
        N = {l: network.filters(l) for l in w}
        M = {l: (H // reduction(l)) * (W // reduction(l)) for l in w}
        if content_masks is None:  # one region, the whole picture, and a blend of all styles
            regions, shared_out = regions[:1], [(0, b) for b in shares]
        else:
            shared_out = [(r, 1.0) for r in range(len(regions))]
        A: list[dict[str, Any]] = [dict.fromkeys(w, 0.0) for _ in regions]
        for grams, (r, b) in zip(style_grams(network, styles, w, parts), shared_out, strict=True):
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
        terms.append(VariationTerm(convention.total_variation(gamma, H, W), network.padding == "circular"))
        return cls(network, terms)

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
        sums = {"total": 0.0, "content": 0.0, "style": 0.0, "tv": 0.0}
        of_layers = {str(term.layer): 0.0 for term in self.terms if term.name == "style"}
        gradients: dict[str, list[Gradient]] = {}
        features, tape = self.network.forward(x, self._at_layers)
        for l, terms in self._at_layers.items():
            a = features.pop(l)  # so that its memory is free, unless a term keeps it
            gradients[l] = []
            for term in terms:
                value, gradient = term(a)
                sums[term.name] = sums.get(term.name, 0.0) + value
                gradients[l].append(gradient)
                if term.name == "style":
                    of_layers[str(term.layer)] += value

        def inject(l: str, da: np.ndarray | None) -> np.ndarray:
            for gradient in gradients.pop(l):
                if callable(gradient):
                    da = gradient(da)
                else:
                    da = gradient.copy() if da is None else np.add(da, gradient, out=da)
            assert da is not None
            if found is not None:
                found[l] = da.copy()
            return da

        injected = {l: partial(inject, l) for l in self._at_layers}
        dx = self.network.backward(injected, tape) if injected else np.zeros_like(x)
        for term in self.terms:
            if term.layer is None:
                value, gradient = term(x)
                sums[term.name] = sums.get(term.name, 0.0) + value
                dx = gradient(dx) if callable(gradient) else np.add(dx, gradient, out=dx)
        sums["total"] = sum(sums.values())  # "total" itself is still 0
        return sums["total"], dx, {**sums, **of_layers}


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
