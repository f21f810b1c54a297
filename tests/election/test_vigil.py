"""When to look again without a reason."""

from __future__ import annotations

import pytest

from zkrpc.election.candidate_state import CandidateState
from zkrpc.election.tree import ElectionPaths
from zkrpc.election.vigil import Vigil
from zkrpc.endpoint import Endpoint


@pytest.fixture
def candidacy() -> CandidateState:
    """Ours."""
    return CandidateState(paths=ElectionPaths("ledger"), candidate_id="w1.u", instance="w1", endpoint=Endpoint("h", 1))


def test_vigil_audits_once_in_a_while(candidacy: CandidateState) -> None:
    """And only while there is something to look at."""
    vigil = Vigil(30.0, lambda: 0.0)
    assert not vigil.is_over(candidacy, 100.0)
    vigil.begin(1.0)
    vigil.wait(candidacy, 1.0, for_heir=False, place=0, patience=2.0)
    assert vigil.at == 25.0 and not vigil.is_over(candidacy, 24.9) and vigil.is_over(candidacy, 25.0)
    assert vigil.at is None and candidacy.polite
    vigil.begin(26.0)
    vigil.end()
    assert not vigil.is_over(candidacy, 100.0) and "at=None" in repr(vigil)


def test_vigil_gives_an_heir_a_second_and_then_those_before_us_their_time(candidacy: CandidateState) -> None:
    """Nobody waits for ever for one who does not come; and whoever comes after somebody led has all its time again."""
    vigil = Vigil(30.0, lambda: 0.0)
    vigil.wait(candidacy, 0.0, for_heir=True, place=2, patience=2.0)
    assert vigil.at == 1.0 and vigil.is_over(candidacy, 1.0) and not candidacy.patient and candidacy.polite
    vigil.wait(candidacy, 1.0, for_heir=False, place=2, patience=2.0)
    assert vigil.at == 4.0 and vigil.is_over(candidacy, 4.0) and not candidacy.polite
    vigil.begin(5.0)
    vigil.wait(candidacy, 5.0, for_heir=False, place=0, patience=2.0)
    assert vigil.at == 29.0 and candidacy.patient and candidacy.polite


def test_vigil_is_longer_for_those_at_the_back(candidacy: CandidateState) -> None:
    """Not all lose patience at once."""
    vigil = Vigil(30.0, lambda: 0.0)
    times = []
    for place in (1, 2, 3):
        vigil.wait(candidacy, 0.0, for_heir=False, place=place, patience=2.0)
        times.append(vigil.at)
    assert times == [2.5, 3.0, 3.5]
