"""What an assignment's files hold, for each kind of classroom; tests/test_classrooms.py runs them in the real tools."""

import ast
import contextlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from nst_numpy import exercises, losses
from nst_numpy.cli import main
from nst_numpy.exercises.assignment import Assignment, Question, Task
from nst_numpy.exercises.checker import check
from nst_numpy.exercises.kits import KINDS, assignment_kit, slug
from nst_numpy.exercises.solutions import solution

TASKS = (
    Task("gram", points=1),
    Task("style_gradient", points=3, partial={"transposed": 0.5, "constant-factor": 0.2}),
    Task("max_pool_backward", points=2),
    Task("conv_backward_bias", points=5, required=False),
)
QUESTION = Question("Half of the  product rule", "Why does F occur twice?\n", points=2)
SHEET = Assignment("Sheet 2: style", TASKS, (QUESTION,), seed=90210)
WORTH = {"gram": 1, "style_gradient": 3, "max_pool_backward": 2, "conv_backward_bias": 0}
NAME = "sheet_2_style"

STYLE_GRADIENTS = {  # and the share of the points
    "right": (losses.style_gradient, 1),
    "transposed": (lambda F, A: losses.style_gradient(F, A).T, 0.5),
    "a factor": (lambda F, A: 2 * losses.style_gradient(F, A), 0.2),
    "two mistakes": (lambda F, A: 2 * F, 0),
    "another factor": (lambda F, A: (F @ F.T - A) @ F, 0),
    "not yet": (None, 0),
}
each_solution = pytest.mark.parametrize(("function", "share"), STYLE_GRADIENTS.values(), ids=STYLE_GRADIENTS)


def unwritten(*arguments):
    raise NotImplementedError


@pytest.fixture
def calls(monkeypatch):
    """The names and seeds with which the files call `check`."""
    found = []

    def recorded(name, function, seed=None):
        found.append((name, seed))
        return check(name, function)

    monkeypatch.setattr(exercises, "check", recorded, raising=False)
    return found


def cells(kind):
    (text,) = [text for path, text in assignment_kit(SHEET, kind).items() if path.endswith(".ipynb")]
    book = json.loads(text)
    assert "Σ_k F_ik F_jk" in text, "readable in a text editor"
    assert (book["nbformat"], book["nbformat_minor"]) == (4, 5)
    assert len({cell["id"] for cell in book["cells"]}) == len(book["cells"])
    for cell in book["cells"]:
        assert set(cell) >= {"cell_type", "id", "metadata", "source"}
        assert ("outputs" in cell) == ("execution_count" in cell) == (cell["cell_type"] == "code")
    return book["cells"]


def without_regions(text, begin, end):
    """As the tool makes the students' version."""
    assert text.count(begin) == text.count(end) and begin in text
    return re.sub(rf"{begin}.*?{end}", "", text, flags=re.DOTALL)


def assert_no_answers(text):
    assert str(SHEET.seed) not in text and "partial" not in text and "0.2" not in text
    for name in WORTH:
        assert all(line not in text for line in solution(name).splitlines() if "return" in line), name


@pytest.mark.parametrize("kind", KINDS)
def test_every_task_and_question_is_there_with_its_points(kind):
    text = "\n".join(assignment_kit(SHEET, kind).values())
    for worth in ("1 point", "3 points", "2 points", "optional"):
        assert f"({worth})" in text or f": {worth}\n" in text
    for part in ("Half of the product rule", "Why does F occur twice?", *WORTH):
        assert part in text
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in assignment_kit(SHEET, kind).values())


@pytest.mark.parametrize(
    ("title", "name"),
    [("Sheet 2: style", NAME), ("  Übung/../2  ", "ubung_2"), ("練習", "assignment"), ("2. Blatt", "2_blatt")],
)
def test_files_are_named_by_the_title(title, name):
    assert slug(Assignment(title, (Task("gram"),))) == name


def test_bad_kinds_and_points():
    with pytest.raises(ValueError, match=r"unknown kind of assignment 'nbgradr'; did you mean nbgrader\?"):
        assignment_kit(SHEET, "nbgradr")
    half = Assignment("Halves", (Task("gram", points=0.5),))
    with pytest.raises(ValueError, match=r"GitHub Classroom counts whole points, found 0.5 for gram"):
        assignment_kit(half, "github")
    assert all(assignment_kit(half, kind) for kind in KINDS if kind != "github")


