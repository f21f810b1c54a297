"""The event loop of async handlers: tasks, cancellation, and its end."""

from __future__ import annotations

import _thread
import asyncio
import contextvars
import itertools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.support.waiting import eventually
from zkrpc.call import ServerCall
from zkrpc.server import event_loop as module
from zkrpc.server.crossing import Job
from zkrpc.server.event_loop import EventLoop

_place: contextvars.ContextVar[str] = contextvars.ContextVar("place", default="nowhere")


class Running:
    """A loop, and what it told of."""

    def __init__(self) -> None:
        self.done: list[Job] = []
        self.ended: list[str] = []
        self.loop = EventLoop(self.done.append, lambda: self.ended.append("ended"))

    def put(self, handler: Callable[..., Any], *arguments: Any, cancelled: bool = False) -> Job:
        """Has a handler run."""
        call = ServerCall("get", handler, arguments, {}, "10.0.0.1:5", 0.0)
        job = Job(call, contextvars.copy_context(), None)
        job.cancelled = cancelled
        self.loop.put(job)
        return job

    def cancel(self, job: Job) -> None:
        """As the hub does."""
        job.cancelled = True
        self.loop.put(job)

    def stop(self) -> None:
        """And waits for the end."""
        self.loop.stop()
        eventually(lambda: self.ended)


@pytest.fixture
def running() -> Iterator[Running]:
    """Ends with the test."""
    made = Running()
    yield made
    made.stop()


async def hang(begun: list[str]) -> None:
    """Until it is cancelled."""
    begun.append("begun")
    try:
        await asyncio.sleep(600)
    finally:
        await asyncio.sleep(0.01)
        begun.append("cleaned up")


def test_handlers_run_beside_each_other_in_another_thread_with_their_context(running: Running) -> None:
    """Each in a copy of what held when it was put; what it changes there stays there."""

    async def look(later: str) -> tuple[str, bool]:
        seen = _place.get()
        _place.set(later)
        await asyncio.sleep(0.01)
        return f"{seen} {_place.get()}", _thread.get_ident() != here

    here = _thread.get_ident()
    _place.set("here")
    jobs = [running.put(look, name) for name in "abc"]
    eventually(lambda: len(running.done) == 3)
    assert [job.outcome() for job in jobs] == [(f"here {name}", True) for name in "abc"]
    assert _place.get() == "here" and all(job.call.entered for job in jobs)


@pytest.mark.parametrize("error", [ValueError("bad"), SystemExit(3), asyncio.CancelledError()])
def test_what_a_handler_raises_is_its_own_outcome(running: Running, error: BaseException) -> None:
    """Also what would end a program; the loop goes on."""

    async def fail() -> None:
        raise error

    async def work() -> str:
        return "works"

    failed = running.put(fail)
    eventually(lambda: failed in running.done)
    with pytest.raises(type(error)):
        failed.outcome()
    job = running.put(work)
    eventually(lambda: job in running.done)
    assert job.outcome() == "works"


def test_cancelled_handler_ends_when_it_has_cleaned_up(running: Running) -> None:
    """One that was cancelled before it began never does."""
    begun: list[str] = []
    job = running.put(hang, begun)
    eventually(lambda: begun)
    running.cancel(job)
    eventually(lambda: job in running.done)
    assert begun == ["begun", "cleaned up"] and isinstance(job.error, asyncio.CancelledError)
    unbegun = running.put(hang, begun, cancelled=True)
    eventually(lambda: unbegun in running.done)
    assert not unbegun.call.entered and len(begun) == 2


def test_many_handlers_that_are_cancelled_at_once_all_end(running: Running) -> None:
    """Whether or not they have begun, or taken their first step."""
    jobs = []
    for _ in range(300):
        jobs.append(running.put(hang, []))
        running.cancel(jobs[-1])
    eventually(lambda: len(set(running.done)) == len(jobs))


def test_stop_cancels_what_runs_and_ends_the_thread(running: Running) -> None:
    """Also tasks that a handler has started; what comes later ends without having run."""
    begun: list[str] = []

    async def start_more() -> None:
        running.keep = asyncio.create_task(hang(begun))  # type: ignore[attr-defined]
        await asyncio.sleep(600)

    job = running.put(start_more)
    eventually(lambda: begun)
    running.stop()
    assert running.done == [job] and begun == ["begun", "cleaned up"]
    late = running.put(hang, begun)
    eventually(lambda: late in running.done)
    assert not late.call.entered and repr(running.loop).startswith("<EventLoop <_UnixSelectorEventLoop running=False")


def test_task_that_does_not_end_is_named(
    running: Running, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After the time for it; the thread ends nevertheless."""
    monkeypatch.setattr(module, "WIND_UP", 0.05)
    begun: list[str] = []

    async def stubborn() -> None:
        begun.append("begun")
        while len(begun) < 3:
            try:
                await asyncio.sleep(0.2)
            except asyncio.CancelledError:
                begun.append("cancelled")

    job = running.put(stubborn)
    eventually(lambda: begun)
    with caplog.at_level(logging.WARNING):
        running.stop()
    assert "1 tasks did not end within 0.05 s of being cancelled: get" in caplog.text
    job.task.get_coro().close()
    job.task._log_destroy_pending = False


def test_loop_that_a_handler_stops_says_so(running: Running) -> None:
    """Whoever waits for a handler is not left waiting."""

    async def stop() -> None:
        asyncio.get_running_loop().stop()
        await asyncio.sleep(600)

    job = running.put(stop)
    eventually(lambda: running.ended)
    assert running.done == [job]


def test_loop_is_the_one_of_the_policy(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """So uvloop's, where that is set. What cannot be made is logged, and nothing waits for it."""

    class Loop(asyncio.SelectorEventLoop):
        """Somebody's."""

    async def name() -> str:
        return type(asyncio.get_running_loop()).__name__

    monkeypatch.setattr(asyncio, "new_event_loop", Loop)
    running = Running()
    job = running.put(name)
    eventually(lambda: running.done)
    running.stop()
    assert job.outcome() == "Loop"

    def fail() -> None:
        raise OSError("no more descriptors")

    monkeypatch.setattr(asyncio, "new_event_loop", fail)
    running = Running()
    job = running.put(name)
    eventually(lambda: running.done and running.ended)
    assert running.done == [job] and not job.call.entered and "no more descriptors" in caplog.text


def test_handler_that_blocks_the_loop_is_named(running: Running, caplog: pytest.LogCaptureFixture) -> None:
    """With the place, and what to do, when the loop runs again; once a minute. A loop that runs is not remarked on."""
    gate = threading.Event()

    async def block() -> None:
        assert gate.wait(60)

    async def wait() -> None: ...

    def found() -> object:
        running.loop.look(next(times))
        return running.loop._found

    times = itertools.count()

    first = running.put(wait)
    eventually(lambda: first in running.done)
    running.loop.look(0.0)
    eventually(lambda: running.loop._asked_at is None)
    assert not caplog.records
    job = running.put(block)
    eventually(found)
    gate.set()
    eventually(lambda: job in running.done and caplog.records)
    (record,) = caplog.records
    assert "an async handler blocked the event loop" in record.message and "await asyncio.to_thread" in record.message
    assert "assert gate.wait(60)" in record.message and "run_forever" not in record.message
    gate.clear()
    job = running.put(block)
    eventually(found)
    gate.set()
    eventually(lambda: job in running.done and running.loop._asked_at is None)
    assert caplog.records == [record]
