"""Reaching ZooKeeper, and being told why not."""

from __future__ import annotations

import contextlib
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import gevent.socket
import pytest
from gevent.server import StreamServer

from tests.support.scripted_servers import closed_port
from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import CoordinationError
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Opener = Callable[..., Session]


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Starts sessions and closes them at the end."""
    sessions: list[Session] = []

    def open_session(hosts: str, timeout: float = 6.0) -> Session:
        sessions.append(Session(hosts, RegistryConfig(session_timeout=timeout)))
        sessions[-1].start()
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


@pytest.fixture
def mute() -> Iterator[int]:
    """The port of a server that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def limited(tmp_path: Path) -> Iterator[str]:
    """A ZooKeeper that takes one connection from a host."""
    with DevZooKeeper(directory=tmp_path) as server:
        server.stop_all()
        settings = tmp_path / "0" / "zoo.cfg"
        settings.write_text(settings.read_text().replace("maxClientCnxns=0", "maxClientCnxns=1"))
        server.start_all()
        yield server.hosts


def complaints(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What was logged of trouble."""
    return [record.message for record in caplog.records if "no ZooKeeper session" in record.message]


def test_a_refusal_is_told_within_two_seconds_and_its_end_once(
    opened: Opener, zookeeper_server: DevZooKeeper, caplog: pytest.LogCaptureFixture
) -> None:
    """With the address; and again only when it is over."""
    caplog.set_level(logging.WARNING)
    with Proxy(("127.0.0.1", zookeeper_server.ports[0])) as proxy:
        proxy.mode = ProxyMode.REFUSE
        began = time.monotonic()
        session = opened(f"{proxy.hosts},{closed_port()}")
        eventually(lambda: complaints(caplog), 60)
        assert time.monotonic() - began < 20.0
        (line,) = complaints(caplog)
        assert f"{proxy.hosts}: takes connections and hangs up" in line and "connection refused: nothing" in line
        proxy.mode = ProxyMode.FORWARD
        assert session.wait_connected(60)
        eventually(lambda: any("session again, after" in record.message for record in caplog.records), 60)
        assert len(complaints(caplog)) == 1 and session.explain() == "the session is connected"


def test_too_many_connections_are_a_likely_reason_for_hanging_up(opened: Opener, limited: str) -> None:
    """Who is one too many is told of the limit, and is taken when there is room."""
    first = opened(limited)
    assert first.wait_connected(60)
    second = opened(limited)
    eventually(lambda: "maxClientCnxns" in second.explain(), 60)
    assert re.match(rf"the session has been connecting for [0-9.]+ s: {limited}: takes .* hangs up", second.explain())
    first.close()
    assert second.wait_connected(60)


def test_a_mute_server_is_told_while_it_is_waited_for(
    opened: Opener, mute: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The attempt has not failed yet when the first line is due."""
    opened(f"127.0.0.1:{mute}", timeout=30.0)
    eventually(lambda: complaints(caplog), 60)
    assert "takes connections and says nothing: it hangs, has just started, or is no ZooKeeper" in complaints(caplog)[0]


def test_a_server_that_wants_credentials_says_so(
    opened: Opener, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It gives a session and takes it back at the first request, on and on: one trouble, told once, in every error."""
    with DevZooKeeper(directory=tmp_path) as server:
        server.stop_all()
        with (tmp_path / "0" / "zoo.cfg").open("a") as settings:
            settings.write("enforce.auth.enabled=true\nenforce.auth.schemes=digest\n")
        server.start_all()
        session, told = opened(server.hosts), set()
        give_up_at = time.monotonic() + 60
        while not complaints(caplog):
            assert time.monotonic() < give_up_at
            try:
                session.znodes.children("/")
            except CoordinationError as error:
                told.add(str(error))
            gevent.sleep(0.05)
        assert "authentication failed, or is demanded" in complaints(caplog)[0]
        assert any(
            "SessionClosedRequireSasl: it serves only those whom it knows; set ZKRPC_ZOOKEEPER" in one for one in told
        )
        suspended = sum("session suspended" in record.message for record in caplog.records)
        gevent.sleep(2.0)
        assert sum("session suspended" in record.message for record in caplog.records) <= suspended + 1


@contextlib.contextmanager
def resolving(name: str, *addresses: str) -> Iterator[None]:
    """Has a name mean these addresses, in this order."""
    resolver = gevent.get_hub().resolver
    real = resolver.getaddrinfo

    def getaddrinfo(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host in (name, name.encode()):
            families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
            return [
                (family, socket.SOCK_STREAM, 6, "", (address, int(port)))
                for family, address in zip(families, addresses)
            ]
        return real(host, port, *rest, **more)

    resolver.getaddrinfo = getaddrinfo
    try:
        yield
    finally:
        del resolver.getaddrinfo


@pytest.fixture
def hole(zookeeper_server: DevZooKeeper) -> Iterator[str]:
    """An address of the server's port that takes no more connections, as of a machine that is switched off."""
    port = zookeeper_server.ports[0]
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.2", port))
        listener.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.2", port))
        yield "127.0.0.2"


def test_a_name_with_an_address_that_drops_packets_is_reached(
    opened: Opener, zookeeper_server: DevZooKeeper, hole: str
) -> None:
    """Within one attempt, wherever in the name's answer it stands; also where a family has no route."""
    port = zookeeper_server.ports[0]
    for addresses in ((hole, "127.0.0.1"), ("127.0.0.1", hole), ("::1", hole, "127.0.0.1")):
        with resolving("zookeeper.test", *addresses):
            began = time.monotonic()
            session = opened(f"zookeeper.test:{port}", timeout=90.0)
            # One attempt takes a third of that.
            assert session.wait_connected(60) and time.monotonic() - began < 30.0
            session.close()


def test_a_name_with_an_address_that_says_nothing_is_reached(opened: Opener, zookeeper_server: DevZooKeeper) -> None:
    """It takes connections at once, each time; so the next attempt begins with another one."""
    port = zookeeper_server.ports[0]
    with socket.create_server(("127.0.0.3", port)), resolving("zookeeper.test", "127.0.0.3", "127.0.0.1"):
        began = time.monotonic()
        assert opened(f"zookeeper.test:{port}", timeout=18.0).wait_connected(60)
        assert time.monotonic() - began < 18.0


def test_literal_ipv6_addresses_are_reached(opened: Opener, zookeeper_server: DevZooKeeper) -> None:
    """``[::1]:port`` alone, with a chroot, and beside one of the other family."""

    def forward(inner: Any, _: object) -> None:
        outer = gevent.socket.create_connection(("127.0.0.1", zookeeper_server.ports[0]))

        def copy(source: Any, sink: Any) -> None:
            with contextlib.suppress(OSError):
                while chunk := source.recv(65536):
                    sink.sendall(chunk)
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)

        back = gevent.spawn(copy, outer, inner)
        copy(inner, outer)
        back.join()
        outer.close()

    gate = StreamServer(("::1", 0), forward)
    gate.start()
    try:
        for hosts in (f"[::1]:{gate.server_port}", f"{closed_port()},[::1]:{gate.server_port}/deep/er"):
            session = opened(hosts)
            assert session.wait_connected(60)
            session.znodes.ensure_path("/")
            assert session.znodes.exists("/") is not None and session.state is SessionState.CONNECTED
            session.close()
    finally:
        gate.stop()
