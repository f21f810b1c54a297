"""Follows the members of one service in ZooKeeper, and passes each new list to its subscribers.

A :class:`MemberResolver` knows a list of members, wherever it is; a :class:`ZooKeeperResolver` knows one of zkrpc's own
services, which also has primaries and a config.

A shell: one :class:`~zkrpc.driver.Driver` carries out what :class:`~zkrpc.registry.view.ServiceView` decides, woken by
one watch on the members, by the session's changes and by the view's timers. The watch stays and names who has changed,
if the server knows such watches, and else is set again with each listing. A few more greenlets read records, for as
long as that takes. The resolver decides nothing itself.
"""

from __future__ import annotations

import dataclasses
import logging
import random
import time
from collections.abc import Callable
from pathlib import Path
from types import MappingProxyType
from typing import assert_never

import gevent
from gevent.event import Event
from gevent.pool import Pool

from zkrpc.config import RegistryConfig, ServiceConfig
from zkrpc.driver import Driver
from zkrpc.endpoint import Primary, Snapshot
from zkrpc.errors import CoordinationError, SessionSuspended
from zkrpc.legible import legible
from zkrpc.registry.config_watch import ConfigWatch
from zkrpc.registry.foreign import Tree
from zkrpc.registry.keeper import SnapshotKeeper
from zkrpc.registry.listing import Listing
from zkrpc.registry.primaries import PrimaryWatches
from zkrpc.registry.roster import Record, is_vector
from zkrpc.registry.schema import Paths
from zkrpc.registry.view import (
    Effect,
    ListMembers,
    LoadSaved,
    Publish,
    ReadRecords,
    ReportBad,
    Save,
    ServiceView,
)
from zkrpc.zookeeper.operations import SessionState, Stat
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

_READERS = 16
"""Records read at a time: enough to be quick, and far below the session's limit of concurrent requests."""
_LISTINGS = 3
"""How often the members are listed while their parent keeps appearing and vanishing, before that counts as a
failure."""
_KILL_TIMEOUT = 0.5

Callback = Callable[[Snapshot], None]


@dataclasses.dataclass(frozen=True, slots=True)
class _ValueWatch:
    """A one-shot watch on one node of a list."""

    tell: Callable[[str], None]
    name: str

    def set(self) -> None:
        """It has fired."""
        self.tell(self.name)


