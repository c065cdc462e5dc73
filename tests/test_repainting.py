"""A picture painted again from itself: the same bytes, or what was changed; what is missing or another is named."""

import io
import json
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pytest
from drawing import size_of, small_vgg
from PIL import Image

import nst_numpy
from nst_numpy import images, memory, records, repainting, save_weights
from nst_numpy.cli import main
from nst_numpy.repainting import again, to_toml

QUICK = {"size": (20, 32), "steps": 2, "progress": False}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Images in a folder, a mask, and a network."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    rng = np.random.default_rng(0)
    for name in ("photos/me.png", "style.jpg", "other.png", "start.png"):
        Image.fromarray(rng.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(name)
    Image.fromarray(np.tile(np.arange(32) < 16, (32, 1))).save("left.png")
    network = small_vgg(dtype=np.float32)
    ones = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}  # saves measuring them
    save_weights("small.h5", network, source="test", licence="none", mean_responses=ones)
    return tmp_path


def everything():
    """A picture with all that there is to keep."""
    return nst_numpy.transfer(
        "photos/me.png",
        ["style.jpg", "other.png"],
        weights="small.h5",
        content_masks=["left.png", "left.png#000000"],
        style_masks=[None, "left.png"],
        content_mask="left.png",
        init="start.png",
        init_noise=0.1,
        seed=3,
        style_layers={"conv1_1": 0.5, "conv2_1": 2},
        content_layers="conv2_1",
        keep_colors="statistics",
        style_blend=[1, 2],
        style_scale=0.9,
        optimizer="adam",
        learning_rate=0.02,
        optimizer_options={"beta1": 0.8},
        **QUICK,
    )


def network(**options):
    return nst_numpy.load_weights("small.h5", **options)


PAINTINGS = {
    "everything": everything,
    "texture": lambda: nst_numpy.texture(["style.jpg", "other.png"], weights="small.h5", **QUICK),
    "reconstruction": lambda: nst_numpy.reconstruct("photos/me.png", "conv2_1", weights="small.h5", **QUICK),
    "network": lambda: nst_numpy.texture("style.jpg", weights=network(pooling="max", padding="circular"), **QUICK),
    "convention": lambda: nst_numpy.transfer(
        "photos/me.png", "style.jpg", convention="keras", weights="small.h5", content_layers="conv2_1", **QUICK
    ),
}


@pytest.mark.parametrize("name", PAINTINGS)
@pytest.mark.parametrize("file, bits", [("a.png", 8), ("a.tif", 16), ("a.jpg", 8), ("a.webp", 8)])
def test_without_changes_it_is_the_same_file(folder, name, file, bits):
    PAINTINGS[name]().save(file, bits=bits)
    again(file, progress=False).save(f"b{file}", bits=bits)
    again(f"b{file}", progress=False).save(f"c{file}", bits=bits)
    assert Path(file).read_bytes() == Path(f"b{file}").read_bytes() == Path(f"c{file}").read_bytes()


def test_from_another_folder(folder, monkeypatch, tmp_path_factory):
    """The files are found beside the picture, in their folders or all in one."""
    everything().save("a.png")
    expected = Path("a.png").read_bytes()
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(elsewhere)
    again(folder / "a.png", progress=False).save("b.png")
    assert Path("b.png").read_bytes() == expected
    for path in [*folder.glob("*.*"), folder / "photos/me.png"]:
        shutil.copy(path, elsewhere)
    shutil.rmtree(folder / "photos")
    monkeypatch.chdir(folder)
    again(elsewhere / "a.png", progress=False).save("b.png")
    assert Path("b.png").read_bytes() == expected


def test_no_path_of_the_author_is_kept(folder):
    given = {"weights": folder / "small.h5", "init": str(folder / "start.png"), "content_mask": folder / "left.png"}
    nst_numpy.transfer(folder / "photos/me.png", [str(folder / "style.jpg")], **given, **QUICK).save("a.png")
    text = images.description("a.png")
    assert str(folder) not in text and "photos" not in text
    record = json.loads(text)
    assert record["content"] == "me.png" and record["style"] == ["style.jpg"] and record["init"] == "start.png"
    assert record["weights"] == "small.h5" and record["content_mask"] == "left.png"
    nst_numpy.transfer("photos/me.png", "photos/../style.jpg", weights="small.h5", **QUICK).save("a.png")
    record = records.read("a.png")
    assert record["content"] == "photos/me.png" and record["style"] == ["style.jpg"]


