"""The checker of the exercises: right functions pass, however they are written; broken ones are told what is wrong."""

import contextlib
import csv
import dataclasses
import inspect
import io
import itertools
import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from nst_numpy import exercises, layers, losses
from nst_numpy.cli import main
from nst_numpy.exercises import changes, diagnosis
from nst_numpy.exercises.checker import SubmissionFailed
from nst_numpy.exercises.model import Case
from nst_numpy.exercises.solutions import solution
from nst_numpy.exercises.topics import EXERCISES

MISTAKES = [(name, mistake) for name, exercise in EXERCISES.items() for mistake in exercise.mistakes]


@pytest.mark.parametrize("name", exercises.names())
def test_the_librarys_own_functions_pass(name):
    report = exercises.check(name, EXERCISES[name].function)
    assert report and report.diagnosis == [] and report.caught_by == [] and report.message == "passed"


@pytest.mark.parametrize("name", exercises.names())
def test_the_stub_with_its_solution_passes(name):
    """What a student is given, filled in as in the teacher's version; it needs nothing but NumPy."""
    stub = exercises.start([name])
    assert stub.count("raise NotImplementedError") == 1
    namespace = {}
    exec(stub.replace("    raise NotImplementedError", solution(name)), namespace)
    assert {key for key in namespace if not key.startswith("__")} == {"np", name} and "import" not in solution(name)
    report = exercises.check(name, namespace[name])
    assert report.passed and namespace[name] is not EXERCISES[name].function, report.message


@pytest.mark.parametrize("name", exercises.names())
def test_hints(name):
    question, approach, derivation = (exercises.hint(name, step) for step in (1, 2, 3))
    assert exercises.hint(name) == question and (question, approach) == EXERCISES[name].hints
    docstring = inspect.getdoc(EXERCISES[name].function)
    assert derivation in docstring and len(derivation) > 40 and "Parameters" not in derivation


def test_stubs_do_not_give_the_derivation_away():
    text = exercises.start()
    assert re.findall(r"^def (\w+)\(", text, re.MULTILINE) == exercises.names()
    for name in exercises.names():
        derivation = exercises.hint(name, 3)
        assert "\n" not in derivation or derivation.splitlines()[0] not in text


def test_notebooks(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "start", "-o", "sheet.ipynb"]) == 0
    book = json.loads(Path("sheet.ipynb").read_text())
    assert book["nbformat"] == 4 and len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    namespace = {}
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            exec(cell["source"], namespace)
    assert capsys.readouterr().out.endswith("".join(f"{name}: not yet written\n" for name in exercises.names()))
    with pytest.raises(NotImplementedError):
        namespace["gram"](np.ones((2, 3)))
    assert main(["exercise", "start", "gram", "style_loss", "-o", "two.ipynb"]) == 0
    assert Path("two.ipynb").read_text() == json.dumps(exercises.notebook(["gram", "style_loss"]), indent=1) + "\n"


# The broken ones ------------------------------------------------------------------------------------------------------


def test_there_are_enough_bugs():
    bugs = exercises.bugs()
    assert [bug.number for bug in bugs] == list(range(1, len(bugs) + 1)) and len(bugs) >= 63
    assert {bug.exercise for bug in bugs} == set(exercises.names())
    codes = {code for bug in bugs for code in bug.answer().diagnosis}
    assert set(exercises.CODES) - codes <= {"not-finite", "unknown", "numerical", "rounded", "signature"}


def has_a_twin(name, mistake, report):
    """Whether the words are those of a mistake that gives the same numbers on every input."""
    exercise = EXERCISES[name]
    twins = [m for m in exercise.mistakes if m.words and report.message.startswith(f"{MISTAKE}{m.words}")]
    twin = max(twins, key=lambda mistake: len(mistake.words))
    for case in exercise.cases():
        results = []
        for function in (twin.function, mistake.function):
            with contextlib.suppress(Exception):
                results.append(function(*case.arguments, **case.options))
        if len(results) == 1 or (results and not np.allclose(*results)):
            return False
    return True


MISTAKE = "The numbers are those of this mistake: "


@pytest.mark.parametrize("name, mistake", MISTAKES, ids=[f"{name}: {m.words or m.code}" for name, m in MISTAKES])
def test_every_mistake_is_named_in_its_own_words(name, mistake):
    """No other mistake takes its place, none is taken for right, none is a mistake by accident."""
    report = exercises.check(name, mistake.function)
    assert not report and report.caught_by and mistake.code in report.diagnosis, report
    assert "unknown" not in report.diagnosis and exercises.CODES[mistake.code] in report.message
    assert f"{mistake.words}. " in report.message or not mistake.words or has_a_twin(name, mistake, report)
    assert mistake.readable or mistake.words, "what neither the game nor a diagnosis needs"


BUGS = list(zip(exercises.bugs(), (mistake for _, mistake in MISTAKES if mistake.readable), strict=True))


@pytest.mark.parametrize("bug, mistake", BUGS, ids=[f"{bug.number}-{bug.exercise}" for bug, _ in BUGS])
def test_every_bug_is_its_source(bug, mistake):
    """A student reads what is checked, and not what is wrong with it."""
    question, head, *body = str(bug).splitlines()
    assert question == f"# bug {bug.number}, {bug.exercise}: what is wrong here?"
    written = inspect.getsource(mistake.function).replace("  # noqa: B006", "")
    assert head.startswith(f"def {bug.exercise}(") and written.endswith("\n".join([head.partition("(")[2], *body, ""]))
    assert mistake.code not in str(bug) and (not mistake.words or mistake.words not in str(bug))
    report = bug.answer()
    assert mistake.code in report.diagnosis and report == bug.answer(), "twice the same, also where state is kept"
    codes, caught = ", ".join(f"`{code}`" for code in report.diagnosis), ", ".join(report.caught_by)
    row = f"| {bug.number} | `{bug.exercise}` | {codes} | {caught} |"
    assert row in (Path(__file__).parents[1] / "docs/exercises.md").read_text().splitlines()


