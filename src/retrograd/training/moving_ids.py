"""Ids that follow a model while it trains: made again, how many moved, and an alarm when they collapse.

Knows a docid scheme that can `refresh`, a model that has document codes, and the table between them.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from retrograd.docid_table import DocidTable
from retrograd.docids.inputs import DocidInputs
from retrograd.docids.report import describe_table
from retrograd.evaluation.diagnostics.codes import drift


@dataclass(eq=False)
class MovingIds:
    """The present table of a model whose ids move."""

    scheme: Any
    """A docid scheme with `refresh`."""

    inputs: Callable[[], DocidInputs]
    """The corpus and the model's codes of it as they are now."""

    table: DocidTable
    alarmed: bool = False
    """A collapse was reported already; once is enough."""

    def refresh(self) -> dict[str, Any]:
        """Make the table again.

        Returns: `changed` (share of documents per level whose code is another than at the last call),
        `keys` (different ids), `alarms` (in words); a collapse is warned of as well, at once.
        """
        before, self.table = self.table, self.scheme.refresh(self.table, self.inputs())
        report = describe_table(self.table)
        if report.collapse and not self.alarmed:
            self.alarmed = True
            warnings.warn(f"the docids collapse: {'; '.join(report.collapse)}", RuntimeWarning, stacklevel=2)
        changed = [round(share, 4) for share in drift(before, self.table).changed]
        return {"changed": changed, "keys": report.keys, "alarms": list(report.collapse)}


def moving_ids(
    scheme: Any, model: Any, table: DocidTable | None, inputs: Callable[[], DocidInputs]
) -> MovingIds | None:
    """The table of a model that gives its documents codes; None where ids stay as they were assigned."""
    if table is None or not hasattr(scheme, "refresh") or not hasattr(model, "document_codes"):
        return None
    return MovingIds(scheme, inputs, table) if scheme.moves else None
