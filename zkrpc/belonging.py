"""Which hub, and so which thread of which process, an object belongs to, and what happens when it is used elsewhere.

Every object of zkrpc that has a socket or a greenlet has a :class:`Home`, and is *kept* here from the moment it opens
something until it has closed it. That has three purposes:

========================  =============================================================================================
in a forked child         whatever is kept lets go of what it shares with the parent (``forked``): descriptors are
                          closed, which the parent does not notice, and nothing is said to any peer
in another thread         it is refused before anything is done, in words
when the interpreter ends what was never closed is cut (``cut``): without the hub, which would have everybody go on
========================  =============================================================================================

A call pays one comparison for all of this: whether the calling greenlet is on the client's hub.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, Protocol
from weakref import WeakKeyDictionary

import gevent
from gevent import get_hub, getcurrent
from gevent.monkey import is_module_patched

from zkrpc.errors import WrongProcess, WrongThread
from zkrpc.forking import hub_of_thread, leave_behind, leave_hub

_log = logging.getLogger(__name__)


class Belonging(Protocol):
    """An object that has sockets or greenlets."""

    def forked(self) -> None:
        """In a forked child: closes the descriptors, without sending anything and without the hub. Must not wait."""

    def cut(self) -> None:
        """At the end of the interpreter: closes what is open, without the hub; a little waiting is allowed."""


class Home:
    """The process, thread and hub in which an object was made.

    Args:
        what: the object's name in messages, with an article.
        in_child: what to do in a forked child instead of using it there.
        in_thread: what to do in another thread instead.
    """

    __slots__ = ("hub", "_in_child", "_in_thread", "_pid", "_what")

    def __init__(self, what: str, *, in_child: str, in_thread: str) -> None:
        made = hub_of_thread() is None
        self.hub: Any = get_hub()
        self._pid = os.getpid()
        self._what = what
        self._in_child = in_child
        self._in_thread = in_thread
        if made and not self.hub.main_hub:
            _made[self.hub] = None

    @property
    def is_here(self) -> bool:
        """Whether the caller is in that process and thread."""
        return self.in_process and hub_of_thread() is self.hub

    @property
    def in_process(self) -> bool:
        """Whether the caller is in that process, and not in a forked child of it."""
        return self._pid == os.getpid()

    def require(self) -> None:
        """Raises WrongProcess or WrongThread, with the advice, unless the caller is in that process and thread."""
        self.require_process()
        if hub_of_thread() is not self.hub:
            raise WrongThread(
                f"{self._what} belongs to the thread that made it and this is another one, so nothing was done; "
                f"{self._in_thread}"
            )

    def require_process(self) -> None:
        """Raises WrongProcess, with the advice, if the caller is in a forked child of that process."""
        if not self.in_process:
            raise WrongProcess(
                f"{self._what} does not survive a fork: it belongs to process {self._pid} and this is its forked child "
                f"{os.getpid()}, so nothing was done; {self._in_child}"
            )


_kept: dict[Belonging, Any] = {}
"""The objects that have something open, each with its hub."""
_made: WeakKeyDictionary[Any, None] = WeakKeyDictionary()
"""Hubs that exist in their threads only because of zkrpc."""
_in_child: list[Callable[[], object]] = []


def keep(belonging: Belonging, hub: Any) -> None:
    """Registers an object that has opened something on that hub."""
    _kept[belonging] = hub


def release(belonging: Belonging) -> None:
    """Removes an object that has closed everything. If the thread had its hub only for such objects, the hub is
    destroyed, as it would hold two descriptors and a thread for as long as the process lives."""
    hub: Any = _kept.pop(belonging, None)
    if hub is None or hub not in _made or hub is not hub_of_thread() or hub in _kept.values():
        return
    if getcurrent().parent is None:
        gevent.sleep(0)  # those that were killed get their turn
        gevent.sleep(0)
        if not hub.loop.activecnt:  # nobody else's
            del _made[hub]
            hub.destroy(destroy_loop=True)
            hub.throw()  # it waits once more, for ever, with its frames and all that those know


def in_child(action: Callable[[], object]) -> None:
    """Has ``action`` called in every forked child, before zkrpc does anything else there."""
    _in_child.append(action)


def close_descriptor(sock: Any) -> None:
    """Closes a socket of gevent's, or any other, without the hub: gevent's own ``close`` asks the loop first."""
    getattr(sock, "_sock", sock).close()


def is_in_event_loop() -> bool:
    """Whether an event loop of asyncio runs in this thread, which a wait in gevent would stop. Where threads are
    greenlets nobody can tell whose loop it is, and gevent's hub runs it on, so there it is never said to."""
    events: Any = sys.modules.get("asyncio.events")  # which would take long to import, only to hear that there is none
    return events is not None and events._get_running_loop() is not None and not is_module_patched("threading")


def refuse_event_loop() -> None:
    """Raises WrongThread, with the advice, if an event loop of asyncio runs in this thread."""
    if is_in_event_loop():
        raise WrongThread(
            "a stub of zkrpc.connect() would stop this thread's event loop until it is answered, so nothing was done; "
            "connect by zkrpc.aio.connect(), or where nothing is awaited, as in the cells of a notebook, by "
            "zkrpc.threads.connect()"
        )


def _settle_child() -> None:
    """The hook that runs in a forked child before ``fork`` returns. Does nothing if nothing is kept."""
    belongings = list(_kept.items())
    actions = [*_in_child, *(belonging.forked for belonging, _ in belongings)]
    for action in actions:
        try:
            action()
        except Exception:
            _log.exception("a forked child could not let go of what is its parent's")
    leave_behind(belongings)
    _in_child.clear()
    _kept.clear()
    if any(hub is hub_of_thread() for _, hub in belongings):
        leave_hub()


def _cut_all() -> None:
    for belonging in list(_kept):
        try:
            belonging.cut()
        except Exception:
            _log.exception("could not close %r at the end of the program", belonging)


os.register_at_fork(after_in_child=_settle_child)
atexit.register(_cut_all)
