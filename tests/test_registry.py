"""Downloads, against a server on this machine that also fails, cuts short, corrupts, redirects, dawdles and floods."""

import hashlib
import os
import re
import threading
import time
from dataclasses import FrozenInstanceError, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pooch
import pytest
from drawing import small_vgg

from nst_numpy import load_weights, save_weights
from nst_numpy.weights import formats, registry

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
        if self.path == "/tricks/file.h5":
            self.send_response(302)
            self.send_header("Location", "file:///etc/hostname")
            self.end_headers()
            return
        if self.path == "/short/file.h5":
            body = body[: length // 2]
        if self.path == "/corrupt/file.h5":
            body = body[:-1] + bytes([body[-1] ^ 1])
        if self.path == "/page/file.h5":
            body, length = b"<html>please log in</html>", 26
        if self.path == "/floods/file.h5":
            body, length = body * 9, 9 * length
        if self.path == "/silent/file.h5":  # the headers never end
            self.dawdle(b"HTTP/1.0 200 OK\r\nX-Padding: " + bytes(100))
            return
        self.send_response(status)
        self.send_header("Content-Length", str(length if status == 200 else len(body)))
        self.end_headers()
        if self.path == "/slow/file.h5":  # a byte now and then
            self.dawdle(body[:100])
        elif self.path == "/tired/file.h5":
            self.wfile.write(body[:2048])
            self.dawdle(body[2048:2148])
        elif self.path == "/steady/file.h5":
            self.dawdle(body, len(body) // 9 + 1)
        else:
            try:
                self.wfile.write(body)
            except OSError:  # the other side hung up
                assert self.path == "/floods/file.h5"

    def dawdle(self, data, chunk=1):
        for start in range(0, len(data), chunk):
            self.wfile.write(data[start : start + chunk])
            time.sleep(0.03)

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
    [
        ("fails", "503"),
        ("short", r"IncompleteRead\("),
        ("corrupt", r"expected md5 \w{32}, found \w{32}\);"),
        ("page", r"expected \d+ bytes, found 26\);"),
        ("floods", r"expected \d+ bytes, the server sends more\);"),
        ("tricks", "No connection adapters were found"),
    ],
)
def test_failures_leave_nothing_and_say_what_to_do(known, behaviour, reason, server):
    path = known(behaviour)
    with pytest.raises(OSError, match=f"can't download vgg19 .*{reason}") as failure:
        registry.fetch("vgg19", progress=False)
    said = str(failure.value)
    assert f"get {server}/{behaviour}/file.h5" in said and str(path) in said
    assert f"check that its md5 begins with {hashlib.md5(WEIGHTS).hexdigest()}" in said
    assert not path.parent.exists() or not list(path.parent.iterdir())


@pytest.mark.parametrize("behaviour", ["slow", "silent", "tired"])
def test_a_server_that_is_too_slow_is_left(known, monkeypatch, behaviour):
    """Each byte arrives within the socket's timeout, so that alone would wait for all of them."""
    monkeypatch.setattr(registry, "WINDOW", 0.25)
    monkeypatch.setattr(registry, "LEAST", 1)
    path = known(behaviour)
    with pytest.raises(OSError, match=r"can't download vgg19 \(only 0 bytes arrived in 0\.25 s\); get http"):
        registry.fetch("vgg19", progress=False)
    assert not list(path.parent.iterdir())
    time.sleep(0.1)
    assert not list(path.parent.iterdir())  # the thread writes no new file


def test_a_server_that_is_fast_enough_is_waited_for(known, monkeypatch):
    """The whole takes longer than the window, and no less than the least arrives in each."""
    path = known("steady")
    monkeypatch.setattr(registry, "WINDOW", 0.01)
    monkeypatch.setattr(registry, "LEAST", 0)
    assert registry.fetch("vgg19", progress=False) == path


def test_the_limits_of_downloads():
    """10 kB/s, over half a minute; and where no size is published, more than any known file has."""
    assert registry.LEAST / registry.WINDOW == 10_000 and registry.WINDOW == 30
    assert registry.LARGEST == 1 << 30 > 1.5 * max(known.size for known in registry.REGISTRY.values())


def test_downloads_hold_up_nothing(known, monkeypatch):
    """The thread of a download is abandoned when it is too slow: its socket must time out, and the program may end."""
    known("good")
    threads, options, downloader = [], {}, pooch.HTTPDownloader

    def recorded(**keywords):
        threads.append(threading.current_thread())
        options.update(keywords)
        return downloader(**keywords)

    monkeypatch.setattr(pooch, "HTTPDownloader", recorded)
    registry.fetch("vgg19", progress=False)
    assert options["timeout"] == 30 and threads[0].daemon and threads[0] is not threading.main_thread()


@pytest.mark.parametrize("room", [-1, 0])
def test_without_a_known_size_there_is_a_limit_all_the_same(known, monkeypatch, room):
    path = known("good", size=0)
    monkeypatch.setattr(registry, "LARGEST", len(WEIGHTS) + room)
    if room == 0:
        assert registry.fetch("vgg19", progress=False) == path
        return
    with pytest.raises(OSError, match=rf"expected {len(WEIGHTS) - 1} bytes, the server sends more"):
        registry.fetch("vgg19", progress=False)


@pytest.mark.parametrize("asked", [{}, {"progress": True}, {"progress": False}])
def test_the_progress_bar(known, capfd, asked):
    known("good")
    registry.fetch("vgg19", **asked)
    said = capfd.readouterr()
    assert ("100%" in said.err) == asked.get("progress", True) and "Traceback" not in said.err + said.out


def test_what_a_killed_download_left_is_removed(known, monkeypatch):
    """An hour later: until then, it may still be going on."""
    path, seen = known("good"), []
    of_now, of_old = (path.parent / f".nst_numpy_{name}" for name in ("now", "old"))
    for left in (of_now, of_old):
        left.mkdir(parents=True)
        (left / "tmp123").touch()
    os.utime(of_old, (0, 0))
    real = pooch.retrieve
    monkeypatch.setattr(pooch, "retrieve", lambda *a, **k: seen.append(a[3]) or real(*a, **k))
    assert registry.fetch("vgg19", progress=False) == path
    assert {p.name for p in path.parent.iterdir()} == {"file.h5", ".nst_numpy_now"}
    assert re.search(r"cache/\.nst_numpy_\w+$", seen[0]), "a download that is killed leaves its file there"


def test_several_downloads_into_one_cache(known):
    """All get the whole file."""
    path, found = known("good"), []
    together = [
        threading.Thread(target=lambda: found.append(registry.fetch("vgg19", progress=False))) for _ in range(3)
    ]
    for one in together:
        one.start()
    for one in together:
        one.join()
    assert found == [path] * 3 and path.read_bytes() == WEIGHTS and list(path.parent.iterdir()) == [path]


def test_an_interrupted_download_leaves_nothing(known, monkeypatch):
    path = known("slow")
    join = threading.Thread.join

    def interrupted(thread, timeout=None):
        join(thread, 0.1)
        raise KeyboardInterrupt

    monkeypatch.setattr(threading.Thread, "join", interrupted)
    with pytest.raises(KeyboardInterrupt):
        registry.fetch("vgg19", progress=False)
    assert not list(path.parent.iterdir())


def test_no_network(known, monkeypatch):
    path = known("good")
    entry = replace(registry.REGISTRY["vgg19"], url="http://127.0.0.1:9/file.h5")  # nobody listens there
    monkeypatch.setitem(registry.REGISTRY, "vgg19", entry)
    with pytest.raises(OSError, match=r"can't download vgg19 .*get http://127\.0\.0\.1:9/file\.h5 in another way"):
        registry.fetch("vgg19", progress=False)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(WEIGHTS)  # as the message says
    assert registry.fetch("vgg19") == path


def test_an_unpublished_hash_is_not_asked_for(known):
    known("fails", hash="")
    with pytest.raises(OSError, match=r"in another way, and put it at ") as failure:
        registry.fetch("vgg19", progress=False)
    assert "check that" not in str(failure.value)


def test_where_files_are_kept(monkeypatch, tmp_path):
    monkeypatch.setenv(registry.CACHE_VARIABLE, str(tmp_path))
    assert registry.CACHE_VARIABLE == "NST_NUMPY_CACHE"
    assert registry.location("vgg16-torchvision") == tmp_path / "vgg16-397923af.pth"
    for unset in (
        lambda: monkeypatch.setenv(registry.CACHE_VARIABLE, ""),
        lambda: monkeypatch.delenv("NST_NUMPY_CACHE"),
    ):
        unset()
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "user"))
        assert registry.location("vgg16-torchvision") == tmp_path / "user/nst_numpy/vgg16-397923af.pth"
    installed = tmp_path / "inside"
    installed.mkdir()
    monkeypatch.setattr(registry, "_PLACES", (installed, tmp_path / "beside"))
    assert registry.location("vgg19-mini") == tmp_path / "beside/vgg19-mini.h5"
    (installed / "vgg19-mini.h5").write_bytes(b"x")
    assert registry.location("vgg19-mini") == installed / "vgg19-mini.h5"
    with pytest.raises(
        ValueError, match=r"vgg19-mini\.h5 is not vgg19-mini: expected .* found 1; install the library again"
    ):
        registry.fetch("vgg19-mini")


