"""One timer for many deadlines: moved only when one comes before it; the others wait for its turn."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


class Alarm:
    """Calls ``ring`` in the hub at the moment that was set last. A timer for nothing is cheaper than one per call."""

    __slots__ = ("_clock", "_loop", "_ring", "_timer", "at")

    def __init__(self, loop: Any, clock: Callable[[], float], ring: Callable[[], object]) -> None:
        self._loop = loop
        self._clock = clock
        self._ring = ring
        self._timer: Any = None
        self.at = math.inf
        """When it will ring; infinity if it is not set."""

    def set(self, at: float) -> None:
        """Rings at ``at``, and not when it was set to before."""
        self.clear()
        self.at = at
        self._timer = self._loop.timer(max(0.0, at - self._clock()))
        self._timer.start(self._on_time)

    def clear(self) -> None:
        """Rings no more; frees the timer."""
        timer, self._timer, self.at = self._timer, None, math.inf
        if timer is not None:
            timer.stop()
            timer.close()

    def _on_time(self) -> None:
        self.at = math.inf
        self._ring()

    def __repr__(self) -> str:
        """When."""
        return f"<Alarm at {self.at:g}>"
