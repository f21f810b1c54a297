"""Plain values of ZooKeeper: the states of a session, a node's stat, the steps of a transaction, and the connect
string.

Pure, so that state machines can use them without importing anything that could reach ZooKeeper.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError

_DEFAULT_PORT = 2181


class SessionState(enum.Enum):
    """The state of a session. Requests are sent in CONNECTED only."""

    CONNECTING = "connecting"
    """Started, and never connected so far."""
    CONNECTED = "connected"
    """There is a connection with a live session."""
    SUSPENDED = "suspended"
    """The connection is lost; the session and its ephemeral nodes may or may not still exist."""
    LOST = "lost"
    """ZooKeeper has answered that the session has ended. A new session is opened without being asked for."""
    CLOSED = "closed"
    """The session was closed by this process."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """A node's metadata."""

    version: int
    """Changes of the value since the node was created; starts again at 0 with a new node."""
    owner: int
    """The id of the session that owns an ephemeral node; 0 for a persistent one."""
    created_zxid: int
    """The transaction that created the node: tells it from a later node of the same name."""
    modified_zxid: int
    """The transaction that last changed its value."""
    size: int
    """Bytes of the value."""
    modified_at: float = 0.0
    """When the value was last written: wall-clock seconds since 1970, by the server's clock."""
    changes: int = 0
    """The number of children created and deleted so far, modulo 2**32: shows changes between two listings with equal
    names."""
    children_zxid: int = 0
    """The transaction that last created or deleted a child."""


NO_STAT = Stat(version=-1, owner=0, created_zxid=0, modified_zxid=0, size=0)
"""Of a node that may not be read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Create:
    """Create a node; the result is its path, with the sequence number if there is one."""

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
    """Change a node's value if it is at ``version`` (-1: at any); the result is the new Stat."""

    path: str
    value: bytes
    version: int = -1


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Require that the node exists, at ``version`` (-1: at any); otherwise the transaction fails."""

    path: str
    version: int = -1


Operation: TypeAlias = Create | Delete | SetData | Check


def granted_to(theirs: float, asked: float, granted: float) -> float:
    """Estimates the session timeout, in seconds, that a process got which asked for ``theirs``, from what this process
    ``asked`` for and was ``granted``: a grant below the asked value is ZooKeeper's upper limit, one above is its lower
    limit."""
    if granted < asked:
        return min(theirs, granted)
    return max(theirs, granted) if granted > asked else theirs


@dataclasses.dataclass(frozen=True, slots=True)
class ConnectString:
    """A parsed connect string, ``host:port,host:port/chroot``."""

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
