"""Follows one node of ZooKeeper, and passes its value to any number of followers.

A shell: one greenlet with one watch. The node's bytes are parsed by ``read``, which may also refuse them; then the last
good value stays, as it does while ZooKeeper cannot be reached. The node need not exist: its absence is a value like any
other, and its creation is watched for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Generic, TypeVar

import gevent
from gevent.event import Event

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError, CoordinationError, RemoteProtocolError, SessionSuspended
from zkrpc.zookeeper.ensemble import CONFIGURATION, read_configuration
from zkrpc.zookeeper.session import Session
from zkrpc.zookeeper.znodes import NodeReader

_log = logging.getLogger(__name__)

_LOOKS = 3
"""How often a node that keeps appearing and vanishing is read before that counts as a failure."""
_PAUSE = 1.0
"""The longest time in seconds until a failed read is repeated."""

T = TypeVar("T")


def watch_configuration(
    session: Session, *, refresh_interval: float, rng: Callable[[], float]
) -> NodeWatch[tuple[Endpoint, ...]]:
    """Has a session follow its ensemble's own configuration, until the result is closed."""
    watch = NodeWatch(
        session,
        CONFIGURATION,
        read_configuration,
        refresh_interval=refresh_interval,
        rng=rng,
        nodes=session.znodes.system,
    )
    watch.add(session.receive_configuration)
    return watch


class NodeWatch(Generic[T]):
    """The watch of one node, for any number of followers; it ends when the last one is removed.

    Args:
        session: the session to read the node with.
        path: the node.
        read: parses the node's bytes, or None while there is no node. It may raise ConfigError or RemoteProtocolError
            to refuse them; that is logged once for each reason in a row.
        refresh_interval: the longest time in seconds until the node is read again, even if no watch fires.
        rng: gives floats in [0, 1).
        nodes: what to read the node through; the session's nodes by default.
        repeating: whether followers are also called when the node was read again and its value has not changed, for
            those that may have discarded it.
    """

    def __init__(
        self,
        session: Session,
        path: str,
        read: Callable[[bytes | None], T],
        *,
        refresh_interval: float,
        rng: Callable[[], float],
        nodes: NodeReader | None = None,
        repeating: bool = False,
    ) -> None:
        self.last: T | None = None
        """The last good value; None before the first."""
        self._session = session
        self._nodes: NodeReader = session.znodes if nodes is None else nodes
        self._path = path
        self._read = read
        self._interval = refresh_interval
        self._rng = rng
        self._repeating = repeating
        self._callbacks: dict[object, Callable[[T], None]] = {}
        self._told: tuple[T] | None = None
        self._refusal = ""
        self._wake = Event()
        self._looked = Event()
        session.watch_state(self._wake)
        self._greenlet = gevent.spawn(self._run)

    def add(self, callback: Callable[[T], None]) -> object:
        """Adds a follower, which is called at once if there is a value. Returns a ticket for ``remove``.

        A callback must not wait; its exceptions are logged.
        """
        ticket = object()
        self._callbacks[ticket] = callback
        if self._told is not None:
            self._tell(callback, *self._told)
        return ticket

    def remove(self, ticket: object) -> bool:
        """Removes a follower; True if that ended the watch."""
        if self._callbacks.pop(ticket, None) is None or self._callbacks:
            return False
        self.close()
        return True

    def wait_looked(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds until the node was read once, or found missing; False if it was not. Its
        followers have been told then, unless its value is refused."""
        return bool(self._looked.wait(timeout))

    def close(self) -> None:
        """Ends the watching without waiting for anything."""
        self._callbacks.clear()
        self._session.unwatch_state(self._wake)
        self._greenlet.kill(block=False)

    def _run(self) -> None:
        while True:
            self._wake.clear()
            # Every failure is retried for ever, even a bug in this code: a greenlet that ends would freeze the last
            # value.
            pause = self._interval
            try:
                self._receive(self._look())
                self._looked.set()
            except SessionSuspended:
                pass  # the session's next state wakes us
            except CoordinationError as error:
                _log.warning("cannot read %s: %s", self._path, error)
                pause = _PAUSE
            except Exception:
                _log.exception("cannot read %s", self._path)
                pause = _PAUSE
            self._wake.wait(pause * (0.5 + self._rng() / 2))

    def _look(self) -> bytes | None:
        """The node's value, or None, with a watch for the next change either way."""
        for _ in range(_LOOKS):
            found = self._nodes.get(self._path, watch=self._wake)
            if found is not None:
                return found[0]
            # Reading a missing node sets no watch; only exists does.
            if self._nodes.exists(self._path, watch=self._wake) is None:
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
            _log.warning("%s has a value that is refused, so the last good one stays in effect: %s", self._path, reason)
        self._refusal = reason

    def _tell(self, callback: Callable[[T], None], word: T) -> None:
        try:
            callback(word)
        except (Exception, gevent.Timeout):
            _log.exception("a follower of %s failed", self._path)
