"""The documents do what they say: their commands exist, their code runs and prints what stands below it.

In a document, a block is Python (```python), TOML (```toml), a formula (```math), plain text (```text), commands
(indented, or ```sh), or what the Python block or the command just before it prints (```). `<!-- into FILE -->` before a
block of Python or TOML says that the reader writes it into that file.
"""

import contextlib
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from nst_numpy import samples
from nst_numpy.cli import parser

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("docs/questions/*.md"),
        *ROOT.glob("weights/*.md"),
        *ROOT.glob("notebooks/*.md"),
    ]
)
NOT_RUN = (
    "--weights vgg19",
    'weights="vgg19"',
    "nst-numpy bench",
    "frames film.mp4",
    "frames film/",
    "-o large.png",
)  # a download; minutes; a cluster

each_document = pytest.mark.parametrize("path", DOCUMENTS, ids=[str(path.relative_to(ROOT)) for path in DOCUMENTS])


def blocks(path: Path) -> list[tuple[str, str, int]]:
    """What a document holds that can be checked, in order: (kind, text, line)."""
    found, inside = [], ""
    for token in MarkdownIt().parse(path.read_text()):
        line = token.map[0] + 1 if token.map else 0
        if token.type == "html_block" and (match := re.match(r"<!-- into (\S+) -->", token.content)):
            inside = match[1]
        elif token.type == "fence" and token.info in ("python", "toml"):
            found.append((f"into {inside}" if inside else token.info, token.content, line))
            inside = ""
        elif token.type == "fence" and token.info in ("", "math", "text"):
            found.append((token.info or "output", token.content, line))
        elif token.type == "code_block" or (token.type == "fence" and token.info == "sh"):
            found += [("command", command, line + i) for i, command in enumerate(token.content.splitlines())]
        elif token.type == "fence":
            found.append(("unknown", token.info, line))
        elif token.type == "inline":
            whole = re.fullmatch(r"`(nst-numpy [^`]*)`:", token.content)
            found += (
                [("command", whole[1], line)]
                if whole
                else [
                    ("mention", command, line)
                    for command in re.findall(r"`((?:make|python|pytest) [^`]*)`", token.content)
                ]
            )
    return found


def words(command: str) -> list[str]:
    """A command without its comment, with all that may be left out, and FILE for FILE... ."""
    return shlex.split(re.sub(r"\[|\]|\.\.\.", "", command), comments=True)


def check_command(command: str) -> None:
    """There is such a target, option or file."""
    program, *arguments = words(command)
    if program == "make":
        assert re.search(rf"^{re.escape(arguments[0])}:", (ROOT / "Makefile").read_text(), re.MULTILINE)
    elif program == "nst-numpy":
        try:
            parser.build().parse_args(arguments[: arguments.index(">")] if ">" in arguments else arguments)
        except SystemExit as end:  # --help
            assert not end.code
    elif "--pyargs" in arguments:
        assert find_spec(arguments[arguments.index("--pyargs") + 1])
    elif program in ("python", "pytest"):
        assert next(a for a in arguments if not a.startswith("-")) and (ROOT / _path(arguments)).exists()
    else:
        assert command == "pip install ."


def _path(arguments: list[str]) -> str:
    return next(argument for argument in arguments if "/" in argument)


@each_document
def test_every_command_exists(path):
    before = ""
    for kind, text, line in blocks(path):
        assert kind != "unknown", f"{path.name}:{line}: a block of {text}"
        assert kind != "output" or before in ("python", "command"), f"{path.name}:{line}: output of what?"
        if kind in ("command", "mention"):
            try:
                check_command(text)
            except (AssertionError, StopIteration):
                pytest.fail(f"{path.name}:{line}: no such command: {text}")
        elif kind == "toml" or kind.endswith(".toml"):
            tomllib.loads(text)
        elif kind == "python" or kind.startswith("into "):
            compile(text, f"{path.name}:{line}", "exec")
        before = kind


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the documents take for granted: two images, a weight file, students' work."""
    folder = tmp_path_factory.mktemp("documents")
    samples.portrait().save(folder / "photograph.jpg")
    samples.swirling_night().save(folder / "painting.jpg")
    samples.woodcut_waves().save(folder / "woodcut.jpg")
    shutil.copy(folder / "painting.jpg", folder / "IMAGE")
    shutil.copy(ROOT / "weights/vgg19-mini.h5", folder / "FILE")
    (folder / "submissions").mkdir()
    (folder / "submissions/ada.py").write_text("def relu_backward(dy, x):\n    return dy * (x > 0)\n")
    return folder


@each_document
def test_the_code_runs(path, request, tmp_path, monkeypatch):
    if not request.config.getoption("--documents"):
        pytest.skip("paints whole pictures; `pytest tests/test_documents.py --documents`, as .ci/run does, runs it")
    shutil.copytree(request.getfixturevalue("folder"), tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    namespace: dict = {"__name__": "__main__"}
    printed = ""
    for kind, text, line in blocks(path):
        if any(part in text for part in NOT_RUN):
            continue
        if kind == "python":
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile("\n" * line + text, path, "exec"), namespace)
            printed = out.getvalue()
        elif kind.startswith("into "):
            with open(kind.removeprefix("into "), "a") as file:
                file.write("\n\n" * bool(file.tell()) + text)
        elif kind == "command" and text.startswith("nst-numpy "):
            command = " ".join(word if word == ">" else shlex.quote(word) for word in words(text))
            done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True)
            wrong_solutions = "exercise check" in text and done.returncode == 1
            assert done.returncode == 0 or wrong_solutions, f"{path.name}:{line}: {text}\n{done.stderr}"
            printed = done.stdout
        elif kind == "output":
            assert printed.strip().splitlines() == text.strip().splitlines(), f"{path.name}:{line}"
