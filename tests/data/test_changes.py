"""Files of changes: every record comes with its line, and every fault with its place."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.changes import ID_NAMES, read_changed, read_ids
from retrograd.errors import InputError
from retrograd.types import Document

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Z"]), min_size=1, max_size=5)
ROWS = st.lists(
    st.tuples(NAMES, st.sampled_from(ID_NAMES), st.text(st.characters(codec="utf-8")), st.booleans()),
    min_size=1,
    unique_by=lambda row: row[0],
)


@given(rows=ROWS)
def test_documents_come_with_their_lines_under_either_name_of_the_id(
    rows, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "changes.jsonl"
    lines, expected = [], {}
    for id, name, text, blank in rows:
        lines += [""] * blank + [json.dumps({name: id, "text": text, "metadata": {"n": 1}})]
        expected[id] = (len(lines), Document(id, text, "", {"n": 1}))
    path.write_text("\n".join(lines) + "\n")
    assert read_changed(path) == expected
    assert {id: line for id, (line, _) in read_ids(path).items()} == {
        id: line for id, (line, _) in expected.items()
    }


def test_the_first_name_of_the_id_counts_where_a_record_has_both(tmp_path: Path) -> None:
    path = tmp_path / "both.jsonl"
    path.write_text('{"id": "no", "_id": "yes", "text": ""}\n')
    assert list(read_changed(path)) == list(read_ids(path)) == ["yes"]


@given(ids=st.lists(NAMES, min_size=1, unique=True))
def test_ids_come_one_per_line(ids, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "gone.txt"
    path.write_bytes("".join(f"  {id}\r\n\n" for id in ids).encode())
    assert {id: line for id, (line, _) in read_ids(path).items()} == {
        id: 2 * at + 1 for at, id in enumerate(ids)
    }


@given(content=st.binary(max_size=60), name=st.sampled_from(["x.jsonl", "x.txt", "x.jsonl.gz"]))
def test_any_bytes_are_read_or_refused(content, name, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(content)
    for read in (read_changed, read_ids):
        try:
            listed = read(path)
        except InputError:
            continue
        assert listed
        assert all(id.strip() and line >= 1 for id, (line, _) in listed.items())


def test_an_id_that_comes_twice_is_named_with_both_lines(tmp_path: Path) -> None:
    path = tmp_path / "twice.jsonl"
    path.write_text('{"_id": "a", "text": ""}\n\n{"id": "a", "text": ""}\n')
    for read in (read_changed, read_ids):
        with pytest.raises(
            InputError, match=r"twice\.jsonl:3: document id 'a' occurs twice, first on line 1"
        ):
            read(path)
