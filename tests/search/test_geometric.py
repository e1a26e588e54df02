"""Beams that look ahead and rank by vectors: where they are exact, what decides, what is counted."""

import json
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd import recipe, search
from retrograd.search.generative import Beam, ScoreAll
from retrograd.search.geometric import LOOK_AHEADS, GeometricBeam, GeometricScoreAll
from retrograd.search.leaf_ranking import RANKS
from retrograd.search.lexical import Lexical
from retrograd.search.nearest import VECTORS, Nearest
from retrograd.search.parts import Parts
from retrograd.types import Searcher
from tests.catalogues import tables
from tests.geometric_systems import coded_catalogue, questions, system_of

QUERIES = questions(5)
EXACT = GeometricBeam(width=10, decoder_weight=0.0, rank="cosine", look_ahead="descendant")
seeds = st.integers(0, 99)


class NoDecoder:
    """What `Beam` reads of a model, of one that reads its own queries."""

    def __init__(self, model):
        self._model, self.encoder = model, model

    def __getattr__(self, name):
        return getattr(self._model, name)


def answers(searcher, queries=QUERIES, k=10):
    """Documents and scores of every query."""
    hits = [hits for _, hits in searcher.search(queries, k)]
    return [[hit.document for hit in row] for row in hits], [hit.score for row in hits for hit in row]


def same(one, other):
    """Whether two `answers` are equal, rounding aside."""
    return one[0] == other[0] and one[1] == pytest.approx(other[1], abs=1e-5)


def documents(searcher, queries=QUERIES, k=10):
    return list(searcher.search(queries, k).documents().values())


@settings(max_examples=30)
@given(st.integers(10, 120), seeds, st.integers(1, 10))
def test_with_the_best_descendant_alone_a_beam_as_wide_as_k_is_exact(count, seed, k):
    parts = system_of(coded_catalogue(count, seed=seed), seed)
    assert same(answers(EXACT.build(parts), k=k), answers(Nearest().build(parts), k=k))


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 14), st.sampled_from(LOOK_AHEADS[:2]))
def test_at_the_width_of_the_catalogue_ranking_by_cosine_is_exact_whatever_the_decoder(
    table, seed, k, look_ahead
):
    parts = system_of(table, seed)
    reachable = {table.document_ids[row] for row in table.pairs[:, 1]}
    config = GeometricBeam(width=len(table), rank="cosine", look_ahead=look_ahead)
    exact = [[name for name in row if name in reachable] for row in documents(Nearest().build(parts), k=99)]
    assert documents(config.build(parts), k=k) == [row[:k] for row in exact]
    assert documents(GeometricScoreAll(rank="cosine").build(parts), k=k) == [row[:k] for row in exact]


@settings(max_examples=30)
@given(tables(), seeds, st.integers(1, 20), st.sampled_from(sorted(RANKS)), st.sampled_from(LOOK_AHEADS[:3]))
def test_every_query_gets_k_distinct_documents_with_true_paths_or_all_there_are(
    table, seed, k, rank, look_ahead
):
    parts = system_of(table, seed)
    searcher = GeometricBeam(width=2, rank=rank, look_ahead=look_ahead).build(parts)
    assert isinstance(searcher, Searcher)
    expected = {
        hit.path: hit.score
        for _, hits in ScoreAll().build(_beamable(parts)).search(QUERIES[:1], 99)
        for hit in hits
    }
    ranking = searcher.search(QUERIES, k)
    assert ranking.query_ids == tuple(query.id for query in QUERIES)
    for _, hits in ranking:
        names = [hit.document for hit in hits]
        assert len(set(names)) == len(names) == min(k, len(np.unique(table.pairs[:, 1])))
        scores = [hit.score for hit in hits]
        assert scores == sorted(scores, reverse=True)
        for hit in hits:
            row = table.document_ids.index(hit.document)
            assert hit.path in {table.key(key) for key in table.keys_of(row)}
            assert len(hit.step_scores) == len(hit.path)
    for hit in ranking.hits[0]:  # the steps are the decoder's own, free of look-ahead and rank
        if hit.path in expected:
            assert sum(hit.step_scores) == pytest.approx(expected[hit.path], abs=1e-4)


