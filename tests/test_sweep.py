"""Sweeps: every combination is painted once, from the right inputs, and a failure stays where it is."""

import csv
import importlib
import json
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from drawing import picture, size_of, small_vgg
from PIL import Image

import nst_numpy
from nst_numpy import conventions, images, records, sweep, transfer
from nst_numpy.cli import main
from nst_numpy.weights import save_weights

QUICK = {"size": (32,), "steps": 1, "weights": small_vgg()}


@pytest.fixture
def inputs(tmp_path):
    """Two photographs and two paintings in folders, with a file that is no image."""
    for k, kind in enumerate(("content", "style")):
        (tmp_path / kind).mkdir()
        for n in "ab":
            image = picture(2 * k + ord(n), 40, 48)
            images.save(images.to_uint8(image), tmp_path / kind / f"{n}.png")
        (tmp_path / kind / "notes.txt").write_text("no image")
    return tmp_path


@pytest.fixture
def swept(inputs, monkeypatch):
    """Sweep the folders in a thread of this process; what is painted is counted."""
    module, painted = importlib.import_module("nst_numpy.sweeping"), []
    real = module._painted

    def counted(*arguments):
        painted.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(module, "_painted", counted)

    def run(content="content", style="style", **keywords):
        with ThreadPoolExecutor(1) as executor:
            given = {"executor": executor, "progress": False, **QUICK, **keywords}
            return sweep(inputs / content, inputs / style, inputs / "out", **given)

    run.folder, run.painted = inputs, painted
    return run


def test_every_combination_once(swept):
    grid = {"style_weight": [10.0, 1000.0], "keep_colors": [None, "luminance"], "seed": [3]}
    cells = swept(grid=grid)
    motifs = [f"{content}_{style}" for content in "ab" for style in "ab"]
    values = [f"style_weight={w}_keep_colors={k}" for w in ("10.0", "1000.0") for k in ("None", "luminance")]
    names = [f"{motif}_{value}.png" for motif in motifs for value in values]
    assert [cell.path.name for cell in cells] == names and not any(cell.error for cell in cells)
    for cell in (cells[0], cells[7], cells[-1]):
        expected = transfer(cell.content, cell.style, progress=False, **QUICK, **cell.values)
        # Painted in another thread, where BLAS may round otherwise.
        assert np.abs(np.asarray(Image.open(cell.path), np.int16) - expected.image).max() <= 1
        for name in ("total", "content", "style", "tv"):
            assert np.isclose(cell.losses[name], expected.history[-1][name], rtol=1e-5)
        assert cell.seconds > 0 and records.read(cell.path) == expected.record
    rows = list(csv.DictReader((swept.folder / "out/table.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == names and rows[1]["keep_colors"] == "luminance" and rows[0]["seed"] == "3"
    assert float(rows[3]["total"]) == cells[3].losses["total"]
    assert size_of(swept.folder / "out/sheet.png")[0] > 3 * 200


def test_a_second_run_paints_what_is_new(swept):
    first = swept(grid={"style_weight": [10, 100]})
    assert len(swept.painted) == 8 and swept(grid={"style_weight": [10, 100]}) == first and len(swept.painted) == 8
    swept(grid={"style_weight": [10, 100, 1000]})
    assert len(swept.painted) == 12
    first[0].path.unlink()
    images.save(images.to_uint8(picture(9, 40, 48)), swept.folder / "content/b.png")
    swept(grid={"style_weight": [10, 100]})
    assert len(swept.painted) == 12 + 1 + 4, "one that is gone, and all of another photograph"
    (swept.folder / "out/results/a_a_style_weight=100.json").write_text("{")
    swept(grid={"style_weight": [10, 100]})
    assert len(swept.painted) == 18
    swept(grid={"style_weight": [10, 100]}, again=True)
    assert len(swept.painted) == 26


def test_files_behind_settings_are_noticed(swept):
    """The same name, another start image, or other weights; networks and arrays, too."""

    def painted(**keywords):
        before = len(swept.painted)
        swept(content="content/a.png", style="style/a.png", **keywords)
        return len(swept.painted) - before

    start, weights = swept.folder / "start.png", swept.folder / "w.h5"
    for seed in (1, 2):
        images.save(images.to_uint8(picture(seed, 40, 48)), start)
        assert [painted(init=start), painted(init=start)] == [1, 0]
        save_weights(weights, small_vgg(bias=seed), source="test", licence="none")
        assert [painted(weights=weights), painted(weights=weights)] == [1, 0]
        array = np.full((40, 48, 3), seed / 3)
        assert [painted(init=array), painted(init=array.copy())] == [1, 0]
        assert [painted(weights=small_vgg(bias=seed + 5)), painted(weights=small_vgg(bias=seed + 5))] == [1, 0]
    warmer = replace(conventions.get("nst_numpy"), pixel_scale=0.5)
    assert [painted(), painted(convention=warmer), painted(convention=warmer)] == [1, 1, 0]


def test_the_style_is_measured_once(swept, monkeypatch):
    """For each size; the pictures are those of `transfer` (test_every_combination_once)."""
    painting, measured = importlib.import_module("nst_numpy.painting"), []
    real = painting.style_grams

    def counted(network, styles, *arguments):
        measured.append(styles[0].shape)
        return real(network, styles, *arguments)

    monkeypatch.setattr(painting, "style_grams", counted)
    swept(style="style/a.png", size=(32, 40), weights="vgg19-mini", grid={"seed": [1, 2], "init_noise": [0.5]})
    assert len(swept.painted) == 4 and len(measured) == len(set(measured)) == 2


def test_another_version_paints_again(swept, monkeypatch):
    swept()
    monkeypatch.setattr(nst_numpy, "__version__", "99")
    swept()
    assert len(swept.painted) == 8


def test_a_failure_is_a_row(swept):
    (swept.folder / "content/b.png").write_bytes(b"no picture")
    cells = swept()
    assert [bool(cell.error) for cell in cells] == [False, False, True, True]
    assert "not an image in a known format" in cells[2].error and cells[2].losses == {} and not cells[2].path.exists()
    rows = list(csv.DictReader((swept.folder / "out/table.csv").read_text().splitlines()))
    assert rows[2]["error"] == cells[2].error and rows[2]["total"] == ""
    swept()
    assert len(swept.painted) == 6, "what failed is tried again"


def test_pairs(swept):
    cells = swept(pairs=True)
    assert [cell.path.stem for cell in cells] == ["a_a", "b_b"]
    with pytest.raises(ValueError, match="pairs need as many contents as styles, found 1 and 2"):
        swept(content="content/a.png", pairs=True)


def test_names(swept):
    first, *_ = swept(names="{number:02} {style} by/{content}")
    assert first.path.name == "01-a-by-a.png"
    with pytest.raises(ValueError, match=r"two pictures would have the name 'a'; use {number} in the names"):
        swept(names="{content}")
    with pytest.raises(ValueError, match="unknown field of the names 'contents'; did you mean content"):
        swept(names="{contents}")


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"content": "nowhere"}, "there is no content"),
        ({"content": "content/notes.txt", "style": "out2"}, "there is no style"),
        ({"stile_weight": 3}, "unknown setting 'stile_weight'; did you mean style_weight"),
        ({"grid": {"stile_weight": [3]}}, "unknown setting 'stile_weight'"),
        ({"grid": {"style_weight": 3}}, "the grid needs a list of values for style_weight, found 3"),
        ({"grid": {"style_weight": []}}, "the grid needs a list of values for style_weight"),
        ({"grid": {"keep_colors": "luminance"}}, "the grid needs a list of values for keep_colors"),
        ({"grid": {"seed": [1]}, "seed": 2}, "seed is in the grid and among the settings"),
        ({"grid": {"style_weight": [-1]}}, "style_weight must be a number of at least 0, found -1"),
        ({"workers": 0}, "workers must be a whole number of at least 1, found 0"),
    ],
)
def test_bad_input_is_refused_before_anything_is_painted(swept, keywords, words):
    with pytest.raises((ValueError, TypeError, FileNotFoundError), match=words):
        swept(**keywords)
    assert not swept.painted


