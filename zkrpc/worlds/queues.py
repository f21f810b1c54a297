"""The two queues between threads: where errands enter the hub thread, and where they leave it.

Waking another thread costs many times what a call costs, so it is done once for a batch: a queue remembers whether
somebody was told already. The order of two steps makes that right without a lock, since each step is atomic: who brings
an errand appends it first and looks at the flag then; who takes errands clears the flag first and takes then. So an
errand that came too late for the batch finds the flag cleared, and tells again. Two who bring at once may both tell,
which does no harm.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator

from zkrpc.errors import Executed, Unavailable
from zkrpc.worlds.errand import Errand, ErrandState

MOST_INSIDE = 65_536
"""Errands that may wait or run at once. A greenlet takes some KiB, so that more would be hundreds of MiB."""
_MOST_AT_ONCE = 1024
"""Errands that are taken before the hub looks at its sockets again."""
_WAITING = ErrandState.WAITING


class Entrance:
    """The queue into the hub thread. ``running`` is changed in the hub thread only."""

    __slots__ = ("_bound", "_queue", "_told", "closed", "running")

    def __init__(self, bound: int = MOST_INSIDE) -> None:
        self.closed = False
        self.running = 0
        """Errands that have begun, or are about to, and are not done."""
        self._bound = bound
        self._queue: deque[Errand] = deque()
        self._told = False

    def __repr__(self) -> str:
        """How many wait and run."""
        return f"<Entrance waiting={len(self._queue)} running={self.running}{' closed' if self.closed else ''}>"

    @property
    def waiting(self) -> int:
        """Errands in the queue."""
        return len(self._queue)

    def admit(self, errand: Errand) -> bool:
        """From any thread: takes an errand in. True if the hub thread must be woken. Raises Unavailable if it is
        closed, or full."""
        queue = self._queue
        if len(queue) + self.running >= self._bound:
            raise Unavailable(
                f"{self._bound} calls wait or are under way in this process, so one more was not begun; make fewer at "
                "once, with a semaphore or a pool",
                executed=Executed.NO,
            )
        queue.append(errand)
        if self.closed:  # looked at last: whoever closes it empties the queue afterwards
            raise closed_meanwhile()
        if self._told:
            return False
        self._told = True
        return True

    def insist(self, errand: Errand) -> bool:
        """From any thread: takes an errand in without a bound, which ends something: one that was admitted and has been
        given up, and comes through once more, or the closing of a client. True if the hub thread must be woken."""
        self._queue.append(errand)
        if self._told:
            return False
        self._told = True
        return True

    def batch(self) -> Iterator[Errand]:
        """In the hub thread: what has come, as far as it is to be seen to now. New ones count as running."""
        self._told = False
        queue = self._queue
        for _ in range(min(len(queue), _MOST_AT_ONCE)):
            errand = queue.popleft()
            if errand.state is _WAITING:
                self.running += 1
            yield errand

    def has_more(self) -> bool:
        """In the hub thread, after a batch: whether the hub thread must wake itself once more."""
        if self._told or not self._queue:
            return False
        self._told = True
        return True

    def close(self) -> None:
        """Admits nothing from now on."""
        self.closed = True

    def leftovers(self) -> list[Errand]:
        """In the hub thread, once it is closed: those that will not begin."""
        left = []
        while self._queue:
            errand = self._queue.popleft()
            if errand.state is _WAITING:
                left.append(errand)
        return left


class Exit:
    """The queue out of the hub thread into one event loop: ``post`` is called once for each batch, in the hub thread,
    and has ``deliver`` called over there; ``wake`` is called there with each errand."""

    __slots__ = ("_armed", "_post", "_queue", "_wake")

    def __init__(self, post: Callable[[], object], wake: Callable[[Errand], object]) -> None:
        self._post = post
        self._wake = wake
        self._queue: deque[Errand] = deque()
        self._armed = False

    def __repr__(self) -> str:
        """How many are on their way."""
        return f"<Exit waiting={len(self._queue)}>"

    def put(self, errand: Errand) -> None:
        """In the hub thread: an errand is done."""
        self._queue.append(errand)
        if not self._armed:
            self._armed = True
            self._post()

    def deliver(self) -> None:
        """In the other loop: wakes those who wait there."""
        self._armed = False
        queue, wake = self._queue, self._wake
        while queue:
            wake(queue.popleft())

    def discard(self) -> None:
        """The other loop is closed, so nobody waits there any more."""
        self._queue.clear()
        self._armed = False


def closed_meanwhile() -> Unavailable:
    """The error of errands that came too late."""
    return Unavailable("the client is closed; make a new one", executed=Executed.NO)
