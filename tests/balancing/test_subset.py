"""Few servers per client, evenly, and the same ones tomorrow."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.balancing.targets import Target, targets
from zkrpc.balancing.subset import choose_subset
from zkrpc.errors import ConfigError


def fleet(count: int, name: str = "server") -> list[Target]:
    """So many servers."""
    return [Target(f"{name} {number}") for number in range(count)]


def test_small_fleet_needs_no_subset() -> None:
    """Everybody, while there are no more than wanted; without those that cannot be picked."""
    idle, *able = targets(0, 1, 1, 1)
    assert all(choose_subset([idle, *able], 3, f"client {number}") == able for number in range(20))


def test_subset_without_members_is_refused() -> None:
    """Nobody to call is never what was meant."""
    with pytest.raises(ConfigError, match="at least 1 member, not 0"):
        choose_subset(fleet(3), 0, "client")


def test_subset_depends_on_the_client_and_on_nothing_else() -> None:
    """The same client finds the same servers in whatever order they are listed; another client finds others."""
    servers = fleet(50)
    mine = choose_subset(servers, 10, "client 1")
    assert mine == [one for one in servers if one in mine]
    assert choose_subset(servers[::-1], 10, "client 1") == mine[::-1]
    assert choose_subset(servers, 10, "client 2") != mine


@settings(deadline=None, max_examples=100)
@given(st.integers(1, 30), st.integers(1, 12), st.text(max_size=10), st.sets(st.integers(0, 29)))
def test_only_what_left_is_replaced(count: int, size: int, client: str, leavers: set[int]) -> None:
    """Those of the subset who stay remain in it, whoever else leaves; and read backwards: who comes replaces one."""
    servers = fleet(count)
    before = choose_subset(servers, size, client)
    left = [one for number, one in enumerate(servers) if number not in leavers]
    after = choose_subset(left, size, client)
    assert len(after) == min(size, len(left))
    assert {one for one in before if one in left} <= set(after)


def test_weights_play_no_part_in_who_is_chosen() -> None:
    """What weighs more is drawn more often by those who hold it, and must not count twice."""
    servers = fleet(20)
    before = choose_subset(servers, 5, "client")
    servers[7].weight = 100.0
    assert choose_subset(servers, 5, "client") == before


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_servers_have_about_as_many_clients(name: str) -> None:
    """200 clients of 10 servers each among 50: no server has more than 1.6 or less than half of the mean of 40."""
    servers = fleet(50, name)
    counts = Counter(one for number in range(200) for one in choose_subset(servers, 10, f"{name} client {number}"))
    assert len(counts) == 50
    assert 20 <= min(counts.values()) and max(counts.values()) <= 64
