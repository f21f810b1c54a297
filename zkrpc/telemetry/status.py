"""The states of clients, servers, sessions and elections as values, for metrics, pages, commands and tests.

Each describes one moment. Every field is a plain value, a list of them, or another of these values, so that
``dataclasses.asdict`` of any of them can be written as JSON; what is not known is None. Durations are in seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What one peer address uses of a server: an IPv4 address, or the network of an IPv6 one."""

    address: str
    connections: int
    holding: int
    """Its handlers that have blocked."""
    queued: int
    """Its requests that wait for a place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The state of a server."""

    service: str
    interface: str
    endpoint: str | None
    """The address at which it listens, ``host:port``; None before."""
    state: str
    """``starting``, ``serving``, ``draining`` or ``stopped``."""
    accepts_calls: bool
    announced_draining: bool
    """Whether connected peers were asked to send their calls elsewhere."""
    connections: int
    max_connections: int
    running: int
    """Handlers that run."""
    limit: int
    """How many may run at once at the moment."""
    max_concurrent: int
    """The upper bound of the limit."""
    queued: int
    """Requests that wait for a place."""
    max_queue: int
    buffered: int
    """Bytes held for all peers, as counted against ``max_buffered``."""
    max_buffered: int
    calls: Mapping[str, int]
    """How many calls of each method wait for a place or have a handler that has blocked."""
    peers: Sequence[PeerStatus]
    """By address, the ones with most connections first."""
