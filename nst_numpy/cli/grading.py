"""exercise grade: marks and feedback for a folder of submissions."""

import argparse
from pathlib import Path
from typing import Any

from nst_numpy.jobs import cluster


def add(tasks: Any) -> None:
    """Add the command to those of a parser."""
    words = "marks and pages of feedback; exit code 0 if every submission could be graded, 1 otherwise"
    command = tasks.add_parser("grade", help=words)
    command.set_defaults(run=_grade)
    command.add_argument("folder", metavar="FOLDER", type=Path, help="with a file or a folder for each student")
    command.add_argument("--of", metavar="ASSIGNMENT", type=Path, required=True, help="the assignment, a TOML file")
    command.add_argument("-o", "--output", metavar="FOLDER", type=Path, required=True, help="gets marks and feedback")
    command.add_argument("--again", action="store_true", help="grade everything again, not only what is new")
    command.add_argument("--workers", metavar="N", type=int, help="processes; by default one for each processor")
    command.add_argument("--scheduler", metavar="ADDRESS", help="of a Dask cluster that is to do the work")


def _grade(options: argparse.Namespace) -> int:
    from nst_numpy.exercises.grading import grade, summary

    if options.scheduler is not None and options.workers is not None:
        raise ValueError("--workers is for this machine, a Dask cluster has its own: leave it out with --scheduler")
    try:
        with cluster(options.scheduler) as executor:
            results = grade(
                options.folder,
                options.of,
                options.output,
                executor=executor,
                workers=options.workers,
                again=options.again,
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt("interrupted; the same command goes on where it stopped") from None
    print(summary(results))
    print(f"wrote {options.output / 'marks.csv'}, {options.output / 'marks.html'} and {options.output / 'feedback'}")
    return 0 if all(result.graded for result in results) else 1
