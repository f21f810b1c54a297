"""Which servers are dialled, decided without any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.ensemble import ServerList, read_configuration

A, B, C, D, E = (Endpoint(f"zk{letter}.example", 2181) for letter in "abcde")
TIMEOUT = 10.0


@pytest.mark.parametrize(
    "line, address",
    [
        ("server.1=zk1:2888:3888:participant;2181", "zk1:2181"),
        ("server.1=zk1:2888:3888:participant;0.0.0.0:2181", "zk1:2181"),
        ("server.1=zk1:2888:3888:observer;10.0.0.7:2182", "10.0.0.7:2182"),
        ("server.1=zk1:2888:3888;zk1.outside:2181", "zk1.outside:2181"),
        ("server.1=zk1:2888:3888|zk1.b:2889:3889;2181", "zk1:2181"),
        ("server.1=[fd00::1]:2888:3888:participant;[::]:2181", "[fd00::1]:2181"),
        ("server.1=zk1:2888:3888:participant;[fd00::2]:2181", "[fd00::2]:2181"),
        ("server.1=zk1:2888:3888:participant;0.0.0.0:2181;0.0.0.0:2281", "zk1:2181"),
        (" server.12 = zk1:2888:3888:participant;2181 ", "zk1:2181"),
    ],
)
def test_address_for_clients_is_read(line: str, address: str) -> None:
    """It stands after the semicolon; where a server listens everywhere, it is its host that is dialled."""
    assert [str(one) for one in read_configuration(line.encode())] == [address]


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"version=0",
        b"server.1=zk1:2888:3888:participant\nversion=0",
        b"server.1=zk1:2888:3888:participant;\n",
        b"server.1=zk1:2888:3888:participant;port\n",
        b"server.1=zk1:2888:3888:participant;99999\n",
        b"server.1=;2181\n",
        b"group.1=1:2:3\nweight.1=1\n",
        "server.1=zk\u00001:1:2;2181\n".encode(),
        b"\xff\xfe=\xff",
    ],
)
def test_configuration_without_addresses_lists_none(value: bytes | None) -> None:
    """A server that stands alone, files with ``clientPort`` on a line of its own, and what cannot be read."""
    assert read_configuration(value) == ()


@given(st.binary(max_size=400))
def test_configuration_may_be_anything(value: bytes) -> None:
    """It comes from outside: no bytes raise, and the number of servers has a bound."""
    read_configuration(value)
    many = b"\n".join(b"server.%d=10.0.0.%d:1:2;2181" % (number, number % 250) for number in range(1000))
    assert len(read_configuration(many)) == 64


def test_ensemble_is_followed_from_server_to_server() -> None:
    """Once one address is known to work, those that follow are trusted, even when none of the first is left."""
    told: list[tuple[Endpoint, ...]] = []
    servers = ServerList([A, B], lambda: 0.5, told.append)
    servers.receive_published([A, B, C], TIMEOUT, 0.0)
    assert servers.groups() == ((A, B, C),)
    servers.receive_published([B, C, D], TIMEOUT, 1.0)
    assert servers.groups() == ((B, C, D), (A,))
    servers.receive_published([C, D, E], TIMEOUT, 2.0)
    assert servers.groups() == ((C, D, E), (A, B))
    assert told == [(A, B, C), (B, C, D, A), (C, D, E, A, B)]
    servers.receive_published([C, D, E], TIMEOUT, 3.0)
    assert len(told) == 3


def test_addresses_of_another_network_are_left_alone() -> None:
    """Containers call each other by names that mean nothing outside; the connect string is what works here."""
    servers = ServerList([Endpoint("localhost", 2181)], lambda: 0.5)
    servers.receive_published([A, B, C], TIMEOUT, 0.0)
    assert servers.groups() == ((Endpoint("localhost", 2181),),)
    servers.receive_connected(Endpoint("localhost", 2181), Endpoint("127.0.0.1", 2181))
    assert servers.servers == (Endpoint("localhost", 2181),)
    assert servers.next_timer() is None


def test_address_that_was_reached_counts_as_known() -> None:
    """The connect string has names, the configuration numbers: they meet where a connection goes to."""
    address = Endpoint("10.0.0.7", 2181)
    servers = ServerList([A], lambda: 0.5)
    servers.receive_published([address, Endpoint("10.0.0.8", 2181)], TIMEOUT, 0.0)
    assert servers.servers == (A,)
    servers.receive_connected(A, address)
    assert servers.groups() == ((address, Endpoint("10.0.0.8", 2181)), (A,))


def test_no_servers_at_all_change_nothing() -> None:
    """An ensemble has servers: an empty list is one that may not be read, or is of an old ZooKeeper."""
    servers = ServerList([A], lambda: 0.5)
    servers.receive_published([A, B], TIMEOUT, 0.0)
    servers.receive_published([], TIMEOUT, 1.0)
    assert servers.servers == (A, B)


def test_server_that_was_taken_out_is_left_once() -> None:
    """At a random moment within a session timeout; if only that server can be reached, the client stays there."""
    servers = ServerList([A, B], lambda: 0.25)
    servers.receive_connected(A)
    servers.receive_published([A, B], TIMEOUT, 0.0)
    assert servers.next_timer() is None
    servers.receive_published([B, C], TIMEOUT, 100.0)
    assert servers.next_timer() == 102.5
    assert not servers.handle_timer(102.4)
    assert servers.handle_timer(102.5)
    assert servers.next_timer() is None
    servers.receive_connected(A)
    assert servers.next_timer() is None


def test_server_that_comes_back_is_not_left() -> None:
    """As when an operator takes a change back; and a client that has moved by itself need not move again."""
    servers = ServerList([A, B], lambda: 0.5)
    servers.receive_connected(A)
    servers.receive_published([B, C], TIMEOUT, 0.0)
    servers.receive_published([A, B], TIMEOUT, 1.0)
    assert servers.next_timer() is None
    servers.receive_published([B, C], TIMEOUT, 2.0)
    servers.receive_connected(C)
    assert servers.next_timer() is None