def test_bugs_by_name():
    assert {bug.exercise for bug in exercises.bugs("gram")} == {"gram"}
    assert exercises.bugs(["gram", "relu_backward"]) == exercises.bugs("relu_backward") + exercises.bugs("gram")


@pytest.mark.parametrize(
    "name, function, codes",
    [
        ("style_gradient", lambda F, A: -0.25 * losses.style_gradient(F, A), ["constant-factor"]),
        ("style_gradient", lambda F, A: -(F @ F.T - A) @ F, ["missing-normaliser", "sign"]),
        ("style_loss", lambda F, A: np.sum((F @ F.T - A) ** 2) / F.size**2, ["constant-factor"]),
        ("style_loss", lambda F, A: np.sum((F @ F.T - A) ** 2) / 4, ["missing-normaliser", "constant-factor"]),
        ("relu_backward", lambda dy, x: 2 * dy, ["constant-factor", "wrong-relu-mask"]),
        ("gram_backward", lambda dG, F: 0.5 * (dG + dG.T) @ F, ["constant-factor"]),
        ("content_gradient", lambda F, P: (F - P) * np.nan, ["not-finite"]),
        ("content_gradient", lambda F, P: F - P + 0.1 * F**3, ["unknown"]),
        ("content_gradient", lambda F, P: None, ["wrong-shape"]),
        ("content_gradient", lambda F, P: "F - P", ["wrong-shape"]),
        ("content_gradient", lambda F, P: (F - P, 0.0), ["wrong-shape"]),
        ("content_gradient", lambda F, P: [[1.0], [2.0, 3.0]], ["wrong-shape"]),
        ("content_gradient", lambda F: F, ["signature"]),
        ("max_pool_backward", lambda dy, x: layers.max_pool_backward(dy, x), ["signature"]),
        ("conv_backward_input", lambda dy, kernel: layers.conv_backward_input(dy, kernel)[1:-1, 1:-1], ["wrong-shape"]),
    ],
)
def test_combinations_and_others(name, function, codes):
    assert exercises.check(name, function).diagnosis == codes


def test_evidence_in_words():
    def as_if_M_were_H(a, A):
        return a.shape[1] ** 2 * EXERCISES["style_gradient_of_map"].function(a, A)

    message = exercises.check("style_gradient_of_map", as_if_M_were_H).message
    assert "The result is W² times the right one, as if M were H instead of H · W" in message
    message = exercises.check("style_gradient", lambda F, A: losses.style_gradient(F, A) / 4).message
    assert "1/4 times the right one" in message and "product rule" in message
    message = exercises.check("gram_backward", lambda dG, F: dG @ F / 4).message
    assert "dG F is 1/4 times what it should be" in message and "dGᵀ F is missing" in message
    message = exercises.check(
        "content_gradient", lambda F, P: F - P + (np.arange(F.size) == 2).reshape(F.shape)
    ).message
    assert "For N = 1 filters, M = 6 positions, 17% of the values are wrong" in message
    square_only = exercises.check("gram", lambda F: F @ F.T + (len(F) != F.shape[1])).message
    assert "it is right for N = 4 filters, M = 4 positions" in square_only


def test_the_table_of_codes():
    page = (Path(__file__).parents[1] / "docs/exercises.md").read_text()
    assert re.findall(r"^\| `([\w-]+)` \| (.*) \|$", page, re.MULTILINE) == list(exercises.CODES.items())


def test_the_failing_input_can_be_run_again():
    function = lambda F, A: -losses.style_gradient(F, A)  # noqa: E731
    case = exercises.check("style_gradient", function).case
    np.testing.assert_array_equal(function(*case.arguments, **case.options), case.got)
    np.testing.assert_array_equal(losses.style_gradient(*case.arguments), case.expected)
    assert case.label == "N = 1 filters, M = 6 positions" and exercises.check("gram", losses.gram).case is None


def test_expected_beside_found():
    """The first rows and columns of both, as a student would print them."""
    function = lambda F: losses.gram(F) + np.sin(losses.gram(F))  # noqa: E731
    report = exercises.check("gram", function)
    expected, found = report.message.split("found", 1)[0].split("expected", 1)[1], report.message.split("found", 1)[1]
    for text, values in ((expected, report.case.expected), (found, report.case.got)):
        printed = [[float(number) for number in line.split()] for line in text.splitlines() if re.match(r" +\S", line)]
        np.testing.assert_allclose(printed, values[:4, :5], rtol=1e-3)


# Inputs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", exercises.names())
def test_hidden_inputs(name):
    """Another seed: other numbers and sizes of the same kinds. The same seed: the same inputs."""
    exercise = EXERCISES[name]
    usual, hidden = exercise.cases(), exercise.cases(5)
    assert len(usual) == len(hidden) and exercise.cases(5) is hidden
    for a, b in zip(hidden, exercise.inputs(5), strict=True):
        assert a.label == b.label and all(map(np.array_equal, a.arguments, b.arguments))
    for a, b in zip(usual, hidden, strict=True):
        assert a.options == b.options and not all(map(np.array_equal, a.arguments, b.arguments))
        for x, y in zip(a.arguments, b.arguments, strict=True):
            assert np.ndim(x) == np.ndim(y)
            ones = [n == 1 for n in np.shape(x)]
            assert ones == [n == 1 for n in np.shape(y)], "a single pixel stays one"
    for seed in range(10):
        assert exercises.check(name, exercise.function, seed=seed), seed


@pytest.mark.parametrize("name, mistake", MISTAKES[::3], ids=[f"{n}: {m.words or m.code}" for n, m in MISTAKES[::3]])
def test_mistakes_are_found_on_hidden_inputs(name, mistake):
    report = exercises.check(name, mistake.function, seed=11)
    assert not report and mistake.code in report.diagnosis, report


