"""Searchers for models whose docids are made of the documents' own vectors.

Such a model writes docids and makes vectors, so the beam can look ahead by the vectors below a
prefix, and the documents it arrives at are ranked by score, by cosine or by both. Wang et al. 2026
(arXiv 2603.10409), section 3.4. Knows neither how the vectors nor how the docids were learnt.
Shapes: B queries of a batch, n documents, N trie nodes, d dimensions, w keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from typing import Any

import torch
from torch import Tensor

from retrograd.constraints import CsrTrie
from retrograd.docid_table import DocidTable
from retrograd.models.inference import device_of
from retrograd.search.beam import Prior, beam_search, check_normalise
from retrograd.search.geometric_searcher import Asked, Encoded, Found, GeometricSearcher
from retrograd.search.leaf_ranking import LeafRanking, RankRule, check_rank
from retrograd.search.look_ahead import (
    BestDescendants,
    CentroidCosines,
    Descendants,
    Outlook,
    RoutedCosines,
    check_planner_scale,
    planner_of,
)
from retrograd.search.nearest import document_vectors
from retrograd.search.parts import Parts
from retrograd.search.resolve import Resolver
from retrograd.search.score_all import best_keys, score_nodes

LOOK_AHEADS = ("none", "centroid", "descendant", "routed")


@dataclass(frozen=True, kw_only=True)
class GeometricBeam:
    """Beam search that looks ahead by vectors, and ranks the documents it finds by them.

    A prefix stays in the beam by `decoder_weight * score + scale * (look_ahead_weight * cosine +
    planner_weight * planner)`, where `scale` is the model's factor on cosines.
    """

    width: int = 20
    """Prefixes kept per query. A search for more documents keeps more complete keys, at no cost to the
    decoder, and widens the beam for those queries that still have too few."""

    leaves: int = 0
    """Complete keys kept at the end, at least `width`: more documents are compared, without more steps of
    the decoder."""

    normalise: str = "level"
    """As in `Beam`."""

    decoder_weight: float = 1.0
    """Factor on the decoder's score, in the beam and in the ranking; 0 ignores the decoder: the control
    of every claim about it."""

    rank: str = "lexicographic"
    """How the documents found are ordered: `lexicographic` (score, ties by cosine; as published), `sum`
    (score + alpha * cosine) or `cosine`."""

    alpha: float = 30.0
    """Factor on the cosine in `sum`."""

    look_ahead: str = "none"
    """Value of a prefix: cosine with the `centroid` of the documents below; with the nearest
    `descendant` (an upper bound that scores every document); `routed`: with the centroid, by a query
    vector the model turned for each level (its `route`)."""

    look_ahead_weight: float = 1.0
    """In units of the cosine."""

    planner: Any = None
    """Config of a searcher, such as `Lexical`, whose scores guide the beam: the best below a prefix."""

    planner_weight: float = 0.2
    """In units of the cosine."""

    planner_depth: int = 1000
    """Documents asked of the planner."""

    planner_scale: str = "max"
    """Its scores are divided by the largest of a query (`max`), or standardised (`z_score`)."""

    batch_size: int = 32
    """Queries decoded together; changes speed, not answers."""

    def __post_init__(self) -> None:
        check_normalise(self.normalise)
        check_rank(self.rank)
        if self.look_ahead not in LOOK_AHEADS:
            raise ValueError(f"look_ahead={self.look_ahead!r}; choose one of {', '.join(LOOK_AHEADS)}")
        check_planner_scale(self.planner_scale)
        for name in ("width", "planner_depth", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")

    def build(self, parts: Parts) -> GeometricSearcher:
        """Ready to answer: builds the trie and the mean vectors of its nodes.

        Raises:
            ValueError: the system has no docids or no model, the two do not fit, or the model has
                no `route` to look ahead by.
        """
        return geometric_beam(self, parts, *model_and_table(parts))


@dataclass(frozen=True, kw_only=True)
class GeometricScoreAll:
    """The score of every docid, ranked by the same rules: no beam error hides anything."""

    normalise: str = "level"
    """As in `Beam`."""

    rank: str = "lexicographic"
    """As in `GeometricBeam`; `cosine` is the search of `Nearest`, with paths."""

    alpha: float = 30.0
    """Factor on the cosine in `sum`."""

    batch_size: int = 8
    """Queries scored together; memory grows with it times the number of docids."""

    block: int = 2048
    """Decoder rows in one step, about."""

    def __post_init__(self) -> None:
        check_normalise(self.normalise)
        check_rank(self.rank)
        for name in ("batch_size", "block"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")

    def build(self, parts: Parts) -> GeometricSearcher:
        """Ready to answer; builds the trie.

        Raises:
            ValueError: the system has no docids or no model, or the two do not fit.
        """
        model, table = model_and_table(parts)
        trie = CsrTrie.from_table(table, device_of(model))

        def find(asked: Asked, k: int, times: int) -> Found:
            wanted = k * times if self.rank == "lexicographic" else len(table)
            decoder = Encoded(model, asked.memory)
            steps = score_nodes(decoder, {}, trie, normalise=self.normalise, block=self.block)
            return best_keys(steps, trie, wanted), trie.start(len(steps))

        rule = RankRule(self.rank, self.alpha, 1.0)
        ranking = LeafRanking(Resolver(table), document_vectors(parts), rule)
        return GeometricSearcher(model, ranking, find, batch_size=self.batch_size)


def model_and_table(parts: Parts) -> tuple[Any, DocidTable]:
    """The two, fitting each other and the corpus.

    Raises:
        ValueError: one is missing, or they do not fit.
    """
    model, table = parts.model, parts.table
    if model is None or table is None:
        missing = "model" if model is None else "docid table"
        raise ValueError(
            f"search by ids and vectors needs a {missing}; give the recipe both docids and model"
        )
    if tuple(model.level_sizes) != table.level_sizes:
        raise ValueError(
            f"the docid table has level sizes {table.level_sizes} but the model writes {model.level_sizes}; "
            "load the table it was trained with"
        )
    if table.document_ids != parts.corpus.ids:
        raise ValueError("the docid table names other documents than the corpus; fit the docids again")
    return model, table


def geometric_beam(config: GeometricBeam, parts: Parts, model: Any, table: DocidTable) -> GeometricSearcher:
    """A beam over any table and decoder; documents, vectors and planner are those of `parts`."""
    vectors = document_vectors(parts)
    below = Descendants.from_table(table, device_of(model))
    look = _outlook(config, model, below, torch.from_numpy(vectors).to(below.leaf.device))

    def find(asked: Asked, k: int, times: int) -> Found:
        outlook = None if look is None else look(asked.vectors)
        result = beam_search(
            Encoded(model, asked.memory),
            {},
            below.trie,
            width=config.width * times,
            normalise=config.normalise,
            prior=_prior(config, float(model.scale), outlook, asked.planned),
            decoder_weight=config.decoder_weight,
            keep=max(k, config.leaves) * times,
        )
        return result, below.trie.start(len(result.keys)) if outlook is None else outlook.scored

    rule = RankRule(config.rank, config.alpha, config.decoder_weight)
    ranking = LeafRanking(Resolver(table), vectors, rule)
    plan = None if config.planner is None else planner_of(config, parts, below)
    return GeometricSearcher(model, ranking, find, batch_size=config.batch_size, plan=plan)


def _prior(
    config: GeometricBeam, scale: float, outlook: Outlook | None, planned: Tensor | None
) -> Prior | None:
    """What a prefix is worth beside its score."""
    terms: list[tuple[float, Prior]] = []
    if outlook is not None:
        terms.append((scale * config.look_ahead_weight, outlook))
    if planned is not None:
        terms.append((scale * config.planner_weight, lambda query, node: planned[query, node]))
    if not terms:
        return None
    return lambda query, node: reduce(add, (weight * value(query, node) for weight, value in terms))


def _outlook(
    config: GeometricBeam, model: Any, below: Descendants, vectors: Tensor
) -> Callable[[Tensor], Outlook] | None:
    """What makes the values of the nodes from (B, d) query vectors."""
    if config.look_ahead == "none":
        return None
    if config.look_ahead == "descendant":
        return lambda queries: BestDescendants(queries, vectors, below)
    centroids = below.centroids(vectors)
    if config.look_ahead == "centroid":
        return lambda queries: CentroidCosines(queries, centroids)
    route = getattr(model, "route", None)
    if route is None:
        raise ValueError("the model learnt no route; look ahead by centroid or descendant")
    levels = range(model.depth)
    return lambda queries: RoutedCosines([route(queries, at) for at in levels], centroids, below.trie)
