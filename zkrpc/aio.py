"""Stubs for programs on asyncio: any number of tasks, and of event loops, share one.

::

    async with zkrpc.aio.connect(idl.Users, "users", zookeeper="127.0.0.1:2181") as users:
        await users.get(42)

    users = await zkrpc.aio.connect(idl.Users, "users", zookeeper="127.0.0.1:2181")
    ...
    await users.close()

To cancel a task that awaits a call cancels the call, at its server, too. The calls are made by a thread of zkrpc's own,
one for each process however many stubs there are (``docs/worlds.md``).
"""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, Generic, NoReturn

from zkrpc.app import connect as _connect
from zkrpc.call import Call, Interceptor
from zkrpc.client.explanation import Explanation
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.stub import Stub, make_stub
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Endpoint
from zkrpc.idl import Interface, Method
from zkrpc.idl.model import AioT
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.status import ClientStatus
from zkrpc.tls.settings import ClientTls
from zkrpc.worlds.hub_thread import hub_thread
from zkrpc.worlds.queues import closed_meanwhile
from zkrpc.worlds.remote import RemoteClient, client_of, close_in_loop, connected_in_loop, require_hosts
from zkrpc.worlds.waits import errand_of_loop, run_in_loop

__all__ = ["Connecting", "close", "connect", "explain", "status"]

_clock = time.monotonic


def connect(
    interface: Interface[Any, Any, Any, AioT],
    target: str | Sequence[str | Endpoint],
    *,
    zookeeper: str | None = None,
    config: ClientConfig | None = None,
    tls: ClientTls | None = None,
    dialect: str | None = None,
    multiplexed: bool | str | None = None,
    interceptors: Sequence[Interceptor[Call]] = (),
    group_of: GroupOf | None = None,
    snapshot_dir: str | os.PathLike[str] | None = None,
    observers: Iterable[Observer] = (),
) -> Connecting[AioT]:
    """A stub whose methods are coroutines, once it is awaited or entered by ``async with``; its options are those of
    :func:`zkrpc.connect`.

    ``zookeeper`` is a connect string, as a Registry belongs to one thread. Interceptors, observers and ``group_of`` are
    called in zkrpc's thread: an interceptor within a copy of the context of whoever calls.

    The stub belongs to no event loop; each call is awaited in the one that makes it. ``await stub.close()`` ends its
    connections, and with those of the last stub the thread. Raises ConfigError if the arguments do not go together.
    """
    make = functools.partial(
        _connect,
        interface,
        target,
        zookeeper=require_hosts(zookeeper),
        config=config,
        tls=tls,
        dialect=dialect,
        multiplexed=multiplexed,
        interceptors=interceptors,
        group_of=group_of,
        snapshot_dir=snapshot_dir,
        observers=observers,
    )
    return Connecting(interface, make)


class Connecting(Generic[AioT]):
    """A stub that is about to be made: ``await`` it, or use it by ``async with``, which closes the stub at its end."""

    def __init__(self, interface: Interface[Any, Any, Any, AioT], make: Callable[[], Any]) -> None:
        self._interface = interface
        self._make = make
        self._stub: Any = None

    def __repr__(self) -> str:
        """The interface."""
        return f"<Connecting to {self._interface.name}>"

    def __await__(self) -> Generator[Any, None, AioT]:
        """The stub."""
        return self._connect().__await__()

    async def __aenter__(self) -> AioT:
        """The stub."""
        self._stub = stub = await self._connect()
        return stub

    async def __aexit__(self, *_: object) -> None:
        """Closes the stub."""
        await close(self._stub)

    async def _connect(self) -> AioT:
        client = await connected_in_loop(functools.partial(client_of, self._make))
        made: Any = make_stub(self._interface, RemoteClient(client), AioStub)
        return made  # type: ignore[no-any-return]  # its methods are known at run time only


async def close(stub: object) -> None:
    """What ``await stub.close()`` does, also for an interface that has a method of that name: closes the stub's client,
    and with it all stubs that share it. Calls in flight raise; later ones raise Unavailable."""
    await close_in_loop(_client_of(stub))


async def explain(stub: object) -> Explanation:
    """As :func:`zkrpc.explain`, without stopping the event loop for a moment."""
    client, it = _client_of(stub), stub
    assert isinstance(it, AioStub)
    methods = it._zkrpc_interface.methods.values()
    if client.closed:  # then it uses nothing of the hub thread, which may have ended
        return client.client.explain(methods, it._zkrpc_options)
    explanation: Explanation = await run_in_loop(client.client.explain, methods, it._zkrpc_options)
    return explanation


async def status(stub: object) -> ClientStatus:
    """As :func:`zkrpc.status`, without stopping the event loop for a moment."""
    client = _client_of(stub)
    if client.closed:
        return client.client.status()
    told: ClientStatus = await run_in_loop(client.client.status)
    return told


class AioStub(Stub):
    """The base class of these stubs."""

    __slots__ = ()
    _zkrpc_connect = "zkrpc.aio.connect"

    @staticmethod
    def _zkrpc_function(method: Method) -> Callable[..., Any]:
        """The function of one method, a coroutine function."""

        async def call(self: Stub, /, *args: Any, **kwargs: Any) -> Any:
            client: Any = self._zkrpc_client
            if client.closed:
                raise closed_meanwhile()
            thread = hub_thread()
            errand = errand_of_loop(thread, client.client.invoke, (method, args, kwargs, self._zkrpc_options, _clock()))
            thread.enter(errand)
            try:
                await errand.waiting
            except BaseException:  # cancelled, or the coroutine was dropped
                thread.give_up(errand)
                raise
            return errand.take()

        return call

    def __enter__(self) -> NoReturn:
        """Raises TypeError: closing has to be awaited."""
        raise TypeError("a stub of zkrpc.aio is closed by `async with`, or by `await stub.close()`")

    async def __aenter__(self) -> Any:
        """The stub itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Closes the client."""
        await close(self)

    close = close


def _client_of(stub: object) -> RemoteClient:
    if not isinstance(stub, AioStub):
        raise TypeError(f"expected a stub, as zkrpc.aio.connect gives it, got {stub!r}")
    client: Any = stub._zkrpc_client
    found: RemoteClient = client
    return found
