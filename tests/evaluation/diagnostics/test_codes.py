"""Code health, drift and capacity on tables whose figures can be worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrograd.docid_table import DocidTable
from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.codes import (
    VectorSpace,
    code_capacity,
    code_health,
    drift,
    first_keys,
    health_of_codes,
)
from retrograd.evaluation.significance import Resampling


def table(keys, ids="abcdef", sizes=None):
    depth = max(map(len, keys))
    return DocidTable.from_keys(
        keys, range(len(keys)), list(ids[: len(keys)]), level_sizes=sizes or (9,) * depth
    )


def every_pair(codes):
    """All keys of two levels."""
    return np.array([[one, two] for one in range(codes) for two in range(codes)])


@pytest.mark.parametrize("codes", [2, 5, 16])
def test_a_uniform_code_is_worth_all_its_codes(codes):
    found = health_of_codes(every_pair(codes), (codes, codes))
    assert [level.perplexity for level in found.report.levels] == pytest.approx([codes, codes])
    assert found.perplexity_shares == pytest.approx((1, 1))
    assert found.dead_shares == (0, 0)
    assert (found.items_per_leaf, found.collision_rate, found.alarms()) == (1, 0, ())


def test_dead_codes_and_shared_leaves_are_counted():
    found = health_of_codes(np.array([[0, 0], [0, 0], [0, 0], [1, 2]]), (4, 3))
    assert found.dead_shares == (0.5, pytest.approx(1 / 3))
    assert found.items_per_leaf == 2
    assert found.largest_leaf == 3
    assert found.collision_rate == 0.75
    assert [usage.tolist() for usage in found.usage] == [[3, 1, 0, 0], [3, 0, 1]]


def test_a_collapsed_codebook_is_said_in_words():
    rng = np.random.default_rng(0)
    codes = np.stack(
        [np.where(rng.random(2000) < 0.97, 7, rng.integers(0, 256, 2000)), np.arange(2000) % 256], 1
    )
    alarms = health_of_codes(codes, (256, 256)).alarms()
    assert any("codebook collapse: level 1 has 256 codes but is worth" in alarm for alarm in alarms)
    assert not any("level 2" in alarm for alarm in alarms)


def test_every_document_on_one_code_raises_the_alarm():
    alarms = health_of_codes(np.zeros((500, 3), int), (64, 64, 64)).alarms()
    assert sum("codebook collapse" in alarm for alarm in alarms) == 3


def test_a_tie_breaker_hides_no_collision_of_the_codes():
    keys = [[0, 0, 0], [0, 0, 1], [0, 0, 2], [1, 1, 0]]
    assert code_health(table(keys)).collision_rate == 0
    found = code_health(table(keys), code_levels=2)
    assert found.collision_rate == 0.75
    assert "75% of the documents have the codes of another document" in found.alarms()


def test_drift_is_a_share_per_level():
    before = table([[0, 0], [1, 1], [2, 2], [3, 3]])
    after = table([[0, 0], [1, 2], [4, 2], [3, 3]])
    found = drift(before, after)
    assert found.documents == 4
    assert found.changed == (0.25, 0.25)
    assert found.changed_key == 0.5
    assert drift(before, before).changed_key == 0


def test_drift_follows_ids_not_rows_and_ignores_who_came_or_left():
    before = table([[0], [1], [2]], "abc", (9,))
    after = DocidTable.from_keys([[1], [2], [5]], range(3), ["b", "c", "z"], level_sizes=(9,))
    assert drift(before, after) == type(drift(before, after))(2, (0.0,), 0.0)


def test_a_key_that_grew_a_level_has_changed_there():
    assert drift(table([[0], [1]]), table([[0, 3], [1, 3]])).changed == (0, 1)


def test_tables_of_two_corpora_cannot_drift():
    with pytest.raises(InputError, match="no document has a key in both"):
        drift(table([[0]], "a"), table([[0]], "b"))


def test_the_first_of_several_keys_counts_and_the_keyless_have_none():
    several = DocidTable.from_keys([[2], [1]], [0, 0], ["a", "b"], level_sizes=(3,))
    assert first_keys(several).tolist() == [[1], [-1]]


def space(seed, queries=20, documents=30, width=6):
    rng = np.random.default_rng(seed)
    points = rng.standard_normal((documents, width)).astype(np.float32)
    asked = points[:queries] + 0.8 * rng.standard_normal((queries, width))
    return VectorSpace([f"q{n}" for n in range(queries)], asked, [f"d{n}" for n in range(documents)], points)


QRELS = {f"q{n}": {f"d{n}": 1} for n in range(20)}
FEW = Resampling(draws=200)


@given(st.integers(0, 2**32), st.floats(0.1, 10))
def test_exact_codes_rank_as_the_vectors_do_whatever_their_length(seed, length):
    given_space = space(seed)
    found = code_capacity(given_space, length * given_space.documents, QRELS, resampling=FEW)
    assert found.by_codes == found.by_vectors
    assert found.difference.mean == 0


def test_codes_that_tell_nothing_apart_rank_by_row():
    given_space = space(0)
    found = code_capacity(
        given_space, np.ones_like(given_space.documents), QRELS, measure="RR@10", resampling=FEW
    )
    # all tie, so document n stands at rank n + 1 of every list
    assert found.by_codes.mean == pytest.approx(sum(1 / rank for rank in range(1, 11)) / 20)
    assert found.by_vectors.mean > found.by_codes.mean
    assert found.difference.high < 0


def test_capacity_by_hand_for_two_documents():
    two = VectorSpace(["q"], np.array([[1.0, 0.0]]), ["a", "b"], np.array([[1.0, 0.0], [0.0, 1.0]]))
    swapped = two.documents[::-1]
    found = code_capacity(two, swapped, {"q": {"a": 1}}, measure="RR@10", resampling=FEW)
    assert (found.by_vectors.mean, found.by_codes.mean, found.difference.mean) == (1, 0.5, -0.5)


def test_reconstructions_of_another_shape_are_refused():
    with pytest.raises(InputError, match="do not stand for"):
        code_capacity(space(0), np.ones((3, 6)), QRELS)
