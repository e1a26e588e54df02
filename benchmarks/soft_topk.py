"""Soft top-k against a hard top-k and against a soft sort by pooling adjacent violators, in one process.

`hard` is `torch.topk`, a softmax over what it keeps and its backward pass. `sorted` is our own soft top-k of
the kind that sorts: the Euclidean projection of the scores on the polytope of capacities, an isotonic
regression after a full sort (Blondel et al. 2020, arXiv:2002.08871); all rows are pooled together, a whole
run of violators at a time, in numpy. `compiled` is the same with scipy's isotonic regression, a compiled
loop over one row at a time, so that nobody can say numpy made it slow.

Repetitions are interleaved over sides and temperatures, and minima of thread CPU time are compared, so that
other work on the machine disturbs all alike and little.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/soft_topk.py --repeats 100
"""

from __future__ import annotations

import argparse
import datetime
import itertools
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Tensor
from torch.autograd import Function

from retrograd.ops.soft_topk import soft_topk

ENTRIES, K, BATCH = 10_000, 100, 32
TEMPERATURES = (1.0, 0.3, 0.1, 0.03, 0.01)
"""Of scores drawn from a standard normal law: from all of the row to a handful around the k-th."""

GOAL_HARD, GOAL_SORTED = 2.0, 5.0
"""Forward and backward: at most this many times `hard`, at least this many times as fast as `sorted`."""

RESULTS = Path(__file__).parent / "results"


def pooled(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Isotonic regression (falling) of each row, and the block of each entry over all rows.

    Neighbouring blocks in the wrong order always end in one block, so every run of them is pooled at once.

    Args:
        targets: (R, n) float.
    """
    rows, n = targets.shape
    flat = targets.ravel()
    starts = np.arange(flat.size)
    means, sizes = flat.astype(np.float64), np.ones(flat.size)
    while True:
        begins = np.ones(len(starts), bool)
        begins[1:] = (means[1:] <= means[:-1]) | (starts[1:] % n == 0)
        if begins.all():
            block = np.repeat(np.arange(len(starts)), sizes.astype(np.int64))
            return means[block].reshape(rows, n), block.reshape(rows, n)
        heads = np.flatnonzero(begins)
        totals = np.add.reduceat(means * sizes, heads)
        sizes, starts = np.add.reduceat(sizes, heads), starts[heads]
        means = totals / sizes


def compiled(targets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`pooled`, by scipy."""
    fitted, blocks, before = [], [], 0
    for row in targets:
        found = isotonic_regression(row, increasing=False)
        fitted.append(found.x)
        blocks.append(before + np.repeat(np.arange(len(found.blocks) - 1), np.diff(found.blocks)))
        before += len(found.blocks) - 1
    return np.stack(fitted), np.stack(blocks)


class SortedTopk(Function):
    """Weights in [0, 1] that add up to k: the point of that polytope nearest to `scores / temperature`."""

    @staticmethod
    def forward(
        ctx: Any, scores: Tensor, k: int, temperature: float, fit: Callable[[np.ndarray], Any] = pooled
    ) -> Tensor:
        """(R, n) -> (R, n)."""
        ordered, order = (scores / temperature).sort(-1, descending=True)
        targets = ordered.numpy().copy()
        targets[:, :k] -= 1
        fitted, block = fit(targets)
        weights = ordered - torch.from_numpy(fitted).to(scores.dtype)
        ctx.order, ctx.block, ctx.temperature = order, torch.from_numpy(block), temperature
        return torch.empty_like(scores).scatter_(-1, order, weights)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None, None]:
        """The gradient less its mean over each block."""
        ordered = gradients[0].gather(-1, ctx.order)
        block = ctx.block.flatten()
        sizes = torch.bincount(block)
        means = torch.zeros(len(sizes)).index_add_(0, block, ordered.flatten()) / sizes
        pulled = (ordered - means[block].view_as(ordered)) / ctx.temperature
        return torch.empty_like(pulled).scatter_(-1, ctx.order, pulled), None, None, None


def hard(scores: Tensor, temperature: float) -> Tensor:
    """The k largest and a softmax over them: (R, n) -> (R, k)."""
    return (scores.topk(K, -1).values / temperature).softmax(-1)


def ours(scores: Tensor, temperature: float) -> Tensor:
    """(R, n) -> (R, n)."""
    return soft_topk(scores, K, temperature=temperature)


