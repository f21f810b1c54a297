"""The events of a client's calls and their attempts. Pure.

Without observers a call runs through none of this code: the layers that emit events are put into the client's stack
when it is built, and only those for events that an observer wants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from zkrpc.call import Call, Interceptor, Proceed, outcome_of
from zkrpc.errors import CallError
from zkrpc.idl import Method
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
from zkrpc.telemetry.recording import Recording

_CALL_KINDS = (
    CallStarted,
    CallFinished,
    AttemptStarted,
    AttemptFinished,
    CallRetried,
    CallHedged,
    RetryBudgetExhausted,
)


def _nowhere() -> str:
    """The target of a client whose resolver does not say where it looks."""
    return ""


def observer_of(
    observers: Observers,
    service: Callable[[], str],
    clock: Callable[[], float],
    target: Callable[[], str] = _nowhere,
) -> CallObserver | None:
    """Makes the observer of a service's calls; None if no event of calls is wanted. The service's name and the target
    may be known only later, so they are functions.

    ``clock`` gives monotonic seconds.
    """
    return CallObserver(observers, service, clock, target) if observers.want(*_CALL_KINDS) else None


class CallObserver:
    """Emits the events of calls: by interceptors, and by methods that other layers call."""

    def __init__(
        self,
        observers: Observers,
        service: Callable[[], str],
        clock: Callable[[], float],
        target: Callable[[], str] = _nowhere,
    ) -> None:
        self._observers = observers
        self._service = service
        self._target = target
        self._clock = clock
        self._tells_start = observers.want(CallStarted)
        self._tells_attempt = observers.want(AttemptStarted)
        self._tells_each = observers.want_each(CallFinished)

    @property
    def around_calls(self) -> tuple[Interceptor[Call], ...]:
        """The interceptors around a whole call, for events that are emitted at every call."""
        return (self._observe_call,) if self._tells_start or self._tells_each else ()

    def recording_of(self, method: Method) -> Recording | None:
        """Where the durations of a method's calls that go well are noted; None if nobody records them."""
        if not self._observers.records(CallFinished):
            return None
        return self._observers.recording(
            CallFinished, lambda: (self._service(), method.interface, method.name, self._target())
        )

    @property
    def on_failure(self) -> Callable[[Call, BaseException], object] | None:
        """To be told of each call that does not go well; None if the interceptors of ``around_calls`` see that."""
        return None if self.around_calls or not self._observers.want(CallFinished) else self._finish

    def around_recording(self, recording: Recording, proceed: Proceed[Call]) -> Proceed[Call]:
        """Wraps what makes the calls of one method, so that it notes their durations and tells of their failures."""
        clock, on_failure = self._clock, self.on_failure

        def recorded(call: Call) -> Any:
            try:
                value = proceed(call)
            except BaseException as error:
                if on_failure is not None:
                    on_failure(call, error)
                raise
            recording.note(clock() - call.began)
            return value

        return recorded

    @property
    def around_attempts(self) -> tuple[Interceptor[Call], ...]:
        """The interceptors around each attempt."""
        return (self._observe_attempt,) if self._observers.want(AttemptStarted, AttemptFinished) else ()

    def failed(self, call: Call, error: BaseException) -> None:
        """A call has failed before it reached the layers of the stack."""
        self._start(call)
        if self._observers.want(CallFinished):
            self._finish(call, error)

    def retried(self, call: Call, error: CallError, pause: float) -> None:
        """A call is about to be sent again."""
        self._observers.tell(
            CallRetried(
                service=self._service(),
                target=self._target(),
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
                target=self._target(),
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
                self._observers.tell(RetryBudgetExhausted(service=self._service(), target=self._target()))
            return allowed

        return withdraw_and_tell if self._observers.want(RetryBudgetExhausted) else withdraw

    def _observe_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        self._start(call)
        try:
            value = proceed(call)
        except BaseException as error:
            self._finish(call, error)
            raise
        self._finish(call)
        return value

    def _start(self, call: Call) -> None:
        if self._tells_start:
            self._observers.tell(
                CallStarted(
                    service=self._service(),
                    target=self._target(),
                    interface=call.descriptor.interface,
                    method=call.method,
                    timeout=call.deadline.at - call.began,
                )
            )

    def _finish(self, call: Call, error: BaseException | None = None) -> None:
        # A failed call no longer has an endpoint, but its error has.
        endpoint = error.endpoint if isinstance(error, CallError) else call.endpoint
        name, declared, executed = outcome_of(call, error)
        tell = self._observers.tell_well if error is None else self._observers.tell
        tell(
            CallFinished(
                service=self._service(),
                target=self._target(),
                interface=call.descriptor.interface,
                method=call.method,
                seconds=self._clock() - call.began,
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
                    target=self._target(),
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
                target=self._target(),
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


def _text(endpoint: object) -> str:
    return "" if endpoint is None else str(endpoint)
