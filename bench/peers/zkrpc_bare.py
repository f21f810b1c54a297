"""zkrpc without its stack: a ``Connection`` to the same server, and the codec. What the stack costs is the difference.

A deadline is all that is left: a connection takes no call without one.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench.peers import zkrpc_stack
from bench.peers.zkrpc_stack import idl, serve
from zkrpc.client.connection import Connection
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import Dialect

__all__ = ["make_client", "serve"]

_TIMEOUT = 5.0


class _Owner:
    """Wants to know nothing."""

    keepalive: KeepalivePolicy | None = None

    def ignore(self, connection: Connection) -> None:
        """Whatever becomes of it."""

    connection_silent = connection_heard = connection_draining = connection_closed = ignore


class Client(zkrpc_stack.Client):
    """All callers use one connection."""

    def _dial(self) -> Connection:
        place = Endpoint.parse(self.address)
        return Connection.dial(place, Dialect.HEADER_BINARY, WireLimits(), _TIMEOUT, _Owner(), zkrpc=True)

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As dialled."""
        connection = self._dial()
        try:
            yield [self._call(connection, workload)] * callers
        finally:
            connection.close()

    def _call(self, connection: Connection, workload: str) -> Callable[[], object]:
        method, arguments = idl.Bench.methods[workload], self.arguments[workload]
        pack, encode, read, name = method.pack, method.encode_arguments, method.read_result, method.wire_name
        payload, clock = connection.payload, time.monotonic

        def call() -> object:
            bound, body = pack(arguments, {})
            reply = connection.call(name, encode(bound, payload) if body is None else body, clock() + _TIMEOUT)
            assert reply is not None
            return read(reply.frame, reply.offset, payload)

        return call

    def idle_connections(self, count: int) -> list[Any]:
        """That many."""
        connections = [self._dial() for _ in range(count)]
        for connection in connections:
            self._call(connection, "ping")()
        return connections


make_client = Client
