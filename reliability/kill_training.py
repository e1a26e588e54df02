"""Kill -9 a small training at random moments, resume it, and compare with an uninterrupted run.

    python -m reliability.kill_training --kills 50

Final weights must be equal byte for byte and `metrics.jsonl` line for line but for `seconds`.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from reliability.victims import KillReport, finish, killed, start
from retrograd.recipe import Stage
from retrograd.training.batches import PreparedSource
from retrograd.training.loop import StageResult, train_stage
from retrograd.training.metrics_log import read_metrics
from retrograd.training.objectives import SequenceConsistency, SequenceLikelihood

NUM_DOCUMENTS, WORDS, LEVELS, CODES = 96, 40, 2, 12
WEIGHTS = "weights.safetensors"


class KeyWriter(nn.Module):
    """Words of a text to the tokens of a key: embedding, dropout, one head per level."""

    def __init__(self, seed: int = 0, width: int = 48) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.words = nn.Embedding(WORDS, width)
        self.norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(0.1)
        self.heads = nn.Linear(width, LEVELS * CODES)

    def collate(self, prepared: np.ndarray, rows: np.ndarray) -> dict[str, Tensor]:
        """Word numbers of some rows."""
        return {"words": torch.from_numpy(prepared[rows])}

    def logits(self, inputs: dict[str, Tensor], keys: Tensor) -> Tensor:
        """(B, LEVELS, CODES); the levels do not see each other."""
        pooled = self.dropout(self.norm(self.words(inputs["words"]).mean(dim=1)))
        return self.heads(pooled).view(len(keys), LEVELS, CODES)


STAGES = (
    Stage(name="likelihood", objective=SequenceLikelihood(), examples=(), batch_size=32, ema=0.9),
    Stage(
        name="consistency",
        objective=SequenceConsistency(),
        examples=(),
        batch_size=16,
        accumulation=2,
        validate_every=30,
        decay="cosine",
    ),
)


def train(folder: str, steps: int) -> list[StageResult]:
    """The victim: two stages on made-up texts, going on from whatever the folder holds."""
    torch.set_num_threads(1)
    draw = np.random.default_rng(7)
    texts = draw.integers(WORDS, size=(NUM_DOCUMENTS * 4, 6))
    documents = np.arange(len(texts)) % NUM_DOCUMENTS
    keys = np.stack([np.arange(NUM_DOCUMENTS) // CODES, np.arange(NUM_DOCUMENTS) % CODES], axis=1)
    half = len(texts) // 2
    sources = [
        PreparedSource(prepared=texts[:half], documents=documents[:half], weight=3.0),
        PreparedSource(prepared=texts[half:], documents=documents[half:]),
    ]
    model = KeyWriter()
    results = [
        train_stage(
            model,
            stage,
            sources,
            seed=3,
            stage_index=at,
            folder=Path(folder),
            steps=steps,
            keys_of=lambda rows, generator: keys[rows],
            validate=lambda: float(-model.heads.weight.detach().norm()),
            resume=True,
            checkpoint_seconds=0.03,
        )
        for at, stage in enumerate(STAGES)
    ]
    save_file(model.state_dict(), Path(folder) / WEIGHTS)
    return results


def kill_training(kills: int, *, steps: int = 240, seed: int = 0) -> KillReport:
    """Run trainings to their end through `kills` kills in all.

    Args:
        steps: of each of the two stages.
        seed: of the moments at which children die.
    """
    draw = np.random.default_rng([seed, kills])
    done, finished, differences = 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        whole = Path(name) / "whole"
        whole_seconds = _uninterrupted(whole, steps)
        while done < kills or not finished:
            folder = Path(name) / f"killed-{finished}"
            while done < kills and killed(
                start(train, str(folder), steps), draw.uniform(0, whole_seconds / 2)
            ):
                done += 1
            if not (folder / WEIGHTS).is_file():
                finish(start(train, str(folder), steps))
            finished += 1
            differences += [f"run {finished}: {line}" for line in _compare(whole, folder)]
    return KillReport(done, finished, tuple(differences))


def _uninterrupted(folder: Path, steps: int) -> float:
    """Train without a kill; returns the seconds it took in a warm process."""
    finish(start(train, str(folder.with_name("warm-up")), 1))
    began = time.monotonic()
    finish(start(train, str(folder), steps))
    return time.monotonic() - began


def _compare(whole: Path, killed: Path) -> list[str]:
    weights = [hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest() for folder in (whole, killed)]
    lines = [[line | {"seconds": 0} for line in read_metrics(folder)] for folder in (whole, killed)]
    problems = [] if weights[0] == weights[1] else [f"weights {weights[1]} instead of {weights[0]}"]
    return problems + ([] if lines[0] == lines[1] else ["metrics.jsonl differs"])


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = kill_training(arguments.kills, seed=arguments.seed)
    print(f"{report.kills} kills, {report.finished_runs} runs resumed to the end")
    raise SystemExit("\n".join(report.differences) or 0)


if __name__ == "__main__":
    main()
