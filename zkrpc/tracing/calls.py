"""Spans of calls and requests, by OpenTelemetry's conventions for RPC (semantic conventions 1.45): which there are,
what they say, and what travels.

=====================  ===============================================================================================
a call of a client     a CLIENT span, which is current while the call runs, however many attempts that takes
each of its attempts   an INTERNAL span below it; its ids go to the server in ``traceparent``
a request of a server  a SERVER span below what the request names as its parent; current while the handler runs. One
                       that is refused before that has a span without a duration
=====================  ===============================================================================================

Whether a trace is recorded is decided where it begins, before anything is made for it, and holds for all of it. A call
without ``traceparent`` from a client that said in its hello that it traces is one that is not recorded, and so are the
calls that its handler makes. So an unrecorded call costs each side a comparison, and nothing on the wire.

The spans are those of :mod:`zkrpc.tracing.own`, or of :mod:`zkrpc.tracing.provided` where the program has a tracer
provider of its own.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

from opentelemetry import baggage, context, trace
from opentelemetry.baggage.propagation import W3CBaggagePropagator
from opentelemetry.context import Context
from opentelemetry.trace import SpanContext, TraceState

from zkrpc.call import Call, Proceed, find_current_call, outcome_of
from zkrpc.caller import Caller
from zkrpc.endpoint import Endpoint
from zkrpc.idl import Method
from zkrpc.telemetry.events import OTHER, RequestFinished, RequestRefused
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.tracer import Dispatch, TraceIds
from zkrpc.tracing.choosing import choose_calls, choose_plain_requests, choose_requests
from zkrpc.tracing.propagation import (
    BAGGAGE,
    LONGEST_BAGGAGE,
    LONGEST_TRACESTATE,
    TRACESTATE,
    read_bounded,
    write_parent,
)
from zkrpc.wire.headers import TRACEPARENT, TRACES
from zkrpc.wire.message import Request

Facts = Mapping[str, Any]
"""Attributes that many spans share."""
SYSTEM: Facts = {"rpc.system.name": "apache_thrift"}
"""As OpenTelemetry's Java agent has it for Thrift."""
STATUS = "rpc.status_code"
OK: Facts = {STATUS: "OK", "zkrpc.executed": "yes"}
HEDGE: Facts = {"zkrpc.hedge": True}
NOTHING: Facts = {}
MOST_HEADERS = 32
"""A call with more headers of its own than this is sent without ``traceparent``: a server may take no more."""
_UNWANTED = ("Cancelled", "GreenletExit")
_BAGGAGE = W3CBaggagePropagator()

is_hedge: ContextVar[bool] = ContextVar("zkrpc_is_hedge", default=False)
"""Whether a hedged call's second copy is sent here."""


def _find_context() -> tuple[Callable[[], Context], Callable[[Context], Any], Callable[[Any], object]]:
    """What gets, sets and sets back the current context: the methods of OpenTelemetry's context variable, without two
    functions around each, which take as long as everything else that an unrecorded call costs (measured). That variable
    is private to OpenTelemetry, and may be elsewhere one day."""
    variable = getattr(getattr(context, "_RUNTIME_CONTEXT", None), "_current_context", None)
    if isinstance(variable, ContextVar):
        return variable.get, variable.set, variable.reset
    return context.get_current, context.attach, context.detach


get_context, attach, detach = _find_context()
(SPAN_KEY,) = trace.set_span_in_context(trace.INVALID_SPAN, Context())
"""Under which a context has its span."""


class TracerSettings(Protocol):
    """What is settled for all calls and requests of the process."""

    ratio: float
    """Share of the traces that begin here; 1 if that is not ours to decide."""
    hands_baggage_on: bool
    """Whether ``baggage`` travels with calls, too."""
    dice: Callable[[], float]
    """Floats in [0, 1)."""

    def unrecorded(self, parent: SpanContext) -> SpanContext | None:
        """The ids that travel on with what is not recorded below these; None if it is recorded."""


