"""How long to pause: exponential with full jitter.

Full jitter (a uniform draw between nothing and the bound) spreads a crowd of callers best for the least total work; see
"Exponential Backoff And Jitter" of the AWS Architecture Blog. Formula: ``rng() * min(longest, first * 2 ** failures)``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

_MOST_DOUBLINGS = 62


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """The bounds of a pause, in seconds."""

    first: float
    longest: float

    def bound(self, failures: int) -> float:
        """The longest pause after this many earlier ones."""
        return min(self.longest, self.first * 2.0 ** min(failures, _MOST_DOUBLINGS))

    def pause(self, failures: int, rng: Callable[[], float]) -> float:
        """The pause to make after this many earlier ones; ``rng`` gives floats in [0, 1)."""
        return rng() * self.bound(failures)