def test_changes(folder):
    """The picture with a change is the one painted from the beginning with it."""
    given = {"weights": "small.h5", **QUICK}
    nst_numpy.transfer("photos/me.png", "style.jpg", **given, optimizer_options={"memory": 3}).save("a.png")
    for change in (
        {"seed": 1, "init": "noise"},
        {"style_weight": 3.0},
        {"size": 24, "steps": 1},
        {"style": "other.png", "content": "start.png"},
        {"style": ["other.png", "style.jpg"], "style_blend": [1, 3]},
        {"content_mask": "left.png"},
        {"content_masks": "left.png", "style_masks": "left.png"},
    ):
        arguments = {"content": "photos/me.png", "style": "style.jpg", "optimizer_options": {"memory": 3}, **given}
        expected = nst_numpy.transfer(**{**arguments, **change})
        found = again("a.png", progress=False, **change)
        assert np.array_equal(found.pixels, expected.pixels), change
    found = again("a.png", progress=False, optimizer="adam", every=1)  # the memory is L-BFGS's
    expected = nst_numpy.transfer(**arguments | {"optimizer_options": None}, optimizer="adam")
    assert np.array_equal(found.image, expected.image)
    assert len(found.frames) == 5
    expected = nst_numpy.transfer(**arguments | {"weights": network(padding="circular")})
    assert np.array_equal(again("a.png", progress=False, padding="circular", threads=1).image, expected.image)
    found = again("a.png", progress=False, weights=network(padding="replicate"), padding="circular", threads=1)
    assert np.array_equal(found.image, expected.image)


@pytest.mark.parametrize("chosen", [None, 1])
def test_in_the_same_tiles(folder, monkeypatch, chosen):
    """Whatever the memory is now, they round as they did."""
    given = {"weights": "small.h5", "content_layers": "conv2_1", "style_layers": "conv1_1", **QUICK}
    monkeypatch.setattr(memory, "choose", lambda network, layers, shape, *_: 16 if max(shape) > 20 else chosen)
    first = nst_numpy.transfer("photos/me.png", "style.jpg", **given)
    assert first.record["tile"] == [chosen, 16]
    first.save("first.png")
    monkeypatch.setattr(memory, "choose", lambda *_: None)
    assert np.array_equal(again("first.png", progress=False).pixels, first.pixels)
    whole = nst_numpy.transfer("photos/me.png", "style.jpg", **given)
    assert "tile" not in whole.record and not np.array_equal(whole.pixels, first.pixels)
    assert again("first.png", progress=False, tile=8).record["tile"] == [8, 8]
    assert "tile" not in again("first.png", progress=False, size=24).record
    assert "tile" not in to_toml(records.read("first.png"))


@pytest.mark.parametrize("tiles", [[8], [8, 8, 8], [], [8, 0], [8, True], [8, 8.0]])
def test_a_list_of_tiles_fits_the_sizes(folder, tiles):
    settings = nst_numpy.Settings(weights="small.h5", size=(20, 32), steps=0)
    with pytest.raises((TypeError, ValueError), match="tile"):
        nst_numpy.paint("photos/me.png", "style.jpg", settings, tile=tiles, progress=False)


def test_the_network_with_a_convention(folder):
    """`padding` of the convention is that of the picture; a checkpoint and a callback arrive."""
    nst_numpy.texture("style.jpg", weights="small.h5", **QUICK).save("a.png")
    seen = []
    found = again(
        "a.png", progress=False, checkpoint="run.h5", checkpoint_every=0, callback=lambda step, *_: seen.append(step)
    )
    assert seen == [0, 1, 2, 2, 3, 4] and Path("run.h5").exists()
    assert found.settings.weights.padding == "replicate"
    assert np.array_equal(found.image, images.to_uint8(images.load("a.png")))


def test_a_change_of_a_texture_or_a_reconstruction(folder):
    nst_numpy.texture("style.jpg", weights="small.h5", **QUICK).save("a.png")
    expected = nst_numpy.texture(["other.png", "style.jpg"], weights="small.h5", **QUICK)
    found = again("a.png", style=["other.png", "style.jpg"], progress=False)
    assert np.array_equal(found.image, expected.image) and "content" not in found.record
    nst_numpy.reconstruct("style.jpg", "conv2_1", weights="small.h5", **QUICK).save("a.png")
    expected = nst_numpy.reconstruct("other.png", "conv2_1", weights="small.h5", **QUICK)
    assert np.array_equal(again("a.png", content="other.png", progress=False).image, expected.image)


