"""Hostile inputs, drawn by number: each works, or ends in one clear error of a documented type, in time and memory.

    python tests/fuzzing.py 20000                          # inputs, of all kinds
    python tests/fuzzing.py 500 --kind images --first 70   # numbers 70 to 569 of one kind

An input is determined by its kind and its number. A child process tries one after the other; what kills it, or takes
longer than `SECONDS`, or more than `MEMORY`, is a failure of that input, and another child goes on.
"""

import argparse
import collections
import contextlib
import doctest
import inspect
import io
import json
import linecache
import os
import signal
import struct
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zlib
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import h5py
import numpy as np
from drawing import MEAN, picture, public_functions, small_vgg
from PIL import Image

import nst_numpy
from nst_numpy import checkpoints, cli, exercises, images, masks, weights
from nst_numpy.settings import Settings
from nst_numpy.weights import formats

try:
    import resource
except ImportError:  # Windows
    resource = None

PACKAGE = str(Path(nst_numpy.__file__).parent)
SECONDS, MEMORY = 30, 8 << 30  # of address space, of which each thread reserves much
LONGEST = 1000  # characters of a message


# Judging --------------------------------------------------------------------------------------------------------------


def problem(error):
    """What is wrong with an error; nothing if it was raised on purpose, and says so in one line."""
    frame = traceback.extract_tb(error.__traceback__)[-1]
    if frame.filename in (__file__, "<example>"):  # a callback's own
        return ""
    if isinstance(error, OSError) and error.errno is not None:
        return ""
    if not isinstance(error, TypeError | ValueError | OSError):
        return f"a {type(error).__name__}"
    line = linecache.getline(frame.filename, frame.lineno).strip()
    if not frame.filename.startswith(PACKAGE):
        return f"raised in {os.path.basename(frame.filename)}"
    if not line.startswith("raise "):
        return f"raised by {line!r}"
    return unclear(str(error))


def unclear(message):
    return "" if message.strip() and "\n" not in message and len(message) <= LONGEST else "an unclear message"


def attempt(kind, number):
    """Try an input: "works", "error" or "fails", and what it was and what went wrong."""
    rng = np.random.default_rng([zlib.crc32(kind.encode()), number])
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        signal.alarm(5 * SECONDS)  # some need pictures painted before
        what, function = KINDS[kind][0](rng)
        signal.alarm(SECONDS)
        try:
            with warnings.catch_warnings(action="ignore"), np.errstate(all="ignore"):
                function()
            return "works", what
        except BaseException as error:
            words = f"{what}: {type(error).__name__}: {str(error)[:300]}"
            wrong = problem(error)
            return ("fails", f"{words} ({wrong})") if wrong else ("error", words)
        finally:
            signal.alarm(0)
            os.chdir("/")


# Mutations ------------------------------------------------------------------------------------------------------------


def one(rng, choices):
    return choices[rng.integers(len(choices))]


def mutated(rng, data):
    """Bytes flipped, cut off, doubled, left out, or set to extreme numbers; mostly near the beginning."""
    data = bytearray(data)
    for _ in range(rng.integers(0, 6)):
        at = int(rng.integers(min(len(data), one(rng, [40, 200, 1000, len(data)])) + 1))
        length = int(one(rng, [1, 2, 4, 8, 100]))
        piece = data[at : at + length]
        new = {
            "noise": rng.bytes(length),
            "cut": None,
            "doubled": piece * 2,
            "left out": b"",
            "flipped": bytes(byte ^ (1 << rng.integers(8)) for byte in piece),
            "extreme": one(rng, [b"\xff", b"\0", b"\x7f", b"\x80"]) * length,
            "number": struct.pack(one(rng, "<>") + one(rng, "HIQ"), one(rng, [0, 1, 255, 65_535, 40_000])),
        }
        put = new[one(rng, list(new))]
        data = data[:at] if put is None else data[:at] + put + data[at + len(piece) :]
    return bytes(data)


def plain(rng):
    """A value that JSON and TOML have, out of place."""
    return one(
        rng,
        [
            *(None, True, False, 0, 1, -1, 2, 7, 10**30, 0.5, -3.5, 1e308, 1e-310, float("nan"), float("inf")),
            *("", "x", "\n", "é" * 400, "a\0b", "../x", "no/such.png", "/dev/null", ".", "{"),
            *("conv1_1", "relu9_9", "vgg19-mini", "paper"),
            *([], [[]], [1], [-1, 2], ["x"], [None], {}, {"x": 1}, {"conv1_1": -1}, {"": ""}, [{}], ["x"] * 300),
        ],
    )


