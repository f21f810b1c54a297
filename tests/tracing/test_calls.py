"""Spans of calls and requests, on the real stacks of both sides in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest
from opentelemetry import baggage, context, trace
from opentelemetry.trace import NonRecordingSpan

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.listening import refusing_once
from tests.support.requests import call_of
from tests.support.tracing import CLIENT, INTERNAL, SERVER, tracing
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.caller import NOBODY
from zkrpc.config import ServerConfig
from zkrpc.idl import load_text
from zkrpc.telemetry.tracer import find_trace, find_tracer
from zkrpc.tracing.calls import _find_context, peer_facts
from zkrpc.tracing.records import SpanRecord
from zkrpc.tracing.settings import Sampler
from zkrpc.tracing.spans import remote_context
from zkrpc.wire.message import Dialect, Request

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


def by_kind(spans: list[SpanRecord]) -> dict[int, list[SpanRecord]]:
    """The spans by their kinds."""
    return {kind: [span for span in spans if span.kind == kind] for kind in (CLIENT, INTERNAL, SERVER)}


def test_a_call_an_attempt_and_a_request_are_three_spans_of_one_tree(world: World) -> None:
    """Under the names of the semantic conventions, each with what it knows."""
    with tracing() as spans, world.loopback(echo()) as stub:
        stub.echo("x")
    kinds = by_kind(spans)
    (call,), (attempt,), (request,) = kinds[CLIENT], kinds[INTERNAL], kinds[SERVER]
    assert (call.name, attempt.name, request.name) == ("Echo/echo", "Echo/echo attempt", "Echo/echo")
    assert (call.parent_id, attempt.parent_id, request.parent_id) == (b"", call.span_id, attempt.span_id)
    assert {span.trace_id for span in spans} == {call.trace_id} and request.parent_is_remote
    shared = {"rpc.system.name": "apache_thrift", "rpc.method": "Echo/echo", "rpc.status_code": "OK"}
    for span in spans:
        assert shared.items() <= span.attributes.items()
        assert "error.type" not in span.attributes and span.status == 0
        assert span.attributes["network.peer.address"] == "memory"
    assert request.attributes["zkrpc.service"] == "echo" and attempt.attributes["zkrpc.attempt"] == 1


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("zookeeper://zk1:2181,zk2:2181/prod/users", {"server.address": "zookeeper://zk1:2181,zk2:2181/prod/users"}),
        ("10.0.0.1:9090", {"server.address": "10.0.0.1", "server.port": 9090}),
        ("[::1]:9090", {"server.address": "::1", "server.port": 9090}),
        ("10.0.0.1:9090,10.0.0.2:9090", {"server.address": "10.0.0.1:9090,10.0.0.2:9090"}),
        ("", {}),
    ],
)
def test_the_server_of_a_call_is_the_service_and_not_an_instance(target: str, told: dict[str, Any]) -> None:
    """Whoever groups calls by it gets one group for each service; only a fixed address has a port."""
    with tracing():
        tracer = find_tracer()
        assert tracer is not None
        client: Any = tracer.trace_client(target)
        assert client._address == told


def test_errors_are_told_by_their_names_and_answers_are_no_errors(world: World) -> None:
    """What the IDL does not declare fails the spans; what it declares is a status code; texts are in none of them."""
    with tracing() as spans, world.loopback(echo()) as stub:
        with pytest.raises(zkrpc.RemoteError):
            stub.fail("secretly")
        failed = {span.kind: span for span in spans}
        spans.clear()
        with pytest.raises(idl.Oops):
            stub.fail("declared")
    for kind, name in ((CLIENT, "RemoteError"), (INTERNAL, "RemoteError"), (SERVER, "ValueError")):
        told = failed[kind].attributes
        assert (told["error.type"], told["rpc.status_code"], failed[kind].status) == (name, name, 2)
    for span in spans:
        assert (span.attributes["rpc.status_code"], span.status) == ("Oops", 0)
        assert "error.type" not in span.attributes
    assert "secret" not in repr([*failed.values(), *spans])


def test_the_span_of_the_first_call_covers_the_wait_for_members(world: World) -> None:
    """Which comes before its first attempt, as its caller waits for that as well; later calls wait for nothing."""

    def wait_ready(timeout: float, /) -> zkrpc.endpoint.Snapshot:
        gevent.sleep(0.06)
        return loopback._members.snapshot

    with tracing() as spans, (loopback := world.loopback(echo())):
        loopback._members.wait_ready = wait_ready  # type: ignore[method-assign]
        loopback.stub.echo("x")
        kinds = by_kind(spans)
        (call,), (attempt,) = kinds[CLIENT], kinds[INTERNAL]
        assert attempt.start - call.start >= 50_000_000 and call.attributes["rpc.status_code"] == "OK"
        loopback._members.wait_ready = None  # type: ignore[assignment,method-assign]
        loopback.stub.echo("x")
        assert len(by_kind(spans)[CLIENT]) == 2


def test_a_call_that_learns_of_no_members_has_a_span_of_its_own(world: World) -> None:
    """With its error; it made no attempt, so there is none below it."""

    def wait_ready(timeout: float, /) -> zkrpc.endpoint.Snapshot:
        raise zkrpc.CoordinationError("nobody answers")

    with tracing() as spans, (loopback := world.loopback(echo())):
        loopback._members.wait_ready = wait_ready  # type: ignore[method-assign]
        with pytest.raises(zkrpc.Unavailable, match="the instances of the service are not known yet: nobody answers"):
            loopback.stub.echo("x")
    (call,) = spans
    assert (call.kind, call.name, call.status) == (CLIENT, "Echo/echo", 2)
    assert call.attributes["error.type"] == "Unavailable" and call.attributes["zkrpc.executed"] == "no"


def test_each_attempt_has_a_span(world: World) -> None:
    """The call has one, with the last instance; each server's is below the attempt that reached it."""
    with tracing() as spans, world.loopback(echo(interceptors=[refusing_once()]), replicas=2) as stub:
        stub.echo("x")
    kinds = by_kind(spans)
    (call,) = kinds[CLIENT]
    first, second = kinds[INTERNAL]
    assert (first.attributes["error.type"], first.attributes["zkrpc.attempt"]) == ("Draining", 1)
    assert (second.attributes["rpc.status_code"], second.attributes["zkrpc.attempt"]) == ("OK", 2)
    assert {span.parent_id for span in kinds[INTERNAL]} == {call.span_id}
    assert [span.parent_id for span in kinds[SERVER]] == [first.span_id, second.span_id]
    assert call.attributes["zkrpc.attempts"] == 2 and "error.type" not in call.attributes
    assert call.attributes["network.peer.port"] == second.attributes["network.peer.port"]


