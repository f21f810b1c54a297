"""What each peer address takes of a server."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.server.shares import Shares, host_of, network_of
from zkrpc.telemetry.status import PeerStatus


@dataclasses.dataclass(eq=False)
class Peer:
    """A connection that does nothing."""

    peer: str
    used_at: float = 0.0
    is_quiet: bool = True
    closed: bool = False

    def close(self) -> None:
        """Notes it."""
        self.closed = True


def connect(shares: Shares, address: str, count: int, **more: bool) -> list[Peer]:
    """So many connections from one address, each used a little later than the one before."""
    peers = [Peer(f"{address}:{number}", used_at=float(number), **more) for number in range(count)]
    for peer in peers:
        shares.join(address, peer)
    return peers


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("10.1.2.3", "10.1.2.3"),
        ("::ffff:10.1.2.3", "10.1.2.3"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("memory", "memory"),
    ],
)
def test_address_is_the_host_or_its_network(address: str, network: str) -> None:
    """Whoever has one IPv6 address has all of its network, and IPv4 is itself in either spelling."""
    assert network_of(address) == network


@pytest.mark.parametrize(("peer", "host"), [("10.0.0.1:80", "10.0.0.1"), ("[::1]:80", "::1"), ("memory", "memory")])
def test_host_is_the_peer_without_its_port(peer: str, host: str) -> None:
    """In every form in which a connection tells its peer."""
    assert host_of(peer) == host


def test_share_is_there_while_somebody_is_connected() -> None:
    """Connections of one address have one share, and a new one once all of them had gone."""
    shares = Shares()
    first, second = Peer("10.0.0.1:1"), Peer("10.0.0.1:2")
    share = shares.join("10.0.0.1", first)
    assert shares.join("10.0.0.1", second) is share and len(shares) == 1
    shares.leave(share, first)
    shares.leave(share, first)
    assert len(shares) == 1
    shares.leave(share, second)
    assert len(shares) == 0
    again = shares.join("10.0.0.1", first)
    assert again is not share
    shares.leave(share, second)
    assert len(shares) == 1


def test_greediest_address_makes_room_with_what_it_has_not_used_for_longest() -> None:
    """A newcomer takes the place of a quiet connection of the one who has most, not of one that is busy."""
    shares = Shares()
    many = connect(shares, "10.0.0.1", 9)
    connect(shares, "10.0.0.2", 1)
    many[0].is_quiet = False
    assert shares.occupant_to_close("10.0.0.3", 10) is many[1]
    assert shares.occupant_to_close("10.0.0.2", 10) is many[1]


def test_address_that_has_its_part_is_refused() -> None:
    """A flood from one address pushes nobody out, itself least of all: that would be for ever."""
    shares = Shares()
    connect(shares, "10.0.0.1", 9)
    connect(shares, "10.0.0.2", 1)
    assert shares.occupant_to_close("10.0.0.1", 10) is None


def test_nobody_goes_where_all_have_equally_many() -> None:
    """Two addresses do not take each other's places in turns."""
    shares = Shares()
    connect(shares, "10.0.0.1", 2)
    connect(shares, "10.0.0.2", 1)
    assert shares.occupant_to_close("10.0.0.2", 4) is None


def test_busy_ones_do_not_keep_everybody_out() -> None:
    """A call in each connection is no way to hold all places: then the oldest is closed all the same."""
    shares = Shares()
    busy = connect(shares, "10.0.0.1", 10, is_quiet=False)
    assert shares.occupant_to_close("10.0.0.2", 10) is busy[0]


def test_status_begins_with_the_address_that_has_most() -> None:
    """With all that each of them uses, so that an operator sees at once who takes the server's room."""
    shares = Shares()
    connect(shares, "10.0.0.1", 1)
    connect(shares, "2001:db8::1", 3)
    by_address = {share.address: share for share in shares}
    assert list(by_address) == ["10.0.0.1", "2001:db8::/64"]
    by_address["10.0.0.1"].holding, by_address["10.0.0.1"].queued = 4, 5
    assert shares.status() == (
        PeerStatus(address="2001:db8::/64", connections=3, holding=0, queued=0),
        PeerStatus(address="10.0.0.1", connections=1, holding=4, queued=5),
    )
    assert repr(by_address["10.0.0.1"]) == "<Share 10.0.0.1 connections=1 holding=4 queued=5>"


def test_peer_that_has_proven_who_it_is_shares_with_its_like() -> None:
    """Whichever addresses they come from; and its address is free of it."""
    shares = Shares()
    for host in ("10.0.0.1", "10.0.0.2"):
        (connection,) = connect(shares, host, 1)
        share = next(one for one in shares if one.address == host)
        shares.move(share, connection, "spiffe://prod/ns/shop/sa/web")
    connect(shares, "10.0.0.1", 1)
    assert {one.address: one.connections for one in shares.status()} == {
        "spiffe://prod/ns/shop/sa/web": 2,
        "10.0.0.1": 1,
    }
