"""How much memory a painting needs, estimated before the work starts, and how much there is."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nst_numpy.network import VGG
from nst_numpy.tiles import cut
from nst_numpy.topology import reduction

SHARE = 0.9  # of the memory available: what a painting may use
TILES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 128)  # that are tried, in pixels
# Arrays of the size of the picture, in float32, that a run holds at its peak: those of each optimizer beside its
# L-BFGS pairs, and everything else (content, start, the point, its trial and their gradients, sums in float64).
# benchmarks/tiles.py measures them.
VECTORS = {"lbfgs": 1, "adam": 3, "momentum": 1, "gradient_descent": 0}
OTHERS = 9
BASE = 100 << 20  # the compiled kernels, and what their threads work in


def available(root: str = "/") -> int | None:
    """The memory that this process can still get, in bytes, with the limits of its cgroups; None if no one says.

    Memory that holds files which have been read counts as available, since the system takes it back.

    Parameters
    ----------
    root : path
        Where /proc and /sys are.

    Examples
    --------
    >>> from nst_numpy import memory
    >>> memory.available("/nowhere") is None
    True
    """
    proc = Path(root, "proc")
    free = [kilobytes << 10 for name, kilobytes in _numbers(proc / "meminfo") if name == "MemAvailable:"]
    for line in _text(proc / "self/cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0":
            top, names = "sys/fs/cgroup", ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            top = "sys/fs/cgroup/memory"
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
        else:
            continue
        group = Path(path.lstrip("/"))
        for folder in (Path(root, top, group), *(Path(root, top, parent) for parent in group.parents)):
            limit, used = (_text(folder / name).strip() for name in names[:2])
            if limit.isdecimal() and used.isdecimal():
                files = sum(value for name, value in _numbers(folder / "memory.stat") if name == names[2])
                free.append(max(int(limit) - int(used) + files, 0))
    return min(free, default=None)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _numbers(path: Path) -> Iterator[tuple[str, int]]:
    for line in _text(path).splitlines():
        name, number, *_ = [*line.split(), "", ""]
        if number.isdecimal():
            yield name, int(number)


def of_step(network: VGG, layers: Iterable[str], height: int, width: int) -> int:
    """The memory of one sweep forward and back, in bytes, beside the network's own; an estimate.

    The responses of the loss layers are kept until the sweep comes back; on the fast backend all others are gone once
    they have been used, but for their signs, one bit each. The largest moment is where two neighbouring responses, or
    their gradients, are there at once.

    Parameters
    ----------
    network : VGG
    layers : iterable of str
        With losses.
    height, width : int
        Of the image, or of a tile with its margin.

    Examples
    --------
    >>> from nst_numpy import load_weights, memory
    >>> network = load_weights("vgg19-mini", backend="plain")
    >>> memory.of_step(network, ["conv3_1"], 2048, 2048) / memory.of_step(network, ["conv3_1"], 512, 512)
    16.0
    """
    wanted = {network.canonical(layer) for layer in layers}
    item = network.dtype.itemsize

    def response(layer: str) -> int:
        r = reduction(layer)
        return (height // r) * (width // r) * network.filters(layer) * item

    kept, tape, before = 0, 0, height * width * 3 * item
    peak = 2 * height * width * 3 * 8  # the network's input is computed in float64
    for convolution, pool in network.steps(wanted):
        layer = pool or convolution
        here = response(layer)
        if network.backend != "fast":
            tape += response(convolution) if convolution else before
        else:
            tape += response(convolution) // (8 * item) if convolution else 0
            tape += here // item if pool and network.pooling == "max" else 0
        kept += here if layer in wanted else 0
        at_losses = 3 * here if layer in wanted else 0  # differences, products, and the gradient
        peak = max(peak, kept + tape + here + max(before, at_losses))
        before = here
    return peak


def of_network(network: VGG) -> int:
    """The memory of transformed kernels, 64 planes for 9 weights, in bytes; an estimate.

    Examples
    --------
    >>> from nst_numpy import load_weights, memory
    >>> memory.of_network(load_weights("vgg19-mini", backend="plain"))
    0
    """
    weights = sum(kernel.nbytes for kernel, _ in network.convolutions.values())
    return weights * 64 // 9 if network.backend == "fast" else 0


def needed(
    network: VGG,
    layers: Iterable[str],
    shape: tuple[int, int],
    tile: int | None,
    optimizer: str = "lbfgs",
    options: Mapping[str, Any] | None = None,
    styles: Iterable[tuple[int, int]] = (),
) -> int:
    """The memory of a painting at one size, in bytes; an estimate.

    Parameters
    ----------
    network : VGG
    layers : iterable of str
        With losses.
    shape : (height, width)
        Of the picture.
    tile : int, optional
        None for no tiles.
    optimizer, options
        As in `Settings`.
    styles : iterable of (height, width)
        Of the style images.

    Examples
    --------
    >>> from nst_numpy import load_weights, memory
    >>> network = load_weights("vgg19-mini", backend="plain")
    >>> whole, tiled = (memory.needed(network, ["conv3_1"], (3072, 4096), tile) for tile in (None, 512))
    >>> whole > 1.5 * tiled
    True
    """
    layers, styles = list(layers), list(styles)
    pixels = shape[0] * shape[1]
    vectors = OTHERS + VECTORS[optimizer]
    if optimizer == "lbfgs":
        vectors += 2 * int((options or {}).get("memory", 10))
    windows = [piece.size for image in (shape, *styles) for piece in cut(network, layers, image, tile or max(image))]
    step = max(of_step(network, layers, *window) for window in set(windows))
    held = 3 * 4 * (vectors * pixels + sum(h * w for h, w in styles))
    return BASE + of_network(network) + held + step


def choose(
    network: VGG,
    layers: Iterable[str],
    shape: tuple[int, int],
    optimizer: str = "lbfgs",
    options: Mapping[str, Any] | None = None,
    styles: Iterable[tuple[int, int]] = (),
    free: int | None = None,
) -> int | None:
    """The largest tile that fits into the memory; None if the whole picture does, or if no one says what there is.

    Parameters
    ----------
    network, layers, shape, optimizer, options, styles
        As in `needed`.
    free : int, optional
        In bytes; by default what is `available`.

    Raises
    ------
    ValueError
        If no tile fits.

    Examples
    --------
    >>> from nst_numpy import load_weights, memory
    >>> network = load_weights("vgg19-mini", backend="plain")
    >>> memory.choose(network, ["conv3_1"], (3072, 4096), free=8 << 30)
    2048
    """
    layers, styles = list(layers), list(styles)
    free = available() if free is None else free
    if free is None:
        return None
    arguments = (optimizer, options, styles)
    for tile in (None, *(tile for tile in TILES if tile < max(shape))):
        need = needed(network, layers, shape, tile, *arguments)
        if need <= SHARE * free:
            return tile
    fewer = 'fewer pairs, optimizer_options={"memory": 3}, or optimizer="adam"' if optimizer == "lbfgs" else ""
    raise ValueError(
        f"a picture of {shape[1]}×{shape[0]} pixels needs {need / 2**30:.1f} GiB of memory even in the smallest tiles, "
        f"and {free / 2**30:.1f} GiB are available; take a smaller size{' or ' if fewer else ''}{fewer}"
    )
