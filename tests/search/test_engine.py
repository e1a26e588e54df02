"""Which loop runs a beam is a choice with a reason, and changes no answer."""

import logging
import types

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import AllowList, CsrTrie, Intersection, TokenSet
from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.native import Library, find
from retrograd.search import engine as module
from retrograd.search.beam import beam_search
from retrograd.search.engine import ENGINES, engine_of, search_keys
from retrograd.search.generative import Beam, beam_searcher
from retrograd.search.packing import native_decoder
from tests.catalogues import CODES, DEPTH, random_inputs, random_model, tables

compiled = pytest.mark.skipif(isinstance(find(), str), reason=f"no compiled core: {find()}")
TABLE = DocidTable.from_keys([[0, 1], [1, 0], [1, 2]], [0, 1, 2], ["a", "b", "c"], level_sizes=(4, 4))


@settings(max_examples=40)
@given(tables(), st.integers(0, 999), st.integers(1, 20), st.sampled_from(ENGINES), st.booleans())
def test_every_engine_gives_the_same_keys(table, seed, width, engine, filtered):
    if engine == "native" and isinstance(find(), str):
        return
    trie, model, inputs = CsrTrie.from_table(table), random_model(table, seed), random_inputs(3, seed)
    constraint = AllowList.from_documents(trie, table, [0]) if filtered else trie
    expected = beam_search(model, inputs, constraint, width=99)
    result = search_keys(model, inputs, constraint, width=max(width, 20), engine=engine)
    for query in range(3):
        real, wanted = result.keys[query] >= 0, expected.keys[query] >= 0
        scores, best = result.scores[query][real], expected.scores[query][wanted]
        assert set(result.keys[query][real].tolist()) == set(expected.keys[query][wanted].tolist())
        torch.testing.assert_close(scores, best, atol=1e-4, rtol=1e-4)


@compiled
def test_native_runs_where_it_can_and_says_so():
    model, trie = random_model(TABLE, 0), CsrTrie.from_table(TABLE)
    assert engine_of("auto", model, trie).startswith("native (")
    assert engine_of("torch", model, trie) == "torch"
    assert beam_searcher(Beam(), model, TABLE, trie).engine.startswith("native (")
    assert beam_searcher(Beam(engine="torch"), model, TABLE, trie).engine == "torch"


@compiled
def test_where_native_cannot_run_auto_is_torch_and_native_is_an_error_with_the_reason():
    model, trie = random_model(TABLE, 0), CsrTrie.from_table(TABLE)
    mixed = Intersection(trie, TokenSet.of([range(CODES)] * DEPTH, any_length=True))
    other = types.SimpleNamespace(embedding=model.embedding)
    for decoder, constraint, reason in (
        (model, mixed, "Intersection"),
        (other, trie, "SimpleNamespace"),
        (random_model(TABLE, 0).double(), trie, "float64"),
        (model, CsrTrie.from_table(TABLE, "meta"), "on meta"),
    ):
        assert engine_of("auto", decoder, constraint) == "torch"
        with pytest.raises(InputError, match=reason):
            engine_of("native", decoder, constraint)


def test_without_a_library_auto_says_so_once_and_native_is_an_error(monkeypatch, caplog):
    monkeypatch.setattr(module, "find", lambda: "there is no library")
    module._announce.cache_clear()
    model, trie = random_model(TABLE, 0), CsrTrie.from_table(TABLE)
    with caplog.at_level(logging.WARNING):
        assert [engine_of("auto", model, trie) for _ in range(3)] == ["torch"] * 3
    assert [record.message for record in caplog.records] == ["beam search runs in torch: there is no library"]
    with pytest.raises(InputError, match="there is no library"):
        search_keys(model, random_inputs(1, 0), trie, width=2, engine="native")
    module._announce.cache_clear()


@compiled
def test_the_target_can_be_named(monkeypatch):
    model, trie = random_model(TABLE, 0), CsrTrie.from_table(TABLE)
    library = find()
    assert isinstance(library, Library)
    for target in library.targets:
        monkeypatch.setenv("RETROGRAD_NATIVE_TARGET", target)
        assert engine_of("native", model, trie) == f"native ({target})"
        assert native_decoder(model).target == target
    monkeypatch.setenv("RETROGRAD_NATIVE_TARGET", "abacus")
    with pytest.raises(InputError, match="abacus"):
        engine_of("auto", model, trie)


@compiled
def test_the_precision_is_named_and_reaches_the_packed_weights():
    model, trie = random_model(TABLE, 0), CsrTrie.from_table(TABLE)
    for precision in ("bf16", "int8"):
        searcher = beam_searcher(Beam(precision=precision), model, TABLE, trie)
        assert searcher.engine.endswith(f", {precision})")
        assert native_decoder(model, precision).precision == precision
        assert native_decoder(model, precision) is native_decoder(model, precision)
    exact, rounded = (
        search_keys(model, random_inputs(1, 0), trie, width=3, engine="native", precision=name)
        for name in ("fp32", "int8")
    )
    assert not torch.equal(exact.scores.sort().values, rounded.scores.sort().values)


def test_torch_says_once_that_it_ignores_the_precision(caplog):
    module._announce.cache_clear()
    with caplog.at_level(logging.WARNING):
        assert engine_of("torch", None, None, "int8") == "torch"
        assert engine_of("torch", None, None, "int8") == "torch"
    assert [record.message for record in caplog.records] == [
        "precision='int8' is ignored: only the compiled beam keeps weights in fewer bits"
    ]
    module._announce.cache_clear()


def test_an_unknown_precision_is_refused():
    with pytest.raises(ValueError, match="fp32, bf16, int8"):
        Beam(precision="fp4")


def test_an_unknown_engine_is_refused():
    with pytest.raises(ValueError, match="auto, torch, native"):
        Beam(engine="steam")
