"""An assignment for a classroom: the students' and the teacher's files for pytest, nbgrader, Otter or GitHub Classroom.

Where the tool makes the students' version itself (nbgrader, Otter), the kit is the notebook that it makes it from.
"""

import json
import re
import shlex
import unicodedata
from itertools import pairwise
from typing import Any

from nst_numpy import __version__
from nst_numpy.exercises.assignment import Assignment, Question, Task
from nst_numpy.exercises.sheets import NOTATION, UNWRITTEN, book, cell, stub
from nst_numpy.exercises.solutions import solution
from nst_numpy.exercises.topics import get
from nst_numpy.validation import check_choice, checked

IMPORT = "from nst_numpy import exercises"  # in each check, whatever a student's notebook calls by these names
KINDS = ("pytest", "nbgrader", "otter", "github")


@checked()
def assignment_kit(assignment: Assignment, kind: str) -> dict[str, str]:
    """The files of an assignment.

    Parameters
    ----------
    assignment : Assignment
        See `load_assignment`.
    kind : {"pytest", "nbgrader", "otter", "github"}

    Returns
    -------
    dict of str to str
        The text of each file under its path, with forward slashes.

    Raises
    ------
    TypeError, ValueError
        If there is no such kind, or the points are no whole numbers for GitHub, which counts only those.

    Examples
    --------
    >>> from nst_numpy.exercises.assignment import Assignment, Task
    >>> list(assignment_kit(Assignment("Sheet 1", (Task("gram"),)), "nbgrader"))
    ['source/sheet_1/sheet_1.ipynb']
    """
    check_choice("kind of assignment", kind, KINDS)
    name = slug(assignment)
    if kind == "nbgrader":
        return {f"source/{name}/{name}.ipynb": _notebook(_nbgrader(assignment))}
    if kind == "otter":
        return {f"{name}.ipynb": _notebook(_otter(assignment)), "requirements.txt": _requirements()}
    for task in assignment.tasks:
        if kind == "github" and not float(task.points).is_integer():
            raise ValueError(f"GitHub Classroom counts whole points, found {task.points} for {task.name}")
    files = {
        f"student/{name}.py": _sheet(assignment, solutions=False),
        f"student/test_{name}.py": _tests(assignment, hidden=False),
        "student/README.md": _readme(assignment, kind),
        "student/requirements.txt": _requirements("pytest"),
        f"teacher/{name}.py": _sheet(assignment, solutions=True),
        f"teacher/test_{name}.py": _tests(assignment, hidden=True),
    }
    if assignment.questions:
        files["student/answers.md"] = _answers(assignment)
    if kind == "github":
        files["student/.github/workflows/classroom.yml"] = _workflow(assignment)
    return files


def next_step(assignment: Assignment, kind: str, folder: str) -> str:
    """What to do with the files of `assignment_kit` in a folder: words, and commands on lines of their own.

    Examples
    --------
    >>> from nst_numpy.exercises.assignment import Assignment, Task
    >>> print(next_step(Assignment("Sheet 1", (Task("gram"),)), "nbgrader", "course"))
    This is the teacher's version; nbgrader makes the students' from it, in course/release:
        cd course && nbgrader generate_assignment sheet_1
    """
    name = slug(assignment)

    def path(below: str) -> str:
        return shlex.quote(f"{folder}/{below}")

    return {
        "pytest": f"The students get {folder}/student. To see your own version pass, on the hidden inputs, too:\n"
        f"    pytest {path('teacher')}",
        "nbgrader": f"This is the teacher's version; nbgrader makes the students' from it, in {folder}/release:\n"
        f"    cd {shlex.quote(folder)} && nbgrader generate_assignment {name}",
        "otter": "This is the teacher's version; Otter makes the students' from it, and the autograder's zip file,\n"
        f"in {folder}/dist/student and {folder}/dist/autograder:\n"
        f"    otter assign {path(name + '.ipynb')} {path('dist')}",
        "github": f"{folder}/student is the template repository; keep {folder}/teacher to yourself:\n"
        f"    cd {path('student')} && git init && git add --all && git commit --message {shlex.quote(name)}\n"
        f"    gh repo create {name} --private --source . --push && gh repo edit --template",
    }[kind]


