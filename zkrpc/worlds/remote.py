"""What stands for an object in the hub thread, so that any thread may use it: a client, or an admin door.

A client has what a stub and the functions on stubs need. How a call is waited for is up to the front,
:mod:`zkrpc.threads` or :mod:`zkrpc.aio`; what is not a call is waited for in place, and takes a moment.

What is in the hub thread is seen from other threads too, on the pages of an admin door there and in metrics.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from contextvars import Context
from typing import Any, Protocol

from zkrpc.client.client import Client
from zkrpc.client.explanation import Explanation
from zkrpc.client.invoking import CallOptions
from zkrpc.errors import ConfigError
from zkrpc.idl import Method
from zkrpc.telemetry.status import ClientStatus, Status, ask_elsewhere, statuses_here
from zkrpc.worlds.errand import Errand
from zkrpc.worlds.hub_thread import (
    has_hub_thread,
    hub_thread,
    receive_closed,
    receive_connecting,
    running_hub_thread,
)
from zkrpc.worlds.queues import closed_meanwhile
from zkrpc.worlds.waits import run, run_if_soon, run_in_loop, run_to_the_end, run_to_the_end_in_loop


class Closable(Protocol):
    """An object that is freed in the thread that made it."""

    def close(self) -> object:
        """Frees it."""


class Remote:
    """Stands for ``it``, which belongs to the hub thread. The hub thread lives at least until this is closed."""

    def __init__(self, it: Closable) -> None:
        self.closed = False
        """True once ``close`` was called."""
        self._it = it
        self._open = [it]

    def __repr__(self) -> str:
        """What it stands for."""
        return f"<{type(self).__name__} of {self._it!r}>"

    def close(self) -> None:
        """As its own, from any thread, and once. With the last of them the hub thread ends."""
        if not self.begin_close():
            return
        if not has_hub_thread():  # in a forked child that has made no call, where it has nothing open
            close_and_leave(self._it)
            return
        thread = hub_thread()
        run_to_the_end(close_and_leave, self._it)
        if thread.entrance.closed:
            thread.join()

    def begin_close(self) -> bool:
        """Refuses calls from now on. False if that was so before."""
        self.closed = True
        try:
            self._open.pop()  # in one step, as others may do so at the same time
        except IndexError:
            return False
        return True


class RemoteClient(Remote):
    """Stands for a client."""

    def __init__(self, client: Client) -> None:
        super().__init__(client)
        self.client = client

    def invoke(self, method: Method, args: tuple[Any, ...], kwargs: Mapping[str, Any], options: CallOptions) -> Any:
        """Makes one call and waits for it, as the client's own ``invoke``; its deadline counts from now."""
        if self.closed:
            raise closed_meanwhile()
        return run(self.client.invoke, method, args, kwargs, options, time.monotonic())

    def explain(self, methods: Iterable[Method], options: CallOptions) -> Explanation:
        """As the client's own."""
        if self.closed:  # then it uses nothing of the hub thread, which may have ended
            return self.client.explain(methods, options)
        explanation: Explanation = run(self.client.explain, methods, options)
        return explanation

    def status(self) -> ClientStatus:
        """As the client's own."""
        if self.closed:
            return self.client.status()
        status: ClientStatus = run(self.client.status)
        return status

    def expect_primary(self) -> None:
        """Does nothing: the client's stub in the hub thread has asked for it."""


async def close_in_loop(remote: RemoteClient) -> None:
    """As :meth:`RemoteClient.close`, for a coroutine: to cancel it ends only the wait."""
    if not remote.begin_close():
        return
    if has_hub_thread():
        await run_to_the_end_in_loop(close_and_leave, remote.client)
    else:  # in a forked child that has made no call, where the client has nothing open
        close_and_leave(remote.client)


def close_and_leave(client: Any) -> None:
    """In the hub thread: closes a client, if it was made, and has the thread end with the last one."""
    try:
        if client is not None:
            client.close()
    finally:
        receive_closed()


class ClientInTheMaking:
    """A client that is being made: the hub thread lives from now on, until it is closed or was abandoned.

    ``make`` returns the client, or whatever else is closed by its ``close``; it is called in the hub thread.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._client: Any = None
        receive_connecting()

    def connect(self) -> Any:
        """In the hub thread: makes the client."""
        self._client = self._make()
        return self._client

    def abandon(self) -> None:
        """Whoever wanted the client does not get it, as it could not be made, or was not waited for."""
        if not has_hub_thread():
            receive_closed()
            return
        # Behind what ends the making, if that still goes on.
        hub_thread().insist(Errand(self._discard, (), Context(), _nothing))

    def _discard(self) -> None:
        close_and_leave(self._client)


def connected(make: Callable[[], Any]) -> Any:
    """What ``make`` returns: it is called in the hub thread, which lives until :func:`close_and_leave`."""
    connecting = ClientInTheMaking(make)
    try:
        return run(connecting.connect)
    except BaseException:
        connecting.abandon()
        raise


async def connected_in_loop(make: Callable[[], Any]) -> Any:
    """As :func:`connected`, for a coroutine."""
    connecting = ClientInTheMaking(make)
    try:
        return await run_in_loop(connecting.connect)
    except BaseException:
        connecting.abandon()
        raise


def client_of(make: Callable[[], Any]) -> Client:
    """The client of the ordinary stub that ``make`` returns."""
    client: Client = make()._zkrpc_client
    return client


def _statuses() -> Iterable[Status]:
    """How everything in the hub thread stands, for the pages of another one."""
    thread = running_hub_thread()
    if thread is None or thread.is_here:
        return ()
    return run_if_soon(thread, list, statuses_here()) or ()


ask_elsewhere(_statuses)


def _nothing(_: object) -> None:
    """Does nothing: nobody waits."""


def require_hosts(zookeeper: object) -> Any:
    """The connect string. Raises ConfigError for anything else, such as a Registry."""
    if zookeeper is None or isinstance(zookeeper, str):
        return zookeeper
    raise ConfigError(
        f"here zookeeper must be a connect string such as '127.0.0.1:2181', got {zookeeper!r}; a Registry belongs "
        "to the thread that made it, and calls are made in another one"
    )
