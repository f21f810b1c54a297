"""A real ZooKeeper ensemble on loopback whose every link can be cut, and each client's links with it.

Every way between two servers, and between a client process and a server, is a TCP proxy of ours, so no root and no
network namespace is needed. It knows servers, links and who dials whom; it opens no session and starts no client.
"""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from types import TracebackType

from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.testing.proxy import Proxy, ProxyMode

_SETTLE_TIMEOUT = 1.0
_POLL = 0.005
# A follower dials its leader for half a second while it is refused; it may have been elected a moment before the leader
# listens. To be accepted and cut instead would end its round, and the election then takes initLimit longer (measured).
_QUORUM_TRIES = 12


@dataclasses.dataclass(frozen=True, slots=True)
class _Link:
    """The way from one server to another: for the leader's stream of proposals, and for election messages."""

    quorum: Proxy
    election: Proxy

    def become(self, mode: ProxyMode) -> None:
        """Sets what happens to bytes of both kinds."""
        self.quorum.mode = self.election.mode = mode


class Lab:
    """One or three ZooKeeper servers, numbered from 0, and the network between them and around them.

    A cut link is silent, as a lost cable is: connections stay open, nothing passes, nobody is told; what was sent
    meanwhile arrives when the link is joined, if both ends still hold the connection.

    ``tick`` (milliseconds) and ``sync_limit`` (ticks) are the servers': a follower that is cut off from its leader goes
    on answering pings and reads for up to ``sync_limit * tick``, so make that longer than the sessions to see a session
    end behind its client's back.
    """

    def __init__(self, nodes: int = 3, *, tick: int = 500, sync_limit: int = 4) -> None:
        """Remembers what to start; raises ConfigError if that cannot be a ZooKeeper."""
        self._links: dict[tuple[int, int], _Link] = {}
        self._clients: dict[str, list[Proxy]] = {}
        self._cleanup = ExitStack()
        self._servers = DevZooKeeper(nodes, tick=tick, sync_limit=sync_limit, reroute=self._reroute)

    def start(self) -> Lab:
        """Starts every server and returns once all of them serve. Raises as DevZooKeeper does."""
        self._cleanup.callback(self._servers.close)
        try:
            self._servers.start()
        except BaseException:
            self.close()
            raise
        return self

    def _reroute(self, dialler: int, target: int, ports: tuple[int, int]) -> tuple[int, int]:
        """The proxies' ports on the way from one server to another; they get a new target if ports were taken."""
        key = dialler, target
        quorum, election = (("127.0.0.1", port) for port in ports)
        if key not in self._links:
            greeting = Proxy(election, rewrite=lambda chunk: self._without_a_way_round(dialler, target, chunk))
            link = self._links[key] = _Link(self._cleanup.enter_context(Proxy(quorum, tries=_QUORUM_TRIES)), greeting)
            self._cleanup.enter_context(greeting)
        link = self._links[key]
        link.quorum.target, link.election.target = quorum, election
        return link.quorum.port, link.election.port

    def _without_a_way_round(self, dialler: int, target: int, chunk: bytes) -> bytes:
        """Puts the proxy's address for the dialler's own, which an election's greeting tells.

        A server with the higher number hangs up on a caller with a lower one and calls back, at the address that the
        caller told: without this, half of the election's connections would pass the proxies by. Both addresses have
        five digits of port, so no length changes.
        """
        real = self._links[target, dialler].election
        return chunk.replace(b"%s:%d" % (real.target[0].encode(), real.target[1]), real.hosts.encode())

    # -- servers ---------------------------------------------------------------------------------

    def leader(self) -> int:
        """The server that leads. Raises CoordinationError if none does.

        For up to ``sync_limit`` ticks after a cut, the old leader and a new one may both say so; this is the lowest.
        """
        return self._servers.leader()

    def modes(self) -> tuple[str | None, ...]:
        """What each server is: ``leader``, ``follower``, or None while it does not serve."""
        return self._servers.modes()

    def await_leader(self, timeout: float = 20.0, *, apart_from: int | None = None) -> int:
        """Waits for a server that leads, other than ``apart_from``. Raises CoordinationError if none does in time."""
        give_up_at = time.monotonic() + timeout
        while True:
            modes = self.modes()
            for index, mode in enumerate(modes):
                if mode in ("leader", "standalone") and index != apart_from:
                    return index
            if time.monotonic() > give_up_at:
                raise CoordinationError(f"no ZooKeeper server led within {timeout:g} s: {modes}")
            time.sleep(_POLL)

    def kill(self, index: int) -> None:
        """Ends a server as a crash would; what it wrote stays on disk."""
        self._servers.kill(index)

    def restart(self, index: int) -> None:
        """Starts a server again and returns once it serves; its links must reach a quorum for that."""
        self._servers.restart(index)

    def freeze(self, index: int) -> None:
        """Stops a server where it stands; its connections stay open and silent."""
        self._servers.freeze(index)

    def thaw(self, index: int) -> None:
        """Lets a frozen server go on."""
        self._servers.thaw(index)

    def stop_all(self) -> None:
        """Ends every server as a crash would."""
        self._servers.stop_all()

    def forget_all(self) -> None:
        """Ends every server and removes its data."""
        self._servers.forget_all()

    def start_all(self) -> None:
        """Starts every server that does not run; returns once all of them serve."""
        self._servers.start_all()

    # -- links between servers -------------------------------------------------------------------

    def cut(self, first: int, second: int) -> None:
        """Silences the link between two servers, both ways, elections included."""
        self._set_link(first, second, ProxyMode.HOLE)

    def join(self, first: int, second: int) -> None:
        """Lets the bytes between two servers pass again."""
        self._set_link(first, second, ProxyMode.FORWARD)

    def join_all(self) -> None:
        """Lets the bytes pass on every link between servers."""
        for link in self._links.values():
            link.become(ProxyMode.FORWARD)

    def _set_link(self, first: int, second: int, mode: ProxyMode) -> None:
        if (first, second) not in self._links:
            raise ConfigError(f"there is no link between ZooKeeper servers {first} and {second}")
        for key in ((first, second), (second, first)):
            self._links[key].become(mode)

    # -- links of clients ------------------------------------------------------------------------

    def hosts_for(self, name: str) -> str:
        """The connect string for the client process ``name``: a way of its own to every server."""
        if not self._servers.ports:
            raise ConfigError("the laboratory does not run, so there is nowhere to connect to")
        if name not in self._clients:
            self._clients[name] = [
                self._cleanup.enter_context(Proxy(("127.0.0.1", port))) for port in self._servers.ports
            ]
        return ",".join(proxy.hosts for proxy in self._clients[name])

    def blackhole(self, name: str) -> None:
        """Silences a client's links to every server; its connections stay open."""
        self._set_client(name, ProxyMode.HOLE)

    def slow(self, name: str, delay: float) -> None:
        """Has every byte between a client and the servers take ``delay`` seconds, each way."""
        for proxy in self._proxies(name):
            proxy.delay = delay

    def heal(self, name: str) -> None:
        """Lets the bytes between a client and the servers pass again, without delay."""
        self._set_client(name, ProxyMode.FORWARD)
        self.slow(name, 0.0)

    def pin(self, name: str, index: int) -> None:
        """Lets a client through to one server only, and cuts its other connections; :meth:`heal` opens all ways."""
        for number, proxy in enumerate(self._proxies(name)):
            proxy.mode = ProxyMode.FORWARD if number == index else ProxyMode.REFUSE

    def _set_client(self, name: str, mode: ProxyMode) -> None:
        for proxy in self._proxies(name):
            proxy.mode = mode

    def node_of(self, name: str) -> int | None:
        """The server that a client is connected to; None if it is connected to none.

        While a client is black-holed, this is where it was before. A process that changes servers holds two connections
        for a moment, which is waited out. Raises CoordinationError if it keeps several.
        """
        give_up_at = time.monotonic() + _SETTLE_TIMEOUT
        while True:
            nodes = [index for index, proxy in enumerate(self._proxies(name)) if proxy.connections]
            if len(nodes) < 2:
                return nodes[0] if nodes else None
            if time.monotonic() > give_up_at:
                raise CoordinationError(f"client {name!r} is connected to several ZooKeeper servers: {nodes}")
            time.sleep(_POLL)

    def _proxies(self, name: str) -> list[Proxy]:
        if name not in self._clients:
            raise ConfigError(f"no client {name!r} has asked for its hosts")
        return self._clients[name]

    # -- the end ---------------------------------------------------------------------------------

    def close(self) -> None:
        """Ends every server and every link, and removes the files. May be called more than once."""
        self._cleanup.close()
        self._links.clear()
        self._clients.clear()

    def __enter__(self) -> Lab:
        """Starts it."""
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()
