"""The studio without its page: paintings in threads, looking inside, and the code that paints a picture again."""

import contextlib
import dataclasses
import hashlib
import shlex
import threading
import time
import types
import warnings

import numpy as np
import pytest
from drawing import picture, small_vgg
from PIL import Image

import nst_numpy
from nst_numpy import (
    Objective,
    Settings,
    cli,
    conventions,
    images,
    layers,
    memory,
    paint,
    reconstruct,
    stylize,
    texture,
)
from nst_numpy.backends import plain
from nst_numpy.inspection.receptive import units_that_see
from nst_numpy.studio import code, painter
from nst_numpy.studio.inside import Inside, look
from nst_numpy.studio.painter import Painter, Painting, needs
from nst_numpy.studio.sources import Source, named_apart
from nst_numpy.tiled import TiledObjective

SMALL = small_vgg(last="conv3_1", dtype=np.float32, backend="plain")
CONTENT, STYLE, OTHER = picture(1, 48, 36), picture(2, 40, 50), picture(3, 44, 44)
LAYERS = {"content_layers": ("conv2_2",), "style_layers": ("conv1_1", "conv3_1")}
SOON = 20.0  # seconds after which a test gives up


def settings(**changed):
    return Settings(**{"weights": SMALL, "size": (24, 32), "steps": (2, 3), **LAYERS, **changed})


def file(name, image):
    """A source with this image as a PNG file."""
    return Source(name, images.png(images.to_uint8(image)))


def finished(painting):
    assert painting.wait(SOON) == "finished", (painting.state, painting.error)
    return painting


def until(condition):
    end = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    until(lambda: not [thread for thread in threading.enumerate() if thread.name == "nst_numpy painting"])


@pytest.fixture
def gate():
    """A network whose Gram matrices wait, while the gate is shut, as a long step does; it counts who is at work."""

    class Gate:
        def __init__(self):
            self.open, self.inside, self.most, self.calls = threading.Event(), 0, 0, 0
            self.open.set()
            backend = types.SimpleNamespace(**{name: getattr(plain, name) for name in dir(plain) if name[0] != "_"})
            backend.gram = self.gram
            self.network = dataclasses.replace(SMALL, backend=backend)

        def gram(self, a):
            self.inside, self.calls = self.inside + 1, self.calls + 1
            self.most = max(self.most, self.inside)
            assert self.open.wait(SOON)
            self.inside -= 1
            return plain.gram(a)

    gate = Gate()
    yield gate
    gate.open.set()


# Paintings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [None, "luminance", "statistics"])
def test_a_painting_is_what_paint_paints(kept):
    seen, chosen = [], settings(keep_colors=kept)
    expected = paint(CONTENT, STYLE, chosen, progress=False, callback=lambda *step: seen.append(step))
    painting = Painting(CONTENT, STYLE, chosen)
    assert (painting.state, painting.picture, painting.number, painting.progress) == ("waiting", None, 0, 0)
    painting.start()
    finished(painting)
    assert np.array_equal(painting.result.pixels, expected.pixels)
    assert np.array_equal(painting.picture, expected.image)
    assert painting.history == painting.result.history == expected.history
    assert (painting.sizes, painting.step, painting.steps, painting.number) == ([24, 32], 5, 5, len(seen) + 1)
    assert (painting.progress, painting.remaining, painting.error, painting.warnings) == (1, None, "", [])
    for number, (_, image, losses) in enumerate(seen):
        assert np.array_equal(painting.picture_at(number), image)
        assert painting.history[number] == losses
    painting.result = None  # as if it were still painted
    assert np.array_equal(painting.picture, images.to_uint8(seen[-1][1]))


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (lambda **s: texture(STYLE, **s), (None, STYLE, {"init": "noise"})),
        (lambda **s: texture([STYLE, OTHER], **s), (None, [STYLE, OTHER], {"init": "noise"})),
        (
            lambda **s: reconstruct(CONTENT, ("conv2_2",), tv_weight=3.0, **s),
            (CONTENT, None, {"init": "noise", "tv_weight": 3.0}),
        ),
    ],
)
def test_without_content_it_is_a_texture_and_without_style_a_reconstruction(kind, given):
    common = {"weights": SMALL, "size": (24,), "steps": 2, "seed": 3}
    expected = kind(
        progress=False, **common, **({"style_layers": ("conv1_1", "conv3_1")} if given[1] is not None else {})
    )
    painting = Painting(*given[:2], settings(**common, **given[2]))
    painting.start()
    assert np.array_equal(finished(painting).result.pixels, expected.pixels)
    assert set(painting.result.record) == set(expected.record)


