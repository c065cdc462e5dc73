"""The sample images exist, are pictures, and are the same every time."""

import numpy as np
import pytest

from nst_numpy import samples


def test_portrait():
    assert samples.portrait().size == (512, 600) and np.std(samples.portrait()) > 30


@pytest.mark.parametrize("paint", [samples.swirling_night, samples.woodcut_waves])
def test_paintings(paint):
    painted = paint(96)
    picture = np.asarray(painted, float)
    assert picture.shape == (96, 96, 3) and picture.std() > 30
    assert np.array_equal(picture, np.asarray(paint(96)))
    assert not np.array_equal(picture, np.asarray(paint(96, seed=9)))
    # The same painting at another size, not another painting.
    large = np.asarray(paint(192).resize((12, 12)), float)
    assert np.corrcoef(np.asarray(painted.resize((12, 12)), float).ravel(), large.ravel())[0, 1] > 0.8


@pytest.mark.parametrize("paint", [samples.swirling_night, samples.woodcut_waves])
def test_bad_sizes(paint):
    with pytest.raises(ValueError, match="size must be a whole number from 1 to 65535, found 0"):
        paint(0)
    with pytest.raises(TypeError, match="size must be a whole number from 1 to 65535, found '64'"):
        paint("64")
    with pytest.raises(ValueError, match="seed must be a whole number of at least 0, found -1"):
        paint(16, seed=-1)
    assert paint(1).size == (1, 1)
