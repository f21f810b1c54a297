"""Whether a server is to be called, and whether its process is to be ended: one value, whoever asks for it. Pure.

*Ready* means that callers should send calls here. A server says so of itself, and whoever put it together adds what
else must be so (:meth:`Health.require`): that it is registered, for instance. *Live* means that the process will get on
by itself. It is false only where nothing but an end helps, because a restart is the remedy of those who ask for it: a
ZooKeeper that is away, or a database that is, is no reason to kill every instance.

Everything is looked at when somebody asks; nothing runs meanwhile.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from typing import Any

from zkrpc.call import current_call
from zkrpc.idl import built_in_idl
from zkrpc.server.lifecycle import Lifecycle, LifecycleState
from zkrpc.telemetry.status import HealthStatus

LONGEST_WATCH = 30.0
"""Seconds for which a watch waits at most."""
MOST_WATCHES = 16
"""Watches of one server that wait at once; further ones are answered at once."""
_LOOK_INTERVAL = 0.1
_MARGIN = 0.05
"""Seconds before its caller's deadline at which a watch is answered."""

_REASONS = {
    LifecycleState.STARTING: "it is starting",
    LifecycleState.DRAINING: "it is draining",
    LifecycleState.STOPPED: "it has stopped",
}

Condition = Callable[[], str | None]
"""Says why it does not hold, in a few words; None while it holds. Must not wait."""


class Health:
    """The health of one server."""

    def __init__(self, service: str, lifecycle: Lifecycle) -> None:
        self.service = service
        self._lifecycle = lifecycle
        self._of_readiness: list[Condition] = []
        self._of_life: list[Condition] = []

    def __repr__(self) -> str:
        """Ready and live, or why not."""
        status = self.status()
        return f"<Health {status.service} ready={status.ready} live={status.live} {'; '.join(status.reasons)}>"

    def require(self, condition: Condition, *, to_live: bool = False) -> None:
        """Adds a condition of being ready or, ``to_live``, of being live, without which it is not ready either."""
        (self._of_life if to_live else self._of_readiness).append(condition)

    def status(self) -> HealthStatus:
        """The health at this moment."""
        state = self._lifecycle.state
        deadly = [reason for condition in self._of_life if (reason := condition())]
        reasons = [_REASONS[state]] if state in _REASONS else []
        reasons += [*deadly, *(reason for condition in self._of_readiness if (reason := condition()))]
        return HealthStatus(
            service=self.service, ready=not reasons, live=not deadly, reasons=tuple(reasons), state=state.value
        )


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
        """The health at this moment."""
        if service not in ("", self._health.service):
            raise self._idl.NotServed(message=f"{self._health.service} is served here, not {service}")
        return self._tell()

    def watch(self, service: str, seen: int, timeout_ms: int) -> Any:
        """The health, once it is not the one of the version ``seen``, or the time is over."""
        told, now = self.check(service), self._clock()
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
                told, now = self._tell(), self._clock()
        finally:
            self._watches -= 1
        return told

    def _tell(self) -> Any:
        status = self._health.status()
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
