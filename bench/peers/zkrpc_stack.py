"""zkrpc as its users have it: everything on, deadlines, retries and their budget, breaker, balancing."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import zkrpc
from bench import values
from bench.load import BlockingClient

idl = zkrpc.load(Path(__file__).parents[1] / "bench.thrift")


class Handler:
    """Gives back what it was given."""

    def ping(self) -> None:
        """Nothing."""

    def echo(self, text: str) -> str:
        """The text."""
        return text

    def rich(self, order: Any) -> Any:
        """The order."""
        return order

    def blob(self, data: bytes) -> bytes:
        """The bytes."""
        return data


def serve(
    ready: Callable[[int], None], handler: Callable[[], Any] = Handler, config: zkrpc.ServerConfig | None = None
) -> None:
    """Serves until the process ends."""
    app = zkrpc.serve(zkrpc.Service(idl.Bench, handler, config=config))
    ready(app.endpoint.port)
    app.wait_stopped()


class Client(BlockingClient):
    """All callers use one stub, and so one connection."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.arguments = values.arguments(idl.Order, idl.Item)

    def expected(self, workload: str) -> Any:
        """The argument."""
        return (*self.arguments[workload], None)[0]

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with zkrpc.connect(idl.Bench, [self.address]) as stub:
            call = functools.partial(getattr(stub, workload), *self.arguments[workload])
            yield [call] * callers

    def idle_connections(self, count: int) -> list[Any]:
        """A stub each."""
        stubs = [zkrpc.connect(idl.Bench, [self.address]) for _ in range(count)]
        for stub in stubs:
            stub.ping()
        return stubs


make_client = Client
