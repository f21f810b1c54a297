"""How a call starts at its moment.

The timers of event loops are too coarse for that: libev and asyncio both round what they wait for up to a
millisecond, which is more than many a call takes, and would be counted as latency of the peer. A timerfd is a timer
that any loop can wait for as for a socket, to a few microseconds. Threads sleep precisely as it is.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import heapq
import itertools
import os
import time
from collections.abc import Callable
from typing import Any, Protocol

_CLOCK_MONOTONIC, _TFD_NONBLOCK, _TFD_TIMER_ABSTIME = 1, 0o4000, 1


class Pacer(Protocol):
    """Lets callers wait for their moments."""

    def wait(self, due: float, /) -> None:
        """Returns at ``due``, in monotonic seconds."""

    def close(self) -> None:
        """Nobody waits any more."""


class Alarm:
    """A file descriptor that becomes readable at a given time."""

    def __init__(self) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        self.fd: int = self._libc.timerfd_create(_CLOCK_MONOTONIC, _TFD_NONBLOCK)
        if self.fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create")

    def set(self, at: float) -> None:
        """Rings at ``at``, in monotonic seconds, or at once if that has passed."""
        seconds, nanoseconds = divmod(int(at * 1e9), 1_000_000_000)
        once = (ctypes.c_long * 4)(0, 0, seconds, nanoseconds)
        self._libc.timerfd_settime(self.fd, _TFD_TIMER_ABSTIME, once, None)

    def clear(self) -> None:
        """Not readable any more."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.fd, 8)

    def close(self) -> None:
        """Frees it."""
        os.close(self.fd)


class ThreadPacer:
    """For threads."""

    def wait(self, due: float) -> None:
        """Returns at ``due``."""
        time.sleep(max(0.0, due - time.monotonic()))

    def close(self) -> None:
        """Nothing to free."""


class Queue:
    """Who waits for which moment, and one alarm for the next of them. ``wake`` is called with who is due."""

    def __init__(self, wake: Callable[[Any], object]) -> None:
        self.alarm = Alarm()
        self._wake = wake
        self._waiting: list[tuple[float, int, Any]] = []
        self._numbers = itertools.count()

    def add(self, due: float, who: Any) -> None:
        """Wakes ``who`` at ``due``."""
        heapq.heappush(self._waiting, (due, next(self._numbers), who))
        if self._waiting[0][2] is who:
            self.alarm.set(due)

    def ring(self) -> None:
        """The alarm rang: wakes all who are due."""
        self.alarm.clear()
        waiting, now = self._waiting, time.monotonic()
        while waiting and waiting[0][0] <= now:
            self._wake(heapq.heappop(waiting)[2])
        if waiting:
            self.alarm.set(waiting[0][0])


class GreenletPacer:
    """For greenlets of this thread's hub."""

    def __init__(self) -> None:
        from gevent import get_hub, getcurrent

        self._hub, self._current = get_hub(), getcurrent
        self._queue = Queue(lambda greenlet: greenlet.switch())
        self._watcher = self._hub.loop.io(self._queue.alarm.fd, 1)
        self._watcher.start(self._queue.ring)

    def wait(self, due: float) -> None:
        """Returns at ``due``."""
        self._queue.add(due, self._current())
        self._hub.switch()

    def close(self) -> None:
        """Frees the alarm."""
        self._watcher.stop()
        self._watcher.close()
        self._queue.alarm.close()


class TaskPacer:
    """For tasks of the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = Queue(lambda future: future.set_result(None))
        self._loop.add_reader(self._queue.alarm.fd, self._queue.ring)

    async def wait(self, due: float) -> None:
        """Returns at ``due``."""
        future = self._loop.create_future()
        self._queue.add(due, future)
        await future

    def close(self) -> None:
        """Frees the alarm."""
        self._loop.remove_reader(self._queue.alarm.fd)
        self._queue.alarm.close()
