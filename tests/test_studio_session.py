"""Who may enter the studio, what it takes, and what a browser has there: all that needs no web framework."""

import io
import sys

import numpy as np
import pytest
from PIL import Image

from nst_numpy import images, masks, records
from nst_numpy.cli import main
from nst_numpy.studio import session as sessions
from nst_numpy.studio.brush import Brushwork, all_but
from nst_numpy.studio.gate import ELSEWHERE, LOCKED, UNKNOWN, Gate
from nst_numpy.studio.painter import Painter
from nst_numpy.studio.session import Refused, Session, read
from nst_numpy.studio.words import in_words

GATE = Gate("127.0.0.1", 8642, token="right")
ENTERED = {"host": "127.0.0.1:8642", "cookie": "other=1; nst_studio_8642=right"}


def file(size=(40, 30), mode="RGB", format="png", **options):
    buffer = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(buffer, format, **options)
    return buffer.getvalue()


@pytest.fixture
def session(tmp_path):
    painter = Painter()
    yield Session(painter, tmp_path)
    painter.close()


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(sessions, "PREVIEW", 32)
    monkeypatch.setattr(sessions, "PREVIEW_STEPS", 1)


# The gate


@pytest.mark.parametrize("websocket", [False, True])
def test_the_token_opens_the_gate_from_a_page_of_the_studio(websocket):
    assert GATE.refusal({**ENTERED, "origin": "http://127.0.0.1:8642"}, websocket=websocket) is None


@pytest.mark.parametrize("websocket", [False, True])
@pytest.mark.parametrize(
    "changes, refusal",
    [
        ({"cookie": ""}, LOCKED),
        ({"cookie": "nst_studio_8642=wrong"}, LOCKED),
        ({"cookie": "nst_studio_8642=righ"}, LOCKED),
        ({"cookie": "nst_studio_8642=ríght"}, LOCKED),
        ({"cookie": "nst_studio_8643=right"}, LOCKED),  # another studio on this computer
        ({"origin": "http://evil.example"}, ELSEWHERE),
        ({"origin": "http://127.0.0.1:8643"}, ELSEWHERE),
        ({"origin": "https://127.0.0.1:8642"}, ELSEWHERE),
        ({"origin": "null"}, ELSEWHERE),
        ({"origin": "http://localhost:8642"}, ELSEWHERE),
        ({"host": "evil.example:8642", "origin": "http://evil.example:8642"}, UNKNOWN),
        ({"host": "127.0.0.1.evil.example:8642", "origin": "http://127.0.0.1.evil.example:8642"}, UNKNOWN),
        ({"host": "127.0.0.1"}, UNKNOWN),
        ({"host": "127.0.0.1:8643", "origin": "http://127.0.0.1:8643"}, UNKNOWN),
        ({"host": "192.168.1.2:8642"}, UNKNOWN),
        ({"host": ""}, UNKNOWN),
    ],
)
def test_all_others_are_refused(changes, refusal, websocket):
    headers = {**ENTERED, "origin": "http://127.0.0.1:8642", **changes}
    assert GATE.refusal(headers, websocket=websocket) == refusal


def test_a_websocket_needs_an_origin_and_a_download_does_not():
    assert GATE.refusal(ENTERED, websocket=False) is None
    assert GATE.refusal(ENTERED, websocket=True) == ELSEWHERE


def test_the_token_in_the_address_is_as_good_as_the_cookie():
    headers = {"host": "127.0.0.1:8642"}
    assert GATE.refusal(headers, websocket=False, query="token=right") is None
    assert GATE.refusal(headers, websocket=False, query="token=wrong") == LOCKED
    assert GATE.refusal(headers, websocket=False, query="token=") == LOCKED
    assert GATE.address == "http://127.0.0.1:8642/?token=right"


def test_each_studio_has_a_token_of_its_own():
    tokens = {Gate("127.0.0.1", 1).token for _ in range(20)}
    assert len(tokens) == 20 and min(map(len, tokens)) >= 32
    assert Gate("127.0.0.1", 1).token not in repr(Gate("127.0.0.1", 1))


def test_an_open_studio_is_reached_by_its_addresses_and_not_by_a_foreign_name():
    gate = Gate("0.0.0.0", 8642, token="right")
    for host in ("192.168.1.2", "[fe80::1]", "localhost"):
        headers = {"host": f"{host}:8642", "cookie": "nst_studio_8642=right", "origin": f"http://{host}:8642"}
        assert gate.refusal(headers, websocket=True) is None, host
    assert gate.refusal({"host": "evil.example:8642", "cookie": "nst_studio_8642=right"}, websocket=False) == UNKNOWN


