"""Who is served? Counts what was answered, and looks for hubs with the documents' own titles as questions.

The second is computed in idle moments of the system's thread, one question at a time, once per generation.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd.evaluation.diagnostics.hubness import gini, skewness
from retrograd.server.batching import Batcher
from retrograd.server.settings import LONGEST_QUERY
from retrograd.types import Corpus, Query

if TYPE_CHECKING:
    from retrograd.updates.live import LiveSystem

REFERENCE = 500
"""Titles asked at most, at even distances."""

K = 10
HUB = 5.0
"""A hub stands in so many times more answers than the mean document."""

MOST_NAMED = 50
MOST_SERVED = 10


class Audit:
    """Figures of one system. `served` belongs to the event loop, the rest to the system's thread."""

    def __init__(self, live: LiveSystem, batcher: Batcher) -> None:
        self._live, self._batcher = live, batcher
        self.served: Counter[str] = Counter()
        self.queries = 0
        self._done: tuple[int, dict[str, Any]] | None = None
        self._running = False

    def count(self, ids: Iterable[str]) -> None:
        """One question was answered with these documents."""
        self.queries += 1
        self.served.update(ids)

    def report(self) -> dict[str, Any]:
        """Figures as they are now; starts what is missing for the current generation."""
        corpus, generation, done = self._live.system.corpus, self._live.generation, self._done
        ready = done is not None and done[0] == generation
        if not ready and not self._running:
            self._running = True
            self._batcher.aside(Reference(self._live, self._keep).step)
        return {
            "generation": generation,
            "ready": ready,
            "served": self._served(corpus),
            "hubness": (done[1] or None) if ready and done is not None else None,
        }

    def _keep(self, generation: int, figures: dict[str, Any]) -> None:
        self._done, self._running = (generation, figures), False

    def _served(self, corpus: Corpus) -> dict[str, Any]:
        counts = np.asarray([self.served[document] for document in corpus.ids], np.int64)
        return {
            "queries": self.queries,
            "answers": int(counts.sum()),
            "documents": int((counts > 0).sum()),
            "top_share": _top_share(counts),
            "gini": gini(counts),
            "most": _named(corpus, counts, MOST_SERVED, least=1),
        }


class Reference:
    """The titles of documents as questions, one `step` at a time."""

    def __init__(self, live: LiveSystem, keep: Any) -> None:
        self._live, self._keep = live, keep
        self._system, self._generation = live.system, live.generation
        corpus = self._system.corpus
        rows = np.linspace(0, len(corpus) - 1, min(REFERENCE, len(corpus))).round().astype(np.int64)
        self._asked = [corpus[row] for row in np.unique(rows).tolist()]
        self._at = 0
        self._counts = np.zeros(len(corpus), np.int64)

    def step(self) -> bool:
        """Ask one more; False at the end, which a new generation or a fault brings about without figures."""
        figures: dict[str, Any] = {}
        try:
            if self._live.generation == self._generation:
                self._ask()
                if self._at < len(self._asked):
                    return True
                figures = self._figures()
        except Exception:
            self._keep(self._generation, figures)
            raise
        self._keep(self._generation, figures)
        return False

    def _ask(self) -> None:
        document = self._asked[self._at]
        words = " ".join((document.title or document.text)[:LONGEST_QUERY].split())
        hits = self._system.search([Query("title", words)], K + 1).hits[0]
        others = [hit.document for hit in hits if hit.document != document.id][:K]
        row_of = self._system.corpus.row_of
        self._counts[[row_of[other] for other in others]] += 1
        self._at += 1

    def _figures(self) -> dict[str, Any]:
        counts, mean = self._counts, float(self._counts.mean())
        return {
            "reference": len(self._asked),
            "k": K,
            "mean": mean,
            "max": int(counts.max()),
            "gini": gini(counts),
            "never": float((counts == 0).mean()),
            "skewness": skewness(counts),
            "hubs": _named(self._system.corpus, counts, MOST_NAMED, least=max(1.0, HUB * mean)),
        }


def _top_share(counts: np.ndarray) -> float:
    """Share of the answers that went to the most served 1 % of the documents, one of them at least."""
    top = np.sort(counts)[-max(1, round(len(counts) / 100)) :]
    return float(top.sum() / counts.sum()) if counts.sum() else 0.0


def _named(corpus: Corpus, counts: np.ndarray, limit: int, least: float) -> list[dict[str, Any]]:
    best = np.argsort(-counts, kind="stable")[:limit]
    return [
        {"id": corpus[row].id, "title": corpus[row].title, "count": int(counts[row])}
        for row in best.tolist()
        if counts[row] >= least
    ]
