"""What a candidate keeps from one conversation with ZooKeeper to the next, and when it stands back or reads again.

This module decides which node is ours and which epoch comes next, how long to stay out of the queue after a failure,
when to read again although no watch fired, and whether this instance may be a candidate at all. Pure: it sends no
requests, and is given the time.
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
"""Epochs from here on are times in milliseconds since 1970. An election below that was begun by a version that counted
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
    """What a candidate keeps from one conversation to the next."""

    participant: Participant
    session_id: int = 0
    candidate: str | None = None
    """The path of our candidate in this session, as far as is known."""
    pending: Epoch | None = None
    """The epoch that was claimed last and not given up since: the only one that a read may show to be ours."""
    enrolled_at: int = 0
    """Milliseconds since 1970, by ZooKeeper's clock, at which our candidate was created."""
    epoch_version: int | None = None
    """The epoch node's version with our epoch in it: from our successful claim, or as it was read since."""
    highest: Epoch = NO_EPOCH
    """The highest epoch that is known to have been used, even if ZooKeeper has lost it. Claims are above it."""
    patient: bool = True
    """Whether a named heir goes first; False once it has had its time."""
    polite: bool = True
    """Whether the candidates before ours go first; False once they have had their time."""
    slow: bool = False
    """Whether the last answer took longer than a heartbeat may. If so there would be no lease, so this instance must
    not claim."""

    def is_ours(self, node: Node | None) -> bool:
        """True if our session owns the node."""
        return node is not None and node.owner == self.session_id != 0

    def primary_record(self, epoch: Epoch) -> PrimaryRecord:
        """Our record for the primary's node."""
        return PrimaryRecord(epoch=epoch, instance=self.participant.instance, endpoint=self.participant.endpoint)

    def note(self, epoch: Epoch) -> None:
        """Remembers an epoch that was seen, if it is plausible."""
        if epoch < INCREDIBLE_EPOCH:
            self.highest = max(self.highest, epoch)

    def next_epoch(self) -> Epoch:
        """The epoch to claim: above every epoch that is known, and above the time at which our candidate was created.

        The time covers epochs of which no process, store or node knows any more. Every loss of an epoch, from a deleted
        node to a ZooKeeper that came back empty, also loses the candidates, so ours was created after that epoch.
        """
        counts_from_clock = self.highest == NO_EPOCH or self.highest >= _CLOCKED_EPOCH
        floor = self.enrolled_at if counts_from_clock and self.enrolled_at < INCREDIBLE_EPOCH else NO_EPOCH
        return max(self.highest, floor) + 1

    def read_or_refuse(self, node: Node) -> EpochRecord:
        """Parses the epoch's node, and remembers the epoch. Raises RemoteProtocolError, with a text for people, if it
        cannot be parsed or is not plausible."""
        try:
            record = EpochRecord.parse_credible(node.value)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{self.participant.paths.epoch}: {error}; {_REMEDY}") from error
        self.note(record.epoch)
        return record

    def read(self, node: Node | None) -> EpochRecord | None:
        """Like :meth:`read_or_refuse`, but returns None for a node that is missing or cannot be used."""
        try:
            return None if node is None else self.read_or_refuse(node)
        except RemoteProtocolError:
            return None


# Others in the queue go first anyway. After a hand-over an instance that enrols at once would only disturb the election
# that is going on. The longest pauses are short enough that a service whose instances all failed has a primary soon
# after they have recovered.
_PAUSES = {
    Reason.SYNCHRONISATION_FAILED: Backoff(first=1.0, longest=6.0),
    Reason.NO_LEASE: Backoff(first=1.0, longest=5.0),
    Reason.EPOCH_LOST: Backoff(first=0.05, longest=5.0),
    Reason.HANDED_OVER: Backoff(first=0.15, longest=0.15),
}


