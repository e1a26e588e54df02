"""Training of codes: it helps queries it has not seen, keeps what was best, and is the same each time."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from retrograd.errors import InputError
from retrograd.quantizers.trainable import TrainableQuantizer
from retrograd.training.quantizer import QuantizerTraining, train_quantizer

N, Q, D = 400, 120, 16


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


HIDDEN = drawn(6, D, seed=4)
VECTORS = nn.functional.normalize(drawn(N, 6) @ HIDDEN + 0.3 * drawn(N, D, seed=1), dim=-1)
ROWS = torch.randint(N, (Q, 1), generator=torch.Generator().manual_seed(5))
QUERIES = nn.functional.normalize(VECTORS[ROWS[:, 0]] + 0.1 * drawn(Q, D, seed=6), dim=-1)
SHORT = QuantizerTraining(steps=40, batch_size=32, learning_rate=2e-3, temperature=0.1, looks=4)


def trained(relevant: torch.Tensor | None = ROWS, settings: QuantizerTraining = SHORT, **options):
    start = {key: options.pop(key) for key in ("kind", "assignment") if key in options}
    quantizer = TrainableQuantizer.start(VECTORS, 4, 16, **start)
    return quantizer, train_quantizer(quantizer, VECTORS, QUERIES, relevant, settings=settings, **options)


def overlap(quantizer: TrainableQuantizer, codes: torch.Tensor, queries: torch.Tensor) -> float:
    exact = (queries @ VECTORS.T).topk(10).indices
    found = quantizer.scores(queries, codes).topk(10).indices
    return float((exact.unsqueeze(-1) == found.unsqueeze(-2)).any(-1).float().mean())


@pytest.mark.parametrize("kind", ["product", "residual"])
def test_new_queries_find_more_of_what_exact_scores_find(kind):
    new = nn.functional.normalize(VECTORS[:100] + 0.1 * drawn(100, D, seed=9), dim=-1)
    start = TrainableQuantizer.start(VECTORS, 4, 16, kind=kind)
    before = overlap(start, start.assign(VECTORS), new)
    quantizer, told = trained(None, replace(SHORT, steps=80), kind=kind)
    assert told.measure == "P@10"
    assert told.after > told.before
    assert overlap(quantizer, told.codes, new) > before + 0.01


@pytest.mark.parametrize("assignment", ["fixed", "softmax", "straight_through", "gumbel_topk"])
def test_every_assignment_learns_and_codes_are_those_that_are_served(assignment):
    quantizer, told = trained(assignment=assignment)
    assert told.measure == "nDCG@10"
    assert told.after >= told.before
    assert torch.equal(told.codes, quantizer.assign(VECTORS))
    rotation = quantizer.rotation()
    torch.testing.assert_close(rotation @ rotation.T, torch.eye(D), atol=1e-5, rtol=0)


def test_the_same_seed_gives_the_same_weights_and_leaves_the_random_state_alone():
    torch.manual_seed(0)
    one, first = trained(seed=3)
    state = torch.get_rng_state()
    other, second = trained(seed=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert first.after == second.after
    for weight, same in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(weight, same)


def test_labels_and_a_map_of_the_queries_are_learnt():
    turn = torch.linalg.qr(drawn(D, D, seed=8))[0]
    query_map = nn.Linear(D, D, bias=False)
    nn.init.eye_(query_map.weight)
    quantizer = TrainableQuantizer.start(VECTORS, 4, 16)
    settings = QuantizerTraining(steps=150, learning_rate=1e-2, distil=0.0, labels=1.0, looks=5)
    told = train_quantizer(
        quantizer, VECTORS, QUERIES @ turn.T, ROWS, query_map=query_map, settings=settings, seed=1
    )
    assert told.before < 0.2
    assert told.after > told.before + 0.2


def test_frozen_codes_stay_and_only_the_map_learns():
    quantizer, query_map = TrainableQuantizer.start(VECTORS, 2, 8).requires_grad_(False), nn.Linear(D, D)
    before = {name: tensor.clone() for name, tensor in quantizer.state_dict().items()}
    train_quantizer(quantizer, VECTORS, QUERIES, ROWS, query_map=query_map, settings=SHORT)
    assert all(torch.equal(tensor, before[name]) for name, tensor in quantizer.state_dict().items())


def test_what_training_makes_worse_is_put_back():
    wild = QuantizerTraining(steps=10, learning_rate=30.0, looks=2)
    quantizer, told = trained(settings=wild)
    assert told.steps == 0
    assert told.after == told.before
    start = TrainableQuantizer.start(VECTORS, 4, 16)
    for weight, same in zip(quantizer.parameters(), start.parameters(), strict=True):
        assert torch.equal(weight, same)


def test_many_rows_are_compared_with_some_of_them():
    for relevant in (ROWS, None):
        few = replace(SHORT, batch_size=16, candidates=50, labels=0.1)
        _, told = trained(relevant, few, kind="residual")
        assert told.after > told.before


def test_a_tenth_of_the_queries_may_have_no_label():
    relevant = ROWS.clone()
    relevant[::10] = -1
    _, told = trained(relevant)
    assert told.after >= told.before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vectors": VECTORS[:, :8]}, "16 columns"),
        ({"queries": QUERIES[0]}, "16 columns"),
        ({"relevant": ROWS[:3]}, "a line of rows"),
        ({"relevant": ROWS + N}, "below the 400"),
        ({"tune": torch.ones(3, dtype=torch.bool)}, "of 120 queries"),
        ({"tune": torch.ones(Q, dtype=torch.bool)}, "0 queries to learn from"),
        ({"tune": torch.zeros(Q, dtype=torch.bool)}, "0 to judge by"),
        ({"relevant": torch.full((Q, 1), -1)}, "0 queries to learn from and 0"),
    ],
)
def test_what_does_not_fit_is_one_line(changes, message):
    given = {"vectors": VECTORS, "queries": QUERIES, "relevant": ROWS, "settings": SHORT} | changes
    with pytest.raises(InputError, match=message):
        train_quantizer(TrainableQuantizer.start(VECTORS, 2, 8), **given)


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"temperature": 0.0}, {"distil": 0.0}, {"labels": -1.0}])
def test_settings_check_themselves(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        QuantizerTraining(**wrong)
