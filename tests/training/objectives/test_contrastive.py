"""The contrastive objective: no document is its own negative, hard negatives count, right answers do not."""

from math import exp, log

import pytest
import torch

from retrograd.errors import InputError
from retrograd.training.batches import Batch
from retrograd.training.objectives import InBatchContrastive

VECTORS = torch.eye(6)


class Lookup:
    """Query i and document i are both axis i."""

    scale = torch.tensor(1.0)

    def embed_queries(self, inputs):
        return VECTORS[inputs["rows"]]

    def embed_documents(self, inputs):
        return VECTORS[inputs["rows"]]


def loss(documents, negatives=None, relevant=None, queries=None) -> float:
    rows = torch.tensor(documents)
    batch = Batch(
        {"rows": rows if queries is None else torch.tensor(queries)},
        rows,
        negatives=None if negatives is None else torch.tensor(negatives),
        relevant=None if relevant is None else torch.tensor(relevant),
        document_inputs=lambda wanted: {"rows": wanted},
    )
    return InBatchContrastive()(Lookup(), batch)["contrastive"].item()


def nats(num_negatives: int) -> float:
    """Loss of a positive at score 1 among negatives at score 0."""
    return log(1 + num_negatives * exp(-1.0))


def test_other_positives_of_the_batch_are_negatives():
    assert loss([0, 3, 5]) == pytest.approx(nats(2))


def test_a_document_shared_by_several_queries_counts_once_and_never_against_them():
    assert loss([0, 0, 3]) == pytest.approx(nats(1))


def test_hard_negatives_are_candidates_of_every_query():
    assert loss([0, 3], negatives=[[4, -1], [1, 0]]) == pytest.approx(nats(3))


def test_right_answers_are_no_negatives_of_their_query():
    assert loss([0, 3], negatives=[[4], [5]], relevant=[[0, 4], [3, 0]]) == pytest.approx(nats(2))
    assert loss([0, 3], relevant=[[0, 3], [3, -1]]) == pytest.approx((nats(0) + nats(1)) / 2)


def test_rows_that_are_not_in_the_batch_hide_nobody():
    assert loss([1, 3], relevant=[[0, 5], [2, -1]]) == pytest.approx(nats(1))


def test_a_model_without_document_inputs_is_told_so():
    batch = Batch({"rows": torch.arange(2)}, torch.arange(2))
    with pytest.raises(InputError, match="embeds documents"):
        InBatchContrastive()(Lookup(), batch)
