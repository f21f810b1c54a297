"""Nodes that are watched together with their children, by ZooKeeper's persistent recursive watches (AddWatch, since
3.6): whether to ask for such a watch, and what it has told.

State machines: they know no client, connection or clock.

:class:`WatchOffers` has the knowledge of one session. A server that does not know AddWatch answers that it does not,
**and hangs up** (ZooKeeper's ``UnimplementedRequestProcessor``). So it must not be asked at each of its connections, or
a client would do nothing but connect; and an ensemble that is upgraded server by server has some that know it and some
that do not. Each new connection is decided anew, by the server that it goes to:

======= =============================================== ===============================================================
state   means                                           left by
======= =============================================== ===============================================================
OFFLINE no connection                                   a connection: REFUSED if its server has refused in the last ten
                                                        minutes, or persistent watches are not wanted; else OPEN
OPEN    may be asked, and nothing is known              an answer: GRANTED or REFUSED. If none has come for the second
                                                        time from one server, it counts as a refusal
GRANTED the server knows AddWatch                       a refusal all the same: REFUSED
REFUSED not to be asked on this connection              the loss of the connection: OFFLINE
======= =============================================== ===============================================================

A :class:`Subtree` collects what happened to a node and its children. ZooKeeper tells of a change before it shows it to
a reader on the same connection, so what came before the answer to a listing is contained in it, and what came after is
not: ``received`` at the moment of the answer draws the line. A listing has names only, so that another value of a child
is kept beyond it. A persistent watch ends with its connection, and what happens until it is set again is told to
nobody: then the subtree is *lost*, and everything is to be listed again. Whoever cares for the children's values asks
:meth:`Subtree.take_missed` whether they were lost, too.
"""

from __future__ import annotations

import collections
import dataclasses
import enum
from collections.abc import Callable, Iterable

from zkrpc.endpoint import Endpoint

_MOST_CHANGES = 10_000
"""Changes that a subtree keeps for its follower; at more of them it is lost, as reading everything is less work."""
_REMEMBERED = 600.0
"""Seconds for which a server that refused is not asked again: it hangs up when it does not know AddWatch, and an
upgraded one is worth asking."""


class ChangeKind(enum.Enum):
    """What happened to a node; the value is ZooKeeper's type of the event."""

    CREATED = 1
    DELETED = 2
    CHANGED = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Change:
    """A node was created, deleted, or has another value."""

    kind: ChangeKind
    name: str
    """Of the child; empty for the node itself."""


class Subtree:
    """A node with its children, followed by one follower."""

    def __init__(self, path: str, wake: Callable[[], object]) -> None:
        """``wake`` is called whenever there is something to ``take``. It must not wait."""
        self.path = path
        self.received = 0
        """The number of changes received so far."""
        self._wake = wake
        self._changes: collections.deque[tuple[int, Change]] = collections.deque()
        self._lost = False
        self._missed = False

    def __repr__(self) -> str:
        """The path, and what is kept."""
        return f"<Subtree {self.path} {'lost' if self._lost else f'{len(self._changes)} changes'}>"

    def begin(self) -> None:
        """A watch is being set: from now on changes are collected."""
        self._missed |= any(change.kind is ChangeKind.CHANGED for _, change in self._changes)
        self._changes.clear()
        self._lost = False

    def receive(self, change: Change) -> None:
        """Takes in what the watch tells."""
        self.received += 1
        if len(self._changes) >= _MOST_CHANGES:
            self.lose()
        elif not self._lost:
            self._changes.append((self.received, change))
            self._wake()

    def lose(self) -> None:
        """There is no watch any more."""
        self._changes.clear()
        self._lost = self._missed = True
        self._wake()

    def forget(self, received: int) -> None:
        """Drops the first ``received`` changes, as far as a listing contains them."""
        kept = [one for one in self._changes if one[0] > received or one[1].kind is ChangeKind.CHANGED]
        self._changes = collections.deque(kept)

    def take(self) -> list[Change] | None:
        """The changes that are new, in their order, each once; None, once, if the watch was lost."""
        if self._lost:
            self._lost = False
            return None
        changes = [change for _, change in self._changes]
        self._changes.clear()
        return changes

    def take_missed(self) -> bool:
        """Whether children may have got other values since this was asked last, and nobody was told."""
        missed, self._missed = self._missed, False
        return missed


