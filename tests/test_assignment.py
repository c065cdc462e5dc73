"""An assignment is read from TOML, and what is wrong with it is said."""

import pytest

from nst_numpy.exercises.assignment import Assignment, Question, Task, load_assignment

TEXT = """
title = "Sheet 2"
seed = 7
imports = ["numpy", "math"]
seconds = 5
megabytes = 512

[[exercise]]
name = "gram"
points = 2.5
required = false
partial = { transposed = 0.5 }

[[exercise]]
name = "style_gradient"

[[question]]
title = "Why?"
text = "Derive it."
points = 3
"""


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "sheet2.toml").write_text(text, encoding="utf-8")
        return tmp_path / "sheet2.toml"

    return write


def test_every_key_arrives(written):
    tasks = (Task("gram", 2.5, False, {"transposed": 0.5}), Task("style_gradient"))
    questions = (Question("Why?", "Derive it.", 3),)
    assert load_assignment(written(TEXT)) == Assignment("Sheet 2", tasks, questions, 7, ("numpy", "math"), 5, 512)


def test_the_title_is_the_name_of_the_file_by_default(written):
    assert load_assignment(written('[[exercise]]\nname = "gram"')).title == "sheet2"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"at least one \[\[exercise\]\]"),
        ("title = ", "sheet2.toml: "),
        ("seeds = 3\n" + TEXT, "unknown key of an assignment 'seeds'.*did you mean seed"),
        (TEXT.replace("points = 2.5", "point = 2.5"), r"unknown key of \[\[exercise\]\] 'point'.*points"),
        (TEXT.replace('"style_gradient"', '"style_grad"'), "unknown exercise 'style_grad'.*style_gradient"),
        (TEXT.replace("style_gradient", "gram"), "gram is in the assignment 2 times"),
        (TEXT.replace("transposed", "transpose"), "unknown code 'transpose'"),
        (TEXT.replace("= 0.5", "= 1.5"), "share for transposed must be a number from 0 to 1"),
        (TEXT.replace("2.5", "-1"), "points of gram must be a number of at least 0"),
        (TEXT.replace("2.5", '"2"'), "points of gram must be a number"),
        (TEXT.replace("false", "0"), "required of gram must be true or false"),
        (TEXT.replace("seed = 7", "seed = 0.5"), "seed must be a whole number"),
        (TEXT.replace('["numpy", "math"]', '"numpy"'), "imports must be a list of names"),
        (TEXT.replace('"math"', "3"), "imports must be a list of names"),
        (TEXT.replace('name = "gram"', ""), r"\[\[exercise\]\] needs name"),
        ("exercise = 3", r"expected \[\[exercise\]\]"),
        (TEXT.replace('text = "Derive it."', ""), r"\[\[question\]\] needs text"),
        (TEXT.replace('"Derive it."', "3"), "text of a question must be a string"),
    ],
)
def test_mistakes_in_an_assignment_are_named(written, text, words):
    with pytest.raises((ValueError, TypeError), match=words):
        load_assignment(written(text))
