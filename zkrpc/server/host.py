"""What a connection uses of its server; a protocol, as the server knows its connections."""

from __future__ import annotations

from typing import Any, Protocol

from zkrpc.config import ServerConfig
from zkrpc.server.accounts import Accounts, Meter
from zkrpc.server.admission import Admission
from zkrpc.server.buffers import Buffers
from zkrpc.server.built_in import BuiltIns
from zkrpc.server.call_queue import AnswerCall
from zkrpc.server.dispatch import Dispatcher
from zkrpc.server.greenlet_pool import GreenletPool
from zkrpc.server.shares import Shares
from zkrpc.server.turns import Turns
from zkrpc.wire.server import ServerProtocol


class ConnectionHost(Protocol):
    """A server, as its connections see it. None of its methods may block."""

    config: ServerConfig
    dispatcher: Dispatcher
    built_ins: BuiltIns
    admission: Admission
    accounts: Accounts
    greenlets: GreenletPool
    shares: Shares
    turns: Turns
    buffers: Buffers
    is_draining: bool
    """True once connected peers were asked to send their calls elsewhere."""
    attended: set[Any]
    """Connections add themselves here while a handler blocks on them; their ``end_overdue`` is called regularly
    then."""

    def rng(self) -> float:
        """A float in [0, 1)."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def refuser(self, answer: AnswerCall, peer: str, meter: Meter, protocol: ServerProtocol) -> AnswerCall:
        """What answers the requests of ``peer`` that are not run; ``protocol`` knows how the peer has introduced
        itself."""

    def forget(self, connection: Any) -> None:
        """The connection is closed."""
