"""The objective against central differences and loops; the comparison with autograd is in test_torch.py."""

import dataclasses

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Objective, conventions, gradcheck, images
from nst_numpy.backends import plain
from nst_numpy.conventions import CONVENTIONS
from nst_numpy.objective import ContentTerm, StyleTerm, VariationTerm

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


@pytest.mark.parametrize("pooling, padding", [("average", "zero"), ("max", "zero"), ("average", "replicate")])
@pytest.mark.parametrize("term", TERMS, ids=str)
def test_gradient_of_each_term_alone_and_of_the_whole(term, pooling, padding):
    f = objective(small_vgg(pooling=pooling, padding=padding), **term)
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
    _, _, of_paper = objective(network, content, style, convention="paper", tv_weight=0, **layers)(x)
    F, P, F_a = (network.features(image, ["conv2_1", "conv3_1"]) for image in (x, content, style))

    per_feature = np.mean((F["conv3_1"] - P["conv3_1"]) ** 2)
    assert np.isclose(terms["content"], 3.0 * 2.0 * 0.5 * per_feature, rtol=1e-12)
    for l, w in (("conv2_1", 0.25), ("conv3_1", 0.75)):
        (H, W, N), (H_a, W_a, _) = F[l].shape, F_a[l].shape
        M, M_a = H * W, H_a * W_a
        G = sum(np.outer(F[l][h, w_], F[l][h, w_]) for h in range(H) for w_ in range(W))
        A = sum(np.outer(F_a[l][h, w_], F_a[l][h, w_]) for h in range(H_a) for w_ in range(W_a)) * M / M_a
        assert np.isclose(terms[l], 50 * w * np.sum((G - A) ** 2) / np.sum(A**2), rtol=1e-11)
        assert np.isclose(of_paper[l], 50 * w / (4 * N**2 * M**2) * np.sum((G - A) ** 2), rtol=1e-11)
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
    without = 2 * 50 * (1 - (150 * 260) / (300 * 200)) ** 2  # β Σ w (G − A)²/A², with A as of 300×200 positions
    assert f(small)[2]["style"] < 0.05 * without


def test_replicated_edges_leave_no_trace_in_a_picture_of_one_colour():
    """Every position of a layer sees the same, so the style of such a picture does not depend on its size."""
    colour = np.array([0.9, 0.3, 0.1])
    large, small = np.broadcast_to(colour, (50, 70, 3)), np.broadcast_to(colour, (33, 40, 3))
    for padding, exact in (("replicate", True), ("circular", True), ("zero", False)):
        network = small_vgg(padding=padding)
        a = network.features(small, "conv3_1")["conv3_1"]
        assert np.allclose(a, a[0, 0], rtol=1e-10, atol=1e-12) is exact
        assert (objective(network, content=small, style=large)(small)[2]["style"] < 1e-20) is exact


def test_content_and_tv_do_not_grow_with_the_image():
    """The same picture tiled: one α and γ serve every size. (Only seams and borders differ.)"""
    small, x = picture(1, 64, 64), picture(2, 64, 64)
    tile = lambda a: np.tile(a, (3, 2, 1))  # noqa: E731
    keywords = {"content_layers": {"conv1_2": 1.0}, "style_layers": {"conv1_1": 1.0}}
    one = objective(content=small, style=small / 2, **keywords)(x)[2]
    many = objective(content=tile(small), style=small / 2, **keywords)(tile(x))[2]
    for term in ("content", "style", "tv"):
        assert np.isclose(many[term], one[term], rtol=0.05), term


