"""The admin door of a process, over sockets."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import gevent
import gevent.event
import gevent.socket
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from zkrpc.admin import door as module
from zkrpc.endpoint import Endpoint

TOKEN = "0123456789abcdef"


@pytest.fixture
def admin() -> Iterator[zkrpc.Admin]:
    """A door that is closed with the test."""
    with zkrpc.Admin() as made:
        yield made


def talk(place: Endpoint, data: bytes, *, timeout: float = 60.0) -> bytes:
    """Everything that the door sends in answer to these bytes."""
    with gevent.Timeout(timeout), gevent.socket.create_connection((place.host, place.port)) as sock:
        sock.sendall(data)
        found = b""
        while chunk := sock.recv(65536):
            found += chunk
        return found


def get(place: Endpoint, path: str, *headers: str) -> tuple[int, str]:
    """Status and body of a page."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers, "", ""]
    head, _, body = talk(place, "\r\n".join(lines).encode()).partition(b"\r\n\r\n")
    return int(head.split(b" ")[1]), body.decode()


def test_program_that_only_calls_has_a_door() -> None:
    """All that it makes while the door is open is measured, and shown."""
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=FAST)) as app:
        with zkrpc.Admin() as admin, zkrpc.connect(idl.Echo, [str(app.endpoint)]) as stub:
            assert stub.echo("x") == "x"
            status, text = get(admin.endpoint, "/metrics")
            labels = 'error_type="",rpc_method="Echo/echo",rpc_status_code="OK",rpc_system_name="apache_thrift"'
            labels += f',server_address="{app.endpoint}"'
            assert status == 200 and f"rpc_client_call_duration_seconds_count{{{labels}}} 1.0" in text
            assert "process_cpu_seconds_total" in text and "zkrpc_build_info" in text
            found = json.loads(get(admin.endpoint, "/status")[1])
            assert [one["target"] for one in found["clients"]] == [str(app.endpoint)]
            assert [one["service"] for one in found["services"]] == ["echo"]
            assert get(admin.endpoint, "/livez") == (200, "ok\n")
        with pytest.raises(ConnectionRefusedError):
            get(admin.endpoint, "/livez")


FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)


def test_app_with_a_door_is_ready_until_it_drains() -> None:
    """The door answers no before anything else of the stop, and ends with the app."""
    begun, go_on = gevent.event.Event(), gevent.event.Event()

    class Handler(EchoHandler):
        """Serves a call until it is told to go on."""

        def slow(self, text: str, milliseconds: int) -> str:
            begun.set()
            go_on.wait(60)
            return text

    config = zkrpc.ServerConfig(linger=0, drain_timeout=60)
    app = zkrpc.serve(zkrpc.Service(idl.Echo, Handler, config=config), admin="127.0.0.1:0")
    door = app.admin
    with zkrpc.connect(idl.Echo, [str(app.endpoint)]) as stub:
        in_flight = gevent.spawn(stub.options(timeout=60).slow, "x", 0)
        assert begun.wait(60)
        assert door is not None and get(door.endpoint, "/readyz") == (200, "ok\n")
        app.begin_stop()
        assert get(door.endpoint, "/readyz") == (503, "echo: it is draining\n")
        assert get(door.endpoint, "/livez")[0] == 200
        go_on.set()
        assert app.wait_stopped(60) and in_flight.get(timeout=60) == "x"
    with pytest.raises(ConnectionRefusedError):
        get(door.endpoint, "/readyz")


def test_door_of_an_app_that_does_not_start_is_closed() -> None:
    """Its port is free again."""
    place = zkrpc.Admin()
    place.close()
    with pytest.raises(zkrpc.ConfigError, match="cannot be made"):
        zkrpc.serve(zkrpc.Service(idl.Echo, cannot_be_made, config=FAST), admin=str(place.endpoint))
    zkrpc.Admin(str(place.endpoint)).close()


def cannot_be_made() -> object:
    """A handler that fails."""
    raise zkrpc.ConfigError("cannot be made")


