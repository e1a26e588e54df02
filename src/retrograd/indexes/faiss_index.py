"""Approximate nearest neighbours by inner product, through faiss: graphs (HNSW) and lists (IVF).

Knows vectors and rows only. Saved indexes travel as one uint8 array; faiss trusts the bytes it
reads, so only load arrays whose hash was verified.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from retrograd.errors import ArtifactError, InputError
from retrograd.types import State


@dataclass(frozen=True, kw_only=True)
class Hnsw:
    """A navigable small-world graph (Malkov and Yashunin 2016, arXiv 1603.09320)."""

    neighbours: int = 32
    """Links per vector and level: more finds more, for memory and build time."""

    ef_construction: int = 200
    """Candidates held while a vector is linked in."""

    ef_search: int = 128
    """Candidates held while searching (at least k): more finds more, slower."""

    def __post_init__(self) -> None:
        if self.neighbours < 2 or self.ef_construction < 1 or self.ef_search < 1:
            raise ValueError("neighbours must be at least 2, ef_construction and ef_search at least 1")

    @property
    def name(self) -> str:
        """Under which its state is kept; equal for settings that build the same index."""
        return f"hnsw_{self.neighbours}_{self.ef_construction}"

    def build(self, vectors: np.ndarray) -> HnswIndex:
        """Link the rows of `vectors` (n, d) float32; on one thread, so the graph is the same each time."""
        faiss = _faiss()
        graph = faiss.IndexHNSWFlat(vectors.shape[1], self.neighbours, faiss.METRIC_INNER_PRODUCT)
        graph.hnsw.efConstruction = self.ef_construction
        with _one_thread():
            graph.add(np.ascontiguousarray(vectors, dtype=np.float32))
        return HnswIndex(graph, self.ef_search)

    def load(self, state: State, vectors: np.ndarray) -> HnswIndex:
        """The index that `state()` saved; `vectors` say what it must hold."""
        return HnswIndex(_read(state, vectors), self.ef_search)


@dataclass(frozen=True, kw_only=True)
class Ivf:
    """Vectors filed under their nearest k-means centroid; only the closest lists are read."""

    lists: int = 0
    """Centroids; 0 takes the square root of the number of vectors."""

    probes: int = 16
    """Lists read per query: as many as there are makes the search exact."""

    seed: int = 0
    """Start of k-means."""

    def __post_init__(self) -> None:
        if self.lists < 0 or self.probes < 1:
            raise ValueError(
                f"lists={self.lists} must not be negative and probes={self.probes} be at least 1"
            )

    @property
    def name(self) -> str:
        """Under which its state is kept; equal for settings that build the same index."""
        return f"ivf_{self.lists}_{self.seed}"

    def build(self, vectors: np.ndarray) -> IvfIndex:
        """Cluster and file the rows of `vectors` (n, d) float32, the same each time."""
        faiss = _faiss()
        count, dimensions = vectors.shape
        lists = min(self.lists or math.isqrt(count), count)
        centroids = faiss.IndexFlatIP(dimensions)
        files = faiss.IndexIVFFlat(centroids, dimensions, lists, faiss.METRIC_INNER_PRODUCT)
        files.cp.seed = self.seed
        files.cp.min_points_per_centroid = 1  # fewer are fine here; faiss would warn on stderr
        rows = np.ascontiguousarray(vectors, dtype=np.float32)
        with _one_thread():
            files.train(rows)
            files.add(rows)
        return IvfIndex(files, self.probes)

    def load(self, state: State, vectors: np.ndarray) -> IvfIndex:
        """The index that `state()` saved; `vectors` say what it must hold."""
        return IvfIndex(_read(state, vectors), self.probes)


class HnswIndex:
    """A built graph."""

    def __init__(self, graph: Any, ef_search: int) -> None:
        self._graph, self._ef_search = graph, ef_search

    def state(self) -> State:
        """The graph with its vectors: {"index": (bytes,) uint8}."""
        return _write(self._graph)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `FlatIndex.search`, approximately; row -1 also where the graph gave fewer than k."""
        faiss = _faiss()
        parameters = faiss.SearchParametersHNSW(efSearch=max(self._ef_search, k))
        return _search(self._graph, queries, k, parameters)