def edited(rng, tree):
    """A copy of nested lists and dicts in which some values are others, some are not there, and some are new."""
    tree = json.loads(json.dumps(tree))
    for _ in range(rng.integers(0, 4)):
        node = tree
        while True:
            keys = list(node) if isinstance(node, dict) else range(len(node))
            if not keys:
                break
            key = one(rng, list(keys))
            if not isinstance(node[key], dict | list) or rng.random() < 0.3:
                break
            node = node[key]
        change = rng.integers(5)
        if not keys or change == 0:
            node.update({one(rng, ["x", "", "name", "size"]): plain(rng)}) if isinstance(node, dict) else node.append(
                plain(rng)
            )
        elif change == 1:
            del node[key]
        else:
            node[key] = plain(rng)
    return tree


def deep(rng, text):
    """A text, sometimes with brackets that are nested too deeply for a parser."""
    at = int(rng.integers(len(text) + 1))
    return text if rng.random() < 0.95 else text[:at] + one(rng, ["[", '{"a":', "{a=", "("]) * 15_000 + text[at:]


def toml(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items() if v is not None) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(toml(v) for v in value if v is not None) + "]"
    return str(value).lower() if isinstance(value, bool | float) else json.dumps(value)


def toml_file(rng, tree):
    tree = edited(rng, tree)
    text = deep(rng, "\n".join(f"{json.dumps(k)} = {toml(v)}" for k, v in tree.items() if v is not None))
    data = text.encode(one(rng, ["utf-8"] * 9 + ["utf-16"]), "replace")
    Path("file.toml").write_bytes(mutated(rng, data) if rng.random() < 0.2 else data)
    return text[:300]


# Arguments ------------------------------------------------------------------------------------------------------------


class Anything:
    """An object that has nothing."""

    def __init__(self, *_, **__):
        pass


class Failing:
    """An array that can't be had."""

    def __array__(self, *_, **__):
        return 1 / 0


def values(rng):
    """What somebody may give by mistake, or on purpose."""
    shape = tuple(rng.integers(0, 5, rng.integers(0, 5)))
    return [
        None, True, False, 0, 1, -1, 2, 7, 10**30, -3.5, 0.5, 1e-310, 1e308, float("nan"), float("inf"), -float("inf"),
        1j, "", "x", "conv1_1", "relu9_9", "no/such/file.png", "a\0b", "é" * 400, ".", "/dev/null", b"bytes",
        Path("x.png"), Path("."), [], [[]], [1], [[1, 2], [3]], ["x"], [None], (1, 2), (), {}, {"x": 1},
        {"conv1_1": -1}, {1: "x"}, {"x"}, range(3), Anything, Anything(), lambda *a, **k: None, lambda *a, **k: 1 / 0,
        np, iter(()), io.BytesIO(b"x"), io.StringIO("x"), np.float32(3), np.int64(3), np.bool_(True), np.str_("x"),
        np.zeros(0), np.array(3.0), np.array("x"), np.array(None), rng.standard_normal(shape),
        rng.standard_normal(shape).astype(np.float16), rng.integers(0, 255, shape, np.uint8),
        rng.standard_normal(shape) > 0, 1j * rng.standard_normal(shape), np.full((8, 9, 3), np.nan),
        np.full((8, 9, 3), np.inf), np.zeros((8, 9, 3)), np.zeros((8, 9, 3), ">f8"), np.full((9, 8, 3), 1e30),
        np.zeros((8, 9, 4), np.uint8), np.zeros((300, 1)), np.zeros((1, 300, 3)), np.array(["a", "b"], object),
        np.ma.masked_array(np.ones((8, 9, 3)), True), np.matrix([[1.0, 2.0], [3.0, 4.0]]),
        np.array([(1, 2.0)], [("a", int), ("b", float)]), np.datetime64("2020-01-01"), np.zeros((2, 2), "M8[s]"),
        Image.new("RGB", (9, 8)), Image.new("1", (1, 1)), Image.new("I;16", (3, 3)), Failing(),
        nst_numpy.samples.portrait, nst_numpy,
    ]  # fmt: skip


