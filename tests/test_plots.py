"""Pictures of the inside: they show the arrays that they say they show."""

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, losses
from nst_numpy.inspection import plots

NETWORK, IMAGE = small_vgg(), picture(1, 24, 32)


def shown(figure):
    """{title: array} of the pictures in a figure."""
    return {axes.get_title(): np.asarray(axes.images[0].get_array()) for axes in figure.axes if axes.images}


def test_features_are_those_of_the_filters_that_respond_most():
    pictures = shown(plots.features(NETWORK, IMAGE, ["conv2_1", "relu3_1"], count=3))
    a = NETWORK.features(IMAGE, "conv2_1")["conv2_1"]
    strongest = sorted(range(a.shape[2]), key=lambda k: -a[:, :, k].mean())[:3]
    assert list(pictures)[:3] == [f"conv2_1, filter {k}" for k in strongest] and len(pictures) == 6
    for k in strongest:
        assert np.array_equal(pictures[f"conv2_1, filter {k}"], a[:, :, k])


def test_gram_matrices():
    (G,) = shown(plots.gram_matrices(NETWORK, IMAGE, "conv1_1")).values()
    F = losses.feature_matrix(NETWORK.features(IMAGE, "conv1_1")["conv1_1"])
    order = np.argsort(-(F**2).sum(axis=1))
    assert np.allclose(G**2, F[order] @ F[order].T / F.shape[1])


def test_gradients_are_those_of_every_loss_layer():
    objective = Objective.from_images(
        NETWORK, IMAGE, picture(2, 30, 30), content_layers=["conv2_2"], style_layers=["conv1_1"]
    )
    x = picture(3, 24, 32)
    _, gradient, _ = objective(x)
    pictures = shown(plots.gradients(objective, x))
    assert [title.split(":")[0] for title in pictures] == ["the image", "pixels", "conv1_1", "conv2_2"]
    assert np.allclose(list(pictures.values())[1], np.linalg.norm(gradient, axis=2))
    # The deepest loss layer has its own gradient only: α v (F − P).
    a, P = NETWORK.features(x, "conv2_2")["conv2_2"], NETWORK.features(IMAGE, "conv2_2")["conv2_2"]
    assert np.allclose(objective.layer_gradients(x)["conv2_2"], (a - P) / a.size)
    assert np.allclose(list(pictures.values())[3], np.linalg.norm((a - P) / a.size, axis=2))


def test_losses_show_every_term_that_is_not_0():
    history = [
        {"total": 5.0 / n, "content": 0.0, "style": 3.0 / n, "tv": 2.0 / n, "size": s} for n, s in ((1, 9), (2, 18))
    ]
    (axes,) = plots.losses(history).axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines if not line.get_label().startswith("_")}
    assert {name: list(values) for name, values in lines.items()} == {
        "total": [5, 2.5],
        "style": [3, 1.5],
        "tv": [2, 1],
    }
    assert plots.losses([]).axes


def test_bad_input():
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'; did you mean conv"):
        plots.features(NETWORK, IMAGE, "conv9_1")
