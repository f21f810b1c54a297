"""The state of things as values, for whoever looks in: metrics, pages, commands, tests. Pure values.

Each says what was so at one moment. Every field is a plain value, a list of them, or another of these values, so that
``dataclasses.asdict`` of any of them can be written as JSON; what is not known is None. Durations are in seconds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """What a server has of one address: an IPv4 address, or the network of an IPv6 one."""

    address: str
    connections: int
    holding: int
    """Handlers for it that have blocked."""
    queued: int
    """Requests of it that wait for a place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """A server."""

    service: str
    interface: str
    endpoint: str | None
    """Where it listens, ``host:port``."""
    state: str
    """``starting``, ``serving``, ``draining`` or ``stopped``."""
    accepts_calls: bool
    announced_draining: bool
    """Whether connected peers were asked to send their calls elsewhere."""
    connections: int
    max_connections: int
    running: int
    """Handlers."""
    limit: int
    """How many may run at once, as of now."""
    max_concurrent: int
    """What the limit never exceeds."""
    queued: int
    """Requests that wait for a place."""
    max_queue: int
    buffered: int
    """Bytes held for all peers, as far as they count."""
    max_buffered: int
    calls: Mapping[str, int]
    """How many calls of each method run or wait for a place; those are counted whose handler has blocked."""
    peers: Sequence[PeerStatus]
    """By address, the ones with most connections first."""
