"""What a student gets: stubs to fill in, as a file or a notebook, hints, and bugs to find.

Stubs, solutions and derivations are taken from the library's own functions.
"""

import hashlib
import inspect
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from nst_numpy.exercises.checker import Report, check
from nst_numpy.exercises.model import Exercise, Function
from nst_numpy.exercises.topics import EXERCISES, get, select
from nst_numpy.validation import check_number


def start(names: str | Iterable[str] | None = None) -> str:
    """The text of a Python file with these functions to write.

    Parameters
    ----------
    names : str or iterable of str, optional
        By default all.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> "def gram(F: np.ndarray) -> np.ndarray:" in start("gram")
    True
    """
    functions = [_stub(exercise) + "    raise NotImplementedError" for exercise in select(names)]
    header = (
        '"""Gradients to derive. Check them with: nst-numpy exercise check THIS_FILE\n\n'
        "F and P are N×M (filters × positions), maps are (H, W, channels), kernels (3, 3, C, K).\n"
        'No function may change its arguments.\n"""\n\nimport numpy as np\n'
    )
    return "\n\n\n".join([header.rstrip(), *functions]) + "\n"


def notebook(names: str | Iterable[str] | None = None, solutions: bool = False) -> dict[str, Any]:
    """A notebook of exercises, each followed by its check; what `json.dump` writes to an .ipynb file.

    Parameters
    ----------
    names : str or iterable of str, optional
        By default all.
    solutions : bool
        With the library's own solutions, between `### BEGIN SOLUTION` and `### END SOLUTION`: nbgrader makes the
        students' version of it.

    Returns
    -------
    dict
        In nbformat 4.

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> print(notebook("gram")["cells"][-1]["source"])
    report = exercises.check("gram", gram)
    assert report.passed, report.message
    """
    imports = "import numpy as np\n\nfrom nst_numpy import exercises"
    if solutions:
        imports += (
            "\n\n### BEGIN SOLUTION\nfrom nst_numpy import losses\nfrom nst_numpy.layers import *\n"
            "from nst_numpy.losses import *\n### END SOLUTION"
        )
    cells = [
        _cell("markdown", "# Gradients to derive\n\nNo function may change its arguments."),
        _cell("code", imports),
    ]
    for exercise in select(names):
        name, body = exercise.name, "    raise NotImplementedError"
        if solutions:
            own = inspect.getsource(exercise.function).split('"""')[2].strip("\n")
            body = f"    ### BEGIN SOLUTION\n{own}\n    ### END SOLUTION"
        grader = {"schema_version": 3, "locked": False, "task": False}
        solution = {"grade_id": name, "solution": True, "grade": False, **grader}
        grade = {"grade_id": f"{name}-check", "solution": False, "grade": True, "points": 1, **grader, "locked": True}
        test = f'report = exercises.check("{name}", {name})\nassert report.passed, report.message'
        cells += [
            _cell("markdown", f"## {name}"),
            _cell("code", _stub(exercise) + body, solution),
            _cell("code", test, grade),
        ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def hint(name: str, step: int = 1) -> str:
    """Help with an exercise.

    Parameters
    ----------
    name : str
    step : {1, 2, 3}
        1 asks a question, 2 shows the approach, 3 is the derivation.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If the step is no number.
    ValueError
        If there is no such exercise or step.

    Examples
    --------
    >>> hint("content_gradient")
    'Only one term of ½ Σ (F − P)² contains F_ij. Differentiate that one.'
    """
    exercise = get(name)
    check_number("step", step, whole=True, least=1, most=3)
    derivation, _ = _parts(exercise)
    return (*exercise.hints, derivation or exercise.summary)[step - 1]


@dataclass(frozen=True, repr=False)
class Bug:
    """A broken function. Most are from public code, and plausible: with many of them the loss still falls.

    It prints as its source and the question what is wrong.

    Attributes
    ----------
    number : int
        From 1, over all exercises.
    exercise : str
    source : str
        The text of the function.
    function : callable
        Made from the source each time, since one of the bugs is to keep something between calls.
    """

    number: int
    exercise: str
    source: str

    def __repr__(self) -> str:
        return f"# bug {self.number}, {self.exercise}: what is wrong here?\n{self.source}"

    @property
    def function(self) -> Function:
        namespace: dict[str, Any] = {"np": np}
        exec(self.source, namespace)
        return cast(Function, namespace[self.exercise])

    def answer(self) -> Report:
        """What the checker says about it."""
        return check(self.exercise, self.function)


def bugs(names: str | Iterable[str] | None = None) -> list[Bug]:
    """Broken versions of the functions, to find the mistake in.

    Parameters
    ----------
    names : str or iterable of str, optional
        Of exercises; by default all.

    Returns
    -------
    list of Bug

    Raises
    ------
    ValueError
        If there is no such exercise.

    Examples
    --------
    >>> bug = bugs("content_gradient")[0]
    >>> print(bug)
    # bug 29, content_gradient: what is wrong here?
    def content_gradient(F, P):
        return P - F
    >>> bug.answer().diagnosis
    ['sign']
    """
    readable = [(name, m) for name, exercise in EXERCISES.items() for m in exercise.mistakes if m.readable]
    wanted = {exercise.name for exercise in select(names)}
    return [
        Bug(number, name, mistake.source(name))
        for number, (name, mistake) in enumerate(readable, start=1)
        if name in wanted
    ]


def _parts(exercise: Exercise) -> tuple[str, str]:
    """The docstring below its first line: the derivation, and the description of arguments and result."""
    text = (inspect.getdoc(exercise.function) or "").removeprefix(exercise.summary).partition("Examples\n--------")[0]
    derivation, found, sections = text.partition("Parameters\n----------")
    return derivation.strip(), (found + sections).strip()


def _stub(exercise: Exercise) -> str:
    """Signature and docstring, the latter without the derivation."""
    _, sections = _parts(exercise)
    signature = str(inspect.signature(exercise.function)).replace("numpy.ndarray", "np.ndarray")
    docstring = re.sub("^(?=.)", "    ", f'"""{exercise.summary}\n\n{sections}\n"""', flags=re.MULTILINE)
    return f"def {exercise.name}{signature}:\n{docstring}\n"


def _cell(kind: str, text: str, nbgrader: dict[str, Any] | None = None) -> dict[str, Any]:
    metadata = {"nbgrader": nbgrader} if nbgrader else {}
    cell = {"cell_type": kind, "id": hashlib.sha256(text.encode()).hexdigest()[:12], "metadata": metadata}
    return cell | {"source": text} | ({"execution_count": None, "outputs": []} if kind == "code" else {})
