"""Follows one node of ZooKeeper for those who asked, and tells them what it says.

A shell: one greenlet with one watch, from the start to the end. What the node's bytes mean is not known here; that is
for ``read``, which may also refuse them, and then the last word stands. It stands while ZooKeeper is away, too. The
node need not be there: its absence is a word like any other, and its creation is awaited.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent
from gevent.event import Event

from zkrpc.errors import ConfigError, CoordinationError, RemoteProtocolError, SessionSuspended
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

_LOOKS = 3
"""Times to look for a node that appears and vanishes while we look, before we come back later."""
_PAUSE = 1.0
"""Seconds, at most, until a failed look is repeated if nothing else happens."""

T = TypeVar("T")


class NodeWatch(Generic[T]):
    """The watch of one node, however many follow it; it ends with the last one who leaves.

    Args:
        session: through which to look.
        path: the node.
        read: what its bytes, or None while there is no node, mean. It may raise ConfigError or RemoteProtocolError to
            refuse them; that is logged once for each reason in a row.
        refresh_interval: seconds, at most, until the node is read again without being told.
        rng: gives floats in [0, 1).
        repeating: whether what was said before is told again when it was looked at again, for followers that may have
            come to doubt it.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        read: Callable[[bytes | None], T],
        *,
        refresh_interval: float,
        rng: Callable[[], float],
        repeating: bool = False,
    ) -> None:
        self.last: T | None = None
        """The last good word; None before the first."""
        self._session = session
        self._path = path
        self._read = read
        self._interval = refresh_interval
        self._rng = rng
        self._repeating = repeating
        self._callbacks: dict[object, Callable[[T], None]] = {}
        self._told: tuple[T] | None = None
        self._refusal = ""
        self._wake = Event()
        session.watch_state(self._wake)
        self._greenlet = gevent.spawn(self._run)

    def add(self, callback: Callable[[T], None]) -> object:
        """One more follower, told at once if there is a word; returns what ``remove`` takes.

        A callback must not wait; what it raises is logged.
        """
        ticket = object()
        self._callbacks[ticket] = callback
        if self._told is not None:
            self._tell(callback, *self._told)
        return ticket

    def remove(self, ticket: object) -> bool:
        """One follower less; True if that ended the watch."""
        if self._callbacks.pop(ticket, None) is None or self._callbacks:
            return False
        self.close()
        return True

    def close(self) -> None:
        """Ends the watching without waiting for anything."""
        self._callbacks.clear()
        self._session.unwatch_state(self._wake)
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            # Every failure is retried for ever, also one of our own making: a silent end would freeze the last word.
            pause = self._interval
            try:
                self._receive(self._look())
            except SessionSuspended:
                pass  # the session's next state wakes us
            except CoordinationError as error:
                _log.warning("cannot see %s: %s", self._path, error)
                pause = _PAUSE
            except Exception:
                _log.exception("cannot see %s", self._path)
                pause = _PAUSE
            self._wake.wait(pause * (0.5 + self._rng() / 2))

    def _look(self) -> bytes | None:
        """The node's value, or None, with a watch for the next change either way."""
        for _ in range(_LOOKS):
            found = self._session.znodes.get(self._path, watch=self._wake)
            if found is not None:
                return found[0]
            # A node that is not there cannot be watched by reading it.
            if self._session.znodes.exists(self._path, watch=self._wake) is None:
                return None
        raise CoordinationError(f"{self._path} comes and goes")

    def _receive(self, value: bytes | None) -> None:
        try:
            word = self._read(value)
        except (ConfigError, RemoteProtocolError) as error:
            self._refuse(str(error))
            return
        self._refusal = ""
        if not self._repeating and self._told == (word,):
            return
        self.last, self._told = word, (word,)
        for callback in tuple(self._callbacks.values()):
            self._tell(callback, word)

    def _refuse(self, reason: str) -> None:
        if reason != self._refusal:
            _log.warning("%s is refused, and what it said before stands: %s", self._path, reason)
        self._refusal = reason

    def _tell(self, callback: Callable[[T], None], word: T) -> None:
        try:
            callback(word)
        except (Exception, gevent.Timeout):
            _log.exception("a follower of %s failed", self._path)
