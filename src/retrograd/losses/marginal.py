"""Losses of a choice that nobody labels: what is chosen is summed out, or taught by what follows from it.

`prior` is the probability of choosing an entry, `likelihood` that of the outcome given it. Knows
log-probabilities only. Shapes: ... cases, K entries, T steps of an outcome.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.losses.distillation import listwise_distillation
from retrograd.losses.listwise import mean_over_lists
from retrograd.ops.masks import log_softmax, log_total


def marginal_nll(log_prior: Tensor, log_likelihood: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`-log sum_z p(z) p(y | z)`, the whole outcome under one entry (Lewis et al. 2020, "sequence").

    arXiv:2005.11401, section 2.1. With `log_prior = log_softmax(scores)` the gradient in the scores is
    prior minus posterior.

    Args:
        log_prior: (..., K) float, log-probabilities of the entries; they need not add up to 1.
        log_likelihood: (..., K) float, of the whole outcome given the entry.
        where: (..., K) bool, False for padding.

    Returns: () nats, mean over cases with an entry; 0 where there is none, never NaN.

    >>> marginal_nll(torch.tensor([0.5, 0.5]).log(), torch.tensor([0.2, 0.6]).log()).neg().exp()
    tensor(0.4000)
    """
    where = torch.ones_like(log_prior, dtype=torch.bool) if where is None else where
    return mean_over_lists(-log_total(log_prior + log_likelihood, where), where.any(-1))


def token_marginal_nll(
    log_prior: Tensor,
    log_likelihoods: Tensor,
    *,
    where: Tensor | None = None,
    steps: Tensor | None = None,
) -> Tensor:
    """`-sum_t log sum_z p(z) p(y_t | z)`, each step under entries of its own (Lewis et al. 2020, "token").

    Args:
        log_prior: (..., K) float.
        log_likelihoods: (..., K, T) float, of each step given the entry and the steps before.
        where: (..., K) bool, False for padded entries.
        steps: (..., T) bool, False for padded steps.

    Returns: () nats, summed over steps, mean over cases with an entry; 0 where there is none, never NaN.

    >>> each = torch.tensor([[0.5, 1.0], [0.5, 0.5]]).log()
    >>> token_marginal_nll(torch.tensor([0.5, 0.5]).log(), each).neg().exp()
    tensor(0.3750)
    """
    where = torch.ones_like(log_prior, dtype=torch.bool) if where is None else where
    totals = log_total(log_prior.unsqueeze(-1) + log_likelihoods, where.unsqueeze(-1), dim=-2)
    if steps is not None:
        totals = totals.masked_fill(~steps, 0.0)
    return mean_over_lists(-totals.sum(-1), where.any(-1))


def relevance_nll(scores: Tensor, relevant: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`-log sum_{i relevant} p_i` with `p = softmax(scores)`: some right entry is chosen.

    The gradient is prior minus posterior, the posterior being p over the relevant ones alone.

    Args:
        scores: (..., n) float, already divided by the temperature.
        relevant: (..., n) bool.
        where: (..., n) bool, False for padding.

    Returns: () nats, mean over lists with a relevant entry; 0 where there is none, never NaN.

    >>> relevance_nll(torch.zeros(4), torch.tensor([True, True, False, False]))
    tensor(0.6931)
    """
    if where is not None:
        relevant = relevant & where
    return mean_over_lists(-log_total(log_softmax(scores, where), relevant), relevant.any(-1))


def posterior_distillation(scores: Tensor, log_likelihood: Tensor, *, where: Tensor | None = None) -> Tensor:
    """`KL(posterior || prior)` with the posterior `softmax(log prior + log likelihood)` held fixed.

    Its gradient in the scores is that of `marginal_nll`, prior minus posterior, and the outcome's model gets
    none: the retriever's half of Sachan et al. 2021 ("End-to-End Training of Multi-Document Reader and
    Retriever", arXiv:2106.05346), equation 9.

    Args:
        scores: (B, K) float, `prior = softmax(scores)`.
        log_likelihood: (B, K) float, of the whole outcome.
        where: (B, K) bool, False for padding.

    Returns: () nats, mean over cases with an entry; 0 where there is none.

    >>> posterior_distillation(torch.zeros(1, 2), torch.tensor([[-7.0, -7.0]]))
    tensor(0.)
    """
    return listwise_distillation(scores, (scores + log_likelihood).detach(), where=where)


def likelihood_distillation(
    scores: Tensor, log_likelihood: Tensor, *, temperature: float = 1.0, where: Tensor | None = None
) -> Tensor:
    """`KL(softmax(log likelihood / temperature) || softmax(scores))`, the likelihoods held fixed.

    Izacard et al. 2023 ("Atlas", arXiv:2208.03299), section 2.2, perplexity distillation. The gradient in
    the scores is p minus target. Args and result: as `posterior_distillation`.

    >>> likelihood_distillation(torch.zeros(1, 2), torch.zeros(1, 2))
    tensor(0.)
    """
    return listwise_distillation(scores, log_likelihood.detach(), temperature=temperature, where=where)


def renyi_bound(
    log_joint: Tensor,
    log_proposal: Tensor,
    *,
    alpha: float,
    drawn: bool = False,
    where: Tensor | None = None,
) -> Tensor:
    """`log E_r[(p(y, z) / r(z))^(1 - alpha)] / (1 - alpha)`, a bound of `log p(y)`.

    Li and Turner 2016 ("Renyi Divergence Variational Inference", arXiv:1602.02311), equation 9. It is
    `log p(y)` at alpha 0, the evidence lower bound at 1, and falls as alpha grows.

    Args:
        log_joint: (..., K) float, `log p(z) p(y | z)`.
        log_proposal: (..., K) float, `log r(z)`.
        alpha: at least 0.
        drawn: the entries are draws from r, each of which counts alike; else they are all that r can draw,
            and the expectation is exact.
        where: (..., K) bool, False for padding.

    Returns: (...) nats; 0 for a case without entries.

    >>> joint = torch.tensor([0.1, 0.3]).log()
    >>> renyi_bound(joint, torch.tensor([0.5, 0.5]).log(), alpha=0.0).exp()
    tensor(0.4000)
    """
    where = torch.ones_like(log_joint, dtype=torch.bool) if where is None else where
    ratio = (log_joint - log_proposal).masked_fill(~where, 0.0)
    log_weights = log_softmax(torch.zeros_like(ratio) if drawn else log_proposal, where)
    if alpha == 1:
        return (log_weights.exp() * ratio).masked_fill(~where, 0.0).sum(-1)
    bound = log_total(log_weights + (1 - alpha) * ratio, where) / (1 - alpha)
    return bound.masked_fill(~where.any(-1), 0.0)
