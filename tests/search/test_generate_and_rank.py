"""Candidates of a beam and items nobody took, in the order of cosines."""

import numpy as np
import pytest

from retrograd.data.examples import ExampleContext
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.search.code_sequences import CodeSequenceScores, KeyScores
from retrograd.search.generate_and_rank import GenerateAndRank
from retrograd.search.learning import memorise, takes_history, takes_text
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, History, Query
from tests.models.test_code_and_text import CONFIG, SAID, STATE
from tests.models.test_code_sequences import KEYS, LISTS, SIZES, TABLE
from tests.search.test_code_sequences import MODEL as WITHOUT_TEXT

CORPUS = Corpus(Document(name, title=text) for name, text in zip(TABLE.document_ids, SAID, strict=True))
MODEL = CONFIG.build(STATE, TABLE, seed=1).eval()
TAKEN = [History("u", tuple(f"d{item}" for item in range(len(KEYS)) if item not in (4, 7)))]
LEARNT = memorise(GenerateAndRank(), ExampleContext(CORPUS, histories=TAKEN))


def parts_of(corpus=CORPUS, table=TABLE, model=MODEL):
    return Parts(corpus, model, table, learnt=LEARNT)


def answers(config, history, parts=None):
    query = Query("q", "", tuple(f"d{item}" for item in history))
    return {hit.document: hit.score for hit in config.build(parts or parts_of()).search([query], 50).hits[0]}


def cosine(history, item):
    """In units of the temperature, from the formula."""
    keys = KeyScores(CodeSequenceScores(), MODEL, TABLE, STATE["texts"])
    state = keys.states([np.array(history)])[0]
    vector = MODEL.compared.weight.detach().numpy() @ STATE["texts"][item]
    return state @ vector / np.linalg.norm(state) / np.linalg.norm(vector) / 0.07


def test_it_says_what_it_reads():
    assert takes_history(GenerateAndRank())
    assert not takes_text(GenerateAndRank())


@pytest.mark.parametrize("history", LISTS)
def test_what_the_beam_finds_and_what_nobody_took_comes_in_the_order_of_cosines(history):
    found = answers(GenerateAndRank(width=2), history)
    beam = KeyScores(CodeSequenceScores(width=2), MODEL, TABLE, STATE["texts"])([history]).scores[0]
    expected = ({*np.flatnonzero(beam > -np.inf).tolist(), 4, 7}) - set(history.tolist())
    assert set(found) == {f"d{item}" for item in expected}
    assert list(found.values()) == sorted(found.values(), reverse=True)
    for item in expected:
        assert found[f"d{item}"] == pytest.approx(cosine(history, item), abs=1e-4)


def test_without_what_nobody_took_there_is_what_the_beam_finds():
    every, beam = (answers(GenerateAndRank(width=2, adds_untaken=adds), LISTS[0]) for adds in (True, False))
    assert set(every) - set(beam) <= {"d4", "d7"}
    assert set(beam) <= set(every)
    assert len(beam) < len(every)


def test_without_a_beam_every_item_is_ranked():
    found = answers(GenerateAndRank(width=0), LISTS[1])
    assert set(found) == {f"d{item}" for item in range(len(KEYS))} - {f"d{item}" for item in LISTS[1]}


def test_an_empty_history_has_no_answer():
    assert not answers(GenerateAndRank(), [])
    assert not answers(GenerateAndRank(width=0), [])


def test_an_item_that_came_later_is_a_candidate_and_is_read():
    corpus = Corpus([Document("new", title=SAID[4]), *CORPUS])
    keys = np.concatenate([KEYS[[4]], KEYS])
    table = DocidTable.from_keys(keys, range(len(keys)), corpus.ids, level_sizes=SIZES)
    model = CONFIG.build(STATE, TABLE, seed=1).eval()
    parts = parts_of(corpus, table, model)
    found = answers(GenerateAndRank(width=1), LISTS[1], parts)
    assert found["new"] == pytest.approx(found["d4"], abs=1e-4)
    for item, score in answers(GenerateAndRank(width=1), LISTS[1]).items():
        assert found.get(item, score) == pytest.approx(score, abs=1e-4)
    searcher = GenerateAndRank(width=0).build(parts)
    read = searcher.search([Query("a", "", ("d9", "new")), Query("b", "", ("d9", "d4"))], 5).hits
    assert [hit.document for hit in read[0] if hit.document != "d4"][:3] == [
        hit.document for hit in read[1] if hit.document != "new"
    ][:3]


def test_parts_that_cannot_be_ranked_are_refused():
    for parts in (Parts(CORPUS, None, None, learnt=LEARNT), parts_of(model=WITHOUT_TEXT)):
        with pytest.raises(InputError, match="a model of codes and texts"):
            GenerateAndRank().build(parts)
    for settings in ({"width": -1}, {"batch_size": 0}):
        with pytest.raises(InputError):
            GenerateAndRank(**settings)
