"""The trace is the objective's own pass, and its checks can fail."""

import dataclasses
import inspect
from types import ModuleType

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, gradcheck, layers, losses, trace
from nst_numpy.backends import plain
from nst_numpy.inspection import tracing
from nst_numpy.inspection.tracing import Step, Trace


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


ROWS = np.array([[1.0, -2.0], [3.0, 6.0]])


def test_a_table_by_hand():
    check = gradcheck(lambda x: float(np.sum(x**2)), 2 * ROWS, ROWS)
    passed, failed = (
        dataclasses.replace(check, passed=p, max_relative_error=e) for p, e in ((True, 3e-9), (False, 0.5))
    )
    steps = [Step("forward", "image", "x < y", ROWS), Step("loss", "all", "L", np.array(2.5))]
    found = Trace([*steps, Step("backward", "conv1_1", "dz", 1000.25 * ROWS, passed)], 2.5, ROWS)
    assert str(found).splitlines() == [
        "sweep     layer    formula   shape   least   mean   most  check",
        "forward   image    x < y       2×2      -2      2      6",
        "loss      all      L        number            2.5",
        "backward  conv1_1  dz          2×2  -2e+03  2e+03  6e+03  passed 3e-09",
    ]
    rows = [line.split("</tr>")[0] for line in found._repr_html_().split("<tr>")[1:]]
    assert rows[1] == "<td>" + "</td><td>".join(("forward", "image", "x &lt; y", "2×2", "-2", "2", "6", "")) + "</td>"
    assert found._repr_html_().startswith("<table><tr><th>sweep</th><th>layer</th>")
    assert found._repr_html_().endswith("</tr></table>") and len(rows) == 4
    assert found and not Trace([*steps, Step("backward", "conv1_1", "dz", ROWS, failed)], 2.5, ROWS)
    assert Step("backward", "conv1_1", "dz", ROWS, failed).cells()[-1] == "FAILED 5e-01"
    for thing in (found, steps[0]):
        with pytest.raises(dataclasses.FrozenInstanceError):
            thing.total = 3.0


class Mean:
    """A loss of one's own: the sum of a response times ½ of its number; its gradient is the same everywhere."""

    def __init__(self, name, layer, deferred=False):
        self.name, self.layer, self.deferred = name, layer, deferred

    def __call__(self, a):
        gradient = np.full(a.shape, 0.5)
        above = lambda da: gradient if da is None else da + gradient  # noqa: E731
        return 0.5 * float(a.sum()), above if self.deferred else gradient


def mixed(**keywords):
    """Content in the deepest layer, style in the first, losses of one's own at a pooling layer and at the image."""
    network = small_vgg(last="conv2_1", **keywords)
    images = [picture(seed, 8, 6) for seed in (1, 2)]
    f = Objective.from_images(network, *images, content_layers=["conv2_1"], style_layers=["relu1_1"], style_weight=9.0)
    return Objective(
        network, [*f.terms, Mean("mine", "pool1"), Mean("late", "pool1", True), Mean("bright", None, True)]
    )


def test_every_step_in_words():
    steps = trace(mixed(), picture(3, 8, 6)).steps
    image, first, half, last = (8, 6, 3), (8, 6, 4), (4, 3, 4), (4, 3, 5)
    assert [(s.sweep, s.layer, s.formula, s.values.shape) for s in steps] == [
        ("forward", "image", "x", image),
        ("forward", "input", "(255 x − mean) · scale", image),
        ("forward", "conv1_1", "z = a ∗ kernel + bias", first),
        ("forward", "conv1_1", "a = max(0, z)", first),
        ("loss", "conv1_1", "G = F Fᵀ", (4, 4)),
        ("loss", "conv1_1", "β w Σ (G − A)² / 4N²M²", ()),
        ("forward", "conv1_2", "z = a ∗ kernel + bias", first),
        ("forward", "conv1_2", "a = max(0, z)", first),
        ("forward", "pool1", "a = average of 2×2", half),
        ("loss", "pool1", "mine", ()),
        ("loss", "pool1", "late", ()),
        ("forward", "conv2_1", "z = a ∗ kernel + bias", last),
        ("forward", "conv2_1", "a = max(0, z)", last),
        ("loss", "conv2_1", "α v ½ Σ (F − P)²", ()),
        ("backward", "conv2_1", "injected: α v (F − P)", (5, 12)),
        ("backward", "conv2_1", "dL/da", last),
        ("backward", "conv2_1", "mask: 1 where z > 0", last),
        ("backward", "conv2_1", "dz = dL/da · mask", last),
        ("backward", "pool1", "injected: ∂mine/∂a", half),
        ("backward", "pool1", "injected: ∂late/∂a", half),
        ("backward", "pool1", "dL/da: injected + from above", half),
        ("backward", "conv1_2", "dL/da", first),
        ("backward", "conv1_2", "mask: 1 where z > 0", first),
        ("backward", "conv1_2", "dz = dL/da · mask", first),
        ("backward", "conv1_1", "injected: β w (G − A) F / N²M²", (4, 48)),
        ("backward", "conv1_1", "dL/da: injected + from above", first),
        ("backward", "conv1_1", "mask: 1 where z > 0", first),
        ("backward", "conv1_1", "dz = dL/da · mask", first),
        ("loss", "image", "γ TV", ()),
        ("loss", "image", "bright", ()),
        ("loss", "all", "L", ()),
        ("backward", "image", "dL/dx = 255 scale · da + γ ∂TV/∂x", image),
    ]
    for step in steps:
        complete = step.formula.startswith(("dL/da", "dz", "dL/dx"))
        assert (step.check is not None and step.check.passed) if complete else step.check is None, step.formula
    by = [s.formula for s in trace(mixed(), picture(3, 8, 6), RIGHT).steps if "by your" in s.formula]
    assert by == [
        "injected: α v (F − P), by your content_gradient",
        "dz = dL/da · mask, by your relu_backward",
        "dL/da: injected + from above, by your conv_backward_input",
        "dL/da, by your average_pool_backward",
        "dz = dL/da · mask, by your relu_backward",
        "injected: β w (G − A) F / N²M², by your style_gradient",
        "dL/da: injected + from above, by your conv_backward_input",
        "dz = dL/da · mask, by your relu_backward",
    ]


