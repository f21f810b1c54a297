"""A connected pair of sockets in memory, for running client and server without a network.

Each end has the methods of a non-blocking socket that connections use (``recv``, ``send``, ``close``, ``setblocking``)
and, since there is no file descriptor to watch, watchers of its own. It belongs to the hub of the greenlet that made
it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent import get_hub

READ = 1


class MemorySocket:
    """One end of a pair. What is sent arrives at the other end in the next round of the event loop; nothing is ever
    lost or refused."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._other: MemorySocket | None = None
        self._closed = False
        self._watchers: set[MemoryWatcher] = set()

    def __repr__(self) -> str:
        """The state, and how many bytes wait to be read."""
        return f"<MemorySocket {'closed' if self._closed else 'open'} received={len(self._received)}>"

    @property
    def is_readable(self) -> bool:
        """True if ``recv`` would not block, as there are bytes, or the other end is closed."""
        return bool(self._received) or self._other is None

    def setblocking(self, flag: bool) -> None:
        """Does nothing: this socket never blocks."""

    def recv(self, size: int) -> bytes:
        """Up to that many bytes; b"" at the end. Raises BlockingIOError if there is nothing yet, OSError if closed."""
        if self._closed:
            raise OSError("the socket is closed")
        if not self.is_readable:
            raise BlockingIOError
        chunk = bytes(self._received[:size])
        del self._received[:size]
        return chunk

    def send(self, chunk: bytes | bytearray | memoryview) -> int:
        """Hands all bytes over. Raises OSError if either end is closed."""
        if self._closed or self._other is None:
            raise BrokenPipeError("the other end is closed")
        self._other._received += chunk
        self._other._wake()
        return len(chunk)

    def close(self) -> None:
        """Ends both directions; the other end reads what was sent and then the end."""
        self._closed = True
        other, self._other = self._other, None
        if other is not None:
            other._other = None
            other._wake()

    def watcher(self, events: int) -> MemoryWatcher:
        """The counterpart of ``loop.io(fd, events)`` for a real socket."""
        watcher = MemoryWatcher(self, events)
        self._watchers.add(watcher)
        return watcher

    def _wake(self) -> None:
        for watcher in list(self._watchers):
            watcher.arm()


class MemoryWatcher:
    """Calls back in the hub in every round of the event loop in which its socket is ready, from ``start`` to
    ``stop``."""

    def __init__(self, sock: MemorySocket, events: int) -> None:
        self._sock = sock
        self._reads = events == READ
        self._callback: Callable[[], Any] | None = None
        self._armed = False

    def start(self, callback: Callable[..., Any], *args: Any) -> None:
        """From now on ``callback(*args)`` is called while the socket is ready."""
        self._callback = lambda: callback(*args)
        self.arm()

    def stop(self) -> None:
        """Stops calling back."""
        self._callback = None

    def close(self) -> None:
        """Removes the watcher from its socket."""
        self.stop()
        self._sock._watchers.discard(self)

    def arm(self) -> None:
        """Has the socket looked at again in the next round of the event loop."""
        if not self._armed and self._callback is not None:
            self._armed = True
            get_hub().loop.run_callback(self._fire)

    def _fire(self) -> None:
        self._armed = False
        callback = self._callback
        if callback is not None and (not self._reads or self._sock.is_readable):
            callback()
            self.arm()


def memory_pair() -> tuple[MemorySocket, MemorySocket]:
    """Two connected ends."""
    ours, theirs = MemorySocket(), MemorySocket()
    ours._other, theirs._other = theirs, ours
    return ours, theirs
