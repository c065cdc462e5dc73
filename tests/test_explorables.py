"""Figures that one can point at: their data fit their HTML. docs/site/check.py operates them in a browser."""

import json
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
sys.path.append(str(ROOT / "docs" / "site"))

from explorables import explorable  # noqa: E402

PAGES = {page: page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md"))}
FOUND = [(name, page) for page, text in PAGES.items() for name in re.findall(r"<!-- explorable: (\S+) -->", text)]


@pytest.mark.parametrize(("name", "page"), FOUND, ids=[name for name, _ in FOUND])
def test_what_a_figure_shows_has_a_place(name, page):
    html = explorable(name, PAGES[page])
    assert "\n\n" not in html  # Markdown would end the figure there
    if name == "which-is-right":
        assert {"yes", "no"} == set(re.findall(r'data-right="(\w+)"', html))
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