def test_bad_seeds():
    with pytest.raises(TypeError, match="seed must be a whole number of at least 0, found 'x'"):
        exercises.check("gram", losses.gram, seed="x")
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, found -1"):
        exercises.check("gram", losses.gram, seed=-1)


# Numbers and calls ----------------------------------------------------------------------------------------------------


def differences(f, x, h=1e-5):
    dx = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        step = np.zeros_like(x)
        step[index] = h
        dx[index] = (f(x + step) - f(x - step)) / (2 * h)
    return dx


GRADIENTS = [name for name, exercise in EXERCISES.items() if exercise.forward]


LINEAR = {"conv_backward_input", "conv_backward_kernel", "conv_backward_bias"}  # their differences are exact


@pytest.mark.parametrize("name", [name for name in GRADIENTS if name not in LINEAR | {"max_pool_backward"}])
@pytest.mark.parametrize("h", [1e-4, 1e-5, 1e-6])
def test_finite_differences_are_no_solution(name, h):
    def numerical(*arguments, **options):
        f, x = EXERCISES[name].forward(*arguments)
        if options:
            pool = getattr(layers, name.replace("backward", "forward"))
            f, x = lambda v: float(np.sum(arguments[0] * pool(v, **options))), arguments[1]
        return differences(f, x, h)

    numerical.__signature__ = inspect.signature(EXERCISES[name].function)
    report = exercises.check(name, numerical)
    assert report.diagnosis == ["numerical"], report


@pytest.mark.parametrize("name", GRADIENTS)
def test_float32_is_not_taken_for_finite_differences(name):
    function = EXERCISES[name].function

    def small(*arguments, **options):
        return function(*map(np.float32, arguments), **options).astype(np.float64) * np.float64(1)

    small.__signature__ = inspect.signature(function)
    assert exercises.check(name, small)


@pytest.mark.parametrize(
    "function, passed, words",
    [
        (lambda F: (F @ F.T).astype(complex), True, "passed"),
        (lambda F: (F @ F.T).astype(object), True, "passed"),
        (lambda F: (F @ F.T).tolist(), True, "passed"),
        (lambda F: np.matrix(F @ F.T), True, "passed"),
        (lambda F: F @ F.T + 1j, False, "The result is complex"),
        (lambda F: np.full((len(F), len(F)), None), False, "found ndarray"),
        (lambda F: {}, False, "found dict"),
        (lambda F: (0.0, F @ F.T), False, "returns a tuple of 2; return the result alone"),
        (lambda F: 0 * F @ F.T, False, "Every value is 0"),
    ],
)
def test_what_is_returned(function, passed, words):
    report = exercises.check("gram", function)
    assert report.passed == passed and words in report.message


def test_errors_name_the_line():
    def gram(F):
        G = F @ F.T
        return G / helper(F)

    def helper(F):
        return 1 // 0

    line = inspect.getsourcelines(helper)[1] + 1
    message = exercises.check("gram", gram).message
    assert message.startswith(
        f"ZeroDivisionError: integer division or modulo by zero, in line {line}: return 1 // 0 (for "
    )


def test_functions_that_run_elsewhere():
    calls = []

    def gram(F):
        calls.append(F)
        raise SubmissionFailed("no more", fatal=len(calls) == 2)

    report = exercises.check("gram", gram)
    assert report.diagnosis == ["raises"] and len(calls) == 3, "once more for its invariance"
    assert report.message.startswith("no more (for N = 3 filters, M = 8 positions), and 1 more like it. ")


def test_errors_of_libraries_name_the_students_line():
    def of_numpy(F):
        return np.linalg.inv(F[:1])

    def of_the_package(F):
        return layers.conv_forward(F, F, F)

    for function, error in ((of_numpy, "LinAlgError"), (of_the_package, "ValueError")):
        lines, first = inspect.getsourcelines(function)
        message = exercises.check("gram", function).message
        assert message.startswith(f"{error}: ") and f", in line {first + 1}: {lines[1].strip()} (for N = " in message


def test_calls_that_fail_later():
    """What raises at the second call only has come to a result at the first."""
    calls = []

    def once(F):
        calls.append(F)
        return F @ F.T if len(calls) == 1 else calls[10**6]

    report = exercises.check("gram", once)
    assert report.diagnosis == ["raises"] and report.message.startswith("IndexError: list index out of range, in line ")


def test_what_remembers_earlier_calls():
    """Right at every first call, and not at the next; or right once for every shape."""
    calls, results = [], {}

    def every_other(F):
        calls.append(F)
        return F @ F.T + (len(calls) % 2 == 0)

    def by_shape(F):
        return results.setdefault(F.shape, F @ F.T)

    report = exercises.check("gram", every_other)
    assert report.diagnosis == ["accumulates"] and report.message.startswith(
        "A second call returns something else (for "
    )
    report = exercises.check("gram", by_shape)
    assert report.diagnosis == ["accumulates"]
    assert report.message.startswith("For other numbers in arrays of the same shapes, it returns something wrong. ")


def test_where_it_is_not_finite():
    def nowhere(F):
        G = F @ F.T
        G[-1, 0] = np.inf
        return G

    message = exercises.check("gram", nowhere).message
    assert re.match(
        r"The first value that is not finite is at \(2, 0\) \(for N = 3 filters, M = \d positions\)\. ", message
    )
    loss = exercises.check("content_loss", lambda F, P: np.nan).message
    assert loss.startswith("The result is not finite (for ")