def test_every_input_arrives():
    regions, parts, kept = [CONTENT[..., 0], None], [None, OTHER[..., 1]], CONTENT[..., 2]
    masks = {"content_masks": regions, "style_masks": parts, "content_mask": kept}
    chosen = settings(init=OTHER, size=32, steps=2)
    expected = paint(CONTENT, [STYLE, OTHER], chosen, **masks, progress=False)
    painting = Painting(CONTENT, [STYLE, OTHER], chosen, **masks)
    painting.start()
    assert np.array_equal(finished(painting).result.pixels, expected.pixels)
    assert painting.history == expected.history


def test_the_record_has_the_names_and_checksums_of_the_files(tmp_path):
    content, style = file("../me.png", CONTENT), file("waves.png", STYLE)
    mask = file("C:\\masks\\sky.png", CONTENT)
    painting = Painting(
        content, [style, file("waves.png", OTHER)], settings(), content_masks=[mask, None], content_mask=mask
    )
    painting.start()
    finished(painting).result.save(tmp_path / "picture.png")
    record = nst_numpy.records.read(tmp_path / "picture.png")
    assert (record["content"], record["style"]) == ("me.png", ["waves.png", "waves-2.png"])
    assert (record["content_masks"], record["content_mask"]) == (["sky.png", None], "sky.png")
    assert record["sha256"]["content"] == hashlib.sha256(content.data).hexdigest()
    assert record["sha256"]["content_masks"] == [hashlib.sha256(mask.data).hexdigest(), None]
    for source in (content, style, mask):
        (tmp_path / source.name).write_bytes(source.data)
    (tmp_path / "waves-2.png").write_bytes(file("", OTHER).data)
    again = nst_numpy.again(tmp_path / "picture.png", weights=SMALL, progress=False)
    assert np.array_equal(again.image, painting.result.image)


def test_names_from_outside_are_no_paths():
    for given, name in {
        "../../etc/passwd": "passwd.png",
        "C:\\me.jpg": "me.jpg",
        "-rf.png": "rf.png",
        "": "image.png",
        "..": "image.png",
        "a\0b\n.png": "ab.png",
        ".png": "png.png",
        "x" * 500 + ".jpeg": "x" * 100 + ".jpeg",
        "noise": "noise.png",
    }.items():
        assert Source(given, b"").name == name
    same, other = Source("a.png", b"1"), Source("a.png", b"2")
    assert [s.name for s in named_apart([same, other, Source("a-2.png", b"3"), Source("a.png", b"1")])] == [
        "a.png",
        "a-2.png",
        "a-2-2.png",
        "a.png",
    ]


def test_samples_are_the_librarys():
    source = Source.sample("woodcut_waves")
    assert np.array_equal(images.load(source), images.load(nst_numpy.samples.woodcut_waves()))
    with pytest.raises(ValueError, match="did you mean portrait"):
        Source.sample("potrait")


def test_pause_while_preparing_then_step_by_step():
    painting = Painting(CONTENT, STYLE, settings())
    painting.pause()
    assert painting.pausing
    painting.start()
    until(lambda: painting.state == "paused")
    for number in range(1, 4):
        assert (painting.number, len(painting.history)) == (number, number)
        time.sleep(0.02)
        assert (painting.state, painting.number) == ("paused", number)
        painting.step_once()
        until(lambda number=number: painting.state == "paused" and painting.number == number + 1)
    assert painting.sizes == [24, 32] and painting.step == 2 and painting.picture.shape[0] == 32  # scaled up
    painting.resume()
    assert not painting.pausing
    expected = paint(CONTENT, STYLE, settings(), progress=False)
    assert np.array_equal(finished(painting).result.pixels, expected.pixels)


def test_step_once_pauses_a_painting_that_runs(gate):
    painting = Painting(CONTENT, STYLE, settings(weights=gate.network, steps=50))
    gate.open.clear()
    painting.start()
    until(lambda: gate.inside)
    painting.step_once()
    painting.step_once()
    gate.open.set()
    until(lambda: painting.state == "paused")
    assert painting.number == 3
    painting.stop()
    assert painting.wait(SOON) == "stopped"


@pytest.mark.parametrize("at", [0, 1, 3, 4])
def test_stop_keeps_the_best_picture_as_ctrl_c_does(at):
    painting = Painting(CONTENT, STYLE, settings(optimizer="adam", learning_rate=0.3))
    painting.pause()
    painting.start()
    for number in range(1, at + 2):
        until(lambda number=number: painting.state == "paused" and painting.number == number)
        if number <= at:
            painting.step_once()
    painting.stop()
    assert painting.wait(SOON) == "stopped"

    calls = []

    def interrupt(*step):
        calls.append(step)
        if len(calls) == at + 1:
            raise KeyboardInterrupt

    with warnings.catch_warnings(action="ignore"):
        expected = paint(
            CONTENT, STYLE, settings(optimizer="adam", learning_rate=0.3), progress=False, callback=interrupt
        )
    assert np.array_equal(painting.result.pixels, expected.pixels)
    assert painting.result.image.shape[:2] == (32, 24)  # of the finished size, whatever the stage
    assert not painting.result.complete and not painting.error
    assert painting.warnings == [painting.result.message]
    assert np.array_equal(painting.picture, painting.result.image) and painting.number == at + 2
    assert painting.progress < 1 and painting.remaining is None


