"""The official VGG weight files: addresses, hashes, layouts and licences.

`fetch` downloads one, once, into a folder of the user's. Every other function works on files.
"""

import hashlib
import io
import os
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nst_numpy import images
from nst_numpy.validation import check_choice

CACHE_VARIABLE = "NST_NUMPY_CACHE"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
VLFEAT = "http://www.vlfeat.org/matconvnet/models"
PYTORCH = "https://download.pytorch.org/models"
OXFORD = "CC BY 4.0 (Simonyan and Zisserman, Visual Geometry Group, Oxford)"
TORCHVISION = "BSD-3-Clause (torchvision)"
BGR = "BGR, 0–255, less the mean of each colour"
RGB = "RGB, 0–255, less the mean of each colour"
UNIT = "RGB, 0–1, less the mean and divided by the standard deviation of each colour"

LARGEST = 2**30  # bytes, where no size is published; the largest known file has 575 MB
TIMEOUT = 30  # seconds of silence
WINDOW, LEAST = 30.0, 300_000  # a download is given up after so many seconds in which fewer bytes than this arrive


@dataclass(frozen=True)
class Known:
    """One file of the registry.

    Attributes
    ----------
    url : str
        Empty for the network that comes with the library.
    size : int
        In bytes; 0 if it is not published.
    hash : str
        "md5:…" or "sha256:…", of which the first digits may be all that is published; empty if nothing is.
    layout : str
    preprocessing : str
        What the network was trained on; the reader converts it.
    licence : str

    Examples
    --------
    >>> REGISTRY["vgg16"].size, REGISTRY["vgg16"].hash
    (58889256, 'md5:6d6bbae143d832006294945121d1f1fc')
    """

    url: str
    size: int
    hash: str
    layout: str
    preprocessing: str
    licence: str

    def mismatch(self, path: Path) -> str:
        """What is wrong with a file that should be this one: "expected …, found …"; empty if nothing is.

        Examples
        --------
        >>> REGISTRY["vgg19"].mismatch(location("vgg19-mini"))
        'expected 80134624 bytes, found 4939928'
        """
        size = path.stat().st_size
        if self.size and size != self.size:
            return f"expected {self.size} bytes, found {size}"
        method, _, digits = self.hash.partition(":")
        if not method:
            return ""
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        return "" if found.startswith(digits) else f"expected {method} {digits}, found {found}"


REGISTRY = {
    "vgg19-mini": Known(
        "",
        4939928,
        "sha256:dbd9370b5ace186e6cc8799d7b5287aea696af2d70bf60e6e31123b9993b54cd",
        "nst_numpy",
        RGB,
        "BSD-3-Clause, with the terms of its training data; see its model card",
    ),
    "vgg19": Known(
        f"{KERAS}/vgg19/vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5",
        80134624,
        "md5:253f8cb515780f3b799900260a226db6",
        "Keras HDF5",
        BGR,
        OXFORD,
    ),
    "vgg16": Known(
        f"{KERAS}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
        58889256,
        "md5:6d6bbae143d832006294945121d1f1fc",
        "Keras HDF5",
        BGR,
        OXFORD,
    ),
    "vgg19-matconvnet": Known(
        f"{VLFEAT}/imagenet-vgg-verydeep-19.mat",
        534904783,
        "md5:49e623de543b207d57fab0f6eaf79a7e",
        "MatConvNet",
        RGB,
        OXFORD,
    ),
    "vgg16-matconvnet": Known(
        f"{VLFEAT}/imagenet-vgg-verydeep-16.mat",
        0,
        "md5:7f0f9f01dfd99c7b7088d1c5a26eb483",
        "MatConvNet",
        RGB,
        OXFORD,
    ),
    "vgg19-gatys": Known(
        "https://bethgelab.org/media/uploads/pytorch_models/vgg_conv.pth",
        0,
        "",
        "PyTorch, layers by name",
        BGR,
        OXFORD,
    ),
    "vgg19-torchvision": Known(
        f"{PYTORCH}/vgg19-dcbb9e9d.pth",
        574673361,
        "sha256:dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        "PyTorch, torchvision",
        UNIT,
        TORCHVISION,
    ),
    "vgg16-torchvision": Known(
        f"{PYTORCH}/vgg16-397923af.pth",
        0,
        "sha256:397923af",
        "PyTorch, torchvision",
        UNIT,
        TORCHVISION,
    ),
    "vgg16-features": Known(
        f"{PYTORCH}/vgg16_features-amdegroot-88682ab5.pth",
        0,
        "sha256:88682ab5",
        "PyTorch, torchvision",
        RGB,
        OXFORD,
    ),
    "vgg19-timm": Known(
        "https://huggingface.co/timm/vgg19.tv_in1k/resolve/main/model.safetensors",
        0,
        "sha256:11aea017b543ff59233749d8f1cf544cda749378f5790d2fedab841fb86b7669",
        "safetensors, torchvision",
        UNIT,
        TORCHVISION,
    ),
}


