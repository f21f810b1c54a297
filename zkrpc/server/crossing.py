"""What passes between the hub and the native threads in which handlers run, and what each side knows of a call. Pure.

A handler that is ``async def``, or that ``zkrpc.offload`` marks, runs in another thread, on behalf of the greenlet that
serves its call. That greenlet runs the interceptors, hands a :class:`Job` over, and waits for its end; so admission,
deadlines, permissions and elections see no difference to a handler on the hub.

=========  ========================  ==================================================================================
a job      is                        and leaves by
=========  ========================  ==================================================================================
waiting    on its way to the thread  being begun; being cancelled, without having run
begun      running there             its end, which for a task that is cancelled is that of its clean-up
ended      back on the hub           its outcome, which the greenlet that waited returns or raises
=========  ========================  ==================================================================================

Jobs cross in batches: whoever puts the first one wakes the other side, and all that are put before it comes to look
cross with it. So a busy server pays for a wake-up once in a turn of its loops and not once for each call.
"""

from __future__ import annotations

import contextvars
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

from zkrpc.call import ServerCall
from zkrpc.errors import Overloaded

ItemT = TypeVar("ItemT")

_SHARE = 0.1
"""Weight of the newest call in the estimate of how long a thread is busy with one."""
_LONGEST_HINT = 1.0
"""The longest hint in seconds; the load is likely to have changed by then."""


class Job:
    """One call whose handler runs in another thread.

    ``call`` is what is run, within ``context``; ``greenlet`` waits for its end, and is None when nobody does.
    ``seated`` says that it has a seat of the pool.
    """

    __slots__ = ("begun_at", "call", "cancelled", "context", "ended", "error", "greenlet", "seated", "task", "value")

    def __init__(self, call: ServerCall, context: contextvars.Context, greenlet: Any, seated: bool = False) -> None:
        self.call = call
        self.context = context
        self.greenlet = greenlet
        self.seated = seated
        self.cancelled = False
        """Set on the hub: nobody wants the answer any more."""
        self.ended = False
        """Set on the hub: the thread is done with it, or will not begin it."""
        self.begun_at: float | None = None
        """When the thread began it, in monotonic seconds."""
        self.task: Any = None
        """The task, if it runs on an event loop; only that loop's thread looks at it."""
        self.value: Any = None
        self.error: BaseException | None = None
        """What the handler returned or raised."""

    def __repr__(self) -> str:
        """The method, and how far it is."""
        state = "ended" if self.ended else "waiting" if self.begun_at is None else "begun"
        return f"<Job {self.call.method} {state}{' cancelled' if self.cancelled else ''}>"

    def begin(self, now: float) -> None:
        """In the thread: the handler is called now, so that the call counts as executed from here on."""
        self.begun_at = now
        self.call.entered = True

    def outcome(self) -> Any:
        """What the handler returned; raises what it raised."""
        error, self.error = self.error, None
        try:
            if error is not None:
                raise error
            return self.value
        finally:
            del error  # its traceback knows this frame


class Crossing(Generic[ItemT]):
    """One direction between two threads. ``wake`` has the other side call ``take`` soon, and may be called from the
    thread that puts; what is put before ``take`` begins is taken by it."""

    __slots__ = ("_items", "_wake", "_woken")

    def __init__(self, wake: Callable[[], object]) -> None:
        self._items: deque[ItemT] = deque()
        self._wake = wake
        self._woken = False

    def __repr__(self) -> str:
        """How many are on their way."""
        return f"<Crossing items={len(self._items)}>"

    def put(self, item: ItemT) -> None:
        """Hands something over."""
        self._items.append(item)
        if not self._woken:
            self._woken = True
            self._wake()

    def take(self) -> Iterator[ItemT]:
        """On the other side: all that have been put so far, in their order. Those that are put meanwhile come with the
        next wake-up, so that the other side gets to its other work."""
        # In this order: what is put from here on wakes again, and at worst in vain.
        self._woken = False
        for _ in range(len(self._items)):
            yield self._items.popleft()


class Seats:
    """How many calls have one of the pool's threads or wait for one. Belongs to the hub.

    Args:
        threads: how many calls run at once.
        queue: how many more may wait.
    """

    __slots__ = ("_seconds", "queue", "taken", "threads")

    def __init__(self, threads: int, queue: int) -> None:
        self.threads = threads
        self.queue = queue
        self.taken = 0
        """Calls that have a thread or wait for one."""
        self._seconds = 0.0

    def __repr__(self) -> str:
        """How many run and wait, of how many."""
        return f"<Seats running={self.running}/{self.threads} queued={self.queued}/{self.queue}>"

    @property
    def running(self) -> int:
        """Calls that have a thread."""
        return min(self.taken, self.threads)

    @property
    def queued(self) -> int:
        """Calls that wait for one."""
        return max(0, self.taken - self.threads)

    def take(self) -> None:
        """One more call comes. Raises Overloaded, which says that it was not executed, if there is no room for it."""
        if self.taken >= self.threads + self.queue:
            message = (
                f"all {self.threads} threads for offloaded handlers are busy, and {self.queued} calls wait for one"
            )
            raise Overloaded(message, retry_after=self._hint())
        self.taken += 1

    def free(self, seconds: float | None) -> None:
        """A call has left: after so many seconds in a thread, or with None without having had one."""
        self.taken -= 1
        if seconds is not None:
            self._seconds += _SHARE * (seconds - self._seconds)

    def _hint(self) -> float | None:
        """Estimated seconds until those that wait have been served; None while nothing is known."""
        seconds = self._seconds * (self.queued + 1) / self.threads
        return min(seconds, _LONGEST_HINT) if seconds > 0 else None
