"""The arithmetic of the lease."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.election.lease import (
    Lease,
    claim_patience,
    drop_after,
    heartbeat_interval,
    is_weak,
    lease_end,
    support_limit,
)


def test_lease_is_valid_before_its_end_only() -> None:
    """The end itself is too late."""
    lease = Lease(session_id=1, until=10.0)
    assert lease.is_valid(9.999) and not lease.is_valid(10.0)
    assert lease.left(9.0) == 1.0 and lease.left(11.0) == 0.0


def test_lease_of_regular_heartbeats_follows_the_rule() -> None:
    """The heartbeat but one supports it: 0.7 T after the last."""
    timeout = 6.0
    before = 100.0 - 2 * heartbeat_interval(timeout, weak=False)
    assert before <= support_limit(100.0, timeout)
    end = lease_end(100.0, before, timeout)
    assert end == pytest.approx(104.2) and not is_weak(end, 100.0, timeout)


def test_lease_after_a_pause_is_as_short_as_its_support() -> None:
    """Nothing said for T/2 before: the leader's clock may have run that long already."""
    end = lease_end(100.0, 97.0, 6.0)
    assert end == pytest.approx(102.82) and is_weak(end, 100.0, 6.0)


def test_lease_leaves_time_to_move() -> None:
    """Dropping an unanswered connection, and a heartbeat elsewhere, fit into a lease."""
    assert drop_after(6.0) + heartbeat_interval(6.0, weak=False) < 0.5 * 6.0
    assert heartbeat_interval(6.0, weak=True) < heartbeat_interval(6.0, weak=False) <= 1.0


@given(st.floats(0, 1e6), st.floats(0, 20), st.floats(1, 60))
def test_lease_never_outlives_what_was_heard(sent_at: float, age: float, timeout: float) -> None:
    """Whatever the ages: the end is before the support's time plus T, with room for clocks that differ by 3 %."""
    assert lease_end(sent_at, sent_at - age, timeout) <= sent_at - age + 0.97 * timeout + 1e-6


def test_claim_has_time_for_one_other_connection_and_ends_within_a_lease() -> None:
    """Who needs two cannot keep what it claims."""
    assert drop_after(6.0) + heartbeat_interval(6.0, weak=False) < claim_patience(6.0) <= 2 * drop_after(6.0)
    assert claim_patience(6.0) < 0.7 * 6.0
