"""The budget of second attempts: a share of the calls, a reserve, and nothing saved up; and so many calls a second."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.policies.budget import RetryBudget, TokenBucket


def withdraw_all(budget: RetryBudget, now: float) -> int:
    """Takes tokens until there are none; how many there were."""
    taken = 0
    while budget.withdraw(now):
        taken += 1
    return taken


def test_budget_begins_with_its_reserve() -> None:
    """A client that has just started may send again: 10 per second over 10 s."""
    budget = RetryBudget(now=50.0)
    assert budget.balance(50.0) == 100.0
    assert withdraw_all(budget, 50.0) == 100
    assert budget.withdraw(50.0) is False


def test_calls_fill_the_budget() -> None:
    """Five calls pay for one more attempt."""
    budget = RetryBudget(reserve=0.0, now=0.0)
    budget.calls += 4
    assert not budget.withdraw(0.0)
    budget.calls += 1
    assert budget.withdraw(0.0)
    assert not budget.withdraw(0.0)


def test_reserve_fills_the_budget_without_calls() -> None:
    """Ten tokens per second, less what leaks on the way."""
    budget = RetryBudget(now=0.0)
    withdraw_all(budget, 0.0)
    assert 9.0 < budget.balance(1.0) < 10.0


def test_tokens_leak_with_the_window() -> None:
    """A burst of calls pays for retries soon after it, not for those of a minute later."""
    budget = RetryBudget(reserve=0.0, now=0.0)
    budget.calls += 1000
    assert budget.balance(0.0) == 200.0
    assert math.isclose(budget.balance(10.0), 200.0 / math.e)
    assert not budget.withdraw(60.0)


def test_long_calm_saves_up_no_more_than_a_window() -> None:
    """An hour at 100 calls per second leaves (0.2 * 100 + 10) * 10 tokens, asked for or not in between."""
    budget = RetryBudget(now=0.0)
    budget.calls += 360_000
    assert math.isclose(budget.balance(3600.0), 300.0)


@pytest.mark.parametrize(("rate", "reserve"), [(0, 10.0), (100, 0.0), (100, 10.0), (5000, 10.0)])
def test_lasting_trouble_is_granted_the_share_and_the_reserve(rate: int, reserve: float) -> None:
    """Everything fails: of each second's calls the budget lets ``0.2 * rate + reserve`` be sent again."""
    budget = RetryBudget(reserve=reserve, now=0.0)
    now, granted = 0.0, 0
    withdraw_all(budget, now)
    for _ in range(100 * 60):
        now += 0.01
        budget.calls += rate // 100
        granted += withdraw_all(budget, now)
    expected = 60 * (0.2 * rate + reserve)
    assert 0.999 * expected - 60 / 10 - 1 <= granted <= expected + 1


def test_budget_shows_what_it_holds() -> None:
    """For people who debug."""
    budget = RetryBudget(now=1.0)
    budget.calls += 3
    assert repr(budget) == "<RetryBudget calls=3 <DecayingCount 100.000 at 1.000>>"


moves = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(1, 2000)),
        st.tuples(st.just("wait"), st.floats(0, 30)),
        st.tuples(st.just("withdraw"), st.integers(1, 300)),
    ),
    max_size=60,
)


@settings(deadline=None, max_examples=300)
@given(moves, st.floats(0, 1), st.floats(0, 50), st.floats(0.1, 60), st.floats(0, 1e6), st.integers(0, 30))
def test_budget_never_overdraws(
    history: list[tuple[str, float]], ratio: float, reserve: float, window: float, start: float, skipped: int
) -> None:
    """Over any span and interleaving: no more than the balance at first, a share of the calls, and the reserve."""
    budget = RetryBudget(ratio=ratio, reserve=reserve, window=window, now=start)
    now, taken = start, 0
    span = (start, 0, 0, reserve * window)
    for step, (move, amount) in enumerate(history):
        if step == skipped:
            span = (now, budget.calls, taken, budget.balance(now))
        if move == "wait":
            now += amount
        elif move == "call":
            budget.calls += int(amount)
        else:
            taken += sum(budget.withdraw(now) for _ in range(int(amount)))
        began, calls, before, balance = span
        allowed = balance + ratio * (budget.calls - calls) + reserve * (now - began)
        assert taken - before <= allowed + 1e-6
        assert budget.balance(now) >= -1e-6


