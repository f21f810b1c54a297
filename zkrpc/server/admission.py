"""Admission control: which requests run now, and the short queue of those that wait.

Pure: it counts the requests that run, keeps those that wait in the order of their deadlines, and knows whether the
server takes calls at all. A request that it refuses is answered at once with the reason and executed=NO, so that the
caller can ask another instance.

===================  ===============================================================================================
a request finds      and is
===================  ===============================================================================================
a free place         run
no free place        queued, if the queue has room: the one whose caller gives up first is run first
a full queue         answered Overloaded at once, with a hint when to come back
===================  ===============================================================================================

When peers at several addresses want more places than there are, none of them gets all of them. A part of the places
(``reserve``) is kept for addresses that hold less than their fair share. A place that becomes free goes to the waiting
address that holds fewest. A full queue makes room for an address that has fewer requests in it than another: of the
other's requests the one with most time left is refused. A single address may take everything.

The queue is for bursts, not for lasting load: waiting in it for longer than a call takes only makes every caller late.
So by default it is no longer than the number of handlers that may run. A request whose deadline passes in the queue is
answered without being run; a cancelled one leaves the queue at once.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable
from typing import Protocol

from zkrpc.config import ServerConfig
from zkrpc.policies.limit import AdaptiveLimit
from zkrpc.server.dispatch import Answer, expires_at, turn_down
from zkrpc.server.shares import Share
from zkrpc.wire import status
from zkrpc.wire.message import Request

_SHARE = 0.1
"""Weight of the newest interval between two finished calls in the estimate that the hint is made of."""
_SLACK = 64
"""Entries of forgotten requests that may stay in the heap, beside as many as there are others."""
_LONGEST_HINT = 1.0
"""The longest hint in seconds; the load is likely to have changed by then."""


class Ticket(Protocol):
    """A request that waits for a place. None of its methods may block."""

    request: Request
    share: Share
    """The share of its peer's address."""

    def start(self) -> None:
        """The request has got a place, which its address holds already, and may run."""

    def answer(self, answer: Answer) -> None:
        """The request will not be run, and is answered with ``answer``."""


class Gate(Protocol):
    """Tells whether the server takes calls at all."""

    accepts_calls: bool
    """False before serving, and once only stragglers are waited for."""


