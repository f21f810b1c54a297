"""The procedures of an election: sequences of requests to ZooKeeper, each a generator that yields a request and is sent
its answer.

They know the next request, but not when to begin, what a result means for the application, or the time. Any of them may
be abandoned between two requests: everything is read again by the next start, except for what the
:class:`~zkrpc.election.candidate_state.CandidateState` holds. A refusal or a missing answer is thrown in as
:class:`RequestFailed`; a failure that a procedure does not handle ends it, and it is begun again later.

Whose node is it? ``ephemeralOwner`` decides, never a name: a node of our earlier session has our name, too, but is
about to be deleted (kazoo's lock and Curator's latch each had two leaders over this, CURATOR-696).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Generator
from typing import Any, TypeAlias, TypeVar

from zkrpc.election.candidate_state import CandidateState
from zkrpc.election.effects import (
    ClaimEpoch,
    CreateCandidate,
    CreateEpoch,
    DeleteCandidate,
    ElectionAnswer,
    ElectionRequest,
    InspectCandidate,
    ListCandidates,
    MakeParents,
    Node,
    RaiseEpoch,
    ReadEpoch,
    ReadPrimary,
    Reason,
    RecordHistory,
    RecordTrouble,
    ReleaseEpoch,
    RequestFailure,
    Together,
    WatchPredecessor,
)
from zkrpc.election.tree import EpochRecord, candidate_id_of, instance_of, queue
from zkrpc.endpoint import Epoch
from zkrpc.registry.formats import PrimaryRecord

Result = TypeVar("Result")
Procedure: TypeAlias = Generator[ElectionRequest, ElectionAnswer, Result]

_REFUSALS = (RequestFailure.MISSING, RequestFailure.EXISTS, RequestFailure.CONFLICT)
_TRIES = 4


class RequestFailed(Exception):
    """Thrown into a procedure when its request has no answer, or was refused."""

    def __init__(self, failure: RequestFailure) -> None:
        super().__init__(failure.value)
        self.failure = failure


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Won:
    """The primary's node is ours, with the epoch that was claimed."""

    epoch: Epoch


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Queued:
    """Our candidate is queued, with watches on what it waits for."""

    primary: PrimaryRecord | None = None
    for_heir: bool = False
    """A named heir goes first; claim if it has not claimed in time."""
    place: int = 0
    """The number of candidates before ours while there is no primary; claim if none of them has in time. Safety does
    not depend on the queue."""


@dataclasses.dataclass(frozen=True, slots=True)
class Unfit:
    """It is our turn, but answers are too slow to keep a lease."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Contested:
    """Something changed between the reads; they are to be repeated soon."""


@dataclasses.dataclass(frozen=True, slots=True)
class Resigned:
    """No node of this election is ours any more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Recorded:
    """The line was written, or refused."""

    line: RecordHistory | RecordTrouble


Outcome: TypeAlias = Won | Queued | Contested | Unfit


def campaign(candidacy: CandidateState) -> Procedure[Outcome]:
    """Creates our candidate if there is none, and claims the epoch if it is our turn."""
    if candidacy.candidate is not None:
        return (yield from _look_again(candidacy, candidacy.candidate))
    return (yield from _enrol(candidacy))


def _enrol(candidacy: CandidateState) -> Procedure[Outcome]:
    """``campaign`` without a known candidate: one request after another, as each depends on the one before."""
    names = yield from _enrolled(candidacy)
    if candidacy.candidate is None:
        return Contested()
    own = names.index(_name(candidacy.candidate))
    if own and (yield WatchPredecessor(candidacy.participant.paths.candidate(names[own - 1]))) is None:
        return Contested()
    primary = yield from read_primary(candidacy)
    if primary is not None:
        return (yield from _wait_for(candidacy, primary, _node((yield ReadEpoch(candidacy.participant.paths.epoch)))))
    return (yield from _claim_in_turn(candidacy, names))


