"""What a student gets: stubs to fill in, as a file or a notebook, hints, and bugs to find.

Signatures, shapes and derivations are taken from the library's own functions.
"""

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

UNWRITTEN = "    raise NotImplementedError"
NOTATION = """F and P are N×M (filters × positions), maps are (H, W, channels), kernels (3, 3, C, K).
No function may change its arguments."""


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
    functions = [stub(exercise) + UNWRITTEN for exercise in select(names)]
    header = f'"""Gradients to derive. Check them with: nst-numpy exercise check THIS_FILE\n\n{NOTATION}\n"""'
    return "\n\n\n".join([f"{header}\n\nimport numpy as np", *functions]) + "\n"


def notebook(names: str | Iterable[str] | None = None) -> dict[str, Any]:
    """A notebook of exercises, each followed by its check; what `json.dump` writes to an .ipynb file.

    Parameters
    ----------
    names : str or iterable of str, optional
        By default all.

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
    print(exercises.check("gram", gram))
    """
    cells = [
        cell("markdown", f"# Gradients to derive\n\n{NOTATION}"),
        cell("code", "import numpy as np\n\nfrom nst_numpy import exercises"),
    ]
    for exercise in select(names):
        cells += [
            cell("markdown", f"## {exercise.name}"),
            cell("code", stub(exercise) + UNWRITTEN),
            cell("code", f'print(exercises.check("{exercise.name}", {exercise.name}))'),
        ]
    return book(cells)


def cell(kind: str, text: str, **metadata: Any) -> dict[str, Any]:
    """A cell of a notebook, of the kind "markdown", "code" or "raw".

    Examples
    --------
    >>> cell("markdown", "# A title")["source"]
    '# A title'
    """
    made = {"cell_type": kind, "metadata": metadata, "source": text}
    return made | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def book(cells: list[dict[str, Any]]) -> dict[str, Any]:
    """A notebook of these cells, in nbformat 4.

    Examples
    --------
    >>> book([])["nbformat"]
    4
    """
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [{"id": f"cell-{k}", **each} for k, each in enumerate(cells)]
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


def stub(exercise: Exercise) -> str:
    """Signature and docstring of a function to write: what is to be derived, and the shapes, not the derivation.

    Examples
    --------
    >>> print(stub(get("gradient_step")).splitlines()[0])
    def gradient_step(x: np.ndarray, gradient: np.ndarray, learning_rate: float) -> np.ndarray:
    """
    _, sections = _parts(exercise)
    for name in inspect.signature(exercise.function).parameters.keys() - {*exercise.arguments}:
        sections = re.sub(rf"^{name} : .*\n(?:    .*\n)*", "", sections, flags=re.MULTILINE)
    head = f"def {exercise.name}{exercise.signature}:".replace("numpy.ndarray", "np.ndarray")
    docstring = re.sub("^(?=.)", "    ", f'"""{exercise.task}\n\n{sections}\n"""', flags=re.MULTILINE)
    return f"{head}\n{docstring}\n"


def _parts(exercise: Exercise) -> tuple[str, str]:
    """The docstring below its first line: the derivation, and the description of arguments and result."""
    text = (inspect.getdoc(exercise.function) or "").removeprefix(exercise.summary).partition("Examples\n--------")[0]
    derivation, found, sections = text.partition("Parameters\n----------")
    return derivation.strip(), (found + sections).strip()
