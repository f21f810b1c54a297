"""A client's TLS connections, and what one without TLS makes of members that want it."""

from __future__ import annotations

import datetime
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.certificates import Files, authority
from tests.support.echo import EchoHandler, idl
from tests.support.scripted_servers import closed_port
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.client.connection import Connection
from zkrpc.client.inquiry import ask_callers
from zkrpc.client.probe import probe
from zkrpc.client.secured import TlsDialler, dialler_of, dialler_to
from zkrpc.client.stub import make_stub
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import ConfigError, Executed, Unavailable
from zkrpc.server.server import Server
from zkrpc.telemetry.events import CertificateRejected, CertificateReloaded, Event
from zkrpc.telemetry.observer import Observer
from zkrpc.tls import settings
from zkrpc.tls.settings import ClientTls


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder with the certificate of an authority, and room for what it issues."""
    return Files(tmp_path)


@pytest.fixture
def server(files: Files) -> Iterator[Server]:
    """A server with TLS."""
    made = Server(idl.Echo, EchoHandler(), config=ServerConfig(tls=files.server(), linger=0.0))
    made.bind(Endpoint("127.0.0.1", 0))
    made.start()
    yield made
    made.kill()


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Says how this process asks instances, for one test."""
    monkeypatch.setattr(settings, "_asking", {})
    yield settings.ask_with


class Members:
    """A list of members that does not change."""

    def __init__(self, *instances: Instance) -> None:
        self.snapshot = Snapshot(service="echo", instances=instances)

    def subscribe(self, callback: Any) -> Any:
        return lambda: None

    def wait_ready(self, timeout: float) -> Snapshot:
        return self.snapshot

    def close(self) -> None:
        pass


def member(server: Server, **fields: Any) -> Instance:
    assert server.endpoint is not None
    return Instance(**{"id": "e-0", "endpoint": server.endpoint, "protocols": ("zkrpc",), "tls": True, **fields})


@pytest.mark.parametrize("speaks", ["zkrpc", "framed"])
def test_a_client_without_tls_says_at_once_what_a_member_wants(server: Server, speaks: str, world: World) -> None:
    """Its record tells, so that nothing is dialled, and waiting would not help."""
    stub = make_stub(idl.Echo, world.client(Members(member(server, protocols=(speaks,)))))
    began = time.monotonic()
    with stub, pytest.raises(Unavailable, match=r"takes TLS only.*connect\(tls=") as caught:
        stub.options(timeout=60.0).echo("x")
    assert caught.value.executed is Executed.NO and time.monotonic() - began < 30 and "running there" not in str(caught)
    assert not server.connections


def test_a_client_with_tls_does_it_with_everybody(server: Server, files: Files, world: World) -> None:
    """Also with members whose record does not say."""
    for tls in (True, False):
        client = world.client(Members(member(server, tls=tls)), dial=dialler_of(files.client()))
        with make_stub(idl.Echo, client) as stub:
            assert stub.echo("x") == "x"


def test_a_handshake_takes_no_longer_than_connecting_may() -> None:
    """A server that accepts and says nothing costs that time, and nothing is left of it."""
    dialler = TlsDialler(ClientTls())
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with pytest.raises(TimeoutError, match="the TLS handshake took too long"):
            dialler.connect(Endpoint(*listener.getsockname()), 0.2)
    with pytest.raises(ConnectionRefusedError):
        dialler.connect(closed_port(), 5.0)
    assert "ContextSource" in repr(dialler)


def test_a_name_that_cannot_be_one_is_the_members_fault(server: Server, files: Files, world: World) -> None:
    """And no error of the client's."""
    client = world.client(Members(member(server)), dial=dialler_of(files.client(server_name=".internal")))
    with make_stub(idl.Echo, client) as stub, pytest.raises(Unavailable, match="cannot connect"):
        stub.options(timeout=1.0).echo("x")


def test_settings_that_are_none_are_refused(world: World) -> None:
    """When the stub is made."""
    with pytest.raises(ConfigError, match="tls must be a zkrpc.ClientTls, got True"):
        world.connect(idl.Echo, ["h:1"], tls=True)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="nowhere.pem"):
        world.connect(idl.Echo, ["h:1"], tls=ClientTls(ca="nowhere.pem"))
    assert dialler_of(None) == Connection.dial


def test_changes_of_the_clients_files_are_told(server: Server, files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the service that it calls."""

    class Told(Observer):
        kinds = (CertificateReloaded, CertificateRejected)
        events: list[Event] = []

        def receive(self, event: Event) -> None:
            self.events.append(event)

    monkeypatch.setattr("zkrpc.tls.reloading.INTERVAL", 0.0)
    tls, told = files.client("web.internal"), Told()
    dialler = dialler_of(tls, [told], "echo")
    assert isinstance(dialler, TlsDialler) and server.endpoint is not None

    def dial() -> None:
        assert server.endpoint is not None
        dialler.connect(server.endpoint, 10.0).close()

    dial()
    files.issue("client", "web.internal")
    dial()
    assert told.events == [CertificateReloaded(service="echo", side="client")]
    Path(tls.key).write_text("nothing")
    dial(), dial()
    assert isinstance(told.events[1], CertificateRejected) and "client.key" in told.events[1].reason


# -- what a process asks by itself


def test_instances_are_asked_with_tls_if_the_process_was_told(server: Server, files: Files, asking: Any) -> None:
    """The ping of a probe, and what a server tells of itself."""
    told = member(server)
    assert "takes TLS only" in probe(told, 5.0).failure
    assert "takes TLS only" in ask_callers("echo", [told]).silent["e-0"]
    asking(ca=files.ca)
    assert probe(told, 10.0).answered_in is not None
    assert ask_callers("echo", [told], timeout=20.0).silent == {}
    asking(server_name="elsewhere")
    assert "not valid for 'elsewhere'" in probe(told, 5.0).failure


def test_an_instance_that_is_known_to_do_without_is_asked_without(server: Server, files: Files, asking: Any) -> None:
    """A fleet is not moved in one moment."""
    asking(ca=files.ca)
    assert isinstance(dialler_to(member(server, protocols=())), TlsDialler)
    assert dialler_to(member(server, tls=False)) == Connection.dial
    eventually(lambda: not server.connections)


def test_a_client_says_once_that_its_own_certificate_has_expired(
    files: Files, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """With the file and the remedy, and again of another one that has; one that lasts is nothing to speak of."""
    tls = files.client("web.internal")
    dial, place = TlsDialler(tls), member(server).endpoint
    dial.connect(place, 60.0).close()
    assert "expired" not in caplog.text
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=2)
    for hours in (0, 1):
        ended = past + datetime.timedelta(hours=hours)
        made = authority("ours").issue_cert("web.internal", not_before=past.replace(year=2020), not_after=ended)
        Path(tls.certificate).write_bytes(made.cert_chain_pems[0].bytes())
        Path(tls.key).write_bytes(made.private_key_pem.bytes())
        dial = TlsDialler(tls)
        for _ in range(2):
            dial.connect(place, 60.0).close()
        assert dial.certificate_expires_at == int(ended.timestamp())
    said = [record.getMessage() for record in caplog.records if "expired" in record.getMessage()]
    assert len(said) == 2 and "client.pem expired 2 d ago" in said[0] and "read without a restart" in said[0]
