"""Follows who leads the groups of one service, for those who asked, and tells them.

Per group one :class:`~zkrpc.zookeeper.node_watch.NodeWatch` of the primary's node, from the first who asks to the last
who leaves. It knows nothing of elections; that a node's contents are sound is for the election to see to, so what it
reads here is untrusted, and epochs that fall are taken for an old answer. Nobody depends on it: while ZooKeeper is
away, the last word stands, and redirects tell what changes.

A node that is gone says that nobody leads; one that cannot be read says no more than that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import NO_EPOCH, Primary
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.node_watch import NodeWatch
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

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
        self._watches: dict[str, NodeWatch[Primary | None]] = {}
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
            read = PrimaryReader(path, self._config.max_record, lambda: self._session.histories).read
            # Also told if it is the same: a follower that lost the primary from sight wants to know that it stands.
            watch = NodeWatch(
                self._session, path, read, refresh_interval=self._config.refresh_interval, rng=self._rng, repeating=True
            )
            self._watches[group] = watch
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


class PrimaryReader:
    """Reads what one primary's node says, in the order of epochs; ``histories`` tells when ZooKeeper came back as
    another one, which may not know how far they were."""

    def __init__(self, path: str, max_record: int, histories: Callable[[], int] = lambda: 0) -> None:
        self._path = path
        self._max_record = max_record
        self._histories = histories
        self._history = histories()
        self._highest = NO_EPOCH

    def read(self, value: bytes | None) -> Primary | None:
        """Who leads, if anybody does. RemoteProtocolError for what was said before what has been seen."""
        primary = None
        if self._history != self._histories():
            self._history, self._highest = self._histories(), NO_EPOCH
        if value is not None:
            record = PrimaryRecord.parse(value, max_record=self._max_record)
            if record is None:
                _log.warning("%s cannot be read: %.200r", self._path, value)
            else:
                primary = Primary(endpoint=record.endpoint, epoch=record.epoch)
        if primary is not None:
            if primary.epoch < self._highest:
                raise RemoteProtocolError(f"it says {primary} after an epoch of {self._highest}")
            self._highest = primary.epoch
        return primary
