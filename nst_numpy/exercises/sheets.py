"""What a student gets: stubs to fill in, as a file or a notebook, and hints; all from the library's own functions."""

import hashlib
import inspect
import re
from collections.abc import Iterable
from typing import Any

from nst_numpy.exercises.catalogue import EXERCISES, find

# Two hints for each; the third is the derivation in the docstring of the library's own function.
HINTS = {
    "relu_backward": (
        "y = max(0, x) acts on each element by itself. What is the slope dy/dx where x > 0, and where x < 0?",
        "Multiply dy by a mask of zeros and ones. From which array must the mask come, and with which comparison?",
    ),
    "conv_backward_input": (
        "Which outputs does one input element x[q, c] touch, and with which factor each? There are nine positions.",
        "Forward gathers x[p + o] through kernel[o]. Backward scatters dy[p] through the transpose of kernel[o] to the "
        "same place, p + o, and adds. Work on an array with a border of one pixel, and cut it off at the end.",
    ),
    "conv_backward_kernel": (
        "One number kernel[o, c, k] is used at every position p. So its gradient is a sum over positions.",
        "It multiplies x[p + o, c] and goes into y[p, k]. Shift the padded image by o: then the sum over positions of "
        "x[p + o, c] · dy[p, k] is one matrix product for each of the nine offsets.",
    ),
    "conv_backward_bias": (
        "bias[k] is added to y[p, k] at every position p.",
        "Each of these additions has the slope 1. Sum dy over all positions; the channels stay.",
    ),
    "max_pool_backward": (
        "Near x, the output equals one element of its window. What is the slope for that one, and for the others?",
        "Find the first element that is equal to the largest, and add dy there. Add: with overlapping windows, one "
        "element can be the largest of several. If several are equally large, only one of them may get dy.",
    ),
    "average_pool_backward": (
        "y is the sum of the window's elements times 1/window². What is the slope for each of them?",
        "Every element of a window gets dy/window². Add where windows overlap; what lies in no window gets 0.",
    ),
    "content_loss": (
        "It is half the sum of the squared differences, equation 1 of the paper.",
        "Square first, then sum over filters and positions, then halve. No mean.",
    ),
    "content_gradient": (
        "Only one term of ½ Σ (F − P)² contains F_ij. Differentiate that one.",
        "The 2 from the square cancels the ½. The inner derivative of F_ij − P_ij with respect to F_ij is 1.",
    ),
    "feature_matrix": (
        "F has a row for each filter and a column for each position, in reading order: j = h·W + w.",
        "In memory, the channels of one position lie side by side. reshape keeps that order: so reshape to "
        "(H·W, N) and transpose.",
    ),
    "gram": (
        "G_ij = Σ_k F_ik F_jk: filter i and filter j, multiplied at each position and summed over the positions.",
        "Rows of F are filters. A matrix product that sums over the second index of both: one of them transposed.",
    ),
    "gram_backward": (
        "F stands twice in G = F Fᵀ: the product rule gives two terms.",
        "G_kl contains F_ij where k = i, with the factor F_lj, and where l = i, with the factor F_kj. Sum both over "
        "what is left, with the weights dG. Do not take dG to be symmetric.",
    ),
    "style_loss": (
        "The squared differences of two Gram matrices, summed over both indices, times 1/(4 N² M²).",
        "N and M are the two sizes of F. Square every element of G − A by itself: it is no matrix product.",
    ),
    "style_gradient": (
        "The chain rule in two steps: from E to G, then from G to F.",
        "∂E/∂G = (G − A)/(2 N² M²), which is symmetric; then both halves of the product rule are equal, and give a "
        "factor 2. Which of (G − A) F and Fᵀ(G − A) has the shape of F?",
    ),
    "style_gradient_of_map": (
        "Bring a to the form N × M, take the gradient there, and bring it back the same way.",
        "a.reshape(-1, N).T on the way in; .T.reshape(a.shape) on the way out. M = H · W.",
    ),
    "total_variation_gradient": (
        "A pixel stands in up to four differences, in two as the first operand, in two as the second.",
        "For d = x[i+1] − x[i], the derivative of ½ d² is d with respect to x[i+1], and −d with respect to x[i]. "
        "Compute all differences down and right, and add them with both signs where they belong. At the border, some "
        "are missing.",
    ),
    "total_gradient": (
        "The derivative of a weighted sum is the weighted sum of the derivatives.",
        "α times the content gradient plus β times the style gradient: both with respect to the same F.",
    ),
    "gradient_step": (
        "The gradient points to where the loss rises fastest.",
        "Go the other way, by rate times the gradient; return a new array.",
    ),
}


