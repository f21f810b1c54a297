"""What a candidate knows, when it stands back, and when it looks again."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.election.candidate_state import CandidacyBackoff, CandidateState, Eligibility, LookTimer, Participant
from zkrpc.election.effects import Node, Reason
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import INCREDIBLE_EPOCH, Endpoint
from zkrpc.errors import RemoteProtocolError

PATHS = ElectionPaths("ledger")


def candidacy(**known: int) -> CandidateState:
    """Ours, in session 7."""
    participant = Participant(paths=PATHS, instance="w1", endpoint=Endpoint("h", 1), unique="u")
    return CandidateState(participant=participant, session_id=7, **known)


def test_candidate_asks_for_more_than_anybody_has_seen() -> None:
    """Whatever ZooKeeper says now; an epoch that cannot be one is not taken for one."""
    ours = candidacy()
    for seen in (9, 4, INCREDIBLE_EPOCH, 2**63 - 1):
        ours.note(seen)
    assert ours.highest == 9 and ours.next_epoch() == 10


@pytest.mark.parametrize("enrolled_at", [0, 5, 1_700_000_000_000, INCREDIBLE_EPOCH, 2**63])
def test_candidate_asks_for_an_epoch_that_fits_whatever_zookeepers_clock_says(enrolled_at: int) -> None:
    """At least 1, and far from the end."""
    asked = candidacy(enrolled_at=enrolled_at).next_epoch()
    assert 1 <= asked <= INCREDIBLE_EPOCH
    assert asked == (enrolled_at + 1 if enrolled_at < INCREDIBLE_EPOCH else 1)


def test_candidate_reads_the_epochs_node_or_says_what_is_wrong_with_it() -> None:
    """What it reads it remembers; what is not there is no reason for words."""
    ours = candidacy()
    assert ours.read(None) is None and ours.read(Node(owner=0, value=b"?")) is None
    assert ours.read(Node(owner=0, value=EpochRecord(epoch=4).dump())) == EpochRecord(epoch=4) and ours.highest == 4
    with pytest.raises(RemoteProtocolError, match="election/main/epoch: an election record is not JSON"):
        ours.read_or_refuse(Node(owner=0, value=b"?"))


def test_backoff_grows_with_failures_in_a_row_up_to_a_bound_that_recovery_can_wait_for() -> None:
    """Three a second it was once: a service whose instances are all sick must not elect as fast as it can."""
    backoff = CandidacyBackoff(lambda: 1.0)
    told = []
    for _ in range(5):
        backoff.begin(Reason.SYNCHRONISATION_FAILED, 0.0)
        told.append(backoff.until)
    assert told == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert backoff.times(Reason.SYNCHRONISATION_FAILED) == 5 and "failed': 5" in repr(backoff)
    backoff.forgive(Reason.SYNCHRONISATION_FAILED)
    backoff.begin(Reason.SYNCHRONISATION_FAILED, 0.0)
    assert backoff.until == 1.0


def test_backoff_is_over_at_its_time_and_then_forgotten() -> None:
    """So that nobody is woken for it again."""
    backoff = CandidacyBackoff(lambda: 0.0)
    assert not backoff.lasts(0.0)
    backoff.begin(Reason.HANDED_OVER, 1.0)
    assert backoff.until == pytest.approx(1.075) and backoff.lasts(1.0)
    backoff.handle_timer(1.07)
    assert backoff.until is not None
    assert not backoff.lasts(1.075)
    backoff.handle_timer(1.075)
    assert backoff.until is None


def test_backoff_is_for_some_reasons_only() -> None:
    """Whoever lost a session, or a node, stands again at once."""
    backoff = CandidacyBackoff(lambda: 1.0)
    for reason in (Reason.SESSION_ENDED, Reason.LEASE_ENDED, Reason.NODE_REMOVED, Reason.WITHDRAWN):
        backoff.begin(reason, 0.0)
        assert backoff.until is None


@pytest.fixture
def ours() -> CandidateState:
    """What we know at first."""
    return candidacy()


def test_look_timer_audits_once_in_a_while(ours: CandidateState) -> None:
    """And only while there is something to look at."""
    look_timer = LookTimer(30.0, lambda: 0.0)
    assert not look_timer.is_over(ours, 100.0)
    look_timer.begin(1.0)
    look_timer.wait(ours, 1.0, for_heir=False, place=0, patience=2.0)
    assert look_timer.at == 25.0 and not look_timer.is_over(ours, 24.9) and look_timer.is_over(ours, 25.0)
    assert look_timer.at is None and ours.polite
    look_timer.begin(26.0)
    look_timer.end()
    assert not look_timer.is_over(ours, 100.0) and "at=None" in repr(look_timer)


def test_look_timer_gives_an_heir_a_second_and_then_those_before_us_their_time(ours: CandidateState) -> None:
    """Nobody waits for ever for one who does not come; and whoever comes after somebody led has all its time again."""
    look_timer = LookTimer(30.0, lambda: 0.0)
    look_timer.wait(ours, 0.0, for_heir=True, place=2, patience=2.0)
    assert look_timer.at == 1.0 and look_timer.is_over(ours, 1.0) and not ours.patient and ours.polite
    look_timer.wait(ours, 1.0, for_heir=False, place=2, patience=2.0)
    assert look_timer.at == 4.0 and look_timer.is_over(ours, 4.0) and not ours.polite
    look_timer.begin(5.0)
    look_timer.wait(ours, 5.0, for_heir=False, place=0, patience=2.0)
    assert look_timer.at == 29.0 and ours.patient and ours.polite


def test_look_timer_is_longer_for_those_at_the_back(ours: CandidateState) -> None:
    """Not all lose patience at once."""
    look_timer = LookTimer(30.0, lambda: 0.0)
    times = []
    for place in (1, 2, 3):
        look_timer.wait(ours, 0.0, for_heir=False, place=place, patience=2.0)
        times.append(look_timer.at)
    assert times == [2.5, 3.0, 3.5]


class Place:
    """Our place in the registry."""

    def __init__(self, registered_in: int | None = None, conflict: str | None = None) -> None:
        self.registered_in = registered_in
        self.conflict = conflict

    def watch(self, event: Any) -> None:
        """Nothing comes by itself here."""

    def unwatch(self, event: Any) -> None:
        """Nor ends."""


def eligible() -> Eligibility:
    """Listed in session 7."""
    eligibility = Eligibility()
    eligibility.observe(Place(), 7, 0.0)
    assert not eligibility.may_stand
    eligibility.observe(Place(7), 7, 1.0)
    assert eligibility.may_stand and eligibility.next_timer() is None
    return eligibility


def test_instance_stands_once_it_is_listed_in_its_session() -> None:
    """A node of an earlier session is no place: it goes, and somebody else may come first."""
    eligibility = eligible()
    eligibility.observe(Place(7), 8, 2.0)
    assert not eligibility.may_stand
    eligibility.observe(Place(8), 8, 2.1)
    assert eligibility.may_stand


def test_instance_without_a_session_goes_on_as_it_was() -> None:
    """A lost connection is no reason to step down."""
    eligibility = eligible()
    eligibility.observe(Place(), None, 2.0)
    eligibility.observe(Place(7), 7, 50.0)
    assert eligibility.may_stand


def test_instance_whose_place_is_anothers_stops_at_once() -> None:
    """Two have one id, or a node that nobody owns is in the way: callers would be sent to somebody else."""
    eligibility = eligible()
    eligibility.observe(Place(None, "held by another"), 7, 2.0)
    assert not eligibility.may_stand and "may_stand=False" in repr(eligibility)
    eligibility.observe(Place(7), 7, 3.0)
    assert eligibility.may_stand


def test_instance_whose_node_is_missing_is_given_time_to_come_back() -> None:
    """Somebody deleted it; if it cannot be made again, this instance must not go on leading."""
    eligibility = eligible()
    eligibility.observe(Place(), 7, 2.0)
    assert eligibility.may_stand and eligibility.next_timer() == 4.0
    eligibility.observe(Place(7), 7, 2.1)
    assert eligibility.next_timer() is None
    eligibility.observe(Place(), 7, 3.0)
    eligibility.observe(Place(), 7, 4.9)
    assert eligibility.may_stand
    eligibility.observe(Place(), 7, 5.0)
    assert not eligibility.may_stand and eligibility.next_timer() is None


def test_missing_node_is_given_no_time_while_there_is_no_session() -> None:
    """It cannot be made again then; and a timer that nobody can act on would be in the past from then on."""
    eligibility = eligible()
    eligibility.observe(Place(), 7, 2.0)
    eligibility.observe(Place(), None, 3.0)
    assert eligibility.may_stand and eligibility.next_timer() is None
    eligibility.observe(Place(), 7, 50.0)
    assert eligibility.may_stand and eligibility.next_timer() == 52.0
    eligibility.observe(Place(), 7, 52.0)
    assert not eligibility.may_stand