# The network that comes with the library lies in the package when it is installed, and in weights/ in a checkout.
_PLACES = (Path(__file__).parent, Path(__file__).parents[2] / "weights")


def location(name: str) -> Path:
    """Where the file of this name is, or will be once it has been downloaded.

    Downloads are kept in the folder that the environment variable NST_NUMPY_CACHE names, otherwise in the user's cache
    folder.

    Raises
    ------
    ValueError
        If there is no such name; the message names the nearest.

    Examples
    --------
    >>> location("vgg19").name
    'vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5'
    """
    check_choice("weights", name, REGISTRY, "a weight file")
    if not REGISTRY[name].url:
        inside, beside = (folder / f"{name}.h5" for folder in _PLACES)
        return inside if inside.exists() else beside
    import pooch  # brings a whole web client along: only where it is needed

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("nst_numpy")) / REGISTRY[name].url.rsplit("/", 1)[1]


def fetch(name: str, progress: bool = True) -> Path:
    """The path of a file of the registry, downloaded at the first call.

    A download gets its name only after it has been checked. A failed one leaves nothing behind. It is stopped once it
    exceeds the file's size, or as soon as a server delivers less than 10 kB/s for half a minute.

    Parameters
    ----------
    name : str
    progress : bool
        Show a progress bar.

    Returns
    -------
    Path

    Raises
    ------
    ValueError
        If there is no such name, or the file there is not the one in the registry.
    OSError
        If it can't be downloaded; the message gives the address and the hash, and where to put the file by hand.

    Examples
    --------
    >>> fetch("vgg19-mini").name
    'vgg19-mini.h5'
    """
    path = location(name)
    known = REGISTRY[name]
    if path.exists():
        if wrong := known.mismatch(path):
            mend = "delete it, and it will be downloaded again" if known.url else "install the library again"
            raise ValueError(f"{path} is not {name}: {wrong}; {mend}")
        return path
    if not known.url:
        raise FileNotFoundError(f"the network {name} is missing from this installation: expected {path}")

    import pooch

    def download(url: str, to: str, _: Any) -> None:
        _download(url, Path(to), known.size or LARGEST, progress)
        if wrong := known.mismatch(Path(to)):
            raise OSError(wrong)

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        images.remove_leftovers(path.parent)
        with tempfile.TemporaryDirectory(prefix=images.UNFINISHED, dir=path.parent) as folder:
            os.replace(pooch.retrieve(known.url, None, path.name, folder, downloader=download), path)
    except (OSError, ValueError) as error:
        digest = f", check that its {known.hash.replace(':', ' begins with ')}" if known.hash else ""
        raise OSError(
            f"can't download {name} ({' '.join(str(error).split())}); get {known.url} in another way{digest}, "
            f"and put it at {path}"
        ) from None
    return path


class _Limited(io.FileIO):
    """A new file that refuses to grow beyond a limit, in bytes."""

    def __init__(self, path: Path, limit: int) -> None:
        super().__init__(path, "w")
        self.limit, self.received = limit, 0

    def write(self, data: Any) -> int:
        self.received += len(data)
        if self.received > self.limit:
            raise OSError(f"expected {self.limit} bytes, the server sends more")
        return super().write(data)


def _download(url: str, to: Path, limit: int, progress: bool) -> None:
    """Download a file, in a thread that is abandoned if the server is too slow.

    The timeout of a socket alone does not suffice: it starts again with every byte.
    """
    import pooch

    failures: list[BaseException] = []
    file = _Limited(to, limit)

    def run() -> None:
        try:
            with file:
                pooch.HTTPDownloader(progressbar=progress, timeout=TIMEOUT)(url, file, None)
        except BaseException as error:
            failures.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        while True:
            before = file.received
            thread.join(WINDOW)
            if not thread.is_alive():
                break
            if file.received - before < LEAST:
                raise OSError(f"only {file.received - before} bytes arrived in {WINDOW:g} s")
    finally:
        file.limit = -1  # nothing more is written
    if failures:
        raise failures[0]


def identify(path: str | os.PathLike[str]) -> str:
    """The name of a file of the registry, by its size and hash; empty if it is none of them.

    Examples
    --------
    >>> identify(location("vgg19-mini"))
    'vgg19-mini'
    """
    hashed = (name for name, known in REGISTRY.items() if known.hash)
    return next((name for name in hashed if not REGISTRY[name].mismatch(Path(path))), "")


def table() -> str:
    """The registry as text, one file after the other.

    Examples
    --------
    >>> table().splitlines()[0]
    'vgg19-mini  (5 MB, nst_numpy; here)'
    """
    lines = []
    for name, known in REGISTRY.items():
        here = "here" if location(name).exists() else "not downloaded" if known.url else "missing"
        size = f"{known.size / 1e6:.0f} MB, " if known.size else ""
        lines.append(f"{name}  ({size}{known.layout}; {here})")
        lines += [f"    {known.url}", f"    {known.hash or 'no hash is published'}"] if known.url else []
        lines += [f"    input: {known.preprocessing}", f"    licence: {known.licence}"]
    return "\n".join(lines)