@cache
def targets():
    """What is called: functions, and classes and methods, each with what makes its arguments."""
    network, image = small_vgg(dtype=np.float32), picture(1, 32, 32)
    made = {name: (function, partial(first_call, name, function)) for name, function in public_functions()}
    sizes = {"size": (16,), "steps": 0, "weights": network}
    result = nst_numpy.transfer(image, picture(2), progress=False, **sizes)
    point = {"content": image, "style": picture(2), "progress": False, "weights": network, "size": 16, "steps": 1}
    painting = {"every": 1, "tile": 16, "checkpoint": "a.h5", "seed": 1, "init": "noise", "style_weight": 3.0}
    painting |= {"content_layers": ["conv1_1"], "style_layers": {"conv1_1": 1.0}, "init_noise": 0.5, "tv_weight": 1.0}
    painting |= {"optimizer": "adam", "optimizer_options": {"beta1": 0.5}, "style_scale": 1.5, "convention": "paper"}
    painting |= {"keep_colors": "luminance", "style_blend": [1.0], "checkpoint_every": 0.0, "learning_rate": 0.1}
    masked = {"style_masks": [image[..., 0]], "content_masks": [image[..., 0]], "content_mask": image[..., 0]}
    for function in (nst_numpy.transfer, nst_numpy.texture, nst_numpy.reconstruct):
        takes = inspect.signature(function).parameters
        given = {name: value for name, value in (point | painting | masked).items() if name in takes}
        made[function.__name__] = (
            function,
            lambda given=given | ({"layer": "conv1_1"} if "layer" in takes else {}): given,
        )
    made |= {
        "VGG": (nst_numpy.VGG, lambda: {"convolutions": network.convolutions, "mean": MEAN, "scale": 0.1, "name": "x"}
                | {"pooling": "max", "padding": "zero", "backend": "plain", "threads": 1}),
        "VGG.features": (network.features, lambda: {"image": image, "layers": ["conv1_1"]}),
        "VGG.forward": (network.forward, lambda: {"image": image, "layers": ["conv1_1"]}),
        "Objective.from_images": (nst_numpy.Objective.from_images, lambda: {"network": network, "content": image}
                | {"style": picture(2)}),
        "Objective": (nst_numpy.Objective.from_images(network, image, picture(2)), lambda: {"x": image}),
        "Settings": (Settings, lambda: {name: getattr(result.settings, name) for name in vars(result.settings)
                                        if name not in ("optimizer_options", "learning_rate")}),
        "TransferResult.save": (result.save, lambda: {"path": "a.png", "bits": 16}),
        "TransferResult.save_losses": (result.save_losses, lambda: {"path": "a.csv"}),
        "TransferResult.save_animation": (result.save_animation, lambda: {"path": "a.gif", "seconds": 1.0}),
        "Checkpoint": (checkpoints.Checkpoint, lambda: {"path": "a.h5", "every": 1.0}
                       | {"settings": {"a": 1}, "inputs": {"a": image}}),
    }  # fmt: skip
    return made


@cache
def first_call(_, function):
    """The arguments with which the function is called first in its own example."""
    inner, found = inspect.unwrap(function), []
    example = doctest.DocTestFinder(recurse=False).find(function, "example", globs={})[0]
    globs = dict(vars(inspect.getmodule(inner)))

    def profile(frame, event, _):
        if event == "call" and frame.f_code is inner.__code__ and not found:
            found.append(dict(frame.f_locals))

    sys.setprofile(profile)
    try:
        # The files stay: the child's TMPDIR is removed at its end.
        kept = partial(tempfile.NamedTemporaryFile, delete=False)
        with (
            mock.patch.object(tempfile.TemporaryDirectory, "__exit__", lambda *_: None),
            mock.patch.object(tempfile, "NamedTemporaryFile", kept),
        ):
            for line in example.examples:
                with contextlib.suppress(Exception):
                    exec(compile(line.source, "<example>", "single"), globs)
                if found:
                    break
    finally:
        sys.setprofile(None)
    return found[0] if found else {}


def call(function, given):
    """Call with named arguments, as far as they can be."""
    positional, keywords = [], {}
    for name, parameter in inspect.signature(function).parameters.items():
        if name not in given:
            continue
        if parameter.kind == parameter.VAR_POSITIONAL:
            positional += given[name] if isinstance(given[name], list | tuple) else [given[name]]
        elif parameter.kind == parameter.VAR_KEYWORD:
            new = given[name] if isinstance(given[name], dict) else {}
            keywords |= {key: value for key, value in new.items() if isinstance(key, str)}
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD) and not keywords:
            positional.append(given[name])
        else:
            keywords[name] = given[name]
    result = function(*positional, **keywords)
    if inspect.isgenerator(result):
        for _ in zip(range(100), result, strict=False):
            pass


def arguments(rng):
    made = targets()
    while True:
        name = one(rng, list(made))
        function, base = made[name]
        given = dict(base())
        if given:
            break
    argument = one(rng, list(given))
    given[argument] = one(rng, values(rng))
    return f"{name}({argument}={given[argument]!r:.80})", partial(call, function, given)


# Images ---------------------------------------------------------------------------------------------------------------