def test_stop_while_preparing(gate, monkeypatch):
    gate.open.clear()
    painting = Painting(CONTENT, STYLE, settings(weights=gate.network))
    painting.start()
    until(lambda: gate.inside)
    assert painting.state == "preparing" and painting.picture is None
    painting.stop()
    gate.open.set()
    assert painting.wait(SOON) == "stopped"
    assert painting.number <= 2 and gate.calls <= 4  # the targets, and the first evaluation; no second size

    gate.calls, real = 0, painter.Motif

    def stopped_as_images_are_read(*given, **masks):
        reading.stop()
        return real(*given, **masks)

    monkeypatch.setattr(painter, "Motif", stopped_as_images_are_read)
    reading = Painting(CONTENT, OTHER, settings(weights=gate.network))
    reading.start()
    assert reading.wait(SOON) == "stopped" and reading.result is None and gate.calls == 0

    before = Painting(CONTENT, STYLE, settings())
    before.stop()
    assert before.state == "stopped" and before.result is None


def test_gram_matrices_of_styles_are_computed_once(gate):
    for calls in (2, 0):  # at two layers
        gate.calls = 0
        painting = Painting(CONTENT, STYLE, settings(weights=gate.network, size=(32,), steps=1))
        painting.pause()
        painting.start()
        until(lambda painting=painting: painting.state == "paused")
        assert gate.calls == calls + 2  # of the picture
        painting.close()


def test_close_lets_everything_go():
    painting = Painting(CONTENT, STYLE, settings(steps=1000))
    painting.start()
    until(lambda: painting.number > 2)
    painting.close()
    assert painting.wait(SOON) == "stopped"
    assert (painting.result, painting.picture, painting.earlier) == (None, None, [])
    assert painting.step < 1000

    painting = Painting(CONTENT, STYLE, settings())
    painting.start()
    finished(painting).release()
    assert painting.earlier == [] and painting.picture is not None
    painting.close()
    assert painting.picture is None and painting.state == "finished"


def test_everything_can_be_read_while_a_step_takes_long(gate):
    painting = Painting(CONTENT, STYLE, settings(weights=gate.network))
    painting.start()
    painting.pause()
    until(lambda: painting.state == "paused")
    gate.open.clear()
    painting.step_once()
    until(lambda: gate.inside)
    began = time.perf_counter()
    read = [getattr(painting, name) for name in dir(painting) if name[0] != "_" and name != "motif"]
    painting.picture_at(0)
    painting.pause()
    painting.resume()
    painting.stop()
    painting.close()
    assert time.perf_counter() - began < 0.5 and len(read) > 20
    assert painting.state == "painting"
    gate.open.set()


def test_two_at_once_do_not_disturb_each_other():
    expected = paint(CONTENT, STYLE, settings(steps=8), progress=False)
    other = paint(OTHER, CONTENT, settings(steps=8), progress=False)
    paintings = [Painting(CONTENT, STYLE, settings(steps=8)), Painting(OTHER, CONTENT, settings(steps=8))]
    for painting in paintings:
        painting.start()
    for painting, alone in zip(paintings, (expected, other), strict=True):
        assert np.array_equal(finished(painting).result.pixels, alone.pixels)


def test_progress_is_the_part_of_the_work_and_the_time_that_remains(monkeypatch):
    clock, seen = iter(range(1000)), []
    monkeypatch.setattr(painter, "perf_counter", lambda: 2.0 * next(clock))  # two seconds for each picture
    painting = Painting(CONTENT, STYLE, settings(size=(16, 32), steps=(2, 4)))
    record = painting._after_step
    painting._after_step = lambda *step: (record(*step), seen.append((painting.progress, painting.remaining)))
    painting.start()
    finished(painting)
    progress, remaining = zip(*seen, strict=True)
    work = np.array([0, 0.25, 0.5, 0.5, 1.5, 2.5, 3.5, 4.5])  # steps count by their area
    assert np.allclose(progress, work / 4.5)
    assert remaining[0] is None
    assert np.allclose(remaining[1:], (4.5 - work[1:]) * 2 * np.arange(1, 8) / work[1:])

    painting = Painting(CONTENT, STYLE, settings())
    painting.pause()
    painting.start()
    for number in (1, 2, 3):
        until(lambda number=number: painting.state == "paused" and painting.number == number)
        assert painting.remaining is None  # the time of a pause does not count
        painting.step_once()
    painting.resume()
    finished(painting)


