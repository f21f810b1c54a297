"""The loop that carries out what machines want done."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.waiting import eventually
from zkrpc.driver import Driver
from zkrpc.testing.clock import ManualClock


class Scripted:
    """A machine that wants what it is told to want, and writes down what it hears."""

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.timer: float | None = None
        self.heard: list[float] = []
        self.moves = True

    def __repr__(self) -> str:
        return "<Scripted>"

    def effects(self) -> list[str]:
        effects, self.wanted = self.wanted, []
        return effects

    def next_timer(self) -> float | None:
        return self.timer

    def handle_timer(self, now: float) -> None:
        self.heard.append(now)
        if self.moves and self.timer is not None and now >= self.timer:
            self.timer = None


@pytest.fixture
def machine() -> Scripted:
    """Wants nothing yet."""
    return Scripted()


@pytest.fixture
def clock() -> ManualClock:
    """Stands still."""
    return ManualClock()


def turns(machine: Scripted) -> Callable[[int], bool]:
    """Tells whether there have been that many turns."""
    return lambda count: len(machine.heard) >= count


def test_turn_tells_then_obeys_then_shows(machine: Scripted, clock: ManualClock) -> None:
    """In this order: what the shell sees, the time, the effects, and that all is done."""
    log: list[Any] = []

    def observe(changed: bool) -> None:
        log.append(changed)
        machine.wanted += ["first", "second"]

    driver = Driver(machine, log.append, clock=clock, observe=observe, settled=lambda: log.append("settled"))
    assert repr(driver) == "<Driver not started <Scripted>>"
    driver.changed.set()
    driver.start()
    driver.start()
    eventually(lambda: len(log) == 4)
    driver.nudged.set()
    eventually(lambda: len(log) == 8)
    assert log == [True, "first", "second", "settled", False, "first", "second", "settled"]
    assert repr(driver) == "<Driver waiting <Scripted>>"
    driver.close()
    assert repr(driver) == "<Driver ended <Scripted>>"


def test_what_an_effect_causes_is_obeyed_after_what_was_wanted_before(machine: Scripted, clock: ManualClock) -> None:
    """However deep the call that tells the machine: order is the machine's, and nothing is obeyed inside another."""
    log: list[str] = []

    def obey(effect: str) -> None:
        log.append(f"begin {effect}")
        if effect == "one":
            machine.wanted.append("three")
            driver.carry_out()
        log.append(f"end {effect}")

    driver = Driver(machine, obey, clock=clock)
    machine.wanted = ["one", "two"]
    driver.carry_out()
    assert log == ["begin one", "end one", "begin two", "end two", "begin three", "end three"]


def test_who_obeys_obeys_also_what_others_cause_meanwhile(machine: Scripted, clock: ManualClock) -> None:
    """An effect may wait; whoever tells the machine something then does not, and nothing overtakes."""
    log: list[str] = []
    go_on = Event()

    def obey(effect: str) -> None:
        if effect == "slow":
            go_on.wait()
        log.append(effect)

    driver = Driver(machine, obey, clock=clock)
    machine.wanted = ["slow", "next"]
    driver.start()
    eventually(lambda: not machine.wanted)
    assert repr(driver) == "<Driver obeying <Scripted>>"
    machine.wanted.append("later")
    driver.carry_out()
    assert log == []
    go_on.set()
    eventually(lambda: log == ["slow", "next", "later"])
    driver.kill()


def test_whoever_tells_the_machine_has_its_timer_read_anew(machine: Scripted, clock: ManualClock) -> None:
    """The driver may be waiting for a later one, or for none."""
    driver = Driver(machine, lambda effect: None, clock=clock)
    driver.start()
    eventually(lambda: turns(machine)(1))
    machine.timer = clock.now + 0.001
    driver.carry_out()
    eventually(lambda: turns(machine)(2))
    clock.advance(1.0)
    eventually(lambda: machine.timer is None)
    driver.kill()


def test_time_that_observe_names_is_a_reason_for_a_turn(machine: Scripted, clock: ManualClock) -> None:
    """The earlier of it and the machine's timer; and none of the two need be."""
    seen: list[bool] = []

    def observe(changed: bool) -> float | None:
        seen.append(changed)
        return clock.now + 0.001 if len(seen) < 3 else None

    machine.timer = clock.now + 3600
    driver = Driver(machine, lambda effect: None, clock=clock, observe=observe)
    driver.start()
    eventually(lambda: len(seen) == 3)
    assert seen == [False, False, False]
    driver.kill()


