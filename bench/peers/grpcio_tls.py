"""grpcio over TLS, the blocking kind, which is the faster one."""

from __future__ import annotations

import contextlib
import functools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import bench_pb2_grpc
import grpc

from bench.children import AUTHORITY, CERTIFICATE, KEY
from bench.peers import grpcio_sync


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    server = grpc.server(ThreadPoolExecutor(max_workers=grpcio_sync.WORKERS))
    bench_pb2_grpc.add_BenchServicer_to_server(grpcio_sync.Servicer(), server)
    pair = KEY.read_bytes(), CERTIFICATE.read_bytes()
    ready(server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair])))
    server.start()
    threading.Event().wait()


class Client(grpcio_sync.Client):
    """All callers use one stub on one channel."""

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        credentials = grpc.ssl_channel_credentials(AUTHORITY.read_bytes())
        with grpc.secure_channel(self.address, credentials) as channel:
            stub = bench_pb2_grpc.BenchStub(channel)
            yield [functools.partial(getattr(stub, workload), self.messages[workload])] * callers


make_client = Client