def test_earlier_pictures_are_kept_up_to_a_limit():
    one = 24 * 32 * 3 * 4
    painting = Painting(CONTENT, STYLE, settings(size=(32,), steps=6), kept=3 * one + 1)
    painting.start()
    finished(painting)
    assert painting.earlier == [4, 5, 6]
    with pytest.raises(ValueError, match="picture 3 is not kept; there are 4 to 6"):
        painting.picture_at(3)
    assert not painting.picture_at(4).flags.writeable
    least = Painting(CONTENT, STYLE, settings(size=(32,), steps=1), kept=0)
    least.start()
    assert finished(least).earlier == [1]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"content": Source("me.heic", b"ftypheic")}, "content image: cannot read me.heic: not an image"),
        ({"style": picture(1, 2, 2)}, "too small"),
        ({"content_mask": np.zeros((48, 36), bool)}, "the mask is all black"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(change, words, capfd):
    given = {"content": CONTENT, "style": STYLE, **change}
    chosen = settings(size=(3,) if "style" in change else (32,), steps=1)
    painting = Painting(given.pop("content"), given.pop("style"), chosen, **given)
    painting.start()
    assert painting.wait(SOON) == "failed"
    assert words in painting.error and "\n" not in painting.error and painting.result is None
    assert capfd.readouterr() == ("", "")  # no traceback


def test_what_no_one_expected_is_said_too(gate, capfd):
    def broken(a):
        raise ZeroDivisionError("by zero")

    gate.network.backend.gram = broken
    painting = Painting(CONTENT, STYLE, settings(weights=gate.network))
    painting.start()
    assert painting.wait(SOON) == "failed"
    assert painting.error == "The painting failed unexpectedly: ZeroDivisionError: by zero"
    assert capfd.readouterr() == ("", "")

    def too_large(a):
        raise MemoryError

    gate.network.backend.gram = too_large
    painting = Painting(CONTENT, STYLE, settings(weights=gate.network))
    painting.start()
    assert painting.wait(SOON) == "failed" and "take a smaller size" in painting.error


def test_no_image_at_all_or_no_layer():
    with pytest.raises(ValueError, match="there is no image"):
        Painting(None, [], settings())
    with pytest.raises(ValueError, match="choose the layers"):
        Painting(CONTENT, None, settings(content_layers=None))


def test_a_loss_that_is_not_finite():
    painting = Painting(CONTENT, STYLE, settings(style_weight=1e38, init="noise"))
    painting.start()
    assert painting.wait(SOON) == "failed"
    assert "not finite" in painting.error and painting.result is not None and not painting.result.complete


def test_warnings_are_kept_for_the_page():
    with warnings.catch_warnings(action="error"):
        painting = Painting(CONTENT, picture(1, 12, 12), settings())
        painting.start()
        assert "enlarged" in finished(painting).warnings[0]


def test_memory(monkeypatch):
    painting = Painting(CONTENT, STYLE, settings(size=(512,), steps=1))
    monkeypatch.setattr(memory, "available", lambda: 1 << 40)
    monkeypatch.setattr(painter, "available", lambda: 4 << 30)
    found = needs(painting)
    own = memory.needed(SMALL, ["conv2_2", "conv1_1", "conv3_1"], (512, 384), None, styles=[(410, 512)])
    assert abs(found.memory - own - painter.KEPT) < 0.01 * own and not found.tiled
    assert str(found) == f"About {found.memory / 1e6:.0f} MB of memory are needed; 4.3 GB are free."

    monkeypatch.setattr(memory, "available", lambda: int((found.memory - painter.KEPT) / memory.SHARE) - 1000)
    assert needs(painting).tiled and "painted in tiles" in str(needs(painting))
    with pytest.raises(ValueError, match="choose a smaller size to look inside"):
        painting.sizes = [512]
        painting.objective_for((512, 384, 3))
    monkeypatch.setattr(memory, "available", lambda: 1000)
    with pytest.raises(ValueError, match="take a smaller size"):
        needs(painting)
    painting.start()
    assert painting.wait(SOON) == "failed" and "take a smaller size" in painting.error


# In line --------------------------------------------------------------------------------------------------------------


def test_one_at_a_time_in_order(gate):
    line = Painter(waiting=3)
    gate.open.clear()
    chosen = settings(weights=gate.network, steps=1)
    unread = Source("me.heic", b"")  # of the third, that never has its turn
    contents = [CONTENT, CONTENT, unread, CONTENT]
    paintings = [Painting(content, STYLE, chosen, painter=line) for content in contents]
    for painting in paintings:
        painting.start()
    assert [line.place(painting) for painting in paintings] == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="3 paintings are waiting already: wait until one"):
        Painting(CONTENT, STYLE, settings(), painter=line).start()
    until(lambda: gate.inside)
    time.sleep(0.02)
    assert [painting.state for painting in paintings] == ["preparing", "waiting", "waiting", "waiting"]
    paintings[2].stop()
    assert paintings[2].wait(SOON) == "stopped" and paintings[2].result is None
    assert [line.place(painting) for painting in paintings] == [0, 1, 0, 2]
    gate.open.set()
    for painting in (paintings[0], paintings[1], paintings[3]):
        finished(painting)
    assert gate.most == 1


