"""Documents, vectors and docid keys as one Parquet file, for whatever reads tables.

Schema, one row per document in corpus order:

| column | type | |
|---|---|---|
| `id`, `title`, `text` | string | |
| `metadata` | string | a JSON object |
| `vector` | fixed_size_list<float32>[d] | absent where the system has no vectors |
| `keys` | list<list<int32>> | the document's docids as tokens; absent where the system has no docids |
| `labels` | list<string> | the same as a person reads them |

The file's own metadata holds, under `retrograd`, a JSON object: `format`, `recipe`, `documents` and, with
docids, `level_sizes`, `shared_vocabulary` and `token_names`. Pages carry checksums, which are compared
when they are read. Rows are written and read in groups, so that neither side holds more than one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from retrograd.adapters.library import library
from retrograd.adapters.source import Keys, Source, blocks, current, document_vectors, has_vectors, keys_of
from retrograd.adapters.whole_file import replaced
from retrograd.artifacts import from_json
from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError, InputError
from retrograd.system import System
from retrograd.types import Corpus, Document

FORMAT = 1
NAMESPACE = b"retrograd"
"""Under which the file's metadata say what it holds."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Some documents of a file, in its order."""

    documents: tuple[Document, ...]
    vectors: np.ndarray | None
    """(documents, d) float32; None where the file has none."""

    keys: tuple[Keys, ...] | None
    """One per document; None where the file has none."""


@dataclass(frozen=True, eq=False)
class Export:
    """Everything a file holds."""

    corpus: Corpus
    vectors: np.ndarray | None
    """(documents, d) float32."""

    table: DocidTable | None
    """The docids; without the state that a scheme needs to place new documents."""


def write_parquet(source: Source, path: str | Path, *, rows_per_group: int = 4096) -> int:
    """Write a system's documents with their vectors and docids.

    Returns: how many documents were written.

    Raises:
        InputError: a text that is not Unicode, metadata that is not JSON, `rows_per_group` below 1.
        StorageError: the disk refused; an older file is intact.
    """
    if rows_per_group < 1:
        raise InputError(f"rows_per_group={rows_per_group} must be at least 1")
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    system = current(source)
    vectors = document_vectors(system) if has_vectors(system) else None
    schema = _schema(arrow, system, vectors)
    with (
        replaced(Path(path)) as partial,
        parquet.ParquetWriter(partial, schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for some in blocks(len(system.corpus), rows_per_group):
            columns = _columns(arrow, system, vectors, range(some.start, some.stop))
            writer.write_table(arrow.Table.from_pydict(columns, schema=schema), row_group_size=rows_per_group)
    return len(system.corpus)


def _schema(arrow: Any, system: System, vectors: np.ndarray | None) -> Any:
    fields = [(name, arrow.string()) for name in ("id", "title", "text", "metadata")]
    told: dict[str, Any] = {
        "format": FORMAT,
        "recipe": system.recipe.name,
        "documents": len(system.corpus),
    }
    if vectors is not None:
        fields.append(("vector", arrow.list_(arrow.float32(), vectors.shape[1])))
    if system.table is not None:
        fields += [("keys", arrow.list_(arrow.list_(arrow.int32()))), ("labels", arrow.list_(arrow.string()))]
        told |= {
            "level_sizes": system.table.level_sizes,
            "shared_vocabulary": system.table.shared_vocabulary,
            "token_names": system.table.token_names,
        }
    return arrow.schema(fields, metadata={NAMESPACE: json.dumps(told).encode()})


def _columns(arrow: Any, system: System, vectors: np.ndarray | None, rows: range) -> dict[str, Any]:
    documents = [system.corpus[row] for row in rows]
    columns: dict[str, Any] = {
        name: [_unicode(document, getattr(document, name)) for document in documents]
        for name in ("id", "title", "text")
    }
    columns["metadata"] = [_metadata(document) for document in documents]
    if vectors is not None:
        flat = np.ascontiguousarray(vectors[rows.start : rows.stop], np.float32).reshape(-1)
        columns["vector"] = arrow.FixedSizeListArray.from_arrays(arrow.array(flat), vectors.shape[1])
    if system.table is not None:
        columns["keys"] = keys_of(system, [document.id for document in documents])
        columns["labels"] = [[system.table.describe(key) for key in keys] for keys in columns["keys"]]
    return columns


def _unicode(document: Document, text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise InputError(f"document {document.id!r:.80} holds a lone surrogate, which is no text") from None
    return text


def _metadata(document: Document) -> str:
    try:
        return json.dumps(dict(document.metadata))
    except (TypeError, ValueError) as error:
        raise InputError(f"the metadata of document {document.id!r:.80} are no JSON ({error})") from None


def iterate_parquet(path: str | Path) -> Iterator[Rows]:
    """The rows of a file, one row group at a time.

    Raises:
        InputError: the file was not written by `write_parquet`, or by a later version.
        ArtifactError: it is missing or damaged.
    """
    with _opened(Path(path)) as (file, _):
        for group in range(file.num_row_groups):
            yield _rows(file.read_row_group(group))


def read_parquet(path: str | Path) -> Export:
    """All of a file.

    Raises:
        InputError, ArtifactError: as `iterate_parquet`.
    """
    with _opened(Path(path)) as (_, told):
        groups = list(iterate_parquet(path))
    corpus = Corpus(document for group in groups for document in group.documents)
    vectors = [group.vectors for group in groups if group.vectors is not None]
    keys = [owned for group in groups if group.keys is not None for owned in group.keys]
    return Export(corpus, np.concatenate(vectors) if vectors else None, _table(told, keys, corpus.ids))


def _rows(table: Any) -> Rows:
    columns = {name: table.column(name).to_pylist() for name in ("id", "title", "text", "metadata")}
    documents = tuple(
        Document(id, text, title, from_json(metadata))
        for id, title, text, metadata in zip(*columns.values(), strict=True)
    )
    vectors, keys = None, None
    if "vector" in table.column_names:
        column = table.column("vector").combine_chunks()
        flat = column.flatten().to_numpy(zero_copy_only=False)
        vectors = flat.reshape(len(documents), table.schema.field("vector").type.list_size)
    if "keys" in table.column_names:
        owned = table.column("keys").to_pylist()
        keys = tuple(tuple(tuple(key) for key in document) for document in owned)
    return Rows(documents, vectors, keys)


def _table(told: dict[str, Any], keys: Sequence[Keys], ids: Sequence[str]) -> DocidTable | None:
    if "level_sizes" not in told:
        return None
    return DocidTable.from_keys(
        [key for owned in keys for key in owned],
        [row for row, owned in enumerate(keys) for _ in owned],
        ids,
        level_sizes=told["level_sizes"],
        shared_vocabulary=told["shared_vocabulary"],
        token_names=told["token_names"],
    )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The open file, and what it says of itself."""
    arrow, parquet = library("pyarrow", "parquet"), library("pyarrow.parquet", "parquet")
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file")
    try:
        with parquet.ParquetFile(path, page_checksum_verification=True) as file:
            told = from_json((file.schema_arrow.metadata or {}).get(NAMESPACE, b"{}"))
            if told.get("format") != FORMAT:
                raise InputError(f"is no export of this version (format {told.get('format')})", path=path)
            yield file, told
    except InputError:
        raise
    except (arrow.ArrowException, OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ArtifactError(f"{path}: is damaged or no Parquet file ({reason})") from None
