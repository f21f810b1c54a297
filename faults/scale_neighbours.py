"""One slow handler on a connection, and what the others on it notice."""

from __future__ import annotations

import random
import statistics
import time
from typing import Any

import gevent

import zkrpc
from faults import scale_target
from faults.companion import Companion
from scripts.report import Report

_FAST = 63
_SLOW = 100
"""Milliseconds of the slow handler."""
_ROUNDS = 9
_ROUND = 1.5
"""Seconds."""
_TEXT = "x" * 100


def neighbours(report: Report, _: random.Random) -> None:
    """Rounds without and with the slow caller, in turns."""
    alone, beside, slow = [], [], []
    with Companion("faults.scale_target", 1) as worker:
        with zkrpc.connect(scale_target.idl.Scale, worker.line().split()) as stub:
            _round(stub, with_slow=False)
            for _ in range(_ROUNDS):
                alone.append(_round(stub, with_slow=False)[0])
                fast, calls = _round(stub, with_slow=True)
                beside.append(fast)
                slow.append(calls)
    median = statistics.median(alone)
    report.check(
        f"neighbours: p99 of {_FAST} callers beside a slow one, ms",
        round(statistics.median(beside), 2),
        round(2 * median, 2),
        note=f"twice the {median:.2f} without; rounds {_texts(beside)}, without {_texts(alone)}",
    )
    expected = int(_ROUND * 1000 / _SLOW * 0.8)
    report.check("neighbours: slow calls in a round", min(slow), expected, comparison=">=")


def _texts(figures: list[float]) -> str:
    return " ".join(f"{one:.1f}" for one in figures)


def _round(stub: Any, *, with_slow: bool) -> tuple[float, int]:
    """The p99 of the fast callers in milliseconds, and how many slow calls were made meanwhile."""
    end = time.monotonic() + _ROUND
    times: list[float] = []
    callers = [gevent.spawn(_call, stub, end, times) for _ in range(_FAST)]
    slow = gevent.spawn(_call_slowly, stub, end) if with_slow else gevent.spawn(int)
    gevent.joinall([*callers, slow], raise_error=True)
    return sorted(times)[int(len(times) * 0.99)] * 1000, slow.get()


def _call(stub: Any, end: float, times: list[float]) -> None:
    began = time.monotonic()
    while began < end:
        stub.echo(_TEXT)
        now = time.monotonic()
        times.append(now - began)
        began = now


def _call_slowly(stub: Any, end: float) -> int:
    calls = 0
    while time.monotonic() < end:
        stub.wait(_TEXT, _SLOW)
        calls += 1
    return calls
