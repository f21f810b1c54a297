"""Equal keys to the same place, and only the keys move that must."""

from __future__ import annotations

import math
import random
import uuid
from collections import Counter
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target, targets
from zkrpc.balancing.consistent_hash import SLOTS, ConsistentHash

KEYS = [f"user-{number}" for number in range(3000)]


def no_dice() -> float:
    """For picks that must not need any."""
    raise AssertionError("no dice")


def owners(
    picker: ConsistentHash[Target], keys: Sequence[str] = KEYS, avoid: Sequence[set[Target]] = ()
) -> dict[str, str]:
    """Who gets each key, by name."""
    return {key: repr(picker.pick(no_dice, 0.0, avoid, key)) for key in keys}


def moved(before: dict[str, str], after: dict[str, str]) -> set[tuple[str, str]]:
    """From whom to whom keys moved."""
    return {(before[key], after[key]) for key in before if before[key] != after[key]}


def test_every_client_sends_a_key_to_the_same_place() -> None:
    """The order of the list plays no part, nor which keys were asked for before."""
    candidates = targets(1, 2, 1, 3)
    one, other = ConsistentHash(candidates), ConsistentHash(candidates[::-1])
    assert owners(one) == owners(one) == owners(other, KEYS[::-1])


def test_pick_of_nobody_is_none() -> None:
    """A key has no owner where nobody can be picked."""
    picker = ConsistentHash(targets(0, -1))
    assert len(picker) == 0
    assert picker.pick(no_dice, 0.0, key="user-1") is None


def test_places_of_keys_stay_from_version_to_version() -> None:
    """Written down, because clients of different versions must agree."""
    assert list(owners(ConsistentHash(targets(1, 1, 1, 1, 1)), KEYS[:8]).values()) == [
        "t2",
        "t2",
        "t2",
        "t2",
        "t2",
        "t0",
        "t1",
        "t4",
    ]


def test_leaver_gives_its_keys_to_all_others_and_nothing_else_moves() -> None:
    """A server that dies costs only its own keys their warmth."""
    candidates = targets(*[1] * 8)
    before = owners(ConsistentHash(candidates))
    assert moved(before, owners(ConsistentHash(candidates[1:]))) == {("t0", f"t{number}") for number in range(1, 8)}


def test_newcomer_takes_keys_from_all_others_and_nothing_else_moves() -> None:
    """The same the other way round."""
    candidates = targets(*[1] * 8)
    before = owners(ConsistentHash(candidates[:7]))
    assert moved(before, owners(ConsistentHash(candidates))) == {(f"t{number}", "t7") for number in range(7)}


def test_heavier_one_only_takes_and_lighter_one_only_gives() -> None:
    """A change of one weight moves keys only to, or only from, the one that changed."""
    candidates = targets(*[1] * 5)
    before = owners(ConsistentHash(candidates))
    candidates[2].weight = 2.0
    after = owners(ConsistentHash(candidates))
    assert moved(before, after) == {(f"t{number}", "t2") for number in (0, 1, 3, 4)}
    assert moved(after, before) == {("t2", f"t{number}") for number in (0, 1, 3, 4)}


@pytest.mark.parametrize(
    "name_key",
    [str, "{:08d}".format, "user-{}@example.org".format, lambda number: str(uuid.UUID(int=number**7 % 2**128))],
)
def test_shares_follow_weights_whatever_keys_look_like(name_key: Callable[[int], str]) -> None:
    """Slots are dealt by weight, and keys fall evenly into slots: each share is within 4 deviations of what is fair."""
    weights = [1, 1, 2, 4, 0.5, 8]
    picker, count = ConsistentHash(targets(*weights)), 20_000
    counts = Counter(owners(picker, [name_key(number) for number in range(count)]).values())
    for number, weight in enumerate(weights):
        fair = weight / sum(weights)
        deviation = math.sqrt(fair * (1 - fair) * (1 / count + 1 / SLOTS))
        assert abs(counts[f"t{number}"] / count - fair) < 4 * deviation


def test_next_in_order_steps_in_for_an_avoided_owner() -> None:
    """Only the avoided one's keys move, and to those who would own them if it were gone."""
    down, *rest = candidates = targets(1, 2, 3, 1)
    assert owners(ConsistentHash(candidates), avoid=({down},)) == owners(ConsistentHash(rest))


def test_call_without_a_key_goes_to_the_less_loaded() -> None:
    """Nothing is gained by sending all of them to one place."""
    busy, calm = targets(1, 1)
    busy.load.pending += 1
    picker, rng = ConsistentHash([busy, calm]), random.Random(1)
    assert {picker.pick(rng.random, 0.0) for _ in range(20)} == {calm}
    assert {picker.pick(rng.random, 0.0, ({calm},)) for _ in range(20)} == {busy}


fleets = st.dictionaries(st.integers(0, 9), st.sampled_from([0.1, 0.5, 1.0, 2.0]), max_size=8)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(fleets, st.integers(0, 40)), min_size=2, max_size=5))
def test_inherited_owners_are_those_a_fresh_look_would_find(history: list[tuple[dict[int, float], int]]) -> None:
    """Whatever came, went, rose or fell, and however little was asked in between, nothing is remembered wrongly."""
    picker: ConsistentHash[Target] | None = None
    for fleet, asked in history:
        candidates = [Target(f"t{number}", weight) for number, weight in fleet.items()]
        picker = ConsistentHash(candidates, previous=picker)
        owners(picker, KEYS[:asked])
        assert owners(picker, KEYS[20:60]) == owners(ConsistentHash(candidates), KEYS[20:60])


def test_repr_says_how_much_is_known() -> None:
    """The test surface: slots are settled as they are asked for, and once."""
    picker = ConsistentHash(targets(1, 1))
    assert repr(picker) == "<ConsistentHash of 2, 0 slots settled>"
    owners(picker, ["one", "two", "one", "\udc80"])
    assert repr(picker) == "<ConsistentHash of 2, 3 slots settled>"
