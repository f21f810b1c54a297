"""The checker of histories, against histories that are known to be right or wrong, and against all permutations."""

from __future__ import annotations

import dataclasses
import itertools
import math
import random
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faults.linearizability import Kind, Operation, Undecided, check

LOST = math.inf


def read(start: float, end: float, balance: int, account: str = "a") -> Operation:
    """A read and what it answered."""
    return Operation(account=account, kind=Kind.READ, invoked_at=start, returned_at=end, balance=balance)


def add(start: float, end: float, amount: int, balance: int | None = None, account: str = "a") -> Operation:
    """An addition and what it answered, if it did."""
    return Operation(account=account, kind=Kind.ADD, invoked_at=start, returned_at=end, amount=amount, balance=balance)


GOOD = {
    "nothing": [],
    "one after another": [add(0, 1, 5, 5), read(2, 3, 5), add(4, 5, -2, 3), read(6, 7, 3)],
    "a read beside an addition may see it": [add(0, 10, 5, 5), read(2, 3, 5), read(4, 5, 5)],
    "a read beside an addition may miss it": [add(0, 10, 5, 5), read(2, 3, 0), read(4, 5, 5)],
    "additions side by side in either order": [add(0, 10, 1, 3), add(0, 10, 2, 2), read(11, 12, 3)],
    "ends that touch overlap": [add(0, 1, 5, 5), read(1, 2, 0)],
    "done without saying the balance": [add(0, 1, 5), add(0, 1, 2), read(2, 3, 7)],
    "a lost answer, done": [add(0, LOST, 5), read(2, 3, 5)],
    "a lost answer, never done": [add(0, LOST, 5), read(2, 3, 0), add(4, 5, 1, 1)],
    "a lost answer, done much later": [add(0, LOST, 5), read(2, 3, 0), add(4, 5, 1, 1), read(6, 7, 6)],
    "two of three lost answers": [*(add(0, LOST, n) for n in (1, 3, 9)), read(1, 2, 9), read(3, 4, 10)],
    "a lost answer under a read's whole time": [read(0, 10, 5), add(3, LOST, 5)],
    "the same key twice, each right": [add(0, 1, 5, 5), add(0, 1, 7, 7, "b"), read(2, 3, 5), read(2, 3, 7, "b")],
}

BAD = {
    "a stale read": [add(0, 1, 5, 5), read(2, 3, 0)],
    "a read of the future": [read(0, 1, 5), add(2, 3, 5, 5)],
    "a read that goes back": [add(0, 10, 5, 5), read(1, 2, 5), read(3, 4, 0)],
    "a lost update": [add(0, 2, 5, 5), add(1, 3, 7, 7), read(4, 5, 7)],
    "an acknowledged write that vanished": [add(0, 1, 5, 5), add(2, 3, 7, 7)],
    "done twice": [add(0, 1, 5, 5), read(2, 3, 10)],
    "a retry done twice": [add(0, 3, 5, 10), read(4, 5, 10)],
    "a lost answer done twice": [add(0, LOST, 5), read(1, 2, 5), read(3, 4, 10)],
    "done, though told otherwise": [read(0, 1, 0), read(2, 3, 5)],
    "a lost answer undone": [add(0, LOST, 5), read(1, 2, 5), read(3, 4, 0)],
    "a lost answer before it was asked": [read(0, 1, 5), add(2, LOST, 5)],
    "a read from a deposed primary": [
        add(0, 1, 1, 1),
        add(2, 3, 1, 2),  # by the new primary
        read(2.5, 2.9, 2),
        read(4, 5, 1),  # from the old one's memory
    ],
    "two primaries accept beside each other": [add(0, 1, 1, 1), add(2, 3, 10, 11), add(2, 3, 100, 101), read(4, 5, 11)],
    "answers in the wrong order": [add(0, 1, 1, 3), add(2, 3, 2, 2)],
    "done, but not when it said so": [add(0, 1, 5), read(2, 3, 0), read(4, 5, 5)],
    "money from nowhere": [add(0, LOST, 3), add(0, LOST, 5), read(1, 2, 4)],
}


@pytest.mark.parametrize("history", GOOD.values(), ids=GOOD)
def test_a_history_that_has_an_order_is_accepted(history: list[Operation]) -> None:
    """In whatever order it is given."""
    assert check(history) == []
    assert check(reversed(history)) == []
    assert explained(history)


@pytest.mark.parametrize("history", BAD.values(), ids=BAD)
def test_a_history_without_an_order_is_rejected(history: list[Operation]) -> None:
    """The violation names the account."""
    (violation,) = check(history)
    assert violation.account == "a"
    assert not explained(history)


def test_accounts_are_judged_one_by_one() -> None:
    """Only the wrong one is named, with what could not follow."""
    history = [add(0, 1, 5, 15, "x"), read(2, 3, 15, "x"), add(0, 1, 5, 25, "y"), read(2, 3, 20, "y")]
    (violation,) = check(history, initial={"x": 10, "y": 20})
    assert violation.placed == 1 and violation.stuck == (history[3],)
    assert str(violation) == (
        "account y: after 1 operations the balance is 25; no fit:\n  [2.000000, 3.000000] read -> 20"
    )


@pytest.mark.parametrize(
    ("operation", "text"),
    [
        (add(0, LOST, 3), "[0.000000, inf] add 3 -> no answer"),
        (add(0, 1, 3), "[0.000000, 1.000000] add 3 -> done"),
        (dataclasses.replace(add(0, 1, 3, 4), who="alpha"), "[0.000000, 1.000000] add 3 -> 4 alpha"),
    ],
)
def test_an_operation_reads_as_the_client_saw_it(operation: Operation, text: str) -> None:
    """Times, what was asked, what was answered."""
    assert str(operation) == text


