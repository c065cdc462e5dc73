"""The lines that paint a painting once more, in Python and in the shell: the same pixels."""

import contextlib
import json
import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import fields
from inspect import signature
from itertools import count
from pathlib import Path
from typing import Any

from nst_numpy.conventions import Convention
from nst_numpy.network import VGG
from nst_numpy.result import TransferResult
from nst_numpy.settings import Settings
from nst_numpy.studio.painter import Painting
from nst_numpy.studio.sources import Source
from nst_numpy.stylize import reconstruct, texture
from nst_numpy.validation import shown
from nst_numpy.weights import load as load_weights

FIELDS = [field.name for field in fields(Settings)]
WIDEST = 100  # characters of a line


def python(painting: Painting) -> str:
    """The program that paints it.

    Images are named as they were when they came: it runs in a folder that has them.

    Parameters
    ----------
    painting : Painting
        At any time.

    Raises
    ------
    ValueError
        If an image, or the network, has no name.

    Examples
    --------
    >>> from nst_numpy.studio.sources import Source
    >>> content, style = Source("me.jpg", b""), Source.sample("woodcut_waves")
    >>> print(python(Painting(content, style, Settings(size=256, style_weight=30))))
    import nst_numpy
    from nst_numpy import samples
    <BLANKLINE>
    samples.woodcut_waves().save("woodcut_waves.png")
    result = nst_numpy.transfer("me.jpg", "woodcut_waves.png", size=256, style_weight=30.0)
    result.save("me-woodcut_waves.png")
    """
    function, arguments, keywords = _call(painting)
    if isinstance(network := keywords.get("weights"), VGG):
        keywords["weights"] = _loaded(network, painting.settings.convention)
    words = [*map(_python, arguments), *(f"{name}={_python(value)}" for name, value in keywords.items())]
    call = f"result = nst_numpy.{function.__name__}({', '.join(words)})"
    if len(call) > WIDEST:
        call = "\n".join([call[: call.index("(") + 1], *(f"    {word}," for word in words), ")"])
    drawn = _drawn(painting)
    imports = ["import nst_numpy", *(["from nst_numpy import samples"] if drawn else [])]
    return "\n".join([*imports, "", *drawn, call, f"result.save({_python(_output(arguments, painting))})"])


def command(painting: Painting) -> str:
    """The command line that paints it, for a POSIX shell.

    Parameters
    ----------
    painting : Painting
        At any time.

    Raises
    ------
    ValueError
        If an image, or the network, has no name, or there are no layers, for which the command has no word.

    Examples
    --------
    >>> from nst_numpy.studio.sources import Source
    >>> content, style = Source("me at home.jpg", b""), Source("waves.png", b"")
    >>> print(command(Painting(content, style, Settings(size=256, style_weight=30))))
    nst-numpy transfer 'me at home.jpg' waves.png --size 256 --style-weight 30.0 -o 'me at home-waves.png'
    """
    function, arguments, keywords = _call(painting)
    if len(painting.styles) > 1 and not keywords.keys() & {"style_blend", "content_masks"}:
        keywords["style_blend"] = (1.0,) * len(painting.styles)  # it takes several only with their weights
    if isinstance(network := keywords.get("weights"), VGG):
        keywords |= {"weights": network.name} | _unusual(network, painting.settings.convention)
    if empty := [name for name, value in keywords.items() if value in ((), {})]:
        raise ValueError(f"{empty[0]}: the command takes at least one layer, only Python none")
    words = ["nst-numpy", function.__name__]
    for value in arguments:
        words += map(_shell, value) if isinstance(value, list) else [_shell(value)]
    for name, value in keywords.items():
        words.append("--" + name.replace("_", "-"))
        words += map(_shell, value) if isinstance(value, list) else [_shell(value, name)]
    lines = [shlex.join([*words, "-o", _output(arguments, painting)])]
    if drawn := _drawn(painting):
        lines.insert(0, shlex.join(["python", "-c", "; ".join(["from nst_numpy import samples", *drawn])]))
    return "\n".join(lines)