# What is uploaded


def test_an_image_is_read_as_it_is_painted():
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    given = read(file((40, 30), format="jpeg", exif=exif), "../../photographs/me.jpg")
    assert (given.width, given.height, given.source.name, given.note) == (30, 40, "me.jpg", "")
    assert Image.open(io.BytesIO(given.thumbnail)).size == (30, 40)


@pytest.mark.parametrize(
    "data, name, words",
    [
        (b"", "empty.png", "empty.png is empty"),
        (b"<svg>", "a.svg", "a.svg is not an image that can be read here. Choose a PNG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "IMG_1.HEIC", "is a HEIC file.*Export it as JPEG"),
        (file()[:200], "half.png", "half.png.*Save it anew as PNG"),
        (b"x" * (64 << 20) + b"x", "large.png", "has 64 MB; the studio takes at most 64. Scale it down"),
    ],
)
def test_what_is_no_image_is_refused_with_a_sentence(data, name, words):
    with pytest.raises(Refused, match=words) as refused:
        read(data, name)
    assert "\n" not in str(refused.value) and "Traceback" not in str(refused.value)


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("size", [(20_000, 20_000), (20_000, 6_000)])
def test_too_many_pixels_are_refused_before_they_are_read(size, monkeypatch):
    monkeypatch.setattr(images, "load_with_opacity", None)
    data = io.BytesIO()
    Image.new("1", size).save(data, "png")
    with pytest.raises(Refused, match=r"million pixels; the studio takes at most 80 million"):
        read(data.getvalue(), "vast.png")


def test_of_an_animation_the_first_picture_is_used_and_transparency_is_named():
    frames = [Image.new("RGB", (8, 8), color) for color in ("red", "blue")]
    data = io.BytesIO()
    frames[0].save(data, "gif", save_all=True, append_images=frames[1:])
    assert read(data.getvalue(), "a.gif").note == "Of its 2 pictures, the first is used."
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (255, 0, 0, 128)).save(clear, "png")
    assert "transparent" in read(clear.getvalue(), "b.png").note


def test_the_same_file_twice_is_kept_once(session):
    data = file()
    assert session.upload(data, "a.png") is session.upload(data, "b.png")


def test_the_same_style_twice_is_refused(session):
    given = session.upload(file(), "a.png")
    session.choose("style", given)
    with pytest.raises(Refused, match=r"a.png is among the styles already"):
        session.choose("style", given)


def test_there_is_an_end_of_uploads_and_of_styles(session, monkeypatch):
    monkeypatch.setattr(sessions, "MOST_IMAGES", 2)
    monkeypatch.setattr(sessions, "MOST_STYLES", 1)
    for _ in range(2):
        given = session.upload(file(), "a.png")
    with pytest.raises(Refused, match="keeps 2 of your images"):
        session.upload(file(), "a.png")
    session.choose("style", given)
    with pytest.raises(Refused, match="1 styles already"):
        session.choose("style", sessions.sample("woodcut_waves"))


# What is painted


def test_a_picture_gets_into_the_gallery_with_its_settings_inside(session):
    session.choose("content", session.upload(file((48, 40)), "me.png"))
    session.choose("style", session.upload(file((48, 48)), "waves.png"))
    session.set("style_weight", 30.0)
    session.set("size", (32,))
    session.set("steps", 1)
    assert session.preview.wait(60) == "finished"
    session.paint()
    assert session.painting.wait(60) == "finished" and session.preview is None
    session.collect()
    session.collect()  # nothing more
    (made,) = session.gallery
    found = records.read(made.file)
    assert (made.width, made.height, made.complete) == (32, 27, True)
    assert (found["content"], found["style"], found["style_weight"]) == ("me.png", ["waves.png"], 30.0)
    assert None not in (found["sha256"]["content"], found["sha256"]["style"][0])
    session.set("style_weight", 5.0)
    session.remove(session.chosen.content.key)
    session.again(made)
    assert session.chosen.values["style_weight"] == 30.0 and session.chosen.content.source.name == "me.png"
    session.set("style_weight", 7.0)
    assert made.chosen.values["style_weight"] == 30.0


