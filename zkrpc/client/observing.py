"""What a client tells its observers of calls and their attempts. Pure.

Nothing of this is on the way of a call unless somebody listens: the layers that tell are then put into the client's
stack when it is built, and what is not wanted is left out of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkrpc.call import Call, Interceptor, Proceed
from zkrpc.errors import CallError, Executed
from zkrpc.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    CallFinished,
    CallHedged,
    CallRetried,
    CallStarted,
    RetryBudgetExhausted,
)
from zkrpc.telemetry.observer import Observers

_CANCELLED = "Cancelled"


def observer_of(observers: Observers, service: Callable[[], str], clock: Callable[[], float]) -> CallObserver | None:
    """What tells of the calls of a service, whose name may be known only later; None if nobody wants to hear of any.

    ``clock`` gives monotonic seconds.
    """
    kinds = (CallStarted, CallFinished, AttemptStarted, AttemptFinished, CallRetried, CallHedged, RetryBudgetExhausted)
    return CallObserver(observers, service, clock) if observers.want(*kinds) else None


class CallObserver:
    """Makes events of calls, as interceptors and for others to call."""

    def __init__(self, observers: Observers, service: Callable[[], str], clock: Callable[[], float]) -> None:
        self._observers = observers
        self._service = service
        self._clock = clock
        self._tells_start = observers.want(CallStarted)
        self._tells_attempt = observers.want(AttemptStarted)

    @property
    def around_calls(self) -> tuple[Interceptor[Call], ...]:
        """What goes around a whole call."""
        return (self._observe_call,) if self._observers.want(CallStarted, CallFinished) else ()

    @property
    def around_attempts(self) -> tuple[Interceptor[Call], ...]:
        """What goes around each attempt."""
        return (self._observe_attempt,) if self._observers.want(AttemptStarted, AttemptFinished) else ()

    def failed(self, call: Call, began: float, error: BaseException) -> None:
        """A call that began then has ended before it came to the layers of the stack."""
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
        """The same way to draw on a budget, which tells when it is exhausted."""

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
        # A call that failed knows no endpoint any more: its error does.
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
    """What is told of how a call ended: the error's name, whether the IDL declares it, and whether the call was
    executed."""
    if error is None:
        return "", False, Executed.YES.value
    name = type(error).__name__
    if isinstance(error, CallError):
        return name, False, error.executed.value
    if isinstance(error, call.descriptor.throws):
        return name, True, Executed.YES.value
    # Nothing is sent of arguments that do not fit; of the rest nobody knows how far it came.
    executed = Executed.NO if isinstance(error, TypeError) else Executed.MAYBE
    return name if isinstance(error, Exception) else _CANCELLED, False, executed.value


def _text(endpoint: object) -> str:
    return "" if endpoint is None else str(endpoint)