def test_a_paused_painting_lets_the_next_have_its_turn(gate):
    line = Painter(waiting=1)
    first = Painting(CONTENT, STYLE, settings(weights=gate.network, steps=2), painter=line)
    second, third = (Painting(CONTENT, STYLE, settings(weights=gate.network), painter=line) for _ in range(2))
    first.pause()
    first.start()
    until(lambda: first.state == "paused")
    gate.open.clear()
    second.start()
    until(lambda: gate.inside)
    first.resume()
    until(lambda: first.state == "waiting")
    assert line.place(first) == 1
    third.start(instead_of=second)
    assert [line.place(painting) for painting in (second, third, first)] == [0, 1, 2]
    gate.open.set()
    finished(first)
    finished(third)
    assert second.wait(SOON) == "stopped" and second.result is None
    assert gate.most == 1


def test_a_painting_that_waits_for_its_turn_after_a_pause_can_be_stopped(gate):
    line = Painter()
    first, second = (Painting(CONTENT, STYLE, settings(weights=gate.network), painter=line) for _ in range(2))
    first.pause()
    first.start()
    until(lambda: first.state == "paused")
    gate.open.clear()
    second.start()
    until(lambda: gate.inside)
    first.resume()
    until(lambda: first.state == "waiting")
    first.stop()
    assert first.wait(SOON) == "stopped" and first.result is not None
    gate.open.set()
    finished(second)


def test_a_preview_is_replaced_within_a_step(gate):
    line = Painter(waiting=1)
    previews = [Painting(CONTENT, STYLE, settings(weights=gate.network, steps=500), painter=line)]
    previews[0].start()
    until(lambda: previews[0].number > 1)
    done = previews[0].number
    for weight in range(1, 6):  # a slider moves
        chosen = settings(weights=gate.network, style_weight=weight, steps=1)
        previews.append(Painting(CONTENT, STYLE, chosen, painter=line))
        previews[-1].start(instead_of=previews[-2])
    finished(previews[-1])
    assert [preview.wait(SOON) for preview in previews[:-1]] == ["stopped"] * 5
    assert previews[0].number == 0 or previews[0].number <= done + 20
    assert gate.most == 1 and line.place(previews[-1]) == 0


def test_close_stops_all(gate):
    line = Painter()
    paintings = [Painting(CONTENT, STYLE, settings(weights=gate.network, steps=999), painter=line) for _ in range(3)]
    paintings[0].pause()
    for painting in paintings:
        painting.start()
    until(lambda: paintings[0].state == "paused" and paintings[1].number)
    line.close()
    assert [painting.wait(SOON) for painting in paintings] == ["stopped"] * 3


# Inside ---------------------------------------------------------------------------------------------------------------

WIDE = small_vgg(last="conv3_1", backend="plain")  # float64


def objective(network=WIDE, content=CONTENT, style=STYLE, **changed):
    return Objective.from_images(network, content, style, **{**LAYERS, "tv_weight": 9.0, **changed})


def test_the_parts_of_the_gradient_are_those_of_the_losses():
    loss, x = objective(), picture(5, 48, 36)
    inside = Inside(loss, x)
    assert np.array_equal(inside.gradient, loss(x)[1]) and inside.losses == loss(x)[2]
    assert list(inside.shares) == [
        ("content", "conv2_2"),
        ("style", "conv1_1"),
        ("style", "conv3_1"),
        ("tv", "pixels"),
    ]
    assert np.allclose(sum(inside.shares.values()), inside.gradient, rtol=1e-9, atol=1e-16)
    for (term, layer), share in inside.shares.items():  # against differences of that loss alone
        pixel = inside.at(20, 9)
        assert np.array_equal(pixel.shares[term, layer], share[20, 9])
        name = layer if term == "style" else term
        for channel in range(3):
            step = np.zeros_like(x)
            step[20, 9, channel] = 1e-5
            slope = (loss(x + step)[2][name] - loss(x - step)[2][name]) / 2e-5
            assert np.isclose(share[20, 9, channel], slope, rtol=1e-5, atol=1e-10)
    assert np.array_equal(pixel.value, x[20, 9]) and np.array_equal(pixel.gradient, inside.gradient[20, 9])
    assert np.allclose(
        pixel.by_term["style"], inside.shares["style", "conv1_1"][20, 9] + inside.shares["style", "conv3_1"][20, 9]
    )
    assert list(pixel.by_term) == ["content", "style", "tv"]
    assert list(pixel.by_layer) == ["conv2_2", "conv1_1", "conv3_1", "pixels"]


