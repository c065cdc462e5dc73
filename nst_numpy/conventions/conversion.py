"""From one system's weights to another's."""

import math
from collections.abc import Iterable, Mapping

import numpy as np

from nst_numpy.conventions.systems import find
from nst_numpy.conventions.terms import Convention, filters
from nst_numpy.network import VGG
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number


def convert(
    source: str | Convention,
    target: str | Convention,
    *,
    size: int | tuple[int, int] = 512,
    content_layers: Iterable[str] | Mapping[str, float] | None = None,
    style_layers: Iterable[str] | Mapping[str, float] | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    network: VGG | None = None,
) -> dict:
    """The weights with which one system minimises the same function as another does.

    Both losses then are equal for every image, and so are their gradients, if both take the features of the same
    network, fed in the same way. (Other weights, or pixels on another scale, make other features: no factor helps.)

    Multiplying out, source and target agree on the content term of layer l if α' v'_l a'_l = α v_l a_l, likewise on the
    style term, and on total variation if the coefficients of each sum agree. The target's v'_l and w'_l are chosen with
    the same sum as those that it takes by default.

    Parameters
    ----------
    source, target : str or Convention
    size : int or (int, int)
        Height and width of the picture in pixels; one number for a square.
    content_layers, style_layers : iterable of str, or mapping of str to float, optional
    content_weight, style_weight, tv_weight : float, optional
        The source's; by default its own defaults.
    network : VGG, optional
        Whose numbers of filters count; by default VGG-19.

    Returns
    -------
    dict
        "content_layers", "style_layers", "content_weight", "style_weight", "tv_weight" for the target: arguments of
        `transfer`.

    Raises
    ------
    ValueError
        If there is no such convention or layer, or the target can't express what the source minimises; the message says
        why.
    """
    source, target = find(source), find(target)
    if np.size(size) not in (1, 2):
        raise ValueError(f"size must be one number, or height and width; found {size!r}")
    H, W = (size, size) if np.size(size) == 1 else size
    for name, value in (("height", H), ("width", W)):
        check_number(name, value, whole=True, least=1)
    converted = {}
    for kind, layers, weight in (
        ("content", content_layers, content_weight),
        ("style", style_layers, style_weight),
    ):
        weight = source.loss_weight(kind, weight)
        given = source.weighted_layers(kind, layers, network)
        factors = {}
        for layer in given:
            N, M = filters(layer, network), (H // reduction(layer)) * (W // reduction(layer))
            if M == 0:
                raise ValueError(f"{W}×{H} pixels are too few for {layer}")
            sizes = (N, M) if kind == "content" else (N, M, H * W)
            factors[layer] = [getattr(system, f"{kind}_factor")(*sizes) for system in (source, target)]
        wanted = {layer: weight * given[layer] * a / b for layer, (a, b) in factors.items()}
        usual = target.weighted_layers(kind, list(given), network)
        total = sum(wanted.values()) / sum(usual.values()) if given else 0.0
        own = {layer: w / total for layer, w in wanted.items()} if total else usual
        if all(math.isclose(own[layer], usual[layer], rel_tol=1e-12) for layer in own):
            own = list(own)
        elif kind not in target.own_layer_weights:
            needed = ", ".join(f"{layer}: {own[layer] / usual[layer]:.3g}" for layer in own)
            raise ValueError(
                f"{target.name} can't do this: it has one weight for all {kind} layers, and would have to multiply "
                f"them by {needed}; take one {kind} layer, or another target"
            )
        converted |= {f"{kind}_layers": own, f"{kind}_weight": total}
    tv_weight = source.loss_weight("tv", tv_weight)
    converted["tv_weight"] = tv_weight and _tv_weight(source, target, tv_weight, H, W)
    return converted


def _tv_weight(source: Convention, target: Convention, weight: float, H: int, W: int) -> float:
    """The weight with which the target's total variation is the source's."""
    if not target.variation(H, W):
        raise ValueError(f"{target.name} can't do this: it has no total variation; set tv_weight to 0")
    both = [source.total_variation(weight, H, W), target.total_variation(1.0, H, W)]
    if both[0].scale != both[1].scale:
        raise ValueError(
            f"{target.name} can't do this: it and {source.name} weigh the differences of red, green and blue in "
            "other ratios; set tv_weight to 0"
        )
    of_source, of_target = (tv.coefficients for tv in both)
    ratios = [of_source.get(name, 0.0) / of_target.get(name, math.nan) for name in {**of_source, **of_target}]
    if not all(math.isclose(ratio, ratios[0], rel_tol=1e-12) for ratio in ratios):
        written = [" + ".join(f"{c:.3g} {name}" for name, c in tv.coefficients.items()) for tv in both]
        raise ValueError(
            f"{target.name} can't do this: its total variation is {written[1]}, that of {source.name} {written[0]}; no "
            "weight makes them equal for every image; set tv_weight to 0"
        )
    return ratios[0]
