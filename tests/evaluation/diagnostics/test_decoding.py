"""Decoding diagnosis: prefix recall by definition, beams as searchers have them, scores as enumerated."""

import json
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.decoding import (
    BeamSettings,
    DecodingDiagnosis,
    decoder_of,
    diagnose_decoding,
)
from retrograd.evaluation.diagnostics.decoding_figures import decoding_figure, decoding_grids
from retrograd.evaluation.measures import evaluate
from retrograd.search.beam import beam_search
from retrograd.search.counting import Popular
from retrograd.search.generative import Beam, ScoreAll
from retrograd.search.history import WithHistory
from retrograd.search.score_all import best_gain, best_keys, prefix_scores, score_nodes
from retrograd.types import Query
from tests.catalogues import tables
from tests.search.test_generative import QUERIES, parts_of

WIDTHS = (1, 2, 4, 20)


def system_of(table, seed, search=None):
    parts = parts_of(table, seed)
    recipe = SimpleNamespace(search=search or Beam())
    return SimpleNamespace(table=table, model=parts.model.eval(), parts=parts, recipe=recipe)


def judgements(table, seed):
    """One or two relevant documents of each query."""
    random = np.random.default_rng(seed)
    return {
        query.id: {table.document_ids[row]: 1 for row in random.integers(0, len(table.document_ids), 2)}
        for query in QUERIES
    }


def kept_prefixes(model, inputs, table, width):
    """(query, prefix) in the beam after each level, by the textbook: sort all, keep the first."""
    trie = CsrTrie.from_table(table)
    total = prefix_scores(score_nodes(model, inputs, trie), trie)
    paths = [table.key(row) for row in range(len(table))]
    node_of = {}
    for row, path in enumerate(paths):
        node = int(trie.node_of_key[row])
        for length in range(len(path), -1, -1):
            node_of[path[:length]] = node
            node = int(trie.parent[node])
    kept, gap = [], np.inf
    for query in range(len(total)):
        frontier = [()]
        by_level = []
        for level in range(table.depth):
            grown = sorted(
                {p for p in node_of if len(p) == level + 1 and p[:-1] in frontier}
                | {p for p in frontier if p in paths}
            )
            grown.sort(key=lambda p, q=query: -float(total[q, node_of[p]]))
            scores = [float(total[query, node_of[p]]) for p in grown]
            if len(grown) > width:
                gap = min(gap, scores[width - 1] - scores[width])
            frontier = grown[:width]
            by_level.append(set(frontier))
        kept.append(by_level)
    return kept, gap


@settings(max_examples=25)
@given(tables(), st.integers(0, 99), st.sampled_from([1, 2, 4]))
def test_prefix_recall_is_what_the_textbook_beam_keeps(table, seed, width):
    system, qrels = system_of(table, seed), judgements(table, seed)
    decoder = decoder_of(system, "x")
    named = {table.document_ids[row] for row in table.pairs[:, 1]}
    asked = [query for query in QUERIES if named & qrels[query.id].keys()]
    assume(asked)
    prepared = system.model.prepare([query.text for query in asked], "query")
    inputs = system.model.collate(prepared, np.arange(len(asked)))
    kept, gap = kept_prefixes(system.model, inputs, table, width)
    assume(gap > 1e-4)
    found = diagnose_decoding(decoder, QUERIES, qrels, BeamSettings(widths=(width,), k=5))
    assert found.num_queries == len(asked)
    for level in range(table.depth):
        shares = []
        for at, query in enumerate(asked):
            inside = []
            for document in qrels[query.id].keys() & named:
                keys = [table.key(key) for key in table.keys_of(table.document_ids.index(document))]
                # a whole short key counts by whether it is answered, which is what it is kept for
                inside.append(
                    any(
                        key[: level + 1] in kept[at][level if len(key) > level + 1 else table.depth - 1]
                        for key in keys
                    )
                )
            shares.append(np.mean(inside))
        assert found.beams[0].prefix_recall[level] == pytest.approx(np.mean(shares))


