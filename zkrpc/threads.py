"""Stubs for programs with threads: any number of threads share one, patched by gevent or not, forked or not.

::

    users = zkrpc.threads.connect(idl.Users, "users", zookeeper="127.0.0.1:2181")
    users.get(42)                       # waits for the answer, as the stubs of zkrpc.connect do
    users.submit.get(42)                # a concurrent.futures.Future
    users.options(timeout=0.2).submit.get(42)

The calls are made by a thread of zkrpc's own, one for each process however many stubs there are (``docs/worlds.md``).
The admin door of a program without gevent, with event loops or not, is answered there, too: :class:`Admin`.
"""

from __future__ import annotations

import concurrent.futures
import functools
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextvars import copy_context
from pathlib import Path
from typing import Any, Self, TypeVar

from gevent import get_hub
from gevent.monkey import is_module_patched

from zkrpc.admin.door import Admin as _Admin
from zkrpc.app import connect as _connect
from zkrpc.call import Call, Interceptor
from zkrpc.client.invoking import CallOptions
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.stub import Stub, make_stub, stub_class
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Endpoint
from zkrpc.idl import Interface, Method
from zkrpc.idl.model import ThreadsT
from zkrpc.telemetry.observer import Observer
from zkrpc.tls.settings import ClientTls
from zkrpc.worlds.errand import Errand
from zkrpc.worlds.hub_thread import HubThread, hub_thread, is_in_vain
from zkrpc.worlds.queues import closed_meanwhile
from zkrpc.worlds.remote import Remote, RemoteClient, client_of, connected, require_hosts
from zkrpc.worlds.waits import LOOK_INTERVAL, in_vain, way_to_hub

__all__ = ["Admin", "CallFuture", "connect", "submit"]

ResultT = TypeVar("ResultT")


