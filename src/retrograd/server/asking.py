"""The kinds of question a system is asked over HTTP, and how each is answered on the system's thread.

Questions of an equal kind are answered in one call. Knows live systems; neither requests nor JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from retrograd.errors import InputError
from retrograd.search import trace
from retrograd.search.by_vector import has_vectors
from retrograd.search.learning import takes_history, takes_text
from retrograd.server.refusals import RefusedError
from retrograd.system import System
from retrograd.types import Hit, Query

if TYPE_CHECKING:
    from retrograd.updates.live import LiveSystem

MOST_KEYS = 256
"""Of a beam that are shown."""


class Found(NamedTuple):
    """The answer to one question."""

    hits: tuple[Hit, ...]
    beam: tuple[trace.KeptKey, ...] | None = None
    """What the search kept to its end, where that was asked for."""


class Engines:
    """The same systems with another engine, built when first asked for and kept for one generation."""

    def __init__(self) -> None:
        self._system: System | None = None
        self._made: dict[str, System] = {}

    def of(self, system: System, engine: str) -> System:
        """The system as it searches with `engine`; `auto` is what its recipe says.

        Raises:
            RefusedError: it has no such engine.
        """
        if engine == "auto":
            return system
        if self._system is not system:
            self._system, self._made = system, {}
        if engine not in self._made:
            self._made[engine] = _with_engine(system, engine)
        return self._made[engine]


def _with_engine(system: System, engine: str) -> System:
    search, found = _set_engine(system.recipe.search, engine)
    if not found:
        if engine == "torch":
            return system
        raise RefusedError(422, "engine: the search of this system has no compiled engine; choose auto")
    try:
        recipe = replace(system.recipe, search=search)
        return System.assemble(recipe, system.parts, system.fitted, system.manifest)
    except InputError as error:
        raise RefusedError(422, f"engine: {error}") from None


def _set_engine(config: Any, engine: str) -> tuple[Any, bool]:
    """A search config with every field `engine` in it set, and whether there was one."""
    if isinstance(config, tuple):
        pairs = [_set_engine(inner, engine) for inner in config]
        return tuple(inner for inner, _ in pairs), any(found for _, found in pairs)
    if not is_dataclass(config) or isinstance(config, type):
        return config, False
    changed: dict[str, Any] = {}
    for field in fields(config):
        value, found = getattr(config, field.name), field.name == "engine"
        inner = (engine, True) if found else _set_engine(value, engine)
        if inner[1]:
            changed[field.name] = inner[0]
    return (replace(config, **changed), True) if changed else (config, False)


def takes(system: System) -> tuple[str, ...]:
    """Which questions it understands."""
    search = system.recipe.search
    answers = {
        "query": takes_text(search),
        "history": takes_history(search),
        "vector": has_vectors(system.parts),
    }
    return tuple(kind for kind, answered in answers.items() if answered)


def where_key(filters: Mapping[str, Any]) -> str:
    """Filters as a value that can be compared; "" for none."""
    return json.dumps(filters, sort_keys=True) if filters else ""


@dataclass(frozen=True)
class Texts:
    """Questions in words, with or without a past."""

    k: int
    where: str = ""
    """From `where_key`."""

    engine: str = "auto"
    explain: bool = False

    def answer(self, live: LiveSystem, engines: Engines, questions: Sequence[Query]) -> list[Found]:
        """All of them in one search; those to be explained one by one."""
        where = json.loads(self.where) if self.where else {}
        _check_fields(live.system, where)
        if self.explain:
            return [self._explained(live.system, engines, question, where) for question in questions]
        if self.engine == "auto":
            ranking = live.search(questions, self.k, where=where)
        else:
            ranking = engines.of(live.system, self.engine).search(questions, self.k, where=where)
        return [Found(hits) for hits in ranking.hits]

    def _explained(
        self, system: System, engines: Engines, question: Query, where: Mapping[str, Any] | None
    ) -> Found:
        with trace.listening() as heard:
            ranking = engines.of(system, self.engine).search([question], self.k, where=where)
        beam = trace.kept_keys(heard[-1])[:MOST_KEYS] if heard else []
        return Found(ranking.hits[0], tuple(beam))


@dataclass(frozen=True)
class Vectors:
    """Questions that are vectors of one width."""

    k: int
    width: int
    where: str = ""

    def answer(
        self, live: LiveSystem, engines: Engines, questions: Sequence[tuple[float, ...]]
    ) -> list[Found]:
        """All of them in one search."""
        del engines
        where = json.loads(self.where) if self.where else {}
        _check_fields(live.system, where)
        try:
            ranking = live.system.search_vectors([list(vector) for vector in questions], self.k, where=where)
        except InputError:
            refused = "vector: it has another length than the vectors of the documents"
            raise RefusedError(422, refused) from None
        return [Found(hits) for hits in ranking.hits]


def _check_fields(system: System, where: Mapping[str, Any]) -> None:
    if any(name not in system.fields.names for name in where):
        raise RefusedError(422, "filters: a field that no document has")