@pytest.mark.parametrize("name", [name for name, c in CONVENTIONS.items() if c.variation(9, 9)])
def test_total_variation_around_the_edges(name):
    """That of the image without its edges' differences, and these, whatever the shape: an image of 1 pixel has none."""
    for shape in ((6, 7, 3), (1, 5, 3), (4, 1, 3), (1, 1, 3)):
        x = picture(1, *shape[:2])
        variation = CONVENTIONS[name].total_variation(2.0, *shape[:2])
        around = VariationTerm(variation, circular=True)
        assert gradcheck(lambda x, term=around: term(x)[0], around(x)[1], x, mode="all"), shape
        for shift in ((1, 0), (0, 1), (2, -3)):
            assert np.isclose(around(np.roll(x, shift, (0, 1)))[0], around(x)[0], rtol=1e-12, atol=1e-12)
        constant = np.full(shape, 0.3)
        assert around(constant)[0] == 0 and not around(constant)[1].any()
    x = picture(1, 6, 7)
    if name == "nst_numpy":
        differences = sum(np.sum((np.roll(x, 1, axis) - x) ** 2) for axis in (0, 1))
        value, _ = VariationTerm(CONVENTIONS[name].total_variation(2.0, 6, 7), circular=True)(x)
        assert np.isclose(value, 2.0 * 0.5 * differences / 42, rtol=1e-12)


def test_an_objective_on_a_circular_network_has_no_edges():
    """A shifted picture has the same loss and the gradient shifted, by multiples of what pooling reduces."""
    network, x = small_vgg(padding="circular"), picture(3, 32, 48)
    f = objective(network, content=x, content_weight=0.0)
    total, gradient, terms = f(x)
    shifted, shifted_gradient, shifted_terms = f(np.roll(x, (16, -32), axis=(0, 1)))
    assert terms["tv"] > 0 and np.isclose(shifted_terms["tv"], terms["tv"], rtol=1e-12)
    assert np.isclose(shifted, total, rtol=1e-12)
    difference = shifted_gradient - np.roll(gradient, (16, -32), axis=(0, 1))
    assert np.abs(difference).max() <= 1e-10 * np.abs(gradient).max()
    replicating = objective(small_vgg(padding="replicate")).terms
    for around, not_around in zip(objective(network).terms[1:-1], replicating[1:-1], strict=True):
        assert np.allclose(around.A, not_around.A, rtol=1e-12), "the style image is not wrapped"
    assert not np.allclose(objective(network).terms[0].P, replicating[0].P), "the content image is"
    assert [objective(small_vgg(padding=p)).terms[-1].circular for p in ("zero", "replicate", "circular")] == [0, 0, 1]


# The objective as a sum of terms --------------------------------------------------------------------------------------


class Mean:
    """½ w (mean − t)² of one array; its gradient as an array, or as a function that adds it in place."""

    def __init__(self, layer, weight=1.0, adds=False, name="mean"):
        self.layer, self.weight, self.adds, self.name = layer, weight, adds, name

    def __call__(self, a):
        difference = a.mean() - 0.3
        self.gradient = np.full(a.shape, self.weight * difference / a.size)

        def add(da):
            return self.gradient.copy() if da is None else np.add(da, self.gradient, out=da)

        return 0.5 * self.weight * difference**2, add if self.adds else self.gradient


@pytest.mark.parametrize("adds", [False, True])
@pytest.mark.parametrize("layers", [["conv2_1"], [None], ["pool1", None], ["conv2_1", "conv2_1", "relu1_2"]])
def test_terms_of_ones_own(layers, adds):
    network, x = small_vgg(last="conv3_1"), picture(3, 12, 15)
    terms = [Mean(layer, 10.0 + k, adds) for k, layer in enumerate(layers)]
    f = Objective(network, terms)
    total, gradient, parts = f(x)
    responses = {layer: x if layer is None else network.features(x, layer)[layer] for layer in layers}
    expected = [0.5 * term.weight * (responses[term.layer].mean() - 0.3) ** 2 for term in terms]
    assert np.isclose(total, sum(expected), rtol=1e-12)
    assert parts == {"total": total, "content": 0, "style": 0, "tv": 0, "mean": total}
    assert gradcheck(lambda x: f(x)[0], gradient, x, samples=60)


