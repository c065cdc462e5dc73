"""The feature matrix, the Gram matrix, the style loss, and their gradients."""

# mypy: allow-untyped-defs, allow-untyped-calls

from itertools import permutations, product

import numpy as np

from nst_numpy.exercises.changes import MATRIX_PARTS
from nst_numpy.exercises.model import Exercise, features, gram_of, map_cases, matrix_cases, same
from nst_numpy.losses import feature_matrix, gram, gram_backward, style_gradient, style_loss

STYLE = "E = 1/(4 N² M²) Σ_ij (G_ij − A_ij)²,  G_ij = Σ_k F_ik F_jk"

RESHAPE = "a.reshape(N, -1) of an array with channels last mixes positions and channels"


def _permuted(n: int) -> np.ndarray:
    return np.random.default_rng(0).permutation(n)


def _mixed(a: np.ndarray) -> np.ndarray:
    """The matrix of the right shape and the wrong content."""
    return a.reshape(a.shape[-1], -1)


# The feature matrix ---------------------------------------------------------------------------------------------------


def _rows_are_filters(function, a):
    order = _permuted(a.shape[2])
    return same(function(a[:, :, order]), function(a)[order])


FEATURE_MATRIX = Exercise(
    feature_matrix,
    map_cases(lambda rng, H, W, N: (rng.standard_normal((H, W, N)),)),
    task="""The feature matrix F of a layer's response: a row for each filter, a column for each position.

F[i, j] = a[h, w, i], with the positions in reading order: j = h · W + w.""",
    hints=(
        "F has a row for each filter and a column for each position, in reading order: j = h·W + w.",
        "In memory, the channels of one position are adjacent. reshape keeps that order: so reshape to "
        "(H·W, N) and transpose.",
    ),
    invariance=_rows_are_filters,
)


@FEATURE_MATRIX.bug("wrong-reshape", RESHAPE)
def _(a):
    H, W, N = a.shape
    return a.reshape(N, H * W)


@FEATURE_MATRIX.bug("transposed", "this is F transposed, M×N")
def _(a):
    return a.reshape(-1, a.shape[2])


FEATURE_MATRIX.recognise(
    (
        "wrong-reshape",
        "positions run down the columns: j = w·H + h instead of h·W + w",
        lambda a: a.transpose(2, 1, 0).reshape(a.shape[-1], -1),
    ),
    *(
        (
            "wrong-reshape",
            f"the axes are in the order {order} before the reshape to (N, H·W)",
            lambda a, order=order: a.transpose(order).reshape(a.shape[-1], -1),
        )
        for order in permutations(range(3))
        if order[0] != 2 and order != (0, 1, 2)
    ),
    *(
        (
            "wrong-reshape",
            f"the axes are in the order {order} before the reshape to (H·W, N)",
            lambda a, order=order: a.transpose(order).reshape(-1, a.shape[-1]).T,
        )
        for order in permutations(range(3))
        if order[2] != 2
    ),
)

# The Gram matrix ------------------------------------------------------------------------------------------------------


def _position_does_not_matter(function, F):
    return same(function(F[:, _permuted(F.shape[1])]), function(F))


GRAM = Exercise(
    gram,
    matrix_cases(lambda rng, N, M: (rng.standard_normal((N, M)),)),
    task="""Gram matrix of the features.

G_ij = Σ_k F_ik F_jk, summed over all positions k; neither centred nor normalised.""",
    hints=(
        "G_ij = Σ_k F_ik F_jk: filter i and filter j, multiplied at each position and summed over the positions.",
        "Rows of F are filters. A matrix product that sums over the second index of both: one of them transposed.",
    ),
    sums_over=("M",),
    invariance=_position_does_not_matter,
)


@GRAM.bug("transposed", "Fᵀ F is M×M, and says which positions resemble each other")
def _(F):
    return F.T @ F


@GRAM.bug("wrong-normaliser")
def _(F):
    return F @ F.T / F.size


@GRAM.bug("wrong-operand", "the means are taken out: F is centred")
def _(F):
    centred = F - F.mean(axis=1, keepdims=True)
    return centred @ centred.T


