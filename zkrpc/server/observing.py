"""What a server tells its observers about requests: how each one ended, and which were never run. Pure.

None of this code runs for a request unless its events are wanted: then the server has this dispatcher in place of the
plain one, and its connections report refused requests to :meth:`RequestObserver.refused`. Where a request that went
well is wanted by recorders only, no event is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from zkrpc.call import ServerCall
from zkrpc.caller import NOBODY, Caller
from zkrpc.errors import CallError
from zkrpc.idl import Interface, Method
from zkrpc.server.accounts import Meter
from zkrpc.server.call_queue import AnswerCall
from zkrpc.server.dispatch import Answer, Dispatcher
from zkrpc.telemetry.events import OTHER, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observers, Recorder, gather
from zkrpc.telemetry.tracer import ServerTracing, Tracer
from zkrpc.wire import headers as keys
from zkrpc.wire import status
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol
from zkrpc.wire.status import Status

Met: TypeAlias = tuple[str, str]
"""How a request ended without a value: the name of the exception's class, and whether the handler had run."""


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
        self._interface = interface.name
        self._names = {method.wire_name: method.name for method in interface.methods.values()}
        self._names |= {f"{interface.name}:{name}".encode(): name for name in list(self._names.values())}
        self._clock = clock
        self.tells_each = observers.want_each(RequestFinished)
        """Whether an event is made also of a request that went well."""
        self.recorders: Mapping[bytes, Recorder] = {}
        """By the names that a request may give the method."""
        if observers.records(RequestFinished):
            made = {name: self._make_recorder(name) for name in dict.fromkeys(self._names.values())}
            self.recorders = {wire_name: made[name] for wire_name, name in self._names.items()}

    def _make_recorder(self, method: str) -> Recorder:
        return self._observers.recorder(
            RequestFinished, service=self._service, interface=self._interface, method=method
        )

    def excuse(self, record: Recorder) -> None:
        """A recorder has failed; to be called from an ``except`` clause."""
        self._observers.excuse(record, RequestFinished)

    def finished(
        self, request: Request, peer: str, caller: Caller, began: float, answer: Answer | None, met: Met | None
    ) -> None:
        """A request was dispatched at ``began`` and got this answer; ``met`` is the exception, if it ended with one."""
        error, executed = met or ("", "yes")
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
        self._tell(request, peer, caller, began, error, declared, executed, epoch)

    def ended(self, request: Request, peer: str, caller: Caller, began: float, error: BaseException) -> None:
        """A handler was ended by a BaseException that is not an Exception."""
        self._tell(request, peer, caller, began, type(error).__name__, False, "maybe", None)

    def refused(self, request: Request, peer: str, caller: Caller, answer: Answer | None) -> None:
        """A request was answered without having been run."""
        headers = None if answer is None else answer.headers
        self._observers.tell(
            RequestRefused(
                service=self._service,
                interface=self._interface,
                method=self._names.get(request.name, OTHER),
                peer=peer,
                caller=caller.name,
                queued=self._clock() - request.received_at,
                error="" if headers is None else headers[keys.ERROR],
            )
        )

    def observe_refusals(self, answer: AnswerCall, peer: str, meter: Meter) -> AnswerCall:
        """What answers the requests of ``peer`` that are not run, and tells of it."""

        def answer_and_tell(request: Request, refusal: Answer | None) -> None:
            answer(request, refusal)
            self.refused(request, peer, meter.account.caller, refusal)

        return answer_and_tell

    def _tell(
        self,
        request: Request,
        peer: str,
        caller: Caller,
        began: float,
        error: str,
        declared: bool,
        executed: str,
        epoch: int | None,
    ) -> None:
        tell = self._observers.tell if error else self._observers.tell_well
        tell(
            RequestFinished(
                service=self._service,
                interface=self._interface,
                method=self._names.get(request.name, OTHER),
                peer=peer,
                caller=caller.name,
                queued=began - request.received_at,
                seconds=self._clock() - began,
                error=error,
                declared=declared,
                executed=executed,
                epoch=epoch,
            )
        )


_REPLY = MessageKind.REPLY
_dispatch = Dispatcher.dispatch
"""Called by its name: ``super()`` takes as long as all else that is done here for a request that went well."""


class ObservedDispatcher(Dispatcher):
    """A dispatcher that tells how each request ended."""

    def __init__(self, observer: RequestObserver, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._observer = observer
        self._recorders = observer.recorders
        self._met: dict[Request, Met] = {}

    def dispatch(self, request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Answer | None:
        """The same as :meth:`Dispatcher.dispatch`."""
        observer, met = self._observer, self._met
        try:
            answer = _dispatch(self, request, peer, now, caller)
        except BaseException as error:
            met.pop(request, None)
            observer.ended(request, peer, caller, now, error)
            raise
        # What was met is kept from the failure to here, and nothing waits in between: it is empty unless this one
        # failed. An answer that is an exception without one was put there by an interceptor.
        if self._recorders and not met and (answer is None or answer.kind is _REPLY):
            record = self._recorders[request.name]
            try:
                record(self._clock() - now)
            except Exception:
                observer.excuse(record)
            if not observer.tells_each:
                return answer
        observer.finished(request, peer, caller, now, answer, met.pop(request, None))
        return answer

    def _raised(self, request: Request, entry: Any, call: ServerCall, error: Exception) -> Answer | None:
        refused = isinstance(error, CallError) and not call.entered
        self._met[request] = (type(error).__name__, "no" if refused else "yes")
        return super()._raised(request, entry, call, error)

    def _refuse_result(self, request: Request, peer: str, entry: Any, value: Any, misfit: TypeError) -> Answer | None:
        self._met[request] = (type(misfit).__name__, "yes")
        return super()._refuse_result(request, peer, entry, value, misfit)

    def _not_run(self, request: Request, method: Method, message: str, told: Status) -> Answer | None:
        self._met[request] = (told.error, told.executed)
        return super()._not_run(request, method, message, told)

    def _unknown(self, request: Request) -> Answer | None:
        self._met[request] = (status.UNKNOWN_METHOD.error, status.UNKNOWN_METHOD.executed)
        return super()._unknown(request)


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
    tracing = tracer.trace_server(service)
    everybody = gather((*observers, tracing.observer))
    told = told_to(RequestObserver(everybody, service, interface, clock))
    refusals = RequestObserver(gather((tracing.observer,)), service, interface, clock)
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

        def answer_and_trace(request: Request, refusal: Answer | None) -> None:
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
