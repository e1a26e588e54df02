"""Files of one's own: the same documents whatever the kind of file."""

import json
from pathlib import Path

import pytest

from retrograd.data.named_columns import Columns, read_documents, read_plain_queries
from retrograd.errors import InputError
from retrograd.types import Document, Query

OWN = Columns(id="code", text="body", title="name")


def write(folder: Path, kind: str) -> Path:
    """One document, one file."""
    row = {"code": "a", "body": "some text", "name": "A title", "brand": "B"}
    path = folder / f"docs.{kind}"
    mark = "," if kind == "csv" else "\t"
    table = f"{mark.join(row)}\n{mark.join(row.values())}\n"
    path.write_text(json.dumps(row) if kind == "jsonl" else table)
    return path


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_each_kind_of_file_gives_the_same_document(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path, kind)
    assert list(read_documents(path, OWN)) == [Document("a", "some text", "A title", {"brand": "B"})]
    assert read_plain_queries(path, OWN) == {"a": Query("a", "some text")}


@pytest.mark.parametrize("kind", ["jsonl", "csv", "tsv"])
def test_a_missing_column_is_named(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InputError, match=f"docs.{kind}:1: (column|field) 'id' is missing"):
        read_documents(write(tmp_path, kind))


def test_another_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"suffix '\.xlsx' is not one of \.jsonl, \.csv, \.tsv"):
        read_documents(tmp_path / "docs.xlsx")


def test_the_three_columns_must_differ() -> None:
    with pytest.raises(ValueError, match="three names"):
        Columns(id="text")


def test_an_id_that_occurs_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "docs.csv"
    path.write_text("id,text\na,x\na,y\n")
    with pytest.raises(InputError, match=r"docs\.csv:3: document id 'a' occurs twice, first on line 2"):
        read_documents(path)


def test_a_broken_quote_is_named(tmp_path: Path) -> None:
    path = tmp_path / "docs.csv"
    path.write_text('id,text\na,"x"y\n')
    with pytest.raises(InputError, match=r"docs\.csv:2: not valid CSV"):
        read_documents(path)
