"""Spans of our own: what they are made of later, and how they meet the program's spans."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from opentelemetry import context, trace
from opentelemetry.trace import NonRecordingSpan

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import refusing_once
from tests.support.tracing import CLIENT, INTERNAL, SERVER, tracing
from zkrpc.config import ServerConfig
from zkrpc.idl import load_text
from zkrpc.telemetry.tracer import find_tracer
from zkrpc.testing.loopback import Loopback
from zkrpc.tracing.own import OwnTracer
from zkrpc.tracing.records import SpanRecord
from zkrpc.tracing.settings import Sampler
from zkrpc.tracing.spans import remote_context

FAST = ServerConfig(linger=0, drain_timeout=1)
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.fixture(autouse=True)
def _nothing_stays() -> Iterator[None]:
    """Nothing is current before a test, nor after it."""
    assert not context.get_current()
    yield
    assert not context.get_current()


def echo(handler: Any = EchoHandler, **options: Any) -> zkrpc.Service:
    """A service."""
    return zkrpc.Service(idl.Echo, handler, name="echo", config=FAST, **options)


def of(spans: list[SpanRecord], kind: int) -> list[SpanRecord]:
    """Those of one kind."""
    return [span for span in spans if span.kind == kind]


def our_tracer() -> OwnTracer:
    """The tracer of this process."""
    tracer = find_tracer()
    assert isinstance(tracer, OwnTracer)
    return tracer


def test_an_attempt_that_ends_after_its_call_leaves_by_itself() -> None:
    """The slower copy of a hedged call, when its call has left; nothing is lost of it."""
    hold, waits = gevent.event.Event(), [True]

    class Handler:
        def get(self) -> int:
            if waits:
                waits.pop()
                hold.wait(60)
            return 1

    ended: list[list[SpanRecord]] = []
    hedged = load_text(
        'service Hedged { i32 get() (zkrpc.idempotent = "true", zkrpc.hedge_ms = "10", zkrpc.timeout_ms = "60000") }'
    )
    with tracing() as spans:
        tracer, take = our_tracer().tracer, our_tracer().tracer.sink

        def sink(one: Any) -> None:
            before = len(spans)
            take(one)
            ended.append(spans[before:])

        tracer.sink = sink
        with Loopback(zkrpc.Service(hedged.Hedged, Handler, config=FAST), replicas=2) as stub:
            assert stub.get() == 1
            hold.set()
    (call,) = of(spans, CLIENT)
    attempts = of(spans, INTERNAL)
    assert {span.parent_id for span in attempts} == {call.span_id} and len(attempts) == 2
    assert {span.trace_id for span in spans} == {call.trace_id}
    assert sorted(len(some) for some in ended if some[0].kind != SERVER) in ([1, 2], [3])


def test_a_trace_s_state_goes_on() -> None:
    """To the server, with each attempt, and to what its handler calls."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None
            heard.append(call.headers.get("tracestate"))
            return text

    with tracing() as spans, Loopback(echo(Handler, interceptors=[refusing_once()]), replicas=2) as stub:
        with trace.use_span(NonRecordingSpan(remote_context(int(TRACE, 16), int(SPAN, 16), 1, "rojo=1"))):
            stub.options(headers={"tenant": "blue"}).echo("x")
    assert heard == ["rojo=1"] and {span.state for span in spans} == {"rojo=1"}
    assert {span.trace_id.hex() for span in spans} == {TRACE}


@pytest.mark.parametrize("count", [0, 32])
def test_the_server_of_a_second_attempt_is_below_that(count: int) -> None:
    """However many headers of its own the call has."""
    headers = {f"key-{number}": "x" for number in range(count)}
    with tracing() as spans, Loopback(echo(interceptors=[refusing_once()]), replicas=2) as stub:
        stub.options(headers=headers).echo("x")
    first, second = of(spans, INTERNAL)
    assert [span.parent_id for span in of(spans, SERVER)] == [first.span_id, second.span_id]


def test_spans_of_interceptors_are_between_a_call_and_its_attempts() -> None:
    """An interceptor that makes another span current; one that leaves the trace makes a call without attempts."""
    mine = trace.NoOpTracer()

    def around(call: Any, proceed: Any) -> Any:
        with mine.start_as_current_span("mine"):
            return proceed(call)

    def out(call: Any, proceed: Any) -> Any:
        with trace.use_span(trace.INVALID_SPAN):
            return proceed(call)

    with tracing() as spans:
        mine = our_tracer().tracer  # type: ignore[assignment]
        with Loopback(echo(), interceptors=[around]) as stub:
            stub.echo("x")
        (between,) = [span for span in spans if span.name == "mine"]
        (attempt,) = [span for span in of(spans, INTERNAL) if span.name != "mine"]
        (call,), (request,) = of(spans, CLIENT), of(spans, SERVER)
        assert [one.parent_id for one in (between, attempt, request)] == [
            call.span_id,
            between.span_id,
            attempt.span_id,
        ]
        spans.clear()
        with Loopback(echo(), interceptors=[out]) as stub:
            assert stub.echo("x") == "x"
        assert [span.kind for span in spans] == [CLIENT]


