"""Decides when to stand for election, when to lead and when to stop: one group, one process.

A state machine that knows nothing of ZooKeeper's client, greenlets, clocks and other groups. The requests to ZooKeeper
are in :mod:`~zkrpc.election.procedures`, the arithmetic of leases in :mod:`~zkrpc.election.lease`.

Its states, and what leads from one to the next, are the table in :mod:`~zkrpc.election.states`. Losing the connection
is no reason to stop: requests wait for the next connection, the lease goes on, and after reconnecting everything is
read again because the watches are gone.

Every state that keeps other instances from leading is bounded in time. After a claim there must be a lease within half
a session timeout; an instance whose answers from ZooKeeper are too slow for a lease does not claim, and goes to the
queue's end. After a failure it enrols again after a pause that grows with each failure in a row.

A failed read is repeated after a pause. After ``handle_timer`` the next timer is never in the past.

Every election has a new epoch. Only an epoch that was claimed and not given up since can turn out to be ours.

Impossible inputs raise LocalProtocolError: an answer without an outstanding request, a transition that the table does
not have. Late inputs are ignored: ``on_elected`` and ``on_deposed`` may return at any moment, and their outcome changes
nothing if their term is over or being ended. A request to step down, or a higher epoch, changes nothing if there is no
term to end.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from zkrpc.election.candidate_state import CandidacyBackoff, CandidateState, LookTimer, Participant
from zkrpc.election.conversation import Conversation, Failed, Finished
from zkrpc.election.effects import (
    ClaimEpoch,
    Depose,
    Effect,
    Elect,
    ElectionAnswer,
    ElectionRequest,
    ExitProcess,
    Reason,
    ReportCandidacyEnded,
    RequestFailure,
    Serve,
    StartHeartbeats,
    StopHeartbeats,
)
from zkrpc.election.history import Recorder
from zkrpc.election.lease import Lease, claim_patience, deposed_patience, drop_after
from zkrpc.election.procedures import (
    Contested,
    Queued,
    Recorded,
    Resigned,
    Unfit,
    Won,
    campaign,
    record,
    resign,
    verify,
)
from zkrpc.election.states import HOLDING, LEADING, STANDING, WITHOUT_LEASE
from zkrpc.election.states import ElectionState as ElectionState
from zkrpc.election.states import Trigger, after
from zkrpc.endpoint import INCREDIBLE_EPOCH, Epoch
from zkrpc.registry.formats import PrimaryRecord

# On a link that is too slow for heartbeats, the deletion of our nodes must not be cut off by a heartbeat that is late.
_LINK_FAILED = (Reason.NO_LEASE, Reason.LEASE_ENDED)
_SLOW_LINK = "no heartbeat of it was committed in time: its link to ZooKeeper is slow, or its process was blocked"


class ElectionMachine:
    """One group's election, as one process takes part in it.

    ``elected_timeout`` and ``deposed_timeout`` are the seconds that ``on_elected`` and ``on_deposed`` may take (None
    for the latter: a share of the session timeout), ``audit_interval`` the seconds between reads of our nodes.
    """

    def __init__(
        self,
        participant: Participant,
        *,
        elected_timeout: float,
        deposed_timeout: float | None,
        audit_interval: float,
        rng: Callable[[], float],
    ) -> None:
        self.state = ElectionState.IDLE
        self._elected_timeout = elected_timeout
        self._deposed_timeout, self._deposed_patience = deposed_timeout, elected_timeout
        self._effects: list[Effect] = []
        self.conversation = Conversation(self._ask, rng)
        """The procedure that runs, and why the last one failed."""
        self.recorder = Recorder(participant, self._effects.append)
        """Reports the primary, and queues lines for people."""
        self.candidacy = CandidateState(participant=participant)
        """Our nodes and the epochs that are known."""
        self.look_timer = LookTimer(audit_interval, rng)
        """When everything is read again although nothing is known to have changed."""
        self.backoff = CandidacyBackoff(rng)
        """Until when this instance stays out of the queue, and because of which failures."""
        self._claim_patience = elected_timeout
        self._slow_answer = math.inf
        self._wanted = self._stale = self._beating = False
        self._lease: Lease | None = None
        self._term: PrimaryRecord | None = None
        self._term_session = 0
        self._reason = Reason.WITHDRAWN
        self._heir = ""
        self._deadline: float | None = None

    def __repr__(self) -> str:
        """Group, state, epoch and conversation."""
        epoch = f" epoch={self._term.epoch}" if self._term else ""
        return (
            f"<ElectionMachine {self.candidacy.participant.paths.root} {self.state.value}{epoch} {self.conversation!r}>"
        )

    def effects(self) -> list[Effect]:
        """The effects to carry out, in this order, each returned once."""
        effects = self._effects[:]
        self._effects.clear()
        return effects

    # Called before every primary-only handler and before its reply

    def serving_epoch(self, now: float) -> Epoch | None:
        """The epoch to serve in; None if calls for the primary must not run here."""
        return self.held_epoch(now) if self.state is ElectionState.PRIMARY else None

    def held_epoch(self, now: float) -> Epoch | None:
        """The epoch that this instance holds under a valid lease, also while ``on_elected`` still runs."""
        term, lease = self._term, self._lease
        if term is None or lease is None or lease.session_id != self._term_session or not lease.is_valid(now):
            return None
        return term.epoch

    # What the application wants

    def campaign(self, now: float) -> None:
        """Take part from now on."""
        self._wanted = True
        if self.state is ElectionState.IDLE:
            self._move(Trigger.WANTED)
        self._continue(now)

    def withdraw(self, now: float, reason: Reason = Reason.WITHDRAWN, heir: str = "") -> None:
        """Stop taking part, and hand over, to the instance ``heir`` if it is in the queue; ``ReportCandidacyEnded``
        follows, at once if nothing has to be deleted."""
        self._wanted = False
        if self.state in (*STANDING, *HOLDING):
            self._heir = heir
            self._depose(reason, now)
        if self.state is ElectionState.IDLE or (
            self.state is ElectionState.RESIGNING and not self.candidacy.session_id
        ):
            self._leave(now)
        self._continue(now)

    def step_down(self, now: float, heir: str = "") -> None:
        """If this instance holds an epoch: hand over, to the instance ``heir`` if it is in the queue, and enrol again
        at the queue's end."""
        if self.state in HOLDING:
            self._heir = heir
            self._depose(Reason.HANDED_OVER, now)
        self._continue(now)

    # What happened

    def receive_connected(self, session_id: int, now: float, *, timeout: float | None = None) -> None:
        """There is a connection, with this session and this negotiated timeout. To be called for every reconnect,
        because watches are lost with the connection."""
        if timeout is not None:
            self._claim_patience, self._slow_answer = claim_patience(timeout), drop_after(timeout)
            self._deposed_patience = deposed_patience(timeout)
        if session_id != self.candidacy.session_id:
            self._change_session(session_id, now)
        self.conversation.connect()
        self._stale = True
        self._continue(now)

    def receive_disconnected(self, now: float, *, lost: bool = False) -> None:
        """There is no connection; ``lost`` if ZooKeeper answered that the session has ended."""
        self.conversation.disconnect()
        if lost:
            self._change_session(0, now)

    def receive_lease(self, lease: Lease, now: float) -> None:
        """The process's heartbeat has renewed the lease."""
        self._lease = lease
        self._continue(now)

    def receive_change(self, now: float) -> None:
        """A watch has fired: everything is to be read again."""
        self._stale = True
        self._continue(now)

    def receive_epoch(self, epoch: Epoch, now: float) -> None:
        """A trusted source, such as a store, has seen this epoch: our term is over if its epoch is lower, and later
        claims are above it. An epoch that is too high to be plausible is ignored."""
        self.candidacy.note(epoch)
        if self._term is not None and self.state in HOLDING and self._term.epoch < epoch < INCREDIBLE_EPOCH:
            self._depose(Reason.SUPERSEDED, now)
            self._continue(now)

    def receive_synchronised(self, epoch: Epoch, now: float, *, succeeded: bool = True, why: str = "") -> None:
        """``on_elected`` returned, or raised, and ``why``."""
        term = self._term
        if self.state is not ElectionState.SYNCHRONISING or term is None or term.epoch != epoch:
            return
        if succeeded:
            self._move(Trigger.READY)
            self._deadline = None
            self._effects.append(Serve(epoch))
            self.backoff.forgive(Reason.SYNCHRONISATION_FAILED)
            self.recorder.recover()
            self.recorder.note(term, None)
            self.recorder.report(term)
        else:
            self._depose(Reason.SYNCHRONISATION_FAILED, now, f"on_elected failed: {why or 'no reason given'}")
        self._continue(now)

    def receive_deposed(self, epoch: Epoch, now: float) -> None:
        """``on_deposed`` returned, whether it succeeded or failed."""
        if self.state is ElectionState.DEPOSING and self._term is not None and self._term.epoch == epoch:
            self._deadline = None
            self._move(Trigger.STOPPED)
            if self.candidacy.session_id != self._term_session:
                self._leave(now)
            self._continue(now)

    def receive_answer(self, answer: ElectionAnswer | RequestFailure, now: float) -> None:
        """The answer to the outstanding request, or why there is none."""
        self.candidacy.slow = self.conversation.asked_for(now) > self._slow_answer
        match self.conversation.receive_answer(answer, now):
            case Finished() as finished:
                self._conclude(finished, now)
            case Failed():
                self._stale = True
        self._continue(now)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        lease_ends_at = self._lease.until if self._lease is not None and self.state in LEADING else None
        stands_at = self.backoff.until if self.state is ElectionState.ENROLLING else None
        times = (lease_ends_at, self._deadline, self.look_timer.at, stands_at, self.conversation.next_timer())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Stops when the lease has ended or a time limit has passed; reads again when that is due."""
        self.conversation.handle_timer(now)
        self.backoff.handle_timer(now)
        out_of_time = self._deadline is not None and now >= self._deadline
        if out_of_time and self.state is ElectionState.DEPOSING and self._term is not None:
            self._move(Trigger.OVERDUE)
            self._deadline = None
            self._effects.append(ExitProcess(self._term.epoch))
        elif out_of_time and self.state is ElectionState.SYNCHRONISING:
            why = f"on_elected took longer than {self._elected_timeout:g} s"
            self._depose(Reason.SYNCHRONISATION_FAILED, now, why)
        elif out_of_time:
            self._depose(Reason.NO_LEASE, now, _SLOW_LINK)
        elif self.state in LEADING and self.held_epoch(now) is None:
            self._depose(Reason.LEASE_ENDED, now)
        self._stale = self.look_timer.is_over(self.candidacy, now) or self._stale
        self._continue(now)

    # The inside

    def _ask(self, request: ElectionRequest, now: float) -> None:
        if isinstance(request, ClaimEpoch) and self.state is not ElectionState.CLAIMING:
            self._deadline = now + self._claim_patience
            self._move(Trigger.CLAIM_SENT)
        self._effects.append(request)

    def _move(self, trigger: Trigger) -> None:
        """Moves to the next state; nothing else writes it. Heartbeats begin with the claim, in parallel to it, so that
        waiting for the lease adds no time."""
        self.state = state = after(self.state, trigger)
        beating = state is ElectionState.CLAIMING or state in HOLDING
        gives_up = state is ElectionState.RESIGNING and self._reason in _LINK_FAILED
        beating = beating or (self._beating and state not in WITHOUT_LEASE and not gives_up)
        if beating != self._beating:
            self._beating = beating
            self._effects.append(StartHeartbeats() if beating else StopHeartbeats())

    def _continue(self, now: float) -> None:
        """Does what the state requires now: begins the term for the application once there are both an epoch and a
        lease, and begins a conversation if one is due and none runs."""
        epoch = self.held_epoch(now)
        if self.state is ElectionState.CONFIRMING and epoch is not None:
            self._move(Trigger.LEASED)
            self._deadline = now + self._elected_timeout
            self.backoff.forgive(Reason.NO_LEASE)
            self._effects.append(Elect(epoch))
        if not self.conversation.is_free(now):
            return
        line = self.recorder.pending()
        absent = self.backoff.lasts(now) and self.state is ElectionState.ENROLLING
        due = not absent and (self._stale or self.state in (ElectionState.ENROLLING, ElectionState.CLAIMING))
        if due and self.state in (*STANDING, *HOLDING):
            self._stale = False
            self.look_timer.begin(now)
        if self.state is ElectionState.RESIGNING:
            self.conversation.begin(resign(self.candidacy, heir=self._heir, handed_over=self._reason.is_voluntary), now)
        elif due and self.state in STANDING:
            self.conversation.begin(campaign(self.candidacy), now)
        elif due and self.state in HOLDING and self._term is not None:
            self.conversation.begin(verify(self.candidacy, self._term.epoch), now)
        elif line is not None and self.state not in (ElectionState.DEPOSING, ElectionState.EXITING):
            # Not while on_deposed runs: the successor waits for the requests that follow right after it.
            self.conversation.begin(record(line), now)

    def _conclude(self, finished: Finished, now: float) -> None:
        """Acts on the result of a conversation."""
        match finished.value:
            case Contested():
                # There may be no watch on the nodes that were read, so nothing else would lead to another read.
                self._stale = True
                self.conversation.pause_if_repeated(now)
                return
            case Won(epoch=epoch):
                # There are no watches on our nodes yet.
                self._stale = True
                self._term = self.candidacy.primary_record(epoch)
                self._term_session = self.candidacy.session_id
                self.recorder.report(None)
                self._move(Trigger.WON)
            case Unfit():
                self._depose(Reason.NO_LEASE, now, _SLOW_LINK)
            case Queued(primary=leader, for_heir=for_heir, place=place):
                self._move(Trigger.QUEUED)
                self._deadline = None
                patience = self._claim_patience
                self.look_timer.wait(self.candidacy, now, for_heir=for_heir, place=place, patience=patience)
                self.recorder.report(leader)
            case Resigned():
                self._leave(now)
            case Recorded(line=line):
                self.recorder.strike(line)
                return
            case Reason() as reason:
                self._depose(reason, now)
            case None:
                self.backoff.forgive(Reason.EPOCH_LOST)
        self.conversation.settle()

    def _depose(self, reason: Reason, now: float, complaint: str = "") -> None:
        """Ends our term or candidacy: calls are refused from here on, and an epoch that was claimed earlier can no
        longer turn out to be ours."""
        term, former = self._term, self.state
        self.conversation.abandon()
        self.candidacy.pending = None
        self._reason = reason
        self._deadline = None
        self.look_timer.end()
        if complaint:
            self.recorder.complain(complaint, self.backoff.times(reason) + 1)
        if term is not None and former is ElectionState.PRIMARY:
            self.recorder.note(term, reason)
        self._move(Trigger.STOP)
        if term is not None and self.state is ElectionState.DEPOSING:
            self._deadline = now + (self._deposed_patience if self._deposed_timeout is None else self._deposed_timeout)
            self._effects.append(Depose(term.epoch, reason))
        if former in HOLDING:
            self.recorder.report(None)

    def _change_session(self, session_id: int, now: float) -> None:
        """Forgets the nodes of an earlier session, which ZooKeeper deletes with it."""
        self.candidacy.session_id = session_id
        self.candidacy.candidate = None
        self.candidacy.epoch_version = None
        self._lease = None
        self.conversation.abandon()
        if self.state in HOLDING:
            self._depose(Reason.SESSION_ENDED, now)
        if self.state is ElectionState.RESIGNING:
            self._leave(now)
        elif self.state in STANDING:
            self._deadline = None
            self._move(Trigger.SESSION_CHANGED)

    def _leave(self, now: float) -> None:
        """No node in ZooKeeper is ours any more: enrols again, if that is wanted."""
        self.conversation.abandon()
        self.backoff.begin(self._reason, now)
        self._term = None
        self.candidacy.pending = None
        self.candidacy.candidate = None
        self.candidacy.epoch_version = None
        self._heir = ""
        self._reason = Reason.WITHDRAWN
        self._move(Trigger.NOTHING_LEFT)
        if self._wanted:
            self._move(Trigger.WANTED)
        else:
            self.look_timer.end()
            self.recorder.recover()
            self._effects.append(ReportCandidacyEnded())