def refused(message, error=ValueError, **changes):
    with pytest.raises(error, match=message) as found:
        again("a.png", progress=False, **changes)
    assert "\n" not in str(found.value)


def test_other_files_are_refused(folder):
    everything().save("a.png")
    shutil.copy("style.jpg", "kept.jpg")
    shutil.copy("other.png", "style.jpg")
    refused("^style.jpg is not the style that a.png was painted from: .* the same, give --style style.jpg$")
    again("a.png", style=["style.jpg", "other.png"], progress=False)
    Path("style.jpg").unlink()
    refused("^there is no style.jpg, the style of a.png, beside it or here; give --style", FileNotFoundError)
    shutil.copy("kept.jpg", "style.jpg")
    shutil.copy("left.png", "mask.png")
    Image.open("left.png").convert("L").save("left.png")
    refused("^left.png is not the content_masks that .* give --content-masks left.png$")
    shutil.copy("mask.png", "left.png")
    shutil.copy("other.png", "start.png")
    refused("^start.png is not the init that a.png was painted from")
    again("a.png", init="start.png", progress=False)
    save_weights("small.h5", small_vgg(bias=0.5, dtype=np.float32), source="test", licence="none")
    refused("^the network small.h5 is not the one that a.png was painted with; .* give --weights small.h5", init="gray")
    again("a.png", init="gray", weights="small.h5", progress=False)


def test_images_that_were_no_files(folder):
    with open("photos/me.png", "rb") as file:
        nst_numpy.transfer(file, [Image.open("style.jpg")], weights="small.h5", **QUICK).save("a.png")
    refused(r"^a.png: its content, an image \(BufferedReader\), was no file; give --content$")
    refused(r"its style, an image \(JpegImageFile\), was no file; give --style$", content="photos/me.png")
    found = again("a.png", content="photos/me.png", style="style.jpg", progress=False)
    assert np.array_equal(found.image, images.to_uint8(images.load("a.png")))


DAMAGED = ('"content": 3', '"style": "a"', '"style": [["a"]]', '"style_masks": {}', '"sha256": 7', '"init": 3')


@pytest.mark.parametrize(
    "text",
    [
        "",
        "A CAMERA",
        "[1, 2]",
        '{"size": 512}',
        "{",
        *(f'{{"convention": "paper", {d}}}' for d in DAMAGED),
    ],
)
def test_pictures_of_others(folder, text):
    images.save(np.zeros((4, 4, 3), np.uint8), "a.png", text)
    refused("^a.png holds no settings: the PNG, JPEG, WebP, TIFF and AVIF files do that nst_numpy writes")


@pytest.mark.parametrize("digest", [None, "0" * 64])
def test_names_are_printed_in_one_line(folder, digest):
    with pytest.raises((ValueError, FileNotFoundError), match=r"a\\nb[^\n]*give --init$"):
        repainting._find("init", "a\nb", digest, Path("c.png"))


def test_bad_changes(folder):
    everything().save("a.png")
    refused("unknown setting 'sed'; did you mean seed?", sed=3)
    refused("unknown setting 'convention';", convention="paper")
    refused("style_weight must be a number", style_weight=-1)
    with pytest.raises(FileNotFoundError, match=r"there is no file nowhere.png"):
        again("nowhere.png")


def rewritten(**changes):
    record = {**records.read("a.png"), **changes}
    picture = np.asarray(Image.open("a.png"))
    images.save(picture, "a.png", json.dumps({name: value for name, value in record.items() if value is not None}))


def test_records_of_other_versions_and_of_interrupted_runs(folder):
    nst_numpy.transfer("photos/me.png", "style.jpg", weights="small.h5", **QUICK).save("a.png")
    rewritten(nst_numpy="0.0.1")
    with pytest.warns(RuntimeWarning, match=rf"^a.png was painted by nst_numpy 0.0.1, this is {nst_numpy.__version__}"):
        again("a.png", progress=False)
    rewritten(nst_numpy=nst_numpy.__version__, complete=False)
    with pytest.warns(RuntimeWarning, match=r"^a.png was interrupted as it was painted: the new picture is painted to"):
        again("a.png", progress=False)
    rewritten(complete=True, sha256={"style": ["0", "1"]})
    refused("its content, photos/me.png, has no checksum; give --content")
    rewritten(content=None)
    refused("a.png does not name its content image; give --content")


