"""When the calls of an open loop are due. Pure."""

from __future__ import annotations

import math


class OpenLoop:
    """Calls at a fixed rate, for some time.

    Calls that are due while too many are under way wait, and stay due from their moment; they are held back and not
    given up, as long as the time is not over.

    Args:
        rate: calls per second.
        seconds: how long calls become due.
        began: monotonic time at which the first one is due.
        most_at_once: calls that are under way together, at most.
    """

    def __init__(self, *, rate: float, seconds: float, began: float, most_at_once: int) -> None:
        self._rate = rate
        self._began = began
        self._total = max(1, math.floor(rate * seconds + 1e-6))
        self._most_at_once = most_at_once
        self._ends_at = began + seconds
        self.started = 0
        """Calls that were handed out."""
        self.under_way = 0
        """Those that have not ended."""
        self._holds_back = False

    def __repr__(self) -> str:
        """How far it is."""
        return f"<OpenLoop {self.started} of {self._total} started, {self.under_way} under way>"

    def take(self, now: float) -> float | None:
        """When the next call was due, if it is to be started now; None if it is not time yet, or if too many are under
        way."""
        if self._is_over(now) or self._due(self.started) > now or self._is_full:
            return None
        self.started += 1
        self.under_way += 1
        return self._due(self.started - 1)

    def receive_end(self) -> None:
        """A call has ended."""
        self.under_way -= 1

    def next_at(self, now: float) -> float | None:
        """When ``take`` may give the next one; infinity if a call has to end first, None if there is none any more."""
        if self._is_over(now):
            return None
        return math.inf if self._is_full else self._due(self.started)

    @property
    def ends_at(self) -> float:
        """When no call is started any more."""
        return self._ends_at

    def unsent(self, now: float) -> int:
        """Calls that were due by then, and were not started as too many were under way."""
        due = math.floor((min(now, self._ends_at) - self._began) * self._rate + 1e-6) + 1
        return max(0, min(due, self._total) - self.started)

    def _due(self, number: int) -> float:
        return self._began + number / self._rate

    @property
    def _is_full(self) -> bool:
        return self.under_way >= self._most_at_once

    def _is_over(self, now: float) -> bool:
        """Whether no more calls are to be started. Those that are late at the end because nobody has asked for them in
        time, and not because others were under way, are still started."""
        if self._due(self.started) > now:
            self._holds_back = False
        elif self._is_full:
            self._holds_back = True
        return self.started >= self._total or (self._holds_back and now >= self._ends_at)
