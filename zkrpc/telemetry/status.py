"""The states of clients, servers, sessions and elections as values, for metrics, pages, commands and tests.

Each describes one moment. Every field is a plain value, a list of them, or another of these values, so that
``dataclasses.asdict`` of any of them can be written as JSON; what is not known is None. Durations are in seconds.

Who in this process can be asked is known here, too: an app, a client and a registry are listed from their making to
their end, so that a page of the whole process needs nobody to hand them over. Being listed keeps nothing alive and
costs a call nothing. Each is asked in its own thread; what another thread has is asked by whoever knows the way there.
"""

from __future__ import annotations

import dataclasses
import os
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol

from zkrpc.errors import WrongProcess, WrongThread


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerStatus:
    """The resources of a server that one peer uses. A peer is an IPv4 address, the network of an IPv6 address,
    or the identity that certificates have proven, from whichever addresses."""

    address: str
    connections: int
    holding: int
    """Its handlers that have blocked."""
    queued: int
    """Its requests that wait for a place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallerMethodStatus:
    """What one caller has called of one method."""

    method: str
    """The IDL's name; ``_OTHER`` for all that the IDL does not have."""
    calls: int
    errors: int
    """Calls that were refused, or answered with something else than the IDL declares."""
    called_at: float
    """When the last call came, Unix time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallerStatus:
    """What one caller has called since the server's start. A caller is what a client says that it is: no proof of
    anything."""

    name: str
    """``unnamed:`` and a kind of address for all callers there that say no name; ``_OTHER`` for those that say
    something impossible, and for those that are too many to be counted by name."""
    version: str
    """Empty if it says none."""
    connections: int
    """Its open connections, of those that have made a call."""
    max_rate: float | None
    """Calls a second that it may make here; None if it has no quota."""
    refused: int
    """Calls beyond its quota."""
    calls: int
    errors: int
    called_at: float | None
    """When its last call came, Unix time; None if all that it has called has been counted for another."""
    methods: Sequence[CallerMethodStatus]
    """By the methods' names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStatus:
    """The state of a server."""

    service: str
    interface: str
    endpoint: str | None
    """The address at which it listens, ``host:port``; None before it listens."""
    state: str
    """``starting``, ``serving``, ``draining`` or ``stopped``."""
    accepts_calls: bool
    announced_draining: bool
    """Whether connected peers were told that the server drains, so that they send their calls elsewhere."""
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
    started_at: float | None
    """When it began to serve, Unix time; None before that."""
    callers: Sequence[CallerStatus]
    """Who has called since then, those with most calls first."""
    certificate_expires_at: float | None
    """When the certificate ends that new connections are shown, or the first of those between it and an authority, Unix
    time; None without TLS."""
    tasks: int = 0
    """Handlers that run on the event loop of asyncio."""
    offload_running: int = 0
    """Handlers that run in threads."""
    offload_threads: int = 0
    """How many may do so at once."""
    offload_queued: int = 0
    """Calls that have a place and wait for a thread."""
    offload_queue: int = 0
    """How many may wait for one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HealthStatus:
    """Whether a service that this process serves is to be called, and whether the process is to be ended."""

    service: str
    ready: bool
    """Whether callers should send calls here."""
    live: bool
    """False only if the process should be ended, as it will not recover by itself."""
    reasons: Sequence[str]
    """Why it is not ready, or not live, in words; empty otherwise."""
    state: str
    """``starting``, ``serving``, ``draining`` or ``stopped``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberStatus:
    """One instance, as a client sees it."""

    instance: str
    """The worker id; for a client with a fixed list of addresses, the address."""
    endpoint: str
    zone: str
    version: str
    protocols: Sequence[str]
    """The dialects that its registration names."""
    dialect: str
    """The dialect in which this client calls it; empty while that is not known."""
    is_unheard: bool
    """Whether calls have left to it and not a byte has come, as from a server that does not speak the dialect."""
    weight: float
    """Its registered weight, reduced while it warms up."""
    connectivity: str
    """gRPC's name for the state in lower case, such as ``ready`` or ``transient_failure``; or ``draining``."""
    standing: str
    """``well``; ``suspect`` if it gives no sign of life; ``down`` if it takes no calls."""
    failure: str | None
    """Why the last connection or dial failed; None if nothing is known against it."""
    breaker: str
    """``closed``, ``open`` or ``probing``."""
    probe_in: float | None
    """Seconds until one call probes whether to close the breaker; None unless it is open."""
    spared_for: float | None
    """Seconds for which it gets no calls, because it answered that it is overloaded; None if it did not."""
    unready: str
    """Why it asks callers to prefer others, as its registration says; empty if it does not."""
    in_flight: int
    """Calls of this client that wait for its answer."""
    latency: float | None
    """The latency estimate that is used for picking, in seconds; None while there is none."""
    is_picked: bool
    """Whether it is among those that calls are spread over."""
    is_kept: bool
    """Whether the current list lacks it, and the client keeps it because it answers."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientStatus:
    """A client of one service."""

    service: str
    target: str
    """Where it looks for the service: ``zookeeper://hosts/service``, or the list of addresses."""
    closed: bool
    connections: int
    calls: int
    """Calls made so far."""
    retry_tokens: float
    """Tokens in the retry budget: how many retries and hedges it allows now."""
    members: Sequence[MemberStatus]
    certificate_expires_at: float | None
    """When the client's own certificate ends, or the first of those between it and an authority, Unix time; None if it
    has none."""


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
    """The session timeout that ZooKeeper has granted."""
    heard: float | None
    """Seconds since the newest message that ZooKeeper has acknowledged was sent."""
    histories: int
    """How often the session has found that ZooKeeper's transactions are not those that it knew (another ensemble, or
    lost data)."""
    servers: Sequence[str]
    """``host:port`` of each server that is dialled, those that are preferred first."""
    server: str | None
    """The server to which there is a connection."""
    explanation: str
    """The state in words and, while there is no connection, for how long and why."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationStatus:
    """The registration of one instance of this process."""

    path: str
    registered: bool
    was_registered: bool
    """Whether it was registered at some time; it is not for a moment while its record is replaced."""
    session: str | None
    """The id of the session that its node lives with, in hex."""
    conflict: str | None
    """The holder of the node, while that is not this instance."""
    failure: str | None
    """Why the last step could not be done."""
    offline: str | None = None
    """The reason of the operator's order that keeps the instance out of service; None if there is none."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PublicationStatus:
    """The publication of the IDL that this process serves."""

    interface: str
    digest: str
    """The SHA-256 of the IDL's text, in hex."""
    published: bool
    """Whether the text was in ZooKeeper at the last look."""
    failure: str | None
    """Why it could not be published, or the last step could not be done."""


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
    """Seconds until the lease ends, unless it is renewed."""
    running: int
    """Calls for the primary that run here."""
    primary: str | None
    """The worker id of the primary, as far as this instance knows."""
    primary_endpoint: str | None
    primary_epoch: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AppStatus:
    """A service being served by this process."""

    service: str
    health: HealthStatus
    server: ServerStatus
    session: SessionStatus | None
    registration: RegistrationStatus | None
    publication: PublicationStatus | None
    elections: Sequence[ElectionStatus]
    joined: Sequence[RegistrationStatus] = ()
    """The entries in trees of other libraries."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TracingStatus:
    """What has become of the spans of this process."""

    exporting: bool
    """Whether zkrpc exports them; with a tracer provider of the program's own, that one does."""
    spans: int
    """Spans that were recorded and handed to the exporting process."""
    dropped: int
    """Spans that were recorded and never left this process: the exporting process was behind, or gone."""
    lost: int
    """Spans that the exporting process could not deliver. Workers of one supervisor share it, and this count."""


