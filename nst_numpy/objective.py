"""The objective: from an image to the loss, its terms, and the gradient with respect to the pixels.

L = α Σ_l v_l L_content,l + β Σ_l w_l E_l + γ TV        (Gatys et al. 2015, equations 5 and 7, and total variation)

The paper's L_content is a sum over the N·M features of its layer, so its size grows with the image and with the width
of the network, while E, divided by N² M², hardly changes. To let one α serve all, v_l holds a factor 1/(N_l M_l); for
the same reason γ holds a factor 1/(number of pixels). Other systems have other factors: see `conventions`.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from nst_numpy import conventions, losses
from nst_numpy.conventions import Convention, TotalVariation
from nst_numpy.losses import feature_matrix
from nst_numpy.network import VGG
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number


@dataclass(frozen=True)
class Objective:
    """The function that is minimised. Make it with `Objective.of`, which computes the targets.

    Attributes
    ----------
    network : VGG
    P : dict of str to ndarray, shape (N, M)
        Content target of each content layer.
    A : dict of str to ndarray, shape (N, N)
        Style target of each style layer.
    content_weights, style_weights : dict of str to float
        α v_l and β w_l: what multiplies L_content and E of each layer.
    total_variation : TotalVariation
        γ TV: a function from an image to value and gradient.
    """

    network: VGG
    P: dict[str, np.ndarray]
    A: dict[str, np.ndarray]
    content_weights: dict[str, float]
    style_weights: dict[str, float]
    total_variation: TotalVariation

    @classmethod
    def of(
        cls,
        network: VGG,
        content: np.ndarray,
        style: np.ndarray | Sequence[np.ndarray],
        *,
        content_layers: Iterable[str] | Mapping[str, float] | None = None,
        style_layers: Iterable[str] | Mapping[str, float] | None = None,
        content_weight: float | None = None,
        style_weight: float | None = None,
        tv_weight: float | None = None,
        style_blend: Sequence[float] | None = None,
        convention: str | Convention = "nst_numpy",
    ) -> "Objective":
        """Compute the targets P and A, once.

        Several style images with weights b_k that sum to 1 have one target, A = Σ_k b_k A_k: since

        Σ_k b_k Σ_ij (G − A_k)_ij² = Σ_ij (G − A)_ij² + (something without G),

        as b_k-weighted squares around their mean do, the sum of their style losses has the gradient of the one loss.

        Parameters
        ----------
        network : VGG
        content, style : ndarray, shapes (H, W, 3) and (H_a, W_a, 3)
            In 0–1. The sizes may differ. For `style` also a sequence of images.
        content_layers, style_layers : iterable of str, or mapping of str to float, optional
            Names of layers, or names with their weights; by default those of the convention.
        content_weight, style_weight, tv_weight : float, optional
            By default those of the convention.
        style_blend : sequence of float, optional
            b_k for each style image, scaled to the sum 1; by default equal.
        convention : str or Convention
            What the weights mean. With "nst_numpy" they are v_l · N_l M_l and w_l, α, β, and γ times the number of
            pixels.

        Raises
        ------
        ValueError
            If an image is too small to reach a layer, the network has no such layer, there is none at all, the weights
            of the style images do not match their number, or a weight is negative or of a term that the convention does
            not have.
        """
        convention = conventions.find(convention)
        content_layers = convention.weighted_layers("content", content_layers, network)
        style_layers = convention.weighted_layers("style", style_layers, network)
        if not content_layers and not style_layers:
            raise ValueError("at least one content layer or style layer is needed")
        alpha, beta, gamma = (
            convention.loss_weight(kind, weight)
            for kind, weight in (("content", content_weight), ("style", style_weight), ("tv", tv_weight))
        )
        styles = [style] if isinstance(style, np.ndarray) else list(style)
        blend = _shares([1.0] * len(styles) if style_blend is None else list(np.atleast_1d(style_blend)), len(styles))
        H, W = content.shape[:2]
        content_features, _ = network.forward(content, content_layers)
        P = {l: feature_matrix(content_features[l].copy()) for l in content_layers}
        N = {l: network.filters(l) for l in (*content_layers, *style_layers)}
        M = {l: (H // reduction(l)) * (W // reduction(l)) for l in N}
        A = {l: 0.0 for l in style_layers}
        for image, b in zip(styles, blend, strict=True):
            features, _ = network.forward(image, style_layers)
            for l in style_layers:
                # The style image has M_a positions, the picture M: equal textures shall have equal Gram matrices.
                M_a = math.prod(features[l].shape[:2])
                A[l] = A[l] + float(b * M[l] / M_a) * network.engine.gram(features[l])
        return cls(
            network,
            P,
            A,
            {l: alpha * v * convention.content_factor(N[l], M[l]) for l, v in content_layers.items()},
            {l: beta * w * convention.style_factor(N[l], M[l], H * W) for l, w in style_layers.items()},
            convention.total_variation(gamma, H, W),
        )

    def __call__(
        self, x: np.ndarray, layer_gradients: dict[str, np.ndarray] | None = None
    ) -> tuple[float, np.ndarray, dict[str, float]]:
        """Loss, gradient and terms at the image x, with one sweep forward and one back.

        Parameters
        ----------
        x : ndarray, shape (H, W, 3)
            The generated image, of the size of the content image.
        layer_gradients : dict, optional
            To be filled with dL/da of each loss layer: its own gradient, and what came back from above.

        Returns
        -------
        total : float
        gradient : ndarray, shape (H, W, 3)
            Of the total loss, with respect to x.
        terms : dict of str to float
            "total", "content", "style" and "tv", and each style layer by its name. They are weighted, and add up:
            total = content + style + tv, style = the sum over the style layers.
        """
        backend = self.network.engine
        features, tape = self.network.forward(x, {**self.P, **self.A})
        content = 0.0
        style, dG = {}, {}
        for l, P in self.P.items():
            content += self.content_weights[l] * losses.content_loss(feature_matrix(features[l]), P)
        for l, A in self.A.items():
            G, M = backend.gram(features[l]), feature_matrix(features[l]).shape[1]
            style[l] = self.style_weights[l] * losses.gram_loss(G, A, M)
            dG[l] = self.style_weights[l] * losses.gram_loss_gradient(G, A, M)

        def inject(l: str, da: np.ndarray | None) -> np.ndarray:
            a = features.pop(l)  # the sweep is past it then, and its memory free
            if l in dG:
                da = backend.gram_backward(dG[l], a, da)
            if l in self.P:
                dF = losses.content_gradient(feature_matrix(a), self.P[l])
                dF *= self.content_weights[l]
                da = dF.T.reshape(a.shape) if da is None else np.add(da, dF.T.reshape(a.shape), out=da)
            if layer_gradients is not None:
                layer_gradients[l] = da.copy()
            return da

        gradient = self.network.backward({l: partial(inject, l) for l in features}, tape)
        variation, variation_gradient = self.total_variation(x)
        gradient += variation_gradient
        terms = {"content": content, "style": sum(style.values()), "tv": variation}
        total = sum(terms.values())
        return total, gradient, {"total": total, **terms, **style}


def _shares(weights: list[float], images: int) -> list[float]:
    """The weights of so many style images, scaled to the sum 1."""
    if not images:
        raise ValueError("at least one style image is needed")
    if len(weights) != images:
        raise ValueError(f"style_blend must have one weight for each of {images} style images, found {len(weights)}")
    for weight in weights:
        check_number("a weight of style_blend", weight)
    if not sum(weights):
        raise ValueError("style_blend must have a weight that is not 0")
    return [weight / sum(weights) for weight in weights]