def slug(assignment: Assignment) -> str:
    """The name of an assignment's files: its title in lower-case letters, digits and underscores.

    Examples
    --------
    >>> from nst_numpy.exercises.assignment import Assignment, Task
    >>> slug(Assignment("Übung 2: Stil", (Task("gram"),)))
    'ubung_2_stil'
    """
    ascii_only = unicodedata.normalize("NFKD", assignment.title).encode("ascii", "ignore").decode()
    return re.sub(r"\W+", "_", ascii_only.lower()).strip("_") or "assignment"


# What several kinds have in common ------------------------------------------------------------------------------------


def _line(text: str) -> str:
    return " ".join(text.split())


def _worth(task: Task | Question) -> str:
    if not getattr(task, "required", True):
        return "optional"
    return f"{task.points:g} point" + "s" * (task.points != 1)


def _asked(question: Question) -> str:
    return f"## {_line(question.title)} ({_worth(question)})\n\n{question.text.strip()}"


def _points(task: Task) -> float:
    """Classrooms have no points that do not count: optional functions are checked, for none."""
    return task.points if task.required else 0


def _requirements(*more: str) -> str:
    return "\n".join([f"nst_numpy=={__version__}", *more, ""])


def _notebook(cells: list[dict[str, Any]]) -> str:
    return json.dumps(book(cells), indent=1, ensure_ascii=False) + "\n"


def _marked(name: str, begin: str, end: str) -> str:
    """A solved function with its solution between two marks."""
    return f"{stub(get(name))}    {begin}\n{solution(name)}\n    {end}"


# Files ----------------------------------------------------------------------------------------------------------------


def _sheet(assignment: Assignment, solutions: bool) -> str:
    name = slug(assignment)
    header = f"# {_line(assignment.title)}\n#\n# Check it with: pytest test_{name}.py\n#\n"
    header += "".join(f"# {line}\n" for line in NOTATION.splitlines())
    functions = [
        f"# {task.name}: {_worth(task)}\n{stub(get(task.name))}{solution(task.name) if solutions else UNWRITTEN}"
        for task in assignment.tasks
    ]
    return "\n\n\n".join([f"{header}\nimport numpy as np", *functions]) + "\n"


def _tests(assignment: Assignment, hidden: bool) -> str:
    name = slug(assignment)
    head = f'''"""Checks {name}.py. Run it with: pytest test_{name}.py"""

from pathlib import Path

import pytest

from nst_numpy import exercises

SHEET = Path(__file__).with_name("{name}.py")


def check(name, required):
    (report,) = exercises.check_file(SHEET, name)
    if report.not_yet and not required:
        pytest.skip("not yet written; it is optional")
    if not report.passed:
        pytest.fail(report.message, pytrace=False)
'''
    tests = [
        f'def test_{task.name}():  # {_worth(task)}\n    check("{task.name}", required={task.required})\n'
        for task in assignment.tasks
    ]
    if hidden:
        head = head.replace("from pathlib import Path\n", "import runpy\nfrom pathlib import Path\n")
        tests.append(f"""@pytest.mark.parametrize("name", {json.dumps([task.name for task in assignment.tasks])})
def test_hidden_inputs(name):
    report = exercises.check(name, runpy.run_path(str(SHEET))[name], seed={assignment.seed})
    if not report.passed:
        pytest.fail(report.message, pytrace=False)
""")
    return "\n\n".join([head, *tests])