Status = AppStatus | ClientStatus | SessionStatus | TracingStatus


class Source(Protocol):
    """An object that can say how it stands."""

    def status(self) -> Status:
        """How it stands at this moment. Must not wait."""


_sources: weakref.WeakKeyDictionary[Source, None] = weakref.WeakKeyDictionary()
_elsewhere: list[Callable[[], Iterable[Status]]] = []


os.register_at_fork(after_in_child=_sources.clear)  # what was made in the parent is the parent's


def announce(source: Source) -> None:
    """Lists a source, which has been made; again does no harm."""
    _sources[source] = None


def withdraw(source: Source) -> None:
    """Removes a source, which has come to its end."""
    _sources.pop(source, None)


def ask_elsewhere(ask: Callable[[], Iterable[Status]]) -> None:
    """Has ``statuses`` call ``ask``, in whichever thread: what it returns is how things stand in a thread that ``ask``
    has a way to, and nothing if that is the caller's, or there is none. It may wait for a second at most."""
    _elsewhere.append(ask)


def statuses_here() -> Iterator[Status]:
    """How everything stands that this thread of this process can ask, in the order in which it was made."""
    for reference in _sources.keyrefs():  # a list made in one step, as other threads add theirs
        source = reference()
        try:
            if source is not None:
                yield source.status()
        except (WrongThread, WrongProcess):
            pass  # another thread's, or the parent's


def statuses() -> Iterator[Status]:
    """How everything in this process stands, as far as this thread can ask it, or has somebody to ask it elsewhere. A
    thread that does not answer within a second is passed over."""
    yield from statuses_here()
    for ask in _elsewhere:
        yield from ask()
