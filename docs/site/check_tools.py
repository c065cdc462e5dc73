"""Use what the pages offer beside their text: the search, the buttons that copy code, the notebooks to download.

All of it once from files and once over http. Also says how much the first page loads.
"""

import functools
import json
import re
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from playwright.sync_api import Browser, Page, Response

SOUGHT = {  # what its first page must contain
    "Gram": r"Gram matrix",
    "Gramian": r"Gramian",
    "im2col": r"im2col",
    "flipped kernel": r"flipped kernel",
    "content loss": r"content loss",
}
LATEX = re.compile(r"\\(frac|sum|partial|text|max|cdot|times|kappa|alpha|beta|gamma|eta|mathsf|in)\b|\$\$|[\^_]\{")
FIRST_PAGE = 1_000_000  # bytes, without pictures


class Quiet(SimpleHTTPRequestHandler):
    """Serves the pages, and does not report it."""

    def log_message(self, *_: object) -> None:
        pass


def found_by_search(page: Page, home: str, query: str) -> tuple[list[str], list[str]]:
    """The addresses that a search from the first page finds, and what is wrong with what it shows."""
    page.goto(f"{home}/index.html")
    page.locator(".sidebar-search").fill(query)
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=*")
    results = page.locator("#found li").evaluate_all(
        "all => all.map(each => [each.querySelector('a').getAttribute('href'), each.textContent, "
        "each.querySelectorAll('mark').length + each.querySelector('a').textContent])"
    )
    wrong = [f"LaTeX: {text}" for _, text, _ in results if LATEX.search(text)]
    words = [word[:4].lower() for word in query.split()]
    for _, text, shown in results:
        if shown[0] == "0" and words[0] not in shown.lower():
            wrong.append(f"nothing marked: {text}")
    addresses = [address for address, _, _ in results]
    kinds = [address.startswith("api") for address in addresses]
    if kinds != sorted(kinds) or not addresses or kinds[0]:
        wrong.append(f"found, in this order: {addresses}")
    else:
        with page.expect_navigation():
            page.locator("#found a").first.click()
        text = page.locator("article").inner_text()
        if not re.search(SOUGHT[query], text, re.IGNORECASE):
            wrong.append(f"the first page found does not have it: {page.url}")
    return addresses, wrong


def copied(page: Page, address: str, code: str) -> tuple[str, str]:
    """What a button copies, and the text of the code beside it."""
    page.goto(address)
    block = page.locator("div.highlight", has=page.locator(code)).first
    shown = block.locator("pre").text_content() or ""
    block.hover()
    block.locator("button.copybtn").click()
    page.evaluate("document.querySelector('article').prepend(document.createElement('textarea'))")
    page.locator("article textarea").focus()
    page.keyboard.press("Control+V")
    return page.locator("article textarea").input_value().strip(), shown.strip()


def tools(browser: Browser, page: Page, root: Path) -> list[str]:
    """What is wrong with them."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=root))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    homes = root.as_uri(), f"http://127.0.0.1:{server.server_port}"
    wrong: list[str] = []

    for query in SOUGHT:
        found = []
        for home in homes:
            addresses, problems = found_by_search(page, home, query)
            wrong += [f"search for {query!r} in {home}: {problem}" for problem in problems]
            found.append(addresses)
        if found[0] != found[1]:
            wrong.append(f"search for {query!r} finds other things over http")

    for home in homes:
        got, shown = copied(page, f"{home}/index.html", ".k, .kn")
        if got != shown:
            wrong.append(f"copied in {home}: {got!r}, not {shown!r}")
        got, shown = copied(page, f"{home}/api/nst_numpy.losses.html", ".gp")
        code = [line[4:] for line in shown.splitlines() if line.startswith((">>> ", "... "))]
        if got.splitlines() != code:
            wrong.append(f"copied in {home}: {got!r}, not {code}")

    page.goto(f"{homes[1]}/notebooks/04_gram_and_style.html")
    with page.expect_download() as download:
        page.locator(".download-notebook a").click()
    cells = json.loads(download.value.path().read_text(encoding="utf-8"))["cells"]
    if (page.locator("h1").text_content() or "")[:20] not in "".join(cells[0]["source"]):
        wrong.append(f"another notebook: {download.value.suggested_filename}")

    loaded: dict[str, int] = {}

    def note(response: Response) -> None:
        if response.request.resource_type != "image":
            loaded[response.url] = len(response.body())

    first = browser.new_page()  # which has nothing cached
    first.on("response", note)
    first.goto(f"{homes[1]}/index.html", wait_until="networkidle")
    first.close()
    print(f"the first page loads {sum(loaded.values()) / 1000:.0f} kB in {len(loaded)} files, without pictures")
    if sum(loaded.values()) > FIRST_PAGE or len(loaded) < 3:
        wrong.append(f"the first page loads {loaded}")
    server.shutdown()
    return wrong
