"""Next items by a sequence model: the best of the catalogue, and what happens to items it never saw."""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext
from retrograd.errors import ArtifactError, InputError
from retrograd.models.sequential import ItemTransformer
from retrograd.models.tfidf_svd import TfidfSvd
from retrograd.search.learning import memorise, takes_history, takes_text
from retrograd.search.parts import Parts
from retrograd.search.sequential import SequenceModelScores
from retrograd.types import Corpus, Document, History, Query

IDS = tuple("abcdefgh")
CORPUS = Corpus(Document(item, title=f"kind{at % 2} {item * 3}") for at, item in enumerate(IDS))
LIVES = [History("u", ("a", "b", "c"))]
LENGTH = 4


def parts_of(corpus=CORPUS, *, reads_text=False):
    config = ItemTransformer(
        width=8, heads=1, length=LENGTH, reads_text=reads_text, encoder=TfidfSvd(dimensions=4)
    )
    learnt = memorise(SequenceModelScores(), ExampleContext(CORPUS, histories=LIVES))
    return Parts(corpus, config.build(config.fit(CORPUS.contents)).eval(), learnt=learnt)


def answers(parts, history, k=20, **settings):
    searcher = SequenceModelScores(**settings).build(parts)
    return {hit.document: hit.score for hit in searcher.search([Query("q", "", tuple(history))], k).hits[0]}


def test_it_says_what_it_reads():
    assert takes_history(SequenceModelScores())
    assert not takes_text(SequenceModelScores())


def test_scores_are_inner_products_of_state_and_item_vector():
    parts = parts_of()
    found = answers(parts, "abc", exclude_history=False)
    from retrograd.data.sequences import pack

    vectors = parts.model.all_item_vectors()
    state = parts.model.last_states(pack([np.array([0, 1, 2])], LENGTH), vectors)[0]
    assert list(found) == [IDS[at] for at in np.argsort(-(vectors @ state))]
    assert list(found.values()) == pytest.approx(sorted(vectors @ state, reverse=True), abs=1e-5)
    assert set(answers(parts, "abc")) == set(IDS) - set("abc")


def test_many_histories_at_once_are_answered_like_each_alone():
    parts = parts_of()
    asked = [Query(str(at), "", tuple(IDS[at : at + 3])) for at in range(6)]
    searcher = SequenceModelScores().build(parts)
    for query, (_, hits) in zip(asked, searcher.search(asked, 3), strict=True):
        alone = answers(parts, query.history, k=3)
        assert [hit.document for hit in hits] == list(alone)
        assert [hit.score for hit in hits] == pytest.approx(list(alone.values()), abs=1e-5)


def test_only_the_newest_items_are_read_where_a_history_is_longer_than_the_model():
    parts = parts_of()
    long, short = (answers(parts, history, exclude_history=False) for history in ("gfabcd", "abcd"))
    assert list(long.values()) == pytest.approx(list(short.values()), abs=1e-5)


def test_an_empty_history_has_no_answer():
    assert answers(parts_of(), "") == {}


def test_items_that_come_and_go_move_no_vector():
    before = answers(parts_of(), "ab")
    changed = Corpus([CORPUS[7], *(CORPUS[at] for at in range(6)), Document("new", title="kind0 new")])
    after = answers(parts_of(changed), "ab")
    assert "g" not in after
    assert after == pytest.approx({item: before[item] for item in after}, abs=1e-5)


def test_without_text_an_item_that_came_later_is_no_answer_and_passed_over_in_histories():
    grown = Corpus([*CORPUS, Document("new", title="kind0 new")])
    parts = parts_of(grown)
    assert "new" not in answers(parts, "ab", k=50)
    assert answers(parts, ["new"]) == {}
    assert answers(parts, ["a", "new"]) == pytest.approx(answers(parts, "a"), abs=1e-5)


def test_with_text_an_item_that_came_later_is_an_answer_and_read_in_histories():
    grown = Corpus([*CORPUS, Document("new", title="kind0 new")])
    parts = parts_of(grown, reads_text=True)
    assert "new" in answers(parts, "ab", k=50)
    assert len(answers(parts, ["new"])) == len(CORPUS)
    assert answers(parts, ["a", "new"]) != pytest.approx(answers(parts, "a"), abs=1e-3)


def test_nothing_to_learn_from_and_nothing_learnt_are_named():
    with pytest.raises(InputError, match="no interactions"):
        memorise(SequenceModelScores(), ExampleContext(CORPUS))
    with pytest.raises(ArtifactError, match="items_of_the_model"):
        SequenceModelScores().build(Parts(CORPUS))