def encoded(rng):
    """A small image in one of the formats, in one of its modes."""
    name = one(rng, [*images.FORMATS, "PNG", "TIFF", "JPEG2000", "ICO", "DDS", "TGA", "EPS"])
    modes = {
        "PNG": ["RGB", "RGBA", "P", "1", "L", "LA", "I;16"],
        "TIFF": ["RGB", "RGBA", "L", "CMYK", "LAB", "F", "I;16", "I", "1", "P", "YCbCr"],
        "JPEG": ["RGB", "L", "CMYK"],
        "PPM": ["RGB", "L", "1", "F"],
        "GIF": ["P", "L", "RGB"],
    }
    mode = one(rng, modes.get(name, ["RGB"]))
    height, width = rng.integers(1, 40, 2)
    if mode == "F":
        pixels = rng.random((height, width)).astype(np.float32) * one(rng, [1, 1, 255, np.nan, -1, 1e30])
        drawn = Image.fromarray(pixels)
    else:
        drawn = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
        drawn = drawn.convert("L").convert(mode) if mode in ("I;16", "I") else drawn
        drawn = drawn if drawn.mode == mode or mode == "LAB" else drawn.convert(mode)
    options = {}
    if name == "TIFF":
        options["compression"] = one(rng, [None, "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma"])
    if name in ("GIF", "WEBP", "TIFF") and rng.random() < 0.2:
        options |= {"save_all": True, "append_images": [drawn, drawn]}
    if name in ("PNG", "JPEG", "WEBP", "TIFF", "AVIF") and rng.random() < 0.4:
        exif = Image.Exif()
        exif[0x112], exif[0x10E] = int(rng.integers(0, 12)), "a description"
        options |= {"exif": mutated(rng, exif.tobytes()) if name != "TIFF" else exif}
        options |= {"icc_profile": mutated(rng, images.srgb())}
    file = io.BytesIO()
    with contextlib.suppress(Exception):  # not every format has every mode
        drawn.save(file, name, **options)
        return name, file.getvalue()
    drawn.convert("RGB").save(file, "PNG")
    return "PNG", file.getvalue()


def with_sums(data):
    """A PNG file whose chunks have right checksums."""
    made, at = data[:8], 8
    while at + 8 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        body = data[at + 4 : at + 8 + length]
        made += data[at : at + 4] + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return made


def bomb(rng):
    """A small file of a large image."""
    side = int(one(rng, [9_000, 13_000, 60_000, 2**31 - 1]))
    rows = zlib.compress(bytes(5_000_000), 9)
    chunk = [(b"IHDR", struct.pack(">IIBBBBB", side, side, one(rng, [1, 8, 16]), one(rng, [0, 2, 6]), 0, 0, 0))]
    chunk += [(b"IDAT", rows), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunk
    )


def odd_path(rng):
    """What is no file, or has a name that is none."""
    os.mkfifo("fifo.png")
    os.mkdir("folder.png")
    os.symlink("nowhere.png", "link.png")
    os.symlink("loop.png", "loop.png")
    Path("empty.png").touch()
    Path("closed.png").write_bytes(b"x")
    os.chmod("closed.png", 0)
    names = ["fifo", "folder", "link", "loop", "empty", "closed", "none", "a\0b", "é" * 300, "x" * 5000, "\udcff", "/"]
    names += ["fifo.png/x", "empty.png/x", ""]
    return f"{one(rng, names)}{one(rng, ['.png', '.png', '', '.png#ff0000'])}"


def check_loaded(found):
    pixels = found[0] if isinstance(found, tuple) else found
    if isinstance(pixels, np.ndarray):
        assert np.isfinite(pixels).all() and 0 <= pixels.min() <= pixels.max() <= 1, "values beyond 0–1"


def image_files(rng):
    chance = rng.random()
    if chance < 0.1:
        path, data = odd_path(rng), b""
        what = f"{path[:40]!r}"
    else:
        name, data = ("a bomb", bomb(rng)) if chance < 0.12 else encoded(rng)
        if chance >= 0.12:
            data = mutated(rng, data)
            data = with_sums(data) if name == "PNG" and rng.random() < 0.7 else data
        path, what = f"a{one(rng, images.SUFFIXES)}", f"{name}, {len(data)} bytes"
        Path(path).write_bytes(data)
    use, function = one(
        rng,
        [
            ("load", lambda: images.load(path, 20)),
            ("load", lambda: images.load_with_opacity(path)),
            ("file object", lambda: images.load(io.BytesIO(data))),
            ("description", lambda: images.description(path)),
            ("mask", lambda: masks.load(path)),
            ("mask of a color", lambda: masks.load(f"{path}#ff0000")),
        ],
    )
    return f"{use} of {what}", lambda: check_loaded(function())


# Weights --------------------------------------------------------------------------------------------------------------


def arrays(rng):
    """An array that may be in a file in place of another."""
    shape = one(rng, [(), (0,), (3,), (4,), (3, 3, 3, 4), (3, 3, 4, 4), (4, 3, 3, 3), (1, 1, 3, 4), (2, 2)])
    drawn = rng.standard_normal(shape)
    return one(
        rng,
        [
            *(drawn.astype(kind) for kind in (np.float64, np.float32, np.float16, np.int8, bool, complex)),
            *(drawn * factor for factor in (np.nan, np.inf, 1e300, 1e38, 1e-310, 0)),
        ],
    )


