"""A service in memory for tests that call by threads: :class:`zkrpc.testing.loopback.Loopback`, in zkrpc's own thread.

::

    with Loopback(users.service, replicas=3) as stub:
        stub.get(42)                    # in any thread
        stub.submit.get(42)             # a concurrent.futures.Future

The stub is one of :mod:`zkrpc.threads`. Replicas, elections and handlers run where it makes its calls, in the thread
of zkrpc's own, so nothing of the test has to be patched or to know of gevent.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

from zkrpc.call import Call, Interceptor
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.endpoint import DEFAULT_GROUP
from zkrpc.idl import Interface
from zkrpc.idl.model import ThreadsT
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer
from zkrpc.testing import loopback
from zkrpc.threads import ThreadsClient, ThreadsStub
from zkrpc.worlds.remote import RemoteClient, client_of, connected
from zkrpc.worlds.waits import run

OtherT = TypeVar("OtherT")


class Loopback(Generic[ThreadsT]):
    """Replicas of a service in memory; a context manager that gives a stub. Its methods may be called in any thread.

    Arguments, errors and methods are those of :class:`zkrpc.testing.loopback.Loopback`. Handlers are made and called
    in zkrpc's thread, and so are interceptors and observers: what blocks there without gevent holds up all calls of the
    process, unless its method is ``async def`` or marked by ``@zkrpc.offload``.
    """

    def __init__(
        self,
        service: Service[Any, ThreadsT, Any],
        *,
        replicas: int = 1,
        config: ClientConfig | None = None,
        interceptors: Iterable[Interceptor[Call]] = (),
        seed: int = 0,
        group_of: GroupOf | None = None,
        elect: bool = True,
        observers: Iterable[Observer] = (),
    ) -> None:
        make = functools.partial(
            loopback.Loopback,
            service,
            replicas=replicas,
            config=config,
            interceptors=interceptors,
            seed=seed,
            group_of=group_of,
            elect=elect,
            observers=observers,
        )
        self._loopback: loopback.Loopback[Any] = connected(make)
        held: Any = self._loopback
        self._opened = [RemoteClient(held)]
        """What is to be closed, the last one first."""
        self.stub: ThreadsT = self._open(service.interface, lambda: self._loopback.stub)

    def __enter__(self) -> ThreadsT:
        """The stub."""
        return self.stub

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()

    def __repr__(self) -> str:
        """Service and replicas."""
        return repr(self._loopback)

    @property
    def handlers(self) -> dict[int, Any]:
        """The handler of each replica that lives, by its number. They run in another thread."""
        return self._loopback.handlers

    def connect(self, interface: Interface[Any, Any, OtherT, Any], *, multiplexed: bool | str | None = None) -> OtherT:
        """One more stub, with a client of its own, as ``zkrpc.connect(multiplexed=...)`` makes it."""
        return self._open(interface, lambda: self._loopback.connect(interface, multiplexed=multiplexed))

    def add(self) -> int:
        """Starts one more replica; its number."""
        number: int = run(self._loopback.add)
        return number

    def drain(self, number: int) -> None:
        """Stops a replica in order."""
        run(self._loopback.drain, number)

    def kill(self, number: int) -> None:
        """Ends a replica as a crash would."""
        run(self._loopback.kill, number)

    def expire(self, number: int) -> None:
        """Expires the ZooKeeper session of a replica."""
        run(self._loopback.expire, number)

    def primary(self, group: str = DEFAULT_GROUP, timeout: float = 10.0) -> int:
        """The number of the replica that serves as primary, waiting for up to ``timeout`` seconds until one does."""
        number: int = run(self._loopback.primary, group, timeout)
        return number

    def step_down(self, group: str = DEFAULT_GROUP, *, to: int | None = None) -> None:
        """Has the primary hand over; returns when the next one serves."""
        run(functools.partial(self._loopback.step_down, group, to=to))

    def unlist(self, number: int) -> None:
        """Takes a replica off the list, dead or alive."""
        run(self._loopback.unlist, number)

    def close(self) -> None:
        """Ends the stubs and every replica, and with the last stub of the process zkrpc's thread."""
        for one in reversed(self._opened):
            one.close()

    def _open(self, interface: Interface[Any, Any, OtherT, Any], make: Any) -> OtherT:
        client = ThreadsClient(connected(functools.partial(client_of, make)))
        self._opened.append(client)
        made: Any = make_stub(interface, client, ThreadsStub)
        return made  # type: ignore[no-any-return]  # its methods are known at run time only
