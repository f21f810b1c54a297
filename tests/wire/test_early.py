"""Deadlines out of order: the nearest one first, none of calls that are over, and never many of those."""

from __future__ import annotations

from typing import Any

from zkrpc.wire.early import EarlyDeadlines


def test_early_deadlines_come_before_later_ones_of_any_kind() -> None:
    """The first is the nearest of all, or what the caller knows of otherwise."""
    pending: dict[int, Any] = {1: ("a", 3.0, 1, 0), 2: ("b", 2.0, 2, 0)}
    early = EarlyDeadlines(pending)
    assert early.first(9.0) == 9.0
    early.add(3.0, 1, 1)
    early.add(2.0, 2, 2)
    assert (early.first(9.0), early.first(1.0), len(early)) == (2.0, 1.0, 2)
    assert repr(early) == "<EarlyDeadlines 2>"
    del pending[2]
    assert early.first(9.0) == 3.0


def test_early_deadlines_expire_for_pending_calls_only() -> None:
    """An id that was given to another call meanwhile is another call."""
    pending: dict[int, Any] = {1: ("a", 1.0, 1, 0), 2: ("b", 2.0, 2, 0), 3: ("c", 3.0, 3, 0)}
    early = EarlyDeadlines(pending)
    for call_id, call in pending.items():
        early.add(call[1], call_id, call[2])
    pending[1] = ("d", 9.0, 4, 0)
    assert early.expire(2.5) == [2]
    del pending[2]
    assert (early.expire(2.5), early.first(9.0)) == ([], 3.0)
    early.clear()
    assert len(early) == 0


def test_early_deadlines_are_swept_of_calls_that_are_over() -> None:
    """What is over does not pile up."""
    pending: dict[int, Any] = {}
    early = EarlyDeadlines(pending)
    for call_id in range(1, 1000):
        early.add(1.0, call_id, call_id)
    assert len(early) <= 66
