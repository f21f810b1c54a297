"""What a candidate knows from one conversation with ZooKeeper to the next, and when it stands back or looks again.

It decides which node is ours and which epoch comes next, how long to stay out of the queue after a failure, when to
look again although nobody told us of a change, and whether this instance may stand at all. It asks nothing of anybody;
what it knows of time it is told.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable
from typing import Protocol

from zkrpc.election.effects import Node, Reason
from zkrpc.election.tree import ElectionPaths, EpochRecord, candidate_id
from zkrpc.endpoint import INCREDIBLE_EPOCH, NO_EPOCH, Endpoint, Epoch
from zkrpc.errors import RemoteProtocolError
from zkrpc.policies.backoff import Backoff
from zkrpc.registry.formats import PrimaryRecord

_CLOCKED_EPOCH = 10**12
"""Epochs from here on are times in milliseconds since 1970. An election below it was begun by a version that counted
from 1, and goes on counting by one."""
_REMEDY = "nobody can be elected until somebody deletes that node or puts it right"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Participant:
    """Which instance stands in which group's election."""

    paths: ElectionPaths
    instance: str
    """The worker id."""
    endpoint: Endpoint
    """Where calls for the primary go, as the registry lists this instance."""
    unique: str
    """A text without a dot that no other process ever used."""
    candidate_id: str = dataclasses.field(init=False)
    """Unique to this process and group, so that a candidate whose create had no answer is found again."""

    def __post_init__(self) -> None:
        """Makes the candidate id. Raises ConfigError if the instance and ``unique`` cannot be one."""
        object.__setattr__(self, "candidate_id", candidate_id(self.instance, self.unique))


@dataclasses.dataclass(slots=True, kw_only=True)
class CandidateState:
    """What a candidate knows of itself, from one conversation to the next."""

    participant: Participant
    session_id: int = 0
    candidate: str | None = None
    """The path of our candidate in this session, as far as we know."""
    pending: Epoch | None = None
    """The epoch last asked for and not given up since: the only one that a read may show to be ours."""
    enrolled_at: int = 0
    """Milliseconds since 1970, by ZooKeeper's clock, at which that candidate was made."""
    epoch_version: int | None = None
    """The epoch node's version as our successful claim left it, or as we found it since, with our epoch in it."""
    highest: Epoch = NO_EPOCH
    """No epoch at or below this is asked for: somebody has seen it, even if ZooKeeper has lost it."""
    patient: bool = True
    """Whether to let a named heir go first; False once it has had its time."""
    polite: bool = True
    """Whether to let those before us in the queue go first; False once they have had their time."""
    slow: bool = False
    """Whether the last answer took longer than a heartbeat may: who cannot keep a lease must not claim."""

    def is_ours(self, node: Node | None) -> bool:
        """True if the node lives with our session."""
        return node is not None and node.owner == self.session_id != 0

    def primary_record(self, epoch: Epoch) -> PrimaryRecord:
        """What we write into the primary's node."""
        return PrimaryRecord(epoch=epoch, instance=self.participant.instance, endpoint=self.participant.endpoint)

    def note(self, epoch: Epoch) -> None:
        """Remembers an epoch that somebody has seen, if it can be one."""
        if epoch < INCREDIBLE_EPOCH:
            self.highest = max(self.highest, epoch)

    def next_epoch(self) -> Epoch:
        """What to ask for: more than anybody is known to have seen, and than the time at which our candidate was made.

        The time is for those that nobody alive, no store and no node can tell of any more. Every way to lose an epoch,
        from a deleted node to a ZooKeeper that came back empty, loses the candidates too, so ours is younger than it.
        """
        counts_from_clock = self.highest == NO_EPOCH or self.highest >= _CLOCKED_EPOCH
        floor = self.enrolled_at if counts_from_clock and self.enrolled_at < INCREDIBLE_EPOCH else NO_EPOCH
        return max(self.highest, floor) + 1

    def read_or_refuse(self, node: Node) -> EpochRecord:
        """What the epoch's node says; it is remembered. Raises RemoteProtocolError, for people to read, if that is
        nothing from which an election could go on."""
        try:
            record = EpochRecord.parse_credible(node.value)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{self.participant.paths.epoch}: {error}; {_REMEDY}") from error
        self.note(record.epoch)
        return record

    def read(self, node: Node | None) -> EpochRecord | None:
        """What the epoch's node says, remembered; None if it is not there, or not fit to be read."""
        try:
            return None if node is None else self.read_or_refuse(node)
        except RemoteProtocolError:
            return None


# Others in the queue go first anyway. After a hand-over they are busy electing, and somebody who enrols is in their
# way. The longest are short enough that a service whose instances all were sick has a primary soon after they are well.
_PAUSES = {
    Reason.SYNCHRONISATION_FAILED: Backoff(first=1.0, longest=6.0),
    Reason.NO_LEASE: Backoff(first=1.0, longest=5.0),
    Reason.EPOCH_LOST: Backoff(first=0.05, longest=5.0),
    Reason.HANDED_OVER: Backoff(first=0.15, longest=0.15),
}


