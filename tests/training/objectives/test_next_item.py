"""Next-item objectives: exact over the catalogue, and with drawn items right on average."""

from itertools import product
from math import exp

import pytest
import torch

from retrograd.errors import InputError
from retrograd.training.batches import Batch
from retrograd.training.objectives import (
    NextCodeLikelihood,
    NextCodesAndVector,
    NextItemLikelihood,
    SampledNextItem,
)

ITEMS = 4
VECTORS = torch.randn(ITEMS, 3, generator=torch.Generator().manual_seed(0))
STATES = torch.randn(2, 3, 3, generator=torch.Generator().manual_seed(1))
TARGETS = torch.tensor([[2, 0, -1], [3, -1, -1]])
FREQUENCIES = torch.tensor([5, 0, 2, 1])


class Fixed:
    """States and item vectors that nobody learns."""

    count = ITEMS

    def states(self, inputs, vectors=None):
        return STATES

    def item_vectors(self, items=None):
        return VECTORS if items is None else VECTORS[items]


BATCH = Batch({}, TARGETS, frequencies=FREQUENCIES)
ASKED = STATES[TARGETS >= 0]
RIGHT = TARGETS[TARGETS >= 0]


def test_the_full_softmax_asks_every_position_that_has_a_target_and_no_other():
    expected = torch.nn.functional.cross_entropy(ASKED @ VECTORS.T, RIGHT)
    torch.testing.assert_close(NextItemLikelihood()(Fixed(), BATCH)["next_item"], expected)


def with_draws(monkeypatch, draws, **settings):
    monkeypatch.setattr(torch, "multinomial", lambda chances, count, replacement: torch.tensor(draws))
    objective = SampledNextItem(negatives=len(draws), **settings)
    return objective(Fixed(), BATCH)["next_item"].item()


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_summed_exponentials_are_right_on_average_over_all_draws(monkeypatch, power):
    single = Batch({}, torch.tensor([[2, -1, -1], [-1, -1, -1]]), frequencies=FREQUENCIES)
    scores = (STATES[0, 0] @ VECTORS.T).tolist()
    objective = SampledNextItem(negatives=2, power=power)
    chances = objective.chances(ITEMS, single).tolist()
    mean = 0.0
    for draws in product(range(ITEMS), repeat=2):
        monkeypatch.setattr(torch, "multinomial", lambda *_, draws=draws, **__: torch.tensor(draws))
        loss = objective(Fixed(), single)["next_item"].item()
        mean += chances[draws[0]] * chances[draws[1]] * exp(loss + scores[2])  # the sum in the denominator
    assert mean == pytest.approx(sum(map(exp, scores)), rel=1e-5)


def test_a_negative_that_is_the_target_does_not_count_against_it(monkeypatch):
    only_own = Batch({}, torch.tensor([[2, -1, -1], [-1, -1, -1]]))
    monkeypatch.setattr(torch, "multinomial", lambda *_, **__: torch.tensor([2, 2]))
    assert SampledNextItem(negatives=2)(Fixed(), only_own)["next_item"].item() == 0


def test_all_items_once_and_uncorrected_are_the_full_softmax(monkeypatch):
    full = NextItemLikelihood()(Fixed(), BATCH)["next_item"].item()
    assert with_draws(monkeypatch, [0, 1, 2, 3], corrected=False) == pytest.approx(full, rel=1e-5)
    assert with_draws(monkeypatch, [0, 1, 2, 3]) == pytest.approx(full, rel=1e-5)  # -log(4 * 1/4) = 0


def test_many_draws_come_near_the_full_softmax():
    torch.manual_seed(0)
    full = NextItemLikelihood()(Fixed(), BATCH)["next_item"].item()
    for power in (0.0, 1.0):
        found = SampledNextItem(negatives=20_000, power=power)(Fixed(), BATCH)["next_item"].item()
        assert found == pytest.approx(full, abs=0.02)


def test_items_are_drawn_as_often_as_they_were_taken():
    assert SampledNextItem(power=1.0).chances(ITEMS, BATCH).tolist() == pytest.approx(
        [6 / 12, 1 / 12, 3 / 12, 2 / 12]
    )
    assert SampledNextItem().chances(ITEMS, BATCH).tolist() == pytest.approx([1 / 4] * 4)
    assert SampledNextItem(power=1.0).chances(ITEMS, Batch({}, TARGETS)).tolist() == pytest.approx(
        [1 / 4] * 4
    )


