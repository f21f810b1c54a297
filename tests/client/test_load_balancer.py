"""Members come and go; suspicion only orders them; lists that shrink too much are doubted."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.client.test_member import Way
from zkrpc.client.connectivity import Report
from zkrpc.client.load_balancer import CollapseGuard, LoadBalancer, Picking
from zkrpc.client.member import Member
from zkrpc.config import BreakerConfig, ClientConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot

RNG = random.Random(1).random
TRUSTING = ClientConfig(collapse_window=0)
"""Believes every list."""


def instance(number: int, **changes: Any) -> Instance:
    """The instance i<number> at port <number>."""
    return dataclasses.replace(
        Instance(id=f"i{number}", endpoint=Endpoint("h", number), protocols=("zkrpc",)), **changes
    )


def snapshot(*instances: Instance) -> Snapshot:
    """A list of the service."""
    return Snapshot(service="users", instances=instances)


def load_balancer(*instances: Instance) -> LoadBalancer[Way]:
    """A balancer whose subchannels lead nowhere."""
    return balancer_with(TRUSTING, *instances)


def balancer_with(config: ClientConfig, *instances: Instance, now: float = 0.0, **options: Any) -> LoadBalancer[Way]:
    """The same with settings."""
    made = LoadBalancer(Way, config, rng=RNG, **options)
    made.receive_snapshot(snapshot(*instances), now)
    return made


def picks(
    from_: LoadBalancer[Way], tried: set[Endpoint] = frozenset(), now: float = 0.0  # type: ignore[assignment]
) -> set[str]:
    """Who can be picked."""
    members = [from_.pick(tried, RNG, now) for _ in range(60)]
    return {member.instance.id for member in members if member is not None}


def told(some: LoadBalancer[Way], way: Way) -> bool:
    """Tells a balancer what has become of a subchannel, as the channel does. True if that is another standing, and
    somebody's."""
    changed = [one for one in way.connectivity.effects() if isinstance(one, Report) and one.was is not one.standing]
    one = some.member_of(way)
    if one is None or not changed:
        return False
    some.receive_standing(one)
    return True


def avoid(some: LoadBalancer[Way], number: int) -> bool:
    """It refuses a connection."""
    way = member(some, number).subchannel
    way.connectivity.receive_refused("refused", 0.0)
    return told(some, way)


def readmit(some: LoadBalancer[Way], number: int) -> bool:
    """It takes one again."""
    way = member(some, number).subchannel
    way.connectivity.receive_connected(0.0)
    return told(some, way)


def suspect(some: LoadBalancer[Way], number: int) -> bool:
    """It gives no sign of life."""
    way = member(some, number).subchannel
    way.connectivity.receive_silent(0.0)
    return told(some, way)


def trust(some: LoadBalancer[Way], number: int) -> bool:
    """It does again."""
    way = member(some, number).subchannel
    way.connectivity.receive_heard(0.0)
    return told(some, way)


def test_balancer_without_members_picks_nobody_and_says_why() -> None:
    """Before a list, and with an empty one."""
    empty = load_balancer()
    assert empty.pick((), RNG, 0.0) is None
    assert "no instances" in empty.explain_absence()
    assert repr(empty) == "<LoadBalancer 'users' members=0 avoided=0>"
    empty.receive_snapshot(Snapshot(service="users", remark="there is no /prod"))
    assert empty.explain_absence() == "service 'users' has no instances; there is no /prod"


def test_everybody_is_picked() -> None:
    """No favourites among equals."""
    assert picks(load_balancer(instance(1), instance(2), instance(3))) == {"i1", "i2", "i3"}


def test_weight_zero_takes_out_of_the_picking() -> None:
    """It stays a member, with its subchannel, but gets no calls."""
    some = load_balancer(instance(1, weight=0.0), instance(2))
    assert picks(some) == {"i2"}
    assert len(some.members) == 2
    some.receive_snapshot(snapshot(instance(1, weight=0.0)))
    assert picks(some) == set()
    assert "weight 0" in some.explain_absence()


