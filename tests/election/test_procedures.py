"""What is said to ZooKeeper, as transcripts: each request with its answer, in order."""

from __future__ import annotations

from typing import Any

import pytest

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
from zkrpc.election.procedures import (
    Ballot,
    Contested,
    Procedure,
    Queued,
    Recorded,
    RequestFailed,
    Resigned,
    Won,
    campaign,
    record_history,
    resign,
    verify,
)
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

PATHS = ElectionPaths("ledger")
HERE = Endpoint("h", 1)
OURS, OTHER, GHOST = "w1.u-0000000005", "w0.u-0000000003", "w1.u-0000000001"
OWN = PATHS.candidate(OURS)
LIST, PRIMARY, EPOCH = ListCandidates(PATHS.candidates), ReadPrimary(PATHS.primary), ReadEpoch(PATHS.epoch)
INSPECT = InspectCandidate(OWN)
CREATE = CreateCandidate(PATHS.candidate_prefix("w1.u"), b"w1")
GLANCE = Together((LIST, INSPECT, PRIMARY, EPOCH))
MINE = Node(owner=7)


def ballot(**known: Any) -> Ballot:
    """Our ballot, in session 7."""
    return Ballot(paths=PATHS, candidate_id="w1.u", instance="w1", endpoint=HERE, session_id=7, **known)


def primary(epoch: int, owner: int = 7, instance: str = "w1") -> Node:
    """A primary's node."""
    return Node(owner=owner, value=PrimaryRecord(epoch=epoch, instance=instance, endpoint=HERE).dump())


def epoch(number: int, version: int = 3, *, heir: str | None = None) -> Node:
    """The epoch's node, with a tombstone if there is an heir."""
    record = EpochRecord(epoch=number, instance="w0", handed_over=heir is not None, heir=heir or "")
    return Node(owner=0, version=version, value=record.dump())


def claim(number: int, version: int = 3) -> ClaimEpoch:
    """Our claim of an epoch."""
    return ClaimEpoch(
        candidate=OWN,
        primary=PATHS.primary,
        primary_value=primary(number).value,
        epoch=PATHS.epoch,
        epoch_value=EpochRecord(epoch=number, instance="w1").dump(),
        version=version,
    )


def release(number: int, version: int, *, candidate: str | None = None, instance: str = "w0") -> ReleaseEpoch:
    """Giving up an epoch without a word."""
    return ReleaseEpoch(
        primary=PATHS.primary,
        epoch=PATHS.epoch,
        epoch_value=EpochRecord(epoch=number, instance=instance).dump(),
        version=version,
        candidate=candidate,
    )


def play(procedure: Procedure[Any], *lines: tuple[Request, Answer | Failure]) -> Any:
    """Plays the lines, each a request that must come and what it is answered; the procedure's result."""
    request = next(procedure)
    for number, (expected, answer) in enumerate(lines):
        assert request == expected, f"line {number}"
        try:
            if isinstance(answer, Failure):
                request = procedure.throw(RequestFailed(answer))
            else:
                request = procedure.send(answer)
        except StopIteration as finished:
            assert number == len(lines) - 1
            return finished.value
    raise AssertionError(f"goes on with {request}")


def test_candidate_enrols_and_looks_again() -> None:
    """In a fresh tree the parents are made first; the create is believed when it shows in the queue."""
    parents = MakeParents(PATHS.root, PATHS.candidates)
    assert play(campaign(ballot()), (LIST, None), (parents, None), (CREATE, None)) == Contested()


def test_candidate_behind_another_watches_it_and_the_primary() -> None:
    """No herd: only the one before, and who leads."""
    told = play(
        campaign(ballot()),
        (LIST, (OURS, OTHER)),
        (INSPECT, MINE),
        (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3)),
        (PRIMARY, primary(2, owner=3, instance="w0")),
    )
    assert told == Queued(primary=PrimaryRecord(epoch=2, instance="w0", endpoint=HERE))