def test_the_second_copy_of_a_hedged_call_is_a_span_beside_the_first(world: World) -> None:
    """It says so; the slower one is cancelled, which is no error."""
    hold = gevent.event.Event()
    waits = [True]

    class Handler:
        def get(self) -> int:
            if waits:
                waits.pop()
                hold.wait(60)
            return 1

    hedged = load_text(
        'service Hedged { i32 get() (zkrpc.idempotent = "true", zkrpc.hedge_ms = "10", zkrpc.timeout_ms = "60000") }'
    )
    with tracing() as spans, world.loopback(zkrpc.Service(hedged.Hedged, Handler, config=FAST), replicas=2) as stub:
        assert stub.get() == 1
        hold.set()
    kinds = by_kind(spans)
    (call,) = kinds[CLIENT]
    hedge, first = sorted(kinds[INTERNAL], key=lambda span: "zkrpc.hedge" not in span.attributes)
    assert hedge.attributes["zkrpc.hedge"] is True and hedge.attributes["rpc.status_code"] == "OK"
    assert first.attributes["rpc.status_code"] == "Cancelled" and first.status == 0
    assert {hedge.parent_id, first.parent_id} == {call.span_id}
    assert {span.parent_id for span in kinds[SERVER]} == {hedge.span_id, first.span_id}


