"""exercise grade: marks and feedback for a folder of submissions."""

import argparse
from pathlib import Path
from typing import Any

from nst_numpy.cli import working


def add(tasks: Any) -> None:
    """Add the command to those of a parser."""
    words = "marks and pages of feedback; exit code 0 if every submission could be graded, 1 otherwise"
    command = tasks.add_parser("grade", help=words)
    command.set_defaults(run=_grade)
    command.add_argument("folder", metavar="FOLDER", type=Path, help="with a file or a folder for each student")
    command.add_argument("--of", metavar="ASSIGNMENT", type=Path, required=True, help="the assignment, a TOML file")
    command.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="gets marks and feedback")
    working.add(command, "grade", "one for each processor")


def _grade(options: argparse.Namespace) -> int:
    from nst_numpy.exercises.grading import grade, summary

    with working.keywords(options) as keywords:
        results = grade(options.folder, options.of, options.output, **keywords)
    print(summary(results))
    print(f"wrote {options.output / 'marks.csv'}, {options.output / 'marks.html'} and {options.output / 'feedback'}")
    return 0 if all(result.graded for result in results) else 1