def test_budget_keeps_what_it_has_when_its_rates_change() -> None:
    """A spent one is not refilled, an unspent one not emptied, and what comes from then on comes at the new rates."""
    spent, unspent = RetryBudget(now=0.0), RetryBudget(now=0.0)
    withdraw_all(spent, 0.0)
    for budget in (spent, unspent):
        for _ in range(5):
            budget.change(ratio=0.3, reserve=10.0, now=0.0)
            budget.change(ratio=0.4, reserve=10.0, now=0.0)
        budget.calls += 10
    assert (spent.balance(0.0), unspent.balance(0.0)) == (4.0, 104.0)


def test_budget_with_a_smaller_reserve_gives_back_what_that_had_given() -> None:
    """A reserve of nothing is nothing at once; a debt is never made of it."""
    budget = RetryBudget(now=0.0)
    budget.calls += 100
    budget.change(ratio=0.2, reserve=0.0, now=0.0)
    assert math.isclose(budget.balance(0.0), 20.0)
    withdraw_all(budget, 0.0)
    budget.change(ratio=0.5, reserve=3.0, now=0.0)
    budget.change(ratio=0.5, reserve=0.0, now=0.0)
    assert budget.balance(0.0) == 0.0
    budget.calls += 4
    assert budget.withdraw(0.0) and budget.withdraw(0.0) and not budget.withdraw(0.0)


@given(
    st.lists(
        st.tuples(st.floats(0, 1), st.floats(0, 50), st.integers(0, 50), st.floats(0, 5), st.integers(0, 50)),
        max_size=20,
    )
)
def test_budget_makes_no_tokens_out_of_changes(steps: list[tuple[float, float, int, float, int]]) -> None:
    """However often the rates change: withdrawals are at most what was there at first and what was earned since."""
    budget, now, ratio, reserve = RetryBudget(now=0.0), 0.0, 0.2, 10.0
    allowed, taken = 100.0, 0
    for new_ratio, new_reserve, calls, pause, wanted in steps:
        budget.calls += calls
        now += pause
        allowed += ratio * calls + reserve * pause
        taken += sum(budget.withdraw(now) for _ in range(wanted))
        assert taken <= allowed + 1e-6
        ratio, reserve = new_ratio, new_reserve
        budget.change(ratio=ratio, reserve=reserve, now=now)
        assert budget.balance(now) > -1e-6


# -- so many calls a second


def test_bucket_allows_a_second_at_once_and_then_its_rate() -> None:
    """Who comes too early is told when there will be a token, and there is one then."""
    bucket = TokenBucket(10.0, 100.0)
    assert [bucket.take(100.0) for _ in range(10)] == [0.0] * 10
    assert bucket.take(100.0) == pytest.approx(0.1)
    assert bucket.take(100.05) == pytest.approx(0.05)
    assert bucket.take(100.101) == 0.0 and bucket.take(100.101) > 0
    assert "10/s" in repr(bucket)


def test_rate_below_one_allows_a_call_now_and_then() -> None:
    """One at once, and then one in so many seconds."""
    bucket = TokenBucket(0.1, 0.0)
    assert bucket.take(0.0) == 0.0
    assert bucket.take(5.0) == pytest.approx(5.0)
    assert bucket.take(10.1) == 0.0


def test_new_rate_holds_at_once() -> None:
    """What was saved up is cut to its measure; a higher one gives nothing before its time."""
    bucket = TokenBucket(100.0, 0.0)
    bucket.change(2.0, 0.0)
    assert [bucket.take(0.0) for _ in range(3)] == [0.0, 0.0, pytest.approx(0.5)]
    bucket.change(1000.0, 0.0)
    assert bucket.take(0.0) == pytest.approx(0.001)


def test_no_pattern_of_calls_gets_more_than_the_rate() -> None:
    """Over any span: a second's worth, and the rate."""
    dice = random.Random(7)
    for rate in (0.3, 5.0, 250.0):
        bucket, now, taken = TokenBucket(rate, 0.0), 0.0, 0
        for _ in range(5000):
            now += dice.choice((0.0, dice.expovariate(rate * 3)))
            taken += bucket.take(now) == 0.0
        assert rate * now * 0.5 <= taken <= rate * now + max(1.0, rate)
    bucket, granted = TokenBucket(5.0, 0.0), 0
    for tick in range(10_001):
        granted += bucket.take(tick / 1000) == 0.0
    assert 54 <= granted <= 56
