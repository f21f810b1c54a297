"""The referee: one table, answers at once, all of a request or nothing of it."""

from __future__ import annotations

from zkrpc.election.effects import (
    ClaimEpoch,
    CreateCandidate,
    CreateEpoch,
    DeleteCandidate,
    InspectCandidate,
    ListCandidates,
    MakeParents,
    Node,
    ReadEpoch,
    ReadPrimary,
    RecordHistory,
    ReleaseEpoch,
    RequestFailure,
    Together,
)
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.testing.referee import Referee

CANDIDATES, PRIMARY, EPOCH = "/e/candidates", "/e/primary", "/e/epoch"


class Bench:
    """A referee with two sessions, and how often it said that something changed."""

    def __init__(self) -> None:
        self.changes = 0
        self.referee = Referee(self._change)
        self.one, self.two = self.referee.enter(), self.referee.enter()

    def _change(self) -> None:
        self.changes += 1

    def enrol(self) -> tuple[str, str]:
        """Both stand, and the epoch is made; the paths of their candidates."""
        assert self.referee.ask(MakeParents("/e", CANDIDATES), self.one) is None
        for session, name in ((self.one, "a.x-"), (self.two, "b.x-")):
            assert self.referee.ask(CreateCandidate(f"{CANDIDATES}/{name}", b""), session) is None
        assert self.referee.ask(CreateEpoch(EPOCH, b"0"), self.one) is None
        names = self.referee.ask(ListCandidates(CANDIDATES), self.one)
        assert isinstance(names, tuple)
        first, second = (f"{CANDIDATES}/{name}" for name in names)
        return first, second


def claim(candidate: str, version: int, value: bytes = b"1") -> ClaimEpoch:
    """The transaction that makes a primary."""
    return ClaimEpoch(
        candidate=candidate, primary=PRIMARY, primary_value=b"p", epoch=EPOCH, epoch_value=value, version=version
    )


def test_referee_makes_one_primary_and_tells_everybody_of_every_change() -> None:
    """A second claim finds the first one's node; a refused request changes nothing, and nobody is woken by it."""
    bench = Bench()
    referee, (first, second) = bench.referee, bench.enrol()
    assert bench.changes == 4
    assert referee.ask(claim(first, 0), bench.one) is None and bench.changes == 5
    assert referee.ask(claim(second, 1), bench.two) is RequestFailure.EXISTS
    assert referee.ask(CreateEpoch(EPOCH, b""), bench.two) is RequestFailure.EXISTS
    assert referee.ask(DeleteCandidate(f"{CANDIDATES}/c"), bench.two) is RequestFailure.MISSING
    reads = (ListCandidates("/nowhere"), InspectCandidate(second), ReadPrimary(PRIMARY), ReadEpoch(EPOCH))
    assert referee.ask(Together(reads), bench.two) == (
        None,
        Node(owner=bench.two),
        Node(owner=bench.one, value=b"p"),
        Node(owner=0, version=1, value=b"1"),
    )
    record = PrimaryRecord(epoch=1, instance="a", endpoint=Endpoint("memory", 0))
    assert referee.ask(RecordHistory(path="/e/history", record=record, reason=None), bench.one) is None
    assert bench.changes == 5 and repr(referee) == "<Referee sessions=2 nodes=6>"


def test_referee_compares_versions_and_candidates() -> None:
    """What was read before somebody else's claim cannot be claimed, nor without a candidate, nor released twice."""
    bench = Bench()
    referee, (first, second) = bench.referee, bench.enrol()
    assert referee.ask(claim(second, 7), bench.two) is RequestFailure.CONFLICT and referee.look(PRIMARY) is None
    assert referee.ask(claim(f"{CANDIDATES}/c", 0), bench.two) is RequestFailure.MISSING
    assert referee.ask(claim(first, 0), bench.one) is None
    release = ReleaseEpoch(primary=PRIMARY, epoch=EPOCH, epoch_value=b"1-", version=1, candidate=first)
    assert referee.ask(release, bench.one) is None
    assert referee.look(PRIMARY) is referee.look(first) is None and referee.look(EPOCH) == Node(
        owner=0, version=2, value=b"1-"
    )
    assert referee.ask(release, bench.one) is RequestFailure.CONFLICT


def test_referee_forgets_what_lives_by_a_session_that_ends() -> None:
    """The next one can claim at once, and the dead one cannot ask any more."""
    bench = Bench()
    referee, (first, second) = bench.referee, bench.enrol()
    assert referee.ask(claim(first, 0), bench.one) is None
    referee.leave(bench.one)
    assert referee.look(PRIMARY) is referee.look(first) is None
    assert referee.ask(claim(first, 1), bench.one) is RequestFailure.SESSION_ENDED
    assert referee.ask(claim(second, 1), bench.two) is None
