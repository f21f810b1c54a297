"""Native threads: how many, what they run, and how they end."""

from __future__ import annotations

import _thread
import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.support.waiting import eventually
from zkrpc.forking import hub_of_thread
from zkrpc.server.native_threads import LoopExecutor, NativeThreads, start_thread


class Pool:
    """Two threads, the ends that they told of, and a gate that holds up what they run."""

    def __init__(self) -> None:
        self.ended: list[int] = []
        self.ran: list[str] = []
        self.gate = threading.Event()
        self.threads = NativeThreads(2, lambda: self.ended.append(_thread.get_ident()))
        self.busy = 0

    def put(self, name: str) -> Any:
        """Has a work run that waits at the gate; returns it."""

        def work() -> None:
            self.gate.wait(60)
            self.ran.append(name)

        self.busy += 1
        self.threads.put(work, self.busy)
        return work


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Closed with the test."""
    made = Pool()
    yield made
    made.gate.set()
    made.threads.close()
    eventually(lambda: len(made.ended) == made.threads.count)


def test_threads_are_started_as_they_are_needed_and_end_when_closed(pool: Pool) -> None:
    """One for the first work, the second one for a work beside it, and no third."""
    assert pool.threads.count == 0
    assert [(pool.put(name), pool.threads.count)[1] for name in "abcd"] == [1, 2, 2, 2]
    eventually(lambda: repr(pool.threads) == "<NativeThreads 2/2 waiting=2>")
    pool.gate.set()
    eventually(lambda: sorted(pool.ran) == ["a", "b", "c", "d"])
    pool.busy = 0
    pool.put("e")
    eventually(lambda: "e" in pool.ran)
    pool.threads.close()
    eventually(lambda: len(set(pool.ended)) == 2)
    assert _thread.get_ident() not in pool.ended


def test_what_no_thread_has_begun_is_taken_back(pool: Pool) -> None:
    """It never runs; what runs already stays; the others are not held up."""
    begun = [pool.put("a"), pool.put("b")]
    eventually(lambda: repr(pool.threads) == "<NativeThreads 2/2 waiting=0>")
    waiting = pool.put("c")
    pool.put("d")
    assert pool.threads.remove(waiting) and not pool.threads.remove(waiting) and not pool.threads.remove(begun[0])
    pool.gate.set()
    eventually(lambda: sorted(pool.ran) == ["a", "b", "d"])


def test_what_waits_when_the_pool_is_closed_never_runs(pool: Pool) -> None:
    """What runs is finished."""
    for name in "abc":
        pool.put(name)
    eventually(lambda: repr(pool.threads) == "<NativeThreads 2/2 waiting=1>")
    pool.threads.close()
    pool.gate.set()
    eventually(lambda: len(pool.ended) == 2)
    assert sorted(pool.ran) == ["a", "b"]


def test_hub_that_a_thread_has_made_ends_with_it() -> None:
    """As patched sockets make one; it would hold descriptors for as long as the process lives."""
    hubs: list[Any] = []

    def main() -> None:
        gevent.sleep(0)
        hubs.append(hub_of_thread())

    start_thread(main)
    eventually(lambda: hubs and hubs[0].loop is None)


def test_event_loop_gives_blocking_work_to_threads() -> None:
    """Results and exceptions come back; an answer that nobody waits for any more is dropped."""
    gate = threading.Event()

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(executor := LoopExecutor(loop, 1))
        assert await asyncio.to_thread(_thread.get_ident) != _thread.get_ident()
        with pytest.raises(ValueError, match="invalid literal"):
            await asyncio.to_thread(int, "x")
        with pytest.raises(RuntimeError, match="the function raised StopIteration"):
            await asyncio.to_thread(next, iter(()))
        given_up = executor.submit(gate.wait, 60)
        given_up.cancel()
        gate.set()
        assert await asyncio.to_thread(int, "7") == 7
        executor.submit(gate.wait)

    asyncio.run(main())
