"""Built-in services over real sockets: beside the service's own, and out of its way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.wire_frames import TAKEN
from tests.support.wire_peer import Peer
from zkrpc.client.stub import make_stub
from zkrpc.codec import FailureKind
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.idl import built_in
from zkrpc.server.allowance import BURST, MAX_REQUEST, PER_ADDRESS
from zkrpc.server.server import Server
from zkrpc.wire.message import Dialect

METHODS = idl.Echo.methods
HEALTH = built_in("Health").methods


class Outcomes(zkrpc.Observer):
    """Notes the requests that it is told of."""

    kinds = (zkrpc.RequestFinished, zkrpc.RequestRefused)

    def __init__(self) -> None:
        self.methods: list[str] = []

    def receive(self, event: Any) -> None:
        self.methods.append(event.method)


class Running:
    """A server with one place for a handler, and the peers to be closed with it."""

    def __init__(self) -> None:
        self.outcomes = Outcomes()
        config = ServerConfig(linger=0.0, drain_timeout=5.0, max_concurrent=1, max_queue=0)
        self.server = Server(idl.Echo, EchoHandler(), name="echo", config=config, observers=[self.outcomes])
        self.endpoint = self.server.bind(Endpoint("127.0.0.1", 0))
        self.server.start()
        self.peers: list[Any] = []

    def peer(self, **options: Any) -> Peer:
        self.peers.append(Peer(self.endpoint, **options))
        return self.peers[-1]

    def close(self) -> None:
        for peer in self.peers:
            peer.close()
        self.server.kill()
        eventually(lambda: not self.server.built_ins._running)
        assert self.server.built_ins._allowance._places == {}


@pytest.fixture
def running() -> Iterator[Running]:
    """Ends with the test, and leaves nothing running."""
    made = Running()
    yield made
    made.close()


@pytest.mark.parametrize("dialect", TAKEN)
def test_port_answers_a_built_in_service_beside_its_own(running: Running, dialect: Dialect) -> None:
    """On one connection, in every dialect, again and again."""
    peer = running.peer(dialect=dialect, zkrpc=dialect is Dialect.HEADER_BINARY)
    for text in ("a", "b"):
        told = peer.call(HEALTH["check"], "echo")
        assert (told.service, told.ready, told.state) == ("echo", True, "serving")
        assert peer.call(METHODS["echo"], text) == text


def test_stub_of_a_built_in_service_shares_the_connections_of_another(running: Running) -> None:
    """It is made over the same client."""
    with zkrpc.connect(idl.Echo, [str(running.endpoint)]) as stub:
        assert stub.echo("x") == "x"
        health = make_stub(built_in("Health"), stub._zkrpc_client)
        assert health.check().ready and health.check("echo").service == "echo"
        assert running.server.status().connections == 1


def test_stub_of_a_built_in_service_by_itself(running: Running) -> None:
    """As any other, with what the IDL declares."""
    with zkrpc.connect(built_in("Health"), [str(running.endpoint)]) as health:
        seen = health.check()
        assert health.watch("", seen.version, 50) == seen
        with pytest.raises(Exception, match="echo is served here, not users") as caught:
            health.check("users")
        assert type(caught.value).__name__ == "NotServed"


def test_server_that_is_full_still_answers(running: Running) -> None:
    """Its only place is taken, and no other call is let in."""
    peer = running.peer()
    peer.send(METHODS["slow"], "x", 500, token="slow")
    eventually(lambda: running.server.admission.running)
    assert peer.call(METHODS["echo"], "y")[2]["zkrpc-error"] == "Overloaded"
    assert peer.call(HEALTH["check"], "").ready
    assert running.server.admission.running == 1


def test_observers_are_not_told_of_built_in_services(running: Running) -> None:
    """Probes would be counted as calls of the service."""
    peer = running.peer()
    peer.call(HEALTH["check"], "")
    peer.call(METHODS["echo"], "x")
    assert running.outcomes.methods == ["echo"]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (b"zkrpc.Nothing:check", "there is no built-in service 'zkrpc.Nothing'"),
        (b"zkrpc.Health:nothing", "unknown method 'zkrpc.Health:nothing'"),
        (b"zkrpc.:", "there is no built-in service 'zkrpc.'"),
        (b"zkrpc.\xff:x", "there is no built-in service 'zkrpc.\ufffd'"),
    ],
)
def test_what_no_built_in_service_has_is_unknown(running: Running, name: bytes, message: str) -> None:
    """And the connection goes on."""
    peer = running.peer()
    unknown = HEALTH["check"].renamed("x")
    unknown.wire_name = name
    kind, text, headers = peer.call(unknown, "")
    assert (kind, text, headers["zkrpc-error"]) == (FailureKind.UNKNOWN_METHOD, message, "UnknownMethod")
    assert peer.call(HEALTH["check"], "").ready


def test_large_request_is_refused_alone(running: Running) -> None:
    """Names are short."""
    peer = running.peer()
    _, text, headers = peer.call(HEALTH["check"], "x" * MAX_REQUEST)
    assert "more than a built-in service takes" in text and headers["zkrpc-error"] == "TooLarge"
    assert peer.call(HEALTH["check"], "").ready


def test_address_that_asks_too_often_is_told_so(running: Running) -> None:
    """With a hint when to come back; the service's own calls go on."""
    peer = running.peer()
    for number in range(int(2 * BURST)):
        peer.send(HEALTH["check"], "", token=number)
    peer.read(int(2 * BURST))
    told = [peer.result(number, HEALTH["check"]) for number in range(int(2 * BURST))]
    refused = [one for one in told if isinstance(one, tuple)]
    assert refused and len(told) - len(refused) >= PER_ADDRESS
    assert {one[2]["zkrpc-error"] for one in refused} == {"Overloaded"}
    assert peer.call(METHODS["echo"], "x") == "x"


