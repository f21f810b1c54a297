"""The events of a client's members and of connections to them, and the state of a member. Pure.

The channel and its subchannels emit these events, and otherwise do the same as without observers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from zkrpc.client.connectivity import Report
from zkrpc.client.member import Member
from zkrpc.endpoint import Endpoint
from zkrpc.telemetry.events import (
    BreakerClosed,
    BreakerOpened,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    ConnectivityChanged,
    MemberJoined,
    MemberLeft,
    MemberSpared,
)
from zkrpc.telemetry.observer import Observers
from zkrpc.telemetry.status import MemberStatus

_MEMBER_KINDS = (
    MemberJoined,
    MemberLeft,
    ConnectivityChanged,
    BreakerOpened,
    BreakerClosed,
    MemberSpared,
    ConnectionOpened,
    ConnectionFailed,
    ConnectionClosed,
)


def member_observer_of(
    observers: Observers, service: Callable[[], str], clock: Callable[[], float], target: str = ""
) -> MemberObserver | None:
    """Makes the observer of a service's members and of connections to them; None if no such event is wanted.

    ``clock`` gives monotonic seconds.
    """
    return MemberObserver(observers, service, clock, target) if observers.want(*_MEMBER_KINDS) else None


class ObservedConnection(Protocol):
    """The part of a connection that events describe."""

    endpoint: Endpoint
    silent: bool

    @property
    def draining(self) -> bool:
        """True once the server announced that it drains."""


class MemberObserver:
    """Emits the events of a client's members and connections."""

    def __init__(
        self, observers: Observers, service: Callable[[], str], clock: Callable[[], float], target: str = ""
    ) -> None:
        self._observers = observers
        self._service = service
        self._target = target
        self._clock = clock
        self._opened_at: dict[ObservedConnection, float] = {}

    def changed(self, left: Iterable[Member[Any]], joined: Iterable[Member[Any]]) -> None:
        """Members have left, and others have joined."""
        for member in left:
            self._observers.tell(MemberLeft(**self._names(member)))
        for member in joined:
            self._observers.tell(MemberJoined(**self._names(member)))

    def reported(self, member: Member[Any], report: Report) -> None:
        """The state or the standing of a member's subchannel has changed."""
        self._observers.tell(
            ConnectivityChanged(
                state=report.state.name.lower(),
                standing=report.standing.name.lower(),
                reason=member.connectivity.failure or "",
                **self._names(member),
            )
        )

    def opened_breaker(self, member: Member[Any], now: float) -> None:
        """A member's breaker has opened."""
        retry_at = member.breaker.retry_at
        seconds = 0.0 if retry_at is None else max(0.0, retry_at - now)
        self._observers.tell(BreakerOpened(seconds=seconds, **self._names(member)))

    def closed_breaker(self, member: Member[Any]) -> None:
        """A member's breaker has closed."""
        self._observers.tell(BreakerClosed(**self._names(member)))

    def spared(self, member: Member[Any], seconds: float) -> None:
        """A member is avoided for ``seconds``, because it answered that it is overloaded."""
        self._observers.tell(MemberSpared(seconds=seconds, **self._names(member)))

    def opened(self, connection: ObservedConnection, began: float) -> None:
        """A connection is open whose dial began at ``began``."""
        now = self._opened_at[connection] = self._clock()
        self._observers.tell(
            ConnectionOpened(
                service=self._service(),
                target=self._target,
                endpoint=str(connection.endpoint),
                seconds=now - began,
            )
        )

    def failed(self, endpoint: Endpoint, reason: str, began: float) -> None:
        """A dial that began at ``began`` has failed."""
        seconds = self._clock() - began
        self._observers.tell(
            ConnectionFailed(
                service=self._service(), target=self._target, endpoint=str(endpoint), seconds=seconds, reason=reason
            )
        )

    def closed(self, connection: ObservedConnection) -> None:
        """A connection has ended. Nothing is emitted for one whose opening was not."""
        opened_at = self._opened_at.pop(connection, None)
        if opened_at is not None:
            reason = "draining" if connection.draining else "silent" if connection.silent else "closed"
            self._observers.tell(
                ConnectionClosed(
                    service=self._service(),
                    target=self._target,
                    endpoint=str(connection.endpoint),
                    seconds=self._clock() - opened_at,
                    reason=reason,
                )
            )

    def _names(self, member: Member[Any]) -> dict[str, str]:
        return {
            "service": self._service(),
            "target": self._target,
            "instance": member.id,
            "endpoint": str(member.endpoint),
        }


def status_of(member: Member[Any], now: float, *, is_picked: bool, is_kept: bool) -> MemberStatus:
    """The state of one instance, as a client sees it. ``now`` is in monotonic seconds."""
    instance, retry_at, spared_for = member.instance, member.breaker.retry_at, member.spared_until - now
    return MemberStatus(
        instance=member.id,
        endpoint=str(member.endpoint),
        zone=instance.zone,
        version=instance.version,
        protocols=instance.protocols,
        dialect=member.subchannel.speaks,
        is_unheard=member.subchannel.is_heard is False,
        weight=member.weight,
        connectivity=member.connectivity.state.name.lower(),
        standing=member.connectivity.standing.name.lower(),
        failure=member.connectivity.failure,
        breaker=member.breaker.state.value,
        probe_in=None if retry_at is None else max(0.0, retry_at - now),
        spared_for=spared_for if spared_for > 0 else None,
        unready=instance.unready,
        in_flight=member.load.pending,
        latency=member.load.cost(now) or None,
        is_picked=is_picked,
        is_kept=is_kept,
    )
