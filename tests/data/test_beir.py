"""The BEIR layout: what is written in it is what is read, and each fault is named."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.beir import read_corpus, read_qrels, read_queries
from retrograd.errors import InputError
from retrograd.types import Document, Query

ids = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip)
texts = st.text(st.characters(codec="utf-8"))
HEADER = "query-id\tcorpus-id\tscore\n"


@given(
    documents=st.lists(
        st.builds(Document, ids, texts, texts), min_size=1, unique_by=lambda document: document.id
    ),
    packed=st.booleans(),
    escaped=st.booleans(),
)
def test_documents_survive_the_way_through_a_file(
    documents: list[Document], packed: bool, escaped: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / f"corpus.jsonl{'.gz' * packed}"
    rows = [{"_id": d.id, "title": d.title, "text": d.text} for d in documents]
    content = "".join(json.dumps(row, ensure_ascii=escaped) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(content) if packed else content)
    assert list(read_corpus(path)) == documents


def test_queries_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_text('{"_id": "b", "text": "x"}\n{"_id": "a", "text": ""}\n')
    assert list(read_queries(path).values()) == [Query("b", "x"), Query("a", "")]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"_id": "a", "text": "x"}\n{"text": "x"}\n', "corpus.jsonl:2: field '_id' is missing"),
        ('{"_id": "a"}\n', "corpus.jsonl:1: field 'text' is missing"),
        ('{"_id": "a", "text": 5}\n', "corpus.jsonl:1: field 'text' must be text, not int"),
        ('{"_id": "", "text": "x"}\n', "corpus.jsonl:1: field '_id' is an empty id"),
        ('{"_id": "a\\u0000", "text": "x"}\n', "corpus.jsonl:1: field '_id' holds a control character"),
        (
            '{"_id": "a", "text": "x", "metadata": []}\n{"_id": "a", "text": "x"}\n',
            "corpus.jsonl:2: document id 'a'",
        ),
        (
            '{"_id": "a", "text": "x", "metadata": "y"}\n',
            "corpus.jsonl:1: field 'metadata' must be an object",
        ),
        ("\n\n", "corpus.jsonl: holds no document; give at least one"),
    ],
)
def test_a_faulty_corpus_is_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "corpus.jsonl"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_corpus(path)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (f"{HEADER}q\td\t1\nq\tnone\t1\n", "dev.tsv:3: document 'none' does not exist"),
        (f"{HEADER}none\td\t1\n", "dev.tsv:2: query 'none' does not exist"),
        (f"{HEADER}q\td\t1.5\n", "dev.tsv:2: grade '1.5' is not a whole number"),
        (f"{HEADER}q\td\tnan\n", "dev.tsv:2: grade 'nan' is not a whole number"),
        (f"{HEADER}q\td\n", "dev.tsv:2: 2 columns where the header has 3"),
        (f"{HEADER}q\td\t1\nq\td\t2\n", "dev.tsv:3: query 'q' judges document 'd' as 1 and as 2"),
        ("q\td\t1\n", "dev.tsv:1: the first line must be the header"),
        (HEADER, "dev.tsv:1: no judgement follows the header"),
        ("", "dev.tsv: the file is empty"),
    ],
)
def test_faulty_judgements_are_named(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_qrels(path, queries={"q"}, documents={"d"})
    assert reason in str(caught.value)


def test_judgements_may_be_negative_zero_and_said_twice(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text(f"{HEADER}q\td\t-1\nq\td\t-1\nq\te\t0\n\n")
    assert read_qrels(path, queries={"q"}, documents={"d", "e"}) == {"q": {"d": -1, "e": 0}}
