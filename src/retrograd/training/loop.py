"""The one training loop: runs a stage's objective on its batches, survives crashes, keeps the best weights.

Knows a model as an `nn.Module` and an objective as a callable; not which system they belong to.
Everything random in step s is drawn from (seed, stage, s), so weights, optimiser moments and a few
numbers are all a checkpoint needs, and a resumed run ends in the same bytes (same machine, same
number of threads).
"""

from __future__ import annotations

import hashlib
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from retrograd.errors import InputError, RetrogradError
from retrograd.progress import Progress
from retrograd.recipe import Stage, to_json
from retrograd.training.batches import Batch, BatchPlan, DocumentInputs, KeysOf, PreparedSource
from retrograd.training.checkpoint import (
    Checkpoint,
    delete_checkpoints,
    latest_checkpoint,
    write_checkpoint,
)
from retrograd.training.metrics_log import MetricsLog
from retrograd.training.schedule import adamw, learning_rate, trainable, update_average
from retrograd.training.torch_state import deterministic, seed_torch, without_gradient

LOG_EVERY = 10
"""Steps between lines of `metrics.jsonl`; their terms are means over the steps in between."""

MOST_BAD_STEPS = 10
"""Steps in a row without a finite gradient after which training gives up."""


@dataclass(frozen=True)
class StageResult:
    """How a stage went."""

    steps: int
    """Steps run; fewer than planned where patience ended the stage."""

    best_step: int
    """Step whose weights were kept."""

    best_measure: float | None
    """The tune measure at that step; None where nobody looked."""

    skipped_batches: int
    """Steps not applied because loss or gradient was not finite."""

    seconds: float
    """Wall-clock time over all resumed parts."""


@dataclass
class _Facts:
    """The numbers of a run that a checkpoint stores beside the tensors."""

    step: int = 0
    finished: bool = False
    best_step: int = 0
    best_measure: float | None = None
    looks_without_improvement: int = 0
    skipped: int = 0
    skipped_in_a_row: int = 0
    seconds: float = 0.0
    logged_steps: int = 0
    totals: dict[str, float] = field(default_factory=dict)


def train_stage(
    model: Any,
    stage: Stage,
    sources: Sequence[PreparedSource],
    *,
    seed: int,
    stage_index: int,
    folder: Path,
    steps: int,
    keys_of: KeysOf | None = None,
    document_inputs: DocumentInputs | None = None,
    num_documents: int = 0,
    validate: Callable[[], float] | None = None,
    watch: Callable[[], Mapping[str, Any]] | None = None,
    resume: bool = False,
    checkpoint_seconds: float = 30.0,
) -> StageResult:
    """Train `model` in place; it ends with the weights to keep, in evaluation mode.

    Kept are the best weights by `validate`, else the running average, else the last.

    Args:
        model: an `nn.Module` with `collate(prepared, rows)` beside what the objective calls.
        sources: prepared examples, drawn by their weights.
        seed: with `stage_index` and the step it decides everything random.
        folder: takes checkpoints and `metrics.jsonl`; made if missing.
        steps: optimiser steps (`stage.steps(num_documents)`).
        keys_of: see `training.batches`; needed by objectives that learn keys.
        document_inputs: see `training.batches`; needed by objectives that embed documents.
        num_documents: size of the corpus; needed by objectives that draw documents from it.
        validate: the tune measure of the model's present weights, higher is better; called every
            `stage.validate_every` steps and after the last.
        watch: figures of the present weights for the log, asked for at the start, at least once an
            epoch, and after the last step; it must not touch the weights.
        resume: go on from the last checkpoint of this stage where there is one; a finished stage
            is only loaded. Otherwise checkpoints of this and later stages are deleted.
        checkpoint_seconds: wall-clock time between checkpoints.

    Raises:
        InputError: no examples, or the checkpoint belongs to other settings.
        StorageError: a checkpoint or the log could not be written; earlier ones are intact.
        RetrogradError: ten steps in a row had no finite loss or gradient.
    """
    folder.mkdir(parents=True, exist_ok=True)
    plan = BatchPlan(
        sources,
        model.collate,
        batch_size=stage.batch_size,
        num_batches=steps * stage.accumulation,
        seed=seed,
        stage_index=stage_index,
        keys_of=keys_of,
        document_inputs=document_inputs,
        num_documents=num_documents,
    )
    if not resume:
        delete_checkpoints(folder, from_stage=stage_index)
    training = _Training(model, stage, plan, steps, folder)
    training.restore(latest_checkpoint(folder, stage_index))
    if not training.facts.finished:
        training.run(validate, watch, checkpoint_seconds)
    model.eval()
    facts = training.facts
    return StageResult(facts.step, facts.best_step, facts.best_measure, facts.skipped, facts.seconds)


