"""Three worlds from which a client's tests call: gevent, native threads, and asyncio.

A test that takes the fixture ``world`` (``tests/conftest.py``) runs once in each, and has its stubs and clients from
there. They look as those of gevent do in all worlds: a call waits in the test's greenlet, so that servers in the same
process go on, and what it raises is raised there. How it is really made is the world's affair: by a stub of
``zkrpc.threads`` in a native thread that waits for it, or by one of ``zkrpc.aio`` that is awaited in an event loop.

Where it is the stub itself that is tested, ``World.stub`` gives one as its users have it, and ``World.outcome`` calls
it as they do. A test whose event is too dear to have three times takes the fixture ``worlds``, and has callers in all
of them meet the same one.

Tests of what a client is made of (channels, connections, machines) make no calls by stubs, and are the same everywhere.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from types import MappingProxyType, SimpleNamespace
from typing import Any

import gevent
from gevent.hub import Waiter
from gevent.threadpool import ThreadPool

import zkrpc
from tests.support.waiting import eventually
from zkrpc.aio import AioStub, Connecting
from zkrpc.client.client import Client
from zkrpc.client.invoking import DEFAULT_OPTIONS, CallOptions
from zkrpc.client.stub import Stub, make_stub
from zkrpc.idl import Interface, Method
from zkrpc.testing.loopback import Loopback
from zkrpc.threads import ThreadsClient, ThreadsStub
from zkrpc.worlds.hub_thread import has_hub_thread
from zkrpc.worlds.remote import RemoteClient, client_of, connected
from zkrpc.worlds.waits import run

ELSEWHERE = ("threads", "asyncio")
WORLDS = ("gevent", *ELSEWHERE)
EXCEPTIONS: dict[str, tuple[tuple[str, ...], str]] = {
    "tests/client/test_observing.py::test_observer_hears_of_a_call_that_its_caller_left": (
        ("threads",),
        "nothing but Ctrl-C ends the wait of a thread, and that of the main thread only",
    ),
    "tests/client/test_observing.py::test_observer_hears_of_a_call_that_found_no_members": (
        ELSEWHERE,
        "observers are told in the thread that makes calls, which ends when the last client is closed",
    ),
    "tests/live/test_app.py::test_app_and_client_share_a_registry": (
        ELSEWHERE,
        "a Registry belongs to one thread, which is not that of the clients: theirs have sessions of their own",
    ),
    "tests/live/test_app.py::test_registry_keeps_the_file_of_its_clients": (
        ELSEWHERE,
        "clients in another thread have no Registry to share",
    ),
}
"""The tests that cannot hold in every world: those in which they do not run, and why."""

_MOST_CALLERS = 128
_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


class World:
    """The one on gevent: nothing is between a test and its client."""

    connects_by = "zkrpc.connect"

    def connect(self, interface: Any, target: Any, **options: Any) -> Any:
        """A stub, with the options of ``zkrpc.connect``. In the other worlds a Registry stands for its hosts, as it
        belongs to one thread."""
        return zkrpc.connect(interface, target, **options)

    def client(self, *arguments: Any, **options: Any) -> Any:
        """A client, with the arguments of ``Client``."""
        return Client(*arguments, **options)

    def stub(self, interface: Interface, client: Any) -> Any:
        """A stub over a client, as users of this world have it."""
        return make_stub(interface, client)

    def outcome(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        """What a method of such a stub gives whom it is meant for."""
        return function(*arguments, **options)

    def leave(self, stub: Any) -> None:
        """Enters the block of such a stub, and leaves it."""
        with stub as entered:
            assert entered is stub

    def close_stub(self, stub: Any) -> None:
        """Closes such a stub by the function for that."""
        zkrpc.close(stub)

    def inside(self, client: Any) -> Client:
        """The ordinary client within one that this world has made."""
        found: Client = client
        return found

    def where_clients_are(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Has a function called in the thread that makes the calls, to which a client's resolver belongs."""
        return function(*arguments, **options)

    def loopback(self, service: zkrpc.Service[Any], **options: Any) -> Any:
        """A service in memory, as ``Loopback``; its replicas are where its clients are."""
        return Loopback(service, **options)

    def close_clients(self) -> None:
        """Closes what is still open."""

    def close(self) -> None:
        """Ends the world."""


class Face:
    """A client of another world, as one of gevent looks to a test and to a stub."""

    def __init__(self, world: OtherWorld, remote: RemoteClient) -> None:
        self.world = world
        self.remote = remote

    def __repr__(self) -> str:
        return repr(self.remote)

    def __enter__(self) -> Face:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def closed(self) -> bool:
        return self.remote.closed and self.remote.client.closed

    def invoke(
        self,
        method: Method,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] = _NO_ARGUMENTS,
        options: CallOptions = DEFAULT_OPTIONS,
    ) -> Any:
        return self.world.call(self.remote, method, args, kwargs, options)

    def explain(self, methods: Iterable[Method], options: CallOptions = DEFAULT_OPTIONS) -> Any:
        return self.world.explain(self.remote, methods, options)

    def status(self) -> Any:
        return self.world.status(self.remote)

    def expect_primary(self) -> None:
        self.world.where_clients_are(self.remote.client.expect_primary)

    def close(self) -> None:
        self.world.close_client(self.remote)


