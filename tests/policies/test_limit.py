"""The adaptive limit in front of a simulated server: deterministic arrivals, a queue, and a clock of its own."""

from __future__ import annotations

import dataclasses
import heapq
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.policies.limit import AdaptiveLimit, LimitState


@dataclasses.dataclass(frozen=True)
class Stretch:
    """What one stretch of a simulation brought; latencies in multiples of the service time."""

    goodput: float
    """Calls answered, as a share of what the server can do."""
    median: float
    p99: float
    lowest: int
    """The lowest limit."""


class Place:
    """A server that works on ``capacity`` calls at once, each for ``service`` seconds, behind a limit."""

    def __init__(
        self, capacity: int, service: float, *, noise: float = 0.0, limit: AdaptiveLimit | None = None
    ) -> None:
        self.limit = limit or AdaptiveLimit(most=1000)
        self.capacity = capacity
        self.service = service
        self.now = 0.0
        self.running = 0
        self._noise = noise
        self._dice = random.Random(1)
        self._free_at = [0.0] * capacity
        self._ending: list[tuple[float, float]] = []

    def run(self, load: float, seconds: float) -> Stretch:
        """Sends ``load`` times what the server can do, evenly."""
        until, pause = self.now + seconds, self.service / (self.capacity * load)
        took: list[float] = []
        lowest = self.limit.limit
        while self.now < until:
            self.now += pause
            while self._ending and self._ending[0][0] <= self.now:
                took.append(self._end())
            if self.running < self.limit.limit:
                self._begin()
            lowest = min(lowest, self.limit.limit)
        took.sort()
        answered = len(took) * self.service / (seconds * self.capacity)
        return Stretch(
            answered, took[len(took) // 2] / self.service, took[len(took) * 99 // 100] / self.service, lowest
        )

    def _begin(self) -> None:
        work = self.service * (1 + self._noise * (self._dice.expovariate(1.0) - 1))
        ends = max(self.now, heapq.heappop(self._free_at)) + work
        heapq.heappush(self._free_at, ends)
        heapq.heappush(self._ending, (ends, self.now))
        self.running += 1

    def _end(self) -> float:
        ended, began = heapq.heappop(self._ending)
        self.limit.receive_sample(ended - began, self.running, ended)
        self.running -= 1
        return ended - began


def feed(limit: AdaptiveLimit, windows: int, elapsed: float, running: int, now: float, dropped: int = 0) -> float:
    """So many windows of 20 alike calls, of which some are dropped; the time after them."""
    for _ in range(windows):
        now += max(0.1, elapsed) + 1e-9
        for sample in range(20):
            limit.receive_sample(elapsed, running, now, dropped=sample < dropped)
    return now


def ready(initial: int = 20, unloaded: float = 0.01) -> tuple[AdaptiveLimit, float]:
    """A limit that knows the unloaded latency, and the time."""
    limit = AdaptiveLimit(initial=initial, most=1000)
    return limit, feed(limit, 2, unloaded, 1, 0.0)


def overloaded() -> tuple[AdaptiveLimit, float]:
    """A limit that was used in full until it begins to measure anew, and the time."""
    limit, now = ready()
    while limit.state is not LimitState.SETTLING:
        now = feed(limit, 1, 0.01, limit.limit, now)
        assert now < 2.0
    return limit, now


@pytest.mark.parametrize("capacity", [4, 20, 100])
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_limit_converges_near_the_true_capacity_under_overload(capacity: int, noise: float) -> None:
    """Three times what it can do, for a minute: it does nearly all it can, and nobody waits long."""
    place = Place(capacity, 0.02, noise=noise)
    place.run(0.3, 5.0)
    place.run(3.0, 10.0)
    lasting = place.run(3.0, 45.0)
    assert capacity <= place.limit.limit <= 1.7 * capacity + 4
    assert lasting.goodput > 0.93
    assert lasting.median < 2.2
    assert lasting.p99 < 5.0


def test_limit_does_not_follow_a_lasting_overload() -> None:
    """The last of five minutes is no worse than the first: the unloaded latency is measured, not averaged away."""
    place = Place(20, 0.02)
    first = place.run(3.0, 60.0)
    place.run(3.0, 180.0)
    last = place.run(3.0, 60.0)
    assert last.median <= first.median + 0.1


def test_server_of_one_call_at_a_time_keeps_no_queue() -> None:
    """A process busy computing: the limit goes down to its least, even if it starts into the overload."""
    place = Place(1, 0.002, noise=0.5)
    place.run(3.0, 30.0)
    assert place.run(3.0, 10.0).median < 6.0
    assert place.limit.limit <= 6


def test_limit_grows_again_when_the_service_gets_faster() -> None:
    """Twice as fast, and twice as much of what is asked is done at once."""
    place = Place(20, 0.02)
    place.run(3.0, 10.0)
    place.service /= 2
    place.run(3.0, 2.0)
    faster = place.run(3.0, 20.0)
    assert faster.goodput > 0.93
    assert faster.median < 2.2


def test_limit_grows_when_more_calls_can_run_at_once() -> None:
    """What makes room is found out by using a little more than there was."""
    limit, now = ready()
    for _ in range(30):
        now = feed(limit, 1, 0.01, limit.limit, now)
    assert limit.limit > 60


def test_slower_service_costs_some_windows_and_not_the_service() -> None:
    """Three times slower calls are refused for a while as if they queued; then it is seen that they do not."""
    place = Place(20, 0.02)
    place.run(3.0, 10.0)
    place.service *= 3
    place.run(3.0, 10.0)
    assert place.limit.limit >= 20
    assert place.run(3.0, 20.0).goodput > 0.9


def test_calm_leaves_the_limit_alone() -> None:
    """An hour of one call at a time proves nothing about twenty, whatever its latency."""
    limit, now = ready()
    now = feed(limit, 5, 0.01, 1, now)
    feed(limit, 100, 0.5, 1, now)
    assert limit.limit == 20


def test_calm_after_an_overload_does_not_collapse_the_limit() -> None:
    """The limit that was found stays for the next time."""
    place = Place(20, 0.02, noise=0.5)
    place.run(3.0, 20.0)
    assert place.run(0.3, 60.0).lowest >= 20
    assert place.run(1.0, 10.0).goodput > 0.9


def test_first_window_is_not_believed() -> None:
    """What ends first is short: the second window is the first unloaded latency."""
    limit = AdaptiveLimit(most=1000)
    now = feed(limit, 1, 0.001, 20, 0.0)
    assert limit.state is LimitState.MEASURING
    feed(limit, 1, 0.01, 20, now)
    assert repr(limit) == "<AdaptiveLimit adjusting limit=20 unloaded=0.010000>"


def test_one_stall_costs_a_tenth_at_most() -> None:
    """A single slow window is not a trend."""
    limit, now = ready(100)
    feed(limit, 1, 0.5, 100, now)
    assert limit.limit >= 90


def test_dropped_calls_shrink_the_limit() -> None:
    """Half of the calls run out of time, and the others are as fast as ever."""
    limit, now = ready(100)
    feed(limit, 1, 0.01, 100, now, dropped=10)
    assert 90 <= limit.limit < 100


def test_nothing_but_dropped_calls_shrinks_the_limit() -> None:
    """Without an answer there is no latency, and the worst is assumed."""
    limit, now = ready(100)
    feed(limit, 3, 0.01, 100, now, dropped=20)
    assert 70 < limit.limit < 80


def test_measurement_without_an_answer_is_none() -> None:
    """What was known before stays known."""
    limit, now = overloaded()
    feed(limit, 2, 0.01, 2, now, dropped=20)
    assert (limit.state, "unloaded=0.010000" in repr(limit)) == (LimitState.ADJUSTING, True)


def test_calls_that_take_no_time_are_well() -> None:
    """A clock too coarse for them divides nothing by zero."""
    limit = AdaptiveLimit(most=1000)
    feed(limit, 10, 0.0, 20, 0.0)
    assert limit.limit > 20


def test_measurement_goes_on_although_long_calls_hold_more_than_its_share() -> None:
    """Five windows are waited for them, not for ever."""
    limit, now = overloaded()
    now = feed(limit, 4, 0.01, 100, now)
    assert limit.state is LimitState.SETTLING
    now = feed(limit, 1, 0.01, 100, now)
    assert limit.state is LimitState.MEASURING
    feed(limit, 1, 0.01, 100, now)
    assert limit.state is LimitState.ADJUSTING


samples = st.tuples(st.floats(0, 60), st.integers(0, 2000), st.floats(0, 5), st.booleans(), st.integers(1, 40))


@settings(deadline=None, max_examples=200)
@given(st.lists(samples, max_size=60))
def test_no_history_leaves_the_bounds(history: list[tuple[float, int, float, bool, int]]) -> None:
    """Whatever is told: within 4 and 1000, at least 1 while measuring, and no window takes more than a tenth."""
    limit, now = AdaptiveLimit(most=1000), 0.0
    for elapsed, running, pause, dropped, times in history:
        for _ in range(times):
            before, state = limit.limit, limit.state
            now += pause / times
            limit.receive_sample(elapsed, running, now, dropped=dropped)
            if limit.state is LimitState.ADJUSTING:
                assert 4 <= limit.limit <= 1000
                assert state is not LimitState.ADJUSTING or limit.limit >= before * 0.9 - 1
            assert 1 <= limit.limit <= 1000
