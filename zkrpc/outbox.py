"""The send buffer of one connection: sends at once as much as the socket takes, and the rest when it takes more.

It knows bytes only, and is used by clients and servers. Nothing in it blocks except ``await_progress``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from gevent.event import Event


def _nobody(*_: object) -> None:
    """Does nothing: the callback of a closed outbox."""


class Outbox:
    """The unsent bytes of one connection.

    Args:
        sock: non-blocking.
        writable: a watcher that fires when the socket takes bytes.
        clock: monotonic seconds.
        on_empty: called when all waiting bytes have left, and, if it was full, also when no more than half of its
            ``capacity`` waits.
        on_broken: called with the reason when the connection is broken.
        capacity: bytes beyond which it is full. It still keeps what is pushed; the caller has to stop.
        pace: bytes that must leave, while any wait, within the time that ``has_stalled`` is asked about.
    """

    __slots__ = (
        "_capacity",
        "_clock",
        "_closed",
        "_on_broken",
        "_on_empty",
        "_pace",
        "_progress",
        "_stalled_at",
        "_taken",
        "_writable",
        "is_full",
        "send",
        "unsent",
    )

    def __init__(
        self,
        sock: Any,
        writable: Any,
        *,
        clock: Callable[[], float],
        on_empty: Callable[[], object],
        on_broken: Callable[[OSError], object],
        capacity: float = math.inf,
        pace: float = 1,
    ) -> None:
        self.is_full = False
        """True from more than its capacity until no more than half of it is left."""
        self.send = sock.send
        self._writable = writable
        self._clock = clock
        self._on_empty = on_empty
        self._on_broken = on_broken
        self.unsent = bytearray()
        """The bytes that the socket has not taken yet."""
        self._capacity = capacity
        self._pace = pace
        self._stalled_at = 0.0
        self._taken = 0
        self._progress: Event | None = None
        self._closed = False

    def __len__(self) -> int:
        """The number of bytes that the socket has not taken yet."""
        return len(self.unsent)

    def __repr__(self) -> str:
        """Its size."""
        return f"<Outbox unsent={len(self.unsent)}>"

    def push(self, chunk: bytes) -> bool:
        """Sends what the socket takes, and keeps the rest. False if bytes are left, or the connection is broken."""
        if self.unsent:
            self.unsent += chunk
            self.is_full = self.is_full or len(self.unsent) > self._capacity
            return False
        if chunk:
            try:
                sent: int = self.send(chunk)
            except OSError as error:
                sent = self.receive_failure(error)
            if sent < len(chunk):
                self.keep(chunk, sent)
                return False
        return True

    def keep(self, chunk: bytes, sent: int) -> None:
        """Of a chunk that was given to ``send``, ahead of which nothing waits, so many bytes have left."""
        if not self._closed:
            self.unsent += memoryview(chunk)[sent:]
            self.is_full = len(self.unsent) > self._capacity
            self._stalled_at, self._taken = self._clock(), 0
            self._writable.start(self._continue)

    def receive_failure(self, error: OSError) -> int:
        """Returns 0, the bytes sent by a failed ``send``. If the connection is broken, the owner is told."""
        if not isinstance(error, (BlockingIOError, InterruptedError)):
            self._on_broken(error)
        return 0

    def has_stalled(self, now: float, longest: float) -> bool:
        """Whether bytes have waited for ``longest`` seconds in which the peer took less than it must."""
        return bool(self.unsent) and now - self._stalled_at > longest

    def await_progress(self, timeout: float) -> bool:
        """Waits until the peer takes bytes; False if it takes none for ``timeout`` seconds, or the connection is
        closed."""
        self._progress = self._progress or Event()
        return bool(self._progress.wait(timeout)) and not self._closed

    def close(self) -> None:
        """Sends nothing more, and frees the watcher, the bytes and the callbacks."""
        self._closed = True
        self.unsent = bytearray()
        self._on_empty = self._on_broken = _nobody
        self._writable.stop()
        self._writable.close()
        self._tell_progress()

    def _continue(self) -> None:
        try:
            sent: int = self.send(self.unsent)
        except OSError as error:
            sent = self.receive_failure(error)
        if self._closed or not sent:
            return
        del self.unsent[:sent]
        self._taken += sent
        if self._taken >= self._pace:
            self._stalled_at, self._taken = self._clock(), 0
        self._tell_progress()
        if not self.unsent:
            self.is_full = False
            self._writable.stop()
            self._on_empty()
        elif self.is_full and 2 * len(self.unsent) <= self._capacity:
            self.is_full = False
            self._on_empty()

    def _tell_progress(self) -> None:
        progress, self._progress = self._progress, None
        if progress is not None:
            progress.set()
