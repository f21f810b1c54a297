"""What a run has shown, as text and as values."""

from __future__ import annotations

import json
import math

import pytest

from zkrpc.loadtest.tally import Tally, brief


def test_latency_counts_from_the_moment_at_which_a_call_was_due() -> None:
    """A call that was made late because the ones before it were slow has been slow itself."""
    tally = Tally(rate=10, counts_from=100.0)
    tally.record(100.0, 100.0, 101.0, "ok", "yes")
    tally.record(100.1, 101.0, 101.1, "ok", "yes")
    assert tally.latencies.least == tally.latencies.most == 1.0
    assert tally.lateness.most == pytest.approx(0.9) and tally.achieved() == pytest.approx(10)


def test_the_warm_up_does_not_count() -> None:
    """Whatever becomes due before the measurement, also if it ends within."""
    tally = Tally(rate=10, counts_from=100.0)
    tally.record(99.9, 99.9, 105.0, "Unavailable", "no")
    assert tally.latencies.count == 0 and not tally.outcomes and math.isnan(tally.achieved())
    assert [*tally.lines()] == ["calls     0 at -/s, 10/s wanted"]


def test_a_run_is_told_to_people_and_programs() -> None:
    """Errors by kind with whether they were executed, percentiles, and a picture."""
    tally = Tally(rate=100, counts_from=0.0)
    for number in range(99):
        tally.record(number / 100, number / 100, number / 100 + 0.001, "ok", "yes")
    tally.record(0.99, 0.99, 1.49, "DeadlineExceeded", "maybe")
    tally.unsent, tally.abandoned = 3, 1
    lines = [*tally.lines()]
    assert lines[:5] == [
        "calls     100 at 100/s, 100/s wanted",
        "          99 ok",
        "          1 DeadlineExceeded (executed=MAYBE)",
        "          3 due and not made, as too many were under way",
        "          1 under way when it was broken off",
    ]
    assert lines[5].startswith("latency   mean 5.99ms p50 1.00ms ") and lines[5].endswith(" max 500ms")
    assert lines[6] == "          of which the generator was late by p99 0µs max 0µs"
    assert [line.split()[-1] for line in lines[7:] if "█" in line] == ["99", "1"]
    told = json.loads(json.dumps(tally.plain()))
    assert (told["calls"], told["ok"], told["unsent"], told["abandoned"]) == (100, 99, 3, 1)
    assert told["outcomes"][1] == {"outcome": "DeadlineExceeded", "executed": "maybe", "count": 1}
    assert [*told["latency"]] == ["mean", "min", "p50", "p90", "p95", "p99", "p99.9", "p99.99", "max"]
    assert told["latency"]["max"] == pytest.approx(0.5) and told["achieved_rate"] == pytest.approx(100)


def test_kinds_of_outcomes_are_bounded() -> None:
    """However many names a peer finds for its errors."""
    tally = Tally(rate=1, counts_from=0.0)
    for number in range(1000):
        tally.record(number, number, number, f"kind {number}", "no")
    assert len(tally.outcomes) <= 65 and sum(tally.outcomes.values()) == 1000
    assert tally.outcomes["others", "maybe"] == 936


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0, "0µs"), (0.0000123, "12µs"), (0.00123, "1.23ms"), (0.0123, "12.3ms"), (0.123, "123ms"), (1.5, "1.50s"),
     (75.0, "75.0s"), (math.nan, "-")],
)  # fmt: skip
def test_durations_are_told_in_three_digits(seconds: float, text: str) -> None:
    """With the unit that suits them."""
    assert brief(seconds) == text
