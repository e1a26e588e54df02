"""Documents join a fitted system without training and without being kept anywhere: a trial, or a first step.

A saved system that documents come to for good is a `LiveSystem`; both put a system together in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable

from retrograd.change_log import Generation, Step
from retrograd.errors import InputError
from retrograd.system import System
from retrograd.types import Corpus, Document
from retrograd.updates.place import placed


def insert(system: System, documents: Iterable[Document]) -> System:
    """A new system that also holds `documents`; the one given is left as it is.

    Raises:
        InputError: no document, or an id the system already holds.
    """
    added = Corpus(documents)
    known = [document.id for document in added if document.id in system.corpus.row_of]
    if known:
        raise InputError(f"document {known[0]!r} is already in the system; give the new one another id")
    since = system.since
    first = max([int(since.places[-1]), *since.net.joined]) + 1
    made = placed(system, added, range(first, first + len(added)))
    count = len(system.corpus) + len(added)
    head = Generation(system.generation + 1, "", "add", len(added), 0, 0, count)
    net = since.net.after([Step(head, made.kept, (), made.level_sizes, made.state)])
    return system.changed(net, {**since.vectors, **made.vectors})
