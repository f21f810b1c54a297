"""Opening sockets: literal addresses, names, refusals and silence."""

from __future__ import annotations

import socket
import time

import gevent
import pytest

from tests.client.peers import Peer, closed_port
from zkrpc.client.dialling import open_socket
from zkrpc.endpoint import Endpoint

pytestmark = pytest.mark.usefixtures("clean")


def test_open_socket_connects_without_delay_or_blocking() -> None:
    """What comes back is connected, non-blocking, and sends small frames at once."""
    with Peer() as peer:
        sock = open_socket(peer.endpoint, 1.0)
        assert sock.getpeername() == ("127.0.0.1", peer.endpoint.port)
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.close()


def test_open_socket_looks_names_up_and_tries_every_address() -> None:
    """A name may have an address of each family, and only one that answers."""
    gevent.get_hub().threadpool  # made once per hub; not the test's to clean up
    with Peer() as peer:
        open_socket(Endpoint("localhost", peer.endpoint.port), 2.0).close()


def test_open_socket_to_nobody_is_refused() -> None:
    """The system's own reason comes through."""
    with pytest.raises(ConnectionRefusedError):
        open_socket(closed_port(), 1.0)


def test_open_socket_to_a_full_backlog_times_out() -> None:
    """A host that does not answer costs the timeout and no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        endpoint = Endpoint(*listener.getsockname())
        open_ones = [open_socket(endpoint, 1.0)]
        began = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                while True:
                    open_ones.append(open_socket(endpoint, 0.05))
        finally:
            for sock in open_ones:
                sock.close()
        assert time.monotonic() - began < 2


def test_unknown_name_is_an_os_error() -> None:
    """Whatever resolving says, a dial only raises OSError."""
    with pytest.raises(OSError):
        open_socket(Endpoint("no-such-host.invalid", 1), 5.0)
