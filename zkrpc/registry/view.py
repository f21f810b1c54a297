"""The members of one service as far as ZooKeeper told us: listings and records in, snapshots out.

A machine: it decides when to list, what to read and what to publish; it refuses to know sessions, files and clocks.

========= ========================================== ========================================================
state     means                                      left by
========= ========================================== ========================================================
OFFLINE   no connection; the last list stays         a connection: IDLE, and a listing as soon as it may be
IDLE      waiting for a change or the refresh time   either: LISTING
LISTING   ``ListMembers`` is outstanding             the names: READING if any are to be read, else IDLE
READING   ``ReadRecords`` is outstanding             the records: IDLE
========= ========================================== ========================================================

**When to list.** The first change is followed at once; what comes within the next ``debounce`` (jittered) is collected
into one further listing, so a rolling restart costs each client ten listings a second at most, and fewer where the list
is so long that this would cost more than half a percent of a processor. Every reconnect and every ``refresh_interval``
lists again, since one-shot watches die with the connection and nobody says so.

**What to read.** A record is immutable, so a name is read once, when it is first seen. But a worker that restarts
replaces its node by one of the *same name* in one transaction, and the names then say nothing. A data watch on each
member would notice, at the price of members x clients watches in the server and of re-reading every member of every
service after every reconnect, when the ensemble is weakest; reading everything on every change costs as much each time
anybody restarts. Instead the parent's own change counter comes with each listing (ZooKeeper's ``cversion``, the
creations and deletions of children so far): if it moved by exactly the names that came and went, no other node was
replaced, and only new names are read. If it moved further, something was replaced or came and went unseen; then the
marks that registrars make tell what is read (:mod:`zkrpc.registry.listing`), and without them it is everything. So a
reconnect after which nothing happened costs one request, a replacement three, however many members there are. As a net
below, each refresh reads again a few records that were read longest ago.

**What is older than seen is ignored.** A new session may reach a server that lags behind, and its counter tells. After
a while it is believed all the same: then the ensemble really was restored from an older state; and at once where the
session says that it is another ZooKeeper.
"""

from __future__ import annotations

import dataclasses
import enum
import math
from collections.abc import Callable, Iterable, Mapping

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.formats import parse_record
from zkrpc.registry.listing import Listing, find_replaced, hidden_changes, precedes
from zkrpc.registry.schema import digest_of

_SAVED_GRACE = 0.5
"""Seconds for ZooKeeper to answer before the saved list is used; a reachable one answers in milliseconds."""
_SAVE_DELAY = 1.0
"""Seconds to collect changes before the list is saved."""
_REFRESH_READS = 16
"""Records read again with each refresh."""
_OLDER_TOLERANCE = 10.0
"""Seconds that a state older than what we saw is not believed; servers that lag so long drop their clients."""
_PAUSE_PER_MEMBER = 0.0005
"""Seconds between listings for each member: two hundred times what listing and publishing one takes (measured)."""
_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_TELL_AGAIN_AFTER = 60.0
"""Seconds after which a node is told of again whose record is bad in another way: somebody may write all the time."""
_MOST_TOLD = 5
"""Bad nodes told of one by one."""
_NOT_MEMBERS = "vector_"
"""Finagle keeps weights beside the members in nodes of this prefix."""


class ViewState(enum.Enum):
    """See the module's table."""

    OFFLINE = "offline"
    IDLE = "idle"
    LISTING = "listing"
    READING = "reading"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A member's node as it was read."""

    payload: bytes
    created_zxid: int


