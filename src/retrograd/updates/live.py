"""A saved system whose documents come and go while it answers: adds, updates, deletes, and ways back.

Knows who may write, in which order things happen, and when a change counts as kept. What a change means for
the parts of a system stands in `search.changed`, how it is written down in `change_log`.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from retrograd import artifacts
from retrograd.change_log import ChangeLog, Generation, Kept, Step
from retrograd.errors import InputError
from retrograd.live_folder import WriterLock, changes_of, vectors_of
from retrograd.repair import keep_vectors, vectors_of_joined
from retrograd.search.changed import generated_texts
from retrograd.search.nearest import VECTORS
from retrograd.system import System
from retrograd.types import Corpus, Document, Query, Ranking
from retrograd.updates.place import Placed, placed
from retrograd.updates.renew import finish_renewal, write_renewed

__all__ = ["Change", "Generation", "LiveSystem"]

WORN = 0.2
"""Share of the documents of the base; with more of them hidden, or more joined beside them, it is renewed."""

WORN_AT_LEAST = 1000
"""Fewer documents than this never make it worth renewing."""


@dataclass(frozen=True, kw_only=True)
class Change:
    """What happens in one step: documents put (new, or in the place of their id), ids deleted."""

    put: tuple[Document, ...] = ()
    delete: tuple[str, ...] = ()
    action: str = "put"
    """What the history calls it."""

    learnt: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    """Document id -> arrays learnt for it, in the place of what would be solved for it."""


class LiveSystem:
    """One folder, one writer, any number of readers; every method may be called from any thread.

    A method that changes something returns once the change is on the disk and the next search finds it.

    >>> with LiveSystem.open("my-system") as live:  # doctest: +SKIP
    ...     live.add([Document("d1", "A body of text.", "A title")])
    ...     live.search("a question")
    """

    def __init__(self, folder: Path, system: System, lock: WriterLock | None) -> None:
        """Use `open`."""
        self.folder = folder
        self.system = system
        """The current generation; replaced in one assignment, so read it once per request."""

        self._lock, self._turn = lock, threading.RLock()
        self._log: ChangeLog | None = None
        self._generations = [self._begin(system)]
        self._next_place = int(system.since.places[-1]) + 1
        self._open_log()

    @classmethod
    def open(cls, folder: str | Path, *, write: bool = True) -> LiveSystem:
        """Open a saved system, for changes too unless `write` is False.

        A base that many changes have worn out is renewed on the way; see `compact`.

        Raises:
            InputError: no system, or another process changes it right now.
            ArtifactError: a file that cannot be made again is damaged.
        """
        folder = Path(folder)
        if not write:
            return cls(folder, System.load(folder), None)
        finish_renewal(folder)
        if not (folder / artifacts.MANIFEST).is_file():
            raise InputError("no retrograd system here (manifest.json is missing)", path=folder)
        lock = WriterLock(folder)
        try:
            live = cls(folder, System.load(folder, held=True), lock)
            if live._is_worn():
                live.compact()
        except BaseException:
            lock.release()
            raise
        return live

    @property
    def generation(self) -> int:
        """Number of the current generation; 0 is what was fitted."""
        return self.system.generation

    def search(
        self, queries: str | Sequence[str | Query], k: int = 10, *, where: Mapping[str, Any] | None = None
    ) -> Ranking:
        """As `System.search`, never with a document whose deletion was acknowledged before this returns."""
        asked = self.system
        ranking = asked.search(queries, k, where)
        while (now := self.system) is not asked:  # somebody changed it meanwhile
            gone = asked.corpus.row_of.keys() - now.corpus.row_of.keys()
            asked = now
            if any(hit.document in gone for hits in ranking.hits for hit in hits):
                ranking = asked.search(queries, k, where)
        return ranking

    def add(self, documents: Iterable[Document]) -> Generation:
        """Documents join.

        Raises:
            InputError: no document, an id that the system knows, or one that occurs twice.
            StorageError: the disk refused; nothing has changed.
        """
        return self._put(documents, "add", known=False)

    def update(self, documents: Iterable[Document]) -> Generation:
        """Other contents for ids that are there; they get docids that fit those.

        Raises:
            InputError: no document, an id that the system does not know, or one that occurs twice.
            StorageError: the disk refused; nothing has changed.
        """
        return self._put(documents, "update", known=True)

    def put(self, documents: Iterable[Document]) -> Generation:
        """Documents join, or take the place of those with their id.

        Raises:
            InputError: no document, or an id that occurs twice.
            StorageError: the disk refused; nothing has changed.
        """
        return self._put(documents, "put", known=None)

    def delete(self, ids: Iterable[str]) -> Generation:
        """Documents leave.

        Raises:
            InputError: no id, one the system does not know, or nothing would be left.
            StorageError: the disk refused; nothing has changed.
        """
        return self.apply(Change(delete=tuple(ids), action="delete"))

    def _put(self, documents: Iterable[Document], action: str, *, known: bool | None) -> Generation:
        given = tuple(documents)
        with self._turn:
            for document in given:
                if known is not None and (document.id in self.system.corpus.row_of) is not known:
                    said = (
                        "is already in the system; update it" if not known else "is not in the system; add it"
                    )
                    raise InputError(f"document {document.id!r} {said}, or put it whether it is there or not")
            return self.apply(Change(put=given, action=action))

    def apply(self, change: Change) -> Generation:
        """All of a change, or nothing of it.

        Raises:
            InputError: the change is empty, names an id twice or an unknown one, or would leave nothing.
            StorageError: the disk refused; nothing has changed.
        """
        with self._turn:
            self._refuse_to_write()
            system = self.system
            known = system.corpus.row_of
            new = Corpus(change.put) if change.put else None
            self._check(change, new)
            updated = [document.id for document in change.put if document.id in known]
            leaving = {*change.delete, *updated}
            made = Placed((), {}, system.since.net.level_sizes, {})
            if new is not None:
                places = range(self._next_place, self._next_place + len(new))
                made = placed(system, new, places, without=leaving, learnt=change.learnt)
            head = self._head(
                change.action,
                added=len(change.put) - len(updated),
                removed=len(change.delete),
                updated=len(updated),
            )
            sizes = made.level_sizes or _sizes(system)
            step = Step(head, made.kept, self._kept(leaving), sizes, made.state)
            return self._take(step, made.vectors)

    def history(self) -> list[Generation]:
        """Every generation, newest first, 0 included."""
        return self._generations[::-1]

    def rollback(self, to: int | None = None) -> Generation:
        """The documents and docids of an earlier generation, as a new generation.

        Args:
            to: its number; None goes back to what was there before the current documents.

        Raises:
            InputError: no such generation, or it is what is there now.
            StorageError: the disk refused; nothing has changed.
        """
        with self._turn:
            self._refuse_to_write()
            assert self._log is not None or len(self._generations) == 1, (
                "there is a log where there are changes"
            )
            target = self._target(to)
            now = self.system.since
            steps = [] if self._log is None else self._log.steps()
            sizes = next((s.level_sizes for s in steps if s.generation.number == target), ())
            then = now.net.before((s for s in steps[::-1] if s.generation.number > target), level_sizes=sizes)
            back = [then.joined[place] for place in sorted(then.joined.keys() - now.net.joined.keys())]
            revived = now.net.gone - then.gone
            left = {kept.place: kept for step in steps for kept in step.gone}
            back += [left[place] for place in sorted(revived)]
            leaving = (now.net.joined.keys() - then.joined.keys()) | (then.gone - now.net.gone)
            rows = np.flatnonzero(np.isin(self.system.places, np.array(sorted(leaving), np.int64)))
            gone = self._kept({self.system.corpus[row].id for row in rows.tolist()})
            both = {kept.document.id for kept in back} & {kept.document.id for kept in gone}
            head = self._head(
                "rollback",
                added=len(back) - len(both),
                removed=len(gone) - len(both),
                updated=len(both),
                restores=target,
            )
            return self._take(Step(head, tuple(back), gone, sizes), {})

    def compact(self) -> None:
        """Write the current documents as a base of their own, so that indexes hold them and no others.

        The folder is replaced in one step, its history stays; the one before is kept as `FOLDER.previous`.
        """
        with self._turn:
            self._refuse_to_write()
            self._renew(self.system, None)

    def adopt(self, system: System, action: str = "train") -> Generation:
        """Another fit of the same documents takes the place of the current one, as a new generation.

        Rolling back across it restores documents, not weights; the fit before is kept as `FOLDER.previous`.

        Raises:
            InputError: it holds other documents than the current generation.
        """
        with self._turn:
            self._refuse_to_write()
            if system.corpus.ids != self.system.corpus.ids:
                raise InputError("the system to adopt holds other documents than the current generation")
            head = self._head(action, added=0, removed=0, updated=0)
            self._renew(system, Step(head, level_sizes=_sizes(system)))
            return self._generations[-1]

    def close(self) -> None:
        """Give the folder back; searching goes on as long as somebody holds `system`."""
        with self._turn:
            if self._log is not None:
                self._log.close()
                self._log = None
            if self._lock is not None:
                self._lock.release()
                self._lock = None

    def __enter__(self) -> LiveSystem:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _refuse_to_write(self) -> None:
        if self._lock is None:
            raise InputError(
                "was opened for reading only, or is closed; open it with write=True", path=self.folder
            )

    def _check(self, change: Change, new: Corpus | None) -> None:
        known = self.system.corpus.row_of
        if not change.put and not change.delete:
            raise InputError("the change holds no document; give at least one")
        twice = len(set(change.delete)) < len(change.delete)
        for id in change.delete:
            if id not in known:
                raise InputError(f"document {id!r:.80} is not in the system; nothing was deleted")
            if twice or (new is not None and id in new.row_of):
                raise InputError(f"the change deletes {id!r:.80} twice, or deletes it and puts it")
        if new is None and len(change.delete) == len(known):
            raise InputError("no document would be left; keep at least one")

    def _kept(self, ids: set[str]) -> tuple[Kept, ...]:
        """Documents of the current generation with all that is theirs, by place."""
        if not ids:
            return ()
        system = self.system
        rows = sorted(system.corpus.row_of[id] for id in ids)
        places = [int(system.places[row]) for row in rows]
        joined = system.since.net.joined
        # what a renewed base took over is known to the log with what was learnt for it
        older = {place for place in places if place not in joined}
        logged = {} if self._log is None or not older else self._log.put_rows(older)
        keys = [()] * len(rows) if system.table is None else system.table.keys_of_some(rows)
        return tuple(
            joined.get(place)
            or logged.get(place)
            or Kept(place, system.corpus[row], own, self._texts_of_base(place))
            for row, place, own in zip(rows, places, keys, strict=True)
        )

    def _texts_of_base(self, place: int) -> dict[str, str]:
        base = self.system.since
        row = int(np.searchsorted(base.places, place))
        return {name: lines[row] for name, lines in generated_texts(base.parts).items()}

    def _target(self, to: int | None) -> int:
        current = self._content(self._generations[-1])
        wanted = current - 1 if to is None else to
        if wanted < 0 and to is None:
            raise InputError("there is nothing before the fit to go back to", path=self.folder)
        if not 0 <= wanted < len(self._generations):
            raise InputError(
                f"there is no generation {wanted}; the last is {self.generation}", path=self.folder
            )
        if self._content(self._generations[wanted]) == current:
            raise InputError(f"the documents of generation {wanted} are the current ones", path=self.folder)
        return wanted

    def _content(self, generation: Generation) -> int:
        """The generation in which these documents first were the current ones."""
        while generation.restores is not None:
            generation = self._generations[generation.restores]
        return generation.number

    def _head(
        self, action: str, *, added: int, removed: int, updated: int, restores: int | None = None
    ) -> Generation:
        return Generation(
            number=self.generation + 1,
            time=_stamp(datetime.now(UTC)),
            action=action,
            added=added,
            removed=removed,
            updated=updated,
            documents=len(self.system.corpus) + added - removed,
            restores=restores,
        )

    def _take(self, step: Step, vectors: dict[int, np.ndarray]) -> Generation:
        """Build the system of a step beside the current one, write the step down, then let it answer."""
        since = self.system.since
        net = since.net.after([step])
        known = {**since.vectors, **vectors}
        if VECTORS in since.parts.arrays and net.joined.keys() - known.keys():
            steps = [] if self._log is None else self._log.steps(after=self.system.base_generation)
            known |= vectors_of_joined(since.parts, [*steps, step], net)
        system = self.system.changed(net, {at: known[at] for at in net.joined if at in known})
        self._written().append(step)
        if vectors:
            keep_vectors(vectors_of(self.folder), vectors)
        self._next_place += sum(kept.place >= self._next_place for kept in step.put)
        self._generations.append(step.generation)
        self.system = system
        return step.generation

    def _written(self) -> ChangeLog:
        if self._log is None:
            self._log = self._first_log(changes_of(self.folder))
        return self._log

    def _first_log(self, path: Path) -> ChangeLog:
        return ChangeLog.create(path, Step(self._generations[0], level_sizes=_sizes(self.system)))

    def _open_log(self) -> None:
        path = changes_of(self.folder)
        if path.exists():
            log = ChangeLog.open(path, write=self._lock is not None)
            self._generations = log.generations()
            self._next_place = max(self._next_place, log.last_place() + 1)
            if self._lock is None:
                log.close()
                # somebody may have written since the system was loaded
                self._generations = self._generations[: self.generation + 1]
            else:
                self._log = log

    def _begin(self, system: System) -> Generation:
        count = len(system.corpus)
        fitted = datetime.fromtimestamp((system.folder / artifacts.MANIFEST).stat().st_mtime, UTC)
        return Generation(0, _stamp(fitted), "fit", added=count, removed=0, updated=0, documents=count)

    def _is_worn(self) -> bool:
        drift = self.system.parts.drift
        if drift is None:
            return False
        count = max(int((drift.rows < 0).sum()), len(drift.joined))
        return count > WORN_AT_LEAST and count > WORN * len(drift.base)

    def _renew(self, system: System, step: Step | None) -> None:
        """Publish a folder with this system as its base, the whole log, and the lock already taken."""
        number = self.generation if step is None else step.generation.number
        partial = write_renewed(self.system, system, self.folder, number)
        path = changes_of(partial)
        if self._log is None:
            self._first_log(path).close()
        else:
            self._log.copy(path)
        if step is not None:
            with ChangeLog.open(path, write=True) as log:
                log.append(step)
        lock = WriterLock(partial)
        try:
            artifacts.publish(partial, self.folder)
        except BaseException:
            lock.release()
            raise
        before, self._lock = self._lock, lock
        if before is not None:
            before.release()
        if self._log is not None:
            self._log.close()
            self._log = None
        self.system = System.load(self.folder, held=True)
        self._open_log()


def _sizes(system: System) -> tuple[int, ...]:
    return () if system.table is None else system.table.level_sizes


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