@pytest.mark.parametrize(("start", "end", "amount", "balance"), [(2, 1, 0, 0), (0, LOST, 0, 1), (0, 1, 5, 5)])
def test_what_no_client_can_have_seen_is_refused(start: float, end: float, amount: int, balance: int) -> None:
    """Ends before it begins; an answer without an answer; a read of an amount."""
    with pytest.raises(ValueError):
        Operation(account="a", kind=Kind.READ, invoked_at=start, returned_at=end, amount=amount, balance=balance)


def test_a_search_without_end_says_so() -> None:
    """A bound is no verdict: any half of these lost answers explains the first read, and none the second."""
    history = [*(add(n, LOST, 1000 + n) for n in range(30)), read(50, 51, 15_000 + 200), read(52, 53, 1)]
    with pytest.raises(Undecided, match="account a: not decided within 1000 steps"):
        check(history, most_steps=1000)


def test_many_lost_answers_do_not_blow_up_the_search() -> None:
    """Forty lost answers have 2^40 outcomes; right and wrong are told apart all the same."""
    rng = random.Random(1)
    lost = [add(n, LOST, rng.randrange(2, 60, 2)) for n in range(40)]
    total = sum(one.amount for one in lost[::3])
    assert check([*lost, read(50, 51, total), add(52, 53, 1, total + 1)], most_steps=100) == []
    assert len(check([*lost, read(50, 51, total + 1)], most_steps=100)) == 1
    equal = [add(n, LOST, 2) for n in range(200)]
    assert check([*equal, read(400, 401, 200)], most_steps=1000) == []


# -- histories made by chance ------------------------------------------------------------------------


def sequential(rng: random.Random, count: int, *, lost: float = 0.1, silent: float = 0.1) -> list[Operation]:
    """What clients might see of an object that does one thing after another, at the times 0, 1, 2, …"""
    history, balance = [], 0
    for moment in range(count):
        start, end = moment - rng.expovariate(0.4), moment + rng.expovariate(0.4)
        amount = rng.randrange(-9, 10)
        if rng.random() < 0.4:
            history.append(read(start, end, balance))
        elif rng.random() < lost:
            happens = rng.random() < 0.5
            balance += amount if happens else 0
            history.append(add(start, LOST, amount))
        else:
            balance += amount
            history.append(add(start, end, amount, None if rng.random() < silent else balance))
    return history


def explained(history: Sequence[Operation]) -> bool:
    """The definition itself: some subset of the lost ones, in some order that respects time, gives the answers."""
    answered = [one for one in history if one.is_answered]
    missing = [one for one in history if not one.is_answered]
    return any(
        _in_some_order([*answered, *some], {})
        for size in range(len(missing) + 1)
        for some in itertools.combinations(missing, size)
    )


def _in_some_order(left: list[Operation], balances: dict[object, int]) -> bool:
    if not left:
        return True
    for one in left:
        if any(other.returned_at < one.invoked_at for other in left):
            continue
        balance = balances.get(one.account, 0) + one.amount
        fits = one.balance in (None, balance)
        if fits and _in_some_order([other for other in left if other is not one], balances | {one.account: balance}):
            return True
    return False


@settings(max_examples=150, deadline=None)
@given(st.integers(), st.integers(0, 120))
def test_a_sequential_object_is_always_accepted(seed: int, count: int) -> None:
    """However its operations overlap, and whatever is lost.

    Seeds are drawn and not chances: with those, everything would overlap everything.
    """
    assert check(sequential(random.Random(seed), count)) == []


@st.composite
def small_histories(draw: st.DrawFn) -> list[Operation]:
    """Up to six operations with small numbers, right as often as wrong."""
    history = []
    for _ in range(draw(st.integers(0, 6))):
        start = draw(st.integers(0, 8))
        end = draw(st.one_of(st.integers(start, 9), st.just(LOST)))
        amount = draw(st.sampled_from([-1, 1, 1, 2]))
        balance = draw(st.integers(-1, 3))
        if draw(st.booleans()) and end < LOST:
            history.append(read(start, end, balance))
        else:
            history.append(add(start, end, amount, balance if end < LOST and draw(st.booleans()) else None))
    return history


@settings(max_examples=150, deadline=None)
@given(small_histories())
def test_the_verdict_is_the_definitions(history: list[Operation]) -> None:
    """Trying every order of every subset finds the same, for histories small enough to try."""
    assert bool(check(history)) is not explained(history)


def test_a_changed_answer_is_mostly_rejected() -> None:
    """One answer that is wrong by a little, in a history of fifty: nine of ten are noticed."""
    rng = random.Random(7)
    noticed = 0
    for _ in range(200):
        history = sequential(rng, 50, lost=0.02)
        victim = rng.choice([index for index, one in enumerate(history) if one.balance is not None])
        wrong = history[victim].balance or 0
        history[victim] = dataclasses.replace(history[victim], balance=wrong + rng.choice([-2, -1, 1, 2]))
        noticed += bool(check(history))
    assert noticed >= 180


def test_a_long_history_is_checked_quickly() -> None:
    """Eight thousand operations of one account, with some dozen lost answers on the way."""
    assert check(sequential(random.Random(3), 8000, lost=0.01), most_steps=200_000) == []
