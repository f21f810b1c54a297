"""What an election wants done: values with imperative names. They do nothing and know nothing of who does them.

Two kinds. A *request* talks to ZooKeeper; there is at most one at a time, and it is answered by exactly one
``receive_answer``, with a RequestFailure if there is no result. An *order* is for the process itself; orders are
executed at once, in the order given, also while a request is out.

A request belongs to the session that the machine was last told of. The shell compares the session's id before it sends
(another: NOT_SENT) and after the answer (another: UNKNOWN). Being told of a change needs no name: every watch ends in
``receive_change``.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeAlias

from zkrpc.endpoint import Epoch
from zkrpc.registry.formats import PrimaryRecord


class RequestFailure(enum.Enum):
    """Why a request has no answer, as far as it matters."""

    NOT_SENT = "not sent"
    """SessionSuspended."""
    UNKNOWN = "no answer"
    """OutcomeUnknown: it may have happened, or happen yet."""
    SESSION_ENDED = "the session ended"
    """SessionLost."""
    MISSING = "no such node"
    """NodeMissing; nothing was changed."""
    EXISTS = "the node exists"
    """NodeExists; nothing was changed."""
    CONFLICT = "another version"
    """VersionConflict; nothing was changed."""
    OTHER = "refused"
    """Any other CoordinationError."""


class Reason(enum.Enum):
    """Why a primary no longer is one; the values are what the history shows."""

    LEASE_ENDED = "lease ended"
    SESSION_ENDED = "session ended"
    NODE_REMOVED = "its node was removed"
    SUPERSEDED = "a higher epoch was seen"
    HANDED_OVER = "handed over"
    WITHDRAWN = "withdrawn"
    SYNCHRONISATION_FAILED = "synchronisation failed"
    NO_LEASE = "no lease in time"
    """It had the epoch, and could not have a heartbeat committed, or knew that it could not: it never led."""
    EPOCH_LOST = "the epoch's node was changed"
    UNLISTED = "its registration was lost"

    @property
    def is_voluntary(self) -> bool:
        """True for leaving on purpose, with a tombstone."""
        return self in (Reason.HANDED_OVER, Reason.WITHDRAWN, Reason.UNLISTED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """What a read saw of a node."""

    owner: int
    """The session it lives with; 0 for a persistent node."""
    version: int = 0
    value: bytes = b""
    made_at: int = 0
    """Milliseconds since 1970, by ZooKeeper's clock, at which it was made; known of candidates only."""


# Requests


@dataclasses.dataclass(frozen=True, slots=True)
class MakeParents:
    """Create the persistent nodes of this election as far as they are missing: the root, the candidates' parent."""

    root: str
    candidates: str


@dataclasses.dataclass(frozen=True, slots=True)
class ListCandidates:
    """List the children; the answer is their names as a tuple, None if there is no such node. No watch: the whole queue
    would be woken by every change."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class CreateCandidate:
    """Create an ephemeral sequential node; its path is of no interest. Never repeated without a list in between,
    because a lost reply would make two."""

    prefix: str
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class InspectCandidate:
    """Look whether the node exists, and watch it; the answer is a Node without its value, or None."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteCandidate:
    """Delete a candidate of ours. Must be done before the primary node is looked for in order to give it up: afterwards
    no claim that is still on its way can succeed."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class WatchPredecessor:
    """Like InspectCandidate, for the candidate before ours: its going is what we wait for."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReadPrimary:
    """Read the primary's node and watch it, also if it is not there; the answer is a Node or None."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReadEpoch:
    """Read the epoch's node, and watch it if it is there; the answer is a Node or None. Must come after the read that
    found no primary, and before the claim that relies on its version. Claims change it together with the primary's
    node, so its watch wakes nobody whom that one's does not."""

    path: str


Read: TypeAlias = ListCandidates | InspectCandidate | WatchPredecessor | ReadPrimary | ReadEpoch


