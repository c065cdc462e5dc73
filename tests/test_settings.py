"""Settings: what is given, what the convention gives, and what is refused."""

import dataclasses
import importlib
import inspect
import json
from itertools import takewhile
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import Settings, conventions, reconstruct, texture, transfer
from nst_numpy.conventions import CONVENTIONS

stylize = importlib.import_module("nst_numpy.stylize")
D2L = CONVENTIONS["d2l"]
GIVEN = {
    "convention": "d2l",
    "weights": Path("some.h5"),
    "size": (100, 200),
    "steps": (3, 4),
    "content_layers": "conv2_1",
    "style_layers": {"conv1_1": np.float32(2.0)},
    "content_weight": 2,
    "style_weight": 3,
    "tv_weight": 4,
    "style_blend": [1, 2],
    "style_scale": 2,
    "keep_colors": "statistics",
    "init": "noise",
    "init_noise": 0.5,
    "optimizer": "momentum",
    "learning_rate": 0.25,
    "optimizer_options": {"decay": 0.5},
    "seed": np.int64(7),
}


def test_what_is_given_is_kept():
    settings = Settings(**GIVEN)
    expected = {
        **GIVEN,
        "convention": D2L,
        "content_layers": ("conv2_1",),
        "style_blend": (1, 2),
        "optimizer_options": {"decay": 0.5, "learning_rate": 0.25},
    }
    assert {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings)} == expected
    assert GIVEN.keys() == inspect.signature(Settings).parameters.keys()


@pytest.mark.parametrize("name", CONVENTIONS)
def test_the_convention_gives_the_rest(name):
    settings, convention = Settings(convention=name), CONVENTIONS[name]
    for field in ("content_weight", "style_weight", "tv_weight", "init", "optimizer"):
        assert getattr(settings, field) == getattr(convention, field), field
    assert settings.steps == (convention.steps,) and settings.optimizer_options == convention.optimizer_options
    assert settings.learning_rate == convention.optimizer_options.get("learning_rate")
    assert settings.content_layers is None is settings.style_layers  # the network has a say in those


def test_options_of_the_optimizer():
    """The convention's count for the convention's optimizer only, and less than what is given."""
    assert Settings(convention="tensorflow-tutorial").optimizer_options == {
        "learning_rate": 0.02,
        "beta1": 0.99,
        "epsilon": 0.1,
    }
    changed = Settings(convention="tensorflow-tutorial", learning_rate=0.5, optimizer_options={"beta1": 0.8})
    assert changed.optimizer_options == {"learning_rate": 0.5, "beta1": 0.8, "epsilon": 0.1}
    assert Settings(convention="tensorflow-tutorial", optimizer="lbfgs").optimizer_options == {}
    assert Settings(optimizer_options={"memory": 3}).optimizer_options == {"memory": 3}
    given = {"memory": 3}
    Settings(optimizer_options=given)
    assert given == {"memory": 3}


@pytest.mark.parametrize(
    "size, height, width, init, pyramid, expected",
    [
        (512, 512, 300, "content", 2, [256, 512]),
        (512, 512, 127, "content", 2, [512]),  # its half has less than 64 pixels in width
        (512, 512, 128, "content", 2, [256, 512]),
        (512, 256, 512, "noise", 3, [128, 256, 512]),
        (512, 512, 512, "content", 1, [512]),
        (301, 301, 301, "style", 3, [75, 150, 301]),
        (512, 512, 512, "some.png", 2, [512]),
        (512, 512, 512, np.zeros((4, 4, 3)), 2, [512]),
        ((512,), 512, 512, "content", 2, [512]),
        ([100, 512], 512, 512, "some.png", 2, [100, 512]),
        (np.int64(512), 512, 512, "grey", 2, [256, 512]),
    ],
)
def test_sizes(size, height, width, init, pyramid, expected):
    convention = dataclasses.replace(CONVENTIONS["nst_numpy"], pyramid=pyramid)
    settings = Settings(convention=convention, size=size, init=init)
    assert settings.sizes(height, width) == expected and settings.largest == expected[-1]


def test_gray_and_grey_are_one():
    assert Settings(init="grey").init == Settings(init="gray").init == "gray"


