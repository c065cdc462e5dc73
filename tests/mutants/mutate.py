"""Mutation testing: change one thing in a module, run the tests, and see whether one fails.

    python tests/mutants/mutate.py nst_numpy/losses.py          all mutants of a module; `make mutants` does all modules
    python tests/mutants/mutate.py nst_numpy/losses.py --again  only those that survived last time
    python tests/mutants/mutate.py nst_numpy/losses.py --lines 40-90
    python tests/mutants/mutate.py nst_numpy/losses.py --draw 64   64 of them, at random; others with --seed 1. If all n
                                                        are killed, at most 3/n of the others survive (95 % confidence)

The mutations are mutmut's. Its own runner leaves out decorated functions (so every compiled kernel and every property),
defaults, and what stands outside functions, and replaces functions by wrappers that `inspect` sees. Here one process
imports the tests and forks for each mutant; the fork gives the function its mutated code, and runs the tests that
execute the changed line, those first that have killed another mutant of the function, then the quickest, until one
fails. A mutant outside functions runs its tests in a fork that imports the mutated source in place of the module. No
file is changed.

Left out: annotations, imports, error messages (what stands in a `raise`) and docstrings. pyproject.toml names the tests
of each module. A mutant that no test can kill is explained in tests/mutants/*.md, in a line that begins with its change
as it is printed here: "- `function`: `line` → `mutated line`". Survivors of a module are kept in out/mutants.
"""

import argparse
import ast
import contextlib
import difflib
import gc
import importlib
import importlib.abc
import importlib.machinery
import json
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
import types
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

ROOT = Path(__file__).parents[2]
OUT = ROOT / "out" / "mutants"
PYTEST = ["-x", "-q", "--tb=short", "--assert=plain", "--hypothesis-profile=mutants"]
PYTEST += [f"-pno:{plugin}" for plugin in ("cacheprovider", "xdist", "unraisableexception", "threadexception")]
HEADER = f"{'module':36} mutants  killed  survived  explained"
ELSEWHERE = 98  # exit status: the mutant cannot be run here
MEMORY = 8 << 30  # bytes of address space a mutant may take


class Module:
    """A module, its mutants, and the tests that execute each of its lines."""

    def __init__(self, path: str, tests: list[str]):
        import libcst as cst
        from libcst.metadata import MetadataWrapper, PositionProvider

        self.path, self.tests = path, tests
        self.name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        self.source = (ROOT / path).read_text()
        self.seconds: dict[str, float] = {}
        self.covering: dict[int, set[str]] = defaultdict(set)
        self.killers: dict[str, set[str]] = defaultdict(set)  # by function
        wrapper = MetadataWrapper(cst.parse_module(self.source))
        self.tree = wrapper.module
        positions = wrapper.resolve(PositionProvider)
        self.mutants = [
            (scope, positions[old].start.line, positions[old].end.line, old, new)
            for scope, old, new in _mutations(self.tree)
            if old in positions
        ]

    def mutated(self, number: int) -> str:
        """The source with one mutation."""
        *_, old, new = self.mutants[number]
        return self.tree.deep_replace(old, new).code

    def change(self, number: int) -> str:
        """What a mutant changes, in one line."""
        before, after = self.source.splitlines(), self.mutated(number).splitlines()
        first, last = (
            next((n for n, (old, new) in enumerate(zip(a, b, strict=False)) if old != new), 0)
            for a, b in ((before, after), (before[::-1], after[::-1]))
        )
        old, new = before[first : len(before) - last], after[first : len(after) - last]
        blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
        changed = [(old[i:j], new[k:l]) for kind, i, j, k, l in blocks if kind != "equal"]
        texts = [" ".join(" ".join(lines).split()) for pair in changed for lines in pair]
        return f"`{self.mutants[number][0]}`: " + " … ".join(
            f"`{old}` → `{new}`" for old, new in zip(texts[::2], texts[1::2], strict=True)
        )

    def tests_of(self, number: int) -> list[str]:
        """The tests that execute a statement of the mutant, all if it runs at import; the likeliest to fail first."""
        scope, first, last, *_ = self.mutants[number]
        chosen = set().union(*(self.covering[line] for line in self.statement(first, last)))
        if scope == "module" or "" in chosen:
            chosen = set(self.seconds)
        return sorted(chosen, key=lambda test: (test not in self.killers[scope], self.seconds[test]))

    def statement(self, first: int, last: int) -> range:
        """The lines of the smallest statement around some lines; of a compound one its head, of a function all."""
        best = range(first, last + 1)
        size = sys.maxsize
        for node in ast.walk(ast.parse(self.source)):
            if isinstance(node, ast.stmt) and node.lineno <= first and last <= node.end_lineno:
                head = node.body[0].lineno - 1 if getattr(node, "body", None) else node.end_lineno
                end = node.end_lineno if isinstance(node, ast.FunctionDef) else max(head, node.lineno)
                if last <= end and end - node.lineno < size:
                    best, size = range(node.lineno, end + 1), end - node.lineno
        return best

    def mutate(self, number: int) -> None:
        """Give the function of a mutant its mutated code, where it is already imported."""
        original = sys.modules[self.name]
        mutated = types.ModuleType(self.name)
        mutated.__dict__.update(__file__=original.__file__, __package__=original.__package__)
        exec(compile(self.mutated(number), original.__file__, "exec", dont_inherit=True), mutated.__dict__)
        old, new = (_function(within, self.mutants[number][0]) for within in (original, mutated))
        old.__code__, old.__defaults__, old.__kwdefaults__ = new.__code__, new.__defaults__, new.__kwdefaults__