def test_leaving_member_is_handed_back_for_its_subchannel_to_be_retired() -> None:
    """The others keep their load and subchannel."""
    some = load_balancer(instance(1), instance(2))
    stays = some.members[Endpoint("h", 2)]
    gone = some.receive_snapshot(snapshot(instance(2, weight=3.0)))
    assert [member.subchannel.instance for member in gone] == [instance(1)]
    assert some.members[Endpoint("h", 2)] is stays
    assert stays.weight == 3.0


def test_new_process_at_an_old_endpoint_is_another_member() -> None:
    """It starts without the old one's load, connection, or bad name."""
    some = load_balancer(instance(1))
    old = some.members[Endpoint("h", 1)]
    avoid(some, 1)
    gone = some.receive_snapshot(snapshot(instance(1, id="i1b")))
    assert gone == [old]
    assert repr(some) == "<LoadBalancer 'users' members=1 avoided=0>"
    assert repr(some.members[Endpoint("h", 1)]).startswith("<Member i1b at h:1 <Load")


def test_restart_or_other_dialect_makes_another_member() -> None:
    """The same worker id with a later start is a new process; with other protocols it is reached in another way."""
    some = load_balancer(instance(1))
    assert some.receive_snapshot(snapshot(instance(1, started_at=5.0)))
    assert some.receive_snapshot(snapshot(instance(1, started_at=5.0, protocols=("framed",))))
    assert not some.receive_snapshot(snapshot(instance(1, started_at=5.0, protocols=("framed",), zone="b")))


def test_avoided_member_is_passed_over_until_readmitted() -> None:
    """While others are left."""
    some = load_balancer(instance(1), instance(2))
    avoid(some, 1)
    assert picks(some) == {"i2"}
    assert readmit(some, 1)
    assert not readmit(some, 1)
    assert picks(some) == {"i1", "i2"}


def test_subchannel_that_left_has_no_say() -> None:
    """What an old subchannel finds out does not concern the new process at its endpoint."""
    some = load_balancer(instance(1))
    strangers = [Way(instance(1)), Way(instance(9))]
    for way in strangers:
        way.connectivity.receive_refused("refused", 0.0)
        assert not told(some, way)
    avoid(some, 1)
    for way in strangers:
        way.connectivity.receive_connected(0.0)
        assert not told(some, way)
    assert repr(some) == "<LoadBalancer 'users' members=1 avoided=1>"


def test_tried_members_come_before_avoided_ones() -> None:
    """Asking a living instance again beats asking a dead one."""
    some = load_balancer(instance(1), instance(2), instance(3))
    avoid(some, 1)
    assert picks(some, {Endpoint("h", 2), Endpoint("h", 7)}) == {"i3"}
    assert picks(some, {Endpoint("h", 2), Endpoint("h", 3)}) == {"i2", "i3"}


def test_has_untried_counts_only_those_worth_asking_at_once() -> None:
    """Avoided members and those of weight 0 are not."""
    some = load_balancer(instance(1), instance(2, weight=0.0))
    assert some.has_untried((), 0.0)
    assert not some.has_untried({Endpoint("h", 1)}, 0.0)
    avoid(some, 1)
    assert not some.has_untried((), 0.0)


numbers = st.sets(st.integers(1, 6))


@settings(deadline=None, max_examples=150)
@given(st.lists(numbers, min_size=1, max_size=6), numbers, numbers)
def test_suspicion_never_empties_the_list(lists: list[set[int]], avoided: set[int], tried: set[int]) -> None:
    """Whatever is avoided and tried, somebody is picked as long as there is anybody."""
    some = load_balancer()
    for listed in lists:
        before = set(some.members.values())
        gone = some.receive_snapshot(snapshot(*(instance(number) for number in sorted(listed))))
        assert set(gone) == before - set(some.members.values())
        for number in avoided & listed:
            avoid(some, number)
    member = some.pick({Endpoint("h", number) for number in tried}, RNG, 0.0)
    assert (member is not None) is bool(lists[-1])


def member(of: LoadBalancer[Way], number: int) -> Member[Way]:
    """The member of an instance."""
    return of.members[Endpoint("h", number)]


