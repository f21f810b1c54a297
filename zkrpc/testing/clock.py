"""A clock that moves when told to, for driving machines through minutes in microseconds."""

from __future__ import annotations


class ManualClock:
    """Monotonic seconds under the test's control; calling it gives the time, as ``time.monotonic`` does."""

    def __init__(self, now: float = 0.0) -> None:
        self.now = now

    def __call__(self) -> float:
        """The time."""
        return self.now

    def advance(self, seconds: float) -> float:
        """Moves forward and returns the new time. Raises ValueError for a step back: monotonic time has none."""
        if seconds < 0:
            raise ValueError(f"monotonic time does not go back ({seconds} s)")
        self.now += seconds
        return self.now
