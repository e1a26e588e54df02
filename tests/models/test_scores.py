"""Scores: one battery over all of them, then what each promises."""

import pytest
import torch
from torch import nn

from retrograd.indexes.memory import Memory
from retrograd.indexes.proposals import TopK
from retrograd.models.scores import Cosine, CrossScore, Dot, GraphScore, MaxSim, Mixture, SparseDot

N, D, B, K, V = 20, 6, 3, 7, 30


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def sparse(rows: int, seed: int) -> torch.Tensor:
    return drawn(rows, V, seed=seed).clamp(min=0.8).sub(0.8)


DOCUMENTS, QUESTIONS = sparse(N, 4), sparse(B, 5)
LINKS = torch.stack([(torch.arange(N) + 1) % N, torch.full((N,), -1)], 1)


class Pair(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Bilinear(D, D, 1, dtype=torch.float64)

    def forward(self, queries, values):
        return self.layer(queries.contiguous(), values.contiguous())


def heard() -> GraphScore:
    score = GraphScore(LINKS, D, rounds=2).double()
    for layer in score.hear:
        nn.init.normal_(layer.weight)
    return score


torch.manual_seed(0)
SCORES = {
    "dot": Dot(),
    "cosine": Cosine(3.0),
    "sparse": SparseDot(DOCUMENTS.to_sparse_csr(), QUESTIONS),
    "cross": CrossScore(Pair()),
    "graph": heard(),
    "mixture": Mixture(
        Dot(), Cosine(trainable=False), SparseDot(DOCUMENTS, QUESTIONS.to_sparse()), weights=[1.0, 0.5, 2.0]
    ),
}
scores = pytest.mark.parametrize("name", SCORES)


def found(queries=None, where=None):
    memory = Memory(drawn(N, D), drawn(N, D, seed=2))
    return memory.search(drawn(B, D, seed=1) if queries is None else queries, TopK(K), where=where)


@scores
def test_scores_follow_their_hits(name):
    hits = found()
    plain = hits.rescore(SCORES[name])
    order = torch.randperm(K, generator=torch.Generator().manual_seed(0))
    turned = hits.each(lambda entries: entries[:, order]).rescore(SCORES[name])
    assert plain.scores.shape == (B, K)
    torch.testing.assert_close(turned.scores, plain.scores[:, order])


@scores
def test_padding_changes_nothing_and_scores_0(name):
    hits = found(where=torch.arange(N) < torch.tensor([[K], [5], [3]]))
    assert hits.where.sum(-1).tolist() == [K, 5, 3]
    scored = hits.rescore(SCORES[name])
    assert not scored.scores[~hits.where].any()
    assert scored.scores.isfinite().all()
    if name not in ("sparse", "mixture"):
        alone = hits.each(lambda entries: entries[1:2, :5])
        alone = SCORES[name](hits.queries[1:2], alone)
        torch.testing.assert_close(scored.scores[1:2, :5], alone)


@pytest.mark.parametrize("name", [name for name in SCORES if name != "sparse"])
def test_gradients_reach_queries_and_parameters(name):
    queries = drawn(B, D, seed=1).requires_grad_()
    score = SCORES[name]
    total = found(queries).rescore(score).log_prob(0.7)[:, 0].sum()
    leaves = [queries, *(leaf for leaf in score.parameters() if leaf.requires_grad)]
    for gradient in torch.autograd.grad(total, leaves):
        assert gradient.isfinite().all()
        assert gradient.any()


@pytest.mark.parametrize("name", ["dot", "cosine", "cross", "graph", "mixture"])
def test_the_gradient_is_that_of_the_score(name):
    hits = found()
    assert torch.autograd.gradcheck(
        lambda queries: SCORES[name](queries, hits), drawn(B, D, seed=1).requires_grad_()
    )


def test_a_sparse_product_is_the_dense_one_and_learns_its_weights():
    hits = found()
    dense = torch.einsum("bv,bkv->bk", QUESTIONS, DOCUMENTS[hits.ids])
    for layout in (DOCUMENTS, DOCUMENTS.to_sparse(), DOCUMENTS.to_sparse_csr()):
        torch.testing.assert_close(SparseDot(layout)(QUESTIONS, hits), dense)
    weights = DOCUMENTS.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(SparseDot(weights)(QUESTIONS, hits).sum(), weights)
    wanted = torch.zeros_like(DOCUMENTS).index_add_(0, hits.ids.flatten(), QUESTIONS.repeat_interleave(K, 0))
    torch.testing.assert_close(gradient, wanted * (DOCUMENTS > 0))


def test_late_interaction_is_over_the_tokens_that_are_values():
    tokens, questions = drawn(N, 4, D, seed=3), drawn(B, 3, D, seed=6)
    hits = Memory(drawn(N, D), tokens).search(drawn(B, D, seed=1), TopK(K))
    by_hand = torch.einsum("btd,bkmd->bktm", questions, tokens[hits.ids]).amax(-1).sum(-1)
    torch.testing.assert_close(hits.rescore(MaxSim(), questions).scores, by_hand)


def test_a_graph_that_has_not_learnt_is_a_dot_product_and_one_that_has_looks_at_links():
    hits = found()
    fresh = GraphScore(LINKS, D).double()
    torch.testing.assert_close(fresh(hits.queries, hits), hits.scores)
    one = GraphScore(LINKS, D).double()
    nn.init.eye_(one.hear[0].weight)
    ids, keys = hits.ids[0].tolist(), hits.keys[0]
    for place, number in enumerate(ids):
        near = [keys[ids.index(other % N)] for other in (number - 1, number + 1) if other % N in ids]
        state = keys[place] + (torch.stack(near).mean(0) if near else 0)
        torch.testing.assert_close(one(hits.queries, hits)[0, place], state @ hits.queries[0])


def test_a_mixture_of_one_ranks_as_that_one_and_forgets_affine_changes():
    hits = found()
    for at, channel in enumerate((Dot(), Cosine())):
        weights = [0.0, 0.0]
        weights[at] = 1.0
        mixed = Mixture(Dot(), Cosine(), weights=weights)(hits.queries, hits)
        assert torch.equal(mixed.argsort(-1), channel(hits.queries, hits).argsort(-1))
    changed = Mixture(lambda queries, of: 7 * Dot()(queries, of) - 3, Cosine())(hits.queries, hits)
    torch.testing.assert_close(changed, Mixture(Dot(), Cosine())(hits.queries, hits))


@pytest.mark.parametrize("make", [Mixture, lambda: Mixture(Dot(), weights=[1.0, 2.0])])
def test_a_mixture_has_a_weight_for_each(make):
    with pytest.raises(ValueError, match="one for each"):
        make()
    with pytest.raises(ValueError, match="scale"):
        Cosine(0.0)
