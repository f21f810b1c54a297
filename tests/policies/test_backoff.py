"""Exponential pauses with full jitter."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.policies.backoff import Backoff


def test_bound_doubles_up_to_the_longest() -> None:
    """0.1, 0.2, 0.4, 0.8, then 1 for ever."""
    backoff = Backoff(first=0.1, longest=1.0)
    assert [backoff.bound(failures) for failures in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.0, 1.0]


def test_pause_is_a_share_of_the_bound() -> None:
    """Full jitter: the dice decide over the whole range."""
    assert Backoff(first=0.1, longest=1.0).pause(2, lambda: 0.5) == 0.2


@settings(deadline=None)
@given(st.integers(0, 10**9), st.floats(0, 0.9999))
def test_pause_stays_within_its_bounds_for_any_count(failures: int, roll: float) -> None:
    """No number of failures overflows or exceeds the longest pause."""
    assert 0 <= Backoff(first=0.01, longest=3.0).pause(failures, lambda: roll) <= 3.0
