"""Greenlets that run requests, and how the hub gives them work.

A read may bring many requests, and most handlers do not block. So the hub switches straight into a *worker*, which runs
them one after another in place and gives the hub back when there are none left. If it comes back earlier, the handler
it is in has blocked: that worker is on its own from then on, and the hub takes another one for the rest. None of this
needs a callback, a wake-up or a new greenlet for each request.

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

import gevent
from gevent import get_hub

_MOST_FREE = 256
"""Workers that are kept for the next requests; what had to block beyond them ends when it is done. Some ten KiB each,
and still less memory than what is scattered by making as many anew (measured)."""

Work = Callable[["Worker"], object]
"""Runs all requests there are, in the worker it is given."""


class Worker(gevent.Greenlet):  # type: ignore[type-arg]  # its class cannot be subscripted when the program runs
    """A greenlet of the pool."""

    def __init__(self, greenlets: GreenletPool) -> None:
        super().__init__()
        self.work: Work | None = None
        """What it was given to do; None while it is free."""
        self.in_front = False
        """True while the hub waits for it to come back: then no handler of its has blocked yet."""
        self._greenlets = greenlets

    def _run(self) -> None:
        greenlets, hub = self._greenlets, get_hub()
        try:
            while self.work is not None:
                self.work(self)
                self.work = None
                if not greenlets.welcome(self):
                    break
                while self.work is None and not greenlets.dismissed:
                    hub.switch()
        except gevent.GreenletExit:
            pass  # as a result it would be kept, and with its traceback the connection, until a collection
        finally:
            greenlets.lose(self)


class GreenletPool:
    """The workers of one server. Belongs to the hub of the thread that made it."""

    def __init__(self) -> None:
        self.dismissed = False
        self.disbanded = False
        """True in a forked child, where only the worker that forked goes on, to its handler's end."""
        self._free: list[Worker] = []

    def __repr__(self) -> str:
        """How many are free."""
        return f"<GreenletPool free={len(self._free)}>"

    def begin(self, work: Work) -> bool:
        """In the hub: has a worker do it. False if that has blocked, and goes on later."""
        worker = self._free.pop() if self._free else Worker(self)
        worker.work = work
        worker.in_front = True
        worker.switch()
        worker.in_front = False
        return worker.work is None

    def welcome(self, worker: Worker) -> bool:
        """Takes a worker that is done among those who are free; False if there are enough."""
        if self.dismissed or len(self._free) >= _MOST_FREE:
            return False
        self._free.append(worker)
        return True

    def lose(self, worker: Worker) -> None:
        """It ends, by whatever means."""
        worker.work = None
        if worker in self._free:
            self._free.remove(worker)

    def disband(self) -> None:
        """In a forked child: nobody is given anything to do any more."""
        self.dismissed = self.disbanded = True

    def dismiss(self) -> None:
        """Ends those who are free, and lets the others end when they are done."""
        self.dismissed = True
        for worker in self._free:
            worker.kill(block=False)
        self._free.clear()
