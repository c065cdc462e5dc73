"""The objective against central differences and loops; the comparison with autograd is in test_torch.py."""

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, gradcheck

STYLE = {"conv1_1": 0.1, "conv2_1": 0.2, "conv3_1": 0.3, "conv4_1": 0.2, "conv5_1": 0.2}
NONE = {"content_weight": 0.0, "style_weight": 0.0, "tv_weight": 0.0}


def objective(network=None, content=None, style=None, content_layers=None, style_layers=None, **weights):
    network = network or small_vgg()
    return Objective.from_images(
        network,
        picture(1, 33, 40) if content is None else content,
        picture(2, 48, 35) if style is None else style,
        content_layers={"conv4_2": 1.0} if content_layers is None else content_layers,
        style_layers=STYLE if style_layers is None else style_layers,
        **{"content_weight": 3.0, "style_weight": 50.0, "tv_weight": 7.0, **weights},
    )


TERMS = [
    {**NONE, "content_weight": 3.0},
    {**NONE, "tv_weight": 7.0},
    *({**NONE, "style_weight": 50.0, "style_layers": {l: 1.0}} for l in STYLE),
    {**NONE, "style_weight": 50.0},
    {},
    {"content_layers": {"conv2_2": 1.0, "conv4_1": 0.5}},  # conv4_1 carries content and style
]


@pytest.mark.parametrize("pooling", ["average", "max"])
@pytest.mark.parametrize("term", TERMS, ids=str)
def test_gradient_of_each_term_alone_and_of_the_whole(term, pooling):
    f = objective(small_vgg(pooling=pooling), **term)
    x = picture(3, 33, 40)
    check = gradcheck(lambda x: f(x)[0], f(x)[1], x, mode="sample", samples=40, h=1e-6)
    assert check.norm_ratio <= 1e-6, check
    assert np.linalg.norm(check.numeric) > 0


def test_terms_are_the_formulas_by_loops():
    content, style, x = picture(1, 33, 40), picture(2, 48, 35), picture(3, 33, 40)
    network = small_vgg()
    layers = {"content_layers": {"conv3_1": 2.0}, "style_layers": {"conv2_1": 0.25, "conv3_1": 0.75}}
    f = objective(network, content, style, **layers)
    total, _, terms = f(x)
    F, P, F_a = (network.features(image, ["conv2_1", "conv3_1"]) for image in (x, content, style))

    per_feature = np.mean((F["conv3_1"] - P["conv3_1"]) ** 2)
    assert np.isclose(terms["content"], 3.0 * 2.0 * 0.5 * per_feature, rtol=1e-12)
    for l, w in (("conv2_1", 0.25), ("conv3_1", 0.75)):
        (H, W, N), (H_a, W_a, _) = F[l].shape, F_a[l].shape
        M, M_a = H * W, H_a * W_a
        G = sum(np.outer(F[l][h, w_], F[l][h, w_]) for h in range(H) for w_ in range(W))
        A = sum(np.outer(F_a[l][h, w_], F_a[l][h, w_]) for h in range(H_a) for w_ in range(W_a)) * M / M_a
        assert np.isclose(terms[l], 50 * w / (4 * N**2 * M**2) * np.sum((G - A) ** 2), rtol=1e-11)
    differences = np.sum(np.diff(x, axis=0) ** 2) + np.sum(np.diff(x, axis=1) ** 2)
    assert np.isclose(terms["tv"], 7.0 * 0.5 * differences / (33 * 40), rtol=1e-12)
    assert total == terms["total"] == terms["content"] + terms["style"] + terms["tv"]
    assert np.isclose(terms["style"], terms["conv2_1"] + terms["conv3_1"], rtol=1e-14)


def test_nothing_to_do_at_the_targets():
    x = picture(1, 33, 40)
    total, gradient, _ = objective(content=x, style=x, tv_weight=0.0)(x)
    assert total < 1e-20 and np.abs(gradient).max() < 1e-10


def test_the_style_image_at_another_size_leaves_the_style_loss():
    """A constant image has the same texture at any size; without M/M_a its style loss would be large.

    Only the borders (zero padding) differ, so the images are large and the layers shallow.
    """
    colour = np.array([0.9, 0.3, 0.1])
    large, small = np.broadcast_to(colour, (300, 200, 3)), np.broadcast_to(colour, (150, 260, 3))
    f = objective(content=small, style=large, style_layers={"conv1_1": 1.0, "conv2_1": 1.0})
    other = objective(content=small, style=picture(0), style_layers={"conv1_1": 1.0, "conv2_1": 1.0})
    assert f(small)[2]["style"] < 1e-3 * other(small)[2]["style"]


def test_content_and_tv_do_not_grow_with_the_image():
    """The same picture tiled: one α and γ serve every size. (Only seams and borders differ.)"""
    small, x = picture(1, 64, 64), picture(2, 64, 64)
    tile = lambda a: np.tile(a, (3, 2, 1))  # noqa: E731
    keywords = {"content_layers": {"conv1_2": 1.0}, "style_layers": {"conv1_1": 1.0}}
    one = objective(content=small, style=small / 2, **keywords)(x)[2]
    many = objective(content=tile(small), style=small / 2, **keywords)(tile(x))[2]
    for term in ("content", "style", "tv"):
        assert np.isclose(many[term], one[term], rtol=0.05), term