def test_calls_of_a_handler_belong_to_its_request(world: World) -> None:
    """Also those of greenlets that it spawns, and spans of its own in between."""
    with tracing() as spans, world.loopback(echo()) as inner:

        class Outer(EchoHandler):
            def echo(self, text: str) -> str:
                seen.append(find_trace())
                with trace.get_tracer("mine").start_as_current_span("mine"):
                    return str(zkrpc.spawn(inner.echo, text).get())

        seen: list[Any] = []
        with world.loopback(zkrpc.Service(idl.Echo, Outer, name="outer", config=FAST)) as stub:
            stub.echo("x")
    kinds = by_kind(spans)
    outer = next(span for span in kinds[CLIENT] if not span.parent_id)
    request = next(span for span in kinds[SERVER] if span.attributes["zkrpc.service"] == "outer")
    below = next(span for span in kinds[CLIENT] if span.parent_id)
    assert below.parent_id == request.span_id and {span.trace_id for span in spans} == {outer.trace_id}
    assert len(spans) == 6 and seen == [(request.trace_id.hex(), request.span_id.hex())]


def test_a_trace_is_recorded_as_a_whole_or_not_at_all(world: World) -> None:
    """The dice are cast where it begins; what a handler calls for a call that is not recorded is not either."""
    casts = [0.9]
    with tracing(Sampler(0.5), dice=lambda: casts.pop() if casts else 0.1) as spans, world.loopback(echo()) as inner:

        class Outer(EchoHandler):
            def echo(self, text: str) -> str:
                return str(inner.echo(text))

        with world.loopback(zkrpc.Service(idl.Echo, Outer, name="outer", config=FAST)) as stub:
            assert stub.echo("x") == "x"
            assert spans == []


def test_the_way_around_opentelemetry_s_functions_leads_to_its_context() -> None:
    """What is current by the one is current by the other."""
    get, attach, detach = _find_context()
    assert get != context.get_current
    token = attach(baggage.set_baggage("tenant", "blue"))
    assert get() is context.get_current() and baggage.get_baggage("tenant") == "blue"
    detach(token)


def test_without_that_way_opentelemetry_s_functions_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its variable is nothing that it promises."""
    monkeypatch.setattr(context, "_RUNTIME_CONTEXT", object())
    assert _find_context() == (context.get_current, context.attach, context.detach)


@pytest.mark.parametrize(
    "endpoint, facts",
    [
        ("127.0.0.1:80", {"network.peer.address": "127.0.0.1", "network.peer.port": 80}),
        ("[::1]:80", {"network.peer.address": "::1", "network.peer.port": 80}),
        ("in memory", {}),
        (":80", {}),
    ],
)
def test_of_a_peer_is_told_what_is_an_address(endpoint: str, facts: dict[str, Any]) -> None:
    """Requests may come by something else than TCP."""
    assert peer_facts(endpoint) == facts


def test_a_client_s_own_trace_is_taken_up(world: World) -> None:
    """A recorded span that is current is the parent; one that is not recorded goes on unrecorded, by its own ids."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None
            heard.append(call.headers.get("traceparent"))
            return text

    with tracing() as spans, world.loopback(echo(Handler)) as stub:
        for flags in (1, 0):
            ids = remote_context(int(TRACE, 16), int(SPAN, 16), flags, "rojo=1")
            with trace.use_span(NonRecordingSpan(ids)):
                stub.echo("x")
    kinds = by_kind(spans)
    (call,), (attempt,) = kinds[CLIENT], kinds[INTERNAL]
    assert call.parent_id.hex() == SPAN and call.trace_id.hex() == TRACE and call.state == "rojo=1"
    assert heard == [f"00-{TRACE}-{attempt.span_id.hex()}-01", f"00-{TRACE}-{SPAN}-00"]


@pytest.mark.parametrize("parent", ["nonsense", f"00-{TRACE}-{SPAN}-00", f"00-{'0' * 32}-{SPAN}-01"])
def test_what_a_peer_says_cannot_have_a_request_recorded_unless_it_is_a_recorded_parent(
    parent: str, world: World
) -> None:
    """Neither an invalid header nor one that is not sampled is a reason to make a span."""
    with tracing(Sampler(0.0)) as spans, world.loopback(echo()) as stub:
        stub.options(headers={"traceparent": parent}).echo("x")
        assert spans == []
        stub.options(headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}).echo("x")
    (request,) = spans
    assert request.kind == SERVER and request.parent_id.hex() == SPAN