def test_own_terms_beside_the_others_and_in_any_order():
    f, x = objective(small_vgg(last="conv5_1"), content_layers={"conv2_1": 1.0}), picture(3, 33, 40)
    own = [Mean("conv2_1", 50.0, name="a"), Mean("conv2_1", 70.0, adds=True, name="b"), Mean(None, 9.0, name="a")]
    alone = [Objective(f.network, [term])(x) for term in own]
    total, gradient, parts = f(x)
    for terms in ([*f.terms, *own], [*own, *f.terms], [*f.terms, *own][::-1]):
        sum_, sum_gradient, sum_parts = Objective(f.network, terms)(x)
        assert np.isclose(sum_, total + sum(t for t, *_ in alone), rtol=1e-12)
        assert np.allclose(sum_gradient, gradient + sum(g for _, g, _ in alone), rtol=1e-9, atol=1e-15)
        assert {name: sum_parts[name] for name in parts if name != "total"} == pytest.approx(
            {name: value for name, value in parts.items() if name != "total"}, rel=1e-12
        )
        assert sum_parts["a"] == pytest.approx(alone[0][0] + alone[2][0]) and sum_parts["b"] == alone[1][0]


def test_a_terms_own_array_is_not_changed():
    """The running gradient is added to in place; what a term returns may be an array that it keeps."""
    term = Mean("conv2_1", 50.0)
    f = objective(small_vgg(last="conv3_1"), content_layers=[], style_layers={"conv2_1": 1.0, "conv1_1": 1.0})
    Objective(f.network, [term, *f.terms])(picture(3, 33, 40))
    assert np.all(term.gradient == term.gradient[0, 0, 0])


def test_each_term_is_a_function_with_its_gradient():
    rng = np.random.default_rng(0)
    a, P = rng.random((4, 5, 3)), rng.random((3, 20))
    A = np.cov(rng.random((3, 9)))
    tv = objective(tv_weight=3.0).terms[-1]
    assert isinstance(tv, VariationTerm) and tv.layer is None and tv.name == "tv"
    for term in (ContentTerm("conv1_1", P, 2.5), StyleTerm("conv1_1", A, 7.0), tv):

        def gradient(a, term=term):
            _, g = term(a)
            return g(None) if callable(g) else g

        assert gradcheck(lambda a, term=term: term(a)[0], gradient, a), term
    F = a.reshape(-1, 3).T
    assert np.isclose(ContentTerm("conv1_1", P, 2.5)(a)[0], 2.5 * 0.5 * np.sum((F - P) ** 2))
    assert np.isclose(StyleTerm("conv1_1", A, 7.0)(a)[0], 7.0 * np.sum((F @ F.T - A) ** 2) / (4 * 9 * 400))
    da = rng.random(a.shape)
    added = StyleTerm("conv1_1", A, 7.0, plain)(a)[1](da.copy())
    assert np.allclose(added - da, StyleTerm("conv1_1", A, 7.0)(a)[1](None))


def test_the_networks_backend_computes_the_gram_matrices():
    f = objective()
    assert all(term.backend is f.network.engine for term in f.terms if isinstance(term, StyleTerm))


def test_layer_gradients_against_differences():
    """dL/da of a layer: the loss as a function of that layer's response, everything above it computed anew."""
    network = small_vgg(last="conv3_1")
    layers = {"content_layers": {"conv3_1": 1.0}, "style_layers": {"conv1_2": 0.5, "conv2_1": 0.5}}
    f, x = objective(network, picture(1, 12, 15), picture(2, 14, 12), **layers), picture(3, 12, 15)
    found = f.layer_gradients(x)
    assert list(found) == ["conv3_1", "conv2_1", "conv1_2", "pixels"]
    assert np.array_equal(found["pixels"], f(x)[1])

    def loss_from(layer, a):
        names = network.layers[network.layers.index(layer) :]
        total = 0.0
        for k, name in enumerate(names):
            if k:
                a = network.layer(name)[0](a)
            total += sum(term(a)[0] for term in f.terms if term.layer == name)
        return total

    for layer in ("conv3_1", "conv2_1", "conv1_2"):
        a = network.features(x, layer)[layer]
        assert gradcheck(lambda a, layer=layer: loss_from(layer, a), found[layer], a, samples=40), layer


# At the door ----------------------------------------------------------------------------------------------------------


def test_targets_of_integers_are_images_too():
    """uint8 arrays once were taken for numbers in 0–1."""
    content, style = ((255 * picture(seed, 33, 40)).astype(np.uint8) for seed in (1, 2))
    x = picture(3, 33, 40)
    network = small_vgg(last="conv3_1")
    layers = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]}
    total = Objective.from_images(network, content, style, **layers)(x)[0]
    assert np.isclose(total, Objective.from_images(network, content / 255, style / 255, **layers)(x)[0], rtol=1e-12)


