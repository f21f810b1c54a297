"""The failing TCP proxy."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from zkrpc.dev.zookeeper import free_ports
from zkrpc.testing.proxy import Proxy, ProxyMode


@pytest.fixture
def echo() -> Iterator[tuple[str, int]]:
    """A server that sends back what it gets, one thread per connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    threads = []

    def serve(connection: socket.socket) -> None:
        with connection:
            while chunk := connection.recv(65536):
                connection.sendall(chunk)

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threads.append(threading.Thread(target=serve, args=(connection,), daemon=True))
            threads[-1].start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    for thread in (acceptor, *threads):
        thread.join(60)


def connect(proxy: Proxy) -> socket.socket:
    """A client's connection, whose waits have a bound."""
    return socket.create_connection(("127.0.0.1", proxy.port), 60)


def receive(connection: socket.socket, size: int) -> bytes:
    """Reads exactly ``size`` bytes."""
    got = b""
    while len(got) < size:
        chunk = connection.recv(size - len(got))
        assert chunk
        got += chunk
    return got


def test_proxy_forwards_more_than_it_holds(echo: tuple[str, int]) -> None:
    """Bytes pass both ways, in order, even when the reader is slow."""
    big = bytes(range(256)) * 20_000
    with Proxy(echo) as proxy, connect(proxy) as connection:
        assert proxy.hosts == f"127.0.0.1:{proxy.port}"
        writer = threading.Thread(target=connection.sendall, args=(big,))
        writer.start()
        assert receive(connection, len(big)) == big
        writer.join(60)


def test_hole_holds_everything_until_it_is_gone(echo: tuple[str, int]) -> None:
    """Nothing arrives and nobody is told; afterwards all of it does, on old and new connections."""
    with Proxy(echo) as proxy, connect(proxy) as old:
        old.sendall(b"a")
        assert receive(old, 1) == b"a"
        proxy.mode = ProxyMode.HOLE
        old.sendall(b"b")
        old.settimeout(0.2)
        with pytest.raises(TimeoutError):
            old.recv(1)
        with connect(proxy) as new:
            new.sendall(b"c")
            proxy.mode = ProxyMode.FORWARD
            old.settimeout(60)
            assert receive(old, 1) == b"b"
            assert receive(new, 1) == b"c"


def test_dropped_replies_never_come(echo: tuple[str, int]) -> None:
    """Leaving the mode cuts the connection, because its answers have a gap."""
    with Proxy(echo) as proxy, connect(proxy) as connection:
        proxy.mode = ProxyMode.DROP_REPLIES
        connection.sendall(b"a")
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        proxy.mode = ProxyMode.FORWARD
        connection.settimeout(60)
        assert connection.recv(1) == b""


def test_cut_ends_connections_and_serves_new_ones(echo: tuple[str, int]) -> None:
    """A cut is over at once; a refusal stays."""
    with Proxy(echo) as proxy, connect(proxy) as old:
        old.sendall(b"a")
        assert receive(old, 1) == b"a"
        proxy.cut()
        assert old.recv(1) == b""
        with connect(proxy) as new:
            new.sendall(b"b")
            assert receive(new, 1) == b"b"
            proxy.mode = ProxyMode.REFUSE
            assert proxy.mode is ProxyMode.REFUSE
            assert new.recv(1) == b""
        with connect(proxy) as refused:
            assert refused.recv(1) == b""


def test_connections_are_counted(echo: tuple[str, int]) -> None:
    """Those that are open."""
    with Proxy(echo) as proxy:
        with connect(proxy) as first, connect(proxy) as second:
            for connection in (first, second):
                connection.sendall(b"a")
                assert receive(connection, 1) == b"a"
            assert proxy.connections == 2
        give_up_at = time.monotonic() + 60
        while proxy.connections and time.monotonic() < give_up_at:
            time.sleep(0.005)
        assert proxy.connections == 0


def test_what_clients_send_is_rewritten(echo: tuple[str, int]) -> None:
    """On its way to the target, not on its way back."""
    with Proxy(echo, rewrite=lambda chunk: chunk + b"!") as proxy, connect(proxy) as connection:
        connection.sendall(b"a")
        assert receive(connection, 2) == b"a!"


def test_a_target_that_comes_late_is_dialled_again() -> None:
    """Its client hears of no refusal, and a new target may be set at any time."""
    absent = ("127.0.0.1", *free_ports(1))
    with socket.create_server(("127.0.0.1", 0)) as late, Proxy(absent, tries=100) as proxy:
        late.settimeout(60)
        with connect(proxy) as connection:
            proxy.target = late.getsockname()
            connection.sendall(b"a")
            accepted, _ = late.accept()
            with accepted:
                accepted.settimeout(60)
                assert accepted.recv(1) == b"a"


def test_an_absent_target_cuts_the_client() -> None:
    """Nobody listening behind the proxy looks like a connection cut."""
    with Proxy(("127.0.0.1", *free_ports(1))) as proxy, connect(proxy) as connection:
        assert connection.recv(1) == b""
    proxy.close()


def test_slow_link_carries_everything_late_and_in_order(echo: tuple[str, int]) -> None:
    """With a delay each byte takes that long each way; none overtakes another when the delay is gone."""
    with Proxy(echo) as proxy, connect(proxy) as connection:
        proxy.delay = 0.15
        began = time.monotonic()
        connection.sendall(b"slow ")
        time.sleep(0.05)
        proxy.delay = 0.0
        connection.sendall(b"fast")
        assert receive(connection, 9) == b"slow fast"
        assert time.monotonic() - began >= 0.15


def test_slow_link_is_slow_both_ways(echo: tuple[str, int]) -> None:
    """A question and its answer take twice the delay, and a silent link costs nothing meanwhile."""
    with Proxy(echo) as proxy, connect(proxy) as connection:
        proxy.delay = 0.1
        for _ in range(3):
            began = time.monotonic()
            connection.sendall(b"x")
            assert receive(connection, 1) == b"x"
            assert time.monotonic() - began >= 0.2
