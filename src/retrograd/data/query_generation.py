"""Pseudo-queries: what somebody might ask when a document is the answer.

One protocol and its implementations; `examples.PseudoQueries` turns the texts into training pairs.
"""

from __future__ import annotations

from typing import Protocol

from retrograd.data.extractive import Extractive
from retrograd.data.seq2seq import Seq2SeqGenerator
from retrograd.types import Corpus

__all__ = ["Extractive", "QueryGenerator", "Seq2SeqGenerator"]


class QueryGenerator(Protocol):
    """Documents to query-like texts. The same seed and document give the same texts."""

    def generate(
        self, corpus: Corpus, per_document: int, seed: int, background: Corpus | None = None
    ) -> list[list[str]]:
        """One list per document, in corpus order: `per_document` texts, or none for an empty document.

        Args:
            background: the documents that say which terms are common, where `corpus` is only an addition.
        """
        ...