def test_settings_cannot_be_changed_but_replaced():
    settings = Settings(style_weight=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.style_weight = 6
    changed = dataclasses.replace(settings, seed=3)
    assert changed.seed == 3 and changed.style_weight == 5 and changed.convention is settings.convention


def test_one_weight_above_0_is_enough():
    weights = dict.fromkeys(("content_weight", "style_weight", "tv_weight"), 0)
    for name in weights:
        assert getattr(Settings(**{**weights, name: 1}), name) == 1
    assert Settings(steps=0).steps == (0,)


def test_a_start_may_be_a_file_without_a_suffix(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="unknown start 'picture'"):
        Settings(init="picture")
    (tmp_path / "picture").touch()
    assert Settings(init="picture").init == "picture" and Settings(init="nowhere.png").init == "nowhere.png"


def test_settings_are_compared_as_objects():
    """They may hold arrays and networks, which have no one truth value."""
    settings = Settings(init=picture(0), style_layers={"conv1_1": 1.0})
    assert settings == settings and settings != Settings() and hash(settings) == hash(settings)


def test_json():
    settings = Settings(**{**GIVEN, "weights": small_vgg(), "init": picture(0)})
    read = json.loads(settings.to_json())
    assert read.keys() == GIVEN.keys()
    assert read["convention"] == "d2l" and read["weights"] == "small" and read["init"] == "an image (ndarray)"
    assert read["size"] == [100, 200] and read["seed"] == 7 and read["style_layers"] == {"conv1_1": 2.0}
    assert json.loads(Settings(**GIVEN).to_json())["weights"] == "some.h5"
    plain = Settings(**{name: value for name, value in read.items() if name not in ("weights", "init")})
    assert plain.to_dict() == {**read, "weights": "vgg19-mini", "init": "content"}


def description(of, name):
    """A parameter's entry in a docstring: its head, and the lines below, which are indented."""
    lines = iter(inspect.getdoc(of).splitlines())
    head = next(line for line in lines if line.startswith(f"{name} : "))
    return [head, *takewhile(lambda line: line.startswith("    "), lines)]


def test_the_functions_take_the_settings_and_describe_them():
    """Signature, default and description of every setting are the same wherever it is taken."""
    usual = inspect.signature(Settings).parameters
    common = {"every", "callback", "progress", "checkpoint", "checkpoint_every", "tile", "executor"}
    own = {
        transfer: {"content", "style", "content_masks", "style_masks", "content_mask", *common},
        texture: {"style", "style_masks", *common},
        reconstruct: {"content", "layer", *common},
    }
    changed = {("texture", "init"), ("reconstruct", "init")}
    for function, others in own.items():
        parameters = inspect.signature(function).parameters
        taken = parameters.keys() - others
        assert taken <= usual.keys() and (function is not transfer or taken == usual.keys())
        for name in taken:
            same = parameters[name].default == usual[name].default
            assert same == ((function.__name__, name) not in changed), (function, name)
            assert parameters[name].annotation == usual[name].annotation or not same, (function, name)
            assert description(function, name) == description(Settings, name), (function, name)
        assert "{settings}" not in function.__doc__


def test_the_entries_of_a_docstring():
    def function(size, seed):
        """A title.

        Parameters
        ----------
        size : int
            Of what.

            More.
        seed : int, optional
            Why.

        Returns
        -------
        None
        """

    entries = {"size : int": "    Of what.\n\n    More.", "seed : int, optional": "    Why."}
    assert stylize.parameters_of(function) == entries
    function.__doc__ = "A title.\n\nReturns\n-------\nNone\n"
    assert stylize.parameters_of(function) == {}
    function.__doc__ = None
    assert stylize.parameters_of(function) == {} and stylize._with_settings(function).__doc__ == ""
    function.__doc__ = "    Parameters\n    {settings}\n    Returns"
    heads = [description(Settings, "size"), description(Settings, "seed")]
    filled = inspect.cleandoc(stylize._with_settings(function).__doc__).splitlines()
    assert filled == ["Parameters", *(line.rstrip() for head in heads for line in head), "Returns"]
    assert stylize._with_settings(function) is function


def test_what_is_passed_arrives(monkeypatch):
    """What to paint, the settings, and what is no setting, from each of the three functions."""
    calls = []
    monkeypatch.setattr(stylize, "paint", lambda *arguments, **keywords: calls.append((arguments, keywords)) or "done")
    own = {"every": 3, "callback": print, "progress": False, "checkpoint": "a.h5", "checkpoint_every": 2.0}
    usual = {"every": 0, "callback": None, "progress": True, "checkpoint": None, "checkpoint_every": 30.0}
    given = {"content_masks": ["m.png"], "style_masks": ["n.png"], "content_mask": "o.png"}
    for keywords, masks, expected in ((own, given, own), ({}, {}, usual)):
        part = {"style_masks": masks["style_masks"]} if masks else {}
        assert transfer("c.png", ["s.png"], seed=5, **keywords, **masks) == "done"
        assert texture(["s.png", "t.png"], seed=5, **keywords) == texture("s.png", seed=5, **keywords, **part) == "done"
        assert reconstruct("c.png", "conv2_1", seed=5, **keywords) == "done"
        found = [(arguments[:2], {k: v for k, v in rest.items() if v is not None}) for arguments, rest in calls]
        expected = {k: v for k, v in expected.items() if v is not None}
        assert found == [
            (("c.png", ["s.png"]), {**expected, **masks}),
            (("s.png", ["s.png", "t.png"]), expected),
            (("s.png", "s.png"), {**expected, **part}),
            (("c.png", "c.png"), expected),
        ]
        layers = [(settings.content_layers, settings.style_layers) for (*_, settings), _ in calls]
        assert layers == [(None, None), ((), None), ((), None), (("conv2_1",), ())]
        assert {settings.seed for (*_, settings), _ in calls} == {5}
        assert [settings.init for (*_, settings), _ in calls] == ["content", "noise", "noise", "noise"]
        calls.clear()
    for convention, weight in (("nst_numpy", 0.5), ("d2l", 0.0)):
        reconstruct("c.png", "conv2_1", convention=convention)
        reconstruct("c.png", "conv2_1", convention=convention, tv_weight=3.0)
        assert [settings.tv_weight for (*_, settings), _ in calls[-2:]] == [weight, 3.0]


@pytest.mark.parametrize(
    "changes, error, message",
    [
        ({"size": "big"}, TypeError, "size must be a whole number of at least 1, found 'big'"),
        ({"size": True}, TypeError, "size must be a whole number of at least 1, found True"),
        ({"steps": -1}, ValueError, "^steps must be a whole number of at least 0, found -1"),
        ({"style_weight": -1}, ValueError, "^style_weight must be"),
        ({"tv_weight": -1}, ValueError, "^tv_weight must be"),
        ({"style_layers": 4}, TypeError, "^style_layers must be names of layers, or names with weights, found 4"),
        (
            {"init": "nois"},
            ValueError,
            "^unknown start 'nois'; did you mean noise. there are content, .*, or an image$",
        ),
        ({"optimizer": "adm"}, ValueError, "^unknown optimizer 'adm'; did you mean adam"),
        ({"optimizer_options": {"memory": 2.5}}, ValueError, "memory must be a whole number of at least 1"),
        ({"content_weight": 0, "style_weight": 0, "tv_weight": 0}, ValueError, "nothing to paint"),
        ({"size": (64, 64)}, ValueError, "sizes must go from small to large, found 64, 64"),
        ({"steps": (1, 2)}, ValueError, "1 sizes need as many numbers of steps, or one; found 2"),
        ({"content_layers": 4}, TypeError, "content_layers must be names of layers, or names with weights, found 4"),
        ({"content_weight": "1"}, TypeError, "content_weight must be a number of at least 0, found '1'"),
        ({"style_scale": 21}, ValueError, "style_scale must be a number from 0.05 to 20, found 21"),
        ({"keep_colors": "all"}, ValueError, "unknown keep_colors 'all'; there are luminance, statistics"),
        ({"init_noise": -0.1}, ValueError, "init_noise must be a number from 0 to 1, found -0.1"),
        ({"seed": 1.5}, ValueError, "seed must be a whole number of at least 0, found 1.5"),
        ({"optimizer_options": 3}, TypeError, "optimizer_options must be names with numbers"),
        ({"optimizer": "adam", "learning_rate": -1}, ValueError, "learning_rate must be a number"),
        ({"optimizer": "adam", "optimizer_options": {"decay": 1}}, ValueError, "unknown option of adam 'decay'"),
        ({"weights": None}, TypeError, "weights must be a path, a name or a VGG, found NoneType"),
    ],
)
def test_what_is_refused(changes, error, message):
    with pytest.raises(error, match=message):
        Settings(**changes)


def test_a_convention_of_ones_own_arrives():
    mine = dataclasses.replace(conventions.get("paper"), name="mine", style_weight=5.0, steps=2, init="content")
    content, style = picture(1, 40, 40), picture(2, 40, 40)
    result = transfer(content, style, convention=mine, weights=small_vgg(), size=40, progress=False)
    paper = transfer(
        content, style, convention="paper", weights=small_vgg(), size=40, steps=2, init="content", progress=False
    )
    assert len(result.history) == 3
    assert (
        np.isclose(result.history[0]["style"], paper.history[0]["style"] * 5 / 1000) or paper.history[0]["style"] == 0
    )
