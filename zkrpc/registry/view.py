"""The members of one service as read from ZooKeeper: listings and records in, snapshots out.

A state machine: it decides when to list, what to read and what to publish, and knows nothing of sessions, files and
clocks.

========= ========================================== ========================================================
state     means                                      left by
========= ========================================== ========================================================
OFFLINE   no connection; the last list stays         a connection: IDLE, and a listing as soon as it may be
IDLE      waiting for a change or the refresh time   either: LISTING
LISTING   ``ListMembers`` is outstanding             the names: READING if any are to be read, else IDLE
READING   ``ReadRecords`` is outstanding             the records: IDLE
========= ========================================== ========================================================

**When to list.** The first change leads to a listing at once; changes within the next ``debounce`` (jittered) are
collected into one further listing, so a rolling restart costs each client ten listings a second at most, and fewer
where the list is so long that this would cost more than half a percent of a processor. The members are listed again
after every reconnect and every ``refresh_interval``, since one-shot watches are lost with the connection without
notice.

**Followed by name.** Where ZooKeeper sets a watch that stays and names what has changed, a listing is *followed*: later
changes are counted into it, and only the named records are read, however long the list is. A deletion is not believed
but read, too: a node that is replaced in one transaction is told as deleted and created, perhaps in two messages, and
would be missing in between. Many deletions are one listing instead. Anything else (a lost watch, a failure, a deleted
parent, the refresh) leads to a listing, and until that is answered the changes that are told are not counted.

**What to read.** A record is immutable, so a name is read once, when it is first seen. But a worker that restarts
replaces its node by one of the *same name* in one transaction, which the names do not show. A data watch on each member
would notice, at the price of members x clients watches in the server and of re-reading every member of every service
after every reconnect, when the ensemble is weakest; reading everything on every change costs as much each time an
instance restarts. Instead the parent's own change counter comes with each listing (ZooKeeper's ``cversion``, the
creations and deletions of children so far): if it moved by exactly the names that came and went, no other node was
replaced, and only new names are read. If it moved further, a node was replaced, or was created and deleted between two
listings; then the marks that registrars make tell which records to read (:mod:`zkrpc.registry.listing`), and without
marks all are read. So a reconnect after which nothing happened costs one request, a replacement three, however many
members there are. As a safety net, each refresh reads again the few records that were read longest ago.

**Other values in the same node.** Our own registrars never change a record, and other libraries do: Curator's
``updateService`` and Spring's drain, whoever turns a ServerSet's weights. No counter shows it. A watch that stays tells
of it; where watches are one-shot, each record of a foreign tree is read with a watch of its own, and so are weights
anywhere. What was not watched for a moment (a lost connection) is all read again.

**A listing that is older than the last one is ignored.** A new session may reach a server that lags behind, which the
counter shows. After a while the older listing is accepted all the same, as the ensemble must have been restored from an
older state; and at once if the session reports that this is another ensemble.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Iterable, Mapping, Sequence

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Instance, Snapshot
from zkrpc.registry.foreign import Tree
from zkrpc.registry.listing import Listing, advance, find_replaced, hidden_changes, precedes
from zkrpc.registry.roster import Record, Roster, distinct, is_vector
from zkrpc.zookeeper.subtrees import Change, ChangeKind

_SAVED_GRACE = 0.5
"""Seconds for ZooKeeper to answer before the saved list is used; a reachable one answers in milliseconds."""
_SAVE_DELAY = 1.0
"""Seconds to collect changes before the list is saved."""
_MOST_VANISHED = 16
"""Deletions that are read one by one; more of them are found out by one listing."""
_REFRESH_READS = 16
"""Records read again with each refresh."""
_OLDER_TOLERANCE = 10.0
"""Seconds for which a listing older than the last one is ignored; servers that lag so long drop their clients."""
_PAUSE_PER_MEMBER = 0.0005
"""Seconds between listings for each member: two hundred times what listing and publishing one takes (measured)."""
_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_MOST_TOLD = 5
"""The number of bad nodes that one report names."""


class ViewState(enum.Enum):
    """See the module's table."""

    OFFLINE = "offline"
    IDLE = "idle"
    LISTING = "listing"
    READING = "reading"


