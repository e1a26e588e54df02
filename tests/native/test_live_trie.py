"""Both engines on a live trie: after any changes they answer what they answer on a trie built anew."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie, LiveTrie
from retrograd.docid_table import DocidTable
from retrograd.search import engine, packing
from retrograd.search.beam import NORMALISE, beam_search
from retrograd.search.engine import search_keys
from retrograd.search.packing import native_trie
from tests.catalogues import random_inputs, random_model
from tests.constraints.test_live_trie import NEVER, SIZES, histories, padded, replayed
from tests.native.cases import TOLERANCE


@pytest.fixture(scope="module")
def tested(library):
    """The library under test, where search looks for one."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (engine, packing):
            patch.setattr(module, "find", lambda: library)
        yield library


def table_of(numbers):
    """A table of one document per key."""
    names = [str(row) for row in range(len(numbers))]
    return DocidTable.from_keys(sorted(numbers), range(len(numbers)), names, level_sizes=SIZES)


def assert_same(found, expected, rows):
    """The same keys in the same order; `rows` are the numbers of the expected keys."""
    width = expected.keys.shape[1]
    assert (found.keys[:, width:] == -1).all()
    wanted = np.where(expected.keys >= 0, rows[expected.keys], -1)
    assert found.keys[:, :width].tolist() == wanted.tolist()
    torch.testing.assert_close(found.scores[:, :width], expected.scores, atol=1e-5, rtol=TOLERANCE)
    torch.testing.assert_close(found.paths[:, :width], expected.paths)
    torch.testing.assert_close(found.steps[:, :width], expected.steps, atol=1e-5, rtol=TOLERANCE)


@settings(max_examples=30)
@given(histories(), st.integers(0, 99), st.integers(1, 9), st.sampled_from(NORMALISE), st.data())
def test_any_changes_answer_as_a_trie_built_anew(tested, history, seed, width, normalise, data):
    everything = table_of({(0,): 0})
    model, inputs = random_model(everything, seed), random_inputs(3, seed)
    options = {"width": width, "normalise": normalise}
    for live, numbers in replayed(history):
        if not numbers:
            continue
        table = table_of(numbers)
        rows = np.array([numbers[table.key(row)] for row in range(len(table))])
        fresh = CsrTrie.from_table(table)
        pairs = [(live, fresh)]
        if data.draw(st.booleans()):
            some = sorted(data.draw(st.sets(st.integers(0, len(table) - 1))))
            allowed = live.node_of_key[torch.from_numpy(rows[some])]
            mask = torch.zeros(live.num_nodes, dtype=torch.bool)
            for _ in range(len(SIZES) + 1):
                mask[allowed] = True
                allowed = live.parent[allowed]
            pairs.append((AllowList(live, mask), AllowList.from_documents(fresh, table, some)))
        for constraint, expected in pairs:
            wanted = beam_search(model, inputs, expected, **options)
            assert_same(beam_search(model, inputs, constraint, **options), wanted, rows)
            assert_same(search_keys(model, inputs, constraint, engine="native", **options), wanted, rows)


@settings(max_examples=20)
@given(histories(), st.integers(0, 99), st.integers(1, 5))
def test_both_engines_read_a_prior_by_the_nodes_of_both_parts(tested, history, seed, width):
    model, inputs = random_model(table_of({(0,): 0}), seed), random_inputs(2, seed)
    for live, numbers in replayed(history):
        if not numbers:
            continue
        prior = torch.randn(2, live.num_nodes, generator=torch.Generator().manual_seed(seed))
        one, other = (
            search_keys(model, inputs, live, width=width, prior=prior, engine=name)
            for name in ("native", "torch")
        )
        assert_same(one, other, np.arange(200))


def test_a_large_trie_is_checked_once_and_shared_by_what_stands_on_it():
    keys = np.unique(np.random.default_rng(0).integers(0, 3, (20, 3)), axis=0)
    start = LiveTrie.of(keys[1:], np.arange(1, len(keys)), (3, 3, 3))
    grown = start.changed(joined=keys[:1], numbers=np.array([0]), **NEVER)
    filtered = AllowList(grown, torch.ones(grown.num_nodes, dtype=torch.bool))
    for constraint in (start, grown, filtered):
        assert native_trie(constraint).first_edge is native_trie(start.base).first_edge


def test_grafts_that_do_not_fit_are_refused():
    base = LiveTrie.of(padded([(0, 1), (1, 2)]), np.arange(2), SIZES)
    grown = base.changed(joined=padded([(0, 2), (2,)]), numbers=np.array([2, 3]), **NEVER)
    large, graft = native_trie(base.base), native_trie(grown.graft)
    for wrong, points, text in (
        (graft, grown.num_points + 1, "grafts have others"),
        (native_trie(CsrTrie.from_keys(np.array([[99, 0]]), (100, 2))), 1, "node 99"),
        (native_trie(CsrTrie.from_keys(np.array([[0, 1]]), (300, 2))), 1, "among the children already"),
    ):
        with pytest.raises(ValueError, match=text):
            large.grafted(wrong, points, None)
