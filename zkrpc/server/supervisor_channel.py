"""The socket pair between a worker and its supervisor: the worker's end, and how its reports are read.

A report is a JSON object on a line; the worker writes it here, and its supervisor reads it with :func:`read_report`.
The supervisor writes nothing; the worker only notices its end.
"""

from __future__ import annotations

import contextlib
import enum
import json
import os
import socket
from typing import NamedTuple

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.server.startup import StartFailure


class OpenedSession(NamedTuple):
    """The worker has a ZooKeeper session, the last one that it told of."""

    number: int
    password: bytes


class Moved(NamedTuple):
    """The ZooKeeper servers are no longer those of the connect string alone."""

    servers: tuple[Endpoint, ...]
    """All that are dialled, those of the ensemble as it is now first."""


class Bound(NamedTuple):
    """How long finishing the worker's calls may take, once it is asked for."""

    seconds: float


class AdminDoor(NamedTuple):
    """Where the worker's admin door is."""

    endpoint: Endpoint


class Accepted(NamedTuple):
    """The worker was let into the registry with the IDL of this digest."""

    digest: str


class Worn(NamedTuple):
    """The worker goes on, and is to be replaced when there is a successor."""

    reason: str


class Milestone(enum.Enum):
    """How far the worker has come."""

    BEAT = "beat"
    """Its event loop runs; said again and again."""
    READY = "ready"
    """Calls are served, and callers can find it."""
    DONE = "done"
    """Nothing is left to do but to end."""


Report = OpenedSession | Moved | Bound | AdminDoor | Accepted | Worn | Milestone | StartFailure


def read_report(line: bytes) -> Report:
    """What a line means. Raises ValueError or RecursionError for one that is no report."""
    match json.loads(line):
        case {"session": [int(number), str(password)]}:
            return OpenedSession(number, bytes.fromhex(password))
        case {"servers": str(servers)}:
            return Moved(tuple(map(_read_endpoint, servers.split(","))))
        case {"bound": float(seconds)} if seconds >= 0:
            return Bound(seconds)
        case {"accepted": str(digest)} if digest.isalnum():
            return Accepted(digest)
        case {"failed": [str(summary), str(detail)]}:
            return StartFailure(summary, detail)
        case {"worn": str(reason)}:
            return Worn(reason)
        case {"beat": True}:
            return Milestone.BEAT
        case {"admin": str(place)}:
            return AdminDoor(_read_endpoint(place))
        case {"done": True}:
            return Milestone.DONE
        case {"ready": True}:
            return Milestone.READY
    raise ValueError("none of session, servers, bound, admin, accepted, ready, beat, worn, done, failed")


def _read_endpoint(text: str) -> Endpoint:
    try:
        return Endpoint.parse(text)
    except ConfigError as error:
        raise ValueError(str(error)) from None


class SupervisorChannel:
    """A worker's end of the pair: reports its ZooKeeper session, and notices when the supervisor has ended.

    ``descriptor`` is inherited from the supervisor.
    """

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._descriptor = descriptor
        os.set_inheritable(descriptor, False)

    def tell_session(self, number: int, password: bytes) -> None:
        """Reports a new ZooKeeper session; it is no error if the supervisor has ended."""
        self._tell({"session": [number, password.hex()]})

    def tell_servers(self, servers: str) -> None:
        """Reports which ZooKeeper servers are dialled from now on: ``host:port,host:port``."""
        self._tell({"servers": servers})

    def tell_bound(self, seconds: float) -> None:
        """Reports how long finishing the calls of a drain may take; to be called before any call is served."""
        self._tell({"bound": float(seconds)})

    def tell_accepted(self, digest: str) -> None:
        """Reports the digest of the IDL that is served from now on."""
        self._tell({"accepted": digest})

    def tell_beat(self) -> None:
        """Reports that the event loop runs."""
        self._tell({"beat": True})

    def tell_worn(self, reason: str) -> None:
        """Reports that this worker is to be replaced, which may be said again."""
        self._tell({"worn": reason})

    def tell_admin(self, endpoint: Endpoint) -> None:
        """Reports where the admin door is."""
        self._tell({"admin": str(endpoint)})

    def tell_done(self) -> None:
        """Reports that nothing is left to do but to exit."""
        self._tell({"done": True})

    def tell_failure(self, failure: StartFailure) -> bool:
        """Reports why this worker ends; False if the supervisor has ended and cannot log it."""
        return self._tell({"failed": [failure.summary, failure.detail]})

    def tell_ready(self) -> None:
        """Reports that this worker serves and is registered."""
        self._tell({"ready": True})

    def abandon(self) -> None:
        """In a forked child: closes the descriptor, as the supervisor would not notice the worker's end otherwise."""
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, self._descriptor, inheritable=False)
        os.close(nothing)

    def wait_for_end(self) -> None:
        """Returns when the supervisor has ended. Meant for a greenlet of its own."""
        with contextlib.suppress(OSError):
            while self._socket.recv(64):
                pass

    def _tell(self, report: dict[str, object]) -> bool:
        try:
            self._socket.sendall(json.dumps(report).encode() + b"\n")
        except OSError:
            return False
        return True