@pytest.mark.parametrize("padding", ["zero", "replicate"])
@pytest.mark.parametrize("pooling", ["average", "max"])
def test_what_a_layer_holds(pooling, padding):
    network = dataclasses.replace(WIDE, pooling=pooling, padding=padding)
    loss, x = objective(network, style_layers=("conv2_2", "conv1_1")), picture(5, 48, 36)
    inside = Inside(loss, x)
    layer = inside.layer("relu2_2")
    assert layer.name == "conv2_2" and inside.layers == ("conv1_1", "conv1_2", "pool1", "conv2_1", "conv2_2")
    F = network.features(x, "conv2_2")["conv2_2"]
    P = network.features(CONTENT, "conv2_2")["conv2_2"]
    assert np.array_equal(layer.F, F) and np.array_equal(layer.P, P) and np.array_equal(layer.difference, F - P)
    before = network.features(x, "conv2_1")["conv2_1"]
    z = layers.conv_forward(before, *network.convolutions["conv2_2"], padding)
    assert np.array_equal(layer.mask, z > 0)
    (gram,) = layer.grams
    S = network.features(STYLE, "conv2_2")["conv2_2"]
    M = F.shape[0] * F.shape[1] / (S.shape[0] * S.shape[1])
    assert np.allclose(gram.G, np.einsum("yxi,yxj->ij", F, F))
    assert np.allclose(gram.A, np.einsum("yxi,yxj->ij", S, S) * M)
    assert np.array_equal(gram.difference, gram.G - gram.A)
    assert list(layer.injected) == ["content", "style"]
    for term in loss.terms[:2]:
        step, at = np.zeros_like(F), (5, 7, 2)
        step[at] = 1e-6
        slope = (term(F + step)[0] - term(F - step)[0]) / 2e-6
        assert np.isclose(layer.injected[term.name][at], slope, rtol=1e-5)
    assert np.allclose(layer.arriving, layer.injected["content"] + layer.injected["style"])  # it is the deepest
    assert np.allclose(layer.at_pixels, inside.shares["content", "conv2_2"] + inside.shares["style", "conv2_2"])
    first = inside.layer("conv1_1")
    assert np.array_equal(first.arriving, loss.layer_gradients(x)["conv1_1"])
    assert first.P is None and first.difference is None

    other = inside.layer("pool1")  # no loss
    assert np.array_equal(other.F, network.features(x, "pool1")["pool1"])
    assert (other.P, other.mask, other.grams, other.injected, other.arriving) == (None, None, [], {}, None)
    assert not other.at_pixels.any() and other.at_pixels.shape == x.shape
    with pytest.raises(ValueError, match="unknown layer"):
        inside.layer("conv9_9")


def test_regions_have_grams_of_their_own():
    regions = [CONTENT[..., 0] > 0.5, CONTENT[..., 0] <= 0.5]
    inside = Inside(objective(style=[STYLE, OTHER], content_masks=regions), picture(5, 48, 36))
    grams, terms = inside.layer("conv1_1").grams, [t for t in inside.objective.terms if t.layer == "conv1_1"]
    assert len(grams) == 2
    for gram, term in zip(grams, terms, strict=True):
        F = inside.layer("conv1_1").F * term.mask[..., None] / np.sqrt(np.mean(term.mask**2))
        assert np.allclose(gram.G, np.einsum("yxi,yxj->ij", F, F)) and gram.A is term.A
    assert np.allclose(sum(inside.shares.values()), inside.gradient, rtol=1e-9, atol=1e-16)


@pytest.mark.parametrize("padding", ["zero", "replicate", "circular"])
@pytest.mark.parametrize(("height", "width"), [(16, 12), (19, 14)])
def test_the_units_that_see_a_pixel_are_those_that_change_with_it(padding, height, width):
    positive = {l: (np.abs(k) + 0.01, np.abs(b)) for l, (k, b) in WIDE.convolutions.items()}
    network = dataclasses.replace(WIDE, convolutions=positive, padding=padding)
    x = picture(3, height, width)
    before, _ = network.forward(x, network.layers)
    for row, column in ((0, 0), (7, 5), (height - 1, width - 1), (height - 1, 3)):
        changed = x.copy()
        changed[row, column] += 0.1
        after, _ = network.forward(changed, network.layers)
        for layer in network.layers:
            rows, columns = np.nonzero((np.abs(after[layer] - before[layer]) > 1e-12).any(axis=2))
            found = units_that_see(network, layer, x.shape, row, column)
            assert (set(found[0]), set(found[1])) == (set(rows), set(columns)), (layer, row, column)
            assert len(rows) == len(found[0]) * len(found[1])
    with pytest.raises(ValueError, match="row must be"):
        units_that_see(network, "conv1_1", x.shape, height, 0)
    with pytest.raises(ValueError, match="column must be"):
        Inside(objective(), CONTENT).at(0, 36)


