"""The trace is the objective's own pass, and its checks can fail."""

from types import ModuleType

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, layers, losses, trace


def objective(masks=None, **keywords):
    return Objective.from_images(
        small_vgg(last="conv3_2", **keywords),
        picture(1, 20, 16),
        picture(2, 24, 20),
        **(masks or {}),
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
        if step.sweep == "forward" and step.layer in responses and not step.formula.startswith("z"):
            assert np.allclose(step.values, responses[step.layer], rtol=1e-9)


def test_the_table():
    found = trace(objective(), picture(3, 20, 16), samples=3)
    lines = str(found).splitlines()
    assert len(lines) == len(found.steps) + 1 and lines[0].split()[:3] == ["sweep", "layer", "formula"]
    assert (
        sum("passed" in line for line in lines) == 13
    )  # five convolutions before and after ReLU, two pools, the image
    assert any("conv2_2" in line and "injected + from above" in line for line in lines)
    assert "<td>conv3_1</td>" in found._repr_html_() and found._repr_html_().count("<tr>") == len(lines)


RIGHT = {
    "conv_backward_input": layers.conv_backward_input,
    "relu_backward": layers.relu_backward,
    "average_pool_backward": layers.average_pool_backward,
    "max_pool_backward": layers.max_pool_backward,
    "content_gradient": losses.content_gradient,
    "style_gradient": losses.style_gradient,
}


def first_failure(found):
    return next((step for step in found.steps if step.check is not None and not step.check), None)


@pytest.mark.parametrize("pooling", ["average", "max"])
def test_functions_of_ones_own_are_called(pooling):
    f, x, called = objective(pooling=pooling), picture(3, 20, 16), []

    def counted(name):
        return lambda *arguments: called.append(name) or RIGHT[name](*arguments)

    found = trace(f, x, {name: counted(name) for name in RIGHT})
    other = {"average": "max_pool_backward", "max": "average_pool_backward"}[pooling]
    assert found and {*called} == {*RIGHT} - {other}
    assert np.allclose(found.gradient, trace(f, x).gradient, rtol=1e-12)
    assert called.count("relu_backward") == called.count("conv_backward_input") == 6 - 1
    assert any(step.formula.endswith("by your relu_backward") for step in found.steps)


@pytest.mark.parametrize(
    "name, wrong, layer, formula",
    [
        ("relu_backward", lambda dy, x: dy, "conv3_1", "dz = dL/da · mask, by your relu_backward"),
        ("conv_backward_input", lambda dy, k: layers.conv_backward_input(dy, k[::-1]), "pool2", "conv_backward_input"),
        ("average_pool_backward", lambda dy, x: dy.repeat(2, 0).repeat(2, 1), "conv2_2", "average_pool_backward"),
        ("style_gradient", lambda F, A: 2 * losses.style_gradient(F, A), "conv3_1", "dL/da"),
        ("content_gradient", lambda F, P: P - F, "conv2_2", "injected"),
    ],
)
def test_the_first_failure_is_where_the_function_is_wrong(name, wrong, layer, formula):
    failure = first_failure(trace(objective(), picture(3, 20, 16), {name: wrong}))
    assert failure.layer == layer and formula in failure.formula


def test_before_and_after_relu():
    f, x = objective(), picture(3, 20, 16)
    steps = [step for step in trace(f, x).steps if step.layer == "conv2_1"]
    z, a = (step.values for step in steps if step.sweep == "forward")
    assert (z < 0).any() and np.array_equal(a, np.maximum(z, 0))
    da, mask, dz = (step.values for step in steps if step.sweep == "backward")
    assert np.array_equal(mask, z > 0) and np.array_equal(dz, np.where(z > 0, da, 0))


def test_a_module_of_functions():
    module = ModuleType("mine")
    module.relu_backward, module.np, module.helper = (lambda dy, x: -dy * (x > 0)), np, len
    assert first_failure(trace(objective(), picture(3, 20, 16), module)).formula.endswith("relu_backward")


def test_other_paddings_reach_the_function():
    def conv(dy, kernel, padding):
        assert padding == "circular"
        return layers.conv_backward_input(dy, kernel, padding)

    assert trace(objective(padding="circular"), picture(3, 20, 16), {"conv_backward_input": conv})


def test_functions_that_can_not_be_used():
    f, x = objective(), picture(3, 20, 16)
    with pytest.raises(ValueError, match="unknown function 'relu_backwards'; did you mean relu_backward"):
        trace(f, x, {"relu_backwards": layers.relu_backward})
    with pytest.raises(TypeError, match="expected a function for relu_backward, found 3"):
        trace(f, x, {"relu_backward": 3})
    with pytest.raises(ValueError, match=r"your relu_backward must return shape \(5, 4, \d+\) at conv3_1, found \(\)"):
        trace(f, x, {"relu_backward": lambda dy, x: dy.sum()})
    with pytest.raises(TypeError) as raised:
        trace(f, x, {"relu_backward": lambda dy: dy})
    assert raised.value.__notes__ == ["raised by your relu_backward, at conv3_1"]


def test_regions():
    """Functions of one's own get the features of the region, and the mask is applied to what they return."""
    left = np.linspace(1, 0, 16) * np.ones((20, 1))
    f, x = objective({"content_masks": [left], "content_mask": 1 - left}), picture(3, 20, 16)
    found, by_hand = trace(f, x), trace(f, x, RIGHT)
    assert found and by_hand and np.isclose(found.total, f(x)[0], rtol=1e-6)
    for result in (found, by_hand):
        assert np.allclose(result.gradient, f(x)[1], rtol=1e-5, atol=1e-6 * np.abs(result.gradient).max())
    assert np.allclose(by_hand.gradient, found.gradient, rtol=1e-9, atol=1e-12)
    G = next(step for step in found.steps if step.formula == "G = F Fᵀ").values
    assert np.allclose(G, losses.guided_gram(*_features_and_weights(f, x)), rtol=1e-5)
    wrong = {"style_gradient": lambda F, A: 2 * losses.style_gradient(F, A)}
    assert not trace(f, x, wrong)


def _features_and_weights(f, x):
    term = next(term for term in f.terms if term.name == "style")
    return losses.feature_matrix(f.network.features(x, term.layer)[term.layer]), term.mask.reshape(-1)
