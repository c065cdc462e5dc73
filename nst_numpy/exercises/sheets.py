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

CONVOLUTION = """Forward, with stride 1 and x = 0 outside the image, so that y has the height and width of x:

y[h, w, k] = bias[k] + Σ_i Σ_j Σ_c x[h + i − 1, w + j − 1, c] · kernel[i, j, c, k]

with i and j from 0 to 2. The kernel is not flipped. dy is ∂L/∂y for some scalar loss L;"""
POOLED = """Forward, for all windows that fit into the image:

y[r, s, c] = the {} of x[r · stride + i, s · stride + j, c] over i and j from 0 to window − 1

With a stride below the window, windows overlap; with one above it, and at the lower and right edge,
elements may belong to none. dy is ∂L/∂y for some scalar loss L; return ∂L/∂x."""
STYLE = "E = 1/(4 N² M²) Σ_ij (G_ij − A_ij)²,  G_ij = Σ_k F_ik F_jk"

TASKS = {  # what is to be written, so that it can be derived from this text alone; the derivation is the third hint
    "relu_backward": """Gradient of ReLU with respect to its input.

Forward, element by element: y = max(0, x). dy is ∂L/∂y for some scalar loss L; return ∂L/∂x. At x = 0
there is no derivative, and any value is accepted.""",
    "conv_backward_input": f"""Gradient of a convolution with respect to its input.

{CONVOLUTION} return ∂L/∂x.""",
    "conv_backward_kernel": f"""Gradient of a convolution with respect to its kernel.

{CONVOLUTION} return ∂L/∂kernel.""",
    "conv_backward_bias": f"""Gradient of a convolution with respect to its bias.

{CONVOLUTION} return ∂L/∂bias.""",
    "max_pool_backward": f"""Gradient of max pooling with respect to its input.

{POOLED.format("largest")}

Where a window has several largest elements, one of them may get all, or each a share: together they get
what one alone would get.""",
    "average_pool_backward": f"""Gradient of average pooling with respect to its input.

{POOLED.format("mean")}""",
    "content_loss": """Content loss of a layer.

L = ½ Σ_ij (F_ij − P_ij)², summed over all elements.""",
    "content_gradient": """Gradient of the content loss with respect to F.

The loss is L = ½ Σ_ij (F_ij − P_ij)², summed over all elements; P is constant. Return ∂L/∂F. (The
paper's case F < 0 is the gradient of the ReLU before this, not part of this function.)""",
    "feature_matrix": """The feature matrix F of a layer's response: a row for each filter, a column for each position.

F[i, j] = a[h, w, i], with the positions in reading order: j = h · W + w.""",
    "gram": """Gram matrix of the features.

G_ij = Σ_k F_ik F_jk, summed over all positions k; neither centred nor normalised.""",
    "gram_backward": """Gradient with respect to F of a loss that depends on F through its Gram matrix.

G_ij = Σ_k F_ik F_jk. dG_ij is ∂L/∂G_ij for some scalar loss L, where all N² elements of G are
independent variables. Return ∂L/∂F.""",
    "style_loss": f"""Style loss of a layer.

{STYLE}

N and M are the sizes of F. A is used as it is given.""",
    "style_gradient": f"""Gradient of the style loss with respect to F.

{STYLE}

N and M are the sizes of F; A is constant. Return ∂E/∂F.""",
    "style_gradient_of_map": f"""Gradient of the style loss with respect to a response with channels last.

{STYLE}

where F is the feature matrix of a: F[i, j] = a[h, w, i] with j = h · W + w, so M = H · W. A is
constant. Return ∂E/∂a, in the shape of a.""",
    "total_variation_gradient": """Gradient of the total variation with respect to the image.

TV = ½ Σ (x[i + 1, j, c] − x[i, j, c])² + ½ Σ (x[i, j + 1, c] − x[i, j, c])²

The sums are over all channels and all pairs of neighbours inside the image. Return ∂TV/∂x.""",
    "total_gradient": f"""Gradient of the weighted content and style losses of one layer with respect to its features F.

L = alpha · ½ Σ_ij (F_ij − P_ij)² + beta · E,  {STYLE}

N and M are the sizes of F; P and A are constant. Return ∂L/∂F.""",
    "gradient_step": """One step of gradient descent.

Return the image moved in the direction of steepest descent, by learning_rate times the length of the
gradient.""",
}


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
    signature, (_, sections) = inspect.signature(exercise.function), _parts(exercise)
    options = {name for case in exercise.cases() for name in case.options}
    given = [p for p in signature.parameters.values() if p.default is p.empty or p.name in options]
    for name in set(signature.parameters) - {
        parameter.name for parameter in given
    }:  # the library's, not the exercise's
        sections = re.sub(rf"^{name} : .*\n(?:    .*\n)*", "", sections, flags=re.MULTILINE)
    head = f"def {exercise.name}{signature.replace(parameters=given)}:".replace("numpy.ndarray", "np.ndarray")
    docstring = re.sub("^(?=.)", "    ", f'"""{TASKS[exercise.name]}\n\n{sections}\n"""', flags=re.MULTILINE)
    return f"{head}\n{docstring}\n"


def _parts(exercise: Exercise) -> tuple[str, str]:
    """The docstring below its first line: the derivation, and the description of arguments and result."""
    text = (inspect.getdoc(exercise.function) or "").removeprefix(exercise.summary).partition("Examples\n--------")[0]
    derivation, found, sections = text.partition("Parameters\n----------")
    return derivation.strip(), (found + sections).strip()
