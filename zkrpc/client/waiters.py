"""Greenlets that wait for replies, and how the hub ends their waits with errors."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from zkrpc.errors import CallError


class Waiter:
    """A greenlet that waits for a reply, None as soon as it no longer does. A movable one's call may be made twice."""

    __slots__ = ("greenlet", "movable")

    def __init__(self, greenlet: Any, movable: bool) -> None:
        self.greenlet = greenlet
        self.movable = movable


def fail_waiters(hub: Any, failures: Iterable[tuple[Waiter, CallError]]) -> None:
    """In the hub: ends waits with exceptions. Those who left meanwhile are passed over."""
    for waiter, error in failures:
        greenlet = waiter.greenlet
        if greenlet is not None:
            waiter.greenlet = None
            try:
                greenlet.throw(error)
            except BaseException:  # of a raw greenlet; one failing must not keep the others from their errors
                hub.handle_error(greenlet, *sys.exc_info())
