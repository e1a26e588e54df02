"""Training log: what a `metrics.jsonl` says, as curves over the steps of all stages in a row.

Reads what the training loop wrote and judges nothing. A step logged twice (a run that was killed and
resumed) counts once, as it was logged last.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

from retrograd.artifacts import from_json
from retrograd.errors import InputError


@dataclass(frozen=True)
class Curve:
    """One figure over the steps of one stage."""

    steps: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def smoothed(self, share: float = 0.05) -> list[float]:
        """Each value averaged with those just before it, together `share` of the curve.

        >>> Curve([1, 2, 3, 4], [4.0, 2.0, 0.0, 6.0]).smoothed(share=0.5)
        [4.0, 3.0, 1.0, 3.0]
        """
        width = max(1, round(share * len(self.values)))
        windows = [self.values[max(0, at - width + 1) : at + 1] for at in range(len(self.values))]
        return [sum(window) / len(window) for window in windows]


Curves = dict[str, list[Curve]]
"""Name -> one curve per stage that has it."""


@dataclass(frozen=True)
class TrainingLog:
    """One training run. Steps count on from stage to stage."""

    losses: Curves
    """By term; with several terms also their `total`."""

    validations: Curves
    """By measure, on the validation queries."""

    rates: Curves
    """Learning rate, under that name."""

    gradients: Curves
    """Norm of the gradient before clipping, under `gradient norm`: the mean since the line before."""

    steps: float
    """Of all stages together."""

    stages: tuple[tuple[str, float], ...]
    """Name of each stage and the steps taken before it."""


def read_training_log(path: Path) -> TrainingLog:
    """Curves of a log whose lines are JSON objects with `stage`, `step` and figures.

    Lines look like `{"stage": 0, "name": "s", "step": 10, "loss": 1.2, "terms": {"sequence": 1.2},
    "learning_rate": 0.001}` or `{"stage": 0, "name": "s", "step": 50, "measure": "nDCG@10", "value": 0.3}`
    (`validation` says the same as `value`; without `name` the stage is called what `stage` says); lines
    that hold neither a loss nor a measure are passed over.

    Raises:
        InputError: no such file, a line that is no such object, or not one loss or validation.
    """
    figures: dict[tuple[str, str, str], dict[float, float]] = {}
    last: dict[str, float] = {}
    names: dict[str, str] = {}
    for stage, called, step, named in _entries(path):
        names[stage] = called
        last[stage] = max(last.get(stage, 0.0), step)
        for (kind, name), value in named.items():
            figures.setdefault((kind, name, stage), {})[step] = value
    if not figures:
        raise InputError("holds no loss and no measure; is it the metrics.jsonl of a fit?", path=path)
    starts = dict(zip(last, accumulate(last.values(), initial=0.0), strict=False))
    kinds: dict[str, Curves] = {"losses": {}, "validations": {}, "rates": {}, "gradients": {}}
    for (kind, name, stage), values in figures.items():
        steps = sorted(values)
        curve = Curve([starts[stage] + step for step in steps], [values[step] for step in steps])
        kinds[kind].setdefault(name, []).append(curve)
    stages = tuple((names[stage], start) for stage, start in starts.items())
    return TrainingLog(**kinds, steps=sum(last.values()), stages=stages)


def _entries(path: Path) -> Iterator[tuple[str, str, float, dict[tuple[str, str], float]]]:
    """Stage, its name, step, and (kind, name) -> value, of each line that holds figures."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot be read as a training log: {error}", path=path) from None
    for number, line in enumerate(lines, start=1):
        try:
            entry = from_json(line)
            named = _figures(entry)
            if named:
                stage = str(entry["stage"])
                yield stage, str(entry.get("name", stage)), float(entry["step"]), named
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            reason = f"is no line of a training log ({type(error).__name__}: {error})"
            raise InputError(reason, path=path, line=number) from None


def _figures(entry: Any) -> dict[tuple[str, str], float]:
    if not isinstance(entry, dict):
        raise TypeError(f"{type(entry).__name__} is not an object")
    if "measure" in entry:
        value = entry["value"] if "value" in entry else entry["validation"]
        return {("validations", str(entry["measure"])): float(value)}
    if "loss" not in entry:
        return {}
    losses = {("losses", name): float(value) for name, value in entry.get("terms", {}).items()}
    if len(losses) != 1:
        losses["losses", "total"] = float(entry["loss"])
    return losses | {
        (kind, name.replace("_", " ")): float(entry[name])
        for kind, name in (("rates", "learning_rate"), ("gradients", "gradient_norm"))
        if name in entry
    }
