"""The values a ZooKeeper session speaks in: its states, what a node's stat says, and the steps of a transaction.

Pure values, so that machines can ask for steps and be shown stats without anything that could reach ZooKeeper.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

_DEFAULT_PORT = 2181


class SessionState(enum.Enum):
    """Where a session stands. Only CONNECTED lets requests through."""

    CONNECTING = "connecting"
    """Started, and never connected so far."""
    CONNECTED = "connected"
    """The server answers."""
    SUSPENDED = "suspended"
    """The connection is gone; the session, and what it owns, may or may not live on."""
    LOST = "lost"
    """ZooKeeper said that the session has ended. A new one follows by itself."""
    CLOSED = "closed"
    """We closed it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What ZooKeeper keeps beside a node's value."""

    version: int
    """Changes of the value since the node was created; starts again at 0 with a new node."""
    owner: int
    """The session that an ephemeral node lives with; 0 for a persistent one."""
    created_zxid: int
    """The transaction that created it: tells a node from its successor of the same name."""
    modified_zxid: int
    """The transaction that last changed its value."""
    size: int
    """Bytes of the value."""
    modified_at: float = 0.0
    """When the value was last written: wall-clock seconds since 1970, by the server's clock."""
    changes: int = 0
    """Children created and deleted so far, modulo 2**32: shows what two listings with equal names would hide."""
    children_zxid: int = 0
    """The transaction that last created or deleted a child."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create a node; its result is the path, which a sequence number may have lengthened."""

    path: str
    value: bytes = b""
    ephemeral: bool = False
    sequence: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Delete:
    """Delete a node if it is at ``version`` (-1: at any)."""

    path: str
    version: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SetData:
    """Change a node's value if it is at ``version`` (-1: at any); its result is the new Stat."""

    path: str
    value: bytes
    version: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Go on only if the node is there and at ``version`` (-1: at any)."""

    path: str
    version: int = -1


Operation: TypeAlias = Create | Delete | SetData | Check


def granted_to(theirs: float, asked: float, granted: float) -> float:
    """The session timeout that whoever asked for ``theirs`` got, as far as what we ``asked`` for and were ``granted``
    tells: less than asked is ZooKeeper's upper limit, more is its lower one. Seconds."""
    if granted < asked:
        return min(theirs, granted)
    return max(theirs, granted) if granted > asked else theirs


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectString:
    """ZooKeeper's ``host:port,host:port/chroot``, taken apart."""

    servers: tuple[Endpoint, ...]
    chroot: str = ""
    """Starts with a slash and does not end with one; empty if there is none."""

    @classmethod
    def parse(cls, text: str) -> ConnectString:
        """Reads a connect string; a missing port means 2181. Raises ConfigError with what was expected."""
        hosts, slash, path = text.strip().partition("/")
        parts = [part for part in path.split("/") if part]
        if not hosts or any(part in (".", "..") for part in parts):
            raise ConfigError(f"{text!r} is no ZooKeeper connect string; write host:port,host:port/path")
        chroot = "".join(f"/{part}" for part in parts) if slash else ""
        return cls(tuple(_server(host.strip()) for host in hosts.split(",")), chroot)

    def __str__(self) -> str:
        """The text that ``parse`` reads."""
        return ",".join(map(str, self.servers)) + self.chroot


def _server(text: str) -> Endpoint:
    if text.endswith("]") or ":" not in text:
        text = f"{text}:{_DEFAULT_PORT}"
    return Endpoint.parse(text)
