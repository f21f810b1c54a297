"""Deadlines as values."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.deadline import Deadline, read_budget


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


@given(st.integers(0, 2**31 - 1))
def test_deadline_budget_is_read_as_it_was_written(milliseconds: int) -> None:
    """Whole milliseconds; the widest one stands for all that is longer."""
    assert read_budget(str(milliseconds)) == milliseconds / 1000
    assert Deadline(read_budget(str(milliseconds)) + 0.0001).budget(0.0) == str(milliseconds)


@given(st.text(max_size=12) | st.integers().map(str) | st.text("0123456789٣²", max_size=12))
def test_both_readers_of_a_budget_agree(text: str) -> None:
    """A server that looks whether a call is too late, and a handler that looks how long it has, see the same time."""
    seconds, deadline = read_budget(text), Deadline.from_budget(text, now=100.0)
    assert seconds >= 0
    assert deadline == (None if seconds == math.inf else Deadline(100.0 + seconds))
    assert seconds == math.inf or seconds <= (2**31 - 1) / 1000
