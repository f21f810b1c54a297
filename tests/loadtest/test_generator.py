"""An open loop of calls, in greenlets."""

from __future__ import annotations

import time

import gevent
import pytest
from gevent.event import Event

from tests.support.waiting import eventually
from zkrpc.loadtest.generator import Ended, Generator, Pacer
from zkrpc.loadtest.open_loop import OpenLoop
from zkrpc.loadtest.tally import Tally


def made(rate: float, seconds: float, most_at_once: int = 1000) -> tuple[OpenLoop, Tally]:
    """A loop that begins now, and its tally."""
    now = time.monotonic()
    loop = OpenLoop(rate=rate, seconds=seconds, began=now, most_at_once=most_at_once)
    return loop, Tally(rate=rate, counts_from=now)


def test_calls_are_made_in_turns_and_counted() -> None:
    """Each of the functions as often as the other; how they ended is counted."""
    seen = []

    def call(name: str, ended: Ended) -> Ended:
        seen.append(name)
        return ended

    loop, tally = made(1000, 0.1)
    Generator([lambda: call("a", ("ok", "yes")), lambda: call("b", ("Overloaded", "no"))], loop, tally).run()
    assert seen.count("a") == seen.count("b") == 50
    assert tally.outcomes == {("ok", "yes"): 50, ("Overloaded", "no"): 50}
    assert (tally.unsent, tally.abandoned, tally.latencies.count) == (0, 0, 100)


def test_calls_do_not_wait_for_each_other() -> None:
    """All of them are under way together, if they take so long."""
    gate, waiting = Event(), []

    def call() -> Ended:
        waiting.append(1)
        gate.wait()
        return "ok", "yes"

    loop, tally = made(500, 0.1)
    running = gevent.spawn(Generator([call], loop, tally).run)
    eventually(lambda: len(waiting) == 50)
    gate.set()
    running.join(60)
    assert tally.outcomes == {("ok", "yes"): 50} and loop.under_way == 0


def test_not_more_calls_are_made_than_may_be_under_way() -> None:
    """The others are held back, and counted when the time is over."""
    gate, waiting = Event(), []

    def call() -> Ended:
        waiting.append(1)
        gate.wait()
        return "ok", "yes"

    loop, tally = made(1000, 0.1, most_at_once=3)
    running = gevent.spawn(Generator([call], loop, tally).run)
    eventually(lambda: loop.next_at(time.monotonic()) is None)
    gate.set()
    running.join(60)
    assert len(waiting) == 3 and (tally.unsent, tally.latencies.count) == (97, 3)


def test_an_interruption_ends_what_is_under_way() -> None:
    """And counts it; nothing runs on."""
    begun, ended = [], []

    def call() -> Ended:
        begun.append(1)
        try:
            gevent.sleep(3600)
        finally:
            ended.append(1)
        return "ok", "yes"

    loop, tally = made(100, 3600)
    running = gevent.spawn(Generator([call], loop, tally).run)
    eventually(lambda: len(begun) >= 2)
    running.kill()
    # Of those that were due in the same moment some may not have begun; they are counted, too.
    assert tally.abandoned >= len(ended) == len(begun) and loop.under_way == 0 and tally.latencies.count == 0


@pytest.mark.parametrize("precise", [True, False])
def test_a_pacer_waits_for_moments(precise: bool) -> None:
    """Also for one that has passed; with the system's timer or with the loop's."""
    pacer = Pacer()
    if not precise:
        pacer.close()
    for ahead in (0.02, -1.0, 0.0):
        at = time.monotonic() + ahead
        pacer.wait(at)
        assert time.monotonic() >= at
    pacer.close()