def test_a_difference_beside_the_gradient():
    inside = Inside(objective(SMALL), picture(5, 48, 36, np.float32))  # float32
    expected = objective(WIDE)(inside.x.astype(np.float64))[1]
    for channel in range(3):
        found = inside.difference(11, 30, channel)
        assert (found.channel, found.h, found.kink) == (channel, 1e-5, False)
        assert np.isclose(found.analytic, expected[11, 30, channel], rtol=1e-5)
        assert found.relative_error < 1e-6
        assert found.relative_error == abs(found.numeric - found.analytic) / max(
            abs(found.numeric), abs(found.analytic)
        )
    for x in range(25, 32):
        assert inside.difference(11, x).channel == np.argmax(np.abs(expected[11, x]))
    largest = np.abs(expected).max(axis=2)
    assert (expected.max(axis=2)[11, 25:32] < largest[11, 25:32]).any()  # some are negative
    for wrong in ((48, 0), (0, 36), (-1, 0), (0, 0, 3)):
        with pytest.raises(ValueError, match="must be"):
            inside.difference(*wrong)
    gradient = inside._in_float64[1]
    gradient *= 2  # a difference does not believe the gradient
    found = inside.difference(11, 30)
    assert np.isclose(found.relative_error, 0.5) and not found.kink and found.h == 1e-5


def test_a_kink_is_called_one():
    network = dataclasses.replace(WIDE, pooling="max")
    flat = np.full((48, 36, 3), 0.5)  # equal elements in each window of the pooling
    found = Inside(objective(network), flat).difference(20, 20)
    assert found.kink and abs(found.left - found.right) > 1e-3 * abs(found.numeric)


def test_one_looks_into_whole_pictures_only():
    loss = objective(tile=16)
    assert isinstance(loss, TiledObjective)
    with pytest.raises(ValueError, match="without tiles"):
        Inside(loss, CONTENT)


@pytest.mark.parametrize("changed", [{}, {"keep_colors": "luminance"}, {"keep_colors": "statistics"}])
def test_looking_into_any_picture_of_a_painting(changed):
    painting = Painting(CONTENT, STYLE, settings(**changed), content_mask=CONTENT[..., 0] > 0.3)
    with pytest.raises(ValueError, match="there are none"):
        look(painting)
    painting.start()
    finished(painting)
    for number in (0, 2, 3, 6, None):
        inside = look(painting, number)
        entry = painting.history[-1 if number is None else number]
        assert inside.losses == pytest.approx({n: v for n, v in entry.items() if n != "size"}, rel=1e-5)
        assert inside.x.shape == painting.picture_at(6 if number is None else number).shape


def test_looking_into_a_texture_that_tiles():
    network = dataclasses.replace(SMALL, padding="circular")
    painting = Painting(None, STYLE, settings(weights=network, init="noise", size=(25, 37)))
    painting.start()
    finished(painting)
    for number in (1, 5):
        assert look(painting, number).losses["total"] == pytest.approx(painting.history[number]["total"], rel=1e-5)


# Code -----------------------------------------------------------------------------------------------------------------

MINI = {"size": (32,), "steps": 1}


