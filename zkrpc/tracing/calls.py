"""Spans of calls and requests, by OpenTelemetry's conventions for RPC (semantic conventions 1.45).

=====================  ===============================================================================================
a call of a client     a CLIENT span, which is current while the call runs, however many attempts that takes
each of its attempts   an INTERNAL span below it; its ids go to the server in ``traceparent``
a request of a server  a SERVER span below what the request names as its parent; current while the handler runs. One
                       that is refused before that has a span without a duration
=====================  ===============================================================================================

What the spans say of an outcome comes from the events of :mod:`zkrpc.telemetry.events`, as everybody else sees them.

Whether a trace is recorded is decided where it begins, before anything is made for it, and holds for all of it. A call
without ``traceparent`` from a client that said in its hello that it traces is one that is not recorded, and so are the
calls that its handler makes. So an unrecorded call costs each side a comparison, and nothing on the wire.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode

from zkrpc.call import Call, Proceed, find_current_call
from zkrpc.caller import NOBODY, Caller
from zkrpc.legible import legible
from zkrpc.telemetry.events import OTHER, AttemptFinished, CallFinished, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import Dispatch, TraceIds
from zkrpc.tracing.propagation import (
    BAGGAGE,
    LONGEST_BAGGAGE,
    LONGEST_TRACESTATE,
    TRACESTATE,
    may_have_argument_field,
    read_argument_field,
    read_bounded,
    read_parent,
    write_parent,
)
from zkrpc.tracing.spans import CallSpan, SpanTracer, remote_context
from zkrpc.wire.headers import TRACEPARENT, TRACES
from zkrpc.wire.message import Request

SYSTEM = "apache_thrift"
"""``rpc.system.name``, as OpenTelemetry's Java agent has it for Thrift."""
_OK = "OK"
_REJECTED = "Rejected"
_UNWANTED = ("Cancelled", "GreenletExit")
_MOST_HEADERS = 32
"""A call with more headers of its own than this is sent without ``traceparent``: a server may take no more."""
_LONGEST_NAME = 200
_BAGGAGE = W3CBaggagePropagator()

_attempt: ContextVar[trace.Span] = ContextVar("zkrpc_attempt_span", default=trace.INVALID_SPAN)
_is_hedge: ContextVar[bool] = ContextVar("zkrpc_is_hedge", default=False)


class CallTracer:
    """Makes the spans of this process's calls and requests.

    Args:
        tracer: makes spans; one of ours decides about roots by ``dice`` and cheaply, any other decides by itself.
        dice: floats in [0, 1).
        hands_baggage_on: whether ``baggage`` travels with calls, too.
        status: what has become of the spans.
    """

    def __init__(
        self,
        tracer: trace.Tracer,
        *,
        dice: Callable[[], float],
        hands_baggage_on: bool = False,
        status: Callable[[], TracingStatus],
    ) -> None:
        self.tracer = tracer
        self.dice = dice
        self.hands_baggage_on = hands_baggage_on
        self.status = status
        own = tracer if isinstance(tracer, SpanTracer) else None
        self.own = own
        self.ratio = 1.0 if own is None else own.sampler.ratio
        """Share of the traces that begin here; 1 if that is not ours to decide."""
        self.follows_parent = own is None or own.sampler.follows_parent

    def __repr__(self) -> str:
        """The share of traces."""
        return f"<CallTracer ratio={self.ratio:g}{'' if self.own else ' of the program'}>"

    def trace_client(self, target: str) -> CallsOfClient:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return CallsOfClient(self, target)

    def trace_server(self, service: str) -> RequestsOfServer:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return RequestsOfServer(self, service)

    def find_trace(self) -> TraceIds | None:
        """The current span, if it is recorded."""
        ids = trace.get_current_span().get_span_context()
        return TraceIds.of_numbers(ids.trace_id, ids.span_id) if ids.trace_flags & 1 else None

    def start(self, name: str, kind: SpanKind, within: Context, attributes: dict[str, Any]) -> trace.Span:
        """A span of ours below the one that is current in ``within``. The root of a trace is recorded: that was decided
        before."""
        if self.own is None:
            return self.tracer.start_span(name, within, kind, attributes)
        parent: SpanContext | None = trace.get_current_span(within).get_span_context()
        sampled = True
        if parent is not None and parent.is_valid:
            sampled = self.own.sampler.records(parent.trace_id, bool(parent.trace_flags & 1))
        else:
            parent = None
        span = self.own.start(name, kind, parent, sampled)
        if type(span) is CallSpan:
            span.attributes = attributes
        return span


