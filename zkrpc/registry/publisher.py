"""Keeps the text of an IDL published while it is served, and deletes those that nobody uses.

A shell: one :class:`~zkrpc.driver.Driver` carries out what
:class:`~zkrpc.registry.publication.PublicationMachine` decides. Nothing waits for it: a text that cannot be published,
because it is too large or ZooKeeper refuses it, costs a line in the log and not the service.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable

from zkrpc.driver import Driver
from zkrpc.errors import (
    AccessDenied,
    ConfigError,
    CoordinationError,
    NodeExists,
    NodeMissing,
    RpcError,
    SessionSuspended,
    VersionConflict,
)
from zkrpc.registry.publication import (
    COLLECT_EVERY,
    KEEP_FOR,
    Announce,
    Collect,
    Effect,
    LookUp,
    Publication,
    PublicationMachine,
    Renew,
    Write,
    pack,
)
from zkrpc.registry.schema import IDL, Paths, idl_path
from zkrpc.telemetry.events import IdlPublished, IdlRefused
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import PublicationStatus
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)

_MOST_JUDGED = 1000
"""How many texts one collection looks at; if there are more, chance picks them."""


class Publisher:
    """Keeps ``text``, which is that of ``publication``, published for a service, from ``start`` until ``close``; and
    unless it only ``accompanies`` what another one publishes for the service, the note that it is what was published
    last."""

    def __init__(
        self,
        session: Session,
        service: str,
        publication: Publication,
        text: str,
        *,
        accompanies: bool = False,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        observers: Iterable[Observer] = (),
    ) -> None:
        """``wall_clock`` is compared with ZooKeeper's; days of difference do no harm."""
        dice = rng or random.Random()
        self.publication = publication
        self._session = session
        self._service = service
        self._path = idl_path(publication.digest)
        self._note = Paths(service).publication
        self._clock = clock
        self._wall_clock = wall_clock
        self._dice = dice
        self._observers = gather(observers)
        self._payload: bytes | None = None
        self._refusal: str | None = None
        try:
            self._payload = pack(text)
        except ConfigError as error:
            self._refusal = str(error)
        self._machine = PublicationMachine(rng=dice.random, announces=not accompanies)
        self._driver: Driver[Effect] = Driver(self._machine, self._obey, clock=clock, observe=self._observe)

    def __repr__(self) -> str:
        """What is published, and the machine's state."""
        return f"<Publisher {self.publication} {self._machine!r}>"

    def status(self) -> PublicationStatus:
        """The state of the publication at this moment."""
        return PublicationStatus(
            interface=self.publication.interface,
            digest=self.publication.digest,
            published=self._machine.is_published,
            failure=self._refusal or self._machine.failure,
        )

    def start(self) -> None:
        """Begins, and returns at once. Does nothing for a text that is too large, apart from saying so."""
        if self._refusal is not None:
            _log.warning("the IDL of %s is not published: %s; it is served without", self._service, self._refusal)
            self._tell_refusal(self._refusal)
            return
        self._session.watch_state(self._driver.changed)
        self._driver.start()

    def close(self) -> None:
        """Ends; the text stays, as others may use it."""
        self._session.unwatch_state(self._driver.changed)
        self._driver.close()

    def _observe(self, changed: bool) -> None:
        if changed and self._session.state is SessionState.CONNECTED:
            self._machine.receive_change(self._clock())

    def _obey(self, effect: Effect) -> None:
        if self._driver.closing:
            return
        try:
            match effect:
                case LookUp():
                    self._look_up()
                case Write() | Renew():
                    self._write(effect)
                case Announce():
                    self._announce()
                case Collect():
                    collect(self._session, wall_clock=self._wall_clock, dice=self._dice)
        except Exception as error:  # also a bug in this code must not end the greenlet
            self._fail(error)

    def _look_up(self) -> None:
        # All changes signalled so far are covered by this look.
        self._driver.changed.clear()
        znodes, changed = self._session.znodes, self._driver.changed
        if znodes.exists(self._note, watch=changed) is None:
            self._machine.receive_unannounced()
        stat, now = znodes.exists(self._path, watch=changed), self._clock()
        if stat is None:
            self._machine.receive_missing(now)
            return
        first = not self._machine.is_published
        self._machine.receive_found(stat.version, self._wall_clock() - stat.modified_at, now)
        if first:
            _log.debug("the IDL of %s is published at %s", self._service, self._path)
            told = self.publication
            self._observers.tell(
                IdlPublished(service=self._service, interface=told.interface, digest=told.digest, size=stat.size)
            )

    def _write(self, write: Write | Renew) -> None:
        payload = self._payload or b""
        # Whoever is faster than this writes the same, or deletes it; the next look shows which.
        with contextlib.suppress(NodeExists, NodeMissing, VersionConflict):
            if isinstance(write, Renew):
                # It may be others', who serve the same; when they have gone, it is deleted, and written again by us.
                with contextlib.suppress(AccessDenied):
                    self._session.znodes.set(self._path, payload, write.version)
            else:
                _create(self._session, self._path, payload)
        self._machine.receive_written(self._clock())

    def _announce(self) -> None:
        """Writes the note. Whoever writes at the same time is as new as this instance, so either word may be the
        last."""
        wanted = self.publication.dump()
        found = self._session.znodes.get(self._note)
        with contextlib.suppress(NodeExists, NodeMissing, VersionConflict):
            if found is None:
                _create(self._session, self._note, wanted)
            elif found[0] != wanted:
                self._session.znodes.set(self._note, wanted, found[1].version)
        self._machine.receive_announced(self._clock())

    def _fail(self, error: Exception) -> None:
        reason = str(error)
        if not isinstance(error, RpcError):
            _log.error("publishing the IDL of %s failed unexpectedly", self._service, exc_info=error)
        elif not isinstance(error, SessionSuspended) and reason != self._machine.failure:
            _log.warning("publishing the IDL of %s has to wait: %s", self._service, reason)
            self._tell_refusal(reason)
        self._machine.receive_failure(reason, self._clock())

    def _tell_refusal(self, reason: str) -> None:
        told = self.publication
        self._observers.tell(
            IdlRefused(service=self._service, interface=told.interface, digest=told.digest, reason=reason)
        )