OTHER_GRAMS = (  # for the loss and its gradient, too
    (
        "wrong-reshape",
        "Fᵀ is made by reshape, which mixes filters and positions",
        lambda F: F @ F.reshape(F.shape[::-1]),
    ),
    (
        "wrong-operand",
        "G is that of correlations: centred, and divided by lengths",
        lambda F: np.atleast_2d(np.corrcoef(F)),
    ),
    (
        "wrong-operand",
        "the rows of F are divided by their lengths in G",
        lambda F: gram(F / np.linalg.norm(F, axis=1)[:, None]),
    ),
    ("wrong-operand", "G is that of F minus its means", lambda F: gram(F - F.mean(axis=1, keepdims=True))),
    ("wrong-operand", "1 is subtracted from F in G", lambda F: gram(F - 1)),
    ("square-of-sum", "sums are multiplied in G: Σ_k F_ik · Σ_k F_jk", lambda F: np.outer(F.sum(1), F.sum(1))),
    ("wrong-normaliser", "G is divided by M, and A is not", lambda F: gram(F) / F.shape[1]),
    ("wrong-normaliser", "G is divided by N, and A is not", lambda F: gram(F) / F.shape[0]),
    ("wrong-normaliser", "G is divided by N M, and A is not", lambda F: gram(F) / F.size),
    ("transposed", "G is Fᵀ F", lambda F: F.T @ F),
)
GRAM.recognise(*(m for m in OTHER_GRAMS if m[0] in ("wrong-reshape", "wrong-operand", "square-of-sum")))


def _of_differences(result):
    """Mistakes in G − A, for what is computed from it and F: another Gram matrix, or a part of the difference."""
    for code, words, other in OTHER_GRAMS:
        yield code, words, lambda F, A, other=other: result(other(F) - A, F)
    for words, part in MATRIX_PARTS.items():
        yield "wrong-operand", f"of G − A, {words}", lambda F, A, part=part: result(part(gram(F) - A), F)
    for words, k in (("first", 0), ("last", -1)):
        yield (
            "overlap-overwritten",
            f"only the {words} term of the sum over G − A is left",
            lambda F, A, k=k: result((gram(F) - A) * (np.arange(len(F)) == np.arange(len(F))[k]), F),
        )
    yield "wrong-operand", "A is taken for features: A Aᵀ", lambda F, A: result(gram(F) - gram(A), F)


GRAM_BACKWARD = Exercise(
    gram_backward,
    matrix_cases(lambda rng, N, M: (rng.standard_normal((N, N)), rng.standard_normal((N, M)))),
    task="""Gradient with respect to F of a loss that depends on F through its Gram matrix.

G_ij = Σ_k F_ik F_jk. dG_ij is ∂L/∂G_ij for some scalar loss L, where all N² elements of G are
independent variables. Return ∂L/∂F.""",
    hints=(
        "F occurs twice in G = F Fᵀ: the product rule gives two terms.",
        "G_kl contains F_ij where k = i, with the factor F_lj, and where l = i, with the factor F_kj. Sum both over "
        "what is left, with the weights dG. Do not take dG to be symmetric.",
    ),
    terms=lambda dG, F: {"dG F": dG @ F, "dGᵀ F": dG.T @ F},
    forward=lambda dG, F: (lambda v: float(np.sum(dG * gram(v))), F),
)


@GRAM_BACKWARD.bug("wrong-operand", "half of the product rule is missing: dG F without dGᵀ F")
def _(dG, F):
    return dG @ F


@GRAM_BACKWARD.bug("wrong-operand", "2 dG F is right for a symmetric dG only")
def _(dG, F):
    return 2 * dG @ F


def _assigned(dG, F):
    dF = np.zeros_like(F)
    for k, l in np.ndindex(dG.shape):
        dF[k] = dG[k, l] * F[l]
        dF[l] = dG[k, l] * F[k]
    return dF


