"""Scores that a softmax may learn without learning how popular each class is.

Knows score rows and shares; neither codes nor documents.
"""

from __future__ import annotations

from torch import Tensor


def balance_popularity(
    scores: Tensor, shares: Tensor, *, strength: float = 1.0, epsilon: float = 1e-8
) -> Tensor:
    """`s_k + strength * log(p_k + eps)`, for the softmax of a training loss.

    The softmax then owes popular classes their lead to the shares, so the plain scores, by which one
    searches, are left with what remains: log P(k | query) - strength * log p_k. (Subtracting in the
    loss would do the opposite.) Menon et al., "Long-tail learning via logit adjustment", ICLR 2021
    (arXiv 2007.07314), equation 10.

    Args:
        scores: (..., K) float.
        shares: (K,) float, how often each class is the target; they get no gradient.
        strength: 0 changes nothing, 1 balances wholly.
        epsilon: a class that is never wanted counts as if it were this often.

    Returns: (..., K).

    >>> import torch
    >>> balance_popularity(torch.zeros(1, 2), torch.tensor([0.9, 0.1])).softmax(-1)
    tensor([[0.9000, 0.1000]])
    """
    return scores + strength * (shares.detach() + epsilon).log().to(scores.dtype)
