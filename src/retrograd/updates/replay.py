"""Light training: a few more steps of a system's last stage, for documents that joined it.

Insertion places new documents with what the network knows already; this teaches it about them, while
examples of old documents are replayed so that they are not forgotten (Mehta et al. 2023, "DSI++",
arXiv 2212.09744, section 4.2, with the recipe's own pseudo-queries). Ids stay as they are, also where a
fit would move them. Weights change, so what comes out is another fit: save it as one.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.data.examples import (
    DocumentText,
    ExampleContext,
    Examples,
    ExampleSource,
    PseudoQueries,
    TermBag,
    Titles,
)
from retrograd.data.sequences import EveryPrefix
from retrograd.errors import InputError
from retrograd.recipe import Mix, Rate, Recipe, Stage, from_json, to_json
from retrograd.search.changed import settled_parts
from retrograd.search.lexical import TEXTS
from retrograd.search.parts import Parts
from retrograd.system import System, part_kinds, temporary_folder
from retrograd.training import objectives
from retrograd.training.batches import PreparedSource
from retrograd.training.fit import Judged, Run
from retrograd.training.own_queries import own_queries, pseudo_query_source
from retrograd.types import Corpus

CUT_FROM_TEXT = (PseudoQueries, DocumentText, Titles, TermBag)
"""Sources with examples for every document; of the old ones only as many are made as can be drawn."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """How much is trained."""

    steps: int = 200
    """Optimiser steps."""

    share_of_new: float = 0.2
    """Share of the rows of a batch that lead to new documents; the rest replays old ones."""

    learning_rate_factor: float = 0.1
    """Times the learning rate of the stage."""

    seed: int = 0
    """Decides which old documents are replayed, and everything random in training."""

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps={self.steps} must be at least 1")
        if not 0 < self.share_of_new <= 1:
            raise ValueError(f"share_of_new={self.share_of_new} must be in (0, 1]")
        if not self.learning_rate_factor > 0:
            raise ValueError(f"learning_rate_factor={self.learning_rate_factor} must be positive")


def train(
    system: System,
    new_ids: Collection[str],
    options: Replay | None = None,
    *,
    judged: Judged = ([], {}),
    folder: Path | None = None,
) -> System:
    """A system whose network was trained on some of its documents; the one given is left as it is.

    Args:
        new_ids: documents of the system, inserted before, that it should learn.
        judged: train queries and their judgements, which a saved system does not hold. Without them
            only texts cut from the documents are replayed. Documents that are not there are passed over.
        folder: for checkpoints, the training log and derived indexes; a temporary one by default.

    Raises:
        InputError: the recipe trains nothing, no document is new, or an id is not in the system.
    """
    chosen = options or Replay()
    stage = last_stage(system.recipe)
    _check(system, new_ids)
    folder = folder or temporary_folder()
    model = copy.deepcopy(system.model)
    run = Run(
        system.recipe,
        system.corpus,
        _known(judged, system.corpus),
        ([], {}),
        chosen.seed,
        folder,
        system.fitted,
        table=system.table,
        model=model,
    )
    light = replace(
        _with_fixed_ids(stage, model),
        name="replay",
        min_steps=chosen.steps,
        max_steps=chosen.steps,
        learning_rate=stage.learning_rate * chosen.learning_rate_factor,
        validate_every=0,
    )
    sources = _sources(run, light, new_ids, chosen)
    result = run.run_stage(len(system.recipe.stages), light, resume=False, sources=sources)
    parts = _trained_parts(system, model, folder)
    own_queries(system.recipe, parts)
    stages = [*system.manifest.get("stages", []), asdict(result)]
    return System.assemble(system.recipe, parts, system.fitted, {**system.manifest, "stages": stages})


def last_stage(recipe: Recipe) -> Stage:
    """The recipe's last stage with its objective, which a loaded system carries along unbuilt.

    Raises:
        InputError: it has none.
    """
    if not recipe.stages:
        raise InputError(f"recipe {recipe.name!r} has no stage to train; its documents are found as inserted")
    kinds = part_kinds() | {cls.__name__: cls for cls in objectives.CONFIGS}
    stage: Stage = from_json(to_json(recipe.stages[-1]), kinds)
    if any(_holds(mix.source, EveryPrefix) for mix in stage.examples):
        raise InputError(
            f"recipe {recipe.name!r} learns from what users took, which a saved system does not hold; "
            "fit it again with what they took since"
        )
    if any(_holds(mix.source, PseudoQueries) for mix in stage.examples):
        return stage
    weight = max(mix.weight for mix in stage.examples)
    added = Mix(source=pseudo_query_source(recipe), weight=weight)
    return replace(stage, examples=(*stage.examples, added))


def _check(system: System, new_ids: Collection[str]) -> None:
    if not new_ids:
        raise InputError("no document to learn was named; give the ids of those that were added")
    for unknown in sorted(set(new_ids) - system.corpus.row_of.keys())[:1]:
        raise InputError(f"document {unknown!r:.80} is not in the system; insert it first")


def _known(judged: Judged, corpus: Corpus) -> Judged:
    queries, qrels = judged
    kept = {
        query: {id: grade for id, grade in found.items() if id in corpus.row_of}
        for query, found in qrels.items()
    }
    return queries, kept


def _with_fixed_ids(stage: Stage, model: Any) -> Stage:
    """The same stage for documents that have their ids: what makes ids is neither restarted nor moved."""
    objective = stage.objective
    if hasattr(objective, "with_fixed_ids"):
        objective = objective.with_fixed_ids()
    if not hasattr(model, "document_codes"):
        return replace(stage, objective=objective)
    still = tuple(Rate(part=part, factor=0.0) for part in ("space", "quantizer"))
    return replace(stage, objective=objective, rates=(*still, *stage.rates))


def _trained_parts(system: System, model: Any, folder: Path) -> Parts:
    """The parts of the same documents with another network; derived is kept what does not depend on it."""
    parts = settled_parts(system.parts, folder)
    if hasattr(model, "document_codes"):  # its vectors did not move
        return replace(parts, model=model)
    arrays = {name: array for name, array in parts.arrays.items() if name.endswith(TEXTS)}
    return replace(parts, model=model, arrays=arrays)


def _sources(run: Run, stage: Stage, new_ids: Collection[str], options: Replay) -> list[PreparedSource]:
    """The stage's examples twice over: those of new documents, and of old ones."""
    queries, qrels = run.train
    context = ExampleContext(run.corpus, queries, qrels, run.seed, run.system, run.histories)
    new = frozenset(new_ids)
    kept = [document for document in run.corpus if document.id not in new]
    old = Corpus(kept) if kept else None
    halves = [(Only(documents=new, cut=new, background=old), options.share_of_new)]
    if old is not None and options.share_of_new < 1:
        rows = options.steps * stage.batch_size * stage.accumulation * (1 - options.share_of_new)
        most = math.ceil(rows / pseudo_query_source(run.recipe).per_document)
        drawn = np.random.default_rng([options.seed, len(old)]).permutation(len(old))[:most]
        cut = frozenset(old[row].id for row in drawn.tolist())
        halves.append((Only(documents=frozenset(old.ids), cut=cut, background=old), 1 - options.share_of_new))
    found = []
    for only, share in halves:
        drawn_from = [
            (examples, mix) for mix in stage.examples if len(examples := only.of(mix.source)(context))
        ]
        weights = np.array([mix.share(len(examples)) for examples, mix in drawn_from])
        shares = share * weights / weights.sum()
        found += [
            run.prepare_source(examples, float(s))
            for (examples, _), s in zip(drawn_from, shares, strict=True)
        ]
    return found


