"""What follows for a connection when its server gives no sign of life, and when it does again; and who is told.

The machine in :mod:`zkrpc.wire.keepalive` concludes; this carries it out: it asks, tells the owner, and lets go of the
calls that may be made elsewhere. It knows nothing of sockets.

A server that is not zkrpc's cannot be asked, and may take as long as it likes for an answer. Only one that has never
sent a byte on the connection, though it owes one, is taken for silent when nothing comes: what listens there may not
speak Thrift at all. That is only a suspicion, so it is left where somebody else can do the work, and not given up.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Generic, Protocol, TypeVar

from zkrpc.client.waiting import Waiter
from zkrpc.outbox import Outbox
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.keepalive import Keepalive, KeepalivePolicy, Verdict

_LOOKS = 3
"""Looks in a row that must have found a server not reading."""


class Watched(Protocol):
    """What a pulse needs of its connection."""

    silent: bool

    def flush_soon(self) -> None:
        """Sends what is buffered at the end of this turn of the loop."""

    def lose(self, calls: Iterable[tuple[Waiter, bool]], reason: str) -> None:
        """Ends the waits for calls, of which each says whether it had left."""

    def close(self, reason: str) -> None:
        """Ends all of it."""


WatchedT = TypeVar("WatchedT", bound=Watched)
ToldT = TypeVar("ToldT", contravariant=True)


class ConnectionOwner(Protocol[ToldT]):
    """Who wants to know what becomes of a connection: the subchannel to one member, as a rule. No method may block."""

    keepalive: KeepalivePolicy | None
    """When its silence means what; None if nobody minds."""

    def connection_silent(self, connection: ToldT, /) -> None:
        """The server gives no sign of life; said again from time to time."""

    def may_leave_unheard(self, connection: ToldT, /) -> bool:
        """Whether calls may leave a server that has not sent a byte yet and cannot be asked: others could take them."""

    def connection_heard(self, connection: ToldT, /) -> None:
        """A silent server does again."""

    def connection_draining(self, connection: ToldT, /) -> None:
        """The server asked for no more calls; those in flight go on."""

    def connection_closed(self, connection: ToldT, /) -> None:
        """It is closed, by whichever side."""


def make_pulse(
    connection: WatchedT, protocol: ClientProtocol, owner: ConnectionOwner[WatchedT], now: float
) -> Pulse[WatchedT] | None:
    """What looks after the silence of a connection; None if its owner does not mind."""
    if owner.keepalive is None:
        return None
    return (Pulse if protocol.is_zkrpc else FirstByte)(connection, protocol, owner, owner.keepalive, now)


class Pulse(Generic[WatchedT]):
    """Looks after the silence of one connection, whose ``silent`` it sets."""

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
        """In the hub, about ten times a second while the connection is open: is the server there, and does it read?"""
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
        """Whether the server has not read for too long, whatever it says meanwhile. We may have been stopped ourselves:
        what several looks in a row have seen is true."""
        self._stalled = self._stalled + 1 if outbox.has_stalled(now, self._patience) else 0
        return self._stalled > _LOOKS

    def _let_go(self) -> None:
        """Ends the waits for calls that may be made elsewhere."""
        waiting, cancel = self._protocol.waiting(), self._protocol.cancel_call
        left = [(waiter, cancel(call_id)) for call_id, waiter in waiting if waiter.movable]
        self._connection.flush_soon()
        self._connection.lose(left, "no sign of life")


class FirstByte(Pulse[WatchedT]):
    """The same for a server that cannot be asked, until its first byte."""

    __slots__ = ("_opened_at",)

    def __init__(
        self,
        connection: WatchedT,
        protocol: ClientProtocol,
        owner: ConnectionOwner[WatchedT],
        policy: KeepalivePolicy,
        now: float,
    ) -> None:
        super().__init__(connection, protocol, owner, policy, now)
        self._opened_at = protocol.last_heard_at

    def look(self, now: float, outbox: Outbox) -> None:
        """In the hub, as for others. Silence only counts while something is owed."""
        if self._has_stalled(now, outbox):
            self._connection.close("the server does not read")
            return
        protocol, connection = self._protocol, self._connection
        heard = protocol.last_heard_at != self._opened_at
        if not connection.silent and (heard or not protocol.pending):
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
