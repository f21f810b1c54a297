"""Spans, a tracer and a tracer provider behind OpenTelemetry's API, made to be cheap.

With ``zkrpc serve --traces`` and :func:`zkrpc.tracing.start.start_tracing` this is the tracer provider of the process:
zkrpc's own spans, those of the service's code and those of other instrumentations become spans of this module, and are
handed out when they have ended (:class:`SpanSink`). OpenTelemetry's SDK runs in the exporting process alone: making and
ending one of its spans takes several times as long, and its batching takes locks and a thread into a gevent process.

A span is changed by one greenlet at a time, so there is no lock in it. What it may hold is bounded.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
)

from zkrpc.tracing.records import Ended, SpanRecord
from zkrpc.tracing.settings import Sampler

MOST_ATTRIBUTES = MOST_EVENTS = MOST_LINKS = 128
"""As OpenTelemetry's SDK allows unless it is told otherwise."""
LONGEST_TEXT = 4096
"""Characters of a text in an attribute, a name or a description."""

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
NO_STATE = TraceState()


SpanSink = Callable[[Ended], object]
"""Is given what has ended. Must not wait."""
Bits = Callable[[int], int]
"""Gives a random number of so many bits."""

_make_record: Callable[..., SpanRecord] = tuple.__new__
_make_tuple: Callable[..., SpanContext] = tuple.__new__
get_time = time.time_ns
_PLAIN = (str, bool, int, float)
_LONGEST_INT = 1 << 63


