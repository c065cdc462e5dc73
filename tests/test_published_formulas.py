"""The formulas that four much-read documents print: what each evaluates to, and what holds.

Each test is a row of docs/published-formulas.md, by its number. The documents: Q is a question and answer on equation 2
of the paper; B the quiz of a Berkeley course; N a page of lecture notes; P a blog post on the Coursera lectures.
"""

import re
from pathlib import Path

import numpy as np
from drawing import like, picture, small_vgg, spread

from nst_numpy import Objective, gradcheck, layers, losses, transfer
from nst_numpy.exercises.topics.variation import gradient_step, total_gradient

rng = np.random.default_rng(0)
N, H, W = 4, 3, 5
M = H * W
F, P, STYLE = (np.abs(like(k, (N, M))) + 0.1 for k in range(3))
A, G = losses.gram(STYLE), losses.gram(F)
D = G - A


def test_1_the_content_loss_without_its_square():
    printed = lambda F: 0.5 * np.sum(F - P)  # noqa: E731
    assert gradcheck(printed, np.full_like(F, 0.5), F)  # the same for every image: no descent could end
    assert not gradcheck(printed, losses.content_gradient(F, P), F)
    assert gradcheck(lambda F: losses.content_loss(F, P), losses.content_gradient(F, P), F)


def test_2_zero_with_respect_to_what():
    """With respect to F the gradient is F − P everywhere; zero belongs to z, with F = max(0, z)."""
    z = spread(rng, (N, M))
    F = layers.relu_forward(z)
    assert (z < 0).any() and np.all(losses.content_gradient(F, P)[z < 0] == -P[z < 0])
    assert gradcheck(lambda F: losses.content_loss(F, P), F - P, F)
    dz = layers.relu_backward(F - P, z)
    assert gradcheck(lambda z: losses.content_loss(layers.relu_forward(z), P), dz, z) and np.all(dz[z < 0] == 0)


def test_3_the_style_gradient_transposed():
    printed = F.T @ D / (N**2 * M**2)
    assert printed.shape == (M, N)
    right = D @ F / (N**2 * M**2)
    assert np.allclose(printed.T, right, rtol=1e-12)
    assert gradcheck(lambda F: losses.style_loss(F, A), right, F)


def test_4_descent_with_a_plus():
    f = lambda F: losses.content_loss(F, P) + losses.style_loss(F, A)  # noqa: E731
    gradient = total_gradient(F, P, A, 1.0, 1.0)
    assert f(F + 1e-3 * gradient) > f(F) > f(gradient_step(F, gradient, 1e-3))


def test_5_the_step_without_brackets():
    alpha, beta, eta = 0.7, 900.0, 1e-3
    f = lambda F: alpha * losses.content_loss(F, P) + beta * losses.style_loss(F, A)  # noqa: E731
    printed = F - eta * alpha * (F - P) + beta * (D @ F) / (N**2 * M**2)
    meant = F - eta * (alpha * (F - P) + beta * (D @ F) / (N**2 * M**2))
    gradient = total_gradient(F, P, A, alpha, beta)
    assert np.allclose(meant, gradient_step(F, gradient, eta), rtol=1e-12)
    assert f(printed) > f(F) > f(meant)


def objective(content_layers, style_layers):
    return Objective.from_images(
        small_vgg(last="conv2_2"),
        picture(1, 16, 20),
        picture(2, 16, 20),
        content_layers=content_layers,
        style_layers=style_layers,
        content_weight=1.0,
        style_weight=50.0,
        tv_weight=0.0,
    )


def test_6_the_variable_is_the_image():
    """A step of F gives features that no image need have; the gradient goes on to the pixels."""
    f, x = objective({"conv2_2": 1.0}, {"conv1_1": 1.0}), picture(3, 16, 20)
    total, gradient, _ = f(x)
    assert gradient.shape == x.shape and gradcheck(lambda x: f(x)[0], gradient, x, mode="sample", samples=30, h=1e-6)
    assert f(gradient_step(x, gradient, 1e-3 / np.abs(gradient).max()))[0] < total
    z = like(5, (N, M)) - 0.5
    stepped = layers.relu_forward(z) - 0.5 * losses.content_gradient(layers.relu_forward(z), -P)
    assert (stepped < 0).any()  # no image has such features: they come out of a ReLU


