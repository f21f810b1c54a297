"""Durations that are gathered until somebody wants them."""

from __future__ import annotations

import gc
import math
from collections.abc import Sequence

import pytest

from zkrpc.telemetry.recording import MOST, Recorder, Recording, settle


class Taker:
    """Keeps what is handed over."""

    def __init__(self) -> None:
        self.taken: list[list[float]] = []

    def take(self, seconds: Sequence[float]) -> None:
        """Some durations."""
        self.taken.append(list(seconds))

    def recording(self, urgent: float = math.inf) -> Recording:
        """One that hands over to it."""
        return Recording([lambda: self.take], urgent, pytest.fail)


@pytest.fixture
def taker() -> Taker:
    """One that has taken nothing."""
    return Taker()


def test_durations_are_handed_over_many_at_a_time(taker: Taker) -> None:
    """And never more wait than that."""
    recording = taker.recording()
    for number in range(3 * MOST):
        recording.note(float(number))
        assert len(recording.seconds) < MOST
    assert taker.taken == [[float(start + number) for number in range(MOST)] for start in (0, MOST, 2 * MOST)]


def test_an_urgent_duration_is_handed_over_at_once(taker: Taker) -> None:
    """With those before it, from the bound on."""
    recording = taker.recording(0.5)
    recording.note(0.25)
    assert taker.taken == [] and repr(recording) == "<Recording 1 durations>"
    recording.note(0.5)
    recording.note(0.75)
    assert taker.taken == [[0.25, 0.5], [0.75]] and repr(recording) == "<Recording 0 durations>"


def test_whoever_is_about_to_read_has_everything_handed_over(taker: Taker) -> None:
    """Of all recordings in the process; nothing is handed over twice, and of nothing nobody is told."""
    first, second = taker.recording(), taker.recording()
    first.seconds.append(0.25)
    second.seconds.append(0.5)
    settle()
    settle()
    assert sorted(taker.taken) == [[0.25], [0.5]]
    assert not first.seconds and not second.seconds


def test_what_comes_while_it_is_handed_over_stays(taker: Taker) -> None:
    """A recorder may note something itself."""

    def take(seconds: Sequence[float]) -> None:
        taker.take(seconds)
        if len(taker.taken) == 1:
            recording.seconds.append(0.5)

    recording = Recording([lambda: take], math.inf, pytest.fail)
    recording.note(0.25)
    recording.settle()
    assert taker.taken == [[0.25]] and recording.seconds == [0.5]
    recording.settle()
    assert taker.taken == [[0.25], [0.5]]


def test_what_is_left_at_the_end_is_not_lost(taker: Taker) -> None:
    """A client that is closed has counted its last calls."""
    recording = taker.recording()
    recording.note(0.25)
    del recording
    gc.collect()
    assert taker.taken == [[0.25]]
    settle()
    assert taker.taken == [[0.25]]


def test_recorders_are_made_when_there_is_something_for_them() -> None:
    """Once. One that fails is complained of each time, and takes nothing from the others; one that cannot be made is
    asked for again."""
    made: list[str] = []
    failed: list[int] = []
    taker = Taker()

    def make() -> Recorder:
        made.append("good")
        return taker.take

    def refuse() -> Recorder:
        raise KeyError("not yet")

    recording = Recording([refuse, lambda: lambda seconds: 1 / 0, make], math.inf, failed.append)
    recording.settle()
    assert not made
    for seconds in (0.25, 0.5):
        recording.note(seconds)
        recording.settle()
    assert (made, taker.taken, failed) == (["good"], [[0.25], [0.5]], [0, 1, 0, 1])