def test_a_folder_without_images(swept):
    (swept.folder / "empty").mkdir()
    with pytest.raises(ValueError, match="no images among the contents"):
        swept(content="empty")


TOML = """
content = "content"
style = ["style/a.png"]
[grid]
style_weight = [10, 100]
[settings]
size = [32]
steps = 1
"""


def test_the_command(inputs, capsys, monkeypatch):
    (inputs / "mine.toml").write_text(TOML)
    monkeypatch.chdir("/")
    assert main(["sweep", str(inputs / "mine.toml"), "--workers", "2", "--quiet"]) == 0
    assert capsys.readouterr().out == f"wrote 4 pictures, table.csv and sheet.png to {inputs / 'mine'}\n"
    kept = json.loads((inputs / "mine/results/a_a_style_weight=10.json").read_text())
    assert kept["losses"]["total"] > 0 and len(list((inputs / "mine").glob("*.png"))) == 5
    (inputs / "content/b.png").write_bytes(b"")
    assert main(["sweep", str(inputs / "mine.toml"), "-o", str(inputs / "o"), "--workers", "1", "--quiet"]) == 1
    assert "b_a_style_weight=10.png: ValueError: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("content = ", "Invalid value"),
        ("contents = 3\n" + TOML, "unknown key of .* 'contents'; did you mean content"),
        (TOML.replace('content = "content"', ""), "needs content: an image, a folder, or a list of them"),
        (TOML.replace("steps", "stepps"), "unknown setting 'stepps'; did you mean steps"),
        (TOML + "names = '{number}'", r"names is no setting of a picture: write it above \[settings\]"),
    ],
)
def test_bad_files(inputs, capsys, text, words):
    (inputs / "mine.toml").write_text(text)
    assert main(["sweep", str(inputs / "mine.toml"), "--quiet"]) == 2
    assert re.search(words, capsys.readouterr().err)


def test_ctrl_c_says_how_to_go_on(inputs, capsys, monkeypatch):
    (inputs / "mine.toml").write_text(TOML)

    def stopped(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("nst_numpy.sweeping.sweep", stopped)
    assert main(["sweep", str(inputs / "mine.toml"), "--quiet"]) == 130
    assert capsys.readouterr().err == "nst-numpy: interrupted; the same command goes on where it stopped\n"


def test_workers_and_a_scheduler(inputs, capsys):
    (inputs / "mine.toml").write_text(TOML)
    assert main(["sweep", str(inputs / "mine.toml"), "--workers", "1", "--scheduler", "x"]) == 2
    assert "--workers is for this machine" in capsys.readouterr().err
