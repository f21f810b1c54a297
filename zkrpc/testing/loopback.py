"""A service and its clients in one process without sockets: the real stacks of both sides over memory.

Stub, retries, picking, wire machines, server, admission and handler all run; only the kernel's part is left out.
Replicas can be added, drained and killed, so that a test of an application can see how it behaves when an instance
goes. If the service has primary-only methods, its replicas elect a primary as they do in production, but with a referee
in memory in the place of ZooKeeper (:mod:`zkrpc.testing.electorate`). A service that says whether it is ready and
healthy is asked as in production: before it is listed, and again and again from then on. Rules of
:class:`~zkrpc.testing.faults.Faults` know the replicas as ``replica-0``, ``replica-1`` and so on at the server, and as
``memory:0``, ``memory:1`` and so on at the client.
"""

from __future__ import annotations

import dataclasses
import errno
import functools
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from zkrpc.call import Call, Interceptor
from zkrpc.caller import Caller
from zkrpc.client.client import Client
from zkrpc.client.connection import Connection
from zkrpc.client.naming import Naming
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.pulse import ConnectionOwner
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig, WireLimits
from zkrpc.election.elections import Elections
from zkrpc.endpoint import DEFAULT_GROUP, Endpoint, Instance, Primary, Snapshot
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import ClientT
from zkrpc.idl.served import services_of
from zkrpc.server.health_check import await_readiness, make_check
from zkrpc.server.lifecycle import Step
from zkrpc.server.server import Server
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.tracer import find_tracer
from zkrpc.testing.electorate import Electorate
from zkrpc.testing.faults import place
from zkrpc.testing.memory import memory_pair
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Dialect

OtherT = TypeVar("OtherT")

_HOST = "memory"
_MOVE_TIMEOUT = 10.0


def _name(number: int) -> str:
    return f"replica-{number}"


def _number(name: str) -> int:
    return int(name.rpartition("-")[2])


class LoopbackMembers:
    """A resolver whose members the test sets."""

    def __init__(self, service: str) -> None:
        self.snapshot = Snapshot(service=service)
        self._callbacks: list[Callable[[Snapshot], None]] = []

    def become(self, instances: list[Instance]) -> None:
        """Sets the list and tells all subscribers."""
        self.snapshot = Snapshot(service=self.snapshot.service, instances=tuple(instances))
        for callback in list(self._callbacks):
            callback(self.snapshot)

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        """Calls back with every list from now on; returns what ends that."""
        self._callbacks.append(callback)
        return lambda: self._callbacks.remove(callback)

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """The list, without waiting."""
        return self.snapshot

    def close(self) -> None:
        """Nothing to free."""


class ElectingMembers(LoopbackMembers):
    """Members that elect primaries: a resolver that also tells who leads."""

    def __init__(self, service: str) -> None:
        super().__init__(service)
        self.electorate = Electorate(service, self._receive_primary)
        self._followers: list[tuple[str, Callable[[Primary | None], None]]] = []

    def follow_primary(self, group: str, callback: Callable[[Primary | None], None], /) -> Callable[[], object]:
        """Calls back with whoever leads the group, now and from now on; returns what ends that."""
        follower = (group, callback)
        self._followers.append(follower)
        self.electorate.follow(group, callback)
        return lambda: self._followers.remove(follower)

    def _receive_primary(self, group: str, primary: Primary | None) -> None:
        for followed, callback in list(self._followers):
            if followed == group:
                callback(primary)