@dataclasses.dataclass(frozen=True, slots=True)
class ListMembers:
    """List the members and watch them, or the parent's creation; answer ``receive_listing`` or ``receive_failure``."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReadRecords:
    """Read these members, a few at a time; answer once, with ``receive_records``."""

    names: tuple[str, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Publish:
    """Tell the subscribers."""

    snapshot: Snapshot


@dataclasses.dataclass(frozen=True, slots=True)
class ReportBad:
    """Tell people which nodes are left out that were not told of lately, and why; ``count`` are left out in all."""

    reasons: tuple[tuple[str, str], ...]
    count: int


@dataclasses.dataclass(frozen=True, slots=True)
class LoadSaved:
    """Read the saved list, if there is one, and give it to ``receive_saved``."""


@dataclasses.dataclass(frozen=True, slots=True)
class Save:
    """Save this list for a start without ZooKeeper."""

    snapshot: Snapshot


Effect = ListMembers | ReadRecords | Publish | ReportBad | LoadSaved | Save


@dataclasses.dataclass(frozen=True, slots=True)
class _Member:
    """What is known of one name. No instance means that it is not in service, or cannot be read for a reason."""

    instance: Instance | None
    created_zxid: int
    digest: str
    bad: str = ""


class _Complaints:
    """Which bad records people were told of, and when."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[str, float]] = {}

    def about(self, bad: Mapping[str, _Member], now: float) -> list[Effect]:
        """What to tell of those that are bad now: the ones that are new, or were told of long ago and have changed."""
        told, self._told = self._told, {}
        news = []
        for name, member in bad.items():
            digest, at = told.get(name, ("", -math.inf))
            if digest != member.digest and now >= at + _TELL_AGAIN_AFTER:
                news.append((name, member.bad))
                digest, at = member.digest, now
            self._told[name] = digest, at
        return [ReportBad(tuple(news[:_MOST_TOLD]), len(bad))] if news else []


