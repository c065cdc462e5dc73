"""transfer() as people call it: what it returns, that it is repeatable, and what it refuses."""

import colorsys
import csv
import dataclasses
import io
import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, small_vgg
from PIL import Image

from nst_numpy import (
    Objective,
    TransferResult,
    colors,
    conventions,
    images,
    load_weights,
    reconstruct,
    samples,
    texture,
    transfer,
)
from nst_numpy.losses import total_variation

CONTENT, STYLE = picture(1, 48, 36), picture(2, 40, 50)
SMALL = small_vgg(dtype=np.float32)
QUICK = {"weights": SMALL, "size": 40, "steps": 6, "progress": False}

pytestmark = pytest.mark.usefixtures("whole_styles")


def test_result(tmp_path):
    result = transfer(CONTENT, STYLE, **QUICK)
    assert isinstance(result, TransferResult) and result.complete and result.message == "all iterations done"
    assert result.image.shape == (40, 30, 3) and result.image.dtype == np.uint8
    assert len(result.history) == 7 and result.history[-1]["total"] < result.history[0]["total"]
    for losses in result.history:
        layers = ["conv1_1", "conv2_1", "conv3_1", "conv3_4"]
        assert list(losses) == ["total", "content", "style", "tv", *layers, "size"] and losses["size"] == 40
        assert np.isclose(losses["total"], losses["content"] + losses["style"] + losses["tv"])
        assert np.isclose(losses["style"], sum(losses[l] for l in layers))
    result.save(tmp_path / "a.png")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "a.png")), result.image)
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(result._repr_png_()))), result.image)


def test_default_network_makes_a_picture_nearer_to_the_style():
    result = transfer(samples.portrait(), samples.swirling_night(64), size=64, steps=15, progress=False)
    assert result.history[-1]["style"] < 0.2 * result.history[0]["style"]


def test_paths_pil_images_and_arrays_give_the_same(tmp_path):
    content, style = ((image * 255).astype(np.uint8) for image in (CONTENT, STYLE))
    Image.fromarray(content).save(tmp_path / "c.png")
    Image.fromarray(style).save(tmp_path / "s.png")
    images = [
        transfer(*pair, **QUICK).image
        for pair in (
            (content, style),
            (tmp_path / "c.png", str(tmp_path / "s.png")),
            (Image.fromarray(content), style / 255),
        )
    ]
    assert np.array_equal(images[0], images[1]) and np.array_equal(images[0], images[2])


@pytest.mark.parametrize("optimizer", ["lbfgs", "gradient_descent"])
@pytest.mark.parametrize("init", ["content", "noise"])
def test_same_seed_same_bytes(init, optimizer):
    keywords = {**QUICK, "init": init, "optimizer": optimizer}
    first, again = (transfer(CONTENT, STYLE, seed=5, **keywords).image.tobytes() for _ in range(2))
    other = transfer(CONTENT, STYLE, seed=6, **keywords).image.tobytes()
    assert first == again
    assert (first != other) == (init == "noise")


@pytest.mark.parametrize("backend", ["fast", "plain"])
def test_same_bytes_with_any_number_of_threads(backend):
    code = (
        "import sys; from nst_numpy import load_weights, samples, transfer\n"
        "network = load_weights('vgg19-mini', backend=sys.argv[1], threads=int(sys.argv[2]))\n"
        "settings = dict(weights=network, size=(96,), steps=5, init='noise', progress=False)\n"
        "result = transfer(samples.portrait(), samples.woodcut_waves(96), **settings)\n"
        "sys.stdout.buffer.write(result.image.tobytes())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, backend, n],
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
            capture_output=True,
            check=True,
        ).stdout
        for n in ("1", "5")
    ]
    assert len(runs[0]) == 96 * 82 * 3 and runs[0] == runs[1]


def test_init_from_an_image_goes_on_from_there():
    first = transfer(CONTENT, STYLE, **QUICK)
    second = transfer(CONTENT, STYLE, **QUICK, init=first.image)  # which is clipped and rounded to 8 bits
    assert np.isclose(second.history[0]["total"], first.history[-1]["total"], rtol=0.05)
    assert second.history[-1]["total"] < first.history[-1]["total"]


