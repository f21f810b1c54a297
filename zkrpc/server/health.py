"""Whether a server is to be called, and whether its process is to be ended: one value, whoever asks for it. Pure.

*Ready* means that callers should send calls here. A server says so of itself, and whoever put it together adds what
else must be so (:meth:`Health.require`): that it is registered, for instance. *Live* means that the process will get on
by itself. It is false only where nothing but an end helps, because a restart is the remedy of those who ask for it: a
ZooKeeper that is away, or a database that is, is no reason to kill every instance.

A stop that takes longer than a stop may is such a case. So is a blocked hub, which answers nobody; but the value can be
had from another thread, too.

A service that elects primaries can be asked about one of its groups, too: an instance is ready for a group while it is
ready and serves as the group's primary.

Everything is looked at when somebody asks; nothing runs meanwhile.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection
from typing import Any

from zkrpc.call import current_call
from zkrpc.idl import built_in_idl
from zkrpc.server.lifecycle import Lifecycle, LifecycleState
from zkrpc.telemetry.status import HealthStatus, RegistrationStatus, SessionStatus

LONGEST_WATCH = 30.0
"""Seconds for which a watch waits at most."""
MOST_WATCHES = 16
"""Watches of one server that wait at once; further ones are answered at once."""
OVERRUN = 30.0
"""Seconds that a stop may take on top of what was set for it: for handing over, and for ZooKeeper."""
SESSION_TIMEOUTS = 3.0
"""Session timeouts without a word from ZooKeeper after which callers may not find an instance any more."""
MISSING_FOR = 3.0
"""Seconds for which a registration may be missing while ZooKeeper answers: it is put back, or replaced."""

FAILURES = 3
"""Bad answers one after another that take an instance out of the rotation."""
SUCCESSES = 2
"""Good answers that bring it back, the first time."""
LONGEST_HOLD = 60.0
"""Seconds of good answers after which any instance is back."""
FORGIVEN_AFTER = 300.0
"""Seconds after its return at which an instance that turns bad counts as one that has never done so."""

_LOOK_INTERVAL = 0.1
_MARGIN = 0.05
"""Seconds before its caller's deadline at which a watch is answered."""

_REASONS = {
    LifecycleState.STARTING: "it is starting",
    LifecycleState.DRAINING: "it is draining",
    LifecycleState.STOPPED: "it has stopped",
}

Condition = Callable[[], str | None]
"""Says why it does not hold, in a few words that stay the same while the reason does; None while it holds. Must not
wait."""


class Health:
    """The health of one server. ``clock`` gives monotonic seconds."""

    def __init__(self, service: str, lifecycle: Lifecycle, clock: Callable[[], float]) -> None:
        self.service = service
        self._lifecycle = lifecycle
        self._clock = clock
        self._of_readiness: list[Condition] = []
        self._of_life: list[Condition] = [self._overrun]
        self._of_groups: dict[str, Condition] = {}

    def __repr__(self) -> str:
        """Ready and live, or why not."""
        status = self.status()
        return f"<Health {status.service} ready={status.ready} live={status.live} {'; '.join(status.reasons)}>"

    def require(self, condition: Condition, *, to_live: bool = False) -> None:
        """Adds a condition of being ready or, ``to_live``, of being live, without which it is not ready either."""
        (self._of_life if to_live else self._of_readiness).append(condition)

    def require_to_lead(self, group: str, condition: Condition) -> None:
        """Makes the group of primaries known: it can be asked about, and ``condition`` says why this server does not
        serve as its primary."""
        self._of_groups[group] = condition

    @property
    def groups(self) -> Collection[str]:
        """The groups that can be asked about."""
        return self._of_groups.keys()

    def status(self, group: str = "") -> HealthStatus:
        """The health at this moment; with a group, which must be known, whether calls for its primary should come
        here."""
        state = self._lifecycle.state
        deadly = [reason for condition in self._of_life if (reason := condition())]
        reasons = [_REASONS[state]] if state in _REASONS else []
        of_group = [self._of_groups[group]] if group else []
        conditions = [*self._of_readiness, *of_group]
        reasons += [*deadly, *(reason for condition in conditions if (reason := condition()))]
        name = f"{self.service}/{group}" if group else self.service
        return HealthStatus(service=name, ready=not reasons, live=not deadly, reasons=tuple(reasons), state=state.value)

    def _overrun(self) -> str | None:
        since, bound = self._lifecycle.draining_since, self._lifecycle.bound + OVERRUN
        if self._lifecycle.state is not LifecycleState.DRAINING or since is None or self._clock() < since + bound:
            return None
        return f"its stop takes longer than {bound:g} s"


class Presence:
    """Whether callers can find an instance in the registry, judged by what it knows of its registration and session.

    A ZooKeeper that cannot be reached takes nobody off the list, and callers keep the last one: so an instance counts
    as found for some session timeouts after it has last heard of ZooKeeper. Then the ensemble has been gone for long,
    or has delisted it. It remembers only since when the registration has been missing.
    """

    def __init__(self) -> None:
        self._missing_since: float | None = None

    def __repr__(self) -> str:
        """What it remembers."""
        return f"<Presence missing_since={self._missing_since}>"

    def doubt(self, registration: RegistrationStatus | None, session: SessionStatus, now: float) -> str | None:
        """Why callers do not find it; None if they do. Texts do not change while their reason does not."""
        if registration is not None and registration.offline is not None:
            return f"it is out of service by an operator's order: {registration.offline}"
        if registration is None or not (registration.was_registered or registration.conflict):
            return "it is not registered yet"
        if registration.conflict is not None:
            return "its name in the registry is another process's"
        if registration.registered:
            self._missing_since = None
        if session.state != "connected":
            self._missing_since = None
            patience = SESSION_TIMEOUTS * (session.timeout or session.timeout_asked)
            away = session.heard is None or session.heard > patience
            return f"ZooKeeper has not been heard of for {patience:g} s" if away else None
        if not registration.registered:
            self._missing_since = now if self._missing_since is None else self._missing_since
            if now - self._missing_since >= MISSING_FOR:
                return "it is no longer registered"
        return None


