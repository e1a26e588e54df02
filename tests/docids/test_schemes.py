"""What every scheme promises; a scheme is tested by standing in `SCHEMES_UNDER_TEST`."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from retrograd.artifacts import load_table, save_table
from retrograd.docid_table import DocidTable
from retrograd.docids import (
    SCHEMES,
    Atomic,
    DocidInputs,
    KMeansTree,
    LearnedCodes,
    Quantised,
    RandomStrings,
    TitleText,
)
from retrograd.docids.report import describe_table
from retrograd.errors import ArtifactError, InputError
from retrograd.recipe import from_json, to_json
from retrograd.types import Corpus, Document

WORDS = ["red", "green", "blue", "river", "mountain", "city", "music", "film", "東京", "café", "naïve"]


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """Stands for a text encoder; the vectors come from the test."""


TREE = KMeansTree(encoder=Encoder(), branching=3, leaf_size=4)
CODES = Quantised(encoder=Encoder(), levels=3, codes=4)
SCHEMES_UNDER_TEST = (
    Atomic(),
    RandomStrings(),
    RandomStrings(alphabet=3, length=5),
    TREE,
    KMeansTree(encoder=Encoder(), branching=2, leaf_size=1, of="pseudo_queries"),
    KMeansTree(encoder=Encoder(), branching=3, leaf_size=4, position_aware=False),
    CODES,
    Quantised(encoder=Encoder(), quantizer="residual", levels=3, codes=4),
    Quantised(encoder=Encoder(), levels=2, codes=4, collisions="expand"),
    Quantised(encoder=Encoder(), levels=2, codes=4, collisions="reassign"),
    Quantised(encoder=Encoder(), quantizer="residual", levels=1, codes=4, collisions="reassign"),
    LearnedCodes(encoder=Encoder(), codes=(4, 3)),
    LearnedCodes(encoder=Encoder(), codes=(5,), moves=False, of="pseudo_queries"),
    TitleText(vocab_size=400, max_tokens=8),
    TitleText(vocab_size=400, max_tokens=4, collisions="suffix"),
)
WITH_VECTORS = tuple(scheme for scheme in SCHEMES_UNDER_TEST if hasattr(scheme, "encoder"))

every_scheme = pytest.mark.parametrize("scheme", SCHEMES_UNDER_TEST, ids=repr)


def document(number):
    """Always the same for the same number; one title in five is empty and titles repeat."""
    words = np.random.default_rng([7, number]).choice(WORDS, size=3)
    return Document(f"d{number}", text=" ".join(words), title="" if number % 5 == 0 else " ".join(words[:1]))


def vector(number):
    values = np.random.default_rng([8, number]).normal(size=6)
    return (values / np.linalg.norm(values)).astype(np.float32)


def inputs(numbers, *, seed=0, equal=False):
    """A corpus and its vectors; `equal` gives every document the same one."""
    matrix = np.stack([vector(0 if equal else number) for number in numbers])
    return DocidInputs(Corpus(document(number) for number in numbers), seed, lambda encoder, of: matrix)


def bytes_of(table: DocidTable):
    arrays = (table.tokens, table.offsets, table.pairs, *(table.state[name] for name in sorted(table.state)))
    plain = (table.document_ids, table.level_sizes, table.shared_vocabulary, table.token_names)
    return [array.tobytes() for array in arrays], sorted(table.state), plain


def check_sound(table, numbers):
    """Every document has exactly one key, every key a document, all within the vocabulary."""
    assert table.document_ids == tuple(f"d{number}" for number in numbers)
    assert sorted(table.pairs[:, 1].tolist()) == list(range(len(numbers)))
    assert set(table.pairs[:, 0].tolist()) == set(range(len(table)))
    assert np.array_equal(table.pairs, table.pairs[np.lexsort(table.pairs.T[::-1])])
    assert table.tokens.dtype == np.int32
    assert table.offsets.dtype == table.pairs.dtype == np.int64
    assert all(type(array) is np.ndarray and array.dtype != object for array in table.state.values())
    if table.token_names:
        assert len(table.token_names) == table.level_sizes[0]


def check_extends(old: DocidTable, table: DocidTable):
    """Nothing of `old` moved."""
    assert table.tokens[: len(old.tokens)].tobytes() == old.tokens.tobytes()
    assert table.offsets[: len(old.offsets)].tobytes() == old.offsets.tobytes()
    was_there = table.pairs[:, 1] < len(old.document_ids)
    assert np.array_equal(table.pairs[was_there], old.pairs)
    assert table.document_ids[: len(old.document_ids)] == old.document_ids
    assert all(new >= was for new, was in zip(table.level_sizes, old.level_sizes, strict=False))
    assert table.depth >= old.depth
    assert table.token_names == old.token_names


def test_every_scheme_is_in_the_battery():
    assert {type(scheme) for scheme in SCHEMES_UNDER_TEST} == set(SCHEMES)


@every_scheme
@settings(max_examples=12)
@given(count=st.integers(1, 60), seed=st.integers(0, 9))
def test_every_document_gets_a_sound_key(scheme, count, seed):
    table = scheme.assign(inputs(range(count), seed=seed))
    check_sound(table, range(count))
    report = describe_table(table)
    assert report.keyless == 0
    assert report.keys == len(table)


@every_scheme
@settings(max_examples=6)
@given(count=st.integers(1, 40), seed=st.integers(0, 9))
def test_same_seed_same_bytes(scheme, count, seed):
    one, two = (scheme.assign(inputs(range(count), seed=seed)) for _ in range(2))
    assert bytes_of(one) == bytes_of(two)
    added = range(count, count + 5)
    assert bytes_of(scheme.insert(one, inputs(added))) == bytes_of(scheme.insert(two, inputs(added)))


@every_scheme
@settings(max_examples=12)
@given(
    sizes=st.lists(st.integers(1, 25), min_size=2, max_size=4), seed=st.integers(0, 9), equal=st.booleans()
)
def test_inserting_leaves_the_old_untouched(scheme, sizes, seed, equal):
    ends = np.cumsum(sizes).tolist()
    table = scheme.assign(inputs(range(ends[0]), seed=seed, equal=equal))
    for start, end in pairwise(ends):
        old = bytes_of(table)
        longer = scheme.insert(table, inputs(range(start, end), seed=seed, equal=equal))
        assert bytes_of(table) == old, "the table given was changed in place"
        check_extends(table, longer)
        check_sound(longer, range(end))
        table = longer


@every_scheme
@pytest.mark.parametrize("count", [1, 2, 50])
def test_equal_vectors_and_single_documents_work(scheme, count):
    check_sound(scheme.assign(inputs(range(count), equal=True)), range(count))


@every_scheme
def test_only_expanding_schemes_let_documents_share_a_key(scheme):
    table = scheme.assign(inputs(range(60), equal=True))
    if getattr(scheme, "collisions", "") == "expand":
        assert len(table) < 60
    else:
        assert len(table) == 60


@every_scheme
def test_keys_stay_short(scheme):
    assert (
        max(scheme.assign(inputs(range(60))).offsets[1:] - scheme.assign(inputs(range(60))).offsets[:-1])
        <= 12
    )


@every_scheme
def test_a_document_that_is_there_already_is_refused(scheme):
    table = scheme.assign(inputs(range(10)))
    with pytest.raises(InputError, match="'d3' has a docid already"):
        scheme.insert(table, inputs([11, 3]))


@every_scheme
def test_a_saved_table_takes_new_documents_like_the_original(scheme, tmp_path):
    table = scheme.assign(inputs(range(20)))
    save_table(tmp_path / "docids.safetensors", table)
    again = load_table(tmp_path / "docids.safetensors")
    assert bytes_of(again) == bytes_of(table)
    added = inputs(range(20, 30))
    assert bytes_of(scheme.insert(again, added)) == bytes_of(scheme.insert(table, added))


@every_scheme
def test_a_scheme_survives_json(scheme):
    kinds = {cls.__name__: cls for cls in (*SCHEMES, Encoder)}
    assert from_json(to_json(scheme), kinds) == scheme


@pytest.mark.parametrize("scheme", WITH_VECTORS, ids=repr)
def test_the_vectors_asked_for_are_those_of_the_config(scheme):
    asked = []
    given_inputs = inputs(range(9))

    def vectors(encoder, of):
        asked.append((encoder, of))
        return given_inputs.vectors(encoder, of)

    scheme.assign(DocidInputs(given_inputs.corpus, 0, vectors))
    assert asked == [(scheme.encoder, scheme.of)]


@pytest.mark.parametrize("scheme", WITH_VECTORS, ids=repr)
@pytest.mark.parametrize(
    ("matrix", "reason"),
    [(np.ones((4, 6)), "9 documents came with"), (np.full((9, 6), np.nan), "not finite")],
)
def test_bad_vectors_are_refused(scheme, matrix, reason):
    with pytest.raises(InputError, match=reason):
        scheme.assign(DocidInputs(inputs(range(9)).corpus, 0, lambda encoder, of: matrix))


@pytest.mark.parametrize("scheme", WITH_VECTORS, ids=repr)
def test_vectors_of_another_width_cannot_be_inserted(scheme):
    table = scheme.assign(inputs(range(9)))
    with pytest.raises(InputError, match="use the encoder"):
        scheme.insert(table, DocidInputs(inputs([9]).corpus, 0, lambda encoder, of: np.ones((1, 5))))


@pytest.mark.parametrize("scheme", [*WITH_VECTORS, TitleText()], ids=repr)
def test_a_table_of_another_scheme_is_refused(scheme):
    table = Atomic().assign(inputs(range(9)))
    with pytest.raises(ArtifactError, match=r"fit the docids again"):
        scheme.insert(table, inputs([9]))


@pytest.mark.parametrize(
    ("scheme", "options"),
    [
        (KMeansTree, {"encoder": Encoder(), "of": "titles"}),
        (KMeansTree, {"encoder": Encoder(), "branching": 1}),
        (KMeansTree, {"encoder": Encoder(), "leaf_size": 0}),
        (Quantised, {"encoder": Encoder(), "of": "titles"}),
        (Quantised, {"encoder": Encoder(), "quantizer": "scalar"}),
        (Quantised, {"encoder": Encoder(), "collisions": "ignore"}),
        (Quantised, {"encoder": Encoder(), "levels": 0}),
        (RandomStrings, {"alphabet": 1}),
        (RandomStrings, {"length": 100}),
        (TitleText, {"collisions": "reassign"}),
        (TitleText, {"vocab_size": 100}),
        (TitleText, {"max_tokens": 1}),
    ],
)
def test_a_config_checks_itself(scheme, options):
    with pytest.raises(ValueError):
        scheme(**options)