def _function(within, scope: str) -> types.FunctionType:
    """The function of a module with a name such as "VGG.layers.inner": the outermost one, without its decorators."""
    for name in scope.split("."):
        within = vars(within)[name]
        if not isinstance(within, type):
            break
    for inner in ("fget", "func", "__func__", "__wrapped__"):
        within = getattr(within, inner, within)
    if not isinstance(within, types.FunctionType):
        raise Unswappable(scope)
    return within


class Unswappable(Exception):
    """A mutant that is not in a function whose code can be replaced."""


def _mutations(tree) -> Iterator[tuple]:
    """(scope, node, mutated node) for all mutations of a module."""
    import libcst as cst
    from mutmut.mutation.mutators import mutation_operators

    def visit(node, scope: tuple[str, ...]) -> Iterator[tuple]:
        if isinstance(node, cst.Annotation | cst.Import | cst.ImportFrom | cst.Raise):
            return
        if isinstance(node, cst.Assign) and not scope and isinstance(node.value, cst.Subscript):
            return  # an alias of types
        if isinstance(node, cst.FunctionDef | cst.ClassDef):
            scope = (*scope, node.name.value)
        for kind, operator in mutation_operators:
            if isinstance(node, kind):
                mutated = list(operator(node))
                if isinstance(node, cst.SimpleString):
                    mutated = mutated[:1]  # not in upper and lower case as well
                for new in mutated:
                    yield ".".join(scope) or "module", node, new
        for child in node.children:
            yield from visit(child, scope)

    return visit(tree, ())