def _beamable(parts):
    return replace(parts, model=NoDecoder(parts.model))


@settings(max_examples=30)
@given(st.integers(20, 120), seeds)
def test_lexicographic_order_is_that_of_the_score_and_of_the_cosine_among_equals(count, seed):
    parts = system_of(coded_catalogue(count, (4, 4), seed), seed)
    cosines = (
        parts.model.query_vectors([query.text for query in QUERIES])
        @ parts.model.document_vectors(parts.corpus.contents).T
    )
    ranking = GeometricBeam(width=16).build(parts).search(QUERIES, 12)
    for cosine, (_, hits) in zip(cosines, ranking, strict=True):
        order = [(-hit.score, -cosine[parts.corpus.row_of[hit.document]]) for hit in hits]
        assert all(a[0] < b[0] or a[1] <= b[1] + 1e-6 for a, b in pairwise(order))


@settings(max_examples=30)
@given(st.integers(1, 60), seeds, st.integers(1, 8))
def test_without_look_ahead_the_keys_are_those_of_the_plain_beam(count, seed, width):
    parts = system_of(coded_catalogue(count, seed=seed), seed)
    plain = Beam(width=width).build(_beamable(parts)).search(QUERIES, 1)
    ours = GeometricBeam(width=width).build(parts).search(QUERIES, 1)
    for (_, (one,)), (_, (other,)) in zip(plain, ours, strict=True):
        assert one.path == other.path
        assert one.score == pytest.approx(other.score, abs=1e-5)


@settings(max_examples=30)
@given(st.integers(5, 60), seeds, st.sampled_from(sorted(RANKS)))
def test_full_enumeration_and_the_widest_beam_rank_alike(count, seed, rank):
    parts = system_of(coded_catalogue(count, seed=seed), seed)
    beam = GeometricBeam(width=len(parts.table), rank=rank).build(parts)
    assert same(answers(beam), answers(GeometricScoreAll(rank=rank, block=7).build(parts)))


@settings(max_examples=30)
@given(seeds)
def test_a_heavy_cosine_decides_the_sum_and_a_light_one_does_not(seed):
    parts = system_of(coded_catalogue(40, seed=seed), seed)
    every = GeometricScoreAll(rank="sum", alpha=1e6).build(parts)
    assert documents(every) == documents(Nearest().build(parts))
    none = GeometricScoreAll(rank="sum", alpha=0.0).build(parts).search(QUERIES, 10)
    score = GeometricScoreAll().build(parts).search(QUERIES, 10)
    for (_, one), (_, other) in zip(none, score, strict=True):
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other])


