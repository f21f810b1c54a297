"""The events of a client: of calls and their attempts, of members and connections. Pure.

Without observers a call runs through none of this code: the layers that emit events are put into the client's stack
when it is built, and only those for events that an observer wants. The events of members and connections are emitted by
the channel and its subchannels, which otherwise do the same as without observers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

from zkrpc.call import Call, Interceptor, Proceed
from zkrpc.client.connectivity import Report
from zkrpc.client.member import Member
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError, Executed
from zkrpc.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    BreakerClosed,
    BreakerOpened,
    CallFinished,
    CallHedged,
    CallRetried,
    CallStarted,
    ConnectionClosed,
    ConnectionFailed,
    ConnectionOpened,
    ConnectivityChanged,
    MemberJoined,
    MemberLeft,
    MemberSpared,
    RetryBudgetExhausted,
)
from zkrpc.telemetry.observer import Observers
from zkrpc.telemetry.status import MemberStatus

_CANCELLED = "Cancelled"
_CALL_KINDS = (
    CallStarted,
    CallFinished,
    AttemptStarted,
    AttemptFinished,
    CallRetried,
    CallHedged,
    RetryBudgetExhausted,
)
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


def observer_of(observers: Observers, service: Callable[[], str], clock: Callable[[], float]) -> CallObserver | None:
    """Makes the observer of a service's calls; None if no event of calls is wanted. The service's name may be known
    only later, so it is a function.

    ``clock`` gives monotonic seconds.
    """
    return CallObserver(observers, service, clock) if observers.want(*_CALL_KINDS) else None


class CallObserver:
    """Emits the events of calls: by interceptors, and by methods that other layers call."""

    def __init__(self, observers: Observers, service: Callable[[], str], clock: Callable[[], float]) -> None:
        self._observers = observers
        self._service = service
        self._clock = clock
        self._tells_start = observers.want(CallStarted)
        self._tells_attempt = observers.want(AttemptStarted)

    @property
    def around_calls(self) -> tuple[Interceptor[Call], ...]:
        """The interceptors around a whole call."""
        return (self._observe_call,) if self._observers.want(CallStarted, CallFinished) else ()

    @property
    def around_attempts(self) -> tuple[Interceptor[Call], ...]:
        """The interceptors around each attempt."""
        return (self._observe_attempt,) if self._observers.want(AttemptStarted, AttemptFinished) else ()

    def failed(self, call: Call, began: float, error: BaseException) -> None:
        """A call that began at ``began`` has failed before it reached the layers of the stack."""
        if self.around_calls:
            self._start(call, began)
            self._finish(call, began, error)

    def retried(self, call: Call, error: CallError, pause: float) -> None:
        """A call is about to be sent again."""
        self._observers.tell(
            CallRetried(
                service=self._service(),
                interface=call.descriptor.interface,
                method=call.method,
                attempt=call.attempt,
                endpoint=_text(error.endpoint),
                error=type(error).__name__,
                pause=pause,
            )
        )

    def hedged(self, call: Call) -> None:
        """A call's second copy is about to be sent."""
        self._observers.tell(
            CallHedged(
                service=self._service(),
                interface=call.descriptor.interface,
                method=call.method,
                attempt=call.attempt,
            )
        )

    def withdrawing(self, withdraw: Callable[[float], bool]) -> Callable[[float], bool]:
        """Wraps a budget's ``withdraw`` so that observers receive an event when the budget is exhausted."""

        def withdraw_and_tell(now: float) -> bool:
            allowed = withdraw(now)
            if not allowed:
                self._observers.tell(RetryBudgetExhausted(service=self._service()))
            return allowed

        return withdraw_and_tell if self._observers.want(RetryBudgetExhausted) else withdraw

    def _observe_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        began = self._clock()
        self._start(call, began)
        try:
            value = proceed(call)
        except BaseException as error:
            self._finish(call, began, error)
            raise
        self._finish(call, began)
        return value

    def _start(self, call: Call, began: float) -> None:
        if self._tells_start:
            self._observers.tell(
                CallStarted(
                    service=self._service(),
                    interface=call.descriptor.interface,
                    method=call.method,
                    timeout=call.deadline.at - began,
                )
            )

    def _finish(self, call: Call, began: float, error: BaseException | None = None) -> None:
        # A failed call no longer has an endpoint, but its error has.
        endpoint = error.endpoint if isinstance(error, CallError) else call.endpoint
        name, declared, executed = outcome_of(call, error)
        self._observers.tell(
            CallFinished(
                service=self._service(),
                interface=call.descriptor.interface,
                method=call.method,
                seconds=self._clock() - began,
                attempts=call.attempt,
                endpoint=_text(endpoint),
                error=name,
                declared=declared,
                executed=executed,
            )
        )

    def _observe_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        began = self._clock()
        if self._tells_attempt:
            self._observers.tell(
                AttemptStarted(
                    service=self._service(),
                    interface=call.descriptor.interface,
                    method=call.method,
                    attempt=call.attempt,
                )
            )
        try:
            value = proceed(call)
        except BaseException as error:
            self._finish_attempt(call, began, error)
            raise
        self._finish_attempt(call, began)
        return value

    def _finish_attempt(self, call: Call, began: float, error: BaseException | None = None) -> None:
        name, declared, executed = outcome_of(call, error)
        self._observers.tell(
            AttemptFinished(
                service=self._service(),
                interface=call.descriptor.interface,
                method=call.method,
                attempt=call.attempt,
                endpoint=_text(call.endpoint),
                seconds=self._clock() - began,
                error=name,
                declared=declared,
                executed=executed,
            )
        )


