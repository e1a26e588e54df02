"""The compiled beam: what the torch beam answers, and what brute force answers, on every target."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.native import DecoderShape, NativeDecoder
from retrograd.native.build import TARGETS
from retrograd.search.beam import NORMALISE
from retrograd.search.packing import native_trie, shape_of, weights_of
from tests.catalogues import tables, teacher_forced
from tests.native.cases import Case, assert_same, cases, random_inputs, random_model, rows_of

ALL_TARGETS = [*TARGETS, "plain"]
examples = settings(max_examples=60)


@pytest.fixture(params=ALL_TARGETS)
def target(request, library):
    """Each processor target that this machine runs."""
    if request.param not in library.targets:
        pytest.skip(f"this processor or compiler has no {request.param}")
    return request.param


def plain_case(table, *, beam=5, normalise="level", prior=None, seed=0, batch=2, slots=3, **sizes):
    """A case with every choice made; `sizes` are those of the network."""
    model = random_model(table, seed, **sizes)
    inputs = random_inputs(model.shape.width, batch, slots, seed)
    options = {"width": beam, "normalise": normalise, "prior": prior}
    return Case(table, model, CsrTrie.from_table(table), inputs, options)


def catalogue(count, codes, levels, seed, *, shared=False):
    """Random keys of one length."""
    keys = np.unique(np.random.default_rng(seed).integers(0, codes, (count, levels)), axis=0)
    names = [str(row) for row in range(len(keys))]
    sizes = (codes,) * levels
    return DocidTable.from_keys(
        keys.tolist(), range(len(keys)), names, level_sizes=sizes, shared_vocabulary=shared
    )


@examples
@given(case=cases())
def test_it_answers_what_the_torch_beam_answers(library, case):
    for target in library.targets:
        assert_same(case, case.native_result(library, target), case.torch_result())


@examples
@given(tables(), st.integers(0, 999), st.sampled_from(NORMALISE), st.booleans())
def test_at_the_width_of_the_catalogue_it_equals_brute_force(library, table, seed, normalise, tied):
    case = plain_case(table, beam=99, normalise=normalise, seed=seed, tied=tied)
    expected = teacher_forced(case.model, case.inputs, table, normalise)
    for target in library.targets:
        result = case.native_result(library, target)
        for query in range(2):
            keys, scores, paths, steps = rows_of(result, query)
            assert sorted(keys) == list(range(len(table)))
            np.testing.assert_allclose(scores, expected[query][keys], atol=1e-4)
            assert (np.diff(scores) <= 0).all()
            np.testing.assert_allclose(steps.sum(axis=1), scores, atol=1e-4)
            for key, path in zip(keys, paths, strict=True):
                assert tuple(token for token in path if token >= 0) == table.key(key)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("normalise", NORMALISE)
def test_in_a_large_catalogue_with_wide_beams_it_answers_what_torch_answers(
    library, target, normalise, shared
):
    table = catalogue(3000, 300, 3, seed=1, shared=shared)
    sizes = {"width": 40, "heads": 2, "head_width": 20, "feed_forward": 70}
    case = plain_case(table, beam=70, normalise=normalise, seed=4, batch=6, slots=7, **sizes)
    assert_same(case, case.native_result(library, target), case.torch_result())


@examples
@given(case=cases(), threads=st.integers(1, 4), block_rows=st.integers(1, 12))
def test_threads_and_blocks_change_nothing(library, case, threads, block_rows):
    whole = case.native_result(library)
    split = case.native_result(library, threads=threads, block_rows=block_rows)
    for one, other in zip(vars(whole).values(), vars(split).values(), strict=True):
        assert one is other is None or torch.equal(one, other)


def test_searches_of_several_threads_do_not_disturb_each_other(library):
    table = catalogue(500, 16, 3, 6)
    case = plain_case(table, beam=12, batch=3)
    decoder = NativeDecoder(library, shape_of(case.model), weights_of(case.model))
    trie = native_trie(case.constraint)
    inputs = [random_inputs(12, 3, 4, seed) for seed in range(8)]

    def search(number):
        one = inputs[number % 8]
        return decoder.search(one["states"].numpy(), one["where"].numpy(), trie, width=12, threads=2)

    alone = [search(number) for number in range(8)]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(search, range(64)))
    for number, found in enumerate(together):
        for one, other in zip(found, alone[number % 8], strict=True):
            np.testing.assert_array_equal(one, other)


@examples
@given(tables(), st.integers(1, 14))
def test_equal_scores_come_in_the_order_of_the_keys(library, table, beam):
    case = plain_case(table, beam=beam, normalise="none")
    with torch.no_grad():
        case.model.output.zero_()
    for target in library.targets:
        result = case.native_result(library, target)
        paths = [table.key(key) for key in rows_of(result, 1)[0]]
        assert paths == sorted(paths)
        assert result.keys.tolist() == case.torch_result().keys[:, : result.keys.shape[1]].tolist()


def test_a_catalogue_of_one_key_is_answered_and_nothing_else(library, target):
    case = plain_case(DocidTable.from_keys([[2, 1]], [0], ["only"], level_sizes=(4, 4)), beam=9)
    assert case.native_result(library, target).keys.tolist() == [[0], [0]]


def test_a_batch_of_nothing_finds_nothing(library, target):
    result = plain_case(catalogue(9, 4, 2, 0), batch=0).native_result(library, target)
    assert result.keys.shape == (0, 0)


def test_keys_of_one_word_and_of_many_are_searched(library, target):
    for table in (catalogue(400, 1000, 1, 2), catalogue(60, 3, 12, 3)):
        case = plain_case(table, beam=8, seed=5)
        assert_same(case, case.native_result(library, target), case.torch_result())


def test_what_does_not_fit_is_refused(library):
    case = plain_case(catalogue(20, 4, 3, 0))
    shape, weights = shape_of(case.model), weights_of(case.model)
    decoder = NativeDecoder(library, shape, weights)
    trie = native_trie(case.constraint)
    states, where = case.inputs["states"].numpy(), case.inputs["where"].numpy()
    for wrong, error, text in (
        ((states[..., 1:], where), ValueError, "memory has shape"),
        ((states.astype(np.float64), where), TypeError, "memory must be"),
        ((states, where[:1]), ValueError, "where has shape"),
        ((states, where.astype(np.uint8)), TypeError, "where must be"),
    ):
        with pytest.raises(error, match=text):
            decoder.search(*wrong, trie, width=2)
    for options, text in (
        ({"width": 0}, "width=0"),
        ({"width": 2, "threads": 0}, "threads=0"),
        ({"width": 2, "normalise": "softmax"}, "level, children, none"),
        ({"width": 2, "prior": np.zeros((2, 3), np.float32)}, "prior has shape"),
    ):
        with pytest.raises(ValueError, match=text):
            decoder.search(states, where, trie, **options)
    for other, text in ((catalogue(20, 4, 4, 0), "4 levels"), (catalogue(50, 9, 2, 0), "has token")):
        with pytest.raises(ValueError, match=text):
            decoder.search(states, where, native_trie(CsrTrie.from_table(other)), width=2)
    with pytest.raises(ValueError, match="this processor runs"):
        NativeDecoder(library, shape, weights, target="abacus")


def test_weights_of_another_shape_are_refused(library):
    case = plain_case(catalogue(20, 4, 3, 0))
    shape, weights = shape_of(case.model), weights_of(case.model)
    for name in ("begin", "output", "final_norm", "position_bias"):
        with pytest.raises(ValueError, match=f"{name} has shape"):
            NativeDecoder(library, shape, weights._replace(**{name: getattr(weights, name)[1:]}))
    with pytest.raises(ValueError, match="not in a table"):
        NativeDecoder(library, shape, weights._replace(embedding=weights.embedding[1:]))
    for name in shape.layer_shapes():
        broken = weights.layers[0] | {name: weights.layers[0][name][1:]}
        with pytest.raises(ValueError, match=f"{name} has shape"):
            NativeDecoder(library, shape, weights._replace(layers=(broken,)))
        missing = {other: array for other, array in broken.items() if other != name}
        with pytest.raises(TypeError, match=name):
            NativeDecoder(library, shape, weights._replace(layers=(missing,)))


def test_a_shape_that_contradicts_itself_is_refused():
    sizes = {"width": 4, "heads": 1, "head_width": 4, "feed_forward": 4, "gated": False}
    rest = {"epsilon": 1e-6, "output_scale": 1.0}
    for levels, rows in (((), ()), ((3,), ()), ((3, 0), (0, 3))):
        with pytest.raises(ValueError):
            DecoderShape(**sizes, **rest, level_sizes=levels, level_rows=rows)
