"""Interactions: the order of time decides, and rows that name nothing are refused."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.interactions import (
    Interactions,
    history_text,
    popularity,
    read_interactions,
    read_popularity,
    request_text,
)
from retrograd.data.splits import leave_one_out
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History, Query

rows = st.lists(
    st.tuples(st.sampled_from("uvw"), st.sampled_from("abcd"), st.integers(0, 5).map(float), st.just(1.0))
)


@given(rows)
def test_each_history_is_its_users_rows_sorted_by_time(rows: list[tuple[str, str, float, float]]) -> None:
    expected = {}
    for user, item, _, _ in sorted(rows, key=lambda row: row[2]):
        expected.setdefault(user, []).append(item)
    table = Interactions.from_rows(rows)
    assert {history.id: list(history.items) for history in table.histories()} == expected
    assert len(table) == len(rows) == sum(popularity(table.histories()).values())


@given(rows)
def test_a_mask_keeps_exactly_its_rows(rows: list[tuple[str, str, float, float]]) -> None:
    table = Interactions.from_rows(rows)
    early = Interactions.from_rows([row for row in rows if row[2] < 3])
    by_user = {history.id: history for history in early.histories()}
    assert {history.id: history for history in table.histories(table.time < 3)} == by_user


@pytest.mark.parametrize("time", ["order", "timestamp"])
def test_a_table_is_read_with_either_name_for_time(tmp_path: Path, time: str) -> None:
    path = tmp_path / "interactions.tsv"
    path.write_text(f"user_id\titem_id\t{time}\trating\nu\tb\t2\t4.5\nu\ta\t1\t3\n")
    table = read_interactions(path, items={"a", "b"})
    assert table.histories() == [History("u", ("a", "b"))]
    assert table.rating.tolist() == [4.5, 3.0]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("u\tz\t1", "interactions.tsv:2: item 'z' does not exist"),
        ("u\ta\tnan", "interactions.tsv:2: order 'nan' is not a finite number"),
        ("\ta\t1", "interactions.tsv:2: field 'user_id' is an empty id"),
        ("u\ta", "interactions.tsv:2: 2 columns where the header has 3"),
    ],
)
def test_a_faulty_row_is_named(tmp_path: Path, row: str, reason: str) -> None:
    path = tmp_path / "interactions.tsv"
    path.write_text(f"user_id\titem_id\torder\n{row}\n")
    with pytest.raises(InputError) as caught:
        read_interactions(path, items={"a"})
    assert reason in str(caught.value)


def test_a_history_reads_newest_first_and_ends_at_the_limit() -> None:
    corpus = Corpus([Document("a", title="A"), Document("b", text="B"), Document("c", title="C")])
    assert history_text(corpus, ("a", "b", "c"), last=2) == "C. B"
    assert history_text(corpus, ("a", "gone", "b"), last=2, order="chronological") == "A. B"
    with pytest.raises(InputError, match="0 items"):
        history_text(corpus, ("a",), last=0)
    with pytest.raises(InputError, match="newest_first, chronological"):
        history_text(corpus, ("a",), order="random")


def test_a_request_is_its_query_and_then_its_history() -> None:
    corpus = Corpus([Document("a", title="A"), Document("b", text="B")])
    assert request_text(corpus, Query("q", "ask", ("a", "b"))) == "ask. B. A"
    assert request_text(corpus, Query("q", "", ("a", "b")), items=1) == "B"
    assert request_text(corpus, Query("q", "ask", ("gone",))) == "ask"


@given(rows)
def test_popularity_leaves_out_every_last_row_or_comes_as_counts(
    rows: list[tuple[str, str, float, float]],
) -> None:
    table = Interactions.from_rows(rows)
    expected = popularity(leave_one_out(table.histories())[0])
    with TemporaryDirectory() as folder:
        path = Path(folder) / "interactions.tsv"
        path.write_text("user_id\titem_id\torder\n" + "".join(f"{u}\t{i}\t{t}\n" for u, i, t, _ in rows))
        assert not rows or read_popularity(path) == expected
        for head in ("", "id\tcount\n"):
            path.write_text(head + "".join(f"{item}\t{count}\n" for item, count in expected.items()))
            assert not (head or expected) or read_popularity(path) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\t1\na\t2\n", ":2: item 'a' is counted twice"),
        ("a\tmany\n", ":1: count 'many' is not a whole number"),
        ("a\t1\nb\t-1\n", ":2: count -1 is below 0"),
        ("a\t1\nz\t1\n", ":2: item 'z' does not exist"),
        ("a\n", ":1: count '' is not a whole number"),
    ],
)
def test_faulty_counts_are_named(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "counts.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_popularity(path, items={"a", "b"})
    assert reason in str(caught.value)


def test_real_popularity_is_every_row_but_each_users_last(real_data: Path) -> None:
    counts = read_popularity(real_data / "amazon_beauty" / "interactions.tsv.gz")
    assert sum(counts.values()) == 176_139 - 22_363
