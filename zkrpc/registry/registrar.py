"""Keeps one node registered, or absent, whatever happens to sessions, servers and the node itself.

A shell: one :class:`~zkrpc.driver.Driver` carries out what :class:`~zkrpc.registry.registration.RegistrationMachine`
decides, woken by the session's changes, by the watch on our own node, by the machine's timers, and by
:meth:`Registrar.register` and :meth:`Registrar.withdraw`. The registrar decides nothing itself.

With each node among zkrpc's own members a *mark* is created in the same transaction: an empty ephemeral node, outside
the members, whose name contains the digest of the record. Resolvers of a long list see by the marks which records were
replaced under the same name, without reading all of them. A mark is deleted with its session at the latest.
"""

from __future__ import annotations

import contextlib
import logging
import random
import time
from collections.abc import Callable, Iterable
from typing import assert_never

from gevent.event import Event

from zkrpc.config import RegistryConfig
from zkrpc.driver import Driver
from zkrpc.errors import (
    CoordinationError,
    IdentityConflict,
    NodeExists,
    NodeMissing,
    OutcomeUnknown,
    RpcError,
    SessionLost,
    VersionConflict,
)
from zkrpc.legible import legible
from zkrpc.registry.registration import (
    CreateNode,
    DeleteNode,
    Effect,
    LookUp,
    Observed,
    RegistrationMachine,
    ReplaceNode,
    ReportConflict,
    ReportRegistered,
    ReportWithdrawn,
    Settle,
)
from zkrpc.registry.schema import mark_path
from zkrpc.telemetry.events import Registered, RegistrationConflicted, RegistrationFailed, RegistrationWithdrawn
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import RegistrationStatus
from zkrpc.zookeeper.operations import Check, Create, Delete, Operation, SessionState
from zkrpc.zookeeper.session import Session

_log = logging.getLogger(__name__)