def test_one_target_per_row_is_refused_by_name():
    with pytest.raises(InputError, match="EveryPrefix"):
        NextItemLikelihood()(Fixed(), Batch({}, torch.tensor([1, 2])))


def test_bad_settings_are_refused():
    for settings in ({"negatives": 0}, {"power": -0.1}, {"power": 1.5}):
        with pytest.raises(InputError):
            SampledNextItem(**settings)


class Writer:
    """Scores of tokens that nobody learns: two levels, of three and two tokens."""

    def level_logits(self, inputs, targets):
        count = int((targets >= 0).sum())
        levels = [STATES.flatten(0, 1)[:count], STATES.flatten(0, 1)[:count, :2]]
        return levels, torch.tensor([[0, 1], [2, 0], [1, 1]])[:count]


def test_the_cost_of_a_key_is_the_sum_over_its_tokens():
    found = NextCodeLikelihood()(Writer(), BATCH)
    logits = STATES.flatten(0, 1)[:3].log_softmax(-1)
    short = STATES.flatten(0, 1)[:3, :2].log_softmax(-1)
    first = -(logits[0, 0] + logits[1, 2] + logits[2, 1]) / 3
    second = -(short[0, 1] + short[1, 0] + short[2, 1]) / 3
    assert list(found) == ["level_1", "level_2"]
    torch.testing.assert_close(found["level_1"], first)
    torch.testing.assert_close(found["level_2"], second)


def test_no_target_costs_nothing_and_one_per_row_is_refused():
    nothing = Batch({}, torch.full((2, 3), -1))
    assert sum(NextCodeLikelihood()(Writer(), nothing).values()).item() == 0
    with pytest.raises(InputError, match="EveryPrefix"):
        NextCodeLikelihood()(Writer(), Batch({}, torch.tensor([1, 2])))


def test_at_a_temperature_scores_are_divided_by_it():
    logits = STATES.flatten(0, 1)[:3].double() / 0.5
    expected = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 2, 1]))
    found = NextCodeLikelihood(temperature=0.5)(Writer(), BATCH)["level_1"]
    torch.testing.assert_close(found.double(), expected)
    with pytest.raises(InputError, match="must be positive"):
        NextCodeLikelihood(temperature=0.0)


class WriterAndRanker(Writer):
    """The same with vectors of items beside."""

    texts = VECTORS

    def states_before(self, inputs, targets):
        states = STATES.flatten(0, 1)[:3].unsqueeze(1).expand(-1, 2, -1)
        return states, self.level_logits(inputs, targets)[1]

    def logits_of(self, states):
        return [states[:, 0], states[:, 1, :2]]

    def item_vectors(self, texts):
        return 2 * texts


def test_the_second_part_asks_for_the_target_among_all_that_are_somebodys_target():
    found = NextCodesAndVector(weight=0.5)(WriterAndRanker(), BATCH)
    codes = NextCodeLikelihood()(Writer(), BATCH)
    assert list(found) == [*codes, "vector"]
    for name, cost in codes.items():
        torch.testing.assert_close(found[name], cost)
    wanted = [0, 2, 3]
    states = STATES.flatten(0, 1)[:3].double()
    scores = states / states.norm(dim=1, keepdim=True) @ (2 * VECTORS[wanted].double()).T
    right = torch.tensor([wanted.index(target) for target in (2, 0, 3)])
    expected = 0.5 * torch.nn.functional.cross_entropy(scores, right)
    torch.testing.assert_close(found["vector"].double(), expected, atol=1e-6, rtol=0)


def test_where_nobody_counted_all_items_are_compared():
    states = STATES.flatten(0, 1)[:3].double()
    scores = states / states.norm(dim=1, keepdim=True) @ (2 * VECTORS.double()).T
    expected = torch.nn.functional.cross_entropy(scores, RIGHT)
    found = NextCodesAndVector()(WriterAndRanker(), Batch({}, TARGETS))["vector"].double()
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_a_second_part_without_weight_is_refused():
    with pytest.raises(InputError, match="has no second part"):
        NextCodesAndVector(weight=0.0)
