"""What passes between threads: nothing is lost, wake-ups are few, and no more wait than there is room for."""

from __future__ import annotations

import contextvars
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.call import ServerCall
from zkrpc.errors import Executed, Overloaded
from zkrpc.server.crossing import Crossing, Job, Seats


def job() -> Job:
    """Of a call that nobody serves."""
    return Job(ServerCall("get", print, (), {}, "10.0.0.1:5", 0.0), contextvars.copy_context(), None)


def test_what_is_put_before_the_other_side_looks_crosses_with_one_wake_up() -> None:
    """In its order; the next one wakes anew."""
    woken: list[str] = []
    crossing: Crossing[int] = Crossing(lambda: woken.append("woken"))
    for number in range(3):
        crossing.put(number)
    assert len(woken) == 1 and repr(crossing) == "<Crossing items=3>"
    assert list(crossing.take()) == [0, 1, 2] and not list(crossing.take())
    crossing.put(3)
    assert len(woken) == 2 and list(crossing.take()) == [3]


def test_what_is_put_while_the_other_side_takes_comes_with_the_next_wake_up() -> None:
    """So that side gets to its other work, and nothing stays behind."""
    woken: list[str] = []
    crossing: Crossing[int] = Crossing(lambda: woken.append("woken"))
    crossing.put(0)
    taken = []
    for number in crossing.take():
        taken.append(number)
        crossing.put(number + 1)
    assert taken == [0] and len(woken) == 2 and list(crossing.take()) == [1]


@given(st.lists(st.sampled_from(["put", "look"]), max_size=40))
def test_nothing_is_ever_left_without_a_wake_up(steps: list[str]) -> None:
    """Whenever something waits, the other side has been told since it last looked; it gets all, each once."""
    told = False

    def wake() -> None:
        nonlocal told
        told = True

    crossing: Crossing[int] = Crossing(wake)
    put = 0
    got: list[int] = []
    for step in steps:
        if step == "put":
            crossing.put(put)
            put += 1
        else:
            told = False
            got += crossing.take()
        assert told or put == len(got)
    assert [*got, *crossing.take()] == list(range(put))


def test_job_counts_as_executed_from_the_moment_it_is_begun() -> None:
    """Its outcome is what the handler returned, or what it raised, which is kept by nobody."""
    one = job()
    assert (repr(one), one.call.entered) == ("<Job get waiting>", False)
    one.begin(3.0)
    assert (repr(one), one.begun_at, one.call.entered) == ("<Job get begun>", 3.0, True)
    one.value, one.ended = "value", True
    assert one.outcome() == "value" and repr(one) == "<Job get ended>"
    one.error, one.cancelled = ValueError("bad"), True
    with pytest.raises(ValueError, match="bad"):
        one.outcome()
    assert (one.error, repr(one)) == (None, "<Job get ended cancelled>")


def refused(seats: Seats) -> Overloaded:
    """The refusal of one call too many."""
    with pytest.raises(Overloaded) as caught:
        seats.take()
    assert caught.value.executed is Executed.NO
    return caught.value


def test_call_is_refused_when_threads_and_queue_are_full() -> None:
    """At once and as not executed; with a hint, once it is known how long a thread is busy with a call."""
    seats = Seats(2, 1)
    for _ in range(3):
        seats.take()
    assert (seats.running, seats.queued, repr(seats)) == (2, 1, "<Seats running=2/2 queued=1/1>")
    error = refused(seats)
    assert "all 2 threads for offloaded handlers are busy, and 1 calls wait for one" in str(error)
    assert error.retry_after is None
    seats.free(None)
    assert (seats.running, seats.queued) == (2, 0)
    seats.take()
    seats.free(4.0)
    seats.take()
    hint: Any = refused(seats).retry_after
    assert hint == pytest.approx(0.4 * 2 / 2)
    for _ in range(50):
        seats.free(9.0)
        seats.take()
    assert refused(seats).retry_after == 1.0


@given(st.integers(1, 4), st.integers(0, 3), st.lists(st.booleans(), max_size=60))
def test_seats_are_never_overdrawn(threads: int, queue: int, steps: list[bool]) -> None:
    """Never more than threads and queue; whoever is refused has taken nothing."""
    seats, taken = Seats(threads, queue), 0
    for comes in steps:
        if comes and taken < threads + queue:
            seats.take()
            taken += 1
        elif comes:
            refused(seats)
        elif taken:
            seats.free(0.01)
            taken -= 1
        assert (seats.taken, seats.running, seats.queued) == (taken, min(taken, threads), max(0, taken - threads))