def test_timer_in_the_past_does_not_make_it_spin(machine: Scripted, clock: ManualClock) -> None:
    """A machine that leaves its timer where it is gets a turn at once, and then one each 10 ms; others get theirs."""
    machine.timer, machine.moves = clock.now - 1.0, False
    driver = Driver(machine, lambda effect: None, clock=clock)
    driver.start()
    took = eventually(lambda: turns(machine)(8))
    assert took > 0.05
    machine.moves = True
    eventually(lambda: machine.timer is None)
    driver.kill()


def test_failure_reaches_who_told_the_machine_and_loses_nothing_else(machine: Scripted, clock: ManualClock) -> None:
    """The effect that failed is not tried again; those after it are obeyed in the driver's next turn."""
    log: list[str] = []

    def obey(effect: str) -> None:
        if effect == "bad":
            raise gevent.Timeout(1)
        log.append(effect)

    driver = Driver(machine, obey, clock=clock)
    driver.start()
    eventually(lambda: turns(machine)(1))
    machine.wanted = ["good", "bad", "after"]
    with pytest.raises(gevent.Timeout):
        driver.carry_out()
    assert log == ["good"]
    eventually(lambda: log == ["good", "after"])
    driver.kill()


def test_failure_in_a_turn_ends_the_driver_and_is_printed(
    machine: Scripted, clock: ManualClock, capfd: pytest.CaptureFixture[str]
) -> None:
    """A driver that has ended must not look like one that has nothing to do."""

    def obey(effect: str) -> None:
        raise ValueError(effect)

    driver = Driver(machine, obey, clock=clock)
    machine.wanted = ["bad"]
    driver.start()
    eventually(lambda: repr(driver) == "<Driver ended <Scripted>>")
    assert "ValueError: bad" in capfd.readouterr().err


def test_kill_ends_everything_at_once(machine: Scripted, clock: ManualClock) -> None:
    """An effect that waits is broken off, and nothing is obeyed, shown or finished any more."""
    log: list[str] = []
    broken_off = Event()

    def obey(effect: str) -> None:
        try:
            Event().wait()
        finally:
            broken_off.set()

    driver = Driver(
        machine, obey, clock=clock, settled=lambda: log.append("settled"), finish=lambda: log.append("finish")
    )
    machine.wanted = ["slow", "next"]
    driver.start()
    eventually(lambda: not machine.wanted)
    driver.kill()
    assert broken_off.wait(60)
    machine.wanted = ["late"]
    driver.carry_out()
    assert machine.wanted == ["late"] and log == []
    driver.start()
    assert repr(driver) == "<Driver ended <Scripted>>"


def test_effect_may_kill_its_driver(machine: Scripted, clock: ManualClock) -> None:
    """It ends itself; what was wanted after it is not done."""
    log: list[str] = []

    def obey(effect: str) -> None:
        log.append(effect)
        driver.kill()

    driver = Driver(machine, obey, clock=clock, finish=lambda: log.append("finish"))
    machine.wanted = ["last", "too late"]
    driver.start()
    eventually(lambda: repr(driver) == "<Driver ended <Scripted>>")
    assert log == ["last"]


def test_close_lets_the_effect_in_hand_end_and_finishes(machine: Scripted, clock: ManualClock) -> None:
    """What the machine still wants goes to ``obey``, which sees that the end has come."""
    log: list[tuple[str, bool]] = []

    def obey(effect: str) -> None:
        gevent.sleep(0.01)
        log.append((effect, driver.closing))

    driver = Driver(machine, obey, clock=clock, finish=lambda: machine.wanted.append("finish"))
    machine.wanted = ["in hand", "rest"]
    driver.start()
    eventually(lambda: not machine.wanted)
    driver.close()
    assert log == [("in hand", True), ("rest", True), ("finish", True)]


def test_close_breaks_off_what_takes_too_long(machine: Scripted, clock: ManualClock) -> None:
    """Half a second is waited; and a driver that was never started is closed at once, and cannot be started."""
    driver = Driver(machine, lambda effect: gevent.sleep(3600), clock=clock)
    machine.wanted = ["endless"]
    driver.start()
    eventually(lambda: not machine.wanted)
    driver.close()
    assert repr(driver) == "<Driver ended <Scripted>>"
    other = Driver(Scripted(), lambda effect: None, clock=clock)
    other.close()
    other.start()
    assert repr(other) == "<Driver not started <Scripted>>"


def test_effect_may_close_its_driver(machine: Scripted, clock: ManualClock) -> None:
    """It does not wait for itself."""
    log: list[str] = []

    def obey(effect: str) -> None:
        log.append(effect)
        driver.close()

    driver = Driver(machine, obey, clock=clock, finish=lambda: log.append("finish"))
    machine.wanted = ["last", "rest"]
    driver.start()
    eventually(lambda: repr(driver) == "<Driver ended <Scripted>>")
    assert log == ["last", "rest", "finish"]