class CallsOfClient:
    """The tracing of one client's calls; subclasses make the spans."""

    def __init__(self, tracer: TracerSettings, target: str) -> None:
        self.settings = tracer
        self._address = _address_of(target)
        self.known: dict[Method, tuple[str, Facts, Facts]] = {}

    def choose(self, plain: Proceed[Call], traced: Proceed[Call]) -> Proceed[Call]:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        settings, around_call = self.settings, self.around_call

        def run(call: Call, begins: bool) -> Any:
            within = get_context()
            # No trace begins in a handler: the call that it serves is not recorded, or there would be a span.
            if not within and begins and find_current_call() is None:
                return around_call(call, traced)
            ids = trace.get_current_span(within).get_span_context()
            if not ids.is_valid:
                carry_baggage(call, within, settings.hands_baggage_on)
                return around_call(call, traced) if begins and find_current_call() is None else plain(call)
            unrecorded = settings.unrecorded(ids)
            if unrecorded is not None:
                carry(call, unrecorded)
                carry_baggage(call, within, settings.hands_baggage_on)
                return plain(call)
            return around_call(call, traced)

        return choose_calls(plain, run, settings.dice, settings.ratio, get_context)

    def around_call(self, call: Call, proceed: Proceed[Call]) -> Any:
        """Makes a call within a span."""
        raise NotImplementedError

    def hedged(self, call: Call) -> None:
        """See :class:`zkrpc.telemetry.tracer.ClientTracing`."""
        is_hedge.set(True)

    def know(self, method: Method) -> tuple[str, Facts, Facts]:
        """The name of a method, and what the spans of its calls, and of their attempts, have in common. A client has
        few methods."""
        known = self.known.get(method)
        if known is None:
            name = f"{method.interface}/{method.name}"
            facts = {**SYSTEM, "rpc.method": name}
            known = self.known[method] = name, {**facts, **self._address}, facts
        return known


class RequestsOfServer(Observer):
    """The tracing of one server's requests; subclasses make the spans."""

    kinds = (RequestFinished, RequestRefused)

    def __init__(self, tracer: TracerSettings, service: str) -> None:
        self.settings = tracer
        self._service = service
        self._known: dict[str, Facts] = {}

    @property
    def observer(self) -> Observer:
        """This one."""
        return self

    def choose(self, plain: Dispatch, told: Dispatch, introduction: Mapping[str, str]) -> Dispatch:
        """See :class:`zkrpc.telemetry.tracer.ServerTracing`."""
        ratio, dice, run = self.settings.ratio, self.settings.dice, self.run
        hands_baggage_on = self.settings.hands_baggage_on

        def run_of_zkrpc(request: Request, peer: str, now: float, caller: Caller, begins: bool) -> Any:
            return run(request, peer, now, caller, request.headers, begins, plain, told)

        def run_of_any(
            request: Request, peer: str, now: float, caller: Caller, headers: Mapping[str, str], begins: bool
        ) -> Any:
            return run(request, peer, now, caller, headers, begins, plain, told)

        if not introduction:
            return choose_plain_requests(plain, run_of_any, dice, ratio)
        if TRACES in introduction:
            keys = (TRACEPARENT, BAGGAGE) if hands_baggage_on else (TRACEPARENT,)
            return choose_requests(plain, run_of_zkrpc, dice, 0.0, keys)
        return choose_requests(plain, run_of_zkrpc, dice, ratio, (TRACEPARENT, BAGGAGE))

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
        """Runs a request that may be recorded: with ``told`` within a span if it is, else with ``plain``. ``headers``
        are those that may name a parent; ``begins`` tells whether a trace begins here if they name none."""
        raise NotImplementedError

    def receive(self, event: Any) -> None:
        """A traced request has ended, or was refused."""
        span = trace.get_current_span()
        if not span.is_recording():
            return
        told: dict[str, Any] = {"zkrpc.queued": event.queued}
        if type(event) is RequestRefused:
            error, declared, executed = event.error, False, "no"
        else:
            error, declared, executed = event.error, event.declared, event.executed
            if event.epoch is not None:
                told["zkrpc.epoch"] = event.epoch
        name = OTHER if event.method == OTHER else f"{event.interface}/{event.method}"
        span.update_name(name)
        told |= self.know(name)
        told |= outcome(error, declared, executed)
        span.set_attributes(told)
        if "error.type" in told:
            span.set_status(trace.StatusCode.ERROR)

    def know(self, name: str) -> Facts:
        """What the spans of a method's requests have in common. A service has few methods."""
        known = self._known.get(name)
        if known is None:
            known = self._known[name] = {**SYSTEM, "rpc.method": name, "zkrpc.service": self._service}
        return known


