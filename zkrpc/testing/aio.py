"""A service in memory for tests on asyncio: :class:`zkrpc.testing.loopback.Loopback`, in zkrpc's own thread.

::

    loopback = Loopback(users.service, replicas=3)
    async with loopback as stub:
        await stub.get(42)
        await loopback.kill(1)

The stub is one of :mod:`zkrpc.aio`. Replicas, elections and handlers run where its calls are made, in the thread of
zkrpc's own; handlers that are ``async def`` run on an event loop of theirs, as in production, and not on the test's.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from zkrpc.aio import AioStub
from zkrpc.call import Call, Interceptor
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.endpoint import DEFAULT_GROUP
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import AioT
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer
from zkrpc.testing import loopback
from zkrpc.worlds.remote import RemoteClient, client_of, close_in_loop, connected_in_loop
from zkrpc.worlds.waits import run_in_loop

OtherT = TypeVar("OtherT")


class Loopback(Generic[AioT]):
    """Replicas of a service in memory; ``async with`` starts them and gives a stub. Several event loops may use it.

    Arguments, errors and methods are those of :class:`zkrpc.testing.loopback.Loopback`; the methods are coroutines.
    Handlers are made and called in zkrpc's thread, and so are interceptors and observers: what blocks there without
    gevent holds up all calls of the process, unless its method is ``async def`` or marked by ``@zkrpc.offload``.
    """

    def __init__(
        self,
        service: Service[Any, Any, AioT],
        *,
        replicas: int = 1,
        config: ClientConfig | None = None,
        interceptors: Iterable[Interceptor[Call]] = (),
        seed: int = 0,
        group_of: GroupOf | None = None,
        elect: bool = True,
        observers: Iterable[Observer] = (),
    ) -> None:
        self._make = functools.partial(
            loopback.Loopback,
            service,
            replicas=replicas,
            config=config,
            interceptors=tuple(interceptors),
            seed=seed,
            group_of=group_of,
            elect=elect,
            observers=tuple(observers),
        )
        self._service = service
        self._started: loopback.Loopback[Any] | None = None
        unbegun: Any = None
        self.stub: AioT = unbegun
        """The stub, once it has begun."""
        self._opened: list[RemoteClient] = []
        """What is to be closed, the last one first."""

    def __repr__(self) -> str:
        """Service and replicas."""
        return f"<Loopback {self._service.name!r}>" if self._started is None else repr(self._started)

    async def __aenter__(self) -> AioT:
        """Starts the replicas; the stub."""
        self._opened = [RemoteClient(await connected_in_loop(self._make))]
        started: Any = self._opened[0].client
        self._started = started
        try:
            self.stub = await self._open(self._service.interface, lambda: started.stub)
        except BaseException:
            await self.close()
            raise
        return self.stub

    async def __aexit__(self, *_: object) -> None:
        """Closes."""
        await self.close()

    @property
    def handlers(self) -> dict[int, Any]:
        """The handler of each replica that lives, by its number. They run in another thread."""
        return self._here.handlers

    async def connect(
        self, interface: Interface[Any, Any, Any, OtherT], *, multiplexed: bool | str | None = None
    ) -> OtherT:
        """One more stub, with a client of its own, as ``zkrpc.connect(multiplexed=...)`` makes it."""
        here = self._here
        return await self._open(interface, lambda: here.connect(interface, multiplexed=multiplexed))

    async def add(self) -> int:
        """Starts one more replica; its number."""
        number: int = await run_in_loop(self._here.add)
        return number

    async def drain(self, number: int) -> None:
        """Stops a replica in order."""
        await run_in_loop(self._here.drain, number)

    async def kill(self, number: int) -> None:
        """Ends a replica as a crash would."""
        await run_in_loop(self._here.kill, number)

    async def expire(self, number: int) -> None:
        """Expires the ZooKeeper session of a replica."""
        await run_in_loop(self._here.expire, number)

    async def primary(self, group: str = DEFAULT_GROUP, timeout: float = 10.0) -> int:
        """The number of the replica that serves as primary, waiting for up to ``timeout`` seconds until one does."""
        number: int = await run_in_loop(self._here.primary, group, timeout)
        return number

    async def step_down(self, group: str = DEFAULT_GROUP, *, to: int | None = None) -> None:
        """Has the primary hand over; returns when the next one serves."""
        await run_in_loop(functools.partial(self._here.step_down, group, to=to))

    async def unlist(self, number: int) -> None:
        """Takes a replica off the list, dead or alive."""
        await run_in_loop(self._here.unlist, number)

    async def close(self) -> None:
        """Ends the stubs and every replica, and with the last stub of the process zkrpc's thread."""
        for one in reversed(self._opened):
            await close_in_loop(one)

    @property
    def _here(self) -> loopback.Loopback[Any]:
        if self._started is None:
            raise ConfigError(f"{self!r} has not begun: use it by `async with`")
        return self._started

    async def _open(self, interface: Interface[Any, Any, Any, OtherT], make: Callable[[], Any]) -> OtherT:
        client = RemoteClient(await connected_in_loop(functools.partial(client_of, make)))
        self._opened.append(client)
        made: Any = make_stub(interface, client, AioStub)
        return made  # type: ignore[no-any-return]  # its methods are known at run time only
