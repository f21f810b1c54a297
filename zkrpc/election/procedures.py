"""The conversations with ZooKeeper: each one a generator that yields a request and is sent its answer.

They know what to ask next; they refuse to know when to begin, what a result means for the application, and time. Any of
them may be abandoned between two requests: nothing is remembered that a fresh start does not read again, except what
:class:`Ballot` holds. A refusal or a missing answer is thrown in as :class:`RequestFailed`; what a procedure does not
handle ends it, and it is begun again later.

Whose node is it? ``ephemeralOwner`` decides, never a name: a node that our earlier session made carries our name too,
and belongs to nobody who is alive (kazoo's lock and Curator's latch each had two leaders over this, CURATOR-696).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from zkrpc.election.effects import (
    Answer,
    ClaimEpoch,
    CreateCandidate,
    CreateEpoch,
    DeleteCandidate,
    Failure,
    InspectCandidate,
    ListCandidates,
    MakeParents,
    Node,
    ReadEpoch,
    ReadPrimary,
    RecordHistory,
    ReleaseEpoch,
    Request,
    Together,
    WatchPredecessor,
)
from zkrpc.election.fencing import Epoch
from zkrpc.election.tree import ElectionPaths, EpochRecord, candidate_id_of, instance_of, queue
from zkrpc.endpoint import NO_EPOCH, Endpoint
from zkrpc.registry.formats import PrimaryRecord

Result = TypeVar("Result")
Procedure: TypeAlias = Generator[Request, Answer, Result]

_REFUSALS = (Failure.MISSING, Failure.EXISTS, Failure.CONFLICT)


class RequestFailed(Exception):
    """Thrown into a procedure: the request has no answer, or was refused."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclasses.dataclass(slots=True, kw_only=True)
