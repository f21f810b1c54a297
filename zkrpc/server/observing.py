"""What a server tells its observers about requests: how each one ended, and which were never run. Pure.

None of this code runs for a request unless its events are wanted: then the server has this dispatcher in place of the
plain one, and its connections report refused requests to :meth:`RequestObserver.refused`. Where a request that went
well is wanted by recorders only, no event is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zkrpc.caller import NOBODY, Caller
from zkrpc.idl import Interface, Method
from zkrpc.idl.served import wire_names
from zkrpc.server.accounts import Meter
from zkrpc.server.call_queue import AnswerCall
from zkrpc.server.dispatch import Answer, Arrival, Dispatcher
from zkrpc.telemetry.events import OTHER, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observers
from zkrpc.telemetry.recording import Recording
from zkrpc.telemetry.tracer import ServerTracing, Tracer
from zkrpc.wire import headers as keys
from zkrpc.wire import status
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol


class RequestObserver:
    """Makes events of requests.

    Args:
        observers: the observers to tell.
        service: the name in the registry.
        interface: the interface that is served.
        clock: monotonic seconds.
    """

    def __init__(self, observers: Observers, service: str, interface: Interface, clock: Callable[[], float]) -> None:
        self._observers = observers
        self._service = service
        self._unknown = interface.name, OTHER
        self._names = names_of(interface)
        self._clock = clock
        self.tells_each = observers.want_each(RequestFinished)
        """Whether an event is made also of a request that went well."""
        self.recordings: dict[str, Recording] = {}
        """By the labels of methods, where the durations of requests are noted that went well."""
        if observers.records(RequestFinished):
            self.recordings = {label: self._make_recording(method) for label, method in interface.methods.items()}

    def _make_recording(self, method: Method) -> Recording:
        names = (self._service, method.interface, method.name, "")
        return self._observers.recording(RequestFinished, lambda: names)

    def finished(self, arrival: Arrival, answer: Answer | None, error: str, executed: str) -> None:
        """A request got this answer; ``error`` is the exception's class if it ended with one, and ``executed`` tells
        whether the handler had run."""
        declared, epoch = False, None
        headers = None if answer is None else answer.headers
        if answer is not None and answer.kind is MessageKind.EXCEPTION:
            assert headers is not None
            executed = headers[keys.EXECUTED]
            # Of what the IDL does not declare, the caller is told no more than that.
            error = error if headers[keys.ERROR] == status.FAILED.error else headers[keys.ERROR]
        elif answer is not None:
            declared = bool(error)
            epoch = int(headers[keys.EPOCH]) if headers else None
        self._finished(arrival, error, declared, executed, epoch)

    def ended(self, arrival: Arrival, error: BaseException) -> None:
        """A handler was ended by a BaseException that is not an Exception."""
        self._finished(arrival, type(error).__name__, False, "maybe", None)

    def refused(self, request: Request, peer: str, caller: Caller, answer: Answer) -> None:
        """A request was answered without having been run."""
        assert answer.headers is not None
        interface, method = self._names.get(request.name, self._unknown)
        self._observers.tell(
            RequestRefused(
                service=self._service,
                interface=interface,
                method=method,
                peer=peer,
                caller=caller.shown,
                queued=self._clock() - request.received_at,
                error=answer.headers[keys.ERROR],
            )
        )

    def observe_refusals(self, answer: AnswerCall, peer: str, meter: Meter) -> AnswerCall:
        """What answers the requests of ``peer`` that are not run, and tells of it."""

        def answer_and_tell(request: Request, refusal: Answer) -> None:
            answer(request, refusal)
            self.refused(request, peer, meter.account.caller, refusal)

        return answer_and_tell

    def _finished(self, arrival: Arrival, error: str, declared: bool, executed: str, epoch: int | None) -> None:
        request, peer, caller, began = arrival
        tell = self._observers.tell if error else self._observers.tell_well
        interface, method = self._names.get(request.name, self._unknown)
        tell(
            RequestFinished(
                service=self._service,
                interface=interface,
                method=method,
                peer=peer,
                caller=caller.shown,
                queued=began - request.received_at,
                seconds=self._clock() - began,
                error=error,
                declared=declared,
                executed=executed,
                epoch=epoch,
            )
        )


def names_of(interface: Interface) -> dict[bytes, tuple[str, str]]:
    """The interface and the name of each method, by every name by which calls of it may come."""
    methods = interface.methods
    return {name: (methods[one].interface, methods[one].name) for name, one in wire_names(interface).items()}


class ObservedDispatcher(Dispatcher):
    """A dispatcher that tells how requests ended: each of them if its observers want that, else those that did not go
    well."""

    def __init__(self, observer: RequestObserver, *args: Any, **options: Any) -> None:
        self._observer = observer
        self._tells_each = observer.tells_each
        super().__init__(*args, recordings=observer.recordings, **options)

    def _tell(self, arrival: Arrival, answer: Answer | None, error: str = "", executed: str = "yes") -> Answer | None:
        self._observer.finished(arrival, answer, error, executed)
        return answer

    def _ended(self, arrival: Arrival, error: BaseException) -> None:
        self._observer.ended(arrival, error)


def make_dispatcher(
    observers: Observers,
    tracer: Tracer | None,
    service: str,
    interface: Interface,
    handler: object,
    *,
    clock: Callable[[], float],
    **options: Any,
) -> tuple[Dispatcher, RequestObserver | None]:
    """The dispatcher of a server, and what makes events of its requests; None if no observer wants them. ``options``
    are the dispatcher's."""

    def told_to(observer: RequestObserver) -> Dispatcher:
        return ObservedDispatcher(observer, interface, handler, clock=clock, **options)

    observer = None
    if observers.want(RequestFinished, RequestRefused):
        observer = RequestObserver(observers, service, interface, clock)
    plain = Dispatcher(interface, handler, clock=clock, **options) if observer is None else told_to(observer)
    if tracer is None:
        return plain, observer
    names = {wire_name: "/".join(full) for wire_name, full in names_of(interface).items()}
    tracing = tracer.trace_server(service, names)
    # What its observers note of a traced request, they note within its span, and when it ends.
    everybody = Observers((*observers, tracing.observer), records=False, recorded=[tracing.observer])
    told = told_to(RequestObserver(everybody, service, interface, clock))
    # None but the tracing: those who observe everything are told by whoever refuses.
    refusals = RequestObserver(Observers((tracing.observer,)), service, interface, clock)
    return TracedDispatcher(plain, told, tracing, refusals), observer