@settings(max_examples=30)
@given(
    st.integers(1, 80),
    seeds,
    st.integers(1, 30),
    st.sampled_from(LOOK_AHEADS[:3]),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_a_batch_answers_like_single_queries(count, seed, k, look_ahead, decoder_weight):
    parts = system_of(coded_catalogue(count, seed=seed), seed)
    config = GeometricBeam(width=3, rank="cosine", look_ahead=look_ahead, decoder_weight=decoder_weight)
    searcher = config.build(parts)
    together = answers(searcher, k=k)
    names, scores = zip(*(answers(searcher, [query], k) for query in QUERIES), strict=True)
    assert same(together, ([row for rows in names for row in rows], [s for rows in scores for s in rows]))
    assert same(together, answers(replace(config, batch_size=2).build(parts), k=k))


def test_with_the_decoder_ignored_its_weights_do_not_matter():
    table = coded_catalogue(80)
    config = GeometricBeam(width=3, decoder_weight=0.0, look_ahead="centroid", rank="lexicographic")
    one, other = (config.build(system_of(table, seed)) for seed in (1, 2))
    assert documents(one) == documents(other)
    assert documents(replace(config, decoder_weight=1.0).build(system_of(table, 1))) != documents(one)


def test_vectors_scored_are_the_candidates_and_the_documents_at_the_leaves():
    # two levels of 4, every path taken once: 4 nodes, then 4 below each of the 2 kept, then 3 leaves
    table = coded_catalogue(1, (4, 4))
    paths = [[first, second] for first in range(4) for second in range(4)]
    table = type(table).from_keys(paths, range(16), [f"d{i}" for i in range(16)], level_sizes=(4, 4))
    for look_ahead, nodes in (("none", 0), ("centroid", 4 + 2 * 4), ("descendant", 16)):
        searcher = GeometricBeam(width=2, look_ahead=look_ahead).build(system_of(table))
        searcher.search(QUERIES, 3)
        assert searcher.vectors_scored_per_query == nodes + 3
    exact = GeometricScoreAll(rank="cosine").build(system_of(table))
    exact.search(QUERIES, 3)
    assert exact.vectors_scored_per_query == 16


@pytest.mark.parametrize("look_ahead", LOOK_AHEADS[:3])
def test_a_thousand_documents_are_found_and_more_than_there_are_gives_all(look_ahead):
    parts = system_of(coded_catalogue(1500, (16, 16, 16)))
    searcher = GeometricBeam(width=5, rank="cosine", look_ahead=look_ahead).build(parts)
    for asked, found in ((1000, 1000), (1500, 1500), (9999, 1500)):
        for _, hits in searcher.search(QUERIES[:2], asked):
            assert len({hit.document for hit in hits}) == len(hits) == found
    exact = documents(Nearest().build(parts), QUERIES[:2], 1500)
    assert documents(searcher, QUERIES[:2], 1500) == exact


def test_a_planner_that_returns_nothing_is_harmless(tmp_path):
    parts = system_of(coded_catalogue(60), folder=tmp_path)
    for look_ahead in ("none", "centroid"):
        plain = GeometricBeam(width=3, look_ahead=look_ahead)
        planned = replace(plain, planner=Lexical(), planner_weight=9.0)  # no query shares a word
        assert same(answers(planned.build(parts)), answers(plain.build(parts)))


@pytest.mark.parametrize("scale", ["max", "z_score"])
def test_a_heavy_planner_leads_to_its_own_documents(tmp_path, scale):
    parts = system_of(coded_catalogue(60), folder=tmp_path)
    config = GeometricBeam(width=1, planner=Nearest(), planner_weight=1e3, planner_scale=scale)
    nearest = documents(Nearest().build(parts), k=1)
    found = replace(config, rank="cosine").build(parts)
    assert documents(found, k=1) == nearest


def test_the_choices_survive_a_round_trip_through_json():
    kinds = {kind.__name__: kind for kind in search.CONFIGS}
    for config in (GeometricBeam(planner=Lexical()), EXACT, GeometricScoreAll(rank="sum")):
        text = json.dumps(recipe.to_json(config))
        assert recipe.from_json(json.loads(text), kinds | {"Flat": object}) == config


def test_what_is_missing_or_does_not_fit_is_named():
    parts = system_of(coded_catalogue(9))
    for config in (GeometricBeam(), GeometricScoreAll()):
        with pytest.raises(ValueError, match="needs a docid table"):
            config.build(Parts(corpus=parts.corpus, model=parts.model))
        with pytest.raises(ValueError, match="level sizes"):
            config.build(replace(parts, table=coded_catalogue(9, (7, 7))))
        with pytest.raises(ValueError, match="other documents"):
            config.build(replace(parts, table=coded_catalogue(8)))
    with pytest.raises(ValueError, match="learnt no route"):
        GeometricBeam(look_ahead="routed").build(parts)
    with pytest.raises(ValueError, match="k=0"):
        GeometricBeam().build(parts).search(QUERIES, 0)
    for field, value in (
        ("width", 0),
        ("rank", "x"),
        ("look_ahead", "x"),
        ("planner_scale", "x"),
        ("planner_depth", 0),
        ("normalise", "x"),
    ):
        with pytest.raises(ValueError, match=field):
            GeometricBeam(**{field: value})
    with pytest.raises(ValueError, match="block"):
        GeometricScoreAll(block=0)


def test_the_vectors_are_kept_and_a_model_in_training_stays_in_training():
    parts = system_of(coded_catalogue(9))
    parts.model.train()
    searcher = GeometricBeam().build(parts)
    assert VECTORS in parts.arrays
    assert len(searcher.search([], 3)) == 0
    searcher.search(QUERIES, 3)
    assert parts.model.training
