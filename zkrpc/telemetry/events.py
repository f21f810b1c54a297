"""What can be observed: one class for each kind of event, named after what has happened. Pure values.

Every field is a plain value (text, number, truth, None), so ``dataclasses.asdict`` of an event can be written as JSON.
Durations are in seconds, places are ``host:port``. ``service`` is the name in the registry; of a client with a fixed
list of addresses, that list.

An ``error`` is the name of an exception's class, empty if there was none; ``declared`` tells whether the IDL declares
that exception, which makes it an answer like any other. ``executed`` is ``no``, ``maybe`` or ``yes``, as
:class:`zkrpc.errors.Executed` has it.
"""

from __future__ import annotations

import dataclasses

OTHER = "_OTHER"
"""Stands for a method that the interface does not have, as a name that a peer has made up must not become a metric's
label."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that has happened."""


# -- calls of a client


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientEvent(Event):
    """Something that has happened in a client."""

    service: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallEvent(ClientEvent):
    """Something that has happened to one call."""

    interface: str
    method: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallStarted(CallEvent):
    """A program has made a call; however many attempts it takes, it is one."""

    timeout: float
    """Seconds until its deadline."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallFinished(CallEvent):
    """A call has ended, with all its attempts and pauses."""

    seconds: float
    attempts: int
    """How many attempts were made; the second copy of a hedged call is not counted."""
    endpoint: str
    """Whom the last attempt went to; empty if to nobody."""
    error: str = ""
    """``Cancelled`` if its greenlet was killed, or interrupted by a timeout of its own."""
    declared: bool = False
    executed: str = "yes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttemptStarted(CallEvent):
    """A client is about to pick an instance for a call, and to send it there."""

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
    """Whom it went to; empty if to nobody."""
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
    """A server has done one step of its stop; :mod:`zkrpc.server.lifecycle` has all of them, in their order."""

    step: str
    """The step's name in lower case, such as ``hand_over``, ``withdraw`` or ``close_idle``."""
    seconds: float
    """How long it took."""
    error: str = ""
    """Why it could not be done; the stop goes on."""


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
    queued: float
    """Seconds from the request's last byte until it was dispatched."""
    seconds: float
    """Seconds from then on until the answer was there, which is what the handler and its interceptors took."""
    error: str = ""
    declared: bool = False
    executed: str = "yes"
    """Whether the handler ran, as the caller is told."""
    epoch: int | None = None
    """The epoch of the primary that served it; None outside primary-only methods."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(ServerEvent):
    """A server has answered a request without dispatching it: there was no place for it, or its time in the queue ran
    out."""

    interface: str
    method: str
    """The IDL's name; ``OTHER`` if the IDL has no such method."""
    peer: str
    queued: float
    """Seconds since the request's last byte."""
    error: str
    """``Overloaded``, ``Draining`` or ``DeadlineExceeded``."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HubBlocked(Event):
    """Something has kept the event loop of this process from running; no call was served meanwhile."""

    seconds: float
    place: str
    """What blocked it, as far as that could be found out."""
