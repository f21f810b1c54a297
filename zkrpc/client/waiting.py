"""How the hub ends waits: greenlets that wait for replies, and one timer for all their deadlines."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Collection, Iterable
from typing import Any

from zkrpc.errors import CallError, Executed


class Waiter:
    """A call's wait for its reply: ``greenlet`` is None once the wait is over; ``movable`` tells whether the call may
    be sent twice."""

    __slots__ = ("greenlet", "movable")

    def __init__(self, greenlet: Any, movable: bool) -> None:
        self.greenlet = greenlet
        self.movable = movable


def fail_waiters(hub: Any, failures: Iterable[tuple[Waiter, CallError]]) -> None:
    """In the hub: ends waits with exceptions. Waits that have ended meanwhile are passed over."""
    for waiter, error in failures:
        greenlet = waiter.greenlet
        if greenlet is not None:
            waiter.greenlet = None
            try:
                greenlet.throw(error)
            except BaseException:  # of a raw greenlet; one failing must not keep the others from their errors
                hub.handle_error(greenlet, *sys.exc_info())


def fail_soon(hub: Any, failures: Collection[tuple[Waiter, CallError]]) -> None:
    """Like :func:`fail_waiters`, from any greenlet, and a moment later: only the hub may switch to other greenlets and
    go on."""
    if failures:
        hub.loop.run_callback(fail_waiters, hub, failures)


def executed_if(left: bool) -> Executed:
    """Whether a call without an answer was executed: MAYBE if it was sent, NO if it was not."""
    return Executed.MAYBE if left else Executed.NO


class Alarm:
    """One timer for many deadlines, which calls ``ring`` in the hub at the moment that was set last.

    It is set anew only for a deadline before that moment; later ones are looked at when it rings. A timer that
    sometimes rings in vain is cheaper than one per call.
    """

    __slots__ = ("_clock", "_loop", "_ring", "_timer", "at")

    def __init__(self, loop: Any, clock: Callable[[], float], ring: Callable[[], object]) -> None:
        self._loop = loop
        self._clock = clock
        self._ring = ring
        self._timer: Any = None
        self.at = math.inf
        """When the alarm will ring; infinity if it is not set."""

    def set(self, at: float) -> None:
        """Sets the alarm to ``at``, instead of the earlier setting."""
        self.clear()
        self.at = at
        self._timer = self._loop.timer(max(0.0, at - self._clock()))
        self._timer.start(self._on_time)

    def clear(self) -> None:
        """Switches the alarm off, and frees the timer."""
        timer, self._timer, self.at = self._timer, None, math.inf
        if timer is not None:
            timer.stop()
            timer.close()

    def _on_time(self) -> None:
        self.at = math.inf
        self._ring()

    def __repr__(self) -> str:
        """The moment at which it will ring."""
        return f"<Alarm at {self.at:g}>"
