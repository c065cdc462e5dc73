"""The process of a submission: it loads the files, and then answers calls of their functions over a pipe.

It is started by its path, and imports the standard library and NumPy only: what is right is compared elsewhere. Nothing
that happens here can change a mark but by the numbers that a function returns. What comes out of the pipe may be
anything, since the submission can write into it; see `runner` for how it is read.

A message is a header (two lengths), JSON, and the bytes of its arrays one after the other.
"""

import __future__

import ast
import codecs
import contextlib
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import io
import json
import os
import re
import signal
import struct
import sys
import tokenize
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Any, BinaryIO

if __name__ == "__main__":
    sys.path += [path for path in sys.argv[1:] if path not in sys.path]

import numpy as np

HEADER = struct.Struct(">IQ")
TEXT, DATA = 2**20, 2**24  # bytes in a message: of JSON, of arrays
ITEMS = 10**5  # of a list


class TooLarge(ValueError):
    """More than a message may hold."""


# Messages -------------------------------------------------------------------------------------------------------------


def send(pipe: BinaryIO, message: object, *, text: int = TEXT, data: int = DATA) -> None:
    """Write a message: anything of None, numbers, strings, arrays, lists, tuples and dictionaries."""
    blobs: list[bytes] = []
    encoded = json.dumps(_encode(message, blobs, data)).encode()
    if len(encoded) > text:
        raise TooLarge
    pipe.write(HEADER.pack(len(encoded), sum(map(len, blobs))) + encoded + b"".join(blobs))
    pipe.flush()


def receive(pipe: BinaryIO, *, text: int = TEXT, data: int = DATA) -> Any:
    """Read a message; EOFError if there is none any more, ValueError or another error if it is none."""
    head = pipe.read(HEADER.size)
    if len(head) < HEADER.size:
        raise EOFError
    lengths = HEADER.unpack(head)
    if lengths[0] > text or lengths[1] > data:
        raise TooLarge
    encoded, blobs = pipe.read(lengths[0]), io.BytesIO(pipe.read(lengths[1]))
    return _decode(json.loads(encoded), blobs)


def _encode(value: Any, blobs: list[bytes], room: int) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, str) or (kind is int and abs(value) < 2**63):
        return value
    if kind in (list, tuple):
        if len(value) > ITEMS:
            raise TooLarge
        return {kind.__name__: [_encode(v, blobs, room) for v in value]}
    if kind is dict:
        return {"dict": {str(k): _encode(v, blobs, room) for k, v in value.items()}}
    if kind is bytes:
        blobs.append(value)
        return {"bytes": len(value)}
    if not issubclass(kind, np.ndarray | np.generic | complex):
        return {"object": str(kind.__name__)[:80]}
    array = np.asarray(value)
    if array.dtype.kind == "O":
        if array.size > ITEMS:
            raise TooLarge
        return {"objects": [_encode(v, blobs, room) for v in array.ravel()], "shape": array.shape}
    if array.dtype.kind not in "biufc":
        return {"object": f"array of {array.dtype.name}"[:80]}
    if array.nbytes + sum(map(len, blobs)) > room:
        raise TooLarge
    blobs.append(array.tobytes())
    return {"array": array.dtype.str, "shape": array.shape, "scalar": not issubclass(kind, np.ndarray)}


def _decode(value: Any, blobs: BinaryIO) -> Any:
    if not isinstance(value, dict):
        return value
    if "list" in value or "tuple" in value:
        items = [_decode(v, blobs) for v in value["list" if "list" in value else "tuple"]]
        return items if "list" in value else tuple(items)
    if "dict" in value:
        return {k: _decode(v, blobs) for k, v in value["dict"].items()}
    if "bytes" in value:
        return blobs.read(value["bytes"])
    if "object" in value:
        return type(str(value["object"]), (), {})()
    shape = tuple(int(n) for n in value["shape"])
    if "objects" in value:
        objects = np.empty(len(value["objects"]), object)
        objects[:] = [_decode(v, blobs) for v in value["objects"]]
        return objects.reshape(shape)
    dtype = np.dtype(value["array"])
    if dtype.kind not in "biufc" or min(shape, default=0) < 0:
        raise ValueError
    size = dtype.itemsize
    for n in shape:
        size *= n
    if size > DATA:
        raise TooLarge
    array = np.frombuffer(blobs.read(size), dtype).reshape(shape).copy()
    return array[()] if value["scalar"] else array