def fail(some: LoadBalancer[Way], number: int, times: int = 5, now: float = 0.0) -> None:
    """So many calls fail in a row."""
    for _ in range(times):
        some.receive_failure(member(some, number), now)


# -- suspects


def test_member_whose_calls_fail_is_left_alone_and_then_probed_by_one_call() -> None:
    """The probe's success brings it back, its failure keeps it out for longer."""
    some = load_balancer(instance(1), instance(2), instance(3))
    fail(some, 1)
    assert picks(some, now=1.0) == {"i2", "i3"}
    assert repr(some) == "<LoadBalancer 'users' members=3 avoided=1>"
    probed = [some.pick((), RNG, 6.0) for _ in range(30)]
    assert [one.id for one in probed if one is not None].count("i1") == 1
    fail(some, 1, times=1, now=6.0)
    assert picks(some, now=8.0) == {"i2", "i3"}
    while member(some, 1).breaker.state.value != "probing":
        assert some.pick((), RNG, 30.0)
    member(some, 1).breaker.successes += 1
    some.receive_success(member(some, 1), 30.0)
    assert picks(some, now=30.0) == {"i1", "i2", "i3"}


def test_member_that_is_back_gets_its_share_at_once() -> None:
    """What it cost when it went is of another time."""
    some = load_balancer(instance(1), instance(2), instance(3))
    for go, back in ((avoid, readmit), (suspect, trust)):
        for number in (1, 2, 3):
            member(some, number).load.pending += 1
            member(some, number).load.finish(9.0 if number == 1 else 0.01, 0.0)
        assert picks(some) == {"i2", "i3"}
        assert go(some, 1) and back(some, 1)
        assert "i1" in picks(some)


def test_probe_that_says_nothing_is_made_again() -> None:
    """Its caller was killed, for instance."""
    some = load_balancer(instance(1), instance(2), instance(3))
    fail(some, 1)
    first = some.pick((), RNG, 6.0)
    assert first is member(some, 1)
    some.abandon(first, 6.0)
    assert some.pick((), RNG, 6.0) is first


def test_probe_is_no_second_attempt_of_a_call() -> None:
    """A call in trouble goes where it will succeed."""
    some = load_balancer(instance(1), instance(2), instance(3))
    fail(some, 1)
    assert picks(some, {Endpoint("h", 2)}, now=6.0) == {"i3"}
    assert some.pick((), RNG, 6.0) is member(some, 1)


def test_suspicion_against_most_is_ignored() -> None:
    """Then it is more likely to be wrong; who is down stays out, for that is a fact."""
    some = load_balancer(*(instance(number) for number in range(1, 6)))
    avoid(some, 5)
    for number in (1, 2):
        suspect(some, number)
    assert picks(some) == {"i3", "i4"}
    suspect(some, 3)
    assert picks(some) == {"i1", "i2", "i3", "i4"}
    assert trust(some, 1) and not trust(some, 1)
    assert picks(some) == {"i1", "i4"}


def test_last_suspects_are_picked_rather_than_nobody() -> None:
    """And those that are down, if nobody else is there."""
    some = load_balancer(instance(1))
    suspect(some, 1)
    assert picks(some) == {"i1"}
    avoid(some, 1)
    assert picks(some) == {"i1"}


def test_member_that_asked_for_it_is_spared_for_that_long() -> None:
    """Asking again makes it longer, never shorter."""
    some = load_balancer(instance(1), instance(2), instance(3))
    assert picks(some) == {"i1", "i2", "i3"}
    some.spare(member(some, 1), 2.0, 0.0)
    assert picks(some, now=0.1) == {"i2", "i3"}
    some.spare(member(some, 1), 1.0, 0.5)
    some.spare(member(some, 1), 3.0, 0.5)
    assert picks(some, now=2.9) == {"i2", "i3"}
    assert picks(some, now=3.0) == {"i1", "i2", "i3"}