def _look_again(candidacy: CandidateState, candidate: str) -> Procedure[Outcome]:
    """``campaign`` with a known candidate: reads everything in one round trip, since calls may be waiting for a
    primary."""
    paths = candidacy.participant.paths
    reads = (
        ListCandidates(paths.candidates),
        InspectCandidate(candidate),
        ReadPrimary(paths.primary),
        ReadEpoch(paths.epoch),
    )
    answers: Any = yield Together(reads)
    listed, own, primary, epoch = answers
    names = queue(_names(listed or ()))
    ours = [name for name in names if candidate_id_of(name) == candidacy.participant.candidate_id]
    if not candidacy.is_ours(own) or ours != [_name(candidate)]:
        # Our candidate is gone, or there are two: ``_enrol`` repairs both.
        candidacy.candidate = None
        return Contested()
    candidacy.enrolled_at = own.made_at
    place = names.index(ours[0])
    if place and (yield WatchPredecessor(paths.candidate(names[place - 1]))) is None:
        return Contested()
    if primary is not None:
        return (yield from _wait_for(candidacy, primary, epoch))
    if epoch is None:
        return (yield from _claim_in_turn(candidacy, names))
    return (yield from _claim_if_next(candidacy, names, epoch, candidacy.read_or_refuse(epoch)))


def _enrolled(candidacy: CandidateState) -> Procedure[list[str]]:
    """The queue. ``candidacy.candidate`` is in it and ours, or None if ours was only created now."""
    paths = candidacy.participant.paths
    candidacy.candidate = None
    listed = yield ListCandidates(paths.candidates)
    if listed is None:
        yield MakeParents(paths.root, paths.candidates)
        listed = ()
    names = queue(_names(listed))
    for name in names:
        if candidate_id_of(name) != candidacy.participant.candidate_id:
            continue
        seen = _node((yield InspectCandidate(paths.candidate(name))))
        if seen is None or not candidacy.is_ours(seen):
            continue
        if candidacy.candidate is None:
            candidacy.candidate = paths.candidate(name)
            candidacy.enrolled_at = seen.made_at
        else:
            yield from delete_candidate(paths.candidate(name))
    if candidacy.candidate is None:
        yield CreateCandidate(
            paths.candidate_prefix(candidacy.participant.candidate_id), candidacy.participant.instance.encode()
        )
    return names


def _wait_for(candidacy: CandidateState, primary: Node, epoch: Node | None) -> Procedure[Outcome]:
    """There is a primary's node: of our own claim that had no answer, of an earlier claim that was given up, or
    another's."""
    record = PrimaryRecord.parse(primary.value)
    if record is not None:
        candidacy.note(record.epoch)
    if not candidacy.is_ours(primary):
        yield from _raise_epoch(candidacy, epoch)
        return Queued(primary=record)
    if record is not None and record.epoch == candidacy.pending:
        return Won(epoch=record.epoch)
    answers: Any = yield Together(
        (ReadEpoch(candidacy.participant.paths.epoch), ReadPrimary(candidacy.participant.paths.primary))
    )
    yield from _release(candidacy, *answers, heir="", handed_over=False)
    return Contested()


def _raise_epoch(candidacy: CandidateState, node: Node | None) -> Procedure[None]:
    """Writes our highest known epoch into the epoch's node if that has a lower one. A node that is missing or cannot be
    parsed is left to the primary."""
    record = candidacy.read(node)
    if node is None or record is None or record.epoch >= candidacy.highest:
        return
    value = EpochRecord(epoch=candidacy.highest).dump()
    try:
        yield RaiseEpoch(epoch=candidacy.participant.paths.epoch, epoch_value=value, version=node.version)
    except RequestFailed as failed:
        if failed.failure not in _REFUSALS:
            raise


def _claim_in_turn(candidacy: CandidateState, names: list[str]) -> Procedure[Outcome]:
    """There is no primary: reads the epoch, and claims the next one if it is our turn."""
    node, record = yield from _read_epoch(candidacy)
    return (yield from _claim_if_next(candidacy, names, node, record))