# Loading --------------------------------------------------------------------------------------------------------------


class TooLong(BaseException):
    """A statement took its time; a submission's `except Exception` does not catch it."""


class Refused(ModuleNotFoundError):
    """An import that the assignment does not allow."""


class Submission(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """The files of a submission, run statement by statement.

    What fails is noted, and the rest goes on. It is also the finder of imports, first of all: files may import each
    other, and nothing but the standard library and what is loaded already.

    Attributes
    ----------
    functions : dict of str to callable
        Whatever can be called, by its name.
    homes : dict of str to str
        The file that each is in.
    notes : list of dict
        What could not be run: a sentence ("text"), and the names that it would have defined ("names").
    remarks : list of str
        What else a reader should know.
    """

    def __init__(self, files: Mapping[str, bytes], seconds: float):
        self.files, self.seconds = files, seconds
        self.lines: dict[str, tuple[str, list[str]]] = {}  # of each piece of code, by its name: the file, the text
        self.functions: dict[str, Any] = {}
        self.homes: dict[str, str] = {}
        self.notes: list[dict[str, Any]] = []
        self.remarks: list[str] = []
        self.allowed = {*sys.stdlib_module_names, *(name.partition(".")[0] for name in sys.modules)}
        stems = {os.path.basename(name).removesuffix(".py"): name for name in files if name.endswith(".py")}
        self.modules = {stem: name for stem, name in stems.items() if stem not in self.allowed}

    def load(self) -> None:
        """Run all files."""
        sys.meta_path.insert(0, self)
        _stand_in()
        for name in self.files:
            stem = os.path.basename(name).removesuffix(".py")
            if self.modules.get(stem) != name:
                self.run(name, types.ModuleType("submission"))
            elif stem not in sys.modules:  # else another file has imported it
                sys.modules[stem] = types.ModuleType(stem)
                self.run(name, sys.modules[stem])

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        """A file of the submission; None for what others may find."""
        if fullname in self.modules:
            return importlib.machinery.ModuleSpec(fullname, self)
        if fullname.partition(".")[0] == "nst_numpy" or fullname.partition(".")[0] not in self.allowed:
            raise Refused(f"imports {fullname}, which this assignment does not allow")
        return None

    def create_module(self, spec: object) -> None:
        """An ordinary one."""

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a file that another one imports."""
        self.run(self.modules[module.__name__], module)

    def run(self, name: str, module: types.ModuleType) -> None:
        """Run a file."""
        module.__file__ = name
        try:
            pieces = list(_pieces(name, self.files[name]))
        except ValueError as error:
            self.note(f"{name} can't be read: {error}", ["*"])
            return
        for label, text in pieces:
            self.lines[label] = (name, text.splitlines())
            flags = 0
            for node in self.statements(label, text):
                if isinstance(node, ast.ImportFrom) and node.module == "__future__":
                    features = [getattr(__future__, alias.name, None) for alias in node.names]
                    flags |= sum(feature.compiler_flag for feature in features if feature)
                self.statement(node, label, flags, module)
        for key, value in list(vars(module).items()):
            if not isinstance(key, str) or not callable(value) or self.functions.get(key) is value:
                continue
            own = _written(value, self.lines)
            if key in self.functions and own:
                self.remarks.append(f"{key} is in {self.homes[key]} and in {name}; the one in {name} counts")
            if key not in self.functions or own:
                self.functions[key], self.homes[key] = value, name

    def statements(self, label: str, text: str) -> list[ast.stmt]:
        """The statements at the top level, without the blocks that are no Python."""
        lines = text.splitlines()
        while True:
            try:
                return ast.parse("\n".join(lines) + "\n", label).body
            except SyntaxError as error:
                after = re.search(r"expected an indented block after .* on line (\d+)", error.msg)
                wrong = min(int(after[1]) if after else error.lineno or 1, len(lines))
                first, last = _block(lines, wrong)
                names = re.findall(
                    r"^\s*(?:async def|def|class)\s+(\w+)|^(\w+)\s*=", "\n".join(lines[first:last]), re.M
                )
                self.note(f"SyntaxError: {error.msg} ({self.place(label, wrong)})", [a or b for a, b in names])
                lines[first:last] = [""] * (last - first)
            except (ValueError, RecursionError, MemoryError) as error:
                self.note(f"{self.lines[label][0]} can't be read: {type(error).__name__}: {error}", ["*"])
                return []

    def statement(self, node: ast.stmt, label: str, flags: int, module: types.ModuleType) -> None:
        """Run one statement; note what goes wrong."""
        try:
            with _at_most(self.seconds / 4):
                exec(compile(ast.Module([node], []), label, "exec", flags, dont_inherit=True), vars(module))
        except Refused as error:
            text = f"{self.place(label, node.lineno, quoted=False)} {error}"
        except TooLong:
            text = f"{self.place(label, node.lineno)} did not finish within {self.seconds / 4:g} seconds"
        except BaseException as error:
            text = self.sentence(error, self.place(label, node.lineno))
        else:
            return
        self.note(text, list(_bound(node)))

    def note(self, text: str, names: list[str]) -> None:
        """Note what could not be run, and the names that it would have defined; "*" for any."""
        self.notes.append({"text": text, "names": names[:999]})

    def place(self, label: str, line: int, quoted: bool = True) -> str:
        """Line and file, and what is written there."""
        name, lines = self.lines[label]
        where = f"line {line} of {name}" if label == name else f"{label}, line {line} of {name}"
        written = lines[line - 1].strip() if 0 < line <= len(lines) else ""
        return where + f": `{written[:60]}{'…' * (len(written) > 60)}`" * bool(written and quoted)

    def sentence(self, error: BaseException, place: str = "") -> str:
        """An error, with the deepest line of the submission that it went through; this place by default."""
        if isinstance(error, Refused):
            text = f"It {error}"
        elif isinstance(error, SystemExit):
            text = "It ended the process"
        else:
            words = ""
            with contextlib.suppress(BaseException):  # its own __str__
                words = " ".join(str(error).split())[:500]
            text = type(error).__name__ + f": {words}" * bool(words)
        if isinstance(error, PermissionError):
            text += "; a submission has no files, no network and no other processes"
        trace = error.__traceback__
        while trace is not None:
            if trace.tb_frame.f_code.co_filename in self.lines:
                place = self.place(trace.tb_frame.f_code.co_filename, trace.tb_lineno)
            trace = trace.tb_next
        text += f" ({place})" * bool(place)
        missing = error.name if isinstance(error, NameError) else None
        for note in self.notes:
            if missing and (missing in note["names"] or note["names"] == ["*"]):
                return f"{text}; before that: {note['text']}"
        return text


def _bound(node: ast.stmt) -> Iterator[str]:
    """The names that a statement defines."""
    for part in ast.walk(node):
        if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield part.name
        elif isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
            yield part.id
        elif isinstance(part, ast.Import | ast.ImportFrom):  # from … import * may define any name
            yield from (alias.asname or alias.name.partition(".")[0] for alias in part.names)


def _stand_in() -> None:
    """A sheet's own imports and checks run and say nothing: its `exercises.check` calls everything right.

    So do those of Otter's notebooks: `grader = otter.Notebook(…)` and `grader.check(…)`.
    """
    library, exercises = types.ModuleType("nst_numpy"), types.ModuleType("nst_numpy.exercises")
    right = types.SimpleNamespace(passed=True, message="", diagnosis=[], not_yet=False)
    vars(exercises)["check"] = lambda *_, **__: right
    vars(library).update(exercises=exercises, gradcheck=lambda *_, **__: right, __path__=[])
    otter, grader = types.ModuleType("otter"), types.SimpleNamespace()
    vars(grader).update({name: lambda *_, **__: None for name in ("check", "check_all", "export")})
    vars(otter)["Notebook"] = lambda *_, **__: grader
    sys.modules.update({"nst_numpy": library, "nst_numpy.exercises": exercises, "otter": otter})


def _written(value: object, lines: Mapping[str, object]) -> bool:
    """Whether a function was defined in a file of the submission, not imported into it."""
    return getattr(getattr(value, "__code__", None), "co_filename", None) in lines


def _pieces(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """The code in a file, with the name of each piece: a Python file is one, in a notebook each cell."""
    text = _text(data)
    if not name.lower().endswith(".ipynb"):
        yield name, text
        return
    try:
        book = json.loads(text)
        cells = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
        sources = ["".join(cell["source"]) for cell in cells]
    except (ValueError, TypeError, LookupError, RecursionError):
        raise ValueError("it is no notebook, there is no list of cells in it (format 4)") from None
    yield from ((f"code cell {k}", _python(source)) for k, source in enumerate(sources, start=1))


def _text(data: bytes) -> str:
    if not data.strip():
        raise ValueError("it is empty")
    try:
        if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # as Windows' editors write it
            return data.decode("utf-16")
        return data.decode(tokenize.detect_encoding(io.BytesIO(data).readline)[0])
    except (UnicodeError, SyntaxError):
        raise ValueError("it is no text in UTF-8") from None


def _python(cell: str) -> str:
    """A cell without the lines that only IPython understands."""
    lines = cell.splitlines()
    if lines and re.match(r"%%(?!time|prun|capture)", lines[0]):
        return ""
    try:
        ast.parse(cell)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        special = re.compile(r"\s*(%%?[a-zA-Z]|[!?])|[^#'\"]*\?\??\s*$")
        lines = [re.match(r"\s*", line)[0] + "pass" if special.match(line) else line for line in lines]  # type: ignore[index]
    return "\n".join(lines)


def _block(lines: list[str], wrong: int) -> tuple[int, int]:
    """From where to where the top-level block reaches that a line (from 1) is in."""
    start = re.compile(r"@|((async\s+)?def|class|import|from|if|for|while|with|try)\b|[\w.\[\], ]+=")
    starts = [k for k, line in enumerate(lines) if start.match(line) and not line[0].isspace()]
    first = max((k for k in starts if k < wrong), default=0)
    last = min((k for k in starts if k >= wrong), default=len(lines))
    while first > 0 and lines[first - 1].startswith("@"):
        first -= 1
    if not any(line.strip() for line in lines[first:last]):  # dropped already: the rest can't be told apart
        return 0, len(lines)
    return first, last


@contextlib.contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Stop Python code after a time, where the system has timers."""

    def stop(*_: object) -> None:
        raise TooLong

    if not hasattr(signal, "setitimer"):
        yield
        return
    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


# Calls ----------------------------------------------------------------------------------------------------------------


def _signature(function: Callable[..., object]) -> list[tuple[str, int, bool, Any]] | None:
    """Name, kind and default of each parameter; None if unknown."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except Exception:
        return None
    simple = (bool, int, float, str)
    return [
        (p.name, int(p.kind), p.default is not p.empty, p.default if type(p.default) in simple else None)
        for p in parameters
    ]


def _call(submission: Submission, name: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> dict[str, Any]:
    """The answer to a call: what came out, and which arguments are not as they were."""
    before = [a.tobytes() if isinstance(a, np.ndarray) else None for a in arguments]
    try:
        value = submission.functions[name](*arguments, **options)
    except NotImplementedError:
        return {"not_yet": True}
    except BaseException as error:
        return {"error": submission.sentence(error)}
    changed = {str(k): a for k, a in enumerate(arguments) if before[k] is not None and a.tobytes() != before[k]}
    return {"value": value, "changed": changed}


def main() -> None:
    """Answer one message after the other until the pipe is closed."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    for number in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
    order = receive(requests)
    try:
        for name in order["imports"]:
            importlib.import_module(name)
    except ImportError as error:
        send(answers, {"failed": f"the assignment allows {name}, which can't be imported here: {error}"})
        return
    # By its path: nothing of the library is imported.
    spec = importlib.util.spec_from_file_location("sandbox", os.path.join(os.path.dirname(__file__), "sandbox.py"))
    assert spec is not None and spec.loader is not None
    sandbox = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sandbox)
    send(answers, {"enforced": sandbox.enforce(order["hidden"], order["megabytes"], order["processor_seconds"])})
    submission = Submission(receive(requests, data=order["bytes"]), order["seconds"])
    submission.load()
    functions = {
        name: (_signature(function), _written(function, submission.lines))
        for name, function in submission.functions.items()
        if name in order["names"] or _written(function, submission.lines)
    }
    send(answers, {"functions": functions, "notes": submission.notes[:99], "remarks": submission.remarks[:99]})
    while True:
        try:
            name, arguments, options = receive(requests)
        except EOFError:
            return
        answer = _call(submission, name, arguments, options)
        try:
            send(answers, answer)
        except (TooLarge, RecursionError, MemoryError):
            size = f"{DATA >> 20} MB" if isinstance(answer.get("value"), np.ndarray) else "can be read"
            send(answers, {"error": f"It returns more than {size}"})
        except OSError:
            return
        except Exception as error:
            send(answers, {"error": f"What it returns can't be read: {type(error).__name__}"})


if __name__ == "__main__":
    main()