def test_candidate_that_is_enrolled_looks_at_everything_at_once() -> None:
    """Two round trips from a vacant lead to ours."""
    told = play(
        campaign(ballot(candidate=OWN)),
        (GLANCE, ((OURS, OTHER.replace("3", "9")), MINE, None, epoch(2))),
        (claim(3), None),
    )
    assert told == Won(epoch=3)


def test_enrolled_candidate_behind_another_watches_it_again() -> None:
    """And who leads; if the one before has gone meanwhile, everything is looked at again."""
    behind = WatchPredecessor(PATHS.candidate(OTHER))
    glance = (GLANCE, ((OURS, OTHER), MINE, primary(2, owner=3, instance="w0"), epoch(2)))
    told = play(campaign(ballot(candidate=OWN)), glance, (behind, Node(owner=3)))
    assert told == Queued(primary=PrimaryRecord(epoch=2, instance="w0", endpoint=HERE))
    assert play(campaign(ballot(candidate=OWN)), glance, (behind, None)) == Contested()
    vacant = (GLANCE, ((OURS, OTHER), MINE, None, epoch(2)))
    assert play(campaign(ballot(candidate=OWN)), vacant, (behind, Node(owner=3))) == Queued()


@pytest.mark.parametrize(
    ("names", "own"),
    [(None, None), ((OTHER,), None), ((OTHER,), MINE), ((OURS,), Node(owner=6)), ((OURS, GHOST), MINE)],
    ids=["nothing there", "deleted", "not listed", "another session's", "one too many"],
)
def test_enrolled_candidate_that_is_not_as_it_was_enrols_again(names: Any, own: Node | None) -> None:
    """It is forgotten, and the next look begins with the queue."""
    known = ballot(candidate=OWN)
    assert play(campaign(known), (GLANCE, (names, own, None, epoch(2)))) == Contested()
    assert known.candidate is None and next(campaign(known)) == LIST


def test_enrolled_candidate_makes_the_epoch_if_somebody_deleted_it() -> None:
    """Nothing at or below what was seen is asked for."""
    told = play(
        campaign(ballot(candidate=OWN, highest=5)),
        (GLANCE, ((OURS,), MINE, None, None)),
        (EPOCH, None),
        (CreateEpoch(PATHS.epoch, EpochRecord().dump()), None),
        (EPOCH, epoch(0, 0)),
        (claim(6, 0), None),
    )
    assert told == Won(epoch=6)


def test_candidate_whose_predecessor_has_gone_looks_again() -> None:
    """It went between the list and the watch."""
    lines = ((LIST, (OURS, OTHER)), (INSPECT, MINE), (WatchPredecessor(PATHS.candidate(OTHER)), None))
    assert play(campaign(ballot()), *lines) == Contested()


def test_candidate_behind_another_does_not_claim_a_vacant_lead() -> None:
    """The first will; its claim fires our watch on the primary."""
    told = play(
        campaign(ballot()),
        (LIST, (OURS, OTHER)),
        (INSPECT, MINE),
        (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3)),
        (PRIMARY, None),
        (EPOCH, epoch(2)),
    )
    assert told == Queued()


def test_candidate_of_an_earlier_session_is_not_ours() -> None:
    """Same name, other owner: a new one is made, and the ghost is waited for like anybody."""
    lines = ((LIST, (GHOST,)), (InspectCandidate(PATHS.candidate(GHOST)), Node(owner=6)), (CREATE, None))
    assert play(campaign(ballot()), *lines) == Contested()


def test_candidate_made_twice_keeps_the_first_place() -> None:
    """A create whose reply was lost may appear late; the later place is given up, or is gone already."""
    twin = "w1.u-0000000008"
    for gone in (None, Failure.MISSING):
        told = play(
            campaign(ballot()),
            (LIST, (OURS, twin)),
            (INSPECT, MINE),
            (InspectCandidate(PATHS.candidate(twin)), MINE),
            (DeleteCandidate(PATHS.candidate(twin)), gone),
            (PRIMARY, primary(2, owner=3)),
        )
        assert isinstance(told, Queued)


