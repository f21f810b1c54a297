"""How measured takeovers are held against what is promised."""

from __future__ import annotations

import dataclasses

from faults.breakages import hand_over, worker_killed
from faults.takeover import RIDDEN_OUT, TAKEOVERS, Round, Rounds, judge
from scripts.report import Report

QUICK = Round(elections=1, without_primary=0.02, without_answer=0.03, calm=0.01, failed=0, repeated=2)
RIDDEN = Round(elections=0, without_primary=None, without_answer=0.03, calm=0.01, failed=0, repeated=0)


def good() -> Rounds:
    """Two rounds of each kind, as they should be."""
    return {one.fault: [QUICK, QUICK] for one in TAKEOVERS} | {fault: [RIDDEN, RIDDEN] for fault in RIDDEN_OUT}


def failed(rounds: Rounds) -> list[str]:
    """The names of the checks that fail."""
    report = Report("takeover", 1)
    judge(report, rounds)
    return [check.name for check in report.checks if not check.ok]


def test_takeover_that_is_quick_passes() -> None:
    """And so does a fault of ZooKeeper that nobody notices."""
    assert failed(good()) == []


def test_one_slow_takeover_fails_the_worst_and_not_the_median() -> None:
    """The promise is for each of them."""
    slow = dataclasses.replace(QUICK, without_primary=0.2)
    assert failed(good() | {hand_over: [QUICK, slow, QUICK]}) == ["hand_over, without a primary, worst ms"]


def test_callers_have_a_bound_of_their_own() -> None:
    """A client that finds the next primary late is not the election's fault."""
    late = dataclasses.replace(QUICK, without_answer=0.3)
    assert failed(good() | {worker_killed: [QUICK, QUICK, late]}) == [
        "worker_killed, callers without an answer, worst ms"
    ]


def test_takeover_that_was_not_measured_has_not_passed() -> None:
    """Nobody led afterwards, or no such fault was made."""
    unknown = dataclasses.replace(QUICK, without_primary=None)
    assert "hand_over, without a primary, median ms" in failed(good() | {hand_over: [QUICK, unknown]})
    report = Report("takeover", 1)
    judge(report, {})
    assert report.checks and not any(check.ok for check in report.checks)


def test_fault_that_is_to_be_ridden_out_must_not_be_noticed() -> None:
    """Neither by an election nor by a call that had to be repeated."""
    elected = dataclasses.replace(RIDDEN, elections=1)
    refused = dataclasses.replace(RIDDEN, repeated=1)
    first, second = RIDDEN_OUT
    told = failed(good() | {first: [RIDDEN, elected], second: [refused, RIDDEN]})
    assert told == [
        f"{first.__name__}, elections (0: same primary, same epoch)",
        f"{second.__name__}, calls that failed or were refused",
    ]
