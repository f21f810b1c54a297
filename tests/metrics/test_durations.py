"""A histogram that is cheap to fill."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.metrics.durations import BOUNDS, Durations, Exemplar


@pytest.mark.parametrize("bucket, bound", [*enumerate(BOUNDS)])
def test_duration_is_in_the_bucket_of_the_lowest_bound_that_holds_it(bucket: int, bound: float) -> None:
    """A bound belongs to its own bucket, as Prometheus says ``le``."""
    one_by_one, all_at_once = Durations(), Durations()
    one_by_one.record(bound)
    one_by_one.record(bound * 1.0001)
    all_at_once.record_all([bound * 1.0001, bound])
    for durations in (one_by_one, all_at_once):
        counts = durations.read().counts
        assert (counts[bucket], counts[bucket + 1], sum(counts)) == (1, 1, 2)


def test_durations_above_all_bounds_are_counted() -> None:
    """In the last bucket, and in the sum like all others."""
    durations = Durations()
    for seconds in (0.0, 3600.0, 0.25):
        durations.record(seconds)
    found = durations.read()
    assert found.counts[-1] == 1 and found.counts[0] == 1 and found.total == 3600.25
    assert repr(durations) == "<Durations 3 in 3600.25 s>"


@given(st.lists(st.floats(0.0, 100.0)))
def test_many_durations_are_counted_as_each_of_them_is(seconds: list[float]) -> None:
    """In the same buckets, with the same sum, also none at all."""
    one_by_one, all_at_once = Durations(), Durations()
    for one in seconds:
        one_by_one.record(one)
    all_at_once.record_all(seconds)
    all_at_once.record_all([])
    assert all_at_once.read().counts == one_by_one.read().counts
    assert all_at_once.read().total == pytest.approx(one_by_one.read().total)


def test_bounds_are_those_of_opentelemetry_and_finer_ones() -> None:
    """The advice for calls is kept, so that a histogram of ours can be compared with anybody's."""
    advised = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
    assert BOUNDS[-len(advised) :] == advised and list(BOUNDS) == sorted(BOUNDS)


def test_newest_trace_of_a_slow_call_is_kept() -> None:
    """For each bucket, if there is a trace; quick calls are not asked for one."""
    trace = [""]
    asked: list[str] = []

    def find_trace() -> str:
        asked.append(trace[0])
        return trace[0]

    durations = Durations(find_trace)
    durations.record(0.0001)
    assert asked == []
    durations.record(0.2)
    assert durations.read().exemplars == (None,) * (len(BOUNDS) + 1)
    for trace[0] in ("a" * 32, "b" * 32):
        durations.record(0.2)
    trace[0] = ""
    durations.record(0.2)
    durations.record_all([0.2])
    assert [one for one in durations.read().exemplars if one] == [Exemplar("b" * 32, 0.2)]
