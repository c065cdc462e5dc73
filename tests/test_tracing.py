"""The trace is the objective's own pass, and its checks can fail."""

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, layers, trace
from nst_numpy.backends import plain


def objective(**keywords):
    return Objective.from_images(
        small_vgg(last="conv3_2", **keywords),
        picture(1, 20, 16),
        picture(2, 24, 20),
        content_layers={"conv2_2": 1.0},
        style_layers={"conv1_1": 0.5, "conv2_2": 0.3, "conv3_1": 0.2},
        content_weight=1.0,
        style_weight=100.0,
        tv_weight=2.0,
    )


@pytest.mark.parametrize("pooling, padding", [("average", "zero"), ("max", "replicate"), ("average", "circular")])
def test_it_is_the_objectives_own_pass(pooling, padding):
    f, x = objective(pooling=pooling, padding=padding), picture(3, 20, 16)
    found = trace(f, x)
    total, gradient, terms = f(x)
    assert found and np.isclose(found.total, total, rtol=1e-12)
    assert np.allclose(found.gradient, gradient, rtol=1e-9, atol=1e-12 * np.abs(gradient).max())
    style = [float(s.values) for s in found.steps if s.formula.startswith("β w Σ")]
    assert np.allclose(style, [terms[l] for l in ("conv1_1", "conv2_2", "conv3_1")], rtol=1e-12)
    responses = f.network.features(x, ["conv2_1", "pool2"])
    for step in found.steps:
        if step.sweep == "forward" and step.layer in responses:
            assert np.allclose(step.values, responses[step.layer], rtol=1e-9)


def test_the_table():
    found = trace(objective(), picture(3, 20, 16), samples=3)
    lines = str(found).splitlines()
    assert len(lines) == len(found.steps) + 1 and lines[0].split()[:3] == ["sweep", "layer", "formula"]
    assert sum("passed" in line for line in lines) == 8  # seven layers and the image
    assert any("conv2_2" in line and "injected + from above" in line for line in lines)
    assert "<td>conv3_1</td>" in found._repr_html_() and found._repr_html_().count("<tr>") == len(lines)


def test_a_wrong_layer_fails_from_there_on(monkeypatch):
    wrong = (layers.average_pool_forward, lambda dy, x: dy.repeat(2, 0).repeat(2, 1) / 2)
    monkeypatch.setitem(plain.POOLS, "average", wrong)
    found = trace(objective(), picture(3, 20, 16))
    verdicts = {step.layer: bool(step.check) for step in found.steps if step.check is not None}
    assert not found
    assert verdicts["conv3_1"] and verdicts["pool2"] and not verdicts["conv2_2"] and not verdicts["image"]
