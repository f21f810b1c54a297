"""A socket with TLS in it, over a real pair of sockets: what connections rely on."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from tests.support.certificates import Files
from tests.support.waiting import eventually
from tests.tls.test_layer import pair, shake_hands
from zkrpc.server.acceptor import PlainSocket
from zkrpc.tls.stream import CertificateRefused, TlsSocket

READ, WRITE = 1, 2


def sockets() -> tuple[Any, Any]:
    made = socket.socketpair()
    for one in made:
        one.setblocking(False)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
    return made


@pytest.fixture
def ends(files: Files) -> Iterator[tuple[TlsSocket, TlsSocket]]:
    """A server's and a client's."""
    layers = pair(files.server(), files.client())
    shake_hands(*layers)
    made = [TlsSocket(sock, layer) for sock, layer in zip(sockets(), layers)]
    yield made[0], made[1]
    for one in made:
        one.close()


def test_everything_arrives_although_the_socket_takes_little_at_a_time(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """What was not taken is given again; nothing is lost, doubled or out of order."""
    server, client = ends
    sent, text, got = 0, b"".join(b"%07d " % number for number in range(60_000)), bytearray()
    refused = 0
    while len(got) < len(text):
        try:
            sent += client.send(text[sent : sent + 100_000])
        except BlockingIOError:
            refused += 1
        try:
            got += server.recv(50_000)
        except BlockingIOError:
            pass
    assert bytes(got) == text and sent == len(text) and refused


def test_both_directions_are_used_at_once(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """What waits may leave while something is read, and is not given to the peer twice because of that."""
    text = b"".join(b"%07d " % number for number in range(40_000))
    sent, got = {one: 0 for one in ends}, {one: bytearray() for one in ends}
    while any(len(one) < len(text) for one in got.values()):
        for one, other in (ends, ends[::-1]):
            with contextlib.suppress(BlockingIOError):
                sent[one] += one.send(text[sent[one] : sent[one] + 100_000])
            for reader in (other, other, one):
                with contextlib.suppress(BlockingIOError):
                    got[reader] += reader.recv(50_000)
    assert all(bytes(one) == text for one in got.values()) and set(sent.values()) == {len(text)}


def test_nothing_that_was_not_accounted_for_arrives(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """Its sender takes it for unsent, and may have sent it elsewhere by now: neither reading nor closing sends it."""
    server, client = ends
    accounted = received = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            accounted += client.send(b"x" * 3_000)
    server.send(b"y")
    with contextlib.suppress(BlockingIOError):
        while True:
            received += len(server.recv(100_000))
    assert client.layer.owes and client.recv(10) == b"y"
    client.close()
    while chunk := server.recv(100_000):
        received += len(chunk)
    assert received == accounted > 0


def test_a_send_that_breaks_tells_what_has_left_before(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """And the next one that it is broken."""
    _, client = ends
    sends = iter([True, True, False, False])
    plain = client._send

    def send(data: bytes) -> int:
        if not next(sends):
            raise ConnectionResetError("reset")
        plain(data[:1])
        return len(data)

    client._send = send
    assert client.send(b"x" * 50_000) == 32_768
    with pytest.raises(ConnectionResetError):
        client.send(b"x" * 17_232)


def test_a_watcher_calls_back_while_decrypted_bytes_wait(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """Although the socket is empty, as all was read at once; it stops when it is told, and in between."""
    server, client = ends
    got: list[bytes] = []
    watcher = server.watcher(READ)
    watcher.start(lambda: got.append(server.recv(3)))
    client.send(b"onetwosix")
    eventually(lambda: got == [b"one", b"two", b"six"])
    client.send(b"end")
    watcher.stop()
    watcher.start(lambda: (got.append(server.recv(2)), watcher.stop()))
    eventually(lambda: got[3:] == [b"en"])
    gevent.sleep(0.01)
    assert got[3:] == [b"en"] and repr(watcher) == "<ReadWatcher stopped>"
    watcher.start(lambda: got.append(server.recv(2)))
    assert repr(watcher) == "<ReadWatcher started>"
    eventually(lambda: got[4:] == [b"d"])
    watcher.close()


def test_a_watcher_for_writing_is_the_sockets_own(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """Bytes leave as the socket takes them."""
    called: list[int] = []
    watcher = ends[1].watcher(WRITE)
    watcher.start(called.append, 1)
    eventually(lambda: bool(called))
    watcher.stop()
    watcher.close()


def test_the_end_of_one_side_is_read_at_the_other(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """After what was sent before it; sending fails from then on."""
    server, client = ends
    client.send(b"last")
    client.close()
    assert (server.recv(10), server.recv(10)) == (b"last", b"")
    with pytest.raises(BrokenPipeError, match="ended the connection"):
        server.send(b"too late")


def test_an_end_that_comes_with_the_last_bytes_is_told(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """Although nothing more comes then: the peer waits for our goodbye before it closes."""
    server, client = ends
    got: list[bytes] = []
    client.send(b"last")
    client.layer.close()
    client._push_aside()
    watcher = server.watcher(READ)
    watcher.start(lambda: (got.append(server.recv(100)), got[-1] or watcher.stop()))
    eventually(lambda: got == [b"last", b""])
    watcher.close()


def test_a_child_says_no_goodbye(ends: tuple[TlsSocket, TlsSocket], monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is its parent's, who goes on with it."""
    server, client = ends
    copy = PlainSocket(fileno=os.dup(client.fileno()))
    monkeypatch.setattr(os, "getpid", lambda: -1)
    client.close()
    with pytest.raises(BlockingIOError):
        server.recv(10)
    copy.close()


def test_a_client_that_is_refused_learns_that_nothing_was_done(files: Files) -> None:
    """Its handshake was over before the server looked at its certificate."""
    layers = pair(files.server(clients="required"), files.client())
    layers[1].handshake()
    shake_hands(*layers)
    ours, theirs = sockets()
    client = TlsSocket(ours, layers[1])
    with pytest.raises(CertificateRefused, match="was shown none") as caught:
        client.recv(10)
    assert caught.value.unsent == float("inf")
    client.close()
    theirs.close()


def test_a_broken_stream_is_an_error(ends: tuple[TlsSocket, TlsSocket]) -> None:
    """And not an end in order."""
    server, client = ends
    client._sock.send(b"\x17\x03\x03\x00\x20" + b"x" * 32)
    with pytest.raises(ConnectionError, match="bad record mac"):
        server.recv(10)
    with pytest.raises(BrokenPipeError, match="bad record mac"):
        server.send(b"x")
    assert "closed" in repr(server)
