"""A new process gets few calls at first: its caches are cold and its connections are not made.

Its weight is multiplied by a share that grows linearly with its age. Age is measured twice, and the larger one counts:

- by the start time it registered, which every client sees alike, also one that starts later. It comes from another
  machine's clock, which may be wrong.
- by how long this client has known it, which is always right and never more than the true age.

So a start time in the future cannot keep a member at a reduced weight for longer than ``warm_up`` after it was first
seen; one too far in the past gives it full weight at once, which is no worse than no warming up at all. Weights are
relative: where all members are equally young, nothing changes.
"""

from __future__ import annotations

from zkrpc.config import ClientConfig

WARM_UP = ClientConfig().warm_up
"""Seconds from start to full weight, where nobody says otherwise."""
LEAST = 0.1
"""The share of its weight that a new instance has: enough calls to warm it up."""


def warm_share(age_by_start_time: float, known_for: float, warm_up: float = WARM_UP, least: float = LEAST) -> float:
    """The factor for an instance's weight: from ``least`` for a new one up to 1.

    Args:
        age_by_start_time: wall-clock seconds since it says it started; may be negative or no number at all.
        known_for: seconds since this client first saw it, on its monotonic clock.
        warm_up: seconds from start to full weight; 0 for no warming up.
        least: the share at age 0.
    """
    cold = seconds_until_warm(age_by_start_time, known_for, warm_up)
    # Rounding must not make it less, which for a tiny least would be a share of nothing.
    return max(least, 1.0 - (1.0 - least) * cold / warm_up) if cold > 0 else 1.0


def seconds_until_warm(age_by_start_time: float, known_for: float, warm_up: float = WARM_UP) -> float:
    """Seconds for which an instance's share still grows; 0 once it is 1. Arguments as for :func:`warm_share`."""
    # With 0 first, as a start time that is no number then loses its comparison and is ignored.
    age = max(0.0, known_for, age_by_start_time)
    return max(0.0, warm_up - age)
