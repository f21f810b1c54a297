"""zkrpc for asyncio: a task for each caller, and one stub of ``zkrpc.aio`` for all of them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from typing import Any

import zkrpc.aio
from bench import values
from bench.load_aio import AsyncCall, AsyncClient
from bench.peers.zkrpc_stack import idl, serve

__all__ = ["make_client", "serve"]


class Client(AsyncClient):
    """All callers use one stub, and so one connection."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.arguments = values.arguments(idl.Order, idl.Item)

    def expected(self, workload: str) -> Any:
        """The argument."""
        return (*self.arguments[workload], None)[0]

    @contextlib.asynccontextmanager
    async def calls(self, workload: str, callers: int) -> AsyncIterator[list[AsyncCall]]:
        """As connected."""
        async with zkrpc.aio.connect(idl.Bench, [self.address]) as stub:
            yield [functools.partial(getattr(stub, workload), *self.arguments[workload])] * callers

    async def idle_connections(self, count: int) -> list[Any]:
        """A stub each."""
        stubs = [await zkrpc.aio.connect(idl.Bench, [self.address]) for _ in range(count)]
        for stub in stubs:
            await stub.ping()
        return stubs


make_client = Client
