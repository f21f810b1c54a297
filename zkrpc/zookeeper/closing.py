"""Ends the ZooKeeper session of a process that has died, so that its nodes are deleted at once instead of after the
timeout.

For supervisors, with the standard library only: two frames over a plain socket, without kazoo and gevent. Call it only
when the owner is certainly dead: ZooKeeper lets two connections share a session unnoticed, and closing it would delete
the nodes of a live owner (measured).
"""

from __future__ import annotations

import contextlib
import enum
import functools
import queue
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.encryption import Encryption
from zkrpc.zookeeper.handshake import Exchange
from zkrpc.zookeeper.operations import ConnectString

_HEAD_START = 0.1
"""Seconds that a server has for an answer before the next one is asked, too; a healthy one answers in 10 ms."""


_MOST_SERVERS = 64
"""Servers that are remembered of what was told: more than any ensemble has."""


class SessionCloser:
    """Ends the sessions of dead processes, each in a thread of its own and within ``timeout`` seconds: a ZooKeeper that
    cannot be reached holds up nobody. It asks the servers of the connect string, or those of the ensemble as it is
    now, if it is told that they are others."""

    def __init__(self, hosts: str, timeout: float, security: ZooKeeperSecurity = NO_SECURITY) -> None:
        """Raises ConfigError if ``hosts`` is no connect string, or for a file of the settings that cannot be used."""
        self._security, self._encryption = security, Encryption.of(security)
        self._given = self._target = ConnectString.parse(hosts)
        self._timeout = timeout
        self._closing: list[threading.Thread] = []

    def __repr__(self) -> str:
        """The servers, and how many sessions are being closed."""
        return f"<SessionCloser {self._target} closing={len(self._closing)}>"

    @property
    def hosts(self) -> str:
        """The connect string of the servers that are asked."""
        return str(self._target)

    @property
    def moved(self) -> bool:
        """Whether they are others than those that were given first."""
        return self._target != self._given

    def follow(self, servers: Sequence[Endpoint]) -> None:
        """From now on these are asked first. Those that were given first stay the last resort, and those of earlier
        ensembles are forgotten once there are many."""
        known = dict.fromkeys((*servers[:_MOST_SERVERS], *self._given.servers))
        self._target = ConnectString(tuple(known), self._given.chroot)

    def close(self, session_id: int, password: bytes) -> None:
        """Begins to end a session; see :func:`close_session`."""
        thread = threading.Thread(
            target=close_session,
            args=(self.hosts, session_id, password, self._timeout, self._security, self._encryption),
            daemon=True,
        )
        thread.start()
        self._closing = [*(one for one in self._closing if one.is_alive()), thread]

    def wait(self) -> None:
        """Waits until all of them have ended, or the time of each is over."""
        for thread in self._closing:
            thread.join(self._timeout)


class _Fate(enum.Enum):
    """The outcome of asking one server."""

    CLOSED = "closed"
    GONE = "there is no such session"
    ASKED = "asked to close, without a good answer"
    FAILED = "not asked"


def close_session(
    hosts: str,
    session_id: int,
    password: bytes,
    timeout: float,
    security: ZooKeeperSecurity = NO_SECURITY,
    encryption: Encryption | None = None,
) -> bool:
    """Ends a session through the first server that can, within ``timeout`` seconds.

    When a server does not answer at once, the next one is asked concurrently: clients wait for the nodes to be deleted,
    and closing a session twice does no harm.

    Returns True if this call has ended the session; False if it had ended before, the password is wrong, or no server
    answered.
    """
    asked = False
    ask = functools.partial(_ask, session_id, password, security, encryption)
    for fate, waiting in _fates(ConnectString.parse(hosts).servers, ask, timeout):
        if fate is _Fate.CLOSED:
            return True
        if fate is _Fate.GONE:
            # This call has ended it if another server was asked and has not answered yet.
            return asked or waiting > 0
        asked = asked or fate is _Fate.ASKED
    return False


def _fates(
    servers: Sequence[Endpoint],
    ask: Callable[[Endpoint, float, queue.SimpleQueue[_Fate]], None],
    timeout: float,
) -> Iterator[tuple[_Fate, int]]:
    """The servers' outcomes as they arrive, each with the number of servers that have not answered yet."""
    give_up_at = time.monotonic() + timeout
    fates: queue.SimpleQueue[_Fate] = queue.SimpleQueue()
    left, waiting = list(servers), 0
    while (left or waiting) and (now := time.monotonic()) < give_up_at:
        if left:
            threading.Thread(target=ask, args=(left.pop(0), give_up_at - now, fates), daemon=True).start()
            waiting += 1
        with contextlib.suppress(queue.Empty):
            fate = fates.get(timeout=min(_HEAD_START, give_up_at - now) if left else give_up_at - now)
            waiting -= 1
            yield fate, waiting


def _ask(
    session_id: int,
    password: bytes,
    security: ZooKeeperSecurity,
    encryption: Encryption | None,
    server: Endpoint,
    timeout: float,
    fates: queue.SimpleQueue[_Fate],
) -> None:
    fate, give_up_at = _Fate.FAILED, time.monotonic() + timeout
    try:
        with _connect(server, timeout, encryption) as sock:
            exchange = Exchange(sock, give_up_at, time.monotonic)
            if exchange.open_session(session_id, password):
                exchange.introduce(security)
                fate = _Fate.ASKED
                fate = _Fate.CLOSED if exchange.close_session() else fate
            else:
                fate = _Fate.GONE
    except (OSError, ValueError, RemoteProtocolError):
        pass  # unreachable, no host's name, or no ZooKeeper
    finally:
        fates.put(fate)


def _connect(server: Endpoint, timeout: float, encryption: Encryption | None) -> socket.socket:
    """Connects to one of the server's addresses. Each has an equal share of the time, as the first one may not answer
    at all."""
    found = socket.getaddrinfo(server.host, server.port, type=socket.SOCK_STREAM)
    failure = OSError(f"{server.host} has no address")
    for *_, address in found:
        try:
            sock = socket.create_connection((str(address[0]), int(address[1])), timeout / len(found))
            return sock if encryption is None else cast(socket.socket, encryption.wrap(sock, server.host))
        except OSError as error:
            failure = error
    raise failure
