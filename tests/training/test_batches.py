"""Batches: a function of (seed, stage, number), fair to weights and rows, blind to padding."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from retrograd.errors import InputError
from retrograd.training.batches import BatchPlan, PreparedSource, answers_sharing_a_text, concatenate


def collate(prepared: np.ndarray, rows: np.ndarray) -> dict[str, torch.Tensor]:
    return {"row": torch.from_numpy(prepared[rows])}


def source(size: int, weight: float = 1.0, **lists: np.ndarray) -> PreparedSource:
    return PreparedSource(prepared=np.arange(size), documents=np.arange(size) * 2, weight=weight, **lists)


def plan(*sources: PreparedSource, seed: int = 0, stage_index: int = 0, size: int = 8, **more) -> BatchPlan:
    return BatchPlan(sources, collate, size, 40, seed, stage_index, **more)


@given(st.permutations(range(12)), st.integers(0, 2**63))
def test_batches_do_not_depend_on_what_was_asked_before(order, seed):
    straight, shuffled = (plan(source(5), source(9, 2.0), seed=seed) for _ in range(2))
    in_order = [straight.batch(number) for number in range(12)]
    for number in order:
        batch, torch_seed = shuffled.batch(number)
        assert torch.equal(batch.inputs["row"], in_order[number][0].inputs["row"])
        assert torch_seed == in_order[number][1]


def test_seed_and_stage_and_number_each_give_another_batch():
    first = plan(source(1000)).batch(0)
    others = [
        plan(source(1000), seed=1).batch(0),
        plan(source(1000), stage_index=1).batch(0),
        plan(source(1000)).batch(1),
    ]
    for batch, torch_seed in others:
        assert not torch.equal(batch.documents, first[0].documents)
        assert torch_seed != first[1]


@given(st.integers(1, 30), st.integers(1, 17))
def test_no_row_is_seen_twice_before_all_are_seen_once(size, batch_size):
    rows = np.concatenate(
        [part for n in range(40) for _, part in plan(source(size), size=batch_size).rows(n)]
    )
    whole = len(rows) // size * size
    assert all(len(set(epoch)) == size for epoch in rows[:whole].reshape(-1, size))
    assert len(set(rows[whole:])) == len(rows) - whole


def test_sources_are_drawn_by_weight_and_batches_are_full():
    drawn = np.zeros(2)
    mixed = plan(source(50, 1.0), source(3, 3.0), size=64)
    for number in range(40):
        parts = mixed.rows(number)
        assert sum(len(rows) for _, rows in parts) == 64
        for at, rows in parts:
            drawn[at] += len(rows)
    assert drawn[1] / drawn.sum() == pytest.approx(3 / 4, abs=0.03)


def test_rows_of_all_lists_belong_together():
    lists = {
        "negatives": np.arange(30).reshape(10, 3),
        "relevant": np.arange(20).reshape(10, 2),
        "lists": np.arange(40).reshape(10, 4),
        "list_scores": np.arange(40, dtype=np.float32).reshape(10, 4) / 2,
    }
    batch, _ = plan(
        source(10, **lists),
        source(4),
        keys_of=lambda rows, generator: np.stack([rows, rows], axis=1),
        document_inputs=lambda rows: {"row": rows},
    ).batch(3)
    rows = batch.inputs["row"]
    assert torch.equal(batch.documents, rows * 2)
    assert torch.equal(batch.keys, batch.documents.unsqueeze(1).expand(-1, 2))
    with_lists = (batch.negatives >= 0).all(dim=1)
    assert torch.equal(batch.negatives[with_lists][:, 0], rows[with_lists] * 3)
    assert torch.equal(batch.relevant[with_lists][:, 0], rows[with_lists] * 2)
    assert (batch.relevant[~with_lists] == -1).all()
    assert torch.equal(batch.lists[with_lists][:, 0], rows[with_lists] * 4)
    assert torch.equal(batch.list_scores[with_lists][:, 1], (rows[with_lists] * 4 + 1) / 2)
    assert (batch.lists[~with_lists] == -1).all()
    assert (batch.list_scores[~with_lists] == 0).all()


def test_concatenation_pads_with_masked_zeros():
    short = {"ids": torch.ones(1, 2, dtype=torch.int64), "where": torch.ones(1, 2, dtype=torch.bool)}
    long = {"ids": torch.ones(2, 3, dtype=torch.int64), "where": torch.ones(2, 3, dtype=torch.bool)}
    joined = concatenate([short, long])
    assert joined["ids"].tolist() == [[1, 1, 0], [1, 1, 1], [1, 1, 1]]
    assert joined["where"].tolist() == (joined["ids"] == 1).tolist()


def test_inputs_of_different_kinds_are_refused():
    with pytest.raises(InputError, match="different kinds"):
        concatenate([{"a": torch.ones(1)}, {"b": torch.ones(1)}])


def test_a_stage_without_examples_is_refused():
    with pytest.raises(InputError, match="no examples"):
        plan(source(0))


def test_texts_with_one_answer_each_need_no_list():
    assert answers_sharing_a_text(["a", "b", "a"], np.array([1, 2, 1])) is None
    assert answers_sharing_a_text([], np.array([], np.int64)) is None


def sequences(rows: int, width: int, **more) -> PreparedSource:
    """Rows with a target at every position but the last."""
    targets = np.arange(rows * width).reshape(rows, width) % 7
    targets[:, -1] = -1
    return PreparedSource(prepared=np.arange(rows), documents=targets, **more)


def test_targets_per_position_come_with_keys_and_padding_with_none():
    batch, _ = plan(
        sequences(5, 3), sequences(4, 6), keys_of=lambda rows, _: np.stack([rows, rows + 1], axis=1)
    ).batch(0)
    assert batch.documents.shape == (8, 6)
    where = batch.documents >= 0
    assert (~where).any()
    assert torch.equal(batch.keys[..., 0], batch.documents)
    assert torch.equal(batch.keys[..., 1][where], batch.documents[where] + 1)
    assert (batch.keys[~where] == -1).all()


def test_frequencies_count_the_targets_of_all_sources():
    one, two = sequences(3, 4), sequences(2, 6)
    targets = np.concatenate([one.documents.ravel(), two.documents.ravel()])
    found = plan(one, two, num_documents=9).batch(0)[0].frequencies
    assert found.tolist() == [(targets == item).sum() for item in range(9)]
    assert plan(source(5)).batch(0)[0].frequencies is None
