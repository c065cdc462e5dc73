"""The sheets: each exercise can be solved from its text, and the text does not contain the solution."""

import ast
import inspect
import re

import numpy as np
import pytest

from nst_numpy import exercises
from nst_numpy.checking import gradcheck
from nst_numpy.exercises.sheets import stub
from nst_numpy.exercises.solutions import solution
from nst_numpy.exercises.topics import get

each_exercise = pytest.mark.parametrize("name", exercises.names())

# What is said in hints and derivations only.
GIVEN_AWAY = (
    r"transpos|reshape|rotat|mask|product rule|both terms|scatter|gather|Laplac|minuend|subtrahend|slope|cancel|twice|"
    r"window²|F ?Fᵀ|Fᵀ|@|\.T\b|np\.(?!ndarray)|\(G − A\) ?F|dy/|2 ?\(|x −"
)
SIZES = r"[NMHW]( \*\*? [\dNMHW])+|[rs] \* stride( \+ [ij])?"


def plain(text: str) -> str:
    """The text without spaces, and with Python's operators."""
    for symbol, operator in {"−": "-", "·": "*", "²": "**2"}.items():
        text = text.replace(symbol, operator)
    return re.sub(r"\s", "", text)


def phrases(text: str, length: int = 6) -> set[str]:
    words = text.split()
    return {" ".join(words[i : i + length]) for i in range(len(words) - length + 1)}


@each_exercise
def test_a_task_does_not_contain_the_solution(name):
    text = stub(get(name))
    assert not re.search(GIVEN_AWAY, text), re.search(GIVEN_AWAY, text)
    told = phrases(" ".join(exercises.hint(name, step) for step in (1, 2, 3)))
    if name not in ("content_loss", "gram", "style_loss", "feature_matrix"):  # their text is the definition
        assert not told & phrases(text)
    body = ast.parse("def solved():\n" + solution(name))
    steps = [ast.unparse(node) for node in ast.walk(body) if isinstance(node, ast.BinOp | ast.Call | ast.Compare)]
    assert not [step for step in steps if plain(step) in plain(text) and not re.fullmatch(SIZES, step)]


@each_exercise
def test_a_stub_describes_its_arguments(name):
    text = stub(get(name))
    namespace = {"np": np}
    exec(text, namespace)
    given, own = (inspect.signature(f).parameters for f in (namespace[name], get(name).function))
    assert [own[p].default for p in given] == [p.default for p in given.values()]
    described = re.findall(r"^    (\w+(?:, \w+)*) : ", text, re.MULTILINE)
    assert [each for line in described for each in line.split(", ")] == list(given)
    assert set(own) - set(given) == ({"padding"} if name in ("conv_backward_input", "conv_backward_kernel") else set())
    assert max(map(len, get(name).task.splitlines())) <= 116, "it is indented by 4"


# The formulas of the sheets as loops: what the checker expects must be their derivative -------------------------------


def conv(x, kernel, bias):
    (H, W, C), K = x.shape, kernel.shape[3]
    y = np.zeros((H, W, K))
    for h, w, k in np.ndindex(H, W, K):
        y[h, w, k] = bias[k]
        for i, j, c in np.ndindex(3, 3, C):
            if 0 <= h + i - 1 < H and 0 <= w + j - 1 < W:
                y[h, w, k] += x[h + i - 1, w + j - 1, c] * kernel[i, j, c, k]
    return y


def pooled(reduce, x, window, stride):
    H, W, C = x.shape
    rows, columns = (1 + max(r for r in range(n) if r * stride + window <= n) for n in (H, W))
    y = np.zeros((rows, columns, C))
    for r, s, c in np.ndindex(y.shape):
        y[r, s, c] = reduce([x[r * stride + i, s * stride + j, c] for i in range(window) for j in range(window)])
    return y


def content(F, P):
    return sum((F[i, j] - P[i, j]) ** 2 for i, j in np.ndindex(F.shape)) / 2


def gram(F):
    N, M = F.shape
    return np.array([[sum(F[i, k] * F[j, k] for k in range(M)) for j in range(N)] for i in range(N)])


def style(F, A):
    N, M = F.shape
    G = gram(F)
    return sum((G[i, j] - A[i, j]) ** 2 for i, j in np.ndindex(N, N)) / (4 * N**2 * M**2)


def matrix(a):
    H, W, N = a.shape
    F = np.zeros((N, H * W))
    for h, w, i in np.ndindex(a.shape):
        F[i, h * W + w] = a[h, w, i]
    return F


def variation(x):
    H, W, C = x.shape
    down = sum((x[i + 1, j, c] - x[i, j, c]) ** 2 for i, j, c in np.ndindex(H - 1, W, C))
    return down / 2 + sum((x[i, j + 1, c] - x[i, j, c]) ** 2 for i, j, c in np.ndindex(H, W - 1, C)) / 2


rng = np.random.default_rng(3)
X, KERNEL, BIAS = rng.standard_normal((4, 5, 2)), rng.standard_normal((3, 3, 2, 3)), rng.standard_normal(3)
DY = rng.standard_normal((4, 5, 3))
F, P, DG = rng.random((3, 6)), rng.random((3, 6)), rng.standard_normal((3, 3))
A = gram(rng.random((3, 6)))
MAP = rng.random((2, 3, 3))


