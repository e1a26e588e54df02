"""The page with the real server: ask, compare, walk the tree, change documents, with and without a mouse."""

import re
from typing import Any

import pytest

from tests.web.conftest import Site, Visit
from tests.web.fake_server import HOSTILE

NEW = (
    "new/1 100% ü?#",
    "Zebra counting on zanzibar beaches",
    "Counts zebras that walk along zanzibar beaches.",
)


def ask(page: Any, words: str) -> None:
    """Type a question and wait for its answers."""
    page.keyboard.press("/")
    page.keyboard.type(words)
    page.keyboard.press("Enter")
    page.wait_for_selector(".result")


def add(page: Any, document: tuple[str, str, str]) -> None:
    """Fill the form and send it."""
    for label, text in zip(("Id", "Title", "Text"), document, strict=True):
        page.get_by_label(label, exact=True).fill(text)
    page.get_by_role("button", name="Add", exact=True).click()


def said(page: Any, pattern: str) -> str:
    """What the page says about a change, once it fits."""
    notice = page.locator(".outcome .notice p", has_text=re.compile(pattern)).first
    notice.wait_for()
    return str(notice.inner_text())


def no_sideways_scroll(page: Any) -> bool:
    """Whether everything fits in the width of the screen."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


def test_a_question_is_answered_with_paths_and_popularity(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=codes")
    ask(page, "depth of an image")
    assert page.locator(".result").count() == 10
    page.get_by_text(re.compile(r"10 answers in [\d.,]+ ms, from generation 0 of codes")).first.wait_for()
    first = page.locator(".result").first
    step = first.locator(".path-step a").first
    readout = first.locator(".path-readout")
    assert readout.inner_text().startswith("whole path")
    step.hover()
    assert re.fullmatch(r"step 1 of \d: [<\d. ]+% here, [<\d. ]+% so far", readout.inner_text())
    assert "probability" not in (step.get_attribute("title") or "")
    page.get_by_text("All answers of codes").wait_for()
    first.get_by_role("button", name=re.compile("Text and 4 fields")).click()
    first.get_by_text("framework", exact=True).wait_for()
    assert "q=depth+of+an+image" in page.url


def test_an_address_shows_the_same_again_and_back_goes_back(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=words&q=image&k=3")
    page.wait_for_selector(".result")
    assert page.locator(".result").count() == 3
    shown = page.locator(".result-title").all_inner_texts()
    ask(page, "text classification")
    page.get_by_label("System").select_option("codes")
    page.wait_for_url(re.compile("system=codes"))
    page.go_back()
    page.go_back()
    page.wait_for_function("() => document.querySelector('input[type=search]').value === 'image'")
    page.wait_for_function(f"() => document.querySelector('.result-title')?.textContent === {shown[0]!r}")
    assert page.locator(".result-title").all_inner_texts() == shown


def test_filters_narrow_the_answers(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=codes&q=image")
    page.wait_for_selector(".result")
    page.get_by_role("button", name="Add a filter").click()
    page.get_by_label("Field").fill("title")
    page.get_by_label("Value").fill(site.titles[3])
    page.keyboard.press("Enter")
    page.wait_for_function("() => document.querySelectorAll('.result').length === 1")
    assert page.locator(".result-title").inner_text() == site.titles[3]
    page.get_by_label("Value").fill("no such title")
    page.keyboard.press("Enter")
    page.get_by_text("No document passes these filters").wait_for()


def test_items_taken_before_are_part_of_the_question(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=past")
    page.get_by_label("Taken before", exact=True).fill(site.titles[0])
    page.locator(".offer").first.wait_for()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_selector(".result")
    assert "item=" in page.url
    assert page.locator(".chip").count() == 1
    page.get_by_role("button", name=re.compile("^Remove")).click()
    page.get_by_text("Type a question").wait_for()
    page.get_by_label("System").select_option("words")
    page.get_by_label("Taken before", exact=True).wait_for(state="hidden")


def test_comparing_marks_every_difference(visit: Visit, site: Site):
    page = visit(f"{site.address}/?view=compare&system=words&other=codes")
    page.get_by_text("Ask one question of two systems").wait_for()
    ask(page, "image")
    page.wait_for_selector(".overlap-number")
    lists = [side.locator(".result").all() for side in page.locator(".side").all()]
    ids = [[item.get_attribute("data-id") for item in items] for items in lists]
    for here, (items, mine, theirs) in enumerate(zip(lists, ids, reversed(ids), strict=True)):
        for rank, (item, name) in enumerate(zip(items, mine, strict=True)):
            moved = theirs.index(name) - rank if name in theirs else None
            mark = {None: "only here", 0: "same place"}.get(
                moved
            ) or f"{'↑' if moved > 0 else '↓'} {abs(moved)}"
            assert item.locator(".badge").inner_text() == mark, (here, rank)
    shared = len(set(ids[0]) & set(ids[1])) / max(map(len, ids))
    assert page.locator(".overlap-number strong").inner_text() == f"{shared:.2f}"
    assert page.locator(".wires path").count() == len(set(ids[0]) & set(ids[1]))
    page.get_by_label("Right").select_option("words")
    page.wait_for_url(re.compile("system=codes&other=words"))


def test_the_tree_is_walked_down_to_a_document_and_up_again(visit: Visit, site: Site):
    page = visit(f"{site.address}/?view=explore&system=codes")
    page.wait_for_selector("a.branch")
    assert page.locator(".node-size").inner_text().startswith(f"{len(site.titles)} documents")
    sizes = [int(text.split()[0]) for text in page.locator(".branch-count").all_inner_texts()]
    assert sum(sizes) == len(site.titles)
    assert sizes == sorted(sizes, reverse=True)
    assert page.locator(".branch .term").count() > 0
    page.locator("a.branch").first.click()
    page.locator(".node-size", has_text=f"{sizes[0]} documents").wait_for()
    page.locator(".trail a", has_text="All documents").click()
    page.locator(".node-size", has_text=f"{len(site.titles)} documents").wait_for()
    page.goto(f"{site.address}/?view=explore&system=words")
    page.get_by_text("has no tree to walk through").wait_for()


def test_a_step_of_a_path_leads_to_its_branch(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=codes&q=image")
    result = page.locator(".result").first
    title, path = result.locator(".result-title").inner_text(), result.locator(".path-step a")
    depth = path.count()
    path.last.click()
    page.wait_for_selector(".leaf-document")
    assert page.locator(".trail li").count() == depth + 1
    assert title in page.locator(".leaf-document").first.inner_text()


@pytest.mark.parametrize("system", ["words", "codes"])
def test_a_document_is_found_after_adding_and_gone_after_deleting(visit: Visit, site: Site, system: str):
    page = visit(f"{site.address}/?view=documents&system={system}")
    page.get_by_role("heading", name=f"{len(site.titles)} documents").wait_for()
    add(page, NEW)
    assert said(page, "^Added as generation").endswith("ms.") or system == "codes"
    page.get_by_role("heading", name=f"{len(site.titles) + 1} documents").wait_for()
    if system == "words":
        page.get_by_label("Find a document").fill("zanzibar zebra")
        page.keyboard.press("Enter")
    else:  # trained for four steps: it finds nothing well
        page.goto(f"{site.address}/?view=documents&system={system}&offset={len(site.titles)}")
    row = page.locator(".document", has_text=NEW[1])
    row.get_by_role("button", name="Edit").click()
    page.get_by_label("Title", exact=True).fill(NEW[1].upper())
    page.get_by_role("button", name="Save").click()
    said(page, "^Saved as generation")
    page.locator(".document", has_text=NEW[1].upper()).get_by_role("button", name="Delete").click()
    assert "and gone: a search for its title no longer has it" in said(page, "is deleted")
    assert page.locator(".document", has_text=NEW[1].upper()).count() == 0
    page.get_by_role("button", name="Undo").click()
    said(page, "^Brought back as generation")
    page.get_by_role("button", name="Go back to generation 0").click()
    said(page, "The documents are those of generation 0 again")
    page.goto(f"{site.address}/?system={system}&q=zanzibar+zebra")
    page.wait_for_selector(".result, .notice")
    assert NEW[1].upper() not in page.locator(".results").inner_text()


def test_a_known_id_is_replaced_with_a_way_back(visit: Visit, site: Site):
    page = visit(f"{site.address}/?view=documents&system=words")
    page.wait_for_selector(".document")
    known = page.locator(".document .fact-id").first.inner_text()
    add(page, (known, *NEW[1:]))
    said(page, "is replaced")
    page.get_by_role("button", name="Undo").click()
    said(page, "^Brought back")
    assert page.locator(".document-title").first.inner_text() == site.titles[0]


def test_hostile_text_goes_in_and_comes_out_as_text(visit: Visit, site: Site):
    page = visit(f"{site.address}/?view=documents&system=words")
    assert "default-src 'self'" in page.request.get(site.address).headers["content-security-policy"]
    add(page, (HOSTILE, f"{HOSTILE} zanzibar", HOSTILE))
    said(page, "^Added as generation")
    page.goto(f"{site.address}/?system=words&q=zanzibar")
    page.wait_for_selector(".result")
    assert page.locator(".result-title").inner_text() == f"{HOSTILE} zanzibar"
    assert page.locator(".fact-id").inner_text() == HOSTILE
    assert page.locator("#content img, #content script").count() == 0
    page.goto(f"{site.address}/?view=documents&system=words&find=zanzibar")
    page.get_by_role("button", name=f"Delete {HOSTILE}").click()
    said(page, "is deleted")


def test_everything_can_be_reached_by_keyboard(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=codes")
    keys, focused = page.keyboard, "document.activeElement"
    page.locator("body").focus()
    ask(page, "image")
    for rank in range(1, 4):
        keys.press("ArrowDown")
        assert page.evaluate(f"{focused}.querySelector('.result-rank')?.textContent") == str(rank)
    keys.press("ArrowUp")
    keys.press("Enter")
    page.locator(".result").nth(1).locator(".document-text").wait_for()
    keys.press("Tab")
    assert page.evaluate(f"{focused}.matches('.path-step a')")
    assert page.evaluate(f"getComputedStyle({focused}).outlineStyle") == "solid"
    keys.press("Enter")
    page.wait_for_url(re.compile("view=explore"))
    page.wait_for_selector("a.branch")
    keys.press("Tab")
    page.locator("a.branch").first.focus()
    keys.press("ArrowDown")
    keys.press("ArrowLeft")
    page.wait_for_function("() => !location.search.includes('prefix')")
    page.get_by_role("link", name="Search").focus()
    keys.press("Enter")
    page.wait_for_selector("input[name=q]")
    ask(page, "text")
    keys.press("ArrowDown")
    keys.press("Escape")
    page.get_by_text("Type a question").wait_for()
    assert page.evaluate(f"{focused}.name") == "q"
    assert "q=" not in page.url


VIEWS = ("/", "/?system=codes&q=image", "/?view=compare&system=words&other=codes&q=image",
         "/?view=explore&system=codes", "/?view=documents&system=codes")  # fmt: skip


@pytest.mark.parametrize("width", [360, 768])
def test_nothing_scrolls_sideways_on_a_narrow_screen(visit: Visit, site: Site, width: int):
    page = visit(site.address, width=width, height=720, has_touch=True, is_mobile=width == 360)
    for view in VIEWS:
        page.goto(site.address + view)
        page.wait_for_selector(".tile, .result, a.branch, .document")
        assert no_sideways_scroll(page), view


def test_dark_mode_is_dark_and_light_is_light(visit: Visit, site: Site):
    ground = "getComputedStyle(document.body).backgroundColor"
    for scheme, least, most in (("light", 200, 255), ("dark", 0, 60)):
        page = visit(f"{site.address}/?system=codes&q=image", color_scheme=scheme, reduced_motion="reduce")
        page.wait_for_selector(".result")
        parts = [int(part) for part in re.findall(r"\d+", page.evaluate(ground))[:3]]
        assert all(least <= part <= most for part in parts)


def test_answers_do_not_move_when_the_rest_arrives(visit: Visit, site: Site):
    page = visit(f"{site.address}/?system=codes")
    page.evaluate(
        "() => { window.moved = 0; new PerformanceObserver((list) => { for (const entry of list.getEntries())"
        " if (!entry.hadRecentInput) window.moved += entry.value; }).observe({type: 'layout-shift'}); }"
    )
    ask(page, "image")
    page.get_by_text("All answers of codes").wait_for()
    assert page.evaluate("window.moved") < 0.02