@pytest.mark.parametrize(
    ("content", "styles", "keywords", "masks"),
    [
        ("me at home.jpg", ["portrait"], {"style_weight": 12.3, "size": 36, "steps": 1}, {}),
        (None, ["$(touch oops).png", "b'.png"], {"init": "noise", "seed": 5, **MINI}, {}),
        ("a.png", [], {"content_layers": ("conv2_1",), "style_layers": (), "init": "b.png", **MINI}, {}),
        ("a.png", ["a.png", "a.png"], MINI, {"content_masks": ["left.png", None], "content_mask": "left.png"}),
    ],
)
def test_the_code_and_the_command_give_the_same_pixels(tmp_path, monkeypatch, content, styles, keywords, masks):
    def source(name, seed):
        return Source.sample(name) if name == "portrait" else name and file(name, picture(seed, 40, 36))

    if isinstance(init := keywords.get("init"), str) and init != "noise":
        keywords = {**keywords, "init": source(init, 9)}
    mask = file("left.png", np.repeat((np.arange(36) < 18)[None, :, None], 40, axis=0) * np.ones(3))
    given = {n: [v and mask for v in m] if isinstance(m, list) else mask for n, m in masks.items()}
    painting = Painting(source(content, 0), [source(s, k) for k, s in enumerate(styles)], Settings(**keywords), **given)
    painting.start()
    finished(painting)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("nst_numpy.painting.load_network", painter.network)  # as it has been loaded
    files = [value for value in code._sources(painting) if isinstance(value, Source)]
    for source in files:
        if not source.drawn_by:
            (tmp_path / source.name).write_bytes(source.data)
    exec(code.python(painting).replace("result = nst_numpy.", "result = quiet."), {"quiet": _Quiet()})
    (first,) = set(tmp_path.glob("*.png")) - {tmp_path / source.name for source in files}
    assert np.array_equal(np.asarray(Image.open(first)), painting.result.image)
    first.unlink()
    *before, line = code.command(painting).splitlines()
    if before:  # saves the samples
        (drawing,) = before
        program, option, text = shlex.split(drawing)
        assert (program, option) == ("python", "-c")
        (tmp_path / "portrait.png").unlink()
        exec(text, {})
    assert cli.main([*shlex.split(line)[1:], "--quiet"]) == 0
    assert np.array_equal(np.asarray(Image.open(first)), painting.result.image)
    assert not (tmp_path / "oops").exists()


class _Quiet:
    """The library without progress bars."""

    def __getattr__(self, name):
        return lambda *arguments, **keywords: getattr(nst_numpy, name)(*arguments, **keywords, progress=False)


NEURAL_STYLE = conventions.get("neural-style")  # which does not normalize networks
NETWORK = painter.network("vgg19-mini", NEURAL_STYLE, padding="circular", pooling="average", backend="plain")


CHOSEN = [
    {},
    {"size": 300, "steps": 7},
    {"size": (64, 128), "steps": (3, 4)},
    {"size": (64,)},
    {"convention": "neural-style", "weights": "vgg19"},
    {"convention": "paper", "style_weight": 1e-5, "init": "content"},
    {"content_layers": ("conv2_1",), "style_layers": {"conv1_1": 0.1, "relu2_1": 1e-7}},
    {"content_weight": 1 / 3, "tv_weight": 0, "style_scale": 0.7, "init_noise": 0.1, "seed": 3},
    {"keep_colors": "luminance", "init": "gray"},
    {"optimizer": "adam", "learning_rate": 0.01, "optimizer_options": {"beta1": 0.8}},
    {"optimizer_options": {"memory": 3}},
    {"style_blend": (1, 2.5)},
    {"weights": NETWORK, "convention": "neural-style"},
]


@pytest.mark.parametrize(
    ("kind", "chosen"),
    [
        *(("transfer", chosen) for chosen in CHOSEN),
        *(("texture", chosen) for chosen in CHOSEN[5::2]),
        *(("reconstruct", chosen) for chosen in CHOSEN[4::2]),
    ],
)
def test_every_setting_is_in_the_code(kind, chosen, monkeypatch, tmp_path):
    content, styles = Source("a.png", b"a"), [Source("b.png", b"b")]
    if "style_blend" in chosen:
        styles.append(Source("c.png", b"c"))
    if kind == "reconstruct":
        chosen = {"content_layers": ("conv2_1", "conv3_1"), **chosen, "style_layers": ()}
    painting = Painting(
        None if kind == "texture" else content, [] if kind == "reconstruct" else styles, Settings(**chosen)
    )
    seen = []

    def recorded(content, style, settings, **others):
        seen.append((content, style, settings))
        raise KeyboardInterrupt

    monkeypatch.setattr(stylize, "paint", recorded)
    monkeypatch.chdir(tmp_path)
    with contextlib.suppress(KeyboardInterrupt):
        exec(code.python(painting), {})
    cli.main(shlex.split(code.command(painting))[1:])
    assert len(seen) == 2
    for found, style, settings in seen:
        expected = painting.settings.to_dict()
        got = settings.to_dict()
        if len(styles) > 1 or got["style_blend"] != expected["style_blend"]:
            assert list(style) == [s.name for s in painting.styles]
        assert got == expected
        assert found == painting.content.name
        if chosen.get("weights") is NETWORK:
            assert repr(settings.weights) == repr(NETWORK)
            assert "normalize=False" in code.python(painting)  # the included network is the same with and without


def test_code_names_files_only():
    without = Painting(Source("a.png", b""), Source("b.png", b""), Settings(content_layers=()))
    assert "content_layers=()" in code.python(without)
    with pytest.raises(ValueError, match="content_layers: the command takes at least one layer"):
        code.command(without)
    with pytest.raises(ValueError, match="an image without a name"):
        code.python(Painting(CONTENT, STYLE, settings(weights="vgg19-mini")))
