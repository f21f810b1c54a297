"""The service under fault of suite ``resilience``: idle waits instead of work, and misbehaviour on demand."""

from __future__ import annotations

import collections
import random
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
from gevent.lock import BoundedSemaphore

import zkrpc
from zkrpc.testing.faults import FaultRule, Faults
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol

WORK = 0.020
"""Seconds of a ``get``: long beside what a busy machine adds, so that figures speak of the service."""
SLOTS = 4
"""Things that a replica's database does at a time."""
HOLD = 0.080
"""Seconds that each of them takes."""
QUERIES_PER_SECOND = SLOTS / HOLD
"""What one replica can do, by construction and not by the processor."""
BUCKETS_PER_SECOND = 10

idl = zkrpc.load(Path(__file__).with_name("target.thrift"))


class Database:
    """Works in its own greenlets, first come, first served: the end of a handler does not end a query."""

    def __init__(self) -> None:
        self._slots = BoundedSemaphore(SLOTS)

    def ask(self) -> None:
        """Returns when the query is done."""
        gevent.spawn(self._work).join()

    def _work(self) -> None:
        with self._slots:
            gevent.sleep(HOLD)


def even_throws() -> Iterator[float]:
    """Dice without luck: of a hundred throws in a row, exactly one falls into each hundredth, in a drawn order."""
    rng, hundredths = random.Random(1), range(100)
    while True:
        yield from ((one + 0.5) / 100 for one in rng.sample(hundredths, len(hundredths)))


_received: dict[str, collections.Counter[int]] = collections.defaultdict(collections.Counter)


def count_requests() -> None:
    """Counts where requests leave the wire: an interceptor would see only the admitted ones."""
    next_request = ServerProtocol.next_request

    def counted(self: ServerProtocol) -> Request | None:
        request = next_request(self)
        if request is not None:
            _received[request.name.decode()][int(time.monotonic() * BUCKETS_PER_SECOND)] += 1
        return request

    ServerProtocol.next_request = counted  # type: ignore[method-assign]  # there is no place from which to see refusals


class TargetHandler:
    """Does what the IDL says."""

    def __init__(self) -> None:
        count_requests()
        self._database = Database()

    def get(self, number: int) -> int:
        """The number, after a while."""
        gevent.sleep(WORK)
        return number

    def query(self, number: int) -> int:
        """The number, once the database got round to it."""
        self._database.ask()
        return number

    def misbehave(self, delay: float, fails: bool, share: float) -> None:
        """Slower, or failing at once with what the IDL does not declare."""
        abort = RuntimeError("as the suite wants it") if fails else None
        faults.set([FaultRule(method="get", delay=delay, abort=abort, probability=share)])

    def behave(self) -> None:
        """As it should."""
        faults.clear()

    def received(self, method: str) -> dict[int, int]:
        """What came in."""
        return dict(_received[method])


faults = Faults(rng=even_throws().__next__)
service = zkrpc.Service(idl.Target, TargetHandler, name="target", interceptors=[faults])
# Every call is let in at once: what a server without admission does.
unprotected = zkrpc.Service(
    idl.Target, TargetHandler, name="unprotected", config=zkrpc.ServerConfig(max_concurrent=1_000_000)
)