def _readme(assignment: Assignment, kind: str) -> str:
    name = slug(assignment)
    also = ", and answer the questions in `answers.md`" if assignment.questions else ""
    allowed = " and ".join([*(f"`{module}`" for module in assignment.imports), "Python's standard library"])
    pushed = " Commit and push your work: every push is checked." if kind == "github" else ""
    text = f"""# {_line(assignment.title)}

Write the functions in `{name}.py`{also}. The text of each function says what to derive. Use {allowed} only.

To install what is needed, once:

    pip install -r requirements.txt

To check your functions, as often as you like:

    pytest test_{name}.py

A failed check says what is wrong.{pushed}

| | |
|---|---|
"""
    text += "".join(f"| `{task.name}` | {_worth(task)} |\n" for task in assignment.tasks)
    return text + "".join(f"| {_line(question.title)} | {_worth(question)} |\n" for question in assignment.questions)


def _answers(assignment: Assignment) -> str:
    sections = [f"{_asked(question)}\n\nYour answer:\n" for question in assignment.questions]
    return "\n\n".join([f"# {_line(assignment.title)}", *sections])


def _workflow(assignment: Assignment) -> str:
    """One step for each function, as the graders of GitHub Classroom want it; JSON's strings are YAML's."""
    name = slug(assignment)
    text = """name: Autograding Tests
on: [push, repository_dispatch]
permissions:
  checks: write
  actions: read
  contents: read
jobs:
  run-autograding-tests:
    runs-on: ubuntu-latest
    if: github.actor != 'github-classroom[bot]'
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with:
          python-version: "3.12"
      - run: pip install -r requirements.txt
"""
    for task in assignment.tasks:
        text += f"""      - name: {task.name}
        id: {task.name}
        uses: classroom-resources/autograding-command-grader@v1
        with:
          test-name: {task.name}
          command: pytest test_{name}.py::test_{task.name}
          timeout: 10
          max-score: {_points(task):g}
"""
    names = [task.name for task in assignment.tasks]
    text += """      - name: Autograding Reporter
        uses: classroom-resources/autograding-grading-reporter@v1
        env:
"""
    text += "".join(f"          {each.upper()}_RESULTS: ${{{{ steps.{each}.outputs.result }}}}\n" for each in names)
    return text + f"        with:\n          runners: {','.join(names)}\n"


# nbgrader -------------------------------------------------------------------------------------------------------------


def _nbgrader(assignment: Assignment) -> list[dict[str, Any]]:
    cells = [
        _nb("markdown", f"# {_line(assignment.title)}\n\n{NOTATION}", "title", locked=True),
        _nb("code", "import numpy as np", "imports", locked=True),
    ]
    for task in assignment.tasks:
        name = task.name
        cells += [
            _nb("markdown", f"## {name} ({_worth(task)})", f"{name}-task", locked=True),
            _nb("code", _marked(name, "### BEGIN SOLUTION", "### END SOLUTION"), f"{name}-solution", solution=True),
            *_graded(task, assignment.seed),
        ]
    for k, question in enumerate(assignment.questions, start=1):
        answer = "### BEGIN SOLUTION\nThe answer that you expect.\n### END SOLUTION"
        cells += [
            _nb("markdown", _asked(question), f"question-{k}-task", locked=True),
            _nb("markdown", answer, f"question-{k}", grade=True, solution=True, points=question.points),
        ]
    return cells


def _nb(kind: str, text: str, name: str, **what: Any) -> dict[str, Any]:
    usual = {"schema_version": 3, "grade_id": name, "solution": False, "grade": False, "locked": False, "task": False}
    return cell(kind, text, nbgrader=usual | what)


def _check(name: str, seed: int | None = None) -> str:
    hidden = "" if seed is None else f", seed={seed}"
    return f'report = exercises.check("{name}", {name}{hidden})\nassert report.passed, report.message'


