"""Documents join a fitted system without training: every part places them with what it already knows.

Text ids are spelled, numeric ids come from the frozen quantiser, an atomic id gets a fresh output
row; vectors and terms are indexed. Ids of the documents already there never change.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path

from retrograd.errors import InputError
from retrograd.search.parts import Parts
from retrograd.system import System, temporary_folder
from retrograd.training.fit import docid_inputs
from retrograd.types import Corpus, Document


def insert(system: System, documents: Iterable[Document], folder: Path | None = None) -> System:
    """A new system that also holds `documents`; the one given is left as it is.

    Args:
        folder: where derived indexes are built; a temporary folder by default.

    Raises:
        InputError: no document, or an id the system already holds.
    """
    added = Corpus(documents)
    known = [document.id for document in added if document.id in system.corpus.row_of]
    if known:
        raise InputError(f"document {known[0]!r} is already in the system; give the new one another id")
    together = Corpus([*system.corpus, *added])
    table, model = system.table, system.model
    if system.table is not None:
        inputs = docid_inputs(
            system.recipe, system.fitted, added, seed=0, background=together, model=system.model
        )
        table = system.recipe.docids.insert(system.table, inputs)
        if table.level_sizes != system.table.level_sizes:
            model = copy.deepcopy(model)
            model.resize(table.level_sizes)
    parts = Parts(together, model, table, folder or temporary_folder())
    return System.assemble(system.recipe, parts, system.fitted, system.manifest)