def _call(painting: Painting) -> tuple[Callable[..., TransferResult], list[Any], dict[str, Any]]:
    """The function that paints it, its images, and the keywords without which it would be another picture."""
    settings, content, styles = painting.settings, painting.content, painting.styles
    function, fixed = painting.function, dict[str, Any]()
    arguments = [content, styles if len(styles) > 1 else styles[0]]
    if function is texture:
        arguments, fixed = arguments[1:], {"content_layers": ()}
    elif function is reconstruct:
        layers = settings.content_layers
        fixed = {"content_layers": layers, "style_layers": ()}
        arguments = [content, layers[0] if isinstance(layers, tuple) and len(layers) == 1 else layers]
    usual = {name: p.default for name, p in signature(function).parameters.items() if name in FIELDS}
    keywords = {name: getattr(settings, name) for name in usual} | {"convention": settings.convention.name}
    keywords["optimizer_options"] = {n: v for n, v in settings.optimizer_options.items() if n != "learning_rate"}
    if isinstance(settings.weights, VGG) and not _unusual(settings.weights, settings.convention):
        keywords["weights"] = settings.weights.name
    always = {"size", *(["tv_weight"] if function is reconstruct else [])}  # whose own default is not that of Settings
    for name in [name for name, value in keywords.items() if name not in always and not isinstance(value, VGG)]:
        with contextlib.suppress(ValueError):  # options that belong to an optimizer need its name
            if Settings(**{**usual, **keywords, name: usual[name]}, **fixed).to_dict() == settings.to_dict():
                del keywords[name]
    if len(settings.steps) == 1 and "steps" in keywords:
        keywords["steps"] = settings.steps[0]
    keywords |= {name: value for name, value in painting.masks.items() if value is not None}
    if painting.result and any(tiles := painting.result.record.get("tile", [])):
        keywords["tile"] = next(filter(None, tiles))
    return function, arguments, keywords


def _unusual(network: VGG, convention: Convention) -> dict[str, str]:
    """How a network differs from the one that is loaded for a convention."""
    usual = {"pooling": convention.pooling, "padding": convention.padding, "backend": "fast"}
    return {name: value for name, value in _options_of(network).items() if value != usual[name]}


def _options_of(network: VGG) -> dict[str, str]:
    """The arguments of `load_weights` that a network was loaded with, but for the normalisation."""
    return {"pooling": network.pooling, "padding": network.padding, "backend": network.backend_name}


def _loaded(network: VGG, convention: Convention) -> "_Code":
    """The call that loads a network."""
    usual, has = signature(load_weights).parameters, {"normalize": convention.normalize, **_options_of(network)}
    options = {n: v for n, v in has.items() if v != usual[n].default}
    arguments = [_python(network.name), *(f"{name}={_python(value)}" for name, value in options.items())]
    return _Code(f"nst_numpy.load_weights({', '.join(arguments)})")


class _Code(str):
    """Text that is a Python expression."""


def _python(value: Any) -> str:
    """A value as a Python expression."""
    if isinstance(value, _Code):
        return value
    if isinstance(value, list):
        return f"[{', '.join(map(_python, value))}]"
    if isinstance(value, tuple):
        return f"({', '.join(map(_python, value))}{',' * (len(value) == 1)})"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_python(name)}: {_python(v)}" for name, v in value.items()) + "}"
    return repr(value) if isinstance(value, int | float | None) else json.dumps(_name(value), ensure_ascii=False)


def _shell(value: Any, name: str = "") -> str:
    """A value as the word that the command line takes for it."""
    if isinstance(value, Mapping):
        sign = "=" if name == "optimizer_options" else ":"
        return ",".join(f"{key}{sign}{v}" for key, v in value.items())
    if isinstance(value, tuple):
        return ",".join(map(_shell, value)) + "," * (name == "size" and len(value) == 1)
    if isinstance(value, int | float | None):
        return "-" if value is None else repr(value)
    text = _name(value)
    return f"./{text}" if text.startswith("-") else text


def _name(value: Any) -> str:
    """A name, or that of an image."""
    if isinstance(value, Source):
        return value.name
    if isinstance(value, str | os.PathLike):
        return os.fspath(value)
    raise ValueError(f"there is an image without a name, {shown(value)}: only files can be named in code")


def _sources(painting: Painting) -> list[Any]:
    """All its images, in order."""
    inputs = [painting.content, *painting.styles, painting.settings.init, *painting.masks.values()]
    return [v for value in inputs for v in (value if isinstance(value, list) else [value])]


def _drawn(painting: Painting) -> list[str]:
    """Calls that save the samples among its images."""
    found = [source for source in _sources(painting) if isinstance(source, Source) and source.drawn_by]
    return list(dict.fromkeys(f"samples.{source.drawn_by}().save({_python(source)})" for source in found))


def _output(arguments: list[Any], painting: Painting) -> str:
    """A name for the picture that is not one of its images'."""
    images = [v for value in arguments for v in (value if isinstance(value, list | tuple) else [value])]
    stem = "-".join(dict.fromkeys(Path(_name(image)).stem for image in images)).lstrip("-")
    taken = {Path(_name(v)).name for v in _sources(painting) if isinstance(v, Source | str | os.PathLike)}
    return next(name for n in count(1) if (name := f"{stem}{f'-{n}' * (n > 1)}.png") not in taken)