@pytest.mark.parametrize(
    "size, digest, expected",
    [
        (5, "", ""),
        (0, "", ""),
        (6, "", "expected 6 bytes, found 5"),
        (4, "", "expected 4 bytes, found 5"),
        (5, "md5:5d41402abc4b2a76b9719d911017c592", ""),  # of "hello", as everybody knows it
        (0, "sha256:2cf24dba", ""),
        (
            0,
            "sha256:cf24dba5",
            "expected sha256 cf24dba5, found 2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e730[0-9a-f]*",
        ),
        (5, "md5:5d41402abc4b2a76b9719d911017c593", "expected md5 5d.*93, found 5d41402abc4b2a76b9719d911017c592"),
        (6, "md5:00", "expected 6 bytes, found 5"),
    ],
)
def test_what_is_wrong_with_a_file(tmp_path, size, digest, expected):
    path = tmp_path / "file"
    path.write_bytes(b"hello")
    known = replace(registry.REGISTRY["vgg19"], size=size, hash=digest)
    assert re.fullmatch(expected, known.mismatch(path))


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


# As published in Keras's vgg16.py and vgg19.py, on MatConvNet's page of models, in torchvision's and timm's sources,
# and in PyTorchNeuralStyleTransfer's download_models.sh.
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
BGR, RGB = "BGR, 0–255, less the mean of each colour", "RGB, 0–255, less the mean of each colour"
UNIT = "RGB, 0–1, less the mean and divided by the standard deviation of each colour"
OXFORD = "CC BY 4.0 (Simonyan and Zisserman, Visual Geometry Group, Oxford)"
TORCHVISION = "BSD-3-Clause (torchvision)"
PUBLISHED = {
    "vgg19": (
        f"{KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80134624,
        "md5:253f8cb515780f3b799900260a226db6",
        ("Keras HDF5", BGR, OXFORD),
    ),
    "vgg16": (
        f"{KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58889256,
        "md5:6d6bbae143d832006294945121d1f1fc",
        ("Keras HDF5", BGR, OXFORD),
    ),
    "vgg19-matconvnet": (
        "http://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
        534904783,
        "md5:49e623de543b207d57fab0f6eaf79a7e",
        ("MatConvNet", RGB, OXFORD),
    ),
    "vgg16-matconvnet": (
        "http://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-16.mat",
        0,
        "md5:7f0f9f01dfd99c7b7088d1c5a26eb483",
        ("MatConvNet", RGB, OXFORD),
    ),
    "vgg19-gatys": (
        "https://bethgelab.org/media/uploads/pytorch_models/vgg_conv.pth",
        0,
        "",
        ("PyTorch, layers by name", BGR, OXFORD),
    ),
    "vgg19-torchvision": (
        "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth",
        574673361,
        "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        ("PyTorch, torchvision", UNIT, TORCHVISION),
    ),
    "vgg16-torchvision": (
        "https://download.pytorch.org/models/vgg16-397923af.pth",
        0,
        "sha256:397923af",
        ("PyTorch, torchvision", UNIT, TORCHVISION),
    ),
    "vgg16-features": (
        "https://download.pytorch.org/models/vgg16_features-amdegroot-88682ab5.pth",
        0,
        "sha256:88682ab5",
        ("PyTorch, torchvision", RGB, OXFORD),
    ),
    "vgg19-timm": (
        "https://huggingface.co/timm/vgg19.tv_in1k/resolve/main/model.safetensors",
        0,
        "sha256:11aea017b543ff59233749d8f1cf544cda749378f5790d2fedab841fb86b7669",
        ("safetensors, torchvision", UNIT, TORCHVISION),
    ),
}


