"""The command line: pictures written, exit codes, and one line on standard error for bad input."""

import dataclasses
import hashlib
import inspect
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import h5py
import numpy as np
import pytest
from drawing import size_of, small_vgg
from PIL import Image

import nst_numpy
from nst_numpy import save_weights
from nst_numpy.cli import main
from nst_numpy.weights import registry


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for name in ("content.png", "style.jpg"):
        Image.fromarray(rng.integers(0, 256, (40, 50, 3)).astype(np.uint8)).save(name)
    network = small_vgg(dtype=np.float32)
    ones = {layer: np.ones(len(bias)) for layer, (_, bias) in network.convolutions.items()}  # saves measuring them
    save_weights("small.h5", network, source="test", licence="none", mean_responses=ones)
    return tmp_path


QUICK = ["--weights", "small.h5", "--size", "40", "--steps", "3"]
TRANSFER = ["transfer", "content.png", "style.jpg", "-o", "out.png", *QUICK]


def test_transfer(folder, capsys):
    assert main(TRANSFER) == 0
    assert capsys.readouterr().out == "wrote out.png\n"
    assert size_of("out.png") == (40, 32)


def test_options_reach_the_library(folder, monkeypatch):
    seen = {}

    def transfer(content, style, callback, **keywords):
        seen.update(keywords, content=content, style=style)
        return nst_numpy.transfer(content, style, weights="small.h5", size=32, steps=0, callback=callback)

    transfer.__signature__ = inspect.signature(nst_numpy.transfer)
    monkeypatch.setattr("nst_numpy.cli.painting.transfer", transfer)
    options = "--content-layers conv3_1 --style-layers conv1_1:0.5,conv2_1:2 --content-weight 2 --style-weight 3"
    options += " --tv-weight 4 --init noise --init-noise 0.5 --optimizer adam --learning-rate 0.1 --seed 7 --quiet"
    options += " --optimizer-options beta1=0.5,epsilon=1e-6 --style-scale 0.5 --size 40,50 --steps 3,1"
    options += " --convention keras --every 2 --style-blend 1,2.5 --keep-colors luminance"
    options += " --checkpoint run.h5 --checkpoint-every 0.5 --tile 96"
    files = ["content.png", "style.jpg", "content.png"]
    options += " --content-masks style.jpg#00ff00 - --style-masks - content.png --content-mask style.jpg"
    assert main(["transfer", *files, "-o", "out.png", "--weights", "small.h5", *options.split()]) == 0
    expected = {
        "content": "content.png",
        "style": ["style.jpg", "content.png"],
        "convention": "keras",
        "weights": "small.h5",
        "size": [40, 50],
        "steps": [3, 1],
        "content_layers": ["conv3_1"],
        "style_layers": {"conv1_1": 0.5, "conv2_1": 2.0},
        "content_weight": 2.0,
        "style_weight": 3.0,
        "tv_weight": 4.0,
        "style_blend": [1.0, 2.5],
        "keep_colors": "luminance",
        "init": "noise",
        "init_noise": 0.5,
        "optimizer": "adam",
        "learning_rate": 0.1,
        "optimizer_options": {"beta1": 0.5, "epsilon": 1e-6},
        "style_scale": 0.5,
        "seed": 7,
        "content_masks": ["style.jpg#00ff00", None],
        "style_masks": [None, "content.png"],
        "content_mask": "style.jpg",
        "every": 0,
        "progress": False,
        "checkpoint": Path("run.h5"),
        "checkpoint_every": 0.5,
        "tile": 96,
        "executor": None,
    }
    assert seen == expected
    assert seen.keys() | {"callback"} == inspect.signature(nst_numpy.transfer).parameters.keys()
    options = {"pooling": "max", "padding": "circular", "backend": "plain", "threads": 3}
    of_network = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    main([*TRANSFER, *of_network, "--convention", "neural-style"])
    network = seen["weights"]
    assert network.name == "small" and {name: getattr(network, name) for name in options} == options
    main([*TRANSFER, "--size", "48,"])
    assert seen["size"] == [48]