def pooling(reduce, window, stride):
    """The loss, the point, and the exercise's arguments."""
    dy = rng.standard_normal(pooled(reduce, X, window, stride).shape)
    return lambda x: np.sum(dy * pooled(reduce, x, window, stride)), X, lambda x: (dy, x, window, stride)


def rectified(x):
    return np.reshape([max(0, each) for each in x.flat], x.shape)


DERIVATIVES = [  # name, loss, point, the exercise's arguments
    (
        "relu_backward",
        lambda x: np.sum(DY * rectified(x)),
        DY[::-1],
        lambda x: (DY, x),
    ),
    ("conv_backward_input", lambda x: np.sum(DY * conv(x, KERNEL, BIAS)), X, lambda x: (DY, KERNEL)),
    ("conv_backward_kernel", lambda k: np.sum(DY * conv(X, k, BIAS)), KERNEL, lambda k: (DY, X)),
    ("conv_backward_bias", lambda b: np.sum(DY * conv(X, KERNEL, b)), BIAS, lambda b: (DY,)),
    *(("max_pool_backward", *pooling(max, *size)) for size in ((2, 2), (3, 1), (2, 3))),
    *(("average_pool_backward", *pooling(np.mean, *size)) for size in ((2, 2), (3, 1), (2, 3))),
    ("content_gradient", lambda F: content(F, P), F, lambda F: (F, P)),
    ("gram_backward", lambda F: np.sum(DG * gram(F)), F, lambda F: (DG, F)),
    ("style_gradient", lambda F: style(F, A), F, lambda F: (F, A)),
    ("style_gradient_of_map", lambda a: style(matrix(a), A), MAP, lambda a: (a, A)),
    ("total_variation_gradient", variation, X, lambda x: (x,)),
    ("total_gradient", lambda F: 3 * content(F, P) + 70 * style(F, A), F, lambda F: (F, P, A, 3, 70)),
]


@pytest.mark.parametrize(
    ("name", "loss", "x", "arguments"), DERIVATIVES, ids=[f"{k}-{each[0]}" for k, each in enumerate(DERIVATIVES)]
)
def test_what_is_expected_is_the_derivative_of_the_formula(name, loss, x, arguments):
    assert gradcheck(loss, lambda x: get(name).function(*arguments(x)), x)


FORMULAS = {  # which the loops above transcribe
    "y = max(0, x)": ["relu_backward"],
    "y[h, w, k] = bias[k] + Σ_i Σ_j Σ_c x[h + i − 1, w + j − 1, c] · kernel[i, j, c, k]": [
        "conv_backward_input",
        "conv_backward_kernel",
        "conv_backward_bias",
    ],
    "the largest of x[r · stride + i, s · stride + j, c] over i and j from 0 to window − 1": ["max_pool_backward"],
    "the mean of x[r · stride + i, s · stride + j, c] over i and j from 0 to window − 1": ["average_pool_backward"],
    "L = ½ Σ_ij (F_ij − P_ij)²": ["content_loss", "content_gradient"],
    "F[i, j] = a[h, w, i]": ["feature_matrix", "style_gradient_of_map"],
    "j = h · W + w": ["feature_matrix", "style_gradient_of_map"],
    "G_ij = Σ_k F_ik F_jk": ["gram", "gram_backward"],
    "E = 1/(4 N² M²) Σ_ij (G_ij − A_ij)²,  G_ij = Σ_k F_ik F_jk": [
        "style_loss",
        "style_gradient",
        "style_gradient_of_map",
        "total_gradient",
    ],
    "L = alpha · ½ Σ_ij (F_ij − P_ij)² + beta · E": ["total_gradient"],
    "TV = ½ Σ (x[i + 1, j, c] − x[i, j, c])² + ½ Σ (x[i, j + 1, c] − x[i, j, c])²": ["total_variation_gradient"],
    "in the direction of steepest descent, by learning_rate times the length": ["gradient_step"],
}


def test_every_sheet_has_its_formula():
    for formula, names in FORMULAS.items():
        assert all(formula in stub(get(name)) for name in names), formula
    assert {name for names in FORMULAS.values() for name in names} == set(exercises.names())


def test_what_is_expected_is_the_formula():
    assert np.isclose(get("content_loss").function(F, P), content(F, P))
    assert np.isclose(get("style_loss").function(F, A), style(F, A))
    assert np.allclose(get("gram").function(F), gram(F))
    assert np.array_equal(get("feature_matrix").function(MAP), matrix(MAP))
    step = get("gradient_step").function(X, 2 * X[::-1], 0.3) - X
    assert np.isclose(np.linalg.norm(step), 0.3 * np.linalg.norm(2 * X)) and np.allclose(step, -0.6 * X[::-1])
    tested = {name for name, *_ in DERIVATIVES}
    assert tested | {"content_loss", "style_loss", "gram", "feature_matrix", "gradient_step"} == set(exercises.names())
