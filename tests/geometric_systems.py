"""A small untrained model that makes vectors and writes docids, for the searchers that use both."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from retrograd.docid_table import DocidTable
from retrograd.models.inputs import Memory
from retrograd.search.parts import Parts
from retrograd.types import Corpus, Document, Query

WIDTH = 8


class Walked(NamedTuple):
    """The cache of a step."""

    query: Tensor
    codes: Tensor
    level: int

    @property
    def rows(self) -> int:
        return len(self.query)


class RandomSpace(nn.Module):
    """Every text has a vector of its own; a code is scored by its cosine with a noisy query."""

    scale = 5.0

    def __init__(self, level_sizes: Sequence[int], seed: int = 0) -> None:
        super().__init__()
        draw = torch.Generator().manual_seed(seed)
        self.level_sizes, self.depth = tuple(level_sizes), len(level_sizes)
        self.books = nn.ParameterList(torch.randn(size, WIDTH, generator=draw) for size in level_sizes)
        self.mix = nn.Parameter(torch.randn(WIDTH, WIDTH, generator=draw))

    def query_vectors(self, texts: Sequence[str]) -> np.ndarray:
        rows = [np.random.default_rng(zlib.crc32(text.encode())).standard_normal(WIDTH) for text in texts]
        vectors = np.asarray(rows, np.float32).reshape(-1, WIDTH)
        unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        return unit

    document_vectors = query_vectors

    def prepare(self, texts: Sequence[str], role: str = "query") -> np.ndarray:
        del role
        return self.query_vectors(texts)

    def collate(self, prepared: np.ndarray, rows: np.ndarray) -> dict[str, Tensor]:
        return {"vectors": torch.from_numpy(prepared[rows])}

    def encode(self, inputs: dict[str, Tensor]) -> Memory:
        states = inputs["vectors"].unsqueeze(1)
        return Memory(states, torch.ones(states.shape[:2], dtype=torch.bool))

    def start(self, memory: Memory) -> Walked:
        query = memory.states[:, 0]
        return Walked(query, torch.zeros_like(query), 0)

    def step(
        self, cache: Walked, token: Tensor | None = None, parent: Tensor | None = None
    ) -> tuple[Tensor, Walked]:
        query, codes, level = cache
        if token is not None:
            assert parent is not None
            query, codes = query[parent], codes[parent] + self.books[level - 1][token]
        hidden = F.normalize(query @ self.mix - codes, dim=-1)
        return self.scale * hidden @ F.normalize(self.books[level], dim=-1).T, Walked(query, codes, level + 1)

    def reconstruct(self, codes: np.ndarray) -> np.ndarray:
        rows = torch.from_numpy(codes)
        total = sum(book[rows[:, level]] for level, book in enumerate(self.books))
        assert isinstance(total, Tensor)
        vectors: np.ndarray = total.detach().numpy()
        return vectors


def system_of(table: DocidTable, seed: int = 0, **parts: Any) -> Parts:
    """The parts of a system over a table."""
    corpus = Corpus(Document(name, name) for name in table.document_ids)
    return Parts(corpus=corpus, model=RandomSpace(table.level_sizes, seed), table=table, **parts)


def coded_catalogue(documents: int, level_sizes: tuple[int, ...] = (6, 6, 6), seed: int = 0) -> DocidTable:
    """Random codes; documents may share one."""
    codes = np.random.default_rng([seed, documents]).integers(0, level_sizes, (documents, len(level_sizes)))
    names = [f"d{row}" for row in range(documents)]
    return DocidTable.from_keys(codes, range(documents), names, level_sizes=level_sizes)


def questions(count: int) -> list[Query]:
    """Queries with vectors of their own."""
    return [Query(f"q{row}", f"question {row}") for row in range(count)]
