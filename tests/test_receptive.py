"""Receptive fields by the gradient of single units, and patches by brute force."""

import numpy as np
import pytest
from drawing import picture, small_vgg

from nst_numpy import receptive_field, top_patches


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
    found = top_patches(network, "conv2_1", over, filters=[0, 3], count=3)
    assert [len(patches) for patches in found] == [3, 3]
    for k, patches in zip([0, 3], found, strict=True):
        values = [patch.value for patch in patches]
        every = sorted((network.features(i, "conv2_1")["conv2_1"][:, :, k].max() for i in over), reverse=True)
        assert np.allclose(values, every[:3])
        for patch in patches:
            assert patch.filter == k and patch.pixels.shape == (10, 10, 3)
            top, left, bottom, right = patch.box
            if top >= 0 and left >= 0 and bottom <= 20 and right <= 24:
                assert np.allclose(patch.pixels, over[patch.image][top:bottom, left:right], atol=1e-6)


def test_a_patch_at_the_edge_is_filled_up_with_grey():
    network, black = small_vgg(last="conv1_1"), np.zeros((8, 8, 3))
    found = top_patches(network, "conv1_1", [black], count=1)
    assert len(found) == 4  # all filters that there are
    corner = next(p for patches in found for p in patches if p.box[0] < 0 or p.box[1] < 0 or max(p.box) > 8)
    assert (corner.pixels == 0.5).any()


def test_unknown_filter():
    with pytest.raises(ValueError, match="conv1_1 has no filter 4; it has 0 to 3"):
        top_patches(small_vgg(last="conv1_1"), "conv1_1", [picture(0)], filters=[4])
