"""What the page does with hostile text, odd ids, and a server that refuses: it says so and goes on."""

import re
from typing import Any

from tests.web.conftest import Visit
from tests.web.fake_server import HOSTILE, STRANGE_IDS, Answers

STRANGER = "/?view=documents&system=one"


def told(page: Any, pattern: str) -> None:
    """Wait until the page says so."""
    page.locator("#content").get_by_text(re.compile(pattern, re.IGNORECASE)).first.wait_for()


ADDRESSES = (
    "/?q=text",
    f"/?q={HOSTILE}",
    "/?view=compare&q=text",
    "/?view=explore",
    "/?view=explore&prefix=1",
    "/?view=documents",
)


def test_hostile_text_is_shown_as_text(visit: Visit, canned: str):
    page = visit(canned)
    for address in ADDRESSES:
        page.goto(canned + address)
        page.wait_for_selector("#content li >> nth=3")
        for summary in page.locator("summary").all()[:1]:
            summary.click()
            page.locator(".document-text", has_text="Text 0").wait_for()
        assert HOSTILE in page.locator("#content").inner_text()
        assert "taken" not in page.evaluate("document.title").replace(HOSTILE, "")
        made = "document.querySelectorAll('#content :is(img, script, b, style)').length"
        assert page.evaluate(made) == 0


def test_a_document_with_any_id_can_be_deleted(visit: Visit, canned: str, answers: Answers):
    page = visit(canned + STRANGER)
    for left, name in reversed(list(enumerate(STRANGE_IDS))):
        page.wait_for_function(f"() => document.querySelectorAll('.document').length === {left + 1}")
        row = page.locator(".document").nth(left)
        assert row.locator(".fact-id").inner_text() == name
        row.get_by_role("button", name="Delete").click()
        told(page, "is deleted")
        page.wait_for_function(f"() => document.querySelectorAll('.document').length === {left}")
        assert name not in answers.documents
        assert len(answers.documents) == left


def test_a_document_with_any_id_can_be_added(visit: Visit, canned: str, answers: Answers):
    answers.documents.clear()
    page = visit(canned + STRANGER)
    for generation, name in enumerate([*STRANGE_IDS, ".", "日本/%2F"], 1):
        page.get_by_label("Id", exact=True).fill(name)
        page.get_by_label("Title", exact=True).fill("A title")
        page.get_by_role("button", name="Add", exact=True).click()
        told(page, f"^Added as generation {generation} and found")
        assert list(answers.documents)[-1] == name


def test_filters_and_items_travel_with_the_question(visit: Visit, canned: str, answers: Answers):
    page = visit(f"{canned}/?q=words&where=year%3D2020&where=a%253Db%3Dtrue&item=a%2Fb&k=5")
    page.wait_for_selector(".result")
    asked = {"k": 5, "query": "words", "history": ["a/b"]}
    assert answers.asked[0] == {**asked, "filters": {"year": ["2020", 2020], "a=b": ["true", True]}}
    page.get_by_label("Taken before", exact=True).fill("title")
    page.locator(".offer").first.click()
    page.wait_for_url(re.compile("item=plain"))
    assert page.locator(".chip").count() == 2
    page.get_by_role("button", name="Remove a/b").click()
    page.wait_for_url(re.compile(r"k=5&item=plain&where"))
    page.get_by_role("button", name="Remove the filter year").click()
    page.wait_for_function("() => !location.search.includes('2020')")
    assert answers.asked[-1]["filters"] == {"a=b": ["true", True]}


def test_a_recommender_asks_with_items_alone(visit: Visit, canned: str, answers: Answers):
    answers.takes = ("history",)
    page = visit(canned)
    assert not page.get_by_label("What are you looking for?").is_visible()
    page.get_by_label("Taken before", exact=True).fill("title 1")
    page.locator(".offer").first.click()
    page.wait_for_selector(".result")
    assert answers.asked == [{"k": 10, "history": ["a/b"]}]


def test_a_refused_search_is_explained_and_can_be_tried_again(visit: Visit, canned: str, answers: Answers):
    page = visit(canned, complains=("status of ",))
    for status, words in ((429, "busy"), (503, "in time"), (500, "canned refusal"), (422, "canned refusal")):
        answers.fail = {"search$": status}
        page.goto(f"{canned}/?q=text")
        told(page, words)
        answers.fail = {}
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".result")
        assert page.locator("[role=alert]").count() == 0


def test_a_server_that_is_gone_is_named(visit: Visit, canned: str):
    page = visit(canned, complains=("ERR_FAILED",))
    page.route("**/v1/**", lambda route: route.abort())
    page.get_by_label("What are you looking for?").fill("text")
    page.keyboard.press("Enter")
    told(page, "The server does not answer")


def test_a_missing_audit_leaves_the_answers_alone(visit: Visit, canned: str, answers: Answers):
    answers.fail = {"audit$": 503}
    page = visit(f"{canned}/?q=text", complains=("status of 503",))
    told(page, "is not known right now")
    assert page.locator(".result").count() == len(STRANGE_IDS)


def test_a_write_that_needs_a_token_asks_for_it_once(visit: Visit, canned: str, answers: Answers):
    answers.token = "open sesame"
    page = visit(canned + STRANGER, complains=("status of 401",))
    page.get_by_role("button", name="Delete").first.click()
    page.get_by_label("Token").fill("wrong")
    page.keyboard.press("Enter")
    told(page, "did not take this token")
    page.get_by_label("Token").fill("open sesame")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Undo").wait_for()
    page.get_by_role("button", name="Delete").first.click()
    page.wait_for_function("() => document.querySelectorAll('.document').length === 6")
    stored = "() => localStorage.length + sessionStorage.length + document.cookie.length"
    assert page.evaluate(stored) == 0
    assert "sesame" not in page.url


def test_a_read_only_system_offers_no_change(visit: Visit, canned: str, answers: Answers):
    answers.writable = False
    page = visit(canned + STRANGER)
    told(page, "is read-only")
    page.wait_for_selector(".generation")
    for name in ("Edit", "Delete", "Add", "Go back to"):
        assert page.get_by_role("button", name=name).count() == 0


def test_a_system_without_ids_says_so_in_the_explorer(visit: Visit, canned: str, answers: Answers):
    answers.has_docids = False
    page = visit(f"{canned}/?view=explore&system=one")
    told(page, "has no tree to walk through")


def test_a_server_without_systems_and_one_with_a_single_system(visit: Visit, canned: str, answers: Answers):
    answers.systems = ("one",)
    page = visit(f"{canned}/?view=compare&q=text")
    told(page, "has one system only")
    answers.systems = ()
    page.goto(canned)
    told(page, "no systems to ask")


SENSELESS = (
    "k=0",
    "k=1e9",
    "view=%00",
    "prefix=--1",
    "where==",
    "where=%25E0%3D1",
    "system=nobody&q=x",
    "q=%ED%A0%80",
)


def test_a_senseless_address_shows_the_page(visit: Visit, canned: str):
    page = visit(canned)
    for search in SENSELESS:
        page.goto(f"{canned}/?{search}")
        page.wait_for_selector("#content h1", state="attached")
        assert page.locator("[role=alert]").count() == 0
