"""One training step: our loop against Hugging Face's `Trainer`, from the same weights, on the same texts.

A T5-like network learns to spell the id of a text, 4 of 256 codes, which its words give away. Both sides
draw batches of 32 from the same texts, pad each to its longest, and step with AdamW at the same rate without
decay, clipping or dropout, in float32 or under bfloat16 autocast. Sides take turns of `--steps` steps, each
from the weights it ended with; the first turn of a side is not counted. Compared are CPU times a step, and
the mean loss of each turn, for a fast step that learns less is none. `Trainer` needs `accelerate`.

    PYTHONPATH=src OMP_NUM_THREADS=1 python benchmarks/training_step.py --steps 100 --turns 4
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from decoding import CODES, LEVELS, NETWORKS, SPECIALS, WORDS, networks
from grid import hardware

from retrograd.models.ragged import Ragged
from retrograd.recipe import Stage
from retrograd.training.batches import PreparedSource
from retrograd.training.loop import train_stage
from retrograd.training.objectives.sequence import SequenceLikelihood

BATCH, TEXTS, RATE = 32, 8192, 1e-3
LENGTHS = (8, 32)
"""Tokens of a text, from and to."""

PRECISIONS = ("fp32", "bf16")
GOALS = {"fp32": 1.25, "bf16": 2.0}
"""CPU time of a step of theirs over ours, at least."""

RESULTS = Path(__file__).parent / "results"

Turn = Callable[[int], tuple[float, float]]
"""Number of steps -> CPU seconds, mean loss in nats per token."""


def texts(seed: int) -> tuple[list[list[int]], np.ndarray]:
    """Token rows of many lengths, and (TEXTS, LEVELS) tokens of their ids, each code said by a first word."""
    draw = np.random.default_rng(seed)
    lengths = draw.integers(*LENGTHS, TEXTS)
    rows = [draw.integers(SPECIALS, WORDS, length).tolist() for length in lengths]
    codes = np.array([row[:LEVELS] for row in rows]) % CODES
    return rows, codes + SPECIALS + np.arange(LEVELS) * CODES


def our_turn(model: Any, rows: list[list[int]], keys: np.ndarray, precision: str, scratch: Path) -> Turn:
    """Training goes on where the turn before ended, with an optimiser of its own."""
    tokens = Ragged.of([np.array(row, np.int32) for row in rows], np.zeros(0, np.int32))
    source = PreparedSource(prepared=tokens, documents=np.arange(len(rows)))
    turns = iter(range(1 << 30))

    def turn(steps: int) -> tuple[float, float]:
        stage = Stage(
            name="turn",
            objective=SequenceLikelihood(),
            examples=(),
            batch_size=BATCH,
            learning_rate=RATE,
            warmup=0.0,
            decay="constant",
            weight_decay=0.0,
            clip=0.0,
            precision=precision,
        )
        folder, number = scratch / f"ours-{precision}", next(turns)
        (folder / "metrics.jsonl").unlink(missing_ok=True)
        began = time.process_time()
        train_stage(
            model,
            stage,
            [source],
            seed=number,
            stage_index=0,
            folder=folder,
            steps=steps,
            keys_of=lambda documents, _: keys[documents],
        )
        taken = time.process_time() - began
        lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
        losses = [line["loss"] for line in lines if "loss" in line]
        return taken, statistics.mean(losses) / LEVELS

    return turn


def their_turn(model: Any, rows: list[list[int]], keys: np.ndarray, precision: str, scratch: Path) -> Turn:
    """`Trainer` with its defaults but for what both sides share."""
    examples = [{"input_ids": row, "labels": key} for row, key in zip(rows, keys.tolist(), strict=True)]
    turns = iter(range(1 << 30))

    def padded(batch: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
        tokens = [torch.tensor(one["input_ids"]) for one in batch]
        ids = torch.nn.utils.rnn.pad_sequence(tokens, batch_first=True)
        return {
            "input_ids": ids,
            "attention_mask": (ids > 0).long(),
            "labels": torch.tensor([one["labels"] for one in batch]),
        }

    def turn(steps: int) -> tuple[float, float]:
        arguments = transformers.TrainingArguments(
            output_dir=str(scratch / f"theirs-{precision}"),
            per_device_train_batch_size=BATCH,
            max_steps=steps,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            weight_decay=0.0,
            max_grad_norm=0.0,
            bf16=precision == "bf16",
            use_cpu=True,
            seed=next(turns),
            logging_steps=10,
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        trainer = transformers.Trainer(
            model=model, args=arguments, train_dataset=examples, data_collator=padded
        )
        trainer.remove_callback(transformers.trainer_callback.PrinterCallback)
        began = time.process_time()
        trainer.train()
        taken = time.process_time() - began
        return taken, statistics.mean(line["loss"] for line in trainer.state.log_history if "loss" in line)

    return turn


def contest(steps: int, turns: int, seed: int) -> dict[str, Any]:
    """Milliseconds a step and the last loss of every side and precision."""
    rows, keys = texts(seed)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        sides: dict[str, Turn] = {}
        for precision in PRECISIONS:
            folder = Path(scratch) / precision
            theirs, ours = networks(folder, seed, NETWORKS["small"] | {"dropout_rate": 0.0})
            ours.train()
            sides[f"ours {precision}"] = our_turn(ours, rows, keys, precision, folder)
            sides[f"Trainer {precision}"] = their_turn(theirs, rows, keys, precision, folder)
        taken: dict[str, list[float]] = {side: [] for side in sides}
        losses: dict[str, list[float]] = {side: [] for side in sides}
        for number in range(turns + 1):
            for side, turn in sides.items():
                seconds, loss = turn(steps)
                losses[side].append(round(loss, 4))
                if number:
                    taken[side].append(1000 * seconds / steps)
            print({side: values[-1] for side, values in losses.items()}, flush=True)
    for side, milliseconds in taken.items():
        found[side] = {"ms_a_step": round(min(milliseconds), 2), "losses": losses[side]}
    return found


def main() -> None:
    """Measure, print ratios, write a dated file."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--turns", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    threads = int(os.environ.get("OMP_NUM_THREADS", os.cpu_count() or 1))
    torch.set_num_threads(threads)
    found = contest(options.steps, options.turns, options.seed)
    ratios = {
        precision: round(
            found[f"Trainer {precision}"]["ms_a_step"] / found[f"ours {precision}"]["ms_a_step"], 2
        )
        for precision in PRECISIONS
    }
    for precision, ratio in ratios.items():
        print(f"{precision}: {ratio} {'met' if ratio >= GOALS[precision] else 'MISSED'}")
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    report = {"date": today, "hardware": hardware(), "threads": threads, **versions, "steps": options.steps}
    report |= {"sides": found, "ratios": ratios, "goals": GOALS}
    path = RESULTS / f"training-step-{today}.json"
    path.write_text(json.dumps(report, indent=1) + "\n")
    print(path.name)


if __name__ == "__main__":
    main()
