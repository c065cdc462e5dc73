"""Figures that one can point at: their data fit their HTML. docs/site/check.py operates them in a browser."""

import json
import re
import sys
from itertools import product
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "site"))

import painted  # noqa: E402
from explorables import explorable  # noqa: E402

PAGES = {page: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
FOUND = [(name, page) for page, text in PAGES.items() for name in re.findall(r"<!-- explorable: (\S+) -->", text)]


def nothing_painted(*images, steps, callback=lambda *seen: None, **settings):
    """In place of `transfer`, which would take its time."""
    losses, image = {"total": 3.0, "content": 1.0, "style": 1.0, "tv": 1.0}, np.zeros((4, 4, 3))
    for step in range(np.sum(steps) + 1):
        callback(step, image, losses)
    return SimpleNamespace(pixels=image, history=[losses] * (step + 1))


@pytest.mark.parametrize(("name", "page"), FOUND, ids=[name for name, _ in FOUND])
def test_what_a_figure_shows_has_a_place(name, page, monkeypatch):
    if name in ("settings", "descent"):
        monkeypatch.setattr(painted, "transfer", nothing_painted)
        monkeypatch.setattr(painted.samples, "swirling_night", lambda: np.zeros((4, 4, 3)))
    html = explorable(name, PAGES[page])
    assert "\n\n" not in html  # Markdown would end the figure there
    if name == "which-is-right":
        assert {"yes", "no"} == set(re.findall(r'data-right="(\w+)"', html))
        return
    if "data-key" in html:
        keys = re.findall(r'class="shot.*?" data-key="(.*?)"', html)
        sliders = re.findall(r'max="(\d+)" value="(\d+)"', html)
        assert len(set(keys)) == len(keys)
        assert re.findall(r'class="shot[^"]* shown" data-key="(.*?)"', html) == [" ".join(at for _, at in sliders)]
        # One of the lower sliders is moved, the others go to their defaults.
        for k in range(len(sliders)):
            ranges = [range(int(most) + 1) if i in (0, k) else [int(at)] for i, (most, at) in enumerate(sliders)]
            assert {" ".join(map(str, each)) for each in product(*ranges)} <= set(keys)
        return
    data = json.loads(re.search(r'<script type="application/json">(.*)</script>', html)[1])
    places = set(re.findall(r'data-cell="(.*?)"', html))
    buttons = set(re.findall(r'<button [^>]*data-cell="(.*?)"', html))
    images = set(re.findall(r'<img data-cell="(.*?)"', html))
    assert set(data.get("order", buttons)) == buttons
    for state in data["states"].values():
        assert set(state["put"]) | set(state.get("wrong", ())) <= places
        assert set(state["cells"]) == buttons
        for cell in state["cells"].values():
            cell = state["cells"][cell] if isinstance(cell, str) else cell
            assert set(cell["marks"]) <= places
            put = cell.get("put", {})
            assert set(put) <= places
            assert {put[name] for name in images & set(put)} <= set(data.get("pictures", ()))