@settings(max_examples=20)
@given(tables(), st.integers(0, 99))
def test_beams_answer_as_the_searcher_does_and_looking_ahead_reaches_the_ceiling(table, seed):
    system, qrels = system_of(table, seed), judgements(table, seed)
    named = {table.document_ids[row] for row in table.pairs[:, 1]}
    assume(all(named & grades.keys() for grades in qrels.values()))
    how = BeamSettings(widths=WIDTHS, k=3)
    found = diagnose_decoding(decoder_of(system, "x"), QUERIES, qrels, how)
    widest = Beam(width=WIDTHS[-1], engine="torch").build(system.parts).search(QUERIES, how.k)
    assert found.beams[-1].measures == pytest.approx(evaluate(widest, qrels, how.measures).mean)
    assert found.num_exact == len(QUERIES)
    everything = ScoreAll().build(system.parts).search(QUERIES, how.k)
    assert found.ceiling == pytest.approx(evaluate(everything, qrels, how.measures).mean)
    assert found.look_ahead[-1].perfect == pytest.approx(found.ceiling)
    one_key_each = len(table.pairs) == len(named) == len(table)
    for at in found.look_ahead:
        if one_key_each and at.width >= how.k:
            assert at.perfect == pytest.approx(found.ceiling)


TABLE = DocidTable.from_keys(
    [[a, b, c] for a in range(3) for b in range(3) for c in range(2)],
    range(18),
    [f"d{row}" for row in range(18)],
    level_sizes=(3, 3, 2),
)


@pytest.fixture(scope="module")
def diagnosis():
    how = BeamSettings(widths=WIDTHS, k=5, draws=3)
    return diagnose_decoding(decoder_of(system_of(TABLE, 1), "x"), QUERIES, judgements(TABLE, 1), how)


def test_the_exact_look_ahead_is_what_a_beam_with_that_prior_finds(diagnosis):
    system = system_of(TABLE, 1)
    trie = CsrTrie.from_table(TABLE)
    inputs = system.model.collate(system.model.prepare([q.text for q in QUERIES], "query"), np.arange(4))
    steps = score_nodes(system.model, inputs, trie)
    prior = best_gain(prefix_scores(steps, trie), trie)
    for width in WIDTHS:
        beam = beam_search(system.model, inputs, trie, width=width, prior=prior)
        assert beam.keys.equal(best_keys(steps, trie, width).keys)
    assert [at.width for at in diagnosis.look_ahead] == list(WIDTHS)


def test_figures_are_shares_grow_with_the_width_and_divergence_with_what_is_left_out(diagnosis):
    assert diagnosis.beams[-1].prefix_recall == pytest.approx((1.0, 1.0, 1.0))  # 20 beams, 18 keys
    for beam in diagnosis.beams:
        assert all(0 <= share <= 1 for share in beam.prefix_recall)
        assert list(beam.prefix_recall) == sorted(beam.prefix_recall, reverse=True)
    wholes = [at.whole_key for at in diagnosis.divergence]
    assert all(at.whole_key >= at.first_token >= 0 for at in diagnosis.divergence)
    assert wholes[0] > 0
    assert diagnosis.simpson[-1] == pytest.approx(1)
    assert all(1 / 18 < one <= other for one, other in pairwise(diagnosis.simpson))


def test_it_can_be_stored_printed_and_drawn(diagnosis, tmp_path):
    assert json.loads(json.dumps(diagnosis.to_json()))["beams"][0]["width"] == 1
    titles = [grid.title for grid in decoding_grids(diagnosis)]
    assert len(titles) == 3
    decoding_figure(diagnosis, tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 10_000


def test_exact_figures_are_left_out_where_they_are_too_dear(tmp_path):
    how = BeamSettings(widths=(1, 2), most_rows=3)
    found = diagnose_decoding(decoder_of(system_of(TABLE, 0), "x"), QUERIES, judgements(TABLE, 0), how)
    assert isinstance(found, DecodingDiagnosis)
    assert "18 ids costs 13 decoder rows" in found.left_out[0]
    assert (found.look_ahead, found.ceiling, found.divergence, found.num_exact) == ((), None, (), 0)
    assert len(list(decoding_grids(found))) == 1
    decoding_figure(found, tmp_path / "b.png")


def test_what_has_no_beam_is_refused_with_the_reason():
    system = system_of(TABLE, 0)
    with pytest.raises(InputError, match="bm25 has no docids"):
        decoder_of(SimpleNamespace(table=None), "bm25")
    no_decoder = SimpleNamespace(**vars(system) | {"model": object()})
    with pytest.raises(InputError, match="token by token"):
        decoder_of(no_decoder, "x")
    histories = SimpleNamespace(**vars(system) | {"recipe": SimpleNamespace(search=Popular())})
    with pytest.raises(InputError, match="reads histories"):
        decoder_of(histories, "x")
    decoder = decoder_of(system_of(TABLE, 0, search=WithHistory(search=Beam())), "x")
    assert decoder.normalise == "level"
    with pytest.raises(InputError, match="no query has a relevant document"):
        diagnose_decoding(decoder, [Query("q", "red")], {"q": {"elsewhere": 1, "d1": 0}})
