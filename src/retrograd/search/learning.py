"""What a searcher learns by counting: from judgements, from histories, while a system is fitted.

Knows no particular memory. A config that learns says under which name it keeps what it learnt, so that
several in one recipe may stand side by side, and those that learn the same share it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Protocol, runtime_checkable

from retrograd.data.examples import ExampleContext
from retrograd.errors import InputError
from retrograd.types import History, State


@runtime_checkable
class Learner(Protocol):
    """A search config that counts something before it can answer."""

    @property
    def memory(self) -> str:
        """Under which name what it learns is kept (see `Parts.remembered`); equal names, equal contents."""
        ...

    def learn(self, context: ExampleContext) -> State:
        """Arrays, by names without a dot.

        Raises:
            InputError: there is nothing to learn from, and without it there is no answer.
        """
        ...


def memorise(config: Any, context: ExampleContext) -> State:
    """What the search config of a recipe learns, wherever in it a learner stands; {} where there is none."""
    learners = {part.memory: part for part in parts_of(config) if isinstance(part, Learner)}
    return {
        f"{memory}.{name}": array
        for memory, learner in learners.items()
        for name, array in learner.learn(context).items()
    }


def takes_history(config: Any) -> bool:
    """Whether a search config reads `Query.history`: some part of it says `reads_history = True`."""
    return any(getattr(part, "reads_history", False) for part in parts_of(config))


def takes_text(config: Any) -> bool:
    """Whether a search config reads `Query.text`; those that do not say `reads_text = False`."""
    return bool(getattr(config, "reads_text", True))


def parts_of(config: Any) -> Iterator[Any]:
    """A config and every config inside it."""
    if isinstance(config, tuple):
        for part in config:
            yield from parts_of(part)
    elif is_dataclass(config):
        yield config
        for field in fields(config):
            yield from parts_of(getattr(config, field.name))


def histories_of(context: ExampleContext) -> list[History]:
    """The histories to count.

    Raises:
        InputError: there is none.
    """
    if not context.histories:
        raise InputError(
            "this recipe learns from what users took, and the dataset has no interactions; "
            "give items.jsonl with interactions.tsv, or RecBole files"
        )
    return list(context.histories)