class CallSpan(trace.Span):
    """A span that is recorded.

    Args:
        tracer: makes it, and hands it out when it has ended.
        name: its name.
        kind: what it is.
        trace_id: 16 bytes.
        span_id: 8 bytes.
        start: nanoseconds since 1970; now, if it is not given.
    """

    # What most spans never have is theirs only when they get it: to make one is to set as little as there is to say.
    kind = SpanKind.INTERNAL
    parent_id = b""
    """8 bytes, or none for a root."""
    parent_is_remote = False
    state: TraceState = NO_STATE
    status, _description = StatusCode.UNSET, ""
    ended = 0
    """When it ended, in nanoseconds since 1970; 0 while it has not."""
    facts: tuple[Mapping[str, Any], ...] = ()
    """Attributes in dictionaries that other spans have as well. They are not checked, and must not be changed."""
    _context: SpanContext | None = None
    _events: Sequence[Any] = ()
    _links: Sequence[Any] = ()
    _attributes: dict[str, Any] | None = None

    def __init__(
        self,
        tracer: SpanTracer,
        name: str,
        kind: SpanKind,
        trace_id: bytes,
        span_id: bytes,
        start: int | None = None,
    ) -> None:
        self.tracer = tracer
        self.name = name
        self.kind = kind
        self.trace_id = trace_id
        self.span_id = span_id
        self.start = start or get_time()

    def follow(self, parent: SpanContext) -> None:
        """Makes it a span below another one."""
        self.trace_id, self.parent_id = parent.trace_id.to_bytes(16, "big"), parent.span_id.to_bytes(8, "big")
        self.parent_is_remote, self.state = parent.is_remote, parent.trace_state

    def __repr__(self) -> str:
        """Its name, and whether it has ended."""
        return f"<CallSpan {self.name!r}{' ended' if self.ended else ''}>"

    def get_span_context(self) -> SpanContext:
        """Its ids."""
        if self._context is None:
            trace_id, span_id = int.from_bytes(self.trace_id, "big"), int.from_bytes(self.span_id, "big")
            self._context = make_context(trace_id, span_id, False, SAMPLED, self.state)
        return self._context

    @property
    def attributes(self) -> dict[str, Any]:
        """Plain values under OpenTelemetry's names. What is written here directly is not checked."""
        if self._attributes is None:
            self._attributes = {}
        return self._attributes

    def is_recording(self) -> bool:
        """True until it has ended."""
        return not self.ended

    def set_attribute(self, key: str, value: Any) -> None:
        """Sets an attribute; values that OpenTelemetry does not know are left out."""
        plain = _plain_value(value)
        if not self.ended and plain is not None and (len(self.attributes) < MOST_ATTRIBUTES or key in self.attributes):
            self.attributes[str(key)] = plain

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Sets several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Adds an event."""
        if not self.ended and len(self._events) < MOST_EVENTS:
            self._events = [*self._events, (name[:LONGEST_TEXT], timestamp or get_time(), _plain_values(attributes))]

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Adds a link to another span."""
        if not self.ended and len(self._links) < MOST_LINKS:
            state = context.trace_state.to_header()
            link = (context.trace_id, context.span_id, int(context.trace_flags), state, _plain_values(attributes))
            self._links = [*self._links, link]

    def update_name(self, name: str) -> None:
        """Renames it."""
        if not self.ended:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Sets the status; OK is final."""
        code = status
        if isinstance(status, Status):
            code, description = status.status_code, status.description
        if not self.ended and isinstance(code, StatusCode) and code is not StatusCode.UNSET and not self._is_ok:
            self.status = code
            self._description = (description or "")[:LONGEST_TEXT] if code is StatusCode.ERROR else ""

    @property
    def _is_ok(self) -> bool:
        return self.status is StatusCode.OK

    def record_exception(
        self,
        exception: BaseException,
        attributes: Mapping[str, Any] | None = None,
        timestamp: int | None = None,
        escaped: bool = False,
    ) -> None:
        """Adds an event of an exception, without its stack, which the log has."""
        told = {"exception.type": type(exception).__qualname__, "exception.message": str(exception)[:LONGEST_TEXT]}
        self.add_event("exception", {**told, **(attributes or {})}, timestamp)

    def end(self, end_time: int | None = None) -> None:
        """Ends it, and hands it out."""
        if not self.ended:
            self.ended = end_time or get_time()
            self.tracer.sink(self)

    def records(self) -> list[SpanRecord]:
        """What there is to export of it; asked for once, after its end."""
        return [self.record()]

    def record(self) -> SpanRecord:
        """Itself, as it has ended."""
        state, name = self.state, self.name
        return _make_record(
            SpanRecord,
            (
                self.tracer.scope,
                name if len(name) <= LONGEST_TEXT else name[:LONGEST_TEXT],
                # ``_value_`` and not ``value``: of an enumeration's members, that is a property in Python.
                self.kind._value_,
                self.trace_id,
                self.span_id,
                1,
                "" if state is NO_STATE else state.to_header(),
                self.parent_id,
                self.parent_is_remote,
                self.start,
                self.ended,
                self.status._value_,
                self._description,
                self._attributes or {},
                self._events,
                self._links,
                self.facts,
            ),
        )

    def __exit__(self, kind: Any, error: BaseException | None, traceback: Any) -> None:
        """Ends it, after an exception with that."""
        if error is not None:
            _record_failure(self, error)
        self.end()


class SpanTracer(trace.Tracer):
    """Makes spans for one instrumentation."""

    def __init__(self, sink: SpanSink, sampler: Sampler, scope: str, bits: Bits) -> None:
        self.sink = sink
        self.sampler = sampler
        self.scope = scope
        self.bits = bits
        self.bound = sampler.bound

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
    ) -> trace.Span:
        """A span below the one that is current in ``context``, or a root if there is none; it records nothing if its
        trace is not sampled."""
        parent = trace.get_current_span(context).get_span_context()
        if parent.is_valid:
            sampled = self.sampler.records(parent.trace_id, bool(parent.trace_flags & 1))
            span = self.start(name, kind, parent, sampled, start_time)
        else:
            trace_id = self.bits(128) or 1
            sampled = self.sampler.records(trace_id, None)
            span = self.start(name, kind, None, sampled, start_time, trace_id)
        for link in links or ():
            span.add_link(link.context, link.attributes)
        if attributes:
            span.set_attributes(dict(attributes))
        return span

    def start(
        self,
        name: str,
        kind: SpanKind,
        parent: SpanContext | None,
        sampled: bool,
        start_time: int | None = None,
        trace_id: int = 0,
    ) -> trace.Span:
        """A span whose sampling is decided. A root that has no ``trace_id`` gets one that the sampler would record."""
        if parent is not None:
            trace_id = parent.trace_id
        elif not trace_id:
            # So that a sampler of ids further down the line decides the same, whatever our dice said.
            trace_id = (self.bits(64) << 64 | self.bits(64) * self.bound >> 64) or 1
        state, span_id = NO_STATE if parent is None else parent.trace_state, self.bits(64) or 1
        if not sampled:
            return NonRecordingSpan(make_context(trace_id, span_id, False, NOT_SAMPLED, state))
        span = CallSpan(self, name, kind, trace_id.to_bytes(16, "big"), span_id.to_bytes(8, "big"), start_time)
        if parent is not None:
            span.follow(parent)
        return span

    @contextlib.contextmanager
    def start_as_current_span(  # type: ignore[override]  # the API's own class of blocks is private to it
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        links: Sequence[Link] | None = None,
        start_time: int | None = None,
        record_exception: bool = True,
        set_status_on_exception: bool = True,
        end_on_exit: bool = True,
    ) -> Iterator[trace.Span]:
        """The same, current for as long as a block runs."""
        span = self.start_span(name, context, kind, attributes, links, start_time)
        with trace.use_span(span, end_on_exit, record_exception, set_status_on_exception):
            yield span


class SpanProvider(trace.TracerProvider):
    """The tracer provider: tracers that share a sampler, and where their spans go."""

    def __init__(self, sink: SpanSink, sampler: Sampler, bits: Bits) -> None:
        self._sink = sink
        self.sampler = sampler
        self._bits = bits

    def get_tracer(
        self,
        instrumenting_module_name: str,
        instrumenting_library_version: str | None = None,
        schema_url: str | None = None,
        attributes: Mapping[str, Any] | None = None,
    ) -> SpanTracer:
        """A tracer for one instrumentation."""
        return SpanTracer(self._sink, self.sampler, instrumenting_module_name, self._bits)


def remote_context(trace_id: int, span_id: int, flags: int, state: str) -> SpanContext:
    """The ids of a peer's span."""
    sampled = SAMPLED if flags & 1 else NOT_SAMPLED
    return make_context(trace_id, span_id, True, sampled, TraceState.from_header([state]) if state else NO_STATE)