def test_watch_ends_with_its_connection(running: Running) -> None:
    """Nobody would hear the answer."""
    peer = running.peer()
    seen = peer.call(HEALTH["check"], "").version
    for number in range(3):
        peer.send(HEALTH["watch"], "", seen, 30_000, token=number)
    eventually(lambda: sum(map(len, running.server.built_ins._running.values())) == 3)
    peer.close()
    eventually(lambda: not running.server.built_ins._running)


def test_watch_that_is_cancelled_ends(running: Running) -> None:
    """A caller that gives up says so, and its place is free at once."""
    config = zkrpc.ClientConfig(timeout=60)
    with zkrpc.connect(built_in("Health"), [str(running.endpoint)], config=config) as health:
        seen = health.check().version
        waiting = gevent.spawn(health.watch, "", seen, 30_000)
        eventually(lambda: running.server.built_ins._running)
        waiting.kill()
        eventually(lambda: not running.server.built_ins._running)
        assert health.check().ready


def test_watch_tells_of_a_drain_and_does_not_delay_it(running: Running) -> None:
    """Whoever watches is the first to know; the server stops as soon as it would without."""
    peer = running.peer()
    seen = peer.call(HEALTH["check"], "").version
    peer.send(HEALTH["watch"], "", seen, 30_000, token="watch")
    eventually(lambda: running.server.built_ins._running)
    running.server.begin_stop()
    peer.read()
    told = peer.result("watch", HEALTH["watch"])
    assert (told.ready, told.reasons) == (False, ["it is draining"])
    peer.close()
    assert running.server.wait_stopped(60)


def test_oneway_message_to_a_built_in_service_gets_no_answer(running: Running) -> None:
    """As everywhere; a client would take it for the answer to its next call."""
    peer = running.peer()
    oneway = HEALTH["check"].renamed("zkrpc.Health:check")
    oneway.oneway = True
    peer.send(oneway, "", token="nothing")
    assert peer.call(METHODS["echo"], "x") == "x"
    eventually(lambda: not running.server.built_ins._running)