def test_a_handler_s_attributes_and_name_are_kept() -> None:
    """What it says of its own request; the outcome is there as well."""

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            trace.get_current_span().set_attribute("rows", 7)
            trace.get_current_span().update_name("look-up")
            return text

    with tracing() as spans, Loopback(echo(Handler)) as stub:
        stub.echo("x")
    (request,) = of(spans, SERVER)
    assert request.name == "look-up" and request.attributes["rows"] == 7
    assert (request.attributes["rpc.status_code"], request.attributes["zkrpc.executed"]) == ("OK", "yes")
    assert request.attributes["zkrpc.queued"] >= 0


def test_a_failed_call_says_why_and_where() -> None:
    """As its error knows it; its attempts and its request say it as well."""
    with tracing() as spans, Loopback(echo()) as stub, pytest.raises(zkrpc.RemoteError):
        stub.fail("secretly")
    for kind, name in ((CLIENT, "RemoteError"), (INTERNAL, "RemoteError"), (SERVER, "ValueError")):
        (span,) = of(spans, kind)
        assert (span.attributes["error.type"], span.status) == (name, 2)
        assert span.attributes["network.peer.address"] == "memory"


def test_a_sampler_that_heeds_no_parent_gives_what_it_leaves_out_an_id_of_its_own() -> None:
    """And follows one that is not recorded either."""
    with tracing(Sampler(0.0, follows_parent=False)):
        recorded, other = (remote_context(int(TRACE, 16), int(SPAN, 16), flags, "") for flags in (1, 0))
        changed = our_tracer().unrecorded(recorded)
        assert changed is not None and changed.span_id != recorded.span_id and not changed.trace_flags & 1
        assert our_tracer().unrecorded(other) == other
    with tracing(Sampler(1.0, follows_parent=False)) as spans, Loopback(echo()) as stub:
        stub.options(headers={"traceparent": f"00-{TRACE}-{SPAN}-00"}).echo("x")
        assert [span.parent_id.hex() for span in of(spans, SERVER)] == [of(spans, INTERNAL)[0].span_id.hex()]


def test_a_request_that_names_no_method_of_ours_is_other() -> None:
    """Its name, which may be anything, is an attribute."""
    other = load_text("service Echo { void nothing_like_it() }")
    with tracing() as spans, Loopback(echo()) as stub:
        client: Any = stub
        with pytest.raises(zkrpc.UnknownMethod):
            client._zkrpc_client.invoke(other.Echo.methods["nothing_like_it"])
    request = of(spans, SERVER)[0]
    assert (request.name, request.attributes["rpc.method_original"]) == ("_OTHER", "nothing_like_it")


@pytest.mark.parametrize(("parent", "recorded"), [(f"00-{TRACE}-{SPAN}-01", 1), (f"00-{TRACE}-{SPAN}-00", 0), ("x", 0)])
def test_a_request_is_recorded_as_its_parent_is(parent: str, recorded: int) -> None:
    """One without a valid parent, of a peer that traces, is not; with its parent's state if it has one."""
    with tracing(Sampler(0.0)) as spans, Loopback(echo()) as stub:
        stub.options(headers={"traceparent": parent, "tracestate": "rojo=1"}).echo("x")
    assert [(span.trace_id.hex(), span.state) for span in spans] == [(TRACE, "rojo=1")] * recorded


def test_the_epoch_of_a_primary_is_in_the_span_of_its_request() -> None:
    """Read from the answer."""
    single = load_text('service Single { void write() (zkrpc.primary = "true") }')

    class Handler:
        def on_elected(self, leadership: Any) -> None:
            """Ready at once."""

        def on_deposed(self, leadership: Any) -> None:
            """Nothing to put away."""

        def write(self) -> None:
            """Does nothing."""

    with tracing() as spans, Loopback(zkrpc.Service(single.Single, Handler, name="single", config=FAST)) as stub:
        stub.write()
    served = [span for span in of(spans, SERVER) if span.attributes["rpc.status_code"] == "OK"]
    assert [span.attributes["zkrpc.epoch"] for span in served] == [1]
    assert repr(our_tracer_of(Sampler(0.5))) == "<OwnTracer ratio=0.5>"


def our_tracer_of(sampler: Sampler) -> OwnTracer:
    """A tracer with this sampler."""
    with tracing(sampler):
        return our_tracer()
