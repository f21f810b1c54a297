"""Lists that shrink, and which of them are doubted."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkrpc.client.guard import CollapseGuard


def guard(floor: float = 0.5, window: float = 10.0) -> CollapseGuard:
    """With the usual settings."""
    return CollapseGuard(floor=floor, window=window)


def test_guard_doubts_a_list_that_lost_more_than_half() -> None:
    """Half of it is believed."""
    assert not guard().receive_list(5, 10, 0.0)
    assert guard().receive_list(4, 10, 0.0)


def test_guard_doubts_an_empty_list_but_not_one_that_was_empty() -> None:
    """Even the last one of all."""
    assert guard().receive_list(0, 1, 0.0)
    assert guard(floor=0.0).receive_list(0, 1, 0.0)
    assert not guard().receive_list(0, 0, 0.0)


def test_guard_looks_back_over_its_window() -> None:
    """Steps that are small by themselves add up; what is longer ago does not count."""
    small = guard()
    sizes = [(9, 10, 0.0), (7, 9, 2.0), (5, 7, 4.0), (4, 5, 6.0)]
    assert [small.receive_list(*step) for step in sizes] == [False, False, False, True]
    assert repr(small) == "<CollapseGuard [10, 9, 7, 5]>"
    slow = guard()
    assert [slow.receive_list(size, before, 11.0 * at) for size, before, at in sizes] == [False] * 4
    assert repr(slow) == "<CollapseGuard [5]>"


def test_guard_believes_everything_without_a_window() -> None:
    """For those who know better."""
    assert not guard(window=0.0).receive_list(0, 100, 0.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5)), min_size=1, max_size=40))
def test_guard_is_suspicious_exactly_below_the_floor_of_the_largest_recent_list(steps: list[tuple[int, float]]) -> None:
    """Against the obvious way to compute it."""
    some, history, now, before = guard(), [], 0.0, 0
    for size, pause in steps:
        now += pause
        history.append((now, before))
        largest = max(old for at, old in history if at >= now - 10.0)
        assert some.receive_list(size, before, now) is (size < largest * 0.5 or size == 0 < before)
        before = size
