"""Grade a folder of submissions: a table of marks, and a page of feedback for each student.

Files are read here, and given to the workers as bytes: on a cluster they need no common file system. What a student has
got is kept as soon as it is known, with a hash of what it depends on, so that a run that was stopped can go on.
"""

import csv
import hashlib
import io
import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

import nst_numpy
from nst_numpy.console import console
from nst_numpy.exercises import pages
from nst_numpy.exercises.assignment import Assignment, Task, load_assignment
from nst_numpy.exercises.runner import BYTES, Submission, printable, read
from nst_numpy.images import write_text
from nst_numpy.jobs import answers as do
from nst_numpy.jobs import recalled, remember
from nst_numpy.validation import check_number

FILES = 100  # of one student
UNSEEN = ("__pycache__", "__MACOSX")  # not written by a student; nor is what begins with a dot


@dataclass(frozen=True)
class Mark:
    """What a student has got for one function.

    Attributes
    ----------
    name : str
    points, of : float
        `of` is 0 for a function that is not required and not there.
    report : dict
        As `Report.to_dict` gives it.
    """

    name: str
    points: float
    of: float
    report: Mapping[str, Any]

    @property
    def words(self) -> str:
        """What is wrong, in a word or two; empty if it passed."""
        return "missing" if self.report["not_yet"] else ", ".join(self.report["diagnosis"])


@dataclass(frozen=True)
class Result:
    """What a student has got.

    Attributes
    ----------
    name : str
        Of the file or folder.
    marks : tuple of Mark
        Empty if the submission could not be graded.
    remarks : tuple of str
        What could not be read or run, and what else a teacher should know; why it could not be graded.
    enforced : dict of str to str
        What the submission could do; see `sandbox.enforce`.
    page : str
        The name of the page of feedback, without ending.
    """

    name: str
    marks: tuple[Mark, ...] = ()
    remarks: tuple[str, ...] = ()
    enforced: Mapping[str, str] = field(default_factory=dict)
    page: str = ""

    @property
    def graded(self) -> bool:
        """Whether it could be."""
        return bool(self.marks)

    @property
    def points(self) -> float:
        """Those of all marks."""
        return sum(mark.points for mark in self.marks)

    @property
    def of(self) -> float:
        """The points that could be had."""
        return sum(mark.of for mark in self.marks)

    @property
    def all_remarks(self) -> list[str]:
        """What is wrong with each function, in a word or two, and the other remarks."""
        return [f"{mark.name}: {mark.words}" for mark in self.marks if mark.words] + list(self.remarks)


def grade(
    folder: str | os.PathLike[str],
    assignment: Assignment | str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    executor: Executor | None = None,
    workers: int | None = None,
    again: bool = False,
    progress: bool = True,
) -> list[Result]:
    r"""Grade the submissions in a folder, and write marks.csv, marks.html and feedback/NAME.html.

    Parameters
    ----------
    folder : path
        With one file (.py or .ipynb) or one folder for each student, whose name it has. All files in a student's folder
        are used, in alphabetical order.
    assignment : Assignment or path
        Of its TOML file.
    output : path
        A folder, made if need be. What is in its folder `results` is not graded again if submission, assignment and
        version of this library are the same.
    executor : concurrent.futures.Executor, optional
        Whatever runs functions elsewhere, such as a Dask client's `get_executor()`; it needs this library, and is not
        shut down. By default processes on this machine.
    workers : int, optional
        How many processes; by default as many as there are processors.
    again : bool
        Grade everything again.
    progress : bool
        Show a bar.

    Returns
    -------
    list of Result
        In the order of the names.

    Raises
    ------
    OSError
        If a file can't be read or written, or no submission can be run here.
    TypeError, ValueError
        If there is nothing to grade, the output is in the folder of the submissions, or the assignment is wrong.

    Examples
    --------
    >>> import tempfile
    >>> from nst_numpy.exercises.assignment import Task
    >>> sheet = Assignment("Sheet 1", (Task("gram", points=2, partial={"transposed": 0.5}),))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "ada.py").write_text("def gram(F):\n    return F.T @ F\n")
    ...     with tempfile.TemporaryDirectory() as output:
    ...         results = grade(folder, sheet, output, workers=1, progress=False)
    ...         print(Path(output, "marks.csv").read_text().splitlines()[-1])
    ada,1,1,2,50,gram: transposed
    """
    folder, output = Path(folder), Path(output)
    if not isinstance(assignment, Assignment):
        assignment = load_assignment(assignment)
    if workers is not None:
        check_number("workers", workers, whole=True, least=1)
    if not folder.is_dir():
        raise NotADirectoryError(f"there is no folder {folder}")
    if output.resolve().is_relative_to(folder.resolve()):
        raise ValueError(f"{output} is in the folder of the submissions; choose another one for the marks")
    if executor is None:  # says at once what would fail for each student
        with Submission({}, (), imports=assignment.imports):
            pass
    handed = list(_handed_in(folder))
    if not handed:
        raise ValueError(f"no submissions in {folder}: expected a .py or .ipynb file, or a folder, for each student")
    for name in ("feedback", "results"):
        (output / name).mkdir(parents=True, exist_ok=True)
    students = dict(zip(_file_names([student.name for student in handed]), handed, strict=True))
    keys = {page: _key(student.files, assignment) for page, student in students.items()}
    kept = {page: output / "results" / f"{page}.json" for page in students}
    answers = {}
    for page, path in kept.items():
        if not again and (found := recalled(path, keys[page])):
            answers[page] = found
    todo = [page for page, student in students.items() if student.files and page not in answers]
    jobs = {page: (students[page].files, assignment) for page in todo}
    shown = {"unit": "student", "disable": None if progress else True, "file": console}
    with tqdm(total=len(jobs), desc="grading", **shown) as bar:
        for page, answer in do(jobs, examine, executor, workers):
            answers[page] = answer
            if "reports" in answer:
                remember(kept[page], keys[page], answer)
            bar.update()
    results = [_result(page, student, answers.get(page, {}), assignment) for page, student in students.items()]
    for result in results:
        write_text(output / "feedback" / f"{result.page}.html", pages.feedback(result, assignment))
    write_text(output / "marks.html", pages.marks(results, assignment))
    spreadsheet = "utf-8-sig"  # the mark by which they know UTF-8
    write_text(output / "marks.csv", _table(results, assignment), spreadsheet)
    return results