@dataclasses.dataclass(frozen=True, slots=True)
class Together:
    """Several reads at once, sent in this order without waiting in between; the answer is a tuple of theirs.

    One round trip instead of many, where a successor is waited for. If one of them fails, all have.
    """

    reads: tuple[Read, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CreateEpoch:
    """Create the persistent epoch node; done once in a group's life, and again by whoever finds it gone."""

    path: str
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimEpoch:
    """One transaction, in this order: check ``candidate``, create ``primary`` ephemeral, set ``epoch`` at ``version``.

    All of it or nothing: the check keeps out a session that has ended, the create a second primary, the version a
    second claim of the same epoch. Success is not believed either: all three nodes are read afterwards.
    """

    candidate: str
    primary: str
    primary_value: bytes
    epoch: str
    epoch_value: bytes
    version: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseEpoch:
    """One transaction: set ``epoch`` (the tombstone) at ``version``, delete ``primary``, delete ``candidate`` if given.

    Asked for only when ``on_deposed`` has returned. The version is what proves that the primary's node is still ours:
    nobody else's can be there without the epoch having moved.
    """

    primary: str
    epoch: str
    epoch_value: bytes
    version: int
    candidate: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RaiseEpoch:
    """Set ``epoch`` at ``version``, because we know of a higher one than it says: ZooKeeper has forgotten some. Whoever
    leads in a lower one stops over it, and the next claim is above it."""

    epoch: str
    epoch_value: bytes
    version: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordTrouble:
    """Write why this instance cannot lead into an ephemeral node of its own, with its parent if that is missing; delete
    the node if ``value`` is None. For people only."""

    path: str
    value: bytes | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecordHistory:
    """Read the history, apply ``history.record_began`` (no reason) or ``history.record_ended`` with the wall clock, and
    write it at the version read. For people only, so it comes after everything else."""

    path: str
    record: PrimaryRecord
    reason: Reason | None


ElectionRequest: TypeAlias = (
    Read
    | Together
    | MakeParents
    | CreateCandidate
    | DeleteCandidate
    | CreateEpoch
    | ClaimEpoch
    | ReleaseEpoch
    | RaiseEpoch
    | RecordTrouble
    | RecordHistory
)
ElectionAnswer: TypeAlias = tuple[Any, ...] | Node | None
"""Names, or a node; None for "not there", and for every write; several of these for Together."""


# Orders


@dataclasses.dataclass(frozen=True, slots=True)
class StartHeartbeats:
    """This group needs the lease: tell the process's HeartbeatMachine (``lead``), and pass every lease on to us."""


@dataclasses.dataclass(frozen=True, slots=True)
class StopHeartbeats:
    """This group needs the lease no longer (``rest``)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Elect:
    """Run ``on_elected`` in a greenlet of its own, then say ``receive_synchronised``.

    Until Serve, calls for the primary wait: what was written in earlier epochs may not be loaded yet.
    """

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class Serve:
    """Let waiting calls go. Each one still asks ``serving_epoch`` before the handler and before the reply."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class Depose:
    """In this order: end ``on_elected`` if it still runs, run ``on_deposed``, then say ``receive_deposed``.

    From here on ``serving_epoch`` is None already. The primary's node is given up only after ``receive_deposed``, so a
    successor cannot begin before this one has stopped, as long as the session lives.
    """

    epoch: Epoch
    reason: Reason


@dataclasses.dataclass(frozen=True, slots=True)
class ExitProcess:
    """``on_deposed`` did not return in time: end the process without cleaning up. Only the end of the process, seen by
    ``waitpid`` or by the session's timeout, may now make room for a successor."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class ReportPrimary:
    """Tell people and callers who leads now, as far as we know; None while nobody does."""

    record: PrimaryRecord | None


@dataclasses.dataclass(frozen=True, slots=True)
class ReportCandidacyEnded:
    """We own nothing of this election any more, or could not find out in a session that has since ended."""


Order: TypeAlias = (
    StartHeartbeats | StopHeartbeats | Elect | Serve | Depose | ExitProcess | ReportPrimary | ReportCandidacyEnded
)
Effect: TypeAlias = ElectionRequest | Order