def test_an_input_is_not_overwritten(folder, tmp_path_factory, monkeypatch):
    result = everything()
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    for name in ("photos/me.png", "style.jpg", "other.png", "left.png", "start.png"):
        before = (folder / name).read_bytes()
        with pytest.raises(ValueError, match="it is the same file as the input"):
            result.save(folder / name)
        assert (folder / name).read_bytes() == before


def test_every_argument_arrives(folder, monkeypatch):
    everything().save("a.png")
    expected, seen = records.read("a.png"), {}

    def paint(**keywords):
        seen.update(keywords)
        return nst_numpy.texture("style.jpg", weights="small.h5", **QUICK)

    monkeypatch.setattr("nst_numpy.repainting.paint", paint)
    given = {"every": 3, "callback": print, "progress": False, "checkpoint": "run.h5", "checkpoint_every": 7.0}
    again("a.png", **given)
    assert {name: seen[name] for name in given} == given
    found = seen["settings"].to_dict()
    assert {name: found[name] for name in found if name not in ("weights", "init")} == {
        name: expected[name] for name in found if name not in ("weights", "init")
    }
    masks = {"content_masks": ["left.png", "left.png#000000"], "style_masks": [None, "left.png"]}
    masks["content_mask"] = "left.png"
    images_given = {"content": "photos/me.png", "style": ["style.jpg", "other.png"]}
    assert {name: seen[name] for name in (*masks, *images_given)} == {**masks, **images_given}
    given = {"content": "a", "style": "b", "content_masks": "c", "style_masks": "d", "content_mask": "e"}
    again("a.png", **given, init="noise", keep_colors="luminance")
    assert {name: seen[name] for name in given} == given
    assert seen["settings"].init == "noise" and seen["settings"].keep_colors == "luminance"


def test_a_record_that_is_too_long(folder):
    """The picture is not lost."""
    result = nst_numpy.texture("style.jpg", weights="small.h5", **QUICK)
    result.record["style"] = ["x" * 60_000]
    with pytest.warns(RuntimeWarning, match=r"^a.png can't be painted again from itself: .* takes 6.,... characters"):
        result.save("a.png")
    assert np.array_equal(np.asarray(Image.open("a.png")), result.image) and images.description("a.png") == ""


def test_what_the_sums_are(folder):
    """Those of sha256sum."""
    import hashlib

    nst_numpy.transfer(
        "photos/me.png", ["style.jpg"], content_masks=["left.png#ffffff"], weights="small.h5", **QUICK
    ).save("a.png")
    sums = records.read("a.png")["sha256"]
    for name, found in (("photos/me.png", sums["content"]), ("style.jpg", sums["style"][0])):
        assert hashlib.sha256(Path(name).read_bytes()).hexdigest() == found
    assert sums["content_masks"] == [hashlib.sha256(Path("left.png").read_bytes()).hexdigest()]
    assert sums["init"] is None and records.read("a.png")["nst_numpy"] == nst_numpy.__version__


# Pixels and opacity of a result ---------------------------------------------------------------------------------------


def cutout(opacity):
    pixels = np.random.default_rng(5).integers(0, 256, (32, 24, 3)).astype(np.uint8)
    return np.dstack([pixels, opacity.astype(np.uint8)])


def test_the_opacity_of_the_content_is_kept(folder):
    opacity = np.where(np.arange(24) < 12, 255, 0) * np.ones((32, 1))
    content = cutout(opacity)
    Image.fromarray(content).save("cutout.png")
    given = {"weights": "small.h5", **QUICK}
    result = nst_numpy.transfer("cutout.png", "style.jpg", **given)
    on_white = nst_numpy.transfer(images.load(content), "style.jpg", **given)
    assert np.array_equal(result.image, on_white.image) and on_white.opacity is None
    assert np.array_equal(result.opacity, opacity / 255)
    for name in ("a.png", "a.webp", "a.tif"):
        result.save(name)
        with Image.open(name) as picture:
            assert picture.mode == "RGBA" and np.array_equal(np.asarray(picture)[..., 3], opacity)
    result.save("deep.png", bits=16)
    with Image.open("deep.png") as picture:
        assert picture.mode == "RGBA" and np.array_equal(np.asarray(picture)[..., 3], opacity)
    with pytest.warns(RuntimeWarning, match=r"a.jpg: .jpg has no transparency"):
        result.save("a.jpg")
    shown = np.asarray(Image.open(io.BytesIO(result._repr_png_())))
    assert np.array_equal(shown, np.dstack([result.image, opacity]))
    smaller = nst_numpy.transfer(content, "style.jpg", **given | {"size": (16,)})
    assert smaller.opacity.shape == smaller.image.shape[:2] == (16, 12)
    circular = nst_numpy.transfer(content, "style.jpg", **given | {"weights": network(padding="circular")})
    assert circular.opacity.shape == circular.image.shape[:2]
    assert np.array_equal(nst_numpy.reconstruct(content, "conv2_1", **given).opacity, opacity / 255)
    assert nst_numpy.texture(content, **given).opacity is None
    assert nst_numpy.transfer("style.jpg", content, **given).opacity is None