class IvfIndex:
    """Built lists."""

    def __init__(self, files: Any, probes: int) -> None:
        self._files, self._probes = files, probes

    def state(self) -> State:
        """The lists with their vectors: {"index": (bytes,) uint8}."""
        return _write(self._files)

    def search(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """As `FlatIndex.search`, approximately; row -1 also where the lists read hold fewer than k."""
        faiss = _faiss()
        parameters = faiss.SearchParametersIVF(nprobe=min(self._probes, self._files.nlist))
        return _search(self._files, queries, k, parameters)


@dataclass(frozen=True, kw_only=True)
class Factory:
    """Any index faiss can name that knows inner products; its rows may be hidden and added to."""

    factory: str
    """faiss's own description: `IVF256,PQ16`, `HNSW32`, `OPQ8,IVF64,PQ8`, ..."""

    parameters: str = ""
    """Of the search, as faiss writes them: `nprobe=16`, `efSearch=128`."""

    @property
    def name(self) -> str:
        """Under which its state is kept; equal for settings that build the same index."""
        return f"faiss_{self.factory}"

    def build(self, vectors: np.ndarray) -> FactoryIndex:
        """Train on and file the rows of `vectors` (n, d) float32; on one thread, the same each time.

        Raises:
            InputError: a description or a parameter that faiss does not know, or too few rows to train on.
        """
        faiss = _faiss()
        try:
            index = faiss.index_factory(vectors.shape[1], self.factory, faiss.METRIC_INNER_PRODUCT)
            with _one_thread():
                index.train(np.ascontiguousarray(vectors, dtype=np.float32))
            built = FactoryIndex(index, self.parameters)
        except RuntimeError as error:
            raise InputError(f"faiss refuses index {self.factory!r}: {_reason(error)}") from error
        built.add(vectors)
        return built

    def load(self, state: State, vectors: np.ndarray) -> FactoryIndex:
        """The index that `state()` saved; `vectors` say what it must hold."""
        return FactoryIndex(_read(state, vectors), self.parameters)


class FactoryIndex:
    """A trained index."""

    def __init__(self, index: Any, parameters: str) -> None:
        self._index = index
        if parameters:
            _faiss().ParameterSpace().set_index_parameters(index, parameters)

    def state(self) -> State:
        """The index with what it keeps of its vectors: {"index": (bytes,) uint8}."""
        return _write(self._index)

    def add(self, vectors: np.ndarray) -> None:
        """File more rows (m, d), numbered after those there are."""
        with _one_thread():
            self._index.add(np.ascontiguousarray(vectors, dtype=np.float32))

    def search(
        self, queries: np.ndarray, k: int, where: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """As `FlatIndex.search`, approximately, among the rows that `where` (n,) bool allows."""
        if where is None or where.all():
            return _search(self._index, queries, k, None)
        parameters = self._only(np.flatnonzero(where))
        if parameters is not None:
            return _search(self._index, queries, k, parameters)
        return self._sieved(queries, k, where)

    def _only(self, rows: np.ndarray) -> Any:
        """Parameters that search among some rows, for the kinds of index that can; else None."""
        faiss = _faiss()
        index, chosen = faiss.downcast_index(self._index), faiss.IDSelectorBatch(rows)
        if isinstance(index, faiss.IndexIVF):
            return faiss.SearchParametersIVF(sel=chosen, nprobe=index.nprobe)
        if isinstance(index, faiss.IndexHNSW):
            return faiss.SearchParametersHNSW(sel=chosen, efSearch=index.hnsw.efSearch)
        if isinstance(index, faiss.IndexFlat):
            return faiss.SearchParameters(sel=chosen)
        return None

    def _sieved(self, queries: np.ndarray, k: int, where: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Ask for more and more until enough of them are allowed."""
        wanted, asked = min(k, int(where.sum())), k
        while True:
            asked = min(4 * asked, len(where))
            scores, rows = _search(self._index, queries, asked, None)
            allowed = (rows >= 0) & where[rows]
            if asked == len(where) or bool((allowed.sum(axis=1) >= wanted).all()):
                break
        order = np.argsort(~allowed, axis=1, kind="stable")[:, :k]
        allowed = np.take_along_axis(allowed, order, axis=1)
        rows = np.where(allowed, np.take_along_axis(rows, order, axis=1), -1)
        scores = np.where(allowed, np.take_along_axis(scores, order, axis=1), -np.inf)
        padding = ((0, 0), (0, k - rows.shape[1]))
        return np.pad(scores, padding, constant_values=-np.inf), np.pad(rows, padding, constant_values=-1)


def _reason(error: RuntimeError) -> str:
    """The last line of what faiss says, without where in its source it stands."""
    return str(error).strip().splitlines()[-1].rpartition("failed: ")[2]


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise InputError("this index needs faiss: pip install 'retrograd[faiss]', or use Flat()") from error
    return faiss


def _search(index: Any, queries: np.ndarray, k: int, parameters: Any) -> tuple[np.ndarray, np.ndarray]:
    scores, rows = index.search(np.ascontiguousarray(queries, dtype=np.float32), k, params=parameters)
    # faiss orders equal scores as it met them; missing rows (-1) carry the lowest score and stay last.
    order = np.lexsort((rows, -scores), axis=1)
    return np.take_along_axis(scores, order, axis=1), np.take_along_axis(rows, order, axis=1)


def _write(index: Any) -> State:
    faiss = _faiss()
    return {"index": faiss.serialize_index(index)}


def _read(state: State, vectors: np.ndarray) -> Any:
    faiss = _faiss()
    try:
        index = faiss.deserialize_index(np.ascontiguousarray(state["index"], dtype=np.uint8))
    except (KeyError, RuntimeError) as error:
        raise ArtifactError(f"the saved vector index is not readable ({error}); build it again") from error
    if (index.ntotal, index.d) != vectors.shape:
        raise ArtifactError(
            f"the saved vector index holds {index.ntotal} vectors of {index.d} dimensions but the "
            f"documents have {vectors.shape[0]} of {vectors.shape[1]}; build it again"
        )
    return index


@contextmanager
def _one_thread() -> Iterator[None]:
    faiss = _faiss()
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
