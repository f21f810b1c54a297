"""Everybody in turn, evenly, and across changes of the list."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target, targets
from zkrpc.balancing.round_robin import RoundRobin


def robin(candidates: list[Target], *, seed: int = 1, previous: RoundRobin[Target] | None = None) -> RoundRobin[Target]:
    """A picker that begins where these dice say."""
    return RoundRobin(candidates, rng=random.Random(seed).random, previous=previous)


def no_dice() -> float:
    """For picks that must not need any."""
    raise AssertionError("no dice")


def take(picker: RoundRobin[Target], count: int, avoid: Sequence[set[Target]] = ()) -> list[Target]:
    """The next picks."""
    picks = [picker.pick(no_dice, 0.0, avoid) for _ in range(count)]
    return [pick for pick in picks if pick is not None]


def test_equals_are_picked_in_turn() -> None:
    """Every stretch as long as the list has everybody in it once, always in the same order."""
    candidates = targets(1, 1, 1, 1, 1)
    picker = robin(candidates)
    first = take(picker, 5)
    assert set(first) == set(candidates)
    assert take(picker, 50) == first * 10


def test_pick_of_nobody_is_none() -> None:
    """Without candidates, or without any that weighs something, there is no turn."""
    idle = targets(0, -1)
    picker = robin(idle)
    assert len(picker) == 0
    assert take(picker, 1) == take(picker, 1, (set(idle),)) == []


def test_clients_do_not_march_in_step() -> None:
    """Where a client begins is a matter of its dice: each of four is first for about a quarter of the clients."""
    counts = Counter(repr(take(robin(targets(1, 1, 1, 1), seed=seed), 1)) for seed in range(400))
    assert len(counts) == 4 and min(counts.values()) > 70


def test_heavy_one_is_spread_among_the_light() -> None:
    """Weight 4 among two of weight 1: two thirds of the picks, and the light ones are not picked in a row."""
    heavy, *_ = candidates = targets(4, 1, 1)
    picks = take(robin(candidates, seed=2), 60)
    assert picks.count(heavy) == 40
    assert all(heavy in picks[index : index + 3] for index in range(58))


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.floats(0.01, 100), min_size=2, max_size=8),
    st.integers(),
    st.integers(0, 60),
    st.integers(1, 120),
)
def test_nobody_is_ahead_by_more_than_a_turn(weights: list[float], seed: int, skipped: int, length: int) -> None:
    """In any stretch of picks, each two have had as many turns as they weigh, up to one turn of each."""
    candidates = targets(*weights)
    picker = robin(candidates, seed=seed)
    take(picker, skipped)
    counts = Counter(take(picker, length))
    for one in candidates:
        for other in candidates:
            gap = counts[one] / one.weight - counts[other] / other.weight
            assert gap <= (1 / one.weight + 1 / other.weight) * (1 + 1e-9)


def test_avoided_ones_are_skipped_and_the_others_keep_their_order() -> None:
    """The cycle simply lacks them."""
    candidates = targets(1, 1, 1, 1)
    cycle = take(robin(candidates), 4)
    avoided = {cycle[0], cycle[2]}
    assert take(robin(candidates), 10, (avoided,)) == [cycle[1], cycle[3]] * 5


def test_avoided_one_saves_up_no_turns() -> None:
    """After a hundred picks without it, it gets its share again and not a hundred calls in a row."""
    down, *_ = candidates = targets(1, 1, 1)
    picker = robin(candidates)
    assert down not in take(picker, 100, ({down},))
    assert Counter(take(picker, 30)) == {one: 10 for one in candidates}


def test_far_lighter_one_is_picked_at_once_when_it_is_the_last() -> None:
    """However long its turn takes to come, it costs no search."""
    heavy, light = targets(1e9, 1e-9)
    assert take(robin([heavy, light]), 3, ({heavy},)) == [light] * 3


def test_unchanged_list_carries_on_where_it_was() -> None:
    """A picker made anew after every pick gives the same picks as one that is never made anew."""
    candidates = targets(3, 1, 2, 1.5)
    steady = take(robin(candidates), 200)
    picker, picks = robin(candidates), []
    for seed in range(200):
        picks += take(picker, 1)
        picker = robin(candidates, seed=seed, previous=picker)
    assert picks == steady


@pytest.mark.parametrize("every", [1, 2, 3, 7])
def test_frequent_changes_neither_favour_nor_starve(every: int) -> None:
    """While one warms up and the list is made anew every few picks, each gets what its weights added up to."""
    *grown, young = candidates = targets(1, 1, 1, 0.1)
    picker, counts, due = robin(candidates), Counter[Target](), 0.0
    for step in range(300):
        picker = robin(candidates, seed=step, previous=picker)
        counts.update(take(picker, every))
        due += every * young.weight / (3 + young.weight)
        young.weight = min(1.0, young.weight + 0.01)
    assert abs(counts[young] - due) < 2
    assert max(counts[one] for one in grown) - min(counts[one] for one in grown) <= 1


def test_newcomer_and_leaver_leave_the_others_in_their_order() -> None:
    """Those who stay go on in the same cycle."""
    candidates = targets(1, 1, 1, 1, 1)
    picker = robin(candidates[:4])
    cycle = take(picker, 4)
    leaver, newcomer = cycle[0], candidates[4]
    picker = robin([one for one in candidates if one is not leaver], previous=picker)
    picks = take(picker, 16)
    assert picks.count(newcomer) == 4
    assert [one for one in picks if one is not newcomer] == cycle[1:] * 4


def test_first_after_nobody_begins_at_random() -> None:
    """A predecessor that had nobody hands nothing over."""
    assert len(take(robin(targets(1, 1), previous=robin([])), 4)) == 4


def test_repr_says_who_is_next() -> None:
    """The test surface of the line."""
    [only] = targets(2)
    assert (repr(robin([])), repr(robin([only]))) == ("<RoundRobin of 0>", "<RoundRobin of 1, next t0>")
