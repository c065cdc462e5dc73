"""Wrong arguments are refused with one line that says what would be right."""

import numpy as np
import pytest

from nst_numpy.validation import check_choice, check_number, did_you_mean


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