class ServiceView:
    """One service's members. Never raises for what ZooKeeper or a record says."""

    def __init__(self, service: str, config: RegistryConfig, *, rng: Callable[[], float], now: float) -> None:
        self.state = ViewState.OFFLINE
        self.snapshot: Snapshot | None = None
        """The last good list, with the time it was last confirmed; kept whatever happens."""
        self._service = service
        self._config = config
        self._rng = rng
        self._parent: Listing | None = None
        self._members: dict[str, _Member] = {}
        """By name, in the order they were read."""
        self._unread: set[str] = set()
        self._listed_at = float("-inf")
        self._list_due: float | None = None
        self._refresh_due: float | None = None
        self._saved_due: float | None = now + _SAVED_GRACE
        self._save_due: float | None = None
        self._older_since: float | None = None
        self._refreshing = False
        self._changed = False
        self._complaints = _Complaints()
        self._remark = ""
        self._histories = 0
        self._failures = 0
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State and counts."""
        members, unread = len(self._members), len(self._unread)
        return f"<ServiceView {self._service} {self.state.value} members={members} unread={unread}>"

    @property
    def is_stale(self) -> bool:
        """Nothing is known, or nobody is there to confirm what is."""
        return self.state is ViewState.OFFLINE or self.snapshot is None or self.snapshot.confirmed_at is None

    def receive_session(self, connected: bool, now: float, *, histories: int = 0) -> None:
        """Whether ZooKeeper can be asked now. With another number of ``histories`` it is another ZooKeeper, whose
        transactions cannot be compared with those that we saw."""
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
        """A watch fired, or the connection moved: what we know may be old."""
        self._changed = True
        if self.state is ViewState.IDLE:
            self._schedule(now)

    def receive_listing(self, listing: Listing | None, now: float, *, remark: str = "") -> None:
        """The names, or None if the parent does not exist: then nobody can be a member, and ``remark`` may say why."""
        if self.state is not ViewState.LISTING:
            return
        self._remark = "" if listing is not None else remark
        if listing is None:
            self._parent = None
            self._members.clear()
            self._unread.clear()
        elif self._is_older(listing, now):
            self._fail(now)
            return
        else:
            self._adopt(listing)
        if self._unread:
            self._become_reading()
        else:
            self._complete(now)

    def wants_marks(self, listing: Listing) -> bool:
        """Whether a listing says too little without the marks."""
        return self._parent is not None and bool(hidden_changes(self._parent, listing))

    def receive_failure(self, now: float) -> None:
        """The listing failed; the next one has a pause before it."""
        if self.state is ViewState.LISTING:
            self._fail(now)

    def receive_records(self, records: Mapping[str, Record | None], now: float) -> None:
        """What was read; None for a node that is gone. A name that is missing could not be read and is tried again."""
        for name, record in records.items():
            self._unread.discard(name)
            self._members.pop(name, None)
            if record is not None:
                self._members[name] = self._parse(name, record)
        if self.state is ViewState.READING and not self._unread:
            self._complete(now)
            return
        self._publish(now)
        if self.state is ViewState.READING:
            self._fail(now)

    def receive_saved(self, instances: Iterable[Instance], now: float) -> None:
        """The list of an earlier run; it counts only until ZooKeeper has spoken."""
        found = _distinct((instance, 0) for instance in instances)
        if found and self.snapshot is None:
            self.snapshot = Snapshot(service=self._service, instances=found)
            self._effects.append(Publish(self.snapshot))

    def finish(self) -> None:
        """The end is near: what still waits to be saved is saved now."""
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
            self._become_listing(now)

    def effects(self) -> list[Effect]:
        """What is to be done, each once, in order."""
        effects, self._effects = self._effects, []
        return effects

    def _is_older(self, listing: Listing, now: float) -> bool:
        """True for a state from before what we saw, until we have seen it for so long that it must be the truth."""
        known = self._parent
        if known is None or not precedes(listing, known):
            self._older_since = None
            return False
        if self._older_since is None:
            self._older_since = now
        return now - self._older_since < _OLDER_TOLERANCE

    def _adopt(self, listing: Listing) -> None:
        """Forgets who left, and marks what has to be read."""
        known, self._parent = self._parent, listing
        names = {name for name in listing.names if not name.startswith(_NOT_MEMBERS)}
        for name in self._members.keys() - names:
            del self._members[name]
        replaced = find_replaced(known, listing, self._members)
        if replaced is None:
            self._unread = names
            return
        self._unread |= replaced
        self._unread &= names
        self._unread |= names - self._members.keys()
        if self._refreshing:
            self._unread.update(list(self._members)[:_REFRESH_READS])

    def _parse(self, name: str, record: Record) -> _Member:
        try:
            instance = parse_record(name, record.payload, max_record=self._config.max_record)
        except RemoteProtocolError as error:
            return _Member(None, record.created_zxid, digest_of(record.payload), str(error))
        return _Member(instance, record.created_zxid, digest_of(record.payload))

    def _complete(self, now: float) -> None:
        self._failures = 0
        self._refreshing = False
        self._publish(now)
        self._refresh_due = now + self._config.refresh_interval * (0.8 + 0.4 * self._rng())
        self._become_idle(now)

    def _publish(self, now: float) -> None:
        """Replaces the snapshot; tells the subscribers only if it differs."""
        members = self._members.values()
        instances = _distinct((member.instance, member.created_zxid) for member in members if member.instance)
        if self._unread and not instances:
            # Not nobody: only nobody that we managed to read. The last good list is better than that.
            return
        before = self.snapshot
        bad = {name: member for name, member in self._members.items() if member.bad}
        self._effects += self._complaints.about(bad, now)
        self.snapshot = Snapshot(
            service=self._service, instances=instances, confirmed_at=now, skipped=len(bad), remark=self._remark
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
        """The next listing: at once after a quiet time, otherwise when the current burst has been collected."""
        pause = max(self._config.debounce, _PAUSE_PER_MEMBER * len(self._members))
        due = self._listed_at + pause * (0.5 + self._rng())
        if now >= due:
            self._become_listing(now)
        elif self._list_due is None:
            self._list_due = due

    def _fail(self, now: float) -> None:
        ceiling = min(_MAX_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures, 10))
        self._failures += 1
        self.state = ViewState.IDLE
        self._list_due = now + ceiling * (0.5 + 0.5 * self._rng())

    def _become_offline(self) -> None:
        self.state = ViewState.OFFLINE
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

    def _become_reading(self) -> None:
        self.state = ViewState.READING
        self._effects.append(ReadRecords(tuple(sorted(self._unread))))


def _distinct(members: Iterable[tuple[Instance | None, int]]) -> tuple[Instance, ...]:
    """One instance per endpoint, ordered by id. An address belongs to who registered it last: ports are reused."""
    newest: dict[Endpoint, tuple[int, Instance]] = {}
    for instance, created_zxid in members:
        if instance is not None and created_zxid >= newest.get(instance.endpoint, (-1, instance))[0]:
            newest[instance.endpoint] = (created_zxid, instance)
    return tuple(sorted((instance for _, instance in newest.values()), key=lambda instance: instance.id))