def connect(
    interface: Interface[Any, Any, ThreadsT, Any],
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
) -> ThreadsT:
    """A stub that any thread may use, whose calls wait for their answers; its options are those of
    :func:`zkrpc.connect`.

    ``zookeeper`` is a connect string, as a Registry belongs to one thread. Interceptors, observers and ``group_of`` are
    called in zkrpc's thread: an interceptor within a copy of the context of whoever calls. ``stub.submit`` has the same
    methods, and each returns a :class:`CallFuture` at once.

    The stub is a context manager; ``close()`` ends its connections, and with those of the last stub the thread.
    Raises ConfigError if the arguments do not go together.
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
    made: Any = make_stub(interface, ThreadsClient(connected(functools.partial(client_of, make))), ThreadsStub)
    return made  # type: ignore[no-any-return]  # its methods are known at run time only


def submit(stub: object) -> Any:
    """What ``stub.submit`` is, also for an interface that has a method of that name: the stub's methods, each of which
    returns a :class:`CallFuture` at once."""
    if not isinstance(stub, ThreadsStub):
        raise TypeError(f"expected a stub, as zkrpc.threads.connect gives it, got {stub!r}")
    it = type(stub)
    if it._zkrpc_submits is None:
        it._zkrpc_submits = stub_class(it._zkrpc_interface, SubmittingStub)
    return it._zkrpc_submits(stub._zkrpc_client, stub._zkrpc_options)


class SubmittingStub(Stub):
    """The base class of what ``stub.submit`` is."""

    __slots__ = ()
    _zkrpc_connect = "zkrpc.threads.connect"

    @staticmethod
    def _zkrpc_function(method: Method) -> Callable[..., Any]:
        """The function of one method."""

        def call(self: Stub, /, *args: Any, **kwargs: Any) -> CallFuture[Any]:
            client: Any = self._zkrpc_client
            future: CallFuture[Any] = client.submit(method, args, kwargs, self._zkrpc_options)
            return future

        return call


class ThreadsStub(Stub):
    """The base class of these stubs."""

    __slots__ = ()
    _zkrpc_connect = "zkrpc.threads.connect"
    _zkrpc_submits: type[SubmittingStub] | None = None
    """The class of what ``submit`` is, once it was asked for."""

    @property
    def submit(self) -> Any:
        """The same methods, each of which returns a :class:`CallFuture` at once."""
        return submit(self)


class CallFuture(concurrent.futures.Future[ResultT]):
    """The outcome of a call, once there is one. ``cancel()`` works until then, and cancels a call that was sent at its
    server, too.

    What ``add_done_callback`` adds is called in zkrpc's thread, where it must not wait for anything but calls; in a
    program patched by gevent it is called in the hub of the thread that submitted.
    """

    def __init__(self) -> None:
        super().__init__()
        self._give_up: Callable[[], object] = _nothing
        self._look: Any = None

    def cancel(self) -> bool:
        """Cancels the call, unless it is over. True if it is cancelled."""
        if not super().cancel():
            return False
        give_up, self._give_up = self._give_up, _nothing
        give_up()
        return True


class ThreadsClient(RemoteClient):
    """The client of these stubs."""

    def submit(
        self, method: Method, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions
    ) -> CallFuture[Any]:
        """Begins a call. Raises Unavailable if the client is closed, or too many calls are under way."""
        if self.closed:
            raise closed_meanwhile()
        thread = hub_thread()
        future: CallFuture[Any] = CallFuture()
        arguments = (method, args, kwargs, options, time.monotonic())
        errand = Errand(self.client.invoke, arguments, copy_context(), _settle, future)
        # In a patched program the future's lock is a greenlet's, and whoever waits for it does so in this thread's hub.
        hub = get_hub() if is_module_patched("threading") and not thread.is_here else None
        if hub is not None:
            errand.landing = way_to_hub(thread, hub, _settle).put
            # It also keeps a loop awake that only waits for the future.
            future._look = hub.loop.timer(LOOK_INTERVAL, LOOK_INTERVAL)
            future._look.start(_settle_if_in_vain, thread, errand)
        try:
            thread.enter(errand)
        except BaseException:
            _stop_looking(future)
            raise
        future._give_up = functools.partial(thread.give_up, errand)
        return future


class Admin(Remote):
    """The admin door of a program without gevent: :class:`zkrpc.Admin`, answered in zkrpc's thread.

    It shows the stubs of this module and those of :mod:`zkrpc.aio`, measured from now on: make it before them. A block
    of ``with`` closes it, or ``close()``; both take a moment, in an event loop too. In a forked child it is closed.

    The arguments are those of :class:`zkrpc.Admin`, as are the errors.
    """

    def __init__(
        self,
        bind: str = "127.0.0.1:0",
        *,
        token: str = "",
        token_file: str | Path | None = None,
        hosts: tuple[str, ...] = (),
    ) -> None:
        door: _Admin = connected(functools.partial(_Admin, bind, token=token, token_file=token_file, hosts=hosts))
        super().__init__(door)
        self.endpoint = door.endpoint
        """Where it listens."""

    def __enter__(self) -> Self:
        """The door itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes."""
        self.close()


def _settle(errand: Errand) -> None:
    """Gives a future its outcome; it may have been cancelled meanwhile."""
    future, errand.waiting = errand.waiting, None
    if future is None:
        return
    _stop_looking(future)
    future._give_up = _nothing
    value, error = errand.outcome
    if not future.set_running_or_notify_cancel():
        return
    if error is None:
        future.set_result(value)
    else:
        future.set_exception(error)


def _settle_if_in_vain(thread: HubThread, errand: Errand) -> None:
    """In the hub that waits for the future: now and then, as the thread for calls may have ended without a word."""
    if is_in_vain(thread):
        errand.fail(in_vain())
        _settle(errand)


def _stop_looking(future: CallFuture[Any]) -> None:
    look, future._look = future._look, None
    if look is not None:
        look.stop()
        look.close()


def _nothing() -> None:
    """Does nothing: there is no call to give up."""