@dataclasses.dataclass(frozen=True, slots=True)
class ListMembers:
    """Watch the members, or the parent's creation, and list them; answer ``receive_listing`` or ``receive_failure``."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadRecords:
    """Read these members, a few at a time; answer once, with ``receive_records``."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Publish:
    """Pass this snapshot to the subscribers."""

    snapshot: Snapshot


@dataclasses.dataclass(frozen=True, slots=True)
class ReportBad:
    """Log which nodes are left out and why, if that was not logged lately; ``count`` nodes are left out in all."""

    reasons: tuple[tuple[str, str], ...]
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class LoadSaved:
    """Read the saved list, if there is one, and answer ``receive_saved``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Save:
    """Save this list for a start without ZooKeeper."""

    snapshot: Snapshot


Effect = ListMembers | ReadRecords | Publish | ReportBad | LoadSaved | Save


class ServiceView:
    """The view of one service's members. Nothing that ZooKeeper or a record contains makes it raise."""

    def __init__(
        self,
        service: str,
        config: RegistryConfig,
        *,
        rng: Callable[[], float],
        now: float,
        tree: Tree | None = None,
    ) -> None:
        """``tree`` is where the members are if the list is not zkrpc's own; there a node may get another value."""
        self.state = ViewState.OFFLINE
        self.snapshot: Snapshot | None = None
        """The last good list, with the time at which it was last confirmed; never given up without a better one."""
        self._service = service
        self._config = config
        self._rng = rng
        self._parent: Listing | None = None
        self._roster = Roster(tree, config.max_record)
        self._unread: set[str] = set()
        self._is_foreign = tree is not None
        self._rewritten: set[str] = set()
        """Nodes that have other values than those that were read, to be read with the next listing."""
        self._unsure = False
        """Whether nodes may have other values and nobody has told."""
        self._listed_at = float("-inf")
        self._list_due: float | None = None
        self._refresh_due: float | None = None
        self._saved_due: float | None = now + _SAVED_GRACE
        self._save_due: float | None = None
        self._older_since: float | None = None
        self._refreshing = False
        self._changed = False
        self._followed = False
        """Whether every change since the last listing is told by name, and counted into ``_parent``."""
        self._remark = ""
        self._histories = 0
        self._failures = 0
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State and counts."""
        members, unread = len(self._roster), len(self._unread)
        return f"<ServiceView {self._service} {self.state.value} members={members} unread={unread}>"

    @property
    def is_stale(self) -> bool:
        """True if there is no list, or there is no connection to ZooKeeper, or ZooKeeper has not confirmed the list
        yet."""
        return self.state is ViewState.OFFLINE or self.snapshot is None or self.snapshot.confirmed_at is None

    def receive_session(self, connected: bool, now: float, *, histories: int = 0) -> None:
        """Takes in whether ZooKeeper can be asked now. If ``histories`` has changed, this is another ensemble, whose
        transaction ids cannot be compared with the earlier ones."""
        if histories != self._histories:
            self._histories = histories
            self._parent = self._older_since = None
        if not connected:
            self._become_offline()
        elif self.state is ViewState.OFFLINE:
            self._failures = 0
            self._changed = True
            self._become_idle(now)

    def receive_change(self, now: float) -> None:
        """A watch has fired or was lost, or the client has reconnected: the list may be out of date."""
        self._changed = True
        self._followed = False
        if self.state is ViewState.IDLE:
            self._schedule(now)

    def receive_values(self, names: Iterable[str], now: float) -> None:
        """One-shot watches have fired that were set when these nodes were read: they may have other values."""
        self._rewritten.update(name for name in names if name in self._roster or name in self._unread)
        self.receive_change(now)

    def receive_events(self, events: Sequence[Change], now: float) -> None:
        """A watch that stays has told of these changes, in their order; an empty name is the parent's. They must have
        come after the answer to the last listing."""
        if not self._followed or self._parent is None or self.state is not ViewState.IDLE:
            self.receive_values((event.name for event in events if event.kind is ChangeKind.CHANGED), now)
        elif not all(event.name for event in events):
            # The parent was deleted, or created again: its counter has begun anew.
            self.receive_change(now)
        else:
            self._parent = advance(self._parent, events)
            for event in events:
                if event.kind is not ChangeKind.DELETED or event.name in self._roster:
                    self._unread.add(event.name)
                else:
                    self._unread.discard(event.name)
            self._unread = set(filter(self._roster.concerns, self._unread))
            self._schedule(now)

    def receive_listing(
        self,
        listing: Listing | None,
        now: float,
        *,
        remark: str = "",
        followed: bool = False,
        missed: bool = False,
    ) -> None:
        """Takes in the names, or None if the parent does not exist: then there are no members, and ``remark`` may say
        why. If it is ``followed``, every later change will be told to ``receive_events``; what was changed since the
        last listing may have been ``missed``."""
        if self.state is not ViewState.LISTING:
            return
        self._remark = "" if listing is not None else remark
        self._unsure |= missed
        if listing is None:
            self._parent = None
            self._roster.keep(())
            self._unread.clear()
        elif self._is_older(listing, now):
            self._fail(now)
            return
        else:
            self._adopt(listing)
        self._followed = followed
        self._read_or_complete(now)

    def wants_marks(self, listing: Listing) -> bool:
        """Whether the marks are needed to find out what has changed since the last listing."""
        return self._parent is not None and bool(hidden_changes(self._parent, listing))

    def receive_failure(self, now: float) -> None:
        """The listing failed, and is repeated after a pause."""
        if self.state is ViewState.LISTING:
            self._fail(now)

    def receive_records(self, records: Mapping[str, Record | None], now: float) -> None:
        """Takes in the records that were read; None for a node that is gone. A name that is missing could not be read,
        and is tried again."""
        for name, record in records.items():
            self._unread.discard(name)
            self._roster.receive(name, record)
            if record is not None:
                if self._followed and self._parent is not None and record.created_zxid > self._parent.changed_zxid:
                    self._parent = dataclasses.replace(self._parent, changed_zxid=record.created_zxid)
        if self.state is ViewState.READING and not self._unread:
            self._complete(now)
            return
        self._publish(now)
        if self.state is ViewState.READING:
            self._fail(now)

    def receive_saved(self, instances: Iterable[Instance], now: float) -> None:
        """Takes in the list of an earlier run; it is used only until there is one from ZooKeeper."""
        found = distinct((instance, 0) for instance in instances)
        if found and self.snapshot is None:
            self.snapshot = Snapshot(service=self._service, instances=found)
            self._effects.append(Publish(self.snapshot))

    def finish(self) -> None:
        """Saves at once what is due to be saved, as no timer will fire any more."""
        if self._save_due is not None and self.snapshot is not None:
            self._save_due = None
            self._effects.append(Save(self.snapshot))

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        dues = (self._list_due, self._refresh_due, self._saved_due, self._save_due)
        return min((due for due in dues if due is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Lists, refreshes, saves or loads what has come due."""
        if self._saved_due is not None and now >= self._saved_due:
            self._saved_due = None
            if self.snapshot is None:
                self._effects.append(LoadSaved())
        if self._save_due is not None and now >= self._save_due:
            self.finish()
        if self._refresh_due is not None and now >= self._refresh_due:
            self._refreshing = True
            self._become_listing(now)
        elif self._list_due is not None and now >= self._list_due:
            self._proceed(now)

    def effects(self) -> list[Effect]:
        """The effects to carry out, in this order, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def _is_older(self, listing: Listing, now: float) -> bool:
        """True for a listing from before the last one, unless older ones have been seen for so long that the ensemble
        must have been restored."""
        known = self._parent
        if known is None or not precedes(listing, known):
            self._older_since = None
            return False
        if self._older_since is None:
            self._older_since = now
        return now - self._older_since < _OLDER_TOLERANCE

    def _adopt(self, listing: Listing) -> None:
        """Forgets the members that left, and notes which records have to be read."""
        known, self._parent = self._parent, listing
        names = set(filter(self._roster.concerns, listing.names))
        self._roster.keep(names)
        replaced = find_replaced(known, listing, self._roster.entries)
        rewritten, self._rewritten = self._rewritten, set()
        unsure, self._unsure = self._unsure, False
        if replaced is None or (unsure and self._is_foreign):
            self._unread = names
            return
        self._unread |= replaced | rewritten
        self._unread &= names
        self._unread |= names.difference(self._roster)
        if unsure:
            self._unread.update(filter(is_vector, names))
        if self._refreshing:
            self._unread.update(list(self._roster)[:_REFRESH_READS])

    def _complete(self, now: float) -> None:
        self._failures = 0
        self._refreshing = False
        self._publish(now)
        if self._refresh_due is None:
            self._refresh_due = now + self._config.refresh_interval * (0.8 + 0.4 * self._rng())
        self._become_idle(now)

    def _publish(self, now: float) -> None:
        """Replaces the snapshot; tells the subscribers only if it differs."""
        instances = self._roster.instances()
        if self._unread and not instances:
            # There may be members: none of their records could be read. The last good list is better than an empty one.
            return
        before = self.snapshot
        if news := self._roster.complaints(now):
            self._effects.append(ReportBad(tuple(news[:_MOST_TOLD]), self._roster.bad))
        skipped, remark = self._roster.skipped, self._remark
        self.snapshot = Snapshot(
            service=self._service, instances=instances, confirmed_at=now, skipped=skipped, remark=remark
        )
        if before is None or before.instances != instances:
            # An empty list is not worth saving: the last addresses known are a better start than none.
            self._save_due = now + _SAVE_DELAY if instances else None
        if (
            before is None
            or before.confirmed_at is None
            or before != dataclasses.replace(self.snapshot, confirmed_at=before.confirmed_at)
        ):
            self._effects.append(Publish(self.snapshot))

    def _schedule(self, now: float) -> None:
        """Schedules the next listing, or the reading of what was named: at once after a quiet time, otherwise when the
        current burst has been collected."""
        pause = max(self._config.debounce, _PAUSE_PER_MEMBER * len(self._roster))
        due = self._listed_at + pause * (0.5 + self._rng())
        if now >= due:
            self._proceed(now)
        elif self._list_due is None:
            self._list_due = due

    def _proceed(self, now: float) -> None:
        """Lists the members, or reads only those that were named if that is less."""
        vanished = 0 if self._parent is None else len(self._unread - self._parent.names)
        if not self._followed or self._changed or vanished > _MOST_VANISHED:
            self._become_listing(now)
            return
        self._listed_at = now
        self._list_due = None
        self._read_or_complete(now)

    def _read_or_complete(self, now: float) -> None:
        if self._unread:
            self.state = ViewState.READING
            self._effects.append(ReadRecords(tuple(sorted(self._unread))))
        else:
            self._complete(now)

    def _fail(self, now: float) -> None:
        ceiling = min(_MAX_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self._followed = False
        self.state = ViewState.IDLE
        self._list_due = now + ceiling * (0.5 + 0.5 * self._rng())

    def _become_offline(self) -> None:
        self.state = ViewState.OFFLINE
        self._followed = False
        self._unsure = True
        self._list_due = self._refresh_due = None

    def _become_idle(self, now: float) -> None:
        self.state = ViewState.IDLE
        if self._changed:
            self._schedule(now)

    def _become_listing(self, now: float) -> None:
        self.state = ViewState.LISTING
        self._listed_at = now
        self._list_due = self._refresh_due = None
        self._changed = False
        self._effects.append(ListMembers())