def test_targets_from_files(tmp_path):
    picture_8bit = (255 * picture(1, 33, 40)).astype(np.uint8)
    images.save(picture_8bit, tmp_path / "a.png")
    network = small_vgg(last="conv3_1")
    layers = {"content_layers": ["conv2_1"], "style_layers": ["conv1_1"]}
    total, *_ = Objective.from_images(network, tmp_path / "a.png", [tmp_path / "a.png"], **layers)(picture_8bit / 255)
    assert total == Objective.from_images(network, picture_8bit, picture_8bit, **layers)(picture_8bit / 255)[0]


@pytest.mark.parametrize(
    "x, error, message",
    [
        (np.zeros((33, 40, 3), np.uint8), ValueError, "must be an array of floats .* found uint8 .33, 40, 3."),
        (np.zeros((33, 40)), ValueError, r"of shape \(H, W, 3\), found float64 \(33, 40\)"),
        ("picture.png", TypeError, "an image must be an array here, found str"),
    ],
)
def test_what_is_no_picture_is_refused(x, error, message):
    with pytest.raises(error, match=message):
        objective()(x)


def test_objectives_that_can_not_be():
    with pytest.raises(ValueError, match="at least one term"):
        Objective(small_vgg(), [])
    with pytest.raises(ValueError, match="unknown layer 'conv4_1'"):
        Objective(small_vgg(last="conv3_1"), [Mean("conv4_1")])
    with pytest.raises(ValueError, match="at least one content layer or style layer"):
        objective(content_layers=[], style_layers=[])
    with pytest.raises(ValueError, match="style_weight must be a number of at least 0, found -1"):
        objective(style_weight=-1)


def test_weights_not_given_are_the_conventions():
    x, network, own = picture(3, 33, 40), small_vgg(), conventions.get("nst_numpy")
    ours = Objective.from_images(network, picture(1, 33, 40), picture(2), convention="nst_numpy")(x)[2]
    given = {f"{name}_weight": getattr(own, f"{name}_weight") for name in ("content", "style", "tv")}
    given["content_layers"] = own.content_layers
    given["style_layers"] = dict.fromkeys(own.style_layers, 1 / len(own.style_layers))
    assert ours == Objective.from_images(network, picture(1, 33, 40), picture(2), **given)(x)[2]
    keras = Objective.from_images(network, picture(1, 33, 40), picture(2), convention="keras")(x)[2]
    assert keras["style"] != ours["style"] and "conv5_1" in keras


# What arrives from the arguments --------------------------------------------------------------------------------------


def test_layers_and_factors_are_those_of_the_network_and_the_convention():
    """neural-style's style term is the mean of squares of (G − A)/NM, its content term the mean of (F − P)²."""
    network, x = small_vgg(last="conv3_2"), picture(3, 33, 40)
    content, style = picture(1, 33, 40), picture(2, 33, 40)
    f = Objective.from_images(network, content, style, convention="neural-style", tv_weight=0)
    # conv4_2, conv4_1 and conv5_1 are beyond the network: its last convolution stands in for them.
    assert [(term.name, term.layer) for term in f.terms] == [
        ("content", "conv3_2"),
        *(("style", layer) for layer in ("conv1_1", "conv2_1", "conv3_1", "conv3_2")),
        ("tv", None),
    ]
    F, P, A = (network.features(image, list(network.convolutions)) for image in (x, content, style))
    parts = f(x)[2]
    for layer in ("conv1_1", "conv2_1", "conv3_1", "conv3_2"):
        a, b = (features[layer].reshape(-1, features[layer].shape[2]) for features in (F, A))
        assert np.isclose(parts[layer], 100 * np.mean(((a.T @ a - b.T @ b) / a.size) ** 2), rtol=1e-10), layer
    assert np.isclose(parts["content"], 5 * np.mean((F["conv3_2"] - P["conv3_2"]) ** 2), rtol=1e-10)
    gatys = Objective.from_images(network, content, style, convention="gatys-pytorch")
    M = {l: F[l].shape[0] * F[l].shape[1] for l in F}
    for term in gatys.terms:
        if term.name == "style":  # 1000/N² for each layer, of the mean of squares of (G − A)/M
            N = network.filters(term.layer)
            G, B = (f[term.layer].reshape(-1, N).T @ f[term.layer].reshape(-1, N) for f in (F, A))
            assert np.isclose(term(F[term.layer])[0], 1000 / N**2 * np.mean(((G - B) / M[term.layer]) ** 2), rtol=1e-10)