def test_every_change_begins_the_preview_anew_and_the_size_does_not(session):
    session.choose("style", session.upload(file(), "a.png"))
    first = session.preview
    session.set("size", 64)
    assert session.preview is first
    session.set("style_weight", 7.0)
    assert session.preview is not first and session.preview.settings.style_weight == 7.0
    assert first.wait(60) in ("stopped", "finished")


def test_a_wrong_setting_is_a_sentence_and_ends_the_preview(session):
    session.choose("style", session.upload(file(), "a.png"))
    session.set("content_weight", -1.0)
    assert session.preview is None and "content_weight" in session.problem
    with pytest.raises(Refused, match="content_weight"):
        session.paint()
    session.set("content_weight", None)
    assert session.preview and not session.problem


def test_one_painting_at_a_time(session):
    session.choose("style", session.upload(file(), "a.png"))
    session.set("size", (32,))
    session.paint()
    session.painting.pause()
    with pytest.raises(Refused, match="A painting is under way"):
        session.paint()
    before = session.painting
    session.set("style_weight", 3.0)
    assert session.preview is None and session.painting is before  # it goes on


@pytest.mark.parametrize("keep", [False, True])
def test_with_the_last_page_the_work_ends_if_it_is_so_chosen(session, keep):
    session.choose("style", session.upload(file(), "a.png"))
    session.set("size", (32,))
    session.set("steps", 50)
    session.paint()
    session.painting.pause()
    session.pages, session.keep = 2, keep
    session.leave()
    assert session.painting.wait(0.7) == "paused"  # one page is open
    session.leave()
    if keep:
        session.painting.resume()
    assert session.painting.wait(60) == ("finished" if keep else "stopped")


# Regions


def test_a_region_is_the_strokes_less_what_was_erased():
    work = Brushwork(60, 40)
    work.begin(10, 10, 20)
    work.move(50, 20)
    y, x = np.mgrid[:40, :60]
    inside = np.hypot(x - np.clip(x, 10, 50), y - 20)  # distance from the stroke
    mask = work.mask()
    assert mask[inside < 4].all() and not mask[inside > 6.5].any()
    work.begin(10, 30, 20, erases=True)
    assert not work.mask()[20, 27:34].any() and work.mask()[20, [15, 45]].all()


def test_a_region_is_a_mask_for_its_style_and_the_rest_for_the_other(session):
    session.choose("content", session.upload(file((60, 40)), "me.png"))
    for name in ("a.png", "b.png"):
        session.choose("style", session.upload(file(), name))
    first, second = session.chosen.styles
    with pytest.raises(Refused, match="No other style has a region"):
        session.set_rest(second)
    work = Brushwork(60, 40)
    work.begin(30, 0, 20)
    session.set_region(first, work)
    session.set_rest(second)
    one, other = (masks.load(session.chosen.masks[style.key]) for style in (first, second))
    assert 0.1 < one.mean() < 0.5
    np.testing.assert_allclose(one + other, 1, atol=1e-6)
    painting = session.chosen.painting(session.painter)
    assert [mask.name for mask in painting.masks["content_masks"]] == ["region_1.png", "region_2.png"]
    session.set_region(first, None)
    assert first.key not in session.chosen.masks
    session.remove(session.chosen.content.key)
    assert not session.chosen.masks


def test_the_rest_of_a_large_photograph_has_the_shape_of_its_regions():
    work = Brushwork(2000, 1000)
    work.begin(100, 1000, 500)
    mask = all_but([work.source("a.png")], 2000, 1000, "b.png")
    assert masks.load(mask).shape == masks.load(work.source("a.png")).shape == (512, 1024)


def test_no_strokes_are_no_region():
    assert Brushwork(40, 20).source("a.png") is None


# Words


@pytest.mark.parametrize("name, text", [("steps", "100,20"), ("content_layers", "conv1_1:1,conv2_1:2"), ("seed", "3")])
def test_a_setting_is_shown_as_it_is_entered(name, text):
    from nst_numpy.cli.arguments import SETTINGS

    assert in_words(SETTINGS[name]["type"](text)) == text


# The command


def test_without_nicegui_the_command_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "nicegui", None)
    assert main(["studio"]) == 2
    assert capsys.readouterr().err == "nst-numpy: error: the studio needs NiceGUI: pip install 'nst_numpy[studio]'\n"