def hdf5_files(rng):
    network = small_vgg(
        one(rng, ["vgg16", "vgg19"]), last=one(rng, ["conv1_1", "conv2_1", "conv3_1"]), dtype=np.float32
    )
    keras = rng.random() < 0.3
    memory = io.BytesIO()
    with h5py.File(memory, "w") as file:
        for layer, pair in network.convolutions.items():
            group = f"block{layer[4]}_conv{layer[6]}" if keras else layer
            for what, array in zip(("kernel", "bias"), pair, strict=True):
                file[f"{group}/{group}/{what}:0" if keras else f"{group}/{what}"] = array
        if not keras:
            file.attrs.update(format=formats.FORMAT, version=1, name="x", mean=MEAN, scale=0.1, source="x", licence="x")
            if rng.random() < 0.3:
                for layer, (_, bias) in network.convolutions.items():
                    file[f"{layer}/mean_response"] = np.ones(len(bias))
        for _ in range(rng.integers(0, 3) if rng.random() < 0.7 else 0):
            with contextlib.suppress(TypeError, ValueError, OSError, KeyError, RuntimeError):
                spoil_hdf5(rng, file)
    data = memory.getvalue()
    return mutated(rng, data) if rng.random() < 0.4 else data


def spoil_hdf5(rng, file):
    """Change something in an HDF5 file."""
    names = []
    file.visit(names.append)
    name = one(rng, names)
    attribute = one(rng, ["format", "version", "name", "mean", "scale", "source", "licence", "x"])
    new = one(rng, [arrays(rng), "x", b"\xff\xfe", 1, np.nan, h5py.Empty("f"), ["a", "b"], 10**15, "x" * 9000])
    change = rng.integers(9)
    if change < 3:
        file.attrs[attribute] = new
        return
    if change == 3 and attribute in file.attrs:
        del file.attrs[attribute]
        return
    del file[name]
    huge = h5py.h5s.UNLIMITED
    match change:
        case 4 | 5:
            file[name] = new
        case 6:
            file.create_dataset(
                name, (10**6, 10**6), one(rng, ["f4", "S9", h5py.string_dtype()]), maxshape=(huge, huge)
            )
        case 7:
            links = [h5py.ExternalLink("/dev/zero", "/"), h5py.SoftLink(name), h5py.SoftLink("/")]
            file[name] = one(rng, links)
        case 8:
            file[name] = np.zeros(3, [("a", "f4"), ("b", "S3")])


def mat_files(rng):
    from scipy.io import savemat

    network = small_vgg(last=one(rng, ["conv1_1", "conv2_1"]))
    layers = [
        {"name": layer, "type": "conv", "weights": np.array([*pair, None], object)[:2]}
        for layer, pair in network.convolutions.items()
    ]
    tree = {"layers": layers, "meta": {"normalization": {"averageImage": MEAN.reshape(1, 1, 3)}}}
    [tree, tree["meta"], tree["meta"]["normalization"], *layers]
    for _ in range(rng.integers(0, 3)):
        node = one(
            rng, [tree, one(rng, layers), tree["meta"], tree["meta"]["normalization"]] if "meta" in tree else [tree]
        )
        if node:
            node[one(rng, list(node))] = one(rng, [arrays(rng), "x", 1, np.nan, [], np.array([1, "x", None], object)])
        if not isinstance(tree.get("meta"), dict) or not isinstance(tree["meta"].get("normalization"), dict):
            break
    file = io.BytesIO()
    with contextlib.suppress(Exception):
        tree["layers"] = np.array(tree["layers"], object)
        savemat(file, tree, do_compression=bool(rng.random() < 0.5))
    return mutated(rng, file.getvalue()) if rng.random() < 0.5 else file.getvalue()


def states(rng):
    """Weights by the names that PyTorch has for them, some of them wrong."""
    network = small_vgg(last=one(rng, ["conv1_1", "conv2_1"]), dtype=np.float32)
    numbered = formats._torchvision_numbers(list(network.convolutions))
    state = {}
    for number, (kernel, bias) in zip(numbered, network.convolutions.values(), strict=True):
        state[f"features.{number}.weight"] = np.ascontiguousarray(kernel.transpose(3, 2, 0, 1))
        state[f"features.{number}.bias"] = bias
    for _ in range(rng.integers(0, 3)):
        state[one(rng, [*state, "x", "classifier.0.weight", "features.99.weight"])] = np.asarray(arrays(rng))
    return state


