"""One system as a server holds it: a thread that answers, a thread that changes, and what was counted.

Knows the live system and the order of things; neither HTTP nor JSON.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import TYPE_CHECKING, Any

from retrograd.errors import InputError, StorageError
from retrograd.server.asking import Engines, takes
from retrograd.server.audit import Audit
from retrograd.server.batching import Answered, Batcher
from retrograd.server.metrics import Metrics
from retrograd.server.refusals import RefusedError
from retrograd.server.tree import Explorer
from retrograd.system import System

if TYPE_CHECKING:
    from retrograd.updates.live import Generation, LiveSystem

MOST_CHANGES_WAITING = 64

Act = Callable[["LiveSystem"], "Generation"]


class Hosted:
    """A live system with the threads that serve it.

    Args:
        begin: called once on each of its threads, to set how many threads torch may use there.
    """

    def __init__(
        self,
        name: str,
        live: LiveSystem,
        *,
        writable: bool,
        queue: int,
        metrics: Metrics,
        begin: Callable[[], None] = lambda: None,
    ) -> None:
        self.name, self.live, self.writable, self._metrics = name, live, writable, metrics
        self._engines = Engines()
        self.batcher = Batcher(
            lambda kind, questions: kind.answer(self.live, self._engines, questions),
            queue=queue,
            observe=lambda questions, seconds: metrics.batch(name, questions, seconds),
            begin=begin,
            name=f"search-{name}",
        )
        self.audit = Audit(live, self.batcher)
        self._writer = ThreadPoolExecutor(1, thread_name_prefix=f"change-{name}", initializer=begin)
        self._changes_waiting = 0
        self._explorer: tuple[System, Explorer] | None = None

    @cached_property
    def takes(self) -> tuple[str, ...]:
        """Which questions it understands."""
        return takes(self.live.system)

    async def ask(self, kind: Any, questions: Sequence[Any], until: float) -> Answered:
        """As `Batcher.ask`."""
        return await self.batcher.ask(kind, questions, until)

    def explorer(self) -> Explorer:
        """The id tree of the current generation.

        Raises:
            RefusedError: the system has no docids.
        """
        system, kept = self.live.system, self._explorer
        if kept is not None and kept[0] is system:
            return kept[1]
        if system.table is None:
            raise RefusedError(
                404, "this system has no docids, so there is no tree to show", code="no_docids"
            )
        self._explorer = (system, Explorer(system.table, system.corpus))
        return self._explorer[1]

    async def change(self, act: Act, until: float) -> Generation:
        """Make one change, after those that came before. Once begun it is waited for, so that what a
        caller is told is what happened.

        Raises:
            RefusedError: read-only (409), too many wait (429), not begun in time or no storage (503), or the
                system refuses the change (422).
        """
        if not self.writable:
            raise RefusedError(409, "this system is served read-only", code="read_only")
        if self._changes_waiting >= MOST_CHANGES_WAITING:
            raise RefusedError(
                429, f"{MOST_CHANGES_WAITING} changes wait for this system already; come back later"
            )
        self._changes_waiting += 1
        try:
            work = asyncio.get_running_loop().run_in_executor(self._writer, self._act, act, until)
            generation = await work
        finally:
            self._changes_waiting -= 1
        self._metrics.change(self.name, generation.action)
        return generation

    def _act(self, act: Act, until: float) -> Generation:
        if time.monotonic() > until:
            raise RefusedError(
                503, "the change was not begun within the deadline; nothing changed", code="deadline"
            )
        try:
            return act(self.live)
        except InputError as error:
            refused = (
                "the system refuses this change; its reason stands in the server's log under this request"
            )
            raise RefusedError(422, refused, code="refused") from error
        except StorageError as error:
            raise RefusedError(503, "the disk refused the change; nothing changed", code="storage") from error

    def close(self) -> None:
        """Answer and change what waits, then let go of the folder."""
        self.batcher.stop()
        self._writer.shutdown(wait=True)
        self.live.close()
