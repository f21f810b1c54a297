"""thriftpy2 on gevent: the threads of its server become greenlets, and its Cython codec and transport are in use.

A client does one call at a time, so every caller has a connection of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import thriftpy2
from thriftpy2.protocol import TCyBinaryProtocolFactory
from thriftpy2.rpc import make_client as make_thrift_client
from thriftpy2.server import TThreadedServer
from thriftpy2.thrift import TProcessor
from thriftpy2.transport import TCyBufferedTransportFactory, TServerSocket

from bench import values
from bench.load import BlockingClient

idl = thriftpy2.load(str(Path(__file__).parents[1] / "bench.thrift"), module_name="bench_thrift")


class Handler:
    """Gives back what it was given."""

    def ping(self) -> None:
        """Nothing."""

    def _same(self, value: Any) -> Any:
        return value

    echo = rich = blob = _same


class _Listener(TServerSocket):
    """Tells its port once it listens."""

    def __init__(self, ready: Callable[[int], None]) -> None:
        # Without a timeout, so that connections may be idle; a socket with one is not faster either.
        super().__init__(host="127.0.0.1", port=0, client_timeout=None)
        self._ready = ready

    def listen(self) -> None:
        super().listen()
        self._ready(self.sock.getsockname()[1])


def serve(ready: Callable[[int], None], transport: Any = TCyBufferedTransportFactory) -> None:
    """Serves until the process ends. What ``make_server`` makes, but for the free port that it cannot take."""
    server = TThreadedServer(
        TProcessor(idl.Bench, Handler()),
        _Listener(ready),
        itrans_factory=transport(),
        iprot_factory=TCyBinaryProtocolFactory(),
    )
    server.serve()


class Client(BlockingClient):
    """A connection for each caller."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.arguments = values.arguments(idl.Order, idl.Item)

    def _connect(self) -> Any:
        client = make_thrift_client(
            idl.Bench,
            "127.0.0.1",
            self.port,
            proto_factory=TCyBinaryProtocolFactory(),
            trans_factory=TCyBufferedTransportFactory(),
            timeout=30_000,
        )
        return client

    def expected(self, workload: str) -> Any:
        """The argument."""
        return (*self.arguments[workload], None)[0]

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        clients = [self._connect() for _ in range(callers)]
        try:
            yield [functools.partial(getattr(one, workload), *self.arguments[workload]) for one in clients]
        finally:
            for one in clients:
                one.close()

    def idle_connections(self, count: int) -> list[Any]:
        """That many clients."""
        clients = [self._connect() for _ in range(count)]
        for one in clients:
            one.ping()
        return clients


make_client = Client
