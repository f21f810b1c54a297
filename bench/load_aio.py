"""Closed and open loops of callers that are asyncio's tasks; what ``load`` is for those that block."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from bench.load import Job, verify, with_histogram
from bench.pacing import TaskPacer
from bench.sample import Mark, Sample, resident

AsyncCall = Callable[[], Awaitable[object]]


class AsyncClient:
    """A peer's client whose calls are awaited. A peer's module says how one connects."""

    def calls(self, workload: str, callers: int) -> contextlib.AbstractAsyncContextManager[list[AsyncCall]]:
        """The function that each caller calls, connected within the block."""
        raise NotImplementedError

    async def idle_connections(self, count: int) -> list[Any]:
        """So many connections, each of which has made a ping; they live as long as the list."""
        raise NotImplementedError

    def expected(self, workload: str) -> Any:
        """What a call answers."""
        raise NotImplementedError

    def measure(self, job: Job) -> Sample:
        """Runs one job in a loop of its own."""
        return asyncio.run(self._measure(job))

    async def _measure(self, job: Job) -> Sample:
        async with self.calls(job.workload, job.callers) as calls:
            verify(await calls[0](), self.expected(job.workload))
            if job.rate is None:
                return await closed_loop(calls, job)
            return with_histogram(*await paced_loop(calls, job))

    def weigh(self, count: int, server_pid: int) -> tuple[float, float]:
        """Bytes that an idle connection takes in the server and in the client."""
        return asyncio.run(self._weigh(count, server_pid))

    async def _weigh(self, count: int, server_pid: int) -> tuple[float, float]:
        before = resident(server_pid), resident()
        kept = await self.idle_connections(count)
        await asyncio.sleep(1.0)
        after = resident(server_pid), resident()
        del kept
        return (after[0] - before[0]) / count, (after[1] - before[1]) / count


async def closed_loop(calls: Sequence[AsyncCall], job: Job) -> Sample:
    """Every caller calls again as soon as it was answered."""
    latencies: list[float] = []
    running = [True]

    async def body(call: AsyncCall) -> None:
        clock, done = time.perf_counter, latencies.append
        while running:
            began = clock()
            await call()
            done(clock() - began)

    tasks = [asyncio.ensure_future(body(call)) for call in calls]
    await asyncio.sleep(job.warm_up)
    start = Mark.take(len(latencies), job.server_pid)
    await asyncio.sleep(job.seconds)
    end = Mark.take(len(latencies), job.server_pid)
    running.clear()
    await asyncio.gather(*tasks)
    return start.until(end, latencies)


async def paced_loop(calls: Sequence[AsyncCall], job: Job) -> tuple[Sample, list[float]]:
    """Every caller has its moments, and is late for the next one if it was not answered in time.

    The sample, and the latencies of its calls, each from the moment at which it was meant to start.
    """
    latencies: list[float] = []
    pacer, began = TaskPacer(), time.monotonic() + 0.01
    counted_from, until = began + job.warm_up, began + job.warm_up + job.seconds

    async def body(call: AsyncCall, due: float) -> None:
        clock = time.monotonic
        while due < until:
            if due > clock():
                await pacer.wait(due)
            await call()
            if due >= counted_from:
                latencies.append(clock() - due)
            due += job.step

    tasks = [asyncio.ensure_future(body(call, job.first_due(number, began))) for number, call in enumerate(calls)]
    await asyncio.sleep(max(0.0, counted_from - time.monotonic()))
    start = Mark.take(0, job.server_pid)
    await asyncio.gather(*tasks)
    pacer.close()
    return start.until(Mark.take(len(latencies), job.server_pid), latencies), latencies
