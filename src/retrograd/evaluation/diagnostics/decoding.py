"""Decoding: where a beam loses what is relevant, what a perfect look-ahead would bring, what masking costs.

Runs beams of several widths over a system's own model and trie; where enumerating all keys is cheap, it
also knows what no beam sees. Computes figures; how they look is in `decoding_figures`.
Shapes: B queries of a batch, w beams, N trie nodes, n keys, L levels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.errors import InputError
from retrograd.evaluation.diagnostics.divergence import (
    StepDivergence,
    masses,
    prefix_numbers,
    simpson,
    step_divergence,
)
from retrograd.evaluation.diagnostics.report import plain_values
from retrograd.evaluation.diagnostics.subject import restricted, some_queries
from retrograd.evaluation.measures import evaluate
from retrograd.progress import track
from retrograd.types import Hit, Qrels, Query, Ranking

if TYPE_CHECKING:
    from torch import Tensor

    from retrograd.constraints import CsrTrie
    from retrograd.docid_table import DocidTable
    from retrograd.search.beam import BeamResult
    from retrograd.search.resolve import Resolver

_QUERIES_AT_ONCE = 32


@dataclass(frozen=True, kw_only=True)
class BeamSettings:
    """What is looked at."""

    k: int = 10
    """Answers that are judged."""

    widths: tuple[int, ...] = (1, 2, 5, 10, 20, 50)
    shares: tuple[float, ...] = (0.5, 0.2, 0.1, 0.05, 0.02)
    """Of the catalogue, for the divergence."""

    draws: int = 20
    """Random parts of the catalogue per share."""

    seed: int = 0
    most_queries: int = 500
    """Of more, so many are drawn."""

    most_exact: int = 200
    """Queries whose keys are all scored, at most."""

    most_rows: int = 1_000_000
    """Decoder rows that all scores may cost together."""

    least_exact: int = 5
    """With fewer queries than that, exact figures are left out."""

    @property
    def measures(self) -> tuple[str, ...]:
        """Names as in `evaluation.measures`."""
        return f"R@{self.k}", f"nDCG@{self.k}"


@dataclass(frozen=True, kw_only=True)
class Decoder:
    """What spells the ids of a system."""

    name: str
    model: Any
    table: DocidTable
    trie: CsrTrie
    resolver: Resolver
    normalise: str

    def batches(self, queries: Sequence[Query], what: str) -> Iterator[tuple[Sequence[Query], Any]]:
        """A few queries at a time, with a model that has encoded them; shows how far it is."""
        from retrograd.models.inference import device_of
        from retrograd.search.geometric_searcher import Encoded

        prepared = self.model.prepare([query.text for query in queries], "query")
        for first in track(range(0, len(queries), _QUERIES_AT_ONCE), what):
            some = queries[first : first + _QUERIES_AT_ONCE]
            inputs = self.model.collate(prepared, np.arange(first, first + len(some)))
            memory = self.model.encode({at: value.to(device_of(self.model)) for at, value in inputs.items()})
            yield some, Encoded(self.model, memory)


@dataclass(frozen=True, kw_only=True)
class BeamFigures:
    """One width."""

    width: int
    measures: dict[str, float]
    prefix_recall: tuple[float, ...]
    """Per level: share of the relevant documents one of whose prefixes is still in the beam."""


@dataclass(frozen=True, kw_only=True)
class LookAhead:
    """One width, by the same queries: without and with a prior that knows the best key below a prefix."""

    width: int
    plain: dict[str, float]
    perfect: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class DecodingDiagnosis:
    """All figures; what needs all scores is empty where these are too dear, and `left_out` says so."""

    name: str
    num_documents: int
    num_keys: int
    num_queries: int
    k: int
    normalise: str
    beams: tuple[BeamFigures, ...]
    num_exact: int = 0
    """Queries behind the figures that follow."""

    look_ahead: tuple[LookAhead, ...] = ()
    ceiling: dict[str, float] | None = None
    """Measures of the ranking of all keys by their scores: what this model has to give."""

    divergence: tuple[StepDivergence, ...] = ()
    simpson: tuple[float, ...] = ()
    """Per level: mean Simpson index of the keys below a prefix, prefixes weighted by their mass."""

    left_out: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Every figure as plain JSON values."""
        plain: dict[str, Any] = plain_values(self)
        return plain