class _Training:
    """One stage while it runs: the model, its optimiser, and what a checkpoint holds of both."""

    def __init__(self, model: nn.Module, stage: Stage, plan: BatchPlan, steps: int, folder: Path) -> None:
        self.model, self.stage, self.plan, self.steps, self.folder = model, stage, plan, steps, folder
        self.weights = trainable(model, stage)
        if not self.weights:
            raise InputError(f"stage {stage.name!r} has nothing to train: the model has no trainable weight")
        self.device = next(iter(self.weights.values())).device
        self.optimizer = adamw(model, stage)
        self.average = [weight.detach().clone() for weight in self.weights.values()] if stage.ema else []
        self.best: dict[str, Tensor] = {}
        self.totals: dict[str, Tensor] = {}
        self.facts = _Facts()
        self.identity = _identity(stage, plan, steps)

    def run(
        self,
        validate: Callable[[], float] | None,
        watch: Callable[[], Mapping[str, Any]] | None,
        checkpoint_seconds: float,
    ) -> None:
        facts, index = self.facts, self.plan.stage_index
        began = saved = time.monotonic()
        earlier = facts.seconds
        title = f"train {self.stage.name}"
        with (
            deterministic(self.device),
            without_gradient(self.model, self.weights.values()),
            MetricsLog(self.folder, index, facts.step) as log,
            Progress(self.steps, title, start=facts.step) as progress,
        ):
            if facts.step == 0:
                self._watch(watch, log)
            elif watch is not None:
                watch()  # a resumed run's line of this step is in the log already
            while facts.step < self.steps and not self._out_of_patience():
                self._step(log)
                facts.seconds = earlier + time.monotonic() - began
                progress.advance(**self._log_terms(log))
                self._look(validate, log)
                self._watch(watch, log)
                if time.monotonic() - saved >= checkpoint_seconds:
                    self._save(log)
                    saved = time.monotonic()
            self._keep_best()
            facts.finished = True
            facts.seconds = earlier + time.monotonic() - began
            self._save(log)

    def _step(self, log: MetricsLog) -> None:
        """One optimiser step, not applied where loss or gradient is not finite."""
        step = self.facts.step
        self.model.train()
        terms, documents = self._gradients(step)
        loss = torch.stack(list(terms.values())).sum()
        gradients = [weight.grad for weight in self.weights.values() if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients, foreach=True)
        self.facts.step = step + 1
        if not bool(torch.isfinite(norm + loss)):  # the one synchronisation of a step
            self._skip(log, loss, norm, documents)
            return
        if self.stage.clip:
            torch.nn.utils.clip_grads_with_norm_(self.weights.values(), self.stage.clip, norm, foreach=True)
        for group in self.optimizer.param_groups:
            group["lr"] = group["factor"] * learning_rate(self.stage, step, self.steps)
        self.optimizer.step()
        if self.average:
            update_average(self.average, self._weight_list(), decay=self.stage.ema, step=step)
        self._count(terms | {"gradient_norm": norm})

    def _gradients(self, step: int) -> tuple[dict[str, Tensor], list[Tensor]]:
        """Accumulated gradients; returns the mean loss terms and the document rows of the batches."""
        self.optimizer.zero_grad(set_to_none=True)
        parts = self.stage.accumulation
        sums: dict[str, Tensor] = {}
        documents = []
        for part in range(parts):
            batch, torch_seed = self.plan.batch(step * parts + part)
            seed_torch(self.device, torch_seed)
            terms = self._terms(batch.to(self.device))
            (torch.stack(list(terms.values())).sum() / parts).backward()  # type: ignore[no-untyped-call]
            for name, term in terms.items():
                sums[name] = sums.get(name, 0.0) + term.detach() / parts
            documents.append(batch.documents[batch.documents >= 0])
        return sums, documents

    def _terms(self, batch: Batch) -> Mapping[str, Tensor]:
        half = self.stage.precision == "bf16"
        with torch.autocast(self.device.type, torch.bfloat16, enabled=half):
            terms: Mapping[str, Tensor] = self.stage.objective(self.model, batch)
        return terms

    def _skip(self, log: MetricsLog, loss: Tensor, norm: Tensor, documents: list[Tensor]) -> None:
        """Say which batch had no finite gradient; give up after many in a row."""
        facts = self.facts
        facts.skipped += 1
        facts.skipped_in_a_row += 1
        rows = sorted(set(torch.cat(documents).tolist()))
        reason = f"the loss is {loss.item()}, the gradient norm {norm.item()}"
        log.write(facts.step, skipped=reason, documents=rows)
        shown = ", ".join(map(str, rows[:8])) + (" ..." if len(rows) > 8 else "")
        place = f"stage {self.stage.name!r}, step {facts.step}"
        warnings.warn(
            f"{place}: {reason}; step not applied (document rows {shown})", RuntimeWarning, stacklevel=2
        )
        if facts.skipped_in_a_row >= MOST_BAD_STEPS:
            raise RetrogradError(
                f"{place}: {MOST_BAD_STEPS} steps in a row had no finite loss or gradient; the last "
                f"checkpoint is kept, lower learning_rate (now {self.stage.learning_rate}) or see {log.path}"
            )

    def _count(self, figures: Mapping[str, Tensor]) -> None:
        self.facts.skipped_in_a_row = 0
        self.facts.logged_steps += 1
        for name, figure in figures.items():
            self.totals[name] = self.totals[name] + figure if name in self.totals else figure

    def _log_terms(self, log: MetricsLog) -> dict[str, float]:
        """Every few steps: write the mean terms since the last line and return the loss."""
        facts = self.facts
        due = facts.step % LOG_EVERY == 0 or facts.step == self.steps
        if not due or not facts.logged_steps:
            return {}
        means = {name: total.item() / facts.logged_steps for name, total in self.totals.items()}
        norm = means.pop("gradient_norm")
        loss = sum(means.values())
        rate = learning_rate(self.stage, facts.step - 1, self.steps)
        log.write(
            facts.step,
            name=self.stage.name,
            loss=loss,
            terms=means,
            gradient_norm=norm,
            learning_rate=rate,
            seconds=round(facts.seconds, 3),
        )
        self.totals.clear()
        facts.logged_steps = 0
        return {"loss": loss}

    def _look(self, validate: Callable[[], float] | None, log: MetricsLog) -> None:
        """Where due, measure the weights that would be kept and remember them if they are the best."""
        facts, every = self.facts, self.stage.validate_every
        if validate is None or not every or (facts.step % every and facts.step != self.steps):
            return
        self.model.eval()
        with self._averaged(), torch.no_grad():
            measure = validate()
            better = facts.best_measure is None or measure > facts.best_measure
            if better:
                facts.best_step, facts.best_measure = facts.step, measure
                self.best = {name: tensor.clone() for name, tensor in self.model.state_dict().items()}
        facts.looks_without_improvement = 0 if better else facts.looks_without_improvement + 1
        log.write(facts.step, name=self.stage.name, measure=self.stage.measure, value=measure)

    def _watch(self, watch: Callable[[], Mapping[str, Any]] | None, log: MetricsLog) -> None:
        """Where due, log what the watcher sees of the present weights."""
        step, every = self.facts.step, self.plan.watch_every
        if watch is not None and (step % every == 0 or step == self.steps):
            self.model.eval()
            with torch.no_grad():
                log.write(step, name=self.stage.name, watched=dict(watch()))

    def _out_of_patience(self) -> bool:
        return 0 < self.stage.patience <= self.facts.looks_without_improvement

    @contextmanager
    def _averaged(self) -> Iterator[None]:
        """The running average in place of the weights, where there is one."""
        if not self.average:
            yield
            return
        weights = self._weight_list()
        present = [weight.clone() for weight in weights]
        torch._foreach_copy_(weights, self.average)
        yield
        torch._foreach_copy_(weights, present)

    def _weight_list(self) -> list[Tensor]:
        return [weight.detach() for weight in self.weights.values()]

    def _keep_best(self) -> None:
        if self.best:
            self.model.load_state_dict(self.best)
            return
        self.facts.best_step = self.facts.step
        if self.average:
            torch._foreach_copy_(self._weight_list(), self.average)

    def _save(self, log: MetricsLog) -> None:
        log.sync()
        facts = self.facts
        facts.totals = {name: total.item() for name, total in self.totals.items()}
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        if not facts.finished:
            tensors |= {f"best.{name}": tensor for name, tensor in self.best.items()}
            tensors |= {f"average.{at:06d}": tensor for at, tensor in enumerate(self.average)}
            for at, weight in enumerate(self.weights.values()):
                moments = self.optimizer.state.get(weight, {})
                tensors |= {f"optimizer.{at}.{name}": moment for name, moment in moments.items()}
        checkpoint = Checkpoint(tensors, {"run": asdict(facts), "identity": self.identity})
        write_checkpoint(self.folder, self.plan.stage_index, facts.step, checkpoint)

    def restore(self, checkpoint: Checkpoint | None) -> None:
        """Put everything back as it was when the checkpoint was written."""
        if checkpoint is None:
            return
        if checkpoint.facts["identity"] != self.identity:
            raise InputError(
                f"{self.folder}: the checkpoint of stage {self.stage.name!r} was made with other settings, "
                "data or seed; resume with the same ones, or start anew without resume"
            )
        self.facts = _Facts(**checkpoint.facts["run"])
        self.totals = {
            name: torch.tensor(total, dtype=torch.float32, device=self.device)
            for name, total in self.facts.totals.items()
        }
        parts = _by_prefix(checkpoint.tensors)
        self.model.load_state_dict(parts.get("model", {}))
        self.best = {name: tensor.to(self.device) for name, tensor in parts.get("best", {}).items()}
        if self.average and "average" in parts:
            saved = [tensor.to(self.device) for _, tensor in sorted(parts["average"].items())]
            torch._foreach_copy_(self.average, saved)
        weights = list(self.weights.values())
        for name, moment in parts.get("optimizer", {}).items():
            at, _, kind = name.partition(".")
            self.optimizer.state[weights[int(at)]][kind] = moment.to(self.device)


def _by_prefix(tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    parts: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        prefix, _, rest = name.partition(".")
        parts.setdefault(prefix, {})[rest] = tensor
    return parts


def _identity(stage: Stage, plan: BatchPlan, steps: int) -> dict[str, Any]:
    """What must be equal for a checkpoint to be this run's."""
    examples = hashlib.sha256()
    for source in plan.sources:
        for array in (source.documents, source.negatives, source.relevant, source.lists, source.list_scores):
            examples.update(b"-" if array is None else f"{array.shape}".encode() + array.tobytes())
        examples.update(str(source.weight).encode())
    settings = to_json(stage)
    return {"stage": settings, "seed": plan.seed, "steps": steps, "examples": examples.hexdigest()}