def test_several_styles_are_blended_by_their_shares():
    network, x = small_vgg(last="conv2_1"), picture(3, 12, 15)
    one, two, layers = picture(1, 12, 15), picture(2, 12, 15), {"content_layers": [], "style_layers": ["conv2_1"]}
    A = [next(iter(Objective.from_images(network, x, style, **layers).terms)).A for style in (one, two)]
    blended = Objective.from_images(network, x, (one, two), style_blend=[1, 3], **layers).terms[0].A
    assert np.allclose(blended, 0.25 * A[0] + 0.75 * A[1], rtol=1e-12)
    equal = Objective.from_images(network, x, [one, two], **layers).terms[0].A
    assert np.allclose(equal, 0.5 * A[0] + 0.5 * A[1], rtol=1e-12)
    with pytest.raises(ValueError, match=r"^a weight of style_blend must be a number of at least 0, found -1"):
        Objective.from_images(network, x, [one, two], style_blend=[2, -1], **layers)


def test_targets_are_computed_in_the_type_of_the_network():
    """An image in float64 is rounded to float32 before it is scaled, as the picture is."""
    network, content = small_vgg(last="conv2_1", dtype=np.float32), picture(1, 12, 15)
    f = Objective.from_images(network, content, content, content_layers=["conv1_1"], style_layers=["conv1_1"])
    a = network.features(content.astype(np.float32), "conv1_1")["conv1_1"]
    assert np.array_equal(f.terms[0].P, a.reshape(-1, a.shape[2]).T)
    assert np.array_equal(f.terms[1].A, network.engine.gram(a))


def test_two_style_terms_of_one_layer_are_reported_as_one_sum():
    network, x = small_vgg(last="conv2_1"), picture(3, 12, 15)
    a = network.features(x, "conv2_1")["conv2_1"]
    terms = [StyleTerm("conv2_1", np.eye(a.shape[2]) * k, 5.0) for k in (1, 2)]
    parts = Objective(network, terms)(x)[2]
    assert np.isclose(parts["conv2_1"], terms[0](a)[0] + terms[1](a)[0]) and parts["style"] == parts["conv2_1"]


@pytest.mark.parametrize("name", ["content_weight", "style_weight", "tv_weight"])
def test_a_wrong_weight_is_named(name):
    with pytest.raises(TypeError, match=f"^{name} must be a number of at least 0, found 'x'"):
        objective(**{name: "x"})


def test_terms_and_objectives_as_objects():
    f = objective(small_vgg(last="conv2_1"), content_layers=["conv2_1"], style_layers=["conv1_1"])
    for term in f.terms:
        assert (term == term and hash(term) == hash(term) and term != f.terms[0]) or term is f.terms[0]
        with pytest.raises(dataclasses.FrozenInstanceError):
            term.layer = "conv3_1"
    assert all(dataclasses.replace(term) != term for term in f.terms)  # they hold arrays: compared as objects
    assert "array" not in repr(f.terms[:2]) and "backend" not in repr(f.terms[1])
    assert repr(f).endswith("fast backend): content conv2_1, style conv1_1, tv)")


def test_keras_divides_by_the_pixels():
    """Its style term is Σ (G − A)² / 36 S², S the pixels of the picture."""
    network, x, style = small_vgg(last="conv2_1"), picture(3, 12, 15), picture(2, 12, 15)
    f = Objective.from_images(
        network, x, style, convention="keras", style_layers=["conv1_1"], style_weight=2.0, content_layers=[]
    )
    F, A = (network.features(image, "conv1_1")["conv1_1"].reshape(-1, 4) for image in (x, style))
    assert np.isclose(f(x)[2]["style"], 2.0 * np.sum((F.T @ F - A.T @ A) ** 2) / (36 * (12 * 15) ** 2), rtol=1e-12)
    with pytest.raises(TypeError, match=r"^style_layers must be names of layers, found 5"):
        Objective.from_images(network, x, style, style_layers=5)