def test_pixels_have_more_than_8_bits(folder):
    result = nst_numpy.transfer("photos/me.png", "style.jpg", weights="small.h5", **QUICK)
    assert result.pixels.dtype == np.float32 and result.pixels.min() >= 0 and result.pixels.max() <= 1
    assert np.array_equal(result.image, images.to_uint8(result.pixels)) and result.image is result.image
    off = 255 * result.pixels - result.image
    assert np.abs(off).max() <= 0.501 and np.abs(off).mean() > 0.1
    result.save("a.png", bits=16)
    with Image.open("a.png") as picture:
        assert np.array_equal(np.asarray(picture), images.to_uint16(result.pixels) >> 8)
    for path, bits, message in (
        ("a.jpg", 16, "one of .png, .tif, .tiff, found '.jpg'"),
        ("a.png", 10, "8 or 16, found"),
    ):
        with pytest.raises(ValueError, match=message):
            result.save(path, bits=bits)


# The commands ---------------------------------------------------------------------------------------------------------

SMALL = ["--weights", "small.h5", "--size", "20,32", "--steps", "2", "--quiet"]


def test_again(folder, capsys):
    everything().save("a.tif", bits=16)
    assert main(["again", "a.tif", "-o", "b.tif", "--bits", "16", "--quiet"]) == 0
    assert Path("a.tif").read_bytes() == Path("b.tif").read_bytes()
    for expected in ("a-again.png", "a-again-2.png"):
        assert main(["again", "a.tif", "--quiet"]) == 0
        assert capsys.readouterr().out.splitlines()[-1] == f"wrote {expected}"
    options = ["--style-weight", "7", "--style", "other.png", "style.jpg", "--content", "start.png", "--pooling", "max"]
    assert main(["again", "a.tif", "-o", "c.png", "--quiet", "--every", "1", *options]) == 0
    found = again("a.tif", style_weight=7.0, style=["other.png", "style.jpg"], content="start.png", pooling="max")
    assert np.array_equal(np.asarray(Image.open("c.png")), found.image)
    assert {size_of(path) for path in folder.glob("c_*.png")} == {(32, 32)}


