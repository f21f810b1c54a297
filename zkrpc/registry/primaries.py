"""Follows who leads the groups of one service, for those who asked, and tells them.

A shell: per group one greenlet with one watch on the primary's node, from the first who asks to the last who leaves. It
knows nothing of elections; that a node's contents are sound is for the election to see to, so what it reads here is
untrusted, and epochs that fall are taken for an old answer. Nobody depends on it: while ZooKeeper is away, the last
word stands, and redirects tell what changes.

A node that is gone says that nobody leads; one that cannot be read says no more than that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import gevent
from gevent.event import Event

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import NO_EPOCH, Primary
from zkrpc.errors import CoordinationError, SessionSuspended
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.schema import Paths
from zkrpc.registry.session import Session

_log = logging.getLogger(__name__)

_LOOKS = 3
"""Times to look for a node that appears and vanishes while we look, before we come back later."""
_PAUSE = 1.0
"""Seconds, at most, until a failed look is repeated if nothing else happens."""

Callback = Callable[[Primary | None], None]


class PrimaryWatches:
    """The primaries of one service's groups; one watch per group, however many follow it."""

    def __init__(
        self, session: Session, service: str, config: RegistryConfig = RegistryConfig(), *, rng: Callable[[], float]
    ) -> None:
        """``rng`` gives floats in [0, 1)."""
        self._session = session
        self._paths = Paths(service)
        self._config = config
        self._rng = rng
        self._watches: dict[str, _Watch] = {}
        self._closed = False

    def __repr__(self) -> str:
        """The groups, and what is known of each."""
        told = ", ".join(f"{group}={watch.last or 'nobody'}" for group, watch in self._watches.items())
        return f"<PrimaryWatches {self._paths.service} {told}>"

    def follow(self, group: str, callback: Callback) -> Callable[[], None]:
        """Calls back with the primary, or None while nobody leads: now if it is known, at every change, and whenever it
        was looked at again. After ``close`` it does nothing.

        A callback must not wait; what it raises is logged. Returns a function that ends it. Raises ConfigError for
        what cannot be a group's name.
        """
        path = self._paths.primary(group)
        if self._closed:
            return lambda: None
        watch = self._watches.get(group)
        if watch is None:
            watch = self._watches[group] = _Watch(self._session, path, self._config, self._rng)
        ticket = watch.add(callback)

        def unfollow() -> None:
            if watch.remove(ticket) and self._watches.get(group) is watch:
                del self._watches[group]

        return unfollow

    def close(self) -> None:
        """Ends all watches, at once; nobody is called back any more."""
        self._closed = True
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()


class _Watch:
    """The watch of one group."""

    def __init__(self, session: Session, path: str, config: RegistryConfig, rng: Callable[[], float]) -> None:
        self.last: Primary | None = None
        self._session = session
        self._path = path
        self._config = config
        self._rng = rng
        self._callbacks: dict[object, Callback] = {}
        self._told = False
        self._highest = NO_EPOCH
        self._wake = Event()
        session.watch_state(self._wake)
        self._greenlet = gevent.spawn(self._run)

    def add(self, callback: Callback) -> object:
        """One more follower; returns what ``remove`` takes."""
        ticket = object()
        self._callbacks[ticket] = callback
        if self._told:
            self._tell(callback)
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
            pause = self._config.refresh_interval
            try:
                self._receive(self._look())
            except SessionSuspended:
                pass  # the session's next state wakes us
            except CoordinationError as error:
                _log.warning("cannot see who leads: %s", error)
                pause = _PAUSE
            except Exception:
                _log.exception("cannot see who leads (%s)", self._path)
                pause = _PAUSE
            self._wake.wait(pause * (0.5 + self._rng() / 2))

    def _look(self) -> bytes | None:
        """The node's value, or None, with a watch for the next change either way."""
        for _ in range(_LOOKS):
            found = self._session.get(self._path, watch=self._wake)
            if found is not None:
                return found[0]
            # A node that is not there cannot be watched by reading it.
            if self._session.exists(self._path, watch=self._wake) is None:
                return None
        raise CoordinationError(f"{self._path} comes and goes")

    def _receive(self, value: bytes | None) -> None:
        primary = None
        if value is not None:
            record = PrimaryRecord.parse(value, max_record=self._config.max_record)
            if record is None:
                _log.warning("%s cannot be read: %.200r", self._path, value)
            else:
                primary = Primary(endpoint=record.endpoint, epoch=record.epoch)
        if primary is not None and primary.epoch < self._highest:
            _log.warning("%s says %s after an epoch of %d; ignored", self._path, primary, self._highest)
            return
        # Also if it is the same: a follower that lost the primary from sight wants to know that it still stands.
        self._told, self.last = True, primary
        self._highest = self._highest if primary is None else primary.epoch
        for callback in tuple(self._callbacks.values()):
            self._tell(callback)

    def _tell(self, callback: Callback) -> None:
        try:
            callback(self.last)
        except (Exception, gevent.Timeout):
            _log.exception("a follower of %s failed", self._path)
