"""Wrong arguments are refused with one line that says what would be right."""

import inspect
import os
import re
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from drawing import picture

from nst_numpy import layers, losses, transfer
from nst_numpy.validation import check_choice, check_number, checked, did_you_mean, shown, warn


@pytest.mark.parametrize("value", [0, 1, 2.5, np.int64(3), np.float32(0.5), np.uint8(7)])
def test_numbers(value):
    check_number("x", value)


@pytest.mark.parametrize(
    "value, limits", [(1, {"least": 1}), (1, {"most": 1}), (-3, {"least": -3, "most": -3}), (np.int8(4), {})]
)
def test_limits_are_included(value, limits):
    check_number("x", value, **limits)
    check_number("x", value, whole=True, **limits)


@pytest.mark.parametrize(
    "value, limits, error, message",
    [
        (-1, {}, ValueError, "x must be a number of at least 0, found -1"),
        (0.5, {"least": 1}, ValueError, "x must be a number of at least 1, found 0.5"),
        (5, {"most": 4}, ValueError, "x must be a number from 0 to 4, found 5"),
        (-5, {"least": -4, "most": 4}, ValueError, "x must be a number from -4 to 4, found -5"),
        (2.0, {"whole": True}, ValueError, "x must be a whole number of at least 0, found 2.0"),
        (
            np.float64(2),
            {"whole": True},
            ValueError,
            f"x must be a whole number of at least 0, found {np.float64(2)!r}",
        ),
        (-2, {"whole": True, "most": 9}, ValueError, "x must be a whole number from 0 to 9, found -2"),
        (float("nan"), {}, ValueError, "x must be a number of at least 0, found nan"),
        (float("inf"), {}, ValueError, "x must be a number of at least 0, found inf"),
        (True, {}, TypeError, "x must be a number of at least 0, found True"),
        (np.True_, {}, TypeError, f"x must be a number of at least 0, found {np.True_!r}"),
        ("1", {}, TypeError, "x must be a number of at least 0, found '1'"),
        (None, {"whole": True}, TypeError, "x must be a whole number of at least 0, found None"),
        (1j, {}, TypeError, "x must be a number of at least 0, found 1j"),
    ],
)
def test_wrong_numbers(value, limits, error, message):
    with pytest.raises(error) as raised:
        check_number("x", value, **limits)
    assert str(raised.value) == message


def test_choices():
    check_choice("fruit", "pear", iter(["apple", "pear"]))
    check_choice("fruit", "apple", {"apple": 1})


@pytest.mark.parametrize(
    "value, also, error, message",
    [
        ("peer", "", ValueError, "unknown fruit 'peer'; did you mean pear? there are apple, pear"),
        ("peer", "a path", ValueError, "unknown fruit 'peer'; did you mean pear? there are apple, pear, or a path"),
        ("xyz", "", ValueError, "unknown fruit 'xyz'; there are apple, pear"),
        ("", "", ValueError, "unknown fruit ''; there are apple, pear"),
        (3, "", TypeError, "fruit must be one of apple, pear, found 3"),
        (None, "a path", TypeError, "fruit must be one of apple, pear, or a path, found None"),
    ],
)
def test_wrong_choices(value, also, error, message):
    with pytest.raises(error) as raised:
        check_choice("fruit", value, ["apple", "pear"], *([also] if also else []))
    assert str(raised.value) == message


def test_the_nearest_is_named_alone():
    assert did_you_mean("conv4", iter(["conv1", "conv4_1", "conv5"])) == " did you mean conv4_1?"
    assert did_you_mean(44, ["45", "444"]) == " did you mean 444?"
    assert did_you_mean("conv4", []) == did_you_mean(None, ["max"]) == ""


