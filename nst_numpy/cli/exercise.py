"""exercise: the commands for deriving gradients yourself."""

import argparse
import csv
import json
import sys
import textwrap
from pathlib import Path
from typing import Any

from nst_numpy import exercises
from nst_numpy.cli import grading
from nst_numpy.cli.arguments import names
from nst_numpy.validation import check_number


def add(commands: Any) -> None:
    """Add the commands to those of a parser."""
    tasks = commands.add_parser("exercise", help="gradients to derive yourself, with a checker that diagnoses mistakes")
    tasks = tasks.add_subparsers(title="commands", required=True, metavar="COMMAND")
    listing = tasks.add_parser("list", help="the functions to write")
    listing.set_defaults(run=_list)
    begin = tasks.add_parser("start", help="a file to fill in")
    begin.set_defaults(run=_start)
    begin.add_argument("names", metavar="NAME", nargs="*", help="by default all")
    begin.add_argument(
        "-o", "--output", metavar="FILE", type=Path, help="Python file or notebook; by default standard output"
    )
    kit = tasks.add_parser("assignment", help="the files of an assignment for a classroom")
    kit.set_defaults(run=_assignment)
    kit.add_argument("assignment", metavar="ASSIGNMENT.toml", type=Path, help="exercises, points, questions, seed")
    kit.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="where to write the files")
    kit.add_argument("--for", dest="kind", required=True, choices=("pytest", "nbgrader", "otter", "github"))
    test = tasks.add_parser("check", help="check files; exit code 0 if nothing is wrong, 1 otherwise")
    test.set_defaults(run=_check)
    test.add_argument("files", metavar="FILE", nargs="+", type=Path, help="Python file, notebook, or a folder of them")
    test.add_argument("--only", type=names, metavar="NAME,…", help="by default all; none of these may be missing")
    form = test.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="the full reports as JSON")
    form.add_argument("--csv", action="store_true", help="a row for each function, as CSV")
    grading.add(tasks)
    find = tasks.add_parser("bug", help="a broken function: what is wrong with it?")
    find.set_defaults(run=_bug)
    find.add_argument("which", metavar="N", help="a number, or the name of an exercise for all of its bugs")
    find.add_argument("--answer", action="store_true", help="say what is wrong")
    help_with = tasks.add_parser("hint", help="a question, the approach, the derivation")
    help_with.set_defaults(run=_hint)
    help_with.add_argument("name", metavar="NAME")
    help_with.add_argument("--step", type=int, default=1, choices=(1, 2, 3), help="how much help")


def _list(options: argparse.Namespace) -> int:
    from nst_numpy.exercises.topics import EXERCISES  # with all inputs and mistakes: not for other commands

    for exercise in EXERCISES.values():
        print(f"{exercise.name:28} {exercise.summary}")
    return 0


def _start(options: argparse.Namespace) -> int:
    if options.output is not None and options.output.suffix == ".ipynb":
        text = json.dumps(exercises.notebook(options.names or None), indent=1) + "\n"
    else:
        text = exercises.start(options.names or None)
    if options.output is None:
        print(text, end="")
        return 0
    if options.output.exists():
        raise ValueError(f"{options.output} exists already; choose another name, so that no work is lost")
    from nst_numpy.images import write_text

    write_text(options.output, text)
    python = options.output.suffix != ".ipynb"
    print(f"wrote {options.output}" + f"; check it with: nst-numpy exercise check {options.output}" * python)
    return 0


def _assignment(options: argparse.Namespace) -> int:
    from nst_numpy.exercises.kits import next_step
    from nst_numpy.images import write_text

    assignment = exercises.load_assignment(options.assignment)
    files = {options.output / path: text for path, text in exercises.assignment_kit(assignment, options.kind).items()}
    for path in files:
        if path.exists():
            raise ValueError(f"{path} exists already; choose another folder, so that no work is lost")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, text)
        print(f"wrote {path}")
    print(next_step(assignment, options.kind, str(options.output)))
    return 0


def _hint(options: argparse.Namespace) -> int:
    print(exercises.hint(options.name, options.step))
    return 0


def _bug(options: argparse.Namespace) -> int:
    if options.which.lstrip("-").isdigit():
        every = exercises.bugs()
        check_number("the number of a bug", int(options.which), whole=True, least=1, most=len(every))
        chosen = [every[int(options.which) - 1]]
    else:
        chosen = exercises.bugs(options.which)
    for bug in chosen:
        print(bug)
        if options.answer:
            report = bug.answer()
            print(f"\n# {', '.join(report.diagnosis)}\n" + textwrap.indent(textwrap.fill(report.message, 100), "# "))
        if bug is not chosen[-1]:
            print("\n")
    return 0


def _check(options: argparse.Namespace) -> int:
    files = [f for path in options.files for f in (_in(path) if path.is_dir() else [path])]
    if not files:
        raise ValueError(f"no Python files or notebooks in {', '.join(map(str, options.files))}")
    reports = {str(file): exercises.check_file(file, options.only) for file in files}
    if options.json:
        print(json.dumps({f: [r.to_dict() for r in found] for f, found in reports.items()}, indent=2))
    elif options.csv:
        writer = csv.writer(sys.stdout)
        writer.writerow(("file", "exercise", "result", "diagnosis"))
        for file, found in reports.items():
            writer.writerows((file, r.name, _verdict(r), " ".join(r.diagnosis)) for r in found)
    elif len(files) == 1:
        for report in reports[str(files[0])]:
            if report.diagnosis:
                print(f"{report.name}: FAILED ({', '.join(report.diagnosis)})")
                print(textwrap.indent(textwrap.fill(report.message, 100), "    "))
            else:
                print(report)
    else:
        for file, found in reports.items():
            wrong = [f"{r.name} ({', '.join(r.diagnosis)})" for r in found if r.diagnosis]
            counts = f"{sum(r.passed for r in found)} passed, {sum(r.not_yet for r in found)} not yet"
            print(f"{file}: {counts}, {len(wrong)} wrong" + (": " + "; ".join(wrong) if wrong else ""))
    every = [report for found in reports.values() for report in found]
    missing = options.only is not None and any(r.not_yet for r in every)
    return 1 if missing or any(r.diagnosis for r in every) or not any(r.passed for r in every) else 0


def _in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix in (".py", ".ipynb"))


def _verdict(report: "exercises.Report") -> str:
    return "passed" if report.passed else "not yet" if report.not_yet else "wrong"
