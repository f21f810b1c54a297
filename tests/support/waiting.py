"""Waiting for what comes by itself, with a bound."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent


def eventually(condition: Callable[[], object], bound: float = 60.0) -> float:
    """Waits until ``condition()`` holds; the seconds it took."""
    started_at = time.monotonic()
    while not condition():
        assert time.monotonic() - started_at < bound, "did not come in time"
        gevent.sleep(0.005)
    return time.monotonic() - started_at


def least_seconds(action: Callable[[], object], tries: int = 5) -> float:
    """What the quickest of several runs takes: a machine that pauses now and then does not do so in each of them."""
    taken = []
    for _ in range(tries):
        began = time.monotonic()
        action()
        taken.append(time.monotonic() - began)
    return min(taken)
