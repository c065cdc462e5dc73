"""Masks: read from every kind of image, fitted to theirs, and carried to the layers; the error for each bad one."""

import io

import numpy as np
import pytest
from drawing import picture
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nst_numpy import masks
from nst_numpy.topology import reduction

LAYERS = ("conv1_1", "conv2_2", "pool2", "conv3_1", "conv5_1")
inside = np.zeros((6, 8), bool)
inside[1:4, 2:7] = True


def of_file(picture: Image.Image, form="PNG", **options):
    file = io.BytesIO()
    picture.save(file, form, **options)
    return masks.load(file)


def test_a_hard_mask_in_every_form():
    grey = Image.fromarray(inside * np.uint8(255))
    palette = Image.fromarray(inside * np.uint8(3), "P")
    palette.putpalette([0, 0, 0, 9, 9, 9, 8, 8, 8, 255, 255, 255])
    opaque = Image.merge("RGBA", [Image.new("L", (8, 6), 255)] * 3 + [grey])
    under_black = Image.merge("LA", [Image.new("L", (8, 6), 255), grey])
    for found in (
        masks.load(inside),
        masks.load(inside.astype(float)),
        masks.load(inside * np.uint8(255)),
        masks.load(np.repeat(inside[..., None], 3, axis=2).astype(np.float32)),
        masks.load(grey),
        of_file(grey),
        of_file(grey.convert("1")),
        of_file(palette),
        of_file(opaque),
        of_file(under_black),
        of_file(Image.fromarray(inside * np.uint16(65_535))),
    ):
        assert found.dtype == np.float32 and np.array_equal(found, inside)


def test_greys_are_a_soft_edge():
    soft = np.linspace(0, 1, 12).reshape(3, 4)
    assert np.allclose(masks.load(soft), soft, atol=1e-7)
    colors = picture(0, 3, 4)
    assert np.allclose(masks.load(colors), colors @ [0.299, 0.587, 0.114], atol=1e-6)
    half = np.dstack([np.ones((3, 4, 3)), soft])  # white, more or less opaque
    assert np.allclose(masks.load(half), soft, atol=1e-6)


def test_the_region_of_a_color(tmp_path):
    drawn = np.zeros((6, 8, 3), np.uint8)
    drawn[...] = (0, 0, 255)
    drawn[inside] = (250, 120, 0)
    drawn[1, 2], drawn[1, 3], drawn[1, 4] = (242, 128, 8), (241, 120, 0), (250, 129, 0)  # within 8; more; more
    Image.fromarray(drawn).save(tmp_path / "regions.png")
    expected = inside.copy()
    expected[1, 3:5] = False
    for color in ("fa7800", "FA7800"):
        assert np.array_equal(masks.load(f"{tmp_path}/regions.png#{color}"), expected)
    assert np.array_equal(masks.load(tmp_path / "regions.png#0000ff"), ~inside)
    with pytest.raises(ValueError, match=r"no pixel has the color #00ff00; .*regions.png has #0000ff, #fa7800, #"):
        masks.load(f"{tmp_path}/regions.png#00ff00")
    for wrong in ("red", "12345", "1234567", "00gg00", ""):
        with pytest.raises(ValueError, match=r"^a color must be six hexadecimal digits, as in mask.png#ff0000, found"):
            masks.load(f"{tmp_path}/regions.png#{wrong}")
    Image.fromarray(drawn).save(tmp_path / "a#0000ff.png")
    Image.fromarray(inside).save(tmp_path / "a.png#0000ff", "PNG")  # files may have any name
    assert masks.load(tmp_path / "a#0000ff.png").shape == (6, 8)
    assert np.array_equal(masks.load(f"{tmp_path}/a.png#0000ff"), inside)
    (tmp_path / "#folder").mkdir()
    Image.fromarray(inside).save(tmp_path / "#folder/a.png")
    assert masks.load(tmp_path / "#folder/a.png").all() == inside.all()


