"""Who can be picked, and who is left when some are avoided."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from tests.balancing.targets import targets
from zkrpc.balancing.candidate import is_avoided, is_pickable, narrow, pickable


def test_candidates_without_a_proper_weight_are_not_pickable() -> None:
    """Zero, negative, infinite and not-a-number are not shares."""
    candidates = targets(1, 0, -1, math.inf, math.nan, 1e-300)
    assert [repr(one) for one in pickable(candidates)] == ["t0", "t5"]
    assert [is_pickable(one) for one in candidates] == [True, False, False, False, False, True]


def test_narrow_leaves_out_every_group_it_can() -> None:
    """Groups may be any collections, and their order is not the candidates'."""
    assert list(narrow("abcde", (["d", "x"], {"b"}))) == ["a", "c", "e"]


def test_narrow_gives_up_the_last_group_first() -> None:
    """The first group is the worst: of it one is left only if all are in it."""
    assert list(narrow("abc", ("a", "bc"))) == ["b", "c"]
    assert list(narrow("abc", ("abc", "b"))) == ["a", "b", "c"]
    assert list(narrow("", ("a",))) == []


@given(st.lists(st.integers(0, 9), unique=True), st.lists(st.sets(st.integers(0, 9)), max_size=4))
def test_narrow_loses_nobody_who_is_not_avoided(candidates: list[int], avoid: list[set[int]]) -> None:
    """Somebody always remains, in the given order; all who are not avoided do; and only they, if there are any."""
    rest = list(narrow(candidates, avoid))
    welcome = [one for one in candidates if not is_avoided(one, avoid)]
    assert bool(rest) == bool(candidates)
    assert rest == [one for one in candidates if one in rest]
    assert rest == welcome or not welcome
