"""A count that forgets, and what is known of it without knowing when each event came."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.policies.decay import DecayingCount


def test_count_forgets_with_its_window() -> None:
    """After one window an event counts for 1/e."""
    count = DecayingCount(30.0, 100.0)
    assert count.add(1.0, 100.0) == 1.0
    assert math.isclose(count.add(0.0, 130.0), 1 / math.e)


def test_steady_rate_is_worth_its_window() -> None:
    """Seven per second are 210 in 30 s, once the count has warmed up."""
    count = DecayingCount(30.0, 0.0)
    for second in range(1, 601):
        count.fold(7 * second, float(second))
    assert math.isclose(count.fold(7 * 600, 600.0), 210.0, rel_tol=1e-6)


def test_hour_of_events_folded_at_once_weighs_like_its_last_window() -> None:
    """Not having been asked for long does not make the past weigh more."""
    assert math.isclose(DecayingCount(30.0, 0.0).fold(7 * 3600, 3600.0), 210.0)


def test_events_without_elapsed_time_count_in_full() -> None:
    """A fold at the same instant, or at an earlier one, decays nothing and loses nothing."""
    count = DecayingCount(30.0, 100.0)
    assert count.fold(3, 100.0) == 3.0
    assert count.fold(5, 99.0) == 5.0
    assert count.fold(5, 100.0) == 5.0


def test_total_may_begin_anywhere() -> None:
    """A count that is made anew leaves out what its owner counted before."""
    assert DecayingCount(30.0, 0.0, total=1000).fold(1002, 0.0) == 2.0


def test_count_of_unknown_beginning_counts_nothing_before_its_first_fold() -> None:
    """Events that may be arbitrarily old are worth nothing; those after it count."""
    count = DecayingCount(30.0, -math.inf)
    assert count.fold(10**6, 50.0) == 0.0
    assert count.fold(10**6 + 1, 50.0) == 1.0


def test_count_shows_what_it_holds() -> None:
    """For people who debug."""
    assert repr(DecayingCount(30.0, 1.0, count=2.5)) == "<DecayingCount 2.500 at 1.000>"


@settings(deadline=None, max_examples=200)
@given(st.floats(0.01, 1000), st.lists(st.floats(0, 100), min_size=1, max_size=20), st.floats(0.1, 60))
def test_folding_more_often_changes_nothing_while_the_rate_is_steady(
    rate: float, pauses: list[float], window: float
) -> None:
    """One fold over a span, or many in it: the same count."""
    often, once, now = DecayingCount(window, 0.0), DecayingCount(window, 0.0), 0.0
    for pause in pauses:
        now += pause
        often.fold(rate * now, now)
    assert math.isclose(often.fold(rate * now, now), once.fold(rate * now, now), rel_tol=1e-6, abs_tol=1e-9)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(0, 1e6)), max_size=30), st.floats(0.001, 1e4))
def test_count_never_exceeds_what_was_counted(history: list[tuple[int, float]], window: float) -> None:
    """However events and time interleave, the count lies between nothing and the sum of them."""
    count, total, now = DecayingCount(window, 0.0), 0, 0.0
    for events, pause in history:
        total += events
        now += pause
        assert 0.0 <= count.fold(total, now) <= total * (1 + 1e-9)