# nbgrader -------------------------------------------------------------------------------------------------------------


def graded(cell):
    return cell["metadata"].get("nbgrader", {})


def test_nbgraders_cells():
    assert list(assignment_kit(SHEET, "nbgrader")) == [f"source/{NAME}/{NAME}.ipynb"]
    found = cells("nbgrader")
    names = [graded(cell)["grade_id"] for cell in found]
    assert len(set(names)) == len(names) and all(re.fullmatch(r"[\w-]+", name) for name in names)
    for cell in found:
        what, text = graded(cell), cell["source"]
        assert ("BEGIN SOLUTION" in text) == what["solution"], "else nbgrader refuses the notebook"
        assert "BEGIN HIDDEN TESTS" not in text or (what["grade"] and not what["solution"])
        assert what["locked"] != what["solution"] and what["schema_version"] == 3 and not what["task"]
        assert ("points" in what) == what["grade"]
    worth = {graded(cell)["grade_id"]: graded(cell)["points"] for cell in found if graded(cell)["grade"]}
    assert worth == {**WORTH, "style_gradient-check": 0, "question-1": 2}
    answer = next(cell for cell in found if graded(cell)["grade_id"] == "question-1")
    assert answer["cell_type"] == "markdown" and graded(answer)["solution"], "a person grades it"


def test_nbgraders_students_see_no_answers():
    sources = "\n".join(cell["source"] for cell in cells("nbgrader"))
    sources = without_regions(sources, "### BEGIN SOLUTION", "### END SOLUTION")
    assert_no_answers(without_regions(sources, "### BEGIN HIDDEN TESTS", "### END HIDDEN TESTS"))


def value_of(text, namespace):
    """What a notebook shows below a cell: the value of its last line."""
    *body, last = ast.parse(text).body
    exec(compile(ast.Module(body, []), "cell", "exec"), namespace)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), namespace)


def nbgraders_check(name):
    (text,) = [cell["source"] for cell in cells("nbgrader") if graded(cell)["grade_id"] == name]
    return text


def test_the_teachers_notebook_passes(calls):
    namespace = {}
    for cell in cells("nbgrader"):
        if cell["cell_type"] == "code":
            exec(cell["source"], namespace)
    assert calls == [(name, seed) for name in WORTH for seed in (None, SHEET.seed)]


@each_solution
def test_nbgraders_points(calls, function, share):
    """Where there is partial credit, the value of the cell; else all, unless it stops with an error."""
    names = {"style_gradient": function or unwritten, "gram": function or unwritten}
    assert value_of(nbgraders_check("style_gradient"), names) == 3 * share
    with pytest.raises(AssertionError) if share < 1 else contextlib.nullcontext():
        exec(nbgraders_check("style_gradient-check"), names)
    hidden = nbgraders_check("gram").partition("### BEGIN HIDDEN TESTS")[2]
    for text in (nbgraders_check("gram"), hidden):
        with pytest.raises(AssertionError, match=r"\w \w"):
            exec(text, names)


# Otter ----------------------------------------------------------------------------------------------------------------


def otter_questions():
    """The configuration and the cells of each question."""
    found, inside = {}, None
    for cell in cells("otter"):
        if cell["source"].startswith("# BEGIN QUESTION"):
            config = yaml.safe_load(cell["source"])
            inside = found[config["name"]] = (config, [])
        elif inside:
            inside[1].append(cell)
    return found


def test_otters_cells():
    assert list(assignment_kit(SHEET, "otter")) == [f"{NAME}.ipynb", "requirements.txt"]
    config = yaml.safe_load(cells("otter")[0]["source"])
    assert config["name"] == NAME and config["requirements"] == "requirements.txt"
    assert config["tests"] == {"ok_format": False} and config["export_cell"] == {"pdf": True}
    questions = otter_questions()
    assert {name: config["points"] for name, (config, _) in questions.items()} == {**WORTH, "question_1": 2}
    assert questions["question_1"][0]["manual"] and not questions["gram"][0].get("manual")
    for _, inside in questions.values():
        marks = [cell["source"] for cell in inside if cell["cell_type"] == "raw"]
        assert [m for m in marks if "TESTS" not in m] == ["# BEGIN SOLUTION", "# END SOLUTION", "# END QUESTION"]
    without = Assignment("No questions", (Task("gram"),))
    assert "pdf: false" in json.loads(assignment_kit(without, "otter")["no_questions.ipynb"])["cells"][0]["source"]


