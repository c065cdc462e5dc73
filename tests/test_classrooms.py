"""Assignments in the real tools: nbgrader, Otter, pytest and the schema of GitHub's workflows.

`--classrooms FOLDER` names a folder of virtual environments: `nbgrader`, `otter-grader` and `check-jsonschema`, each
with the package it is named after, ipykernel, pytest and nst_numpy as users install it. `.ci/run` makes them.

Three students hand in: ada has everything right, bob has a transposed style gradient and an error, eve nothing.
"""

import csv
import json
import os
import re
import subprocess

import pytest

NAME = "sheet_2"
TOML = """
title = "Sheet 2"
seed = 7

[[exercise]]
name = "gram"

[[exercise]]
name = "style_gradient"
points = 3
partial = { transposed = 0.5, constant-factor = 0.25 }

[[exercise]]
name = "max_pool_backward"
points = 2

[[exercise]]
name = "conv_backward_bias"
required = false

[[question]]
title = "Half of the product rule"
text = "Why does F occur twice in G?"
points = 2
"""
BOB = {
    "gram": "    return F @ F.T",
    "style_gradient": "    N, M = F.shape\n    return F.T @ (F @ F.T - A) / (N**2 * M**2)",
    "max_pool_backward": "    return 1 / 0",
}
POINTS = {"ada": [1, 3, 2, 0], "bob": [1, 1.5, 0, 0], "eve": [0, 0, 0, 0]}
TRANSPOSED = "its element _ji belongs to F_ij"


@pytest.fixture(scope="module")
def tool(request, tmp_path_factory):
    """`tool(environment)`: a new folder with an assignment, and a function that runs commands in it."""
    environments = request.config.getoption("--classrooms")
    if environments is None:
        pytest.skip("needs nbgrader and Otter; `pytest tests/test_classrooms.py --classrooms FOLDER`, as in .ci/run")

    def use(environment):
        folder = tmp_path_factory.mktemp(environment)
        (folder / "sheet.toml").write_text(TOML)
        programs = environments.resolve() / environment / "bin"
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        home = {"JUPYTER_PLATFORM_DIRS": "1", "HOME": str(folder), "OPENBLAS_NUM_THREADS": "1"}

        def run(*command, code=0):
            done = subprocess.run(
                [programs / command[0], *command[1:]],
                cwd=folder,
                env={**os.environ, **home, "PATH": path},
                capture_output=True,
                text=True,
            )
            assert done.returncode == code, f"{command}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
            return done.stdout + done.stderr

        return folder, run

    return use


def handed_in(book, solved, unwritten):
    """The students' notebooks: what each of them has made of the empty one."""
    for student in POINTS:
        mine = json.loads(json.dumps(book))
        for cell in mine["cells"]:
            text = "".join(cell["source"])
            if found := re.match(r"def (\w+)\(", text):
                name = found[1]
                wrong = text.replace(unwritten, BOB.get(name, unwritten))
                cell["source"] = {"ada": solved[name], "bob": wrong, "eve": text}[student]
        yield student, mine


def functions(book):
    """The source of each function in a notebook."""
    texts = ["".join(cell["source"]) for cell in book["cells"]]
    return {found[1]: text for text in texts if (found := re.match(r"def (\w+)\(", text))}


