"""transfer() as people call it: what it returns, that it is repeatable, and what it refuses."""

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

from nst_numpy import StyleTransfer, samples, transfer

CONTENT, STYLE = picture(1, 48, 36), picture(2, 40, 50)
SMALL = small_vgg(dtype=np.float32)
QUICK = {"weights": SMALL, "size": 40, "steps": 6, "progress": False}


def test_result(tmp_path):
    result = transfer(CONTENT, STYLE, **QUICK)
    assert isinstance(result, StyleTransfer) and result.complete and result.message == "all iterations done"
    assert result.image.shape == (40, 30, 3) and result.image.dtype == np.uint8
    assert len(result.history) == 7 and result.history[-1]["total"] < result.history[0]["total"]
    for losses in result.history:
        layers = ["conv1_1", "conv2_1", "conv3_1", "conv4_1"]
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
        "import sys; from nst_numpy import samples, transfer\n"
        "settings = dict(size=96, steps=8, init='noise', progress=False)\n"
        "runs = dict(backend=sys.argv[1], threads=int(sys.argv[2]))\n"
        "result = transfer(samples.portrait(), samples.woodcut_waves(96), **settings, **runs)\n"
        "sys.stdout.buffer.write(result.image.tobytes())"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code, backend, n],
            env={**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n},
            capture_output=True,
            check=True,
        ).stdout
        for n in ("1", "2", "5")
    ]
    assert len(runs[0]) == 96 * 82 * 3 and runs[0] == runs[1] == runs[2]


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
    fast, plain = (transfer(CONTENT, STYLE, **QUICK, backend=b).image.astype(int) for b in ("fast", "plain"))
    assert np.abs(fast - plain).max() <= 2


def test_pooling_is_passed_on():
    average, largest = (transfer(CONTENT, STYLE, **QUICK, pooling=kind).image for kind in ("average", "max"))
    assert not np.array_equal(average, largest)


def test_callback_sees_every_step_and_can_stop():
    seen = []

    def callback(step, image, losses):
        seen.append((step, image.shape, losses["total"]))
        if step == 3:
            raise StopIteration

    result = transfer(CONTENT, STYLE, **QUICK, callback=callback)
    assert [step for step, *_ in seen] == [0, 1, 2, 3] and seen[0][1] == (40, 30, 3) and result.complete
    assert [total for *_, total in seen] == [losses["total"] for losses in result.history]


def test_interrupt_keeps_the_best_picture():
    def callback(step, image, losses):
        if step == 3:
            raise KeyboardInterrupt

    with pytest.warns(RuntimeWarning, match="interrupted from the keyboard; .* after step 3 of 6"):
        result = transfer(CONTENT, STYLE, **QUICK, callback=callback)
    assert not result.complete and len(result.history) == 4 and result.image.shape == (40, 30, 3)


def test_a_loss_that_is_not_finite_keeps_the_best_picture():
    with pytest.warns(RuntimeWarning, match="not finite"):
        result = transfer(CONTENT, STYLE, **QUICK, tv_weight=1e60)
    assert not result.complete
    assert np.array_equal(result.image, transfer(CONTENT, STYLE, **{**QUICK, "steps": 0}).image)