def test_door_with_a_token_asks_for_it(tmp_path: Path) -> None:
    """From a file, without the line's end; probes need none."""
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    with zkrpc.Admin("0.0.0.0:0", token_file=file) as admin:
        place = Endpoint("127.0.0.1", admin.endpoint.port)
        assert get(place, "/metrics")[0] == get(place, "/status")[0] == 401
        assert get(place, "/readyz") == (200, "ok\n")
        assert get(place, "/metrics", f"Authorization: Bearer {TOKEN}")[0] == 200


@pytest.mark.parametrize("contents", [None, "", "\n", "short", "\u00fc" * 20])
def test_token_that_cannot_be_used_is_told_at_the_start(tmp_path: Path, contents: str | None) -> None:
    """In one line, with the file's name or what is wrong with the token."""
    file = tmp_path / "token"
    if contents is not None:
        file.write_text(contents)
    with pytest.raises(zkrpc.ConfigError) as caught:
        zkrpc.Admin(token_file=file)
    assert "token" in str(caught.value) and "\n" not in str(caught.value)


def test_address_that_is_taken_or_open_to_others_is_refused(admin: zkrpc.Admin) -> None:
    """With what to do about it."""
    with pytest.raises(zkrpc.ConfigError, match="cannot listen on .*; choose another address"):
        zkrpc.Admin(str(admin.endpoint))
    with pytest.raises(zkrpc.ConfigError, match="needs a token"):
        zkrpc.Admin("0.0.0.0:0")
    with pytest.raises(zkrpc.ConfigError, match="is not an endpoint"):
        zkrpc.Admin("9464")


def test_request_that_does_not_come_is_given_up(admin: zkrpc.Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole of it has so long, and not each byte; the peer is told."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 0.3)
    with gevent.socket.create_connection((admin.endpoint.host, admin.endpoint.port)) as sock:
        dribbling = gevent.spawn(dribble, sock)
        with gevent.Timeout(60):
            assert sock.recv(100).startswith(b"HTTP/1.1 408 ")
        dribbling.kill()


def dribble(sock: gevent.socket.socket) -> None:
    """Sends a byte now and then."""
    try:
        while True:
            sock.sendall(b"G")
            gevent.sleep(0.05)
    except OSError:
        pass


def test_idle_connections_keep_nobody_away(admin: zkrpc.Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many there are: the oldest are closed, and whoever asks is answered without waiting for their time."""
    monkeypatch.setattr(module, "READ_TIMEOUT", 3600.0)
    place = (admin.endpoint.host, admin.endpoint.port)
    idle = [gevent.socket.create_connection(place) for _ in range(3 * module.MOST_CONNECTIONS)]
    assert get(admin.endpoint, "/livez")[0] == 200
    with gevent.Timeout(60):
        assert idle[0].recv(100) == b""
    for sock in idle:
        sock.close()


@pytest.mark.parametrize("data", [b"", b"GET", b"\x00" * 100, b"GET / HTTP/1.1\r\n\r\n", b"x" * 100_000])
def test_nonsense_costs_nobody_anything(admin: zkrpc.Admin, data: bytes) -> None:
    """The door goes on, and nothing is logged."""
    with gevent.socket.create_connection((admin.endpoint.host, admin.endpoint.port)) as sock:
        try:
            sock.sendall(data)
        except OSError:
            pass
    assert get(admin.endpoint, "/livez") == (200, "ok\n")


def test_forked_child_has_no_door(admin: zkrpc.Admin) -> None:
    """It is the parent's, which goes on answering."""
    child = os.fork()
    if not child:
        admin.close()
        os._exit(0)
    deadline = time.monotonic() + 60
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        assert time.monotonic() < deadline
        gevent.sleep(0.01)
    assert get(admin.endpoint, "/livez")[0] == 200
    admin.close()
    admin.close()
    with pytest.raises(OSError):
        socket.create_connection((admin.endpoint.host, admin.endpoint.port)).close()