def test_nbgrader(tool):
    folder, run = tool("nbgrader")
    said = run("nst-numpy", "exercise", "assignment", "sheet.toml", "-o", ".", "--for", "nbgrader")
    assert f"nbgrader generate_assignment {NAME}" in said
    notebook = f"{NAME}/{NAME}.ipynb"
    validate = "import nbformat, sys, warnings; warnings.simplefilter('error'); nbformat.read(sys.argv[1], 4)"
    run("python", "-c", validate, f"source/{notebook}")
    run("nbgrader", "generate_assignment", NAME)
    source, release = (json.loads((folder / f"{step}/{notebook}").read_text()) for step in ("source", "release"))
    sources = json.dumps(release, ensure_ascii=False)
    assert "seed=7" not in sources and "(G - A) @ F" not in sources and "The answer that you expect" not in sources
    unwritten = "    # YOUR CODE HERE\n    raise NotImplementedError()"
    for student, mine in handed_in(release, functions(source), unwritten):
        path = folder / f"submitted/{student}/{notebook}"
        path.parent.mkdir(parents=True)
        if student == "ada":
            mine["cells"][-1]["source"] = "Because both factors depend on F."
        path.write_text(json.dumps(mine))
        cells = r'^    report = exercises.check\("(\w+)"'  # those that failed
        failed = re.findall(cells, run("nbgrader", "validate", str(path)), re.MULTILINE)
        names = list(functions(release))
        assert failed == {"ada": [], "bob": names[1:], "eve": names}[student]
    run("nbgrader", "autograde", NAME)
    run("nbgrader", "generate_feedback", NAME)
    run("nbgrader", "export")
    with open(folder / "grades.csv") as file:
        rows = {row["student_id"]: row for row in csv.DictReader(file)}
    assert {name: float(row["raw_score"]) for name, row in rows.items()} == {n: sum(p) for n, p in POINTS.items()}
    assert {float(row["max_score"]) for row in rows.values()} == {1 + 3 + 2 + 0 + 2}
    program = """
import json, sys
from nbgrader.api import Gradebook
with Gradebook("sqlite:///gradebook.db") as book:
    submissions = book.assignment_submissions(sys.argv[1])
    grades = {each.student.id: each.notebooks[0].grades for each in submissions}
    found = {who: {g.name: [g.auto_score, g.needs_manual_grade] for g in each} for who, each in grades.items()}
    print(json.dumps(found))
"""
    grades = json.loads(run("python", "-c", program, NAME).splitlines()[-1])
    assert {who: [each[name][0] for name in names] for who, each in grades.items()} == POINTS
    assert {who: each["question-1"][1] for who, each in grades.items()} == {"ada": True, "bob": False, "eve": False}
    feedback = {who: (folder / f"feedback/{who}/{NAME}/{NAME}.html").read_text() for who in POINTS}
    assert {who: TRANSPOSED in text for who, text in feedback.items()} == {"ada": False, "bob": True, "eve": False}
    assert "ZeroDivisionError" in feedback["bob"] and "not yet written" in feedback["eve"]


def test_otter(tool):
    folder, run = tool("otter-grader")
    said = run("nst-numpy", "exercise", "assignment", "sheet.toml", "-o", ".", "--for", "otter")
    assert f"otter assign ./{NAME}.ipynb ./dist" in said
    said = run("otter", "assign", f"{NAME}.ipynb", "dist")
    assert "DuplicateCellId" not in said
    teacher, student = (
        json.loads((folder / f"dist/{who}/{NAME}.ipynb").read_text()) for who in ("autograder", "student")
    )
    sources = json.dumps(student, ensure_ascii=False)
    assert "seed=7" not in sources and "(G - A) @ F" not in sources and "The answer that you expect" not in sources
    (autograder,) = (folder / "dist/autograder").glob("*.zip")
    for name, mine in handed_in(student, functions(teacher), "    raise NotImplementedError"):
        (folder / name).mkdir()
        (folder / name / f"{NAME}.ipynb").write_text(json.dumps(mine))
        run("otter", "run", "-a", str(autograder), "-o", name, f"{name}/{NAME}.ipynb")
        results = json.loads((folder / name / "results.json").read_text())["tests"]
        scores = {each["name"]: (each["score"], each["max_score"]) for each in results if "score" in each}
        assert [scored for scored, _ in scores.values()] == POINTS[name]
        assert [most for _, most in scores.values()] == POINTS["ada"]
        text = "\n".join(each["output"] for each in results)
        assert (TRANSPOSED in text) == (name == "bob") and ("not yet written" in text) == (name != "ada")


@pytest.mark.parametrize("kind", ["pytest", "github"])
def test_files(tool, kind):
    _, run = tool("check-jsonschema")
    run("nst-numpy", "exercise", "assignment", "sheet.toml", "-o", ".", "--for", kind)
    run("pip", "install", "-r", "student/requirements.txt")
    assert "8 passed" in run("pytest", "teacher")
    assert "3 failed, 1 skipped" in run("pytest", "student", code=1)
    assert "1 passed" in run("pytest", f"teacher/test_{NAME}.py::test_gram")
    if kind == "github":
        workflow = "student/.github/workflows/classroom.yml"
        assert "ok" in run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", workflow)


def test_the_installed_gradient_tests(tool):
    folder, run = tool("check-jsonschema")
    module = "nst_numpy.exercises.test_gradients"
    (folder / "empty.py").touch()
    assert "17 passed" in run("pytest", "-p", module, "--pyargs", module)
    assert "17 failed" in run("pytest", "-p", module, "--pyargs", module, "--implementation", "empty.py", code=1)
