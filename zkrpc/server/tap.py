"""A sample of the requests that a server serves, for those who look at it right now. Pure.

A tap holds the newest sampled requests until they are fetched. What finds no room is dropped, and the tap says how many
were. Each fetch renews the tap for a few seconds, so that one whose owner has gone ends by itself. While there is no
tap, nobody is told of requests on its behalf.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from zkrpc.telemetry.events import Event, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observer

MOST_TAPS = 8
"""Taps of one server at a time."""
RING = 256
"""Requests that a tap holds until they are fetched."""
LEASE = 10.0
"""Seconds after which a tap ends that is not fetched from."""


class Tapped(NamedTuple):
    """One request, and when it ended, Unix time."""

    at: float
    event: RequestFinished | RequestRefused


class Tap:
    """One tap. ``method`` is empty for all methods, ``sample`` the share of requests that are taken, up to 1."""

    __slots__ = ("_credit", "dropped", "ends_at", "fetching", "held", "method", "name", "sample", "seen")

    def __init__(self, name: str, method: str, sample: float, ends_at: float) -> None:
        self.name = name
        self.method = method
        self.sample = sample
        self.ends_at = ends_at
        """When it ends unless it is fetched from."""
        self.fetching = False
        """Whether somebody waits for requests: it does not end then."""
        self.held: deque[Tapped] = deque()
        self.seen = 0
        """Requests so far, those that were not sampled included."""
        self.dropped = 0
        """Sampled ones for which there was no room."""
        self._credit = 1.0

    def __repr__(self) -> str:
        """The method and the numbers."""
        return f"<Tap {self.method or '*'} held={len(self.held)} seen={self.seen} dropped={self.dropped}>"

    def take(self, tapped: Tapped) -> None:
        """Takes a request if it is one of the sample."""
        if self.method and tapped.event.method != self.method:
            return
        self.seen += 1
        self._credit += self.sample
        if self._credit < 1.0:
            return
        self._credit -= 1.0
        if len(self.held) >= RING:
            self.held.popleft()
            self.dropped += 1
        self.held.append(tapped)

    def fetch(self, most: int) -> list[Tapped]:
        """Takes out up to ``most`` requests, the oldest first."""
        return [self.held.popleft() for _ in range(min(most, len(self.held)))]


class Taps(Observer):
    """All taps of one server, and the observer that feeds them.

    Args:
        attach: called with True when there is a tap, and with False when there is none any more: whether this observer
            is to be told of requests.
        clock: monotonic seconds.
        wall_clock: Unix time.
    """

    kinds = (RequestFinished, RequestRefused)

    def __init__(
        self, attach: Callable[[bool], object], clock: Callable[[], float], wall_clock: Callable[[], float]
    ) -> None:
        self._attach = attach
        self._clock = clock
        self._wall_clock = wall_clock
        self._taps: dict[str, Tap] = {}

    def __repr__(self) -> str:
        """How many taps there are."""
        return f"<Taps {len(self._taps)}>"

    def open(self, name: str, method: str, sample: float) -> Tap | None:
        """A new tap; None if there are too many."""
        self._expire()
        if len(self._taps) >= MOST_TAPS:
            return None
        tap = self._taps[name] = Tap(name, method, sample, self._clock() + LEASE)
        if len(self._taps) == 1:
            self._attach(True)
        return tap

    def find(self, name: str) -> Tap | None:
        """The tap of this name, unless it has ended."""
        self._expire()
        return self._taps.get(name)

    def begin_fetch(self, tap: Tap) -> None:
        """Somebody waits for requests of this tap."""
        tap.fetching = True

    def end_fetch(self, tap: Tap) -> None:
        """Nobody waits any more; the tap lives on for a few seconds."""
        tap.fetching = False
        tap.ends_at = self._clock() + LEASE

    def close(self, tap: Tap) -> None:
        """Ends a tap. Harmless if it has ended."""
        if self._taps.pop(tap.name, None) is not None and not self._taps:
            self._attach(False)

    def receive(self, event: Event) -> None:
        """A request has ended."""
        assert isinstance(event, (RequestFinished, RequestRefused))
        self._expire()
        tapped = Tapped(self._wall_clock(), event)
        for tap in self._taps.values():
            tap.take(tapped)

    def _expire(self) -> None:
        now = self._clock()
        for tap in [one for one in self._taps.values() if now >= one.ends_at and not one.fetching]:
            self.close(tap)
