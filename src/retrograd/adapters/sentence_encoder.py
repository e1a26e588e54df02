"""The habits of sentence-transformers on a vector system: encode, compare, save, open.

Knows one space, the system's own; the documents that are indexed in it travel along when it is saved.
Shapes: n texts, d dimensions.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from retrograd import artifacts
from retrograd.adapters.source import Source, blocks, current, document_vectors, query_vectors
from retrograd.system import System
from retrograd.training.card import write_card

if TYPE_CHECKING:
    from torch import Tensor

KEPT = ("README.md", "training.png", "metrics.jsonl")
"""What a fitted folder tells of its making; it goes along when the system is saved elsewhere."""

_TAGS = {"library_name": "retrograd", "pipeline_tag": "sentence-similarity", "tags": ["retrieval"]}
_USE = """
## Use as an encoder

```python
from retrograd.adapters.sentence_encoder import VectorEncoder

encoder = VectorEncoder.from_pretrained("this-folder")
encoder.similarity(encoder.encode_query(["a question"]), encoder.encode_document(["a passage"]))
```
"""


class VectorEncoder:
    """Queries and documents as vectors of a fitted system.

    >>> encoder = VectorEncoder.from_pretrained("my-system")  # doctest: +SKIP
    >>> encoder.encode_query("depth from one image").shape  # doctest: +SKIP
    (384,)
    """

    def __init__(self, source: Source) -> None:
        """
        Raises:
            InputError: the system has no vectors.
        """
        query_vectors(current(source), ())
        self._source = source

    @property
    def system(self) -> System:
        """The system whose space this is."""
        return current(self._source)

    def encode_query(
        self, sentences: str | Sequence[str], *, batch_size: int = 1024, convert_to_tensor: bool = False
    ) -> Any:
        """(n, d) float32 with unit rows, (d,) for a single text; a torch tensor where asked."""
        return self._encode("query", sentences, batch_size, convert_to_tensor)

    def encode_document(
        self, sentences: str | Sequence[str], *, batch_size: int = 1024, convert_to_tensor: bool = False
    ) -> Any:
        """As `encode_query`, for passages: title and text in one string, as `Document.contents` has them."""
        return self._encode("document", sentences, batch_size, convert_to_tensor)

    def _encode(self, role: str, given: str | Sequence[str], batch_size: int, as_tensor: bool) -> Any:
        texts = [given] if isinstance(given, str) else list(given)
        encode = getattr(self.system.model, f"{role}_vectors")
        parts = [np.asarray(encode(texts[some]), np.float32) for some in blocks(len(texts), batch_size)]
        vectors = np.concatenate([np.zeros((0, self.get_embedding_dimension()), np.float32), *parts])
        found = vectors[0] if isinstance(given, str) else vectors
        if not as_tensor:
            return found
        import torch

        return torch.from_numpy(found)

    def get_embedding_dimension(self) -> int:
        """d."""
        return int(self.system.model.dimensions)

    def similarity(self, one: Any, two: Any) -> Tensor:
        """Inner products, which are what the system ranks by: (n, d) and (m, d) -> (n, m).

        A single vector (d,) counts as one row.
        """
        import torch

        left, right = (torch.as_tensor(side) for side in (one, two))
        products: Tensor = left.reshape(-1, left.shape[-1]) @ right.reshape(-1, right.shape[-1]).T
        return products

    def similarity_pairwise(self, one: Any, two: Any) -> Tensor:
        """Inner products row by row: (n, d) and (n, d) -> (n,)."""
        import torch

        products: Tensor = (torch.as_tensor(one) * torch.as_tensor(two)).sum(dim=-1)
        return products

    def document_vectors(self) -> np.ndarray:
        """(documents, d) float32 of what is indexed, in corpus order."""
        return document_vectors(self.system)

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> VectorEncoder:
        """Open a saved system; nothing is downloaded.

        Raises:
            InputError: the folder holds no system, or one without vectors.
            ArtifactError: a file is damaged.
        """
        return cls(System.load(folder))

    def save_pretrained(self, folder: str | Path) -> None:
        """Save the system with its model card; one that stands there is kept as `FOLDER.previous`.

        Raises:
            StorageError: the disk refused; what stood there before still opens.
        """
        system, folder = self.system, Path(folder)
        partial = folder.with_name(f"{folder.name}.saving")
        shutil.rmtree(partial, ignore_errors=True)
        with artifacts.storage_errors(folder):
            partial.mkdir(parents=True)
            for name in KEPT:
                if (system.folder / name).is_file():
                    shutil.copyfile(system.folder / name, partial / name)
        if not (partial / "README.md").exists():
            write_card(partial, system.recipe, system.manifest)
        _extend_card(partial / "README.md")
        system.write(partial, system.manifest)
        artifacts.publish(partial, folder)


def _extend_card(card: Path) -> None:
    text = card.read_text(encoding="utf-8")
    if not text.startswith("---\n"):
        head = "".join(f"{name}: {json.dumps(value)}\n" for name, value in _TAGS.items())
        artifacts.write_bytes_atomic(card, f"---\n{head}---\n\n{text}{_USE}".encode())