def find_trace() -> TraceIds | None:
    """The current span, if it is recorded."""
    ids = trace.get_current_span().get_span_context()
    return TraceIds.of_numbers(ids.trace_id, ids.span_id) if ids.trace_flags & 1 else None


def run_in(within: Context, run: Dispatch, request: Request, peer: str, now: float, caller: Caller) -> Any:
    """Runs a request in a context."""
    if not within:
        return run(request, peer, now, caller)
    token = attach(within)
    try:
        return run(request, peer, now, caller)
    finally:
        detach(token)


def read_baggage(headers: Mapping[str, str]) -> Context:
    """A context with the baggage in these headers. A worker runs one request after another in one context, and none may
    see what an earlier one left there."""
    text = read_bounded(headers, BAGGAGE, LONGEST_BAGGAGE)
    return _BAGGAGE.extract({BAGGAGE: text}, Context()) if text else Context()


def carry(call: Call, ids: SpanContext) -> None:
    """Writes a span's ids into a call's headers."""
    headers = dict(call.headers or {})
    if not ids.is_valid or len(headers) > MOST_HEADERS:
        return
    headers[TRACEPARENT] = write_parent(ids.trace_id, ids.span_id, ids.trace_flags)
    if ids.trace_state:
        carry_state(headers, ids.trace_state)
    call.headers = headers


def carry_state(headers: dict[str, str], state: TraceState) -> None:
    """Writes a trace's state into headers, unless it is too long."""
    text = state.to_header()
    if text and len(text) <= LONGEST_TRACESTATE:
        headers[TRACESTATE] = text


def carry_baggage(call: Call, within: Context, wanted: bool) -> None:
    """Writes the baggage of a context into a call's headers, if it is ``wanted`` and not too much."""
    if not wanted or not baggage.get_all(within):
        return
    carrier: dict[str, str] = {}
    _BAGGAGE.inject(carrier, within)
    if 0 < len(carrier.get(BAGGAGE, "")) <= LONGEST_BAGGAGE // 2 and len(call.headers or {}) <= MOST_HEADERS:
        call.headers = {**(call.headers or {}), **carrier}


def outcome(error: str, declared: bool, executed: str) -> Facts:
    """What is said of an outcome. What the IDL declares is an answer, and what nobody wanted any more has not
    failed; all else has an ``error.type``."""
    told = {STATUS: error or "OK", "zkrpc.executed": executed}
    if error and not declared and error not in _UNWANTED:
        told["error.type"] = error
    return told


def failure(call: Call, error: BaseException) -> Facts:
    """What is said of a call or an attempt that has raised this."""
    return outcome(*outcome_of(call, error))


@functools.lru_cache(maxsize=1024)
def peer_facts(endpoint: str) -> Facts:
    """What is said of the other side."""
    host, _, port = endpoint.rpartition(":")
    if not host or not port.isdigit():
        return NOTHING
    return {"network.peer.address": host.strip("[]"), "network.peer.port": int(port)}


@functools.lru_cache(maxsize=1024)
def endpoint_facts(endpoint: Endpoint | None) -> Facts:
    """The same of an instance."""
    return NOTHING if endpoint is None else peer_facts(str(endpoint))


@functools.lru_cache(maxsize=64)
def attempt_facts(attempt: int) -> Facts:
    """What is said of an attempt."""
    return {"zkrpc.attempt": attempt}


@functools.lru_cache(maxsize=64)
def attempts_facts(count: int) -> Facts:
    """What is said of all attempts of a call."""
    return {"zkrpc.attempts": count}


def _address_of(target: str) -> Facts:
    """``server.address``, and the port of a fixed address."""
    host, _, port = target.rpartition(":")
    if "/" not in target and "," not in target and port.isdigit():
        return {"server.address": host.strip("[]"), "server.port": int(port)}
    return {"server.address": target} if target else {}