@dataclass(frozen=True, kw_only=True)
class Only:
    """Keeps sources to examples of certain documents."""

    documents: frozenset[str]
    """Ids that judgements may lead to."""

    cut: frozenset[str]
    """Ids among them whose text is cut into examples."""

    background: Corpus | None
    """Documents that say which terms are common; None takes all."""

    def of(self, source: Any) -> ExampleSource:
        """The source, kept to its share; one that draws from another source hands that on."""
        if hasattr(source, "source"):
            limited: ExampleSource = replace(source, source=self.of(source.source))
            return limited
        return lambda context: self._examples(source, context)

    def _examples(self, source: ExampleSource, context: ExampleContext) -> Examples:
        if not isinstance(source, CUT_FROM_TEXT):
            return self._kept(source(context), self.documents, context.corpus)
        rows = np.array([row for row, id in enumerate(context.corpus.ids) if id in self.cut], np.int64)
        some = Corpus(context.corpus[row] for row in rows.tolist())
        if isinstance(source, PseudoQueries):
            common = self.background or context.corpus
            texts = source.generator.generate(some, source.per_document, source.seed, common)
            found = Examples.from_pairs((text, row) for row, group in enumerate(texts) for text in group)
        else:
            found = source(replace(context, corpus=some))
        return replace(found, documents=rows[found.documents])

    @staticmethod
    def _kept(examples: Examples, documents: frozenset[str], corpus: Corpus) -> Examples:
        ids = corpus.ids
        kept = [at for at, row in enumerate(examples.documents.tolist()) if ids[row] in documents]
        return replace(
            examples,
            texts=[examples.texts[at] for at in kept],
            documents=examples.documents[kept],
            negatives=None if examples.negatives is None else examples.negatives[kept],
        )


def _holds(source: Any, kind: type) -> bool:
    return isinstance(source, kind) or (hasattr(source, "source") and _holds(source.source, kind))