class TracedDispatcher(Dispatcher):
    """Two dispatchers for the same requests, ``plain`` as it would be without tracing, and ``told``, which tells the
    tracing how each request ended; the tracing chooses for each request. ``refusals`` tells the tracing of requests
    that are not dispatched."""

    def __init__(self, plain: Dispatcher, told: Dispatcher, tracing: ServerTracing, refusals: RequestObserver) -> None:
        # Not the base's: everything is left to these two.
        self._plain, self._told, self._tracing, self._refusals = plain, told, tracing, refusals
        self._dispatch = tracing.choose(plain.dispatch, told.dispatch, {})

    def dispatch(self, request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Answer | None:
        """Runs a request of a peer that has not introduced itself."""
        answer: Answer | None = self._dispatch(request, peer, now, caller)
        return answer

    def dispatch_for(self, introduction: Mapping[str, str]) -> Callable[..., Answer | None]:
        """See :meth:`Dispatcher.dispatch_for`."""
        return self._tracing.choose(self._plain.dispatch, self._told.dispatch, introduction)

    def trace_refusals(self, answer: AnswerCall, peer: str, protocol: ServerProtocol) -> AnswerCall:
        """What answers the requests of ``peer`` that are not run, and makes a span of each whose trace is recorded."""

        def answer_and_trace(request: Request, refusal: Answer) -> None:
            answer(request, refusal)

            def tell(request: Request, peer: str, now: float, caller: Caller) -> None:
                self._refusals.refused(request, peer, caller, refusal)

            self._tracing.choose(_tell_nobody, tell, protocol.peer_headers)(request, peer, request.received_at, NOBODY)

        return answer_and_trace

    def may_interrupt(self, request: Request) -> bool:
        """See :meth:`Dispatcher.may_interrupt`."""
        return self._plain.may_interrupt(request)

    def failed(self, request: Request, peer: str, error: BaseException) -> Answer | None:
        """See :meth:`Dispatcher.failed`."""
        return self._plain.failed(request, peer, error)


def _tell_nobody(request: Request, peer: str, now: float, caller: Caller) -> None:
    """A request that is refused and not traced."""
