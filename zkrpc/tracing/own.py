"""Spans of calls and requests, made by ourselves, as cheaply as can be.

A recorded call is one of a hundred, and when it comes the processor has forgotten the code for it: each further
function on its way costs microseconds (measured: three times what it costs when every call is recorded). So a call pays
for ids, for the two times, and for remembering what it knows; spans are made of that later, of many calls at once. An
attempt is a tuple in the span of its call. Of what goes well no event is made either: the answer says enough.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import NonRecordingSpan, SpanContext, SpanKind, StatusCode, TraceState

from zkrpc.call import Call, Proceed
from zkrpc.caller import Caller
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError
from zkrpc.legible import legible
from zkrpc.telemetry.events import OTHER, RequestFinished
from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import Dispatch
from zkrpc.tracing.calls import (
    HEDGE,
    MOST_HEADERS,
    NOTHING,
    OK,
    SPAN_KEY,
    STATUS,
    CallsOfClient,
    Facts,
    RequestsOfServer,
    attach,
    attempt_facts,
    attempts_facts,
    carry_baggage,
    carry_state,
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
from zkrpc.tracing.propagation import RemoteParent, read_parent
from zkrpc.tracing.records import SpanRecord
from zkrpc.tracing.spans import NOT_SAMPLED, CallSpan, SpanTracer, get_time, make_context, remote_context
from zkrpc.wire.headers import EPOCH, TRACEPARENT
from zkrpc.wire.message import Request

_LONGEST_NAME = 200
_Attempt = tuple[bytes, int, int, int, "Endpoint | None", Facts, Facts]
"""Span id, start, end, number, instance, whether it is a hedge, and its outcome."""


class OwnTracer:
    """Makes the spans of this process's calls and requests.

    Args:
        tracer: says where spans go, and which traces are recorded.
        dice: floats in [0, 1), by which a root is recorded.
        hands_baggage_on: whether ``baggage`` travels with calls, too.
        status: what has become of the spans.
    """

    def __init__(
        self,
        tracer: SpanTracer,
        *,
        dice: Callable[[], float],
        hands_baggage_on: bool = False,
        status: Callable[[], TracingStatus],
    ) -> None:
        self.tracer = tracer
        self.dice = dice
        self.hands_baggage_on = hands_baggage_on
        self.status = status
        self.ratio = tracer.sampler.ratio
        self.follows_parent = tracer.sampler.follows_parent

    def __repr__(self) -> str:
        """The share of traces."""
        return f"<OwnTracer ratio={self.ratio:g}>"

    def trace_client(self, target: str) -> OwnCalls:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return OwnCalls(self, target)

    def trace_server(self, service: str, names: Mapping[bytes, str]) -> OwnRequests:
        """See :class:`zkrpc.telemetry.tracer.Tracer`."""
        return OwnRequests(self, service, names)

    def unrecorded(self, parent: SpanContext) -> SpanContext | None:
        """See :class:`TracerSettings`."""
        if self.tracer.sampler.records(parent.trace_id, bool(parent.trace_flags & 1)):
            return None
        if not parent.trace_flags & 1:
            return parent
        return make_context(parent.trace_id, self.tracer.bits(64) or 1, False, NOT_SAMPLED, parent.trace_state)

    find_trace = staticmethod(find_trace)


class _ClientSpan(CallSpan):
    """The span of a call."""

    kind = SpanKind.CLIENT
    endpoint: Endpoint | None = None
    """The instance that it ended at."""
    attempt = 0
    outcome: Facts = OK

    def __init__(self, tracer: SpanTracer, known: tuple[str, Facts, Facts], parent: object) -> None:
        # Not the base's, which would be one more function.
        self.tracer = tracer
        self.known = known
        self.name = known[0]
        self.attempts: list[_Attempt] | None = []
        """Those that have ended; None once the span has left."""
        bits = tracer.bits
        self.span_id = (bits(64) or 1).to_bytes(8, "big")
        if isinstance(parent, CallSpan):
            self.trace_id, self.parent_id, self.state = parent.trace_id, parent.span_id, parent.state
        elif isinstance(parent, trace.Span) and parent.get_span_context().is_valid:
            self.follow(parent.get_span_context())
        else:
            # So that a sampler of ids further down the line decides the same, whatever our dice said.
            self.trace_id = ((bits(64) << 64 | bits(64) * tracer.bound >> 64) or 1).to_bytes(16, "big")
        self.start = get_time()

    def records(self) -> list[SpanRecord]:
        """Itself and its attempts."""
        self.facts = self.known[1], endpoint_facts(self.endpoint), attempts_facts(self.attempt), self.outcome
        attempts, self.attempts = self.attempts or (), None
        return [self.record(), *(_attempt_of(self, self.known, one) for one in attempts)]


class _LateAttempt:
    """An attempt that has ended after its call: a hedged call's slower copy."""

    def __init__(self, whole: CallSpan, known: tuple[str, Facts, Facts], attempt: _Attempt) -> None:
        self._parts = whole, known, attempt

    def records(self) -> list[SpanRecord]:
        """Itself."""
        return [_attempt_of(*self._parts)]


def _attempt_of(whole: CallSpan, known: tuple[str, Facts, Facts], attempt: _Attempt) -> SpanRecord:
    """The span of an attempt below ``whole``."""
    span_id, start, end, number, endpoint, copy, told = attempt
    name, _, facts = known
    span = CallSpan(whole.tracer, f"{name} attempt", SpanKind.INTERNAL, whole.trace_id, span_id, start)
    span.parent_id, span.state, span.ended = whole.span_id, whole.state, end
    span.facts = facts, attempt_facts(number), copy, endpoint_facts(endpoint), told
    if "error.type" in told:
        span.status = StatusCode.ERROR
    return span.record()