# What was handed in ---------------------------------------------------------------------------------------------------


@dataclass
class _Student:
    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


def _handed_in(folder: Path) -> Iterator[_Student]:
    """What each student has handed in, and what is wrong with it."""
    entries = sorted(entry for entry in folder.iterdir() if not _unseen(entry.name))
    names = {entry: entry.name if entry.is_dir() else entry.stem for entry in entries}
    for entry in entries:
        same = [other.name for other in entries if names[other] == names[entry]]
        if len(same) > 1:
            remark = f"not graded: {' and '.join(same)} have one name; put them into one folder, or rename one"
            yield _Student(printable(entry.name), remarks=[printable(remark)])
            continue
        student = _Student(printable(names[entry]))
        for path in _files(entry, student.remarks):
            name = path.name if path == entry else path.relative_to(entry).as_posix()
            try:
                student.files[printable(name)] = read(path)
            except ValueError as error:
                student.remarks.append(str(error))
            except OSError as error:
                student.remarks.append(f"{name} can't be read: {error.strerror}")
        if sum(map(len, student.files.values())) > BYTES or len(student.files) > FILES:
            student.files = {}
            student.remarks.append(f"the files are more than {FILES}, or have more than {BYTES >> 20} MB")
        if not student.files:
            student.remarks.insert(0, "not graded: there is no .py or .ipynb file that can be read")
        student.remarks = [printable(remark) for remark in student.remarks]
        yield student


def _files(entry: Path, remarks: list[str]) -> Iterator[Path]:
    """The Python files and notebooks of a student; the remarks get what is left out."""
    if entry.is_symlink():
        remarks.append(f"{entry.name} is a symbolic link, and not followed")
        return
    found, others = [entry], []
    if entry.is_dir():
        found = []
        for place, folders, names in os.walk(entry, onerror=lambda error: remarks.append(f"can't be read: {error}")):
            folders[:] = [name for name in folders if not _unseen(name)]
            found += [Path(place, name) for name in names if not _unseen(name)]
            found += [Path(place, name) for name in folders if Path(place, name).is_symlink()]
    for path in sorted(found):
        if path.is_symlink():
            remarks.append(f"{path.name} is a symbolic link, and not followed")
        elif path.suffix.lower() not in (".py", ".ipynb") or not path.is_file():
            others.append(path.name)
        else:
            yield path
    if others:
        more = f" and {len(others) - 5} more" if len(others) > 5 else ""
        remarks.append(f"not read, since neither .py nor .ipynb: {', '.join(others[:5])}{more}")


def _unseen(name: str) -> bool:
    return name.startswith(".") or name in UNSEEN


def _file_names(names: Iterable[str]) -> list[str]:
    """For each student a name that every file system takes; no two are equal, in whatever case."""
    made: list[str] = []
    for name in names:
        plain = re.sub(r"[^\w.-]+", "_", name).strip("._")[:60] or "student"
        taken = {other.casefold() for other in made}
        candidates = (plain, *(f"{plain}-{k}" for k in range(2, len(made) + 3)))
        made.append(next(candidate for candidate in candidates if candidate.casefold() not in taken))
    return made


