"""Examples: every source points at the documents its texts came from, and at nothing else."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.data import CONFIGS
from retrograd.data.examples import (
    DocumentText,
    ExampleContext,
    ExampleSource,
    MinedNegatives,
    NextItem,
    PseudoQueries,
    TermBag,
    Titles,
    TrainQueries,
)
from retrograd.data.requests import TrainRequests
from retrograd.errors import InputError
from retrograd.recipe import from_json, to_json
from retrograd.types import Corpus, Document, History, Hit, Qrels, Query, Ranking, Searcher

SOURCES: tuple[ExampleSource, ...] = (
    DocumentText(words=3, chunks=2),
    TrainQueries(),
    PseudoQueries(per_document=4),
    Titles(),
    TermBag(terms=2),
    MinedNegatives(depth=4, per_query=2),
    NextItem(),
    TrainRequests(items=2),
)


class InOrder:
    """Answers every query with the first documents of the corpus."""

    def __init__(self, corpus: Corpus) -> None:
        self.corpus = corpus

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        hits = tuple(Hit(name, -float(at)) for at, name in enumerate(self.corpus.ids[:k]))
        return Ranking(tuple(query.id for query in queries), (hits,) * len(queries))


WORDS = st.lists(st.sampled_from(["wing", "flow", "heat", "the"]), max_size=9).map(" ".join)


@st.composite
def contexts(draw: st.DrawFn) -> ExampleContext:
    count = draw(st.integers(1, 6))
    corpus = Corpus([Document(f"d{at}", draw(WORDS), draw(WORDS)) for at in range(count)])
    some = st.sampled_from(corpus.ids)
    queries = [
        Query(f"q{at}", draw(st.sampled_from(["", f"ask {at}"])), tuple(draw(st.lists(some, max_size=3))))
        for at in range(draw(st.integers(0, 3)))
    ]
    qrels: Qrels = {q.id: draw(st.dictionaries(some, st.integers(0, 2), max_size=3)) for q in queries}
    histories = [History("u", tuple(draw(st.lists(some, max_size=5))))]

    def searcher() -> Searcher:
        return InOrder(corpus)

    return ExampleContext(corpus, queries, qrels, 0, searcher, histories)


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
@given(context=contexts())
def test_rows_exist_texts_are_not_empty_and_drawing_again_changes_nothing(
    source: ExampleSource, context: ExampleContext
) -> None:
    one, two = source(context), source(context)
    assert one.texts == two.texts
    np.testing.assert_array_equal(one.documents, two.documents)
    assert len(one.texts) == len(one.documents) == len(one)
    assert all(text.strip() for text in one.texts)
    assert one.documents.dtype == np.int64
    assert ((one.documents >= 0) & (one.documents < len(context.corpus))).all()


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: type(source).__name__)
def test_a_source_survives_json(source: ExampleSource) -> None:
    assert from_json(to_json(source), {kind.__name__: kind for kind in CONFIGS}) == source


@given(contexts())
def test_negatives_are_never_relevant_and_never_twice(context: ExampleContext) -> None:
    source = MinedNegatives(depth=5, skip=1, per_query=3)
    examples = source(context)
    assert examples.negatives is not None
    assert examples.negatives.shape == (len(examples), 3)
    positives = {q.text: set(context.positives(q)) for q in context.queries}
    for text, wrong in zip(examples.texts, examples.negatives.tolist(), strict=True):
        real = [row for row in wrong if row >= 0]
        assert not positives[text] & set(real)
        assert 0 not in real, "the first rank is passed over"
        assert len(set(real)) == len(real)


def test_negatives_need_a_searcher() -> None:
    with pytest.raises(InputError, match="there is none at this stage"):
        MinedNegatives()(ExampleContext(Corpus([Document("a")])))


CORPUS = Corpus([Document("a", "one two three four five", "Title"), Document("b", "six"), Document("c")])


def test_document_text_is_cut_into_its_first_chunks() -> None:
    examples = DocumentText(words=2, chunks=2)(ExampleContext(CORPUS))
    assert list(zip(examples.texts, examples.documents.tolist(), strict=True)) == [
        ("Title one", 0), ("two three", 0), ("six", 1),
    ]  # fmt: skip
    assert examples.role == "document"


def test_train_queries_lead_to_relevant_documents_only() -> None:
    context = ExampleContext(CORPUS, [Query("q", "x"), Query("r", "y")], {"q": {"b": 1, "a": 2, "c": 0}})
    assert TrainQueries()(context).documents.tolist() == [0, 1]


def test_the_next_item_is_asked_for_with_what_came_before() -> None:
    films = Corpus([Document(name, title=name.upper()) for name in "abcd"])
    context = ExampleContext(films, histories=[History("u", tuple("abcd")), History("v", ("a",))])
    examples = NextItem(items=2, targets=2)(context)
    assert (examples.texts, examples.documents.tolist()) == (["B. A", "C. B"], [2, 3])
    assert len(NextItem(targets=0)(context)) == 3


def test_pseudo_queries_depend_on_their_own_seed() -> None:
    long = Corpus([Document("a", " ".join(f"word{at}" for at in range(60)))])
    one, two = (PseudoQueries()(ExampleContext(long, seed=seed)).texts for seed in (0, 1))
    assert one == two != PseudoQueries(seed=1)(ExampleContext(long)).texts
