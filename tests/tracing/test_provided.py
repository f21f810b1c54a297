"""Spans of a program that has a tracer provider of OpenTelemetry's SDK."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from opentelemetry import context, trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import NonRecordingSpan, SpanKind, StatusCode

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import refusing_once
from tests.support.worlds import World
from zkrpc.config import ServerConfig
from zkrpc.idl import load_text
from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import find_trace, install_tracer
from zkrpc.tracing.provided import ProvidedTracer
from zkrpc.tracing.spans import remote_context

FAST = ServerConfig(linger=0, drain_timeout=1)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class Provided:
    """The program's provider, and what it has exported."""

    def __init__(self) -> None:
        self._kept = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._kept))
        self.tracer = ProvidedTracer(self.provider.get_tracer("zkrpc"), hands_baggage_on=True)

    def of(self, kind: SpanKind) -> list[ReadableSpan]:
        """The spans of this kind, in the order in which they ended."""
        return [span for span in self._kept.get_finished_spans() if span.kind is kind]

    def told(self, kind: SpanKind) -> dict[str, Any]:
        """The attributes of the only span of this kind."""
        (span,) = self.of(kind)
        return dict(span.attributes or {})


@pytest.fixture
def provided() -> Iterator[Provided]:
    """It traces what is made in the test."""
    made = Provided()
    install_tracer(made.tracer)
    yield made
    install_tracer(None)
    made.provider.shutdown()
    assert not context.get_current()


def echo(handler: Any = EchoHandler, **options: Any) -> zkrpc.Service:
    """A service."""
    return zkrpc.Service(idl.Echo, handler, name="echo", config=FAST, **options)


def test_the_same_tree_is_made_by_the_program_s_provider(provided: Provided, world: World) -> None:
    """Below the program's own span, and with what ours say."""
    seen: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            seen.append(find_trace())
            return text

    with world.loopback(echo(Handler)) as stub, provided.provider.get_tracer("mine").start_as_current_span("mine"):
        stub.echo("x")
    (call,), (request,) = provided.of(SpanKind.CLIENT), provided.of(SpanKind.SERVER)
    attempt, mine = provided.of(SpanKind.INTERNAL)
    assert [(span.name, span.parent and span.parent.span_id) for span in (mine, call, attempt, request)] == [
        ("mine", None),
        ("Echo/echo", mine.context.span_id),
        ("Echo/echo attempt", call.context.span_id),
        ("Echo/echo", attempt.context.span_id),
    ]
    for span in (call, attempt, request):
        shared = {"rpc.system.name": "apache_thrift", "rpc.method": "Echo/echo", "rpc.status_code": "OK"}
        assert shared.items() <= dict(span.attributes or {}).items()
    assert seen == [(f"{request.context.trace_id:032x}", f"{request.context.span_id:016x}")]


def test_failures_are_told(provided: Provided, world: World) -> None:
    """By all three; what the IDL declares is no failure."""
    with world.loopback(echo()) as stub:
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("secretly")
        names = []
        for kind in (SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.SERVER):
            (span,) = provided.of(kind)
            assert span.status.status_code is StatusCode.ERROR
            names.append(provided.told(kind)["error.type"])
        assert names == ["RemoteError", "RemoteError", "ValueError"]
        with pytest.raises(idl.Oops):
            stub.fail("declared")
    for kind in (SpanKind.CLIENT, SpanKind.INTERNAL, SpanKind.SERVER):
        span = provided.of(kind)[1]
        assert span.status.status_code is StatusCode.UNSET and (span.attributes or {})["rpc.status_code"] == "Oops"


def test_a_call_that_reaches_nobody_has_no_peer(provided: Provided, world: World) -> None:
    """Its error says of no instance."""
    hasty = zkrpc.ClientConfig(patience=0)
    with world.loopback(echo(), replicas=0, config=hasty) as stub, pytest.raises(zkrpc.CallError):
        stub.echo("x")
    assert "network.peer.address" not in provided.told(SpanKind.CLIENT)


def test_each_attempt_has_a_span(provided: Provided, world: World) -> None:
    """And the server's is below the one that reached it."""
    with world.loopback(echo(interceptors=[refusing_once()]), replicas=2) as stub:
        stub.echo("x")
    attempts, requests = provided.of(SpanKind.INTERNAL), provided.of(SpanKind.SERVER)
    assert [(span.attributes or {})["zkrpc.attempt"] for span in attempts] == [1, 2]
    assert [span.parent and span.parent.span_id for span in requests] == [span.context.span_id for span in attempts]


def test_a_second_copy_says_so(provided: Provided, world: World) -> None:
    """The slower one is cancelled, which is no error."""
    hold, waits = gevent.event.Event(), [True]

    class Handler:
        def get(self) -> int:
            if waits:
                waits.pop()
                hold.wait(60)
            return 1

    hedged = load_text(
        'service Hedged { i32 get() (zkrpc.idempotent = "true", zkrpc.hedge_ms = "10", zkrpc.timeout_ms = "60000") }'
    )
    with world.loopback(zkrpc.Service(hedged.Hedged, Handler, config=FAST), replicas=2) as stub:
        assert stub.get() == 1
        hold.set()
    copies = [dict(span.attributes or {}) for span in provided.of(SpanKind.INTERNAL)]
    assert sorted((copy.get("zkrpc.hedge", False), copy["rpc.status_code"]) for copy in copies) == [
        (False, "Cancelled"),
        (True, "OK"),
    ]


def test_what_is_not_recorded_stays_so(provided: Provided, world: World) -> None:
    """A parent that is not recorded is handed on as it is, and no span is made on either side."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None
            heard.append(call.headers.get("traceparent"))
            return text

    with world.loopback(echo(Handler)) as stub:
        with trace.use_span(NonRecordingSpan(remote_context(int(TRACE, 16), int(SPAN, 16), 0, ""))):
            stub.echo("x")
    assert heard == [f"00-{TRACE}-{SPAN}-00"]
    assert not any(provided.of(kind) for kind in SpanKind)


def test_it_says_whose_it_is() -> None:
    """And that nothing of it is exported by us."""
    tracer = ProvidedTracer(trace.NoOpTracer())
    assert repr(tracer) == "<ProvidedTracer of the program>"
    assert tracer.status() == TracingStatus(exporting=False, spans=0, dropped=0, lost=0)