def test_an_unknown_method_is_other(world: World) -> None:
    """Its name is whatever a peer sends: it is in the span only, bounded and legible."""
    other = load_text("service Echo { void nothing_like_it() }")
    with tracing() as spans, world.loopback(echo()) as stub:
        client: Any = stub
        with pytest.raises(zkrpc.UnknownMethod):
            client._zkrpc_client.invoke(other.Echo.methods["nothing_like_it"])
    request = by_kind(spans)[SERVER][0]
    assert (request.name, request.attributes["rpc.method"]) == ("_OTHER", "_OTHER")
    assert request.attributes["rpc.method_original"] == "nothing_like_it"
    assert request.attributes["error.type"] == "UnknownMethod"


def test_a_request_that_is_not_run_has_a_span_with_the_reason(world: World) -> None:
    """An interceptor refuses it, as that of a primary does, or its arguments cannot be read; nothing was executed."""

    def refuse(call: Any, proceed: Any) -> Any:
        raise zkrpc.NotPrimary("another leads", primary=None, epoch=None, group="main")

    class Handler:
        def get(self, id: int) -> int:
            return id

    wanting = load_text("service Box { i32 get(1: required i32 id) }").Box
    lacking = load_text("service Box { i32 get() }").Box
    for interceptors, interface, arguments, error in (
        ([refuse], wanting, (7,), "NotPrimary"),
        ([], lacking, (), "ProtocolError"),
    ):
        service = zkrpc.Service(wanting, Handler, config=FAST, interceptors=interceptors)
        with tracing() as spans, (loopback := world.loopback(service, config=zkrpc.ClientConfig(timeout=1.5))):
            with pytest.raises(zkrpc.CallError):
                loopback.stub._zkrpc_client.invoke(interface.methods["get"], arguments)
        assert by_kind(spans)[SERVER]  # several where callers ask on for the primary
        for request in by_kind(spans)[SERVER]:
            told = request.attributes
            assert (request.name, told["rpc.method"], request.status) == ("Box/get", "Box/get", 2)
            assert (told["error.type"], told["zkrpc.executed"]) == (error, "no")


@pytest.mark.parametrize(("ratio", "recorded"), [(1.0, 1), (0.0, 0)])
def test_a_request_that_finds_no_place_has_a_span_with_the_reason(ratio: float, recorded: int, world: World) -> None:
    """Below the attempt that brought it, if that is recorded; it was never dispatched."""
    begun: list[str] = []
    free = gevent.event.Event()

    class Handler(EchoHandler):
        def slow(self, text: str, milliseconds: int) -> str:
            begun.append(text)
            free.wait(60)
            return text

    config = ServerConfig(linger=0, drain_timeout=1, max_concurrent=1, max_queue=0)
    service = zkrpc.Service(idl.Echo, Handler, name="echo", config=config)
    once = zkrpc.ClientConfig(max_attempts=1, timeout=60)
    with tracing(Sampler(ratio)) as spans, world.loopback(service, config=once) as stub:
        first = gevent.spawn(stub.slow, "x", 1)
        eventually(lambda: begun)
        with pytest.raises(zkrpc.Overloaded):
            stub.echo("x")
        kinds = by_kind(spans)
        assert [len(kinds[kind]) for kind in (CLIENT, INTERNAL, SERVER)] == [recorded] * 3
        if recorded:
            (attempt,), (request,) = kinds[INTERNAL], kinds[SERVER]
            assert (request.name, request.parent_id, request.status) == ("Echo/echo", attempt.span_id, 2)
            told = request.attributes
            assert (told["error.type"], told["rpc.status_code"]) == ("Overloaded", "Overloaded")
            assert (told["zkrpc.executed"], told["network.peer.address"]) == ("no", "memory")
        free.set()
        assert first.get(timeout=60) == "x"