def test_deletion_without_an_answer_ends_the_procedure() -> None:
    """Only a refusal says something."""
    told = resign(ballot(), heir="", handed_over=False)
    with pytest.raises(RequestFailed, match="no answer"):
        play(told, (LIST, (OURS,)), (DeleteCandidate(OWN), Failure.UNKNOWN))


def test_first_candidate_claims_and_believes_the_answer() -> None:
    """In a fresh tree the counter is made, then one transaction, which leaves nothing to ask."""
    ours = ballot()
    told = play(
        campaign(ours),
        (LIST, (OURS,)),
        (INSPECT, MINE),
        (PRIMARY, None),
        (EPOCH, None),
        (CreateEpoch(PATHS.epoch, EpochRecord().dump()), None),
        (EPOCH, Node(owner=0, version=0, value=EpochRecord().dump())),
        (claim(1, 0), None),
    )
    assert told == Won(epoch=1) and ours.epoch_version == 1 and ours.highest == 1


def test_claim_is_above_every_epoch_that_anybody_has_seen() -> None:
    """Also if ZooKeeper was wiped: a store's memory of epoch 9 counts."""
    ours = ballot()
    ours.note(9)
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(10), None))
    assert play(campaign(ours), *lines) == Won(epoch=10)


@pytest.mark.parametrize("refusal", [Failure.MISSING, Failure.EXISTS, Failure.CONFLICT])
def test_claim_that_is_refused_is_followed_by_a_look(refusal: Failure) -> None:
    """Our candidate is gone, somebody leads, or the epoch moved: reading tells."""
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(3), refusal))
    assert play(campaign(ballot()), *lines) == Contested()


def test_claim_without_an_answer_is_found_by_reading() -> None:
    """The epoch is pending; the node is ours; nothing is claimed again."""
    ours = ballot()
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(3), Failure.UNKNOWN))
    with pytest.raises(RequestFailed):
        play(campaign(ours), *lines)
    assert ours.pending == 3
    assert play(campaign(ours), (GLANCE, ((OURS,), MINE, primary(3), epoch(3)))) == Won(epoch=3)


def test_claim_of_an_earlier_session_is_not_adopted() -> None:
    """The epoch is the pending one and the name is ours; the owner is not."""
    ours = ballot(pending=3)
    told = play(campaign(ours), (LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, primary(3, owner=6)))
    assert isinstance(told, Queued)


@pytest.mark.parametrize("left", [primary(2), Node(owner=7, value=b"?")])
def test_leftover_of_ours_is_given_up(left: Node) -> None:
    """Ours, but no epoch that we may still adopt: released under the epoch's version, then looked at again."""
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, left), (EPOCH, epoch(2)), (PRIMARY, left))
    for answer in (None, Failure.CONFLICT):
        assert play(campaign(ballot()), *lines, (release(2, 3), answer)) == Contested()
    with pytest.raises(RequestFailed):
        play(campaign(ballot()), *lines, (release(2, 3), Failure.UNKNOWN))


def test_leftover_that_went_meanwhile_needs_no_release() -> None:
    """Somebody else's is there now."""
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, primary(2)), (EPOCH, epoch(3)))
    assert play(campaign(ballot()), *lines, (PRIMARY, primary(3, owner=4))) == Contested()


def test_heir_claims_out_of_turn() -> None:
    """It was named in the tombstone; safety does not rest on the queue."""
    told = play(
        campaign(ballot()),
        (LIST, (OURS, OTHER)),
        (INSPECT, MINE),
        (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3)),
        (PRIMARY, None),
        (EPOCH, epoch(2, heir="w1")),
        (claim(3), None),
    )
    assert told == Won(epoch=3)