def test_every_command_takes_what_its_function_takes():
    for name in ("transfer", "texture", "reconstruct"):
        takes = inspect.signature(getattr(nst_numpy, name)).parameters.keys()
        text = subprocess.run(
            [sys.executable, "-m", "nst_numpy", name, "--help"], capture_output=True, text=True, check=True
        ).stdout
        options = {option.replace("-", "_") for option in re.findall(r"^  --([a-z-]+)", text, re.MULTILINE)}
        own = {"pooling", "padding", "backend", "threads", "animation", "losses", "quiet", "bits", "settings"}
        own |= {"scheduler"}
        assert options - own == takes - {"content", "style", "layer", "callback", "progress", "executor"}
        assert "examples:\n  nst-numpy " + name in text


def test_without_a_command_there_is_help(capsys):
    assert main([]) == 0
    assert "examples:" in capsys.readouterr().out


def test_the_picture_is_named_after_the_input(folder, capsys):
    for expected in ("content-style.png", "content-style-2.png"):
        assert main(["transfer", "content.png", "style.jpg", *QUICK]) == 0
        assert capsys.readouterr().out == f"wrote {expected}\n"
    assert main(["texture", "style.jpg", *QUICK]) == main(["reconstruct", "content.png", "conv2_1", *QUICK]) == 0
    assert capsys.readouterr().out == "wrote style-texture.png\nwrote content-conv2_1.png\n"


def test_a_picture_holds_its_settings(folder):
    assert main([*TRANSFER, "--style-weight", "7", "--seed", "3"]) == 0
    settings = json.loads(nst_numpy.images.description("out.png"))
    assert settings["style_weight"] == 7 and settings["seed"] == 3 and settings["weights"] == "small.h5"
    assert settings["convention"] == "nst_numpy" and settings["steps"] == [3] and settings["optimizer"] == "lbfgs"


def test_a_small_style_image_gives_a_warning_of_one_line(folder, capsys):
    assert main([*TRANSFER, "--size", "120", "--steps", "0"]) == 0
    said = capsys.readouterr()
    assert said.out == "wrote out.png\n"
    assert re.search(r"^nst-numpy: warning: the style image of 50×40 pixels is enlarged 2.4 times: .*$", said.err, re.M)


def test_pictures_on_the_way_animation_and_losses(folder, capsys):
    options = ["--every", "2", "--animation", "way.gif", "--losses", "losses.csv"]
    assert main([*TRANSFER, *options]) == 0
    said = capsys.readouterr().out
    assert said == "wrote out.png, way.gif, losses.csv; 2 on the way, out_0000.png to out_0002.png\n"
    assert {path.name for path in folder.glob("out*")} == {"out.png", "out_0000.png", "out_0002.png"}
    with Image.open("way.gif") as animation:
        assert animation.n_frames == 3  # steps 0 and 2, and the result
    assert main(["transfer", "content.png", "style.jpg", "-o", "b.png", *QUICK, "--size", "20,40", "--every", "1"]) == 0
    on_the_way = sorted(folder.glob("b_*"))
    assert [path.name for path in on_the_way] == [f"b_{step:04}.png" for step in range(7)]
    assert {size_of(path) for path in on_the_way} == {(40, 32)}
    assert len((folder / "losses.csv").read_text().splitlines()) == 5


def test_texture_and_reconstruct(folder, capsys):
    assert main(["texture", "style.jpg", "content.png", "-o", "a.png", "--style-blend", "1,3", *QUICK]) == 0
    assert main(["texture", "style.jpg", "-o", "a.png", "--style-blend", "2", *QUICK]) == 0
    assert main(["reconstruct", "content.png", "conv2_1,relu3_1", "-o", "b.png", *QUICK]) == 0
    assert capsys.readouterr().out == "wrote a.png\nwrote a.png\nwrote b.png\n"
    expected = nst_numpy.reconstruct("content.png", ["conv2_1", "conv3_1"], weights="small.h5", size=40, steps=3)
    assert np.array_equal(np.asarray(Image.open("b.png")), expected.image)


