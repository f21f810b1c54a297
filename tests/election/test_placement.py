"""Groups spread over replicas, one move at a time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zkrpc.election.placement import HandOver, PlacementMachine, next_move

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
