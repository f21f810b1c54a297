"""Greenlets that wait for replies, and how the hub ends their waits with errors."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from typing import Any

from zkrpc.errors import CallError, Executed


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


def fail_soon(hub: Any, failures: Collection[tuple[Waiter, CallError]]) -> None:
    """The same from anywhere, soon: only the hub may switch to others and come back."""
    if failures:
        hub.loop.run_callback(fail_waiters, hub, failures)


def executed_if(left: bool) -> Executed:
    """Whether a call without an answer ran: nobody knows if it has left, and certainly not if it never did."""
    return Executed.MAYBE if left else Executed.NO