# Regions --------------------------------------------------------------------------------------------------------------

LEFT = np.zeros((33, 40))
LEFT[:, :23] = 1
LEFT[:, 23] = 0.4  # a soft edge
PART = np.zeros((48, 35))
PART[5:40, 3:30] = 1


def in_regions(network=None, style=None, **keywords):
    both = [picture(2, 48, 35), picture(4, 40, 50)] if style is None else style
    return objective(network, style=both, **{"content_masks": [LEFT, 1 - LEFT], **keywords})


def test_regions_are_the_formulas_by_loops():
    x, styles = picture(3, 33, 40), [picture(2, 48, 35), picture(4, 40, 50)]
    network = small_vgg()
    layers = {"content_layers": {"conv3_1": 2.0}, "style_layers": {"conv2_1": 0.25, "conv3_1": 0.75}}
    f = in_regions(network, styles, style_masks=[PART, None], style_blend=(3, 1), content_mask=LEFT, **layers)
    _, _, terms = f(x)
    _, _, of_paper = in_regions(
        network, styles, style_masks=[PART, None], style_blend=(3, 1), convention="paper", tv_weight=0, **layers
    )(x)
    F, P = (network.features(image, ["conv2_1", "conv3_1"]) for image in (x, picture(1, 33, 40)))

    def weights(mask, layer, shape):
        r = 33 // shape[0] if mask.shape == LEFT.shape else 48 // shape[0]
        mask = mask.astype(np.float32)
        blocks = [mask[r * i : r * i + r, r * j : r * j + r] for i, j in np.ndindex(shape[:2])]
        return np.array([block.mean(dtype=np.float64) for block in blocks]).reshape(shape[:2])

    def guided(a, t):
        products = sum(t[i, j] ** 2 * np.outer(a[i, j], a[i, j]) for i, j in np.ndindex(a.shape[:2]))
        return products / np.sum(t**2)

    for l, w in (("conv2_1", 0.25), ("conv3_1", 0.75)):
        expected = expected_of_paper = 0.0
        (H, W, N), M = F[l].shape, F[l].shape[0] * F[l].shape[1]
        for style, mask, part, b in zip(styles, (LEFT, 1 - LEFT), (PART, np.ones((40, 50))), (3, 1), strict=True):
            a = network.features(style, [l])[l]
            t, t_a = weights(mask, l, (H, W)), weights(part, l, a.shape) if part is PART else np.ones(a.shape[:2])
            G, A = guided(F[l], t) * M, guided(a, t_a) * M
            strength = 50 * w * 2 * b / 4 * np.mean(t**2)  # β w · 2 regions · share · covered part
            expected += strength * np.sum((G - A) ** 2) / np.sum(A**2)
            expected_of_paper += strength * np.sum((G - A) ** 2) / (4 * N**2 * M**2)
        assert np.isclose(terms[l], expected, rtol=1e-11) and np.isclose(of_paper[l], expected_of_paper, rtol=1e-11)
    t = weights(LEFT, "conv3_1", F["conv3_1"].shape)[..., None]
    per_feature = np.mean(t * (F["conv3_1"] - P["conv3_1"]) ** 2)
    assert np.isclose(terms["content"], 3.0 * 2.0 * 0.5 * per_feature, rtol=1e-11)


