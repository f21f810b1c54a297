"""Deadlines as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.deadline import Deadline


def test_deadline_counts_down_to_its_instant() -> None:
    """It has time left before its instant and none from it on."""
    deadline = Deadline.after(2.0, now=10.0)
    assert deadline.remaining(11.5) == 0.5
    assert not deadline.has_expired(11.9) and deadline.has_expired(12.0)
    assert min(deadline, Deadline(11.0)) == Deadline(11.0)


@given(st.floats(0, 1e6), st.floats(0, 1e6), st.floats(0, 10))
def test_deadline_only_shrinks_over_a_hop(timeout: float, sent_at: float, transit: float) -> None:
    """What a peer makes of the budget never leaves it more time than we have ourselves."""
    deadline = Deadline.after(timeout, sent_at)
    received = Deadline.from_budget(deadline.budget(sent_at), sent_at + transit)
    assert received is not None
    assert received.remaining(sent_at + transit) <= deadline.remaining(sent_at) + 1e-6


def test_deadline_budget_is_never_negative() -> None:
    """An expired deadline travels as zero."""
    assert Deadline(1.0).budget(5.0) == "0"


@pytest.mark.parametrize("text", ["", "-1", "1.5", "abc", "٣", "12345678901"])
def test_deadline_refuses_what_is_not_milliseconds(text: str) -> None:
    """A peer's nonsense is no deadline, and no error."""
    assert Deadline.from_budget(text, now=0.0) is None
