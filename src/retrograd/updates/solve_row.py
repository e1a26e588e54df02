"""The output row of a document that joins a softmax over documents: solved, not learnt and not random.

Nothing else of the network moves. The row is the smallest that puts the document first for its own
pseudo-queries and keeps every fitted document first for those of that document. The idea is that of
Kishore et al. 2023, "IncDSI" (arXiv 2307.10323); the formulas below and their solution by Newton's
method are ours. It knows a model by `first_states` and `output_rows`; not how a change is stored.
Shapes: n fitted documents, s states of theirs, q states of the document's own queries, d width.

With rows W (n, d), states h of its queries and g of other documents' queries, mean row w0:

    minimise   ridge |w - w0|^2  +  balance * mean_i max(0, max_o W_o.h_i + margin - w.h_i)^2
                                 +  (1 - balance) * sum_j max(0, w.g_j - (W_o(j).g_j - distance))^2

A vector added to all rows changes no probability, which is why the distance from the mean row is kept
small and not the row. The sum is strictly convex and piecewise quadratic: Newton's method with
backtracking ends at the one minimum after a handful of d by d systems.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from retrograd.models.encoder_decoder import OUTPUT_ROW
from retrograd.system import System
from retrograd.training.own_queries import (
    DOCUMENTS,
    STATES,
    evenly,
    first_states,
    has_rows,
    own_queries,
    pseudo_query_source,
)
from retrograd.types import Corpus

BACKGROUND = 256
"""Fitted documents that say which terms are common; all of them would take longer than the rest."""


@dataclass(frozen=True, kw_only=True)
class RowMargins:
    """What a solved row must keep clear of. Scores are logits: natural logarithms of odds."""

    margin: float = 2.0
    """Lead over every other document, for each of the document's own pseudo-queries."""

    distance: float = 1.0
    """Lead each fitted document keeps over the row, for its own pseudo-queries."""

    balance: float = 0.5
    """Between the two in (0, 1), where not all can be kept; towards 1 the new document wins."""

    ridge: float = 1e-3
    """Factor on the squared distance from the mean row."""

    steps: int = 50
    """Newton steps at most."""

    def __post_init__(self) -> None:
        if self.margin < 0 or self.distance < 0:
            raise ValueError(f"margin={self.margin} and distance={self.distance} must not be negative")
        if not 0 < self.balance < 1:
            raise ValueError(f"balance={self.balance} must be in (0, 1)")
        if not self.ridge > 0 or self.steps < 1:
            raise ValueError(f"ridge={self.ridge} must be positive and steps={self.steps} at least 1")


@dataclass(frozen=True, eq=False)
class Surroundings:
    """The fitted documents as a new row sees them, all float64."""

    rows: np.ndarray
    """(n, d) output rows."""

    states: np.ndarray
    """(s, d) states of their pseudo-queries."""

    scores: np.ndarray
    """(s,) logit of each state's own document."""


def solve_row(queries: np.ndarray, around: Surroundings, margins: RowMargins | None = None) -> np.ndarray:
    """(q, d) states of a document's own queries -> (d,) float64 row; the mean row where there is no query.

    >>> around = Surroundings(np.eye(2), np.eye(2), np.ones(2))
    >>> row = solve_row(np.array([[0.6, 0.6]]), around, RowMargins(margin=0.1, distance=0.0))
    >>> bool(row @ [0.6, 0.6] > 0.69), bool((row < 1.01).all())
    (True, True)
    """
    chosen = margins or RowMargins()
    mean: np.ndarray = around.rows.mean(axis=0)
    if not len(queries):
        return mean
    own = np.asarray(queries, np.float64)
    least = (own @ around.rows.T).max(axis=1) + chosen.margin
    # one system of inequalities: rows A, bounds b, weights c of max(0, A w - b)^2
    sides = np.concatenate([-own, around.states])
    bounds = np.concatenate([-least, around.scores - chosen.distance]) - sides @ mean
    weights = np.repeat([chosen.balance / len(own), 1 - chosen.balance], [len(own), len(around.states)])
    row: np.ndarray = mean + _least(sides, bounds, weights, chosen.ridge, chosen.steps)
    return row


def solve_rows(
    system: System,
    documents: Corpus,
    *,
    gone: Collection[str] = (),
    margins: RowMargins | None = None,
) -> dict[str, dict[str, np.ndarray]]:
    """What documents that join a fitted system have to learn: {id: {`OUTPUT_ROW`: (d,) float32}}.

    Each row depends on the fitted system, on `gone` and on its own document only, so neither the order
    of additions nor the company matters. {} for systems whose documents have no output rows.

    Args:
        system: as fitted; documents added since are no part of it.
        gone: ids of fitted documents that are in nobody's way any more: deleted, or updated.
    """
    if not has_rows(system.recipe, system.parts):
        return {}
    source = pseudo_query_source(system.recipe)
    common = Corpus(system.corpus[row] for row in evenly(len(system.corpus), BACKGROUND).tolist())
    groups = source.generator.generate(documents, source.per_document, source.seed, common)
    states = first_states(system.model, [text for group in groups for text in group])
    own = np.split(states, np.cumsum([len(group) for group in groups])[:-1])
    around = surroundings(system, gone)
    return {
        document.id: {OUTPUT_ROW: solve_row(queries, around, margins).astype(np.float32)}
        for document, queries in zip(documents, own, strict=True)
    }


def surroundings(system: System, gone: Collection[str] = ()) -> Surroundings:
    """The rows of a fitted system without those of some documents, and its own queries."""
    table = system.table
    assert table is not None, "rows belong to docids"
    tokens = np.empty(len(system.corpus), np.int64)
    tokens[table.pairs[:, 1]] = table.padded[table.pairs[:, 0], 0]
    kept = np.array([id not in gone for id in system.corpus.ids])
    rows = system.model.output_rows(0).detach().double().cpu().numpy()[tokens]
    found = own_queries(system.recipe, system.parts)
    used = kept[found[DOCUMENTS]]
    states, owners = found[STATES][used].astype(np.float64), found[DOCUMENTS][used]
    scores = np.einsum("sd,sd->s", states, rows[owners])
    return Surroundings(rows[kept] if kept.any() else rows, states, scores)


def _least(
    sides: np.ndarray, bounds: np.ndarray, weights: np.ndarray, ridge: float, steps: int
) -> np.ndarray:
    """The (d,) x that minimises `ridge |x|^2 + weights . max(0, sides x - bounds)^2`."""

    def loss(x: np.ndarray, over: np.ndarray) -> float:
        return float(ridge * x @ x + weights @ np.square(np.maximum(over, 0.0)))

    x = np.zeros(sides.shape[1])
    over = -bounds
    value = loss(x, over)
    for _ in range(steps):
        kept = over > 0
        active, weight = sides[kept], weights[kept]
        gradient = ridge * x + active.T @ (weight * over[kept])
        curvature = (active.T * weight) @ active
        curvature[np.diag_indices_from(curvature)] += ridge
        step = np.linalg.solve(curvature, -gradient)
        along, slope, size = sides @ step, 2 * float(gradient @ step), 1.0
        if -slope <= 1e-12 * max(value, 1e-12):
            break
        while (
            new := loss(x + size * step, over + size * along)
        ) > value + 1e-4 * size * slope and size > 1e-6:
            size /= 2
        if new >= value:
            break
        x, over, value = x + size * step, over + size * along, new
    return x
