"""From a request to an answer: find the method, read the arguments, run the handler, write what came out.

Pure: it knows neither sockets nor greenlets; the handler it calls may block, or be run elsewhere by the function that
it is given for that, which is the shell's concern. Whatever the peer sent and whatever the handler did, ``dispatch``
returns an answer; details of a failure go to ``on_failure`` and never to the caller, which cannot use them and may not
be meant to see them.

==================================  ====================================  =============
what happened                       answer                                executed
==================================  ====================================  =============
the handler returned                REPLY                                 yes
it raised what the IDL declares     REPLY with that exception             yes
a call it made expired with it      EXCEPTION, ``EXPIRED``                yes
it raised anything else             EXCEPTION, ``FAILED``                 yes
its result does not fit the IDL     EXCEPTION, ``FAILED``                 yes
unknown method                      EXCEPTION, ``UNKNOWN_METHOD``         no
unreadable arguments                EXCEPTION, ``UNREADABLE``             no
an interceptor refused              EXCEPTION, by what it raised          no
the caller's deadline has passed    EXCEPTION, ``TOO_LATE``               no
an interceptor revoked the outcome  EXCEPTION, by what it put there       as it says
==================================  ====================================  =============

What each status says on the wire, :mod:`zkrpc.wire.status` knows. A reply carries the epoch of the primary that ran the
call, if an interceptor noted one on the call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from zkrpc.call import (
    CURRENT,
    Interceptor,
    ServerCall,
    compose,
    enter_call,
    leave_call,
    make_server_call,
    run_handler,
)
from zkrpc.callables import Kind
from zkrpc.caller import NOBODY, Caller
from zkrpc.codec import MAX_ELEMENTS, Payload, encode_failure
from zkrpc.deadline import DEADLINE_BUDGET, read_budget
from zkrpc.errors import CallError, DeadlineExceeded, Executed, RemoteProtocolError
from zkrpc.idl import Interface, Method
from zkrpc.server.compiled import IS_COMPILED, UNINTERRUPTIBLE, Core, Entry, make_table
from zkrpc.server.failures import Failure, forget
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire import status
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Request, make_tuple, remember
from zkrpc.wire.status import Status, epoch_headers, status_of

MethodT = TypeVar("MethodT", bound=Callable[..., Any])

_CALL, _ONEWAY, _REPLY = MessageKind.CALL, MessageKind.ONEWAY, MessageKind.REPLY
_budgets: dict[str, float] = {}
"""Deadline budgets by their text, in seconds: the same few texts come again and again, and a look-up is cheaper than
parsing."""

FailureObserver = Callable[[Failure], None]
"""Called with every failure of a handler."""


class Answer(NamedTuple):
    """The answer to one request: the message's kind, the encoded body, and headers or None. See :func:`turn_down` for
    one that is not sent."""

    kind: MessageKind
    body: bytes
    headers: Mapping[str, str] | None = None


def uninterruptible(method: MethodT) -> MethodT:
    """Marks a handler's method as one that is never ended from outside once it runs.

    Without the mark its greenlet is killed (``gevent.GreenletExit``) as soon as the answer is no longer wanted: the
    caller cancelled, or its deadline has passed. The method itself is not changed.
    """
    setattr(method, UNINTERRUPTIBLE, True)
    return method


class Arrival(NamedTuple):
    """A request that is dispatched."""

    request: Request
    peer: str
    caller: Caller
    at: float
    """When it was dispatched, in monotonic seconds."""


class Dispatcher(Core):
    """Runs the methods of one interface on one handler object; or those of several
    (:class:`~zkrpc.idl.served.ServedInterface`) on their handlers (:class:`~zkrpc.server.handlers.Handlers`).

    Raises ConfigError at construction if the handler does not fit the interface; see :mod:`zkrpc.server.signatures`.

    ``recordings`` are where it notes how long the requests take that go well, by methods. ``runners`` run those
    handlers that do not run in place, and return when such a handler is done.

    What goes well is dispatched by the compiled part, where there is one; see :mod:`zkrpc.server.compiled`.
    """

    _tells_each = False
    """Whether ``_tell`` is called for each request, and not only for those that did not go well."""

    def __init__(
        self,
        interface: Interface,
        handler: object,
        *,
        interceptors: Sequence[Interceptor[ServerCall]] = (),
        on_failure: FailureObserver,
        max_elements: int = MAX_ELEMENTS,
        clock: Callable[[], float] = lambda: 0.0,
        recordings: Mapping[str, Recording] = MappingProxyType({}),
        runners: Mapping[Kind, Callable[[ServerCall], Any]] = MappingProxyType({}),
    ) -> None:
        runs = {kind: compose(interceptors, run) for kind, run in {Kind.GREENLET: run_handler, **runners}.items()}
        self._table = make_table(interface, handler, recordings, runs)
        self._scopes = sorted({name.partition(b":")[0].decode() for name in self._table if b":" in name})
        self._max_elements = max_elements
        self._on_failure = on_failure
        self._clock = clock
        if not self._tells_each:
            self.prepare(self._table, max_elements, clock, _KNOWN)

    def dispatch_in_python(self, request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Answer | None:
        """``dispatch`` as it is without the compiled part, which leaves all to it that is out of the ordinary."""
        entry = self._table.get(request.name)
        if entry is None:
            return self._unknown(Arrival(request, peer, caller, now))
        method, handler, _, _, label, run, _, _ = entry
        if request.headers and now >= expires_at(request):
            message = "the deadline passed before the handler ran"
            return self._not_run(Arrival(request, peer, caller, now), method, message, status.TOO_LATE)
        try:
            arguments = method.decode_arguments(
                request.frame, request.offset, request.dialect.payload, self._max_elements
            )
        except RemoteProtocolError as error:
            return self._not_run(
                Arrival(request, peer, caller, now), method, f"{method.name}: {error}", status.UNREADABLE
            )
        call = make_server_call(label, handler, arguments, request.headers, peer, request.received_at, caller)
        token = enter_call(call)
        try:
            value = run(call)
        except BaseException as error:
            return self._settle_error(request, peer, now, caller, entry, call, error)
        finally:
            leave_call(token)
        return self._settle(request, peer, now, caller, entry, call, value)

    if not IS_COMPILED:
        dispatch = dispatch_in_python

    def _settle(
        self, request: Request, peer: str, now: float, caller: Caller, entry: Entry, call: ServerCall, value: Any
    ) -> Answer | None:
        """The answer to a request whose handler has returned."""
        method, recording = entry.method, entry.recording
        answer: Answer | None = None
        if method.oneway or request.kind is _ONEWAY:
            if value is not None and method.oneway and (misfit := _misfit(method, value)) is not None:
                return self._refuse_result(Arrival(request, peer, caller, now), entry, value, misfit)
        elif call.revoked is not None:
            return self._revoked(Arrival(request, peer, caller, now), call.revoked)
        else:
            try:
                body = method.encode_result(value, request.dialect.payload)
            except TypeError as error:
                return self._refuse_result(Arrival(request, peer, caller, now), entry, value, error)
            answer = make_tuple(Answer, (_REPLY, body, None if call.epoch is None else epoch_headers(call.epoch)))
        if recording is not None:
            # As in ``Recording.note``.
            seconds, took = recording.seconds, self._clock() - now
            seconds.append(took)
            if took >= recording.urgent or len(seconds) >= MOST:
                recording.settle()
        if self._tells_each:
            self._tell(Arrival(request, peer, caller, now), answer)
        return answer

    def _settle_error(
        self,
        request: Request,
        peer: str,
        now: float,
        caller: Caller,
        entry: Entry,
        call: ServerCall,
        error: BaseException,
    ) -> Answer | None:
        """The answer to a request whose handler has raised this, which is on its way meanwhile. Raises it again if it
        is no Exception."""
        arrival = Arrival(request, peer, caller, now)
        try:
            raise error
        except Exception as raised:
            return self._raised(arrival, entry, call, raised)
        except BaseException as raised:
            self._ended(arrival, raised)
            raise
        finally:
            del error  # which leads to this frame

    def dispatch_for(self, introduction: Mapping[str, str]) -> Callable[..., Answer | None]:
        """``dispatch`` for the requests of a peer whose hello had these headers."""
        return self.dispatch

    def may_interrupt(self, request: Request) -> bool:
        """Whether the handler of a request may be ended when its answer is no longer wanted; that of a oneway call may
        not, as no answer ever was."""
        entry = self._table.get(request.name)
        return entry is None or (entry.interruptible and request.kind is not _ONEWAY)

    def failed(self, request: Request, peer: str, error: BaseException) -> Answer | None:
        """The answer for a handler that was ended by a BaseException that is no Exception, such as
        ``gevent.Timeout``."""
        entry = self._table.get(request.name)
        name = request.name.decode("ascii", "replace") if entry is None else entry.label
        self._on_failure(Failure(name, request, peer, None if entry is None else entry.handler, error))
        return None if entry is not None and entry.method.oneway else _internal(request)

    # -- how a request ended that did not go well

    def _tell(self, arrival: Arrival, answer: Answer | None, error: str = "", executed: str = "yes") -> Answer | None:
        """A request has ended: with this answer, which is returned; the name of an exception's class, if it was one;
        and whether the handler had run. For a request that went well it is called if ``_tells_each``."""
        return answer

    def _ended(self, arrival: Arrival, error: BaseException) -> None:
        """A handler was ended by a BaseException that is not an Exception."""

    def _refuse_result(self, arrival: Arrival, entry: Entry, value: Any, misfit: TypeError) -> Answer | None:
        request, peer = arrival.request, arrival.peer
        self._on_failure(Failure(entry.label, request, peer, entry.handler, misfit, returned=True))
        forget(value)
        return self._tell(arrival, None if entry.method.oneway else _internal(request), type(misfit).__name__)

    def _revoked(self, arrival: Arrival, revoked: CallError) -> Answer | None:
        answer = _refused(arrival.request, revoked, revoked.executed)
        return self._tell(arrival, answer, type(revoked).__name__, revoked.executed.value)

    def _raised(self, arrival: Arrival, entry: Entry, call: ServerCall, error: Exception) -> Answer | None:
        refused = isinstance(error, CallError) and not call.entered
        answer = self._answer_to_error(arrival.request, entry, call, error)
        return self._tell(arrival, answer, type(error).__name__, "no" if refused else "yes")

    def _answer_to_error(self, request: Request, entry: Entry, call: ServerCall, error: Exception) -> Answer | None:
        method = entry.method
        if isinstance(error, CallError) and not call.entered:
            return None if method.oneway else _refused(request, error)
        failure = Failure(entry.label, request, call.peer, entry.handler, error)
        if call.revoked is not None:
            if not isinstance(error, (CallError, *method.throws)):
                self._on_failure(failure)
            return None if method.oneway else _refused(request, call.revoked, call.revoked.executed)
        if not method.oneway and request.kind is not _ONEWAY:
            try:
                body = method.encode_exception(error, request.dialect.payload)
            except TypeError as misfit:
                body, failure = None, failure._replace(misfit=misfit)
            if body is not None:
                return Answer(_REPLY, body, None if call.epoch is None else epoch_headers(call.epoch))
            if isinstance(error, DeadlineExceeded) and self._clock() >= expires_at(request):
                return refuse(request, "the deadline passed while the handler ran", status.EXPIRED)
        self._on_failure(failure)
        return None if method.oneway else _internal(request)

    def _not_run(self, arrival: Arrival, method: Method, message: str, told: Status) -> Answer | None:
        # A client of a oneway method reads no answer, even if it sent a CALL: it would take this for its next call's.
        answer = None if method.oneway else refuse(arrival.request, message, told)
        return self._tell(arrival, answer, told.error, told.executed)

    def _unknown(self, arrival: Arrival) -> Answer | None:
        name, told = arrival.request.name.decode("utf-8", "replace"), status.UNKNOWN_METHOD
        scope, colon, _ = name.partition(":")
        message = f"unknown method {name!r}"
        if colon and scope not in self._scopes:
            message = f"there is no service {scope!r} here; there are {', '.join(self._scopes)}"
        answer = refuse(arrival.request, message, told)
        return self._tell(arrival, answer, told.error, told.executed)


_KNOWN = (
    Request,
    ServerCall,
    Answer,
    CURRENT,
    run_handler,
    _CALL,
    _REPLY,
    tuple(dialect for dialect in Dialect if dialect.payload is Payload.BINARY),
    tuple(dialect for dialect in Dialect if dialect.payload is Payload.COMPACT),
    DEADLINE_BUDGET,
    _budgets,
    NOBODY,
    MOST,
)
"""What the compiled part has to know, in its order."""


def expires_at(request: Request) -> float:
    """When the caller stops waiting, according to its ``Deadline-Budget`` header; infinity without one."""
    budget = request.headers.get(DEADLINE_BUDGET)
    if budget is None:
        return math.inf
    seconds = _budgets.get(budget)
    if seconds is None:
        seconds = read_budget(budget)
        if seconds != math.inf:  # a peer's nonsense may be long, and is not kept
            remember(_budgets, budget, seconds)
    return request.received_at + seconds


def refuse(request: Request, message: str, told: Status) -> Answer | None:
    """The answer that says why a call was not run; None for a oneway call, which gets none."""
    if request.kind is _ONEWAY:
        return None
    return Answer(MessageKind.EXCEPTION, encode_failure(message, told.kind, request.dialect.payload), told.headers)


def turn_down(request: Request, message: str, told: Status, *, answered: bool = True) -> Answer:
    """The same for a request that is not dispatched. For a oneway call, and where no answer is read in any case, it is
    of the kind ONEWAY: it is not sent, and its headers say why to those who observe."""
    answer = refuse(request, message, told) if answered else None
    return answer or Answer(_ONEWAY, b"", told.headers)


def _refused(request: Request, error: CallError, executed: Executed = Executed.NO) -> Answer | None:
    return refuse(request, error.args[0], status_of(error, executed))


def _internal(request: Request) -> Answer | None:
    return refuse(request, "internal error; the server's log has the details", status.FAILED)


def _misfit(method: Method, value: Any) -> TypeError | None:
    """Why a oneway method has not run, though it returned: its result is a coroutine or a generator. Any other result
    is dropped."""
    try:
        method.encode_result(value)
    except TypeError as error:
        return error
    return None