class OtherWorld(World):
    """What threads and asyncio have in common: their clients live in zkrpc's thread, behind faces."""

    kind: type[Stub]
    """That of its users' stubs."""

    def __init__(self) -> None:
        self._pool = ThreadPool(_MOST_CALLERS)
        self._faces: list[Face] = []

    def connect(self, interface: Any, target: Any, **options: Any) -> Any:
        hosts = options.get("zookeeper")
        options["zookeeper"] = hosts.hosts if isinstance(hosts, zkrpc.Registry) else hosts
        return make_stub(interface, self._face(self.connect_remote(interface, target, **options)))

    def client(self, *arguments: Any, **options: Any) -> Any:
        return self.make(lambda: SimpleNamespace(_zkrpc_client=Client(*arguments, **options)))

    def make(self, make: Callable[[], Any]) -> Face:
        """The client of what ``make`` returns, which is called where the clients are."""
        return self._face(self.make_remote(make))

    def stub(self, interface: Interface, client: Any) -> Any:
        remote = self.make_remote(functools.partial(make_stub, interface, client))
        self._face(remote)
        return make_stub(interface, remote, self.kind)

    def inside(self, client: Any) -> Client:
        found: Client = client.remote.client
        return found

    def where_clients_are(self, function: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        bound = functools.partial(function, *arguments, **options)
        return run(bound) if has_hub_thread() else bound()

    def loopback(self, service: zkrpc.Service[Any], **options: Any) -> Any:
        return LoopbackThere(self, service, **options)

    def in_thread(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        """What a function returns in a native thread, in a copy of this context."""
        value, error = self._pool.apply(copy_context().run, (_outcome, function, arguments, options))
        if error is not None:
            raise error
        return value

    def close_clients(self) -> None:
        for face in self._faces:
            face.close()

    def close(self) -> None:
        self.close_clients()
        eventually(lambda: not has_hub_thread())
        self.end()
        self._pool.kill()

    def _face(self, remote: RemoteClient) -> Face:
        self._faces.append(Face(self, remote))
        return self._faces[-1]

    # -- how each of the two does it

    def end(self) -> None:
        """Ends what callers ran in."""

    def connect_remote(self, interface: Any, target: Any, **options: Any) -> RemoteClient:
        """The client of a stub that this world's ``connect`` returns."""
        raise NotImplementedError

    def make_remote(self, make: Callable[[], Any]) -> RemoteClient:
        """A client that is made as that ``connect`` makes one, from a stub of another kind."""
        raise NotImplementedError

    def call(
        self,
        remote: RemoteClient,
        method: Method,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: CallOptions,
    ) -> Any:
        """Makes one call."""
        raise NotImplementedError

    def explain(self, remote: RemoteClient, methods: Iterable[Method], options: CallOptions) -> Any:
        """As zkrpc.explain."""
        raise NotImplementedError

    def status(self, remote: RemoteClient) -> Any:
        """As zkrpc.status."""
        raise NotImplementedError

    def close_client(self, remote: RemoteClient) -> None:
        """Closes a client."""
        raise NotImplementedError


class LoopbackThere:
    """A Loopback in the thread where the clients are: so are its methods called."""

    def __init__(self, world: OtherWorld, service: zkrpc.Service[Any], **options: Any) -> None:
        made: list[Loopback[Any]] = []

        def make() -> Any:
            made.append(Loopback(service, **options))
            return made[0].stub

        self._world = world
        self._face = world.make(make)
        self._loopback = made[0]
        self.stub = make_stub(service.interface, self._face)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._loopback, name)
        return functools.partial(self._world.where_clients_are, found) if callable(found) else found

    def __enter__(self) -> Any:
        return self.stub

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._world.where_clients_are(self._loopback.close)
        self._face.close()


class ThreadsWorld(OtherWorld):
    """Native threads that wait for their calls."""

    kind = ThreadsStub
    connects_by = "zkrpc.threads.connect"

    def outcome(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        return self.in_thread(function, *arguments, **options)

    def leave(self, stub: Any) -> None:
        self.in_thread(super().leave, stub)

    def close_stub(self, stub: Any) -> None:
        self.in_thread(zkrpc.close, stub)

    def connect_remote(self, interface: Any, target: Any, **options: Any) -> RemoteClient:
        stub = self.in_thread(zkrpc.threads.connect, interface, target, **options)
        remote: RemoteClient = stub._zkrpc_client
        return remote

    def make_remote(self, make: Callable[[], Any]) -> RemoteClient:
        return ThreadsClient(self.in_thread(connected, lambda: client_of(make)))

    def call(
        self,
        remote: RemoteClient,
        method: Method,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: CallOptions,
    ) -> Any:
        return self.in_thread(ThreadsStub._zkrpc_function(method), ThreadsStub(remote, options), *args, **kwargs)

    def explain(self, remote: RemoteClient, methods: Iterable[Method], options: CallOptions) -> Any:
        return self.in_thread(remote.explain, methods, options)

    def status(self, remote: RemoteClient) -> Any:
        return self.in_thread(remote.status)

    def close_client(self, remote: RemoteClient) -> None:
        self.in_thread(zkrpc.close, ThreadsStub(remote, DEFAULT_OPTIONS))


class AsyncioWorld(OtherWorld):
    """Tasks of an event loop in a native thread."""

    kind = AioStub
    connects_by = "zkrpc.aio.connect"

    def __init__(self) -> None:
        super().__init__()
        self._complaints: list[Any] = []
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(lambda _, context: self._complaints.append(context))
        self._running = self._pool.spawn(self._loop.run_forever)

    def awaited(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """What a coroutine returns in the loop, in a task with a copy of this context. If this wait is ended, the task
        is cancelled."""
        waiter: Any = Waiter()
        watcher: Any = gevent.get_hub().loop.async_()
        watcher.start(waiter.switch, None)
        try:
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
            future.add_done_callback(lambda _: watcher.send())
            try:
                waiter.get()
            except BaseException:
                future.cancel()
                raise
            return future.result(0)
        finally:
            watcher.stop()
            watcher.close()

    def outcome(self, function: Callable[..., Any], /, *arguments: Any, **options: Any) -> Any:
        return self.awaited(function(*arguments, **options))

    def leave(self, stub: Any) -> None:
        async def enter() -> None:
            async with stub as entered:
                assert entered is stub

        self.awaited(enter())

    def close_stub(self, stub: Any) -> None:
        self.awaited(zkrpc.aio.close(stub))

    def connect_remote(self, interface: Any, target: Any, **options: Any) -> RemoteClient:
        return self._remote(zkrpc.aio.connect(interface, target, **options))

    def make_remote(self, make: Callable[[], Any]) -> RemoteClient:
        return self._remote(Connecting(zkrpc.built_in("Health"), make))

    def _remote(self, connecting: Connecting) -> RemoteClient:
        async def connect() -> Any:
            return await connecting

        remote: RemoteClient = self.awaited(connect())._zkrpc_client
        return remote

    def call(
        self,
        remote: RemoteClient,
        method: Method,
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        options: CallOptions,
    ) -> Any:
        return self.awaited(AioStub._zkrpc_function(method)(AioStub(remote, options), *args, **kwargs))

    def explain(self, remote: RemoteClient, methods: Iterable[Method], options: CallOptions) -> Any:
        asked = {method.name: method for method in methods}
        kind = type("Stub", (AioStub,), {"__slots__": (), "_zkrpc_interface": SimpleNamespace(methods=asked)})
        return self.awaited(zkrpc.aio.explain(kind(remote, options)))

    def status(self, remote: RemoteClient) -> Any:
        return self.awaited(zkrpc.aio.status(AioStub(remote, DEFAULT_OPTIONS)))

    def close_client(self, remote: RemoteClient) -> None:
        self.awaited(zkrpc.aio.close(AioStub(remote, DEFAULT_OPTIONS)))

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._running.get()
        self._loop.close()
        assert not self._complaints


def _outcome(
    function: Callable[..., Any], arguments: Iterable[Any], options: Mapping[str, Any]
) -> tuple[Any, BaseException | None]:
    """What a function returns or raises. gevent's pool would print the errors that it passes on."""
    try:
        return function(*arguments, **options), None
    except BaseException as error:
        return None, error


_KINDS: dict[str, Callable[[], World]] = {"gevent": World, "threads": ThreadsWorld, "asyncio": AsyncioWorld}


def worlds_of(test: str) -> list[str]:
    """The worlds in which a test runs, by its id without parameters."""
    excepted, _ = EXCEPTIONS.get(test, ((), ""))
    return [name for name in _KINDS if name not in excepted]


def make_world(name: str) -> World:
    """One of the worlds."""
    return _KINDS[name]()


@contextmanager
def all_worlds() -> Iterator[dict[str, World]]:
    """All of them at once, by name. The clients of two of them share zkrpc's thread, so those are closed first."""
    made = {name: make_world(name) for name in _KINDS}
    yield made
    for one in made.values():
        one.close_clients()
    for one in made.values():
        one.close()