def test_regions(folder, capsys):
    """Files in order; without `--style-blend`; never overwritten; and the picture says that they were used."""
    for name, mask in (("left", np.arange(40) < 20), ("right", np.arange(40) >= 20)):
        Image.fromarray(np.tile(mask, (32, 1))).save(f"{name}.png")
    content = np.asarray(Image.open("content.png").convert("RGB").resize((40, 32)))
    Image.fromarray(content).save("small.png")
    files = ["transfer", "small.png", "style.jpg", "small.png"]
    regions = ["--content-masks", "left.png", "right.png#FFFFFF", "--style-masks", "-", "right.png"]
    assert main([*files, "-o", "out.png", *QUICK, *regions, "--content-mask", "left.png"]) == 0
    masks = {"content_masks": ["left.png", "right.png"], "style_masks": [None, "right.png"], "content_mask": "left.png"}
    quick = {"weights": "small.h5", "size": 40, "steps": 3, "progress": False}
    expected = nst_numpy.transfer("small.png", ["style.jpg", "small.png"], **masks, **quick)
    assert np.array_equal(np.asarray(Image.open("out.png")), expected.image)
    said = json.loads(nst_numpy.images.description("out.png"))
    assert said["content_masks"] == ["left.png", "right.png#FFFFFF"] and said["content_mask"] == "left.png"
    assert said["style_masks"] == [None, "right.png"] and said["size"] == 40
    assert main(["texture", "small.png", "--style-masks", "left.png", *QUICK]) == 0
    assert "small-texture.png" in capsys.readouterr().out
    for output in ("left.png", "right.png"):
        assert main([*files, "-o", output, *QUICK, *regions]) == 2
        assert f"it is the same file as the input {output}" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options, message",
    [
        ("--content-masks left.png", "content_masks must have one mask for each of 2 style images, found 1"),
        (
            "--content-masks left.png left.png left.png",
            "content_masks must have one mask for each of 2 style images, ",
        ),
        ("--style-blend 1,1 --style-masks -", "style_masks must have one mask for each of 2 style images, found 1"),
        ("--content-masks left.png none.png", "there is no file none.png"),
        ("--content-masks left.png text.png", "mask 2 of content_masks: cannot read text.png: not an image in a known"),
        ("--content-masks left.png black.png", "mask 2 of content_masks: the mask is all black, and a region is white"),
        (
            "--content-masks left.png left.png#0000ff",
            "mask 2 of content_masks: no pixel has the color #0000ff; left",
        ),
        (
            "--content-masks left.png left.png#red",
            "a color must be six hexadecimal digits, as in mask.png#ff0000, found",
        ),
        (
            "--content-masks tall.png left.png",
            "mask 1 of content_masks: a mask of 40×80 pixels for an image of 40×3",
        ),
        (
            "--style-blend 1,1 --style-masks tall.png -",
            "mask 1 of style_masks: a mask of 40×80 pixels for an image of ",
        ),
        (
            "--style-blend 1,1 --content-mask tall.png",
            "content_mask: a mask of 40×80 pixels for an image of 40×32; t",
        ),
        (
            "--content-masks left.png dot.png",
            "mask 2 of content_masks: at 40×32 pixels its region is smaller than one position of conv3_1, 4×4 pixels; ",
        ),
        (
            "--style-blend 1,1 --content-mask dot.png",
            "content_mask: at 40×32 pixels its region is smaller than one ",
        ),
        (
            "--style-blend 1,1 --style-masks - edge.png",
            "mask 2 of style_masks: its region is in the edges of the image, 3%, that are left out",
        ),
    ],
)
def test_bad_masks_give_one_line(folder, capsys, options, message):
    drawn = {"left": np.arange(40) < 20, "black": np.zeros(40, bool)}
    for name, mask in drawn.items():
        Image.fromarray(np.tile(mask, (32, 1))).save(f"{name}.png")
    Image.fromarray(np.ones((80, 40), bool)).save("tall.png")
    for name, place in (("dot", np.s_[9:11, 9:11]), ("edge", np.s_[:1])):
        mask = np.zeros((32, 40), bool)
        mask[place] = True
        Image.fromarray(mask).save(f"{name}.png")
    Path("text.png").write_text("no image")
    Image.fromarray(np.full((32, 40, 3), 99, np.uint8)).save("small.png")
    assert main(["transfer", "small.png", "style.jpg", "small.png", "-o", "out.png", *QUICK, *options.split()]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"nst-numpy: error: {message}") and said.count("\n") == 1, said
    assert not Path("out.png").exists()


