"""After which time a call is unlikely to be answered soon, and a second copy of it is worth sending.

Hedging (Dean and Barroso, "The Tail at Scale") cuts the tail that single instances cause: a stall, a full queue, a lost
packet. The delay decides what it costs. After the p95 of the method's own latency, 5 % of calls are sent twice, and the
tail beyond it becomes one where *two* instances were slow. A fixed delay is simpler, and right only as long as the
latency stays what it was when the delay was set; when the service gets slower than that, each call is sent twice, and
only the budget (:mod:`zkrpc.policies.budget`) stands between that and twice the load.

What to record: how long the call took its caller, whichever copy answered. A copy cannot answer before it was sent, so
hedging shortens only latencies that are above the delay, and leaves them above it: the share of calls above the p95
stays 5 %, and the estimate does not chase its own effect. Failures are not recorded: an immediate one would make the
method look fast.

Nothing is sent here; whoever sends the copy also cancels the loser.
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque

from zkrpc.config import percentile
from zkrpc.errors import ConfigError

LEAST_DELAY = 0.001
"""Seconds. Below a millisecond the tail comes from this process's own scheduling, to which a second copy only adds."""


class LatencyQuantile:
    """A quantile of the last ``samples`` latencies of one method.

    They are sorted once per ``refresh`` records, so that a record costs a fraction of a microsecond on average; between
    two sorts the value is at most ``refresh`` calls old.

    Args:
        quantile: between 0 and 1; 0.95 is exceeded by at most one latency of twenty.
        samples: latencies kept. With 512 of them 25 lie above the p95, enough for it to be steady.
        refresh: records from one sort to the next.
        least: records before there is a value: a quantile of few is accidental, and the first calls are slow.
    """

    __slots__ = ("_due", "_latencies", "_quantile", "_refresh", "value")

    def __init__(self, quantile: float = 0.95, *, samples: int = 512, refresh: int = 64, least: int = 100) -> None:
        self._quantile = quantile
        self._latencies: deque[float] = deque(maxlen=samples)
        self._refresh = refresh
        self._due = least
        self.value: float | None = None
        """The quantile in seconds: the least latency seen that no larger share than ``1 - quantile`` exceeds. None
        while there are too few records."""

    def __repr__(self) -> str:
        """The quantile, its value, and the number of records."""
        return f"<LatencyQuantile {self._quantile} value={self.value} of {len(self._latencies)}>"

    def record(self, seconds: float) -> None:
        """Takes in how long an answered call took."""
        self._latencies.append(seconds)
        self._due -= 1
        if self._due <= 0:
            self._due = self._refresh
            ordered = sorted(self._latencies)
            self.value = ordered[math.ceil(self._quantile * len(ordered)) - 1]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HedgeDelay:
    """When the second copy goes: after fixed ``seconds``, or after a ``quantile`` of the method's latency."""

    seconds: float | None = None
    """Set for a fixed delay."""
    quantile: float | None = None
    """Set for a delay that follows the method: 0.95 for its p95."""

    @classmethod
    def parse(cls, setting: float | str) -> HedgeDelay:
        """Reads a setting: seconds, or text such as ``"p95"``. Raises ConfigError for anything else."""
        if isinstance(setting, str):
            quantile = percentile(setting)
            if quantile is not None:
                return cls(quantile=quantile)
        elif isinstance(setting, (int, float)) and not isinstance(setting, bool) and 0 < setting < math.inf:
            return cls(seconds=float(setting))
        raise ConfigError(f'a hedge is a positive number of seconds or a percentile "p50" to "p99", got {setting!r}')

    def delay(self, quantile_of_method: float | None) -> float | None:
        """Seconds until the second copy, at least 1 ms; None while the quantile is not known: then there is no copy."""
        seconds = quantile_of_method if self.seconds is None else self.seconds
        return None if seconds is None else max(LEAST_DELAY, seconds)
