"""When the second copy of a call goes."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.errors import ConfigError
from zkrpc.policies.hedge import HedgeDelay, LatencyQuantile


def quantile_after(latencies: list[float], **options: int) -> LatencyQuantile:
    """A p95 that saw these."""
    quantile = LatencyQuantile(0.95, **options)
    for latency in latencies:
        quantile.record(latency)
    return quantile


def test_quantile_is_unknown_until_enough_was_seen() -> None:
    """The hundredth latency makes the first value."""
    latencies = [float(latency) for latency in range(1, 101)]
    assert quantile_after(latencies[:99]).value is None
    assert quantile_after(latencies).value == 95.0


def test_quantile_is_renewed_now_and_then() -> None:
    """A sort per 64 records, not one per record."""
    quantile = quantile_after([1.0] * 100)
    for _ in range(63):
        quantile.record(2.0)
    assert quantile.value == 1.0
    quantile.record(2.0)
    assert quantile.value == 2.0


def test_quantile_forgets_what_is_long_ago() -> None:
    """After 512 calls a slow past is over."""
    quantile = quantile_after([9.0] * 1000 + [1.0] * 512 + [1.0] * 64)
    assert quantile.value == 1.0


def test_quantile_shows_what_it_knows() -> None:
    """For people who debug."""
    assert repr(quantile_after([0.5])) == "<LatencyQuantile 0.95 value=None of 1>"


def test_hedging_does_not_move_its_own_quantile() -> None:
    """Each call is sent again after the p95 and recorded as its caller saw it: 5 % are sent again, early and late."""
    dice = random.Random(7)

    def latency() -> float:
        return dice.expovariate(100.0) + (0.5 if dice.random() < 0.02 else 0.0)

    quantile = LatencyQuantile(0.95)
    copies = []
    for _ in range(20_000):
        took, delay = latency(), quantile.value
        copies.append(delay is not None and took > delay)
        quantile.record(min(took, delay + latency()) if delay is not None and copies[-1] else took)
    assert 0.04 < sum(copies[:10_000]) / 10_000 < 0.06
    assert 0.04 < sum(copies[10_000:]) / 10_000 < 0.06


@settings(deadline=None, max_examples=200)
@given(st.lists(st.floats(0, 100), min_size=1, max_size=60), st.floats(0.01, 0.99))
def test_quantile_is_the_least_that_a_small_enough_share_exceeds(latencies: list[float], share: float) -> None:
    """At most ``1 - share`` of the latencies kept are above it; of any smaller value that is not true."""
    quantile = LatencyQuantile(share, samples=20, refresh=1, least=1)
    for latency in latencies:
        quantile.record(latency)
    kept = latencies[-20:]
    assert quantile.value in kept
    assert sum(latency <= quantile.value for latency in kept) >= share * len(kept) - 1e-9
    assert sum(latency < quantile.value for latency in kept) < share * len(kept)


@pytest.mark.parametrize(("setting", "seconds"), [(0.02, 0.02), (1, 1.0), (0.0001, 0.001)])
def test_fixed_delay_is_what_it_says(setting: float, seconds: float) -> None:
    """Whatever the method's latency is, but never below a millisecond."""
    delay = HedgeDelay.parse(setting)
    assert delay.quantile is None
    assert delay.delay(None) == seconds
    assert delay.delay(9.0) == seconds


def test_quantile_delay_follows_the_method() -> None:
    """No copy while it is not known, at least a millisecond when it is."""
    delay = HedgeDelay.parse("p99")
    assert delay.quantile == 0.99
    assert delay.delay(None) is None
    assert delay.delay(0.25) == 0.25
    assert delay.delay(0.0) == 0.001


@pytest.mark.parametrize("setting", ["95", "p42", "", "20ms", 0, -0.1, math.nan, math.inf, True, None, [95]])
def test_bad_setting_is_refused(setting: Any) -> None:
    """With a message that says what is accepted."""
    with pytest.raises(ConfigError, match='positive number of seconds or a percentile "p50" to "p99"'):
        HedgeDelay.parse(setting)