def test_member_that_says_it_is_not_ready_is_picked_last() -> None:
    """And as any other where most say so: then the reason is more likely one that they share. Its connections stay."""
    some = load_balancer(instance(1), instance(2), instance(3))
    way = member(some, 1).subchannel
    some.receive_snapshot(snapshot(instance(1, unready="no database"), instance(2), instance(3)), 0.0)
    assert picks(some) == {"i2", "i3"} and member(some, 1).subchannel is way
    assert picks(some, {Endpoint("h", 2), Endpoint("h", 3)}) == {"i2", "i3"}
    some.receive_snapshot(snapshot(*(instance(number, unready="no database") for number in (1, 2, 3))), 0.0)
    assert picks(some) == {"i1", "i2", "i3"}
    some.receive_snapshot(snapshot(instance(1), instance(2, unready="no database")), 0.0)
    assert picks(some) == {"i1"}
    avoid(some, 1)
    assert picks(some) == {"i2"}


def test_untried_suspects_are_not_worth_asking_at_once() -> None:
    """Only while suspicion is believed."""
    some = load_balancer(instance(1), instance(2))
    suspect(some, 1)
    assert not some.has_untried({Endpoint("h", 2)}, 0.0)
    suspect(some, 2)
    assert some.has_untried({Endpoint("h", 2)}, 0.0)


# -- whom there is to pick from


def test_own_zone_is_preferred_while_it_is_well() -> None:
    """And left when it is not."""
    config = ClientConfig(zone="a", collapse_window=0)
    zones = [instance(number, zone="a" if number < 3 else "b") for number in range(1, 5)]
    some = balancer_with(config, *zones)
    assert picks(some) == {"i1", "i2"}
    avoid(some, 1)
    assert picks(some) == {"i2"}
    avoid(some, 2)
    assert picks(some) == {"i3", "i4"}


def test_subset_is_kept_until_nobody_in_it_is_left() -> None:
    """Then everybody is a candidate."""
    some = balancer_with(TRUSTING, *(instance(number) for number in range(1, 9)), client_id="c")
    some.receive_picking(Picking(subset_size=2))
    chosen = picks(some)
    assert len(chosen) == 2
    for name in chosen:
        avoid(some, int(name[1:]))
    assert picks(some) == {f"i{number}" for number in range(1, 9)} - chosen


def test_equal_keys_go_to_the_same_member() -> None:
    """As long as it is well."""
    some = load_balancer(*(instance(number) for number in range(1, 6)))
    some.receive_picking(Picking(balancing="consistent_hash"))
    owners = {key: some.pick((), RNG, 0.0, key) for key in "abcdefgh"}
    assert len({one.id for one in owners.values() if one}) > 1
    assert all(some.pick((), RNG, 0.0, key) is owner for key, owner in owners.items())


def test_new_member_gets_its_share_by_degrees() -> None:
    """By the age it tells or by how long it is known, whichever is more."""
    some = balancer_with(ClientConfig(warm_up=30.0), instance(1, started_at=1000.0), wall_clock=lambda: 1003.0)
    assert some.pick((), RNG, 0.0) is member(some, 1)
    assert round(member(some, 1).weight, 3) == 0.19
    some.pick((), RNG, 15.0)
    assert round(member(some, 1).weight, 3) == 0.55
    some.pick((), RNG, 40.0)
    assert member(some, 1).weight == 1.0


# -- lists that collapse


GUARDED = ClientConfig(collapse_floor=0.5, collapse_window=10.0)


def test_members_that_vanish_together_stay_until_they_refuse() -> None:
    """One by one; those that were down already go at once, and so does one of no weight."""
    some = balancer_with(GUARDED, *(instance(number, weight=0.0 if number == 5 else 1.0) for number in range(1, 6)))
    avoid(some, 4)
    gone = some.receive_snapshot(snapshot(), 1.0)
    assert sorted(one.id for one in gone) == ["i4", "i5"]
    assert {one.id for one in some.kept} == picks(some, now=1.0) == {"i1", "i2", "i3"}
    assert repr(some) == "<LoadBalancer 'users' members=3 avoided=0 kept=3>"
    for number in (1, 2, 3):
        some.drop(member(some, number))
    assert some.pick((), RNG, 1.0) is None


