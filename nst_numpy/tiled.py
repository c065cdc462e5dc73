"""The objective of a picture too large for the memory, or for one machine: evaluated tile by tile, and exactly.

Each term at a layer depends on the picture through a sum over positions: L = ℓ(S), S = Σ_j s(a_j) (`AdditiveTerm`). So
two sweeps over the tiles are enough:

1. forward, for the part of S that belongs to each tile; the parts add up to S, which gives ℓ(S) and ∂ℓ/∂S;
2. forward again, and back from the core of each tile, for ∂L/∂x in its window; the windows add up to ∂L/∂x.

Sums over tiles are float64 and in the order of the tiles, whoever computes them: the result is the same bits for any
executor and any number of workers.
"""

import hashlib
import os
import pickle
import socket
import tempfile
import threading
import uuid
import warnings
import weakref
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np

from nst_numpy.losses import feature_matrix
from nst_numpy.network import VGG, check_pixels
from nst_numpy.objective import AdditiveTerm, ContentTerm, Objective, StyleTerm, Term, added
from nst_numpy.tiles import Tile, cut
from nst_numpy.topology import reduction
from nst_numpy.validation import warn

AHEAD = 128  # tiles handed to an executor beyond the first that is not done: enough for 64 workers
KEPT = 2  # networks, and objectives, that a worker keeps

Answer = list[Any]  # of the first sweep: S for each term
Signals = list[Any]  # for the second: ∂ℓ/∂S of each term


