"""Fusion in context: a reader sees all hits at once, and attends to the tokens of each the more, the more
the hit weighs.

Knows hits whose values are token vectors, and the states of a reader; neither texts nor readers.
Shapes: ... queries, K hits, M tokens of a hit, L states of the reader, h dimensions of a state.
"""

from __future__ import annotations

from torch import Tensor

from retrograd.ops.hits import Hits
from retrograd.ops.masks import cleared, masked
from retrograd.ops.temperature import Temperature


def fuse_in_context(
    states: Tensor,
    hits: Hits,
    *,
    keys: Tensor | None = None,
    tokens: Tensor | None = None,
    temperature: float | Tensor | Temperature = 1.0,
    share: bool = False,
) -> Tensor:
    """`softmax(states . key / sqrt(h) + log p(hit))` over all tokens of all hits, times their values.

    So the weights of hits are a prior of the reader's attention, and the reader's loss teaches the retriever.
    It is exact, consistent or biased as the hits are. With one token a hit the weights are the posterior
    `p(hit) exp(l) / sum p exp(l)` of `losses.marginal_nll` with `l = states . key / sqrt(h)`; if all `l` are
    equal, they are the hits' own and the result is `hits.mix`.

    Args:
        states: (..., L, h) float, what the reader asks with.
        hits: with token vectors (..., K, M, e) as values; e is h unless `keys` are given.
        keys: (..., K, M, h) what the states are compared with; None: the values.
        tokens: (..., K, M) bool, False for padding; None: tokens whose vector is not 0.
        temperature: of the hits.
        share: the tokens of a hit share its weight, so that a long one counts no more than a short one.

    Returns: (..., L, e); 0 where a query has no token.

    Raises:
        ValueError: values that are not token vectors.

    >>> import torch
    >>> from retrograd.indexes.memory import Memory
    >>> from retrograd.indexes.proposals import TopK
    >>> memory = Memory(torch.eye(2), torch.tensor([[[1.0]], [[3.0]]]))
    >>> fuse_in_context(torch.zeros(1, 1), memory.search(torch.zeros(2), TopK(2)))
    tensor([[2.]])
    """
    bias = context_bias(hits, tokens=tokens, temperature=temperature, share=share).flatten(-2)
    values = hits.values.flatten(-3, -2)
    keys = values if keys is None else keys.flatten(-3, -2)
    where = context_tokens(hits, tokens).flatten(-2).unsqueeze(-2)
    logits = states @ keys.mT / states.shape[-1] ** 0.5 + bias.unsqueeze(-2)
    weights = cleared(masked(logits, where.expand(logits.shape)).softmax(-1), where)
    return weights @ values.masked_fill(~where.mT, 0.0)


def context_bias(
    hits: Hits,
    *,
    tokens: Tensor | None = None,
    temperature: float | Tensor | Temperature = 1.0,
    share: bool = False,
) -> Tensor:
    """(..., K, M) what to add to the attention logits of each token: `log p(hit)`, very small for padding.

    For readers with an attention of their own, whose masks are additive. Arguments as `fuse_in_context`.
    """
    where = context_tokens(hits, tokens)
    bias = hits.log_prob(temperature).unsqueeze(-1)
    if share:
        bias = bias - where.sum(-1, keepdim=True).clamp(min=1).to(bias.dtype).log()
    return masked(bias.expand(where.shape), where)


def context_tokens(hits: Hits, tokens: Tensor | None = None) -> Tensor:
    """(..., K, M) bool, the tokens there are.

    Raises:
        ValueError: values that are not token vectors.
    """
    if hits.values.dim() != hits.where.dim() + 2:
        shape = tuple(hits.values.shape[hits.where.dim() :])
        raise ValueError(f"the value of a hit must be its token vectors (tokens, width), not {shape}")
    real = (hits.values != 0).any(-1) if tokens is None else tokens
    return real & hits.where.unsqueeze(-1)
