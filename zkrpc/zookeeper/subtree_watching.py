"""Asks ZooKeeper for persistent recursive watches, and hears what they tell: what kazoo 2.11 does not do.

kazoo knows neither AddWatch nor how to tell a watch that stays from one that has fired, and restores no watch after a
reconnect. So the requests are written here, and each event is looked at before kazoo looks at it; kazoo's own watches
work as before. :mod:`zkrpc.zookeeper.subtrees` decides whom to ask.

Up to ZooKeeper 3.8 a session has one mode for each path, and a one-shot watch on the node itself ends the persistent
one when it fires (ZOOKEEPER-4466). So a session must not read the node of a subtree with a watch; and a follower sets
its watch again whenever it lists everything, at least at each refresh.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable
from typing import Any

from kazoo.exceptions import UnimplementedError
from kazoo.protocol.serialization import GetChildren2, int_struct, write_string

from zkrpc.errors import CoordinationError, NodeMissing, OutcomeUnknown, SessionLost, SessionSuspended
from zkrpc.legible import legible
from zkrpc.zookeeper.operations import Stat
from zkrpc.zookeeper.subtrees import Subtree, WatchOffers
from zkrpc.zookeeper.znodes import Sender, stat_of

_log = logging.getLogger("zkrpc.zookeeper.session")

_PERSISTENT_RECURSIVE = 1
_ANY_WATCHER = 3
"""The only type by which every version of ZooKeeper removes a persistent watch."""

_UNWATCH_TIMEOUT = 0.5


class _Request:
    """A request on one path, as kazoo's connection wants it; the answer has nothing in it."""

    type = 0

    def __init__(self, path: str, mode: int) -> None:
        self.path = path
        self._mode = mode

    def __repr__(self) -> str:
        return f"{type(self).__name__}(path={self.path!r}, mode={self._mode})"

    def serialize(self) -> bytes:
        return bytes(write_string(self.path)) + bytes(int_struct.pack(self._mode))

    @staticmethod
    def deserialize(buffer: bytes, offset: int) -> bool:
        return True


class _AddWatch(_Request):
    type = 106


class _RemoveWatches(_Request):
    type = 18


class _ListSubtree:
    """A listing without a watch, whose answer also has the number of changes that had come before it."""

    type = GetChildren2.type

    def __init__(self, subtree: Subtree) -> None:
        self.path = subtree.path
        self._subtree = subtree

    def __repr__(self) -> str:
        return f"_ListSubtree(path={self.path!r})"

    def serialize(self) -> bytes:
        return bytes(GetChildren2(self.path, None).serialize())

    def deserialize(self, buffer: bytes, offset: int) -> tuple[list[str], Any, int]:
        # Called when the answer is read, so that events before and after it are told apart.
        names, stat = GetChildren2.deserialize(buffer, offset)
        return names, stat, self._subtree.received


class SubtreeWatching:
    """A session's door to persistent watches. Raises as the session's other requests do."""

    def __init__(self, send: Sender, chroot: str, offers: WatchOffers) -> None:
        """All paths are below ``chroot``, which does not end with a slash."""
        self._send = send
        self._chroot = chroot
        self._offers = offers

    def __repr__(self) -> str:
        """What is known of the server."""
        return f"<SubtreeWatching {self._offers!r}>"

    def subtree(self, path: str, wake: Callable[[], object]) -> Subtree:
        """The node at ``path`` and its children, to be watched; see :class:`~zkrpc.zookeeper.subtrees.Subtree`."""
        return Subtree(f"{self._chroot}{path}".rstrip("/") or "/", wake)

    def watch(self, subtree: Subtree) -> bool:
        """Watches the subtree until the connection is lost or :meth:`unwatch`; the node need not exist. Does no harm if
        it is watched already. False if this server is not to be asked, or has refused: then there is no watch."""
        if not self._offers.may_ask:
            return False
        subtree.begin()
        self._offers.add(subtree)
        try:
            self._ask(_AddWatch(subtree.path, _PERSISTENT_RECURSIVE), "watch", timeout=None)
        except OutcomeUnknown:
            self._offers.receive_silence(time.monotonic())
            raise
        except (SessionSuspended, SessionLost):
            raise
        except CoordinationError as error:
            self._offers.remove(subtree)
            self._offers.receive_refused(time.monotonic())
            _complain(error)
            return False
        self._offers.receive_granted()
        return True

    def unwatch(self, subtree: Subtree) -> None:
        """Ends the watch, within half a second. If the server cannot be told, it sends events that nobody looks at,
        until the connection ends."""
        if self._offers.remove(subtree):
            with contextlib.suppress(CoordinationError):
                self._ask(_RemoveWatches(subtree.path, _ANY_WATCHER), "unwatch", timeout=_UNWATCH_TIMEOUT)

    def listing(self, subtree: Subtree) -> tuple[list[str], Stat] | None:
        """The names of the node's children, and its stat at the same moment; None if there is no such node. The subtree
        forgets the changes that the listing contains."""
        try:
            names, stat, received = self._ask(_ListSubtree(subtree), "list", timeout=None)
        except NodeMissing:
            return None
        subtree.forget(received)
        return names, stat_of(stat)

    def _ask(self, request: _Request | _ListSubtree, action: str, timeout: float | None) -> Any:
        def submit(kazoo: Any) -> Any:
            result = kazoo.handler.async_result()
            kazoo._call(request, result)
            return result

        return self._send(f"{action} {legible(request.path.removeprefix(self._chroot))}", submit, timeout)


def _complain(error: CoordinationError) -> None:
    if isinstance(error.__cause__, UnimplementedError):
        reason = "it is older than 3.6, and hangs up on who asks it"
    else:
        reason = str(error)
    _log.warning(
        "the ZooKeeper server sets no persistent watches (%s): lists are watched by one-shot watches; "
        "RegistryConfig.persistent_watches=False asks no server for them",
        reason,
    )
