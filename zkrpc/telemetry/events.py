"""What can be observed: one class for each kind of event, named after what has happened. Pure values.

Every field is a plain value (str, int, float, bool or None), so ``dataclasses.asdict`` of an event can be written as
JSON. Durations are in seconds, endpoints and peers are ``host:port``. ``service`` is the service's name in the
registry; for a client with a fixed list of addresses, it is that list.

An ``error`` is the name of an exception's class, empty if there was none; ``declared`` tells whether the IDL declares
that exception, so that it counts as a regular answer. ``executed`` is ``no``, ``maybe`` or ``yes``, as
:class:`zkrpc.errors.Executed` has it.
"""

from __future__ import annotations

import dataclasses

OTHER = "_OTHER"
"""Stands for any method that the interface does not have: a name that a peer has made up must not become a metric's
label."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened."""


# -- calls of a client


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent(Event):
    """Something that has happened in a client."""

    service: str
    target: str = ""
    """Where the client looks for the service: ``zookeeper://hosts/service``, or the list of addresses; empty if its
    resolver does not say."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent(ClientEvent):
    """Something that has happened to one call."""

    interface: str
    method: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(CallEvent):
    """A program has made a call. A call with several attempts starts once."""

    timeout: float
    """Seconds until its deadline."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(CallEvent):
    """A call has ended, with all its attempts and pauses."""

    seconds: float
    attempts: int
    """How many attempts were made; the second copy of a hedged call is not counted."""
    endpoint: str
    """The instance of the last attempt; empty if there was none."""
    error: str = ""
    """``Cancelled`` if its greenlet was killed, or interrupted by a timeout of its own."""
    declared: bool = False
    executed: str = "yes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(CallEvent):
    """A client is about to pick an instance for a call, and to send the call there."""

    attempt: int
    """The attempt's number, from 1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFinished(CallEvent):
    """One attempt of a call has ended."""

    attempt: int
    endpoint: str
    """The instance that was picked; empty if there was none."""
    seconds: float
    error: str = ""
    """``Cancelled`` if its result is no longer wanted, such as that of the slower copy of a hedged call."""
    declared: bool = False
    executed: str = "yes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallRetried(CallEvent):
    """An attempt has failed, and the call is about to be sent again."""

    attempt: int
    """The number of the attempt that failed."""
    endpoint: str
    """The instance that it went to; empty if there was none."""
    error: str
    pause: float
    """Seconds until the next attempt, at most."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallHedged(CallEvent):
    """A call has taken so long that a second copy of it is sent."""

    attempt: int
    """The second copy's number."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryBudgetExhausted(ClientEvent):
    """A call was not sent again, or not hedged, because the retry budget was used up."""


# -- the instances that a client knows


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberEvent(ClientEvent):
    """Something that has happened to one instance, as one client sees it."""

    instance: str
    """The worker id; for a client with a fixed list of addresses, the address."""
    endpoint: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberJoined(MemberEvent):
    """A client has learnt of an instance."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberLeft(MemberEvent):
    """A client has dropped an instance: the registry no longer lists it, or lists another process in its place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectivityChanged(MemberEvent):
    """The connectivity or the standing of a client's subchannel has changed; :mod:`zkrpc.client.connectivity` has the
    states."""

    state: str
    """gRPC's name for it in lower case, such as ``ready`` or ``transient_failure``; or ``draining``."""
    standing: str
    """``well``; ``suspect`` if the instance gives no sign of life; ``down`` if it takes no calls."""
    reason: str = ""
    """Why no connection can be expected; empty if nothing speaks against one."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BreakerOpened(MemberEvent):
    """A client prefers other instances, because too many calls to this one have failed."""

    seconds: float
    """Seconds until one call probes the instance."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class BreakerClosed(MemberEvent):
    """A call to an instance whose breaker was open went well, and it gets its share of calls again."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MemberSpared(MemberEvent):
    """A client prefers other instances, because this one has answered that it is overloaded."""

    seconds: float
    """Seconds for which it is avoided."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionEvent(ClientEvent):
    """Something that has happened to a client's connection to one endpoint."""

    endpoint: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionOpened(ConnectionEvent):
    """A client has opened a connection to an instance."""

    seconds: float
    """How long that took."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionFailed(ConnectionEvent):
    """A client could not open a connection to an instance."""

    seconds: float
    """How long it tried."""
    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionClosed(ConnectionEvent):
    """A connection of a client has ended."""

    seconds: float
    """How long it was open."""
    reason: str
    """``draining`` if the server had announced that it drains, ``silent`` if it gave no sign of life, or ``closed``."""


# -- the ZooKeeper session


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionEvent(Event):
    """Something that has happened to a process's ZooKeeper session."""

    hosts: str
    """The connect string."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SessionChanged(SessionEvent):
    """A ZooKeeper session has changed its state; :mod:`zkrpc.zookeeper.session` has all states."""

    before: str
    after: str
    session: str
    """The session's id in hex, as ZooKeeper's own tools write it; empty while there is none."""
    timeout: float | None
    """Seconds of silence after which ZooKeeper ends the session, as granted; None before the first connection."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EnsembleChanged(SessionEvent):
    """A process uses other ZooKeeper servers from now on, as ZooKeeper's own configuration has changed."""

    servers: str
    """``host:port`` of each server that it dials, separated by commas, those that it prefers first."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestAnswered(SessionEvent):
    """A request to ZooKeeper has an outcome."""

    operation: str
    """``get``, ``create``, ``transaction`` and so on."""
    seconds: float
    error: str = ""
    """``OutcomeUnknown`` if no answer came, ``SessionSuspended`` if nothing was sent; else what ZooKeeper answered,
    such as ``NodeMissing``, which is no failure for a caller that checks whether a node exists."""


# -- registration


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationEvent(Event):
    """Something that has happened to the registration of an instance of this process."""

    path: str
    """The instance's node in ZooKeeper."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Registered(RegistrationEvent):
    """The registry lists an instance from now on, for the first time or again."""

    session: str
    """The session's id in hex."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationWithdrawn(RegistrationEvent):
    """The registry no longer lists an instance, as intended."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationConflicted(RegistrationEvent):
    """The node of an instance exists, and is neither its own nor one that it may replace."""

    reason: str
    successor: bool
    """Whether the holder is a process that replaces this one on purpose."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RegistrationFailed(RegistrationEvent):
    """A step of the registration of an instance has failed, and is tried again."""

    error: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WentOffline(RegistrationEvent):
    """An instance takes no more calls, by an operator's order, and goes on running."""

    reason: str
    by: str
    """Who gave the order, as it says."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CameOnline(RegistrationEvent):
    """An instance that an operator had taken out of service takes calls again."""


# -- the published IDL


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IdlEvent(Event):
    """Something that has happened to the publication of the IDL that this process serves."""

    service: str
    interface: str
    digest: str
    """The SHA-256 of the IDL's text, in hex."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IdlPublished(IdlEvent):
    """The text of an IDL is in ZooKeeper, written by this process or another one."""

    size: int
    """Bytes that it takes there, compressed."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class IdlRefused(IdlEvent):
    """The text of an IDL could not be published; it is served all the same."""

    reason: str


# -- elections


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ElectionEvent(Event):
    """Something that has happened in the election of a group's primary, as one of its candidates sees it."""

    service: str
    group: str
    instance: str
    """The candidate's worker id."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Elected(ElectionEvent):
    """A candidate has won an election; ``on_elected`` runs, and calls for the primary wait until it has returned."""

    epoch: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Synchronised(ElectionEvent):
    """An elected primary serves calls from now on: its ``on_elected`` has returned, and it has a lease."""

    epoch: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deposed(ElectionEvent):
    """A primary has stopped serving, or has lost its epoch before it served; ``on_deposed`` runs."""

    epoch: int
    reason: str
    """As the history of primaries has it, such as ``lease ended`` or ``handed over``."""
    voluntary: bool
    """Whether the primary left on purpose, so that a successor need not wait."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PrimaryChanged(ElectionEvent):
    """A candidate has learnt of another primary of its group, or that there is none."""

    primary: str
    """The worker id; empty while there is no primary."""
    endpoint: str
    epoch: int | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CandidacyEnded(ElectionEvent):
    """A candidate has withdrawn from its election: none of its nodes are left there."""


