"""Files and arrays in, float arrays out; files written whole or not at all."""

import io

import numpy as np
import pytest
from PIL import Image

from nst_numpy import images

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)


def test_path_pil_uint8_and_float_are_the_same(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    expected = (RGB / 255).astype(np.float32)
    for source in (path, str(path), Image.fromarray(RGB), RGB, RGB / 255, (RGB / 255).astype(np.float32)):
        loaded = images.load(source)
        assert loaded.dtype == np.float32 and np.allclose(loaded, expected, atol=1e-7)


def test_other_modes(tmp_path):
    grey = RGB[..., 0]
    for source in (grey, Image.fromarray(grey)):
        assert np.allclose(images.load(source), grey[..., None] / 255, atol=1e-7)
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 51, np.uint8)])  # 20 % opaque, on white
    for source in (rgba, Image.fromarray(rgba)):
        assert np.allclose(images.load(source), 0.2 * RGB / 255 + 0.8, atol=1e-6)
    sixteen = Image.fromarray((grey.astype(np.uint16) << 8) + grey)
    assert np.allclose(images.load(sixteen), grey[..., None] / 255, atol=1e-5)
    palette = Image.fromarray(RGB).quantize(16)
    assert np.allclose(images.load(palette), np.asarray(palette.convert("RGB")) / 255, atol=1e-6)
    assert images.load(Image.fromarray(RGB).convert("CMYK")).shape == (20, 30, 3)


def test_rotation_in_the_exif_data_is_obeyed(tmp_path):
    path = tmp_path / "rotated.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90° to show
    Image.fromarray(RGB).save(path, exif=exif)
    assert np.allclose(images.load(path), np.rot90(RGB, -1) / 255, atol=1e-6)


@pytest.mark.parametrize(
    "size, shape", [(15, (10, 15)), (60, (40, 60)), (1, (1, 1)), (np.int64(16), (11, 16)), (30, (20, 30))]
)
def test_size_is_the_longer_side(size, shape):
    for source, expected in ((RGB, shape), (RGB.transpose(1, 0, 2), shape[::-1])):
        loaded = images.load(source, size)
        assert loaded.shape == (*expected, 3) and loaded.min() >= 0 and loaded.max() <= 1


def test_the_shorter_side_keeps_a_pixel():
    assert images.load(np.zeros((1, 500)), 10).shape == (1, 10, 3)
    assert images.load(np.zeros((500, 1)), 10).shape == (10, 1, 3)


@pytest.mark.parametrize("shape", [(7, 9), [9, 7], (np.int32(20), np.int64(31)), (20, 30)])
def test_shape_is_height_and_width(shape):
    assert images.load(RGB, shape=shape).shape == (*shape, 3)


