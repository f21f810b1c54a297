"""The hub thread: a native thread whose hub runs the errands of all others.

It is a daemon of the native kind, also where ``threading`` is patched. A wake-up of its loop starts all errands that
have come, each in a greenlet out of a pool: a greenlet of its own for each would cost twice what the rest of the way
does (measured). Errands that wait are resumed by what they wait for, as calls of a program on gevent are.

In a forked child the thread does not exist. All of it is left behind, its loop's descriptors are closed, and the next
errand starts another. At the end of the interpreter the thread halts where it is, and what its clients have open is cut
as if they had been in the main thread (:mod:`zkrpc.belonging`); calls in flight are neither awaited nor told.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

import gevent
from gevent import getcurrent
from gevent.event import Event
from gevent.monkey import get_original
from greenlet import greenlet

from zkrpc import belonging  # noqa: F401  # its hooks must be called before those of this module
from zkrpc.errors import Executed, Unavailable
from zkrpc.forking import hub_of_thread, leave_behind
from zkrpc.worlds.errand import Errand, ErrandState
from zkrpc.worlds.life import HubLife, LifeState
from zkrpc.worlds.queues import Entrance, Exit, closed_meanwhile

_log = logging.getLogger(__name__)
_MOST_FREE = 256
"""Greenlets that are kept for the next errands; more than that end when they are done."""
_START_TIMEOUT = 30.0
_END_TIMEOUT = 5.0
"""Seconds that closing the last client waits for the thread. It takes milliseconds."""
_HALT_TIMEOUT = 0.3
"""Seconds that the end of the interpreter waits for the thread to halt, which takes microseconds unless something
blocks it, such as an interceptor that waits without gevent."""

_DAEMONS_PATIENCE = 2.0
"""Seconds that a call of another thread takes to fail once the interpreter has begun to end. By then there is nobody to
whom it would matter, and what such threads had to say would be a traceback."""
_WAITING = ErrandState.WAITING

_allocate_lock: Any = get_original("_thread", "allocate_lock")
_start_new_thread: Any = get_original("_thread", "start_new_thread")
_get_ident: Any = get_original("_thread", "get_ident")


class _Stop(BaseException):
    """Thrown into a greenlet whose errand was given up, or must not go on; never leaves this module."""


class HubThread:
    """The thread; made started. Its methods may be called in any thread, if nothing else is said."""

    def __init__(self) -> None:
        self.entrance = Entrance()
        self.exits: WeakKeyDictionary[Any, dict[Callable[[Errand], object], Exit]] = WeakKeyDictionary()
        """The ways out to each event loop or hub that callers wait in, by how they are woken there."""
        self.ended = False
        self._ending: Any = None
        self._halts = False
        self._free: list[Any] = []
        self._workers: set[Any] = set()
        started, self._over = _lock_taken(), _lock_taken()
        self.ident: int = _start_new_thread(self._main, (started,))
        if not started.acquire(True, _START_TIMEOUT):
            raise Unavailable("the thread for calls did not start in time; is the machine overloaded?")

    def __repr__(self) -> str:
        """Its queue."""
        return f"<HubThread {self.entrance!r}{' ended' if self.ended else ''}>"

    @property
    def is_here(self) -> bool:
        """Whether the caller is in this thread."""
        here: int = _get_ident()
        return here == self.ident

    def enter(self, errand: Errand) -> None:
        """Has an errand done. Raises Unavailable, with nothing done, if too many are under way."""
        if self.entrance.admit(errand):
            self._wake()

    def insist(self, errand: Errand) -> None:
        """Has an errand done that ends something, however many others are under way."""
        if self.entrance.insist(errand):
            self._wake()

    def give_up(self, errand: Errand) -> None:
        """Ends an errand that nobody waits for any more; a call that was sent is cancelled at its server, too."""
        if errand.give_up():
            self.insist(errand)

    def run_callback(self, callback: Callable[[], object]) -> None:
        """In the thread: calls it before the thread waits again, when all that is ready now is done."""
        self._hub.loop.run_callback(callback)

    def end(self) -> None:
        """Ends the thread, and whatever still runs in it, soon."""
        self.entrance.close()
        self._wake()

    def join(self) -> None:
        """Waits for the end, which has begun."""
        if not self.is_here and self._over.acquire(True, _END_TIMEOUT):
            self._over.release()

    def halt(self) -> None:
        """At the end of the interpreter: stops the thread where it is, without a word to anybody in it."""
        self._halts = True
        self._wake()
        self._over.acquire(True, _HALT_TIMEOUT)

    def forget(self) -> None:
        """In a forked child: leaves everything to the parent, and closes the descriptors of the loop."""
        leave_behind(self, self._hub, self._hub.loop, self._watcher, *self._workers)
        if hub_of_thread() is not self._hub:  # else the thread that forked is this one
            self._hub.loop.destroy()

    def _wake(self) -> None:
        with contextlib.suppress(ValueError):  # the loop is gone, and so is the need
            self._watcher.send()

    # -- in the thread

    def _main(self, started: Any) -> None:
        self._hub: Any = gevent.get_hub()
        self._ending = Event()
        self._watcher: Any = self._hub.loop.async_()
        self._watcher.start(self._drain)
        started.release()
        while not self._ending.is_set():
            try:
                self._ending.wait()
            except BaseException:  # what gevent throws into a thread's first greenlet, such as an observer's SystemExit
                _log.exception("an error in the thread for calls, which goes on")
        try:
            self._close()
        finally:
            self.ended = True
            self._over.release()

    def _drain(self) -> None:
        """In the hub: starts what has come, and interrupts what was given up."""
        if self._halts:
            self._over.release()
            _lock_taken().acquire()
        entrance, free = self.entrance, self._free
        for errand in entrance.batch():
            if errand.given_up and (running := errand.interrupt()) is not None:
                running.throw(_Stop())
            elif errand.state is _WAITING:
                (free.pop() if free else self._make_worker()).switch(errand)
        if entrance.closed:
            self._ending.set()
        elif entrance.has_more():
            self._watcher.send()

    def _make_worker(self) -> Any:
        worker = greenlet(self._work, self._hub)
        self._workers.add(worker)
        worker.switch()  # without an errand, which the greenlet would know as its argument for as long as it lives
        return worker

    def _work(self) -> None:
        """In a greenlet: does one errand after another, until there are enough others."""
        me, entrance, free, wait = getcurrent(), self.entrance, self._free, self._hub.switch
        while True:
            try:
                errand: Errand = wait()
            except _Stop:
                break
            try:
                if errand.begin(me):
                    errand.finish(errand.context.run(errand.action, *errand.arguments))
            except _Stop:
                errand.fail(Unavailable("the call was ended, as its client was closed", executed=Executed.MAYBE))
            except BaseException as error:
                errand.fail(error)
            entrance.running -= 1
            self._land(errand)
            del errand
            if entrance.closed or len(free) >= _MOST_FREE:
                break
            free.append(me)
        self._workers.discard(me)

    def _land(self, errand: Errand) -> None:
        try:
            errand.landing(errand)
        except BaseException:
            _log.exception("a caller could not be told of its call's end")

    def _close(self) -> None:
        """In the thread's first greenlet: ends what runs, and frees the loop."""
        self._free.clear()
        for worker in list(self._workers):
            self._hub.loop.run_callback(worker.throw, _Stop())
        for _ in range(3):  # those that were ended get their turn, and whom they wake
            gevent.sleep(0)
        for errand in self.entrance.leftovers():
            errand.fail(closed_meanwhile())
            self._land(errand)
        self._watcher.stop()
        self._watcher.close()
        gevent.sleep(0)
        self._hub.destroy(destroy_loop=True)
        self._hub.throw()  # it waits once more, for ever, with its frames and all that those know