@pytest.mark.parametrize("pooling, padding", [("average", "zero"), ("max", "replicate"), ("average", "circular")])
@pytest.mark.parametrize("backend", ["plain", "fast"])
def test_gradient_with_regions(pooling, padding, backend):
    network = small_vgg(pooling=pooling, padding=padding, backend=backend)
    f = in_regions(network, content_mask=1 - LEFT, style_masks=[None, np.tile([1.0, 0.0], 25)[None].repeat(40, axis=0)])
    x = picture(3, 33, 40)
    check = gradcheck(lambda x: f(x)[0], f(x)[1], x, mode="sample", samples=40, h=1e-6)
    assert check.norm_ratio <= 1e-6, check


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("backend", ["plain", "fast"])
def test_white_masks_change_no_bit(backend, dtype):
    """One region that is the whole picture; a part that is the whole style image; a mask for the content, too."""
    network, x = small_vgg(backend=backend, dtype=dtype), picture(3, 33, 40, dtype)
    white, all_of_it = np.ones((66, 80), bool), np.ones((48, 35))
    without = objective(network)
    for masks in (
        {"content_masks": [white]},
        {"content_masks": white, "style_masks": all_of_it, "content_mask": white},
        {"style_masks": [all_of_it], "style_blend": [0.3]},
        {"content_masks": [None]},
    ):
        total, gradient, terms = objective(network, **masks)(x)
        expected_total, expected, expected_terms = without(x)
        assert total == expected_total and terms == expected_terms and np.array_equal(gradient, expected)
    one = objective(network, style=[picture(2, 48, 35), picture(4)], style_masks=[np.ones((48, 35)), None])
    assert one(x)[0] == objective(network, style=[picture(2, 48, 35), picture(4)])(x)[0]


def test_both_backends_agree_in_float32():
    x = picture(3, 33, 40, np.float32)
    plain_one, fast_one = (
        in_regions(small_vgg(backend=b, dtype=np.float32), content_mask=LEFT)(x) for b in ("plain", "fast")
    )
    assert np.isclose(plain_one[0], fast_one[0], rtol=1e-5)
    assert np.linalg.norm(plain_one[1] - fast_one[1]) <= 1e-4 * np.linalg.norm(fast_one[1])


def test_two_halves_of_one_style_are_nearly_a_picture_without_masks():
    """Not quite: each half must have the style by itself, not only both together. Were all positions alike, it would be
    the same: without differences between the halves, G^r = G."""
    network, style = small_vgg(padding="circular"), picture(2, 48, 36)
    left = np.zeros((32, 48))
    left[:, :32] = 1  # not halves: the weights follow the areas
    keywords = {"content_weight": 0.0, "tv_weight": 0.0}
    x = picture(3, 32, 48)
    whole, *_ = objective(network, content=x, style=style, **keywords)(x)
    parts, *_ = objective(network, content=x, style=[style] * 2, content_masks=[left, 1 - left], **keywords)(x)
    assert parts > whole * (1 + 1e-6)  # E is convex in G, which is the mean of G¹ and G²
    assert np.isclose(parts, whole, rtol=0.2)
    alike = np.tile(picture(3, 16, 16), (2, 3, 1))
    of_whole = objective(network, content=x, style=style, style_layers={"conv1_1": 1.0}, **keywords)
    of_parts = objective(
        network, content=x, style=[style] * 2, style_layers={"conv1_1": 1.0}, content_masks=[left, 1 - left], **keywords
    )
    (a, da, _), (b, db, _) = of_whole(alike), of_parts(alike)
    assert np.isclose(a, b, rtol=1e-10) and np.allclose(da, db, rtol=1e-8, atol=1e-12 * np.abs(da).max())


def test_a_region_is_painted_as_strongly_when_it_is_small():
    """The same texture everywhere: a position inside has the gradient of a picture without masks."""
    network = small_vgg(padding="circular", last="conv2_1")
    x = np.tile(picture(3, 8, 8), (4, 6, 1))
    layers = {"style_layers": {"conv1_1": 1.0}, "content_weight": 0.0, "tv_weight": 0.0}
    small = np.zeros((32, 48))
    small[8:16, 16:24] = 1
    style = picture(2, 24, 24)
    everywhere = objective(network, content=x, style=style, content_layers=[], **layers)
    regions = {"content_masks": [small, 1 - small], "content_layers": []}
    of_regions = objective(network, content=x, style=[style, style], **regions, **layers)
    inside = np.s_[9:15, 17:23]
    assert np.allclose(of_regions(x)[1][inside], everywhere(x)[1][inside], rtol=1e-8)
    strong = objective(network, content=x, style=[style, style], style_blend=(3, 1), **regions, **layers)
    assert np.allclose(strong(x)[1][inside], 1.5 * everywhere(x)[1][inside], rtol=1e-8)