@pytest.mark.parametrize(
    "output", ["a.png", "style.jpg", "photos/me.png", "other.png", "left.png", "start.png", "new.png"]
)
def test_again_overwrites_no_input(folder, capsys, monkeypatch, output):
    """Before it paints."""
    everything().save("a.png")
    shutil.copy("style.jpg", "new.png")
    monkeypatch.setattr("nst_numpy.repainting.paint", lambda *_, **__: pytest.fail("painted"))
    before = Path(output).read_bytes()
    assert main(["again", "a.png", "-o", output, "--style", "new.png", "other.png"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"nst-numpy: error: cannot write {output}: it is the same file as the input")
    assert said.count("\n") == 1 and Path(output).read_bytes() == before


def test_settings_are_toml(folder, capsys):
    everything().save("a.png")
    assert main(["settings", "a.png"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("# nst-numpy transfer photos/me.png style.jpg other.png --settings FILE\n")
    Path("a.toml").write_text(text)
    assert main(["transfer", "photos/me.png", "style.jpg", "other.png", "-o", "b.png", "--settings", "a.toml"]) == 0
    assert np.array_equal(np.asarray(Image.open("b.png")), np.asarray(Image.open("a.png")))
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()


@pytest.mark.parametrize(
    "name, words", [("texture", ["style.jpg", "other.png"]), ("reconstruct", ["style.jpg", "conv2_1"])]
)
def test_settings_of_the_other_commands(folder, capsys, name, words):
    blend = ["--style-blend", "1,2"] if name == "texture" else []
    assert main([name, *words, "-o", "a.png", *SMALL, *blend, "--padding", "circular", "--seed", "4"]) == 0
    capsys.readouterr()
    assert main(["settings", "a.png"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(f"# nst-numpy {name} {' '.join(words)} --settings FILE\n") and 'padding = "circular"' in text
    Path("a.toml").write_text(text.replace('weights = "small"', 'weights = "small.h5"'))
    assert main([name, *words, "-o", "b.png", "--settings", "a.toml", "--quiet"]) == 0
    assert np.array_equal(np.asarray(Image.open("b.png")), np.asarray(Image.open("a.png")))


def test_the_command_line_wins_and_paths_are_seen_from_the_file(folder):
    Path("photos/a.toml").write_text(
        'weights = "../small.h5"\nsize = 32\nsteps = 1\nseed = 7\ninit = "../start.png"\ncontent_mask = "../left.png"\n'
        'content_masks = ["-"]\nstyle_weight = 5\npooling = "max"\n'
    )
    assert (
        main(["transfer", "photos/me.png", "style.jpg", "-o", "a.png", "--settings", "photos/a.toml", "--seed", "8"])
        == 0
    )
    record = records.read("a.png")
    assert record["seed"] == 8 and record["style_weight"] == 5 and record["pooling"] == "max"
    assert record["content_masks"] == [None] and record["init"] == "start.png" and record["size"] == 32
    again("a.png", progress=False)


@pytest.mark.parametrize(
    "text, message",
    [
        ("sed = 3", "unknown key of a.toml 'sed'; did you mean seed? there are convention, "),
        ("content = 'a.png'", "unknown key of a.toml 'content';"),
        ("seed = ", "a.toml: Invalid value (at end of document)"),
        ("seed = 'a'", "seed must be a whole number of at least 0, found 'a'"),
        ("size = [32, 20]", "sizes must go from small to large, found 32, 20"),
        ("style_layers = 3", "style_layers must be names of layers, or names with weights, found 3"),
        ("content_mask = 3", "content_mask: an image must be a path, "),
        ("content_mask = 'none.png'", "there is no file none.png"),
        ("pooling = 'mean'", "unknown pooling 'mean'; "),
        ("convention = 3", "convention must be"),
    ],
)
def test_bad_settings_files(folder, capsys, text, message):
    Path("a.toml").write_text(text)
    given = [] if "size" in text else ["--size", "20,32"]
    options = ["--weights", "small.h5", *given, "--settings", "a.toml", "--quiet"]
    assert main(["transfer", "photos/me.png", "style.jpg", "-o", "a.png", *options]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"nst-numpy: error: {message}") and said.count("\n") == 1, said
    assert not Path("a.png").exists()


def test_a_settings_file_that_cannot_be_read(folder, capsys):
    command = ["transfer", "photos/me.png", "style.jpg", "--settings"]
    Path("a.toml").write_bytes(b"\xff\xfe")
    for name, message in (
        ("none.toml", "No such file"),
        ("a.toml", "a.toml: 'utf-8' codec"),
        ("photos", "Is a direct"),
    ):
        assert main([*command, name]) == 2
        assert message in (said := capsys.readouterr().err) and said.count("\n") == 1


def test_toml_is_toml():
    record = {"content": "a", "style": ["b"], "init": 'ä "\\\x7f\n😀.png', "size": 3, "steps": [1], "seed": 1e-7}
    record |= {
        "style_layers": {"conv1_1": 0.5},
        "keep_colors": None,
        "style_masks": [None, "a"],
        "optimizer_options": {},
    }
    found = tomllib.loads(to_toml(record))
    kept = {name: record[name] for name in ("init", "size", "steps", "seed", "style_layers")}
    assert found == {**kept, "style_masks": ["-", "a"]}


def test_16_bits_and_opacity_on_the_command_line(folder, capsys):
    Image.fromarray(cutout(np.where(np.arange(24) < 12, 255, 0) * np.ones((32, 1)))).save("cutout.png")
    assert main(["transfer", "cutout.png", "style.jpg", "-o", "a.png", "--bits", "16", *SMALL]) == 0
    assert Path("a.png").read_bytes()[24:26] == bytes([16, 6])  # bits, and color with opacity
    assert main(["transfer", "cutout.png", "style.jpg", "-o", "a.jpg", *SMALL]) == 0
    assert "nst-numpy: warning: a.jpg: .jpg has no transparency" in capsys.readouterr().err
    assert main(["transfer", "cutout.png", "style.jpg", "-o", "b.jpg", "--bits", "16", *SMALL]) == 2
    assert "cannot write b.jpg: the suffix must be one of .png, .tif, .tiff" in capsys.readouterr().err
