"""A retrieval system as a value: docids, examples, model, objectives in stages, search.

Only the choices stand here. What they do lives on the floors below, the loop that runs the stages
on the floor above; two systems differ by the fields of their recipes and by nothing else.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Protocol, get_type_hints

from retrograd.errors import InputError


class Objective(Protocol):
    """What a stage minimises: named loss terms of a model on a batch, summed by the loop."""

    def __call__(self, model: Any, batch: Any) -> Mapping[str, Any]:
        """Terms, each a () tensor."""
        ...


@dataclass(frozen=True, kw_only=True)
class Mix:
    """One source of examples and how often the batches draw from it."""

    source: Any
    """An example source of `data.examples`."""

    weight: float = 1.0
    """Share of the batch rows, relative to the other sources of the stage."""

    by_size: float = 0.0
    """The weight is multiplied by the number of examples to this power: at 0 shares are fixed, at 1
    every example is seen equally often, so few labels are not repeated until they are learnt by heart."""

    def __post_init__(self) -> None:
        if not self.weight > 0:
            raise ValueError(f"weight={self.weight} must be positive; leave the source out instead")
        if not 0 <= self.by_size <= 1:
            raise ValueError(f"by_size={self.by_size} must be in [0, 1]")

    def share(self, examples: int) -> float:
        """Weight of a source that gave so many examples.

        >>> Mix(source=None, weight=2.0, by_size=0.5).share(16)
        8.0
        """
        return float(self.weight * examples**self.by_size)


@dataclass(frozen=True, kw_only=True)
class Rate:
    """A part of the network that learns at its own pace in a stage."""

    part: str
    """Start of its parameters' names, such as `space` or `quantizer.codebooks`."""

    factor: float
    """Times the stage's learning rate; 0 keeps the part as it is."""

    decays: bool = True
    """False: no weight decay on it."""

    def __post_init__(self) -> None:
        if not self.factor >= 0:
            raise ValueError(f"factor={self.factor} must be at least 0")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One leg of training: an objective on a mix of examples for so many steps."""

    name: str
    objective: Any
    """An objective of `training.objectives`: `(model, batch) -> named terms`."""

    examples: tuple[Mix, ...]
    samples_per_document: float = 64.0
    """Training rows drawn per document of the corpus; with `batch_size` it sets the steps, so one
    setting serves small and large collections."""

    min_steps: int = 200
    max_steps: int = 20_000
    batch_size: int = 256
    learning_rate: float = 1e-3
    """Peak of AdamW's schedule."""

    rates: tuple[Rate, ...] = ()
    """Parts that learn slower or faster; the first whose name fits a parameter counts."""

    warmup: float = 0.05
    """Share of the steps over which the rate rises linearly from 0."""

    decay: str = "linear"
    """After warm-up: `linear` or `cosine` to 0, or `constant`."""

    weight_decay: float = 0.01
    clip: float = 1.0
    """Largest global gradient norm; 0 leaves gradients alone."""

    accumulation: int = 1
    """Batches whose gradients are averaged into one step."""

    precision: str = "fp32"
    """`fp32`, or `bf16` for autocast."""

    ema: float = 0.0
    """Decay of the averaged weights that are kept instead of the last; 0 keeps the last."""

    validate_every: int = 0
    """Steps between looks at the tune split; 0 never looks and keeps the last weights."""

    measure: str = "nDCG@10"
    """What decides which weights were best (an ir-measures name)."""

    patience: int = 0
    """Looks without improvement after which the stage ends; 0 goes on to the last step."""

    def __post_init__(self) -> None:
        if self.decay not in DECAYS:
            raise ValueError(f"decay={self.decay!r}; choose one of {', '.join(DECAYS)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision={self.precision!r}; choose one of {', '.join(PRECISIONS)}")
        if self.batch_size < 1 or self.accumulation < 1 or self.min_steps < 1:
            raise ValueError("batch_size, accumulation and min_steps must be at least 1")
        if not 0 <= self.ema < 1 or not 0 <= self.warmup <= 1:
            raise ValueError(f"ema={self.ema} must be in [0, 1) and warmup={self.warmup} in [0, 1]")

    def steps(self, num_documents: int) -> int:
        """Optimiser steps on a corpus of this size.

        >>> Stage(name="s", objective=None, examples=(), samples_per_document=64, batch_size=128).steps(1400)
        700
        """
        rows = self.samples_per_document * num_documents
        wanted = -(-rows // (self.batch_size * self.accumulation))
        return int(min(max(wanted, self.min_steps), self.max_steps))


DECAYS = ("linear", "cosine", "constant")
PRECISIONS = ("fp32", "bf16")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The six choices (the order of `stages` is the sixth)."""

    name: str
    summary: str
    """One line for `retrograd recipes list`."""

    search: Any
    """A searcher config of `search`."""

    docids: Any = None
    """A scheme of `docids`, or None for systems without identifiers."""

    model: Any = None
    """A model config of `models`, or None (lexical search)."""

    stages: tuple[Stage, ...] = ()
    cites: tuple[str, ...] = ()
    """Keys into `recipes.bibliography`."""

    tune_fraction: float = 0.15
    """Share of the train queries (by hash of the id) kept out of training to pick weights by."""


def to_json(value: Any) -> Any:
    """A tree of configs as JSON values; each config says its class under `kind`.

    >>> to_json(Mix(source=None, weight=2.0))
    {'kind': 'Mix', 'source': None, 'weight': 2.0, 'by_size': 0.0}
    """
    if isinstance(value, Unbuilt):
        return json.loads(value.json)
    if is_dataclass(value) and not isinstance(value, type):
        return {"kind": type(value).__name__} | {
            f.name: to_json(getattr(value, f.name)) for f in fields(value)
        }
    if isinstance(value, tuple | list):
        return [to_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"a config holds numbers, strings and configs, not {type(value).__name__}")


@dataclass(frozen=True)
class Unbuilt:
    """A part that was read but whose class lives on a higher floor; written back unchanged."""

    kind: str
    json: str
    """The part as `to_json` wrote it, as JSON text (which keeps this value hashable)."""


def from_json(value: Any, kinds: Mapping[str, type], *, keep_unknown: bool = False) -> Any:
    """The configs that `to_json` wrote.

    Args:
        kinds: every class that may appear, by name.
        keep_unknown: carry other kinds along as `Unbuilt` instead of refusing them.

    Raises:
        InputError: an unknown kind or field, or a value that it cannot have: the file is foreign or newer
            than this library.

    >>> from_json(to_json(Mix(source=None)), {"Mix": Mix})
    Mix(source=None, weight=1.0, by_size=0.0)
    """
    if isinstance(value, list):
        return tuple(from_json(item, kinds, keep_unknown=keep_unknown) for item in value)
    if not isinstance(value, dict):
        return value
    name = value.get("kind", "")
    kind = kinds.get(name) if isinstance(name, str) else None
    if kind is None and keep_unknown and "kind" in value:
        return Unbuilt(value["kind"], json.dumps(value))
    if kind is None:
        raise InputError(f"recipe part {name!r:.80} is not known to this version of retrograd")
    given = {
        name: from_json(item, kinds, keep_unknown=keep_unknown)
        for name, item in value.items()
        if name != "kind"
    }
    unknown = given.keys() - {f.name for f in fields(kind)}
    if unknown:
        raise InputError(
            f"{kind.__name__} has no field {sorted(unknown)!r:.200}; the recipe is from another version"
        )
    try:
        return kind(**given)
    except (TypeError, ValueError, AttributeError) as error:  # a field is missing, or holds another kind
        raise InputError(f"recipe part {kind.__name__}: {' '.join(str(error).split()):.300}") from error


def override(value: Any, path: str, text: str) -> Any:
    """A copy with one field, named by a dotted path, set from text (`--set path=value`).

    Tuples are indexed by number; the text is read as the type of the value it replaces.

    Raises:
        InputError: no such field, or a text that is not of the field's type.

    >>> override(Mix(source=None), "weight", "3").weight
    3.0
    """
    head, _, rest = path.partition(".")
    if isinstance(value, tuple):
        if not head.isdigit() or int(head) >= len(value):
            raise InputError(f"{head!r} must be a position from 0 to {len(value) - 1}")
        at = int(head)
        return (*value[:at], _override_leaf(value[at], rest, text, None), *value[at + 1 :])
    names = [f.name for f in fields(value)] if is_dataclass(value) else []
    if head not in names:
        raise InputError(f"{type(value).__name__} has no field {head!r}; it has {', '.join(names) or 'none'}")
    assert not isinstance(value, type)
    hint = get_type_hints(type(value)).get(head)
    try:
        return dataclasses.replace(value, **{head: _override_leaf(getattr(value, head), rest, text, hint)})
    except ValueError as error:
        raise InputError(f"--set {path}={text}: {error}") from None


def _override_leaf(current: Any, rest: str, text: str, hint: Any) -> Any:
    if rest:
        return override(current, rest, text)
    if isinstance(current, bool):
        if text.lower() not in ("true", "false"):
            raise InputError(f"{text!r} must be true or false")
        return text.lower() == "true"
    if isinstance(current, int | float):
        number = float(text)
        if not math.isfinite(number):
            raise InputError(f"{text!r} must be a finite number")
        if isinstance(current, float) or hint is float:
            return number
        if number != int(number):
            raise InputError(f"{text!r} must be a whole number")
        return int(number)
    if isinstance(current, str):
        return text
    raise InputError(f"a {type(current).__name__} cannot be set from text; set one of its fields")


def differences(one: Any, two: Any, path: str = "") -> list[tuple[str, Any, Any]]:
    """(path, value in one, value in two) wherever two recipes differ.

    >>> differences(Mix(source=None), Mix(source=None, weight=2.0))
    [('weight', 1.0, 2.0)]
    """
    if is_dataclass(one) and type(one) is type(two):
        assert not isinstance(one, type)
        found = []
        for f in fields(one):
            found += differences(getattr(one, f.name), getattr(two, f.name), f"{path}.{f.name}".lstrip("."))
        return found
    if isinstance(one, tuple) and isinstance(two, tuple) and len(one) == len(two):
        found = []
        for at, (left, right) in enumerate(zip(one, two, strict=True)):
            found += differences(left, right, f"{path}.{at}".lstrip("."))
        return found
    return [] if one == two else [(path, one, two)]
