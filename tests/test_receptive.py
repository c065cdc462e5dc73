"""Receptive fields by the gradient of single units, and patches by brute force."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import images, receptive_field
from nst_numpy.inspection.receptive import top_patches


@pytest.mark.parametrize("layer", ["conv1_1", "conv1_2", "pool1", "conv2_1", "pool2", "conv3_1", "relu3_2"])
def test_a_receptive_field_is_where_the_gradient_is(layer):
    network, image = small_vgg(last="conv3_2", bias=5.0), picture(0, 64, 64)
    name = network.canonical(layer)
    features, tape = network.forward(image, [name])
    dy = np.zeros_like(features[name])
    p, q = dy.shape[0] // 2, dy.shape[1] // 2 - 1
    dy[p, q] = 1
    rows, columns = np.nonzero(np.abs(network.backward({name: dy}, tape)).sum(axis=2) > 1e-12)
    start, step, size = receptive_field(network, layer)
    assert (rows.min(), rows.max() + 1) == (start + p * step, start + p * step + size)
    assert (columns.min(), columns.max() + 1) == (start + q * step, start + q * step + size)


def test_vgg19s_known_sizes():
    sizes = [receptive_field(small_vgg(), name)[2] for name in ("conv1_2", "conv2_2", "conv3_4", "conv4_4", "conv5_1")]
    assert sizes == [5, 14, 48, 116, 156]


def test_patches_are_the_strongest():
    network = small_vgg(last="conv2_1", bias=0.5)
    over = [picture(k, 20, 24) for k in range(5)]
    found = top_patches(network, "relu2_1", iter(over), filters=[0, 3], count=3)
    assert [len(patches) for patches in found] == [3, 3]
    for k, patches in zip([0, 3], found, strict=True):
        responses = [network.features(image, "conv2_1")["conv2_1"][:, :, k] for image in over]
        best = sorted(range(5), key=lambda n: responses[n].max(), reverse=True)[:3]
        assert [patch.image for patch in patches] == best and [patch.filter for patch in patches] == [k] * 3
        for patch in patches:
            assert np.isclose(patch.value, responses[patch.image].max())
            p, q = np.argwhere(responses[patch.image] == responses[patch.image].max())[0]
            assert patch.box == (2 * p - 4, 2 * q - 4, 2 * p + 6, 2 * q + 6)
            # The pixels, from an image with a wide grey margin.
            wide = np.pad(over[patch.image], ((20, 20), (20, 20), (0, 0)), constant_values=0.5)
            top, left, bottom, right = np.add(patch.box, 20)
            assert np.allclose(patch.pixels, wide[top:bottom, left:right], atol=1e-6)


def test_every_edge_is_filled_up_with_grey():
    """A filter that sees one bright pixel, in each corner of an image."""
    network = small_vgg(last="conv1_2", bias=5.0)  # no ReLU at 0: every unit responds
    for i, j in ((0, 0), (0, 7), (5, 0), (5, 7)):
        image = np.zeros((6, 8, 3))
        image[i, j] = 1
        for (patch,) in top_patches(network, "conv1_2", [image]):
            wide = np.pad(image, ((9, 9), (9, 9), (0, 0)), constant_values=0.5)
            top, left, bottom, right = np.add(patch.box, 9)
            assert patch.pixels.shape == (5, 5, 3) and np.allclose(patch.pixels, wide[top:bottom, left:right])


def test_without_filters_the_nine_with_the_largest_mean_response():
    network, over = small_vgg(widths=(12, 5, 6, 7, 8), last="conv1_1"), [picture(0, 8, 8), picture(1, 8, 8)]
    found = top_patches(network, "conv1_1", over)
    means = sum(network.features(image, "conv1_1")["conv1_1"].mean(axis=(0, 1)) for image in over)
    assert [patches[0].filter for patches in found] == list(np.argsort(-means)[:9])
    assert [len(patches) for patches in found] == [2] * 9  # one of each image
    assert len(top_patches(small_vgg(last="conv1_1"), "conv1_1", over)) == 4  # all that there are
    many = [picture(k, 8, 8) for k in range(11)]
    assert {len(patches) for patches in top_patches(network, "conv1_1", many)} == {9}


def test_images_are_those_that_load_takes(tmp_path):
    network, image = small_vgg(last="conv1_1"), images.to_uint8(picture(0, 8, 8))
    images.save(image, tmp_path / "a.png")
    ((from_file,),) = top_patches(network, "conv1_1", [tmp_path / "a.png"], filters=[1])
    ((from_array,),) = top_patches(network, "conv1_1", [image], filters=[np.int64(1)])
    assert from_file.value == from_array.value and np.array_equal(from_file.pixels, from_array.pixels)
    assert from_file.pixels.dtype == np.float32
    with pytest.raises(FrozenInstanceError):
        from_file.value = 0.0


@pytest.mark.parametrize("k", [4, -1, 1.5, True])
def test_unknown_filter(k):
    with pytest.raises(ValueError, match=f"conv1_1 has no filter {k}; it has 0 to 3"):
        top_patches(small_vgg(last="conv1_1"), "conv1_1", [picture(0)], filters=[k])


def test_bad_input(tmp_path):
    network, image = small_vgg(last="conv1_1"), picture(0)
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'"):
        top_patches(network, "conv9_1", [image])
    with pytest.raises(ValueError, match="unknown layer 'conv9_1'"):
        receptive_field(network, "conv9_1")
    with pytest.raises(ValueError, match="needs at least one image"):
        top_patches(network, "conv1_1", [])
    for single in ("photograph.jpg", tmp_path, image):
        with pytest.raises(TypeError, match=r"over must be a list of images, found a single one; use \[image\]"):
            top_patches(network, "conv1_1", single)
    with pytest.raises(ValueError, match="count must be a whole number of at least 1, found 0"):
        top_patches(network, "conv1_1", [image], count=0)
