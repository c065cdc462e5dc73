"""The gradients of this library as exercises, and a checker that says what is wrong.

>>> from nst_numpy import exercises
>>> def style_gradient(F, A):
...     return (F @ F.T - A) @ F
>>> report = exercises.check("style_gradient", style_gradient)
>>> report.passed, report.diagnosis
(False, ['missing-normaliser'])

`start(names)` gives the text of a file to fill in, `notebook(names)` a notebook. `check` checks one function,
`check_file` a file, in a process of its own and with limits. `hint` helps in three steps. `bugs` has broken functions
to find the mistake in.
"""

from nst_numpy.exercises.checker import Report, check
from nst_numpy.exercises.codes import CODES
from nst_numpy.exercises.runner import check_file
from nst_numpy.exercises.sheets import Bug, bugs, hint, notebook, start
from nst_numpy.exercises.topics import EXERCISES

__all__ = ["CODES", "Bug", "Report", "bugs", "check", "check_file", "hint", "names", "notebook", "start"]


def names() -> list[str]:
    """The names of all exercises, by topic.

    Examples
    --------
    >>> names()[:2]
    ['relu_backward', 'conv_backward_input']
    """
    return list(EXERCISES)