def test_otters_students_see_no_answers():
    for name, (_, inside) in otter_questions().items():
        if name in WORTH:
            (text,) = [cell["source"] for cell in inside if cell["source"].startswith(f"def {name}(")]
            lines = without_regions(text, "# BEGIN SOLUTION", "# END SOLUTION").splitlines()
            left = "\n".join(line for line in lines if not line.endswith(("# BEGIN PROMPT", "# END PROMPT")))
            assert_no_answers(left)
            namespace = {}
            exec("import numpy as np\n" + left, namespace)
            assert check(name, namespace[name]).not_yet


def otter_tests(name):
    """Whether each test is hidden, its points, and its function."""
    for cell in otter_questions()[name][1]:
        if "def test_" in cell["source"]:
            config, _, code = cell["source"].rpartition("# END TEST CONFIG\n")
            config = yaml.safe_load("\n".join(config.splitlines()[1:-1])) if config else {}
            namespace = {}
            exec(code, namespace)
            (function,) = [value for key, value in namespace.items() if key.startswith("test_")]
            yield config.get("hidden", False), config.get("points", 0), function


@each_solution
def test_otters_points(calls, function, share):
    points = 0
    for hidden, worth, test in otter_tests("style_gradient"):
        calls.clear()
        try:
            test(function or unwritten)
            points += worth
        except AssertionError as error:
            assert share < 1 and str(error), "it says what is wrong"
        assert calls == [("style_gradient", SHEET.seed if hidden else None)] and hidden == (worth > 0)
    assert points == pytest.approx(3 * share)
    config, _ = otter_questions()["style_gradient"]
    assert config["points"] == sum(worth for _, worth, _ in otter_tests("style_gradient")), "exactly, or Otter refuses"


def test_otters_teacher_passes(calls):
    for name in WORTH:
        namespace = {}
        for cell in otter_questions()[name][1]:
            if cell["source"].startswith(f"def {name}("):
                exec("import numpy as np\n" + cell["source"], namespace)
        for _, _, test in otter_tests(name):
            test(namespace[name])


# Files: pytest and GitHub ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pytest", "github"])
def test_files(kind):
    files = assignment_kit(SHEET, kind)
    student = [f"{NAME}.py", f"test_{NAME}.py", "README.md", "requirements.txt", "answers.md"]
    student += [".github/workflows/classroom.yml"] * (kind == "github")
    teacher = [f"teacher/{NAME}.py", f"teacher/test_{NAME}.py"]
    assert set(files) == {*(f"student/{path}" for path in student), *teacher}
    for path, text in files.items():
        if path.startswith("student/"):
            assert_no_answers(text)
        if path.endswith(".py"):
            ast.parse(text)
    assert files["student/requirements.txt"].splitlines()[1:] == ["pytest"]
    assert ("every push is checked" in files["student/README.md"]) == (kind == "github")
    assert "Use `numpy` and Python's standard library only." in files["student/README.md"]
    assert f"seed={SHEET.seed}" in files[f"teacher/test_{NAME}.py"]
    no_questions = assignment_kit(Assignment("Sheet 1", TASKS), kind)
    assert not [path for path in no_questions if "answers" in path]
    assert "answers.md" not in no_questions["student/README.md"]


def test_githubs_workflow():
    files = assignment_kit(SHEET, "github")
    workflow = yaml.safe_load(files["student/.github/workflows/classroom.yml"])
    steps = workflow["jobs"]["run-autograding-tests"]["steps"]
    assert "pip install -r requirements.txt" in [step.get("run") for step in steps]
    graders = {step["id"]: step["with"] for step in steps if "command-grader" in step.get("uses", "")}
    assert {name: each["max-score"] for name, each in graders.items()} == WORTH
    tests = files[f"student/test_{NAME}.py"]
    for name, each in graders.items():
        assert each["command"] == f"pytest test_{NAME}.py::test_{name}" and f"\ndef test_{name}():" in tests
    reporter = steps[-1]
    assert reporter["with"]["runners"].split(",") == list(WORTH)
    assert reporter["env"] == {f"{name.upper()}_RESULTS": f"${{{{ steps.{name}.outputs.result }}}}" for name in WORTH}


