"""Who may run now: the gate in front of the handlers, and the short queue before it.

Pure: it counts what runs, keeps what waits in the order of deadlines, and knows whether the server takes calls at all.
What it refuses is answered at once with the reason, executed=no, so that the caller can ask another instance.

===================  ===============================================================================================
a request finds      and is
===================  ===============================================================================================
a free place         run
no free place        queued, if the queue has room: the one whose caller gives up first is run first
a full queue         answered Overloaded at once, with a hint when to come back
===================  ===============================================================================================

The queue is there for bursts, not for load: what is waited in it longer than a call takes anyway only makes every
caller late. So it is no longer than the number of handlers that may run, unless told otherwise. Whoever waits in it
past its deadline is answered without being run; whoever is cancelled leaves it at once.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from zkrpc.server.dispatch import Answer, expires_at, refuse
from zkrpc.wire.message import Request

if TYPE_CHECKING:
    from zkrpc.policies.limit import AdaptiveLimit

_SHARE = 0.1
"""Weight of the newest interval between two finished calls in the estimate that the hint is made of."""
_SLACK = 64
"""Entries of forgotten requests that may lie in the heap, beside as many as there are others."""
_LONGEST_HINT = 1.0
"""Seconds; by then things have changed."""


class Ticket(Protocol):
    """A request that waits for a place. None of its methods may block."""

    request: Request

    def start(self) -> None:
        """There is a place, and it has been given to you."""

    def answer(self, answer: Answer | None) -> None:
        """It will not be run."""


class Gate(Protocol):
    """What says whether the server takes calls at all."""

    accepts_calls: bool
    """False before serving, and once only stragglers are waited for."""


class Admission:
    """Who may run on one server.

    Args:
        max_concurrent: handlers that may run at once.
        gate: whether the server takes calls at all.
        max_queue: requests that may wait for a place.
        limit: finds out by itself how many handlers should run at once, never more than ``max_concurrent``.
        clock: monotonic seconds.
    """

    __slots__ = (
        "_clock",
        "_gate",
        "_interval",
        "_left_at",
        "_limit",
        "_max_concurrent",
        "_max_queue",
        "_most",
        "_queue",
        "_serial",
        "_waiting",
        "running",
    )

    def __init__(
        self,
        max_concurrent: int,
        gate: Gate,
        *,
        max_queue: int = 0,
        limit: AdaptiveLimit | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.running = 0
        """Handlers running now."""
        self._max_concurrent = max_concurrent
        self._most = max_concurrent if limit is None else min(limit.limit, max_concurrent)
        self._limit = limit
        self._gate = gate
        self._max_queue = max_queue
        self._clock = clock
        self._serial = itertools.count()
        # Those who left the queue early stay in the heap until they come up.
        self._queue: list[tuple[float, int, Ticket]] = []
        self._waiting: set[Ticket] = set()
        self._interval = 0.0
        self._left_at: float | None = None

    def __repr__(self) -> str:
        """The load."""
        return f"<Admission running={self.running}/{self._most} queued={self.queued}>"

    @property
    def queued(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    def admits(self) -> bool:
        """Whether one more handler may run; it counts from now on, until ``leave``."""
        if self.running >= self._most or not self._gate.accepts_calls:
            return False
        self.running += 1
        return True

    def enqueue(self, ticket: Ticket) -> bool:
        """Has a request wait that was not admitted; False if it cannot, which calls for a ``refusal``."""
        if not self._gate.accepts_calls:
            return False
        if len(self._waiting) >= self._max_queue:
            self._drop_expired()
            if len(self._waiting) >= self._max_queue:
                return False
        self._waiting.add(ticket)
        heapq.heappush(self._queue, (expires_at(ticket.request), next(self._serial), ticket))
        return True

    def forget(self, ticket: Ticket) -> None:
        """Nobody waits for its answer any more."""
        self._waiting.discard(ticket)
        if len(self._queue) > 2 * len(self._waiting) + _SLACK:
            self._queue = [entry for entry in self._queue if entry[2] in self._waiting]
            heapq.heapify(self._queue)

    def leave(self, began: float | None) -> None:
        """A handler that was admitted at ``began`` is done; None if it was ended, which says nothing of its time."""
        if self._limit is None and not self._queue:
            self.running -= 1
            self._left_at = None
            return
        now = self._clock()
        if self._limit is not None and began is not None:
            self._limit.receive_sample(now - began, self.running, now)
            self._most = min(self._limit.limit, self._max_concurrent)
        self.running -= 1
        self._measure(now)
        while self._queue and self.running < self._most:
            self._start_next(now)

    def refusal(self, request: Request) -> Answer | None:
        """Why a call was not admitted; None for a oneway call, which wants no answer."""
        if not self._gate.accepts_calls:
            return refuse(request, "the server is stopping", "Draining")
        message = f"the server runs {self._most} calls at once, and {self.queued} wait"
        return refuse(request, message, "Overloaded", retry_after=self._hint())

    def _start_next(self, now: float) -> None:
        due, _, ticket = heapq.heappop(self._queue)
        if ticket not in self._waiting:
            return
        self._waiting.remove(ticket)
        if due <= now:
            ticket.answer(_too_late(ticket.request))
        else:
            self.running += 1
            ticket.start()

    def _drop_expired(self) -> None:
        now = self._clock()
        while self._queue and (self._queue[0][0] <= now or self._queue[0][2] not in self._waiting):
            ticket = heapq.heappop(self._queue)[2]
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.answer(_too_late(ticket.request))

    def _measure(self, now: float) -> None:
        """While there is a queue, the pace of those who leave is the pace at which places become free."""
        if self._left_at is not None and self._queue:
            self._interval += _SHARE * (now - self._left_at - self._interval)
        self._left_at = now

    def _hint(self) -> float | None:
        """Seconds until those who wait now have been served; None while the pace is not known."""
        seconds = self._interval * (self.queued + 1)
        return min(seconds, _LONGEST_HINT) if 0 < seconds < math.inf else None


def _too_late(request: Request) -> Answer | None:
    return refuse(request, "the deadline passed while the call waited for its turn", "DeadlineExceeded")
