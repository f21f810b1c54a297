"""A sample of the requests that a server serves, for those who look at it right now. Pure.

A tap holds the newest sampled requests until they are fetched. What finds no room is dropped, and the tap says how many
were. Each fetch renews the tap for a few seconds, so that one whose owner has gone ends by itself. While there is no
tap, nobody is told of requests on its behalf.

A tap may want the bodies of calls, too, as far as they may be shown (:mod:`~zkrpc.server.bodies`). Only while there is
one, calls come by :meth:`Taps.intercept`, outside of all other interceptors. Whether a call is one of the sample is
decided there, before it runs, so that nothing is written down of others. What it noted waits in one place until the
event of the same request: from the end of the outermost interceptor to the event nothing waits and no other greenlet
runs. Bodies are in no event, so that no observer and no log gets them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any, NamedTuple

from zkrpc.call import Proceed, ServerCall
from zkrpc.jsonform import Excerpt
from zkrpc.server.bodies import Bodies, Body
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
    method: str
    """What it is called here: ``get``, and with its interface, ``Audit:log``, if that is not the default one."""
    event: RequestFinished | RequestRefused
    body: Body | None = None
    """None where it is not wanted, or may not be shown."""


class _Noted(NamedTuple):
    """What is known of a call before its event: which taps it is one of the sample of, and its body."""

    method: str
    peer: str
    chosen: dict[Tap, bool]
    body: Body | None


class Tap:
    """One tap. ``method`` is empty for all methods, ``sample`` the share of requests that are taken, up to 1;
    ``bodies`` says whether it wants what was asked and answered."""

    __slots__ = ("_credit", "bodies", "dropped", "ends_at", "fetching", "held", "method", "name", "sample", "seen")

    def __init__(self, name: str, method: str, sample: float, ends_at: float, bodies: bool = False) -> None:
        self.name = name
        self.bodies = bodies
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

    def wants(self, method: str) -> bool:
        """Whether it is about this method."""
        return not self.method or method == self.method

    def choose(self) -> bool:
        """Whether the next request is one of the sample; each one is asked for once."""
        self._credit += self.sample
        if self._credit < 1.0:
            return False
        self._credit -= 1.0
        return True

    def take(self, tapped: Tapped, chosen: bool | None = None) -> None:
        """Takes a request if it is one of the sample, for which it may have been ``chosen`` already."""
        if not self.wants(tapped.method):
            return
        self.seen += 1
        if not (self.choose() if chosen is None else chosen):
            return
        if len(self.held) >= RING:
            self.held.popleft()
            self.dropped += 1
        self.held.append(tapped)

    def forget_bodies(self) -> None:
        """What it holds is shown without bodies."""
        self.held = deque(one._replace(body=None) for one in self.held)

    def fetch(self, most: int) -> list[Tapped]:
        """Takes out up to ``most`` requests, the oldest first."""
        return [self.held.popleft() for _ in range(min(most, len(self.held)))]


class Taps(Observer):
    """All taps of one server, and the observer that feeds them.

    Args:
        attach: called when that changes with whether there is a tap, so that this observer is to be told of requests;
            and whether there is one that wants bodies, so that calls are to come by ``intercept``.
        clock: monotonic seconds.
        wall_clock: Unix time.
        bodies: what may be shown.
    """

    kinds = (RequestFinished, RequestRefused)

    def __init__(
        self,
        attach: Callable[[bool, bool], object],
        clock: Callable[[], float],
        wall_clock: Callable[[], float],
        bodies: Bodies,
    ) -> None:
        self.bodies = bodies
        self._attach = attach
        self._attached = (False, False)
        self._noted: _Noted | None = None
        self._clock = clock
        self._wall_clock = wall_clock
        self._taps: dict[str, Tap] = {}

    def __repr__(self) -> str:
        """How many taps there are."""
        return f"<Taps {len(self._taps)}>"

    def open(self, name: str, method: str, sample: float, bodies: bool = False) -> Tap | None:
        """A new tap; None if there are too many."""
        self._expire()
        if len(self._taps) >= MOST_TAPS:
            return None
        tap = self._taps[name] = Tap(name, method, sample, self._clock() + LEASE, bodies)
        self._attend()
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
        if self._taps.pop(tap.name, None) is not None:
            self._attend()

    def narrow(self, allowed: bool, masked: Collection[str]) -> None:
        """What operators say from now on, also of calls that are held or running."""
        self.bodies.narrow(allowed, masked)
        for tap in self._taps.values():
            tap.forget_bodies()

    def intercept(self, call: ServerCall, proceed: Proceed[ServerCall]) -> Any:
        """Runs a call, and notes what it was asked and answered if a tap wants that and it may be shown."""
        method = call.method
        chosen = {tap: tap.choose() for tap in self._taps.values() if tap.bodies and tap.wants(method)}
        if not any(chosen.values()) or not self.bodies.allows(method):
            # Chosen is chosen: the sample is a share of all calls, whether or not their bodies are shown.
            try:
                return proceed(call)
            finally:
                self._noted = _Noted(method, call.peer, chosen, None)
        version, asked = self.bodies.version, self.bodies.arguments(method, call.arguments)
        body = Body(asked.text, cut=asked.cut)
        try:
            value = proceed(call)
            body = self._answered(call, body, self.bodies.result(method, value))
        except BaseException as error:
            body = self._answered(call, body, self.bodies.exception(method, error), raised=True)
            raise
        finally:
            # Unless something else may be shown than when it began.
            shown = body if version == self.bodies.version else None
            self._noted = _Noted(method, call.peer, chosen, shown)
        return value

    def _answered(self, call: ServerCall, body: Body, answer: Excerpt | None, *, raised: bool = False) -> Body:
        """The body with what a call has come to, unless the caller is told something else."""
        if answer is None or call.revoked is not None:
            return body
        if raised:
            return body._replace(exception=answer.text, cut=body.cut or answer.cut)
        return body._replace(result=answer.text, cut=body.cut or answer.cut)

    def receive(self, event: Event) -> None:
        """A request has ended."""
        assert isinstance(event, (RequestFinished, RequestRefused))
        self._expire()
        noted, self._noted = self._noted, None
        plain = Tapped(self._wall_clock(), self._label_of(event), event)
        if noted is None or (noted.method, noted.peer) != (plain.method, event.peer):
            # Refused before it ran, or begun before anybody wanted bodies.
            for tap in self._taps.values():
                tap.take(plain)
            return
        for tap in self._taps.values():
            tap.take(plain._replace(body=noted.body) if tap.bodies else plain, noted.chosen.get(tap))

    def _label_of(self, event: RequestFinished | RequestRefused) -> str:
        return event.method if event.interface == self.bodies.interface else f"{event.interface}:{event.method}"

    def _attend(self) -> None:
        wanted = bool(self._taps), any(tap.bodies for tap in self._taps.values())
        if wanted != self._attached:
            self._attached = wanted
            self._attach(*wanted)

    def _expire(self) -> None:
        now = self._clock()
        for tap in [one for one in self._taps.values() if now >= one.ends_at and not one.fetching]:
            self.close(tap)
