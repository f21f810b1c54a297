"""A load whose calls come when they are due, whether or not earlier ones were answered.

A closed loop waits for a slow service and so asks it less often just when it matters; its figures then leave out the
calls that nobody made (Gil Tene's "coordinated omission"). Here every call starts in its own greenlet when it is due,
and its latency counts from that moment, whatever kept it from starting then.
"""

from __future__ import annotations

import contextvars
import dataclasses
import random
import time
from collections.abc import Callable, Iterable
from typing import Any

import gevent

from faults.load import Outcome
from zkrpc.call import Call

_witnessed: contextvars.ContextVar[Call | None] = contextvars.ContextVar("witnessed", default=None)


def witness(call: Call, proceed: Callable[[Call], Any]) -> Any:
    """A client interceptor: the greenlet's load learns how many attempts its call took, and where it ended."""
    _witnessed.set(call)
    return proceed(call)


@dataclasses.dataclass(slots=True)
class Arrival(Outcome):
    """A call that came when it was due, which is its ``started_at``."""

    endpoint: str = ""
    """The instance that answered, or failed, last."""
    attempts: int = 0
    """Times it was sent, or tried to be; 0 without ``witness``."""


class SteadyLoad:
    """``callers`` streams of calls that come to ``rate`` calls a second in all, each stream drawn around its interval.

    ``rate`` may be set while it runs. ``stop`` lets the calls in flight finish.
    """

    def __init__(self, call: Callable[[], object], *, callers: int, rate: float, rng: random.Random) -> None:
        self.outcomes: list[Arrival] = []
        self.started = 0
        """Calls made so far, those in flight included."""
        self.latest_start = 0.0
        """Seconds by which a call started too late, at the worst: more than a little says that this process is busy."""
        self.rate = rate
        self._call = call
        self._callers = callers
        self._rng = rng
        self._running = True
        self._calls: set[gevent.Greenlet[..., None]] = set()
        self._streams = [gevent.spawn(self._stream) for _ in range(callers)]

    def stop(self, timeout: float = 30.0) -> None:
        """No more calls. Raises TimeoutError if one in flight does not end in time."""
        self._running = False
        gevent.joinall(self._streams, timeout=timeout, raise_error=True)
        gevent.joinall(list(self._calls), timeout=timeout)
        if self._calls:
            raise TimeoutError(f"{len(self._calls)} calls have not ended {timeout} s after the load")

    def due_between(self, start: float, end: float) -> list[Arrival]:
        """Calls that were due in a window and have ended."""
        return [one for one in self.outcomes if start <= one.started_at < end]

    def _stream(self) -> None:
        due = time.monotonic() + self._rng.random() * self._callers / self.rate
        while True:
            gevent.sleep(max(0.0, due - time.monotonic()))
            if not self._running:
                return
            self.latest_start = max(self.latest_start, time.monotonic() - due)
            self.started += 1
            call = gevent.spawn(self._make, due)
            self._calls.add(call)
            call.link(self._calls.discard)
            due += self._rng.uniform(0.5, 1.5) * self._callers / self.rate

    def _make(self, due: float) -> None:
        error: Exception | None = None
        try:
            self._call()
        except Exception as failure:
            # Its frames would keep every stub and frame of the run alive.
            error = failure.with_traceback(None)
        call, endpoint = _witnessed.get(), getattr(error, "endpoint", None)
        arrival = Arrival(due, time.monotonic(), True, error=error)
        if call is not None:
            arrival.attempts, endpoint = call.attempt, endpoint or call.endpoint
        arrival.endpoint = str(endpoint or "")
        self.outcomes.append(arrival)


def answered_share(arrivals: Iterable[Arrival], endpoint: str) -> float:
    """The share of the successful calls that one instance answered; 0 without any."""
    places = [one.endpoint for one in arrivals if not one.error]
    return places.count(endpoint) / len(places) if places else 0.0