def test_kept_members_stay_through_further_lists_and_become_ordinary_ones_again() -> None:
    """However long it takes: it is for them to say that they are gone."""
    some = balancer_with(GUARDED, *(instance(number) for number in range(1, 5)))
    assert not some.receive_snapshot(snapshot(instance(1)), 1.0)
    assert not some.receive_snapshot(snapshot(instance(1)), 100.0)
    assert {one.id for one in some.kept} == {"i2", "i3", "i4"}
    before = member(some, 2)
    assert not some.receive_snapshot(snapshot(instance(1), instance(2)), 101.0)
    assert member(some, 2) is before and before not in some.kept


def test_kept_member_that_comes_back_elsewhere_is_replaced() -> None:
    """The same worker at another place has restarted there."""
    some = balancer_with(GUARDED, instance(1), instance(2))
    some.receive_snapshot(snapshot(), 1.0)
    gone = some.receive_snapshot(snapshot(instance(1, endpoint=Endpoint("h", 11))), 2.0)
    assert [one.endpoint.port for one in gone] == [1]
    assert {one.endpoint.port for one in some.members.values()} == {2, 11}


def test_list_that_shrinks_a_little_is_believed() -> None:
    """And one that shrinks a lot, but slowly."""
    some = balancer_with(GUARDED, *(instance(number) for number in range(1, 5)))
    for step in range(3):
        left = [instance(number) for number in range(2 + step, 5)]
        assert len(some.receive_snapshot(snapshot(*left), 20.0 * step)) == 1
    assert not some.kept


@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed", "suspect", "trust", "avoid"]), st.integers(1, 4))))
def test_somebody_is_always_picked_whatever_is_said_of_them(steps: list[tuple[str, int]]) -> None:
    """And each breaker has at most one probe under way."""
    config = ClientConfig(breaker=BreakerConfig(open_first=0.5, open_longest=1.0))
    some = balancer_with(config, *(instance(number) for number in range(1, 5)))
    for now, (step, number) in enumerate(steps):
        one = member(some, number)
        if step == "fail":
            some.receive_failure(one, now)
        elif step == "succeed":
            one.breaker.successes += 1
            some.receive_success(one, now)
        else:
            {"suspect": suspect, "trust": trust, "avoid": avoid}[step](some, number)
        assert some.pick((), RNG, now) is not None


# -- which lists are doubted


def guard(floor: float = 0.5, window: float = 10.0) -> CollapseGuard:
    """With the usual settings."""
    return CollapseGuard(floor=floor, window=window)


def test_guard_doubts_a_list_that_lost_more_than_half() -> None:
    """Half of it is believed."""
    assert not guard().receive_list(5, 10, 0.0)
    assert guard().receive_list(4, 10, 0.0)


def test_guard_doubts_an_empty_list_but_not_one_that_was_empty() -> None:
    """Even the last one of all."""
    assert guard().receive_list(0, 1, 0.0)
    assert guard(floor=0.0).receive_list(0, 1, 0.0)
    assert not guard().receive_list(0, 0, 0.0)


def test_guard_looks_back_over_its_window() -> None:
    """Steps that are small by themselves add up; what is longer ago does not count."""
    small = guard()
    sizes = [(9, 10, 0.0), (7, 9, 2.0), (5, 7, 4.0), (4, 5, 6.0)]
    assert [small.receive_list(*step) for step in sizes] == [False, False, False, True]
    assert repr(small) == "<CollapseGuard [10, 9, 7, 5]>"
    slow = guard()
    assert [slow.receive_list(size, before, 11.0 * at) for size, before, at in sizes] == [False] * 4
    assert repr(slow) == "<CollapseGuard [5]>"


def test_guard_believes_everything_without_a_window() -> None:
    """For those who know better."""
    assert not guard(window=0.0).receive_list(0, 100, 0.0)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 5)), min_size=1, max_size=40))
def test_guard_is_suspicious_exactly_below_the_floor_of_the_largest_recent_list(steps: list[tuple[int, float]]) -> None:
    """Against the obvious way to compute it."""
    some, history, now, before = guard(), [], 0.0, 0
    for size, pause in steps:
        now += pause
        history.append((now, before))
        largest = max(old for at, old in history if at >= now - 10.0)
        assert some.receive_list(size, before, now) is (size < largest * 0.5 or size == 0 < before)
        before = size
