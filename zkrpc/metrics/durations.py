"""A histogram of durations that costs a call next to nothing. Pure."""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Callable, Sequence

from zkrpc.telemetry.observer import Recorder

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
    """A histogram. ``record(seconds)`` adds a duration; ``read()`` gives what there is. ``find_trace`` gives the id of
    the trace that is current and recorded; empty if there is none."""

    __slots__ = ("read", "record")

    def __init__(self, find_trace: Callable[[], str] = no_trace, bounds: Sequence[float] = BOUNDS) -> None:
        counts, total = [0] * (len(bounds) + 1), 0.0
        exemplars: list[Exemplar | None] = [None] * len(counts)

        # Closures, as what they share is found faster than attributes are. The hub of one thread calls them, so that no
        # lock is needed; with hubs in several threads a count may be lost once in a million years of calls.
        def record(seconds: float) -> None:
            nonlocal total
            bucket = bisect_left(bounds, seconds)
            counts[bucket] += 1
            total += seconds
            if bucket > _QUICK and (trace := find_trace()):
                exemplars[bucket] = Exemplar(trace, seconds)

        def read() -> Buckets:
            return Buckets(bounds, tuple(counts), total, tuple(exemplars))

        self.record: Recorder = record
        self.read = read

    def __repr__(self) -> str:
        """How many durations, and their sum."""
        now = self.read()
        return f"<Durations {now.count} in {now.total:g} s>"
