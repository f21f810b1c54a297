"""Groups spread over replicas, one move at a time."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.election.placement import HandOver, PlacementMachine, heirs_of, next_move

GROUPS = [f"g{number}" for number in range(16)]


def spread(holders: dict[str, str | None], replicas: list[str]) -> int:
    """Moves until nobody wants to; the number of moves."""
    for moves in range(1000):
        wanted = [move for move in (next_move(holders, replicas, me) for me in replicas) if move]
        assert len(wanted) <= 1, "two replicas want to move at once"
        if not wanted:
            return moves
        holders[wanted[0].group] = wanted[0].heir
    raise AssertionError("it never comes to rest")


def test_placement_spreads_what_the_first_replica_took() -> None:
    """Sixteen groups, all led by whoever started first: four each after twelve moves, the fewest possible."""
    holders: dict[str, str | None] = dict.fromkeys(GROUPS, "a")
    assert spread(holders, ["a", "b", "c", "d"]) == 12
    assert set(Counter(holders.values()).values()) == {4}


@given(st.lists(st.sampled_from("abcde"), min_size=16, max_size=16), st.sets(st.sampled_from("abcde"), min_size=1))
def test_placement_ends_even_from_anywhere(start: list[str], present: set[str]) -> None:
    """With any holders and any replicas: at rest all are within one, and it took no more moves than were needed."""
    replicas = sorted(present)
    holders: dict[str, str | None] = {group: holder for group, holder in zip(GROUPS, start) if holder in present}
    before = Counter({replica: 0 for replica in replicas}) + Counter()
    before.update(holder for holder in holders.values() if holder)
    moves = spread(holders, replicas)
    counts = [list(holders.values()).count(replica) for replica in replicas]
    assert max(counts) - min(counts) <= 1
    needed = sum(max(0, count - len(holders) // len(replicas)) for count in before.values())
    assert moves <= needed


def test_placement_moves_nothing_while_a_group_is_without_primary() -> None:
    """Its election may be part of a move."""
    holders: dict[str, str | None] = dict.fromkeys(GROUPS, "a")
    holders["g3"] = None
    assert next_move(holders, ["a", "b"], "a") is None


def test_placement_ignores_primaries_that_are_no_replicas_any_more() -> None:
    """Their sessions end by themselves, and who is not there moves nothing."""
    holders: dict[str, str | None] = {"g1": "gone", "g2": "gone", "g3": "a"}
    assert next_move(holders, ["a", "b"], "a") is None
    assert next_move(holders, ["a", "b"], "gone") is None


def test_placement_waits_for_a_view_that_stands_still() -> None:
    """Every change begins the wait again; a move is asked for once, and again only if nothing came of it."""
    machine = PlacementMachine("a", settle=2.0)
    assert machine.next_timer() is None
    machine.handle_timer(0.0)
    machine.receive_replicas(["a", "b"], 0.0)
    machine.receive_replicas(["b", "a"], 0.5)
    for group in ("g1", "g2", "g3"):
        machine.receive_holder(group, "a", 1.0)
    machine.receive_holder("g3", "a", 1.5)
    assert machine.next_timer() == 3.0
    machine.handle_timer(2.9)
    assert machine.effects() == []
    machine.handle_timer(3.0)
    (move,) = machine.effects()
    assert isinstance(move, HandOver) and move.heir == "b" and machine.next_timer() == 5.0
    machine.receive_holder(move.group, None, 3.1)
    machine.receive_holder(move.group, "b", 3.2)
    machine.handle_timer(5.2)
    assert machine.effects() == [] and machine.next_timer() is None
    assert repr(machine) == "<PlacementMachine a groups=3 led={'a': 2, 'b': 1}>"


def test_placement_without_groups_is_at_rest() -> None:
    """Nothing to lead, nothing to move."""
    assert next_move({}, ["a", "b"], "a") is None


def machine_that_leads_four() -> PlacementMachine:
    """Of the replica a, which leads all four groups; b leads none."""
    machine = PlacementMachine("a", settle=2.0, probation=60.0)
    machine.receive_replicas(["a", "b"], 0.0)
    for group in GROUPS[:4]:
        machine.receive_holder(group, "a", 0.0)
    return machine


def hand_over(machine: PlacementMachine) -> tuple[str, float]:
    """Waits for the next hand-over to b; its group and when."""
    for _ in range(50):
        due = machine.next_timer()
        assert due is not None
        machine.handle_timer(due)
        for move in machine.effects():
            assert move.heir == "b"
            machine.receive_holder(move.group, None, due + 0.1)
            return move.group, due
    raise AssertionError("none comes")


@pytest.mark.parametrize("way", [["b", None, "a"], ["a"], [None, "a"]], ids=["loses it", "does not come", "nobody"])
def test_placement_leaves_an_heir_alone_that_could_not_lead(way: list[str | None]) -> None:
    """For a while, and each time for a longer one: no 76 times a minute."""
    machine = machine_that_leads_four()
    times = []
    for _ in range(5):
        group, at = hand_over(machine)
        times.append(at)
        for step, holder in enumerate(way, 2):
            machine.receive_holder(group, holder, at + step / 10)
        assert machine.unfit == {"b"} and "unfit=['b']" in repr(machine)
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert all(gap >= 15.0 * 2**number for number, gap in enumerate(gaps))


def test_placement_gives_a_fit_replica_what_an_unfit_one_cannot_have() -> None:
    """And goes on with it once it has held something for long enough."""
    holders: dict[str, str | None] = dict.fromkeys(GROUPS[:4], "a")
    assert next_move(holders, ["a", "b", "c"], "a", {"b"}) == HandOver(
        group=next_move(holders, ["a", "c"], "a").group, heir="c"
    )
    assert next_move(holders, ["a", "b"], "a", {"b"}) is None
    machine = machine_that_leads_four()
    group, at = hand_over(machine)
    machine.receive_holder(group, "b", at + 1.0)
    machine.receive_holder(group, None, at + 61.0)
    assert machine.unfit == set()


def test_placement_hands_nothing_to_a_replica_that_is_not_ready() -> None:
    """Until it says that it is; then one settling time passes, as after any change."""
    machine = machine_that_leads_four()
    machine.receive_unready(["b"], 1.0)
    machine.receive_unready(["b"], 2.0)
    assert machine.next_timer() == 3.0 and "unready=['b']" in repr(machine)
    machine.handle_timer(3.0)
    assert machine.effects() == [] and machine.next_timer() is None
    machine.receive_unready([], 10.0)
    machine.handle_timer(12.0)
    (move,) = machine.effects()
    assert move.heir == "b"


def test_placement_takes_groups_from_a_replica_that_is_not_ready() -> None:
    """Even if others lead more: one that was elected as nobody was ready hands over, once somebody is."""
    holders: dict[str, str | None] = {"g1": "a", "g2": "b", "g3": "b"}
    assert next_move(holders, ["a", "b"], "a", unready=["a"]) == HandOver(group="g1", heir="b")
    assert next_move(holders, ["a", "b"], "b", unready=["a"]) is None
    assert next_move(holders, ["a", "b"], "a", unready=["a", "b"]) is None
    assert next_move({"g1": "b"}, ["a", "b"], "a", unready=["a"]) is None


def test_placement_shares_out_what_a_replica_gives_away() -> None:
    """To those that are fit, so that they lead about as many each; what others lead stays where it is."""
    holders: dict[str, str | None] = {**dict.fromkeys(GROUPS[:5], "a"), "other": "b", "nobody's": None, "lost": "gone"}
    heirs = heirs_of(holders, ["a", "b", "c", "d"], "a", {"d"})
    assert sorted(heirs) == sorted(GROUPS[:5]) and Counter(heirs.values()) == {"b": 2, "c": 3}
    assert heirs_of(holders, ["a", "b"], "a", {"b"}) == {} and heirs_of(holders, ["a"], "a") == {}


def test_placement_names_heirs_that_are_ready_and_have_not_failed() -> None:
    """A replica that could not lead lately is no better than one that says it is not ready."""
    machine = machine_that_leads_four()
    machine.receive_replicas(["a", "b", "c"], 0.0)
    assert Counter(machine.heirs().values()) == {"b": 2, "c": 2}
    machine.receive_unready(["c"], 0.0)
    group, at = hand_over(machine)
    assert set(machine.heirs()) == set(GROUPS[:4]) - {group}
    machine.receive_holder(group, "a", at + 1.0)
    assert machine.unfit == {"b"} and machine.heirs() == {}
    machine.receive_unready([], at + 2.0)
    assert set(machine.heirs().values()) == {"c"}


@pytest.mark.parametrize("told_first", [True, False])
def test_placement_holds_nothing_against_a_replica_that_was_not_ready(told_first: bool) -> None:
    """It gave back what it was handed because it was not ready, whichever of the two is heard of first; so it is handed
    something as soon as it is ready, and not only after it has been passed over for a while."""
    machine = machine_that_leads_four()
    group, at = hand_over(machine)
    machine.receive_holder(group, "b", at + 1.0)
    if told_first:
        machine.receive_unready(["b"], at + 2.0)
    machine.receive_holder(group, "a", at + 3.0)
    assert machine.unfit == (set() if told_first else {"b"})
    machine.receive_unready(["b"], at + 4.0)
    assert machine.unfit == set()
    machine.receive_unready([], at + 5.0)
    assert hand_over(machine)[1] == at + 7.0