class CallsOfClient(Observer):
    """The tracing of one client's calls."""

    kinds = (CallFinished, AttemptFinished)

    def __init__(self, tracer: CallTracer, target: str) -> None:
        self._tracer = tracer
        self._address = _address_of(target)

    @property
    def observer(self) -> Observer:
        """This one."""
        return self

    def choose(self, plain: Proceed[Call], traced: Proceed[Call]) -> Proceed[Call]:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        tracer, ratio, dice = self._tracer, self._tracer.ratio, self._tracer.dice
        get_context = _find_context_getter()

        def run(call: Call) -> Any:
            begins = dice() < ratio
            if not begins and not get_context():
                return plain(call)
            return run_within(call, get_context(), begins)

        def run_within(call: Call, within: Context, begins: bool) -> Any:
            ids = trace.get_current_span(within).get_span_context()
            if not ids.is_valid:
                _carry_baggage(call, within, tracer.hands_baggage_on)
                # No trace begins in a handler: the call that it serves is not recorded, or there would be a span.
                return traced(call) if begins and find_current_call() is None else plain(call)
            if not ids.trace_flags & 1 and tracer.follows_parent:
                _carry(call, ids)
                _carry_baggage(call, within, tracer.hands_baggage_on)
                return plain(call)
            return traced(call)

        return run

    def around_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        within = context.get_current()
        attributes = {"rpc.system.name": SYSTEM, "rpc.method": _name_of(call), **self._address}
        span = self._tracer.start(attributes["rpc.method"], SpanKind.CLIENT, within, attributes)
        token = context.attach(trace.set_span_in_context(span, within))
        try:
            return proceed(call)
        finally:
            context.detach(token)
            span.end()

    def around_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        within = context.get_current()
        name = _name_of(call)
        attributes: dict[str, Any] = {"rpc.system.name": SYSTEM, "rpc.method": name, "zkrpc.attempt": call.attempt}
        if _is_hedge.get():
            attributes["zkrpc.hedge"] = True
        span = self._tracer.start(f"{name} attempt", SpanKind.INTERNAL, within, attributes)
        _carry(call, span.get_span_context())
        _carry_baggage(call, within, self._tracer.hands_baggage_on)
        # Not current in OpenTelemetry's context: the second copy of a hedged call inherits that of the first.
        token = _attempt.set(span)
        try:
            return proceed(call)
        finally:
            _attempt.reset(token)
            if type(span) is CallSpan:
                span.end_within(trace.get_current_span(within))
            else:
                span.end()

    def hedged(self, call: Call) -> None:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        _is_hedge.set(True)

    def receive(self, event: Any) -> None:
        """A traced call, or an attempt of one, has ended."""
        if type(event) is CallFinished:
            span = trace.get_current_span()
            told: dict[str, Any] = {"zkrpc.attempts": event.attempts}
        else:
            span, told = _attempt.get(), {}
        if not span.is_recording():
            return
        _tell_outcome(span, told, event.error, event.declared, event.executed)
        told |= _peer(event.endpoint)
        _set(span, told)


