"""The exercises, by topic.

Each is declared in one place: its inputs and hints, and after it its mistakes. A function marked as `bug` is written as
a student would write it. It serves twice: the checker compares with its numbers, and the game shows its source.
"""

from collections.abc import Iterable
from typing import cast

from nst_numpy.exercises.model import Exercise
from nst_numpy.exercises.topics import content, convolution, pooling, relu, style, variation
from nst_numpy.validation import check_choice, iterable, shown

EXERCISES = {
    exercise.name: exercise
    for topic in (relu, convolution, pooling, content, style, variation)
    for exercise in vars(topic).values()
    if isinstance(exercise, Exercise)
}


def names() -> list[str]:
    """The names of all exercises, by topic.

    Examples
    --------
    >>> names()[:2]
    ['relu_backward', 'conv_backward_input']
    """
    return list(EXERCISES)


def get(name: str) -> Exercise:
    """The exercise of this name.

    Raises
    ------
    TypeError
        If the name is no string.
    ValueError
        If there is none; the message has the nearest name.

    Examples
    --------
    >>> get("gram").summary
    'Gram matrix of the features: G_ij = Σ_k F_ik F_jk, that is G = F Fᵀ (equation 3).'
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of an exercise must be a string, found {shown(name)}")
    check_choice("exercise", name, EXERCISES)
    return EXERCISES[name]


def select(names: str | Iterable[str] | None) -> list[Exercise]:
    """The exercises of these names, or of one name; by default all."""
    if names is None:
        return list(EXERCISES.values())
    if isinstance(names, str) or not iterable(names):
        return [get(cast(str, names))]
    return [get(name) for name in names]
