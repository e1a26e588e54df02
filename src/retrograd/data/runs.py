"""The plain-text formats of TREC: topics, qrels and runs, read and written.

What is written is a function of the values alone: the same ranking gives the same bytes.
"""

from __future__ import annotations

import gzip
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np

from retrograd.artifacts import write_bytes_atomic
from retrograd.data.beir import judge, unique
from retrograd.data.lines import check_id, integer, number, read_lines
from retrograd.errors import InputError
from retrograd.types import Hit, Qrels, Query, Ranking

TOPIC_FIELDS = ("title", "desc", "narr")

_TAG = re.compile(r"<(/?)(top|num|title|desc|narr)>", re.IGNORECASE)
_LABEL = re.compile(r"^\s*(?:Number|Topic|Description|Narrative)\s*:\s*", re.IGNORECASE)


def read_topics(path: Path | str, *, field: str = "title") -> dict[str, Query]:
    """Queries by id: `<top>` blocks, or one `id<TAB>text` per line.

    Args:
        field: which part of a `<top>` block is the query: `title`, `desc` or `narr`.

    Raises:
        InputError: a block without `<num>` or without the field, a block that never ends, text between
            blocks, a line without a tab, an id that occurs twice.
    """
    if field not in TOPIC_FIELDS:
        raise InputError(f"field={field!r}; choose one of {', '.join(TOPIC_FIELDS)}")
    first = next((text for _, text in read_lines(path) if text.strip()), "")
    rows = _block_topics(path, field) if first.lstrip().startswith("<") else _tab_topics(path)
    return {query.id: query for query in unique(rows, path, "topic")}


def _tab_topics(path: Path | str) -> Iterator[tuple[int, Query]]:
    for line, text in read_lines(path):
        if text.strip():
            topic, tab, question = text.partition("\t")
            if not tab:
                raise InputError("a topic is `id<TAB>text`; there is no tab", path=path, line=line)
            yield line, Query(check_id(topic.strip(), "topic", path=path, line=line), question.strip())


def _block_topics(path: Path | str, field: str) -> Iterator[tuple[int, Query]]:
    block: dict[str, list[str]] | None = None
    name, start = "", 0
    for line, text in read_lines(path):
        for tag, content in _tagged(text):
            if tag == "top":
                if block is not None:
                    raise InputError(f"<top> of line {start} has no </top>", path=path, line=line)
                block, name, start = {}, "", line
            elif tag == "/top":
                if block is None:
                    raise InputError("</top> without <top>", path=path, line=line)
                yield start, _topic(block, field, path, start)
                block, name = None, ""
            elif tag:
                name = "" if tag.startswith("/") else tag
            if content.strip():
                if block is None:
                    raise InputError(f"text outside <top>: {content.strip()!r:.40}", path=path, line=line)
                block.setdefault(name, []).append(content.strip())
    if block is not None:
        raise InputError("<top> has no </top>", path=path, line=start)


def _tagged(text: str) -> Iterator[tuple[str, str]]:
    """(tag or "", text up to the next tag) of one line."""
    at, tag = 0, ""
    for match in _TAG.finditer(text):
        yield tag, text[at : match.start()]
        tag, at = (match[1] + match[2]).lower(), match.end()
    yield tag, text[at:]


def _topic(block: dict[str, list[str]], field: str, path: Path | str, line: int) -> Query:
    parts = {name: _LABEL.sub("", " ".join(block.get(name, []))).strip() for name in ("num", field)}
    for name, text in parts.items():
        if not text:
            raise InputError(f"topic has no <{name}>", path=path, line=line)
    return Query(check_id(parts["num"], "num", path=path, line=line), parts[field])


def write_topics(path: Path | str, queries: Iterable[Query]) -> None:
    """One `id<TAB>text` per line; line breaks and tabs inside a text become blanks."""
    _write(path, (f"{_word(query.id)}\t{' '.join(query.text.split())}\n" for query in queries))