class Registrar:
    """Keeps one node registered. ``close()`` ends that and leaves the node to the session; ``withdraw()`` removes the
    node."""

    def __init__(
        self,
        session: Session,
        path: str,
        record: bytes,
        launch_id: str,
        *,
        marked: bool = True,
        audit_interval: float = RegistryConfig().audit_interval,
        rng: random.Random | None = None,
        clock: Callable[[], float] = time.monotonic,
        observers: Iterable[Observer] = (),
    ) -> None:
        """``record`` has ``launch_id`` in its metadata, by which nodes of this process's earlier sessions are
        recognised.

        With an empty launch id no node counts as one of an earlier session. Where other libraries look on, a node is
        not ``marked``. ``audit_interval`` is in seconds. ``observers`` receive the events of the registration.
        """
        self._observers = gather(observers)
        dice = rng or random.Random()
        self._session = session
        self._path = path
        self._record = record
        self._clock = clock
        self._machine = RegistrationMachine(path, record, launch_id, audit_interval=audit_interval, rng=dice.random)
        self._driver: Driver[Effect] = Driver(
            self._machine, self._obey, clock=clock, observe=self._observe, settled=self._show
        )
        self._stepped = Event()
        self._dice = dice
        self._watchers: set[Event] = set()
        self.held: str | None = None
        """Why the node is kept absent although the instance runs: an operator's order; None if there is none."""
        self._marked = marked
        self._marks: list[str] = []

    def __repr__(self) -> str:
        """The machine's state."""
        return f"<Registrar {self._machine!r}>"

    @property
    def registered(self) -> bool:
        """True if our node was read, owned by our session, and nothing is known to have ended it since."""
        return self._machine.registered

    @property
    def conflict(self) -> str | None:
        """A description of the node's holder and of this process, while the node is not ours."""
        return self._machine.conflict

    @property
    def twin_lives(self) -> bool:
        """True if the node has not been ours for longer than the session of a dead process can last: waiting will not
        help."""
        return self._machine.twin_lives

    def status(self) -> RegistrationStatus:
        """The state of the registration at this moment."""
        session_id = self.registered_in
        return RegistrationStatus(
            path=self._path,
            registered=self.registered,
            was_registered=self._machine.was_registered,
            session=None if session_id is None else f"{session_id:#x}",
            conflict=self.conflict,
            failure=self._machine.failure,
            offline=self.held,
        )

    def register(self) -> None:
        """Keeps the node registered from now on, and returns at once."""
        self._machine.want(True, self._clock())
        if not self._driver.closing:
            self._session.watch_state(self._driver.changed)
        self._driver.changed.set()
        self._driver.start()

    def revise(self, record: bytes) -> None:
        """Registers another record of the same instance in place of the present one, and returns at once."""
        self._record = record
        self._machine.revise(record, self._clock())
        self._driver.nudged.set()

    def wait_registered(self, timeout: float) -> None:
        """Waits until the node is registered.

        Raises IdentityConflict if the node is still another's when the time is out, or once ``twin_lives``;
        CoordinationError at once if it is held back, and with the last failure if ZooKeeper could not be asked.
        """
        machine = self._machine
        self._wait_until(lambda: machine.registered or machine.twin_lives or self.held is not None, timeout)
        if machine.registered:
            return
        if self.held is not None:
            raise CoordinationError(f"{self._path} is not registered, by an operator's order: {legible(self.held)}")
        if self._machine.conflict is not None:
            raise IdentityConflict(self._machine.conflict)
        connected = self._session.state is SessionState.CONNECTED
        reason = (self._machine.failure if connected else None) or self._session.explain()
        raise CoordinationError(f"{self._path} is not registered after {timeout:.3g} s: {reason}")

    @property
    def registered_in(self) -> int | None:
        """The id of the session that owns our node, while it is registered."""
        return self._machine.session_id if self._machine.registered else None

    def watch(self, event: Event) -> None:
        """Sets ``event`` whenever the state of the registration may have changed."""
        self._watchers.add(event)

    def unwatch(self, event: Event) -> None:
        """Ends ``watch``."""
        self._watchers.discard(event)

    def hold(self, reason: str | None) -> None:
        """Notes that the node is kept absent for this reason, or for none any more, and tells those who wait for
        it."""
        self.held = reason
        self._show()

    def withdraw(self, timeout: float) -> bool:
        """Removes the node and keeps it absent; True once it is gone, False if the time ran out before.

        After a False the removal goes on in the background, until ``close``. Nothing brings the node back, not even a
        create whose reply was lost. A session that was closed is not waited for: its end has removed the node.
        """
        self._machine.want(False, self._clock())
        self._driver.changed.set()
        session, machine = self._session, self._machine
        return self._wait_until(lambda: machine.gone or session.state is SessionState.CLOSED, timeout) and machine.gone

    def close(self) -> None:
        """Ends the greenlet, within about a second; the node stays until its session ends."""
        self._session.unwatch_state(self._driver.changed)
        self._driver.close()
        self._stepped.set()

    def _wait_until(self, met: Callable[[], bool], timeout: float) -> bool:
        give_up_at = self._clock() + timeout
        while not met():
            left = give_up_at - self._clock()
            if left <= 0 or self._driver.closing:
                return False
            self._stepped.wait(left)
        return True

    def _observe(self, changed: bool) -> None:
        self._note_session()
        if changed:
            self._machine.receive_change(self._clock())

    def _show(self) -> None:
        """Wakes those who wait for a change of the registration."""
        stepped, self._stepped = self._stepped, Event()
        stepped.set()
        for event in tuple(self._watchers):
            event.set()

    def _note_session(self) -> None:
        session = self._session
        number = session.session_id if session.state is SessionState.CONNECTED else None
        self._machine.receive_session(number, self._clock(), timeout=session.timeout)

    def _obey(self, effect: Effect) -> None:
        if self._driver.closing:
            return
        match effect:
            case ReportRegistered():
                session_id = self._session.session_id or 0
                _log.info("registered %s in session %#x", self._path, session_id)
                self._observers.tell(Registered(path=self._path, session=f"{session_id:#x}"))
            case ReportWithdrawn():
                _log.info("no longer registered as %s", self._path)
                self._observers.tell(RegistrationWithdrawn(path=self._path))
            case ReportConflict(text=text, successor=successor):
                _log.log(logging.INFO if successor else logging.ERROR, "%s", text)
                self._observers.tell(RegistrationConflicted(path=self._path, reason=text, successor=successor))
            case LookUp():
                self._look_up()
            case Settle():
                self._settle()
            case CreateNode() | ReplaceNode() | DeleteNode():
                self._write(effect)
            case _:
                assert_never(effect)

    def _look_up(self) -> None:
        # All changes signalled so far are covered by this read.
        self._driver.changed.clear()
        try:
            node = self._read_node()
        except Exception as error:
            self._fail(error)
            return
        self._note_session()
        self._machine.receive_observed(node, self._clock())

    def _read_node(self) -> Observed | None:
        # Only exists leaves a watch where there is no node.
        if self._session.znodes.exists(self._path, watch=self._driver.changed) is None:
            return None
        found = self._session.znodes.get(self._path)
        if found is None:
            return None
        record, stat = found
        return Observed(owner=stat.owner, version=stat.version, created_zxid=stat.created_zxid, record=record)

    def _settle(self) -> None:
        try:
            self._session.znodes.multi([Check(path=_parent(self._path))])
        except NodeMissing:
            # The leader has refused it, but in order, which is all that is needed.
            pass
        except Exception as error:
            self._fail(error)
            return
        self._note_session()
        self._machine.receive_settled(self._clock())

    def _write(self, write: CreateNode | ReplaceNode | DeleteNode) -> None:
        try:
            match write:
                case CreateNode():
                    self._create()
                case ReplaceNode(version=version):
                    self._create(Delete(path=self._path, version=version))
                case DeleteNode(version=version):
                    self._session.znodes.delete(self._path, version)
                    self._sweep()
        except (NodeExists, NodeMissing, VersionConflict) as error:
            self._note_session()
            self._machine.receive_refused(str(error), self._clock())
        except Exception as error:
            self._fail(error, uncertain=isinstance(error, (OutcomeUnknown, SessionLost)))
        else:
            self._note_session()
            self._machine.receive_written(self._clock())

    def _create(self, *before: Delete) -> None:
        mark = mark_path(self._path, self._record, f"{self._dice.getrandbits(64):016x}")
        node = Create(path=self._path, value=self._record, ephemeral=True)
        operations: list[Operation] = [*before, node]
        if self._marked:
            operations.append(Create(path=mark, ephemeral=True))
        try:
            self._session.znodes.multi(operations)
        except NodeMissing:
            # A parent is missing, or the node that was to be deleted; in the latter case the second try fails as well.
            # Above a service's node in another library's tree there are those of other users.
            self._session.znodes.ensure_path(_parent(self._path), shared_above=not self._marked)
            if self._marked:
                self._session.znodes.ensure_path(_parent(mark))
            self._session.znodes.multi(operations)
        self._sweep()
        if self._marked:
            self._marks.append(mark)

    def _sweep(self) -> None:
        """Deletes the marks of nodes that no longer exist. A mark that cannot be deleted stays until the session
        ends."""
        while self._marks:
            with contextlib.suppress(CoordinationError):
                self._session.znodes.delete(self._marks.pop())

    def _fail(self, error: Exception, *, uncertain: bool = False) -> None:
        """Any failure is retried for ever, even a bug in this code: a greenlet that ends would leave the instance
        unregistered without notice."""
        if not isinstance(error, RpcError):
            _log.error("the registration of %s failed unexpectedly", self._path, exc_info=error)
        elif str(error) != self._machine.failure:
            _log.warning("the registration of %s has to wait: %s", self._path, error)
        self._observers.tell(RegistrationFailed(path=self._path, error=type(error).__name__))
        self._note_session()
        self._machine.receive_failure(str(error), self._clock(), uncertain=uncertain)


def withdraw_all(registrars: Iterable[Registrar], timeout: float) -> None:
    """Withdraws all of them at once, and waits ``timeout`` seconds at most until they are gone."""
    leaving = list(registrars)
    for registrar in leaving:
        registrar.withdraw(0)
    give_up_at = time.monotonic() + timeout
    for registrar in leaving:
        registrar.withdraw(max(0.0, give_up_at - time.monotonic()))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]
