"""What is said to ZooKeeper, as transcripts: each request with its answer, in order."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.election.candidate_state import CandidateState, Participant
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
    ReleaseEpoch,
    RequestFailure,
    Together,
    WatchPredecessor,
)
from zkrpc.election.procedures import (
    Contested,
    Procedure,
    Queued,
    Recorded,
    RequestFailed,
    Resigned,
    Unfit,
    Won,
    campaign,
    record,
    resign,
    verify,
)
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.formats import PrimaryRecord

PATHS = ElectionPaths("ledger")
HERE = Endpoint("h", 1)
OURSELVES = Participant(paths=PATHS, instance="w1", endpoint=HERE, unique="u")
OURS, OTHER, GHOST = "w1.u-0000000005", "w0.u-0000000003", "w1.u-0000000001"
OWN = PATHS.candidate(OURS)
LIST, PRIMARY, EPOCH = ListCandidates(PATHS.candidates), ReadPrimary(PATHS.primary), ReadEpoch(PATHS.epoch)
INSPECT = InspectCandidate(OWN)
CREATE = CreateCandidate(PATHS.candidate_prefix("w1.u"), b"w1")
GLANCE = Together((LIST, INSPECT, PRIMARY, EPOCH))
LAST_LOOK = Together((LIST, EPOCH, PRIMARY))
AUDIT = Together((INSPECT, EPOCH, PRIMARY))
MINE = Node(owner=7)


def candidacy(**known: Any) -> CandidateState:
    """Our candidacy, in session 7."""
    return CandidateState(participant=OURSELVES, session_id=7, **known)


def primary(epoch: int, owner: int = 7, instance: str = "w1") -> Node:
    """A primary's node."""
    return Node(owner=owner, value=PrimaryRecord(epoch=epoch, instance=instance, endpoint=HERE).dump())


def epoch(number: int, version: int = 3, *, heir: str | None = None, instance: str = "w0") -> Node:
    """The epoch's node, with a tombstone if there is an heir."""
    record = EpochRecord(epoch=number, instance=instance, handed_over=heir is not None, heir=heir or "")
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


def play(procedure: Procedure[Any], *lines: tuple[ElectionRequest, ElectionAnswer | RequestFailure]) -> Any:
    """Plays the lines, each a request that must come and what it is answered; the procedure's result."""
    request = next(procedure)
    for number, (expected, answer) in enumerate(lines):
        assert request == expected, f"line {number}"
        try:
            if isinstance(answer, RequestFailure):
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
    assert play(campaign(candidacy()), (LIST, None), (parents, None), (CREATE, None)) == Contested()


def test_candidate_behind_another_watches_it_and_the_primary() -> None:
    """No herd: only the one before, and who leads."""
    told = play(
        campaign(candidacy()),
        (LIST, (OURS, OTHER)),
        (INSPECT, MINE),
        (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3)),
        (PRIMARY, primary(2, owner=3, instance="w0")),
        (EPOCH, epoch(2)),
    )
    assert told == Queued(primary=PrimaryRecord(epoch=2, instance="w0", endpoint=HERE))


def test_candidate_that_is_enrolled_looks_at_everything_at_once() -> None:
    """Two round trips from a vacant lead to ours."""
    told = play(
        campaign(candidacy(candidate=OWN)),
        (GLANCE, ((OURS, OTHER.replace("3", "9")), MINE, None, epoch(2))),
        (claim(3), None),
    )
    assert told == Won(epoch=3)


def test_enrolled_candidate_behind_another_watches_it_again() -> None:
    """And who leads; if the one before has gone meanwhile, everything is looked at again."""
    behind = WatchPredecessor(PATHS.candidate(OTHER))
    glance = (GLANCE, ((OURS, OTHER), MINE, primary(2, owner=3, instance="w0"), epoch(2)))
    told = play(campaign(candidacy(candidate=OWN)), glance, (behind, Node(owner=3)))
    assert told == Queued(primary=PrimaryRecord(epoch=2, instance="w0", endpoint=HERE))
    assert play(campaign(candidacy(candidate=OWN)), glance, (behind, None)) == Contested()
    vacant = (GLANCE, ((OURS, OTHER), MINE, None, epoch(2)))
    assert play(campaign(candidacy(candidate=OWN)), vacant, (behind, Node(owner=3))) == Queued(place=1)
    impatient = candidacy(candidate=OWN, polite=False)
    assert play(campaign(impatient), vacant, (behind, Node(owner=3)), (claim(3), None)) == Won(epoch=3)