def test_7_the_local_term_is_not_the_derivative_of_the_total():
    """Two content layers: what the deeper one sends back belongs to the derivative with respect to the first."""
    kernel, bias, deeper = like(1, (3, 3, N, N)) / 6, np.full(N, 0.5), np.abs(like(2, (H, W, N)))
    first = F.T.reshape(H, W, N)

    def total(a):
        b = layers.relu_forward(layers.conv_forward(a, kernel, bias))
        return losses.content_loss(losses.feature_matrix(a), P) + 0.5 * np.sum((b - deeper) ** 2)

    injected = losses.content_gradient(F, P).T.reshape(H, W, N)
    b = layers.relu_forward(layers.conv_forward(first, kernel, bias))
    from_above = layers.conv_backward_input(layers.relu_backward(b - deeper, b), kernel)
    assert not gradcheck(total, injected, first)
    assert gradcheck(total, injected + from_above, first)


def test_8_E_is_an_error_and_no_expectation():
    """An expectation would not change with the number of equal terms; G, of which E is made, is a sum."""
    assert np.allclose(losses.gram(np.hstack([F, F])), 2 * G)
    assert losses.style_loss(F, G) == 0 and losses.style_loss(F, A) > 0
    assert np.isclose(losses.style_loss(2 * F, 4 * A), 16 * losses.style_loss(F, A))  # quartic, as no mean of features


def test_9_w_1_for_w_l():
    """With one weight for all layers, the derivative is wrong for every layer but the first."""
    w, x = {"conv1_1": 0.9, "conv2_1": 0.1}, picture(3, 16, 20)
    right, wrong = objective({}, w), objective({}, dict.fromkeys(w, w["conv1_1"]))
    f = lambda x: right(x)[0]  # noqa: E731
    assert gradcheck(f, right(x)[1], x, mode="sample", samples=20, h=1e-6)
    assert not gradcheck(f, wrong(x)[1], x, mode="sample", samples=20, h=1e-6)


def test_10_M_is_height_times_width():
    a = F.T.reshape(H, W, N)
    assert losses.feature_matrix(a).shape == (N, H * W)  # M = N·M would hold for M = 0 or N = 1 only


def test_11_a_content_gradient_labelled_style():
    assert gradcheck(lambda F: losses.content_loss(F, P), F - P, F)
    assert not gradcheck(lambda F: losses.style_loss(F, A), F - P, F)


def test_12_the_gram_matrix_of_positions():
    assert (F.T @ F).shape == (M, M) and (F @ F.T).shape == (N, N)
    order = rng.permutation(M)
    assert np.allclose(losses.gram(F[:, order]), G) and not np.allclose(F[:, order].T @ F[:, order], F.T @ F)
    assert np.allclose(G, [[F[i] @ F[j] for j in range(N)] for i in range(N)])


def test_13_a_row_for_a_number():
    one = np.ones(N)
    printed = one @ D @ D.T
    assert printed.shape == (N,)
    E = losses.style_loss(F, A)
    assert np.isclose(E, one @ (D * D) @ one / (4 * N**2 * M**2))
    assert np.isclose(E, np.trace(D @ D.T) / (4 * N**2 * M**2))


def test_14_and_its_mending_by_a_second_one():
    one = np.ones(N)
    mended = one @ D @ D.T @ one
    assert np.isclose(mended, np.sum((D.T @ one) ** 2))
    assert not np.isclose(mended, np.sum(D**2), rtol=0.05)


def test_15_two_originals():
    """P comes from the content image and A from the style image: with one image for both, nothing is transferred."""
    x = picture(1, 16, 20)
    f = Objective.from_images(
        small_vgg(last="conv2_2"), x, x, content_layers={"conv2_2": 1.0}, style_layers={"conv1_1": 1.0},
        content_weight=1.0, style_weight=50.0, tv_weight=0.0,
    )  # fmt: skip
    assert f(x)[0] < 1e-20 and objective({"conv2_2": 1.0}, {"conv1_1": 1.0})(x)[0] > 1e-3


def test_16_G_is_no_correlation():
    """Two filters that never rise together, and yet have a large entry, since both are positive."""
    t = np.linspace(0, 6, 200)
    pair = np.stack([2 + np.sin(t), 2 - np.sin(t)])
    g = losses.gram(pair)
    assert np.isclose(np.corrcoef(pair)[0, 1], -1) and g[0, 1] > 0.6 * g[0, 0] > 0