class RequestsOfServer(Observer):
    """The tracing of one server's requests."""

    kinds = (RequestFinished, RequestRefused)

    def __init__(self, tracer: CallTracer, service: str) -> None:
        self._tracer = tracer
        self._service = service

    @property
    def observer(self) -> Observer:
        """This one."""
        return self

    def choose(self, plain: Dispatch, told: Dispatch, introduction: Mapping[str, str]) -> Dispatch:
        """See :class:`zkrpc.telemetry.tracer.ServerTracing`."""
        ratio, dice, run = self._tracer.ratio, self._tracer.dice, self._run
        hands_baggage_on = self._tracer.hands_baggage_on

        def run_of_tracing(request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Any:
            if TRACEPARENT in request.headers or (hands_baggage_on and BAGGAGE in request.headers):
                return run(request, peer, now, caller, request.headers, False, plain, told)
            return plain(request, peer, now, caller)

        def run_of_zkrpc(request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Any:
            begins = dice() < ratio
            if begins or TRACEPARENT in request.headers or BAGGAGE in request.headers:
                return run(request, peer, now, caller, request.headers, begins, plain, told)
            return plain(request, peer, now, caller)

        def run_of_any(request: Request, peer: str, now: float, caller: Caller = NOBODY) -> Any:
            headers = request.headers
            if TRACEPARENT not in headers and may_have_argument_field(request.frame):
                headers = read_argument_field(request.frame, request.offset, request.dialect.payload)
            begins = dice() < ratio
            if begins or TRACEPARENT in headers or BAGGAGE in headers:
                return run(request, peer, now, caller, headers, begins, plain, told)
            return plain(request, peer, now, caller)

        if not introduction:
            return run_of_any
        return run_of_tracing if TRACES in introduction else run_of_zkrpc

    def receive(self, event: Any) -> None:
        """A traced request has ended, or was refused."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        told: dict[str, Any] = {"zkrpc.queued": event.queued}
        if type(event) is RequestRefused:
            # What nobody waits for is refused without a word.
            _tell_outcome(span, told, event.error or _REJECTED, False, "no")
        else:
            if event.epoch is not None:
                told["zkrpc.epoch"] = event.epoch
            _tell_outcome(span, told, event.error, event.declared, event.executed)
        if event.method != OTHER:
            told["rpc.method"] = name = f"{event.interface}/{event.method}"
            span.update_name(name)
        _set(span, told)

    def _run(
        self,
        request: Request,
        peer: str,
        now: float,
        caller: Caller,
        headers: Mapping[str, str],
        begins: bool,
        plain: Dispatch,
        told: Dispatch,
    ) -> Any:
        parent = read_parent(headers)
        # A worker runs one request after another in one context; none may see what an earlier one left there.
        within = Context()
        if self._tracer.hands_baggage_on and (text := read_bounded(headers, BAGGAGE, LONGEST_BAGGAGE)):
            within = _BAGGAGE.extract({BAGGAGE: text}, within)
        if parent is None:
            if not begins:
                return _run_in(within, plain, request, peer, now, caller)
        else:
            ids = remote_context(*parent)
            within = trace.set_span_in_context(NonRecordingSpan(ids), within)
            if not parent.is_sampled and self._tracer.follows_parent:
                return _run_in(within, plain, request, peer, now, caller)
        attributes = {
            "rpc.system.name": SYSTEM,
            "rpc.method": OTHER,
            "zkrpc.service": self._service,
            **_peer(peer),
        }
        span = self._tracer.start(OTHER, SpanKind.SERVER, within, attributes)
        token = context.attach(trace.set_span_in_context(span, within))
        try:
            return told(request, peer, now, caller)
        finally:
            context.detach(token)
            if type(span) is CallSpan and span.name == OTHER:
                span.attributes["rpc.method_original"] = legible(request.name.decode("utf-8", "replace"), _LONGEST_NAME)
            span.end()


def _find_context_getter() -> Callable[[], Context]:
    """``context.get_current``, without its two functions around a context variable, which take as long as everything
    else that an unrecorded call costs (measured). That variable is private to OpenTelemetry, and may be elsewhere one
    day."""
    variable = getattr(getattr(context, "_RUNTIME_CONTEXT", None), "_current_context", None)
    return variable.get if isinstance(variable, ContextVar) else context.get_current


def _run_in(within: Context, run: Dispatch, request: Request, peer: str, now: float, caller: Caller) -> Any:
    if not within:
        return run(request, peer, now, caller)
    token = context.attach(within)
    try:
        return run(request, peer, now, caller)
    finally:
        context.detach(token)


def _address_of(target: str) -> dict[str, Any]:
    """``server.address``, and the port of a fixed address."""
    host, _, port = target.rpartition(":")
    if "/" not in target and "," not in target and port.isdigit():
        return {"server.address": host.strip("[]"), "server.port": int(port)}
    return {"server.address": target} if target else {}


def _name_of(call: Call) -> str:
    return f"{call.descriptor.interface}/{call.method}"


def _carry(call: Call, ids: SpanContext) -> None:
    """Writes a span's ids into a call's headers."""
    headers = dict(call.headers or {})
    if not ids.is_valid or len(headers) > _MOST_HEADERS:
        return
    headers[TRACEPARENT] = write_parent(ids.trace_id, ids.span_id, ids.trace_flags)
    state = ids.trace_state.to_header() if ids.trace_state else ""
    if state and len(state) <= LONGEST_TRACESTATE:
        headers[TRACESTATE] = state
    call.headers = headers


def _carry_baggage(call: Call, within: Context, wanted: bool) -> None:
    if not wanted or not baggage.get_all(within):
        return
    carrier: dict[str, str] = {}
    _BAGGAGE.inject(carrier, within)
    if 0 < len(carrier.get(BAGGAGE, "")) <= LONGEST_BAGGAGE // 2 and len(call.headers or {}) <= _MOST_HEADERS:
        call.headers = {**(call.headers or {}), **carrier}


def _tell_outcome(span: trace.Span, told: dict[str, Any], error: str, declared: bool, executed: str) -> None:
    """What the IDL declares is an answer, and what nobody wanted any more has not failed."""
    told["rpc.status_code"] = error or _OK
    told["zkrpc.executed"] = executed
    if error and not declared and error not in _UNWANTED:
        told["error.type"] = error
        span.set_status(StatusCode.ERROR)


def _set(span: trace.Span, told: dict[str, Any]) -> None:
    if type(span) is CallSpan:
        span.attributes |= told
    else:
        span.set_attributes(told)


@functools.lru_cache(maxsize=1024)
def _peer(endpoint: str) -> Mapping[str, Any]:
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        return {}
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}
