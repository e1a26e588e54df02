"""Who waits is answered together, who is alone at once; nobody's fault or deadline is another's."""

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from retrograd.server.batching import MOST_TOGETHER, Answered, Batcher, apart
from retrograd.server.refusals import RefusedError


class Slow:
    """An `answer` that can be held, and remembers every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, list[Any]]] = []
        self.free = threading.Event()
        self.free.set()
        self.began = threading.Event()

    def __call__(self, kind: Any, questions: list[Any]) -> list[Any]:
        self.calls.append((kind, questions))
        self.began.set()
        assert self.free.wait(10)
        if "bad" in questions:
            raise ValueError("bad")
        return [f"{kind}:{question}" for question in questions]


def soon(seconds: float = 10.0) -> float:
    return time.monotonic() + seconds


def run(test: Callable[[Slow, Batcher], Any], queue: int = 256) -> Any:
    slow = Slow()
    batcher = Batcher(slow, queue=queue)
    try:
        return asyncio.run(test(slow, batcher))
    finally:
        slow.free.set()
        batcher.stop()
        assert not batcher.is_alive


async def held(slow: Slow, batcher: Batcher) -> "asyncio.Task[Answered]":
    """One question that keeps the thread busy until `slow.free` is set."""
    slow.free.clear()
    task = asyncio.create_task(batcher.ask("k", ["first"], soon()))
    while not slow.began.is_set():
        await asyncio.sleep(0.001)
    return task


async def queued(batcher: Batcher, count: int) -> None:
    while len(batcher) < count:
        await asyncio.sleep(0.001)


def test_a_lone_request_is_taken_at_once_and_alone(monkeypatch):
    waits = []
    wait = threading.Condition.wait

    def watched(self, timeout=None):
        waits.append(timeout)
        return wait(self, timeout)

    async def test(slow, batcher):
        for number in range(20):
            answered = await batcher.ask("k", [number], soon())
            assert answered == Answered((f"k:{number}",), 1)
        assert slow.calls == [("k", [number]) for number in range(20)]

    monkeypatch.setattr(threading.Condition, "wait", watched)
    run(test)
    # the thread waits for a request to come and never for company: no wait has an end of its own
    assert waits
    assert set(waits) == {None}


def test_requests_that_wait_are_answered_in_one_call_by_kind():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        later = [asyncio.create_task(batcher.ask("ab"[at % 2], [at], soon())) for at in range(10)]
        await queued(batcher, 10)
        slow.free.set()
        answers = await asyncio.gather(first, *later)
        assert slow.calls[1:] == [("a", [0, 2, 4, 6, 8]), ("b", [1, 3, 5, 7, 9])]
        assert [a.answers for a in answers[1:]] == [(f"{'ab'[at % 2]}:{at}",) for at in range(10)]
        assert [a.together for a in answers] == [1, *[5] * 10]

    run(test)


def test_a_call_holds_at_most_so_many_questions():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        later = [asyncio.create_task(batcher.ask("k", list(range(30)), soon())) for _ in range(5)]
        await queued(batcher, 5)
        slow.free.set()
        await asyncio.gather(first, *later)
        assert [len(questions) for _, questions in slow.calls] == [1, 60, 60, 30]
        assert max(len(questions) for _, questions in slow.calls) <= MOST_TOGETHER

    run(test)


def test_a_fault_is_only_its_own_askers():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        later = [asyncio.create_task(batcher.ask("k", [text], soon())) for text in ("a", "bad", "c")]
        await queued(batcher, 3)
        slow.free.set()
        results = await asyncio.gather(first, *later, return_exceptions=True)
        assert [type(result) for result in results] == [Answered, Answered, ValueError, Answered]

    run(test)


def test_a_full_queue_refuses_the_next():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        later = [asyncio.create_task(batcher.ask("k", [at], soon())) for at in range(3)]
        await queued(batcher, 3)
        with pytest.raises(RefusedError) as refused:
            await batcher.ask("k", ["more"], soon())
        assert refused.value.status == 429
        slow.free.set()
        assert len(await asyncio.gather(first, *later)) == 4

    run(test, queue=3)


def test_who_is_too_late_is_told_and_is_not_searched_for():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        with pytest.raises(RefusedError) as refused:
            await batcher.ask("k", ["late"], soon(0.05))
        assert (refused.value.status, refused.value.code) == (503, "deadline")
        slow.free.set()
        await first
        await batcher.ask("k", ["after"], soon())
        assert ["late"] not in [questions for _, questions in slow.calls]

    run(test)


def test_idle_work_waits_for_every_question():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        done = []
        batcher.aside(lambda: done.append(len(slow.calls)) or len(done) < 3)
        later = [asyncio.create_task(batcher.ask(str(at), [at], soon())) for at in range(4)]
        await queued(batcher, 4)
        slow.free.set()
        await asyncio.gather(first, *later)
        while len(done) < 3:
            await asyncio.sleep(0.001)
        assert done == [5, 5, 5]

    run(test)


def test_idle_work_that_fails_ends_alone(caplog):
    async def test(slow, batcher):
        batcher.aside(lambda: 1 / 0)
        answered = await batcher.ask("k", ["a"], soon())
        assert answered.answers == ("k:a",)
        while "idle moment" not in caplog.text:
            await asyncio.sleep(0.001)
        assert batcher.is_alive

    run(test)


def test_stopping_answers_what_waits_and_refuses_what_comes():
    async def test(slow, batcher):
        first = await held(slow, batcher)
        later = asyncio.create_task(batcher.ask("k", ["waits"], soon()))
        await queued(batcher, 1)
        slow.free.set()
        await asyncio.to_thread(batcher.stop)
        assert (await later).answers == ("k:waits",)
        with pytest.raises(RefusedError, match="stopping"):
            await batcher.ask("k", ["more"], soon())
        await first

    run(test)


def test_work_apart_has_the_same_deadline():
    async def test():
        assert await apart(soon(), sum, [1, 2]) == 3
        with pytest.raises(RefusedError, match="deadline"):
            await apart(soon(0.01), time.sleep, 0.2)

    asyncio.run(test())
