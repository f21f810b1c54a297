"""A throw-away ZooKeeper of one or three servers on loopback, with faults on demand.

It opens no ZooKeeper session. Only the standard library is used, so it works the same whether the program is
monkey-patched or not.
"""

from __future__ import annotations

import atexit
import os
import random
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

from zkrpc.dev.folder import Folder
from zkrpc.dev.jars import find_jars, find_netty
from zkrpc.dev.java import find_java
from zkrpc.dev.node import ServerNode
from zkrpc.dev.secured import DevSecurity, make_security
from zkrpc.errors import ConfigError, CoordinationError

_START_TIMEOUT = 60.0
_POLL = 0.02
_PORT_TRIES = 3


class DevZooKeeper:
    """One or three ZooKeeper servers; a context manager that leaves nothing behind.

    Servers are numbered from 0. ``tick`` is ZooKeeper's tickTime in milliseconds: sessions may last 2 to 20 of them,
    so 500 allows timeouts from one second on. A server that hears nothing from the leader, or a leader from a quorum,
    gives up after ``sync_limit`` ticks. A ``directory`` given by the caller is kept at the end. Clients find the first
    server at ``port`` and each further one at the next port; by default at free ones.

    ``reroute(dialler, target, ports)`` lets a test put proxies between the servers: it is told the quorum and the
    election port of server ``target``, and gives the two loopback ports that server ``dialler`` shall dial instead.

    If it is ``secured``, the servers speak TLS at the ports for clients, want a client certificate there, serve only
    those whom they know, and know the ``users`` besides; ``security`` has what a client needs.
    """

    def __init__(
        self,
        nodes: int = 1,
        *,
        tick: int = 500,
        sync_limit: int = 4,
        java: str | None = None,
        jars: str | None = None,
        directory: Path | str | None = None,
        port: int | None = None,
        secured: bool = False,
        users: Sequence[tuple[str, str]] = (),
        reroute: Callable[[int, int, tuple[int, int]], tuple[int, int]] | None = None,
    ) -> None:
        """Remembers what to start; raises ConfigError if that cannot be a ZooKeeper."""
        if nodes not in (1, 3):
            raise ConfigError(f"a throw-away ZooKeeper has 1 node or 3, not {nodes!r}")
        self._count = nodes
        self._tick = tick
        self._sync_limit = sync_limit
        self._reroute = reroute
        self._java = java
        self._jars = jars
        if port is not None and not 0 < port <= 65536 - nodes:
            raise ConfigError(f"the port must be one from 1 to {65536 - nodes}, got {port!r}")
        self._port = port
        self._secured, self._users = secured, tuple(users)
        self._encrypted_ports: tuple[int, ...] = ()
        self.security: DevSecurity | None = None
        """What a client needs of a secured one, while that runs."""
        self._directory = Path(directory).resolve() if directory is not None else None
        self._pid = os.getpid()
        self._nodes: list[ServerNode] = []
        self._cleanup = ExitStack()

    @property
    def hosts(self) -> str:
        """The connect string, ``127.0.0.1:port,…``."""
        return ",".join(f"127.0.0.1:{port}" for port in self._encrypted_ports or self.ports)

    @property
    def ports(self) -> tuple[int, ...]:
        """Each server's client port without TLS; they stay the same over :meth:`kill` and :meth:`restart`."""
        return tuple(node.port for node in self._nodes)

    def start(self) -> DevZooKeeper:
        """Starts every server and returns once all of them serve.

        Raises ConfigError if Java or the jars are missing, CoordinationError with the end of a server's log if one
        does not come up.
        """
        if self._nodes:
            raise ConfigError("this ZooKeeper has been started already")
        java, jars = self._java or find_java(), self._jars or find_jars()
        if self._secured and (netty := find_netty(jars)):
            jars = f"{jars}:{netty}"
        atexit.register(self.close)
        self._cleanup.callback(atexit.unregister, self.close)
        try:
            for tries_left in reversed(range(_PORT_TRIES)):
                if self._come_up(java, jars, tries_left):
                    return self
            raise CoordinationError("no free ports between 20000 and 32000")
        except BaseException:
            self.close()
            raise

    def _come_up(self, java: str, jars: str, tries_left: int) -> bool:
        """Starts the servers once. False if another process took a port between our check and the server's bind, and
        there are tries left."""
        self._lay_out(java, jars)
        try:
            self.start_all()
        except CoordinationError:
            taken = any("Address already in use" in node.last_words(40) for node in self._nodes)
            if not taken or not tries_left:
                raise
            self.stop_all()
            return False
        return True

    def _lay_out(self, java: str, jars: str) -> None:
        root = self._directory
        if root is None:
            folder = Folder()
            self._cleanup.callback(folder.close)
            root = folder.path
        ports = free_ports(4 * self._count)
        plain, encrypted, quorum, election = (ports[part::4] for part in range(4))
        if self._port is not None:
            asked = [self._port + index for index in range(self._count)]
            _require_free(asked)
            plain, encrypted = (plain, asked) if self._secured else (asked, encrypted)
        common = (
            f"tickTime={self._tick}\ninitLimit=20\nsyncLimit={self._sync_limit}\nmaxClientCnxns=0\n"
            "admin.enableServer=false\nclientPortAddress=127.0.0.1\n"
        )
        options: Sequence[str] = ()
        if self._secured:
            if self.security is None:
                self.security = make_security(root / "security", self._users)
            self._encrypted_ports = tuple(encrypted)
            common += f"secureClientPortAddress=127.0.0.1\n{self.security.configuration}"
            options = self.security.java_options
        pairs = tuple(zip(quorum, election))
        self._nodes = [
            ServerNode(
                root / str(index),
                port,
                common
                + self._servers(index, pairs)
                + f"clientPort={port}\n"
                + (f"secureClientPort={encrypted[index]}\n" if self._secured else ""),
                number=index + 1,
                java=java,
                jars=jars,
                options=options,
            )
            for index, port in enumerate(plain)
        ]

    def _servers(self, reader: int, pairs: Sequence[tuple[int, int]]) -> str:
        """The ensemble as one server's configuration lists it; a standalone server lists none."""
        if self._count == 1:
            return ""
        lines = ""
        for index, ports in enumerate(pairs):
            if self._reroute is not None and index != reader:
                ports = self._reroute(reader, index, ports)
            lines += f"server.{index + 1}=127.0.0.1:{ports[0]}:{ports[1]}\n"
        return lines

    def kill(self, index: int) -> None:
        """Ends one server as a crash would; what it wrote stays on disk."""
        self._nodes[index].kill()

    def freeze(self, index: int) -> None:
        """Stops one server where it stands, as a long pause would; its connections stay open and silent."""
        self._nodes[index].freeze()

    def thaw(self, index: int) -> None:
        """Lets a frozen server go on."""
        self._nodes[index].thaw()

    def restart(self, index: int) -> None:
        """Starts one server again, if it is not running, on its old port and files; returns once it serves."""
        self._nodes[index].start()
        self._wait_serving([self._nodes[index]])

    def stop_all(self) -> None:
        """Ends every server, keeping the files."""
        for node in self._nodes:
            node.kill()

    def forget_all(self) -> None:
        """Ends every server and removes its data: servers that are started then, on the old ports, are another
        ZooKeeper."""
        for node in self._nodes:
            node.forget()

    def start_all(self) -> None:
        """Starts every server that is not running; returns once all of them serve."""
        for node in self._nodes:
            node.start()
        self._wait_serving(self._nodes)

    def modes(self) -> tuple[str | None, ...]:
        """The mode of each server: ``standalone``, ``leader``, ``follower``, or None while it does not serve."""
        return tuple(node.mode() for node in self._nodes)

    def leader(self) -> int:
        """The number of the server that leads (0 if it stands alone). Raises CoordinationError if none does."""
        modes = self.modes()
        for index, mode in enumerate(modes):
            if mode in ("leader", "standalone"):
                return index
        raise CoordinationError(f"no ZooKeeper server leads: {modes}")

    def check(self) -> None:
        """Raises CoordinationError with the end of its log if a server has ended by itself."""
        for index, node in enumerate(self._nodes):
            if not node.running:
                raise CoordinationError(
                    f"ZooKeeper server {index} is not running; its last words:\n{node.last_words()}"
                )

    def close(self) -> None:
        """Ends every server and removes the files. May be called more than once; in a forked child it does nothing."""
        if os.getpid() != self._pid:
            return
        self.stop_all()
        self._nodes, self.security, self._encrypted_ports = [], None, ()
        self._cleanup.close()

    def __enter__(self) -> DevZooKeeper:
        """Starts the servers, unless that was done already."""
        return self if self._nodes else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _wait_serving(self, nodes: Iterable[ServerNode]) -> None:
        give_up_at = time.monotonic() + _START_TIMEOUT
        for node in nodes:
            while node.mode() is None:
                if not node.running or time.monotonic() > give_up_at:
                    state = "did not serve in time" if node.running else "ended"
                    raise CoordinationError(
                        f"the ZooKeeper server on port {node.port} {state}; its last words:\n{node.last_words()}"
                    )
                time.sleep(_POLL)


def _require_free(ports: Sequence[int]) -> None:
    """Raises ConfigError if one of these ports is in use."""
    for port in ports:
        with socket.socket() as listener:
            # As the server does: a port that only remembers connections of before is free.
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                listener.bind(("127.0.0.1", port))
            except OSError as error:
                raise ConfigError(f"port {port} cannot be used ({error.strerror}); choose another --port") from error


def free_ports(count: int) -> list[int]:
    """Ports below the range that the kernel gives to outgoing connections.

    Peers that keep dialling a dead server's port would sooner or later be given that very port and hold it.
    """
    with ExitStack() as held:
        ports: list[int] = []
        while len(ports) < count:
            listener = held.enter_context(socket.socket())
            try:
                listener.bind(("127.0.0.1", random.randrange(20000, 32000)))
            except OSError:
                continue
            ports.append(listener.getsockname()[1])
        return ports