def _parts(name: str) -> tuple[str, str, str]:
    """A docstring in three parts: first line, derivation, and the description of arguments and result."""
    text = inspect.getdoc(find(name).function)
    first, _, rest = text.partition("\n\n")
    derivation, found, sections = rest.partition("Parameters\n----------")
    return first, derivation.strip(), (found + sections).strip()


def start(names: Iterable[str] | None = None) -> str:
    """The text of a Python file with these functions to write, by default all.

    Parameters
    ----------
    names : iterable of str, optional

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    functions = [_stub(name) + "    raise NotImplementedError" for name in (EXERCISES if names is None else names)]
    header = (
        '"""Gradients to derive. Check them with: nst-numpy exercise check THIS_FILE\n\n'
        "F and P are N×M (filters × positions), maps are (H, W, channels), kernels (3, 3, C, K).\n"
        'No function may change its arguments.\n"""\n\nimport numpy as np\n'
    )
    return "\n\n\n".join([header.rstrip(), *functions]) + "\n"


def _stub(name: str) -> str:
    """Signature and docstring, the latter without the derivation."""
    first, _, sections = _parts(name)
    signature = str(inspect.signature(EXERCISES[name].function)).replace("numpy.ndarray", "np.ndarray")
    docstring = re.sub("^(?=.)", "    ", f'"""{first}\n\n{sections}\n"""', flags=re.MULTILINE)
    return f"def {name}{signature}:\n{docstring}\n"


def notebook(names: Iterable[str] | None = None, solutions: bool = False) -> dict[str, Any]:
    """A notebook of exercises, each followed by its check; what `json.dump` writes to an .ipynb file.

    Parameters
    ----------
    names : iterable of str, optional
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
    for name in EXERCISES if names is None else names:
        body = "    raise NotImplementedError"
        if solutions:
            own = inspect.getsource(EXERCISES[name].function).split('"""')[2].strip("\n")
            body = f"    ### BEGIN SOLUTION\n{own}\n    ### END SOLUTION"
        grader = {"schema_version": 3, "locked": False, "task": False}
        solution = {"grade_id": name, "solution": True, "grade": False, **grader}
        grade = {"grade_id": f"{name}-check", "solution": False, "grade": True, "points": 1, **grader, "locked": True}
        check = f'report = exercises.check("{name}", {name})\nassert report.passed, report.message'
        cells += [
            _cell("markdown", f"## {name}"),
            _cell("code", _stub(name) + body, solution),
            _cell("code", check, grade),
        ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


def _cell(kind: str, text: str, nbgrader: dict | None = None) -> dict[str, Any]:
    cell = {"cell_type": kind, "id": hashlib.sha256(text.encode()).hexdigest()[:12], "metadata": {}, "source": text}
    if nbgrader:
        cell["metadata"]["nbgrader"] = nbgrader
    return cell | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def hint(name: str, step: int = 1) -> str:
    """Help with an exercise.

    Parameters
    ----------
    name : str
    step : {1, 2, 3}
        1 asks a question, 2 shows the way, 3 is the derivation.

    Returns
    -------
    str

    Raises
    ------
    ValueError
        If there is no such exercise or step.
    """
    _, derivation, _ = _parts(name)
    if step not in (1, 2, 3):
        raise ValueError(f"step must be 1, 2 or 3, found {step!r}")
    return (*HINTS[name], derivation or _parts(name)[0])[step - 1]
