"""Examples with the ranking a teacher gives their text: what a student learns where labels are few.

Knows texts, document rows and a search config; the teacher is built on the system as it stands, so a
teacher may join the student's own vectors with words. It needs no judgement: any text has a list.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from retrograd.data.examples import ExampleContext, Examples, ExampleSource
from retrograd.errors import InputError
from retrograd.progress import track
from retrograd.types import Query, best_rows

OWN = ("kept", "first")

CHUNK = 1024
"""Texts the teacher is asked at a time."""


@dataclass(frozen=True, kw_only=True)
class TeacherLists:
    """the examples of another source -> the same, each with the teacher's best documents and scores.

    The example's own document is always in its list: where the teacher missed it, it takes the last
    place with the score found there. Entries keep the teacher's order, also where `own` lifts one.
    """

    source: ExampleSource
    """Whose texts the teacher answers."""

    teacher: Any
    """A search config; it is built on the parts of the system as it stands."""

    depth: int = 60
    """Entries of a list, at most as many as there are documents."""

    most: int = 0
    """Examples kept, drawn at random; 0 keeps all."""

    own: str = "kept"
    """`kept`: the example's document has the teacher's score; `first`: at least the list's best, so that
    a label is never unlearnt from a teacher that does not know it."""

    def __post_init__(self) -> None:
        if self.depth < 1 or self.most < 0:
            raise ValueError(f"depth={self.depth} must be at least 1 and most={self.most} not negative")
        if self.own not in OWN:
            raise ValueError(f"own={self.own!r}; choose one of {', '.join(OWN)}")

    def __call__(self, context: ExampleContext) -> Examples:
        """As many examples as the source has, or `most`, in the source's order.

        Raises:
            InputError: the context has no system to build the teacher on.
        """
        if context.searcher is None:
            raise InputError("a teacher is built on a fitted system, and there is none at this stage")
        kept = _drawn(self.source(context), self.most, context.seed)
        system: Any = context.searcher()
        texts = list(dict.fromkeys(kept.texts))
        depth = min(self.depth, len(context.corpus))
        rows, scores = _answers(self.teacher.build(system.parts), texts, depth, context)
        number = {text: at for at, text in enumerate(texts)}
        of = np.array([number[text] for text in kept.texts], np.int64)
        rows, scores = rows[of], scores[of]
        _keep_own(rows, scores, kept.documents)
        if self.own == "first":
            scores = np.where(rows == kept.documents[:, None], scores[:, :1], scores)
        return replace(kept, lists=rows, list_scores=scores)


def _drawn(examples: Examples, most: int, seed: int) -> Examples:
    if not 0 < most < len(examples):
        return examples
    kept = np.sort(np.random.default_rng([seed, most]).permutation(len(examples))[:most])
    return replace(
        examples,
        texts=[examples.texts[row] for row in kept],
        documents=examples.documents[kept],
        negatives=None if examples.negatives is None else examples.negatives[kept],
    )


def _answers(
    teacher: Any, texts: list[str], depth: int, context: ExampleContext
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (texts, depth) int64, -1 padded, and scores (texts, depth) float32, 0 at padding."""
    rows = np.full((len(texts), depth), -1, np.int64)
    scores = np.zeros((len(texts), depth), np.float32)
    for start in track(range(0, len(texts), CHUNK), "teacher lists"):
        queries = [Query(str(at), text) for at, text in enumerate(texts[start : start + CHUNK], start)]
        found, ranked = best_rows(teacher, queries, depth, context.corpus.row_of)
        here = slice(start, start + len(queries))
        rows[here], scores[here] = ranked, np.where(ranked >= 0, found, 0.0)
    return rows, scores


def _keep_own(rows: np.ndarray, scores: np.ndarray, documents: np.ndarray) -> None:
    """Put each example's document into its list, in place, where it is missing."""
    missing = np.flatnonzero((rows != documents[:, None]).all(1))
    found = (rows[missing] >= 0).sum(1)
    place = np.minimum(found, rows.shape[1] - 1)
    scores[missing, place] = scores[missing, np.maximum(found - 1, 0)]
    rows[missing, place] = documents[missing]
