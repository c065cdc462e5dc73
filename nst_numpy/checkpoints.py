"""Checkpoints: a run in an HDF5 file, from which it goes on bit for bit as if it had never stopped.

A file holds numbers and arrays as they are in memory, and a checksum of it all. It is written beside its place and then
moved there in one step, so that whoever looks, whenever the program is killed, finds the previous checkpoint or the new
one, whole.
"""

import hashlib
import io
import json
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np

from nst_numpy import images
from nst_numpy.optimize import Point, State
from nst_numpy.run import Losses, Outcome, Position
from nst_numpy.validation import check_array, check_number, warn

FORMAT, VERSION = "nst_numpy checkpoint", 1
HEAD = 512  # bytes before the HDF5 data, its user block: a line with format, version, and SHA-256 of all that follows
SUFFIXES = (".h5", ".hdf5")


@dataclass(frozen=True, eq=False)
class Saved:
    """What a checkpoint keeps of a run.

    Attributes
    ----------
    at : Position, Outcome or None
        Where the run goes on; for a finished run, its outcome; None for one that has not begun.
    history : list of dict of str to number
    frames : list of ndarray of uint8
    """

    at: Position | Outcome | None = None
    history: list[Losses] = field(default_factory=list)
    frames: list[np.ndarray] = field(default_factory=list)


class Checkpoint:
    """The checkpoint of a run. As a context manager it writes the last position at the end, however that comes.

    A checkpoint that can't be written, on a full disk for example, is warned of, once; the run goes on, and the file
    stays as it was.

    Parameters
    ----------
    path : path
        Ending in .h5 or .hdf5.
    every : float
        Seconds from one checkpoint to the next; 0 writes one after every step.

    Attributes
    ----------
    settings : dict of str to anything that JSON has
        Of the run; once it has been read, of that in the file.

    Raises
    ------
    TypeError, ValueError, FileNotFoundError
        If the interval is not such a number, or there can be no such file.
    """

    def __init__(self, path: str | os.PathLike[str], every: float):
        check_number("checkpoint_every", every)
        self.path = images.check_output(path, SUFFIXES)
        self._every = every
        self.settings: dict[str, Any] = {}
        self._inputs: dict[str, str] = {}
        self._pending: Saved | None = None
        self._last, self._failed = time.monotonic(), False
        target = Path(os.path.realpath(self.path))
        images.remove_leftovers(target.parent, target.name, age=-math.inf)

    def __enter__(self) -> "Checkpoint":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._write()

    def read(self) -> Saved:
        """What the file holds of a run; nothing if there is no file. `check` tells whether it is this run.

        Raises
        ------
        ValueError
            If the file is damaged or no checkpoint.
        """
        if not self.path.exists():
            return Saved()
        arrays = read(self.path)
        try:
            tree = _nested(arrays)
            self.settings, self._inputs = (dict(json.loads(tree[name])) for name in ("settings", "inputs"))
            return self._saved(tree)
        except Exception:  # it is whole, but was not written by `save`
            raise ValueError(f"{self.path} does not hold what a checkpoint does; delete it to begin anew") from None

    @staticmethod
    def _saved(tree: dict[str, Any]) -> Saved:
        """The run in the tree of a file; some exception if it is none."""
        history = [dict(zip(tree["history"].dtype.names, row, strict=True)) for row in tree["history"].tolist()]
        frames = list(_sequence(tree.get("frames", {})))
        if finished := tree.get("finished"):
            outcome = Outcome(finished["x"], finished["steps"], finished["message"].decode(), complete=True)
            check_array("x", outcome.x, "...")
            check_number("steps", outcome.steps, whole=True)
            return Saved(outcome, history, frames)
        running = tree["running"]
        state = running["state"]
        point = Point(**state["point"])
        best = Point(**state["best"]) if "best" in state else point
        for one in (point, best):
            sizes: dict[str, Any] = {}
            check_array("x", one.x, "...", sizes)
            check_array("gradient", one.gradient, "...", sizes)
            float(one.value)
        for count in (running["stage"], running["done"], state["nit"], state["nfev"]):
            check_number("count", count, whole=True)
        float(state["previous"])
        carry = _sequence(state.get("carry"))
        state.update(method=state["method"].decode(), point=point, best=best, carry=carry)
        return Saved(Position(running["stage"], running["done"], State(**state)), history, frames)

    def save(self, saved: Saved) -> None:
        """Write what there is of the run; before the interval has passed, only note it.

        An outcome that is not complete is no end: the run can go on from the position before.
        """
        if isinstance(saved.at, Outcome) and not saved.at.complete:
            return
        self._pending = saved
        if isinstance(saved.at, Outcome) or time.monotonic() - self._last >= self._every:
            self._write()

    def check(self, settings: Mapping[str, Any], inputs: Mapping[str, Any]) -> None:
        """Check that the run that has been read, if any, is this one, and keep what this one is.

        Parameters
        ----------
        settings : mapping of str to anything that JSON has
            The run goes on only with the same.
        inputs : mapping of str to ndarray or list of ndarray
            Images and weights, by what they are called in messages. The run goes on only with the same, too; the file
            has their checksums.

        Raises
        ------
        ValueError
            If the checkpoint is one of other settings or inputs.
        """
        before, self.settings = self.settings, json.loads(json.dumps(settings))
        inputs_before, self._inputs = self._inputs, {name: checksum(value) for name, value in inputs.items()}
        if not before:
            return
        found = [
            f"{name} {_shown(before.get(name))}, now it is {_shown(self.settings.get(name))}"
            for name in {**before, **self.settings}
            if json.dumps(before.get(name)) != json.dumps(self.settings.get(name))  # the order of layers counts
        ]
        # One is enough: if the content is another image, the style image with its colors is one, too.
        both = {**inputs_before, **self._inputs}
        other = [name for name in both if inputs_before.get(name) != self._inputs.get(name)][:1]
        if found or other:
            what = " and with ".join(found or [f"another {other[0]}"])
            raise ValueError(
                f"cannot go on from {self.path}: the checkpoint was written with {what}; "
                "go on with the same, or name another file for a new run"
            )

    def _write(self) -> None:
        """Write what is noted, if that has not been done."""
        if self._pending is None:
            return
        saved, self._pending = self._pending, None
        tree: dict[str, Any] = {
            "settings": _text(json.dumps(self.settings)),
            "inputs": _text(json.dumps(self._inputs)),
            "history": _table(saved.history),
            "frames": saved.frames,
        }
        if isinstance(saved.at, Outcome):
            tree["finished"] = {"x": saved.at.x, "steps": saved.at.steps, "message": _text(saved.at.message)}
        elif saved.at:
            state = vars(saved.at.state)
            points = {name: _values(state[name]) for name in ("point", "best")}
            if state["best"] is state["point"]:
                del points["best"]
            rest = {name: value for name, value in state.items() if name not in ("method", "point", "best")}
            state = {**rest, **points, "method": _text(state["method"])}
            tree["running"] = {"stage": saved.at.stage, "done": saved.at.done, "state": state}
        try:
            write(self.path, dict(_flat(tree)))
        except OSError as error:
            if not self._failed:
                reason = error.strerror or error
                warn(
                    f"cannot write the checkpoint {self.path}: {reason}; the file is as it was, and the run goes on",
                    always_go_on=True,
                )
            self._failed = True
        self._last = time.monotonic()


