"""The official VGG weight files: where they are, how to know them, and how to read them.

`fetch` brings one into a folder of the user's, once. Every other function works on files.
"""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

CACHE_VARIABLE = "NST_NUMPY_CACHE"
KERAS = "https://storage.googleapis.com/tensorflow/keras-applications"
VLFEAT = "http://www.vlfeat.org/matconvnet/models"
PYTORCH = "https://download.pytorch.org/models"
OXFORD = "CC BY 4.0 (Simonyan and Zisserman, Visual Geometry Group, Oxford)"
TORCHVISION = "BSD-3-Clause (torchvision)"
BGR = "BGR, 0–255, less the mean of each colour"
RGB = "RGB, 0–255, less the mean of each colour"
UNIT = "RGB, 0–1, less the mean and divided by the standard deviation of each colour"


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
        What the network was trained on; reading the file takes care of it.
    licence : str
    """

    url: str
    size: int
    hash: str
    layout: str
    preprocessing: str
    licence: str

    def mismatch(self, path: Path) -> str:
        """What is wrong with a file that should be this one: "expected …, found …"; empty if nothing is."""
        found = path.stat().st_size
        if self.size and found != self.size:
            return f"expected {self.size} bytes, found {found}"
        method, _, digits = self.hash.partition(":")
        if not method:
            return ""
        with open(path, "rb") as file:
            found = hashlib.file_digest(file, method).hexdigest()
        return "" if found.startswith(digits) else f"expected {method} {digits}, found {found}"


REGISTRY = {
    "vgg19-mini": Known(
        "",
        4252624,
        "sha256:9e794ca8b84ca414a2ca9a8fb175c0ad0213e2059998fa0c6005c8708ec955b2",
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


def location(name: str) -> Path:
    """Where the file of this name is, or will be once it has been fetched.

    Downloads are kept in the folder that the environment variable NST_NUMPY_CACHE names, or else in the user's cache
    folder.

    Raises
    ------
    ValueError
        If there is no such name.
    """
    if name not in REGISTRY:
        raise ValueError(f"unknown weights {name!r}; expected a file, or one of {', '.join(REGISTRY)}")
    if not REGISTRY[name].url:
        inside, beside = (folder / f"{name}.h5" for folder in _PLACES)
        return inside if inside.exists() else beside
    import pooch  # brings a whole web client along: only where it is needed

    return Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("nst_numpy")) / REGISTRY[name].url.rsplit("/", 1)[1]


# The network that comes with the library lies in the package when it is installed, and in weights/ in a checkout.
_PLACES = (Path(__file__).parent, Path(__file__).parents[2] / "weights")


def fetch(name: str, progress: bool = True) -> Path:
    """The path of a file of the registry, downloaded at the first call.

    A download is checked before it gets its name; what fails on the way leaves nothing behind.

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
        If there is no such name, or the file there is not the one that the registry knows.
    OSError
        If it can't be downloaded; the message says from where, with what hash, and where to put it by hand.
    """
    path, known = location(name), REGISTRY.get(name)
    if path.exists():
        if wrong := known.mismatch(path):
            mend = "delete it, and it will be downloaded again" if known.url else "install the library again"
            raise ValueError(f"{path} is not {name}: {wrong}; {mend}")
        return path
    if not known.url:
        raise FileNotFoundError(f"the network {name} is missing from this installation: expected {path}")

    import pooch

    def download(url: str, to: str, manager) -> None:
        pooch.HTTPDownloader(progressbar=progress, timeout=30)(url, to, manager)
        if wrong := known.mismatch(Path(to)):
            raise OSError(wrong)

    try:
        pooch.retrieve(known.url, None, path.name, path.parent, downloader=download)
    except (OSError, ValueError) as error:
        digest = f", check that its {known.hash.replace(':', ' begins with ')}" if known.hash else ""
        raise OSError(
            f"can't download {name} ({' '.join(str(error).split())}); get {known.url} in another way{digest}, "
            f"and put it at {path}"
        ) from None
    return path


def identify(path: str | os.PathLike) -> str:
    """The name of a file of the registry, by its size and hash; empty if it is none of them."""
    hashed = (name for name, known in REGISTRY.items() if known.hash)
    return next((name for name in hashed if not REGISTRY[name].mismatch(Path(path))), "")


def table() -> str:
    """The register as text, one file after the other."""
    lines = []
    for name, known in REGISTRY.items():
        here = "here" if location(name).exists() else "not downloaded" if known.url else "missing"
        size = f"{known.size / 1e6:.0f} MB, " if known.size else ""
        lines.append(f"{name}  ({size}{known.layout}; {here})")
        lines += [f"    {known.url}", f"    {known.hash or 'no hash is published'}"] if known.url else []
        lines += [f"    input: {known.preprocessing}", f"    licence: {known.licence}"]
    return "\n".join(lines)
