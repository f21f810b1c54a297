"""What a crowd is held to."""

from __future__ import annotations

import pytest

from faults.crowding import SLOWER, Visit, judge
from faults.load import Outcome
from scripts.report import Report


def calls(milliseconds: float) -> list[Outcome]:
    """A hundred that take so long at most."""
    return [Outcome(0.0, milliseconds * number / 100_000, True) for number in range(1, 101)]


@pytest.mark.parametrize(
    ("beside", "judged"),
    [
        ((3.0, 3.8, 3.0, 3.6, 3.2), 1.6),  # none is over the bound
        ((3.0, 30.0, 3.0, 50.0, 3.2), 1.6),  # the machine stood still now and then
        ((3.0, 4.2, 4.4, 4.6, 5.0), 2.2),  # the crowd costs too much
    ],
)
def test_the_median_of_all_times_is_judged(beside: tuple[float, ...], judged: float) -> None:
    """Each beside its own calm; and the report shows them all."""
    report = Report("crowd", 1)
    judge(report, "crowd", [Visit(calm=calls(2.0), calls=calls(each)) for each in beside])
    check, lost = report.checks
    assert check.value == judged and check.ok is (judged <= SLOWER)
    assert all(f"{each / 2:.2f}" in check.note for each in beside)
    assert lost.ok


def test_a_crowd_without_calls_beside_it_or_in_calm_has_not_passed() -> None:
    """Callers who were stopped altogether would else be the quickest."""
    for visit in (Visit(calm=[], calls=calls(2.0)), Visit(calm=calls(2.0), calls=[]), Visit(calm=[], calls=[])):
        report = Report("crowd", 1)
        judge(report, "crowd", [visit])
        assert not report.checks[0].ok


def test_one_lost_call_is_one_too_many() -> None:
    """Whichever time it was."""
    report, broken = Report("crowd", 1), Outcome(0.0, 1.0, True, error=ValueError("gone"))
    judge(report, "crowd", [Visit(calls(2.0), calls(2.0)), Visit(calls(2.0), [*calls(2.0), broken])])
    assert [check.ok for check in report.checks] == [True, False] and "gone" in report.checks[1].note