def test_layers_with_and_without_weights():
    def last(**keywords):
        return transfer(CONTENT, STYLE, **{**QUICK, "steps": 0}, **keywords).history[-1]

    equal = last(style_layers=["conv1_1", "relu2_1"])
    given = last(style_layers={"conv1_1": 0.5, "conv2_1": 2.0})
    assert np.isclose(given["conv1_1"], equal["conv1_1"]) and np.isclose(given["conv2_1"], 4 * equal["conv2_1"])
    one, two = (last(content_layers=layers, init=STYLE)["content"] for layers in ("conv1_1", ["conv1_1", "conv2_2"]))
    assert two > one > 0
    assert np.isclose(last(init=STYLE, content_weight=3.0)["content"], 3 * last(init=STYLE)["content"])


def test_a_smaller_network_takes_the_nearest_layers():
    network = small_vgg(last="conv3_2", dtype=np.float32)
    losses = transfer(CONTENT, STYLE, **{**QUICK, "weights": network, "steps": 0}).history[0]
    assert list(losses)[4:-1] == ["conv1_1", "conv2_1", "conv3_1", "conv3_2"]


def test_backends_make_the_same_picture():
    networks = (small_vgg(dtype=np.float32, backend=name) for name in ("fast", "plain"))
    fast, plain = (transfer(CONTENT, STYLE, **{**QUICK, "weights": n}).image.astype(int) for n in networks)
    assert np.abs(fast - plain).max() <= 2


def test_a_convention_says_how_a_file_is_read(monkeypatch):
    def read(convention):
        asked = {}

        def load(source, **keywords):
            asked.update(source=source, **keywords)
            return load_weights(source, **keywords)

        monkeypatch.setattr("nst_numpy.weights.load", load)
        with warnings.catch_warnings(action="ignore"):  # some weights are not for this network
            transfer(CONTENT, STYLE, convention=convention, size=(40,), steps=0, progress=False)
        return asked

    own = {"source": "vgg19-mini", "pooling": "average", "padding": "replicate", "normalize": True}
    assert read("nst_numpy") == own
    assert read("paper") == {**own, "padding": "zero"}
    assert read("neural-style") == {**own, "pooling": "max", "padding": "zero", "normalize": False}
    around = dataclasses.replace(conventions.get("nst_numpy"), padding="circular")
    assert read(around)["padding"] == "circular"


def test_callback_sees_every_step_and_can_stop():
    seen = []

    def callback(step, image, losses):
        seen.append((step, image.shape, losses["total"]))
        if step == 3:
            raise StopIteration

    result = transfer(CONTENT, STYLE, **QUICK, callback=callback)
    assert [step for step, *_ in seen] == [0, 1, 2, 3] and seen[0][1] == (40, 30, 3) and result.complete
    assert result.message == "stopped by the callback"
    assert [total for *_, total in seen] == [losses["total"] for losses in result.history]


def test_interrupt_keeps_the_best_picture():
    def callback(step, image, losses):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted; .* after step 3 of 6"):
        result = transfer(CONTENT, STYLE, **QUICK, callback=callback)
    assert not result.complete and len(result.history) == 4 and result.image.shape == (40, 30, 3)


def test_a_loss_that_is_not_finite_keeps_the_best_picture():
    with pytest.warns(RuntimeWarning, match="not finite"):
        result = transfer(CONTENT, STYLE, **QUICK, tv_weight=1e60)
    assert not result.complete
    assert np.array_equal(result.image, transfer(CONTENT, STYLE, **{**QUICK, "steps": 0}).image)


