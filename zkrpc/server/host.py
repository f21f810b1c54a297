"""What a connection needs of the server it belongs to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from zkrpc.config import ServerConfig
from zkrpc.server.admission import Admission
from zkrpc.server.buffers import Buffers
from zkrpc.server.dispatch import Dispatcher
from zkrpc.server.greenlet_pool import GreenletPool
from zkrpc.server.observing import RequestObserver
from zkrpc.server.shares import Shares
from zkrpc.server.turns import Turns

if TYPE_CHECKING:
    from zkrpc.server.connection import ServerConnection


class ConnectionHost(Protocol):
    """A server, as its connections see it. None of its methods may block."""

    config: ServerConfig
    dispatcher: Dispatcher
    admission: Admission
    greenlets: GreenletPool
    shares: Shares
    turns: Turns
    buffers: Buffers
    request_observer: RequestObserver | None
    """Makes events of requests that are refused; None if no observer wants them."""
    is_draining: bool
    """True once connected peers were asked to send their calls elsewhere."""
    attended: set[ServerConnection]
    """Connections add themselves here while a handler blocks on them; their ``end_overdue`` is called regularly
    then."""

    def rng(self) -> float:
        """A float in [0, 1)."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def forget(self, connection: ServerConnection) -> None:
        """The connection is closed."""
