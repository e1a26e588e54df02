"""What a searcher is built from: the fitted parts of a system, whichever of them it has.

Knows no file format; `folder` is where a searcher that keeps files of its own may put them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from retrograd.constraints import CsrTrie, LiveTrie
from retrograd.docid_table import DocidTable
from retrograd.errors import ArtifactError
from retrograd.types import Corpus, State

_T = TypeVar("_T")


@dataclass(frozen=True, eq=False)
class Drift:
    """How the documents differ from those that the kept indexes were built from.

    A searcher keeps its index of `base` as it is, hides what is gone, and looks at what joined beside it.
    """

    base: Corpus
    rows: np.ndarray
    """(base documents,) int64 row of each now, -1 where it is gone."""

    joined: np.ndarray
    """(m,) int64 rows of the documents that the base does not have, ascending."""

    places: tuple[int, ...]
    """A number for each of those that no other document ever has."""

    texts: tuple[dict[str, str], ...] = ()
    """For each of those what is indexed behind its own words, by index."""


@dataclass
class Parts:
    """A fitted system's parts. A search config's `build` reads them and says what it misses."""

    corpus: Corpus
    model: Any = None
    """A runtime model of `models`, or None (lexical search)."""

    table: DocidTable | None = None
    """None for systems without docids."""

    folder: Path = Path()
    """For files a searcher derives (a lexical index)."""

    arrays: State = field(default_factory=dict)
    """Derived arrays worth saving, such as `document_vectors`; a searcher may add to them."""

    learnt: State = field(default_factory=dict)
    """What search configs learnt when the system was fitted, by `memory.name`; {} if they learn nothing."""

    drift: Drift | None = None
    """Set where the documents are others than those that files and arrays of indexes were made from."""

    opened: dict[str, Any] = field(default_factory=dict)
    """What was opened or counted over the base, for whoever is built on it next."""

    spare: Path | None = None
    """A folder whose files go before those of `folder`."""

    @property
    def base(self) -> Corpus:
        """The documents that indexes are built from."""
        return self.corpus if self.drift is None else self.drift.base

    @cached_property
    def trie(self) -> CsrTrie | LiveTrie:
        """Of all keys, by their rows in the table; what changes the documents carries it on once it was asked
        for, see `search.changed`."""
        assert self.table is not None, "asked for only where there are docids"
        return CsrTrie.from_table(self.table)

    def once(self, name: str, make: Callable[[], _T]) -> _T:
        """What `make` gives, made for the first who asks."""
        if name not in self.opened:
            self.opened[name] = make()
        found: _T = self.opened[name]
        return found

    def remembered(self, memory: str) -> State:
        """What the configs of that `memory` learnt, by name; {} if the system learnt nothing of the kind."""
        return {
            name.rpartition(".")[2]: array
            for name, array in self.learnt.items()
            if name.rpartition(".")[0] == memory
        }

    def counted(self, memory: str) -> State:
        """As `remembered`, of a memory without which there is no answer.

        Raises:
            ArtifactError: the system did not learn it.
        """
        state = self.remembered(memory)
        if not state:
            raise ArtifactError(f"the system holds no {memory!r} counts; fit it again")
        return state

    def place(self, name: str) -> Path:
        """Where a searcher keeps files of its own: `name` in `folder`. A saved system is sealed by its
        manifest, so what it was not saved with goes to a temporary folder."""
        if self.spare is not None and (self.spare / name).exists():
            return self.spare / name
        kept = self.folder / name
        if kept.exists() or not (self.folder / "manifest.json").is_file():
            return kept
        if self.spare is None:
            self.spare = Path(tempfile.mkdtemp(prefix="retrograd-"))
        return self.spare / name
