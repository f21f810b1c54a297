"""Every exception zkrpc raises, and the one fact a caller needs: was the call executed?

::

    RpcError
    ├── ConfigError · IdlError · JsonError            fix your program, or the text
    ├── ProtocolError
    │   ├── LocalProtocolError                        we asked for something the protocol forbids
    │   └── RemoteProtocolError                       the peer sent something the protocol forbids
    ├── CoordinationError                             ZooKeeper could not do what was asked
    │   ├── SessionSuspended                          not connected right now; nothing was sent
    │   ├── SessionLost                               the session ended; its ephemeral nodes are gone
    │   ├── OutcomeUnknown                            sent, but no answer: it may have happened
    │   ├── NodeMissing · NodeExists · VersionConflict ZooKeeper refused; nothing was changed
    │   ├── AccessDenied                              a node's access list does not let us; nothing was changed
    │   └── IdentityConflict                          somebody else holds the node that should be ours
    └── CallError            .executed  .endpoint  .attempts
        ├── Unavailable      NO     no instance, connect refused, client closed
        ├── Rejected         NO     the server said so before the handler ran
        │   ├── Overloaded(retry_after) · Draining · UnknownMethod · TooLarge · PermissionDenied
        │   └── NotPrimary(primary, epoch, group) · StaleEpoch(seen, current)
        ├── ConnectionLost   MAYBE  bytes left us, no answer (NO if the frame was never flushed)
        ├── DeadlineExceeded MAYBE  NO if the frame was never flushed
        ├── WrongThread · WrongProcess  NO  used where it does not belong (and a ConfigError)
        └── RemoteError      YES    the handler raised something the IDL does not declare

Exceptions that the IDL declares are answers, and are raised as themselves. ``executed`` speaks of one hop only: a
server that called out and failed re-raises as its own ``RemoteError``, because it may already have acted.
"""

from __future__ import annotations

import enum

from zkrpc.endpoint import Endpoint
from zkrpc.rpc_error import ConfigError as ConfigError
from zkrpc.rpc_error import RpcError as RpcError

_PLACE_SHOWN = 100


class Executed(enum.Enum):
    """Whether the handler ran. Retries, hedging and failover depend on this alone."""

    NO = "no"
    """Certainly not: sending it again cannot do anything twice."""
    MAYBE = "maybe"
    """Unknown: only an idempotent method may be sent again."""
    YES = "yes"
    """Certainly: never sent again by zkrpc."""


class IdlError(RpcError):
    """An IDL file is wrong. ``str()`` reads ``file:line: what is wrong, what was expected``."""

    def __init__(self, message: str, *, file: str | None = None, line: int | None = None) -> None:
        place = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{place}: {message}" if place else message)
        self.file = file
        self.line = line


class JsonError(RpcError):
    """A JSON text, or a value in it, is not what its type demands. ``str()`` reads ``$.id: expected i64, got "a"``.

    Attributes:
        path: the place, from ``$`` for the whole: ``.name`` for a field, ``[2]`` for an item, ``["key"]`` for a map's.
        problem: what is wrong there, and what was expected.
    """

    def __init__(self, problem: str, path: str = "$") -> None:
        super().__init__(problem, path)
        self.problem = problem
        self.path = path

    def inside(self, part: str) -> JsonError:
        """The same error, seen from around the value: its place is ``part`` of what is there."""
        self.path = f"${part}{self.path[1:]}"
        return self

    def __str__(self) -> str:
        """The place, its middle left out if it is very deep, and the problem."""
        path = self.path
        if len(path) > 2 * _PLACE_SHOWN:
            path = f"{path[:_PLACE_SHOWN]} ... {path[-_PLACE_SHOWN:]}"
        return f"{path}: {self.problem}"

    def __reduce__(self) -> tuple[type[JsonError], tuple[str, str]]:
        """Copies and pickles it with its place."""
        return type(self), (self.problem, self.path)


class ProtocolError(RpcError):
    """Bytes or steps that the wire protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """This program asked for something the protocol forbids; the machine's state is unchanged."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol forbids."""


class CoordinationError(RpcError):
    """ZooKeeper could not do what was asked."""


class SessionSuspended(CoordinationError):
    """Not connected to ZooKeeper right now; the request was not sent."""


class SessionLost(CoordinationError):
    """The ZooKeeper session ended, and with it every ephemeral node it owned."""


class OutcomeUnknown(CoordinationError):
    """The request was sent and no answer came: it may or may not have happened. Read before you repeat it."""


class NodeMissing(CoordinationError):
    """The znode, or its parent, is not there."""


class NodeExists(CoordinationError):
    """A znode of that name is there already."""


class VersionConflict(CoordinationError):
    """The znode is not at the version that was expected; somebody changed it."""