def test_types_are_checked_by_the_annotations():
    @checked()
    def function(
        path: str | os.PathLike[str],
        call: Callable[[int], int] | None = None,
        flag: bool = False,
        names: Iterable[str] = (),
        order: Sequence[int] = (),
        table: Mapping[str, int] | None = None,
        array: np.ndarray | None = None,
        *others: int,
        number: float = 0,
        **more: int,
    ) -> int:
        return len(others) + len(more)

    assert function("a", len, np.True_, "abc", [1], {"a": 1}, np.ones(2), 1, 2, number=None, x=1) == 3
    assert function(Path("a"), names={"a": 1}) == 0
    for keywords, words in (
        ({"path": 3}, "path must be a path, found 3"),
        ({"call": "len"}, "call must be a function or None, found 'len'"),
        ({"flag": 1}, "flag must be True or False, found 1"),
        ({"names": 1}, "names must be a list, found 1"),
        ({"order": "12"}, "order must be a list, found '12'"),
        ({"table": [1]}, "table must be a dict or None, found [1]"),
        ({"array": [1.0]}, "array must be an array or None, found [1.0]"),
        ({"array": np.eye(1).view(np.matrix)}, "array must be an array or None, found an array of float64 (1, 1)"),
        ({"array": np.ma.ones(2)}, "array must be an array or None, found a masked array of float64 (2,)"),
    ):
        with pytest.raises(TypeError, match=f"^{re.escape(words)}$"):
            function(**{"path": "a", **keywords})
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        function()
    assert str(inspect.signature(function)).startswith("(path: ") and function.__name__ == "function"


def test_shapes_are_checked_across_arguments():
    @checked(x="H W C", dy="H+2 W 3", t="C", u="...", v="...")
    def function(x, dy=None, t=None, u=None, v=None):
        return True

    x = np.zeros((4, 5, 2))
    assert function(x, np.zeros((6, 5, 3)), np.zeros(2), np.zeros((1, 1)), v=np.zeros((1, 1)))
    for keywords, words in (
        ({"x": np.zeros((4, 5))}, "x must have the shape (H, W, C), found (4, 5)"),
        ({"x": np.zeros((4, 0, 2))}, "x must have the shape (H, W, C), found (4, 0, 2)"),
        ({"x": [[[1.0]]]}, "x must be an array of numbers, found [[[1.0]]]"),
        ({"x": np.array([[["a"]]])}, "x must be an array of numbers, found an array of <U1 (1, 1, 1)"),
        ({"dy": np.zeros((4, 5, 3))}, "dy must have the shape (H+2, W, 3) with H = 4, W = 5, found (4, 5, 3)"),
        ({"dy": np.zeros((6, 5, 2))}, "dy must have the shape (H+2, W, 3) with H = 4, W = 5, found (6, 5, 2)"),
        ({"t": np.zeros(3)}, "t must have the shape (C,) with C = 2, found (3,)"),
        ({"u": x, "v": x[0]}, "v must have the shape (4, 5, 2), found (5, 2)"),
    ):
        with pytest.raises((TypeError, ValueError), match=f"^{re.escape(words)}$"):
            function(**{"x": x, **keywords})


@pytest.mark.parametrize("dtype", [bool, np.uint8])
def test_numbers_of_which_differences_are_not_right(dtype):
    x, F = np.ones((4, 4, 3), dtype), np.ones((4, 5), dtype)
    calls = [
        partial(losses.total_variation, x),
        partial(losses.joint_variation_gradient, x),
        partial(losses.temporal_loss, x, x, np.ones((4, 4))),
        partial(losses.content_loss, F, F),
        partial(losses.style_gradient, F, np.ones((4, 4))),
        partial(losses.guidance, F),
        partial(layers.average_pool_backward, x, x),
        partial(layers.conv_backward_bias, x),
    ]
    for call in calls:
        with pytest.raises(
            TypeError, match=rf" must be an array of signed numbers, found an array of {np.dtype(dtype)} "
        ):
            call()
    x = np.random.default_rng(0).random((4, 4, 3))
    where = np.eye(4, dtype=dtype)
    assert losses.temporal_loss(x, 0 * x, where) == losses.temporal_loss(x, 0 * x, np.eye(4)) > 0


def test_a_value_is_shown_in_a_line():
    class Silent:
        def __repr__(self):
            raise RuntimeError

    assert shown(np.zeros((3, 4))) == "an array of float64 (3, 4)" and shown(np.float32(3)) == repr(np.float32(3))
    assert shown("x" * 99) == "'" + "x" * 57 + "…" and shown("a\nb") == r"'a\nb'" and shown(Silent()) == "a Silent"
    assert "\n" not in shown([np.zeros((3, 3))])


def test_a_warning_names_the_line_of_the_caller():
    with pytest.warns(RuntimeWarning, match="enlarged") as found:
        transfer(picture(1, 40, 40), picture(2, 12, 12), size=40, steps=0, progress=False)
    assert found[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn("on", always_go_on=True)
        with pytest.raises(RuntimeWarning, match="stop"):
            warn("stop")