def _graded(task: Task, seed: int) -> list[dict[str, Any]]:
    """The check that students see, and the hidden one: in one cell, which has all the points or none.

    For partial credit, nbgrader takes the value of a cell as its points. That needs a cell of its own: the check that
    students see must fail, so that they are told when they validate the notebook.
    """
    name, visible, worth = task.name, f"{IMPORT}\n\n{_check(task.name)}", {"grade": True, "locked": True}
    if not task.partial:
        text = f"{visible}\n{_hidden(_check(name, seed))}"
        return [_nb("code", text, name, points=_points(task), **worth)]
    text = f"""{IMPORT}

report = exercises.check("{name}", {name}, seed={seed})
print(report)
share = 1 if report.passed else {json.dumps(dict(task.partial))}.get(" ".join(report.diagnosis), 0)
{_points(task):g} * share"""
    text = f"# Here, {name} is checked on other inputs ({_worth(task)}).\n{_hidden(text)}"
    return [
        _nb("code", visible, f"{name}-check", points=0, **worth),
        _nb("code", text, name, points=_points(task), **worth),
    ]


def _hidden(text: str) -> str:
    return f"### BEGIN HIDDEN TESTS\n{text}\n### END HIDDEN TESTS"


# Otter ----------------------------------------------------------------------------------------------------------------


def _otter(assignment: Assignment) -> list[dict[str, Any]]:
    config = f"""# ASSIGNMENT CONFIG
name: {slug(assignment)}
requirements: requirements.txt
tests:
  ok_format: false
export_cell:
  pdf: {json.dumps(bool(assignment.questions))}"""
    cells = [
        cell("raw", config),
        cell("markdown", f"# {_line(assignment.title)}\n\n{NOTATION}"),
        cell("code", "import numpy as np"),
    ]
    for task in assignment.tasks:
        tests = _otter_tests(task, assignment.seed)
        points = sum(points for points, _ in tests)
        prompt = f'    # END SOLUTION\n    """ # BEGIN PROMPT\n{UNWRITTEN}\n    """ # END PROMPT'
        cells += [
            cell("raw", f"# BEGIN QUESTION\nname: {task.name}\npoints: {points!r}"),
            cell("markdown", f"## {task.name} ({_worth(task)})"),
            cell("raw", "# BEGIN SOLUTION"),
            cell("code", _marked(task.name, "# BEGIN SOLUTION NO PROMPT", prompt.strip())),
            cell("raw", "# END SOLUTION"),
            cell("raw", "# BEGIN TESTS"),
            *(cell("code", test) for _, test in tests),
            cell("raw", "# END TESTS"),
            cell("raw", "# END QUESTION"),
        ]
    for k, question in enumerate(assignment.questions, start=1):
        cells += [
            cell("raw", f"# BEGIN QUESTION\nname: question_{k}\nmanual: true\npoints: {question.points!r}"),
            cell("markdown", _asked(question)),
            cell("raw", "# BEGIN SOLUTION"),
            cell("markdown", "The answer that you expect."),
            cell("raw", "# END SOLUTION"),
            cell("raw", "# END QUESTION"),
        ]
    return cells


def _otter_tests(task: Task, seed: int) -> list[tuple[float, str]]:
    """The points and the text of each test: one that students see, and hidden ones.

    A test of Otter is passed or not. So with partial credit there is one for each share: what it adds to the next
    smaller one are its points.
    """
    name = task.name
    tests: list[tuple[float, str]] = [(0, f"def test_{name}({name}):\n" + _indented(f"{IMPORT}\n\n{_check(name)}"))]
    shares = sorted({0, 1, *task.partial.values()})
    for below, share in pairwise(shares):
        near = [[code] for code, its in task.partial.items() if its >= share]
        accepted = "report.passed" + (f" or report.diagnosis in {json.dumps(near)}" if near else "")
        points = _points(task) * (share - below)
        text = f"""\"\"\" # BEGIN TEST CONFIG
hidden: true
points: {points!r}
\"\"\" # END TEST CONFIG
def test_{name}_{len(tests)}({name}):
    {IMPORT}

    report = exercises.check("{name}", {name}, seed={seed})
    assert {accepted}, report.message"""
        tests.append((points, text))
    return tests


def _indented(text: str) -> str:
    return re.sub("^(?=.)", "    ", text, flags=re.MULTILINE)
