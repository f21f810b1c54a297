"""The effects of an election's machine: plain values with imperative names.

There are two kinds. A *request* goes to ZooKeeper; there is at most one at a time, and it is answered by exactly one
``receive_answer``, with a RequestFailure if there is no result. An *order* is for the process itself; orders are
executed at once and in sequence, also while a request is outstanding.

A request belongs to the session of the last ``receive_connected``. The shell compares the session's id before it sends
(another: NOT_SENT) and after the answer (another: UNKNOWN). Watches are not told apart: each that fires leads to
``receive_change``.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, TypeAlias

from zkrpc.endpoint import Epoch
from zkrpc.registry.formats import PrimaryRecord


class RequestFailure(enum.Enum):
    """Why a request has no answer, as far as procedures distinguish it."""

    NOT_SENT = "not sent"
    """SessionSuspended."""
    UNKNOWN = "no answer"
    """OutcomeUnknown: it may have been carried out, or may be later."""
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
    """Why a primary no longer is one; the values appear in the history."""

    LEASE_ENDED = "lease ended"
    SESSION_ENDED = "session ended"
    NODE_REMOVED = "its node was removed"
    SUPERSEDED = "a higher epoch was seen"
    HANDED_OVER = "handed over"
    WITHDRAWN = "withdrawn"
    SYNCHRONISATION_FAILED = "synchronisation failed"
    NO_LEASE = "no lease in time"
    """It never served: it had the epoch or was about to claim it, but its heartbeats were, or would be, committed too
    late."""
    EPOCH_LOST = "the epoch's node was changed"
    UNLISTED = "its registration was lost"

    @property
    def is_voluntary(self) -> bool:
        """True for leaving on purpose, with a tombstone."""
        return self in (Reason.HANDED_OVER, Reason.WITHDRAWN, Reason.UNLISTED)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """A node as it was read."""

    owner: int
    """The session that owns it; 0 for a persistent node."""
    version: int = 0
    value: bytes = b""
    made_at: int = 0
    """Milliseconds since 1970, by ZooKeeper's clock, at which it was created; set for candidates only."""


# Requests


@dataclasses.dataclass(frozen=True, slots=True)
class MakeParents:
    """Create the persistent nodes of this election as far as they are missing: the root, and the candidates' parent."""

    root: str
    candidates: str


@dataclasses.dataclass(frozen=True, slots=True)
class ListCandidates:
    """List the children; the answer is their names as a tuple, None if there is no such node. It sets no watch, as
    every change would wake the whole queue."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class CreateCandidate:
    """Create an ephemeral sequential node; its path is not used. Never repeated without a list in between, because
    after a lost reply there would be two."""

    prefix: str
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class InspectCandidate:
    """Check whether the node exists, and watch it; the answer is a Node without its value, or None."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteCandidate:
    """Delete a candidate of ours. Must be done before the primary's node is read in order to give it up, because
    afterwards no claim that is still on its way can succeed."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class WatchPredecessor:
    """Like InspectCandidate, for the candidate before ours, whose deletion is waited for."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReadPrimary:
    """Read the primary's node and watch it, even if it does not exist; the answer is a Node or None."""

    path: str


@dataclasses.dataclass(frozen=True, slots=True)
class ReadEpoch:
    """Read the epoch's node, and watch it if it exists; the answer is a Node or None. Must come after the read that
    found no primary, and before the claim that uses its version. Claims change it together with the primary's node, so
    this watch causes no more wake-ups than that node's."""

    path: str


Read: TypeAlias = ListCandidates | InspectCandidate | WatchPredecessor | ReadPrimary | ReadEpoch


@dataclasses.dataclass(frozen=True, slots=True)
class Together:
    """Several reads, sent in this order without waiting in between; the answer is a tuple of their answers.

    That takes one round trip instead of many while calls wait for a successor. If one of them fails, all count as
    failed.
    """

    reads: tuple[Read, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class CreateEpoch:
    """Create the persistent epoch node: once per group, and again if it was deleted."""

    path: str
    value: bytes


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimEpoch:
    """One transaction, in this order: check ``candidate``, create ``primary`` ephemeral, set ``epoch`` at ``version``.

    The check fails for a session that has ended, the create if there is a primary, the version for a second claim of
    the same epoch. All three nodes are read again after success.
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

    Issued only after ``on_deposed`` has returned. The version proves that the primary's node is still ours: another
    instance's claim would have changed it.
    """

    primary: str
    epoch: str
    epoch_value: bytes
    version: int
    candidate: str | None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RaiseEpoch:
    """Set ``epoch`` at ``version``, because a higher epoch is known than the node has: ZooKeeper has lost some. A
    primary of a lower epoch stops because of that, and the next claim is above it."""

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
"""Names, or a node; None for "no such node", and for every write; a tuple of answers for Together."""


# Orders


@dataclasses.dataclass(frozen=True, slots=True)
class StartHeartbeats:
    """This group needs the lease: call ``lead`` of the process's HeartbeatMachine, and pass every lease to
    ``receive_lease``."""


@dataclasses.dataclass(frozen=True, slots=True)
class StopHeartbeats:
    """This group no longer needs the lease (``rest``)."""


@dataclasses.dataclass(frozen=True, slots=True)
class Elect:
    """Run ``on_elected`` in a greenlet of its own, then call ``receive_synchronised``.

    Until Serve, calls for the primary wait, as the writes of earlier epochs may not be loaded yet.
    """

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class Serve:
    """Let waiting calls run. Each still checks the epoch before the handler and before the reply."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class Depose:
    """In this order: end ``on_elected`` if it still runs, run ``on_deposed``, then call ``receive_deposed``.

    ``serving_epoch`` is None from this effect on. The primary's node is given up only after ``receive_deposed``, so a
    successor cannot begin before this one has stopped, as long as the session lives.
    """

    epoch: Epoch
    reason: Reason


@dataclasses.dataclass(frozen=True, slots=True)
class ExitProcess:
    """``on_deposed`` did not return in time: end the process without cleaning up. A successor may begin only when the
    process is known to have ended, by ``waitpid`` or by the session's timeout."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True)
class ReportPrimary:
    """Tell people and callers which instance is the primary, as far as is known; None while there is none."""

    record: PrimaryRecord | None


@dataclasses.dataclass(frozen=True, slots=True)
class ReportCandidacyEnded:
    """This instance has no nodes in this election any more, or the session that owned them has ended."""


Order: TypeAlias = (
    StartHeartbeats | StopHeartbeats | Elect | Serve | Depose | ExitProcess | ReportPrimary | ReportCandidacyEnded
)
Effect: TypeAlias = ElectionRequest | Order