# -- a server


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerEvent(Event):
    """Something that has happened at a server."""

    service: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStarted(ServerEvent):
    """A server accepts calls from now on."""

    endpoint: str
    """The address at which it listens; empty if it does not listen."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrainStarted(ServerEvent):
    """A server has begun to stop, gracefully or at once."""

    calls: int
    """The number of handlers that run, and of requests that wait for a place."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DrainStepTaken(ServerEvent):
    """A server has done one step of its stop; :mod:`zkrpc.server.lifecycle` has all steps, in their order."""

    step: str
    """The step's name in lower case, such as ``hand_over``, ``withdraw`` or ``close_idle``."""
    seconds: float
    """How long it took."""
    error: str = ""
    """Why the step failed, empty if it did not; the stop goes on."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerStopped(ServerEvent):
    """A server has stopped."""

    seconds: float
    """Seconds since it began to stop."""
    calls: int
    """The number of handlers that had not ended."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerConnected(ServerEvent):
    """A server has accepted a connection."""

    peer: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerRefused(ServerEvent):
    """A server has closed a connection at once, because ``max_connections`` were open."""

    peer: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailed(ServerEvent):
    """A server has closed a connection that was to do TLS, because its handshake came to nothing."""

    peer: str
    reason: str
    """``plain`` if the peer speaks no TLS, ``certificate`` if it shows none that is accepted, ``slow`` if it takes too
    long, ``crowded`` if it gave way to others, ``tls`` for everything else."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PeerDisconnected(ServerEvent):
    """A connection of a server has ended."""

    peer: str
    seconds: float
    """How long it was open."""
    reason: str = ""
    """What was wrong; empty for a normal end."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestFinished(ServerEvent):
    """A server has run a request, and has its answer if one is due."""

    interface: str
    method: str
    """The IDL's name; ``OTHER`` if the IDL has no such method."""
    peer: str
    caller: str
    """What the peer's program goes by: its own word, or ``_OTHER``, or ``unnamed:`` and a kind of address. There are at
    most some hundred at a time."""
    queued: float
    """Seconds from the request's last byte until it was dispatched."""
    seconds: float
    """Seconds from the dispatch to the answer: the time of the handler and its interceptors."""
    error: str = ""
    declared: bool = False
    executed: str = "yes"
    """Whether the handler ran, as it is reported to the caller."""
    epoch: int | None = None
    """The epoch of the primary that served it; None outside primary-only methods."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(ServerEvent):
    """A server has answered a request without dispatching it: there was no place for it, its time in the queue ran out,
    or its caller may not make it."""

    interface: str
    method: str
    """The IDL's name; ``OTHER`` if the IDL has no such method."""
    peer: str
    caller: str
    """What the peer's program goes by: its own word, or ``_OTHER``, or ``unnamed:`` and a kind of address. There are at
    most some hundred at a time."""
    queued: float
    """Seconds since the request's last byte."""
    error: str
    """``Overloaded``, ``Draining``, ``DeadlineExceeded`` or ``PermissionDenied``; also of a oneway request, whose
    caller is not told."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateEvent(Event):
    """Something that has happened to the files of a certificate for TLS."""

    service: str
    """The service that is served or called with it."""
    side: str
    """``server`` or ``client``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReloaded(CertificateEvent):
    """The files have changed, and new connections use what is in them now."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CertificateRejected(CertificateEvent):
    """The files have changed, and what is in them cannot be used: new connections use what was in them before, which
    is told once until that has ended."""

    reason: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HubBlocked(Event):
    """The event loop of this process was blocked; no call was served meanwhile."""

    seconds: float
    place: str
    """Where it was blocked, as far as that could be found out."""
