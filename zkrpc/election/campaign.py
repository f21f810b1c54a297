"""One group's election, as this process takes part in it: carries out what the machine decides.

A shell around :class:`~zkrpc.election.machine.ElectionMachine`. Its :class:`~zkrpc.driver.Driver` passes changes of the
session, watches that fired and timers to the machine; each request is sent by an *errand* greenlet, one at a time;
``on_elected`` and ``on_deposed`` have greenlets of their own. After each input its effects are carried out without
waiting, so their order is kept, whichever greenlet gave the input.

Calls for the primary pass through its :class:`~zkrpc.election.primary.PrimaryGate`.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol, assert_never

import gevent
from gevent.event import Event

from zkrpc.config import ElectionConfig
from zkrpc.driver import Driver
from zkrpc.election.candidate_state import Eligibility, Membership, Participant
from zkrpc.election.effects import (
    Depose,
    Effect,
    Elect,
    ElectionRequest,
    ExitProcess,
    Reason,
    ReportCandidacyEnded,
    ReportPrimary,
    Serve,
    StartHeartbeats,
    StopHeartbeats,
)
from zkrpc.election.history import Announcer
from zkrpc.election.hooks import Application, run_hook
from zkrpc.election.inspection import await_step_down_request
from zkrpc.election.leadership import Guard, Leadership
from zkrpc.election.lease import Lease
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.observing import event_of, status_of
from zkrpc.election.primary import PrimaryGate
from zkrpc.election.request_executor import Asks, RequestExecutor
from zkrpc.election.states import ElectionState
from zkrpc.endpoint import NO_EPOCH, Epoch
from zkrpc.errors import Executed, NotPrimary
from zkrpc.legible import legible
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import ElectionStatus
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

EXIT_DEPOSED = 70
"""The exit status of a process whose ``on_deposed`` did not return in time."""

_AT_REST = (ElectionState.IDLE, ElectionState.EXITING)


class WatchedMembership(Membership, Protocol):
    """A membership whose changes can be watched."""

    def watch(self, event: Event) -> None:
        """Sets ``event`` whenever the membership may have changed."""

    def unwatch(self, event: Event) -> None:
        """Ends ``watch``."""


class Campaign:
    """Takes part from ``start`` until ``withdraw``, while it is registered, as ``membership`` tells; always if that is
    None.

    ``on_primary`` is called with every change of the group's primary, from any greenlet, and must not wait.
    ``end_process`` ends the process with a status, without any clean-up. ``executor`` makes the object that sends
    requests, from the session and the event to set when a watch fires. ``observers`` receive the events of the
    election.
    """

    def __init__(
        self,
        session: Session,
        lease_keeper: LeaseKeeper,
        participant: Participant,
        application: Application,
        config: ElectionConfig,
        *,
        membership: WatchedMembership | None = None,
        on_primary: Callable[[str, PrimaryRecord | None], None] = lambda group, record: None,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        end_process: Callable[[int], object] = os._exit,
        executor: Callable[[Session, Event], Asks] = RequestExecutor,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.session = session
        self._observers = gather(observers)
        self._participant = participant
        self.paths = participant.paths
        self._name = f"{self.paths.service}/{self.paths.group}"
        self.primary: PrimaryRecord | None = None
        """The group's primary, as far as is known."""
        self._lease_keeper = lease_keeper
        self._application = application
        self._finish_timeout = config.finish_timeout
        self._on_primary = on_primary
        self._clock = clock
        self._end_process = end_process
        self._machine = ElectionMachine(
            participant,
            elected_timeout=config.elected_timeout,
            deposed_timeout=config.deposed_timeout,
            audit_interval=config.audit_interval,
            rng=(rng or random.Random()).random,
        )
        self.gate = PrimaryGate(self._machine, clock)
        """The gate through which the group's calls pass."""
        self._driver: Driver[Effect] = Driver(
            self._machine, self._obey, clock=clock, observe=self._observe, settled=self._show
        )
        self._executor = executor(session, self._driver.changed)
        self._connection: tuple[int | None, float | None] | None = None
        self._session_id = 0
        self._highest: Epoch = NO_EPOCH
        self._leadership: Leadership | None = None
        self._shown = self.state
        self._membership = membership
        self._eligibility = Eligibility()
        self._wanted = False
        self._aside = False
        self._announcer = Announcer(self._name)
        self._greenlets: dict[str, gevent.Greenlet[..., None]] = {}

    def __repr__(self) -> str:
        """The machine's state, and the calls that run."""
        return f"<Campaign {self._machine!r} {self.gate!r}>"

    @property
    def state(self) -> ElectionState:
        """The machine's state."""
        return self._machine.state

    @property
    def leadership(self) -> Leadership | None:
        """Our term, while this instance serves as the primary."""
        return self._leadership if self.state is ElectionState.PRIMARY else None

    def status(self) -> ElectionStatus:
        """The state of the election at this moment, as this instance knows it."""
        now = self._clock()
        return status_of(
            self.paths,
            self.state,
            self._machine.held_epoch(now),
            self._lease_keeper.lease,
            now,
            self.primary,
            self.gate.running,
        )

    def start(self) -> None:
        """Takes part from now on."""
        self._wanted = True
        self.session.watch_state(self._driver.nudged)
        if self._membership is None:
            self._machine.campaign(self._clock())
        else:
            self._membership.watch(self._driver.nudged)
        self._driver.start()

    def step_down(self, heir: str = "") -> None:
        """If this instance is the primary: finishes the calls that run, stops, and hands over, to ``heir`` if that
        instance is a candidate.

        Returns when the hand-over has begun; it takes no timeout.
        """
        leadership = self.leadership
        if leadership is None:
            return
        try:
            self.gate.pause(leadership.epoch, self._finish_timeout)
            if self.leadership is leadership:
                self._machine.step_down(self._clock(), heir)
        finally:
            self.gate.resume()
        self._driver.carry_out()

    def step_aside(self, finish_timeout: float, heir: str = "") -> None:
        """Hands over, as ``step_down`` does, and stops taking part until ``come_back``; returns when that has begun.
        Calls that run have ``finish_timeout`` seconds to end; those that come meanwhile wait, and are sent on."""
        self._aside = True
        leadership = self.leadership
        try:
            if leadership is not None:
                self.gate.pause(leadership.epoch, finish_timeout)
            if self._aside and self._wanted:
                self._machine.withdraw(self._clock(), heir=heir)
        finally:
            self.gate.resume()
        self._driver.carry_out()

    def come_back(self) -> None:
        """Takes part again after ``step_aside``, once the instance is registered. Does nothing otherwise."""
        if self._aside:
            self._aside, self._eligibility = False, Eligibility()
            self._driver.nudged.set()

    def begin_withdrawal(self, finish_timeout: float = 0.0, heir: str = "") -> None:
        """Hands over, as ``step_down`` does, and stops taking part; returns when that has begun. Before that, the calls
        that run have ``finish_timeout`` seconds to end, or the config's if that is longer."""
        self._wanted = False
        self.gate.close()
        self.gate.wait_until(lambda: not self.gate.running, max(finish_timeout, self._finish_timeout))
        self._machine.withdraw(self._clock(), heir=heir)
        self._driver.carry_out()

    def wait_withdrawn(self, timeout: float) -> bool:
        """Waits until no node of the election is ours; False if the time ran out before. The withdrawal goes on even
        then."""
        return self.gate.wait_until(lambda: self.state in _AT_REST, timeout)

    def close(self) -> None:
        """Ends the campaign at once. Our nodes stay for as long as the session does."""
        self._driver.kill()
        self.session.unwatch_state(self._driver.nudged)
        if self._membership is not None:
            self._membership.unwatch(self._driver.nudged)
        self._lease_keeper.rest(self.paths.root)
        for greenlet in self._greenlets.values():
            if greenlet is not gevent.getcurrent():
                greenlet.kill(block=False)
        self.gate.close()

    def holds(self, epoch: Epoch) -> bool:
        """True while this instance holds that epoch under a valid lease, and the term has not ended, unless by stepping
        down on purpose."""
        return not self._driver.closing and self.session.home.in_process and self.gate.holds(epoch)

    def guard(self, epoch: Epoch) -> Guard | None:
        """The proof in ZooKeeper that this instance holds the epoch; None if it does not, or its candidate is not
        known."""
        candidacy = self._machine.candidacy
        if not self.holds(epoch) or candidacy.candidate is None:
            return None
        return Guard(
            candidate=candidacy.candidate,
            instance=candidacy.participant.instance,
            version=candidacy.epoch_version,
        )

    def refusal(self, executed: Executed = Executed.NO) -> NotPrimary:
        """Why a call for the primary is not served here, and where to go instead. Raises WrongProcess after a fork."""
        self.session.home.require_process()
        record = None if self.leadership is not None or self.gate.is_paused else self.primary
        where = f"{legible(record.instance)} at {record.endpoint}" if record is not None else "not known now"
        return NotPrimary(
            f"this instance is not the primary of {self._name}; it is {where}",
            primary=None if record is None else record.endpoint,
            epoch=self._highest or None,
            group=self.paths.group,
            executed=executed,
        )

    def receive_epoch(self, epoch: Epoch) -> None:
        """Takes in an epoch from a trusted source, such as a store."""
        self._highest = max(self._highest, epoch)
        self._machine.receive_epoch(epoch, self._clock())
        self._driver.carry_out()

    def look_again(self) -> None:
        """Has ZooKeeper read again, because an untrusted source named an unknown epoch."""
        self._driver.changed.set()

    # -- the machine's inputs in each turn ---------------------------------------------------

    def _observe(self, changed: bool) -> float | None:
        self._note_session()
        self._note_membership()
        if changed:
            self._machine.receive_change(self._clock())
        return self._eligibility.next_timer()

    def _note_session(self) -> None:
        """Passes each connection to the machine once, even if the loss before it went unseen, as the earlier watches
        are gone."""
        session = self.session
        connected = session.state is SessionState.CONNECTED
        connection = (session.session_id, session.connected_at) if connected else None
        if connected and connection != self._connection:
            assert session.session_id is not None
            self._session_id = session.session_id
            self._machine.receive_connected(session.session_id, self._clock(), timeout=session.timeout)
        elif not connected:
            ended = session.state in (SessionState.LOST, SessionState.CLOSED)
            self._machine.receive_disconnected(self._clock(), lost=ended)
        self._connection = connection

    def _note_membership(self) -> None:
        """Begins to stand when callers can find us, and stops when they cannot any more."""
        if self._membership is None or not self._wanted or self._aside:
            return
        stood, connected = self._eligibility.may_stand, self.session.state is SessionState.CONNECTED
        self._eligibility.observe(self._membership, self.session.session_id if connected else None, self._clock())
        if self._eligibility.may_stand and not stood:
            self._machine.campaign(self._clock())
        elif stood and not self._eligibility.may_stand:
            log.warning(
                "not registered, so not a candidate for %s: %s", self._name, self._membership.conflict or "not yet"
            )
            self._machine.withdraw(self._clock(), Reason.UNLISTED)

    # -- the machine's effects ----------------------------------------------------------------------

    def _show(self) -> None:
        """Wakes those who wait for another state, and logs failures."""
        if self.state is not self._shown:
            self._shown = self.state
            self.gate.turn()
        self._announcer.hear(self._machine.conversation.failure)

    def _obey(self, effect: Effect) -> None:
        """Carries out one effect, without waiting."""
        if isinstance(effect, ElectionRequest):
            self._spawn("errand", self._ask, effect, self._session_id)
            return
        match effect:
            case StartHeartbeats():
                self._lease_keeper.lead(self.paths.root, self._receive_lease)
                if self._lease_keeper.lease is not None:
                    self._receive_lease(self._lease_keeper.lease)
            case StopHeartbeats():
                self._lease_keeper.rest(self.paths.root)
            case Elect(epoch=epoch):
                self._leadership = Leadership(self, epoch)
                self._spawn("elected", self._synchronise, self._leadership)
            case Serve(epoch=epoch):
                log.info("primary of %s since epoch %d", self._name, epoch)
                self._spawn(
                    "step-down requests", await_step_down_request, self.session, self.paths, epoch, self.step_down
                )
            case Depose(epoch=epoch, reason=reason):
                level = logging.INFO if reason.is_voluntary else logging.WARNING
                log.log(level, "no longer the primary of %s, epoch %d: %s", self._name, epoch, reason.value)
                self.gate.departing = epoch if reason.is_voluntary else None
                self._spawn("deposed", self._stop)
            case ExitProcess(epoch=epoch):
                log.critical("on_deposed for %s, epoch %d, did not return in time: exiting", self._name, epoch)
                self._end_process(EXIT_DEPOSED)
            case ReportPrimary(record=record):
                self.primary = record
                if record is not None:
                    self._highest = max(self._highest, record.epoch)
                self._on_primary(self.paths.group, record)
            case ReportCandidacyEnded():
                log.info("no longer a candidate for %s", self._name)
            case _:
                assert_never(effect)
        event = event_of(effect, self._participant)
        if event is not None:
            self._observers.tell(event)

    def _receive_lease(self, lease: Lease) -> None:
        self._machine.receive_lease(lease, self._clock())
        self._driver.carry_out()

    # -- greenlets, which may wait ---------------------------------------------------------------------------

    def _ask(self, request: ElectionRequest, session_id: int) -> None:
        answer = self._executor.ask(request, session_id)
        self._machine.receive_answer(answer, self._clock())
        self._driver.carry_out()

    def _synchronise(self, leadership: Leadership) -> None:
        why = run_hook("on_elected", self._application.on_elected, leadership, self._name, self.receive_epoch)
        self._machine.receive_synchronised(leadership.epoch, self._clock(), succeeded=why is None, why=why or "")
        self._driver.carry_out()

    def _stop(self) -> None:
        leadership, synchronising = self._leadership, self._greenlets.get("elected")
        assert leadership is not None
        if (watching := self._greenlets.pop("step-down requests", None)) is not None:
            watching.kill(block=False)
        if synchronising is not None:
            synchronising.kill()
        run_hook("on_deposed", self._application.on_deposed, leadership, self._name, self.receive_epoch)
        self.gate.departing = None
        self._machine.receive_deposed(leadership.epoch, self._clock())
        self._driver.carry_out()

    def _spawn(self, name: str, function: Callable[..., None], *arguments: Any) -> None:
        self._greenlets[name] = gevent.spawn(function, *arguments)
