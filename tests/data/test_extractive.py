"""Extractive queries: short, from the document, the same each time, whatever the other documents."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data.dataset import load_dataset
from retrograd.data.extractive import KINDS, Extractive
from retrograd.data.salience import WORD
from retrograd.data.sample import sample_path
from retrograd.types import Corpus, Document

sentences = st.lists(st.text(st.sampled_from("abc é.-1 ?"), max_size=30), max_size=5).map(". ".join)
documents = st.builds(Document, st.uuids().map(str), sentences | st.text(), sentences)


@given(documents, st.integers(1, 20))
def test_every_document_with_a_word_gets_as_many_texts_as_asked_for_and_no_empty_one(
    document: Document, number: int
) -> None:
    (texts,) = Extractive().generate(Corpus([document]), number, seed=0)
    assert all(text.strip() for text in texts)
    if WORD.search(document.contents):
        assert len(texts) == number
    assert len(texts) in (0, number)


@given(documents)
def test_every_word_of_a_text_is_a_word_of_the_document(document: Document) -> None:
    known = set(WORD.findall(document.contents.lower()))
    pieces = {piece for word in known for piece in word.replace("-", " ").replace(".", " ").split()}
    for text in Extractive().generate(Corpus([document]), 8, seed=1)[0]:
        found = " ".join(WORD.findall(text.lower())).replace("-", " ").replace(".", " ").split()
        assert set(found) <= pieces | known


@pytest.fixture(scope="module")
def apis() -> Corpus:
    """The shipped sample."""
    return load_dataset(sample_path("apibench")).corpus


def test_the_same_seed_gives_the_same_texts_and_another_seed_others(apis: Corpus) -> None:
    some = Corpus(apis[:50])
    one = Extractive().generate(some, 16, seed=0)
    assert one == Extractive().generate(some, 16, seed=0)
    assert one != Extractive().generate(some, 16, seed=1)


def test_with_one_background_a_document_does_not_notice_the_others(apis: Corpus) -> None:
    together = Extractive().generate(Corpus(apis[:20]), 16, seed=0, background=apis)
    alone = Extractive().generate(Corpus(apis[7:8]), 16, seed=0, background=apis)
    assert together[7] == alone[0]


def test_texts_of_one_document_differ_and_are_short(apis: Corpus) -> None:
    groups = Extractive().generate(Corpus(apis[:200]), 16, seed=0)
    assert sum(len({text.lower() for text in group}) for group in groups) > 0.99 * 16 * 200
    lengths = [len(text.split()) for group in groups for text in group[1:]]
    assert max(lengths) <= 40
    assert 5 < sum(lengths) / len(lengths) < 14


def test_the_title_comes_first_and_each_kind_keeps_its_form(apis: Corpus) -> None:
    some = Corpus(apis[:20])
    for document, group in zip(some, Extractive().generate(some, 16, seed=0), strict=True):
        assert group[0] == document.title.strip(" .")
    none = dict.fromkeys(KINDS, 0.0)
    for document, group in zip(
        some, Extractive(**{**none, "terms": 1.0}).generate(some, 4, seed=0), strict=True
    ):
        terms = WORD.findall(document.contents.lower())
        for text in group:
            places = [terms.index(term) for term in text.split()]
            assert places == sorted(set(places))
            assert len(places) <= 10
    for group in Extractive(**{**none, "ngram": 1.0}).generate(some, 4, seed=0):
        assert all(len(WORD.findall(text)) <= 16 for text in group)


@pytest.mark.parametrize(
    "wrong",
    [{"title": -1.0}, dict.fromkeys(KINDS, 0.0), {"words": (5, 4)}, {"bag": (0, 4)}, {"top_terms": 0}],
)
def test_impossible_settings_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        Extractive(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="per_document=0"):
        Extractive().generate(Corpus([Document("a", "x")]), 0, seed=0)


def test_a_thousand_abstracts_take_seconds(real_data: Path) -> None:
    abstracts = Corpus(load_dataset(real_data / "scifact").corpus[:1000])
    start = time.process_time()
    Extractive().generate(abstracts, 16, seed=0)
    assert time.process_time() - start < 5  # 0.7 s of processor time measured
