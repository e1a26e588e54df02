"""Debian's Chromium, driven by Playwright; every page of every test must stay free of complaints."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from retrograd.recipes import recipe
from retrograd.search.history import WithHistory
from retrograd.web import static_folder
from tests.small_systems import small
from tests.web.browsing import ARGUMENTS, chromium, running
from tests.web.fake_server import Answers, serving

PATIENCE = 8_000
"""Milliseconds until something that should show up counts as missing."""

WATCH = """
addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`));
"""

Visit = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for the tests of a file: its driver holds an event loop that other files must not meet."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not Path(chromium()).is_file():
        pytest.skip("no chromium here: apt-get install chromium, or set CHROMIUM to a browser")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=chromium(), args=list(ARGUMENTS))
        yield found
        found.close()


@pytest.fixture
def visit(browser: Any, canned: str) -> Iterator[Visit]:
    """`visit(address)` opens a page in a fresh profile; at the end no page may have complained.

    `canned` is asked for so that pages close before that server does: it would reset a request under way.

    `expected` names parts of complaints that a test provokes, such as the browser's note of a refusal.
    """
    contexts, complaints, expected = [], [], []

    def hear(text: str) -> None:
        if not any(part in text for part in expected):
            complaints.append(text)

    def open_page(
        address: str, *, width: int = 1280, height: int = 900, complains: tuple[str, ...] = (), **more: Any
    ) -> Any:
        expected.extend(complains)
        context = browser.new_context(viewport={"width": width, "height": height}, **more)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        context.add_init_script(WATCH)
        page = context.new_page()
        page.on(
            "console", lambda message: hear(message.text) if message.type in ("error", "warning") else None
        )
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        page.wait_for_selector("#views a")
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not complaints


@pytest.fixture
def answers() -> Answers:
    """What the canned server says; a test may change it before or while it runs."""
    return Answers()


@pytest.fixture
def canned(answers: Answers) -> Iterator[str]:
    """Address of a server that says `answers`."""
    with serving(answers) as address:
        yield address


@dataclass(frozen=True)
class Site:
    """A running server over three small systems: words, codes, and words with a history."""

    address: str
    titles: tuple[str, ...]
    """Of its documents, in order."""


@pytest.fixture(scope="session")
def site(tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The real server with this page. Tests leave its documents as they found them."""
    pytest.importorskip("fastapi", reason="the server's packages are not installed")
    from retrograd.data.dataset import load_dataset
    from retrograd.server.application import build
    from retrograd.training.fit import fit
    from retrograd.updates.live import LiveSystem

    data, folder = load_dataset(tiny_data), tmp_path_factory.mktemp("site")
    codes = recipe("dsi_semantic")
    codes = replace(codes, docids=replace(codes.docids, branching=4, leaf_size=4))
    words = recipe("bm25")
    past = replace(words, search=WithHistory(search=words.search))
    chosen = {"words": words, "codes": codes, "past": past}
    for name, made in chosen.items():
        fit(small(made), data, folder / name)
    systems = {name: LiveSystem.open(folder / name) for name in chosen}
    app = build(systems, page=static_folder(), log=lambda _: None)
    with running(app) as address:
        yield Site(address, tuple(document.title for document in data.corpus))
