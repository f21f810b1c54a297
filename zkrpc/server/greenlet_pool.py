"""Greenlets that run requests, and how the hub gives them work.

A read may bring many requests, and most handlers do not block. So the hub switches straight into a *worker*, which runs
them one after another in place and gives the hub back when there are none left. If the hub runs again earlier, the
handler has blocked: that worker finishes its request by itself, and the hub takes another worker for the rest. None of
this needs a callback, a wake-up or a new greenlet for each request.

==========  ===================================  =======================================================================
a worker    is                                   and becomes
==========  ===================================  =======================================================================
free        parked, in the greenlets's list           *in front* when the hub takes it
in front    the only one that runs               free when its work is done; *apart* when a handler blocks
apart       in a handler that waits for the hub  free when its work is done, which may be more than that one request
==========  ===================================  =======================================================================
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub

from zkrpc.server.compiled import IS_COMPILED, PoolCore, acquaint

_MOST_FREE = 256
"""Free workers that are kept for the next requests; more than that end when they are done. Each takes some ten KiB,
which is less than the memory that is fragmented by making new ones (measured)."""

Work = Callable[["Worker"], object]
"""Runs all waiting requests, in the worker it is given."""


class Worker(gevent.Greenlet):  # type: ignore[type-arg]  # its class cannot be subscripted when the program runs
    """A greenlet of the pool."""

    __slots__ = ("_greenlets", "in_front", "work")

    def __init__(self, greenlets: GreenletPool) -> None:
        super().__init__()
        self.work: Work | None = None
        """Its current work; None while it is free."""
        self.in_front = False
        """True while the hub has switched to it and no handler of it has blocked yet."""
        self._greenlets = greenlets

    def _run(self) -> None:
        greenlets = self._greenlets
        try:
            greenlets.employ(self, get_hub())
        except gevent.GreenletExit:
            pass  # as a result it would be kept, and with its traceback the connection, until a collection
        finally:
            greenlets.lose(self)


class GreenletPool(PoolCore):
    """The workers of one server, of which up to ``most_free`` are kept for more work. Belongs to the hub of the thread
    that made it."""

    _free: list[Worker]
    _most_free: int
    dismissed: bool
    """True once free workers end."""

    def __init__(self, most_free: int = _MOST_FREE) -> None:
        self._most_free = most_free
        self.dismissed = False
        self.disbanded = False
        """True in a forked child, where only the worker that forked goes on, until its handler returns."""
        self._free = []

    def __repr__(self) -> str:
        """The number of free workers."""
        return f"<GreenletPool free={len(self._free)}>"

    def begin_in_python(self, work: Work) -> bool:
        """In the hub: runs the work in a worker. False if a handler has blocked, so that the work goes on later."""
        worker = self._free.pop() if self._free else self._make_worker()
        worker.work = work
        worker.in_front = True
        worker.switch()
        worker.in_front = False
        return worker.work is None

    def employ_in_python(self, worker: Worker, hub: Any) -> None:
        """In a worker: does its work, and whatever ``begin`` gives it afterwards, until it is not needed any more."""
        while worker.work is not None:
            worker.work(worker)
            worker.work = None
            if self.dismissed or len(self._free) >= self._most_free:
                break
            self._free.append(worker)
            while worker.work is None and not self.dismissed:
                hub.switch()

    if not IS_COMPILED:
        begin, employ = begin_in_python, employ_in_python

    def _make_worker(self) -> Worker:
        return Worker(self)

    def lose(self, worker: Worker) -> None:
        """Forgets a worker that ends, for whatever reason."""
        worker.work = None
        if worker in self._free:
            self._free.remove(worker)

    def disband(self) -> None:
        """In a forked child: gives no more work to any worker."""
        self.dismissed = self.disbanded = True

    def dismiss(self) -> None:
        """Ends the free workers, and has the others end when they are done."""
        self.dismissed = True
        for worker in self._free:
            worker.kill(block=False)
        self._free.clear()


acquaint(Worker)
