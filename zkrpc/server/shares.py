"""What each peer address takes of a server: its connections, the places of handlers that block, and its queue.

Pure bookkeeping, and the question who has the most. Addresses stand for peers, because nothing else is known of one
that has not said anything yet; of IPv6 the network counts (64 bits), as any one host has all of the rest to itself.

A server whose callers all have one address, behind a proxy for instance, has one share, which may take everything.
"""

from __future__ import annotations

import ipaddress
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol

_LOOKED_AT = 8
"""Connections of an address that are compared when one must go: its oldest."""


class Occupant(Protocol):
    """A connection, as far as it matters here."""

    peer: str
    used_at: float
    """When a call of its was last run, monotonic seconds."""

    @property
    def is_quiet(self) -> bool:
        """True if closing it would cost nobody an answer."""

    def close(self) -> None:
        """Ends it at once."""


class Share:
    """What one address takes."""

    __slots__ = ("address", "connections", "heap", "holding", "queued")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connections: OrderedDict[Occupant, None] = OrderedDict()
        """Those that are open, oldest first."""
        self.holding = 0
        """Places that are taken by handlers which have blocked; those which never do are gone before anybody looks."""
        self.queued = 0
        """Requests that wait for a place."""
        self.heap: list[tuple[float, int, Any]] = []
        """These, and some that wait no more, in the admission's order."""

    def __repr__(self) -> str:
        """Whose and how much."""
        counts = f"connections={len(self.connections)} holding={self.holding} queued={self.queued}"
        return f"<Share {self.address} {counts}>"


class Shares:
    """The shares of all who are connected."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}

    def __len__(self) -> int:
        """How many addresses are connected."""
        return len(self._shares)

    def __iter__(self) -> Iterator[Share]:
        """The share of each address that is connected."""
        return iter(self._shares.values())

    def join(self, address: str, connection: Occupant) -> Share:
        """A connection was accepted from ``address``, a host as text."""
        network = network_of(address)
        share = self._shares.get(network)
        if share is None:
            share = self._shares[network] = Share(network)
        share.connections[connection] = None
        return share

    def leave(self, share: Share, connection: Occupant) -> None:
        """The connection is closed. Places that its handlers still hold go on counting, for whom asks."""
        share.connections.pop(connection, None)
        if not share.connections and self._shares.get(share.address) is share:
            del self._shares[share.address]

    def occupant_to_close(self, address: str, capacity: int) -> Occupant | None:
        """The connection that goes to make room for one from ``address``; None if that one is to be refused.

        Whoever has its part of the ``capacity`` is refused. Otherwise somebody goes of the address that has most of
        all: one that is quiet if there is, and of these the one that has been for longest.
        """
        own = self._shares.get(network_of(address))
        count = len(own.connections) if own is not None else 0
        if count * (len(self._shares) + (own is None)) >= capacity:
            return None
        greediest = max(self._shares.values(), key=lambda share: len(share.connections))
        if len(greediest.connections) <= count + 1:
            return None
        oldest = itertools.islice(greediest.connections, _LOOKED_AT)
        return min(oldest, key=lambda one: (not one.is_quiet, one.used_at))


def network_of(address: str) -> str:
    """What counts as one peer: an IPv4 address, the 64-bit network of an IPv6 one, any other text as it is."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.IPv6Network((parsed, 64), strict=False))
    return str(parsed)


def host_of(peer: str) -> str:
    """The host of ``host:port`` or ``[host]:port``; what has no port is a name of its own."""
    host, colon, _ = peer.rpartition(":")
    return host.strip("[]") if colon else peer
