"""A service and its clients in one process without sockets: the real stacks of both sides over memory.

Stub, retries, picking, wire machines, server, admission and handler all run; only the kernel's part is left out.
Replicas can be added, drained and killed, so that a test of an application can see how it behaves when an instance
goes. Rules of :class:`~zkrpc.testing.faults.Faults` know the replicas as ``replica-0``, ``replica-1`` and so on at the
server, and as ``memory:0``, ``memory:1`` and so on at the client.
"""

from __future__ import annotations

import errno
import random
from collections.abc import Callable, Iterable
from typing import Any

from zkrpc.call import Call, Interceptor
from zkrpc.client.client import Client
from zkrpc.client.connection import Connection, ConnectionOwner
from zkrpc.client.following import GroupOf
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig, WireLimits
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.server.server import Server
from zkrpc.service import Service
from zkrpc.testing.faults import place
from zkrpc.testing.memory import memory_pair
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Dialect

_HOST = "memory"


class LoopbackMembers:
    """A resolver whose members are what the test says."""

    def __init__(self, service: str) -> None:
        self.snapshot = Snapshot(service=service)
        self._callbacks: list[Callable[[Snapshot], None]] = []

    def become(self, instances: list[Instance]) -> None:
        """Tells everybody the new list."""
        self.snapshot = Snapshot(service=self.snapshot.service, instances=tuple(instances))
        for callback in list(self._callbacks):
            callback(self.snapshot)

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        """Calls back with every list from now on; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """The list, at once."""
        return self.snapshot

    def close(self) -> None:
        """Nothing to free."""


class Loopback:
    """Replicas of a service in memory; a context manager that gives a stub.

    Args:
        service: what to serve; each replica makes its own handler if the service has a class or a function for it.
        replicas: how many to begin with, numbered from 0.
        config: of the client.
        interceptors: of the client, run around every call, the first one outermost.
        seed: what the client's picking begins with, so that a test can be repeated.
        group_of: names the group of primaries that a call belongs to, as for ``zkrpc.connect``.
    """

    def __init__(
        self,
        service: Service,
        *,
        replicas: int = 1,
        config: ClientConfig | None = None,
        interceptors: Iterable[Interceptor[Call]] = (),
        seed: int = 0,
        group_of: GroupOf | None = None,
    ) -> None:
        self.service = service
        self.handlers: dict[int, Any] = {}
        """The handler of each replica that lives, by its number."""
        self._servers: dict[int, Server] = {}
        self._listed: dict[int, Instance] = {}
        self._next = 0
        self._members = LoopbackMembers(service.name)
        for _ in range(replicas):
            self.add()
        rng = random.Random(seed).random
        client = Client(
            self._members, config=config, interceptors=interceptors, group_of=group_of, rng=rng, dial=self._dial
        )
        self.stub = make_stub(service.interface, client)
        self._client = client

    def __enter__(self) -> Any:
        """The stub."""
        return self.stub

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    def __repr__(self) -> str:
        """Service and replicas."""
        return f"<Loopback {self.service.name!r} replicas={sorted(self._servers)}>"

    def add(self) -> int:
        """Starts one more replica, and lists it; returns its number."""
        number, self._next = self._next, self._next + 1
        handler = self.handlers[number] = self.service.make_handler()
        name = f"replica-{number}"
        interceptors = [place(one, name) for one in self.service.interceptors]
        server = Server(self.service.interface, handler, config=self.service.config, interceptors=interceptors)
        server.begin()
        self._servers[number] = server
        self._list(number, Instance(id=name, endpoint=Endpoint(_HOST, number), protocols=("zkrpc",)))
        return number

    def drain(self, number: int) -> None:
        """Takes a replica off the list and stops it in order; returns when it has stopped."""
        self._list(number, None)
        self._servers[number].stop()
        self._drop(number)

    def kill(self, number: int) -> None:
        """Ends a replica as a crash would: still listed, its connections closed, new ones refused."""
        self._servers[number].kill()
        self._drop(number)

    def unlist(self, number: int) -> None:
        """Takes a replica off the list, dead or alive."""
        self._list(number, None)

    def close(self) -> None:
        """Ends the client and every replica."""
        self._client.close()
        for number in list(self._servers):
            self.kill(number)

    def _drop(self, number: int) -> None:
        del self._servers[number], self.handlers[number]

    def _list(self, number: int, instance: Instance | None) -> None:
        self._listed.pop(number, None)
        if instance is not None:
            self._listed[number] = instance
        self._members.become(list(self._listed.values()))

    def _dial(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        limits: WireLimits,
        connect_timeout: float,
        owner: ConnectionOwner,
        *,
        zkrpc: bool,
        clock: Callable[[], float],
    ) -> Connection:
        server = self._servers.get(endpoint.port)
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        ours, theirs = memory_pair()
        server.adopt(theirs, "memory:0", watch=theirs.watcher)
        protocol = ClientProtocol(dialect, limits, clock(), zkrpc=zkrpc)
        return Connection(ours, endpoint, protocol, owner, clock, watch=ours.watcher)