class MemberResolver:
    """The members of one service, kept current. While ZooKeeper cannot be reached the last good list stays."""

    def __init__(
        self,
        session: Session,
        service: str,
        *,
        config: RegistryConfig = RegistryConfig(),
        snapshot_file: Path | None = None,
        tree: Tree | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``snapshot_file`` keeps the last list for a start without ZooKeeper.

        ``tree`` is for a list that other libraries keep: a ServerSet of Finagle's, or a service of Curator's.
        """
        dice = rng or random.Random()
        self._service = service
        self._members_path = Paths(service).members if tree is None else tree.path
        # Only zkrpc's own registrars make marks.
        self._marks_path = Paths(service).incarnations if tree is None else None
        self._session = session
        self._keeper = None if snapshot_file is None else SnapshotKeeper(snapshot_file, service)
        self._clock = clock
        self._view = ServiceView(service, config, rng=dice.random, now=clock(), tree=tree)
        self._followed = False
        """Whether the list was read with a watch that stays."""
        self._rewritten: set[str] = set()
        """Nodes whose one-shot watches have fired."""
        self._callbacks: dict[object, Callback] = {}
        self._driver: Driver[Effect] = Driver(
            self._view, self._obey, clock=clock, observe=self._observe, finish=self._view.finish
        )
        self._subtree = session.subtrees.subtree(self._members_path, self._driver.nudged.set)
        self._ready = Event()
        self._readers = Pool(_READERS)
        self._remarked = ""

    def __repr__(self) -> str:
        """The view's state, and the number of subscribers."""
        return f"<{type(self).__name__} {self._view!r} subscribers={len(self._callbacks)}>"

    @property
    def target(self) -> str:
        """The ensemble and the service, for metrics and traces."""
        return f"zookeeper://{self._session.hosts}/{self._service.removeprefix('/')}"

    @property
    def snapshot(self) -> Snapshot | None:
        """The last good list, with the time it was last confirmed; None before there is one."""
        return self._view.snapshot

    @property
    def is_stale(self) -> bool:
        """True while ZooKeeper does not confirm the list: there is no connection, or no list, or only the saved one."""
        return self._view.is_stale

    def start(self) -> None:
        """Starts following and returns at once. Does nothing the second time."""
        if not self._driver.closing:
            self._session.watch_state(self._driver.changed)
            self._driver.start()

    def subscribe(self, callback: Callback, /) -> Callable[[], None]:
        """Calls back with the current list at once, if there is one, and with every later one from the resolver's
        greenlet.

        A callback must not wait, as the resolver does nothing else meanwhile. Its exceptions are logged. Returns a
        function that ends the subscription.
        """
        ticket = object()
        self._callbacks[ticket] = callback
        if self._view.snapshot is not None:
            self._tell(callback, self._view.snapshot)

        def unsubscribe() -> None:
            self._callbacks.pop(ticket, None)

        return unsubscribe

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """Returns the list, and waits for the first one if there is none yet. It may be empty, and may be the saved
        one.

        Raises CoordinationError if there was none in ``timeout`` seconds.
        """
        self._ready.wait(timeout)
        if self._view.snapshot is None:
            reason = self._session.explain()
            raise CoordinationError(f"no members of {self._service} known after {timeout:.3g} s: {reason}")
        return self._view.snapshot

    def close(self) -> None:
        """Stops following the members, within about a second. The last list stays readable."""
        self._session.unwatch_state(self._driver.changed)
        self._ready.set()
        self._callbacks.clear()
        self._driver.close()
        self._session.subtrees.unwatch(self._subtree)
        self._readers.kill(timeout=_KILL_TIMEOUT)

    def _observe(self, changed: bool) -> None:
        if self._session.state is not SessionState.CONNECTED:
            self._note_session()
        events = self._subtree.take()
        if self._rewritten:
            rewritten, self._rewritten = self._rewritten, set()
            self._view.receive_values(rewritten, self._clock())
        if changed or events is None:
            self._view.receive_change(self._clock())
        elif events:
            self._view.receive_events(events, self._clock())
        # After a reconnect the change is known before the connection is, so that one listing serves both.
        self._note_session()

    def _note_session(self) -> None:
        connected = self._session.state is SessionState.CONNECTED
        self._view.receive_session(connected, self._clock(), histories=self._session.histories)

    def _obey(self, effect: Effect) -> None:
        if self._driver.closing and not isinstance(effect, Save):
            return
        match effect:
            case ListMembers():
                self._list_members()
            case ReadRecords(names=names):
                self._read_records(names)
            case Publish(snapshot=snapshot):
                self._publish(snapshot)
            case ReportBad(reasons=reasons, count=count):
                told = "; ".join(f"{legible(name, 200)}: {legible(reason, 200)}" for name, reason in reasons)
                _log.warning("%d bad records below %s are left out; %s", count, self._members_path, told)
            case LoadSaved():
                if self._keeper is not None:
                    self._view.receive_saved(self._keeper.load(), self._clock())
            case Save(snapshot=snapshot):
                if self._keeper is not None:
                    self._keeper.save(snapshot)
            case _:
                assert_never(effect)

    def _list_members(self) -> None:
        # All changes signalled so far are covered by this listing.
        self._driver.changed.clear()
        try:
            followed = self._session.subtrees.watch(self._subtree)
            listing = self._listing(followed)
            remark = self._session.znodes.explain_missing_chroot(self._driver.changed) if listing is None else ""
        except Exception as error:
            self._complain("list", error)
            self._note_session()
            self._view.receive_failure(self._clock())
            return
        self._note_session()
        self._remark(remark)
        self._followed, missed = followed, self._subtree.take_missed()
        self._view.receive_listing(listing, self._clock(), remark=remark, followed=followed, missed=missed)

    def _remark(self, remark: str) -> None:
        if remark and remark != self._remarked:
            _log.warning("no members of %s are found: %s; looking again until there are", self._service, remark)
        self._remarked = remark

    def _listing(self, followed: bool) -> Listing | None:
        if followed:
            # The watch also tells of the creation of a parent that is missing.
            found = self._session.subtrees.listing(self._subtree)
            return None if found is None else self._with_marks(*found)
        for _ in range(_LISTINGS):
            found = self._session.znodes.listing(self._members_path, watch=self._driver.changed)
            if found is not None:
                return self._with_marks(*found)
            # A missing node has no children to watch; only exists sets a watch for its creation.
            if self._session.znodes.exists(self._members_path, watch=self._driver.changed) is None:
                return None
        raise SessionSuspended(f"{self._members_path} comes and goes")

    def _with_marks(self, names: list[str], stat: Stat) -> Listing:
        """The listing, with the marks if the view wants them."""
        listing = Listing(
            names=frozenset(names),
            created_zxid=stat.created_zxid,
            changes=stat.changes,
            changed_zxid=stat.children_zxid,
        )
        if self._marks_path is None or not self._view.wants_marks(listing):
            return listing
        return dataclasses.replace(listing, marks=frozenset(self._session.znodes.children(self._marks_path) or ()))

    def _read_records(self, names: tuple[str, ...]) -> None:
        records: dict[str, Record | None] = {}

        def read(name: str) -> None:
            try:
                found = self._session.znodes.get(f"{self._members_path}/{name}", watch=self._value_watch(name))
            except Exception as error:
                self._complain(f"read {legible(name)} of", error)
                return
            records[name] = None if found is None else Record(payload=found[0], created_zxid=found[1].created_zxid)

        self._readers.map(read, names)
        self._note_session()
        self._view.receive_records(MappingProxyType(records), self._clock())

    def _value_watch(self, name: str) -> _ValueWatch | None:
        """A watch for another value of a node that may get one, unless a watch that stays tells of that."""
        if self._followed or not (self._marks_path is None or is_vector(name)):
            return None
        return _ValueWatch(self._receive_value, name)

    def _receive_value(self, name: str) -> None:
        self._rewritten.add(name)
        self._driver.nudged.set()

    def _publish(self, snapshot: Snapshot) -> None:
        self._ready.set()
        for callback in tuple(self._callbacks.values()):
            self._tell(callback, snapshot)

    def _tell(self, callback: Callback, snapshot: Snapshot) -> None:
        try:
            callback(snapshot)
        except (Exception, gevent.Timeout):
            _log.exception("a subscriber to the members of %s failed", self._service)

    def _complain(self, action: str, error: Exception) -> None:
        """Every failure is retried for ever, even a bug in this code: a greenlet that ends would freeze the list."""
        if not isinstance(error, CoordinationError):
            _log.error("could not %s the members of %s", action, self._service, exc_info=error)
        elif not isinstance(error, SessionSuspended):
            _log.warning("could not %s the members of %s: %s", action, self._service, error)


class ZooKeeperResolver(MemberResolver):
    """The members, the primaries and the config of one of zkrpc's services."""

    def __init__(
        self,
        session: Session,
        service: str,
        *,
        config: RegistryConfig = RegistryConfig(),
        snapshot_file: Path | None = None,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """As :class:`MemberResolver`."""
        dice = rng or random.Random()
        super().__init__(session, service, config=config, snapshot_file=snapshot_file, rng=dice, clock=clock)
        self._primaries = PrimaryWatches(session, service, config, rng=dice.random)
        self._service_config = ConfigWatch(session, service, config, rng=dice.random)

    def follow_primary(self, group: str, callback: Callable[[Primary | None], None], /) -> Callable[[], None]:
        """Calls back with who leads a group of the service; see :class:`~zkrpc.registry.primaries.PrimaryWatches`."""
        return self._primaries.follow(group, callback)

    def follow_config(self, callback: Callable[[ServiceConfig], None], /) -> Callable[[], None]:
        """Calls back with the service's config; see :class:`~zkrpc.registry.config_watch.ConfigWatch`."""
        return self._service_config.follow(callback)

    def close(self) -> None:
        """Stops following all of it, within about a second. The last list stays readable."""
        self._primaries.close()
        self._service_config.close()
        super().close()
