"""What the page says: settings, times and messages in words."""

from collections.abc import Mapping
from typing import Any


def in_words(value: Any) -> str:
    """A setting as it is entered.

    Examples
    --------
    >>> in_words((100, 20)), in_words({"conv1_1": 1.0}), in_words(20.0), in_words(None)
    ('100,20', 'conv1_1:1', '20', '')
    """
    if isinstance(value, Mapping):
        sign = ":" if all("_" in name and name[-1].isdigit() for name in value) else "="
        return ",".join(f"{name}{sign}{number:g}" for name, number in value.items())
    if isinstance(value, list | tuple):
        return ",".join(map(in_words, value))
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def label_of(name: str) -> str:
    """What a setting is called on the page.

    Examples
    --------
    >>> label_of("style_scale"), label_of("tv_weight"), label_of("init")
    ('Style scale', 'Smoothness (TV weight)', 'Start')
    """
    others = {"tv_weight": "Smoothness (TV weight)", "init": "Start", "init_noise": "Noise in the start"}
    return others.get(name, name.replace("_", " ").capitalize())


def sentence(text: str) -> str:
    """A message of the library as a sentence.

    Examples
    --------
    >>> sentence("size must be at least 1, found 0")
    'Size must be at least 1, found 0.'
    """
    return f"{text[:1].upper()}{text[1:]}{'' if text.endswith('.') else '.'}" if text else ""


def duration(seconds: float) -> str:
    """A time in words.

    Examples
    --------
    >>> duration(0.4), duration(75), duration(7300)
    ('1 s', '1 min 15 s', '2 h 1 min')
    """
    whole = max(1, round(seconds))
    minutes, hours = whole // 60, whole // 3600
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {whole % 60} s" if minutes else f"{whole} s"
