"""Files and arrays in, float arrays out; files written whole or not at all."""

import io
import os
import re
import signal
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from nst_numpy import __version__, images

RGB = np.random.default_rng(0).integers(0, 256, (20, 30, 3)).astype(np.uint8)

posix = pytest.mark.skipif(os.name != "posix", reason="makes a FIFO")


def png_file(height, width, bits, rows):
    """The bytes of a PNG file of RGB values."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, bits, 2, 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def test_path_pil_uint8_and_float_are_the_same(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path)
    expected = (RGB / 255).astype(np.float32)
    for source in (path, str(path), Image.fromarray(RGB), RGB, RGB / 255, (RGB / 255).astype(np.float32)):
        loaded = images.load(source)
        assert loaded.dtype == np.float32 and np.allclose(loaded, expected, atol=1e-7)


def test_other_modes(tmp_path):
    grey = RGB[..., 0]
    for source in (grey, grey / 255, Image.fromarray(grey)):
        assert np.allclose(images.load(source), grey[..., None] / 255, atol=1e-7)
    rgba = np.dstack([RGB, np.full(RGB.shape[:2], 51, np.uint8)])  # 20 % opaque, on white
    for source in (rgba, rgba / 255, Image.fromarray(rgba)):
        assert np.allclose(images.load(source), 0.2 * RGB / 255 + 0.8, atol=1e-6)
    sixteen = Image.fromarray((grey.astype(np.uint16) << 8) + grey)
    assert np.allclose(images.load(sixteen), grey[..., None] / 255, atol=1e-5)
    palette = Image.fromarray(RGB).quantize(16)
    assert np.allclose(images.load(palette), np.asarray(palette.convert("RGB")) / 255, atol=1e-6)
    for mode in ("1", "LA", "PA", "CMYK", "YCbCr", "HSV", "LAB"):
        converted = Image.fromarray(RGB).convert("L" if mode == "PA" else "RGB").convert(mode)
        assert np.allclose(images.load(converted), np.asarray(converted.convert("RGB")) / 255, atol=1e-6)


def test_float_images(tmp_path):
    path, grey = tmp_path / "a.tif", (RGB[..., 0] / 255).astype(np.float32)
    Image.fromarray(grey).save(path)
    for source in (path, Image.fromarray(grey)):
        assert np.array_equal(images.load(source), np.stack([grey] * 3, axis=-1))
    for wrong, message in (
        (255 * grey, "floats must lie in 0–1, found .*; divide by 255"),
        (np.nan * grey, "not finite"),
    ):
        Image.fromarray(wrong).save(path)
        with pytest.raises(ValueError, match=f"cannot read .*a.tif: .*{message}"):
            images.load(path)


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_of_grey(tmp_path, suffix):
    path, values = tmp_path / f"a.{suffix}", np.array([[0, 1, 300], [256, 40_000, 65_535]], np.uint16)
    Image.fromarray(values).save(path)
    loaded = images.load(path, dtype=np.float64)
    assert np.allclose(loaded, values[..., None] / 65_535, rtol=1e-12)
    for wrong in (np.int32([[0, 65_536]]), np.int32([[-1, 5]])):
        with pytest.raises(ValueError, match="grey values need more than 16 bits"):
            images.load(Image.fromarray(wrong))


def test_16_bits_of_colour_keep_the_upper_8():
    values = np.random.default_rng(0).integers(0, 65_536, (5, 4, 3)).astype(np.uint16)

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)  # each begins with its filter, none
    file = png_file(5, 4, 16, rows)
    assert np.allclose(images.load(io.BytesIO(file)), (values >> 8) / 255, atol=1e-6)


# What the EXIF standard says of each orientation: where the 0th row and the 0th column of the file are in the picture.
ORIENTATIONS = {
    1: lambda a: a,  # top, left
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.transpose(1, 0, 2),  # left, top
    6: lambda a: a.transpose(1, 0, 2)[:, ::-1],  # right, top
    7: lambda a: a.transpose(1, 0, 2)[::-1, ::-1],  # right, bottom
    8: lambda a: a.transpose(1, 0, 2)[::-1],  # left, bottom
}


@pytest.mark.parametrize("suffix", ["png", "jpg", "tif", "webp"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_orientation_in_the_exif_data_is_obeyed(tmp_path, suffix, orientation):
    path, exif = tmp_path / f"a.{suffix}", Image.Exif()
    exif[0x0112] = orientation
    pixels = images.to_uint8(images.load(RGB, 120))  # smooth, for JPEG
    lossless = {"lossless": True} if suffix == "webp" else {}
    Image.fromarray(pixels).save(path, exif=exif, quality=100, icc_profile=EXCHANGED, **lossless)
    found, expected = images.load(path), ORIENTATIONS[orientation](pixels)[..., ::-1] / 255
    assert found.shape == expected.shape and np.abs(found - expected).mean() < 0.05  # another one: 0.2


@pytest.mark.parametrize(
    "size, shape",
    [(15, (10, 15)), (60, (40, 60)), (1, (1, 1)), (np.int64(16), (11, 16)), (np.uint8(16), (11, 16)), (30, (20, 30))],
)
def test_size_is_the_longer_side(size, shape):
    for source, expected in ((RGB, shape), (RGB.transpose(1, 0, 2), shape[::-1])):
        loaded = images.load(source, size)
        assert loaded.shape == (*expected, 3) and loaded.min() >= 0 and loaded.max() <= 1


def test_the_shorter_side_keeps_a_pixel():
    assert images.load(np.zeros((1, 500)), 10).shape == (1, 10, 3)
    assert images.load(np.zeros((500, 1)), 10).shape == (10, 1, 3)


@pytest.mark.parametrize("shape", [(7, 9), [9, 7], (np.uint8(9), np.uint8(9)), (np.int32(20), np.int64(31)), (20, 30)])
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
        ({"dtype": int}, TypeError, "dtype must be float32 or float64, found int64"),
        ({"dtype": np.float16}, TypeError, "dtype must be float32 or float64, found float16"),
    ],
)
def test_wrong_arguments(arguments, error, message):
    with pytest.raises(error, match=message):
        images.load(RGB, **arguments)


def test_scaling_is_lanczos():
    """Against the definition: each pixel is the mean of those within 3 of its own widths, weighted by sinc · sinc."""
    line = np.random.default_rng(1).random(24)
    for n in (8, 36):
        factor = len(line) / n
        reach = max(factor, 1)
        expected = []
        for i in range(n):
            x = (np.arange(len(line)) + 0.5 - (i + 0.5) * factor) / reach
            weights = np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)
            expected.append((weights * line).sum() / weights.sum())
        found = images.load(np.tile(line, (1, 1)), shape=(1, n), dtype=np.float64)[0, :, 0]
        assert np.allclose(found, np.clip(expected, 0, 1), atol=1e-6)
        found = images.load(line[:, None], shape=(n, 1), dtype=np.float64)[:, 0, 2]
        assert np.allclose(found, np.clip(expected, 0, 1), atol=1e-6)


def test_scaling_keeps_the_range():
    loaded = images.load(np.kron(np.eye(2), np.ones((8, 8))), 40)  # Lanczos overshoots at edges
    assert loaded.min() == 0 and loaded.max() == 1


def test_dtype():
    for dtype in (np.float32, np.float64, "float64"):
        for size in (None, 7):
            assert images.load(RGB, size, dtype=dtype).dtype == dtype
    assert np.array_equal(images.load(RGB, dtype=np.float64), RGB / 255)


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
        (np.zeros((4, 4, 2)), r"must have shape .* found \(4, 4, 2\); move the channels to the end$"),
        (np.zeros((5, 4, 2)), r"must have shape .* found \(5, 4, 2\)$"),
        (np.zeros((0, 4, 3)), r"must have shape .* found \(0, 4, 3\)$"),
        (np.zeros(4), r"must have shape .* found \(4,\)$"),
        (np.zeros((4, 4, 3), int), "must be uint8 in 0–255 or floats in 0–1, found int64"),
        (np.full((4, 4, 3), 200.0), "must lie in 0–1, found 200 to 200; divide by 255"),
        (np.full((4, 4, 3), 1.001), "must lie in 0–1, found 1.001 to 1.001"),
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
    with pytest.raises(ValueError, match=r"cannot read the file object: not an image"):
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


def test_damaged_exif_data_are_passed_over(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(RGB).save(path, exif=b"Exif\0\0nonsense")
    assert np.array_equal(images.load(path), images.load(RGB))
    picture = Image.open(path)
    picture.getexif = lambda: 1 / 0
    assert np.array_equal(images.load(picture), images.load(RGB))


@pytest.mark.parametrize(
    "error, text",
    [
        (e("why"), "why")
        for e in (OSError, TypeError, RuntimeError, SyntaxError, NotImplementedError, ZeroDivisionError, struct.error)
    ]
    + [(MemoryError(), "MemoryError")],
)
def test_whatever_pillow_raises_is_one_line(tmp_path, monkeypatch, error, text):
    path = tmp_path / "a.png"
    images.save(RGB, path)

    def fail(self, mode):
        raise error

    monkeypatch.setattr(Image.Image, "convert", fail)
    with pytest.raises(ValueError, match=f"cannot read .*a.png: {text}$"):
        images.load(path)


def test_a_damaged_pil_image(tmp_path):
    images.save(RGB, tmp_path / "a.png")
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:600])
    with (
        Image.open(tmp_path / "a.png") as picture,
        pytest.raises(ValueError, match=r"cannot read the PIL image: .*trunc"),
    ):
        images.load(picture)


@posix
def test_what_is_no_regular_file_is_not_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")  # to open it would wait for a writer
    with pytest.raises(ValueError, match=r"cannot read .*pipe.png: it is not a regular file"):
        images.load(tmp_path / "pipe.png")
    with pytest.raises(ValueError, match=r"cannot read x*.png: File name too long"):
        images.load("x" * 300 + ".png")


def test_decompression_bombs():
    with pytest.raises(ValueError, match=r"cannot read the file object: .*exceeds limit"):
        images.load(io.BytesIO(png_file(20_000, 20_000, 8, b"")))


@pytest.mark.parametrize("name", ["png", "jpeg", "webp", "tiff", "gif", "bmp", "ppm"])
def test_formats_that_are_read(name):
    file = io.BytesIO()
    Image.new("RGB", (30, 20), (255, 255, 255)).save(file, name)
    assert np.allclose(images.load(file), np.ones((20, 30, 3)), atol=0.01)


@pytest.mark.parametrize("name", ["eps", "tga", "pcx", "ico"])
def test_other_formats_are_refused(name):
    file = io.BytesIO()
    Image.fromarray(RGB).save(file, name)
    with pytest.raises(ValueError, match="not an image in a known format"):
        images.load(file)


def test_transparency_of_a_palette():
    picture = Image.new("P", (2, 1))
    picture.putpalette([255, 0, 0, 0, 255, 0])
    picture.putpixel((1, 0), 1)
    picture.info["transparency"] = 1
    assert images.load(picture).tolist() == [[[1, 0, 0], [1, 1, 1]]]


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


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "tif", "tiff"])
def test_a_description_is_kept(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    text = '{"size": 512, "style": "a \\u00e9"}'
    images.save(RGB, path, text)
    assert images.description(path) == images.description(str(path)) == text
    with Image.open(path) as picture:
        assert picture.getexif()[0x0131] == f"nst_numpy {__version__}"
    assert images.load(path).shape == (20, 30, 3)
    images.save(RGB, path)
    with Image.open(path) as picture:
        assert images.description(path) == "" and 0x0131 not in picture.getexif()


def test_a_long_description_fits(tmp_path):
    for suffix in ("png", "jpg"):
        images.save(RGB, tmp_path / f"a.{suffix}", "x" * 60_000)
        assert images.description(tmp_path / f"a.{suffix}") == "x" * 60_000


def test_formats_without_a_description(tmp_path):
    for suffix in ("gif", "bmp", "ppm"):
        images.save(RGB, tmp_path / f"a.{suffix}", "text")
        assert images.description(tmp_path / f"a.{suffix}") == ""


@pytest.mark.parametrize("text", ["ä", "a\0b", "x" * 60_001])
def test_bad_descriptions(tmp_path, text):
    with pytest.raises(ValueError, match=f"ASCII text of at most 60000 characters, found {len(text)}: "):
        images.save(RGB, tmp_path / "a.png", text)
    with pytest.raises(TypeError, match="a description must be a string, found dict"):
        images.save(RGB, tmp_path / "a.png", {})
    assert not any(tmp_path.iterdir())


def test_no_description_to_read(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no file"):
        images.description(tmp_path / "nowhere.png")
    (tmp_path / "text.png").write_text("not an image")
    with pytest.raises(ValueError, match=r"cannot read .*text.png: not an image"):
        images.description(tmp_path / "text.png")
    with pytest.raises(ValueError, match=r"cannot read .*: it is a folder"):
        images.description(tmp_path)


@pytest.mark.parametrize("image, found", [(RGB / 255, r"float64 \(20, 30, 3\)"), (RGB[..., 0], r"uint8 \(20, 30\)")])
def test_only_uint8_images_are_written(tmp_path, image, found):
    shapes = r"\(H, W, 3\) or \(H, W, 4\)"
    with pytest.raises(ValueError, match=rf"must be uint8 or uint16 of shape {shapes}, found {found}; use images.to_u"):
        images.save(image, tmp_path / "a.png")
    with pytest.raises(ValueError, match="must be uint8"):
        images.png(image)
    with pytest.raises(ValueError, match="must be uint8"):
        images.save(np.dstack([RGB, RGB]), tmp_path / "a.png")


def test_png():
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(images.png(RGB)))), RGB)


@pytest.mark.parametrize("suffix, name", [("jpg", "jpeg"), ("JPEG", "jpeg"), ("webp", "webp"), ("avif", "avif")])
def test_high_quality(tmp_path, suffix, name):
    Image.init()
    if name.upper() not in Image.SAVE:
        pytest.skip(f"this Pillow has no {name}")
    expected = io.BytesIO()
    Image.fromarray(RGB).save(expected, name, quality=95, icc_profile=images.srgb())
    images.save(RGB, tmp_path / f"a.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == expected.getvalue()
    assert np.array_equal(images.load(tmp_path / f"a.{suffix}"), images.load(Image.open(expected)))


def test_whole_file(tmp_path):
    path = tmp_path / "a.txt"
    with images.whole_file(path) as part:  # hidden, and on the same file system
        assert part.parent.parent == tmp_path and re.fullmatch(r"\.nst_numpy_\w+", part.parent.name)
        assert part.name == path.name
        part.write_text("all")
        assert not path.exists()
    assert path.read_text() == "all" and list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("call", ["mkdir", "replace", "close", "rmdir"])
def test_whole_despite_ctrl_c(tmp_path, monkeypatch, call):
    """Also where the temporary folder is removed: there it could become an error about a closed file."""
    original = getattr(os, call)

    def interrupted(*arguments, **keywords):
        original(*arguments, **keywords)
        signal.raise_signal(signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), monkeypatch.context() as patched:
            patched.setattr(os, call, interrupted)
            images.write_text(tmp_path / "a.txt", "all")
    finally:
        signal.signal(signal.SIGINT, before)
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a.txt", "all")]


def test_an_existing_file_keeps_its_permissions_and_a_link_its_target(tmp_path):
    path, link = tmp_path / "a.png", tmp_path / "link.png"
    path.write_text("before")
    path.chmod(0o600)
    link.symlink_to(path)
    images.save(RGB, link)
    assert link.is_symlink() and path.stat().st_mode & 0o777 == 0o600
    assert np.array_equal(images.load(path), images.load(RGB))


def durations(path):
    with Image.open(path) as animation:
        found = []
        for k in range(animation.n_frames):
            animation.seek(k)
            animation.load()
            found.append(animation.info["duration"])
        return found


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animation(tmp_path, suffix):
    path, small = tmp_path / f"a.{suffix}", RGB[:10, :15]
    images.save_animation([small, RGB, 255 - RGB, RGB], path, seconds=9)
    with Image.open(path) as animation:
        assert animation.size == (30, 20) and animation.info["loop"] == 0
        enlarged = np.asarray(Image.fromarray(small).resize((30, 20), Image.Resampling.BICUBIC)) / 255
        assert np.abs(images.load(animation) - enlarged).mean() < 0.12  # the first; palettes of GIF lose the most
    assert durations(path) == [3000, 3000, 3000, 1000] and list(tmp_path.iterdir()) == [path]
    images.save_animation((small,), path, seconds=9)
    assert images.load(path).shape == (10, 15, 3)


def test_durations_of_an_animation(tmp_path):
    images.save_animation([RGB, 255 - RGB], tmp_path / "a.webp", seconds=0)
    assert durations(tmp_path / "a.webp") == [1, 1000]
    images.save_animation([RGB, 255 - RGB], tmp_path / "a.webp", seconds=2)
    assert durations(tmp_path / "a.webp") == [2000, 1000]
    images.save_animation([RGB], tmp_path / "a.gif", seconds=9)
    assert durations(tmp_path / "a.gif") == [1000]


def test_bad_animations(tmp_path):
    with pytest.raises(ValueError, match="needs at least one picture"):
        images.save_animation([], tmp_path / "a.gif", 1)
    with pytest.raises(ValueError, match="seconds must be a number of at least 0, found -1"):
        images.save_animation([RGB], tmp_path / "a.gif", -1)
    with pytest.raises(ValueError, match=r"the suffix must be one of .gif, .webp, .png, found '.jpg'"):
        images.save_animation([RGB], tmp_path / "a.jpg", 1)
    with pytest.raises(ValueError, match="must be uint8"):
        images.save_animation([RGB / 255, RGB], tmp_path / "a.gif", 1)


def test_check_output(tmp_path):
    for name in ("a.png", "a.PNG"):
        assert images.check_output(tmp_path / name) == images.check_output(str(tmp_path / name)) == tmp_path / name
    (tmp_path / "a.png").touch()
    assert images.check_output(tmp_path / "a.png") == tmp_path / "a.png"
    assert images.check_output(tmp_path / "a.csv", (".csv",)) == tmp_path / "a.csv"
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@posix
@pytest.mark.parametrize(
    "name, error, message",
    [
        ("a.txt", ValueError, "the suffix must be one of .png, .jpg, .* found '.txt'"),
        ("a", ValueError, "the suffix must be one of .png, .jpg, .* found ''"),
        ("a.h5", ValueError, "the suffix must be one of"),  # Pillow registers a writer that always fails
        ("nowhere/a.png", FileNotFoundError, "the folder .*nowhere does not exist; create it first"),
        ("file/a.png", FileNotFoundError, "the folder .*file does not exist"),
        ("folder.png", ValueError, "it is a folder"),
        ("pipe.png", ValueError, "it is not a regular file"),
        ("x" * 300 + ".png", ValueError, "File name too long"),
    ],
)
def test_paths_that_cannot_be_written(tmp_path, name, error, message):
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(error, match=f"cannot write .*{re.escape(name)}: {message}"):
        images.check_output(tmp_path / name)


def test_what_is_no_file_is_not_replaced(tmp_path):
    """As root, /dev/null could be."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to("pipe")
    for name, message in (("folder", "a folder"), ("pipe", "not a regular file"), ("link", "not a regular file")):
        before = (tmp_path / name).lstat()
        with pytest.raises(ValueError, match=f"^cannot write .*{name}: it is {message}$"):
            images.write_text(tmp_path / name, "text")
        assert (tmp_path / name).lstat() == before
    assert len(list(tmp_path.iterdir())) == 3