def _claim_if_next(candidacy: CandidateState, names: list[str], node: Node, record: EpochRecord) -> Procedure[Outcome]:
    """Claims if our candidate is the first or the named heir, or those before it have had their time."""
    heir_waits = record.handed_over and record.heir in map(instance_of, names)
    named = record.heir if heir_waits and candidacy.patient else ""
    place = names.index(_name(candidacy.candidate))
    if named != candidacy.participant.instance and (named or (place and candidacy.polite)):
        return Queued(for_heir=bool(named), place=place)
    if candidacy.slow:
        return Unfit()
    return (yield from _claim(candidacy, node.version))


def _claim(candidacy: CandidateState, version: int) -> Procedure[Outcome]:
    """Claims in one transaction. Its success proves that the primary's node is ours, as it was created in the session
    that asked. ``verify`` checks later that it still exists, and watches it; that delays no call, as calls wait for the
    synchronisation."""
    assert candidacy.candidate is not None
    epoch = candidacy.next_epoch()
    candidacy.pending = epoch
    candidacy.epoch_version = None
    try:
        yield ClaimEpoch(
            candidate=candidacy.candidate,
            primary=candidacy.participant.paths.primary,
            primary_value=candidacy.primary_record(epoch).dump(),
            epoch=candidacy.participant.paths.epoch,
            epoch_value=EpochRecord(epoch=epoch, instance=candidacy.participant.instance).dump(),
            version=version,
        )
    except RequestFailed as failed:
        if failed.failure not in _REFUSALS:
            raise
        return Contested()
    candidacy.epoch_version = version + 1
    candidacy.note(epoch)
    return Won(epoch=epoch)


def verify(candidacy: CandidateState, epoch: Epoch) -> Procedure[Reason | None]:
    """Checks whether our candidate, the primary's node and the epoch are still ours, and watches all three. Returns why
    the term is over, or None.

    The epoch is read before the primary's node: if that is ours afterwards, there was no other claim in between, and
    only this process or an operator can have written the version that was found. An operator who writes our record
    again changes nothing.
    """
    assert candidacy.candidate is not None
    paths = candidacy.participant.paths
    answers: Any = yield Together(
        (InspectCandidate(candidacy.candidate), ReadEpoch(paths.epoch), ReadPrimary(paths.primary))
    )
    candidate, counter, primary = answers
    record = PrimaryRecord.parse(primary.value) if candidacy.is_ours(primary) else None
    if not candidacy.is_ours(candidate) or record is None or record.epoch != epoch:
        return Reason.NODE_REMOVED
    newest = candidacy.read(counter)
    if newest is not None and newest.epoch > epoch:
        return Reason.SUPERSEDED
    if newest is None or newest != EpochRecord(epoch=epoch, instance=candidacy.participant.instance):
        return Reason.EPOCH_LOST
    candidacy.epoch_version = counter.version
    return None


def resign(candidacy: CandidateState, *, heir: str, handed_over: bool) -> Procedure[Resigned]:
    """Deletes all nodes of ours: in one transaction if all are known, step by step if that is refused.

    Step by step the candidates are deleted first: a claim of ours that is still on its way fails without its candidate,
    so what later reads show of the primary's node is final. There are few steps, as over a slow link the successor
    waits for each.
    """
    if candidacy.epoch_version is not None and candidacy.candidate is not None:
        known = candidacy.highest
        record = EpochRecord(epoch=known, instance=candidacy.participant.instance, handed_over=handed_over, heir=heir)
        version, candidacy.epoch_version = candidacy.epoch_version, None
        try:
            yield _release_request(candidacy, record, version, candidacy.candidate)
            return Resigned()
        except RequestFailed as failed:
            if failed.failure not in _REFUSALS:
                raise
    if candidacy.candidate is not None:
        yield from delete_candidate(candidacy.candidate)
    paths = candidacy.participant.paths
    for _ in range(_TRIES):
        answers: Any = yield Together(
            (ListCandidates(paths.candidates), ReadEpoch(paths.epoch), ReadPrimary(paths.primary))
        )
        listed, epoch, primary = answers
        left = [
            name for name in queue(_names(listed or ())) if candidate_id_of(name) == candidacy.participant.candidate_id
        ]
        for name in left:
            yield from delete_candidate(paths.candidate(name))
        if not left and (yield from _release(candidacy, epoch, primary, heir=heir, handed_over=handed_over)):
            return Resigned()
    raise RequestFailed(RequestFailure.CONFLICT)