def test_the_registry_is_what_the_publishers_say():
    assert list(registry.REGISTRY) == ["vgg19-mini", *PUBLISHED]
    for name, (url, size, digest, other) in PUBLISHED.items():
        known = registry.REGISTRY[name]
        assert (known.url, known.size, known.hash) == (url, size, digest), name
        assert (known.layout, known.preprocessing, known.licence) == other, name
    mini, path = registry.REGISTRY["vgg19-mini"], registry.location("vgg19-mini")
    contents = formats.read(path)
    assert mini.url == "" and mini.size == path.stat().st_size and mini.layout == contents.layout
    assert mini.hash == "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()
    assert mini.preprocessing == RGB and np.allclose(contents.mean, [123.68, 116.779, 103.939])
    assert mini.licence == "BSD-3-Clause, with the terms of its training data; see its model card"
    files = [known.url.rsplit("/", 1)[1] for known in registry.REGISTRY.values() if known.url]
    assert len(set(files)) == len(files)  # they share one folder
    with pytest.raises(FrozenInstanceError):
        mini.size = 0


def test_the_table(known, monkeypatch, tmp_path):
    path = known("good", size=13_500_001, hash="md5:123")
    lines = registry.table().splitlines()
    at = lines.index("vgg19  (14 MB, Keras HDF5; not downloaded)")
    assert lines[at + 1 : at + 6] == [
        f"    {registry.REGISTRY['vgg19'].url}",
        "    md5:123",
        "    input: BGR, 0–255, less the mean of each colour",
        "    licence: CC BY 4.0 (Simonyan and Zisserman, Visual Geometry Group, Oxford)",
        "vgg16  (59 MB, Keras HDF5; not downloaded)",
    ]
    at = lines.index("vgg19-gatys  (PyTorch, layers by name; not downloaded)")
    assert lines[at + 2] == "    no hash is published"
    assert lines[0] == "vgg19-mini  (5 MB, nst_numpy; here)" and lines[1].startswith("    input: RGB")
    assert [line.split()[0] for line in lines if line[0] != " "] == list(registry.REGISTRY)
    path.parent.mkdir()
    path.write_bytes(b"x")
    monkeypatch.setattr(registry, "_PLACES", (tmp_path, tmp_path))
    lines = registry.table().splitlines()
    assert lines[0] == "vgg19-mini  (5 MB, nst_numpy; missing)" and "vgg19  (14 MB, Keras HDF5; here)" in lines


def test_identify(known, tmp_path):
    known("good")
    path = tmp_path / "renamed"
    path.write_bytes(WEIGHTS)
    assert registry.identify(path) == "vgg19"
    assert registry.identify(str(path)) == "vgg19"
    path.write_bytes(WEIGHTS[:-1])
    assert registry.identify(path) == ""
    known("good", hash="")  # a size alone identifies nothing
    path.write_bytes(WEIGHTS)
    assert registry.identify(path) == ""