@pytest.mark.parametrize(
    ("names", "own"),
    [(None, None), ((OTHER,), None), ((OTHER,), MINE), ((OURS,), Node(owner=6)), ((OURS, GHOST), MINE)],
    ids=["nothing there", "deleted", "not listed", "another session's", "one too many"],
)
def test_enrolled_candidate_that_is_not_as_it_was_enrols_again(names: Any, own: Node | None) -> None:
    """It is forgotten, and the next look begins with the queue."""
    known = candidacy(candidate=OWN)
    assert play(campaign(known), (GLANCE, (names, own, None, epoch(2)))) == Contested()
    assert known.candidate is None and next(campaign(known)) == LIST


def test_enrolled_candidate_makes_the_epoch_if_somebody_deleted_it() -> None:
    """Nothing at or below what was seen is asked for."""
    told = play(
        campaign(candidacy(candidate=OWN, highest=5)),
        (GLANCE, ((OURS,), MINE, None, None)),
        (EPOCH, None),
        (CreateEpoch(PATHS.epoch, EpochRecord(epoch=5).dump()), None),
        (EPOCH, epoch(5, 0)),
        (claim(6, 0), None),
    )
    assert told == Won(epoch=6)


def test_candidate_whose_predecessor_has_gone_looks_again() -> None:
    """It went between the list and the watch."""
    lines = ((LIST, (OURS, OTHER)), (INSPECT, MINE), (WatchPredecessor(PATHS.candidate(OTHER)), None))
    assert play(campaign(candidacy()), *lines) == Contested()


def test_candidate_behind_another_does_not_claim_a_vacant_lead() -> None:
    """The first will; its claim fires our watch on the primary."""
    told = play(
        campaign(candidacy()),
        (LIST, (OURS, OTHER)),
        (INSPECT, MINE),
        (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3)),
        (PRIMARY, None),
        (EPOCH, epoch(2)),
    )
    assert told == Queued(place=1)


def test_candidate_of_an_earlier_session_is_not_ours() -> None:
    """Same name, other owner: a new one is made, and the ghost is waited for like anybody."""
    lines = ((LIST, (GHOST,)), (InspectCandidate(PATHS.candidate(GHOST)), Node(owner=6)), (CREATE, None))
    assert play(campaign(candidacy()), *lines) == Contested()


def test_candidate_made_twice_keeps_the_first_place() -> None:
    """A create whose reply was lost may appear late; the later place is given up, or is gone already."""
    twin = "w1.u-0000000008"
    for gone in (None, RequestFailure.MISSING):
        told = play(
            campaign(candidacy()),
            (LIST, (OURS, twin)),
            (INSPECT, MINE),
            (InspectCandidate(PATHS.candidate(twin)), MINE),
            (DeleteCandidate(PATHS.candidate(twin)), gone),
            (PRIMARY, primary(2, owner=3)),
            (EPOCH, None),
        )
        assert isinstance(told, Queued)


def test_deletion_without_an_answer_ends_the_procedure() -> None:
    """Only a refusal says something."""
    told = resign(candidacy(), heir="", handed_over=False)
    with pytest.raises(RequestFailed, match="no answer"):
        play(told, (LAST_LOOK, ((OURS,), None, None)), (DeleteCandidate(OWN), RequestFailure.UNKNOWN))


def test_first_candidate_claims_and_believes_the_answer() -> None:
    """In a fresh tree the counter is made, then one transaction, which leaves nothing to ask."""
    ours = candidacy()
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
    ours = candidacy()
    ours.note(9)
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(10), None))
    assert play(campaign(ours), *lines) == Won(epoch=10)


@pytest.mark.parametrize("refusal", [RequestFailure.MISSING, RequestFailure.EXISTS, RequestFailure.CONFLICT])
def test_claim_that_is_refused_is_followed_by_a_look(refusal: RequestFailure) -> None:
    """Our candidate is gone, somebody leads, or the epoch moved: reading tells."""
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(3), refusal))
    assert play(campaign(candidacy()), *lines) == Contested()


def test_claim_without_an_answer_is_found_by_reading() -> None:
    """The epoch is pending; the node is ours; nothing is claimed again."""
    ours = candidacy()
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, epoch(2)), (claim(3), RequestFailure.UNKNOWN))
    with pytest.raises(RequestFailed):
        play(campaign(ours), *lines)
    assert ours.pending == 3
    assert play(campaign(ours), (GLANCE, ((OURS,), MINE, primary(3), epoch(3)))) == Won(epoch=3)