def decoder_of(system: Any, name: str) -> Decoder:
    """The decoder of a fitted `System`.

    Raises:
        InputError: it has none that spells ids for a text; says why.
    """
    from retrograd.constraints import CsrTrie
    from retrograd.search.generative import decoded_parts
    from retrograd.search.learning import takes_text
    from retrograd.search.resolve import Resolver

    if system.table is None:
        raise InputError(
            f"{name} has no docids, so there is no decoding to look at; see its other diagnostics"
        )
    if not takes_text(system.recipe.search):
        raise InputError(f"{name} reads histories; decoding is looked at for systems that are asked texts")
    if not all(hasattr(system.model, part) for part in ("level_sizes", "prepare", "start", "step")):
        raise InputError(f"{name} does not spell its docids token by token, so there is no beam to look at")
    model, table = decoded_parts(system.parts)
    normalise = getattr(system.recipe.search, "normalise", "level")
    return Decoder(
        name=name,
        model=model,
        table=table,
        trie=CsrTrie.from_table(table),
        resolver=Resolver(table),
        normalise=normalise,
    )


def diagnose_decoding(
    decoder: Decoder, queries: Sequence[Query], qrels: Qrels, settings: BeamSettings | None = None
) -> DecodingDiagnosis:
    """Take every figure that is affordable.

    Raises:
        InputError: no query has a relevant document that an id names.
    """
    import torch

    from retrograd.models.inference import without_dropout

    how, row_of = settings or BeamSettings(), {id: row for row, id in enumerate(decoder.table.document_ids)}
    every = {query: _gold_nodes(decoder, qrels.get(query.id, {}), row_of) for query in queries}
    gold = {query: nodes for query, nodes in every.items() if nodes}
    if not gold:
        raise InputError(f"no query has a relevant document that a docid of {decoder.name} names")
    asked = some_queries(list(gold), how.most_queries, how.seed)

    def judged(ranking: Ranking, some: Sequence[Query]) -> dict[str, float]:
        return evaluate(ranking, restricted(qrels, [query.id for query in some]), how.measures).mean

    with torch.inference_mode(), without_dropout(decoder.model):
        rankings, recalls = _beams(decoder, asked, gold, how)
        found = DecodingDiagnosis(
            name=decoder.name,
            num_documents=len(decoder.table.document_ids),
            num_keys=len(decoder.table),
            num_queries=len(asked),
            k=how.k,
            normalise=decoder.normalise,
            beams=tuple(
                BeamFigures(
                    width=width,
                    measures=judged(rankings[width], asked),
                    prefix_recall=tuple(np.mean(recalls[width], axis=0).tolist()),
                )
                for width in how.widths
            ),
        )
        rows_per_query = decoder.trie.num_nodes - len(decoder.table)
        affordable = min(len(asked), how.most_exact, how.most_rows // rows_per_query)
        if affordable < min(how.least_exact, len(asked)):
            reason = f"scoring all {len(decoder.table):,} ids costs {rows_per_query:,} decoder rows a query"
            return replace(found, left_out=(f"look-ahead and divergence: {reason}",))
        few = some_queries(asked, affordable, how.seed)
        best, totals = _exact(decoder, few, how)
    chance, prefixes = _softmax(totals), prefix_numbers(decoder.table.padded)
    return replace(
        found,
        num_exact=len(few),
        look_ahead=tuple(
            LookAhead(width=width, plain=judged(rankings[width], few), perfect=judged(best[width], few))
            for width in how.widths
        ),
        ceiling=judged(best[len(decoder.table)], few),
        divergence=tuple(
            step_divergence(chance, prefixes, share, draws=how.draws, seed=how.seed)
            for share in track(how.shares, "masking parts of the catalogue")
        ),
        simpson=tuple(
            float((masses(chance, level) * simpson(chance, level)).sum(axis=1).mean()) for level in prefixes
        ),
    )


def _gold_nodes(decoder: Decoder, grades: Mapping[str, int], row_of: Mapping[str, int]) -> list[Tensor]:
    """Of each relevant document that some key names: (keys, L) nodes of the prefixes of its keys.

    Behind the end of a short key stands the node it ends at.
    """
    import torch

    found = []
    for document, grade in grades.items():
        keys = decoder.table.keys_of(row_of[document]) if grade > 0 and document in row_of else ()
        if len(keys):
            node = decoder.trie.node_of_key[torch.as_tensor(np.asarray(keys, np.int64))]
            levels = []
            for depth in range(decoder.table.depth, 0, -1):
                levels.append(node)
                node = torch.where(node >= decoder.trie.level_start[depth], decoder.trie.parent[node], node)
            found.append(torch.stack(levels[::-1], dim=1))
    return found


class _Watch:
    """A prior without an opinion that remembers whose candidates it was asked about: they are in the beam."""

    def __init__(self, trie: CsrTrie) -> None:
        self._trie = trie
        self._seen: list[Tensor] = []

    def __call__(self, query: Tensor, node: Tensor) -> Tensor:
        """Zeros (E,)."""
        import torch

        places = query * self._trie.num_nodes + self._trie.parent[node]
        self._seen.append(torch.unique_consecutive(places))
        return torch.zeros(len(node), device=node.device)

    def seen(self, result: BeamResult) -> Tensor:
        """Query times N plus node, of every prefix that was in the beam after its level, the answers too."""
        import torch

        query, column = (result.keys >= 0).nonzero().unbind(1)
        leaves = self._trie.node_of_key[result.keys[query, column]]
        return torch.cat([*self._seen, query * self._trie.num_nodes + leaves])


def _beams(
    decoder: Decoder, queries: Sequence[Query], gold: Mapping[Query, list[Tensor]], how: BeamSettings
) -> tuple[dict[int, Ranking], dict[int, list[list[float]]]]:
    """By width: what the beam answers, and per query the prefix recall at each level."""
    import torch

    from retrograd.search.beam import beam_search

    answers: dict[int, list[tuple[Hit, ...]]] = {width: [] for width in how.widths}
    recalls: dict[int, list[list[float]]] = {width: [] for width in how.widths}
    for some, model in decoder.batches(queries, "searching with beams of every width"):
        for width in how.widths:
            watch = _Watch(decoder.trie)
            result = beam_search(
                model, {}, decoder.trie, width=width, normalise=decoder.normalise, prior=watch
            )
            answers[width] += _hits(decoder, result, how.k)
            seen = watch.seen(result)
            for at, query in enumerate(some):
                first = at * decoder.trie.num_nodes
                kept = [torch.isin(nodes + first, seen).any(dim=0).double() for nodes in gold[query]]
                recalls[width].append(torch.stack(kept).mean(dim=0).tolist())
    ids = tuple(query.id for query in queries)
    return {width: Ranking(ids, tuple(found)) for width, found in answers.items()}, recalls


def _hits(decoder: Decoder, result: BeamResult, k: int) -> list[tuple[Hit, ...]]:
    columns = (result.keys, result.scores, result.paths, result.steps)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return [decoder.resolver.hits(keys, scores, paths, steps, k) for keys, scores, paths, steps in rows]


def _exact(
    decoder: Decoder, queries: Sequence[Query], how: BeamSettings
) -> tuple[dict[int, Ranking], np.ndarray]:
    """By number of best keys, all of them included: the answers; and the score of every key, (queries, n).

    A beam of width w that knows the best key below every prefix ends with the w best keys.
    """
    import torch

    from retrograd.search.score_all import best_keys, prefix_scores, score_nodes

    counts = sorted({*how.widths, len(decoder.table)})
    answers: dict[int, list[tuple[Hit, ...]]] = {count: [] for count in counts}
    totals = []
    for _, model in decoder.batches(queries, "scoring every id"):
        steps = score_nodes(model, {}, decoder.trie, normalise=decoder.normalise)
        for count in counts:
            answers[count] += _hits(decoder, best_keys(steps, decoder.trie, count), how.k)
        totals.append(prefix_scores(steps, decoder.trie)[:, decoder.trie.node_of_key].cpu())
    ids = tuple(query.id for query in queries)
    return {count: Ranking(ids, tuple(found)) for count, found in answers.items()}, torch.cat(totals).numpy()


def _softmax(scores: np.ndarray) -> np.ndarray:
    """(queries, n) float64: the model's law over the whole catalogue."""
    mass = np.exp(scores.astype(np.float64) - scores.max(axis=1, keepdims=True))
    chance: np.ndarray = mass / mass.sum(axis=1, keepdims=True)
    return chance
