"""grpcio on asyncio: tasks on both sides, one channel."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

import bench_pb2
import bench_pb2_grpc
import grpc.aio

from bench.load_aio import AsyncCall, AsyncClient
from bench.peers.grpcio_sync import messages


class Servicer(bench_pb2_grpc.BenchServicer):  # type: ignore[misc]  # generated
    """Gives back what it was given."""

    async def _same(self, request: Any, context: Any) -> Any:
        return request

    ping = echo = rich = blob = _same


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    asyncio.run(_serve(ready))


async def _serve(ready: Callable[[int], None]) -> None:
    server = grpc.aio.server()
    bench_pb2_grpc.add_BenchServicer_to_server(Servicer(), server)
    ready(server.add_insecure_port("127.0.0.1:0"))
    await server.start()
    await server.wait_for_termination()


class Client(AsyncClient):
    """All callers use one stub on one channel."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.messages = messages()

    def expected(self, workload: str) -> Any:
        """The message."""
        return self.messages[workload]

    @contextlib.asynccontextmanager
    async def calls(self, workload: str, callers: int) -> AsyncIterator[list[AsyncCall]]:
        """As connected."""
        async with grpc.aio.insecure_channel(self.address) as channel:
            stub = bench_pb2_grpc.BenchStub(channel)
            yield [functools.partial(getattr(stub, workload), self.messages[workload])] * callers

    async def idle_connections(self, count: int) -> list[Any]:
        """A channel each, kept from sharing one connection, as channels to the same place otherwise do."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.aio.insecure_channel(self.address, options) for _ in range(count)]
        for channel in channels:
            await bench_pb2_grpc.BenchStub(channel).ping(bench_pb2.Nothing())
        return channels


make_client = Client