class TiledObjective(Objective):
    """An `Objective` evaluated tile by tile. `Objective.from_images(..., tile=…)` makes the one of style transfer.

    The value and the gradient are those of the untiled objective, up to rounding. The memory is that of one tile, and
    a few arrays of the size of the picture. The features of the content image are kept in a temporary file.

    Parameters
    ----------
    network : VGG
    terms : sequence of Term
        Each at a layer must be an `AdditiveTerm`.
    shape : (height, width)
        Of the picture.
    tile : int
        The largest side of a tile, in pixels, without its margin; see `tiles.cut`.
    content : ndarray, shape (height, width, 3), optional
        For content terms without P: the image whose features they want.
    executor : concurrent.futures.Executor, optional
        That evaluates the tiles, such as `distributed.Client(...).get_executor()`; by default the calling thread. The
        network travels to each worker once, and what belongs to a tile to each that works on it; then, with each step,
        the pixels of the tiles and their gradients. If the executor breaks, what it has not done is done here.

    Raises
    ------
    ValueError
        If a term can't be evaluated in tiles, or as `tiles.cut`.
    TypeError
        If there is an executor, and the network or a term can't be pickled.

    Examples
    --------
    >>> import numpy as np
    >>> from nst_numpy import Objective, load_weights
    >>> rng = np.random.default_rng(0)
    >>> content, style, x = rng.random((3, 96, 96, 3))
    >>> network = load_weights("vgg19-mini", dtype=np.float64)
    >>> layers = {"content_layers": ["conv2_2"], "style_layers": ["conv1_1", "conv2_1"]}
    >>> total, gradient, _ = Objective.from_images(network, content, style, **layers)(x)
    >>> tiled = Objective.from_images(network, content, style, **layers, tile=32)
    >>> tiled
    TiledObjective(9 tiles of at most 44×44 pixels: content conv2_2, style conv1_1, style conv2_1, tv)
    >>> abs(tiled(x)[0] / total - 1) < 1e-10, np.allclose(tiled(x)[1], gradient, rtol=1e-9, atol=1e-12)
    (True, True)
    """

    def __init__(
        self,
        network: VGG,
        terms: Sequence[Term],
        shape: tuple[int, int],
        tile: int,
        content: np.ndarray | None = None,
        executor: Executor | None = None,
    ):
        super().__init__(network, terms)
        at_layers: list[Any] = [term for same in self._at_layers.values() for term in same]
        needed = ("statistic", "loss", "backward", "part")
        for term in at_layers:
            missing = [name for name in needed if not callable(getattr(term, name, None))]
            if missing:
                raise ValueError(
                    f"the term {term.name} at {term.layer} can't be evaluated in tiles: it has no "
                    f"{', '.join(missing)}; see AdditiveTerm, or take no tiles"
                )
            if isinstance(term, ContentTerm) and term.P is None and content is None:
                raise ValueError(f"the content term at {term.layer} has no features P, and there is no content image")
        if content is not None and content.shape[:2] != tuple(shape):
            raise ValueError(f"the content image must be of {shape[1]}×{shape[0]} pixels, found {content.shape}")
        self.shape, self.executor = (int(shape[0]), int(shape[1])), executor
        self.tiles = cut(network, self._at_layers, self.shape, tile)
        self._additive: list[AdditiveTerm] = at_layers
        self._bench, self._key = _Bench(network), uuid.uuid4().hex
        self._asked: set[str] = set()  # workers that the network was sent for
        self._broken = False
        for number, piece in enumerate(self.tiles):
            self._bench.pieces[number] = self._piece(piece, content)  # views: once none is needed, the image is free
        if executor is not None:
            self._network = _pickled("the network", replace(network))
            self._network_key = hashlib.sha256(self._network).hexdigest()
            for term in at_layers:
                _pickled(f"the term {term.name} at {term.layer}", _unbound(term.part(np.s_[:0], np.s_[:0], 1)))
            _remember(_benches, self._key, self._bench)  # for threads of this process
            weakref.finalize(self, _benches.pop, self._key, None)

    def __repr__(self) -> str:
        terms = ", ".join(f"{term.name} {term.layer or ''}".strip() for term in self.terms)
        height, width = (max(tile.size[axis] for tile in self.tiles) for axis in (0, 1))
        return f"TiledObjective({len(self.tiles)} tiles of at most {width}×{height} pixels: {terms})"

    def _piece(self, tile: Tile, image: np.ndarray | None) -> "_Piece":
        """What the evaluation of a tile needs beside the picture: views of masks, targets and the content."""
        terms = []
        for term in self._additive:
            width = self.shape[1] // reduction(self.network.canonical(str(term.layer)))
            terms.append(term.part(*tile.at(self.network.canonical(str(term.layer))), width))
        wanted = any(isinstance(term, ContentTerm) and term.P is None for term in terms)
        content = tile.window_of(image) if wanted and image is not None else None
        return _Piece(tile, terms, content)

    def _evaluate(
        self, x: np.ndarray, found: dict[str, np.ndarray] | None
    ) -> tuple[float, np.ndarray, dict[str, float]]:
        check_pixels(x)
        if found is not None:
            raise ValueError("the gradients of layers are for an objective without tiles")
        if x.shape[:2] != self.shape:
            raise ValueError(f"this objective is for {self.shape[1]}×{self.shape[0]} pixels, found an array {x.shape}")
        sums: Answer = [0.0] * len(self._additive)
        for _, answer in self._swept(x, None):
            sums = [S + np.asarray(part, np.float64) for S, part in zip(sums, answer, strict=True)]
        values, signals = [], []
        for term, S in zip(self._additive, sums, strict=True):
            r = reduction(self.network.canonical(str(term.layer)))
            value, signal = term.loss(S, (self.shape[0] // r) * (self.shape[1] // r))
            values.append((term, value))
            signals.append(signal)
        dx = np.zeros(x.shape, self.network.dtype)
        for tile, dwindow in self._swept(x, signals) if self._additive else ():
            tile.add(dx, dwindow)
        return self._with_image_terms(x, dx, values)

    def _swept(self, x: np.ndarray, signals: Signals | None) -> Iterator[tuple[Tile, Any]]:
        """Each tile with its answer, in order."""
        here = partial(self._here, x, signals)
        answers = map(here, range(len(self.tiles))) if self.executor is None else self._elsewhere(x, signals, here)
        return zip(self.tiles, answers, strict=True)

    def _here(self, x: np.ndarray, signals: Signals | None, number: int) -> Any:
        return self._bench.evaluate(number, self.tiles[number].window_of(x), signals)

    def _elsewhere(self, x: np.ndarray, signals: Signals | None, here: Any) -> Iterator[Any]:
        """The answers of the executor, in order, with those that it could not give computed here.

        A worker that lacks something says so, and the job is handed in once more, with what it lacks. The network is
        sent once for each worker; as no one can tell who takes a job, it can reach another that lacks it, which is as
        good. So a job for a worker that it was sent for already waits until some worker has done something.
        """
        running: dict[Future[Any], int] = {}
        answers: dict[int, Any] = {}
        todo, held = deque(range(len(self.tiles))), list[int]()

        def hand_in(number: int, lacking: str = "") -> None:
            if self._broken:
                answers[number] = here(number)
                return
            network = self._network if lacking == "network" else None
            piece = self._bench.pieces[number].packed() if lacking == "tile" else None
            window = self.tiles[number].window_of(x)
            try:
                with warnings.catch_warnings():
                    warnings.filterwarnings("ignore", "Sending large graph")  # Dask's: pixels are that large
                    running[
                        self.executor.submit(  # type: ignore[union-attr]
                            work, self._network_key, self._key, number, window, signals, network, piece
                        )
                    ] = number
            except Exception as error:  # it has been shut down, or its processes have died
                self._give_up(error)
                answers[number] = here(number)

        try:
            for number in range(len(self.tiles)):
                while number not in answers:
                    while todo and len(running) < AHEAD:
                        hand_in(todo.popleft())
                    if not running:
                        while held:  # no one is left who could pass the network on
                            hand_in(held.pop(), "network")
                    for future in wait(running, return_when=FIRST_COMPLETED).done if running else ():
                        done = running.pop(future)
                        try:
                            kind, answer, worker = future.result()
                        except Exception as error:
                            self._give_up(error)
                            answers[done] = here(done)
                            continue
                        if kind == "done":
                            answers[done] = answer
                            while held:
                                hand_in(held.pop())
                        elif kind == "network" and worker in self._asked and running:
                            held.append(done)
                        else:
                            self._asked.add(worker)
                            hand_in(done, kind)
                yield answers.pop(number)
        finally:  # also after Ctrl-C
            for future in running:
                future.cancel()

    def _give_up(self, error: Exception) -> None:
        """From now on everything is computed here; said once."""
        if not self._broken:
            self._broken = True
            what = f"{type(error).__name__}: {error}".splitlines()[0].strip(": ")
            warn(f"the executor failed ({what}); the tiles are evaluated here")


@dataclass
class _Piece:
    """What belongs to a tile: its terms, and its window of the content image until its features have been computed."""

    tile: Tile
    terms: list[AdditiveTerm]
    content: np.ndarray | None

    def packed(self) -> bytes:
        return pickle.dumps(replace(self, terms=[_unbound(term) for term in self.terms]), protocol=5)


class _Bench:
    """What evaluates tiles, here or in a worker: the network, the tiles, and the features of the content image."""

    def __init__(self, network: VGG):
        self.network = network
        self.pieces: dict[int, _Piece] = {}
        self._features = _Scratch()

    def evaluate(self, number: int, window: np.ndarray, signals: Signals | None) -> Any:
        """What each term sums up in the core of a tile; or, given signals, the gradient with respect to its window."""
        piece, network = self.pieces[number], self.network
        tile, terms = piece.tile, self._with_targets(number)
        layers = [network.canonical(str(term.layer)) for term in terms]
        if signals is None:
            cores = tile.responses(network, window, layers)
            return [term.statistic(cores[layer]) for layer, term in zip(layers, terms, strict=True)]
        features, tape = network.forward(window, layers)
        by_layer: dict[str, list[tuple[AdditiveTerm, Any]]] = {}
        for layer, *both in zip(layers, terms, signals, strict=True):
            by_layer.setdefault(layer, []).append((both[0], both[1]))

        def inject(layer: str, da: np.ndarray | None) -> np.ndarray:
            a = features.pop(layer)
            inside = tile.inside(layer)
            core = np.ascontiguousarray(a[inside])
            if da is None:
                da = np.zeros_like(a)
            del a
            of_core: np.ndarray | None = None
            for term, dS in by_layer.pop(layer):
                of_core = added(term.backward(dS, core), of_core)
            da[inside] += of_core
            return da

        return network.backward({layer: partial(inject, layer) for layer in by_layer}, tape)

    def _with_targets(self, number: int) -> list[AdditiveTerm]:
        """The terms of a tile; those of the content with the features, computed once."""
        piece, canonical = self.pieces[number], self.network.canonical
        wanting = [term.layer for term in piece.terms if isinstance(term, ContentTerm) and term.P is None]
        if wanting and (content := piece.content) is not None:
            for layer, a in piece.tile.responses(self.network, content, wanting).items():
                self._features.keep((number, layer), a)
            piece.content = None
        return [
            replace(term, P=feature_matrix(self._features.get((number, canonical(term.layer)))))
            if isinstance(term, ContentTerm) and term.P is None
            else term
            for term in piece.terms
        ]


class _Scratch:
    """Arrays in a temporary file without a name: it goes when the process ends, however that happens."""

    def __init__(self) -> None:
        self._file: Any = None
        self._places: dict[Any, tuple[int, tuple[int, ...], np.dtype]] = {}
        self._lock = threading.Lock()

    def keep(self, key: Any, array: np.ndarray) -> None:
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="nst_numpy_", buffering=0)  # noqa: SIM115
                weakref.finalize(self, self._file.close)
            place = self._file.seek(0, os.SEEK_END)
            array.tofile(self._file)
            self._places[key] = place, array.shape, array.dtype

    def get(self, key: Any) -> np.ndarray:
        place, shape, dtype = self._places[key]
        with self._lock:
            self._file.seek(place)
            return np.fromfile(self._file, dtype, int(np.prod(shape))).reshape(shape)


# In a worker ----------------------------------------------------------------------------------------------------------

# What a process has been sent, the latest last. It belongs to the process, as jobs have no other memory there.
_networks: OrderedDict[str, VGG] = OrderedDict()
_benches: OrderedDict[str, _Bench] = OrderedDict()
_lock = threading.Lock()


def work(
    network_key: str,
    key: str,
    number: int,
    window: np.ndarray,
    signals: Signals | None,
    network: bytes | None,
    piece: bytes | None,
) -> tuple[str, Any, str]:
    """Evaluate a tile in a worker.

    Parameters
    ----------
    network_key, key : str
        Of the network and the objective.
    number : int
        Of the tile.
    window : ndarray
        Its pixels.
    signals : list, optional
        For the second sweep.
    network, piece : bytes, optional
        If the worker has said that it lacks them.

    Returns
    -------
    ("done", answer, worker), or ("network" or "tile", None, worker): what it lacks
    """
    worker = f"{socket.gethostname()} {os.getpid()}"
    with _lock:
        if network is not None and network_key not in _networks:
            _remember(_networks, network_key, pickle.loads(network))
        if key not in _benches:
            if network_key not in _networks:
                return "network", None, worker
            _remember(_benches, key, _Bench(_networks[network_key]))
        bench = _benches[key]
        if piece is not None and number not in bench.pieces:
            unpacked: _Piece = pickle.loads(piece)
            bound = [_bound(term, bench.network) for term in unpacked.terms]
            bench.pieces[number] = replace(unpacked, terms=bound)
        if number not in bench.pieces:
            return "tile", None, worker
    return "done", bench.evaluate(number, window, signals), worker


def _remember(kept: OrderedDict[str, Any], key: str, value: Any) -> None:
    kept[key] = value
    while len(kept) > KEPT:
        kept.popitem(last=False)


def _unbound(term: Any) -> Any:
    """A term without the backend, which belongs to a process."""
    return replace(term, backend=cast(Any, None)) if isinstance(term, ContentTerm | StyleTerm) else term


def _bound(term: Any, network: VGG) -> Any:
    return replace(term, backend=network.engine) if isinstance(term, ContentTerm | StyleTerm) else term


def _pickled(what: str, value: Any) -> bytes:
    try:
        return pickle.dumps(value, protocol=5)
    except Exception as error:  # pickle raises many kinds
        raise TypeError(f"{what} can't be sent to an executor, it can't be pickled: {error}") from None