def _lock_taken() -> Any:
    lock = _allocate_lock()
    lock.acquire()
    return lock


class _Process:
    """What this process has: the life, and the thread if there is one."""

    def __init__(self) -> None:
        self.life = HubLife()
        self.lock = _allocate_lock()
        self.thread: HubThread | None = None
        self.exiting = 0
        """The thread that ends the interpreter; 0 before."""


_process = _Process()


def hub_thread() -> HubThread:
    """The hub thread, started if need be. Raises Unavailable at the end of the program."""
    thread = _process.thread
    if thread is not None:
        return thread
    if _process.exiting not in (0, _get_ident()):
        _lock_taken().acquire(True, _DAEMONS_PATIENCE)
    with _process.lock:
        if _process.life.require():
            try:
                _process.thread = HubThread()
            except BaseException:
                _process.life.receive_failed()
                raise
        thread = _process.thread
    assert thread is not None
    return thread


def has_hub_thread() -> bool:
    """Whether there is one."""
    return _process.thread is not None


def running_hub_thread() -> HubThread | None:
    """The one that there is; none is started."""
    return _process.thread


def receive_connecting() -> None:
    """A client is about to be made: the thread lives until :func:`receive_closed`."""
    with _process.lock:
        _process.life.receive_connecting()


def receive_closed() -> None:
    """A client was closed, or could not be made. Begins to end the thread if that was the last one."""
    ended = None
    with _process.lock:
        if _process.life.receive_closed():
            ended, _process.thread = _process.thread, None
    if ended is not None:
        ended.end()


def is_in_vain(thread: HubThread) -> bool:
    """Whether nobody will ever be told anything by this thread."""
    return thread.ended or _process.life.state is LifeState.OVER


def _settle_child() -> None:
    """In a forked child."""
    _process.lock = _allocate_lock()
    thread, _process.thread = _process.thread, None
    _process.life.receive_forked()
    if thread is not None:
        thread.forget()


def _halt() -> None:
    """At the end of the interpreter, before what is open is cut."""
    with _process.lock:
        _process.exiting = _get_ident()
        _process.life.receive_exit()
        thread, _process.thread = _process.thread, None
    if thread is not None:
        thread.halt()


os.register_at_fork(after_in_child=_settle_child)
atexit.register(_halt)
