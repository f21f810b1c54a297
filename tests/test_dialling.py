"""Opening sockets: literal addresses, names, refusals and silence."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Iterator

import gevent
import pytest

from tests.support.scripted_servers import Peer, closed_port, nothing_left
from tests.support.waiting import least_seconds
from zkrpc.dialling import Address, UnknownName, connect_first, open_socket, take_turns
from zkrpc.endpoint import Endpoint


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    """Fails the test if it leaves a greenlet or a watcher behind."""
    gevent.get_hub().threadpool  # made once per hub; not the test's to clean up
    with nothing_left():
        yield


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
        open_socket(closed_port(), 10.0)


def test_open_socket_to_a_full_backlog_times_out() -> None:
    """A host that does not answer costs the timeout and no more."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        endpoint = Endpoint(*listener.getsockname())
        open_ones = [open_socket(endpoint, 20.0)]
        began = time.monotonic()
        try:
            with pytest.raises(TimeoutError):
                while True:
                    open_ones.append(open_socket(endpoint, 0.05))
        finally:
            for sock in open_ones:
                sock.close()
        assert time.monotonic() - began < 30


def test_unknown_name_is_an_os_error() -> None:
    """Whatever resolving says, a dial only raises OSError."""
    with pytest.raises(OSError):
        open_socket(Endpoint("no-such-host.invalid", 1), 5.0)


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".example", ".", "nul\0l", "two words", "\u00e4" * 64])
def test_what_cannot_be_a_name_is_an_os_error(host: str) -> None:
    """One bad address is one failed dial: no UnicodeError, and no ValueError, however the name is written."""
    with pytest.raises(UnknownName):
        open_socket(Endpoint(host, 9090), 5.0)
    with pytest.raises(OSError):
        open_socket(Endpoint("127.0.0.1", 99999), 5.0)


# Several addresses


@pytest.fixture
def hole() -> Iterator[Address]:
    """An address that takes no more connections, as that of a machine that is switched off."""
    with contextlib.ExitStack() as held:
        listener = held.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            filler = held.enter_context(socket.socket())
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        yield Address(socket.AF_INET, listener.getsockname())


def address_of(endpoint: Endpoint) -> Address:
    """As a look-up would give it."""
    return Address(socket.AF_INET, (endpoint.host, endpoint.port))


def test_an_address_that_drops_packets_costs_a_moment(hole: Address) -> None:
    """The next one is tried beside it; with many, all have begun after half of the time."""
    with Peer() as peer:
        good = address_of(peer.endpoint)
        for addresses, timeout in (([hole, good], 20.0), ([hole] * 15 + [good], 8.0)):
            began = time.monotonic()
            sock = connect_first(addresses, timeout)
            assert sock.getpeername() == good.place and time.monotonic() - began < timeout - 0.1
            sock.close()


def test_an_address_that_refuses_costs_nothing() -> None:
    """The next one is tried at once."""
    with Peer() as peer:
        refusing = [address_of(closed_port()) for _ in range(10)]
        addresses = [*refusing, address_of(peer.endpoint)]
        assert least_seconds(lambda: connect_first(addresses, 10.0).close()) < 0.25


def test_a_slow_address_may_still_win(hole: Address) -> None:
    """Those tried before go on while the later ones are tried, until the time is over."""
    refusing = address_of(closed_port())
    began = time.monotonic()
    with pytest.raises(TimeoutError, match=f"{refusing}: Connection refused.*{hole}: no answer"):
        connect_first([hole, refusing], 1.0)
    assert 1.0 <= time.monotonic() - began < 30


def test_failures_of_all_addresses_are_told_together() -> None:
    """The number is the first one's, and each has its reason."""
    first, second = address_of(closed_port()), address_of(closed_port())
    with pytest.raises(ConnectionRefusedError, match=f"{first}: Connection refused; {second}: Connection refused"):
        connect_first([first, second], 10.0)


def test_families_take_turns() -> None:
    """Each address once; a family that does not work here costs one attempt before the other is tried."""
    six = [Address(socket.AF_INET6, (f"::{number}", 1, 0, 0)) for number in range(3)]
    four = [Address(socket.AF_INET, (f"127.0.0.{number}", 1)) for number in range(2)]
    assert take_turns([*six, *four, *six]) == [six[0], four[0], six[1], four[1], six[2]]
    assert str(six[1]) == "[::1]:1" and str(four[1]) == "127.0.0.1:1"


def test_a_dial_that_is_ended_leaves_nothing(hole: Address) -> None:
    """Killed in the middle, it closes what it began."""
    dialling = gevent.spawn(connect_first, [hole, hole], 10.0)
    gevent.sleep(0.1)
    dialling.kill()
    assert not dialling.successful() or isinstance(dialling.value, gevent.GreenletExit)


def test_literal_addresses_of_both_families_are_dialled() -> None:
    """``[::1]:port`` as an endpoint, without any look-up."""
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        sock = open_socket(Endpoint.parse(f"[::1]:{listener.getsockname()[1]}"), 1.0)
        assert sock.getpeername()[0] == "::1"
        sock.close()