def safetensors_files(rng):
    from safetensors.numpy import save

    state = {n: a for n, a in states(rng).items() if a.dtype.kind != "c"}
    data = save({n: np.ascontiguousarray(a) for n, a in state.items()})
    if rng.random() < 0.6:
        return mutated(rng, data) if rng.random() < 0.5 else data
    length = int.from_bytes(data[:8], "little")
    head = edited(rng, json.loads(data[8 : 8 + length]))
    tensor = one(rng, [v for v in head.values() if isinstance(v, dict)] or [{}])
    tensor["dtype"] = one(rng, ["F32", "F16", "BF16", "F8_E4M3", "I64", "BOOL", "X", "F4"])
    head = json.dumps(head).encode()
    return len(head).to_bytes(8, "little") + head + data[8 + length :]


def torch_files(rng):
    import torch

    state = {name: torch.from_numpy(np.array(array)) for name, array in states(rng).items()}
    if rng.random() < 0.5:
        name = one(rng, list(state))
        drawn = torch.zeros(4, 3, 3, 3)
        odd = [drawn.to_sparse(), drawn.to("meta"), drawn.to(torch.bfloat16), drawn.to(torch.float8_e4m3fn)]
        odd += [torch.zeros(1).expand(4, 3, 30_000, 30_000), None, "x", 1, [drawn], {"x": drawn}, drawn.conj()]
        odd += [torch.quantize_per_tensor(drawn, 0.1, 0, torch.qint8), drawn.requires_grad_(), -drawn.to(torch.cfloat)]
        state[one(rng, [name, name, 7, "x"])] = one(rng, odd)
    state = one(rng, [state] * 9 + [list(state.values()), torch.nn.Linear(2, 2), print])
    file = io.BytesIO()
    torch.save(state, file, _use_new_zipfile_serialization=bool(rng.random() < 0.7))
    return mutated(rng, file.getvalue()) if rng.random() < 0.5 else file.getvalue()


def weight_files(make, rng):
    Path("a.h5").write_bytes(make(rng))
    path = "a.h5" if rng.random() < 0.97 else odd_path(rng)

    def load():
        network = weights.load(path, normalize=bool(rng.random() < 0.5), backend="plain")
        assert all(np.isfinite(array).all() for pair in network.convolutions.values() for array in pair)

    use, function = one(
        rng,
        [
            ("load", load),
            ("load", load),
            ("summary", lambda: weights.summary(path)),
            ("convert", lambda: weights.convert(path, "b.h5")),
        ],
    )
    return use, function


# Checkpoints, records, texts ------------------------------------------------------------------------------------------


@cache
def kept_run():
    """The arrays of a checkpoint, and what it was written with."""
    network, given = small_vgg(dtype=np.float32), {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "a.h5")
        options = {"size": (16,), "weights": network, "progress": False, "checkpoint": path, "checkpoint_every": 0}
        for steps in (1, 3):
            path.unlink(missing_ok=True)

            def stop(step, *_):
                if step == 2:
                    raise KeyboardInterrupt

            with warnings.catch_warnings(action="ignore"):
                callback = stop if steps == 3 else None
                nst_numpy.transfer(picture(1), picture(2), steps=steps, callback=callback, **options)
            given[steps] = checkpoints.read(path), path.read_bytes()
    return network, given


def checkpoint_files(rng):
    network, given = kept_run()
    steps = int(one(rng, [1, 3]))
    found, data = given[steps]
    found = dict(found)
    if rng.random() < 0.4:
        Path("a.h5").write_bytes(mutated(rng, data))
    else:
        for _ in range(rng.integers(1, 3)):
            # what an optimizer carries is taken as it is: the checksum vouches for it
            name = one(rng, [name for name in found if "carry" not in name])
            new = [arrays(rng), np.bytes_(b"x"), np.int64(-1), np.float64(np.nan), np.bytes_(b'{"a": [1]}'), None]
            if (value := one(rng, new)) is None:
                del found[name]
            else:
                found[one(rng, [name, name, name, f"{name}/x", "x"])] = np.asarray(value)
        with contextlib.suppress(ValueError, OSError, TypeError):  # HDF5 may refuse it
            checkpoints.write(Path("a.h5"), found)
    options = {"size": (16,), "weights": network, "progress": False, "steps": steps}
    return f"{steps} steps", lambda: nst_numpy.transfer(picture(1), picture(2), checkpoint="a.h5", **options)


@cache
def painted():
    with tempfile.TemporaryDirectory() as folder:
        before = os.getcwd()
        os.chdir(folder)
        for name, seed in (("content.png", 1), ("style.png", 2)):
            images.save(images.to_uint8(picture(seed)), name)
        weights.save("net.h5", small_vgg(dtype=np.float32), source="x", licence="x")
        result = nst_numpy.transfer("content.png", "style.png", size=(16,), steps=0, weights="net.h5", progress=False)
        files = {name: Path(name).read_bytes() for name in ("content.png", "style.png", "net.h5")}
        os.chdir(before)
    return result.record, files


