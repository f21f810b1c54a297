"""How long an instance stays out of the queue after it gave something up, so that others go first.

The longer, the more often in a row it has failed at the same thing; whoever begins well again begins anew. It knows
reasons and times; it decides nothing else.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from zkrpc.election.effects import Reason
from zkrpc.policies.backoff import Backoff

# Others in the queue go first anyway. After a hand-over they are busy electing, and somebody who enrols is in their
# way. The longest are short enough that a service whose instances all were sick has a primary soon after they are well.
_PAUSES = {
    Reason.SYNCHRONISATION_FAILED: Backoff(first=1.0, longest=6.0),
    Reason.NO_LEASE: Backoff(first=1.0, longest=5.0),
    Reason.EPOCH_LOST: Backoff(first=0.05, longest=5.0),
    Reason.HANDED_OVER: Backoff(first=0.15, longest=0.15),
}


class Absence:
    """When one instance stands again. ``rng`` gives floats in [0, 1)."""

    def __init__(self, rng: Callable[[], float]) -> None:
        self.until: float | None = None
        """When it is over; None if there is none."""
        self._rng = rng
        self._failures: Counter[Reason] = Counter()

    def __repr__(self) -> str:
        """What it is for, and how often."""
        failures = {reason.value: times for reason, times in self._failures.items()}
        return f"<Absence until={self.until} {failures}>"

    def begin(self, reason: Reason, now: float) -> None:
        """Something was given up for this reason; there are reasons that need no absence."""
        pause = _PAUSES.get(reason)
        if pause is not None:
            self.until = now + pause.bound(self._failures[reason]) * (0.5 + 0.5 * self._rng())
            self._failures[reason] += 1

    def times(self, reason: Reason) -> int:
        """How often in a row it was this reason."""
        return self._failures[reason]

    def forgive(self, reason: Reason) -> None:
        """It went well this time."""
        del self._failures[reason]

    def lasts(self, now: float) -> bool:
        """Whether to stay out of the queue."""
        return self.until is not None and now < self.until

    def handle_timer(self, now: float) -> None:
        """Forgets what is over, so that nobody is woken for it again."""
        if not self.lasts(now):
            self.until = None
