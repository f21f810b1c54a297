"""The own zone while it can carry its clients, otherwise everybody."""

from __future__ import annotations

import random
from collections.abc import Collection

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target
from zkrpc.balancing.zones import prefer_zone


def fleet(**counts: int) -> list[Target]:
    """So many members in each zone."""
    return [Target(f"{zone}{number}", zone=zone) for zone, count in counts.items() for number in range(count)]


def preferred(candidates: list[Target], zone: str, ill: Collection[str] = ()) -> str:
    """Whom a client in ``zone`` may pick: "own", "all", or what it is instead."""
    chosen = prefer_zone(candidates, zone, lambda one: one.name not in ill)
    if chosen == candidates:
        return "all"
    return "own" if chosen == [one for one in candidates if one.zone == zone] else repr(chosen)


def test_own_zone_is_preferred() -> None:
    """In the calm, calls stay at home."""
    assert preferred(fleet(a=3, b=3), "a") == "own"


def test_client_without_a_zone_prefers_nobody() -> None:
    """Not even those that do not say where they run either."""
    members = [*fleet(a=3), Target("nowhere")]
    assert preferred(members, "") == "all"


def test_zone_without_members_makes_no_difference() -> None:
    """Nor does a service without members."""
    assert preferred(fleet(a=3, b=3), "c") == "all"
    assert prefer_zone([], "a", lambda one: True) == []


def test_zone_that_is_mostly_ill_is_left() -> None:
    """Half of it well is enough, less is not; the ill elsewhere do not matter."""
    members = fleet(a=4, b=4)
    assert preferred(members, "a", ["a0", "a1", "b0", "b1", "b2", "b3"]) == "own"
    assert preferred(members, "a", ["a0", "a1", "a2"]) == "all"


def test_large_zone_that_is_mostly_ill_is_left() -> None:
    """Even if what is well of it would carry as much as an average zone: the rest may follow."""
    members = fleet(a=8, b=2)
    assert preferred(members, "a", ["a0", "a1", "a2", "a3"]) == "own"
    assert preferred(members, "a", ["a0", "a1", "a2", "a3", "a4"]) == "all"


def test_zone_that_is_too_small_is_not_crushed() -> None:
    """One member among zones of three would carry three times its share; two carry one and a half times."""
    assert preferred(fleet(a=1, b=3, c=3), "a") == "all"
    assert preferred(fleet(a=2, b=3, c=3), "a") == "own"


def test_small_zone_with_one_ill_member_is_left() -> None:
    """What counts against the average zone is what is well: half of a small zone is too little."""
    assert preferred(fleet(a=2, b=4, c=4), "a") == "own"
    assert preferred(fleet(a=2, b=4, c=4), "a", ["a0"]) == "all"


def test_zone_of_drained_members_is_left() -> None:
    """A weight of 0 carries nothing, however well it looks."""
    members = fleet(a=2, b=2)
    members[0].weight = members[1].weight = 0.0
    assert preferred(members, "a") == "all"
    members[2].weight = members[3].weight = 0.0
    assert preferred(members, "a") == "all"


def test_cold_zone_is_spared_until_it_is_half_warm() -> None:
    """A zone that was restarted as a whole comes back by degrees, and once."""
    members = fleet(a=3, b=3)
    seen = []
    for share in (0.1, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0):
        for one in members[:3]:
            one.weight = share
        seen.append(preferred(members, "a"))
    assert seen == ["all"] * 3 + ["own"] * 4


def test_equal_weights_that_grow_together_do_not_tip_the_scales() -> None:
    """Exactly half of the average is enough, whatever the sums are rounded to."""
    members = fleet(a=3, b=9, c=6)
    for step in range(100):
        for one in members:
            one.weight = 0.1 + 0.009 * step
        assert preferred(members, "a") == "own"


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.1, 10), st.booleans()), min_size=1, max_size=12),
    st.integers(),
)
def test_staying_at_home_at_most_doubles_the_load(members: list[tuple[str, float, bool]], order: int) -> None:
    """With as many calls from every zone, what stays in a zone is at most twice the fair load per weight."""
    candidates = [Target(str(number), weight, zone) for number, (zone, weight, _) in enumerate(members)]
    ill = {one for one, (_, _, well) in zip(candidates, members) if not well}
    random.Random(order).shuffle(candidates)
    for zone in "abc":
        chosen = prefer_zone(candidates, zone, lambda one: one not in ill)
        if len(chosen) < len(candidates):
            zones = len({one.zone for one in candidates})
            fair = 1 / sum(one.weight for one in candidates)
            at_home = 1 / zones / sum(one.weight for one in chosen if one not in ill)
            assert at_home <= 2 * fair * (1 + 1e-6)