def test_coarse_to_fine():
    keywords = {**QUICK, "size": 130, "steps": 4}
    content, style, seen = picture(3, 131, 262), picture(4, 200, 130), []
    result = transfer(content, style, **keywords, callback=lambda step, image, _: seen.append((step, image.shape)))
    # 65×130; its half, 32×65, would be too small.
    assert seen == [(step, (65, 130, 3)) for step in range(5)] and result.image.shape == (65, 130, 3)
    seen.clear()
    keywords["size"], content, style = 300, picture(3, 150, 300), picture(4, 300, 200)
    result = transfer(content, style, **keywords, callback=lambda step, image, _: seen.append((step, image.shape)))
    assert seen == [(k, (75, 150, 3)) for k in range(5)] + [(k + 4, (150, 300, 3)) for k in range(5)]
    assert [losses["size"] for losses in result.history] == [150] * 5 + [300] * 5
    # The same in two calls: the second from the picture of the first, as the float that the callback sees, with the
    # photograph's details.
    last = []
    transfer(content, style, **{**keywords, "size": (150,)}, callback=lambda step, image, _: last.append(image))
    small = images.load(content, shape=(75, 150))
    init = (images.load(last[-1], 300) + images.load(content) - images.load(small, 300)).clip(0, 1)
    again = transfer(content, style, **{**keywords, "size": (300,)}, init=init)
    assert np.abs(again.image.astype(int) - result.image).max() <= 1
    # An image as start is not made coarse first.
    again = transfer(content, style, **keywords, init=last[-1].clip(0, 1))
    assert len(again.history) == 5 and again.history[0]["size"] == 300


def test_ctrl_c_at_a_coarse_size_gives_a_picture_of_the_full_one():
    def stop(step, image, losses):
        if step == 2:
            raise KeyboardInterrupt

    with warnings.catch_warnings(action="ignore"):
        result = transfer(picture(3, 160, 140), STYLE, **{**QUICK, "size": 160}, callback=stop)
    assert result.image.shape == (160, 140, 3) and result.history[-1]["size"] == 80 and not result.complete


def test_a_callback_that_stops_at_a_coarse_size_goes_on_at_the_next():
    def good_enough(step, image, losses):
        if losses["total"] < 0.5 * first.setdefault(losses["size"], losses["total"]):
            raise StopIteration

    first = {}
    content, style = picture(3, 160, 140), picture(2, 120, 150)
    result = transfer(content, style, **{**QUICK, "size": 160, "steps": 50}, callback=good_enough)
    assert list(first) == [80, 160] and result.complete and result.message == "stopped by the callback"
    assert len(result.history) < 60 and result.history[-1]["total"] < 0.5 * first[160]


# Starts, several styles, colours ------------------------------------------------------------------------------------


def start_of(**keywords):
    seen = []
    transfer(CONTENT, STYLE, **{**QUICK, "steps": 0, **keywords}, callback=lambda step, image, _: seen.append(image))
    return seen[0]


def test_starts():
    content, style = images.load(CONTENT, 40), images.load(images.load(STYLE, 40), shape=(40, 30))
    assert np.array_equal(start_of(), content) and np.array_equal(start_of(init="content"), content)
    assert np.array_equal(start_of(init="style"), style) and np.all(start_of(init="grey") == 0.5)
    noise = start_of(init="noise", seed=3)
    assert (
        noise.min() >= 0 and noise.max() <= 1 and abs(noise.mean() - 0.5) < 0.02 and abs(noise.std() - 12**-0.5) < 0.01
    )
    for init, image in (("content", content), ("style", style), ("grey", np.float32(0.5)), (content, content)):
        mixed = start_of(init=init, init_noise=0.25, seed=3)
        assert np.allclose(mixed, 0.75 * image + 0.25 * noise, atol=1e-6), init


def test_noise_of_a_convention():
    start = start_of(init="noise", convention="neural-style")
    assert np.allclose(start, SMALL.mean / 255, atol=1e-4) and 1e-6 < (start - SMALL.mean / 255).std() < 1e-5


def test_several_styles_have_the_gradient_of_the_sum_of_their_losses():
    a, b, x = picture(2, 48, 35), picture(4, 30, 60), picture(3, 33, 40)
    network, blend = small_vgg(), (0.2, 0.8)
    own = dataclasses.replace(conventions.get("nst_numpy"), style_term="paper")
    both = Objective.from_images(network, x, [a, b], style_blend=(1, 4), convention=own)
    alone = [Objective.from_images(network, x, style, convention=own) for style in (a, b)]
    _, gradient, _ = both(x)
    assert np.allclose(gradient, sum(w * f(x)[1] for w, f in zip(blend, alone, strict=True)), rtol=1e-9, atol=1e-15)
    for term in ("paper", "relative"):
        own = dataclasses.replace(own, style_term=term)
        first = Objective.from_images(network, x, a, convention=own)(x)[1]
        assert np.array_equal(
            Objective.from_images(network, x, [a, b], style_blend=(1, 0), convention=own)(x)[1], first
        )