def test_check_output_of_given_suffixes(tmp_path):
    with pytest.raises(ValueError, match=r"the suffix must be one of .csv, .png, found '.jpg'"):
        images.check_output(tmp_path / "a.jpg", (".csv", ".png"))


def test_permissions(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != tmp_path)  # whoever runs the tests: root may all
    with pytest.raises(ValueError, match="no permission to write in"):
        images.check_output(path)
    monkeypatch.setattr(os, "access", lambda p, mode: Path(p) != path)
    assert images.check_output(path) == path
    path.touch()
    with pytest.raises(ValueError, match="the existing file is write-protected"):
        images.check_output(path)
    asked = []
    monkeypatch.setattr(os, "access", lambda p, mode: asked.append((Path(p), mode)) or True)
    images.check_output(path)
    assert asked == [(tmp_path, os.W_OK | os.X_OK), (path, os.W_OK)]


def test_an_input_is_not_overwritten(tmp_path, monkeypatch):
    path = tmp_path / "photograph.png"
    images.save(RGB, path)
    (tmp_path / "soft.png").symlink_to(path)
    os.link(path, tmp_path / "hard.png")
    monkeypatch.chdir(tmp_path)
    for output in (path, "photograph.png", "soft.png", "hard.png"):
        with pytest.raises(ValueError, match=r"it is the same file as the input .*photograph.png; choose another name"):
            images.check_output(output, inputs=[RGB, None, "other.png", path])
        with pytest.raises(ValueError, match=r"it is the same file as the input .*photograph.png; choose another name"):
            images.check_output(output, inputs=str(path))
    with pytest.raises(ValueError, match=r"it is the same file as the input ./new.png"):
        images.check_output("new.png", inputs=["./new.png"])  # it need not exist
    images.check_output("new.png", inputs=[path, RGB, "x" * 300])