def test_baggage_travels_only_if_that_is_configured(world: World) -> None:
    """With recorded calls and with others."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            heard.append(baggage.get_baggage("tenant"))
            return text

    for wanted in (False, True):
        for ratio in (0.0, 1.0):
            with tracing(Sampler(ratio), hands_baggage_on=wanted), world.loopback(echo(Handler)) as stub:
                token = context.attach(baggage.set_baggage("tenant", "blue"))
                stub.echo("x")
                context.detach(token)
    assert heard == [None, None, "blue", "blue"]


def test_events_of_a_traced_call_are_told_within_its_span(world: World) -> None:
    """So that metrics can name the trace beside a duration, and log lines the span."""
    heard: list[tuple[str, Any]] = []

    class Reads(zkrpc.Observer):
        kinds = (zkrpc.CallFinished, zkrpc.RequestFinished)

        def receive(self, event: zkrpc.Event) -> None:
            heard.append((type(event).__name__, find_trace()))

    with tracing() as spans, world.loopback(echo(), observers=[Reads()]) as stub:
        stub.echo("x")
    kinds = by_kind(spans)
    assert heard == [
        (name, (span.trace_id.hex(), span.span_id.hex()))
        for name, span in (("RequestFinished", kinds[SERVER][0]), ("CallFinished", kinds[CLIENT][0]))
    ]


TRACING_PEER, OTHER_PEER, PLAIN_PEER = {"zkrpc-traces": "1"}, {"zkrpc-caller": "shop"}, dict[str, str]()


def way_of(request: Request, introduction: dict[str, str]) -> str:
    """How a request of a peer that has introduced itself so is run by a server of this process."""
    tracer = find_tracer()
    assert tracer is not None

    ways: list[str] = []

    def plain(*_: Any) -> None:
        ways.append("unrecorded" + (f", baggage {dict(baggage.get_all())}" if baggage.get_all() else ""))

    def told(*_: Any) -> None:
        ways.append("recorded" + (f", baggage {dict(baggage.get_all())}" if baggage.get_all() else ""))

    run = tracer.trace_server("echo", {b"echo": "Echo/echo"}).choose(plain, told, introduction)
    assert run(request, "10.0.0.1:5", 0.0, NOBODY) is None
    (way,) = ways
    return way


@pytest.mark.parametrize(
    ("introduction", "ways"),
    [
        (TRACING_PEER, ["unrecorded", "unrecorded"]),
        (OTHER_PEER, ["recorded", "unrecorded"]),
        (PLAIN_PEER, ["recorded", "unrecorded"]),
    ],
)
def test_a_trace_begins_at_the_server_only_for_peers_that_do_not_trace(
    introduction: dict[str, str], ways: list[str]
) -> None:
    """Then by the dice; a peer that traces has cast them already. A recorded parent counts whoever names it."""
    casts = [0.4, 0.5]
    with tracing(Sampler(0.5), dice=lambda: casts.pop(0) if casts else 0.9) as spans:
        assert [way_of(call_of("echo"), introduction) for _ in ways] == ways
        assert [span.parent_id for span in spans] == [b""] * ways.count("recorded")
        spans.clear()
        assert way_of(call_of("echo", headers={"traceparent": f"00-{TRACE}-{SPAN}-01"}), introduction) == "recorded"
    (request,) = spans
    assert request.parent_id.hex() == SPAN and request.attributes["zkrpc.service"] == "echo"


@pytest.mark.parametrize("dialect", [Dialect.FRAMED_BINARY, Dialect.FRAMED_COMPACT])
def test_a_plain_thrift_peer_names_its_parent_in_the_argument_field(dialect: Dialect) -> None:
    """As the Java agent writes it, in either encoding; a field that names no parent is none."""
    agent = load_text("service Echo { string echo(1: string text, 8888: map<string, string> context) }")
    echoes = agent.Echo.methods["echo"]
    with tracing(Sampler(0.0)) as spans:
        for key in ("traceparent", "another"):
            arguments = echoes.bind(("x", {key: f"00-{TRACE}-{SPAN}-01"}), {})
            request = call_of("echo", echoes.encode_arguments(arguments, dialect.payload), dialect=dialect)
            assert way_of(request, PLAIN_PEER) == ("recorded" if key == "traceparent" else "unrecorded")
    assert [(span.trace_id.hex(), span.parent_id.hex()) for span in spans] == [(TRACE, SPAN)]


@pytest.mark.parametrize("introduction", [TRACING_PEER, OTHER_PEER, PLAIN_PEER])
def test_baggage_of_a_peer_counts_for_unrecorded_requests_too(introduction: dict[str, str]) -> None:
    """If that is configured, and for that request alone."""
    request = call_of("echo", headers={"baggage": "tenant=blue"})
    for wanted, way in ((False, "unrecorded"), (True, "unrecorded, baggage {'tenant': 'blue'}")):
        with tracing(Sampler(0.0), hands_baggage_on=wanted) as spans:
            assert way_of(request, introduction) == way
            assert way_of(call_of("echo"), introduction) == "unrecorded"
        assert spans == []


def test_a_sampler_that_heeds_no_parent_decides_for_each_span(world: World) -> None:
    """A share of 0 records nothing below a recorded parent, and what travels on says that it is not recorded."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None
            heard.append(call.headers["traceparent"].split("-"))
            return text

    with tracing(Sampler(0.0, follows_parent=False)) as spans, world.loopback(echo(Handler)) as stub:
        with trace.use_span(NonRecordingSpan(remote_context(int(TRACE, 16), int(SPAN, 16), 1, ""))):
            assert stub.echo("x") == "x"
    ((_, trace_id, span_id, flags),) = heard
    assert spans == [] and trace_id == TRACE and span_id != SPAN and flags == "00"


