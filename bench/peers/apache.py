"""Apache Thrift's own Python library with its C module.

Of its servers ``TThreadedServer`` is the fastest for connections that stay; gevent has made its threads greenlets here,
see ``apache_threads`` for real ones. A client does one call at a time, so every caller has a connection of its own.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

from thrift.protocol.TBinaryProtocol import TBinaryProtocolAcceleratedFactory
from thrift.server.TServer import TThreadedServer
from thrift.transport.TSocket import TServerSocket, TSocket
from thrift.transport.TTransport import TBufferedTransportFactory

from bench import values
from bench.apache_structs import BenchClient, Item, Order, Processor
from bench.load import BlockingClient


class Handler:
    """Gives back what it was given."""

    def ping(self) -> None:
        """Nothing."""

    def _same(self, value: Any) -> Any:
        return value

    echo = rich = blob = _same


class _Listener(TServerSocket):  # type: ignore[misc]  # untyped
    """Tells its port once it listens."""

    def __init__(self, ready: Callable[[int], None]) -> None:
        super().__init__(host="127.0.0.1", port=0)
        self._ready = ready

    def listen(self) -> None:
        super().listen()
        self._ready(self.handle.getsockname()[1])


def serve(ready: Callable[[int], None], transports: Any = TBufferedTransportFactory) -> None:
    """Serves until the process ends."""
    protocols = TBinaryProtocolAcceleratedFactory()
    TThreadedServer(Processor(Handler()), _Listener(ready), transports(), protocols, daemon=True).serve()


class Client(BlockingClient):
    """A connection for each caller."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.arguments = values.arguments(Order, Item)

    def expected(self, workload: str) -> Any:
        """The argument."""
        return (*self.arguments[workload], None)[0]

    def _connect(self) -> tuple[Any, BenchClient]:
        transport = TBufferedTransportFactory().getTransport(TSocket("127.0.0.1", self.port))
        transport.open()
        return transport, BenchClient(TBinaryProtocolAcceleratedFactory().getProtocol(transport))

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        made = [self._connect() for _ in range(callers)]
        try:
            yield [functools.partial(getattr(client, workload), *self.arguments[workload]) for _, client in made]
        finally:
            for transport, _ in made:
                transport.close()

    def idle_connections(self, count: int) -> list[Any]:
        """That many clients."""
        made = [self._connect() for _ in range(count)]
        for _, client in made:
            client.ping()
        return made


make_client = Client
