"""Hits: logits, mass, labels, cuts and new scores."""

import math

import pytest
import torch

from retrograd.ops.hits import Hits, beside
from retrograd.ops.labels import Label
from retrograd.ops.temperature import Temperature

B, K, D = 3, 6, 4


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def hits(label: Label = Label.CONSISTENT, **changes) -> Hits:
    weights = torch.zeros(B, K, dtype=torch.float64)
    weights[:, 3:] = math.log(5.0)
    where = torch.ones(B, K, dtype=torch.bool)
    where[1, 4:] = False
    given = {
        "ids": torch.arange(B * K).view(B, K),
        "scores": drawn(B, K),
        "log_weight": weights,
        "values": drawn(B, K, D, seed=1),
        "where": where,
        "label": label,
        "head": torch.arange(K).expand(B, K) < 3,
        "queries": drawn(B, D, seed=2),
        "keys": drawn(B, K, D, seed=3),
    }
    return Hits(**(given | changes))


def test_the_weight_is_added_after_the_temperature():
    found = hits()
    torch.testing.assert_close(found.logits(0.5), found.scores / 0.5 + found.log_weight)
    assert found.log_prob(0.5)[0].exp().sum() == pytest.approx(1)
    torch.testing.assert_close(found.weights(temperature=0.5).sum(-1), torch.ones(B, dtype=torch.float64))
    assert not found.weights(temperature=0.5)[1, 4:].any()


def test_log_weights_get_no_gradient_and_padding_none_either():
    scores, weights = drawn(B, K).requires_grad_(), drawn(B, K).requires_grad_()
    found = hits(scores=scores, log_weight=weights)
    (
        found.mix(found.weights()).square().sum() + found.log_prob().masked_fill(~found.where, 0).sum()
    ).backward()
    assert weights.grad is None
    assert not scores.grad[1, 4:].any()
    assert scores.grad.isfinite().all()


def test_mass_is_1_if_exact_estimated_if_consistent_and_unknown_if_biased():
    assert (hits(Label.EXACT, log_weight=torch.zeros(B, K, dtype=torch.float64)).mass(0.3) == 1).all()
    assert hits(Label.BIASED).mass(0.3).isnan().all()
    found = hits(Label.CONSISTENT)
    kept = found.scores[0].exp()
    torch.testing.assert_close(found.mass()[0], kept.sum() / (kept * found.log_weight[0].exp()).sum())
    empty = hits(where=torch.zeros(B, K, dtype=torch.bool))
    assert empty.mass().isnan().all()
    assert not empty.mix(empty.weights()).any()


def test_a_part_is_the_mixture():
    found = hits()
    torch.testing.assert_close(found.part(0.7).mean(), found.mix(found.weights(temperature=0.7)))
    torch.testing.assert_close(found.part(0.7).log_total(), found.log_total(0.7))


def test_values_may_have_any_shape():
    found = hits(values=drawn(B, K, 2, 3))
    assert found.mix(found.weights()).shape == (B, 2, 3)
    assert hits(values=drawn(B, K)).mix(found.weights()).shape == (B,)


@pytest.mark.parametrize("temperature", [0.0, -1.0])
def test_a_temperature_is_above_0(temperature):
    with pytest.raises(ValueError, match="temperature"):
        hits().log_prob(temperature)


def test_a_learnt_temperature_gets_its_gradient():
    tau = Temperature(0.5)
    found = hits()
    found.mix(found.weights(temperature=tau)).sum().backward()
    assert tau.log_value.grad.abs() > 0


def test_a_cut_is_biased_best_first_and_stands_for_itself():
    cut = hits().top(4)
    assert cut.label is Label.BIASED
    assert not cut.log_weight.any()
    assert (cut.scores[0].diff() <= 0).all()
    torch.testing.assert_close(cut.scores[0], hits().scores[0].sort(descending=True).values[:4])
    assert cut.where[1].all()
    rows = torch.arange(B).unsqueeze(1)
    place = (hits().ids.unsqueeze(1) == cut.ids.unsqueeze(2)).int().argmax(-1)
    for name in ("values", "keys"):
        torch.testing.assert_close(getattr(cut, name), getattr(hits(), name)[rows, place])


def test_a_cut_that_leaves_nothing_out_changes_no_sum():
    found = hits()
    cut = found.top(K + 3)
    assert cut.label is found.label
    torch.testing.assert_close(cut.log_total(0.4), found.log_total(0.4))
    with pytest.raises(ValueError, match="k=0"):
        found.top(0)


def test_the_best_of_an_exact_head_are_a_head():
    scores = drawn(B, K).abs()
    scores[:, :3] += 10
    assert hits(scores=scores).top(2).head.all()
    deeper = hits(scores=scores, where=torch.ones(B, K, dtype=torch.bool)).top(5)
    assert deeper.head.sum(-1).tolist() == [3] * B


def test_new_scores_keep_the_chances_and_lose_the_head():
    found = hits()
    again = found.rescore(lambda queries, of: (queries.unsqueeze(-2) * of.keys).sum(-1))
    assert again.label is found.label
    assert torch.equal(again.log_weight, found.log_weight)
    assert not again.head.any()
    assert not again.scores[1, 4:].any()
    other = found.rescore(lambda queries, of: queries, queries=drawn(B, K, seed=9))
    torch.testing.assert_close(other.scores[0], drawn(B, K, seed=9)[0])


def test_only_a_zero_within_the_head_certifies_sparse_weights():
    scores = torch.tensor([[5.0, 4.9, 0.0, -1.0, -1.0, -1.0]], dtype=torch.float64).expand(B, K)
    head = torch.arange(K).expand(B, K) < 3
    everywhere = torch.ones(B, K, dtype=torch.bool)
    found = hits(Label.BIASED, scores=scores, head=head, where=everywhere)
    sparse = found.weights(how="sparsemax")
    assert found.label_of(sparse, "sparsemax") is Label.EXACT
    short = hits(Label.BIASED, scores=scores, head=torch.arange(K).expand(B, K) < 2, where=everywhere)
    assert short.label_of(sparse, "sparsemax") is Label.BIASED
    assert found.label_of(found.weights(), "softmax") is Label.BIASED
    assert found.label_of(found.weights(how="soft_topk", k=2), "soft_topk") is Label.BIASED


@pytest.mark.parametrize("how", ["straight_through", "hard", "gumbel_topk"])
def test_what_has_noise_or_another_gradient_is_biased_even_over_everything(how):
    found = hits(Label.EXACT)
    assert found.label_of(found.weights(how=how, k=2), how) is Label.BIASED
    assert found.label_of(found.weights(how="soft_topk", k=2), "soft_topk") is Label.EXACT
    with pytest.raises(ValueError, match="belongs to"):
        found.weights(how="softmax", k=2)


def test_hits_side_by_side_are_one_mixture():
    first, second = hits(), hits(scores=drawn(B, K, seed=8))
    both = beside([first, second], Label.CONSISTENT, ())
    torch.testing.assert_close(both.log_total(), torch.logaddexp(first.log_total(), second.log_total()))


def test_an_explanation_names_label_stages_and_size():
    told = hits(Label.BIASED, stages=("TopK(k=6)",)).explain()
    for part in ("biased", "not known", "TopK(k=6)", "4 to 6 entries"):
        assert part in told