def test_claim_of_an_earlier_session_is_not_adopted() -> None:
    """The epoch is the pending one and the name is ours; the owner is not."""
    ours = candidacy(pending=3)
    told = play(campaign(ours), (LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, primary(3, owner=6)), (EPOCH, epoch(3)))
    assert isinstance(told, Queued)


@pytest.mark.parametrize("left", [primary(2), Node(owner=7, value=b"?")])
def test_leftover_of_ours_is_given_up(left: Node) -> None:
    """Ours, but no epoch that we may still adopt: released under the epoch's version, then looked at again."""
    again = Together((EPOCH, PRIMARY))
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, left), (EPOCH, epoch(2)), (again, (epoch(2), left)))
    for answer in (None, RequestFailure.CONFLICT):
        assert play(campaign(candidacy()), *lines, (release(2, 3), answer)) == Contested()
    with pytest.raises(RequestFailed):
        play(campaign(candidacy()), *lines, (release(2, 3), RequestFailure.UNKNOWN))


def test_leftover_that_went_meanwhile_needs_no_release() -> None:
    """Somebody else's is there now."""
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, primary(2)), (EPOCH, epoch(3)))
    again = Together((EPOCH, PRIMARY))
    assert play(campaign(candidacy()), *lines, (again, (epoch(3), primary(3, owner=4)))) == Contested()


def test_heir_claims_out_of_turn() -> None:
    """It was named in the tombstone; safety does not rest on the queue."""
    told = play(
        campaign(candidacy()),
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
    assert play(campaign(candidacy()), *lines) == Queued(for_heir=True)
    won = (claim(3), None)
    assert play(campaign(candidacy(patient=False)), *lines, won) == Won(epoch=3)
    alone = ((LIST, (OURS,)), *lines[1:])
    assert play(campaign(candidacy()), *alone, won) == Won(epoch=3)


def test_epoch_that_goes_away_is_an_error() -> None:
    """Somebody deletes what must never be deleted."""
    create = CreateEpoch(PATHS.epoch, EpochRecord().dump())
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, None), (create, None), (EPOCH, None))
    with pytest.raises(RequestFailed, match="no such node"):
        play(campaign(candidacy()), *lines)


def test_epoch_that_another_has_made_meanwhile_is_as_good_as_ours() -> None:
    """Two candidates find that there is none and make it at the same time: the later one reads what is there."""
    create = CreateEpoch(PATHS.epoch, EpochRecord().dump())
    lines = ((LIST, (OURS,)), (INSPECT, MINE), (PRIMARY, None), (EPOCH, None), (create, RequestFailure.EXISTS))
    assert play(campaign(candidacy()), *lines, (EPOCH, epoch(0, 0)), (claim(1, 0), None)) == Won(epoch=1)
    with pytest.raises(RequestFailed, match="no such node"):
        play(campaign(candidacy()), *lines[:-1], (create, RequestFailure.MISSING))


@pytest.mark.parametrize(
    "value", [b"\xff", b"[]", b'{"epoch": "7"}', b'{"epoch": -1}', b'{"epoch": 9223372036854775808}']
)
def test_epoch_that_cannot_be_read_stops_the_election_in_words(value: bytes) -> None:
    """Guessing would break the one thing it is for; the words name the node and what is to be done."""
    ours = candidacy(candidate=OWN)
    with pytest.raises(RemoteProtocolError, match=f"^{PATHS.epoch}: .*deletes that node or puts it right"):
        play(campaign(ours), (GLANCE, ((OURS,), MINE, None, Node(owner=0, value=value))))
    assert ours.highest == 0


@pytest.mark.parametrize("number", [2**53, 2**62, 2**63 - 2, 2**63 - 1])
def test_epoch_that_no_election_has_reached_is_not_followed(number: int) -> None:
    """It is refused in words and not remembered, so that what is put in its place counts."""
    ours = candidacy(candidate=OWN, highest=7)
    with pytest.raises(RemoteProtocolError, match=f"epoch {number} is higher than any election can have reached"):
        play(campaign(ours), (GLANCE, ((OURS,), MINE, None, epoch(number))))
    assert play(campaign(ours), (GLANCE, ((OURS,), MINE, None, epoch(5))), (claim(8), None)) == Won(epoch=8)