class OwnCalls(CallsOfClient):
    """The tracing of one client's calls."""

    settings: OwnTracer

    def around_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`CallsOfClient`."""
        within = get_context()
        span = _ClientSpan(
            self.settings.tracer, self.known.get(call.descriptor) or self.know(call.descriptor), within.get(SPAN_KEY)
        )
        token = attach(Context({**within, SPAN_KEY: span}))
        try:
            value = proceed(call)
        except BaseException as error:
            detach(token)
            span.endpoint = error.endpoint if isinstance(error, CallError) else call.endpoint
            span.attempt, span.outcome = call.attempt, failure(call, error)
            if "error.type" in span.outcome:
                span.set_status(StatusCode.ERROR)
            span.end()
            raise
        detach(token)
        span.endpoint, span.attempt = call.endpoint, call.attempt
        span.end()
        return value

    def around_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        within = get_context()
        whole = within.get(SPAN_KEY)
        if not isinstance(whole, CallSpan):  # an interceptor has left the span of the call
            return proceed(call)
        span_id = (whole.tracer.bits(64) or 1).to_bytes(8, "big")
        headers = call.headers or NOTHING
        if TRACEPARENT in headers or len(headers) <= MOST_HEADERS:
            call.headers = {**headers, TRACEPARENT: f"00-{whole.trace_id.hex()}-{span_id.hex()}-01"}
            if whole.state:
                carry_state(call.headers, whole.state)
        if len(within) > 1:
            carry_baggage(call, within, self.settings.hands_baggage_on)
        start = get_time()
        # It is not current: the second copy of a hedged call inherits the context of the first.
        try:
            value = proceed(call)
        except BaseException as error:
            self._end_attempt(whole, call, span_id, start, failure(call, error))
            raise
        if type(whole) is _ClientSpan and whole.attempts is not None and not is_hedge.get():
            whole.attempts.append((span_id, start, get_time(), call.attempt, call.endpoint, NOTHING, OK))
        else:
            self._end_attempt(whole, call, span_id, start, OK)
        return value

    def _end_attempt(self, whole: CallSpan, call: Call, span_id: bytes, start: int, told: Facts) -> None:
        copy = HEDGE if is_hedge.get() else NOTHING
        attempt = span_id, start, get_time(), call.attempt, call.endpoint, copy, told
        if isinstance(whole, _ClientSpan) and whole.attempts is not None:
            whole.attempts.append(attempt)
        else:
            whole.tracer.sink(_LateAttempt(whole, self.know(call.descriptor), attempt))


class _RequestSpan(CallSpan):
    """The span of a request."""

    kind = SpanKind.SERVER
    name = OTHER
    queued = 0.0
    answered: Mapping[str, str] | None = None
    """The headers of the answer. Not the answer itself, which may be large, and would wait with the span."""

    def __init__(self, requests: OwnRequests, request: Request, peer: str, parent: RemoteParent | None) -> None:
        # Not the base's, which would be one more function.
        self.tracer = tracer = requests.settings.tracer
        self.requests = requests
        self.method = request.name
        self.peer = peer
        bits = tracer.bits
        self.span_id = (bits(64) or 1).to_bytes(8, "big")
        if parent is None:
            self.trace_id = ((bits(64) << 64 | bits(64) * tracer.bound >> 64) or 1).to_bytes(16, "big")
        else:
            trace_id, span_id, _, state = parent
            self.trace_id, self.parent_id = trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big")
            self.parent_is_remote = True
            if state:
                self.state = TraceState.from_header([state])
        self.start = get_time()

    def records(self) -> list[SpanRecord]:
        """Itself."""
        attributes, requests = self.attributes, self.requests
        if STATUS in attributes:  # as an event has told
            self.facts = (peer_facts(self.peer),)
            if self.name == OTHER:
                attributes["rpc.method_original"] = legible(self.method.decode("utf-8", "replace"), _LONGEST_NAME)
        else:
            if self.name == OTHER:
                self.name = requests.names.get(self.method, OTHER)
            attributes["zkrpc.queued"] = self.queued
            if self.answered:
                attributes["zkrpc.epoch"] = int(self.answered[EPOCH])
            self.facts = requests.know(self.name), peer_facts(self.peer), OK
        return [self.record()]


class OwnRequests(RequestsOfServer):
    """The tracing of one server's requests."""

    settings: OwnTracer
    recorded = (RequestFinished,)

    def __init__(self, tracer: OwnTracer, service: str, names: Mapping[bytes, str]) -> None:
        super().__init__(tracer, service)
        self.names = names

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
        parent, settings = read_parent(headers), self.settings
        within = read_baggage(headers) if settings.hands_baggage_on else Context()
        if parent is None:
            if not begins:
                return run_in(within, plain, request, peer, now, caller)
        elif not parent.is_sampled or not settings.follows_parent:
            unrecorded = settings.unrecorded(remote_context(*parent))
            if unrecorded is not None:
                within = trace.set_span_in_context(NonRecordingSpan(unrecorded), within)
                return run_in(within, plain, request, peer, now, caller)
        span = _RequestSpan(self, request, peer, parent)
        token = attach(Context({**within, SPAN_KEY: span}))
        try:
            answer = told(request, peer, now, caller)
            if answer is not None:
                span.answered = answer.headers
        finally:
            detach(token)
            span.queued = now - request.received_at
            span.end()
        return answer
