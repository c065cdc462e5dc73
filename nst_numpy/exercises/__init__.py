"""The gradients of this library as exercises, and a checker that says what is wrong.

>>> from nst_numpy import exercises
>>> def style_gradient(F, A):
...     return (F @ F.T - A) @ F
>>> report = exercises.check("style_gradient", style_gradient)
>>> report.passed, report.diagnosis
(False, ['missing-normaliser'])

`start(names)` gives the text of a file to fill in, `notebook(names)` a notebook. `check` checks one function,
`check_file` a file, in a process of its own and with limits. `hint` helps in three steps. `bugs` has broken functions
to find the mistake in. `assignment_kit` makes the files of an assignment for pytest, nbgrader, Otter or GitHub
Classroom.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nst_numpy.exercises.assignment import load_assignment
    from nst_numpy.exercises.checker import Report, check
    from nst_numpy.exercises.codes import CODES
    from nst_numpy.exercises.kits import assignment_kit
    from nst_numpy.exercises.runner import check_file
    from nst_numpy.exercises.sheets import Bug, bugs, hint, notebook, start
    from nst_numpy.exercises.topics import names

__all__ = [
    "CODES",
    "Bug",
    "Report",
    "assignment_kit",
    "bugs",
    "check",
    "check_file",
    "hint",
    "load_assignment",
    "names",
    "notebook",
    "start",
]

_MODULES = {
    "CODES": "codes",
    "Report": "checker",
    "assignment_kit": "kits",
    "check": "checker",
    "check_file": "runner",
    "load_assignment": "assignment",
    "names": "topics",
}


def __getattr__(name: str) -> Any:
    """Import what is used, when it is used: the command line needs the exercises for one of its commands only."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'sheets')}"), name)


def __dir__() -> list[str]:
    return __all__
