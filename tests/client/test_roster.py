"""Members come and go; suspicion only orders them."""

from __future__ import annotations

import dataclasses
import functools
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.client.roster import Roster
from zkrpc.endpoint import Endpoint, Instance, Snapshot

RNG = random.Random(1).random


def instance(number: int, **changes: Any) -> Instance:
    """The instance i<number> at port <number>."""
    return dataclasses.replace(
        Instance(id=f"i{number}", endpoint=Endpoint("h", number), protocols=("zkrpc",)), **changes
    )


@functools.cache
def lane(of: str) -> str:
    """The lane of an instance, always the same object."""
    return f"lane of {of}"


def snapshot(*instances: Instance) -> Snapshot:
    """A list of the service."""
    return Snapshot(service="users", instances=instances)


def roster(*instances: Instance) -> Roster[str]:
    """A roster whose lanes are the names of their instances."""
    made = Roster(lambda one: lane(one.id))
    made.receive_snapshot(snapshot(*instances))
    return made


def picks(from_: Roster[str], tried: set[Endpoint] = frozenset()) -> set[str]:  # type: ignore[assignment]
    """Who can be picked."""
    members = [from_.pick(tried, RNG, 0.0) for _ in range(60)]
    return {member.instance.id for member in members if member is not None}


def test_empty_roster_picks_nobody_and_says_why() -> None:
    """Before a list, and with an empty one."""
    empty = roster()
    assert empty.pick((), RNG, 0.0) is None
    assert "no instances" in empty.explain_absence()
    assert repr(empty) == "<Roster 'users' members=0 avoided=0>"


def test_everybody_is_picked() -> None:
    """No favourites among equals."""
    assert picks(roster(instance(1), instance(2), instance(3))) == {"i1", "i2", "i3"}


def test_weight_zero_takes_out_of_the_picking() -> None:
    """It stays a member, with its lane, but gets no calls."""
    some = roster(instance(1, weight=0.0), instance(2))
    assert picks(some) == {"i2"}
    assert len(some.members) == 2
    some.receive_snapshot(snapshot(instance(1, weight=0.0)))
    assert picks(some) == set()
    assert "weight 0" in some.explain_absence()


def test_leaving_member_is_handed_back_for_its_lane_to_be_retired() -> None:
    """The others keep their load and lane."""
    some = roster(instance(1), instance(2))
    stays = some.members[Endpoint("h", 2)]
    gone = some.receive_snapshot(snapshot(instance(2, weight=3.0)))
    assert [member.lane for member in gone] == [lane("i1")]
    assert some.members[Endpoint("h", 2)] is stays
    assert stays.weight == 3.0


def test_new_process_at_an_old_endpoint_is_another_member() -> None:
    """It starts without the old one's load, connection, or bad name."""
    some = roster(instance(1))
    old = some.members[Endpoint("h", 1)]
    some.avoid(old.endpoint, old.lane)
    gone = some.receive_snapshot(snapshot(instance(1, id="i1b")))
    assert gone == [old]
    assert repr(some) == "<Roster 'users' members=1 avoided=0>"
    assert repr(some.members[Endpoint("h", 1)]).startswith("<Member i1b at h:1 <Load")


def test_restart_or_other_dialect_makes_another_member() -> None:
    """The same worker id with a later start is a new process; with other protocols it is reached in another way."""
    some = roster(instance(1))
    assert some.receive_snapshot(snapshot(instance(1, started_at=5.0)))
    assert some.receive_snapshot(snapshot(instance(1, started_at=5.0, protocols=("framed",))))
    assert not some.receive_snapshot(snapshot(instance(1, started_at=5.0, protocols=("framed",), zone="b")))


def test_avoided_member_is_passed_over_until_readmitted() -> None:
    """While others are left."""
    some = roster(instance(1), instance(2))
    some.avoid(Endpoint("h", 1), lane("i1"))
    assert picks(some) == {"i2"}
    assert some.readmit(Endpoint("h", 1), lane("i1"))
    assert not some.readmit(Endpoint("h", 1), lane("i1"))
    assert picks(some) == {"i1", "i2"}


def test_lane_that_left_has_no_say() -> None:
    """What an old lane finds out does not concern the new process at its endpoint."""
    some = roster(instance(1))
    some.avoid(Endpoint("h", 1), "an old lane")
    some.avoid(Endpoint("h", 9), lane("i9"))
    assert not some.readmit(Endpoint("h", 9), lane("i9"))
    some.avoid(Endpoint("h", 1), lane("i1"))
    assert not some.readmit(Endpoint("h", 1), "an old lane")
    assert repr(some) == "<Roster 'users' members=1 avoided=1>"


def test_tried_members_come_before_avoided_ones() -> None:
    """Asking a living instance again beats asking a dead one."""
    some = roster(instance(1), instance(2), instance(3))
    some.avoid(Endpoint("h", 1), lane("i1"))
    assert picks(some, {Endpoint("h", 2), Endpoint("h", 7)}) == {"i3"}
    assert picks(some, {Endpoint("h", 2), Endpoint("h", 3)}) == {"i2", "i3"}


def test_has_untried_counts_only_those_worth_asking_at_once() -> None:
    """Avoided members and those of weight 0 are not."""
    some = roster(instance(1), instance(2, weight=0.0))
    assert some.has_untried(())
    assert not some.has_untried({Endpoint("h", 1)})
    some.avoid(Endpoint("h", 1), lane("i1"))
    assert not some.has_untried(())


numbers = st.sets(st.integers(1, 6))


@settings(deadline=None, max_examples=150)
@given(st.lists(numbers, min_size=1, max_size=6), numbers, numbers)
def test_suspicion_never_empties_the_list(lists: list[set[int]], avoided: set[int], tried: set[int]) -> None:
    """Whatever is avoided and tried, somebody is picked as long as there is anybody."""
    some = roster()
    for listed in lists:
        before = set(some.members.values())
        gone = some.receive_snapshot(snapshot(*(instance(number) for number in sorted(listed))))
        assert set(gone) == before - set(some.members.values())
        for number in avoided:
            some.avoid(Endpoint("h", number), lane(f"i{number}"))
    member = some.pick({Endpoint("h", number) for number in tried}, RNG, 0.0)
    assert (member is not None) is bool(lists[-1])
