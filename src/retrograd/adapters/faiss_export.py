"""A system's vectors or codes as a faiss index file, with the list of ids that names its rows.

The index is an ordinary one that any faiss program reads. Beside `NAME` stands `NAME.ids.json`: the
document ids in row order, and the sha256 of the index, which is compared before faiss sees a byte
(a damaged file can corrupt its memory).
Shapes: n documents, q queries, d dimensions, m levels of codes.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrograd import artifacts
from retrograd.adapters.codes import Codes, codes_of
from retrograd.adapters.library import library
from retrograd.adapters.source import Source, blocks, current, document_vectors
from retrograd.adapters.whole_file import replaced
from retrograd.errors import ArtifactError, InputError, StorageError
from retrograd.search.nearest import inner_products
from retrograd.types import Ranking

FORMAT = 1
"""Version of the list of ids."""

_SPARE = 32
"""Candidates beyond k that are scored again, as exact search does."""

_ADDED_AT_ONCE = 65_536


def ids_path(path: str | Path) -> Path:
    """Where the list of ids of an index file stands."""
    return Path(f"{path}.ids.json")


def export_vectors(source: Source, path: str | Path, *, factory: str = "Flat") -> int:
    """Write the document vectors as an inner-product index.

    Args:
        factory: what faiss is to build, in its own words (`Flat`, `HNSW32`, `IVF64,Flat`, `PQ16`).

    Returns: how many documents it holds.

    Raises:
        InputError: the system has no vectors, or faiss cannot build that.
        StorageError: the disk refused.
    """
    faiss, system = library("faiss", "faiss"), current(source)
    vectors = np.ascontiguousarray(document_vectors(system), np.float32)
    try:
        index = faiss.index_factory(vectors.shape[1], factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors)
        for some in blocks(len(vectors), _ADDED_AT_ONCE):
            index.add(vectors[some])
    except RuntimeError as error:
        reason = str(error).splitlines()[-1]
        raise InputError(f"faiss cannot build {factory!r:.80} of {len(vectors)} vectors: {reason}") from None
    _write(faiss, index, Path(path), system.corpus.ids, f"vectors {factory}")
    return len(vectors)


def export_codes(source: Source, path: str | Path) -> int:
    """Write the codes in the docids: a product or a residual index with the system's own codebooks.

    Queries belong into the space of the codes: `codes_of(system).query_vectors`.

    Returns: how many documents it holds.

    Raises:
        InputError: the docids are no codes (see `codes_of`), or product codes of pieces that are not
            equally wide, which faiss does not know.
        StorageError: the disk refused.
    """
    faiss, system = library("faiss", "faiss"), current(source)
    codes = codes_of(system)
    bits = max(1, (max(map(len, codes.codebooks)) - 1).bit_length())
    index = (_product if codes.kind == "product" else _residual)(faiss, codes, bits)
    index.is_trained = True
    index.add_sa_codes(faiss.pack_bitstrings(codes.codes.astype(np.int32), bits))
    _write(faiss, index, Path(path), system.corpus.ids, f"{codes.kind} codes")
    return len(codes.codes)


def _product(faiss: Any, codes: Codes, bits: int) -> Any:
    widths = [book.shape[1] for book in codes.codebooks]
    if len(set(widths)) > 1:
        raise InputError(f"faiss needs equally wide pieces, these codes have {widths}")
    index = faiss.IndexPQ(sum(widths), len(widths), bits, faiss.METRIC_INNER_PRODUCT)
    faiss.copy_array_to_vector(_padded(codes, bits), index.pq.centroids)
    return index


def _residual(faiss: Any, codes: Codes, bits: int) -> Any:
    dimensions = codes.codebooks[0].shape[1]
    index = faiss.IndexResidualQuantizer(
        dimensions,
        len(codes.codebooks),
        bits,
        faiss.METRIC_INNER_PRODUCT,
        faiss.AdditiveQuantizer.ST_decompress,
    )
    faiss.copy_array_to_vector(_padded(codes, bits), index.rq.codebooks)
    index.rq.is_trained = True
    return index


def _padded(codes: Codes, bits: int) -> np.ndarray:
    """All codebooks behind one another, each filled up to 2**bits with zeros that no code names."""
    full = [np.pad(book, ((0, (1 << bits) - len(book)), (0, 0))) for book in codes.codebooks]
    flat: np.ndarray = np.concatenate([book.ravel() for book in full]).astype(np.float32)
    return flat


def _write(faiss: Any, index: Any, path: Path, ids: tuple[str, ...], holds: str) -> None:
    with replaced(path) as partial:
        partial.touch()  # a folder that cannot be written says why in Python's words
        try:
            faiss.write_index(index, str(partial))
        except RuntimeError as error:
            raise StorageError(f"{path}: cannot be written ({str(error).splitlines()[-1]})") from None
    told = {"format": FORMAT, "holds": holds, "ids": ids, "sha256": artifacts.sha256_file(path)}
    artifacts.write_json(ids_path(path), told)


@dataclass(frozen=True, eq=False)
class FaissIndex:
    """An index file that was read back."""

    index: Any
    """The faiss index."""

    ids: tuple[str, ...]
    """Row -> document id."""

    def search(self, vectors: np.ndarray, k: int) -> Ranking:
        """The `k` best documents of each vector; query ids are positions.

        Candidates come from faiss; what the index holds of them is scored again in double precision, so
        that equal vectors get equal scores and keep the order of the corpus.

        Args:
            vectors: (q, d) float32.

        Raises:
            InputError: another width, or k below 1.
        """
        queries = np.ascontiguousarray(vectors, np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.index.d or k < 1:
            raise InputError(
                f"vectors {queries.shape} must be (queries, {self.index.d}) and k={k} at least 1"
            )
        rows = np.full((len(queries), k), -1, np.int64)
        scores = np.full((len(queries), k), -np.inf, np.float32)
        if len(queries):
            candidates = self.index.search(queries, min(k + _SPARE, len(self.ids)))[1]
            for at, query in enumerate(queries):
                found = np.sort(candidates[at][candidates[at] >= 0])
                exact = inner_products(self.index.reconstruct_batch(found), np.arange(len(found)), query)
                best = np.argsort(-exact, kind="stable")[:k]
                rows[at, : len(best)], scores[at, : len(best)] = found[best], exact[best]
        return Ranking.from_rows(map(str, range(len(queries))), rows, scores, self.ids)


def read_index(path: str | Path) -> FaissIndex:
    """Open an exported index.

    Raises:
        ArtifactError: index or list of ids is missing, damaged, or not the other's.
    """
    faiss, path = library("faiss", "faiss"), Path(path)
    told = artifacts.read_json(ids_path(path))
    if not isinstance(told, dict) or told.get("format") != FORMAT or not isinstance(told.get("ids"), list):
        raise ArtifactError(f"{ids_path(path)}: is no list of ids of this version")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    if artifacts.sha256_file(path) != told.get("sha256"):
        raise ArtifactError(
            f"{path}: is damaged or not the index of {ids_path(path).name} (its sha256 differs)"
        )
    index = faiss.read_index(str(path))
    inverted = faiss.try_extract_index_ivf(index)
    if inverted is not None:
        inverted.make_direct_map()  # without it no row can be read back
    if index.ntotal != len(told["ids"]):
        raise ArtifactError(f"{path}: holds {index.ntotal} vectors for {len(told['ids'])} ids")
    return FaissIndex(index, tuple(told["ids"]))
