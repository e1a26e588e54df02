"""`retrograd add`, `update`, `delete`, `history`, `rollback`: files of documents become generations.

Reads and reports; what a change does to a system is `updates.live`'s business. A file is read to its
end before anything is touched, so a faulty line changes nothing.
"""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrograd.cli.settings import use_threads
from retrograd.cli.show import console, printable
from retrograd.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from retrograd.change_log import Generation
    from retrograd.data.changes import Listed
    from retrograd.system import System
    from retrograd.types import Document
    from retrograd.updates.live import LiveSystem

HINT_WORDS = 8
"""Words of a document that are suggested as a question."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a command did, for a person and for a program."""

    folder: Path
    generation: Generation
    before: int
    """Number of the generation before."""

    seconds: float

    def said(self, what: str) -> str:
        """The one line of a change."""
        made = self.generation
        return (
            f"{what}: generation {made.number}, {made.documents:,} documents now, took {self.seconds:.2f} s"
        )

    def hints(self, document: Document | None = None) -> list[str]:
        """What to type next: to find the document, and to go back."""
        folder = shlex.quote(str(self.folder))
        words = printable([document.contents])[0].split()[:HINT_WORDS] if document is not None else []
        try_it = [f"try:  retrograd search {folder} {shlex.quote(' '.join(words))}"] if words else []
        return [*try_it, f"undo: retrograd rollback {folder} --to {self.before}"]

    def tell(self, lines: Sequence[str], as_json: bool, **more: Any) -> None:
        """Print the lines, or the facts and what more there is as one object."""
        made = {"system": str(self.folder), **asdict(self.generation), "seconds": round(self.seconds, 3)}
        print(json.dumps({**made, **more}) if as_json else "\n".join(lines))


def add_command(
    folder: Path, file: Path, *, skip_known: bool, train: bool, as_json: bool, threads: int
) -> None:
    """Put new documents into a system; with `train`, teach it about them in one more generation.

    Raises:
        InputError: a faulty file, an id the system holds already (unless they are to be skipped), or a
            system without a network to train.
    """
    listed, path = _read_documents(file)
    use_threads(threads)
    with _opened(folder) as live:
        if train:
            _check_trainable(live)
        known = live.system.corpus.row_of.keys() & listed.keys()
        if known and not skip_known:
            advice = "use `retrograd update` to replace it, or --skip-known to leave it"
            _refuse(listed, known, path, f"is in {folder} already; {advice}")
        documents = [document for id, (_, document) in listed.items() if id not in known]
        skipped = [id for id in listed if id in known]
        if not documents:
            facts = {"system": str(folder), "number": live.generation, "added": 0, "skipped": skipped}
            said = f"nothing to add: {_documents(len(skipped))} known already"
            print(json.dumps(facts) if as_json else said)
            return
        outcome = _timed(folder, live, lambda: live.add(documents))
        unseen = _unseen(live.system)
        trained = _timed(folder, live, lambda: _trained(live, documents)) if train else None
    lines = [outcome.said(f"added {_documents(len(documents))}")]
    more: dict[str, Any] = {"skipped": skipped}
    if trained is not None:
        lines.append(trained.said(f"trained on {_documents(len(documents))}"))
        lines.append(f"the weights before are kept in {folder}.previous")
        more["trained"] = {"number": trained.generation.number, "seconds": round(trained.seconds, 3)}
    elif unseen:
        lines.append(f"note: {unseen}; undo this and add with --train")
    if skipped:
        lines.append(f"skipped {_documents(len(skipped))} known already, such as {printable(skipped[:1])[0]}")
    outcome.tell([*lines, *outcome.hints(documents[0])], as_json, **more)


def _unseen(system: System) -> str:
    """Why a network will not find what it was not trained on; "" where vectors or solved rows lead to it."""
    from retrograd.search.nearest import VECTORS

    table = system.table
    led = table is None or table.shared_vocabulary or table.depth == 1 or VECTORS in system.parts.arrays
    return "" if led else "the network has never written codes of these documents and will hardly find them"


def update_command(folder: Path, file: Path, *, as_json: bool, threads: int) -> None:
    """Replace documents of a system by others of the same ids.

    Raises:
        InputError: a faulty file, or an id the system does not hold.
    """
    listed, path = _read_documents(file)
    use_threads(threads)
    with _opened(folder) as live:
        unknown = listed.keys() - live.system.corpus.row_of.keys()
        _refuse(listed, unknown, path, f"is not in {folder}; put new documents in with `retrograd add`")
        documents = [document for _, document in listed.values()]
        outcome = _timed(folder, live, lambda: live.update(documents))
    said = outcome.said(f"updated {_documents(len(documents))}")
    outcome.tell([said, *outcome.hints(documents[0])], as_json)