GRAM_BACKWARD.recognise(
    ("wrong-operand", "dG and dGᵀ are multiplied, not added", lambda dG, F: dG * dG.T @ F),
    ("overlap-overwritten", "later rows overwrite earlier ones (= for +=)", _assigned),
    ("wrong-operand", "half of the product rule is missing: dGᵀ F without dG F", lambda dG, F: dG.T @ F),
    ("wrong-operand", "2 dGᵀ F is right for a symmetric dG only", lambda dG, F: 2 * dG.T @ F),
    (
        "wrong-operand",
        "the diagonal is counted once; for k = l both halves of the product rule apply",
        lambda dG, F: (dG + dG.T - np.diag(np.diag(dG))) @ F,
    ),
    ("transposed", "this is the gradient transposed", lambda dG, F: F.T @ (dG + dG.T)),
)

# The style loss -------------------------------------------------------------------------------------------------------


def _doubled_positions(function, F, A):
    return same(function(np.hstack([F, F]), 2 * A), function(F, A))


STYLE_LOSS = Exercise(
    style_loss,
    matrix_cases(lambda rng, N, M: (features(rng, N, M), gram_of(rng, N, M))),
    task=f"""Style loss of a layer.

{STYLE}

N and M are the sizes of F. A is used as it is given.""",
    hints=(
        "The squared differences of two Gram matrices, summed over both indices, times 1/(4 N² M²).",
        "N and M are the two sizes of F. Square every element of G − A by itself: it is no matrix product.",
    ),
    normaliser={"": 4, "N": 2, "M": 2},
    invariance=_doubled_positions,
)


@STYLE_LOSS.bug("missing-normaliser")
def _(F, A):
    return np.sum((F @ F.T - A) ** 2)


@STYLE_LOSS.bug(
    "wrong-operand",
    "1ᵀ(G − A)(G − A)ᵀ1 is not the sum of the squares, but the square of a sum for every row",
)
def _(F, A):
    N, M = F.shape
    D = F @ F.T - A
    one = np.ones(N)
    return one @ D @ D.T @ one / (4 * N**2 * M**2)


@STYLE_LOSS.bug("wrong-normaliser")
def _(F, A):
    N, M = F.shape
    return np.sum((F @ F.T - A) ** 2) / (4 * N * M)


STYLE_LOSS.recognise(
    ("square-of-sum", "(Σ (G − A))² instead of Σ (G − A)²", lambda F, A: np.sum(gram(F) - A) ** 2 / (4 * F.size**2)),
    ("missing-square", "Σ (G − A), without the square", lambda F, A: np.sum(gram(F) - A) / (4 * F.size**2)),
    (
        "missing-square",
        "magnitudes of G − A instead of squares",
        lambda F, A: np.sum(np.abs(gram(F) - A)) / (4 * F.size**2),
    ),
    (
        "wrong-operand",
        "the root of the sum is taken",
        lambda F, A: np.sqrt(np.sum((gram(F) - A) ** 2)) / (4 * F.size**2),
    ),
    *(
        (code, words, function)
        for code, words, function in _of_differences(lambda D, F: np.sum(D**2) / (4 * F.size**2))
        if "upper" not in words and "above" not in words  # the same, since D is symmetric
    ),
)


def _doubled_gradient(function, F, A):
    """Twice as many positions of the same texture: each has half of the influence on the same loss."""
    return same(function(np.hstack([F, F]), 2 * A)[:, : F.shape[1]], function(F, A) / 2)


STYLE_GRADIENT = Exercise(
    style_gradient,
    STYLE_LOSS.inputs,
    task=f"""Gradient of the style loss with respect to F.

{STYLE}

N and M are the sizes of F; A is constant. Return ∂E/∂F.""",
    hints=(
        "The chain rule in two steps: from E to G, then from G to F.",
        "∂E/∂G = (G − A)/(2 N² M²), which is symmetric; then both halves of the product rule are equal, and give a "
        "factor 2. Which of (G − A) F and Fᵀ(G − A) has the shape of F?",
    ),
    normaliser={"N": 2, "M": 2},
    terms=lambda F, A: {"G F": gram(F) @ F / F.size**2, "−A F": -A @ F / F.size**2},
    forward=lambda F, A: (lambda v: style_loss(v, A), F),
    invariance=_doubled_gradient,
)