def test_several_styles():
    one, two = picture(2, 40, 50), picture(4, 40, 50)
    first = transfer(CONTENT, one, **QUICK).image
    assert np.array_equal(transfer(CONTENT, [one, two], style_blend=[2, 0], **QUICK).image, first)
    assert np.array_equal(transfer(CONTENT, [one, one], **QUICK).image, first)
    assert not np.array_equal(transfer(CONTENT, [one, two], **QUICK).image, first)


def test_luminance_keeps_the_colours():
    content = np.random.default_rng(0).random((40, 32, 3)) * 0.3 + 0.35  # nothing is clipped
    result = transfer(content, STYLE, **{**QUICK, "steps": 60}, keep_colors="luminance")
    yiq = np.array([colorsys.rgb_to_yiq(*pixel) for pixel in result.image.reshape(-1, 3) / 255])
    expected = np.array([colorsys.rgb_to_yiq(*pixel) for pixel in content.reshape(-1, 3)])
    inside = (result.image.reshape(-1, 3) % 255 != 0).all(axis=1)
    assert inside.mean() > 0.9
    assert np.abs(yiq - expected)[inside][:, 1:].max() < 0.02  # 8 bits, and the coefficients' three digits
    assert np.abs(yiq - expected)[:, 0].max() > 0.05


def test_statistics_change_the_style_image_only():
    matched = colors.match_colors(images.load(STYLE, 40), images.load(CONTENT, 40))
    result = transfer(CONTENT, STYLE, **QUICK, keep_colors="statistics")
    assert np.array_equal(result.image, transfer(CONTENT, matched, **QUICK).image)


# Sizes, steps, frames -------------------------------------------------------------------------------------------------


def test_several_sizes_and_steps():
    content, style = picture(3, 40, 30), picture(4, 50, 50)
    keywords = {"weights": SMALL, "progress": False}
    result = transfer(content, style, size=(24, 32, 48), steps=(5, 3, 1), every=2, **keywords)
    assert [entry["size"] for entry in result.history] == [24] * 6 + [32] * 4 + [48] * 2
    assert result.image.shape == (48, 36, 3)
    # The first size begins at step 0; the second at 5, the third at 8, where the second has ended.
    assert [frame.shape[0] for frame in result.frames] == [24, 24, 24, 32, 32]  # after steps 0, 2, 4; 6, 8
    same = transfer(content, style, size=[24, 32, np.int64(48)], steps=1, **keywords)
    assert [entry["size"] for entry in same.history] == [24] * 2 + [32] * 2 + [48] * 2


def test_frames_animation_and_losses(tmp_path):
    result = transfer(CONTENT, STYLE, **QUICK, every=2)
    assert len(result.frames) == 4 and np.array_equal(result.frames[-1], result.image)
    for name in ("way.gif", "way.webp", "way.png"):
        result.save_animation(tmp_path / name, seconds=0.4)
        with Image.open(tmp_path / name) as animation:
            assert animation.n_frames >= 4 and animation.size == (30, 40)
    result.save_losses(tmp_path / "losses.csv")
    with open(tmp_path / "losses.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [{k: float(v) for k, v in row.items()} for row in rows] == result.history
    result.save_losses(tmp_path / "losses.png")
    assert np.asarray(Image.open(tmp_path / "losses.png")).std() > 10
    with pytest.raises(ValueError, match=r"one of .gif, .webp, .png, found '.jpg'"):
        result.save_animation(tmp_path / "way.jpg")
    with pytest.raises(ValueError, match=r"one of .csv, .png, .* found '.xls'"):
        result.save_losses(tmp_path / "losses.xls")
    with pytest.raises(ValueError, match="there are no frames to animate: ask for them with"):
        transfer(CONTENT, STYLE, **{**QUICK, "steps": 0}).save_animation(tmp_path / "a.gif")
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".gif", ".png", ".png", ".webp"]


# Texture and reconstruction -------------------------------------------------------------------------------------------


def test_texture_has_no_content():
    result = texture(STYLE, **{**QUICK, "steps": 30})
    assert result.image.shape == (32, 40, 3) and all(entry["content"] == 0 for entry in result.history)
    assert result.history[-1]["style"] < 0.1 * result.history[0]["style"]
    assert texture([STYLE, CONTENT], style_blend=[1, 2], **QUICK).image.shape == (32, 40, 3)