@pytest.mark.parametrize(
    "source, error, message",
    [
        (np.zeros((4, 5)), ValueError, "^the mask is all black, and a region is white$"),
        (np.zeros((4, 5), bool), ValueError, "^the mask is all black, and a region is white$"),
        (Image.new("RGBA", (4, 4), (255, 255, 255, 0)), ValueError, "^the mask is all black"),
        (np.ones((4, 5), np.uint8), ValueError, "all black.*; an array of 0 and 1 must be of bool or float$"),
        (np.ones((4, 5), int), ValueError, "must be uint8 in 0–255 or floats in 0–1, found int64"),
        (np.full((4, 5), np.nan), ValueError, "not finite"),
        (np.ones(5), ValueError, "must have shape"),
        (5, TypeError, "must be a path, a file object, a PIL image or an array, found int"),
    ],
)
def test_what_is_no_mask(source, error, message):
    with pytest.raises(error, match=message):
        masks.load(source)
    with pytest.raises(error, match=r"^content_mask: "):
        masks.of_image("content_mask", source, np.zeros((4, 5, 3)))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_scaled_masks_stay_in_0_to_1_and_share_out_the_pixels(h, w, height, width, seed):
    mask = np.random.default_rng(seed).random((h, w)).astype(np.float32)
    found, others = masks.scaled(mask, (height, width, 3)), masks.scaled(1 - mask, (height, width, 3))
    assert found.shape == (height, width) and found.min() >= 0 and found.max() <= 1
    assert np.allclose(found + others, 1, atol=1e-6)
    ones = masks.scaled(np.ones((h, w), np.float32), (height, width))
    assert (ones == 1).all()


def test_a_scaled_edge_has_no_ripples():
    edge = np.repeat([[0.0, 1.0]], 12, axis=1).astype(np.float32)
    for width in (7, 40, 111):
        assert (np.diff(masks.scaled(edge, (3, width))) >= 0).all()


@pytest.mark.parametrize("mask, image", [((20, 30), (40, 60)), ((667, 1000), (67, 100)), ((67, 100), (341, 512))])
def test_a_mask_has_the_proportions_of_its_image_to_a_pixel(mask, image):
    assert masks.of_image("mask", np.ones(mask), np.zeros((*image, 3))).shape == image


@pytest.mark.parametrize("mask, image", [((20, 32), (40, 60)), ((60, 40), (40, 60)), ((100, 150), (90, 150))])
def test_another_shape_is_refused(mask, image):
    with pytest.raises(ValueError, match=rf"^mask: a mask of {mask[1]}×{mask[0]} pixels for an image of {image[1]}×"):
        masks.of_image("mask", np.ones(mask), np.zeros((*image, 3)))


@given(st.integers(1, 45), st.integers(1, 45), st.sampled_from(LAYERS), st.integers(0, 2**32 - 1))
def test_in_a_layer_a_position_has_the_mean_of_its_pixels(height, width, layer, seed):
    mask, r = np.random.default_rng(seed).random((height, width)), reduction(layer)
    shape = height // r, width // r
    expected = np.zeros(shape)
    for i, j in np.ndindex(shape):
        expected[i, j] = mask[r * i : r * i + r, r * j : r * j + r].mean()
    if expected.sum() < 1:
        with pytest.raises(ValueError, match=rf"^mask 2: at {width}×{height} pixels its region is smaller than one "):
            masks.in_layer("mask 2", mask, layer)
    else:
        found = masks.in_layer("mask 2", mask, layer)
        assert found.shape == shape and np.allclose(found, expected, rtol=1e-12)


def test_a_region_of_one_position_is_enough():
    mask = np.zeros((32, 32))
    mask[4:8, 4:8] = 1
    assert masks.in_layer("mask", mask, "conv3_1").sum() == 1
    with pytest.raises(ValueError, match="one position of conv4_1, 8×8 pixels; make it larger, or take larger sizes"):
        masks.in_layer("mask", mask, "conv4_1")
    mask[4, 4] = 0
    with pytest.raises(ValueError, match="one position of conv3_1"):
        masks.in_layer("mask", mask, "conv3_1")


def test_none_is_all_of_an_image():
    assert masks.of_image("mask", None, np.zeros((4, 4, 3))) is None and masks.in_layer("mask", None, "conv3_1") is None
    assert [source for _, source in masks.one_each("style_masks", None, 3)] == [None] * 3


def test_masks_are_counted():
    one = np.ones((4, 4))
    assert masks.one_each("style_masks", one, 1)[0][1] is one
    for sources, styles in (([one], 2), ([one, None, one], 2), ([], 1), (one, 2)):
        found = len(sources) if isinstance(sources, list) else 1
        with pytest.raises(ValueError, match=f"^content_masks must have one mask for each of {styles} .* {found}$"):
            masks.one_each("content_masks", sources, styles)
