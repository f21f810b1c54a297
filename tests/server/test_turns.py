"""Turns on the hub: first come first served, one in each round, and never before everybody else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from zkrpc.server.turns import SLICE, Turns, in_slices


class Loop:
    """An event loop of which the test says when a round is over."""

    def __init__(self) -> None:
        self.round = 1.0
        self.now = 0.0
        self.armed: Callable[[], object] | None = None
        self.ended: list[str] = []

    def start(self, callback: Callable[[], object], update: bool) -> None:
        assert self.armed is None and not update
        self.armed = callback

    def stop(self) -> None:
        self.armed = None
        self.ended.append("stop")

    def close(self) -> None:
        self.ended.append("close")

    def go_round(self) -> None:
        """The next round: the timer fires if it was started before."""
        self.round += 1
        callback, self.armed = self.armed, None
        if callback is not None:
            callback()


def made() -> tuple[Turns, Loop, list[Any]]:
    """Turns on such a loop, and a list for what happens."""
    loop = Loop()
    return Turns(loop, lambda: loop.round, lambda: loop.now), loop, []


def taking(loop: Loop, taken: list[Any], name: str, seconds: float = SLICE) -> Callable[[], None]:
    """A turn that takes so long."""

    def take_turn() -> None:
        taken.append(name)
        loop.now += seconds

    return take_turn


def test_long_turns_come_one_in_each_round_in_the_order_of_asking() -> None:
    """And none is lost or given twice."""
    turns, loop, taken = made()
    for name in "abc":
        turns.wait("a", taking(loop, taken, name))
    assert (taken, len(turns), repr(turns)) == ([], 3, "<Turns waiting=3>")
    seen = []
    for _ in range(4):
        loop.go_round()
        seen.append("".join(taken))
    assert seen == ["a", "ab", "abc", "abc"] and loop.armed is None


def test_turn_that_is_asked_for_during_a_turn_comes_behind_the_others() -> None:
    """Whoever needs several waits between them as often as there are others."""
    turns, loop, taken = made()

    def greedy() -> None:
        taken.append("greedy")
        loop.now += SLICE
        turns.wait("a", greedy)

    turns.wait("a", greedy)
    turns.wait("a", taking(loop, taken, "other"))
    for _ in range(4):
        loop.go_round()
    assert taken == ["greedy", "other", "greedy", "greedy"]


def test_turns_go_from_address_to_address() -> None:
    """Three hundred connections of one do not keep the single one of another waiting."""
    turns, loop, taken = made()
    for number in range(300):
        turns.wait("10.0.0.1", taking(loop, taken, f"crowd {number}"))
    turns.wait("10.0.0.2", taking(loop, taken, "single"))
    turns.wait("10.0.0.3", taking(loop, taken, "third"))
    for _ in range(5):
        loop.go_round()
    assert taken == ["crowd 0", "single", "third", "crowd 1", "crowd 2"] and len(turns) == 297


def test_short_turns_share_a_round() -> None:
    """As many as fit into a slice; who comes back for another one waits for the next round, even if it is alone."""
    turns, loop, taken = made()
    for name in "abcd":
        turns.wait("a", taking(loop, taken, name, SLICE * 0.4))
    loop.go_round()
    assert taken == ["a", "b", "c"]
    loop.go_round()
    assert taken == ["a", "b", "c", "d"]

    def again() -> None:
        taken.append("again")
        turns.wait("a", again)

    turns.wait("a", again)
    loop.go_round()
    assert taken[4:] == ["again"] and len(turns) == 1


def test_turn_that_fails_keeps_nobody_from_the_next() -> None:
    """The loop reports what it raised."""
    turns, loop, taken = made()

    def bad() -> None:
        raise ValueError("broken")

    turns.wait("a", bad)
    turns.wait("a", lambda: taken.append("good"))
    try:
        loop.go_round()
    except ValueError:
        pass
    loop.go_round()
    assert taken == ["good"]


def test_round_is_spent_when_much_was_used_in_it() -> None:
    """All connections together; the next round is a new one."""
    turns, loop, _ = made()
    assert not turns.is_spent()
    for _ in range(2):
        turns.charge(SLICE)
    assert not turns.is_spent()
    turns.charge(SLICE)
    assert turns.is_spent()
    loop.go_round()
    assert not turns.is_spent()
    turns.charge(SLICE)
    assert not turns.is_spent()


def test_turns_end_with_their_server() -> None:
    """Nobody is called afterwards, and the timer is freed."""
    turns, loop, taken = made()
    turns.wait("a", lambda: taken.append("late"))
    turns.close()
    loop.go_round()
    assert (taken, loop.ended, len(turns)) == ([], ["stop", "close"], 0)


@pytest.mark.parametrize(("each", "in_a_row"), [(0.07 * SLICE, 15), (0.3 * SLICE, 4), (10 * SLICE, 1)])
def test_long_work_is_done_in_slices(each: float, in_a_row: int) -> None:
    """All of it, in order, and with a rest whenever a slice is used up; a rest counts for nobody."""
    now, rests, done = [5.0], list[float](), list[tuple[str, float]]()

    def sleep(seconds: float) -> None:
        assert seconds == 2 * SLICE
        now[0] += 100.0
        rests.append(now[0])

    for one, at in in_slices("abcdefghijklmnopqrstuvwxyz", lambda: now[0], sleep):
        assert at == now[0]
        done.append((one, at))
        now[0] += each
    assert "".join(one for one, _ in done) == "abcdefghijklmnopqrstuvwxyz"
    assert len(rests) == (26 - 1) // in_a_row
    assert rests[0] == done[in_a_row][1]


def test_no_work_takes_no_rest() -> None:
    """Nor does it look for something to do."""
    assert list(in_slices([], lambda: 1.0, lambda seconds: pytest.fail("it rests"))) == []
