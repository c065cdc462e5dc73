"""Open every page of the documentation in a headless Chromium, from files, as a reader without a network does.

    python docs/site/check.py [FOLDER] [--screenshots FOLDER] [--pages GLOB...]

Fails on any message in the console that is an error, any request that fails or leaves the folder, any formula that is
not rendered, any link that leads nowhere, any page that is wider than its window on a phone or a screen, any code or
table that paper would cut, any picture without a description, any explorable that shows other numbers than the
library's, or can't be operated (check_explorables.py), and a search, copy button or download that does not work
(check_tools.py). Needs playwright, and Chromium on the path.
"""

import argparse
import shutil
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag

from check_explorables import explorables
from check_tools import tools
from playwright.sync_api import Browser, Page, sync_playwright

WIDTHS = 360, 768, 1024, 1280, 1920, 1366
PAPER = 690  # pixels between the margins of A4

RENDERED = """async () => {
    if (window.MathJax) await window.MathJax.startup.promise;
    await Promise.all([...document.images].map(image => (image.loading = "eager", image.decode().catch(() => 0))));
}"""

LOOK = r"""() => {
    const wrong = [];
    for (const math of document.querySelectorAll(".math"))
        if (!math.querySelector("mjx-container svg")) wrong.push("formula not rendered: " + math.textContent);
    for (const error of document.querySelectorAll("[data-mjx-error], mjx-container [fill=red]"))
        wrong.push("error in a formula: " + (error.dataset.mjxError || "undefined: " + error.textContent));
    const texts = document.createTreeWalker(document.querySelector("article"), NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        if (text.parentElement.closest("pre, code, script, style, mjx-container")) continue;
        if (/\$\$|\\[([]|\\(frac|sum|alpha|text)\b|\*\*\w[^*]*\*\*|`|<!--/.test(text.data))
            wrong.push("markup in the text: " + text.data.trim());
    }
    for (const image of document.images)
        if (!image.naturalWidth) wrong.push("no picture: " + image.src);
        else if (!image.hasAttribute("alt") || /\.(png|jpg|svg)$/.test(image.alt))
            wrong.push("no description of the picture " + image.src);
    for (const table of document.querySelectorAll("table.docutils:not(.autosummary), .cell_output table")) {
        const heads = [...table.rows[0].cells];
        if (!heads.some(cell => cell.tagName === "TH" && cell.textContent.trim()))
            wrong.push("no heads in the table: " + heads.map(cell => cell.textContent.trim()));
    }
    if (/\/notebooks\/\d/.test(location) && !document.querySelector(".download-notebook a"))
        wrong.push("no notebook to download");
    return wrong;
}"""

# On a phone the theme lets the content scroll, not the page.
TOO_WIDE = """() => Math.max(...[document.documentElement, document.querySelector(".content")].map(
    each => each.scrollWidth - each.clientWidth))"""

CUT = """() => [
    ...[...document.querySelectorAll("article :is(pre, table, .table-wrapper, .cell_output)")]
        .filter(each => each.scrollWidth > each.clientWidth + 1 || each.getBoundingClientRect().right > innerWidth + 1)
        .map(each => "paper cuts: " + each.textContent.trim().slice(0, 60)),
    ...[...document.querySelectorAll(".sidebar-drawer, .toc-drawer, .mobile-header, .copybtn, .related-pages")]
        .filter(each => each.checkVisibility())
        .map(each => "on paper: " + each.className)]"""

STILL = ".explorable .board, .explorable .says"


def problems(page: Page, file: Path, root: Path) -> list[str]:
    """What is wrong with a page, and opens it."""
    found: list[str] = []
    listeners = {
        "console": lambda message: message.type == "error" and found.append(f"console: {message.text}"),
        "pageerror": lambda error: found.append(f"script: {error}"),
        "requestfailed": lambda request: found.append(f"request failed: {request.url}"),
        "request": lambda request: (
            request.url.startswith((root.as_uri(), "data:", "blob:")) or found.append(f"request outside: {request.url}")
        ),
    }
    for event, listener in listeners.items():
        page.on(event, listener)
    page.goto(file.as_uri())
    page.evaluate(RENDERED)
    found += page.evaluate(LOOK)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        if (more := page.evaluate(TOO_WIDE)) > 0:
            found.append(f"{more} pixels wider than a window of {width}")
    page.emulate_media(media="print")
    page.set_viewport_size({"width": PAPER, "height": 900})
    found += page.evaluate(CUT)
    page.emulate_media(media="screen")
    page.set_viewport_size({"width": WIDTHS[-1], "height": 900})
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    return found


def still(browser: Browser, file: Path) -> list[str]:
    """What the explorables of a page show without scripts."""
    page = browser.new_page(java_script_enabled=False)
    page.goto(file.as_uri())
    shown = page.locator(STILL).all_text_contents()
    page.close()
    return shown


def dead_links(targets: dict[Path, set[str]], links: dict[Path, list[str]]) -> list[str]:
    """The links to files that are not there, and to places that their page does not have."""
    found = []
    for file, addresses in links.items():
        for address, place in map(urldefrag, addresses):
            target = Path(unquote(address.removeprefix("file://")).split("?")[0])
            if not target.exists():
                found.append(f"{file.name}: dead link to {target}")
            elif place and target in targets and unquote(place) not in targets[target]:
                found.append(f"{file.name}: {target.name} has no place {place}")
    return found


def main() -> int:
    """Check the pages, and print what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", type=Path, default=Path("out/docs"))
    parser.add_argument("--screenshots", type=Path, metavar="FOLDER", help="where to put pictures of the pages")
    parser.add_argument("--pages", nargs="*", default=["**/*.html"], metavar="GLOB", help="by default all")
    options = parser.parse_args()

    root = options.folder.resolve()
    files = sorted({file for glob in options.pages for file in root.glob(glob) if "_static" not in file.parts})
    if not files:
        parser.error(f"no pages in {root}")
    browser_program = shutil.which("chromium")
    if not browser_program:
        parser.error("chromium is not on the path")
    wrong, formulas = [], 0
    targets: dict[Path, set[str]] = {}
    links: dict[Path, list[str]] = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_program, args=["--no-sandbox"])
        page = browser.new_page(has_touch=True)
        for file in files:
            wrong += [f"{file.relative_to(root)}: {problem}" for problem in problems(page, file, root)]
            if page.locator(".explorable").count():
                found = explorables(page)
                page.reload()
                if page.locator(STILL).all_text_contents() != still(browser, file):
                    found.append("other explorables without scripts")
                wrong += [f"{file.relative_to(root)}: {problem}" for problem in found]
            formulas += page.locator(".math").count()
            targets[file] = set(page.eval_on_selector_all("[id]", "all => all.map(each => each.id)")) | {"top"}
            links[file] = page.eval_on_selector_all("a[href]", "all => all.map(each => each.href)")
            links[file] = [address for address in links[file] if address.startswith("file:")]
            if options.screenshots:
                options.screenshots.mkdir(parents=True, exist_ok=True)
                name = "-".join(file.relative_to(root).with_suffix(".png").parts)
                page.screenshot(path=options.screenshots / name, full_page=True)
        wrong += tools(browser, page, root)
        browser.close()
    wrong += dead_links(targets, links)
    print(*wrong, f"{len(files)} pages, {formulas} formulas, {len(wrong)} problems", sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