def test_a_call_with_many_headers_is_sent_without_ours(world: World) -> None:
    """A server may take no more of them: the call matters more than its trace. The spans of its client remain."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            call = zkrpc.current_call()
            assert call is not None
            heard.append({"traceparent", "baggage"} & call.headers.keys())
            return text

    token = context.attach(baggage.set_baggage("tenant", "blue"))
    try:
        for count in (31, 33):
            with tracing(hands_baggage_on=True) as spans, world.loopback(echo(Handler)) as stub:
                stub.options(headers={f"key-{number}": "x" for number in range(count)}).echo("x")
            assert [len(found) for found in by_kind(spans).values()] == [1, 1, 1 if count == 31 else 0]
    finally:
        context.detach(token)
    assert heard == [{"traceparent", "baggage"}, set()]


def test_baggage_that_is_too_long_stays_behind(world: World) -> None:
    """It is nothing that a call may fail of."""
    heard: list[Any] = []

    class Handler(EchoHandler):
        def echo(self, text: str) -> str:
            heard.append(len(str(baggage.get_baggage("tenant") or "")))
            return text

    with tracing(hands_baggage_on=True), world.loopback(echo(Handler)) as stub:
        for size in (4000, 5000):
            token = context.attach(baggage.set_baggage("tenant", "x" * size))
            try:
                assert stub.echo("x") == "x"
            finally:
                context.detach(token)
    assert heard == [4000, 0]


def test_a_call_that_reached_no_instance_has_no_peer(world: World) -> None:
    """Its span and those of its attempts say why, and that it was not executed."""
    with tracing() as spans, world.loopback(echo(), replicas=0, config=zkrpc.ClientConfig(patience=0)) as stub:
        with pytest.raises(zkrpc.CallError) as caught:
            stub.echo("x")
    kinds = by_kind(spans)
    assert len(kinds[CLIENT]) == 1 and kinds[SERVER] == []
    for span in spans:
        assert not {"network.peer.address", "network.peer.port"} & span.attributes.keys()
        assert span.attributes["zkrpc.executed"] == "no" and span.status == 2
    name = type(caught.value).__name__
    assert kinds[CLIENT][0].attributes["error.type"] == name


def test_the_span_of_a_primary_s_request_has_its_epoch(world: World) -> None:
    """Spans of requests that any instance may serve have none."""
    single = load_text('service Single { void write() (zkrpc.primary = "true"), void read() }')

    class Handler:
        def on_elected(self, leadership: Any) -> None:
            """Ready at once."""

        def on_deposed(self, leadership: Any) -> None:
            """Nothing to put away."""

        def write(self) -> None:
            """Does nothing."""

        def read(self) -> None:
            """Does nothing."""

    with tracing() as spans, world.loopback(zkrpc.Service(single.Single, Handler, name="single", config=FAST)) as stub:
        stub.write()
        stub.read()
    # The first attempts may have come before the election was over.
    served = [span for span in by_kind(spans)[SERVER] if span.attributes["rpc.status_code"] == "OK"]
    told = [(span.name, span.attributes.get("zkrpc.epoch")) for span in served]
    assert told == [("Single/write", 1), ("Single/read", None)]


def test_a_tracer_says_whose_share_it_takes() -> None:
    """Of ours, the sampler's; of the program's own, all that it lets through."""
    with tracing(Sampler(0.25)):
        assert repr(find_tracer()) == "<OwnTracer ratio=0.25>"