@pytest.mark.parametrize("layer", ["conv1_1", "pool2", "relu4_2"])
def test_reconstruction_comes_nearer_to_the_features(layer):
    result = reconstruct(CONTENT, layer, **{**QUICK, "steps": 30})
    assert all(entry["style"] == 0 < entry["tv"] for entry in result.history)
    x = start_of(init="noise")
    assert np.isclose(result.history[0]["tv"], 0.5 * total_variation(x) / (40 * 30), rtol=1e-5)
    for without in ({"tv_weight": 0}, {"convention": "paper"}):
        assert all(entry["tv"] == 0 for entry in reconstruct(CONTENT, layer, **{**QUICK, **without}).history)
    wanted, before, after = (
        SMALL.features(image, layer)[layer]
        for image in (images.load(CONTENT, 40), start_of(init="noise"), result.image)
    )
    assert np.linalg.norm(after - wanted) < 0.5 * np.linalg.norm(before - wanted)


def test_a_convention_gives_losses_and_defaults():
    keywords = {**QUICK, "steps": 0, "init": STYLE}
    keras = transfer(CONTENT, STYLE, convention="keras", **keywords).history[0]
    assert list(keras)[4:-1] == ["conv1_1", "conv2_1", "conv3_1", "conv4_1", "conv5_1"]
    f = Objective.from_images(SMALL, images.load(CONTENT, 40), images.load(STYLE, 40), convention="keras")
    expected = f(images.load(STYLE, shape=(40, 30)))[2]
    assert {k: v for k, v in keras.items() if k != "size"} == expected
    own = transfer(CONTENT, STYLE, convention="keras", style_weight=2e-6, **keywords).history[0]
    assert np.isclose(own["style"], 2 * keras["style"]) and own["content"] == keras["content"]


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_learning_rate(optimizer):
    keywords = {**QUICK, "steps": 1, "optimizer": optimizer, "init": STYLE, "tv_weight": 0}
    seen = []
    transfer(CONTENT, STYLE, **keywords, learning_rate=1e-4, callback=lambda step, image, _: seen.append(image))
    change = np.abs(seen[1] - seen[0])
    assert change.max() > 0
    if optimizer == "adam":  # whose first step is η for every pixel with a gradient
        assert np.isclose(np.median(change[change > 0]), 1e-4, rtol=1e-2)


# Progress and bad input ---------------------------------------------------------------------------------------------