@pytest.mark.parametrize(
    "arguments, error, message",
    [
        ({"size": 0}, ValueError, "size must be a whole number from 1 to 65535, found 0"),
        ({"size": -5}, ValueError, "size must be a whole number from 1 to 65535, found -5"),
        ({"size": 65_536}, ValueError, "size must be a whole number from 1 to 65535, found 65536"),
        ({"size": 2.5}, ValueError, "size must be a whole number .* found 2.5"),
        ({"size": np.nan}, ValueError, "size must be a whole number .* found nan"),
        ({"size": True}, TypeError, "size must be a whole number .* found True"),
        ({"size": "12"}, TypeError, "size must be a whole number .* found '12'"),
        ({"size": (7, 9)}, TypeError, r"longer side in pixels, one number, found \(7, 9\); for both sides use shape="),
        ({"size": [7, 9]}, TypeError, "longer side in pixels"),
        ({"shape": 7}, TypeError, r"shape must be \(height, width\), found 7"),
        ({"shape": (7, 9, 3)}, TypeError, r"shape must be \(height, width\), found \(7, 9, 3\)"),
        ({"shape": (0, 9)}, ValueError, "the height in shape must be a whole number from 1 to 65535, found 0"),
        ({"shape": (9, 65_536)}, ValueError, "the width in shape must be a whole number from 1 to 65535, found 65536"),
        ({"shape": (9, 2.5)}, ValueError, "the width in shape must be a whole number .* found 2.5"),
        ({"size": 7, "shape": (7, 9)}, ValueError, "size and shape exclude each other"),
        ({"dtype": int}, ValueError, "dtype must be float32 or float64, found int64"),
        ({"dtype": np.float16}, ValueError, "dtype must be float32 or float64, found float16"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        images.load(RGB, **arguments)


def test_scaling_down_averages():
    checks = np.indices((64, 64)).sum(0) % 2 * np.ones((3, 1, 1))
    assert np.allclose(images.load(checks.transpose(1, 2, 0), 8)[1:-1, 1:-1], 0.5, atol=0.02)


def test_source_is_not_changed():
    source = (RGB / 255).astype(np.float32)
    before = source.copy()
    images.load(source)[:] = 0
    assert np.array_equal(source, before)


@pytest.mark.parametrize(
    "source, message",
    [
        (np.zeros((4, 4, 2)), r"must have shape .* found \(4, 4, 2\)"),
        (np.zeros((0, 4, 3)), r"must have shape .* found \(0, 4, 3\)"),
        (np.zeros(4), "must have shape"),
        (np.zeros((4, 4, 3), int), "must be uint8 in 0–255 or floats in 0–1, found int64"),
        (np.full((4, 4, 3), 200.0), "must lie in 0–1, found 200 to 200; divide by 255"),
        (np.full((4, 4, 3), -0.5), "must lie in 0–1, found -0.5"),
        (np.full((4, 4, 3), np.nan), "not finite"),
        (np.full((4, 4, 3), np.inf), "not finite"),
        (np.zeros((3, 40, 50)), r"found \(3, 40, 50\); move the channels to the end"),
    ],
)
def test_bad_arrays(source, message):
    with pytest.raises(ValueError, match=message):
        images.load(source)


@pytest.mark.parametrize(
    "source, message",
    [
        (None, "must be a path, a file object, a PIL image or an array, found NoneType$"),
        ([[0.5]], "found list$"),
        (b"\x89PNG", r"found bytes; wrap it in io.BytesIO$"),
        (io.StringIO("text"), "opened in binary mode"),
        (np.ma.masked_array(RGB, RGB > 9), r"fill it first, as in image.filled\(0\)"),
    ],
)
def test_wrong_types(source, message):
    with pytest.raises(TypeError, match=message):
        images.load(source)


class Unseekable(io.RawIOBase):
    """A pipe or an answer of a server: it can be read once."""

    def __init__(self, data):
        self.data = data

    def read(self, count=-1):
        data, self.data = self.data, b""
        return data


def test_file_objects(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    with open(path, "rb") as file:
        file.read()  # wherever it stands
        assert np.array_equal(images.load(file), images.load(RGB)) and not file.closed
    assert np.array_equal(images.load(io.BytesIO(path.read_bytes())), images.load(RGB))
    assert np.array_equal(images.load(Unseekable(path.read_bytes())), images.load(RGB))
    with pytest.raises(ValueError, match="cannot read the file object: not an image"):
        images.load(io.BytesIO(b"text"))
    path.write_text("text")
    with open(path, "rb") as file, pytest.raises(ValueError, match=r"cannot read .*a.png: not an image"):
        images.load(file)


class Tensor:
    """What other libraries' arrays have in common."""

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        if self.array is None:
            raise RuntimeError("the values are elsewhere; use .cpu()")
        return self.array


def test_arrays_of_other_libraries():
    assert np.array_equal(images.load(Tensor(RGB)), images.load(RGB))
    pillow = type("Interface", (), {"__array_interface__": Image.fromarray(RGB).__array_interface__})()
    assert np.array_equal(images.load(pillow), images.load(RGB))
    with pytest.raises(ValueError, match=r"must have shape .* found \(3, 20, 30\); move the channels"):
        images.load(Tensor(RGB.transpose(2, 0, 1)))
    with pytest.raises(ValueError, match=r"cannot make an array from this Tensor: the values are elsewhere"):
        images.load(Tensor(None))


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nowhere.png"):
        images.load(tmp_path / "nowhere.png")
    text = tmp_path / "text.png"
    text.write_text("not an image")
    with pytest.raises(ValueError, match=r"cannot read .*text.png: not an image in a known format \(PNG, JPEG"):
        images.load(text)
    whole = tmp_path / "whole.png"
    Image.fromarray(RGB).save(whole)
    cut = tmp_path / "cut.png"
    cut.write_bytes(whole.read_bytes()[:600])
    with pytest.raises(ValueError, match=r"cannot read .*cut.png"):
        images.load(cut)
    with pytest.raises(ValueError, match=r"cannot read .*: it is a folder"):
        images.load(tmp_path)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "PNG"])
def test_save(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    images.save(RGB, path)
    assert np.asarray(Image.open(path)).shape == RGB.shape
    assert [p.name for p in tmp_path.iterdir()] == [path.name], "nothing else is left"


def test_saving_fails_whole(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    path.write_text("what was there before")

    def fail(self, file, **_):
        file.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(OSError, match="disk full"):
        images.save(RGB, path)
    assert path.read_text() == "what was there before" and len(list(tmp_path.iterdir())) == 1


def test_check_output(tmp_path):
    assert images.check_output(tmp_path / "a.png") == tmp_path / "a.png"
    with pytest.raises(ValueError, match=r"'.txt' is no image suffix; use .png"):
        images.check_output(tmp_path / "a.txt")
    with pytest.raises(ValueError, match="'' is no image suffix"):
        images.check_output(tmp_path / "a")
    with pytest.raises(FileNotFoundError, match=r"the folder .*nowhere does not exist"):
        images.check_output(tmp_path / "nowhere" / "a.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(ValueError, match="it is a folder"):
        images.check_output(tmp_path / "folder.png")


def test_to_uint8_clips_and_rounds():
    assert images.to_uint8(np.array([-0.5, 0, 0.5, 1, 7, 0.4 / 255, 0.6 / 255])).tolist() == [0, 0, 128, 255, 255, 0, 1]