@STYLE_GRADIENT.bug("missing-normaliser")
def _(F, A):
    return (F @ F.T - A) @ F


@STYLE_GRADIENT.bug("wrong-normaliser")
def _(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / (N * M)


@STYLE_GRADIENT.bug("constant-factor")
def _(F, A):
    N, M = F.shape
    return (F @ F.T - A) @ F / (4 * N**2 * M**2)


@STYLE_GRADIENT.bug("constant-factor")
def _(F, A):
    N, M = F.shape
    dG = (F @ F.T - A) / (2 * N**2 * M**2)
    return dG @ F


@STYLE_GRADIENT.bug("transposed", "Fᵀ(G − A) is M×N: its element _ji belongs to F_ij")
def _(F, A):
    N, M = F.shape
    return F.T @ (F @ F.T - A) / (N**2 * M**2)


@STYLE_GRADIENT.bug("sign")
def _(F, A):
    N, M = F.shape
    return (A - F @ F.T) @ F / (N**2 * M**2)


@STYLE_GRADIENT.bug("raises")
def _(F, A):
    N, M = F.shape
    return (F.T @ F - A) @ F / (N**2 * M**2)


@STYLE_GRADIENT.bug("accumulates")
def _(F, A, gradients={}):  # noqa: B006
    N, M = F.shape
    gradients[N, M] = gradients.get((N, M), 0) + (F @ F.T - A) @ F / (N**2 * M**2)
    return gradients[N, M]


def _reshaped(F, A):
    return (F.T @ (gram(F) - A)).reshape(F.shape) / F.size**2


STYLE_GRADIENT.recognise(
    ("wrong-operand", "it is multiplied by G once too often", lambda F, A: (gram(F) - A) @ gram(F) @ F / F.size**2),
    ("wrong-operand", "it ends at G − A: F is missing", lambda F, A: (gram(F) - A) / F.size**2),
    ("wrong-operand", "the square has not been differentiated", lambda F, A: (gram(F) - A) ** 2 @ F / F.size**2),
    ("missing-square", "it is the gradient of Σ |G − A|", lambda F, A: np.sign(gram(F) - A) @ F / F.size**2),
    ("wrong-operand", "A takes the place of F", lambda F, A: (gram(F) - A) @ A / F.size**2),
    ("wrong-reshape", "Fᵀ(G − A) is reshaped where it must be transposed", lambda F, A: _reshaped(F, A)),
    *_of_differences(lambda D, F: D @ F / F.size**2),
)

# With channels last ---------------------------------------------------------------------------------------------------


def style_gradient_of_map(a: np.ndarray, A: np.ndarray) -> np.ndarray:
    """Gradient of the style loss with respect to a response with channels last, in the shape of the response.

    F is a view of a, its positions in reading order (`feature_matrix`). So the gradient with respect to a has the same
    numbers as that with respect to F, and they go back on the same way: transposed, then to the shape of a. With
    M = H · W positions,

    ∂E/∂a[h, w, i] = ∂E/∂F_ij = 1/(N² M²) ((G − A) F)_ij,  j = h·W + w

    Parameters
    ----------
    a : ndarray, shape (H, W, N)
        Response of a layer to the generated image.
    A : ndarray, shape (N, N)
        Gram matrix of the style image, for M = H · W positions.

    Returns
    -------
    ndarray, shape (H, W, N)

    Examples
    --------
    >>> style_gradient_of_map(np.ones((2, 2, 1)), np.array([[2.0]]))[:, :, 0]
    array([[0.125, 0.125],
           [0.125, 0.125]])
    """
    return style_gradient(feature_matrix(a), A).T.reshape(a.shape)


def _height_and_width_swapped(function, a, A):
    return same(function(a.swapaxes(0, 1), A).swapaxes(0, 1), function(a, A))


OF_MAP = Exercise(
    style_gradient_of_map,
    map_cases(lambda rng, H, W, N: (features(rng, H, W, N), gram_of(rng, N, H * W))),
    task=f"""Gradient of the style loss with respect to a response with channels last.

{STYLE}

where F is the feature matrix of a: F[i, j] = a[h, w, i] with j = h · W + w, so M = H · W. A is
constant. Return ∂E/∂a, in the shape of a.""",
    hints=(
        "Reshape a to N × M, take the gradient there, and reshape it back the same way.",
        "a.reshape(-1, N).T on the way in; .T.reshape(a.shape) on the way out. M = H · W.",
    ),
    normaliser={"N": 2, "H": 2, "W": 2},
    terms=lambda a, A: {
        "G F": style_gradient_of_map(a, 0 * A),
        "−A F": style_gradient_of_map(a, A) - style_gradient_of_map(a, 0 * A),
    },
    forward=lambda a, A: (lambda v: style_loss(feature_matrix(v), A), a),
    invariance=_height_and_width_swapped,
)


@OF_MAP.bug("wrong-reshape", f"{RESHAPE}; here in both directions")
def _(a, A):
    H, W, N = a.shape
    F = a.reshape(N, H * W)
    return ((F @ F.T - A) @ F / (N * H * W) ** 2).reshape(H, W, N)


@OF_MAP.bug("wrong-reshape", "the gradient N×M must be transposed before it gets the shape of a")
def _(a, A):
    H, W, N = a.shape
    F = a.reshape(-1, N).T
    return ((F @ F.T - A) @ F / (N * H * W) ** 2).reshape(H, W, N)


@OF_MAP.bug("wrong-normaliser")
def _(a, A):
    H, W, N = a.shape
    M = H  # * W
    F = a.reshape(-1, N).T
    return ((F @ F.T - A) @ F / (N * M) ** 2).T.reshape(H, W, N)


def _ways():
    """Into F and back: the axes in some order before and after a reshape, most of them wrong."""
    ways_in = {f"a.transpose{order}.reshape(N, -1)": _into(order) for order in permutations(range(3))}
    ways_out = {
        ".T.reshape(a.shape)": lambda g, H, W, N: g.T.reshape(H, W, N),
        ".reshape(a.shape)": lambda g, H, W, N: g.reshape(H, W, N),
        ".reshape(N, H, W).transpose(1, 2, 0)": lambda g, H, W, N: g.reshape(N, H, W).transpose(1, 2, 0),
        ".reshape(N, W, H).transpose(2, 1, 0)": lambda g, H, W, N: g.reshape(N, W, H).transpose(2, 1, 0),
        ".T.reshape(W, H, N).transpose(1, 0, 2)": lambda g, H, W, N: g.T.reshape(W, H, N).transpose(1, 0, 2),
    }
    right = {("a.transpose(2, 0, 1)", 0), ("a.transpose(2, 0, 1)", 2), ("a.transpose(2, 1, 0)", 3)}
    right.add(("a.transpose(2, 1, 0)", 4))
    for (there, into), (k, (back, out)) in product(ways_in.items(), enumerate(ways_out.items())):
        if (there.partition(".reshape")[0], k) not in right:
            yield (
                "wrong-reshape",
                f"it is {there} on the way in and {back} on the way out, or the same",
                _way(into, out),
            )


def _into(order):
    return lambda a: a.transpose(order).reshape(a.shape[2], -1)


def _way(into, out):
    return lambda a, A: out(style_gradient(into(a), A), *a.shape)


OF_MAP.recognise(
    ("wrong-reshape", f"{RESHAPE}; here on the way in", lambda a, A: style_gradient(_mixed(a), A).T.reshape(a.shape)),
    *_ways(),
    *(
        (code, words, lambda a, A, change=change: change(feature_matrix(a), A).T.reshape(a.shape))
        for code, words, change in _of_differences(lambda D, F: D @ F / F.size**2)
        if code != "transposed"  # raises
    ),
    ("wrong-shape", "this is the gradient in the shape of F", lambda a, A: style_gradient(feature_matrix(a), A)),
)