def collect(session: Session, *, wall_clock: Callable[[], float], dice: random.Random) -> list[str]:
    """Deletes the texts that nobody has written for ``KEEP_FOR`` and returns their digests; none if a collection was
    made within a day.

    Whoever raises the version of the texts' parent collects, and learns ZooKeeper's own time by that, which all ages
    are counted from: neither a wrong clock nor two at once can delete what is in use.
    """
    znodes = session.znodes
    listed = znodes.listing(IDL)
    if listed is None or abs(wall_clock() - listed[1].modified_at) < COLLECT_EVERY:
        return []
    names, stat = listed
    try:
        now = znodes.set(IDL, b"", stat.version).modified_at
    except (VersionConflict, AccessDenied):  # it belongs to whoever made it, and that one collects
        return []
    gone = []
    for name in dice.sample(names, min(len(names), _MOST_JUDGED)):
        path = f"{IDL}/{name}"
        found = znodes.exists(path)
        if found is not None and now - found.modified_at > KEEP_FOR:
            with contextlib.suppress(CoordinationError):  # it was renewed, or is not ours to delete
                znodes.delete(path, found.version)
                gone.append(name)
    if gone:
        _log.info("deleted %d IDL texts that nobody has used for %.0f days", len(gone), KEEP_FOR / 86_400)
    return gone


def _create(session: Session, path: str, value: bytes) -> None:
    try:
        session.znodes.create(path, value)
    except NodeMissing:
        session.znodes.ensure_path(path.rpartition("/")[0])
        session.znodes.create(path, value)
