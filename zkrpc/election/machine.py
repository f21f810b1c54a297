"""Decides when to stand for election, when to lead and when to stop: one group, one process.

A machine: it refuses to know ZooKeeper's client, greenlets, clocks and other groups. What is said to ZooKeeper is in
:mod:`~zkrpc.election.procedures`, what a lease is worth in :mod:`~zkrpc.election.lease`.

============= ============================================== ==========================================================
state         means                                          left by
============= ============================================== ==========================================================
IDLE          no wish to lead, nothing of ours there         ``campaign``: ENROLLING
ENROLLING     our candidate's node is being made             queued: WAITING; it is our turn: CLAIMING
WAITING       in the queue, with watches set                 a change that makes it our turn: CLAIMING
CLAIMING      the transaction was sent                       it won: CONFIRMING; it did not: WAITING
CONFIRMING    the epoch is ours, the lease not yet           a lease: SYNCHRONISING
SYNCHRONISING ``on_elected`` runs                            it returned: PRIMARY; it failed or took too long: DEPOSING
PRIMARY       calls are served while the lease is valid      any reason to stop: DEPOSING
DEPOSING      the gate is shut, ``on_deposed`` runs          it returned: RESIGNING; too long: EXITING
RESIGNING     our nodes are being deleted                    done, or their session is: ENROLLING or IDLE
EXITING       the process must end                           never
============= ============================================== ==========================================================

Reasons to stop, from CONFIRMING on: the lease ended; the session is another; our candidate or the primary's node is not
ours any more; a higher epoch was seen; a hand-over or withdrawal. Losing the connection is none: every request waits
until it is back, the lease runs on, and afterwards all is looked at again because the watches are gone.

Every election has a fresh epoch. Only an epoch that was asked for and not given up since may be found to be ours.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from zkrpc.election.chronicle import Chronicle
from zkrpc.election.conversation import Conversation, Finished
from zkrpc.election.effects import (
    Answer,
    ClaimEpoch,
    Depose,
    Effect,
    Elect,
    ExitProcess,
    Failure,
    Reason,
    ReportWithdrawn,
    Request,
    Serve,
    StartHeartbeats,
    StopHeartbeats,
)
from zkrpc.election.fencing import Epoch
from zkrpc.election.lease import Lease
from zkrpc.election.procedures import (
    Ballot,
    Contested,
    Queued,
    Recorded,
    Resigned,
    Won,
    campaign,
    record_history,
    resign,
    verify,
)
from zkrpc.election.tree import ElectionPaths, candidate_id
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

# Seconds that a named heir may take to come and claim.
_HEIR_GRACE = 1.0
# Seconds until an instance stands again. Others in the queue go first anyway; after a hand-over they are busy electing,
# and somebody who enrols is in their way.
_PAUSES = {Reason.SYNCHRONISATION_FAILED: 1.0, Reason.HANDED_OVER: 0.15}


class ElectionState(enum.Enum):
    """See the module's table."""

    IDLE = "idle"
    ENROLLING = "enrolling"
    WAITING = "waiting"
    CLAIMING = "claiming"
    CONFIRMING = "confirming"
    SYNCHRONISING = "synchronising"
    PRIMARY = "primary"
    DEPOSING = "deposing"
    RESIGNING = "resigning"
    EXITING = "exiting"


