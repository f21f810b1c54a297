"""A breaker opens for what failed, stays open for a while, and closes by one probe."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.config import BreakerConfig
from zkrpc.errors import LocalProtocolError
from zkrpc.policies.breaker import Breaker, BreakerState

CONFIG = BreakerConfig()


def no_jitter() -> float:
    """Dice that take nothing away: 5 s, 10 s, 20 s."""
    return 0.0


class Scene:
    """A breaker, a clock, and a caller that does what the hot path does."""

    def __init__(self, config: BreakerConfig = CONFIG, roll: float = 0.0) -> None:
        self.now = 1000.0
        self.breaker = Breaker(config, rng=lambda: roll, now=self.now)

    @property
    def state(self) -> BreakerState:
        return self.breaker.state

    def succeed(self, times: int = 1) -> bool:
        closed = False
        for _ in range(times):
            self.breaker.successes += 1
            closed |= self.breaker.troubled and self.breaker.receive_success(self.now)
        return closed

    def fail(self, times: int = 1) -> list[bool]:
        return [self.breaker.receive_failure(self.now) for _ in range(times)]

    def wait_for_probe(self) -> float:
        """Lets the time pass and begins the probe; how long it took."""
        before, at = self.now, self.breaker.retry_at
        assert at is not None
        self.now = at
        self.breaker.begin_probe(self.now)
        return self.now - before


def test_breaker_opens_at_the_fifth_failure_in_a_row() -> None:
    """Four are bad luck."""
    scene = Scene()
    assert scene.fail(5) == [False, False, False, False, True]
    assert scene.state is BreakerState.OPEN


def test_success_ends_the_row() -> None:
    """Four failures, a success, four failures, among enough others that went well: nothing is proved."""
    scene = Scene()
    scene.succeed(100)
    for _ in range(2):
        assert not any(scene.fail(4))
        assert scene.breaker.troubled
        assert scene.succeed() is False
        assert not scene.breaker.troubled
    assert scene.state is BreakerState.CLOSED


def test_breaker_opens_below_the_success_rate_without_a_row() -> None:
    """Every other call fails: never five in a row, and yet only half of them work."""
    scene = Scene()
    opened = []
    for _ in range(3):
        scene.now += 0.1
        scene.succeed()
        opened += scene.fail()
    assert opened == [False, False, True]


def test_breaker_stays_closed_above_the_success_rate() -> None:
    """Five of six go well, for ever: that is more than 80 %."""
    scene = Scene()
    for _ in range(1000):
        scene.now += 0.1
        scene.succeed(5)
        assert scene.fail() == [False]


def test_few_calls_are_no_rate() -> None:
    """Four failures of four calls within the window, each after a long pause, do not open it by their share."""
    scene = Scene(dataclasses.replace(CONFIG, consecutive_failures=1000))
    for _ in range(50):
        scene.now += 12.0
        assert scene.fail() == [False]


def test_hour_of_successes_does_not_outweigh_the_last_window() -> None:
    """An hour of 10 per second counts as 300 successes: 76 failures with as many calls between them are enough."""
    scene = Scene()
    scene.succeed(36_000)
    scene.now += 3600.0
    failures = 0
    while not any(scene.fail()):
        failures += 1
        scene.succeed()
    assert 90 < failures < 110


def test_breaker_that_knows_no_beginning_does_not_trust_old_successes() -> None:
    """Successes of unknown age are left out, so that they cannot hide failures."""
    breaker = Breaker(CONFIG, rng=no_jitter)
    breaker.successes += 10**6
    outcomes = []
    for _ in range(3):
        outcomes.append(breaker.receive_failure(50.0))
        breaker.successes += 1
        breaker.receive_success(50.0)
    assert outcomes == [False, False, True]


def test_rate_can_be_turned_off() -> None:
    """With a success rate of 0 only a row of failures opens it."""
    scene = Scene(dataclasses.replace(CONFIG, success_rate=0.0))
    for _ in range(100):
        assert not any(scene.fail(4))
        scene.succeed()


def test_probe_is_due_after_the_pause_and_only_one() -> None:
    """No probe before its time, none beside another."""
    scene = Scene()
    assert scene.breaker.retry_at is None
    scene.fail(5)
    assert scene.breaker.retry_at == 1005.0
    assert not scene.breaker.may_probe(1004.9)
    assert scene.breaker.may_probe(1005.0)
    scene.breaker.begin_probe(1005.0)
    assert not scene.breaker.may_probe(1006.0)
    assert scene.breaker.retry_at is None
    with pytest.raises(LocalProtocolError, match="no probe is due, the breaker is probing"):
        scene.breaker.begin_probe(1006.0)


def test_probe_that_succeeds_closes() -> None:
    """The endpoint answered: it is used again, and what it did before is not held against it."""
    scene = Scene()
    scene.fail(5)
    scene.wait_for_probe()
    assert scene.succeed() is True
    assert (scene.state, scene.breaker.troubled) == (BreakerState.CLOSED, False)
    assert not any(scene.fail(4))


def test_probe_that_fails_opens_for_longer_each_time() -> None:
    """5 s, doubled up to 300 s."""
    scene = Scene()
    scene.fail(5)
    pauses = []
    for _ in range(8):
        pauses.append(scene.wait_for_probe())
        assert scene.fail() == [True]
    assert pauses == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]


def test_dice_take_away_up_to_half_of_the_pause() -> None:
    """A throw of one half leaves three quarters."""
    scene = Scene(roll=0.5)
    scene.fail(5)
    assert scene.wait_for_probe() == 3.75


def test_abandoned_probe_can_be_made_again_at_once() -> None:
    """Its caller went away: nothing is known, and nothing gets longer."""
    scene = Scene()
    scene.fail(5)
    scene.wait_for_probe()
    scene.breaker.abandon_probe(scene.now)
    assert scene.state is BreakerState.OPEN
    assert scene.breaker.may_probe(scene.now)
    scene.breaker.begin_probe(scene.now)
    scene.fail()
    assert scene.wait_for_probe() == 10.0


def test_probe_abandoned_after_it_was_decided_changes_nothing() -> None:
    """An answer to another call has closed the breaker already."""
    scene = Scene()
    scene.fail(5)
    scene.wait_for_probe()
    scene.succeed()
    scene.breaker.abandon_probe(scene.now)
    assert scene.state is BreakerState.CLOSED


def test_late_answers_change_nothing_while_open() -> None:
    """A success of a call sent before does not close it, and 59 more failures of a burst do not lengthen it."""
    scene = Scene()
    scene.fail(5)
    scene.now += 1.0
    assert scene.succeed() is False
    assert not any(scene.fail(59))
    assert (scene.state, scene.breaker.retry_at) == (BreakerState.OPEN, 1005.0)


def test_late_successes_do_not_count_after_closing() -> None:
    """What was answered while it was open belongs to the time before."""
    scene = Scene()
    scene.fail(5)
    scene.succeed(1000)
    scene.wait_for_probe()
    scene.succeed()
    outcomes = []
    for _ in range(3):
        scene.succeed()
        outcomes += scene.fail()
    assert outcomes == [False, False, True]


def test_endpoint_that_fails_again_soon_is_left_for_longer() -> None:
    """It answered the probe and broke under the load that followed."""
    scene = Scene()
    pauses = []
    for _ in range(4):
        scene.fail(5)
        pauses.append(scene.wait_for_probe())
        scene.succeed()
        scene.now += 29.0
    assert pauses == [5.0, 10.0, 20.0, 40.0]


def test_endpoint_that_stayed_well_is_forgiven() -> None:
    """As long as it was open, and at least the window: 40 s after an opening of 40 s, 30 s after one of 5 s."""
    scene = Scene()
    pauses = []
    for well in (1.0, 1.0, 1.0, 40.0, 30.0, 0.0):
        scene.fail(5)
        pauses.append(scene.wait_for_probe())
        scene.succeed()
        scene.now += well
    assert pauses == [5.0, 10.0, 20.0, 40.0, 5.0, 5.0]


def test_breaker_shows_where_it_stands() -> None:
    """For people who debug."""
    scene = Scene()
    scene.fail(5)
    assert repr(scene.breaker) == "<Breaker open in_row=5 openings=1>"


moves = st.lists(
    st.tuples(st.sampled_from(["succeed", "fail", "probe", "abandon"]), st.floats(0, 60), st.floats(0, 0.999)),
    max_size=80,
)


@settings(deadline=None, max_examples=300)
@given(moves)
def test_no_history_breaks_the_rules(history: list[tuple[str, float, float]]) -> None:
    """It leaves CLOSED only by failures, OPEN only by a probe in its time, and is open within its bounds."""
    rolls = [0.0]
    scene = Scene()
    breaker = Breaker(CONFIG, rng=lambda: rolls[-1], now=scene.now)
    scene.breaker = breaker
    in_row = 0
    for move, pause, roll in history:
        scene.now += pause
        rolls.append(roll)
        before, retry_at = breaker.state, breaker.retry_at
        if move == "succeed":
            assert scene.succeed() == (before is BreakerState.PROBING)
            in_row = 0
        elif move == "fail":
            [opened] = scene.fail()
            assert opened == (before is not BreakerState.OPEN and breaker.state is BreakerState.OPEN)
            in_row += 1
        elif move == "probe" and breaker.may_probe(scene.now):
            assert retry_at is not None and retry_at <= scene.now
            breaker.begin_probe(scene.now)
        elif move == "abandon":
            breaker.abandon_probe(scene.now)
        if before is BreakerState.OPEN:
            assert (breaker.state, breaker.retry_at) in [(before, retry_at), (BreakerState.PROBING, None)]
        elif breaker.retry_at is not None and move == "fail":
            assert CONFIG.open_first / 2 < breaker.retry_at - scene.now + 1e-9 <= CONFIG.open_longest + 1e-6
        if breaker.state is BreakerState.CLOSED:
            assert in_row < CONFIG.consecutive_failures
            assert breaker.troubled == (in_row > 0)
        else:
            assert breaker.troubled
