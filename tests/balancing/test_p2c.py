"""Two random choices, weights, and keeping away from some."""

from __future__ import annotations

import heapq
import random
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target, targets
from zkrpc.balancing.p2c import P2C


def closed_loop(candidates: list[Target], seconds: dict[str, float], *, callers: int, calls: int) -> Counter[str]:
    """Plays callers that call again as soon as they are answered; returns how many calls each candidate got."""
    rng = random.Random(7)
    picker = P2C(candidates)
    running: list[tuple[float, int, Target, float]] = []
    counts: Counter[str] = Counter()
    now = 0.0
    for number in range(calls):
        if len(running) >= callers:
            now, _, done, began = heapq.heappop(running)
            done.load.finish(now - began, now)
        target = picker.pick(rng.random, now)
        assert target is not None
        target.load.pending += 1
        counts[target.name] += 1
        heapq.heappush(running, (now + seconds[target.name] * rng.uniform(0.9, 1.1), number, target, now))
    return counts


def test_pick_of_nobody_is_none() -> None:
    """Without candidates there is no pick."""
    assert P2C([]).pick(random.Random(1).random, 0.0) is None


def test_pick_of_one_is_that_one() -> None:
    """A single candidate needs no dice."""
    [only] = targets(1)
    assert P2C([only]).pick(random.Random(1).random, 0.0) is only


def test_weights_that_are_no_weights_are_never_picked() -> None:
    """Zero, negative, infinite and not-a-number take a candidate out of the picking."""
    picker = P2C(targets(0, -1, float("inf"), float("nan")))
    assert len(picker) == 0
    assert picker.pick(random.Random(1).random, 0.0) is None


def test_less_loaded_of_two_is_picked() -> None:
    """With two candidates the pair is both of them, so the cheaper one always wins."""
    busy, calm = targets(1, 1)
    for target in (busy, calm):
        target.load.pending += 1
        target.load.finish(0.01, 0.0)
    busy.load.pending += 1
    rng = random.Random(1)
    assert {P2C([busy, calm]).pick(rng.random, 0.0) for _ in range(50)} == {calm}


def test_equal_candidates_share_equally() -> None:
    """Nobody is favoured among idle equals."""
    picker, rng = P2C(targets(1, 1, 1, 1)), random.Random(3)
    counts = Counter(repr(picker.pick(rng.random, 0.0)) for _ in range(8000))
    assert all(1800 < counts[f"t{index}"] < 2200 for index in range(4))


def test_slow_instance_gets_the_smaller_share() -> None:
    """An instance ten times slower is left to the others."""
    names = {"t0": 0.01, "t1": 0.01, "t2": 0.1}
    counts = closed_loop(targets(1, 1, 1), names, callers=12, calls=6000)
    assert counts["t2"] < 600 < 2000 < min(counts["t0"], counts["t1"])


def test_weights_are_honoured_between_two() -> None:
    """Under load, an instance of weight 3 gets three times the calls of one of weight 1."""
    counts = closed_loop(targets(3, 1), {"t0": 0.01, "t1": 0.01}, callers=32, calls=6000)
    assert 2.2 < counts["t0"] / counts["t1"] < 3.8


def test_weights_are_honoured_among_many() -> None:
    """One heavy instance among twenty light ones is drawn by its weight, not by its number."""
    candidates = targets(10, *[1] * 20)
    counts = closed_loop(candidates, {target.name: 0.01 for target in candidates}, callers=90, calls=9000)
    assert 2000 < counts["t0"] < 4000


def test_extreme_weight_still_gives_two_choices() -> None:
    """When the dice keep drawing the same one, its neighbour is the other choice."""
    heavy, light = targets(1e9, 1e-9)
    heavy.load.pending += 1
    rng = random.Random(1)
    assert P2C([heavy, light]).pick(rng.random, 0.0) is light


def test_avoided_candidates_are_left_alone_while_others_exist() -> None:
    """A preference is kept as long as it can be."""
    down, tried, fresh = targets(1, 1, 1)
    rng = random.Random(1)
    picks = {P2C([down, tried, fresh]).pick(rng.random, 0.0, ({down}, {tried})) for _ in range(50)}
    assert picks == {fresh}


def test_last_group_to_avoid_is_given_up_first() -> None:
    """Better one that was tried than one that is down; better one that is down than none."""
    down, tried = targets(1, 1)
    rng = random.Random(1)
    assert {P2C([down, tried]).pick(rng.random, 0.0, ({down}, {tried})) for _ in range(20)} == {tried}
    assert P2C([down]).pick(rng.random, 0.0, ({down}, set())) is down


def test_repr_says_how_many() -> None:
    """The test surface of a picker."""
    assert (repr(P2C(targets(1, 1))), repr(P2C(targets(1, 2)))) == ("<P2C of 2>", "<P2C of 2 weighted>")


@settings(deadline=None, max_examples=150)
@given(
    st.lists(st.floats(0.001, 1000), min_size=1, max_size=12),
    st.sets(st.integers(0, 11)),
    st.lists(st.floats(0, 0.9999999), min_size=1, max_size=8),
)
def test_pick_always_answers_and_prefers_the_unavoided(
    weights: list[float], avoided: set[int], dice: list[float]
) -> None:
    """For any weights, dice and avoided set: somebody is picked, and an avoided one only if all are."""
    candidates = targets(*weights)
    group = {candidates[index] for index in avoided if index < len(candidates)}
    rolls = iter(dice * 20)
    pick = P2C(candidates).pick(lambda: next(rolls), 0.0, (group,))
    assert pick in candidates
    assert pick not in group or len(group) == len(candidates)
