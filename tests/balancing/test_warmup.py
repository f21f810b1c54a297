"""A new process is loaded by degrees, and a wrong clock does little harm."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.balancing.warmup import LEAST, WARM_UP, seconds_until_warm, warm_share


@pytest.mark.parametrize(("age", "share"), [(0.0, 0.1), (10.0, 0.4), (20.0, 0.7), (30.0, 1.0), (3000.0, 1.0)])
def test_share_grows_linearly_with_age(age: float, share: float) -> None:
    """From a tenth to all of it in half a minute."""
    assert math.isclose(warm_share(age, 0.0), share)


def test_client_that_comes_later_sees_the_same_share() -> None:
    """The start time tells what this client could not see itself."""
    assert warm_share(25.0, 1.0) == warm_share(25.0, 25.0)


@pytest.mark.parametrize("age", [-5.0, -1e9, -math.inf, math.nan])
def test_start_time_in_the_future_keeps_nobody_cold(age: float) -> None:
    """A clock that is wrong by years costs the member one warm-up by this client's own clock, and no more."""
    assert warm_share(age, 0.0) == pytest.approx(LEAST)
    assert warm_share(age, WARM_UP / 2) == pytest.approx((1 + LEAST) / 2)
    assert warm_share(age, WARM_UP) == 1.0


def test_unknown_start_time_counts_as_long_ago() -> None:
    """Who registers none, such as a fixed list, is not warmed up: 1970 is a while ago."""
    assert warm_share(1.7e9, 0.0) == 1.0


def test_no_warming_up_at_all() -> None:
    """A duration of 0 switches it off."""
    assert warm_share(0.0, 0.0, warm_up=0.0) == 1.0
    assert seconds_until_warm(0.0, 0.0, warm_up=0.0) == 0.0


@given(st.floats(), st.floats(0, 1e6), st.floats(0.001, 1e4), st.floats(0, 1, exclude_min=True), st.floats(0, 1e4))
def test_share_only_grows_and_stops_when_it_says(
    age: float, known_for: float, warm_up: float, least: float, later: float
) -> None:
    """Between the least and 1, never falling, changing exactly as long as ``seconds_until_warm`` says."""
    share = warm_share(age, known_for, warm_up, least)
    assert least <= share <= 1.0
    assert warm_share(age + later, known_for + later, warm_up, least) >= share * (1 - 1e-9)
    wait = seconds_until_warm(age, known_for, warm_up)
    assert 0.0 <= wait <= warm_up
    assert wait > 0 or share == 1.0
    assert warm_share(age + wait, known_for + wait, warm_up, least) == pytest.approx(1.0)
