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


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """One instance, as a client sees it."""

    instance: str
    """The worker id; of a client with a fixed list of addresses, the address."""
    endpoint: str
    zone: str
    version: str
    protocols: Sequence[str]
    weight: float
    """What it registered, less while it warms up."""
    connectivity: str
    """gRPC's name for the state in lower case, such as ``ready`` or ``transient_failure``; or ``draining``."""
    standing: str
    """``well``; ``suspect`` if it gives no sign of life; ``down`` if it takes no calls."""
    failure: str | None
    """Why no connection can be had; None if there is no reason to expect that."""
    breaker: str
    """``closed``, ``open`` or ``probing``."""
    probe_in: float | None
    """Until one call finds out whether to close the breaker; None unless it is open."""
    spared_for: float | None
    """For how long it is left alone, as it asked for; None if it is not."""
    in_flight: int
    """Calls that this client waits for."""
    latency: float | None
    """What a call costs, as it is estimated for picking; None while nothing is known of that."""
    is_picked: bool
    """Whether it is among those that calls are spread over."""
    is_kept: bool
    """Whether no list has it any more, and it stays for as long as it answers."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """A client of one service."""

    service: str
    closed: bool
    connections: int
    calls: int
    """Made since it was made."""
    retry_tokens: float
    """How many repetitions and second copies the retry budget has room for."""
    members: Sequence[MemberStatus]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """A process's ZooKeeper session."""

    hosts: str
    state: str
    """``connecting``, ``connected``, ``suspended``, ``lost`` or ``closed``."""
    session: str | None
    """Its id in hex, as ZooKeeper's own tools write it."""
    timeout_asked: float
    timeout: float | None
    """As granted."""
    heard: float | None
    """Since the newest message that ZooKeeper acknowledged was sent."""
    histories: int
    """How often ZooKeeper came back as another one."""
    explanation: str
    """How it stands and, while there is no connection, for how long and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStatus:
    """The registration of one instance of this process."""

    path: str
    registered: bool
    session: str | None
    """The id of the session that its node lives with, in hex."""
    conflict: str | None
    """Who holds the node, while somebody else does."""
    failure: str | None
    """Why the last step could not be done."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ElectionStatus:
    """The election of one group's primary, as an instance of this process takes part in it."""

    service: str
    group: str
    state: str
    """Such as ``waiting``, ``synchronising`` or ``primary``; :mod:`zkrpc.election.states` has all of them."""
    epoch: int | None
    """The epoch that this instance leads in."""
    lease_left: float | None
    """Until this instance may serve no longer, unless the lease is renewed."""
    running: int
    """Calls for the primary that run here."""
    primary: str | None
    """The worker id of whoever leads, as far as this instance knows."""
    primary_endpoint: str | None
    primary_epoch: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppStatus:
    """A service being served by this process."""

    service: str
    server: ServerStatus
    session: SessionStatus | None
    registration: RegistrationStatus | None
    elections: Sequence[ElectionStatus]