class Loopback(Generic[ClientT]):
    """Replicas of a service in memory; a context manager that gives a stub.

    Args:
        service: what to serve; each replica makes its own handler if the service has a class or a function for it.
        replicas: how many to begin with, numbered from 0.
        config: of the client.
        interceptors: of the client, run around every call, the first one outermost.
        seed: what the client's picking begins with, so that a test can be repeated.
        group_of: names the group of primaries that a call belongs to, as for ``zkrpc.connect``.
        elect: whether replicas elect a primary, if the service has methods for one. With False, interceptors of the
            service may say who leads, in tests of what callers do then.
        observers: told of everything at the client and, beside the service's own, at every replica.

    Raises ConfigError if a replica is not ready and healthy within the service's ``ready_timeout``, as ``zkrpc.serve``
    does.
    """

    def __init__(
        self,
        service: Service[ClientT],
        *,
        replicas: int = 1,
        config: ClientConfig | None = None,
        interceptors: Iterable[Interceptor[Call]] = (),
        seed: int = 0,
        group_of: GroupOf | None = None,
        elect: bool = True,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.service = service
        observers = tuple(observers)
        self._observers = gather((*service.observers, *observers))
        self.handlers: dict[int, Any] = {}
        """The handler of each replica that lives, by its number."""
        self._servers: dict[int, Server] = {}
        self._candidacies: dict[int, Elections] = {}
        self._listed: dict[int, Instance] = {}
        self._next = 0
        self._electorate: Electorate | None = None
        if elect:
            electing = ElectingMembers(service.name)
            self._members: LoopbackMembers = electing
            self._electorate = electing.electorate
        else:
            self._members = LoopbackMembers(service.name)
        try:
            for _ in range(replicas):
                self.add()
        except BaseException:
            self._end_all()
            raise
        self._make_client: Callable[..., Client] = functools.partial(
            Client,
            self._members,
            config=config,
            interceptors=tuple(interceptors),
            group_of=group_of,
            rng=random.Random(seed).random,
            dial=self._dial,
            observers=observers,
        )
        self._clients: list[Client] = []
        self.stub: ClientT = self.connect(service.interface)

    def __enter__(self) -> ClientT:
        """The stub."""
        return self.stub

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    def __repr__(self) -> str:
        """Service and replicas."""
        return f"<Loopback {self.service.name!r} replicas={sorted(self._servers)}>"

    def add(self) -> int:
        """Starts one more replica, lists it once it is ready and healthy, and has it stand for election; returns its
        number.

        Raises ConfigError if it is not ready within the service's ``ready_timeout``.
        """
        number, self._next = self._next, self._next + 1
        service, handler, name = self.service, self.service.make_handler(), _name(number)
        elections = Elections(service.served, handler, service.groups, service.election, self._observers)
        guards, methods = (elections.interceptors, elections.methods) if self._electorate is not None else ((), ())
        hook, on_change = service.health_hook(handler), functools.partial(self._turn, number)
        check = make_check(service.name, hook, service.config, on_change, time.monotonic)
        server = Server(
            service.served,
            handler,
            name=service.name,
            config=dataclasses.replace(service.config, tls=None),  # there is nobody in between to read along
            interceptors=[*(place(one, name) for one in service.interceptors), *guards],
            steps={
                **({} if check is None else dict.fromkeys((Step.MARK_NOT_READY, Step.CLOSE_CLIENTS), check.stop)),
                Step.HAND_OVER: lambda: self._hand_over(number),
                Step.WITHDRAW: lambda: self._list(number, None),
                Step.CLOSE_SESSION: lambda: self._end_session(number),
            },
            observers=self._observers,
        )
        if check is not None:
            server.health.require(lambda: check.reason or None)
        for group in elections.groups:
            server.health.require_to_lead(group, functools.partial(elections.doubt, group))
        await_readiness(service.name, service.is_ready, check, service.ready_timeout, time.monotonic)
        server.begin()
        self.handlers[number], self._servers[number], self._candidacies[number] = handler, server, elections
        instance = Instance(
            id=name,
            endpoint=Endpoint(_HOST, number),
            protocols=("zkrpc",),
            services=services_of(service.served),
            primary_only=methods,
        )
        self._list(number, instance)
        if self._electorate is not None:
            self._electorate.stand(elections, instance, service.election, lambda: self._end(number))
        if check is not None:
            check.start()
        return number

    def connect(self, interface: Interface[OtherT, Any], *, multiplexed: bool | str | None = None) -> OtherT:
        """One more stub, with a client like that of ``stub`` but of its own, which ends with this object: for another
        one of the service's interfaces, or to call as ``zkrpc.connect(multiplexed=...)`` does."""
        client = self._make_client(naming=Naming(interface.name, multiplexed))
        self._clients.append(client)
        return make_stub(interface, client)

    def drain(self, number: int) -> None:
        """Stops a replica in order: it hands over what it leads, leaves the list and finishes its calls. Returns once
        it has stopped."""
        self._find(number).stop()
        self._drop(number)

    def kill(self, number: int) -> None:
        """Ends a replica as a crash would: still listed, its connections closed, new ones refused. Another replica can
        be elected at once, as when a supervisor has seen the process die; its ``on_deposed`` is not called."""
        self._find(number)
        self._end(number)

    def expire(self, number: int) -> None:
        """Expires the ZooKeeper session of a replica, as after a silence that was too long: the replica is deposed,
        learns of it, and stands for election again."""
        self._find(number)
        self._elections().expire(_name(number))

    def primary(self, group: str = DEFAULT_GROUP, timeout: float = 10.0) -> int:
        """The number of the replica that serves as primary, waiting until one does.

        Raises TimeoutError if none does within ``timeout`` seconds, ConfigError if the service has no such group.
        """
        return _number(self._elections().wait(group, timeout).instance)

    def step_down(self, group: str = DEFAULT_GROUP, *, to: int | None = None) -> None:
        """Has the primary finish its calls and hand over, to the replica ``to`` or to the one that has waited longest,
        as
        ``zkrpc primary step-down`` does. Returns when the next one serves; TimeoutError if none does within 10 s."""
        electorate = self._elections()
        before = electorate.wait(group, _MOVE_TIMEOUT)
        electorate.step_down(before.instance, group, "" if to is None else _name(to))
        electorate.wait(group, _MOVE_TIMEOUT, above=before.epoch)

    def unlist(self, number: int) -> None:
        """Takes a replica off the list, dead or alive."""
        self._list(number, None)

    def close(self) -> None:
        """Ends the client and every replica."""
        for client in self._clients:
            client.close()
        self._end_all()

    def _end_all(self) -> None:
        for number in list(self._servers):
            self._end(number)

    def _find(self, number: int) -> Server:
        if number not in self._servers:
            raise ConfigError(f"there is no replica {number}; there are {', '.join(map(str, self._servers)) or 'none'}")
        return self._servers[number]

    def _elections(self) -> Electorate:
        if self._electorate is None:
            raise ConfigError("this Loopback holds no elections: it was made with elect=False")
        return self._electorate

    def _end(self, number: int) -> None:
        """Ends a replica once, even if its own hanging ``on_deposed`` and a test both end it."""
        if number in self._servers:
            self._candidacies[number].close()
            self._servers[number].kill()
            self._drop(number)

    def _turn(self, number: int, unready: str) -> None:
        """A replica is not ready any more, or with "" it is again: says so in the list, and hands over what it
        leads."""
        if number in self._listed:
            self._list(number, dataclasses.replace(self._listed[number], unready=unready))
        if unready:
            self._candidacies[number].step_down()

    def _hand_over(self, number: int) -> None:
        self._candidacies[number].withdraw(self.service.election.hand_over_timeout)

    def _end_session(self, number: int) -> None:
        self._candidacies[number].close()
        if self._electorate is not None:
            self._electorate.end(_name(number))

    def _drop(self, number: int) -> None:
        for kept in (self._servers, self._candidacies, self.handlers):
            kept.pop(number, None)

    def _list(self, number: int, instance: Instance | None) -> None:
        if instance is None:
            self._listed.pop(number, None)
        else:
            self._listed[number] = instance
        self._members.become(list(self._listed.values()))

    def _dial(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        limits: WireLimits,
        connect_timeout: float,
        owner: ConnectionOwner[Connection],
        *,
        zkrpc: bool,
        clock: Callable[[], float],
        caller: Caller,
    ) -> Connection:
        server = self._servers.get(endpoint.port)
        if server is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        ours, theirs = memory_pair()
        server.adopt(theirs, "memory:0")
        protocol = ClientProtocol(
            dialect, limits, clock(), zkrpc=zkrpc, traces=find_tracer() is not None, caller=caller
        )
        return Connection(ours, endpoint, protocol, owner, clock)
