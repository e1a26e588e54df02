"""Searchers that spell docids: a beam over the trie, or the score of every docid.

Joins model, table and constraint into the `Searcher` protocol; the loops themselves are in
`beam` and `score_all`. Shapes: B queries of a batch, w beams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch import Tensor

from retrograd.constraints import Constraint, CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.inference import device_of, without_dropout
from retrograd.native import check_precision
from retrograd.search.beam import BeamResult, beam_search, check_normalise
from retrograd.search.engine import check_engine, engine_of, search_keys
from retrograd.search.look_ahead import Descendants, Planner, check_planner_scale, planner_of
from retrograd.search.parts import Parts
from retrograd.search.resolve import Resolver
from retrograd.search.score_all import best_keys, score_nodes
from retrograd.search.trace import tell
from retrograd.types import Hit, Query, Ranking

KeySearch = Callable[[dict[str, Tensor], int], BeamResult]
"""Collated queries and a number of keys wanted -> the best keys."""

PLANNED = "planned"
"""Among collated queries: (B, nodes) float, what a planner thinks of each prefix."""


@dataclass(frozen=True, kw_only=True)
class Beam:
    """Beam search over legal docids."""

    width: int = 20
    """Beams kept per query. More is slower and finds more. A search for k documents widens the
    beam to k, and on until k documents are found where several keys name the same one."""

    widen: bool = True
    """False: a search for k documents widens the last level only, so that `width` prefixes lead to
    all answers, and those may be fewer than k."""

    planner: Any = None
    """Config of a searcher, such as `Lexical`, whose scores say which prefixes stay: the best document
    below one is added to its score. The order of the answers is the model's alone."""

    planner_weight: float = 1.0
    """What the planner's best document is worth, in units of a log-probability."""

    planner_depth: int = 1000
    """Documents asked of the planner."""

    planner_scale: str = "z_score"
    """Its scores are divided by the largest of a query (`max`), or standardised (`z_score`)."""

    normalise: str = "level"
    """Log-probabilities over the `level`'s vocabulary, over the legal `children` only, or raw
    logits (`none`)."""

    batch_size: int = 32
    """Queries decoded together; changes speed, not answers."""

    engine: str = "auto"
    """Who runs the beam: `native` (compiled), `torch`, or `auto`, which is native wherever that can
    serve the model."""

    precision: str = "fp32"
    """What the compiled beam keeps the decoder's weights in: `fp32`, `bf16` or `int8`. Fewer bits take less
    memory and move scores; `agreement.agreement_of_precision` says by how much. Torch ignores it."""

    def __post_init__(self) -> None:
        for name in ("width", "planner_depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")
        check_planner_scale(self.planner_scale)
        check_engine(self.engine)
        check_precision(self.precision)
        if self.engine == "native" and not self.widen:
            raise ValueError("engine='native' widens every level; with widen=False choose 'auto' or 'torch'")
        check_settings(self.normalise, self.batch_size)

    def build(self, parts: Parts) -> GenerativeSearcher:
        """Ready to answer; builds the trie, unless the parts have one.

        Raises:
            ValueError: the system has no docids or no model, or, with a planner, docids of other
                documents than the corpus.
        """
        model, table = decoded_parts(parts)
        if self.planner is None:
            return beam_searcher(self, model, table, parts.trie)
        if table.document_ids != parts.corpus.ids:
            raise ValueError("the docid table names other documents than the corpus; fit the docids again")
        below = Descendants.from_table(table)
        return beam_searcher(self, model, table, below.trie, plan=planner_of(self, parts, below))


@dataclass(frozen=True, kw_only=True)
class ScoreAll:
    """The score of every docid: exact, and slower than a beam except for one-token docids."""

    normalise: str = "level"
    """As in `Beam`."""

    batch_size: int = 8
    """Queries scored together; memory grows with it times the number of docids."""

    block: int = 2048
    """Decoder rows in one step, about."""

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block={self.block} must be at least 1")
        check_settings(self.normalise, self.batch_size)

    def build(self, parts: Parts) -> GenerativeSearcher:
        """Ready to answer; builds the trie.

        Raises:
            ValueError: the system has no docids or no model.
        """
        model, table = decoded_parts(parts)
        trie = CsrTrie.from_table(table)

        def best(inputs: dict[str, Tensor], count: int) -> BeamResult:
            steps = score_nodes(model, inputs, trie, normalise=self.normalise, block=self.block)
            return best_keys(steps, trie, count)

        return GenerativeSearcher(model, Resolver(table), best, batch_size=self.batch_size)


def check_settings(normalise: str, batch_size: int) -> None:
    """ValueError unless the mode is known and a batch holds a query."""
    check_normalise(normalise)
    if batch_size < 1:
        raise ValueError(f"batch_size={batch_size} must be at least 1")


