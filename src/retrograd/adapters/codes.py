"""The codes a system's docids are made of, with their codebooks: what an index of codes needs.

Knows which docid schemes are quantised vectors and in which space; no index format.
Shapes: n documents, m levels, K codes of a level, d dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from retrograd.adapters.source import keys_of, query_vectors
from retrograd.docids.learned import LearnedCodes
from retrograd.docids.quantised import HISTORIES, Quantised
from retrograd.errors import InputError
from retrograd.quantizers import ProductQuantizer, ResidualQuantizer
from retrograd.quantizers.codebooks import codebooks_from_state
from retrograd.quantizers.product import ROTATION
from retrograd.system import System

SUMMED: dict[str, type[ProductQuantizer] | type[ResidualQuantizer]] = {
    "product": ProductQuantizer,
    "residual": ResidualQuantizer,
}
"""Kinds whose codes stand for vectors that add up, so that scores are sums of look-ups."""


@dataclass(frozen=True, eq=False)
class Codes:
    """Documents as codes."""

    kind: str
    """`product`: a code is a piece of the vector; `residual`: code vectors add up to it."""

    codebooks: tuple[np.ndarray, ...]
    """Per level (K, width of the piece) or (K, d) float32."""

    codes: np.ndarray
    """(n, m) int64 in corpus order."""

    query_vectors: Callable[[Sequence[str]], np.ndarray]
    """Texts -> (q, d) float32 in the space of the codes."""

    def decode(self) -> np.ndarray:
        """(n, d) float32: the vectors that the codes stand for."""
        return SUMMED[self.kind](self.codebooks).decode(self.codes)


def codes_of(system: System) -> Codes:
    """The codes in a system's docids.

    Raises:
        InputError: its docids are no codes of vectors, a document has no docid, or a collision gave a
            document a number that is no code.
    """
    scheme = system.recipe.docids
    if isinstance(scheme, Quantised) and _of_texts(system, scheme):
        kind, books = scheme.quantizer, _fitted_codebooks(system)
        encoder = system.fitted.encoder(scheme.encoder, system.corpus.contents)
        encode: Callable[[Sequence[str]], np.ndarray] = encoder.encode_query
    elif isinstance(scheme, LearnedCodes) and hasattr(system.model, "codebooks"):
        kind, books = "residual", tuple(system.model.codebooks)

        def encode(texts: Sequence[str]) -> np.ndarray:
            return query_vectors(system, texts)
    else:
        raise InputError(
            f"the docids of a system of the recipe {system.recipe.name!r} are no codes of vectors; "
            "export its vectors instead, or take one with product, residual or learned codes"
        )
    return Codes(kind, books, _first_keys(system, [len(book) for book in books]), encode)


def _of_texts(system: System, scheme: Quantised) -> bool:
    """Whether codes stand for vectors of texts as they are: not rotated, and of no other space."""
    assert system.table is not None, "a docid scheme leaves a table"
    other = ROTATION in system.table.state or scheme.of == HISTORIES
    return scheme.quantizer in SUMMED and not other


def _fitted_codebooks(system: System) -> tuple[np.ndarray, ...]:
    assert system.table is not None, "a docid scheme leaves a table"
    return codebooks_from_state(system.table.state)


def _first_keys(system: System, sizes: Sequence[int]) -> np.ndarray:
    """(n, m) the first key of each document, without what a collision policy put behind the codes."""
    keys = []
    for id, owned in zip(system.corpus.ids, keys_of(system, system.corpus.ids), strict=True):
        if not owned:
            raise InputError(f"document {id!r:.80} has no docid and so no codes")
        keys.append(owned[0][: len(sizes)])
    codes = np.asarray(keys, np.int64)
    outside = (codes < 0) | (codes >= np.asarray(sizes))
    if outside.any():
        id = system.corpus.ids[int(np.flatnonzero(outside.any(axis=1))[0])]
        raise InputError(f"the docid of document {id!r:.80} holds a number that is no code (a collision)")
    return codes
