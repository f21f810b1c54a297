"""The histogram of latencies: small, and right to within a hundredth."""

from __future__ import annotations

import math
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.loadtest.histogram import LONGEST, Histogram


def filled(values: list[float]) -> Histogram:
    """A histogram of these durations."""
    histogram = Histogram()
    for value in values:
        histogram.record(value)
    return histogram


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=60), st.sampled_from([0, 1, 50, 90, 99, 99.9, 100]))
def test_percentiles_are_right_to_within_a_hundredth(values: list[float], percent: float) -> None:
    """Beside the value of that rank in the sorted list; extremes and mean are exact."""
    found, capped = filled(values), sorted(min(value, LONGEST) for value in values)
    exact = capped[max(1, math.ceil(len(capped) * percent / 100)) - 1]
    assert abs(found.percentile(percent) - exact) <= exact * 0.01 + 1.5e-6
    assert (found.count, found.least, found.most) == (len(values), capped[0], capped[-1])
    assert found.mean == pytest.approx(sum(capped) / len(capped)) and found.percentile(100) == capped[-1]


@given(st.lists(st.floats(0, 4000), min_size=1, max_size=60), st.integers(1, 12))
def test_the_picture_shows_every_duration_once(values: list[float], most: int) -> None:
    """In at most so many rows of growing length, up to the largest."""
    rows = [*filled(values).steps(most)]
    assert 1 <= len(rows) <= most and sum(count for _, count in rows) == len(values)
    ends = [end for end, _ in rows]
    assert ends == sorted(ends) and ends[-1] == max(min(max(values), LONGEST), 1e-6)


def test_an_empty_histogram_has_no_figures() -> None:
    """And no picture."""
    empty = Histogram()
    assert math.isnan(empty.mean) and math.isnan(empty.percentile(50)) and [*empty.steps(5)] == []


def test_its_size_does_not_depend_on_what_it_counts() -> None:
    """A duration below nothing is nothing, and one above an hour is an hour."""
    found = filled([-1.0, 1e9])
    assert (found.least, found.most, found.percentile(50)) == (0.0, LONGEST, 0.0)
    assert sys.getsizeof(found._counts) < 30_000