def test_first_candidate_lets_the_heir_go_first_for_a_while() -> None:
    """While it is in the queue, and patience lasts; an heir that is not there is nobody."""
    later = "w2.u-0000000009"
    lines = ((LIST, (OURS, later)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2, heir="w2")))
    assert play(campaign(ballot()), *lines) == Queued(for_heir=True)
    won = (claim(3), None)
    assert play(campaign(ballot(patient=False)), *lines, won) == Won(epoch=3)
    alone = ((LIST, (OURS,)), *lines[1:])
    assert play(campaign(ballot()), *alone, won) == Won(epoch=3)


def test_epoch_that_goes_away_is_an_error() -> None:
    """Somebody deletes what must never be deleted."""
    create = CreateEpoch(PATHS.epoch, EpochRecord().dump())
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, None), (create, None), (EPOCH, None))
    with pytest.raises(RequestFailed, match="no such node"):
        play(campaign(ballot()), *lines)


@pytest.mark.parametrize(
    ("candidate", "node", "holds"),
    [
        (MINE, primary(3), True),
        (None, None, False),
        (Node(owner=6), None, False),
        (MINE, None, False),
        (MINE, primary(3, owner=6), False),
        (MINE, primary(4), False),
        (MINE, Node(owner=7, value=b"?"), False),
    ],
)
def test_verification_wants_both_nodes(candidate: Node | None, node: Node | None, holds: bool) -> None:
    """Ours by owner, and the primary's with our epoch."""
    lines: list[tuple[Request, Answer | Failure]] = [(INSPECT, candidate)]
    if candidate == MINE:
        lines.append((PRIMARY, node))
    assert play(verify(ballot(candidate=OWN), 3), *lines) is holds


def test_nothing_is_ours_without_a_session() -> None:
    """A persistent node has the owner 0, which is no session."""
    assert not Ballot(paths=PATHS, candidate_id="w1.u", instance="w1", endpoint=HERE).is_ours(Node(owner=0))


def test_resignation_is_one_transaction() -> None:
    """Tombstone, primary and candidate, at the version that our claim left."""
    ours = ballot(candidate=OWN, epoch_version=4, highest=3)
    record = EpochRecord(epoch=3, instance="w1", handed_over=True, heir="w2")
    request = ReleaseEpoch(
        primary=PATHS.primary, epoch=PATHS.epoch, epoch_value=record.dump(), version=4, candidate=OWN
    )
    assert play(resign(ours, heir="w2", handed_over=True), (request, None)) == Resigned()


def test_resignation_that_is_refused_goes_step_by_step() -> None:
    """Candidates first, whichever session made them, then the primary's node if it is ours."""
    ours = ballot(candidate=OWN, epoch_version=4, highest=3)
    told = play(
        resign(ours, heir="", handed_over=False),
        (release(3, 4, candidate=OWN, instance="w1"), Failure.MISSING),
        (LIST, (OURS, OTHER, GHOST)),
        (DeleteCandidate(PATHS.candidate(GHOST)), Failure.MISSING),
        (DeleteCandidate(OWN), None),
        (EPOCH, epoch(3, version=4)),
        (PRIMARY, primary(3)),
        (release(3, 4), None),
    )
    assert told == Resigned()


def test_resignation_without_an_answer_is_tried_again_step_by_step() -> None:
    """What may have happened is not asked for twice."""
    ours = ballot(candidate=OWN, epoch_version=4, highest=3)
    with pytest.raises(RequestFailed):
        play(
            resign(ours, heir="", handed_over=False),
            (release(3, 4, candidate=OWN, instance="w1"), Failure.UNKNOWN),
        )
    lines = ((LIST, None), (EPOCH, epoch(3)), (PRIMARY, None))
    assert play(resign(ours, heir="", handed_over=False), *lines) == Resigned()


def test_history_is_given_up_when_it_is_refused_and_tried_again_without_an_answer() -> None:
    """Nothing depends on it."""
    line = RecordHistory(path=PATHS.history, record=ballot().primary_record(1), reason=None)
    assert play(record_history(line), (line, None)) == Recorded(line)
    assert play(record_history(line), (line, Failure.OTHER)) == Recorded(line)
    with pytest.raises(RequestFailed):
        play(record_history(line), (line, Failure.UNKNOWN))
