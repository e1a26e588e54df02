"""Requests in rows: every example once, behind the items that its asker had taken, and no others."""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext, Titles, TrainQueries
from retrograd.data.request_rows import (
    BOTH,
    RECOMMEND,
    SEARCH,
    NextItemRequests,
    PersonalRequests,
    TextRequests,
    rows_of_requests,
)
from retrograd.data.sequences import EveryPrefix
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History, Query

CORPUS = Corpus(Document(item, title=f"title {item}") for item in "abcdefgh")


def read(found):
    """What is asked at every target: (items of the piece before it, text, task, target)."""
    rows = found.rows
    asked = []
    for row in range(len(rows)):
        for column in np.flatnonzero(found.targets[row] >= 0):
            same = np.flatnonzero(rows.pieces[row] == rows.pieces[row, column])
            before = [at for at in same if at < column and rows.items[row, at] >= 0]
            assert rows.places[row, column] == len(before)
            query = rows.queries[row, column]
            items = [CORPUS.ids[rows.items[row, at]] for at in before]
            if query < 0:
                items.append(CORPUS.ids[rows.items[row, column]])
            text = rows.texts[query] if query >= 0 else ""
            right = CORPUS.ids[found.targets[row, column]]
            asked.append(("".join(items), text, int(rows.tasks[row, column]), right))
    return sorted(asked)


def context(queries=(), qrels=None, histories=()):
    return ExampleContext(CORPUS, queries, qrels or {}, 0, None, histories)


def test_every_beginning_of_a_history_asks_for_the_next_item():
    found = NextItemRequests(source=EveryPrefix(length=4, row=8))(
        context(histories=[History("u", tuple("abc"))])
    )
    assert read(found) == [("a", "", RECOMMEND, "b"), ("ab", "", RECOMMEND, "c")]


def test_a_text_asks_alone():
    queries = [Query("1", "one", ("h",)), Query("2", "two"), Query("3", " ")]
    qrels = {"1": {"a": 1, "b": 2}, "2": {"a": 1, "c": 0}, "3": {"a": 1}}
    found = TextRequests(source=TrainQueries(), row=2)(context(queries, qrels))
    assert found.rows.items.shape == (2, 2)
    assert read(found) == [("", "one", SEARCH, "a"), ("", "one", SEARCH, "b"), ("", "two", SEARCH, "a")]
    assert len(TextRequests(source=Titles())(context()).rows.texts) == len(CORPUS)


LIVES = {
    "u": [("a", ["one"]), ("b", ["two", "three"]), ("c", []), ("d", ["one"])],
    "v": [("a", ["one"]), ("h", ["four"]), ("b", ["two"])],
    "w": [(item, [f"ask {item}"]) for item in "abcdefgh"],
}


def requests_of(lives):
    queries, qrels = [], {}
    for user, life in lives.items():
        past = ()
        for item, texts in life:
            for text in texts:
                queries.append(Query(f"{user} {text} {len(past)}", text, past))
                qrels[queries[-1].id] = {item: 1}
            past = (*past, item)
    return queries, qrels


@pytest.mark.parametrize(("length", "row"), [(49, 128), (3, 6), (7, 8), (1, 2)])
def test_a_request_stands_behind_what_its_asker_had_taken(length, row):
    queries, qrels = requests_of(LIVES)
    expected = sorted(
        ("".join(query.history[-length:]), query.text, BOTH, next(iter(qrels[query.id])))
        for query in queries
        if query.history
    )
    found = PersonalRequests(length=length, row=row)(context(queries, qrels))
    assert read(found) == expected
    assert found.rows.items.shape[1] == row


def test_requests_of_one_life_share_its_items():
    queries, qrels = requests_of({"u": LIVES["u"]})
    found = PersonalRequests(length=15, row=16)(context(queries, qrels))
    assert (found.rows.items >= 0).sum() == 3
    assert (found.targets >= 0).sum() == 3


def test_a_request_is_written_as_it_was_learnt():
    asked = [(np.array([0, 1]), "one"), (np.array([2]), ""), (np.zeros(0, np.int64), "two")]
    rows = rows_of_requests(asked, 4)
    last = tuple(rows.ends.T)
    assert rows.tasks[last].tolist() == [BOTH, RECOMMEND, SEARCH]
    assert rows.places[last].tolist() == [2, 0, 0]
    assert [rows.texts[query] if query >= 0 else "" for query in rows.queries[last]] == ["one", "", "two"]
    assert rows.items[last].tolist() == [-1, 2, -1]
    of_first = rows.tasks[rows.pieces == 0]
    assert of_first.tolist() == [BOTH] * 3, "the items of a piece are told its task too"


def test_no_example_is_no_row():
    for source in (NextItemRequests(), TextRequests(), PersonalRequests()):
        assert len(source(context()).rows) == 0


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(InputError, match="length=8 < row=8"):
        PersonalRequests(length=8, row=8)
    with pytest.raises(InputError, match="row=0"):
        TextRequests(row=0)
