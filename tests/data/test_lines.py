"""Bytes from outside become values or one-line errors with file and line, never anything else."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reliability.fuzz_parsers import HEADERS
from retrograd.data.beir import read_corpus, read_qrels, read_queries
from retrograd.data.interactions import read_interactions
from retrograd.data.lines import id_field, integer, number, one_of, read_jsonl, read_lines, read_table
from retrograd.data.named_columns import read_documents
from retrograd.data.recbole import read_inter, read_items, read_users
from retrograd.data.runs import read_run, read_topics, read_trec_qrels
from retrograd.data.search_log import read_search_log
from retrograd.errors import InputError

READERS: dict[str, Callable[[Path], object]] = {
    "corpus.jsonl": read_corpus,
    "corpus.jsonl.gz": read_corpus,
    "queries.jsonl": read_queries,
    "dev.tsv": lambda path: read_qrels(path, queries={"q", "0"}, documents={"d", "0"}),
    "own.jsonl": read_documents,
    "own.csv": read_documents,
    "own.tsv": read_documents,
    "interactions.tsv": lambda path: read_interactions(path, items={"0", "i"}),
    "ml.inter": read_inter,
    "ml.item": read_items,
    "ml.user": read_users,
    "topics.txt": read_topics,
    "qrels.txt": read_trec_qrels,
    "run.txt": read_run,
    "search_log.tsv": lambda path: read_search_log(path, queries={"q"}, items={"i"}),
}

likely = st.lists(
    st.sampled_from(
        [b"0", b"q", b"d", b"i", b"\t", b"\n", b" ", b"\r", b",", b'"', b"{", b"}", b"NaN", b"-", b"+"]
    )
    | st.sampled_from(
        [b"<top>", b"</top>", b"<title>", b"\x00", b"\xff", b"\\ud800", b"1e999", b"train", b":float"]
    )
    | st.binary(max_size=4),
    max_size=30,
).map(b"".join)


@pytest.mark.parametrize("name", READERS)
@given(start=st.sampled_from(HEADERS), rest=likely)
@example(start=b"", rest=b"[" * 100_000)
@example(start=b"", rest=b"{" + b'"a":{' * 100_000)
@example(start=b"", rest=b'{"_id": ' + b"9" * 5000 + b"}")
def test_any_bytes_are_read_or_refused(
    name: str, start: bytes, rest: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / name
    path.write_bytes(start + rest)
    reason = name
    try:
        READERS[name](path)
    except InputError as error:
        reason = str(error)
    assert name in reason
    assert "\n" not in reason


@given(cut=st.integers(1, 60), flip=st.integers(0, 59), bit=st.integers(0, 7))
def test_a_damaged_gzip_is_read_or_refused(
    cut: int, flip: int, bit: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    packed = bytearray(gzip.compress(b'{"_id": "d", "text": "some words"}\n' * 3, mtime=0))
    packed[flip % len(packed)] ^= 1 << bit
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl.gz"
    path.write_bytes(bytes(packed[:cut]))
    with pytest.raises(InputError, match=r"damaged\.jsonl\.gz"):
        read_corpus(path)


def refusal(read: Callable[[Path], object], path: Path, content: bytes) -> str:
    """The place and reason with which a reader refuses a content."""
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read(path)
    return str(caught.value).removeprefix(f"{path.parent}/")


def test_malformed_json_is_named_with_its_line(tmp_path: Path) -> None:
    content = b'{"_id": "a", "text": "x"}\n{"_id": "b", \n'
    assert refusal(read_corpus, tmp_path / "c.jsonl", content).startswith("c.jsonl:2: not valid JSON")


def test_a_line_that_is_no_object_is_refused(tmp_path: Path) -> None:
    assert "c.jsonl:1: a line must be a JSON object, not list" in refusal(
        read_corpus, tmp_path / "c.jsonl", b"[1]\n"
    )


@pytest.mark.parametrize("literal", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_numbers_json_does_not_know_are_refused(tmp_path: Path, literal: bytes) -> None:
    content = b'{"_id": "a", "text": "x", "metadata": {"n": ' + literal + b"}}\n"
    assert refusal(read_corpus, tmp_path / "c.jsonl", content).startswith("c.jsonl:1: not valid JSON")


def test_a_byte_that_is_not_utf8_is_named(tmp_path: Path) -> None:
    content = b'{"_id": "a", "text": "x"}\n{"_id": "b", "text": "\xe9"}\n'
    reason = refusal(read_corpus, tmp_path / "c.jsonl", content)
    assert reason == "c.jsonl:2: byte 0xe9 at position 23 is not UTF-8; re-encode"


def test_a_lone_surrogate_is_refused_wherever_it_stands(tmp_path: Path) -> None:
    for content in (
        b'{"_id": "\\ud800", "text": "x"}',
        b'{"_id": "a", "text": "x", "metadata": {"k": "\\uDFFF"}}',
    ):
        assert "c.jsonl:1: holds a lone surrogate" in refusal(read_corpus, tmp_path / "c.jsonl", content)


def test_an_escaped_pair_of_surrogates_is_one_character(tmp_path: Path) -> None:
    path = tmp_path / "c.jsonl"
    path.write_bytes(b'{"_id": "a", "text": "\\ud83d\\ude00"}')
    assert read_corpus(path)[0].text == "\U0001f600"


@pytest.mark.parametrize("name", ["c.jsonl", "c.jsonl.gz", "c.csv", "c.tsv"])
def test_an_empty_file_is_refused(tmp_path: Path, name: str) -> None:
    assert refusal(read_documents, tmp_path / name, b"") == f"{name}: the file is empty"


def test_a_gzip_that_is_cut_off_is_named_with_its_line(tmp_path: Path) -> None:
    lines = b"".join(b'{"_id": "%d", "text": "%d words"}\n' % (n, n * n) for n in range(500))
    content = gzip.compress(lines)[:-20]
    assert "gzip data is damaged or cut off" in refusal(read_corpus, tmp_path / "c.jsonl.gz", content)


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        list(read_lines(tmp_path / "nothing.jsonl"))


def test_line_ends_and_byte_order_marks_are_no_content(tmp_path: Path) -> None:
    path = tmp_path / "t.txt"
    path.write_bytes(b"\xef\xbb\xbfone\r\ntwo\xe2\x80\xa8still two\nthree")
    assert list(read_lines(path)) == [(1, "one"), (2, "two\u2028still two"), (3, "three")]


def test_blank_lines_between_records_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_bytes(b'\n{"a": 1}\n \n{"a": 2}\n')
    assert [line for line, _ in read_jsonl(path)] == [2, 4]


def test_a_wrong_column_count_is_named(tmp_path: Path) -> None:
    reason = refusal(lambda path: list(read_table(path)), tmp_path / "t.tsv", b"a\tb\n1\t2\n1\n")
    assert reason == "t.tsv:3: 1 columns where the header has 2"


def test_a_header_must_hold_what_is_asked_for_once(tmp_path: Path) -> None:
    def read(path: Path) -> object:
        return list(read_table(path, ("id",)))

    assert "t.tsv:1: column 'id' is missing" in refusal(read, tmp_path / "t.tsv", b"a\tb\n1\t2\n")
    assert "names a column twice" in refusal(read, tmp_path / "t.tsv", b"id\tid\n1\t2\n")
    assert "no row follows" in refusal(read, tmp_path / "t.tsv", b"id\tb\n")


def test_csv_cells_may_hold_line_breaks_and_very_long_texts(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b'id,text\na,"two\nlines"\nb,' + b"x" * 200_000 + b"\n")
    rows = list(read_table(path))
    assert rows[0] == (3, {"id": "a", "text": "two\nlines"})
    assert len(rows[1][1]["text"]) == 200_000


def test_ids_are_text_or_whole_numbers_without_control_characters() -> None:
    assert id_field({"_id": 7}, "_id", path="c", line=1) == "7"
    for bad in ("", "  ", "a\x00b", "a\tb", "a\nb", True, 1.5, None, [], 10**30):
        with pytest.raises(InputError, match=r"^c:1: field '_id'"):
            id_field({"_id": bad}, "_id", path="c", line=1)


def test_numbers_are_checked() -> None:
    assert integer("-1", "grade", path="q", line=2) == -1
    for text in ("1.5", "x", "", "-+5", "9" * 10, "١"):
        with pytest.raises(InputError, match=r"^q:2: grade .* is not a whole number"):
            integer(text, "grade", path="q", line=2)
    for text in ("nan", "inf", "1e999", "x", ""):
        with pytest.raises(InputError, match=r"^q:2: score .* is not a finite number"):
            number(text, "score", path="q", line=2)


def test_a_plain_and_a_packed_file_of_one_name_are_ambiguous(tmp_path: Path) -> None:
    assert one_of(tmp_path, "c.jsonl") is None
    (tmp_path / "c.jsonl.gz").touch()
    assert one_of(tmp_path, "c.jsonl") == tmp_path / "c.jsonl.gz"
    (tmp_path / "c.jsonl").touch()
    with pytest.raises(InputError, match="holds both"):
        one_of(tmp_path, "c.jsonl")