@pytest.mark.parametrize(
    "suffixes, expected",
    [
        (images.ANIMATIONS, {".gif", ".webp", ".png"}),
        (images.PLOTS, {".png", ".svg", ".pdf"}),
        (images.TABLES_AND_PLOTS, {".csv", ".png", ".svg", ".pdf"}),
    ],
)
def test_suffixes(suffixes, expected):
    assert set(suffixes) == expected


def test_to_uint8_clips_and_rounds():
    assert images.to_uint8(np.ones(3)).dtype == np.uint8
    assert images.to_uint8(np.array([-0.5, 0, 0.5, 1, 7, 0.4 / 255, 0.6 / 255])).tolist() == [0, 0, 128, 255, 255, 0, 1]


# ICC profiles ---------------------------------------------------------------------------------------------------------

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# One in which red and blue are exchanged, their primaries and their curves: (1, 0, 0) is the blue of sRGB.
EXCHANGED = SRGB.replace(b"rXYZ", b"????").replace(b"bXYZ", b"rXYZ").replace(b"????", b"bXYZ")


@pytest.mark.parametrize("suffix", [".png", ".tif", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_colors_of_a_profile_are_converted(tmp_path, suffix, mode):
    pixels = images.to_uint8(np.random.default_rng(1).random((12, 16, 3)))
    original = Image.fromarray(pixels)
    if mode == "RGBA":
        original.putalpha(Image.fromarray(np.full(pixels.shape[:2], 255, np.uint8)))
    path = tmp_path / f"a{suffix}"
    original.save(path, icc_profile=EXCHANGED, lossless=True)
    assert np.abs(images.load(path) - pixels[..., ::-1] / 255).max() < 2.5 / 255
    original.save(path, icc_profile=SRGB, lossless=True)
    assert np.abs(images.load(path) - pixels / 255).max() < 1.5 / 255


def test_a_profile_keeps_the_transparency(tmp_path):
    original = Image.new("RGBA", (2, 1), (255, 0, 0, 0))
    original.putpixel((1, 0), (255, 0, 0, 255))
    original.save(tmp_path / "a.png", icc_profile=EXCHANGED)
    found = images.load(tmp_path / "a.png")
    assert np.allclose(found[0, 0], 1) and np.abs(found[0, 1] - [0, 0, 1]).max() < 3 / 255


@pytest.mark.parametrize("profile", [b"junk", SRGB[:200], b"\0" * 500])
def test_a_damaged_profile_says_nothing(tmp_path, profile):
    pixels = images.to_uint8(np.random.default_rng(1).random((12, 16, 3)))
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    said = r"a.png: its color profile is not used \(.*\); its colors are taken as sRGB$"
    with pytest.warns(RuntimeWarning, match=said):
        assert np.allclose(images.load(tmp_path / "a.png"), pixels / 255, atol=1e-6)
    with pytest.warns(RuntimeWarning, match=r"^an image: its color profile"):
        images.load(io.BytesIO((tmp_path / "a.png").read_bytes()))


def icc(space, tags, kind=b"mntr", connection=b"XYZ "):
    """An ICC profile of version 2, as the specification has it."""
    table, data, start = b"", b"", 132 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI4s4s4s", 128 + len(body), b"none", 0x02400000, kind, space, connection)
    head += struct.pack(">6H4s", 2000, 1, 1, 0, 0, 0, b"acsp")
    return (head.ljust(68, b"\0") + fixed(*D50)).ljust(128, b"\0") + body


def fixed(*numbers):
    return struct.pack(f">{len(numbers)}i", *(round(65_536 * x) for x in numbers))


def gamma(exponent):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent))