def record_files(rng):
    record, files = painted()
    for name, data in files.items():
        Path(name).write_bytes(data)
    text = deep(rng, json.dumps(edited(rng, record)))
    text = mutated(rng, text.encode()).decode("ascii", "replace") if rng.random() < 0.2 else text
    text = "".join(c for c in text if c.isascii() and c != "\0")[:60_000]
    images.save(images.to_uint8(picture(3)), "a.png", text)
    network = small_vgg(dtype=np.float32)
    use, function = one(
        rng,
        [
            ("again", lambda: nst_numpy.again("a.png", progress=False)),
            ("again", lambda: nst_numpy.again("a.png", progress=False, weights=network)),
            ("settings", lambda: command(["settings", "a.png"])),
            ("command", lambda: command(["again", "a.png", "--quiet", "-o", "b.png"])),
        ],
    )
    return f"{use} {text[:300]}", function


ASSIGNMENT = {
    "title": "Sheet", "seed": 1, "imports": ["numpy"], "seconds": 5, "megabytes": 2000,
    "exercise": [{"name": "gram", "points": 2, "required": True, "partial": {"transposed": 0.5}},
                 {"name": "relu_backward"}],
    "question": [{"title": "T", "text": "Why?", "points": 1}],
}  # fmt: skip
SETTINGS = {
    "size": [16], "steps": [0], "content_layers": ["conv1_1"], "style_layers": {"conv1_1": 1.0}, "seed": 1,
    "init": "noise",
    "content_weight": 1.0, "style_blend": [1], "optimizer": "adam", "optimizer_options": {"beta1": 0.5},
    "pooling": "max",
}  # fmt: skip
SWEEP = {
    "content": "content.png", "style": ["style.png"], "pairs": False, "names": "{content}_{number}",
    "grid": {"style_weight": [1.0]}, "settings": {"size": [16], "steps": 0, "weights": "net.h5"},
}  # fmt: skip


def toml_files(rng):
    _, files = painted()
    for name, data in files.items():
        Path(name).write_bytes(data)
    settings = ["transfer", "content.png", "style.png", "--settings", "file.toml", "-o", "a.png", "--weights", "net.h5"]
    kinds = [
        (ASSIGNMENT, lambda: exercises.load_assignment("file.toml")),
        (ASSIGNMENT, lambda: command(["exercise", "assignment", "file.toml", "-o", "out", "--for", one(rng, KITS)])),
        (SETTINGS, lambda: command([*settings, "--quiet"])),
        (SWEEP, lambda: command(["sweep", "file.toml", "-o", "out", "--quiet", "--workers", "1"])),
    ]
    tree, function = kinds[one(rng, [0, 0, 1, 2, 2, 3] if rng.random() < 0.3 else [0, 1, 2])]
    return toml_file(rng, tree), function


KITS = ["pytest", "nbgrader", "otter", "github"]


def sheets(rng):
    names = ["gram", "relu_backward"]
    if rng.random() < 0.5:
        path, text = "a.py", exercises.start(names).replace("raise NotImplementedError", "return F @ F.T")
    else:
        path, text = "a.ipynb", json.dumps(edited(rng, exercises.notebook(names)))
    text = deep(rng, text)
    Path(path).write_bytes(mutated(rng, text.encode()) if rng.random() < 0.7 else text.encode())
    return path, lambda: exercises.check_file(path, ["gram"], seconds=5, megabytes=2000)


# Command lines --------------------------------------------------------------------------------------------------------


