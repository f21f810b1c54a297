"""A histogram of durations, which takes them one by one or many at a time. Pure."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Sequence

BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Upper bounds in seconds. From 0.005 on they are those that OpenTelemetry advises; the three below are for calls
within a data centre, all of which would be in its first bucket."""
_QUICK = 1
"""The bucket up to which no trace is noted: nobody looks for why a call took a millisecond."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exemplar:
    """One of the durations in a bucket, and the trace that tells what took so long."""

    trace: str
    """Its id, 32 hex digits."""
    seconds: float


@dataclasses.dataclass(frozen=True, slots=True)
class Buckets:
    """What a histogram holds at one moment."""

    bounds: Sequence[float]
    counts: Sequence[int]
    """How many durations are in each bucket and in no lower one; the last is for those above all bounds."""
    total: float
    """The sum of all durations in seconds."""
    exemplars: Sequence[Exemplar | None]
    """The newest of each bucket."""

    @property
    def count(self) -> int:
        """How many durations there are."""
        return sum(self.counts)


def no_trace() -> str:
    """The current trace where nothing is traced."""
    return ""


class Durations:
    """A histogram. ``find_trace`` gives the id of the trace that is current and recorded; empty if there is none.

    The hub of one thread fills it, so that no lock is needed; with hubs in several threads a count may be lost once in
    a million years of calls.
    """

    __slots__ = ("_bounds", "_counts", "_exemplars", "_find_trace", "_total")

    def __init__(self, find_trace: Callable[[], str] = no_trace, bounds: Sequence[float] = BOUNDS) -> None:
        self._find_trace = find_trace
        self._bounds = bounds
        self._counts, self._total = [0] * (len(bounds) + 1), 0.0
        self._exemplars: list[Exemplar | None] = [None] * len(self._counts)

    def record(self, seconds: float) -> None:
        """Adds a duration, with the trace that is current here."""
        bucket = bisect_left(self._bounds, seconds)
        self._counts[bucket] += 1
        self._total += seconds
        if bucket > _QUICK and (trace := self._find_trace()):
            self._exemplars[bucket] = Exemplar(trace, seconds)

    def record_all(self, seconds: Sequence[float]) -> None:
        """Adds durations that belong to no trace. For many it takes a third of the time: most of them are in the lowest
        buckets, and each bucket is set aside as a whole."""
        self._total += sum(seconds)
        left, count = seconds, len(seconds)
        for bucket, bound in enumerate(self._bounds):
            left = [one for one in left if one > bound]
            self._counts[bucket] += count - len(left)
            count = len(left)
            if not count:
                return
        self._counts[-1] += count

    def read(self) -> Buckets:
        """What there is."""
        return Buckets(self._bounds, tuple(self._counts), self._total, tuple(self._exemplars))

    def __repr__(self) -> str:
        """How many durations, and their sum."""
        now = self.read()
        return f"<Durations {now.count} in {now.total:g} s>"
