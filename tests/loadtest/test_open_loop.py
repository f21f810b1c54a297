"""Which calls are due, told by a clock that stands still."""

from __future__ import annotations

import math

from zkrpc.loadtest.open_loop import OpenLoop


def taken(loop: OpenLoop, now: float) -> list[float]:
    """Everything that is started at one moment."""
    found = []
    while (due := loop.take(now)) is not None:
        found.append(due)
    return found


def test_calls_are_due_at_a_fixed_rate_however_late_the_clock_is() -> None:
    """A look after three of their moments starts three, each of them from its own moment."""
    loop = OpenLoop(rate=10, seconds=1, began=100.0, most_at_once=100)
    assert taken(loop, 99.9) == [] and loop.next_at(99.9) == 100.0
    assert taken(loop, 100.0) == [100.0] and loop.next_at(100.0) == 100.1
    assert taken(loop, 100.35) == [100.1, 100.2, 100.3]
    assert len(taken(loop, 100.99)) == 6 and loop.next_at(100.99) is None
    assert (loop.started, loop.under_way, loop.unsent(200.0)) == (10, 10, 0)


def test_calls_wait_while_too_many_are_under_way_and_stay_due() -> None:
    """So that what a service stands still shows in their latencies."""
    loop = OpenLoop(rate=10, seconds=1, began=0.0, most_at_once=2)
    assert taken(loop, 0.5) == [0.0, 0.1] and loop.next_at(0.5) == math.inf
    loop.receive_end()
    assert taken(loop, 0.5) == [0.2] and loop.unsent(0.55) == 3
    loop.receive_end()
    loop.receive_end()
    assert loop.next_at(0.7) == 0.3 and taken(loop, 0.7) == [0.3, 0.4]


def test_what_was_held_back_is_not_started_when_the_time_is_over() -> None:
    """It is counted instead."""
    loop = OpenLoop(rate=10, seconds=1, began=0.0, most_at_once=1)
    assert taken(loop, 0.95) == [0.0]
    loop.receive_end()
    assert taken(loop, 1.2) == [] and loop.next_at(1.2) is None and loop.unsent(1.2) == 9


def test_calls_that_nobody_asked_for_in_time_are_started_still() -> None:
    """At the end, too, however late: they were not held back by others."""
    loop = OpenLoop(rate=10, seconds=1, began=0.0, most_at_once=100)
    assert len(taken(loop, 0.75)) == 8
    assert loop.next_at(0.75) == 0.8 and taken(loop, 7.0) == [0.8, 0.9] and loop.unsent(7.0) == 0
    full = OpenLoop(rate=10, seconds=1, began=0.0, most_at_once=2)
    assert taken(full, 7.0) == [0.0, 0.1] and full.next_at(7.0) is None and full.unsent(7.0) == 8


def test_a_loop_of_a_moment_makes_one_call() -> None:
    """Rather than none."""
    loop = OpenLoop(rate=1, seconds=0.1, began=0.0, most_at_once=1)
    assert taken(loop, 0.0) == [0.0] and loop.next_at(0.0) is None
