"""What one instance costs right now: calls in flight times a latency estimate that believes bad news at once.

The estimate is Finagle's peak-EWMA: a higher latency than the estimate replaces it immediately, a lower one is blended
in with a time constant. An instance that turns slow is left within one answer; one that recovers is trusted slowly.
Reads no clock: ``now`` and every duration are handed in, in seconds.
"""

from __future__ import annotations

import math

DECAY = 10.0
"""Seconds after which an old latency counts for 1/e; Finagle's default."""
FORGET_AFTER = 3 * DECAY
"""Seconds without an answer after which the estimate says nothing any more and the instance is like a new one. Without
this bound a long unused instance would look twenty and more times faster than it is and draw a whole burst."""
UNKNOWN_COST = 1000.0
"""Seconds charged per call in flight to an instance that has answered none yet: it gets one probe, not a stampede."""
FAILURE_FACTOR = 8.0
"""A failed call counts as one that took this many times longer than usual: failing fast must not look attractive."""
LEAST_FAILURE_COST = 0.001
"""Seconds added to that, for an instance without history that fails in no time."""
WORST_COST = 10.0
"""Seconds, the most that failures alone can make an instance cost; it is tried again some time later."""

_exp = math.exp


class Load:
    """Calls in flight and peak-EWMA latency of one instance."""

    __slots__ = ("pending", "_cost", "_measured_at")

    def __init__(self) -> None:
        self.pending = 0
        """Calls in flight. Whoever begins one adds it here; exactly one of ``finish``, ``fail`` and ``abandon`` must
        follow."""
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
        """The caller went away: the answer would have taken at least ``elapsed`` seconds, which counts if it is bad."""
        self.pending -= 1
        if elapsed > self.cost(now):
            self._observe(elapsed, now)

    def forget(self) -> None:
        """What was measured is of another time: it was gone and is back, so it is like a new one."""
        self._cost, self._measured_at = 0.0, -math.inf

    def cost(self, now: float) -> float:
        """The latency estimate in seconds, 0 if there is none (any more)."""
        age = now - self._measured_at
        return self._cost * _exp(-age / DECAY) if age < FORGET_AFTER else 0.0

    def score(self, now: float) -> float:
        """What one more call would cost: to be compared, lower is better."""
        # ``cost`` written out: this runs twice per call, and a call of Python costs more than the arithmetic.
        pending = self.pending
        age = now - self._measured_at
        if age < FORGET_AFTER and self._cost:
            return self._cost * _exp(-age / DECAY) * (pending + 1)
        return UNKNOWN_COST * (pending + 1) if pending else 0.0

    def is_cheaper(self, other: Load, now: float) -> bool:
        """Whether one more call would cost less here than there, or as much: compares the scores."""
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
