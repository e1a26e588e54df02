"""One token per document: generation becomes one softmax over the catalogue.

Tay et al., 2022 (arXiv 2202.06991), section 3.2, "unstructured atomic identifiers".
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retrograd.docid_table import DocidTable
from retrograd.docids.append import append_keys
from retrograd.docids.inputs import DocidInputs


@dataclass(frozen=True, kw_only=True)
class Atomic:
    """The token of a document is its row. A document added later is a token nothing was trained for."""

    def assign(self, inputs: DocidInputs) -> DocidTable:
        """Key (row,) for each row."""
        rows = np.arange(len(inputs.corpus))
        return DocidTable.from_keys(rows[:, None], rows, inputs.corpus.ids, level_sizes=(len(rows),))

    def insert(self, table: DocidTable, inputs: DocidInputs) -> DocidTable:
        """The next free tokens; the one level grows by as many."""
        tokens = table.level_sizes[0] + np.arange(len(inputs.corpus))
        return append_keys(table, tokens[:, None], inputs.corpus.ids)