def test_a_report_as_an_object():
    """Its message is sentences; two reports are compared without the arrays of their examples."""
    one, two = (exercises.check("gram", lambda F: F.T @ F, seed=seed) for seed in (None, 5))
    assert one.case is not None and "case" not in repr(one) and str(one) == f"gram: {one.message}"
    assert dataclasses.replace(two, message=one.message) == dataclasses.replace(one, message=one.message)
    assert one.to_dict() == {**vars(one), "case": one.case.label} and not one
    not_yet = exercises.check("gram", not_written)
    assert (not_yet.name, not_yet.passed, not_yet.not_yet, not_yet.message) == ("gram", False, True, "not yet written")
    assert not_yet.to_dict()["case"] is None and not_yet.diagnosis == not_yet.caught_by == []
    unknown = exercises.check("gram", lambda F: losses.gram(F) + np.sin(losses.gram(F)))
    assert unknown.message.endswith(f"\n{exercises.CODES['unknown']}")
    for code, message in (("sign", "sign"), ("wrong-shape", "is complex")):
        report = exercises.check("gram", (lambda F: -F @ F.T) if code == "sign" else (lambda F: F @ F.T + 1j))
        assert report.diagnosis == [code] and f". {exercises.CODES[code]}" in f". {report.message}", message
    assert report.message == f"The result is complex. {exercises.CODES['wrong-shape']}"
    for thing in (one, one.case):
        with pytest.raises(dataclasses.FrozenInstanceError):
            thing.name = "other"


def not_written(F):
    raise NotImplementedError


def test_what_each_check_catches():
    """Finite differences are no better than five digits, nor is float32: an error of the sixth passes both."""
    for error, caught in ((1e-3, ["formula", "finite differences"]), (4e-6, ["calls"])):
        report = exercises.check("content_gradient", lambda F, P, e=error: (F - P) * (1 + e))
        assert report.caught_by == caught, report
    report = exercises.check("content_gradient", lambda F, P: (P - F).astype(object))
    assert report.caught_by == ["formula", "finite differences"], "numbers of any type"
    weighted = exercises.check("gram", lambda F: F * np.arange(F.shape[1]) @ F.T)  # the order of positions matters
    assert weighted.caught_by == ["formula", "invariance"]


@pytest.mark.parametrize(
    "function, words",
    [
        (lambda dy, x: dy, "It takes (dy, x), and should take (dy, x, window=2, stride=2)"),
        (lambda dy, x, size=2, step=2: dy, "It takes (dy, x, size, step), and should"),
        (lambda dy, x, more, window=2, stride=2: dy, "It takes (dy, x, more, window, stride)"),
    ],
)
def test_other_arguments(function, words):
    report = exercises.check("max_pool_backward", function)
    assert report.diagnosis[0] == "signature" and words in report.message


def test_more_arguments_than_needed():
    assert exercises.check("gram", lambda F, verbose=False: F @ F.T)
    assert exercises.check("gram", lambda *arguments: arguments[0] @ arguments[0].T)
    assert exercises.check("max_pool_backward", lambda *a, **options: layers.max_pool_backward(*a, **options))


def test_several_results():
    gradient = exercises.check("style_gradient", lambda F, A: (losses.style_gradient(F, A), losses.style_loss(F, A)))
    assert gradient.message.startswith("It returns a tuple of 2; return the gradient alone. ")
    loss = exercises.check("style_loss", lambda F, A: (0.0, F, A))
    assert loss.message.startswith("It returns a tuple of 3; return the result alone. ")
    assert exercises.check("conv_backward_bias", lambda dy: tuple(dy.sum((0, 1)))), "as good as an array"


def test_errors_and_wrong_ties_together():
    """Right where it comes to a result, but for ties: there, what was raised elsewhere must not hide the ties."""

    def too_often(dy, x, window=2, stride=2):
        if window == 3:
            raise ValueError("not written for a window of 3")
        y = layers.max_pool_forward(x, window, stride)
        dx = np.zeros_like(x)
        for x_o, dx_o in zip(layers.window_views(x, window, stride), layers.window_views(dx, window, stride)):  # noqa: B905
            dx_o += dy * (x_o == y)
        return dx

    assert exercises.check("max_pool_backward", too_often).diagnosis == ["raises", "ties"]


def test_a_call_that_raises_is_not_a_wrong_formula():
    assert exercises.check("gram", lambda: None).caught_by == ["calls"]


def test_no_cause_is_claimed_that_was_not_tested():
    """Noise of any kind gets "unknown"."""
    for name in ("conv_backward_bias", "max_pool_backward", "feature_matrix", "gram_backward", "style_loss"):
        exercise = EXERCISES[name]

        def noisy(*arguments, exercise=exercise, **options):
            value = np.asarray(exercise.function(*arguments, **options))
            seed = np.random.default_rng(int(abs(value).sum() * 1e6) % 2**32)
            return value + seed.standard_normal(value.shape)

        assert exercises.check(name, noisy).diagnosis == ["unknown"], name