def test_plots(folder, capsys):
    for words in (
        "features content.png conv2_1",
        "gram-matrices content.png conv1_1,conv3_1",
        "gradients content.png style.jpg",
    ):
        assert main(["plot", *words.split(), "--weights", "small.h5", "--size", "40", "-o", "plot.png"]) == 0
        assert capsys.readouterr().out == "wrote plot.png\n"
        assert np.asarray(Image.open("plot.png").convert("L")).std() > 10
        os.remove("plot.png")


def test_conventions(capsys):
    assert main(["conventions", "list"]) == 0
    assert {line.split()[0] for line in capsys.readouterr().out.splitlines()[1:]} == set(
        nst_numpy.conventions.CONVENTIONS
    )
    assert main(["conventions", "show", "keras"]) == 0
    said = capsys.readouterr().out
    assert "style term: Σ (G − A)² / 36S²" in said and "content weight: 2.5e-08" in said
    assert main(["conventions", "convert", "paper", "cs231n", "--style-layers", "conv2_1:0.5", "--shape", "64,48"]) == 0
    expected = nst_numpy.conventions.convert("paper", "cs231n", style_layers={"conv2_1": 0.5}, shape=(64, 48))
    said = dict(line.split() for line in capsys.readouterr().out.splitlines())
    assert said.keys() == {"--" + name.replace("_", "-") for name in expected}
    assert float(said["--style-weight"]) == float(f"{expected['style_weight']:.15g}")


def test_demo_makes_its_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    quick = {"weights": small_vgg(dtype=np.float32), "size": 32, "steps": 1, "progress": False}
    monkeypatch.setattr("nst_numpy.cli.painting.transfer", lambda *images, **_: nst_numpy.transfer(*images, **quick))
    assert main(["demo"]) == 0
    assert capsys.readouterr().out == "wrote out/demo.png\n"
    assert size_of("out/demo.png") == (27, 32)


def test_version(capsys):
    with pytest.raises(SystemExit, match="0"):
        main(["--version"])
    assert capsys.readouterr().out == f"nst_numpy {nst_numpy.__version__}\n"


