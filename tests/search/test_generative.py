"""Generative searchers keep the `Searcher` protocol, whatever shares a key."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.encoder_decoder import EncoderDecoder
from retrograd.models.token_input import TokenInput
from retrograd.search.decoding_policies import AnnealedSampling, BestFirst, DiverseBeam
from retrograd.search.generative import Beam, ScoreAll, beam_searcher
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Hit, Query, Ranking, Searcher
from tests.catalogues import tables

POLICIES = (
    Beam(width=2),
    ScoreAll(),
    BestFirst(width=2, most_steps=1),
    DiverseBeam(width=2, groups=2),
    AnnealedSampling(rounds=3),
)
CONFIG = EncoderDecoder(encoder=TokenInput(width=16, layers=1, heads=2, vocab_size=60), layers=1, heads=2)
WORDS = ("red", "blue", "green", "boat", "house", "tree")
STATE = CONFIG.fit([" ".join(WORDS)] * 3)
QUERIES = [
    Query(f"q{i}", text) for i, text in enumerate(["red boat", "", "a blue house tree", "unseen \ud800 §"])
]


def parts_of(table, seed=0):
    corpus = Corpus(Document(name, name) for name in table.document_ids)
    return Parts(corpus=corpus, model=CONFIG.build(STATE, table, seed=seed), table=table)


def reachable(table):
    return {table.document_ids[row] for row in table.pairs[:, 1]}


@settings(max_examples=60)
@given(tables(), st.integers(1, 20), st.integers(1, 4), st.sampled_from(POLICIES))
def test_every_query_gets_k_distinct_documents_or_all_there_are(table, k, batch_size, config):
    searcher = replace(config, batch_size=batch_size).build(parts_of(table))
    assert isinstance(searcher, Searcher)
    ranking = searcher.search(QUERIES, k)
    assert ranking.query_ids == tuple(query.id for query in QUERIES)
    for _, hits in ranking:
        documents = [hit.document for hit in hits]
        assert len(set(documents)) == len(documents) == min(k, len(reachable(table)))
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        for hit in hits:
            row = table.document_ids.index(hit.document)
            assert hit.path in {table.key(key) for key in table.keys_of(row)}
            if not isinstance(config, AnnealedSampling):
                assert sum(hit.step_scores) == pytest.approx(hit.score, abs=1e-4)


@settings(max_examples=30)
@given(tables(), st.integers(0, 99), st.sampled_from([Beam(), BestFirst(), DiverseBeam()]))
def test_asked_for_everything_each_gives_the_scores_of_enumeration(table, seed, config):
    parts = parts_of(table, seed)
    exact = ScoreAll(block=3).build(parts).search(QUERIES, 99)
    for (_, one), (_, other) in zip(config.build(parts).search(QUERIES, 99), exact, strict=True):
        assert {hit.document for hit in one} == reachable(table)
        scores = {hit.document: hit.score for hit in other}
        assert {hit.document: hit.score for hit in one} == pytest.approx(scores, abs=1e-4)


@settings(max_examples=30)
@given(tables(), st.integers(1, 4), st.integers(0, 99), st.sampled_from(POLICIES))
def test_the_batch_size_changes_no_answer(table, batch_size, seed, config):
    parts = parts_of(table, seed)
    one = replace(config, batch_size=batch_size).build(parts).search(QUERIES, 3)
    other = config.build(parts).search(QUERIES, 3)
    for (_, left), (_, right) in zip(one, other, strict=True):
        np.testing.assert_allclose([hit.score for hit in left], [hit.score for hit in right], atol=1e-4)


@settings(max_examples=30)
@given(tables(), st.sets(st.integers(0, 13)))
def test_a_filtered_searcher_answers_the_allowed_documents_only(table, allowed):
    rows = sorted(row for row in allowed if row < len(table.document_ids))
    constraint = AllowList.from_documents(CsrTrie.from_table(table), table, rows)
    mask = np.isin(np.arange(len(table.document_ids)), rows)
    searcher = beam_searcher(Beam(), parts_of(table).model, table, constraint, mask)
    wanted = {table.document_ids[row] for row in rows} & reachable(table)
    for _, hits in searcher.search(QUERIES, 99):
        assert {hit.document for hit in hits} == wanted


def test_searching_leaves_a_model_in_training_mode_and_its_dropout_out_of_the_scores():
    table = DocidTable.from_keys([[0, 1], [1, 0]], [0, 1], ["a", "b"], level_sizes=(2, 2))
    parts = parts_of(table)
    parts.model.train()
    searcher = Beam().build(parts)
    assert searcher.search(QUERIES, 2) == searcher.search(QUERIES, 2)
    assert parts.model.training
    assert searcher.search([], 3).hits == ()


def test_what_is_missing_or_does_not_fit_is_named():
    table = DocidTable.from_keys([[0], [1]], [0, 1], ["a", "b"], level_sizes=(2,))
    parts = parts_of(table)
    with pytest.raises(ValueError, match="docid table"):
        Beam().build(Parts(corpus=parts.corpus, model=parts.model))
    with pytest.raises(ValueError, match="needs a model"):
        ScoreAll().build(Parts(corpus=parts.corpus, table=table))
    other = DocidTable.from_keys([[0], [2]], [0, 1], ["a", "b"], level_sizes=(3,))
    with pytest.raises(ValueError, match="resize"):
        Beam().build(Parts(corpus=parts.corpus, model=parts.model, table=other))
    with pytest.raises(ValueError, match="k=0"):
        Beam().build(parts).search(QUERIES, 0)
    for config, options in ((Beam, {"width": 0}), (Beam, {"normalise": "x"}), (ScoreAll, {"block": 0})):
        with pytest.raises(ValueError):
            config(**options)


class Favourites:
    """A searcher config whose searcher ranks documents by the order of a list, the same for every query."""

    def __init__(self, names):
        self.names = names

    def build(self, parts):
        return self

    def search(self, queries, k):
        hits = tuple(Hit(name, 1 / (place + 1)) for place, name in enumerate(self.names[:k]))
        return Ranking(tuple(query.id for query in queries), (hits,) * len(queries))


@settings(max_examples=40)
@given(tables(), st.data(), st.sampled_from(["torch", "auto"]))
def test_a_heavy_planner_leads_a_single_beam_to_its_document(table, data, engine):
    wanted = data.draw(st.sampled_from(sorted(reachable(table))))
    config = Beam(width=1, planner=Favourites([wanted]), planner_weight=1e4, engine=engine)
    parts = parts_of(table)
    keys = {table.key(key) for key in table.keys_of(table.document_ids.index(wanted))}
    for _, hits in config.build(parts).search(QUERIES, 1):
        assert hits[0].path in keys


@settings(max_examples=30)
@given(tables(), st.integers(1, 6), st.booleans())
def test_a_planner_that_thinks_nothing_of_anything_changes_no_answer(table, width, widen):
    parts = parts_of(table)
    plain = Beam(width=width, widen=widen, engine="torch")
    planned = replace(plain, planner=Favourites([]), planner_weight=1e4)
    assert planned.build(parts).search(QUERIES, 3) == plain.build(parts).search(QUERIES, 3)


@settings(max_examples=30)
@given(tables(), st.integers(1, 20))
def test_a_planner_reorders_no_answers_of_an_exact_beam(table, k):
    parts = parts_of(table)
    names = sorted(reachable(table), reverse=True)
    planned = Beam(width=99, planner=Favourites(names)).build(parts).search(QUERIES, k)
    exact = Beam(width=99).build(parts).search(QUERIES, k)
    for (_, one), (_, other) in zip(planned, exact, strict=True):
        np.testing.assert_allclose([h.score for h in one], [h.score for h in other], atol=1e-4)


@settings(max_examples=40)
@given(tables(), st.integers(1, 3), st.integers(1, 20))
def test_a_beam_that_is_not_widened_follows_so_many_prefixes_to_all_their_answers(table, width, k):
    parts = parts_of(table)
    for _, hits in Beam(width=width, widen=False).build(parts).search(QUERIES, k):
        for depth in range(1, len(table.level_sizes)):
            assert len({hit.path[:depth] for hit in hits}) <= width
        assert hits


def test_a_planner_needs_docids_of_the_corpus():
    table = DocidTable.from_keys([[0, 1], [1, 0]], [0, 1], ["a", "b"], level_sizes=(2, 2))
    parts = replace(parts_of(table), corpus=Corpus([Document("a", "a"), Document("c", "c")]))
    with pytest.raises(ValueError, match="other documents than the corpus"):
        Beam(planner=Favourites([])).build(parts)


@pytest.mark.parametrize(
    "wrong", [{"planner_depth": 0}, {"planner_scale": "x"}, {"engine": "native", "widen": False}]
)
def test_settings_of_a_planner_are_checked(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Beam(**wrong)
