"""One thread per system answers what waits, together: the busier it is, the larger the batches.

A request that comes while nothing runs is taken at once and alone; nothing here ever waits for company.
Knows questions only as values that belong to a kind; neither HTTP nor systems.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from retrograd.server.refusals import RefusedError

MOST_TOGETHER = 64
"""Questions answered in one call."""

Answer = Callable[[Any, list[Any]], Sequence[Any]]
"""A kind and questions of that kind -> one answer each."""

Aside = Callable[[], bool]
"""One small piece of work for idle moments -> whether there is more."""


@dataclass(frozen=True)
class Answered:
    """What a request gets back."""

    answers: tuple[Any, ...]
    together: int
    """Questions that were answered in the same call."""


@dataclass(frozen=True, eq=False)
class _Job:
    kind: Hashable
    questions: tuple[Any, ...]
    future: asyncio.Future[Answered]
    loop: asyncio.AbstractEventLoop


class Batcher:
    """Answers the questions of one system on a thread of its own.

    Args:
        answer: called on that thread only.
        queue: jobs that may wait.
        observe: told of each call how many questions it answered and how many seconds it took.
        begin: called once, first, on the thread.
    """

    def __init__(
        self,
        answer: Answer,
        *,
        queue: int,
        observe: Callable[[int, float], None] = lambda together, seconds: None,
        begin: Callable[[], None] = lambda: None,
        name: str = "searcher",
    ) -> None:
        self._answer, self._queue, self._observe, self._begin = answer, queue, observe, begin
        self._waiting: deque[_Job] = deque()
        self._aside: deque[Aside] = deque()
        self._stopped = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def __len__(self) -> int:
        """Jobs that wait."""
        return len(self._waiting)

    @property
    def is_alive(self) -> bool:
        """Whether the thread still answers."""
        return self._thread.is_alive()

    async def ask(self, kind: Hashable, questions: Sequence[Any], until: float) -> Answered:
        """Answers to the questions, which may be answered together with others of an equal kind.

        Args:
            until: `time.monotonic()` at which the request is given up.

        Raises:
            RefusedError: too many wait already (429), the time is over or the server stops (503).
            Exception: whatever `answer` raised for these questions alone.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Answered] = loop.create_future()
        with self._changed:
            if self._stopped:
                raise RefusedError(503, "the server is stopping", code="draining")
            if len(self._waiting) >= self._queue:
                raise RefusedError(
                    429, f"{self._queue} requests wait for this system already; come back later"
                )
            self._waiting.append(_Job(kind, tuple(questions), future, loop))
            self._changed.notify()
        alarm = loop.call_later(max(0.0, until - time.monotonic()), _expire, future)
        try:
            return await future
        finally:
            alarm.cancel()

    def aside(self, step: Aside) -> None:
        """Work that may wait: one step at a time, whenever no question does."""
        with self._changed:
            self._aside.append(step)
            self._changed.notify()

    def stop(self, seconds: float = 5.0) -> None:
        """Answer what waits, then end; gives up waiting for that after so long."""
        with self._changed:
            self._stopped = True
            self._aside.clear()
            self._changed.notify()
        self._thread.join(seconds)

    def _work(self) -> None:
        self._begin()
        while (jobs := self._take()) is not None:
            kinds: dict[Hashable, list[_Job]] = {}
            for job in jobs:
                kinds.setdefault(job.kind, []).append(job)
            for kind, together in kinds.items():
                self._settle(kind, [job for job in together if not job.future.done()])

    def _take(self) -> list[_Job] | None:
        """What waits, as far as it may be answered together; does idle work meanwhile. None: stop."""
        while True:
            with self._changed:
                while not (self._waiting or self._aside or self._stopped):
                    self._changed.wait()
                if self._waiting:
                    jobs = [self._waiting.popleft()]
                    total = len(jobs[0].questions)
                    while self._waiting and total + len(self._waiting[0].questions) <= MOST_TOGETHER:
                        jobs.append(self._waiting.popleft())
                        total += len(jobs[-1].questions)
                    return jobs
                if self._stopped:
                    return None
                step = self._aside.popleft()
            if self._tried(step):
                with self._changed:
                    self._aside.append(step)

    def _tried(self, step: Aside) -> bool:
        try:
            return step()
        except Exception:
            logging.getLogger(__name__).exception("work in an idle moment failed")
            return False

    def _settle(self, kind: Hashable, jobs: list[_Job]) -> None:
        """Answer jobs of one kind. What fails together is asked again alone: the fault is one caller's."""
        if not jobs:
            return
        questions = [question for job in jobs for question in job.questions]
        began = time.perf_counter()
        try:
            answers = list(self._answer(kind, questions))
            assert len(answers) == len(questions), "one answer per question"
        except Exception as error:
            if len(jobs) > 1:
                for job in jobs:
                    self._settle(kind, [job])
                return
            _deliver([(jobs[0], error)])
            return
        self._observe(len(questions), time.perf_counter() - began)
        results, at = [], 0
        for job in jobs:
            own = tuple(answers[at : at + len(job.questions)])
            at += len(own)
            results.append((job, Answered(own, len(questions))))
        _deliver(results)


async def apart(until: float, work: Callable[..., Any], *arguments: Any) -> Any:
    """What `work(*arguments)` returns, done on a thread of no system.

    Raises:
        RefusedError: the time is over (503); the work still runs to its end.
    """
    running = asyncio.get_running_loop().run_in_executor(None, work, *arguments)
    try:
        return await asyncio.wait_for(running, max(0.0, until - time.monotonic()))
    except TimeoutError:
        raise _late() from None


def _late() -> RefusedError:
    return RefusedError(503, "no answer within the deadline of a request", code="deadline")


def _expire(future: asyncio.Future[Answered]) -> None:
    if not future.done():
        future.set_exception(_late())


def _deliver(results: Sequence[tuple[_Job, Answered | Exception]]) -> None:
    """Hand results to the loop that waits for them, in one call."""
    try:
        results[0][0].loop.call_soon_threadsafe(_settle_futures, results)
    except RuntimeError:  # the loop is gone, and whoever waited with it
        return


def _settle_futures(results: Sequence[tuple[_Job, Answered | Exception]]) -> None:
    for job, result in results:
        if job.future.done():
            continue
        if isinstance(result, Exception):
            job.future.set_exception(result)
        else:
            job.future.set_result(result)
