"""The solutions in tests/solutions are what they are said to be, and the checker tells them apart and says why."""

import contextlib
import io
import math
import warnings
from collections import Counter

import numpy as np
import pytest
from solutions import SOLUTIONS

from nst_numpy import exercises

# --- What is right, in loops, from the formulas of the sheet ---


def convolution_terms(height, width):
    """Every (output row, output column, kernel row, kernel column, input row, input column) that meet."""
    for r in range(height):
        for s in range(width):
            for i in range(3):
                for j in range(3):
                    p, q = r + i - 1, s + j - 1
                    if 0 <= p < height and 0 <= q < width:
                        yield r, s, i, j, p, q


def relu_backward(dy, x):
    dx = np.zeros(dy.shape)
    for n in np.ndindex(dy.shape):
        if x[n] > 0:
            dx[n] = dy[n]
    return dx


def conv_backward_input(dy, kernel):
    dx = np.zeros((*dy.shape[:2], kernel.shape[2]))
    for r, s, i, j, p, q in convolution_terms(*dy.shape[:2]):
        for c in range(kernel.shape[2]):
            for k in range(kernel.shape[3]):
                dx[p, q, c] += dy[r, s, k] * kernel[i, j, c, k]
    return dx


def conv_backward_kernel(dy, x):
    dkernel = np.zeros((3, 3, x.shape[2], dy.shape[2]))
    for r, s, i, j, p, q in convolution_terms(*dy.shape[:2]):
        for c in range(x.shape[2]):
            for k in range(dy.shape[2]):
                dkernel[i, j, c, k] += dy[r, s, k] * x[p, q, c]
    return dkernel


def conv_backward_bias(dy):
    dbias = np.zeros(dy.shape[2])
    for r, s, k in np.ndindex(dy.shape):
        dbias[k] += dy[r, s, k]
    return dbias


def max_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for r, s, c in np.ndindex(dy.shape):
        places = [(r * stride + i, s * stride + j, c) for i in range(window) for j in range(window)]
        dx[max(places, key=lambda place: x[place])] += dy[r, s, c]  # max returns the first of equal ones
    return dx


def average_pool_backward(dy, x, window=2, stride=2):
    dx = np.zeros(x.shape)
    for r, s, c in np.ndindex(dy.shape):
        for i in range(window):
            for j in range(window):
                dx[r * stride + i, s * stride + j, c] += dy[r, s, c] / window**2
    return dx


def content_loss(F, P):
    return math.fsum(0.5 * float(F[n] - P[n]) ** 2 for n in np.ndindex(F.shape))


def content_gradient(F, P):
    gradient = np.zeros(F.shape)
    for n in np.ndindex(F.shape):
        gradient[n] = F[n] - P[n]
    return gradient


def feature_matrix(a):
    F = np.zeros((a.shape[2], a.shape[0] * a.shape[1]))
    for h, w, i in np.ndindex(a.shape):
        F[i, h * a.shape[1] + w] = a[h, w, i]
    return F


def gram(F):
    G = np.zeros((len(F), len(F)))
    for i, j in np.ndindex(G.shape):
        G[i, j] = math.fsum(F[i, k] * F[j, k] for k in range(F.shape[1]))
    return G


def gram_backward(dG, F):
    dF = np.zeros(F.shape)
    for k, l in np.ndindex(dG.shape):
        for m in range(F.shape[1]):
            dF[k, m] += dG[k, l] * F[l, m]
            dF[l, m] += dG[k, l] * F[k, m]
    return dF


def style_loss(F, A):
    G = gram(F)
    N, M = F.shape
    return math.fsum((G[n] - A[n]) ** 2 for n in np.ndindex(G.shape)) / (4 * N * N * M * M)


def style_gradient(F, A):
    N, M = F.shape
    G = gram(F)
    dG = np.zeros((N, N))
    for n in np.ndindex(G.shape):
        dG[n] = 2 * (G[n] - A[n]) / (4 * N * N * M * M)
    return gram_backward(dG, F)


def style_gradient_of_map(a, A):
    dF = style_gradient(feature_matrix(a), A)
    da = np.zeros(a.shape)
    for h, w, i in np.ndindex(a.shape):
        da[h, w, i] = dF[i, h * a.shape[1] + w]
    return da


def total_variation_gradient(x):
    dx = np.zeros(x.shape)
    for i, j, c in np.ndindex(x.shape):
        for p, q in ((i + 1, j), (i, j + 1)):
            if p < x.shape[0] and q < x.shape[1]:
                difference = x[p, q, c] - x[i, j, c]
                dx[p, q, c] += difference
                dx[i, j, c] -= difference
    return dx


def total_gradient(F, P, A, alpha, beta):
    content, style = content_gradient(F, P), style_gradient(F, A)
    gradient = np.zeros(F.shape)
    for n in np.ndindex(F.shape):
        gradient[n] = alpha * content[n] + beta * style[n]
    return gradient


def gradient_step(x, gradient, learning_rate):
    new = np.zeros(x.shape)
    for n in np.ndindex(x.shape):
        new[n] = x[n] - learning_rate * gradient[n]
    return new


