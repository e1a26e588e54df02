"""Interactions: the order of time decides, and rows that name nothing are refused."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.interactions import Interactions, history_text, popularity, read_interactions
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History

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
    with pytest.raises(InputError, match="last=0"):
        history_text(corpus, ("a",), last=0)
