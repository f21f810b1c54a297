"""One group's election, as this process takes part in it: carries out what the machine decides.

A shell around :class:`~zkrpc.election.machine.ElectionMachine`. Its :class:`~zkrpc.driver.Driver` tells the machine of
the session, of watches that fired and of time; each request is carried by an *errand* greenlet, one at a time;
``on_elected`` and ``on_deposed`` have one of their own. Everything that the machine is told is followed by what it
wants done, without waiting, so whatever greenlet told it, the order of its orders is kept.

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
from zkrpc.election.inspection import await_step_down_request
from zkrpc.election.leadership import Application, Guard, Leadership
from zkrpc.election.lease import Lease
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.observing import event_of, status_of
from zkrpc.election.primary import PrimaryGate
from zkrpc.election.request_executor import Asks, RequestExecutor
from zkrpc.election.states import ElectionState
from zkrpc.endpoint import NO_EPOCH, Epoch
from zkrpc.errors import Executed, NotPrimary, StaleEpoch
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
    """Our place in the registry, and how to hear of its changes."""

    def watch(self, event: Event) -> None:
        """Has ``event`` set whenever something of this may have changed."""

    def unwatch(self, event: Event) -> None:
        """Ends ``watch``."""


class Campaign:
    """Takes part from ``start`` until ``withdraw``, while it is registered, as ``membership`` tells; always if that is
    None.

    ``on_primary`` is told of every change of the group's primary, from whatever greenlet hears of it, and must not
    wait. ``end_process`` ends the process with a status, without any clean-up. ``executor`` makes who carries the
    requests, given the session and what to set when something watched has changed. ``observers`` are told of elections
    and of who leads.
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
        """Who leads, as far as we know."""
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
        """Where the group's calls go in and out."""
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
        self._announcer = Announcer(self._name)
        self._greenlets: dict[str, gevent.Greenlet[..., None]] = {}

    def __repr__(self) -> str:
        """What the machine knows, and the calls that run."""
        return f"<Campaign {self._machine!r} {self.gate!r}>"

    @property
    def state(self) -> ElectionState:
        """Where the machine is."""
        return self._machine.state

    @property
    def leadership(self) -> Leadership | None:
        """Our term, if we serve one."""
        return self._leadership if self.state is ElectionState.PRIMARY else None

    def status(self) -> ElectionStatus:
        """Where it stands at this moment, and who leads as far as we know."""
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
        """If we lead: finishes the calls that run, stops, and hands over, to ``heir`` if that instance is a candidate.

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

    def begin_withdrawal(self, finish_timeout: float = 0.0) -> None:
        """Hands over what is ours and takes part no longer; returns when that has begun. The calls that run have
        ``finish_timeout`` seconds to end before, or the config's if those are more."""
        self._wanted = False
        self.gate.close()
        self.gate.wait_until(lambda: not self.gate.running, max(finish_timeout, self._finish_timeout))
        self._machine.withdraw(self._clock())
        self._driver.carry_out()

    def wait_withdrawn(self, timeout: float) -> bool:
        """Waits until nothing of the election is ours; False if the time ran out before. It goes on even then."""
        return self.gate.wait_until(lambda: self.state in _AT_REST, timeout)

    def close(self) -> None:
        """Ends everything at once. Our nodes stay for as long as the session does."""
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
        """True while that epoch is ours, the lease is valid, and nothing has ended the term but our own wish."""
        return not self._driver.closing and self.session.home.in_process and self.gate.holds(epoch)

    def guard(self, epoch: Epoch) -> Guard | None:
        """What in ZooKeeper says that this epoch is ours; None if it is not, or if nothing is known of it yet."""
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
        """A store, which is trusted, has seen that epoch."""
        self._highest = max(self._highest, epoch)
        self._machine.receive_epoch(epoch, self._clock())
        self._driver.carry_out()

    def look_again(self) -> None:
        """Somebody who need not be trusted speaks of an epoch that we have not heard of: look in ZooKeeper."""
        self._driver.changed.set()

    # -- what the machine is told in each turn ---------------------------------------------------

    def _observe(self, changed: bool) -> float | None:
        self._note_session()
        self._note_membership()
        if changed:
            self._machine.receive_change(self._clock())
        return self._eligibility.next_timer()

    def _note_session(self) -> None:
        """Tells the machine of each connection once, also of one that came and went unseen: its watches are gone."""
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
        if self._membership is None or not self._wanted:
            return
        stood, connected = self._eligibility.may_stand, self.session.state is SessionState.CONNECTED
        self._eligibility.observe(self._membership, self.session.session_id if connected else None, self._clock())
        if self._eligibility.may_stand and not stood:
            self._machine.campaign(self._clock())
        elif stood and not self._eligibility.may_stand:
            log.warning(
                "not registered, so not standing for %s: %s", self._name, self._membership.conflict or "not yet"
            )
            self._machine.withdraw(self._clock(), Reason.UNLISTED)

    # -- what it wants done ----------------------------------------------------------------------

    def _show(self) -> None:
        """Lets those who wait for another state see it, and people what fails."""
        if self.state is not self._shown:
            self._shown = self.state
            self.gate.turn()
        self._announcer.hear(self._machine.conversation.failure)

    def _obey(self, effect: Effect) -> None:
        """Without waiting."""
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
                log.info("stands for %s no longer", self._name)
            case _:
                assert_never(effect)
        event = event_of(effect, self._participant)
        if event is not None:
            self._observers.tell(event)

    def _receive_lease(self, lease: Lease) -> None:
        self._machine.receive_lease(lease, self._clock())
        self._driver.carry_out()

    # -- what may wait ---------------------------------------------------------------------------

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


def run_hook(
    name: str,
    hook: Callable[[Leadership], None],
    leadership: Leadership,
    of: str,
    believe: Callable[[Epoch], None],
) -> str | None:
    """Calls one of the application's hooks and says why it failed; None if it did not. ``of`` is the group, for people.

    ``believe`` is told of a later epoch, if that is why: a store then knows of a later primary than ZooKeeper does.
    """
    try:
        hook(leadership)
    except gevent.GreenletExit:
        raise
    except BaseException as error:  # also a gevent.Timeout of the hook's own
        log.exception("%s failed for %s, epoch %d", name, of, leadership.epoch)
        if isinstance(error, StaleEpoch) and error.current == leadership.epoch:
            believe(error.seen)
        return f"{type(error).__name__}: {error}"
    return None