class Ballot:
    """What a candidate knows of itself, from one conversation to the next."""

    paths: ElectionPaths
    candidate_id: str
    """Unique to this process and group, so that a candidate whose create had no answer is found again."""
    instance: str
    endpoint: Endpoint
    session_id: int = 0
    candidate: str | None = None
    """The path of our candidate in this session, as far as we know."""
    pending: Epoch | None = None
    """The epoch last asked for and not given up since: the only one that a read may show to be ours."""
    epoch_version: int | None = None
    """The epoch node's version as our successful claim left it."""
    highest: Epoch = NO_EPOCH
    """No epoch at or below this is asked for: somebody has seen it, even if ZooKeeper has lost it."""
    patient: bool = True
    """Whether to let a named heir go first; False once it has had its time."""

    def is_ours(self, node: Node | None) -> bool:
        """True if the node lives with our session."""
        return node is not None and node.owner == self.session_id != 0

    def primary_record(self, epoch: Epoch) -> PrimaryRecord:
        """What we write into the primary's node."""
        return PrimaryRecord(epoch=epoch, instance=self.instance, endpoint=self.endpoint)

    def note(self, epoch: Epoch) -> None:
        """Remembers an epoch that somebody has seen."""
        self.highest = max(self.highest, epoch)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """The primary's node is ours, with the epoch that we asked for."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """We wait, and watch what we wait for."""

    primary: PrimaryRecord | None = None
    for_heir: bool = False
    """We could claim, but another was named: claim if it has not come in time."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """Something changed while we looked; look again, soon."""


@dataclasses.dataclass(frozen=True, slots=True)
class Resigned:
    """Nothing of this election is ours."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """The history has this line, or will never have it."""

    line: RecordHistory


def campaign(ballot: Ballot) -> Procedure[Won | Queued | Contested]:
    """Enrols if need be, and claims the epoch if it is our turn."""
    if ballot.candidate is not None:
        return (yield from _look_again(ballot, ballot.candidate))
    return (yield from _enrol(ballot))


def _enrol(ballot: Ballot) -> Procedure[Won | Queued | Contested]:
    """What ``campaign`` does when no candidate of ours is known: step by step, as one depends on the other."""
    names = yield from _enrolled(ballot)
    if ballot.candidate is None:
        return Contested()
    own = names.index(_name(ballot.candidate))
    if own and (yield WatchPredecessor(ballot.paths.candidate(names[own - 1]))) is None:
        return Contested()
    primary = yield from read_primary(ballot)
    if primary is not None:
        return (yield from _wait_for(ballot, primary))
    return (yield from _claim_in_turn(ballot, names))


def _look_again(ballot: Ballot, candidate: str) -> Procedure[Won | Queued | Contested]:
    """What ``campaign`` does when our candidate is known: it reads all at once, since somebody may be waiting."""
    paths = ballot.paths
    reads = (
        ListCandidates(paths.candidates),
        InspectCandidate(candidate),
        ReadPrimary(paths.primary),
        ReadEpoch(paths.epoch),
    )
    answers: Any = yield Together(reads)
    listed, own, primary, epoch = answers
    names = queue(_names(listed or ()))
    ours = [name for name in names if candidate_id_of(name) == ballot.candidate_id]
    if not ballot.is_ours(own) or ours != [_name(candidate)]:
        # Gone, or one too many: enrolling puts it in order.
        ballot.candidate = None
        return Contested()
    place = names.index(ours[0])
    if place and (yield WatchPredecessor(paths.candidate(names[place - 1]))) is None:
        return Contested()
    if primary is not None:
        return (yield from _wait_for(ballot, primary))
    if epoch is None:
        return (yield from _claim_in_turn(ballot, names))
    return (yield from _claim_if_next(ballot, names, epoch, _noted(ballot, epoch)))


def _enrolled(ballot: Ballot) -> Procedure[list[str]]:
    """The queue; ``ballot.candidate`` is in it and ours, or None if it was not there a moment ago."""
    paths = ballot.paths
    ballot.candidate = None
    listed = yield ListCandidates(paths.candidates)
    if listed is None:
        yield MakeParents(paths.root, paths.candidates)
        listed = ()
    names = queue(_names(listed))
    for name in names:
        if candidate_id_of(name) != ballot.candidate_id:
            continue
        seen = yield InspectCandidate(paths.candidate(name))
        if not ballot.is_ours(_node(seen)):
            continue
        if ballot.candidate is None:
            ballot.candidate = paths.candidate(name)
        else:
            yield from delete_candidate(paths.candidate(name))
    if ballot.candidate is None:
        yield CreateCandidate(paths.candidate_prefix(ballot.candidate_id), ballot.instance.encode())
    return names


def _wait_for(ballot: Ballot, primary: Node) -> Procedure[Won | Queued | Contested]:
    """Somebody's primary node is there: a claim of ours that we had no answer to, a leftover of ours, or another's."""
    record = PrimaryRecord.parse(primary.value)
    if record is not None:
        ballot.note(record.epoch)
    if not ballot.is_ours(primary):
        return Queued(primary=record)
    if record is not None and record.epoch == ballot.pending:
        return Won(epoch=record.epoch)
    yield from _release(ballot, heir="", handed_over=False)
    return Contested()


def _claim_in_turn(ballot: Ballot, names: list[str]) -> Procedure[Won | Queued | Contested]:
    """Nobody leads: read the epoch, and claim it if we are next."""
    node, record = yield from _read_epoch(ballot)
    return (yield from _claim_if_next(ballot, names, node, record))


def _claim_if_next(
    ballot: Ballot, names: list[str], node: Node, record: EpochRecord
) -> Procedure[Won | Queued | Contested]:
    """Claim, if we are first or the named heir."""
    heir_waits = record.handed_over and record.heir in map(instance_of, names)
    named = record.heir if heir_waits and ballot.patient else ""
    first = names[0] == _name(ballot.candidate)
    if named != ballot.instance and (named or not first):
        return Queued(for_heir=bool(named))
    return (yield from _claim(ballot, node.version))


def _claim(ballot: Ballot, version: int) -> Procedure[Won | Queued | Contested]:
    """One transaction. Its success is proof: the node was made in the session that asked, so it is ours. Whether it is
    still there, and a watch on it, is for ``verify``, which costs nobody time: calls wait for what comes next."""
    assert ballot.candidate is not None
    epoch = ballot.highest + 1
    ballot.pending = epoch
    ballot.epoch_version = None
    try:
        yield ClaimEpoch(
            candidate=ballot.candidate,
            primary=ballot.paths.primary,
            primary_value=ballot.primary_record(epoch).dump(),
            epoch=ballot.paths.epoch,
            epoch_value=EpochRecord(epoch=epoch, instance=ballot.instance).dump(),
            version=version,
        )
    except RequestFailed as failed:
        if failed.failure not in _REFUSALS:
            raise
        return Contested()
    ballot.epoch_version = version + 1
    ballot.note(epoch)
    return Won(epoch=epoch)


def verify(ballot: Ballot, epoch: Epoch) -> Procedure[bool]:
    """Looks whether our candidate and the primary's node are still ours, and watches both."""
    assert ballot.candidate is not None
    candidate = yield InspectCandidate(ballot.candidate)
    if not ballot.is_ours(_node(candidate)):
        return False
    primary = yield from read_primary(ballot)
    record = PrimaryRecord.parse(primary.value) if primary is not None else None
    return ballot.is_ours(primary) and record is not None and record.epoch == epoch