def test_coarse_to_fine():
    keywords = {**QUICK, "size": 130, "steps": 4, "scales": 3}
    content, seen = picture(3, 131, 262), []
    result = transfer(content, STYLE, **keywords, callback=lambda step, image, _: seen.append((step, image.shape)))
    # 130 → 65×130; its half, 32×65, would be too small.
    assert seen == [(step, (65, 130, 3)) for step in range(5)] and result.image.shape == (65, 130, 3)
    seen.clear()
    keywords["size"], content, style = 300, picture(3, 150, 300), picture(4, 300, 200)
    result = transfer(content, style, **keywords, callback=lambda step, image, _: seen.append((step, image.shape)))
    assert seen == [(k, (75, 150, 3)) for k in range(5)] + [(k + 4, (150, 300, 3)) for k in range(5)]
    assert [losses["size"] for losses in result.history] == [150] * 5 + [300] * 5
    # The same in two calls: the second from the picture of the first, as the float that the callback sees.
    keywords["scales"], last = 1, []
    transfer(content, style, **{**keywords, "size": 150}, callback=lambda step, image, _: last.append(image))
    again = transfer(content, style, **keywords, init=last[-1].clip(0, 1))
    assert np.abs(again.image.astype(int) - result.image).max() <= 1
    # An image as start is not made coarse first.
    again = transfer(content, style, **{**keywords, "scales": 2}, init=last[-1].clip(0, 1))
    assert len(again.history) == 5 and again.history[0]["size"] == 300


def test_an_end_at_a_coarse_size_gives_a_picture_of_the_full_one():
    def stop(step, image, losses):
        if step == 2:
            raise error

    content, keywords = picture(3, 160, 140), {**QUICK, "size": 160}
    for error in (StopIteration, KeyboardInterrupt):
        with warnings.catch_warnings(action="ignore"):
            result = transfer(content, STYLE, **keywords, callback=stop)
        assert result.image.shape == (160, 140, 3) and result.history[-1]["size"] == 80
        assert result.complete == (error is StopIteration)


def test_progress_shows_the_losses(capfd):
    transfer(CONTENT, STYLE, **{**QUICK, "progress": True})
    bar = capfd.readouterr().err
    assert all(word in bar for word in ("total=", "content=", "style=", "tv=", "/6"))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"content": "nowhere.jpg"}, "there is no file nowhere.jpg"),
        ({"style": __file__}, "style image: .*test_stylize.py is not an image"),
        ({"content": np.full((9, 9, 3), np.nan)}, "content image: .* not finite"),
        ({"style": np.full((9, 9, 3), 200.0)}, "style image: .* must lie in 0–1"),
        ({"init": "nowhere.png"}, "there is no file nowhere.png"),
        ({"size": 0}, "size must be a whole number of at least 1, found 0"),
        ({"size": 2.5}, "size must be a whole number of at least 1, found 2.5"),
        ({"size": 6}, r"an image of 6×5 pixels is too small for conv4_1, which needs at least 8×8"),
        ({"scales": 0}, "scales must be a whole number of at least 1, found 0"),
        ({"steps": -1}, "steps must be a whole number of at least 0, found -1"),
        ({"seed": -1}, "seed must be a whole number of at least 0"),
        ({"content_weight": -1.0}, "content_weight must be a number of at least 0, found -1.0"),
        ({"style_weight": float("nan")}, "style_weight must be a number of at least 0, found nan"),
        ({"tv_weight": "much"}, "tv_weight must be a number of at least 0, found 'much'"),
        ({"style_layers": ["conv2_1", "conv6_1"]}, r"unknown layer 'conv6_1'; did you mean conv\d_1\?"),
        ({"style_layers": {"conv2_1": -1.0}}, "the weight of conv2_1 must be a number of at least 0, found -1.0"),
        ({"content_layers": "relu9_9"}, "unknown layer 'relu9_9'"),
        ({"content_layers": [], "style_layers": []}, "at least one content layer or style layer"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; there are lbfgs, gradient_descent"),
        ({"pooling": "median"}, "pooling must be"),
        ({"backend": "gpu"}, 'backend must be "fast" or "plain", found \'gpu\''),
        ({"threads": 0}, "threads must be a whole number of at least 1, found 0"),
        ({"weights": "nowhere.h5"}, "there is no weight file nowhere.h5"),
        ({"weights": 19}, "weights must be a path or a VGG, found int"),
    ],
)
def test_bad_input(changes, message):
    keywords = {"content": CONTENT, "style": STYLE, **QUICK, **changes}
    with pytest.raises((ValueError, FileNotFoundError), match=message):
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
