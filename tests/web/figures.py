"""Pictures of the page for the documentation, taken with fitted systems.

    python -m tests.web.figures DIR DIR ...

The first two folders are compared; the first has docids. Knows which views are shown, and nothing of
how they are drawn.
"""

import argparse
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from playwright.sync_api import Page, sync_playwright

from retrograd.server.application import build
from retrograd.updates.live import LiveSystem
from retrograd.web import static_folder
from tests.web.browsing import ARGUMENTS, chromium, running

FIGURES = Path(__file__).parents[2] / "docs" / "figures"
DESKTOP, PHONE = (1280, 900), (390, 844)
QUESTION = "estimate depth from one image"
COMPARED = "classify the sentiment of a review"
EARLIER = ("predict a depth map", "depth of a scene from a photo", "classify an image", "speech recognition")
ADDED = {
    "Id": "whale-songs",
    "Title": "whale-songs-v1",
    "Text": "Tells the songs of humpback, blue and fin whales apart in recordings of the open sea.",
}


def main() -> None:
    """Serve copies of the folders, ask a little so that somebody is popular, and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR")
    parser.add_argument("--out", type=Path, default=FIGURES, metavar="FOLDER")
    given = parser.parse_args()
    with ExitStack() as stack:
        copies = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        systems = {
            folder.name: LiveSystem.open(shutil.copytree(folder, copies / folder.name))
            for folder in given.folders
        }
        for live in systems.values():
            live.search(QUESTION)  # what is loaded with the first question shall not count
        page_server = build(systems, page=static_folder(), log=lambda _: None)
        address = stack.enter_context(running(page_server))
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=chromium(), args=list(ARGUMENTS)
        )
        take(browser, address, list(systems), given.out)
        browser.close()


def take(browser: Any, address: str, names: list[str], out: Path) -> None:
    """All pictures, as `page-NAME.png`."""
    first, second = names[0], names[1]
    found = {"system": first, "q": QUESTION}

    def shot(name: str, state: Mapping[str, str], size: tuple[int, int] = DESKTOP, **more: Any) -> None:
        page = open_page(browser, size, **more)
        page.goto(f"{address}/?{urlencode(state)}")
        page.wait_for_selector(".result, a.branch, .document")
        prepare(page, name)
        page.screenshot(path=out / f"page-{name}.png")
        page.context.close()

    warm = open_page(browser, DESKTOP)
    for words in EARLIER:
        warm.goto(f"{address}/?{urlencode({'system': first, 'q': words})}")
        warm.wait_for_selector(".result")
    warm.get_by_text("titles asked as questions").wait_for(timeout=240_000)
    shot("light", found)
    shot("dark", found, color_scheme="dark")
    shot("compare", {**found, "q": COMPARED, "view": "compare", "other": second})
    shot("tree", {"view": "explore", "system": first})
    shot("documents", {"view": "documents", "system": second})
    shot("phone", found, PHONE, device_scale_factor=2, is_mobile=True, has_touch=True)


def open_page(browser: Any, size: tuple[int, int], **more: Any) -> Page:
    """A page of its own context."""
    page: Page = browser.new_context(viewport={"width": size[0], "height": size[1]}, **more).new_page()
    return page


def prepare(page: Page, name: str) -> None:
    """What a reader would do before looking."""
    page.wait_for_load_state("networkidle")
    if name in ("light", "dark"):
        page.locator(".path-step a").nth(1).hover()
    if name == "compare":
        page.locator(".result.up, .result.down").first.hover()
    if name == "documents":
        for label, text in ADDED.items():
            page.get_by_label(label, exact=True).fill(text)
        page.get_by_role("button", name="Add", exact=True).click()
        page.locator(".outcome .result").wait_for()
        page.wait_for_load_state("networkidle")
        page.evaluate("scrollTo(0, 0)")
    if name == "tree":
        page.locator("a.branch").first.click()
        page.locator(".trail li").nth(1).wait_for()
        page.wait_for_load_state("networkidle")
        page.mouse.move(0, 0)


if __name__ == "__main__":
    main()
