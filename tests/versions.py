"""The tests with the lowest and with the newest versions of the dependencies, for each Python on this machine.

    python tests/versions.py                              # all tests; the table is written to out/versions/table.md
    python tests/versions.py --python 3.12 tests/test_layers.py

uv, from the extra `versions`, finds the Pythons: the newest patch of each minor version that the library takes. The
lowest versions are those that `pyproject.toml` allows and that have a wheel for that Python; test tools, and what the
dependencies need themselves, are the newest that go with them. Each environment is in out/versions, made anew.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "out" / "versions"
RESOLUTIONS = {"lowest": "lowest-direct", "newest": "highest"}


def uv(*arguments):
    command = [sys.executable, "-m", "uv", "--no-python-downloads", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    return done.stdout if done.returncode == 0 else sys.exit(done.stderr)


def pythons(wanted):
    """The path of each Python that the library takes, or that is asked for, by its version."""
    found = {}
    for python in json.loads(uv("python", "list", "--only-installed", "--output-format", "json", wanted)):
        major, minor, patch = (python["version_parts"][part] for part in ("major", "minor", "patch"))
        if python["implementation"] == "cpython" and python["variant"] == "default":
            found[major, minor] = max(found.get((major, minor), (0, "")), (patch, python["path"]))
    return {f"{major}.{minor}.{patch}": path for (major, minor), (patch, path) in sorted(found.items())}


def environment(folder, python, resolution):
    """Make an environment with the library, its test tools, and such versions; the versions by name."""
    pinned = folder.with_name(f"{folder.name}.txt")
    uv("venv", "--clear", "--python", python, folder)
    compiled = ("pip", "compile", "--only-binary", ":all:", "--no-annotate", "--no-header", "--resolution", resolution)
    versions = uv(*compiled, "--python", folder, ROOT / "pyproject.toml")
    pinned.write_text(versions)
    uv("pip", "install", "--python", folder, "--constraint", pinned, "--editable", f"{ROOT}[test]")
    return dict(line.split("==") for line in versions.split())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    parser.add_argument("--python", default=project["requires-python"], help="for one: 3.12; by default every one")
    parser.add_argument("tests", nargs="*", help="by default all")
    options = parser.parse_args()
    FOLDER.mkdir(parents=True, exist_ok=True)
    names = [re.match(r"[\w-]+", requirement)[0] for requirement in project["dependencies"]]
    head = ["Python", "versions", *names, "passed", "failed", "skipped", "time"]
    table = [head, ["---"] * len(head)]
    bad = False
    for version, python in pythons(options.python).items():
        for name, resolution in RESOLUTIONS.items():
            print(f"== Python {version}, {name} versions", flush=True)
            folder = FOLDER / f"{version}-{name}"
            versions = environment(folder, python, resolution)
            report, start = folder.with_name(f"{folder.name}.xml"), time.monotonic()
            report.unlink(missing_ok=True)
            run = ["-m", "pytest", "-q", "-n", "auto", "--maxprocesses", "8", f"--junitxml={report}", *options.tests]
            strict = {**os.environ, "CI": "true"}  # warnings are errors
            code = subprocess.run([folder / "bin" / "python", *run], cwd=ROOT, env=strict).returncode
            suite = ET.parse(report).getroot()[0]
            total, failed, skipped = (int(suite.get(count)) for count in ("tests", "failures", "skipped"))
            failed += int(suite.get("errors"))
            counts = [total - failed - skipped, failed, skipped, f"{time.monotonic() - start:.0f} s"]
            table.append([version, name, *(versions[n] for n in names), *counts])
            bad |= code != 0
    lines = "".join(f"| {' | '.join(map(str, row))} |\n" for row in table)
    (FOLDER / "table.md").write_text(lines)
    print(lines, end="")
    return bad or len(table) == 2


if __name__ == "__main__":
    sys.exit(main())
