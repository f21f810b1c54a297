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
