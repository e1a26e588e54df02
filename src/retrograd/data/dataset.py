"""A collection as one value: documents, queries, judgements, histories, and where they came from.

`load_dataset` recognises a layout by its files and leaves the reading to `beir`, `recbole` and the
other readers. Nothing here knows what is done with the data.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from retrograd.artifacts import sha256_file
from retrograd.data.audit import audited
from retrograd.data.beir import read_corpus, read_qrels, read_queries
from retrograd.data.cuts import cut_named
from retrograd.data.interactions import Interactions, popularity, read_interactions, read_popularity
from retrograd.data.lines import one_of
from retrograd.data.named_columns import DEFAULT_COLUMNS, Columns, read_documents
from retrograd.data.recbole import read_inter, read_items
from retrograd.data.recommendation import Slicings, cut_interactions
from retrograd.errors import InputError
from retrograd.types import Corpus, Document, History, Qrels, Query

LAYOUTS = (
    "corpus.jsonl with queries.jsonl and qrels/*.tsv (BEIR)",
    "items.jsonl with interactions.tsv",
    "NAME.inter with NAME.item (RecBole)",
)
"""What `load_dataset` recognises in a folder; each file plain or `.gz`."""


DEFAULT_CUT = "last"
"""How a recommendation set is split where nobody says."""


@dataclass(frozen=True)
class Dataset:
    """A corpus and what is known about it."""

    corpus: Corpus
    queries: Mapping[str, Query] = field(default_factory=dict)
    """By id, in file order. In a recommendation set each user is a query: no text, and what they took."""

    qrels: Mapping[str, Qrels] = field(default_factory=dict)
    """Split -> judgements. A recommendation set is cut when it is read, see `cuts.CUTS`."""

    histories: Mapping[str, History] = field(default_factory=dict)
    """User -> items that may be learnt from, oldest first: no target of `qrels`; empty in a search set."""

    popularity: Mapping[str, int] | None = None
    """Document -> how often it was taken (interactions without targets) or judged relevant in `train`;
    documents that never were are absent. None: nobody can tell."""

    name: str = "dataset"
    hashes: Mapping[str, str] = field(default_factory=dict)
    """File -> sha256 of what was read; a subset adds the hash of its document ids, a cut that of its name."""

    asked: Mapping[str, Mapping[str, Query]] = field(default_factory=dict)
    """Split -> its queries by id, where one id asks with another history in each split."""

    slices: Mapping[str, Slicings] = field(default_factory=dict)
    """Split -> what its queries are sliced by -> query -> slice."""

    def split(self, name: str) -> tuple[list[Query], Qrels]:
        """The judged queries of a split, in file order, and their judgements.

        Raises:
            InputError: no such split; the text lists those there are.
        """
        if name not in self.qrels:
            there = ", ".join(sorted(self.qrels)) or "none"
            raise InputError(f"dataset {self.name!r} has no split {name!r}; it has {there}")
        qrels = self.qrels[name]
        return [query for query in self.asked.get(name, self.queries).values() if query.id in qrels], qrels

    def split_hash(self, name: str) -> str:
        """sha256 of all that a figure on this split rests on: what is asked, what is right, the histories
        that may be learnt from. The order of files does not matter to it.

        Raises:
            InputError: as `split`.
        """
        queries, qrels = self.split(name)
        asked = sorted((q.id, q.text, q.history, sorted(qrels[q.id].items())) for q in queries)
        learnt = sorted((history.id, history.items) for history in self.histories.values())
        return hashlib.sha256(json.dumps([asked, learnt]).encode()).hexdigest()

    def subset(self, document_ids: Collection[str]) -> Dataset:
        """Only these documents, in corpus order, with what still concerns them.

        A query leaves a split when none of its relevant documents is left; items that are gone leave
        the histories.

        Raises:
            InputError: an id that does not exist, or no id at all.
        """
        kept = set(document_ids)
        for unknown in sorted(kept - self.corpus.row_of.keys())[:1]:
            raise InputError(f"document {unknown!r:.80} is not in dataset {self.name!r}")
        if not kept:
            raise InputError(f"no document of dataset {self.name!r} is left")
        corpus = Corpus(document for document in self.corpus if document.id in kept)
        counts = self.popularity
        return replace(
            self,
            corpus=corpus,
            queries=_all_remembering(self.queries, kept),
            asked={split: _all_remembering(queries, kept) for split, queries in self.asked.items()},
            qrels={split: _filtered(qrels, kept) for split, qrels in self.qrels.items()},
            histories={h.id: h for h in _shortened(self.histories.values(), kept)},
            popularity=None if counts is None else {item: n for item, n in counts.items() if item in kept},
            hashes={**self.hashes, "subset": _hash_of(corpus.ids)},
        )

    def without(self, document_ids: Collection[str]) -> Dataset:
        """All documents but these; see `subset`.

        Raises:
            InputError: an id that does not exist, or every id.
        """
        gone = set(document_ids)
        for unknown in sorted(gone - self.corpus.row_of.keys())[:1]:
            raise InputError(f"document {unknown!r:.80} is not in dataset {self.name!r}")
        return self.subset([document for document in self.corpus.ids if document not in gone])


def _filtered(qrels: Qrels, kept: Collection[str]) -> dict[str, dict[str, int]]:
    left = {query: {doc: g for doc, g in grades.items() if doc in kept} for query, grades in qrels.items()}
    return {query: grades for query, grades in left.items() if any(grade > 0 for grade in grades.values())}


def _shortened(histories: Iterable[History], kept: Collection[str]) -> Iterable[History]:
    left = (History(h.id, tuple(item for item in h.items if item in kept)) for h in histories)
    return (history for history in left if history.items)


def _all_remembering(queries: Mapping[str, Query], kept: Collection[str]) -> dict[str, Query]:
    return {name: _remembering(query, kept) for name, query in queries.items()}


def _remembering(query: Query, kept: Collection[str]) -> Query:
    left = tuple(item for item in query.history if item in kept)
    return query if left == query.history else replace(query, history=left)


def _hash_of(ids: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(ids).encode("utf-8", "surrogatepass")).hexdigest()


def load_dataset(
    path: Path | str,
    *,
    columns: Columns = DEFAULT_COLUMNS,
    interactions: Path | str | None = None,
    cut: str = DEFAULT_CUT,
) -> Dataset:
    """Read a folder in one of `LAYOUTS`, or one `.jsonl`, `.csv` or `.tsv` file of documents.

    Args:
        columns: what the columns of a single file are called.
        interactions: a table of who took which document, or of counts, for `Dataset.popularity` of a search
            set; see `interactions.read_popularity`. Without it, a search set that has a `search_log` has no
            popularity: its train clicks lack those of held-out queries.
        cut: which of `cuts.CUTS` splits the interactions of a recommendation set: `last` (each user's last
            item is `dev`), `last_two` (the last is `test`, the one before it `dev`), `last_two_refit` (asks
            `test` only and learns from all before it) or `temporal`.

    Raises:
        InputError: not a layout that is known, a file with a fault (named with its line), or a cut that is
            not known or that has nothing to cut here.
    """
    path = Path(path)
    cut_named(cut)
    dataset = _load(path, columns, interactions, cut)
    if cut != DEFAULT_CUT and not dataset.histories:
        raise InputError(f"holds no interactions that {cut!r} could cut", path=path)
    return dataset


def _load(path: Path, columns: Columns, interactions: Path | str | None, cut: str) -> Dataset:
    if path.is_file():
        return Dataset(
            read_documents(path, columns), name=path.name.split(".")[0], hashes=_hashes(path.parent, [path])
        )
    if not path.is_dir():
        raise InputError("no such file or folder", path=path)
    name = path.resolve().name
    if corpus := one_of(path, "corpus.jsonl"):
        return _load_beir(path, corpus, name, interactions)
    if items := one_of(path, "items.jsonl"):
        table = _required(path, "interactions.tsv")
        documents = read_corpus(items, id_name="id")
        taken = audited(read_interactions(table, items=documents.row_of), documents, table)
        return _recommendation(documents, taken, name, _hashes(path, [items, table]), cut)
    if atomic := _only(path, "inter"):
        return _load_recbole(path, atomic, name, cut)
    raise InputError(f"holds none of the known layouts: {'; '.join(LAYOUTS)}", path=path)


def _load_beir(folder: Path, corpus_file: Path, name: str, interactions: Path | str | None) -> Dataset:
    corpus = read_corpus(corpus_file)
    splits = _split_files(folder / "qrels")
    queries_file = _required(folder, "queries.jsonl") if splits else one_of(folder, "queries.jsonl")
    queries = read_queries(queries_file) if queries_file else {}
    qrels = {
        split: read_qrels(file, queries=queries, documents=corpus.row_of) for split, file in splits.items()
    }
    bought = Path(interactions) if interactions else one_of(folder, "interactions.tsv")
    counts: dict[str, int] | None = None
    if bought:
        counts = read_popularity(bought, items=corpus.row_of)
    elif "train" in qrels and not one_of(folder, "search_log.tsv"):
        relevant = (tuple(doc for doc, g in grades.items() if g > 0) for grades in qrels["train"].values())
        counts = popularity(History("", items) for items in relevant)
    files = [file for file in (corpus_file, queries_file, *splits.values(), bought) if file]
    return Dataset(corpus, queries, qrels, {}, counts, name, _hashes(folder, files))


def _load_recbole(folder: Path, table: Path, name: str, cut: str) -> Dataset:
    if items := _only(folder, "item"):
        documents = read_items(items)
        taken = read_inter(table, items=documents.row_of)
    else:
        taken = read_inter(table)
        documents = Corpus(Document(item) for item in taken.items)
    files = [file for file in (table, items) if file]
    return _recommendation(documents, audited(taken, documents, table), name, _hashes(folder, files), cut)


def _recommendation(
    corpus: Corpus, taken: Interactions, name: str, hashes: Mapping[str, str], cut: str
) -> Dataset:
    histories, splits = cut_interactions(corpus, taken, cut_named(cut))
    asked = {split: cases.queries for split, cases in splits.items()}
    return Dataset(
        corpus,
        queries={query.id: query for queries in asked.values() for query in queries.values()},
        qrels={split: cases.qrels for split, cases in splits.items()},
        histories={history.id: history for history in histories},
        popularity=popularity(histories),
        name=name,
        hashes=hashes if cut == DEFAULT_CUT else {**hashes, "cut": _hash_of([cut])},
        asked=asked,
        slices={split: cases.slices for split, cases in splits.items()},
    )


def _split_files(folder: Path) -> dict[str, Path]:
    names = sorted(
        {file.name.removesuffix(".gz") for end in ("", ".gz") for file in folder.glob(f"*.tsv{end}")}
    )
    return {name.removesuffix(".tsv"): _required(folder, name) for name in names}


def _required(folder: Path, name: str) -> Path:
    file = one_of(folder, name)
    if file is None:
        raise InputError(f"{name} (or {name}.gz) is missing", path=folder)
    return file


def _only(folder: Path, suffix: str) -> Path | None:
    names = {file.name.removesuffix(".gz") for end in ("", ".gz") for file in folder.glob(f"*.{suffix}{end}")}
    return one_of(folder, *sorted(names))


def _hashes(folder: Path, files: Iterable[Path]) -> dict[str, str]:
    named = {
        file.relative_to(folder).as_posix() if file.is_relative_to(folder) else file.name: file
        for file in files
    }
    return {name: sha256_file(file) for name, file in sorted(named.items())}
