"""Clients that know the same names agree, and shares follow weights."""

from __future__ import annotations

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zkrpc.balancing.rendezvous import Entrant, attraction, point, winner


def entrants(*weights: float) -> list[Entrant]:
    """Entrants 0, 1, … of these weights."""
    return [(number, point(f"server {number}"), weight) for number, weight in enumerate(weights)]


def test_points_are_the_same_in_every_process() -> None:
    """Written down, because clients of different versions must agree, too."""
    assert point("member-1") == 1506962798733722835
    assert attraction(2**60, 2**60 - 1) == 2**61 - 1 - 2**59
    assert winner(point("asker"), entrants(1, 1, 1, 1, 1)) == 4


def test_nobody_wins_where_nobody_enters() -> None:
    """An empty field has no winner."""
    assert winner(point("asker"), []) == -1


def test_shares_follow_weights() -> None:
    """Over 20000 askers the deviation from the weights is what chance allows: chi-square below its 99.9 % point."""
    weights = [1.0, 1.0, 2.0, 4.0, 0.5, 8.0]
    counts = Counter(winner(point(f"asker {number}"), entrants(*weights)) for number in range(20_000))
    expected = [20_000 * weight / math.fsum(weights) for weight in weights]
    assert sum((counts[number] - fair) ** 2 / fair for number, fair in enumerate(expected)) < 20.5


def test_equal_entrants_share_equally() -> None:
    """Sixty equals: chi-square below the 99.9 % point of 59 degrees of freedom."""
    field = entrants(*[1.0] * 60)
    counts = Counter(winner(point(f"asker {number}"), field) for number in range(12_000))
    assert sum((counts[number] - 200) ** 2 / 200 for number in range(60)) < 98.4


@given(st.text(), st.lists(st.floats(0.001, 1000), min_size=2, max_size=8), st.data())
def test_losing_a_loser_changes_nothing(asker: str, weights: list[float], data: st.DataObject) -> None:
    """Nobody's number depends on who else is there."""
    field = entrants(*weights)
    best = winner(point(asker), field)
    loser = data.draw(st.sampled_from([entrant for entrant in field if entrant[0] != best]))
    field.remove(loser)
    assert winner(point(asker), field) == best


@given(st.text(st.characters(), max_size=40))
def test_any_text_has_a_point_that_multiplies(name: str) -> None:
    """Lone surrogates included; never 0, which would make every number equal."""
    assert 0 < point(name) < 2**61 - 1
