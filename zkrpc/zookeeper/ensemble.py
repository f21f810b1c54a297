"""Which ZooKeeper servers there are: those of the connect string, and those that ZooKeeper's own configuration lists.

An ensemble can be replaced server by server while clients use it (``reconfig``, since ZooKeeper 3.5). It keeps its
current configuration in the node ``/zookeeper/config``, one line for each server, with the address for clients after
the semicolon::

    server.1=zk1.example:2888:3888:participant;0.0.0.0:2181
    version=100000003

Clients that follow it need no restart, and no new connect string while they run. But its addresses may be those of a
network that this process is not in, as those of containers are. So they are used from the moment on when they name a
server that this process was told of, or has reached; before that only the connect string counts. Its servers remain the
last resort.

Pure: :class:`ServerList` knows no connection and no clock.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

CONFIGURATION = "/zookeeper/config"
"""The node of ZooKeeper's own configuration; outside every chroot."""

_MOST_SERVERS = 64
"""More servers than any ensemble has, observers included; further ones are not read."""
_EVERYWHERE = frozenset({"0.0.0.0", "::", "0:0:0:0:0:0:0:0"})
"""Addresses at which a server listens on all of its own; clients dial the server's host instead."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A server of the ensemble, as ZooKeeper's configuration lists it."""

    endpoint: Endpoint
    """Where clients find it."""
    votes: bool = True
    """False for an observer: it serves clients, and no majority needs it."""


def read_configuration(value: bytes | None) -> tuple[Endpoint, ...]:
    """The servers' addresses for clients, in the order of the configuration; empty if it lists none.

    It lists none on a server that stands alone, and if the servers' files have ``clientPort`` on a line of its own.
    Lines that cannot be read are passed over, as a later ZooKeeper may know more than we do.
    """
    return tuple(member.endpoint for member in read_members(value))


def read_members(value: bytes | None) -> tuple[Member, ...]:
    """The same servers, with their roles."""
    found: dict[Endpoint, Member] = {}
    for line in (value or b"").decode("utf-8", "replace").splitlines():
        key, _, text = line.partition("=")
        if key.strip().startswith("server.") and len(found) < _MOST_SERVERS:
            server = _client_address(text.strip())
            if server is not None and server not in found:
                peers = text.partition(";")[0]
                found[server] = Member(endpoint=server, votes=not peers.strip().endswith(":observer"))
    return tuple(found.values())


def _client_address(text: str) -> Endpoint | None:
    peers, *clients = text.split(";")
    if not clients:
        return None
    host, _, port = clients[0].strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or host in _EVERYWHERE:
        host = _host_of(peers.partition("|")[0])
    try:
        return Endpoint.parse(f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    except ConfigError:
        return None


def _host_of(peer: str) -> str:
    """The host in ``host:quorum port:election port:role``."""
    peer = peer.strip()
    return peer[1:].partition("]")[0] if peer.startswith("[") else peer.partition(":")[0]


class ServerList:
    """The servers to dial, and when to leave one that the ensemble no longer has.

    A server that was taken out of its ensemble serves its clients on until somebody stops it, and lags behind for ever.
    So a client leaves it by itself, at a random moment within a session timeout, as all others do the same.
    """

    def __init__(
        self,
        given: Sequence[Endpoint],
        rng: Callable[[], float],
        on_change: Callable[[tuple[Endpoint, ...]], None] = lambda _: None,
    ) -> None:
        """``given`` are the servers of the connect string; ``rng`` returns numbers from 0 to 1; ``on_change`` is called
        with all servers when other ones are dialled than before."""
        self._given = tuple(given)
        self._rng = rng
        self._on_change = on_change
        self._published: tuple[Endpoint, ...] = ()
        self._met = set(given)
        self._trusted = False
        self._current: frozenset[Endpoint] = frozenset()
        self._leave_at: float | None = None

    def __repr__(self) -> str:
        """The servers in the order of preference."""
        return f"<ServerList {', '.join(map(str, self.servers))}>"

    @property
    def servers(self) -> tuple[Endpoint, ...]:
        """Every server that is dialled, those that are preferred first."""
        return tuple(server for group in self.groups() for server in group)

    def groups(self) -> tuple[tuple[Endpoint, ...], ...]:
        """The servers to dial: all of the first group, in any order, before any of the next one."""
        if not self._trusted:
            return (self._given,)
        rest = tuple(server for server in self._given if server not in self._published)
        return (self._published, rest) if rest else (self._published,)

    def receive_published(self, servers: Iterable[Endpoint], timeout: float, now: float) -> None:
        """ZooKeeper's configuration lists these servers; ``timeout`` is the session's. None at all change nothing, as
        an ensemble always has some."""
        before, servers = self.servers, tuple(servers)
        if not servers or servers == self._published:
            return
        self._published = servers
        self._compare(before)
        if self._trusted and self._current and self._current.isdisjoint(servers):
            self._leave_at = now + self._rng() * timeout
        else:
            self._leave_at = None

    def receive_connected(self, *names: Endpoint) -> None:
        """There is a connection to a server, which has these names: the one that was dialled, and its address."""
        self._current = frozenset(names)
        self._leave_at = None
        self._met.update(names)
        self._compare(self.servers)

    def next_timer(self) -> float | None:
        """When to leave the current server; None if there is no reason to."""
        return self._leave_at

    def handle_timer(self, now: float) -> bool:
        """Whether to cut the connection now. Told once for each change: if only this server can be reached, it is
        better than none."""
        if self._leave_at is None or now < self._leave_at:
            return False
        self._leave_at = None
        return True

    def _compare(self, before: tuple[Endpoint, ...]) -> None:
        self._trusted = self._trusted or not self._met.isdisjoint(self._published)
        if self.servers != before:
            self._on_change(self.servers)
