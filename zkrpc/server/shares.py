"""What each peer address uses of a server: connections, places of handlers that block, and room in the queue.

Pure bookkeeping, and the choice of the address that has most. Addresses stand for peers, because nothing else is known
of a peer that has not sent anything yet. Of an IPv6 address the network counts (64 bits), as one host may use all
addresses of its network. A peer whose certificate was verified has its identity's name in the place of its address: so
one service has one share, however many hosts it runs on.

If all callers have one address, behind a proxy for instance, there is one share, which may take everything.
"""

from __future__ import annotations

import functools
import ipaddress
import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any, Protocol

from zkrpc.telemetry.status import PeerStatus

_LOOKED_AT = 8
"""How many connections of an address, the oldest, are compared when one has to be closed."""


class Occupant(Protocol):
    """A connection, as far as this module uses it."""

    peer: str
    used_at: float
    """When a call of its was last run, monotonic seconds."""

    @property
    def is_quiet(self) -> bool:
        """True if no answer would be lost by closing it."""

    def close(self) -> None:
        """Closes it at once."""


class Share:
    """What one address uses."""

    __slots__ = ("address", "connections", "heap", "holding", "queued")

    def __init__(self, address: str) -> None:
        self.address = address
        self.connections: OrderedDict[Occupant, None] = OrderedDict()
        """The open connections, oldest first."""
        self.holding = 0
        """Places taken by handlers that have blocked. A handler that does not block is over before the next look at
        this number."""
        self.queued = 0
        """Requests that wait for a place."""
        self.heap: list[tuple[float, int, Any]] = []
        """The waiting requests, and some that no longer wait, as a heap in the admission's order."""

    def __repr__(self) -> str:
        """The address and its numbers."""
        counts = f"connections={len(self.connections)} holding={self.holding} queued={self.queued}"
        return f"<Share {self.address} {counts}>"


class Shares:
    """The shares of all connected addresses."""

    def __init__(self) -> None:
        self._shares: dict[str, Share] = {}

    def __len__(self) -> int:
        """How many addresses are connected."""
        return len(self._shares)

    def __iter__(self) -> Iterator[Share]:
        """The share of each address that is connected."""
        return iter(self._shares.values())

    def status(self) -> tuple[PeerStatus, ...]:
        """What each address uses, those with most connections first."""
        shares = sorted(self, key=lambda share: -len(share.connections))
        return tuple(
            PeerStatus(address=one.address, connections=len(one.connections), holding=one.holding, queued=one.queued)
            for one in shares
        )

    def join(self, address: str, connection: Occupant) -> Share:
        """A connection was accepted from ``address``, a host as text."""
        network = network_of(address)
        share = self._shares.get(network)
        if share is None:
            share = self._shares[network] = Share(network)
        share.connections[connection] = None
        return share

    def leave(self, share: Share, connection: Occupant) -> None:
        """A connection is closed. Places that its handlers still hold go on counting."""
        share.connections.pop(connection, None)
        if not share.connections and self._shares.get(share.address) is share:
            del self._shares[share.address]

    def move(self, share: Share, connection: Occupant, name: str) -> Share:
        """A connection counts for ``name`` from now on, which its peer has proven, and not for its address."""
        self.leave(share, connection)
        return self.join(name, connection)

    def occupant_to_close(self, address: str, capacity: int) -> Occupant | None:
        """The connection to close in order to make room for one from ``address``; None if the new one is to be refused.

        An address that has its part of the ``capacity`` is refused. Otherwise a connection of the address that has most
        is closed: a quiet one if there is one, and of several the one that has been quiet for longest.
        """
        own = self._shares.get(network_of(address))
        count = len(own.connections) if own is not None else 0
        if not self._shares:  # all that is open has not come as far
            return None
        if count * (len(self._shares) + (own is None)) >= capacity:
            return None
        greediest = max(self._shares.values(), key=lambda share: len(share.connections))
        if len(greediest.connections) <= count + 1:
            return None
        oldest = itertools.islice(greediest.connections, _LOOKED_AT)
        return min(oldest, key=lambda one: (not one.is_quiet, one.used_at))


@functools.lru_cache(maxsize=1024)
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
    """The host of ``host:port`` or ``[host]:port``; a text without a port is taken as a host."""
    host, colon, _ = peer.rpartition(":")
    return host.strip("[]") if colon else peer