D50, D65 = (0.9642, 1, 0.8249), (0.9505, 1, 1.0891)
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
ADAPTED = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ D65)) @ BRADFORD  # from D65 to D50
P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_RGB = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
REC_709 = ((0.64, 0.33), (0.3, 0.6), (0.15, 0.06))


def to_xyz(primaries):
    """The matrix from linear RGB to XYZ, by the chromaticities of the primaries and white in D65."""
    columns = np.array([(x / y, 1, (1 - x - y) / y) for x, y in primaries]).T
    return columns * np.linalg.solve(columns, D65)


def encoded(linear):
    """The curve of sRGB."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("primaries, exponent", [(P3, 2.2), (ADOBE_RGB, 563 / 256)], ids=["P3", "Adobe RGB"])
def test_wide_gamuts_are_converted_by_their_primaries(tmp_path, primaries, exponent):
    matrix = to_xyz(primaries)
    columns = zip((b"rXYZ", b"gXYZ", b"bXYZ"), (ADAPTED @ matrix).T, strict=True)
    tags = {name: b"XYZ \0\0\0\0" + fixed(*column) for name, column in columns}
    profile = icc(b"RGB ", tags | {name: gamma(exponent) for name in (b"rTRC", b"gTRC", b"bTRC")})
    pixels = images.to_uint8(np.random.default_rng(2).random((30, 40, 3)))
    pixels[0, 0] = 0, 255, 0  # outside sRGB
    Image.fromarray(pixels).save(tmp_path / "a.png", icc_profile=profile)
    expected = encoded((pixels / 255) ** exponent @ (np.linalg.inv(to_xyz(REC_709)) @ matrix).T)
    assert np.abs(expected - pixels / 255).max() > 0.1
    assert np.abs(images.load(tmp_path / "a.png") - expected).max() < 3 / 255


GREY = icc(b"GRAY", {b"kTRC": gamma(1.8), b"wtpt": b"XYZ \0\0\0\0" + fixed(*D50)})


@pytest.mark.parametrize("mode", ["L", "LA"])
def test_grey_with_a_profile(tmp_path, mode):
    values = np.arange(256, dtype=np.uint8)[None]
    picture = Image.fromarray(values).convert(mode)
    if mode == "LA":
        picture.putalpha(Image.fromarray(np.where(values == 7, 0, 255).astype(np.uint8)))
    picture.save(tmp_path / "a.png", icc_profile=GREY)
    expected = encoded((values[0] / 255) ** 1.8)
    if mode == "LA":
        expected[7] = 1
    assert np.abs(images.load(tmp_path / "a.png")[0] - expected[:, None]).max() < 2 / 255
    picture.save(tmp_path / "a.png", icc_profile=SRGB)  # other programs leave it, where they remove the colors
    expected = values[0] / 255 if mode == "L" else np.where(values[0] == 7, 1, values[0] / 255)
    assert np.abs(images.load(tmp_path / "a.png")[0] - expected[:, None]).max() < 1.5 / 255


def test_cmyk_with_a_profile(tmp_path):
    """Four inks that are all grey, L* = 80, 60, 40 and 20, on paper with L* = 100; two of them are black."""
    lightness = {(): 100, (0,): 80, (1,): 60, (2,): 40, (3,): 20}
    corners = [tuple(np.flatnonzero(ink)) for ink in np.ndindex(2, 2, 2, 2)]
    table = bytes(v for inks in corners for v in (round(2.55 * lightness.get(inks, 0)), 128, 128))
    ramp = bytes(range(256))
    lut = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1) + 4 * ramp + table + 3 * ramp
    profile = icc(b"CMYK", {b"A2B0": lut}, kind=b"prtr", connection=b"Lab ")
    pixels = np.zeros((1, 5, 4), np.uint8)
    for k in range(4):
        pixels[0, k + 1, k] = 255
    Image.fromarray(pixels, "CMYK").save(tmp_path / "a.tif", icc_profile=profile)
    expected = encoded(((np.array(list(lightness.values())) + 16) / 116) ** 3)
    assert np.abs(images.load(tmp_path / "a.tif")[0] - expected[:, None]).max() < 3 / 255
    for mode, given in (("RGB", profile), ("RGB", GREY), ("CMYK", SRGB)):
        Image.new(mode, (3, 2)).save(tmp_path / "b.tif", icc_profile=given)
        with pytest.warns(RuntimeWarning, match=r"b.tif: .* not used \(it is for \w+, the image is \w+\)"):
            images.load(tmp_path / "b.tif")


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "tif", "avif"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_files_say_that_their_colors_are_srgb(tmp_path, suffix, dtype):
    if f".{suffix}" not in images.suffixes(16 if dtype == np.uint16 else 8):
        pytest.skip("no such files")
    path = tmp_path / f"a.{suffix}"
    images.save(RGB.astype(dtype), path)
    with Image.open(path) as picture:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(picture.info["icc_profile"])).profile
    assert profile.xcolor_space == "RGB " and "sRGB" in profile.profile_description
    assert np.abs(np.array(profile.red_primary[1]) - (0.648, 0.331, 0.2225)).max() < 1e-3  # 709's red, adapted to D50


def test_the_profile_does_not_say_when():
    assert images.srgb()[24:36] == struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a month and a day there must be
    assert images.srgb()[:24] == SRGB[:24] and images.srgb()[36:] == SRGB[36:]


# 16 bits --------------------------------------------------------------------------------------------------------------


def values_of(path):
    """The 16-bit values in a file: Pillow reads the upper byte of each, and, if told the other order, the lower one."""
    found = []
    for order in "BL":
        with Image.open(path) as picture:
            (tile,) = picture.tile
            *rest, args = tile
            raw, *others = args if isinstance(args, tuple) else (args,)
            raw = re.sub("16.$", f"16{order}", raw)
            changed = (*rest, (raw, *others) if isinstance(args, tuple) else raw)
            picture.tile = [getattr(tile, "_make", tuple)(changed)]  # a plain tuple before Pillow 11
            found.append(np.asarray(picture).astype(np.uint16))
    upper, lower = found if path.suffix == ".png" else reversed(found)  # TIFF: here in the order of the machine
    return 256 * upper + lower


@pytest.mark.parametrize("suffix", ["png", "tif", "TIFF"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_are_written(tmp_path, suffix, channels):
    path = tmp_path / f"a.{suffix}"
    values = np.random.default_rng(0).integers(0, 65_536, (37, 53, channels)).astype(np.uint16)
    images.save(values, path, "text")
    assert np.array_equal(values_of(path), values) and images.description(path) == "text"
    opacity = images.load_with_opacity(path)[1]
    assert opacity is None if channels == 3 else np.allclose(opacity, (values[..., 3] >> 8) / 255)
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    images.save(values, path)
    assert images.description(path) == "" and np.array_equal(values_of(path), values)


def test_16_bits_are_compressed(tmp_path):
    ramp = images.to_uint16(np.linspace(0, 1, 300 * 400 * 3).reshape(300, 400, 3))
    for suffix in ("png", "tif"):
        images.save(ramp, tmp_path / f"a.{suffix}")
        assert (tmp_path / f"a.{suffix}").stat().st_size < 0.1 * ramp.nbytes


def test_16_bits_elsewhere(tmp_path):
    for suffix in ("jpg", "webp", "gif"):
        with pytest.raises(ValueError, match=rf"the suffix must be one of .png, .tif, .tiff, found '.{suffix}'"):
            images.save(RGB.astype(np.uint16), tmp_path / f"a.{suffix}")
    for bits in (12, "16", None):
        with pytest.raises(ValueError, match=f"bits must be 8 or 16, found {bits!r}"):
            images.suffixes(bits)


def test_to_uint16_clips_and_rounds():
    found = images.to_uint16(np.array([-0.5, 0, 0.5, 1, 7, 0.4 / 65_535, 0.6 / 65_535], np.float32))
    assert found.dtype == np.uint16 and found.tolist() == [0, 0, 32_768, 65_535, 65_535, 0, 1]
    every = np.arange(65_536, dtype=np.uint16)
    assert np.array_equal(images.to_uint16((every / 65_535).astype(np.float32)), every)


# Transparency ---------------------------------------------------------------------------------------------------------

RGBA = np.dstack([RGB, np.random.default_rng(1).integers(0, 256, RGB.shape[:2]).astype(np.uint8)])


@pytest.mark.parametrize("suffix", ["png", "webp", "tif", "avif"])
def test_opacity_is_written_and_read(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if path.suffix not in images.suffixes():
        pytest.skip(f"this Pillow has no {suffix}")
    images.save(RGBA, path)
    image, opacity = images.load_with_opacity(path)
    assert opacity.shape == (20, 30) and np.abs(opacity - RGBA[..., 3] / 255).max() < 0.02
    assert np.array_equal(image, images.load(path))


def test_opacity_of_arrays_at_other_sizes():
    for source in (RGBA, RGBA / 255):
        image, opacity = images.load_with_opacity(source, 15, dtype=np.float64)
        assert image.shape == (10, 15, 3) and opacity.shape == (10, 15) and opacity.dtype == np.float64
        expected = images.load(np.ascontiguousarray(RGBA[..., 3]), 15)[..., 0]  # as a grey image
        assert np.allclose(opacity, expected, atol=1e-6)
    for opaque in (RGB, np.dstack([RGB, 0 * RGB[..., 0] + 255]), np.dstack([RGB / 255, np.ones((20, 30))])):
        assert images.load_with_opacity(opaque)[1] is None


@pytest.mark.parametrize("suffix", ["jpg", "gif", "bmp", "ppm"])
def test_formats_without_transparency(tmp_path, suffix):
    with pytest.warns(RuntimeWarning, match=rf"a.{suffix}: .{suffix} has no transparency, and the whole picture"):
        images.save(RGBA, tmp_path / f"a.{suffix}")
    images.save(RGB, tmp_path / f"b.{suffix}")
    assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()
