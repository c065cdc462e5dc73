"""Downloads, against a server on this machine that also fails, cuts short, corrupts and redirects."""

import hashlib
import threading
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from drawing import small_vgg

from nst_numpy import load_weights, save_weights
from nst_numpy.weights import registry

WEIGHTS = None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        body, length, status = WEIGHTS, len(WEIGHTS), 200
        if self.path == "/fails/file.h5":
            status, body = 503, b"busy"
        if self.path == "/redirects/file.h5":
            self.send_response(302)
            self.send_header("Location", "/good/file.h5")
            self.end_headers()
            return
        if self.path == "/short/file.h5":
            body = body[: length // 2]
        if self.path == "/corrupt/file.h5":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.path == "/page/file.h5":
            body, length = b"<html>please log in</html>", 26
        self.send_response(status)
        self.send_header("Content-Length", str(length if status == 200 else len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    global WEIGHTS
    path = tmp_path_factory.mktemp("served") / "file.h5"
    save_weights(path, small_vgg(last="conv1_2", dtype=np.float32, bias=1.0), source="test", licence="none")
    WEIGHTS = path.read_bytes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def known(server, tmp_path, monkeypatch):
    """Give the name "vgg19" to a file whose address on the server behaves so; return where it will be kept."""
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path / "cache"))

    def make(behaviour, **changes):
        of = {"size": len(WEIGHTS), "hash": "md5:" + hashlib.md5(WEIGHTS).hexdigest()} | changes
        entry = replace(registry.REGISTRY["vgg19"], url=f"{server}/{behaviour}/file.h5", **of)
        monkeypatch.setitem(registry.REGISTRY, "vgg19", entry)
        return tmp_path / "cache/file.h5"

    return make


@pytest.mark.parametrize("behaviour", ["good", "redirects"])
def test_a_name_is_downloaded_once(known, behaviour):
    path = known(behaviour)
    assert load_weights("vgg19").layers[-1] == "pool1"
    assert path.read_bytes() == WEIGHTS
    known("fails")  # no second download
    assert registry.fetch("vgg19") == path


@pytest.mark.parametrize("digest", ["", "sha256:" + "{:.8}"])
def test_hashes_published_in_part_or_not_at_all(known, digest):
    digest = digest.format(hashlib.sha256(WEIGHTS).hexdigest())
    path = known("good", hash=digest, size=0)
    assert registry.fetch("vgg19", progress=False) == path
    assert not registry.REGISTRY["vgg19"].mismatch(path)


@pytest.mark.parametrize(
    "behaviour, reason",
    [("fails", "503"), ("short", ""), ("corrupt", "expected md5 .*, found "), ("page", "expected .* bytes, found 26")],
)
def test_failures_leave_nothing_and_say_what_to_do(known, behaviour, reason, server):
    path = known(behaviour)
    with pytest.raises(OSError, match=f"can't download vgg19 .*{reason}") as failure:
        registry.fetch("vgg19", progress=False)
    said = str(failure.value)
    assert f"get {server}/{behaviour}/file.h5" in said and str(path) in said
    assert f"check that its md5 begins with {hashlib.md5(WEIGHTS).hexdigest()}" in said
    assert not path.parent.exists() or not list(path.parent.iterdir())


def test_no_network(known, monkeypatch):
    path = known("good")
    entry = replace(registry.REGISTRY["vgg19"], url="http://127.0.0.1:9/file.h5")  # nobody listens there
    monkeypatch.setitem(registry.REGISTRY, "vgg19", entry)
    with pytest.raises(OSError, match=r"can't download vgg19 .*get http://127\.0\.0\.1:9/file\.h5 in another way"):
        registry.fetch("vgg19", progress=False)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(WEIGHTS)  # as the message says
    assert registry.fetch("vgg19") == path


def test_a_wrong_file_in_the_cache_is_neither_used_nor_overwritten(known):
    path = known("good")
    path.parent.mkdir()
    path.write_bytes(b"something else")
    with pytest.raises(ValueError, match=r"file.h5 is not vgg19: expected \d+ bytes, found 14; delete it"):
        registry.fetch("vgg19")
    assert path.read_bytes() == b"something else"


def test_unknown_names_and_the_network_in_the_box(monkeypatch, tmp_path):
    with pytest.raises(
        ValueError,
        match=r"unknown weights 'vgg91'; did you mean vgg19\? there are vgg19-mini, vgg19, .*, or a weight file",
    ):
        registry.fetch("vgg91")
    assert registry.fetch("vgg19-mini").name == "vgg19-mini.h5"
    assert registry.identify(registry.fetch("vgg19-mini")) == "vgg19-mini"
    monkeypatch.setattr(registry, "_PLACES", (tmp_path, tmp_path))
    with pytest.raises(FileNotFoundError, match="the network vgg19-mini is missing from this installation"):
        registry.fetch("vgg19-mini")


def test_the_register_itself():
    for name, known in registry.REGISTRY.items():
        assert known.layout and known.preprocessing and known.licence, name
        assert not known.url or known.url.rsplit("/", 1)[1].endswith((".h5", ".pth", ".mat", ".safetensors")), name
        method, _, digits = known.hash.partition(":")
        assert method in ("", "md5", "sha256") and set(digits) <= set("0123456789abcdef"), name
    files = [known.url.rsplit("/", 1)[1] for known in registry.REGISTRY.values() if known.url]
    assert len(set(files)) == len(files)  # they share one folder
    assert all(name in registry.table() for name in registry.REGISTRY)


def test_identify(known, tmp_path):
    known("good")
    path = tmp_path / "renamed"
    path.write_bytes(WEIGHTS)
    assert registry.identify(path) == "vgg19"
    path.write_bytes(WEIGHTS[:-1])
    assert registry.identify(path) == ""
