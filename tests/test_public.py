"""What is public: one list, imported lazily, with signatures, descriptions and examples."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, public_functions, small_vgg

import nst_numpy

STUB = Path(nst_numpy.__file__).with_suffix(".pyi")


def test_the_list_is_what_can_be_used():
    listed = next(
        ast.literal_eval(node.value) for node in ast.parse(STUB.read_text()).body if isinstance(node, ast.Assign)
    )
    imported = {
        alias.name
        for node in ast.parse(STUB.read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert set(listed) == imported == set(nst_numpy.__all__) <= set(dir(nst_numpy))
    for name in listed:
        assert getattr(nst_numpy, name) is not None
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = nst_numpy.no_such_name


def test_import_brings_nothing_heavy():
    code = (
        "import sys, nst_numpy\n"
        "print(sorted({'numpy', 'numba', 'h5py', 'matplotlib', 'PIL', 'tqdm'} & set(sys.modules)))\n"
        "nst_numpy.plots, nst_numpy.gradcheck, nst_numpy.transfer; print(callable(nst_numpy.gradcheck))"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.splitlines() == ["[]", "True"]


def test_it_works_without_docstrings():
    """With `python -OO` there are none."""
    code = "from nst_numpy import cli, transfer; print(transfer.__doc__); cli.main(['transfer', '--help'])"
    out = subprocess.run([sys.executable, "-OO", "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.startswith("\nusage:") and "--style-weight" in out


@pytest.mark.parametrize("name, function", list(public_functions()), ids=[name for name, _ in public_functions()])
def test_every_public_function_has_types_a_description_and_an_example(name, function):
    parameters = inspect.signature(function).parameters.values()
    assert all(p.annotation is not inspect.Parameter.empty for p in parameters), "annotations"
    assert inspect.signature(function).return_annotation is not inspect.Signature.empty
    doc = inspect.getdoc(function) or ""
    assert doc and (">>> " in doc), "an example"
    if len(parameters) > 2:
        assert "Parameters\n----------" in doc


def test_no_function_hides_its_arguments():
    for name in ("transfer", "texture", "reconstruct", "gradcheck", "load_weights", "random_network"):
        kinds = [p.kind for p in inspect.signature(getattr(nst_numpy, name)).parameters.values()]
        assert inspect.Parameter.VAR_KEYWORD not in kinds, name


def test_texts_and_comparisons_of_objects_are_sane():
    network = small_vgg()
    objective = nst_numpy.Objective.from_images(network, picture(1), picture(2))
    result = nst_numpy.transfer(picture(1), picture(2), weights=network, size=32, steps=1, progress=False)
    found = nst_numpy.minimize(objective, picture(1), maxiter=1)
    for thing in (network, objective, result, found, result.settings, objective.terms[0]):
        assert len(repr(thing)) < 1200, repr(thing)[:200]
        assert (thing == thing) is True and (thing == 3) is False and hash(thing) is not None
    other = small_vgg()
    assert (network == other) is False
    assert repr(network) == "VGG('small', conv1_1 … conv5_4, average pooling, float64, fast backend)"
    assert repr(result).startswith("TransferResult(32×32 pixels, total loss ")
    assert np.array_equal(result.image, result.image)
