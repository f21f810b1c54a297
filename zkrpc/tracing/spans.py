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

from zkrpc.tracing.records import MOST_SPANS, SpanRecord
from zkrpc.tracing.settings import Sampler

MOST_ATTRIBUTES = MOST_EVENTS = MOST_LINKS = 128
"""As OpenTelemetry's SDK allows unless it is told otherwise."""
LONGEST_TEXT = 4096
"""Characters of a text in an attribute, a name or a description."""

SAMPLED = TraceFlags(TraceFlags.SAMPLED)
NOT_SAMPLED = TraceFlags(TraceFlags.DEFAULT)
NO_STATE = TraceState()
SpanSink = Callable[[Sequence[SpanRecord]], object]
"""Is given spans that have ended. Must not wait."""
Bits = Callable[[int], int]
"""Gives a random number of so many bits."""

_make_record: Callable[..., SpanRecord] = tuple.__new__
_make_tuple: Callable[..., SpanContext] = tuple.__new__
_get_time = time.time_ns
_PLAIN = (str, bool, int, float)
_LONGEST_INT = 1 << 63


class CallSpan(trace.Span):
    """A span that is recorded."""

    def __init__(
        self,
        sink: SpanSink,
        scope: str,
        name: str,
        context: SpanContext,
        parent: SpanContext | None,
        kind: SpanKind,
        start: int | None = None,
    ) -> None:
        self._sink = sink
        self._scope = scope
        self.name = name
        self._context = context
        self._parent = parent
        self._kind = kind
        self._start = start or _get_time()
        self._end = 0
        self._status, self._description = StatusCode.UNSET, ""
        self.attributes: dict[str, Any] = {}
        """Plain values under OpenTelemetry's names. What is written here directly is not checked."""
        self._events: list[Any] = []
        self._links: list[Any] = []
        self.held: list[SpanRecord] | None = None
        """Spans that have ended below this one, and leave with it."""

    def __repr__(self) -> str:
        """Its name, and whether it has ended."""
        return f"<CallSpan {self.name!r}{' ended' if self._end else ''}>"

    def get_span_context(self) -> SpanContext:
        """Its ids."""
        return self._context

    def is_recording(self) -> bool:
        """True until it has ended."""
        return not self._end

    def set_attribute(self, key: str, value: Any) -> None:
        """Sets an attribute; values that OpenTelemetry does not know are left out."""
        plain = _plain_value(value)
        if not self._end and plain is not None and (len(self.attributes) < MOST_ATTRIBUTES or key in self.attributes):
            self.attributes[str(key)] = plain

    def set_attributes(self, attributes: Mapping[str, Any]) -> None:
        """Sets several."""
        for key, value in attributes.items():
            self.set_attribute(key, value)

    def add_event(self, name: str, attributes: Mapping[str, Any] | None = None, timestamp: int | None = None) -> None:
        """Adds an event."""
        if not self._end and len(self._events) < MOST_EVENTS:
            self._events.append((name[:LONGEST_TEXT], timestamp or _get_time(), _plain_values(attributes)))

    def add_link(self, context: SpanContext, attributes: Mapping[str, Any] | None = None) -> None:
        """Adds a link to another span."""
        if not self._end and len(self._links) < MOST_LINKS:
            state = context.trace_state.to_header()
            self._links.append(
                (context.trace_id, context.span_id, int(context.trace_flags), state, _plain_values(attributes))
            )

    def update_name(self, name: str) -> None:
        """Renames it."""
        if not self._end:
            self.name = name

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Sets the status; OK is final."""
        code = status
        if isinstance(status, Status):
            code, description = status.status_code, status.description
        if not self._end and isinstance(code, StatusCode) and code is not StatusCode.UNSET and not self._is_ok:
            self._status = code
            self._description = (description or "")[:LONGEST_TEXT] if code is StatusCode.ERROR else ""

    @property
    def _is_ok(self) -> bool:
        return self._status is StatusCode.OK

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
        """Ends it, and hands it out with what it holds."""
        if not self._end:
            record = self.finish(end_time)
            self._sink([record, *self.held] if self.held else [record])

    def end_within(self, whole: trace.Span) -> None:
        """Ends it, and leaves it to ``whole`` to hand it out, if that has not ended."""
        if self._end:
            return
        if type(whole) is not CallSpan or whole._end or len(whole.held or ()) >= MOST_SPANS - 1:
            self.end()
            return
        if whole.held is None:
            whole.held = []
        whole.held.append(self.finish())

    def finish(self, end_time: int | None = None) -> SpanRecord:
        """Ends it without handing it out."""
        # ``_value_`` and not ``value``: of an enumeration's members, that is a property in Python.
        self._end = end_time or _get_time()
        trace_id, span_id, _, flags, state, _ = self._context
        parent, name = self._parent, self.name
        return _make_record(
            SpanRecord,
            (
                self._scope,
                name if len(name) <= LONGEST_TEXT else name[:LONGEST_TEXT],
                self._kind._value_,
                trace_id.to_bytes(16, "big"),
                span_id.to_bytes(8, "big"),
                int(flags),
                state.to_header() if state else "",
                b"" if parent is None else parent.span_id.to_bytes(8, "big"),
                parent is not None and parent.is_remote,
                self._start,
                self._end,
                self._status._value_,
                self._description,
                self.attributes,
                self._events,
                self._links,
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
        self._sink = sink
        self.sampler = sampler
        self._scope = scope
        self._bits = bits
        self._bound = sampler.bound

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
            trace_id = self._bits(128) or 1
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
            trace_id = (self._bits(64) << 64 | int(self._bits(64) * self._bound >> 64)) or 1
        state = NO_STATE if parent is None else parent.trace_state
        context = _make_context(trace_id, self._bits(64) or 1, False, SAMPLED if sampled else NOT_SAMPLED, state)
        if not sampled:
            return NonRecordingSpan(context)
        return CallSpan(self._sink, self._scope, name, context, parent, kind, start_time)

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
    return _make_context(trace_id, span_id, True, sampled, TraceState.from_header([state]) if state else NO_STATE)


def _make_context(trace_id: int, span_id: int, is_remote: bool, flags: TraceFlags, state: TraceState) -> SpanContext:
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