class CandidacyBackoff:
    """How long an instance stays out of the queue after it gave up a term or a claim, so that others go first.

    The pause grows with each failure in a row for the same reason, and starts anew after a success. ``rng`` gives
    floats in [0, 1).
    """

    def __init__(self, rng: Callable[[], float]) -> None:
        self.until: float | None = None
        """When the pause is over; None if there is none."""
        self._rng = rng
        self._failures: Counter[Reason] = Counter()

    def __repr__(self) -> str:
        """The end of the pause, and how often in a row each reason occurred."""
        failures = {reason.value: times for reason, times in self._failures.items()}
        return f"<CandidacyBackoff until={self.until} {failures}>"

    def begin(self, reason: Reason, now: float) -> None:
        """Begins a pause after giving up for this reason, if the reason has one."""
        pause = _PAUSES.get(reason)
        if pause is not None:
            self.until = now + pause.bound(self._failures[reason]) * (0.5 + 0.5 * self._rng())
            self._failures[reason] += 1

    def times(self, reason: Reason) -> int:
        """How often in a row this reason occurred."""
        return self._failures[reason]

    def forgive(self, reason: Reason) -> None:
        """Resets the count for this reason: the next failure counts as the first."""
        del self._failures[reason]

    def lasts(self, now: float) -> bool:
        """Whether the pause still lasts."""
        return self.until is not None and now < self.until

    def handle_timer(self, now: float) -> None:
        """Forgets a pause that is over, so that its timer does not fire again."""
        if not self.lasts(now):
            self.until = None


# Seconds that a named heir may take to claim.
_HEIR_GRACE = 1.0
# How much each candidate before ours adds to the time to wait, as a part of it, so that not all candidates claim at
# once.
_TURN = 0.25


class LookTimer:
    """When a candidate, or a primary, reads again although no watch has fired.

    That is once in a while, as an audit; and while there is no primary and it is another candidate's turn, when that
    one has had its time. ``audit_interval`` is in seconds; ``rng`` gives floats in [0, 1).
    """

    def __init__(self, audit_interval: float, rng: Callable[[], float]) -> None:
        self.at: float | None = None
        """When to read again; None if there is nothing to read."""
        self._audit_interval = audit_interval
        self._rng = rng
        self._awaits_turn = False

    def __repr__(self) -> str:
        """When to read again, and whether it waits for another candidate's turn."""
        return f"<LookTimer at={self.at} awaits_turn={self._awaits_turn}>"

    def begin(self, now: float) -> None:
        """A read has begun; the next one is an audit, unless ``wait`` sets an earlier time."""
        self.at = now + self._audit_interval * (0.8 + 0.4 * self._rng())

    def end(self) -> None:
        """Nothing is to be read until ``begin``."""
        self.at = None

    def wait(self, candidacy: CandidateState, now: float, *, for_heir: bool, place: int, patience: float) -> None:
        """Sets what is waited for: the named heir; or the ``place`` candidates before ours, which have ``patience``
        seconds to claim; or, with neither, the end of the primary, after which those candidates have all that time."""
        candidacy.patient = candidacy.patient or not for_heir
        candidacy.polite = True
        self._awaits_turn = place > 0 and not for_heir
        if for_heir:
            self.at = now + _HEIR_GRACE
        elif place:
            self.at = now + patience * (1 + _TURN * place)

    def is_over(self, candidacy: CandidateState, now: float) -> bool:
        """Whether it is time to read again. If so, those that were waited for no longer go first."""
        if self.at is None or now < self.at:
            return False
        self.at = None
        candidacy.patient = False
        candidacy.polite = not self._awaits_turn
        return True


_MISSING_GRACE = 2.0
"""Seconds for which our registration may be missing without a conflict: if it was deleted by hand, it comes back."""


class Membership(Protocol):
    """The registration of this instance, as a campaign uses it."""

    @property
    def registered_in(self) -> int | None:
        """The id of the session that owns the registered node; None while there is none."""

    @property
    def conflict(self) -> str | None:
        """A description of the holder of our node, while the node is not ours."""


class Eligibility:
    """Whether this instance may be a candidate: only while it is registered, as callers find a primary through the
    registry."""

    def __init__(self) -> None:
        self.may_stand = False
        self._session_id: int | None = None
        self._missing_since: float | None = None

    def __repr__(self) -> str:
        """Whether it may be a candidate, and since when its registration has been missing."""
        return f"<Eligibility may_stand={self.may_stand} missing_since={self._missing_since}>"

    def observe(self, membership: Membership, session_id: int | None, now: float) -> None:
        """Takes in the state of the registration, and the session that is connected, if any.

        A new session needs a new registration, and a conflict ends ``may_stand`` at once. Without a session nothing new
        is known and ``may_stand`` stays; a node that is missing cannot come back then, so its time begins anew
        afterwards.
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