def resign(ballot: Ballot, *, heir: str, handed_over: bool) -> Procedure[Resigned]:
    """Gives up whatever is ours: with one transaction if we know it all, step by step if that is refused.

    Step by step the candidates go first: a claim of ours that is still on its way fails without its candidate, so what
    the read after it shows of the primary's node is final.
    """
    if ballot.epoch_version is not None and ballot.candidate is not None:
        known = ballot.highest
        record = EpochRecord(epoch=known, instance=ballot.instance, handed_over=handed_over, heir=heir)
        version, ballot.epoch_version = ballot.epoch_version, None
        try:
            yield _release_request(ballot, record, version, ballot.candidate)
            return Resigned()
        except RequestFailed as failed:
            if failed.failure not in _REFUSALS:
                raise
    listed = yield ListCandidates(ballot.paths.candidates)
    for name in queue(_names(listed or ())):
        if candidate_id_of(name) == ballot.candidate_id:
            yield from delete_candidate(ballot.paths.candidate(name))
    yield from _release(ballot, heir=heir, handed_over=handed_over)
    return Resigned()


def record_history(request: RecordHistory) -> Procedure[Recorded]:
    """Has one line written for people; given up if ZooKeeper refuses it, because nothing depends on it."""
    try:
        yield request
    except RequestFailed as failed:
        if failed.failure in (Failure.NOT_SENT, Failure.UNKNOWN):
            raise
    return Recorded(request)


def _release(ballot: Ballot, *, heir: str, handed_over: bool) -> Procedure[None]:
    """Gives up the primary's node, if it is ours. The epoch is read first: were the node to become another's after we
    looked at it, the epoch would have moved, and the transaction fails."""
    node, record = yield from _read_epoch(ballot)
    primary = yield from read_primary(ballot)
    if not ballot.is_ours(primary):
        return
    tombstone = dataclasses.replace(record, handed_over=handed_over, heir=heir)
    try:
        yield _release_request(ballot, tombstone, node.version, None)
    except RequestFailed as failed:
        if failed.failure not in _REFUSALS:
            raise


def _release_request(ballot: Ballot, record: EpochRecord, version: int, candidate: str | None) -> ReleaseEpoch:
    return ReleaseEpoch(
        primary=ballot.paths.primary,
        epoch=ballot.paths.epoch,
        epoch_value=record.dump(),
        version=version,
        candidate=candidate,
    )


def _read_epoch(ballot: Ballot) -> Procedure[tuple[Node, EpochRecord]]:
    """The epoch as it is; created if this is the group's first election."""
    seen = yield ReadEpoch(ballot.paths.epoch)
    if seen is None:
        yield CreateEpoch(ballot.paths.epoch, EpochRecord().dump())
        seen = yield ReadEpoch(ballot.paths.epoch)
    node = _node(seen)
    if node is None:
        raise RequestFailed(Failure.MISSING)
    return node, _noted(ballot, node)


def _noted(ballot: Ballot, node: Node) -> EpochRecord:
    record = EpochRecord.parse(node.value)
    ballot.note(record.epoch)
    return record


def read_primary(ballot: Ballot) -> Procedure[Node | None]:
    """The primary's node, watched."""
    return _node((yield ReadPrimary(ballot.paths.primary)))


def delete_candidate(path: str) -> Procedure[None]:
    """Deletes it, or finds it gone."""
    try:
        yield DeleteCandidate(path)
    except RequestFailed as failed:
        if failed.failure is not Failure.MISSING:
            raise


def _name(path: str | None) -> str:
    return "" if path is None else path.rpartition("/")[2]


def _node(answer: Answer) -> Node | None:
    assert answer is None or isinstance(answer, Node)
    return answer


def _names(answer: Any) -> tuple[str, ...]:
    return tuple(answer)
