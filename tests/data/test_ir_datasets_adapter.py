"""The catalogue adapter: renames what comes, says which extra is missing."""

import sys
from types import ModuleType
from typing import NamedTuple

import pytest

from retrograd.data.ir_datasets_adapter import load_ir_dataset
from retrograd.errors import InputError
from retrograd.types import Document, Query


class Abstract(NamedTuple):
    doc_id: str
    title: str
    abstract: str
    url: str


class Topic(NamedTuple):
    query_id: str
    description: str
    narrative: str


class Judgement(NamedTuple):
    query_id: str
    doc_id: str
    relevance: int
    iteration: str = "0"


class Catalogued:
    """What `ir_datasets.load` returns, as far as the adapter looks."""

    def __init__(self, judged: str = "d1") -> None:
        self.judged = judged

    def has_docs(self) -> bool:
        return True

    has_queries = has_qrels = has_docs

    def docs_iter(self) -> list[Abstract]:
        return [Abstract("d1", "Title", "Body.", "http://x")]

    def queries_iter(self) -> list[Topic]:
        return [Topic("q1", "what is it", "more")]

    def qrels_iter(self) -> list[Judgement]:
        return [Judgement("q1", self.judged, 2)]


def install(monkeypatch: pytest.MonkeyPatch, entry: Catalogued) -> None:
    """A catalogue of one entry."""
    catalogue = ModuleType("ir_datasets")
    catalogue.load = {"some/set": entry}.__getitem__  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ir_datasets", catalogue)


def test_an_entry_becomes_a_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Catalogued())
    dataset = load_ir_dataset("some/set", split="dev")
    assert list(dataset.corpus) == [Document("d1", "Body.", "Title")]
    assert dataset.split("dev") == ([Query("q1", "what is it more")], {"q1": {"d1": 2}})


def test_an_unknown_entry_and_a_foreign_judgement_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, Catalogued(judged="d9"))
    with pytest.raises(InputError, match="ir_datasets knows no dataset 'other'"):
        load_ir_dataset("other")
    with pytest.raises(InputError, match=r"some/set: a judgement names what does not exist: .*'d9'"):
        load_ir_dataset("some/set")


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ir_datasets", None)
    with pytest.raises(InputError, match=r"pip install 'retrograd\[ir-datasets\]'"):
        load_ir_dataset("some/set")