def read_trec_qrels(path: Path | str) -> dict[str, dict[str, int]]:
    """Judgements of a file of `query iteration document grade` lines, parted by blanks.

    Raises:
        InputError: another number of columns, a grade that is no whole number, or a pair that is judged
            twice with different grades.
    """
    qrels: dict[str, dict[str, int]] = {}
    for line, (query, _, document, grade) in _columns(path, ("query", "iteration", "document", "grade")):
        judge(qrels, query, document, integer(grade, "grade", path=path, line=line), path=path, line=line)
    if not qrels:
        raise InputError("holds no judgement", path=path)
    return qrels


def write_trec_qrels(path: Path | str, qrels: Qrels) -> None:
    """`query 0 document grade`, sorted by query and document."""
    _write(
        path,
        (
            f"{_word(query)} 0 {_word(document)} {grade}\n"
            for query, grades in sorted(qrels.items())
            for document, grade in sorted(grades.items())
        ),
    )


def read_run(path: Path | str) -> Ranking:
    """A run of `query Q0 document rank score tag` lines, best first by score, then by rank.

    Raises:
        InputError: another number of columns, a rank or score that is no number, or a document twice for
            one query.
    """
    hits: dict[str, dict[str, tuple[float, int]]] = {}
    names = ("query", "Q0", "document", "rank", "score", "tag")
    for line, (query, _, document, rank, score, _) in _columns(path, names):
        found = hits.setdefault(check_id(query, "query", path=path, line=line), {})
        if document in found:
            reason = f"query {query!r:.40} ranks document {document!r:.40} twice"
            raise InputError(reason, path=path, line=line)
        check_id(document, "document", path=path, line=line)
        place = integer(rank, "rank", path=path, line=line)
        found[document] = (-number(score, "score", path=path, line=line), place)
    if not hits:
        raise InputError("holds no ranked document", path=path)
    ranked = (sorted(found.items(), key=lambda item: item[1]) for found in hits.values())
    return Ranking(tuple(hits), tuple(tuple(Hit(doc, -key[0]) for doc, key in found) for found in ranked))


def write_run(path: Path | str, ranking: Ranking, *, tag: str = "retrograd") -> None:
    """Write a run whose scores fall strictly, so that no evaluator breaks ties its own way.

    A score that is not below the one before it becomes the next smaller float32: trec_eval reads single
    precision. Every number is printed so that reading it gives the same bits again.

    Raises:
        InputError: an id or the tag holds a blank, or a score is not finite.
    """
    _write(
        path,
        (
            f"{_word(query)} Q0 {_word(hit.document)} {rank} {score!s} {_word(tag)}\n"
            for query, hits in ranking
            for rank, (hit, score) in enumerate(zip(hits, strictly_falling(hits), strict=True), 1)
        ),
    )


def strictly_falling(hits: Sequence[Hit]) -> list[np.float32]:
    """The scores in single precision, each lowered as little as makes it smaller than the one before.

    >>> strictly_falling([Hit("a", 1.0), Hit("b", 1.0)])
    [np.float32(1.0), np.float32(0.99999994)]
    """
    ceiling = float(np.finfo(np.float32).max)
    scores: list[np.float32] = []
    for hit in hits:
        if not math.isfinite(hit.score) or abs(hit.score) > ceiling:
            raise InputError(
                f"document {hit.document!r:.40} has the score {hit.score}, which no run file holds"
            )
        limit = np.nextafter(scores[-1], -np.inf, dtype=np.float32) if scores else np.float32(ceiling)
        scores.append(min(np.float32(hit.score), limit))
    return scores


def _columns(path: Path | str, names: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    for line, text in read_lines(path):
        cells = text.split()
        if cells and len(cells) != len(names):
            reason = f"{len(cells)} columns where {len(names)} are wanted ({' '.join(names)})"
            raise InputError(reason, path=path, line=line)
        if cells:
            yield line, cells


def _word(text: str) -> str:
    if len(text.split()) != 1 or text != text.strip():
        raise InputError(f"{text!r:.80} cannot stand in a TREC file: it is empty or holds a blank")
    return text


def _write(path: Path | str, lines: Iterable[str]) -> None:
    try:
        content = "".join(lines).encode()
    except UnicodeEncodeError:
        raise InputError("an id or text holds a lone surrogate (half a character)", path=path) from None
    packed = gzip.compress(content, mtime=0) if Path(path).suffix == ".gz" else content
    write_bytes_atomic(Path(path), packed)