def delete_command(
    folder: Path, file: Path | None, ids: Sequence[str], *, as_json: bool, threads: int
) -> None:
    """Take documents out of a system.

    Raises:
        InputError: a faulty file, an id the system does not hold, no id at all, or every id.
    """
    from retrograd.data.changes import read_ids

    path = _place(file) if file is not None else None
    listed = read_ids(path) if path is not None else {}
    wanted = dict.fromkeys([*listed, *ids])
    if not wanted:
        raise InputError("say what to delete: --data FILE, or --id ID (repeat it for more)")
    use_threads(threads)
    with _opened(folder) as live:
        known = live.system.corpus.row_of
        _refuse(listed, listed.keys() - known.keys(), path, f"is not in {folder}")
        for id in ids:
            if id not in known:
                raise InputError(f"document {id!r:.80} is not in {folder}")
        outcome = _timed(folder, live, lambda: live.delete(list(wanted)))
    outcome.tell([outcome.said(f"deleted {_documents(len(wanted))}"), *outcome.hints()], as_json)


def history_command(folder: Path, *, as_json: bool) -> None:
    """Show every generation, newest first."""
    from retrograd.updates.live import LiveSystem

    with LiveSystem.open(folder, write=False) as live:
        generations, current = live.history(), live.generation
    if as_json:
        print(json.dumps([asdict(one) | {"current": one.number == current} for one in generations]))
    else:
        console().print(history_table(generations, current))


def rollback_command(folder: Path, to: int | None, *, as_json: bool, threads: int) -> None:
    """Bring back the documents of an earlier generation, as a new generation.

    Raises:
        InputError: no such generation, or none before the first.
    """
    use_threads(threads)
    with _opened(folder) as live:
        outcome = _timed(folder, live, lambda: live.rollback(to))
    made = outcome.generation
    what = f"{made.added:,} came, {made.removed:,} went, {made.updated:,} changed"
    said = outcome.said(f"the documents of generation {made.restores} are back ({what})")
    outcome.tell([said, *outcome.hints()], as_json)


def history_table(generations: Sequence[Generation], current: int) -> Table:
    """One row per generation in the order given; the current one is marked."""
    from rich import box
    from rich.table import Table

    grid = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("generation", "when (UTC)", "what", "added", "removed", "updated", "documents", ""):
        is_text = heading in ("when (UTC)", "what", "")
        grid.add_column(heading, justify="left" if is_text else "right", no_wrap=True)
    for one in generations:
        what = one.action if one.restores is None else f"{one.action} to {one.restores}"
        counts = (f"{number:,}" for number in (one.added, one.removed, one.updated, one.documents))
        when = one.time[:19].replace("T", " ")
        marker = "<- current" if one.number == current else ""
        grid.add_row(*printable([str(one.number), when, what, *counts, marker]))
    return grid


def _read_documents(file: Path) -> tuple[Listed, Path]:
    from retrograd.data.changes import read_changed

    path = _place(file)
    return read_changed(path), path


def _place(file: Path) -> Path:
    from retrograd.data.changes import STANDARD_INPUT

    return STANDARD_INPUT if str(file) == "-" else file


def _opened(folder: Path) -> LiveSystem:
    from retrograd.updates.live import LiveSystem

    return LiveSystem.open(folder)


def _check_trainable(live: LiveSystem) -> None:
    from retrograd.updates.replay import last_stage

    last_stage(live.system.recipe)


def _trained(live: LiveSystem, documents: Sequence[Document]) -> Generation:
    from retrograd.updates.replay import train

    return live.adopt(train(live.system, [document.id for document in documents]))


def _refuse(listed: Listed, ids: set[str], path: Path | None, reason: str) -> None:
    """InputError for the first line that names one of the ids, if any does."""
    for id, (line, _) in listed.items():
        if id in ids:
            more = f" ({len(ids) - 1:,} more like it)" if len(ids) > 1 else ""
            raise InputError(f"document {id!r:.80} {reason}{more}", path=path, line=line)


def _timed(folder: Path, live: LiveSystem, change: Callable[[], Generation]) -> Outcome:
    before, began = live.generation, time.perf_counter()
    generation = change()
    seconds = time.perf_counter() - began
    return Outcome(folder=folder, generation=generation, before=before, seconds=seconds)


def _documents(count: int) -> str:
    return f"{count:,} document{'' if count == 1 else 's'}"
