"""The gate: who comes in, who waits, and whose outcome counts."""

from __future__ import annotations

import time

import gevent
import pytest

from zkrpc.election.machine import ElectionState
from zkrpc.election.primary import PrimaryGate


class Told:
    """Stands where the machine does, and says what the test says."""

    def __init__(self) -> None:
        self.state = ElectionState.PRIMARY
        self.epoch: int | None = 3

    def serving_epoch(self, now: float) -> int | None:
        """Only a primary serves."""
        return self.epoch if self.state is ElectionState.PRIMARY else None

    def held_epoch(self, now: float) -> int | None:
        """Whatever the state."""
        return self.epoch


@pytest.fixture
def told() -> Told:
    """A primary of epoch 3."""
    return Told()


@pytest.fixture
def gate(told: Told) -> PrimaryGate:
    """Its gate."""
    return PrimaryGate(told, time.monotonic)  # type: ignore[arg-type]  # the few questions that the gate asks


def test_gate_lets_calls_in_and_counts_them(gate: PrimaryGate) -> None:
    """Each gets the epoch; its outcome counts while the epoch does."""
    assert (gate.enter(0), gate.enter(0), gate.running) == (3, 3, 2)
    assert gate.leave(3) and gate.leave(3) and gate.running == 0 and not gate.leave(4)


@pytest.mark.parametrize("state", [ElectionState.WAITING, ElectionState.IDLE, ElectionState.DEPOSING])
def test_gate_turns_calls_away_where_nothing_is_to_be_waited_for(
    state: ElectionState, gate: PrimaryGate, told: Told
) -> None:
    """At once, however long they would wait."""
    told.state = state
    began = time.monotonic()
    assert gate.enter(began + 5) is None and time.monotonic() - began < 1 and gate.running == 0


@pytest.mark.parametrize(
    "state", [ElectionState.CLAIMING, ElectionState.CONFIRMING, ElectionState.SYNCHRONISING], ids=lambda one: one.value
)
def test_gate_keeps_calls_while_the_primary_gets_ready(state: ElectionState, gate: PrimaryGate, told: Told) -> None:
    """They come in when it is, are turned away when it is not to be, and wait no longer than they said."""
    told.state = state
    kept = [gevent.spawn(gate.enter, time.monotonic() + 5) for _ in range(3)]
    assert gate.enter(time.monotonic() + 0.02) is None
    gate.turn()
    gevent.sleep(0)
    assert not any(one.ready() for one in kept)
    told.state = ElectionState.PRIMARY
    gate.turn()
    assert [one.get(timeout=60) for one in kept] == [3, 3, 3]
    told.state = state
    late = gevent.spawn(gate.enter, time.monotonic() + 5)
    gevent.sleep(0)
    told.state = ElectionState.WAITING
    gate.turn()
    assert late.get(timeout=60) is None


def test_gate_pauses_one_epoch_until_its_calls_are_done(gate: PrimaryGate, told: Told) -> None:
    """Nobody else comes in; another epoch is not concerned; what never ends is waited for no longer than allowed."""
    gate.enter(0)
    pausing = gevent.spawn(gate.pause, 3, 5)
    gevent.sleep(0.02)
    assert not pausing.ready() and gate.is_paused and gate.enter(0) is None
    told.epoch = 4
    assert gate.enter(0) == 4 and gate.leave(4) and not pausing.ready()
    told.epoch = 3
    gate.leave(3)
    pausing.get(timeout=60)
    gate.resume()
    assert not gate.is_paused and gate.enter(0) == 3
    began = time.monotonic()
    gate.pause(3, 0.05)
    assert 0.04 < time.monotonic() - began < 1 and "running=1 paused=3" in repr(gate)


def test_gate_that_is_closed_lets_nobody_in(gate: PrimaryGate, told: Told) -> None:
    """Whatever the machine says; who waits is turned away."""
    told.state = ElectionState.SYNCHRONISING
    kept = gevent.spawn(gate.enter, time.monotonic() + 5)
    gevent.sleep(0)
    gate.close()
    assert kept.get(timeout=60) is None
    told.state = ElectionState.PRIMARY
    assert gate.enter(time.monotonic() + 5) is None and gate.is_paused


@pytest.mark.parametrize("departing", [3, None])
def test_outcome_counts_after_the_gate_is_shut_only_if_we_leave_by_ourselves(
    departing: int | None, gate: PrimaryGate, told: Told
) -> None:
    """Until the application has stopped nobody else can have begun, unless something else ended the term."""
    gate.enter(0)
    told.state, gate.departing = ElectionState.DEPOSING, departing
    assert gate.holds(3) is (departing == 3) and gate.leave(3) is (departing == 3)
    told.epoch = None
    assert not gate.holds(3)