def test_epoch_of_a_group_that_nobody_knows_anything_of_begins_at_the_clock() -> None:
    """At the time when our candidate was made, so it is none that a lost tree has seen."""
    made = Node(owner=7, made_at=1_700_000_000_123)
    lines = ((GLANCE, ((OURS,), made, None, epoch(0))), (claim(1_700_000_000_124), None))
    assert play(campaign(candidacy(candidate=OWN)), *lines) == Won(epoch=1_700_000_000_124)
    stepwise = ((LIST, (OURS,)), (INSPECT, made), (PRIMARY, None), (EPOCH, epoch(0)))
    assert play(campaign(candidacy()), *stepwise, (claim(1_700_000_000_124), None)) == Won(epoch=1_700_000_000_124)


@pytest.mark.parametrize(
    ("newest", "claimed"),
    [
        (1_700_000_000_050, 1_700_000_000_124),
        (1_700_000_000_123, 1_700_000_000_124),
        (1_800_000_000_000, 1_800_000_000_001),
        (7, 8),
    ],
    ids=["later than it", "as late", "before it: the clock was wrong", "counted from 1"],
)
def test_epoch_is_above_the_newest_and_the_clock(newest: int, claimed: int) -> None:
    """Except that a group which began when epochs were counted from 1 goes on like that."""
    made = Node(owner=7, made_at=1_700_000_000_123)
    lines = ((GLANCE, ((OURS,), made, None, epoch(newest))), (claim(claimed), None))
    assert play(campaign(candidacy(candidate=OWN)), *lines) == Won(epoch=claimed)


@pytest.mark.parametrize("known_candidate", [True, False])
def test_candidate_that_knows_of_a_higher_epoch_says_so(known_candidate: bool) -> None:
    """ZooKeeper came back without its data, or with older ones, and somebody leads who cannot know."""
    told = RaiseEpoch(epoch=PATHS.epoch, epoch_value=EpochRecord(epoch=9).dump(), version=3)
    behind = (WatchPredecessor(PATHS.candidate(OTHER)), Node(owner=3))
    leader = primary(2, owner=3, instance="w0")
    for answer in (None, RequestFailure.CONFLICT):
        if known_candidate:
            lines = ((GLANCE, ((OURS, OTHER), MINE, leader, epoch(2))), behind)
        else:
            lines = ((LIST, (OURS, OTHER)), (INSPECT, MINE), behind, (PRIMARY, leader), (EPOCH, epoch(2)))
        known = candidacy(candidate=OWN if known_candidate else None, highest=9)
        assert isinstance(play(campaign(known), *lines, (told, answer)), Queued)
    with pytest.raises(RequestFailed):
        play(
            campaign(known),
            *((GLANCE, ((OURS, OTHER), MINE, leader, epoch(2))), behind),
            (told, RequestFailure.UNKNOWN),
        )


def test_candidate_whose_answers_are_slow_does_not_claim() -> None:
    """It could not keep a lease; others can."""
    told = play(campaign(candidacy(candidate=OWN, slow=True)), (GLANCE, ((OURS,), MINE, None, epoch(2))))
    assert told == Unfit()