_STANDING = (ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.CLAIMING)
_HOLDING = (ElectionState.CONFIRMING, ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
_WITHOUT_LEASE = (ElectionState.IDLE, ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.EXITING)
_LEADING = (ElectionState.SYNCHRONISING, ElectionState.PRIMARY)


class ElectionMachine:
    """One group's election, as one process takes part in it.

    ``unique`` is a text without a dot that no other process ever used. ``elected_timeout`` and ``deposed_timeout`` are
    the seconds that ``on_elected`` and ``on_deposed`` may take, ``audit_interval`` those between looks at what is ours.
    """

    def __init__(
        self,
        paths: ElectionPaths,
        *,
        instance: str,
        endpoint: Endpoint,
        unique: str,
        elected_timeout: float,
        deposed_timeout: float,
        audit_interval: float,
        rng: Callable[[], float],
    ) -> None:
        self.state = ElectionState.IDLE
        self._elected_timeout = elected_timeout
        self._deposed_timeout = deposed_timeout
        self._audit_interval = audit_interval
        self._rng = rng
        self._effects: list[Effect] = []
        self.conversation = Conversation(self._ask, rng)
        """What is being said to ZooKeeper, and why it last failed."""
        self.chronicle = Chronicle(paths.history, self._effects.append)
        """Who leads, as far as we know."""
        self._ballot = Ballot(
            paths=paths, candidate_id=candidate_id(instance, unique), instance=instance, endpoint=endpoint
        )
        self._wanted = False
        self._stale = False
        self._beating = False
        self._lease: Lease | None = None
        self._term: PrimaryRecord | None = None
        self._term_session = 0
        self._reason = Reason.WITHDRAWN
        self._heir = ""
        self._deadline: float | None = None
        self._look_at: float | None = None

    def __repr__(self) -> str:
        """State, epoch and what is going on."""
        epoch = f" epoch={self._term.epoch}" if self._term else ""
        return f"<ElectionMachine {self._ballot.paths.root} {self.state.value}{epoch} {self.conversation!r}>"

    def effects(self) -> list[Effect]:
        """What is to be done, each once, in this order."""
        effects = self._effects[:]
        self._effects.clear()
        return effects

    # Asked before every primary-only handler and before its reply

    def serving_epoch(self, now: float) -> Epoch | None:
        """The epoch to serve in; None if calls for the primary must not run here, or not any more."""
        return self.held_epoch(now) if self.state is ElectionState.PRIMARY else None

    def held_epoch(self, now: float) -> Epoch | None:
        """The epoch that is ours and under a valid lease, also while ``on_elected`` still runs."""
        term, lease = self._term, self._lease
        if term is None or lease is None or lease.session_id != self._term_session or not lease.is_valid(now):
            return None
        return term.epoch

    # What the application wants

    def campaign(self, now: float) -> None:
        """Take part from now on."""
        self._wanted = True
        if self.state is ElectionState.IDLE:
            self._become(ElectionState.ENROLLING)
        self._continue(now)

    def withdraw(self, now: float) -> None:
        """Take part no longer; hand over what is ours. ``ReportWithdrawn`` follows, at once if there is nothing."""
        self._wanted = False
        if self.state in _HOLDING:
            self._depose(Reason.WITHDRAWN, now)
        elif self.state in _STANDING:
            self.conversation.abandon()
            self._become(ElectionState.RESIGNING)
        if self.state is ElectionState.IDLE or (self.state is ElectionState.RESIGNING and not self._ballot.session_id):
            self._leave(now)
        self._continue(now)

    def step_down(self, now: float, heir: str = "") -> None:
        """If we lead: hand over, to the instance ``heir`` if it is in the queue, and enrol again at the queue's end."""
        if self.state in _HOLDING:
            self._heir = heir
            self._depose(Reason.HANDED_OVER, now)
        self._continue(now)

    # What happened

    def receive_connected(self, session_id: int, now: float) -> None:
        """Connected, in this session; to be told of every reconnect, because watches die with the connection."""
        if session_id != self._ballot.session_id:
            self._change_session(session_id, now)
        self.conversation.connect()
        self._stale = True
        self._continue(now)

    def receive_disconnected(self, now: float, *, lost: bool = False) -> None:
        """Not connected; ``lost`` if ZooKeeper said that the session has ended."""
        self.conversation.disconnect()
        if lost:
            self._change_session(0, now)

    def receive_lease(self, lease: Lease, now: float) -> None:
        """The process's heartbeat earned a lease."""
        self._lease = lease
        epoch = self.held_epoch(now)
        if self.state is ElectionState.CONFIRMING and epoch is not None:
            self._become(ElectionState.SYNCHRONISING)
            self._effects.append(Elect(epoch))

    def receive_change(self, now: float) -> None:
        """A watch fired."""
        self._stale = True
        self._continue(now)

    def receive_epoch(self, epoch: Epoch, now: float) -> None:
        """A store or a replica, which is trusted, has seen this epoch: ours is over if it is lower, and none at or
        below it is asked for again."""
        self._ballot.note(epoch)
        if self._term is not None and self.state in _HOLDING and epoch > self._term.epoch:
            self._depose(Reason.SUPERSEDED, now)
            self._continue(now)

    def receive_synchronised(self, epoch: Epoch, now: float, *, succeeded: bool = True) -> None:
        """``on_elected`` returned, or raised."""
        term = self._term
        if self.state is not ElectionState.SYNCHRONISING or term is None or term.epoch != epoch:
            return
        if succeeded:
            self._become(ElectionState.PRIMARY)
            self._deadline = None
            self._effects.append(Serve(epoch))
            self.chronicle.note(term, None)
            self.chronicle.report(term)
        else:
            self._depose(Reason.SYNCHRONISATION_FAILED, now)
        self._continue(now)

    def receive_deposed(self, epoch: Epoch, now: float) -> None:
        """``on_deposed`` returned, whether it succeeded or failed."""
        if self.state is ElectionState.DEPOSING and self._term is not None and self._term.epoch == epoch:
            self._deadline = None
            self._become(ElectionState.RESIGNING)
            if self._ballot.session_id != self._term_session:
                self._leave(now)
            self._continue(now)

    def receive_answer(self, answer: Answer | Failure, now: float) -> None:
        """The answer to the request that is out, or why there is none."""
        finished = self.conversation.receive_answer(answer, now)
        if finished is not None:
            self._conclude(finished, now)
        self._continue(now)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        lease_ends_at = self._lease.until if self._lease is not None and self.state in _LEADING else None
        times = (lease_ends_at, self._deadline, self._look_at, self.conversation.next_timer())
        return min((time for time in times if time is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Stops when the lease has ended or a limit has passed; looks again when it is time."""
        out_of_time = self._deadline is not None and now >= self._deadline
        if out_of_time and self.state is ElectionState.DEPOSING and self._term is not None:
            self._become(ElectionState.EXITING)
            self._deadline = None
            self._effects.append(ExitProcess(self._term.epoch))
        elif out_of_time:
            self._depose(Reason.SYNCHRONISATION_FAILED, now)
        elif self.state in _LEADING and self.held_epoch(now) is None:
            self._depose(Reason.LEASE_ENDED, now)
        if self._look_at is not None and now >= self._look_at:
            self._look_at = None
            self._stale = True
            self._ballot.patient = False
        self._continue(now)

    # The inside

    def _ask(self, request: Request) -> None:
        if isinstance(request, ClaimEpoch):
            self._become(ElectionState.CLAIMING)
        self._effects.append(request)

    def _become(self, state: ElectionState) -> None:
        """The only writer of the state. The lease is earned from the claim on, beside it, so that it costs no time."""
        self.state = state
        beating = state is ElectionState.CLAIMING or state in _HOLDING
        beating = beating or (self._beating and state not in _WITHOUT_LEASE)
        if beating != self._beating:
            self._beating = beating
            self._effects.append(StartHeartbeats() if beating else StopHeartbeats())

    def _continue(self, now: float) -> None:
        """Begins the conversation that the state calls for, if none is going on."""
        if not self.conversation.is_free(now):
            return
        line = self.chronicle.pending()
        due = self._stale or self.state in (ElectionState.ENROLLING, ElectionState.CLAIMING)
        if due and self.state in (*_STANDING, *_HOLDING):
            self._stale = False
            self._look_at = now + self._audit_interval * (0.8 + 0.4 * self._rng())
        if self.state is ElectionState.RESIGNING:
            self.conversation.begin(resign(self._ballot, heir=self._heir, handed_over=self._reason.is_voluntary))
        elif due and self.state in _STANDING:
            self.conversation.begin(campaign(self._ballot))
        elif due and self.state in _HOLDING and self._term is not None:
            self.conversation.begin(verify(self._ballot, self._term.epoch))
        elif line is not None and self.state not in (ElectionState.DEPOSING, ElectionState.EXITING):
            # Not while on_deposed runs: what comes right after it is what a successor waits for.
            self.conversation.begin(record_history(line))

    def _conclude(self, finished: Finished, now: float) -> None:
        """Acts on what a conversation came to."""
        match finished.value:
            case Contested():
                # No watch need be left of what was looked at, so nothing else would make us look again.
                self._stale = True
                self.conversation.pause_if_repeated(now)
                return
            case Won(epoch=epoch):
                # Nothing watches what is ours yet.
                self._stale = True
                self._term = self._ballot.primary_record(epoch)
                self._term_session = self._ballot.session_id
                self._deadline = now + self._elected_timeout
                self.chronicle.report(None)
                self._become(ElectionState.CONFIRMING)
                if self._lease is not None:
                    self.receive_lease(self._lease, now)
            case Queued(primary=record, for_heir=for_heir):
                self._become(ElectionState.WAITING)
                self._ballot.patient = self._ballot.patient or not for_heir
                self._look_at = now + _HEIR_GRACE if for_heir else self._look_at
                self.chronicle.report(record)
            case Resigned():
                self._leave(now)
            case Recorded(line=line):
                self.chronicle.strike(line)
            case False:
                self._depose(Reason.NODE_REMOVED, now)
        self.conversation.settle()

    def _depose(self, reason: Reason, now: float) -> None:
        """Ends our term: the gate is shut from here on, and our epoch can never be found to be ours again."""
        term = self._term
        assert term is not None
        self.conversation.abandon()
        self._ballot.pending = None
        self._reason = reason
        self._look_at = None
        if self.state is ElectionState.PRIMARY:
            self.chronicle.note(term, reason)
        if self.state is ElectionState.CONFIRMING:
            self._deadline = None
            self._become(ElectionState.RESIGNING)
        else:
            self._deadline = now + self._deposed_timeout
            self._effects.append(Depose(term.epoch, reason))
            self._become(ElectionState.DEPOSING)
        self.chronicle.report(None)

    def _change_session(self, session_id: int, now: float) -> None:
        """What an earlier session owned is not ours; it is gone, or will be without us."""
        self._ballot.session_id = session_id
        self._ballot.candidate = None
        self._ballot.epoch_version = None
        self._lease = None
        self.conversation.abandon()
        if self.state in _HOLDING:
            self._depose(Reason.SESSION_ENDED, now)
        if self.state is ElectionState.RESIGNING:
            self._leave(now)
        elif self.state in _STANDING:
            self._become(ElectionState.ENROLLING)

    def _leave(self, now: float) -> None:
        """Nothing is ours any more: begin again, or rest."""
        self.conversation.abandon()
        if self._reason in _PAUSES:
            self.conversation.pause(now, _PAUSES[self._reason])
        self._term = None
        self._ballot.pending = None
        self._ballot.candidate = None
        self._ballot.epoch_version = None
        self._heir = ""
        self._reason = Reason.WITHDRAWN
        self._become(ElectionState.ENROLLING if self._wanted else ElectionState.IDLE)
        if not self._wanted:
            self._look_at = None
            self._effects.append(ReportWithdrawn())
