"""How a caller waits for its errand, depending on where it is.

================================  ======================================================================================
the caller is in                  it waits
================================  ======================================================================================
a thread without a hub            at a native lock, which a signal interrupts as it does any lock
a thread with a hub of its own    in that hub, so that other greenlets go on: programs that are patched, or that serve
an event loop of asyncio          by a future of that loop, of whichever kind the loop makes
================================  ======================================================================================

Threads are woken one by one, event loops and hubs once for all that is done at that moment.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

from gevent import getcurrent, with_timeout
from gevent.monkey import get_original

from zkrpc.errors import CallError, Executed, Unavailable
from zkrpc.forking import hub_of_thread
from zkrpc.worlds.errand import Errand
from zkrpc.worlds.hub_thread import HubThread, hub_thread, is_in_vain
from zkrpc.worlds.queues import Exit

LOOK_INTERVAL = 1.0
"""Seconds between looks whether there still is somebody to wait for. Calls end by their deadlines in the hub thread.
What only tells how things stand is waited for as long, and no longer."""

_Way = Callable[[Errand], None]
_allocate_lock: Any = get_original("_thread", "allocate_lock")


def run(action: Callable[..., Any], *arguments: Any) -> Any:
    """Has ``action(*arguments)`` done in the hub thread, in a copy of this context, and waits for it; what it returns.

    Raises what that raises. An exception that ends the wait, such as KeyboardInterrupt, ends the errand, too.
    """
    thread = hub_thread()
    return _run(thread, action, arguments, thread.enter, thread.give_up)


def run_to_the_end(action: Callable[..., Any], *arguments: Any) -> Any:
    """The same for what ends something: it is never refused, and goes on if the wait ends."""
    thread = hub_thread()
    return _run(thread, action, arguments, thread.insist, _leave_alone)


def run_if_soon(thread: HubThread, action: Callable[..., Any], *arguments: Any) -> Any | None:
    """Has ``action(*arguments)`` done in the hub thread, by any other one; what it returns, or None if that takes over
    a second, as something blocks the hub thread, or if the thread ends."""
    hub, enter, give_up = hub_of_thread(), thread.insist, thread.give_up
    try:
        if hub is None:
            return _run_blocking(thread, action, arguments, enter, give_up, once=True)
        if getcurrent() is not hub:  # which cannot wait
            way = (thread, hub, action, arguments, enter, give_up)
            return with_timeout(LOOK_INTERVAL, _run_in_hub, *way, timeout_value=None)
    except CallError:
        pass
    return None


def _leave_alone(_: Errand) -> None:
    """Does nothing: the errand goes on."""


def _run(thread: HubThread, action: Callable[..., Any], arguments: tuple[Any, ...], enter: _Way, give_up: _Way) -> Any:
    hub = hub_of_thread()
    if hub is None:
        return _run_blocking(thread, action, arguments, enter, give_up)
    if thread.is_here:  # an interceptor, or what was to be done at a future's end
        return copy_context().run(action, *arguments)
    return _run_in_hub(thread, hub, action, arguments, enter, give_up)


def _run_blocking(
    thread: HubThread,
    action: Callable[..., Any],
    arguments: tuple[Any, ...],
    enter: _Way,
    give_up: _Way,
    *,
    once: bool = False,
) -> Any:
    lock = _allocate_lock()
    lock.acquire()
    errand = Errand(action, arguments, copy_context(), _release, lock)
    enter(errand)
    try:
        while not lock.acquire(True, LOOK_INTERVAL):
            if once or is_in_vain(thread):
                raise in_vain()
    except BaseException:
        give_up(errand)
        raise
    return errand.take()


def _release(errand: Errand) -> None:
    errand.waiting.release()


def _run_in_hub(
    thread: HubThread, hub: Any, action: Callable[..., Any], arguments: tuple[Any, ...], enter: _Way, give_up: _Way
) -> Any:
    errand = Errand(action, arguments, copy_context(), way_to_hub(thread, hub, _wake).put, getcurrent())
    look = hub.loop.timer(LOOK_INTERVAL, LOOK_INTERVAL)  # it also keeps a loop awake that has nothing else to do
    look.start(_look, thread, errand)
    try:
        enter(errand)
        try:
            hub.switch()
        except BaseException:
            errand.waiting = None
            give_up(errand)
            raise
    finally:
        look.stop()
        look.close()
    return errand.take()


def _look(thread: HubThread, errand: Errand) -> None:
    greenlet = errand.waiting
    if greenlet is not None and is_in_vain(thread):
        greenlet.throw(in_vain())


def errand_of_loop(thread: HubThread, action: Callable[..., Any], arguments: tuple[Any, ...]) -> Errand:
    """An errand whose end the running event loop can await, by its ``waiting``."""
    loop = asyncio.get_running_loop()
    return Errand(action, arguments, copy_context(), way_to_loop(thread, loop).put, loop.create_future())


async def run_in_loop(action: Callable[..., Any], *arguments: Any) -> Any:
    """As :func:`run`, for a coroutine; to cancel it ends the errand."""
    thread = hub_thread()
    errand = errand_of_loop(thread, action, arguments)
    thread.enter(errand)
    try:
        await errand.waiting
    except BaseException:
        thread.give_up(errand)
        raise
    return errand.take()


async def run_to_the_end_in_loop(action: Callable[..., Any], *arguments: Any) -> Any:
    """As :func:`run_to_the_end`, for a coroutine: to cancel it ends only the wait."""
    thread = hub_thread()
    errand = errand_of_loop(thread, action, arguments)
    thread.insist(errand)
    await errand.waiting
    return errand.take()


def way_to_hub(thread: HubThread, hub: Any, wake: Callable[[Errand], object]) -> Exit:
    """The way out to another thread's hub, in which ``wake`` is called with each errand."""
    ways = thread.exits.setdefault(hub, {})
    if (known := ways.get(wake)) is not None:
        return known
    place = weakref.ref(hub)  # whoever keeps the way does not keep the hub

    def post() -> None:
        there = place()
        try:
            if there is not None and there.loop is not None:
                there.loop.run_callback_threadsafe(way.deliver)
        except ValueError:  # that loop is destroyed, so nobody waits in it
            way.discard()

    way = ways[wake] = Exit(post, wake)
    return way


def way_to_loop(thread: HubThread, loop: Any) -> Exit:
    """The way out to an event loop of asyncio: ends the waits for futures, whose results are None."""
    ways = thread.exits.setdefault(loop, {})
    if (known := ways.get(_resolve)) is not None:
        return known
    place = weakref.ref(loop)

    def post() -> None:
        thread.run_callback(call_over)

    def call_over() -> None:
        there = place()
        try:
            if there is not None:
                there.call_soon_threadsafe(way.deliver)
        except RuntimeError:  # that loop is closed, so nobody waits in it
            way.discard()

    way = ways[_resolve] = Exit(post, _resolve)
    return way


def _wake(errand: Errand) -> None:
    """In the hub of the greenlet that waits."""
    greenlet, errand.waiting = errand.waiting, None
    if greenlet is not None:
        greenlet.switch()


def _resolve(errand: Errand) -> None:
    """In the event loop."""
    future = errand.waiting
    if not future.done():
        future.set_result(None)


def in_vain() -> Unavailable:
    """The error of errands that will never be told of."""
    return Unavailable("the thread that makes calls has ended", executed=Executed.MAYBE)