class AccessDenied(CoordinationError):
    """A node's access list does not let us do that. Nothing was changed. ``path`` is the node whose list it is."""

    def __init__(self, message: str, path: str = "") -> None:
        super().__init__(message)
        self.path = path


class IdentityConflict(CoordinationError):
    """A node that should be ours belongs to somebody else; neither side deletes the other's."""


class CallError(RpcError):
    """A call got no answer from a handler's declared interface.

    Attributes:
        executed: whether the handler ran.
        endpoint: the instance that was asked last, if one was.
        attempts: how many times the call was sent or tried to be sent.
    """

    default_executed = Executed.MAYBE

    def __init__(
        self,
        message: str,
        *,
        executed: Executed | None = None,
        endpoint: Endpoint | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message)
        self.executed = self.default_executed if executed is None else executed
        self.endpoint = endpoint
        self.attempts = attempts

    def __str__(self) -> str:
        """The message, and the facts an operator needs beside it."""
        place = f" at {self.endpoint}" if self.endpoint is not None else ""
        tries = f", {self.attempts} attempts" if self.attempts > 1 and self._was_tried() else ""
        return f"{super().__str__()} (executed={self.executed.name}{place}{tries})"

    def _was_tried(self) -> bool:
        """Whether the attempts are worth telling: False if there was no instance that they could go to."""
        return True


class Unavailable(CallError):
    """No instance could be reached: there is none, it refused the connection, or the client is closed.

    ``nobody`` is True if the service has no instances at all, so that a call can only wait for one; ``lasting``, if
    waiting cannot help with this instance.
    """

    default_executed = Executed.NO

    def __init__(
        self,
        message: str,
        *,
        nobody: bool = False,
        lasting: bool = False,
        executed: Executed | None = None,
        endpoint: Endpoint | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message, executed=executed, endpoint=endpoint, attempts=attempts)
        self.nobody = nobody
        self.lasting = lasting

    def _was_tried(self) -> bool:
        return self.endpoint is not None or not self.nobody or self.executed is not Executed.NO


class Rejected(CallError):
    """The server refused before the handler ran."""

    default_executed = Executed.NO


class Overloaded(Rejected):
    """The server is at its limit. ``retry_after`` is in seconds, None if it gave no hint."""

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        executed: Executed | None = None,
        endpoint: Endpoint | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message, executed=executed, endpoint=endpoint, attempts=attempts)
        self.retry_after = retry_after


class Draining(Rejected):
    """The server is stopping and takes no new calls."""


class UnknownMethod(Rejected):
    """The server does not implement this method."""


class PermissionDenied(Rejected):
    """The server's allow-lists do not have the caller's identity for this method. It is not tried elsewhere: the lists
    are the service's, and every instance has them."""


class TooLarge(Rejected, LocalProtocolError):
    """The call, or its headers, are larger than a limit; both sizes are in the text. Raised before a byte is sent where
    the limit is known, else said by the server. It is only tried again at an instance that may accept more."""


class NotPrimary(Rejected):
    """Another instance leads, or none does right now. ``primary`` is where to go and ``epoch`` since when, if known;
    ``group`` is the group of primaries that the call belongs to, if the server said so."""

    def __init__(
        self,
        message: str,
        *,
        primary: Endpoint | None = None,
        epoch: int | None = None,
        group: str | None = None,
        executed: Executed | None = None,
        endpoint: Endpoint | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message, executed=executed, endpoint=endpoint, attempts=attempts)
        self.primary = primary
        self.epoch = epoch
        self.group = group


class StaleEpoch(Rejected):
    """A primary of the epoch ``current`` got a request from a caller that has already ``seen`` a higher one: it is no
    longer the primary."""

    def __init__(
        self,
        message: str,
        *,
        seen: int,
        current: int,
        executed: Executed | None = None,
        endpoint: Endpoint | None = None,
        attempts: int = 1,
    ) -> None:
        super().__init__(message, executed=executed, endpoint=endpoint, attempts=attempts)
        self.seen = seen
        self.current = current


class ConnectionLost(CallError):
    """The connection broke while the call was in flight."""


class DeadlineExceeded(CallError):
    """The call's time ran out."""


class RemoteError(CallError):
    """The handler failed in a way the IDL does not declare; the details are in the server's log."""

    default_executed = Executed.YES


class WrongThread(CallError, ConfigError):
    """Something that belongs to one thread was used in another; nothing was done. ``docs/programs.md`` says how to use
    zkrpc from threads."""

    default_executed = Executed.NO


class WrongProcess(CallError, ConfigError):
    """Something that does not survive a fork was used in the forked child; nothing was done. ``docs/programs.md`` says
    how to use zkrpc in programs that fork."""

    default_executed = Executed.NO
