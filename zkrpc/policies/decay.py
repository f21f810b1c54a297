"""A count of recent events that decays exponentially, fed from integers that the hot path merely increments.

With the time constant ``window`` an event counts for ``exp(-age / window)``, so that a steady rate ``r`` is worth
``r * window``: as much as a plain count over the last ``window`` seconds, without its buckets and without the step when
one of them is dropped.

A frequent event must cost one integer increment and nothing else, so its time is not known. The owner counts in a
running total of its own and hands that over when the count is wanted (:meth:`DecayingCount.fold`). The ``n`` events
since the last fold, ``t`` seconds ago, are taken to have come evenly::

    count = count * exp(-t / window) + n * (1 - exp(-t / window)) / (t / window)

The factor of ``n`` is the mean of ``exp(-age / window)`` over ages from 0 to ``t``. It is 1 for a fold without delay
and falls like ``window / t``: an hour of successes that is folded at the first failure weighs like its last half
minute, not like an hour. Folding more often changes nothing while the rate is steady. A rare event whose time matters
(a failure, a withdrawal) is added with its exact time (:meth:`DecayingCount.add`).
"""

from __future__ import annotations

import math

_exp = math.exp
_expm1 = math.expm1


class DecayingCount:
    """A count with the time constant ``window`` in seconds; ``total`` is where the owner's running total begins."""

    __slots__ = ("_at", "_count", "_total", "_window")

    def __init__(self, window: float, now: float, *, count: float = 0.0, total: float = 0.0) -> None:
        self._window = window
        self._at = now
        self._count = count
        self._total = total

    def __repr__(self) -> str:
        """The count when it was last looked at."""
        return f"<DecayingCount {self._count:.3f} at {self._at:.3f}>"

    def fold(self, total: float, now: float) -> float:
        """The count at ``now``, with what came to the owner's running ``total`` since the last fold spread evenly."""
        fresh = total - self._total
        self._total = total
        # A clock handed in twice, or read a little out of order by two callers, is no time at all.
        age = (now - self._at) / self._window
        if age > 0.0:
            self._at = now
            self._count *= _exp(-age)
            fresh *= -_expm1(-age) / age
        self._count += fresh
        return self._count

    def add(self, amount: float, now: float) -> float:
        """The count with ``amount`` more, all of it at ``now``. Only for a count whose owner has no running total to
        fold."""
        self._count = self.fold(self._total, now) + amount
        return self._count