def test_17_the_gradient_without_its_normaliser():
    printed = 4 * D @ F
    right = losses.style_gradient(F, A)
    assert np.allclose(printed, 4 * N**2 * M**2 * right, rtol=1e-12)
    assert gradcheck(lambda F: np.sum((losses.gram(F) - A) ** 2), printed, F, h=1e-4)
    assert not gradcheck(lambda F: losses.style_loss(F, A), printed, F)


def test_18_beta_absorbs_one_normaliser_but_not_five():
    """(N M)² at 512 pixels in VGG-19: no one β stands for all layers."""
    sizes = {"conv1_1": (64, 512**2), "conv5_1": (512, 32**2)}
    (n, m), (n5, m5) = sizes.values()
    assert (n * m) ** 2 / (n5 * m5) ** 2 == 1024


def test_19_style_at_all_depths():
    """Question 8's answer has style in early layers: but what the early ones agree on, the deeper ones need not."""
    content, style, net = picture(1, 32, 32), picture(2, 32, 32), small_vgg(dtype=np.float32)
    keywords = {"weights": net, "size": 32, "steps": 40, "content_weight": 0.0, "tv_weight": 0.0, "progress": False}
    A = losses.gram(losses.feature_matrix(net.features(style, "conv3_1")["conv3_1"]))
    E = {}
    for depths in ("1", "13"):
        result = transfer(content, style, style_layers=[f"conv{d}_1" for d in depths], **keywords)
        E[depths] = losses.style_loss(losses.feature_matrix(net.features(result.image, "conv3_1")["conv3_1"]), A)
    assert E["13"] < 0.5 * E["1"]


def test_20_P_is_computed_once_and_white_noise_works_too():
    content, style, seen = picture(1, 32, 32), picture(2, 32, 32), []
    net = small_vgg(dtype=np.float32)
    for init in ("content", "noise"):
        result = transfer(content, style, weights=net, size=32, steps=20, init=init, progress=False)
        assert result.history[-1]["total"] < 0.5 * max(result.history[0]["total"], result.history[1]["total"])
        seen.append(result.image)
    assert np.abs(seen[0].astype(int) - seen[1]).mean() > 5  # two starts, two pictures
    f = objective({"conv2_2": 1.0}, {"conv1_1": 1.0})
    (content_term,) = (term for term in f.terms if term.name == "content")
    P = content_term.P.copy()
    f(picture(4, 16, 20))
    assert np.array_equal(content_term.P, P)


def test_21_free_and_bound_indices():
    """∂/∂F_ij of Σ_ij: the sum needs letters of its own; one term is left."""
    i, j = 2, 7
    u = np.zeros_like(F)
    u[i, j] = 1e-5
    slope = (losses.content_loss(F + u, P) - losses.content_loss(F - u, P)) / 2e-5
    terms = [(F[k, l] - P[k, l]) * ((k, l) == (i, j)) for k in range(N) for l in range(M)]
    assert np.isclose(slope, sum(terms), rtol=1e-7) and np.count_nonzero(terms) == 1


def test_22_another_normaliser_that_is_the_same():
    assert np.isclose(np.sum(D**2) / (2 * H * W * N) ** 2, losses.style_loss(F, A), rtol=1e-12)


def test_23_E_for_two_errors():
    permuted = P[:, ::-1]
    assert losses.content_loss(permuted, P) > 1 and losses.style_loss(permuted, losses.gram(P)) < 1e-20


def test_24_a_cost_grows_with_the_difference():
    steps = np.linspace(0, 1, 5)
    content = [losses.content_loss(P + t * (F - P), P) for t in steps]
    style = [losses.style_loss(np.sqrt(1 + t) * F, losses.gram(F)) for t in steps]
    for cost in (content, style):
        assert cost[0] < 1e-20 and (np.diff(cost) > 0).all()


def test_every_row_of_the_page_has_its_test():
    page = (Path(__file__).parents[1] / "docs/published-formulas.md").read_text()
    rows = {int(n) for n in re.findall(r"^\| (\d+) \|", page, flags=re.MULTILINE)}
    tests = {int(name.split("_")[1]) for name in globals() if re.match(r"test_\d+_", name)}
    assert rows == tests