def test_public_names_are_imported_when_they_are_used():
    code = (
        "import sys; from nst_numpy.exercises import __all__, __dir__; import nst_numpy.exercises as exercises\n"
        "assert dir(exercises) == sorted(__all__) and not any('exercises.' in name for name in sys.modules)\n"
        "assert all(getattr(exercises, name) is not None for name in __all__) and not hasattr(exercises, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[1])


# Right ones, written otherwise ----------------------------------------------------------------------------------------


def last_of_the_largest(dy, x, window=2, stride=2):
    dx = np.zeros_like(x)
    for h, w, c in np.ndindex(dy.shape):
        seen = x[h * stride : h * stride + window, w * stride : w * stride + window, c]
        i, j = np.argwhere(seen == seen.max())[-1]
        dx[h * stride + i, w * stride + j, c] += dy[h, w, c]
    return dx


def style_gradient_in_loops(F, A):
    N, M = F.shape
    dF = np.zeros((N, M))
    for i in range(N):
        for j in range(M):
            dF[i, j] = sum((F[i] @ F[k] - A[i, k]) * F[k, j] for k in range(N)) / (N * M) ** 2
    return dF


def conv_in_loops(dy, kernel):
    H, W, _ = dy.shape
    dx = np.zeros((H, W, kernel.shape[2]))
    for h, w in np.ndindex(H, W):
        for i, j in np.ndindex(3, 3):
            p, q = h - (i - 1), w - (j - 1)
            if 0 <= p < H and 0 <= q < W:
                dx[h, w] += kernel[i, j] @ dy[p, q]
    return dx


@pytest.mark.parametrize(
    "name, function",
    [
        ("relu_backward", lambda dy, x: np.where(x >= 0, dy, 0)),
        ("relu_backward", lambda dy, x: dy * (x > 0) * (x > 0)),
        ("relu_backward", lambda dy, x: dy * np.heaviside(x, 0.5)),
        ("max_pool_backward", last_of_the_largest),
        ("content_gradient", lambda F, P: (F - P) * (F > 0)),
        ("content_gradient", lambda F, P: np.float32(F) - np.float32(P)),
        ("content_loss", lambda F, P: 0.5 * np.linalg.norm(F - P) ** 2),
        ("content_loss", lambda F, P: [[0.5 * np.vdot(F - P, F - P)]][0][0]),
        ("style_gradient", style_gradient_in_loops),
        ("style_gradient", lambda F, A: (F.T @ (F @ F.T - A)).T / F.size**2),
        ("style_gradient", lambda F, A: losses.style_gradient(F, A) * (F > 0)),
        ("style_gradient", lambda F, A: np.einsum("ik,kj->ij", np.einsum("im,km->ik", F, F) - A, F) / F.size**2),
        ("style_loss", lambda F, A: np.trace((F @ F.T - A) @ (F @ F.T - A).T) / (2 * F.size) ** 2),
        ("gram", lambda F: sum(np.outer(f, f) for f in F.T)),
        ("gram_backward", lambda dG, F: dG @ F + dG.T @ F),
        ("feature_matrix", lambda a: a.transpose(2, 0, 1).reshape(a.shape[2], -1)),
        ("conv_backward_input", conv_in_loops),
        ("total_gradient", lambda F, P, A, alpha, beta: alpha * F - alpha * P + beta * style_gradient_in_loops(F, A)),
    ],
)
def test_right_functions_written_otherwise_pass(name, function):
    report = exercises.check(name, function)
    assert report.passed, report


@pytest.mark.parametrize("call", [exercises.hint, exercises.start, exercises.notebook, exercises.bugs])
def test_unknown_names(call):
    with pytest.raises(ValueError, match=r"unknown exercise 'grams'; did you mean gram\? there are relu_backward, "):
        call("grams")
    with pytest.raises(TypeError, match="the name of an exercise must be a string, found 3"):
        call(3)


def test_bad_arguments_in_python():
    with pytest.raises(ValueError, match="unknown exercise 'grams'; did you mean gram"):
        exercises.check("grams", len)
    with pytest.raises(TypeError, match="function must be a function, found 3"):
        exercises.check("gram", 3)
    with pytest.raises(ValueError, match="step must be a whole number from 1 to 3, found 4"):
        exercises.hint("gram", 4)


def test_one_name_is_enough():
    assert exercises.start("gram") == exercises.start(["gram"])
    assert exercises.notebook("gram") == exercises.notebook(["gram"])


# The command line -----------------------------------------------------------------------------------------------------


def test_a_students_session(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["exercise", "list"]) == 0
    listed = capsys.readouterr().out
    assert [line.split()[0] for line in listed.splitlines()] == exercises.names()
    assert main(["exercise", "start", "style_gradient", "gram"]) == 0
    assert capsys.readouterr().out == exercises.start(["style_gradient", "gram"])
    assert main(["exercise", "start", "style_gradient", "gram", "-o", "mine.py"]) == 0
    assert Path("mine.py").read_text() == exercises.start(["style_gradient", "gram"])
    assert main(["exercise", "start", "gram", "-o", "mine.py"]) == 2
    assert "exists already" in capsys.readouterr().err
    assert main(["exercise", "check", "mine.py"]) == 1
    assert capsys.readouterr().out.count("not yet written") == len(exercises.names())

    file = Path("mine.py")
    body = "    N, M = F.shape\n    return F.T @ (F @ F.T - A) / (N**2 * M**2)"
    file.write_text(file.read_text().replace("    raise NotImplementedError", body, 1))
    assert main(["exercise", "check", "mine.py"]) == 1
    said = capsys.readouterr().out
    assert "style_gradient: FAILED (transposed)" in said and "_ji belongs to F_ij" in " ".join(said.split())
    for step in (1, 2, 3):
        assert main(["exercise", "hint", "style_gradient", "--step", str(step)]) == 0
        assert capsys.readouterr().out == exercises.hint("style_gradient", step) + "\n"
    assert main(["exercise", "hint", "gram"]) == 0
    assert capsys.readouterr().out == exercises.hint("gram") + "\n"
    file.write_text(file.read_text().replace("F.T @ (F @ F.T - A)", "(F @ F.T - A) @ F"))
    assert main(["exercise", "check", "mine.py", "--only", "style_gradient"]) == 0
    assert capsys.readouterr().out == "style_gradient: passed\n"
    assert main(["exercise", "check", "mine.py"]) == 0  # the rest is not yet written, nothing is wrong


def test_find_the_bug(capsys):
    bugs = exercises.bugs()
    for bug in (bugs[0], bugs[-1]):
        assert main(["exercise", "bug", str(bug.number)]) == 0
        assert capsys.readouterr().out == f"{bug}\n"
    assert main(["exercise", "bug", "1", "--answer"]) == 0
    assert capsys.readouterr().out.startswith(
        f"{bugs[0]}\n\n# missing-relu-mask\n# The numbers are those of this mistake: dy passes unchanged. Where"
    )
    assert main(["exercise", "bug", "gram", "--answer"]) == 0
    said = capsys.readouterr().out
    assert all(f"{bug}\n\n# {', '.join(bug.answer().diagnosis)}\n" in said for bug in exercises.bugs("gram"))
    assert said.count("what is wrong here?") == 3


def test_a_folder_of_submissions(tmp_path, capsys):
    (tmp_path / "ada.py").write_text("def gram(F):\n    return F @ F.T\n")
    (tmp_path / "bob.py").write_text("def gram(F):\n    return F.T @ F\n")
    arguments = ["exercise", "check", str(tmp_path), "--only", "gram,content_loss"]
    assert main(arguments) == 1
    ada, bob = capsys.readouterr().out.splitlines()
    assert ada.endswith("ada.py: 1 passed, 1 not yet, 0 wrong") and bob.endswith("1 wrong: gram (transposed)")
    assert main([*arguments, "--csv"]) == 1
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert [(row["exercise"], row["result"], row["diagnosis"]) for row in rows] == [
        ("gram", "passed", ""),
        ("content_loss", "not yet", ""),
        ("gram", "wrong", "transposed"),
        ("content_loss", "not yet", ""),
    ]
    assert main([*arguments, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    report = exercises.check("gram", lambda F: F.T @ F)
    assert found[str(tmp_path / "bob.py")][0] == json.loads(json.dumps(report.to_dict()))


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["check", "nowhere.py"], "there is no file nowhere.py"),
        (["check", "empty"], "no Python files or notebooks in empty"),
        (["check", "mine.txt", "--only", "gram,grams"], "unknown exercise 'grams'; did you mean gram? there are "),
        (["start", "grams"], "unknown exercise 'grams'; did you mean gram? there are "),
        (["hint", "grams"], "unknown exercise 'grams'; did you mean gram? there are "),
        (["bug", "grams"], "unknown exercise 'grams'; did you mean gram? there are "),
        (["bug", "0"], "the number of a bug must be a whole number from 1 to 63, found 0"),
        (["bug", "64"], "the number of a bug must be a whole number from 1 to 63, found 64"),
        (["bug", "-1"], "the number of a bug must be a whole number from 1 to 63, found -1"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("mine.txt").touch()
    assert main(["exercise", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_the_projects_own_gradient_tests_take_a_file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        textwrap.dedent("""
        def gram(F):
            return F @ F.T

        def content_gradient(F, P):
            return P - F

        def style_grad(F, A):
            return F

        def relu_backward(dy, x):
            raise NotImplementedError
    """)
    )

    def run(*arguments):
        module = "nst_numpy.exercises.test_gradients"
        command = [sys.executable, "-m", "pytest", "-q", "-rf", "-p", "no:cacheprovider", "-p", module]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
        command += ["--pyargs", module, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment)
        return done.returncode, done.stdout + done.stderr

    code, said = run("--implementation", "mine.py")
    assert code == 1 and "16 failed, 1 passed" in said and "skipped" not in said
    assert "The result is minus the right one" in said and "not yet written" in said
    assert "the file does not define style_gradient; did you mean style_grad?" in said
    assert "did you mean relu_backward" not in said, "it is another exercise"
    code, said = run("--implementation", "mine.py", "--only", "gram, relu_backward")
    assert code == 1 and "1 failed, 1 passed, 15 skipped" in said
    assert run("--implementation", "mine.py", "--only", "gram")[0] == 0
    code, said = run("--implementation", "mine.py", "--only", "grams")
    assert code == 4 and "unknown exercise 'grams'; did you mean gram?" in said
    code, said = run("--implementation", "nowhere.py")
    assert code == 4 and "there is no file nowhere.py" in said


# The diagnosis, part by part ------------------------------------------------------------------------------------------


def numbers(words):
    return tuple(map(int, re.findall(r"-?\d+", words)))


def changed(words, a):
    """What a change of an array is, by its words, element by element: the code, and the array."""
    kernel, (H, W), n = a.ndim == 4, a.shape[:2] if a.ndim > 1 else (0, 0), numbers(words)
    flat, made = a.ravel(), np.zeros_like(a)
    places = list(np.ndindex(a.shape))
    if "reversed along" in words:
        for place in places:
            made[place] = a[tuple(a.shape[k] - 1 - i if k in n else i for k, i in enumerate(place))]
        spatial = bool({0, 1} & {*n})
        return (
            "kernel-not-flipped" if kernel and spatial else "wrong-operand" if spatial else "channels-swapped"
        ), made
    if "turned by" in words:
        made = np.zeros((W, H, *a.shape[2:]))
        for h, w in np.ndindex(H, W):
            made[(W - 1 - w, h) if n == (90,) else (w, H - 1 - h)] = a[h, w]
        return "kernel-not-flipped" if kernel else "transposed", made
    if words.startswith("axes"):
        order = [n[1] if k == n[0] else n[0] if k == n[1] else k for k in range(a.ndim)]
        return "channels-swapped" if kernel and n == (2, 3) else "transposed", a.transpose(order)
    if words.startswith("only the"):
        for place in places:
            if all(place[k] == (0 if "first" in words else a.shape[k] - 1) for k in n):
                made[place] = a[place]
        return "overlap-overwritten", made
    if "counts as 0" in words:
        for h, w in np.ndindex(H, W):
            top, left = h == 0, w == 0
            lost = {
                "the first row": top,
                "the last row": h == H - 1,
                "the first column": left,
                "the last column": w == W - 1,
                "the first row and column": top or left,
                "the last row and column": h == H - 1 or w == W - 1,
                "the border": top or left or h == H - 1 or w == W - 1,
            }[words.split(" of ")[0]]
            made[h, w] = 0 if lost else a[h, w]
        return "edges-lost", made
    if re.search(r"is summed along|is its mean along|is subtracted", words):
        for place in places:
            along = [a[q] for q in places if all(k in n or q[k] == place[k] for k in range(a.ndim))]
            made[place] = sum(along) / (1 if "summed" in words else len(along))
        if "subtracted" in words:
            return "wrong-operand", a - made
        return "wrong-operand" if "summed" in words else "mean-for-sum", made
    if "is shifted by" in words:
        for h, w in np.ndindex(H, W):
            if 0 <= h - n[0] < H and 0 <= w - n[1] < W:
                made[h, w] = a[h - n[0], w - n[1]]
        return "shifted", made
    if "reshape" in words:
        if a.ndim == 2:
            return "wrong-reshape", np.array([[flat[w * H + h] for w in range(W)] for h in range(H)])
        C = a.shape[2]
        if "channels and positions" in words:
            return "wrong-reshape", np.reshape([a[h, w, c] for c, h, w in np.ndindex(C, H, W)], a.shape)
        if "must be transposed" in words:
            return "wrong-reshape", np.reshape(
                [a[i, j, c, k] for i, j, k, c in np.ndindex(H, W, a.shape[3], C)], a.shape
            )
        for place in places:
            h, w, c, *k = place
            made[place] = flat[((c * H + h) * W + w) * (a.shape[3] if kernel else 1) + (k[0] if kernel else 0)]
        return "wrong-reshape", made
    return {
        "replaced by its magnitude": ("wrong-operand", np.where(a < 0, -a, a)),
        "squared": ("wrong-operand", a * a),
        "replaced by its sign": ("wrong-operand", (a > 0) * 1.0 - (a < 0)),
        "the negative elements of": ("wrong-relu-mask", np.where(a > 0, a, 0)),
        "the fractions of": ("rounded", np.where(a < 0, np.ceil(a), np.floor(a))),
        "rounded": ("rounded", np.floor(a + 0.5)),
    }[re.sub(r"^x is | x .*", "", words)]


def without(*offsets):
    def function(dy, kernel):
        kernel = kernel.copy()
        for offset in offsets:
            kernel[offset] = 0
        return layers.conv_backward_input(dy, kernel)

    return function


@pytest.mark.parametrize(
    "name, function, words",
    [
        ("relu_backward", lambda dy, x: x * (dy > 0), ": dy and x are exchanged."),
        ("conv_backward_bias", lambda dy: (dy**2).sum((0, 1)), ": dy is squared."),
        ("content_gradient", lambda F, P: F**2 - P**2, ": each of F and P is squared."),
        ("relu_backward", lambda dy, x: (dy * (x > 0))[::-1], ": each of dy and x is reversed along axis 0."),
        ("conv_backward_kernel", lambda dy, x: layers.conv_backward_kernel(dy**2, abs(x)),
         ": dy is squared; x is replaced by its magnitude.|: x is replaced by its magnitude; dy is squared."),
        ("relu_backward", lambda dy, x: (dy * (x > 0)).transpose(2, 0, 1),
         ": the axes of the result are in the order 2, 0, 1."),
        ("style_gradient", lambda F, A: losses.style_gradient(F, np.diag(np.diag(A))),
         ": of A, only the diagonal is there."),
        ("gram", lambda F: np.tril(F @ F.T), ": of the result, only the lower triangle is there."),
        ("conv_backward_input", without((0, 0)), ": offset (0, 0) is missing"),
        ("conv_backward_input", without((0, 0), (2, 1)), ": offset (0, 0) and offset (2, 1) are missing"),
        ("conv_backward_input", without((0, 0), (1, 1), (2, 2)),
         ": offset (0, 0), offset (1, 1) and offset (2, 2) are missing"),
    ],
)  # fmt: skip
def test_each_kind_of_change_is_found(name, function, words):
    """Alone or two together; the checker says what was changed, in words that a sentence can hold."""
    report = exercises.check(name, function)
    assert any(text in report.message for text in words.split("|")), report


def test_a_wrong_power_of_height_or_width():
    right = EXERCISES["style_gradient_of_map"].function
    for p, q, words in ((2, 0, ", as if M were W instead of H · W. "), (1, 1, " times the right one. ")):
        function = lambda a, A, p=p, q=q: len(a) ** p * a.shape[1] ** q * right(a, A)  # noqa: E731
        assert words in exercises.check("style_gradient_of_map", function).message


@pytest.mark.parametrize("shape", [(), (5,), (3, 4), (3, 4, 2), (3, 3, 2, 4)])
def test_a_change_is_what_its_words_say(shape):
    """Each has words of its own, but for the two ways to mix up a kernel, which are each other's opposite."""
    a = 3 * np.random.default_rng(0).standard_normal(shape)
    found = list(changes.of_array("x", len(shape)))
    mixed = [change for _, words, change in found if "offsets and channels" in words]
    assert len({words for _, words, _ in found}) == len(found) - (len(shape) == 4)
    for code, words, change in found:
        given = a.copy()
        value = change(given)
        assert np.array_equal(given, a), words
        if mixed and change is mixed[1]:
            assert code == "wrong-reshape" and np.array_equal(mixed[0](value), a)
            continue
        expected_code, expected = changed(words, a)
        assert code == expected_code and np.allclose(value, expected, rtol=1e-12, atol=1e-12), words
    subsets = {0: 0, 1: 1, 2: 3, 3: 5, 4: 7}[len(shape)]  # each axis, the first two, the rest, and all
    some = [sum(text in words for _, words, _ in found) for text in ("reversed", "only the", "summed", "mean along")]
    assert some == [subsets, 2 * subsets, subsets, 2 * subsets]
    borders, shifts = (sum(text in words for _, words, _ in found) for text in ("counts as 0", "shifted"))
    assert (borders, shifts) == (7 * (len(shape) in (2, 3)), 8 * (len(shape) > 2))


@pytest.mark.parametrize(
    "powers, text",
    [
        ({"": 1.0}, "1"),
        ({"": 0.25}, "1/4"),
        ({"": 2.0, "N": 1.0}, "2 N"),
        ({"": 1.0, "N": 2.0, "M": -1.0}, "N²/M"),
        ({"": 0.5, "N": 3.0}, "(1/2) N³"),
        ({"": 0.5, "N": -4.0, "M": -0.5}, "(1/2)/(N⁴ M^½)"),
        ({"": 1.0, "N": -1.0}, "1/N"),
        ({"": 1.0, "N": 0.0, "M": 5.0}, "M^5"),
        ({"": 3.0, "N": 1.0, "M": 1.0}, "3 N M"),
        ({"": 1.0001 / 3}, "1/3"),
        ({"": 0.00123456}, "0.0012346"),
        ({"": 2e6}, "2e+06"),
        ({"": 1234.0}, "1234"),
    ],
)
def test_factors_as_text(powers, text):
    assert diagnosis._product(powers) == text


def test_powers_of_sizes():
    sizes = [{"N": n, "M": m} for n, m in ((2, 3), (4, 5), (3, 7), (1, 6))]
    for c, p, q in ((0.25, -2, 0.5), (-3.0, 1, 0), (7.0, 0, 0)):
        factors = np.array([c * s["N"] ** p * s["M"] ** q for s in sizes])
        found = diagnosis._powers(factors, sizes)
        assert found.pop("") == pytest.approx(c, rel=1e-9) and (found == {"N": p, "M": q} or not (p or q or found))
    assert diagnosis._powers(np.array([1.0, 2, -3, 4]), sizes) is None
    assert diagnosis._powers(np.array([1.0, 2, 3, 4]), sizes) is None
    same = [{"N": 2, "M": 4}, {"N": 4, "M": 16}, {"N": 8, "M": 64}]  # M = N²: which of them cannot be told
    assert diagnosis._powers(np.array([2.0, 4, 8]), same) is None


def runs_of(function, wrong):
    """The runs of a function of (H, W, C), right and wrong."""
    found = []
    for shape in ((4, 5, 2), (6, 3, 1), (1, 1, 2)):
        x = np.random.default_rng(shape[0]).standard_normal(shape)
        found.append(diagnosis.Run(Case(f"{shape}", (x,), {}), function(x), wrong(x)))
    return found


def test_right_numbers_in_wrong_places():
    """Whatever has come in at the edge, where the result is shifted."""
    right = lambda x: 2 * x  # noqa: E731
    for di, dj in itertools.product((-1, 0, 1), repeat=2):
        found = diagnosis._places(runs_of(right, lambda x, s=(di, dj): np.roll(right(x), s, (0, 1))))
        assert found == ({"shifted": f"The result is shifted by {di} rows and {dj} columns"} if di or dj else EDGES)
    assert diagnosis._places(runs_of(right, lambda x: np.pad(right(x)[1:-1, 1:-1], ((1, 1), (1, 1), (0, 0))))) == EDGES
    assert diagnosis._places(runs_of(right, lambda x: right(x) + 1)) == {}
    assert diagnosis._places(runs_of(right, lambda x: right(x)[1:])) == {}
    assert diagnosis._places(runs_of(right, right)[1:]) == {}  # one is too few


EDGES = {"edges-lost": "The result is right everywhere but in the first and last row and column"}


def test_where_results_are_wrong():
    """The smallest of several numbers, how many of them, where it is right, and some of both."""
    runs = runs_of(lambda x: x.astype(float), lambda x: x + (len(x) > 4))
    assert diagnosis.failing(runs) is runs[1]
    words = diagnosis._where(runs)
    assert words.startswith(
        "For (6, 3, 1), 100% of the values are wrong; it is right for (4, 5, 2); (1, 1, 2):\nexpected"
    )
    x, table = runs[0].expected, diagnosis._table(runs[0].expected, "found")
    assert table.splitlines()[0] == "found, its first 4×5 of 4×5×2" and len(table.splitlines()) == 5
    assert [float(number) for number in table.splitlines()[1].split()] == pytest.approx(list(x[0, :, 0]), abs=1e-3)
    assert diagnosis._table(np.array(2.5), "found") == "found\n       2.5"
    assert diagnosis._table(np.array([1.0, -0.0]), "found") == "found\n         1           0"
    one = runs_of(lambda x: x.astype(float), lambda x: x + (x == x.max()))
    assert diagnosis.failing(one) is one[1] and ", 6% of the values" in diagnosis._where(one)


@pytest.mark.parametrize(
    "change, words",
    [
        (
            lambda x: x[None],
            "Expected shape (4, 5, 2), found (1, 4, 5, 2) (for (4, 5, 2)). Summed along axis 0, it would",
        ),
        (lambda x: x.ravel(), "Expected shape (4, 5, 2), found (40,) (for (4, 5, 2)). The numbers are right"),
        (lambda x: 3 * x.ravel(), "Expected shape (4, 5, 2), found (40,) (for (4, 5, 2))"),
    ],
)
def test_wrong_shapes(change, words):
    found = diagnosis._wrong_shapes(runs_of(lambda x: x, change))["wrong-shape"]
    assert found.startswith(words) and (found == words or "Summed" in words)


def test_values_that_are_nearly_right():
    exact = lambda x: x / np.abs(x).max()  # noqa: E731
    assert diagnosis._rounded(runs_of(exact, lambda x: np.round(exact(x), 3))) == {
        "rounded": "The right results are rounded to 3 digits after the point"
    }
    assert diagnosis._rounded(runs_of(exact, lambda x: np.round(exact(x), 6))) == {}
    assert diagnosis._imprecise(runs_of(exact, lambda x: 1.009 * exact(x)))["numerical"].startswith(
        "The results differ from the right ones by 0.009 of the largest"
    )
    assert diagnosis._imprecise(runs_of(exact, lambda x: 1.011 * exact(x))) == {}
    assert diagnosis._zero(runs_of(exact, lambda x: 0 * x)) == {"wrong-operand": "Every value is 0"}
    assert diagnosis._zero(runs_of(exact, exact)) == {}
    assert diagnosis._factor(3 * exact(np.ones(2)), np.ones(2)) == pytest.approx(3)
    assert diagnosis._factor(np.ones(2), np.ones(3)) == diagnosis._factor(np.ones(2), np.zeros(2)) == 0
    assert diagnosis._factor(np.array([1.0, 2]), np.ones(2)) == 0
