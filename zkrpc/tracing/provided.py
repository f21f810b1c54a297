"""Spans of calls and requests, made by the tracer provider that the program has set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode

from zkrpc.call import Call, Proceed
from zkrpc.caller import Caller
from zkrpc.errors import CallError
from zkrpc.telemetry.events import OTHER
from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import Dispatch
from zkrpc.tracing.calls import (
    HEDGE,
    NOTHING,
    OK,
    SPAN_KEY,
    CallsOfClient,
    Facts,
    RequestsOfServer,
    attach,
    attempt_facts,
    attempts_facts,
    carry,
    carry_baggage,
    detach,
    endpoint_facts,
    failure,
    find_trace,
    get_context,
    is_hedge,
    peer_facts,
    read_baggage,
    run_in,
)
from zkrpc.tracing.propagation import read_parent
from zkrpc.tracing.spans import remote_context
from zkrpc.wire.message import Request


class ProvidedTracer:
    """Makes the spans of this process's calls and requests with ``tracer``, which decides what is recorded."""

    ratio = 1.0

    def __init__(self, tracer: trace.Tracer, *, hands_baggage_on: bool = False) -> None:
        self.tracer = tracer
        self.hands_baggage_on = hands_baggage_on
        self.dice: Callable[[], float] = float

    def __repr__(self) -> str:
        """Whose tracer it is."""
        return "<ProvidedTracer of the program>"

    @property
    def status(self) -> Callable[[], TracingStatus]:
        """Nothing of ours is exported."""
        return lambda: TracingStatus(exporting=False, spans=0, dropped=0, lost=0)

    def trace_client(self, target: str) -> ProvidedCalls:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return ProvidedCalls(self, target)

    def trace_server(self, service: str, names: Mapping[bytes, str]) -> ProvidedRequests:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return ProvidedRequests(self, service)

    def unrecorded(self, parent: SpanContext) -> SpanContext | None:
        """See :class:`TracerSettings`."""
        return None if parent.trace_flags & 1 else parent

    find_trace = staticmethod(find_trace)


class ProvidedCalls(CallsOfClient):
    """The tracing of one client's calls."""

    settings: ProvidedTracer

    def around_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`CallsOfClient`."""
        within = get_context()
        name, facts, _ = self.know(call.descriptor)
        span = self.settings.tracer.start_span(name, within, SpanKind.CLIENT, facts)
        token = attach(trace.set_span_in_context(span, within))
        try:
            value = proceed(call)
        except BaseException as error:
            detach(token)
            endpoint = error.endpoint if isinstance(error, CallError) else call.endpoint
            _end(span, endpoint_facts(endpoint), attempts_facts(call.attempt), failure(call, error))
            raise
        detach(token)
        _end(span, endpoint_facts(call.endpoint), attempts_facts(call.attempt), OK)
        return value

    def around_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        within = get_context()
        name, _, facts = self.know(call.descriptor)
        span = self.settings.tracer.start_span(f"{name} attempt", within, SpanKind.INTERNAL, facts)
        carry(call, span.get_span_context())
        carry_baggage(call, within, self.settings.hands_baggage_on)
        number, copy = attempt_facts(call.attempt), HEDGE if is_hedge.get() else NOTHING
        # It is not current: the second copy of a hedged call inherits the context of the first.
        try:
            value = proceed(call)
        except BaseException as error:
            _end(span, number, copy, endpoint_facts(call.endpoint), failure(call, error))
            raise
        _end(span, number, copy, endpoint_facts(call.endpoint), OK)
        return value


class ProvidedRequests(RequestsOfServer):
    """The tracing of one server's requests."""

    settings: ProvidedTracer

    def run(
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
        """See :class:`RequestsOfServer`."""
        parent, within = read_parent(headers), read_baggage(headers) if self.settings.hands_baggage_on else Context()
        if parent is not None:
            within = trace.set_span_in_context(NonRecordingSpan(remote_context(*parent)), within)
        if not (begins if parent is None else parent.is_sampled):
            return run_in(within, plain, request, peer, now, caller)
        attributes = {**self.know(OTHER), **peer_facts(peer)}
        span = self.settings.tracer.start_span(OTHER, within, SpanKind.SERVER, attributes)
        try:
            return run_in(Context({**within, SPAN_KEY: span}), told, request, peer, now, caller)
        finally:
            span.end()


def _end(span: trace.Span, *facts: Facts) -> None:
    """Ends a span with these attributes."""
    for some in facts:
        span.set_attributes(dict(some))
        if "error.type" in some:
            span.set_status(StatusCode.ERROR)
    span.end()