def test_module_is_the_command():
    run = subprocess.run([sys.executable, "-m", "nst_numpy", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"nst_numpy {nst_numpy.__version__}\n"


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["tranfer"], "invalid choice: 'tranfer' (choose from 'transfer', "),
        (["tranfer"], "; did you mean transfer?"),
        (["transfer", "content.png"], "required: STYLE"),
        (["transfer", "content.png", "style.jpg", "-o", "content.png"], "content.png"),
        (["transfer", "content.png", "style.jpg", "-o", "style.jpg"], "style.jpg"),
        ([*TRANSFER, "--init", "small.png", "--losses", "style.jpg"], "style.jpg"),
        (
            ["transfer", "content.png", "style.jpg", "content.png", "-o", "out.png"],
            "2 style images: give their weights",
        ),
        ([*TRANSFER, "--losses", "out.png"], "it is the same file as"),
        ([*TRANSFER, "--animation", "a.png", "--losses", "a.png"], "it is the same file as"),
        (["reconstruct", "content.png", "conv2_1", "--content-layers", "conv1_1"], "unknown option '--content-layers'"),
        ([*TRANSFER, "--image-size", "40"], "unknown option '--image-size'; here it is --size"),
        ([*TRANSFER, "--num_iterations=3"], "here it is --steps"),
        ([*TRANSFER, "--original-colors", "1"], "here it is --keep-colors luminance"),
        ([*TRANSFER, "--scale", "2"], "unknown option '--scale'; here it is --size 256,512"),
        ([*TRANSFER, "--stile-weight", "2"], "unknown option '--stile-weight'; did you mean --style-weight?"),
        (["demo", "now"], "unexpected argument 'now'"),
        ([*TRANSFER, "--content-weight", "0", "--style-weight", "0", "--tv-weight", "0"], "nothing to paint"),
        ([*TRANSFER, "--optimizer-options", "memory"], "expected NAME=NUMBER,…, found 'memory'"),
        ([*TRANSFER, "--optimizer-options", "memry=3"], "did you mean memory?"),
        ([*TRANSFER, "--learning-rate", "0.1"], "lbfgs chooses the length of its steps itself"),
        (["transfer", "nowhere.png", "style.jpg", "-o", "out.png", *QUICK], "there is no file nowhere.png"),
        (["transfer", __file__, "style.jpg", "-o", "out.png", *QUICK], "test_cli.py: not an image"),
        (["transfer", "nowhere.png", "style.jpg", "-o", "out.txt"], "the suffix must be one of .png, .jpg"),
        (["transfer", "nowhere.png", "style.jpg", "-o", "nowhere/out.png"], "the folder nowhere does not exist"),
        ([*TRANSFER, "--size", "0"], "size must be a whole number of at least 1, found 0"),
        ([*TRANSFER, "--size", "big"], "argument --size: invalid int value: 'big'"),
        ([*TRANSFER, "--steps", "-3"], "steps must be a whole number of at least 0, found -3"),
        ([*TRANSFER, "--style-weight", "-1"], "style_weight must be a number of at least 0"),
        ([*TRANSFER, "--style-layers", "conv1_1,conv7_1"], "unknown layer 'conv7_1'; did you mean"),
        ([*TRANSFER, "--weights", "style.jpg"], "style.jpg is not a weight file"),
        ([*TRANSFER, "--optimizer", "adagrad"], "invalid choice: 'adagrad'"),
        ([*TRANSFER, "--style-layers", "conv1_1:a"], "expected LAYER,… or LAYER:WEIGHT,…, found 'conv1_1:a'"),
        ([*TRANSFER, "--style-blend", "1,2"], "style_blend must have one weight for each of 1 style images, found 2"),
        ([*TRANSFER, "--style-blend", "a"], "argument --style-blend: invalid float value: 'a'"),
        ([*TRANSFER, "--size", "20,,40"], "argument --size: invalid int value: '20,,40'"),
        ([*TRANSFER, "--init", "nois"], "unknown start 'nois'; did you mean noise?"),
        ([*TRANSFER, "--convention", "kers"], "unknown convention 'kers'; did you mean keras?"),
        ([*TRANSFER, "--animation", "way.mp4"], "one of .gif, .webp, .png, found '.mp4'"),
        ([*TRANSFER, "--losses", "losses.txt"], "one of .csv, .png, .svg, .pdf, found '.txt'"),
        (["conventions", "convert", "neural-style", "paper"], "paper can't do this: it has no total variation"),
        (["plot", "features", "content.png", "conv9", "-o", "a.png", "--weights", "small.h5"], "unknown layer 'conv9'"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(folder, capsys, arguments, message):
    try:
        code = main(arguments)
    except SystemExit as exit_:  # from the parser
        code = exit_.code
    captured = capsys.readouterr()
    lines = re.split(r"[\r\n]+", captured.err.strip())
    assert code == 2 and captured.out == "" and not (folder / "out.png").exists()
    assert len(lines) == 1 and lines[0].startswith("nst-numpy: error: ") and message in lines[0], captured.err


def test_a_loss_that_is_not_finite_writes_the_best_picture_and_exits_1(folder, capsys):
    assert main([*TRANSFER, "--tv-weight", "1e60", "--quiet"]) == 1
    assert (folder / "out.png").exists()
    error = capsys.readouterr().err.strip()
    assert error.startswith("nst-numpy: ") and "not finite" in error and "\n" not in error


@pytest.mark.parametrize("times", [1, 12])
def test_ctrl_c_writes_the_best_picture_and_exits_130(folder, times):
    command = [sys.executable, "-m", "nst_numpy", *TRANSFER, "--steps", "100000", "--size", "64"]
    # A shell that runs the tests in the background ignores Ctrl-C, and its children would, too.
    hear = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)} if os.name == "posix" else {}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, **hear)
    seen = b""
    deadline = time.monotonic() + 60
    while not re.search(rb"[1-9]\d*/100000", seen):  # the progress bar: it is running
        assert process.poll() is None and time.monotonic() < deadline, seen
        seen += process.stderr.read1()
    process.send_signal(signal.SIGINT)
    for _ in range(times - 1):
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    out, error = process.communicate(timeout=60)
    assert process.returncode == 130 and out == b"wrote out.png\n"
    assert b"interrupted; this is the best picture so far, after step" in error
    assert b"Traceback" not in error
    assert size_of("out.png") == (64, 51)