def record(request: RecordHistory | RecordTrouble) -> Procedure[Recorded]:
    """Writes one line for people. A refusal is ignored, because nothing depends on the line."""
    try:
        yield request
    except RequestFailed as failed:
        if failed.failure in (RequestFailure.NOT_SENT, RequestFailure.UNKNOWN):
            raise
    return Recorded(request)


def _release(
    candidacy: CandidateState, epoch: Node | None, primary: Node | None, *, heir: str, handed_over: bool
) -> Procedure[bool]:
    """Deletes the primary's node if it is ours. True if it is not ours any more.

    The epoch was read before the primary's node: if another instance had claimed since, the epoch's version would have
    changed, and the transaction fails. The holder of the primary's node knows the epoch, so an epoch's node that is
    missing or cannot be parsed is written anew.
    """
    if not candidacy.is_ours(primary):
        return True
    if epoch is None:
        yield from _create_epoch(candidacy)
        return False
    record = candidacy.read(epoch)
    if record is None or record.epoch < candidacy.highest:
        record = EpochRecord(epoch=candidacy.highest, instance=candidacy.participant.instance)
    tombstone = dataclasses.replace(record, handed_over=handed_over, heir=heir)
    try:
        yield _release_request(candidacy, tombstone, epoch.version, None)
    except RequestFailed as failed:
        if failed.failure not in _REFUSALS:
            raise
        return False
    return True


def _release_request(
    candidacy: CandidateState, record: EpochRecord, version: int, candidate: str | None
) -> ReleaseEpoch:
    return ReleaseEpoch(
        primary=candidacy.participant.paths.primary,
        epoch=candidacy.participant.paths.epoch,
        epoch_value=record.dump(),
        version=version,
        candidate=candidate,
    )


def _read_epoch(candidacy: CandidateState) -> Procedure[tuple[Node, EpochRecord]]:
    """Reads the epoch's node, and creates it if this is the group's first election or the node was deleted."""
    seen = yield ReadEpoch(candidacy.participant.paths.epoch)
    if seen is None:
        yield from _create_epoch(candidacy)
        seen = yield ReadEpoch(candidacy.participant.paths.epoch)
    node = _node(seen)
    if node is None:
        raise RequestFailed(RequestFailure.MISSING)
    return node, candidacy.read_or_refuse(node)


def _create_epoch(candidacy: CandidateState) -> Procedure[None]:
    """Creates the epoch's node with the highest known epoch, unless another instance was faster."""
    try:
        yield CreateEpoch(candidacy.participant.paths.epoch, EpochRecord(epoch=candidacy.highest).dump())
    except RequestFailed as failed:
        if failed.failure is not RequestFailure.EXISTS:
            raise


def read_primary(candidacy: CandidateState) -> Procedure[Node | None]:
    """Reads the primary's node and watches it."""
    return _node((yield ReadPrimary(candidacy.participant.paths.primary)))


def delete_candidate(path: str) -> Procedure[None]:
    """Deletes a candidate; one that is gone already is no failure."""
    try:
        yield DeleteCandidate(path)
    except RequestFailed as failed:
        if failed.failure is not RequestFailure.MISSING:
            raise


def _name(path: str | None) -> str:
    return "" if path is None else path.rpartition("/")[2]


def _node(answer: ElectionAnswer) -> Node | None:
    assert answer is None or isinstance(answer, Node)
    return answer


def _names(answer: Any) -> tuple[str, ...]:
    return tuple(answer)