def decoded_parts(parts: Parts) -> tuple[Any, DocidTable]:
    """A system's model and its docids.

    Raises:
        ValueError: it lacks one, or they do not belong together.
    """
    if parts.model is None or parts.table is None:
        missing = "model" if parts.model is None else "docid table"
        raise ValueError(f"generative search needs a {missing}; give the recipe docids and a sequence model")
    if parts.model.level_sizes != parts.table.level_sizes:
        raise ValueError(
            f"the docid table has level sizes {parts.table.level_sizes} but the model emits "
            f"{parts.model.level_sizes}; call the model's `resize`, or load the table it was built for"
        )
    return parts.model, parts.table


def beam_searcher(
    config: Beam,
    model: Any,
    table: DocidTable,
    constraint: Constraint,
    allowed: np.ndarray | None = None,
    plan: Planner | None = None,
) -> GenerativeSearcher:
    """A beam over any constraint, such as an allow-list.

    Args:
        constraint: legal keys of `table`.
        allowed: (documents,) bool, what may be answered where a key also names something else.
        plan: what guides the beam, by the nodes of the table's trie.
    """
    mode = config.normalise

    def best(inputs: dict[str, Tensor], count: int) -> BeamResult:
        planned = inputs.get(PLANNED)
        prior = None if planned is None else config.planner_weight * planned
        if not config.widen:
            return beam_search(
                model, inputs, constraint, width=config.width, normalise=mode, prior=prior, keep=count
            )
        return search_keys(
            model,
            inputs,
            constraint,
            width=max(config.width, count),
            normalise=mode,
            prior=prior,
            engine=config.engine,
            precision=config.precision,
        )

    chosen = engine_of(config.engine if config.widen else "torch", model, constraint, config.precision)
    resolver, size = Resolver(table, allowed), config.batch_size
    return GenerativeSearcher(
        model, resolver, best, batch_size=size, engine=chosen, plan=plan, once=not config.widen
    )


class GenerativeSearcher:
    """Implements `Searcher` over one way of finding the best keys."""

    def __init__(
        self,
        model: Any,
        resolver: Resolver,
        find: KeySearch,
        *,
        batch_size: int,
        engine: str = "torch",
        plan: Planner | None = None,
        once: bool = False,
    ) -> None:
        self.model, self.resolver, self._find, self.batch_size = model, resolver, find, batch_size
        self._plan, self._once, self.engine = plan, once, engine
        """`torch`, or `native` with the processor target it was chosen for."""

    def search(self, queries: Sequence[Query], k: int) -> Ranking:
        """The `k` best documents of each query; every hit says its path and steps.

        Raises:
            ValueError: k below 1.
        """
        if k < 1:
            raise ValueError(f"k={k} must be at least 1")
        if not queries:
            return Ranking((), ())
        with without_dropout(self.model):
            hits = self._search(queries, k)
        return Ranking(tuple(query.id for query in queries), hits)

    def _search(self, queries: Sequence[Query], k: int) -> tuple[tuple[Hit, ...], ...]:
        texts = [query.text for query in queries]
        encoder, device = self.model.encoder, device_of(self.model)
        prepared = encoder.prepare(texts, "query")
        # like lengths together: less padding, and a stable sort keeps the batches reproducible
        lengths = getattr(prepared, "lengths", np.zeros(len(texts), np.int64))
        order = np.argsort(lengths, kind="stable")
        found: dict[int, tuple[Hit, ...]] = {}
        for first in range(0, len(texts), self.batch_size):
            rows = order[first : first + self.batch_size]
            inputs = {name: value.to(device) for name, value in encoder.collate(prepared, rows).items()}
            if self._plan is not None:
                inputs[PLANNED] = self._plan([queries[row] for row in rows]).to(device)
            found |= zip(rows.tolist(), self._answer(inputs, k), strict=True)
        return tuple(found[row] for row in range(len(texts)))

    def _answer(self, inputs: dict[str, Tensor], k: int) -> list[tuple[Hit, ...]]:
        """Hits of one batch; queries whose keys name too few documents ask for more keys, alone, so
        that no answer depends on the company it was asked in."""
        wanted, num_keys = min(k, self.resolver.num_reachable), len(self.resolver.table)
        count = min(k, num_keys)
        hits = self._hits(self._find(inputs, count), k)
        short = [row for row, found in enumerate(hits) if len(found) < wanted]
        while short and count < num_keys and not self._once:
            count = min(2 * count, num_keys)
            again = self._find({name: value[short] for name, value in inputs.items()}, count)
            for row, found in zip(short, self._hits(again, k), strict=True):
                hits[row] = found
            short = [row for row in short if len(hits[row]) < wanted]
        return hits

    def _hits(self, result: BeamResult, k: int) -> list[tuple[Hit, ...]]:
        tell(self.resolver, result)
        columns = (result.keys, result.scores, result.paths, result.steps)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        return [self.resolver.hits(keys, scores, paths, steps, k) for keys, scores, paths, steps in rows]