@pytest.mark.parametrize(
    ("candidate", "node", "counter", "reason"),
    [
        (MINE, primary(3), epoch(3, 8, instance="w1"), None),
        (None, primary(3), epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (Node(owner=6), primary(3), epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (MINE, None, epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (MINE, primary(3, owner=6), epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (MINE, primary(4), epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (MINE, Node(owner=7, value=b"?"), epoch(3, instance="w1"), Reason.NODE_REMOVED),
        (MINE, primary(3), None, Reason.EPOCH_LOST),
        (MINE, primary(3), epoch(2, instance="w1"), Reason.EPOCH_LOST),
        (MINE, primary(3), epoch(3, instance="w0"), Reason.EPOCH_LOST),
        (MINE, primary(3), epoch(3, heir="w2", instance="w1"), Reason.EPOCH_LOST),
        (MINE, primary(3), Node(owner=0, value=b"?"), Reason.EPOCH_LOST),
        (MINE, primary(3), epoch(2**63 - 1, instance="w1"), Reason.EPOCH_LOST),
        (MINE, primary(3), epoch(4), Reason.SUPERSEDED),
    ],
)
def test_verification_wants_all_three_nodes(
    candidate: Node | None, node: Node | None, counter: Node | None, reason: Reason | None
) -> None:
    """Ours by owner, the primary's with our epoch, and the epoch's with our name; its version is learnt."""
    ours = candidacy(candidate=OWN, epoch_version=4)
    assert play(verify(ours, 3), (AUDIT, (candidate, counter, node))) is reason
    assert ours.epoch_version == (8 if reason is None else 4)
    assert ours.highest == (4 if reason is Reason.SUPERSEDED else ours.highest)


def test_nothing_is_ours_without_a_session() -> None:
    """A persistent node has the owner 0, which is no session."""
    assert not CandidateState(participant=OURSELVES).is_ours(Node(owner=0))


def test_resignation_is_one_transaction() -> None:
    """Tombstone, primary and candidate, at the version that our claim left."""
    ours = candidacy(candidate=OWN, epoch_version=4, highest=3)
    record = EpochRecord(epoch=3, instance="w1", handed_over=True, heir="w2")
    request = ReleaseEpoch(
        primary=PATHS.primary, epoch=PATHS.epoch, epoch_value=record.dump(), version=4, candidate=OWN
    )
    assert play(resign(ours, heir="w2", handed_over=True), (request, None)) == Resigned()


def test_resignation_that_is_refused_goes_step_by_step() -> None:
    """Candidates first, whichever session made them, then the primary's node if it is ours."""
    ours = candidacy(candidate=OWN, epoch_version=4, highest=3)
    told = play(
        resign(ours, heir="", handed_over=False),
        (release(3, 4, candidate=OWN, instance="w1"), RequestFailure.MISSING),
        (DeleteCandidate(OWN), None),
        (LAST_LOOK, ((OTHER, GHOST), epoch(3, version=4), primary(3))),
        (DeleteCandidate(PATHS.candidate(GHOST)), RequestFailure.MISSING),
        (LAST_LOOK, ((OTHER,), epoch(3, version=4), primary(3))),
        (release(3, 4), None),
    )
    assert told == Resigned()


def test_resignation_without_an_answer_is_tried_again_step_by_step() -> None:
    """What may have happened is not asked for twice."""
    ours = candidacy(candidate=OWN, epoch_version=4, highest=3)
    with pytest.raises(RequestFailed):
        play(
            resign(ours, heir="", handed_over=False),
            (release(3, 4, candidate=OWN, instance="w1"), RequestFailure.UNKNOWN),
        )
    lines = ((DeleteCandidate(OWN), RequestFailure.MISSING), (LAST_LOOK, (None, epoch(3), None)))
    assert play(resign(ours, heir="", handed_over=False), *lines) == Resigned()


@pytest.mark.parametrize(
    "found", [None, Node(owner=0, version=5, value=b"?"), epoch(2, version=5), epoch(2**62, version=5)]
)
def test_resignation_puts_the_epoch_right(found: Node | None) -> None:
    """Whoever holds the primary's node knows the epoch: gone, unreadable, too low or incredible, it is written anew."""
    ours = candidacy(candidate=OWN, highest=3)
    lines: list[tuple[ElectionRequest, ElectionAnswer | RequestFailure]] = [
        (DeleteCandidate(OWN), None),
        (LAST_LOOK, ((), found, primary(3))),
    ]
    if found is None:
        lines.append((CreateEpoch(PATHS.epoch, EpochRecord(epoch=3).dump()), None))
        lines.append((LAST_LOOK, ((), epoch(3, version=5), primary(3))))
    written = release(3, 5, instance="w0" if found is None else "w1")
    assert play(resign(ours, heir="", handed_over=False), *lines, (written, None)) == Resigned()


def test_resignation_that_is_refused_again_and_again_pauses() -> None:
    """Somebody writes the epoch's node whenever we have read it; the node of the primary must not stay for that."""
    ours = candidacy(candidate=OWN, highest=3)
    round_trip = ((LAST_LOOK, ((), epoch(3, version=5), primary(3))), (release(3, 5), RequestFailure.CONFLICT))
    with pytest.raises(RequestFailed, match="another version"):
        play(resign(ours, heir="", handed_over=False), (DeleteCandidate(OWN), None), *(4 * round_trip))


def test_history_is_given_up_when_it_is_refused_and_tried_again_without_an_answer() -> None:
    """Nothing depends on it."""
    line = RecordHistory(path=PATHS.history, record=candidacy().primary_record(1), reason=None)
    assert play(record(line), (line, None)) == Recorded(line)
    assert play(record(line), (line, RequestFailure.OTHER)) == Recorded(line)
    with pytest.raises(RequestFailed):
        play(record(line), (line, RequestFailure.UNKNOWN))
