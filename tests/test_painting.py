"""From images and settings to a picture: what is loaded and passed on, where it starts, what is recorded."""

import dataclasses
import inspect
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import (
    Objective,
    Settings,
    colors,
    conventions,
    images,
    masks,
    paint,
    painting,
    samples,
    texture,
    transfer,
)
from nst_numpy.painting import Motif, Recorder

CONTENT, STYLE, OTHER = picture(1, 48, 36), picture(2, 40, 50), picture(3, 44, 44)
SMALL = small_vgg(dtype=np.float32)
FRAME = painting.FRAME

pytestmark = pytest.mark.usefixtures("whole_styles")


def motif(content=CONTENT, style=STYLE, **settings):
    return Motif(content, style, Settings(**{"weights": SMALL, "size": 40, **settings}))


def test_every_setting_arrives_at_the_objective(monkeypatch):
    seen = []

    def from_images(network, content, style, **keywords):
        seen.append((network, content, style, keywords))
        return real(network, content, style, **keywords)

    real = Objective.from_images
    monkeypatch.setattr(painting.Objective, "from_images", from_images)
    given = {
        "content_layers": ("conv2_1",),
        "style_layers": {"conv1_1": 2.0, "conv1_2": 1.0},
        "content_weight": 3.0,
        "style_weight": 5.0,
        "tv_weight": 7.0,
        "style_blend": (1, 3),
    }
    tiling = {"tile": 24, "executor": ThreadPoolExecutor(1)}
    regions, kept = [CONTENT[..., 0] > 0.5, CONTENT[..., 1]], CONTENT[..., 2] > 0.5
    parts = [STYLE[..., 0] > 0.5, None]
    paint(
        CONTENT,
        [STYLE, OTHER],
        Settings(**given, weights=SMALL, size=(20, 40), steps=1, style_scale=0.5),
        content_masks=regions,
        style_masks=parts,
        content_mask=kept,
        progress=False,
        **tiling,
    )
    for (network, content, styles, keywords), size in zip(seen, (20, 40), strict=True):
        assert network is SMALL and keywords.pop("convention").name == "nst_numpy"
        assert keywords.pop("style_grams") is painting.style_grams
        small = [keywords.pop("content_mask"), *keywords.pop("content_masks")]
        for mask, source in zip(small, [kept, *regions], strict=True):
            full = masks.scaled(masks.load(source), (40, 30))
            assert np.array_equal(mask, masks.scaled(full, content.shape))
        part, nothing = keywords.pop("style_masks")
        assert nothing is None and np.array_equal(part, masks.scaled(masks.load(parts[0]), (16, 20)))
        assert keywords == given | tiling | {"tile": None if size == 20 else 24, "further": ()}
        assert np.array_equal(content, images.load(images.load(CONTENT, 40), size))
        half = [images.load(images.load(source, 20), size // 2) for source in (STYLE, OTHER)]
        assert all(np.array_equal(*pair) for pair in zip(styles, half, strict=True))


@pytest.mark.parametrize("bounded", [True, False])
@pytest.mark.parametrize("keep_colors", [None, "statistics"])
def test_the_saved_picture_is_the_optimised_one_within_bounds(bounded, keep_colors):
    """Its loss differs by no more than other roundings to 8 bits change it."""
    convention = dataclasses.replace(conventions.get("nst_numpy"), bounded=bounded)
    content, style = ((image > 0.5).astype(float) for image in (CONTENT, STYLE))  # black, white, primary colors
    settings = Settings(weights=SMALL, size=(40,), steps=30, convention=convention, keep_colors=keep_colors)
    seen = []
    result = paint(
        content, style, settings, progress=False, callback=lambda _, x, losses: seen.append((x, losses["total"]))
    )
    assert result.settings is settings and result.frames == []
    x, total = min(seen, key=lambda state: state[1])
    assert total == result.history[-1]["total"]
    assert all(x.min() >= 0 and x.max() <= 1 for x, _ in seen) == bounded
    assert (np.abs(result.image / 255 - x).max() <= 0.5 / 255 + 1e-6) == bounded
    objective = Motif(content, style, settings).stage(40, 0).function
    rng = np.random.default_rng(0)
    rounded = [x + rng.uniform(-0.5, 0.5, x.shape).astype(np.float32) / 255 for _ in range(5)]
    error = max(abs(objective(near)[0] - total) for near in rounded)
    assert (abs(objective((result.image / 255).astype(np.float32))[0] - total) <= 3 * error) == bounded


def test_bounds_are_the_conventions(monkeypatch):
    class Seen(Exception):
        pass

    def run(*_, bounds, **__):
        raise Seen(bounds)

    monkeypatch.setattr(painting, "run", run)
    for bounded, expected in ((True, (0, 1)), (False, None)):
        convention = dataclasses.replace(conventions.get("keras"), bounded=bounded)
        with pytest.raises(Seen) as error:
            paint(CONTENT, STYLE, Settings(weights=SMALL, size=40, convention=convention), progress=False)
        assert error.value.args == (expected,)


def test_a_style_image_has_at_least_a_pixel():
    tiny = motif(style=picture(0, 1, 30), size=8, style_scale=0.05)
    assert tiny.styles[0].shape == (1, 1, 3)


@pytest.mark.parametrize("side, scale, warned", [(20, 1.0, False), (19, 1.0, True), (19, 0.9, False), (13, 0.7, True)])
def test_a_small_style_image_is_said_to_be_enlarged(side, scale, warned):
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        transfer(CONTENT, picture(0, 12, side), weights=SMALL, size=40, style_scale=scale, steps=0, progress=False)
    assert len(said) == warned
    if warned:
        assert str(said[0].message) == (
            f"the style image of {side}×12 pixels is enlarged {round(40 * scale) / side:.1f} times: its strokes "
            "will be blurred; a larger image, or a smaller style_scale, gives sharper ones"
        )
        assert said[0].category is RuntimeWarning and said[0].filename == __file__


def test_an_interrupted_run_is_reported_where_it_was_called():
    def interrupt(*_):
        raise KeyboardInterrupt

    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        transfer(CONTENT, STYLE, weights=SMALL, size=40, steps=2, callback=interrupt, progress=False)
    assert [(w.category, w.filename) for w in said] == [(RuntimeWarning, __file__)]
    assert "interrupted; this is the best picture so far, after step 0 of 2" in str(said[0].message)


# Colours --------------------------------------------------------------------------------------------------------------


def test_luminance_is_that_of_the_photograph_everywhere():
    content, style = images.load(CONTENT, 40), images.load(STYLE, 40)
    found = motif(keep_colors="luminance")
    assert np.array_equal(found.content, colors.luminance(content)) and np.array_equal(found.original, content)
    assert np.array_equal(found.styles[0], colors.luminance(style, like=content))
    for init in ("content", "style", "noise", OTHER):
        start = motif(keep_colors="luminance", init=init).start((40, 30, 3))
        assert np.ptp(start, axis=2).max() < 1e-6 and start.std() > 0.1
    x = picture(5, 20, 15, np.float32) * 2 - 0.5  # at a coarser size, and not clipped
    assert np.array_equal(found.finished(x), colors.with_luminance(images.load(content, shape=(20, 15)), x))


def test_colours_stay_as_they_are_by_default():
    found = motif()
    x = picture(5, 20, 15)
    assert found.finished(x) is x and np.array_equal(found.content, images.load(CONTENT, 40))
    assert np.array_equal(found.styles[0], images.load(STYLE, 40))


def test_a_picture_of_the_right_size_is_not_clipped():
    x = picture(5, 20, 15) * 3 - 1
    assert painting._resized(x, x.shape) is x
    assert np.array_equal(painting._resized(x, (10, 8, 3)), images.load(x.clip(0, 1), shape=(10, 8)))


# Regions --------------------------------------------------------------------------------------------------------------

LEFT, PART = (np.arange(36) < 18) * np.ones((48, 1)), (np.arange(50) > 20) * np.ones((40, 1))


@pytest.mark.parametrize("keep_colors", ["statistics", "luminance"])
def test_each_region_keeps_its_own_colors(keep_colors):
    regions = {"content_masks": [LEFT, 1 - LEFT], "style_masks": [PART, None]}
    found = Motif(CONTENT, [STYLE, OTHER], Settings(weights=SMALL, size=40, keep_colors=keep_colors), **regions)
    content = images.load(CONTENT, 40)
    left, right = (masks.of_image("", mask, content) for mask in (LEFT, 1 - LEFT))
    for painted, source, part, region in zip(found.styles, (STYLE, OTHER), (PART, None), (left, right), strict=True):
        style = images.load(source, 40)
        part = masks.of_image("", part, style)
        if keep_colors == "statistics":
            expected = colors.match_colors(style, content, style_mask=part, content_mask=region)
        else:
            expected = colors.luminance(style, like=content, mask=part, like_mask=region)
        assert np.array_equal(painted, expected)
    assert not np.allclose(found.styles[1], motif(style=OTHER, keep_colors=keep_colors).styles[0])


def test_a_part_of_a_style_image_is_cut_and_scaled_like_it(monkeypatch):
    """Where the image is white, the mask is, at any size and without the frame."""
    monkeypatch.setattr(painting, "FRAME", FRAME)
    drawn = np.zeros((100, 200, 3), np.float32)
    drawn[40:70, 30:120] = 1
    found = Motif(CONTENT, [drawn], Settings(weights=SMALL, size=40, style_scale=2.5), style_masks=[drawn[::2, ::2]])
    assert found.parts[0].shape == found.styles[0].shape[:2] == (48, 100)
    assert np.abs(found.parts[0] - found.styles[0][..., 0]).mean() < 0.02
    frame = np.zeros((100, 200))
    frame[:3] = 1
    with pytest.raises(ValueError, match=r"^mask 1 of style_masks: its region is in the edges of the image, 3%, that "):
        Motif(CONTENT, [drawn], Settings(weights=SMALL, size=40), style_masks=frame)


def test_regions_in_a_circular_picture_have_its_size():
    """The picture is stretched to a size of which pooling leaves out nothing; its regions are, too."""
    found = Motif(picture(1, 48, 30), STYLE, Settings(weights=CIRCULAR, size=48), content_masks=np.ones((48, 30)))
    assert found.content.shape == (48, 32, 3)
    (term, *_) = [term for term in found.stage(48, 1).function.terms if term.name == "style"]
    assert term.mask.shape == (48, 32) and (term.mask == 1).all()


def test_white_masks_paint_the_same_picture():
    settings = Settings(weights=SMALL, size=(20, 40), steps=2, keep_colors="statistics")
    white = {"content_masks": [np.ones((48, 36), bool)], "style_masks": np.ones((40, 50)), "content_mask": CONTENT**0}
    one, other = (paint(CONTENT, STYLE, settings, **given, progress=False) for given in ({}, white))
    assert np.array_equal(one.image, other.image) and one.history == other.history
    expected = {"content_masks": ["an image (ndarray)"]}
    expected |= dict.fromkeys(("style_masks", "content_mask"), "an image (ndarray)")
    assert {name: value for name, value in other.record.items() if name not in one.record} == expected


def test_regions_arrive_from_transfer_and_texture(monkeypatch):
    seen = []
    monkeypatch.setattr("nst_numpy.stylize.paint", lambda *images, **keywords: seen.append((images[:2], keywords)))
    given = {"content_masks": [LEFT, 1 - LEFT], "style_masks": [PART, None], "content_mask": LEFT}
    transfer(CONTENT, [STYLE, OTHER], **given)
    texture(STYLE, style_masks=[PART])
    (_, of_transfer), (_, of_texture) = seen
    assert all(of_transfer[name] is given[name] for name in given)
    assert of_texture["style_masks"][0] is PART and "content_masks" not in of_texture


def test_a_texture_of_a_part():
    """Half of the image is black; the texture of the other half has no black."""
    half = samples.woodcut_waves(64)
    drawn = np.asarray(half).copy()
    drawn[:, :32] = 0
    mask = np.arange(64) >= 32
    keywords = {"size": (32,), "steps": 20, "progress": False, "weights": "vgg19-mini"}
    part, whole = (texture(drawn, **keywords, style_masks=m).image for m in (mask * np.ones((64, 1)), None))
    expected = np.asarray(half)[:, 32:].mean()
    assert abs(part.mean() - expected) < 0.1 * expected and whole.mean() < 0.85 * expected


# A circular network ---------------------------------------------------------------------------------------------------

CIRCULAR = small_vgg(last="conv3_1", dtype=np.float32, padding="circular")


@pytest.mark.parametrize("side, found", [(49, 48), (30, 32), (2, 4), (48, 48)])
def test_the_picture_has_a_size_of_which_pooling_leaves_nothing_out(side, found):
    circular = motif(picture(1, 48, side), weights=CIRCULAR, size=48)
    longer = {49: 48, 48: 48}.get(side, 48)
    content = images.load(picture(1, 48, side), longer)
    height, width = (max(4, round(n / 4) * 4) for n in content.shape[:2])
    assert circular.content.shape == circular.original.shape == (height, width, 3)
    assert np.array_equal(circular.content, images.load(content, shape=(height, width)))
    assert circular.stage(24, 1).shape[0] % 4 == circular.stage(23, 1).shape[1] % 4 == 0
    assert motif(picture(1, 48, side), size=48).content.shape == content.shape


def test_a_circular_picture_is_enlarged_as_a_part_of_its_pattern():
    x = picture(1, 12, 16, np.float32)
    circular = motif(weights=CIRCULAR, init="noise")
    found = circular.resized(x, (24, 40, 3))
    shifted = circular.resized(np.roll(x, (6, 8), (0, 1)), (24, 40, 3))
    assert found.shape == (24, 40, 3) and np.allclose(shifted, np.roll(found, (12, 20), (0, 1)), atol=1e-5)
    assert np.array_equal(motif(init="noise").resized(x, (24, 40, 3)), painting._resized(x, (24, 40, 3)))


@pytest.mark.parametrize("settings", [{}, {"keep_colors": "luminance"}, {"weights": CIRCULAR}])
def test_the_next_size_has_the_details_of_the_photograph(settings):
    found = motif(**settings)
    small, large = (found.content_at(size) for size in (20, 40))
    assert np.abs(found.resized(small, large.shape) - large).max() < 1e-6  # the photograph stays the photograph
    x = 0.6 * small + 0.2  # nothing is cut off
    up = motif(**settings, init="noise").resized
    expected = up(x, large.shape) + large - up(small, large.shape)
    assert np.allclose(found.resized(x, large.shape), expected.clip(0, 1), atol=1e-6)
    assert not np.allclose(expected, up(x, large.shape), atol=0.05)
    for init in ("style", "gray", "noise", OTHER):
        assert np.array_equal(motif(**settings, init=init).resized(x, large.shape), up(x, large.shape))


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_lbfgs_gets_the_preconditioner(optimizer, monkeypatch):
    seen, run = [], painting.run

    def watched(*arguments, **keywords):
        seen.append(keywords)
        return run(*arguments, **keywords)

    monkeypatch.setattr(painting, "run", watched)
    transfer(CONTENT, STYLE, weights=SMALL, size=40, steps=1, optimizer=optimizer, progress=False)
    assert seen[0].get("precondition") is (painting.precondition if optimizer == "lbfgs" else None)


def test_a_texture_on_a_circular_network_tiles():
    """Across the edges it changes no more than anywhere else; with zeros, more than at any line inside."""

    def jumps(padding):
        network = small_vgg(last="conv2_1", dtype=np.float32, padding=padding)
        result = texture(samples.woodcut_waves(64), weights=network, size=(32, 64), steps=30, progress=False)
        x = result.image.astype(float)
        for lines in (x, x.swapaxes(0, 1)):
            changes = np.abs(lines - np.roll(lines, 1, axis=0)).mean(axis=(1, 2))
            yield changes[0] / changes[1:].mean(), changes[0] / changes[1:].max()

    assert all(mean < 1.5 and most < 1.1 for mean, most in jumps("circular"))
    assert all(most > 1.1 for _, most in jumps("zero"))


# The start ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("init", ["content", "noise", "gray", "style", OTHER])
@pytest.mark.parametrize("convention", ["nst_numpy", "neural-style"])
def test_starts_are_float32_and_of_the_shape_asked_for(init, convention):
    start = motif(init=init, init_noise=0.25, convention=convention).start((20, 15, 3))
    assert start.shape == (20, 15, 3) and start.dtype == np.float32


def test_noise_is_drawn_from_the_seed():
    shape = (20, 15, 3)
    uniform = np.random.default_rng(9).random(shape, dtype=np.float32)
    assert np.array_equal(motif(init="noise", seed=9).start(shape), uniform)
    deviation = 1e-3 / 256  # neural-style's, around the mean colour of the network
    normal = SMALL.mean / 255 + deviation * np.random.default_rng(9).standard_normal(shape)
    start = motif(init="noise", seed=9, convention="neural-style").start(shape)
    assert np.array_equal(start, normal.astype(np.float32))
    mixed = motif(init=OTHER, init_noise=0.25, seed=9).start(shape)
    assert np.allclose(mixed, 0.75 * images.load(OTHER, shape=(20, 15)) + 0.25 * uniform, atol=1e-7)


# Recording ------------------------------------------------------------------------------------------------------------


class Bar:
    """In place of the progress bar: what it was made with, and how far it came."""

    def __init__(self, **keywords):
        self.made, self.n, self.said, self.closed = keywords, 0.0, [], False

    def update(self, by):
        self.n += by

    def set_postfix(self, said, refresh):
        assert not refresh  # the bar decides when to draw
        self.said.append((said, self.n))

    def close(self):
        self.closed = True


def test_the_bar_counts_work_and_not_steps(monkeypatch):
    """A step at half the size is a quarter of the work."""
    monkeypatch.setattr(painting, "tqdm", Bar)
    losses = {"total": 6.0, "content": 1.0, "style": 2.0, "tv": 3.0, "conv1_1": 2.0}
    with Recorder(motif(), [100, 200], (2, 3), 0, None, True) as record:
        bar = record._bar
        for step, side in ((0, 100), (1, 100), (2, 100), (2, 200), (3, 200), (4, 200), (5, 200)):
            record(step, np.zeros((side, 80, 3)), losses)
            assert bar.n == [0, 0.25, 0.5, 1.5, 2.5, 3.5][step]
    assert bar.closed and bar.made["total"] == 3.5 and bar.made["disable"] is False
    assert bar.made["bar_format"] == "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}{postfix}"
    assert bar.said[-1][0] == {"step": "5/5", "size": 200, "total": "6", "content": "1", "style": "2", "tv": "3"}
    assert record.history == [{**losses, "size": side} for side in (100, 100, 100, 200, 200, 200, 200)]
    assert Recorder(motif(), [100], (2,), 0, None, False)._bar.made["disable"] is True


def test_frames_and_the_callback():
    seen = []
    with Recorder(motif(), [20, 40], (4, 3), 2, lambda *arguments: seen.append(arguments), False) as record:
        for step, side in ((0, 20), (1, 20), (2, 20), (3, 20), (4, 20), (4, 40), (5, 40), (6, 40), (7, 40)):
            record(
                step,
                np.full((side, 15, 3), step / 10 + side / 1000),
                dict.fromkeys(("total", "content", "style", "tv"), 1.0),
            )
    assert [(len(frame), frame[0, 0, 0]) for frame in record.frames] == [
        (20, round(255 * 0.02)),
        (20, round(255 * 0.22)),
        (20, round(255 * 0.42)),
        (40, round(255 * 0.64)),
    ]
    assert [(step, len(image), losses["size"]) for step, image, losses in seen] == [
        *((step, 20, 20) for step in range(5)),
        *((step, 40, 40) for step in (4, 5, 6, 7)),
    ]


def test_defaults():
    parameters = inspect.signature(paint).parameters
    assert {name: parameters[name].default for name in ("every", "callback", "progress")} == {
        "every": 0,
        "callback": None,
        "progress": True,
    }
    assert inspect.signature(transfer).parameters["progress"].default is True


def test_weights_of_other_systems_on_the_included_network_are_warned_of():
    network = small_vgg(dtype=np.float32)
    included = dataclasses.replace(network, name="vgg19-mini")
    quick = {"size": (32,), "steps": 0}
    words = 'times those of the included network: take weights="vgg19", or other style and content weights$'
    with pytest.warns(RuntimeWarning, match=f"^the weights of keras are meant for VGG-19 as .* {words}"):
        paint(CONTENT, STYLE, Settings(convention="keras", weights=included, **quick), progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for settings in (
            {"convention": "keras", "weights": network},
            {"convention": "keras", "weights": included, "style_weight": 1.0},
            {"convention": "keras", "weights": included, "content_weight": 1.0},
            {"convention": "paper", "weights": included},
            {"weights": included},
        ):
            paint(CONTENT, STYLE, Settings(**settings, **quick), progress=False)


def test_the_frame_of_a_scan_is_left_out(monkeypatch):
    monkeypatch.setattr(painting, "FRAME", FRAME)
    scan = np.full((100, 200, 3), 1.0, np.float32)
    scan[3:-3, 3:-3] = picture(2, 94, 194, np.float32) / 2
    small = Settings(weights=SMALL, size=194)
    (style,) = Motif(CONTENT, [scan], small).styles
    assert np.allclose(style, scan[3:-3, 3:-3], atol=1e-6)
    (tiny,) = Motif(CONTENT, [picture(2, 10, 15)], Settings(weights=SMALL, size=15)).styles
    assert np.allclose(tiny, picture(2, 10, 15), atol=1e-6)
