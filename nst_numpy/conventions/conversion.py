"""From one system's weights to another's."""

import math
from typing import Any

from nst_numpy import images
from nst_numpy.conventions.convention import (
    STYLE_TERMS,
    VARIATIONS,
    Convention,
    Layers,
    filters,
    style_energy,
    style_grams,
)
from nst_numpy.conventions.systems import get
from nst_numpy.network import VGG
from nst_numpy.topology import reduction
from nst_numpy.validation import check_number, checked, shown


@checked()
def convert(
    source: str | Convention,
    target: str | Convention,
    *,
    size: int = 512,
    shape: tuple[int, int] | None = None,
    content_layers: Layers | None = None,
    style_layers: Layers | None = None,
    content_weight: float | None = None,
    style_weight: float | None = None,
    tv_weight: float | None = None,
    network: VGG | None = None,
    style: Any = None,
) -> dict[str, Any]:
    """The weights with which one system minimises the same function as another.

    Both losses are then equal for every image, and so are their gradients, if both use the features of the same network
    with the same input. (Other network weights, or pixels on another scale, give other features, which no factor
    corrects.)

    Source and target agree on the content term of layer l if α' v'_l a'_l = α v_l a_l, likewise on the style term, and
    on total variation if the coefficients of each sum agree. The target's v'_l and w'_l are chosen to have the same sum
    as its defaults.

    Parameters
    ----------
    source, target : str or Convention
    size : int
        Side of the picture in pixels, for a square.
    shape : (int, int), optional
        Height and width of the picture, if it is not square.
    content_layers, style_layers : iterable of str, or mapping of str to float, optional
    content_weight, style_weight, tv_weight : float, optional
        Those of the source; by default its own defaults.
    network : VGG, optional
        The network whose numbers of filters are used; by default VGG-19.
    style : path, PIL image or ndarray, optional
        The style image at the size at which it is used: `images.load(file, size)` scales it as `transfer` does. Needed,
        with the network, if one of the two systems divides the style loss by the energy of the style image, as
        "nst_numpy" does, and the other does not.

    Returns
    -------
    dict
        "content_layers", "style_layers", "content_weight", "style_weight", "tv_weight" for the target: arguments of
        `transfer`.

    Raises
    ------
    ValueError
        If there is no such convention or layer, or the target can't express what the source minimises; the message
        says why.
    TypeError
        If a size or a weight is not a number.

    Examples
    --------
    >>> convert("neural-style", "paper", content_layers="conv4_2", style_layers="conv3_1", tv_weight=0)["style_weight"]
    0.006103515625
    """
    source, target = get(source), get(target)
    if shape is not None and (not isinstance(shape, tuple | list) or len(shape) != 2):
        raise TypeError(f"shape must be height and width, found {shown(shape)}")
    H, W = (size, size) if shape is None else shape
    for name, value in (("height", H), ("width", W)):
        check_number(name, value, whole=True, least=1)
    alpha, beta, gamma = source.loss_weights(content_weight, style_weight, tv_weight)

    given = source.weighted_layers("content", content_layers, network)
    ratios = {}
    for layer in given:
        N, M = filters(layer, network), _positions(layer, H, W)
        ratios[layer] = source.content_factor(N, M) / target.content_factor(N, M)
    wanted = {layer: alpha * v * ratios[layer] for layer, v in given.items()}
    usual = target.weighted_layers("content", list(given), network)
    own_content, own_alpha = _shared_out(wanted, usual, target, "content")

    given = source.weighted_layers("style", style_layers, network)
    energies = dict.fromkeys(given, 1.0)
    if beta and given and STYLE_TERMS[source.style_term].relative != STYLE_TERMS[target.style_term].relative:
        if style is None or network is None:
            raise ValueError(
                f"one of {source.name} and {target.name} divides the style loss by the energy of the style image: the "
                "conversion needs the image and the network, style= and network="
            )
        (grams,) = style_grams(network, [images.load(style, dtype=network.dtype)], given)
        energies = {layer: style_energy(G, M) for layer, (G, M) in grams.items()}
    for layer in given:
        N, M, e = filters(layer, network), _positions(layer, H, W), energies[layer]
        ratios[layer] = source.style_factor(N, M, H * W, e) / target.style_factor(N, M, H * W, e)
    wanted = {layer: beta * w * ratios[layer] for layer, w in given.items()}
    usual = target.weighted_layers("style", list(given), network)
    own_style, own_beta = _shared_out(wanted, usual, target, "style")

    return {
        "content_layers": own_content,
        "content_weight": own_alpha,
        "style_layers": own_style,
        "style_weight": own_beta,
        "tv_weight": _tv_weight(source, target, gamma, H, W) if gamma else gamma,
    }


def _positions(layer: str, H: int, W: int) -> int:
    M = (H // reduction(layer)) * (W // reduction(layer))
    if M == 0:
        raise ValueError(f"{W}×{H} pixels are too few for {layer}")
    return M


def _shared_out(
    wanted: dict[str, float], usual: dict[str, float], target: Convention, kind: str
) -> tuple[list[str] | dict[str, float], float]:
    """The wanted products as one weight, and layer weights that have the same sum as the usual ones."""
    total = sum(wanted.values()) / sum(usual.values()) if usual else 0.0
    own = {layer: w / total for layer, w in wanted.items()} if total else usual
    if all(math.isclose(own[layer], usual[layer], rel_tol=1e-12) for layer in own):
        return list(own), total
    if kind not in target.own_layer_weights:
        needed = ", ".join(f"{layer}: {own[layer] / usual[layer]:.3g}" for layer in own)
        raise ValueError(
            f"{target.name} can't do this: it has one weight for all {kind} layers, and would have to multiply them by "
            f"{needed}; take one {kind} layer, or another target"
        )
    return own, total


def _tv_weight(source: Convention, target: Convention, weight: float, H: int, W: int) -> float:
    """The weight with which the target's total variation is the source's."""
    if not target.variation(H, W):
        raise ValueError(f"{target.name} can't do this: it has no total variation; set tv_weight to 0")
    both = [source.total_variation(weight, H, W), target.total_variation(1.0, H, W)]
    if both[0].pixel_scale != both[1].pixel_scale:
        raise ValueError(
            f"{target.name} can't do this: it and {source.name} weigh the differences of red, green and blue in "
            "other ratios; set tv_weight to 0"
        )
    of_source, of_target = (tv.coefficients for tv in both)
    ratios = [of_source.get(name, 0.0) / of_target.get(name, math.nan) for name in {**of_source, **of_target}]
    if not all(math.isclose(ratio, ratios[0], rel_tol=1e-12) for ratio in ratios):
        written = [
            " + ".join(f"{c:.3g} {VARIATIONS[name].formula}" for name, c in tv.coefficients.items()) for tv in both
        ]
        raise ValueError(
            f"{target.name} can't do this: its total variation is {written[1]}, that of {source.name} {written[0]}; no "
            "weight makes them equal for every image; set tv_weight to 0"
        )
    return ratios[0]
