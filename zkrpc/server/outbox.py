"""What waits to be sent to one peer: as much at once as the socket takes, the rest when it takes more.

It knows bytes only. It never blocks, but for a reader that is made to wait while its peer does not read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.event import Event


class Outbox:
    """The unsent bytes of one connection.

    Args:
        sock: non-blocking.
        writable: a watcher that fires when the socket takes bytes.
        clock: monotonic seconds.
        on_empty: called when everything has left that had to wait.
        on_broken: called when the socket takes nothing any more.
    """

    def __init__(
        self,
        sock: Any,
        writable: Any,
        *,
        clock: Callable[[], float],
        on_empty: Callable[[], None],
        on_broken: Callable[[], None],
    ) -> None:
        self._sock = sock
        self._writable = writable
        self._clock = clock
        self._on_empty = on_empty
        self._on_broken = on_broken
        self._unsent = bytearray()
        self._stalled_at = 0.0
        self._room: Event | None = None
        self._closed = False

    def __len__(self) -> int:
        """Bytes that the socket has not taken yet."""
        return len(self._unsent)

    def __repr__(self) -> str:
        """Its size."""
        return f"<Outbox unsent={len(self._unsent)}>"

    def push(self, chunk: bytes) -> None:
        """Sends what the socket takes, and keeps the rest."""
        if self._unsent:
            self._unsent += chunk
        elif chunk:
            sent = self._send(chunk)
            if sent < len(chunk) and not self._closed:
                self._unsent += memoryview(chunk)[sent:]
                self._stalled_at = self._clock()
                self._writable.start(self._continue)

    def has_stalled(self, now: float, longest: float) -> bool:
        """Whether the peer has left bytes unread for more than ``longest`` seconds."""
        return bool(self._unsent) and now - self._stalled_at > longest

    def await_room(self, most: int, longest: float) -> bool:
        """Waits until at most ``most`` bytes are unsent; False if the peer takes none for ``longest`` seconds."""
        while len(self._unsent) > most:
            self._room = Event()
            if not self._room.wait(longest) or self._closed:
                return False
        return True

    def close(self) -> None:
        """Nothing more is sent; the watcher is freed."""
        self._closed = True
        self._writable.stop()
        self._writable.close()
        self._tell_room()

    def _continue(self) -> None:
        sent = self._send(self._unsent)
        if self._closed or not sent:
            return
        del self._unsent[:sent]
        self._stalled_at = self._clock()
        self._tell_room()
        if not self._unsent:
            self._writable.stop()
            self._on_empty()

    def _tell_room(self) -> None:
        if self._room is not None:
            self._room.set()

    def _send(self, chunk: bytes | bytearray) -> int:
        try:
            sent: int = self._sock.send(chunk)
            return sent
        except BlockingIOError:
            return 0
        except OSError:
            self._on_broken()
            return 0