def outcome_of(call: Call, error: BaseException | None) -> tuple[str, bool, str]:
    """The outcome of a call for its event: the error's name, whether the IDL declares it, and whether the call was
    executed."""
    if error is None:
        return "", False, Executed.YES.value
    name = type(error).__name__
    if isinstance(error, CallError):
        return name, False, error.executed.value
    if isinstance(error, call.descriptor.throws):
        return name, True, Executed.YES.value
    # Arguments that do not fit are never sent; after other errors it is not known whether the call ran.
    executed = Executed.NO if isinstance(error, TypeError) else Executed.MAYBE
    return name if isinstance(error, Exception) else _CANCELLED, False, executed.value


def _text(endpoint: object) -> str:
    return "" if endpoint is None else str(endpoint)


def member_observer_of(
    observers: Observers, service: Callable[[], str], clock: Callable[[], float]
) -> MemberObserver | None:
    """Makes the observer of a service's members and of connections to them; None if no such event is wanted.

    ``clock`` gives monotonic seconds.
    """
    return MemberObserver(observers, service, clock) if observers.want(*_MEMBER_KINDS) else None


class ObservedConnection(Protocol):
    """The part of a connection that events describe."""

    endpoint: Endpoint
    silent: bool

    @property
    def draining(self) -> bool:
        """True once the server announced that it drains."""


class MemberObserver:
    """Emits the events of a client's members and connections."""

    def __init__(self, observers: Observers, service: Callable[[], str], clock: Callable[[], float]) -> None:
        self._observers = observers
        self._service = service
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
            ConnectionOpened(service=self._service(), endpoint=str(connection.endpoint), seconds=now - began)
        )

    def failed(self, endpoint: Endpoint, reason: str, began: float) -> None:
        """A dial that began at ``began`` has failed."""
        seconds = self._clock() - began
        self._observers.tell(
            ConnectionFailed(service=self._service(), endpoint=str(endpoint), seconds=seconds, reason=reason)
        )

    def closed(self, connection: ObservedConnection) -> None:
        """A connection has ended. Nothing is emitted for one whose opening was not."""
        opened_at = self._opened_at.pop(connection, None)
        if opened_at is not None:
            reason = "draining" if connection.draining else "silent" if connection.silent else "closed"
            self._observers.tell(
                ConnectionClosed(
                    service=self._service(),
                    endpoint=str(connection.endpoint),
                    seconds=self._clock() - opened_at,
                    reason=reason,
                )
            )

    def _names(self, member: Member[Any]) -> dict[str, str]:
        return {"service": self._service(), "instance": member.id, "endpoint": str(member.endpoint)}


def status_of(member: Member[Any], now: float, *, is_picked: bool, is_kept: bool) -> MemberStatus:
    """The state of one instance, as a client sees it. ``now`` is in monotonic seconds."""
    instance, retry_at, spared_for = member.instance, member.breaker.retry_at, member.spared_until - now
    return MemberStatus(
        instance=member.id,
        endpoint=str(member.endpoint),
        zone=instance.zone,
        version=instance.version,
        protocols=instance.protocols,
        weight=member.weight,
        connectivity=member.connectivity.state.name.lower(),
        standing=member.connectivity.standing.name.lower(),
        failure=member.connectivity.failure,
        breaker=member.breaker.state.value,
        probe_in=None if retry_at is None else max(0.0, retry_at - now),
        spared_for=spared_for if spared_for > 0 else None,
        in_flight=member.load.pending,
        latency=member.load.cost(now) or None,
        is_picked=is_picked,
        is_kept=is_kept,
    )
