"""What holds for every algorithm, and the choice among them."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target, targets
from zkrpc.balancing.picker import Picker, make_picker
from zkrpc.config import BALANCING
from zkrpc.errors import ConfigError


def made(kind: str, candidates: list[Target], previous: Picker[Target] | None = None) -> Picker[Target]:
    """A picker with dice of its own."""
    return make_picker(kind, candidates, rng=random.Random(5).random, previous=previous)


def test_unknown_kind_is_refused_with_the_choices() -> None:
    """The message says what would have been right."""
    with pytest.raises(ConfigError, match="'fastest' is not .*p2c, round_robin, consistent_hash"):
        made("fastest", [])


@pytest.mark.parametrize("kind", BALANCING)
@pytest.mark.parametrize("key", [None, "user 7"])
def test_nobody_is_picked_when_there_is_nobody(kind: str, key: str | None) -> None:
    """No candidates, or none with a weight: no pick, whether or not somebody is to be avoided."""
    idle = targets(0, -1, float("nan"))
    picker = made(kind, idle)
    assert len(picker) == 0
    assert picker.pick(random.random, 0.0, key=key) is None
    assert picker.pick(random.random, 0.0, (set(idle),), key) is None


@pytest.mark.parametrize("previous", BALANCING)
@pytest.mark.parametrize("kind", BALANCING)
def test_any_picker_can_take_the_place_of_any_other(kind: str, previous: str) -> None:
    """A change of the algorithm while calls go on needs no special care."""
    candidates = targets(1, 2, 3)
    picker = made(kind, candidates[1:], made(previous, candidates))
    assert len(picker) == 2
    assert {picker.pick(random.Random(1).random, 0.0, key=str(key)) for key in range(50)} <= set(candidates[1:])


@pytest.mark.parametrize("kind", BALANCING)
@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(0.001, 1000), min_size=1, max_size=12),
    st.lists(st.sets(st.integers(0, 11)), min_size=1, max_size=3),
    st.one_of(st.none(), st.text()),
    st.integers(),
)
def test_every_kind_prefers_those_not_avoided(
    kind: str, weights: list[float], groups: list[set[int]], key: str | None, dice: int
) -> None:
    """Somebody is always picked, and nobody of a group while there is anybody outside it and the groups before it."""
    candidates = targets(*weights)
    avoid = [{one for index, one in enumerate(candidates) if index in group} for group in groups]
    picker, rng = made(kind, candidates), random.Random(dice)
    for _ in range(5):
        pick = picker.pick(rng.random, 0.0, avoid, key)
        assert pick in candidates
        for kept in range(1, len(avoid) + 1):
            welcome = set(candidates).difference(*avoid[:kept])
            assert pick in welcome or not welcome