class Mutated(importlib.machinery.SourceFileLoader):
    """Loads a module from another source."""

    def __init__(self, name: str, path: str, source: str):
        super().__init__(name, path)
        self.source = source

    def get_code(self, fullname: str):
        return compile(self.source, self.path, "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Finds one module with its other source."""

    def __init__(self, module: Module, source: str):
        self.module, self.source = module, source

    def find_spec(self, fullname, path=None, target=None):
        if fullname != self.module.name:
            return None
        location = str(ROOT / self.module.path)
        package = [str(Path(location).parent)] if location.endswith("__init__.py") else None
        return importlib.util.spec_from_file_location(
            fullname, location, loader=Mutated(fullname, location, self.source), submodule_search_locations=package
        )


class Coverage:
    """A plugin of pytest that notes which tests execute which lines of a module, and how long they take."""

    def __init__(self, module: Module):
        self.file, self.current = str(ROOT / module.path), ""
        self.covering: dict[int, set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = {}

    def trace(self, frame, event, _):
        if frame.f_code.co_filename != self.file:
            return None
        self.covering[frame.f_lineno].add(self.current)
        return self.trace

    def pytest_runtest_logstart(self, nodeid):
        self.current, self.start = nodeid, time.perf_counter()

    def pytest_runtest_logfinish(self, nodeid):
        self.seconds[nodeid] = time.perf_counter() - self.start
        self.current = nodeid


def _forked(run, folder: Path, silent: bool = True) -> int:
    """Start a process that runs a function and ends with its result; its id."""
    process = os.fork()
    if process:
        return process
    code = 99
    try:
        os.setpgid(0, 0)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        with open(os.devnull, "r+b") as null, open(folder / "output", "wb") as output:
            os.dup2(null.fileno(), 0)
            os.dup2(output.fileno(), 1)
            if silent:
                os.dup2(output.fileno(), 2)
        code = int(run())
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _pytest(tests: list[str], folder: Path, *options: str, plugins=()) -> int:
    import pytest

    return int(pytest.main([*PYTEST, *options, f"--basetemp={folder / 'tmp'}", *tests], plugins=list(plugins)))


def baseline(module: Module) -> None:
    """Run the tests on the module as it is: they must pass; note what they execute, and import what they imported."""
    folder = Path(tempfile.mkdtemp())

    def run() -> int:
        coverage = Coverage(module)
        threading.settrace(coverage.trace)
        sys.settrace(coverage.trace)
        code = _pytest(module.tests, folder, plugins=[coverage])
        sys.settrace(None)
        covering = {line: sorted(tests) for line, tests in coverage.covering.items()}
        own = ("nst_numpy", "_pytest.assertion", *(Path(test.split("::")[0]).stem for test in module.tests))
        installed = [
            name
            for name, loaded in list(sys.modules.items())
            if "site-packages" in (getattr(loaded, "__file__", None) or "") and not name.startswith(own)
        ]
        (folder / "found").write_text(json.dumps([covering, coverage.seconds, installed]))
        return code

    _, status = os.waitpid(_forked(run, folder), 0)
    if status:
        sys.exit(f"the tests of {module.path} do not pass without mutants:\n{(folder / 'output').read_text()[-3000:]}")
    covering, module.seconds, installed = json.loads((folder / "found").read_text())
    for line, tests in covering.items():
        module.covering[int(line)] = set(tests)
    shutil.rmtree(folder)
    for name in installed:
        with contextlib.suppress(Exception):
            importlib.import_module(name)
    gc.freeze()


class Loop:
    """A plugin of pytest that, in place of running the tests it has collected, runs them on each mutant."""

    def __init__(self, module: Module, numbers: list[int], jobs: int):
        self.module, self.numbers, self.jobs = module, numbers, jobs
        self.alive: list[int] = []
        self.left: list[int] = []
        self.failed = False

    def pytest_runtest_logreport(self, report):
        self.failed |= report.failed

    def pytest_runtestloop(self, session):
        items = {item.nodeid: item for item in session.items}
        gc.collect()
        gc.freeze()

        def run(number: int, tests: list[str], folder: Path) -> int:
            try:
                self.module.mutate(number)
            except Unswappable:
                return ELSEWHERE
            session.config._tmp_path_factory._given_basetemp = folder / "tmp"
            for test in tests:
                items[test].ihook.pytest_runtest_protocol(item=items[test], nextitem=None)
                if self.failed:
                    (folder / "killer").write_text(test)
                    return 1
            return 0

        self.alive, self.left = fork_each(self.module, self.numbers, self.jobs, run)
        return True


class Killer:
    """A plugin of pytest that notes which test fails."""

    def __init__(self, folder: Path):
        self.folder = folder

    def pytest_runtest_logreport(self, report):
        if report.failed:
            (self.folder / "killer").write_text(report.nodeid)


def survivors(module: Module, numbers: list[int], jobs: int) -> list[int]:
    """The mutants that no test kills. One that takes ten times as long as its tests is killed."""
    folder = Path(tempfile.mkdtemp())

    def swap() -> int:
        loop = Loop(module, [number for number in numbers if module.mutants[number][0] != "module"], jobs)
        code = _pytest(module.tests, folder, "-s", plugins=[loop])
        (folder / "found").write_text(json.dumps([loop.alive, loop.left]))
        return code

    def run(number: int, tests: list[str], folder: Path) -> int:
        sys.meta_path.insert(0, Finder(module, module.mutated(number)))
        return _pytest(tests, folder, "--tb=no", plugins=[Killer(folder)])

    os.waitpid(_forked(swap, folder, silent=False), 0)
    alive, left = json.loads((folder / "found").read_text())
    shutil.rmtree(folder)
    left += [number for number in numbers if module.mutants[number][0] == "module"]
    return sorted(alive + fork_each(module, left, jobs, run)[0])


def fork_each(module: Module, numbers: list[int], jobs: int, run) -> tuple[list[int], list[int]]:
    """Fork for each mutant and run its tests there; those that survive, and those that are to be run otherwise."""
    running: dict[int, tuple[int, float, Path]] = {}
    waiting, alive, left = list(reversed(numbers)), [], []
    bar = tqdm(total=len(numbers), desc=module.path, unit="mutant", mininterval=5)
    while waiting or running:
        while waiting and len(running) < jobs:
            number = waiting.pop()
            if not (tests := module.tests_of(number)):
                alive.append(number)
                bar.update()
                continue
            folder = Path(tempfile.mkdtemp())
            limit = time.time() + 10 + 10 * sum(map(module.seconds.__getitem__, tests))
            running[_forked(partial(run, number, tests, folder), folder)] = number, limit, folder
        for process, (number, limit, folder) in list(running.items()):
            ended, status = os.waitpid(process, os.WNOHANG)
            if not ended and time.time() > limit:
                os.killpg(process, signal.SIGKILL)
                ended, status = os.waitpid(process, 0)
            if ended:
                del running[process]
                bar.update()
                if (folder / "killer").exists():
                    module.killers[module.mutants[number][0]].add((folder / "killer").read_text())
                shutil.rmtree(folder, ignore_errors=True)
                if os.WIFEXITED(status) and os.WEXITSTATUS(status) in (0, ELSEWHERE):
                    (left if os.WEXITSTATUS(status) else alive).append(number)
        time.sleep(0.002)
    bar.close()
    return alive, left


def main() -> None:
    """Print a table of modules, and the survivors that are not explained; status 1 if there are any."""
    with open(ROOT / "pyproject.toml", "rb") as file:
        tests_of = tomllib.load(file)["tool"]["mutants"]
    parser = argparse.ArgumentParser(description="Change one thing in a module and see whether a test fails.")
    parser.add_argument("modules", nargs="*", default=list(tests_of), help="paths such as nst_numpy/losses.py")
    parser.add_argument("--tests", nargs="+", help="instead of those that pyproject.toml names")
    parser.add_argument("--again", action="store_true", help="only the mutants that survived last time")
    parser.add_argument("--lines", help="only the mutants in these lines, such as 40-90")
    parser.add_argument("--draw", type=int, metavar="N", help="only N mutants of each module, drawn at random")
    parser.add_argument("--seed", type=int, default=0, help="of --draw")
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--row", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--list", action="store_true", help="print the mutants, run nothing")
    arguments = parser.parse_args()
    if len(arguments.modules) > 1:  # each in a process of its own: what is imported for one may be mutated in another
        print(HEADER, flush=True)
        options = [f"--jobs={arguments.jobs}", "--row", *["--again"] * arguments.again]
        options += [f"--draw={arguments.draw}", f"--seed={arguments.seed}"] * (arguments.draw is not None)
        codes = [subprocess.call([sys.executable, __file__, path, *options]) for path in arguments.modules]
        sys.exit(any(codes))
    (path,) = arguments.modules
    if not (ROOT / path).is_file() or not (arguments.tests or path in tests_of):
        sys.exit(f"{path} must be a module that pyproject.toml names under [tool.mutants], or have --tests")
    os.chdir(ROOT)
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "CI": "1"}
    source = (ROOT / path).read_text()
    if re.search(r"^@(compiled|inlined)", source, re.MULTILINE):
        os.environ["NUMBA_DISABLE_JIT"] = "1"  # else each mutant is compiled, or taken from the cache of the original
    sys.path.insert(0, str(ROOT))

    module = Module(path, arguments.tests or tests_of[path])
    numbers = list(range(len(module.mutants)))
    if arguments.lines:
        first, last = map(int, arguments.lines.split("-"))
        numbers = [n for n in numbers if first <= module.mutants[n][1] <= last]
    kept = OUT / (module.name + ".json")
    if arguments.again:
        before = set(json.loads(kept.read_text()))
        numbers = [n for n in numbers if module.change(n) in before]
    if arguments.draw is not None and arguments.draw < len(numbers):
        numbers = sorted(random.Random(arguments.seed).sample(numbers, arguments.draw))
    if arguments.list:
        for number in numbers:
            print(f"{module.mutants[number][1]:5} {module.change(number)}")
        return
    baseline(module)
    alive = survivors(module, numbers, arguments.jobs)
    changes = {number: module.change(number) for number in alive}
    explained = "".join(file.read_text() for file in Path(__file__).parent.glob("*.md"))
    unexplained = [number for number in alive if f"- {changes[number]}" not in explained]
    if not arguments.lines:
        OUT.mkdir(parents=True, exist_ok=True)
        kept.write_text(json.dumps(list(changes.values()), ensure_ascii=False, indent=1))
    if not arguments.row:
        print(HEADER)
    killed, explained_count = len(numbers) - len(alive), len(alive) - len(unexplained)
    print(f"{path:36} {len(numbers):7} {killed:7} {len(alive):9} {explained_count:10}")
    for number in unexplained:
        print(f"  line {module.mutants[number][1]}: {changes[number]}")
    sys.exit(bool(unexplained))


if __name__ == "__main__":
    main()
