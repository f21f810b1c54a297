"""When the files of a certificate are to be read again, and when an alarm is due about what is in them. Pure.

=========  ======================================================  =================================================
state      means                                                   a look finds
=========  ======================================================  =================================================
CURRENT    what the files hold is in use                           a change: they are read
FRESH      the same, read a moment ago                             anything: they are read once more, as a change
                                                                   within the clock's grain of the first would not show
DOUBTFUL   they changed, and hold nothing that can be used; what   a change or none: they are read
           was loaded before stays in use
BROKEN     the same for two looks, and the alarm was raised        a change: they are read
=========  ======================================================  =================================================

A certificate and its key are two files, which are replaced one after the other, and somebody may just be writing. So
what cannot be used is read a second time before anybody is told. Then it is said once, until something can be used.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

INTERVAL = 1.0
"""Seconds between two looks at the files."""


class ReloadingState(enum.Enum):
    """See the module's table."""

    CURRENT = "current"
    FRESH = "fresh"
    DOUBTFUL = "doubtful"
    BROKEN = "broken"


class Reloading:
    """The files of one certificate, of which ``stamps`` are what tells one version of them from another."""

    __slots__ = ("_changed", "_looked_at", "_stamps", "reloads", "state")

    def __init__(self, stamps: Sequence[Any], now: float) -> None:
        self.state = ReloadingState.FRESH
        self.reloads = 0
        """How often a change was taken in."""
        self._stamps = tuple(stamps)
        self._changed = False
        self._looked_at = now

    def __repr__(self) -> str:
        """State and count."""
        return f"<Reloading {self.state.value} reloads={self.reloads}>"

    def is_due(self, now: float) -> bool:
        """Whether it is time for a look."""
        return now >= self._looked_at + INTERVAL

    def receive_stamps(self, stamps: Sequence[Any], now: float) -> bool:
        """A look was taken. True if the files are to be read, which is answered by ``receive_loaded`` or
        ``receive_failure``."""
        self._looked_at = now
        self._changed = tuple(stamps) != self._stamps
        self._stamps = tuple(stamps)
        return self._changed or self.state in (ReloadingState.FRESH, ReloadingState.DOUBTFUL)

    def receive_loaded(self) -> bool:
        """They were read and can be used. True if that is news."""
        if self.state is ReloadingState.FRESH and not self._changed:
            self.state = ReloadingState.CURRENT
            return False
        self.state = ReloadingState.FRESH
        self.reloads += 1
        return True

    def receive_failure(self) -> bool:
        """They hold nothing that can be used. True if the alarm is due."""
        if self.state is ReloadingState.DOUBTFUL:
            self.state = ReloadingState.BROKEN
            return True
        if self.state is not ReloadingState.BROKEN:
            self.state = ReloadingState.DOUBTFUL
        return False