def write(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to a file, whole or not at all."""
    with images.whole_file(path) as part, _Patient(part, "wb+") as raw:
        try:
            with h5py.File(raw, "w", userblock_size=HEAD) as file:
                for name, array in arrays.items():
                    file[name] = array
            raw.seek(HEAD)
            digest = hashlib.file_digest(raw, "sha256").hexdigest()
            raw.seek(0)
            raw.write(f"{FORMAT} {VERSION} {digest}\n".encode())
        except Exception:
            if not raw.failure:
                raise
        if raw.failure:
            raise raw.failure
        os.fsync(raw.fileno())


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays in a file that `write` has written.

    Raises
    ------
    ValueError
        If there are none, or the file is not as it was written.
    """
    arrays: dict[str, np.ndarray] = {}

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset):
            arrays[name] = np.asarray(item[()])

    with open(path, "rb") as raw:
        head = raw.read(HEAD)
        if not head.startswith(FORMAT.encode()):
            raise ValueError(f"{path} is not a checkpoint, but some other file; name another one, or delete it")
        version, _, digest = head[len(FORMAT) :].decode("ascii", "replace").strip().partition(" ")
        if version != str(VERSION):
            raise ValueError(
                f"the checkpoint {path} has the format {version[:20]!r}, this library reads {VERSION}; "
                "go on with the library that wrote it, or name another file"
            )
        if digest.rstrip("\n\0") != hashlib.file_digest(raw, "sha256").hexdigest():  # before HDF5 sees it
            raise ValueError(f"the checkpoint {path} is damaged or cut short; delete it to begin anew")
        with h5py.File(raw) as file:
            file.visititems(visit)
    return arrays


def checksum(tree: Any) -> str:
    """SHA-256 of the arrays in nested mappings and sequences: of their names, types, shapes and elements."""
    digest = hashlib.sha256()
    for name, array in sorted(_flat(tree), key=lambda item: item[0]):
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return digest.hexdigest()


class _Patient(io.FileIO):
    """A file whose writes seem to succeed: HDF5 can crash where one fails. `failure` is the first error."""

    failure: OSError | None = None

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        try:
            while view and not self.failure:
                view = view[super().write(view) or 0 :]  # the system may take less than all
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
            return size or 0


def _flat(tree: Any, name: str = "") -> Any:
    """The arrays and numbers in nested mappings and sequences, with their paths; None is left out."""
    if isinstance(tree, Mapping | list | tuple):
        for key, value in tree.items() if isinstance(tree, Mapping) else enumerate(tree):
            yield from _flat(value, f"{name}/{key}".lstrip("/"))
    elif tree is not None:
        yield name, np.asarray(tree)


def _nested(arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The reverse of `_flat`, with mappings for sequences."""
    tree: dict[str, Any] = {}
    for name, array in arrays.items():
        *groups, last = name.split("/")
        node = tree
        for group in groups:
            node = node.setdefault(group, {})
        node[last] = array if array.ndim else array.item()  # a Python number: NumPy's would change the type of sums
    return tree


def _sequence(node: Any) -> Any:
    """Mappings with the keys "0", "1" … as tuples."""
    return tuple(_sequence(node[str(k)]) for k in range(len(node))) if isinstance(node, dict) else node


def _values(point: Point) -> dict[str, Any]:
    return {"x": point.x, "value": point.value, "gradient": point.gradient}


def _table(history: list[Losses]) -> np.ndarray:
    """The history as an array with a field for each loss, so that every number keeps its type."""
    return np.array([tuple(row.values()) for row in history], [(name, type(v)) for name, v in history[0].items()])


def _text(text: str) -> np.bytes_:
    return np.bytes_(text.encode())


def _shown(value: Any) -> str:
    """A setting in a message: 100 for 100.0."""
    if isinstance(value, list):
        return ", ".join(map(_shown, value)) or "none"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else json.dumps(value)
