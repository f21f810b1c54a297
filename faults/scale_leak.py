"""Half a million calls of every fate, after which neither side may hold more than before."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import gc
import os
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent

import zkrpc
from faults import memory, scale_target
from faults.companion import Companion
from scripts.report import Report

CALLS = 500_000
_WARM_UP = 50_000
_ROUND = 10_000
_CALLERS = 64
_TEXT = "x" * 100
_GROWTH = 1.0
"""Mebibytes, of each side."""
_OBJECTS = 1_000
"""Objects that may be more, of each side: one for every five hundred calls would be five hundred thousand bytes."""
_HURRY = 0.01
_HEDGE = 0.002
_PER_ROUND = 64
"""Calls of each uncommon fate in a round."""
_FATES = ("answered", "declined", "timed out", "hedged", "refused")


@dataclasses.dataclass(slots=True)
class _Held:
    """What one side holds."""

    mebibytes: float
    objects: int


class _Mix:
    """The calls of one round over and over, and how often each fate was met."""

    def __init__(self, stub: Any, hedging: Any) -> None:
        self.fates: collections.Counter[str] = collections.Counter()
        self._stub = stub
        self._hedging = hedging
        self._hurried = zkrpc.options(stub, timeout=_HURRY)

    def run(self, calls: int) -> None:
        """At least so many, in rounds."""
        while self.fates.total() < calls:
            self._together(self._answered, _ROUND)
            for one in (self._declined, self._timed_out, self._hedged):
                self._together(one, _PER_ROUND)
            self._crowd()

    def _together(self, call: Callable[[], None], count: int) -> None:
        """``count`` calls by all callers, each of which goes on as soon as it has its answer."""
        turns = iter(range(count))

        def caller() -> None:
            for _ in turns:
                call()

        gevent.joinall([gevent.spawn(caller) for _ in range(_CALLERS)], raise_error=True)

    def _answered(self) -> None:
        self._stub.echo(_TEXT)
        self.fates["answered"] += 1

    def _declined(self) -> None:
        with contextlib.suppress(scale_target.idl.Declined):
            self._stub.decline(_TEXT)
        self.fates["declined"] += 1

    def _timed_out(self) -> None:
        with contextlib.suppress(zkrpc.DeadlineExceeded):
            self._hurried.wait(_TEXT, 1000)
        self.fates["timed out"] += 1

    def _hedged(self) -> None:
        self._hedging.wait(_TEXT, 10)
        self.fates["hedged"] += 1

    def _crowd(self) -> None:
        """More calls at once than the server runs; nobody asks again."""
        crowd = scale_target.CONCURRENT + _PER_ROUND
        gevent.joinall([gevent.spawn(self._crowded) for _ in range(crowd)], raise_error=True)

    def _crowded(self) -> None:
        try:
            self._stub.wait(_TEXT, 10)
            self.fates["answered"] += 1
        except zkrpc.Overloaded:
            self.fates["refused"] += 1


def leak(report: Report, _: random.Random) -> None:
    """Memory and objects of both processes, before and after."""
    with _mix() as (mix, worker, stub):
        mix.run(_WARM_UP)
        before = _client(), _server(worker, stub)
        mix.fates.clear()
        began = time.monotonic()
        mix.run(CALLS)
        seconds = time.monotonic() - began
        after = _client(), _server(worker, stub)
    note = ", ".join(f"{mix.fates[fate]} {fate}" for fate in _FATES)
    report.check("leak: calls", mix.fates.total(), CALLS, comparison=">=", note=note)
    report.check("leak: least calls of a fate", min(mix.fates[fate] for fate in _FATES), 500, comparison=">=")
    for side, old, new in zip(("client", "server"), before, after):
        report.check(
            f"leak: growth of the {side}, MiB",
            round(new.mebibytes - old.mebibytes, 2),
            _GROWTH,
            note=f"of {old.mebibytes:.1f}",
        )
        report.check(
            f"leak: growth of the {side}, objects", new.objects - old.objects, _OBJECTS, note=f"of {old.objects}"
        )
    report.check("leak: seconds", round(seconds, 1), 300)


@contextlib.contextmanager
def _mix() -> Iterator[tuple[_Mix, Companion, Any]]:
    config = zkrpc.ClientConfig(
        max_attempts=1, retry_ratio=1.0, breaker=zkrpc.BreakerConfig(consecutive_failures=10**9, success_rate=0.0)
    )
    hedging = dataclasses.replace(config, hedge=_HEDGE, max_attempts=2)
    with Companion("faults.scale_target", 2) as worker:
        endpoints = worker.line().split()
        interface = scale_target.idl.Scale
        with zkrpc.connect(interface, endpoints[:1], config=config) as stub:
            with zkrpc.connect(interface, endpoints, config=hedging) as other:
                yield _Mix(stub, other), worker, stub


def _client() -> _Held:
    gc.collect()
    return _Held(memory.own(os.getpid()), len(gc.get_objects()))


def _server(worker: Companion, stub: Any) -> _Held:
    objects = stub.objects()
    return _Held(memory.own(worker.pid), objects)
