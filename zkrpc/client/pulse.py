"""What follows for a connection when its server gives no sign of life, and when it does again.

The machine in :mod:`zkrpc.wire.keepalive` concludes; this carries it out: it asks, tells the owner, and lets go of the
calls that may be made elsewhere. It knows nothing of sockets.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.keepalive import Keepalive, KeepalivePolicy, Verdict

if TYPE_CHECKING:
    from zkrpc.client.connection import Connection
    from zkrpc.client.owner import ConnectionOwner


class Pulse:
    """Looks after the silence of one connection, whose ``silent`` it sets."""

    __slots__ = ("_connection", "_keepalive", "_owner", "_protocol")

    def __init__(
        self,
        connection: Connection,
        protocol: ClientProtocol,
        owner: ConnectionOwner,
        policy: KeepalivePolicy,
        now: float,
    ) -> None:
        self._connection = connection
        self._protocol = protocol
        self._owner = owner
        self._keepalive = Keepalive(policy, now)

    def __repr__(self) -> str:
        """State and silence."""
        return f"<Pulse {self._keepalive!r}>"

    def look(self, now: float) -> None:
        """In the hub, about ten times a second while the connection is open: is the server still there?"""
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

    def _let_go(self) -> None:
        """Ends the waits for calls that may be made elsewhere."""
        waiting, cancel = self._protocol.waiting(), self._protocol.cancel_call
        left = [(waiter, cancel(call_id)) for call_id, waiter in waiting if waiter.movable]
        self._connection.flush_soon()
        self._connection.lose(left, "no sign of life")
