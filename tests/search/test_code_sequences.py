"""Next items by their keys: exact against one item at a time, and a beam that agrees where it looks."""

import itertools
from math import log

import numpy as np
import pytest
import torch

from retrograd.data.examples import ExampleContext
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.models.code_sequences import CodeTransformer
from retrograd.search.code_sequences import CodeSequenceScores, KeyScores
from retrograd.search.combine import Fuse
from retrograd.search.counting import TransitionKNN
from retrograd.search.learning import memorise, takes_history, takes_text
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, History, Query
from tests.models.test_code_sequences import KEYS, LISTS, SIZES, TABLE, stepped

CORPUS = Corpus(Document(id) for id in TABLE.document_ids)
MODEL = CodeTransformer(width=16, heads=2, length=8).build({}, TABLE, seed=1).eval()
HISTORIES = [*LISTS, np.zeros(0, np.int64), np.array([3, 1, 4, 9, 5, 11, 2, 0, 7, 8])]
CHANCE = sum(map(log, SIZES))


def parts_of(table=TABLE, corpus=CORPUS, model=MODEL, learnt=None):
    return Parts(corpus, model, table, learnt=learnt or {})


def asked(history):
    return Query("q", "", tuple(f"d{item}" for item in history))


def test_it_says_what_it_reads():
    assert takes_history(CodeSequenceScores())
    assert not takes_text(CodeSequenceScores())


@pytest.mark.parametrize("block", [1, 7, 2048])
def test_every_item_has_the_log_probability_of_its_key_over_chance(block):
    found = KeyScores(CodeSequenceScores(block=block, batch_size=2), MODEL, TABLE)(HISTORIES).scores
    for history, line in zip(HISTORIES, found, strict=True):
        if not len(history):
            assert (line == -np.inf).all()
            continue
        expected = [sum(stepped(MODEL, history[-8:], item)) + CHANCE for item in range(len(KEYS))]
        np.testing.assert_allclose(line, expected, atol=1e-4)


def test_a_wide_beam_is_the_enumeration():
    exact, beam = (
        KeyScores(CodeSequenceScores(width=width), MODEL, TABLE)(HISTORIES).scores for width in (0, 60)
    )
    assert np.array_equal(np.isfinite(exact), np.isfinite(beam))
    real = np.isfinite(exact)
    np.testing.assert_allclose(exact[real], beam[real], atol=1e-5)


def test_a_narrow_beam_gives_as_many_answers_as_it_is_wide_when_the_history_has_gone():
    searcher = CodeSequenceScores(width=4).build(parts_of())
    exact = CodeSequenceScores().build(parts_of())
    for history in LISTS:
        hits = searcher.search([asked(history)], 10).hits[0]
        scores = {hit.document: hit.score for hit in exact.search([asked(history)], 20).hits[0]}
        assert len(hits) >= 4
        assert not {hit.document for hit in hits} & {f"d{item}" for item in history}
        for hit in hits:
            assert hit.score == pytest.approx(scores[hit.document], abs=1e-4)


def test_the_keys_of_a_full_tree_share_the_whole_probability():
    keys = list(itertools.product(*map(range, SIZES)))
    table = DocidTable.from_keys(
        keys, range(len(keys)), [f"d{at}" for at in range(len(keys))], level_sizes=SIZES
    )
    model = CodeTransformer(width=16, heads=2, length=8).build({}, table, seed=3).eval()
    scores = KeyScores(CodeSequenceScores(), model, table)([np.array([7, 9])]).scores[0]
    assert np.exp(scores - CHANCE).sum() == pytest.approx(1, abs=1e-4)


def test_items_that_share_a_key_score_alike_and_come_in_their_order():
    shared = DocidTable.from_keys(KEYS[[0, 1, 0, 2, 0]], range(5), list("abcde"), level_sizes=SIZES)
    corpus = Corpus(map(Document, "abcde"))
    model = CodeTransformer(width=16, heads=2, length=8).build({}, shared, seed=1).eval()
    for width in (0, 5):
        searcher = CodeSequenceScores(width=width).build(parts_of(shared, corpus, model))
        hits = searcher.search([Query("q", "", ("b",))], 5).hits[0]
        twins = [hit for hit in hits if hit.document in "ace"]
        assert [hit.document for hit in twins] == ["a", "c", "e"]
        assert len({hit.score for hit in twins}) == 1


@pytest.mark.parametrize("width", [0, 5])
def test_the_company_changes_no_answer(width):
    scores = KeyScores(CodeSequenceScores(width=width, batch_size=3), MODEL, TABLE)
    together = scores(HISTORIES).scores
    for history, line in zip(HISTORIES, together, strict=True):
        alone = scores([history]).scores[0]
        assert np.array_equal(np.isfinite(alone), np.isfinite(line))
        np.testing.assert_allclose(alone[np.isfinite(alone)], line[np.isfinite(line)], atol=1e-5)


def test_it_is_fused_with_counts_and_scores_what_others_found():
    lives = [History("u", ("d3", "d1", "d4")), History("v", ("d1", "d4"))]
    fused = Fuse(parts=(CodeSequenceScores(width=12), TransitionKNN()))
    learnt = memorise(fused, ExampleContext(CORPUS, histories=lives))
    hits = fused.build(parts_of(learnt=learnt)).search([asked([1])], 12).hits[0]
    assert hits[0].document == "d4"
    assert len(hits) == len(CORPUS) - 1
    scorer = CodeSequenceScores().build(parts_of())
    found = scorer.search([asked([1])], 3).hits[0]
    again = scorer.score([asked([1])], [[hit.document for hit in found]])[0]
    assert again == pytest.approx([hit.score for hit in found], abs=1e-6)


def test_dropout_is_off_and_the_mode_is_left():
    model = CodeTransformer(width=16, heads=2, length=8, dropout=0.5).build({}, TABLE, seed=1).train()
    scores = KeyScores(CodeSequenceScores(), model, TABLE)
    assert np.array_equal(scores(LISTS[:1]).scores, scores(LISTS[:1]).scores)
    assert model.training
    assert torch.is_grad_enabled()


def test_bad_settings_and_missing_parts_are_named():
    for settings in ({"width": -1}, {"batch_size": 0}, {"block": 0}):
        with pytest.raises(InputError):
            CodeSequenceScores(**settings)
    for parts in (parts_of(model=None), parts_of(table=None)):
        with pytest.raises(InputError, match="CodeTransformer"):
            CodeSequenceScores().build(parts)