@pytest.mark.skipif(shutil.which("bash") is None, reason="completion is tried in bash, which is not installed")
@pytest.mark.parametrize(
    "typed, expected",
    [
        ("nst-numpy tr", "transfer "),
        ("nst-numpy transfer --style-b", "--style-blend "),
        ("nst-numpy transfer --keep-colors l", "luminance "),
    ],
)
def test_completion_in_bash(typed, expected):
    program = """
    eval "$(register-python-argcomplete nst-numpy)"
    COMP_WORDS=($1) COMP_LINE="$1" COMP_POINT=${#1} COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMP_TYPE=9
    _python_argcomplete nst-numpy "${COMP_WORDS[-1]}" ""
    printf %s "${COMPREPLY[@]}"
    """
    beside = {**os.environ, "PATH": os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]}
    found = subprocess.run(["bash", "-c", program, "bash", typed], env=beside, capture_output=True, text=True)
    assert found.stdout == expected, found.stderr


def test_output_that_nobody_reads_to_the_end():
    program = "from nst_numpy.cli import main; import sys; sys.exit(main())"
    command = f"{sys.executable} -c '{program}' weights list | head -1"
    found = subprocess.run(["sh", "-c", command], capture_output=True)
    assert found.stdout.startswith(b"vgg19-mini") and found.stderr == b""


def test_weights_list(capsys):
    assert main(["weights", "list"]) == 0
    said = capsys.readouterr().out
    assert "vgg19  (80 MB, Keras HDF5; " in said and "md5:253f8cb515780f3b799900260a226db6" in said


