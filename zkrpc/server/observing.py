"""What a server tells its observers about requests: how each one ended, and which were never run. Pure.

None of this code runs for a request unless its events are wanted: then the server has this dispatcher in place of the
plain one, and its connections report refused requests to :meth:`RequestObserver.refused`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from zkrpc.call import ServerCall
from zkrpc.errors import CallError
from zkrpc.idl import Interface, Method
from zkrpc.server.dispatch import Answer, Dispatcher
from zkrpc.telemetry.events import OTHER, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observers
from zkrpc.wire import headers as keys
from zkrpc.wire import status
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Request
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

    def finished(self, request: Request, peer: str, began: float, answer: Answer | None, met: Met | None) -> None:
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
        self._tell(request, peer, began, error, declared, executed, epoch)

    def ended(self, request: Request, peer: str, began: float, error: BaseException) -> None:
        """A handler was ended by a BaseException that is not an Exception."""
        self._tell(request, peer, began, type(error).__name__, False, "maybe", None)

    def refused(self, request: Request, peer: str, answer: Answer | None) -> None:
        """A request was answered without having been run."""
        headers = None if answer is None else answer.headers
        self._observers.tell(
            RequestRefused(
                service=self._service,
                interface=self._interface,
                method=self._names.get(request.name, OTHER),
                peer=peer,
                queued=self._clock() - request.received_at,
                error="" if headers is None else headers[keys.ERROR],
            )
        )

    def _tell(
        self, request: Request, peer: str, began: float, error: str, declared: bool, executed: str, epoch: int | None
    ) -> None:
        self._observers.tell(
            RequestFinished(
                service=self._service,
                interface=self._interface,
                method=self._names.get(request.name, OTHER),
                peer=peer,
                queued=began - request.received_at,
                seconds=self._clock() - began,
                error=error,
                declared=declared,
                executed=executed,
                epoch=epoch,
            )
        )


class ObservedDispatcher(Dispatcher):
    """A dispatcher that tells how each request ended."""

    def __init__(self, observer: RequestObserver, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._observer = observer
        self._met: dict[Request, Met] = {}

    def dispatch(self, request: Request, peer: str, now: float) -> Answer | None:
        """The same as :meth:`Dispatcher.dispatch`."""
        try:
            answer = super().dispatch(request, peer, now)
        except BaseException as error:
            self._met.pop(request, None)
            self._observer.ended(request, peer, now, error)
            raise
        self._observer.finished(request, peer, now, answer, self._met.pop(request, None))
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