def test_the_gradient_of_a_region_is_zero_where_its_mask_is():
    f = in_regions()
    x, found = picture(3, 33, 40), 0
    features = f.network.features(x, STYLE)
    for term in f.terms:
        if isinstance(term, StyleTerm):
            _, backward = term(features[term.layer])
            gradient = backward(None)
            assert not gradient[term.mask == 0].any() and gradient[term.mask > 0].any()
            found += (term.mask == 0).any()
    assert found == 9  # at conv5_1, every position sees the left region
    only = Objective(f.network, [t for t in f.terms if t.name == "style"][:1])  # conv1_1 in the left region
    _, gradient, _ = only(x)
    assert not gradient[:, 25:].any() and gradient[:, 24].any()  # a unit sees one pixel beyond its own
    kept = objective(content_mask=LEFT, content_layers={"conv1_1": 1.0}, style_weight=0.0, tv_weight=0.0)
    assert not kept(x)[1][:, 25:].any() and kept(x)[1][:, :24].any()


def test_what_is_outside_a_region_does_not_matter():
    rng = np.random.default_rng(0)
    a, t = rng.random((4, 5, 3)), np.round(rng.random((4, 5)))
    A = np.cov(rng.random((3, 9)))
    term, content = StyleTerm("conv1_1", A, 7.0, mask=t), ContentTerm("conv1_1", rng.random((3, 20)), 2.0, mask=t)
    changed = np.where(t[..., None] == 0, rng.random(a.shape), a)
    assert np.isclose(term(changed)[0], term(a)[0], rtol=1e-12) and content(changed)[0] == content(a)[0]
    F = a.reshape(-1, 3).T
    G = np.sum([20 / t.sum() * np.outer(F[:, j], F[:, j]) for j in np.flatnonzero(t.reshape(-1))], axis=0)
    assert np.isclose(term(a)[0], 7.0 * np.sum((G - A) ** 2) / (4 * 9 * 400))
    da = rng.random(a.shape)
    assert np.allclose(term(a)[1](da.copy()) - da, term(a)[1](None))
    for each in (term, content):
        _, g = each(a)
        assert gradcheck(lambda a, each=each: each(a)[0], g(None) if callable(g) else g, a)
    assert "mask" not in repr(term) + repr(content)


def test_a_pixel_can_be_a_picture_with_regions():
    f = objective(content=picture(1, 1, 1), style=[picture(2, 1, 1)] * 2, style_layers=["conv1_1"], content_layers=[],
                  content_masks=[np.ones((1, 1))] * 2)  # fmt: skip
    assert np.isfinite(f(picture(3, 1, 1))[0])


@pytest.mark.parametrize(
    "keywords, message",
    [
        ({"content_masks": [LEFT]}, "content_masks must have one mask for each of 2 style images, found 1"),
        ({"style_masks": [LEFT, LEFT]}, "mask 1 of style_masks: a mask of 40×33 pixels for an image of 35×48; "),
        ({"content_masks": [LEFT, LEFT.T]}, "mask 2 of content_masks: a mask of 33×40 pixels for an image of 40×33"),
        ({"content_mask": LEFT.T}, "content_mask: a mask of 33×40 pixels for an image of 40×33"),
        ({"content_masks": [LEFT, 0 * LEFT]}, "mask 2 of content_masks: the mask is all black, and a region is white"),
        ({"content_masks": [LEFT, np.eye(33, 40)]}, "mask 2 of content_masks: at 40×33 .* one position of conv4_1, 8"),
        ({"style_masks": [None, np.eye(40, 50)]}, "mask 2 of style_masks: at 50×40 .* one position of conv4_1, 8×8"),
        ({"content_mask": np.eye(33, 40) * (np.arange(40) < 9)}, "content_mask: at 40×33 .* one position of conv4_2"),
    ],
)  # fmt: skip
def test_masks_that_do_not_fit(keywords, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        in_regions(**keywords)