def test_progress_shows_the_losses(capfd):
    transfer(CONTENT, STYLE, **{**QUICK, "progress": True})
    bar = capfd.readouterr().err
    assert all(word in bar for word in ("total=", "content=", "style=", "tv=", "step=6/6", "size=40"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"content": "nowhere.jpg"}, "there is no file nowhere.jpg"),
        ({"style": __file__}, "style image: cannot read .*test_stylize.py: not an image"),
        ({"content": np.full((9, 9, 3), np.nan)}, "content image: .* not finite"),
        ({"style": np.full((9, 9, 3), 200.0)}, "style image: .* must lie in 0–1"),
        ({"init": "nowhere.png"}, "there is no file nowhere.png"),
        ({"size": 0}, "size must be a whole number of at least 1, found 0"),
        ({"size": 2.5}, "size must be a whole number of at least 1, found 2.5"),
        ({"size": 3}, r"an image of 2×3 pixels is too small for conv3_[14], which needs at least 4×4"),
        ({"size": (40, 30)}, "sizes must go from small to large, found 40, 30"),
        ({"size": (20, 40), "steps": (1, 2, 3)}, "2 sizes need as many numbers of steps, or one; found 3"),
        ({"size": ()}, "size must not be empty"),
        ({"convention": "pytorch"}, r"unknown convention 'pytorch'; did you mean .*\? there are nst_numpy, paper"),
        ({"convention": "paper", "tv_weight": 1.0}, "paper has no total variation: tv_weight must be 0, found 1"),
        ({"style": [STYLE, STYLE], "style_blend": [1]}, "one weight for each of 2 style images, found 1"),
        ({"style_blend": [1, 2]}, "one weight for each of 1 style images, found 2"),
        ({"style": [STYLE, STYLE], "style_blend": [1, -1]}, "a weight of style_blend must be a number of at least 0"),
        ({"style": [STYLE, STYLE], "style_blend": 2.0}, "one weight for each of 2 style images, found 1"),
        ({"style_layers": 5}, "style_layers must be names of layers, or names with weights, found 5"),
        ({"style_blend": [0]}, "style_blend must have a weight that is not 0"),
        ({"style": []}, "at least one style image is needed"),
        (
            {"init": "contents"},
            "unknown start 'contents'; did you mean content\\? there are content, noise, gray, grey",
        ),
        ({"init": "white"}, "unknown start 'white'; there are content, noise"),
        ({"init": 5}, "init image: an image must be"),
        ({"init_noise": 1.5}, "init_noise must be a number from 0 to 1, found 1.5"),
        ({"keep_colors": "yes"}, "unknown keep_colors 'yes'; there are luminance, statistics"),
        ({"learning_rate": 0.1}, "lbfgs chooses the length of its steps itself"),
        ({"every": -1}, "every must be a whole number of at least 0"),
        ({"steps": -1}, "steps must be a whole number of at least 0, found -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"content_weight": -1.0}, "content_weight must be a number of at least 0, found -1.0"),
        ({"style_weight": float("nan")}, "style_weight must be a number of at least 0, found nan"),
        ({"tv_weight": "much"}, "tv_weight must be a number of at least 0, found 'much'"),
        ({"style_layers": ["conv2_1", "conv6_1"]}, r"unknown layer 'conv6_1'; did you mean conv\d_1\?"),
        ({"style_layers": {"conv2_1": -1.0}}, "the weight of conv2_1 must be a number of at least 0, found -1.0"),
        ({"content_layers": "relu9_9"}, "unknown layer 'relu9_9'"),
        ({"content_layers": [], "style_layers": []}, "at least one content layer or style layer"),
        ({"optimizer": "adagrad"}, "unknown optimizer .adagrad.; there are lbfgs, adam, momentum, gradient_descent"),
        ({"optimizer_options": {"memry": 3}}, "unknown option of lbfgs 'memry'; did you mean memory\\?"),
        ({"optimizer_options": {"memory": 0}}, "memory must be a whole number of at least 1, found 0"),
        ({"content_weight": 0, "style_weight": 0, "tv_weight": 0}, "are all 0: nothing to paint"),
        ({"style_scale": 0}, "style_scale must be a number from 0.05 to 20, found 0"),
        ({"convention": 3}, "convention must be a name or a Convention, found int"),
        ({"weights": "nowhere.h5"}, "there is no weight file nowhere.h5"),
        ({"weights": 19}, "weights must be a path, a name or a VGG, found int"),
    ],
)
def test_bad_input(changes, message):
    keywords = {"content": CONTENT, "style": STYLE, **QUICK, **changes}
    with pytest.raises((TypeError, ValueError, FileNotFoundError), match=message):
        transfer(keywords.pop("content"), keywords.pop("style"), **keywords)


SHARED = Path(__file__).parents[2] / "shared"


@pytest.mark.skipif(not SHARED.exists(), reason="real VGG-19 features and photographs are not at hand (../shared)")
def test_real_features():
    result = transfer(
        SHARED / "images/content/tuebingen.jpg",
        SHARED / "images/style/starry_night.jpg",
        weights=SHARED / "weights/vgg19_blocks1-3.h5",
        size=64,
        steps=15,
        progress=False,
    )
    assert result.history[-1]["style"] < 0.1 * result.history[0]["style"]


def test_a_texture_that_tiles_has_no_seam():
    """Across the edges pixels differ as they do inside; without circular padding, several times as much."""

    def seams(padding):
        network = load_weights("vgg19-mini", padding=padding)
        style = samples.swirling_night(128)
        x = texture(style, weights=network, size=(64,), steps=30, progress=False).pixels
        across = [np.abs(np.take(x, 0, axis) - np.take(x, -1, axis)).mean() for axis in (0, 1)]
        return np.divide(across, [np.abs(np.diff(x, axis=axis)).mean() for axis in (0, 1)])

    assert (seams("circular") < 1.5).all() and (seams("replicate") > 2.5).all()
