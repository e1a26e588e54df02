"""What a searcher is built from: the fitted parts of a system, whichever of them it has.

Knows no file format; `folder` is where a searcher that keeps files of its own may put them.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from retrograd.docid_table import DocidTable
from retrograd.types import Corpus, State


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
    """What the search config learnt from the train judgements; {} where it learns nothing."""

    _spare: Path | None = None

    def place(self, name: str) -> Path:
        """Where a searcher keeps files of its own: `name` in `folder`. A saved system is sealed by its
        manifest, so what it was not saved with goes to a temporary folder."""
        kept = self.folder / name
        if kept.exists() or not (self.folder / "manifest.json").is_file():
            return kept
        if self._spare is None:
            self._spare = Path(tempfile.mkdtemp(prefix="retrograd-"))
        return self._spare / name
