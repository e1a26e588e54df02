"""Choices by noise: the k largest of scores with Gumbel noise are k draws without replacement.

Knows scores and a generator; what a score stands for, it does not know. Shapes: n entries of a row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from retrograd.ops.soft_topk import soft_topk


def gumbel_noise(like: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
    """Independent standard Gumbel draws, `-log(-log U)`, of the shape, dtype and device of `like`.

    >>> gumbel_noise(torch.zeros(2, 3)).shape
    torch.Size([2, 3])
    """
    uniform = torch.rand(like.shape, dtype=like.dtype, device=like.device, generator=generator)
    tiny = torch.finfo(like.dtype).tiny
    return -(-uniform.clamp(min=tiny).log()).clamp(min=tiny).log()


def sample_topk(
    logits: Tensor, k: int, *, where: Tensor | None = None, generator: torch.Generator | None = None
) -> Tensor:
    """k different entries of each row, drawn one after the other from the softmax of what remains.

    Kool et al. 2019 ("Stochastic Beams and Where to Find Them", arXiv:1903.06059), section 2.3: the law
    is that of Plackett and Luce.

    Args:
        logits: (..., n) float, unnormalised log-probabilities.
        k: from 1 to the number of allowed entries.
        where: (..., n) bool, False for entries that are drawn only once no other is left.

    Returns: (..., k) int64, in the order drawn.
    """
    noisy = logits.detach() + gumbel_noise(logits, generator=generator)
    if where is not None:
        noisy = noisy.masked_fill(~where, -torch.inf)
    return noisy.topk(k, -1).indices


def gumbel_topk(
    scores: Tensor,
    k: int,
    *,
    temperature: float | Tensor = 1.0,
    where: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Soft top-k of `scores + Gumbel noise`: the relaxed form of k draws without replacement.

    As the temperature goes to 0 the weights become those of `sample_topk` from `softmax(scores)`; for k = 1
    it is a relaxed draw of one (Jang et al. 2017, arXiv:1611.01144) with sigmoids for the softmax.

    Args and result: as `soft_topk`; `generator` draws the noise.
    """
    noisy = scores + gumbel_noise(scores, generator=generator)
    return soft_topk(noisy, k, temperature=temperature, where=where)
