"""Closed and open loops of callers that block: threads, or greenlets."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, TypeVar

from bench.pacing import GreenletPacer, Pacer, ThreadPacer
from bench.sample import Mark, Sample, resident

FoundT = TypeVar("FoundT")

LONGEST_LATENCY = 60_000_000
"""Microseconds."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One cell of one round."""

    workload: str
    callers: int
    warm_up: float
    seconds: float
    server_pid: int
    rate: float | None = None
    """Calls a second of an open loop; None for a closed one."""

    def first_due(self, caller: int, began: float) -> float:
        """When a caller of an open loop starts; they take turns, so that all calls together are evenly spaced."""
        assert self.rate is not None
        return began + caller / self.rate

    @property
    def step(self) -> float:
        """Seconds between two calls of one caller of an open loop."""
        assert self.rate is not None
        return self.callers / self.rate


class Threads:
    """Callers are threads."""

    sleep = staticmethod(time.sleep)
    pacer: Callable[[], Pacer] = ThreadPacer

    def run(self, bodies: Sequence[Callable[[], object]], meanwhile: Callable[[], FoundT]) -> FoundT:
        """Starts all, and returns what ``meanwhile`` gives once all have ended."""
        threads = [threading.Thread(target=body, daemon=True) for body in bodies]
        for thread in threads:
            thread.start()
        found = meanwhile()
        for thread in threads:
            thread.join()
        return found


class Greenlets:
    """Callers are greenlets."""

    pacer: Callable[[], Pacer] = GreenletPacer

    def sleep(self, seconds: float) -> None:
        """Lets the others run."""
        import gevent

        gevent.sleep(seconds)

    def run(self, bodies: Sequence[Callable[[], object]], meanwhile: Callable[[], FoundT]) -> FoundT:
        """Starts all, and returns what ``meanwhile`` gives once all have ended."""
        import gevent

        greenlets = [gevent.spawn(body) for body in bodies]
        found = meanwhile()
        gevent.joinall(greenlets, raise_error=True)
        return found


class BlockingClient:
    """A peer's client whose calls block. A peer's module says how one connects."""

    tasks: ClassVar[Threads | Greenlets] = Greenlets()

    def calls(self, workload: str, callers: int) -> contextlib.AbstractContextManager[list[Callable[[], object]]]:
        """The function that each caller calls, connected within the block, by as many connections as that takes."""
        raise NotImplementedError

    def idle_connections(self, count: int) -> list[Any]:
        """So many connections, each of which has made a ping; they live as long as the list."""
        raise NotImplementedError

    def expected(self, workload: str) -> Any:
        """What a call answers; None if it is nothing that could be compared."""
        return None

    def measure(self, job: Job) -> Sample:
        """Runs one job."""
        with self.calls(job.workload, job.callers) as calls:
            verify(calls[0](), self.expected(job.workload))
            if job.rate is None:
                return closed_loop(self.tasks, calls, job)
            return with_histogram(*paced_loop(self.tasks, calls, job))

    def weigh(self, count: int, server_pid: int) -> tuple[float, float]:
        """Bytes that an idle connection takes in the server and in the client."""
        return weigh(lambda: self.idle_connections(count), self.tasks.sleep, count, server_pid)


def closed_loop(tasks: Threads | Greenlets, calls: Sequence[Callable[[], object]], job: Job) -> Sample:
    """Every caller calls again as soon as it was answered."""
    latencies: list[float] = []
    running = [True]

    def body(call: Callable[[], object]) -> None:
        clock, done = time.perf_counter, latencies.append
        while running:
            began = clock()
            call()
            done(clock() - began)

    def watch() -> tuple[Mark, Mark]:
        try:
            tasks.sleep(job.warm_up)
            start = Mark.take(len(latencies), job.server_pid)
            tasks.sleep(job.seconds)
            return start, Mark.take(len(latencies), job.server_pid)
        finally:
            running.clear()

    start, end = tasks.run([functools.partial(body, call) for call in calls], watch)
    return start.until(end, latencies)


def paced_loop(
    tasks: Threads | Greenlets, calls: Sequence[Callable[[], object]], job: Job
) -> tuple[Sample, list[float]]:
    """Every caller has its moments, and is late for the next one if it was not answered in time.

    The sample, and the latencies of its calls, each from the moment at which it was meant to start.
    """
    latencies: list[float] = []
    pacer, began = tasks.pacer(), time.monotonic() + 0.01
    counted_from, until = began + job.warm_up, began + job.warm_up + job.seconds

    def body(call: Callable[[], object], due: float) -> None:
        clock = time.monotonic
        while due < until:
            if due > clock():
                pacer.wait(due)
            call()
            if due >= counted_from:
                latencies.append(clock() - due)
            due += job.step

    def watch() -> Mark:
        tasks.sleep(max(0.0, counted_from - time.monotonic()))
        return Mark.take(0, job.server_pid)

    bodies = [functools.partial(body, call, job.first_due(number, began)) for number, call in enumerate(calls)]
    start = tasks.run(bodies, watch)
    pacer.close()
    return start.until(Mark.take(len(latencies), job.server_pid), latencies), latencies


def with_histogram(sample: Sample, latencies: Sequence[float]) -> Sample:
    """The sample with its latencies as a histogram that can be added to those of other rounds."""
    from hdrh.histogram import HdrHistogram

    histogram = HdrHistogram(1, LONGEST_LATENCY, 3)
    for latency in latencies:
        histogram.record_value(min(LONGEST_LATENCY, max(1, round(latency * 1e6))))
    return dataclasses.replace(sample, histogram=histogram.encode().decode())


def sharing_one(client: type[BlockingClient]) -> type[BlockingClient]:
    """The same client with one connection for all callers, who take turns: it does one call at a time."""

    class Sharing(client):  # type: ignore[misc, valid-type]  # made for one module each
        @contextlib.contextmanager
        def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
            with super().calls(workload, 1) as (call,):
                yield [_taking_turns(call)] * callers

    return Sharing


def _taking_turns(call: Callable[[], object]) -> Callable[[], object]:
    """The same for greenlets that share what can do only one call at a time."""
    from gevent.lock import RLock

    lock = RLock()

    def one_by_one() -> object:
        with lock:
            return call()

    return one_by_one


def verify(answer: Any, expected: Any) -> None:
    """Raises ValueError if a peer's answer is not what it should be: nobody shall be fast by being wrong."""
    if expected is not None and answer != expected:
        raise ValueError(f"expected {expected!r:.200}, got {answer!r:.200}")


def weigh(
    connect: Callable[[], Any], sleep: Callable[[float], object], count: int, server_pid: int
) -> tuple[float, float]:
    """What memory grows by, in the server and here, for each of ``count`` connections that ``connect`` makes."""
    before = resident(server_pid), resident()
    kept = connect()
    sleep(1.0)
    after = resident(server_pid), resident()
    del kept
    return (after[0] - before[0]) / count, (after[1] - before[1]) / count