class OfferState(enum.Enum):
    """See the module's table."""

    OFFLINE = "offline"
    OPEN = "open"
    GRANTED = "granted"
    REFUSED = "refused"


class WatchOffers:
    """Which servers may be asked for persistent watches, and which subtrees are watched by the current one."""

    def __init__(self, wanted: bool = True) -> None:
        """Without ``wanted`` nobody is asked."""
        self.state = OfferState.OFFLINE
        self._wanted = wanted
        self._names: tuple[Endpoint, ...] = ()
        self._refused: dict[Endpoint, float] = {}
        """When each server refused."""
        self._silent: set[Endpoint] = set()
        """Servers that were asked and have not answered."""
        self._subtrees: dict[str, list[Subtree]] = {}

    def __repr__(self) -> str:
        """The state, and how many nodes are watched."""
        return f"<WatchOffers {self.state.value} watched={len(self._subtrees)}>"

    @property
    def may_ask(self) -> bool:
        """Whether to ask for a persistent watch now."""
        return self.state in (OfferState.OPEN, OfferState.GRANTED)

    def receive_connected(self, names: Iterable[Endpoint], now: float) -> None:
        """There is a new connection, to the server of these names."""
        self.receive_lost()
        self._names = tuple(names)
        self._refused = {name: at for name, at in self._refused.items() if now < at + _REMEMBERED}
        refused = not self._wanted or any(name in self._refused for name in self._names)
        self.state = OfferState.REFUSED if refused else OfferState.OPEN

    def receive_lost(self) -> None:
        """The connection is gone, and all watches with it."""
        self.state = OfferState.OFFLINE
        subtrees, self._subtrees = self._subtrees, {}
        for watching in subtrees.values():
            for subtree in watching:
                subtree.lose()

    def receive_granted(self) -> None:
        """The server has set a watch."""
        self._silent.difference_update(self._names)
        if self.state is OfferState.OPEN:
            self.state = OfferState.GRANTED

    def receive_refused(self, now: float) -> None:
        """The server does not set such watches, or not for us."""
        self._refused.update(dict.fromkeys(self._names, now))
        self._silent.difference_update(self._names)
        if self.state is not OfferState.OFFLINE:
            self.state = OfferState.REFUSED

    def receive_silence(self, now: float) -> None:
        """No answer has come: the connection was lost, perhaps because the server hung up, or it took too long."""
        if self._silent.intersection(self._names):
            self.receive_refused(now)
        else:
            self._silent.update(self._names)

    def add(self, subtree: Subtree) -> None:
        """Passes changes to the subtree from now on."""
        watching = self._subtrees.setdefault(subtree.path, [])
        if subtree not in watching:
            watching.append(subtree)

    def remove(self, subtree: Subtree) -> bool:
        """Passes nothing to the subtree any more; True if nobody else wants the server's watch."""
        watching = self._subtrees.get(subtree.path, [])
        if subtree not in watching:
            return False
        watching.remove(subtree)
        if watching:
            return False
        del self._subtrees[subtree.path]
        return True

    def receive_event(self, kind: int, path: str) -> None:
        """An event has come, for this watch or for any other: ``kind`` is ZooKeeper's type, ``path`` starts at the
        root."""
        if kind not in (ChangeKind.CREATED.value, ChangeKind.DELETED.value, ChangeKind.CHANGED.value):
            return
        for subtree in self._subtrees.get(path, ()) if kind != ChangeKind.CHANGED.value else ():
            subtree.receive(Change(ChangeKind(kind), ""))
        parent, _, name = path.rpartition("/")
        for subtree in self._subtrees.get(parent or "/", ()) if name else ():
            subtree.receive(Change(ChangeKind(kind), name))
