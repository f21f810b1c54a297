"""When a hub was blocked, for how long and by what: a state machine that touches neither threads nor frames.

Everything in a worker shares one hub: while one handler computes, or blocks in a call that is not cooperative, no other
call is served and no heartbeat goes to ZooKeeper. A timer of the hub *beats*; a thread beside it checks whether the
last beat is too long ago, and then finds where the hub's thread is. This machine takes in both.

=======  ======================================================  ====================================================
state    means                                                   left by
=======  ======================================================  ====================================================
BEATING  the last beat is not long ago                           a look that finds it is: BLOCKED
BLOCKED  the hub does not run; where it is has been asked once   the next beat: BEATING, and a report unless there were
                                                                 enough about the same place
=======  ======================================================  ====================================================

A beat and a look may come from two threads at the same time; each changes the state in one atomic step.
"""

from __future__ import annotations

import dataclasses
import math

BEAT_INTERVAL = 0.05
"""Seconds between beats."""
BLOCKED_AFTER = 0.2
"""Seconds without a beat that are reported: as long as a call that callers find slow."""
_REPORT_INTERVAL = 60.0
"""Seconds between two reports about one place."""
_MOST_PLACES = 100
"""Places that are remembered; with more of them all are forgotten, and reported anew."""
_LONG_BLOCK = 5.0
"""Seconds after which a blockage is reported before it ends, as it may never end."""


@dataclasses.dataclass(frozen=True, slots=True)
class Place:
    """Where a thread was: the method it served, and its stack frames, the innermost last."""

    doing: str
    frames: tuple[tuple[str, int, str], ...] = ()
    """File, line and function of each."""

    @property
    def kind(self) -> tuple[str, str, str]:
        """The key under which blockages count as the same: where the work began, not how far it was."""
        return (self.doing, self.frames[0][0], self.frames[0][2]) if self.frames else (self.doing, "", "")

    def __str__(self) -> str:
        """The place in a few words."""
        if not self.frames:
            return self.doing
        file, line, function = self.frames[-1]
        return f"{self.doing} ({file}:{line} in {function})"


SOMEWHERE = Place("something that left no trace, or the process was stopped, or had no CPU")


@dataclasses.dataclass(frozen=True, slots=True)
class Blockage:
    """The hub did not run for this long, until ``ended_at``."""

    seconds: float
    place: Place
    ended_at: float
    since_last_report: int = 0
    """Blockages at the same place that were not reported."""


class Blockages:
    """The state machine, made while the hub runs."""

    def __init__(self, now: float) -> None:
        self.longest: Blockage | None = None
        """The longest recent one; see ``recall``."""
        self.newest: Blockage | None = None
        """The last one that has ended, whether or not it was worth a report."""
        self._beat_at = now
        self._place: Place | None = None
        self._spoke = False
        self._reported: dict[tuple[str, str, str], tuple[float, int]] = {}

    def __repr__(self) -> str:
        """Where the hub is, if it is blocked."""
        return f"<Blockages {'beating' if self._place is None else f'blocked by {self._place}'}>"

    def receive_beat(self, now: float) -> Blockage | None:
        """The hub runs. Returns the blockage to report, if there was one."""
        seconds, place = now - self._beat_at, self._place or SOMEWHERE
        self._beat_at, self._place, self._spoke = now, None, False
        if seconds < BLOCKED_AFTER + BEAT_INTERVAL:
            return None
        self.newest = blockage = Blockage(seconds, place, now)
        if self.longest is None or seconds >= self.longest.seconds or now - self.longest.ended_at > _REPORT_INTERVAL:
            self.longest = blockage
        kind = place.kind
        at, unsaid = self._reported.get(kind, (-math.inf, 0))
        if len(self._reported) >= _MOST_PLACES:
            self._reported.clear()
        if now < at + _REPORT_INTERVAL:
            self._reported[kind] = (at, unsaid + 1)
            return None
        self._reported[kind] = (now, 0)
        return dataclasses.replace(blockage, since_last_report=unsaid)

    def look(self, now: float) -> float | None:
        """Whether the hub is blocked and its place is wanted: returns the time of the last beat then, for
        ``receive_place``."""
        beat_at = self._beat_at
        return beat_at if self._place is None and now - beat_at > BLOCKED_AFTER else None

    def blocked_for(self, now: float) -> float:
        """For how many seconds the hub has been blocked; 0 while it runs."""
        seconds = now - self._beat_at
        return seconds if seconds > BLOCKED_AFTER + BEAT_INTERVAL else 0.0

    def receive_place(self, place: Place, beat_at: float) -> None:
        """The hub's thread was found at this place, and has not beaten since ``beat_at``."""
        if beat_at == self._beat_at:
            self._place = place

    def long_since(self, now: float) -> float | None:
        """How long the hub has been blocked, returned once for each long blockage; None otherwise."""
        if self._place is None or self._spoke or now - self._beat_at < _LONG_BLOCK:
            return None
        self._spoke = True
        return now - self._beat_at

    @property
    def place(self) -> Place:
        """Where the hub is blocked, while it is."""
        return self._place or SOMEWHERE

    def recall(self, timeout: float, now: float) -> Blockage | None:
        """The recent blockage that explains why a session of this timeout expired; None if none was long enough."""
        found = self.longest
        long_enough = found is not None and found.seconds > timeout / 2 and now - found.ended_at < timeout
        return found if long_enough else None