def make_context(trace_id: int, span_id: int, is_remote: bool, flags: TraceFlags, state: TraceState) -> SpanContext:
    """Ids that are known to be valid, without their being looked at again, which takes as long as making them."""
    return _make_tuple(SpanContext, (trace_id, span_id, is_remote, flags, state, True))


def _record_failure(span: trace.Span, error: BaseException) -> None:
    if span.is_recording():
        span.record_exception(error)
        span.set_status(StatusCode.ERROR, f"{type(error).__name__}: {error}")


def _plain_values(attributes: Mapping[str, Any] | None) -> dict[str, Any]:
    found = {}
    for key, value in list((attributes or {}).items())[:MOST_ATTRIBUTES]:
        plain = _plain_value(value)
        if plain is not None:
            found[str(key)] = plain
    return found


def _plain_value(value: Any) -> Any:
    """The value as OpenTelemetry knows it: a text, a truth value, a number, or a list of one of these; None if it is
    nothing like that."""
    if type(value) is str:
        return value if len(value) <= LONGEST_TEXT else value[:LONGEST_TEXT]
    if isinstance(value, _PLAIN):
        if isinstance(value, bool):
            return bool(value)
        if isinstance(value, int):
            return int(value) if -_LONGEST_INT <= value < _LONGEST_INT else str(value)[:LONGEST_TEXT]
        return float(value) if isinstance(value, float) else str(value)[:LONGEST_TEXT]
    if isinstance(value, bytes):
        return value[:LONGEST_TEXT].decode("utf-8", "backslashreplace")
    if isinstance(value, Sequence):
        some = [_plain_value(one) for one in list(value)[:MOST_ATTRIBUTES]]
        return [one for one in some if one is not None and not isinstance(one, list)]
    return None
