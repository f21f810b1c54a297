"""What is done about a connection whose server gives no sign of life, and when it gives one again.

The machine in :mod:`zkrpc.wire.keepalive` decides; this module carries that out: it sends pings, informs the owner, and
ends the waits of calls that may be made elsewhere. It knows nothing of sockets.

A server that is not zkrpc's does not answer pings, and may take any time for an answer. It counts as silent only if it
has never sent a byte on the connection although calls wait for answers: what listens there may not speak Thrift at all.
As that is only a suspicion, calls leave it only if another member can take them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from zkrpc.client.waiting import Waiter
from zkrpc.outbox import Outbox
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.keepalive import Keepalive, KeepalivePolicy, Verdict

_LOOKS = 3
"""The number of looks in a row that must have found that a server does not read."""


class Watched(Protocol):
    """The part of a connection that a pulse uses."""

    silent: bool

    def flush_soon(self) -> None:
        """Sends what is buffered at the end of this turn of the loop."""

    def lose(self, calls: Iterable[tuple[Waiter, bool]], reason: str) -> None:
        """Ends the waits for calls; each comes with whether it was sent."""

    def close(self, reason: str) -> None:
        """Closes the connection."""


WatchedT = TypeVar("WatchedT", bound=Watched)
ToldT = TypeVar("ToldT", contravariant=True)


class ConnectionOwner(Protocol[ToldT]):
    """The owner of a connection, normally a subchannel, which is informed of its changes. No method may block."""

    keepalive: KeepalivePolicy | None
    """After which silence what is done; None for no keepalive."""

    def connection_silent(self, connection: ToldT, /) -> None:
        """The server gives no sign of life; called again from time to time while that lasts."""

    def may_leave_unheard(self, connection: ToldT, /) -> bool:
        """Whether calls may leave a server that has not sent a byte yet and answers no pings, because other members can
        take them."""

    def connection_heard(self, connection: ToldT, /) -> None:
        """A silent server has sent something again."""

    def connection_draining(self, connection: ToldT, /) -> None:
        """The server announced that it drains; calls in flight go on."""

    def connection_closed(self, connection: ToldT, /) -> None:
        """The connection is closed, by either side."""


def make_pulse(
    connection: WatchedT, protocol: ClientProtocol, owner: ConnectionOwner[WatchedT], now: float
) -> Pulse[WatchedT] | None:
    """Makes the pulse of a connection; None if its owner has no keepalive policy."""
    if owner.keepalive is None:
        return None
    return (Pulse if protocol.is_zkrpc else FirstByte)(connection, protocol, owner, owner.keepalive, now)


class Pulse(Generic[WatchedT]):
    """Watches one connection for silence, and sets its ``silent``."""

    __slots__ = ("_connection", "_keepalive", "_owner", "_patience", "_protocol", "_stalled")

    def __init__(
        self,
        connection: WatchedT,
        protocol: ClientProtocol,
        owner: ConnectionOwner[WatchedT],
        policy: KeepalivePolicy,
        now: float,
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._owner = owner
        self._keepalive = Keepalive(policy, now)
        self._patience = policy.timeout
        self._stalled = 0

    def __repr__(self) -> str:
        """State and silence."""
        return f"<Pulse {self._keepalive!r}>"

    def look(self, now: float, outbox: Outbox) -> None:
        """In the hub, about ten times a second while the connection is open: checks whether the server gives signs of
        life and reads."""
        if self._has_stalled(now, outbox):
            self._connection.close("the server does not read")
            return
        protocol, connection = self._protocol, self._connection
        verdict = self._keepalive.look(now, protocol.last_heard_at, protocol.pending > 0)
        if verdict is Verdict.PING:
            protocol.send_ping(now)
            connection.flush_soon()
        elif verdict is Verdict.SUSPECT:
            connection.silent = True
            self._owner.connection_silent(connection)
            self._let_go()
        elif verdict is Verdict.TRUST:
            connection.silent = False
            self._owner.connection_heard(connection)
        elif verdict is Verdict.CLOSE:
            connection.close("no sign of life")

    def _has_stalled(self, now: float, outbox: Outbox) -> bool:
        """Whether the server has not read for too long, whatever it sends meanwhile. Several looks in a row must find
        that, as this process may have been stopped itself."""
        self._stalled = self._stalled + 1 if outbox.has_stalled(now, self._patience) else 0
        return self._stalled > _LOOKS

    def _let_go(self) -> None:
        """Ends the waits for calls that may be made elsewhere."""
        waiting, cancel = self._protocol.waiting(), self._protocol.cancel_call
        left = [(waiter, cancel(call_id)) for call_id, waiter in waiting if waiter.movable]
        self._connection.flush_soon()
        self._connection.lose(left, "no sign of life")


class FirstByte(Pulse[WatchedT]):
    """The pulse of a connection to a server that answers no pings; it ends with the first byte."""

    __slots__ = ()

    def look(self, now: float, outbox: Outbox) -> None:
        """In the hub, as for other servers. Silence only counts while calls wait for answers."""
        if self._has_stalled(now, outbox):
            self._connection.close("the server does not read")
            return
        protocol, connection = self._protocol, self._connection
        if not connection.silent and (protocol.is_heard or not protocol.pending):
            return
        verdict = self._keepalive.look(now, protocol.last_heard_at, protocol.pending > 0)
        if verdict in (Verdict.SUSPECT, Verdict.CLOSE) and self._owner.may_leave_unheard(connection):
            connection.silent = True
            self._owner.connection_silent(connection)
            self._let_go()
            if not protocol.pending:
                connection.close("not a byte came")
        elif verdict is Verdict.TRUST:
            connection.silent = False
            self._owner.connection_heard(connection)