class Admission:
    """The admission control of one server.

    Args:
        max_concurrent: handlers that may run at once.
        gate: whether the server takes calls at all.
        max_queue: requests that may wait for a place.
        reserve: the part of the places, between 0 and 1, that is kept for addresses that hold less than their fair
            share, while more than one address is connected.
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
        "_most",
        "_holders",
        "_open",
        "_reserve",
        "_serial",
        "_sharing",
        "_turns",
        "_waiting",
        "max_queue",
        "running",
    )

    def __init__(
        self,
        max_concurrent: int,
        gate: Gate,
        *,
        max_queue: int = 0,
        reserve: float = 0.0,
        limit: AdaptiveLimit | None = None,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.running = 0
        """Handlers running now."""
        self._max_concurrent = max_concurrent
        self._most = max_concurrent if limit is None else min(limit.limit, max_concurrent)
        self._limit = limit
        self._gate = gate
        self.max_queue = max_queue
        """Requests that may wait for a place."""
        self._clock = clock
        self._serial = itertools.count()
        self._waiting: set[Ticket] = set()
        # Addresses whose tickets wait. Those who left the queue early stay in its share's heap until they come up.
        self._turns: dict[Share, None] = {}
        self._reserve = reserve
        self._sharing = False
        self._holders = 0
        self._open = self._most
        self._interval = 0.0
        self._left_at: float | None = None

    def __repr__(self) -> str:
        """How many run and wait, of how many."""
        return f"<Admission running={self.running}/{self._most} queued={self.queued}>"

    @property
    def queued(self) -> int:
        """Requests that wait for a place."""
        return len(self._waiting)

    @property
    def limit(self) -> int:
        """Handlers that may run at once, as of now."""
        return self._most

    def share_among(self, addresses: int) -> None:
        """Takes in how many addresses are connected."""
        self._sharing = addresses > 1
        self._set_most(self._most)

    def admits(self, share: Share) -> bool:
        """Whether one more handler may run; if so, it counts as running until ``leave``."""
        if self.running >= self._open and not self._leaves_room(share) or not self._gate.accepts_calls:
            return False
        self.running += 1
        return True

    def hold(self, share: Share) -> None:
        """A handler that was admitted has blocked, and its place counts for its address until ``release``.

        The place of a request that comes out of the queue counts from the start until the request is run: else an
        address that has just lost all of its places would get the reserve too, for all that it has waiting.
        """
        share.holding += 1
        self._holders += share.holding == 1

    def release(self, share: Share) -> None:
        """A handler that has blocked is done, and ``leave`` follows; or one that came out of the queue is run now."""
        share.holding -= 1
        self._holders -= share.holding == 0

    def enqueue(self, ticket: Ticket) -> bool:
        """Puts a request that was not admitted into the queue; False if it has no room there and is to be refused."""
        if not self._gate.accepts_calls:
            return False
        if len(self._waiting) >= self.max_queue:
            self._drop_expired()
            if len(self._waiting) >= self.max_queue and not self._make_room(ticket.share):
                return False
        share = ticket.share
        self._waiting.add(ticket)
        share.queued += 1
        heapq.heappush(share.heap, (expires_at(ticket.request), next(self._serial), ticket))
        self._turns.setdefault(share)
        return True

    def forget(self, ticket: Ticket) -> None:
        """Takes a request out of the queue, as its answer is no longer wanted."""
        if self._take_out(ticket):
            self._tidy(ticket.share)

    def leave(self, began: float | None) -> None:
        """A handler that was admitted at ``began`` is done; ``began`` is None if it was killed, and its time says
        nothing."""
        if self._limit is None and not self._turns:
            self.running -= 1
            self._left_at = None
            return
        now = self._clock()
        if self._limit is not None and began is not None:
            self._limit.receive_sample(now - began, self.running, now)
            self._set_most(min(self._limit.limit, self._max_concurrent))
        self.running -= 1
        self._measure(now)
        while self._turns and self.running < self._most and self._start_next(now):
            pass

    def refusal(self, request: Request) -> Answer:
        """Why a call was not admitted."""
        if not self._gate.accepts_calls:
            return turn_down(request, "the server is stopping", status.DRAINING)
        message = f"the server runs {self._most} calls at once, and {self.queued} wait"
        return turn_down(request, message, status.overloaded(self._hint()))

    def _set_most(self, most: int) -> None:
        self._most = most
        self._open = most - int(most * self._reserve) if self._sharing else most

    def _leaves_room(self, share: Share) -> bool:
        """Whether this address may have a place of the reserve: it may if it would hold less than its part with one
        more address connected."""
        return self.running < self._most and share.holding * (self._holders + 1) < self._most

    def _start_next(self, now: float) -> bool:
        """Gives a free place to the next request; False if none may have it."""
        share = min(self._turns, key=_held_by)
        if self.running >= self._open and not self._leaves_room(share):
            return False
        due, _, ticket = heapq.heappop(share.heap)
        if self._take_out(ticket):
            if due <= now:
                ticket.answer(_too_late(ticket.request))
            else:
                self.running += 1
                self.hold(share)
                ticket.start()
        # Among those who hold equally many, the others come first next time.
        self._turns.pop(share, None)
        if share.heap:
            self._turns[share] = None
        return True

    def _drop_expired(self) -> None:
        now = self._clock()
        for share in list(self._turns):
            heap = share.heap
            while heap and (heap[0][0] <= now or heap[0][2] not in self._waiting):
                ticket = heapq.heappop(heap)[2]
                if self._take_out(ticket):
                    ticket.answer(_too_late(ticket.request))
            self._tidy(share)

    def _make_room(self, share: Share) -> bool:
        """Refuses a waiting request of the address that has most in the queue, if ``share`` has fewer there."""
        greediest = max(self._turns, key=_queued_by, default=share)
        if greediest.queued <= share.queued + 1:
            return False
        ticket = max(entry for entry in greediest.heap if entry[2] in self._waiting)[2]
        self.forget(ticket)
        ticket.answer(self.refusal(ticket.request))
        return True

    def _take_out(self, ticket: Ticket) -> bool:
        """Removes a ticket from the queue; False if it was not in it."""
        if ticket not in self._waiting:
            return False
        self._waiting.remove(ticket)
        ticket.share.queued -= 1
        return True

    def _tidy(self, share: Share) -> None:
        """Drops entries of tickets that left early from the heap, once they are more than the others."""
        if share.queued and len(share.heap) <= 2 * share.queued + _SLACK:
            return
        share.heap = [entry for entry in share.heap if entry[2] in self._waiting]
        heapq.heapify(share.heap)
        if not share.heap:
            self._turns.pop(share, None)

    def _measure(self, now: float) -> None:
        """Measures how often a handler ends while there is a queue, which is how often a place becomes free."""
        if self._left_at is not None and self._turns:
            self._interval += _SHARE * (now - self._left_at - self._interval)
        self._left_at = now

    def _hint(self) -> float | None:
        """Estimated seconds until the requests that wait now have been served; None while the rate is not known."""
        seconds = self._interval * (self.queued + 1)
        return min(seconds, _LONGEST_HINT) if 0 < seconds < math.inf else None


def make_admission(config: ServerConfig, gate: Gate, clock: Callable[[], float]) -> Admission:
    """The admission control of a server with this config."""
    most, queue = config.max_concurrent, config.max_queue
    return Admission(
        most,
        gate,
        max_queue=most if queue is None else queue,
        reserve=config.reserved_share,
        limit=AdaptiveLimit(most=most) if config.adaptive_limit else None,
        clock=clock,
    )


def _held_by(share: Share) -> int:
    return share.holding


def _queued_by(share: Share) -> int:
    return share.queued


def _too_late(request: Request) -> Answer:
    return turn_down(request, "the deadline passed while the call waited for its turn", status.TOO_LATE)