REFERENCES = [relu_backward, conv_backward_input, conv_backward_kernel, conv_backward_bias, max_pool_backward]
REFERENCES += [average_pool_backward, content_loss, content_gradient, feature_matrix, gram, gram_backward, style_loss]
REFERENCES += [style_gradient, style_gradient_of_map, total_variation_gradient, total_gradient, gradient_step]
REFERENCES = {function.__name__: function for function in REFERENCES}

# --- Ordinary arguments ---

CONVOLUTIONS = [(5, 4, 2, 3), (4, 6, 3, 2), (3, 5, 2, 2)]  # H, W, C, K
POOLS = [(4, 6, 2, 2, 2), (5, 7, 3, 2, 2), (5, 6, 2, 3, 2), (6, 5, 2, 3, 1), (7, 6, 1, 2, 3), (6, 9, 2, 3, 3)]
FEATURES = [(3, 8), (5, 4), (2, 6)]
MAPS = [(3, 4, 2), (4, 3, 5), (5, 6, 3)]


def arguments(exercise: str):
    """Draw arguments of an exercise: of several sizes, with zeros and equal elements where a ReLU makes them."""
    rng = np.random.default_rng(0)

    def normal(*shape):
        return rng.normal(size=shape) * 2

    def rectified(*shape):
        return np.maximum(normal(*shape), 0)

    def positive(*shape):
        """Features after a ReLU, away from its kink."""
        return np.abs(normal(*shape)) + 0.1

    def style(N):
        return gram(normal(N, 7))

    if exercise == "relu_backward":
        for shape in [(6,), (4, 5), (3, 4, 2)]:
            yield normal(*shape), normal(*shape)
            yield normal(*shape), rectified(*shape)
    elif exercise == "conv_backward_input":
        yield from ((normal(H, W, K), normal(3, 3, C, K)) for H, W, C, K in CONVOLUTIONS)
    elif exercise == "conv_backward_kernel":
        yield from ((normal(H, W, K), normal(H, W, C)) for H, W, C, K in CONVOLUTIONS)
    elif exercise == "conv_backward_bias":
        yield from ((normal(*shape),) for shape in MAPS)
    elif exercise in ("max_pool_backward", "average_pool_backward"):
        for H, W, C, window, stride in POOLS:
            dy = normal((H - window) // stride + 1, (W - window) // stride + 1, C)
            yield dy, normal(H, W, C), window, stride
            if window == stride or exercise == "average_pool_backward":
                yield dy.copy(), np.round(rectified(H, W, C)), window, stride
    elif exercise in ("content_loss", "content_gradient"):
        for shape in FEATURES:
            F = positive(*shape)
            yield F, positive(*shape)
            yield F.copy(), np.where(rng.random(shape) < 0.2, F, rectified(*shape))
    elif exercise == "feature_matrix":
        yield from ((normal(*shape),) for shape in MAPS)
    elif exercise == "gram":
        yield from ((normal(*shape),) for shape in FEATURES)
        yield (np.vstack([rectified(2, 6), np.zeros((1, 6))]),)  # a filter that does not respond
    elif exercise == "gram_backward":
        yield from ((normal(N, N), normal(N, M)) for N, M in FEATURES)
    elif exercise in ("style_loss", "style_gradient"):
        yield from ((positive(N, M), style(N)) for N, M in FEATURES)
    elif exercise == "style_gradient_of_map":
        yield from ((positive(*shape), style(shape[-1])) for shape in MAPS)
    elif exercise == "total_variation_gradient":
        yield from ((normal(*shape),) for shape in MAPS)
        yield (np.round(normal(4, 6, 2)),)
    elif exercise == "total_gradient":
        yield from ((positive(N, M), positive(N, M), style(N), 0.7, 30.0) for N, M in FEATURES)
    elif exercise == "gradient_step":
        yield from ((normal(*shape), normal(*shape), 0.3) for shape in MAPS)
        yield rectified(4, 3), normal(4, 3), 2.5
    else:
        raise ValueError(exercise)


FEATURES_FIRST = {"content_loss", "content_gradient", "style_loss", "style_gradient", "style_gradient_of_map"}
FEATURES_FIRST |= {"total_gradient"}


def is_right(exercise, values, found, expected) -> bool:
    """Whether a result is right: at a kink, any subgradient is."""
    found = np.array(found, float)
    if exercise == "relu_backward":
        dy, x = values
        inside = (found * dy >= 0) & (np.abs(found) <= 1.00001 * np.abs(dy))
        found = np.where((x == 0) & inside, expected, found)
    if exercise == "max_pool_backward":
        dy, x, window, stride = values
        if window == stride:  # windows that do not overlap: what the largest get is dy, together
            for h, w, c in np.ndindex(dy.shape):
                part = np.s_[h * stride : (h + 1) * stride, w * stride : (w + 1) * stride, c]
                largest = x[part] == x[part].max()
                if abs(found[part][largest].sum() - dy[h, w, c]) < 1e-5 * np.abs(dy).max():
                    found[part] = np.where(largest, expected[part], found[part])
    return bool(np.max(np.abs(found - expected)) <= 1e-5 * np.max(np.abs(expected)))


def fault(solution) -> str:
    """What is wrong with a solution on ordinary arguments; empty if nothing is."""
    reference = REFERENCES[solution.exercise]
    for drawn in arguments(solution.exercise):
        other = 0.5 if solution.exercise in FEATURES_FIRST else -0.5
        others = tuple(other * value if isinstance(value, np.ndarray) else value for value in drawn)
        for call, values in [("first", drawn), ("second", others), ("third", drawn)]:
            expected = reference(*values)
            given = [value.copy() if isinstance(value, np.ndarray) else value for value in values]
            kept = list(given)
            try:
                with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(action="ignore"):
                    found = solution.function(*given)
            except Exception as error:
                return f"raises {type(error).__name__}"
            for value, before in zip(kept, values, strict=True):
                if isinstance(value, np.ndarray) and (value.shape != before.shape or not np.array_equal(value, before)):
                    return "changes an argument"
            try:
                number = np.array(found).astype(complex)
            except (TypeError, ValueError):
                return f"returns {type(found).__name__}"
            if number.shape != np.shape(expected):
                return "another shape"
            if not np.all(np.isfinite(number)):
                return "not finite"
            if np.any(number.imag) or not is_right(solution.exercise, values, number.real, expected):
                return f"another value in the {call} call"
    return ""


def identify(solution) -> str:
    return f"{solution.place}:{solution.exercise}"


@pytest.mark.parametrize("solution", [s for s in SOLUTIONS if not s.codes], ids=identify)
def test_right_solutions_are_right(solution):
    assert fault(solution) == ""


@pytest.mark.parametrize("solution", [s for s in SOLUTIONS if s.codes and s.codes != ("numerical",)], ids=identify)
def test_wrong_solutions_are_wrong(solution):
    assert fault(solution) != ""


def test_places_are_unique():
    assert max(Counter(solution.place for solution in SOLUTIONS).values()) == 1


# --- What the checker says of them ---

NAMED = 0.9  # share of the wrong ones whose cause is named


@pytest.fixture(scope="module")
def verdicts(request):
    """Of each solution: what became of it, and the words for the list of those that went wrong.

    Every eighth, or all with --solutions.
    """
    found = []
    for solution in SOLUTIONS[:: 1 if request.config.getoption("--solutions") else 8]:
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                report = exercises.check(solution.exercise, solution.function)
        except Exception as error:
            found.append((solution, "exception", f"{type(error).__name__}: {error}"))
            continue
        diagnosis = ", ".join(report.diagnosis) or "nothing"
        if report.passed:
            kind = "missed" if solution.codes else "accepted"
        elif not solution.codes:
            kind = "rejected"
        elif set(report.diagnosis) & set(solution.codes):
            kind = "named"
        elif set(report.diagnosis) <= {"unknown"}:
            kind = "unknown"
        else:
            kind = "named otherwise"
        found.append((solution, kind, diagnosis))
    return found


def table(verdicts) -> str:
    """Counts by exercise, then every solution that was not named or accepted, by place."""
    columns = ["caught", "named", "unknown", "named otherwise", "missed", "right", "accepted", "exception"]
    counts = {exercise: Counter() for exercise in REFERENCES}
    for solution, kind, _ in verdicts:
        for key in (solution.exercise, "all"):
            count = counts.setdefault(key, Counter())
            count[kind] += 1
            count["wrong" if solution.codes else "right"] += 1
            count["caught"] += kind in ("named", "unknown", "named otherwise")
    lines = [f"{'exercise':26}{'wrong':>7}" + "".join(f"{column:>{len(column) + 3}}" for column in columns)]
    for exercise, count in counts.items():
        numbers = "".join(f"{count[column]:>{len(column) + 3}}" for column in columns)
        lines.append(f"{exercise:26}{count['wrong']:>7}{numbers}")
    for kind in ("missed", "rejected", "exception", "unknown", "named otherwise"):
        listed = [(solution, words) for solution, of, words in verdicts if of == kind]
        lines += [f"\n{kind}: {len(listed)}"] * bool(listed)
        for solution, words in listed:
            lines.append(
                f"  {solution.place:20} {solution.exercise:25} {', '.join(solution.codes) or 'right'} | {words}"
            )
    return "\n".join(lines)


def test_the_checker_tells_wrong_solutions_from_right_ones_and_names_the_mistakes(verdicts, capsys):
    with capsys.disabled():
        print("\n" + table(verdicts))
    kinds = Counter(kind for _, kind, _ in verdicts)
    missed = {(solution.exercise, *solution.codes) for solution, kind, _ in verdicts if kind == "missed"}
    assert missed <= {("conv_backward_input", "numerical"), ("conv_backward_kernel", "numerical")}, "linear: exact"
    assert (kinds["exception"], kinds["rejected"]) == (0, 0)
    assert kinds["named"] >= NAMED * sum(bool(solution.codes) for solution, _, _ in verdicts)
