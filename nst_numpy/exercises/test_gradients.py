"""The gradient tests that the library itself must pass, for a file of yours.

    pytest -p nst_numpy.exercises.test_gradients --pyargs nst_numpy.exercises.test_gradients --implementation mine.py

Without a file, the library's own functions are tested. (The module is named twice because pytest reads options before
it looks for tests in packages: it is the plugin that has the options, and the tests.)
"""

import runpy
from pathlib import Path
from typing import Any

import pytest

from nst_numpy import exercises
from nst_numpy.exercises.topics import EXERCISES, select
from nst_numpy.validation import did_you_mean


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--implementation FILE` and `--only NAME,…`."""
    group = parser.getgroup("nst_numpy")
    group.addoption("--implementation", metavar="FILE", help="a Python file whose functions are to be tested")
    group.addoption("--only", metavar="NAME,…", help="these exercises; by default all")


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a file and names that do not exist before any test runs."""
    path = config.getoption("--implementation")
    if path and not Path(path).is_file():
        raise pytest.UsageError(f"there is no file {path}")
    try:
        _only(config)
    except ValueError as error:
        raise pytest.UsageError(str(error)) from error


def _only(config: pytest.Config) -> list[str]:
    """The names of the exercises to test."""
    given = config.getoption("--only", None)
    return [exercise.name for exercise in select(given and [name.strip() for name in given.split(",")])]


@pytest.fixture(scope="session")
def implementation(pytestconfig: pytest.Config) -> dict[str, Any]:
    """The functions to test, by name."""
    path = pytestconfig.getoption("--implementation", None)
    return runpy.run_path(path) if path else {name: exercise.function for name, exercise in EXERCISES.items()}


@pytest.mark.parametrize("name", exercises.names())
def test_gradient(name: str, implementation: dict[str, Any], pytestconfig: pytest.Config) -> None:
    """A function that is missing or not yet written fails, as a wrong one does."""
    if name not in _only(pytestconfig):
        pytest.skip("left out by --only")
    if name not in implementation:
        defined = [key for key, value in implementation.items() if callable(value) and key not in EXERCISES]
        question = did_you_mean(name, defined)
        pytest.fail(f"the file does not define {name}" + (f";{question}" if question else ""), pytrace=False)
    report = exercises.check(name, implementation[name])
    if not report.passed:
        pytest.fail(report.message, pytrace=False)
