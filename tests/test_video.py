"""Video files and the optical flow of OpenCV, with the real PyAV and OpenCV."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from drawing import picture, small_vgg
from PIL import Image

from nst_numpy import films, flow, images, samples, transfer_frames
from nst_numpy.cli import main
from nst_numpy.frames import CUT

reason = "is not installed; .ci/run installs it (pip install '.[video]')"
av = pytest.importorskip("av", reason=f"PyAV {reason}")
pytest.importorskip("cv2", reason=f"OpenCV {reason}")

WEIGHTS = small_vgg(widths=(6, 8), last="conv2_1", dtype=np.float32)
QUICK = {"weights": WEIGHTS, "size": (64,), "steps": 3, "next_steps": 2, "progress": False, "content_layers": "conv2_1"}
QUICK["style_layers"] = ["conv1_1", "conv2_1"]


@pytest.fixture
def film(tmp_path):
    """A window that moves over a photograph, in a folder and as a video of 12 frames a second."""
    photograph = images.to_uint8(images.load(samples.portrait(), 200))
    (tmp_path / "film").mkdir()
    for n in range(4):
        images.save(np.ascontiguousarray(photograph[:, 4 * n :][20:84, 20:84]), tmp_path / "film" / f"{n}.png")
    films.write(sorted((tmp_path / "film").iterdir()), tmp_path / "film.mp4", 12)
    images.save(images.to_uint8(picture(2, 70, 70)), tmp_path / "style.png")
    return tmp_path


@pytest.mark.parametrize(("right", "down"), [(3, 0), (-2, 1), (0, -4)])
def test_dis_finds_a_known_motion(right, down):
    photograph = images.load(samples.portrait(), 300)
    first, second = photograph[50:200, 50:200], photograph[50 - down : 200 - down, 50 - right : 200 - right]
    found = flow.dis(first, second)
    assert found.shape == (150, 150, 2) and found.dtype == np.float32
    error = np.abs(found - [right, down])[10:-10, 10:-10]
    assert np.median(error) < 0.1 and np.mean(error < 0.5) > 0.9
    backward = flow.dis(second, first)
    assert np.mean(flow.valid(found, backward)[10:-10, 10:-10]) > 0.7
    assert flow.flicker(second, first, backward, flow.valid(found, backward)) < 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (8, 5)])
def test_dis_of_small_images(shape):
    image = picture(1, *shape)
    assert np.abs(flow.dis(image, image)).max() < 1


def test_another_scene_is_a_cut():
    portrait = images.load(samples.portrait(), 200)[:160, :160]
    other = images.load(samples.woodcut_waves(160), 160)
    where = flow.valid(flow.dis(portrait, other), flow.dis(other, portrait))
    assert np.mean(where) < CUT


def test_a_video_is_read(film):
    found = films.read(film / "film.mp4")
    assert found.names == ["frame_0001", "frame_0002", "frame_0003", "frame_0004"] and found.fps == 12
    for frame, path in zip(found.read(), sorted((film / "film").iterdir()), strict=True):
        assert frame.dtype == np.uint8 and np.abs(np.float64(frame) - np.asarray(Image.open(path))).mean() < 6


def test_odd_sizes_and_rates(tmp_path):
    """H.264 needs even sides: the last row and column are there twice."""
    paths = [tmp_path / f"{n}.png" for n in range(3)]
    for n, path in enumerate(paths):
        images.save(np.full((21, 33, 3), 60 * n, np.uint8), path)
    films.write(paths, tmp_path / "a.mp4", 30000 / 1001)
    with av.open(str(tmp_path / "a.mp4")) as container:
        assert container.streams.video[0].average_rate == Fraction(30000, 1001)
    frames = list(films.read(tmp_path / "a.mp4").read())
    assert [frame.shape for frame in frames] == [(22, 34, 3)] * 3
    assert [abs(int(frame.mean()) - 60 * n) < 5 for n, frame in enumerate(frames)] == [True] * 3


def test_a_video_of_a_phone_held_upright(film):
    """Its frames lie on their side, with a note in the file that they are to be turned clockwise."""
    data = bytearray((film / "film.mp4").read_bytes())
    one, identity = (65536).to_bytes(4, "big"), bytearray(36)
    identity[0:4], identity[16:20], identity[32:36] = one, one, (1 << 30).to_bytes(4, "big")
    turned = bytearray(36)
    turned[4:8], turned[12:16], turned[32:36] = one, (2**32 - 65536).to_bytes(4, "big"), (1 << 30).to_bytes(4, "big")
    place = data.index(bytes(identity), data.index(b"tkhd"))
    data[place : place + 36] = turned
    (film / "phone.mp4").write_bytes(data)
    upright, lying = (next(films.read(film / name).read()) for name in ("phone.mp4", "film.mp4"))
    assert np.array_equal(upright, np.rot90(lying, -1))


def test_from_video_to_video(film, capsys, monkeypatch):
    monkeypatch.chdir(film)
    painted = transfer_frames("film.mp4", "style.png", "painted.mp4", **QUICK)
    assert [frame.path for frame in painted] == [Path("painted") / f"frame_000{n}.png" for n in (1, 2, 3, 4)]
    assert all(frame.flicker is not None for frame in painted[1:])
    written = films.read(Path("painted.mp4"))
    assert written.fps == 12 and len(written.names) == 4
    for frame, made in zip(written.read(), painted, strict=True):
        assert np.abs(np.float64(frame) - np.asarray(Image.open(made.path))).mean() < 20
    before = Path("film.mp4").read_bytes()
    assert main(["frames", "film.mp4", "style.png", "-o", "film.mp4"]) == 2
    assert "it is the same file as the input film.mp4" in capsys.readouterr().err
    assert Path("film.mp4").read_bytes() == before


@pytest.mark.parametrize("kind", ["text", "cut short", "sound"])
def test_a_file_that_is_no_video(film, kind, capsys):
    path = film / "other.mp4"
    if kind == "text":
        path.write_text("no video")
    elif kind == "cut short":
        data = (film / "film.mp4").read_bytes()
        path.write_bytes(data[: len(data) // 2])
    else:
        with av.open(str(path), "w") as container:
            stream = container.add_stream("aac", rate=8000)
            sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            sound.rate = 8000
            container.mux(stream.encode(sound))
            container.mux(stream.encode())
    assert main(["frames", str(path), str(film / "style.png"), "-o", str(film / "out")]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"nst-numpy: error: cannot read the video {path}: ") and said.count("\n") == 1
    assert not (film / "out").exists()


def test_dis_is_what_the_frames_use(film):
    """By default, where OpenCV is installed; the flow is between photographs at the painted size."""
    named, default = (
        transfer_frames(film / "film", film / "style.png", film / name, **QUICK, **given)
        for name, given in (("a", {"flow": "dis"}), ("b", {}))
    )
    asked = []

    def seen(first, second):
        asked.append((first, second))
        return flow.dis(first, second)

    third = transfer_frames(film / "film", film / "style.png", film / "c", **{**QUICK, "size": (48,)}, flow=seen)
    assert [f.path.read_bytes() for f in named] == [f.path.read_bytes() for f in default]
    assert {image.shape for pair in asked for image in pair} == {(48, 48, 3)} and third[1].flicker < 60