class CandidacyBackoff:
    """How long an instance stays out of the queue after it gave something up, so that others go first.

    The longer, the more often in a row it has failed at the same thing; one success, and the next failure is a first
    one. ``rng`` gives floats in [0, 1).
    """

    def __init__(self, rng: Callable[[], float]) -> None:
        self.until: float | None = None
        """When it is over; None if there is none."""
        self._rng = rng
        self._failures: Counter[Reason] = Counter()

    def __repr__(self) -> str:
        """Until when, and how often in a row each reason has come."""
        failures = {reason.value: times for reason, times in self._failures.items()}
        return f"<CandidacyBackoff until={self.until} {failures}>"

    def begin(self, reason: Reason, now: float) -> None:
        """Stays out of the queue from now on, if something given up for this reason calls for it."""
        pause = _PAUSES.get(reason)
        if pause is not None:
            self.until = now + pause.bound(self._failures[reason]) * (0.5 + 0.5 * self._rng())
            self._failures[reason] += 1

    def times(self, reason: Reason) -> int:
        """How often in a row it was this reason."""
        return self._failures[reason]

    def forgive(self, reason: Reason) -> None:
        """Ends the row of failures for this reason: the next one counts as the first."""
        del self._failures[reason]

    def lasts(self, now: float) -> bool:
        """Whether to stay out of the queue."""
        return self.until is not None and now < self.until

    def handle_timer(self, now: float) -> None:
        """Forgets what is over, so that nobody is woken for it again."""
        if not self.lasts(now):
            self.until = None


# Seconds that a named heir may take to come and claim.
_HEIR_GRACE = 1.0
# Of the time that those before us have to claim: what each of them adds, so that not all lose patience together.
_TURN = 0.25


class LookTimer:
    """When a candidate, or a primary, looks again although nobody told it that something has changed.

    Once in a while in any case, as an audit; and while nobody leads and it is another's turn, when that one has had its
    time. ``audit_interval`` is in seconds; ``rng`` gives floats in [0, 1).
    """

    def __init__(self, audit_interval: float, rng: Callable[[], float]) -> None:
        self.at: float | None = None
        """When to look; None if there is nothing to look at."""
        self._audit_interval = audit_interval
        self._rng = rng
        self._awaits_turn = False

    def __repr__(self) -> str:
        """When to look, and whether another's turn is waited for."""
        return f"<LookTimer at={self.at} awaits_turn={self._awaits_turn}>"

    def begin(self, now: float) -> None:
        """A look has begun; the next one is an audit, unless ``wait`` sets an earlier time."""
        self.at = now + self._audit_interval * (0.8 + 0.4 * self._rng())

    def end(self) -> None:
        """Nothing is to be looked at until ``begin``."""
        self.at = None

    def wait(self, candidacy: CandidateState, now: float, *, for_heir: bool, place: int, patience: float) -> None:
        """Says for whom we wait: for the named heir, or for the ``place`` candidates before us, who have ``patience``
        seconds to claim; or, with neither, for the primary to go, after which those before us have all that time."""
        candidacy.patient = candidacy.patient or not for_heir
        candidacy.polite = True
        self._awaits_turn = place > 0 and not for_heir
        if for_heir:
            self.at = now + _HEIR_GRACE
        elif place:
            self.at = now + patience * (1 + _TURN * place)

    def is_over(self, candidacy: CandidateState, now: float) -> bool:
        """Whether it is time to look. If so, we no longer let those go first for whom we waited."""
        if self.at is None or now < self.at:
            return False
        self.at = None
        candidacy.patient = False
        candidacy.polite = not self._awaits_turn
        return True


_MISSING_GRACE = 2.0
"""Seconds that our node may be missing without anybody else's being there: somebody deleted it, and it comes back."""


class Membership(Protocol):
    """Our place in the registry, as a campaign sees it."""

    @property
    def registered_in(self) -> int | None:
        """The session that our node lives with; None while it is not there."""

    @property
    def conflict(self) -> str | None:
        """Who holds our node, while somebody else does."""


class Eligibility:
    """Whether to stand now: only an instance that callers find in the registry can serve them."""

    def __init__(self) -> None:
        self.may_stand = False
        self._session_id: int | None = None
        self._missing_since: float | None = None

    def __repr__(self) -> str:
        """Whether it may, and since when our node has been missing."""
        return f"<Eligibility may_stand={self.may_stand} missing_since={self._missing_since}>"

    def observe(self, membership: Membership, session_id: int | None, now: float) -> None:
        """Takes in what the registry says of us, while we have this session.

        After a new session we must be registered anew, and a node that somebody else holds ends it at once. Without a
        session nothing new is known and ``may_stand`` stays; a node that is missing cannot come back then, so its time
        begins anew afterwards.
        """
        if session_id is None:
            self._missing_since = None
            return
        if membership.registered_in == session_id:
            self.may_stand, self._session_id, self._missing_since = True, session_id, None
        elif membership.conflict is not None or session_id != self._session_id:
            self.may_stand, self._missing_since = False, None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since >= _MISSING_GRACE:
            self.may_stand = False

    def next_timer(self) -> float | None:
        """When to observe again even if nothing has changed."""
        return self._missing_since + _MISSING_GRACE if self.may_stand and self._missing_since is not None else None
