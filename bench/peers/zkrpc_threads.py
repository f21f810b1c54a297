"""zkrpc for threads: a thread for each caller, and one stub of ``zkrpc.threads`` for all of them."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import zkrpc.threads
from bench.load import Threads
from bench.peers import zkrpc_stack
from bench.peers.zkrpc_stack import idl, serve

__all__ = ["make_client", "serve"]


class Client(zkrpc_stack.Client):
    """All callers use one stub, and so one connection."""

    tasks = Threads()

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with zkrpc.threads.connect(idl.Bench, [self.address]) as stub:
            call = functools.partial(getattr(stub, workload), *self.arguments[workload])
            yield [call] * callers

    def idle_connections(self, count: int) -> list[Any]:
        """A stub each."""
        stubs: list[Any] = [zkrpc.threads.connect(idl.Bench, [self.address]) for _ in range(count)]
        for stub in stubs:
            stub.ping()
        return stubs


make_client = Client
