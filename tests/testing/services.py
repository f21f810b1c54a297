"""The services that the tests of every kind of Loopback serve in memory."""

from __future__ import annotations

import threading

import zkrpc
from tests.support.echo import EchoHandler, idl

FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)
SERVICE = zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=FAST)
COUNTERS = zkrpc.idl.load_text("""
    service Counter { i64 add(1: i64 amount) (zkrpc.primary = "true"), string where() }
    service Other { string where() }
    """)


class Counter:
    """Counts at the primary, and says in which thread."""

    def __init__(self) -> None:
        self.count = 0

    def add(self, amount: int) -> int:
        self.count += amount
        return self.count

    async def where(self) -> str:
        return threading.current_thread().name
