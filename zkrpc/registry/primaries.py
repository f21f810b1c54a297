"""Follows the primaries of one service's groups, and passes each change to its followers.

For each group there is one :class:`~zkrpc.zookeeper.node_watch.NodeWatch` of the primary's node while there is a
follower. This module knows nothing of elections: a node's content is untrusted, and an epoch lower than the last one is
taken for a stale answer. Calls do not depend on it: while ZooKeeper cannot be reached the last known primary stays, and
redirects from the instances tell of changes.

Without a node the group has no primary; a node with a record that cannot be parsed counts as none, too, and is logged.
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
    """The primaries of one service's groups: one watch per group for all its followers."""

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
        """The groups, and the last known primary of each."""
        told = ", ".join(f"{group}={watch.last or 'nobody'}" for group, watch in self._watches.items())
        return f"<PrimaryWatches {self._paths.service} {told}>"

    def follow(self, group: str, callback: Callback) -> Callable[[], None]:
        """Calls back with the primary, or None while there is none: now if it is known, at every change, and whenever
        the node was read again. After ``close`` it does nothing.

        A callback must not wait; what it raises is logged. Returns a function that ends the following. Raises
        ConfigError for a name that no group can have.
        """
        path = self._paths.primary(group)
        if self._closed:
            return lambda: None
        watch = self._watches.get(group)
        if watch is None:
            read = PrimaryReader(path, self._config.max_record, lambda: self._session.histories).read
            # Repeating: a follower that has dropped the primary after a failure learns from an equal record that it
            # still leads.
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
        """Ends all watches at once; no follower is called back any more."""
        self._closed = True
        for watch in self._watches.values():
            watch.close()
        self._watches.clear()


class PrimaryReader:
    """Reads one primary's node, and refuses epochs that go back. When ``histories`` changes, this is another ensemble,
    whose epochs may be lower."""

    def __init__(self, path: str, max_record: int, histories: Callable[[], int] = lambda: 0) -> None:
        self._path = path
        self._max_record = max_record
        self._histories = histories
        self._history = histories()
        self._highest = NO_EPOCH

    def read(self, value: bytes | None) -> Primary | None:
        """The primary that the node's ``value`` names, if any. Raises RemoteProtocolError for an epoch lower than one
        read before."""
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