# Grading --------------------------------------------------------------------------------------------------------------


def examine(files: dict[str, bytes], assignment: Assignment) -> dict[str, Any]:
    """Check one student's functions; runs in a worker.

    Parameters
    ----------
    files : dict of str to bytes
    assignment : Assignment

    Returns
    -------
    dict
        What JSON can hold: "reports", "remarks" and "enforced"; or "error".

    Examples
    --------
    >>> from nst_numpy.exercises.assignment import Task
    >>> answer = examine({"ada.py": b"def gram(F): return F @ F.T"}, Assignment("Sheet 1", (Task("gram"),)))
    >>> answer["reports"][0]["passed"]
    True
    """
    names = [task.name for task in assignment.tasks]
    limits: dict[str, Any] = {"seconds": assignment.seconds, "megabytes": assignment.megabytes}
    try:
        with Submission(files, names, imports=assignment.imports, **limits) as submission:
            reports = [submission.check(name, assignment.seed).to_dict() for name in names]
            remarks = submission.notes + submission.remarks
            return {"reports": reports, "remarks": remarks, "enforced": submission.enforced}
    except Exception as error:  # of the checker or the system; the others are graded all the same
        return {"error": f"{type(error).__name__}: {error}"}


def _result(page: str, student: _Student, answer: Mapping[str, Any], assignment: Assignment) -> Result:
    remarks = list(student.remarks)
    if "reports" not in answer:
        if "error" in answer:
            remarks.insert(0, f"not graded: {printable(answer['error'])}")
        return Result(student.name, remarks=tuple(remarks), page=page)
    marks = tuple(_mark(task, report) for task, report in zip(assignment.tasks, answer["reports"], strict=True))
    missing = [mark.report["message"].partition(": ")[2] for mark in marks if mark.report["not_yet"]]
    remarks += filter(None, missing)  # which names are like those of functions that are missing
    return Result(student.name, marks, (*remarks, *answer["remarks"]), answer["enforced"], page)


def _mark(task: Task, report: Mapping[str, Any]) -> Mark:
    """The points for a report: all, none, or the share for a mistake that is the only one."""
    if report["not_yet"] and not task.required:
        return Mark(task.name, 0, 0, report)
    code = report["diagnosis"][0] if len(report["diagnosis"]) == 1 else ""
    share = 1 if report["passed"] else task.partial.get(code, 0)
    return Mark(task.name, share * task.points, task.points, report)


# Files ----------------------------------------------------------------------------------------------------------------


def _key(files: Mapping[str, bytes], assignment: Assignment) -> str:
    """A hash of all that a result depends on."""
    each = [(name, hashlib.sha256(data).hexdigest()) for name, data in files.items()]
    return hashlib.sha256(repr((nst_numpy.__version__, assignment, each)).encode()).hexdigest()


def _table(results: Iterable[Result], assignment: Assignment) -> str:
    """Marks as CSV. A person fills in the columns of the questions."""
    file = io.StringIO()
    writer = csv.writer(file)
    tasks, questions = [task.name for task in assignment.tasks], [question.title for question in assignment.questions]
    writer.writerow(["student", *tasks, *questions, "points", "of", "percent", "remarks"])
    for result in results:
        points: list[str] = [""] * len(tasks)
        total = ["", "", ""]
        if result.graded:
            points = [f"{mark.points:g}" if mark.of else "" for mark in result.marks]
            percent = f"{100 * result.points / result.of:.4g}" if result.of else ""
            total = [f"{result.points:g}", f"{result.of:g}", percent]
        remarks = "; ".join(result.all_remarks)
        writer.writerow([_cell(result.name), *points, *[""] * len(questions), *total, _cell(remarks)])
    return file.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@")) else text


def summary(results: Iterable[Result]) -> str:
    """How many were graded, and who was not.

    Examples
    --------
    >>> print(summary([Result("ada", remarks=("not graded: empty",))]))
    graded 0 of 1
      ada: not graded: empty
    """
    results = list(results)
    lines = [f"graded {sum(result.graded for result in results)} of {len(results)}"]
    lines += [f"  {result.name}: {'; '.join(result.remarks)}" for result in results if not result.graded]
    for words, count in Counter(json.dumps(result.enforced) for result in results if result.graded).items():
        where = "" if count == sum(result.graded for result in results) else f" ({count} submissions)"
        lines.append("enforced: " + "; ".join(f"{k}: {v}" for k, v in json.loads(words).items()) + where)
    return "\n".join(lines)
