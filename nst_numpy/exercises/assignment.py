"""An assignment: which exercises a sheet has, what they are worth, and what a submission may use."""

import os
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Any

from nst_numpy.exercises.codes import CODES
from nst_numpy.exercises.topics import get
from nst_numpy.validation import check_choice, check_number, checked, shown

SECONDS, MEGABYTES = 20, 4096  # for each function; address space


@dataclass(frozen=True)
class Task:
    """One function of an assignment.

    Attributes
    ----------
    name : str
        Of the exercise; see `names`.
    points : float
    required : bool
        A required function that is missing is worth 0 points and named; one that is not required does not count.
    partial : dict of str to float
        The share of the points, from 0 to 1, for a wrong result whose only diagnosis is this code.

    Raises
    ------
    TypeError, ValueError
        If there is no such exercise or code, or a number is out of its range.

    Examples
    --------
    >>> Task("gram", points=2, partial={"transposed": 0.5}).required
    True
    """

    name: str
    points: float = 1
    required: bool = True
    partial: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        get(self.name)
        check_number(f"points of {self.name}", self.points)
        _check_type(f"required of {self.name}", self.required, bool, "true or false")
        _check_type(f"partial of {self.name}", self.partial, Mapping, "a table of codes and shares")
        for code, share in self.partial.items():
            check_choice("code", code, CODES)
            check_number(f"share for {code}", share, most=1)


@dataclass(frozen=True)
class Question:
    """A derivation or an explanation to write, which a person grades.

    Examples
    --------
    >>> Question("Half of the product rule", "Why does F occur twice in G = F Fᵀ?", points=2).points
    2
    """

    title: str
    text: str
    points: float = 1

    def __post_init__(self) -> None:
        for name in ("title", "text"):
            _check_type(f"{name} of a question", getattr(self, name), str, "a string")
        check_number(f"points of {self.title}", self.points)


@dataclass(frozen=True)
class Assignment:
    """A sheet of exercises.

    Attributes
    ----------
    title : str
    tasks : tuple of Task
    questions : tuple of Question
    seed : int
        Of the hidden inputs: those that a student sees have none.
    imports : tuple of str
        What submissions may import besides Python's standard library.
    seconds : float
        Maximum time for each function.
    megabytes : int
        Maximum memory of a submission.

    Raises
    ------
    TypeError, ValueError
        If there is no task, one occurs twice, or a value is out of its range.

    Examples
    --------
    >>> Assignment("Sheet 1", (Task("gram"),)).imports
    ('numpy',)
    """

    title: str
    tasks: tuple[Task, ...]
    questions: tuple[Question, ...] = ()
    seed: int = 0
    imports: tuple[str, ...] = ("numpy",)
    seconds: float = SECONDS
    megabytes: int = MEGABYTES

    def __post_init__(self) -> None:
        _check_type("title", self.title, str, "a string")
        _check_type("imports", self.imports, tuple, "a list of names")
        for name in self.imports:
            _check_type("imports", name, str, "a list of names")
        check_number("seed", self.seed, whole=True)
        check_number("seconds", self.seconds, most=86_400)
        check_number("megabytes", self.megabytes, whole=True, least=1)
        names = [task.name for task in self.tasks]
        if not names:
            raise ValueError("an assignment needs at least one [[exercise]] with a name")
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"{name} is in the assignment {names.count(name)} times; give each exercise once")


@checked()
def load_assignment(path: str | os.PathLike[str]) -> Assignment:
    r"""Read an assignment from a TOML file.

    The keys are the names of the attributes of `Assignment`, but for [[exercise]] (tasks) and [[question]] (questions).

    Parameters
    ----------
    path : path

    Returns
    -------
    Assignment

    Raises
    ------
    OSError
        If the file can't be read.
    TypeError, ValueError
        If it is no TOML, has an unknown key, or a value is out of its range. The message names the file.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
    ...     print('title = "Sheet 1"\n[[exercise]]\nname = "gram"\npoints = 2', file=file, flush=True)
    ...     load_assignment(file.name).tasks[0].points
    2
    """
    try:
        given = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        made = {"tasks": _each(Task, given.pop("exercise", []), "exercise")}
        made["questions"] = _each(Question, given.pop("question", []), "question")
        if isinstance(given.get("imports"), list):
            given["imports"] = tuple(given["imports"])
        given = {"title": Path(path).stem, **given, **made}
        _check_keys(Assignment, given, "an assignment")
        return Assignment(**given)
    except RecursionError:
        raise ValueError(f"{path}: its values are nested too deeply") from None
    except TypeError as error:
        raise TypeError(f"{path}: {error}") from error
    except ValueError as error:  # TOML's and Unicode's errors are some
        raise ValueError(f"{path}: {error}") from error


def _each(kind: type, tables: Any, what: str) -> tuple[Any, ...]:
    """Objects from an array of tables."""
    if not (isinstance(tables, list) and all(isinstance(table, dict) for table in tables)):
        raise TypeError(f"expected [[{what}]] and its keys below it, found {what} = {shown(tables)}")
    for table in tables:
        _check_keys(kind, table, f"[[{what}]]")
    return tuple(kind(**table) for table in tables)


def _check_keys(kind: type[Any], given: Mapping[str, Any], where: str) -> None:
    required = [f.name for f in fields(kind) if f.default is MISSING and f.default_factory is MISSING]
    for key in given:
        check_choice(f"key of {where}", key, [f.name for f in fields(kind)])
    for key in required:
        if key not in given:
            raise ValueError(f"{where} needs {key}")


def _check_type(name: str, value: object, kind: type, words: str) -> None:
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be {words}, found {shown(value)}")
