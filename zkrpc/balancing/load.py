"""What one more call to an instance costs now: calls in flight times a latency estimate that rises at once and falls
slowly.

The estimate is Finagle's peak-EWMA: a higher latency than the estimate replaces it immediately, a lower one is blended
in with a time constant. An instance that turns slow loses calls from its first slow answer on; one that recovers gets
them back gradually. Nothing here reads a clock: ``now`` and every duration are handed in, in seconds.
"""

from __future__ import annotations

import math

DECAY = 10.0
"""Seconds after which an old latency counts for 1/e; Finagle's default."""
FORGET_AFTER = 3 * DECAY
"""Seconds without an answer after which the estimate is dropped and the instance counts as a new one. Without this
bound a long unused instance would look twenty and more times faster than it is and draw a whole burst."""
UNKNOWN_COST = 1000.0
"""Seconds that each call in flight costs at an instance that has answered none yet: it gets one call to begin with, and
not a burst."""
FAILURE_FACTOR = 8.0
"""A failed call counts as one that took this many times longer than usual: an instance that fails fast must not look
like a fast one."""
LEAST_FAILURE_COST = 0.001
"""Seconds added to that, for an instance without history that fails in no time."""
WORST_COST = 10.0
"""Seconds, the most that failures alone can make an instance cost; so it is tried again after some time."""

_exp = math.exp


class Load:
    """Calls in flight and peak-EWMA latency of one instance."""

    __slots__ = ("pending", "_cost", "_measured_at")

    def __init__(self) -> None:
        self.pending = 0
        """The number of calls in flight. Whoever begins a call adds one here, and then calls exactly one of ``finish``,
        ``fail`` and ``abandon``."""
        self._cost = 0.0
        self._measured_at = -math.inf

    def finish(self, elapsed: float, now: float) -> None:
        """A call was answered after ``elapsed`` seconds."""
        self.pending -= 1
        # ``_observe`` written out, as in ``score``: a call of Python costs more than the arithmetic.
        age = now - self._measured_at
        if elapsed < self._cost and age < FORGET_AFTER:
            share = _exp(-age / DECAY)
            elapsed = self._cost * share + elapsed * (1.0 - share)
        self._cost = elapsed
        self._measured_at = now

    def fail(self, elapsed: float, now: float) -> None:
        """A call failed, or was refused, after ``elapsed`` seconds."""
        self.pending -= 1
        penalty = min(max(self.cost(now), elapsed) * FAILURE_FACTOR + LEAST_FAILURE_COST, WORST_COST)
        self._observe(max(elapsed, penalty), now)

    def abandon(self, elapsed: float, now: float) -> None:
        """The caller gave up after ``elapsed`` seconds: the latency is at least that, which counts if it is above the
        estimate."""
        self.pending -= 1
        if elapsed > self.cost(now):
            self._observe(elapsed, now)

    def forget(self) -> None:
        """Drops the estimate, for an instance that was gone and has come back."""
        self._cost, self._measured_at = 0.0, -math.inf

    def cost(self, now: float) -> float:
        """The latency estimate in seconds, 0 if there is none or it is too old."""
        age = now - self._measured_at
        return self._cost * _exp(-age / DECAY) if age < FORGET_AFTER else 0.0

    def score(self, now: float) -> float:
        """What one more call would cost, for comparison with other instances: lower is better."""
        # ``cost`` written out: this runs twice per call, and a call of Python costs more than the arithmetic.
        pending = self.pending
        age = now - self._measured_at
        if age < FORGET_AFTER and self._cost:
            return self._cost * _exp(-age / DECAY) * (pending + 1)
        return UNKNOWN_COST * (pending + 1) if pending else 0.0

    def is_cheaper(self, other: Load, now: float) -> bool:
        """Whether one more call would cost no more here than at ``other``: compares the scores."""
        mine, theirs = self.pending, other.pending
        age, other_age = now - self._measured_at, now - other._measured_at
        if age < FORGET_AFTER and other_age < FORGET_AFTER and self._cost and other._cost:
            ours = self._cost * _exp((other_age - age) / DECAY) * (mine + 1)
            return ours <= other._cost * (theirs + 1)
        return self.score(now) <= other.score(now)

    def _observe(self, latency: float, now: float) -> None:
        age = now - self._measured_at
        if latency >= self._cost or age >= FORGET_AFTER:
            self._cost = latency
        else:
            share = _exp(-age / DECAY)
            self._cost = self._cost * share + latency * (1.0 - share)
        self._measured_at = now

    def __repr__(self) -> str:
        """Calls in flight and the last estimate."""
        return f"<Load pending={self.pending} cost={self._cost:.6f}>"
