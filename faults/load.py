"""A load that never stops, and a record of every call it made."""

from __future__ import annotations

import dataclasses
import random
import time
import uuid
from collections.abc import Callable, Iterable

import gevent

from zkrpc import CallError, Executed


@dataclasses.dataclass(slots=True)
class Outcome:
    """One call: when, how long, and how it ended. Times are monotonic seconds."""

    started_at: float
    ended_at: float
    idempotent: bool
    request_id: str = ""
    error: Exception | None = None

    @property
    def executed(self) -> Executed | None:
        """What the error said; None for a success."""
        return self.error.executed if isinstance(self.error, CallError) else None


class Record:
    """Calls that were made."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def between(self, start: float, end: float) -> list[Outcome]:
        """Calls that ended in a window."""
        return [outcome for outcome in self.outcomes if start <= outcome.ended_at < end]


class Load(Record):
    """``callers`` greenlets in a closed loop with pauses; half of them ``read``, half of them ``write`` a request id.

    Each call's pause is drawn around ``interval`` seconds, so that the callers do not march in step.
    """

    def __init__(
        self,
        read: Callable[[], object],
        write: Callable[[str], object],
        *,
        callers: int,
        interval: float,
        rng: random.Random,
    ) -> None:
        super().__init__()
        self._reading = read
        self._writing = write
        self._interval = interval
        self._rng = rng
        self._running = True
        self._greenlets = [
            gevent.spawn(self._loop, self._read if number % 2 else self._write) for number in range(callers)
        ]

    def stop(self) -> None:
        """Lets every caller finish its call."""
        self._running = False
        gevent.joinall(self._greenlets, timeout=30, raise_error=True)

    def _loop(self, call: Callable[[], Outcome]) -> None:
        while self._running:
            self.outcomes.append(call())
            gevent.sleep(self._rng.uniform(0.5, 1.5) * self._interval)

    def _read(self) -> Outcome:
        return self._timed(True, "", self._reading)

    def _write(self) -> Outcome:
        request_id = uuid.UUID(int=self._rng.getrandbits(128)).hex
        return self._timed(False, request_id, lambda: self._writing(request_id))

    def _timed(self, idempotent: bool, request_id: str, call: Callable[[], object]) -> Outcome:
        started_at, error = time.monotonic(), None
        try:
            call()
        except CallError as failure:
            error = failure
        return Outcome(started_at, time.monotonic(), idempotent, request_id, error)


def failures(outcomes: Iterable[Outcome], *, idempotent: bool | None = None) -> list[Outcome]:
    """The calls that failed, all or of one kind."""
    return [one for one in outcomes if one.error and (idempotent is None or one.idempotent is idempotent)]


def percentile(outcomes: Iterable[Outcome], fraction: float) -> float:
    """Latency in milliseconds below which that fraction of the successful calls lie."""
    times = sorted(one.ended_at - one.started_at for one in outcomes if not one.error)
    return round(times[min(len(times) - 1, int(len(times) * fraction))] * 1000, 2) if times else float("inf")


def longest_gap(outcomes: Iterable[Outcome], start: float, end: float) -> float:
    """The longest time in milliseconds, within a window, without the end of a successful call."""
    return round(silence((one.ended_at for one in outcomes if not one.error), start, end) * 1000, 1)


def silence(moments: Iterable[float], start: float, end: float) -> float:
    """The longest time within a window, its edges included, in which none of the moments lies."""
    edges = [start, *sorted(at for at in moments if start <= at <= end), end]
    return max(after - before for before, after in zip(edges, edges[1:]))