def command(words):
    """Run a command; an error must be one line."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = cli.main(words)
        except SystemExit as end:
            code = end.code
    assert code in (0, 1, 2), f"exit code {code}"
    if code == 2:
        lines = [line for line in err.getvalue().splitlines() if "error" in line]
        assert len(lines) == 1 and lines[0].startswith("nst-numpy: error: "), err.getvalue()[-300:]
        assert not unclear(lines[0]), lines[0][:200]
        raise ValueError(lines[0])


@cache
def options():
    """The options of each command."""
    found = collections.defaultdict(set)
    for words in (["transfer"], ["texture"], ["reconstruct"], ["sweep"], ["again"], ["plot"]):
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            cli.main([*words, "--help"])
        found[words[0]] = sorted({w.strip(",]") for w in text.getvalue().split() if w.startswith("--")} - {"--help"})
    return found


def command_lines(rng):
    _, files = painted()
    for name, data in files.items():
        Path(name).write_bytes(data)
    words = [
        ["transfer", "content.png", "style.png", "--size", "16,", "--steps", "0", "--quiet", "-o", "a.png"],
        ["texture", "style.png", "--size", "16,", "--steps", "0", "--quiet", "-o", "a.png"],
        ["reconstruct", "content.png", "conv1_1", "--size", "16,", "--steps", "0", "--quiet", "-o", "a.png"],
        ["weights", "show", "net.h5"],
        ["weights", "convert", "net.h5", "b.h5"],
        ["weights", "verify", "vgg19-mini"],
        ["exercise", "start", "gram", "-o", "a.py"],
        ["exercise", "hint", "gram", "--step", "1"],
        ["exercise", "bug", "1", "--answer"],
        ["conventions"],
        ["settings", "content.png"],
        ["again", "content.png", "--quiet"],
    ]
    words = list(one(rng, words))
    texts = ["", "x", "0", "-1", "1", "2,3", "1e308", "nan", "inf", "é" * 300, "a=b", "conv1_1", "conv1_1:-1", ",", "."]
    texts += ["/dev/null", "content.png", "no/such.png", "a.txt", "vgg19-mini", "memory=-1", "%s", "{", "-", "16"]
    for _ in range(rng.integers(0, 3)):
        if words[0] in options() and rng.random() < 0.7:
            words.append(one(rng, options()[words[0]]))
            if rng.random() < 0.8:
                words.append(one(rng, texts))
        else:
            words[rng.integers(len(words))] = one(rng, texts)
    return " ".join(map(str, words))[:300], lambda: command([str(w) for w in words])


# Trying many ----------------------------------------------------------------------------------------------------------

KINDS = {  # what makes an input, and its share of all
    "arguments": (arguments, 8),
    "images": (image_files, 8),
    "weights, HDF5": (partial(weight_files, hdf5_files), 4),
    "weights, MatConvNet": (partial(weight_files, mat_files), 2),
    "weights, safetensors": (partial(weight_files, safetensors_files), 2),
    "weights, PyTorch": (partial(weight_files, torch_files), 2),
    "checkpoints": (checkpoint_files, 2),
    "records": (record_files, 3),
    "TOML": (toml_files, 3),
    "sheets": (sheets, 1),
    "command lines": (command_lines, 3),
}
NEEDS = {"weights, MatConvNet": "scipy", "weights, safetensors": "safetensors", "weights, PyTorch": "torch"}


def available():
    return [kind for kind in KINDS if kind not in NEEDS or find_spec(NEEDS[kind])]


def tried(inputs):
    """The kind, number, verdict and words of each of these inputs, tried in a process of its own."""
    inputs = list(inputs)
    one_thread = dict.fromkeys(("OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "OMP_NUM_THREADS"), "1")
    while inputs:
        with tempfile.TemporaryDirectory() as folder:
            process = subprocess.Popen(
                [sys.executable, __file__, "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=os.environ | one_thread | {"PYTHONPATH": os.path.dirname(PACKAGE), "TMPDIR": folder},
            )
            process.stdin.write(json.dumps(inputs))
            process.stdin.close()
            done = 0
            for line in process.stdout:
                yield *inputs[done], *json.loads(line)
                done += 1
            code = process.wait()
            process.stdout.close()
        if done < len(inputs):
            how = "no answer in time" if code == -signal.SIGALRM else f"the process ended with {code}"
            yield *inputs[done], "fails", how
        inputs = inputs[done + 1 :]


def child():
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    inputs = json.load(sys.stdin)
    signal.signal(signal.SIGALRM, signal.SIG_DFL)  # it ends the process, also within C
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, number in inputs:
        print(json.dumps(attempt(kind, number)), file=answers, flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=20_000)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--show", action="store_true", help="also what works, and the clear errors")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        return child()
    kinds = [asked.kind] if asked.kind else available()
    whole, began = sum(KINDS[kind][1] for kind in kinds), time.monotonic()
    counts = collections.Counter()
    for kind in kinds:
        share = -(-asked.count * KINDS[kind][1] // whole)
        for _, number, verdict, words in tried((kind, asked.first + k) for k in range(share)):
            counts[kind, verdict] += 1
            if verdict == "fails" or asked.show:
                print(f"{kind} {number}: {words}", flush=True)
    print(f"\n{'kind':24}{'tried':>8}{'works':>8}{'errors':>8}{'fails':>8}")
    for kind in [*kinds, "all"]:
        row = [sum(n for (k, v), n in counts.items() if kind in (k, "all") and v == verdict)
               for verdict in ("works", "error", "fails")]  # fmt: skip
        print(f"{kind:24}{sum(row):8}{row[0]:8}{row[1]:8}{row[2]:8}")
    print(f"{time.monotonic() - began:.0f} s")
    return int(any(verdict == "fails" for _, verdict in counts))


if __name__ == "__main__":
    sys.exit(main())
