"""The studio in a real browser: from the first visit to a finished picture, and what must not go wrong on the way.

Needs NiceGUI, playwright and Debian's Chromium, and takes minutes: `pytest tests/test_studio_page.py --studio`.
"""

import contextlib
import http.client
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nst_numpy import images, records, samples, transfer
from nst_numpy.painting import Motif
from nst_numpy.settings import Settings

WIDTHS = 360, 390, 768, 1366
PATIENCE = 90_000  # milliseconds; the first painting compiles the kernels

NAMELESS = """() => [...document.querySelectorAll("button, select, input, a[href], [role=tab], [tabindex='0'], img")]
    .filter(each => each.checkVisibility())
    .filter(each => !(each.labels?.length || each.ariaLabel || each.textContent.trim() || each.hasAttribute("alt")
        || each.getAttribute("aria-labelledby") || each.closest("[role=img][aria-label]")))
    .map(each => each.outerHTML.slice(0, 120))"""


@pytest.fixture(autouse=True)
def wanted(request):
    if not request.config.getoption("--studio"):
        pytest.skip("operates the studio in a browser; run it with --studio")


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        yield chromium
        chromium.close()


class Server:
    """A studio in a process of its own."""

    def __init__(self, folder, *options):
        command = [sys.executable, "-m", "nst_numpy", "studio", "--no-browser", "--port", "0", *options]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(command, cwd=folder, **pipes)
        self.says, self.folder = "", folder
        while "?token=" not in self.says:
            line = self.process.stdout.readline()
            assert line, self.says
            self.says += line
        self.address = re.search(r"http://\S+", self.says)[0]
        self.port = int(re.search(r":(\d+)/", self.address)[1])
        self.token = self.address.partition("token=")[2]

    def stop(self):
        """End it by Ctrl-C; return what it says."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.says += self.process.communicate(timeout=60)[0]
        return self.says


@pytest.fixture(scope="module")
def server(tmp_path_factory, request):
    if not request.config.getoption("--studio"):
        pytest.skip("operates the studio in a browser; run it with --studio")
    running = Server(tmp_path_factory.mktemp("studio"))
    yield running
    says = running.stop()
    assert "Traceback" not in says, says
    assert running.process.returncode == 130


@pytest.fixture
def page(browser, server):
    yield from opened(browser, server)


def opened(browser, server):
    context = browser.new_context(viewport={"width": 1366, "height": 900}, accept_downloads=True)
    context.set_default_timeout(PATIENCE)
    page, wrong = context.new_page(), []
    watch(page, server, wrong)
    page.goto(server.address)
    page.wait_for_selector(".studio")
    yield page
    context.close()
    assert not wrong


def watch(page, server, wrong):
    """Note errors, and requests that leave the studio."""
    own = (f"http://127.0.0.1:{server.port}/", "data:", "blob:")
    expected = re.compile("422|404")  # of bad uploads, which the page answers with a sentence
    page.on("console", lambda m: m.type == "error" and not expected.search(m.text) and wrong.append(m.text))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: request.url.startswith(own) or wrong.append(request.url))


@pytest.fixture
def files(tmp_path):
    samples.portrait().resize((96, 112)).save(tmp_path / "me at home.png")
    samples.woodcut_waves(96).save(tmp_path / "waves.png")
    return tmp_path / "me at home.png", tmp_path / "waves.png"


def give(page, *paths):
    """Choose files for the photograph, and for the styles."""
    for role, path in zip(("content", "style"), paths, strict=False):
        number = page.locator(".thumbnails li").count()
        page.set_input_files(f"[data-role={role}]", path)
        page.locator(".thumbnails li").nth(number).wait_for()


def wait_for(page, text):
    page.locator(".detail").filter(has_text=text).wait_for()


def set_size(page, size=128):
    page.get_by_label("Size", exact=True).fill(str(size))


def set_steps(page, steps):
    with contextlib.suppress(Exception):
        if not page.locator("details.more").evaluate("each => each.open"):
            page.locator("details.more summary").click()
    page.get_by_label("Steps", exact=True).fill(str(steps))
    page.get_by_label("Steps", exact=True).press("Enter")


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def downloaded(page, act):
    with page.expect_download() as waiting:
        act()
    path = Path(waiting.value.path())
    found = path.with_suffix(".png")
    shutil.copyfile(path, found)
    return waiting.value.suggested_filename, found


# From opening to a finished picture


def test_by_mouse_alone(page, files):
    for role, path in zip(("content", "style"), files, strict=True):
        area = page.locator(".drop").nth(("content", "style").index(role))
        with page.expect_file_chooser() as waiting:
            area.click()
        waiting.value.set_files(path)
        page.locator(".thumbnails li").nth(("content", "style").index(role)).wait_for()
    wait_for(page, "Preview of 160 pixels: finished")
    slider = page.get_by_label("Size", exact=True).bounding_box()
    page.mouse.click(slider["x"] + 2, slider["y"] + slider["height"] / 2)
    page.get_by_text("128 pixels").wait_for()
    page.get_by_role("button", name="Paint", exact=True).click()
    wait_for(page, "Painting: finished")
    link = page.locator(".easel").get_by_role("link", name="Download")
    name, path = downloaded(page, link.click)
    assert name.endswith(".png") and "me at home" in name
    found = records.read(path)
    assert (found["content"], found["style"], found["size"]) == ("me at home.png", ["waves.png"], 128)
    assert found["sha256"]["content"] == records.digest(files[0])
    expected = transfer(*files, size=128, progress=False).image
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    source = page.locator(".picture img").first.get_attribute("src")
    assert source.startswith("/live?")


def test_by_keyboard_alone(page):
    focused = """() => { const e = document.activeElement;
        return e.ariaLabel || e.labels?.[0]?.textContent || e.textContent.trim(); }"""

    def tab_to(name):
        for _ in range(120):
            page.keyboard.press("Tab")
            if page.evaluate(focused).startswith(name):
                return
        raise AssertionError(f"Tab does not lead to {name}")

    for role, words, name in (
        ("Photograph", "A portrait", "portrait.png"),
        ("Painting", "Woodcut waves", "woodcut_waves.png"),
    ):
        tab_to(f"{role}: samples")
        page.keyboard.press("Enter")
        tab_to(words)
        page.keyboard.press("Space")
        page.get_by_text(name, exact=True).wait_for()
    tab_to("Size")
    page.keyboard.press("Home")
    page.get_by_text("128 pixels").wait_for()
    tab_to("All other settings")
    page.keyboard.press("Enter")
    tab_to("Steps")
    page.keyboard.press("Control+a")
    page.keyboard.type("4")
    tab_to("Paint")
    page.keyboard.press("Enter")
    wait_for(page, "Painting: finished")
    page.locator(".easel").get_by_role("link", name="Download").wait_for()
    page.evaluate("document.activeElement.blur()")
    tab_to("Download")
    while "easel" not in page.evaluate("document.activeElement.closest('section').className"):
        tab_to("Download")
    name, path = downloaded(page, lambda: page.keyboard.press("Enter"))
    assert records.read(path)["steps"] == [4] and name.startswith("portrait-woodcut_waves")
    tab_to("Losses")
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Again with the settings").first.wait_for()


# What the numbers are


def test_the_numbers_at_a_pixel_are_the_librarys(page, files):
    give(page, *files)
    wait_for(page, "Preview of 160 pixels: finished")
    page.get_by_label("Step", exact=False).locator("visible=true").last.wait_for()
    page.locator("#step").fill("0")  # the start, which is the photograph
    page.get_by_text("picture 0 of").wait_for()
    page.wait_for_function("document.querySelector('.picture img').src.includes('at=0')")
    box = page.locator(".picture img").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.4, box["y"] + box["height"] * 0.3)
    page.get_by_text("by the backward sweep").wait_for()
    y, x = (int(page.get_by_label(name, exact=True).input_value()) for name in ("Row", "Column"))
    assert (abs(y - 0.3 * 160), abs(x - 0.4 * 137)) < (1.5, 1.5)

    motif = Motif(files[0], files[1], Settings(size=(160,)))
    picture = motif.content_at(160)
    objective = motif.stage(160, 1).function
    _, gradient, parts = objective(picture)
    rows = page.locator(".tables table").first.locator("tbody tr").all()
    shown = {row.locator("th").inner_text(): [float(v) for v in row.locator("td").all_inner_texts()] for row in rows}
    np.testing.assert_allclose(shown.pop("gradient ∂L/∂x"), gradient[y, x], rtol=2e-3)
    total = shown.pop("sum")
    np.testing.assert_allclose(total, gradient[y, x], rtol=5e-3, atol=1e-3 * np.abs(gradient[y, x]).max())
    assert len(shown) == len(parts) - 2  # all but the total and the sum over the style layers
    np.testing.assert_allclose(np.sum(list(shown.values()), axis=0), total, rtol=1e-2, atol=5e-8)
    error = page.get_by_role("row", name="relative error").locator("td").inner_text()
    assert float(error.split()[0]) < 1e-3


def test_layers_losses_and_code_are_shown(page, files):
    give(page, *files)
    wait_for(page, "Preview of 160 pixels: finished")
    tab(page, "Losses")
    page.get_by_role("row", name="total").wait_for()
    assert page.locator(".curves polyline").count() >= 6
    tab(page, "Layers")
    page.get_by_text("G − A", exact=True).wait_for()
    titles = page.locator("figcaption b").all_inner_texts()
    assert {"F", "P", "F − P", "G", "A", "G − A", "ReLU mask", "injected by content", "injected by style"} <= {*titles}
    assert all(page.locator("figure img").evaluate_all("all => all.map(each => each.naturalWidth > 1)"))
    page.get_by_label("Layer", exact=True).select_option("conv1_1")
    page.get_by_text("conv1_1: 137×160 positions").wait_for()
    page.get_by_label("Filter", exact=True).fill("3")
    page.get_by_label("Filter", exact=True).press("Enter")
    page.get_by_text("The maps show filter 3.").wait_for()
    tab(page, "Code")
    page.get_by_text('nst_numpy.transfer("me at home.png", "waves.png"').wait_for()
    page.get_by_text("nst-numpy transfer 'me at home.png' waves.png").wait_for()


def test_steps_can_be_gone_through_forward_and_back(page, files):
    give(page, *files)
    wait_for(page, "finished")
    set_size(page)
    page.get_by_role("button", name="Paint", exact=True).click()
    wait_for(page, "Painting: painting")
    page.get_by_role("button", name="Pause").click()
    wait_for(page, "Painting: paused")

    def at():
        return int(re.search(r"picture (\d+) of", page.locator("[for=step]").inner_text())[1])

    page.wait_for_timeout(1000)  # the last pictures arrive
    last = at()
    page.get_by_role("button", name="One step forward").click()
    page.get_by_text(f"picture {last + 1} of {last + 1}").wait_for()
    wait_for(page, "Painting: paused")
    page.get_by_role("button", name="One step back").click()
    page.get_by_text(f"picture {last} of {last + 1}").wait_for()
    page.wait_for_function(f"document.querySelector('.picture img').src.includes('at={last}')")
    page.get_by_role("button", name="Resume").click()
    wait_for(page, "Painting: painting")
    page.get_by_role("button", name="Stop").click()
    wait_for(page, "Painting: stopped")
    tab(page, "Gallery")
    page.locator(".gallery .name").filter(has_text="stopped").first.wait_for()


def test_a_region_is_painted_with_the_brush(page, files):
    give(page, *files)
    page.get_by_role("button", name="Region of waves.png").click()
    page.locator(".canvas img").click(trial=True)  # when the dialog has come to rest
    box = page.locator(".canvas img").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 20)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20, steps=6)
    page.mouse.up()
    page.locator(".canvas").focus()  # and on from there by keyboard
    page.keyboard.press("Space")
    for _ in range(8):
        page.keyboard.press("ArrowDown")
    page.locator(".canvas polyline").nth(1).wait_for(state="attached")
    page.get_by_role("button", name="Use this region").click()
    name, path = downloaded(page, page.get_by_role("link", name="Download the region").click)
    mask = images.load(path)[..., 0]
    assert name == "region_1.png" and 0.03 < mask.mean() < 0.5
    assert mask[8, 20] == 1 and mask[-1, 0] == 0
    tab(page, "Code")
    page.get_by_text("--content-masks region_1.png").wait_for()


# What goes wrong


def test_bad_files_are_answered_with_a_sentence_and_nothing_is_lost(page, files, tmp_path):
    give(page, *files)
    alert = page.locator("#alert")
    noise = np.random.default_rng(0).integers(0, 256, 100 << 20, np.uint8)
    (tmp_path / "large.png").write_bytes(noise.tobytes())
    Image.new("1", (20_000, 20_000)).save(tmp_path / "vast.png")
    (tmp_path / "letter.jpg").write_text("Dear reader")
    (tmp_path / "IMG_1.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(100))
    (tmp_path / "<b>.png").write_bytes(b"")
    for name, words in [
        ("letter.jpg", "letter.jpg is not an image"),
        ("vast.png", "million pixels"),
        ("IMG_1.heic", "HEIC"),
        ("large.png", "64"),
        ("<b>.png", "<b>.png is empty"),
    ]:
        page.set_input_files("[data-role=style]", tmp_path / name)
        alert.filter(has_text=words).wait_for()
        assert "\n" not in alert.inner_text() and "Traceback" not in alert.inner_text()
    page.set_input_files("[data-role=style]", files[1])
    alert.filter(has_text="waves.png is among the styles already").wait_for()
    assert page.locator(".thumbnails li").count() == 2
    set_steps(page, "many")
    alert.filter(has_text="Steps: expected").wait_for()
    set_steps(page, "0")
    Image.new("RGBA", (64, 64), (200, 30, 30, 90)).save(tmp_path / "clear.png")
    page.set_input_files("[data-role=style]", tmp_path / "clear.png")
    page.get_by_text("transparent areas").wait_for()


def test_a_reload_in_the_middle_and_a_second_tab(page, files, server):
    give(page, *files)
    set_size(page, 192)
    page.get_by_role("button", name="Paint", exact=True).click()
    wait_for(page, "Painting: painting")
    page.reload()
    wait_for(page, "Painting:")
    assert page.locator(".thumbnails li").count() == 2
    other, wrong = page.context.new_page(), []
    watch(other, server, wrong)
    other.goto(f"http://127.0.0.1:{server.port}/")
    wait_for(other, "Painting:")
    assert other.get_by_role("button", name="Paint", exact=True).is_disabled()
    other.get_by_role("button", name="Stop").click()
    wait_for(page, "Painting: stopped")
    other.get_by_role("button", name="Remove waves.png").click()
    page.get_by_text("waves.png", exact=True).wait_for(state="detached")
    for one in (page, other):
        tab(one, "Gallery")
        one.get_by_role("link", name="Open me at home-waves").first.wait_for()
    assert not wrong


@pytest.mark.parametrize("keep", [False, True])
def test_leaving_the_page_stops_the_work_or_keeps_it(page, files, server, keep):
    give(page, *files)
    set_size(page, 512)
    set_steps(page, 500)
    if not keep:
        page.get_by_label("Go on painting").uncheck()
    page.get_by_role("button", name="Paint", exact=True).click()
    wait_for(page, "Painting: painting")
    context = page.context
    page.close()
    time.sleep(15)  # the server waits for 10 seconds whether the page comes back
    again = context.new_page()
    again.goto(f"http://127.0.0.1:{server.port}/")
    wait_for(again, "Painting: painting" if keep else "Painting: stopped")
    if keep:
        again.get_by_role("button", name="Stop").click()
        wait_for(again, "Painting: stopped")


def test_what_is_typed_stays_while_the_page_changes(page, files):
    give(page, *files)
    set_size(page, 256)
    set_steps(page, 400)
    wait_for(page, "finished")
    page.get_by_role("button", name="Paint", exact=True).click()
    steps, seed, zoom = (page.get_by_label(name, exact=True) for name in ("Steps", "Seed", "Zoom"))
    zoom.fill("300")
    for control, text in ((steps, "12"), (seed, "7")):
        wait_for(page, "Painting: painting, step")
        control.fill("")
        for key in text:
            said = page.locator(".detail").inner_text()
            page.wait_for_function("said => document.querySelector('.detail').innerText != said", arg=said)
            control.press(key)
        said = page.locator(".detail").inner_text()
        page.wait_for_function("said => document.querySelector('.detail').innerText != said", arg=said)
        assert control.input_value() == text
        control.press("Enter")
    page.get_by_role("button", name="Stop").click()
    wait_for(page, "Painting: stopped")
    assert [each.input_value() for each in (steps, seed, zoom)] == ["12", "7", "300"]


def test_settings_stay_unfolded_when_their_defaults_change(page):
    page.locator("details.more summary").click()
    content_weight = page.get_by_label("Content weight", exact=True)
    before = content_weight.element_handle()
    page.get_by_label("Convention", exact=True).select_option("coursera")
    page.wait_for_function("each => !each.isConnected", arg=before)
    content_weight.wait_for()
    assert page.locator("details.more").evaluate("each => each.open")


def test_when_the_server_ends_nothing_is_lost(browser, files, tmp_path):
    running = Server(tmp_path)
    try:
        visit = opened(browser, running)
        page = next(visit)
        give(page, *files)
        set_size(page, 128)
        set_steps(page, 3)
        for _ in range(2):
            wait_for(page, "finished")
            page.get_by_role("button", name="Paint", exact=True).click()
            wait_for(page, "Painting: finished")
        tab(page, "Gallery")
        page.wait_for_function("document.querySelectorAll('.gallery img').length == 2")
        set_size(page, 512)
        set_steps(page, 500)
        wait_for(page, "finished")
        page.get_by_role("button", name="Paint", exact=True).click()
        wait_for(page, "Painting: painting")
        before = page.locator(".picture img").first.get_attribute("src")
        assert before
        says = running.stop()
        page.get_by_text("The studio does not answer").wait_for()
        link = page.locator(".gallery").get_by_role("link", name="Download").last
        _, path = downloaded(page, link.click)
        assert records.read(path)["steps"] == [3]
    finally:
        running.stop()
    assert "3 pictures that nobody had downloaded: studio_pictures" in says
    kept = [records.read(path) for path in sorted((tmp_path / "studio_pictures").iterdir())]
    assert sorted(one["complete"] for one in kept) == [False, True, True]


# Who may enter


def ask(server, path="/", method="GET", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=names)
    answer = connection.getresponse()
    body = answer.read().decode(errors="replace")
    connection.close()
    return answer, body


def test_only_the_token_opens(server):
    for path in (
        "/",
        "/?token=wrong",
        "/help",
        "/live",
        "/pictures/a",
        "/_nicegui_ws/socket.io/?EIO=4&transport=polling",
    ):
        answer, body = ask(server, path)
        assert answer.status == 403 and "locked" in body, path
    assert ask(server, "/images/content", "POST")[0].status == 403
    answer, _ = ask(server, f"/?token={server.token}")
    cookies = answer.headers.get_all("Set-Cookie")
    assert answer.status == 303 and answer.headers["Location"] == "/"
    assert len(cookies) == 2 and all("HttpOnly" in c and "SameSite=lax" in c for c in cookies)


@pytest.fixture
def cookie(server):
    answer, _ = ask(server, f"/?token={server.token}")
    return "; ".join(c.partition(";")[0] for c in answer.headers.get_all("Set-Cookie"))


def test_other_origins_and_hosts_are_refused(server, cookie):
    own = f"http://127.0.0.1:{server.port}"
    assert ask(server, Cookie=cookie)[0].status == 200
    assert ask(server, Cookie=cookie, Origin=own)[0].status == 200
    for origin in ("http://evil.example", f"http://127.0.0.1:{server.port + 1}", "null"):
        assert ask(server, Cookie=cookie, Origin=origin)[0].status == 403, origin
        assert ask(server, "/images/style", "POST", Cookie=cookie, Origin=origin)[0].status == 403
    assert ask(server, Cookie=cookie, Host=f"evil.example:{server.port}")[0].status == 403


@pytest.mark.parametrize(
    "origin, right, status",
    [("own", True, 101), ("own", False, 403), ("http://evil.example", True, 403), (None, True, 403)],
)
def test_the_websocket_has_the_same_gate(server, cookie, origin, right, status):
    headers = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec_WebSocket_Version": "13",
        "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ==",
        "Cookie": cookie if right else "",
    }
    if origin:
        headers["Origin"] = f"http://127.0.0.1:{server.port}" if origin == "own" else origin
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request("GET", "/_nicegui_ws/socket.io/?EIO=4&transport=websocket", headers=names)
    assert connection.getresponse().status == status
    connection.close()


def test_nobody_sees_the_pictures_of_another_browser(server, cookie, page, files):
    give(page, *files)
    wait_for(page, "finished")
    image = page.locator(".thumbnails img").first.get_attribute("src")
    mine = "; ".join(f"{c['name']}={c['value']}" for c in page.context.cookies())
    assert ask(server, image, Cookie=mine)[0].status == 200
    assert ask(server, image, Cookie=cookie)[0].status == 404
    assert ask(server, "/live", Cookie=mine)[0].status == 200
    assert ask(server, "/live", Cookie=cookie)[0].status == 204


def test_a_name_from_outside_is_never_a_path(server, cookie, tmp_path):
    for path in ("/pictures/..%2f..%2fetc%2fpasswd", "/images/..%2f..%2fetc%2fpasswd", "/regions/%2fetc%2fpasswd"):
        assert ask(server, path, Cookie=cookie)[0].status == 404, path


# How it looks


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_every_window_and_all_controls_have_names(page, files, scheme):
    give(page, *files)
    wait_for(page, "finished")
    page.emulate_media(color_scheme=scheme)
    page.locator("details.more summary").click()
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground)[:3])) > 384) == (scheme == "light")
    for name in ("Losses", "Layers", "Pixel", "Code", "Gallery"):
        tab(page, name)
        page.wait_for_timeout(300)
        assert page.evaluate(NAMELESS) == []
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
        page.set_viewport_size({"width": 1366, "height": 900})


def test_every_setting_has_its_help(page, server):
    links = page.locator(".help a[href^='/help#']").evaluate_all("all => all.map(each => each.hash.slice(1))")
    page.goto(f"http://127.0.0.1:{server.port}/help")
    assert len(links) >= 15
    for name in links:
        assert page.locator(f"[id='{name}']").count() == 1, name


# The command


def test_open_to_others_it_says_so_in_one_line(tmp_path):
    running = Server(tmp_path, "--host", "0.0.0.0")
    says = running.stop()
    assert says.splitlines()[0].startswith(f"Whoever reaches port {running.port} of this computer and has the token")
    assert "Traceback" not in says
