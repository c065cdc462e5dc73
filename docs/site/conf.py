"""How Sphinx makes the documentation: `make docs` lays out its sources in out/site and the pages in out/docs."""

import inspect
import re
import sys
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import desc_signature, download_reference

import nst_numpy

sys.path.insert(0, str(Path(__file__).parent))
import search
from explorables import explorable

project = "nst_numpy"
version = release = nst_numpy.__version__
author = "The nst_numpy developers"
html_title = f"nst_numpy {version}"

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx.ext.viewcode",
    "sphinx.ext.mathjax",
    "sphinx_copybutton",
    "sphinx-mathjax-offline",
]
exclude_patterns = ["contents.md", "docs/README.md"]  # index.md ends with the one, and has what the other lists
html_theme = "furo"
html_static_path = ["site.css", "explorables.js", "search.js"]
html_css_files = ["site.css"]
html_js_files = [("explorables.js", {"defer": "defer"})]
html_additional_pages = {"search": "search.html"}
html_copy_source = False
html_show_copyright = False
highlight_language = "none"  # for what has no language: commands and output

myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # `make notebooks` has run them
nb_output_stderr = "remove"
nb_ipywidgets_js = {}  # no page has widgets, and their scripts are not local

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_selector = "div.highlight pre:not(.cell_output pre)"  # no output

smartquotes = False
templates_path = ["templates"]
default_role = "py:obj"
autodoc_default_options = {"members": True}
autodoc_member_order = "bysource"
autodoc_typehints = "none"  # the docstrings have types, with shapes and units
numpydoc_show_class_members = False  # autodoc does


def setup(app):
    app.config.mathjax_path = "mathjax/tex-svg.js"  # paths, where others would load fonts
    app.connect("source-read", for_the_site)
    app.connect("autodoc-process-docstring", plain_characters, priority=400)  # before numpydoc
    app.connect("missing-reference", find_by_last_names)
    app.connect("doctree-read", give_places, priority=400)  # before viewcode, which links to them
    app.connect("doctree-read", offer_notebook, priority=400)  # before Sphinx copies what can be downloaded
    app.connect("builder-inited", without_own_search)
    app.connect("doctree-resolved", search.collect)
    app.connect("build-finished", search.write)


def for_the_site(app, page: str, source: list[str]) -> None:
    """Change the text of a page where the site can do better than a page of the repository."""
    text = source[0]
    text = re.sub(r"\]\(((?:\.\./)*)nst_numpy/(\w+)\.py\)", r"](\1api/nst_numpy.\2.rst)", text)
    text = re.sub(r"\]\(([\w./]*\d\d_\w+)\.py\)", r"](\1.ipynb)", text)
    text = re.sub(r"<!-- docstring: (\S+) -->", docstring, text)
    text = re.sub(r"<!-- explorable: (\S+) -->", lambda marker: explorable(marker[1], text), text)
    source[0] = text.replace("<!-- public names -->", public_names())


def docstring(marker: re.Match) -> str:
    """The derivation of a function, from its docstring."""
    directive = "automethod" if re.search(r"\.[A-Z]\w*\.\w+$", marker[1]) else "autofunction"
    return f"```{{eval-rst}}\n.. {directive}:: {marker[1]}\n   :no-index:\n```"


def public_names() -> str:
    """What `import nst_numpy` gives, as a table."""
    rows = []
    for name in nst_numpy.__all__:
        this = getattr(nst_numpy, name)
        if inspect.ismodule(this):
            where = this.__name__
        else:  # described with its package, if that lists it
            package = this.__module__.rpartition(".")[0]
            listed = package != "nst_numpy" and this.__name__ in sys.modules[package].__all__
            where = f"{package if listed else this.__module__}.{this.__qualname__}"
        rows.append(f"| {{py:obj}}`{name} <{where}>` | {inspect.getdoc(this).splitlines()[0]} |")
    return "\n".join(["| name | what it is |", "|---|---|", *rows])


def plain_characters(app, what, name, obj, options, lines: list[str]) -> None:
    """Give every formula that is a paragraph of its own the class "formula", and keep what is no markup as it is."""

    def name_or_code(found: re.Match) -> str:
        return found[0] if re.fullmatch(r"\w[\w.]*", found[1]) else f"`{found[0]}`"

    text = re.sub(r"(?<!`)`([^`]+)`(?!`)", name_or_code, "\n".join(lines))
    text = re.sub(r"(``.*?``)|\|", lambda found: found[1] or r"\|", text, flags=re.DOTALL)
    lines[:] = text.split("\n")
    for i in range(len(lines) - 1, -1, -1):
        line, around = lines[i], lines[max(i - 1, 0) : i] + lines[i + 1 : i + 2]
        if re.match(r"\s*[^\s:.*>|-].* [=←] .*[^.:;]$", line) and not any(map(str.strip, around)):
            indent = line[: len(line) - len(line.lstrip())]
            lines[i : i + 1] = [f"{indent}.. container:: formula", "", "   " + re.sub(r"([*_`])", r"\\\1", line)]


def give_places(app, doctree) -> None:
    """Let pages that show a docstring without being its reference be linked to as well."""
    for signature in doctree.findall(desc_signature):
        signature["ids"] = signature["ids"] or [f"{signature['module']}.{signature['fullname']}"]


def offer_notebook(app, doctree) -> None:
    """Begin the page of a notebook with a link to the notebook."""
    page = app.env.docname
    if app.env.doc2path(page).suffix == ".ipynb":
        link = download_reference("", "Download this notebook", reftarget=f"/{page}.ipynb", refdoc=page)
        doctree.next_node(nodes.title).parent.insert(1, nodes.paragraph("", "", link, classes=["download-notebook"]))


def without_own_search(app) -> None:
    """Sphinx's own shows text only over http, and LaTeX in it."""
    app.builder.search = False


def find_by_last_names(app, env, node, contnode):
    """Let `losses.gram` in a docstring mean nst_numpy.losses.gram."""
    if node.get("refdomain") != "py":
        return None
    domain = env.domains.python_domain
    ending = "." + node["reftarget"]
    objects = domain.objects.items()  # without modules: `layers` may be one, or an argument
    found = [name for name, entry in objects if name.endswith(ending) and entry.objtype != "module"]
    if len(found) != 1:
        return None
    node["reftarget"] = found[0]
    return domain.resolve_xref(env, node["refdoc"], app.builder, "obj", found[0], node, contnode)