def test_a_student_runs_pytest(tmp_path):
    assert main_assignment(tmp_path, "pytest") == 0
    student = tmp_path / "out/student"

    def run():
        command = [sys.executable, "-m", "pytest", "-rsf", "-p", "no:cacheprovider", f"test_{NAME}.py"]
        environment = {"PYTHONPATH": str(Path(__file__).parents[1]), "OPENBLAS_NUM_THREADS": "1"}
        done = subprocess.run(command, cwd=student, env=environment, capture_output=True, text=True)
        return done.returncode, done.stdout

    code, said = run()
    assert code == 1 and "3 failed, 1 skipped" in said and said.count("\nnot yet written\n") == 3
    solved = (tmp_path / f"out/teacher/{NAME}.py").read_text()
    (student / f"{NAME}.py").write_text(solved.replace("(G - A) @ F", "(A - G) @ F"))
    code, said = run()
    assert code == 1 and "1 failed, 3 passed" in said and "The result is minus the right one" in said


# The command line -----------------------------------------------------------------------------------------------------

TOML = """
title = "Sheet 2: style"
seed = 90210
exercise = [
    { name = "gram" },
    { name = "style_gradient", points = 3, partial = { transposed = 0.5, constant-factor = 0.2 } },
    { name = "max_pool_backward", points = 2 },
    { name = "conv_backward_bias", points = 5, required = false },
]
question = [{ title = "Half of the  product rule", text = "Why does F occur twice?\\n", points = 2 }]
"""


def main_assignment(folder, kind):
    (folder / "sheet.toml").write_text(TOML)
    return main(["exercise", "assignment", str(folder / "sheet.toml"), "-o", str(folder / "out"), "--for", kind])


@pytest.mark.parametrize(
    ("kind", "next_command"),
    [
        ("pytest", "    pytest {}/teacher\n"),
        ("nbgrader", f"    cd {{}} && nbgrader generate_assignment {NAME}\n"),
        ("otter", f"    otter assign {{}}/{NAME}.ipynb {{}}/dist\n"),
        ("github", f"    cd {{}}/student && git init && git add --all && git commit --message {NAME}\n"),
    ],
)
def test_the_command_writes_the_files_and_says_what_is_next(tmp_path, capsys, kind, next_command):
    assert main_assignment(tmp_path, kind) == 0
    out, said = tmp_path / "out", capsys.readouterr().out
    written = {p.relative_to(out).as_posix(): p.read_text(encoding="utf-8") for p in out.rglob("*") if p.is_file()}
    assert written == assignment_kit(SHEET, kind)
    assert all(f"wrote {out / path}\n" in said for path in written) and next_command.format(out, out) in said

    for path in written:
        (out / path).unlink()
    mine = out / sorted(written)[-1]
    mine.write_text("my own")
    assert main_assignment(tmp_path, kind) == 2
    assert f"{mine} exists already; choose another folder" in capsys.readouterr().err
    assert [path for path in out.rglob("*") if path.is_file()] == [mine] and mine.read_text() == "my own"


def test_bad_arguments(tmp_path, capsys):
    file = tmp_path / "sheet.toml"
    for arguments, message in (
        ([str(file), "-o", "out", "--for", "nbgrader"], "sheet.toml"),
        ([str(file), "-o", "out", "--for", "nbgradr"], "did you mean nbgrader?"),
        ([str(file), "-o", "out"], "the following arguments are required: --for"),
        ([str(file), "--for", "pytest"], "the following arguments are required: -o/--output"),
    ):
        try:
            code = main(["exercise", "assignment", *arguments])
        except SystemExit as end:
            code = end.code
        error = capsys.readouterr().err
        assert code == 2 and message in error and error.count("\n") == 1
