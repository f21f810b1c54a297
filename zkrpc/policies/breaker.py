"""Whether an endpoint is worth a call: a circuit breaker, fed with what became of the calls to that one endpoint.

It knows no endpoint, list or picker. The load balancer decides what an open breaker means: it avoids the endpoint
without forgetting it, and ignores all breakers while most endpoints look dead.

========  ===============================  =======================  ================================================
state     success                          failure                  leaves it
========  ===============================  =======================  ================================================
CLOSED    ends the row of failures         counts; see below        -> OPEN by a failure that is one too many
OPEN      nothing: of a call sent before   nothing, likewise        -> PROBING by ``begin_probe``, after its time
PROBING   -> CLOSED                        -> OPEN, for longer      -> OPEN by ``abandon_probe``, due again at once
========  ===============================  =======================  ================================================

When a failure is one too many (Finagle's two policies, either suffices): it is the fifth in a row, which finds an
endpoint that died; or less than 80 % of the last 30 s were successes, of at least 5 calls, which finds one that fails
every other call and so never five in a row. The window decays (:mod:`zkrpc.policies.decay`).

How long it is open: 5 s, doubled each time up to 300 s, less a random part of up to half. The jitter keeps many clients
that lost an endpoint at the same time from probing it at the same time; half of the time is certain, so that an unlucky
draw does not lead to a probe every second.

Which answers count. An answer that arrives while OPEN belongs to a call that was sent before, or that was sent although
the breaker is open; neither was a probe. A success does not close the breaker, as a slow one would undo what newer
failures have shown; a failure does not lengthen its time, as 64 calls in flight that fail together would count as 64
probes. While PROBING any answer decides. A call from before would have to be older than half of ``open_first`` to be
mistaken for the probe; then its outcome is as good a sign as any other, and a wrong one costs one more round.

When the doubling ends. A success proves that one call went well, not that the trouble is over: an endpoint that crashes
under load answers its probe each time. So a probe's success closes the breaker, and the next opening is still longer,
unless the breaker stayed closed at least as long as it was open before, and at least ``window``. With that rule an
endpoint whose doubling starts anew each time was well for at least half of the time. The ``window`` is how long a
failure is remembered at all.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable

from zkrpc.config import BreakerConfig
from zkrpc.errors import LocalProtocolError
from zkrpc.policies.backoff import Backoff
from zkrpc.policies.decay import DecayingCount

_ROUNDING = 0.5
"""A count that decays makes a little less than five of five calls within a second; rounded to the nearest whole call
they are five."""


class BreakerState(enum.Enum):
    """Whether calls are sent to the endpoint."""

    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """The circuit breaker of one endpoint.

    Reporting a success takes two attribute accesses::

        breaker.successes += 1
        if breaker.troubled:
            breaker.receive_success(now)

    Args:
        config: when it opens and for how long.
        rng: floats in [0, 1).
        now: monotonic seconds, when calls to the endpoint begin. Without it the successes before the first failure are
            of unknown age and do not count.
    """

    __slots__ = (
        "_backoff",
        "_closed_at",
        "_config",
        "_failures",
        "_in_row",
        "_openings",
        "_pause",
        "_retry_at",
        "_rng",
        "_successes",
        "state",
        "successes",
        "troubled",
    )

    state: BreakerState
    troubled: bool
    """False while CLOSED without a recent failure in a row: then a success need only be counted, and
    ``receive_success`` not be called."""

    def __init__(self, config: BreakerConfig, *, rng: Callable[[], float], now: float = -math.inf) -> None:
        self._config = config
        self._backoff = Backoff(first=config.open_first, longest=config.open_longest)
        self._rng = rng
        self._openings = 0
        self._pause = 0.0
        self.successes = 0
        """Calls that went well; whoever makes a call increments it."""
        self._become_closed(now)

    def __repr__(self) -> str:
        """State, failures in a row, and how often it opened without a healthy time in between."""
        return f"<Breaker {self.state.value} in_row={self._in_row} openings={self._openings}>"

    @property
    def retry_at(self) -> float | None:
        """When a probe may be made, in monotonic seconds; None unless OPEN."""
        return self._retry_at if self.state is BreakerState.OPEN else None

    def may_probe(self, now: float) -> bool:
        """Whether one call may be sent to see how the endpoint is; False unless it is OPEN."""
        return self.state is BreakerState.OPEN and now >= self._retry_at

    def begin_probe(self, now: float) -> None:
        """A probe is sent. Exactly one of ``receive_success``, ``receive_failure`` and ``abandon_probe`` must follow.

        Raises LocalProtocolError unless ``may_probe``.
        """
        if not self.may_probe(now):
            raise LocalProtocolError(f"no probe is due, the breaker is {self.state.value}")
        self._become_probing()

    def abandon_probe(self, now: float) -> None:
        """The probe ended without an answer, as its caller went away: another one may be sent at once."""
        if self.state is BreakerState.PROBING:
            self._become_open(now)

    def receive_success(self, now: float) -> bool:
        """A call went well, and ``successes`` counts it already. True if that closed the breaker."""
        if self.state is BreakerState.CLOSED:
            self._in_row = 0
            self.troubled = False
            return False
        if self.state is BreakerState.OPEN:
            return False
        self._become_closed(now)
        return True

    def receive_failure(self, now: float) -> bool:
        """A call failed in a way that counts against the endpoint. True if that opened the breaker or re-opened it."""
        if self.state is BreakerState.OPEN:
            return False
        self._in_row += 1
        self.troubled = True
        if self.state is BreakerState.CLOSED and not self._is_one_too_many(now):
            return False
        self._become_open(now + self._next_pause(now))
        return True

    def _is_one_too_many(self, now: float) -> bool:
        failures = self._failures.add(1.0, now)
        if self._in_row >= self._config.consecutive_failures:
            return True
        calls = failures + self._successes.fold(self.successes, now)
        return calls + _ROUNDING > self._config.min_calls and calls - failures < self._config.success_rate * calls

    def _next_pause(self, now: float) -> float:
        if self.state is BreakerState.CLOSED and now - self._closed_at >= max(self._config.window, self._pause):
            self._openings = 0
        bound = self._backoff.bound(self._openings)
        self._openings += 1
        self._pause = bound - self._rng() * bound / 2
        return self._pause

    def _become_closed(self, now: float) -> None:
        # What was counted before it opened is of another time: one more failure must not open it at once.
        window = self._config.window
        self._failures = DecayingCount(window, now)
        self._successes = DecayingCount(window, now, total=self.successes)
        self._in_row = 0
        self._closed_at = now
        self._retry_at = math.inf
        self.state = BreakerState.CLOSED
        self.troubled = False

    def _become_open(self, retry_at: float) -> None:
        self._retry_at = retry_at
        self.state = BreakerState.OPEN

    def _become_probing(self) -> None:
        self.state = BreakerState.PROBING
