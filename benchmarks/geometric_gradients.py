"""The gradient at the document tower, step by step, by the three ways it may take through the codes.

    python benchmarks/geometric_gradients.py --steps 300        # scifact, about 25 s of one core per run

Wang et al., 2026 (arXiv 2603.10409) plot the norm at their item encoder. Here the document tower is one
trained map over frozen vectors; its gradient, of all five losses and before clipping, is what is drawn.
"""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import Any

import torch
from geometric import GRADIENTS, of_length, switched

from retrograd.data.dataset import load_dataset
from retrograd.evaluation.diagnostics import gradient_figure
from retrograd.training.fit import fit


@dataclass(frozen=True, kw_only=True)
class Watched:
    """An objective whose first call finds the document tower and notes its gradient from then on."""

    objective: Any
    log: str
    """File of one JSON line a step, as `gradient_figure` reads it."""

    def begin(self, model: Any, document_vectors: Callable[[], Any], seed: int) -> None:
        """Listen to the weights of the document tower."""
        self.objective.begin(model, document_vectors, seed)
        (head,) = (weight for name, weight in model.named_parameters() if "document_head" in name)
        log, steps = Path(self.log), count(1)
        head.register_post_accumulate_grad_hook(lambda weight: _note(log, next(steps), weight))

    def __call__(self, model: Any, batch: Any) -> dict[str, torch.Tensor]:
        """The objective's own terms."""
        terms: dict[str, torch.Tensor] = self.objective(model, batch)
        return terms


def _note(log: Path, step: int, weight: torch.Tensor) -> None:
    assert weight.grad is not None
    # the reader of training logs wants a loss; none is drawn
    row = {"stage": 0, "name": "joint", "step": step, "loss": 0.0, "gradient_norm": weight.grad.norm().item()}
    with log.open("a") as lines:
        lines.write(json.dumps(row) + "\n")


def main() -> None:
    """Train the three and draw them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--folder", type=Path, default=Path("build/gradients"))
    parser.add_argument("--figure", type=Path, default=Path("docs/figures/index_gradients.png"))
    given = parser.parse_args()
    torch.set_num_threads(1)
    given.folder.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(Path(os.environ["RETROGRAD_DATA"]) / "scifact")
    logs = {name: given.folder / f"{name}.jsonl" for name in GRADIENTS}
    for name, log in logs.items():
        if log.exists():
            continue
        recipe = of_length(switched(name), given.steps)
        (stage,) = recipe.stages
        partial = log.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        watched = replace(stage, objective=Watched(objective=stage.objective, log=str(partial)))
        fit(replace(recipe, stages=(watched,)), dataset, train_split="train_clean", seed=0)
        partial.rename(log)
    gradient_figure(logs, given.figure)


if __name__ == "__main__":
    main()
