"""The gradient tests that the library itself must pass, for a file of yours:

    pytest tests/gradients --implementation mine.py

Functions that the file does not define are skipped. Without a file, the library's own are tested.
"""

import importlib.util

import pytest

from nst_numpy import exercises
from nst_numpy.exercises.topics import EXERCISES


@pytest.fixture(scope="module")
def implementation(request):
    """The functions to test, by name."""
    path = request.config.getoption("--implementation")
    if path is None:
        return {name: exercise.function for name, exercise in EXERCISES.items()}
    spec = importlib.util.spec_from_file_location("implementation", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return vars(module)


@pytest.mark.parametrize("name", exercises.names())
def test_gradient(name, implementation):
    if name not in implementation:
        pytest.skip("not yet")
    report = exercises.check(name, implementation[name])
    if report.not_yet:
        pytest.skip("not yet")
    assert report.passed, report.message
