"""The pages of marks and feedback: plain HTML without scripts, for paper, desks and phones, by day and by night."""

import html
import re
from collections.abc import Iterable
from string import Template
from typing import TYPE_CHECKING
from urllib.parse import quote

from nst_numpy.exercises.assignment import Assignment

if TYPE_CHECKING:
    from nst_numpy.exercises.grading import Mark, Result

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root { color-scheme: light dark; --line: #ccc; --faint: #666; --right: #1a7f37; --part: #9a6700; --wrong: #c0262d; }
@media (prefers-color-scheme: dark) {
  :root { --line: #444; --faint: #aaa; --right: #4ac26b; --part: #d4a72c; --wrong: #ff7b72; }
}
body { font: 1rem/1.5 system-ui, sans-serif; max-width: $width; margin: 0 auto; padding: 1rem; }
body, td:last-child { overflow-wrap: anywhere; } td, th { overflow-wrap: break-word; }
h1 { font-size: 1.4rem; margin: 0.5rem 0; } h2 { font-size: 1.05rem; margin: 0; }
section { border-top: 1px solid var(--line); padding: 0.8rem 0; }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
.right { color: var(--right); } .part { color: var(--part); } .wrong { color: var(--wrong); }
.faint { color: var(--faint); }
p { margin: 0.4rem 0; white-space: pre-line; }
pre { overflow-x: auto; font-size: 0.85rem; } code { font-family: ui-monospace, monospace; font-size: 0.9em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
td:nth-child(2) { white-space: nowrap; }
td, th { border: 1px solid var(--line); padding: 0.3rem 0.5rem; text-align: right; vertical-align: top; }
small { display: block; color: var(--faint); }
td:first-child, th:first-child, td:last-child, th:last-child { text-align: left; }
td:last-child { min-width: 16rem; font-size: 0.85rem; }
</style>
</head>
<body>
$body
</body>
</html>
""")
SECTION = Template("""<section>
<div class="head"><h2>$name</h2><span class="$kind">$points</span></div>
$text
</section>""")


def feedback(result: "Result", assignment: Assignment) -> str:
    """The page of one student."""
    total = f"{result.points:g} of {result.of:g} points" if result.graded else "not graded"
    head = f'<div class="head"><span>{_text(result.name)}</span><b>{total}</b></div>'
    parts = [f"<h1>{_text(assignment.title)}</h1>", head]
    if result.remarks:
        parts.append("".join(f"<p>{_text(remark)}</p>" for remark in result.remarks))
    for mark in result.marks:
        points = f"{mark.points:g} of {mark.of:g}" if mark.of else "not required"
        text = _paragraphs(mark.report["message"])
        parts.append(SECTION.substitute(name=_text(mark.name), kind=_kind(mark), points=points, text=text))
    for question in assignment.questions:
        points = f"… of {question.points:g}"
        text = _paragraphs(question.text) + '<p class="faint">A person grades this.</p>'
        parts.append(SECTION.substitute(name=_text(question.title), kind="faint", points=points, text=text))
    return PAGE.substitute(title=_text(f"{assignment.title}: {result.name}"), body="\n".join(parts), width="40rem")


def marks(results: Iterable["Result"], assignment: Assignment) -> str:
    """The table of all students."""
    results = list(results)
    columns = [(task.name, task.points) for task in assignment.tasks]
    columns += [(question.title, question.points) for question in assignment.questions]
    heads = [f"{_text(name)} <small>of {points:g}</small>" for name, points in columns]
    rows = [_row("th", ["student", "points", "%", *heads, "remarks"])]
    for result in results:
        cells = [
            f'<span class="{_kind(mark)}">{mark.points:g}</span> <small>{_text(mark.words)}</small>' if mark.of else "–"
            for mark in result.marks
        ]
        cells += [""] * (len(columns) - len(cells))
        percent = f"{100 * result.points / result.of:.0f}" if result.of else ""
        total = [f"{result.points:g} of {result.of:g}" if result.graded else "", percent]
        name = f'<a href="feedback/{quote(result.page)}.html">{_text(result.name)}</a>'
        rows.append(_row("td", [name, *total, *cells, "<br>".join(map(_text, result.remarks))]))
    percents = [100 * result.points / result.of for result in results if result.of]
    words = f"{len(results)} submissions, {sum(result.graded for result in results)} graded"
    words += f"; mean {sum(percents) / len(percents):.0f} %" if percents else ""
    body = [f"<h1>{_text(assignment.title)}</h1>", f"<p>{words}</p>"]
    body.append(f'<div class="wide"><table>\n{"".join(rows)}</table></div>')
    held = {"; ".join(f"{k}: {v}" for k, v in result.enforced.items()) for result in results if result.enforced}
    body += [f'<p class="faint">Enforced: {_text(line)}.</p>' for line in sorted(held)]
    return PAGE.substitute(title=_text(f"{assignment.title}: marks"), body="\n".join(body), width="none")


def _row(kind: str, cells: Iterable[str]) -> str:
    return "<tr>" + "".join(f"<{kind}>{cell}</{kind}>" for cell in cells) + "</tr>\n"


def _kind(mark: "Mark") -> str:
    if mark.report["passed"]:
        return "right"
    return "part" if mark.points else "wrong" if mark.of else "faint"


def _text(text: str) -> str:
    """Escaped, with code in backticks marked."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _paragraphs(text: str) -> str:
    """Lines that are indented are a table, or code."""
    parts = re.split(r"((?:^[ \t]+.*\n?)+)", text, flags=re.MULTILINE)
    return "".join(
        f"<pre>{html.escape(part)}</pre>" if part[:1] in " \t" else f"<p>{_text(part.strip())}</p>"
        for part in parts
        if part.strip()
    )
