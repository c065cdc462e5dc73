"""What the search looks in, as a script: a page that is opened as a file may load scripts, but no text.

search.js searches, templates/search.html shows.
"""

import json
from pathlib import Path

from docutils import nodes
from pylatexenc.latex2text import LatexNodes2Text
from sphinx.addnodes import desc, desc_signature

readable = LatexNodes2Text().latex_to_text

sections: list[tuple[str, str, str, str, bool]] = []  # address, title, title of the page, text, whether reference


def collect(app, doctree: nodes.document, page: str) -> None:
    """Take down the sections of a page; in the reference, each function as well."""
    reference = page.startswith("api")
    separate = (nodes.section, desc) if reference else nodes.section

    def text(node: nodes.Node) -> str:
        if isinstance(node, nodes.Text):
            return node.astext()
        if isinstance(node, nodes.math | nodes.math_block):
            return readable(node.astext())
        if isinstance(node, nodes.raw | nodes.title | desc_signature | nodes.Invisible):
            return ""
        between = "" if isinstance(node, nodes.TextElement) else " "
        return between.join(text(child) for child in node.children if not isinstance(child, separate)) + between

    for node in doctree.findall(lambda node: isinstance(node, separate)):
        heading = node.next_node(desc_signature if isinstance(node, desc) else nodes.title)
        top = isinstance(node.parent, nodes.document)
        place = "" if top else "#" + (heading if isinstance(node, desc) else node)["ids"][0]
        title = heading.get("fullname") or heading.astext()
        words = " ".join(text(node).split())
        sections.append(
            (app.builder.get_target_uri(page) + place, title, app.env.titles[page].astext(), words, reference)
        )


def write(app, exception) -> None:
    """Write the script beside the pages."""
    if not exception:
        data = json.dumps(sections, ensure_ascii=False, separators=(",", ":"))
        Path(app.outdir, "_static", "searched.js").write_text(f"const sections = {data};\n", encoding="utf-8")
