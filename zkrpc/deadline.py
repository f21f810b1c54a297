"""A deadline: a point in monotonic time that a call and all it causes must not outlive.

On the wire it travels as the *remaining* time, never as a wall-clock instant, because two machines' clocks do not
agree (gRPC's guide on deadlines gives the same rule). Every hop can only shorten it. This module reads no clock.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

DEADLINE_BUDGET = "Deadline-Budget"
"""The metadata key under which it travels: time the caller still waits, in whole milliseconds and ASCII digits."""

_LONGEST = 2**31 - 1
"""Milliseconds; a larger budget, of up to ``_MOST_DIGITS`` digits, counts as this."""
_MOST_DIGITS = 10


def read_budget(text: str) -> float:
    """Seconds that a peer's ``Deadline-Budget`` gives; infinity if the text is none, and so bounds nothing."""
    if not (text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS):
        return math.inf
    return min(int(text), _LONGEST) / 1000


class Deadline(NamedTuple):
    """An absolute monotonic instant, in seconds; ordered, so that ``min`` is the stricter one."""

    at: float

    @classmethod
    def after(cls, timeout: float, now: float) -> Deadline:
        """The deadline ``timeout`` seconds from ``now``."""
        return cls(now + timeout)

    @classmethod
    def from_budget(cls, text: str, now: float) -> Deadline | None:
        """The deadline that a peer's ``Deadline-Budget`` means; None if it is not one."""
        seconds = read_budget(text)
        return None if seconds == math.inf else cls(now + seconds)

    def remaining(self, now: float) -> float:
        """Seconds left; negative once it has passed."""
        return self.at - now

    def has_expired(self, now: float) -> bool:
        """True from the instant itself on."""
        return now >= self.at

    def budget(self, now: float) -> str:
        """What to send as ``Deadline-Budget``: whole milliseconds, rounded down so that hops only shorten it."""
        return str(max(0, min(int((self.at - now) * 1000), _LONGEST)))


make_deadline: Callable[[type[Deadline], tuple[float]], Any] = tuple.__new__
"""Makes a Deadline of its one field; half the price of calling the class (measured)."""
