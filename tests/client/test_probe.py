"""Asking instances for a sign of life: a real server, and peers that are none."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator

import gevent
import gevent.socket
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.scripted_servers import closed_port
from zkrpc.client.explanation import Probe
from zkrpc.client.probe import probe, probe_all
from zkrpc.endpoint import Endpoint, Instance

Listener = Callable[[Callable[[socket.socket], object]], Endpoint]


@pytest.fixture
def listener() -> Iterator[Listener]:
    """Peers that do something of their own with a connection."""
    ends: list[Callable[[], object]] = []

    def listen(serve: Callable[[socket.socket], object]) -> Endpoint:
        sock = gevent.socket.socket()
        sock.bind(("127.0.0.1", 0))
        sock.listen()

        def accept() -> None:
            with sock.accept()[0] as accepted:
                serve(accepted)

        greenlet = gevent.spawn(accept)
        ends.extend([greenlet.kill, sock.close])
        return Endpoint(*sock.getsockname())

    yield listen
    for end in ends:
        end()


def instance(endpoint: Endpoint, *protocols: str) -> Instance:
    """One that says it speaks these."""
    return Instance(id=str(endpoint), endpoint=endpoint, protocols=protocols or ("zkrpc",))


def test_live_instance_answers() -> None:
    """How fast is told for both steps; a peer that knows no pings is only connected to."""
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0))) as app:
        answer = probe(instance(app.endpoint), 60.0)
        assert answer.failure == "" and answer.connected_in is not None and answer.answered_in is not None
        assert 0 < answer.connected_in < 60 and 0 < answer.answered_in < 60
        plain = probe(instance(app.endpoint, "framed"), 60.0)
        assert plain.connected_in is not None and plain.answered_in is None and plain.failure == ""


def test_dead_instance_is_found_out(listener: Listener) -> None:
    """Refused, silent, gone at once, or somebody else entirely; each in its own words."""
    silent = listener(lambda sock: gevent.sleep(60))
    gone = listener(lambda sock: sock.close())
    web = listener(lambda sock: sock.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n"))
    refused = closed_port()
    answers = probe_all(map(instance, (silent, gone, web, refused)), 2.0)
    assert answers[refused] == Probe(failure="no connection: Connection refused")
    assert answers[silent].connected_in is not None
    assert answers[silent].failure == "a ping was not answered in time"
    assert answers[gone].failure.startswith("a ping was not answered: ")
    assert "HTTP, not Thrift" in answers[web].failure
    assert not any(answer.answered_in for answer in answers.values())


def test_frozen_instance_is_found_out_by_the_ping() -> None:
    """The kernel of a stopped process still takes connections."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        answer = probe(instance(Endpoint(*sock.getsockname())), 1.0)
    assert answer.connected_in is not None and answer.failure == "a ping was not answered in time"


def test_instances_are_asked_at_once(listener: Listener) -> None:
    """Twenty silent ones take no longer than one."""
    silent = [listener(lambda sock: gevent.sleep(60)) for _ in range(20)]
    with gevent.Timeout(8.0):
        answers = probe_all(map(instance, silent), 0.5)
    assert len(answers) == 20
