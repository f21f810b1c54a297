"""What a connection tells its owner: the subchannel to one member, as a rule."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zkrpc.wire.keepalive import KeepalivePolicy

if TYPE_CHECKING:
    from zkrpc.client.connection import Connection


class ConnectionOwner(Protocol):
    """Who wants to know what becomes of a connection. No method may block."""

    keepalive: KeepalivePolicy | None
    """When its silence means what; None if nobody minds."""

    def connection_silent(self, connection: Connection, /) -> None:
        """The server gives no sign of life; said again from time to time."""

    def may_leave_unheard(self, connection: Connection, /) -> bool:
        """Whether calls may leave a server that has not sent a byte yet and cannot be asked: others could take them."""

    def connection_heard(self, connection: Connection, /) -> None:
        """A silent server does again."""

    def connection_draining(self, connection: Connection, /) -> None:
        """The server asked for no more calls; those in flight go on."""

    def connection_closed(self, connection: Connection, /) -> None:
        """It is closed, by whichever side."""