def test_losses_of_ones_own_are_followed():
    f, x = mixed(), picture(3, 8, 6)
    found, (total, gradient, terms) = trace(f, x), f(x)
    assert found and np.isclose(found.total, total, rtol=1e-12) and np.allclose(found.gradient, gradient, rtol=1e-10)
    values = {s.formula: float(s.values) for s in found.steps if s.sweep == "loss" and not s.values.shape}
    for name, formula in (("mine", "mine"), ("late", "late"), ("bright", "bright"), ("tv", "γ TV"), ("total", "L")):
        assert np.isclose(values[formula], terms[name], rtol=1e-12), name
    a = f.network.features(x, "conv1_1")["conv1_1"].reshape(-1, 4)
    (gram,) = (s.values for s in found.steps if s.formula == "G = F Fᵀ")
    assert np.allclose(gram, a.T @ a, rtol=1e-12)
    alone = trace(Objective(f.network, [Mean("bright", None)]), x)  # no layer at all
    assert alone and np.allclose(alone.gradient, 0.5) and np.isclose(alone.total, x.sum() / 2)


def test_all_is_in_float64_on_the_plain_layers(monkeypatch):
    checks = []

    def checked(function, gradient, at, **keywords):
        checks.append((at, keywords))
        return gradcheck(function, gradient, at, **keywords)

    monkeypatch.setattr(tracing, "gradcheck", checked)
    f = mixed(dtype=np.float32)
    assert f.network.backend == "fast" and f.network.dtype == np.float32
    found = trace(f, picture(3, 8, 6, np.float32), samples=7, seed=5)
    assert found and all(step.values.dtype == np.float64 for step in found.steps)
    assert {at.shape for at, _ in checks} == {(8, 6, 3), (8, 6, 4), (4, 3, 4), (4, 3, 5)} and len(checks) == 8
    for at, keywords in checks:
        assert keywords.pop("h") == pytest.approx(1e-5 * max(1, np.abs(at).mean()), rel=1e-12)
        assert keywords == {"mode": "sample", "samples": 7, "seed": 5, "rtol": 1e-5}
    usual = inspect.signature(trace).parameters
    assert (usual["samples"].default, usual["seed"].default, usual["functions"].default) == (10, 0, None)


def test_terms_are_followed_in_float64():
    f = mixed(dtype=np.float32)
    style, content = (next(term for term in f.terms if term.name == name) for name in ("style", "content"))
    small, large = (style.A, content.P), (tracing.in_float64(style), tracing.in_float64(content))
    assert all(a.dtype == np.float32 for a in small) and style.backend is f.network.engine
    assert large[0].backend is plain and large[0].A.dtype == large[1].P.dtype == np.float64
    assert np.array_equal(large[0].A, style.A) and np.array_equal(large[1].P, content.P)


def test_a_function_that_works_in_place_changes_nothing_else():
    def relu(dy, x):
        dy *= x > 0
        x[:] = 7.0
        return dy

    f, x = objective(), picture(3, 20, 16)
    before = x.copy()
    ours, theirs = trace(f, x), trace(f, x, {"relu_backward": relu})
    assert theirs and np.array_equal(x, before)
    assert all(np.array_equal(a.values, b.values) for a, b in zip(ours.steps, theirs.steps, strict=True))
    whole = trace(f, x, {"relu_backward": lambda dy, x: (dy * (x > 0)).astype(np.float32).tolist()})  # no array
    assert {step.values.dtype for step in whole.steps} == {np.dtype(np.float64)}


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
    for name, layer in (("content_gradient", "conv2_2"), ("style_gradient", "conv1_1")):
        with pytest.raises(TypeError) as raised:
            trace(f, x, {name: lambda F: F})
        assert raised.value.__notes__ == [f"raised by your {name}, at {layer}"]


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