def test_weights_show(folder, capsys):
    assert main(["weights", "show", "small.h5", "-o", "filters.png"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("small: nst_numpy, ") and "licence: none" in lines
    first = next(line for line in lines if line.startswith("conv1_1"))
    network = nst_numpy.load_weights("small.h5", normalize=False)
    kernel, bias = network.convolutions["conv1_1"]
    shape, norm, lowest, highest = re.match(r"conv1_1 +(\S+) +(\S+) +(\S+) +…\s*(\S+)", first).groups()
    assert shape == "3×3×3×4" and np.isclose(float(norm), np.sqrt((kernel**2).sum()), rtol=1e-3)
    assert np.allclose([float(lowest), float(highest)], [bias.min(), bias.max()], rtol=1e-2)
    assert size_of("filters.png") == (56, 56)  # 2 × 2 filters, 24 pixels and a border each


def test_weights_verify(folder, capsys, monkeypatch):
    assert main(["weights", "verify", "small.h5"]) == 0
    assert "small.h5: readable, conv1_1 to conv5_4; it is not in the registry" in capsys.readouterr().out
    digest = hashlib.sha256((folder / "small.h5").read_bytes()).hexdigest()
    entry = dataclasses.replace(registry.REGISTRY["vgg19"], url="http://x/small.h5", size=0, hash=f"sha256:{digest}")
    monkeypatch.setitem(registry.REGISTRY, "vgg19", entry)
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(folder))
    assert main(["weights", "verify", "small.h5", "vgg19"]) == 0
    assert capsys.readouterr().out.count("it is vgg19, sha256:") == 2
    monkeypatch.setitem(registry.REGISTRY, "vgg19", dataclasses.replace(entry, hash="md5:123"))
    assert main(["weights", "verify", "vgg19"]) == 2
    error = capsys.readouterr().err
    assert re.fullmatch(
        r"nst-numpy: error: .*small\.h5 is not vgg19: expected md5 123, found \w{32}; delete it, .*\n", error
    )


def test_weights_convert_and_normalize(folder, capsys):
    with h5py.File("keras.h5", "w") as file:
        for layer, (kernel, bias) in small_vgg(dtype=np.float32).convolutions.items():
            group = file.create_group(f"block{layer[4]}_conv{layer[6]}")
            group["W"], group["b"] = kernel[:, :, ::-1] if layer == "conv1_1" else kernel, bias
    assert main(["weights", "convert", "keras.h5", "own.h5"]) == 0
    assert capsys.readouterr().out == "wrote own.h5: keras.h5 (Keras HDF5)\n"
    image = np.random.default_rng(0).random((40, 50, 3))
    plain = nst_numpy.load_weights("keras.h5", normalize=False, dtype=np.float64)
    own = nst_numpy.load_weights("own.h5", normalize=False, dtype=np.float64)
    layers = list(plain.convolutions)
    expected = plain.features(image, layers)
    for layer, a in own.features(image, layers).items():
        assert np.array_equal(a, expected[layer]), layer

    assert main(["weights", "normalize", "keras.h5", "content.png", "style.jpg", "-o", "normal.h5"]) == 0
    assert capsys.readouterr().out == "wrote normal.h5: keras.h5 (Keras HDF5), normalised on 2 images\n"
    normal = nst_numpy.load_weights("normal.h5", dtype=np.float64)  # no second normalisation
    over = [normal.features(path, layers) for path in ("content.png", "style.jpg")]
    for layer, a in normal.features(image, layers).items():
        alive = expected[layer].max(axis=(0, 1)) > 0
        ratio = a[..., alive].sum(axis=(0, 1)) / expected[layer][..., alive].sum(axis=(0, 1))
        assert np.allclose(a[..., alive], ratio * expected[layer][..., alive], rtol=1e-3, atol=1e-4), layer
        means = np.concatenate([found[layer].reshape(-1, a.shape[2]) for found in over]).mean(axis=0)
        usual = (means > 0.5) & (means < 2)  # the others are dead, or as good as dead, on these images
        assert usual.any() and np.allclose(means[usual], 1, rtol=1e-3), layer


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["show", "nowhere.h5"], "there is no weight file nowhere.h5"),
        (["show", "vgg91"], r"unknown weights 'vgg91'; did you mean vgg19\? there are vgg19-mini, .*"),
        (["show", "small.h5", "-o", "filters.txt"], ".*filters.txt.*"),
        (["verify", "content.png"], "content.png is not a weight file: expected HDF5 .*"),
        (["convert", "style.jpg", "own.h5"], "style.jpg is not a weight file: .*"),
        (
            ["convert", "small.h5", "nowhere/own.h5"],
            "cannot write nowhere/own.h5: the folder nowhere does not exist; .*",
        ),
        (["normalize", "small.h5", "small.h5", "-o", "own.h5"], ".*small.h5.*"),
    ],
)
def test_weights_with_bad_input(folder, capsys, arguments, message):
    assert main(["weights", *arguments]) == 2
    said = capsys.readouterr()
    assert re.fullmatch(f"nst-numpy: error: {message}\n", said.err) and said.out == ""
    assert sorted(p.name for p in folder.iterdir()) == ["content.png", "small.h5", "style.jpg"]