def by_sorting(scores: Tensor, temperature: float) -> Tensor:
    """(R, n) -> (R, n)."""
    weights: Tensor = SortedTopk.apply(scores, K, temperature)
    return weights


def by_compiled_sorting(scores: Tensor, temperature: float) -> Tensor:
    """(R, n) -> (R, n)."""
    weights: Tensor = SortedTopk.apply(scores, K, temperature, compiled)
    return weights


SIDES: dict[str, Callable[[Tensor, float], Tensor]] = {
    "hard": hard,
    "ours": ours,
    "sorted": by_sorting,
    "compiled": by_compiled_sorting,
}


def check() -> None:
    """Both soft ones are capacities with the right gradients, or the comparison means nothing."""
    scores = torch.randn(3, 40, dtype=torch.float64)
    for side in (lambda x: soft_topk(x, 5, temperature=0.3), lambda x: SortedTopk.apply(x, 5, 0.3)):
        weights = side(scores)
        assert float((weights.sum(-1) - 5).abs().max()) < 1e-9
        assert float(weights.min()) > -1e-9
        assert float(weights.max()) < 1 + 1e-9
    best = torch.randn(3, 40).topk(5).indices
    apart = torch.zeros(3, 40).scatter(-1, best, 1.0)
    for side in (ours, by_sorting, by_compiled_sorting):
        wide = torch.zeros(2, ENTRIES).scatter(-1, torch.arange(K).expand(2, K), 1.0)
        assert float((side(wide, 1e-3) - wide).abs().max()) < 1e-5
    assert float((SortedTopk.apply(apart, 5, 1e-3) - apart).abs().max()) < 1e-5


def measure(repeats: int) -> dict[float, dict[str, dict[str, float]]]:
    """temperature -> side -> {forward, both}: least milliseconds of thread time."""
    scores = torch.randn(BATCH, ENTRIES, generator=torch.Generator().manual_seed(0))
    pulls = {side: torch.randn_like(function(scores, 1.0)) for side, function in SIDES.items()}
    least = {t: {side: {"forward": np.inf, "both": np.inf} for side in SIDES} for t in TEMPERATURES}
    for repeat, temperature, (side, function) in itertools.product(
        range(repeats), TEMPERATURES, SIDES.items()
    ):
        if side in ("sorted", "compiled") and repeat % 30:
            continue
        leaf = scores.clone().requires_grad_()
        start = time.thread_time()
        weights = function(leaf, temperature)
        middle = time.thread_time()
        weights.backward(pulls[side])
        end = time.thread_time()
        for name, taken in (("forward", middle - start), ("both", end - start)):
            least[temperature][side][name] = min(least[temperature][side][name], 1000 * taken)
    return least


def ratios(least: dict[str, dict[str, float]]) -> dict[str, float]:
    """How many times as long as `hard` ours takes, and the sorting ones as long as ours."""
    pairs = {"ours_to_hard": ("ours", "hard"), "sorted_to_ours": ("sorted", "ours")}
    pairs["compiled_to_ours"] = ("compiled", "ours")
    return {
        f"{name}_{what}": round(least[top][name] / least[bottom][name], 2)
        for name in ("forward", "both")
        for what, (top, bottom) in pairs.items()
    }


def main() -> None:
    """Measure, print ratios, write a dated file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=300)
    options = parser.parse_args()
    torch.set_num_threads(1)
    check()
    before, measured = os.getloadavg(), measure(options.repeats)
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    report = {
        "date": today,
        "shape": {"batch": BATCH, "entries": ENTRIES, "k": K, "dtype": "float32"},
        "threads": 1,
        "repeats": options.repeats,
        "load_average": [round(before[0], 2), round(os.getloadavg()[0], 2)],
        "torch": torch.__version__,
        "goals": {"both_ours_to_hard": GOAL_HARD, "both_sorted_to_ours": GOAL_SORTED},
        "milliseconds": {
            str(temperature): {
                side: {name: round(value, 3) for name, value in times.items()}
                for side, times in least.items()
            }
            for temperature, least in measured.items()
        },
        "ratios": {str(temperature): ratios(least) for temperature, least in measured.items()},
    }
    for temperature, found in report["ratios"].items():  # type: ignore[attr-defined]
        met = found["both_ours_to_hard"] <= GOAL_HARD and found["both_compiled_to_ours"] >= GOAL_SORTED
        print(f"temperature {temperature}: {found} {'met' if met else 'MISSED'}")
    path = RESULTS / f"soft-topk-{today}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
