"""grpcio, the blocking kind: a pool of threads on the server, a thread per caller on one channel of the client."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import bench_pb2
import bench_pb2_grpc
import grpc

from bench import values
from bench.load import BlockingClient, Threads

WORKERS = 16
"""Threads of the server; more and fewer, from 10 to 64, make no difference that could be measured."""


class Servicer(bench_pb2_grpc.BenchServicer):  # type: ignore[misc]  # generated
    """Gives back what it was given."""

    def _same(self, request: Any, context: Any) -> Any:
        return request

    ping = echo = rich = blob = _same


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    server = grpc.server(ThreadPoolExecutor(max_workers=WORKERS))
    bench_pb2_grpc.add_BenchServicer_to_server(Servicer(), server)
    ready(server.add_insecure_port("127.0.0.1:0"))
    server.start()
    threading.Event().wait()


def messages() -> dict[str, Any]:
    """What is sent, and comes back."""
    return {
        "ping": bench_pb2.Nothing(),
        "echo": bench_pb2.Text(text=values.TEXT),
        "rich": values.order(bench_pb2.Order, bench_pb2.Item),
        "blob": bench_pb2.Blob(data=values.BLOB),
    }


class Client(BlockingClient):
    """All callers use one stub on one channel."""

    tasks = Threads()

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.messages = messages()

    def expected(self, workload: str) -> Any:
        """The message."""
        return self.messages[workload]

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with grpc.insecure_channel(self.address) as channel:
            stub = bench_pb2_grpc.BenchStub(channel)
            call = functools.partial(getattr(stub, workload), self.messages[workload])
            yield [call] * callers

    def idle_connections(self, count: int) -> list[Any]:
        """A channel each, kept from sharing one connection, as channels to the same place otherwise do."""
        options = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel(self.address, options) for _ in range(count)]
        for channel in channels:
            bench_pb2_grpc.BenchStub(channel).ping(bench_pb2.Nothing())
        return channels


make_client = Client
