"""How often each code of an index was chosen of late: a running mean that is saved with the weights.

It is state of training, so a resumed run must find it again; nothing reads it in a search.
Shapes: m levels, K codes of a level.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class RunningShares(nn.Module):
    """One distribution per level; all codes start alike.

    Args:
        decay: of what was, per batch, in (0, 1).
    """

    def __init__(self, level_sizes: Sequence[int], decay: float) -> None:
        super().__init__()
        self._decay, self._names = decay, [f"level_{at}" for at in range(len(level_sizes))]
        for name, size in zip(self._names, level_sizes, strict=True):
            self.register_buffer(name, torch.full((size,), 1 / size))

    @torch.no_grad()
    def forward(self, shares: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """The running shares, in training after they took in those of a batch: per level (K,).

        A batch with a share that is not finite is passed over, as the loop does with its step.
        """
        if self.training:
            for name, now in zip(self._names, shares, strict=True):
                mean = getattr(self, name)
                step = (now.detach().to(mean.dtype) - mean) * (1 - self._decay)
                mean.add_(torch.where(torch.isfinite(step).all(), step, 0.0))
        return tuple(getattr(self, name).clone() for name in self._names)