class Readiness:
    """When the answers of a service's ``is_healthy`` take an instance out of the rotation, and when they bring it back.

    =========  ==============================================  =======================================================
    state      means                                           left by
    =========  ==============================================  =======================================================
    READY      callers are to come                             ``FAILURES`` bad answers one after another: UNREADY
    UNREADY    callers are to go elsewhere, if they can        nothing but good answers for the hold time: READY
    =========  ==============================================  =======================================================

    One bad answer is no news: every change costs a write to ZooKeeper, and a read by every client. So does every turn
    of an instance that goes back and forth: the hold time is a few good answers first, and doubles each time the
    instance turns bad again soon after its return, up to ``LONGEST_HOLD``. (Envoy and Consul count answers in the same
    way; the doubling is that of Envoy's outlier ejection.)

    It is ready at first. ``interval`` is the time between two answers, in seconds.
    """

    __slots__ = ("_bad", "_changed_at", "_good", "_good_since", "_hold", "_interval", "reason")

    def __init__(self, interval: float) -> None:
        self.reason = ""
        """Why it is not ready, as the answer said that took it out; empty while it is ready."""
        self._interval = interval
        self._hold = 0.0
        self._bad = self._good = 0
        self._good_since = 0.0
        self._changed_at: float | None = None

    def __repr__(self) -> str:
        """The state, and the answers that speak for another."""
        return f"<Readiness {f'UNREADY: {self.reason}' if self.reason else 'READY'} bad={self._bad} good={self._good}>"

    def receive(self, failure: str, now: float) -> bool:
        """Takes in an answer; ``failure`` says what was bad about it, and is empty if it was good. True if it has
        changed the state."""
        if failure:
            self._bad, self._good = self._bad + 1, 0
            return not self.reason and self._bad >= FAILURES and self._turn(failure, now)
        self._good_since = self._good_since if self._good else now
        self._bad, self._good = 0, self._good + 1
        held = now - self._good_since >= self._hold
        return self.reason != "" and self._good >= SUCCESSES and held and self._turn("", now)

    def _turn(self, reason: str, now: float) -> bool:
        if reason:
            again = self._changed_at is not None and now - self._changed_at < FORGIVEN_AFTER
            self._hold = min(LONGEST_HOLD, max(2 * self._hold, 2 * SUCCESSES * self._interval)) if again else 0.0
        self.reason, self._changed_at = reason, now
        return True


class HealthHandler:
    """The handler of ``zkrpc.Health``.

    Args:
        health: whose.
        sleep: waits so many seconds.
        clock: monotonic seconds.
    """

    def __init__(self, health: Health, sleep: Callable[[float], object], clock: Callable[[], float]) -> None:
        self._health = health
        self._sleep = sleep
        self._clock = clock
        self._idl = built_in_idl("Health")
        self._watches = 0

    def check(self, service: str) -> Any:
        """The health at this moment, of the service or, asked for ``service/group``, of one of its groups."""
        return self._tell(self._group_of(service))

    def watch(self, service: str, seen: int, timeout_ms: int) -> Any:
        """The health, once it is not the one of the version ``seen``, or the time is over."""
        group = self._group_of(service)
        told, now = self._tell(group), self._clock()
        ends = now + min(max(timeout_ms, 0) / 1000, LONGEST_WATCH)
        call = current_call()
        if call is not None and call.deadline is not None:
            ends = min(ends, call.deadline.at - _MARGIN)
        if self._watches >= MOST_WATCHES:
            return told
        self._watches += 1
        try:
            while told.version == seen and now < ends:
                self._sleep(min(_LOOK_INTERVAL, ends - now))
                told, now = self._tell(group), self._clock()
        finally:
            self._watches -= 1
        return told

    def _group_of(self, asked: str) -> str:
        """The group that is asked about; empty if it is the service as a whole."""
        health = self._health
        if asked in ("", health.service):
            return ""
        service, slash, group = asked.rpartition("/")
        if not slash or service not in ("", health.service):
            raise self._idl.NotServed(message=f"{health.service} is served here, not {asked}")
        if group not in health.groups:
            raise self._idl.NotServed(message=f"{health.service} has no group {group!r} that elects a primary")
        return group

    def _tell(self, group: str) -> Any:
        status = self._health.status(group)
        reasons = list(status.reasons)
        return self._idl.HealthStatus(
            service=status.service,
            ready=status.ready,
            live=status.live,
            reasons=reasons,
            state=status.state,
            # Of the contents, so that it means the same at every instance and after a restart; 0 is for "none seen".
            version=zlib.crc32(repr((status.ready, status.live, reasons, status.state)).encode()) or 1,
        )
