"""Reports on supports: figures that can be computed by hand, and the orderings the theory promises."""

import math

import pytest
import torch

from retrograd.evaluation.diagnostics.support import break_even, estimator_report, fidelity
from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK, Uniform, Union

N, D, B = 120, 6, 10


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


KEYS, QUERIES = drawn(N, D), drawn(B, D, seed=1)
MEMORY = Memory(KEYS, drawn(N, 2, seed=2), ids=torch.arange(N) + 5)


def test_everything_has_no_error_and_all_the_mass():
    report = estimator_report(MEMORY, QUERIES, [TopK(N), Uniform(N)], draws=2)
    for line in report.figures:
        assert line.label == "exact"
        assert (line.rows, line.recall) == (N, 1.0)
        assert line.mass == pytest.approx(1)
        assert line.estimated_mass == pytest.approx(1)
        assert line.gradient_error < 1e-12
    entropy = torch.special.entr((QUERIES @ KEYS.T).softmax(-1)).sum(-1)
    assert report.perplexity == pytest.approx(float(entropy.exp().median()))


def test_figures_of_top_k_are_those_by_hand():
    line = estimator_report(MEMORY, QUERIES, [TopK(8)], temperature=0.7, k=10, draws=1).figures[0]
    exact = (QUERIES @ KEYS.T / 0.7).softmax(-1)
    kept = exact.topk(8).values.sum(-1)
    assert line.mass == pytest.approx(float(kept.mean()))
    assert line.recall == pytest.approx(0.8)
    assert math.isnan(line.estimated_mass)
    best = KEYS[(QUERIES @ KEYS.T).topk(8).indices]
    few = torch.einsum("bk,bkd->bd", exact.topk(8).values / kept.unsqueeze(1), best)
    error = (few - exact @ KEYS).norm(dim=-1) / (exact @ KEYS).norm(dim=-1)
    assert line.gradient_error == pytest.approx(float(error.median()))
    assert line.averaged_error == pytest.approx(line.gradient_error)


def test_averaging_helps_what_is_consistent_and_not_what_is_biased():
    proposals = [TopK(16), Union(TopK(8), Uniform(8))]
    top, both = estimator_report(MEMORY, QUERIES, proposals, temperature=2.0, draws=40).figures
    assert (top.label, both.label) == ("biased", "consistent")
    assert both.averaged_error < 0.5 * both.gradient_error
    assert both.averaged_error < top.averaged_error
    assert abs(both.estimated_mass - both.mass) < 0.1


def test_any_loss_may_be_compared_and_the_report_is_a_table():
    def loss(hits, temperature):
        return hits.mix(hits.weights(temperature=temperature)).square().sum(-1)

    report = estimator_report(MEMORY, QUERIES, [TopK(N), TopK(3)], loss=loss, draws=1)
    assert report.figures[0].gradient_error < 1e-12 < report.figures[1].gradient_error
    assert len(str(report).splitlines()) == 4
    assert "TopK(k=3" in str(report)
    with pytest.raises(ValueError, match="draws=0"):
        estimator_report(MEMORY, QUERIES, [TopK(1)], draws=0)


def test_deleted_rows_are_no_part_of_the_truth():
    memory = Memory(KEYS)
    memory.delete(torch.arange(60))
    line = estimator_report(memory, QUERIES, [TopK(60)], draws=1).figures[0]
    assert line.label == "exact"
    assert line.gradient_error < 1e-12


def test_the_same_keys_are_faithful_and_a_scaled_error_is_bounded():
    same = fidelity(KEYS, KEYS, QUERIES)
    assert (same.cosine, same.kl, same.largest_score_error) == (pytest.approx(1), pytest.approx(0), 0)
    off = fidelity(KEYS, KEYS + 0.05 * drawn(N, D, seed=9), QUERIES, temperature=0.5)
    assert 0.5 < off.cosine < 1
    assert off.kl > 0
    p, q = ((QUERIES @ each.T / 0.5).softmax(-1) for each in (KEYS, KEYS + 0.05 * drawn(N, D, seed=9)))
    assert (q / p).max() <= off.ratio_bound
    assert (p / q).max() <= off.ratio_bound


def test_coarser_codes_are_less_faithful():
    errors = [
        fidelity(KEYS, (KEYS * levels).round() / levels, QUERIES).relative_error for levels in (1, 4, 16)
    ]
    assert errors[0] > errors[1] > errors[2]


def test_break_even_is_where_the_operations_cross():
    curve = break_even(MEMORY, QUERIES, sizes=[20, 60, 1e9], k=16, shards=8, scan=0.25)
    assert [line.size for line in curve.sizes] == [20, 60, N]
    n = curve.break_even_size
    assert n == (2 * 8 + 4 * 16) / (4 - 2 * 0.25)
    for line in curve.sizes:
        assert (line.retrieval_flops < line.attention_flops) == (line.size > n)
        assert line.error <= line.bound + 1e-12
        assert 0 < line.mass <= 1 + 1e-12
    assert "rows on" in str(curve)
    whole = break_even(MEMORY, QUERIES, sizes=[30], k=30).sizes[0]
    assert whole.error < 1e-12
    assert whole.mass == pytest.approx(1)
