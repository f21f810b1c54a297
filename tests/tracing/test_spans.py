"""Spans behind OpenTelemetry's API."""

from __future__ import annotations

import random
from typing import Any

import pytest
from opentelemetry import context, trace
from opentelemetry.trace import Link, NonRecordingSpan, SpanKind, Status, StatusCode

from zkrpc.tracing.records import SpanRecord
from zkrpc.tracing.settings import Sampler
from zkrpc.tracing.spans import LONGEST_TEXT, MOST_ATTRIBUTES, MOST_EVENTS, SpanProvider, remote_context


class Made:
    """A provider whose spans stay in a list."""

    def __init__(self, sampler: Sampler = Sampler()) -> None:
        self.spans: list[SpanRecord] = []
        """All that have ended."""
        self.provider = SpanProvider(lambda ended: self.spans.extend(ended.records()), sampler, random.getrandbits)
        self.tracer = self.provider.get_tracer("shop", "1.0")


def test_spans_of_a_program_make_a_tree() -> None:
    """With the decorators and blocks that OpenTelemetry's users know; a failure is told by the span, and passed on."""
    made = Made()
    with pytest.raises(ValueError, match="no"), made.tracer.start_as_current_span("outer", kind=SpanKind.CONSUMER):
        with made.tracer.start_as_current_span("inner", attributes={"a": 1}) as span:
            span.set_attribute("b", [1, 2])
            span.add_event("seen", {"c": True})
        raise ValueError("no")
    inner, outer = made.spans
    assert (inner.name, inner.attributes, inner.events[0][0]) == ("inner", {"a": 1, "b": [1, 2]}, "seen")
    assert inner.parent_id == outer.span_id and inner.trace_id == outer.trace_id and outer.parent_id == b""
    assert outer.kind == SpanKind.CONSUMER.value and outer.start <= inner.start <= inner.end <= outer.end
    assert outer.status == StatusCode.ERROR.value and outer.events[0][2]["exception.type"] == "ValueError"
    assert inner.scope == "shop"


def test_an_unsampled_trace_records_nothing_below_a_root_either() -> None:
    """Its spans have ids for those who ask, and are never handed out."""
    made = Made(Sampler(0.0))
    with made.tracer.start_as_current_span("outer") as outer, made.tracer.start_as_current_span("inner") as inner:
        assert not outer.is_recording() and not inner.is_recording()
        assert inner.get_span_context().trace_id == outer.get_span_context().trace_id
    assert made.spans == []


def test_a_remote_parent_decides() -> None:
    """And its state is handed on."""
    made = Made(Sampler(0.0))
    ids = remote_context(1, 2, 1, "rojo=1")
    within = trace.set_span_in_context(NonRecordingSpan(ids), context.Context())
    span = made.tracer.start_span("x", within, links=[Link(ids, {"why": "x"})])
    span.end()
    (record,) = made.spans
    assert (record.state, record.parent_is_remote, record.parent_id) == ("rojo=1", True, (2).to_bytes(8, "big"))
    assert record.links == [(1, 2, 1, "rojo=1", {"why": "x"})]


def test_what_a_span_holds_is_bounded() -> None:
    """Attributes, events and texts; and nothing changes after its end."""
    made = Made()
    span: Any = made.tracer.start_span("x" * 2 * LONGEST_TEXT)
    for number in range(2 * MOST_ATTRIBUTES):
        span.set_attribute(str(number), "y" * 2 * LONGEST_TEXT)
        span.add_event(str(number), {"long": "z" * 2 * LONGEST_TEXT})
        span.add_link(remote_context(1, 2, 1, ""))
    span.end()
    span.set_attribute("late", 1)
    span.update_name("late")
    span.set_status(StatusCode.ERROR)
    span.add_event("late")
    span.end()
    (record,) = made.spans
    assert len(record.name) == len(record.attributes["0"]) == len(record.events[0][2]["long"]) == LONGEST_TEXT
    assert len(record.attributes) == MOST_ATTRIBUTES and len(record.events) == len(record.links) == MOST_EVENTS
    assert "late" not in record.attributes and record.status == 0


@pytest.mark.parametrize(
    ("value", "kept"),
    [(1, 1), (True, True), (0.5, 0.5), ("x", "x"), (b"x\xff", "x\\xff"), ((1, "a"), [1, "a"]), (1 << 64, str(1 << 64))],
)
def test_values_become_plain(value: Any, kept: Any) -> None:
    """As OpenTelemetry knows them, since they leave the process."""
    made = Made()
    with made.tracer.start_span("x") as span:
        span.set_attributes({"key": value, "none": None, "odd": object()})
    assert made.spans[0].attributes == {"key": kept}


def test_ok_is_final() -> None:
    """As the specification has it."""
    made = Made()
    with made.tracer.start_span("x") as span:
        span.set_status(Status(StatusCode.OK))
        span.set_status(StatusCode.ERROR, "no")
    assert (made.spans[0].status, made.spans[0].description) == (StatusCode.OK.value, "")
